"""Reading the journal: rows, steps to replay, and the proof that nothing in it was changed.

Why the codec is handed in: encoding messages is `transport/wire.py`'s, and packages of one layer do not import each
other. Pass that module.
"""

import json
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal, Protocol, Self

from tbot.domain.messages import DeskInput, DeskOutput, Note
from tbot.errors import JournalDamaged, JournalError
from tbot.storage.journal_files import head_path, read_head
from tbot.storage.journal_schema import READABLE, SCHEMA_VERSION

GENESIS: Final = blake2b(b"T-BOT journal 1", digest_size=32).digest()  # what row 1 names as its predecessor
PAGE_ROWS: Final = 1000  # a reader asks for this many at a time, so that it never holds the writer's log back

# Primary codes of errors that say nothing about the content; of the I/O errors, those that do.
PASSING: Final = (
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_AUTH,
)
UNREADABLE: Final = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)

Direction = Literal["start", "in", "out", "note"]
_CODES: Final[dict[str, int]] = {"start": 0, "in": 1, "out": 2, "note": 3}
_FIXED: Final = struct.Struct("<32sQqq?qBH")
COLUMNS: Final = "seq, boot_ns, market_ns, account, direction, kind, body, previous, hash"
INSERT: Final = f"INSERT INTO record ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PAGE: Final = f"SELECT {COLUMNS} FROM record WHERE seq > ? ORDER BY seq LIMIT {PAGE_ROWS}"
_INDEX: Final = "SELECT kind, seq FROM record INDEXED BY record_by_kind WHERE kind <> 'TimerIn' AND seq <= ?"
FOREVER: Final = 2**63 - 1


class Codec(Protocol):
    """What `tbot.transport.wire` offers: exact round trips, ProtocolError for everything else."""

    def encode_record(self, item: DeskInput | DeskOutput) -> tuple[str, bytes]: ...

    def decode_record(self, kind: str, body: bytes) -> Any: ...


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Who writes: one row at every start of an executor. `emergency` holds what an earlier one could not journal."""

    run_id: int
    build: str
    config_hash: str
    mode: str
    started_ns: int  # market time
    desk: str = ""  # what the Desk was told at construction, as JSON: with the inputs it gives the state again
    emergency: tuple[str, ...] = ()
    schema: int = SCHEMA_VERSION  # of the build that writes
    continues: str = ""  # first row of a file behind a filled one: `continued` of that file's last row


def continued(seq: int, hash_: bytes) -> str:
    """How the first row of a file names the last row of the file before it."""
    return f"{seq} {hash_.hex()}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the journal as it lies on disk."""

    seq: int
    boot_ns: int
    market_ns: int
    account: int | None
    direction: Direction
    kind: str
    body: bytes
    previous: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """One input and everything the Desk answered, in order: what a replay compares."""

    seq: int
    item: DeskInput
    outputs: tuple[DeskOutput, ...]


