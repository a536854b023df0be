"""What tests of the simulated gateway need: scripted markets, an exchange by hand, and a running server."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from types import TracebackType
from typing import Any

import numpy as np
import pytest
import requests

from tbot.domain.contracts import PRODUCTS, Product, contract_from_broker_id
from tbot.domain.timeframes import NS_PER_S
from tbot.sim import fault_shell, hub_server, market
from tbot.sim import server as sim_server
from tbot.sim.exchange import Answer, Exchange, Hours
from tbot.sim.orders import PlaceFields
from tbot.sim.server import SimServer, SimSettings, listen
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE, Kind

MNQ, ES = "CON.F.US.MNQ.Z26", "CON.F.US.EP.Z26"
OWNER, KEY = "Trader", "key-1"
ACCOUNT_BODY: dict[str, Any] = {"accountId": 1001, "contractId": MNQ, "type": 2, "side": 0, "size": 1}
_real_boot_ns = market.boot_ns
DAY_NS = 1_795_186_800_000_000_000  # 2026-11-20 15:00 UTC, a Friday, 09:00 in Chicago


def tick_rows(rows: list[tuple[Any, ...]], symbol: str = "MNQ") -> np.ndarray[Any, Any]:
    """Ticks from (ns, "trade", price, size, side) and (ns, "quote", bid, ask)."""
    ticks = np.zeros(len(rows), TICK_DTYPE)
    ticks["contract_id"] = PRODUCTS[symbol].contract_id
    ticks["volume"] = -1
    for tick, row in zip(ticks, rows, strict=True):
        tick["exch_ns"] = tick["recv_ns"] = row[0]
        tick["price"] = row[2]
        if row[1] == "trade":
            tick["kind"], tick["size"], tick["side"] = Kind.TRADE, row[3], row[4]
        else:
            tick["kind"], tick["price2"] = Kind.QUOTE, row[3]
    return ticks


def repeated(
    rows: list[tuple[Any, ...]], times: int, every_ns: int, symbol: str = "MNQ", *, numbered: bool = False
) -> np.ndarray[Any, Any]:
    """The rows again and again, each time so much later; `numbered`: the sizes of trades count up."""
    ticks = np.tile(tick_rows(rows, symbol), times)
    rounds = np.repeat(np.arange(times), len(rows))
    for name in ("exch_ns", "recv_ns"):
        ticks[name] += rounds * every_ns
    if numbered:
        ticks["size"] += np.where(ticks["kind"] == Kind.TRADE, rounds, 0).astype(ticks["size"].dtype)
    return ticks


class ScriptedMarket:
    """A MarketSource that plays what it was given."""

    def __init__(self, ticks: np.ndarray[Any, Any], start_ns: int, bars: np.ndarray[Any, Any] | None = None) -> None:
        self._ticks = ticks
        self._bars = np.zeros(0, BAR_DTYPE) if bars is None else bars
        ids = np.unique(ticks["contract_id"]).tolist()
        self.contracts: list[Product] = [product for product in PRODUCTS.values() if product.contract_id in ids]
        self.start_ns = start_ns
        self.end_ns: int | None = int(ticks["exch_ns"][-1]) if len(ticks) else start_ns

    def advance(self, to_ns: int) -> np.ndarray[Any, Any]:
        count = int(np.searchsorted(self._ticks["exch_ns"], to_ns, side="right"))
        out, self._ticks = self._ticks[:count], self._ticks[count:]
        return out

    def history(self, symbol: str, from_ns: int, to_ns: int) -> np.ndarray[Any, Any]:
        starts = self._bars["start_ns"]
        chosen: np.ndarray[Any, Any] = self._bars[(starts >= from_ns) & (starts < to_ns)]
        return chosen


class ExchangeRig:
    """One user with one account on MNQ and ES; ticks by hand."""

    def __init__(self, hours: Hours | None = None, **more: Any) -> None:
        self.exchange = Exchange([contract_from_broker_id(MNQ), contract_from_broker_id(ES)], hours, **more)
        self.account = self.exchange.add_account(OWNER, "50KTC-V2-000001-00000001")
        self.now_ns = DAY_NS
        self.play(("quote", 1000, 1002), ("trade", 1001, 1, 1))
        self.play(("quote", 20_000, 20_001), ("trade", 20_000, 1, 1), symbol="ES")
        self.exchange.drain()

    def play(self, *rows: tuple[Any, ...], symbol: str = "MNQ") -> None:
        """Ticks one nanosecond apart, then the end of the pump's step."""
        stamped = []
        for row in rows:
            self.now_ns += 1
            stamped.append((self.now_ns, *row))
        self.exchange.on_ticks(tick_rows(stamped, symbol))
        self.exchange.advance(self.now_ns)

    def place(self, contract_id: str = MNQ, order_type: int = 2, side: int = 0, size: int = 1, **more: Any) -> Answer:
        for name in ("limit_price", "stop_price", "trail_price"):
            if name in more:
                more[name] = Decimal(more[name])
        account = more.pop("account", self.account.account_id)
        fields = PlaceFields(account, contract_id, order_type, side, size, **more)
        return self.exchange.place(OWNER, fields, self.now_ns)

    def told(self) -> list[str]:
        """User events in short, and forgets them."""
        lines = []
        for event in self.exchange.drain():
            data: Any = event.data
            if event.kind == "order":
                lines.append(f"{data.order_type} {data.status}")
            elif event.kind == "trade":
                lines.append(f"fill {data.side * data.size:+d}@{data.price}")
            elif event.kind == "position":
                lines.append(f"position {data.size:+d}")
            else:
                lines.append(f"account {data.book.balance_cents} {data.can_trade}")
        return lines


