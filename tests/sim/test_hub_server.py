"""Both hubs over real sockets, against raw frames: negotiate, handshake, invocations, keep-alive, limits, events."""

import asyncio
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import requests
from websockets.exceptions import InvalidStatus

from hub_client import HANDSHAKE, SEPARATOR, HubClient
from sim_rig import DAY_NS, MNQ, OWNER, RunningServer, ScriptedMarket, running, tick_rows, until
from tbot.domain.contracts import contract_from_broker_id
from tbot.domain.timeframes import NS_PER_S
from tbot.gateway.codec import parse_time
from tbot.gateway.signalr import PingRules
from tbot.sim import hub_server

ACCOUNT = 1001


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running() as up:
        yield up


@pytest.fixture(scope="module")
def token(server: RunningServer) -> str:
    return server.login()


def hub(server: RunningServer, name: str, token: str, **options: Any) -> HubClient:
    return HubClient(f"{server.ws}/hubs/{name}?access_token={token}", **options)


# ---------------------------------------------------------------------------------------------------------- negotiate
@pytest.mark.parametrize(("query", "version"), [("?negotiateVersion=1", 1), ("", 0), ("?negotiateVersion=7", 1)])
def test_negotiate_then_connect_once(server: RunningServer, token: str, query: str, version: int) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(f"{server.rest}/hubs/market/negotiate{query}", headers=headers, timeout=60)
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["negotiateVersion"] == version
    assert ("connectionToken" in body) is (version == 1)
    assert {"transport": "WebSockets", "transferFormats": ["Text", "Binary"]} in body["availableTransports"]
    used = body["connectionToken"] if version else body["connectionId"]
    url = f"{server.ws}/hubs/market?id={used}&access_token={token}"
    with HubClient(url):
        with pytest.raises(InvalidStatus) as refused:
            HubClient(url)
        assert refused.value.response.status_code == 409
    with pytest.raises(InvalidStatus) as refused:
        HubClient(f"{server.ws}/hubs/market?id=unknown&access_token={token}")
    assert refused.value.response.status_code == 404
    assert refused.value.response.body == b"No Connection with that ID"


def test_negotiate_refusals(server: RunningServer, token: str) -> None:
    url = f"{server.rest}/HUBS/Market/Negotiate"
    headers = {"Authorization": f"Bearer {token}"}
    assert requests.post(url, timeout=60).status_code == 401
    assert requests.get(url, headers=headers, timeout=60).status_code == 405
    assert "error" in requests.post(f"{url}?negotiateVersion=x", headers=headers, timeout=60).json()
    plain = requests.get(f"{server.rest}/hubs/market", headers=headers, timeout=60)
    assert (plain.status_code, plain.text) == (400, "Connection ID required")


def test_token_by_query_or_header_and_401_without(server: RunningServer, token: str) -> None:
    hub(server, "user", token).close()
    HubClient(f"{server.ws}/hubs/user", additional_headers={"Authorization": f"Bearer {token}"}).close()
    for bad in ("", "?access_token=nonsense"):
        with pytest.raises(InvalidStatus) as refused:
            HubClient(f"{server.ws}/hubs/user{bad}")
        assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus) as refused:
        HubClient(f"{server.ws}/hubs/other?access_token={token}")
    assert refused.value.response.status_code == 404


# ---------------------------------------------------------------------------------------------------------- handshake
@pytest.mark.parametrize("version", [0, 1, 2])
def test_handshake_versions(server: RunningServer, token: str, version: int) -> None:
    with hub(server, "user", token, handshake=f'{{"protocol":"json","version":{version}}}{SEPARATOR}') as client:
        assert client.messages[0] == "{}" + SEPARATOR


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"protocol":"messagepack","version":1}', "The protocol 'messagepack' is not supported."),
        ('{"protocol":"json","version":9}', "The server does not support version 9 of the 'json' protocol."),
        ("nonsense", "An unexpected error occurred during connection handshake."),
    ],
)
def test_handshake_errors_close(server: RunningServer, token: str, text: str, error: str) -> None:
    with hub(server, "user", token, handshake=None) as client:
        client.send(text + SEPARATOR)
        assert client.next() == {"error": error}
        assert client.next() is None


def test_records_may_be_split_and_joined(server: RunningServer, token: str) -> None:
    with hub(server, "user", token, handshake=None) as client:
        client.send(HANDSHAKE[:10])
        client.send(HANDSHAKE[10:] + '{"type":1,"invocationId":"a","target":"SubscribeAccounts","argu')
        client.send(f'ments":[]}}{SEPARATOR}{{"type":6}}{SEPARATOR}')
        assert client.next() == {}
        assert client.next() == {"type": 3, "invocationId": "a", "result": None}


