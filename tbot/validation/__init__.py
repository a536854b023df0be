"""Whether a result means anything: pure statistics of round trips, bars and trials, each with its source.

Layer 4: numpy; of T-BOT what lies below, and `backtest` for its tables. No I/O, no clock; a seeded generator is passed
in. One subject per file; `trips` holds what most of them take.
"""
