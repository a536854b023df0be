"""Shared memory of one run: files in a private directory on the shared-memory file system, mapped by every process.

The launcher makes the directory and the segments and is the only one to remove them; everybody else attaches. Why not
`multiprocessing.shared_memory`: its resource tracker unlinks a segment under its users when a process that merely
attached exits, and its segments are reserved, not allocated, so that a full file system kills the one who writes.

A segment file is a header of 4096 bytes (magic, version, size, run, owner, epoch, checksum) and the payload. Nothing is
attached that is not exactly what was expected: another user's file, a link, another size or version is a LayoutError.
"""

import mmap
import os
import re
import secrets
import shutil
import stat
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tbot.errors import LayoutError, TbotError
from tbot.transport.process_identity import Owner, myself, process_space

HEADER_BYTES = 4096  # a page, so that the payload is aligned for everything
_VERSION = 1
_MAGIC = b"TBOTSEG1"
# magic, version, header bytes, payload bytes, run id, owner's start, owner's pid, epoch; then the CRC-32 of these
_HEADER = struct.Struct("<8sIIQQQII")
_CRC = struct.Struct("<I")
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SEGMENT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_RUN_NAME = re.compile(r"tbot-(?P<uid>\d+)-(?P<pid>\d+)-(?P<start>[0-9a-f]+)-(?P<space>[0-9a-f]+)-[0-9a-f]{4}")


# ---------------------------------------------------------------- the run directory


def run_directory(base: Path | None = None) -> Path:
    """Make the private directory (0700) of this run, on shared memory unless `base` says where, and return its path.

    Its name carries user, process, the process's start and process-number space: by these `sweep_stale` tells a dead
    run's from a living one's. Raises TbotError when `base` is missing, full, or lets others rename what we put there.
    """
    place = _base(base)
    owner = myself()
    name = f"tbot-{os.geteuid()}-{owner.pid}-{owner.start:x}-{process_space():x}-{secrets.token_hex(2)}"
    path = place / name
    try:
        info = place.stat()
        if info.st_mode & stat.S_IWOTH and not info.st_mode & stat.S_ISVTX:
            raise TbotError(f"{place} lets every user rename what lies in it (no sticky bit); choose another directory")
        path.mkdir(mode=0o700)
        path.chmod(0o700)  # the umask may have taken bits away
    except OSError as error:
        raise TbotError(f"cannot make a run directory in {place}: {error.strerror}") from error
    return path


def sweep_stale(base: Path | None = None) -> list[Path]:
    """Remove the run directories of our own dead runs from `base` and return their paths.

    Left alone: whatever another user owns (even under a name like ours), links, directories others may write, the runs
    of living processes, and those of another process-number space (a container), whose processes we cannot see.
    """
    removed = []
    for path in sorted(_base(base).glob("tbot-*")):
        match = _RUN_NAME.fullmatch(path.name)
        if match is None or int(match["uid"]) != os.geteuid() or int(match["space"], 16) != process_space():
            continue
        if Owner(int(match["pid"]), int(match["start"], 16)).alive:
            continue
        try:
            with _private(path):
                pass
            shutil.rmtree(path)
        except (LayoutError, OSError):
            continue  # not ours after all, or a sweeper beside us was faster
        removed.append(path)
    return removed


def _base(base: Path | None) -> Path:
    if base is not None:
        return base
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and os.access(shared, os.W_OK) else Path(tempfile.gettempdir())


@contextmanager
def _private(directory: Path) -> Iterator[int]:
    """Descriptor of a directory that is ours and closed to others; files are opened relative to it, so it stays that.

    Raises LayoutError when it is missing, a link, somebody else's or open to others.
    """
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise LayoutError(f"{directory} is no directory of a run of ours: {error.strerror}") from error
    try:
        _refuse_foreign(os.fstat(handle), directory)
        yield handle
    finally:
        os.close(handle)


def _refuse_foreign(info: os.stat_result, path: Path) -> None:
    if info.st_uid != os.geteuid():
        raise LayoutError(f"{path} belongs to another user (uid {info.st_uid}); remove it or choose another place")
    if stat.S_IMODE(info.st_mode) & 0o077:
        raise LayoutError(f"{path} is open to other users (mode {stat.S_IMODE(info.st_mode):o}); ours never are")


# ---------------------------------------------------------------- segments


