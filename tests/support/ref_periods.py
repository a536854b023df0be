"""Slow, obvious reference for smc.md section 10, on Python's own dates and zones.

Every occurrence of every period between the first and the last bar is written down as a pair of instants; its bars are
those between the two, and its life is read off all bars after it. Rulings that the page leaves open are those of the
compiled module's docstring.
"""

import datetime as dt
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

PERIOD_KINDS = ("DAY", "WEEK", "ASIA", "LONDON", "NEW_YORK", "OPENING_15", "OPENING_30", "PERIOD_")
CHICAGO = ZoneInfo("America/Chicago")
MONDAY_TO_FRIDAY = range(5)
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS

Row = tuple[int, int, int, int, int]  # high, low, close, volume, delta
Sessions = Sequence[tuple[str, str, str]]


@dataclass
class Period:
    kind: str
    place: int  # in the order of emission
    start_ns: int
    end_ns: int
    first: int  # bar numbers
    bars: int
    high: int
    low: int
    close: int
    volume: int
    delta: int
    high_bar: int  # the first that made the high
    low_bar: int
    complete: bool
    t: int | None = None  # known
    high_broken: int | None = None  # at which bar
    low_broken: int | None = None

    def events(self) -> list[tuple[Any, ...]]:
        """(known, step, kind, side, origin, top, bottom, level, n) of all it gave; step 2 comes before step 7."""
        rows: list[tuple[Any, ...]] = [
            (
                self.t, (7, 0, self.place, self.start_ns, 0), self.kind, 0, self.first, self.high, self.low, self.close,
                min(self.bars, 65535),
            )
        ]  # fmt: skip
        for side, price, u in ((1, self.high, self.high_broken), (-1, self.low, self.low_broken)):
            if u is not None:
                kind, index = ("PERIOD_HIGH_BROKEN", 0) if side > 0 else ("PERIOD_LOW_BROKEN", 1)
                step = (7, 0, self.place, self.start_ns, 1 + index) if u == self.t else (2, 10, self.place, index)
                rows.append((u, step, kind, side, u, price, price, price, 0))
        return rows


def at(zone: ZoneInfo, day: dt.date, clock: str) -> int:
    """UTC nanoseconds of a wall-clock time."""
    return int(dt.datetime.combine(day, dt.time.fromisoformat(clock), zone).timestamp()) * SECOND_NS


def occurrences(kind: str, day: dt.date, sessions: Sessions, minutes: int) -> list[tuple[int, int]]:
    """(start, end) of the period of this kind that belongs to a date, if there is one."""
    one = dt.timedelta(days=1)
    if day.weekday() not in MONDAY_TO_FRIDAY:
        return []
    if kind == "DAY":
        return [(at(CHICAGO, day - one, "17:00"), at(CHICAGO, day, "16:00"))]
    if kind == "WEEK":
        friday = day.weekday() == 4
        return [(at(CHICAGO, day - 5 * one, "17:00"), at(CHICAGO, day, "16:00"))] if friday else []
    name, start, end = sessions[{"ASIA": 0, "LONDON": 1}.get(kind, 2)]
    zone = ZoneInfo(name)
    first = at(zone, day, start)
    if not kind.startswith("OPENING"):
        return [(first, at(zone, day + one if end <= start else day, end))]
    length = int(kind.removeprefix("OPENING_"))
    if length % minutes or first % (minutes * MINUTE_NS):
        return []
    return [(first, first + length * MINUTE_NS)]


def periods(
    rows: Sequence[Row], starts: Sequence[int], sessions: Sessions, minutes: int
) -> tuple[list[Period], list[Period]]:
    """Finished periods with values, in order of becoming known; and what is shown at the end of the bars."""
    finished: list[Period] = []
    shown: list[Period] = []
    if not rows:
        return [], []
    first, last = (dt.datetime.fromtimestamp(s // SECOND_NS, dt.UTC).date() for s in (starts[0], starts[-1]))
    for place, kind in enumerate(PERIOD_KINDS[:-1]):
        days = [first + dt.timedelta(days=k) for k in range(-8, (last - first).days + 9)]
        spans = [span for day in days for span in occurrences(kind, day, sessions, minutes)]
        mine = [found for start, end in spans for found in one_period(kind, place, start, end, rows, starts, minutes)]
        if not mine:
            continue
        mine[0].complete = starts[0] <= mine[0].start_ns  # not cut off
        over = [period for period in mine if period.t is not None]
        for period, following in zip(over, [*over, None][1:], strict=True):
            if period.complete:
                find_breaks(period, rows, len(rows) - 1 if following is None else following.t)
        shown += over[-1:] + [period for period in mine if period.t is None]
        finished += [period for period in over if period.complete]
    return sorted(finished, key=lambda period: (period.t, period.place, period.start_ns)), shown


def one_period(
    kind: str, place: int, start: int, end: int, rows: Sequence[Row], starts: Sequence[int], minutes: int
) -> list[Period]:
    """The period if it has bars."""
    members = range(bisect_left(starts, start), bisect_left(starts, end))  # start <= start of the bar < end
    if not members:
        return []
    highs, lows = [rows[t][0] for t in members], [rows[t][1] for t in members]
    known = max(members[0], bisect_left(starts, end - minutes * MINUTE_NS))  # the first that closes at or after the end
    period = Period(
        kind, place, start, end, members[0], len(members), max(highs), min(lows), rows[members[-1]][2],
        sum(rows[t][3] for t in members), sum(rows[t][4] for t in members),
        members[highs.index(max(highs))], members[lows.index(min(lows))], True,
    )  # fmt: skip
    period.t = known if known < len(starts) else None
    return [period]


def find_breaks(period: Period, rows: Sequence[Row], until: int | None) -> None:
    """The first bars beyond high and low, from the bar at which it became known to the one that replaces it."""
    assert period.t is not None
    assert until is not None
    later = range(period.t, until + 1)
    period.high_broken = next((u for u in later if rows[u][0] > period.high), None)
    period.low_broken = next((u for u in later if rows[u][1] < period.low), None)
