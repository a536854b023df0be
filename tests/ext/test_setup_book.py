"""The compiled strategy against the same rules in plain Python: equal signals to the last word, whatever comes in."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_builder import START_NS, EventBuilder, view_at
from plain_strategy.trader import PlainTrader
from random_bars import random_bars, ticks_of
from random_stream import Batches, RandomStream
from tbot.context.news_windows import Told
from tbot.context.stream import context_ticks
from tbot.domain.context import INDEX_SCALE, DollarState, MarketContext, NewsState
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Signal
from tbot.storage.replay_stream import opening
from tbot.strategy.decider import ContractDecider
from tbot.strategy.dollar import DollarSettings
from tbot.strategy.settings import StrategySettings
from tbot.strategy.trader import ContractTrader
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import EVENT_DTYPE, TICK_DTYPE, EventCode, Kind
from tbot_ext.setup_story import answer, tell

MNQ = PRODUCTS["MNQ"]
QUICK = {name: {"L": 2, "R": 2, "max_age": 60, "max_zones": 8} for name in ("1m", "5m", "15m", "30m", "1h")}

OPTIONS = st.builds(
    StrategySettings,
    entry_timeframe_min=st.sampled_from([1, 1, 1, 5]),
    zone_timeframes_min=st.sampled_from([(5, 15, 30, 60), (15,), (5, 60)]),
    min_score=st.sampled_from([0.0, 30.0, 45.0, 60.0]),
    max_tests=st.integers(1, 4),
    trigger_bars=st.integers(0, 20),
    min_rr=st.floats(0.1, 2.0),
    default_rr=st.floats(2.0, 5.0),
    stop_atr=st.floats(0.0, 0.6),
    stop_min_ticks=st.integers(0, 6),
    confluence_atr=st.floats(0.0, 1.5),
    confluence_full=st.integers(1, 6),
    cost_multiple=st.integers(0, 20),
)


def plain_state(trader: PlainTrader) -> dict[str, object]:
    """As `ContractTrader.state`, so far as both name the same things."""
    books = trader._book.live.values()
    return {
        "zones": [
            (zone.id, zone.kind, zone.side, zone.timeframe_min, zone.bottom, zone.top, zone.score, zone.tests)
            for zone in books
        ],
        "places": sorted((p.id, p.level, p.serves, p.members, p.score) for p in trader._liquidity.live.values()),
        "atr": {minutes: state.atr.value for minutes, state in trader._states.items()},
        "setups": sorted((s.zone.id, s.test, s.bar, s.entered_ns) for s in trader._setups.values()),
        "rest": (trader._bar_flags, trader._spoken, trader._book.passed_through),
    }


def compiled_state(trader: ContractTrader) -> dict[str, object]:
    whole = trader.state()
    return {
        "zones": [(z[1], z[3], z[4], z[5], z[6], z[7], z[12], z[14]) for z in whole["zones"] if not z[0]],
        "places": sorted((p[0], p[7], p[-1], p[10], p[11]) for p in whole["places"]),
        "atr": {minutes: frame[0] for minutes, frame in whole["frames"].items()},
        "setups": [row[:3] + row[4:5] for row in whole["setups"]],
        "rest": (whole["bar_flags"], whole["spoken"], whole["passed_through"]),
    }


def compare(batches: Batches, options: StrategySettings) -> list[Signal]:
    plain, compiled = PlainTrader(MNQ, options), ContractTrader(MNQ, options)
    signals = []
    for events, view in batches:
        expected = plain.on_events(events, view)
        assert compiled.on_events(events, view) == expected
        signals += expected
    assert compiled.counters == plain.counters
    assert list(compiled.counters) == list(plain.counters)
    assert compiled.open_setups == plain.open_setups
    assert compiled_state(compiled) == plain_state(plain)
    return signals


@given(st.integers(0, 10_000), OPTIONS)
@settings(max_examples=40, deadline=None)
def test_random_events_give_equal_signals_counters_and_state(seed: int, options: StrategySettings) -> None:
    compare(RandomStream(seed).batches(minutes=300, warm=seed % 212), options)


@given(st.integers(0, 10_000), st.integers(2, 40))
@settings(max_examples=15, deadline=None)
def test_batches_of_many_instants(seed: int, size: int) -> None:
    """Held minutes come out in one go: several closes in one call, all judged by the market at its end."""
    single = RandomStream(seed).batches(minutes=240, warm=60)
    parts = [single[at : at + size] for at in range(0, len(single), size)]
    joined = [(np.concatenate([events for events, _ in part]), part[-1][1]) for part in parts]
    compare(joined, StrategySettings(min_score=0.0, max_tests=2))


RISING = DollarState(1, 99 * INDEX_SCALE, 0, -6_000)
FACTS = (
    MarketContext(),
    *(MarketContext(None, replace(RISING, trend=trend, stale=stale)) for trend in (1, -1) for stale in (False, True)),
    *(MarketContext(NewsState(action=action), RISING) for action in ("block", "reduce")),
)
DOLLARS = st.builds(
    DollarSettings,
    filter=st.sampled_from(["off", "prefer", "require"]),
    points=st.floats(0.0, 20.0),
    min_correlation=st.sampled_from([0.0, 0.5, 0.7]),
    stale=st.sampled_from(["ignore", "block"]),
)


def with_facts(batches: Batches, seed: int) -> Batches:
    """Each call with outside facts of its own."""
    chance = np.random.default_rng(seed)
    return [(events, replace(view, context=FACTS[chance.integers(len(FACTS))])) for events, view in batches]


@given(st.integers(0, 10_000), OPTIONS, DOLLARS)
@settings(max_examples=25, deadline=None)
def test_outside_facts_act_while_the_best_is_chosen(
    seed: int, options: StrategySettings, dollar: DollarSettings
) -> None:
    batches = with_facts(RandomStream(seed).batches(minutes=300, warm=seed % 212), seed)
    compare(batches, replace(options, dollar=dollar))


def test_the_second_best_speaks_where_the_best_is_forbidden() -> None:
    """A rising dollar forbids longs: at closes that trigger both sides a short speaks in place of the better long."""
    free = StrategySettings(min_score=0.0, max_tests=3)
    strict = replace(free, dollar=DollarSettings(filter="require"))
    turned = 0
    for seed in range(6):
        batches = RandomStream(seed).batches(minutes=300, warm=60)
        told = [(events, replace(view, context=MarketContext(None, RISING))) for events, view in batches]
        best = {signal.decided_ns: signal.side for signal in compare(told, free)}
        found = compare(told, strict)
        assert {signal.side for signal in found} <= {-1}
        turned += sum(best.get(signal.decided_ns) == 1 for signal in found)
    assert turned


def test_what_was_asked_must_be_answered_before_more_comes() -> None:
    book = ContractTrader(MNQ, StrategySettings())._book
    with pytest.raises(ValueError, match="nothing was asked"):
        answer(book, ("", 0.0), ("", 0.0))
    trader = ContractTrader(MNQ, StrategySettings(min_score=0.0))
    for events, view in RandomStream(1).batches(minutes=300, warm=100):
        at = trader._book.fold(events, 0, view.now_ns, view.bid, view.ask, view.live, True)
        if trader._book.asks:
            assert not trader._book.found
            with pytest.raises(ValueError, match="settled first"):
                trader._book.fold(events, at, view.now_ns, view.bid, view.ask, view.live, True)
            with pytest.raises(ValueError, match="not in"):
                answer(trader._book, ("no counter", 0.0), ("", 0.0))
            answer(trader._book, ("", 0.0), ("", 0.0))
            assert not trader._book.asks
            return
    raise AssertionError("nothing was ever chosen")


def test_the_random_events_give_signals_under_most_options() -> None:
    """Otherwise the comparisons above would prove little."""
    for seed in (1, 2):
        signals = compare(RandomStream(seed).batches(minutes=300, warm=100), StrategySettings(min_score=0.0))
        assert len(signals) > 5


def played(decider: ContractDecider, parts: list[np.ndarray], *, quick: bool) -> list[Signal]:
    signals = []
    for part in parts:
        at = 0
        while at < len(part) or decider.pending:
            at, found = (decider.run if quick else decider.feed)(part, at)
            signals += found
    return signals


def with_reset(ticks: np.ndarray) -> np.ndarray:
    """The second half is another delivery month, behind a gap that says so."""
    half = len(ticks) // 2
    gap = np.zeros(2, TICK_DTYPE)
    gap["kind"], gap["exch_ns"], gap["contract_id"] = Kind.GAP, ticks["exch_ns"][half], MNQ.contract_id
    gap["kind"][1], gap["aux"][0] = Kind.HISTORY, NEW_CONTRACT
    return np.concatenate((ticks[:half], gap, ticks[half:]))


def live_ticks(seed: int, count: int) -> np.ndarray:
    """Of random bars, behind the records that say that there is no history to wait for."""
    ticks = ticks_of(random_bars(seed, count), MNQ)
    return np.concatenate((opening((MNQ.contract_id,), int(ticks["exch_ns"][0])), ticks))


def with_dollar(ticks: np.ndarray) -> np.ndarray:
    """The second half is told of a dollar that turns every ten minutes."""
    times = np.arange(int(ticks["exch_ns"][len(ticks) // 2]), int(ticks["exch_ns"][-1]), 600 * 10**9).tolist()
    states = [replace(RISING, trend=1 - 2 * (number % 2), minute_ns=at_ns) for number, at_ns in enumerate(times)]
    told = [Told(at_ns, MNQ.contract_id, one.record()) for at_ns, one in zip(times, states, strict=True)]
    both = np.concatenate((ticks, context_ticks(told)))
    return both[np.argsort(both["exch_ns"], kind="stable")]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("special", [None, with_reset, with_dollar])
def test_run_gives_what_feed_and_the_plain_strategy_give_however_the_stream_is_cut(seed: int, special: Any) -> None:
    options = StrategySettings(min_score=0.0, max_tests=3, detector=QUICK)
    ticks = live_ticks(seed, 900)
    if special is not None:
        ticks = special(ticks)
    if special is with_dollar:
        options = replace(options, dollar=DollarSettings(filter="require"))
    parts = np.array_split(ticks, [700 + seed, 701 + seed, 2000])
    by_run, by_feed = ContractDecider(MNQ, options), ContractDecider(MNQ, options)
    plain = ContractDecider(MNQ, options, make_trader=PlainTrader)
    signals = [
        played(by_run, parts, quick=True),
        played(by_feed, [ticks], quick=False),
        played(plain, [ticks], quick=True),
    ]
    assert signals[0] == signals[1] == signals[2]
    assert len(signals[0]) > 10
    assert (special is with_dollar) == any(signal.context is not None for signal in signals[0])
    assert (special is with_dollar) == (by_run.trader.counters["against_dollar"] > 0)
    assert by_run.trader.counters == by_feed.trader.counters == plain.trader.counters
    assert isinstance(by_run.trader, ContractTrader)
    assert isinstance(by_feed.trader, ContractTrader)
    assert by_run.trader.digest() == by_feed.trader.digest()


def test_a_user_strategy_is_called_at_every_close() -> None:
    """Also one that is made of the packaged one: it may look at every call."""
    calls = []

    class Watching(ContractTrader):
        def on_events(self, events, view):  # type: ignore[no-untyped-def]
            calls.append(view.now_ns)
            return super().on_events(events, view)

    options = replace(StrategySettings(min_score=0.0, max_tests=3), detector=QUICK)
    ticks = live_ticks(1, 300)
    watched = ContractDecider(MNQ, options, make_trader=Watching)
    signals = played(watched, [ticks], quick=True)
    assert len(calls) == 299
    assert signals == played(ContractDecider(MNQ, options), [ticks], quick=True)

    def looked_at(product, settings):  # type: ignore[no-untyped-def]
        trader = ContractTrader(product, settings)
        plain = trader.on_events
        trader.on_events = lambda events, view: calls.append(view.now_ns) or plain(events, view)
        return trader

    calls.clear()
    assert played(ContractDecider(MNQ, options, make_trader=looked_at), [ticks], quick=True) == signals
    assert len(calls) == 299


# ---------------------------------------------------------------- streams that no pipeline gives
KINDS = [int(code) for code in EventCode]
FEW_IDS = st.integers(0, 12).map(lambda number: 1 + number % 4 + 16_384 * (number // 4))  # they meet in the id table


@st.composite
def garbage(draw: st.DrawFn) -> np.ndarray:
    count = draw(st.integers(1, 60))
    events = np.zeros(count, EVENT_DTYPE)
    columns = {
        "kind": st.sampled_from(KINDS), "id": FEW_IDS, "parent_id": st.one_of(st.just(-1), FEW_IDS),
        "side": st.sampled_from([-1, 0, 1]), "timeframe_min": st.sampled_from([0, 1, 5, 7, 15, 60, 255]),
        "known": st.integers(-3, 40), "top": st.integers(90, 110), "bottom": st.integers(90, 110),
        "level": st.integers(90, 110), "n": st.integers(0, 5), "source": st.sampled_from([0, 1, 601]),
        "score": st.floats(0, 100), "flags": st.sampled_from([0, 0, 0, 64, 128, 2048]),
    }  # fmt: skip
    for name, values in columns.items():
        events[name] = draw(st.lists(values, min_size=count, max_size=count))
    events["known_ns"] = START_NS + np.sort(draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))) * 10**10
    return events


@given(st.lists(garbage(), max_size=6))
@settings(max_examples=60, deadline=None)
def test_events_without_sense_neither_crash_it_nor_make_it_grow(batches: list[np.ndarray]) -> None:
    trader = ContractTrader(MNQ, StrategySettings(min_score=0.0, cost_multiple=0))
    known: set[int] = set()
    for events in batches:
        view = view_at(1, 100, 101)
        for signal in trader.on_events(events, view):
            assert signal.side in (1, -1)
        known |= set(events["id"].tolist())
    state = trader.state()
    for name, at in (("zones", 1), ("places", 0), ("setups", 0)):
        ids = [row[at] for row in state[name]]
        assert len(ids) == len(set(ids))
        assert set(ids) <= known
    assert {row[0] for row in state["setups"]} <= {row[1] for row in state["zones"] if not row[0]}
    assert trader.open_setups == len(state["setups"])


def test_more_zones_and_gaps_than_there_is_room_for() -> None:
    make, trader = EventBuilder(first_id=1), ContractTrader(MNQ, StrategySettings(min_score=0.0))
    zones = [make.add(EventCode.FVG, 0, 5, side=1, bottom=100, top=110, score=0.5) for _ in range(9_000)]
    make.bar(1, 105, 104, 104)  # a setup in each of those that are left
    trader.on_events(make.take(), view_at(1, 104, 105))
    assert trader.open_setups == 4096
    for zone in zones:
        make.add(EventCode.FVG_FILLED, 2, 5, parent_id=zone)
    trader.on_events(make.take(), view_at(2, 104, 105))
    assert (trader.open_setups, trader.counters["died_zone"]) == (0, 4096)
    for _ in range(10):
        late = make.add(EventCode.FVG, 3, 5, side=1, bottom=100, top=110, score=0.5)
        make.add(EventCode.FVG_FILLED, 3, 5, parent_id=late)
    make.add(EventCode.FVG_INVERTED, 4, 5, parent_id=zones[0])  # long forgotten
    make.add(EventCode.FVG_INVERTED, 4, 5, parent_id=zones[-1])
    trader.on_events(make.take(), view_at(4, 104, 105))
    state = trader.state()
    assert [row[1] for row in state["zones"] if not row[0]] == [zones[-1]]
    assert len(state["zones"]) == 4096
    assert state["dropped"][0] == 9_000 - 4096 + 10


@pytest.mark.parametrize("make_trader", [PlainTrader, ContractTrader])
@pytest.mark.parametrize("side", [1, -1])
def test_a_target_at_exactly_the_least_distance_is_far_enough(make_trader: type, side: int) -> None:
    """1.1 * 50 is 55.00000000000001 in binary: such a target is 55 ticks away, and that is 1.1 times the risk."""
    options = StrategySettings(min_score=0.0, min_rr=1.1, stop_atr=0.0, stop_min_ticks=2, cost_multiple=0)
    make, trader = EventBuilder(first_id=1), make_trader(MNQ, options)
    make.quiet_bars(5, 0, 20, 110, 100)
    zone = sorted((20_000, 20_000 + side * 60))
    make.order_block(0, 5, side, *zone, 80.0)
    pool = 20_000 + side * (48 + 55)
    make.pool(0, side, pool, 5)
    make.bar(1, zone[1], zone[0], 20_000 + side * 48)
    make.choch(1, side)
    entry = 20_000 + side * 48
    (signal,) = trader.on_events(make.take(), view_at(1, *sorted((entry, entry - side))))
    assert ((entry - signal.stop) * side, signal.target) == (50, pool)


def test_what_was_found_must_be_told_before_more_comes() -> None:
    batches = RandomStream(1).batches(minutes=300, warm=100)
    book = ContractTrader(MNQ, StrategySettings(min_score=0.0))._book
    for events, view in batches:
        book.fold(events, 0, view.now_ns, view.bid, view.ask, view.live)
        if book.found:
            break
    assert book.found
    with pytest.raises(ValueError, match="settled first"):
        book.fold(events, 0, view.now_ns, view.bid, view.ask, view.live)


def test_bad_arguments_are_refused() -> None:
    trader = ContractTrader(MNQ, StrategySettings())
    book = trader._book
    with pytest.raises(ValueError, match="EVENT_DTYPE"):
        book.fold(np.zeros(3), 0, 0, 0, 0, True)
    for at in (-1, 4):
        with pytest.raises(ValueError, match="at must lie"):
            book.fold(np.zeros(3, EVENT_DTYPE), at, 0, 0, 0, True)
    with pytest.raises(ValueError, match="nothing was found"):
        tell(book, (60,))
    pipeline = ContractDecider(MNQ, StrategySettings()).pipeline
    with pytest.raises(ValueError, match="TICK_DTYPE"):
        book.feed(pipeline, np.zeros(3))
    with pytest.raises(ValueError, match="start must lie"):
        book.feed(pipeline, np.zeros(3, TICK_DTYPE), 4)
