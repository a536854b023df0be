"""Closed bars as CSV files a person can open: what `--keep-bars` leaves behind."""

import io
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import Product
from tbot.domain.timeframes import NAMES, NS_PER_S
from tbot.storage.private_file import replace_private
from tbot_ext.records import BAR_DTYPE

COLUMNS = ("start", "open", "high", "low", "close", "volume", "delta", "trades", "flags")
PRICES, COUNTS = COLUMNS[1:5], COLUMNS[5:]
ROWS_AT_ONCE = 10_000


class BarCollector:
    """Gathers the closed 1m bars of one contract; `add` may be given overlapping stretches."""

    def __init__(self) -> None:
        self._parts: list[npt.NDArray[np.void]] = []
        self._last_ns = -1

    def add(self, bars: npt.NDArray[np.void]) -> None:
        """Keep those bars (oldest first) that are newer than everything kept."""
        new = bars[bars["start_ns"] > self._last_ns]
        if len(new):
            self._parts.append(new)
            self._last_ns = int(new["start_ns"][-1])

    def write(self, folder: Path, product: Product, timeframe_min: int = 1) -> Path:
        """Write `<symbol>.<timeframe>.csv`: UTC starts, prices with the product's decimals; returns the path.

        The file is whole or it is not there: OSError leaves what was there before, and so does a kill.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{product.symbol}.{NAMES[timeframe_min]}.csv"
        text = io.StringIO(newline="")
        _write(text, self._parts, product)
        replace_private(path, text.getvalue().encode("ascii"))
        return path


def _write(file: TextIO, parts: list[npt.NDArray[np.void]], product: Product) -> None:
    """By columns, not by rows: a year of minutes has to be on the disk within the moment that an end may take."""
    file.write(",".join(COLUMNS) + "\r\n")
    known: dict[int, str] = {}  # texts of prices: there are far fewer of them than of bars
    bars = _joined(parts)
    for first in range(0, len(bars), ROWS_AT_ONCE):
        part = bars[first : first + ROWS_AT_ONCE]
        starts = np.datetime_as_string((part["start_ns"] // NS_PER_S).astype("datetime64[s]"), timezone="UTC").tolist()
        prices = [_texts(part[name].tolist(), product, known) for name in PRICES]
        counts = [map(str, part[name].tolist()) for name in COUNTS]
        file.writelines(",".join(row) + "\r\n" for row in zip(starts, *prices, *counts, strict=True))


def _joined(parts: list[npt.NDArray[np.void]]) -> npt.NDArray[np.void]:
    """Why not `concatenate`: that agrees on the type of each field again for each of the thousands of parts."""
    bars = np.empty(sum(map(len, parts)), BAR_DTYPE)
    first = 0
    for part in parts:
        bars[first : first + len(part)] = part
        first += len(part)
    return bars


def _texts(ticks: list[int], product: Product, known: dict[int, str]) -> list[str]:
    for price in set(ticks).difference(known):
        known[price] = product.format(price)
    return [known[price] for price in ticks]
