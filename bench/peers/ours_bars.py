"""Ours: prints into 1m, 5m, 15m, 30m and 1h bars, from an array of records or by one Python call for each print."""

from typing import Any

import numpy as np
from protocol import Columns, Measure, load, serve

from tbot_ext.bars import BarBuilder
from tbot_ext.records import Kind

TIMEFRAMES = (1, 5, 15, 30, 60)
NAMES = ("start_ns", "open", "high", "low", "close", "volume")


def common(bars: np.ndarray) -> Columns:
    """Bars of each timeframe by name, in order."""
    found = {}
    for minutes in TIMEFRAMES:
        rows = bars[bars["timeframe_min"] == minutes]
        found |= {f"{minutes}m {name}": rows[name].astype(np.int64) for name in NAMES}
    return found


def make(job: dict[str, Any]) -> dict[str, Measure]:
    ticks = load(job["data"])["ticks"]
    rows = list(zip(*(ticks[name].tolist() for name in ("exch_ns", "price", "size")), strict=True))

    def batch() -> np.ndarray:
        return BarBuilder().push_ticks(ticks)

    def one_by_one() -> np.ndarray:
        push, trade, parts = BarBuilder().push, int(Kind.TRADE), []
        for exch_ns, price, size in rows:
            done = push(trade, exch_ns, price, size)
            if len(done):
                parts.append(done)
        return np.concatenate(parts)

    return {"arrays": Measure(batch, len(ticks), common), "calls": Measure(one_by_one, len(ticks), common)}


if __name__ == "__main__":
    serve(make)
