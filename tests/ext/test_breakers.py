"""Breaker and mitigation blocks: birth and life rule by rule (smc.md section 7), then the slow reference."""

import collections
from typing import Any

import numpy as np
import pytest

from shared_data import shared
from smc_cases import (
    MINUTE,
    START,
    assert_same,
    bar_array,
    bars_of,
    compiled_rows,
    mirrored,
    params_for,
    plain_bars,
    random_bars,
    read_bars,
)
from tbot_ext.bars import mark_session_breaks
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import BAR_DTYPE, EventCode, Flag
from tbot_ext.zones import ZoneState

KINDS = ("BREAKER", "MITIGATION")
P = Params(L=1, R=1, atr_n=1)  # the ATR is the true range of the bar
Row = tuple[int, ...]
Seen = tuple[int, str, int, int, int, int]

# A bull block [2, 6] of bar 3, known at bar 5.
BLOCK = ((5, 6, 4, 5), (5, 10, 5, 6), (6, 7, 5, 5), (5, 6, 2, 3), (3, 7, 3, 6), (6, 12, 6, 11))
# Volumes are 1 throughout: displacement 9 / 6 of 3, volume 1 / 2, no gap, no sweep, a BOS.
BLOCK_SCORE = 100.0 * (0.30 * 0.5 + 0.25 * 0.5 + 0.20 * 0.0 + 0.15 * 0.0 + 0.10 * 0.5)
BREAK = (8, 9, 1, 1)  # closes 1 below it
BREAKER = (6, "BREAKER", -1, 3, 6, 2)

# A leg that fails: swing high 15 (bar 1), swing low 5 (bar 3), swing high 17 (bar 5), and a close below 5 at bar 7.
START_OF_LEG = ((10, 11, 9, 10), (10, 15, 10, 12), (12, 13, 6, 7), (7, 8, 5, 6), (6, 12, 6, 11))
LEG = (*START_OF_LEG, (11, 17, 10, 12), (12, 13, 8, 9))
FAIL = (9, 10, 3, 4)
LEFT = (7, "BREAKER", -1, 3, 8, 5)


def rows_of(*rows: Row, params: Params = P) -> list[tuple[Any, ...]]:
    """All fields of the events of section 7; checked against the reference and against mirrored prices."""
    bars = bars_of(*rows)
    assert_same(bars, params)
    ours = compiled_rows(Detector(1, params).push_bars(bar_array(bars)))
    theirs = compiled_rows(Detector(1, params).push_bars(bar_array(mirrored(bars))))
    kept = [row for row in ours if row[1].startswith(KINDS)]
    turned = [(*row[:2], -row[2], row[3], -row[5], -row[4]) for row in theirs if row[1].startswith(KINDS)]
    assert sorted(turned) == sorted(row[:6] for row in kept)
    return kept


def seen(*rows: Row, params: Params = P) -> list[Seen]:
    """(bar, kind, side, origin, top, bottom)."""
    return [row[:6] for row in rows_of(*rows, params=params)]


def life(birth: Seen, *rows: Row, params: Params = P) -> list[tuple[int, str]]:
    """(bar, what) that follows the birth of this zone."""
    events = rows_of(*rows, params=params)
    (born,) = [row for row in events if row[:6] == birth]
    return [(row[0], row[1].partition("_")[2]) for row in events if row[-1] == born[-2]]


def after_break(*later: Row, params: Params = P) -> list[tuple[int, str]]:
    return life(BREAKER, *BLOCK, BREAK, *later, params=params)


# ---------------------------------------------------------------- from an order block


def test_a_broken_block_becomes_a_breaker_of_the_other_side_at_once() -> None:
    assert seen(*BLOCK, BREAK) == [BREAKER]
    assert seen(*BLOCK, (8, 9, 2, 2)) == []  # the far edge itself does not break


