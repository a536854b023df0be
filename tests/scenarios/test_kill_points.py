"""SIGKILL at each listed point of the running engine (failure-model section 6), the gateway living on.

One trade by script: long at minute 3, up to its target at minute 9, then a second one. Wherever a process died,
the venue must see no tag twice, no position without a stop that lasts, and at the end nothing open; the journal must be
whole, and replay to what was decided. Five points run with every change, all of them under `long`.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine_runs import Command, assert_nothing_left, running, until
from kill_rig import TRAPS, VICTIM
from scripted_trader import Cue
from session_run import (
    SUPPORT,
    Referee,
    assert_journal_is_whole,
    assert_venue_was_spared,
    session,
    truth_of,
)
from session_tape import MINUTE, START

BASE = 100_000
PRICES = [(0, 0), (5, 0), (9, 75), (12, 75), (16, 150), (60, 150)]
CUES = [Cue("MNQ", START + 3 * MINUTE, 1, 40, 60), Cue("MNQ", START + 10 * MINUTE, 1, 40, 60)]
PARTIAL = json.dumps({"id": "part", "name": "order.partial", "after": 1, "args": {"sizes": [2]}})
BREAK_EVEN = "[risk]\nbreak_even_percent = 50\n"
SPEED = 20

QUICK = ("K-EX-03", "K-EX-05", "K-EX-07", "K-WK-03", "K-LA-03")
# Placements of the first signal that may reach the gateway.
FIRST_ORDERS = {"K-EX-01": 0, "K-EX-02": 0, "K-EX-03": 0, "K-EX-04": 0, "K-EX-05#part": 0, "K-WK-02": 0}
FLATTENS = [f"K-EX-{number}" for number in range(10, 16)]
ELSEWHERE = ("CLOCK-1d", "F-PRC-06", "K-EX-16", "K-EX-20", *FLATTENS)  # other stories, below
ONE_TRADE = [point for point in TRAPS if point not in ELSEWHERE]


def marks(point: str) -> tuple[pytest.MarkDecorator, ...]:
    return () if point in QUICK else (pytest.mark.long,)


def each(points: list[str]) -> list[Any]:
    return [pytest.param(point, marks=marks(point), id=point.replace("-", "_").replace("#", "_")) for point in points]


def killed(engine: Command) -> bool:
    return (engine.home / "killed").exists()


def held(referee: Referee) -> dict[str, Any]:
    return dict(truth_of(referee.account())["positions"])


def placements(referee: Referee) -> list[dict[str, Any]]:
    return referee.posts("/api/Order/place")


def is_protected(referee: Referee) -> bool:
    """Whether the venue has a working stop for all that is held."""
    account = referee.account()
    stops = sum(
        order["size"] - order["filled"]
        for order in account["orders"]
        if order["status"] == "open" and order["order_type"] == "stop"
    )
    return stops >= sum(abs(size) for size, _ in held(referee).values())


def finish(engine: Command, referee: Referee) -> None:
    """Ctrl-C: exit code 0, proven flat, nothing left behind."""
    run_dir, journal = engine.run_dir(), engine.journal()
    engine.interrupt()
    code, _ = engine.finish(90)
    assert code == 0, engine.stderr
    assert_nothing_left(engine, run_dir)
    assert_venue_was_spared(referee)
    assert_journal_is_whole(journal)


@pytest.mark.parametrize("point", each(ONE_TRADE))
def test_K_EX_01_to_19_K_FD_03_to_04_K_WK_01_to_03_one_trade(tmp_path: Path, point: str) -> None:
    prices = {"MNQ": [(minute, BASE + ticks) for minute, ticks in PRICES]}
    faults = PARTIAL if point == "K-EX-08" else ""
    config = BREAK_EVEN if point == "K-EX-09" else ""
    with session(
        tmp_path, prices, losing(CUES) if point == "K-EX-19" else CUES, speed=SPEED, config=config, faults=faults,
        kill_point=point, wait=False,
    ) as (engine, referee):  # fmt: skip
        until(lambda: killed(engine), f"{VICTIM[point]} at {point}", 90, engine.status)
        until(lambda: engine.status().get("restarts") == 1, "the restart", 60, engine.status)
        engine.await_state("ACTIVE", 90)
        until(lambda: is_protected(referee), "a stop for what is held", 30)
        first = FIRST_ORDERS.get(point)
        if first is not None:
            early = [entry for entry in placements(referee) if entry["market_ns"] < START + 8 * MINUTE]
            assert len(early) == first
        until(lambda: len(placements(referee)) >= 1 or point in FIRST_ORDERS, "the trade", 60)
        until(lambda: not held(referee) or is_protected(referee), "flat or protected", 60)
        # An order that was never sent is UNKNOWN until C_UNKNOWN_HORIZON is over; before that nothing is proven flat.
        until(lambda: not unknown(engine), "UNKNOWN orders presumed dead", 120, engine.status)
        finish(engine, referee)


def unknown(engine: Command) -> list[str]:
    return [tag for account in engine.status()["accounts"].values() for tag in account["unknown"]]


def losing(cues: list[Cue]) -> list[Cue]:
    """The same signals, short: the rising market stops them out."""
    return [Cue(cue.contract, cue.bar_start_ns, -1, cue.stop_ticks, cue.target_ticks) for cue in cues]


@pytest.mark.parametrize("point", each(FLATTENS))
def test_K_EX_10_to_15_flatten(tmp_path: Path, point: str) -> None:
    """A person flattens; the executor dies after one of the steps; the next goes on by itself and keeps the pause."""
    prices = {"MNQ": [(minute, BASE + ticks) for minute, ticks in [*PRICES[:2], (60, 0)]]}
    # The partial fill leaves an entry working, which the flatten has to cancel.
    faults = PARTIAL if point == "K-EX-11" else ""
    config = "[risk]\nentry_timeout_ns = 60_000_000_000\n" if point == "K-EX-11" else ""
    with session(tmp_path, prices, CUES[:1], speed=SPEED, faults=faults, config=config, kill_point=point) as (
        engine, referee,
    ):  # fmt: skip
        until(lambda: held(referee) and is_protected(referee), "a protected position", 90)
        operator = subprocess.Popen(
            [sys.executable, "-m", "tbot", "flatten"],
            env={**os.environ, "TBOT_HOME": str(engine.home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: killed(engine), point, 60, engine.status)
        until(lambda: engine.status().get("restarts") == 1, "the restart", 60, engine.status)
        until(lambda: not held(referee), "flat by itself", 60, engine.status)
        engine.await_state("PAUSED", 60)
        operator.wait(60)
        finish(engine, referee)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and Linux's memory limits")
def test_F_PRC_06_a_worker_that_eats_all_memory_is_replaced(tmp_path: Path) -> None:
    """It would be the first to go when the machine runs out; the executor and the launcher stay."""
    prices = {"MNQ": [(0, BASE), (60, BASE)]}
    with session(tmp_path, prices, [], speed=SPEED, kill_point="F-PRC-06", wait=False) as (engine, _):
        until(lambda: killed(engine), "the bomb", 60, engine.status)
        until(lambda: engine.status().get("restarts") == 1, "the restart", 60, engine.status)
        engine.await_state("ACTIVE", 60)
        until(lambda: engine.status()["contracts"]["MNQ"]["live"], "the new worker is live", 60, engine.status)

        def score(pid: int) -> int:
            return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

        others = (engine.process.pid, engine.pid("executor"), engine.pid("feed"))
        assert score(engine.pid("worker-MNQ")) > max(map(score, others))
        engine.interrupt()
        assert engine.finish(60)[0] == 0, engine.stderr


@pytest.mark.long
def test_K_EX_16_lock_decided_not_recorded(tmp_path: Path) -> None:
    """The price jumps through the stop to a loss beyond the day's limit; the lock is derived from the trades again."""
    prices = {"MNQ": [(0, BASE), (6, BASE), (6.02, BASE - 420), (60, BASE - 420)]}
    with session(tmp_path, prices, CUES, speed=SPEED, kill_point="K-EX-16") as (engine, referee):
        until(lambda: killed(engine), "K-EX-16", 90, engine.status)
        until(lambda: engine.status().get("restarts") == 1, "the restart", 60, engine.status)
        engine.await_state("LOCKED", 60)
        (account,) = engine.status()["accounts"].values()
        assert "RC_DAILY_LOSS" in [reason["code"] for reason in account["reasons"]]
        finish(engine, referee)


