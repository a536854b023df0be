"""The simulated gateway as a process: settings to objects, one loopback port, the pump, an orderly end.

`main` runs it until SIGTERM (or, embedded, until the engine's child context says stop). The first line on stdout, or
the dict sent through `ready_pipe`, says where it is and how to log in.
"""

import asyncio
import contextlib
import json
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tbot.domain.contracts import DEFAULT_SYMBOLS, Contract
from tbot.domain.trading_hours import SessionCalendar, trading_day
from tbot.errors import ConfigError
from tbot.execution.fill_model import FillSettings
from tbot.gateway.codec_rest import encode_clock
from tbot.gateway.codec_tables import CLOCK_PATH, MARKET_HUB_PATH, OPENAPI_PATH, USER_HUB_PATH
from tbot.gateway.openapi import encoded as openapi_document
from tbot.gateway.signalr import SERVER_PINGS, PingRules
from tbot.sim.accounts import AccountRules
from tbot.sim.auth import TOKEN_LIFE_S, RateLimits, Tokens, User
from tbot.sim.exchange import Exchange
from tbot.sim.hub_server import Hub, HubConnection, Topic
from tbot.sim.listing import front_contract, tape_contract
from tbot.sim.market import Market, MarketSource, SimClock, boot_ns, tape_start_ns
from tbot.sim.price_path import SyntheticMarket
from tbot.sim.rest_server import MAX_BODY_BYTES, Reply, RestApi
from tbot.sim.tape_market import TapeMarket
from tbot.sim.views import event_record
from tbot.storage.sessions import load_sessions

PUMP_S = 0.02
MAX_QUEUE_AT_SPEED_MAX = 1 << 20  # bytes: at speed max the market waits for its slowest reader
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


@dataclass(frozen=True, slots=True)
class SimSettings:
    """One run of the simulator. Everything has a default; `main` takes the same names as a dict.

    `speed`: market seconds per real second, or None for as fast as the subscribers read. `start_ns` None: the wall
    clock (the tape's own time with `tape`). `hours` None: `session` with a tape, a start or a speed other than 1, else
    `always`. `hold` None: a tape waits for its first market subscription, a synthetic market does not.
    `every_quote` sends each quote of the source to the market hub instead of the newest one per contract and step (the
    gateway paces them like that); None: of a tape every one, of a synthetic market the newest.
    `activity` and `volatility` scale the synthetic market's messages and moves.
    """

    port: int = 0
    seed: int = 1
    symbols: tuple[str, ...] = DEFAULT_SYMBOLS
    tape: Path | None = None
    speed: float | None = 1.0
    start_ns: int | None = None
    history_days: int = 5
    activity: float = 1.0
    volatility: float = 1.0
    every_quote: bool | None = None
    hours: Literal["always", "session"] | None = None
    hold: bool | None = None
    accounts: int = 1
    user_name: str = ""
    api_key: str = ""
    other_users: tuple[tuple[str, str], ...] = ()
    token_life_s: float = TOKEN_LIFE_S
    limits: RateLimits = field(default_factory=RateLimits)
    pings: PingRules = SERVER_PINGS
    rules: AccountRules = field(default_factory=AccountRules)
    fills: FillSettings = field(default_factory=FillSettings)

    @property
    def simulated_time(self) -> bool:
        """Whether market time is anything but the wall clock."""
        return self.tape is not None or self.start_ns is not None or self.speed != 1.0

    @property
    def always_open(self) -> bool:
        """Whether the market and the venue ignore the session calendar."""
        return (self.hours or ("session" if self.simulated_time else "always")) == "always"


