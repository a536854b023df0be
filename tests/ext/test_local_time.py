"""Local time in compiled code against zoneinfo: offsets, wall-clock times, every change of clocks."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_ext.local_time import utc_from_wall, utc_offset, zone_index

ZONES = ("America/Chicago", "America/New_York", "Europe/London", "Asia/Tokyo", "Europe/Helsinki")
SECOND = 1_000_000_000
EPOCH = dt.datetime(1970, 1, 1)
FIRST, LAST = dt.datetime(1990, 1, 1), dt.datetime(2061, 1, 1)


def seconds(at: dt.datetime) -> int:
    return int((at - EPOCH).total_seconds())


def true_offset(name: str, second: int) -> int:
    offset = dt.datetime.fromtimestamp(second, ZoneInfo(name)).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


def true_utc(name: str, wall: dt.datetime) -> int:
    return int(wall.replace(tzinfo=ZoneInfo(name)).timestamp())


def changes(name: str) -> list[int]:
    """UTC seconds of all changes of clocks, found day by day and within a day by the quarter of an hour."""
    found = []
    start, end = seconds(FIRST), seconds(LAST)
    for day in range(start, end, 86_400):
        if true_offset(name, day) != true_offset(name, day + 86_400):
            edges = [t for t in range(day, day + 86_400, 900) if true_offset(name, t) != true_offset(name, t + 900)]
            found += [edge + 900 for edge in edges]
    return found


@given(st.sampled_from(ZONES), st.datetimes(FIRST, LAST))
def test_any_instant_has_the_offset_of_zoneinfo(name: str, at: dt.datetime) -> None:
    second = seconds(at)
    assert utc_offset(name, second * SECOND) == true_offset(name, second) * SECOND


@given(st.sampled_from(ZONES), st.datetimes(FIRST, LAST))
def test_any_wall_clock_time_is_the_instant_of_zoneinfo(name: str, wall: dt.datetime) -> None:
    wall = wall.replace(microsecond=0)
    assert utc_from_wall(name, seconds(wall) * SECOND) == true_utc(name, wall) * SECOND


@pytest.mark.parametrize("name", ZONES)
def test_every_change_of_clocks_is_known_to_the_second(name: str) -> None:
    edges = changes(name)
    assert len(edges) == (0 if name == "Asia/Tokyo" else 142)
    for edge in edges:
        for second in (edge - 1, edge, edge + 1):
            assert utc_offset(name, second * SECOND) == true_offset(name, second) * SECOND
        before = EPOCH + dt.timedelta(seconds=edge + true_offset(name, edge - 1))
        for shift in (-7200, -3601, -3600, -3599, -1, 0, 1, 3599, 3600, 3601, 7200):  # gap and repeated hour, edges
            wall = before + dt.timedelta(seconds=shift)
            assert utc_from_wall(name, seconds(wall) * SECOND) == true_utc(name, wall) * SECOND


def test_published_examples() -> None:
    """17:00 in Chicago is 23:00 UTC in winter and 22:00 in summer; London's clocks go forward three weeks later."""

    def utc(name: str, *wall: int) -> dt.datetime:
        return EPOCH + dt.timedelta(seconds=utc_from_wall(name, seconds(dt.datetime(*wall)) * SECOND) // SECOND)  # type: ignore[arg-type]

    assert utc("America/Chicago", 2026, 1, 5, 17) == dt.datetime(2026, 1, 5, 23)
    assert utc("America/Chicago", 2026, 3, 8, 17) == dt.datetime(2026, 3, 8, 22)
    assert utc("Europe/London", 2026, 3, 27, 8) == dt.datetime(2026, 3, 27, 8)
    assert utc("Europe/London", 2026, 3, 30, 8) == dt.datetime(2026, 3, 30, 7)
    assert utc("Asia/Tokyo", 2026, 7, 1, 9) == dt.datetime(2026, 7, 1, 0)
    assert utc("Europe/Helsinki", 2026, 10, 25, 3, 30) == dt.datetime(2026, 10, 25, 0, 30)  # the earlier of two


def test_outside_the_tables_the_nearest_offset_holds() -> None:
    assert utc_offset("America/Chicago", -(2**62)) == -6 * 3600 * SECOND
    assert utc_offset("America/Chicago", 2**62) == -6 * 3600 * SECOND
    assert utc_offset("UTC", 2**62) == 0


def test_a_zone_keeps_its_number() -> None:
    assert zone_index("America/Chicago") == 0
    numbers = [zone_index(name) for name in ZONES]
    assert len(set(numbers)) == len(ZONES)
    assert [zone_index(name) for name in ZONES] == numbers


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "America", "../etc/passwd", "a\0b", "europe-london"])
def test_an_unknown_zone_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone"):
        zone_index(name)
