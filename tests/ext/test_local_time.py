"""Local time in compiled code against zoneinfo; and the parameter that names zones."""

import datetime as dt
import json
import pickle
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_ext.local_time import utc_from_wall, utc_offset, zone_index
from tbot_ext.params import Params

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


# ---------------------------------------------------------------- the parameter that names zones


HOURS = (("Asia/Tokyo", "09:00", "15:00"), ("Europe/London", "08:00", "16:30"), ("America/New_York", "09:30", "16:00"))


def test_sessions_have_defaults_and_lists_become_tuples() -> None:
    assert Params().sessions == HOURS
    from_file = json.loads(json.dumps(Params().as_dict()))
    assert from_file["sessions"] == [list(session) for session in HOURS]
    again = Params(**from_file)
    assert again.sessions == HOURS
    assert (again, hash(again), again.params_hash()) == (Params(), hash(Params()), Params().params_hash())


def test_sessions_are_kept_by_replace_pickle_and_repr() -> None:
    other = Params(sessions=[["Asia/Hong_Kong", "22:00", "02:00"], *HOURS[1:]])
    assert other != Params()
    assert other.params_hash() != Params().params_hash()
    assert other.replace(L=3).sessions == other.sessions
    assert pickle.loads(pickle.dumps(other)) == other
    assert eval(repr(other), {"Params": Params}) == other


@pytest.mark.parametrize(
    ("sessions", "why"),
    [
        (HOURS[:2], "three of"),
        (None, "three of"),
        ("abc", "three of"),
        ((HOURS[0], HOURS[1], "America/New_York"), r"New York must be \(zone"),
        ((("Asia/Tokyo", "09:00"), *HOURS[1:]), r"Asia must be \(zone"),
        (((9, "09:00", "15:00"), *HOURS[1:]), r"Asia must be \(zone"),
        ((("Asia/Edo", "09:00", "15:00"), *HOURS[1:]), "unknown time zone 'Asia/Edo'"),
        ((("Asia/Tokyo", "9:00", "15:00"), *HOURS[1:]), "start of Asia must be a time HH:MM"),
        ((("Asia/Tokyo", "09:00", "24:00"), *HOURS[1:]), "end of Asia must be a time HH:MM"),
        ((("Asia/Tokyo", "09:00", "15:00\n"), *HOURS[1:]), "end of Asia must be a time HH:MM"),
        ((("Asia/Tokyo", 900, "15:00"), *HOURS[1:]), "start of Asia must be a time HH:MM"),
        ((HOURS[0], ("Europe/London", "08:00", "08:00"), HOURS[2]), "London must not start and end at the same time"),
    ],
)
def test_bad_sessions_are_refused_with_the_reason(sessions: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Params(sessions=sessions)
