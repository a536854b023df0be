"""The data that both sides of a comparison read: real ticks and bars of the shared folder, else seeded synthetic ones.

Prices are whole ticks, times UTC ns. Times of a tick file rise strictly: records of one instant are put a nanosecond
apart, so that no engine has to choose an order. Real days (two of gold for the bars, two hours of an index future for
the backtests) are repeated on the trading days from Monday 2026-06-01 on, Monday to Thursday; only dates are invented.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from tbot.domain.contracts import PRODUCTS, Product
from tbot_ext.records import TICK_DTYPE, Kind

ROOT = Path(__file__).resolve().parents[2]
DAY_NS = 86_400 * 10**9
MONDAY_NS = 1_780_272_000 * 10**9  # 2026-06-01
GOLD, INDEX = PRODUCTS["GC"], PRODUCTS["ES"]
FILES = {
    "GC": ("GCZ3_trades_20131007.parquet", "GCZ3_trades_20131008.parquet"),
    "ES": ("ESM8_trades_20180507_1330-1530Z.parquet",),  # has no sizes: every print is one contract
}
SYNTHETIC_PER_DAY = 45_000
Prints = tuple[np.ndarray, np.ndarray, np.ndarray]  # time of day in ns, price in ticks, size


def shared_file(relative: str) -> Path | None:
    """A file below data/ of the shared folder, None when it is not there."""
    base = Path(os.environ.get("TBOT_SHARED", "../shared"))
    path = (base if base.is_absolute() else ROOT / base) / "data" / relative
    return path if path.exists() else None


def real_days(product: Product) -> list[Prints]:
    """The real days of a product, [] when they are not there."""
    import pyarrow.parquet as pq

    days = []
    for name in FILES[product.symbol]:
        path = shared_file(f"market/ticks/{name}")
        if path is None:
            return []
        table = pq.read_table(path)
        times = table["ts"].to_numpy().astype("datetime64[ns]").astype(np.int64) % DAY_NS
        price = np.rint(table["price"].to_numpy() / float(product.tick_size)).astype(np.int64)
        size = table["size"].to_numpy().astype(np.int64) if "size" in table.schema.names else np.ones_like(price)
        keep = size > 0  # a print without a size makes no bar here; what peers make of it differs
        days.append((times[keep], price[keep], size[keep]))
    return days


def synthetic_days(seed: int = 11) -> list[Prints]:
    """Two days of a random walk in ticks, busier in the middle of the day."""
    rng = np.random.default_rng(seed)
    days = []
    for _ in range(2):
        hour = np.clip(rng.normal(14, 4, SYNTHETIC_PER_DAY), 0.1, 20.9)
        times = np.sort((hour * 3_600e9).astype(np.int64))
        price = 13_200 + np.cumsum(rng.choice([-1, 0, 0, 0, 1], SYNTHETIC_PER_DAY))
        days.append((times, price.astype(np.int64), rng.integers(1, 10, SYNTHETIC_PER_DAY)))
    return days


def prints(product: Product, count: int) -> tuple[dict[str, Any], str]:
    """(exch_ns, price, size of so many prints, where they come from)."""
    days = real_days(product)
    source = f"real {product.symbol} prints" if days else "synthetic prints, seed 11"
    days = days or synthetic_days()
    parts: list[Prints] = []
    have = number = 0
    while have < count:
        times, price, size = days[number % len(days)]
        week, weekday = divmod(number, 4)
        parts.append((MONDAY_NS + (week * 7 + weekday) * DAY_NS + times, price, size))
        have += len(times)
        number += 1
    times, price, size = (np.concatenate(columns)[:count] for columns in zip(*parts, strict=True))
    return {"exch_ns": strictly_rising(times), "price": price, "size": size}, source


def strictly_rising(times: np.ndarray) -> np.ndarray:
    """The same times, later by as few ns as make each later than the one before."""
    steps = np.arange(len(times))
    return np.asarray(np.maximum.accumulate(times - steps) + steps)


def tick_records(columns: dict[str, Any], product: Product) -> np.ndarray:
    """Prints as records of ours."""
    ticks = np.zeros(len(columns["price"]), TICK_DTYPE)
    ticks["contract_id"], ticks["kind"], ticks["volume"] = product.contract_id, Kind.TRADE, -1
    for name in ("exch_ns", "price", "size"):
        ticks[name] = columns[name]
    return ticks
