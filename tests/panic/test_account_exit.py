"""R7 by the emergency exit against a scripted gateway in virtual time: order of steps, repeats, lies and refusals."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from gateway_records import ID, ORDER
from tbot.gateway.codec_models import BrokerOrder, BrokerPosition
from tbot.gateway.codec_rest import Answer
from tbot.panic.account_exit import CONFIRM_S, AccountExit

SECOND = 1_000_000_000
OTHER = "CON.F.US.EP.Z26"
OPEN, SUSPENDED = 1, 8


@dataclass
class Venue:
    """Positions and orders of one account; `script[call]` holds outcomes to give before it behaves."""

    positions: dict[str, int] = field(default_factory=dict)
    orders: dict[int, BrokerOrder] = field(default_factory=dict)
    script: dict[str, list[Any]] = field(default_factory=dict)
    wire: list[tuple[str, Any]] = field(default_factory=list)
    now_ns: int = 0
    after: Callable[["Venue"], None] = lambda _: None  # called after every request

    def pause(self, seconds: float) -> None:
        assert seconds > 0
        self.now_ns += int(seconds * SECOND)

    def _answer(self, call: str, what: Any, act: Callable[[], Answer[Any]]) -> Answer[Any]:
        assert len(self.wire) < 2000, "it never ends"
        self.wire.append((call, what))
        scripted = self.script.get(call) or []
        outcome = scripted.pop(0) if scripted else "accepted"
        if outcome == "ambiguous_done":
            act()
        answer = act() if outcome == "accepted" else Answer(outcome.removesuffix("_done"), text="scripted")
        self.after(self)
        return answer

    # ------------------------------------------------------------------------------------------------ the client
    def position_search_open(self, account: int, *, protective: bool) -> Answer[Any]:
        assert protective
        price = Decimal(25_000)
        held = [BrokerPosition(1, account, name, 0, size, price) for name, size in self.positions.items()]
        return self._answer("positions", account, lambda: Answer("accepted", held))

    def order_v2_query(self, account: int, *, page_size: int, offset: int, protective: bool) -> Answer[Any]:
        assert protective
        page = list(self.orders.values())[offset : offset + page_size]
        return self._answer("orders", offset, lambda: Answer("accepted", page, total=len(self.orders)))

    def order_cancel(self, request: Any) -> Answer[Any]:
        def act() -> Answer[Any]:
            for number in [n for n, order in self.orders.items() if request.order_id in (n, order.parent_id)]:
                del self.orders[number]
            return Answer("accepted")

        return self._answer("cancel", request.order_id, act)

    def position_close_contract(self, request: Any) -> Answer[Any]:
        def act() -> Answer[Any]:
            self.positions.pop(request.contract_id, None)
            return Answer("accepted")

        return self._answer("close", request.contract_id, act)

    def order_place(self, request: Any, *, protective: bool) -> Answer[Any]:
        assert protective

        def act() -> Answer[Any]:
            left = self.positions.get(request.contract_id, 0) + request.size * (1 if request.side == 0 else -1)
            self.positions[request.contract_id] = left
            if not left:
                del self.positions[request.contract_id]
            return Answer("accepted", 99, order_id=99)

        return self._answer("place", request, act)

    # -------------------------------------------------------------------------------------------------- questions
    def sent(self, *calls: str) -> list[tuple[str, Any]]:
        return [entry for entry in self.wire if entry[0] in calls]


def order(number: int, side: int, *, contract: str = ID, status: int = OPEN, parent: int | None = None) -> BrokerOrder:
    return replace(
        ORDER, order_id=number, account_id=1001, broker_id=contract, side=side, status=status, parent_id=parent, size=1
    )


def exit_of(venue: Venue, for_s: float = 60) -> tuple[AccountExit, list[str]]:
    said: list[str] = []
    made = AccountExit(
        venue, 1001, said.append, venue.pause, venue.now_ns + int(for_s * SECOND), clock=lambda: venue.now_ns  # type: ignore[arg-type]
    )
    return made, said


def protected() -> Venue:
    """Long with stop and target working, and an entry of another contract whose legs wait for it."""
    return Venue(
        {ID: 2},
        {
            1: order(1, -1, parent=7),
            2: order(2, -1, parent=7),
            3: order(3, 1, contract=OTHER),
            4: order(4, -1, contract=OTHER, status=SUSPENDED, parent=3),
        },
    )


def test_entries_first_then_closes_and_stops_only_when_flat() -> None:
    venue = protected()
    out, said = exit_of(venue)
    assert out.run()
    assert (venue.positions, venue.orders) == ({}, {})
    assert venue.sent("cancel", "close") == [("cancel", 3), ("close", ID), ("cancel", 1), ("cancel", 2)]
    assert [call for call, _ in venue.wire[-4:]] == ["positions", "orders", "positions", "orders"]  # proven twice
    assert venue.now_ns == int(CONFIRM_S * SECOND)
    assert said[-1] == "account 1001: proven: no position, no working order"
    assert f"account 1001: close {ID} +2: done" in said


def test_nothing_open_takes_two_looks_and_no_action() -> None:
    venue = Venue()
    out, _ = exit_of(venue)
    assert out.run()
    assert [call for call, _ in venue.wire] == ["positions", "orders", "positions", "orders"]


@pytest.mark.parametrize("call", ["positions", "orders", "cancel", "close"])
@pytest.mark.parametrize("outcome", ["rejected", "not_sent", "ambiguous", "ambiguous_done"])
def test_F_ORD_02_whatever_one_call_answers_it_gets_there(call: str, outcome: str) -> None:
    venue = protected()
    venue.script = {call: [outcome]}
    out, _ = exit_of(venue)
    assert out.run()
    assert (venue.positions, venue.orders) == ({}, {})
    assert not venue.sent("place")


@pytest.mark.parametrize("call", ["positions", "orders", "cancel", "close"])
def test_never_proven_is_said_and_ends_at_the_deadline(call: str) -> None:
    venue = protected()
    venue.script = {call: ["ambiguous"] * 1000}
    out, said = exit_of(venue, for_s=20)
    assert not out.run()
    assert 20 * SECOND <= venue.now_ns <= 25 * SECOND
    assert "NOT PROVEN FLAT" in said[-1]
    assert not out.flat


def test_a_broken_order_list_does_not_keep_positions_open() -> None:
    venue = protected()
    venue.script = {"orders": ["ambiguous"] * 1000}
    out, said = exit_of(venue, for_s=5)
    assert not out.run()
    assert not venue.positions
    assert "no position, orders not known" in said[-1]


def test_unknown_positions_cancel_nothing() -> None:
    """Without them nobody can tell a stop from an entry."""
    venue = protected()
    venue.script = {"positions": ["ambiguous"] * 1000}
    out, said = exit_of(venue, for_s=5)
    assert not out.run()
    assert not venue.sent("cancel", "close")
    assert "positions not known, 4 working orders" in said[-1]


def test_the_gateway_told_nothing() -> None:
    venue = Venue(script={"positions": ["not_sent"] * 99, "orders": ["not_sent"] * 99})
    out, said = exit_of(venue, for_s=1)
    assert not out.run()
    assert "the gateway told nothing" in said[-1]


def test_a_leg_that_fills_in_between_and_reverses_is_closed_again() -> None:
    venue = protected()

    def fill(at: Venue) -> None:
        if at.wire[-1] == ("cancel", 1) and 2 in at.orders:
            at.positions[ID] = -2  # the target filled instead of being cancelled
            del at.orders[2]

    venue.after = fill
    out, _ = exit_of(venue)
    assert out.run()
    assert len(venue.sent("close")) == 2


def test_what_comes_after_the_first_proof_is_seen_by_the_second_look() -> None:
    """An order on its way when everything was flat (F-ORD-01 c), or a stale list (F-ACC-05)."""
    venue = Venue()

    def late(at: Venue) -> None:
        if len(at.wire) == 2:
            at.positions[ID] = 3

    venue.after = late
    out, _ = exit_of(venue)
    assert out.run()
    assert venue.sent("close") == [("close", ID)]


# ----------------------------------------------------------------------------------- R4: the close call is refused
@pytest.mark.parametrize(("size", "side"), [(2, 1), (-3, 0)])
def test_R4_a_close_that_is_refused_twice_becomes_one_opposite_order(size: int, side: int) -> None:
    venue = Venue({ID: size}, script={"close": ["rejected"] * 99})
    out, said = exit_of(venue)
    assert out.run()
    ((_, request),) = venue.sent("place")
    assert (request.side, request.size, request.type, request.contract_id) == (side, abs(size), 2, ID)
    assert len(request.custom_tag) <= 32
    assert request.custom_tag.startswith("PANIC-")
    assert any("the close was refused; opposite order" in line for line in said)


@pytest.mark.parametrize("outcome", ["ambiguous", "accepted_not_filled"])
def test_R2_an_opposite_order_that_may_be_on_its_way_is_never_repeated(outcome: str) -> None:
    venue = Venue({ID: 2}, script={"close": ["rejected"] * 999, "place": [outcome]})
    if outcome == "accepted_not_filled":
        venue.script["place"] = []
        venue.order_place = lambda request, protective: venue._answer("place", request, lambda: Answer("accepted", 9))  # type: ignore[method-assign]
    out, _ = exit_of(venue, for_s=30)
    assert not out.run()
    assert len(venue.sent("place")) == 1


@pytest.mark.parametrize("outcome", ["rejected", "not_sent"])
def test_an_opposite_order_that_is_proven_dead_is_tried_again(outcome: str) -> None:
    venue = Venue({ID: 2}, script={"close": ["rejected"] * 999, "place": [outcome]})
    out, _ = exit_of(venue)
    assert out.run()
    assert len(venue.sent("place")) == 2


def test_no_opposite_order_when_somebody_else_closed_meanwhile() -> None:
    """An engine that lives flattens beside us: its close makes ours be refused, and the size read next is zero."""
    venue = Venue({ID: 2}, script={"close": ["rejected"] * 99})

    def gone(at: Venue) -> None:
        if len(at.sent("close")) == 2:
            at.positions.clear()

    venue.after = gone
    out, _ = exit_of(venue)
    assert out.run()
    assert not venue.sent("place")


def test_no_opposite_order_when_the_size_cannot_be_read() -> None:
    venue = Venue({ID: 2}, script={"close": ["rejected"] * 999})

    def blind(at: Venue) -> None:
        if at.wire[-1][0] == "close":
            at.script["positions"] = ["ambiguous"]

    venue.after = blind
    out, _ = exit_of(venue, for_s=10)
    assert not out.run()
    assert not venue.sent("place")


def test_one_refusal_is_forgotten_after_an_answer_of_another_kind() -> None:
    venue = Venue({ID: 2}, script={"close": ["rejected", "ambiguous", "rejected", "ambiguous"]})
    out, _ = exit_of(venue)
    assert out.run()
    assert not venue.sent("place")


# ------------------------------------------------------------------------------------------------------------ lists
def test_many_orders_are_read_page_by_page() -> None:
    venue = Venue(orders={number: order(number, 1) for number in range(1, 251)})
    out, _ = exit_of(venue)
    assert out.run()
    assert len(venue.sent("cancel")) == 250


@pytest.mark.parametrize(("count", "proven"), [(10, True), (60, False)])
def test_a_list_without_a_total_proves_only_when_it_is_short(count: int, proven: bool) -> None:
    venue = Venue()
    page = [order(number, 1) for number in range(1, count + 1)]
    venue.order_v2_query = lambda *_, **__: Answer("accepted", page)  # type: ignore[method-assign]
    out, said = exit_of(venue, for_s=0.1)
    assert not out.run()  # nothing is ever cancelled in this list
    assert any("is not whole" in line for line in said) is not proven
    assert (out.orders is not None) is proven


def test_a_list_that_never_ends_is_given_up() -> None:
    venue = Venue()
    numbers = iter(range(1, 10_000))

    def endless(*_: Any, **__: Any) -> Answer[Any]:
        return Answer("accepted", [order(next(numbers), 1)], total=10**6)

    venue.order_v2_query = endless  # type: ignore[method-assign]
    out, said = exit_of(venue, for_s=0.1)
    assert not out.run()
    assert said[0] == "account 1001: the list of orders is not whole (20 read); asking again"


def test_things_of_other_accounts_are_not_touched() -> None:
    venue = Venue(orders={1: replace(order(1, 1), account_id=7)})
    venue.position_search_open = lambda *_, **__: Answer(  # type: ignore[method-assign]
        "accepted", [BrokerPosition(1, 7, ID, 0, 4, None)]  # type: ignore[arg-type]
    )
    out, _ = exit_of(venue)
    assert out.run()
    assert not venue.sent("cancel", "close")


def test_a_sentence_that_repeats_is_said_once() -> None:
    venue = Venue(script={"positions": ["not_sent"] * 5})
    out, said = exit_of(venue)
    assert out.run()
    assert len(said) == len(set(said)) == 2
