"""The whole Feed of the engine in the test's own loop: hub and history in hand, the executor played by hand."""

import asyncio
import base64
import contextlib
import json
import multiprocessing
import os
import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from feed_rig import until
from hub_peer import HubPeer
from tbot.domain.contracts import PRODUCTS
from tbot.domain.process_messages import EngineEvent, Heartbeat, TokenGrant, TokenRequest
from tbot.engine import feed as feed_module
from tbot.engine import health
from tbot.engine.child import ChildContext
from tbot.engine.feed import Feed
from tbot.engine.settings import EngineSettings, GatewaySettings
from tbot.gateway.codec_rest import Answer, BrokerBar
from tbot.gateway.hub import HubTimings
from tbot.transport import sockets
from tbot.transport.shm import Segment, run_directory
from tbot.transport.wire import Wire
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE
from tbot_ext.ring import RingReader, RingWriter, format_ring, ring_bytes

MINUTE_NS = 60_000_000_000
MONTHS = {"MNQ": "CON.F.US.MNQ.Z26", "ES": "CON.F.US.EP.Z26"}
TIMINGS = HubTimings(open_s=10, handshake_s=10, invoke_s=10, close_s=0.2, goodbye_s=0.01, backoff_base_s=0.001)


def web_token(number: int, life_s: float = 86_400.0) -> str:
    """A JSON web token with an expiry; nobody checks its signature here."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(time.time() + life_s), "n": number}).encode())
    return f"head.{claims.decode().rstrip('=')}.canary"


class History:
    """Answers `retrieve_bars`: a bar for each minute, but for the ones in `missing`; `dropped` bars were unreadable."""

    def __init__(self) -> None:
        self.missing: set[int] = set()  # starts
        self.dropped = 0
        self.problem = ""
        self.newest: tuple[int, int] | None = None  # start and volume, for looks at the forming bar
        self.asked: list[tuple[str, int, int, bool]] = []

    def __call__(self, broker_id: str, start_ns: int, end_ns: int, **more: Any) -> Answer[list[BrokerBar]]:
        partial = bool(more.get("partial"))
        self.asked.append((broker_id, start_ns, end_ns, partial))
        if self.problem:
            return Answer("ambiguous", text=self.problem)
        price = Decimal("25000")
        if partial:
            known = [] if self.newest is None else [BrokerBar(self.newest[0], *([price] * 4), self.newest[1])]
            return Answer("accepted", known)
        first = -(-start_ns // MINUTE_NS) * MINUTE_NS
        starts = [start for start in range(first, end_ns, MINUTE_NS) if start not in self.missing]
        return Answer("accepted", [BrokerBar(start, *([price] * 4), 10) for start in starts], dropped=self.dropped)


class FeedProcess:
    """`async with feed_process(...) as rig`. Market time is the wall clock, the market is always open."""

    def __init__(self, folder: Path, url: str, symbols: tuple[str, ...], **more: Any) -> None:
        self.place = run_directory()  # a short path: the name of a socket has 107 bytes at most
        self.symbols = symbols
        self.settings = EngineSettings(
            mode="paper",
            symbols=symbols,
            state_dir=folder,
            run_dir=self.place,
            run_id=7,
            build="test",
            config_hash="test",
            gateway=GatewaySettings("http://127.0.0.1:9", url, url, simulated=False),
            history_days=1,
            **more,
        )
        self._segments = []
        for symbol in symbols:
            ring = Segment.create(self.place, self.settings.ring_name(symbol), ring_bytes(1 << 12))
            format_ring(ring.buf, 1 << 12, PRODUCTS[symbol].contract_id, 7)
            bars = Segment.create(self.place, self.settings.history_name(symbol), 4_000 * BAR_DTYPE.itemsize)
            self._segments += [ring, bars]
        key = secrets.token_bytes(32)
        self.control, theirs = multiprocessing.Pipe()
        self.context = ChildContext("feed", {"run_key": key, "epoch": 0}, theirs, threading.Event(), os.getppid())
        self._wire = Wire(key, 7, 0)
        self._executor = sockets.router(self.settings.socket("executor"))
        self._bus = sockets.pull(self.settings.socket("bus"))
        self.history = History()
        self.requests: list[TokenRequest] = []
        self.lines: list[str] = []
        self.status: dict[str, Any] = {}
        self.state = ""
        self._sender = b""
        self.feed = Feed(self.settings, self.context)
        self.feed._rest.retrieve_bars = self.history  # type: ignore[method-assign]
        self.feed._filler._is_open = lambda start_ns, contract: True
        self.feed._calendar.is_open = lambda now_ns, contract=None: True  # type: ignore[method-assign]

    def look(self) -> None:
        """Take in what the feed said."""
        for sender, data in self._executor.drain():
            message = self._wire.decode(data)
            assert isinstance(message, TokenRequest)
            self._sender = sender
            self.requests.append(message)
        for _, data in self._bus.drain():
            message = self._wire.decode(data)
            if isinstance(message, EngineEvent):
                self.lines.append(message.text)
            elif isinstance(message, Heartbeat):
                self.state = message.state
                self.status = message.status or self.status

    def shown(self, name: str, symbol: str = "MNQ") -> Any:
        """A figure of a contract in the newest status; None while there is none."""
        return self.status.get("contracts", {}).get(symbol, {}).get(name)

    def counted(self, name: str) -> int:
        """A counter in the newest status."""
        return int(self.status.get("counters", {}).get(name, 0))

    @property
    def alarms(self) -> list[str] | None:
        """Code and text of each alarm in the newest status; None while there is no status."""
        alarms = self.status.get("alarms")
        return None if alarms is None else [f"{alarm['code']}: {alarm['text']}" for alarm in alarms]

    async def until(self, condition: Callable[[], Any], what: str) -> Any:
        def met() -> Any:
            self.look()
            return condition()

        return await until(met, what)

    def grant(
        self,
        revision: int,
        months: dict[str, str] | None = None,
        generation: int = 1,
        legs: tuple[dict[str, str], dict[str, str]] = ({}, {}),
        **more: Any,
    ) -> None:
        """Play the executor."""
        names = months or {symbol: MONTHS[symbol] for symbol in self.symbols}
        grant = TokenGrant(revision, web_token(revision, **more), names, generation, *legs)
        self._executor.send(self._wire.encode(grant), self._sender)

    async def begin(self, **more: Any) -> None:
        """Answer the first request for a token."""
        await self.until(lambda: self.requests, "a request for a token")
        self.grant(1, **more)

    def records(self, symbol: str = "MNQ") -> np.ndarray:
        """Everything in a ring, oldest first."""
        segment = Segment.attach(self.place, self.settings.ring_name(symbol))
        reader = RingReader(segment.buf, 5)
        out = np.zeros(1 << 13, TICK_DTYPE)
        count = reader.read(out)
        reader.close()
        segment.close()
        return out[:count].copy()

    def ring(self, symbol: str) -> RingWriter:
        """A writer for a ring of the run, before the feed attaches."""
        index = 2 * self.symbols.index(symbol)
        return RingWriter(self._segments[index].buf)

    def kinds(self, symbol: str = "MNQ") -> list[int]:
        return [int(kind) for kind in self.records(symbol)["kind"]]

    def close(self) -> None:
        self._executor.close()
        self._bus.close()
        for segment in self._segments:
            segment.close()
        shutil.rmtree(self.place)


@contextlib.asynccontextmanager
async def feed_process(
    folder: Path, peer: HubPeer, monkeypatch: Any, symbols: tuple[str, ...] = ("MNQ",), **more: Any
) -> AsyncIterator[FeedProcess]:
    """A running feed; its hub waits no longer than needed. `more`: settings of the run."""

    def hub(*arguments: Any, **options: Any) -> Any:
        return feed_hub(*arguments, timings=TIMINGS, random=lambda: 0.0, quiet_s=0.05, look_s=0.01, **options)

    feed_hub = feed_module.MarketHub
    monkeypatch.setattr(feed_module, "MarketHub", hub)
    monkeypatch.setattr(health, "BEAT_NS", 20_000_000)
    monkeypatch.setattr(health, "STATUS_NS", 50_000_000)
    rig = FeedProcess(folder, peer.url, symbols, **more)
    task = asyncio.create_task(rig.feed.run())
    try:
        yield rig
    finally:
        rig.context.stop.set()
        await asyncio.wait_for(task, 20)
        rig.look()
        rig.close()