def test_it_names_its_block_and_carries_what_that_was() -> None:
    events = Detector(1, P).push_bars(bar_array(bars_of(*BLOCK, BREAK)))
    (block,) = events[(events["kind"] == EventCode.OB) & (events["side"] == 1)]
    (breaker,) = events[events["kind"] == EventCode.BREAKER]
    broken = events[events["kind"] == EventCode.OB_BROKEN]
    assert breaker["parent_id"] == block["id"]
    assert breaker["id"] == broken["id"][0] + 1
    for name in ("origin", "origin_ns", "top", "bottom", "volume", "delta"):
        assert breaker[name] == block[name]
    assert breaker["parts"].tolist() == block["parts"].tolist()
    assert (int(breaker["known"]), int(breaker["n"])) == (6, 0)
    assert int(breaker["known_ns"]) == START + 7 * MINUTE


def test_the_zone_flags_of_the_block_stay() -> None:
    cut = P.replace(ob_max_height_atr=0.6)  # of an ATR of 6, the block is 4 tall: cut to its body
    (breaker,) = rows_of(*BLOCK, BREAK, params=cut)
    assert (breaker[4:6], breaker[10]) == ((5, 2), Flag.BODY_ZONE)


def test_its_score_grows_with_the_distance_of_the_break() -> None:
    (near,) = rows_of(*BLOCK, BREAK)  # 1 beyond, true range 10
    (far,) = rows_of(*BLOCK, (2, 3, -9, -9))  # 11 beyond, true range 20
    (further,) = rows_of(*BLOCK, (-20, -20, -21, -21))  # 23 beyond, true range 32
    (furthest,) = rows_of(*BLOCK, (-20, -19, -20, -20, 1, 1))  # 22 beyond, true range 1 after a session break
    assert near[7] == BLOCK_SCORE * (0.5 + 0.5 * 0.1)
    assert far[7] == BLOCK_SCORE * (0.5 + 0.5 * (11 / 20))
    assert further[7] == BLOCK_SCORE * (0.5 + 0.5 * (23 / 32))
    assert furthest[7] == BLOCK_SCORE


def test_in_wick_mode_the_wick_breaks_and_measures() -> None:
    wick = P.replace(zone_break="wick")
    assert seen(*BLOCK, (8, 9, 2, 8), params=wick) == []
    (breaker,) = rows_of(*BLOCK, (8, 9, 0, 8), params=wick)  # 2 beyond, true range 11
    assert breaker[:6] == BREAKER
    assert breaker[7] == 100.0 * (0.30 * 0.5 + 0.25 * 0.5 + 0.20 * 0.0 + 0.15 * 0.0 + 0.10 * 0.5) * (
        0.5 + 0.5 * (2 / 11)
    )


def test_none_without_an_atr() -> None:
    """A bar without range after a session break has no true range: with atr_n = 1 the ATR is then 0."""
    assert seen(*BLOCK, (1, 1, 1, 1, 1, 1)) == []
    assert seen(*BLOCK, (1, 1, 1, 1)) == [BREAKER]


def test_a_gap_straight_through_the_block_makes_one_as_well() -> None:
    assert seen(*BLOCK, (1, 1, 0, 1)) == [BREAKER]


# ---------------------------------------------------------------- life


def test_the_first_test_may_come_with_the_next_bar() -> None:
    assert after_break((1, 1, 0, 1)) == []
    assert after_break((1, 2, 0, 1)) == [(7, "TESTED")]  # exactly at the edge


def test_a_new_test_needs_a_bar_that_stays_away() -> None:
    inside, away = (1, 3, 1, 1), (1, 1, 0, 1)
    assert after_break(inside, inside, away, inside) == [(7, "TESTED"), (10, "TESTED")]
    rows = rows_of(*BLOCK, BREAK, inside, inside, away, inside)
    assert [row[9] for row in rows if row[1] == "BREAKER_TESTED"] == [1, 2]


def test_tests_go_on_beyond_the_middle() -> None:
    deep, away = (1, 6, 1, 1), (1, 1, 0, 1)
    assert after_break(deep, away, deep) == [(7, "TESTED"), (9, "TESTED")]


