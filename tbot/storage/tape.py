"""Tapes: recorded ticks in one append-only file, checksummed, read through a memory mapping.

    header   magic, versions, lengths, CRC32, then the meta as JSON; padded to a multiple of 64 bytes
    block    one 64-byte block header, then 1 to 1023 Tick records of 64 bytes (so at most 64 KiB)
    block    ...

A block is written in one go and never touched again. What a crash leaves of the last block is detected and dropped
with a count; damage anywhere else is a DataError, never a silently shorter tape. Records are those of
`tbot_ext.records`; a tape of another record layout is refused.
"""

import contextlib
import fcntl
import json
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from tbot.domain.contracts import Product
from tbot.errors import DataError
from tbot.storage.plain_file import check_plain
from tbot.storage.tick_stream import Ticks, derive_quotes, is_ordered, lockstep_stream, merge_order, with_clock
from tbot_ext.records import LAYOUT_VERSION, TICK_DTYPE

__all__ = ["TapeReader", "TapeWriter", "derive_quotes", "lockstep_stream", "merge_order", "tape_meta", "with_clock"]

FORMAT_VERSION = 1
RECORD_BYTES = 64
BLOCK_TICKS = 1023  # with its header a full block is 64 KiB
META_LIMIT = 1 << 20
FILE_MAGIC = b"TBOTTAPE"
_FILE_HEADER = struct.Struct("<8sIIIIII")  # magic, format, layout, header bytes, meta bytes, meta CRC, CRC of these
_BLOCK_MAGIC = b"TBLK"
_BLOCK_HEADER = struct.Struct("<4sIIIqqQI")  # magic, CRC of the rest, count, data CRC, first ns, last ns, number, flags
_ORDERED = 1  # block flag: in merge order within itself and behind the block before it
_PAGE_OUT_BYTES = 32 << 20
_SORTED_AT_ONCE = 1 << 20  # ticks
_NEVER_NS = 2**63 - 1


class _Block(NamedTuple):
    offset: int  # of its records
    length: int  # records
    data_crc: int
    first_ns: int
    last_ns: int
    ordered: bool


class _Layout(NamedTuple):
    meta: dict[str, Any]
    blocks: list[_Block]
    end: int  # bytes of the file that are whole
    dropped: int  # bytes behind them: what a crash left of the last block


def tape_meta(products: Iterable[Product], source: str, **extra: Any) -> dict[str, Any]:
    """The meta of a new tape: contracts by id, where the ticks come from, and what the caller adds (JSON values)."""
    contracts = {
        str(product.contract_id): {"symbol": product.symbol, "tick_size": str(product.tick_size)}
        for product in products
    }
    return {"contracts": contracts, "source": source, **extra}


