"""State folders of demos and replays that are gone are swept, and never anything else."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tbot.engine import temporary_state
from tbot.engine.temporary_state import MARKER, STILL_S, fresh_state, sweep_states
from tbot.transport.process_identity import process_space

LONG_AGO = 1_700_000_000


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_over(mode: str = "sim", **more: Any) -> Path:
    """Of a process that is gone, untouched since long ago."""
    path = fresh_state(mode)  # type: ignore[arg-type]
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    document = {"pid": ended.pid, "start": 1, "space": process_space(), **more}
    (path / MARKER).write_text(json.dumps(document))
    (path / "journal.db").write_bytes(b"x")
    age(path)
    return path


def age(path: Path) -> None:
    for entry in (*path.iterdir(), path):
        os.utime(entry, (LONG_AGO, LONG_AGO), follow_symlinks=False)


def test_F_PRC_07_the_folders_of_dead_demos_and_replays_go(base: Path) -> None:
    gone = [left_over("sim"), left_over("replay")]
    mine = fresh_state("sim")
    age(mine)
    assert sorted(sweep_states(base)) == sorted(gone)
    assert list(base.iterdir()) == [mine]
    assert sweep_states(base) == []


def test_F_PRC_07_nothing_else_is_removed(base: Path) -> None:
    kept = [left_over() for _ in range(6)]
    (kept[0] / MARKER).unlink()
    (kept[1] / MARKER).write_text('{"pid": 1e999}')
    kept[2].chmod(0o755)
    (kept[3] / "journal.db").touch()  # somebody wrote a moment ago
    (kept[4] / MARKER).unlink()
    (kept[4] / MARKER).symlink_to(kept[5] / MARKER)
    kept[5] = kept[5].rename(base / "tbot-sim-precious-data")
    kept.append(left_over(space=process_space() + 1))  # a container's
    kept.append(left_over("paper"))
    target = left_over().rename(base / "elsewhere")
    link = base / "tbot-sim-abcdefgh"
    link.symlink_to(target)
    for path in (*kept[:3], kept[4]):
        os.utime(path, (LONG_AGO, LONG_AGO))
    before = sorted(base.rglob("*"))
    assert sweep_states(base) == []
    assert sorted(base.rglob("*")) == before


def test_F_PRC_07_a_pid_that_was_used_again_does_not_keep_it(base: Path) -> None:
    path = left_over(pid=os.getpid(), start=1)
    assert sweep_states(base) == [path]


@pytest.mark.privileged
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_F_PRC_07_another_users_folder_is_left_alone(base: Path) -> None:
    path, marker = left_over(), left_over()
    os.chown(path, 65534, -1)
    os.chown(marker / MARKER, 65534, -1)
    assert sweep_states(base) == []


def test_one_that_cannot_be_removed_does_not_stop_the_sweep(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(_: Path) -> None:
        raise OSError(16, "busy")

    left_over()
    monkeypatch.setattr(temporary_state.shutil, "rmtree", busy)
    assert sweep_states(base) == []
    assert STILL_S > 10