def test_a_close_beyond_the_far_edge_is_the_end_and_a_touch_is_not() -> None:
    assert after_break((1, 6, 1, 6)) == [(7, "TESTED")]
    assert after_break((1, 7, 1, 7)) == [(7, "TESTED"), (7, "DEAD")]
    assert after_break((1, 7, 1, 7), (7, 7, 1, 1), (1, 9, 1, 9)) == [(7, "TESTED"), (7, "DEAD")]


def test_a_wick_beyond_the_far_edge_is_not_even_in_wick_mode() -> None:
    wick = P.replace(zone_break="wick", break_mode="wick")
    assert after_break((1, 99, 1, 6), params=wick) == [(7, "TESTED")]
    assert after_break((1, 99, 1, 7), params=wick) == [(7, "TESTED"), (7, "DEAD")]


def test_a_bar_that_gaps_through_tests_nothing() -> None:
    assert after_break((8, 9, 7, 8)) == [(7, "DEAD")]
    assert after_break((8, 9, 6, 8)) == [(7, "TESTED"), (7, "DEAD")]


def test_it_does_not_flip_a_second_time() -> None:
    assert [row[:3] for row in seen(*BLOCK, BREAK, (8, 9, 7, 8), (8, 9, 1, 1))][:2] == [
        (6, "BREAKER", -1), (7, "BREAKER_DEAD", -1),
    ]  # fmt: skip


def test_it_expires_after_max_age_bars_before_it_can_react() -> None:
    short, away, test = P.replace(max_age=3), (1, 1, 0, 1), (1, 3, 1, 1)
    assert after_break(away, away, test, params=short) == [(9, "TESTED")]
    assert after_break(away, away, away, test, params=short) == [(10, "EXPIRED")]


def test_live_breakers_react_before_new_ones_are_born() -> None:
    """The drop that breaks a bull block, and so makes a bear breaker, may end a bull breaker at the same bar."""
    bars_with_both = 0
    for seed in range(40):
        events = Detector(1, params_for(seed)).push_bars(bar_array(random_bars(seed, 250)))
        old = np.isin(events["kind"], (EventCode.BREAKER_TESTED, EventCode.BREAKER_DEAD))
        made_of = dict(zip(events["id"].tolist(), events["kind"].tolist(), strict=True))
        parents = np.array([made_of.get(parent, 0) for parent in events["parent_id"].tolist()])
        new = (events["kind"] == EventCode.BREAKER) & (parents == EventCode.OB)
        for t in set(events["known"][old].tolist()) & set(events["known"][new].tolist()):
            at = events["known"] == t
            assert events["id"][old & at].max() < events["id"][new & at].min()
            bars_with_both += 1
    assert bars_with_both > 10


def test_zones_shows_what_lives() -> None:
    detector = Detector(1, P)
    detector.push_bars(bar_array(bars_of(*BLOCK, BREAK, (1, 3, 1, 1))))
    (zone,) = [zone for zone in detector.zones() if zone["kind"] == EventCode.BREAKER]
    assert ZoneState(zone["state"]) is ZoneState.TESTED
    assert (int(zone["top"]), int(zone["bottom"]), int(zone["tests"]), int(zone["side"])) == (6, 2, 1, -1)
    detector.push_bars(bar_array(bars_of((8, 9, 7, 8)), start=START + 8 * MINUTE))
    assert EventCode.BREAKER not in detector.zones()["kind"]
    detector = Detector(1, P)
    detector.push_bars(bar_array(bars_of(*START_OF_LEG, (11, 14, 10, 12), (12, 13, 8, 9), FAIL)))
    (zone,) = [zone for zone in detector.zones() if zone["kind"] == EventCode.MITIGATION_BLOCK]
    assert ZoneState(zone["state"]) is ZoneState.ACTIVE
    assert (int(zone["top"]), int(zone["bottom"]), int(zone["side"]), int(zone["origin"])) == (8, 5, -1, 3)


