"""I28 as a property: no entry outside the window and nothing open at a deadline, on every weekday, near every edge.

The reference below knows nothing of the product: it is the firm's page of hours (topstep-rules.md section 3) and the
owner's hours in plain minutes, with offsets asked from zone data for each date. Holidays stand here a second time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tbot.domain.trading_hours import SessionCalendar, SessionTable, with_own_rows
from tbot.domain.trading_hours import SessionRow as Row
from tbot.storage.sessions import load_sessions

NS_PER_MIN = 60 * 10**9
EPOCH = date(1970, 1, 1)
ZONES = {"Chicago": ZoneInfo("America/Chicago"), "Helsinki": ZoneInfo("Europe/Helsinki")}

# "11:45" etc: the firm's close-by time in Chicago; "": closed all day. 2026: topstep-rules.md 3.3 and its last lines.
HOLIDAYS_2026 = {
    "2026-01-01": "", "2026-01-19": "11:45", "2026-02-16": "11:45", "2026-04-03": "08:00", "2026-05-25": "11:45",
    "2026-06-19": "11:45", "2026-07-03": "11:45", "2026-09-07": "11:45", "2026-11-26": "11:45", "2026-11-27": "12:00",
    "2026-12-24": "12:00", "2026-12-25": "",
}  # fmt: skip


def nth(year: int, month: int, weekday: int, number: int) -> date:
    """The nth Monday (0) ... Sunday (6) of a month; number -1: the last."""
    if number < 0:
        following = date(year + month // 12, month % 12 + 1, 1)
        return next(
            following - timedelta(days=n) for n in range(1, 8) if (following - timedelta(days=n)).weekday() == weekday
        )
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))


def easter(year: int) -> date:
    """Western Easter Sunday, by the anonymous Gregorian computation."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    k = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * k) // 451
    number = h + k - 7 * m + 114
    return date(year, number // 31, number % 31 + 1)


def holidays_by_rule(year: int) -> dict[str, str]:
    """A year of the same pattern, for the injected table: what the exchange has kept to for years."""

    def observed(day: date) -> date:
        return day + timedelta(days={5: -1, 6: 1}.get(day.weekday(), 0))

    thanksgiving = nth(year, 11, 3, 4)
    early = [nth(year, 1, 0, 3), nth(year, 2, 0, 3), nth(year, 5, 0, -1), nth(year, 9, 0, 1), thanksgiving]
    early += [observed(date(year, 6, 19)), observed(date(year, 7, 4))]
    found = {day.isoformat(): "11:45" for day in early}
    found[(easter(year) - timedelta(days=2)).isoformat()] = "08:00"
    found[(thanksgiving + timedelta(days=1)).isoformat()] = "12:00"
    found[observed(date(year, 12, 24)).isoformat()] = "12:00"
    for day in (date(year, 1, 1), date(year, 12, 25)):
        found[observed(day).isoformat()] = ""
    return {day: close for day, close in found.items() if day.startswith(str(year))}


def injected() -> SessionTable:
    """Two more years over the packaged table, as a person would add them."""
    rows = []
    for year in (2027, 2028):
        for day, close in holidays_by_rule(year).items():
            at = datetime.strptime(close, "%H:%M").time() if close else None
            rows.append(Row(date.fromisoformat(day), frozenset("*"), at, "by rule", date(2026, 11, 1)))
    return with_own_rows(load_sessions(), rows, [2027, 2028])


# ------------------------------------------------------------------------------------------------------ the reference
def minute_of(day: date, clock: str, zone: str) -> int:
    """Minutes since 1970 (UTC) of a wall clock "HH:MM" on a date: the clock's minutes less its offset at that time."""
    hour, minute = map(int, clock.split(":"))
    offset = datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONES[zone]).utcoffset()
    assert offset is not None
    return (day - EPOCH).days * 1440 + hour * 60 + minute - int(offset.total_seconds()) // 60


@dataclass(frozen=True)
class Hours:
    """Edges of one trading day in minutes since 1970."""

    start: int
    entries_until: int
    end: int
    deadlines: tuple[int, ...]
    others: tuple[int, ...]  # edges of the exchange and the firm that are no edge of ours


def reference(day: date, close_by: str | None) -> Hours | None:
    """`close_by` as in the holiday lists; None: an ordinary weekday."""
    if close_by == "":
        return None
    opened = minute_of(day - timedelta(days=1), "17:00", "Chicago")
    deadlines = [
        minute_of(day, "23:00", "Helsinki"),  # the owner's
        minute_of(day, "15:10", "Chicago"),  # the firm's
        minute_of(day, "16:00", "Chicago"),  # the exchange's halt
    ]
    if close_by:
        deadlines += [minute_of(day, close_by, "Chicago"), minute_of(day, close_by, "Chicago") + 15]
    end = min(deadlines) - 5
    start = max(minute_of(day, "02:00", "Helsinki"), opened + 5)
    others = (opened, minute_of(day, "17:00", "Chicago"), minute_of(day, "15:08", "Chicago"))
    return Hours(start, end - 10, end, tuple(deadlines), others)


def edge_minutes(hours: Hours) -> list[int]:
    """40 minutes: five around each of eight edges."""
    owner, firm, halt = hours.deadlines[:3]
    edges = [hours.start, hours.entries_until, hours.end, min(hours.deadlines), owner, firm, halt, hours.others[0]]
    return [edge + offset for edge in edges for offset in (-2, -1, 0, 1, 2)]


