"""The simulated gateway as a process: settings to objects, one loopback port, the pump, an orderly end.

`main` runs it until SIGTERM (or, embedded, until the engine's child context says stop). The first line on stdout, or
the dict sent through `ready_pipe`, says where it is and how to log in.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tbot.domain.contracts import Contract
from tbot.domain.trading_hours import SessionCalendar
from tbot.errors import ConfigError
from tbot.gateway.codec import user_event
from tbot.gateway.codec_faults import Peek, peek_request
from tbot.gateway.codec_rest import encode_clock
from tbot.gateway.codec_tables import CLOCK_PATH, MARKET_HUB_PATH, OPENAPI_PATH, USER_HUB_PATH
from tbot.gateway.openapi import encoded as openapi_document
from tbot.sim.auth import Tokens, User
from tbot.sim.control import TOKEN_HEADER, ControlApi
from tbot.sim.exchange import Exchange
from tbot.sim.fault_plan import load_plan, parse_plan
from tbot.sim.fault_rest import bad_negotiation, retry_header
from tbot.sim.fault_shell import FaultShell
from tbot.sim.fault_wire import RudeResponse, WireHttp, WireSocket, wire_of
from tbot.sim.hub_server import Hub, HubConnection, Topic
from tbot.sim.listing import front_contract
from tbot.sim.market import HubRecord, Market, MarketSource, SimClock, boot_ns
from tbot.sim.rest_server import MAX_BODY_BYTES, Reply, RestApi
from tbot.sim.settings import SimSettings, open_source, settings_of
from tbot.sim.views import event_record, snapshot
from tbot.sim.wire_log import WireEntry, WireLog
from tbot.storage.sessions import load_sessions

PUMP_S = 0.02
MAX_LEAD_S = 0.5  # at speed max, from the start of the clock to its first step: clients subscribe one after the other
MAX_QUEUE_AT_SPEED_MAX = 1 << 20  # bytes: at speed max the market waits for its slowest reader
_MAX_VERSION_DIGITS = 9  # a version is a 32-bit integer
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


class SimServer:
    """All parts of one simulator, wired; `serve` runs it."""

    def __init__(self, settings: SimSettings, source: tuple[MarketSource, list[Contract], int] | None = None) -> None:
        """`source` replaces what `open_source` would make of the settings."""
        self.settings = settings
        market_source, contracts, clock_start_ns = source or open_source(settings)
        calendar = None if settings.always_open else SessionCalendar(load_sessions(), template_ok=True)
        listing = front_contract if source is None and settings.tape is None else None  # a tape is of one month
        self.exchange = Exchange(contracts, calendar, settings.rules, settings.fills, listing)
        hold = settings.tape is not None if settings.hold is None else settings.hold
        self.clock = SimClock(clock_start_ns, settings.speed, held=hold)
        every_quote = settings.tape is not None if settings.every_quote is None else settings.every_quote
        self.market = Market(market_source, self.exchange, self.clock, every_quote=every_quote, seed=settings.seed)
        self.user = User(
            settings.user_name or f"sim-{secrets.token_hex(4)}", settings.api_key or secrets.token_urlsafe(24)
        )
        others = [User(*other) for other in settings.other_users]
        others += [User(f"sim-{secrets.token_hex(4)}", secrets.token_urlsafe(24)) for _ in range(settings.users - 1)]
        self.users = [self.user, *others]
        for user in self.users:
            for _ in range(settings.accounts):
                self.exchange.add_account(user.name)
        self.api = RestApi(self.exchange, self.market, self.users, Tokens(settings.token_life_s), settings.limits)
        stream: dict[str, Any] = {"batch": settings.batch, "max_record": settings.max_record}
        self.user_hub = Hub("user", settings.pings, self._may_see, self._on_user_subscribe, **stream)
        self.market_hub = Hub(
            "market", settings.pings, on_subscribe=self._on_market_subscribe, on_greeting=self._greeting, **stream
        )
        self._hubs = {USER_HUB_PATH: self.user_hub, MARKET_HUB_PATH: self.market_hub}
        hubs = [self.user_hub, self.market_hub]
        self.shell = FaultShell(settings.seed, self.exchange, self.market, self.api, hubs, self._publish_user_events)
        self.wire = WireLog()
        token = settings.control_token or secrets.token_urlsafe(16)
        self.control = ControlApi(token, self.shell, self.exchange, hubs, self.wire)
        if settings.faults is not None:
            plan = settings.faults
            self.shell.add(load_plan(plan) if isinstance(plan, Path) else parse_plan(plan.splitlines()))
        self.app = Starlette(
            routes=[Route("/{path:path}", self._http, methods=_METHODS), WebSocketRoute("/{path:path}", self._socket)]
        )

    def ready_document(self, port: int) -> dict[str, Any]:
        """What a client needs to know."""
        base = f"127.0.0.1:{port}"
        return {
            "event": "ready",
            "rest": f"http://{base}",
            "user_hub": f"http://{base}{USER_HUB_PATH}",
            "market_hub": f"http://{base}{MARKET_HUB_PATH}",
            "user_name": self.user.name,
            "api_key": self.user.api_key,
            "control_token": self.control.token,
            "users": [
                {
                    "user_name": user.name,
                    "api_key": user.api_key,
                    "accounts": [account.account_id for account in self.exchange.accounts_of(user.name)],
                }
                for user in self.users
            ],
        }

    # ------------------------------------------------------------------------------------------------------- HTTP
    async def _http(self, request: Request) -> Response:
        path = request.url.path.rstrip("/").lower() or "/"
        now_s = asyncio.get_running_loop().time()
        token = _token(request.headers.get("authorization"), request.url.query)
        if path == CLOCK_PATH:
            return self._clock_answer(request.method)
        if path == OPENAPI_PATH and request.method == "GET":
            return Response(openapi_document(), media_type="application/json")
        if path in self._hubs:
            return Response("Connection ID required", 400)
        body = await _body(request)
        if body is None:
            return Response(status_code=413)
        if self.control.knows(path):
            control_token, query = request.headers.get(TOKEN_HEADER, ""), dict(request.query_params)
            return _response(self.control.handle(request.method, path, control_token, body, query))
        entry = self._received(request, body)
        faults: list[str] = []
        hub_path, _, verb = path.rpartition("/")
        if hub_path in self._hubs and verb == "negotiate":
            response = self._negotiate(self._hubs[hub_path], request, token, now_s)
        elif self.shell.board.watches("request"):
            rest = self.shell.rest
            response, faults = await rest.answer(request.method, path, token, body, now_s, _response)
        else:
            reply = self.api.handle(request.method, path, token, body, now_s)
            self._publish_user_events()
            if reply.make is not None:  # writing thousands of bars would hold up the market
                reply = replace(reply, body=await asyncio.to_thread(reply.make))
            response = _response(reply)
        entry.answer(0 if isinstance(response, RudeResponse) else response.status_code, boot_ns(), faults)
        return response

    def _received(self, request: HTTPConnection, body: bytes = b"") -> WireEntry:
        """Into the wire log with it."""
        path = request.url.path
        peek = peek_request(body) if "/order/" in path.lower() or "/position/" in path.lower() else Peek()
        query = "access_token=" in request.url.query
        token = "header" if request.headers.get("authorization") else "query" if query else "none"
        method = request.scope.get("method", "UPGRADE")
        return self.wire.add(boot_ns(), self.market.now_ns, method, path, token, account=peek.account, tag=peek.tag)

    def _clock_answer(self, method: str) -> Response:
        if method != "GET":
            return Response(status_code=405, headers={"Allow": "GET"})
        body = encode_clock(self.clock.reading(boot_ns(), ended=self.market.ended))
        return Response(body, media_type="application/json")

    def _negotiate(self, hub: Hub, request: Request, token: str, now_s: float) -> Response:
        hit = None if hub.faulty is None else hub.faulty.greeting("negotiate")
        if hit is not None:
            return bad_negotiation(hit)
        if request.method != "POST":
            return Response(status_code=405, headers={"Allow": "POST"})
        user = self.api.user_of(token)
        if user is None:
            return Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
        text = request.query_params.get("negotiateVersion", "0")
        if not text.isascii() or not text.isdigit() or len(text) > _MAX_VERSION_DIGITS:
            answer = {"error": f"The client requested an invalid protocol version '{text}'"}
        else:
            answer = hub.negotiate(user, int(text), now_s)
        return Response(json.dumps(answer), media_type="application/json")

    async def _socket(self, ws: WebSocket) -> None:
        hub = self._hubs.get(ws.url.path.rstrip("/").lower())
        token = _token(ws.headers.get("authorization"), ws.url.query)
        user = self.api.user_of(token)
        connection_id = ws.query_params.get("id")
        entry = self._received(ws)
        status, text, greeting = 101, "", ""
        headers: dict[str, str] = {}
        faults = None if hub is None else hub.faulty
        if faults is not None:
            await faults.wait_free(incoming=True)
            hit = faults.greeting("upgrade")
            greeting = "" if hit is None else str(hit["mode"])
            headers = {} if hit is None else retry_header(hit)
        if hub is None:
            status = 404
        elif greeting.isdigit():
            status = int(greeting)
        elif user is None:
            status = 401
        elif connection_id is not None:
            status = hub.claim(connection_id, asyncio.get_running_loop().time())
            text = "No Connection with that ID" if status == 404 else ""
        entry.answer(status, boot_ns())
        if status != 101 or hub is None or user is None:
            await ws.send_denial_response(Response(text, status_code=status, headers=headers))
            wire_of(ws.scope).handshake_complete = True  # else uvicorn logs an error for each refusal
            return
        await hub.serve(ws, user, connection_id, token, greeting)

    # -------------------------------------------------------------------------------------------------------- pump
    async def pump(self) -> None:
        """Step the market for ever; every error ends the server, a market that stands still in silence is worse."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        led = self.settings.speed is not None
        while True:
            if self.clock.started and not led:
                led = True
                await asyncio.sleep(MAX_LEAD_S)
            topics = {(kind, str(value)) for kind, value in self.market_hub.topics()}
            self.market_hub.publish_market(self.market.step(topics))
            self.shell.pump()
            self._publish_user_events()
            if self.settings.speed is None and self.clock.started and not self.market.ended:
                while self.market_hub.queued_bytes() > MAX_QUEUE_AT_SPEED_MAX:
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0)
                due_s = loop.time()
                continue
            due_s = max(due_s + PUMP_S, loop.time())
            await asyncio.sleep(due_s - loop.time())

    def _publish_user_events(self) -> None:
        events = self.exchange.drain()
        if not events:
            return
        told: list[tuple[Topic, Any]] = []
        for event in events:
            account = event.account
            topic: Topic = ("account", account.owner) if event.kind == "account" else (event.kind, account.account_id)
            told.append((topic, event_record(event, self.exchange.contracts)))
        self.user_hub.publish_user(told)
        self.shell.remember()

    def _may_see(self, user: str, account_id: int) -> bool:
        return self.exchange.account(user, account_id) is not None

    def _on_market_subscribe(self, connection: HubConnection, topic: Topic) -> None:
        self.clock.start(boot_ns())
        broker_id = str(topic[1])
        if topic[0] == "quote" and (quote := self.market.snapshot(broker_id)) is not None:
            self.market_hub.tell(connection, HubRecord("quote", broker_id, quote))
        elif topic[0] == "depth" and (rows := self.market.depth_snapshot(broker_id)) is not None:
            self.market_hub.tell(connection, HubRecord("depth", broker_id, rows))

    def _on_user_subscribe(self, connection: HubConnection, topic: Topic) -> None:
        """By default a subscription is told nothing of what there is (projectx-gateway 11.2)."""
        if self.user_hub.faulty is not None and self.user_hub.faulty.wants_snapshot():
            for record in snapshot(self.exchange, connection.user, topic):
                connection.send(user_event(record))

    def _greeting(self, _connection: HubConnection) -> bytes:
        """A quote of every contract, for a handshake answer with data behind it."""
        quotes = [self.market.snapshot(contract.broker_id) for contract in self.exchange.contracts.values()]
        return b"".join(quote for quote in quotes if quote is not None)

    # --------------------------------------------------------------------------------------------------------- run
    async def serve(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Serve on a bound socket until `stop` is set; raises what ended the pump or the server before that."""
        config = uvicorn.Config(
            self.app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            http=WireHttp,
            ws=WireSocket,
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        server = _QuietServer(config)
        tasks = [
            asyncio.create_task(server.serve(sockets=[listener])),
            asyncio.create_task(self.pump()),
            asyncio.create_task(stop.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tasks[1].cancel()
            self.user_hub.end_all()
            self.market_hub.end_all()
            server.should_exit = True
            await asyncio.gather(*tasks[:2], return_exceptions=True)
            tasks[2].cancel()


class _QuietServer(uvicorn.Server):
    """Signals belong to `main`: embedded, Ctrl-C of the terminal is the engine's affair, not ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _token(header: str | None, query: str) -> str:
    """The token of a request: header or query parameter, either is good (projectx-gateway 3.7)."""
    if header is not None and header.lower().startswith("bearer "):
        return header[7:].strip()
    return parse_qs(query).get("access_token", [""])[0]


async def _body(request: Request) -> bytes | None:
    """The body, None when it is larger than anything a client has to say."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _response(reply: Reply) -> Response:
    headers = dict(reply.headers)
    media = headers.pop("Content-Type", "text/plain" if reply.body == b"pong" else "application/json")
    return Response(reply.body, reply.status, headers, media if reply.body else None)


def listen(port: int) -> socket.socket:
    """A listening socket on the loopback address; port 0 takes a free one. ConfigError when it is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else answers wait 40 ms for an acknowledgement
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"port {port} of 127.0.0.1 cannot be used: {error.strerror}; choose another") from error
    listener.listen(128)
    return listener


