"""Our own clients against the simulator's wire faults: nothing raises past them, nothing is lost that need not be.

The failures that users of the same gateway reported stand here by their symptom.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim_rig import KEY, MNQ, OWNER, RunningServer, ScriptedMarket, repeated, running, tick_rows, until
from tbot.domain.contracts import contract_from_broker_id
from tbot.gateway import codec_rest as bodies
from tbot.gateway.hub import HubClient, HubDown, HubTimings
from tbot.gateway.redact import Credentials
from tbot.gateway.rest import OrderClient
from tbot.gateway.signalr import Invocation, PingRules
from tbot.sim.auth import RateLimits

# Where a test is not about a limit of ours, a machine that stands still for seconds must not reach it.
TIMINGS = HubTimings(
    open_s=30, handshake_s=30, ping_s=5, silent_s=30, invoke_s=30, close_s=0.2, backoff_base_s=0.02, backoff_cap_s=0.1,
    goodbye_s=0.05,
)  # fmt: skip
DEAD = replace(TIMINGS, silent_s=0.8)
MUTE = replace(TIMINGS, handshake_s=0.3)
PATIENT_S, HASTY_S = 30.0, 0.6  # a REST call in all


def numbered_market() -> tuple[ScriptedMarket, list[Any], int]:
    """A trade of MNQ every 5 ms; sizes count up, so each is known."""
    start = time.time_ns()
    quote = tick_rows([(start, "quote", 1000, 1002)])
    trades = repeated([(start + 5_000_000, "trade", 1001, 1, 1)], 240_000, 5_000_000, numbered=True)
    return ScriptedMarket(np.concatenate([quote, trades]), start), [contract_from_broker_id(MNQ)], start


@pytest.fixture(scope="module")
def up() -> Iterator[RunningServer]:
    pings = PingRules(interval_s=0.05, silent_s=60, handshake_s=30)
    limits = RateLimits(100_000, 30, 100_000, 60)
    with running(numbered_market(), pings=pings, limits=limits, accounts=40) as server:
        yield server


@pytest.fixture
def server(up: RunningServer) -> Iterator[RunningServer]:
    yield up
    up.calm()


class Feed:
    """Our hub client with what came of it: sizes in order of arrival, and every reason of a lost connection."""

    def __init__(self, server: RunningServer, **options: Any) -> None:
        self.sizes: list[int] = []
        self.downs: list[HubDown] = []
        self.connects = 0
        self.server = server
        self.hub = HubClient(
            f"{server.ws}/hubs/market",
            token=self._token,
            subscriptions=[("SubscribeContractTrades", [MNQ])],
            on_record=self._record,
            on_connected=self._connected,
            on_down=self.downs.append,
            **({"timings": TIMINGS} | options),
        )

    async def _token(self, refused: bool) -> str:
        return await asyncio.to_thread(self.server.login)

    def _connected(self) -> None:
        self.connects += 1

    def _record(self, event: Invocation, recv_ns: int) -> bool:
        import json

        if event.target != "GatewayTrade":
            return True
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            self.sizes += [row["volume"] for row in json.loads(event.arguments)[1]]
            return True
        return False

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.005)

    async def more(self, count: int) -> None:
        """Until so many further trades have come."""
        goal = len(self.sizes) + count
        await self.until(lambda: len(self.sizes) >= goal, "trades")


@asynccontextmanager
async def feed(server: RunningServer, **options: Any) -> AsyncIterator[Feed]:
    made = Feed(server, **options)
    task = asyncio.create_task(made.hub.run())
    try:
        await made.more(3)
        yield made
    finally:
        made.hub.stop()
        await task


def plan(server: RunningServer, name: str, trigger: dict[str, Any] | None = None, **args: Any) -> None:
    hub = {"hub": "market"} if name.startswith("ws.") and name != "ws.mute" else {}
    server.plan({"name": name, "args": hub | args} | (trigger or {"at": 0}))


def fired(server: RunningServer, name: str) -> int:
    """How often faults of this name have fired, in all tests so far."""
    return server.server.shell.board.counts[name]


def gapless(sizes: list[int]) -> bool:
    return sizes == list(range(sizes[0], sizes[0] + len(sizes)))


# ---------------------------------------------------------------------------------------------------------------- hubs
@pytest.mark.parametrize(
    "mode", ["rst", "fin", "final", "allowReconnect", "error", "close1001", "close1009", "close1011"]
)
@pytest.mark.parametrize("negotiate", [False, True])
def test_F_NET_01_every_way_of_losing_the_hub_is_got_over(server: RunningServer, mode: str, negotiate: bool) -> None:
    async def scenario() -> None:
        async with feed(server, negotiate=negotiate) as client:
            await asyncio.to_thread(plan, server, "ws.drop", mode=mode)
            await client.until(lambda: len(client.downs) == 1 and client.connects == 2, "a new connection")
            before = len(client.sizes)
            await client.more(5)
            assert gapless(client.sizes[before:])
            assert client.sizes == sorted(set(client.sizes)), "nothing comes twice"

    asyncio.run(scenario())


@pytest.mark.parametrize("mode", ["401", "403", "404", "429", "500", "503", "error", "garbage", "none"])
def test_F_NET_04_every_failed_handshake_is_got_over(server: RunningServer, mode: str) -> None:
    async def scenario() -> None:
        async with feed(server, timings=MUTE if mode == "none" else TIMINGS) as client:
            await asyncio.to_thread(plan, server, "ws.handshake", {"after": 1}, mode=mode)
            downs = len(client.downs)
            client.hub.reconnect("the test says so")
            await client.until(
                lambda: len(client.downs) >= downs + 2 and client.connects == 2, "a connection after a failure"
            )
            await client.more(5)

    asyncio.run(scenario())


def test_F_NET_04_data_behind_the_handshake_answer_is_processed(server: RunningServer) -> None:
    async def scenario() -> None:
        async with feed(server) as client:
            await asyncio.to_thread(plan, server, "ws.handshake", {"after": 1}, mode="glued")
            client.hub.reconnect("the test says so")
            await client.until(lambda: client.connects == 2, "a connection")
            await client.more(5)
            assert len(client.downs) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["ws.blackhole", "ws.stall"])
def test_F_NET_02_a_dead_link_is_noticed_and_the_next_one_taken(server: RunningServer, name: str) -> None:
    async def scenario() -> None:
        async with feed(server, timings=DEAD) as client:
            await asyncio.to_thread(plan, server, name)
            downs, connects = len(client.downs), client.connects
            await client.until(lambda: len(client.downs) > downs, "the silence to be noticed")
            await asyncio.to_thread(server.calm)
            await client.until(lambda: client.connects > connects, "a new connection")
            await client.more(5)

    asyncio.run(scenario())


def test_F_NET_03_a_frozen_hub_looks_healthy_to_the_transport(server: RunningServer) -> None:
    """Ticks frozen while the connection says healthy: pings keep it up, only the absence of data can tell.

    The client's clock moves only by a tenth of a second with each thing received, so no stall makes it silent.
    """
    clock = [time.time_ns()]

    async def scenario() -> None:
        async with feed(server, timings=DEAD, boot_clock=lambda: clock[0]) as client:
            await asyncio.to_thread(plan, server, "ws.freeze", heals="reconnect")
            await client.until(lambda: fired(server, "ws.freeze") > 2, "frozen records")
            link = client.hub._link
            pings = 0  # in a row, with no data between them
            while pings < 20:  # 2 s, far beyond the silence
                before = len(client.sizes)
                clock[0] += 100_000_000
                await client.until(lambda: link.last_recv_ns == clock[0] or bool(client.downs), "a ping")
                assert client.downs == []
                pings = pings + 1 if len(client.sizes) == before else 0
            client.hub.reconnect("no data")  # what the owner's watchdog does
            await client.more(5)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("ws.slice", {"how": "split", "size": 9}),
        ("ws.slice", {"how": "fragments", "size": 9}),
        ("ws.slice", {"how": "merge", "size": 30}),
        ("ws.slice", {"how": "bytes"}),
        ("ws.latency", {"seconds": 0.3}),
        ("ws.jitter", {"seconds": 0.2}),
        ("ws.malformed", {"kind": "broken"}),
        ("ws.malformed", {"kind": "no_type"}),
        ("ws.malformed", {"kind": "empty"}),
        ("ws.malformed", {"kind": "non_object"}),
        ("ws.malformed", {"kind": "deep"}),
        ("ws.malformed", {"kind": "binary"}),
        ("ws.malformed", {"kind": "huge"}),
        ("ws.malformed", {"kind": "unknown_type"}),
        ("ws.malformed", {"kind": "no_target"}),
        ("ws.malformed", {"kind": "no_array"}),
    ],
)
def test_F_DAT_01_odd_streams_and_odd_records_lose_nothing(server: RunningServer, name: str, args: Any) -> None:
    """One odd record silences other clients; ours drops it and keeps the connection."""

    async def scenario() -> None:
        async with feed(server) as client:
            odd = name == "ws.malformed"
            before = fired(server, name)
            await asyncio.to_thread(plan, server, name, {"after": 2, "for": "2 events"} if odd else {"at": 0}, **args)
            await client.until(lambda: fired(server, name) >= before + 2, "the fault")
            await client.more(15)
            if not odd:  # what these do to the stream has to end as well as it began
                await asyncio.to_thread(server.calm)
            await client.more(30)
            assert gapless(client.sizes)
            assert client.downs == []

    asyncio.run(scenario())


def test_F_DAT_01_invalid_utf8_is_got_over(server: RunningServer) -> None:
    """On this connection or on a new one."""

    async def scenario() -> None:
        async with feed(server) as client:
            await asyncio.to_thread(plan, server, "ws.malformed", {"after": 5}, kind="utf8")
            await client.until(lambda: client.hub.counts["bad"] >= 1 or bool(client.downs), "the bad record")
            await client.until(lambda: client.connects == 1 + len(client.downs), "a connection")
            await client.more(30)
            assert client.hub.connected
            assert client.sizes == sorted(set(client.sizes))

    asyncio.run(scenario())


def test_F_DAT_01_a_cut_record_costs_that_record_only(server: RunningServer) -> None:
    async def scenario() -> None:
        async with feed(server) as client:
            await asyncio.to_thread(plan, server, "ws.malformed", {"after": 5}, kind="cut")
            await client.until(lambda: not gapless(client.sizes), "the cut record to be missing")
            await client.more(30)
            missing = sorted(set(range(client.sizes[0], client.sizes[-1])) - set(client.sizes))
            assert missing == list(range(missing[0], missing[0] + len(missing))), "the prints of one record"
            assert client.downs == []

    asyncio.run(scenario())


def test_a_reconnect_never_uses_a_stale_connection_id(server: RunningServer) -> None:
    async def scenario() -> None:
        async with feed(server, negotiate=True) as client:
            for number in range(3):
                await asyncio.to_thread(plan, server, "ws.drop", mode="rst")
                await client.until(lambda n=number: client.connects == n + 2, "a new connection")  # type: ignore[misc]
                await client.more(2)
            assert len(client.downs) == 3

    asyncio.run(scenario())


# ---------------------------------------------------------------------------------------------------------------- REST
_accounts = iter(range(1001, 1100))


@pytest.fixture
def client(server: RunningServer) -> Iterator[OrderClient]:
    made = OrderClient(server.rest, Credentials(OWNER, KEY), total_s=PATIENT_S, pause=lambda _seconds: None)
    assert made.account_search().ok
    yield made
    made.close()


def given_up(client: OrderClient, call: Callable[[], bodies.Answer[Any]]) -> bodies.Answer[Any]:
    """What comes of a call that has little time. A stall of the machine can keep it from being sent: then once more."""
    client._total_s = HASTY_S
    try:
        for _ in range(5):
            answer = call()
            if answer.outcome != "not_sent":
                break
        return answer
    finally:
        client._total_s = PATIENT_S


def place_request(account: int, tag: str) -> bodies.OrderPlaceRequest:
    return bodies.OrderPlaceRequest(
        account_id=account, contract_id=MNQ, type=1, side=0, size=1, limit_price=100, custom_tag=tag
    )


QUERY_FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("rest.status", {"status": 503}),
    ("rest.status", {"status": 429, "retry_after": 0}),
    ("rest.status", {"status": 401}),
    ("rest.html", {}),
    ("rest.reset", {}),
    ("rest.close_after_headers", {}),
    ("rest.body", {"kind": "truncated"}),
    ("rest.body", {"kind": "gzip_bomb"}),
    ("rest.body", {"kind": "deep"}),
    ("rest.body", {"kind": "null_list"}),
    ("rest.body", {"kind": "missing"}),
    ("rest.body", {"kind": "duplicate"}),
    ("rest.body", {"kind": "success_with_code"}),
    ("rest.body", {"kind": "empty"}),
    ("rest.body", {"kind": "array"}),
    ("rest.body", {"kind": "bool_price"}),
    ("rest.body", {"kind": "nan"}),
]


@pytest.mark.parametrize(("name", "args"), QUERY_FAULTS, ids=[f"{name}-{args}" for name, args in QUERY_FAULTS])
def test_F_API_a_query_gets_over_one_bad_answer(
    server: RunningServer, client: OrderClient, name: str, args: dict[str, Any]
) -> None:
    server.plan({"name": name, "after": 1, "args": {"endpoint": "Account/search", **args}})
    before = fired(server, name)
    answer = client.account_search()
    assert fired(server, name) > before
    assert answer.ok or answer.outcome == "ambiguous"
    assert client.account_search().ok


@pytest.mark.parametrize("name", ["rest.hang", "rest.drip"])
def test_F_API_05_an_answer_that_never_ends_is_given_up_in_time(
    server: RunningServer, client: OrderClient, name: str
) -> None:
    server.plan({"name": name, "at": 0, "args": {"endpoint": "Account/search"}, "for": 60})
    assert given_up(client, client.account_search).outcome == "ambiguous"  # comes back at all: the deadline is total
    server.calm()
    assert client.account_search().ok


MUTATION_FAULTS: list[tuple[str, dict[str, Any], int]] = [
    ("rest.status", {"status": 503}, 0),
    ("rest.status", {"status": 429}, 0),
    ("rest.status", {"status": 401}, 0),
    ("rest.status", {"status": 302, "handled": True}, 1),
    ("rest.status", {"status": 503, "handled": True}, 1),
    ("rest.html", {"handled": True}, 1),
    ("rest.reset", {"handled": True}, 1),
    ("rest.hang", {"handled": True}, 1),
    ("rest.close_after_headers", {"handled": True}, 1),
    ("rest.body", {"kind": "missing"}, 1),
    ("rest.body", {"kind": "success_with_code"}, 1),
    ("order.place", {"answer": "drop"}, 1),
    ("order.place", {"answer": "reset"}, 1),
    ("order.place", {"answer": "garble"}, 1),
    ("order.place", {"outcome": "never", "answer": "drop"}, 0),
]


@pytest.mark.parametrize(("name", "args", "orders"), MUTATION_FAULTS)
def test_I2_a_placement_is_sent_once_and_its_outcome_stays_open(
    server: RunningServer, client: OrderClient, name: str, args: dict[str, Any], orders: int
) -> None:
    """POSTs that others retried after 401, 429 or a lost answer: one request on the wire, and no claim about it."""
    account = next(_accounts)
    tag = f"once-{account}"
    where = {} if name == "order.place" else {"endpoint": "Order/place"}
    server.plan({"name": name, "after": 1, "args": where | args})
    request = place_request(account, tag)
    unanswered = name == "rest.hang" or args.get("answer") == "drop"
    answer = given_up(client, lambda: client.order_place(request)) if unanswered else client.order_place(request)
    assert answer.outcome == "ambiguous"

    def sent() -> int:
        wire = server.control("GET", "/sim/wire").json()["requests"]
        return [entry["tag"] for entry in wire].count(tag)

    def placed() -> int:
        state = server.control("GET", "/sim/state").json()["accounts"]
        return len(next(one["orders"] for one in state if one["id"] == account))

    until(lambda: sent() >= 1 and placed() >= orders, "the request, though the client may have left")
    assert (sent(), placed()) == (1, orders)
    assert client.order_search_open(account).ok


def test_F_API_01_an_expired_token_costs_a_query_one_login(server: RunningServer, client: OrderClient) -> None:
    server.plan({"name": "auth.expire", "at": 0})
    before = server.control("GET", "/sim/wire").json()["requests"][-1]["number"]
    assert client.account_search().ok
    wire = server.control("GET", f"/sim/wire?since={before}").json()["requests"]
    assert [(entry["path"], entry["status"]) for entry in wire] == [
        ("/api/Account/search", 401),
        ("/api/Auth/loginKey", 200),
        ("/api/Account/search", 200),
    ]


def test_F_API_02_a_refused_login_is_not_tried_again(server: RunningServer) -> None:
    server.plan({"name": "auth.refuse", "after": 1, "for": "50 events", "args": {"code": 9}})
    made = OrderClient(server.rest, Credentials(OWNER, KEY), total_s=PATIENT_S, pause=lambda _seconds: None)
    assert made.login_key().outcome == "rejected"
    made.close()
    assert server.fired("auth.refuse") == 1
