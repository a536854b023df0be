"""Support and resistance from swings: rules one by one (smc.md section 8)."""

import math

import numpy as np
import pytest

from level_cases import compare, events_of
from smc_cases import MINUTE, START, bar_array, bars_of, mirrored
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import EventCode, Source

P = Params(L=1, R=1, atr_n=1, sr_tol_ticks=2, sr_tol_atr=0.0)
# Bar 1 is a swing high at 10, known at bar 2: a resistance with the band 8..12.
HIGH = ((5, 6, 4, 5), (5, 10, 5, 6), (6, 7, 5, 5))
TOUCH = (5, 8, 5, 6)
QUIET = (5, 7, 5, 6)


def happened(*rows: tuple[int, ...], params: Params = P) -> list[tuple[int, str, int]]:
    """(bar, what, side) of every level event."""
    return [
        (int(e["known"]), EventCode(e["kind"]).name.removeprefix("LEVEL_"), int(e["side"]))
        for e in events_of(bars_of(*rows), params)
    ]


def bands(*rows: tuple[int, ...], params: Params = P) -> list[tuple[int, int, int, int]]:
    """(bar, bottom, level, top) of every level event."""
    names = ["known", "bottom", "level", "top"]
    return [tuple(map(int, e)) for e in events_of(bars_of(*rows), params)[names].tolist()]


# ---------------------------------------------------------------- touch


def test_a_lone_swing_says_nothing_its_first_touch_makes_it_known() -> None:
    assert happened(*HIGH, QUIET, QUIET) == []
    assert happened(*HIGH, TOUCH) == [(3, "LEVEL", -1)]
    assert bands(*HIGH, TOUCH) == [(3, 8, 10, 12)]


def test_touching_the_edge_counts_one_tick_short_does_not() -> None:
    assert happened(*HIGH, (5, 8, 5, 6)) == [(3, "LEVEL", -1)]
    assert happened(*HIGH, (5, 7, 5, 6)) == []


@pytest.mark.parametrize(("close", "touched"), [(6, True), (9, True), (10, False), (11, False), (12, False)])
def test_the_close_must_be_on_its_side_of_the_exact_level(close: int, touched: bool) -> None:
    assert happened(*HIGH, (5, 12, 5, close)) == ([(3, "LEVEL", -1)] if touched else [])


def test_a_touch_needs_a_bar_before_it_outside_the_band() -> None:
    highs = (9, 10, 8, 7, 8)  # rising within the band makes no second touch; no high above its neighbours joins
    rows = [(5, high, 5, 6) for high in highs]
    got = [row for row in happened(*HIGH, *rows) if row[1] != "JOINED"]
    assert got == [(3, "LEVEL", -1), (7, "TOUCHED", -1)]


def test_the_bar_of_its_birth_does_not_touch_but_counts_as_the_bar_before() -> None:
    born_inside = (*HIGH[:2], (6, 8, 5, 5))
    assert happened(*born_inside) == []
    assert happened(*born_inside, TOUCH) == []
    assert happened(*born_inside, (5, 7, 5, 5), (5, 8, 5, 5)) == [(4, "LEVEL", -1)]


def test_a_zero_range_bar_touches() -> None:
    assert happened(*HIGH, (8, 8, 8, 8)) == [(3, "LEVEL", -1)]


# ---------------------------------------------------------------- break


def test_only_a_close_beyond_the_band_breaks() -> None:
    assert happened(*HIGH, TOUCH, (6, 14, 6, 12))[1:] == []
    assert happened(*HIGH, TOUCH, (6, 14, 6, 13))[1:] == [(4, "BROKEN", 1)]


def test_a_gap_over_the_band_breaks_without_a_touch() -> None:
    assert happened(*HIGH, TOUCH, (15, 16, 14, 15))[1:] == [(4, "BROKEN", 1)]


