"""A journal that cannot be trusted: keep it aside, and read from it what is proven (F-SYS-02, F-SYS-03).

The broker knows positions, orders, fills and with them the day's result and the losses in a row. It does not know what
a person asked for (kill, pause), nor a halt: whoever finds a journal lost must assume that there was one (I14).
"""

import contextlib
import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tbot.errors import JournalDamaged, JournalError, ProtocolError
from tbot.storage.journal import Journal
from tbot.storage.journal_files import DISTRUST, EmergencyFile, emergency_lines, emergency_path, head_path, read_head
from tbot.storage.journal_reader import Codec, JournalReader, Row, RunInfo, Step, grouped, run_info, sound_rows
from tbot.storage.journal_rotation import full_files, recover

_UNREADABLE: Final = (JournalError, ProtocolError, struct.error, TypeError, KeyError, AttributeError, UnicodeError)


@dataclass(frozen=True, slots=True)
class Lost:
    """A journal that is not trusted: why, where it lies now, and the notes of what it could not take in."""

    reason: str
    kept: Path | None  # None: nothing is left of it
    emergency: tuple[str, ...] = ()


def put_aside_if_lost(path: Path, codec: Codec, *, begun: bool = False) -> Lost | None:
    """Put a journal aside that cannot be trusted; None when it can, or when there never was one.

    `begun`: somebody who must know says that there was one, so that none at all is a loss, too.

    A file that a first start left without a table is taken away: there is nothing in it, and it cannot be read.

    A journal that is only out of reach for a moment, or a newer version's, stays: it may hold the lock of the day.
    Raises JournalError for it. Repeatable: until the new journal has its first row, the loss is found again.
    """
    if path.with_name(f"{path.name}-journal").exists():
        with _held(path):
            recover(path)
    reason = _reason(path, codec)
    if not reason and begun and (not path.exists() or _blank(path, codec)):
        reason = "it was there when this run began, and nothing is left in its folder"
    if not reason:
        if path.exists() and _blank(path, codec):
            with _held(path):
                for suffix in ("-wal", "-shm", ""):  # a log without its file would tell of a loss
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
        return None
    emergency = tuple(line.decode(errors="replace") for line in emergency_lines(path))
    if any(path.with_name(path.name + suffix).exists() for suffix in ("", "-wal", ".head")):
        Journal.set_aside(path)
    aside = [file for file in path.parent.glob(f"{path.name}.bad-*") if file.name.rpartition("-")[2].isdigit()]
    kept = max(aside, key=lambda file: int(file.name.rpartition("-")[2]), default=None)
    return Lost(reason, kept, emergency)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """As the only one who may write."""
    try:
        with contextlib.closing(EmergencyFile(emergency_path(path))):
            yield
    except BlockingIOError:
        raise JournalError(f"the journal {path} is being written by another process") from None
    except (OSError, sqlite3.Error) as error:
        raise JournalError(f"the journal {path} is out of reach: {error}") from error


def _blank(path: Path, codec: Codec) -> bool:
    with Journal.open_readonly(path, codec) as reader:
        return reader.blank()


def _reason(path: Path, codec: Codec) -> str:
    """Why the journal is not to be trusted; "" when it is, or never was."""
    traces = _began(path) or _put_aside(path) or bool(full_files(path))
    if not path.exists():
        traces = traces or path.with_name(f"{path.name}-wal").exists()
        return "it is gone, and only files that stood beside it are left" if traces else ""
    for line in emergency_lines(path):
        if line.startswith(DISTRUST):
            return f"the disk refused to take it in ({line.removeprefix(DISTRUST).decode(errors='replace')})"
    try:
        if _blank(path, codec):
            return "the file is empty, and files beside it tell of a journal" if traces else ""
        with Journal.open_readonly(path, codec) as reader:
            verdict = reader.verify()
            if verdict.state == "newer":
                raise JournalError(f"the journal {path} was written by a newer T-BOT ({verdict.reason}); run that one")
            if verdict.state == "mismatch":
                return verdict.reason
            if _put_aside(path) and not reader.count():
                return "the one before it was put aside, and this one has no row yet"
    except JournalDamaged as error:
        return str(error)
    return ""


def _began(path: Path) -> bool:
    """Whether the head file tells of rows. Made before the journal, it is blank or at 0 when that was cut short."""
    head = read_head(head_path(path))
    if head is not None:
        return head[0] > 0
    with contextlib.suppress(FileNotFoundError):
        return any(head_path(path).read_bytes())
    return False


def _put_aside(path: Path) -> bool:
    return any(path.parent.glob(f"{path.name}.bad-*"))


def sound_steps(path: Path, codec: Codec) -> Iterator[Step]:
    """The steps of a journal, oldest first, as far as its chain is whole and this build can read it."""
    with contextlib.suppress(JournalError), JournalReader(path, codec) as reader:
        yield from grouped(_readable(reader), reader.decode)


def first_run(path: Path, codec: Codec) -> RunInfo | None:
    """Who wrote the first row: what it was told stands for everything before this file. None when that is lost."""
    with contextlib.suppress(JournalError), JournalReader(path, codec) as reader:
        first = next(_readable(reader), None)
        return None if first is None or first.direction != "start" else run_info(first)
    return None


def _readable(reader: JournalReader) -> Iterator[Row]:
    try:
        for row in sound_rows(reader):
            if row.direction != "start":
                reader.decode(row)
            yield row
    except _UNREADABLE:
        return