class TapeWriter:
    """Appends ticks to a tape. Exactly one writer per file; not thread-safe.

    Ticks are kept in memory until a block is full; `flush` writes what there is as a shorter block. Behind an OSError
    (a full disk) the file ends with its last whole block, what could not be written is kept, and may be tried again.
    """

    def __init__(self, path: Path, meta: dict[str, Any] | None = None, *, resume: bool = False) -> None:
        """A new tape with `meta`, or with `resume` the old one continued behind its last whole block.

        Raises DataError when the file exists (or, resuming, is missing, damaged, or being written by another process).
        """
        self.path = path
        self.dropped_bytes = 0
        self.ticks_written = 0
        self._pending: list[Ticks] = []
        self._pending_ticks = 0
        self._number = 0
        self._last: Ticks = np.zeros(0, TICK_DTYPE)  # the last record written, for the order across blocks
        self._end = 0  # bytes of the file that are whole
        self._file = self._resume(path) if resume else self._create(path, meta or {})

    def _create(self, path: Path, meta: dict[str, Any]) -> FileIO:
        text = json.dumps(meta, sort_keys=True, ensure_ascii=False).encode()
        if len(text) > META_LIMIT:
            raise ValueError(f"the meta of a tape has {len(text)} bytes, more than {META_LIMIT}")
        header_bytes = -(-(_FILE_HEADER.size + len(text)) // RECORD_BYTES) * RECORD_BYTES
        fields = (FILE_MAGIC, FORMAT_VERSION, LAYOUT_VERSION, header_bytes, len(text), zlib.crc32(text))
        fixed = _FILE_HEADER.pack(*fields, zlib.crc32(_FILE_HEADER.pack(*fields, 0)[:-4]))
        file = _open_locked(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            self._append(file, (fixed + text).ljust(header_bytes, b"\0"))
        except OSError:  # without a header it is no tape, and would stand in the way of one
            file.close()
            path.unlink(missing_ok=True)
            raise
        return file

    def _resume(self, path: Path) -> FileIO:
        file = _open_locked(path, os.O_RDWR)
        try:
            layout = _read_layout(path, _map(path, file))
        except DataError:
            file.close()
            raise
        self.dropped_bytes = layout.dropped
        self._number = len(layout.blocks)
        self.ticks_written = sum(block.length for block in layout.blocks)
        file.truncate(layout.end)
        if layout.blocks:
            last = layout.blocks[-1]
            file.seek(last.offset + (last.length - 1) * RECORD_BYTES)
            self._last = np.frombuffer(file.read(RECORD_BYTES), TICK_DTYPE).copy()
        file.seek(layout.end)
        self._end = layout.end
        return file

    def _append(self, file: FileIO, data: bytes) -> None:
        """All of it, or nothing: a part behind which more were written would damage the tape in its middle."""
        left = memoryview(data)
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(self._end)
            file.seek(self._end)
            raise
        self._end += len(data)

    def write(self, ticks: Ticks) -> None:
        """Append the ticks (copied) in the order given; the reader knows whether that is merge order."""
        if ticks.dtype != TICK_DTYPE:
            raise TypeError(f"a tape takes TICK_DTYPE records, not {ticks.dtype}")
        if len(ticks):
            self._pending.append(ticks.copy())
            self._pending_ticks += len(ticks)
        if self._pending_ticks >= BLOCK_TICKS:
            self._write_blocks(keep_rest=True)

    def flush(self, *, sync: bool = False) -> None:
        """Hand everything to the system; with `sync` wait until it is on the disk."""
        self._write_blocks(keep_rest=False)
        if sync:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write what is left, sync and close; twice is harmless."""
        if not self._file.closed:
            self.flush(sync=True)
            self._file.close()

    def _write_blocks(self, *, keep_rest: bool) -> None:
        if not self._pending_ticks:
            return
        ticks = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
        end = len(ticks) - len(ticks) % BLOCK_TICKS if keep_rest else len(ticks)
        for start in range(0, end, BLOCK_TICKS):
            stop = min(start + BLOCK_TICKS, end)
            self._write_block(ticks[start:stop])
            self._pending = [ticks[stop:]] if stop < len(ticks) else []
            self._pending_ticks = len(ticks) - stop

    def _write_block(self, ticks: Ticks) -> None:
        data = ticks.tobytes()
        ordered = is_ordered(np.concatenate((self._last, ticks)))
        first_ns, last_ns = int(ticks["exch_ns"][0]), int(ticks["exch_ns"][-1])
        fields = (len(ticks), zlib.crc32(data), first_ns, last_ns, self._number, _ORDERED if ordered else 0)
        self._append(self._file, _block_header(fields) + data)
        self._number += 1
        self.ticks_written += len(ticks)
        self._last = ticks[-1:].copy()

    def __enter__(self) -> "TapeWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class TapeReader:
    """A tape, memory-mapped read-only. What was on the disk when it was opened; a tape still growing may be read.

    Arrays from `blocks` are views of the mapping and stay valid as long as they are held.
    """

    def __init__(self, path: Path) -> None:
        """Opens and checks the tape's headers; DataError when it is foreign or damaged (record data: when read)."""
        self.path = path
        try:
            check_plain(path)
            with path.open("rb") as file:
                self._map = _map(path, file)
        except OSError as error:
            raise DataError(f"The tape {path} cannot be opened: {error.strerror}.") from error
        layout = _read_layout(path, self._map)
        self._blocks = layout.blocks
        self.meta = layout.meta
        self.dropped_bytes = layout.dropped
        self.contracts = _contracts(path, layout.meta)  # symbol by contract id

    def __len__(self) -> int:
        """Number of whole records."""
        return sum(block.length for block in self._blocks)

    @property
    def dropped_ticks(self) -> int:
        """Whole records that a crash left behind in a torn last block; they are not part of the tape."""
        return max(0, self.dropped_bytes // RECORD_BYTES - 1)

    @property
    def ordered(self) -> bool:
        """True when the file itself is in merge order (exch_ns, contract_id, seq)."""
        return all(block.ordered for block in self._blocks)

    @property
    def ticks(self) -> Ticks:
        """All ticks in merge order as one array of its own (64 bytes a tick; use `chunks` for long tapes)."""
        out = np.empty(len(self), TICK_DTYPE)
        place = 0
        for block in self.blocks():
            out[place : place + len(block)] = block
            place += len(block)
        return merge_order(out)

    def blocks(self, since_ns: int | None = None, until_ns: int | None = None) -> Iterator[Ticks]:
        """The blocks in file order as read-only views of the mapping, each checked; pages behind are given back.

        With times (UTC ns, `until_ns` excluded) blocks that lie outside of them are passed over where that is known
        from their headers: in a tape in merge order. Records outside may still come.
        """
        released, ordered = 0, self.ordered
        for number, block in enumerate(self._blocks):
            if ordered and since_ns is not None and block.last_ns < since_ns:
                continue
            if ordered and until_ns is not None and block.first_ns >= until_ns:
                return
            yield self._checked(number, block)
            if block.offset - released > _PAGE_OUT_BYTES:  # views still held fault their pages in again
                released = _release(self._map, block.offset)

    def chunks(
        self, ticks: int = 16 * BLOCK_TICKS, since_ns: int | None = None, until_ns: int | None = None
    ) -> Iterator[Ticks]:
        """All ticks (of since_ns <= exch_ns < until_ns) in merge order in arrays of about `ticks` records of their own.

        Memory stays flat: of a tape in order of arrival only what a later block may still precede is held back. One
        in quite another order (contract after contract) is sorted as a whole.
        """
        held: list[Ticks] = []
        for part in self._in_order(since_ns, until_ns):
            wanted = between(part, since_ns, until_ns)
            for start in range(0, len(wanted), max(ticks, BLOCK_TICKS)):
                held.append(wanted[start : start + max(ticks, BLOCK_TICKS)])
                if sum(map(len, held)) >= ticks:
                    yield np.concatenate(held)
                    held = []
        if sum(map(len, held)):
            yield np.concatenate(held)

    def _in_order(self, since_ns: int | None, until_ns: int | None) -> Iterator[Ticks]:
        """The blocks, or what is left of them after sorting, so that one behind the other is merge order."""
        if self.ordered:
            yield from self.blocks(since_ns, until_ns)
            return
        earliest = np.array([int(block["exch_ns"].min()) for block in self.blocks()], np.int64)
        to_come = np.append(np.minimum.accumulate(earliest[::-1])[::-1][1:], _NEVER_NS)
        held = np.zeros(0, TICK_DTYPE)
        blocks = self.blocks()
        for block, border_ns in zip(blocks, to_come.tolist(), strict=True):
            if len(held) > _SORTED_AT_ONCE:
                yield merge_order(np.concatenate((held, block, *blocks)))
                return
            held = merge_order(np.concatenate((held, block)))  # stable, so equal keys stay in the file's order
            ready = int(np.searchsorted(held["exch_ns"], border_ns, side="left"))
            yield held[:ready]
            held = held[ready:]

    def verify(self) -> None:
        """Check every record's checksum; DataError names the first damaged block."""
        for _ in self.blocks():
            pass

    def close(self) -> None:
        """Give the mapping back; views still held keep it alive until they go."""
        self._blocks = []
        with contextlib.suppress(BufferError):  # a view is still held: the mapping goes with it
            self._map.close()

    def _checked(self, number: int, block: _Block) -> Ticks:
        records = np.frombuffer(self._map, TICK_DTYPE, block.length, block.offset)
        if zlib.crc32(records.data) != block.data_crc:
            raise DataError(
                f"The tape {self.path} is damaged: block {number} at byte {block.offset - RECORD_BYTES} does not "
                f"match its checksum; restore the file or record again."
            )
        return records

    def __enter__(self) -> "TapeReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def between(ticks: Ticks, since_ns: int | None, until_ns: int | None) -> Ticks:
    """Those of ordered ticks that lie in since_ns <= exch_ns < until_ns."""
    times = ticks["exch_ns"]
    start = 0 if since_ns is None else int(np.searchsorted(times, since_ns, side="left"))
    end = len(ticks) if until_ns is None else int(np.searchsorted(times, until_ns, side="left"))
    return ticks if end - start == len(ticks) else ticks[start : max(start, end)]


def _block_header(fields: tuple[int, ...]) -> bytes:
    bare = _BLOCK_HEADER.pack(_BLOCK_MAGIC, 0, *fields)
    return _BLOCK_HEADER.pack(_BLOCK_MAGIC, zlib.crc32(bare), *fields).ljust(RECORD_BYTES, b"\0")


def _open_locked(path: Path, flags: int) -> FileIO:
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise DataError(f"The tape {path} cannot be written: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataError(f"The tape {path} is being written by another process.") from None
    return FileIO(descriptor, "r+b")  # without a buffer: what a full disk refused must not come out later


def _map(path: Path, file: BinaryIO | FileIO) -> mmap.mmap:
    if os.fstat(file.fileno()).st_size < _FILE_HEADER.size:
        raise DataError(f"{path} is not a tape: it is shorter than a tape's header.")
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _release(mapping: mmap.mmap, offset: int) -> int:
    end = offset - offset % mmap.PAGESIZE
    mapping.madvise(mmap.MADV_DONTNEED, 0, end)
    return end


def _read_layout(path: Path, mapping: mmap.mmap) -> _Layout:
    meta, start = _read_header(path, mapping)
    blocks: list[_Block] = []
    offset, released = start, 0
    while offset < len(mapping):
        if offset - released > _PAGE_OUT_BYTES:  # to look at a header brings in the pages around it
            released = _release(mapping, offset)
        block = _read_block_header(mapping, offset, len(blocks))
        if block is None:
            return _torn(path, mapping, meta, blocks, offset)
        end = block.offset + block.length * RECORD_BYTES
        if end == len(mapping) and zlib.crc32(memoryview(mapping)[block.offset : end]) != block.data_crc:
            return _torn(path, mapping, meta, blocks, offset)
        blocks.append(block)
        offset = end
    return _Layout(meta, blocks, offset, 0)


def _read_header(path: Path, mapping: mmap.mmap) -> tuple[dict[str, Any], int]:
    fixed = mapping[: _FILE_HEADER.size]
    magic, version, layout, header_bytes, meta_bytes, meta_crc, crc = _FILE_HEADER.unpack(fixed)
    if magic != FILE_MAGIC:
        raise DataError(f"{path} is not a tape; foreign files are read with `tbot import`.")
    if zlib.crc32(fixed[:-4]) != crc:
        raise DataError(f"The tape {path} is damaged: its header does not match its checksum.")
    if (version, layout) != (FORMAT_VERSION, LAYOUT_VERSION):
        raise DataError(
            f"The tape {path} has format {version} and record layout {layout}; this build reads "
            f"{FORMAT_VERSION} and {LAYOUT_VERSION}: import or record it again."
        )
    text = mapping[_FILE_HEADER.size : _FILE_HEADER.size + meta_bytes]
    if len(mapping) < header_bytes or zlib.crc32(text) != meta_crc:
        raise DataError(f"The tape {path} is damaged: its meta does not match its checksum.")
    meta = json.loads(text)
    if not isinstance(meta, dict):
        raise DataError(f"The tape {path} is damaged: its meta is not a JSON object.")
    return meta, header_bytes


def _read_block_header(mapping: mmap.mmap, offset: int, number: int) -> _Block | None:
    """The block header at `offset`, or None when it is not whole, not a block header, or its records are not there."""
    raw = mapping[offset : offset + RECORD_BYTES]
    if len(raw) < RECORD_BYTES:
        return None
    magic, _, count, data_crc, first_ns, last_ns, found_number, flags = _BLOCK_HEADER.unpack_from(raw)
    expected = _block_header((count, data_crc, first_ns, last_ns, found_number, flags))
    if raw != expected or magic != _BLOCK_MAGIC or found_number != number or not 1 <= count <= BLOCK_TICKS:
        return None
    if offset + RECORD_BYTES * (count + 1) > len(mapping):
        return None
    return _Block(offset + RECORD_BYTES, count, data_crc, first_ns, last_ns, bool(flags & _ORDERED))


def _torn(path: Path, mapping: mmap.mmap, meta: dict[str, Any], blocks: list[_Block], offset: int) -> _Layout:
    """The tape without its torn end; DataError when a whole block follows, or more than one block's bytes are bad.

    A crash tears the last write only. The system may also have grown the file without its data: zeros to the end.
    """
    tail = len(mapping) - offset
    only_zeros = tail > 0 and not any(
        mapping[at : min(at + (1 << 20), len(mapping))].strip(b"\0") for at in range(offset, len(mapping), 1 << 20)
    )
    followed = mapping.find(_BLOCK_MAGIC, offset + RECORD_BYTES) >= 0 and _later_block(mapping, offset, len(blocks))
    if not only_zeros and (followed or tail > RECORD_BYTES * (BLOCK_TICKS + 1)):
        raise DataError(
            f"The tape {path} is damaged: block {len(blocks)} at byte {offset} cannot be read but more follows; "
            f"restore the file or record again."
        )
    return _Layout(meta, blocks, offset, tail)


def _later_block(mapping: mmap.mmap, offset: int, number: int) -> bool:
    """True when a whole block header stands somewhere behind `offset`: then `offset` is damage, not a torn end."""
    end = min(len(mapping), offset + RECORD_BYTES * (BLOCK_TICKS + 2))
    return any(
        _read_block_header(mapping, at, number + 1) is not None
        for at in range(offset + RECORD_BYTES, end, RECORD_BYTES)
    )


def _contracts(path: Path, meta: dict[str, Any]) -> dict[int, str]:
    try:
        return {int(contract_id): str(row["symbol"]) for contract_id, row in meta["contracts"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError(f"The tape {path} does not say which contracts it holds.") from None
