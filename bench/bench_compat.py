r"""How much faster than smartmoneyconcepts 0.0.27 is tbot.compat.smc, with equal results?

Budget: at least 1 000 times at 100 k bars for ob and bos_choch (design, section 6). Both sides are timed in CPU
seconds, least of several calls, on the same bars on one machine; the library in an environment of its own, which this
makes. "frame" is ours given the library's DataFrame in that same process, "ours" is given plain arrays here.
Run: python -m pytest -s --benchmark-timer=time.process_time \
    -o python_files='bench_*.py' -o python_functions='bench_*' bench/bench_compat.py
Reference machine: 2 virtual cores of a shared x86-64 server.
"""

import functools
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interop_env import client_python
from shared_data import ROOT
from smc_calls import SIX, difference, six_calls
from tbot.compat import smc

SCRIPT = ROOT / "tests" / "interop" / "clients" / "time_smartmoneyconcepts.py"
LIMIT_S = 600


def walk(n: int) -> dict[str, Any]:
    """1m bars in quarters, with ranges, gaps and ties like those of an index future."""
    rng = np.random.default_rng(3)
    moves = np.rint(rng.standard_t(4, n) * 4)
    close = 20_000 + np.cumsum(moves)
    open_ = close - moves + rng.integers(-1, 2, n)
    ticks = {
        "open": open_,
        "high": np.maximum(open_, close) + rng.integers(0, 6, n),
        "low": np.minimum(open_, close) - rng.integers(0, 6, n),
        "close": close,
    }
    bars = {name: column / 4 for name, column in ticks.items()}
    bars["volume"] = rng.integers(50, 2000, n).astype(np.float64)
    bars["time"] = np.datetime64("2024-01-01", "us") + np.arange(n) * np.timedelta64(1, "m")
    return bars


@functools.cache
def library(n: int, length: int) -> dict[str, Any]:
    """What the library gave and how long it took: see time_smartmoneyconcepts.py."""
    python = client_python("smartmoneyconcepts")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TBOT_"))}
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ext")]), "SMC_CREDIT": "0"}
    with tempfile.TemporaryDirectory() as folder:
        bars, out = Path(folder) / "bars.npz", Path(folder) / "out.npz"
        np.savez(bars, **walk(n))
        command = [str(python), "-W", "ignore", str(SCRIPT), str(bars), str(out), str(length)]
        subprocess.run(command, env=kept | paths, check=True, timeout=LIMIT_S)
        return dict(np.load(out))


@pytest.mark.parametrize("name", SIX)
@pytest.mark.parametrize("length", [5, 50])
@pytest.mark.parametrize("n", [10_000, 100_000])
def bench_against_the_library(benchmark: Any, n: int, length: int, name: str) -> None:
    theirs = library(n, length)
    bars = walk(n)
    call = six_calls(smc, bars, smc.swing_highs_lows(bars, length), length)[name]
    expected = {key.partition("|")[2]: theirs[key] for key in theirs if key.startswith(f"{name}|")}
    assert not difference(call(), expected)
    benchmark.pedantic(call, rounds=100 if n > 10_000 else 500, warmup_rounds=5)
    slow, frame, fast = float(theirs[f"library|{name}"]), float(theirs[f"frame|{name}"]), benchmark.stats.stats.min
    benchmark.extra_info["ratio"] = round(slow / fast)
    print(
        f"\n{name}, swing length {length}, {n} bars: library {slow * 1e3:.1f} ms, ours {fast * 1e3:.3f} ms:"
        f" {slow / fast:.0f} times; frame {frame * 1e3:.3f} ms: {slow / frame:.0f} times"
    )