# ---------------------------------------------------------------- from structure


def test_a_failed_leg_that_took_liquidity_leaves_a_breaker() -> None:
    assert seen(*LEG, FAIL) == [LEFT]
    assert seen(*LEG, (9, 10, 5, 5)) == []  # an equal close is no break


def test_its_score_and_parts_are_those_of_a_block() -> None:
    (row,) = rows_of(*LEG, FAIL)
    # from 8 to 4 over a true range of 7; volume 1 over twice the mean 1; no gap; liquidity taken; a BOS
    parts = (4 / 7 / 3, 0.5, 0.0, 1.0, 0.5)
    assert row[7] == 100.0 * (0.30 * parts[0] + 0.25 * 0.5 + 0.20 * 0.0 + 0.15 * 1.0 + 0.10 * 0.5)
    assert row[8] == tuple(float(np.float32(x)) for x in parts)
    assert (row[-1], row[10], row[9]) == (-1, 0, 0)
    volumes = (1, 1, 1, 5, 1, 1, 1, 1)
    events = Detector(1, P).push_bars(
        bar_array(bars_of(*((*bar, v) for bar, v in zip((*LEG, FAIL), volumes, strict=True))))
    )
    (breaker,) = events[events["kind"] == EventCode.BREAKER]
    assert (int(breaker["volume"]), int(breaker["delta"]), float(breaker["parts"][1])) == (5, 2, 1.0)
    assert rows_of(*((*bar, 0) for bar in (*LEG, FAIL)))[0][8][1] == 0.5  # no volume feed


def test_an_unfilled_gap_after_the_candle_counts() -> None:
    (row,) = rows_of(*LEG, (9, 9, 3, 4))  # 1 below the low of bar 5
    assert row[8][2] == 1.0


def test_a_choch_counts_more_than_a_bos() -> None:
    up = (*START_OF_LEG, (11, 17, 10, 16), (16, 16, 9, 10))  # bar 5 closes above the swing high of 15
    (row,) = [row for row in rows_of(*up, (10, 10, 3, 4), params=P.replace(ob_min_disp_atr=9.0)) if row[0] == 7]
    assert (row[1], row[8][4]) == ("BREAKER", 1.0)


def test_a_leg_that_took_nothing_leaves_a_mitigation_block() -> None:
    for high in (14, 15):  # an equal high took nothing either
        leg = (*START_OF_LEG, (11, high, 10, 12), (12, 13, 8, 9))
        (row,) = rows_of(*leg, FAIL)
        assert row[:6] == (7, "MITIGATION_BLOCK", -1, 3, 8, 5)
        assert row[8][3] == 0.0


def test_a_mitigation_block_lives_like_a_breaker() -> None:
    leg = (*START_OF_LEG, (11, 14, 10, 12), (12, 13, 8, 9), FAIL)
    birth = (7, "MITIGATION_BLOCK", -1, 3, 8, 5)
    away, test = (4, 4, 3, 4), (4, 5, 4, 4)
    assert life(birth, *leg, test, away, test) == [(8, "TESTED"), (10, "TESTED")]
    assert life(birth, *leg, (4, 9, 4, 9)) == [(8, "TESTED"), (8, "DEAD")]
    assert life(birth, *leg, (9, 9, 9, 9)) == [(8, "DEAD")]
    short = P.replace(max_age=2)
    assert life(birth, *leg, away, away, test, params=short) == [(10, "EXPIRED")]
    kinds = {row[1] for row in rows_of(*leg, test, (4, 9, 4, 9)) if row[3] == 3}
    assert kinds == {"MITIGATION_BLOCK", "MITIGATION_TESTED", "MITIGATION_DEAD"}


