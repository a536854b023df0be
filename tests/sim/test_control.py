"""The simulator's own endpoints: who may use them, what they tell, and that the same plan gives the same run."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub_client import HubClient
from raw_hub import RawHub
from sim_rig import ACCOUNT_BODY, DAY_NS, MNQ, RunningServer, ScriptedMarket, running, tick_rows, until
from tbot.domain.contracts import contract_from_broker_id
from tbot.domain.timeframes import NS_PER_S
from tbot.sim.auth import RateLimits
from tbot.sim.fault_catalogue import CATALOGUE, KINDS
from tbot.sim.fault_kinds import REQUIRED, Arg
from tbot.sim.wire_log import TEXT_KEPT, WireLog

ACCOUNT = 1001
LIMITS = RateLimits(100_000, 30, 100_000, 60)


@pytest.fixture(scope="module")
def up() -> Iterator[RunningServer]:
    with running(limits=LIMITS) as server:
        yield server


@pytest.fixture
def server(up: RunningServer) -> Iterator[RunningServer]:
    yield up
    up.calm()


@pytest.mark.parametrize(("method", "path"), [("GET", "faults"), ("POST", "faults"), ("GET", "state"), ("GET", "wire")])
@pytest.mark.parametrize("token", [None, "", "wrong", "é"])
def test_F_SEC_03_nothing_without_the_control_token(
    server: RunningServer, method: str, path: str, token: str | None
) -> None:
    headers = {} if token is None else {"X-Sim-Token": token.encode()}
    url = f"{server.rest}/sim/{path}"
    answer = requests.request(method, url, headers=headers, data='{"name":"auth.expire","at":0}', timeout=60)
    assert answer.status_code == 401
    assert "control_token" in answer.json()["error"]
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_clock_needs_no_token_and_other_methods_are_refused(server: RunningServer) -> None:
    assert requests.get(f"{server.rest}/sim/clock", timeout=60).ok
    answer = server.control("PUT", "/sim/faults")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST, DELETE")
    assert server.control("GET", "/sim/other").status_code == 404


def test_F_SEC_a_browser_gets_no_leave_to_send_the_token(server: RunningServer) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Headers": "x-sim-token"}
    answer = requests.options(f"{server.rest}/sim/faults", headers=headers, timeout=60)
    assert not answer.ok
    assert "Access-Control-Allow-Headers" not in answer.headers


def test_faults_are_added_told_and_stopped(server: RunningServer) -> None:
    plan = '{"id":"a","name":"rest.status","after":1,"args":{"status":503}}\n\n{"name":"rest.hang","after":99}'
    assert server.control("POST", "/sim/faults", plan).json() == {"added": ["a", "f3"]}
    requests.post(f"{server.rest}/api/Auth/validate", timeout=60)
    told = server.control("GET", "/sim/faults").json()
    assert [(one["id"], one["fired"], one["active"]) for one in told["planned"]] == [("a", 1, False), ("f3", 0, False)]
    assert told["log"][-1]["fault"] == "a"
    assert told["log"][-1]["event"] == "request endpoint=auth/validate"
    assert {one["name"] for one in told["catalogue"]} == set(CATALOGUE)
    assert server.control("DELETE", "/sim/faults").json() == {"stopped": ["a", "f3"]}
    assert server.control("GET", "/sim/faults").json()["planned"] == []


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"name":"nonsense","at":0}', "line 1 of the fault plan: there is no fault 'nonsense'"),
        (b'{"name":"auth.expire","at":0}\n{', "line 2 of the fault plan: it is no JSON"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_bad_plan_changes_nothing(server: RunningServer, body: bytes, text: str) -> None:
    headers = {"X-Sim-Token": server.server.control.token}
    answer = requests.post(f"{server.rest}/sim/faults", data=body, headers=headers, timeout=60)
    assert answer.status_code == 400
    assert text in answer.json()["error"]
    assert server.control("GET", "/sim/faults").json()["planned"] == []


def test_state_is_the_truth_in_ticks_and_cents(server: RunningServer) -> None:
    token = server.login()
    bracket = {"stopLossBracket": {"ticks": -40, "type": 4}, "customTag": "state"}
    placed = server.post("/api/Order/place", token, **ACCOUNT_BODY, **bracket).json()["orderId"]

    def account() -> dict[str, Any]:
        return dict(server.control("GET", "/sim/state").json()["accounts"][0])

    until(lambda: account()["positions"], "the position")
    state = account()
    assert (state["id"], state["balance_cents"], state["can_trade"]) == (ACCOUNT, 5_000_000 - 61, True)
    (held,) = state["positions"]
    assert (held["contract"], held["size"], held["average_sum"], held["average_size"]) == ("MNQ", 1, 1002, 1)
    entry, stop = state["orders"]
    assert (entry["order_id"], entry["status"], entry["tag"]) == (placed, "filled", "state")
    assert (stop["status"], stop["stop"], stop["tag"]) == ("open", 962, "state-SL")
    (fill,) = state["fills"]
    assert (fill["price"], fill["side"], fill["fees_cents"], fill["commission_cents"]) == (1002, 1, 36, 25)
    with HubClient(f"{server.ws}/hubs/user?access_token={token}") as client:
        client.invoke("SubscribeOrders", ACCOUNT)
        document = server.control("GET", "/sim/state").json()
        assert document["connections"] == [{"hub": "user", "user": "Trader", "topics": [["order", ACCOUNT]]}]
    assert document["contracts"]["MNQ"] | {"last": 1001} == {"id": MNQ, "bid": 1000, "ask": 1002, "last": 1001}


def test_the_wire_log_has_what_came_and_what_was_answered(server: RunningServer) -> None:
    token = server.login()
    before = server.control("GET", "/sim/wire").json()["requests"][-1]["number"]
    server.post("/api/Order/place", token, **(ACCOUNT_BODY | {"type": 1, "limitPrice": 100, "customTag": "logged"}))
    server.plan({"id": "no", "name": "rest.reset", "after": 1})
    with pytest.raises(requests.ConnectionError):
        server.post("/api/Account/search", token, onlyActiveAccounts=True)
    HubClient(f"{server.ws}/hubs/user?access_token={token}").close()
    requests.post(f"{server.rest}/hubs/market/negotiate", headers={"Authorization": f"Bearer {token}"}, timeout=60)
    found = server.control("GET", f"/sim/wire?since={before}").json()["requests"]
    short = [(one["method"], one["path"], one["status"], one["token"], one["tag"], one["faults"]) for one in found]
    assert short == [
        ("POST", "/api/Order/place", 200, "header", "logged", []),
        ("POST", "/api/Account/search", 0, "header", "", ["no"]),
        ("UPGRADE", "/hubs/user", 101, "query", "", []),
        ("POST", "/hubs/market/negotiate", 200, "header", "", []),
    ]
    assert found[0]["account"] == ACCOUNT
    assert [one["number"] for one in found] == list(range(before + 1, before + 5))
    assert all(one["boot_ns"] <= one["answered_boot_ns"] for one in found)
    assert server.control("GET", "/sim/wire?since=-1").status_code == 400
    assert token not in server.control("GET", "/sim/wire").text


def test_a_request_stands_in_the_log_before_it_is_answered(server: RunningServer) -> None:
    token = server.login()
    server.plan({"id": "slow", "name": "rest.latency", "at": 0, "for": "1 event", "args": {"seconds": 60}})
    thread = threading.Thread(target=server.post, args=("/api/Account/search", token), kwargs={"live": True})
    thread.start()

    def newest() -> dict[str, Any]:
        return dict(server.control("GET", "/sim/wire").json()["requests"][-1])

    until(lambda: newest()["path"] == "/api/Account/search" and newest()["status"] is None, "the waiting request")
    while thread.is_alive():
        server.later(60)
        thread.join(10)
    assert (newest()["status"], newest()["faults"]) == (400, ["slow"])


# --------------------------------------------------------------------------------------------------------- determinism
PLAN = [
    {"id": "refuse", "name": "rest.status", "p": 0.3, "args": {"status": 503, "endpoint": "Account/search"}},
    {"id": "twice", "name": "order.place", "p": 0.4, "args": {"twice": True}},
    {"id": "dup", "name": "ws.dup", "p": 0.2, "args": {"hub": "market", "copies": 1}},
    {"id": "bad", "name": "ws.corrupt", "p": 0.1, "args": {"hub": "market", "field": "price", "how": "negate"}},
    {"id": "mixed", "name": "ws.malformed", "p": 0.05, "args": {"hub": "market", "kind": "cut"}},
]


def scripted() -> tuple[ScriptedMarket, list[Any], int]:
    rows: list[tuple[Any, ...]] = [(DAY_NS, "quote", 1000, 1002)]
    rows += [(DAY_NS + number * NS_PER_S, "trade", 1001, 1 + number, 1) for number in range(1, 300)]
    return ScriptedMarket(tick_rows(rows), DAY_NS), [contract_from_broker_id(MNQ)], DAY_NS - NS_PER_S


def play(seed: int) -> tuple[list[Any], list[Any], bytes]:
    """One run at speed max: answers of twenty requests, the fault log, and all bytes of the market hub."""
    plan = "\n".join(map(json.dumps, PLAN))
    with running(scripted(), speed=None, hold=True, limits=LIMITS, seed=seed, faults=plan) as server:
        token = server.login()
        answers = []
        for number in range(20):
            answers.append(server.post("/api/Account/search", token, onlyActiveAccounts=True).status_code)
            body = ACCOUNT_BODY | {"type": 1, "limitPrice": 100 + number}
            answers.append(server.post("/api/Order/place", token, **body).json())
        stream = b""
        with RawHub(f"{server.ws}/hubs/market?access_token={token}") as raw:
            raw.send(f'{{"type":1,"target":"SubscribeContractTrades","arguments":["{MNQ}"]}}\x1e'.encode())
            raw.socket.settimeout(60)
            until(lambda: server.server.market.ended, "the end of the script")
            raw.send(b'{"type":1,"invocationId":"end","target":"UnsubscribeContractTrades","arguments":["x"]}\x1e')
            while b'"invocationId":"end"' not in stream:
                stream += raw.frame()[1]
        log = server.control("GET", "/sim/faults").json()["log"]
        return answers, [(one["fault"], one["number"], one["event"]) for one in log], stream


def test_I32_the_same_seed_plan_and_requests_give_the_same_faults_and_bytes() -> None:
    first, second = play(7), play(7)
    assert first == second
    assert {fault for fault, _, _ in first[1]} == {"refuse", "twice", "dup", "bad", "mixed"}
    assert play(8)[1] != first[1]


# ---------------------------------------------------------------------------------------------------------------- fuzz
def _values(arg: Arg) -> st.SearchStrategy[Any]:
    if arg.choices:
        return st.sampled_from(arg.choices)
    if arg.name in ("seconds", "wait", "deliver_after", "answer_after", "age"):
        return st.sampled_from([0, 0.01, 0.05])
    least = int(arg.least or 0)
    most = int(arg.most or least + 5)
    return {
        "integer": st.integers(max(least, 1), most),
        "number": st.integers(max(least, 1), least + 500),
        "text": st.sampled_from(["MNQ", "price", "x", ""]),
        "flag": st.booleans(),
        "integers": st.lists(st.integers(1, 3), max_size=3),
        "numbers": st.lists(st.sampled_from([0, 0.1]), max_size=3),
        "json": st.none() | st.integers() | st.text(max_size=5) | st.just([1]),
    }[arg.kind]


SLOW = {"gzip_bomb", "deep", "huge"}


@st.composite
def plan_lines(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(KINDS))
    args = {
        arg.name: draw(_values(arg).filter(lambda value: value not in SLOW if isinstance(value, str) else True))
        for arg in kind.args
        if arg.default is REQUIRED or draw(st.booleans())
    }
    trigger = draw(st.sampled_from([{"at": 0}, {"after": 1}, {"after": 3}, {"p": 0.5}]))
    lasting = draw(st.sampled_from([{}, {"for": 0.05}, *([] if kind.acts else [{"for": "2 events"}])]))
    return {"name": kind.name, "args": args} | trigger | lasting


def _visit(server: RunningServer) -> None:
    """What a client does, whatever comes of it."""
    calls = [("Auth/validate", {}), ("Account/search", {"onlyActiveAccounts": True}), ("Order/place", ACCOUNT_BODY)]
    for path, body in calls:
        data = json.dumps(body).encode()
        with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
            connection.settimeout(0.1)
            token = server.server.api.tokens.issue("Trader", 2e9)
            head = f"POST /api/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            try:
                connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
                connection.recv(1000)
            except OSError:
                pass
    for hub in ("user", "market"):
        try:
            with RawHub(f"{server.ws}/hubs/{hub}?access_token={token}", timeout_s=0.05, handshake=False) as raw:
                raw.send(b'{"protocol":"json","version":1}\x1e')
                raw.send(f'{{"type":1,"target":"SubscribeContractTrades","arguments":["{MNQ}"]}}\x1e'.encode())
                raw.send(f'{{"type":1,"target":"SubscribeOrders","arguments":[{ACCOUNT}]}}\x1e'.encode())
                for _ in range(3):
                    raw.frame()
        except (OSError, EOFError):
            continue  # any end of the connection will do


def test_texts_of_strangers_are_cut_in_the_log() -> None:
    log = WireLog()
    entry = log.add(1, 2, "POST", "/" + "p" * 1000, "none", account=None, tag="t" * 1_000_000)
    assert (len(entry.path), len(entry.tag)) == (TEXT_KEPT, TEXT_KEPT)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(plan_lines(), min_size=1, max_size=4))
def test_no_plan_breaks_the_server(
    server: RunningServer, caplog: pytest.LogCaptureFixture, lines: list[dict[str, Any]]
) -> None:
    caplog.clear()
    server.plan(*lines)
    _visit(server)
    server.calm()
    assert requests.get(f"{server.rest}/api/Status/ping", timeout=60).text == "pong"
    assert server.post("/api/Contract/available", server.login(), live=False).json()["success"]
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
