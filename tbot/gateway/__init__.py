"""The real broker: SignalR protocol, its JSON, REST, hubs, and the Broker that stands on them.

May import tbot.domain, tbot.errors, tbot.execution.broker, tbot_ext and third-party I/O libraries (layer L3).
Start at codec.py for the broker's words, signalr.py for the wire, live_broker.py for orders.
"""
