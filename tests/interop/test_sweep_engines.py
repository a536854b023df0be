"""200 trials on loky, on a two-worker local dask cluster and on ray, in environments of their own: equal results."""

import os
import subprocess
import sys
import sysconfig
from dataclasses import asdict
from pathlib import Path

import pytest

import toy_trials
from interop_env import python_env
from tbot.backtest.sweep import Folder, parse_axes
from tbot.backtest.sweep_run import Search
from tbot.commands.sweep_session import Request, Swept, sweep_data

pytestmark = pytest.mark.interop

ROOT = Path(__file__).resolve().parents[2]
PARAMS = ["strategy.min_score=20:69:1", "strategy.max_tests=1,2,3,4"]
SEARCH = Search(parse_axes(PARAMS), "grid", metric="net_cents")
LIMIT_S = 270
CHILD = f"""
import sys
from pathlib import Path
from tbot.backtest.sweep import parse_axes
from tbot.backtest.sweep_run import Search
from tbot.commands.sweep_session import Request, sweep_data
import toy_trials
if __name__ == "__main__":
    engine, tape, out = sys.argv[1:4]
    search = Search(parse_axes({PARAMS!r}), "grid", metric="net_cents")
    request = Request("sweep", (Path(tape),), search, None, engine=engine, jobs=2, out=Path(out), quiet=True)
    sweep_data(request, toy_trials.toy_trial)
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
    words = [str(python), str(script), engine, str(tape), str(folder / "out")]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def same(folder: Path, whole: Swept) -> bool:
    kept = Folder(folder / "out", whole.identity, resume=True)
    try:
        return [asdict(one) for one in kept] == [asdict(one) for one in whole.outcomes]
    finally:
        kept.close()


@pytest.mark.timeout(600)
def test_200_trials_are_equal_on_loky_and_on_a_local_dask_cluster(tape: Path, loky: Swept, tmp_path: Path) -> None:
    assert len(loky.outcomes) == 200
    swept_elsewhere(python_env("dask[distributed]>=2024.8", "joblib>=1.4"), "dask", tape, tmp_path)
    assert same(tmp_path, loky)


@pytest.mark.timeout(900)
def test_200_trials_are_equal_on_loky_and_on_ray(tape: Path, loky: Swept, tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("ray on Windows is a test version")
    try:
        python = python_env("ray>=2.40", "joblib>=1.4")
    except (AssertionError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"ray cannot be installed here: {str(error).strip().splitlines()[-1][:200]}")
    swept_elsewhere(python, "ray", tape, tmp_path)
    assert same(tmp_path, loky)
