"""Trading hours against values worked out by hand and against a second, differently built oracle."""

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from shared_data import shared
from tbot.domain import trading_hours
from tbot.domain.trading_hours import (
    OperatingHours,
    SessionCalendar,
    SessionRow,
    SessionTable,
    check_zone_data,
    trading_day,
    trading_day_start_ns,
)
from tbot.errors import ConfigError
from tbot.storage.sessions import load_sessions

MINUTE = 60_000_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
HELSINKI, CHICAGO = ZoneInfo("Europe/Helsinki"), ZoneInfo("America/Chicago")


def utc(text: str) -> int:
    """UTC ns of "2026-11-20 14:30"."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


@pytest.fixture(scope="module")
def calendar() -> SessionCalendar:
    return SessionCalendar(load_sessions())


@pytest.fixture(scope="module")
def template() -> SessionCalendar:
    return SessionCalendar(load_sessions(), template_ok=True)


# Worked out by hand from the two zones' offsets: Chicago is UTC-6 (winter) or UTC-5 (from 8 March to 1 November 2026),
# Helsinki UTC+2 or UTC+3 (from 29 March to 25 October). Columns: trading day, start, last entry before, end, deadline.
BY_HAND = [
    # winter, 8 hours apart: 02:00 Helsinki = 00:00 UTC; 23:00 Helsinki = 21:00 UTC comes before 15:10 CT = 21:10 UTC
    ("2026-01-02", "2026-01-02 00:00", "2026-01-02 20:45", "2026-01-02 20:55", "2026-01-02 21:00"),
    ("2026-03-06", "2026-03-06 00:00", "2026-03-06 20:45", "2026-03-06 20:55", "2026-03-06 21:00"),
    # 7 hours apart: 15:10 CT = 20:10 UTC (22:10 Helsinki) comes first
    ("2026-03-09", "2026-03-09 00:00", "2026-03-09 19:55", "2026-03-09 20:05", "2026-03-09 20:10"),
    ("2026-03-18", "2026-03-18 00:00", "2026-03-18 19:55", "2026-03-18 20:05", "2026-03-18 20:10"),
    ("2026-03-27", "2026-03-27 00:00", "2026-03-27 19:55", "2026-03-27 20:05", "2026-03-27 20:10"),
    # both on summer time: 02:00 Helsinki = 23:00 UTC of the day before, 23:00 Helsinki = 20:00 UTC
    ("2026-03-30", "2026-03-29 23:00", "2026-03-30 19:45", "2026-03-30 19:55", "2026-03-30 20:00"),
    ("2026-07-01", "2026-06-30 23:00", "2026-07-01 19:45", "2026-07-01 19:55", "2026-07-01 20:00"),
    ("2026-10-23", "2026-10-22 23:00", "2026-10-23 19:45", "2026-10-23 19:55", "2026-10-23 20:00"),
    # Europe back on winter time, America not yet
    ("2026-10-26", "2026-10-26 00:00", "2026-10-26 19:55", "2026-10-26 20:05", "2026-10-26 20:10"),
    ("2026-10-30", "2026-10-30 00:00", "2026-10-30 19:55", "2026-10-30 20:05", "2026-10-30 20:10"),
    ("2026-11-02", "2026-11-02 00:00", "2026-11-02 20:45", "2026-11-02 20:55", "2026-11-02 21:00"),
    # early closes: 11:45 CT is 17:45 UTC in winter and 16:45 in summer; 08:00 CT is 13:00; 12:00 CT is 18:00 in winter
    ("2026-01-19", "2026-01-19 00:00", "2026-01-19 17:30", "2026-01-19 17:40", "2026-01-19 17:45"),
    ("2026-02-16", "2026-02-16 00:00", "2026-02-16 17:30", "2026-02-16 17:40", "2026-02-16 17:45"),
    ("2026-04-03", "2026-04-02 23:00", "2026-04-03 12:45", "2026-04-03 12:55", "2026-04-03 13:00"),
    ("2026-05-25", "2026-05-24 23:00", "2026-05-25 16:30", "2026-05-25 16:40", "2026-05-25 16:45"),
    ("2026-06-19", "2026-06-18 23:00", "2026-06-19 16:30", "2026-06-19 16:40", "2026-06-19 16:45"),
    ("2026-07-03", "2026-07-02 23:00", "2026-07-03 16:30", "2026-07-03 16:40", "2026-07-03 16:45"),
    ("2026-09-07", "2026-09-06 23:00", "2026-09-07 16:30", "2026-09-07 16:40", "2026-09-07 16:45"),
    ("2026-11-26", "2026-11-26 00:00", "2026-11-26 17:30", "2026-11-26 17:40", "2026-11-26 17:45"),
    ("2026-11-27", "2026-11-27 00:00", "2026-11-27 17:45", "2026-11-27 17:55", "2026-11-27 18:00"),
    ("2026-12-24", "2026-12-24 00:00", "2026-12-24 17:45", "2026-12-24 17:55", "2026-12-24 18:00"),
    ("2026-12-28", "2026-12-28 00:00", "2026-12-28 20:45", "2026-12-28 20:55", "2026-12-28 21:00"),
]


@pytest.mark.parametrize(("day", "start", "entries_until", "end", "flat_by"), BY_HAND)
def test_windows_worked_out_by_hand_F_TIM_04(
    calendar: SessionCalendar, day: str, start: str, entries_until: str, end: str, flat_by: str
) -> None:
    window = calendar.window(date.fromisoformat(day))
    assert window is not None
    assert window.start_ns == utc(start)
    assert window.entries_until_ns == utc(entries_until)
    assert window.end_ns == utc(end)
    assert window.flat_by_ns == utc(flat_by)
    assert not window.template


@pytest.mark.parametrize("day", ["2026-01-01", "2026-12-25", "2027-01-01", "2026-11-21", "2026-11-22"])
def test_closed_days_and_weekends_have_no_window(template: SessionCalendar, day: str) -> None:
    assert template.window(date.fromisoformat(day)) is None


# ------------------------------------------------------------------------------------------------- I28: the property
CLOSE_BY = {
    date(2026, 1, 19): time(11, 45),
    date(2026, 2, 16): time(11, 45),
    date(2026, 4, 3): time(8, 0),
    date(2026, 5, 25): time(11, 45),
    date(2026, 6, 19): time(11, 45),
    date(2026, 7, 3): time(11, 45),
    date(2026, 9, 7): time(11, 45),
    date(2026, 11, 26): time(11, 45),
    date(2026, 11, 27): time(12, 0),
    date(2026, 12, 24): time(12, 0),
}
CLOSED = {date(2026, 1, 1), date(2026, 12, 25), date(2027, 1, 1)}


def minutes_of(at: datetime) -> int:
    return at.hour * 60 + at.minute


def oracle(now_ns: int) -> tuple[bool, bool]:
    """(entries allowed, flat due) from two wall clocks only, in minutes of the day; full minutes only."""
    at = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    helsinki, chicago = at.astimezone(HELSINKI), at.astimezone(CHICAGO)
    # Trading hours of one trading day lie inside one Helsinki date, which is the trading day's own date.
    day = helsinki.date()
    if day.weekday() > 4 or day in CLOSED or minutes_of(helsinki) < 2 * 60:
        return False, True
    close_by = CLOSE_BY.get(day, time(15, 10))
    left_helsinki = 23 * 60 - minutes_of(helsinki)
    left_firm = close_by.hour * 60 + close_by.minute - minutes_of(chicago)
    if chicago.date() < day:  # still the evening before in Chicago
        left_firm += 24 * 60
        if minutes_of(chicago) < 17 * 60 + 5:
            return False, True
    left = min(left_helsinki, left_firm)
    return left > 15, left <= 5


def test_I28_every_day_of_two_years_against_the_two_wall_clocks(template: SessionCalendar) -> None:
    """Every date of 2026 and 2027, every full minute near an edge of any kind and every quarter of an hour between."""
    edges = {t for h in range(24) for t in (h * 60, h * 60 + 15, h * 60 + 30, h * 60 + 45)}
    for hour in (12, 13, 16.75, 17.75, 18, 20, 20.25, 21, 22, 23):
        edges |= {int(hour * 60) + minute for minute in range(-23, 7)}
    checked = 0
    midnight = utc("2026-01-01 00:00")
    for number in range(365 + 365):
        for minute in sorted(edges):
            now = midnight + number * DAY + minute * MINUTE
            entries, flat = oracle(now)
            assert template.entries_allowed(now) == entries, datetime.fromtimestamp(now / 1e9, UTC)
            assert template.flat_due(now) == flat, datetime.fromtimestamp(now / 1e9, UTC)
            assert (template.entry_refusal(now) == "") == entries
            checked += entries
    assert checked > 20_000


def test_I28_no_entry_one_nanosecond_outside_and_end_before_every_deadline(template: SessionCalendar) -> None:
    day = date(2026, 1, 1)
    windows = 0
    while day < date(2028, 1, 1):
        window = template.window(day)
        day += timedelta(days=1)
        if window is None:
            continue
        windows += 1
        assert template.entries_allowed(window.start_ns)
        assert not template.entries_allowed(window.start_ns - 1)
        assert template.flat_due(window.start_ns - 1)
        assert template.entries_allowed(window.entries_until_ns - 1)
        assert not template.entries_allowed(window.entries_until_ns)
        assert not template.flat_due(window.end_ns - 1)
        assert template.flat_due(window.end_ns)
        assert window.end_ns - window.entries_until_ns == 10 * MINUTE
        # Five whole minutes in which the firm still takes orders and the exchange still trades.
        for at in (window.end_ns, window.end_ns + 5 * MINUTE - 1):
            assert template.orders_accepted(at)
            assert template.is_open(at)
        inside = datetime.fromtimestamp(window.start_ns // 1_000_000_000, UTC).astimezone(HELSINKI)
        assert (inside.hour, inside.minute) == (2, 0)
        assert trading_day_start_ns(window.start_ns) == trading_day_start_ns(window.end_ns)
    assert windows == 522 - 3  # weekdays of the two years less the three closed days


# ---------------------------------------------------------------------------------------------------- trading day
@pytest.mark.parametrize(
    ("at", "named", "started"),
    [
        ("2026-11-20 22:59", "2026-11-20", "2026-11-19 23:00"),  # Friday, 16:59 CT
        ("2026-11-20 23:00", "2026-11-21", "2026-11-20 23:00"),  # 17:00 CT: the next day begins
        ("2026-11-22 23:00", "2026-11-23", "2026-11-22 23:00"),  # Sunday's open belongs to Monday
        ("2026-07-01 21:59", "2026-07-01", "2026-06-30 22:00"),  # summer: 17:00 CT is 22:00 UTC
        ("2026-07-01 22:00", "2026-07-02", "2026-07-01 22:00"),
        ("2026-03-08 21:59", "2026-03-08", "2026-03-07 23:00"),  # the clock change shortens this day to 23 hours
        ("2026-03-08 22:00", "2026-03-09", "2026-03-08 22:00"),
        ("2026-11-01 22:59", "2026-11-01", "2026-10-31 22:00"),  # and lengthens this one to 25
    ],
)
def test_trading_day_turns_at_17_chicago_F_TIM_08(at: str, named: str, started: str) -> None:
    assert trading_day(utc(at)) == date.fromisoformat(named)
    assert trading_day_start_ns(utc(at)) == utc(started)


def test_trading_days_tile_time_without_gap_or_overlap(template: SessionCalendar) -> None:
    now = utc("2026-01-01 12:00")
    while now < utc("2028-01-01 00:00"):
        held = template.trading_day(now)
        assert held.start_ns <= now < held.end_ns
        following = template.trading_day(held.end_ns)
        assert following.start_ns == held.end_ns
        assert following.day == held.day + timedelta(days=1)
        now = held.end_ns


# --------------------------------------------------------------------------------------- exchange and order windows
@pytest.mark.parametrize(
    ("at", "is_open", "orders"),
    [
        ("2026-11-20 14:30", True, True),  # Friday, 09:30 New York
        ("2026-11-20 21:09", True, True),
        ("2026-11-20 21:10", True, False),  # 15:10 CT: the market trades, the firm refuses
        ("2026-11-20 21:59", True, False),
        ("2026-11-20 22:00", False, False),  # the week's end
        ("2026-11-21 12:00", False, False),
        ("2026-11-22 22:59", False, False),
        ("2026-11-22 23:00", True, True),  # Sunday 17:00 CT
        ("2026-11-23 22:30", False, False),  # the daily break
        ("2026-11-23 23:00", True, True),
        ("2026-11-26 17:44", True, True),  # Thanksgiving
        ("2026-11-26 17:45", True, False),
        ("2026-11-26 18:00", False, False),
        ("2026-11-26 23:00", True, True),  # reopens Thursday 17:00 CT
        ("2026-11-27 17:59", True, True),
        ("2026-11-27 18:00", True, False),
        ("2026-11-27 18:15", False, False),
        ("2026-12-24 23:00", False, False),  # no session on Christmas
        ("2026-12-25 15:00", False, False),
        ("2026-12-27 23:00", True, True),
    ],
)
def test_exchange_session_and_order_window(calendar: SessionCalendar, at: str, is_open: bool, orders: bool) -> None:
    assert calendar.is_open(utc(at)) == is_open
    assert calendar.orders_accepted(utc(at)) == orders


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-11-20 14:30", "2026-11-20 14:30"),
        ("2026-11-20 22:00", "2026-11-22 23:00"),
        ("2026-11-26 18:00", "2026-11-26 23:00"),
        ("2026-12-24 18:15", "2026-12-27 23:00"),
        ("2026-12-31 22:00", "2027-01-03 23:00"),
        ("2026-03-06 22:00", "2026-03-08 22:00"),
    ],
)
def test_next_open(calendar: SessionCalendar, at: str, opens: str) -> None:
    assert calendar.next_open_ns(utc(at)) == utc(opens)


def test_next_window_after_friday_is_monday(calendar: SessionCalendar) -> None:
    window = calendar.next_window(utc("2026-11-20 21:00"))
    assert window is not None
    assert window.day == date(2026, 11, 23)
    assert calendar.next_window(utc("2026-12-31 21:30")) is None


# ----------------------------------------------------------------------------------------------------- zone data
MISSING = """
import sys
sys.modules["tzdata"] = None
from tbot.errors import ConfigError
try:
    import tbot.domain.trading_hours
