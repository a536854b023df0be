"""The trader on hand-built events: every number of the expected signals is worked out by hand in the comments."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from event_builder import START_NS, WARMUP, EventBuilder, mirrored, view_at
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Quote
from tbot.strategy.trader import ContractTrader
from tbot_ext.records import NO_PRICE, EventCode, Flag
from trader_scene import DEMAND, MNQ, ONLY_15M, Scene


def test_the_start_of_the_scene_is_a_friday_in_new_york() -> None:
    assert datetime.fromtimestamp(START_NS / 1e9, UTC) == datetime(2026, 11, 20, 14, 30, tzinfo=UTC)


def test_an_order_block_and_a_choch_make_the_signal_worked_out_by_hand() -> None:
    scene = Scene()
    scene.enter()
    trigger = scene.choch()
    (signal,) = scene.run()
    # stop: 100 000 - max(2, 0.1 * 40) = 99 996; risk 100 060 - 99 996 = 64; least reward 1.5 * 64 = 96
    # above: 90 (a pool, too near), 98 (the resistance), 100: the nearest that is far enough is 100 158
    assert (signal.side, signal.stop, signal.target) == (1, 99_996, 100_158)
    # 35 * 0.80 = 28; 25 * (0.35 + 0.25 + 0.25) = 21.25; 15 * 0.5 = 7.5; 15 * 1/3 = 5; 10 * 1 (100 060 < 100 150)
    assert signal.score == 71.75
    assert signal.parts == pytest.approx(
        {"zone": 0.8, "mtf": 0.85, "trigger": 0.5, "confluence": 1 / 3, "location": 1.0}, abs=1e-12
    )
    decided = START_NS + 3 * 60_000_000_000
    assert signal.decided_ns == decided
    assert signal.quote == Quote(100_058, 100_060, decided + 400_000_000, 77, 0, 3)
    assert (signal.ring_seq, signal.contract) == (80, "MNQ")
    assert (signal.zone_id, signal.zone_timeframe_min) == (scene.zone, 15)
    assert signal.reason == (
        "demand 25000.00-25012.50 (15m order block, first test) + 1m CHoCH up; 1h 30m 15m trends up"
    )
    used = {scene.zone, scene.near, scene.wall, scene.test_bar, trigger, *scene.trends, *scene.leg}
    assert signal.event_ids == tuple(sorted(used))
    assert signal.signal_id == f"MNQ-{base36(decided)}-{scene.zone}-1"
    assert signal.params_hash == ONLY_15M.digest(MNQ)
    assert scene.died() == {"tests": 1, "triggers": 1, "signals": 1}


def base36(number: int) -> str:
    """The slow way; int() is the inverse."""
    text = ""
    while number:
        text = "0123456789abcdefghijklmnopqrstuvwxyz"[number % 36] + text
        number //= 36
    assert int(text, 36) > 0
    return text


def test_the_mirror_image_gives_the_mirrored_signal() -> None:
    up, down = Scene(), Scene()
    for scene in (up, down):
        scene.enter()
        scene.choch()
    (long,) = up.run()
    turned = mirrored(down.make.take())
    (short,) = down.trader.on_events(turned, view_at(3, -100_060, -100_058))
    assert (short.side, short.stop, short.target) == (-1, -99_996, -100_158)
    assert (short.score, short.parts, short.event_ids) == (long.score, long.parts, long.event_ids)
    assert short.reason.startswith("supply ")
    assert short.reason.endswith("1m CHoCH down; 1h 30m 15m trends down")


@pytest.mark.parametrize(
    ("side", "atr", "stop"),
    [
        (+1, 45, 99_995),  # 100 000 - 4.5 rounds away from the entry
        (+1, 12, 99_998),  # 0.1 * 12 = 1.2 is less than 2 ticks
        (-1, 45, -99_995),
        (-1, 12, -99_998),
    ],
)
def test_the_stop_lies_beyond_the_distal_edge_and_rounds_away(side: int, atr: int, stop: int) -> None:
    make = EventBuilder()
    trader = ContractTrader(MNQ, replace(ONLY_15M, min_score=0.0))
    make.quiet_bars(tf=15, until=0, count=14, high=100_200 + atr, low=100_200)
    make.order_block(0, 15, +1, *DEMAND, 80.0)
    make.bar(1, 100_070, 100_050, 100_060)
    make.choch(1, +1)
    events = make.take() if side > 0 else mirrored(make.take())
    view = view_at(1, 100_060, 100_060) if side > 0 else view_at(1, -100_060, -100_060)
    (signal,) = trader.on_events(events, view)
    assert signal.stop == stop
    # No opposing level: two risks.
    assert signal.target == 100_060 * side + 2 * (100_060 * side - stop)
    assert min(signal.event_ids) >= 1000  # "no level" is no event


def test_the_target_rounds_towards_the_entry() -> None:
    scene = Scene(replace(ONLY_15M, min_score=0.0, default_rr=2.3))
    scene.make.take()
    make, scene.trader = scene.make, ContractTrader(MNQ, replace(ONLY_15M, min_score=0.0, default_rr=2.3))
    make.quiet_bars(tf=15, until=0, count=14, high=100_240, low=100_200)
    make.order_block(0, 15, +1, *DEMAND, 80.0)
    make.bar(1, 100_070, 100_050, 100_060)
    make.choch(1, +1)
    (signal,) = scene.run(closes=1)
    assert signal.target == 100_060 + 147  # 2.3 * 64 = 147.2


@pytest.mark.parametrize(("distance", "target"), [(96, 100_156), (95, 100_160)])
def test_a_level_exactly_one_and_a_half_risks_away_is_far_enough(distance: int, target: int) -> None:
    scene = Scene()
    scene.make.life(EventCode.LEVEL_DEAD, 1, 30, scene.wall)
    scene.make.pool(1, +1, 100_060 + distance, 30)
    scene.enter()
    scene.choch()
    (signal,) = scene.run()
    assert signal.target == target


@pytest.mark.parametrize(("closes", "fires"), [(2, True), (3, True), (14, True), (15, False)])
def test_the_trigger_counts_for_twelve_bars_after_the_test(closes: int, fires: bool) -> None:
    scene = Scene()
    scene.enter(2)
    for minute in range(3, closes):
        scene.make.bar(minute, 100_062, 100_052, 100_060)
    if closes == 2:
        scene.make.choch(2, +1)  # the bar that enters may trigger: its close came after its low
    else:
        scene.choch(closes)
    assert bool(scene.run(closes)) == fires
    if not fires:
        assert scene.died() == {"tests": 1, "died_no_trigger": 1, "triggers_idle": 1}


def test_a_trigger_of_the_other_side_or_of_another_timeframe_is_none() -> None:
    scene = Scene()
    scene.enter()
    scene.choch(side=-1)
    scene.make.choch(3, +1, tf=5)
    scene.make.bos(3, +1)
    assert scene.run() == []
    assert scene.died() == {"tests": 1, "triggers_idle": 1}


def test_touching_the_edge_enters_and_one_tick_short_does_not() -> None:
    scene = Scene()
    scene.enter(low=100_051)
    scene.make.choch(2, +1)
    assert scene.run(2) == []
    assert scene.died() == {"triggers_idle": 1}


def test_a_zone_is_not_tested_by_the_bar_at_whose_close_it_was_born() -> None:
    scene = Scene()
    fresh = scene.make.order_block(2, 15, +1, 99_900, 99_950, 99.0)
    scene.make.bar(2, 100_090, 99_940, 100_055)  # covers minute 1 to 2: before the birth
    assert scene.run(2) == []
    scene.make.bar(3, 100_000, 99_945, 99_990)
    scene.make.choch(3, +1)
    (signal,) = scene.run(3, bid=99_990, ask=99_992)
    assert signal.zone_id == fresh


def test_only_the_first_test_counts_unless_configured() -> None:
    for max_tests, fires in ((1, False), (2, True)):
        scene = Scene(replace(ONLY_15M, max_tests=max_tests))
        scene.enter(2)
        for minute in range(3, 16):
            scene.make.bar(minute, 100_090, 100_055, 100_060)  # out of the zone, and past the 12 bars
        scene.enter(16)
        scene.choch(17)
        signals = scene.run(17)
        assert bool(signals) == fires
        if fires:
            assert signals[0].signal_id.endswith(f"-{scene.zone}-2")
            assert "(15m order block, second test)" in signals[0].reason


def test_without_leaving_the_zone_there_is_no_second_test() -> None:
    scene = Scene(replace(ONLY_15M, max_tests=5))
    for minute in range(2, 18):
        scene.enter(minute)
    assert scene.run(17) == []
    assert scene.died() == {"tests": 1, "died_no_trigger": 1}


def test_one_signal_per_zone_and_test() -> None:
    scene = Scene()
    scene.enter()
    scene.choch(3)
    assert len(scene.run(3)) == 1
    scene.choch(4)
    assert scene.run(4) == []
    assert scene.trader.open_setups == 0


def test_a_refused_setup_may_be_triggered_again() -> None:
    scene = Scene()
    scene.enter()
    scene.choch(3)
    assert scene.run(3, ask=NO_PRICE) == []
    scene.choch(4)
    assert len(scene.run(4)) == 1


@pytest.mark.parametrize("end", [EventCode.OB_BROKEN, EventCode.OB_EXPIRED])
def test_a_setup_dies_with_its_zone(end: EventCode) -> None:
    scene = Scene()
    scene.enter()
    scene.make.life(end, 3, 15, scene.zone)
    scene.choch()
    assert scene.run() == []
    assert scene.died() == {"tests": 1, "died_zone": 1, "triggers_idle": 1}


def test_a_test_seen_only_by_the_zones_own_timeframe_is_spent() -> None:
    scene = Scene()
    scene.make.life(EventCode.OB_TESTED, 1, 15, scene.zone, n=1)
    scene.enter()
    scene.choch()
    assert scene.run() == []
    assert scene.died() == {"triggers_idle": 1}


def test_a_bar_wholly_beyond_the_zone_spends_the_test() -> None:
    scene = Scene()
    scene.make.bar(2, 99_990, 99_980, 99_985)
    scene.enter(3, low=100_010)
    scene.choch(4)
    assert scene.run(4) == []
    assert scene.died() == {"triggers_idle": 1}


def test_a_refreshed_block_scores_with_its_new_score() -> None:
    scene = Scene()
    refreshed = scene.make.life(EventCode.OB_REFRESHED, 1, 15, scene.zone, score=90.0)
    scene.enter()
    scene.choch()
    (signal,) = scene.run()
    assert signal.score == 71.75 + 3.5
    assert {scene.zone, refreshed} <= set(signal.event_ids)


# ------------------------------------------------------------------------------------------------------------- gaps
def gap_scene(*, inverted: bool) -> tuple[EventBuilder, ContractTrader, int, list[int]]:
    make = EventBuilder()
    trader = ContractTrader(MNQ, replace(ONLY_15M, min_score=0.0))
    make.quiet_bars(tf=15, until=0, count=14, high=100_240, low=100_200)
    gap = make.gap(0, 15, +1, *DEMAND, 0.6)
    life = []
    if inverted:
        for kind in (EventCode.FVG_TOUCHED, EventCode.FVG_HALF, EventCode.FVG_FILLED):
            make.life(kind, 0, 15, gap)
        life.append(make.life(EventCode.FVG_INVERTED, 0, 15, gap, side=-1))
    return make, trader, gap, life


def test_an_open_gap_is_a_zone_with_its_score_times_hundred() -> None:
    make, trader, gap, _ = gap_scene(inverted=False)
    make.bar(1, 100_070, 100_030, 100_060)
    make.choch(1, +1)
    (signal,) = trader.on_events(make.take(), view_at(1, 100_058, 100_060))
    assert (signal.zone_id, signal.parts["zone"]) == (gap, 0.6)
    assert signal.score == 35 * 0.6 + 7.5
    assert "(15m fair value gap, first test)" in signal.reason
    assert "no higher trend up" in signal.reason


def test_a_filled_gap_is_no_zone_until_it_inverts() -> None:
    make, trader, gap, _ = gap_scene(inverted=False)
    make.life(EventCode.FVG_FILLED, 0, 15, gap)
    make.bar(1, 100_070, 100_030, 100_060)
    make.choch(1, +1)
    assert trader.on_events(make.take(), view_at(1, 100_058, 100_060)) == []


def test_an_inverted_gap_is_sold_at_its_first_retest_from_below() -> None:
    make, trader, gap, life = gap_scene(inverted=True)
    make.bar(1, 99_999, 99_950, 99_990)  # one tick below the zone
    make.bar(2, 100_005, 99_980, 99_992)
    make.choch(2, -1)
    (signal,) = trader.on_events(make.take(), view_at(2, 99_992, 99_994))
    # stop: 100 050 + 4; risk from the bid: 62; no level below: two risks
    assert (signal.side, signal.stop, signal.target) == (-1, 100_054, 99_992 - 124)
    assert signal.zone_id == gap
    assert {gap, *life} <= set(signal.event_ids)
    assert "supply 25000.00-25012.50 (15m inverted fair value gap, first test)" in signal.reason


def test_a_dead_inverted_gap_is_gone() -> None:
    make, trader, gap, _ = gap_scene(inverted=True)
    make.life(EventCode.FVG_DEAD, 0, 15, gap)
    make.bar(2, 100_005, 99_980, 99_992)
    make.choch(2, -1)
    assert trader.on_events(make.take(), view_at(2, 99_992, 99_994)) == []


# --------------------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("view", "bar_flags", "counter"),
    [
        ({"live": False}, 0, "not_live"),
        ({"bid": NO_PRICE}, 0, "no_quote"),
        ({"ask": NO_PRICE}, 0, "no_quote"),
        ({"bid": 100_061}, 0, "no_quote"),
        ({"now_ns": START_NS + 4 * 60_000_000_000}, 0, "too_late"),
        ({}, Flag.INCOMPLETE, "unclean_bar"),
        ({}, Flag.SUSPECT, "unclean_bar"),
    ],
)
def test_what_the_market_must_be_like(view: dict[str, int], bar_flags: int, counter: str) -> None:
    scene = Scene()
    scene.enter()
    scene.make.bar(3, 100_062, 100_052, 100_060, flags=int(bar_flags))
    scene.make.choch(3, +1)
    assert scene.run(**view) == []
    assert scene.died() == {"tests": 1, "triggers": 1, counter: 1}


@pytest.mark.parametrize("ask", [99_996, 99_992])
def test_price_at_or_beyond_the_stop_is_no_trade(ask: int) -> None:
    scene = Scene()
    scene.enter()
    scene.choch()
    assert scene.run(bid=99_990, ask=ask) == []
    assert scene.died() == {"tests": 1, "triggers": 1, "no_risk": 1}


@pytest.mark.parametrize(("ask", "fires"), [(100_000, False), (100_001, True)])
def test_the_target_must_pay_four_round_trips(ask: int, fires: bool) -> None:
    """Risk 4: two risks are 8 ticks = 400 cents < 4 * 122 = 488. Risk 5: 10 ticks = 500 cents."""
    make = EventBuilder()
    trader = ContractTrader(MNQ, replace(ONLY_15M, min_score=0.0))
    make.quiet_bars(tf=15, until=0, count=14, high=100_240, low=100_200)
    make.order_block(0, 15, +1, *DEMAND, 80.0)
    make.bar(1, 100_070, 100_000, 100_000)
    make.choch(1, +1)
    assert bool(trader.on_events(make.take(), view_at(1, ask - 1, ask))) == fires
    assert trader.counters["target_below_cost"] == (not fires)


@pytest.mark.parametrize(("score", "fires"), [(46.43, True), (46.42, False)])
def test_the_least_score_is_sixty(score: float, fires: bool) -> None:
    """Everything but the zone gives 43.75; 35 % of 46.43 is 16.2505, of 46.42 it is 16.247."""
    scene = Scene(score=score)
    scene.enter()
    scene.choch()
    assert bool(scene.run()) == fires
    assert scene.trader.counters["score_too_low"] == (not fires)


def test_a_score_equal_to_the_least_is_enough() -> None:
    """28 + 21.25 + 7.5 + 5 + 10 with components that have no exact binary form."""
    for least, fires in ((71.75, True), (71.76, False)):
        scene = Scene(replace(ONLY_15M, min_score=least))
        scene.enter()
        scene.choch()
        assert bool(scene.run()) == fires


def test_no_signal_before_the_zones_timeframe_has_an_atr() -> None:
    make = EventBuilder()
    trader = ContractTrader(MNQ, replace(ONLY_15M, min_score=0.0))
    make.quiet_bars(tf=15, until=0, count=13, high=100_240, low=100_200)
    make.order_block(0, 15, +1, *DEMAND, 80.0)
    make.bar(1, 100_070, 100_050, 100_060)
    make.choch(1, +1)
    assert trader.on_events(make.take(), view_at(1, 100_058, 100_060)) == []
    assert trader.counters["no_atr"] == 1


def test_a_contract_that_is_data_only_gives_no_signal() -> None:
    yen = PRODUCTS["6J"]
    scene = Scene()
    scene.trader = ContractTrader(replace(yen, data_only=True), ONLY_15M)
    scene.enter()
    scene.choch()
    assert scene.run() == []
    assert scene.died()["data_only"] == 1


# ---------------------------------------------------------------------------------------------------------- warm-up
def test_a_zone_from_warm_up_may_be_tested_live() -> None:
    scene = Scene()
    events = scene.make.take()
    events["flags"] |= WARMUP
    assert scene.trader.on_events(events, view_at(1, 100_058, 100_060)) == []
    scene.enter()
    scene.choch()
    (signal,) = scene.run()
    assert signal.score == 71.75


@pytest.mark.parametrize("what", ["test", "trigger"])
def test_a_test_or_trigger_in_warm_up_never_makes_a_signal(what: str) -> None:
    scene = Scene()
    scene.make.flags = WARMUP if what == "test" else 0
    scene.enter()
    scene.make.flags = 0
    scene.make.bar(3, 100_062, 100_052, 100_060)
    scene.make.choch(3, +1, flags=WARMUP if what == "trigger" else 0)
    assert scene.run() == []
    expected = {"tests_warmup": 1, "triggers_idle": 1} if what == "test" else {"tests": 1, "triggers": 1, "warmup": 1}
    assert scene.died() == expected


# ---------------------------------------------------------------------------------------------------- several zones
def test_of_two_equally_good_zones_the_longer_timeframe_speaks() -> None:
    """Though it is the younger one: age is asked only when the timeframes are the same."""
    scene = Scene(replace(ONLY_15M, zone_timeframes_min=(15, 30)))
    scene.make.quiet_bars(tf=30, until=0, count=14, high=100_240, low=100_200)
    younger = scene.make.order_block(0, 30, +1, *DEMAND, 80.0)
    scene.enter()
    scene.choch()
    (signal,) = scene.run()
    assert scene.died() == {"tests": 2, "triggers": 1, "signals": 1, "outscored": 1}
    assert (signal.zone_id, signal.zone_timeframe_min) == (younger, 30)
    assert signal.parts["confluence"] == pytest.approx(2 / 3)  # each zone has the other and the gap


def test_of_several_triggered_zones_the_best_speaks_once() -> None:
    scene = Scene()
    better = scene.make.order_block(1, 15, +1, 100_010, 100_052, 95.0)
    scene.enter()
    scene.choch()
    (signal,) = scene.run()
    assert signal.zone_id == better
    assert signal.parts["confluence"] == 1.0  # the first zone overlaps, gap and block of 5m lie 3 and 9 ticks above
    assert scene.died() == {"tests": 2, "triggers": 1, "signals": 1, "outscored": 1}
    scene.choch(4)
    assert scene.run(4) == []  # the outscored one has had its trigger


def test_location_counts_the_dearer_half_as_nothing() -> None:
    for high, location in ((100_220, 1.0), (100_219, 0.0)):  # middle 100 060: at the middle is still cheap
        scene = Scene(replace(ONLY_15M, min_score=0.0))
        scene.make.swing_high(1, high, 60)
        scene.enter()
        scene.choch()
        (signal,) = scene.run()
        assert signal.parts["location"] == location
