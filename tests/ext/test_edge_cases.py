"""The edge-case table of smc.md section 12, one test a row; the names of the tests are the rows."""

import numpy as np
import pytest

from smc_cases import MINUTE, START, bar_array, bars_of, compiled_rows, mirrored, random_bars
from smc_properties import canonical
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import BAR_DTYPE, EventCode, Flag

P = Params(L=1, R=1, atr_n=1, eq_tol_ticks=1, eq_tol_atr=0.0, sr_tol_ticks=1, sr_tol_atr=0.0)
# Swing high 10 at bar 1; base at bar 3 (low 2, closes down); a close above 10 at bar 5 makes the block [2, 6].
LEG = ((5, 6, 4, 5), (5, 10, 5, 6), (6, 7, 5, 5), (5, 6, 2, 3), (3, 7, 3, 6), (6, 12, 6, 11))


def events_of(*rows: tuple[int, ...], params: Params = P) -> list[tuple[object, ...]]:
    """(bar, kind, side, origin, top, bottom) of every event."""
    rows_ = compiled_rows(Detector(1, params).push_bars(bar_array(bars_of(*rows))))
    return [row[:6] for row in rows_]


def kinds_at(bar: int, *rows: tuple[int, ...], prefix: str = "", params: Params = P) -> list[str]:
    """Kinds that become known at one bar, in order."""
    return [str(row[1]) for row in events_of(*rows, params=params) if row[0] == bar and str(row[1]).startswith(prefix)]


def test_first_bars_nothing_before_its_window_is_full() -> None:
    """Rising bars: with L = R = 3 nothing is a swing; a swing needs L bars before it and R after it."""
    params = Params(L=3, R=3, atr_n=14)
    peak = [(0, 1, 0, 1), (1, 9, 1, 2), (2, 3, 1, 1), (1, 2, 0, 1), (1, 2, 0, 1), (1, 2, 0, 1), (1, 2, 0, 1)]
    assert not [row for row in events_of(*peak, params=params) if str(row[1]).startswith("SWING")]  # bar 1: L missing
    late = [(0, 1, 0, 1)] * 3 + [(1, 9, 1, 2)] + [(1, 2, 0, 1)] * 3
    swings = [row for row in events_of(*late, params=params) if row[1] == "SWING_HIGH"]
    assert [(row[0], row[3], row[4]) for row in swings] == [(6, 3, 9)]
    assert not [row for row in events_of(*late[:-1], params=params) if str(row[1]).startswith("SWING")]


def test_first_bars_nothing_needs_an_undefined_atr() -> None:
    """Before `atr_n` true ranges no zone, pool or level is born, and none at the last bar is invented."""
    params = P.replace(atr_n=60)
    bars = random_bars(5, 59)
    rows = compiled_rows(Detector(1, params).push_bars(bar_array(bars)))
    born = {row[1] for row in rows}
    assert born <= {"SWING_HIGH", "SWING_LOW", "BOS", "CHOCH"}
    assert len(born) == 4


def test_equal_highs_in_one_window_give_the_first_one() -> None:
    params = P.replace(L=2, R=2)
    rows = [(5, 6, 4, 5), (5, 6, 4, 5), (5, 9, 5, 6), (6, 9, 5, 6), (5, 6, 4, 5), (5, 6, 4, 5), (5, 6, 4, 5)]
    swings = [row for row in events_of(*rows, params=params) if row[1] == "SWING_HIGH"]
    assert [row[3] for row in swings] == [2]


def test_equal_highs_beyond_one_window_are_separate_swings_and_one_pool() -> None:
    rows = [(5, 6, 4, 5), (5, 9, 5, 6), (6, 7, 5, 6), (6, 7, 5, 6), (6, 9, 5, 6), (6, 7, 5, 6)]
    events = events_of(*rows)
    assert [row[3] for row in events if row[1] == "SWING_HIGH"] == [1, 4]
    pools = [row for row in events if str(row[1]).startswith("POOL") and row[2] == 1]
    assert [(row[0], row[1], row[4]) for row in pools] == [(2, "POOL", 9), (5, "POOL_JOINED", 9)]


