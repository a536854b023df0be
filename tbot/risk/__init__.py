"""Whether a signal is traded, and how much: limits, sizing, the gate of small checks, the ledger of one account.

Layer 2: imports `tbot.domain` and `tbot.errors` only; no I/O, no clock, no randomness, no logging.
Start with `gate`; its numbers are in `limits` (ours) and `firm` (the firm's; what is reached of them: `floor`).
"""
