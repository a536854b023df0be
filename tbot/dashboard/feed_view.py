"""What a screen sees of a running engine: status, bars, zones, signals and trades, read without touching it.

The one window for every screen (terminal and web). It maps boards and rings read-only, reads `status.json`, and opens
the journal only for the moment of a look; it takes no reader slot, no lock and no socket, and leaves no trace. Whatever
is missing (the engine is just starting, has stopped, is of another build) reads as empty, never as an error.

Call `refresh` as often as a frame is drawn; all else gives what was found then. Not for two threads at once.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from tbot.dashboard.journal_view import JournalView, SignalRow
from tbot.domain.messages import RoundTrip
from tbot.domain.process_messages import EngineEvent
from tbot.domain.timeframes import NS_PER_MIN, bar_start_ns
from tbot.errors import LayoutError
from tbot.transport.board import Board, BoardReader
from tbot.transport.ring_tail import RingTail
from tbot.transport.shm import Segment
from tbot_ext.records import BAR_DTYPE, NO_PRICE, EventCode, Flag, Kind
from tbot_ext.zones import ZoneState

Rows = npt.NDArray[np.void]

ZONE_KINDS = {
    int(EventCode.OB): ("OB", "order block"),
    int(EventCode.FVG): ("FVG", "fair value gap"),
    int(EventCode.BREAKER): ("BB", "breaker block"),
    int(EventCode.MITIGATION_BLOCK): ("MB", "mitigation block"),
}
TESTED_STATES = {ZoneState.TESTED, ZoneState.MITIGATED, ZoneState.TOUCHED, ZoneState.HALF, ZoneState.FILLED}


@dataclass(frozen=True, slots=True)
class Zone:
    """A price band that is alive. Prices in ticks, times UTC ns of market time."""

    id: int
    kind: str  # OB, FVG, iFVG, BB (breaker), MB (mitigation block)
    name: str  # the same in words
    side: int  # +1 demand, -1 supply
    timeframe_min: int
    top: int
    bottom: int
    origin_ns: int  # start of its anchor bar
    known_ns: int  # close of the bar at which it became known
    score: float  # 0..100; of a gap 0..1 times 100
    state: str  # ACTIVE, TESTED, MITIGATED; of gaps OPEN, TOUCHED, HALF, FILLED, INVERTED
    tests: int

    @property
    def tested(self) -> bool:
        """Price has been in it."""
        return ZoneState[self.state] in TESTED_STATES


class Line(NamedTuple):
    """A price level: support (+1) or resistance (-1), or a pool of stops above highs (+1) or below lows (-1)."""

    price: int
    side: int
    pool: bool
    weight: int  # members and touches


class Mark(NamedTuple):
    """The newest quote and print of a contract; None: not known. Prices in ticks."""

    last: int | None
    bid: int | None
    ask: int | None
    market_ns: int


@dataclass
class _Forming:
    """1m bars from the ring's own prints, for the minutes that the board does not have yet."""

    minutes: dict[int, list[int]] = field(default_factory=dict)  # start: open, high, low, close, volume, prints
    mark: Mark = field(default_factory=lambda: Mark(None, None, None, 0))

    def add(self, ticks: Rows) -> None:
        if not len(ticks):
            return
        gaps = np.flatnonzero(ticks["kind"] == Kind.GAP)
        if len(gaps):
            self.minutes.clear()
            ticks = ticks[int(gaps[-1]) + 1 :]
        last, bid, ask = self.mark[:3]
        quotes = ticks[ticks["kind"] == Kind.QUOTE]
        if len(quotes):
            bid, ask = (int(price) if price != NO_PRICE else None for price in quotes[-1][["price", "price2"]])
        trades = ticks[(ticks["kind"] == Kind.TRADE) & (ticks["flags"] & Flag.SUSPECT == 0)]
        if len(trades):
            last = int(trades["price"][-1])
            self._trades(trades)
        timed = ticks[(ticks["kind"] != Kind.HISTORY) & (ticks["kind"] != Kind.CONTEXT)]
        market_ns = int(timed["exch_ns"].max()) if len(timed) else 0
        self.mark = Mark(last, bid, ask, max(self.mark.market_ns, market_ns))

    def _trades(self, trades: Rows) -> None:
        starts = trades["exch_ns"] // NS_PER_MIN * NS_PER_MIN
        for start in np.unique(starts):
            some = trades[starts == start]
            prices = some["price"]
            high, low = int(prices.max()), int(prices.min())
            bar = self.minutes.setdefault(int(start), [int(prices[0]), high, low, 0, 0, 0])
            bar[1], bar[2], bar[3] = max(bar[1], high), min(bar[2], low), int(prices[-1])
            bar[4] += int(some["size"].sum())
            bar[5] += len(some)

    def since(self, start_ns: int) -> Rows:
        """The 1m bars that start at `start_ns` or later, oldest first; earlier ones are forgotten."""
        self.minutes = {start: bar for start, bar in self.minutes.items() if start >= start_ns}
        rows = [
            (start, bar[0], bar[1], bar[2], bar[3], bar[4], 0, bar[5], int(Flag.PARTIAL), 1)
            for start, bar in sorted(self.minutes.items())
        ]
        return np.array(rows, BAR_DTYPE)


