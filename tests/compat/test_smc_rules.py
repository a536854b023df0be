"""Each oddity of smartmoneyconcepts that `tbot.compat.smc` keeps, worked out by hand (smc.md sections 14 and 15)."""

from typing import Any

import numpy as np
import pytest

from tbot.compat import smc

NAN = float("nan")
Row = tuple[float, ...]


def bars_of(*rows: Row) -> dict[str, Any]:
    """Rows of open, high, low, close and, where it matters, volume."""
    names = ("open", "high", "low", "close", "volume")
    return {name: np.array([(*row, 0.0)[k] for row in rows], float) for k, name in enumerate(names)}


def swings_of(n: int, *swings: tuple[int, int, float]) -> dict[str, Any]:
    """n rows of swings from (row, kind, level)."""
    kinds, levels = np.full(n, NAN), np.full(n, NAN)
    for row, kind, level in swings:
        kinds[row], levels[row] = kind, level
    return {"HighLow": kinds, "Level": levels}


def rows_of(table: dict[str, Any]) -> dict[int, tuple[float, ...]]:
    """row: values, of the rows that are not empty."""
    values = np.array(list(table.values()), float).T
    return {i: tuple(row) for i, row in enumerate(values.tolist()) if not np.isnan(row).all()}


def same(got: dict[int, tuple[float, ...]], expected: dict[int, tuple[float, ...]]) -> bool:
    """Equal, with NaN equal to NaN."""
    return got.keys() == expected.keys() and all(np.array_equal(got[k], expected[k], equal_nan=True) for k in got)


# ---------------------------------------------------------------- swings


def test_first_and_last_row_are_declared_swings() -> None:
    """15.3: rows 0 and 4 are no extremes of anything."""
    bars = bars_of((3, 5, 1, 3), (3, 7, 2, 5), (5, 6, 0, 4), (4, 8, 3, 4), (4, 4, 1, 2))
    assert rows_of(smc.swing_highs_lows(bars, 1)) == {0: (-1, 1), 1: (1, 7), 2: (-1, 0), 3: (1, 8), 4: (-1, 1)}


def test_the_window_lacks_a_bar_to_the_left() -> None:
    """15.7: with length 1 nothing to the left counts, so bar 1 is a swing high below bar 0."""
    bars = bars_of((8, 9, 7, 8), (7, 8, 6, 7), (6, 7, 5, 6), (5, 6, 4, 5))
    found = rows_of(smc.swing_highs_lows(bars, 1))
    assert found[1] == (1, 8)
    assert 2 not in found, "of two highs in a row the first highest stays"


def test_nothing_before_row_2s_minus_1() -> None:
    heights = [1, 2, 9, 2, 1, 2, 3, 9, 3, 2, 1, 0]
    bars = bars_of(*((h, h, h - 1, h) for h in heights))
    assert 2 not in rows_of(smc.swing_highs_lows(bars, 2))
    assert rows_of(smc.swing_highs_lows(bars, 2))[7] == (1, 9)


def test_of_equal_highs_in_a_run_the_first_stays() -> None:
    heights = [5, 9, 5, 9, 5, 8, 5]
    bars = bars_of(*((5, h, 5 - k / 10, 5) for k, h in enumerate(heights)))  # lows fall: none before the end
    assert rows_of(smc.swing_highs_lows(bars, 2)) == {0: (-1, 5.0), 3: (1, 9), 6: (-1, 4.4)}


def test_a_bar_that_is_both_counts_as_a_high() -> None:
    bars = bars_of((5, 6, 4, 5), (5, 9, 1, 5), (5, 6, 4, 5), (5, 6, 4, 5))
    assert rows_of(smc.swing_highs_lows(bars, 1))[1] == (1, 9)


@pytest.mark.parametrize("length", [0, 2, 50, 10**30])
def test_too_short_for_the_window_gives_no_swing(length: int) -> None:
    assert rows_of(smc.swing_highs_lows(bars_of(*[(5, 6, 4, 5)] * 5), length)) == {}