def test_a_broken_resistance_supports() -> None:
    rows = (*HIGH, TOUCH, (15, 16, 14, 15), (15, 16, 12, 14))
    assert happened(*rows)[1:3] == [(4, "BROKEN", 1), (5, "TOUCHED", 1)]
    assert happened(*rows[:-1], (15, 16, 9, 10))[2:] == []  # closes on the level
    assert happened(*rows[:-1], (15, 16, 8, 8))[2:] == []  # and on the edge
    assert happened(*rows[:-1], (15, 16, 6, 7))[2:3] == [(5, "BROKEN", -1)]


UP, DOWN = (15, 16, 14, 15), (5, 6, 4, 5)


def test_the_third_break_kills() -> None:
    got = happened(*HIGH, TOUCH, UP, DOWN, UP, DOWN)
    ends = [row for row in got if row[1] in ("BROKEN", "DEAD")]
    assert ends == [(4, "BROKEN", 1), (5, "BROKEN", -1), (6, "DEAD", 1)]


def test_breaks_older_than_max_age_no_longer_count() -> None:
    def breaks(max_age: int) -> list[str]:
        wait = [(16, 17, 15, 16)] * 3
        got = happened(*HIGH, TOUCH, UP, *wait, DOWN, UP, params=P.replace(max_age=max_age))
        return [what for t, what, _ in got if what in ("BROKEN", "DEAD")]

    # breaks at bars 4, 8, 9
    assert breaks(5) == ["BROKEN", "BROKEN", "DEAD"]
    assert breaks(4) == ["BROKEN", "BROKEN", "BROKEN"]


def test_breaks_of_an_unreported_level_are_silent_but_count() -> None:
    rows = (*HIGH, UP, DOWN)
    assert happened(*rows) == []
    (event,) = [e for e in events_of(bars_of(*rows, TOUCH), P) if e["level"] == 10]
    assert (int(event["known"]), int(event["side"]), float(event["parts"][3])) == (5, -1, 2.0)
    assert not [e for e in events_of(bars_of(*rows, UP, TOUCH), P) if e["level"] == 10]  # dead


# ---------------------------------------------------------------- members


def joined(price: int, old_volume: int = 1, new_volume: int = 1, params: Params = P) -> list[int]:
    """bottom, level, top after a second swing high joined the first one (10)."""
    rows = ((*HIGH[0], 1), (*HIGH[1], old_volume), (6, 6, 5, 5, 1), (5, price, 5, 6, new_volume), (6, 6, 5, 6, 1))
    events = events_of(bars_of(*rows), params)
    last = events[events["known"] == 4]
    return [] if len(last) == 0 else [int(last[0][name]) for name in ("bottom", "level", "top")]


def test_a_swing_in_the_band_joins_and_moves_the_level_to_the_mean() -> None:
    assert joined(8) == [7, 9, 11]  # the mean 9 is half the tolerance away, as far as it goes
    assert joined(9) == [8, 10, 11]  # 9.5: from 7.5 to 11.5; rounded half to even offset: 0
    assert joined(12) == [9, 11, 13]
    assert joined(13) == []


def test_members_weigh_by_volume_at_least_one() -> None:
    wide = P.replace(sr_tol_ticks=4)
    assert joined(7, 3, 1, wide) == [6, 9, 13]  # 10 - 3/4
    assert joined(7, 1, 3, wide) == [4, 8, 12]  # 10 - 9/4, at most 2 away
    assert joined(7, 0, 0, wide) == [5, 8, 12]  # 10 - 3/2
    assert joined(7, 0, 2, wide) == [4, 8, 12]  # 10 - 6/3


def test_the_nearest_level_is_joined_of_equally_near_ones_the_older() -> None:
    # swing highs 20 (bar 1) and 26 (bar 3), then 23 and 24 within reach of both
    params = P.replace(sr_tol_ticks=4)
    first = ((5, 6, 4, 5), (5, 20, 5, 6), (6, 7, 5, 5), (5, 26, 5, 6), (6, 7, 5, 5))
    for price, level in ((23, 20 + 1.5), (24, 25)):
        events = events_of(bars_of(*first, (5, price, 5, 6), (6, 7, 5, 5)), params)
        (event,) = events[events["known"] == 6]
        assert int(event["level"]) == math.floor(level + 0.5)
        assert int(event["origin"]) == 5