def test_nothing_without_both_swing_highs() -> None:
    assert seen((10, 16, 9, 10), *LEG[1:], FAIL) == []  # bar 1 is no swing high: none before the swing low
    assert seen(*LEG[:6], (12, 12, 3, 4)) == []  # bar 5 is not known as one yet
    assert seen(*LEG, FAIL, params=P.replace(atr_n=9)) == []  # no ATR
    assert seen(*LEG, FAIL, params=P.replace(atr_n=8)) == [LEFT]


def test_a_swing_high_on_the_bar_of_the_swing_low_is_neither() -> None:
    outside = (7, 18, 5, 6)
    assert seen(*LEG[:3], outside, *LEG[4:], FAIL) == [(7, "BREAKER", -1, 3, 18, 5)]  # 17 against 15, not 18
    assert seen((10, 16, 9, 10), *LEG[1:3], outside, *LEG[4:], FAIL) == []  # none before it
    falling = ((6, 8, 6, 7), (7, 8, 6, 7), (7, 8, 6, 7))  # none after it
    assert seen(*LEG[:3], outside, *falling, FAIL) == []


def test_the_candle_may_lie_before_the_swing_low() -> None:
    for candle in ((6, 8, 5, 7), (6, 8, 5, 6)):  # it closes up, or is a doji
        leg = (*LEG[:3], candle, *LEG[4:])
        assert seen(*leg, FAIL) == [(7, "BREAKER", -1, 2, 13, 6)]
        assert seen(*leg, FAIL, params=P.replace(ob_search=1)) == [(7, "BREAKER", -1, 2, 13, 6)]
        assert seen(*leg, FAIL, params=P.replace(ob_search=0)) == []


def test_a_zone_that_is_dead_already_is_not_born() -> None:
    wick = P.replace(break_mode="wick")
    low = (*LEG[:5], (11, 14, 10, 12), LEG[6])  # a wick above 15 would have been a break
    assert seen(*low, (9, 12, 3, 8), params=wick) == [(7, "MITIGATION_BLOCK", -1, 3, 8, 5)]
    assert rows_of(*low, (9, 12, 3, 8), params=wick)[0][8][0] == 0.0
    assert seen(*low, (9, 12, 3, 9), params=wick) == []


@pytest.mark.parametrize(("highs", "born"), [(63, True), (64, False)])
def test_the_swing_before_is_looked_for_among_the_last_64(highs: int, born: bool) -> None:
    """Lows are level, so that there are swing highs only, all of them after the swing low."""
    waves = [wave for _ in range(highs) for wave in ((7, 14, 6, 7), (7, 12, 6, 7))]
    fail = (7, 8, 3, 4)
    expected = (5 + len(waves), "MITIGATION_BLOCK", -1, 3, 8, 5)
    assert (expected in seen(*START_OF_LEG[:4], (6, 12, 6, 7), *waves, fail)) is born


@pytest.mark.parametrize(("bars", "born"), [(1021, True), (1022, False)])
def test_the_candle_must_be_among_the_bars_that_are_kept(bars: int, born: bool) -> None:
    level = [(9, 10, 6, 9)] * (bars - 2)  # lows never fall, so that the swing low stays the last one
    rows = (*START_OF_LEG, (11, 14, 6, 12), (12, 13, 6, 9), *level, FAIL)
    found = seen(*rows, params=P.replace(ob_search=0))
    assert found == ([(len(rows) - 1, "MITIGATION_BLOCK", -1, 3, 8, 5)] if born else [])


# ---------------------------------------------------------------- both at once

UP_LEG = (*START_OF_LEG, (11, 17, 10, 16), (16, 16, 9, 10))  # bar 5 closes above 15: a bull block [5, 8] of bar 3
DOWN = (10, 10, 3, 4)  # breaks the block and the swing low


