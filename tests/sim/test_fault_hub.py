"""Faults of the hubs over real sockets: what a client sees of each, and that the hub is whole again afterwards."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hub_client import HANDSHAKE, SEPARATOR, HubClient
from raw_hub import RawHub
from sim_rig import ES, MNQ, RunningServer, ScriptedMarket, repeated, running, until
from tbot.domain.contracts import contract_from_broker_id
from tbot.gateway.signalr import PingRules
from tbot.sim import hub_server

ACCOUNT = 1001


def two_contracts() -> tuple[ScriptedMarket, list[Any], int]:
    """MNQ and ES, a trade of each every 20 ms; MNQ's sizes count up, so that each record is known."""
    start = time.time_ns()
    rows: list[tuple[Any, ...]] = [(start, "quote", 1000, 1002), (start, "trade", 1001, 1, 1)]
    ticks = np.concatenate([repeated(rows, 50_000, 20_000_000, symbol, numbered=True) for symbol in ("MNQ", "ES")])
    ticks = ticks[np.argsort(ticks["exch_ns"], kind="stable")]
    return ScriptedMarket(ticks, start), [contract_from_broker_id(MNQ), contract_from_broker_id(ES)], start


@pytest.fixture(scope="module")
def up() -> Iterator[RunningServer]:
    with running(two_contracts(), pings=PingRules(interval_s=0.05, silent_s=60, handshake_s=30)) as server:
        yield server


@pytest.fixture
def server(up: RunningServer) -> Iterator[RunningServer]:
    yield up
    up.calm()


@pytest.fixture(scope="module")
def token(up: RunningServer) -> str:
    return up.login()


def url(server: RunningServer, token: str, name: str = "market") -> str:
    return f"{server.ws}/hubs/{name}?access_token={token}"


def trades(server: RunningServer, token: str) -> HubClient:
    client = HubClient(url(server, token))
    client.invoke("SubscribeContractTrades", MNQ)
    return client


def sizes(client: HubClient, count: int) -> list[int]:
    """Volumes of the next MNQ prints."""
    found: list[int] = []
    while len(found) < count:
        contract, rows = client.event("GatewayTrade")
        if contract == MNQ:
            found += [row["volume"] for row in rows]
    return found


def to_the_end(source: HubClient | RawHub) -> None:
    """Read until nothing comes for a while or the connection ends, which raises."""
    while True:
        if isinstance(source, HubClient):
            assert source.next(timeout_s=0.2) is not None
        else:
            assert source.frame()[0] == 0x81


def raw_trades(server: RunningServer, token: str) -> RawHub:
    raw = RawHub(url(server, token))
    raw.send(f'{{"type":1,"target":"SubscribeContractTrades","arguments":["{MNQ}"]}}{SEPARATOR}'.encode())
    return raw


# --------------------------------------------------------------------------------------------------------- connections
def test_F_NET_01_a_reset_is_a_reset(server: RunningServer, token: str) -> None:
    with raw_trades(server, token) as raw:
        raw.frame()
        server.plan({"name": "ws.drop", "at": 0, "args": {"hub": "market", "mode": "rst"}})
        with pytest.raises(ConnectionResetError):
            to_the_end(raw)


def test_F_NET_01_fin_ends_the_stream_without_a_close_frame(server: RunningServer, token: str) -> None:
    with raw_trades(server, token) as raw:
        raw.frame()
        server.plan({"name": "ws.drop", "at": 0, "args": {"mode": "fin"}})
        with pytest.raises(EOFError):
            to_the_end(raw)


@pytest.mark.parametrize(
    ("mode", "record", "code"),
    [
        ("final", {"type": 7}, 1000),
        ("allowReconnect", {"type": 7, "allowReconnect": True}, 1000),
        ("error", {"type": 7, "error": "Connection closed with an error."}, 1000),
        *((f"close{code}", None, code) for code in (1000, 1001, 1008, 1009, 1011)),
    ],
)
def test_F_NET_01_close_records_and_close_codes(
    server: RunningServer, token: str, mode: str, record: Any, code: int
) -> None:
    with trades(server, token) as client:
        server.plan({"name": "ws.drop", "at": 0, "args": {"hub": "market", "mode": mode}})
        last: Any = {}
        while (one := client.next()) is not None:
            last = one
        assert (last if last.get("type") == 7 else None) == record
        with pytest.raises(ConnectionClosed) as closed:
            client.socket.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


