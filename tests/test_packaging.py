"""From source archive to wheel to a clean environment, away from the checkout: what a user installs works."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import tbot

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that must succeed; nothing of this environment leaks into it."""
    ours = ("PYTHON", "PYTEST", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=kept, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def new_environment(where: Path) -> Path:
    """The folder of executables of a fresh virtual environment."""
    venv.create(where, with_pip=True)
    return where / ("Scripts" if sys.platform == "win32" else "bin")


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


# Importing all commands and all processes of a run, and what runs of them by itself, must need no extra. picows is not
# among these: the feed takes it when it is there.
EXTRAS = (
    "pyarrow", "databento_dbn", "matplotlib", "jinja2", "nicegui", "joblib", "optuna", "dask", "distributed", "ray",
    "apprise", "prometheus_client", "keyring", "icalendar", "pandas", "scipy", "py_spy",
)  # fmt: skip
PROGRAM = """
import importlib, pkgutil, sys
import tbot.cli, tbot.engine, tbot.sim, tbot.settings, tbot.commands, tbot.doctor, tbot.storage, tbot.backtest
from command_tree import commands
known = dict(commands())
for package in (tbot.engine, tbot.sim, tbot.settings, tbot.doctor, tbot.storage, tbot.backtest):
    for module in pkgutil.iter_modules(package.__path__):
        if f"{package.__name__}.{module.name}" != "tbot.engine.metrics":
            importlib.import_module(f"{package.__name__}.{module.name}")
print(len(known), sorted(set(sys.argv[1:]) & {name.partition(".")[0] for name in sys.modules}))
"""


def test_no_extra_is_imported_by_core_commands_and_processes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *EXTRAS], capture_output=True, text=True, timeout=300, check=False, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests" / "support")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    count, _, found = done.stdout.strip().partition(" ")
    assert int(count) > 30
    assert found == "[]"


def test_the_version_stands_in_one_place() -> None:
    """pyproject.toml takes it from the package, and no other file of ours spells it out."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version"]' in text
    assert 'version = { attr = "tbot.__version__" }' in text
    places = [path for path in (ROOT / "tbot").rglob("*.py") if f'"{tbot.__version__}"' in path.read_text("utf-8")]
    assert places == [ROOT / "tbot" / "__init__.py"]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_source_archive_to_wheel_to_console_script(tmp_path: Path) -> None:
    source, dist, elsewhere = tmp_path / "source", tmp_path / "dist", tmp_path / "elsewhere"
    elsewhere.mkdir()
    run("git", "clone", "--quiet", ROOT, source, cwd=tmp_path)
    tools = new_environment(tmp_path / "tools")
    run(tools / "python", "-m", "pip", "install", "--quiet", "build", cwd=tmp_path)
    run(tools / "python", "-m", "build", "--sdist", "--outdir", dist, source, cwd=tmp_path)
    (archive,) = dist.glob("tbot-*.tar.gz")
    run(tools / "python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", dist, archive, cwd=tmp_path)
    (wheel,) = dist.glob("tbot-*.whl")
    user = new_environment(tmp_path / "user")
    bare = bytes_below(tmp_path / "user")
    run(user / "python", "-m", "pip", "install", "--quiet", wheel, cwd=elsewhere)
    assert run(user / "tbot", "--version", cwd=elsewhere).strip().endswith(f"version {tbot.__version__}")
    where = run(user / "python", "-c", "import tbot, tbot_ext.ring; print(tbot.__file__)", cwd=elsewhere)
    assert Path(where.strip()).is_relative_to(tmp_path / "user")
    assert bytes_below(tmp_path / "user") - bare <= 130e6, "budget of a core install (design, ruling 26)"
    about = "from importlib.metadata import version; print(version('tbot'))"
    assert run(user / "python", "-c", about, cwd=elsewhere).strip() == tbot.__version__
    data = "from importlib import resources as r; print(r.files('tbot.storage').joinpath('schema.sql').is_file())"
    assert run(user / "python", "-c", data, cwd=elsewhere).strip() == "True"
