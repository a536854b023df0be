"""A killed process that comes back slowly, or to a gateway that does not answer, is not taken for a whole one."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from engine_runs import Command, running, until
from tbot.engine.worker import READER_SLOTS
from tbot.transport.shm import Segment
from tbot_ext.ring import RingReader


def newborn(engine: Command, known: set[int]) -> int:
    """Pid of the process that the launcher started anew."""
    children = {child.pid for child in psutil.Process(engine.process.pid).children()}
    return next(iter(children - known), 0)


def await_ticks(engine: Command, symbol: str, count: int) -> None:
    """Wait until this many more records are in the contract's ring."""
    segment = Segment.attach(engine.run_dir(), f"ring.{symbol}")
    reader = RingReader(segment.buf, READER_SLOTS["recorder"], "newest")
    target = reader.written + count
    until(lambda: reader.written >= target, f"{count} ticks")
    reader.close()
    segment.close()


def test_F_PRC_01_a_worker_that_starts_slowly_still_gets_its_history(tmp_path: Path) -> None:
    """History that comes before the new worker looks at its ring is lost to it: it is asked for at its first beat."""
    with running(tmp_path, "run", "--contracts", "MES", "--speed", "200", "--quiet") as engine:
        engine.await_state("ACTIVE")
        known = {child.pid for child in psutil.Process(engine.process.pid).children()}
        os.kill(engine.pid("worker-MES"), signal.SIGKILL)
        pid = until(lambda: newborn(engine, known), "a new worker")
        os.kill(pid, signal.SIGSTOP)
        await_ticks(engine, "MES", 20_000)  # some market minutes: more than the feed needs for a download
        os.kill(pid, signal.SIGCONT)
        until(lambda: engine.status()["contracts"]["MES"]["live"], "the new worker is live", seen=engine.status)
        assert engine.status()["contracts"]["MES"]["bars"]["1h"] > 20
        engine.interrupt()
        code, _ = engine.finish()
        assert code == 0, engine.stderr


@pytest.mark.long
def test_I3_a_new_executor_that_cannot_ask_does_not_claim_to_be_flat(tmp_path: Path) -> None:
    """It knows nothing of what its killed predecessor sent: without the gateway's word the end is not proven."""
    with running(tmp_path / "sim", "sim", "--start", "2026-11-20T14:30:00Z", "--contracts", "MES") as sim:
        ready = sim.first_line()
        login = {"TBOT_USERNAME": ready["user_name"], "TBOT_API_KEY": ready["api_key"]}
        arguments = ("run", "--gateway", ready["rest"], "--contracts", "MES", "--quiet")
        with running(tmp_path / "home", *arguments, **login) as engine:
            engine.await_state("ACTIVE")
            old = engine.pid("executor")
            sim.process.send_signal(signal.SIGSTOP)
            os.kill(old, signal.SIGKILL)
            until(lambda: engine.pid("executor") not in (0, old), "a new executor")
            engine.interrupt()
            code, _ = engine.finish(120)
            assert code == 11, engine.stderr
            assert engine.status()["state"] == "NOT_FLAT"
            sim.process.send_signal(signal.SIGCONT)