# --------------------------------------------------------------------------------------------------------- invocations
@pytest.mark.parametrize(
    ("target", "arguments", "error"),
    [
        ("SubscribeOrders", [ACCOUNT], None),
        ("subscribeorders", [str(ACCOUNT)], None),
        ("UnsubscribeOrders", [ACCOUNT], None),
        ("SubscribeAccounts", [], None),
        ("SubscribeOrders", [], "Failed to invoke 'SubscribeOrders' due to an error on the server."),
        ("SubscribeOrders", [{"a": 1}], "Failed to invoke 'SubscribeOrders' due to an error on the server."),
        ("SubscribeOrders", [True], "Failed to invoke 'SubscribeOrders' due to an error on the server."),
        ("SubscribeAccounts", [1], "Failed to invoke 'SubscribeAccounts' due to an error on the server."),
        ("SubscribeOrders", [999], "Failed to invoke 'SubscribeOrders' because user is unauthorized"),
        ("SubscribeContractQuotes", [MNQ], "Unknown hub method 'SubscribeContractQuotes'"),
        ("Orders", [ACCOUNT], "Unknown hub method 'Orders'"),
        ("Heartbeat", [], "Unknown hub method 'Heartbeat'"),
    ],
)
def test_completions(server: RunningServer, token: str, target: str, arguments: list[Any], error: str | None) -> None:
    with hub(server, "user", token) as client:
        completion = client.invoke(target, *arguments)
        assert completion.get("error") == error
        assert ("result" in completion) is (error is None)


def test_no_answer_without_an_id_and_the_connection_goes_on(server: RunningServer, token: str) -> None:
    with hub(server, "user", token) as client:
        client.send(f'{{"type":1,"target":"Heartbeat","arguments":[]}}{SEPARATOR}{{"type":42,"x":1}}{SEPARATOR}')
        client.send(f'{{"type":1,"target":"SubscribeOrders","arguments":[]}}{SEPARATOR}')
        assert client.invoke("SubscribeAccounts")["result"] is None
        assert len(client.messages) == 2


@pytest.mark.parametrize("text", ["[1,2]", '{"x":1}', '{"type":1}', "broken", '{"type":1,"target":"A","arguments":{}}'])
def test_malformed_records_close_with_an_error(server: RunningServer, token: str, text: str) -> None:
    with hub(server, "user", token) as client:
        client.send(text + SEPARATOR)
        assert client.next() == {"type": 7, "error": "Connection closed with an error."}
        assert client.next() is None


def test_a_record_over_32_kb_closes(server: RunningServer, token: str) -> None:
    with hub(server, "user", token) as client:
        client.send('{"type":6,"pad":"' + "x" * 33_000)
        assert client.next() == {"type": 7, "error": "Connection closed with an error."}
        assert client.next() is None


def test_client_close_ends_the_connection(server: RunningServer, token: str) -> None:
    with hub(server, "user", token) as client:
        client.send(f'{{"type":7}}{SEPARATOR}')
        assert client.next() is None


# ----------------------------------------------------------------------------------------------------------- keep-alive
@pytest.fixture(scope="module")
def hasty() -> Iterator[RunningServer]:
    with running(pings=PingRules(interval_s=0.1, silent_s=0.4, handshake_s=30)) as up:
        yield up


def test_pings_always_come_also_while_events_flow(hasty: RunningServer) -> None:
    with hub(hasty, "market", hasty.login()) as client:
        client.invoke("SubscribeContractTrades", MNQ)
        kinds: list[int] = []
        while kinds.count(6) < 2 or kinds.count(1) < 10:
            kinds.append(client.next()["type"])
            assert len(kinds) < 1000


def test_silence_counts_only_after_the_clients_first_ping(hasty: RunningServer) -> None:
    token = hasty.login()
    with hub(hasty, "user", token) as never, hub(hasty, "user", token) as once:
        began = time.monotonic()
        once.send(f'{{"type":6}}{SEPARATOR}')
        records = []
        while (record := once.next()) is not None:
            records.append(record)
        assert records[-1] == {"type": 7, "allowReconnect": True}
        assert time.monotonic() - began >= 0.4
        assert never.invoke("SubscribeAccounts")["result"] is None


def test_no_handshake_in_time_is_cancelled() -> None:
    with (
        running(pings=PingRules(interval_s=0.1, silent_s=30, handshake_s=0.3)) as server,
        hub(server, "user", server.login(), handshake=None) as client,
    ):
        assert client.next() == {"error": "Handshake was canceled."}
        assert client.next() is None


