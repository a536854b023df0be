"""Scheduled news: one model for all sources, and how several sources become one calendar.

An export of one week tells all of that week, so the newest export of a week replaces the older ones: rows that moved,
vanished or got another forecast need no matching. Calendars of agencies (ICS) only add. The owner's own rows win over
everything of the same currency, title and day.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal

from tbot.domain.context import FAR_AHEAD_NS
from tbot.domain.timeframes import NS_PER_S
from tbot.domain.trading_hours import zone_of

NEW_YORK = zone_of("America/New_York")  # whose weeks, Sunday to Saturday, an export covers
STALE_AFTER_NS = 7 * 24 * 3600 * NS_PER_S
EVERYBODY = "ALL"  # the currency of news without one
REMOVED = "None"  # an impact of the owner's file: this is not to count at all
_CPI = re.compile(r"(core\s+)?cpi\s+[my]/[my]|.*\bconsumer price index\b.*", re.IGNORECASE)

Kind = Literal["export", "ics", "user"]
Impact = Literal["Low", "Medium", "High", "Holiday", "None"]


@dataclass(frozen=True, slots=True)
class NewsEvent:
    """One row. `at_ns` None: it has no time (all day, tentative, a holiday), so there is no window around it."""

    at_ns: int | None  # UTC
    currency: str  # ISO code, or EVERYBODY
    impact: Impact
    title: str
    source: str
    forecast: str = ""
    previous: str = ""
    day: date | None = None  # New York's, of a row without a time; None: not known either

    @property
    def is_cpi(self) -> bool:
        """Whether the firm's limits around a CPI release are about it."""
        if self.at_ns is None or self.currency != "USD" or self.impact not in ("Low", "Medium", "High"):
            return False
        return _CPI.fullmatch(self.title.strip()) is not None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one source said at one moment."""

    name: str
    kind: Kind
    events: tuple[NewsEvent, ...]
    as_of_ns: int | None = None  # when it was fetched or written; None: that does not matter (past data)
    order_ns: int = 0  # which of two exports of one week is the newer one


@dataclass(frozen=True, slots=True)
class Change:
    """What the newest export of a week says differently from the one before it."""

    what: Literal["moved", "added", "gone", "re-forecast", "re-rated"]
    before: NewsEvent | None
    after: NewsEvent | None


@dataclass(frozen=True, slots=True)
class Calendar:
    """All sources together. `known`: stretches of time (UTC ns, rising, apart) about which a fresh source spoke."""

    events: tuple[NewsEvent, ...] = ()  # with a time, in order of it
    untimed: tuple[NewsEvent, ...] = ()
    known: tuple[tuple[int, int], ...] = ()
    sources: tuple[Snapshot, ...] = ()
    problems: tuple[str, ...] = ()  # sources that could not be read: one sentence each
    changes: tuple[Change, ...] = field(default=(), compare=False)

    def is_known(self, now_ns: int) -> bool:
        """Whether a fresh source spoke about this moment."""
        return any(start <= now_ns < end for start, end in self.known)

    def age_ns(self, now_ns: int) -> int | None:
        """Time since the newest source was made; None when no source says."""
        made = [source.as_of_ns for source in self.sources if source.as_of_ns is not None]
        return now_ns - max(made) if made else None


@lru_cache(maxsize=4096)
def _week_at(seconds: int) -> date:
    return week_of_day(datetime.fromtimestamp(seconds, NEW_YORK).date())


def week_of(at_ns: int) -> date:
    """The Sunday on which the week of this moment began in New York."""
    return _week_at(at_ns // NS_PER_S)


def week_of_day(day: date) -> date:
    """The Sunday of a day's week."""
    return day - timedelta(days=(day.weekday() + 1) % 7)


def week_ns(sunday: date) -> tuple[int, int]:
    """Start and end of a week, UTC ns; 167 or 169 hours where New York changes its clocks."""
    start, end = (datetime(day.year, day.month, day.day, tzinfo=NEW_YORK) for day in (sunday, sunday + timedelta(7)))
    return int(start.timestamp()) * NS_PER_S, int(end.timestamp()) * NS_PER_S


def main_week(events: Iterable[NewsEvent]) -> date | None:
    """The week that most rows with a time lie in."""
    weeks = Counter(week_of(event.at_ns) for event in events if event.at_ns is not None)
    return min(weeks, key=lambda week: (-weeks[week], week)) if weeks else None


