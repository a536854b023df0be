"""A restless made-up market that gives signals: tapes of ticks for contracts of the table, seeded."""

import numpy as np

from tbot.domain.contracts import PRODUCTS
from tbot.storage.tick_stream import merge_order
from tbot.strategy.trader import StrategySettings
from tbot_ext.records import NO_PRICE, TICK_DTYPE, Kind

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_795_185_000 * SECOND  # Friday 2026-11-20, 09:30 in New York

# Decides often: tests want many decisions, not good ones.
QUICK = {"L": 2, "R": 2, "atr_n": 5}
LIVELY = StrategySettings(
    min_score=0.0, max_tests=3, detector={name: dict(QUICK) for name in ("1m", "5m", "15m", "30m", "1h")}
)

# The same as a file of settings says it.
LIVELY_DETECTOR = "\n".join(
    ["[strategy.detector]", *(f"{name} = {{ L = 2, R = 2, atr_n = 5 }}" for name in ("1m", "5m", "15m", "30m", "1h"))]
)


def _of_one(symbol: str, seed: int, minutes: int) -> np.ndarray:
    """Four trades a minute, each behind a quote of its own instant; instants are whole seconds, shared by contracts."""
    product = PRODUCTS[symbol]
    chance = np.random.default_rng([seed, product.contract_id])
    steps = chance.integers(-6, 7, (minutes, 4)) * chance.choice([1, 1, 1, 4], (minutes, 1))
    path = 50_000 + np.cumsum(steps, axis=None).reshape(minutes, 4)
    ticks = np.zeros((minutes, 4, 2), TICK_DTYPE)
    ticks["contract_id"] = product.contract_id
    ticks["exch_ns"] = START + np.arange(minutes)[:, None, None] * MINUTE + np.arange(4)[:, None] * 15 * SECOND
    ticks["recv_ns"] = ticks["exch_ns"] + 1
    ticks["kind"] = [Kind.QUOTE, Kind.TRADE]
    ticks["price"] = path[:, :, None]
    ticks["price2"][:, :, 0] = path + product.spread_ticks
    ticks["size"][:, :, 1] = chance.integers(1, 9, (minutes, 4))
    ticks["side"][:, :, 1] = chance.choice([-1, 1], (minutes, 4))
    ticks["volume"] = -1
    return ticks.reshape(-1)


def lively(symbols: tuple[str, ...], seed: int = 1, minutes: int = 600, *, opened: bool = True) -> np.ndarray:
    """Merged ticks of several contracts; `opened`: behind one HISTORY record each, so that bars count at once."""
    parts = [_of_one(symbol, seed, minutes) for symbol in symbols]
    if opened:
        parts = [opening(symbol) for symbol in symbols] + parts
    return merge_order(np.concatenate(parts))


def opening(symbol: str, at_ns: int = START) -> np.ndarray:
    """History is complete up to here, and empty."""
    record = np.zeros(1, TICK_DTYPE)
    record["contract_id"], record["kind"], record["exch_ns"] = PRODUCTS[symbol].contract_id, Kind.HISTORY, at_ns
    record["price"], record["volume"] = NO_PRICE, -1
    return record
