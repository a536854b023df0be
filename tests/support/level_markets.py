"""Markets with a known answer: random walks, and walks that truly turn at planted bands."""

import numpy as np

from tbot.validation.levels_null import Zones
from tbot.validation.paths import random_walk_bars
from tbot_ext.bars import mark_session_breaks
from tbot_ext.records import BAR_DTYPE

DAY_BARS = 1380


def walk_days(n: int, rng: np.random.Generator, bars_a_day: int = DAY_BARS, move: float = 6.0) -> np.ndarray:
    """A random walk of so many 1m bars with a break in trading between days."""
    return mark_session_breaks(random_walk_bars(n, rng, bars_a_day=bars_a_day, move_ticks=move))


def turning_market(n: int, seed: int, strength: float = 4.0) -> tuple[np.ndarray, Zones]:
    """A walk, a band each 60 bars 10 to 30 ticks from price, and price that is pushed away for 20 bars when it first
    comes to one: bands that work. `strength` in ticks a bar."""
    rng = np.random.default_rng(seed)
    times = random_walk_bars(n, rng, bars_a_day=DAY_BARS)["start_ns"]
    rows, zones, waiting = np.zeros(n, BAR_DTYPE), list[tuple[int, int, int, int]](), list[tuple[int, int, int, int]]()
    price, push, left = 80_000, 0.0, 0
    for number in range(n):
        steps = np.rint(rng.normal(0, 2, 8) + (push if left else 0.0) / 8).astype(int)
        path = price + np.cumsum(steps)
        rows["open"][number], rows["close"][number] = price, path[-1]
        rows["high"][number], rows["low"][number] = max(price, path.max()), min(price, path.min())
        left = max(0, left - 1)
        for zone in list(waiting):
            _, top, bottom, side = zone
            if (rows["low"][number] <= top) if side > 0 else (rows["high"][number] >= bottom):
                waiting.remove(zone)
                push, left = side * strength, 20
        price = int(path[-1])
        if number % 60 == 30:
            side, away = int(rng.choice((-1, 1))), int(rng.integers(10, 31))
            top = price - away if side > 0 else price + away + 8
            waiting.append((number, top, top - 8, side))
            zones.append(waiting[-1])
    rows["start_ns"], rows["timeframe_min"], rows["volume"] = times, 1, 10
    born, top, bottom, side = (np.ascontiguousarray(column) for column in np.array(zones, np.int64).T)
    return mark_session_breaks(rows), Zones(born, top, bottom, side)
