"""What the page shows: one look at the engine for all browsers, made when somebody asks and not more often than needed.

When nobody has asked for a while the view is let go of: an open program with no page costs nothing.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tbot.domain.messages import RoundTrip
from tbot.domain.process_messages import EngineEvent

Rows = npt.NDArray[np.void]

LOOK_EVERY_S = 0.4  # two browsers that ask at the same time see one look
FORGET_AFTER_S = 15.0
FIND_EVERY_S = 1.0  # between searches for another run
DEAD_AFTER_S = 60.0  # a status as old as this is of an engine that is gone or hangs
BARS = 180
TRADES = 400
SIGNALS = 60
EVENTS = 120


class ZoneSeen(Protocol):
    """tbot.dashboard.feed_view.Zone."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def side(self) -> int: ...
    @property
    def top(self) -> int: ...
    @property
    def bottom(self) -> int: ...
    @property
    def origin_ns(self) -> int: ...
    @property
    def score(self) -> float: ...
    @property
    def state(self) -> str: ...
    @property
    def tested(self) -> bool: ...


class EngineSeen(Protocol):
    """tbot.dashboard.feed_view.EngineView, as far as the page needs it."""

    @property
    def there(self) -> bool: ...
    def refresh(self, *symbols: str) -> None: ...
    def status(self) -> dict[str, Any]: ...
    def mark(self, symbol: str) -> Any: ...
    def bars(self, symbol: str, timeframe_min: int, n: int) -> Rows: ...
    def zones(self, symbol: str, timeframe_min: int) -> Sequence[ZoneSeen]: ...
    def lines(self, symbol: str, timeframe_min: int) -> Sequence[Any]: ...
    def signals(self, n: int) -> Sequence[Any]: ...
    def trades(self, n: int) -> Sequence[RoundTrip]: ...
    def events(self, n: int) -> Sequence[EngineEvent]: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Found:
    """A run that can be looked at."""

    key: str  # another run has another key
    alive: Callable[[], bool]
    open: Callable[[], EngineSeen]


@dataclass(frozen=True, slots=True)
class ChartData:
    """What the candle chart shows of one contract and timeframe."""

    bars: Rows
    zones: Sequence[ZoneSeen] = ()
    lines: Sequence[Any] = ()
    mark: Any = None


@dataclass(slots=True)
class Look:
    """The engine at one moment, for every browser."""

    status: dict[str, Any] = field(default_factory=dict)
    alive: bool = False
    age_s: float | None = None  # of the status
    signals: Sequence[Any] = ()
    trades: Sequence[RoundTrip] = ()  # newest first
    events: Sequence[EngineEvent] = ()  # newest last
    patterns: Sequence[dict[str, Any]] = ()  # how each kind did so far; nothing where nobody keeps it


class Source:
    """Finds the run, keeps its view open while somebody looks. Safe to call from several threads."""

    def __init__(
        self, find: Callable[[], Found | None], patterns: Callable[[], Sequence[dict[str, Any]]] = tuple
    ) -> None:
        self._find, self._patterns = find, patterns
        self._found: Found | None = None
        self._view: EngineSeen | None = None
        self._look = Look()
        self._looked_s = self._searched_s = self._asked_s = float("-inf")
        self._lock = Lock()

    def look(self) -> Look:
        """The newest look; made anew when the last one is too old."""
        with self._lock:
            now = self._asked_s = time.monotonic()
            if now - self._looked_s >= LOOK_EVERY_S:
                self._search(now)
                self._look = self._gather()
                self._looked_s = time.monotonic()
            return self._look

    def chart(self, symbol: str, timeframe_min: int) -> ChartData | None:
        """Bars and patterns of one contract; None without an engine that has them."""
        with self._lock:
            if self._view is None or symbol not in self._view.status().get("contracts", {}):
                return None
            self._view.refresh(symbol)
            bars = self._view.bars(symbol, timeframe_min, BARS)
            zones = self._view.zones(symbol, timeframe_min)
            lines = self._view.lines(symbol, timeframe_min)
            return ChartData(np.array(bars), list(zones), list(lines), self._view.mark(symbol))

    def idle(self) -> None:
        """Let go of the engine when nobody looks any more; call it now and then."""
        with self._lock:
            if self._view is not None and time.monotonic() - self._asked_s > FORGET_AFTER_S:
                self._let_go()

    def close(self) -> None:
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._view is not None:
            self._view.close()
        self._view = self._found = None
        self._searched_s = self._looked_s = float("-inf")

    def _search(self, now: float) -> None:
        """Another run has begun, or this one's memory was made anew: look at that."""
        if now - self._searched_s < FIND_EVERY_S and self._view is not None:
            return
        self._searched_s = now
        found = self._find()
        if found is not None and self._found is not None and found.key == self._found.key:
            return
        if self._view is not None:
            self._view.close()
        self._found = found
        self._view = found.open() if found is not None else None

    def _gather(self) -> Look:
        if self._view is None or self._found is None:
            return Look()
        self._view.refresh()
        status = self._view.status()
        written = status.get("written_ns", 0)
        age_s = max(0.0, (time.time_ns() - written) / 1e9) if written else None
        alive = self._found.alive() and not status.get("ended", False)
        return Look(
            status,
            alive,
            age_s,
            self._view.signals(SIGNALS),
            self._view.trades(TRADES),
            self._view.events(EVENTS),
            self._patterns(),
        )
