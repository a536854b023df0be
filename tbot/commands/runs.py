"""The runs of this user as they left word of themselves: where they are, whether they live, what they trade.

Light, and forgiving: an emergency must not end at a damaged file.
"""

import contextlib
import json
import os
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click

from tbot.errors import Halted, TbotError
from tbot.home import emergency_home
from tbot.storage import control_key
from tbot.storage.control_key import ControlKey
from tbot.storage.kill_locks import KillLocks
from tbot.transport.process_identity import machine_boot, process_space, process_start

MODES = ("live", "paper", "sim")
RUN_FILE, NEWEST, TEMPORARY = "run.json", "current.json", "temporary.json"  # see engine/state_dir.py
BADGES = {"sim": "DEMO", "paper": "PAPER", "live": "LIVE", "replay": "REPLAY"}


class NotRunning(TbotError):
    """There is no engine to ask."""

    exit_code = 7


@dataclass(frozen=True, slots=True)
class Run:
    """One run by its own word."""

    mode: str
    state_dir: Path
    run_dir: Path
    pid: int  # of the launcher
    gateway: str | None
    embedded: bool
    pinned: tuple[int, ...] = ()
    start: int = 0  # of the launcher's process (see process_start); 0: not told, as by earlier versions
    space: int = -1  # of the launcher's number (see process_space); -1: not told
    boot: str = "not told"  # of the launcher's machine (see machine_boot)

    @property
    def name(self) -> str:
        """For a person."""
        return f"{BADGES.get(self.mode, self.mode)} run"

    @property
    def at_broker(self) -> bool:
        """Whether its orders are at a gateway; those of paper and replay are in its own memory only."""
        return self.mode in ("sim", "live")

    def alive(self) -> bool:
        """Whether its launcher or its executor is there."""
        if not self.run_dir.is_dir():
            return False
        executor = self._executor()
        return _lives(self.pid, self.start) or (executor is not None and _lives(executor.pid, executor.start))

    @property
    def temporary(self) -> bool:
        """Whether its state is in a folder of its own that a later run removes: the demo, a replay."""
        return self.state_dir.resolve() != emergency_home() / self.mode

    def launcher_is_gone(self) -> bool:
        """Whether its launcher surely ended. False when that cannot be told: numbers mean others in a container, or
        where this is the disk of another machine.
        """
        here = self.space == process_space() and self.boot == machine_boot()
        return here and not _lives(self.pid, self.start)

    def executor_lives(self) -> bool:
        """Whether its executor is there, as far as that can be told."""
        executor = self._executor()
        return executor is not None and _lives(executor.pid, executor.start)

    def executor_is_out(self) -> bool:
        """Whether its executor surely answers nothing now: dead, or stopped. False when that cannot be told."""
        executor = self._executor()
        if executor is None:
            return False
        return not _lives(executor.pid, executor.start) or _state_of(executor.pid) in ("T", "t")

    def _executor(self) -> ControlKey | None:
        """Its executor's process; None when that cannot be told: somebody may have tampered with the key file."""
        try:
            return control_key.read_key(self.run_dir)
        except Halted:
            return None

    def status(self) -> dict[str, Any]:
        """Its status document; {} when it cannot be read."""
        document = _document(self.state_dir / "status.json")
        return document if document.get("schema") == "tbot.status" else {}

    def accounts(self) -> list[int]:
        """The accounts it trades or traded, by its status, or those that its settings pin; none known: []."""
        accounts = self.status().get("accounts")
        told = [int(name) for name in accounts if name.isdecimal()] if isinstance(accounts, dict) else []
        return told or list(self.pinned)

    def may_trade(self, account: int | None) -> bool:
        """Whether an account (None: any) is one of its, as far as that is known."""
        own = self.accounts()
        return account is None or not own or account in own

    def ended_flat(self) -> bool:
        """Whether its last words are that it ended in order, with every account flat of what was its."""
        status = self.status()
        accounts = status.get("accounts")
        if status.get("state") != "STOPPED" or status.get("ended") is not True or not isinstance(accounts, dict):
            return False
        words = [isinstance(account, dict) and account.get("flat") is True for account in accounts.values()]
        return bool(words) and all(words)

    def day(self) -> date:
        """The trading day it is in: by its market time, which differs from the clock's against a simulator."""
        market_ns = self.status().get("market_ns")
        if isinstance(market_ns, int) and market_ns > 0:
            with contextlib.suppress(OverflowError, ValueError, OSError):  # no time of any calendar
                return trading_day(market_ns)
        return trading_day(time.time_ns())

    def locks(self) -> KillLocks:
        """Its kill switch's lock files."""
        base = emergency_home()
        return KillLocks(self.state_dir, base if self.state_dir.parent == base else None, self.mode)