@pytest.mark.long
def test_K_EX_20_trading_day_rollover(tmp_path: Path) -> None:
    """Locked by the kill switch before 17:00 in Chicago, dead at the turn: the new day begins without the lock."""
    arguments = ("sim", "--start", "2026-11-18T22:50:00Z", "--speed", "20", "--contracts", "MNQ")
    with running(tmp_path / "sim", *arguments) as sim:
        ready = sim.first_line()
        login = {"TBOT_USERNAME": ready["user_name"], "TBOT_API_KEY": ready["api_key"]}
        (tmp_path / "script.json").write_text("[]")
        program = (str(SUPPORT / "kill_engine.py"), str(tmp_path / "script.json"), "K-EX-20")
        run = ("run", "--gateway", ready["rest"], "--contracts", "MNQ", "--quiet")
        with running(tmp_path / "run", *run, program=program, PYTHONPATH=str(SUPPORT), **login) as engine:
            (tmp_path / "run" / "sim").mkdir(mode=0o700, exist_ok=True)
            (tmp_path / "run" / "sim" / "kill.all").touch(0o600)
            engine.await_state("LOCKED", 60)
            until(lambda: killed(engine), "K-EX-20", 90, engine.status)
            until(lambda: engine.status().get("restarts") == 1, "the restart", 60, engine.status)
            until(lambda: engine.status()["state"] not in ("LOCKED", "STARTING"), "the next day", 60, engine.status)
            (account,) = engine.status()["accounts"].values()
            assert account["day"] == "2026-11-19"
            assert "RC_KILL_SWITCH" not in [reason["code"] for reason in account["reasons"]]
            engine.interrupt()
            assert engine.finish(60)[0] == 0, engine.stderr


