"""What one timeframe looks like at its last closed bar: ATR, trend, last swings. Rules: smc.md sections 2 to 4."""

from typing import NamedTuple

from plain_strategy.events import EventRow
from tbot_ext.records import Flag

_SESSION_BREAK = int(Flag.SESSION_BREAK)


class Swing(NamedTuple):
    """A known swing: its price in ticks and the event that made it known."""

    level: int
    event_id: int


class WilderAtr:
    """Average true range after Wilder, in ticks; None until its first `n` true ranges are known."""

    def __init__(self, n: int) -> None:
        self._n = n
        self.value: float | None = None
        self._sum = 0
        self._count = 0
        self._last_close: int | None = None

    def push(self, high: int, low: int, close: int, session_break: bool) -> None:
        """Take in one closed bar (prices in ticks). Across a session break the gap does not count."""
        true_range = high - low
        if self._last_close is not None and not session_break:
            true_range = max(true_range, abs(high - self._last_close), abs(low - self._last_close))
        self._last_close = close
        if self.value is not None:
            self.value = (self.value * (self._n - 1) + true_range) / self._n
            return
        self._sum += true_range
        self._count += 1
        if self._count == self._n:
            self.value = self._sum / self._n


class TimeframeState:
    """One timeframe as its events tell it."""

    def __init__(self, atr_n: int) -> None:
        self.atr = WilderAtr(atr_n)
        self.trend = 0
        self.trend_event = -1  # id of the break that set the trend
        self.last_high: Swing | None = None
        self.last_low: Swing | None = None

    def on_bar(self, bar: EventRow) -> None:
        """A closed bar: `level` is its close."""
        self.atr.push(bar.top, bar.bottom, bar.level, bool(bar.flags & _SESSION_BREAK))

    def on_break(self, event: EventRow) -> None:
        """BOS or CHoCH: the trend is its side."""
        self.trend = event.side
        self.trend_event = event.id

    def on_swing(self, event: EventRow) -> None:
        """A swing high (side +1) or low became known."""
        if event.side > 0:
            self.last_high = Swing(event.level, event.id)
        else:
            self.last_low = Swing(event.level, event.id)

    def state(self) -> tuple[object, ...]:
        """Everything that later outputs depend on, for digests."""
        atr = self.atr
        swings = (self.last_high, self.last_low)
        return (atr.value, atr._sum, atr._count, atr._last_close, self.trend, self.trend_event, swings)
