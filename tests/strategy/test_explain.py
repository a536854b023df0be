"""The story of a signal: every number in it is one of the scene's, every word a trader's."""

from dataclasses import replace

import numpy as np
import pytest

from event_builder import mirrored, view_at
from random_stream import RandomStream
from tbot.domain.messages import Signal
from tbot.strategy.explain import story
from tbot.strategy.trader import ContractTrader, StrategySettings
from tbot.strategy.words import place_name
from tbot.transport.wire import decode_record, encode_record
from tbot_ext.records import EventCode, Source
from trader_scene import MNQ, ONLY_15M, Scene


def full_scene() -> Scene:
    """Everything a story can hold: a sweep, a CHoCH with its MSS, two neighbours, a leg, a named target."""
    scene = Scene()
    make = scene.make
    make.life(EventCode.LEVEL_DEAD, 1, 30, scene.wall)
    make.level(1, -1, 100_160, 60, source=int(Source.DAY_HIGH))
    make.life(EventCode.POOL_EXPIRED, 1, 5, scene.pool)
    make.level(1, +1, 99_995, 15, source=int(Source.LONDON_LOW))
    lows = make.pool(1, -1, 100_052, 1, n=3)
    scene.enter()
    make.sweep(2, +1, 100_020, 100_052, parent_id=lows, parts=(0.75, 0.5, 0.25, 1, 0))
    choch = make.add(EventCode.CHOCH, 2, side=1, level=100_080)
    make.mss(2, +1, choch)
    return scene


def stamp(ns: int) -> str:
    return f"t{ns // 1_000_000_000}"


STORY = """\
MNQ long, score 84.25 of 100, decided t1795185120
in short: demand 25000.00-25012.50 (15m order block, first test) + 1m sweep of equal lows x3 25013.00 + CHoCH up + \
MSS up; 1h 30m 15m trends up
zone: demand 25000.00-25012.50 (15m order block), known since t1795185000, worth 80 of 100 (displacement 0.90, \
volume 0.50, gap 1.00, sweep 0.00, structure 0.50)
  first test: the 1m bar that closed at t1795185120 traded inside it
trigger: 1m sweep of equal lows x3 25013.00 + CHoCH up + MSS up; a sweep and a shift of structure: full worth
  sweep at t1795185120: the wick went to 25005.00, inside the zone, and price closed back (strength 0.75, wick 0.50, \
volume 0.25, depth 1.00)
  CHoCH at t1795185120: broke 25020.00
  MSS at t1795185120: confirmed by a strong body or a fair value gap
trends: 1h up, 30m up, 15m up, 5m down; 85% of the weight is with the trade (1h 35%, 30m 25%, 15m 25%, 5m 15%)
  zones at or nearest to price, not part of the score: supply 25039.25-25042.50 (30m order block); demand \
25000.00-25012.50 (15m order block); demand 25013.75-25017.50 (5m fair value gap) around price
neighbours: 2 of its side within 10 ticks of the zone, worth 0.67
  London low 24998.75 (15m level)
  demand 25013.75-25017.50 (5m fair value gap)
location: 25015.00 lies in the cheaper half of the last 1h leg 24975.00-25100.00, worth 1
entry: buy at market, the ask was 25015.00
  stop 24999.00, 64 ticks or $32.00 a contract, below the zone 25000.00-25012.50
  target 25040.00, 100 ticks or $50.00 a contract, 1.56 times the risk: previous day's high 25040.00 (1h level)
  costs: one contract pays $1.22 in and out, the target brings 41.0 times that (at least 4)
score: zone 28.00 of 35 + trends 21.25 of 25 + trigger 15.00 of 15 + neighbours 10.00 of 15 + location 10.00 of 10 = 84.25"""  # noqa: E501


def test_of_many_neighbours_those_of_the_longest_timeframes_are_told() -> None:
    scene = full_scene()
    (signal,) = scene.trader.on_events(scene.make.take(), view_at(2, 100_058, 100_060))
    assert signal.why is not None
    one = signal.why.neighbours[0]
    many = tuple(replace(one, timeframe_min=minutes, bottom=one.bottom + minutes) for minutes in (5, 60, 15) * 4)
    told = story(replace(signal, why=replace(signal.why, neighbours=many)), MNQ, stamp)
    start = next(number for number, line in enumerate(told) if line.startswith("neighbours: 12 of its side"))
    lines = told[start + 1 : start + 10]
    assert [line.split("(")[-1].split()[0] for line in lines[:-1]] == ["1h"] * 4 + ["15m"] * 4
    assert lines[-1] == "  and 4 more"


def test_a_refreshed_block_is_told_with_its_new_parts() -> None:
    scene = full_scene()
    parts = (0.25, 0.5, 0.75, 1.0, 0.5)
    scene.make.add(EventCode.OB_REFRESHED, 1.5, 15, parent_id=scene.zone, side=1, score=90.0, parts=parts)
    events = scene.make.take()
    events["parts"][events["kind"] == EventCode.OB] = (0.9, 0.5, 1, 0, 0.5)
    events = events[np.argsort(events["known_ns"], kind="stable")]
    (signal,) = scene.trader.on_events(events, view_at(2, 100_058, 100_060))
    expected = "worth 90 of 100 (displacement 0.25, volume 0.50, gap 0.75, sweep 1.00, structure 0.50)"
    assert any(expected in line for line in story(signal, MNQ, stamp))


