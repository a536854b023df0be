"""Times of scheduled news from the weekly export (V12)."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared_data import shared
from tbot.errors import DataError
from tbot.storage.news_files import News, read_news

SECOND = 10**9


def week(path: Path, *events: dict[str, Any]) -> Path:
    plain = {"title": "Core CPI m/m", "country": "USD", "impact": "High", "forecast": "0.3%", "previous": "0.2%"}
    path.write_text(json.dumps([plain | event for event in events]))
    return path


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
    two = week(tmp_path / "two.json", {"date": "2026-08-12T12:30:00+00:00"}, {"date": "2026-08-10T14:00:00Z"})
    assert read_news([one, two]) == News((1_786_370_400 * SECOND, 1_786_537_800 * SECOND), 2)
    assert read_news([]) == News((), 0)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"title": "x"}]', "not json", "\x00\xff"])
def test_what_is_no_news_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DataError, match="is no news file"):
        read_news([path])
    with pytest.raises(DataError, match="cannot be read"):
        read_news([tmp_path / "none.json"])


@pytest.mark.shared_data
def test_V12_real_exports_of_one_week_tell_the_same_times() -> None:
    paths = sorted(shared("market/calendar").glob("ff_calendar_thisweek_2026-08-1*.json"))
    assert len(paths) >= 2
    first, *others = (read_news([path]).times_ns for path in paths)
    assert first
    assert all(set(first) & set(other) for other in others)
    assert read_news([shared("market/calendar/ff_calendar_thisweek_2022-08-14_one-empty-date.json")]).times_ns
