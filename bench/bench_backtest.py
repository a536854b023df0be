r"""How fast does a backtest go, and does its memory grow with the tape?

Budget (design, section 6), on one core: 10 M ticks/s through bars and detectors; 5 M ticks/s with brackets and account
rules on; 500 k 1m bars/s; memory flat in the length of the tape.
Run: python -m pytest -s --benchmark-timer=time.process_time \
    -o python_files='bench_*.py' -o python_functions='bench_*' bench/bench_backtest.py
"""

import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tbot.backtest.plan import AccountPlan, BacktestPlan
from tbot.backtest.results import BacktestResult
from tbot.backtest.run import run_backtest
from tbot.backtest.source import ArraySource
from tbot.domain.contracts import PRODUCTS
from tbot.execution.settings import AccountSettings
from tbot.storage.firm_rules import load_rules
from tbot.storage.importers import bars_to_ticks
from tbot.storage.replay_stream import opening
from tbot.storage.sources import open_sources
from tbot.storage.tape import TapeWriter, tape_meta
from tbot.storage.tick_stream import lockstep_stream
from tbot.strategy.settings import StrategySettings
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import TICK_DTYPE, Kind

START = 1_795_158_000_000_000_000  # Friday 2026-11-20, 09:00 in Helsinki
TICKS = 2_000_000
BARS = 100_000
PRODUCT = PRODUCTS["MNQ"]
RULES = load_rules("combine", "50K", date(2026, 11, 20))
# Any score: the walk has no trades to give by the packaged threshold, and without trades there are no brackets.
PLAN = BacktestPlan(
    (AccountPlan(AccountSettings(1, rules=RULES)),), strategy=StrategySettings(min_score=0.0, max_tests=3)
)


def walk(count: int, seed: int = 1) -> np.ndarray:
    """60 records a second, three quotes to two prints: the rate of an index future in its liquid hours."""
    rng = np.random.default_rng(seed)
    ticks = np.zeros(count, TICK_DTYPE)
    ticks["contract_id"] = PRODUCT.contract_id
    ticks["exch_ns"] = START + np.cumsum(rng.integers(0, 33_300_000, count))
    path = 80_000 + np.cumsum(rng.choice([-1, 0, 0, 0, 1], count))
    quote = rng.random(count) < 0.6
    ticks["kind"] = np.where(quote, Kind.QUOTE, Kind.TRADE)
    ticks["price"] = path
    ticks["price2"][quote] = path[quote] + 1
    ticks["size"][~quote] = rng.integers(1, 10, count)[~quote]
    ticks["side"][~quote] = rng.choice([-1, 1], count)[~quote]
    ticks["volume"] = -1
    return ticks


def stream(ticks: np.ndarray, spreads: dict[int, int] | None = None) -> ArraySource:
    pieces = np.array_split(ticks, max(1, len(ticks) // 16_368))
    first = opening((PRODUCT.contract_id,), int(ticks["exch_ns"][0]) // 60_000_000_000 * 60_000_000_000)
    return ArraySource((first, *lockstep_stream(pieces, spreads)))


@pytest.fixture(scope="module")
def ticks() -> ArraySource:
    return stream(walk(TICKS))


@pytest.fixture(scope="module")
def bars() -> ArraySource:
    """100 k minutes of a random walk, made into ticks by the importer's rule: five or six records each."""
    rng = np.random.default_rng(2)
    close = 80_000 + np.cumsum(rng.integers(-12, 13, BARS))
    opened = np.concatenate(([80_000], close[:-1]))
    high = np.maximum(opened, close) + rng.integers(0, 9, BARS)
    low = np.minimum(opened, close) - rng.integers(0, 9, BARS)
    starts = START + np.arange(BARS) * 60_000_000_000
    ohlc = np.stack([opened, high, low, close], axis=1)
    made = bars_to_ticks(PRODUCT, starts, ohlc, rng.integers(50, 500, BARS), 60_000_000_000, [])
    return stream(made, {PRODUCT.contract_id: PRODUCT.spread_ticks})


def note(benchmark: Any, what: str, count: int) -> None:
    rate = count / benchmark.stats.stats.min
    benchmark.extra_info[f"{what}_per_s"] = round(rate)
    print(f"\n{benchmark.name}: {rate / 1e6:.2f} M {what}/s")


def bench_ticks_through_bars_and_detectors(benchmark: Any, ticks: ArraySource) -> None:
    """The compiled pipeline, back in Python at each bar."""

    def run() -> int:
        pipeline = ContractPipeline(PRODUCT.contract_id)
        for chunk in ticks.chunks:
            at = 0
            while at < len(chunk):
                at = pipeline.feed(chunk, at)
        return int(pipeline.minutes)

    assert benchmark.pedantic(run, rounds=5, warmup_rounds=1) > 500
    note(benchmark, "ticks", TICKS)


def bench_ticks_with_strategy_brackets_and_account_rules(benchmark: Any, ticks: ArraySource) -> None:
    """The whole of run_backtest: packaged strategy, a Combine's rules, costs, latency, partial fills."""
    result: BacktestResult = benchmark.pedantic(lambda: run_backtest(ticks, PLAN), rounds=5, warmup_rounds=1)
    assert len(result.trips)
    print(f"\n{len(result.signals)} signals, {len(result.trips)} round trips")
    note(benchmark, "ticks", TICKS)


def bench_ticks_from_a_tape(benchmark: Any, tmp_path: Path) -> None:
    """The same from the disk: checksums, clocks, the look at the whole file before it."""
    path = tmp_path / "made.tape"
    with TapeWriter(path, tape_meta([PRODUCT], "bench")) as writer:
        writer.write(walk(TICKS))

    def run() -> BacktestResult:
        with open_sources([path]) as source:
            return run_backtest(source, PLAN)

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    note(benchmark, "ticks", TICKS)


@pytest.mark.parametrize("least", [0.0, 60.0, 100.0], ids=["any_score", "packaged_score", "no_signal"])
def bench_bars_of_a_minute(benchmark: Any, bars: ArraySource, least: float) -> None:
    """Bars as ticks that are in memory, everything on. Apart from each other by their signals: what one costs is the
    difference. 100: what bars cost when none comes; 60: the packaged threshold, first tests only."""
    strategy = replace(PLAN.strategy, min_score=least, max_tests=1 if least == 60.0 else 3)
    plan = replace(PLAN, strategy=strategy)
    result: BacktestResult = benchmark.pedantic(lambda: run_backtest(bars, plan), rounds=3, warmup_rounds=1)
    print(f"\n{len(result.signals)} signals, {len(result.trips)} round trips")
    note(benchmark, "bars", BARS)


def bench_memory_at_two_lengths(benchmark: Any, tmp_path: Path) -> None:
    """Peak resident memory of a process that plays a tape, and one that is four times as long."""
    peaks = []
    for count in (2_000_000, 8_000_000):
        path = tmp_path / f"{count}.tape"
        with TapeWriter(path, tape_meta([PRODUCT], "bench")) as writer:
            writer.write(walk(count))
        done = subprocess.run([sys.executable, __file__, str(path)], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    benchmark.extra_info["peak_mb"] = peaks
    print(f"\npeak memory at 2 M and 8 M ticks: {peaks[0]} and {peaks[1]} MB")
    benchmark.pedantic(lambda: None, rounds=1)


if __name__ == "__main__":
    with open_sources([Path(sys.argv[1])]) as opened:
        run_backtest(opened, PLAN)
    # Not ru_maxrss: a child takes over its parent's, and the parent made the tape.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(int(peak.split()[1]) // 1024)
