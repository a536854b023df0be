"""BOS, CHoCH and MSS: rules one by one (smc.md section 4), then the slow reference."""

import pytest

from shared_data import shared
from smc_cases import (
    assert_same,
    bar_array,
    bars_of,
    compiled_rows,
    found,
    mirrored,
    params_for,
    plain_bars,
    random_bars,
    read_bars,
)
from tbot_ext.bars import mark_session_breaks
from tbot_ext.detector import Detector
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


# ---------------------------------------------------------------- market structure shifts

ONE = P.replace(atr_n=1)  # the ATR is the true range of the bar
UP = (*SWINGS, (6, 12, 6, 11))  # the trend is up; the swing low of bar 3 (2) stands
CHOCH = (11, 11, 0, 1)  # body 10, true range 11


def shifts(*rows: tuple[int, ...], params: Params = ONE) -> list[tuple[int, str, int]]:
    """(bar, kind, side) of what comes after the first break; mirrored prices must give the mirror image."""
    bars = bars_of(*rows)
    ours = [row[:3] for row in found(bars, params, (*KINDS, "MSS"))]
    theirs = [row[:3] for row in found(mirrored(bars), params, (*KINDS, "MSS"))]
    assert theirs == [(t, kind, -side) for t, kind, side in ours]
    assert_same(bars, params)
    assert ours[0][1] == "BOS"
    return ours[1:]


def test_a_choch_with_a_body_of_one_atr_is_a_shift() -> None:
    assert shifts(*UP, (11, 11, 1, 1)) == [(6, "CHOCH", -1), (6, "MSS", -1)]
    assert shifts(*UP, CHOCH) == [(6, "CHOCH", -1)]


def test_a_bos_is_none_whatever_its_body() -> None:
    assert shifts(*UP, (11, 13, 11, 12), (12, 12, 9, 9), (9, 20, 9, 20)) == [(8, "BOS", 1)]


def test_a_body_measures_nothing_while_the_atr_is_undefined() -> None:
    assert shifts(*UP, (11, 11, 1, 1), params=P.replace(atr_n=8)) == [(6, "CHOCH", -1)]


def test_a_shift_says_what_its_choch_said() -> None:
    rows = compiled_rows(Detector(1, ONE).push_bars(bar_array(bars_of(*UP, (11, 11, 1, 1)))))
    (shift,) = [row for row in rows if row[1] == "MSS"]
    choch = rows[rows.index(shift) - 1]
    assert choch[1] == "CHOCH"
    assert shift[2:7] == choch[2:7] == (-1, 3, 2, 2, 2)
    assert shift[-1] == choch[-2]  # parent
    assert choch[-1] == -1


def test_a_gap_of_its_side_at_the_same_bar_makes_it_one() -> None:
    # bar 6 stays below the low of bar 4: a bear gap, if the up-closing bar 5 may be its middle
    assert shifts(*UP, (2, 2, 0, 1), params=ONE.replace(fvg_need_body=False)) == [(6, "CHOCH", -1), (6, "MSS", -1)]
    assert shifts(*UP, (2, 2, 0, 1)) == [(6, "CHOCH", -1)]


def test_a_gap_at_the_next_bar_makes_it_one_then() -> None:
    bars = (*UP, CHOCH, (1, 1, 0, 1))  # bar 7 stays below the low of bar 5
    assert shifts(*bars) == [(6, "CHOCH", -1), (7, "MSS", -1)]
    rows = compiled_rows(Detector(1, ONE).push_bars(bar_array(bars_of(*bars))))
    kinds = [row[1] for row in rows if row[0] == 7]
    assert kinds.index("MSS") == kinds.index("FVG") + 1  # after the gap
    (shift,) = [row for row in rows if row[1] == "MSS"]
    (choch,) = [row for row in rows if row[1] == "CHOCH"]
    assert (shift[2:7], shift[-1]) == ((-1, 3, 2, 2, 2), choch[-2])


def test_it_comes_before_the_breaks_of_that_bar() -> None:
    # bar 6 dips below the swing low, bar 7 closes there; bar 8 gaps away and closes below the new swing low of bar 6
    assert shifts(*UP, (11, 11, 0, 4), (4, 6, 0, 1), (-1, -1, -3, -3)) == [
        (7, "CHOCH", -1), (8, "MSS", -1), (8, "BOS", -1),
    ]  # fmt: skip


def test_a_gap_of_the_other_side_makes_the_shift_of_the_other_side() -> None:
    free = ONE.replace(fvg_need_body=False)
    assert shifts(*UP, CHOCH, (13, 13, 13, 13), params=free) == [(6, "CHOCH", -1), (7, "CHOCH", 1), (7, "MSS", 1)]


def test_later_gaps_and_opening_gaps_do_not() -> None:
    free = ONE.replace(fvg_need_body=False)
    assert not [row for row in shifts(*UP, CHOCH, (1, 8, 1, 7), (-2, -1, -3, -3), params=free) if row[1] == "MSS"]
    assert shifts(*UP, CHOCH, (1, 1, 0, 1, 1, 1)) == [(6, "CHOCH", -1)]


def test_an_outside_bar_may_shift_twice_in_wick_mode() -> None:
    wick = ONE.replace(break_mode="wick")
    two = (*UP, (11, 11, 8, 9))  # the swing high of bar 5 (12) is known, the swing low of bar 3 (2) stands
    both = [(7, "CHOCH", -1), (7, "MSS", -1), (7, "CHOCH", 1), (7, "MSS", 1)]
    assert shifts(*two, (1, 13, 1, 13), params=wick) == both  # the body counts whichever way it points
    chochs = [(7, "CHOCH", -1), (7, "CHOCH", 1)]
    assert shifts(*two, (9, 13, 1, 12), params=wick) == chochs
    assert shifts(*two, (9, 13, 1, 12), (13, 14, 12, 14), params=wick) == [*chochs, (8, "MSS", 1)]


@pytest.mark.parametrize("seed", range(30, 60))
def test_shifts_equal_the_reference(seed: int) -> None:
    assert "MSS" in assert_same(random_bars(seed, 250, step=2 + seed % 3), params_for(seed), (*KINDS, "MSS", "FVG"))
