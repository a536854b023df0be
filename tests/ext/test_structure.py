"""BOS and CHoCH: rules one by one (smc.md section 4), then the slow reference."""

import pytest

from shared_data import shared
from smc_cases import assert_same, bars_of, found, mirrored, params_for, plain_bars, random_bars, read_bars
from tbot_ext.bars import mark_session_breaks
from tbot_ext.params import Params

KINDS = ("BOS", "CHOCH")
P = Params(L=1, R=1)
# A swing high of 10 at bar 1 and a swing low of 2 at bar 3, both known at the bar after.
SWINGS = ((5, 6, 4, 5), (5, 10, 5, 6), (6, 7, 5, 5), (5, 6, 2, 3), (3, 7, 3, 6))


def test_a_close_beyond_the_last_swing_high_is_a_break() -> None:
    assert found(bars_of(*SWINGS, (6, 12, 6, 11)), P, KINDS) == [(5, "BOS", 1, 1, 10, 10)]


def test_an_equal_close_or_a_wick_is_none() -> None:
    assert found(bars_of(*SWINGS, (6, 10, 6, 10), (9, 99, 9, 10)), P, KINDS) == []


def test_a_wick_is_one_in_wick_mode() -> None:
    wick = P.replace(break_mode="wick")
    assert found(bars_of(*SWINGS, (6, 10, 6, 7)), wick, KINDS) == []
    assert found(bars_of(*SWINGS, (6, 11, 6, 7)), wick, KINDS) == [(5, "BOS", 1, 1, 10, 10)]


def test_the_buffer_must_be_passed() -> None:
    assert found(bars_of(*SWINGS, (6, 12, 6, 12)), P.replace(break_buffer=2), KINDS) == []
    assert found(bars_of(*SWINGS, (6, 13, 6, 13)), P.replace(break_buffer=2), KINDS) == [(5, "BOS", 1, 1, 10, 10)]


def test_a_gap_through_the_level_is_a_break() -> None:
    assert found(bars_of(*SWINGS, (50, 51, 50, 51)), P, KINDS) == [(5, "BOS", 1, 1, 10, 10)]


def test_a_level_breaks_once() -> None:
    bars = bars_of(*SWINGS, (6, 12, 6, 11), (11, 13, 9, 9), (9, 14, 9, 13))
    assert [row for row in found(bars, P, KINDS) if row[3] == 1] == [(5, "BOS", 1, 1, 10, 10)]


def test_a_break_against_the_trend_is_a_choch() -> None:
    bars = bars_of(*SWINGS, (6, 12, 6, 11), (11, 11, 1, 1))
    assert found(bars, P, KINDS) == [(5, "BOS", 1, 1, 10, 10), (6, "CHOCH", -1, 3, 2, 2)]


def test_a_swing_is_not_broken_before_it_is_known() -> None:
    # bar 1 is a swing high of 10 only once bar 3 has closed; bar 2 closes above nothing known
    bars = bars_of((5, 6, 4, 5), (5, 10, 5, 6), (6, 8, 5, 5), (5, 12, 4, 11))
    assert found(bars, P.replace(R=2), KINDS) == []


def test_a_new_swing_replaces_the_unbroken_one() -> None:
    bars = bars_of(*SWINGS, (6, 8, 5, 6), (6, 7, 4, 6), (6, 9, 6, 9))
    assert found(bars, P, KINDS) == [(7, "BOS", 1, 5, 8, 8)]


def test_an_outside_bar_breaks_both_in_wick_mode_against_its_close_first() -> None:
    wick = P.replace(break_mode="wick")
    up, down, doji = (5, 12, 1, 6), (6, 12, 1, 5), (6, 12, 1, 6)
    assert [row[1:3] for row in found(bars_of(*SWINGS, up), wick, KINDS)] == [("BOS", -1), ("CHOCH", 1)]
    assert [row[1:3] for row in found(bars_of(*SWINGS, down), wick, KINDS)] == [("BOS", 1), ("CHOCH", -1)]
    assert [row[1:3] for row in found(bars_of(*SWINGS, doji), wick, KINDS)] == [("BOS", -1), ("CHOCH", 1)]


def test_nothing_before_the_first_swing() -> None:
    assert found(bars_of(*[(t, t + 1, t, t + 1) for t in range(30)]), P, KINDS) == []


@pytest.mark.parametrize("seed", range(30))
def test_equals_the_reference(seed: int) -> None:
    kinds = assert_same(random_bars(seed, 250, step=2 + seed % 3), params_for(seed), KINDS)
    assert {"BOS", "CHOCH"} <= set(kinds)


@pytest.mark.parametrize("seed", range(5))
def test_mirrored_prices_give_mirrored_breaks(seed: int) -> None:
    bars = random_bars(seed, 250)
    ours = found(bars, P, KINDS)
    assert ours
    assert found(mirrored(bars), P, KINDS) == [(t, k, -s, i, -bottom, -top) for t, k, s, i, top, bottom in ours]


@pytest.mark.shared_data
def test_equals_the_reference_on_real_bars() -> None:
    bars = mark_session_breaks(read_bars(shared("smc/ES_201312_1m_20131006_09.csv"), 0.25))
    assert len(assert_same(plain_bars(bars[:2000]), Params(), (*KINDS, "SWING"))) > 200
