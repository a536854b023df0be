"""Words and numbers of the reports of a backtest, the same on the terminal, in HTML and in JSON."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from tbot.domain.trading_hours import CHICAGO
from tbot.domain.words import plural
from tbot.execution.fill_model import BACKTEST_FILLS, FillSettings
from tbot.strategy.words import ZONE_NAMES
from tbot.validation.bootstrap import Interval

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
SYNTHETIC_MARK = "*"


@dataclass(frozen=True, slots=True)
class Extra:
    """What only the command knows of a run: names and settings that the result holds as a hash alone."""

    data: tuple[str, ...] = ()  # what was read, as it was named
    fills: FillSettings = BACKTEST_FILLS
    accounts: Mapping[int, str] = field(default_factory=dict)  # names
    version: str = ""  # of T-BOT
    seed: int | None = None  # of the judgement
    strategy: str = "smc"
    holdout: str = ""  # what part of the data was locked or opened, one sentence; "": none
    more: Mapping[str, object] = field(default_factory=dict)  # plain values for the JSON document's `run`


# ------------------------------------------------------------------------------------------------ numbers
def money(cents: float | None, *, signed: bool = True, none: str = "–") -> str:
    """`+$151.00`, `−$48.00`, `$0.00`; not signed: `$151.00`, `−$48.00`. Not a number or None: `none`."""
    if cents is None or math.isnan(cents):
        return none
    if math.isinf(cents):
        return "−∞" if cents < 0 else "+∞" if signed else "∞"
    whole = round(cents)
    sign = "−" if whole < 0 else "+" if whole > 0 and signed else ""
    return f"{sign}${abs(whole) / 100:,.2f}"


def short_money(cents: float) -> str:
    """`+$1,510`: whole dollars, for axes."""
    dollars = round(cents / 100)
    return f"{'−' if dollars < 0 else ''}${abs(dollars):,}"


def number(value: float | None, places: int = 2, *, signed: bool = False, none: str = "–") -> str:
    """`1.25`, `−0.40`, with thousands separated; None and not a number: `none`; infinite: `∞`."""
    if value is None or math.isnan(value):
        return none
    if math.isinf(value):
        return "−∞" if value < 0 else "+∞" if signed else "∞"
    plain = f"{abs(value):,.{places}f}"
    zero = not float(plain.replace(",", ""))
    return ("" if zero else "−" if value < 0 else "+" if signed else "") + plain


def percent(share: float | None, places: int = 0, *, none: str = "–") -> str:
    """`41 %` of 0.41."""
    if share is None or math.isnan(share):
        return none
    return f"{number(100 * share, places)} %"


def between(interval: Interval | None, show: "Show") -> str:
    """`+$1.20 (95 %: −$3.00 to +$5.00)`."""
    if interval is None or math.isnan(interval.estimate):
        return "not known"
    if math.isinf(interval.low) or math.isinf(interval.high):
        return f"{show(interval.estimate)} (interval not known: too few days)"
    return f"{show(interval.estimate)} ({100 * interval.level:.0f} %: {show(interval.low)} to {show(interval.high)})"


class Show:
    """How one unit is written."""

    def __init__(self, unit: str) -> None:
        self._unit = unit

    def __call__(self, value: float) -> str:
        if self._unit == "money":
            return money(value)
        if self._unit == "fall":
            return money(value, signed=False)
        if self._unit == "share":
            return percent(value)
        return number(value, signed=self._unit == "signed")


MONEY, FALL, SHARE, SIGNED, PLAIN = (Show(unit) for unit in ("money", "fall", "share", "signed", "plain"))


# ------------------------------------------------------------------------------------------------ times
def moment(ns: int, zone: ZoneInfo) -> datetime:
    """A time of the data, cut to the second."""
    return datetime.fromtimestamp(ns // NS_PER_S, UTC).astimezone(zone)


def stamp(ns: int, zone: ZoneInfo) -> str:
    """2026-11-20 16:33 EET (08:33 CST)."""
    return f"{moment(ns, zone):%Y-%m-%d %H:%M %Z} ({moment(ns, CHICAGO):%H:%M %Z})"


def iso(ns: int) -> str:
    """UTC with Z, to the millisecond where there is a part of a second."""
    seconds, rest = divmod(ns, NS_PER_S)
    part = f".{rest // NS_PER_MS:03d}" if rest >= NS_PER_MS else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{part}Z"


def held(ns: int) -> str:
    """45 s, 12 min, 3 h 05."""
    seconds = ns // NS_PER_S
    if seconds < 100:
        return f"{seconds} s"
    if seconds < 6000:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d}"


# ------------------------------------------------------------------------------------------------ words
def pattern_words(kind: str) -> str:
    """order block, fair value gap; `no story` for a trip whose signal tells no story."""
    return ZONE_NAMES.get(kind, kind) or "no story"


def fill_words(fills: FillSettings) -> tuple[str, ...]:
    """The rules by which orders filled, a phrase each (docs/backtest.md has them in full)."""
    words = ["fills from the tick after the decision"]
    words.append("market at the adverse quote + slippage")
    words.append("limits and targets when traded through")
    if fills.intrabar == "pessimistic":
        words.append("a bar that touches stop and target is a stop")
    else:
        words.append("inside a bar the invented order of its prints is believed (optimistic)")
    slip = [f"stops {plural(fills.stop_slippage_ticks, 'tick')}", f"market {fills.market_slippage_ticks}"]
    if fills.atr_slippage_permille:
        slip.append(f"{fills.atr_slippage_permille / 10:g} % of the 1m range")
    if fills.size_slippage_ticks:
        slip.append(f"{fills.size_slippage_ticks} x size / volume")
    words.append("slippage: " + " + ".join(slip))
    words.append(f"latency {fills.latency_ns / NS_PER_MS:g} ms")
    if fills.queue == "share":
        words.append(f"limits also at their price behind {fills.queue_ahead} contracts")
    words.append(f"limits fill in parts ({fills.participation_percent} %)" if fills.partial else "orders fill whole")
    words.append("positions are closed at a roll" if fills.roll_closes else "positions are kept over a roll")
    if fills.spread_by_hour:
        words.append("spread by hour: " + ", ".join(sorted(fills.spread_by_hour)))
    return tuple(words)


def calendar_words(calendar: str) -> str:
    """What the calendar mark means."""
    if calendar == "exact":
        return "exact (every day is in the session table)"
    return "TEMPLATE (the weekly pattern stands for days that the session table does not cover)"
