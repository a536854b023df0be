"""The journal: every input of the Desk and what it made of it, in one hash-chained SQLite table (R1, I15).

Written by the executor through the one connection of `Journal`; everybody else reads through `JournalReader`.

* All that one input caused is one transaction: a crash leaves whole steps only, so every prefix is a state that was.
* A step with an entry, a person's word, or a flatten, lock or halt is synced before `record` returns: write first, send
  second. Others wait for `flush` and are committed together; a crash may cost the newest of them, which the broker's
  own lists bring back.
* The head goes to its file after the commit that it names, so it may lag behind the rows but never lead them.
* A start on a full disk goes on when there is a journal with rows already: its own row waits like any other, and what
  the run before could only note stays in the emergency file until it is committed. Protection does not wait (R1).
"""

import contextlib
import errno
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, fields
from operator import attrgetter
from pathlib import Path
from typing import Final

from tbot.domain.messages import DeskInput, DeskOutput, Note, OperatorIn, PlaceBracket, Query, SignalIn, StateChange
from tbot.errors import JournalDamaged, JournalError, ProtocolError
from tbot.storage.journal_files import (
    DISTRUST,
    EmergencyFile,
    HeadFile,
    check_private,
    emergency_path,
    head_path,
    open_private,
    read_head,
    sync_directory,
)
from tbot.storage.journal_reader import (
    GENESIS,
    INSERT,
    Codec,
    Direction,
    JournalReader,
    Row,
    RunInfo,
    continued,
    is_damage,
    row_hash,
)
from tbot.storage.journal_rotation import recover, rotate
from tbot.storage.journal_schema import SCHEMA_VERSION, copy_aside, create, migrate, version_of

