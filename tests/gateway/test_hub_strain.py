"""The hub loop under strain: slow and broken handlers, calls at once, huge messages, endless kinds of endings."""

import asyncio
import json
from dataclasses import replace

import pytest

from hub_openers import each_socket  # noqa: F401
from hub_peer import HubPeer
from hub_rig import FAST, SUBSCRIPTIONS, Rig, opened, run, running
from tbot.gateway import hub as module
from tbot.gateway import hub_link, signalr
from tbot.gateway.hub import HubClient, HubDown
from tbot.gateway.signalr import Invocation

EVENT = signalr.encode_invocation("GatewayQuote", ["A", {"bestBid": 1.5}])


def test_a_slow_handler_is_counted_and_loses_nothing():
    async def scenario(peer: HubPeer) -> None:
        clock = [0]
        rig = Rig(peer.url, boot_clock=lambda: clock[0], timings=replace(FAST, silent_s=1e6))
        record = rig.hub._on_record

        def slow(event: Invocation, recv_ns: int) -> bool | None:
            clock[0] += 15_000_000  # each takes 15 ms
            return record(event, recv_ns)

        rig.hub._on_record = slow
        async with running(rig):
            link = await opened(peer, rig)
            for _ in range(3):  # one after the other: what arrives together is worked off together
                await link.send(EVENT * 4)
                for _ in range(4):
                    await rig.arrived.get()
            await link.send(signalr.encode_invocation("Ask", [], "1"))  # answered: all before it was handled
            await link.read()
            assert 3 <= rig.hub.counts["slow_batches"] <= 4
            assert rig.hub.connected

    run(scenario)


def test_pings_and_watchdog_get_their_turn_within_a_huge_message(monkeypatch):
    """However many records one message holds, the loop is given back in between."""
    turns = []

    async def scenario(peer: HubPeer) -> None:
        async with running(Rig(peer.url)) as rig:
            link = await opened(peer, rig)

            async def others() -> None:
                while True:
                    turns.append(len(rig.records))
                    await asyncio.sleep(0)

            other = asyncio.create_task(others())
            await link.send(EVENT * 5_000)
            while len(rig.records) < 5_000:
                await asyncio.sleep(0.001)
            other.cancel()
            within = {count for count in turns if 0 < count < 5_000}
            assert len(within) >= 5_000 // hub_link.YIELD_RECORDS - 1

    run(scenario)


@pytest.mark.parametrize("callback", ["on_connected", "on_down", "on_record"])
def test_an_exception_in_any_callback_is_counted_and_survived(callback):
    async def scenario(peer: HubPeer) -> None:
        def broken(*_arguments: object) -> None:
            raise RuntimeError("a bug of the owner")

        rig = Rig(peer.url)
        setattr(rig.hub, f"_{callback}", broken)
        async with running(rig):
            for _ in range(2):
                link = await peer.link()
                await link.open(len(SUBSCRIPTIONS))
                await link.send(EVENT + signalr.encode_invocation("Ask", [], "1"))
                await link.read()
                link.drop()
            assert rig.hub.counts["handler_errors"] >= 1
            await (await peer.link()).open(len(SUBSCRIPTIONS))

    run(scenario)


def test_F_NET_04_calls_at_the_same_time_do_not_mix_on_the_wire():
    """Fifty calls at once, pings between them: every frame is whole, every answer finds its call."""

    async def scenario(peer: HubPeer) -> None:
        timings = replace(FAST, ping_s=0.001)
        async with running(Rig(peer.url, timings=timings)) as rig:
            link = await opened(peer, rig)
            calls = [asyncio.create_task(rig.hub.invoke(f"M{n}", ["x" * (n * 100)])) for n in range(50)]
            waiting = {}
            for _ in range(50):
                message = await link.read()
                assert isinstance(message, Invocation)
                waiting[message.target] = message.invocation_id
            for target in reversed(list(waiting)):  # answers in another order
                await link.send(signalr.encode_completion(waiting[target] or "", None, json.dumps(target).encode()))
            answers = await asyncio.gather(*calls)
            assert [answer.result for answer in answers] == [f'"M{n}"'.encode() for n in range(50)]
            assert rig.hub._pending == {}

    run(scenario)


def test_a_call_that_is_not_answered_is_forgotten():
    async def scenario(peer: HubPeer) -> None:
        async with running(Rig(peer.url)) as rig:
            link = await opened(peer, rig)
            rig.hub._timings = replace(FAST, invoke_s=0.05)
            with pytest.raises(TimeoutError):
                await rig.hub.invoke("Never", [])
            assert rig.hub._pending == {}
            message = await link.read()
            assert isinstance(message, Invocation)
            await link.send(signalr.encode_completion(message.invocation_id or ""))  # too late
            await link.send(EVENT)
            await rig.arrived.get()
            assert rig.hub.counts["unknown_completions"] == 1
            assert rig.hub.connected

    run(scenario)


