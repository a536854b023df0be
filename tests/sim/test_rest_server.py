"""REST over a real port: envelopes, codes, status lines, nulls, order of results, budgets and tokens."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests

from sim_rig import KEY, MNQ, OWNER, RunningServer, ScriptedMarket, running, steady_market, tick_rows, until
from tbot.domain.contracts import contract_from_broker_id
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.gateway.codec import format_time
from tbot.sim.auth import RateLimits, SlidingWindow, Tokens
from tbot_ext.records import BAR_DTYPE

ACCOUNT = 1001
FIRST = 3_000_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    limits = RateLimits(history=10_000, other=10_000)
    with running(accounts=30, other_users=(("Second", "key-2"),), limits=limits) as up:
        yield up


_accounts = iter(range(1002, 1031))


@pytest.fixture
def account() -> int:
    """An account that no other test has used."""
    return next(_accounts)


@pytest.fixture(scope="module")
def token(server: RunningServer) -> str:
    return server.login()


def filled(server: RunningServer, token: str, account: int) -> list[dict[str, Any]]:
    """The account's fills once there is one."""
    body = {"accountId": account, "startTimestamp": "2020-01-01T00:00:00Z"}
    return until(lambda: server.post("/api/Trade/search", token, **body).json()["trades"], "a fill")


# ------------------------------------------------------------------------------------------------------------ session
def test_login_gives_a_readable_token_with_exp(server: RunningServer, token: str) -> None:
    header, payload, _ = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert json.loads(base64.urlsafe_b64decode(header + "=="))["alg"] == "HS256"
    assert claims["exp"] - time.time() == pytest.approx(24 * 3600, abs=60)
    assert server.login(OWNER.upper(), KEY)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"userName": OWNER, "apiKey": "wrong"}, 200, 3),
        ({"userName": "nobody", "apiKey": KEY}, 200, 3),
        ({"userName": OWNER}, 400, None),
        ({}, 400, None),
    ],
)
def test_login_refusals(server: RunningServer, body: dict[str, str], status: int, code: int | None) -> None:
    answer = requests.post(f"{server.rest}/api/Auth/loginKey", json=body, timeout=10)
    assert answer.status_code == status
    if status == 200:
        assert answer.json() == {"token": None, "success": False, "errorCode": code, "errorMessage": None}
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == 400


def test_login_app_is_not_offered(server: RunningServer) -> None:
    body = dict.fromkeys(("userName", "password", "deviceId", "appId", "verifyKey"), "x")
    answer = requests.post(f"{server.rest}/api/Auth/loginApp", json=body, timeout=10).json()
    assert (answer["success"], answer["errorCode"]) == (False, 4)


@pytest.mark.parametrize("body", [b"", b"{}", b"null"])
def test_validate_without_a_body_gives_a_new_token_and_keeps_the_old(
    server: RunningServer, token: str, body: bytes
) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(f"{server.rest}/api/Auth/validate", data=body, headers=headers, timeout=10).json()
    assert answer["success"]
    for either in (token, answer["newToken"]):
        assert server.post("/api/Account/search", either, onlyActiveAccounts=True).status_code == 200


def test_logout_ends_the_presented_token_only(server: RunningServer, token: str) -> None:
    other = server.login()
    assert server.post("/api/Auth/logout", other).json() == {"success": True, "errorCode": 0, "errorMessage": None}
    assert server.post("/api/Auth/validate", other).status_code == 401
    assert server.post("/api/Auth/validate", token).status_code == 200


def test_401_without_a_good_token(server: RunningServer, token: str) -> None:
    for bad in ("", "nonsense", token[:-2] + "xx", "a.b.c"):
        answer = server.post("/api/Account/search", bad, onlyActiveAccounts=True)
        assert (answer.status_code, answer.content) == (401, b"")
        assert answer.headers["www-authenticate"] == "Bearer"
    query = requests.post(
        f"{server.rest}/api/Account/search?access_token={token}", json={"onlyActiveAccounts": True}, timeout=10
    )
    assert query.status_code == 200


