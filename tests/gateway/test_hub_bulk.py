"""Records in bulk over both WebSockets: order, what is left for one by one, failures, answers, openings, libraries."""

import asyncio
import contextlib
import importlib.util
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from websockets.utils import accept_key

from feed_rig import ES, MNQ, RingFeed, feeding, quote, trade, until
from hub_openers import each_socket, opener  # noqa: F401
from hub_rig import Rig, opened, run, running
from tbot.gateway import hub_sockets, signalr

BROKEN = b'{"type":1,"target":"GatewayTrade"\x1e'
ODD = b'{"arguments":["CON.F.US.MNQ.Z26",{"price":25000.0,"volume":%d,"timestamp":"2026-11-20T15:00:01Z"}],' + (
    b'"target":"GatewayTrade","type":1}\x1e'
)


def test_F_NET_05_bulk_and_single_records_keep_their_order_however_they_are_cut():
    stream = b"".join(quote(n) + trade(n) + trade(n, ES) + (ODD % (n + 1001)) for n in range(300))

    async def scenario(peer):
        for size in (len(stream), 7_001, 997):
            async with feeding(RingFeed(peer.url, (MNQ, ES))) as feed:
                link = await peer.link()
                await link.open(4)
                for at in range(0, len(stream), size):
                    await link.send(stream[at : at + size])
                await until(lambda feed=feed: len(feed.trades()) >= 600, "all of it")
                assert feed.quotes() == list(range(300))
                assert feed.trades() == [number for n in range(300) for number in (n, n + 1000)]
                assert feed.trades(ES) == list(range(300))
                assert feed.hub.counts["records"] == 1200
                assert feed.hub.counts["bad"] == 0

    run(scenario)


def test_F_DAT_01_malformed_records_between_bulk_are_counted_and_survived():
    async def scenario(peer):
        async with feeding(RingFeed(peer.url)) as feed:
            link = await peer.link()
            await link.open(2)
            await link.send(b"".join(trade(n) + (BROKEN if n % 10 == 0 else b"") for n in range(150)))
            await until(lambda: len(feed.trades()) >= 150, "all of it")
            assert feed.trades() == list(range(150))
            assert feed.hub.counts["malformed"] == feed.hub.counts["bad"] == 15
            assert feed.downs == []

    run(scenario)


def test_F_NET_01_a_failure_in_bulk_is_a_loss_with_a_mark():
    """How much of it was taken is not known: the connection is left, so that the owner marks a gap."""
    calls = []

    def broken(data: bytes, at: int, recv_ns: int) -> tuple[int, int]:
        if b"GatewayTrade" not in data:
            return at, 0
        calls.append(at)
        if len(calls) == 1:
            raise RuntimeError("a bug of the owner")
        return at, 0

    async def scenario(peer):
        rig = Rig(peer.url, on_bulk=broken)
        async with running(rig):
            link = await opened(peer, rig)
            await link.send(trade(1))
            down = await rig.down()
            assert down.reason == "handler failed: RuntimeError"
            assert down.was_connected
            assert rig.hub.counts["handler_errors"] == 1
            link = await opened(peer, rig)
            await link.send(trade(1))
            assert await rig.arrived.get() == "GatewayTrade"

    run(scenario)


def test_F_NET_04_a_thousand_questions_are_answered_between_the_records():
    async def scenario(peer):
        async with feeding(RingFeed(peer.url)) as feed:
            link = await peer.link()
            await link.open(2)
            ask = [signalr.encode_invocation("Ask", [], str(n)) for n in range(1000)]
            await link.send(b"".join(trade(n) + ask[n] for n in range(1000)))
            answered = [await link.read() for _ in range(1000)]
            assert [answer.invocation_id for answer in answered] == [str(n) for n in range(1000)]
            assert feed.trades() == list(range(1000))

    run(scenario)


def test_F_NET_05_what_comes_after_the_end_of_a_connection_is_not_processed():
    async def scenario(peer):
        async with feeding(RingFeed(peer.url)) as feed:
            link = await peer.link()
            await link.open(2)
            await link.send(trade(1) + signalr.encode_close("bye", allow_reconnect=True) + trade(2))
            link.done.set()
            link = await peer.link()
            await link.open(2)
            await link.send(trade(3))
            await until(lambda: 3 in feed.trades(), "the next connection")
            assert feed.trades() == [1, 3]
            assert len(feed.downs) == 1

    run(scenario)


def test_the_socket_is_the_chosen_one(each_socket):  # noqa: F811
    async def scenario(peer):
        rig = Rig(peer.url)
        async with running(rig):
            await opened(peer, rig)
            kind = {"websockets": "_WebSocketsSocket", "picows": "_PicowsSocket"}[each_socket]
            assert type(rig.hub._link.socket).__name__ == kind

    run(scenario)


def test_the_extra_is_used_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "picows" else None)
    assert hub_sockets.fastest() is hub_sockets.open_picows
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert hub_sockets.fastest() is hub_sockets.open_websockets


def upgrade(request: bytes) -> bytes:
    """The answer that opens a WebSocket."""
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)[1].decode()
    lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
    return "".join(f"{line}\r\n" for line in (*lines, f"Sec-WebSocket-Accept: {accept_key(key)}", "")).encode()


def test_what_a_peer_does_not_read_waits_with_the_sender_not_in_memory():
    """The peer shares the loop: it reads only when the sender waits for it."""

    async def scenario():
        came, all_of_it = [0], asyncio.Event()

        async def serve(reader, writer):
            writer.write(upgrade(await reader.readuntil(b"\r\n\r\n")))
            while data := await reader.read(1 << 16):
                came[0] += len(data)
                if came[0] > 400 << 16:
                    all_of_it.set()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/hub"
        sink = SimpleNamespace(on_data=lambda data, messages: None, on_closed=lambda reason: None)
        socket = await opener()(url, sink, 1.0, 1 << 20)
        message, sent = b"x" * (1 << 16), 0
        for _ in range(400):
            await socket.send(message)
            sent += len(message)
            assert sent - came[0] < 16 << 20  # what the kernel holds is in it
        async with asyncio.timeout(60):
            await all_of_it.wait()
        socket.abort()
        server.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("answers", [False, True])
def test_F_NET_04_an_opening_that_was_given_up_leaves_no_connection(monkeypatch, answers):
    """Neither one that waits for ever nor a second session when the server answers late."""
    monkeypatch.setattr(hub_sockets, "LEFT_S", 60.0 if answers else 2.0)

    async def scenario():
        asked, given_up, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def serve(reader, writer):
            request = await reader.readuntil(b"\r\n\r\n")
            asked.set()
            if answers:
                await given_up.wait()
                writer.write(upgrade(request))
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            ended.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/hub"
        sink = SimpleNamespace(on_data=lambda data, messages: None, on_closed=lambda reason: None)
        opening = asyncio.create_task(opener()(url, sink, 1.0, 1 << 20))
        async with asyncio.timeout(60):
            await asked.wait()
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            given_up.set()
            await ended.wait()
        server.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("module", ["tbot.gateway.market_hub", "tbot.engine.feed"])
def test_no_import_loads_the_extra(module):
    code = f"import sys, {module}; sys.exit('picows' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
