"""What to trade: pipeline events of one contract in, signals out. Pure folds: no clock, no I/O, no orders, no money.

Imports the compiled records, the domain and the errors, nothing else.
Start with `trader` (the fold), then `order_block` (the setup) and `confluence` (the score).
"""
