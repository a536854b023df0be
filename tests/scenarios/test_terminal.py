"""Whatever happens to the terminal, only the launcher acts on it: an orderly, proven end, and nothing left behind."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from engine_runs import Command, assert_nothing_left, open_journal, running, until

ARGUMENTS = ("run", "--contracts", "MES")


def ended_in_order(engine: Command, run_dir: Path) -> None:
    code, _ = engine.finish()
    assert code == 0, engine.stderr
    assert "Traceback" not in engine.stderr
    assert_nothing_left(engine, run_dir)


@pytest.mark.parametrize("born", [1, 2, 4])
def test_F_PRC_05_ctrl_c_while_the_processes_start(tmp_path: Path, born: int) -> None:
    """A terminal sends it to the whole group, also to children that have not yet said that they ignore it."""
    with running(tmp_path, *ARGUMENTS) as engine:
        until((tmp_path / "current.json").exists, "word of the run directory")
        until(lambda: len(psutil.Process(engine.process.pid).children()) > born, f"{born} children")
        run_dir = engine.run_dir()
        os.killpg(engine.process.pid, signal.SIGINT)
        ended_in_order(engine, run_dir)


def test_F_PRC_05_closed_terminal(tmp_path: Path) -> None:
    with running(tmp_path, *ARGUMENTS) as engine:
        engine.await_state("ACTIVE")
        run_dir, journal_path = engine.run_dir(), engine.journal()
        os.killpg(engine.process.pid, signal.SIGHUP)
        ended_in_order(engine, run_dir)
        assert engine.status()["restarts"] == 0
        with open_journal(journal_path) as journal:
            assert journal.verify().state == "ok"


def test_a_reader_that_leaves_does_not_end_the_run(tmp_path: Path) -> None:
    with running(tmp_path, *ARGUMENTS) as engine:
        assert engine.process.stdout is not None
        engine.process.stdout.readline()
        engine.process.stdout.close()
        engine.await_state("ACTIVE")
        run_dir = engine.run_dir()
        engine.interrupt()
        assert engine.process.wait(60) == 0, engine.stderr
        assert engine.stderr == ""
        assert_nothing_left(engine, run_dir)


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    with running(tmp_path, *ARGUMENTS, TBOT_HOME="/proc/nowhere") as engine:
        code, _ = engine.finish()
        assert code == 3
        assert engine.stderr.startswith("tbot: ")
        assert engine.stderr.count("\n") == 1
