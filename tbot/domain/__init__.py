"""The nouns and rules of futures trading that are true for everybody: contracts, bars, orders, positions, hours.

Layer 1: imports the standard library only; no I/O, no clock (time arrives as `now_ns`), no randomness, no logging.
Start with `contracts` and `messages`.
"""
