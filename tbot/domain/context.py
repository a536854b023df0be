"""Slow outside facts as a decider sees them: scheduled news and the dollar index.

They reach a worker as CONTEXT records of its own ring and in no other way, so that a decision can be repeated from the
ring alone. `aux` of a record is its ContextKey; what the other fields mean is told here, once, for writer and reader.

    key                side     price       price2       size              volume     flags
    DOLLAR             trend    index       minute end   correlation       -1         DOLLAR_STALE
    NEWS_EVEN, _ODD    action   from        until        percent of size   event      NEWS_CPI, NEWS_STALE, impact,
                                                                                      what holds without news

News come as stretches of time, two at once: one record holds until its end, the next one is there before it begins, so
an edge is exact however late the next record is written. Times are UTC ns, an index is in 1/100 000 of a point.
"""

from dataclasses import dataclass
from enum import IntEnum

INDEX_SCALE = 100_000  # units of a point of the dollar index
CORRELATION_SCALE = 10_000
NO_CORRELATION = -(1 << 31)  # too few minutes yet
LONG_AGO_NS, FAR_AHEAD_NS = -(1 << 62), 1 << 62

DOLLAR_STALE = 1
NEWS_CPI, NEWS_STALE = 1, 2
_IMPACT_SHIFT, _LATER_SHIFT, _PERCENT_SHIFT = 2, 4, 6  # of two, two and seven bits
IMPACTS = ("", "Low", "Medium", "High")  # rising; "": nothing is near
ACTIONS = ("", "warn", "reduce", "block")  # rising; "": trade as ever


class ContextKey(IntEnum):
    """Which fact a record holds; a pipeline keeps the newest of each."""

    DOLLAR = 1
    NEWS_EVEN = 2
    NEWS_ODD = 3


@dataclass(frozen=True, slots=True)
class ContextRecord:
    """A CONTEXT record without its times and its contract."""

    key: int
    side: int = 0
    price: int = 0
    price2: int = 0
    size: int = 0
    volume: int = -1
    flags: int = 0


@dataclass(frozen=True, slots=True)
class DollarState:
    """The dollar index at the end of a minute, and how one contract has moved with it."""

    trend: int  # +1 rising, -1 falling, 0 neither or not known yet
    index: int  # in 1 / INDEX_SCALE
    minute_ns: int  # end of that minute
    correlation: int | None = None  # of 1m log returns, in 1 / CORRELATION_SCALE; None: too few of them
    stale: bool = False  # the price of one part is too old

    def record(self) -> ContextRecord:
        """As it is written."""
        share = NO_CORRELATION if self.correlation is None else self.correlation
        flags = DOLLAR_STALE if self.stale else 0
        return ContextRecord(ContextKey.DOLLAR, self.trend, self.index, self.minute_ns, share, flags=flags)

    @classmethod
    def of(cls, record: ContextRecord) -> "DollarState":
        """As it was written."""
        share = None if record.size == NO_CORRELATION else record.size
        return cls(record.side, record.price, record.price2, share, bool(record.flags & DOLLAR_STALE))


@dataclass(frozen=True, slots=True)
class NewsState:
    """What scheduled news mean for one contract while from_ns <= now < until_ns."""

    from_ns: int = LONG_AGO_NS
    until_ns: int = FAR_AHEAD_NS
    action: str = ""  # one of ACTIONS
    percent: int = 100  # of the largest size, while the action is "reduce"
    event_ns: int = 0  # the news that it is about; 0: none
    impact: str = ""  # of that news, one of IMPACTS
    cpi: bool = False  # the firm's limits around a CPI release hold
    stale: bool = False  # nobody knows: the calendar is missing, broken or too old
    later: str = ""  # the action that holds once nobody tells any more, and its percent
    later_percent: int = 100

    def holds(self, now_ns: int) -> bool:
        """Whether it is about this moment."""
        return self.from_ns <= now_ns < self.until_ns

    def record(self, number: int) -> ContextRecord:
        """As it is written, the `number`-th stretch of its contract."""
        flags = NEWS_CPI * self.cpi | NEWS_STALE * self.stale | IMPACTS.index(self.impact) << _IMPACT_SHIFT
        flags |= ACTIONS.index(self.later) << _LATER_SHIFT | self.later_percent << _PERCENT_SHIFT
        key = ContextKey.NEWS_ODD if number % 2 else ContextKey.NEWS_EVEN
        action = ACTIONS.index(self.action)
        return ContextRecord(key, action, self.from_ns, self.until_ns, self.percent, self.event_ns, flags)

    @classmethod
    def of(cls, record: ContextRecord) -> "NewsState":
        """As it was written; ValueError for what no writer of ours writes."""
        impact, later = record.flags >> _IMPACT_SHIFT & 3, record.flags >> _LATER_SHIFT & 3
        percent = record.flags >> _PERCENT_SHIFT
        if not 0 <= record.side < len(ACTIONS) or percent > 100:
            raise ValueError(f"no news record of this version: {record}")
        return cls(
            record.price,
            record.price2,
            ACTIONS[record.side],
            record.size,
            record.volume,
            IMPACTS[impact],
            bool(record.flags & NEWS_CPI),
            bool(record.flags & NEWS_STALE),
            ACTIONS[later],
            percent or 100,  # 0: of a tape from before this was told
        )


@dataclass(frozen=True, slots=True)
class MarketContext:
    """The outside facts at one moment. None: nobody follows them in this run."""

    news: NewsState | None = None
    dollar: DollarState | None = None


NO_CONTEXT = MarketContext()


def context_at(
    now_ns: int, dollar: DollarState | None, stretches: tuple[NewsState, ...], max_age_ns: int
) -> MarketContext:
    """The facts at `now_ns`. A dollar index that stopped coming for `max_age_ns` is stale; so are news without a
    stretch for this moment: whoever writes them has died, and what holds then is what was told last.
    """
    if dollar is not None and not dollar.stale and now_ns - dollar.minute_ns > max_age_ns:
        dollar = DollarState(dollar.trend, dollar.index, dollar.minute_ns, dollar.correlation, True)
    return MarketContext(_news_at(now_ns, stretches), dollar)


def _news_at(now_ns: int, stretches: tuple[NewsState, ...]) -> NewsState | None:
    found = [one for one in stretches if one.holds(now_ns)]
    if found or not stretches:
        return found[0] if found else None
    last = max(stretches, key=lambda one: one.until_ns)
    return NewsState(action=last.later, percent=last.later_percent, stale=True, later=last.later)
