"""Period levels: rules one by one (smc.md section 10), then the slow reference on random and real bars."""

import datetime as dt
from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from period_cases import (
    ALL,
    aggregated,
    assert_as_reference,
    bars_at,
    market_minutes,
    parquet_bars,
    period_events,
    shown,
    walk,
)
from shared_data import shared
from smc_cases import MINUTE, assert_same, params_for, plain_bars, random_bars, read_bars
from tbot.domain.trading_hours import CHICAGO, trading_day
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import EventCode, Source

NEW_YORK, LONDON, TOKYO = ZoneInfo("America/New_York"), ZoneInfo("Europe/London"), ZoneInfo("Asia/Tokyo")
P = Params()


def days(events: list[tuple[Any, ...]], kind: str = "DAY") -> list[tuple[Any, ...]]:
    """(known, high, low, close, bars) of the events of one kind."""
    return [(e[0], e[4], e[5], e[6], e[9]) for e in events if e[1] == kind]


def breaks(events: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """(bar, side, level, source name)."""
    return [(e[0], e[2], e[6], Source(e[10]).name) for e in events if e[1].startswith("PERIOD_")]


# ---------------------------------------------------------------- the day


def test_a_day_runs_from_17_to_16_chicago_and_is_known_at_its_end() -> None:
    """Tuesday 6 January 2026, from its exact start; winter: 23:00 UTC to 22:00 UTC."""
    bars = bars_at(
        CHICAGO,
        ("2026-01-05 17:00", 10, 12, 8, 11),
        ("2026-01-06 09:00", 11, 20, 10, 19),
        ("2026-01-06 12:00", 19, 20, 5, 6),
        ("2026-01-06 15:58", 6, 7, 6, 7),
        ("2026-01-06 15:59", 7, 9, 6, 8),
        ("2026-01-06 17:00", 8, 9, 7, 8),
    )
    assert days(period_events(bars)) == [(4, 20, 5, 8, 5)]
    event = next(e for e in period_events(bars) if e[1] == "DAY")
    assert (event[2], event[3]) == (0, 0)  # no side; its anchor is the day's first bar
    assert (event[7], event[8]) == (5, 0)  # volume 1 each, delta


def test_the_first_day_is_incomplete_unless_the_first_bar_starts_it() -> None:
    rest = [("2026-01-06 15:59", 7, 9, 6, 8), ("2026-01-06 17:00", 8, 9, 7, 8), ("2026-01-07 15:59", 8, 8, 8, 8)]
    late = bars_at(CHICAGO, ("2026-01-05 17:01", 10, 12, 8, 11), *rest)
    exact = bars_at(CHICAGO, ("2026-01-05 17:00", 10, 12, 8, 11), *rest)
    assert [e[0] for e in days(period_events(late))] == [3]
    assert [e[0] for e in days(period_events(exact))] == [1, 3]
    (day,) = shown(late[:2], "DAY")
    assert (day["state"], day["complete"], day["id"], day["high"], day["low"]) == (1, 0, -1, 12, 6)
    (day,) = shown(late[:1], "DAY")
    assert (day["state"], day["complete"], day["bars"]) == (0, 0, 1)


def test_only_a_period_that_start_up_cut_off_is_incomplete() -> None:
    rows = [(f"2026-01-{day:02d} {clock}", 5, 6, 4, 5) for day in (6, 7) for clock in ("07:00", "08:00", "16:29")]
    whole = period_events(bars_at(LONDON, *rows))
    assert days(whole, "LONDON") == [(2, 6, 4, 5, 2), (5, 6, 4, 5, 2)]
    cut = period_events(bars_at(LONDON, *rows[2:]))
    assert days(cut, "LONDON") == [(3, 6, 4, 5, 2)]


def test_the_last_minute_may_be_missing_then_the_next_bar_finishes_the_day_without_being_in_it() -> None:
    bars = bars_at(
        CHICAGO,
        ("2026-01-05 17:00", 10, 12, 8, 11),
        ("2026-01-06 15:57", 11, 13, 9, 12),
        ("2026-01-06 17:00", 40, 50, 40, 50),
    )
    events = period_events(bars)
    assert days(events) == [(2, 13, 8, 12, 2)]
    # that bar has traded beyond already: the event follows at once
    assert [e[1] for e in events if e[0] == 2][:2] == ["DAY", "PERIOD_HIGH_BROKEN"]
    assert breaks(events)[0] == (2, 1, 13, "DAY_HIGH")


def test_a_bar_that_closes_at_the_end_is_in_and_can_not_have_broken_it() -> None:
    bars = bars_at(CHICAGO, ("2026-01-05 17:00", 10, 12, 8, 11), ("2026-01-06 15:59", 11, 99, 1, 12))
    events = period_events(bars)
    assert days(events) == [(1, 99, 1, 12, 2)]
    assert breaks(events) == []


@pytest.mark.parametrize("clock", ["16:00", "16:14", "16:59"])
def test_bars_of_the_break_belong_to_no_day_but_may_break_it(clock: str) -> None:
    bars = bars_at(
        CHICAGO,
        ("2026-01-05 17:00", 10, 12, 8, 11),
        ("2026-01-06 15:59", 11, 12, 8, 10),
        (f"2026-01-06 {clock}", 10, 13, 8, 12),
        ("2026-01-06 17:00", 10, 11, 9, 10),
        ("2026-01-07 15:59", 10, 11, 9, 10),
    )
    events = period_events(bars)
    assert days(events) == [(1, 12, 8, 10, 2), (4, 11, 9, 10, 2)]
    assert breaks(events) == [(2, 1, 12, "DAY_HIGH")]
    (week,) = shown(bars, "WEEK")
    assert int(week["bars"]) == len(bars)  # they are in the week


def test_each_side_is_broken_once_by_the_first_bar_strictly_beyond() -> None:
    evening = [(f"2026-01-06 17:0{k}", *prices) for k, prices in enumerate([
        (10, 12, 8, 10), (10, 13, 8, 10), (10, 14, 7, 10), (10, 20, 1, 10),
    ])]  # fmt: skip
    bars = bars_at(CHICAGO, ("2026-01-05 17:00", 10, 12, 8, 11), ("2026-01-06 15:59", 11, 12, 8, 10), *evening)
    events = period_events(bars)
    assert breaks(events) == [(3, 1, 12, "DAY_HIGH"), (4, -1, 8, "DAY_LOW")]
    parent = [e[-2] for e in events if e[1] == "DAY"]
    assert [e[-1] for e in events if e[1].startswith("PERIOD_")] == parent * 2
    (day, _) = shown(bars, "DAY")
    assert (day["high_broken"], day["low_broken"], day["complete"]) == (1, 1, 1)


def test_an_early_close_leaves_the_day_to_the_first_bar_of_the_next() -> None:
    """27 November 2026, the day after Thanksgiving, ended at 12:15 in Chicago; a Friday: the week ends with it."""
    bars = bars_at(
        CHICAGO,
        ("2026-11-22 17:00", 10, 30, 8, 11),
        ("2026-11-26 17:00", 11, 12, 9, 10),
        ("2026-11-27 12:14", 10, 11, 9, 10),
        ("2026-11-29 17:00", 10, 10, 10, 10),
    )
    events = period_events(bars)
    assert days(events)[-1] == (3, 12, 9, 10, 2)
    assert days(events, "WEEK") == [(3, 30, 8, 10, 3)]


def test_a_day_without_bars_never_was() -> None:
    """No bar of 25 December: the values of the 24th stay, the 26th replaces them."""
    bars = bars_at(
        CHICAGO,
        ("2025-12-23 17:00", 10, 12, 8, 11),
        ("2025-12-24 15:59", 11, 12, 9, 10),
        ("2025-12-25 17:00", 10, 11, 9, 10),
        ("2025-12-26 15:59", 10, 11, 9, 10),
    )
    assert days(period_events(bars)) == [(1, 12, 8, 10, 2), (3, 11, 9, 10, 2)]


def test_one_bar_may_finish_a_day_and_be_the_last_of_the_next() -> None:
    """The 6th lacks its last minutes, the 7th has no other bar than its last one."""
    bars = bars_at(
        CHICAGO,
        ("2026-01-05 17:00", 10, 12, 8, 11),
        ("2026-01-06 15:00", 11, 13, 9, 12),
        ("2026-01-07 15:59", 14, 15, 14, 14),
        ("2026-01-07 17:00", 14, 15, 13, 14),
    )
    events = [e for e in period_events(bars) if e[1] == "DAY" or e[10] // 10 == EventCode.DAY]
    assert days(events) == [(2, 13, 8, 12, 2), (2, 15, 14, 14, 1)]
    assert [(e[0], e[1]) for e in events[:3]] == [(2, "DAY"), (2, "PERIOD_HIGH_BROKEN"), (2, "DAY")]
    assert breaks(events) == [(2, 1, 13, "DAY_HIGH"), (3, -1, 14, "DAY_LOW")]


def test_a_jump_over_years_finishes_once_and_finds_the_new_day() -> None:
    bars = bars_at(
        CHICAGO,
        ("2016-01-05 17:00", 10, 12, 8, 11),
        ("2026-07-06 17:00", 20, 22, 18, 21),
        ("2026-07-07 15:59", 20, 23, 18, 19),
    )
    assert days(period_events(bars)) == [(1, 12, 8, 11, 1), (2, 23, 18, 19, 2)]


# ---------------------------------------------------------------- weeks and clocks


def test_a_week_runs_from_sunday_17_to_friday_16_chicago_across_a_change_of_clocks() -> None:
    """On 8 March 2026 the clocks go forward: the week starts at 22:00 UTC instead of 23:00."""
    bars = bars_at(
        dt.UTC,
        ("2026-03-01 23:00", 10, 15, 8, 11),
        ("2026-03-06 21:59", 11, 16, 9, 10),  # 15:59 in winter: finishes the week
        ("2026-03-08 22:00", 10, 11, 9, 10),
        ("2026-03-13 20:59", 10, 12, 9, 11),  # 15:59 in summer
    )
    events = period_events(bars)
    assert days(events, "WEEK") == [(1, 16, 8, 10, 2), (3, 12, 9, 11, 2)]


@pytest.mark.parametrize(
    ("day", "london_utc", "new_york_utc"),
    [
        ("2026-03-06", "08:00", "14:30"),  # both in winter
        ("2026-03-10", "08:00", "13:30"),  # only New York has changed
        ("2026-03-31", "07:00", "13:30"),
        ("2026-10-23", "07:00", "13:30"),
        ("2026-10-27", "08:00", "13:30"),  # only London has changed back
        ("2026-11-03", "08:00", "14:30"),
    ],
)
def test_sessions_start_by_the_clocks_of_their_zone(day: str, london_utc: str, new_york_utc: str) -> None:
    for kind, clock in (("ASIA", "00:00"), ("LONDON", london_utc), ("NEW_YORK", new_york_utc)):
        start = dt.datetime.fromisoformat(f"{day} {clock}+00:00")
        (row,) = shown(bars_at(dt.UTC, (f"{start:%Y-%m-%d %H:%M}", 1, 1, 1, 1)), kind)
        assert (row["start_ns"], row["complete"]) == (start.timestamp() * 1e9, 1)
        before = start - dt.timedelta(minutes=1)
        assert len(shown(bars_at(dt.UTC, (f"{before:%Y-%m-%d %H:%M}", 1, 1, 1, 1)), kind)) == 0


def test_sessions_are_of_weekdays_of_their_own_date() -> None:
    """Sunday evening in Chicago is Monday morning in Tokyo; Saturday has none anywhere."""
    assert len(shown(bars_at(TOKYO, ("2026-01-05 09:00", 1, 1, 1, 1)), "ASIA")) == 1
    assert len(shown(bars_at(TOKYO, ("2026-01-04 09:00", 1, 1, 1, 1)), "ASIA")) == 0
    assert len(shown(bars_at(LONDON, ("2026-01-03 09:00", 1, 1, 1, 1)), "LONDON")) == 0


@pytest.mark.parametrize("clock", ["2026-01-09 17:00", "2026-01-10 12:00", "2026-01-11 16:59"])
def test_the_weekend_belongs_to_no_day_and_no_week(clock: str) -> None:
    """From Friday 16:00 to Sunday 17:00 in Chicago; a stray print must not replace Friday's values."""
    bars = bars_at(CHICAGO, ("2026-01-04 17:00", 5, 6, 4, 5), ("2026-01-09 15:59", 5, 7, 5, 6), (clock, 6, 9, 6, 8))
    assert [len(shown(bars, kind)) for kind in ("DAY", "WEEK")] == [1, 1]
    assert shown(bars, "WEEK")["close"] == [6]
    assert breaks(period_events(bars))[-2:] == [(2, 1, 7, "DAY_HIGH"), (2, 1, 7, "WEEK_HIGH")]


def test_a_session_may_end_on_the_next_day() -> None:
    night = P.replace(sessions=[["Asia/Tokyo", "22:00", "02:00"], *P.sessions[1:]])
    rows = [("2026-01-09 22:00", 3, 5, 2, 3), ("2026-01-10 01:59", 3, 6, 3, 4), ("2026-01-10 02:00", 3, 9, 3, 4)]
    assert days(period_events(bars_at(TOKYO, *rows), night), "ASIA") == [(1, 6, 2, 4, 2)]


def test_a_bar_that_overlaps_the_end_of_a_session_is_in_it() -> None:
    """London ends at 16:30: of 1h bars the one from 16:00 belongs to it whole and finishes it."""
    rows = [("2026-01-06 08:00", 3, 5, 2, 3), ("2026-01-06 15:00", 3, 6, 3, 4), ("2026-01-06 16:00", 3, 9, 3, 7)]
    assert days(period_events(bars_at(LONDON, *rows, minutes=60)), "LONDON") == [(2, 9, 2, 7, 3)]


# ---------------------------------------------------------------- opening ranges


@pytest.mark.parametrize(
    ("minutes", "lengths"), [(1, (15, 30)), (5, (3, 6)), (15, (1, 2)), (30, (None, 1)), (60, (None, None))]
)
def test_opening_ranges_are_made_of_bars_that_fit(minutes: int, lengths: tuple[int | None, ...]) -> None:
    start = dt.datetime(2026, 1, 6, 9, 30 if minutes < 60 else 0)
    rows = [
        (f"{start + dt.timedelta(minutes=k * minutes):%Y-%m-%d %H:%M}", 50, 51 + k, 49 - k, 50)
        for k in range(120 // minutes)
    ]
    events = period_events(bars_at(NEW_YORK, *rows, minutes=minutes))
    for kind, n in zip(("OPENING_15", "OPENING_30"), lengths, strict=True):
        assert days(events, kind) == ([(n - 1, 50 + n, 50 - n, 50, n)] if n else [])
    if lengths[1]:
        found = breaks(events)
        assert (lengths[1], 1, 50 + lengths[1], "OPENING_30_HIGH") in found
        assert (lengths[1], -1, 50 - lengths[1], "OPENING_30_LOW") in found


def test_a_start_between_bars_has_no_opening_range() -> None:
    odd = P.replace(sessions=(*P.sessions[:2], ("America/New_York", "09:20", "16:00")))
    rows = [(f"2026-01-06 {clock}", 5, 6, 4, 5) for clock in ("09:15", "09:20", "09:30", "09:45", "10:00", "16:00")]
    assert days(period_events(bars_at(NEW_YORK, *rows, minutes=5), odd), "OPENING_15") == [(2, 6, 4, 5, 2)]
    cut_off = [e[1] for e in period_events(bars_at(NEW_YORK, *rows[2:], minutes=5), odd)]
    assert "OPENING_15" not in cut_off
    assert not any(e[1].startswith("OPENING_") for e in period_events(bars_at(NEW_YORK, *rows, minutes=15), odd))


# ---------------------------------------------------------------- bad times


@pytest.mark.parametrize("start", [-(2**62), -1, 0, 2**62 - 4 * MINUTE])
def test_times_of_no_calendar_do_no_harm(start: int) -> None:
    detector = Detector(1, P)
    for k in range(5):
        detector.push_bar(start + k * MINUTE, 5, 6, 4, 5)
    assert detector.bar_count == 5
    assert len(detector.periods()) <= 14


@pytest.mark.parametrize("start", [-(2**63), -(2**62) - 1, 2**62 + 1, 2**63 - 1])
def test_times_that_leave_no_room_to_reckon_are_refused(start: int) -> None:
    detector = Detector(1, P)
    with pytest.raises(ValueError, match=r"impossible|before the start"):
        detector.push_bar(start, 5, 6, 4, 5)
    assert detector.bar_count == 0


# ---------------------------------------------------------------- another contract


def test_a_shift_moves_running_and_finished_values() -> None:
    bars = bars_at(
        CHICAGO,
        ("2026-01-05 17:00", 10, 12, 8, 11),
        ("2026-01-06 15:59", 11, 12, 9, 10),
        ("2026-01-06 17:00", 10, 11, 9, 10),
        ("2026-01-06 17:01", 111, 112, 108, 111),
        ("2026-01-06 17:02", 111, 113, 107, 110),
    )
    detector = Detector(1, P)
    detector.push_bars(bars[:3])
    detector.roll_shift(100)
    rows = detector.periods()
    old, new = rows[rows["kind"] == EventCode.DAY]
    assert [int(old[name]) for name in ("high", "low", "close")] == [112, 108, 110]
    assert [int(new[name]) for name in ("high", "low", "close")] == [111, 109, 110]
    assert not len(period_rows(detector.push_bars(bars[3:4])))
    assert [int(e["level"]) for e in period_rows(detector.push_bars(bars[4:])) if e["parent_id"] == old["id"]] == [
        112, 108,
    ]  # fmt: skip


@pytest.mark.parametrize("spread", [-777, 500])
def test_a_roll_by_shift_is_as_if_all_bars_had_been_shifted(weeks: np.ndarray, spread: int) -> None:
    shifted = weeks.copy()
    for name in ("open", "high", "low", "close"):
        shifted[name] += spread
    expected, whole = (period_rows(Detector(1, P).push_bars(bars)) for bars in (shifted, weeks))
    for cut in (1, 1500, 9001, len(weeks) // 2):
        detector = Detector(1, P)
        before = period_rows(detector.push_bars(weeks[:cut]))
        detector.roll_shift(spread)
        after = period_rows(detector.push_bars(shifted[cut:]))
        assert before.tobytes() == whole[: len(before)].tobytes()
        assert after.tobytes() == expected[len(before) :].tobytes()


def period_rows(events: np.ndarray) -> np.ndarray:
    return events[(events["kind"] >= EventCode.DAY) & (events["kind"] <= EventCode.PERIOD_LOW_BROKEN)]


def test_after_a_reset_the_first_periods_are_incomplete_again() -> None:
    bars = walk(7, market_minutes("2026-01-04", 6, 1.0))
    detector = Detector(1, P)
    detector.push_bars(bars[:3000])
    detector.roll_reset()
    assert len(detector.periods()) == 0
    after = detector.push_bars(bars[3000:])
    fresh = Detector(1, P)
    expected = fresh.push_bars(bars[3000:])
    names = ["kind", "side", "top", "bottom", "level", "volume", "n", "source"]
    assert period_rows(after)[names].tolist() == period_rows(expected)[names].tolist()
    assert len(period_rows(after)) > 10


# ---------------------------------------------------------------- properties


@pytest.fixture(scope="module")
def weeks() -> np.ndarray:
    """Five weeks of 1m bars around the changes of clocks in March, with holes and a holiday."""
    return walk(1, market_minutes("2026-03-01", 35, 0.2))


def test_prefixes_give_prefixes(weeks: np.ndarray) -> None:
    whole = period_rows(Detector(1, P).push_bars(weeks))
    assert len(whole) > 200
    for n in range(0, len(weeks), len(weeks) // 50):
        part = period_rows(Detector(1, P).push_bars(weeks[:n]))
        assert part.tobytes() == whole[: len(part)].tobytes()
        assert part["known"].tolist() == [known for known in whole["known"].tolist() if known < n]


def test_the_future_has_no_influence(weeks: np.ndarray) -> None:
    cut = len(weeks) // 2
    noise = weeks.copy()
    for name, other in (("open", "open"), ("high", "low"), ("low", "high"), ("close", "close")):
        noise[name][cut:] = -weeks[other][cut:]
    ours, theirs = (period_rows(Detector(1, P).push_bars(bars)) for bars in (weeks, noise))
    before = int((ours["known"] < cut).sum())
    assert 0 < before < len(ours)
    assert ours[:before].tobytes() == theirs[:before].tobytes()
    assert ours.tobytes() != theirs.tobytes()


def test_bar_by_bar_equals_all_at_once(weeks: np.ndarray) -> None:
    single = Detector(1, P)
    parts = [single.push_bars(weeks[k : k + 1]) for k in range(3000)]
    assert np.concatenate(parts).tobytes() == Detector(1, P).push_bars(weeks[:3000]).tobytes()


def test_mirrored_prices_give_mirrored_events(weeks: np.ndarray) -> None:
    mirror = weeks.copy()
    mirror["open"], mirror["close"] = -weeks["open"], -weeks["close"]
    mirror["high"], mirror["low"] = -weeks["low"], -weeks["high"]
    swap = {"PERIOD_HIGH_BROKEN": "PERIOD_LOW_BROKEN", "PERIOD_LOW_BROKEN": "PERIOD_HIGH_BROKEN"}
    turned = [(e[0], swap.get(e[1], e[1]), -e[2], e[3], -e[5], -e[4], -e[6], *e[7:10]) for e in period_events(mirror)]
    assert sorted(turned) == sorted(e[:10] for e in period_events(weeks))


def test_added_ticks_give_the_same_events(weeks: np.ndarray) -> None:
    shifted = weeks.copy()
    for name in ("open", "high", "low", "close"):
        shifted[name] += 12_345
    ours = [(*e[:4], e[4] + 12_345, e[5] + 12_345, e[6] + 12_345, *e[7:]) for e in period_events(weeks)]
    assert period_events(shifted) == ours


# ---------------------------------------------------------------- the reference


@pytest.mark.parametrize("minutes", [1, 5, 15, 30, 60])
def test_equals_the_reference_over_weeks(weeks: np.ndarray, minutes: int) -> None:
    kinds = assert_as_reference(aggregated(weeks, minutes), P, minutes)
    missing = {"OPENING_15", "OPENING_30"} if minutes == 60 else {"OPENING_15"} if minutes == 30 else set()
    assert set(kinds) == ALL - missing


@pytest.mark.parametrize("seed", range(25))
def test_equals_the_reference_on_random_times(seed: int) -> None:
    """Sparse bars over months and odd hours of sessions, so that edges are jumped over in every way."""
    rng = np.random.default_rng(seed)
    minutes = int(rng.choice((1, 2, 5, 7, 15, 30, 60)))
    zones = rng.choice(("Asia/Tokyo", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"), 3)
    clocks = [f"{h:02d}:{m:02d}" for h, m in zip(rng.integers(3, 24, 6), rng.choice((0, 15, 20, 30), 6), strict=True)]
    hours = [(str(zone), clocks[k], clocks[k + 3]) for k, zone in enumerate(zones) if clocks[k] != clocks[k + 3]]
    params = P.replace(sessions=hours) if len(hours) == 3 else P
    steps = rng.choice((1, 1, 1, 2, 30, 200, 3000), 1500, p=(0.5, 0.2, 0.1, 0.1, 0.06, 0.03, 0.01))
    first = int(dt.datetime(2026, 2, 1 + seed, int(rng.integers(24)), tzinfo=dt.UTC).timestamp()) * 1_000_000_000
    first -= first % (minutes * MINUTE)
    bars = walk(seed, first + np.cumsum(steps) * minutes * MINUTE, minutes)
    assert len(assert_as_reference(bars, params, minutes)) > 20


@pytest.mark.parametrize("seed", range(5))
def test_the_whole_comparison_takes_periods_in(seed: int) -> None:
    """The reference of all sections, on bars that name their times."""
    rng = np.random.default_rng(seed)
    starts = market_minutes("2026-03-06", 8, 1.0)[:: 1 + seed]
    starts = starts[rng.random(len(starts)) < 600 / len(starts)]
    bars = walk(seed, starts)
    plain = random_bars(seed, len(bars))
    for name, letter in (("open", "o"), ("high", "h"), ("low", "l"), ("close", "c"), ("volume", "v")):
        bars[name] = [getattr(bar, letter) for bar in plain]
    kinds = Counter(assert_same(plain_bars(bars), params_for(seed)))
    assert {"DAY", "PERIOD_HIGH_BROKEN", "LONDON"} <= set(kinds)


# ---------------------------------------------------------------- real bars


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "tick"), [("ES_201312_1m_20131006_09.csv", 0.25), ("GC_201312_1m_20131008.csv", 0.1)])
def test_equals_the_reference_on_real_minutes(name: str, tick: float) -> None:
    kinds = assert_as_reference(read_bars(shared(f"smc/{name}"), tick), P, 1)
    assert ("DAY" in kinds) == name.startswith("ES")


@pytest.mark.shared_data
@pytest.mark.parametrize("minutes", [1, 5, 15, 30, 60])
def test_equals_the_reference_on_eight_real_weeks(minutes: int) -> None:
    bars = aggregated(parquet_bars("NQ_1m_tsx_20260120_20260318.parquet", 0.25), minutes)
    kinds = Counter(assert_as_reference(bars, P, minutes))
    assert kinds["DAY"] > 38
    assert kinds["WEEK"] == 7
    # every weekday; the first bar, at 10:56 on 20 January, cuts none off but that day's own
    assert kinds["OPENING_30"] == (0 if minutes == 60 else 41)


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["NQ_1m_tsx_20260120_20260318.parquet", "MGC_1m_tsx_20260121_20260318.parquet"])
def test_days_are_those_of_the_trading_calendar(name: str) -> None:
    """Every bar belongs to the day that `trading_day` names, bars of the break aside."""
    bars = parquet_bars(name, 0.25)
    groups: dict[dt.date, list[np.void]] = {}
    for bar in bars:
        local = dt.datetime.fromtimestamp(int(bar["start_ns"]) // 1_000_000_000, CHICAGO)
        if local.hour != 16:
            groups.setdefault(trading_day(int(bar["start_ns"])), []).append(bar)
    expected = [
        (max(int(b["high"]) for b in day), min(int(b["low"]) for b in day), int(day[-1]["close"]), len(day))
        for _, day in sorted(groups.items())
    ]
    got = [(high, low, close, n) for _, high, low, close, n in days(period_events(bars))]
    assert len(got) > 38
    assert got == expected[1 : 1 + len(got)]  # the first is incomplete, the last not over
    assert len(expected) - 1 - len(got) <= 1
