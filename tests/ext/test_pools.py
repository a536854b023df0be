"""Liquidity pools: birth, joining, sweeps, runs and ends, rule by rule (smc.md section 9)."""

import numpy as np
import pytest

from pool_cases import KINDS, Row, side_rows
from smc_cases import assert_same, bar_array, bars_of, compiled_rows, mirrored
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import EventCode, Source

P = Params(L=1, R=1, atr_n=1, eq_tol_ticks=2, eq_tol_atr=0.0)
QUIET = (5, 6, 4, 5)  # equal highs and lows side by side are no swings


def peak(high: int, volume: int = 1) -> tuple[int, ...]:
    """A swing high between quiet bars, known one bar later."""
    return (5, high, 4, 5, volume)


def rows_of(*rows: tuple[int, ...], params: Params = P) -> list[Row]:
    """Events of the buy-side pools; those of the sell-side pools of the mirrored bars must be the same, mirrored."""
    bars = bars_of(*rows)
    found = side_rows(bars, params, 1)
    turned = [
        row._replace(side=-row.side, top=-row.bottom, bottom=-row.top, level=-row.level)
        for row in side_rows(mirrored(bars), params, -1)
    ]
    assert turned == found
    return found


def story(*rows: tuple[int, ...], params: Params = P) -> list[tuple[int, str, int, int]]:
    """(bar, kind, level, n)."""
    return [(row.t, row.kind, row.level, row.n) for row in rows_of(*rows, params=params)]


# ---------------------------------------------------------------- birth and members


def test_a_lone_swing_is_a_pool_of_one() -> None:
    (row,) = rows_of(QUIET, peak(10), QUIET)
    # one member, age 0, its volume 1 over twice the mean 1
    assert row == (2, "POOL", 1, 1, 10, 10, 10, 1.0 + 0.0 + 0.5, (0.0,) * 5, 1, 0, 1, -1)


def test_of_equal_highs_in_one_window_only_the_first_counts() -> None:
    assert story(QUIET, peak(10), peak(10), QUIET) == [(2, "POOL", 10, 1)]


def test_equal_highs_further_apart_make_a_pool_of_two() -> None:
    first, second = rows_of(QUIET, peak(10), QUIET, peak(10), QUIET)
    assert second[:7] == (4, "POOL_JOINED", 1, 3, 10, 10, 10)
    assert (second.n, second.parent, second.score) == (2, first.id, 2 + 2 / 100 + 1.0)


def test_a_swing_within_the_tolerance_joins_and_one_beyond_it_does_not() -> None:
    rows = rows_of(QUIET, peak(10), QUIET, peak(8), QUIET)
    assert rows[1][:7] == (4, "POOL_JOINED", 1, 3, 10, 8, 10)
    rows = rows_of(QUIET, peak(10), QUIET, peak(7), QUIET)
    assert rows[1][:7] == (4, "POOL", 1, 3, 7, 7, 7)


def test_the_tolerance_is_whole_ticks_of_the_atr_and_frozen_at_birth() -> None:
    # the ATR is the true range of the bar at which the swing becomes known: 2, later 20
    half = P.replace(eq_tol_ticks=0, eq_tol_atr=0.99)
    assert story(QUIET, peak(10), QUIET, peak(9), QUIET, params=half)[1] == (4, "POOL_JOINED", 10, 2)
    assert story(QUIET, peak(10), QUIET, peak(8), QUIET, params=half)[1] == (4, "POOL", 8, 1)
    wide = (5, 6, -14, 5)
    assert story(QUIET, peak(10), QUIET, peak(8), wide, params=half)[1] == (4, "POOL", 8, 1)
    assert story(QUIET, peak(10), wide, peak(7), QUIET, params=half)[1] == (4, "POOL_JOINED", 10, 2)
    assert story(QUIET, peak(10), QUIET, peak(8), QUIET, params=half.replace(eq_tol_ticks=2))[1][1] == "POOL_JOINED"


