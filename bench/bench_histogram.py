r"""What does a latency histogram cost that is always on?

No budget of its own: it must not show in the hops it measures (tens of nanoseconds against microseconds).
Run: python -m pytest -s --benchmark-timer=time.process_time \
    -o python_files='bench_*.py' -o python_functions='bench_*' bench/bench_histogram.py
Reference machine: 2 virtual cores of a shared x86-64 server.
"""

from typing import Any

import numpy as np

from tbot_ext.histogram import LatencyHistogram

VALUES = 10_000


def values() -> list[int]:
    """Latencies around 50 us with a long tail."""
    return [int(value) for value in np.random.default_rng(1).lognormal(10.8, 1.0, VALUES)]


def bench_record(benchmark: Any) -> None:
    histogram, latencies = LatencyHistogram(), values()

    def run() -> None:
        record = histogram.record
        for value in latencies:
            record(value)

    benchmark.pedantic(run, rounds=50, warmup_rounds=2)
    assert histogram.count == 52 * VALUES
    print(f"\n{benchmark.name}: {benchmark.stats.stats.median / VALUES * 1e9:.1f} ns each")


def bench_percentile_of_a_full_one(benchmark: Any) -> None:
    histogram = LatencyHistogram()
    for value in values():
        histogram.record(value)
    exact = float(np.percentile(values(), 99, method="higher"))
    found = benchmark.pedantic(lambda: histogram.percentile(99), rounds=200, warmup_rounds=2)
    assert exact <= found <= 1.016 * exact + 1
    print(f"\n{benchmark.name}: {benchmark.stats.stats.median * 1e6:.1f} us")


def bench_snapshot_there_and_back(benchmark: Any) -> None:
    """What a worker's status costs each second."""
    histogram = LatencyHistogram()
    for value in values():
        histogram.record(value)
    again = benchmark.pedantic(
        lambda: LatencyHistogram.from_snapshot(histogram.snapshot()), rounds=100, warmup_rounds=2
    )
    assert again.count == VALUES
    print(f"\n{benchmark.name}: {benchmark.stats.stats.median * 1e6:.1f} us")
