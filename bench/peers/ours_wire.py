"""Ours: the feed's way from the wire to the ring (hub, codec, contract, ring), as tests/support/feed_rig.py joins it.

Once with the WebSocket of the core install, once with that of the extra `fast`, each by its name and never by what is
installed: `quotes` and `quotes-fast`; `quotes-fast` is missing where the extra is.

CPU seconds of the process from before the first quote (connected, the server still silent) until the last one is in
the ring; looking for it every 10 ms is in them.
"""

import asyncio
import importlib.util
import time
from typing import Any

import numpy as np
from protocol import Columns, Measure, serve

from feed_rig import MNQ, RingFeed, feeding, until
from tbot.gateway.hub_sockets import FAST_PACKAGE, Opener, open_picows, open_websockets
from tbot_ext.records import Kind


async def receive(url: str, count: int, opener: Opener) -> tuple[float, np.ndarray]:
    """(CPU seconds, what is in the ring) of one connection."""
    feed = RingFeed(url, opener=opener)
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

    def measure(opener: Opener) -> Measure:
        return Measure(
            lambda: asyncio.run(receive(job["url"], job["count"], opener)), job["count"], common, own_clock=True
        )

    fast = {"quotes-fast": measure(open_picows)} if importlib.util.find_spec(FAST_PACKAGE) else {}
    return {"quotes": measure(open_websockets), **fast}


if __name__ == "__main__":
    serve(make)
