"""A tape whose price goes where a test wants it: lines between waypoints, a trade and a quote every two seconds."""

from pathlib import Path

import numpy as np

from tbot.domain.contracts import PRODUCTS
from tbot.storage.tape import TapeWriter, merge_order, tape_meta
from tbot_ext.records import TICK_DTYPE, Kind

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_795_185_000 * SECOND  # Friday 2026-11-20, 09:30 in New York
STEP = 2 * SECOND

Waypoints = list[tuple[float, int]]  # (minute, ticks)


def ticks_of(symbol: str, waypoints: Waypoints, start_ns: int = START) -> np.ndarray:
    """Quotes one tick around the price, each followed by a trade at it, until the last waypoint."""
    product = PRODUCTS[symbol]
    minutes, prices = zip(*waypoints, strict=True)
    times = np.arange(0, int(minutes[-1] * MINUTE), STEP)
    path = np.rint(np.interp(times / MINUTE, minutes, prices)).astype(np.int64)
    ticks = np.zeros((len(times), 2), TICK_DTYPE)
    ticks["contract_id"] = product.contract_id
    ticks["kind"] = [Kind.QUOTE, Kind.TRADE]
    ticks["exch_ns"] = start_ns + times[:, None] + np.array([0, SECOND])
    ticks["recv_ns"] = ticks["exch_ns"] + 1
    ticks["price"][:, 0], ticks["price2"][:, 0] = path - 1, path + 1
    ticks["price"][:, 1], ticks["size"][:, 1] = path, 10
    ticks["side"][:, 1] = np.where(np.arange(len(times)) % 2, 1, -1)
    ticks["volume"] = -1
    return ticks.reshape(-1)


def write_tape(path: Path, prices: dict[str, Waypoints], start_ns: int = START) -> None:
    """One tape with all the contracts."""
    parts = [ticks_of(symbol, waypoints, start_ns) for symbol, waypoints in prices.items()]
    with TapeWriter(path, tape_meta([PRODUCTS[symbol] for symbol in prices], "session")) as writer:
        writer.write(merge_order(np.concatenate(parts)))
