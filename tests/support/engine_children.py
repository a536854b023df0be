"""Targets for children of the engine: tiny processes that behave, misbehave and report.

`report` and its kin speak through the control pipe; the others are fake members of a supervised run.
"""

import ctypes
import importlib
import os
import resource
import signal
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tbot.domain.process_messages import OperatorAck, OperatorMessage
from tbot.engine.child import ChildContext
from tbot.engine.health import Beat, make_wire
from tbot.engine.processes import Child, ProcessSpec
from tbot.engine.settings import EngineSettings
from tbot.errors import Halted, ProtocolError
from tbot.transport import sockets

PR_GET_DUMPABLE = 3
HERE = "engine_children"


# ---------------------------------------------------------------------------------------------------- a child alone
def await_stop(context: ChildContext) -> None:
    """Like every loop of the engine it looks up now and then.

    A wait without end can miss the signal: the kernel may hand it to a thread of a library (numpy has some), and then
    nothing wakes the main thread, in which alone Python runs its handlers.
    """
    while not context.stop.is_set():
        context.control.poll(0.05)


def report(settings: Any, context: ChildContext) -> None:
    """Tell what the first lines of a child left behind; end when told by SIGTERM, and say so."""
    mask = os.umask(0)
    os.umask(mask)
    context.control.send(
        {
            "settings": settings,
            "secrets": context.secrets,
            "name": context.name,
            "umask": mask,
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "sigint": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
            "dumpable": ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) if sys.platform == "linux" else None,
            "oom": Path("/proc/self/oom_score_adj").read_text().strip() if sys.platform == "linux" else None,
            "orphaned": context.orphaned(),
        }
    )
    await_stop(context)
    context.control.send("stopped")


def talk(settings: Any, context: ChildContext) -> None:
    """A warning, a line that is no text, and a death in the middle of one."""
    os.write(2, b"a warning\n\n\xc3\xbcnreadable \xff\n")
    context.control.send("said")
    raise RuntimeError("the end")


def shout(settings: Any, context: ChildContext) -> None:
    """Write to stderr until it is refused, and tell so."""
    try:
        while True:
            os.write(2, b"a line of no interest\n" * 100)
    except BlockingIOError:
        context.control.send("refused")
    await_stop(context)


def deaf(_: Any, context: ChildContext) -> None:
    """Up, but SIGTERM is heard and not obeyed."""
    context.control.send("up")
    threading.Event().wait()


def leave(settings: int, _: ChildContext) -> None:
    """End at once with this exit code."""
    sys.exit(settings)


def note_the_end(settings: dict[str, Any], context: ChildContext) -> None:
    """Up; when told to stop, write a last word into a file."""
    context.control.send("up")
    await_stop(context)
    Path(settings["file"]).write_text("ended in order")


def outlive(settings: dict[str, Any], context: ChildContext) -> None:
    """Up; write into a file when the launcher is gone and we are not. `linger_s`: how long an orphan lives."""
    importlib.import_module("tbot.engine.child").ORPHAN_LINGER_S = settings["linger_s"]
    context.control.send("up")
    while not context.orphaned():
        context.stop.wait(0.005)
    Path(settings["file"]).write_text(f"asked to stop {context.stop.is_set()}")
    threading.Event().wait()


def launcher(pipe: Connection, target: str, settings: dict[str, Any], on_orphan: Any) -> None:
    """A launcher with one child: tells its pid when it is up, and lives on until killed."""
    child = Child(ProcessSpec("worker-X", target, settings, on_orphan=on_orphan))
    child.start(0)
    assert child.control is not None
    assert child.control.recv() == "up"
    pipe.send(child.pid)
    threading.Event().wait()


# ------------------------------------------------------------------------------------------------- a supervised run
def be_patient() -> None:
    """Of a busy machine the launcher may be slow to take what we say: neither it nor our last words are given up."""
    importlib.import_module("tbot.transport.sockets").HEARTBEAT_TIMEOUT_MS = 60_000
    importlib.import_module("tbot.transport.sockets").LINGER_MS = 60_000


def member(settings: EngineSettings, context: ChildContext) -> None:
    """Beats, tells as events what it was given, obeys control messages; `secrets["deaf"]`: never ends by itself;
    `secrets["long"]`: so many letters are among its last words; `secrets["undone"]`: what it leaves undone at its end.

    Control verbs: "exit" (with "code"), "fail" (say FAILED with "problem" and "exit_code"),
    "give_up" (raise Halted with "words"); others come back as events.
    """
    be_patient()
    wire = make_wire(settings, context)
    beat = Beat(settings, context, wire)
    secrets = context.secrets
    if secrets.get("exit_at_once"):
        os._exit(3)
    sockets_up = beat._socket.writable(30_000_000_000)
    assert sockets_up
    beat.event(0, "PROC", "", f"up restarted={secrets['restarted']} epoch={secrets['epoch']}")
    failed: dict[str, Any] | None = None
    while secrets.get("deaf") or not context.stop.is_set():
        beat.send("FAILED" if failed else "OK", failed or {"pid": os.getpid()})
        if not context.control.poll(0.05):
            continue
        message = context.control.recv()
        if message["verb"] == "exit":
            os._exit(message["code"])
        if message["verb"] == "give_up":
            raise Halted(message["words"])
        if message["verb"] == "fail":
            failed = message
        beat.event(0, "PROC", message.get("contract", ""), f"heard {message['verb']}")
    last = {"last": "words"} | ({"long": "x" * secrets["long"]} if secrets.get("long") else {})
    undone = secrets.get("undone")
    beat.send("STOPPED", last | ({"problem": undone} if undone else {}))
    beat.close()
    if undone:
        sys.exit(1)


def executor(settings: EngineSettings, context: ChildContext) -> None:
    """Beats and answers stop requests: flat as `secrets["flat"]` says; None: no answer at all."""
    be_patient()
    wire = make_wire(settings, context)
    beat = Beat(settings, context, wire)
    router = sockets.router(settings.socket("executor"))
    waiter = sockets.Waiter(router)
    while not context.stop.is_set():
        beat.send("OK", {"accounts": {}})
        waiter.wait(50_000_000)
        for sender, data in router.drain():
            try:
                message = wire.decode(data)
            except ProtocolError:
                continue
            if isinstance(message, OperatorMessage) and context.secrets["flat"] is not None:
                router.send(wire.encode(OperatorAck("another request", True, True, "")), sender)
                router.send(wire.encode(OperatorAck(message.request_id, True, context.secrets["flat"], "")), sender)
    beat.send("STOPPED", {"accounts": {}})
    router.close()
    beat.close()
