"""Data files that come with the package: the session table. No code.

Imports nothing. Start with `sessions.toml`; `storage/sessions.py` reads it.
"""