def test_the_tolerance_is_the_larger_of_ticks_and_atr_and_frozen() -> None:
    high = (*HIGH[:2], (5, 6, 4, 5))  # atr_n=1: the ATR at bar 2 is its true range, 2
    tall = (5, 11, 0, 6)

    def band(**changes: float) -> list[tuple[int, int, int, int]]:
        return [row for row in bands(*high, tall, params=P.replace(**changes)) if row[2] == 10]

    assert band(sr_tol_atr=1.5) == [(3, 7, 10, 13)]
    assert band(sr_tol_atr=1.25) == [(3, 8, 10, 12)]  # 2.5: whole ticks within
    assert band(sr_tol_atr=0.5) == [(3, 8, 10, 12)]
    assert band(sr_tol_ticks=0) == [(3, 10, 10, 10)]


def test_no_level_before_the_atr_is_known() -> None:
    assert happened(*HIGH, TOUCH, params=P.replace(atr_n=3)) == [(3, "LEVEL", -1)]
    assert happened(*HIGH, TOUCH, params=P.replace(atr_n=4)) == []


def test_a_close_exactly_on_a_new_level_takes_the_role_of_its_kind() -> None:
    """No bar of the right window trades beyond a swing, so a close can at most lie on it."""
    rows = (*HIGH[:2], (6, 10, 5, 10), (7, 7, 5, 5), TOUCH)
    assert happened(*rows) == [(4, "LEVEL", -1)]
    flipped = mirrored(bars_of(*rows))
    assert [(int(e["known"]), int(e["side"])) for e in events_of(flipped, P)] == [(4, 1)]


# ---------------------------------------------------------------- an outside bar is both


OUTSIDE = ((5, 6, 4, 5), (5, 9, 1, 5), (5, 6, 4, 5))  # high 9 and low 1 of bar 1, both known at bar 2


def test_high_and_low_of_one_bar_do_not_join_each_other() -> None:
    params = P.replace(sr_tol_ticks=8)
    state = Detector(1, params)
    events = state.push_bars(bar_array(bars_of(*OUTSIDE)))
    assert not [e for e in events if e["kind"] == EventCode.LEVEL_JOINED or e["kind"] == EventCode.LEVEL]
    # both are there: a gap far above breaks one of them, then both are touched on the way back
    assert sorted(b[2] for b in bands(*OUTSIDE, (30, 31, 30, 30), (17, 30, 9, 30), params=params)) == [1, 9]


def test_between_two_levels_born_together_a_high_joins_the_higher_and_a_low_the_lower() -> None:
    """Levels 9 and 1 with 4 ticks each; a swing at 5 is in both bands."""
    bars = bars_of(*OUTSIDE, (3, 4, 3, 3), (3, 5, 2, 3), (3, 4, 1, 3))
    for seen, level in ((bars, 7), (mirrored(bars), -7)):
        events = events_of(seen, P.replace(sr_tol_ticks=4))
        assert events[events["known"] == 5]["level"].tolist() == [level]


def test_when_both_join_one_level_that_is_one_event_with_two_members() -> None:
    params = P.replace(sr_tol_ticks=6)
    rows = (*HIGH, (5, 8, 5, 6), (6, 9, 4, 6), (6, 8, 5, 6))  # bar 4: high 9, low 4, level 10 with 4..16
    events = events_of(bars_of(*rows), params)
    (event,) = events[events["known"] == 5]
    assert (EventCode(event["kind"]).name, int(event["n"])) == ("LEVEL", 3)
    assert (int(event["level"]), int(event["volume"])) == (8, 3)  # 10 + (0 - 1 - 6) / 3


# ---------------------------------------------------------------- ends


