"""The journal: every input of the Desk and what it made of it, in one hash-chained SQLite table (R1, I15).

Written by the executor through the one connection of `Journal`; everybody else reads through `JournalReader`.

* All that one input caused is one transaction: a crash leaves whole steps only, so every prefix is a state that was.
* A step with an entry is synced before `record` returns: write first, send second. Others wait for `flush` and are
  committed together; a crash may cost the newest of them, which the broker's own lists bring back.
* The head goes to its file after the commit that it names, so it may lag behind the rows but never lead them.
"""

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import asdict, astuple
from importlib import resources
from pathlib import Path
from typing import Final

from tbot.domain.messages import DeskInput, DeskOutput, Note, PlaceBracket, Query
from tbot.errors import JournalDamaged, JournalError, ProtocolError
from tbot.storage.journal_files import (
    EmergencyFile,
    HeadFile,
    check_private,
    emergency_path,
    head_path,
    open_private,
    read_head,
)
from tbot.storage.journal_reader import (
    COLUMNS,
    GENESIS,
    SCHEMA_VERSION,
    Codec,
    Direction,
    JournalReader,
    Row,
    RunInfo,
    row_hash,
)

CHECKPOINT_ROWS: Final = 5000
# Errors after which the same connection works again when there is room; after any other the file is not trusted any
# more (F-SYS-02).
PASSING: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)
DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)

