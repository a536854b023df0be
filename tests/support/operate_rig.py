"""A running engine with a position open at `tbot sim`, and what the ways of the kill switch need to know of it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine_runs import Command, until
from scripted_trader import Cue
from session_run import FINAL, Referee, session
from session_tape import MINUTE, START

BASE = 100_000
SPEED = 60
# One long position from minute 3 on, whose stop and target are out of reach; signals go on coming afterwards.
PRICES = {"MNQ": [(0, BASE), (360, BASE + 10)]}
CUES = [Cue("MNQ", START + minute * MINUTE, 1, 100, 300) for minute in (3, *range(20, 340, 5))]
VICTIMS = ("feed", "worker-MNQ", "executor", "launcher")


@dataclass
class Rig:
    """Engine, the venue's truth, and a login for commands."""

    engine: Command
    referee: Referee
    login: dict[str, str]

    def tbot(self, *arguments: str, login: bool = True, patience_s: float = 90) -> subprocess.CompletedProcess[str]:
        """`tbot <arguments>` on this engine's TBOT_HOME, to its end."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TBOT_")}
        environment = {**clean, "TBOT_HOME": str(self.engine.home), **(self.login if login else {})}
        return subprocess.run(
            [sys.executable, "-m", "tbot", *arguments],
            check=False, capture_output=True, text=True, env=environment, timeout=patience_s, cwd=self.engine.home,
        )  # fmt: skip

    def open_things(self) -> tuple[int, int]:
        """(positions, working orders) at the venue."""
        account = self.referee.account()
        working = [order for order in account["orders"] if order["status"] not in FINAL]
        return len([held for held in account["positions"] if held["size"]]), len(working)

    def is_flat(self) -> bool:
        return self.open_things() == (0, 0)

    def hurt(self, victim: str, number: signal.Signals) -> int:
        """Send a signal to a process of the engine; its pid."""
        pid = self.engine.process.pid if victim == "launcher" else self.engine.pid(victim)
        os.kill(pid, number)
        return pid

    def status(self) -> dict[str, Any]:
        return self.engine.status()

    def account_id(self) -> int:
        return int(next(iter(self.status()["accounts"])))

    def placements(self) -> int:
        return len(self.referee.posts("/api/Order/place"))


@contextlib.contextmanager
def holding(folder: Path, config: str = "") -> Iterator[Rig]:
    """An engine that holds a protected position and is ACTIVE."""
    with session(folder, PRICES, CUES, speed=SPEED, config=config) as (engine, referee):
        ready = json.loads((folder / "ready.json").read_text())
        rig = Rig(engine, referee, {"TBOT_USERNAME": ready["user_name"], "TBOT_API_KEY": ready["api_key"]})
        until(lambda: rig.open_things() == (1, 2), "a position with both legs", 90, rig.status)
        until(lambda: any(place["protected"] for place in _positions(rig)), "the engine knows it", 30, rig.status)
        yield rig


def _positions(rig: Rig) -> list[dict[str, Any]]:
    return [place for account in rig.status()["accounts"].values() for place in account["positions"]]


def flat_within(rig: Rig, since_s: float, patience_s: float) -> float:
    """Seconds from `since_s` (monotonic) until the venue shows neither position nor working order."""
    until(rig.is_flat, "flat with no working order", patience_s, rig.open_things)
    return time.monotonic() - since_s
