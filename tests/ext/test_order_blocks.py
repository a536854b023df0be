"""Order blocks: birth and life rule by rule (smc.md section 6), then all detector events against the reference."""

import collections

import numpy as np
import pytest

import ref_smc
from ref_periods import PERIOD_KINDS
from shared_data import shared
from smc_cases import (
    MINUTE,
    START,
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
from smc_properties import canonical
from tbot_ext.bars import mark_session_breaks
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import BAR_DTYPE, EventCode, Flag
from tbot_ext.zones import ZoneState

P = Params(L=1, R=1, atr_n=1)
# Swing high 10 at bar 1; base at bar 3 (low 2, closes down); bar 5 closes above 10. The block is bar 3: [2, 6].
LEG = ((5, 6, 4, 5), (5, 10, 5, 6), (6, 7, 5, 5), (5, 6, 2, 3), (3, 7, 3, 6))
BREAK = (6, 12, 6, 11)
BLOCK = (5, "OB", 1, 3, 6, 2)


def block_of(*rows: tuple[int, ...], params: Params = P) -> list[tuple[object, ...]]:
    return list(found(bars_of(*rows), params, "OB"))


def row_of(rows: tuple[tuple[int, ...], ...], params: Params = P) -> tuple[object, ...]:
    """The one birth event with all its fields."""
    events = compiled_rows(Detector(1, params).push_bars(bar_array(bars_of(*rows))))
    (row,) = [row for row in events if row[1] == "OB"]
    return row


def life(*later: tuple[int, ...], params: Params = P) -> list[tuple[int, str]]:
    """(bar, what) after the birth of the block above; later bars come as given."""
    rows = block_of(*LEG, BREAK, *later, params=params)
    assert rows[0] == BLOCK
    return [(row[0], row[1][3:]) for row in rows[1:] if row[3] == 3 and row[2] == 1]  # type: ignore[index, misc]


# ---------------------------------------------------------------- birth


def test_a_break_makes_a_block_of_the_last_opposite_bar_before_the_base() -> None:
    assert block_of(*LEG, BREAK) == [BLOCK]
    assert block_of(*LEG, (6, 10, 6, 10)) == []  # no break


def test_mirrored_prices_make_the_bear_block() -> None:
    assert found(mirrored(bars_of(*LEG, BREAK)), P, "OB") == [(5, "OB", -1, 3, -2, -6)]


def test_the_base_is_the_last_of_equal_lows() -> None:
    leg = (*LEG[:4], (4, 6, 2, 3), (3, 7, 3, 6))
    assert block_of(*leg, BREAK) == [(6, "OB", 1, 4, 6, 2)]


def test_the_opposite_bar_may_lie_before_the_base() -> None:
    leg = (*LEG[:3], (5, 6, 4, 4), (4, 5, 2, 5), (4, 7, 3, 6))  # base bar 4 closes up, bar 3 down
    assert block_of(*leg, BREAK) == [(6, "OB", 1, 3, 6, 2)]
    assert block_of(*leg, BREAK, params=P.replace(ob_search=0)) == [(6, "OB", 1, 4, 5, 2)]
    assert block_of(*leg, BREAK, params=P.replace(ob_pick="extreme")) == [(6, "OB", 1, 4, 5, 2)]


def test_without_an_opposite_bar_the_base_itself_counts_and_is_flagged() -> None:
    leg = (LEG[0], LEG[1], (5, 7, 5, 6), (3, 6, 2, 5), (3, 7, 3, 6))
    row = row_of((*leg, BREAK))
    assert row[:6] == (5, "OB", 1, 3, 6, 2)
    assert row[10] == Flag.NO_COLOUR
    assert row_of((*LEG, BREAK))[10] == 0


def test_the_zone_can_be_the_body() -> None:
    assert block_of(*LEG, BREAK, params=P.replace(ob_zone="body")) == [(5, "OB", 1, 3, 5, 2)]


def test_a_tall_zone_is_cut_to_its_body_and_a_taller_one_rejected() -> None:
    # the ATR at bar 5 is 6, the block 4 tall, its body 3
    assert row_of((*LEG, BREAK), P.replace(ob_max_height_atr=4 / 6))[4:6] == (6, 2)
    cut = row_of((*LEG, BREAK), P.replace(ob_max_height_atr=0.6))
    assert (cut[4:6], cut[10]) == ((5, 2), Flag.BODY_ZONE)
    assert block_of(*LEG, BREAK, params=P.replace(ob_max_height_atr=0.49)) == []


def test_a_flat_zone_gets_one_tick() -> None:
    leg = (*LEG[:3], (3, 3, 2, 2), (3, 7, 3, 6))
    assert block_of(*leg, BREAK, params=P.replace(ob_zone="body")) == [(5, "OB", 1, 3, 3, 2)]
    flat = (*LEG[:3], (2, 2, 2, 2), (3, 7, 3, 6))
    assert block_of(*flat, BREAK, params=P.replace(ob_pick="extreme")) == [(5, "OB", 1, 3, 3, 2)]


def test_displacement_must_reach_the_minimum() -> None:
    # from 2 to 11, over an ATR of 6
    assert block_of(*LEG, BREAK, params=P.replace(ob_min_disp_atr=1.5)) == [BLOCK]
    assert block_of(*LEG, BREAK, params=P.replace(ob_min_disp_atr=1.51)) == []


def test_no_block_before_the_atr_is_known() -> None:
    assert block_of(*LEG, BREAK, params=P.replace(atr_n=7)) == []
    assert block_of(*LEG, BREAK, params=P.replace(atr_n=6)) == [BLOCK]


def test_score_and_its_parts() -> None:
    volumes = (1, 1, 1, 6, 1, 2)
    row = row_of(tuple((*bar, volume) for bar, volume in zip((*LEG, BREAK), volumes, strict=True)))
    # displacement 1.5 of 3; volume 6 over twice the mean 2 is more than 1; no gap; no sweep yet; a BOS
    assert row[7] == 100.0 * (0.30 * 0.5 + 0.25 * 1.0 + 0.20 * 0.0 + 0.15 * 0.0 + 0.10 * 0.5)
    assert row[8] == (0.5, 1.0, 0.0, 0.0, 0.5)


def test_an_unfilled_gap_in_the_move_counts() -> None:
    # bars 3, 4, 5 leave a gap: low 8 of bar 5 above high 6 of bar 3
    assert row_of((*LEG, (8, 12, 8, 11)))[8][2] == 1.0  # type: ignore[index]
    assert row_of((*LEG, BREAK))[8][2] == 0.0  # type: ignore[index]


def test_without_volume_the_volume_factor_is_one_half() -> None:
    assert row_of(tuple((*bar, 0) for bar in (*LEG, BREAK)))[8][1] == 0.5  # type: ignore[index]


def test_a_choch_counts_more_than_a_bos() -> None:
    # first down through a swing low, then up through a swing high
    down = (
        (9, 9, 8, 8), (8, 8, 4, 5), (5, 9, 5, 8), (8, 8, 3, 3), (3, 7, 3, 6), (6, 6, 2, 3), (3, 6, 3, 5),
        (5, 12, 5, 12),
    )  # fmt: skip
    rows = compiled_rows(Detector(1, P).push_bars(bar_array(bars_of(*down))))
    kinds = [row[1] for row in rows if row[1] in ("BOS", "CHOCH")]
    assert kinds[-1] == "CHOCH"
    assert [row for row in rows if row[1] == "OB"][-1][8][4] == 1.0


def test_a_second_break_from_the_same_base_refreshes_the_score() -> None:
    # Bar 7 breaks the swing high of bar 1 (10). The swing high of bar 5 (13) becomes known at bar 8 and is broken by
    # bar 9. The lowest bar since either of them is bar 6.
    params = Params(L=1, R=3, atr_n=1, ob_pick="extreme", ob_min_disp_atr=0.0)
    bars = bars_of(
        (5, 6, 5, 6), (6, 10, 6, 7), (7, 8, 6, 7), (7, 9, 6, 8), (8, 9, 6, 9), (9, 13, 5, 9), (9, 9, 0, 5),
        (9, 12, 7, 11), (11, 13, 10, 11), (13, 20, 13, 19),
    )  # fmt: skip
    rows = compiled_rows(Detector(1, params).push_bars(bar_array(bars)))
    births = [row for row in rows if row[1] == "OB"]
    refreshed = [row for row in rows if row[1] == "OB_REFRESHED"]
    assert [row[:6] for row in births] == [(7, "OB", 1, 6, 9, 0)]
    assert [row[:6] for row in refreshed] == [(9, "OB_REFRESHED", 1, 6, 9, 0)]
    assert refreshed[0][-1] == births[0][-2]  # parent
    assert refreshed[0][7] > births[0][7]
    assert_same(bars, params)


def test_the_base_is_looked_for_in_the_bars_that_are_kept() -> None:
    """A swing high that stands for more bars than are kept: 1024."""
    falling = [(5000 - t, 5000 - t, 4998 - t, 4999 - t) for t in range(1200)]
    rally = (3800, 5200, 3799, 5100)
    rows = ((4990, 5000, 4989, 4995), (5000, 5050, 4999, 5001), *falling, rally)
    params = P.replace(ob_max_height_atr=1000.0, ob_pick="extreme", ob_min_disp_atr=0.0)
    bars = bars_of(*rows)
    rows_found = found(bars, params, "OB")
    assert [row[:4] for row in rows_found] == [(len(rows) - 1, "OB", 1, len(rows) - 2)]
    assert_same(bars, params)
    reversed_base = bars_of(rows[0], rows[1], (5000, 5000, 1, 4999), *falling, rally)
    assert found(reversed_base, params, "OB")[0][3] == len(rows) - 1  # the deepest low is forgotten by then
    assert_same(reversed_base, params)


# ---------------------------------------------------------------- life


def test_it_is_first_tested_by_the_bar_after_its_birth() -> None:
    assert block_of(*LEG, (6, 12, 3, 11)) == [(5, "OB", 1, 3, 6, 2)]
    assert life((11, 12, 7, 11)) == []
    assert life((11, 12, 6, 11)) == [(6, "TESTED")]


def test_a_new_test_needs_a_bar_that_stays_away() -> None:
    inside, outside = (8, 9, 5, 8), (8, 9, 7, 8)
    assert life(inside, inside, inside) == [(6, "TESTED")]
    assert life(inside, outside, inside) == [(6, "TESTED"), (8, "TESTED")]
    rows = compiled_rows(Detector(1, P).push_bars(bar_array(bars_of(*LEG, BREAK, inside, outside, inside))))
    assert [row[9] for row in rows if row[1] == "OB_TESTED" and row[3] == 3] == [1, 2]


def test_mitigation_comes_once_and_ends_the_counting_of_tests() -> None:
    deep, outside = (8, 9, 4, 8), (8, 9, 7, 8)
    assert life((8, 9, 5, 8), deep, outside, deep) == [(6, "TESTED"), (7, "MITIGATED")]
    assert life(deep) == [(6, "TESTED"), (6, "MITIGATED")]


def test_touching_the_far_edge_does_not_break() -> None:
    assert life((8, 9, 2, 2)) == [(6, "TESTED"), (6, "MITIGATED")]
    assert life((8, 9, 1, 2)) == [(6, "TESTED"), (6, "MITIGATED")]


def test_one_bar_can_test_mitigate_and_break() -> None:
    assert life((8, 9, 1, 1)) == [(6, "TESTED"), (6, "MITIGATED"), (6, "BROKEN")]


def test_a_wick_breaks_in_wick_mode() -> None:
    wick = P.replace(zone_break="wick")
    assert life((8, 9, 2, 8), params=wick) == [(6, "TESTED"), (6, "MITIGATED")]
    assert life((8, 9, 1, 8), params=wick) == [(6, "TESTED"), (6, "MITIGATED"), (6, "BROKEN")]


def test_a_gap_straight_through_breaks_without_a_test() -> None:
    assert life((1, 1, 0, 1)) == [(6, "BROKEN")]
    assert life((2, 2, 0, 1)) == [(6, "TESTED"), (6, "MITIGATED"), (6, "BROKEN")]


def test_nothing_happens_to_a_broken_block() -> None:
    assert life((8, 9, 1, 1), (1, 12, 1, 12), (12, 12, 0, 1))[:3] == [(6, "TESTED"), (6, "MITIGATED"), (6, "BROKEN")]
    assert len(life((8, 9, 1, 1), (1, 12, 1, 12), (12, 12, 0, 1))) == 3


def test_it_expires_after_max_age_bars_before_it_can_react() -> None:
    short, away, test = P.replace(max_age=3), (11, 12, 9, 11), (8, 9, 6, 8)
    assert life(away, away, test, params=short)[0] == (8, "TESTED")
    assert life(away, away, away, test, params=short) == [(9, "EXPIRED")]


def test_life_cycle_events_name_their_birth() -> None:
    rows = compiled_rows(Detector(1, P).push_bars(bar_array(bars_of(*LEG, BREAK, (8, 9, 1, 1)))))
    (birth,) = [row for row in rows if row[1] == "OB" and row[2] == 1]
    assert birth[-1] == -1
    assert {row[-1] for row in rows if row[1] in ("OB_TESTED", "OB_MITIGATED", "OB_BROKEN")} == {birth[-2]}


def test_zones_shows_what_lives() -> None:
    detector = Detector(1, P)
    detector.push_bars(bar_array(bars_of(*LEG, BREAK, (8, 9, 5, 8))))
    (zone,) = [zone for zone in detector.zones() if zone["kind"] == EventCode.OB]
    assert ZoneState(zone["state"]) is ZoneState.TESTED
    assert (int(zone["top"]), int(zone["bottom"]), int(zone["tests"]), int(zone["side"])) == (6, 2, 1, 1)
    detector.push_bar(START + 7 * MINUTE, 8, 9, 1, 1)
    assert not [zone for zone in detector.zones() if zone["kind"] == EventCode.OB and zone["side"] == 1]


# ---------------------------------------------------------------- everything against the reference


@pytest.mark.parametrize("seed", range(120))
def test_all_events_equal_the_reference(seed: int) -> None:
    """Ids, parents, order, scores and all other fields, on small integers with many ties and every mode."""
    assert_same(random_bars(seed, 250, step=2 + seed % 4), params_for(seed))


def test_the_random_bars_reach_every_kind_of_event() -> None:
    """Guards the test above: a kind that never occurs would be compared with nothing."""
    kinds: collections.Counter[str] = collections.Counter()
    for seed in range(120):
        bars = bar_array(random_bars(seed, 250, step=2 + seed % 4))
        kinds.update(EventCode(kind).name for kind in Detector(1, params_for(seed)).push_bars(bars)["kind"].tolist())
    expected = {code.name for code in EventCode if code.name.startswith(ref_smc.KINDS)}
    expected -= {code.name for code in EventCode if code.name.startswith(PERIOD_KINDS)}  # four hours: test_periods.py
    # a refresh is rare on random bars: it has its own case above
    assert expected - set(kinds) <= {"OB_REFRESHED"}


@pytest.mark.shared_data
@pytest.mark.parametrize("first", [0, 2100])
def test_all_events_equal_the_reference_on_real_bars(first: int) -> None:
    bars = mark_session_breaks(read_bars(shared("smc/ES_201312_1m_20131006_09.csv"), 0.25))
    kinds = assert_same(plain_bars(bars[first : first + 2000]), Params())
    assert kinds.count("OB") > 50


def test_all_state_is_bounded_over_many_bars() -> None:
    """200 000 bars: no list outgrows its cap, ids stay unique and increasing."""
    rng = np.random.default_rng(7)
    n = 200_000
    bars = np.zeros(n, BAR_DTYPE)
    bars["start_ns"] = START + np.arange(n) * MINUTE
    bars["timeframe_min"] = 1
    bars["open"] = np.cumsum(rng.integers(-4, 5, n))
    bars["close"] = bars["open"] + rng.integers(-4, 5, n)
    bars["high"] = np.maximum(bars["open"], bars["close"]) + rng.integers(0, 3, n)
    bars["low"] = np.minimum(bars["open"], bars["close"]) - rng.integers(0, 3, n)
    detector = Detector(1, Params(L=1, R=1, max_zones=8, max_age=1000))
    events = detector.push_bars(bars)
    assert detector.bar_count == n
    assert (np.diff(events["id"]) == 1).all()
    assert (np.diff(events["known"]) >= 0).all()
    counts = collections.Counter((int(zone["kind"]), int(zone["side"])) for zone in detector.zones())
    assert sum(counts.values()) <= 6 * 8
    assert (events["top"] >= events["bottom"]).all()
    assert (events["origin"] <= events["known"]).all()


def test_a_bar_that_ends_everything_loses_no_event() -> None:
    """1500 bars upwards, then a crash through all zones, pools and levels, and the way back."""
    rng = np.random.default_rng(23)
    moves = rng.integers(-6, 7, 1500) + 4
    closes = np.cumsum(moves + rng.integers(0, 3, 1500))
    ups, downs = rng.integers(0, 2, 1500), rng.integers(0, 2, 1500)
    bars = [
        ref_smc.B(c - m, max(c, c - m) + up, min(c, c - m) - down, c, 5)
        for c, m, up, down in zip(closes.tolist(), moves.tolist(), ups.tolist(), downs.tolist(), strict=True)
    ]
    last, far = bars[-1].c, 10**6
    bars += bars_of((last, last, -far, -far), (-far, far, -far, far))
    params = Params(
        L=1, R=1, max_age=1000, ob_min_disp_atr=0.0, fvg_need_body=False,
        eq_tol_ticks=0, eq_tol_atr=0.0, sr_tol_ticks=0, sr_tol_atr=0.0,
    )  # fmt: skip
    events = Detector(1, params).push_bars(bar_array(bars))
    assert np.array_equal(events["id"], np.arange(1, len(events) + 1))
    crash = events[events["known"] == 1500]
    kinds = collections.Counter(EventCode(kind).name for kind in crash["kind"].tolist())
    assert min(kinds[kind] for kind in ("FVG_INVERTED", "OB_BROKEN", "BREAKER")) > 60
    assert 500 < len(crash) < 2273  # the bound that events.pxd counts up to


# ---------------------------------------------------------------- the door


def test_older_and_impossible_bars_are_refused_and_change_nothing() -> None:
    bars = bar_array(random_bars(3, 100))
    detector, untouched = Detector(1), Detector(1)
    detector.push_bars(bars[:50])
    untouched.push_bars(bars[:50])
    impossible = bars[50:60].copy()
    impossible["high"][5] = impossible["low"][5] - 1
    wrong = bars[50:60].copy()
    wrong["timeframe_min"][3] = 5
    beyond = [bars[50:60].copy() for _ in range(5)]
    for refused, (name, value) in zip(
        beyond,
        (("high", 2**40 + 1), ("low", -(2**40) - 1), ("volume", 2**40 + 1), ("delta", -(2**40) - 1),
         ("start_ns", 2**62 + 1)),
        strict=True,
    ):  # fmt: skip
        refused[name][-1] = value
    for refused, reason in (
        (bars[49:60], "bar 0 starts at or before"), (impossible, "bar 5"), (wrong, "bar 3"),
        *((refused, "bar 9 is impossible") for refused in beyond),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=reason):
            detector.push_bars(refused)
    assert detector.bar_count == 50
    assert detector.push_bars(bars[50:]).tobytes() == untouched.push_bars(bars[50:]).tobytes()


def test_prices_at_the_limits_are_taken_and_shift_as_all_others() -> None:
    bars = bar_array(random_bars(3, 300, step=4))
    expected = Detector(1).push_bars(bars)
    for constant in (2**40 - 1000, 1000 - 2**40):
        moved = bars.copy()
        for name in ("open", "high", "low", "close"):
            moved[name] += constant
        detector = Detector(1)
        got = detector.push_bars(moved)
        assert canonical(got, shift=constant) == canonical(expected)
        before = detector.state()
        for spread in (2**40 + 1, -(2**40) - 1):
            with pytest.raises(ValueError, match="nothing was shifted"):
                detector.roll_shift(spread)
        assert detector.state() == before


def test_bar_by_bar_equals_all_at_once() -> None:
    bars: list[ref_smc.B] = random_bars(11, 200)
    array = bar_array(bars)
    single = Detector(1, bar_events=True)
    names = ("start_ns", "open", "high", "low", "close", "volume", "delta", "flags")
    parts = [single.push_bar(*(int(bar[name]) for name in names)) for bar in array]
    assert np.concatenate(parts).tobytes() == Detector(1, bar_events=True).push_bars(array).tobytes()


def test_the_bar_event_comes_first_and_says_what_the_bar_was() -> None:
    bars = bar_array(random_bars(4, 60))
    detector = Detector(15, bar_events=True, contract_id=9)
    bars["timeframe_min"] = 15
    for t, bar in enumerate(bars):
        first = detector.push_bars(bar.reshape(1))[0]
        assert EventCode(first["kind"]) is EventCode.BAR
        assert (int(first["known"]), int(first["origin"]), int(first["contract_id"])) == (t, t, 9)
        assert int(first["known_ns"]) == int(bar["start_ns"]) + 15 * MINUTE
        assert [int(first[name]) for name in ("top", "bottom", "level", "volume", "delta")] == [
            int(bar[name]) for name in ("high", "low", "close", "volume", "delta")
        ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("L", 0), ("R", 61), ("L", 2.0), ("R", True), ("atr_n", 0), ("break_mode", "body"), ("break_buffer", -1),
        ("fvg_min_ticks", 0), ("fvg_min_atr", float("nan")), ("fvg_need_body", 1), ("ob_pick", "first"),
        ("ob_search", -1), ("ob_zone", "full"), ("ob_min_disp_atr", -0.1), ("ob_max_height_atr", float("inf")),
        ("zone_break", ""), ("max_age", 1001), ("max_zones", 65),
    ],
)  # fmt: skip
def test_parameters_are_checked_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} "):
        Params(**{name: value})  # type: ignore[arg-type]
