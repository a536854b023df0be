"""PyPI `smartmoneyconcepts` 0.0.27 itself against `tbot.compat.smc`, bit by bit."""

import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interop_env import python_env
from shared_data import ROOT, shared
from smc_bars import market_bars, read_csv_bars, resampled
from smc_calls import Plan, difference, random_bars, results
from tbot.compat import smc

pytestmark = pytest.mark.interop
CLIENTS = Path(__file__).resolve().parent / "clients"
LIBRARY = "smartmoneyconcepts==0.0.27"
TIME_FRAMES = ("15min", "1h", "4h", "1D", "W", "ME")
WHOLE = Plan(time_frames=TIME_FRAMES)
WEEKS = {name: f"{name}_1m_tsx_20260120_20260318" for name in ("NQ", "GC")}


@pytest.fixture(scope="session")
def python() -> Path:
    return python_env(LIBRARY)


def run(python: Path, script: str, *arguments: str, limit_s: float) -> str:
    """stdout of one of our scripts in the library's environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TBOT_"))}
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ext")]), "SMC_CREDIT": "0"}
    command = [str(python), "-W", "ignore", str(CLIENTS / script), *arguments]
    done = subprocess.run(command, env=kept | paths, capture_output=True, text=True, timeout=limit_s, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def check(python: Path, bars: dict[str, Any], plan: Plan, folder: Path, limit_s: float = 120.0) -> int:
    """Compare every call of the plan; returns the number of rows that held something in the library's results."""
    np.savez(folder / "bars.npz", **bars)
    words = (str(folder / "bars.npz"), str(folder / "results.npz"), json.dumps(dataclasses.asdict(plan)))
    run(python, "use_smartmoneyconcepts.py", *words, limit_s=limit_s)
    with np.load(folder / "results.npz") as file:
        theirs = {name: file[name] for name in file.files if not name.startswith("seconds|")}
    different, found, calls = [], 0, set()
    for call, mine in results(smc, bars, plan):
        expected = {name.partition("|")[2]: theirs[name] for name in theirs if name.partition("|")[0] == call}
        calls.add(call)
        found += int((~np.isnan(next(iter(expected.values())))).sum())
        if text := difference(mine, expected):
            different.append(f"{call}: {text}")
    assert not different, "\n".join(different)
    assert calls == {name.partition("|")[0] for name in theirs}
    return found


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["ES_201312_1m_20131006_09", "GC_201312_1m_20131008"])
def test_the_sample_days(name: str, python: Path, tmp_path: Path) -> None:
    assert check(python, read_csv_bars(shared(f"smc/{name}.csv")), WHOLE, tmp_path) > 5_000


@pytest.mark.shared_data
@pytest.mark.parametrize("contract", WEEKS)
@pytest.mark.parametrize("minutes", [1, 5, 15])
def test_real_bars(contract: str, minutes: int, python: Path, tmp_path: Path) -> None:
    """Eight weeks of 5m and 15m bars, of the 1m bars the last 6 000: the library needs minutes for all of those."""
    bars = market_bars(shared(f"market/bars_1m/{WEEKS[contract]}.parquet"))
    bars = resampled(bars, minutes) if minutes > 1 else {name: column[-6_000:] for name, column in bars.items()}
    plan = dataclasses.replace(WHOLE, lengths={1: (3, 50), 5: (5, 10), 15: (1, 5)}[minutes])
    assert check(python, bars, plan, tmp_path) > 5_000


@pytest.mark.long
@pytest.mark.shared_data
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("contract", WEEKS)
def test_eight_weeks_of_1m_bars(contract: str, python: Path, tmp_path: Path) -> None:
    bars = market_bars(shared(f"market/bars_1m/{WEEKS[contract]}.parquet"))
    assert check(python, bars, WHOLE, tmp_path, limit_s=1700.0) > 200_000


@pytest.mark.parametrize("seed", range(3))
def test_random_bars_with_many_ties(seed: int, python: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    bars = random_bars(rng, 1_000, scale=(1.0, 0.25, 0.1)[seed])
    assert check(python, bars, WHOLE, tmp_path) > 2_000


def test_data_frames_of_every_kind(python: Path) -> None:
    """DataFrame in, DataFrame out, with pandas' own comparison; also prices missing, other types, zones, disorder."""
    told = json.loads(run(python, "compare_smartmoneyconcepts.py", "0", "40", limit_s=120.0).splitlines()[-1])
    assert told["different"] == []
    assert told["compared"] == 40 * 24
