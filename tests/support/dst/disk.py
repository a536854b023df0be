"""The executor's state directory: what a crash leaves of it, and how it can be damaged.

The journal is a real SQLite file on a memory file system. Every life of the executor works in a directory of its own: a
crash copies the files as they are at that instant and the next life goes on with the copy, so that nothing which the
dead one would still do (closing files, folding logs) can reach it. A commit is on disk when its statement has returned;
the commit under way when the power goes may be torn.
"""

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Literal

from dst.scheduler import NS_PER_S, Scheduler

DB = "journal.db"
WAL, HEAD, EMERGENCY = f"{DB}-wal", f"{DB}.head", f"{DB}.emergency"
_SHARED_MEMORY = f"{DB}-shm"
_PAGE = 4096
WRITE_NS = 1_000_000

Damage = Literal[
    "changed_row", "flip_db", "flip_wal", "flip_head", "cut_wal", "no_wal", "no_head", "old", "wipe", "version_1"
]
_FLIPPED: dict[str, str] = {"flip_db": DB, "flip_wal": WAL, "flip_head": HEAD}


class Disk:
    """One state directory through all lives."""

    def __init__(self, root: Path, scheduler: Scheduler, seed: int) -> None:
        self._root = root
        self._scheduler = scheduler
        self._random = Random(f"disk/{seed}")
        self._number = 0
        self.path = self._new()
        self.run_dir = root / "run"  # elsewhere: what happens to the state does not happen to it
        self.run_dir.mkdir(mode=0o700)
        self.pointer = root / "run.json"  # makes `root` the home, where the kill switch leaves its second lock files
        self.full = False
        self.failing = False
        self.slow_s = 0.0
        self.free = 50 << 30  # bytes, as the system tells it
        self._wal_before = 0  # bytes of the log when the transaction under way began
        self._db_before = b""  # the file as it was before the newest checkpoint
        self._old: Path | None = None  # an earlier copy of everything
        self.watch: Callable[[str], None] = lambda sql: None
        self.watch_after: Callable[[str], None] = lambda sql: None

    def _new(self) -> Path:
        self._number += 1
        path = self._root / f"life-{self._number}"
        self._wal = str(path / WAL)
        path.mkdir(mode=0o700)
        return path

    # ------------------------------------------------------------------------------------------- while it is running
    def on_sql(self, file: str, sql: str) -> None:
        """Before a statement of the journal's writer."""
        if sql.startswith("BEGIN"):
            try:
                self._wal_before = os.stat(self._wal).st_size
            except FileNotFoundError:
                self._wal_before = 0
        if "wal_checkpoint" in sql:
            self._db_before = (self.path / DB).read_bytes()
        if sql.startswith(("INSERT", "COMMIT", "PRAGMA wal_checkpoint")):
            if self.slow_s and sql == "COMMIT":
                self._scheduler.sleep(int(self.slow_s * NS_PER_S))
            if self.failing:
                raise _sqlite_error("disk I/O error", sqlite3.SQLITE_IOERR_WRITE, "SQLITE_IOERR_WRITE")
            if self.full:
                raise _sqlite_error("database or disk is full", sqlite3.SQLITE_FULL, "SQLITE_FULL")
        self.watch(sql)

    def after_sql(self, file: str, sql: str) -> None:
        """A statement has been carried out."""
        self.watch_after(sql)

    def on_file(self, what: str, descriptor: int) -> None:
        """Before a write or sync of the small files, which have their size already: a full disk does not stop them.

        The head's write takes a moment in which others go on: who waits for rows leaves before their head is down.
        """
        if what == "write" and self._is_head(descriptor):
            self._scheduler.sleep(WRITE_NS)
        if self.failing:
            raise OSError(errno.EIO, "Input/output error")

    def _is_head(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path / HEAD))
        except FileNotFoundError:
            return False

    def disk_usage(self, _path: object) -> SimpleNamespace:
        """For the name `shutil` in the engine's watch of the disk."""
        return SimpleNamespace(total=100 << 30, used=(100 << 30) - self.free, free=0 if self.full else self.free)

    # ----------------------------------------------------------------------------------------------------- afterwards
    def crash(self, *, torn: bool = False, folded_in_part: bool = False) -> None:
        """What a process finds that starts now.

        `torn`: of the newest transaction only a part came to the disk. `folded_in_part`: of the newest checkpoint only
        some pages did; the log is whole, because it is used again only when all of them are there.
        """
        before, self.path = self.path, self._new()
        self._copy(before)
        if torn:
            wal = self.path / WAL
            if wal.exists() and wal.stat().st_size > self._wal_before:
                self._cut(wal, self._random.randrange(self._wal_before, wal.stat().st_size))
        if folded_in_part:
            self._mix(self.path / DB)
        if self._number % 3 == 0 or self._old is None:
            self._old = before

    def _copy(self, source: Path) -> None:
        """All files as they are; two names of one file stay that."""
        made: dict[int, Path] = {}
        for file in sorted(source.iterdir()):
            target = self.path / file.name
            if not file.is_file() or file.name == _SHARED_MEMORY:
                continue
            inode = file.stat().st_ino
            if inode in made:
                os.link(made[inode], target)
                continue
            shutil.copyfile(file, target)
            target.chmod(0o600)
            made[inode] = target

    def _mix(self, db: Path) -> None:
        """Each page is as it was before the checkpoint or as after it."""
        new = bytearray(db.read_bytes())
        for start in range(_PAGE, len(new), _PAGE):
            if self._random.random() < 0.5:
                new[start : start + _PAGE] = self._db_before[start : start + _PAGE].ljust(_PAGE, b"\0")
        db.write_bytes(new)

    def damage(self, how: Damage) -> None:
        """Spoil what lies there; the executor is not running."""
        if how in _FLIPPED:
            self._flip(self.path / _FLIPPED[how])
        elif how == "cut_wal":
            wal = self.path / WAL
            if wal.exists() and wal.stat().st_size:
                self._cut(wal, self._random.randrange(wal.stat().st_size))
        elif how in ("no_wal", "no_head"):
            (self.path / (WAL if how == "no_wal" else HEAD)).unlink(missing_ok=True)
        elif how == "old" and self._old is not None:
            self._clear()
            self._copy(self._old)
        elif how == "changed_row":
            self._change_row(self.path / DB)
        elif how == "version_1":
            self._make_old(self.path / DB)
        elif how == "wipe":
            self._clear()

    @staticmethod
    def _change_row(db: Path) -> None:
        """Somebody rewrote the oldest row: sound to SQLite, not to the chain."""
        if db.exists():
            with sqlite3.connect(db) as database:
                database.execute("DROP TRIGGER IF EXISTS record_is_never_changed")
                database.execute("UPDATE record SET body = X'7b7d' WHERE seq = 1")
            database.close()

    @staticmethod
    def _make_old(db: Path) -> None:
        """The file as the first version of the journal would have left it."""
        if db.exists():
            with sqlite3.connect(db) as database:
                database.execute("DROP INDEX IF EXISTS record_by_kind")
                database.execute("PRAGMA user_version = 1")
            database.close()

    def _clear(self) -> None:
        for file in self.path.iterdir():
            file.unlink()

    def _flip(self, path: Path) -> None:
        """One bit of the file is not what it was."""
        if not path.exists() or not path.stat().st_size:
            return
        data = bytearray(path.read_bytes())
        data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        path.write_bytes(data)

    @staticmethod
    def _cut(path: Path, size: int) -> None:
        with path.open("r+b") as file:
            file.truncate(size)

    def calm(self) -> None:
        """The disk works again."""
        self.full = self.failing = False
        self.slow_s = 0.0


def _sqlite_error(text: str, code: int, name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return error