def settings_of(values: dict[str, Any]) -> SimSettings:
    """Settings from a plain dict; `speed` may be "max". ConfigError on an unknown name or a bad value."""
    known = {entry.name for entry in fields(SimSettings)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(f"the simulator has no setting {unknown[0]!r}")
    values = dict(values)
    if values.get("speed") == "max":
        values["speed"] = None
    if values.get("tape") is not None:
        values["tape"] = Path(values["tape"])
    if values.get("symbols") is not None:
        values["symbols"] = tuple(values["symbols"])
    settings = SimSettings(**values)
    if settings.speed is not None and not 0 < settings.speed <= 10_000:
        raise ConfigError(f"speed must be above 0 and at most 10000, or max, not {settings.speed}")
    if not 1 <= settings.accounts <= 1000:
        raise ConfigError(f"a user has 1 to 1000 accounts, not {settings.accounts}")
    return settings


def open_source(settings: SimSettings) -> tuple[MarketSource, list[Contract], int]:
    """(source, its contracts with their months, market time at which the clock begins)."""
    if settings.tape is not None:
        symbols = () if settings.symbols == DEFAULT_SYMBOLS else settings.symbols
        tape = TapeMarket(settings.tape, symbols)
        day = trading_day(tape.first_ns)
        contracts = [tape_contract(tape.names[product.contract_id], day) for product in tape.contracts]
        return tape, contracts, tape_start_ns(tape.first_ns, settings.speed)
    start_ns = time.time_ns() if settings.start_ns is None else settings.start_ns
    market = SyntheticMarket(
        settings.seed,
        settings.symbols,
        start_ns,
        settings.history_days,
        always_open=settings.always_open,
        activity=settings.activity,
        volatility=settings.volatility,
    )
    day = trading_day(start_ns)
    contracts = [front_contract(product, day) for product in market.contracts]
    # On the wall clock: making the history took a while, and the clock must not be late by it.
    return market, contracts, start_ns if settings.simulated_time else time.time_ns()


class SimServer:
    """All parts of one simulator, wired; `serve` runs it."""

    def __init__(self, settings: SimSettings, source: tuple[MarketSource, list[Contract], int] | None = None) -> None:
        """`source` replaces what `open_source` would make of the settings."""
        self.settings = settings
        market_source, contracts, clock_start_ns = source or open_source(settings)
        calendar = None if settings.always_open else SessionCalendar(load_sessions(), template_ok=True)
        self.exchange = Exchange(contracts, calendar, settings.rules, settings.fills)
        hold = settings.tape is not None if settings.hold is None else settings.hold
        self.clock = SimClock(clock_start_ns, settings.speed, held=hold)
        every_quote = settings.tape is not None if settings.every_quote is None else settings.every_quote
        self.market = Market(market_source, self.exchange, self.clock, every_quote=every_quote, seed=settings.seed)
        self.user = User(
            settings.user_name or f"sim-{secrets.token_hex(4)}", settings.api_key or secrets.token_urlsafe(24)
        )
        users = [self.user, *(User(*other) for other in settings.other_users)]
        for user in users:
            for _ in range(settings.accounts):
                number = len(self.exchange.accounts) + 1
                self.exchange.add_account(user.name, f"50KTC-V2-000001-{number:08d}")
        self.api = RestApi(self.exchange, self.market, users, Tokens(settings.token_life_s), settings.limits)
        self.user_hub = Hub("user", settings.pings, may_see=self._may_see)
        self.market_hub = Hub("market", settings.pings, on_subscribe=self._on_market_subscribe)
        self._hubs = {USER_HUB_PATH: self.user_hub, MARKET_HUB_PATH: self.market_hub}
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
        hub_path, _, verb = path.rpartition("/")
        if hub_path in self._hubs and verb == "negotiate":
            return self._negotiate(self._hubs[hub_path], request, token, now_s)
        if path in self._hubs:
            return Response("Connection ID required", 400)
        body = await _body(request)
        if body is None:
            return Response(status_code=413)
        reply = self.api.handle(request.method, path, token, body, now_s)
        self._publish_user_events()
        if reply.make is not None:  # writing thousands of bars would hold up the market
            reply = replace(reply, body=await asyncio.to_thread(reply.make))
        return _response(reply)

    def _clock_answer(self, method: str) -> Response:
        if method != "GET":
            return Response(status_code=405, headers={"Allow": "GET"})
        body = encode_clock(self.clock.reading(boot_ns(), ended=self.market.ended))
        return Response(body, media_type="application/json")

    def _negotiate(self, hub: Hub, request: Request, token: str, now_s: float) -> Response:
        if request.method != "POST":
            return Response(status_code=405, headers={"Allow": "POST"})
        user = self.api.user_of(token)
        if user is None:
            return Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
        text = request.query_params.get("negotiateVersion", "0")
        if not text.isascii() or not text.isdigit():
            answer = {"error": f"The client requested an invalid protocol version '{text}'"}
        else:
            answer = hub.negotiate(user, int(text), now_s)
        return Response(json.dumps(answer), media_type="application/json")

    async def _socket(self, ws: WebSocket) -> None:
        hub = self._hubs.get(ws.url.path.rstrip("/").lower())
        token = _token(ws.headers.get("authorization"), ws.url.query)
        user = self.api.user_of(token)
        connection_id = ws.query_params.get("id")
        status, text = 101, ""
        if hub is None:
            status = 404
        elif user is None:
            status = 401
        elif connection_id is not None:
            status = hub.claim(connection_id, asyncio.get_running_loop().time())
            text = "No Connection with that ID" if status == 404 else ""
        if status != 101 or hub is None or user is None:
            await ws.send_denial_response(Response(text, status_code=status))
            return
        await hub.serve(ws, user, connection_id)

    # -------------------------------------------------------------------------------------------------------- pump
    async def pump(self) -> None:
        """Step the market for ever; every error ends the server, a market that stands still in silence is worse."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            topics = {(kind, str(value)) for kind, value in self.market_hub.topics()}
            self.market_hub.publish_market(self.market.step(topics))
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
        for event in self.exchange.drain():
            account = event.account
            topic: Topic = ("account", account.owner) if event.kind == "account" else (event.kind, account.account_id)
            self.user_hub.publish_user(topic, event_record(event, self.exchange.contracts))

    def _may_see(self, user: str, account_id: int) -> bool:
        return self.exchange.account(user, account_id) is not None

    def _on_market_subscribe(self, connection: HubConnection, topic: Topic) -> None:
        self.clock.start(boot_ns())
        if topic[0] == "quote":
            connection.send(self.market.snapshot(str(topic[1])) or b"")
        elif topic[0] == "depth":
            connection.send(self.market.depth_snapshot(str(topic[1])) or b"")

    # --------------------------------------------------------------------------------------------------------- run
    async def serve(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Serve on a bound socket until `stop` is set; raises what ended the pump or the server before that."""
        config = uvicorn.Config(
            self.app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
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
