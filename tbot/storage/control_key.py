"""The key of the control socket: a 0600 file in the run's private directory, made anew by each life of an executor.

Apart from the socket, because the emergency exit looks here for the executor's process, and must load no ZeroMQ (R14).
"""

import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from tbot.errors import Halted
from tbot.storage.private_file import replace_private

KEY_BYTES = 32
_MAX_KEY_FILE = 4096


@dataclass(frozen=True, slots=True)
class ControlKey:
    """What the key file says."""

    run_id: int
    key: bytes
    pid: int  # of the executor
    start: int = 0  # of that process (see process_start); 0: not told


def key_path(run_dir: Path) -> Path:
    """Where its key lies."""
    return run_dir / "control.key"


def write_key(run_dir: Path, run_id: int, pid: int, start: int) -> ControlKey:
    """Make a new key of the executor `pid`, begun at `start`, and put it, mode 0600, in place of an earlier one."""
    made = ControlKey(run_id, secrets.token_bytes(KEY_BYTES), pid, start)
    document = {"run_id": made.run_id, "key": made.key.hex(), "pid": made.pid, "start": made.start}
    replace_private(key_path(run_dir), json.dumps(document).encode(), sync=False)
    return made


def read_key(run_dir: Path) -> ControlKey | None:
    """The key of the executor that runs, or ran last, in `run_dir`; None when there is none to be read.

    Halted when the file could have been written by somebody else.
    """
    try:
        descriptor = os.open(key_path(run_dir), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise Halted(f"{key_path(run_dir)} is not a file of yours alone; somebody tampers with this run")
        document = json.loads(os.read(descriptor, _MAX_KEY_FILE))
        run_id, key, pid = int(document["run_id"]), bytes.fromhex(document["key"]), int(document["pid"])
        return ControlKey(run_id, key, pid, int(document.get("start", 0)))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
    finally:
        os.close(descriptor)
