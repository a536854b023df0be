"""The stretch of trading days that a report is about: an ISO week, or any days from one to another.

A trading day runs from 17:00 to 17:00 Chicago and is named by the date on which it ends, so the week 2026-W47 begins on
the Sunday evening before its Monday.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta

from tbot.domain.trading_hours import CHICAGO, SESSION_OPEN, to_ns, trading_day
from tbot.errors import ConfigError

_WEEK = re.compile(r"(\d{4})-?[Ww](\d{1,2})")
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """Trading days `first` to `last`, both included: from_ns <= time < until_ns (UTC ns)."""

    first: date
    last: date
    week: str = ""  # 2026-W47; "": it is no ISO week

    @property
    def from_ns(self) -> int:
        return to_ns(self.first - _ONE_DAY, SESSION_OPEN, CHICAGO)

    @property
    def until_ns(self) -> int:
        return to_ns(self.last, SESSION_OPEN, CHICAGO)

    @property
    def label(self) -> str:
        """For names of files: 2026-W47, or 2026-11-16_2026-11-20."""
        return self.week or (f"{self.first}_{self.last}" if self.first < self.last else f"{self.first}")

    def holds(self, now_ns: int) -> bool:
        return self.from_ns <= now_ns < self.until_ns

    def days(self) -> list[date]:
        """Every date of it, weekends too."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


def iso_week(year: int, week: int) -> Period:
    """Monday to Sunday. ConfigError for a week that the year does not have."""
    try:
        monday = date.fromisocalendar(year, week, 1)
        return Period(monday, monday + timedelta(days=6), f"{year:04d}-W{week:02d}")
    except (ValueError, OverflowError):
        raise ConfigError(f"{year} has no week {week}; write an ISO week like 2026-W47") from None


def parse_week(text: str) -> Period:
    """`2026-W47`; ConfigError for anything else."""
    found = _WEEK.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"week {text!r} is not understood; write it like 2026-W47")
    return iso_week(int(found[1]), int(found[2]))


def week_at(now_ns: int) -> Period:
    """The ISO week of the trading day of a time."""
    year, week, _ = trading_day(now_ns).isocalendar()
    return iso_week(year, week)


def between(first: str | None, last: str | None, newest: date) -> Period:
    """Trading days by their dates (2026-11-16). No first: the last alone; no last: up to `newest`."""
    end = parse_day(last) if last else newest
    begin = parse_day(first) if first else end
    if begin > end:
        raise ConfigError(f"the report would begin on {begin} and end on {end}, before that; correct --from or --to")
    return Period(begin, end)


def parse_day(text: str) -> date:
    """ConfigError when it is no date of these centuries."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or not 1971 <= day.year <= 2260:  # nanoseconds since 1970 must fit
        raise ConfigError(f"day {text!r} is not understood; write it like 2026-11-16")
    return day