def test_the_points_that_are_told_add_up() -> None:
    """Shares with many digits: told as `35 x 0.95`, they would not."""
    scene = full_scene()
    (signal,) = scene.trader.on_events(scene.make.take(), view_at(2, 100_058, 100_060))
    signal = replace(signal, parts=signal.parts | {"zone": 0.9521828}, score=signal.score + 35 * 0.1521828)
    (line,) = [line for line in story(signal, MNQ, stamp) if line.startswith("score: ")]
    points = [float(text.split(" of ")[0].split()[-1]) for text in line.split(" = ")[0].split(" + ")]
    assert sum(points) == pytest.approx(float(line.split(" = ")[1]), abs=1e-9)
    assert len(points) == 5


def test_the_whole_story() -> None:
    scene = full_scene()
    events = scene.make.take()
    events["parts"][events["kind"] == EventCode.OB] = (0.9, 0.5, 1, 0, 0.5)
    (signal,) = scene.trader.on_events(events, view_at(2, 100_058, 100_060))
    told = story(signal, MNQ, stamp)
    assert "\n".join(told[:-1]) == STORY
    events_text = ", ".join(map(str, signal.event_ids))
    assert told[-1] == f"parameters {ONLY_15M.digest(MNQ)}; events {events_text}"


def test_the_mirrored_story() -> None:
    scene = full_scene()
    (signal,) = scene.trader.on_events(mirrored(scene.make.take()), view_at(2, -100_060, -100_058))
    text = "\n".join(story(signal, MNQ, stamp))
    for words in (
        "MNQ short", "sweep of equal highs x3", "CHoCH down", "1h down", "London high", "previous day's low",
        "sell at market, the bid was", "above the zone", "dearer half",
    ):  # fmt: skip
        assert words in text, words


def test_a_story_of_little() -> None:
    """No leg, no neighbour, no trend, no target: said so."""
    scene = Scene(replace(ONLY_15M, min_score=0.0))
    scene.make.take()
    scene.make.quiet_bars(tf=15, until=0, count=14, high=100_240, low=100_200)
    scene.make.order_block(0, 15, +1, 100_000, 100_050, 80.0)
    scene.enter()
    scene.make.choch(2, +1)
    (signal,) = scene.run(2)
    text = "\n".join(story(signal, MNQ, stamp))
    for words in (
        "no higher trend up", "1h none yet", "nothing of its side within 10 ticks", "there is no 1h leg to halve",
        "a multiple of the risk", "a shift of structure alone",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize(
    ("source", "kind", "side", "n", "name"),
    [
        (Source.SWING, "pool", +1, 1, "swing high"),
        (Source.SWING, "pool", -1, 2, "equal lows x2"),
        (Source.SWING, "pool", +1, 0, "highs"),
        (Source.SWING, "level", +1, 4, "support"),
        (Source.SWING, "level", -1, 4, "resistance"),
        (Source.ROUND, "level", -1, 2, "round number"),
        (Source.DAY_HIGH, "pool", +1, 2, "previous day's high"),
        (Source.WEEK_CLOSE, "level", +1, 2, "previous week's close"),
        (Source.DAY_MID, "level", +1, 2, "previous day's middle"),
        (Source.ASIA_LOW, "pool", -1, 2, "Asia low"),
        (Source.NEW_YORK_HIGH, "pool", 1, 2, "New York high"),
        (Source.OPENING_15_HIGH, "level", -1, 2, "15-minute opening range high"),
        (Source.OPENING_30_LOW, "level", 1, 2, "30-minute opening range low"),
        (60_000, "level", 1, 2, "support"),  # of a later version
    ],
)
def test_sources_in_words(source: int, kind: str, side: int, n: int, name: str) -> None:
    assert place_name(int(source), kind, side, n) == name


def test_every_source_has_words_of_its_own() -> None:
    names = {place_name(int(source), "level", 1, 2) for source in Source}
    assert len(names) == len(Source)


@pytest.mark.parametrize("seed", range(3))
def test_signals_of_random_streams_tell_their_story_after_the_journal(seed: int) -> None:
    from tbot.domain.messages import SignalIn

    trader = ContractTrader(MNQ, StrategySettings(min_score=0.0, trigger_bars=8))
    found: list[Signal] = []
    for events, view in RandomStream(seed).batches(minutes=300, warm=150):
        found += trader.on_events(events, view)
    assert found
    for signal in found:
        kept = decode_record(*encode_record(SignalIn(1, signal, None, 0))).signal
        assert kept == signal
        assert story(kept, MNQ, stamp) == story(signal, MNQ, stamp)


def test_a_signal_without_reasons_still_has_its_line() -> None:
    (signal,) = full_scene().run(2)
    told = story(replace(signal, why=None, parts={}), MNQ, stamp)
    assert "this signal keeps no reasons beyond that line" in told
    assert "score: 84.25" in told
