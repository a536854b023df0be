"""The trader on random event streams: against the slow restatement, and what must hold whatever the market does."""

from dataclasses import replace

import numpy as np
import pytest

from event_builder import MINUTE_NS, START_NS, EventBuilder, mirrored
from random_stream import Batches, RandomStream
from slow_trader import short, signals_of
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Signal
from tbot.strategy.trader import ContractTrader, StrategySettings
from tbot_ext.records import NO_PRICE

MNQ = PRODUCTS["MNQ"]
ANY_SCORE = StrategySettings(min_score=0.0, trigger_bars=8)


def run(batches: Batches, settings: StrategySettings = ANY_SCORE) -> tuple[list[Signal], ContractTrader]:
    trader = ContractTrader(MNQ, settings)
    return [signal for events, view in batches for signal in trader.on_events(events, view)], trader


@pytest.mark.parametrize("seed", range(6))
def test_equal_to_the_slow_restatement(seed: int) -> None:
    settings = replace(ANY_SCORE, min_score=[0.0, 30.0][seed % 2])
    batches = RandomStream(seed).batches(minutes=360, warm=212)
    signals, trader = run(batches, settings)
    assert [short(signal) for signal in signals] == signals_of(batches, MNQ, settings)
    assert trader.counters["signals"] == len(signals)


def test_the_random_streams_reach_every_counter() -> None:
    """Otherwise the comparison above would prove little."""
    total: dict[str, int] = {}
    for seed in range(6):
        _, trader = run(RandomStream(seed).batches(minutes=360, warm=212))
        total = {name: total.get(name, 0) + count for name, count in trader.counters.items()}
    unreached = {name for name, count in total.items() if not count}
    assert unreached <= {"data_only", "score_too_low"}
    assert total["signals"] > 50


def test_the_random_streams_reach_every_kind_of_reason() -> None:
    signals = [signal for seed in range(6) for signal in run(RandomStream(seed).batches(minutes=360, warm=212))[0]]
    reasons = [signal.why for signal in signals if signal.why is not None]
    assert len(reasons) == len(signals)
    assert {signal.parts["trigger"] for signal in signals} == {0.5, 0.7, 1.0}
    assert {why.zone.kind for why in reasons} == {"ob", "fvg", "ifvg", "breaker", "mitigation"}
    triggers = {tuple(trigger.kind for trigger in why.triggers) for why in reasons}
    assert {("choch",), ("mss",), ("choch", "mss"), ("sweep",), ("sweep", "choch")} <= triggers
    targets = {why.target and why.target.kind for why in reasons}
    assert targets >= {"pool", "level"}
    near = {evidence.kind for why in reasons for evidence in why.neighbours}
    assert near == {"ob", "fvg", "ifvg", "breaker", "mitigation", "pool", "level"}


@pytest.mark.parametrize("seed", range(20, 26))
def test_signals_do_not_depend_on_the_future(seed: int) -> None:
    batches = RandomStream(seed).batches(minutes=500, warm=100)
    noise = RandomStream(seed + 1000).batches(minutes=500, warm=0)
    cut = 350
    whole, _ = run(batches)
    until = START_NS + cut * MINUTE_NS
    expected = [signal for signal in whole if signal.decided_ns <= until]
    assert expected
    for events, _ in noise:  # other ids, so that nothing of the noise refers to a zone of the stream
        events["id"] += 1_000_000
        events["parent_id"] += 1_000_000
    other, _ = run(batches[:cut] + noise[cut:])
    assert [signal for signal in other if signal.decided_ns <= until] == expected
    prefix, _ = run(batches[:cut])
    assert prefix == expected


def evidence_ids(signal: Signal) -> list[object]:
    """Everything that a signal tells of, by the events it comes from."""
    why = signal.why
    assert why is not None
    told = [why.zone, *why.triggers, *why.bias, *why.neighbours, *filter(None, [why.target])]
    return [(evidence.event_id, evidence.kind, evidence.parts) for evidence in told]


