"""Two connections at a server in hand: the change of tokens loses nothing, and what fails on the way is survived."""

import asyncio
import contextlib
import json
import random
from dataclasses import replace

import pytest

from hub_openers import each_socket, opener  # noqa: F401
from hub_peer import HubPeer, Link
from hub_rig import FAST, run
from tbot.gateway import signalr
from tbot.gateway.hub import HubDown
from tbot.gateway.market_hub import ATTEMPTS, MarketHub
from tbot.gateway.net import boot_ns
from tbot.gateway.signalr import Invocation

A, B = "CON.F.US.MNQ.Z26", "CON.F.US.EP.Z26"
SUBSCRIBED = [
    ("SubscribeContractQuotes", f'["{A}"]'.encode()),
    ("SubscribeContractTrades", f'["{A}"]'.encode()),
]


def trade(at_ms: int, price: float = 100.0) -> bytes:
    stamp = f"2026-11-20T15:00:{at_ms // 1000:02d}.{at_ms % 1000:03d}+00:00"
    return signalr.encode_invocation("GatewayTrade", [A, [{"price": price, "volume": 1, "timestamp": stamp}]])


def quote(at_ms: int, bid: float = 100.0) -> bytes:
    stamp = f"2026-11-20T15:00:{at_ms // 1000:02d}.{at_ms % 1000:03d}1+00:00"
    return signalr.encode_invocation("GatewayQuote", [A, {"bestBid": bid, "lastUpdated": stamp}])


LOGOUT = signalr.encode_invocation("GatewayLogout", [])


class Rig:
    """A MarketHub with everything that its owner hears in one list."""

    def __init__(self, url: str, **options: object) -> None:
        self.heard: list[object] = []
        self.tokens = 0
        self.changed = asyncio.Event()
        settings = {"timings": FAST, "random": lambda: 0.0, "quiet_s": 0.05, "look_s": 0.01}
        settings["opener"] = opener()
        self.hub = MarketHub(
            url,
            [A],
            token=self.token,
            on_record=self.record,
            on_connected=lambda: self.hear("connected"),
            on_down=self.hear,
            **(settings | options),
        )

    async def token(self, refused: bool) -> str:
        self.tokens += 1
        return f"canary-token-{self.tokens}"

    def record(self, event: Invocation, recv_ns: int) -> bool:
        self.hear(event)
        return True

    def hear(self, item: object) -> None:
        self.heard.append(item)
        self.changed.set()

    @property
    def data(self) -> list[bytes]:
        return [item.arguments for item in self.heard if isinstance(item, Invocation)]

    async def until(self, condition) -> None:
        """Wait (on what happens, not on time) until a condition holds."""
        while not condition():
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), 0.02)


@contextlib.asynccontextmanager
async def running(rig: Rig):
    task = asyncio.create_task(rig.hub.run())
    try:
        yield rig
    finally:
        rig.hub.stop()
        await task


async def opened(peer: HubPeer, rig: Rig) -> Link:
    link = await peer.link()
    await link.open(2)
    return link


async def renewing(peer: HubPeer, rig: Rig) -> tuple[Link, Link]:
    """An old and a new connection, both subscribed, nothing settled yet."""
    old = await opened(peer, rig)
    await rig.until(lambda: rig.hub.connected)
    assert rig.hub.renew()
    new = await opened(peer, rig)
    await rig.until(lambda: rig.hub._next.connected)
    return old, new


def payload(record: bytes) -> bytes:
    return json.dumps(json.loads(record[:-1])["arguments"], separators=(",", ":")).encode()


