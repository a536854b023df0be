"""Pipeline events as plain tuples: the columns that the strategy reads, converted once per batch."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tbot_ext.records import Flag

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


_COLUMNS = list(EventRow._fields)


def rows_of(events: npt.NDArray[np.void]) -> list[EventRow]:
    """All events in order of emission."""
    return [EventRow._make(raw) for raw in events[_COLUMNS].tolist()]
