"""A thread for what may hang with the disk and must not hold up the loop that asks for it (F-SYS-05).

Why: a file system that is writing its journal holds every sync of every file up until it is done, for half a minute at
times. A launcher that waits for it sees no death, no lock file and no acknowledgement, and starts no emergency exit.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Newest(Generic[Item]):
    """Does one thing with what it is given; of what comes while that goes on, only the newest counts.

    `do` runs in a thread of its own, one call at a time, and must not raise.
    """

    def __init__(self, do: Callable[[Item], None], name: str) -> None:
        self._do = do
        self._name = name
        self._turn = threading.Condition()
        self._waiting: list[Item] = []
        self._busy = False

    def put(self, item: Item) -> None:
        """Have it done soon, in place of what still waits. Never waits."""
        with self._turn:
            self._waiting = [item]
            if not self._busy:
                with contextlib.suppress(RuntimeError):  # no thread to be had: the next call may get one
                    threading.Thread(target=self._run, daemon=True, name=self._name).start()
                    self._busy = True

    def settle(self, timeout_s: float) -> bool:
        """Wait until all is done; False when it is not after so long."""
        with self._turn:
            return self._turn.wait_for(lambda: not self._busy and not self._waiting, timeout_s)

    def _run(self) -> None:
        while True:
            with self._turn:
                if not self._waiting:
                    self._busy = False
                    self._turn.notify_all()
                    return
                item = self._waiting.pop()
            self._do(item)
