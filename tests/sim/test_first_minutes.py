"""What a newcomer's first twenty minutes from 09:30 hold for the detectors: enough to show, nothing planted.

The rates of the detectors' events on the synthetic market are those on real bars: about 65 order blocks and 32 changes
of character a day on 1m, 13 order blocks on 5m, 4 on 15m, 2 on 30m and 1.6 on 1h (NQ, ES 2026 and MGC 2024-25).
"""

from functools import cache

import numpy as np
import pytest

from shared_data import shared
from tbot.domain.contracts import PRODUCTS
from tbot.sim.price_path import SyntheticMarket
from tbot.storage.tape import with_clock
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE, EventCode, Flag, Kind

START_NS = 1_795_185_000 * 10**9  # 2026-11-20 09:30 New York
MINUTE = 60 * 10**9
SEEDS = tuple(range(1, 9))
SYMBOLS = ("MNQ", "ES", "GC")
TIMEFRAMES = (1, 5, 15, 30, 60)
EXPECTED_BLOCKS = {1: 65.5, 5: 13.3, 15: 4.4, 30: 2.2, 60: 1.7}  # a day of 1,380 bars, on real bars


def events_of(symbol, bars, ticks, until_ns):
    """All pipeline events of a history that ends at `until_ns` and the ticks after it."""
    history = np.zeros(1, TICK_DTYPE)
    history["kind"], history["exch_ns"], history["size"] = Kind.HISTORY, until_ns, len(bars)
    history["contract_id"], history["volume"] = PRODUCTS[symbol].contract_id, -1
    stream = np.concatenate((history, ticks[ticks["contract_id"] == PRODUCTS[symbol].contract_id]))
    pipeline = ContractPipeline(PRODUCTS[symbol].contract_id, history=bars)
    place, found = 0, []
    while place < len(stream) or pipeline.pending:
        place = pipeline.feed(stream, place)
        found.append(pipeline.events.copy())
    return np.concatenate(found)


@cache
def played(seed):
    market = SyntheticMarket(seed, SYMBOLS, START_NS)
    ticks = with_clock(market.advance(START_NS + 20 * MINUTE))
    return {symbol: events_of(symbol, market.history(symbol, 0, START_NS), ticks, START_NS) for symbol in SYMBOLS}


def blocks_per_day(events, bars):
    born = events[events["kind"] == EventCode.OB]["timeframe_min"]
    return {minutes: float((born == minutes).sum() / (len(bars) / 1380)) for minutes in TIMEFRAMES}


@pytest.mark.parametrize("seed", SEEDS)
def test_five_days_of_history_leave_order_blocks_on_every_timeframe(seed):
    for symbol, events in played(seed).items():
        born = events[events["kind"] == EventCode.OB]
        assert set(born["timeframe_min"].tolist()) == set(TIMEFRAMES), symbol
        assert {-1, 1} == set(born["side"].tolist())


def test_most_starts_show_zone_tests_and_changes_of_character_within_twenty_minutes():
    tests, changes = 0, 0
    for seed in SEEDS:
        live = np.concatenate(list(played(seed).values()))
        live = live[(live["flags"] & int(Flag.WARMUP)) == 0]
        of_zone = (live["kind"] == EventCode.OB_TESTED) & (live["n"] == 1) | (live["kind"] == EventCode.FVG_TOUCHED)
        tests += bool(np.any(of_zone & (live["timeframe_min"] >= 5)))
        changes += bool(np.any((live["kind"] == EventCode.CHOCH) & (live["timeframe_min"] == 1)))
    assert tests >= 0.75 * len(SEEDS)
    assert changes >= 0.5 * len(SEEDS)


@pytest.mark.parametrize("symbol", ["NQ", "ES", "MGC"])
def test_order_blocks_are_as_frequent_as_on_real_bars(symbol):
    bars = SyntheticMarket(1, (symbol,), START_NS, 30).history(symbol, 0, START_NS)
    rates = blocks_per_day(events_of(symbol, bars, np.zeros(0, TICK_DTYPE), START_NS), bars)
    for minutes, expected in EXPECTED_BLOCKS.items():
        assert rates[minutes] == pytest.approx(expected, rel=0.1 if minutes <= 5 else 0.25), minutes


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("NQ_1m_tsx_20260120_20260318", "NQ"),
        ("ES_1m_tsx_20260120_20260318", "ES"),
        ("MGC_1m_dbn_front_20240701_20250630", "MGC"),
    ],
)
def test_the_expected_rates_are_those_of_real_bars(name, symbol):
    pq = pytest.importorskip("pyarrow.parquet")
    table = pq.read_table(shared(f"market/bars_1m/{name}.parquet"))
    bars = np.zeros(table.num_rows, BAR_DTYPE)
    bars["start_ns"] = table["ts"].to_numpy().astype("datetime64[ns]").astype(np.int64)
    for column in ("open", "high", "low", "close"):
        bars[column] = np.rint(table[column].to_numpy() / float(PRODUCTS[symbol].tick_size))
    bars["volume"], bars["trades"], bars["timeframe_min"] = table["volume"].to_numpy(), 1, 1
    until_ns = int(bars["start_ns"][-1]) + MINUTE
    rates = blocks_per_day(events_of(symbol, bars, np.zeros(0, TICK_DTYPE), until_ns), bars)
    for minutes, expected in EXPECTED_BLOCKS.items():
        assert rates[minutes] == pytest.approx(expected, rel=0.1), minutes
