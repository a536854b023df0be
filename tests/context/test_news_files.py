"""Readers of news files: real weekly exports, ICS, the owner's rows; what is no news file is one sentence."""

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared_data import shared
from tbot.context.news import EVERYBODY, Calendar, NewsEvent, high_impact_ns
from tbot.context.news_files import collect, read_file, read_files, weekly
from tbot.errors import DataError

SECOND = 10**9


def week(path: Path, *events: dict[str, Any]) -> Path:
    plain = {"title": "Core CPI m/m", "country": "USD", "impact": "High", "forecast": "0.3%", "previous": "0.2%"}
    path.write_text(json.dumps([plain | event for event in events]))
    return path


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


def test_V12_high_impact_dollar_news_with_a_time_and_each_once(tmp_path: Path) -> None:
    one = week(
        tmp_path / "one.json",
        {"date": "2026-08-12T08:30:00-04:00"},
        {"date": "2026-08-12T08:30:00-04:00", "title": "CPI y/y"},
        {"date": "2026-08-13T08:30:00-04:00", "impact": "Medium"},
        {"date": "2026-08-13T08:30:00-04:00", "country": "EUR"},
        {"date": ""},
        {"date": "2026-08-13T08:30:00"},
    )
    two = week(tmp_path / "two.json", {"date": "2026-08-03T12:30:00+00:00"}, {"date": "2026-08-05T14:00:00Z"})
    calendar = read_files([one, two])
    assert high_impact_ns(calendar) == tuple(map(ns, ("2026-08-03T12:30Z", "2026-08-05T14:00Z", "2026-08-12T12:30Z")))
    assert [event.day for event in calendar.untimed] == [None, date(2026, 8, 13)]
    assert read_files([]) == Calendar()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "[1]",
        '[{"title": "x"}]',
        "not json",
        "\x00\xff",
        "<!DOCTYPE html><html></html>",
        "[" * 5000,
        '[{"title": "x", "date": "", "impact": "High"}]',
        '[{"title": 1, "date": "2026-08-12T08:30:00Z"}]',
    ],
)
def test_what_is_no_news_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DataError, match="is no news file"):
        read_files([path])
    with pytest.raises(DataError, match="cannot be read"):
        read_files([tmp_path / "none.json"])
    told = collect([path, tmp_path / "none.json"])
    assert (len(told.problems), told.events, told.known) == (2, (), ())


@pytest.mark.parametrize("year", ["0001-01-01", "1600-02-29", "2926-12-10", "9999-12-31"])
@pytest.mark.parametrize("impact", ["High", "Holiday"])
def test_rows_of_years_that_no_calendar_means_have_no_time(tmp_path: Path, year: str, impact: str) -> None:
    """Their stamps fit neither into a week nor into a record of a ring."""
    odd = [{"date": year + rest, "impact": impact} for rest in ("T00:00:00+14:00", "T23:59:59-12:00", "T00:00:00Z", "")]
    calendar = collect([week(tmp_path / "odd.json", *odd, {"date": "2026-08-12T08:30:00-04:00"})])
    assert calendar.problems == ()
    assert [event.at_ns for event in calendar.events] == [ns("2026-08-12T12:30Z")]
    assert [event.day for event in calendar.untimed] == [None]
    for name, text in (("own.csv", f"at,title\n{year}T23:30:00,x\n"), ("own.toml", f'[[event]]\nat={year}\ntitle="x"')):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=f"at lies in the year {int(year[:4])}"):
            read_file(tmp_path / name)


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_bytes_whatever_raise_anything_else(data: bytes) -> None:
    """Nothing that hypothesis finds is a calendar."""
    with pytest.raises(DataError, match="is no news file"):
        weekly(data, "x")


def test_unknown_impacts_count_as_high_and_no_country_as_everybody(tmp_path: Path) -> None:
    events = read_files([week(
        tmp_path / "w.json",
        {"date": "2026-08-12T08:30:00-04:00", "impact": "Severe", "country": ""},
        {"date": "2026-08-12T08:31:00-04:00", "impact": "", "country": "all"},
        {"date": "2026-08-12T08:32:00-04:00", "impact": "low"},
    )]).events  # fmt: skip
    assert [(event.impact, event.currency) for event in events] == [
        ("High", EVERYBODY), ("High", EVERYBODY), ("Low", "USD"),
    ]  # fmt: skip


@pytest.mark.shared_data
def test_every_real_export_is_read_row_by_row() -> None:
    paths = sorted(shared("market/calendar").glob("ff_calendar_thisweek_*.json"))
    assert len(paths) == 8
    for path in paths:
        rows, events = json.loads(path.read_bytes()), read_file(path).events
        assert len(events) == len(rows)
        for row, event in zip(rows, events, strict=True):
            if event.at_ns is None:
                assert row["impact"] == "Holiday" or not row["date"]
            else:
                assert ns(row["date"]) == event.at_ns
            assert (row["title"], row["impact"]) == (event.title, event.impact)


