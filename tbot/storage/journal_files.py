"""The two small files beside a journal: its head, and the emergency notes for when the journal cannot be written.

Both have their final size from the first moment, so that a full disk cannot stop them.
"""

import contextlib
import fcntl
import os
import stat
import struct
import threading
import zlib
from hashlib import blake2b
from pathlib import Path
from typing import Final

HASH_BYTES: Final = 32
BLOCK: Final = 4096  # each head slot has a disk block of its own, so that a torn write can hurt only one of them
EMERGENCY_BYTES: Final = 256 * 1024
DISTRUST: Final = b"the journal is not trusted any more: "  # begins the note of a writer that an I/O error stopped

_SLOT: Final = struct.Struct(f"<8sQ{HASH_BYTES}s")
_MAGIC: Final = b"TBOTHEAD"
_CHECK_BYTES: Final = 16


def head_path(path: Path) -> Path:
    """Of the head file of the journal `path`."""
    return path.with_name(path.name + ".head")


def emergency_path(path: Path) -> Path:
    """Of the emergency file of the journal `path`."""
    return path.with_name(path.name + ".emergency")


def emergency_lines(path: Path) -> list[bytes]:
    """What the emergency file of the journal `path` says, oldest first; nothing when it is not there. Takes no lock."""
    try:
        return [line[9:] for line in _whole_lines(emergency_path(path).read_bytes())]
    except OSError:
        return []


def open_private(path: Path, size: int) -> int:
    """A descriptor of a file of ours alone, made with `size` zero bytes on disk when it is not there.

    Raises PermissionError when it is a link, no plain file, another user's, or open to others (F-SEC-06).
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        descriptor = os.open(path, flags)
        created = False
    else:
        created = True
    try:
        check_private(path, os.fstat(descriptor))
        if os.fstat(descriptor).st_size < size:
            # Zeros written, not only reserved: a reserved block may still need space when it is first used.
            os.pwrite(descriptor, bytes(size), 0)
            os.fsync(descriptor)
        if created:
            sync_directory(path.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_private(path: Path, info: os.stat_result) -> None:
    """Raises PermissionError unless `info` is of a plain file that belongs to this user alone."""
    if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o077:
        raise PermissionError(f"{path} must be a plain file that belongs to this user alone (mode 0600)")


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` survive a power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class HeadFile:
    """The last seq and hash of a journal, in two slots that are written in turn.

    Why two slots in place instead of a temporary file that is renamed: it is as atomic (a torn write leaves the other
    slot), it needs no space on a full disk, and one sync of a block takes about 0.05 ms where file, rename and
    directory took 1 ms with 40 ms at the 99th percentile, and the next commit waits for it.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = open_private(path, 2 * BLOCK)

    def write(self, seq: int, hash_: bytes) -> None:
        """Put the head on disk. Raises OSError. Call it only when row `seq` itself is there: it may lag, never lead."""
        payload = _SLOT.pack(_MAGIC, seq, hash_)
        os.pwrite(self._descriptor, payload + _check(payload), BLOCK * self._older_slot())
        os.fdatasync(self._descriptor)

    def _older_slot(self) -> int:
        slots = [_parse(os.pread(self._descriptor, BLOCK, BLOCK * slot)) for slot in (0, 1)]
        seqs = [-1 if slot is None else slot[0] for slot in slots]
        return seqs.index(min(seqs))

    def close(self) -> None:
        os.close(self._descriptor)


def read_head(path: Path) -> tuple[int, bytes] | None:
    """Seq and hash of the newer whole slot; None when the file is not there or has none."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    slots = [_parse(data[BLOCK * slot : BLOCK * (slot + 1)]) for slot in (0, 1)]
    return max((slot for slot in slots if slot is not None), default=None)


def _check(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=_CHECK_BYTES).digest()


def _parse(block: bytes) -> tuple[int, bytes] | None:
    payload, check = block[: _SLOT.size], block[_SLOT.size : _SLOT.size + _CHECK_BYTES]
    if len(payload) < _SLOT.size or _check(payload) != check:
        return None
    magic, seq, hash_ = _SLOT.unpack(payload)
    return (seq, hash_) if magic == _MAGIC else None


class EmergencyFile:
    """Lines for what was done while the journal could not be written (R1). Also carries the lock of the journal.

    Why the lock is here: this is the one file of a journal that is neither replaced nor locked by SQLite itself.
    """

    def __init__(self, path: Path) -> None:
        """Raises BlockingIOError when another writer has the journal, PermissionError as `open_private`."""
        self._descriptor = open_private(path, EMERGENCY_BYTES)
        self._turn = threading.Lock()  # of the place of the next line; nobody waits for the disk in it
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._used = sum(len(line) + 1 for line in _whole_lines(self._content()))
        except OSError:
            os.close(self._descriptor)
            raise
        self.lost = 0  # lines that did not fit or could not be written

    def append(self, line: bytes, *, sync: bool = True) -> bool:
        """Write one line (no line feed in it); False, and counted, when there is no room or the disk refuses.

        `sync` False: it outlives this process, and a power loss only by luck, but waits for no disk that hangs.
        """
        entry = b"%08x %s\n" % (zlib.crc32(line), line)
        try:
            with self._turn:
                if self._used + len(entry) > EMERGENCY_BYTES:
                    self.lost += 1
                    return False
                os.pwrite(self._descriptor, entry, self._used)
                self._used += len(entry)
            if sync:
                os.fdatasync(self._descriptor)
        except OSError:
            self.lost += 1
            return False
        return True

    def lines(self) -> list[bytes]:
        """What was appended since the last `clear`, oldest first; a torn last line is left out."""
        return [line[9:] for line in _whole_lines(self._content())]

    def clear(self, count: int) -> None:
        """Forget the `count` oldest lines. Raises OSError."""
        with self._turn:
            kept = b"".join(b"%08x %s\n" % (zlib.crc32(line), line) for line in self.lines()[count:])
            os.pwrite(self._descriptor, kept.ljust(self._used, b"\0"), 0)
            self._used = len(kept)
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Gives the lock back too."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    def __enter__(self) -> "EmergencyFile":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _content(self) -> bytes:
        return os.pread(self._descriptor, EMERGENCY_BYTES, 0)


def _whole_lines(data: bytes) -> list[bytes]:
    whole = []
    for line in data.split(b"\n")[:-1]:
        if line[:9] != b"%08x " % zlib.crc32(line[9:]):
            break
        whole.append(line)
    return whole
