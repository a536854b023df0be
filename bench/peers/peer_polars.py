"""polars: five bar frames straight from ticks, `group_by_dynamic` on a sorted time column, collected together.

The bar that is open when the data ends is left out, as ours is.
"""

from typing import Any

import numpy as np
import polars as pl
from protocol import Columns, Measure, load, serve

TIMEFRAMES = (1, 5, 15, 30, 60)
NAMES = ("open", "high", "low", "close", "volume")


def make(job: dict[str, Any]) -> dict[str, Measure]:
    ticks = load(job["data"])["ticks"]
    frame = pl.DataFrame({name: ticks[name].astype(np.int64) for name in ("exch_ns", "price", "size")})
    frame = frame.with_columns(pl.col("exch_ns").cast(pl.Datetime("ns")).set_sorted())
    price = pl.col("price")
    wanted = [
        price.first().alias("open"), price.max().alias("high"), price.min().alias("low"), price.last().alias("close"),
        pl.col("size").sum().alias("volume"),
    ]  # fmt: skip

    def run() -> list[pl.DataFrame]:
        return pl.collect_all(
            [frame.lazy().group_by_dynamic("exch_ns", every=f"{minutes}m").agg(wanted) for minutes in TIMEFRAMES]
        )

    def common(found: list[pl.DataFrame]) -> Columns:
        columns = {}
        for minutes, bars in zip(TIMEFRAMES, found, strict=True):
            done = bars[:-1]
            columns[f"{minutes}m start_ns"] = done["exch_ns"].to_physical().to_numpy()
            columns |= {f"{minutes}m {name}": done[name].to_numpy() for name in NAMES}
        return columns

    return {"arrays": Measure(run, len(frame), common)}


if __name__ == "__main__":
    serve(make)