def test_expired_tokens_are_refused() -> None:
    tokens = Tokens(life_s=10.0)
    token = tokens.issue("u", 1000.0)
    assert tokens.user_of(token, 1009.0) == "u"
    assert tokens.user_of(token, 1010.0) is None
    assert Tokens().user_of(token, 1000.0) is None  # another run's key


# --------------------------------------------------------------------------------------------------------------- HTTP
def test_paths_match_in_any_case_and_unknown_ones_are_404(server: RunningServer, token: str) -> None:
    assert server.post("/API/ACCOUNT/Search", token, onlyActiveAccounts=True).json()["success"]
    assert (server.post("/api/nothing", token).status_code, server.post("/api/nothing", token).content) == (404, b"")
    assert requests.get(f"{server.rest}/api/Account/search", timeout=10).status_code == 405
    assert requests.post(f"{server.rest}/api/Status/ping", timeout=10).status_code == 405
    assert requests.get(f"{server.rest}/api/status/PING", timeout=10).text == "pong"


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff\xfe", b'{"onlyActiveAccounts":"maybe"}', b'{"other":1}', b""])
def test_unreadable_bodies_are_400(server: RunningServer, token: str, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(f"{server.rest}/api/Account/search", data=body, headers=headers, timeout=10)
    assert answer.status_code == 400


def test_clock_says_market_time_and_speed(server: RunningServer) -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    answer = requests.get(f"{server.rest}/sim/clock", timeout=10).json()
    assert before <= answer["boot_ns"] <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert (answer["speed"], answer["started"], answer["ended"]) == (1.0, True, False)
    assert abs(answer["market_ns"] - time.time_ns()) < 60 * NS_PER_S


# ------------------------------------------------------------------------------------------------- accounts, contracts
def test_accounts_of_the_user(server: RunningServer, token: str) -> None:
    first = server.post("/api/Account/search", token, onlyActiveAccounts=True).json()["accounts"][0]
    assert first == {
        "id": ACCOUNT,
        "name": "50KTC-V2-000001-00000001",
        "balance": 50000.00,
        "canTrade": True,
        "isVisible": True,
        "simulated": True,
    }
    second = server.login("Second", "key-2")
    theirs = server.post("/api/Account/search", second, onlyActiveAccounts=False).json()["accounts"]
    assert ACCOUNT not in [row["id"] for row in theirs]
    refused = server.post("/api/Position/searchOpen", second, accountId=ACCOUNT).json()
    assert refused == {"positions": None, "success": False, "errorCode": 1, "errorMessage": None}


def test_contract_search_by_id_and_available(server: RunningServer, token: str) -> None:
    found = server.post("/api/Contract/search", token, live=False, searchText="nasdaq").json()["contracts"]
    assert found == [
        {
            "id": MNQ,
            "name": "MNQZ6",
            "description": "Micro E-mini Nasdaq-100: December 2026",
            "tickSize": 0.25,
            "tickValue": 0.5,
            "activeContract": True,
            "symbolId": "F.US.MNQ",
        }
    ]
    assert server.post("/api/Contract/search", token, live=True, searchText="nq").json()["contracts"] == []
    assert len(server.post("/api/Contract/available", token, live=False).json()["contracts"]) == 1
    old = server.post("/api/Contract/searchById", token, contractId="CON.F.US.MNQ.U26").json()["contract"]
    assert old["activeContract"] is False
    missing = server.post("/api/Contract/searchById", token, contractId="CON.F.US.XXX.U26").json()
    assert (missing["contract"], missing["errorCode"]) == (None, 1)


# ------------------------------------------------------------------------------------------------------------- orders
def test_bracket_over_rest_from_entry_to_close(server: RunningServer, token: str, account: int) -> None:
    placed = server.post(
        "/api/Order/place",
        token,
        accountId=account,
        contractId=MNQ,
        type=2,
        side=0,
        size=2,
        customTag=f"tag-{account}",
        stopLossBracket={"ticks": -40, "type": 4},
        takeProfitBracket={"ticks": 80, "type": 1},
        linkedOrderId=5,
    ).json()
    entry = placed.pop("orderId")
    assert placed == {"success": True, "errorCode": 0, "errorMessage": None}
    assert entry >= FIRST
    (trade,) = filled(server, token, account)
    assert (trade["price"], trade["profitAndLoss"], trade["fees"], trade["commissions"]) == (250.5, None, 0.72, 0.5)
    query = {"accountId": account, "statuses": [1, 6, 7, 8]}
    answer = server.post("/api/Order/v2/query", token, filter=query, includeTotalCount=True).json()
    assert answer["totalCount"] == 2
    target, stop = answer["orders"]  # newest first
    assert (target["id"], stop["id"]) == (entry + 2, entry + 1)
    assert (target["limitPrice"], target["linkedOrderId"], target["parentOrderId"]) == (270.5, entry + 1, entry)
    assert (stop["stopPrice"], stop["trailDistance"], stop["trailPrice"]) == (240.5, -40, -10.0)
    assert "linkedOrderId" not in stop
    assert (stop["limitPrice"], stop["filledPrice"]) == (None, None)  # documented members are there as null
    assert (stop["customTag"], target["customTag"]) == (f"tag-{account}-SL", f"tag-{account}-TP")
    (position,) = server.post("/api/Position/searchOpen", token, accountId=account).json()["positions"]
    assert (position["type"], position["size"], position["averagePrice"]) == (1, 2, 250.5)
    assert position["contractDisplayName"] == "MNQZ26"
    part = {"accountId": account, "contractId": MNQ}
    assert server.post("/api/Position/partialCloseContract", token, **part, size=3).json()["errorCode"] == 5
    assert server.post("/api/Position/closeContract", token, **part).json()["success"]
    trades = until(lambda: len(found := filled(server, token, account)) == 2 and found, "the closing fill")
    assert (trades[0]["side"], trades[0]["profitAndLoss"]) == (1, -2.0)  # newest first; two contracts, two ticks
    # The bracket is still there: closing does not cancel it.
    open_orders = server.post("/api/Order/searchOpen", token, accountId=account).json()["orders"]
    assert [order["id"] for order in open_orders] == [entry + 1, entry + 2]
    for order in open_orders:
        assert server.post("/api/Order/cancel", token, accountId=account, orderId=order["id"]).json()["success"]
    assert server.post("/api/Order/searchOpen", token, accountId=account).json()["orders"] == []
    everything = server.post(
        "/api/Order/search", token, accountId=account, startTimestamp="2020-01-01T00:00:00Z"
    ).json()["orders"]
    assert [order["status"] for order in everything] == [2, 3, 3, 2]  # oldest first
    balance = server.post("/api/Account/search", token, onlyActiveAccounts=True).json()["accounts"]
    assert {row["id"]: row["balance"] for row in balance}[account] == 50000 - 2.00 - 4 * 0.61


def test_suspended_legs_are_seen_by_v2_query_only(server: RunningServer, token: str, account: int) -> None:
    placed = server.post(
        "/api/Order/place",
        token,
        accountId=account,
        contractId=MNQ,
        type=1,
        side=0,
        size=1,
        limitPrice=200,
        stopLossBracket={"ticks": -40, "type": 4},
    ).json()
    entry = placed["orderId"]
    body = {"accountId": account, "startTimestamp": "2020-01-01"}
    assert [row["id"] for row in server.post("/api/Order/search", token, **body).json()["orders"]] == [entry]
    assert len(server.post("/api/Order/searchOpen", token, accountId=account).json()["orders"]) == 1
    legs = server.post("/api/Order/v2/query", token, filter={"accountId": account, "statuses": [8]}).json()["orders"]
    assert [row["id"] for row in legs] == [entry + 1]
    by_id = server.post("/api/Order/searchById", token, accountId=account, orderId=entry + 1).json()["order"]
    assert (by_id["status"], by_id["stopPrice"]) == (8, None)
    missing = server.post("/api/Order/searchById", token, accountId=account, orderId=1).json()
    assert (missing["order"], missing["errorCode"]) == (None, 1)


def test_F_ORD_03_a_refused_order_has_an_id_and_a_text(server: RunningServer, token: str, account: int) -> None:
    answer = server.post(
        "/api/Order/place",
        token,
        accountId=account,
        contractId=MNQ,
        type=2,
        side=0,
        size=1,
        stopLossBracket={"ticks": 40, "type": 4},
    ).json()
    assert (answer["success"], answer["errorCode"]) == (False, 2)
    assert answer["errorMessage"] == "Invalid stop loss ticks (40). Ticks should be less than zero when longing."
    body = {"accountId": account, "startTimestamp": "2020-01-01"}
    (order,) = server.post("/api/Order/search", token, **body).json()["orders"]
    assert (order["id"], order["status"], order["type"]) == (answer["orderId"], 5, 2)


def test_off_tick_and_float_noise_in_prices(server: RunningServer, token: str, account: int) -> None:
    common = {"accountId": account, "contractId": MNQ, "type": 1, "side": 0, "size": 1}
    assert server.post("/api/Order/place", token, **common, limitPrice=200.1).json()["errorCode"] == 2
    assert server.post("/api/Order/place", token, **common, limitPrice="200.250000000").json()["success"]


def test_v2_query_pages_by_rows_and_checks_its_page(server: RunningServer, token: str, account: int) -> None:
    ids = [
        server.post(
            "/api/Order/place",
            token,
            accountId=account,
            contractId=MNQ,
            type=1,
            side=0,
            size=1,
            limitPrice=100 + number,
        ).json()["orderId"]
        for number in range(5)
    ]
    ask = {"filter": {"accountId": account}, "pageSize": 2}

    def page(**more: int) -> list[int]:
        return [row["id"] for row in server.post("/api/Order/v2/query", token, **ask, **more).json()["orders"]]

    assert page() == [ids[4], ids[3]]
    assert page(pageOffset=1) == [ids[3], ids[2]]
    assert page(sortDirection=0, pageOffset=3) == [ids[3], ids[4]]
    assert server.post("/api/Order/v2/query", token, filter={"accountId": account}).json()["totalCount"] is None
    for bad in ({"pageSize": 0}, {"pageSize": 501}, {"pageSize": 1, "pageOffset": -1}):
        assert server.post("/api/Order/v2/query", token, filter={"accountId": account}, **bad).status_code == 400
    assert server.post("/api/Order/v2/query", token, filter={}).status_code == 400


# ------------------------------------------------------------------------------------------------------------ budgets
def test_F_API_budgets_slide_per_user_and_are_two(server: RunningServer) -> None:
    limits = RateLimits(history=2, history_span_s=3600, other=4, other_span_s=3600)
    with running(limits=limits, other_users=(("Second", "key-2"),)) as small:
        token = small.login()  # counts
        bars = {
            "contractId": MNQ, "live": False, "startTime": "2026-01-01", "endTime": "2026-01-02",
            "unit": 2, "unitNumber": 1, "limit": 1, "includePartialBar": False,
        }  # fmt: skip
        statuses = [small.post("/api/History/retrieveBars", token, **bars).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        search = [small.post("/api/Account/search", token, onlyActiveAccounts=True).status_code for _ in range(4)]
        assert search == [200, 200, 200, 429]
        assert requests.get(f"{small.rest}/api/Status/ping", timeout=10).status_code == 200
        assert small.post("/api/Account/search", small.login("Second", "key-2"), onlyActiveAccounts=True).ok


def test_the_window_slides() -> None:
    window = SlidingWindow(2, 10.0)
    assert [window.take(now) for now in (0.0, 9.0, 9.5, 10.0, 10.5, 19.0)] == [True, True, False, True, False, True]


# ------------------------------------------------------------------------------------------------------------ history
def test_history_newest_first_capped_partial_and_in_units() -> None:
    start = 1_795_186_800_000_000_000  # 15:00:00 UTC
    old = np.zeros(3, BAR_DTYPE)
    for number, bar in enumerate(old):
        bar["start_ns"] = start - (3 - number) * NS_PER_MIN
        bar["open"], bar["high"], bar["low"], bar["close"], bar["volume"] = 990, 995, 985, 990 + number, 10
    rows: list[tuple[Any, ...]] = [(start, "quote", 999, 1001)]
    rows += [(start + at * NS_PER_S, "trade", 1000 + at, 2, 1) for at in (0, 30, 59, 60, 70)]
    source = ScriptedMarket(tick_rows(rows), start, old)
    with running((source, [contract_from_broker_id(MNQ)], start), speed=1000.0) as server:
        token = server.login()

        def bars(unit: int, number: int = 1, limit: int = 10, partial: bool = True, **more: Any) -> list[Any]:
            body = {
                "contractId": MNQ, "live": False, "startTime": format_time(start - 3600 * NS_PER_S),
                "endTime": format_time(start + 75 * NS_PER_S), "unit": unit, "unitNumber": number, "limit": limit,
                "includePartialBar": partial,
            } | more  # fmt: skip
            answer = server.post("/api/History/retrieveBars", token, **body).json()
            return answer["bars"] if answer["success"] else [answer["errorCode"]]

        until(lambda: server.server.market.ended, "the script to end")
        minute = bars(2)
        assert [(row["t"][11:16], row["o"], row["h"], row["l"], row["c"], row["v"]) for row in minute] == [
            ("15:01", 265.0, 267.5, 265.0, 267.5, 4),
            ("15:00", 250.0, 264.75, 250.0, 264.75, 6),
            ("14:59", 247.5, 248.75, 246.25, 248.0, 10),
            ("14:58", 247.5, 248.75, 246.25, 247.75, 10),
            ("14:57", 247.5, 248.75, 246.25, 247.5, 10),
        ]
        assert [row["t"][11:16] for row in bars(2, limit=2)] == ["15:01", "15:00"]
        assert [row["t"][11:19] for row in bars(1, limit=2)] == ["15:01:10", "15:01:00"]
        hours = bars(3)
        assert [(row["t"][11:16], row["v"]) for row in hours] == [("15:00", 10), ("14:00", 30)]
        assert [row["t"] for row in bars(4, startTime="2026-11-01")] == ["2026-11-20T00:00:00+00:00"]
        assert [row["t"] for row in bars(5, startTime="2026-11-01")] == ["2026-11-16T00:00:00+00:00"]
        assert [row["t"] for row in bars(6, startTime="2026-10-01")] == ["2026-11-01T00:00:00+00:00"]
        # At 15:00:00 plus a thousand times the real time since, days and hours later bars are complete or not.
        assert bars(4, partial=False, startTime="2026-11-01") == []
        for unit, number, limit, code in ((0, 1, 1, 2), (8, 1, 1, 2), (2, 0, 1, 3), (2, 1, 0, 4), (2, 1, 20_001, 4)):
            assert bars(unit, number, limit) == [code]
        assert [(row["o"], row["v"]) for row in bars(7, number=2)] == [(267.5, 2), (264.75, 4), (250.0, 4)]  # trades
        assert bars(2, contractId="CON.F.US.XX.Z26") == [1]
        assert bars(2, contractId="CON.F.US.MNQ.U26") == []  # an expired month that was never played here
        assert bars(2, startTime="2030-01-01", endTime="2030-01-02") == []


def test_orders_reach_the_user_only_through_their_own_accounts(server: RunningServer) -> None:
    second = server.login("Second", "key-2")
    body = {"accountId": ACCOUNT, "contractId": MNQ, "type": 2, "side": 0, "size": 1}
    assert server.post("/api/Order/place", second, **body).json()["errorCode"] == 1


def test_steady_market_is_what_the_tests_think_it_is() -> None:
    source, _, start = steady_market(seconds=1)
    ticks = source.advance(start + NS_PER_S)
    assert (len(ticks), source.end_ns) == (40, start + 950_000_000)