def test_of_two_overlapping_zones_of_one_bar_the_broken_block_stands() -> None:
    first, second = rows_of(*UP_LEG, DOWN)
    assert first[:6] == second[:6] == (7, "BREAKER", -1, 3, 8, 5)
    assert (first[10], second[10]) == (0, Flag.DUPLICATE)
    assert second[-1] == first[-2]  # dup_of
    detector = Detector(1, P)
    detector.push_bars(bar_array(bars_of(*UP_LEG, DOWN)))
    assert [int(zone["id"]) for zone in detector.zones() if zone["kind"] == EventCode.BREAKER] == [first[-2]]


def test_a_duplicate_has_no_life() -> None:
    first, second, *later = rows_of(*UP_LEG, DOWN, (4, 5, 4, 4), (4, 9, 4, 9))
    assert [row[1] for row in later if row[2] == -1] == ["BREAKER_TESTED", "BREAKER_DEAD"]
    assert {row[-1] for row in later if row[2] == -1} == {first[-2]}
    assert second[-2] not in {row[-1] for row in later}


@pytest.mark.parametrize(("low", "duplicate"), [(8, True), (9, False)])
def test_sharing_one_price_is_overlapping(low: int, duplicate: bool) -> None:
    # the candle is bar 2, from its low to 13; the block is bar 3, [5, 8]
    rows = (*UP_LEG[:2], (12, 13, low, low), (6, 8, 5, 7), *UP_LEG[4:], DOWN)
    first, second = rows_of(*rows, params=P.replace(ob_pick="extreme"))
    assert first[3:6] == (3, 8, 5)
    assert second[3:6] == (2, 13, low)
    assert bool(second[10] & Flag.DUPLICATE) is duplicate
    assert second[-1] == (first[-2] if duplicate else -1)


@pytest.mark.parametrize(("high", "duplicate"), [(5, True), (4, False)])
def test_sharing_one_price_at_the_other_end_is_overlapping_too(high: int, duplicate: bool) -> None:
    # The swing high of bar 3 (9) is broken by bar 5: a bull block of bar 4, [5, 8]. The candle below it is bar 2.
    rows = (
        (10, 11, 9, 10), (10, 15, 10, 12), (high, high, 3, 3), (6, 9, 6, 9), (6, 8, 5, 7), (6, 12, 6, 11),
        (11, 17, 10, 16), (16, 16, 9, 10), (10, 10, 3, 4),
    )  # fmt: skip
    first, second = [row for row in rows_of(*rows) if row[0] == 8]
    assert first[:6] == (8, "BREAKER", -1, 4, 8, 5)
    assert second[:6] == (8, "BREAKER", -1, 2, high, 3)
    assert bool(second[10] & Flag.DUPLICATE) is duplicate


def test_a_live_zone_with_the_same_origin_and_bounds_stands_for_a_new_one() -> None:
    # in wick mode bar 6 breaks the block; bar 7 breaks the swing low by its close
    wick = P.replace(zone_break="wick")
    rows = rows_of(*UP_LEG[:6], (16, 16, 4, 10), DOWN, params=wick)
    assert [row[:6] for row in rows] == [
        (6, "BREAKER", -1, 3, 8, 5), (7, "BREAKER_TESTED", -1, 3, 8, 5), (7, "BREAKER", -1, 3, 8, 5),
    ]  # fmt: skip
    assert (rows[2][10], rows[2][-1]) == (Flag.DUPLICATE, rows[0][-2])


def test_both_kinds_share_the_room_of_a_side() -> None:
    rows = (*UP_LEG[:2], (12, 13, 9, 9), (6, 8, 5, 7), *UP_LEG[4:], DOWN)
    one = P.replace(ob_pick="extreme", max_zones=1)
    first, gone, second = rows_of(*rows, params=one)
    assert [row[1] for row in (first, gone, second)] == ["BREAKER", "BREAKER_EXPIRED", "BREAKER"]
    assert gone[-1] == first[-2]
    assert len(rows_of(*rows, params=one.replace(max_zones=2))) == 2


# ---------------------------------------------------------------- against the reference


