"""The feed's way from the wire to the ring against a SignalR server that is not ours: aiosignalr's.

What both sides of our own protocol code could get wrong in the same way shows here. The library sends binary frames
only, one record in each; cuts, joins, resets and spoiled records are made below it.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feed_rig import MNQ, QUICK, RingFeed, feeding, until
from interop_env import python_env
from tbot.domain.timeframes import NS_PER_S
from tbot.gateway.hub import HubTimings
from tbot_ext.records import Kind

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]
SERVER = Path(__file__).with_name("server_aiosignalr.py")
NEVER_S = 600  # pings of the server


class Server:
    """The server's process: `tell` a command, `heard` what it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.heard: list[dict[str, Any]] = []
        self._said = asyncio.Event()
        self.url = ""

    async def listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.heard.append(json.loads(line))
            self._said.set()

    async def tell(self, **command: Any) -> int:
        """Carry out a command; returns on how many subscribed connections."""
        before = sum(item["event"] == "done" for item in self.heard)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await until(lambda: sum(item["event"] == "done" for item in self.heard) > before, f"answer to {command}")
        return int([item for item in self.heard if item["event"] == "done"][-1]["connections"])

    def count(self, event: str) -> int:
        return sum(item["event"] == event for item in self.heard)


@contextlib.asynccontextmanager
async def server(pings_s: float = NEVER_S) -> AsyncIterator[Server]:
    python = await asyncio.to_thread(python_env, "aiosignalr==0.1.1")
    process = await asyncio.create_subprocess_exec(
        str(python), str(SERVER), str(pings_s), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    peer = Server(process)
    listener = asyncio.create_task(peer.listen())
    try:
        ready = await until(lambda: [item for item in peer.heard if item["event"] == "ready"], "the server is up")
        peer.url = f"ws://127.0.0.1:{ready[0]['port']}/hubs/market"
        yield peer
    finally:
        process.kill()
        await process.wait()
        await listener


async def subscribed(feed: RingFeed, peer: Server, times: int = 1) -> None:
    await until(lambda: feed.connects >= times and feed.hub.connected, f"connection {times}")
    await until(lambda: peer.count("subscribed") >= 2 * times, "both subscriptions at the server")


def numbers(feed: RingFeed) -> list[int]:
    """The numbers that the server wrote, in the order of the ring."""
    records = feed.records()
    data = records[records["kind"] != Kind.GAP]
    return np.where(data["kind"] == Kind.TRADE, data["size"] - 1, data["volume"]).tolist()


def gaps(feed: RingFeed) -> int:
    return int(np.count_nonzero(feed.records()["kind"] == Kind.GAP))


def run(scenario: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(200):
            await scenario()

    asyncio.run(main())


def test_the_librarys_own_frames() -> None:
    async def scenario() -> None:
        async with server() as peer, feeding(RingFeed(peer.url)) as feed:
            await subscribed(feed, peer)
            assert [item["token"] for item in peer.heard if item["event"] == "connected"] == ["canary-token"]
            assert await peer.tell(do="events", start=0, count=3000) == 1
            await until(lambda: len(numbers(feed)) >= 3000, "all records")
            assert numbers(feed) == list(range(3000))
            assert feed.decoder.counts["dropped"] == feed.hub.counts["bad"] == 0
            assert feed.hub.counts["messages"] >= 3000  # binary, one record each

    run(scenario)


@pytest.mark.parametrize("negotiate", [False, True])
def test_with_and_without_negotiation(negotiate: bool) -> None:
    async def scenario() -> None:
        async with server() as peer, feeding(RingFeed(peer.url, negotiate=negotiate)) as feed:
            for part in range(3):  # each connection negotiates anew
                await subscribed(feed, peer, part + 1)
                await peer.tell(do="events", start=part * 50, count=50)
                await until(lambda part=part: len(numbers(feed)) == 50 * (part + 1), f"part {part}")
                await peer.tell(do="reset")
                await until(lambda part=part: len(feed.downs) == part + 1, "the loss")
            assert numbers(feed) == list(range(150))

    run(scenario)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [([1, 50, 3], False), ([2_000_000], False), ([100, 70_000, 9], True), ([33], False)],
    ids=["split small", "one message above a megabyte", "text and binary by turns", "split always"],
)
def test_cuts_and_joins(sizes: list[int], text: bool) -> None:
    async def scenario() -> None:
        async with server() as peer, feeding(RingFeed(peer.url)) as feed:
            await subscribed(feed, peer)
            count = 9_500 if sizes == [2_000_000] else 1_500
            await peer.tell(do="raw", start=0, count=count, sizes=sizes, text=text)
            await until(lambda: len(numbers(feed)) >= count, "all records", 60)
            assert numbers(feed) == list(range(count))
            assert feed.downs == []

    run(scenario)


def test_a_reset_loses_and_doubles_nothing_of_what_was_sent_to_a_subscriber() -> None:
    async def scenario() -> None:
        # Full jitter at its worst: the first wait is half a second, and the first attempt must do.
        async with server() as peer, feeding(RingFeed(peer.url, random=lambda: 1.0)) as feed:
            for part in range(5):
                await subscribed(feed, peer, part + 1)
                await peer.tell(do="raw", start=part * 200, count=200, sizes=[40, 900])
                await until(lambda part=part: len(numbers(feed)) == 200 * (part + 1), f"part {part}")
                if part < 4:
                    await peer.tell(do="reset")
                    await until(lambda part=part: len(feed.downs) == part + 1, "the loss")
            assert numbers(feed) == list(range(1000))
            assert gaps(feed) == 4
            assert feed.connects == 5
            # Reconnected in less than 2 s: one attempt each, after waits of 0.5 s x 2^n of which the first is due.
            assert [down.was_connected for down in feed.downs] == [True] * 4
            assert feed.downs[0].delay_s == 0.5

    run(scenario)


@pytest.mark.parametrize("allow", [True, False])
def test_a_close_record_leads_to_a_new_connection(allow: bool) -> None:
    async def scenario() -> None:
        async with server() as peer, feeding(RingFeed(peer.url)) as feed:
            await subscribed(feed, peer)
            await peer.tell(do="events", start=0, count=10)
            await peer.tell(do="close", allow=allow)
            await until(lambda: feed.downs, "the farewell")
            assert feed.downs[0].reason == "server said goodbye: going down"
            assert feed.downs[0].goodbyes == (0 if allow else 1)
            await subscribed(feed, peer, 2)
            await peer.tell(do="events", start=10, count=10)
            await until(lambda: len(numbers(feed)) == 20, "both parts")
            assert numbers(feed) == list(range(20))

    run(scenario)


def test_spoiled_records_cost_themselves_only() -> None:
    junk = '{"type":1,"target":"GatewayTrade","arguments":"none"}'

    async def scenario() -> None:
        async with server() as peer, feeding(RingFeed(peer.url)) as feed:
            await subscribed(feed, peer)
            await peer.tell(do="raw", start=0, count=190, sizes=[64], junk=junk)
            await until(lambda: len(numbers(feed)) == 190, "all records")
            assert feed.hub.counts["bad"] == 19
            assert feed.downs == []
            await peer.tell(do="raw", start=190, count=40, sizes=[5000], junk=junk)  # the 21st bad one in 10 s
            await until(lambda: feed.downs, "the connection is given up")
            assert feed.downs[0].reason == "too many bad records"
            await subscribed(feed, peer, 2)
            assert numbers(feed) == sorted(set(numbers(feed)))

    run(scenario)


def test_a_question_of_the_server_is_answered_and_disturbs_nothing() -> None:
    async def scenario() -> None:
        async with server() as peer, feeding(RingFeed(peer.url)) as feed:
            await subscribed(feed, peer)
            await peer.tell(do="ask")
            await peer.tell(do="events", start=0, count=50)
            await until(lambda: len(numbers(feed)) == 50, "all records")
            assert feed.downs == []

    run(scenario)


def test_a_server_that_never_pings_is_left_and_found_again() -> None:
    async def scenario() -> None:
        timings = HubTimings(silent_s=0.6, ping_s=0.2, close_s=0.2, goodbye_s=0.01)
        async with server() as peer, feeding(RingFeed(peer.url, timings=timings)) as feed:
            await subscribed(feed, peer)
            await until(lambda: feed.downs, "silence is noticed")
            assert feed.downs[0].reason == "silent for 0.6 s"
            await until(lambda: feed.connects >= 2, "another connection")

    run(scenario)


def test_pings_of_the_library_keep_a_quiet_connection() -> None:
    """Our limit is three seconds, and our clock moves only by two with each thing received: no stall can reach it."""
    clock = [time.time_ns()]

    async def scenario() -> None:
        timings = HubTimings(silent_s=3.0, ping_s=0.5, close_s=0.2)
        options: dict[str, Any] = {"timings": timings, "boot_clock": lambda: clock[0]}
        async with server(pings_s=1) as peer, feeding(RingFeed(peer.url, **options)) as feed:
            await subscribed(feed, peer)
            for _ in range(5):
                heard = feed.hub.counts["messages"]
                clock[0] += 2 * NS_PER_S
                await until(lambda heard=heard: feed.hub.counts["messages"] > heard or feed.downs, "a ping")
            assert feed.downs == []

    run(scenario)


def test_the_change_of_tokens_works_there_too() -> None:
    """Two connections of one client at a server that knows nothing of the trick."""

    async def scenario() -> None:
        async with server() as peer, feeding(RingFeed(peer.url, timings=QUICK, quiet_s=0.2)) as feed:
            await subscribed(feed, peer)
            await peer.tell(do="events", start=0, count=500)
            assert feed.hub.renew()
            at = 500
            while feed.hub.changing:  # the server sends to both connections while both are there
                await peer.tell(do="events", start=at, count=20)
                at += 20
            await peer.tell(do="events", start=at, count=100)
            await until(lambda: numbers(feed)[-1:] == [at + 99], "the last record")
            assert numbers(feed) == list(range(at + 100))
            assert feed.downs == []
            assert gaps(feed) == 0
            assert feed.hub.handovers == 1
            await until(lambda: peer.count("disconnected") == 1, "the old connection is closed")

    run(scenario)


def test_resubscribing_one_contract() -> None:
    async def scenario() -> None:
        async with server() as peer, feeding(RingFeed(peer.url)) as feed:
            await subscribed(feed, peer)
            assert await feed.hub.resubscribe(MNQ)
            await peer.tell(do="events", start=0, count=20)
            await until(lambda: len(numbers(feed)) == 20, "all records")
            assert peer.count("subscribed") == 4  # said before the answer to `tell`, so heard by now
            assert feed.connects == 1

    run(scenario)
