"""What REST shows of orders that are half done: fills in parts, pending cancels, joins, months that are over."""

import json
import time
from typing import Any

import pytest

from sim_rig import KEY, MNQ, OWNER
from tbot.sim.auth import Tokens, User
from tbot.sim.rest_server import RestApi
from venue_rig import FIRST, S, VenueRig


class _MarketOf:
    """The one thing of a market that orders need: its time."""

    def __init__(self, rig: VenueRig) -> None:
        self._rig = rig

    @property
    def now_ns(self) -> int:
        return self._rig.now_ns


class Api:
    """REST without a socket on a VenueRig."""

    def __init__(self) -> None:
        self.rig = VenueRig()
        tokens = Tokens(3600.0)
        self._api = RestApi(self.rig.exchange, _MarketOf(self.rig), [User(OWNER, KEY)], tokens)  # type: ignore[arg-type]
        self._token = tokens.issue(OWNER, time.time())

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        reply = self._api.handle("POST", path, self._token, json.dumps(body).encode(), 0.0)
        assert reply.status == 200
        answer: dict[str, Any] = json.loads(reply.body)
        return answer

    def orders(self, **filter_members: Any) -> list[dict[str, Any]]:
        wanted = {"accountId": self.rig.account_id} | filter_members
        found: list[dict[str, Any]] = self.post("/api/Order/v2/query", filter=wanted, sortDirection=0)["orders"]
        return found


@pytest.fixture
def api() -> Api:
    return Api()


def test_F_ORD_04_a_partly_filled_order_is_open_with_its_volume_and_average(api: Api) -> None:
    rig = api.rig
    rig.controls.partial([1, 2], [0, S])
    rig.bracket(size=5)
    rig.quote(1000, 1002)
    rig.quote(1001, 1003)
    rig.wait(S)
    entry, stop, target = api.orders()
    assert (entry["status"], entry["size"], entry["fillVolume"], entry["filledPrice"]) == (1, 5, 3, 250.666666667)
    assert [(leg["status"], leg["size"], leg["fillVolume"], leg["filledPrice"]) for leg in (stop, target)] == [
        (1, 3, 0, None)
    ] * 2
    assert (stop["trailDistance"], stop["trailPrice"], stop["stopPrice"]) == (-40, -10, 240.5)
    account = {"accountId": rig.account_id}
    trades = api.post("/api/Trade/search", **account, startTimestamp="2020-01-01T00:00:00Z")["trades"]
    assert [(row["size"], row["price"], row["orderId"]) for row in trades] == [(2, 250.75, FIRST), (1, 250.5, FIRST)]
    position = api.post("/api/Position/searchOpen", **account)["positions"][0]
    assert (position["size"], position["averagePrice"]) == (3, 250.666666667)
    rig.cancel(FIRST)
    assert [order["status"] for order in api.orders()] == [3, 1, 1]


def test_F_ORD_09_a_pending_cancellation_is_status_7_and_not_in_the_open_list(api: Api) -> None:
    rig = api.rig
    rig.place(order_type=1, limit_price="200")
    rig.controls.cancel_slow(S)
    account = {"accountId": rig.account_id}
    assert api.post("/api/Order/cancel", **account, orderId=FIRST)["success"]
    assert api.post("/api/Order/cancel", **account, orderId=FIRST)["errorCode"] == 4
    assert [order["status"] for order in api.orders(statuses=[1, 6, 7, 8])] == [7]
    assert api.post("/api/Order/searchOpen", **account)["orders"] == []
    rig.wait(S)
    assert [order["status"] for order in api.orders()] == [3]


def test_joins_keep_their_type_and_a_stop_limit_is_recorded_as_refused(api: Api) -> None:
    body = {"accountId": api.rig.account_id, "contractId": MNQ, "side": 0, "size": 1}
    answers = [api.post("/api/Order/place", **body, type=kind) for kind in (6, 7, 3)]
    assert [answer["errorCode"] for answer in answers] == [0, 0, 2]
    assert "StopLimit" in answers[2]["errorMessage"]
    shown = [(order["id"], order["type"], order["limitPrice"], order["status"]) for order in api.orders()]
    assert shown == [(FIRST, 6, 250.0, 1), (FIRST + 1, 7, 250.5, 1), (FIRST + 2, 3, None, 5)]


def test_F_TIM_07_after_a_roll_the_lists_show_the_new_month_and_records_the_old_one(api: Api) -> None:
    rig = api.rig
    rig.bracket(size=2)
    rig.quote(1000, 1002)
    rig.controls.roll("MNQ", rig.now_ns, 100)
    march = "CON.F.US.MNQ.H27"
    for call in (("/api/Contract/available", {}), ("/api/Contract/search", {"searchText": "mnq"})):
        listed = api.post(call[0], live=False, **call[1])["contracts"]
        assert march in [contract["id"] for contract in listed]
        assert MNQ not in [contract["id"] for contract in listed]
        assert all(contract["activeContract"] for contract in listed)
    for month, active in ((MNQ, False), (march, True), ("CON.F.US.MNQ.U26", False)):
        contract = api.post("/api/Contract/searchById", contractId=month)["contract"]
        assert (contract["id"], contract["activeContract"]) == (month, active)
    assert contract["description"] == "Micro E-mini Nasdaq-100: September 2026"
    account = {"accountId": rig.account_id}
    assert api.post("/api/Order/place", **account, contractId=MNQ, type=2, side=0, size=1)["errorCode"] == 9
    assert {order["contractId"] for order in api.orders()} == {MNQ}
    assert api.orders(contractId=march) == []
    assert len(api.orders(contractId=MNQ)) == 3
    position = api.post("/api/Position/searchOpen", **account)["positions"][0]
    assert (position["contractId"], position["contractDisplayName"], position["size"]) == (MNQ, "MNQZ26", 2)
    assert api.post("/api/Position/partialCloseContract", **account, contractId=MNQ, size=1)["success"]
    rig.wait(S)
    trades = api.post("/api/Trade/search", **account, startTimestamp="2020-01-01T00:00:00Z")["trades"]
    assert [(row["contractId"], row["profitAndLoss"]) for row in trades] == [(MNQ, -1), (MNQ, None)]


def test_F_ACC_04_a_hidden_account_is_in_no_list(api: Api) -> None:
    api.rig.controls.hide(api.rig.account_id)
    assert api.post("/api/Account/search", onlyActiveAccounts=False)["accounts"] == []
    answer = api.post("/api/Position/searchOpen", accountId=api.rig.account_id)
    assert (answer["errorCode"], answer["positions"]) == (1, None)
