"""A GAP record that says "another contract": after it the pipeline is as good as new (I29)."""

import numpy as np
import pytest

from pipeline_tapes import HOUR, MINUTE, SECOND, feed_all, history_record, push_all, random_tape, record, ring_of
from tbot.domain.contracts import PRODUCTS
from tbot.strategy.decider import ContractDecider
from tbot.strategy.settings import StrategySettings
from tbot_ext.pipeline import NEW_CONTRACT, ContractPipeline
from tbot_ext.records import BAR_DTYPE, Kind

ROLL = record(Kind.GAP, HOUR + 300 * MINUTE, aux=NEW_CONTRACT)
FIELDS = ["kind", "timeframe_min", "side", "flags", "origin_ns", "known_ns", "top", "bottom", "score"]


def plain(events: np.ndarray) -> list[tuple]:
    names = [name for name in FIELDS if name in (events.dtype.names or ())]
    return [tuple(event[name].item() for name in names) for event in events]


@pytest.mark.parametrize("await_history", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_I29_after_a_roll_the_pipeline_equals_a_new_one(seed: int, await_history: bool) -> None:
    before = random_tape(seed, 240)
    after = random_tape(seed + 100, 240)
    after["exch_ns"] += 400 * MINUTE
    after["price"] += 900
    old = ContractPipeline(0, await_history=await_history)
    feed_all(old, before)
    counters = old.counters
    feed_all(old, ROLL)
    assert old.resets == 1
    assert [len(old.bars(minutes)) for minutes in (1, 5, 15, 30, 60)] == [0] * 5
    assert [len(old.zones(minutes)) for minutes in (1, 5, 15, 30, 60)] == [0] * 5
    assert not old.live or not await_history
    new = ContractPipeline(0, await_history=await_history)
    if await_history:  # both begin inside a minute
        first, last = record(Kind.HISTORY, HOUR + 401 * MINUTE), len(after)
        after = np.concatenate([after[: last // 2], first, after[last // 2 :]])
    assert plain(feed_all(old, after)) == plain(feed_all(new, after))
    for minutes in (1, 5, 15, 30, 60):
        assert old.bars(minutes).tolist() == new.bars(minutes).tolist()
    assert (old.last_price, old.bid, old.ask, old.last_trade_ns) == (
        new.last_price,
        new.bid,
        new.ask,
        new.last_trade_ns,
    )
    assert old.counters["records"] == counters["records"] + 1 + len(after)  # what happened is still known


def test_I29_ids_go_on_so_that_no_zone_is_taken_for_an_old_one() -> None:
    pipeline = ContractPipeline(0, await_history=False)
    first = feed_all(pipeline, random_tape(1, 240))
    second = feed_all(pipeline, np.concatenate([ROLL, random_tape(2, 240)]))
    assert second["id"].min() > first["id"].max()


def test_a_roll_behind_a_long_history_that_comes_in_parts() -> None:
    memory = np.zeros(9_000, BAR_DTYPE)
    memory["start_ns"] = HOUR + np.arange(9_000) * MINUTE
    memory["open"] = memory["close"] = memory["high"] = memory["low"] = 5_000 + np.arange(9_000) % 7
    memory["timeframe_min"] = 1
    pipeline = ContractPipeline(0, history=memory)
    pipeline.feed(history_record(HOUR + 9_000 * MINUTE, 0, 9_000))
    assert pipeline.pending
    feed_all(pipeline, ROLL)  # the rest of the old month comes before it and goes with it
    assert not pipeline.live
    assert len(pipeline.bars(1)) == 0
    feed_all(pipeline, np.concatenate([record(Kind.TRADE, HOUR + 9_001 * MINUTE, 100)] * 2))
    assert pipeline.last_price == 100


def test_an_ordinary_gap_forgets_nothing() -> None:
    pipeline = ContractPipeline(0, await_history=False)
    feed_all(pipeline, random_tape(3, 240))
    zones = len(pipeline.zones(5))
    feed_all(pipeline, record(Kind.GAP, HOUR + 300 * MINUTE))
    assert pipeline.resets == 0
    assert len(pipeline.zones(5)) == zones


def test_through_a_ring_the_roll_comes_after_its_gap() -> None:
    writer, reader = ring_of(64, 1)
    pipeline = ContractPipeline(1)
    writer.push(int(Kind.TRADE), HOUR + SECOND, 0, 5_000, 0, 1)
    writer.gap(HOUR + 2 * SECOND, 0)
    writer.push(int(Kind.GAP), HOUR + 2 * SECOND, 0, 0, 0, 0, NEW_CONTRACT)
    writer.push(int(Kind.TRADE), HOUR + 3 * SECOND, 0, 6_000, 0, 1)
    while pipeline.drain(reader, 16):
        pass
    assert pipeline.resets == 1
    assert pipeline.last_price == 6_000
    assert not pipeline.live
    reader.close()
    writer.close()


def test_I29_the_trader_forgets_its_zones_with_the_pipeline() -> None:
    decider = ContractDecider(PRODUCTS["MNQ"], StrategySettings())
    decider.pipeline.close()
    decider.pipeline = ContractPipeline(0, StrategySettings().detectors(), await_history=False)
    tape = random_tape(5, 400, gaps=False)
    at = 0
    while at < len(tape) or decider.pending:
        at, _ = decider.feed(tape, at)
    fresh = ContractDecider(PRODUCTS["MNQ"], StrategySettings()).trader
    assert decider.trader.digest() != fresh.digest()
    counters = dict(decider.trader.counters)
    decider.feed(ROLL)
    assert decider.trader.counters == counters
    fresh.counters.update(counters)
    assert decider.trader.digest() == fresh.digest()


def test_a_ring_passes_no_record_of_any_kind_uncounted() -> None:
    """A reader's position is what was counted and what it was told as lost, at every stop: laps and rolls included."""
    tape = random_tape(3, 240)
    tape["size"][::50], tape["exch_ns"][::70] = 0, HOUR  # prints that give nothing
    others = [
        record(Kind.CLOCK, HOUR + 300 * MINUTE),
        record(Kind.CONTEXT, HOUR + 300 * MINUTE, aux=0),
        record(Kind.GAP, HOUR + 300 * MINUTE),
        ROLL,
        history_record(HOUR + 301 * MINUTE, 0, 0),
        record(Kind.QUOTE, HOUR + 301 * MINUTE, 5_000, price2=5_001),
    ]
    writer, reader = ring_of(256)
    pipeline, lapped = ContractPipeline(0, await_history=True), False
    for part in [*np.array_split(tape[:600], 6), *others, tape[600:], *others]:
        push_all(writer, part)
        while pipeline.drain(reader, 64):
            counters = pipeline.counters
            assert reader.position == counters["ticks"] + reader.lost
            assert counters["foreign"] == 0
        assert reader.position == writer.written
        lapped = lapped or bool(reader.lost)
    assert lapped
    assert pipeline.resets == 2
