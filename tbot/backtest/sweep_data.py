"""The data of a sweep, shipped once.

The parent reads its sources once and writes the stream (opening records, derived quotes and clocks included) into one
file of records. Workers that see that file, which are all of the same machine, map it into memory: nothing is decoded
or copied for a trial, and the system keeps one copy for all. Where a worker of a cluster does not see it, the records
themselves go once to each worker, as a scattered future (dask) or through the object store (ray).

Why not the sources themselves: a Parquet file would be decoded, and a tape checked, again in every worker.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tbot.backtest.source import Source
from tbot.domain.trading_hours import SessionCalendar
from tbot.errors import DataError, unwritable
from tbot.storage.holes import Hole
from tbot.storage.tick_stream import Ticks
from tbot_ext.records import TICK_DTYPE

PART = 1 << 16  # records at once
FILE_NAME = "records.bin"


@dataclass(frozen=True)
class Shipment:
    """A stream on its way to workers. `fetch` gives the records where `path` is not seen; None: it is seen."""

    path: str
    records: int
    contracts: Mapping[int, str]
    data_hash: str
    ends: tuple[str, str]  # SHA-256 of the first and the last part: tells another file of that name
    holes: tuple[Hole, ...] = ()  # silences of the source, by its own calendar
    fetch: Callable[[], Any] | None = None
    held: Ticks | None = None  # the records themselves


@dataclass(frozen=True)
class ShippedSource:
    """A source for run_backtest over records that were shipped."""

    ticks: Ticks
    contracts: Mapping[int, str]
    data_hash: str
    notes: tuple[str, ...] = ()
    silences: tuple[Hole, ...] = ()

    def holes(self, _calendar: SessionCalendar) -> tuple[Hole, ...]:
        """Those that the source told of before it was shipped."""
        return self.silences

    def stream(self) -> Iterator[Ticks]:
        """In parts, as arrays of their own memory."""
        for start in range(0, len(self.ticks), PART):
            yield np.array(self.ticks[start : start + PART])


def write_stream(source: Source, path: Path) -> Shipment:
    """Write all of a source's stream to `path`."""
    count = 0
    with _writing(path):
        file = path.open("wb")
    try:
        for chunk in source.stream():
            with _writing(path):
                file.write(np.ascontiguousarray(chunk).tobytes())
            count += len(chunk)
        with _writing(path):
            file.close()
    except BaseException:  # half of it is of no use
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    ticks = _mapped(path, count)
    told = getattr(source, "holes", None)
    holes = tuple(told()) if callable(told) else ()
    return Shipment(str(path.resolve()), count, dict(source.contracts), source.data_hash, _ends(ticks), holes)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Around what is done to the file alone; what the source raises is no matter of the file."""
    try:
        yield
    except OSError as error:
        raise unwritable(f"the folder {path.parent}", error) from None


def sees(shipment: Shipment) -> bool:
    """Whether this process finds the very records at the shipment's path."""
    path = Path(shipment.path)
    try:
        if path.stat().st_size != shipment.records * TICK_DTYPE.itemsize:
            return False
        return _ends(_mapped(path, shipment.records)) == shipment.ends
    except OSError:
        return False


def remove(shipment: Shipment) -> None:
    """The file of records, when the sweep is over; where it cannot be removed it stays: the results are there."""
    _opened.clear()
    with suppress(OSError):
        Path(shipment.path).unlink(missing_ok=True)


_opened: dict[tuple[str, str, int], ShippedSource] = {}


def source_of(shipment: Shipment) -> ShippedSource:
    """The source in this process; opened once, whatever number of trials asks for it."""
    key = (shipment.path, shipment.data_hash, shipment.records)
    if key not in _opened:
        _opened.clear()  # one sweep at a time
        _opened[key] = ShippedSource(
            _records(shipment), shipment.contracts, shipment.data_hash, silences=shipment.holes
        )
    return _opened[key]


def _records(shipment: Shipment) -> Ticks:
    if shipment.held is not None:
        return shipment.held
    if shipment.fetch is not None:
        return np.asarray(shipment.fetch())
    if not sees(shipment):
        raise DataError(
            f"a worker does not find the records of the sweep at {shipment.path}; keep --out on a place that it sees"
        )
    return _mapped(Path(shipment.path), shipment.records)


def _mapped(path: Path, records: int) -> Ticks:
    if not records:
        return np.zeros(0, TICK_DTYPE)
    return np.memmap(path, TICK_DTYPE, "r", shape=(records,))


def _ends(ticks: Ticks) -> tuple[str, str]:
    first, last = (hashlib.sha256(part.tobytes()).hexdigest() for part in (ticks[:PART], ticks[-PART:]))
    return first, last
