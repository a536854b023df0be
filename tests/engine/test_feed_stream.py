"""From the wire to the ring: every record once and in order, in whatever shape it comes; a slow reader is told."""

import random
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from feed_rig import ES, MNQ, RingFeed, feeding, quote, trade, until
from hub_openers import each_socket  # noqa: F401
from hub_peer import HubPeer, Link
from hub_rig import run
from tbot.gateway import signalr
from tbot_ext.records import TICK_DTYPE, Kind

COUNT = 6_000  # quotes and prints each


def stream(count: int = COUNT) -> list[bytes]:
    """A quote and a print of each number."""
    return [record for number in range(count) for record in (quote(number), trade(number))]


async def singly(link: Link, records: list[bytes], _rng: random.Random) -> None:
    for record in records:
        await link.send(record)


async def in_bursts(link: Link, records: list[bytes], _rng: random.Random) -> None:
    """A thousand at a time in one message."""
    for start in range(0, len(records), 1000):
        await link.send(b"".join(records[start : start + 1000]))


async def in_one_message(link: Link, records: list[bytes], _rng: random.Random) -> None:
    data = b"".join(records)
    assert len(data) > 1 << 20
    await link.send(data)


async def cut_anywhere(link: Link, records: list[bytes], rng: random.Random) -> None:
    """Message ends have nothing to do with record ends; text and binary take turns."""
    data, at = b"".join(records), 0
    while at < len(data):
        size = rng.choice([1, 7, 200, 5_000, 70_000])
        await (link.send if rng.random() < 0.5 else link.send_binary)(data[at : at + size])
        at += size


async def in_fragments(link: Link, records: list[bytes], rng: random.Random) -> None:
    for start in range(0, len(records), 600):
        data = b"".join(records[start : start + 600])
        cuts = sorted(rng.sample(range(1, len(data)), 5))
        await link.send_fragments([data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)])


async def among_junk(link: Link, records: list[bytes], rng: random.Random) -> None:
    """Pings, empty records, unknown events and types between them; nothing of it is held against the connection."""
    noise = [
        signalr.PING,
        b"\x1e",
        signalr.encode_invocation("GatewayNews", ["x"]),
        b'{"type":42}\x1e',
        signalr.encode_completion("9999"),
    ]
    data = b"".join(record + rng.choice(noise) for record in records)
    for at in range(0, len(data), 30_000):
        await link.send(data[at : at + 30_000])


