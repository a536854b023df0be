"""`tbot` with scripted workers: `python session_engine.py SCRIPT run ...`; all else is the real command."""

import sys
from dataclasses import replace

from tbot.commands import launch
from tbot.engine.processes import ProcessSpec
from tbot.engine.settings import EngineSettings

_real_workers = launch.worker_specs


def main() -> None:
    script = sys.argv[1]

    def scripted(settings: EngineSettings) -> list[ProcessSpec]:
        return [
            replace(spec, target="scripted_trader:main", secrets={**spec.secrets, "script": script})
            for spec in _real_workers(settings)
        ]

    launch.worker_specs = scripted
    from tbot.cli import run

    run(sys.argv[2:])


if __name__ == "__main__":
    main()
