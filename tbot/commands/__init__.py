"""The commands of `tbot`, one module each; loaded by `tbot.cli` when called.

Layer 5: may import everything; nobody imports them. A command turns options into settings and calls one function below.
"""
