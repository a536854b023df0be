"""A journal in several files: `journal.db` is written, `journal.db.0001` and on are full and never change again.

Why at all: a start reads the whole file to prove it, and a week of timers makes some hundred thousand rows. Why at a
start only: then the first row of the new file is the start row, which holds all that earlier runs left behind, so
nothing has to be looked up in a full file. The chain goes on: that row names the last row before it, and seq counts on.

One rename makes the change. Before it the full file has its second name already, so a crash at any point leaves the old
file or the new one as the journal, whole; the head file stays and names a row that both of them know.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

from tbot.storage.journal_files import HeadFile, head_path, open_private, sync_directory
from tbot.storage.journal_reader import GENESIS, INSERT, Codec, JournalReader, Row, Verdict, base_of, is_damage
from tbot.storage.journal_schema import create

ROTATE_ROWS: Final = 100_000  # a day or two; a start reads them all, at about 10 us each


def full_files(path: Path) -> list[Path]:
    """The full files of the journal `path`, oldest first."""
    found = sorted(file for file in path.parent.glob(f"{path.name}.*") if file.name[len(path.name) + 1 :].isdigit())
    # A rotation that was cut short has given the journal its second name only.
    return [file for file in found if not (path.exists() and file.samefile(path))]


def recover(path: Path) -> None:
    """Let SQLite undo a change of the file's own header that a crash cut short: no reader may do that.

    The caller holds the writer's lock. Raises sqlite3.Error; what is wrong with the file shows when it is opened.
    """
    if path.exists() and path.with_name(f"{path.name}-journal").exists():
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0.25)) as db:
            try:
                db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise


def rotate(path: Path, codec: Codec, max_rows: int, first_row: Callable[[tuple[int, bytes]], Row]) -> bool:
    """Begin a new file when the journal has `max_rows` rows; True when done. The caller holds the writer's lock.

    `first_row` makes the start row behind (seq, hash). Not done while somebody reads the file, or when it is not sound:
    opening it tells what is wrong. Raises sqlite3.Error, OSError; the journal is then what it was.
    """
    if not path.exists():
        return False
    with JournalReader(path, codec) as reader:
        if reader.count() < max_rows or (verdict := reader.verify()).state not in ("ok", "torn"):
            return False
    if not _alone(path):
        return False
    head = (verdict.seq, verdict.hash)
    with contextlib.closing(HeadFile(head_path(path))) as file:
        file.write(*head)  # it may have stayed behind, and the new file begins with what it must not be behind
    full = _second_name(path)
    with contextlib.closing(HeadFile(head_path(full))) as file:
        file.write(*head)
    sync_directory(path.parent)
    fresh = path.with_name(f"{path.name}.next")
    for left in (fresh, fresh.with_name(f"{fresh.name}-journal")):  # of a rotation that was cut short
        left.unlink(missing_ok=True)
    os.close(open_private(fresh, 0))
    with contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = EXTRA")
        create(db)
        db.execute(INSERT, astuple(first_row(head)))
    fresh.replace(path)
    sync_directory(path.parent)
    return True


def _alone(path: Path) -> bool:
    """Fold the log into the file and do without one; False when somebody else has the file open.

    Why: a reader of the old file would take the new one's log for its own.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0.25)) as db:
        try:
            return bool(db.execute("PRAGMA journal_mode = DELETE").fetchone()[0] == "delete")
        except sqlite3.OperationalError:
            return False  # busy, or in trouble that opening it will tell


def _second_name(path: Path) -> Path:
    number = max((int(file.suffix[1:]) for file in full_files(path)), default=0) + 1
    full = path.with_name(f"{path.name}.{number:04d}")
    if not full.exists():
        os.link(path, full)
    return full


class JournalFamily:
    """All files of a journal as one, for reading: newest first or oldest first, whatever file a row lies in.

    Raises JournalError as JournalReader does.
    """

    def __init__(self, path: Path, codec: Codec) -> None:
        self.path = path
        with contextlib.ExitStack() as opened:
            self.readers = [opened.enter_context(JournalReader(file, codec)) for file in (*full_files(path), path)]
            self._closing = opened.pop_all()

    @property
    def newest_file(self) -> JournalReader:
        """The one that is being written."""
        return self.readers[-1]

    def newest(
        self, kind: str | None = None, *, account: int | None = None, since_ns: int | None = None
    ) -> Iterator[Row]:
        """See JournalReader.newest."""
        for reader in reversed(self.readers):
            yield from reader.newest(kind, account=account, since_ns=since_ns)

    def rows(self, after: int = 0) -> Iterator[Row]:
        """See JournalReader.rows."""
        for reader in self.readers:
            yield from reader.rows(after)

    def decode(self, row: Row) -> Any:
        """See JournalReader.decode."""
        return self.newest_file.decode(row)

    def verify(self) -> list[tuple[JournalReader, Verdict]]:
        """The verdict on each file, oldest first; a file that does not continue the one before it is a mismatch.

        A file that begins at row 1 continues none: the journal before it was lost or put aside.
        """
        found: list[tuple[JournalReader, Verdict]] = []
        for reader in self.readers:
            verdict = reader.verify()
            if verdict.state in ("ok", "torn") and found:
                before = found[-1][1]
                base = base_of(reader)
                if base not in ((0, GENESIS), (before.seq, before.hash)):
                    text = f"it continues row {base[0]}, and the file before it ends with row {before.seq}"
                    verdict = Verdict("mismatch", verdict.seq, verdict.hash, text)
            found.append((reader, verdict))
        return found

    def close(self) -> None:
        """Safe to repeat."""
        self._closing.close()

    def __enter__(self) -> "JournalFamily":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
