"""The hub loop against a server in hand: splits, losses, silence, refusals; it comes back every time."""

import asyncio
import itertools
import logging
from dataclasses import replace

import pytest

from hub_openers import each_socket  # noqa: F401
from hub_peer import Link
from hub_rig import FAST, Rig, opened, run, running
from rude_http import RudeServer, answer
from tbot.errors import ConfigError
from tbot.gateway import signalr

EVENT = signalr.encode_invocation("GatewayQuote", ["A", {"bestBid": 1.5, "note": "ä€"}])
CLOSE_FINAL = signalr.encode_close("bye")
CLOSE_AGAIN = signalr.encode_close("bye", allow_reconnect=True)


# --------------------------------------------------------------------------------------------------------- a good life
def test_handshake_ping_at_once_subscriptions_one_by_one_then_connected():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            link = await peer.link()
            await link.handshake()
            first = await link.read()
            assert (first.target, first.arguments, first.invocation_id) == ("SubscribeContractQuotes", b'["A"]', "0")
            assert link.pings == 1
            assert not rig.hub.connected
            await link.send(EVENT)  # events may come before the completion that they belong to
            assert await rig.arrived.get() == "GatewayQuote"
            assert rig.news.empty()
            await link.send(signalr.encode_completion("0"))
            assert await link.subscriptions(1) == [("SubscribeContractTrades", b'["A"]')]
            await rig.connected()
            assert rig.hub.connected
            assert rig.hub.counts["connects"] == 1
            assert peer.upgrades == ["/hubs/market?access_token=canary-token-1"]
        assert not rig.hub.connected

    run(scenario)


def test_F_NET_04_data_glued_to_the_handshake_answer_is_processed():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            link = await peer.link()
            await link.handshake(glued=EVENT + EVENT)
            for _ in range(2):
                assert await rig.arrived.get() == "GatewayQuote"

    run(scenario)


def test_F_NET_05_splits_coalescing_binary_frames_and_fragments():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            link = await opened(peer, rig)
            cut = EVENT.index("ä".encode())
            await link.send(EVENT[:cut])
            await link.send(EVENT[cut:] + EVENT + signalr.PING + b"\x1e" + EVENT[:10])
            await link.send_binary(EVENT[10:] + EVENT[: cut + 1])  # even inside a character
            await link.send_binary(EVENT[cut + 1 :])
            await link.send_fragments([EVENT[:20], EVENT[20:], EVENT])
            for _ in range(6):
                assert await rig.arrived.get() == "GatewayQuote"
            assert {record.arguments for record in rig.records} == {EVENT[EVENT.index(b"[") : EVENT.rindex(b"]") + 1]}
            assert rig.hub.counts["bad"] == 0

    run(scenario)


def test_a_message_of_two_megabytes_is_taken():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            link = await opened(peer, rig)
            await link.send(signalr.encode_invocation("GatewayDepth", ["A", "x" * 2_000_000]))
            assert await rig.arrived.get() == "GatewayDepth"

    run(scenario)


def test_an_invocation_that_wants_a_result_is_answered():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            link = await opened(peer, rig)
            await link.send(signalr.encode_invocation("Ask", [], "77"))
            assert await link.read() == signalr.Completion("77", "Client didn't provide a result.")

    run(scenario)


def test_invoke_from_outside():
    async def scenario(peer):
        rig = Rig(peer.url)
        with pytest.raises(ConnectionError):
            await rig.hub.invoke("X", [])
        async with running(rig):
            link = await opened(peer, rig)
            call = asyncio.create_task(rig.hub.invoke("X", [5]))
            await link.send(signalr.encode_completion("999"))  # nobody asked
            assert await link.subscriptions(1, error="no") == [("X", b"[5]")]
            assert (await call).error == "no"
            assert rig.hub.counts["unknown_completions"] == 1
            call = asyncio.create_task(rig.hub.invoke("Y", []))
            await link.read()
            link.drop()
            with pytest.raises(ConnectionError):
                await call

    run(scenario)


# ------------------------------------------------------------------------------------------------------------- losses
async def record_close(link: Link) -> None:
    await link.send(CLOSE_AGAIN)


