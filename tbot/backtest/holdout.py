"""V14: the last part of the data is locked; everything that is tried runs on the rest.

The lock begins at the first instant of a trading day, so no trade of the engine, which is flat at the end of each day,
lies on both sides. The locked part is opened once: for one plan. What a ledger of trials has to say about a second
opening is asked here, too (storage.trials.opened_before).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from tbot.domain.timeframes import NS_PER_S
from tbot.domain.trading_hours import trading_day, trading_day_start_ns
from tbot.errors import ConfigError, DataError, Halted
from tbot.storage.tick_stream import Ticks
from tbot.storage.trials import Trial, opened_before
from tbot_ext.records import Kind

_EPOCH = date(1970, 1, 1)
_NOON_NS = 12 * 3600 * NS_PER_S
_DAY_NS = 24 * 3600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of trading: so many trading days of the data, or calendar months or weeks."""

    count: int
    unit: str  # d, w, m


def parse_span(text: str, option: str) -> Span:
    """`20d` (trading days), `4w`, `1m` (months); ConfigError for anything else."""
    found = re.fullmatch(r"([1-9]\d{0,4})([dwm])", text.strip())
    if found is None:
        raise ConfigError(f"{option} {text!r} is not understood; write 20d (trading days), 4w (weeks) or 1m (months)")
    return Span(int(found[1]), found[2])


@dataclass(frozen=True, slots=True)
class Lock:
    """Where the locked part begins (UTC ns), and the trading days on both sides of it."""

    cut_ns: int
    free: tuple[date, ...]
    locked: tuple[date, ...]


def lock(days: Sequence[date], span: Span) -> Lock:
    """Lock the last `span` of the data's trading days. DataError when nothing would be left to run on."""
    if not days:
        raise DataError("the data has no trading day")
    if span.unit == "d":
        first = len(days) - span.count
    else:
        since = _months_before(days[-1], span.count) if span.unit == "m" else days[-1] - timedelta(weeks=span.count)
        first = sum(day <= since for day in days)
    if first < 1:
        raise DataError(
            f"a hold-out of {span.count}{span.unit} locks all {len(days)} trading days of the data; choose less"
        )
    return Lock(day_start_ns(days[first]), tuple(days[:first]), tuple(days[first:]))


def day_start_ns(day: date) -> int:
    """First instant of a trading day, UTC ns: 17:00 in Chicago on the day before."""
    return trading_day_start_ns((day - _EPOCH).days * _DAY_NS + _NOON_NS)


def days_in(chunks: Iterable[Ticks]) -> tuple[date, ...]:
    """Trading days that have a trade or a quote, in order. Reads all of it."""
    found: set[int] = set()
    hour = 3600 * NS_PER_S
    for chunk in chunks:
        market = chunk[(chunk["kind"] == Kind.TRADE) | (chunk["kind"] == Kind.QUOTE)]
        found.update(np.unique(market["exch_ns"] // hour).tolist())
    return tuple(sorted({trading_day(number * hour) for number in found}))


def may_open(ledger: Sequence[Trial], mine: Trial) -> None:
    """Halted when the locked part, or some of it, was opened for another plan before."""
    before = opened_before(ledger, mine)
    if before is not None:
        when = datetime.fromtimestamp(before.at_ns // NS_PER_S, UTC)
        raise Halted(
            f"this hold-out was opened on {when:%Y-%m-%d %H:%M} UTC for another plan ({before.plan_hash}); a second "
            "look makes it ordinary data: test the new plan on days that came after it"
        )


def _months_before(day: date, months: int) -> date:
    """The same day of an earlier month, its last day where it is shorter."""
    number = day.year * 12 + day.month - 1 - months
    year, month = number // 12, number % 12 + 1
    following = date(year + month // 12, month % 12 + 1, 1)
    return date(year, month, min(day.day, (following - timedelta(days=1)).day))
