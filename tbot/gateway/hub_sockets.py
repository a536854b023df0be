"""The WebSocket of a hub behind one seam: the `websockets` library, or `picows` where the extra `fast` is installed.

Both give what has arrived in one piece: the payloads of all frames that one read brought, joined. SignalR's records are
a stream of bytes with separators of their own, so neither the ends of messages nor fragments matter to the reader.
Nothing is queued here: the sink is called in the callback that read the bytes, and asks for a pause when it has enough.
"""

import asyncio
import contextlib
import importlib
import importlib.util
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode

FAST_PACKAGE = "picows"
LEFT_S = 10.0  # a connection whose opening was given up, and which picows would keep, ends after this


class Sink(Protocol):
    """Who hears of a connection. Nothing comes after `on_closed`."""

    def on_data(self, data: bytes, messages: int) -> None:
        """Payload that arrived, and how many messages ended in it."""

    def on_closed(self, reason: str) -> None:
        """The connection is gone."""


class HubSocket(Protocol):
    """An open WebSocket. To be used in the loop's thread only."""

    async def send(self, data: bytes) -> None:
        """One text message; ConnectionError when the connection is gone."""

    def pause(self) -> None:
        """Read nothing more; what was read already still comes."""

    def resume(self) -> None:
        """Read on."""

    def abort(self) -> None:
        """End without farewell. May be called twice."""

    async def close(self) -> None:
        """End with a farewell, within the time given when it was opened."""


class UpgradeRefused(Exception):
    """The server answered the upgrade with an HTTP status other than 101."""

    def __init__(self, status: int, retry_after: str | None) -> None:
        super().__init__(status)
        self.status, self.retry_after = status, retry_after


class SocketFailed(Exception):
    """No WebSocket came about; the text is the kind of the library's error (its own texts may carry the address)."""


# (address, sink, seconds for a farewell, most bytes of a message); OSError, UpgradeRefused or SocketFailed
Opener = Callable[[str, Sink, float, int], Awaitable[HubSocket]]

# The libraries log addresses, and the token is in them: their logs go nowhere.
_SILENT = logging.Logger("tbot.gateway.hub_sockets", logging.CRITICAL + 1)
_NO_PROXY: dict[str, Any] = {"proxy": None} if "proxy" in inspect.signature(connect.__init__).parameters else {}
_DATA = frozenset({Opcode.CONT, Opcode.TEXT, Opcode.BINARY})


def too_large(max_size: int) -> str:
    """Why a connection ends on which a message was over the limit."""
    return f"closed 1009: a message was larger than {max_size} bytes"


# -------------------------------------------------------------------------------------------------------- websockets
class _Connection(ClientConnection):
    """websockets' connection without its queue of messages: frames go to the sink as they come."""

    def __init__(self, sink: Sink, max_size: int, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sink, self._limit = sink, max_size
        self._parts: list[Any] = []
        self._messages = 0

    def process_event(self, event: Any) -> None:
        """One frame, or the answer to the upgrade."""
        if isinstance(event, Frame) and event.opcode in _DATA:
            self._parts.append(event.data)
            self._messages += event.fin
        else:
            super().process_event(event)

    def data_received(self, data: bytes) -> None:
        """All frames of one read."""
        super().data_received(data)
        if self._parts:
            parts, messages = self._parts, self._messages
            self._parts, self._messages = [], 0
            self._sink.on_data(bytes(parts[0]) if len(parts) == 1 else b"".join(parts), messages)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the TCP connection."""
        super().connection_lost(exc)
        sent, rcvd = self.protocol.close_sent, self.protocol.close_rcvd
        if sent is not None and sent.code == 1009:
            self._sink.on_closed(too_large(self._limit))
        else:
            self._sink.on_closed(f"closed {rcvd.code if rcvd is not None else 1006}")


class _Connect(connect):
    """websockets' connect without redirects: the token stands in the address."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _WebSocketsSocket:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, data: bytes) -> None:
        try:
            await self._connection.send(data.decode())
        except websockets.ConnectionClosed:
            raise ConnectionError("the hub connection was lost") from None

    def pause(self) -> None:
        self._connection.transport.pause_reading()

    def resume(self) -> None:
        self._connection.transport.resume_reading()

    def abort(self) -> None:
        self._connection.transport.abort()

    async def close(self) -> None:
        await self._connection.close()


async def open_websockets(url: str, sink: Sink, close_s: float, max_size: int) -> HubSocket:
    """The default."""

    def create(*arguments: Any, **options: Any) -> ClientConnection:
        return _Connection(sink, max_size, *arguments, **options)

    try:
        connection = await _Connect(
            url,
            create_connection=create,  # type: ignore[arg-type]
            compression=None,
            user_agent_header=None,
            open_timeout=None,  # the caller's is around it
            ping_interval=None,  # hub pings and a watchdog of our own do it
            close_timeout=close_s,
            max_size=max_size,
            logger=_SILENT,
            **_NO_PROXY,
        )
    except InvalidStatus as error:
        raise UpgradeRefused(error.response.status_code, error.response.headers.get("Retry-After")) from None
    except websockets.WebSocketException as error:
        raise SocketFailed(type(error).__name__) from None
    return _WebSocketsSocket(connection)


# ------------------------------------------------------------------------------------------------------------- picows
def fastest() -> Opener:
    """The opener that costs least of those installed. The extra is imported when the first connection is opened."""
    return open_picows if importlib.util.find_spec(FAST_PACKAGE) is not None else open_websockets


class _PicowsSocket:
    def __init__(self, package: Any, transport: Any, gone: asyncio.Event, close_s: float) -> None:
        self._package, self._transport, self._gone, self._close_s = package, transport, gone, close_s
        self._text = package.WSMsgType.TEXT

    async def send(self, data: bytes) -> None:
        if self._transport.is_disconnected or self._transport.is_close_frame_sent:
            raise ConnectionError("the hub connection was lost")
        self._transport.send(self._text, data)

    def pause(self) -> None:
        self._transport.underlying_transport.pause_reading()

    def resume(self) -> None:
        if not self._gone.is_set():
            self._transport.underlying_transport.resume_reading()

    def abort(self) -> None:
        self._transport.disconnect(graceful=False)

    async def close(self) -> None:
        if not self._gone.is_set():
            self._transport.send_close(self._package.WSCloseCode.OK)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), self._close_s)
        self.abort()


