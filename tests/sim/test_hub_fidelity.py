"""The hubs against the transport rules, line by line, where test_hub_server.py has no case: what clients may send."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hub_client import HANDSHAKE, SEPARATOR, HubClient
from raw_hub import RawHub
from sim_rig import ACCOUNT_BODY, MNQ, RunningServer, running
from tbot.gateway.signalr import PingRules

ACCOUNT = 1001


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running() as up:
        yield up


@pytest.fixture(scope="module")
def token(server: RunningServer) -> str:
    return server.login()


@pytest.fixture
def client(server: RunningServer, token: str) -> Iterator[HubClient]:
    with HubClient(f"{server.ws}/hubs/user?access_token={token}") as connection:
        yield connection


def send(client: HubClient, *records: dict[str, Any]) -> None:
    client.send("".join(json.dumps(record) + SEPARATOR for record in records))


# ---------------------------------------------------------------------------------------------------------- negotiate
@pytest.mark.parametrize("where", ["header", "query"])
def test_negotiate_takes_the_token_from_either_place_and_keeps_the_query(
    server: RunningServer, token: str, where: str
) -> None:
    query = f"?access_token={token}&negotiateVersion=1" if where == "query" else "?negotiateVersion=1"
    headers = {"Authorization": f"Bearer {token}"} if where == "header" else {}
    answer = requests.post(f"{server.rest}/hubs/market/negotiate{query}", headers=headers, timeout=60)
    assert answer.ok
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert answer.json()["connectionToken"] != answer.json()["connectionId"]


@pytest.mark.parametrize("version", ["x", "-1", "1.5", "", pytest.param("9" * 5000, id="huge")])
def test_a_version_that_is_no_number_is_an_error_in_a_200(server: RunningServer, token: str, version: str) -> None:
    url = f"{server.rest}/hubs/market/negotiate?negotiateVersion={version}"
    answer = requests.post(url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    assert answer.status_code == 200
    assert list(answer.json()) == ["error"]


def test_a_refused_upgrade_is_no_error_of_the_server(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        with pytest.raises(InvalidStatus) as refused:
            HubClient(f"{server.ws}/hubs/market?access_token=no-{number}")
        assert refused.value.response.status_code == 401
    requests.post(f"{server.rest}/api/Status/ping", timeout=60)  # the tasks of the upgrades are done
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_an_id_is_for_one_connection_of_one_hub(server: RunningServer, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}

    def fresh() -> str:
        url = f"{server.rest}/hubs/market/negotiate?negotiateVersion=1"
        return str(requests.post(url, headers=headers, timeout=60).json()["connectionToken"])

    used = fresh()
    HubClient(f"{server.ws}/hubs/market?id={used}&access_token={token}").close()
    for hub, number in (("market", used), ("user", fresh())):
        with pytest.raises(InvalidStatus) as refused:
            HubClient(f"{server.ws}/hubs/{hub}?id={number}&access_token={token}")
        assert refused.value.response.status_code == 404


def test_no_compression_is_offered_unasked_or_asked(server: RunningServer, token: str) -> None:
    with HubClient(f"{server.ws}/hubs/user?access_token={token}", compression="deflate") as client:
        assert client.socket.response is not None
        assert "Sec-WebSocket-Extensions" not in client.socket.response.headers


# ----------------------------------------------------------------------------------------------------------- websocket
def test_pings_of_the_websocket_are_answered(client: HubClient) -> None:
    assert client.socket.ping().wait(10)


def test_binary_frames_from_a_client_are_read(client: HubClient) -> None:
    client.socket.send(b'{"type":1,"invocationId":"b","target":"SubscribeAccounts","arguments":[]}\x1e')
    assert client.next() == {"type": 3, "invocationId": "b", "result": None}


def test_invalid_utf8_closes_with_1007(server: RunningServer, token: str) -> None:
    with RawHub(f"{server.ws}/hubs/user?access_token={token}") as raw:
        raw.send(b'{"type":6,"x":"\xff\xfe"}\x1e')
        first, payload = raw.frame()
        assert (first, payload[:2]) == (0x88, (1007).to_bytes(2, "big"))


def test_text_frames_only_and_whole_records(server: RunningServer, token: str) -> None:
    with RawHub(f"{server.ws}/hubs/market?access_token={token}") as raw:
        for target in ("SubscribeContractQuotes", "SubscribeContractTrades", "SubscribeContractMarketDepth"):
            raw.send(f'{{"type":1,"target":"{target}","arguments":["{MNQ}"]}}\x1e'.encode())
        for _ in range(25):
            first, payload = raw.frame()
            assert first == 0x81
            assert payload.endswith(b"\x1e")
            assert all(json.loads(record)["type"] == 1 for record in payload.split(b"\x1e")[:-1])


def test_several_records_share_a_message_unless_told_not_to() -> None:
    def most(**settings: Any) -> int:
        with (
            running(**settings) as server,
            HubClient(f"{server.ws}/hubs/market?access_token={server.login()}") as client,
        ):
            client.invoke("SubscribeContractQuotes", MNQ)
            client.invoke("SubscribeContractTrades", MNQ)
            for _ in range(12):
                client.next()
            return max(str(text).count(SEPARATOR) for text in client.messages)

    assert most() > 1
    assert most(batch=False) == 1


def test_the_limit_of_a_record_is_a_setting() -> None:
    with (
        running(max_record=2000) as server,
        HubClient(f"{server.ws}/hubs/user?access_token={server.login()}") as client,
    ):
        client.send('{"type":6,"pad":"' + "x" * 1900 + '"}' + SEPARATOR)
        assert client.invoke("SubscribeAccounts")["result"] is None
        client.send('{"type":6,"pad":"' + "x" * 2100 + '"}' + SEPARATOR)
        assert client.next() == {"type": 7, "error": "Connection closed with an error."}


# ---------------------------------------------------------------------------------------------------------- handshake
def test_a_handshake_may_have_records_behind_it(server: RunningServer, token: str) -> None:
    with HubClient(f"{server.ws}/hubs/user?access_token={token}", handshake=None) as client:
        call = '{"type":1,"invocationId":"0","target":"SubscribeAccounts","arguments":[]}'
        client.send(f'{HANDSHAKE}{{"type":6}}{SEPARATOR}{call}{SEPARATOR}')
        assert client.next() == {}
        assert client.next() == {"type": 3, "invocationId": "0", "result": None}


def test_a_handshake_of_more_than_32_kb_is_refused(server: RunningServer, token: str) -> None:
    with HubClient(f"{server.ws}/hubs/user?access_token={token}", handshake=None) as client:
        client.send('{"protocol":"json","version":1,"pad":"' + "x" * 33_000 + '"}' + SEPARATOR)
        assert client.next() == {"type": 7, "error": "Connection closed with an error."}
        assert client.next() is None


# --------------------------------------------------------------------------------------------------------- invocations
def test_members_in_any_order_with_headers_and_unknown_ones(client: HubClient) -> None:
    send(
        client,
        {
            "arguments": [],
            "headers": {"h": "1"},
            "new": 1,
            "target": "SubscribeAccounts",
            "invocationId": "z",
            "type": 1,
        },
    )
    assert client.next() == {"type": 3, "invocationId": "z", "result": None}


@pytest.mark.parametrize("target", ["subscribeACCOUNTS", "SUBSCRIBEACCOUNTS", "SubscribeAccounts"])
def test_method_names_in_any_case(client: HubClient, target: str) -> None:
    assert client.invoke(target)["result"] is None


def test_calls_are_answered_in_their_order(client: HubClient) -> None:
    calls = [
        {"type": 1, "invocationId": str(number), "target": "SubscribeOrders", "arguments": [ACCOUNT]}
        for number in range(20)
    ]
    send(client, *calls)
    assert [client.next()["invocationId"] for _ in calls] == [str(number) for number in range(20)]


@pytest.mark.parametrize(
    ("target", "error"),
    [
        (
            "SubscribeAccounts",
            "The client attempted to invoke the non-streaming 'SubscribeAccounts' method with a streaming invocation.",
        ),
        ("Stream", "Unknown hub method 'Stream'"),
    ],
)
def test_streaming_calls_are_refused_and_the_connection_goes_on(client: HubClient, target: str, error: str) -> None:
    send(client, {"type": 4, "invocationId": "s", "target": target, "arguments": []})
    assert client.next() == {"type": 3, "invocationId": "s", "error": error}
    send(client, {"type": 5, "invocationId": "s"}, {"type": 8, "sequenceId": 1}, {"type": 9, "sequenceId": 1})
    send(client, {"type": 3, "invocationId": "nobody", "result": 1}, {"type": 2, "invocationId": "s", "item": 1})
    assert client.invoke("SubscribeAccounts")["result"] is None


@pytest.mark.parametrize(
    "record",
    [
        {"type": 1, "invocationId": 7, "target": "SubscribeAccounts", "arguments": []},
        {"type": 1, "target": "", "arguments": []},
        {"type": 1, "target": "SubscribeAccounts"},
        {"type": "1", "target": "SubscribeAccounts", "arguments": []},
        {"type": 3},
        {"type": 3, "invocationId": "1", "result": 1, "error": "both"},
    ],
)
def test_what_the_framework_calls_invalid_data_closes(client: HubClient, record: dict[str, Any]) -> None:
    send(client, record)
    assert client.next() == {"type": 7, "error": "Connection closed with an error."}
    assert client.next() is None
    with pytest.raises(ConnectionClosed) as closed:
        client.socket.recv(timeout=60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


def test_empty_records_are_ignored(client: HubClient) -> None:
    client.send(SEPARATOR * 3)
    assert client.invoke("SubscribeAccounts")["result"] is None


def test_wrong_calls_without_an_id_are_silently_ignored(client: HubClient) -> None:
    for target, arguments in (("Heartbeat", []), ("SubscribeOrders", []), ("SubscribeOrders", [999]), ("X", [1, 2])):
        send(client, {"type": 1, "target": target, "arguments": arguments})
    assert client.invoke("SubscribeAccounts")["result"] is None
    assert len(client.messages) == 2


def test_after_unsubscribing_nothing_more_comes(server: RunningServer, token: str, client: HubClient) -> None:
    client.invoke("SubscribeTrades", ACCOUNT)
    client.invoke("SubscribeOrders", ACCOUNT)
    client.invoke("UnsubscribeTrades", ACCOUNT)
    server.post("/api/Order/place", token, **ACCOUNT_BODY)
    statuses = [client.event("GatewayUserOrder")[0]["data"]["status"] for _ in range(2)]
    assert statuses == [6, 2]
    assert client.invoke("SubscribeAccounts")["result"] is None
    assert not [text for text in client.messages if "GatewayUserTrade" in str(text)]


# ----------------------------------------------------------------------------------------------------------- keep-alive
def test_only_a_clients_own_records_keep_it_alive() -> None:
    pings = PingRules(interval_s=20, silent_s=60, handshake_s=600)
    with running(pings=pings) as server, HubClient(f"{server.ws}/hubs/user?access_token={server.login()}") as client:
        send(client, {"type": 6})
        for _ in range(4):  # 160 s with records of the client in time
            server.later(40)
            assert client.invoke("Heartbeat")["error"]
        kept = len(client._records)
        server.later(40)
        assert [client.next() for _ in range(kept + 1)] == [{"type": 6}] * (kept + 1)  # those do not count
        server.later(40)
        *_, last = iter(client.next, None)
        assert last == {"type": 7, "allowReconnect": True}


def test_many_users_see_only_their_own_accounts() -> None:
    with running(users=3, accounts=2) as server:
        people = [(user.name, user.api_key) for user in server.server.users]
        assert len({name for name, _ in people}) == 3
        clients = []
        for number, (name, key) in enumerate(people):
            mine = [1001 + 2 * number, 1002 + 2 * number]
            token = server.login(name, key)
            client = HubClient(f"{server.ws}/hubs/user?access_token={token}")
            errors = [client.invoke("SubscribeOrders", account).get("error") for account in range(1001, 1007)]
            assert [account for account, error in zip(range(1001, 1007), errors, strict=True) if error is None] == mine
            clients.append((client, token, mine))
        for _, token, mine in clients:
            server.post("/api/Order/place", token, **(ACCOUNT_BODY | {"accountId": mine[1]}))
        for client, _, mine in clients:
            told = {client.event("GatewayUserOrder")[0]["data"]["accountId"] for _ in range(2)}
            assert told == {mine[1]}
            client.close()
