"""`tbot` with scripted workers and one kill point: `python kill_engine.py SCRIPT POINT run ...`; see `kill_rig.py`."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import kill_rig
import session_engine
from tbot.commands import launch
from tbot.engine.processes import ProcessSpec
from tbot.engine.settings import EngineSettings
from tbot.engine.supervisor import Supervisor

_real_specs = launch.engine_specs


def marker() -> Path:
    """Says that the point was met."""
    return Path(os.environ["TBOT_HOME"]) / "killed"


def _die() -> None:
    marker().touch()
    os.kill(os.getpid(), signal.SIGKILL)


def trap_launcher(point: str) -> None:
    """K-LA-…: the launcher kills itself."""
    if marker().exists():
        return
    if point.startswith("K-LA-01"):
        count, wanted = [0], int(point.rpartition("#")[2])

        def spawned(*_: object) -> None:
            count[0] += 1
            if count[0] == wanted:
                _die()

        kill_rig.around(Supervisor, "_spawn", after=spawned)
    elif point == "K-LA-03":
        kill_rig.around(Supervisor, "request_stop", after=lambda *_: _die())
    else:
        assert point == "K-LA-04", point
        kill_rig.around(Supervisor, "shutdown", before=lambda *_: _die())


def main() -> None:
    point = sys.argv.pop(2)
    victim = kill_rig.VICTIM.get(point, "")

    def trapped(spec: ProcessSpec) -> ProcessSpec:
        if spec.name != victim:
            return spec
        more = {"kill_marker": str(marker()), "kill_point": point, "kill_target": spec.target}
        return replace(spec, target="kill_rig:main", secrets={**spec.secrets, **more})

    def specs(settings: EngineSettings, credentials: tuple[str, str] | None) -> list[ProcessSpec]:
        return [trapped(spec) for spec in _real_specs(settings, credentials)]

    launch.engine_specs = specs
    if point.startswith("K-LA"):
        trap_launcher(point)
    session_engine.main()


if __name__ == "__main__":
    main()