SHAPES: list[Callable[[Link, list[bytes], random.Random], Awaitable[None]]] = [
    singly,
    in_bursts,
    in_one_message,
    cut_anywhere,
    in_fragments,
    among_junk,
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_F_NET_05_every_record_is_in_the_ring_once_and_in_order(shape) -> None:
    async def scenario(peer: HubPeer) -> None:
        async with feeding(RingFeed(peer.url)) as feed:
            link = await peer.link()
            await link.open(2)
            await shape(link, stream(), random.Random(1))
            await until(lambda: feed.contracts[1].writer.written >= 2 * COUNT, "all records in the ring")
            records = feed.records()
            numbers = np.where(records["kind"] == Kind.TRADE, records["size"] - 1, records["volume"])
            assert numbers.tolist() == [number for number in range(COUNT) for _ in range(2)]
            assert records["kind"].tolist() == [Kind.QUOTE, Kind.TRADE] * COUNT
            assert np.all(np.diff(records["exch_ns"]) >= 0)
            assert feed.decoder.counts["items"] == feed.decoder.counts["accepted"] == 2 * COUNT
            assert feed.downs == []

    run(scenario)


def test_contracts_do_not_disturb_each_other() -> None:
    async def scenario(peer: HubPeer) -> None:
        async with feeding(RingFeed(peer.url, (MNQ, ES))) as feed:
            link = await peer.link()
            await link.open(4)
            data = [record for n in range(2_000) for record in (trade(n), trade(n, ES), quote(n, ES))]
            await in_bursts(link, data, random.Random(0))
            await until(lambda: feed.contracts[4].writer.written >= 4_000, "all of the second contract")
            assert feed.trades(MNQ) == feed.trades(ES) == feed.quotes(ES) == list(range(2_000))

    run(scenario)


def test_F_DAT_04_a_slow_reader_is_lapped_and_told_how_much() -> None:
    async def scenario(peer: HubPeer) -> None:
        async with feeding(RingFeed(peer.url, capacity=1 << 10)) as feed:
            reader = feed.reader(slot=1)
            link = await peer.link()
            await link.open(2)
            await in_bursts(link, stream(3_000), random.Random(0))
            await until(lambda: feed.contracts[1].writer.written >= 6_000, "all records written")
            out, seen = np.zeros(1 << 12, TICK_DTYPE), []
            while count := reader.read(out):
                seen += out["seq"][:count].tolist()
            assert reader.lost + len(seen) == 6_000
            assert reader.lost >= 6_000 - (1 << 10)
            assert seen == list(range(2 * reader.lost + 2, 2 * 6_000 + 1, 2))  # what it got is the newest, in order
            reader.close()

    run(scenario)


def test_F_NET_01_a_reset_costs_a_gap_mark_and_nothing_else() -> None:
    async def scenario(peer: HubPeer) -> None:
        async with feeding(RingFeed(peer.url)) as feed:
            for part in range(3):
                link = await peer.link()
                await link.open(2)
                for number in range(part * 100, part * 100 + 100):
                    await link.send(trade(number) + quote(number))
                await until(lambda part=part: feed.trades()[-1:] == [part * 100 + 99], f"part {part}")
                link.drop()
            await until(lambda: len(feed.downs) == 3, "three losses")
            records = feed.records()
            assert feed.trades() == feed.quotes() == list(range(300))
            gaps = np.flatnonzero(records["kind"] == Kind.GAP).tolist()
            assert gaps == [200, 401, 602]
            assert records["epoch"][[199, 201, 402]].tolist() == [1, 2, 3]

    run(scenario)


def test_F_NET_01_data_before_the_last_subscription_and_then_a_loss_is_a_gap_too() -> None:
    """The connection never counted as connected, but its prints stand in the ring: what follows must not touch them."""

    async def scenario(peer: HubPeer) -> None:
        async with feeding(RingFeed(peer.url)) as feed:
            link = await peer.link()
            await link.handshake()
            await link.subscriptions(1)
            await link.read()  # the second subscription, which is never answered
            await link.send(trade(1) + trade(2))
            await until(lambda: feed.trades() == [1, 2], "early prints")
            link.drop()
            await until(lambda: feed.downs, "the loss")
            assert not feed.downs[0].was_connected
            link = await peer.link()
            await link.open(2)
            await link.send(trade(9))
            await until(lambda: feed.trades() == [1, 2, 9], "the next print")
            assert feed.records()["kind"].tolist() == [Kind.TRADE, Kind.TRADE, Kind.GAP, Kind.TRADE]

    run(scenario)


def test_a_failed_attempt_without_data_marks_nothing() -> None:
    async def scenario(peer: HubPeer) -> None:
        peer.refusals = [(503, {"Retry-After": "0"})] * 3
        async with feeding(RingFeed(peer.url)) as feed:
            link = await peer.link()
            await link.open(2)
            await link.send(trade(1))
            await until(lambda: feed.trades() == [1], "a print")
            assert len(feed.downs) == 3
            assert feed.records()["kind"].tolist() == [Kind.TRADE]

    run(scenario)


def test_F_NET_06_prints_that_come_again_after_a_reconnection_are_dropped_and_counted() -> None:
    """The gateway repeats; within one connection exact repeats are prints of their own."""

    async def scenario(peer: HubPeer) -> None:
        async with feeding(RingFeed(peer.url)) as feed:
            link = await peer.link()
            await link.open(2)
            await link.send(b"".join(trade(number) for number in (0, 1, 2, 2, 2)))
            await until(lambda: len(feed.trades()) == 5, "the first part")
            link.drop()
            link = await peer.link()
            await link.open(2)
            await link.send(b"".join(trade(number) for number in (1, 2, 3, 4)))
            await until(lambda: feed.trades()[-1] == 4, "the second part")
            assert feed.trades() == [0, 1, 2, 2, 2, 3, 4]
            assert feed.decoder.counts["replayed"] == feed.decoder.counts["dropped"] == 2

    run(scenario)


def test_F_NET_06_sparse_quotes_are_merged_and_unknown_after_a_gap() -> None:
    def sparse(number: int, **members: float) -> bytes:
        data = {"lastUpdated": f"2026-11-20T15:00:00.{number:07d}Z", **members}
        return signalr.encode_invocation("GatewayQuote", [MNQ, data])

    async def scenario(peer: HubPeer) -> None:
        async with feeding(RingFeed(peer.url)) as feed:
            link = await peer.link()
            await link.open(2)
            await link.send(sparse(1, bestBid=25_000.0, bestAsk=25_000.5) + sparse(2, bestAsk=25_001.0))
            await until(lambda: feed.contracts[1].writer.written == 2, "both quotes")
            link.drop()
            link = await peer.link()
            await link.open(2)
            await link.send(sparse(3, bestBid=25_000.25))
            await until(lambda: feed.contracts[1].writer.written == 4, "gap and quote")
            records = feed.records()
            unknown = -(2**63)
            assert records["price"].tolist() == [100_000, 100_000, 0, 100_001]
            assert records["price2"].tolist() == [100_002, 100_004, 0, unknown]  # never 0, never the old one

    run(scenario)
