"""Faults of REST over real sockets: other answers, no answers, odd bodies, and what then became of the request."""

import gzip
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from sim_rig import KEY, MNQ, OWNER, RunningServer, running, until
from tbot.gateway.codec import decode_answer
from tbot.gateway.codec_faults import BOMB_BYTES
from tbot.gateway.codec_tables import BY_PATH
from tbot.sim.auth import RateLimits

SEARCH = "/api/Account/search"
_accounts = iter(range(1001, 1100))


@pytest.fixture(scope="module")
def up() -> Iterator[RunningServer]:
    with running(accounts=60, limits=RateLimits(10_000, 30, 10_000, 60)) as server:
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


def fault(name: str, **args: Any) -> dict[str, Any]:
    return {"name": name, "after": 1, "args": args}


def search(server: RunningServer, token: str) -> requests.Response:
    return server.post(SEARCH, token, onlyActiveAccounts=True)


def place(server: RunningServer, token: str, account: int, **more: Any) -> requests.Response:
    body = {"accountId": account, "contractId": MNQ, "type": 1, "side": 0, "size": 1, "limitPrice": 200} | more
    return server.post("/api/Order/place", token, **body)


def orders(server: RunningServer, token: str, account: int) -> list[dict[str, Any]]:
    body = {"accountId": account, "startTimestamp": "2020-01-01T00:00:00Z"}
    rows: list[dict[str, Any]] = server.post("/api/Order/search", token, **body).json()["orders"]
    return rows


def raw(server: RunningServer, path: str, token: str, body: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), 60)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


# ------------------------------------------------------------------------------------------------------ other answers
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 302])
def test_F_API_04_statuses_so_many_times_for_one_endpoint(server: RunningServer, token: str, status: int) -> None:
    server.plan(fault("rest.status", endpoint="Account/search", status=status, n=2))
    assert server.post("/api/Contract/available", token, live=False).status_code == 200
    assert [search(server, token).status_code for _ in range(3)] == [status, status, 200]


def test_F_API_03_retry_after_as_seconds_and_as_a_date(server: RunningServer, token: str) -> None:
    server.plan(fault("rest.status", status=429, retry_after=7))
    assert search(server, token).headers["Retry-After"] == "7"
    server.plan(fault("rest.status", status=429, retry_after=3600, retry_as="date"))
    date = parsedate_to_datetime(search(server, token).headers["Retry-After"])
    assert date.timestamp() - time.time() == pytest.approx(3600, abs=60)


def test_F_API_04_html_with_200(server: RunningServer, token: str) -> None:
    server.plan(fault("rest.html", endpoint="account/SEARCH"))
    answer = search(server, token)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<!DOCTYPE html>")


def test_F_API_05_hang_gives_nothing_and_the_next_one_is_answered(server: RunningServer, token: str) -> None:
    before = server.fired("rest.hang")
    server.plan(fault("rest.hang", endpoint="Account/search"))
    with raw(server, SEARCH, token, b'{"onlyActiveAccounts":true}') as connection:
        until(lambda: server.fired("rest.hang") > before, "the request to hang")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert search(server, token).ok


def test_F_API_05_requests_that_hang_do_not_hold_up_the_end() -> None:
    with running() as server:
        token = server.login()
        server.plan({"name": "rest.hang", "at": 0, "for": 60}, {"name": "rest.drip", "at": 0, "for": 60})
        open_requests = [raw(server, SEARCH, token, b'{"onlyActiveAccounts":true}') for _ in range(3)]
        until(lambda: server.fired("rest.hang") == 3, "the requests to hang")
    for connection in open_requests:
        connection.close()


def test_F_API_05_drip_is_a_byte_at_a_time_for_ever(server: RunningServer, token: str) -> None:
    server.plan(fault("rest.drip", endpoint="Account/search", seconds=0.01))
    with raw(server, SEARCH, token, b'{"onlyActiveAccounts":true}') as connection:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1000)
        assert b"content-length: 1048576" in head.lower()
        pieces: list[bytes] = []
        while sum(len(piece) < 20 for piece in pieces) < 20:  # a stall of ours lets many bytes meet in one
            pieces.append(connection.recv(1000))
            assert pieces[-1]
            assert len(pieces) < 100
        assert b"".join(pieces).strip() == b""


