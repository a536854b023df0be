"""`tbot` with scripted workers: `python session_engine.py SCRIPT run ...`; all else is the real command.

With TEST_ANY_HOUR in the environment the executor trades at every hour of the day.
"""

import os
import sys
from dataclasses import replace

from tbot.commands import launch
from tbot.engine.processes import ProcessSpec
from tbot.engine.settings import EngineSettings

_real_workers, _real_engine = launch.worker_specs, launch.engine_specs


def main() -> None:
    script = sys.argv[1]

    def scripted(settings: EngineSettings) -> list[ProcessSpec]:
        return [
            replace(spec, target="scripted_trader:main", secrets={**spec.secrets, "script": script})
            for spec in _real_workers(settings)
        ]

    def at_any_hour(settings: EngineSettings, credentials: tuple[str, str] | None) -> list[ProcessSpec]:
        executor, *others = _real_engine(settings, credentials)
        return [replace(executor, target="any_hour_executor:main"), *others]

    launch.worker_specs = scripted
    if "TEST_ANY_HOUR" in os.environ:
        launch.engine_specs = at_any_hour
    from tbot.cli import run

    run(sys.argv[2:])


if __name__ == "__main__":
    main()
