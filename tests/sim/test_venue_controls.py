"""Each lever of a fault plan does what the failure model says, on hand-made ticks and hand-computed results."""

from decimal import Decimal

import pytest

from sim_rig import MNQ, OWNER
from tbot.execution.book_types import TAG_IN_USE
from tbot.execution.tags import parse_tag
from tbot.sim.exchange import NOT_TRADING, Answer
from tbot.sim.orders import ModifyFields, PlaceFields
from tbot.sim.venue_faults import Scope
from venue_rig import FIRST, S, VenueRig

LIMIT, STOP = 1, 4


# ------------------------------------------------------------------------------------------- refusals and deliveries
def test_F_ORD_03_a_planned_refusal_with_and_without_an_id() -> None:
    rig = VenueRig()
    rig.controls.reject(2, "Not enough margin.", with_id=True)
    rig.controls.reject(5, scope=Scope(account=rig.account_id, contract="MNQ", count=2))
    assert rig.place(tag="a") == Answer(2, "Not enough margin.", FIRST)
    assert rig.told() == ["market rejected"]
    assert [rig.place(tag="b"), rig.place(tag="b")] == [Answer(5), Answer(5)]
    assert rig.place(tag="b").code == 0
    assert rig.place(tag="a") == Answer(2, TAG_IN_USE)  # the rejected order used it up


@pytest.mark.parametrize("call", ["modify", "cancel", "close"])
def test_F_ORD_02_planned_refusals_of_the_other_calls(call: str) -> None:
    rig = VenueRig()
    rig.place(order_type=LIMIT, limit_price="200")
    rig.controls.reject(5, "later", call=call)  # type: ignore[arg-type]
    modify = ModifyFields(rig.account_id, FIRST, limit_price=Decimal("201"))
    calls = {
        "modify": lambda: rig.exchange.modify(OWNER, modify, rig.now_ns),
        "cancel": lambda: rig.exchange.cancel(OWNER, rig.account_id, FIRST, rig.now_ns),
        "close": lambda: rig.exchange.close(OWNER, rig.account_id, MNQ, rig.now_ns),
    }
    assert calls[call]() == Answer(5, "later")
    assert calls[call]().code in (0, 2)  # the next one is the venue's own: done, or no position


def test_F_ORD_01_an_order_that_never_arrives() -> None:
    rig = VenueRig()
    rig.controls.place_outcome("never")
    assert rig.place(tag="x") == Answer(7)
    rig.wait(3600 * S)
    assert rig.orders == []
    assert rig.place(tag="x").code == 0  # its tag is not used up


def test_F_ORD_01_an_order_that_arrives_late_is_checked_and_filled_then() -> None:
    rig = VenueRig()
    rig.controls.place_outcome("late", 45 * S)
    assert rig.bracket() is None
    rig.wait(44 * S)
    assert rig.orders == []
    rig.quote(1010, 1012)
    rig.wait(S)
    assert rig.states() == ["filled 1/1", "open 0/1", "open 0/1"]  # at the standing quote of that moment
    assert rig.orders[0].created_ns == rig.now_ns
    assert rig.account.book.fills[0].price == 1012


def test_F_ORD_01_a_request_held_back_by_the_wire_arrives_at_its_time() -> None:
    rig = VenueRig()
    fields = PlaceFields(rig.account_id, MNQ, 2, 0, 1, tag="x")
    rig.controls.place_later(OWNER, fields, rig.now_ns + S)
    rig.controls.place_later("Stranger", fields, rig.now_ns + S)  # not their account
    rig.wait(2 * S)
    assert rig.states() == ["filled 1/1"]


# -------------------------------------------------------------------------------------------------------- cancel race
def test_F_ORD_09_a_cancel_is_answered_and_then_the_fill_arrives() -> None:
    rig = VenueRig()
    rig.place(order_type=LIMIT, limit_price="200", size=3)
    rig.controls.cancel_race(S)
    rig.told()
    assert rig.cancel(FIRST) == 0
    assert rig.told() == ["limit pending_cancel"]
    assert rig.cancel(FIRST) == 4
    assert rig.exchange.modify(OWNER, ModifyFields(rig.account_id, FIRST, size=4), rig.now_ns).code == 4
    rig.wait(S)
    assert rig.states() == ["filled 3/3"]
    assert rig.account.book.fills[0].price == 800  # its own price, although the market never came there
    assert rig.cancel(FIRST) == 3


def test_F_ORD_09_only_part_of_it_fills_and_the_rest_is_cancelled() -> None:
    rig = VenueRig()
    rig.controls.partial([1])
    rig.bracket(size=4)
    rig.quote(1000, 1002)
    rig.controls.cancel_race(0, size=2)
    assert rig.cancel(FIRST) == 0
    rig.quote(1000, 1002)
    assert rig.states() == ["cancelled 3/4", "open 0/3", "open 0/3"]