class _Contract:
    """Board and ring of one contract, as far as they are there."""

    def __init__(self, run_dir: Path, symbol: str) -> None:
        self.board = Board()
        self.zones: dict[int, list[Zone]] = {}  # of the board, once they were asked for
        self.forming = _Forming()
        self._segments = [Segment.attach(run_dir, f"{kind}.{symbol}", writable=False) for kind in ("board", "ring")]
        self._reader = BoardReader(self._segments[0].buf)
        self._tail = RingTail(self._segments[1].buf)

    def refresh(self) -> None:
        found = self._reader.read()
        if found is not None:
            self.board, self.zones = found, {}
        self.forming.add(self._tail.read())

    def close(self) -> None:
        self._reader.close()
        self._tail.close()
        for segment in self._segments:
            segment.close()


class EngineView:
    """Read-only view of one run. `open_view` makes one; `close` lets go of everything."""

    def __init__(self, run_dir: Path, state_dir: Path) -> None:
        self.run_dir, self.state_dir = run_dir, state_dir
        self._status: dict[str, Any] = {}
        self._status_stamp: tuple[int, ...] = ()
        self._contracts: dict[str, _Contract] = {}
        self._journal = JournalView(state_dir / "journal.db")

    # ---------------------------------------------------------------------------------------------------- looking
    def refresh(self, *symbols: str) -> None:
        """Look again: at the status, at the boards and rings of these contracts, at the journal if a status came."""
        if self._read_status():
            self._journal.refresh()
        for symbol in symbols:
            contract = self._contract(symbol)
            if contract is not None:
                contract.refresh()

    def _read_status(self) -> bool:
        path = self.state_dir / "status.json"
        with suppress(OSError, ValueError):
            info = path.stat()
            stamp = (info.st_ino, info.st_mtime_ns, info.st_size)
            if stamp == self._status_stamp:
                return False
            document = orjson.loads(path.read_bytes())
            if isinstance(document, dict) and document.get("schema") == "tbot.status":
                self._status, self._status_stamp = document, stamp
                return True
        return False

    def _contract(self, symbol: str) -> _Contract | None:
        if symbol not in self._contracts:
            try:
                self._contracts[symbol] = _Contract(self.run_dir, symbol)
            except (LayoutError, ValueError, OSError):
                return None  # not there yet, or no more
        return self._contracts[symbol]

    # ------------------------------------------------------------------------------------------------- what it saw
    @property
    def there(self) -> bool:
        """Whether the run's shared memory is there: its launcher removes it at the end."""
        return self.run_dir.is_dir()

    def status(self) -> dict[str, Any]:
        """The status document (`tbot status --json`); {} before there is one."""
        return self._status

    def symbols(self) -> list[str]:
        """The contracts of the run."""
        return list(self._status.get("contracts", {}))

    def mark(self, symbol: str) -> Mark:
        """Newest print and quote."""
        contract = self._contracts.get(symbol)
        return contract.forming.mark if contract is not None else Mark(None, None, None, 0)

    def board(self, symbol: str) -> Board:
        """The board as the worker laid it down last; an empty one before."""
        contract = self._contracts.get(symbol)
        return contract.board if contract is not None else Board()

    def bars(self, symbol: str, timeframe_min: int, n: int = 500) -> Rows:
        """The last n bars, oldest first (BAR_DTYPE, ticks); the forming one, if there is one, is flagged PARTIAL."""
        contract = self._contracts.get(symbol)
        if contract is None:
            return np.empty(0, BAR_DTYPE)
        closed = contract.board.rows("bars", timeframe_min)
        minutes = contract.board.rows("bars", 1)
        fresh = contract.forming.since(int(minutes["start_ns"][-1]) + NS_PER_MIN if len(minutes) else 0)
        if len(minutes) and not contract.board.live:
            fresh = fresh[:0]  # a hole lies between: it is not drawn as if it were none
        tail = aggregated(np.concatenate([minutes[-timeframe_min:], fresh]), timeframe_min)
        newest = int(closed["start_ns"][-1]) if len(closed) else -1
        return np.concatenate([closed, tail[tail["start_ns"] > newest]])[-n:]

    def zones(self, symbol: str, timeframe_min: int) -> list[Zone]:
        """The zones that are alive, as the engine's own pipeline has them, oldest first."""
        contract = self._contracts.get(symbol)
        if contract is None:
            return []
        if timeframe_min not in contract.zones:
            rows = contract.board.rows("zones", timeframe_min)
            contract.zones[timeframe_min] = [_zone(row) for row in rows]
        return list(contract.zones[timeframe_min])

    def lines(self, symbol: str, timeframe_min: int) -> list[Line]:
        """Support, resistance, and pools of stops, in order of price."""
        board = self.board(symbol)
        found = [
            Line(int(row["level"]), int(row["side"]), part == "pools", int(row["members"]))
            for part in ("levels", "pools")
            for row in board.rows(part, timeframe_min)
        ]
        return sorted(found)

    def signals(self, n: int = 50) -> list[SignalRow]:
        """The newest signals and what became of them, newest first."""
        return self._journal.signals(n)

    def trades(self, n: int = 50) -> list[RoundTrip]:
        """The newest round trips, newest first."""
        return self._journal.trades(n)

    def events(self, n: int = 50) -> list[EngineEvent]:
        """What happened, in words, newest last."""
        return self._journal.events(n)

    def close(self) -> None:
        """Let go of the run's memory."""
        for contract in self._contracts.values():
            contract.close()
        self._contracts.clear()


