"""SIGKILL of each process of the running engine: it recovers, or it stops cleanly; nothing is left behind."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from engine_runs import Command, assert_nothing_left, open_journal, running, until
from tbot.domain.messages import ConditionIn

ARGUMENTS = ("run", "--contracts", "MNQ,MES", "--speed", "60", "--quiet")


def assert_journal_intact(path: Path) -> None:
    with open_journal(path) as journal:
        assert journal.verify().state in ("ok", "torn")


def whole_again(status: dict[str, Any]) -> bool:
    """One restart, trading, and every contract's stream trusted by worker and Desk alike."""
    contracts = status["contracts"].values()
    trusted = all(contract["live"] and contract["feed"] == "ok" for contract in contracts)
    return status["restarts"] == 1 and status["state"] == "ACTIVE" and trusted


def stop_orderly(engine: Command) -> None:
    """Ctrl-C, exit code 0 (proven flat), nothing left, journal whole."""
    run_dir, journal = engine.run_dir(), engine.journal()
    engine.interrupt()
    code, _ = engine.finish()
    assert code == 0, engine.stderr
    assert_nothing_left(engine, run_dir)
    assert_journal_intact(journal)


@pytest.mark.parametrize("victim", ["feed", "worker-MNQ", "executor"])
def test_F_PRC_01_killed_process_is_replaced(tmp_path: Path, victim: str) -> None:
    with running(tmp_path, *ARGUMENTS) as engine:
        engine.await_state("ACTIVE")
        old = engine.pid(victim)
        os.kill(old, signal.SIGKILL)
        until(lambda: engine.status()["processes"][victim]["pid"] not in (0, old), f"a new {victim}")
        until(lambda: whole_again(engine.status()), f"ACTIVE and live after {victim} was killed", seen=engine.status)
        stop_orderly(engine)


@pytest.mark.long
@pytest.mark.parametrize("stopped_s", [1, 8])
def test_F_TIM_02_the_whole_engine_is_stopped_and_goes_on(tmp_path: Path, stopped_s: int) -> None:
    """Nobody is taken for dead; after a long stop the Desk hears of it, and trades again with new data."""
    with running(tmp_path, *ARGUMENTS) as engine:
        engine.await_state("ACTIVE")
        pids = {name: process["pid"] for name, process in engine.status()["processes"].items()}
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for process in engine.family():
                process.send_signal(number)
            if number == signal.SIGSTOP:
                time.sleep(stopped_s)  # the fault itself

        def told() -> list[tuple[str, bool]]:
            with open_journal(engine.journal()) as journal:
                inputs = [step.item for step in journal.steps() if isinstance(step.item, ConditionIn)]
            return [(item.code, bool(item.text)) for item in inputs]

        if stopped_s > 5:
            # RC_CLOCK may come and go as well: a Date header that was on its way for so long is far off.
            until(lambda: dict(told()).get("RC_RESUMED") is False, "the pause and its end", seen=told)
            assert told()[0] == ("RC_RESUMED", True)
        until(lambda: engine.status()["state"] == "ACTIVE", "ACTIVE", seen=engine.status)
        status = engine.status()
        assert {name: process["pid"] for name, process in status["processes"].items()} == pids
        assert status["conditions"]["held"] == {}
        until(
            lambda: all(contract["feed"] == "ok" for contract in engine.status()["contracts"].values()),
            "market data in order",
            seen=engine.status,
        )
        stop_orderly(engine)


def test_F_PRC_03_killed_launcher_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path, *ARGUMENTS) as engine:
        engine.await_state("ACTIVE")
        run_dir, journal = engine.run_dir(), engine.journal()
        os.kill(engine.process.pid, signal.SIGKILL)
        engine.process.wait(10)
        # C_STOP_GRACE of the executor and two seconds, times three for a busy machine (design ruling 27).
        assert_nothing_left(engine, run_dir, patience_s=36)
        assert_journal_intact(journal)


def test_killed_embedded_gateway_stops_the_run(tmp_path: Path) -> None:
    with running(tmp_path, *ARGUMENTS) as engine:
        engine.await_state("ACTIVE")
        run_dir, journal = engine.run_dir(), engine.journal()
        os.kill(engine.pid("sim"), signal.SIGKILL)
        code, _ = engine.finish()
        assert code in (1, 11)
        assert "sim ended" in engine.stderr
        assert_nothing_left(engine, run_dir)
        assert_journal_intact(journal)


def test_F_PRC_05_second_ctrl_c_does_not_kill(tmp_path: Path) -> None:
    with running(tmp_path, *ARGUMENTS) as engine:
        engine.await_state("ACTIVE")
        run_dir = engine.run_dir()
        engine.interrupt()
        engine.interrupt()
        code, _ = engine.finish()
        assert code == 0, engine.stderr
        assert_nothing_left(engine, run_dir)
