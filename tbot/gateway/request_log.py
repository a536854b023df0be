"""The times of the newest requests in a small file, so that a process that comes back knows its budget (I9, R9).

Why a file that is mapped: it outlives the process that wrote it, however that died, and costs a request nothing. It
does not outlive the machine, and need not: nor does the window. Times are boot-clock ns; a slot that holds 0 is empty.
"""

import contextlib
import mmap
import os
import struct
from pathlib import Path

SLOTS = 256  # more than the budget of any window
_SLOT = struct.Struct("<q")
_BYTES = _SLOT.size * SLOTS


class RequestLog:
    """One writer. OSError when the file cannot be made; use `request_log` where that must not matter."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Bytes that exist: a hole would be a fatal bus error at the first write once the memory has run out.
            missing = _BYTES - os.fstat(descriptor).st_size
            if missing > 0 and os.pwrite(descriptor, bytes(missing), _BYTES - missing) < missing:
                raise OSError(f"there is no room for {path.name}")
            self._map = mmap.mmap(descriptor, _BYTES)
        finally:
            os.close(descriptor)
        times = [_SLOT.unpack_from(self._map, place * _SLOT.size)[0] for place in range(SLOTS)]
        self._next = max(range(SLOTS), key=times.__getitem__) + 1 if any(times) else 0
        self.past = tuple(sorted(time for time in times if time > 0))  # of the processes before, oldest first

    def note(self, now_ns: int) -> None:
        """A request leaves."""
        _SLOT.pack_into(self._map, self._next % SLOTS * _SLOT.size, now_ns)
        self._next += 1

    def give_back(self) -> None:
        """The newest request never left this machine."""
        if self._next:
            self._next -= 1
            _SLOT.pack_into(self._map, self._next % SLOTS * _SLOT.size, 0)

    def close(self) -> None:
        """The file stays."""
        self._map.close()


def request_log(path: Path) -> RequestLog | None:
    """A log at `path`; None when there can be none: requests then count from the start of this process."""
    with contextlib.suppress(OSError, ValueError):
        return RequestLog(path)
    return None