@pytest.mark.shared_data
def test_holidays_and_rows_without_a_date_have_no_time() -> None:
    calendar = read_files([shared("market/calendar/ff_calendar_thisweek_2022-08-14_one-empty-date.json")])
    assert {(event.title, event.impact, event.day) for event in calendar.untimed} == {
        ("French Bank Holiday", "Holiday", date(2022, 8, 15)),
        ("Italian Bank Holiday", "Holiday", date(2022, 8, 15)),
        ("BusinessNZ Services Index", "Low", None),
    }
    assert len(calendar.events) == 84


@pytest.mark.shared_data
def test_the_newest_snapshot_of_a_week_wins_in_whatever_order_they_are_named() -> None:
    paths = sorted(shared("market/calendar").glob("ff_calendar_thisweek_2026-08-*.json"))
    together, backwards = read_files(paths), read_files(paths[::-1])
    assert together == backwards
    newest = {json.dumps(row) for row in json.loads(paths[-1].read_bytes())}
    told = [event for event in together.events if event.source == str(paths[-1])]
    assert len(told) == len([row for row in map(json.loads, newest) if row["impact"] != "Holiday"])
    weeks = {event.source: 0 for event in together.events}
    assert set(weeks) == {str(paths[0]), str(paths[3]), str(paths[6])}  # one file a week
    changed = {change.what for change in together.changes}
    assert changed <= {"moved", "added", "gone", "re-forecast", "re-rated"}
    assert {"moved", "added", "re-forecast"} <= changed, changed


