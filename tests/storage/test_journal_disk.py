"""The journal on a disk that loses power, fills up, fails, and kills its writer, at every single call.

The stories run in processes of their own, with a shim between SQLite and the kernel; see tests/support/disk_*.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1] / "support"
STORIES = ("work", "migration", "rotation")


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the failing disk with")
    library = tmp_path_factory.mktemp("shim") / "disk_shim.so"
    command = [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library)]
    subprocess.run([*command, str(SUPPORT / "disk_shim.c"), "-ldl"], check=True)
    return library


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """In memory where that is possible: a sync there costs nothing, and the story is about the calls alone."""
    memory = Path("/dev/shm")
    place = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="tbot-test-", dir=place) as name:
        yield Path(name)


def tell(shim: Path, check: str, story: str, stride: int) -> dict[str, int]:
    """Run one check over one story; every `stride`-th call."""
    environment = {**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": str(SUPPORT), "STRIDE": str(stride)}
    with folder() as place:
        command = [sys.executable, str(SUPPORT / "disk_stories.py"), check, story, str(place)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("story", STORIES)
def test_I1_I15_F_SYS_04_K_JR_01_K_JR_02_K_JR_03_K_JR_04_power_loss(shim: Path, story: str) -> None:
    """Mid-transaction, mid-checkpoint, at rotation, at migration: a prefix, with all that was said to be safe."""
    figures = tell(shim, "power_loss", story, 1 if story == "migration" else 4)
    assert figures["calls"] > 90
    assert figures["entries"] >= 4
    if story == "migration":
        assert figures["versions"] == 2, "the file was the old or the new version"


@pytest.mark.parametrize("story", STORIES)
def test_K_JR_01_K_JR_02_K_JR_03_K_JR_04_a_kill_in_place_of_a_call(shim: Path, story: str) -> None:
    assert tell(shim, "killed", story, 11)["calls"] > 90


@pytest.mark.parametrize("story", STORIES)
def test_F_SYS_01_no_room_from_a_write_on_and_a_new_start_when_there_is_room(shim: Path, story: str) -> None:
    figures = tell(shim, "full_disk", story, 11)
    assert figures["writes"] > 70
    assert figures["refusals"] > 5


def test_F_SYS_01_the_same_writer_goes_on_when_there_is_room(shim: Path) -> None:
    figures = tell(shim, "room_returns", "work", 3)
    assert figures["writes"] > 40
    assert figures["refused"] > 5


@pytest.mark.parametrize("story", STORIES)
def test_F_SYS_02_an_io_error_at_a_call(shim: Path, story: str) -> None:
    figures = tell(shim, "io_errors", story, 11)
    assert figures["errors"] > 10
    assert figures["distrusted"] > 0, "after a failed write or sync the file is not trusted any more"


@pytest.mark.long
@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("check", ["power_loss", "killed", "full_disk", "io_errors"])
def test_F_SYS_01_F_SYS_02_F_SYS_04_K_JR_01_K_JR_04_at_every_call(shim: Path, check: str, story: str) -> None:
    tell(shim, check, story, 1)


@pytest.mark.long
def test_F_SYS_01_the_same_writer_goes_on_at_every_write(shim: Path) -> None:
    tell(shim, "room_returns", "work", 1)