@pytest.mark.parametrize("value", [NAN, np.inf, -np.inf])
@pytest.mark.parametrize(("missing", "expected"), [(3, 1), (4, NAN), (5, NAN), (7, NAN), (8, 1)])
def test_a_window_with_a_price_missing_has_no_swing(value: float, missing: int, expected: float) -> None:
    """Length 2: the window of bar 5 is 4 to 7. Infinite prices count as missing here, as they do in pandas."""
    bars = bars_of(*((5, 9 if k == 5 else 6 - k / 10, 1, 5) for k in range(12)))
    bars["high"][missing] = value
    np.testing.assert_equal(smc.swing_highs_lows(bars, 2)["HighLow"][5], expected)


# ---------------------------------------------------------------- gaps

GAPS = ((8, 10, 8, 9), (10, 13, 10, 13), (13, 16, 12, 16), (17, 19, 15, 18))


def test_a_gap_stands_at_its_middle_bar() -> None:
    assert rows_of(smc.fvg(bars_of(*GAPS))) == {1: (1, 12, 10, 0), 2: (1, 15, 13, 0)}
    down = bars_of(*((-o, -low, -h, -c) for o, h, low, c in GAPS))
    assert rows_of(smc.fvg(down)) == {1: (-1, -10, -12, 0), 2: (-1, -13, -15, 0)}


def test_a_touch_mitigates_from_the_second_next_bar_on() -> None:
    assert rows_of(smc.fvg(bars_of(*GAPS, (18, 18, 12, 17))))[1] == (1, 12, 10, 4)
    assert rows_of(smc.fvg(bars_of(*GAPS, (18, 18, 12.5, 17))))[1] == (1, 12, 10, 0)


def test_joining_moves_a_run_into_its_last_row() -> None:
    assert rows_of(smc.fvg(bars_of(*GAPS), join_consecutive=True)) == {2: (1, 15, 10, 0)}


def test_of_equal_edges_the_first_stays_when_gaps_are_joined() -> None:
    """To the sign of a zero, as Python's max has it."""
    rows = ((-6, -5, -6, -6), (-4, -1, -4, -2), (1, 2, -0.0, 2), (1, 3, 0.0, 2))
    got = smc.fvg(bars_of(*rows), join_consecutive=True)
    assert rows_of(got) == {2: (1, 0, -5, 0)}
    assert np.signbit(got["Top"][2])


def test_the_colour_of_the_middle_bar_decides() -> None:
    doji = (10, 13, 10, 10)
    assert rows_of(smc.fvg(bars_of(GAPS[0], doji, GAPS[2]))) == {}


# ---------------------------------------------------------------- structure


def closes(*values: float) -> dict[str, Any]:
    return bars_of(*((c, c, c, c) for c in values))


def test_a_break_is_listed_before_its_pattern_is_known() -> None:
    """15.4: bar 5 breaks, the fourth swing stands at bar 6."""
    bars = closes(1, 3, 5, 4, 2, 6, 7, 6)
    bos = swings_of(8, (0, -1, 1), (2, 1, 5), (4, -1, 2), (6, 1, 7))
    assert same(rows_of(smc.bos_choch(bars, bos)), {2: (1, NAN, 5, 5)})
    choch = swings_of(8, (0, -1, 3), (2, 1, 5), (4, -1, 2), (6, 1, 7))
    assert same(rows_of(smc.bos_choch(bars, choch)), {2: (NAN, 1, 5, 5)})


def test_a_later_break_removes_earlier_ones_but_not_their_index() -> None:
    levels = ((0, -1, 1), (1, 1, 10), (2, -1, 2), (3, 1, 12), (4, -1, 3), (5, 1, 14))
    bars = closes(5, 5, 5, 5, 5, 5, 13, 5)
    assert same(rows_of(smc.bos_choch(bars, swings_of(8, *levels))), {1: (NAN, NAN, NAN, 6), 3: (1, NAN, 12, 6)})
    sooner = closes(5, 5, 5, 11, 5, 5, 13, 5)
    assert same(rows_of(smc.bos_choch(sooner, swings_of(8, *levels))), {1: (1, NAN, 10, 3), 3: (1, NAN, 12, 6)})


def test_what_never_breaks_is_not_listed() -> None:
    swings = swings_of(8, (0, -1, 1), (2, 1, 5), (4, -1, 2), (6, 1, 7))
    assert rows_of(smc.bos_choch(closes(*[5] * 8), swings)) == {}
    bars = closes(*[5] * 8)
    bars["high"] = bars["high"] + [0, 0, 0, 0, 0, 0, 0, 1]
    assert same(rows_of(smc.bos_choch(bars, swings, close_break=False)), {2: (1, NAN, 5, 7)})