@pytest.mark.parametrize("seed", range(6))
def test_F_API_01_every_record_once_and_in_order_over_a_change_of_tokens(seed):
    """Runs of equal prints, quotes between them, two connections at their own pace."""
    rng = random.Random(seed)
    at, stream = 0, []
    for _ in range(400):
        at += rng.choice([0, 0, 1, 3])
        price = rng.choice([100.0, 100.25])
        stream.append(quote(at * 10 + len(stream) % 10, price) if rng.random() < 0.5 else trade(at, price))
    begin = rng.randrange(20, 150)  # where the new connection's subscriptions take effect

    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            old = await opened(peer, rig)
            await rig.until(lambda: rig.hub.connected)
            for record in stream[:begin]:
                await old.send(record)
            assert rig.hub.renew()
            new = await peer.link()
            await new.handshake()
            await new.subscriptions(1)
            # An overlap: the old one may be up to a few records ahead or behind.
            at_old = at_new = begin
            await new.subscriptions(1)
            while at_new < len(stream):
                step = rng.randrange(1, 8)
                batch = b"".join(stream[at_new : at_new + step])
                at_new += step
                await new.send(batch)
                while at_old < min(at_new + rng.randrange(-3, 4), len(stream)):
                    with contextlib.suppress(Exception):  # closed by the client: the change is done
                        await old.send(stream[at_old])
                    at_old += 1
            await rig.until(lambda: len(rig.data) >= len(stream))
            await rig.until(lambda: not rig.hub.changing)
            assert rig.data == [payload(record) for record in stream]
            assert rig.heard.count("connected") == 1
            assert not [item for item in rig.heard if isinstance(item, HubDown)]
            assert rig.hub.handovers == 1
            await old.socket.wait_closed()
            assert old.socket.close_code == 1000
            assert [path.rpartition("-")[2] for path in peer.upgrades] == ["1", "2"]

    run(scenario)


def test_a_quiet_market_changes_by_the_barrier():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            old, new = await renewing(peer, rig)
            await asyncio.gather(old.subscriptions(1), new.subscriptions(1))  # the barrier, on both
            await rig.until(lambda: rig.hub.handovers == 1)
            await new.send(trade(5))
            await rig.until(lambda: rig.data)
            assert rig.hub.connected
            assert rig.hub.counts["connects"] == 2

    run(scenario)


def test_the_old_connection_delivers_until_the_new_one_is_subscribed():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            old = await opened(peer, rig)
            await rig.until(lambda: rig.hub.connected)
            rig.hub.renew()
            assert not rig.hub.renew()  # one at a time
            new = await peer.link()
            await new.handshake()
            await new.subscriptions(1)
            for at in range(20):
                await old.send(trade(at) + quote(at))
            await rig.until(lambda: len(rig.data) == 40)
            assert rig.hub.changing
            await new.socket.close(1011)  # it never gets there; it costs nothing
            for at in range(20, 30):
                await old.send(trade(at))
            await rig.until(lambda: len(rig.data) == 50)
            assert rig.heard.count("connected") == 1
            assert not [item for item in rig.heard if isinstance(item, HubDown)]
            again = await opened(peer, rig)
            for at in range(30, 34):
                await old.send(trade(at) + quote(at))
                await again.send(trade(at) + quote(at))
            await rig.until(lambda: rig.hub.handovers == 1)
            await again.send(trade(40))
            await rig.until(lambda: len(rig.data) >= 59)
            assert rig.data == [payload(r) for at in range(20) for r in (trade(at), quote(at))] + [
                payload(trade(at)) for at in range(20, 30)
            ] + [payload(r) for at in range(30, 34) for r in (trade(at), quote(at))] + [payload(trade(40))]

    run(scenario)


def test_a_second_connection_that_is_refused_leaves_the_first_alone():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            old = await opened(peer, rig)
            await rig.until(lambda: rig.hub.connected)
            peer.refusals = [(503, {"Retry-After": "0"})] * (ATTEMPTS + 5)
            rig.hub.renew()
            await rig.until(lambda: not rig.hub.changing)
            assert "HTTP 503" in rig.hub.handover_trouble
            await old.send(trade(1))
            await rig.until(lambda: rig.data)
            assert rig.hub.connected
            assert [item for item in rig.heard if isinstance(item, HubDown)] == []

    run(scenario)


