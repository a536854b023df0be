"""ContractDecider: a fold over records that gives the same signals from arrays and rings, however they are cut."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lively_tape import LIVELY, MINUTE, START, lively, opening
from pipeline_tapes import feed_all, minutes_of_tape, ring_of
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Signal
from tbot.strategy.decider import ContractDecider
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE, Kind

MES = PRODUCTS["MES"]
TAPE = lively(("MES",), seed=3)


def numbered(ticks: np.ndarray) -> np.ndarray:
    """With the sequence numbers and epoch that a ring gives."""
    copy = ticks.copy()
    copy["seq"] = 2 * np.arange(len(ticks)) + 2
    copy["epoch"] = 1
    return copy


def feed(decider: ContractDecider, ticks: np.ndarray) -> list[Signal]:
    at, found = 0, []
    while at < len(ticks) or decider.pending:
        at, signals = decider.feed(ticks, at)
        found += signals
    return found


def drain(decider: ContractDecider, ticks: np.ndarray, limit: int, burst: int) -> list[Signal]:
    """Through a ring, written in bursts."""
    writer, reader = ring_of(4096, MES.contract_id)
    found = []
    for start in range(0, len(ticks), burst):
        writer.push_many(ticks[start : start + burst])
        while True:
            consumed, signals = decider.drain(reader, limit)
            found += signals
            if not consumed:
                break
    assert reader.lost == 0
    return found


def fresh(history: np.ndarray | None = None) -> ContractDecider:
    return ContractDecider(MES, LIVELY, history)


WHOLE = fresh()
SIGNALS = feed(WHOLE, numbered(TAPE))


def test_the_tape_is_worth_the_tests() -> None:
    assert len(SIGNALS) >= 10
    assert {signal.side for signal in SIGNALS} == {1, -1}


@pytest.mark.parametrize(("limit", "burst"), [(1, 4000), (7, 1), (64, 999), (4096, 4000)])
def test_rings_and_arrays_give_the_same_signals(limit: int, burst: int) -> None:
    decider = fresh()
    assert drain(decider, TAPE, limit, burst) == SIGNALS
    assert decider.trader.digest() == WHOLE.trader.digest()


@settings(max_examples=25)
@given(st.lists(st.integers(0, len(TAPE)), max_size=12).map(sorted))
def test_where_an_array_is_cut_does_not_matter(cuts: list[int]) -> None:
    decider, found = fresh(), []
    for part in np.split(numbered(TAPE), cuts):
        found += feed(decider, part)
    assert found == SIGNALS
    assert decider.trader.digest() == WHOLE.trader.digest()


@settings(max_examples=25)
@given(cut=st.integers(1, len(TAPE)), seed=st.integers(4, 99))
def test_the_future_changes_no_signal_of_the_past(cut: int, seed: int) -> None:
    """No look-ahead: two tapes that agree up to a record agree in every signal decided up to it."""
    other = numbered(np.concatenate((TAPE[:cut], lively(("MES",), seed)[cut:])))
    found = feed(fresh(), other)
    assert [signal for signal in found if signal.ring_seq < cut] == [s for s in SIGNALS if s.ring_seq < cut]


def test_a_signal_rests_on_what_the_pipeline_knew_where_it_stopped() -> None:
    ticks, decider, seen = numbered(TAPE), fresh(), 0
    at = 0
    while at < len(ticks) or decider.pending:
        at, signals = decider.feed(ticks, at)
        for signal in signals:
            seen += 1
            past = ticks[:at]
            quote = past[past["kind"] == Kind.QUOTE][-1]
            assert signal.contract == "MES"
            assert signal.ring_seq == at - 1
            assert (signal.quote.bid, signal.quote.ask) == (quote["price"], quote["price2"])
            assert (signal.quote.exch_ns, signal.quote.seq) == (quote["exch_ns"], (int(quote["seq"]) >> 1) - 1)
            assert signal.quote.epoch == 1
            assert signal.decided_ns <= past["exch_ns"].max()
    assert seen == len(SIGNALS)


def test_records_of_other_contracts_are_passed_over() -> None:
    merged = lively(("MES", "GC", "MNQ"), seed=3)
    decider = fresh()
    essence = [(s.side, s.stop, s.target, s.score, s.decided_ns) for s in SIGNALS]
    assert [(s.side, s.stop, s.target, s.score, s.decided_ns) for s in feed(decider, merged)] == essence


# ---------------------------------------------------------------------------------------------------------- history
def history_record(through: int, count: int) -> np.ndarray:
    record = opening("MES", through)
    record["size"] = count
    return record


def test_warm_up_gives_no_signal_and_a_long_one_comes_in_parts() -> None:
    bars = minutes_of_tape(lively(("MES",), seed=3, minutes=5_000))
    through = int(bars["start_ns"][-1]) + MINUTE
    decider = fresh(np.array(bars, BAR_DTYPE))
    record = history_record(through, len(bars))
    at, signals = decider.feed(record, 0)
    assert (at, signals) == (1, [])
    assert decider.pending  # more than one call can hold
    parts = 1
    while decider.pending:
        at, signals = decider.feed(record, at)
        assert (at, signals) == (1, [])
        parts += 1
    assert parts > 2
    assert decider.pipeline.live
    assert decider.pipeline.counters["bars"][1] == len(bars)
    assert decider.trader.counters["tests_warmup"] > 0
    decider.close()


@pytest.mark.parametrize("way", ["feed", "drain"])
def test_pending_history_is_taken_before_the_next_record(way: str) -> None:
    """A worker and a backtest must decide alike on what comes right behind a long history."""
    past = lively(("MES",), seed=3, minutes=3_000)
    bars = np.array(minutes_of_tape(past), BAR_DTYPE)
    through = int(bars["start_ns"][-1]) + MINUTE
    later = lively(("MES",), seed=8, minutes=900, opened=False)
    later["exch_ns"] += through - START
    ticks = numbered(np.concatenate((history_record(through, len(bars)), later)))
    decider = fresh(bars)
    found = feed(decider, ticks) if way == "feed" else drain(decider, ticks, 64, 500)
    # The same by a pipeline and a trader of their own.
    expected = fresh(bars)
    parts: list[Any] = []
    at = 0
    while at < len(ticks) or expected.pipeline.pending:
        at = expected.pipeline.feed(ticks, at)
        parts += expected._decide()
    assert found == parts
    assert len(found) >= 5
    assert all(signal.decided_ns > through for signal in found)
    decider.close()
    expected.close()


def test_before_history_is_there_nothing_is_decided() -> None:
    decider = fresh()
    assert feed(decider, lively(("MES",), seed=3, opened=False)) == []
    assert not decider.pipeline.live
    assert decider.trader.counters["tests"] == 0


def test_closing_lets_go_of_the_history_segment() -> None:
    """Shared memory can only be unmapped when nobody holds a view of it."""
    memory = bytearray(BAR_DTYPE.itemsize * 100)
    bars = np.frombuffer(memory, BAR_DTYPE)
    decider = fresh(bars)
    del bars
    with pytest.raises(BufferError):
        memory.extend(b"x")
    decider.close()
    memory.extend(b"x")


def test_detectors_are_those_of_the_settings() -> None:
    events = feed_all(ContractPipeline(MES.contract_id, LIVELY.detectors(MES)), TAPE)
    decider, parts = fresh(), [np.zeros(0, events.dtype)]
    at = 0
    while at < len(TAPE) or decider.pending:
        at, _ = decider.feed(TAPE, at)
        parts.append(decider.pipeline.events.copy())
    assert np.array_equal(np.concatenate(parts), events)
    assert decider.pipeline.params_hash() == ContractPipeline(MES.contract_id, LIVELY.detectors(MES)).params_hash()


def test_nothing_in_nothing_out() -> None:
    decider = fresh()
    assert decider.feed(np.zeros(0, TICK_DTYPE), 0) == (0, [])
    assert not decider.pending


@pytest.mark.parametrize("changed", [0, 10])
def test_bars_that_are_not_the_gateways_are_told_and_give_no_signal(changed: int) -> None:
    """An engine that shows a live market and stays silent for ever would be taken for one that finds nothing."""
    ticks = lively(("MES",), seed=3, minutes=900, opened=False)
    bars = np.array(minutes_of_tape(ticks), BAR_DTYPE)[:200]
    bars["high"][50 : 50 + changed] += 1
    through = int(bars["start_ns"][-1]) + MINUTE
    cut = int(np.searchsorted(ticks["exch_ns"], through + MINUTE))
    decider = fresh(bars)
    assert decider.distrust == ""
    found = feed(decider, numbered(np.concatenate((ticks[:cut], history_record(through, len(bars)), ticks[cut:]))))
    assert decider.pipeline.live
    told = f"no signals: {changed} of 199 downloaded minutes differ from our own; at most 1 % may"
    assert decider.distrust == (told if changed else "")
    assert bool(found) is not bool(changed)
    decider.close()
