"""What lies between our own processes: shared-memory segments, the message bytes, the ZeroMQ patterns.

May import domain, errors, the compiled core and third-party I/O (layer L3), nothing of engine, gateway or storage.
Start with `shm` (segments and the private run directory), then `wire` (message to bytes) and `sockets`.
"""