def test_a_weak_level_expires_silently_after_max_age() -> None:
    for wait, params, seen in ((2, 3, True), (3, 3, False), (3, 4, True)):
        rows = (*HIGH, *[QUIET] * wait, TOUCH)
        found = [row for row in bands(*rows, params=P.replace(max_age=params)) if row[2] == 10]
        assert bool(found) == seen
        assert "EXPIRED" not in [what for _, what, _ in happened(*rows, params=P.replace(max_age=params))]


def test_a_touched_level_stays() -> None:
    rows = (*HIGH, TOUCH, *[(5, 6, 5, 6)] * 30, (5, 12, 5, 6))
    assert happened(*rows, params=P.replace(max_age=3))[-1] == (34, "TOUCHED", -1)


def test_the_weakest_makes_room() -> None:
    params = P.replace(max_zones=2)
    # swing highs 10 (bar 1, touched at 3), 40 (bar 4), 30 (bar 6): 40 goes, silently; then 20 (bar 8): 30 goes
    peaks = [row for high in (40, 30, 20) for row in ((5, high, 5, 6), (5, 7, 5, 6))]
    detector = Detector(1, params)
    events = detector.push_bars(bar_array(bars_of(*HIGH, TOUCH, *peaks)))
    assert not (events["kind"] == EventCode.LEVEL_EXPIRED).any()
    assert detector.levels()["level"].tolist() == [10]
    back = bar_array(bars_of((5, 41, 5, 6)), start=START + 10 * MINUTE)  # touches what is left
    assert sorted(e["level"] for e in detector.push_bars(back) if e["kind"] == EventCode.LEVEL) == [20]
    one = params.replace(max_zones=1)
    got = [row for row in happened(*HIGH, TOUCH, *peaks[:2], params=one) if row[1] in ("LEVEL", "EXPIRED")]
    assert got == [(3, "LEVEL", -1), (5, "EXPIRED", -1)]


BOTH = (5, 9, 1, 5)


def test_of_two_alike_levels_both_make_room() -> None:
    """High 9 and low 1 of one bar, 4 from the close: as the mirror of each other neither may be preferred."""
    params = P.replace(max_zones=2, sr_tol_ticks=0)
    still = (5, 6, 4, 5)
    assert sorted(row[2] for row in bands(*OUTSIDE, still, still, BOTH, params=params)) == [1, 9]
    # a swing high at 7 (bar 3), born at bar 4
    assert [row[2] for row in bands(*OUTSIDE, (5, 7, 4, 5), still, BOTH, params=params)] == [7]


def test_of_two_born_together_the_farther_makes_room() -> None:
    params = P.replace(max_zones=2, sr_tol_ticks=0)
    for close, left in ((4, 1), (6, 9)):
        rows = (*OUTSIDE, (5, 7, 4, 5), (5, 6, 4, close), BOTH)
        assert sorted(row[2] for row in bands(*rows, params=params)) == sorted((left, 7))


def test_with_room_for_one_the_nearer_of_two_is_made() -> None:
    params = P.replace(max_zones=1, sr_tol_ticks=0)
    assert bands(*OUTSIDE, (5, 6, 4, 5), BOTH, params=params) == []
    nearer = (*OUTSIDE[:2], (5, 6, 4, 6), (5, 6, 4, 5), (5, 9, 1, 5))
    assert [row[2] for row in bands(*nearer, params=params)] == [9]


# ---------------------------------------------------------------- what an event says


def test_strength_and_its_parts() -> None:
    rows = [(*row, v) for row, v in zip((*HIGH, QUIET, QUIET, TOUCH, UP), (2, 6, 4, 4, 4, 4, 4), strict=True)]
    touch, broken = events_of(bars_of(*rows), P)
    # two of six; touched at this bar; volume 6 over four times the mean of 2 6 4 4 4 4
    assert touch["score"] == 2 / 6 * 0.5 + 1.0 * 0.3 + 6 / 16 * 0.2 - 0.15 * 0
    assert touch["parts"].tolist() == [np.float32(2 / 6), 1.0, 0.375, 0.0, 0.0]
    assert broken["score"] == 2 / 6 * 0.5 + math.exp2(-1 / 250) * 0.3 + 6 / 16 * 0.2 - 0.15 * 1
    assert (int(touch["n"]), int(touch["volume"]), int(touch["source"])) == (2, 6, Source.SWING)
    assert int(touch["origin"]) == 1
    assert int(touch["origin_ns"]) == START + MINUTE


