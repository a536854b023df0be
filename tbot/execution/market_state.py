"""What one contract's ticks have said so far: quote, newest print, the bar it was made from, and recent activity.

The fill model and every account book read the same state; it is folded from tick records and knows nothing of orders.
Prices are integer ticks, times UTC nanoseconds.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tbot.domain.timeframes import NS_PER_MIN
from tbot_ext.activity import Activity, pass_over
from tbot_ext.local_time import utc_offset
from tbot_ext.records import NO_PRICE, Flag

__all__ = ["BAR_END", "Activity", "MarketState"]

BAR_END = 1  # `aux` of a synthetic trade: the last print of its bar

_SYNTHETIC, _SIZE_UNKNOWN, _DERIVED = int(Flag.SYNTHETIC), int(Flag.SIZE_UNKNOWN), int(Flag.DERIVED)
_NS_PER_HOUR = 60 * NS_PER_MIN
_HOURS = 24


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

    def pass_over(self, records: npt.NDArray[np.void], contract_id: int) -> None:
        """The same as `on_trade` for each trade of a contract among these records: of a trade nothing is remembered but
        it, the one before it, and what makes up the activity."""
        for trade in pass_over(records, contract_id, self.activity):
            if trade is not None:
                self.on_trade(*trade)

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