def test_F_API_05_headers_and_then_the_end(server: RunningServer, token: str) -> None:
    server.plan(fault("rest.close_after_headers", endpoint="Account/search"))
    with raw(server, SEARCH, token, b'{"onlyActiveAccounts":true}') as connection:
        everything = b""
        while piece := connection.recv(1000):
            everything += piece
    assert everything.startswith(b"HTTP/1.1 200")
    assert everything.endswith(b"\r\n\r\n")


def test_F_API_05_reset_is_a_reset(server: RunningServer, token: str) -> None:
    server.plan(fault("rest.reset", endpoint="Account/search"))
    with raw(server, SEARCH, token, b'{"onlyActiveAccounts":true}') as connection, pytest.raises(ConnectionResetError):
        connection.recv(1000)


def test_latency_delays_the_answer_not_the_venue(server: RunningServer, token: str, account: int) -> None:
    server.plan(
        {"name": "rest.latency", "at": 0, "for": "1 events", "args": {"endpoint": "Order/place", "seconds": 0.5}}
    )
    began = time.monotonic()
    thread = threading.Thread(target=place, args=(server, token, account))
    thread.start()
    until(lambda: orders(server, token, account), "the order at the venue")
    thread.join()
    assert time.monotonic() - began >= 0.5


def test_a_fault_can_come_after_the_request_was_taken(server: RunningServer, token: str, account: int) -> None:
    server.plan(fault("rest.status", endpoint="Order/place", status=503, handled=True))
    assert place(server, token, account).status_code == 503
    assert len(orders(server, token, account)) == 1
    server.plan(fault("rest.status", endpoint="Order/place", status=503))
    assert place(server, token, account).status_code == 503
    assert len(orders(server, token, account)) == 1


# -------------------------------------------------------------------------------------------------------------- bodies
def body_of(server: RunningServer, token: str, path: str, kind: str, field: str = "", **body: Any) -> bytes:
    server.plan(fault("rest.body", kind=kind, field=field))
    with requests.post(
        server.rest + path, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=60, stream=True
    ) as answer:
        assert answer.status_code == 200
        return bytes(answer.raw.read(decode_content=False))


@pytest.mark.parametrize(
    ("kind", "field", "expected"),
    [
        ("null_list", "", b'{"contracts":null,'),
        ("missing", "", b'{"success":true,'),
        ("missing", "tickSize", b'"description":"Micro E-mini Nasdaq-100: December 2026","tickValue"'),
        ("duplicate", "success", b',"success":true}'),
        ("success_with_code", "", b'"success":true,"errorCode":5'),
        ("bool_price", "tickSize", b'"tickSize":true'),
        ("text_price", "tickSize", b'"tickSize":"0.25"'),
        ("nan", "tickSize", b'"tickSize":NaN'),
        ("huge_number", "errorCode", b'"errorCode":1' + b"0" * 400),
        ("array", "", b"[{"),
        ("empty", "", b""),
        ("deep", "", b"[" * 1000),
    ],
)
def test_F_API_06_bodies_with_one_thing_wrong(
    server: RunningServer, token: str, kind: str, field: str, expected: bytes
) -> None:
    body = body_of(server, token, "/api/Contract/available", kind, field, live=False)
    assert expected in body
    if kind == "empty":
        assert body == b""
    assert decode_answer(BY_PATH["/api/contract/available"], body).outcome == "ambiguous"


def test_F_API_06_unknown_members_do_no_harm(server: RunningServer, token: str) -> None:
    body = body_of(server, token, "/api/Contract/available", "extra", live=False)
    assert body.startswith(b'{"unheardOf":')
    assert decode_answer(BY_PATH["/api/contract/available"], body).ok


def test_F_API_06_a_price_is_found_without_being_named(server: RunningServer, token: str, account: int) -> None:
    place(server, token, account)
    body = body_of(server, token, "/api/Order/searchOpen", "bool_price", accountId=account)
    assert b'"limitPrice":true' in body


def test_F_API_06_200_mb_behind_200_kb(server: RunningServer, token: str) -> None:
    server.plan(fault("rest.body", kind="gzip_bomb"))
    headers = {"Authorization": f"Bearer {token}"}
    body = {"onlyActiveAccounts": True}
    with requests.post(server.rest + SEARCH, json=body, headers=headers, timeout=60, stream=True) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        packed = answer.raw.read(decode_content=False)
    assert len(packed) < 300_000
    assert int.from_bytes(packed[-4:], "little") == BOMB_BYTES
    assert gzip.GzipFile(fileobj=io.BytesIO(packed)).read(1000) == b" " * 1000