ENDINGS = {
    "reset": lambda link: asyncio.sleep(0, link.drop()),
    "closed 1000": lambda link: link.close(1000),
    "closed 1001": lambda link: link.close(1001),
    "closed 1008": lambda link: link.close(1008),
    "closed 1011": lambda link: link.close(1011),
    "server said goodbye": record_close,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_F_NET_01_every_ending_leads_to_a_new_connection_with_everything_subscribed(ending):
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            for number in range(3):
                link = await opened(peer, rig)
                await ENDINGS[ending](link)
                down = await rig.down()
                assert down.was_connected
                assert down.reason.startswith("closed 1006" if ending == "reset" else ending)
                assert len(rig.tokens) == number + 1
            assert [path.partition("=")[2] for path in peer.upgrades] == [f"canary-token-{n}" for n in (1, 2, 3)]

    run(scenario)


def test_F_NET_02_a_silent_link_is_aborted():
    async def scenario(peer):
        clock = [0]  # stands still while the link opens, however long that takes
        timings = replace(FAST, silent_s=0.3, ping_s=0.05)
        async with running(Rig(peer.url, timings=timings, boot_clock=lambda: clock[0])) as rig:
            link = await opened(peer, rig)
            clock[0] += 10**9
            down = await rig.down()  # the peer still reads our pings, but says nothing
            assert down.reason == "silent for 0.3 s"
            assert rig.hub.counts["pings_sent"] >= 1
            link.done.set()
            await (await peer.link()).open(2)

    run(scenario)


def test_F_NET_02_pings_of_the_peer_count_as_life():
    async def scenario(peer):
        clock = [0]
        timings = replace(FAST, silent_s=0.1, ping_s=0.05)
        async with running(Rig(peer.url, timings=timings, boot_clock=lambda: clock[0])) as rig:
            link = await opened(peer, rig)
            for _ in range(10):  # seven times the limit in all
                await link.ping()
                heard = rig.hub.counts["messages"]
                await link.send(signalr.PING)
                while rig.hub.counts["messages"] == heard:
                    await asyncio.sleep(0.001)
                clock[0] += 75_000_000
                await asyncio.sleep(0.05)  # time for a look of the watchdog
            assert rig.hub.connected
            assert rig.news.empty()

    run(scenario)


def test_F_TIM_02_after_a_suspend_the_link_is_presumed_dead():
    async def scenario(peer):
        boot = itertools.count(0, 0)
        offset = [0]
        timings = replace(FAST, silent_s=20)
        rig = Rig(peer.url, timings=timings, boot_clock=lambda: next(boot) + offset[0])
        async with running(rig):
            await opened(peer, rig)
            offset[0] = 600 * 10**9  # the boot clock goes on while the machine sleeps
            assert (await rig.down()).reason == "silent for 20 s"

    run(scenario)


def test_close_without_reconnect_waits_longer_and_counts_up_until_data_comes():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            goodbyes = []
            for number in range(4):
                link = await opened(peer, rig)
                if number == 3:
                    await link.send(EVENT)
                await link.send(CLOSE_FINAL)
                down = await rig.down()
                assert down.delay_s >= FAST.goodbye_s
                goodbyes.append(down.goodbyes)
            assert goodbyes == [1, 2, 3, 1]

    run(scenario)


def test_F_NET_04_handshakes_that_fail():
    answers = {
        b'{"error":"no"}\x1e': "handshake refused: no",
        b"garbage\x1e": "handshake refused: the handshake answer is not readable",
        EVENT: "handshake refused: expected a handshake answer",
    }

    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            for data, reason in answers.items():
                link = await peer.link()
                await link.read()
                await link.send(data)
                down = await rig.down()
                assert down.reason.startswith(reason)
                assert not down.was_connected
            assert rig.records == []
            await opened(peer, rig)

    run(scenario)


def test_F_NET_04_no_handshake_in_time():
    async def scenario(peer):
        async with running(Rig(peer.url, timings=replace(FAST, handshake_s=0.1))) as rig:
            await peer.link()
            assert (await rig.down()).reason == "no handshake in time"

    run(scenario)


def test_F_NET_04_closed_in_the_handshake():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            link = await peer.link()
            await link.read()
            await link.close(1000)
            assert (await rig.down()).reason == "closed in the handshake"

    run(scenario)


def test_F_NET_04_refused_upgrades():
    refusals = [(401, {}), (403, {}), (404, {}), (500, {}), (503, {"Retry-After": "0"}), (301, {"Location": "/x"})]

    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            for status, _ in refusals:
                down = await rig.down()
                assert down.reason == f"HTTP {status} on upgrade"
                assert down.delay_s == (FAST.goodbye_s if status == 503 else 0.0)
            await opened(peer, rig)
        # after 401 and 403 a new token is asked for
        assert rig.tokens == [False, True, True, False, False, False, False]
        assert all("/hubs/market" in path for path in peer.upgrades)

    run(scenario, refusals)


def test_a_subscription_that_is_refused():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            link = await peer.link()
            await link.handshake()
            await link.subscriptions(1, error="Unknown hub method 'X'")
            down = await rig.down()
            assert down.reason == "SubscribeContractQuotes refused: Unknown hub method 'X'"
            assert not down.was_connected

    run(scenario)


def test_a_subscription_that_is_not_answered():
    async def scenario(peer):
        async with running(Rig(peer.url, timings=replace(FAST, invoke_s=0.1))) as rig:
            link = await peer.link()
            await link.handshake()
            await link.read()
            assert (await rig.down()).reason == "subscribing failed: TimeoutError"

    run(scenario)


def test_no_token_means_no_connection():
    async def scenario(peer):
        rig = Rig(peer.url)

        async def token(refused: bool) -> str | None:
            rig.tokens.append(refused)
            return None if len(rig.tokens) < 3 else "t"

        rig.hub._token = token
        async with running(rig):
            assert (await rig.down()).reason == "no token"
            assert (await rig.down()).reason == "no token"
            await opened(peer, rig)
        assert len(peer.upgrades) == 1

    run(scenario)


# --------------------------------------------------------------------------------------------------------- bad records
@pytest.mark.parametrize("kind", ["malformed", "refused", "raised"])
def test_F_DAT_01_more_than_20_bad_records_in_10_seconds_reconnect(kind):
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            link = await opened(peer, rig)
            rig.verdict = {"refused": False, "raised": KeyError("bug")}.get(kind)
            bad = b"junk\x1e" if kind == "malformed" else EVENT
            # the last one wants an answer, so that we know when all were read; a handler takes it for bad, too
            await link.send(bad * (20 if kind == "malformed" else 19) + signalr.encode_invocation("Ask", [], "1"))
            await link.read()
            assert rig.hub.connected
            await link.send(bad)
            assert (await rig.down()).reason == "too many bad records"
            rig.verdict = None
            link = await opened(peer, rig)
            await link.send(b"junk\x1e" + signalr.encode_invocation("Ask", [], "1"))
            await link.read()
            assert rig.hub.connected  # a new connection begins with a clean sheet

    run(scenario)


def test_F_DAT_01_bad_records_that_are_far_apart_do_no_harm():
    async def scenario(peer):
        boot = itertools.count(0, 10**9)  # every look at the clock is a second later
        rig = Rig(peer.url, timings=replace(FAST, silent_s=1e6), boot_clock=lambda: next(boot))
        async with running(rig):
            link = await opened(peer, rig)
            for _ in range(60):
                await link.send(b"junk\x1e")
            await link.send(EVENT)
            await rig.arrived.get()
            assert rig.hub.counts["bad"] == 60
            assert rig.hub.connected

    run(scenario)


# ------------------------------------------------------------------------------------------------------------ back-off
def test_I24_back_off_doubles_up_to_its_cap_and_never_ends():
    async def scenario(peer):
        timings = replace(FAST, backoff_base_s=0.001, backoff_cap_s=0.008)
        rig = Rig(peer.url, timings=timings, random=lambda: 1.0)
        peer.refusals = [(500, {})] * 40
        async with running(rig):
            downs = [await rig.down() for _ in range(40)]
            assert [down.delay_s for down in downs[:6]] == [0.001, 0.002, 0.004, 0.008, 0.008, 0.008]
            assert [down.attempt for down in downs] == list(range(1, 41))
            link = await opened(peer, rig)
            link.drop()
            assert (await rig.down()).delay_s == 0.008  # it did not live long: no new start
        healthy = replace(timings, healthy_s=0.0)
        rig = Rig(peer.url, timings=healthy, random=lambda: 1.0)
        peer.refusals = [(500, {})] * 5
        async with running(rig):
            for _ in range(5):
                await rig.down()
            link = await opened(peer, rig)
            link.drop()
            assert (await rig.down()).delay_s == 0.001

    run(scenario)


# ------------------------------------------------------------------------------------------------------------- control
def test_reconnect_by_the_owner_and_other_subscriptions():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            await opened(peer, rig)
            rig.hub.set_subscriptions([("SubscribeContractQuotes", ["B"])])
            rig.hub.reconnect("token renewed")
            assert (await rig.down()).reason == "token renewed"
            link = await peer.link()
            await link.handshake()
            assert await link.subscriptions(1) == [("SubscribeContractQuotes", b'["B"]')]
            await rig.connected()

    run(scenario)


def test_stop_ends_the_loop_in_every_state():
    async def scenario(peer):
        rig = Rig(peer.url, timings=replace(FAST, backoff_base_s=1e6, backoff_cap_s=1e6), random=lambda: 1.0)
        peer.refusals = [(500, {})]
        async with running(rig):
            await rig.down()  # now it waits a million seconds
        async with running(Rig(peer.url)):
            link = await peer.link()
            await link.read()  # the client has opened, and is in the handshake
        await link.socket.wait_closed()
        assert link.socket.close_code == 1000
        rig = Rig(peer.url)
        async with running(rig):
            link = await opened(peer, rig)
        await link.socket.wait_closed()
        assert link.socket.close_code == 1000
        assert rig.news.empty()  # a wanted end is no loss

    run(scenario)


def test_negotiation_uses_the_connection_token_of_each_answer():
    rude = RudeServer()
    negotiate = "/hubs/market/negotiate?negotiateVersion=1"
    rude.script[negotiate] = [
        answer(200, signalr.encode_negotiation(1, "public", "secret/1")),
        answer(401),
        answer(200, b"<html>"),
    ]

    async def scenario(peer):
        async with running(Rig(rude.url + "/hubs/market", negotiate=True)) as rig:
            reasons = [(await rig.down()).reason for _ in range(3)]
            assert reasons[:2] == ["HTTP 404 on upgrade", "negotiate: HTTP 401"]
            assert reasons[2].startswith("the negotiate answer is not readable")
            assert rig.tokens[:3] == [False, False, True]
        assert rude.paths()[:2] == [negotiate, "/hubs/market?access_token=canary-token-1&id=secret%2F1"]
        assert rude.seen[0].headers["authorization"] == "Bearer canary-token-1"

    try:
        run(scenario)
    finally:
        rude.close()


def test_I30_the_token_is_in_no_text(caplog):
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []

    async def scenario(peer):
        peer.refusals = [(401, {}), (500, {})]
        rig = Rig(peer.url)
        async with running(rig):
            texts.extend([repr(await rig.down()) for _ in range(2)])
            link = await peer.link()
            await link.handshake()
            await link.subscriptions(1, error="bad access_token=canary-token-3")
            texts.append(repr(await rig.down()))
            texts.append(repr(rig.hub) + repr(rig.hub.counts))
        dead = Rig("ws://127.0.0.1:1/hubs/market")
        async with running(dead):
            texts.append(repr(await dead.down()))

    run(scenario)
    client_logs = [record.getMessage() for record in caplog.records if not record.name.startswith("websockets.server")]
    assert len(texts) == 5
    assert not [text for text in texts + client_logs if "canary-token" in text]


@pytest.mark.parametrize(
    "url", ["ws://gateway.example.com/hubs/market", "http://gateway.example.com/x", "ftp://127.0.0.1"]
)
def test_F_NET_10_unencrypted_hubs_only_on_this_machine(url):
    with pytest.raises(ConfigError):
        Rig(url)
