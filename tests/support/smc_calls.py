"""The calls of the parity tests, the same words for every side: the library, its drop-in, the slow reference.

Imported in the library's own environment too, so it needs numpy alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

PRICES = ("open", "high", "low", "close")
SIX = ("swing_highs_lows", "fvg", "bos_choch", "ob", "liquidity", "previous_high_low")


@dataclass(frozen=True)
class Plan:
    """Which parameters to go through."""

    lengths: tuple[int, ...] = (1, 3, 5, 10, 50)
    percents: tuple[float, ...] = (0.01, 0.002)
    time_frames: tuple[str, ...] = ()


def results(smc: Any, bars: Any, plan: Plan) -> Iterator[tuple[str, Any]]:
    """(name of the call, what it gave) for every call of the plan, swings of each length through all that need them."""
    for join in (False, True):
        yield f"fvg {join}", smc.fvg(bars, join_consecutive=join)
    for length in plan.lengths:
        swings = smc.swing_highs_lows(bars, swing_length=length)
        yield f"swings {length}", swings
        for flag in (True, False):
            yield f"bos_choch {length} {flag}", smc.bos_choch(bars, swings, close_break=flag)
            yield f"ob {length} {flag}", smc.ob(bars, swings, close_mitigation=flag)
        for percent in plan.percents:
            yield f"liquidity {length} {percent}", smc.liquidity(bars, swings, range_percent=percent)
    for time_frame in plan.time_frames:
        yield f"previous {time_frame}", smc.previous_high_low(bars, time_frame=time_frame)


def six_calls(smc: Any, bars: Any, swings: Any, length: int) -> dict[str, Callable[[], Any]]:
    """Each function once, with its defaults, by name."""
    calls: dict[str, Callable[[], Any]] = {name: partial(getattr(smc, name), bars, swings) for name in SIX}
    calls["swing_highs_lows"] = partial(smc.swing_highs_lows, bars, length)
    calls["fvg"], calls["previous_high_low"] = partial(smc.fvg, bars), partial(smc.previous_high_low, bars)
    return calls


def columns(result: Any) -> dict[str, Any]:
    """Columns in their order, whether a DataFrame or a dict came."""
    return {str(name): np.asarray(result[name]) for name in result}


def difference(got: Any, expected: Any) -> str:
    """What differs, bit by bit, NaN equal to NaN; empty when nothing does."""
    left, right = columns(got), columns(expected)
    if list(left) != list(right):
        return f"columns {list(left)}, expected {list(right)}"
    for name in left:
        a, b = left[name], right[name]
        if a.dtype != b.dtype or a.shape != b.shape:
            return f"{name}: {a.dtype} {a.shape}, expected {b.dtype} {b.shape}"
        both_nan = np.isnan(a) & np.isnan(b)
        whole = {4: np.int32, 8: np.int64}[a.dtype.itemsize]
        rows = np.flatnonzero((a.view(whole) != b.view(whole)) & ~both_nan)
        if len(rows):
            return f"{name}: {len(rows)} rows, first {rows[0]}: {a[rows[0]]!r}, expected {b[rows[0]]!r}"
    return ""


def random_bars(rng: np.random.Generator, n: int, scale: float = 1.0, spread: int = 3) -> dict[str, Any]:
    """Small whole numbers times `scale`: many equal prices, prices around zero, volumes of zero; 15 minutes apart."""
    close = int(rng.integers(-5, 60)) + np.cumsum(rng.integers(-spread, spread + 1, n))
    open_ = np.where(rng.random(n) < 0.7, np.r_[close[:1], close[:-1]], close + rng.integers(-2, 3, n))
    bars = {
        "open": open_ * scale,
        "high": (np.maximum(open_, close) + rng.integers(0, spread, n)) * scale,
        "low": (np.minimum(open_, close) - rng.integers(0, spread, n)) * scale,
        "close": close * scale,
        "volume": (rng.integers(0, 9, n) * (rng.random(n) < 0.9)).astype(np.float64),
    }
    start = np.datetime64("2024-02-26T09:00", "us") + np.timedelta64(int(rng.integers(0, 5000)), "m")
    bars["time"] = start + np.cumsum(rng.choice([15, 15, 15, 30, 600], n)) * np.timedelta64(1, "m")
    return bars
