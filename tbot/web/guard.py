"""The door of the web page: every request and socket passes here before anything else sees it (I31, F-SEC-03).

Refused: another Host than our own loopback names (a foreign name that was made to point here), another Origin, a
request that another site or another port's page made, another user's process, no pass. Nothing changes by GET. What
leaves carries a policy that lets the page load nothing from anywhere else.
"""

import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from tbot.web.passes import Passes

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
PeerUid = Callable[[tuple[str, int], int], int | None]

HOSTS = ("127.0.0.1", "localhost")
ENTER = "/enter"  # the only place that wants no pass: it takes the link's secret
ACT = "/act/"  # the only place where something is done
SOCKET = "/_nicegui_ws/"  # asks by POST where a WebSocket does not get through; it only displays
LIBRARIES = "/_nicegui/"  # scripts and fonts of the installed package: nothing of ours is in them
# Ruling 25: NiceGUI makes functions from text, and styles in place.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
NO_STORE = (b"cache-control", b"no-store")
_OURS = {name for name, _ in HEADERS} | {b"server"}
CLOSED = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>T-BOT</title><link rel="icon" href="data:,">
<style>body{background:#0b0f14;color:#c9d3de;font:16px/1.6 system-ui,sans-serif;display:grid;
place-items:center;min-height:90vh;margin:0}main{max-width:30em;padding:2em}code{color:#6cb6ff}</style>
<main><h1>This page is locked</h1><p>Open the link that <code>tbot web</code> printed when it started. Each link works
once; start <code>tbot web</code> again for a new one.</p></main></html>"""


def cookie_name(port: int) -> str:
    """Cookies do not know ports: two pages on one machine must not overwrite each other's."""
    return f"tbot_web_{port}"


class Guard:
    """ASGI in front of the application. `peer_uid`: whose process a connection comes from; None when nobody knows."""

    def __init__(self, app: App, passes: Passes, port: int, peer_uid: PeerUid) -> None:
        self._app, self._passes, self._port, self._peer_uid = app, passes, port, peer_uid
        self._hosts = {f"{name}:{port}" for name in HOSTS}
        self._users = {0, os.geteuid()}  # root can do everything anyway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = _Headers(scope["headers"])
        status, text = self._refusal(scope, headers)
        if not status:
            scope["tbot_cookie"] = self._cookie(headers)
            await self._app(scope, receive, send if scope["type"] == "websocket" else self._sealed(scope, send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _answer(self._sealed(scope, send), status, text, html=status == 401 and scope["path"] == "/")

    def _refusal(self, scope: Scope, headers: "_Headers") -> tuple[int, str]:
        """(status, why); (0, "") lets it through."""
        path, method = str(scope["path"]), str(scope.get("method", "GET"))
        upgrade = scope["type"] == "websocket"
        host = headers.only("host")
        if host not in self._hosts:
            return 421, "this page answers on the loopback address only"
        origin = headers.get("origin")
        writes = upgrade or method not in ("GET", "HEAD")
        if headers.many("origin") or (origin is not None and origin != f"http://{host}") or (writes and origin is None):
            return 403, "this request comes from another page"
        navigates = path == ENTER and method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site") not in (None, "same-origin", "none") and not navigates:
            return 403, "this request comes from another site"
        client = scope.get("client")
        uid = self._peer_uid((str(client[0]), int(client[1])), self._port) if client else None
        if uid is not None and uid not in self._users:
            return 403, "this connection comes from another user of this machine"
        if not upgrade and not _allowed(method, path):
            return 405, "nothing is done that way"
        if path != ENTER and not self._passes.may_look(self._cookie(headers)):
            return 401, "open the link that tbot web printed"
        return 0, ""

    def _cookie(self, headers: "_Headers") -> str:
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(headers.get("cookie") or "")
        except CookieError:
            return ""
        found = jar.get(cookie_name(self._port))
        return found.value if found is not None else ""

    def _sealed(self, scope: Scope, send: Send) -> Send:
        """`send` with our headers on every answer, whatever the application set."""
        cacheable = str(scope["path"]).startswith(LIBRARIES)

        async def seal(message: Message) -> None:
            if message["type"] == "http.response.start":
                dropped = _OURS | (set() if cacheable else {b"cache-control"})
                kept = [(name, value) for name, value in message.get("headers", []) if name.lower() not in dropped]
                message["headers"] = [*kept, *HEADERS, *(() if cacheable else (NO_STORE,))]
            await send(message)

        return seal


def _allowed(method: str, path: str) -> bool:
    if method in ("GET", "HEAD"):
        return not path.startswith(ACT)
    return method == "POST" and (path == ENTER or path.startswith((ACT, SOCKET)))


class _Headers:
    """Request headers as text; names in lower case, as ASGI has them."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

    def get(self, name: str) -> str | None:
        found = self._values.get(name)
        return found[0] if found else None

    def many(self, name: str) -> bool:
        return len(self._values.get(name, ())) > 1

    def only(self, name: str) -> str:
        """The value of a header that must be there once; "" when it is not."""
        found = self._values.get(name, [])
        return found[0].lower() if len(found) == 1 else ""


async def _answer(send: Send, status: int, text: str, *, html: bool) -> None:
    body = (CLOSED if html else text + "\n").encode()
    kind = b"text/html; charset=utf-8" if html else b"text/plain; charset=utf-8"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def peer_uid(client: tuple[str, int], port: int) -> int | None:
    """Whose process holds the other end of a loopback connection to our `port`; None when the system does not tell.

    Linux shows it in /proc/net/tcp: addresses in hex, the address part in the machine's byte order, the state in the
    fourth column (01 established; a connection that only lingers has no user), the user in the eighth (proc(5)).
    """
    try:
        packed = socket.inet_aton(client[0])
    except OSError:
        return None
    local = f"{(packed[::-1] if sys.byteorder == 'little' else packed).hex()}:{client[1]:04x}".upper()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):  # the second has those that reach us by a mapped address
        try:
            with open(table, encoding="ascii") as file:
                for line in file:
                    fields = line.split()
                    ours = len(fields) > 7 and fields[3] == "01" and fields[1].endswith(local)
                    if ours and fields[2].endswith(f":{port:04X}"):
                        return int(fields[7])
        except (OSError, ValueError):
            continue
    return None