def merge(snapshots: Sequence[Snapshot], problems: Sequence[str] = ()) -> Calendar:
    """One calendar of several sources, whatever order they come in; of equal ages the later one is the newer."""
    order = sorted(range(len(snapshots)), key=lambda number: (snapshots[number].order_ns, number))
    ordered = [snapshots[number] for number in order]
    newest: dict[date, tuple[NewsEvent, ...]] = {}
    before: dict[date, tuple[NewsEvent, ...]] = {}
    for snapshot in reversed([one for one in ordered if one.kind == "export"]):
        for week, rows in _by_week(snapshot.events).items():
            (before if week in newest else newest).setdefault(week, rows)
    changes = [change for week, rows in before.items() for change in differences(rows, newest[week])]
    found = [event for rows in newest.values() for event in rows]
    found += [event for one in ordered if one.kind == "ics" for event in one.events]
    found = _overruled(found, [event for one in ordered if one.kind == "user" for event in one.events])
    unique = dict.fromkeys(found)
    return Calendar(
        events=tuple(_once(sorted((e for e in unique if e.at_ns is not None), key=_key))),
        untimed=tuple(event for event in unique if event.at_ns is None),
        known=_known(ordered),
        sources=tuple(ordered),
        problems=tuple(problems),
        changes=tuple(changes),
    )


def _key(event: NewsEvent) -> tuple[int, str, str]:
    return event.at_ns or 0, event.currency, event.title.casefold()


def _once(events: Iterable[NewsEvent]) -> Iterable[NewsEvent]:
    """Rows that two sources tell in the same words count once: the first source's."""
    seen: set[tuple[int, str, str]] = set()
    for event in events:
        if _key(event) not in seen:
            seen.add(_key(event))
            yield event


def _by_week(events: Sequence[NewsEvent]) -> dict[date, tuple[NewsEvent, ...]]:
    """Rows by week; those of which not even the day is known go with most of their export."""
    weeks: dict[date, list[NewsEvent]] = {}
    usual = main_week(events)
    for event in events:
        week = week_of(event.at_ns) if event.at_ns is not None else week_of_day(event.day) if event.day else usual
        if week is not None:
            weeks.setdefault(week, []).append(event)
    return {week: tuple(rows) for week, rows in weeks.items()}


def _overruled(events: list[NewsEvent], own: list[NewsEvent]) -> list[NewsEvent]:
    """The owner's rows, and of the others those that they do not replace."""
    replaced = {_place(event) for event in own}
    return [event for event in own if event.impact != REMOVED] + [e for e in events if _place(e) not in replaced]


def _place(event: NewsEvent) -> tuple[str, str, date | None]:
    day = event.day
    if event.at_ns is not None:
        day = datetime.fromtimestamp(event.at_ns // NS_PER_S, NEW_YORK).date()
    return event.currency, event.title.strip().casefold(), day


def differences(before: Sequence[NewsEvent], after: Sequence[NewsEvent]) -> list[Change]:
    """From one export of a week to the next. Rows are known by currency and title, equal ones by their order."""
    old, new = _numbered(before), _numbered(after)
    found = [Change("gone", event, None) for key, event in old.items() if key not in new]
    for key, event in new.items():
        known = old.get(key)
        if known is None:
            found.append(Change("added", None, event))
        elif known.at_ns != event.at_ns:
            found.append(Change("moved", known, event))
        elif known.impact != event.impact:
            found.append(Change("re-rated", known, event))
        elif (known.forecast, known.previous) != (event.forecast, event.previous):
            found.append(Change("re-forecast", known, event))
    return found


def _numbered(events: Sequence[NewsEvent]) -> dict[tuple[str, str, int], NewsEvent]:
    seen: Counter[tuple[str, str]] = Counter()
    found = {}
    for event in events:
        name = event.currency, event.title.casefold()
        found[*name, seen[name]] = event
        seen[name] += 1
    return found


def _known(snapshots: Iterable[Snapshot]) -> tuple[tuple[int, int], ...]:
    """Stretches that are covered. An export speaks for its weeks, and a dated one until it is seven days old, too; the
    other files speak from the week of their first row to seven days after that of their last one.
    """
    spans: list[tuple[int, int]] = []
    for one in snapshots:
        times = [event.at_ns for event in one.events if event.at_ns is not None]
        if not times:
            continue
        if one.kind != "export":
            spans.append((week_ns(week_of(min(times)))[0], week_ns(week_of(max(times)))[1] + STALE_AFTER_NS))
            continue
        weeks = sorted({week_of(at_ns) for at_ns in times})
        stale_ns = FAR_AHEAD_NS if one.as_of_ns is None else one.as_of_ns + STALE_AFTER_NS
        spans += [(start, min(end, stale_ns)) for start, end in map(week_ns, weeks)]
        if one.as_of_ns is not None:
            spans.append((max(week_ns(weeks[0])[0], one.as_of_ns), stale_ns))
    return _joined(spans)


def _joined(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return tuple(found)


def high_impact_ns(calendar: Calendar, currency: str = "USD") -> tuple[int, ...]:
    """Times of high-impact news of a currency, rising, each once."""
    wanted = (event for event in calendar.events if event.impact == "High" and event.currency == currency)
    return tuple(sorted({event.at_ns for event in wanted if event.at_ns is not None}))


def undated(snapshot: Snapshot) -> Snapshot:
    """The same for past data, where the age of a file says nothing."""
    return replace(snapshot, as_of_ns=None)


def utc_text(at_ns: int) -> str:
    """For messages."""
    return f"{datetime.fromtimestamp(at_ns // NS_PER_S, UTC):%Y-%m-%d %H:%M} UTC"
