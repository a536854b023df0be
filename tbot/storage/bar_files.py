"""Closed bars as CSV files a person can open: what `--keep-bars` leaves behind."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import Product
from tbot.domain.timeframes import NAMES, NS_PER_S

COLUMNS = ("start", "open", "high", "low", "close", "volume", "delta", "trades", "flags")


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
        """Write `<symbol>.<timeframe>.csv`: UTC starts, prices with the product's decimals; returns the path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{product.symbol}.{NAMES[timeframe_min]}.csv"
        with open(path, "w", newline="", encoding="ascii") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for part in self._parts:
                for bar in part:
                    start = datetime.fromtimestamp(int(bar["start_ns"]) // NS_PER_S, UTC)
                    prices = [product.format(int(bar[name])) for name in ("open", "high", "low", "close")]
                    counts = [int(bar[name]) for name in ("volume", "delta", "trades", "flags")]
                    writer.writerow([f"{start:%Y-%m-%dT%H:%M:%SZ}", *prices, *counts])
        return path
