"""How a replay of a tape ends when it is not the whole tape's history: with a sentence and a code, never with 0."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine_runs import running, until
from lively_tape import lively
from lockstep_parity import LIVELY
from tbot.domain.contracts import PRODUCTS
from tbot.storage.tape import TapeWriter, tape_meta

KB = 1024


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tape") / "a.tape"
    with TapeWriter(path, tape_meta([PRODUCTS["MNQ"]], "test")) as writer:
        writer.write(lively(("MNQ",), minutes=4_000))
    (path.parent / "lively.toml").write_text(LIVELY)
    return path


def arguments(tape: Path, out: Path) -> tuple[str, ...]:
    return ("replay", str(tape), "--config", str(tape.parent / "lively.toml"), "--out", str(out), "--json")


def test_ctrl_c_says_that_it_is_a_part_and_the_next_one_begins_anew(tape: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with running(tmp_path / "home", *arguments(tape, out)) as replay:
        until(lambda: replay.status().get("contracts", {}).get("MNQ", {}).get("ticks", 0) > 0, "it plays")
        replay.interrupt()
        code, _ = replay.finish(60)
        assert code == 130, replay.stderr
        assert "stopped before the end of the tape" in replay.stderr
    with running(tmp_path / "again", *arguments(tape, out)) as replay:
        code, _ = replay.finish(60)
        assert code == 3, "a second one would go on from the first one's money and locks"
        assert "has the record of another run (journal.db); a replay begins anew: give another --out" in replay.stderr


def test_a_feed_that_somebody_ended_did_not_come_to_the_end(tape: Path, tmp_path: Path) -> None:
    with running(tmp_path / "home", *arguments(tape, tmp_path / "out")) as replay:
        feed = until(lambda: replay.status().get("processes", {}).get("feed", {}).get("pid"), "the feed")
        until(lambda: replay.status()["contracts"]["MNQ"]["ticks"] > 0, "it plays")
        subprocess.run(["kill", f"-{int(signal.SIGTERM)}", str(feed)], check=True)
        code, _ = replay.finish(60)
        assert code == 1, replay.stderr
        assert "feed ended (exit code 75)" in replay.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={420 * KB}", "tbot-test", str(place)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk needs the right to mount one")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_F_SYS_01_a_full_disk_ends_a_replay_instead_of_its_trades(tape: Path, tmp_path: Path, small_disk: Path) -> None:
    """Live, entries are refused and protection goes on; a tape's history without them would be a false one."""
    with running(tmp_path / "home", *arguments(tape, small_disk / "out")) as replay:
        code, _ = replay.finish(90)
        assert code not in (0, 130), replay.stderr
        assert "journal.db cannot be written: database or disk is full" in replay.stderr
