"""Which process a number means: pids are used again, so word of a process that outlives it carries its start as well.

Light: the emergency exit reads such word, too.
"""

import importlib
import os
from pathlib import Path
from typing import Any, NamedTuple


class Owner(NamedTuple):
    """A process told apart from a later one with the same number."""

    pid: int
    start: int  # see process_start

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return process_start(self.pid) == self.start


def process_start(pid: int) -> int | None:
    """When a process started, as a number that stays the same while it lives; None when none runs under that pid.

    Linux: clock ticks since boot, which no clock change moves. Elsewhere: UTC milliseconds. A zombie counts as gone.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _process_start_portable(pid)
    fields = text.rpartition(")")[2].split()  # the name before it may contain anything, spaces and brackets too
    return None if fields[0] in "ZX" else int(fields[19])


def _process_start_portable(pid: int) -> int | None:
    psutil: Any = importlib.import_module("psutil")  # not needed on Linux, and slow to load
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time() * 1000)
    except psutil.Error:
        return None


def myself() -> Owner:
    """This process."""
    pid = os.getpid()
    return Owner(pid, process_start(pid) or 0)


def machine_boot() -> str:
    """Which start of which machine this is; "" where nobody can tell. All machines have a first number space alike."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def process_space() -> int:
    """The number space our process ids belong to; 0 where there is only one."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0
