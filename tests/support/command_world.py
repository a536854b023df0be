"""Commands as a person meets them: a home folder with runs, an executor and an emergency exit that follow a script."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tbot.cli import root
from tbot.commands import operate
from tbot.domain.process_messages import AccountWord, ControlReply
from tbot.engine import control
from tbot.errors import TbotError
from tbot.panic import program

WORD = AccountWord(1001, "PRAC-1", True, "paused", "PAUSED", "", True, True)
HOLDING = replace(WORD, said="", state="REDUCING", flat=False, clear=False, still_open="MNQ +5, 2 working orders")
DONE = replace(WORD, said="", state="LOCKED")
NOBODY = 2**22 + 7  # no process has this number


def said(*words: AccountWord, refused: str = "", text: str = "") -> ControlReply:
    return ControlReply("r", refused, text, words)


class World:
    """A TBOT_HOME with runs, an executor that answers by script, and an emergency exit that only notes its orders."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.monkeypatch = home, monkeypatch
        self.asked: list[tuple[Any, ...]] = []
        self.answers: list[ControlReply | None] = []
        self.answers_of: dict[str, list[ControlReply | None]] = {}  # by run directory, before `answers`
        self.orders: list[tuple[Any, ...]] = []
        self.proven = True
        monkeypatch.setenv("TBOT_HOME", str(home))
        monkeypatch.chdir(home)
        for name in ("TBOT_USERNAME", "TBOT_API_KEY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(control, "ask_once", self._ask)
        monkeypatch.setattr(program, "panic", self._panic)
        monkeypatch.setattr(operate, "LOOK_S", 0.0)
        monkeypatch.setattr(operate, "SILENT_S", 0.05)

    def _ask(self, run_dir: Path, verb: str, *rest: Any, patience_s: float) -> ControlReply | None:
        assert patience_s <= 3.0
        self.asked.append((run_dir.name, verb, *rest))
        answers = self.answers_of.get(run_dir.name, self.answers)
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def _panic(self, *order: Any) -> Any:
        self.orders.append(order[:4])
        order[4]("account 1001: closing")
        return program.Result(self.proven, (), "" if self.proven else "account 1001: the gateway told nothing")

    def run(
        self, mode: str = "sim", *, pid: int | None = None, embedded: bool = False, newest: bool = True, start: int = 0,
        temporary: bool = False,
    ) -> None:  # fmt: skip
        """A run that left word of itself; without `pid` it lives (it is this process)."""
        folder = self.home / "elsewhere" / mode if temporary else self.home / mode
        run_dir = self.home / (f"run-{mode}-temporary" if temporary else f"run-{mode}")
        folder.mkdir(exist_ok=True, parents=True)
        run_dir.mkdir(exist_ok=True)
        document = {
            "status": str(folder / "status.json"), "run_dir": str(run_dir), "pid": os.getpid() if pid is None else pid,
            "mode": mode, "gateway": "http://127.0.0.1:9", "embedded": embedded, "accounts": [7],
            "start": start,
        }  # fmt: skip
        more = [self.home / "current.json"] if newest else []
        more += [self.home / "temporary.json"] if temporary else []
        for path in (folder / "run.json", *more):
            path.write_text(json.dumps(document))
        status = {"schema": "tbot.status", "market_ns": 1_795_185_000_000_000_000, "accounts": {"1001": {}}}
        (folder / "status.json").write_text(json.dumps(status))

    def tbot(self, *arguments: str, login: bool = False) -> Result:
        environment = {"TBOT_USERNAME": "u", "TBOT_API_KEY": "k"} if login else {}
        return CliRunner().invoke(root, arguments, env=environment, standalone_mode=False)


def code(result: Result) -> int:
    """The exit code that the command line would end with."""
    error = result.exception
    if isinstance(error, TbotError):
        return error.exit_code
    if error is not None and hasattr(error, "exit_code"):
        return int(error.exit_code)
    assert error is None, error
    return int(result.return_value)
