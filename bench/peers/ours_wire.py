"""Ours: the feed's way from the wire to the ring (hub, codec, contract, ring), as tests/support/feed_rig.py joins it.

CPU seconds of the process from before the first quote (connected, the server still silent) until the last one is in
the ring; looking for it every 10 ms is in them.
"""

import asyncio
import time
from typing import Any

import numpy as np
from protocol import Columns, Measure, serve

from feed_rig import MNQ, RingFeed, feeding, until
from tbot_ext.records import Kind


async def receive(url: str, count: int) -> tuple[float, np.ndarray]:
    """(CPU seconds, what is in the ring) of one connection."""
    feed = RingFeed(url)
    writer = next(iter(feed.contracts.values())).writer
    async with feeding(feed):
        await until(lambda: feed.connects, "connected")
        begin = time.process_time()
        await until(lambda: writer.written >= count, f"{count} quotes in the ring", 300)
        seconds = time.process_time() - begin
        return seconds, feed.records()


def common(records: np.ndarray) -> Columns:
    """Quotes of the ring, in ticks."""
    quotes = records[records["kind"] == Kind.QUOTE]
    return {"bid": quotes["price"].astype(np.int64), "ask": quotes["price2"].astype(np.int64)}


def make(job: dict[str, Any]) -> dict[str, Measure]:
    assert job["contract"] == MNQ
    run = lambda: asyncio.run(receive(job["url"], job["count"]))  # noqa: E731
    return {"quotes": Measure(run, job["count"], common, own_clock=True)}


if __name__ == "__main__":
    serve(make)