def trading_day(now_ns: int) -> date:
    """See tbot.domain.trading_hours; loaded when a lock file needs it, for a kill that is answered has 300 ms."""
    from tbot.domain import trading_hours

    return trading_hours.trading_day(now_ns)


def _lives(pid: int, start: int) -> bool:
    """Whether this very process is there: its number may have gone to another one. `start` 0: the number must do.

    Only what is proven dead is dead: an emergency looks rather at one engine too many.
    """
    try:
        found = process_start(pid)
    except (OSError, ValueError, IndexError, OverflowError):
        return True
    return found is not None and start in (0, found)


def _state_of(pid: int) -> str:
    """The kernel's letter for what a process does ("T": stopped); "?" when nobody can tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "?"


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _told(place: Path) -> Run | None:
    """The run that left this word of itself; None when it is none."""
    document = _document(place)
    try:
        return Run(
            mode=str(document["mode"]),
            state_dir=Path(document["status"]).parent,
            run_dir=Path(document["run_dir"]),
            pid=int(document["pid"]),
            gateway=None if document["gateway"] is None else str(document["gateway"]),
            embedded=bool(document["embedded"]),
            pinned=tuple(int(account) for account in document.get("accounts", ())),
            start=int(document.get("start", 0)),
            space=int(document.get("space", -1)),
            boot=str(document.get("boot", "not told")),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def run_of(state_dir: Path) -> Run | None:
    """The run that has, or had last, its state in this folder; None when none left word there."""
    return _told(state_dir / RUN_FILE)


def pointed_at() -> list[Path]:
    """Status files of runs whose state may be anywhere: the newest run's, and the last temporary one's."""
    told = [_document(emergency_home() / name).get("status") for name in (NEWEST, TEMPORARY)]
    return [Path(status) for status in told if isinstance(status, str)]


def known_runs() -> list[Run]:
    """The newest run, the last one of each mode that lasts, and the last temporary one; dead or alive."""
    base = emergency_home()
    places = [base / NEWEST, *(base / mode / RUN_FILE for mode in MODES), base / TEMPORARY]
    found: dict[Path, Run] = {}
    for place in places:
        run = _told(place)
        if run is not None:
            found.setdefault(run.run_dir, run)
    return list(found.values())


def living_runs(mode: str | None) -> list[Run]:
    """Runs that are there now: those whose state lasts before a demo beside them, and the newest first."""
    living = [run for run in known_runs() if mode in (None, run.mode) and run.alive()]
    return sorted(living, key=lambda run: run.temporary)


def vanished_runs() -> list[Run]:
    """Runs whose state lasts and that are no longer there, though nobody has said that they ended."""
    lost = [run for run in known_runs() if not run.temporary and run.launcher_is_gone() and not run.alive()]
    return [run for run in lost if run.status().get("ended") is False]


def the_run(mode: str | None) -> Run:
    """The one run that is meant; NotRunning when there is none, a usage error when there are several.

    A demo beside a run whose state lasts is not meant, unless `mode` names it alone.
    """
    found = living_runs(mode)
    if not found:
        kind = f"{BADGES[mode]} engine" if mode else "engine"
        raise NotRunning(f"no {kind} runs here; start one with tbot run, or close what is open with tbot kill")
    lasting = [run for run in found if not run.temporary]
    if len(lasting or found) > 1:
        modes = ", ".join(run.mode for run in found)
        raise click.UsageError(f"several engines run ({modes}): choose one with --mode")
    return found[0]


def left_alone(run: Run) -> list[str]:
    """Words on a demo that lives beside the run that was asked: nobody shall think that it was meant, too."""
    beside = [other for other in living_runs(None) if other.temporary and other.run_dir != run.run_dir]
    return [f"left alone: the {other.name} beside it, process {other.pid}" for other in beside]


def lock_files(
    run: Run | None, account: int | None, by: str, mode: str | None = None
) -> tuple[list[str], list[str]]:
    """Write the kill switch's lock files: of one run, or (None) of every mode: those that have a state here, and live.

    `mode`: of this one only. Returns the files, and what could not be written.
    """
    wanted = {living.state_dir: (living.locks(), living.day()) for living in ([run] if run else living_runs(mode))}
    if run is None:
        base, today = emergency_home(), trading_day(time.time_ns())
        for name in (mode,) if mode else MODES:
            if base / name not in wanted and (mode or name == "live" or os.path.isdir(base / name)):
                wanted[base / name] = (KillLocks(base / name, base, name), today)
    written: list[str] = []
    problems: list[str] = []
    for locks, day in wanted.values():
        failed = locks.put(account, day, by)
        problems += failed
        written += [str(path) for path in locks.paths(account) if not any(str(path) in text for text in failed)]
    return written, problems
