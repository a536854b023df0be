"""Trader and compiled pipeline together: what the trader keeps from events must equal what the pipeline holds."""

from dataclasses import replace

import numpy as np
import pytest

from plain_strategy.events import rows_of
from plain_strategy.liquidity import LIQUIDITY_EVENTS, LiquidityBook
from random_bars import random_bars, ticks_of
from random_stream import Batches
from shared_data import shared
from slow_trader import short, signals_of
from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.messages import Signal
from tbot.strategy.trader import ContractTrader, MarketView, StrategySettings
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE, Flag, Kind
from tbot_ext.zones import ZoneState

MINUTE = 60_000_000_000
ANY_SCORE = StrategySettings(min_score=0.0)


class Rig:
    """One contract's pipeline and trader, fed with arrays."""

    def __init__(
        self, product: Product, history: np.ndarray | None = None, settings: StrategySettings = ANY_SCORE
    ) -> None:
        self.product = product
        detectors = settings.detectors(product)
        self.pipeline = ContractPipeline(
            product.contract_id, detectors, await_history=history is not None, history=history
        )
        self.trader = ContractTrader(product, settings)
        self.signals: list[Signal] = []
        self.batches: Batches = []
        if history is not None:
            self.feed(record(product, Kind.HISTORY, int(history["start_ns"][-1]) + MINUTE, size=len(history)))

    def feed(self, ticks: np.ndarray, *, keep: bool = False) -> None:
        at, pipeline = 0, self.pipeline
        while at < len(ticks) or pipeline.pending:
            at = pipeline.feed(ticks, at)
            view = MarketView(
                pipeline.now_ns, pipeline.bid, pipeline.ask, pipeline.quote_ns, pipeline.quote_seq, pipeline.epoch,
                pipeline.ring_seq, pipeline.live,
            )  # fmt: skip
            self.signals += self.trader.on_events(pipeline.events, view)
            if keep:
                self.batches.append((pipeline.events.copy(), view))

    def check(self) -> None:
        """Structure and zones of every timeframe, item by item."""
        pipeline, known = self.pipeline, self.trader.state()
        for minutes, frame in known["frames"].items():
            assert (frame[0] or 0.0) == pipeline.atr(minutes)
            assert frame[4] == pipeline.trend(minutes)
            held = pipeline.zones(minutes)
            live = held[held["state"] != ZoneState.FILLED]
            expected = sorted((int(z["id"]), int(z["side"]), int(z["bottom"]), int(z["top"])) for z in live)
            found = {row[1]: row for row in known["zones"] if not row[0] and row[5] == minutes}
            assert sorted((row[1], row[4], row[6], row[7]) for row in found.values()) == expected
            for zone in live:
                factor = 100 if zone["state"] in (ZoneState.OPEN, ZoneState.TOUCHED, ZoneState.HALF) else 1
                factor = 100 if zone["state"] == ZoneState.INVERTED else factor
                assert found[int(zone["id"])][12] == pytest.approx(float(zone["score"]) * factor)


def record(product: Product, kind: Kind, exch_ns: int, size: int = 0) -> np.ndarray:
    ticks = np.zeros(1, TICK_DTYPE)
    ticks["kind"], ticks["exch_ns"], ticks["size"], ticks["contract_id"] = kind, exch_ns, size, product.contract_id
    return ticks


@pytest.mark.parametrize("seed", range(4))
def test_books_agree_after_history_and_through_live_minutes(seed: int) -> None:
    product = PRODUCTS["MES"]
    bars = random_bars(seed, 4000)
    rig = Rig(product, bars[:3000])
    assert rig.trader.counters["tests_warmup"] > 0
    rig.check()
    for start in range(3000, 4000, 250):
        rig.feed(ticks_of(bars[start : start + 250], product))
        rig.check()
    assert rig.trader.counters["tests"] > 0
    # Nothing reached the trader later than in the minute itself: only real refusals are counted.
    assert rig.trader.counters["too_late"] == rig.trader.counters["not_live"] == 0


@pytest.mark.parametrize("seed", range(4))
def test_warm_up_then_live_equals_having_run_live(seed: int) -> None:
    product = PRODUCTS["MES"]
    bars = random_bars(seed, 4000)
    warmed = Rig(product, bars[:3000])
    lived = Rig(product)
    lived.feed(ticks_of(bars[:3000], product))
    for rig in (warmed, lived):
        rig.feed(ticks_of(bars[3000:], product))
    for name in ("zones", "places", "frames", "passed_through"):
        assert warmed.trader.state()[name] == lived.trader.state()[name]
    since = int(bars["start_ns"][3000]) + 13 * MINUTE  # setups of warm-up, which differ on purpose, are over by then
    live_signals = [signal for signal in lived.signals if signal.decided_ns > since]
    warm_signals = [signal for signal in warmed.signals if signal.decided_ns > since]
    assert [(s.signal_id, s.score, s.stop, s.target, s.event_ids) for s in warm_signals] == [
        (s.signal_id, s.score, s.stop, s.target, s.event_ids) for s in live_signals
    ]
    assert lived.signals


