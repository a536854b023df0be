"""File descriptors kept open for nothing, and given up when there are no others: the way out must not lack one.

A leak anywhere in the process (F-SYS-06) would else keep the flatten path from opening a connection. Giving up is for
one attempt to connect; when there is room again, the reserve is filled up.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator

KEPT = 8
AT_ONCE = 2  # the socket, and a file on the way to it (names, certificates)


class DescriptorReserve:
    """Thread-safe. One for the whole process: RESERVE."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._held: list[int] = []
        self._lock = threading.Lock()
        self.fill()

    def keep(self, count: int = KEPT) -> None:
        """Hold this many from now on: an import alone opens nothing."""
        self._kept = count
        self.fill()

    def __len__(self) -> int:
        return len(self._held)

    def fill(self) -> None:
        """Take what there is up to what is kept. Waits for nobody who is just connecting."""
        if len(self._held) >= self._kept or not self._lock.acquire(blocking=False):
            return
        try:
            while len(self._held) < self._kept:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return  # none left: that is when the rest is worth something
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def spending(self) -> Iterator[bool]:
        """Whether descriptors have run out and some were given up, for the attempt inside."""
        with self._lock:
            yield self._give_up()

    def _give_up(self) -> bool:
        try:
            os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                return False
        else:
            return False
        given = [self._held.pop() for _ in range(min(AT_ONCE, len(self._held)))]
        for descriptor in given:
            os.close(descriptor)
        return bool(given)


RESERVE = DescriptorReserve(kept=0)
