"""Holes in market data: minutes without a record while the exchange traded."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tbot.domain.timeframes import NS_PER_MIN
from tbot.domain.trading_hours import SessionCalendar

LEAST_MIN = 10  # shorter silences are ordinary: at night micro gold can go without a print for minutes


@dataclass(frozen=True, slots=True)
class Hole:
    """No record of a contract from start_ns to end_ns, whole minutes; `open_ns`: how much of it was trading time."""

    symbol: str
    start_ns: int
    end_ns: int
    open_ns: int


class Silences:
    """Gathers the long silences of one contract from its records' times, array by array."""

    def __init__(self) -> None:
        self._last_min: int | None = None
        self.found: list[tuple[int, int]] = []  # minutes without a record: from, until (excluded)

    def push(self, times: npt.NDArray[np.int64]) -> None:
        """Times (UTC ns) in order."""
        if not len(times):
            return
        minutes = times // NS_PER_MIN
        before = minutes[0] if self._last_min is None else self._last_min
        steps = np.diff(minutes, prepend=before)
        for at in np.flatnonzero(steps > LEAST_MIN).tolist():
            self.found.append((int(minutes[at] - steps[at]) + 1, int(minutes[at])))
        self._last_min = int(minutes[-1])


def common_silences(rows: Iterable[tuple[int, int, Silences]]) -> list[tuple[int, int]]:
    """Minutes without a record in any of several rows (first ns, last ns, silences between), and between the rows.

    Rows may follow each other, or overlap: one of trades, one of quotes.
    """
    busy: list[tuple[int, int]] = []  # minutes with records, short silences included
    for first_ns, last_ns, silences in rows:
        at = first_ns // NS_PER_MIN
        for start, end in silences.found:
            busy.append((at, start))
            at = end
        busy.append((at, last_ns // NS_PER_MIN + 1))
    found: list[tuple[int, int]] = []
    until: int | None = None
    for start, end in sorted(busy):
        if until is not None and start - until >= LEAST_MIN:
            found.append((until, start))
        until = end if until is None else max(until, end)
    return found


def holes_of(symbol: str, silences: Iterable[tuple[int, int]], calendar: SessionCalendar) -> list[Hole]:
    """Those silences that hold at least LEAST_MIN minutes of trading time, oldest first."""
    found = []
    for first_min, until_min in silences:
        start_ns, end_ns = first_min * NS_PER_MIN, until_min * NS_PER_MIN
        open_ns = trading_ns(calendar, symbol, start_ns, end_ns)
        if open_ns >= LEAST_MIN * NS_PER_MIN:
            found.append(Hole(symbol, start_ns, end_ns, open_ns))
    return found


def trading_ns(calendar: SessionCalendar, symbol: str, start_ns: int, end_ns: int) -> int:
    """How much of a stretch the exchange was open, by the session table or, in other years, the weekly pattern."""
    total, at = 0, start_ns
    while at < end_ns:
        day = calendar.trading_day(at, symbol)
        total += max(0, min(end_ns, day.close_ns) - max(start_ns, day.open_ns))
        at = day.end_ns
    return total