# ------------------------------------------------------------------------------------------------------------- market
def test_trades_come_as_arrays_and_quotes_are_sparse(server: RunningServer, token: str) -> None:
    with hub(server, "market", token) as client:
        assert client.invoke("SubscribeContractQuotes", MNQ)["result"] is None
        broker_id, first = client.event("GatewayQuote")
        assert broker_id == MNQ
        assert {"symbol", "bestBid", "bestAsk", "lastPrice", "volume", "contract", "timestamp"} <= set(first)
        assert (first["symbol"], first["bestBid"], first["bestAsk"]) == ("F.US.MNQ", 250.0, 250.5)
        later = client.event("GatewayQuote")[1]
        assert not {"open", "high", "low"} & set(later)  # unchanged
        assert later["lastUpdated"] >= first["lastUpdated"]
        client.invoke("SubscribeContractTrades", MNQ)
        broker_id, prints = client.event("GatewayTrade")
        assert broker_id == MNQ
        assert prints[0].keys() == {"symbolId", "price", "timestamp", "type", "volume", "contractId"}
        assert (prints[0]["price"], prints[0]["symbolId"]) == (250.25, "F.US.MNQ")
        client.invoke("UnsubscribeContractTrades", MNQ)
        while (record := client.next()).get("target") != "GatewayQuote":
            pass
        assert all(client.next()["target"] == "GatewayQuote" for _ in range(3)), record


def script() -> ScriptedMarket:
    """Uneven bursts: 3 000 trades over a minute with quotes between them, sizes and prices that identify each."""
    rows: list[tuple[Any, ...]] = []
    for number in range(3000):
        at = DAY_NS + (number // 7) * 140_000_000 + (number % 7) * 1_000
        if number % 5 == 0:
            rows.append((at, "quote", 1000 + number % 11, 1002 + number % 13))
        rows.append((at, "trade", 1000 + number % 17, 1 + number % 9, 1 if number % 2 else -1))
    return ScriptedMarket(tick_rows(rows), DAY_NS)


def test_every_trade_of_a_fast_market_arrives_once_in_order_and_quotes_fit_in_time() -> None:
    source = (script(), [contract_from_broker_id(MNQ)], DAY_NS - 20 * NS_PER_S)
    with running(source, speed=20.0, hold=True) as server:
        token = server.login()
        with hub(server, "market", token) as client, hub(server, "market", token) as other:
            clock = requests.get(f"{server.rest}/sim/clock", timeout=60).json()
            assert (clock["started"], clock["market_ns"]) == (False, DAY_NS - 20 * NS_PER_S)
            with server.time_stopped():
                for one in (client, other):
                    one.invoke("SubscribeContractTrades", MNQ)
                    one.invoke("SubscribeContractQuotes", MNQ)
            seen: list[list[tuple[str, float, int, int]]] = []
            for one in (client, other):
                trades: list[tuple[str, float, int, int]] = []
                times: list[int] = []
                volume = 0
                quotes = 0
                while len(trades) < 3000:
                    record = one.next()
                    if record.get("target") == "GatewayTrade":
                        for row in record["arguments"][1]:
                            trades.append((row["timestamp"], row["price"], row["type"], row["volume"]))
                            times.append(parse_time(row["timestamp"]))
                    elif record.get("target") == "GatewayQuote":
                        data = record["arguments"][1]
                        quotes += 1
                        times.append(parse_time(data["timestamp"]))
                        volume = data.get("volume", volume)
                        assert volume == sum(trade[3] for trade in trades)
                seen.append(trades)
                assert all(earlier <= later for earlier, later in pairwise(times))
                assert 10 < quotes < 1500
            assert seen[0] == seen[1]
            expected = [(0.25 * (1000 + number % 17), 0 if number % 2 else 1, 1 + number % 9) for number in range(3000)]
            assert [trade[1:] for trade in seen[0]] == expected
            assert len(client.messages) < 1000


def test_speed_max_plays_everything_without_a_clock() -> None:
    source = (script(), [contract_from_broker_id(MNQ)], DAY_NS - NS_PER_S)
    with running(source, speed=None, hold=True) as server:
        with hub(server, "market", server.login()) as client:
            client.invoke("SubscribeContractTrades", MNQ)
            count = 0
            while count < 3000:
                count += len(client.event("GatewayTrade")[1])
            assert count == 3000
        clock = requests.get(f"{server.rest}/sim/clock", timeout=60).json()
        assert clock["speed"] == 0
        assert clock["ended"] is True


def test_speed_max_waits_a_moment_for_those_who_subscribe_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tbot.sim.server.MAX_LEAD_S", 600.0)
    source = (script(), [contract_from_broker_id(MNQ)], DAY_NS - NS_PER_S)
    with running(source, speed=None, hold=True) as server:
        token = server.login()
        with hub(server, "market", token) as first, hub(server, "market", token) as second:
            for one in (first, second):  # the clock starts with the first of these calls
                one.invoke("SubscribeContractQuotes", MNQ)
                one.invoke("SubscribeContractTrades", MNQ)

            def begun() -> bool:
                server.later(600)
                return server.server.market.now_ns > DAY_NS - NS_PER_S

            until(begun, "the end of the wait")
            for one in (first, second):
                prints: list[dict[str, Any]] = []
                while len(prints) < 3000:
                    prints += one.event("GatewayTrade")[1]
                assert parse_time(prints[0]["timestamp"]) == DAY_NS


class StuckSocket:
    """A client that never reads: what is sent to it never leaves."""

    async def accept(self) -> None: ...

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(3600)
        raise AssertionError

    async def send_text(self, _text: str) -> None:
        await asyncio.sleep(3600)


def test_F_NET_a_client_that_does_not_read_is_dropped_and_costs_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_server, "MAX_QUEUED_BYTES", 1000)
    monkeypatch.setattr(hub_server, "FAREWELL_S", 0.01)

    async def body() -> None:
        connection = hub_server.HubConnection(StuckSocket(), "u", hub_server.Hub("market", PingRules()))  # type: ignore[arg-type]
        running_task = asyncio.create_task(connection.run())
        for _ in range(10):
            connection.send(b"x" * 300)
            await asyncio.sleep(0)
        assert connection.dropped == "reads too slowly"
        assert connection.queued_bytes < 1000
        await asyncio.wait_for(running_task, 60)

    asyncio.run(body())


