"""project-x-py: quotes from the wire into its five bar frames, by its own hub client and data manager, at a set rate.

Bars come from `RealtimeDataManager`, as its trading suite joins it; only the REST client is left out (its history is
one bar). A round lasts as long as the server sends, and until nothing more is taken in. The outputs are the quotes that
reached the bars: it drops what arrives while it is busy. Its figure is CPU time over the quotes that got there, so what
it spends on those that it drops is in it.
"""

import asyncio
import time
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from project_x_py.event_bus import EventBus, EventType
from project_x_py.realtime import ProjectXRealtimeClient
from project_x_py.realtime_data_manager import RealtimeDataManager
from protocol import Columns, Measure, serve

FRAMES = ["1min", "5min", "15min", "30min", "1hr"]
LOOK_S = 0.25
QUIET_S = 1.5  # nothing taken in for this long after the last was sent: it is done


class History:
    """What the manager asks of a REST client."""

    def __init__(self, contract: str) -> None:
        self._contract = contract

    async def get_instrument(self, _symbol: str) -> Any:
        return SimpleNamespace(id=self._contract, tickSize=0.25, symbolId="F.US.MNQ")

    async def get_bars(self, *_: Any, **__: Any) -> pl.DataFrame:
        start = datetime.now(ZoneInfo("America/Chicago")) - timedelta(hours=2)  # the zone of its bars
        prices = {name: [25_000.0] for name in ("open", "high", "low", "close")}
        return pl.DataFrame({"timestamp": [start], **prices, "volume": [1]})


async def receive(job: dict[str, Any]) -> tuple[float, list[tuple[float, float]]]:
    """(CPU seconds as if every quote had got there, bid and ask of those that became ticks of its bars)."""
    bus, found = EventBus(), []
    client = ProjectXRealtimeClient("nobody", "1", user_hub_url=job["url"], market_hub_url=job["url"])
    client.event_bus = bus
    manager = RealtimeDataManager("MNQ", History(job["contract"]), client, bus, FRAMES)

    async def keep(event: Any) -> None:
        found.append((event.data["bid"], event.data["ask"]))

    await bus.on(EventType.QUOTE_UPDATE, keep)
    assert await manager.initialize()
    assert await client.connect(), "not connected"
    begin = time.process_time()
    assert await manager.start_realtime_feed()
    end = time.monotonic() + job["count"] / job["rate"] + QUIET_S
    before, changed = -1, time.monotonic()
    while time.monotonic() < end or time.monotonic() < changed + QUIET_S:
        if len(found) != before:
            before, changed = len(found), time.monotonic()
        await asyncio.sleep(LOOK_S)
    seconds = time.process_time() - begin
    ticks = manager.memory_stats["ticks_processed"]  # it counts most of them twice
    assert ticks >= len(found), f"{ticks} ticks of {len(found)} quotes"
    assert found, "no quote reached its bars"
    await manager.cleanup()
    await client.disconnect()
    return seconds * job["count"] / len(found), found


def make(job: dict[str, Any]) -> dict[str, Measure]:
    def run() -> tuple[float, list[tuple[float, float]]]:
        return asyncio.run(receive(job))

    def common(found: list[tuple[float, float]]) -> Columns:
        table = np.rint(np.array(found).reshape(-1, 2) * 4).astype(np.int64)
        return {"bid": table[:, 0], "ask": table[:, 1]}

    return {"quotes": Measure(run, job["count"], common, own_clock=True)}


if __name__ == "__main__":
    serve(make)
