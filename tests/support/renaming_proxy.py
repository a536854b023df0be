"""A gateway in front of a gateway that can give a contract another delivery month while everything runs.

Requests, answers and hub records pass through; after `roll` the month behind it appears under a new name, so that a
client sees exactly what a roll is: another id in the list, other subscriptions, and silence on the old id. With
`hide_sim` the simulator's own endpoints do not exist, so that it looks like anybody's gateway.
"""

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Any

import requests
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tbot.sim.server import listen

METHODS = ["GET", "POST"]
KEPT = {"content-type", "date", "retry-after"}


class RenamingProxy:
    """`with RenamingProxy(rest_url) as proxy:` then `proxy.rest`; `proxy.roll(old, new)` with ids of equal length."""

    def __init__(self, upstream: str, *, hide_sim: bool = False) -> None:
        self._upstream = upstream
        self._hidden = "/sim/" if hide_sim else None
        self._names: tuple[bytes, bytes] | None = None  # behind, in front
        self._listener = listen(0)
        self.rest = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        app = Starlette(
            routes=[Route("/{path:path}", self._http, methods=METHODS), WebSocketRoute("/{path:path}", self._socket)]
        )
        options: dict[str, Any] = {"log_level": "critical", "lifespan": "off", "ws": "websockets-sansio"}
        self._server = uvicorn.Server(uvicorn.Config(app, ws_ping_interval=None, **options))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True)

    def roll(self, old: str, new: str) -> None:
        assert len(old) == len(new)
        self._names = (old.encode(), new.encode())

    def _front(self, data: bytes) -> bytes:
        return data if self._names is None else data.replace(*self._names)

    def _behind(self, data: bytes) -> bytes:
        """The old name is unknown behind the proxy: nobody gets two months of one contract."""
        if self._names is None:
            return data
        old, new = self._names
        return data.replace(old, b"?" * len(old)).replace(new, old)

    async def _http(self, request: Request) -> Response:
        if self._hidden is not None and request.url.path.startswith(self._hidden):
            return Response(status_code=404)
        body = self._behind(await request.body())
        headers = {name: value for name, value in request.headers.items() if name in ("authorization", "content-type")}
        url = f"{self._upstream}{request.url.path}{'?' + request.url.query if request.url.query else ''}"
        answer = await asyncio.to_thread(
            requests.request, request.method, url, data=body, headers=headers, timeout=20, allow_redirects=False
        )
        kept = {name: value for name, value in answer.headers.items() if name.lower() in KEPT}
        return Response(self._front(answer.content), answer.status_code, kept)

    async def _socket(self, ws: WebSocket) -> None:
        url = f"ws{self._upstream[4:]}{ws.url.path}?{ws.url.query}"
        try:
            upstream = await connect(url, max_size=None, ping_interval=None, compression=None)
        except InvalidStatus as error:
            await ws.send_denial_response(Response(status_code=error.response.status_code))
            return
        await ws.accept()
        tasks = [asyncio.create_task(self._up(ws, upstream)), asyncio.create_task(self._down(ws, upstream))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await upstream.close()
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await ws.close()

    async def _up(self, ws: WebSocket, upstream: ClientConnection) -> None:
        with contextlib.suppress(WebSocketDisconnect, ConnectionClosed, RuntimeError):
            while True:
                await upstream.send(self._behind((await ws.receive_text()).encode()).decode())

    async def _down(self, ws: WebSocket, upstream: ClientConnection) -> None:
        with contextlib.suppress(WebSocketDisconnect, ConnectionClosed, RuntimeError):
            while True:
                data: Any = await upstream.recv(decode=False)
                await ws.send_text(self._front(data).decode())

    def __enter__(self) -> "RenamingProxy":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._listener.close()