def test_doji_is_no_opposite_candle() -> None:
    """Bar 3 closes where it opened: the block finds no opposite candle and says so."""
    leg = (LEG[0], LEG[1], (5, 7, 5, 6), (3, 6, 2, 3), LEG[4], LEG[5])
    rows = compiled_rows(Detector(1, P).push_bars(bar_array(bars_of(*leg))))
    (block,) = [row for row in rows if row[1] == "OB"]
    assert block[10] & Flag.NO_COLOUR


def test_doji_is_no_valid_middle_of_a_gap() -> None:
    gap = [(1, 2, 0, 1), (1, 2, 0, 1), (2, 6, 2, 5), (6, 8, 5, 7)]
    assert kinds_at(3, *gap, prefix="FVG") == ["FVG"]
    assert kinds_at(3, *gap[:2], (4, 6, 2, 4), gap[3], prefix="FVG") == []
    assert kinds_at(3, *gap[:2], (4, 6, 2, 4), gap[3], prefix="FVG", params=P.replace(fvg_need_body=False)) == ["FVG"]


def test_zero_range_bar_gives_ratios_of_zero() -> None:
    """A gap whose middle bar has no range scores nothing for its body; a sweep by such a bar nothing for its wick."""
    flat = [(1, 2, 0, 1), (1, 2, 0, 1), (4, 4, 4, 4), (6, 8, 6, 7)]
    rows = compiled_rows(Detector(1, P.replace(fvg_need_body=False)).push_bars(bar_array(bars_of(*flat))))
    gap = next(row for row in rows if row[1] == "FVG" and row[0] == 3)
    assert gap[8][2] == 0.0


def test_price_exactly_at_an_edge_touches_and_does_not_break() -> None:
    """Zone [2, 6]: a low of 6 tests it, a close at 2 mitigates it and breaks nothing, a close at 1 breaks it."""
    away, edge, bottom = (11, 12, 9, 10), (10, 10, 6, 7), (7, 7, 2, 2)
    assert kinds_at(7, *LEG, away, edge, prefix="OB") == ["OB_TESTED"]
    assert "OB_BROKEN" not in kinds_at(8, *LEG, away, edge, bottom, prefix="OB")
    assert "OB_BROKEN" in kinds_at(8, *LEG, away, edge, (7, 7, 1, 1), prefix="OB")


def test_price_exactly_at_a_level_takes_no_pool_and_breaks_no_swing() -> None:
    rows = [(5, 6, 4, 5), (5, 9, 5, 6), (6, 7, 5, 6)]
    assert not {"SWEEP", "RUN", "BOS"} & set(kinds_at(3, *rows, (6, 9, 6, 9)))
    assert {"RUN", "BOS"} <= set(kinds_at(3, *rows, (6, 10, 6, 10)))
    assert "RUN" in kinds_at(3, *rows, (6, 10, 6, 9))  # a close at the level itself is a run, and no break
    assert "BOS" not in kinds_at(3, *rows, (6, 10, 6, 9))
    assert "SWEEP" in kinds_at(3, *rows, (6, 10, 6, 8))


def test_outside_bar_is_both_swings_high_first() -> None:
    rows = [(5, 6, 4, 5), (5, 9, 1, 6), (5, 6, 4, 5)]
    assert kinds_at(2, *rows, prefix="SWING") == ["SWING_HIGH", "SWING_LOW"]