def open_view(run_dir: Path, state_dir: Path) -> EngineView:
    """A view of the run whose private directory and state directory these are (see `current.json`)."""
    return EngineView(run_dir, state_dir)


def aggregated(minutes: Rows, timeframe_min: int) -> Rows:
    """1m bars, oldest first, as bars of a timeframe that may still be forming: flagged PARTIAL, for display only."""
    made: list[tuple[int, ...]] = []
    for row in minutes:
        start = bar_start_ns(int(row["start_ns"]), timeframe_min)
        _, o, h, l, c, v, d, t, _, _ = (int(value) for value in row.item())  # noqa: E741
        if made and made[-1][0] == start:
            _, o, high, low, _, volume, delta, trades, _, _ = made.pop()
            h, l, v, d, t = max(h, high), min(l, low), v + volume, d + delta, t + trades  # noqa: E741
        made.append((start, o, h, l, c, v, d, t, int(Flag.PARTIAL), timeframe_min))
    return np.array(made, BAR_DTYPE)


def _zone(row: np.void) -> Zone:
    kind, name = ZONE_KINDS.get(int(row["kind"]), ("?", "zone"))
    if row["state"] == ZoneState.INVERTED:
        kind, name = "iFVG", "inverted fair value gap"
    gap = int(row["kind"]) == EventCode.FVG
    return Zone(
        id=int(row["id"]),
        kind=kind,
        name=name,
        side=int(row["side"]),
        timeframe_min=int(row["timeframe_min"]),
        top=int(row["top"]),
        bottom=int(row["bottom"]),
        origin_ns=int(row["origin_ns"]),
        known_ns=int(row["known_ns"]),
        score=float(row["score"]) * (100 if gap else 1),
        state=ZoneState(int(row["state"])).name,
        tests=int(row["tests"]),
    )
