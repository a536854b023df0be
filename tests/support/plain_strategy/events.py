"""Pipeline events as plain tuples: the columns that the strategy reads, converted once per batch."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tbot_ext.records import EVENT_DTYPE, EventCode, Flag

WARMUP = int(Flag.WARMUP)


class EventRow(NamedTuple):
    """One event; the fields are those of `Event` in tbot_ext/records.pxd."""

    id: int
    parent_id: int
    known_ns: int
    known: int
    top: int
    bottom: int
    level: int
    score: float
    kind: int
    side: int
    timeframe_min: int
    flags: int
    n: int
    source: int
    parts: tuple[float, ...]  # components of the score of a zone or sweep, to four digits; () of all other events


_COLUMNS = [name for name in EventRow._fields if name != "parts"]
_KIND = _COLUMNS.index("kind")
# Why not of all: most events have none, and taking them out costs as much as all other columns together.
_WITH_PARTS = frozenset(
    {
        EventCode.OB,
        EventCode.OB_REFRESHED,
        EventCode.FVG,
        EventCode.BREAKER,
        EventCode.MITIGATION_BLOCK,
        EventCode.SWEEP,
    }
)
# The same bytes seen as these columns only. Why not events[_COLUMNS]: that makes a new dtype at every call.
_NARROW = EVENT_DTYPE[_COLUMNS]
_NO_PARTS: tuple[tuple[float, ...]] = ((),)


def rows_of(events: npt.NDArray[np.void]) -> list[EventRow]:
    """All events in order of emission."""
    return [
        EventRow._make(raw + (_NO_PARTS if raw[_KIND] not in _WITH_PARTS else (_rounded(events, index),)))
        for index, raw in enumerate(events.view(_NARROW).tolist())
    ]


def _rounded(events: npt.NDArray[np.void], index: int) -> tuple[float, ...]:
    return tuple(round(part, 4) for part in events["parts"][index].tolist())
