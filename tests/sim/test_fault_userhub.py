"""Faults of the user hub: events lost, doubled, late, in another order or shape; logout, snapshots, tokens."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from hub_client import HubClient
from raw_hub import RawHub
from sim_rig import MNQ, RunningServer, running, until
from tbot.gateway.signalr import PingRules
from tbot.sim.auth import RateLimits

_accounts = iter(range(1001, 1100))
ALL = ("SubscribeOrders", "SubscribePositions", "SubscribeTrades")


@pytest.fixture(scope="module")
def up() -> Iterator[RunningServer]:
    pings = PingRules(interval_s=0.1, silent_s=60, handshake_s=30)
    with running(accounts=60, limits=RateLimits(10_000, 30, 10_000, 60), pings=pings) as server:
        yield server


@pytest.fixture
def server(up: RunningServer) -> Iterator[RunningServer]:
    yield up
    up.calm()


@pytest.fixture
def token(up: RunningServer) -> str:
    return up.login()


@pytest.fixture
def account() -> int:
    """An account that no other test has used."""
    return next(_accounts)


@pytest.fixture
def client(server: RunningServer, token: str, account: int) -> Iterator[HubClient]:
    with HubClient(f"{server.ws}/hubs/user?access_token={token}") as connection:
        for target in ALL:
            connection.invoke(target, account)
        connection.invoke("SubscribeAccounts")
        yield connection


def buy(server: RunningServer, token: str, account: int) -> int:
    body = {"accountId": account, "contractId": MNQ, "type": 2, "side": 0, "size": 1}
    return int(server.post("/api/Order/place", token, **body).json()["orderId"])


def told(client: HubClient, count: int) -> list[str]:
    """Kinds of the next events with the status of orders; pings are left out."""
    names: list[str] = []
    while len(names) < count:
        record = client.next()
        if record["type"] == 1:
            payload = record["arguments"][0]
            data = payload.get("data", payload)
            names.append(record["target"].removeprefix("GatewayUser") + str(data.get("status", "")))
    return names


NORMAL = ["Order6", "Order2", "Trade", "Position", "Account"]


def test_without_faults_the_order_is_this(server: RunningServer, token: str, account: int, client: HubClient) -> None:
    buy(server, token, account)
    assert told(client, 5) == NORMAL


def test_F_NET_08_withhold_leaves_one_kind_out(
    server: RunningServer, token: str, account: int, client: HubClient
) -> None:
    server.plan({"name": "userhub.withhold", "after": 1, "args": {"kind": "trade", "account": account}})
    buy(server, token, account)
    assert told(client, 4) == [name for name in NORMAL if name != "Trade"]
    buy(server, token, account)
    assert told(client, 5) == NORMAL
    assert len(trades(server, token, account)) == 2


def trades(server: RunningServer, token: str, account: int) -> list[Any]:
    body = {"accountId": account, "startTimestamp": "2020-01-01T00:00:00Z"}
    rows: list[Any] = server.post("/api/Trade/search", token, **body).json()["trades"]
    return rows


def test_F_NET_08_dup_reorder_and_delay(server: RunningServer, token: str, account: int, client: HubClient) -> None:
    server.plan({"name": "userhub.dup", "after": 1, "args": {"kind": "trade"}})
    buy(server, token, account)
    assert told(client, 6) == ["Order6", "Order2", "Trade", "Trade", "Position", "Account"]
    server.calm()
    server.plan({"name": "userhub.reorder", "after": 1, "args": {"kind": "order", "by": 2}})
    buy(server, token, account)
    assert told(client, 5) == ["Order2", "Trade", "Order6", "Position", "Account"]  # the fill before the order
    server.calm()
    server.plan({"name": "userhub.delay", "after": 1, "args": {"kind": "position", "seconds": 0.2}})
    buy(server, token, account)
    assert told(client, 5) == ["Order6", "Order2", "Trade", "Account", "Position"]


def test_F_NET_08_a_reordered_last_event_comes_after_the_wait(
    server: RunningServer, token: str, account: int, client: HubClient
) -> None:
    server.plan({"name": "userhub.reorder", "after": 1, "args": {"kind": "account", "by": 5, "wait": 0.1}})
    buy(server, token, account)
    assert told(client, 5) == NORMAL


def test_F_NET_08_shuffle_gives_any_order_of_the_same_events(
    server: RunningServer, token: str, account: int, client: HubClient
) -> None:
    server.plan({"name": "userhub.shuffle", "at": 0})
    seen = set()
    for _ in range(6):
        buy(server, token, account)
        names = told(client, 5)
        assert sorted(names) == sorted(NORMAL)
        seen.add(tuple(names))
    assert len(seen) > 1


def test_F_NET_07_mute_black_hole_and_drop_leave_the_market_hub_alone(
    server: RunningServer, token: str, account: int, client: HubClient
) -> None:
    with HubClient(f"{server.ws}/hubs/market?access_token={token}") as market:
        market.invoke("SubscribeContractTrades", MNQ)
        server.plan({"name": "userhub.mute", "at": 0})
        buy(server, token, account)
        until(lambda: trades(server, token, account), "the fill")
        assert [client.next()["type"] for _ in range(3)] == [6, 6, 6]
        server.calm()
        server.plan({"name": "userhub.blackhole", "at": 0})
        market.event("GatewayTrade")
        with pytest.raises(TimeoutError):
            list(iter(lambda: client.next(timeout_s=0.3), None))
        server.calm()
        server.plan({"name": "userhub.drop", "at": 0, "args": {"mode": "allowReconnect"}})
        *_, last = iter(client.next, None)
        assert last == {"type": 7, "allowReconnect": True}
        market.event("GatewayTrade")


def test_F_NET_09_logout_on_both_hubs(server: RunningServer, token: str, client: HubClient) -> None:
    with HubClient(f"{server.ws}/hubs/market?access_token={token}") as market:
        server.plan({"name": "userhub.logout", "at": 0, "args": {"hub": "both", "drop": True}})
        for one in (client, market):
            assert one.event("GatewayLogout") == []
            *_, last = iter(one.next, None)
            assert last == {"type": 7}


def test_text_ids_and_bare_payloads(server: RunningServer, token: str, account: int, client: HubClient) -> None:
    server.plan({"name": "userhub.text_ids", "at": 0, "args": {"kind": "order"}})
    number = buy(server, token, account)
    assert client.event("GatewayUserOrder")[0]["data"]["id"] == str(number)
    assert client.event("GatewayUserTrade")[0]["data"]["orderId"] == number
    client.event("GatewayUserAccount")
    server.calm()
    server.plan({"name": "userhub.bare", "at": 0})
    number = buy(server, token, account)
    assert client.event("GatewayUserOrder")[0]["id"] == number
    assert client.event("GatewayUserTrade")[0]["orderId"] == number


def test_a_snapshot_after_subscribing(server: RunningServer, token: str, account: int) -> None:
    buy(server, token, account)
    body = {"accountId": account, "contractId": MNQ, "type": 1, "side": 0, "size": 1, "limitPrice": 100}
    working = server.post("/api/Order/place", token, **body).json()["orderId"]
    until(lambda: trades(server, token, account), "the fill")
    server.plan({"name": "userhub.snapshot", "at": 0})
    with HubClient(f"{server.ws}/hubs/user?access_token={token}") as client:
        for target in ALL:
            client.invoke(target, account)
        client.invoke("SubscribeAccounts")
        order = client.event("GatewayUserOrder")[0]["data"]
        assert (order["id"], order["status"]) == (working, 1)
        assert client.event("GatewayUserPosition")[0]["data"]["size"] == 1
        names = told(client, 60)
        assert names == ["Account"] * 60  # no trades, and every account of the user


def test_F_API_01_a_server_may_close_hubs_when_their_token_dies(server: RunningServer, token: str) -> None:
    server.plan({"name": "auth.close_on_expiry", "at": 0})
    with HubClient(f"{server.ws}/hubs/user?access_token={token}") as client:
        assert client.next() == {"type": 6}
        server.plan({"name": "auth.expire", "at": 0})
        *_, last = iter(client.next, None)
        assert last == {"type": 7, "allowReconnect": True}
    fresh = server.login()
    with HubClient(f"{server.ws}/hubs/user?access_token={fresh}") as client:
        assert client.next() == {"type": 6}


def test_an_open_hub_outlives_its_token_otherwise(server: RunningServer, token: str, client: HubClient) -> None:
    server.plan({"name": "auth.expire", "at": 0})
    assert [client.next()["type"] for _ in range(5)] == [6] * 5


def test_F_DAT_02_wrong_members_of_user_events(server: RunningServer, token: str, account: int) -> None:
    args = {"kind": "trade", "field": "price", "how": "raw", "value": "Infinity"}
    server.plan({"name": "ws.corrupt", "after": 1, "args": args})
    with RawHub(f"{server.ws}/hubs/user?access_token={token}") as raw:
        raw.send(f'{{"type":1,"target":"SubscribeTrades","arguments":[{account}]}}\x1e'.encode())
        raw.send(b'{"type":1,"invocationId":"0","target":"SubscribeAccounts","arguments":[]}\x1e')
        while b'"invocationId"' not in raw.frame()[1]:
            pass
        buy(server, token, account)
        stream = b""
        while b"GatewayUserTrade" not in stream:
            stream += raw.frame()[1]
    (event,) = [record for record in stream.split(b"\x1e") if b"GatewayUserTrade" in record]
    assert b'"price":Infinity' in event
    assert json.loads(event)["arguments"][0]["data"]["accountId"] == account