def test_outside_bar_in_wick_mode_breaks_against_its_close_first() -> None:
    params = P.replace(break_mode="wick")
    rows = [(5, 6, 4, 5), (5, 9, 1, 6), (5, 6, 4, 5)]
    up = [row[1:3] for row in events_of(*rows, (5, 12, 0, 8), params=params) if row[1] in ("BOS", "CHOCH")]
    assert up == [("BOS", -1), ("CHOCH", 1)]
    down = [row[1:3] for row in events_of(*rows, (5, 12, 0, 2), params=params) if row[1] in ("BOS", "CHOCH")]
    assert down == [("BOS", 1), ("CHOCH", -1)]


def test_outside_bar_tests_mitigates_and_breaks_in_order() -> None:
    away = (11, 12, 9, 10)
    assert kinds_at(7, *LEG, away, (10, 13, 0, 1), prefix="OB_") == ["OB_TESTED", "OB_MITIGATED", "OB_BROKEN"]


def test_session_gap_runs_windows_across() -> None:
    """A swing whose right side lies behind the break is known like any other."""
    rows = [(5, 6, 4, 5), (5, 9, 5, 6), (6, 7, 5, 6, 1, 1)]
    assert kinds_at(2, *rows, prefix="SWING") == ["SWING_HIGH"]


def test_session_gap_makes_an_opening_gap() -> None:
    gap = [(1, 2, 0, 1), (1, 2, 0, 1), (2, 6, 2, 5, 1, 1), (6, 8, 5, 7)]
    assert [kind for kind in kinds_at(3, *gap) if "GAP" in kind or kind.startswith("FVG")] == ["OPENING_GAP"]


def test_session_gap_leaves_the_atr_alone() -> None:
    detector = Detector(1, P.replace(atr_n=3))
    detector.push_bars(bar_array(bars_of((5, 7, 5, 6), (6, 8, 6, 7), (107, 109, 107, 108, 1, 1))))
    assert detector.atr == 2.0


def test_session_gap_through_a_level_is_a_break() -> None:
    rows = [(5, 6, 4, 5), (5, 9, 5, 6), (6, 7, 5, 6), (20, 21, 19, 20, 1, 1)]
    assert "BOS" in kinds_at(3, *rows)


@pytest.mark.parametrize("seed", range(20))
def test_roll_by_shift_goes_on_as_if_nothing_had_happened(seed: int) -> None:
    bars = bar_array(random_bars(seed, 300))
    whole = Detector(1, P).push_bars(bars)
    detector = Detector(1, P)
    before = detector.push_bars(bars[:150])
    detector.roll_shift(1234)
    rest = bars[150:].copy()
    for field in ("open", "high", "low", "close"):
        rest[field] += 1234
    after = detector.push_bars(rest)
    assert canonical(before) == canonical(whole[: len(before)])
    names = ("known", "kind", "side", "origin", "score", "n", "parent_id", "id")
    for name in names:
        assert np.array_equal(after[name], whole[len(before) :][name]), name
    assert np.array_equal(after["top"] - 1234, whole[len(before) :]["top"])


@pytest.mark.parametrize("seed", range(20))
def test_roll_by_reset_forms_nothing_from_bars_of_both_contracts(seed: int) -> None:
    bars = bar_array(random_bars(seed, 300))
    detector = Detector(1, P)
    last_id = len(detector.push_bars(bars[:150]))
    atr = detector.atr
    detector.roll_reset()
    assert (len(detector.zones()), len(detector.pools()), len(detector.levels()), detector.trend) == (0, 0, 0, 0)
    assert detector.atr == atr
    after = detector.push_bars(bars[150:])
    assert len(after)
    assert (after["origin"] >= 150).all()
    assert ((after["parent_id"] == -1) | (after["parent_id"] > last_id)).all()


def test_outlier_print_is_always_counted() -> None:
    """Nothing is held back: a far print is flagged SUSPECT by the feed, and the flag bars entries until confirmed."""
    bars = bar_array(bars_of(*[(5, 6, 4, 5)] * 20, (5, 46, 5, 5), (5, 45, 5, 5), *[(5, 6, 4, 5)] * 3))
    bars["flags"][20] |= int(Flag.SUSPECT)
    detector = Detector(1, P.replace(atr_n=14), bar_events=True)
    events = detector.push_bars(bars)
    assert detector.outliers == 1  # 41 ticks against an ATR of 2; the next one against a larger ATR
    told = events[events["kind"] == EventCode.BAR]["flags"] & Flag.SUSPECT
    assert np.flatnonzero(told).tolist() == [20]


