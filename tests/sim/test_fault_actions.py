"""Every venue and market name of a plan, over sockets, against the truth that the control endpoint tells."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hub_client import HubClient
from sim_rig import ES, MNQ, RunningServer, ScriptedMarket, repeated, running, until
from tbot.domain.contracts import contract_from_broker_id
from tbot.sim.auth import RateLimits
from tbot.sim.fault_actions import FaultActions
from tbot.sim.fault_venue_kinds import MARKET_KINDS, VENUE_KINDS

_accounts = iter(range(1001, 1100))
LONG_S = 10.0  # longer than any stall of the machine: what must be seen before it ends; `later` then ends it
BRACKET = {"stopLossBracket": {"ticks": -40, "type": 4}, "takeProfitBracket": {"ticks": 80, "type": 1}}


def calm_market() -> tuple[ScriptedMarket, list[Any], int]:
    """MNQ 1000/1002 and ES 20000/20001, a trade every 50 ms."""
    import numpy as np

    start = time.time_ns()
    rows: list[tuple[Any, ...]] = [(start, "quote", 1000, 1002), (start, "trade", 1001, 1, 1)]
    others: list[tuple[Any, ...]] = [(start, "quote", 20_000, 20_001), (start, "trade", 20_000, 1, 1)]
    ticks = np.concatenate([repeated(rows, 24_000, 50_000_000), repeated(others, 24_000, 50_000_000, "ES")])
    ticks = ticks[np.argsort(ticks["exch_ns"], kind="stable")]
    return ScriptedMarket(ticks, start), [contract_from_broker_id(MNQ), contract_from_broker_id(ES)], start


@pytest.fixture(scope="module")
def up() -> Iterator[RunningServer]:
    with running(calm_market(), accounts=60, limits=RateLimits(10_000, 30, 10_000, 60)) as server:
        until(lambda: server.control("GET", "/sim/state").json()["contracts"]["ES"]["last"], "a first trade")
        yield server


@pytest.fixture
def server(up: RunningServer) -> Iterator[RunningServer]:
    yield up
    assert up.control("GET", "/sim/faults").json()["failures"] == []
    up.calm()


@pytest.fixture(scope="module")
def token(up: RunningServer) -> str:
    return up.login()


@pytest.fixture
def account() -> int:
    """An account that no other test has used."""
    return next(_accounts)


def truth(server: RunningServer, account: int) -> dict[str, Any]:
    accounts = server.control("GET", "/sim/state").json()["accounts"]
    return next(one for one in accounts if one["id"] == account)


def size(server: RunningServer, account: int, symbol: str = "MNQ") -> int:
    return next((one["size"] for one in truth(server, account)["positions"] if one["contract"] == symbol), 0)


def orders(server: RunningServer, account: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = truth(server, account)["orders"]
    return found


def place(server: RunningServer, token: str, account: int, **more: Any) -> dict[str, Any]:
    body = {"accountId": account, "contractId": MNQ, "type": 2, "side": 0, "size": 1} | more
    answer: dict[str, Any] = server.post("/api/Order/place", token, **body).json()
    return answer


def now(name: str, **args: Any) -> dict[str, Any]:
    return {"name": name, "at": 0, "args": args}


def next_order(name: str, **args: Any) -> dict[str, Any]:
    return {"name": name, "after": 1, "args": args}


def test_every_venue_and_market_name_is_bound(up: RunningServer) -> None:
    actions = FaultActions(up.server.exchange, up.server.market)
    bound = actions._before.keys() | actions._begin.keys()
    assert bound == {kind.name for kind in (*VENUE_KINDS, *MARKET_KINDS)}
    assert actions._end.keys() <= actions._begin.keys()


# -------------------------------------------------------------------------------------------------------------- orders
def test_F_ORD_03_reject_with_and_without_an_id(server: RunningServer, token: str, account: int) -> None:
    server.plan(next_order("order.reject", code=4, account=account))
    assert place(server, token, account) == {"orderId": None, "success": False, "errorCode": 4, "errorMessage": None}
    server.plan(next_order("order.reject", code=2, with_id=True, text="Not enough margin."))
    refused = place(server, token, account)
    assert (refused["errorCode"], refused["errorMessage"]) == (2, "Not enough margin.")
    assert [(one["order_id"], one["status"]) for one in orders(server, account)] == [(refused["orderId"], "rejected")]
    assert place(server, token, account)["success"]


def test_F_ORD_04_partial_fills_and_what_is_left_hangs(server: RunningServer, token: str, account: int) -> None:
    server.plan(next_order("order.partial", sizes=[1, 2], delays=[0, 0.2]))
    place(server, token, account, size=5)
    until(lambda: size(server, account) == 3, "three contracts")
    (order,) = orders(server, account)
    assert (order["filled"], order["status"]) == (3, "open")
    assert [fill["size"] for fill in truth(server, account)["fills"]] == [1, 2]


def test_a_fault_for_one_account_leaves_the_others_alone(server: RunningServer, token: str) -> None:
    """The request that it meets ends before the venue; the next one of another account must not get it."""
    ours, other = next(_accounts), next(_accounts)
    server.plan(next_order("order.partial", sizes=[1], account=ours))
    assert place(server, token, ours, contractId="CON.F.US.ZZZ.Z26")["errorCode"] == 8
    place(server, token, other, size=3)
    until(lambda: size(server, other) == 3, "a whole fill")
    place(server, token, ours, size=3)
    until(lambda: size(server, ours) == 1, "the first part")
    assert orders(server, ours)[-1]["status"] == "open"


def test_F_ORD_09_a_cancelled_order_fills_all_the_same(server: RunningServer, token: str, account: int) -> None:
    working = place(server, token, account, type=1, limitPrice=200)["orderId"]
    server.plan(next_order("order.cancel_race", seconds=0.1))
    assert server.post("/api/Order/cancel", token, accountId=account, orderId=working).json()["success"]
    until(lambda: size(server, account) == 1, "the fill")


def test_a_slow_cancel(server: RunningServer, token: str, account: int) -> None:
    working = place(server, token, account, type=1, limitPrice=200)["orderId"]
    server.plan(next_order("order.cancel_slow", seconds=LONG_S))
    assert server.post("/api/Order/cancel", token, accountId=account, orderId=working).json()["success"]
    assert orders(server, account)[0]["status"] == "pending_cancel"
    server.later(LONG_S)
    until(lambda: orders(server, account)[0]["status"] == "cancelled", "the cancel")


@pytest.mark.parametrize(
    ("kind", "status", "legs"),
    [("entry", "open", 1), ("leg", "open", 2), ("suspended", "suspended", 2)],
)
def test_F_ORD_07_orphans(server: RunningServer, account: int, kind: str, status: str, legs: int) -> None:
    server.plan(now("order.orphan", kind=kind, account=account, contract=MNQ, side="sell", size=2))
    found = orders(server, account)
    assert len(found) == legs
    assert (found[-1]["status"], found[-1]["side"], found[-1]["size"]) == (status, -1, 2)
    assert found[-1]["tag"].startswith("TB1-")


def _legs(server: RunningServer, token: str, account: int, **fault: Any) -> list[dict[str, Any]]:
    """The legs of a bracketed entry that has filled under this fault."""
    name = fault.pop("name")
    server.plan(next_order(name, **fault))
    entry = place(server, token, account, size=2, **BRACKET)["orderId"]
    until(lambda: size(server, account) == 2, "the entry's fill")
    return [one for one in orders(server, account) if one["parent_id"] == entry]


@pytest.mark.parametrize(("which", "left"), [("sl", ["limit"]), ("tp", ["stop"]), ("both", [])])
def test_F_ORD_05_dropped_legs(server: RunningServer, token: str, account: int, which: str, left: list[str]) -> None:
    legs = _legs(server, token, account, name="bracket.drop", which=which)
    assert [leg["order_type"] for leg in legs] == left


def test_F_ORD_05_rejected_suspended_wrong_and_cancelled_legs(server: RunningServer, token: str) -> None:
    def one(**fault: Any) -> list[dict[str, Any]]:
        return _legs(server, token, next(_accounts), which="sl", **fault)

    def stop(legs: list[dict[str, Any]]) -> dict[str, Any]:
        return next(leg for leg in legs if leg["order_type"] == "stop")

    assert stop(one(name="bracket.reject"))["status"] == "rejected"
    assert stop(one(name="bracket.suspended"))["status"] == "suspended"
    assert stop(one(name="bracket.wrong_size", size=1))["size"] == 1
    assert stop(one(name="bracket.wrong_price", ticks=10))["stop"] == 1002 - 50
    account = next(_accounts)
    _legs(server, token, account, name="bracket.cancel_later", which="sl", seconds=0.1)
    until(lambda: [leg["status"] for leg in orders(server, account)].count("cancelled") == 1, "the cancelled leg")


def test_F_ORD_06_no_oco_and_a_chased_stop(server: RunningServer, token: str, account: int) -> None:
    _legs(server, token, account, name="bracket.no_oco")
    server.plan(now("market.chase", contract="MNQ", kind="stop"))
    until(lambda: size(server, account) == 0, "the stop's fill")
    statuses = {one["order_type"]: one["status"] for one in orders(server, account)}
    assert statuses == {"market": "filled", "stop": "filled", "limit": "open"}


def test_F_ORD_08_slippage(server: RunningServer, token: str, account: int) -> None:
    until(lambda: server.control("GET", "/sim/state").json()["contracts"]["MNQ"]["ask"] == 1002, "the usual quote")
    server.plan(next_order("fill.slip", ticks=7))
    place(server, token, account)
    until(lambda: size(server, account), "the fill")
    assert truth(server, account)["fills"][0]["price"] == 1002 + 7


def test_tag_rules(server: RunningServer, token: str, account: int) -> None:
    tagged = {"type": 1, "limitPrice": 100, "customTag": "same"}
    assert place(server, token, account, **tagged)["success"]
    assert not place(server, token, account, **tagged)["success"]
    server.plan(now("order.tag_rule", rule="none") | {"for": LONG_S})
    assert place(server, token, account, **tagged)["success"]
    server.later(LONG_S)
    until(lambda: not place(server, token, account, **tagged)["success"], "the strict rule again")


# ------------------------------------------------------------------------------------------------- accounts and people
def test_F_ACC_01_a_position_that_no_fill_explains(server: RunningServer, account: int) -> None:
    server.plan(now("account.mutate_position", account=account, contract="MNQ", size=-3))
    assert size(server, account) == -3
    assert truth(server, account)["fills"] == []


def test_F_ACC_02_a_person_trades_orders_cancels_and_flattens(server: RunningServer, token: str, account: int) -> None:
    server.plan(now("human.trade", account=account, contract="MNQ", side="sell", size=2))
    until(lambda: size(server, account) == -2, "the trade")
    server.plan(now("human.order", account=account, contract="MNQ", distance=50))
    server.plan(now("human.order", account=account, contract="MNQ", type="stop", side="buy", distance=50))
    assert [(one["limit"], one["stop"]) for one in orders(server, account)[1:]] == [(951, None), (None, 1051)]
    server.plan(now("human.cancel", account=account, which="entries"))
    assert [one["status"] for one in orders(server, account)[1:]] == ["cancelled", "cancelled"]
    server.plan(now("human.flatten", account=account))
    until(lambda: size(server, account) == 0, "flat")


def test_F_ACC_03_lock_with_an_end_and_liquidation(server: RunningServer, token: str, account: int) -> None:
    server.plan(now("account.lock", account=account) | {"for": LONG_S})
    assert place(server, token, account)["errorCode"] == 4
    server.later(LONG_S)
    until(lambda: truth(server, account)["can_trade"], "the end of the lock")
    place(server, token, account, **BRACKET)
    until(lambda: size(server, account), "the fill")
    server.plan(now("account.liquidate", account=account))
    until(lambda: size(server, account) == 0, "the liquidation")
    assert not truth(server, account)["can_trade"]


def test_F_ACC_04_swapped_and_hidden_accounts(server: RunningServer, token: str) -> None:
    first, second = next(_accounts), next(_accounts)
    names = [truth(server, one)["name"] for one in (first, second)]
    server.plan(now("account.swap", first=first, second=second) | {"for": LONG_S})
    assert [truth(server, one)["name"] for one in (first, second)] == names[::-1]
    server.later(LONG_S)
    until(lambda: [truth(server, one)["name"] for one in (first, second)] == names, "the names again")

    def listed() -> list[int]:
        rows = server.post("/api/Account/search", token, onlyActiveAccounts=False).json()["accounts"]
        return [row["id"] for row in rows]

    server.plan(now("account.hide", account=first) | {"for": LONG_S})
    assert first not in listed()
    server.later(LONG_S)
    until(lambda: first in listed(), "the account again")


# -------------------------------------------------------------------------------------------------------------- market
def last(server: RunningServer, symbol: str = "MNQ") -> int:
    return int(server.control("GET", "/sim/state").json()["contracts"][symbol]["last"])


def test_F_TIM_06_a_halt_refuses_orders_until_it_ends(server: RunningServer, token: str, account: int) -> None:
    server.plan(now("market.halt", contract="MNQ") | {"for": LONG_S})
    refused = place(server, token, account)
    assert (refused["errorCode"], "active trading status" in refused["errorMessage"]) == (2, True)
    assert place(server, token, account, contractId=ES)["success"]
    server.later(LONG_S)
    until(lambda: place(server, token, account)["success"], "the end of the halt")
    until(lambda: size(server, account), "the fill")


@pytest.mark.parametrize(
    ("fault", "reached"),
    [
        (now("market.gap", contract="ES", ticks=100), lambda price: price == 20_100),
        (now("market.gap", contract="ES", ticks=-100), lambda price: price == 20_000),
        (now("market.spike", contract="ES", ticks=60, seconds=LONG_S), lambda price: price == 20_060),
        (now("market.drift", contract="ES", ticks=10, seconds=0.5), lambda price: price == 20_010),
        (now("market.drift", contract="ES", ticks=-10, seconds=0.5), lambda price: price == 20_000),
    ],
)
def test_F_ORD_08_prices_move_on_command(
    server: RunningServer, fault: dict[str, Any], reached: Callable[[int], bool]
) -> None:
    server.plan(fault)
    until(lambda: reached(last(server, "ES")), "the price")
    if fault["name"] == "market.spike":
        server.later(LONG_S)
        until(lambda: last(server, "ES") == 20_000, "the price of before")


def test_a_burst_of_prints_with_one_stamp(server: RunningServer, token: str) -> None:
    with HubClient(f"{server.ws}/hubs/market?access_token={token}") as client:
        client.invoke("SubscribeContractTrades", ES)
        server.plan(now("market.prints", contract="ES", count=5, size=3, offset=12))
        burst: list[dict[str, Any]] = []
        while len(burst) < 5:
            burst += [row for row in client.event("GatewayTrade")[1] if row["volume"] == 3]
    assert {(row["price"], row["timestamp"]) for row in burst} == {(5003.25, burst[0]["timestamp"])}


def test_F_RSK_01_drift_to_loss_goes_against_the_position(server: RunningServer, token: str, account: int) -> None:
    place(server, token, account, contractId=ES, side=1)
    until(lambda: size(server, account, "ES") == -1, "a short position")

    def bid() -> int:
        return int(server.control("GET", "/sim/state").json()["contracts"]["ES"]["bid"])

    before = bid()
    server.plan(now("market.drift_to_loss", account=account, ticks=20, seconds=0.3))
    until(lambda: bid() >= before + 20, "a loss for a seller")


def test_F_TIM_06_odd_quotes(server: RunningServer) -> None:
    def quote() -> tuple[Any, Any]:
        state = server.control("GET", "/sim/state").json()["contracts"]["ES"]
        return state["bid"], state["ask"]

    server.plan(now("market.one_sided", contract="ES", limit="up", seconds=LONG_S))
    until(lambda: quote()[1] is None, "a quote without ask")
    server.later(LONG_S)
    until(lambda: quote()[1] is not None, "both sides again")


def test_F_DAT_07_altered_and_missing_history(server: RunningServer, token: str) -> None:
    body = {
        "contractId": ES, "live": False, "startTime": "2026-01-01T00:00:00Z", "endTime": "2036-01-01T00:00:00Z",
        "unit": 2, "unitNumber": 1, "limit": 5, "includePartialBar": True,
    }  # fmt: skip

    def bars() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = server.post("/api/History/retrieveBars", token, **body).json()["bars"]
        return rows

    before = {bar["t"]: bar["o"] for bar in until(bars, "a bar")}
    newest = max(before)
    server.plan(now("history.alter", contract="ES", ticks=40, minutes_ago=0) | {"for": LONG_S})
    opens = {bar["t"]: bar["o"] for bar in bars()}
    assert max(opens) > newest or opens[newest] == before[newest] + 10.0
    server.later(LONG_S)
    until(lambda: {bar["t"]: bar["o"] for bar in bars()}[newest] == before[newest], "the healed bar")
    newest = max(bar["t"] for bar in bars())
    server.plan(now("history.holes", contract="ES", minutes_ago=3, minutes=6))
    until(lambda: newest not in [bar["t"] for bar in bars()], "the hole")
    server.calm()
    until(lambda: newest in [bar["t"] for bar in bars()], "the bars again")


def test_calm_undoes_what_would_have_stayed_on(server: RunningServer, token: str, account: int) -> None:
    server.plan(
        now("market.halt", contract="MNQ"),
        now("account.lock", account=account),
        now("order.tag_rule", rule="none"),
        now("contract.deactivate", contract="ES"),
    )
    until(lambda: place(server, token, account)["errorCode"] == 4, "the lock")
    server.calm()
    assert not place(server, token, account, customTag="after-calm")["errorCode"]
    assert place(server, token, account, customTag="after-calm")["errorCode"] == 2
    assert place(server, token, account, contractId=ES, type=1, limitPrice=100)["success"]
    with HubClient(f"{server.ws}/hubs/market?access_token={token}") as client:
        client.invoke("SubscribeContractTrades", MNQ)
        client.event("GatewayTrade")  # the market trades again


def test_F_TIM_07_deactivate_and_roll(server: RunningServer, token: str, account: int) -> None:
    def active() -> list[str]:
        rows = server.post("/api/Contract/available", token, live=False).json()["contracts"]
        return [row["id"] for row in rows]

    server.plan(now("contract.deactivate", contract="ES") | {"for": LONG_S})
    assert ES not in active()
    assert place(server, token, account, contractId=ES)["errorCode"] == 9
    server.later(LONG_S)
    until(lambda: ES in active(), "the contract again")
    server.plan(now("contract.roll", contract="ES", offset=100))
    assert "CON.F.US.EP.H27" in active()
    assert ES not in active()
    assert place(server, token, account, contractId=ES)["errorCode"] == 9


def test_what_makes_no_sense_when_its_time_comes_is_noted_and_ends_nothing(up: RunningServer, token: str) -> None:
    up.plan(
        now("account.lock", account=77), now("human.trade", contract="CL"), now("market.gap", contract="X", ticks=1)
    )
    failures = up.control("GET", "/sim/faults").json()["failures"]
    assert [(one["name"], one["error"]) for one in failures] == [
        ("account.lock", "the venue has no account 77"),
        ("human.trade", "the venue does not list 'CL'"),
        ("market.gap", "the venue does not list 'X'"),
    ]
    assert up.post("/api/Contract/available", token, live=False).json()["success"]
    up.calm()


def test_acts_after_the_nth_order(server: RunningServer, token: str, account: int) -> None:
    server.plan({"name": "account.lock", "after": 2, "args": {"account": account}})
    assert [place(server, token, account)["errorCode"] for _ in range(3)] == [0, 0, 4]