def test_it_joins_the_nearest_pool() -> None:
    assert story(QUIET, peak(16), QUIET, peak(13), QUIET, peak(12), QUIET)[2:] == [(6, "POOL_JOINED", 13, 2)]


def test_no_pool_is_opened_before_the_atr_is_known() -> None:
    assert story(QUIET, peak(10), QUIET, params=P.replace(atr_n=4)) == []
    assert story(QUIET, peak(10), QUIET, params=P.replace(atr_n=3)) == [(2, "POOL", 10, 1)]


def test_strength_counts_age_and_the_volume_of_the_members() -> None:
    rows = rows_of(QUIET, peak(10, 3), *[QUIET] * 47, peak(10, 0), QUIET)
    assert rows[0].score == 1 + 0.0 + 3 / (2 * ((1 + 3 + 1) / 3))
    # bar 50: known at bar 2, so 48 bars old; the mean is over the last 50 bars, without bar 0
    mean = (3 + 47 + 0 + 1) / 50
    assert rows[1].score == 2 + 48 / 100 + min(1.0, 3 / (2 * mean))
    late = rows_of(QUIET, peak(10), *[QUIET] * 147, peak(10), QUIET)
    assert late[1].score == 2 + 1.0 + 1.0


def test_without_volume_the_volume_part_is_one_half() -> None:
    dry = (*QUIET, 0)
    rows = rows_of(dry, peak(10, 0), dry, peak(11, 0), dry)
    assert rows[0].score == 1.5
    assert rows[1].kind == "SWEEP"
    assert rows[1].parts[2] == 0.5


# ---------------------------------------------------------------- taken


def test_price_exactly_at_the_level_takes_nothing() -> None:
    assert story(QUIET, peak(10), QUIET, (5, 10, 4, 10)) == [(2, "POOL", 10, 1)]


def test_a_tick_beyond_and_a_close_back_is_a_sweep() -> None:
    rows = rows_of(QUIET, peak(10), QUIET, peak(11))
    assert rows[1][:7] == (3, "SWEEP", -1, 3, 11, 10, 10)
    assert (rows[1].n, rows[1].parent) == (1, rows[0].id)
    # strength 1 + 1/100 + 1/2; wick 11 - 5 of 11 - 4; volume 1 of twice 1; depth 1 against half of 7; not delayed
    strength, wick = (1 + 0.01 + 0.5) / 4, 6 / 7
    assert rows[1].score == 0.35 * strength + 0.35 * wick + 0.2 * 0.5 + 0.1 * 1.0
    assert rows[1].parts == tuple(float(np.float32(x)) for x in (strength, wick, 0.5, 1.0, 0.0))


@pytest.mark.parametrize("close", [10, 11, 12])
def test_a_close_at_or_beyond_the_level_is_a_run(close: int) -> None:
    rows = rows_of(QUIET, peak(10), QUIET, (5, 12, 4, close))
    assert rows[1][:7] == (3, "RUN", 1, 3, 12, 10, 10)
    assert (rows[1].score, rows[1].n, rows[1].parent) == (0.0, 1, rows[0].id)


def test_the_depth_may_be_half_an_atr_and_not_more() -> None:
    # atr_n=1: the ATR is the bar's own range, high - 5; the depth is high - 10
    assert rows_of(QUIET, peak(10), QUIET, (5, 15, 5, 5))[1].parts[3] == 1.0
    assert rows_of(QUIET, peak(10), QUIET, (5, 16, 5, 5))[1].parts[3] == 0.0


def test_a_bar_without_range_has_no_wick() -> None:
    rows = rows_of(QUIET, peak(10), QUIET, (12, 12, 12, 12))
    assert (rows[1].kind, rows[1].parts[1], rows[1].top, rows[1].bottom) == ("RUN", 0.0, 12, 10)


