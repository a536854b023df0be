"""200 trials on loky, on a two-worker local dask cluster and on ray, in environments of their own: equal results."""

import os
import subprocess
import sys
import sysconfig
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import toy_trials
from interop_env import python_env
from tbot.backtest.sweep import Folder, Identity, parse_axes
from tbot.backtest.sweep_run import Search
from tbot.commands.sweep_session import Request, Swept, sweep_data

ROOT = Path(__file__).resolve().parents[2]
PARAMS = ["strategy.min_score=20:69:1", "strategy.max_tests=1,2,3,4"]
SEARCH = Search(parse_axes(PARAMS), "grid", metric="net_cents")
LIMIT_S = 270
CHILD = f"""
import sys
from pathlib import Path
from tbot.backtest import sweep_engines
from tbot.backtest.sweep import parse_axes
from tbot.backtest.sweep_run import Search
from tbot.commands.sweep_session import Request, sweep_data
import toy_trials

def sweep(engine, tape, out, method, trials, address):
    search = Search(parse_axes({PARAMS!r}), method, trials, 1, "net_cents")
    request = Request("sweep", (Path(tape),), search, None, engine, address, 2, Path(out), quiet=True)
    sweep_data(request, toy_trials.toy_trial)

def cluster(engine):
    if engine == "ray":
        import ray
        ray.init(num_cpus=2, include_dashboard=False)
        return "auto"
    from distributed import LocalCluster
    made = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    return made.scheduler_address

if __name__ == "__main__":
    engine, tape, out, far = sys.argv[1:5]
    sweep(engine, tape, out, "grid", None, None)
    sweep_engines.sees = lambda shipment: False  # the records have to travel
    sweep(engine, tape, far, "random", 12, cluster(engine))
"""


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_trials.rising_tape(tmp_path_factory.mktemp("tape") / "MNQ.tape")


@pytest.fixture(scope="module")
def loky(tape: Path, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    folder = tmp_path_factory.mktemp("loky")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TBOT_HOME", str(folder / "home"))
        request = Request("sweep", (tape,), SEARCH, None, engine="loky", jobs=2, out=folder / "out", quiet=True)
        return sweep_data(request, toy_trials.toy_trial)


def swept_elsewhere(python: Path, engine: str, tape: Path, folder: Path) -> None:
    """The same sweep by another interpreter, with our sources and what they need behind its own packages."""
    script = folder / "child.py"
    script.write_text(CHILD)
    support = Path(toy_trials.__file__).parent
    ours = [ROOT, ROOT / "ext", support, folder]
    late = folder / "sitecustomize.py"  # our packages come last, so that the environment's own win
    late.write_text(f"import sys; sys.path.append({sysconfig.get_paths()['purelib']!r})\n")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TBOT_"))}
    env |= {"PYTHONPATH": os.pathsep.join(map(str, ours)), "TBOT_HOME": str(folder / "home")}
    words = [str(python), str(script), engine, str(tape), str(folder / "out"), str(folder / "far")]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def outcomes(folder: Path, identity: Identity) -> list[dict[str, Any]]:
    kept = Folder(folder, identity, resume=True)
    kept.close()
    return [asdict(one) for one in kept]


def check(folder: Path, whole: Swept) -> None:
    """All of the grid, and some of it on a cluster whose workers do not see the parent's files."""
    everything = [asdict(one) for one in whole.outcomes]
    assert len(everything) == 200
    assert outcomes(folder / "out", whole.identity) == everything
    by_params = {repr(one["params"]): one for one in everything}
    some = outcomes(folder / "far", replace(whole.identity, method="random", trials=12))
    assert len(some) == 12
    for one in some:
        assert one == by_params[repr(one["params"])] | {"number": one["number"], "seed": one["seed"]}


@pytest.mark.interop
@pytest.mark.timeout(600)
def test_200_trials_are_equal_on_loky_and_on_a_local_dask_cluster(tape: Path, loky: Swept, tmp_path: Path) -> None:
    swept_elsewhere(python_env("dask[distributed]>=2024.8", "joblib>=1.4"), "dask", tape, tmp_path)
    check(tmp_path, loky)


@pytest.mark.long  # and not interop: ray alone is larger than everything else of that run
@pytest.mark.timeout(900)
def test_200_trials_are_equal_on_loky_and_on_ray(tape: Path, loky: Swept, tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("ray on Windows is a test version")
    try:
        python = python_env("ray>=2.40", "joblib>=1.4")
    except (AssertionError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"ray cannot be installed here: {str(error).strip().splitlines()[-1][:200]}")
    swept_elsewhere(python, "ray", tape, tmp_path)
    check(tmp_path, loky)
