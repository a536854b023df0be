"""Fair value gaps: rules one by one (smc.md section 5), then the slow reference."""

import pytest

import ref_smc
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
from tbot_ext.zones import ZoneState

KINDS = ("FVG", "OPENING_GAP")
P = Params(atr_n=1)
# A bull gap between 10 (high of bar 0) and 14 (low of bar 2), known at bar 2.
GAP = ((8, 10, 8, 9), (9, 15, 9, 14), (15, 17, 14, 16))


def life(*later: tuple[int, ...], params: Params = P) -> list[tuple[int, str]]:
    """(bar, what) after the birth of the gap above; later bars come as given."""
    rows = found(bars_of(*GAP, *later), params, "FVG")
    assert rows[0] == (2, "FVG", 1, 1, 14, 10)
    return [(t, kind.removeprefix("FVG_")) for t, kind, _, origin, *_ in rows[1:] if origin == 1]


def test_three_bars_leave_a_gap() -> None:
    assert found(bars_of(*GAP), P, KINDS) == [(2, "FVG", 1, 1, 14, 10)]
    assert found(mirrored(bars_of(*GAP)), P, KINDS) == [(2, "FVG", -1, 1, -10, -14)]


def test_its_size_must_reach_the_minimum() -> None:
    assert found(bars_of(*GAP), P.replace(fvg_min_ticks=4), KINDS) != []
    assert found(bars_of(*GAP), P.replace(fvg_min_ticks=5), KINDS) == []
    # atr_n=1: the ATR at bar 2 is its true range, 3
    assert found(bars_of(*GAP), P.replace(fvg_min_atr=4 / 3), KINDS) != []
    assert found(bars_of(*GAP), P.replace(fvg_min_atr=1.34), KINDS) == []


@pytest.mark.parametrize("middle", [(14, 15, 9, 14), (15, 15, 9, 9)])
def test_a_doji_or_an_opposite_middle_makes_none_when_a_body_is_needed(middle: tuple[int, ...]) -> None:
    bars = bars_of(GAP[0], middle, GAP[2])
    assert found(bars, P, KINDS) == []
    assert found(bars, P.replace(fvg_need_body=False), KINDS) == [(2, "FVG", 1, 1, 14, 10)]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_after_a_session_break_it_is_an_opening_gap_without_a_life(place: int) -> None:
    rows = [(*row, 1, place == k) for k, row in enumerate(GAP)]
    bars = bars_of((8, 10, 8, 9), *rows, (14, 14, 5, 6), (6, 6, 1, 2))
    events = found(bars, P, KINDS)
    assert (3, "OPENING_GAP", 1, 2, 14, 10) in events
    assert not [event for event in events if event[1] != "OPENING_GAP" and event[3] == 2]


def test_no_gap_before_the_atr_is_known() -> None:
    assert found(bars_of(*GAP), P.replace(atr_n=4), KINDS) == []
    assert found(bars_of(*GAP), P.replace(atr_n=3), KINDS) != []


def test_touching_an_edge_counts() -> None:
    assert life((16, 17, 15, 16)) == []
    assert life((16, 17, 14, 16)) == [(3, "TOUCHED")]
    assert life((16, 17, 13, 16)) == [(3, "TOUCHED")]
    assert life((16, 17, 12, 16)) == [(3, "TOUCHED"), (3, "HALF")]
    assert life((16, 17, 11, 16)) == [(3, "TOUCHED"), (3, "HALF")]
    assert life((16, 17, 10, 16)) == [(3, "TOUCHED"), (3, "HALF"), (3, "FILLED")]


def test_states_come_once_and_in_order() -> None:
    steps = [(16, 17, low, 16) for low in (14, 15, 14, 12, 13, 10, 9)]
    assert life(*steps) == [(3, "TOUCHED"), (6, "HALF"), (8, "FILLED")]


def test_one_bar_can_do_everything() -> None:
    assert life((16, 17, 5, 9)) == [(3, "TOUCHED"), (3, "HALF"), (3, "FILLED"), (3, "INVERTED")]


def test_only_a_close_strictly_below_inverts() -> None:
    assert life((16, 17, 9, 10))[-1] == (3, "FILLED")
    assert life((16, 17, 9, 10), (10, 11, 9, 9))[-1] == (4, "INVERTED")


def test_an_inverted_gap_changes_sides_and_dies_on_a_close_above() -> None:
    bars = bars_of(*GAP, (16, 17, 5, 9), (9, 15, 9, 14), (14, 15, 14, 15), (15, 30, 15, 30))
    rows = [row for row in found(bars, P, "FVG") if row[3] == 1]
    assert rows[-2:] == [(3, "FVG_INVERTED", -1, 1, 14, 10), (5, "FVG_DEAD", -1, 1, 14, 10)]