def test_a_pool_is_first_taken_by_the_bar_after_its_birth() -> None:
    """R=1: the bar that makes the swing known cannot exceed it; the next one can."""
    assert story(QUIET, peak(10), QUIET, peak(11))[:2] == [(2, "POOL", 10, 1), (3, "SWEEP", 10, 1)]


def test_a_taken_pool_is_gone() -> None:
    no_reform = P.replace(eq_tol_ticks=0)
    kinds = [row[1] for row in story(QUIET, peak(10), QUIET, peak(20), peak(20), params=no_reform)]
    assert kinds == ["POOL", "SWEEP", "POOL"]


THREE = (QUIET, peak(16), QUIET, peak(13), QUIET, peak(10), QUIET)  # pools known at bars 2, 4 and 6


def test_several_pools_taken_by_one_bar_are_one_cluster_nearest_first() -> None:
    rows = rows_of(*THREE, (5, 20, 4, 5))
    assert [(row.kind, row.level, row.n) for row in rows[3:]] == [("SWEEP", 10, 1), ("SWEEP", 13, 2), ("SWEEP", 16, 3)]
    assert {row.id - row.n + 1 for row in rows[3:]} == {4}
    assert [row.parent for row in rows[3:]] == [3, 2, 1]


def test_one_bar_can_run_through_near_pools_and_sweep_far_ones() -> None:
    rows = rows_of(*THREE, (5, 17, 4, 13))
    assert [(row.kind, row.level, row.n) for row in rows[3:]] == [("RUN", 10, 1), ("RUN", 13, 2), ("SWEEP", 16, 3)]
    assert len({row.id - row.n for row in rows[3:]}) == 1


# ---------------------------------------------------------------- closed back later

RUN = (5, 12, 4, 11)  # runs through a pool at 10
ABOVE = (11, 12, 10, 10)  # closes at the level: not back


@pytest.mark.parametrize("waited", [0, 1, 2])
def test_a_close_back_within_the_window_makes_a_sweep_of_the_run(waited: int) -> None:
    rows = rows_of(QUIET, peak(10), QUIET, RUN, *[ABOVE] * waited, (10, 13, 3, 9))
    t = 4 + waited
    sweep = next(row for row in rows if row.kind == "SWEEP" and row.parent == 1)
    assert [row.kind for row in rows][:2] == ["POOL", "RUN"]
    assert sweep[:7] == (t, "SWEEP", -1, 3, 13, 10, 10)
    # bar 3 to now as one candle: open 5, high 13, low 3, close 9; strength as at bar 3; depth 3 against half of the
    # last bar's range of 10
    strength = (1 + 0.01 + 0.5) / 4
    assert sweep.score == 0.35 * strength + 0.35 * (4 / 10) + 0.2 * 0.5 + 0.1 * 1.0
    assert (sweep.parts[4], sweep.n) == (1.0 + waited, 1)


def test_one_bar_later_it_is_too_late() -> None:
    back = (10, 10, 3, 9)
    runs = (QUIET, peak(10), QUIET, RUN)
    assert [row[1] for row in story(*runs, *[ABOVE] * 2, back)].count("SWEEP") == 1
    assert [row[1] for row in story(*runs, *[ABOVE] * 3, back)].count("SWEEP") == 0
    assert [row[1] for row in story(*runs, back, params=P.replace(sweep_reclaim=0))].count("SWEEP") == 0
    assert [row[1] for row in story(*runs, back, params=P.replace(sweep_reclaim=1))].count("SWEEP") == 1
    assert [row[1] for row in story(*runs, ABOVE, back, params=P.replace(sweep_reclaim=1))].count("SWEEP") == 0


def test_a_run_becomes_a_sweep_once() -> None:
    kinds = [row[1] for row in story(QUIET, peak(10), QUIET, RUN, (10, 10, 3, 9), (9, 9, 3, 9), (9, 9, 3, 8))]
    assert kinds.count("SWEEP") == 1