def weekdays(year: int) -> Iterator[date]:
    day = date(year, 1, 1)
    while day.year == year:
        if day.weekday() < 5:
            yield day
        day += timedelta(days=1)


def all_hours(year: int, holidays: dict[str, str]) -> dict[date, Hours | None]:
    """Every day of a year and its neighbours, weekends included."""
    found: dict[date, Hours | None] = {}
    day = date(year, 1, 1) - timedelta(days=3)
    while day < date(year + 1, 1, 4):
        found[day] = reference(day, holidays.get(day.isoformat())) if day.weekday() < 5 else None
        day += timedelta(days=1)
    return found


def expected(minute: int, around: list[Hours | None]) -> tuple[bool, bool]:
    """(entries allowed, everything must be flat) at a moment, by the hours of the days around it."""
    entries = any(hours is not None and hours.start <= minute < hours.entries_until for hours in around)
    inside = any(hours is not None and hours.start <= minute < hours.end for hours in around)
    return entries, not inside


@pytest.mark.parametrize("year", [2026, 2027, 2028])
@pytest.mark.parametrize("contract", [None, "MNQ", "GC"])
def test_I28_F_TIM_04_F_TIM_05_every_weekday_and_40_edge_minutes(year: int, contract: str | None) -> None:
    calendar = SessionCalendar(load_sessions() if year == 2026 else injected())
    holidays = HOLIDAYS_2026 if year == 2026 else holidays_by_rule(year)
    hours = all_hours(year, holidays)
    days = checked = allowed = 0
    for day in weekdays(year):
        own = hours[day]
        around = [hours[day - timedelta(days=1)], own, hours[day + timedelta(days=1)]]
        # A closed day is looked at where an ordinary one has its edges.
        for minute in edge_minutes(own or reference(day, None)):  # type: ignore[arg-type]
            for ns in (minute * NS_PER_MIN, minute * NS_PER_MIN - 1):
                entries, flat = expected(ns // NS_PER_MIN, around)
                found = calendar.entries_allowed(ns, contract), calendar.flat_due(ns, contract)
                assert found == (entries, flat), (day, datetime.fromtimestamp(ns / 1e9, ZONES["Chicago"]))
                assert bool(calendar.entry_refusal(ns, contract)) == (not entries)
                allowed += entries
                checked += 1
        if own is not None:
            window = calendar.window(day, contract)
            assert window is not None
            assert window.end_ns == own.end * NS_PER_MIN
            assert all(window.end_ns + 5 * NS_PER_MIN <= at * NS_PER_MIN for at in own.deadlines)
            assert not window.template
        days += 1
    assert days in (260, 261)
    assert checked == days * 80
    assert allowed == 10 * sum(hours[day] is not None for day in weekdays(year))  # 2 minutes of 1 edge, 3 of another


@pytest.mark.parametrize("year", [2025, 2027, 2030])
def test_I28_F_TIM_05_a_year_that_is_not_covered_takes_no_entry_on_any_weekday(year: int) -> None:
    calendar = SessionCalendar(load_sessions())
    for day in weekdays(year):
        hours = reference(day, None)
        assert hours is not None
        for minute in edge_minutes(hours):
            # The last evening of the year before is the first trading day of an uncovered one, and the other way round.
            if hours.start <= minute:
                assert not calendar.entries_allowed(minute * NS_PER_MIN)
                assert calendar.flat_due(minute * NS_PER_MIN)
                assert calendar.entry_refusal(minute * NS_PER_MIN)


def test_F_TIM_04_the_weeks_between_the_two_clock_changes_end_earlier_for_the_owner() -> None:
    """topstep-rules.md 3.4 in its own figures: 22:10 Helsinki instead of 23:00."""
    calendar = SessionCalendar(injected())
    weeks = [("2026-03-08", "2026-03-29"), ("2026-10-25", "2026-11-01"), ("2027-03-14", "2027-03-28"),
             ("2027-10-31", "2027-11-07"), ("2028-03-12", "2028-03-26"), ("2028-10-29", "2028-11-05")]  # fmt: skip
    between = {
        day
        for first, last in weeks
        for year in (2026, 2027, 2028)
        for day in weekdays(year)
        if date.fromisoformat(first) <= day < date.fromisoformat(last)
    }
    assert len(between) == 15 + 5 + 10 + 5 + 10 + 5
    early = {
        day for year in (2026, 2027, 2028) for day in [*map(date.fromisoformat, HOLIDAYS_2026 | holidays_by_rule(year))]
    }
    for year in (2026, 2027, 2028):
        for day in weekdays(year):
            window = calendar.window(day)
            if window is None or day in early:
                continue
            shown = datetime.fromtimestamp(window.flat_by_ns / 1e9, ZONES["Helsinki"])
            assert f"{shown:%H:%M}" == ("22:10" if day in between else "23:00"), day


def test_the_rules_that_make_the_injected_years_give_the_published_year() -> None:
    """The rules are no invention: for 2026 they give the firm's own list."""
    assert holidays_by_rule(2026) == HOLIDAYS_2026
    assert easter(2026) == date(2026, 4, 5)
    assert easter(2027) == date(2027, 3, 28)
    assert easter(2028) == date(2028, 4, 16)