def test_it_expires_after_max_age_bars_before_it_can_react() -> None:
    quiet = (20, 21, 20, 20)
    assert life(*[quiet] * 3, (16, 17, 14, 16), params=P.replace(max_age=4)) == [(6, "TOUCHED")]
    assert life(*[quiet] * 4, (16, 17, 14, 16), params=P.replace(max_age=4)) == [(7, "EXPIRED")]


def test_adjacent_gaps_stack_and_stay_apart() -> None:
    steps = [(10 * k, 10 * k + 6, 10 * k, 10 * k + 5) for k in range(5)]
    rows = compiled_rows(Detector(1, P).push_bars(bar_array(bars_of(*steps))))
    assert [(row[0], row[9]) for row in rows if row[1] == "FVG"] == [(2, 1), (3, 2), (4, 3)]
    detector = Detector(1, P)
    detector.push_bars(bar_array(bars_of(*steps)))
    zones = detector.zones()
    assert len(set(zones["id"].tolist())) == 3
    assert set(zones["stack_id"].tolist()) == {int(zones["id"][0])}


def test_score_and_its_parts() -> None:
    bars = bars_of((8, 10, 8, 9, 4), (9, 15, 9, 14, 6), (15, 17, 14, 16, 2))
    (row,) = [row for row in compiled_rows(Detector(1, P).push_bars(bar_array(bars))) if row[1] == "FVG"]
    # size 4 over an ATR of 3 is more than 1; volume 6 over twice the mean 4; body 5 of a range of 6
    assert row[7] == 1.0 * 0.5 + 0.75 * 0.3 + 5 / 6 * 0.2
    assert row[8][:3] == pytest.approx((1.0, 0.75, 5 / 6), abs=1e-7)


def test_without_volume_the_volume_factor_is_one_half() -> None:
    bars = bars_of(*[(*row, 0) for row in GAP])
    (row,) = [row for row in compiled_rows(Detector(1, P).push_bars(bar_array(bars))) if row[1] == "FVG"]
    assert row[8][1] == 0.5


def test_the_lowest_score_makes_room_of_equals_the_oldest() -> None:
    steps = [(20 * k, 20 * k + 6, 20 * k, 20 * k + 5) for k in range(6)]
    one = P.replace(max_zones=2)
    rows = found(bars_of(*steps), one, "FVG")
    assert [(t, kind, origin) for t, kind, _, origin, *_ in rows] == [
        (2, "FVG", 1), (3, "FVG", 2), (4, "FVG_EXPIRED", 1), (4, "FVG", 3), (5, "FVG_EXPIRED", 2), (5, "FVG", 4),
    ]  # fmt: skip


def test_zones_shows_what_lives() -> None:
    detector = Detector(1, P)
    detector.push_bars(bar_array(bars_of(*GAP, (16, 17, 13, 16), (16, 18, 16, 17))))
    (zone,) = detector.zones()
    assert ZoneState(zone["state"]) is ZoneState.TOUCHED
    assert (int(zone["top"]), int(zone["bottom"]), float(zone["fill"])) == (14, 10, 0.25)
    assert (int(zone["side"]), int(zone["born"]), int(zone["origin"])) == (1, 2, 1)


@pytest.mark.parametrize("seed", range(40))
def test_equals_the_reference(seed: int) -> None:
    kinds = assert_same(random_bars(seed + 100, 250, step=2 + seed % 3), params_for(seed), KINDS)
    assert {"FVG", "FVG_TOUCHED", "FVG_EXPIRED", "FVG_INVERTED"} & set(kinds)


@pytest.mark.parametrize("seed", range(5))
def test_mirrored_prices_give_mirrored_gaps(seed: int) -> None:
    bars: list[ref_smc.B] = random_bars(seed, 250)
    ours = sorted((t, k, -s, i, -bottom, -top) for t, k, s, i, top, bottom in found(bars, P, KINDS))
    assert ours
    assert sorted(found(mirrored(bars), P, KINDS)) == ours


@pytest.mark.shared_data
def test_equals_the_reference_on_real_bars() -> None:
    bars = mark_session_breaks(read_bars(shared("smc/ES_201312_1m_20131006_09.csv"), 0.25))
    assert len(assert_same(plain_bars(bars[1000:3000]), Params(), KINDS)) > 500
