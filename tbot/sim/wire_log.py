"""What reached the simulator over the wire, in order: for referees that compare it with what a client believes."""

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

KEPT = 20_000


@dataclass(frozen=True, slots=True)
class WireEntry:
    """One request or upgrade. `status` 0: no HTTP answer was given. `token`: header, query or none."""

    number: int
    time_ns: int  # wall clock
    boot_ns: int
    market_ns: int
    method: str
    path: str
    status: int
    token: str
    account: int | None = None
    tag: str = ""
    faults: tuple[str, ...] = ()


class WireLog:
    """The newest entries; `number` counts on, so a reader sees what it has missed."""

    def __init__(self, kept: int = KEPT) -> None:
        self._entries: deque[WireEntry] = deque(maxlen=kept)
        self._number = 0

    def add(self, boot_ns: int, market_ns: int, **what: Any) -> None:
        """One more."""
        self._number += 1
        self._entries.append(WireEntry(self._number, time.time_ns(), boot_ns, market_ns, **what))

    def since(self, number: int, limit: int = KEPT) -> list[WireEntry]:
        """Entries after `number`, oldest first."""
        return [entry for entry in self._entries if entry.number > number][:limit]
