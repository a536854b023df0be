"""What triggers a setup, what it is worth, and when it is judged: smc.md section 11, each rule by hand.

The scene is a 15m demand zone 100 000-100 050 that price enters at minute 2. Without a trigger it has 64.25 points
(28 of the zone, 21.25 of the trends, 5 of one neighbour, 10 of the location); the trigger adds 7.5, 10.5 or 15.
"""

from dataclasses import replace

import pytest

from event_builder import WARMUP, mirrored, view_at
from tbot_ext.records import NO_PRICE, EventCode, Flag
from trader_scene import ONLY_15M, Scene

SHIFT, SWEEP, BOTH = 71.75, 74.75, 79.25


def scene_at(least: float = 60.0, **changes: object) -> Scene:
    scene = Scene(replace(ONLY_15M, min_score=least, **changes))
    scene.enter()
    return scene


def bar(scene: Scene, closes: int) -> None:
    scene.make.bar(closes, 100_062, 100_052, 100_060)


def kinds(signals: list) -> list[tuple[float, list[str]]]:
    return [(signal.score, [trigger.kind for trigger in signal.why.triggers]) for signal in signals]


@pytest.mark.parametrize(
    ("bottom", "fires"), [(100_051, False), (100_050, True), (100_020, True), (100_000, True), (99_999, False)]
)
def test_a_sweep_counts_when_its_excursion_ends_inside_the_zone(bottom: int, fires: bool) -> None:
    scene = scene_at()
    bar(scene, 3)
    scene.make.sweep(3, +1, bottom, 100_070)
    assert kinds(scene.run()) == ([(SWEEP, ["sweep"])] if fires else [])
    assert scene.died()["triggers" if fires else "triggers_idle"] == 1


def test_the_bar_that_enters_may_sweep() -> None:
    scene = scene_at()
    pool = scene.make.pool(0, -1, 100_052, 1, n=3)
    sweep = scene.make.sweep(2, +1, 100_050, 100_052, parent_id=pool)
    (signal,) = scene.run(2)
    assert kinds([signal]) == [(SWEEP, ["sweep"])]
    assert {pool, sweep, scene.test_bar} <= set(signal.event_ids)
    assert "+ 1m sweep of equal lows x3 25013.00; 1h" in signal.reason


@pytest.mark.parametrize("what", [{"side": -1}, {"tf": 5}])
def test_a_sweep_of_the_other_side_or_of_another_timeframe_is_none(what: dict[str, int]) -> None:
    scene = scene_at()
    bar(scene, 3)
    scene.make.sweep(3, what.get("side", 1), 100_020, 100_030, what.get("tf", 1))
    assert scene.run() == []


def test_a_run_is_no_trigger() -> None:
    scene = scene_at()
    bar(scene, 3)
    scene.make.add(EventCode.RUN, 3, side=-1, bottom=100_020, top=100_030, level=100_030)
    assert scene.run() == []


@pytest.mark.parametrize("order", ["sweep first", "choch first"])
@pytest.mark.parametrize("apart", [0, 1, 11])
def test_sweep_and_choch_make_one_whole_trigger(order: str, apart: int) -> None:
    """Least score 76: neither is enough alone. On one bar, and up to the end of the window."""
    scene = scene_at(76.0)

    def sweep(closes: int) -> None:
        scene.make.sweep(closes, +1, 100_020, 100_052)

    def choch(closes: int) -> None:
        scene.make.choch(closes, +1)

    first, second = (sweep, choch) if order == "sweep first" else (choch, sweep)
    bar(scene, 3)
    first(3)
    for minute in range(4, 4 + apart):
        assert scene.run(minute - 1) == []
        bar(scene, minute)
    second(3 + apart)
    found = scene.run(3 + apart)
    assert kinds(found) == [(BOTH, ["sweep", "choch"] if order == "sweep first" else ["choch", "sweep"])]
    assert scene.died().get("score_too_low", 0) == (apart > 0)


def test_a_sweep_before_the_setup_opened_does_not_count() -> None:
    scene = Scene()
    scene.make.bar(1.5, 100_100, 100_060, 100_080)
    scene.make.sweep(1.5, +1, 100_020, 100_052)
    scene.enter()
    scene.choch()
    assert kinds(scene.run()) == [(SHIFT, ["choch"])]