def test_a_cut_stream_gives_the_first_part_of_the_signals() -> None:
    product = PRODUCTS["MES"]
    ticks = ticks_of(random_bars(9, 4000), product)
    whole = Rig(product)
    whole.feed(ticks)
    assert len(whole.signals) > 2
    middle = whole.signals[len(whole.signals) // 2]
    cut = int(np.searchsorted(ticks["exch_ns"], middle.decided_ns, side="left")) + 2  # the trade after the boundary
    part = Rig(product)
    part.feed(ticks[:cut])
    assert part.signals == whole.signals[: len(part.signals)]
    assert part.signals[-1] == middle


@pytest.mark.parametrize("seed", range(4))
def test_the_book_of_pools_and_levels_agrees_with_the_detector(seed: int) -> None:
    """A level whose role the detector learns without telling is the one thing that the book may not know."""
    detector, book, compared = Detector(1, Params(L=2, R=2, round_step=50)), LiquidityBook(), 0
    for part in np.array_split(random_bars(seed, 4000), 40):
        for row in rows_of(detector.push_bars(part)):
            if row.kind in LIQUIDITY_EVENTS:
                book.apply(row)
        expected = {}
        for place in detector.pools():
            expected[int(place["id"])] = (int(place["level"]), -int(place["side"]))
        for place in detector.levels():
            expected[int(place["id"])] = (int(place["level"]), int(place["side"]))
        found = {place.id: (place.level, place.serves or expected[place.id][1]) for place in book.live.values()}
        assert found == expected
        compared += len(expected)
    if not compared:
        pytest.skip("the detectors of this build find no pools and levels")
    assert compared > 1000
    assert book.dropped == 0


@pytest.mark.parametrize("seed", range(2))
def test_signals_of_the_pipeline_equal_the_slow_restatement(seed: int) -> None:
    """Short swings, so that a few hours of random bars hold every pattern."""
    product = PRODUCTS["MES"]
    quick = {"L": 2, "R": 2, "max_age": 60, "max_zones": 8}
    settings = replace(ANY_SCORE, detector={name: dict(quick) for name in ("1m", "5m", "15m", "30m", "1h")})
    rig = Rig(product, settings=settings)
    rig.feed(ticks_of(random_bars(seed, 700), product), keep=True)
    assert [short(signal) for signal in rig.signals] == signals_of(rig.batches, product, settings)
    assert len(rig.signals) > 5


def real_bars(name: str, product: Product) -> np.ndarray:
    """The broker's own 1m bars of a file of the shared market data."""
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(shared(f"market/bars_1m/{name}.parquet"))
    bars = np.zeros(table.num_rows, BAR_DTYPE)
    bars["start_ns"] = table["ts"].cast("timestamp[ns]").to_numpy().astype("datetime64[ns]").astype(np.int64)
    for column in ("open", "high", "low", "close"):
        bars[column] = np.rint(table[column].to_numpy() / float(product.tick_size))
    bars["volume"], bars["timeframe_min"] = table["volume"].to_numpy(), 1
    bars["flags"] = int(Flag.FROM_HISTORY)
    return bars


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["MNQ_1m_tsx_20260120_20260318", "MGC_1m_tsx_20260121_20260318"])
def test_signals_on_real_bars_do_not_depend_on_the_future(name: str) -> None:
    """Fifty cuts: behind each the market is another one, and every signal up to the cut is the same."""
    product = PRODUCTS[name[:3]]
    bars = real_bars(name, product)[5000:7000]
    whole = Rig(product)
    whole.feed(ticks_of(bars, product))
    assert len(whole.signals) > 5
    noise = random_bars(7, 90)
    for cut in np.linspace(900, 1990, 50).astype(int):
        other = noise.copy()
        other["start_ns"] += bars["start_ns"][cut] - other["start_ns"][0]
        for column in ("open", "high", "low", "close"):
            other[column] += bars["close"][cut - 1] - noise["open"][0]
        rig = Rig(product)
        rig.feed(ticks_of(np.concatenate((bars[:cut], other)), product))
        until = int(bars["start_ns"][cut - 1]) + MINUTE
        expected = [story_of(signal) for signal in whole.signals if signal.decided_ns < until]
        assert [story_of(signal) for signal in rig.signals if signal.decided_ns < until] == expected


def story_of(signal: Signal) -> tuple[object, ...]:
    """All of a signal but the quote and the record at which the next minute began."""
    return (signal.signal_id, signal.stop, signal.target, signal.score, signal.parts, signal.event_ids, signal.why)


@pytest.mark.shared_data
def test_books_agree_on_real_gold_bars() -> None:
    """Two months of the broker's own 1m bars of MGC, the last week as live minutes."""
    product = PRODUCTS["MGC"]
    bars = real_bars("MGC_1m_tsx_20260121_20260318", product)
    split = len(bars) - 6000
    rig = Rig(product, bars[:split])
    rig.check()
    rig.feed(ticks_of(bars[split:], product))
    rig.check()
    assert rig.trader.counters["tests"] > 100
    assert rig.signals