@pytest.mark.parametrize("seed", range(40, 46))
def test_mirrored_markets_give_mirrored_signals(seed: int) -> None:
    batches = RandomStream(seed).batches(minutes=400, warm=100)
    turned: Batches = []
    for events, view in batches:
        bid, ask = (-price if price != NO_PRICE else NO_PRICE for price in (view.ask, view.bid))
        turned.append((mirrored(events), replace(view, bid=bid, ask=ask)))
    plain, _ = run(batches)
    mirror, _ = run(turned)
    assert plain
    assert [(s.signal_id, -s.side, -s.stop, -s.target, s.score, s.parts, s.event_ids) for s in mirror] == [
        (s.signal_id, s.side, s.stop, s.target, s.score, s.parts, s.event_ids) for s in plain
    ]
    assert [evidence_ids(s) for s in mirror] == [evidence_ids(s) for s in plain]


@pytest.mark.parametrize("seed", range(60, 64))
def test_batching_does_not_matter_and_equal_digests_mean_equal_futures(seed: int) -> None:
    """Warm-up handed over in one piece (as history is) or minute by minute: the same state, the same signals."""
    batches = RandomStream(seed).batches(minutes=400, warm=200)
    _, one_by_one = run(batches[:200])
    at_once = ContractTrader(MNQ, ANY_SCORE)
    assert at_once.on_events(np.concatenate([events for events, _ in batches[:200]]), batches[199][1]) == []
    assert at_once.digest() == one_by_one.digest()
    for number, (events, view) in enumerate(batches[200:]):
        assert at_once.on_events(events, view) == one_by_one.on_events(events, view)
        if number % 20 == 0:
            assert at_once.digest() == one_by_one.digest()


def test_the_digest_tells_different_states_apart() -> None:
    batches = RandomStream(1).batches(minutes=120, warm=0)
    digests = set()
    trader = ContractTrader(MNQ, ANY_SCORE)
    for events, view in batches:
        trader.on_events(events, view)
        digests.add(trader.digest())
    assert len(digests) == len(batches)  # every minute has a bar, which moves at least the ATR


@pytest.mark.parametrize("seed", range(80, 84))
def test_warm_up_alone_never_gives_a_signal(seed: int) -> None:
    signals, trader = run(RandomStream(seed).batches(minutes=400, warm=400))
    assert signals == []
    assert trader.open_setups == 0
    assert trader.counters["tests_warmup"] > 0


@pytest.mark.parametrize("seed", range(100, 106))
def test_signals_are_sound(seed: int) -> None:
    batches = RandomStream(seed).batches(minutes=500, warm=100)
    signals, _ = run(batches)
    events = {int(event["id"]): event for batch, _ in batches for event in batch}
    assert len({signal.signal_id for signal in signals}) == len(signals)
    for signal in signals:
        entry = signal.quote.ask if signal.side > 0 else signal.quote.bid
        risk = (entry - signal.stop) * signal.side
        assert risk > 0
        assert (signal.target - entry) * signal.side >= 1.5 * risk
        assert all(0 <= part <= 1 for part in signal.parts.values())
        assert 0 <= signal.score <= 100
        # Nothing that contributed was known after the decision, and the zone is among it.
        assert all(events[event_id]["known_ns"] <= signal.decided_ns for event_id in signal.event_ids)
        assert signal.zone_id in signal.event_ids


def test_state_is_bounded() -> None:
    """A broken pipeline that never ends a zone: the book drops the oldest and says so."""
    make = EventBuilder()
    trader = ContractTrader(MNQ, ANY_SCORE)
    for number in range(4200):
        make.order_block(number, 5, 1, 100, 110, 50.0)
        make.pool(number, 1, 10_000 - number)
    trader.on_events(make.take(), RandomStream(0)._view(1))
    known = trader.state()
    assert len(known["zones"]) == len(known["places"]) == 4096
    assert known["dropped"] == (104, 104)
    assert min(row[1] for row in known["zones"]) == 1000 + 2 * 104  # the oldest went
