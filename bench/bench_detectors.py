r"""How long do the detectors take per bar, and does it stay flat?

Budget: all detectors of all five timeframes at most 1 us per 1m bar in compiled code, flat from 10 k to 1 M bars; 3 us
with one Python call for each bar (design, section 6; smc.md section 13). A bar of this walk gives 4.4 events; copying
them for Python is measured apart.
Run: python -m pytest -s --benchmark-timer=time.process_time \
    -o python_files='bench_*.py' -o python_functions='bench_*' bench/bench_detectors.py
Reference machine: 2 virtual cores of a shared x86-64 server, busy with other work, median of 5 rounds of process time:
all five timeframes 680 to 710 ns in compiled code, 900 to 920 ns with the events copied, 1.2 us with one call a bar.
"""

from typing import Any

import numpy as np
import pytest

from tbot_ext.detector import Detector
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE, Kind

MINUTE = 60_000_000_000
START = 1_700_002_800_000_000_000


def walk(n: int) -> np.ndarray:
    """1m bars whose range, body and gaps are like those of an index future in ticks."""
    rng = np.random.default_rng(3)
    bars = np.zeros(n, BAR_DTYPE)
    moves = np.rint(rng.standard_t(4, n) * 4).astype(np.int64)
    bars["start_ns"] = START + np.arange(n) * MINUTE
    bars["timeframe_min"] = 1
    bars["close"] = 20_000 + np.cumsum(moves)
    bars["open"] = bars["close"] - moves + rng.integers(-1, 2, n)
    bars["high"] = np.maximum(bars["open"], bars["close"]) + rng.integers(0, 6, n)
    bars["low"] = np.minimum(bars["open"], bars["close"]) - rng.integers(0, 6, n)
    bars["volume"] = rng.integers(50, 2000, n)
    return bars


def note(benchmark: Any, n: int) -> None:
    benchmark.extra_info["ns_per_bar"] = round(benchmark.stats.stats.median / n * 1e9, 1)
    print(f"\n{benchmark.name}: {benchmark.extra_info['ns_per_bar']} ns per bar")


def history_records(first: list[int], count: int) -> np.ndarray:
    """HISTORY records that name `count` bars each."""
    ticks = np.zeros(len(first), TICK_DTYPE)
    ticks["kind"], ticks["price2"], ticks["size"] = Kind.HISTORY, first, count
    ticks["exch_ns"] = START + (ticks["price2"] + count) * MINUTE
    return ticks


@pytest.mark.parametrize("n", [10_000, 100_000, 1_000_000])
def bench_one_timeframe(benchmark: Any, n: int) -> None:
    """The events are copied once for the caller, and once more when the parts are joined."""
    bars = walk(n)
    events = benchmark.pedantic(lambda: len(Detector(1).push_bars(bars)), rounds=5, warmup_rounds=1)
    assert events > n / 2
    note(benchmark, n)


@pytest.mark.parametrize("copied", [False, True], ids=["compiled", "copied"])
@pytest.mark.parametrize("n", [10_000, 100_000, 1_000_000])
def bench_five_timeframes(benchmark: Any, n: int, copied: bool) -> None:
    """As warm-up does it: one HISTORY record, events handed out in parts of about 50 000, as a view or as a copy."""
    bars = walk(n)
    tick = history_records([0], n)

    def run() -> int:
        pipeline = ContractPipeline(0, history=bars)
        pipeline.feed(tick)
        events = 0
        while True:
            events += len(pipeline.events.copy() if copied else pipeline.events)
            if not pipeline.pending:
                return events
            pipeline.feed(tick, 1)

    assert benchmark.pedantic(run, rounds=5, warmup_rounds=1) > n
    note(benchmark, n)


def bench_one_call_per_bar(benchmark: Any) -> None:
    """One timeframe through Python, one call a bar, which returns a copy of its events."""
    bars = [tuple(int(x) for x in bar) for bar in walk(20_000)[["start_ns", "open", "high", "low", "close", "volume"]]]

    def run() -> None:
        detector = Detector(1)
        for bar in bars:
            detector.push_bar(*bar)

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    note(benchmark, len(bars))


def bench_five_timeframes_one_call_per_bar(benchmark: Any) -> None:
    """All five through Python, one call a 1m bar, and its events as a view. Budget: 3 us per bar."""
    n = 20_000
    bars = walk(n)
    ticks = history_records(list(range(n)), 1)

    def run() -> int:
        pipeline = ContractPipeline(0, history=bars)
        calls = at = 0
        while at < n:
            at = pipeline.feed(ticks, at)
            calls += len(pipeline.events) > 0
        return calls

    assert benchmark.pedantic(run, rounds=5, warmup_rounds=1) == n
    note(benchmark, n)