def test_a_touch_of_a_level_rounded_to_float32_is_a_break() -> None:
    """15.8: float32(0.1) lies above 0.1, so a close at 0.1 lies below the level it equals; 0.25 is exact."""
    rounded = swings_of(6, (0, 1, 0.3), (1, -1, 0.1), (2, 1, 0.2), (3, -1, 0.05))
    (row,) = rows_of(smc.bos_choch(closes(0.2, 0.2, 0.2, 0.2, 0.1, 0.2), rounded)).values()
    assert row[0::3] == (-1, 4)
    exact = swings_of(6, (0, 1, 0.75), (1, -1, 0.25), (2, 1, 0.5), (3, -1, 0.125))
    assert rows_of(smc.bos_choch(closes(0.5, 0.5, 0.5, 0.5, 0.25, 0.5), exact)) == {}


def test_a_level_of_zero_comes_out_as_missing() -> None:
    swings = swings_of(6, (0, -1, -3), (1, 1, 0), (2, -1, -1), (3, 1, 2))
    assert same(rows_of(smc.bos_choch(closes(0, 0, 0, 0, 1, 0), swings)), {1: (1, NAN, NAN, 4)})


# ---------------------------------------------------------------- blocks

BASE = (
    (9, 10, 8, 9, 1),  # swing high 10
    (8, 9, 7, 8, 1),
    (8, 8, 5, 6, 20),
    (6, 7, 5, 6, 30),  # the last lowest low: the block, 7 to 5
    (6, 12, 6, 11, 10),  # closes beyond 10
    (11, 12, 9, 10, 1),
    (10, 10, 4, 6, 1),  # below 5
)


def test_a_block_stands_before_the_bar_that_made_it() -> None:
    """Volume 10 + 30 + 20, balance 100 * 20 / 40: both of the breaking bar and the two before."""
    assert rows_of(smc.ob(bars_of(*BASE[:6]), swings_of(6, (0, 1, 10)))) == {3: (1, 7, 5, 60, 0, 50)}


def test_the_mitigated_index_of_a_bull_block_is_one_early() -> None:
    """15.9: bar 6 breaks it, 5 is written; for bears it is the bar itself."""
    assert rows_of(smc.ob(bars_of(*BASE), swings_of(7, (0, 1, 10)))) == {3: (1, 7, 5, 60, 5, 50)}
    mirrored = bars_of(*((-o, -low, -h, -c, v) for o, h, low, c, v in BASE))
    assert rows_of(smc.ob(mirrored, swings_of(7, (0, -1, -10)))) == {3: (-1, -5, -7, 60, 6, 50)}


def test_the_body_breaks_it_when_asked_for() -> None:
    swings = swings_of(7, (0, 1, 10))
    assert rows_of(smc.ob(bars_of(*BASE), swings, close_mitigation=True))[3][4] == 0
    lower = (*BASE[:6], (10, 10, 4, 4.5, 1))
    assert rows_of(smc.ob(bars_of(*lower), swings, close_mitigation=True))[3][4] == 5


def test_a_broken_block_is_erased_when_price_comes_back() -> None:
    """15.2: at the edge it stays, a tick beyond and it never was."""
    at_edge, beyond = (*BASE, (6, 7, 6, 7, 1)), (*BASE, (6, 7.5, 6, 7, 1))
    assert rows_of(smc.ob(bars_of(*at_edge), swings_of(8, (0, 1, 10)))) == {3: (1, 7, 5, 60, 5, 50)}
    assert rows_of(smc.ob(bars_of(*beyond), swings_of(8, (0, 1, 10)))) == {}


def test_a_break_right_after_the_swing_gives_an_upside_down_block() -> None:
    rows = ((5, 6, 4, 5, 10), (5, 8, 5, 7, 20), (7, 10, 7, 9, 30), (9, 9, 6, 8, 40))
    assert rows_of(smc.ob(bars_of(*rows), swings_of(4, (1, 1, 8)))) == {1: (1, 5, 8, 60, 2, 20)}
    mirrored = bars_of(*((-o, -low, -h, -c, v) for o, h, low, c, v in rows))
    assert rows_of(smc.ob(mirrored, swings_of(4, (1, -1, -8)))) == {1: (-1, -5, -8, 60, 0, 20)}, "and never a bear one"


