r"""How long does one print take on its way into bars?

Budget: at most 50 ns a tick for all five timeframes, no allocation, no Python call (design, section 6).
Run: python -m pytest -s --benchmark-timer=time.process_time \
    -o python_files='bench_*.py' -o python_functions='bench_*' bench/bench_bars.py
Reference machine: 2 virtual cores of a shared x86-64 server, where the bars alone take about 15 ns.
"""

from typing import Any

import numpy as np
import pytest

from tbot_ext.bars import BarBuilder
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import TICK_DTYPE, Kind

TICKS = 1_000_000
START = 1_700_002_800_000_000_000


@pytest.fixture(scope="module")
def prints() -> np.ndarray:
    """A random walk, 20 prints a second: the worst case for branch prediction of highs and lows."""
    rng = np.random.default_rng(1)
    ticks = np.zeros(TICKS, TICK_DTYPE)
    ticks["kind"] = Kind.TRADE
    ticks["exch_ns"] = START + np.arange(TICKS) * 50_000_000
    ticks["price"] = 20_000 + np.cumsum(rng.integers(-1, 2, TICKS))
    ticks["size"] = rng.integers(1, 10, TICKS)
    ticks["side"] = rng.choice([-1, 1], TICKS)
    return ticks


def note(benchmark: Any) -> None:
    benchmark.extra_info["ns_per_tick"] = round(benchmark.stats.stats.min / TICKS * 1e9, 1)
    print(f"\n{benchmark.name}: {benchmark.extra_info['ns_per_tick']} ns per tick")


def bench_bars_of_five_timeframes(benchmark: Any, prints: np.ndarray) -> None:
    bars = benchmark.pedantic(lambda: BarBuilder().push_ticks(prints), rounds=7, warmup_rounds=1)
    assert int(bars[bars["timeframe_min"] == 1]["trades"].sum()) > 0.99 * TICKS
    note(benchmark)


def bench_whole_pipeline_with_a_stop_at_each_bar(benchmark: Any, prints: np.ndarray) -> None:
    """Bars, all detectors and the return to Python after each record that gave events."""

    def run() -> int:
        pipeline = ContractPipeline(0, await_history=False)
        at = stops = 0
        while at < TICKS:
            at = pipeline.feed(prints, at)
            stops += len(pipeline.events) > 0
        return stops

    assert benchmark.pedantic(run, rounds=7, warmup_rounds=1) > 800
    note(benchmark)
