"""Bars made for tests of tables, files and pictures: a seeded walk in ticks, and the same as columns of prices."""

from typing import Any

import numpy as np

from tbot_ext.records import BAR_DTYPE

MINUTE = 60_000_000_000
START = 1_768_924_800_000_000_000  # 2026-01-20T16:00:00Z, a whole hour


def walk(n: int, seed: int = 1, minutes: int = 1, pause_at: int | None = None) -> np.ndarray:
    """BAR_DTYPE bars without gaps but for a pause of two hours before bar `pause_at`."""
    rng = np.random.default_rng(seed)
    moves = np.rint(rng.standard_t(4, n) * 4).astype(np.int64)
    bars = np.zeros(n, BAR_DTYPE)
    bars["start_ns"] = START + np.arange(n) * minutes * MINUTE
    if pause_at is not None:
        bars["start_ns"][pause_at:] += 120 * MINUTE
    bars["timeframe_min"] = minutes
    bars["close"] = 20_000 + np.cumsum(moves)
    bars["open"] = bars["close"] - moves + rng.integers(-1, 2, n)
    bars["high"] = np.maximum(bars["open"], bars["close"]) + rng.integers(0, 6, n)
    bars["low"] = np.minimum(bars["open"], bars["close"]) - rng.integers(0, 6, n)
    bars["volume"] = rng.integers(50, 2000, n)
    return bars


def columns(bars: np.ndarray, tick: float = 0.25) -> dict[str, Any]:
    """The bars as a mapping that `tbot.detect` takes."""
    prices = {name: bars[name] * tick for name in ("open", "high", "low", "close")}
    return {"time": bars["start_ns"].copy(), **prices, "volume": bars["volume"].copy()}


def csv_text(bars: np.ndarray, tick: float = 0.25, decimals: int = 2) -> str:
    """The bars as a file with ISO times."""
    times = np.datetime_as_string(bars["start_ns"].astype("datetime64[ns]"), unit="s").tolist()
    lines = ["time,open,high,low,close,volume"]
    for time, bar in zip(times, bars, strict=True):
        prices = ",".join(f"{bar[name] * tick:.{decimals}f}" for name in ("open", "high", "low", "close"))
        lines.append(f"{time}Z,{prices},{bar['volume']}")
    return "\n".join(lines) + "\n"
