"""Lock files of the kill switch: `kill.<account>`, or `kill.all` for every account of a state directory (ruling 11).

Such a file locks for as long as the trading day it names (and any later one) has not come. A file without a readable
day, as a person makes it with `touch`, locks from the moment it is seen; the executor then writes the day into it. What
cannot be read locks: a kill switch fails towards safety. A second copy, `kill.<mode>.<account>`, lies in TBOT_HOME
itself, so that deleting the state directory does not lift the lock (F-CFG-05).

A lock is there for every process from the moment it has its name; that it outlives a power loss is waited for a moment
only. Why: a disk that hangs holds every sync up, for many seconds, and what presses the switch has to go on and close
everything (I10, R14). What a power loss leaves of a file that was not synced yet is empty, and an empty one locks.

The standard library alone: the emergency exit writes these files, too.
"""

import contextlib
import json
import os
import stat
import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path

from tbot.storage.journal_files import sync_directory
from tbot.storage.private_file import replace_private

MAX_BYTES = 4096
SYNC_S = 0.2  # some ten times what a sync takes on a slow disk, and I10 leaves two seconds to the first close
ENGINE = "engine"  # `by` of the executor's own files: nobody needs to act on them any more


@dataclass(frozen=True, slots=True)
class KillLock:
    """One lock file; `day` "" when none can be read."""

    day: str
    by: str = ""
    written: str = ""

    def binds(self, day: str) -> bool:
        """Whether it still locks in a trading day (ISO date)."""
        return not self.day or day <= self.day


Mark = tuple[int, int, int]  # tells one writing of a file from another


def read(path: Path) -> KillLock | None:
    """The lock in `path`; None only when nothing at all is there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        return KillLock("")  # a link, no permission, no descriptor left: it is there, that is enough
    try:
        found = os.fstat(descriptor)
        data = os.read(descriptor, MAX_BYTES) if stat.S_ISREG(found.st_mode) else b""
        document = json.loads(data)
        day = date.fromisoformat(document["trading_day"]).isoformat()
        return KillLock(day, str(document.get("by", ""))[:100], str(document.get("written", ""))[:40])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return KillLock("")
    finally:
        os.close(descriptor)


def write(path: Path, day: date, by: str) -> None:
    """Write a lock atomically, readable by its owner only; `sync` makes it last. OSError when that is not possible."""
    document = {"trading_day": day.isoformat(), "by": by, "written": datetime.now(UTC).isoformat(timespec="seconds")}
    replace_private(path, json.dumps(document).encode(), sync=False)


def sync(path: Path) -> None:
    """What a lock says, and its name, on disk, as far as that can be: the lock is there, and binds without it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(path.parent)


def mark(path: Path) -> Mark | None:
    """What changes whenever the file is written anew; None when it is not there."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@dataclass(frozen=True, slots=True)
class KillLocks:
    """The lock files of one state directory and their copies in `home` (None: none are kept, as in the demo)."""

    state_dir: Path
    home: Path | None
    mode: str

    def paths(self, account: int | None) -> list[Path]:
        """Files of one account; None: those that lock every account."""
        return list(_paths(self, "all" if account is None else str(account)))

    def holding(self, account: int, day: str) -> KillLock | None:
        """A lock that binds an account in a trading day (ISO date)."""
        for path in [*self.paths(account), *self.paths(None)]:
            lock = read(path)
            if lock is not None and lock.binds(day):
                return lock
        return None

    def put(self, account: int | None, day: date, by: str) -> list[str]:
        """Write the lock everywhere it belongs; returns what could not be written, in words."""
        return _write_all(self.paths(account), day, by)

    def complete(self, account: int | None, day: date, by: str, *, only_present: bool = False) -> list[str]:
        """Write what is missing or names no day as late; `only_present`: make no file that is not there."""
        wanted = []
        for path in self.paths(account):
            lock = read(path)
            if not only_present if lock is None else lock.day < day.isoformat():
                wanted.append(path)
        return _write_all(wanted, day, by)

    def drop_old(self, account: int | None, day: str) -> None:
        """Remove locks whose trading day is over."""
        for path in self.paths(account):
            lock = read(path)
            if lock is not None and not lock.binds(day):
                with contextlib.suppress(OSError):
                    path.unlink()


@lru_cache(maxsize=64)
def _paths(locks: KillLocks, name: str) -> tuple[Path, ...]:
    """Made once: the executor asks four times a second for as long as it lives."""
    own = locks.state_dir / f"kill.{name}"
    return (own,) if locks.home is None else (own, locks.home / f"kill.{locks.mode}.{name}")


def _write_all(paths: list[Path], day: date, by: str) -> list[str]:
    problems, written = [], []
    for path in paths:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write(path, day, by)
            written.append(path)
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
    if written:
        syncing = threading.Thread(target=_sync_all, args=(written,), daemon=True, name="kill-locks")
        with contextlib.suppress(RuntimeError):  # no thread to be had: the lock is there, and everything must be closed
            syncing.start()
            syncing.join(SYNC_S)
    return problems


def _sync_all(paths: list[Path]) -> None:
    for path in paths:
        sync(path)
