"""The past through the same deciders: one process, a virtual clock, no second strategy, risk, order or fill code.

Layer 4: imports everything below it; not the engine. Start with `runner`.
"""