class Segment:
    """One mapped file; made by `create` (the launcher) or `attach` (everybody else).

    `buf` is the payload, exactly as many bytes as were asked for. It and every array made of it are views: a segment
    cannot be closed before they, and the rings and histograms over them, are gone.
    """

    def __init__(
        self, path: Path, handle: int, size: int, owner: Owner, run_id: int, epoch: int, writable: bool
    ) -> None:
        self.path = path
        self.name = path.name
        self.size = size
        self.owner = owner
        self.run_id = run_id
        self.epoch = epoch
        self.writable = writable
        info = os.fstat(handle)
        self._identity = (info.st_dev, info.st_ino)
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._map = mmap.mmap(handle, HEADER_BYTES + size, access=access)
        self._whole = memoryview(self._map)
        self.buf = self._whole[HEADER_BYTES:]

    @classmethod
    def create(cls, directory: Path, name: str, size: int, *, run_id: int = 0, epoch: int = 0) -> Self:
        """A new segment of `size` zero bytes in the run directory, its memory allocated now, readable by us alone.

        Raises LayoutError when the name is taken or the directory is not private to us, TbotError when the memory is
        not there (a later store would otherwise kill the process), ValueError for a bad name or size.
        """
        if size <= 0:
            raise ValueError(f"a segment has at least one byte, not {size}")
        path, owner = _segment_path(directory, name), myself()
        with _private(directory) as place:
            try:
                handle = os.open(name, _CREATE, 0o600, dir_fd=place)
            except OSError as error:
                raise LayoutError(f"cannot make {path}: {error.strerror}; one launcher per run directory") from error
            try:
                os.fchmod(handle, 0o600)
                _allocate(handle, HEADER_BYTES + size)
                segment = cls(path, handle, size, owner, run_id, epoch, writable=True)
            except OSError as error:
                os.unlink(name, dir_fd=place)
                raise TbotError(
                    f"no room for {size} bytes of shared memory in {directory}: {error.strerror}; free some, or give "
                    "the container more of it"
                ) from error
            finally:
                os.close(handle)
        header = _HEADER.pack(_MAGIC, _VERSION, HEADER_BYTES, size, run_id, owner.start, owner.pid, epoch)
        segment._whole[: _HEADER.size + _CRC.size] = header + _CRC.pack(zlib.crc32(header))
        return segment

    @classmethod
    def attach(cls, directory: Path, name: str, writable: bool = True, *, run_id: int | None = None) -> Self:
        """Map an existing segment, after checking that it is ours, whole and of this layout (and of run `run_id`).

        Raises LayoutError with what is wrong. `writable=False`: `buf` and arrays cannot be written.
        """
        path = _segment_path(directory, name)
        flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        with _private(directory) as place:
            try:
                handle = os.open(name, flags, dir_fd=place)
            except OSError as error:
                raise LayoutError(f"cannot attach to {path}: {error.strerror}; the launcher makes it first") from error
        try:
            info = os.fstat(handle)
            if not stat.S_ISREG(info.st_mode):
                raise LayoutError(f"{path} is no plain file")
            _refuse_foreign(info, path)
            size, owner, found_run, epoch = _read_header(handle, info.st_size, path)
            if run_id is not None and found_run != run_id:
                raise LayoutError(f"{path} belongs to run {found_run}, not to {run_id}")
            return cls(path, handle, size, owner, found_run, epoch, writable)
        finally:
            os.close(handle)

    def array(self, dtype: npt.DTypeLike, offset: int = 0, count: int = -1) -> npt.NDArray[Any]:
        """A numpy array over the payload from byte `offset`: a view, which keeps the segment from being closed.

        Read-only if the segment is. ValueError, from numpy, when it does not fit.
        """
        return np.frombuffer(self.buf, dtype=dtype, count=count, offset=offset)

    def close(self) -> None:
        """Unmap; the file stays. BufferError while an array, ring or histogram still views it: close that first."""
        try:
            self.buf.release()  # refused while a ring or histogram views it
            self._whole.release()
            self._map.close()  # refused while an array does
        except BufferError:
            self._whole = memoryview(self._map)
            self.buf = self._whole[HEADER_BYTES:]  # still usable, as if nothing had been tried
            raise BufferError(
                f"segment {self.name} is in use by an array, ring or histogram; close that first"
            ) from None

    def unlink(self) -> None:
        """Remove the file; for the process that created it. Who has it mapped keeps it; may be called twice.

        Raises LayoutError from any other process: there is exactly one remover.
        """
        if self.owner != myself():
            raise LayoutError(f"{self.path} is removed by its creator, process {self.owner.pid}, only")
        try:
            info = self.path.lstat()
        except FileNotFoundError:
            return
        if (info.st_dev, info.st_ino) == self._identity:  # not a stranger that took the name
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _segment_path(directory: Path, name: str) -> Path:
    if not _SEGMENT_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a segment (letters, digits, '.', '_', '-'; at most 64)")
    return directory / name


def _allocate(handle: int, size: int) -> None:
    """Give the file `size` bytes that exist: a hole in it would be a fatal bus error once memory has run out."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
        return
    left, zeros = size, bytes(1 << 20)
    while left:
        left -= os.write(handle, zeros[:left])


def _read_header(handle: int, file_size: int, path: Path) -> tuple[int, Owner, int, int]:
    """Payload size, owner, run and epoch of a segment; the size is compared with the file's, which may be cut."""
    data = os.pread(handle, _HEADER.size + _CRC.size, 0)
    if len(data) < _HEADER.size + _CRC.size or data[:8] != _MAGIC:
        raise LayoutError(f"{path} is no segment of ours")
    _, version, header_bytes, size, run_id, start, pid, epoch = _HEADER.unpack_from(data)
    if (version, header_bytes) != (_VERSION, HEADER_BYTES):
        raise LayoutError(f"{path} has layout {version}, this build expects {_VERSION}; all processes need one build")
    if _CRC.unpack_from(data, _HEADER.size)[0] != zlib.crc32(data[: _HEADER.size]):
        raise LayoutError(f"the header of {path} is damaged")
    if file_size != HEADER_BYTES + size:
        raise LayoutError(f"{path} has {file_size} bytes instead of {HEADER_BYTES + size}: it was cut or is damaged")
    return size, Owner(pid, start), run_id, epoch