def test_a_slow_cancel_leaves_the_order_to_the_market_for_a_while() -> None:
    rig = VenueRig()
    rig.place(order_type=LIMIT, limit_price="200")
    rig.place(order_type=LIMIT, limit_price="240")
    rig.controls.cancel_slow(S, Scope(count=2))
    assert [rig.cancel(FIRST), rig.cancel(FIRST + 1)] == [0, 0]
    rig.trade(959)
    assert [order.status for order in rig.orders] == ["pending_cancel", "filled"]
    rig.wait(S)
    assert [order.status for order in rig.orders] == ["cancelled", "filled"]


# ----------------------------------------------------------------------------------------------------------- brackets
@pytest.mark.parametrize(("which", "left"), [("sl", ["limit"]), ("tp", ["stop"]), ("both", [])])
def test_F_ORD_05_legs_that_never_exist(which: str, left: list[str]) -> None:
    rig = VenueRig()
    rig.controls.bracket("drop", which)  # type: ignore[arg-type]
    rig.place()  # has no bracket: not concerned
    rig.bracket()
    rig.quote(1000, 1002)
    assert [order.order_type for order in rig.account.book.living_orders()] == left


def test_F_ORD_05_legs_rejected_stuck_of_wrong_size_or_price_or_cancelled_later() -> None:
    expected = {
        "reject": "rejected 0/2",
        "suspended": "suspended 0/2",
        "wrong_size": "open 0/1",
        "wrong_price": "open 0/2",
        "cancel_later": "open 0/2",
    }
    for kind, stop in expected.items():
        rig = VenueRig()
        rig.controls.bracket(kind, "sl", size=1, ticks=7, after_ns=S)  # type: ignore[arg-type]
        rig.bracket(size=2)
        rig.quote(1000, 1002)
        assert rig.states() == ["filled 2/2", stop, "open 0/2"], kind
        assert rig.orders[1].stop == {"reject": None, "suspended": None, "wrong_price": 955}.get(kind, 962)
        rig.wait(S)
        later = "cancelled 0/2" if kind == "cancel_later" else stop
        assert rig.states()[1] == later, kind


def test_F_ORD_05_a_stop_on_the_side_of_its_entry_adds_to_the_position() -> None:
    rig = VenueRig()
    rig.controls.bracket("wrong_side", "sl")
    rig.bracket()
    rig.quote(1000, 1002)
    assert [order.side for order in rig.orders] == [1, 1, -1]
    rig.trade(1001)
    assert rig.size() == 2


def test_F_ORD_05_a_target_farther_away() -> None:
    rig = VenueRig()
    rig.controls.bracket("wrong_price", "tp", ticks=5)
    rig.bracket(side=1)
    rig.quote(1000, 1002)
    assert (rig.orders[1].stop, rig.orders[2].limit) == (1040, 915)


def test_F_ORD_06_both_legs_fill_and_turn_the_position_round() -> None:
    rig = VenueRig()
    rig.controls.bracket("no_oco")
    rig.bracket(size=2)
    rig.quote(1000, 1002)
    rig.trade(1083)
    assert rig.size() == 0
    rig.trade(900)
    assert rig.size() == -2


def test_F_ORD_08_slippage_of_an_entry_and_its_stop_but_not_of_its_target() -> None:
    rig = VenueRig()
    rig.controls.slip(5, Scope(count=2))
    rig.bracket(tag="a")
    rig.bracket(tag="b", side=1)
    rig.quote(1000, 1002)
    assert [fill.price for fill in rig.account.book.fills] == [1007, 995]
    # long: stop 967, target 1087; short: stop 1035, target 915
    rig.trade(1088)
    assert [fill.price for fill in rig.account.book.fills][2:] == [1088 + 5, 1087]
    assert rig.size() == 0