def test_zero_volume_feed_gives_halves_and_no_division_by_zero() -> None:
    bars = bar_array(random_bars(11, 400))
    bars["volume"] = 0
    rows = compiled_rows(Detector(1, P).push_bars(bars))
    gaps = [row for row in rows if row[1] == "FVG"]
    blocks = [row for row in rows if row[1] == "OB"]
    assert gaps
    assert blocks
    assert {row[8][1] for row in gaps} == {0.5}
    assert {row[8][1] for row in blocks} == {0.5}
    assert all(np.isfinite(row[7]) for row in rows)


def test_duplicate_or_older_stamp_is_refused_and_changes_nothing() -> None:
    bars = bar_array(random_bars(12, 120))
    detector, other = Detector(1, P), Detector(1, P)
    detector.push_bars(bars[:100])
    other.push_bars(bars[:100])
    for wrong in (bars[99:], bars[50:]):
        with pytest.raises(ValueError, match="no bar was taken"):
            detector.push_bars(wrong)
    with pytest.raises(ValueError, match="was not taken"):
        detector.push_bar(int(bars["start_ns"][99]), 1, 1, 1, 1)
    assert detector.push_bars(bars[100:]).tobytes() == other.push_bars(bars[100:]).tobytes()


def test_missing_minutes_are_skipped() -> None:
    """Bars are counted, not minutes: the same bars three minutes apart give the same events at other times."""
    bars = bar_array(random_bars(13, 100, breaks=False))
    sparse = bars.copy()
    sparse["start_ns"] = START + np.arange(len(bars)) * 3 * MINUTE
    params = P
    left, right = Detector(1, params).push_bars(bars), Detector(1, params).push_bars(sparse)
    untimed = [name for name in left.dtype.names if not name.endswith("_ns")]
    assert (right["kind"] < EventCode.DAY).all()  # five hours at night: no period ends, for periods go by the clock
    for name in untimed:
        assert np.array_equal(left[name], right[name]), name


@pytest.mark.parametrize("seed", range(10))
def test_warm_up_then_live_is_the_same_as_live_all_along(seed: int) -> None:
    bars = bar_array(random_bars(seed, 300))
    warm = bars.copy()
    warm["flags"][:200] |= int(Flag.WARMUP | Flag.FROM_HISTORY)
    live, warmed = Detector(1, P), Detector(1, P)
    left, right = live.push_bars(bars), warmed.push_bars(warm)
    told = np.array(right["flags"])
    assert (told[right["known"] < 200] & Flag.WARMUP).all()
    assert not (told[right["known"] >= 200] & Flag.WARMUP).any()
    right["flags"] &= 0xFFFF ^ int(Flag.WARMUP | Flag.FROM_HISTORY)
    assert left.tobytes() == right.tobytes()
    for held in ("zones", "pools", "levels", "periods"):
        assert getattr(live, held)().tobytes() == getattr(warmed, held)().tobytes()


def test_every_row_has_its_mirror() -> None:
    """The legs above upside down give the same with sides changed."""
    bars = bars_of(*LEG, (11, 12, 9, 10), (10, 13, 0, 1))
    upright = Detector(1, P).push_bars(bar_array(bars))
    turned = Detector(1, P).push_bars(bar_array(mirrored(bars)))
    # bar_array gives delta = volume // 2 on both: not part of the mirror
    upright["delta"] = turned["delta"] = 0
    assert canonical(turned, mirror=True) == canonical(upright)
    assert BAR_DTYPE.itemsize == 64
