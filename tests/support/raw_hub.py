"""A WebSocket client on a bare socket, for tests that look at bytes: resets, ends, frames, single bytes."""

import base64
import os
import socket
from types import TracebackType
from urllib.parse import urlsplit

HANDSHAKE = b'{"protocol":"json","version":1}\x1e'


class RawHub:
    """Upgrades on creation. `head` is the HTTP answer; `read` gives bytes of the wire, b"" at the end of the stream."""

    def __init__(self, url: str, *, handshake: bool = True, timeout_s: float = 60.0) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 80), timeout_s)
        key = base64.b64encode(os.urandom(16)).decode()
        target = f"{parts.path}?{parts.query}"
        self.socket.sendall(
            f"GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer:
            more = self.read()
            if not more:
                raise EOFError
            self._buffer += more
        self.head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        if handshake:
            self.send(HANDSHAKE)
            assert self.frame() == (0x81, b"{}\x1e")

    def send(self, payload: bytes, opcode: int = 1) -> None:
        """One frame, masked with zeros."""
        size = len(payload)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        self.socket.sendall(bytes((0x80 | opcode,)) + length + b"\0\0\0\0" + payload)

    def read(self) -> bytes:
        return self.socket.recv(65536)

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            more = self.read()
            if not more:
                raise EOFError
            self._buffer += more
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def frame(self) -> tuple[int, bytes]:
        """(first byte, payload) of the next frame; EOFError at the end of the stream."""
        first, size = self._take(2)
        if size == 126:
            size = int.from_bytes(self._take(2), "big")
        elif size == 127:
            size = int.from_bytes(self._take(8), "big")
        return first, self._take(size)

    def __enter__(self) -> "RawHub":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()
