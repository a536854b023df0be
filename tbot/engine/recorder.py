"""Live ticks to tapes: one file per trading day, of which everything flushed survives any crash.

`TapeFiles` is the writing side. `TickPen` stands where a ring's writer stands, so that the same feed code serves rings
and tapes.
"""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import Product
from tbot.domain.trading_hours import trading_day
from tbot.engine.clocks import NS_PER_S, boot_ns
from tbot.errors import DataError
from tbot.storage.tape import TapeReader, TapeWriter, tape_meta
from tbot_ext.records import TICK_DTYPE, Kind

Ticks = npt.NDArray[np.void]

FLUSH_NS = NS_PER_S  # what a kill can cost
SYNC_NS = 10 * NS_PER_S  # what a power cut can cost
SUFFIX = ".tape"

GAP = int(Kind.GAP)


class TapeFiles:
    """Ticks of several contracts, appended in order of arrival. `target`: a folder, or one file for everything.

    A file that is there already is continued, behind a gap mark, when it is a tape of the same contracts. Raises
    DataError when it is anything else or cannot be written.
    """

    def __init__(self, target: Path, products: Iterable[Product], source: str, **extra: Any) -> None:
        """`source` and `extra` (JSON values) go into the meta of every file."""
        self._single = target.suffix == SUFFIX
        self._target = target
        self._products = tuple(products)
        self._meta = tape_meta(self._products, source, **extra)
        self._writer: TapeWriter | None = None
        self._day: date | None = None
        self._flush_boot_ns = self._sync_boot_ns = boot_ns()
        self.files: list[Path] = []  # written so far
        self.counts: Counter[str] = Counter()  # trades, quotes, gaps, by name; ticks per symbol
        self._names = {product.contract_id: product.symbol for product in self._products}
        folder = target.parent if self._single else target
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"The folder {folder} cannot be made: {error.strerror}.") from error

    def describe(self, **extra: Any) -> None:
        """From the next file on this stands in the meta, too."""
        self._meta = {**self._meta, **extra}

    def write(self, ticks: Ticks) -> None:
        """Append records of any kind; the trading day of each decides the file, and never goes back."""
        at = 0
        while at < len(ticks):
            day = trading_day(int(ticks["exch_ns"][at]))
            if self._writer is None or (self._day is not None and day > self._day and not self._single):
                self._open(day)
            assert self._writer is not None
            end = len(ticks) if self._single else self._same_day(ticks, at)
            with self._told():
                self._writer.write(ticks[at:end])
            self._count(ticks[at:end])
            at = end

    def _same_day(self, ticks: Ticks, at: int) -> int:
        """End of the stretch from `at` on that belongs into the open file: up to the first tick of a later day."""
        last = int(ticks["exch_ns"][at:].max())
        if self._day is None or trading_day(last) <= self._day:
            return len(ticks)
        for place in range(at, len(ticks)):
            if trading_day(int(ticks["exch_ns"][place])) > self._day:
                return max(place, at + 1)
        return len(ticks)

    def _open(self, day: date) -> None:
        self._finish()
        path = self._target if self._single else self._target / f"{day}{SUFFIX}"
        self._day = day
        if path.exists():
            with TapeReader(path) as reader:
                if set(reader.contracts) != set(self._names):
                    raise DataError(f"The tape {path} holds other contracts; record into another place.")
            with self._told(path):
                self._writer = TapeWriter(path, resume=True)
            self.counts["resumed"] += 1
            self.counts["dropped_bytes"] += self._writer.dropped_bytes
        else:
            with self._told(path):
                self._writer = TapeWriter(path, self._meta)
        self.files.append(path)

    def _count(self, ticks: Ticks) -> None:
        kinds = ticks["kind"]
        for name, kind in (("trades", Kind.TRADE), ("quotes", Kind.QUOTE), ("gaps", Kind.GAP)):
            self.counts[name] += int(np.count_nonzero(kinds == kind))
        for contract_id, number in zip(*np.unique(ticks["contract_id"], return_counts=True), strict=True):
            self.counts[self._names.get(int(contract_id), "?")] += int(number)

    def flush_if_due(self) -> None:
        """Hand what there is to the system every second, to the disk every ten."""
        now = boot_ns()
        if self._writer is not None and now - self._flush_boot_ns >= FLUSH_NS:
            self._flush_boot_ns = now
            sync = now - self._sync_boot_ns >= SYNC_NS
            if sync:
                self._sync_boot_ns = now
            with self._told():
                self._writer.flush(sync=sync)

    def flush(self) -> None:
        """Hand everything to the system now."""
        if self._writer is not None:
            with self._told():
                self._writer.flush()

    def _finish(self) -> None:
        if self._writer is not None:
            with self._told():
                self._writer.close()
            self._writer = None

    @contextlib.contextmanager
    def _told(self, path: Path | None = None) -> Iterator[None]:
        """A full disk and its like as one sentence; `path`: of a file that is being opened."""
        try:
            yield
        except OSError as error:
            raise DataError(
                f"The tape {path or self.files[-1]} cannot be written: {error.strerror}; make room there, then record "
                "again: what was written is kept and continued."
            ) from error

    def close(self) -> None:
        """Write and sync what is left."""
        self._finish()


class TickPen:
    """The writing side of one contract: takes what a RingWriter takes, keeps it until `take`."""

    def __init__(self, product: Product, rows: list[tuple[int, ...]]) -> None:
        """`rows` is shared by the pens of all contracts, so that the order of arrival is kept."""
        self._contract_id = product.contract_id
        self._rows = rows
        self.written = 0
        self.epoch = 1

    def push(
        self,
        kind: int,
        exch_ns: int,
        recv_ns: int,
        price: int,
        price2: int = 0,
        size: int = 0,
        aux: int = 0,
        volume: int = -1,
        side: int = 0,
        flags: int = 0,
    ) -> int:
        """One record; returns its number. Sequence words are those of a ring: 2 n + 2."""
        number = self.written
        self.written += 1
        head = (2 * number + 2, exch_ns, recv_ns, price, price2, size, aux, volume)
        self._rows.append((*head, self._contract_id, kind, side, flags, self.epoch & 0xFFFF))
        return number

    def gap(self, exch_ns: int, recv_ns: int) -> int:
        """Data is missing from here on."""
        self.epoch += 1
        return self.push(GAP, exch_ns, recv_ns, 0)

    def close(self) -> None:
        """Nothing to let go of."""


def take_rows(rows: list[tuple[int, ...]]) -> Ticks:
    """Everything the pens wrote, as records; empties the list."""
    ticks = np.zeros(len(rows), TICK_DTYPE)
    ticks[:] = rows
    rows.clear()
    return ticks