def test_too_low_a_score_does_not_consume_the_setup() -> None:
    scene = scene_at(74.0)
    scene.choch(3)
    assert scene.run(3) == []
    scene.choch(4)
    assert scene.run(4) == []
    assert scene.trader.open_setups == 1
    scene.make.life(EventCode.OB_REFRESHED, 5, 15, scene.zone, score=90.0)  # 3.5 points more
    scene.choch(5)
    assert kinds(scene.run(5)) == [(75.25, ["choch"])]
    assert scene.died() == {"tests": 1, "triggers": 3, "score_too_low": 2, "signals": 1}


# ---------------------------------------------------------------------------------------------------------------- MSS
def test_an_mss_on_the_bar_of_its_choch_is_the_same_trigger() -> None:
    scene = scene_at()
    choch = scene.choch(3)
    mss = scene.make.mss(3, +1, choch)
    (signal,) = scene.run(3)
    assert kinds([signal]) == [(SHIFT, ["choch", "mss"])]
    assert {choch, mss} <= set(signal.event_ids)
    assert "1m CHoCH up + MSS up;" in signal.reason


def test_an_mss_after_a_choch_that_spoke_is_not_judged_again() -> None:
    """A second zone, entered at minute 4, must not be triggered by it."""
    scene = scene_at()
    other = scene.make.order_block(1, 15, +1, 99_960, 100_040, 80.0)
    choch = scene.choch(3)
    assert len(scene.run(3)) == 1
    scene.make.bar(4, 100_062, 100_035, 100_060)
    scene.make.mss(4, +1, choch)
    assert scene.run(4) == []
    assert scene.trader.open_setups == 1
    scene.choch(5)
    (signal,) = scene.run(5)
    assert signal.zone_id == other
    assert [trigger.kind for trigger in signal.why.triggers] == ["choch"]


def test_an_mss_after_a_silent_choch_is_judged() -> None:
    scene = scene_at()
    choch = scene.choch(3)
    assert scene.run(3, ask=NO_PRICE) == []
    bar(scene, 4)
    scene.make.mss(4, +1, choch)
    assert kinds(scene.run(4)) == [(SHIFT, ["choch", "mss"])]


def test_an_mss_may_trigger_a_setup_that_opened_after_its_choch() -> None:
    scene = Scene()
    choch = scene.choch(1.5)
    assert scene.run(1.5) == []
    scene.enter(2)
    scene.make.mss(2, +1, choch)
    (signal,) = scene.run(2)
    assert kinds([signal]) == [(SHIFT, ["mss"])]
    assert choch in signal.event_ids  # the MSS rests on it


# ------------------------------------------------------------------------------------------------- clusters, memory
def test_of_several_pools_taken_by_one_bar_the_furthest_is_named() -> None:
    scene = scene_at()
    bar(scene, 3)
    for place, level in enumerate((100_051, 100_047, 100_043), start=1):
        last = scene.make.sweep(3, +1, 100_040, level, n=place)
    (signal,) = scene.run(3)
    (trigger,) = signal.why.triggers
    assert (trigger.event_id, trigger.level) == (last, 100_043)


@pytest.mark.parametrize(("flags", "counter"), [(WARMUP, "warmup"), (int(Flag.SUSPECT), "unclean_bar")])
def test_a_sweep_of_warm_up_or_of_an_unclean_bar_is_forgotten(flags: int, counter: str) -> None:
    scene = scene_at()
    scene.make.bar(3, 100_062, 100_052, 100_060, flags=flags)
    scene.make.sweep(3, +1, 100_020, 100_052, flags=flags)
    assert scene.run(3) == []
    assert scene.died()[counter] == 1
    scene.choch(4)
    assert kinds(scene.run(4)) == [(SHIFT, ["choch"])]


def test_a_sweep_that_only_the_moment_forbade_is_remembered() -> None:
    scene = scene_at()
    bar(scene, 3)
    scene.make.sweep(3, +1, 100_020, 100_052)
    assert scene.run(3, live=False) == []
    scene.choch(4)
    assert kinds(scene.run(4)) == [(BOTH, ["sweep", "choch"])]


