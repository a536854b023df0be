"""Child processes for the socket tests; each takes the path of a file socket and a pipe to its parent."""

import os
from multiprocessing.connection import Connection
from pathlib import Path

from tbot.transport import sockets


def echo_router(path: str, pipe: Connection) -> None:
    """Serve `path` and answer each message with itself, for ever."""
    served = sockets.router(Path(path))
    waiter = sockets.Waiter(served)
    pipe.send(os.getpid())
    while True:
        waiter.wait(1_000_000_000)
        for sender, payload in served.drain():
            served.send(payload, sender)


def pusher(path: str, pipe: Connection) -> None:
    """Push numbered messages as fast as the peer takes them; says over the pipe when the first has left."""
    channel = sockets.push(Path(path))
    number, told = 0, False
    while True:
        if channel.send(b"%d" % number):
            number += 1
            if not told:
                pipe.send(os.getpid())
                told = True
        else:
            channel.writable(100_000_000)


def last_words(path: str, pipe: Connection) -> None:
    """So many processes as `pipe` says, one after the other: each says 20 KB, closes and ends at once."""
    pipe.send(os.getpid())
    for number in range(pipe.recv()):
        pid = os.fork()  # before this process has a context
        if not pid:
            channel = sockets.push(Path(path))
            channel.writable(20_000_000_000)
            channel.send(b"%d " % number + b"x" * 20_000)
            channel.close(linger_ms=20_000)
            sockets.close_context()
            os._exit(0)
        os.waitpid(pid, 0)
    pipe.send("all have ended")
    pipe.recv()  # never