async def _run(
    server: SimServer, listener: socket.socket, announce: Callable[[dict[str, Any]], None], stop: threading.Event | None
) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    if stop is None and threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
    # The socket listens already: whoever reads this can connect, the answer comes as soon as the loop runs.
    announce(server.ready_document(listener.getsockname()[1]))
    watcher = None if stop is None else asyncio.create_task(_watch(stop, ended))
    try:
        await server.serve(listener, ended)
    finally:
        if watcher is not None:
            watcher.cancel()


async def _watch(stop: threading.Event, ended: asyncio.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(0.1)
    ended.set()


def _print_line(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def main(settings: dict[str, Any], context: Any = None) -> None:
    """Run the simulator. `settings` are those of SimSettings, plus `listener` and `ready_pipe`.

    `listener` is a listening socket to serve on: whoever made it knows the address, so nothing is printed then. A
    `ready_pipe` gets the ready document instead of stdout. `context` is the engine's child context when embedded: its
    `stop` ends the run, its `secrets` may hold `api_key`. Without it SIGTERM and Ctrl-C end the run.
    """
    if context is not None:
        # A group of its own: a signal to the whole run (`timeout`, a shell that ends) must not take the gateway away
        # while the executor still closes what is open there. The launcher ends it, as the last.
        os.setpgid(0, 0)
    values = dict(settings)
    listener, ready_pipe = values.pop("listener", None), values.pop("ready_pipe", None)
    values |= {name: secret for name, secret in getattr(context, "secrets", {}).items() if name == "api_key"}
    announce: Callable[[dict[str, Any]], None] = _print_line
    if ready_pipe is not None:
        announce = ready_pipe.send
    elif listener is not None:
        announce = _say_nothing
    server = SimServer(settings_of(values))
    with contextlib.closing(listener or listen(server.settings.port)) as open_listener:
        asyncio.run(_run(server, open_listener, announce, getattr(context, "stop", None)))


def _say_nothing(_document: dict[str, Any]) -> None:
    """Whoever opened the listener knows where we are."""