def test_the_volume_of_a_delayed_sweep_is_the_mean_per_bar() -> None:
    rows = rows_of(QUIET, peak(10), QUIET, (*RUN, 4), (10, 10, 3, 9, 1))
    mean = (1 + 1 + 1 + 4 + 1) / 5
    (sweep,) = [row for row in rows if row.kind == "SWEEP"]
    assert sweep.parts[2] == float(np.float32(2.5 / (2 * mean)))


def test_delayed_sweeps_are_a_cluster_of_their_own_after_the_taken_pools() -> None:
    rows = rows_of(QUIET, peak(20), QUIET, *THREE[3:], (5, 14, 4, 13), (13, 21, 4, 8))
    assert [(row.t, row.kind, row.level, row.n) for row in rows[3:]] == [
        (7, "RUN", 10, 1), (7, "RUN", 13, 2), (8, "SWEEP", 20, 1), (8, "SWEEP", 10, 1), (8, "SWEEP", 13, 2),
    ]  # fmt: skip


def test_a_full_side_run_through_at_once_is_closed_back_at_once() -> None:
    """64 pools taken by one bar, more born and taken while they wait, and all closed back by the last bar allowed."""
    patient = P.replace(sweep_reclaim=20, eq_tol_ticks=0)
    stairs = [row for step in range(64) for row in (QUIET, peak(200 - step))]
    heights = range(320, 365, 5)  # each runs through the pool of the one before
    later = [row for high in heights for row in ((300, high, 299, high - 1), (high - 1, high - 1, 299, high - 1))]
    rows = rows_of(*stairs, QUIET, (5, 300, 4, 300), *later, (359, 359, 299, 359), (300, 300, 3, 4), params=patient)
    t = 2 * 64 + 1
    assert [row.n for row in rows if row.kind == "RUN" and row.t == t] == list(range(1, 65))
    back = [row for row in rows if row.kind == "SWEEP" and row.t == t + 20 and row.origin < row.t]
    assert [row.n for row in back] == list(range(1, len(back) + 1))
    assert [row.level for row in back] == [*range(137, 201), *heights[:-1]]


# ---------------------------------------------------------------- re-formed


def test_a_sweep_that_becomes_a_swing_near_the_old_level_re_forms_the_pool() -> None:
    rows = rows_of(QUIET, peak(10, 3), QUIET, peak(12, 2), QUIET)
    assert [row.kind for row in rows] == ["POOL", "SWEEP", "POOL"]
    again = rows[2]
    assert again[:7] == (4, "POOL", 1, 3, 12, 10, 12)
    assert (again.n, again.parent) == (2, rows[0].id)
    assert again.score == 2 + 0.0 + 1.0  # aged 0
    # it is a pool of its own, taken at its own level
    last = rows_of(QUIET, peak(10, 3), QUIET, peak(12, 2), QUIET, peak(13), QUIET)
    assert [(row.kind, row.level, row.n, row.parent) for row in last[3:]] == [("SWEEP", 12, 1, 3), ("POOL", 13, 3, 3)]


def test_beyond_the_old_tolerance_it_is_a_new_pool() -> None:
    rows = rows_of(QUIET, peak(10), QUIET, peak(13), QUIET)
    assert (rows[2].kind, rows[2].n, rows[2].parent, rows[2].bottom) == ("POOL", 1, -1, 13)


def test_a_run_re_forms_nothing() -> None:
    rows = rows_of(QUIET, peak(10), QUIET, (5, 11, 4, 10), QUIET)
    assert [(row.t, row.kind, row.n, row.parent) for row in rows[1:]] == [
        (3, "RUN", 1, 1), (4, "SWEEP", 1, 1), (4, "POOL", 1, -1),
    ]  # fmt: skip


def test_of_several_swept_pools_only_the_furthest_is_re_formed() -> None:
    rows = rows_of(*THREE, peak(17), QUIET)
    assert rows[-1][:7] == (8, "POOL", 1, 7, 17, 16, 17)
    assert (rows[-1].n, rows[-1].parent) == (2, 1)
    assert sum(row.kind == "POOL" for row in rows) == 4