def test_the_bear_pass_inherits_broken_candles() -> None:
    """Candle 2 was a bull block, broken by bar 4; as a bear block it is born broken and keeps the bull's index."""
    rows = (
        (9, 10, 8, 9, 1),  # swing high
        (8, 9, 6, 7, 1),  # swing low
        (7, 14, 3, 8, 3),
        (8, 12, 7, 11, 5),  # closes beyond the high: bull block at 2
        (11, 11, 2, 5, 8),  # breaks it, and closes beyond the low: bear block at 2
        (5, 6, 4, 5, 1),
    )
    swings = ((0, 1, 10), (1, -1, 6))
    assert rows_of(smc.ob(bars_of(*rows), swings_of(6, *swings)))[2] == (-1, 14, 3, 16, 3, np.float32(100 * 3 / 13))
    lower = (*rows[:5], (5, 6, 2.5, 5, 1))
    assert 2 not in rows_of(smc.ob(bars_of(*lower), swings_of(6, *swings))), "broken already, so a low erases it"


def test_a_low_that_is_missing_leaves_the_bar_before_upside_down() -> None:
    bars = bars_of(*BASE[:5])
    bars["low"][1] = NAN
    assert rows_of(smc.ob(bars, swings_of(5, (0, 1, 10)))) == {3: (1, 5, 7, 60, 0, 50)}
    bars["low"][1], bars["low"][0] = 7, NAN  # not between the swing and the break
    assert rows_of(smc.ob(bars, swings_of(5, (0, 1, 10)))) == {3: (1, 7, 5, 60, 0, 50)}


def test_without_volume_the_balance_is_100() -> None:
    quiet = [(*row[:4], 0) for row in BASE]
    assert rows_of(smc.ob(bars_of(*quiet), swings_of(7, (0, 1, 10))))[3][3::2] == (0, 100)


# ---------------------------------------------------------------- liquidity

HIGHS = (40, 50, 40, 50.5, 40, 51.5, 40)


def test_later_bars_change_earlier_pools() -> None:
    """15.5: a range of 100 makes a tolerance of 1; a later low widens it to 2, and the third high belongs."""
    swings = ((1, 1, 50), (3, 1, 50.5), (5, 1, 51.5))
    rows = [(h, h, 0 if k == 0 else 30, 30) for k, h in enumerate((100, *HIGHS[1:]))]
    assert rows_of(smc.liquidity(bars_of(*rows), swings_of(7, *swings), 0.01)) == {1: (1, 50.25, 3, 5)}
    wider = bars_of(*rows, (30, 30, -100, 30))
    mean = float(np.float32((50 + 50.5 + 51.5) / 3))
    assert rows_of(smc.liquidity(wider, swings_of(8, *swings), 0.01)) == {1: (1, mean, 5, 0)}


def test_members_lie_near_the_first_and_before_the_sweep() -> None:
    lows = swings_of(7, (1, -1, 10), (3, -1, 9.5), (5, -1, 9.25))
    rows = [(50, 100 if k == 0 else 50, 0 if k == 6 else 20, 50) for k in range(7)]
    assert rows_of(smc.liquidity(bars_of(*rows), lows, 0.01)) == {1: (-1, float(np.float32(28.75 / 3)), 5, 6)}
    rows[4] = (50, 50, 9, 50)  # at the level minus the tolerance: swept
    assert rows_of(smc.liquidity(bars_of(*rows), lows, 0.01)) == {1: (-1, 9.75, 3, 4)}


@pytest.mark.parametrize(("level", "members"), [(51, 2), (51.25, 1), (49, 2), (48.75, 1)])
def test_a_level_at_the_edge_of_the_range_belongs(level: float, members: int) -> None:
    """A range of 100 makes a tolerance of exactly 1; no bar reaches these levels, so nothing is swept."""
    rows = [(30, 30, 30, 30), (30, 30, -70, 30), (30, 30, 30, 30), (30, 30, 30, 30)]
    for side in (1, -1):
        bars = bars_of(*((o, -low, -h, c) if side < 0 else (o, h, low, c) for o, h, low, c in rows))
        swings = swings_of(4, (0, side, side * 50.0), (2, side, side * level))
        expected = {0: (side, side * (50 + level) / 2, 2, 0)} if members == 2 else {}
        assert rows_of(smc.liquidity(bars, swings, 0.01)) == expected