def _close_code(info: Any) -> int:
    """The number of a close frame; without one 1005, as RFC 6455 has it."""
    return int(getattr(info.code, "value", info.code)) or 1005


def _listener(package: Any, sink: Sink, gone: asyncio.Event, max_size: int) -> Any:
    """What picows calls; made here because its base class comes with the extra."""
    data_kinds = frozenset({package.WSMsgType.CONTINUATION, package.WSMsgType.TEXT, package.WSMsgType.BINARY})
    loop = asyncio.get_running_loop()

    class Listener(package.WSListener):  # type: ignore[misc]
        def __init__(self) -> None:
            self.parts: list[bytes] = []
            self.messages = 0

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            if frame.msg_type in data_kinds:
                self.parts.append(frame.get_payload_as_bytes())
                self.messages += frame.fin
                if frame.last_in_buffer:
                    self.flush()
                elif len(self.parts) == 1:
                    loop.call_soon(self.flush)  # the last frame of this read may be one that does not come here
            elif frame.msg_type == package.WSMsgType.CLOSE:
                self.flush()
                transport.send_close(frame.get_close_code() or package.WSCloseCode.OK)
                transport.disconnect()

        def flush(self) -> None:
            if self.parts:
                parts, messages = self.parts, self.messages
                self.parts, self.messages = [], 0
                sink.on_data(parts[0] if len(parts) == 1 else b"".join(parts), messages)

        def on_ws_disconnected(self, transport: Any) -> None:
            self.flush()
            gone.set()
            closing = transport.close_handshake
            if closing is not None and closing.sent is not None and _close_code(closing.sent) == 1009:
                sink.on_closed(too_large(max_size))
            else:
                known = closing is not None and closing.recv is not None
                sink.on_closed(f"closed {_close_code(closing.recv) if known else 1006}")

    return Listener()


async def open_picows(url: str, sink: Sink, close_s: float, max_size: int) -> HubSocket:
    """The extra `fast`."""
    package = importlib.import_module(FAST_PACKAGE)
    gone = asyncio.Event()
    waits = True

    def listener() -> Any:
        if not waits:  # a second session would take the first one's place
            raise ConnectionError("nobody waits for this connection any more")
        return _listener(package, sink, gone, max_size)

    try:
        transport, _ = await package.ws_connect(
            listener,
            url,
            websocket_handshake_timeout=LEFT_S,  # the caller's is around it, but ends only the wait
            logger_name=_SILENT,
            max_frame_size=max_size,
            max_redirects=0,  # the token stands in the address
        )
    except asyncio.CancelledError:
        waits = False
        raise
    except package.WSError as error:
        answer = getattr(error, "response", None)
        if answer is not None and answer.status != 101:
            raise UpgradeRefused(int(answer.status), answer.headers.get("Retry-After")) from None
        raise SocketFailed(type(error).__name__) from None
    return _PicowsSocket(package, transport, gone, close_s)
