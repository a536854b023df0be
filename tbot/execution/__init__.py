"""How approved intents become orders: the Desk, its order manager, reconciliation, flatten, and the Broker port.

Layer 2: imports `tbot.domain`, `tbot.errors` and `tbot.risk`; no I/O, no clock, no randomness, no logging.
Start with `desk` (the decider) and `broker` (the port and the loop that joins them).
"""