def test_a_mean_of_zero_has_no_sign() -> None:
    bars = bars_of(*[(5, 100, 5, 5)] * 4)
    got = smc.liquidity(bars, swings_of(4, (0, -1, -0.25), (2, -1, 0.25)), 0.01)
    assert got["Level"][0] == 0
    assert not np.signbit(got["Level"][0])


# ---------------------------------------------------------------- previous high and low


def timed(times: list[str], highs: list[float]) -> dict[str, Any]:
    return bars_of(*((h, h, h - 1, h) for h in highs)) | {"time": np.array(times, "datetime64[m]")}


def test_the_first_bar_of_a_day_gets_the_day_before_last() -> None:
    """15.6: at 00:00 the label of that day does not lie before the bar."""
    days = [f"2024-03-0{day}T{hour}" for day in (4, 5, 6) for hour in ("00:00", "12:00")]
    got = smc.previous_high_low(timed(days, [10, 9, 20, 19, 15, 16]), "1D")
    np.testing.assert_array_equal(got["PreviousHigh"], [NAN, NAN, NAN, 10, 10, 20])
    np.testing.assert_array_equal(got["PreviousLow"], [NAN, NAN, NAN, 8, 8, 18])
    assert got["BrokenHigh"].tolist() == [0, 0, 0, 1, 1, 0]
    assert got["BrokenLow"].tolist() == [0, 0, 0, 0, 0, 1]


def test_weeks_are_one_further_back_but_on_sundays() -> None:
    """Labels are Sundays 2024-03-10, -17, -24, -31; the last Monday lies after two of them, the Sunday after three."""
    days = ["2024-03-05T10:00", "2024-03-12T10:00", "2024-03-18T10:00", "2024-03-24T10:00", "2024-03-25T00:00"]
    got = smc.previous_high_low(timed(days, [10, 20, 30, 25, 40]), "W")
    np.testing.assert_array_equal(got["PreviousHigh"], [NAN, NAN, 10, 20, 20])


def test_empty_periods_do_not_count() -> None:
    days = ["2024-03-01T10:00", "2024-03-04T10:00", "2024-03-08T10:00"]
    got = smc.previous_high_low(timed(days, [10, 20, 30]), "1D")
    np.testing.assert_array_equal(got["PreviousHigh"], [NAN, 10, 20])


@pytest.mark.parametrize("column", ["open", "high", "low", "close"])
def test_a_period_without_one_of_the_prices_does_not_count(column: str) -> None:
    days = [f"2024-03-0{day}T10:00" for day in (4, 5, 6, 7)]
    bars = timed(days, [10, 20, 30, 40])
    bars[column][1] = NAN
    got = smc.previous_high_low(bars, "1D")
    np.testing.assert_array_equal(got["PreviousHigh"], [NAN, NAN, 10, 30])
    assert got["BrokenHigh"].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("time_frame", "expected"),
    [
        ("7h", [NAN, NAN, NAN, 2, 2, 5]),  # from the midnight before the first bar: 07:00, 14:00, 21:00, 04:00 ...
        ("420min", [NAN, NAN, NAN, 2, 2, 5]),
        ("1h", [NAN, 1, 1, 2, 2, 5]),
        ("1D", [NAN, NAN, NAN, NAN, NAN, 5]),
        ("2D", [NAN] * 6),
        ("ME", [NAN] * 6),
    ],
)
def test_periods_are_counted_as_pandas_counts_them(time_frame: str, expected: list[float]) -> None:
    hours = ["05T03:30", "05T06:59", "05T07:00", "05T07:01", "05T14:00", "06T00:30"]
    got = smc.previous_high_low(timed([f"2024-03-{hour}" for hour in hours], [1, 2, 3, 4, 5, 6]), time_frame)
    np.testing.assert_array_equal(got["PreviousHigh"], expected)