# --------------------------------------------------------------------------------------------------------------- user
def test_user_events_of_a_bracket(server: RunningServer, token: str) -> None:
    with hub(server, "user", token) as client, hub(server, "user", token) as silent:
        for target in ("SubscribeOrders", "SubscribePositions", "SubscribeTrades"):
            client.invoke(target, ACCOUNT)
        client.invoke("SubscribeAccounts")
        silent.invoke("SubscribeTrades", ACCOUNT)
        placed = server.post(
            "/api/Order/place",
            token,
            accountId=ACCOUNT,
            contractId=MNQ,
            type=2,
            side=0,
            size=1,
            customTag="hub",
            stopLossBracket={"ticks": -40, "type": 4},
            takeProfitBracket={"ticks": 80, "type": 1},
        ).json()
        entry = placed["orderId"]
        events = [client.next() for _ in range(9)]
        names = [event["target"].removeprefix("GatewayUser") for event in events]
        assert names == ["Order", "Order", "Order", "Order", "Trade", "Position", "Order", "Order", "Account"]
        wrapped = [event["arguments"][0] for event in events]
        assert [item["action"] for item in wrapped] == [1, 1, 1, 1, 0, 1, 1, 1, 1]
        data = [item["data"] for item in wrapped]
        states = [(row["id"] - entry, row["status"]) for row in data if "status" in row]
        assert states == [(1, 8), (0, 6), (2, 8), (0, 2), (2, 1), (1, 1)]
        assert not {"limitPrice", "stopPrice", "filledPrice"} & set(data[0])
        assert "profitAndLoss" not in data[4]
        assert (data[6]["limitPrice"], data[7]["stopPrice"]) == (270.5, 240.5)
        assert data[8]["balance"] == 49999.39
        assert silent.event("GatewayUserTrade")[0]["data"] == data[4]
        server.post("/api/Position/closeContract", token, accountId=ACCOUNT, contractId=MNQ)
        closed = client.event("GatewayUserPosition")[0]
        assert closed["action"] == 2
        assert (closed["data"]["type"], closed["data"]["size"], closed["data"]["averagePrice"]) == (0, 0, 250.5)


def test_nobody_hears_of_other_peoples_accounts() -> None:
    with running(other_users=(("Second", "key-2"),)) as server:
        mine, theirs = server.login(), server.login("Second", "key-2")
        with hub(server, "user", theirs) as client:
            assert "error" in client.invoke("SubscribeOrders", ACCOUNT)
            client.invoke("SubscribeAccounts")
            server.post(
                "/api/Order/place", mine, accountId=ACCOUNT, contractId=MNQ, type=1, side=0, size=1, limitPrice=1
            )
            own = {"accountId": 1002, "contractId": MNQ, "type": 2, "side": 0, "size": 1}
            server.post("/api/Order/place", theirs, **own)
            assert client.event("GatewayUserAccount")[0]["data"]["id"] == 1002


def test_shutdown_says_goodbye() -> None:
    with running() as server:
        client = hub(server, "user", server.login())
    record = client.next()
    assert record in ({"type": 7}, None)
    assert client.next() is None


def test_login_name_is_shown_as_given() -> None:
    with running() as server:
        assert server.server.ready_document(5)["user_name"] == OWNER
