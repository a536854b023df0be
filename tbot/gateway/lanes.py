"""What stands between the executor's loop and the threads that talk to the gateway: bounded queues, and a wake-up call.

A command waits in the lane of its account and kind, so that nothing that protects waits behind an entry or a question
(R7, R9), and an account that the gateway does not answer for holds up no other.
"""

import os
import threading
from collections import deque
from dataclasses import dataclass
from typing import Literal

from tbot.domain.messages import (
    CancelOrder,
    CloseContract,
    Command,
    ModifyStop,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    PlaceTarget,
    Query,
)

Lane = Literal["entry", "protective", "query"]
LANES: dict[type, Lane] = {
    PlaceBracket: "entry",
    PlaceStop: "protective",
    PlaceTarget: "protective",
    PlaceExit: "protective",
    ModifyStop: "protective",
    CancelOrder: "protective",
    CloseContract: "protective",
    Query: "query",
}
# Of each account. Two protective threads: a cancel that hangs until its deadline must not hold up the close behind it.
THREADS: dict[Lane, int] = {"entry": 1, "protective": 2, "query": 1}
QUEUE_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Job:
    """One command in a lane."""

    command: Command
    since_boot_ns: int  # of an entry: when its signal left; else when it was queued


class LaneQueue:
    """A bounded queue of one lane."""

    def __init__(self) -> None:
        self.jobs: deque[Job] = deque()
        self.ready = threading.Condition()
        self.closed = False

    def put(self, job: Job) -> bool:
        with self.ready:
            if self.closed or len(self.jobs) >= QUEUE_LIMIT:
                return False
            self.jobs.append(job)
            self.ready.notify()
            return True

    def take(self) -> Job | None:
        """The oldest job; None when the lane is closed and empty."""
        with self.ready:
            while not self.jobs:
                if self.closed:
                    return None
                self.ready.wait(1.0)
            return self.jobs.popleft()

    def close(self) -> None:
        with self.ready:
            self.closed = True
            self.ready.notify_all()


class Wake:
    """A file descriptor that becomes readable when events wait, for the owner's poll loop."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        return self._reader

    def set(self) -> None:
        try:
            os.write(self._writer, b"\0")
        except (BlockingIOError, OSError):
            return  # full: it is readable anyway; closed: nobody looks any more

    def clear(self) -> None:
        try:
            while os.read(self._reader, 4096):
                pass
        except (BlockingIOError, OSError):
            return

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)