@dataclass(slots=True)
class _Sum:
    """Of (kind, seq) pairs in any order: equal for equal sets."""

    count: int = 0
    crc: int = 0

    def add(self, kind: str, seq: int) -> None:
        self.count += 1
        self.crc ^= zlib.crc32(f"{kind} {seq}".encode())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found.

    torn = the last writer died, or a living one is, between a commit and its head; every row is sound. newer = written
    by a later version of T-BOT, which alone can tell whether it is sound.
    """

    state: Literal["ok", "torn", "mismatch", "newer"]
    seq: int  # last sound row
    hash: bytes
    reason: str = ""


def row_hash(
    previous: bytes,
    seq: int,
    boot_ns: int,
    market_ns: int,
    account: int | None,
    direction: str,
    kind: str,
    body: bytes,
) -> bytes:
    """The hash of a row, over everything else in it. Raises struct.error, TypeError, KeyError for what is no row."""
    name = kind.encode()
    fixed = _FIXED.pack(
        previous, seq, boot_ns, market_ns, account is not None, account or 0, _CODES[direction], len(name)
    )
    return blake2b(fixed + name + body, digest_size=32).digest()


class JournalReader:
    """Reads a journal, also while it is being written. Never changes it.

    `after` is a seq everywhere: rows behind it are given. Raises JournalError when the file cannot be read.
    """

    def __init__(self, path: Path, codec: Codec) -> None:
        self.path = path
        self._codec = codec
        try:
            address = f"{path.absolute().as_uri()}?mode=ro"
            self._db = sqlite3.connect(address, uri=True, isolation_level=None, timeout=0.25)
            self._db.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise _kind_of(error)(f"the journal {path} cannot be opened: {error}") from error

    @property
    def head(self) -> tuple[int, bytes]:
        """Seq and hash of the last committed row; (0, GENESIS) when there is none."""
        found = self._ask("SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1")
        return (found[0][0], found[0][1]) if found else (0, GENESIS)

    def rows(self, after: int = 0) -> Iterator[Row]:
        """All rows, oldest first, unverified."""
        while page := self._ask(_PAGE, after):
            for values in page:
                yield Row(*values)
            after = page[-1][0]

    def steps(self, after: int = 0) -> Iterator[Step]:
        """Every input with its outputs, oldest first."""
        return grouped(self.rows(after), self.decode)

    def inputs(self, after: int = 0) -> Iterator[tuple[int, DeskInput]]:
        """(seq, input) for every input, oldest first: what a replay feeds to a fresh Desk."""
        for row in self.rows(after):
            if row.direction == "in":
                yield row.seq, self._codec.decode_record(row.kind, row.body)

    def notes(self, after: int = 0) -> Iterator[tuple[int, Note]]:
        """(seq, note) for every intent, denial, state change and round trip, oldest first."""
        for row in self.rows(after):
            if row.direction == "note":
                yield row.seq, self._codec.decode_record(row.kind, row.body)

    def newest(
        self,
        kind: str | None = None,
        *,
        account: int | None = None,
        since_ns: int | None = None,
        before: int = FOREVER,
    ) -> Iterator[Row]:
        """Rows that fit everything that is asked for (market time not before `since_ns`), newest first, unverified."""
        query = newest_query(kind, account, since_ns)
        asked = [value for value in (kind, account, since_ns) if value is not None]
        while page := self._ask(query, before, *asked):
            for values in page:
                yield Row(*values)
            before = page[-1][0]

    def of_kind(self, kind: str) -> Iterator[tuple[int, Any]]:
        """(seq, item) of every input or output of one class of the schema, newest first."""
        for row in self.newest(kind):
            yield row.seq, self.decode(row)

    def decode(self, row: Row) -> Any:
        """The input or output in a row. Raises ProtocolError when this build has no such class."""
        return self._codec.decode_record(row.kind, row.body)

    def outputs_of(self, seq: int) -> list[DeskOutput]:
        """What the Desk answered to the input with this seq."""
        outputs: list[DeskOutput] = []
        for row in self.rows(seq):
            if row.direction not in ("out", "note"):
                break
            outputs.append(self._codec.decode_record(row.kind, row.body))
        return outputs

    def runs(self) -> list[tuple[int, RunInfo]]:
        """(seq, who) for every start of a writer, oldest first. A replay begins behind one of these.

        Raises JournalDamaged when one of them is no such row.
        """
        starts = [row for row in self.newest("RunInfo") if row.direction == "start"]
        return [(row.seq, run_info(row)) for row in reversed(starts)]

    def count(self) -> int:
        """Rows in this file."""
        return int(self._ask("SELECT coalesce(max(seq) - min(seq) + 1, 0) FROM record")[0][0])

    def blank(self) -> bool:
        """Whether there is not even a table in it."""
        return not self._ask("SELECT count(*) FROM sqlite_schema")[0][0]

    def version(self) -> int:
        """Of the file's schema."""
        return int(self._ask("PRAGMA user_version")[0][0])

    def verify(self) -> Verdict:
        """Walk the whole chain and compare its end with the head file. Reads everything: about 5 us a row.

        Raises JournalError when the file is out of reach, which says nothing about it.
        """
        # The head first: a living writer may add rows while we read, and the head must never seem to lead.
        head = read_head(head_path(self.path))
        seq, last, at_head = 0, GENESIS, None
        indexed = _Sum()
        try:
            if (version := self.version()) not in READABLE:
                return self._other_version(version)
            for row in self.rows():
                if seq == 0:
                    seq, last = _base(row)
                if head is not None and seq == head[0]:
                    at_head = last
                if row.seq != seq + 1 or row.previous != last or row.hash != _hash_of(row):
                    return Verdict("mismatch", seq, last, f"row {seq + 1} was changed, or rows are missing before it")
                seq, last = row.seq, row.hash
                if row.kind != "TimerIn":
                    indexed.add(row.kind, row.seq)
            if version > 1 and indexed != self._index_sum(seq):
                return Verdict("mismatch", seq, last, "the index does not list the rows that are there")
        except (JournalDamaged, struct.error, TypeError, KeyError, AttributeError, UnicodeError) as error:
            return Verdict("mismatch", seq, last, f"row {seq + 1} cannot be read: {error}")
        return _compare(seq, last, head, last if head is not None and seq == head[0] else at_head)

    def _index_sum(self, seq: int) -> "_Sum":
        """Of what the index says is there up to `seq`: it is outside the chain, and a lying one hides rows."""
        found = _Sum()
        for kind, listed in self._ask(_INDEX, seq):
            found.add(kind, listed)
        return found

    def _other_version(self, version: int) -> Verdict:
        """Why not simply a mismatch: a newer file may hold the lock of the day, so it must not be put aside."""
        if version > SCHEMA_VERSION:
            try:
                ours = all(info.schema <= SCHEMA_VERSION for _, info in self.runs())
            except JournalDamaged:
                ours = False  # not as we write it, so what its header says may be so
            if not ours:
                return Verdict(
                    "newer", 0, GENESIS, f"it is of version {version}, and this build knows {SCHEMA_VERSION} at most"
                )
        return Verdict("mismatch", 0, GENESIS, f"schema version {version}, and this build writes {SCHEMA_VERSION}")

    def close(self) -> None:
        """Safe to repeat."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _ask(self, statement: str, *values: object) -> list[Any]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _kind_of(error)(f"the journal {self.path.name} cannot be read: {error}") from error


def is_damage(error: BaseException) -> bool:
    """Whether an error of SQLite speaks of what is in the file; all others may pass (busy, full, not permitted).

    Text that is no UTF-8 is found by Python's own module, which gives its error no code.
    """
    undecodable = "Could not decode to UTF-8" in str(error)
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT if undecodable else sqlite3.SQLITE_BUSY)
    if code & 0xFF == sqlite3.SQLITE_IOERR:
        return code in UNREADABLE
    return code & 0xFF not in PASSING


def _kind_of(error: sqlite3.Error) -> type[JournalError]:
    return JournalDamaged if is_damage(error) else JournalError


def grouped(rows: Iterable[Row], decode: Callable[[Row], Any]) -> Iterator[Step]:
    """Rows, oldest first, as steps; outputs without their input (of a file that begins in a step) are left out."""
    seq, item, outputs = 0, None, []
    for row in rows:
        if row.direction in ("out", "note"):
            outputs.append(decode(row))
            continue
        if item is not None:
            yield Step(seq, item, tuple(outputs))
        outputs = []
        seq, item = row.seq, decode(row) if row.direction == "in" else None
    if item is not None:
        yield Step(seq, item, tuple(outputs))


def sound_rows(reader: JournalReader) -> Iterator[Row]:
    """Rows, oldest first, up to the first one that breaks the chain."""
    seq, last = 0, GENESIS
    for row in reader.rows():
        if seq == 0:
            seq, last = _base(row)
        if row.seq != seq + 1 or row.previous != last or row.hash != _hash_of(row):
            return
        seq, last = row.seq, row.hash
        yield row


def newest_query(kind: str | None, account: int | None, since_ns: int | None) -> str:
    """A page of rows before a seq, newest first; further values in the order of the parameters."""
    wanted = ["seq < ?"]
    if kind is not None:
        wanted.append("kind = ?")
        if kind != "TimerIn":
            wanted.append("kind <> 'TimerIn'")  # the condition of the index
    if account is not None:
        wanted.append("account = ?")
    if since_ns is not None:
        wanted.append("market_ns >= ?")
    return f"SELECT {COLUMNS} FROM record WHERE {' AND '.join(wanted)} ORDER BY seq DESC LIMIT {PAGE_ROWS}"


def run_info(row: Row) -> RunInfo:
    """What a start row says. Raises JournalDamaged when it is none."""
    known = {field.name for field in fields(RunInfo)}
    try:
        found = {"schema": 1} | {name: value for name, value in json.loads(row.body).items() if name in known}
        return RunInfo(**{**found, "emergency": tuple(found["emergency"])})
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise JournalDamaged(f"row {row.seq} of the journal does not tell who wrote it: {error}") from None


def _base(first: Row) -> tuple[int, bytes]:
    """What the first row of a file follows: nothing, or the last row of the file before it."""
    if first.direction == "start" and first.seq > 1:
        before = (first.seq - 1, first.previous)
        if run_info(first).continues == continued(*before):
            return before
    return 0, GENESIS


def base_of(reader: JournalReader) -> tuple[int, bytes]:
    """(seq, hash) that a file follows; (0, GENESIS) when it begins anew."""
    first = next(reader.rows(), None)
    return (0, GENESIS) if first is None else _base(first)


def _hash_of(row: Row) -> bytes:
    return row_hash(row.previous, row.seq, row.boot_ns, row.market_ns, row.account, row.direction, row.kind, row.body)


def _compare(seq: int, last: bytes, head: tuple[int, bytes] | None, at_head: bytes | None) -> Verdict:
    """The verdict on a sound chain that ends at (seq, last); `at_head` is the hash of the row that the head names."""
    if head is None:
        return Verdict("mismatch", seq, last, "the head file is missing or unreadable")
    if head[0] > seq:
        return Verdict("mismatch", seq, last, f"rows {seq + 1} to {head[0]} are gone")
    if head[1] != at_head:
        return Verdict("mismatch", seq, last, f"row {head[0]} is not the one that the head file names")
    if head[0] < seq:
        return Verdict("torn", seq, last, f"the head stayed behind at row {head[0]}")
    return Verdict("ok", seq, last)
