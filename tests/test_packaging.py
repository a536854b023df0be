"""From source archive to wheel to a clean environment, away from the checkout: what a user installs works."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

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
    run(user / "python", "-m", "pip", "install", "--quiet", wheel, cwd=elsewhere)
    assert run(user / "tbot", "--version", cwd=elsewhere).strip().endswith("0.1.0")
    where = run(user / "python", "-c", "import tbot, tbot_ext.ring; print(tbot.__file__)", cwd=elsewhere)
    assert Path(where.strip()).is_relative_to(tmp_path / "user")
    data = "from importlib import resources as r; print(r.files('tbot.storage').joinpath('schema.sql').is_file())"
    assert run(user / "python", "-c", data, cwd=elsewhere).strip() == "True"
