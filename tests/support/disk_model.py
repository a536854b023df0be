"""What a power loss may leave on a disk, from the log of `disk_shim.c`: what was synced, and any part of the rest.

The strict reading of POSIX: data lasts once its file was synced, a name (made, renamed, removed) once its folder was;
names of one folder last in the order in which they were made. A write that was not synced may be there in part.
"""

import ctypes
import os
import random
import struct
from dataclasses import dataclass, field
from pathlib import Path

_HEAD = struct.Struct("<cIIqQ")
SECTOR = 512


@dataclass
class Op:
    """One call: c(reate) w(rite) t(runcate) s(ync) u(nlink) r(ename) l(ink); `at` is where it ends in the log."""

    kind: str
    path: Path
    other: Path
    offset: int
    data: bytes
    at: int


class Shim:
    """The shim that this process was started with."""

    WRITES, SYNCS, NAMES, READS = 1, 2, 4, 8

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._begin, self._end = library.shim_begin, library.shim_end
        self._begin.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_int, ctypes.c_int]
        self._counted, self._log = library.shim_counted, library.shim_log
        self._counted.restype = ctypes.c_long
        self._log.restype = ctypes.c_void_p

    def begin(self, folder: Path, which: int, at: int = 0, error: int = 0, *, sticky: bool = False) -> None:
        """Count calls below `folder`; the one numbered `at` fails with `error` (-1: kills this process)."""
        self._begin(str(folder).encode(), which, at, error, sticky)

    def end(self) -> int:
        """Back to a disk without faults; how many calls were counted."""
        self._end()
        return int(self._counted())

    def size(self) -> int:
        """Of the log so far."""
        size = ctypes.c_size_t()
        self._log(ctypes.byref(size))
        return size.value

    def ops(self) -> list[Op]:
        """The log."""
        size = ctypes.c_size_t()
        where = self._log(ctypes.byref(size))
        data = ctypes.string_at(where, size.value) if size.value else b""
        found, at = [], 0
        while at < len(data):
            kind, first, second, offset, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            path, other = data[at : at + first].decode(), data[at + first : at + first + second].decode()
            at += first + second
            body = data[at : at + length] if kind == b"w" else b""
            at += len(body)
            found.append(Op(kind.decode(), Path(path), Path(other), offset, body, at))
        return found


@dataclass
class _File:
    synced: bytes = b""
    waiting: list[Op] = field(default_factory=list)

    def content(self, rng: random.Random | None, *, whole: bool) -> bytes:
        """What is there after a power loss; `rng` decides about each write that was not synced."""
        data = bytearray(self.synced)
        for op in self.waiting:
            part = len(op.data)
            if rng is not None and not whole:
                part = rng.choice((0, part, min(part, SECTOR * rng.randrange(9))))
            if whole or rng is not None:
                _apply(data, op, part)
        return bytes(data)


def _apply(data: bytearray, op: Op, part: int) -> None:
    end = op.offset + (part if op.kind == "w" else 0)
    if op.kind == "t":
        del data[end:]
    if len(data) < end:
        data.extend(bytes(end - len(data)))
    if op.kind == "w":
        data[op.offset : end] = op.data[:part]


class Disk:
    """The files of one folder, fed with the log op by op."""

    def __init__(self, before: dict[str, bytes]) -> None:
        self._names = {name: _File(data) for name, data in before.items()}
        self._synced_names = dict(self._names)
        self._name_ops: list[dict[str, _File]] = []  # states of the folder since its last sync

    def take(self, op: Op, folder: Path) -> None:
        name = op.path.name
        if op.path == folder:
            self._synced_names, self._name_ops = dict(self._names), []
            return
        if op.kind in "wt":
            self._names[name].waiting.append(op)
        elif op.kind == "s":
            file = self._names[name]
            file.synced, file.waiting = file.content(None, whole=True), []
        else:
            if op.kind == "c":
                self._names[name] = _File()
            elif op.kind == "u":
                del self._names[name]
            else:
                self._names[op.other.name] = self._names[name]
                if op.kind == "r":
                    del self._names[name]
            self._name_ops.append(dict(self._names))

    def crash(self, to: Path, rng: random.Random | None, *, whole: bool = False) -> None:
        """What a power loss leaves, in the new folder `to`. No rng: only what was synced; whole: everything."""
        to.mkdir()
        names = self._names if whole else self._synced_names
        if rng is not None and not whole:
            names = rng.choice([self._synced_names, *self._name_ops])
        written: dict[int, Path] = {}
        for name, file in names.items():
            target = to / name
            if id(file) in written:
                os.link(written[id(file)], target)
            elif not name.endswith("-shm"):  # an index in memory; SQLite builds it anew
                target.write_bytes(file.content(rng, whole=whole))
                target.chmod(0o600)
                written[id(file)] = target