def test_F_API_06_truncated_bodies_break_off(server: RunningServer, token: str) -> None:
    server.plan(fault("rest.body", kind="truncated"))
    with pytest.raises(requests.exceptions.RequestException):
        search(server, token)
    assert search(server, token).ok


# --------------------------------------------------------------------------------------------------------------- auth
def test_F_API_01_tokens_expire_at_once(server: RunningServer) -> None:
    mine = server.login()
    server.plan({"name": "auth.expire", "at": 0})
    assert search(server, mine).status_code == 401
    assert search(server, server.login()).ok


def test_F_API_01_a_validated_token_dies_while_rotate_is_on(server: RunningServer) -> None:
    server.plan({"name": "auth.rotate", "at": 0})
    old = server.login()
    new = server.post("/api/Auth/validate", old).json()["newToken"]
    assert search(server, old).status_code == 401
    assert search(server, new).ok


def test_F_API_01_lifetime_of_new_tokens(server: RunningServer) -> None:
    old = server.login()
    server.plan({"name": "auth.lifetime", "at": 0, "args": {"seconds": 0}})
    short = server.login()
    assert search(server, short).status_code == 401
    assert server.post("/api/Auth/validate", old).json()["newToken"]
    server.calm()
    assert search(server, server.login()).ok


@pytest.mark.parametrize("code", [3, 7, 9, 10])
def test_F_API_02_login_refused(server: RunningServer, code: int) -> None:
    server.plan(fault("auth.refuse", code=code, text="Sign the agreements"))
    login = {"userName": OWNER, "apiKey": KEY}
    answer = requests.post(f"{server.rest}/api/Auth/loginKey", json=login, timeout=60).json()
    assert answer == {"token": None, "success": False, "errorCode": code, "errorMessage": "Sign the agreements"}
    assert server.login()


# ------------------------------------------------------------------------------------------------ ambiguous outcomes
@pytest.mark.parametrize("how", ["drop", "reset", "garble"])
def test_F_ORD_01a_accepted_and_the_answer_lost(server: RunningServer, token: str, account: int, how: str) -> None:
    server.plan(fault("order.place", answer=how))
    body = {"accountId": account, "contractId": MNQ, "type": 1, "side": 0, "size": 1, "limitPrice": 200}
    with raw(server, "/api/Order/place", token, json.dumps(body).encode()) as connection:
        until(lambda: orders(server, token, account), "the order at the venue")
        connection.settimeout(0.3 if how == "drop" else 60)
        if how == "garble":
            answer = b""
            while not answer.endswith(b'{"orderId":'):
                answer += connection.recv(1000)
        else:
            with pytest.raises(TimeoutError if how == "drop" else ConnectionResetError):
                connection.recv(1000)
    assert len(orders(server, token, account)) == 1


def test_F_ORD_01b_never_arrived(server: RunningServer, token: str, account: int) -> None:
    server.plan(fault("order.place", outcome="never", answer="reset"))
    with pytest.raises(requests.ConnectionError):
        place(server, token, account)
    assert orders(server, token, account) == []


def test_F_ORD_01c_arrives_late_after_the_client_has_given_up(server: RunningServer, token: str, account: int) -> None:
    server.plan(fault("order.place", answer="reset", deliver_after=60))
    with pytest.raises(requests.ConnectionError):
        place(server, token, account)
    assert orders(server, token, account) == []
    server.later(60)
    until(lambda: orders(server, token, account), "the late order")


def test_F_ORD_01e_rejected_and_the_answer_lost(server: RunningServer, token: str, account: int) -> None:
    server.plan(fault("order.place", outcome="rejected", code=4), fault("order.cancel", outcome="rejected"))
    assert place(server, token, account).json()["errorCode"] == 4
    assert orders(server, token, account) == []
    placed = place(server, token, account).json()["orderId"]
    refused = server.post("/api/Order/cancel", token, accountId=account, orderId=placed).json()
    assert (refused["success"], refused["errorCode"]) == (False, 3)
    assert orders(server, token, account)[0]["status"] == 1


