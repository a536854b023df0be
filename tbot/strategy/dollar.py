"""The dollar index before a signal: what it must be for a trade, and what it does to the score.

Rule: while the index rises, long index futures, metals and foreign currencies stand against it, while it falls their
shorts do; whatever else is traded has no side. Whether that helps is a question for the backtester: the default is off.
"""

from dataclasses import dataclass

from tbot.domain.context import CORRELATION_SCALE, DollarState, MarketContext
from tbot.errors import ConfigError

FILTERS = ("off", "prefer", "require")
STALE_POLICIES = ("ignore", "block")
MOVES_AGAINST = frozenset({"NQ", "ES", "YM", "RTY", "GC", "SI", "HG", "PL", "6E", "6J", "6B", "6C", "6S", "6A", "6N"})
_TREND_MINUTES = (5, 15, 30, 60)
_MOST_POINTS = 20.0


@dataclass(frozen=True, slots=True)
class DollarSettings:
    """Section [dxy]. ConfigError when a value makes no sense."""

    follow: bool = False  # make the index, show it and record it with each signal; a filter that is on implies it
    filter: str = "off"  # prefer: the score gains or loses `points`; require: no trade against the dollar
    points: float = 5.0  # of the score
    min_correlation: float = 0.0  # above 0: only contracts that moved with the index this much, and as they moved
    correlation_minutes: int = 60  # the window of 1m log returns
    trend_min: int = 15  # the bars whose trend it is
    trend_fast: int = 8  # spans of the two averages of their closes, in bars
    trend_slow: int = 24
    trend_band_bp: float = 1.0  # nearer together than this is no trend
    stale_s: int = 300  # a part of the index without a quote for so long
    stale: str = "ignore"  # what a filter does then: as if it were off, or no entries

    def __post_init__(self) -> None:
        problems = []
        if self.filter not in FILTERS:
            problems.append(f"filter must be one of {', '.join(FILTERS)}, not {self.filter!r}")
        if self.stale not in STALE_POLICIES:
            problems.append(f"stale must be one of {', '.join(STALE_POLICIES)}, not {self.stale!r}")
        if not 0 <= self.points <= _MOST_POINTS:
            problems.append(f"points must lie between 0 and {_MOST_POINTS:g}")
        if not 0 <= self.min_correlation < 1:
            problems.append("min_correlation must be at least 0 and below 1")
        if not 10 <= self.correlation_minutes <= 1_440:
            problems.append("correlation_minutes must lie between 10 and 1440")
        if self.trend_min not in _TREND_MINUTES:
            problems.append(f"trend_min must be one of {', '.join(map(str, _TREND_MINUTES))}")
        if not 1 <= self.trend_fast < self.trend_slow <= 500:
            problems.append("trend_fast must be at least 1 and below trend_slow, trend_slow at most 500")
        if not 0 <= self.trend_band_bp <= 1_000:
            problems.append("trend_band_bp must lie between 0 and 1000")
        if not 5 <= self.stale_s <= 86_400:
            problems.append("stale_s must lie between 5 and 86400")
        if problems:
            raise ConfigError("dxy: " + "; ".join(problems))

    @property
    def followed(self) -> bool:
        """Whether the index is made at all."""
        return self.follow or self.filter != "off"


@dataclass(frozen=True, slots=True)
class DollarVerdict:
    """What the index means for one trade: a refusal (a counter's name) or "", and points of the score."""

    refusal: str = ""
    points: float = 0.0


def agreement(dollar: DollarState, family: str, side: int, min_correlation: float) -> int:
    """+1 the dollar's trend speaks for a trade of this side, -1 against it, 0 neither."""
    sign = -1 if family in MOVES_AGAINST else 0
    if min_correlation > 0:
        share = dollar.correlation
        weak = share is None or abs(share) < min_correlation * CORRELATION_SCALE
        sign = 0 if share is None or weak else (1 if share > 0 else -1)
    return sign * dollar.trend * side


def judge(settings: DollarSettings, dollar: DollarState | None, family: str, side: int) -> DollarVerdict:
    """The filter's word on a trade of `side` in a product of `family`."""
    if settings.filter == "off":
        return DollarVerdict()
    if dollar is None or dollar.stale:
        return DollarVerdict("dollar_stale" if settings.stale == "block" else "")
    found = agreement(dollar, family, side, settings.min_correlation)
    if settings.filter == "require":
        return DollarVerdict("against_dollar" if found < 0 else "")
    return DollarVerdict(points=found * settings.points)


def verdict(settings: DollarSettings, context: MarketContext, family: str, side: int) -> DollarVerdict:
    """The word of all outside facts on a trade: news that block it go first."""
    if context.news is not None and context.news.action == "block":
        return DollarVerdict("news")
    return judge(settings, context.dollar, family, side)