def test_the_loss_of_the_old_connection_makes_it_an_ordinary_reconnection():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            old, new = await renewing(peer, rig)
            await old.send(trade(1))
            await new.send(trade(2))
            await rig.until(lambda: len(rig.data) == 1)
            await new.send(signalr.encode_invocation("Ask", [], "7"))  # answered: the record before it was read, too
            await new.read()
            old.drop()
            await rig.until(lambda: len(rig.data) == 2)
            kinds = ["down" if isinstance(item, HubDown) else item for item in rig.heard]
            assert [kind if isinstance(kind, str) else "data" for kind in kinds] == [
                "connected",
                "data",
                "down",
                "connected",
                "data",
            ]
            assert len(peer.upgrades) == 2  # no third connection was needed

    run(scenario)


def test_connections_that_carry_different_records_fall_back():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            old, new = await renewing(peer, rig)
            for at in range(4):
                await old.send(trade(at))
                await new.send(trade(at, 100.0 if at < 3 else 101.0))
            await rig.until(lambda: rig.hub.handover_trouble)
            await rig.until(lambda: rig.heard.count("connected") == 2)
            downs = [item for item in rig.heard if isinstance(item, HubDown)]
            assert downs[0].reason == "token renewed (the two connections carry different records)"

    run(scenario)


def test_an_overlap_that_cannot_be_settled_ends():
    async def scenario(peer):
        late = [0]
        more = {"boot_clock": lambda: boot_ns() + late[0], "timings": replace(FAST, silent_s=1e6)}
        async with running(Rig(peer.url, patience_s=60.0, quiet_s=1e6, **more)) as rig:
            await renewing(peer, rig)
            late[0] = 61 * 10**9
            await rig.until(lambda: rig.heard.count("connected") == 2)
            assert "in time" in rig.hub.handover_trouble
            assert len(peer.upgrades) == 2

    run(scenario)


def test_F_NET_09_a_logout_that_our_own_second_connection_caused_is_no_takeover():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            old, new = await renewing(peer, rig)
            await new.send(signalr.encode_invocation("Ask", [], "7"))
            await new.read()
            await old.send(LOGOUT)
            await rig.until(lambda: rig.heard.count("connected") == 2)
            assert rig.data == []
            await new.send(LOGOUT)  # but this one is
            await rig.until(lambda: rig.data)

    run(scenario)


def test_F_NET_03_one_contract_is_subscribed_anew_on_the_same_connection():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            link = await opened(peer, rig)
            await rig.until(lambda: rig.hub.connected)
            call = asyncio.create_task(rig.hub.resubscribe(A))
            seen = await link.subscriptions(4)
            assert [target for target, _ in seen] == [
                "UnsubscribeContractQuotes",
                "UnsubscribeContractTrades",
                "SubscribeContractQuotes",
                "SubscribeContractTrades",
            ]
            assert await call
            assert rig.hub.connected
            call = asyncio.create_task(rig.hub.resubscribe(A))
            await link.subscriptions(4, error="no")
            assert not await call
            link.drop()
            assert not await rig.hub.resubscribe(A)

    run(scenario)


def test_F_TIM_07_other_contracts_from_now_on():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            link = await opened(peer, rig)
            await rig.until(lambda: rig.hub.connected)
            call = asyncio.create_task(rig.hub.change_contracts([B]))
            seen = await link.subscriptions(4)
            assert [(target[:3], arguments) for target, arguments in seen] == [
                ("Uns", f'["{A}"]'.encode()),
                ("Uns", f'["{A}"]'.encode()),
                ("Sub", f'["{B}"]'.encode()),
                ("Sub", f'["{B}"]'.encode()),
            ]
            assert await call
            link.drop()
            link = await peer.link()
            await link.handshake()
            assert [arguments for _, arguments in await link.subscriptions(2)] == [f'["{B}"]'.encode()] * 2

    run(scenario)