@pytest.mark.parametrize("point", each(["K-LA-01#1", "K-LA-01#2", "K-LA-01#3", "K-LA-03", "K-LA-04"]))
def test_K_LA_01_to_04_launcher(tmp_path: Path, point: str) -> None:
    """No orphan, the lock free, the account flat; and a new engine starts on the same state."""
    prices = {"MNQ": [(minute, BASE + ticks) for minute, ticks in PRICES]}
    with session(tmp_path, prices, CUES, speed=SPEED, kill_point=point, wait=False) as (engine, referee):
        if not point.startswith("K-LA-01"):
            engine.await_state("ACTIVE")
            until(lambda: held(referee), "a position", 90)
            engine.interrupt()
        engine.process.wait(60)
        assert killed(engine)
        # C_STOP_GRACE of the executor and two seconds, times three for a busy machine (design ruling 27).
        until(lambda: not engine.family(), f"processes left: {engine.family()}", 36)
        assert_venue_was_spared(referee)


@pytest.mark.long
def test_K_ALL_01_power_cut(tmp_path: Path) -> None:
    """Everything dies at once with a position open; the next engine on the same state finds and keeps or closes it."""
    prices = {"MNQ": [(minute, BASE + ticks) for minute, ticks in [*PRICES[:2], (40, 0), (60, 0)]]}
    with session(tmp_path, prices, CUES[:1], speed=SPEED) as (engine, referee):
        until(lambda: held(referee), "a position", 90)
        until(lambda: is_protected(referee), "its stop", 10)
        journal = engine.journal()
        for process in engine.family():
            process.kill()
        engine.process.wait(10)
        with engine.again() as fresh:
            fresh.await_state("ACTIVE", 90)
            assert len(placements(referee)) == 1
            assert is_protected(referee)
            assert fresh.journal() == journal
            finish(fresh, referee)


def test_K_DB_01_killed_readers_are_noticed_by_nobody(tmp_path: Path) -> None:
    """Readers of status and journal die in the middle of their work, again and again."""
    with running(tmp_path, "run", "--contracts", "MNQ", "--speed", "60", "--quiet") as engine:
        engine.await_state("ACTIVE")
        before = {name: process["pid"] for name, process in engine.status()["processes"].items()}
        for command in (("status",), ("signals",)) * 3:
            reader = subprocess.Popen(
                [sys.executable, "-m", "tbot", *command, "--json"],
                env={**os.environ, "TBOT_HOME": str(tmp_path)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            until(lambda reader=reader: psutil.Process(reader.pid).num_threads() >= 1, "the reader")
            reader.send_signal(signal.SIGKILL)
            reader.wait()
        status = engine.status()
        assert {name: process["pid"] for name, process in status["processes"].items()} == before
        assert (status["state"], status["restarts"]) == ("ACTIVE", 0)
        engine.interrupt()
        assert engine.finish()[0] == 0
