"""A started run of tiny children, driven by hand: what tests of the launcher's side share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

import status_rig
from engine_children import HERE
from engine_runs import until
from tbot.engine import processes
from tbot.engine import supervisor as module
from tbot.engine.clocks import NS_PER_S
from tbot.engine.processes import ProcessSpec
from tbot.engine.settings import EngineSettings
from tbot.engine.supervisor import Supervisor
from tbot.transport import sockets

PATIENCE_S = 60.0
# What the launcher waits for at the most: a child of a busy machine is not to be killed, restarted or left unheard.
LIMITS = {
    (processes, "SUSPECT_NS"): 30 * NS_PER_S,
    (processes, "DEAD_NS"): 60 * NS_PER_S,
    (processes, "FIRST_BEAT_NS"): 120 * NS_PER_S,
    (processes, "CRASH_LOOP_NS"): 600 * NS_PER_S,
    (module, "LAST_BREATH_S"): 60.0,
    (module, "LAST_WORDS_NS"): 60 * NS_PER_S,
    (module, "STOP_ACK_S"): 60.0,
    (module, "STATUS_S"): 60.0,
    (sockets, "HEARTBEAT_TIMEOUT_MS"): 60_000,
}


def spec(name: str, settings: EngineSettings, target: str = "member", **more: Any) -> ProcessSpec:
    return ProcessSpec(name, f"{HERE}:{target}", settings, **({"grace_s": PATIENCE_S} | more))


def executor(settings: EngineSettings, flat: bool | None = True, **more: Any) -> ProcessSpec:
    return spec("executor", settings, "executor", secrets={"flat": flat}, **more)


def worker(settings: EngineSettings, *symbols: str, **more: Any) -> ProcessSpec:
    extra = more.pop("secrets", {})
    return spec("worker-1", settings, secrets={"symbols": list(symbols)} | extra, **more)


@contextmanager
def supervised(folder: Path, *make: Callable[[EngineSettings], ProcessSpec], **more: Any) -> Iterator[Supervisor]:
    """A started run of an obedient executor and these children; certainly gone afterwards."""
    settings = status_rig.settings(folder, **more)
    made = [build(settings) for build in make]
    if not any(one.name == "executor" for one in made):
        made = [executor(settings), *made]
    supervisor = Supervisor(settings, made)
    with pytest.MonkeyPatch.context() as patch:
        for (place, name), value in LIMITS.items():
            patch.setattr(place, name, value)
        try:
            supervisor.start()
            yield supervisor
        finally:
            for child in supervisor.children.values():
                child.stop(grace_s=0.0)
            supervisor.shutdown()
            sockets.close_context()


def poll_until(supervisor: Supervisor, condition: Callable[[], Any], what: str) -> Any:
    """The launcher's loop until something is true."""

    def look() -> Any:
        supervisor.poll(0.02)
        return condition()

    return until(look, what, PATIENCE_S, supervisor.status)


def texts(supervisor: Supervisor, process: str) -> list[str]:
    return [f"{event.contract} {event.text}".strip() for event in supervisor.events if event.process == process]


def is_up(supervisor: Supervisor, process: str, starts: int = 1) -> Callable[[], bool]:
    return lambda: supervisor.ready() and sum(text.startswith("up ") for text in texts(supervisor, process)) == starts


def status_file(supervisor: Supervisor) -> dict[str, Any]:
    document = orjson.loads((supervisor.settings.state_dir / "status.json").read_bytes())
    assert isinstance(document, dict)
    return document