def test_re_forming_goes_before_joining_another_pool() -> None:
    """Pool 11 has tolerance 0 and is touched exactly by the bar that sweeps pool 10 with its tolerance of 1."""
    params = P.replace(eq_tol_ticks=0, eq_tol_atr=0.5)
    small = (5, 6, 5, 5)  # true range 1
    rows = rows_of(QUIET, peak(11), small, peak(10), QUIET, peak(11), QUIET, params=params)
    assert [(row.t, row.kind, row.level, row.n, row.parent) for row in rows] == [
        (2, "POOL", 11, 1, -1), (4, "POOL", 10, 1, -1), (5, "SWEEP", 10, 1, 2), (6, "POOL", 11, 2, 2),
    ]  # fmt: skip
    # now there are two of one level: the older is the nearer one, also when runs are closed back
    both = (QUIET, peak(11), small, peak(10), QUIET, peak(11), QUIET)
    assert [(row.kind, row.parent) for row in rows_of(*both, peak(20), params=params)[4:]] == [
        ("SWEEP", 1), ("SWEEP", 4),
    ]  # fmt: skip
    back = rows_of(*both, (5, 12, 4, 12), (12, 12, 4, 5), params=params)
    assert [(row.kind, row.parent, row.n) for row in back[4:8]] == [
        ("RUN", 1, 1), ("RUN", 4, 2), ("SWEEP", 1, 1), ("SWEEP", 4, 2),
    ]  # fmt: skip


# ---------------------------------------------------------------- ends


def test_it_expires_after_max_age_bars_before_it_can_react() -> None:
    short = P.replace(max_age=4)
    assert story(QUIET, peak(10), *[QUIET] * 4, peak(11), params=short)[1] == (6, "SWEEP", 10, 1)
    assert story(QUIET, peak(10), *[QUIET] * 5, peak(11), params=short)[1:] == [(7, "POOL_EXPIRED", 10, 1)]
    joined = (QUIET, peak(10), QUIET, peak(10), *[QUIET] * 5)  # the second member is known at bar 4
    assert story(*joined, params=short)[1:] == [(4, "POOL_JOINED", 10, 2)]
    (end,) = rows_of(*joined, QUIET, params=short)[2:]
    assert end[:7] == (9, "POOL_EXPIRED", 1, 3, 10, 10, 10)
    assert (end.parent, end.score) == (1, 2 + 7 / 100 + 1.0)


def test_a_full_side_gives_up_its_weakest_pool() -> None:
    capped = P.replace(max_zones=2)
    assert story(*THREE, params=capped)[2:] == [(6, "POOL_EXPIRED", 13, 1), (6, "POOL", 10, 1)]  # the younger one
    strong = (QUIET, peak(16), QUIET, peak(13), QUIET, peak(13), QUIET, peak(10), QUIET)
    assert story(*strong, params=capped)[3:] == [(8, "POOL_EXPIRED", 16, 1), (8, "POOL", 10, 1)]


def test_of_equally_weak_pools_the_oldest_goes() -> None:
    old = (QUIET, peak(16), QUIET, peak(13), *[QUIET] * 102, peak(10), QUIET)
    assert story(*old, params=P.replace(max_zones=2))[2:] == [(107, "POOL_EXPIRED", 16, 1), (107, "POOL", 10, 1)]


def test_joining_needs_no_room() -> None:
    assert story(QUIET, peak(10), QUIET, peak(9), QUIET, params=P.replace(max_zones=1))[1:] == [
        (4, "POOL_JOINED", 10, 2)
    ]


# ---------------------------------------------------------------- what others see


