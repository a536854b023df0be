"""Room on the disk of the state directory: a warning at 1 GiB, no entries at 200 MiB (F-SYS-01, RC_DISK).

Why before it is full: the journal must be able to note how the open positions end.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MIB: Final = 1 << 20
WARN_BYTES: Final = 1024 * MIB
PAUSE_BYTES: Final = 200 * MIB
# Entries come back a little above the limit, or a disk at the limit would pause and go on with every row.
RESUME_BYTES: Final = 250 * MIB
CODE: Final = "RC_DISK"


@dataclass(frozen=True, slots=True)
class Room:
    """What the free space means: the condition's sentence ("": none holds) and a warning ("": none)."""

    condition: str = ""
    warning: str = ""


def judge(free_bytes: int, *, paused: bool) -> Room:
    """Of a disk with so much room; `paused`: the condition holds already."""
    free = f"{free_bytes // MIB} MiB are free on the disk of the state directory"
    if free_bytes < (RESUME_BYTES if paused else PAUSE_BYTES):
        return Room(f"{free}: no entries until {RESUME_BYTES // MIB} MiB are; make room")
    if free_bytes < WARN_BYTES:
        return Room("", f"{free}: make room before entries stop at {PAUSE_BYTES // MIB} MiB")
    return Room()


def free_bytes(folder: Path) -> int:
    """Room that this user may fill. Raises OSError."""
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize
