"""The dashboard in a real terminal on a real engine: seen, resized, used, killed, left; the engine's end survived."""

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from engine_runs import Command, running, until
from tbot.transport.shm import Segment
from tbot_ext.ring import reader_positions
from terminal import Terminal, needs_tmux

pytestmark = [pytest.mark.terminal, needs_tmux]
CANDLES = "┃│╽╿╻╹╷╵"


def dashboard(folder: Path, home: Path, *arguments: str, columns: int = 80, rows: int = 24) -> Terminal:
    command = f"{sys.executable} -m tbot dashboard {' '.join(arguments)}; echo code=$?; cat"
    return Terminal(folder, command, columns, rows, {"TBOT_HOME": str(home), "COLORTERM": "truecolor"})


def slots(engine: Command) -> list[int]:
    """Published positions of a ring's reader slots."""
    with Segment.attach(engine.run_dir(), "ring.MNQ", writable=False) as segment:
        return reader_positions(segment.buf)


def test_K_DB_01_a_real_engine_in_a_real_terminal(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(home, "run", "--contracts", "MNQ", "--workers", "1", "--json") as engine:
        with dashboard(tmp_path, home, "--wait") as terminal:
            terminal.await_screen(lambda text: " DEMO  MNQ 1m " in text and "ACTIVE" in text, "the engine is seen")
            text = terminal.await_screen(lambda text: sum(map(text.count, CANDLES)) > 60, "candles")
            assert max(map(len, text.splitlines())) <= 80
            assert "? help" in text.splitlines()[-1]
            assert "48;2;" in terminal.screen(colours=True), "zones and header are shaded in full colour"
            terminal.resize(150, 42)
            terminal.await_screen(lambda text: "─ Risk ─" in text and "─ Processes ─" in text, "the wide screen")
            terminal.keys("2")
            terminal.await_screen(lambda text: "MNQ 5m" in text, "another timeframe")
            assert [position >= 0 for position in slots(engine)] == [True, True] + [False] * 6, "no slot is taken"
            terminal.keys("X")
            terminal.await_screen(lambda text: "type FLATTEN" in text, "the question")
            terminal.type("FLATTEN")
            terminal.keys("Enter")
            terminal.await_screen(lambda text: "✓ flat: proven by the broker's own lists" in text, "the proof")
            until(lambda: engine.status()["state"] == "PAUSED", "the status document says so within its second")
            terminal.keys("Escape")
            terminal.await_screen(lambda text: "✓ flat" not in text, "the dialog is closed")
            _killed_and_left(terminal, engine, tmp_path, home)
        engine.interrupt()
        assert engine.finish(90)[0] == 0
    assert not list(home.glob("**/*dashboard*")), "it leaves nothing"


def _killed_and_left(terminal: Terminal, engine: Command, folder: Path, home: Path) -> None:
    """One is killed hard and another one is left by its key; the engine goes on as if there had been none."""
    own = next(p for p in psutil.Process(terminal.pid()).children(recursive=True) if "dashboard" in p.cmdline())
    before = {name: process["pid"] for name, process in engine.status()["processes"].items()}
    restarts = engine.status()["restarts"]
    os.kill(own.pid, signal.SIGKILL)
    (folder / "second").mkdir()
    with dashboard(folder / "second", home, columns=150, rows=42) as second:
        second.await_screen(lambda text: "PAUSED" in text, "it attaches again")
        second.keys("q")
        second.await_screen(lambda text: "code=0" in text, "it is left")
    until(lambda: engine.status()["state"] == "PAUSED", "the engine goes on")
    after = {name: process["pid"] for name, process in engine.status()["processes"].items()}
    assert after == before
    assert engine.status()["restarts"] == restarts


def test_without_an_engine_the_terminal_is_told(tmp_path: Path) -> None:
    with dashboard(tmp_path, tmp_path / "home") as terminal:
        text = terminal.await_screen(lambda text: "code=" in text, "the end")
        words = " ".join(text.split())
        assert "tbot: no engine runs here; start one with tbot run in another terminal, or add --wait" in words
        assert "code=7" in text
