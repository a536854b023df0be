"""-$800, or the second loss in a row, ends the day of the running engine: nothing that happens to it brings it back.

The gateway lives on; the engine is crashed, started again with its wall clock set back by a day, killed, and robbed of
its state directory. After each the account must say LOCKED for the same reason, and refuse the next signal.
"""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from engine_runs import Command, until
from scripted_trader import Cue
from session_run import SUPPORT, Referee, session, truth_of
from session_tape import MINUTE, START

BASE = 100_000
SPEED = 30
MINUTES = 240
WARM = 5  # minutes, ten seconds for the engine to become ready
# Up to where the story needs it the price says what happens; then every minute has a signal that must be denied. The
# price stands for six seconds after each decision: a busy machine fills late.
GAP = [(8, 0), (8.02, -420), (9, -420), (MINUTES, -420)]  # through a stop 40 ticks away
LOSSES = [(7, 0), (8, -45), (13, -45), (14, -100), (15, -60), (MINUTES, -60)]
STORIES = {
    "RC_DAILY_LOSS": (GAP, (3,)),
    "RC_CONSEC_LOSSES": (LOSSES, (3, 9)),
}


def account(engine: Command) -> dict[str, Any]:
    """The account by the engine's status; {} while there is none."""
    for found in engine.status().get("accounts", {}).values():
        assert isinstance(found, dict)
        return found
    return {}


def locked(engine: Command, code: str) -> bool:
    found = account(engine)
    return found.get("state") == "LOCKED" and code in [reason["code"] for reason in found["reasons"]]


def denied(engine: Command, code: str) -> int:
    return int(account(engine).get("denials", {}).get(code, 0))


def still_locked(engine: Command, referee: Referee, code: str, orders: int) -> None:
    """It says so, and the next signals are denied for it."""
    until(lambda: locked(engine, code), f"LOCKED by {code}", 90, engine.status)
    before = denied(engine, code)
    until(lambda: denied(engine, code) > before, "a signal denied", 60, engine.status)
    assert len(referee.posts("/api/Order/place")) == orders
    assert truth_of(referee.account())["positions"] == {}


@pytest.mark.parametrize("code", ["RC_DAILY_LOSS", pytest.param("RC_CONSEC_LOSSES", marks=pytest.mark.long)])
@pytest.mark.timeout(400)
def test_I12_I13_I14_the_day_stays_over(tmp_path: Path, code: str) -> None:
    waypoints, minutes = STORIES[code]
    prices = {"MNQ": [(0, BASE), *((WARM + minute, BASE + ticks) for minute, ticks in waypoints)]}
    cues = [Cue("MNQ", START + (WARM + minute) * MINUTE, 1, 40, 120) for minute in (*minutes, *range(16, MINUTES - 1))]
    with session(tmp_path, prices, cues, speed=SPEED) as (engine, referee):
        orders = len(minutes)
        still_locked(engine, referee, code, orders)
        lost = account(engine)["day_pnl_cents"]
        assert (lost <= -80_000) == (code == "RC_DAILY_LOSS")

        old = engine.pid("executor")  # crash
        os.kill(old, signal.SIGKILL)
        until(lambda: engine.pid("executor") not in (0, old), "a new executor")
        still_locked(engine, referee, code, orders)

        engine.interrupt()  # orderly restart, and yesterday by the wall clock
        assert engine.finish(90)[0] == 0, engine.stderr
        set_back = (str(SUPPORT / "kill_engine.py"), str(tmp_path / "script.json"), "CLOCK-1d")
        with engine.again(*set_back) as second:
            still_locked(second, referee, code, orders)
            assert second.status()["api"]["skew_ms"] < -86_000_000
            for process in second.family():  # power cut, and the state directory is gone
                process.kill()
            second.process.wait(10)
        shutil.rmtree(second.home / "sim")
        with second.again() as third:
            still_locked(third, referee, code, orders)
            assert account(third)["day_pnl_cents"] == lost
            third.interrupt()
            assert third.finish(90)[0] == 0, third.stderr
