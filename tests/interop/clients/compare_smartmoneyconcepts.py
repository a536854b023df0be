"""Runs in the environment of smartmoneyconcepts, with our packages on PYTHONPATH: DataFrame in, DataFrame out, both.

Random frames of every kind that the library takes: types, missing prices, indexes, zones, orders; swings of its own
making and arbitrary ones. The last line of stdout is {"compared": N, "different": [...]}.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from smartmoneyconcepts import smc as library

from smc_calls import PRICES, Plan, random_bars, results
from tbot.compat.smc import smc as ours

TIME_FRAMES = (
    "15min", "45min", "1h", "4h", "7h", "500s", "1D", "2D", "5D", "W", "W-FRI", "2W", "3W-WED", "ME", "2ME", "MS",
    "3MS", "QE", "B", "1h30min",
)  # fmt: skip
ZONES = (None, "UTC", "America/Chicago", "Europe/Helsinki", "Asia/Kolkata")


def frame(rng: np.random.Generator, n: int) -> pd.DataFrame:
    scale = float(rng.choice([1.0, 0.25, 0.1, 0.00001]))
    bars = random_bars(rng, n, scale, int(rng.integers(1, 6)))
    index, zone = pd.DatetimeIndex(bars.pop("time")), ZONES[rng.integers(len(ZONES))]
    index = index if zone is None else index.tz_localize("UTC").tz_convert(zone)
    made = pd.DataFrame(bars, index=index)
    kind = rng.integers(8)
    if kind == 1:
        made = made.astype(dict.fromkeys(PRICES, "float32"))
    elif kind == 2:
        made = made.astype(np.float32)
    elif kind == 3 and scale == 1.0:
        made = made.astype(rng.choice(["int64", "int32"]))
    elif kind == 4:
        for name in (*PRICES, "volume"):
            made.loc[rng.random(n) < 0.02, name] = np.nan
        made.loc[rng.random(n) < 0.005, "high"] = np.inf
        made.loc[rng.random(n) < 0.005, "low"] = -np.inf
    elif kind == 5:
        made = made.iloc[rng.permutation(n)]
    elif kind == 6:
        made = made.rename(columns=str.upper)
    elif kind == 7:
        made = made.assign(extra="x")[["extra", "close", "volume", "low", "high", "open"]]
    return made


def arbitrary_swings(rng: np.random.Generator, bars: pd.DataFrame) -> pd.DataFrame:
    """Swings that no bar made: any order of kinds, levels near the bars', some missing, some zero."""
    n = len(bars)
    kinds = rng.choice([1.0, -1.0, np.nan, 0.0], n, p=[0.15, 0.15, 0.65, 0.05])
    level = bars.iloc[:, 1].to_numpy("float64", copy=True) if "open" in bars.columns[0] else np.zeros(n)
    level = np.round(level + rng.integers(-3, 4, n))
    level[rng.random(n) < 0.05] = np.nan
    return pd.DataFrame({"HighLow": kinds, "Level": level})


def checks(rng: np.random.Generator) -> Iterator[tuple[str, Any, Any]]:
    """(name, ours, the library's) of all calls on one random frame."""
    bars = frame(rng, int(rng.integers(0, 260)))
    picked = tuple(str(name) for name in rng.choice(TIME_FRAMES, 3, replace=False))
    plan = Plan((int(rng.integers(1, 7)), 3), (0.01, float(rng.choice([0.0, 0.05, 0.2]))), picked)
    pairs = zip(results(ours, bars, plan), results(library, bars, plan), strict=True)
    for (name, mine), (_, theirs) in pairs:
        yield name, mine, theirs
    swings = arbitrary_swings(rng, bars)
    for flag in (True, False):
        yield f"any bos_choch {flag}", ours.bos_choch(bars, swings, flag), library.bos_choch(bars, swings, flag)
        yield f"any ob {flag}", ours.ob(bars, swings, flag), library.ob(bars, swings, flag)
    yield "any liquidity", ours.liquidity(bars, swings, 0.1), library.liquidity(bars, swings, 0.1)


def main(seed: int, frames: int) -> None:
    compared, different = 0, []
    for number in range(seed, seed + frames):
        for name, mine, theirs in checks(np.random.default_rng(number)):
            compared += 1
            try:
                pd.testing.assert_frame_equal(mine, theirs, check_exact=True, check_index_type="exact")
            except AssertionError as error:
                different.append(f"seed {number}, {name}: {' '.join(str(error).split())[:300]}")
    print(json.dumps({"compared": compared, "different": different}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
