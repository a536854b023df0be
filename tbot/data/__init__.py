"""Data files that come with the package: the session table, and the firm's numbers. No code.

Imports nothing. `sessions.toml` is read by `storage/sessions.py`, `topstep.toml` by `storage/firm_rules.py`.
"""
