r"""How much processor does a quote cost from the socket to the ring, and is one lost at saturation?

Budget: at least 50 000 quotes/s on one core and no loss; at least 4 times pysignalr's messages per CPU-second with the
extra `fast`, 1.5 times without (design, section 6; `bench/peers` measures pysignalr over the same kind of frames).
The way is the feed's: hub, scanner, contract, ring; a server in another process sends as fast as it is read. Every
record must be in its ring afterwards, once and in order. "general" leaves the scanner out.
Run: python -m pytest -s --benchmark-timer=time.process_time \
    -o python_files='bench_*.py' -o python_functions='bench_*' bench/bench_wire.py
Reference machine: 2 virtual cores of a shared x86-64 server, CPU time of the receiving process alone.
"""

import asyncio
from typing import Any

import numpy as np
import pytest
from frame_server import FrameServer, Shape

from feed_rig import ES, MNQ, RingFeed, feeding, until
from hub_openers import OPENERS
from tbot_ext.records import Kind

RECORDS = 120_000
CAPACITY = 1 << 18
PATIENCE_S = 120.0


async def receive(url: str, socket: str, scanner: bool, expected: int) -> RingFeed:
    """One connection, until everything that the server sends is in the rings."""
    options: dict[str, Any] = {"opener": OPENERS[socket]} | ({} if scanner else {"on_bulk": None})
    feed = RingFeed(url, (MNQ, ES), CAPACITY, **options)
    async with feeding(feed):
        writers = [contract.writer for contract in feed.contracts.values()]
        await until(lambda: sum(writer.written for writer in writers) >= expected, "all in the rings", PATIENCE_S)
        feed.kept = {name: feed.records(name) for name in (MNQ, ES)}
    return feed


def check(feed: RingFeed, shape: Shape) -> None:
    """Nothing lost, doubled, dropped or out of order."""
    assert not feed.decoder.counts["dropped"], feed.decoder.counts
    assert not feed.downs
    numbers = np.arange(RECORDS)
    for which, name in enumerate((MNQ, ES)):
        kept = feed.kept[name]
        volumes = kept["volume"][kept["kind"] == Kind.QUOTE]
        mine = numbers if shape != "mixed" and which == 0 else numbers[numbers % 2 == which] if shape == "mixed" else []
        quotes = [number for number in mine if shape != "mixed" or number % 3 != 2]
        assert volumes.tolist() == list(quotes)
        assert int((kept["kind"] == Kind.TRADE).sum()) == 2 * (len(mine) - len(quotes))


@pytest.mark.parametrize("way", ["scanner", "general"])
@pytest.mark.parametrize("socket", list(OPENERS))
@pytest.mark.parametrize("shape", ["single", "batched", "mixed"])
def bench_wire_to_ring(benchmark: Any, shape: Shape, socket: str, way: str) -> None:
    expected = RECORDS + (RECORDS // 3 if shape == "mixed" else 0)
    with FrameServer(shape, RECORDS, subscriptions=4) as server:
        run = lambda: asyncio.run(receive(server.url, socket, way == "scanner", expected))  # noqa: E731
        check(run(), shape)
        benchmark.pedantic(run, rounds=3)
    least = benchmark.stats.stats.median
    benchmark.extra_info["us_per_record"] = round(least / RECORDS * 1e6, 2)
    print(f"\n{benchmark.name}: {least / RECORDS * 1e6:.2f} us a record, {RECORDS / least:,.0f} records per CPU-second")
