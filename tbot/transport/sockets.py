"""The ZeroMQ patterns between our processes: router, dealer, pull, push. Each is bounded, timed out and never waits.

Sockets are files in the private directory of the run, and only there: an abstract name has no protection at all and a
TCP port takes bytes from every local user (F-SEC-02). What ZeroMQ does on its own is turned off where it would hide
a loss: nothing lingers on close but the last words of a process that ends in order, nothing is queued for a peer that
is not there, and a full queue is an answer (False), not a wait. So `send` returning True means "left for a living
peer", never "arrived": what matters is acknowledged by id above this layer (F-IPC-01). Sockets must not cross a fork:
each process makes its own.
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import zmq

from tbot.errors import Halted
from tbot.transport.frames import MAX_MESSAGE

QUEUE_LENGTH: Final = 1000  # messages each way, for each peer
HEARTBEAT_MS: Final = 500
HEARTBEAT_TIMEOUT_MS: Final = 1500
RECONNECT_MS: Final = 20
RECONNECT_MAX_MS: Final = 500
LINGER_MS: Final = 200  # for last words in an orderly end: a peer that is frozen costs no more than this
MAX_PATH_BYTES: Final = 107  # of a file socket's address on Linux

_contexts: "dict[int, zmq.Context[zmq.Socket[bytes]]]" = {}
# Locks of served addresses. Why they outlive their socket: ZeroMQ removes a socket's file some time after `close`, by
# name, and would remove the file of a successor that was let in too early.
_locks: list[int] = []


def context() -> "zmq.Context[zmq.Socket[bytes]]":
    """The one ZeroMQ context of this process, made when first asked for."""
    pid = os.getpid()
    if pid not in _contexts:
        _contexts[pid] = zmq.Context(io_threads=1)
    return _contexts[pid]


def close_context() -> None:
    """Close every open socket of this process at once and throw away what it has not sent; what was closed with time
    to linger gets it, and is waited for. Does nothing without a context.
    """
    made = _contexts.pop(os.getpid(), None)
    if made is not None:
        made.destroy(linger=0)
    while _locks:
        os.close(_locks.pop())


class Channel:
    """One ZeroMQ socket with counters. Use the functions `router`, `dealer`, `pull` and `push` to make one.

    Sent = what peers received + what was lost with a dead peer; `refused` counts what was never taken (I25).
    """

    def __init__(self, kind: int, path: Path, *, bind: bool, identity: bytes = b"", queue: int = QUEUE_LENGTH) -> None:
        self.path = path
        self.sent = 0
        self.received = 0
        self.refused = 0  # sends that were not possible: no peer, its queue full, or too long
        self.malformed = 0  # received with a shape that our pattern does not have
        self._addressed = kind == zmq.ROUTER
        _check_place(path)
        self._socket = context().socket(kind)
        try:
            self._set_options(kind, identity, queue)
            if bind:
                self._bind()
            else:
                self._socket.connect(f"ipc://{path}")
        except BaseException:
            self.close()
            raise

    def _set_options(self, kind: int, identity: bytes, queue: int) -> None:
        options = {
            zmq.LINGER: 0,
            zmq.SNDHWM: queue,
            zmq.RCVHWM: queue,
            zmq.SNDTIMEO: 0,
            zmq.RCVTIMEO: 0,
            zmq.MAXMSGSIZE: MAX_MESSAGE,  # a longer one ends the connection it came on
            # Without these a frozen peer is never noticed (F-IPC-04).
            zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
            zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
            zmq.HEARTBEAT_TTL: HEARTBEAT_TIMEOUT_MS,
            zmq.HANDSHAKE_IVL: HEARTBEAT_TIMEOUT_MS,
            zmq.RECONNECT_IVL: RECONNECT_MS,
            zmq.RECONNECT_IVL_MAX: RECONNECT_MAX_MS,
            # Why: else messages for a dead address pile up and all arrive at once when it is back (F-IPC-07).
            zmq.IMMEDIATE: 1,
        }
        if kind == zmq.ROUTER:
            options[zmq.ROUTER_MANDATORY] = 1  # an unknown peer is an error, not a silent drop
            options[zmq.ROUTER_HANDOVER] = 1  # a restarted peer takes its identity over from its dead self
        for name, value in options.items():
            self._socket.setsockopt(name, value)
        if identity:
            self._socket.setsockopt(zmq.IDENTITY, identity)

    def _bind(self) -> None:
        """Serve the address. Raises Halted when a living process does: ZeroMQ would steal its peers (F-IPC-05)."""
        lock = os.open(f"{self.path}.lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise Halted(f"{self.path.name} is already served in this run") from None
        _locks.append(lock)
        with _private_files():
            self._socket.bind(f"ipc://{self.path}")

    def send(self, payload: bytes, to: bytes = b"") -> bool:
        """Hand `payload` to the peer (a router: to the peer named `to`). False, and counted, when it cannot be now."""
        if len(payload) <= MAX_MESSAGE:
            parts = [to, payload] if self._addressed else [payload]
            try:
                self._socket.send_multipart(parts, flags=zmq.NOBLOCK)
            except zmq.ZMQError as error:
                if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                    raise
            else:
                self.sent += 1
                return True
        self.refused += 1
        return False

    def receive(self) -> tuple[bytes, bytes] | None:
        """The next message as (sender, payload), or None. Sender is empty but for a router. Never waits.

        Messages of another shape, which a foreign peer could send, are counted in `malformed` and passed over; at most
        a queue's length of them in one call.
        """
        for _ in range(QUEUE_LENGTH):
            try:
                parts = self._socket.recv_multipart(flags=zmq.NOBLOCK)
            except zmq.ZMQError as error:
                if error.errno != zmq.EAGAIN:
                    raise
                return None
            if len(parts) == (2 if self._addressed else 1):
                self.received += 1
                return (parts[0], parts[1]) if self._addressed else (b"", parts[0])
            self.malformed += 1
        return None

    def drain(self, limit: int = QUEUE_LENGTH) -> list[tuple[bytes, bytes]]:
        """What has arrived, oldest first, at most `limit` messages."""
        messages: list[tuple[bytes, bytes]] = []
        while len(messages) < limit and (message := self.receive()) is not None:
            messages.append(message)
        return messages

    def writable(self, timeout_ns: int) -> bool:
        """Whether a peer is there that can take a message, waiting at most `timeout_ns` for it (start-up, tests)."""
        return bool(self._socket.poll(_milliseconds(timeout_ns), zmq.POLLOUT))

    def close(self, *, linger_ms: int = 0) -> None:
        """Close now; what was not delivered is gone, or has so long to leave. A served address stays ours until
        `close_context`, which also waits for what lingers: a process that ends without it takes that along.

        Only for an orderly end: a long message (8 KB and more) leaves in pieces, the last of them after this returns.
        """
        self._socket.close(linger=linger_ms)

    def __enter__(self) -> "Channel":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def router(path: Path, *, queue: int = QUEUE_LENGTH) -> Channel:
    """The serving end of request and answer: knows its peers by identity. Raises Halted when it is already served."""
    return Channel(zmq.ROUTER, path, bind=True, queue=queue)


def dealer(path: Path, identity: bytes, *, queue: int = QUEUE_LENGTH) -> Channel:
    """The asking end; `identity` (1 to 255 bytes, not beginning with a zero) stays the same over restarts."""
    if not 1 <= len(identity) <= 255 or identity[0] == 0:
        raise ValueError("an identity has 1 to 255 bytes and does not begin with a zero byte")
    return Channel(zmq.DEALER, path, bind=False, identity=identity, queue=queue)


def pull(path: Path, *, queue: int = QUEUE_LENGTH) -> Channel:
    """The collecting end of many pushers. Raises Halted when it is already served."""
    return Channel(zmq.PULL, path, bind=True, queue=queue)


def push(path: Path, *, queue: int = QUEUE_LENGTH) -> Channel:
    """The reporting end."""
    return Channel(zmq.PUSH, path, bind=False, queue=queue)


class Waiter:
    """Waits until one of several channels or plain file descriptors can be read."""

    def __init__(self, *sources: "Channel | int") -> None:
        self._poller = zmq.Poller()
        self._channels: dict[int, Channel] = {}
        for source in sources:
            self.add(source)

    def add(self, source: "Channel | int") -> None:
        """Wait for `source` too."""
        if isinstance(source, Channel):
            self._channels[id(source._socket)] = source
            self._poller.register(source._socket, zmq.POLLIN)
        else:
            self._poller.register(source, zmq.POLLIN)

    def remove(self, source: "Channel | int") -> None:
        """Wait for `source` no longer; call it before the source is closed."""
        if isinstance(source, Channel):
            del self._channels[id(source._socket)]
            self._poller.unregister(source._socket)
        else:
            self._poller.unregister(source)

    def wait(self, timeout_ns: int) -> "list[Channel | int]":
        """The sources that can be read (or were hung up), as soon as there is one; empty after `timeout_ns`.

        Resolution is a millisecond, rounded up, so that a short wait does not become a busy loop.
        """
        ready = self._poller.poll(_milliseconds(timeout_ns))
        return [source if isinstance(source, int) else self._channels[id(source)] for source, _ in ready]


def _milliseconds(timeout_ns: int) -> int:
    """Rounded up; never negative, which would mean for ever."""
    return max(0, -(-timeout_ns // 1_000_000))


def _check_place(path: Path) -> None:
    """Raises Halted when the directory of `path` is not ours alone, ValueError when the address is too long."""
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise ValueError(f"the path of a file socket has at most {MAX_PATH_BYTES} bytes: {path}")
    info = os.lstat(path.parent)
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o077:
        raise Halted(f"{path.parent} must be a directory that belongs to this user alone (mode 0700)")


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    """Files made inside have mode 0600 at most. The mask belongs to the whole process, so: start-up only."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
