"""What reached the simulator over the wire, in order: for referees that compare it with what a client believes."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

KEPT = 20_000
TEXT_KEPT = 200  # characters of a path or tag


@dataclass(slots=True)
class WireEntry:
    """One request or upgrade, as it came; `answer` completes it. `token`: header, query or none.

    `status` None: not answered yet; 0: it gets no HTTP answer.
    """

    number: int
    time_ns: int  # wall clock
    boot_ns: int
    market_ns: int
    method: str
    path: str
    token: str
    account: int | None = None
    tag: str = ""
    status: int | None = None
    answered_boot_ns: int | None = None
    faults: tuple[str, ...] = ()

    def answer(self, status: int, boot_ns: int, faults: Iterable[str] = ()) -> None:
        """What became of it, and which faults had a part in that."""
        self.status, self.answered_boot_ns, self.faults = status, boot_ns, tuple(faults)


class WireLog:
    """The newest entries; `number` counts on, so a reader sees what it has missed."""

    def __init__(self, kept: int = KEPT) -> None:
        self._entries: deque[WireEntry] = deque(maxlen=kept)
        self._number = 0

    def add(
        self, boot_ns: int, market_ns: int, method: str, path: str, token: str, *, account: int | None, tag: str
    ) -> WireEntry:
        """One more has come; texts of strangers are cut to TEXT_KEPT characters."""
        self._number += 1
        head = (self._number, time.time_ns(), boot_ns, market_ns, method, path[:TEXT_KEPT], token)
        entry = WireEntry(*head, account=account, tag=tag[:TEXT_KEPT])
        self._entries.append(entry)
        return entry

    def since(self, number: int, limit: int = KEPT) -> list[WireEntry]:
        """Entries after `number`, oldest first."""
        return [entry for entry in self._entries if entry.number > number][:limit]
