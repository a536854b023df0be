"""smartmoneyconcepts: each function over a whole history, and all again at each new bar, which is how it is used live.

Live, a new bar means a window of the last 1 000 bars and every function anew: swings, gaps, breaks, blocks, liquidity.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))
from protocol import Measure, load, serve
from smartmoneyconcepts import smc
from windows import LIVE, stacked, windows

from smc_calls import SIX, columns, six_calls


def make(job: dict[str, Any]) -> dict[str, Measure]:
    bars = load(job["data"])
    frame = pd.DataFrame({name: bars[name] for name in bars if name != "time"}, index=pd.DatetimeIndex(bars["time"]))
    length, n = job["length"], len(frame)
    if job["live"]:
        return {"recompute": recompute(frame, length, job["live"])}
    calls = six_calls(smc, frame, smc.swing_highs_lows(frame, length), length)
    return {name: Measure(calls[name], n, columns) for name in SIX}


def recompute(frame: pd.DataFrame, length: int, count: int) -> Measure:
    """All functions on the windows that end with each of the last `count` bars."""

    def run() -> list[dict[str, Any]]:
        found = []
        for first, end in windows(len(frame), count):
            part = frame.iloc[first:end]
            calls = six_calls(smc, part, smc.swing_highs_lows(part, length), length)
            found.append({name: calls[name]() for name in LIVE})
        return found

    return Measure(run, count, lambda found: stacked([{k: columns(v) for k, v in one.items()} for one in found]))


if __name__ == "__main__":
    assert np.__version__
    serve(make)
