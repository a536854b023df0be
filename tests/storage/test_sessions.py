"""The session table: what is packaged, and that nothing half understood is accepted."""

from datetime import date, time
from pathlib import Path

import pytest

from tbot.errors import ConfigError
from tbot.storage.sessions import load_sessions

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