def test_F_NET_01_after_so_many_records_and_only_once(server: RunningServer, token: str) -> None:
    server.plan({"name": "ws.drop", "after": 5, "args": {"hub": "market", "mode": "final"}})
    with trades(server, token) as client:
        seen = []
        while (record := client.next()) is not None:
            seen.append(record)
        assert seen[-1] == {"type": 7}
        assert sum(record.get("target") == "GatewayTrade" for record in seen) <= 5
    with trades(server, token) as client:
        sizes(client, 20)


def test_F_NET_01_an_outage_drops_every_new_connection_until_it_ends(server: RunningServer, token: str) -> None:
    server.plan({"id": "outage", "name": "ws.drop", "at": 0, "for": 60, "args": {"hub": "market", "mode": "final"}})
    for first in ({"type": 7}, {"type": 7}, {"type": 6}):
        if first == {"type": 6}:  # a ping: this one lives
            server.later(60)
        with HubClient(url(server, token), handshake=None) as client:
            client.send(HANDSHAKE)
            assert client.next() == {}
            assert client.next() == first


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500, 502, 503])
def test_F_NET_04_upgrade_statuses(server: RunningServer, token: str, status: int) -> None:
    args = {"hub": "market", "mode": str(status), "retry_after": 7}
    server.plan({"name": "ws.handshake", "after": 1, "args": args})
    with pytest.raises(InvalidStatus) as refused:
        HubClient(url(server, token))
    assert refused.value.response.status_code == status
    assert refused.value.response.headers["Retry-After"] == "7"
    HubClient(url(server, token)).close()


def test_F_NET_04_handshake_answers(server: RunningServer, token: str) -> None:
    for mode in ("error", "garbage", "none", "glued"):
        server.plan({"name": "ws.handshake", "after": 1, "args": {"hub": "market", "mode": mode}})
        with HubClient(url(server, token), handshake=None) as client:
            client.send(HANDSHAKE)
            if mode == "error":
                assert client.next() == {"error": "The handshake was refused."}
                assert client.next() is None
            elif mode == "garbage":
                assert "no handshake answer" in str(client.socket.recv(timeout=60))
            elif mode == "none":
                call = {"type": 1, "invocationId": "0", "target": "SubscribeContractQuotes", "arguments": [MNQ]}
                client.send(json.dumps(call) + SEPARATOR)
                assert [client.next(), client.next()] == [{"type": 6}] * 2  # pings go on, calls count for nothing
            else:
                first = client.socket.recv(timeout=60)
                assert isinstance(first, str)
                answer, ping, quote, *_ = first.split(SEPARATOR)
                assert (answer, json.loads(ping)) == ("{}", {"type": 6})
                assert json.loads(quote)["target"] == "GatewayQuote"
                assert client.invoke("SubscribeContractTrades", MNQ)["result"] is None


def test_F_NET_04_negotiation_fails_in_every_way(server: RunningServer, token: str) -> None:
    address = f"{server.rest}/hubs/market/negotiate?negotiateVersion=1&access_token={token}"
    for mode in ("401", "503", "error", "garbage", "none"):
        args = {"hub": "market", "mode": mode, "where": "negotiate", "retry_after": 3}
        server.plan({"name": "ws.handshake", "after": 1, "args": args})
        HubClient(url(server, token)).close()  # the upgrade is another event
        if mode == "none":
            with pytest.raises(requests.exceptions.ReadTimeout):
                requests.post(address, timeout=(60, 0.3))
        else:
            answer = requests.post(address, timeout=60)
            assert answer.status_code == (int(mode) if mode.isdigit() else 200)
            assert answer.headers.get("Retry-After") == ("3" if mode.isdigit() else None)
            assert (answer.text[:8] == '{"error"') is (mode == "error")
        assert requests.post(address, timeout=60).json()["connectionToken"]


def test_F_NET_02_a_black_hole_swallows_both_ways_and_new_connections(server: RunningServer, token: str) -> None:
    with trades(server, token) as client:
        sizes(client, 3)
        server.plan({"name": "ws.blackhole", "at": 0, "args": {"hub": "market"}})
        with pytest.raises(TimeoutError):
            to_the_end(client)
        client.send('{"type":1,"invocationId":"x","target":"SubscribeContractQuotes","arguments":["' + ES + '"]}\x1e')
        with pytest.raises(TimeoutError):
            to_the_end(client)  # what a stall of ours had left in the socket may still come, no answer does
        assert not [text for text in client.messages if '"invocationId":"x"' in str(text)]
        with pytest.raises(TimeoutError):
            RawHub(url(server, token), timeout_s=0.2)
        HubClient(url(server, token, "user")).close()
        server.calm()
        while (one := client.next()) != {"type": 3, "invocationId": "x", "result": None}:
            assert one is not None
        assert '"invocationId":"x"' in str(client.messages[-1])


