"""What passes by in a stream and a reader of the result must know: days, rolls, holes, invented prices and quotes."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime

import numpy as np

from tbot.domain.contracts import BY_ID
from tbot.domain.timeframes import NS_PER_S
from tbot.domain.trading_hours import SessionCalendar
from tbot.domain.words import plural
from tbot.storage.tick_stream import Ticks
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import Flag
from tbot_ext.stream import market_from, survey

ROLL_RULE = (
    "bars, zones and structure begin anew; what was open in the old month is closed at its last prices, its orders are "
    "cancelled"
)


class Survey:
    """Watches a stream without changing it."""

    def __init__(self, calendar: SessionCalendar) -> None:
        self.calendar = calendar
        self._days: dict[date, None] = {}
        self._flags: dict[int, int] = {}  # contract id -> flags that any of its records had
        self._rolls: list[tuple[int, int]] = []  # (contract id, exchange time)
        self.gaps: list[tuple[str, int, int]] = []  # (contract, from, until) of marked gaps; until: when it was told
        self._day_end_ns = 0
        self.records = 0
        self.first_ns = self.last_ns = 0

    def watch(self, chunks: Iterable[Ticks]) -> Iterator[Ticks]:
        """The same chunks."""
        for chunk in chunks:
            if len(chunk):
                self._look(chunk)
            yield chunk

    def _look(self, chunk: Ticks) -> None:
        chunk = np.ascontiguousarray(chunk)
        times = chunk["exch_ns"]
        self.first_ns = self.first_ns or int(times[0])
        self.last_ns = int(times[-1])
        self.records += len(chunk)
        # A clock that closes Friday's last bar would make a trading day of the Saturday behind it.
        at = 0
        while (at := market_from(chunk, at, self._day_end_ns)) < len(chunk):
            day = self.calendar.trading_day(int(times[at]))
            self._days[day.day] = None
            self._day_end_ns = day.end_ns
        flags, gaps = survey(chunk)
        for contract_id, held in flags.items():
            self._flags[contract_id] = self._flags.get(contract_id, 0) | held
        for row in chunk[gaps].tolist() if gaps else ():
            contract_id, aux = row[8], row[6]
            if aux == NEW_CONTRACT:
                self._rolls.append((contract_id, row[1]))
            else:
                self.gaps.append((BY_ID[contract_id].symbol, row[1], row[1]))

    @property
    def days(self) -> tuple[date, ...]:
        """Trading days that had data."""
        return tuple(self._days)

    @property
    def covered(self) -> bool:
        """Whether the session table knows the holidays of all of them."""
        return all(self.calendar.covers(day.year) for day in self._days)

    @property
    def synthetic(self) -> tuple[str, ...]:
        """Contracts whose ticks were made from bars."""
        return self._with(Flag.SYNTHETIC)

    def _with(self, flag: Flag) -> tuple[str, ...]:
        return tuple(BY_ID[number].symbol for number, held in sorted(self._flags.items()) if held & int(flag))

    def notes(self) -> tuple[str, ...]:
        """Rolls, and sizes that are not known, one sentence each."""
        found = []
        for contract_id, at_ns in self._rolls:
            found.append(f"{BY_ID[contract_id].symbol}: another delivery month from {utc(at_ns)} on; {ROLL_RULE}")
        unknown = self._with(Flag.SIZE_UNKNOWN)
        if unknown:
            found.append(f"{', '.join(unknown)}: no sizes in the data; every print counts as one contract")
        return tuple(found)

    def assumptions(self) -> tuple[str, ...]:
        """Holes and invented quotes: for data whose source does not tell of them itself."""
        found = []
        derived = self._with(Flag.DERIVED)
        if derived:
            found.append(f"{', '.join(derived)}: no quotes in the data; made from trades and the typical spread")
        for symbol, count in Counter(symbol for symbol, _, _ in self.gaps).items():
            found.append(f"{symbol}: data is missing at {plural(count, 'marked gap')}")
        return tuple(found)


def utc(at_ns: int) -> str:
    """A time for a sentence."""
    return f"{datetime.fromtimestamp(at_ns // NS_PER_S, UTC):%Y-%m-%d %H:%M:%SZ}"