def test_a_message_over_the_limit_is_told_apart(monkeypatch):
    monkeypatch.setattr(module, "MAX_MESSAGE", 100_000)

    async def scenario(peer: HubPeer) -> None:
        async with running(Rig(peer.url)) as rig:
            link = await opened(peer, rig)
            await link.send(signalr.encode_invocation("GatewayDepth", ["x" * 200_000]))
            down = await rig.down()
            assert down.reason == "closed 1009: a message was larger than 100000 bytes"
            await opened(peer, rig)

    run(scenario)


def test_F_NET_05_a_record_that_never_ends_is_bounded(monkeypatch):
    """Byte after byte without a separator: the carried tail has a limit, and then the connection is left."""

    async def scenario(peer: HubPeer) -> None:
        rig = Rig(peer.url)
        async with running(rig):
            link = await opened(peer, rig)
            rig.hub._protocol._max_record = 50_000
            for _ in range(6):
                await link.send(b"x" * 10_000)
            down = await rig.down()
            assert "larger than 50000 bytes" in down.reason
            await opened(peer, rig)

    run(scenario)


def test_kinds_of_endings_are_bounded_whatever_the_server_says():
    """A reason goes into the counters under its kind; a thousand made-up kinds do not fill memory."""
    downs: list[HubDown] = []

    async def token(refused: bool) -> str:
        return "t"

    client = HubClient(
        "ws://127.0.0.1:1/hubs/market",
        token=token,
        subscriptions=[],
        on_record=lambda event, recv_ns: True,
        on_down=downs.append,
        random=lambda: 0.0,
        timings=FAST,
    )

    async def main() -> None:
        for number in range(1000):
            await client._wait(module._Lost(f"closed {number}: canary"), False)

    asyncio.run(main())
    kinds = [name for name in client.counts if name.startswith("down: ")]
    assert len(kinds) <= module.MAX_REASONS + 1
    assert sum(client.counts[name] for name in kinds) == client.counts["downs"] == len(downs) == 1000


def test_F_NET_05_a_byte_at_a_time():
    async def scenario(peer: HubPeer) -> None:
        async with running(Rig(peer.url)) as rig:
            link = await opened(peer, rig)
            for byte in EVENT:
                await link.send(bytes([byte]))
            assert await rig.arrived.get() == "GatewayQuote"
            assert rig.hub.counts["bad"] == 0

    run(scenario)


def test_F_NET_04_409_and_404_with_an_id_negotiate_anew():
    """A negotiated id is for one connection: the next attempt asks for another one (see also the interop tests)."""
    from rude_http import RudeServer, answer

    rude = RudeServer()
    path = "/hubs/market/negotiate?negotiateVersion=1"
    rude.script[path] = [answer(200, signalr.encode_negotiation(1, "public", f"id{n}")) for n in range(3)]

    async def scenario(peer: HubPeer) -> None:
        async with running(Rig(rude.url + "/hubs/market", negotiate=True)) as rig:
            for _ in range(3):
                assert (await rig.down()).reason == "HTTP 404 on upgrade"
        used = [seen for seen in rude.paths() if "&id=" in seen]
        assert [seen.rpartition("=")[2] for seen in used[:3]] == ["id0", "id1", "id2"]

    try:
        run(scenario)
    finally:
        rude.close()


@pytest.mark.parametrize("status", [429, 503])
def test_F_NET_04_retry_after_is_honoured(status: int):
    async def scenario(peer: HubPeer) -> None:
        peer.refusals = [(status, {"Retry-After": "17"}), (status, {})]
        async with running(Rig(peer.url, timings=replace(FAST, goodbye_s=5.0))) as rig:
            assert (await rig.down()).delay_s == 17.0
        async with running(Rig(peer.url, timings=replace(FAST, goodbye_s=5.0))) as rig:
            assert (await rig.down()).delay_s == 5.0

    run(scenario)


def test_F_NET_04_retry_after_of_a_negotiation_is_honoured_too():
    from rude_http import RudeServer, answer

    rude = RudeServer()
    rude.script["/hubs/market/negotiate?negotiateVersion=1"] = [answer(503, Retry_After="21"), answer(429)]

    async def scenario(peer: HubPeer) -> None:
        for delay_s in (21.0, 5.0):
            rig = Rig(rude.url + "/hubs/market", negotiate=True, timings=replace(FAST, goodbye_s=5.0))
            async with running(rig):
                assert (await rig.down()).delay_s == delay_s

    try:
        run(scenario)
    finally:
        rude.close()


def test_what_came_is_counted_by_kind():
    async def scenario(peer: HubPeer) -> None:
        async with running(Rig(peer.url)) as rig:
            link = await opened(peer, rig)
            before = rig.hub.counts["bytes"]
            data = EVENT + b"junk\x1e" + b'{"type":42}\x1e' + signalr.encode_completion("77") + signalr.PING
            await link.send(data + signalr.encode_invocation("Ask", [], "1"))
            await link.read()
            counts = rig.hub.counts
            assert counts["bytes"] - before == len(data) + len(signalr.encode_invocation("Ask", [], "1"))
            assert (counts["records"], counts["malformed"], counts["bad"]) == (2, 1, 1)
            assert (counts["other_types"], counts["unknown_completions"]) == (1, 1)

    run(scenario)