def test_F_NET_05_a_stall_holds_everything_and_ends_in_a_burst(server: RunningServer, token: str) -> None:
    with trades(server, token) as client:
        sizes(client, 3)
        server.plan({"name": "ws.stall", "at": 0, "args": {"hub": "market"}})
        with pytest.raises(TimeoutError):
            to_the_end(client)
        until(lambda: server.fired("ws.stall") > 10, "many records that wait")
        server.calm()
        found = sizes(client, 12)
        assert found == list(range(found[0], found[0] + len(found)))
        assert len([text for text in client.messages if str(text).count("GatewayTrade") > 5]) >= 1


def test_F_NET_03_freeze_pings_go_on_without_data_until_a_new_connection(server: RunningServer, token: str) -> None:
    with trades(server, token) as client:
        sizes(client, 3)
        server.plan({"name": "ws.freeze", "at": 0, "args": {"hub": "market", "heals": "reconnect"}})
        until(lambda: server.fired("ws.freeze"), "a frozen record")
        assert client.invoke("SubscribeContractQuotes", MNQ)["result"] is None  # what comes later was sent frozen
        client._records.clear()
        assert [client.next()["type"] for _ in range(12)] == [6] * 12
        with trades(server, token) as again:
            sizes(again, 3)


def test_F_NET_03_mute_takes_one_contract_away_until_it_is_subscribed_again(server: RunningServer, token: str) -> None:
    with trades(server, token) as client:
        client.invoke("SubscribeContractTrades", ES)
        server.plan({"name": "ws.mute", "at": 0, "args": {"contract": "MNQ", "heals": "subscribe"}})
        until(lambda: server.fired("ws.mute"), "a muted record")
        client.invoke("UnsubscribeContractQuotes", ES)  # what comes after its answer was sent muted
        client._records.clear()
        assert [client.event("GatewayTrade")[0] for _ in range(10)] == [ES] * 10
        client.invoke("SubscribeContractTrades", MNQ)
        assert sizes(client, 2)


# -------------------------------------------------------------------------------------------------------------- stream
def test_F_NET_05_latency_and_jitter_keep_order_and_lose_nothing(server: RunningServer, token: str) -> None:
    with trades(server, token) as client:
        sizes(client, 1)
        server.plan(
            {"name": "ws.latency", "at": 0, "args": {"hub": "market", "seconds": 0.2}},
            {"name": "ws.jitter", "at": 0, "args": {"hub": "market", "seconds": 0.1}},
        )
        first = sizes(client, 1)[-1]
        found = sizes(client, 12)
        server.calm()
        found += sizes(client, 8)
        assert found == list(range(first + 1, first + 1 + len(found)))


def test_F_NET_05_latency_delays_what_is_sent(server: RunningServer, token: str) -> None:
    with trades(server, token) as client:
        server.plan({"name": "ws.latency", "at": 0, "args": {"hub": "market", "seconds": 0.4}})
        began = time.monotonic()
        client.invoke("SubscribeContractQuotes", ES)
        assert time.monotonic() - began >= 0.4


