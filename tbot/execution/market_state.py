"""What one contract's ticks have said so far: quote, newest print, the bar it was made from, and recent activity.

The fill model and every account book read the same state; it is folded from tick records and knows nothing of orders.
Prices are integer ticks, times UTC nanoseconds.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tbot.domain.timeframes import NS_PER_MIN
from tbot_ext.local_time import utc_offset
from tbot_ext.records import NO_PRICE, Flag

BAR_END = 1  # `aux` of a synthetic trade: the last print of its bar
ACTIVITY_MINUTES = 14  # minutes whose true ranges are averaged, as in the usual ATR

_SYNTHETIC, _SIZE_UNKNOWN, _DERIVED = int(Flag.SYNTHETIC), int(Flag.SIZE_UNKNOWN), int(Flag.DERIVED)
_NS_PER_HOUR = 60 * NS_PER_MIN
_HOURS = 24


@dataclass(slots=True)
class Activity:
    """Range and volume of the last whole minutes that had trades, for slippage that grows with them.

    The measure of range is the mean true range of the last ACTIVITY_MINUTES such minutes: highest of high and the
    close before, less the lowest of low and the close before (Wilder 1978, simple mean). The minute that is still
    forming does not count, so what an order pays never depends on prices after it.
    """

    ranges: deque[int] = field(default_factory=lambda: deque(maxlen=ACTIVITY_MINUTES))
    volume: int = 0  # of the last whole minute; 0: sizes unknown, or no whole minute yet
    _minute: int | None = None
    _high: int = 0
    _low: int = 0
    _close: int = 0
    _size: int = 0
    _before: int | None = None  # close of the minute before the forming one

    def on_print(self, at_ns: int, price: int, size: int) -> None:
        """Take one trade; `size` 0 is unknown."""
        minute = at_ns // NS_PER_MIN
        if minute == self._minute:
            self._high, self._low = max(self._high, price), min(self._low, price)
            self._close = price
            self._size += size
            return
        self._turn(minute)
        self._high = self._low = self._close = price
        self._size = size

    def absorb(self, at_ns: npt.NDArray[np.int64], price: npt.NDArray[np.int64], size: npt.NDArray[np.int64]) -> None:
        """The same as `on_print` for each of these trades, oldest first: for whoever skips prints nobody waits for."""
        if not len(price):
            return
        minutes = at_ns // NS_PER_MIN
        starts = np.flatnonzero(np.diff(minutes, prepend=minutes[0] - 1))
        last = np.append(starts[1:], len(price)) - 1
        columns = (
            minutes[starts], np.maximum.reduceat(price, starts), np.minimum.reduceat(price, starts), price[last],
            np.add.reduceat(size, starts),
        )  # fmt: skip
        for minute, high, low, close, volume in zip(*(column.tolist() for column in columns), strict=True):
            if minute == self._minute:
                self._high, self._low = max(self._high, high), min(self._low, low)
                self._close = close
                self._size += volume
            else:
                self._turn(minute)
                self._high, self._low, self._close, self._size = high, low, close, volume

    def _turn(self, minute: int) -> None:
        """The forming minute is over, `minute` begins."""
        if self._minute is not None:
            before = self._close if self._before is None else self._before
            self.ranges.append(max(self._high, before) - min(self._low, before))
            self.volume = self._size
            self._before = self._close
        self._minute = minute


@dataclass(slots=True)
class MarketState:
    """What one contract's ticks have said so far; None is unknown. Prices in ticks."""

    spread_ticks: int  # from the last trade to the adverse price while a side of the quote is unknown
    bid: int | None = None
    ask: int | None = None
    last: int | None = None
    before: int | None = None  # the trade before `last`
    size: int = 0  # contracts of the newest trade, 0 unknown
    aggressor: int = 0  # of the newest trade: +1, -1, 0 unknown
    synthetic: bool = False  # the newest trade was made from a bar
    opens: bool = False  # ... and is the first of its bar
    ends: bool = True  # no bar is under way: the newest trade is its bar's last, or a real one
    hourly: tuple[int, ...] = ()  # spread in ticks by hour of the day in Chicago; (): see `spread_ticks`
    activity: Activity | None = None  # None: nobody asks
    _minute: int = -1
    _hour: int = -1

    def on_quote(self, bid: int, ask: int, flags: int = 0) -> bool:
        """Take a quote; NO_PRICE on a side makes that side unknown. False when it is no tick of the market.

        Where a table of spreads is given, quotes that were derived from a trade and one typical spread say nothing.
        """
        if self.hourly and flags & _DERIVED:
            return False
        self.bid = None if bid == NO_PRICE else bid
        self.ask = None if ask == NO_PRICE else ask
        return True

    def on_trade(
        self, price: int, at_ns: int = 0, size: int = 0, flags: int = 0, aux: int = 0, aggressor: int = 0
    ) -> None:
        """Take a trade, its fields as in `records.pxd`.

        A bar begins with the synthetic trade behind one marked BAR_END; where a source does not mark them, with the
        first synthetic trade of a minute.
        """
        self.before, self.last = self.last, price
        self.size = 0 if flags & _SIZE_UNKNOWN else size
        self.aggressor = aggressor
        minute = at_ns // NS_PER_MIN
        if flags & _SYNTHETIC:
            self.opens = not self.synthetic or self.ends or minute != self._minute
            self.synthetic, self.ends = True, aux == BAR_END
        else:
            self.synthetic, self.opens, self.ends = False, False, True
        self._minute = minute
        if self.activity is not None:
            self.activity.on_print(at_ns, price, self.size)
        if self.hourly and at_ns // _NS_PER_HOUR != self._hour:
            self._on_hour(at_ns)

    def _on_hour(self, at_ns: int) -> None:
        """The typical spread of this hour counts; the way from a trade to the adverse price is half of it, rounded up.

        Chicago is whole hours away from UTC, so its hours begin with those of UTC.
        """
        self._hour = at_ns // _NS_PER_HOUR
        hour = (at_ns + utc_offset("America/Chicago", at_ns)) // _NS_PER_HOUR % _HOURS
        self.spread_ticks = (self.hourly[hour] + 1) // 2

    def forget(self) -> None:
        """Prices of another delivery month mean nothing here."""
        self.bid = self.ask = self.last = self.before = None
        self.synthetic, self.opens, self.ends = False, False, True
        if self.activity is not None:
            self.activity = Activity()