def test_one_signal_a_close_the_best_of_both_sides() -> None:
    """A supply zone entered by the same bar, and a bearish sweep in it: worth less, and it has had its trigger."""
    scene = scene_at()
    scene.make.order_block(1, 15, -1, 100_085, 100_120, 99.0)
    scene.enter(3, low=100_052)
    scene.make.sweep(3, -1, 100_070, 100_090)
    scene.make.choch(3, +1)
    assert kinds(scene.run(3)) == [(SHIFT, ["choch"])]
    easy = Scene(replace(ONLY_15M, min_score=0.0))
    easy.make.order_block(1, 15, -1, 100_085, 100_120, 99.0)
    easy.enter(3)
    easy.make.sweep(3, -1, 100_070, 100_090)
    easy.make.choch(3, +1)
    assert kinds(easy.run(3)) == [(SHIFT, ["choch"])]
    assert easy.died()["outscored"] == 1
    assert easy.trader.open_setups == 0


def test_the_mirror_image_of_a_sweep() -> None:
    up, down = scene_at(), scene_at()
    for scene in (up, down):
        bar(scene, 3)
        scene.make.sweep(3, +1, 100_020, 100_052)
        scene.make.choch(3, +1)
    (long,) = up.run()
    (short,) = down.trader.on_events(mirrored(down.make.take()), view_at(3, -100_060, -100_058))
    assert (short.side, short.stop, short.target, short.score) == (-1, -long.stop, -long.target, long.score)
    assert short.event_ids == long.event_ids
    assert [e.level for e in short.why.triggers] == [-e.level for e in long.why.triggers]


# -------------------------------------------------------------------------------------------- what else is counted
def test_levels_and_pools_near_the_zone_are_confluence() -> None:
    scene = scene_at()
    pool = scene.make.pool(1, -1, 99_990, 5)  # 10 ticks below the zone
    level = scene.make.level(1, +1, 100_060, 15)
    scene.make.pool(1, -1, 99_989, 5)  # 11 below
    scene.make.pool(1, +1, 100_020, 5)  # above highs: serves a short
    scene.make.level(1, -1, 100_020, 5)
    scene.make.level(1, +1, 100_020, 1)  # 1m never counts
    scene.choch()
    (signal,) = scene.run()
    assert signal.parts["confluence"] == 1.0  # with the gap of the scene: three
    assert {evidence.event_id for evidence in signal.why.neighbours} == {scene.near, pool, level}
    assert {scene.near, pool, level} <= set(signal.event_ids)
    assert signal.why.near_ticks == 10


def test_breakers_and_mitigation_blocks_are_traded() -> None:
    for code, kind in ((EventCode.BREAKER, "breaker"), (EventCode.MITIGATION_BLOCK, "mitigation")):
        scene = Scene()
        zone = scene.make.add(code, 0, 15, side=1, bottom=100_010, top=100_052, score=95.0)
        scene.enter()
        scene.choch()
        (signal,) = scene.run()
        assert (signal.zone_id, signal.why.zone.kind) == (zone, kind)


def test_a_duplicate_breaker_is_neither_traded_nor_counted() -> None:
    scene = Scene()
    scene.make.add(EventCode.BREAKER, 0, 15, int(Flag.DUPLICATE), side=1, bottom=100_000, top=100_050, score=95.0)
    scene.enter()
    scene.choch()
    (signal,) = scene.run()
    assert (signal.zone_id, signal.score) == (scene.zone, SHIFT)


@pytest.mark.parametrize("kind", ["pool", "level"])
def test_a_target_that_was_taken_is_none(kind: str) -> None:
    scene = scene_at()
    scene.make.life(EventCode.LEVEL_DEAD, 1, 30, scene.wall)
    if kind == "pool":
        scene.make.life(EventCode.RUN, 1, 5, scene.pool)
    scene.choch()
    (signal,) = scene.run()
    # 100 160 while the pool is there; else two risks of 64 ticks from 100 060
    assert signal.target == (100_188 if kind == "pool" else 100_160)
    assert (signal.why.target is None) == (kind == "pool")


def test_a_resistance_that_broke_is_a_support_and_no_target() -> None:
    scene = scene_at()
    scene.make.life(EventCode.LEVEL_BROKEN, 1, 30, scene.wall, side=1)
    scene.choch()
    (signal,) = scene.run()
    assert signal.target == 100_160


def test_the_bias_names_a_zone_of_each_timeframe_and_changes_no_score() -> None:
    scene = scene_at()
    hour = scene.make.order_block(1, 60, -1, 100_200, 100_300, 50.0)
    scene.choch()
    (signal,) = scene.run()
    assert signal.why.bias[0].event_id == hour
    assert [zone.timeframe_min for zone in signal.why.bias] == [60, 30, 15, 5]
    assert signal.score == SHIFT
    assert hour not in signal.event_ids