class RunningServer:
    """A SimServer in a thread, on a free port, and a small REST client for it."""

    def __init__(self, server: SimServer, port: int = 0) -> None:
        self.server = server
        self._listener = listen(port)
        self.port: int = self._listener.getsockname()[1]
        self.rest = f"http://127.0.0.1:{self.port}"
        self.ws = f"ws://127.0.0.1:{self.port}"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._error: BaseException | None = None
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._clocks = pytest.MonkeyPatch()
        self._skipped_ns = 0  # by both clocks
        self._ahead_ns = 0  # of the boot clock alone
        self._stopped_ns: int | None = None  # the boot clock's reading while it stands still

    def _run(self) -> None:
        async def body() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._up.set()
            await self.server.serve(self._listener, self._stop)

        try:
            asyncio.run(body())
        except BaseException as error:
            self._error = error
        finally:
            self._listener.close()
            self._up.set()

    def __enter__(self) -> "RunningServer":
        self._thread.start()
        assert self._up.wait(60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        self._clocks.undo()
        assert not self._thread.is_alive()
        if self._error is not None and kind is None:
            raise self._error

    def later(self, seconds: float) -> None:
        """All clocks of the server but the wall clock jump ahead: what was to take so long is over.

        Tests that must see something before it ends give it a time that no stall of the machine lasts, and then jump.
        """
        self._take_clocks()
        done = threading.Event()

        def jump() -> None:
            self._skipped_ns += round(seconds * NS_PER_S)
            self._ahead_ns += round(seconds * NS_PER_S)
            done.set()

        assert self._loop is not None
        self._loop.call_soon_threadsafe(jump)  # in the loop: while no task is between two looks at a clock
        assert done.wait(60)

    @contextmanager
    def time_stopped(self) -> Iterator[None]:
        """Market time stands still meanwhile: a lead-in lasts until all have subscribed, however long that takes."""
        self._take_clocks()
        stopped_ns = self._stopped_ns = self._now_ns()
        try:
            yield
        finally:
            self._ahead_ns = stopped_ns - _real_boot_ns()
            self._stopped_ns = None

    def _boot_ns(self) -> int:
        """For the simulator's modules, which other servers of this process use, too: those keep the real clock."""
        return self._now_ns() if asyncio._get_running_loop() is self._loop else _real_boot_ns()

    def _now_ns(self) -> int:
        stopped_ns = self._stopped_ns
        return _real_boot_ns() + self._ahead_ns if stopped_ns is None else stopped_ns

    def _take_clocks(self) -> None:
        """Until the server's end its boot clock and its loop's clock are ours; one server at a time can have this."""
        if self._loop is None or "time" in vars(self._loop):
            return
        loop_s = self._loop.time
        self._clocks.setattr(self._loop, "time", lambda: loop_s() + self._skipped_ns / NS_PER_S)
        for module in (fault_shell, hub_server, market, sim_server):
            self._clocks.setattr(module, "boot_ns", self._boot_ns)

    def login(self, user: str = OWNER, key: str = KEY) -> str:
        answer = requests.post(f"{self.rest}/api/Auth/loginKey", json={"userName": user, "apiKey": key}, timeout=60)
        token: str = answer.json()["token"]
        return token

    def control(self, method: str, path: str, body: str = "") -> requests.Response:
        """One of the simulator's own endpoints."""
        headers = {"X-Sim-Token": self.server.control.token}
        return requests.request(method, self.rest + path, data=body, headers=headers, timeout=60)

    def plan(self, *lines: dict[str, Any]) -> None:
        """Add lines to the fault plan."""
        answer = self.control("POST", "/sim/faults", "\n".join(json.dumps(line) for line in lines))
        assert answer.status_code == 200, answer.text

    def calm(self) -> None:
        """End all faults."""
        assert self.control("DELETE", "/sim/faults").status_code == 200

    def fired(self, name: str) -> int:
        """How often a fault of this name has fired."""
        return int(self.control("GET", "/sim/faults").json()["fired"].get(name, 0))

    def post(self, path: str, token: str, **body: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.post(self.rest + path, json=body, headers=headers, timeout=60)


def steady_market(seconds: int = 600, start_ns: int | None = None) -> tuple[ScriptedMarket, list[Any], int]:
    """MNQ at 1000/1002 ticks with a trade of 1001 every 50 ms from now on, in the form SimServer takes."""
    start = time.time_ns() if start_ns is None else start_ns
    rows: list[tuple[Any, ...]] = []
    for number in range(seconds * 20):
        at = start + number * 50_000_000
        rows += [(at, "quote", 1000, 1002), (at, "trade", 1001, 1 + number % 3, 1 if number % 2 else -1)]
    return ScriptedMarket(tick_rows(rows), start), [contract_from_broker_id(MNQ)], start


@contextmanager
def running(source: tuple[ScriptedMarket, list[Any], int] | None = None, **settings: Any) -> Iterator[RunningServer]:
    """A server on a steady market (or `source`), stopped at the end."""
    chosen = SimSettings(**({"user_name": OWNER, "api_key": KEY} | settings))
    with RunningServer(SimServer(chosen, source or steady_market())) as server:
        yield server


def until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    """Poll until `condition` gives something true; AssertionError after the timeout."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    raise AssertionError(f"never happened within {timeout_s} s: {what}")
