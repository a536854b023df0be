"""The session table: what is packaged, and that nothing half understood is accepted."""

from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.domain.trading_hours import SessionCalendar, SessionRow, SessionTable, loosened, table_hash, with_own_rows
from tbot.errors import ConfigError
from tbot.storage.sessions import effective_sessions, load_sessions, own_sessions

CHICAGO = ZoneInfo("America/Chicago")
GOOD = """
years = [2030]
[[session]]
date = 2030-12-24
close_ct = 12:00:00
products = ["*"]
source = "a page"
checked_on = 2030-01-02
"""


def test_the_packaged_table_is_complete_for_2026() -> None:
    table = load_sessions()
    assert table.years == {2026}
    rows = {row.day: row.close_ct for row in table.rows}
    first, second = ["01-19", "02-16", "04-03", "05-25", "06-19"], ["07-03", "09-07", "11-26", "11-27", "12-24"]
    early = {f"2026-{text}" for text in first + second}
    closed = {"2026-01-01", "2026-12-25", "2027-01-01"}
    assert {day.isoformat() for day, close in rows.items() if close} == early
    assert {day.isoformat() for day, close in rows.items() if close is None} == closed
    assert all(row.source.startswith("https://") and row.products == {"*"} and row.name for row in table.rows)
    assert all(day.weekday() < 5 for day in rows)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "sessions.toml"
    path.write_text(GOOD)
    table = load_sessions(path)
    assert table.years == {2030}
    assert [(row.day, row.close_ct, row.checked_on) for row in table.rows] == [
        (date(2030, 12, 24), time(12, 0), date(2030, 1, 2))
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("years = [2030]", "years = 2030", "years"),
        ("years = [2030]", "", "years"),
        ("years = [2030]", "years = [2030]\nholidays = 1", "unknown key 'holidays'"),
        ("date = 2030-12-24", 'date = "2030-12-24"', "needs a date"),
        ("date = 2030-12-24", "date = 2030-12-24T00:00:00", "needs a date"),
        ("close_ct = 12:00:00", "close_cst = 12:00:00", "unknown key 'close_cst'"),
        ("close_ct = 12:00:00", "", "either close_ct or closed"),
        ("close_ct = 12:00:00", "close_ct = 12:00:00\nclosed = true", "either close_ct or closed"),
        ("close_ct = 12:00:00", 'close_ct = "12:00"', "close_ct must be a time"),
        ('products = ["*"]', 'products = "*"', "products"),
        ('products = ["*"]', "products = []", "products"),
        ("years = [2030]", "years = [true]", "years"),
        ("date = 2030-12-24", "date = 2030-12-22", "that is a Sunday"),
        ("close_ct = 12:00:00", "close_ct = 15:30:00", "at most 15:10"),
        ("close_ct = 12:00:00", "close_ct = 00:00:00", "close_ct must be a time"),
        ("close_ct = 12:00:00", "close_ct = 12:00:00\noverride = true", "unknown key 'override'"),
        ('source = "a page"', "", "source"),
        ("checked_on = 2030-01-02", "", "checked_on"),
        ("years = [2030]", "years = [", "cannot be read"),
        ("checked_on = 2030-01-02", "checked_on = 2030-01-02\n" + GOOD.partition("\n")[2].partition("\n")[2], "two"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    path = tmp_path / "sessions.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError, match=words) as caught:
        load_sessions(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_sessions(tmp_path / "none.toml")


# ------------------------------------------------------------------------------------------------- a person's own rows
ROW = """
[[session]]
date = {day}
{close}
products = {products}
source = "a notice of the firm"
checked_on = 2026-11-01
{more}
"""


def own(folder: Path, *rows: tuple[str, str, str, str], years: str = "") -> SessionTable:
    """Effective table with rows of (day, close, products, more); close "closed" is a whole day."""
    path = folder / "sessions.toml"
    texts = [f"years = [{years}]" if years else ""]
    for day, close, products, more in rows:
        line = "closed = true" if close == "closed" else f"close_ct = {close}"
        texts.append(ROW.format(day=day, close=line, products=products, more=more))
    path.write_text("".join(texts))
    return effective_sessions(path)


def flat_by(table: SessionTable, day: str, contract: str | None = None) -> str:
    """Deadline of a day in Chicago, "none" without a window."""
    window = SessionCalendar(table).window(date.fromisoformat(day), contract)
    if window is None:
        return "none"
    return f"{datetime.fromtimestamp(window.flat_by_ns / 1e9, CHICAGO):%H:%M}"


def test_F_TIM_05_own_rows_add_days_and_are_stricter_without_a_word(tmp_path: Path) -> None:
    table = own(tmp_path, ("2026-12-31", "12:00:00", '["*"]', ""), ("2026-11-27", "closed", '["*"]', ""))
    assert flat_by(table, "2026-12-31") == "12:00"
    assert flat_by(table, "2026-11-27") == "none"
    assert flat_by(table, "2026-11-26") == "11:45"
    assert table.years == {2026}
    assert loosened(table) == []
    assert table_hash(table) != table_hash(load_sessions())


def test_F_TIM_05_own_rows_may_bind_one_product_more_strictly(tmp_path: Path) -> None:
    table = own(tmp_path, ("2026-11-27", "11:00:00", '["MGC", "GC"]', ""))
    assert (flat_by(table, "2026-11-27", "GC"), flat_by(table, "2026-11-27", "ES")) == ("11:00", "12:00")


def test_F_TIM_05_a_holiday_is_not_loosened_by_a_slip_of_the_pen(tmp_path: Path) -> None:
    for day, close in (("2026-11-27", "12:01:00"), ("2026-12-25", "08:00:00"), ("2026-11-26", "15:10:00")):
        with pytest.raises(ConfigError, match=f"row {day}: .*looser than the packaged .*override = true and a reason"):
            own(tmp_path, (day, close, '["*"]', ""))
    for more in (
        "override = true",
        'reason = "because"',
        'override = true\nreason = "  "',
        'override = 1\nreason = "x"',
    ):
        with pytest.raises(ConfigError, match="row 2026-11-27: override"):
            own(tmp_path, ("2026-11-27", "13:00:00", '["*"]', more))
    said = 'override = true\nreason = "mail of the firm, 20 November"'
    with pytest.raises(ConfigError, match="name all products"):
        own(tmp_path, ("2026-11-27", "13:00:00", '["GC"]', said))
    table = own(tmp_path, ("2026-11-27", "13:00:00", '["*"]', said))
    assert flat_by(table, "2026-11-27") == "13:00"
    assert loosened(table) == ["2026-11-27 (13:00 Chicago): mail of the firm, 20 November"]


def test_F_TIM_05_years_are_added_only_with_their_holidays(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="year 2027 is declared complete, but has no row"):
        own(tmp_path, years="2027")
    table = own(tmp_path, ("2027-12-24", "closed", '["*"]', ""), years="2027, 2026")
    assert table.years == {2026, 2027}
    assert flat_by(table, "2027-01-01") == "none"  # the packaged row stays
    assert flat_by(table, "2027-03-03") == "15:00"
    assert flat_by(load_sessions(), "2027-03-03") == "none"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("session = 1", r"\[\[session\]\]"),
        ("session = [1]", r"\[\[session\]\]"),
        ("years = [1999]", "years"),
        ("holidays = 1", "unknown key"),
        ("years = [", "cannot be read"),
    ],
)
def test_own_rows_that_are_not_understood_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "sessions.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        effective_sessions(path)
    assert str(path) in str(caught.value)


def test_two_own_rows_for_one_day_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two session rows for MGC on 2026-12-31"):
        own(tmp_path, ("2026-12-31", "12:00:00", '["MGC"]', ""), ("2026-12-31", "11:00:00", '["GC", "MGC"]', ""))


def test_where_own_rows_are_looked_for(tmp_path: Path) -> None:
    assert own_sessions(tmp_path) is None
    assert effective_sessions(None) == load_sessions()
    (tmp_path / "sessions.toml").write_text("")
    assert own_sessions(tmp_path) == tmp_path / "sessions.toml"
    assert effective_sessions(own_sessions(tmp_path)).rows == load_sessions().rows
    assert own_sessions(tmp_path, "/elsewhere/rows.toml") == Path("/elsewhere/rows.toml")
    with pytest.raises(ConfigError, match="cannot be read"):  # named but not there: not the same as none
        effective_sessions(own_sessions(tmp_path, str(tmp_path / "none.toml")))


DAYS = st.sampled_from([date(2026, 11, 26), date(2026, 11, 27), date(2026, 12, 25), date(2026, 12, 30)])
NAMES = st.sets(st.sampled_from(["*", "GC", "MGC", "ES"]), min_size=1).map(frozenset)
CLOSES = st.none() | st.sampled_from([time(8), time(11, 45), time(12), time(15, 10)])
ROWS = st.builds(SessionRow, DAYS, NAMES, CLOSES, st.just("s"), st.just(date(2026, 1, 1)))
LISTS = st.lists(ROWS, max_size=4, unique_by=lambda row: row.day)
TABLES = LISTS.map(lambda rows: SessionTable(frozenset({2026}), tuple(rows)))


@given(TABLES, LISTS)
def test_I28_own_rows_without_override_never_make_a_deadline_later(table: SessionTable, rows: list[SessionRow]) -> None:
    try:
        together = with_own_rows(table, rows, [])
    except ValueError:
        return
    before, after = SessionCalendar(table), SessionCalendar(together)
    for day in (date(2026, 11, 26), date(2026, 11, 27), date(2026, 12, 25), date(2026, 12, 30)):
        for contract in ("GC", "MGC", "ES", "NQ", None):
            new, old = after.window(day, contract), before.window(day, contract)
            assert new is None or (old is not None and new.flat_by_ns <= old.flat_by_ns)
            for row in rows:  # and the person's rows hold
                if row.day == day and row.concerns(contract):
                    alone = SessionCalendar(SessionTable(frozenset({2026}), (row,))).window(day, contract)
                    assert new is None or (alone is not None and new.flat_by_ns <= alone.flat_by_ns)


@given(TABLES)
def test_I15_a_table_goes_through_json_unchanged(table: SessionTable) -> None:
    text = msgspec.json.encode(table)
    again = msgspec.json.decode(text, type=SessionTable)
    assert again == table
    assert table_hash(again) == table_hash(table)
