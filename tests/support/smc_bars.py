"""Bars of files for the parity tests: mappings of arrays as `tbot.compat.smc` takes them, read without pandas."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = ("open", "high", "low", "close", "volume")


def read_csv_bars(path: Path) -> dict[str, Any]:
    """open high low close volume time of a CSV file with a column Date; names in any case."""
    with path.open(newline="") as file:
        rows = [{name.lower(): text for name, text in row.items()} for row in csv.DictReader(file)]
    bars: dict[str, Any] = {name: np.array([float(row[name]) for row in rows]) for name in COLUMNS}
    dates = [row["date"].replace(".", "-").replace(" ", "T") for row in rows]
    return bars | {"time": np.array(dates, dtype="datetime64[us]")}


def read_csv_columns(path: Path) -> dict[str, Any]:
    """A file of expected values; nothing between commas is NaN."""
    with path.open(newline="") as file:
        names, *rows = csv.reader(file)
    return {name: np.array([float(row[k] or "nan") for row in rows]) for k, name in enumerate(names)}


def market_bars(path: Path) -> dict[str, Any]:
    """Real 1m bars of a Parquet file with the columns ts, open, high, low, close, volume; times in UTC."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["ts", *COLUMNS])
    bars = {name: table[name].to_numpy().astype(np.float64) for name in COLUMNS}
    return bars | {"time": table["ts"].to_numpy().astype("datetime64[us]")}


def resampled(bars: dict[str, Any], minutes: int) -> dict[str, Any]:
    """Bars of so many minutes from rising 1m bars, labelled by their start; minutes without a bar make none."""
    step = minutes * 60 * 10**6
    labels = bars["time"].astype("datetime64[us]").astype(np.int64) // step * step
    first = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    last = np.r_[first[1:], len(labels)] - 1
    return {
        "open": bars["open"][first],
        "high": np.maximum.reduceat(bars["high"], first),
        "low": np.minimum.reduceat(bars["low"], first),
        "close": bars["close"][last],
        "volume": np.add.reduceat(bars["volume"], first),
        "time": labels[first].astype("datetime64[us]"),
    }