ICS = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//test//EN\r
BEGIN:VTIMEZONE\r
TZID:US-Eastern\r
BEGIN:STANDARD\r
DTSTART:20001101T020000\r
TZOFFSETFROM:-0400\r
TZOFFSETTO:-0500\r
RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=11\r
END:STANDARD\r
BEGIN:DAYLIGHT\r
DTSTART:20000301T020000\r
TZOFFSETFROM:-0500\r
TZOFFSETTO:-0400\r
RRULE:FREQ=YEARLY;BYDAY=2SU;BYMONTH=3\r
END:DAYLIGHT\r
END:VTIMEZONE\r
{events}END:VCALENDAR\r
"""


def ics(path: Path, *events: str) -> Path:
    body = "".join(
        f"BEGIN:VEVENT\r\nUID:{n}\r\nDTSTAMP:20260101T000000Z\r\n{text}\r\nEND:VEVENT\r\n"
        for n, text in enumerate(events)
    )
    path.write_text(ICS.replace("{events}", body))
    return path


def test_ics_times_of_a_zone_of_utc_and_of_none(tmp_path: Path) -> None:
    path = ics(
        tmp_path / "bls.ics",
        "SUMMARY:Consumer Price Index\r\nDTSTART;TZID=US-Eastern:20260311T083000",  # daylight time began on the 8th
        "SUMMARY:Consumer Price Index\r\nDTSTART;TZID=America/New_York:20260213T083000",
        "SUMMARY:Employment Situation\r\nDTSTART:20260306T133000Z",
        "SUMMARY:GDP\r\nDTSTART:20261106T083000",
        "SUMMARY:EUR ECB Press Conference\r\nDTSTART:20261106T124500Z\r\nDESCRIPTION:Impact: Medium\\nForecast: -",
        "SUMMARY:USD Talk\r\nDTSTART:20261106T124500Z\r\nCATEGORIES:Speech,Low Impact",
        "SUMMARY:Budget day\r\nDTSTART;VALUE=DATE:20261111",
    )
    events = read_file(path).events
    assert [(event.currency, event.title, event.impact) for event in events] == [
        ("USD", "Consumer Price Index", "High"),
        ("USD", "Consumer Price Index", "High"),
        ("USD", "Employment Situation", "High"),
        ("USD", "GDP", "High"),
        ("EUR", "ECB Press Conference", "Medium"),
        ("USD", "Talk", "Low"),
        ("USD", "Budget day", "High"),
    ]
    expected = ["2026-03-11T12:30Z", "2026-02-13T13:30Z", "2026-03-06T13:30Z", "2026-11-06T13:30Z", "2026-11-06T12:45Z"]
    assert [event.at_ns for event in events[:5]] == [ns(text) for text in expected]
    assert (events[6].at_ns, events[6].day) == (None, date(2026, 11, 11))
    assert [event.is_cpi for event in events] == [True, True, False, False, False, False, False]


@pytest.mark.parametrize(
    "text", ["", "BEGIN:VCALENDAR\r\nEND:VCALENDAR", "x:y", "<html>", "BEGIN:VEVENT\r\nDTSTART:1\r\n"]
)
def test_what_is_no_ics_calendar_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.ics"
    path.write_text(text)
    with pytest.raises(DataError, match="is no ICS calendar"):
        read_file(path)


def test_an_event_without_a_start_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no ICS calendar"):
        read_file(ics(tmp_path / "x.ics", "SUMMARY:When?"))


def test_own_rows_in_toml_and_csv_tell_the_same(tmp_path: Path) -> None:
    toml, table = tmp_path / "own.toml", tmp_path / "own.csv"
    toml.write_text(
        '[[event]]\nat = 2026-12-10T13:30:00Z\ntitle = "CPI m/m"\n'
        '[[event]]\nat = 2026-12-10T07:30:00\ntitle = "Talk"\ncurrency = "eur"\nimpact = "low"\n'
        '[[event]]\nat = 2026-12-11\ntitle = "Summit"\ncurrency = "ALL"\nimpact = "Medium"\n'
    )
    table.write_text(
        "at,currency,impact,title\n2026-12-10T13:30:00Z,,,CPI m/m\n2026-12-10T07:30:00,eur,low,Talk\n"
        "2026-12-11,ALL,Medium,Summit\n"
    )
    one, two = read_file(toml).events, read_file(table).events
    at = ns("2026-12-10T13:30Z")  # 07:30 in Chicago
    assert [(e.at_ns, e.currency, e.impact, e.title, e.day) for e in one] == [
        (at, "USD", "High", "CPI m/m", None),
        (at, "EUR", "Low", "Talk", None),
        (None, "ALL", "Medium", "Summit", date(2026, 12, 11)),
    ]
    assert [(e.at_ns, e.currency, e.impact, e.title, e.day) for e in two] == [
        (e.at_ns, e.currency, e.impact, e.title, e.day) for e in one
    ]


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("x.toml", "[[event]]\nat = 2026-12-10T13:30:00Z", "title is missing"),
        ("x.toml", '[[event]]\nat = "soon"\ntitle = "x"', "at must be a time"),
        ("x.toml", '[[event]]\nat = 5\ntitle = "x"', "at must be a time"),
        ("x.toml", '[[event]]\nat = 2026-12-10\ntitle = "x"\nimpact = "huge"', "impact must be"),
        ("x.toml", '[[event]]\nat = 2026-12-10\ntitle = "x"\nsize = 3', "'size' is unknown"),
        ("x.toml", "[event]\nat = 1", "must hold tables"),
        ("x.toml", "= 1", "is not TOML"),
        ("x.csv", "when,what\n1,2\n", "must have the columns"),
        ("x.csv", "at,title\nsoon,x\n", "line 2: at must be a time"),
        ("x.csv", 'at,title\n"2026', "is not CSV"),
        ("x.csv", "at,title\n2026-12-10,x,y\n", "is unknown"),
    ],
)
def test_what_is_wrong_with_own_rows_is_named(tmp_path: Path, name: str, text: str, match: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=match):
        read_file(path)


def test_own_rows_win_over_all_others(tmp_path: Path) -> None:
    """Of the same currency, title and day: another time, another impact, or not at all."""
    export = week(
        tmp_path / "w.json",
        {"date": "2026-08-12T08:30:00-04:00"},
        {"date": "2026-08-12T08:30:00-04:00", "title": "CPI y/y"},
        {"date": "2026-08-12T10:00:00-04:00", "title": "Talk"},
        {"date": "2026-08-13T10:00:00-04:00", "title": "Talk"},
    )
    own = tmp_path / "own.csv"
    own.write_text(
        "at,currency,impact,title\n2026-08-12T12:35:00Z,USD,High,core cpi m/m\n2026-08-12T12:30:00Z,USD,Low,CPI y/y\n"
        "2026-08-12T20:00:00Z,USD,None,Talk\n"
    )
    os.utime(own, ns=(1, 1))  # older than anything, and still the owner's word
    for paths in ([export, own], [own, export]):
        events = read_files(paths).events
        assert [(event.at_ns, event.impact, event.title) for event in events] == [
            (ns("2026-08-12T12:30Z"), "Low", "CPI y/y"),
            (ns("2026-08-12T12:35Z"), "High", "core cpi m/m"),
            (ns("2026-08-13T14:00Z"), "High", "Talk"),
        ]


def test_a_file_that_no_calendar_can_be_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with path.open("wb") as file:
        file.truncate(5_000_000)
    with pytest.raises(DataError, match="more than 4 MB"):
        read_file(path)


def test_rows_that_two_sources_tell_in_the_same_words_count_once(tmp_path: Path) -> None:
    export = week(tmp_path / "w.json", {"date": "2026-03-11T08:30:00-04:00", "title": "Consumer Price Index"})
    agency = ics(tmp_path / "b.ics", "SUMMARY:Consumer price index\r\nDTSTART:20260311T123000Z")
    assert len(read_files([export, agency]).events) == 1


def test_dates_are_utc() -> None:
    assert datetime.fromtimestamp(ns("2026-08-12T12:30Z") // SECOND, UTC).hour == 12
    assert NewsEvent(None, "USD", "High", "CPI m/m", "x").is_cpi is False