def test_F_NET_05_what_latency_holds_up_counts_as_waiting(
    server: RunningServer, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a simulator at speed max would run ahead of its reader without end."""
    hub = server.server.market_hub
    with trades(server, token) as client:
        sizes(client, 1)
        server.plan({"name": "ws.latency", "at": 0, "args": {"hub": "market", "seconds": 0.3}})
        until(lambda: hub.queued_bytes() > 500, "records that wait")
        (connection,) = hub.connections
        server.calm()
        until(lambda: connection.late == 0, "all of them have left")
        until(lambda: hub.queued_bytes() < 500, "what has left waits nowhere")
        monkeypatch.setattr(hub_server, "MAX_QUEUED_BYTES", 1000)
        server.plan({"name": "ws.latency", "at": 0, "args": {"hub": "market", "seconds": 60}})
        until(lambda: connection.dropped == "reads too slowly", "the bound is kept")


def test_F_NET_05_bandwidth_trickles_in_pieces(server: RunningServer, token: str) -> None:
    with raw_trades(server, token) as raw:
        raw.frame()
        server.plan({"name": "ws.bandwidth", "at": 0, "args": {"hub": "market", "bytes_per_s": 300}})
        until(lambda: server.fired("ws.bandwidth"), "a slow record")
        pieces: list[int] = []
        while sum(1 for size in pieces if size <= 15) < 5:  # those that a stall of ours lets meet are longer
            pieces.append(len(raw.read()))
            assert pieces[-1]
            assert len(pieces) < 100


@pytest.mark.parametrize("how", ["split", "fragments", "bytes", "merge"])
def test_F_NET_05_slices_of_the_stream_carry_the_same_records(server: RunningServer, token: str, how: str) -> None:
    with raw_trades(server, token) as raw:
        size = 40 if how == "merge" else 11
        server.plan({"name": "ws.slice", "at": 0, "args": {"hub": "market", "how": how, "size": size}})
        until(lambda: server.fired("ws.slice"), "a sliced record")
        stream = b""
        frames: list[tuple[int, bytes]] = []

        def shown() -> bool:
            """Whether what came looks as the fault would have it; the first frames can be older than the fault."""
            firsts = {first for first, _ in frames}
            cut = sum(1 for _, payload in frames if not payload.endswith(b"\x1e"))
            return {
                "split": cut > 20,
                "fragments": {0x01, 0x00, 0x80} <= firsts,
                "bytes": True,
                "merge": any(payload.count(b"\x1e") >= 10 for _, payload in frames),
            }[how]

        while stream.count(b"GatewayTrade") < 25 or not shown():
            frames.append(raw.frame())
            stream += frames[-1][1]
            assert stream.count(b"GatewayTrade") < 1000
        records = [json.loads(record) for record in stream.split(b"\x1e")[:-1] if record]
        volumes = [row["volume"] for one in records if one["type"] == 1 for row in one["arguments"][1]]
        assert volumes == list(range(volumes[0], volumes[0] + len(volumes)))
        if how == "split":
            assert {first for first, _ in frames} == {0x81}


def test_F_NET_05_a_ping_of_the_websocket_is_answered_between_frames_even_when_they_drip(
    server: RunningServer, token: str
) -> None:
    with raw_trades(server, token) as raw:
        server.plan({"name": "ws.slice", "at": 0, "args": {"hub": "market", "how": "bytes"}})
        until(lambda: server.fired("ws.slice"), "a sliced record")
        for number in range(20):
            raw.send(b"%d" % number, opcode=9)
        pongs = []
        while len(pongs) < 20:
            first, payload = raw.frame()
            assert first in (0x81, 0x8A)
            if first == 0x8A:
                pongs.append(payload)
        assert pongs == [b"%d" % number for number in range(20)]


# ------------------------------------------------------------------------------------------------------------- records
def records(client: HubClient, count: int) -> list[tuple[int, ...]]:
    """Volumes of MNQ prints, record by record (a record can hold several prints)."""
    found: list[tuple[int, ...]] = []
    while len(found) < count:
        contract, rows = client.event("GatewayTrade")
        if contract == MNQ:
            found.append(tuple(row["volume"] for row in rows))
    return found


def records_until(client: HubClient, shows: Callable[[list[tuple[int, ...]]], bool]) -> list[tuple[int, ...]]:
    """Records up to where the newest one shows the fault, and some behind it."""
    found = records(client, 1)
    while not shows(found):
        assert len(found) < 1000, "the fault never showed"
        found += records(client, 1)
    return found + records(client, 6)


def goes_back(found: list[tuple[int, ...]]) -> bool:
    """Whether the newest record is older than the one before it."""
    return found[-1] < found[-2] if len(found) > 1 else False


def in_order(found: list[tuple[int, ...]]) -> bool:
    """Every print once, and none missing."""
    flat = [volume for record in found for volume in record]
    return flat == list(range(flat[0], flat[0] + len(flat)))


QUIET = {"hub": "market", "kind": "trade", "contract": "MNQ"}


def test_F_NET_06_dup(server: RunningServer, token: str) -> None:
    with trades(server, token) as client:
        server.plan({"name": "ws.dup", "after": 3, "args": {**QUIET, "copies": 2}})
        found = records_until(client, lambda found: found.count(found[-1]) == 3)
        (twin,) = {record for record in found if found.count(record) == 3}
        place = found.index(twin)
        assert found[place : place + 3] == [twin] * 3
        assert in_order(found[: place + 1] + found[place + 3 :])


def test_F_NET_06_reorder(server: RunningServer, token: str) -> None:
    with trades(server, token) as client:
        server.plan({"name": "ws.reorder", "after": 3, "args": {**QUIET, "by": 2, "wait": 60}})
        found = records_until(client, goes_back)
        (late,) = [place for place in range(1, len(found)) if found[place] < found[place - 1]]
        assert in_order([*found[: late - 2], found[late], *found[late - 2 : late], *found[late + 1 :]])


def test_F_NET_06_replay(server: RunningServer, token: str) -> None:
    with trades(server, token) as client:
        server.plan({"name": "ws.replay", "after": 5, "args": {"hub": "market", "records": 3}})
        found = records_until(client, goes_back)
        again = next(place for place in range(1, len(found)) if found[place] < found[place - 1])
        assert found[again : again + 3] in (found[again - 4 : again - 1], found[again - 3 : again])
        assert in_order(found[:again] + found[again + 3 :])


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({"field": "price", "how": "raw", "value": "NaN"}, '"price":NaN'),
        ({"field": "price", "how": "raw", "value": "1e999"}, '"price":1e999'),
        ({"field": "price", "how": "negate"}, '"price":-250.25'),
        ({"field": "price", "how": "text"}, '"price":"250.25"'),
        ({"field": "price", "how": "off_tick"}, '"price":250.350'),
        ({"field": "price", "how": "value", "value": True}, '"price":true'),
        ({"field": "volume", "how": "value", "value": None}, '"volume":null'),
        ({"field": "price", "how": "twice"}, '"price":250.25,"price":250.25'),
        ({"field": "@0", "how": "value", "value": "CON.F.US.MNQ.U20"}, '["CON.F.US.MNQ.U20",['),
    ],
)
def test_F_DAT_02_one_member_is_wrong_and_the_rest_is_right(
    server: RunningServer, token: str, args: dict[str, Any], text: str
) -> None:
    with raw_trades(server, token) as raw:
        server.plan({"name": "ws.corrupt", "after": 2, "args": {"hub": "market", "kind": "trade", **args}})
        stream = ""
        while text not in stream:
            stream += raw.frame()[1].decode()
        assert stream.count(text) == 1
        until(lambda: server.fired("ws.corrupt"), "a corrupt record")


def test_F_DAT_02_a_missing_member(server: RunningServer, token: str) -> None:
    with trades(server, token) as client:
        args = {"hub": "market", "kind": "trade", "field": "price", "how": "remove"}
        server.plan({"name": "ws.corrupt", "after": 2, "for": "3 events", "args": args})
        without = 0
        while without < 3:
            rows = client.event("GatewayTrade")[1]
            without += sum("price" not in row for row in rows)


@pytest.mark.parametrize(
    ("kind", "opcode", "start"),
    [
        ("broken", 0x81, b'{"type":1,"target":"GatewayTrade","arguments":[\x1e'),
        ("no_type", 0x81, b'{"target":"GatewayTrade","arguments":[]}\x1e'),
        ("empty", 0x81, b"\x1e"),
        ("non_object", 0x81, b"[1,2]\x1e"),
        ("deep", 0x81, b'{"type":1,"target":"GatewayTrade","arguments":[[[[['),
        ("utf8", 0x81, b'{"type":1,"target":"GatewayTrade","arguments":["\xff\xfe"]}\x1e'),
        ("binary", 0x82, b'{"type":1,"target":"GatewayTrade","arguments":[null]}\x1e'),
        ("huge", 0x81, b'{"type":1,"target":"GatewayTrade","arguments":["xxxxx'),
        ("unknown_type", 0x81, b'{"type":42,"x":1}\x1e'),
        ("no_target", 0x81, b'{"type":1,"arguments":[]}\x1e'),
        ("no_array", 0x81, b'{"type":1,"target":"GatewayTrade","arguments":{}}\x1e'),
    ],
)
def test_F_DAT_01_a_malformed_record_stands_before_a_good_one(
    server: RunningServer, token: str, kind: str, opcode: int, start: bytes
) -> None:
    with raw_trades(server, token) as raw:
        server.plan({"name": "ws.malformed", "after": 3, "args": {"hub": "market", "kind": kind}})
        found = None
        stream = b""
        while found is None:
            first, payload = raw.frame()
            place = 0 if payload.startswith(start) else payload.find(b"\x1e" + start) + 1
            if place or payload.startswith(start):
                found = first, payload[place:]
            stream += payload
        assert found[0] == opcode
        assert raw.frame()[0] == 0x81
        if kind in ("deep", "huge"):
            assert len(found[1]) > 200_000


def test_F_DAT_01_a_cut_record(server: RunningServer, token: str) -> None:
    with raw_trades(server, token) as raw:
        server.plan({"name": "ws.malformed", "after": 3, "args": {"hub": "market", "kind": "cut"}})
        bad = 0
        while not bad:
            for record in raw.frame()[1].split(b"\x1e")[:-1]:
                try:
                    json.loads(record)
                except ValueError:
                    bad += 1
        assert bad == 1
