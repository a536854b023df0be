"""The state directory of a run: one engine each, and word of where it is."""

import fcntl
import os
from pathlib import Path
from typing import BinaryIO

import orjson

from tbot.engine.settings import EngineSettings
from tbot.errors import Halted
from tbot.storage.kill_locks import KillLocks


def lock_state(state_dir: Path) -> BinaryIO:
    """Hold the directory for this engine as long as the returned file is open. Halted when another engine has it.

    The file is never deleted: a deleted lock file lets a second engine in (failure-model section 10).
    """
    file = open(os.open(state_dir / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise Halted(
            f"another engine runs on the state in {state_dir} (RC_SECOND_ENGINE); stop it, or set another TBOT_HOME"
        ) from None
    return file


RUN_FILE = "run.json"  # in the state directory: the same word as in `current.json`, for one mode


def leave_word(settings: EngineSettings) -> None:
    """Tell the commands where this run is: beside its state, and, as the newest, in TBOT_HOME.

    Demo and replay keep their state in temporary folders, so only `current.json` finds them.
    """
    gateway = settings.gateway
    document = orjson.dumps(
        {
            "status": str(settings.state_dir / "status.json"),
            "journal": str(settings.journal_path),
            "run_dir": str(settings.run_dir),
            "pid": os.getpid(),
            "mode": settings.mode,
            "gateway": gateway.rest_url if gateway is not None else None,
            "embedded": gateway is not None and gateway.embedded,
        }
    )
    for path in (settings.state_dir / RUN_FILE, settings.pointer):
        if path is not None:
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(document)
            temporary.replace(path)


def kill_locks(settings: EngineSettings) -> KillLocks:
    """The kill switch's lock files of a run; a temporary state directory has no copies in TBOT_HOME."""
    home = settings.pointer.parent.resolve() if settings.pointer is not None else None
    return KillLocks(settings.state_dir, home if home == settings.state_dir.parent else None, settings.mode)
