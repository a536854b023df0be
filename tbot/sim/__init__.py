"""The local gateway: REST, both hubs and a market on one loopback port, which clients cannot tell from the real one.

May import everything below it (domain, execution, gateway, storage), no other package of its layer.
Start with `server.py`; the venue's rules are in `exchange.py`, the market's clock and pump in `market.py`.
"""
