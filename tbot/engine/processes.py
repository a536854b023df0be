"""One child process of the engine as the supervisor keeps it: start, watch, stop, restart limits.

By hand on purpose: ordered stop, proof of being flat before exit and the restart limits are the product; process
managers only know "restart always". Children are started with `spawn` from the launcher's main thread (the
parent-death signal follows the thread that started them).
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.resource_tracker import ensure_running
from typing import Any

from tbot.engine.child import LAST_WORD, OnOrphan, run_child
from tbot.engine.clocks import NS_PER_S, boot_ns

SUSPECT_NS = 2 * NS_PER_S  # C_HEARTBEAT
DEAD_NS = 5 * NS_PER_S
FIRST_BEAT_NS = 30 * NS_PER_S  # a cold start on a small, busy machine
CRASH_LOOP_COUNT = 3  # C_CRASH_LOOP
CRASH_LOOP_NS = 60 * NS_PER_S
PIPE_BYTES = 1 << 16
LAST_STATES = ("STOPPED", "FAILED")  # after which a process that ends says no more
LINES_KEPT = 200  # of one look: who writes more than that in a tenth of a second has said it before


@dataclass(frozen=True)
class ProcessSpec:
    """What a process is: its name, its `main`, and how it behaves at the edges of its life."""

    name: str
    target: str  # "module:function", called with (settings, context)
    settings: Any
    secrets: dict[str, Any] = field(default_factory=dict)
    on_orphan: OnOrphan = "kill"
    guarded: bool = False  # holds a secret: not dumpable
    restartable: bool = True
    grace_s: float = 3.0  # C_STOP_GRACE
    beats: bool = True
    vital: bool = True  # a run does not go on without it


TERMINAL_SIGNALS = {signal.SIGINT, signal.SIGHUP}


@contextmanager
def _deaf_to_terminal() -> Iterator[None]:
    """Ctrl-C and a closed terminal reach every process: a child is born deaf to both until `run_child` ignores them.

    Also the helper process of multiprocessing, which itself thinks of Ctrl-C only and unblocks it when it starts.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL_SIGNALS)
    try:
        ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL_SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Child:
    """A running (or dead) process of a spec."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.process: SpawnProcess | None = None
        self.control: Connection | None = None
        self.said: deque[str] = deque(maxlen=LINES_KEPT)  # lines of stderr that nobody has taken yet
        self._voice: Connection | None = None
        self._half = b""  # of a line
        self.state = "NEW"
        self.status: dict[str, Any] = {}
        self.restarts = 0
        self._recent: deque[int] = deque(maxlen=CRASH_LOOP_COUNT)
        self._started_ns = 0
        self.last_beat_ns = 0
        self.ready = False
        self.last_word = (0, "")  # exit code and sentence of a process that gave up by itself
        self.newest_pid = 0  # of the process started last, alive or not
        self.told_end = False  # its last words were heard
        self.exit_code: int | None = None  # of the process reaped last; None: none was, or it would not go
        self.killed = False  # it had to be ended by force

    def start(self, epoch: int) -> None:
        """Spawn the process and hand it its secrets by pipe."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=True)
        self._voice, mouth = context.Pipe(duplex=False)
        for end in (self._voice, mouth):
            os.set_blocking(end.fileno(), False)
        spec = self.spec
        arguments = (spec.name, spec.target, spec.settings, theirs, mouth, os.getpid(), spec.on_orphan, spec.guarded)
        self.process = context.Process(target=run_child, args=arguments, name=spec.name)
        with _deaf_to_terminal():
            self.process.start()
        self.newest_pid = self.pid
        theirs.close()
        mouth.close()
        self.control = ours
        self.say({**spec.secrets, "epoch": epoch, "restarted": self.restarts > 0})
        self._started_ns = boot_ns()
        self.last_beat_ns = 0
        self.state = "STARTING"
        self.ready = self.told_end = False
        self.last_word = (0, "")

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.is_alive()

    @property
    def pid(self) -> int:
        return self.process.pid or 0 if self.process else 0

    def listen(self, *, last: bool = False) -> None:
        """Take in what it has written to stderr; `last`: nothing more will come."""
        if self._voice is None:
            return
        with suppress(OSError):  # nothing there
            self._half += os.read(self._voice.fileno(), PIPE_BYTES)
        *lines, self._half = self._half.split(b"\n")
        if last or len(self._half) > PIPE_BYTES:
            lines, self._half = [*lines, self._half], b""
        for line in lines:
            self._hear(line.decode(errors="replace"))
        if last:
            self._voice.close()
            self._voice = None

    def _hear(self, line: str) -> None:
        mark, _, rest = line.partition(" ")
        code, _, sentence = rest.partition(" ")
        if mark == LAST_WORD and code.isdecimal():
            self.last_word, line = (int(code), sentence), sentence
        if line.strip():
            self.said.append(line)

    @property
    def awaited(self) -> bool:
        """The run cannot be whole before this one has spoken; nothing waits for one that is not vital."""
        return self.spec.beats and self.spec.vital and not self.ready

    def beat(self, state: str, status: dict[str, Any]) -> None:
        """A heartbeat arrived."""
        self.last_beat_ns = boot_ns()
        self.state = state
        self.ready = True
        self.told_end = state in LAST_STATES
        if status:
            self.status = status

    def silent(self) -> str:
        """"" while it beats, "suspect" or "dead" when it has not for too long."""
        if not self.spec.beats:
            return ""
        if not self.last_beat_ns:
            return "dead" if boot_ns() - self._started_ns > FIRST_BEAT_NS else ""
        silence = boot_ns() - self.last_beat_ns
        if silence > DEAD_NS:
            return "dead"
        return "suspect" if silence > SUSPECT_NS else ""

    def pardon(self) -> None:
        """Time went by in which nobody could listen: silence begins now (F-TIM-02)."""
        self._started_ns = boot_ns()
        self.last_beat_ns = self._started_ns if self.last_beat_ns else 0

    def may_restart(self) -> bool:
        """Count a restart; False when this would be one too many within the crash-loop window."""
        now = boot_ns()
        full = len(self._recent) == CRASH_LOOP_COUNT
        if not self.spec.restartable or (full and now - self._recent[0] < CRASH_LOOP_NS):
            return False
        self._recent.append(now)
        self.restarts += 1
        return True

    def say(self, message: dict[str, Any]) -> None:
        """A small control message; a dead child simply does not hear it."""
        if self.control is None:
            return
        try:
            self.control.send(message)
        except OSError:
            self.state = "DEAD"

    def signal(self, number: signal.Signals) -> None:
        if self.alive and self.pid:
            os.kill(self.pid, number)

    def signal_stop(self) -> None:
        """Ask it to end, without waiting."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)  # a stopped process cannot act on SIGTERM

    def stop(self, grace_s: float | None = None) -> None:
        """SIGTERM, wait, SIGKILL, reap."""
        if self.process is None:
            return
        self.signal_stop()
        self.process.join(self.spec.grace_s if grace_s is None else grace_s)
        self.reap()

    def reap(self) -> None:
        """Make sure it is gone and its handles are closed.

        A killed process can take longer than we wait, on a machine that is out of breath: it does nothing more, and the
        launcher must not fall over it.
        """
        if self.process is None:
            return
        self.killed = self.process.is_alive()
        if self.killed:
            self.process.kill()
        self.process.join(5.0)
        self.exit_code = self.process.exitcode
        self.killed = self.killed and self.exit_code != 0  # it may just have ended by itself
        self.listen(last=True)
        if self.control is not None:
            self.control.close()
            self.control = None
        if not self.process.is_alive():
            self.process.close()
        self.process = None
        self.state = "STOPPED"
