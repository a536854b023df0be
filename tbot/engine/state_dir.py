"""The state directory of a run: one engine each, and word of where it is."""

import fcntl
import os
from pathlib import Path
from typing import BinaryIO

import orjson

from tbot.engine.settings import EngineSettings
from tbot.errors import Halted


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


def leave_word(settings: EngineSettings) -> None:
    """Tell `tbot status` where the newest run keeps its state: demo and replay use temporary folders."""
    if settings.pointer is None:
        return
    document = {
        "status": str(settings.state_dir / "status.json"),
        "journal": str(settings.journal_path),
        "run_dir": str(settings.run_dir),
        "pid": os.getpid(),
    }
    temporary = settings.pointer.with_suffix(".tmp")
    temporary.write_bytes(orjson.dumps(document))
    temporary.replace(settings.pointer)
