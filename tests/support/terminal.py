"""A real terminal: tmux on a server of its own, whose screen and keys a test has."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from engine_runs import until

TMUX = shutil.which("tmux")
needs_tmux = pytest.mark.skipif(TMUX is None, reason="tmux is not installed (apt install tmux)")
PATIENCE_S = 90.0  # the machine may be busy with everything else


class Terminal:
    """One window of `columns` x `rows` in which a command runs; use as a context manager."""

    def __init__(self, folder: Path, command: str, columns: int, rows: int, environment: Mapping[str, str]) -> None:
        self._socket = folder / "tmux.sock"
        settings = folder / "tmux.conf"
        settings.write_text('set -g default-terminal "tmux-256color"\nset -g remain-on-exit on\nset -g status off\n')
        given = [f"{name}={value}" for name, value in environment.items()]
        self.tmux("-f", str(settings), "new-session", "-d", "-x", str(columns), "-y", str(rows), "env", *given, "sh",
                  "-c", command)  # fmt: skip

    def tmux(self, *arguments: str) -> str:
        assert TMUX is not None
        command = [TMUX, "-S", str(self._socket), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def screen(self, *, colours: bool = False) -> str:
        """What is seen now; no-break spaces as blanks."""
        return self.tmux("capture-pane", "-p", *(["-e"] if colours else [])).replace("\u00a0", " ")

    def keys(self, *names: str) -> None:
        """By tmux's names: a letter, Enter, Escape."""
        self.tmux("send-keys", *names)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)

    def resize(self, columns: int, rows: int) -> None:
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def pid(self) -> int:
        """Of the process that the window was opened for."""
        return int(self.tmux("display-message", "-p", "#{pane_pid}"))

    def await_screen(self, condition: Callable[[str], bool], what: str, patience_s: float = PATIENCE_S) -> str:
        """The first screen on which something is so."""
        found = until(lambda: (text := self.screen()) and condition(text) and text, what, patience_s, self.screen)
        assert isinstance(found, str)
        return found

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        command = [str(TMUX), "-S", str(self._socket), "kill-server"]
        subprocess.run(command, check=False, capture_output=True, timeout=PATIENCE_S)