# ---------------------------------------------------------------------------------------------------- orders left over
def test_F_ORD_07_orphans_are_there_with_a_tag_of_a_dead_run() -> None:
    rig = VenueRig()
    for kind in ("entry", "leg", "suspended"):
        rig.controls.orphan(kind, rig.account_id, "MNQ", rig.now_ns, side=-1, size=2)  # type: ignore[arg-type]
    living = rig.account.book.living_orders()
    assert [(order.order_type, order.status) for order in living] == [
        ("limit", "open"), ("stop", "open"), ("stop", "suspended")
    ]  # fmt: skip
    tags = [parse_tag(order.tag) for order in living]
    assert [tag and tag.leg for tag in tags] == ["", "SL", "SL"]
    assert len({order.tag for order in rig.orders}) == len(rig.orders)
    assert all(tag and tag.run_start_ms < rig.now_ns // 1_000_000 for tag in tags)
    assert [order.limit or order.stop for order in living] == [1201, 801, None]
    rig.trade(801)  # a leg without a position opens one: what has to be prevented
    assert rig.size() == -2


# --------------------------------------------------------------------------------------------- account truth, people
def test_F_ACC_01_the_venue_holds_what_no_fill_explains() -> None:
    rig = VenueRig()
    rig.controls.mutate_position(rig.account_id, "MNQ", -3, rig.now_ns, price=1010)
    assert rig.told() == ["position -3"]
    assert rig.account.book.fills == []
    holding = rig.account.book.holding("MNQ")
    assert holding is not None
    assert (holding.size, holding.price_size_sum) == (-3, 3030)
    rig.controls.mutate_position(rig.account_id, "MNQ", 0, rig.now_ns, tell=False)
    assert rig.told() == []
    assert rig.account.book.holdings() == []


def test_F_ACC_02_a_person_trades_cancels_and_flattens() -> None:
    rig = VenueRig()
    rig.bracket(tag="ours")
    rig.quote(1000, 1002)
    rig.controls.partial([1])  # meant for the engine's next order, not for a person's
    rig.controls.human_trade(rig.account_id, "MNQ", 1, 2, rig.now_ns)
    rig.quote(1000, 1002)
    assert (rig.size(), rig.orders[-1].tag, rig.orders[-1].status) == (3, "", "filled")
    rig.controls.human_order(rig.account_id, "MNQ", -1, 1, rig.now_ns, stop=950)
    rig.controls.human_order(rig.account_id, "MNQ", -1, 1, rig.now_ns, limit=1200)
    assert rig.controls.human_cancel(rig.account_id, rig.now_ns, "stops") == 1
    assert rig.orders[1].status == "cancelled"
    assert rig.controls.human_cancel(rig.account_id, rig.now_ns, "targets") == 1
    assert rig.controls.human_cancel(rig.account_id, rig.now_ns, "entries", "ES") == 0
    assert rig.controls.human_cancel(rig.account_id, rig.now_ns, "entries") == 2
    rig.controls.human_order(rig.account_id, "MNQ", -1, 1, rig.now_ns, limit=1200)
    rig.controls.human_flatten(rig.account_id, rig.now_ns)
    rig.quote(1000, 1002)
    assert (rig.size(), rig.account.book.living_orders()) == (0, [])


def test_F_ACC_03_lock_and_liquidation() -> None:
    rig = VenueRig()
    rig.bracket()
    rig.quote(1000, 1002)
    rig.told()
    rig.controls.lock(rig.account_id)
    assert rig.told() == ["account 4999939 False"]
    assert rig.place().code == 4
    assert rig.cancel(FIRST + 2) == 0  # what only reduces is possible
    rig.controls.unlock(rig.account_id)
    assert rig.place().code == 0
    rig.quote(1000, 1002)
    rig.controls.liquidate(rig.account_id, rig.now_ns)
    assert (rig.size(), rig.account.book.living_orders(), rig.account.can_trade) == (0, [], False)
    assert rig.told()[-1].endswith("False")
    rig.wait(24 * 3600 * S)
    assert rig.account.can_trade
    rig.controls.liquidate(rig.account_id, rig.now_ns, failed=True)
    rig.controls.unlock(rig.account_id)
    rig.wait(24 * 3600 * S)
    assert not rig.account.can_trade


def test_F_ACC_04_accounts_exchange_names_or_vanish() -> None:
    rig = VenueRig()
    other = rig.exchange.add_account(OWNER)
    assert other.name == "50KTC-V2-000001-00000002"
    rig.controls.swap(rig.account_id, other.account_id)
    assert [account.name[-1] for account in rig.exchange.accounts_of(OWNER)] == ["2", "1"]
    assert len(rig.told()) == 2
    rig.controls.hide(rig.account_id)
    assert rig.exchange.accounts_of(OWNER) == [other]
    assert rig.place().code == 1
    rig.controls.hide(rig.account_id, hidden=False)
    assert rig.place().code == 0


# --------------------------------------------------------------------------------------------------- market, contract
def test_F_TIM_06_in_a_halt_nothing_is_taken_and_nothing_fills() -> None:
    rig = VenueRig()
    rig.bracket()
    rig.quote(1000, 1002)
    rig.place()  # waits for its tick
    rig.controls.halt(rig.now_ns, 10 * S, "MNQ")
    assert rig.place().text == NOT_TRADING
    assert rig.close() == 5
    assert rig.exchange.modify(OWNER, ModifyFields(rig.account_id, FIRST + 1, size=2), rig.now_ns).text == NOT_TRADING
    rig.trade(900)
    rig.wait(9 * S)
    assert rig.size() == 1
    assert rig.cancel(FIRST + 2) == 0
    rig.wait(S)
    rig.trade(900)  # over: the waiting order fills, and the stop far behind it
    assert [fill.size * fill.side for fill in rig.account.book.fills] == [1, 1, -1]
    rig.controls.halt(rig.now_ns)
    rig.wait(3600 * S)
    assert rig.place().text == NOT_TRADING
    rig.controls.resume()
    assert rig.place().code == 0


def test_F_TIM_07_a_month_that_is_not_active_takes_no_orders() -> None:
    rig = VenueRig()
    rig.controls.deactivate("MNQ")
    assert [contract.product.symbol for contract in rig.exchange.listed()] == ["ES"]
    found = rig.exchange.find_contract(MNQ)
    assert found is not None
    assert not found[1]
    assert (rig.place().code, rig.close()) == (9, 4)
    rig.controls.activate("MNQ")
    assert rig.place().code == 0


def test_tag_rules() -> None:
    rig = VenueRig()
    rig.bracket(tag="x")
    assert rig.place(tag="x-SL") == Answer(2, TAG_IN_USE)
    rig.place(tag="y-SL")
    assert rig.place(tag="y", stop_ticks=-40) == Answer(2, TAG_IN_USE)  # its leg would get a used tag
    rig.controls.tag_rule("working-only")
    assert rig.place(tag="x") == Answer(2, TAG_IN_USE)
    rig.quote(1000, 1002)
    assert rig.place(tag="x").code == 0  # the entry is over
    assert rig.place(tag="x-SL") == Answer(2, TAG_IN_USE)  # its leg is not
    rig.controls.tag_rule("none")
    assert rig.place(tag="x-SL").code == 0


def test_clear_lets_the_venue_be_itself_again() -> None:
    rig = VenueRig()
    rig.controls.partial([1])
    rig.bracket(size=2)
    rig.controls.reject(5)
    rig.controls.halt(rig.now_ns)
    rig.controls.place_later(OWNER, PlaceFields(rig.account_id, MNQ, 2, 0, 1), rig.now_ns)
    rig.controls.clear()
    rig.quote(1000, 1002)
    assert rig.states() == ["filled 2/2", "open 0/2", "open 0/2"]
    assert rig.place().code == 0


def test_scopes_choose_account_product_and_number() -> None:
    rig = VenueRig()
    other = rig.exchange.add_account(OWNER)
    rig.controls.reject(5, scope=Scope(account=other.account_id))
    rig.controls.reject(6, scope=Scope(contract="ES"))
    assert rig.place().code == 0
    assert rig.place(account=other.account_id).code == 5
    assert rig.place("CON.F.US.EP.Z26", account=other.account_id).code == 6
    assert len(rig.exchange.faults) == 0


@pytest.mark.parametrize(
    "ask",
    [
        lambda controls: controls.partial([0]),
        lambda controls: controls.partial([1], [-1]),
        lambda controls: controls.reject(0),
        lambda controls: controls.place_outcome("maybe"),
        lambda controls: controls.cancel_race(size=0),
        lambda controls: controls.bracket("wrong_size"),
        lambda controls: controls.bracket("unheard_of"),
        lambda controls: controls.bracket("drop", "middle"),
        lambda controls: controls.reject(5, call="dance"),
        lambda controls: controls.slip(1, Scope(count=0)),
        lambda controls: controls.slip(1, Scope(account=5)),
        lambda controls: controls.slip(1, Scope(contract="ZN")),
        lambda controls: controls.orphan("twin", 1001, "MNQ", 1),
        lambda controls: controls.orphan("leg", 1001, "CL", 1),
        lambda controls: controls.mutate_position(5, "MNQ", 1, 1),
        lambda controls: controls.human_trade(1001, "MNQ", 2, 1, 1),
        lambda controls: controls.human_order(1001, "MNQ", 1, 1, 1),
        lambda controls: controls.human_cancel(1001, 1, "some"),
        lambda controls: controls.halt(1, 0),
        lambda controls: controls.halt(1, 5, "ZN"),
        lambda controls: controls.roll("ZN", 1),
        lambda controls: controls.roll("MNQ", 1, to="CON.F.US.EP.H27"),
        lambda controls: controls.roll("MNQ", 1, to="nonsense"),
        lambda controls: controls.deactivate("ZN"),
        lambda controls: controls.tag_rule("loose"),
        lambda controls: controls.lock(5),
    ],
)
def test_arguments_that_make_no_sense_are_refused_in_a_sentence(ask: object) -> None:
    rig = VenueRig()
    before = (rig.states(), len(rig.exchange.faults))
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        ask(rig.controls)  # type: ignore[operator]
    assert (rig.states(), len(rig.exchange.faults)) == before
