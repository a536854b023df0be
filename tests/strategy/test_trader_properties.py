"""The trader on random event streams: against the slow restatement, and what must hold whatever the market does."""

import random
from dataclasses import replace

import numpy as np
import pytest

from event_builder import MINUTE_NS, START_NS, WARMUP, EventBuilder, mirrored
from slow_trader import signals_of
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Signal
from tbot.strategy.trader import ContractTrader, MarketView, StrategySettings
from tbot_ext.records import NO_PRICE, EventCode, Flag

MNQ = PRODUCTS["MNQ"]
ANY_SCORE = StrategySettings(min_score=0.0, trigger_bars=8)
Batches = list[tuple[np.ndarray, MarketView]]


class RandomStream:
    """A random walk with zones, breaks and swings strewn about it: sound in form, without meaning in content."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.make = EventBuilder(first_id=1)
        self.price = 20_000
        self.zones: list[tuple[int, int, str]] = []  # id, timeframe, kind
        self.bars: dict[int, list[int]] = {}  # open bar per timeframe: high, low

    def batches(self, minutes: int, warm: int) -> Batches:
        out = []
        for minute in range(1, minutes + 1):
            backfilled = minute % 25 < 3  # as after a gap
            self.make.flags = WARMUP if minute <= warm or backfilled else 0
            if self.chance.random() < 0.02:
                self.make.flags |= int(self.chance.choice([Flag.INCOMPLETE, Flag.SUSPECT]))
            self._minute(minute)
            out.append((self.make.take(), self._view(minute)))
        return out

    def _view(self, minute: int) -> MarketView:
        chance = self.chance
        lag = chance.choice([250_000_000] * 9 + [MINUTE_NS])
        bid = self.price if chance.random() > 0.05 else NO_PRICE
        ask = self.price + chance.choice([1, 1, 1, 0, -1])
        now = START_NS + minute * MINUTE_NS + lag
        return MarketView(now, bid, ask, now - 1, minute, 1, minute, live=chance.random() > 0.05)

    def _minute(self, minute: int) -> None:
        chance = self.chance
        steps = [self.price]
        for _ in range(6):
            steps.append(steps[-1] + chance.randint(-4, 4))
        if chance.random() < 0.05:
            steps = [step + chance.choice([-25, 25]) for step in steps]  # a jump: bars beyond zones
        self.price = steps[-1]
        high, low = max(steps), min(steps)
        for tf in (60, 30, 15, 5, 1):
            held = self.bars.setdefault(tf, [high, low])
            held[0], held[1] = max(held[0], high), min(held[1], low)
        for tf in (60, 30, 15, 5, 1):  # the longest first
            if minute % tf == 0:
                high, low = self.bars.pop(tf)
                self.make.bar(minute, high, low, self.price, tf, flags=chance.choice([0] * 20 + [128]))
                self._detector_events(minute, tf)

    def _detector_events(self, minute: int, tf: int) -> None:
        chance, make, price = self.chance, self.make, self.price
        for zone in [z for z in self.zones if z[1] == tf and chance.random() < 0.08]:
            self._live_on(minute, zone)
        for _ in range(chance.choice([0, 0, 1]) if tf == 1 else 3):
            self._zone(minute, tf)
        if chance.random() < 0.2:
            make.choch(minute, chance.choice([1, -1]), tf)
        elif chance.random() < 0.1:
            make.bos(minute, chance.choice([1, -1]), tf)
        if chance.random() < 0.2:
            make.swing_high(minute, price + chance.randint(0, 60), tf)
        if chance.random() < 0.2:
            make.swing_low(minute, price - chance.randint(0, 60), tf)

    def _zone(self, minute: int, tf: int) -> None:
        chance, make = self.chance, self.make
        side, height, away = chance.choice([1, -1]), chance.randint(1, 12), chance.randint(0, 15)
        edge = self.price - side * away
        bottom, top = (edge - height, edge) if side > 0 else (edge, edge + height)
        if chance.random() < 0.5:
            self.zones.append((make.order_block(minute, tf, side, bottom, top, chance.uniform(20, 100)), tf, "ob"))
        else:
            self.zones.append((make.gap(minute, tf, side, bottom, top, chance.random()), tf, "fvg"))

    def _live_on(self, minute: int, zone: tuple[int, int, str]) -> None:
        zone_id, tf, kind = zone
        make, chance = self.make, self.chance
        if kind == "ob":
            what = chance.choice(["TESTED", "MITIGATED", "REFRESHED", "BROKEN", "EXPIRED"])
            extra = {"n": 1} if what == "TESTED" else {"score": chance.uniform(20, 100)} if what == "REFRESHED" else {}
            make.life(EventCode[f"OB_{what}"], minute, tf, zone_id, **extra)
        else:
            follow = {"fvg": ["TOUCHED", "HALF", "FILLED", "EXPIRED"], "filled": ["INVERTED"], "ifvg": ["DEAD"]}
            what = chance.choice(follow[kind])
            make.life(EventCode[f"FVG_{what}"], minute, tf, zone_id)
        self.zones.remove(zone)
        after = {"FILLED": "filled", "INVERTED": "ifvg"}.get(what, kind)
        if what not in ("BROKEN", "EXPIRED", "DEAD"):
            self.zones.append((zone_id, tf, after))


def run(batches: Batches, settings: StrategySettings = ANY_SCORE) -> tuple[list[Signal], ContractTrader]:
    trader = ContractTrader(MNQ, settings)
    return [signal for events, view in batches for signal in trader.on_events(events, view)], trader


def short(signal: Signal) -> tuple[int, int, int, int, float, int]:
    return signal.zone_id, signal.side, signal.stop, signal.target, signal.score, signal.decided_ns


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
    assert [(s.signal_id, -s.side, -s.stop, -s.target, s.score, s.event_ids) for s in mirror] == [
        (s.signal_id, s.side, s.stop, s.target, s.score, s.event_ids) for s in plain
    ]


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
    assert len(trader._book.live) == len(trader._liquidity.live) == 4096
    assert trader._book.dropped == trader._liquidity.dropped == 104
