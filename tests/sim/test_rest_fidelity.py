"""REST against the reference, line by line, where test_rest_server.py has no case."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from sim_rig import KEY, MNQ, OWNER, RunningServer, ScriptedMarket, running, tick_rows, until
from tbot.domain.contracts import PRODUCTS
from tbot.domain.trading_hours import trading_day
from tbot.gateway.codec_tables import CALLS, Call
from tbot.sim.auth import RateLimits
from tbot.sim.listing import front_contract

LIMITS = RateLimits(10_000, 30, 10_000, 60)
_accounts = iter(range(1001, 1100))
STAMP = {"startTimestamp": "2020-01-01T00:00:00Z"}
BODIES: dict[str, dict[str, Any]] = {
    "Account/search": {"onlyActiveAccounts": True},
    "Contract/search": {"live": False, "searchText": "NQ"},
    "Contract/searchById": {"contractId": MNQ},
    "Contract/available": {"live": False},
    "History/retrieveBars": {
        "contractId": MNQ, "live": False, "startTime": "2026-01-01T00:00:00Z", "endTime": "2036-01-01T00:00:00Z",
        "unit": 2, "unitNumber": 1, "limit": 1, "includePartialBar": True,
    },
    "Order/place": {"accountId": 1, "contractId": MNQ, "type": 2, "side": 0, "size": 1},
    "Order/modify": {"accountId": 1, "orderId": 1},
    "Order/cancel": {"accountId": 1, "orderId": 1},
    "Order/search": {"accountId": 1, **STAMP},
    "Order/searchOpen": {"accountId": 1},
    "Order/searchById": {"accountId": 1, "orderId": 1},
    "Order/v2/query": {"filter": {"accountId": 1}},
    "Position/searchOpen": {"accountId": 1},
    "Position/closeContract": {"accountId": 1, "contractId": MNQ},
    "Position/partialCloseContract": {"accountId": 1, "contractId": MNQ, "size": 1},
    "Trade/search": {"accountId": 1, **STAMP},
}  # fmt: skip
AUTHORISED = [call for call in CALLS if call.kind != "login"]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running(accounts=60, limits=LIMITS) as up:
        yield up


@pytest.fixture(scope="module")
def token(server: RunningServer) -> str:
    return server.login()


@pytest.fixture
def account() -> int:
    """An account that no other test has used."""
    return next(_accounts)


def name(call: Call) -> str:
    return call.path.removeprefix("/api/")


def post(server: RunningServer, call: Call, token: str, **more: Any) -> requests.Response:
    return server.post(call.path, token, **(BODIES.get(name(call), {}) | more))


# -------------------------------------------------------------------------------------------------- every endpoint
@pytest.mark.parametrize("call", AUTHORISED, ids=name)
def test_every_endpoint_wants_a_token(server: RunningServer, call: Call) -> None:
    answer = post(server, call, "")
    assert (answer.status_code, answer.content) == (401, b"")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("call", CALLS, ids=name)
def test_every_endpoint_is_post_only(server: RunningServer, call: Call) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = requests.request(method, server.rest + call.path, timeout=60)
        assert (answer.status_code, answer.content) == (405, b"")
        assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize("call", [call for call in AUTHORISED if call.path.count("Auth") == 0], ids=name)
def test_every_answer_has_the_envelope_and_a_payload_that_is_null_when_it_failed(
    server: RunningServer, token: str, call: Call
) -> None:
    answer = post(server, call, token)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    members = {"success", "errorCode", "errorMessage"} | ({call.payload} if call.payload else set())
    if name(call) == "Order/v2/query":
        members |= {"totalCount"}
    assert set(body) == members
    assert body["success"] is (body["errorCode"] == 0)
    if "accountId" in json.dumps(BODIES[name(call)]):  # account 1 is nobody's
        assert (body["success"], body["errorCode"]) == (False, 1)
        assert body.get(call.payload) is None
    else:
        assert body["success"]
        assert body[call.payload] is not None


@pytest.mark.parametrize("call", [call for call in AUTHORISED if name(call) in BODIES], ids=name)
def test_F_API_06_missing_members_and_broken_json_are_a_problem_document(
    server: RunningServer, token: str, call: Call
) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for data in (b"{", b"[]", b"{}", b"null", b'"x"'):
        answer = requests.post(server.rest + call.path, data=data, headers=headers, timeout=60)
        assert answer.status_code == 400
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert {"type", "title", "status", "errors", "traceId"} <= set(problem)
        assert problem["status"] == 400
        assert all(isinstance(texts, list) for texts in problem["errors"].values())


@pytest.mark.parametrize("call", [call for call in AUTHORISED if name(call) in BODIES], ids=name)
def test_names_and_paths_in_any_case_unknown_members_ignored(server: RunningServer, token: str, call: Call) -> None:
    plain = post(server, call, token).json()
    loud = {key.upper(): value for key, value in BODIES[name(call)].items()} | {"unknownMember": [1]}
    answer = server.post(call.path.upper(), token, **loud).json()
    if call.payload != "bars":
        assert answer == plain


@pytest.mark.parametrize("kind", ["application/json", "text/json", "application/vnd.api+json", None])
def test_content_types_and_accept_of_the_official_samples(server: RunningServer, token: str, kind: str | None) -> None:
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/plain"} | ({"Content-Type": kind} if kind else {})
    answer = requests.post(
        f"{server.rest}/api/Account/search", data=b'{"onlyActiveAccounts":true}', headers=headers, timeout=10
    )
    assert answer.json()["success"]
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("body", [b"", b"{}", b"null"])
@pytest.mark.parametrize("path", ["/api/Auth/validate", "/api/Auth/logout"])
def test_endpoints_without_a_body(server: RunningServer, path: str, body: bytes) -> None:
    for headers in ({}, {"Content-Type": "application/json"}):
        bearer = {"Authorization": f"Bearer {server.login()}"}
        answer = requests.post(server.rest + path, data=body, headers=headers | bearer, timeout=60)
        assert answer.json()["success"]


@pytest.mark.parametrize("path", ["/", "/api", "/api/Order", "/api/Order/place/x", "/hubs", "/sim", "/favicon.ico"])
def test_other_paths_are_404_with_nothing_in_them(server: RunningServer, token: str, path: str) -> None:
    answer = server.post(path, token)
    assert (answer.status_code, answer.content) == (404, b"")


def test_the_published_document_is_served_without_a_token(server: RunningServer) -> None:
    document = requests.get(f"{server.rest}/swagger/v1/swagger.json", timeout=60).json()
    assert document["swagger"] == "2.0"
    assert {call.path for call in CALLS} <= set(document["paths"])


def test_a_token_lives_as_long_as_set_and_validate_refuses_afterwards() -> None:
    with running(token_life_s=1.0, limits=LIMITS) as server:
        token = server.login()
        until(lambda: server.post("/api/Account/search", token, onlyActiveAccounts=True).status_code == 401, "its end")
        assert server.post("/api/Auth/validate", token).status_code == 401
        assert requests.post(f"{server.rest}/hubs/user/negotiate?access_token={token}", timeout=60).status_code == 401


def test_429_has_no_body_and_a_refused_call_does_not_count() -> None:
    with running(limits=RateLimits(other=3, other_span_s=600)) as server:
        token = server.login()
        answers = [server.post("/api/Account/search", token, onlyActiveAccounts=True) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 429, 429]
        assert answers[-1].content == b""
        server.later(600)
        assert server.post("/api/Account/search", token, onlyActiveAccounts=True).ok  # the window has slid


# -------------------------------------------------------------------------------------------------------------- lists
def test_a_contract_search_gives_at_most_20_and_available_gives_all() -> None:
    now_ns = time.time_ns()
    products = list(PRODUCTS.values())[:25]
    assert len(products) == 25
    contracts = [front_contract(product, trading_day(now_ns)) for product in products]
    source = ScriptedMarket(tick_rows([(now_ns, "quote", 1000, 1002)]), now_ns)
    source.contracts = products
    with running((source, contracts, now_ns)) as server:
        token = server.login()

        def search(text: str) -> list[str]:
            rows = server.post("/api/Contract/search", token, live=False, searchText=text).json()["contracts"]
            return [row["name"] for row in rows]

        assert len(search("")) == 20
        assert len(server.post("/api/Contract/available", token, live=False).json()["contracts"]) == 25
        assert {"MNQ", "NQ"} <= {row[:-2] for row in search("nq")}
        assert search("nothing like that") == []
        without = server.post("/api/Contract/search", token, live=False).json()
        assert len(without["contracts"]) == 20
        assert server.post("/api/Contract/available", token, live=True).json()["contracts"] == []


@pytest.fixture
def five(server: RunningServer, token: str, account: int) -> list[int]:
    """Ids of five orders: open, cancelled, open, filled with a tag, rejected."""
    common = {"accountId": account, "contractId": MNQ, "side": 0, "size": 1}

    def place(**more: Any) -> int:
        return int(server.post("/api/Order/place", token, **common, **more).json()["orderId"])

    ids = [place(type=1, limitPrice=100 + number) for number in range(3)]
    server.post("/api/Order/cancel", token, accountId=account, orderId=ids[1])
    ids.append(place(type=2, customTag=f"t-{account}"))
    ids.append(place(type=1, limitPrice=100.1))
    query = {"accountId": account, "statuses": [2]}
    until(lambda: server.post("/api/Order/v2/query", token, filter=query).json()["orders"], "the fill")
    return ids


def test_v2_query_filters_sorts_and_counts(server: RunningServer, token: str, account: int, five: list[int]) -> None:
    def query(wanted: dict[str, Any] | None = None, **more: Any) -> list[int]:
        body = {"filter": {"accountId": account} | (wanted or {})} | more
        return [row["id"] for row in server.post("/api/Order/v2/query", token, **body).json()["orders"]]

    assert query() == five[::-1]
    assert query(sortDirection=0) == five
    assert query(sortBy=1, sortDirection=1) == five[::-1]
    assert query({"statuses": [1]}) == [five[2], five[0]]
    assert query({"statuses": [3, 5]}, sortDirection=0) == [five[1], five[4]]
    assert query({"statuses": []}) == five[::-1]
    assert query({"contractId": MNQ}) == five[::-1]
    assert query({"contractId": "CON.F.US.EP.Z26"}) == []
    assert query({"createdAfter": "2035-01-01T00:00:00Z"}) == []
    assert query({"createdBefore": "2020-01-01T00:00:00Z"}) == []
    assert query({"createdAfter": "2020-01-01T00:00:00Z", "createdBefore": "2035-01-01T00:00:00Z"}) == five[::-1]
    assert query(pageSize=2, pageOffset=4) == [five[0]]
    assert query(pageOffset=99) == []
    body = {"filter": {"accountId": account, "statuses": [1]}, "pageSize": 1, "includeTotalCount": True}
    assert server.post("/api/Order/v2/query", token, **body).json()["totalCount"] == 2
    for bad in (
        {"sortBy": 2},
        {"sortDirection": 5},
        {"pageSize": -1},
        {"pageOffset": -1},
        {"filter": {"accountId": "x"}},
    ):
        refused = {"filter": {"accountId": account}} | bad
        assert server.post("/api/Order/v2/query", token, **refused).status_code == 400


def test_the_least_and_the_greatest_time_of_dotnet_mean_before_and_after_all(
    server: RunningServer, token: str, account: int, five: list[int]
) -> None:
    def found(start: str, end: str) -> Any:
        body = {"accountId": account, "startTimestamp": start, "endTimestamp": end}
        return server.post("/api/Order/search", token, **body).json()

    least, greatest = "0001-01-01T00:00:00", "9999-12-31T23:59:59.9999999Z"
    assert [order["id"] for order in found(least, greatest)["orders"]] == five
    assert found(greatest, greatest)["orders"] == found(least, least)["orders"] == []
    assert found("0001-13-01T00:00:00", greatest)["status"] == 400
    bars = BODIES["History/retrieveBars"] | {"startTime": least, "endTime": greatest, "unit": 6, "unitNumber": 2**31}
    assert server.post("/api/History/retrieveBars", token, **bars).json()["success"]


def test_orders_oldest_first_trades_newest_first_and_time_ranges(
    server: RunningServer, token: str, account: int, five: list[int]
) -> None:
    rows = server.post("/api/Order/search", token, accountId=account, **STAMP).json()["orders"]
    assert [row["id"] for row in rows] == five
    assert [row["status"] for row in rows] == [1, 3, 1, 2, 5]
    middle = rows[2]["creationTimestamp"]
    later = server.post("/api/Order/search", token, accountId=account, startTimestamp=middle).json()["orders"]
    assert [row["id"] for row in later][-3:] == five[2:]
    ended = {"startTimestamp": "2020-01-01T00:00:00Z", "endTimestamp": "2021-01-01T00:00:00Z"}
    for path in ("/api/Order/search", "/api/Trade/search"):
        answer = server.post(path, token, accountId=account, **ended).json()
        assert (answer["success"], [value for value in answer.values() if isinstance(value, list)]) == (True, [[]])
    server.post("/api/Position/closeContract", token, accountId=account, contractId=MNQ)

    def trades() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = server.post("/api/Trade/search", token, accountId=account, **STAMP).json()[
            "trades"
        ]
        return found

    newest, oldest = until(lambda: len(trades()) == 2 and trades(), "both fills")
    assert newest["id"] > oldest["id"]
    assert (newest["side"], oldest["side"]) == (1, 0)
    assert oldest["profitAndLoss"] is None
    assert newest["profitAndLoss"] is not None
    assert server.post("/api/Trade/search", token, accountId=account).json()["success"]  # the start is optional


def test_nulls_of_documented_members_are_there_and_newer_members_are_not(
    server: RunningServer, token: str, account: int, five: list[int]
) -> None:
    rows = {
        row["id"]: row for row in server.post("/api/Order/search", token, accountId=account, **STAMP).json()["orders"]
    }
    limit, filled = rows[five[0]], rows[five[3]]
    assert (limit["limitPrice"], limit["stopPrice"], limit["filledPrice"], limit["customTag"]) == (
        100,
        None,
        None,
        None,
    )
    assert (filled["limitPrice"], filled["filledPrice"], filled["customTag"]) == (None, 250.5, f"t-{account}")
    for row in rows.values():
        assert not {"parentOrderId", "linkedOrderId", "trailDistance", "trailPrice"} & set(row)
        assert row["updateTimestamp"].endswith("+00:00")
        assert len(row["creationTimestamp"].partition(".")[2].removesuffix("+00:00")) <= 6


def test_login_is_case_insensitive_in_the_name_and_counts_against_the_budget() -> None:
    with running(limits=RateLimits(other=3, other_span_s=3600)) as server:
        body = {"userName": OWNER.upper(), "apiKey": KEY}
        url = f"{server.rest}/api/Auth/loginKey"
        assert [requests.post(url, json=body, timeout=60).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_a_partial_close_with_the_wrong_member_closes_nothing(server: RunningServer, token: str, account: int) -> None:
    """Reported of clients: `closeSize` instead of `size`."""
    answer = server.post(
        "/api/Position/partialCloseContract", token, accountId=account, contractId=MNQ, closeSize=1
    )
    assert answer.status_code == 400
    assert "size" in answer.text