def test_F_ORD_01f_delivered_twice(server: RunningServer, token: str, account: int) -> None:
    server.plan(fault("order.place", twice=True))
    assert place(server, token, account).json()["success"]
    assert len(orders(server, token, account)) == 2
    server.plan(fault("order.place", twice=True))
    assert place(server, token, account, customTag="once").json()["success"]
    assert len(orders(server, token, account)) == 3  # a tag protects


def test_F_ORD_01_late_answer_comes_after_the_event(server: RunningServer, token: str, account: int) -> None:
    server.plan(fault("order.place", answer="delay", answer_after=60, account=account))
    thread = threading.Thread(target=place, args=(server, token, account))
    thread.start()
    until(lambda: orders(server, token, account), "the order at the venue")
    thread.join(0.3)
    assert thread.is_alive()
    while thread.is_alive():
        server.later(60)
        thread.join(10)


def test_F_ORD_02_cancel_modify_and_closes_as_well(server: RunningServer, token: str, account: int) -> None:
    placed = place(server, token, account).json()["orderId"]
    ids = {"accountId": account, "orderId": placed}
    server.plan(fault("order.modify", answer="garble"), fault("order.cancel", outcome="never", answer="garble"))
    assert server.post("/api/Order/modify", token, **ids, limitPrice=201).text == '{"orderId":'
    assert orders(server, token, account)[0]["limitPrice"] == 201
    assert server.post("/api/Order/cancel", token, **ids).text == '{"orderId":'
    assert orders(server, token, account)[0]["status"] == 1
    place(server, token, account, type=2, size=2)
    held = {"accountId": account}
    until(lambda: server.post("/api/Position/searchOpen", token, **held).json()["positions"], "the position")
    server.plan(fault("position.partial_close", answer="garble"), fault("position.close", answer="garble"))
    part = held | {"contractId": MNQ}
    server.post("/api/Position/partialCloseContract", token, **part, size=1)
    until(
        lambda: server.post("/api/Position/searchOpen", token, **held).json()["positions"][0]["size"] == 1, "one left"
    )
    server.post("/api/Position/closeContract", token, **part)
    until(lambda: not server.post("/api/Position/searchOpen", token, **held).json()["positions"], "flat")


# -------------------------------------------------------------------------------------------------------------- reads
def test_F_ACC_05_stale_reads_show_what_was(server: RunningServer, token: str, account: int) -> None:
    server.plan(
        {"name": "rest.stale_read", "at": 0, "for": 3600, "args": {"endpoint": "Order/searchOpen", "age": 3600}}
    )
    place(server, token, account)
    assert server.post("/api/Order/searchOpen", token, accountId=account).json()["orders"] == []
    assert len(orders(server, token, account)) == 1
    server.calm()
    assert len(server.post("/api/Order/searchOpen", token, accountId=account).json()["orders"]) == 1


def test_F_ACC_05_stale_positions_fills_and_balance(server: RunningServer, token: str, account: int) -> None:
    server.plan({"name": "rest.stale_read", "at": 0, "args": {"age": 3600}, "for": 3600})
    place(server, token, account, type=2)
    stamp = {"accountId": account, "startTimestamp": "2020-01-01T00:00:00Z"}

    def truth() -> dict[str, Any]:
        accounts = server.control("GET", "/sim/state").json()["accounts"]
        return next(one for one in accounts if one["id"] == account)

    until(lambda: truth()["positions"], "the position")
    assert server.post("/api/Position/searchOpen", token, accountId=account).json()["positions"] == []
    assert server.post("/api/Trade/search", token, **stamp).json()["trades"] == []
    rows = search(server, token).json()["accounts"]
    assert next(row["balance"] for row in rows if row["id"] == account) == 50_000
    assert truth()["balance_cents"] == 5_000_000 - 61


def test_empty_lists_for_a_live_flag(server: RunningServer, token: str) -> None:
    server.plan({"name": "rest.empty_live", "at": 0, "args": {"live": False}})
    for path in ("/api/Contract/search", "/api/Contract/available"):
        answer = server.post(path, token, live=False, searchText="NQ").json()
        assert (answer["success"], answer["contracts"]) == (True, [])
    server.calm()
    assert server.post("/api/Contract/available", token, live=False).json()["contracts"]
