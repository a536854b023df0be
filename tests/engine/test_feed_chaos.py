"""Seeded trouble between a market and a ring: connections that come, go, overlap and lag.

Two rules must hold whatever happens: no print stands in the ring twice or out of order, and where one is missing there
is a gap mark. Prints are numbered, so both can be read off the ring.
"""

import asyncio
import contextlib
import random
from itertools import pairwise

import numpy as np
import pytest

from feed_rig import QUICK, RingFeed, feeding, quote, trade, until
from hub_peer import HubPeer, Link
from hub_rig import run
from sim_rig import running as simulator
from sim_rig import steady_market
from tbot.gateway import signalr
from tbot.gateway.signalr import Invocation
from tbot_ext.records import Kind


class Publisher:
    """A hub that sends the same numbered records to every subscribed connection, each a little behind the newest."""

    def __init__(self, peer: HubPeer, rng: random.Random) -> None:
        self._peer = peer
        self._rng = rng
        self.published: list[bytes] = []
        self.places: dict[Link, int] = {}  # next record of each subscribed connection
        self._tasks: set[asyncio.Task[None]] = set()
        self.flowing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.flowing.set_result(None)

    async def accept(self) -> None:
        while True:
            link = await self._peer.link()
            task = asyncio.create_task(self._serve(link))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, link: Link) -> None:
        with contextlib.suppress(Exception):
            await link.handshake()
            subscribed = 0
            while True:
                message = await link.read()
                assert isinstance(message, Invocation)
                await self._send(link, len(self.published))  # an answer does not overtake what was published before
                await link.send(signalr.encode_completion(message.invocation_id or ""))
                subscribed += message.target.startswith("Subscribe")
                if subscribed == 2:
                    self.places.setdefault(link, len(self.published))
        self.places.pop(link, None)

    def publish(self, count: int) -> None:
        for _ in range(count):
            number = len(self.published)
            self.published.append(quote(number) if number % 3 == 2 else trade(number))

    async def flow(self, *, all_of_it: bool = False) -> None:
        """Some of what is due on each connection."""
        for link, place in list(self.places.items()):
            due = len(self.published) - place
            with contextlib.suppress(Exception):
                await self._send(link, place + (due if all_of_it else self._rng.randint(0, due)))

    async def _send(self, link: Link, end: int) -> None:
        place = self.places.get(link, end)
        if end > place:
            self.places[link] = end
            await link.send(b"".join(self.published[place:end]))


def numbers(feed: RingFeed, kind: Kind) -> list[tuple[int, int]]:
    """(number, epoch) of the prints or quotes of the ring, in order; every gap mark begins an epoch."""
    records = feed.records()
    rows = records[records["kind"] == kind]
    found = rows["size"] - 1 if kind == Kind.TRADE else rows["volume"]
    return list(zip(found.tolist(), rows["epoch"].tolist(), strict=True))


def is_print(number: int) -> bool:
    return number % 3 != 2


def calm(feed: RingFeed, publisher: Publisher) -> bool:
    """Go on until what was published last is in the ring: the connection that delivers may have come a moment ago."""
    last = max((number for number in range(len(publisher.published)) if is_print(number)), default=-1)
    prints = numbers(feed, Kind.TRADE)
    if prints and prints[-1][0] == last:
        return True
    if not publisher.flowing.done():
        return False
    publisher.publish(3)
    publisher.flowing = asyncio.ensure_future(publisher.flow(all_of_it=True))
    return False


@pytest.mark.parametrize("seed", range(8))
def test_F_NET_06_nothing_twice_and_nothing_missing_without_a_mark(seed: int) -> None:
    rng = random.Random(seed)

    async def scenario(peer: HubPeer) -> None:
        publisher = Publisher(peer, rng)
        async with feeding(RingFeed(peer.url, timings=QUICK, quiet_s=0.02, look_s=0.005, patience_s=2.0)) as feed:
            accepting = asyncio.create_task(publisher.accept())
            await until(lambda: feed.hub.connected, "the first connection")
            for _ in range(120):
                publisher.publish(rng.choice([0, 1, 5, 40]))
                await publisher.flow()
                action = rng.random()
                links = list(publisher.places)
                if action < 0.06 and links:
                    publisher.places.pop(link := rng.choice(links))
                    link.drop()
                elif action < 0.09 and links:
                    publisher.places.pop(link := rng.choice(links))
                    with contextlib.suppress(Exception):
                        await link.send(signalr.encode_close(allow_reconnect=rng.random() < 0.5))
                elif action < 0.20:
                    feed.hub.renew()
                elif action < 0.22:
                    feed.hub.reconnect("the owner wants it")
                await asyncio.sleep(rng.choice([0, 0, 0.002, 0.01]))
            peer.refusals = []
            await until(lambda: feed.hub.connected and not feed.hub.changing and publisher.places, "peace")
            await until(lambda: calm(feed, publisher), "the last print")
            accepting.cancel()
            prints = numbers(feed, Kind.TRADE)
            for (before, epoch), (after, next_epoch) in pairwise(prints):
                assert after > before, "doubled or out of order"
                missing = [number for number in range(before + 1, after) if is_print(number)]
                assert not missing or next_epoch > epoch, "missing without a mark"
            for (before, epoch), (after, next_epoch) in pairwise(numbers(feed, Kind.QUOTE)):
                assert after > before or next_epoch > epoch, "a quote again"  # behind a gap it does no harm
            assert feed.decoder.counts["items"] == feed.decoder.counts["accepted"] + feed.decoder.counts["dropped"]

    run(scenario)


def test_F_API_01_changing_the_token_against_the_simulator_loses_and_doubles_nothing() -> None:
    """A witness stays on one connection; the other changes it again and again. Both must have the same prints."""

    async def scenario() -> None:
        with simulator(steady_market(120), speed=1.0) as server:

            async def token(refused: bool) -> str:
                return await asyncio.to_thread(server.login)

            url = f"{server.ws}/hubs/market"
            witness, changing = RingFeed(url), RingFeed(url, quiet_s=0.1, look_s=0.01)
            for feed in (witness, changing):
                feed.hub._token = feed.hub._active._token = token
                feed.decoder._max_past_ns = feed.decoder._max_future_ns = 10**18
            async with feeding(witness), feeding(changing):
                await until(lambda: witness.hub.connected and changing.hub.connected, "both connections")
                for number in range(1, 5):
                    await until(changing.hub.renew, "a change begins")
                    await until(lambda number=number: changing.hub.handovers == number, f"change {number}")
                count = changing.contracts[1].writer.written
                await until(lambda: changing.contracts[1].writer.written > count + 100, "more after the last change")
                first, second = prints(witness), prints(changing)
                assert changing.downs == []
            common = max(first[0], second[0]), min(first[-1], second[-1])  # they began and were read at other moments
            assert between(second, *common) == between(first, *common)
            assert len(between(second, *common)) > 20

    asyncio.run(scenario())


def prints(feed: RingFeed) -> list[tuple[int, int, int, int]]:
    records = feed.records()
    assert not np.any(records["kind"] == Kind.GAP)
    trades = records[records["kind"] == Kind.TRADE]
    return [(int(t["exch_ns"]), int(t["price"]), int(t["size"]), int(t["side"])) for t in trades]


def between(rows: list[tuple[int, int, int, int]], first: tuple, last: tuple) -> list[tuple[int, int, int, int]]:
    return [row for row in rows if first[0] <= row[0] <= last[0]]
