"""Random 1m bars, and the ticks that make them."""

import numpy as np

from tbot.domain.contracts import Product
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE, Kind

MINUTE = 60_000_000_000


def ticks_of(bars: np.ndarray, product: Product) -> np.ndarray:
    """Five records a minute: a quote around the open, then open, low, high and close as trades."""
    ticks = np.zeros((len(bars), 5), TICK_DTYPE)
    ticks["contract_id"] = product.contract_id
    ticks["exch_ns"] = bars["start_ns"][:, None] + np.arange(5) * 10_000_000_000
    ticks["kind"] = [Kind.QUOTE, *[Kind.TRADE] * 4]
    ticks["price"] = np.stack([bars["open"], bars["open"], bars["low"], bars["high"], bars["close"]], axis=1)
    ticks["price2"][:, 0] = bars["open"] + 1
    ticks["size"][:, 1:] = 1
    ticks["size"][:, 1] = np.maximum(1, bars["volume"] - 3)
    ticks["volume"] = -1
    return ticks.reshape(-1)


def random_bars(seed: int, count: int) -> np.ndarray:
    """A rough walk with a break of an hour a day; enough movement for every kind of zone."""
    chance = np.random.default_rng(seed)
    minutes = np.arange(count) + np.arange(count) // 1380 * 60
    bars = np.zeros(count, BAR_DTYPE)
    bars["start_ns"] = 1_795_000_020_000_000_000 // MINUTE * MINUTE + minutes * MINUTE
    steps = chance.integers(-6, 7, (count, 4)) * chance.choice([1, 1, 1, 4], (count, 1))
    path = 50_000 + np.cumsum(steps, axis=None).reshape(count, 4)
    bars["open"], bars["close"] = path[:, 0], path[:, 3]
    bars["high"], bars["low"] = path.max(axis=1), path.min(axis=1)
    bars["volume"] = chance.integers(4, 500, count)
    bars["timeframe_min"], bars["trades"] = 1, 4
    return bars
