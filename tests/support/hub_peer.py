"""A SignalR hub that does exactly what a test tells it: every connection is handed to the test as a Link."""

import asyncio
import contextlib
import http
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from tbot.gateway import signalr
from tbot.gateway.signalr import Invocation, Message, Ping, Role, SignalRConnection


class Link:
    """One accepted WebSocket, driven by the test."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.protocol = SignalRConnection(Role.SERVER)
        self.done = asyncio.Event()
        self.pings = 0
        self._waiting: list[Message] = []

    @property
    def path(self) -> str:
        assert self.socket.request is not None
        return self.socket.request.path

    async def read(self) -> Message:
        """The client's next message; pings are counted, not returned."""
        while True:
            while self._waiting:
                message = self._waiting.pop(0)
                if not isinstance(message, Ping):
                    return message
                self.pings += 1
            self._waiting += self.protocol.receive(await self.socket.recv())

    async def ping(self) -> None:
        """Wait for the client's next ping."""
        before = self.pings
        while self.pings == before:
            while self._waiting:
                message = self._waiting.pop(0)
                assert isinstance(message, Ping)
                self.pings += 1
            if self.pings == before:
                self._waiting += self.protocol.receive(await self.socket.recv())

    async def handshake(self, glued: bytes = b"") -> None:
        """Read the request, answer it, with more records in the same message if told."""
        await self.read()
        await self.send(self.protocol.data_to_send() + glued)

    async def subscriptions(self, count: int, error: str | None = None) -> list[tuple[str, bytes]]:
        """Read and complete `count` invocations; returns (target, arguments)."""
        seen = []
        for _ in range(count):
            message = await self.read()
            assert isinstance(message, Invocation)
            seen.append((message.target, message.arguments))
            await self.send(signalr.encode_completion(message.invocation_id or "", error))
        return seen

    async def open(self, subscriptions: int) -> None:
        await self.handshake()
        await self.subscriptions(subscriptions)

    async def send(self, data: bytes) -> None:
        await self.socket.send(data.decode())

    async def send_binary(self, data: bytes) -> None:
        await self.socket.send(data)

    async def send_fragments(self, parts: Iterable[bytes]) -> None:
        await self.socket.send([part.decode() for part in parts])

    def drop(self) -> None:
        """No farewell: the TCP connection is reset."""
        self.socket.transport.abort()
        self.done.set()

    async def close(self, code: int = 1000) -> None:
        await self.socket.close(code)
        self.done.set()


class HubPeer:
    """`async with HubPeer() as peer:` then `link = await peer.link()` for each connection.

    `refusals`: HTTP answers (status, headers) for the next upgrades, before any is accepted.
    """

    def __init__(self, refusals: Sequence[tuple[int, dict[str, str]]] = ()) -> None:
        self.refusals = list(refusals)
        self.upgrades: list[str] = []
        self._links: asyncio.Queue[Link] = asyncio.Queue()
        self._all: list[Link] = []
        self._server: Server | None = None

    async def __aenter__(self) -> "HubPeer":
        self._server = await serve(
            self._handle, "127.0.0.1", 0, process_request=self._upgrade, ping_interval=None, close_timeout=0.2
        )
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/hubs/market"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for link in self._all:
            link.done.set()
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def link(self) -> Link:
        return await self._links.get()

    def _upgrade(self, connection: ServerConnection, request: Request) -> Response | None:
        self.upgrades.append(request.path)
        if not self.refusals:
            return None
        status, headers = self.refusals.pop(0)
        response: Any = connection.respond(http.HTTPStatus(status), "")
        for name, value in headers.items():
            response.headers[name] = value
        return response

    async def _handle(self, socket: ServerConnection) -> None:
        link = Link(socket)
        self._all.append(link)
        self._links.put_nowait(link)
        with contextlib.suppress(Exception):
            await link.done.wait()
