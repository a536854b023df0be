"""PyPI `smartmoneyconcepts` 0.0.27 itself against `tbot.compat.smc`, bit by bit."""

import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interop_env import client_python
from shared_data import ROOT, shared
from smc_bars import market_bars, read_csv_bars, resampled
from smc_calls import Plan, difference, random_bars, results
from tbot.compat import smc

pytestmark = pytest.mark.interop
CLIENTS = Path(__file__).resolve().parent / "clients"
TIME_FRAMES = ("15min", "1h", "4h", "1D", "W", "ME")
WHOLE = Plan(time_frames=TIME_FRAMES)
SAMPLES = {"ES-2013": "ES_201312_1m_20131006_09", "GC-2013": "GC_201312_1m_20131008"}
WEEKS = {name: f"{name}_1m_tsx_20260120_20260318" for name in ("NQ", "GC")}

Case = tuple[dict[str, Any], Plan]


@pytest.fixture(scope="session")
def python() -> Path:
    return client_python("smartmoneyconcepts")


def run(python: Path, script: str, *arguments: str, limit_s: float) -> str:
    """stdout of one of our scripts in the library's environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TBOT_"))}
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ext")]), "SMC_CREDIT": "0"}
    command = [str(python), "-W", "ignore", str(CLIENTS / script), *arguments]
    done = subprocess.run(command, env=kept | paths, capture_output=True, text=True, timeout=limit_s, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def ask(python: Path, cases: dict[str, Case], folder: Path, limit_s: float) -> Path:
    """The folder with the library's results for these cases, all from one process: to start it takes seconds."""
    for name, (bars, _) in cases.items():
        np.savez(folder / f"{name}.npz", **bars)
    plans = json.dumps({name: dataclasses.asdict(plan) for name, (_, plan) in cases.items()})
    run(python, "use_smartmoneyconcepts.py", str(folder), plans, limit_s=limit_s)
    return folder


def check(case: str, bars: dict[str, Any], plan: Plan, folder: Path) -> int:
    """Compare every call of the plan; returns the number of rows that held something in the library's results."""
    with np.load(folder / f"{case}.results.npz") as file:
        theirs = {name: file[name] for name in file.files}
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


def weeks(contract: str) -> dict[str, Any]:
    return market_bars(shared(f"market/bars_1m/{WEEKS[contract]}.parquet"))


def real_cases() -> dict[str, Case]:
    """Two sample files; eight weeks of 5m and 15m bars, of the 1m bars the last 6 000: for all it needs minutes."""
    cases: dict[str, Case] = {name: (read_csv_bars(shared(f"smc/{file}.csv")), WHOLE) for name, file in SAMPLES.items()}
    for contract in WEEKS:
        bars = weeks(contract)
        slices = {"1m": {name: column[-6_000:] for name, column in bars.items()}}
        slices |= {f"{minutes}m": resampled(bars, minutes) for minutes in (5, 15)}
        for timeframe, lengths in (("1m", (3, 50)), ("5m", (5, 10)), ("15m", (1, 5))):
            cases[f"{contract}-{timeframe}"] = slices[timeframe], dataclasses.replace(WHOLE, lengths=lengths)
    return cases


@pytest.fixture(scope="module")
def real(python: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Case], Path]:
    cases = real_cases()
    return cases, ask(python, cases, tmp_path_factory.mktemp("real"), limit_s=250.0)


@pytest.mark.shared_data
@pytest.mark.parametrize("case", [*SAMPLES, *(f"{name}-{minutes}m" for name in WEEKS for minutes in (1, 5, 15))])
def test_real_bars(case: str, real: tuple[dict[str, Case], Path]) -> None:
    cases, folder = real
    assert check(case, *cases[case], folder) > 5_000


@pytest.mark.long
@pytest.mark.shared_data
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("contract", WEEKS)
def test_eight_weeks_of_1m_bars(contract: str, python: Path, tmp_path: Path) -> None:
    bars = weeks(contract)
    ask(python, {contract: (bars, WHOLE)}, tmp_path, limit_s=1700.0)
    assert check(contract, bars, WHOLE, tmp_path) > 200_000


def test_random_bars_with_many_ties(python: Path, tmp_path: Path) -> None:
    cases: dict[str, Case] = {}
    for scale in (1.0, 0.25, 0.1):
        cases[f"times-{scale}"] = random_bars(np.random.default_rng(int(scale * 100)), 1_000, scale), WHOLE
    ask(python, cases, tmp_path, limit_s=120.0)
    for name, case in cases.items():
        assert check(name, *case, tmp_path) > 2_000


def test_data_frames_of_every_kind(python: Path) -> None:
    """DataFrame in, DataFrame out, with pandas' own comparison; also prices missing, other types, zones, disorder."""
    told = json.loads(run(python, "compare_smartmoneyconcepts.py", "0", "40", limit_s=120.0).splitlines()[-1])
    assert told["different"] == []
    assert told["compared"] == 40 * 24
