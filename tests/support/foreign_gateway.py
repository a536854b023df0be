"""A simulator that looks like a gateway of somebody else's: wall time, no endpoints of ours, prices by plan."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from renaming_proxy import RenamingProxy
from sim_rig import KEY, OWNER, RunningServer, ScriptedMarket, tick_rows
from tbot.domain.contracts import PRODUCTS
from tbot.domain.trading_hours import trading_day
from tbot.sim.listing import front_contract
from tbot.sim.server import SimServer, SimSettings
from tbot_ext.records import BAR_DTYPE

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
BID, ASK = 100_000, 100_002  # MNQ, ticks
STEP_NS = 100_000_000


def name_of(account: int) -> str:
    """What the simulator calls its accounts."""
    return f"50KTC-V2-000001-{account - 1000:08}"


def bars(end_ns: int, count: int = 120) -> "np.ndarray[Any, Any]":
    """Quiet 1m bars up to now."""
    made = np.zeros(count, BAR_DTYPE)
    last = end_ns // MINUTE * MINUTE
    made["start_ns"] = [last - (count - number) * MINUTE for number in range(count)]
    for field, price in (("open", BID), ("high", ASK), ("low", BID), ("close", ASK)):
        made[field] = price
    made["volume"] = 10
    return made


def market(rise_after_s: float, rise_ticks: int, length_s: float) -> tuple[ScriptedMarket, list[Any], int]:
    """MNQ stands still from now on, after a while rises by 4 ticks each tenth of a second, then stands again."""
    start = time.time_ns()
    rows: list[tuple[Any, ...]] = []
    for number in range(int(length_s * SECOND / STEP_NS)):
        at = start + number * STEP_NS
        up = min(rise_ticks, max(0, 4 * (number - int(rise_after_s * SECOND / STEP_NS))))
        rows += [(at, "quote", BID + up, ASK + up), (at, "trade", BID + 1 + up, 1 + number % 3, 1)]
    month = front_contract(PRODUCTS["MNQ"], trading_day(start))
    return ScriptedMarket(tick_rows(rows), start, bars(start)), [month], start


@contextmanager
def foreign_gateway(
    *, rise_after_s: float = 1e6, rise_ticks: int = 0, length_s: float = 120.0, **more: Any
) -> Iterator[tuple[RunningServer, RenamingProxy]]:
    """(the simulator behind, the gateway that clients see)."""
    settings = SimSettings(**({"user_name": OWNER, "api_key": KEY} | more))
    source = market(rise_after_s, rise_ticks, length_s)
    with RunningServer(SimServer(settings, source)) as server, RenamingProxy(server.rest, hide_sim=True) as proxy:
        yield server, proxy
