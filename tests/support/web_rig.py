"""The web page's door, routes and page inside the test process, asked by an ASGI client; commands are scripts."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tbot.web.actions import Actions
from tbot.web.guard import Guard
from tbot.web.passes import Admitted, Once, Passes
from tbot.web.routes import HAND, Routes
from tbot.web.source import Source

PORT = 8123
HOST = f"127.0.0.1:{PORT}"
ORIGIN = f"http://{HOST}"
ZONE = ZoneInfo("Europe/Helsinki")


class Process:
    """A command that has ended: what it printed and its exit code."""

    def __init__(self, code: int, document: dict[str, Any] | None, lines: Sequence[str]) -> None:
        self._code = code
        self.stdout, self.stderr = asyncio.StreamReader(), asyncio.StreamReader()
        self.stdout.feed_data(json.dumps(document).encode() if document is not None else b"")
        self.stderr.feed_data("".join(f"{line}\n" for line in lines).encode())
        for stream in (self.stdout, self.stderr):
            stream.feed_eof()

    async def wait(self) -> int:
        return self._code


@dataclass
class Script:
    """What every command that is started does; keeps what was asked for."""

    code: int = 0
    document: dict[str, Any] | None = None
    lines: Sequence[str] = ()
    started: list[list[str]] = field(default_factory=list)

    async def __call__(self, arguments: Sequence[str]) -> Process:
        self.started.append(list(arguments))
        return Process(self.code, self.document, self.lines)


class Door:
    """Guard and routes around a page that says `page`, with one browser that may act and one that may look."""

    def __init__(
        self,
        *,
        read_only: bool = False,
        uid: int | None = None,
        script: Script | None = None,
        account: int | None = None,
    ) -> None:
        self.script = script or Script(document={"flat": True, "text": ""})
        self.passes, self.once = Passes(None), Once()
        self.actions = Actions({"kill": ("--config=f.toml",)}, self.script)
        self.routes = Routes(self.passes, self.once, self.actions, PORT, read_only, account)
        self.source = Source(lambda: None)
        self.reached: list[str] = []
        table = [*self.routes.table(), Route("/{rest:path}", self._page, methods=["GET"]),
                 WebSocketRoute("/{rest:path}", self._socket)]  # fmt: skip
        self.app = Guard(Starlette(routes=table), self.passes, PORT, lambda *_: uid)
        self.actor = self._admit("act")
        self.looker = self._admit("look")

    def _admit(self, role: Any) -> Admitted:
        admitted = self.passes.redeem(self.passes.offer(role))
        assert admitted is not None
        return admitted

    async def _page(self, request: Request) -> Response:
        self.reached.append(request.url.path)
        return PlainTextResponse("page", headers={"Cache-Control": "public", "Server": "x"})

    async def _socket(self, socket: WebSocket) -> None:
        self.reached.append(socket.url.path)
        await socket.accept()
        await socket.close()

    def headers(self, who: Admitted | None = None, **more: str | None) -> dict[str, str]:
        """As the page's own script sends them; None leaves one out."""
        who = who or self.actor
        usual: dict[str, str | None] = {
            "Host": HOST, "Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json",
            "Cookie": f"tbot_web_{PORT}={who.cookie}", HAND.title(): who.hand,
        }  # fmt: skip
        usual |= {name.replace("_", "-").title(): value for name, value in more.items()}
        return {name: value for name, value in usual.items() if value is not None}

    def command(self, **more: Any) -> dict[str, Any]:
        """A command's body, new each time."""
        number = f"{time.monotonic_ns():032x}"
        return {"nonce": f"{self.once.life}.{number}", "sent_ms": time.time() * 1000, "mode": "sim", **more}

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None) -> httpx.Response:
        """One request on a connection of its own; commands that it starts are waited for."""

        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
                content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
                answer = await client.request(
                    method, path, headers=self.headers() if headers is None else headers, content=content
                )
                await self.actions.settle()
                return answer

        return asyncio.run(go())

    def act(self, verb: str, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        """A command as the page sends it."""
        return self.ask("POST", f"/act/{verb}", headers, self.command(**body))

    def socket(self, headers: dict[str, str]) -> str:
        """What becomes of a WebSocket: the type of the first answer."""
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        scope = {
            "type": "websocket", "path": "/_nicegui_ws/socket.io/", "headers": [
                (name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 40_000), "query_string": b"", "subprotocols": [], "scheme": "ws", "root_path": "",
        }  # fmt: skip
        asyncio.run(self.app(scope, receive, send))  # type: ignore[arg-type]
        return str(sent[0])
