r"""How long do the detectors take per bar, and does it stay flat?

Budget: all detectors of all five timeframes at most 1 us per 1m bar in compiled code, flat from 10 k to 1 M bars
(design, section 6).
Run: python -m pytest -s --benchmark-timer=time.process_time \
    -o python_files='bench_*.py' -o python_functions='bench_*' bench/bench_detectors.py
Reference machine: 2 virtual cores of a shared x86-64 server: about 230 ns for one timeframe, 310 ns for all five.
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
    benchmark.extra_info["ns_per_bar"] = round(benchmark.stats.stats.min / n * 1e9, 1)
    print(f"\n{benchmark.name}: {benchmark.extra_info['ns_per_bar']} ns per bar")


@pytest.mark.parametrize("n", [10_000, 100_000, 1_000_000])
def bench_one_timeframe(benchmark: Any, n: int) -> None:
    bars = walk(n)
    events = benchmark.pedantic(lambda: len(Detector(1).push_bars(bars)), rounds=3, warmup_rounds=1)
    assert events > n / 2
    note(benchmark, n)


@pytest.mark.parametrize("n", [10_000, 100_000, 1_000_000])
def bench_five_timeframes(benchmark: Any, n: int) -> None:
    """As warm-up does it: one HISTORY record, events handed out in parts."""
    bars = walk(n)
    tick = np.zeros(1, TICK_DTYPE)
    tick["kind"], tick["exch_ns"], tick["size"] = Kind.HISTORY, 2**62, n

    def run() -> int:
        pipeline = ContractPipeline(0, history=bars)
        pipeline.feed(tick)
        events = len(pipeline.events)
        while pipeline.pending:
            pipeline.feed(tick, 1)
            events += len(pipeline.events)
        return events

    assert benchmark.pedantic(run, rounds=3, warmup_rounds=1) > n
    note(benchmark, n)


def bench_one_call_per_bar(benchmark: Any) -> None:
    """Through Python, one call a bar. Budget: 3 us per bar."""
    bars = [tuple(int(x) for x in bar) for bar in walk(20_000)[["start_ns", "open", "high", "low", "close", "volume"]]]

    def run() -> None:
        detector = Detector(1)
        for bar in bars:
            detector.push_bar(*bar)

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    note(benchmark, len(bars))