def test_stopping_in_the_middle_of_a_change_closes_both():
    async def scenario(peer):
        rig = Rig(peer.url)
        async with running(rig):
            old, new = await renewing(peer, rig)
        await asyncio.gather(old.socket.wait_closed(), new.socket.wait_closed())
        assert old.socket.close_code == new.socket.close_code == 1000
        assert not [item for item in rig.heard if isinstance(item, HubDown)]

    run(scenario)


def test_reconnect_ends_a_change_that_is_under_way():
    async def scenario(peer):
        async with running(Rig(peer.url)) as rig:
            await renewing(peer, rig)
            rig.hub.reconnect("no data")
            await opened(peer, rig)
            await rig.until(lambda: rig.heard.count("connected") == 2)
            assert not rig.hub.changing
            assert [item.reason for item in rig.heard if isinstance(item, HubDown)] == ["no data"]

    run(scenario)


def test_no_second_change_while_the_first_is_not_digested():
    """The old one was ahead: what comes again is passed over, and until it has come nothing else may change."""

    async def scenario(peer):
        async with running(Rig(peer.url, quiet_s=100.0)) as rig:
            old, new = await renewing(peer, rig)
            for at in range(8):
                await old.send(trade(at) + quote(at))
            await rig.until(lambda: len(rig.data) == 16)
            await new.send(b"".join(trade(at) + quote(at) for at in (1, 2)))
            await rig.until(lambda: rig.hub.handovers == 1)
            assert rig.hub.changing
            assert not rig.hub.renew()
            await new.send(b"".join(trade(at) + quote(at) for at in range(3, 9)))
            await rig.until(lambda: len(rig.data) == 18)
            assert rig.data[16:] == [payload(trade(8)), payload(quote(8))]
            assert not rig.hub.changing
            assert rig.hub.renew()

    run(scenario)


def test_a_difference_after_the_change_is_a_gap():
    async def scenario(peer):
        async with running(Rig(peer.url, quiet_s=100.0)) as rig:
            old, new = await renewing(peer, rig)
            for at in range(8):
                await old.send(trade(at) + quote(at))
            await rig.until(lambda: len(rig.data) == 16)
            await new.send(b"".join(trade(at) + quote(at) for at in (1, 2)))
            await rig.until(lambda: rig.hub.handovers == 1)
            await new.send(trade(3) + trade(9))
            await rig.until(lambda: len(rig.data) == 17)
            assert [item.reason for item in rig.heard if isinstance(item, HubDown)] == [
                "token renewed (the two connections carry different records)"
            ]
            assert rig.heard.count("connected") == 2
            assert not rig.hub.changing
            assert len(peer.upgrades) == 2

    run(scenario)


def test_a_handler_that_fails_in_the_middle_of_a_change_costs_one_record():
    async def scenario(peer):
        async with running(Rig(peer.url, quiet_s=100.0)) as rig:
            old, new = await renewing(peer, rig)
            record, seen = rig.hub._on_record, []

            def fragile(event: Invocation, recv_ns: int) -> bool:
                seen.append(event)
                if len(seen) == 6:  # the first one that comes out of what was kept
                    raise RuntimeError("a bug of the owner")
                return bool(record(event, recv_ns))

            rig.hub._on_record = fragile
            await new.send(b"".join(trade(at) + quote(at) for at in range(1, 6)))
            await new.send(signalr.encode_invocation("Ask", [], "7"))
            await new.read()
            for at in range(3):
                await old.send(trade(at))
            await old.send(quote(1) + quote(2))
            await rig.until(lambda: rig.hub.handovers == 1)
            await rig.until(lambda: len(seen) == 11)
            assert rig.hub.counts["handler_errors"] == 1
            assert len(rig.data) == 10

    run(scenario)
