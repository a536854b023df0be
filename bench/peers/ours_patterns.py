"""Ours: the drop-in's functions over a whole history or window by window, and the streaming detectors bar by bar."""

from typing import Any

import numpy as np
from protocol import Columns, Measure, load, serve
from windows import LIVE, stacked, windows

from smc_calls import SIX, columns, six_calls
from tbot.compat import smc
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE, EventCode, Kind

NS_PER_MIN = 60 * 10**9


def make(job: dict[str, Any]) -> dict[str, Measure]:
    bars = load(job["data"])
    length = job["length"]
    if job["live"]:
        return {"recompute": recompute(bars, length, job["live"]), "stream": stream(bars, job["live"])}
    calls = six_calls(smc, bars, smc.swing_highs_lows(bars, length), length)
    return {name: Measure(calls[name], len(bars["close"]), columns) for name in SIX}


def recompute(bars: Columns, length: int, count: int) -> Measure:
    """The same calls as the library's, on the same windows."""

    def run() -> list[dict[str, Any]]:
        found = []
        for first, end in windows(len(bars["close"]), count):
            part = {name: column[first:end] for name, column in bars.items()}
            calls = six_calls(smc, part, smc.swing_highs_lows(part, length), length)
            found.append({name: calls[name]() for name in LIVE})
        return found

    return Measure(run, count, lambda found: stacked([{k: columns(v) for k, v in one.items()} for one in found]))


def stream(bars: Columns, count: int) -> Measure:
    """Every detector of all five timeframes, one Python call for each 1m bar, over the whole history.

    Outputs: the gaps that became known with the last `count` bars: their middle bar, side, top and bottom.
    """
    n = len(bars["close"])
    records = np.zeros(n, BAR_DTYPE)
    records["start_ns"] = bars["time"].astype("datetime64[ns]").astype(np.int64)
    records["timeframe_min"] = 1
    for name in ("open", "high", "low", "close"):
        records[name] = np.rint(bars[name] * 4)
    records["volume"] = bars["volume"]
    ticks = np.zeros(n, TICK_DTYPE)  # HISTORY records that name one bar each
    ticks["kind"], ticks["price2"], ticks["size"] = Kind.HISTORY, np.arange(n), 1
    ticks["exch_ns"] = records["start_ns"] + NS_PER_MIN

    def run(keep: bool = False) -> list[np.ndarray]:
        pipeline, found, at = ContractPipeline(0, history=records), [], 0
        while at < n:
            at = pipeline.feed(ticks, at)
            events = pipeline.events
            if keep:
                found.append(events[(events["kind"] == EventCode.FVG) & (events["timeframe_min"] == 1)].copy())
        return found

    def common(_: Any) -> Columns:
        gaps = np.concatenate(run(keep=True))
        gaps = gaps[gaps["known"] >= n - count]
        return {name: gaps[column].astype(np.int64) for name, column in
                (("bar", "origin"), ("side", "side"), ("top", "top"), ("bottom", "bottom"))}  # fmt: skip

    return Measure(run, n, common)


if __name__ == "__main__":
    serve(make)
