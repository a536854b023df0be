"""A simulator that looks like a gateway of somebody else's: wall time, no endpoints of ours, prices by plan."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


class RisingMarket(ScriptedMarket):
    """MNQ stands still from now on; once `rise` was called it goes up by 4 ticks each tenth of a second."""

    def __init__(self, start_ns: int) -> None:
        super().__init__(tick_rows([(start_ns, "quote", BID, ASK), (start_ns, "trade", ASK, 1, 1)]), start_ns)
        self._bars = bars(start_ns)
        self._at_ns = start_ns
        self._up = 0
        self._to = 0
        self.end_ns = None

    def rise(self, ticks: int) -> None:
        """Up to so many ticks above where it began. Any thread."""
        self._to = ticks

    def advance(self, to_ns: int) -> "np.ndarray[Any, Any]":
        rows: list[tuple[Any, ...]] = []
        while self._at_ns + STEP_NS <= to_ns:
            self._at_ns += STEP_NS
            self._up = min(self._to, self._up + 4)
            size = 1 + self._at_ns // STEP_NS % 3
            rows += [
                (self._at_ns, "quote", BID + self._up, ASK + self._up),
                (self._at_ns, "trade", BID + 1 + self._up, size, 1),
            ]
        return tick_rows(rows)


@dataclass
class Foreign:
    """The simulator behind, the gateway that clients see, and the price."""

    server: RunningServer
    rest: str
    market: RisingMarket


@contextmanager
def foreign_gateway(**more: Any) -> Iterator[Foreign]:
    """A running gateway; `more` are settings of the simulator."""
    settings = SimSettings(**({"user_name": OWNER, "api_key": KEY} | more))
    start = time.time_ns()
    market = RisingMarket(start)
    month = front_contract(PRODUCTS["MNQ"], trading_day(start))
    behind = RunningServer(SimServer(settings, (market, [month], start)))
    with behind as server, RenamingProxy(server.rest, hide_sim=True) as proxy:
        yield Foreign(server, proxy.rest, market)
