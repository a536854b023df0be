"""The first lines that run in every child process of the engine.

Order matters (failure-model F-PRC-03, F-PRC-05, F-SEC-01): die with the launcher, ignore the terminal's Ctrl-C and its
end, no core dumps, files for the owner only; then the secrets arrive by pipe; only then the process's own module is
imported.
"""

import contextlib
import ctypes
import gc
import importlib
import os
import resource
import signal
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal, NoReturn

from tbot.errors import TbotError

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4

CUT_SHORT = 75  # exit code of a feed that was told to stop before the end of its tape
LAST_WORD = "tbot-last-word"  # begins the line in which a process that gives up says why

OnOrphan = Literal["kill", "term", "linger"]
ORPHAN_LINGER_S = 11.0  # an embedded gateway outlives its launcher this long, so that the executor can flatten


@dataclass
class ChildContext:
    """What a process's `main(settings, context)` gets beside the settings."""

    name: str
    secrets: dict[str, Any]
    control: Connection  # the supervisor's end can send small control messages
    stop: threading.Event  # set by SIGTERM
    parent_pid: int

    def orphaned(self) -> bool:
        """The launcher is gone."""
        return os.getppid() != self.parent_pid


def _die_with_parent(on_orphan: OnOrphan, parent_pid: int) -> None:
    """Ask the kernel for a signal when the launcher dies, then close the race of it having died already."""
    if on_orphan != "linger" and sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        number = signal.SIGKILL if on_orphan == "kill" else signal.SIGTERM
        libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)
    if on_orphan == "linger":
        threading.Thread(target=_linger, args=(parent_pid,), daemon=True).start()


def _linger(parent_pid: int) -> None:
    waiter = threading.Event()
    while os.getppid() == parent_pid:
        waiter.wait(0.25)
    waiter.wait(ORPHAN_LINGER_S)
    os._exit(1)


def _undumpable() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _raise_oom_score() -> None:
    """Workers go first when memory runs out; raising one's own score needs no privilege (design ruling 22)."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("500")
    except OSError:
        return


def _speak_to(voice: Connection) -> None:
    """What this process writes to stderr goes to the launcher's log, not across its screen.

    The pipe does not block: a launcher that hangs or is gone costs words, never time.
    """
    os.dup2(voice.fileno(), 2)
    voice.close()


def _last_word(error: TbotError) -> NoReturn:
    """End with the error's own code and sentence, by a pipe that outlives this process; a traceback would tell less."""
    sentence = " ".join(str(error).split())
    with contextlib.suppress(OSError):  # a launcher that hangs or is gone costs words, and no traceback
        os.write(2, f"{LAST_WORD} {error.exit_code} {sentence}\n".encode(errors="replace"))
    sys.exit(error.exit_code)


def run_child(
    name: str,
    target: str,
    settings: Any,
    control: Connection,
    voice: Connection,
    parent_pid: int,
    on_orphan: OnOrphan,
    guarded: bool,
) -> None:
    """Body of every child. `target` is "module:function"; `guarded` marks processes that will hold a secret."""
    _speak_to(voice)
    _die_with_parent(on_orphan, parent_pid)
    for number in (signal.SIGINT, signal.SIGHUP):  # only the launcher acts on the terminal
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGHUP})  # blocked by the launcher until here
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # the kill switch's; only the executor has a use for it
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if guarded:
        _undumpable()
    if name.startswith("worker"):
        _raise_oom_score()
    secrets = control.recv()
    context = ChildContext(name, secrets, control, stop, parent_pid)
    module, _, function = target.partition(":")
    gc.disable()  # nothing that an import makes is garbage: looking for it costs a start about a twentieth
    main = getattr(importlib.import_module(module), function)
    gc.freeze()  # and it stays: full collections pass it over from now on
    gc.enable()
    try:
        main(settings, context)
    except TbotError as error:
        _last_word(error)
    finally:
        # Last words that were closed with time to linger are waited for; whatever was left open goes at once.
        if (sockets := sys.modules.get("tbot.transport.sockets")) is not None:  # who has none does not load them now
            sockets.close_context()