def test_the_random_bars_reach_every_path() -> None:
    """Guards the comparison of all events (test_order_blocks.py, too): a path that never occurs compares nothing."""
    seen_kinds: collections.Counter[str] = collections.Counter()
    duplicates = collections.Counter[bool]()
    for seed in range(200):
        bars, params = random_bars(seed, 250, step=2 + seed % 4), params_for(seed)
        rows = compiled_rows(Detector(1, params).push_bars(bar_array(bars)))
        seen_kinds.update(row[1] for row in rows)
        born = {row[-2]: row[0] for row in rows}
        duplicates.update(born[row[-1]] == row[0] for row in rows if row[10] & Flag.DUPLICATE)
    expected = {code.name for code in EventCode if code.name.startswith((*KINDS, "MSS"))}
    assert len(expected) == 9
    assert expected <= set(seen_kinds)
    assert duplicates[True] > 20  # of a breaker of the same bar
    assert duplicates[False] > 2  # of an older zone


@pytest.mark.parametrize("seed", range(120, 160))
def test_all_events_equal_the_reference(seed: int) -> None:
    """As in test_order_blocks.py, which has the first 120 seeds."""
    assert_same(random_bars(seed, 250, step=2 + seed % 4), params_for(seed))


@pytest.mark.parametrize("seed", range(160, 200))
def test_equals_the_reference_with_long_lives_and_little_room(seed: int) -> None:
    params = params_for(seed).replace(max_age=500, max_zones=3, L=1, R=1 + seed % 2)
    assert "BREAKER" in assert_same(random_bars(seed, 300, step=2 + seed % 3), params)


@pytest.mark.parametrize("seed", range(6))
def test_mirrored_prices_give_mirrored_zones(seed: int) -> None:
    bars, params = random_bars(seed, 300), params_for(seed).replace(break_mode="close")
    ours, theirs = (
        compiled_rows(Detector(1, params).push_bars(bar_array(way))) for way in (bars, mirrored(bars))
    )  # fmt: skip
    expected = [(*row[:2], -row[2], row[3], -row[5], -row[4], *row[7:11]) for row in ours if row[1].startswith(KINDS)]
    found = [(*row[:6], *row[7:11]) for row in theirs if row[1].startswith(KINDS)]
    assert expected
    assert sorted(found) == sorted(expected)


@pytest.mark.shared_data
@pytest.mark.parametrize("first", [1000, 2200])
def test_equals_the_reference_on_real_bars(first: int) -> None:
    bars = mark_session_breaks(read_bars(shared("smc/ES_201312_1m_20131006_09.csv"), 0.25))
    kinds = assert_same(plain_bars(bars[first : first + 2000]), Params(L=3, R=3))
    assert kinds.count("BREAKER") > 20
    assert kinds.count("MITIGATION_BLOCK") > 5


@pytest.mark.shared_data
@pytest.mark.parametrize(("symbol", "tick_size", "first"), [("NQ", 0.25, 20_000), ("GC", 0.1, 31_000)])
def test_equals_the_reference_on_the_brokers_own_bars(symbol: str, tick_size: float, first: int) -> None:
    """Wicks and little room, so that every part of section 7 happens in 2 000 bars."""
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(shared(f"market/bars_1m/{symbol}_1m_tsx_20260120_20260318.parquet"))[
        first : first + 2000
    ]
    bars = np.zeros(table.num_rows, BAR_DTYPE)
    bars["start_ns"] = table["ts"].cast("timestamp[ns]").to_numpy().astype("datetime64[ns]").astype(np.int64)
    for name in ("open", "high", "low", "close"):
        bars[name] = np.rint(table[name].to_numpy() / tick_size)
    bars["volume"], bars["timeframe_min"] = table["volume"].to_numpy(), 1
    params = Params(L=2, R=2, break_mode="wick", zone_break="wick", max_zones=8)
    kinds = set(assert_same(plain_bars(mark_session_breaks(bars)), params))
    assert {code.name for code in EventCode if code.name.startswith((*KINDS, "MSS"))} <= kinds
