"""What ASGI hides: the transport of a connection. Resets, missing ends, odd frames and answers that never end.

Two protocol classes of uvicorn, unchanged but for one thing: they put themselves within reach of the application
(`scope["state"]`). Everything rude is done from outside with that.
"""

import asyncio
import socket
import struct
from collections.abc import Iterable
from typing import Any, Literal, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

Manner = Literal["hang", "drip", "close_after_headers", "reset", "truncated"]


class WireHttp(H11Protocol):
    """HTTP/1.1 whose requests know their transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


class WireSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose application can write frames and bytes of its own."""

    _pacing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.app_state = {**self.app_state, "wire": self}
        super().connection_made(transport)

    def write(self) -> None:
        """Send what the protocol object has ready."""
        self.transport.write(b"".join(self.conn.data_to_send()))

    def send_frames(self, parts: Iterable[bytes]) -> None:
        """One text message in several frames."""
        pieces = list(parts)
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1
            if number == 0:
                self.conn.send_text(piece, fin=last)
            else:
                self.conn.send_continuation(piece, fin=last)
        self.write()

    def send_text(self, data: bytes) -> None:
        """A text message that need not be text."""
        self.conn.send_text(data)
        self.write()

    def send_binary(self, data: bytes) -> None:
        self.conn.send_binary(data)
        self.write()

    async def send_paced(self, data: bytes, piece: int, pause_s: float) -> None:
        """One text message, `piece` bytes of the wire at a time."""
        self.conn.send_text(data)
        raw = b"".join(self.conn.data_to_send())
        self._pacing = True
        try:
            for start in range(0, len(raw), piece):
                if self.transport.is_closing():
                    return
                self.transport.write(raw[start : start + piece])
                await asyncio.sleep(pause_s)
        finally:
            self._pacing = False
        self.write()  # a pong that had to wait

    def handle_ping(self) -> None:
        """Answer a ping of the WebSocket, but never inside of a frame that is being written."""
        if not self._pacing:
            super().handle_ping()

    @property
    def gone(self) -> bool:
        return self.transport.is_closing() or self.close_sent


def wire_of(scope: Scope) -> WireSocket:
    """The protocol behind a WebSocket's scope."""
    return cast(WireSocket, scope["state"]["wire"])


def reset(transport: asyncio.BaseTransport) -> None:
    """End a connection by RST: the peer sees `connection reset`, never an orderly end."""
    connection = transport.get_extra_info("socket")
    if connection is not None and not transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    cast(asyncio.Transport, transport).abort()


def end_without_goodbye(transport: asyncio.BaseTransport) -> None:
    """End a connection by FIN alone: no close frame, no rest of an answer."""
    stream = cast(asyncio.Transport, transport)
    if not stream.is_closing():
        stream.write_eof()
        stream.close()


class RudeResponse(Response):
    """An HTTP answer that is none: it hangs, drips, breaks off or resets. `seconds`: between the bytes of a drip."""

    def __init__(self, manner: Manner, body: bytes = b"", seconds: float = 0.2) -> None:
        super().__init__(body, 200, media_type="application/json")
        self.manner = manner
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport: asyncio.Transport = scope["state"]["transport"]
        gone = asyncio.create_task(_until_gone(receive))
        try:
            if self.manner == "reset":
                reset(transport)
            elif self.manner == "drip":
                await self._begin(send, 1 << 20)
                while not gone.done():
                    await send({"type": "http.response.body", "body": b" ", "more_body": True})
                    await asyncio.wait([gone], timeout=self.seconds)
            elif self.manner in ("close_after_headers", "truncated"):
                await self._begin(send, len(self.body) + 100)
                if self.manner == "truncated":
                    await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
                end_without_goodbye(transport)
            await gone
        finally:
            gone.cancel()

    async def _begin(self, send: Send, length: int) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", str(length).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _until_gone(receive: Receive) -> None:
    message: Any = {}
    while message.get("type") != "http.disconnect":
        message = await receive()
