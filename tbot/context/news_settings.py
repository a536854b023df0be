"""Section [news]: where news come from, and what they mean for entries."""

from dataclasses import dataclass, field
from typing import Any

from tbot.context.news import EVERYBODY
from tbot.domain.contracts import PRODUCTS, Product
from tbot.errors import ConfigError

# The public weekly export; unofficial, without a key. Polite use: a few requests a day (ecosystem.md 2.2).
WEEKLY_URL = "https://nfs.faireconomy.media/ff_calendar_thisweek.json"
FETCH = ("auto", "on", "off")
IMPACT_ACTIONS = ("off", "warn", "reduce", "block")
POLICIES = ("warn", "reduce", "block")
ALL_PRODUCTS = "*"
# Product families by the currency of the news; news in dollars, or for everybody, move all of them.
AFFECTS: dict[str, tuple[str, ...]] = {
    "USD": (ALL_PRODUCTS,),
    EVERYBODY: (ALL_PRODUCTS,),
    "EUR": ("6E",),
    "JPY": ("6J", "NKD"),
    "GBP": ("6B",),
    "CAD": ("6C",),
    "CHF": ("6S",),
    "AUD": ("6A",),
    "NZD": ("6N",),
    "MXN": ("6M",),
}
_LEAST_HOURS, _MOST_HOURS, _MOST_MINUTES = 2.0, 48.0, 240


@dataclass(frozen=True, slots=True)
class NewsSettings:
    """What to read and what to do. ConfigError when a value makes no sense.

    Actions: `block` no entries; `reduce` entries of at most `reduce_percent` of the largest size; `warn` only says so;
    `off` nothing. `stale` is what holds while nobody knows: no calendar, a broken one, or one older than seven days.
    """

    fetch: str = "auto"  # auto: on paper and live; the cache is in TBOT_HOME/news
    url: str = WEEKLY_URL
    fetch_hours: float = 4.0  # between two requests, also failed ones
    files: tuple[str, ...] = ()  # more of them: .json (weekly export), .ics, .toml or .csv (own rows)
    high: str = "block"
    high_before_min: int = 5
    high_after_min: int = 5
    medium: str = "warn"
    medium_before_min: int = 5
    medium_after_min: int = 5
    low: str = "off"
    low_before_min: int = 5
    low_after_min: int = 5
    reduce_percent: int = 50
    cpi: bool = True  # the firm's limits from 5 minutes before a CPI release to 5 minutes after it, by the calendar
    stale: str = "warn"
    # Products by currency where they differ from AFFECTS: {"EUR": ["6E", "ES"]}; "*" is every product, [] none.
    affects: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = []
        if self.fetch not in FETCH:
            problems.append(f"fetch must be one of {', '.join(FETCH)}, not {self.fetch!r}")
        if not self.url.startswith(("https://", "http://")):
            problems.append("url must begin with https://")
        if not _LEAST_HOURS <= self.fetch_hours <= _MOST_HOURS:
            problems.append(
                f"fetch_hours must lie between {_LEAST_HOURS:g} and {_MOST_HOURS:g}: nobody asks more often"
            )
        for name in ("high", "medium", "low"):
            if getattr(self, name) not in IMPACT_ACTIONS:
                problems.append(f"{name} must be one of {', '.join(IMPACT_ACTIONS)}, not {getattr(self, name)!r}")
            for edge in ("before", "after"):
                if not 0 <= getattr(self, f"{name}_{edge}_min") <= _MOST_MINUTES:
                    problems.append(f"{name}_{edge}_min must lie between 0 and {_MOST_MINUTES}")
        if not 1 <= self.reduce_percent <= 100:
            problems.append("reduce_percent must lie between 1 and 100")
        if self.stale not in POLICIES:
            problems.append(f"stale must be one of {', '.join(POLICIES)}, not {self.stale!r}")
        problems += [f"affects.{key}: {problem}" for key, names in self.affects.items() if (problem := _wrong(names))]
        if problems:
            raise ConfigError("news: " + "; ".join(problems))

    def action(self, impact: str) -> str:
        """What news of this impact mean: "" nothing."""
        chosen = {"High": self.high, "Medium": self.medium, "Low": self.low}.get(impact, "off")
        return "" if chosen == "off" else chosen

    def minutes(self, impact: str) -> tuple[int, int]:
        """Before and after news of this impact."""
        return {
            "High": (self.high_before_min, self.high_after_min),
            "Medium": (self.medium_before_min, self.medium_after_min),
            "Low": (self.low_before_min, self.low_after_min),
        }.get(impact, (0, 0))

    def concerns(self, currency: str, product: Product) -> bool:
        """Whether news of this currency are about a product."""
        own = self.affects.get(currency)
        if own is not None:
            return ALL_PRODUCTS in own or product.symbol in own
        families = AFFECTS.get(currency, ())
        return ALL_PRODUCTS in families or product.family in families


def _wrong(names: Any) -> str:
    if not isinstance(names, list | tuple):
        return 'must be a list of products such as ["6E", "ES"]'
    unknown = [name for name in names if name != ALL_PRODUCTS and name not in PRODUCTS]
    return f"{unknown[0]!r} is no product of the table" if unknown else ""
