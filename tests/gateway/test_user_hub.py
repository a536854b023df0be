"""The user hub in its thread: quiet is no fault, a token near its end is left, two hubs fail apart."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

from hub_peer import HubPeer, Link
from tbot.gateway import signalr
from tbot.gateway.hub import HubTimings
from tbot.gateway.tokens import Token
from tbot.gateway.user_hub import UserHub

HOUR_NS = 3600 * 10**9
CLOSE_S = 60.0
TIMINGS = {"open_s": 60, "handshake_s": 60, "silent_s": 60, "invoke_s": 60}
TIMINGS |= {"backoff_base_s": 0.001, "close_s": 0.2, "goodbye_s": 0.01}
NOON_NS = 1_795_176_000 * 10**9  # 2026-11-20 12:00 UTC, 06:00 in Chicago


class Tokens:
    """A token manager with the tokens in hand."""

    def __init__(self) -> None:
        self.token: Token | None = self.make(1)
        self.invalidated: list[int] = []

    @staticmethod
    def make(revision: int) -> Token:
        return Token(revision, f"canary-{revision}", NOON_NS, NOON_NS + 24 * HOUR_NS)

    def current(self) -> Token | None:
        return self.token

    def get(self) -> Token | None:
        return self.token

    def invalidate(self, token: Token) -> None:
        self.invalidated.append(token.revision)


class Rig:
    def __init__(self, url: str, **timings: Any) -> None:
        self.tokens = Tokens()
        self.changed = threading.Event()
        self.records: list[signalr.Invocation] = []
        rest: Any = SimpleNamespace(tokens=self.tokens)
        self.hub = UserHub(
            url,
            rest,
            [1001],
            on_record=self.record,
            on_change=self.changed.set,
            timings=HubTimings(**(TIMINGS | timings)),
        )

    def record(self, event: signalr.Invocation, recv_ns: int) -> bool:
        self.records.append(event)
        self.changed.set()
        return True

    async def until(self, condition: Any) -> None:
        while not condition():
            self.changed.clear()
            await asyncio.to_thread(self.changed.wait, 0.02)


async def opened(peer: HubPeer, rig: Rig) -> Link:
    link = await peer.link()
    await link.open(4)
    await rig.until(lambda: rig.hub.connected)
    return link


def run(scenario: Any, clock: list[int] | None = None, **timings: Any) -> None:
    """`clock`: what the hub takes for the boot clock, by hand."""

    async def main() -> None:
        async with asyncio.timeout(200), HubPeer() as peer:
            rig = Rig(peer.url, **timings)
            if clock is not None:
                rig.hub._client._boot_ns = lambda: clock[0]
            rig.hub.start()
            try:
                await scenario(peer, rig)
            finally:
                assert await asyncio.to_thread(rig.hub.close, CLOSE_S)

    asyncio.run(main())


def test_F_NET_07_a_quiet_user_hub_is_never_killed_while_pings_arrive() -> None:
    """Ten times the silence that would end it; nothing but pings comes, as on a flat account."""
    clock = [0]

    async def scenario(peer: HubPeer, rig: Rig) -> None:
        link = await opened(peer, rig)
        for _ in range(14):
            await link.ping()
            heard = rig.hub.counts["messages"]
            await link.send(signalr.PING)
            await rig.until(lambda heard=heard: rig.hub.counts["messages"] > heard)
            clock[0] += 225_000_000
            await asyncio.sleep(0.05)  # time for a look of the watchdog
        assert rig.hub.connected
        assert rig.hub.counts["downs"] == 0
        assert rig.records == []
        assert len(peer.upgrades) == 1

    run(scenario, clock, silent_s=0.3, ping_s=0.05)


def test_F_NET_07_without_pings_it_is_left() -> None:
    clock = [0]

    async def scenario(peer: HubPeer, rig: Rig) -> None:
        await opened(peer, rig)
        clock[0] += 10**9
        await rig.until(lambda: rig.hub.counts["downs"] > 0 and rig.hub.reason)
        assert rig.hub.reason == "silent for 0.3 s"

    run(scenario, clock, silent_s=0.3, ping_s=0.1)


def test_F_API_01_it_reconnects_to_a_newer_token_when_its_own_is_near_its_end() -> None:
    async def scenario(peer: HubPeer, rig: Rig) -> None:
        await opened(peer, rig)
        late_ns = NOON_NS + int(23.6 * HOUR_NS)
        assert not rig.hub.renew_if_due(late_ns)  # there is no newer one
        rig.tokens.token = Tokens.make(2)
        assert not rig.hub.renew_if_due(NOON_NS)  # there is time
        assert rig.hub.renew_if_due(late_ns)
        await opened(peer, rig)
        assert [path.rpartition("-")[2] for path in peer.upgrades] == ["1", "2"]
        assert not rig.hub.renew_if_due(late_ns)
        assert rig.tokens.invalidated == []

    run(scenario)


def test_F_API_01_after_401_the_refused_token_is_given_up() -> None:
    async def scenario(peer: HubPeer, rig: Rig) -> None:
        link = await opened(peer, rig)
        peer.refusals = [(401, {})]
        link.drop()
        await opened(peer, rig)
        assert rig.tokens.invalidated == [1]

    run(scenario)


def test_three_goodbyes_are_counted_until_data_comes() -> None:
    async def scenario(peer: HubPeer, rig: Rig) -> None:
        for number in (1, 2, 3):
            link = await opened(peer, rig)
            await link.send(signalr.encode_close())
            await rig.until(lambda number=number: rig.hub.goodbyes == number)
        await opened(peer, rig)
        await rig.until(lambda: rig.hub.goodbyes == 0)

    run(scenario)


def test_two_hubs_fail_apart() -> None:
    """One loop each: what happens to one is nothing to the other."""

    async def main() -> None:
        async with asyncio.timeout(200), HubPeer() as first, HubPeer() as second:
            one, two = Rig(first.url), Rig(second.url)
            for rig in (one, two):
                rig.hub.start()
            link = await opened(first, one)
            await opened(second, two)
            for _ in range(3):
                link.drop()
                link = await opened(first, one)
            assert (one.hub.counts["connects"], two.hub.counts["connects"]) == (4, 1)
            assert two.hub.connected
            for rig in (one, two):
                assert await asyncio.to_thread(rig.hub.close, CLOSE_S)

    asyncio.run(main())