_INSERT: Final = f"INSERT INTO record ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def boot_ns() -> int:
    """This machine's boot clock; it counts suspended time where the system has such a clock."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Journal(JournalReader):
    """The writer: one for each file, by lock. Implements the Recorder of `execution/broker.py`.

    Parameters
    ----------
    path : in a directory of ours alone; `<name>.head` and `<name>.emergency` are put beside it
    codec : the module `tbot.transport.wire`
    run : goes into the first row of this writer
    clock : boot clock in ns
    max_waiting : rows that may wait for a flush; more are committed by `record` itself
    max_unwritten : rows that are kept while the disk is full; more break the journal

    Raises JournalError when another writer has the file or it is not private, JournalDamaged when `verify` finds a
    mismatch: put it away with `set_aside`, begin anew, and take the state from the broker (F-SYS-03).
    """

    def __init__(
        self,
        path: Path,
        codec: Codec,
        run: RunInfo,
        *,
        clock: Callable[[], int] = boot_ns,
        max_waiting: int = 500,
        max_unwritten: int = 20_000,
    ) -> None:
        self.path = path
        self._codec = codec
        self._clock = clock
        self._max_waiting = max_waiting
        self._max_unwritten = max_unwritten
        self._waiting: list[Row] = []
        self._since_checkpoint = 0
        self._broken = False
        self._closed = False
        self._closing = contextlib.ExitStack()
        self.trouble = ""  # why nothing can be written just now; empty: all is well
        try:
            self._emergency = self._closing.enter_context(contextlib.closing(EmergencyFile(emergency_path(path))))
        except BlockingIOError:
            raise JournalError(f"the journal {path} is being written by another process") from None
        except OSError as error:
            raise JournalError(f"the journal {path} cannot be opened: {error}") from error
        try:
            self._open(run)
        except BaseException:
            self._closing.close()
            raise

    @classmethod
    def open_readonly(cls, path: Path, codec: Codec) -> JournalReader:
        """For everybody but the executor."""
        return JournalReader(path, codec)

    @classmethod
    def set_aside(cls, path: Path) -> Path:
        """Rename a journal and its files that are not trusted any more; returns where the journal went.

        Raises JournalError when a writer still has it.
        """
        try:
            lock = EmergencyFile(emergency_path(path))
        except OSError as error:
            raise JournalError(f"the journal {path} cannot be put away: {error}") from error
        try:
            number = 1
            while path.with_name(f"{path.name}.bad-{number}").exists():
                number += 1
            for suffix in ("", "-wal", "-shm", ".head", ".emergency"):
                old = path.with_name(path.name + suffix)
                if old.exists():
                    old.rename(path.with_name(f"{path.name}.bad-{number}{suffix}"))
        finally:
            lock.close()
        return path.with_name(f"{path.name}.bad-{number}")

    @property
    def head(self) -> tuple[int, bytes]:
        """Seq and hash of the last committed row."""
        return self._committed

    @property
    def broken(self) -> bool:
        """Nothing more will be written to this file; with room on the disk again a new start begins another."""
        return self._broken

    @property
    def last_seq(self) -> int:
        """Seq of the last recorded row, committed or waiting."""
        return self._waiting[-1].seq if self._waiting else self._committed[0]

    def record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        """Take in one step. When this returns, its commands may leave.

        Raises JournalError when they may not: an entry that is not on disk, or a journal that is broken. Protective
        commands go ahead all the same; they were noted in the emergency file.
        """
        try:
            self._take(item, outputs)
        except ProtocolError as error:
            self._break(f"a record cannot be encoded: {error}")
        if len(self._waiting) > self._max_unwritten:
            self._break("too much waits for room on the disk")
        entry = any(isinstance(output, PlaceBracket) for output in outputs)
        try:
            if entry or self._broken or (len(self._waiting) >= self._max_waiting and not self.trouble):
                self._commit()
        except JournalError:
            if entry or self._broken:
                self._note_emergency(outputs)
                raise
        if self.trouble:
            self._note_emergency(outputs)

    def flush(self, min_rows: int = 1, max_age_ns: int = 0) -> int:
        """Commit what waits when it is at least `min_rows` or its oldest row at least `max_age_ns` (boot time) old.

        Returns the number of rows committed. Raises JournalError when they cannot be; with a full disk they wait on.
        """
        if not self._broken:
            if not self._waiting:
                return 0
            if len(self._waiting) < min_rows and self._clock() - self._waiting[0].boot_ns < max_age_ns:
                return 0
        count = len(self._waiting)
        self._commit()
        if self._since_checkpoint >= CHECKPOINT_ROWS:
            self._checkpoint()
        return count

    def emergency(self, text: str) -> bool:
        """Note a line where it can be noted even when the disk is full; False when not even there."""
        return self._emergency.append(text.replace("\n", " ").encode(errors="replace"))

    def close(self) -> None:
        """Commit what waits, fold the log into the file and give the lock back. Safe to repeat.

        Raises JournalError when the last rows could not be written.
        """
        if self._closed:
            return
        try:
            if self._waiting and not self._broken:
                self._commit()
            if not self._broken:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise JournalError(f"the journal {self.path.name} cannot be closed in order: {error}") from error
        finally:
            self._closed = True
            self._closing.close()

    def _open(self, run: RunInfo) -> None:
        """Open or make the files, check them, and write the row of this start."""
        head = read_head(head_path(self.path))
        try:
            self._head_file = self._closing.enter_context(contextlib.closing(HeadFile(head_path(self.path))))
            if head is None and not self.path.exists():
                head = (0, GENESIS)
                self._head_file.write(*head)
            self._db = self._closing.enter_context(contextlib.closing(_connect(self.path, fresh=head == (0, GENESIS))))
        except (OSError, sqlite3.Error) as error:
            damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE
            kind = JournalDamaged if damaged else JournalError
            raise kind(f"the journal {self.path} cannot be opened: {error}") from error
        verdict = self.verify()
        if verdict.state == "mismatch":
            raise JournalDamaged(f"the journal {self.path} is not what it was: {verdict.reason}")
        self._committed = (verdict.seq, verdict.hash)
        left = self._emergency.lines()
        info = asdict(run) | {"emergency": [*run.emergency, *(line.decode(errors="replace") for line in left)]}
        body = json.dumps(info, sort_keys=True, separators=(",", ":")).encode()
        self._append("start", "RunInfo", body, run.started_ns, None)
        self._commit()
        if left:
            self._emergency.clear()

    def _take(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        """Put the rows of one step at the end of what waits; all or, with ProtocolError, none."""
        encode = self._codec.encode_record
        encoded = [encode(thing) for thing in (item, *outputs)]
        for thing, (kind, body) in zip((item, *outputs), encoded, strict=True):
            direction: Direction = "in" if thing is item else "note" if isinstance(thing, Note) else "out"
            self._append(direction, kind, body, item.now_ns, getattr(thing, "account", None))

    def _append(self, direction: Direction, kind: str, body: bytes, market_ns: int, account: int | None) -> None:
        seq, previous = (self._waiting[-1].seq, self._waiting[-1].hash) if self._waiting else self._committed
        now = self._clock()
        hash_ = row_hash(previous, seq + 1, now, market_ns, account, direction, kind, body)
        self._waiting.append(Row(seq + 1, now, market_ns, account, direction, kind, body, previous, hash_))

    def _commit(self) -> None:
        """Write and sync what waits, then the head. Raises JournalError; the rows wait on when the disk is full."""
        if self._broken:
            raise JournalError(f"the journal {self.path.name} is not written any more: {self.trouble}")
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(_INSERT, map(astuple, self._waiting))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")  # most errors did this already
            raise self._failed(error) from error
        self._since_checkpoint += len(self._waiting)
        self._committed = (self._waiting[-1].seq, self._waiting[-1].hash)
        self._waiting.clear()
        try:
            self._head_file.write(*self._committed)
        except OSError as error:
            raise self._failed(error) from error
        self.trouble = ""

    def _checkpoint(self) -> None:
        """Fold the log into the file. Why here and not by SQLite itself: it would come on the way of an order."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            raise self._failed(error) from error
        self._since_checkpoint = 0

    def _failed(self, error: Exception) -> JournalError:
        """Note what is wrong; everything but a full disk ends the trust in this file."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in PASSING:
            self.trouble = f"no room to write: {error}"
        else:
            self._break(str(error))
        return JournalError(f"the journal {self.path.name} cannot be written: {error}")

    def _break(self, reason: str) -> None:
        self._broken = True
        self.trouble = reason

    def _note_emergency(self, outputs: list[DeskOutput]) -> None:
        """Note the protective commands, which go ahead without the journal (R1)."""
        for output in outputs:
            if not isinstance(output, (Note, PlaceBracket, Query)):
                self.emergency(repr(output))


def _connect(path: Path, fresh: bool) -> sqlite3.Connection:
    """The writing connection; with `fresh`, an empty file gets its tables. Raises sqlite3.Error, OSError."""
    if path.exists():
        # By name and not by descriptor: closing one would drop SQLite's own locks on the file in this process.
        check_private(path, os.lstat(path))
    else:
        os.close(open_private(path, 0))
    db = sqlite3.connect(path, isolation_level=None, timeout=0.25)
    try:
        for setting in ("journal_mode = WAL", "synchronous = FULL", "mmap_size = 0", "wal_autocheckpoint = 0"):
            db.execute(f"PRAGMA {setting}")
        db.execute("PRAGMA cell_size_check = ON")
        if fresh and not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            schema = resources.files("tbot.storage").joinpath("schema.sql").read_text(encoding="utf-8")
            db.executescript(f"BEGIN; {schema} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    except BaseException:
        db.close()
        raise
    return db