def test_a_swept_pool_counts_for_the_order_block_that_starts_there() -> None:
    lead = ((8, 8, 5, 6), (6, 7, 3, 6), (6, 7, 4, 5))  # sell-side pool at 3, known at bar 2
    leg = ((5, 10, 5, 6), (6, 7, 5, 5))  # swing high 10 at bar 3
    tail = ((4, 7, 3, 6), (6, 12, 6, 11))  # and the break

    def parts(base: tuple[int, ...], *rest: tuple[int, ...]) -> list[float]:
        rows = compiled_rows(Detector(1, P).push_bars(bar_array(bars_of(*lead, *leg, base, *rest))))
        assert_same(bars_of(*lead, *leg, base, *rest), P)
        return [row[8][3] for row in rows if row[1] == "OB" and row[2] == 1]

    assert parts((5, 6, 2, 4), *tail) == [1.0]
    assert parts((5, 6, 3, 4), *tail) == [0.0]  # touched
    assert parts((5, 6, 2, 3), *tail) == [1.0]  # a run, closed back before the break
    assert parts((5, 6, 2, 3), (3, 7, 3, 3), tail[1]) == [1.0]  # by the break itself
    assert parts((5, 6, 2, 3), *[(3, 6, 3, 3)] * 3, tail[1]) == [0.0]  # too late


def test_a_sweep_is_forgotten_with_its_bar() -> None:
    """A bar 1024 bars later, which swept nothing, stands in its place."""
    lead = ((8, 8, 5, 6), (6, 7, 3, 6), (6, 7, 4, 5))
    leg = ((5, 10, 5, 6), (6, 7, 5, 5), (5, 6, 2, 4), (4, 7, 3, 6), (6, 12, 6, 11))
    bars = bars_of(*lead, *leg, *[(5, 6, 2, 5)] * (1024 - len(leg)), *leg)
    rows = compiled_rows(Detector(1, P).push_bars(bar_array(bars)))
    blocks = [(row[0], row[3], row[8][3]) for row in rows if row[1] == "OB" and row[2] == 1]
    assert blocks == [(7, 5, 1.0), (7 + 1024, 5 + 1024, 0.0)]


def test_pools_shows_what_is_not_taken_yet_nearest_first() -> None:
    detector = Detector(5, P)
    bars = bar_array(bars_of(*THREE, (5, 6, 1, 5), QUIET), 5)
    events = detector.push_bars(bars)
    pools = detector.pools()
    assert pools["level"].tolist() == [10, 13, 16, 1]
    assert pools["side"].tolist() == [1, 1, 1, -1]
    births = [event for event in events if event["kind"] == EventCode.POOL]
    assert sorted(pools["id"]) == [int(event["id"]) for event in births]
    for event in births:
        (pool,) = pools[pools["id"] == event["id"]]
        for name in ("known_ns", "origin_ns", "origin", "level", "top", "bottom", "score", "side", "timeframe_min"):
            assert pool[name] == event[name], name
        assert (pool["born"], pool["members"], pool["source"]) == (event["known"], event["n"], Source.SWING)
    detector.push_bars(bar_array(bars_of(peak(14)), 5, int(bars["start_ns"][-1]) + 300_000_000_000))
    assert detector.pools()["level"].tolist() == [16, 1]


# ---------------------------------------------------------------- rolls


def test_a_reset_forgets_pools_runs_and_what_could_be_re_formed() -> None:
    before = bar_array(bars_of(QUIET, peak(30), QUIET, peak(10), QUIET, (5, 12, 4, 11)))
    detector = Detector(1, P)
    detector.push_bars(before)
    detector.roll_reset()
    assert len(detector.pools()) == 0
    after = bar_array(bars_of((10, 10, 3, 9), QUIET, peak(40), QUIET), start=int(before["start_ns"][-1]) + 60 * 10**9)
    rows = [row for row in compiled_rows(detector.push_bars(after)) if row[1].startswith(KINDS)]
    assert [row[:3] for row in rows if row[2] > 0] == [(9, "POOL", 1)]
    assert not [row for row in rows if row[1] in ("SWEEP", "RUN")]