except ConfigError as error:
    print(error)
"""


def test_F_TIM_04_missing_zone_data_is_one_sentence_with_a_way_out() -> None:
    command = [sys.executable, "-c", MISSING]
    done = subprocess.run(command, env={"PYTHONTZPATH": ""}, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "there is no time-zone data for 'America/Chicago'; install it: pip install tzdata\n"


def test_F_TIM_04_zone_data_is_checked_for_what_it_must_know(monkeypatch: pytest.MonkeyPatch) -> None:
    for year in (2026, 2027, 2028):
        check_zone_data(year)
    with pytest.raises(ConfigError, match="no time-zone data for 'Europe/Nowhere'"):
        check_zone_data(2026, "Europe/Nowhere")
    with pytest.raises(ConfigError, match=r"no time-zone data for '\.\./etc'"):
        SessionCalendar(load_sessions(), hours=OperatingHours(zone="../etc"))
    monkeypatch.setattr(trading_hours, "ZoneInfo", lambda name: ZoneInfo("UTC"))
    with pytest.raises(ConfigError, match="America/Chicago is not right"):
        check_zone_data(2026)


# ----------------------------------------------------------------------------------------- years outside the table
def test_an_uncovered_year_refuses_and_says_why_F_TIM_05(calendar: SessionCalendar) -> None:
    now = utc("2027-03-03 15:00")
    assert not calendar.covers(2027)
    assert calendar.window(date(2027, 3, 3)) is None
    assert not calendar.entries_allowed(now)
    assert calendar.flat_due(now)
    assert "2027" in calendar.entry_refusal(now)
    assert calendar.is_open(now)  # the weekly pattern: says nothing about permission


def test_the_template_serves_simulations_and_marks_its_windows(template: SessionCalendar) -> None:
    window = template.window(date(2027, 3, 3))
    assert window is not None
    assert window.template
    assert template.entries_allowed(utc("2027-03-03 15:00"))
    covered = template.window(date(2026, 3, 3))
    assert covered is not None
    assert not covered.template


def test_refusals_name_the_edge_in_both_zones(calendar: SessionCalendar) -> None:
    texts = {
        "2026-11-19 23:30": "the trading window of 2026-11-20 opens at 02:00 Helsinki (18:00 Chicago)",
        "2026-11-20 20:50": "no entries after 22:45 Helsinki (14:45 Chicago): the window ends soon",
        "2026-11-20 20:55": "the trading window of 2026-11-20 ended at 22:55 Helsinki (14:55 Chicago)",
        "2026-11-21 12:00": "the exchange is closed on 2026-11-21 (weekend)",
        "2026-12-25 12:00": "the exchange is closed on 2026-12-25 (Christmas Day)",
    }
    for at, text in texts.items():
        assert calendar.entry_refusal(utc(at)) == text


# ------------------------------------------------------------------------------------------------ contracts, hours
def row(day: str, products: str, close: time | None) -> SessionRow:
    return SessionRow(date.fromisoformat(day), frozenset(products.split()), close, "test", date(2026, 1, 1))


def test_a_row_binds_its_products_and_the_question_for_all_contracts() -> None:
    rows = (row("2026-03-03", "GC MGC", time(13, 0)), row("2026-03-03", "ES", time(12, 0)))
    calendar = SessionCalendar(SessionTable(frozenset({2026}), rows))
    day = date(2026, 3, 3)
    ends = {contract: calendar.window(day, contract) for contract in ("GC", "ES", "NQ", None)}
    assert {contract: window and window.flat_by_ns for contract, window in ends.items()} == {
        "GC": utc("2026-03-03 19:00"),
        "ES": utc("2026-03-03 18:00"),
        "NQ": utc("2026-03-03 21:00"),
        None: utc("2026-03-03 18:00"),
    }
    # Answers for several contracts are kept apart.
    now = utc("2026-03-03 18:30")
    assert [calendar.entries_allowed(now, contract) for contract in ("GC", "ES", "NQ")] == [True, False, True]


def test_a_session_that_ends_before_the_window_opens_has_none() -> None:
    table = SessionTable(frozenset({2026}), (row("2026-03-03", "*", time(0, 5)),))
    late = SessionCalendar(table, hours=OperatingHours(start=time(8, 0)))
    now = utc("2026-03-03 05:00")
    assert late.window(date(2026, 3, 3)) is None
    assert late.flat_due(now)
    assert "ends before" in late.entry_refusal(now)


def test_the_start_waits_five_minutes_after_the_open() -> None:
    early = SessionCalendar(load_sessions(), hours=OperatingHours(start=time(0, 0)))
    window = early.window(date(2026, 11, 20))
    assert window is not None
    assert window.start_ns == utc("2026-11-19 23:05")


def test_always_open_has_no_hours() -> None:
    calendar = SessionCalendar(load_sessions(), always=True)
    now = utc("2027-01-01 00:00")
    for step in range(0, 15 * 24 * 60, 7):
        at = now + step * MINUTE
        assert calendar.entries_allowed(at)
        assert calendar.is_open(at)
        assert calendar.orders_accepted(at)
        assert not calendar.flat_due(at)


# --------------------------------------------------------------------------------------------- real bars agree
KNOWN_BAD = {  # stamped inside the daily break; the data's README names the first
    "NQ": {"2026-03-18 21:00"},
    "ES": set(),
    "MES": set(),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("symbol", sorted(KNOWN_BAD))
def test_every_real_bar_lies_in_an_open_session(calendar: SessionCalendar, symbol: str) -> None:
    """Two months with Presidents' Day and the American clock change, as the broker delivered them."""
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(shared(f"market/bars_1m/{symbol}_1m_tsx_20260120_20260318.parquet"), columns=["ts"])
    stamps = [int(at.timestamp()) * 1_000_000_000 for at in table["ts"].to_pylist()]
    assert len(stamps) > 50_000
    outside = {at for at in stamps if not calendar.is_open(at)}
    assert outside == {utc(text) for text in KNOWN_BAD[symbol]}
    # And the edges are tight: on the early close the last minute before it traded, as did the first after the break.
    assert {utc("2026-02-16 17:59"), utc("2026-02-16 23:00"), utc("2026-03-08 22:00")} <= set(stamps)