def test_strength_is_never_below_zero() -> None:
    wait = [(16, 17, 15, 16)] * 995
    rows = [(*row, 0 if k == 1 else 9) for k, row in enumerate((*HIGH, TOUCH, UP, *wait, DOWN))]
    events = events_of(bars_of(*rows), P.replace(max_age=1000))
    events = events[events["source"] == Source.SWING]  # the wait is longer than a night: sessions end in it
    assert float(events[-1]["parts"][3]) == 2.0
    weak = 2 / 6 * 0.5 + math.exp2(-997 / 250) * 0.3 - 0.15 * 2
    assert weak < 0
    assert EventCode(events[-1]["kind"]).name == "LEVEL_BROKEN"
    assert events[-1]["score"] == 0.0


def test_without_volume_the_volume_share_is_one_half() -> None:
    (event,) = events_of(bars_of(*[(*row, 0) for row in (*HIGH, TOUCH)]), P)
    assert event["parts"].tolist()[2] == 0.5


def test_later_events_name_the_first_which_names_nothing() -> None:
    first, *later = events_of(bars_of(*HIGH, TOUCH, UP, DOWN, UP), P)
    assert int(first["parent_id"]) == -1
    assert {int(e["parent_id"]) for e in later if e["level"] == 10} == {int(first["id"])}


def test_levels_shows_what_is_reported_in_order_of_price() -> None:
    detector = Detector(5, P)
    rows = (*HIGH, TOUCH, UP, (15, 16, 12, 14))
    detector.push_bars(bar_array(bars_of(*rows), minutes=5))
    level = detector.levels()[0]
    assert [int(level[name]) for name in ("level", "top", "bottom", "members", "touches", "breaks", "side")] == [
        10, 12, 8, 1, 2, 1, 1,
    ]  # fmt: skip
    assert (int(level["born"]), int(level["origin"]), int(level["timeframe_min"])) == (2, 1, 5)
    assert int(level["known_ns"]) == START + 4 * 5 * MINUTE
    assert len(Detector(1).levels()) == 0


def test_a_sleeping_list_wakes_for_a_wide_band_behind_a_narrow_one() -> None:
    """The support 80 reaches up to 110, the nearer one at 100 to 101 only, and price is far from both."""
    still = (300, 301, 299, 300)
    bars = bars_of(
        still, (300, 301, 100, 300), still, (300, 301, 80, 300), (300, 330, 270, 300), still,
        (300, 330, 299, 300), (300, 301, 105, 300),
    )  # fmt: skip
    params = P.replace(sr_tol_ticks=1, sr_tol_atr=0.5)  # the ATR is 60 when 80 becomes known
    for seen, sign in ((bars, 1), (mirrored(bars), -1)):
        events = events_of(seen, params)
        told = [(int(e["known"]), sign * int(e["level"])) for e in events if e["kind"] == EventCode.LEVEL]
        assert told == [(3, 100), (6, 330), (7, 80)]
        compare(seen, params)


def test_after_a_reset_nothing_is_left() -> None:
    detector = Detector(1, P)
    detector.push_bars(bar_array(bars_of(*HIGH, TOUCH)))
    assert len(detector.levels()) == 1
    detector.roll_reset()
    assert len(detector.levels()) == 0
    later = bar_array(bars_of(*HIGH, TOUCH), start=START + 100 * MINUTE)
    events = detector.push_bars(later)
    assert [int(e["known"]) for e in events if e["kind"] == EventCode.LEVEL] == [7]
