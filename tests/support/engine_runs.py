"""Runs the real commands in processes of their own and looks at them from outside, as a user could."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from tbot.storage.journal import Journal
from tbot.storage.journal_reader import JournalReader
from tbot.transport import wire

PATIENCE_S = 60.0


def until(
    condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S, seen: Callable[[], object] = str
) -> Any:
    """The first true value of `condition`, asked again and again; AssertionError with `what` and what is `seen`."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {patience_s:.0f} s: {what} {seen()}")


def open_journal(path: Path) -> JournalReader:
    """The journal of a run, for reading."""
    return Journal.open_readonly(path, wire)


TBOT = ("-m", "tbot")


class Command:
    """`tbot <arguments>` in a process and a TBOT_HOME of its own; `program` is what Python runs."""

    def __init__(self, home: Path, *arguments: str, program: tuple[str, ...] = TBOT, **environment: str) -> None:
        self.home = home
        self._made = (arguments, program, environment)
        home.mkdir(parents=True, exist_ok=True)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TBOT_")}
        self.process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            stdout=subprocess.PIPE,
            stderr=open(home / "stderr.txt", "wb"),  # noqa: SIM115
            env={**clean, "TBOT_HOME": str(home), **environment},
            cwd=home,
            text=True,
            start_new_session=True,
        )

    def again(self, *other: str) -> "contextlib.AbstractContextManager[Command]":
        """The same command once more, in the same TBOT_HOME; `other`: by another program."""
        arguments, program, environment = self._made
        return running(self.home, *arguments, program=other or program, **environment)

    @property
    def stderr(self) -> str:
        return (self.home / "stderr.txt").read_text()

    def first_line(self) -> dict[str, Any]:
        """The first line of stdout as JSON."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"no output; stderr: {self.stderr}"
        document = json.loads(line)
        assert isinstance(document, dict)
        return document

    def status(self) -> dict[str, Any]:
        """The status document, {} while there is none of this process (an earlier one may have left its own)."""
        pointer = self.home / "current.json"
        try:
            path = Path(json.loads(pointer.read_text())["status"])
            document = json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        assert isinstance(document, dict)
        return document if document.get("pid") == self.process.pid else {}

    def run_dir(self) -> Path:
        return Path(json.loads((self.home / "current.json").read_text())["run_dir"])

    def journal(self) -> Path:
        return Path(json.loads((self.home / "current.json").read_text())["journal"])

    def await_state(self, state: str, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait until the engine's own word about itself is `state`."""

        def reached() -> dict[str, Any] | None:
            assert self.process.poll() is None, f"the engine ended early: {self.stderr}"
            document = self.status()
            return document if document.get("state") == state else None

        try:
            document = until(reached, f"state {state}", patience_s)
        except AssertionError as error:
            seen = self.status()
            states = {name: process["state"] for name, process in seen.get("processes", {}).items()}
            raise AssertionError(f"{error}; last seen {seen.get('state')}: {seen.get('reason')}, {states}") from None
        assert isinstance(document, dict)
        return document

    def pid(self, name: str) -> int:
        return int(self.status()["processes"][name]["pid"])

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def finish(self, patience_s: float = PATIENCE_S) -> tuple[int, str]:
        """Wait for the end: (exit code, rest of stdout)."""
        out, _ = self.process.communicate(timeout=patience_s)
        return self.process.returncode, out

    def family(self) -> list[psutil.Process]:
        """Every living process of this command's session."""
        session = self.process.pid
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def destroy(self) -> None:
        """End whatever is left, however the test went."""
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.communicate(timeout=10)


@contextlib.contextmanager
def running(
    home: Path, *arguments: str, program: tuple[str, ...] = TBOT, **environment: str
) -> Iterator[Command]:
    """A command that is certainly gone afterwards."""
    command = Command(home, *arguments, program=program, **environment)
    try:
        yield command
    finally:
        command.destroy()


def assert_nothing_left(command: Command, run_dir: Path, patience_s: float = 9.0) -> None:
    """No process, shared memory or socket of the run remains.

    The patience is less than the eleven seconds after which a gateway that the launcher forgot ends by itself.
    """
    until(lambda: not command.family(), f"processes left: {command.family()}", patience_s)
    assert not run_dir.exists(), f"left in the run directory: {sorted(run_dir.iterdir())}"