_VALUES: Final = attrgetter(*(item.name for item in fields(Row)))  # in the order of INSERT
CHECKPOINT_ROWS: Final = 5000
# Errors after which the same connection works again when there is room; after any other the file is not trusted any
# more (F-SYS-02).
FOR_NOW: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)  # of the head file, which lags until there is


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
    entry_ttl_ns : an entry older than this (boot time since its signal left) when it is on disk may not leave any more
    rotate_rows : a file with so many rows is full: this writer begins another (journal_rotation); 0: never

    Raises JournalError when another writer has the file, it is not private, or a newer version wrote it; JournalDamaged
    when `verify` finds a mismatch, or an earlier writer met an I/O error: put it away with `set_aside`, begin anew, and
    take the state from the broker (F-SYS-02, F-SYS-03). A file of an older version is brought to ours, and a copy kept.
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
        entry_ttl_ns: int | None = None,
        rotate_rows: int = 0,
    ) -> None:
        self.path = path
        self._codec = codec
        self._clock = clock
        self._max_waiting = max_waiting
        self._max_unwritten = max_unwritten
        self._entry_ttl_ns = entry_ttl_ns
        self._waiting: list[Row] = []
        self._turn = threading.Lock()  # of what waits: a step goes in whole, and what is committed goes out
        self._left = 0  # lines of the emergency file that the start row holds, while that is not committed
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
            self._open(run, rotate_rows)
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
            while any(path.parent.glob(f"{path.name}.bad-{number}*")):
                number += 1
            # The journal first: a head without its journal is noticed, should this be cut short.
            for suffix in ("", "-wal", "-shm", ".head", ".emergency"):
                old = path.with_name(path.name + suffix)
                if old.exists():
                    old.rename(path.with_name(f"{path.name}.bad-{number}{suffix}"))
            sync_directory(path.parent)
        finally:
            lock.close()
        return path.with_name(f"{path.name}.bad-{number}")

    @property
    def _syncs(self) -> bool:
        """Whether a note of an emergency may wait for the disk."""
        return True

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
        return self._newest[0]

    def record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        """Take in one step. When this returns, its commands may leave.

        Raises JournalError when they may not: an entry that is not on disk or got too old on the way there (F-SYS-05),
        or a journal that is broken. Protective commands go ahead all the same; they were noted in the emergency file
        unless they are in the journal.
        """
        started = self._clock()
        try:
            self._take(item, outputs)
        except ProtocolError as error:
            self._break(f"a record cannot be encoded: {error}")
        if len(self._waiting) > self._max_unwritten:
            self._break("too much waits for room on the disk")
        entry = any(isinstance(output, PlaceBracket) for output in outputs)
        full = len(self._waiting) >= self._max_waiting and not self.trouble
        try:
            if entry or self._broken or full or _binds(item, outputs):
                self._commit()
        except JournalError:
            if entry or self._broken:
                self._note_emergency(outputs)
                raise
        if self.trouble:
            self._note_emergency(outputs)
        if entry:
            self._refuse_when_late(item, started)

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
        if self._checkpoint_due:
            self._checkpoint()
        return count

    def emergency(self, text: str) -> bool:
        """Note a line where it can be noted even when the disk is full; False when not even there."""
        return self._emergency.append(text.replace("\n", " ").encode(errors="replace"), sync=self._syncs)

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

    def _open(self, run: RunInfo, rotate_rows: int) -> None:
        """Open or make the files, check them, and write the row of this start."""
        try:
            left = self._emergency.lines()
            recover(self.path)
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"the journal {self.path} cannot be opened: {error}") from error
        if stopped := next((line for line in left if line.startswith(DISTRUST)), None):
            raise JournalDamaged(
                f"the journal {self.path} is not what it should be: {stopped.decode(errors='replace')}"
            )

        def first_row(head: tuple[int, bytes]) -> Row:
            return self._row(*head, "start", "RunInfo", _start_body(run, left, continued(*head)), run.started_ns, None)

        try:
            rotated = bool(rotate_rows) and self._rotate(rotate_rows, first_row)
            head = read_head(head_path(self.path))
            self._head_file = self._closing.enter_context(contextlib.closing(HeadFile(head_path(self.path))))
            if head is None and not self.path.exists():
                head = (0, GENESIS)
                self._head_file.write(*head)
            self._db = self._closing.enter_context(contextlib.closing(_connect(self.path, fresh=head == (0, GENESIS))))
            self._file = _identity(self.path)
            self._committed = self._newest = self._checked()
            if version_of(self._db) < SCHEMA_VERSION:
                self._bring_up()
            if rotated:
                self._head_file.write(*self._committed)
        except (OSError, sqlite3.Error) as error:
            kind = JournalDamaged if is_damage(error) else JournalError
            raise kind(f"the journal {self.path} cannot be opened: {error}") from error
        self._left = len(left)
        if rotated:
            self._clear_left()
            return
        known = self._committed[0] > 0
        self._append("start", "RunInfo", _start_body(run, left), run.started_ns, None)
        try:
            self._commit()
        except JournalError:
            if self._broken or not known:
                raise
            # Only out of room: a position that a dead run left without a stop cannot wait for that (F-SYS-01, I3).

    def _rotate(self, rotate_rows: int, first_row: Callable[[tuple[int, bytes]], Row]) -> bool:
        """As `rotate`; on a full disk the old file is written on."""
        try:
            return rotate(self.path, self._codec, rotate_rows, first_row)
        except (OSError, sqlite3.Error) as error:
            if _no_room(error):
                return False
            raise

    def _clear_left(self) -> None:
        """What the run before noted is in the start row, on disk; what was noted since stays."""
        count, self._left = self._left, 0
        if count:
            self._emergency.clear(count)

    def _checked(self) -> tuple[int, bytes]:
        """Seq and hash of the last row of a sound file."""
        verdict = self.verify()
        if verdict.state == "newer":
            raise JournalError(
                f"the journal {self.path} was written by a newer T-BOT ({verdict.reason}); run that one, or give this "
                f"one another TBOT_HOME"
            )
        if verdict.state == "mismatch":
            raise JournalDamaged(f"the journal {self.path} is not what it was: {verdict.reason}")
        return verdict.seq, verdict.hash

    def _bring_up(self) -> None:
        """An older file to our version; its rows stay as they are, and a copy of it is kept."""
        copy = copy_aside(self._db, self.path, self._committed)
        with JournalReader(copy, self._codec) as kept:
            verdict = kept.verify()
        if (verdict.state, verdict.seq, verdict.hash) != ("ok", *self._committed):
            raise JournalError(f"the copy {copy} of the journal did not come out right: {verdict.reason}; try again")
        migrate(self._db)
        if self._checked() != self._committed:
            raise JournalDamaged(f"the journal {self.path} changed on the way to version {SCHEMA_VERSION}")

    def _take(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        """Put the rows of one step at the end of what waits; all or, with ProtocolError, none."""
        encode = self._codec.encode_record
        encoded = [encode(thing) for thing in (item, *outputs)]
        with self._turn:
            for thing, (kind, body) in zip((item, *outputs), encoded, strict=True):
                direction: Direction = "in" if thing is item else "note" if isinstance(thing, Note) else "out"
                self._append(direction, kind, body, item.now_ns, getattr(thing, "account", None))

    def _append(self, direction: Direction, kind: str, body: bytes, market_ns: int, account: int | None) -> None:
        row = self._row(*self._newest, direction, kind, body, market_ns, account)
        self._waiting.append(row)
        self._newest = (row.seq, row.hash)

    def _row(
        self,
        seq: int,
        previous: bytes,
        direction: Direction,
        kind: str,
        body: bytes,
        market_ns: int,
        account: int | None,
    ) -> Row:
        """The row behind (seq, previous)."""
        now = self._clock()
        hash_ = row_hash(previous, seq + 1, now, market_ns, account, direction, kind, body)
        return Row(seq + 1, now, market_ns, account, direction, kind, body, previous, hash_)

    def _refuse_when_late(self, item: DeskInput, started_ns: int) -> None:
        """A slow disk (F-SYS-05): the signal was fresh when the Desk took it, and is stale now that it is on record."""
        age = self._clock() - started_ns + (item.age_ns if isinstance(item, SignalIn) else 0)
        if self._entry_ttl_ns is not None and age > self._entry_ttl_ns:
            raise JournalError(f"the entry was {age / 1e9:.1f} s old when the disk had it; it is not sent any more")

    def _commit(self) -> None:
        """Write and sync what waits, then the head. Raises JournalError; the rows wait on when the disk is full."""
        if self._broken:
            raise JournalError(f"the journal {self.path.name} is not written any more: {self.trouble}")
        if not self._in_place():
            self._break("its file was taken away while it was written")
            self._leave_trace()
            raise JournalError(f"the journal {self.path.name} cannot be written: {self.trouble}")
        with self._turn:
            rows = list(self._waiting)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(INSERT, map(_VALUES, rows))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")  # most errors did this already
            raise self._failed(error) from error
        self._since_checkpoint += len(rows)
        self._committed = (rows[-1].seq, rows[-1].hash)
        with self._turn:
            del self._waiting[: len(rows)]
        self._rows_are_down()
        try:
            self._head_file.write(*self._committed)
            self._clear_left()
        except OSError as error:
            raise self._failed(error) from error
        if not self._broken:  # by another thread, meanwhile
            self.trouble = ""

    def _rows_are_down(self) -> None:
        """Called between the commit of rows and that of their head, for who waits for the rows alone."""

    def _in_place(self) -> bool:
        """Whether the file still has its name: what goes to a deleted one is lost with this process (F-CFG-05)."""
        try:
            return _identity(self.path) == self._file
        except OSError:
            return False

    def _leave_trace(self) -> None:
        """A head where the journal was: so the next start knows that there was one, and halts (RC_JOURNAL_LOST)."""
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.closing(HeadFile(head_path(self.path))) as head:
                head.write(*self._committed)

    @property
    def _checkpoint_due(self) -> bool:
        return self._since_checkpoint >= CHECKPOINT_ROWS

    def _checkpoint(self) -> None:
        """Fold the log into the file. Why here and not by SQLite itself: it would come on the way of an order."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            raise self._failed(error) from error
        self._since_checkpoint = 0

    def _failed(self, error: Exception) -> JournalError:
        """Note what is wrong; everything but a full disk ends the trust in this file."""
        if _no_room(error):
            self.trouble = f"no room to write: {error}"
        else:
            self._break(str(error))
            # For the next start: what the file holds may be in memory only, and look sound (F-SYS-02).
            self.emergency(DISTRUST.decode() + str(error))
        return JournalError(f"the journal {self.path.name} cannot be written: {error}")

    def _break(self, reason: str) -> None:
        self._broken = True
        self.trouble = reason

    def _note_emergency(self, outputs: list[DeskOutput]) -> None:
        """Note the protective commands, which go ahead without the journal (R1)."""
        for output in outputs:
            if not isinstance(output, (Note, PlaceBracket, Query)):
                self.emergency(repr(output))


def _no_room(error: Exception) -> bool:
    """Whether the same connection may work again later."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in FOR_NOW or getattr(error, "errno", 0) in NO_ROOM


def _identity(path: Path) -> tuple[int, int]:
    """What tells a file from another one of the same name. OSError when there is none."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _start_body(run: RunInfo, left: list[bytes], continues: str = "") -> bytes:
    """The row of a start; `left` is what an earlier writer could only note."""
    emergency = [*run.emergency, *(line.decode(errors="replace") for line in left)]
    info = asdict(run) | {"emergency": emergency, "continues": continues}
    return json.dumps(info, sort_keys=True, separators=(",", ":")).encode()


def _binds(item: DeskInput, outputs: list[DeskOutput]) -> bool:
    """Whether a restart must know of this step: what a person asked for, and a flatten, lock or halt (I14).

    A crash within the pause between two flushes would undo a kill that was acknowledged; and the day's lock must be on
    record before its first close leaves (F-RSK-01).
    """
    return isinstance(item, OperatorIn) or any(
        isinstance(output, StateChange) and output.state in ("REDUCING", "LOCKED", "HALTED") for output in outputs
    )


def _connect(path: Path, fresh: bool) -> sqlite3.Connection:
    """The writing connection; with `fresh`, an empty file gets its tables. Raises sqlite3.Error, OSError."""
    if path.exists():
        # By name and not by descriptor: closing one would drop SQLite's own locks on the file in this process.
        check_private(path, os.lstat(path))
    else:
        os.close(open_private(path, 0))
    db = sqlite3.connect(path, isolation_level=None, timeout=0.25, check_same_thread=False)
    try:
        for setting in ("journal_mode = WAL", "synchronous = FULL", "mmap_size = 0", "wal_autocheckpoint = 0"):
            db.execute(f"PRAGMA {setting}")
        db.execute("PRAGMA cell_size_check = ON")
        if fresh and not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            create(db)
    except BaseException:
        db.close()
        raise
    return db
