"""The Desk on the simulated venue: partial fills and every venue-side fault of the failure model, judged by the venue.

After each story: engine and venue agree to the cent, no position was without a stop for longer than C_NAKED_MAX and the
way out (I3, 10 s), and what is open is protected.
"""

import pytest

from desk_rig import round_trips
from tbot.domain.messages import CancelOrder, CloseContract, PlaceBracket, StateChange
from tbot.domain.timeframes import NS_PER_S
from tbot.sim.venue_faults import Scope
from venue_broker import VenueDeskRig

NAKED_LIMIT_NS = 10 * NS_PER_S


def started() -> VenueDeskRig:
    rig = VenueDeskRig()
    rig.start()
    assert rig.state == "ACTIVE"
    return rig


def settled(rig: VenueDeskRig, seconds: float = 20) -> None:
    """The disturbance is over: soon everything agrees and is protected or flat (I3, I4)."""
    rig.controls.clear()
    rig.run(seconds)
    rig.agree()
    rig.assert_invariants()
    assert rig.naked_ns <= NAKED_LIMIT_NS
    for holding in rig.venue.account.book.holdings():
        assert rig.venue.stop_size(holding.contract) >= abs(holding.size)


def codes(rig: VenueDeskRig) -> set[str]:
    return {code for note in rig.of(StateChange) for code in note.reasons}


# ------------------------------------------------------------------------------------------------------ partial fills
def test_F_ORD_04_an_entry_in_parts_is_protected_all_the_way() -> None:
    rig = started()
    rig.controls.partial([2, 1, 2], [0, NS_PER_S, NS_PER_S])
    rig.signal(1)
    sizes = []
    for _ in range(16):
        rig.tick()
        sizes.append(rig.venue.size("MNQ"))
        assert rig.venue.stop_size("MNQ") == sizes[-1]
    assert (sizes[0], sizes[-1]) == (2, 5)
    assert rig.view()["positions"][0]["protected"]
    assert rig.naked_ns == 0
    settled(rig)
    rig.prices["MNQ"] += 100  # the target
    rig.run(2)
    assert rig.venue.size("MNQ") == 0
    assert [(trip.size, trip.exit_reason) for trip in round_trips(rig)] == [(5, "target")]
    settled(rig)


def test_F_ORD_04_the_rest_that_hangs_is_cancelled_and_what_filled_stays_protected() -> None:
    rig = started()
    rig.controls.partial([2])
    rig.signal(1)
    rig.run(4)
    assert rig.venue.size("MNQ") == 2
    rig.run(4)
    assert len(rig.venue.sent(CancelOrder)) == 1
    assert not rig.venue.sent(CloseContract)
    assert [order.order_type for order in rig.venue.living()] == ["stop", "limit"]
    settled(rig)
    rig.prices["MNQ"] -= 60  # the stop
    rig.run(2)
    assert [(trip.size, trip.exit_reason) for trip in round_trips(rig)] == [(2, "stop")]
    settled(rig)


def test_F_ORD_04_an_order_that_does_not_fill_at_all_is_cancelled() -> None:
    rig = started()
    rig.controls.partial([])
    rig.signal(1)
    rig.run(8)
    assert rig.venue.living() == []
    assert (rig.venue.size("MNQ"), rig.state) == (0, "ACTIVE")
    settled(rig)
    rig.signal(2)
    rig.run(1)
    assert rig.venue.size("MNQ") == 5


@pytest.mark.parametrize("size", [None, 1])
def test_F_ORD_04_F_ORD_09_the_rest_fills_after_the_cancel(size: int | None) -> None:
    rig = started()
    rig.controls.partial([2])
    rig.controls.cancel_race(NS_PER_S, size)
    rig.signal(1)
    rig.run(8)
    assert rig.venue.size("MNQ") == (5 if size is None else 3)
    assert rig.naked_ns == 0  # the venue's legs grow with the entry
    settled(rig)
    assert rig.view()["positions"][0]["protected"]


@pytest.mark.parametrize("leg", ["stop", "limit"])
def test_F_ORD_04_a_leg_that_fills_in_parts(leg: str) -> None:
    rig = started()
    rig.signal(1)
    rig.run(1)
    order = next(order for order in rig.venue.account.book.orders.values() if order.order_type == leg and order.tag)
    level = order.stop if order.stop is not None else order.limit
    assert level is not None
    rig.venue.account.book._execute(order, 2, level, rig.now_ns)
    rig.run(6)
    assert rig.venue.size("MNQ") == 3
    assert rig.view()["positions"][0]["protected"]
    assert not rig.venue.sent(CloseContract)
    rig.agree()
    rig.prices["MNQ"] = level + (5 if leg == "limit" else -5)
    rig.run(2)
    assert rig.venue.size("MNQ") == 0
    assert round_trips(rig)[0].size == 5
    settled(rig)


def test_F_ORD_04_a_flatten_in_the_middle_of_a_partial_fill_leaves_nothing() -> None:
    rig = started()
    rig.controls.partial([1, 1, 1, 1, 1], [NS_PER_S // 2] * 5)
    rig.signal(1)
    rig.run(1.25)
    assert 0 < rig.venue.size("MNQ") < 5
    rig.operator("kill")
    rig.run(10)
    assert (rig.venue.size("MNQ"), rig.venue.living(), rig.state) == (0, [], "LOCKED")
    settled(rig)


@pytest.mark.parametrize("sizes", [[], [2], [1, 1]])
def test_F_ORD_04_a_close_that_hangs_is_given_up_and_asked_for_again(sizes: list[int]) -> None:
    rig = started()
    rig.signal(1)
    rig.run(1)
    rig.controls.partial(sizes, call="close")
    rig.operator("flatten")
    rig.run(20)
    assert (rig.venue.size("MNQ"), rig.venue.living()) == (0, [])
    assert rig.naked_ns == 0  # the stop stays until it is flat
    settled(rig)


# -------------------------------------------------------------------------------------------------- brackets that fail
@pytest.mark.parametrize(
    ("kind", "which", "kept"),
    [
        ("drop", "sl", True),
        ("drop", "both", True),
        ("drop", "tp", True),
        ("reject", "sl", True),
        ("reject", "tp", True),
        ("suspended", "both", False),
        ("wrong_size", "sl", True),
        ("wrong_size", "tp", True),
        ("wrong_price", "sl", False),
        ("wrong_side", "sl", False),
        ("wrong_side", "both", False),
        ("cancel_later", "sl", True),
        ("cancel_later", "tp", True),
    ],
)
def test_F_ORD_05_a_position_is_kept_only_with_its_stop(kind: str, which: str, kept: bool) -> None:
    rig = started()
    rig.controls.bracket(kind, which, size=2, ticks=30, after_ns=NS_PER_S)  # type: ignore[arg-type]
    rig.signal(1)
    rig.run(15)
    assert (rig.venue.size("MNQ") == 5) == kept
    # A leg on the wrong side fills by itself: then it is the position that nobody wanted.
    assert bool(codes(rig) & {"RC_NAKED", "RC_MISMATCH"}) != kept
    settled(rig)
    if not kept:
        assert rig.venue.living() == []


def test_F_ORD_06_both_legs_fill_and_the_reversed_position_is_closed() -> None:
    rig = started()
    rig.controls.bracket("no_oco")
    rig.signal(1)
    rig.run(1)
    rig.prices["MNQ"] += 100
    rig.market(0)  # the target fills; before the Desk hears of it the stop does too
    rig.prices["MNQ"] -= 200
    rig.market(0)
    assert rig.venue.size("MNQ") == -5
    rig.run(10)
    assert (rig.venue.size("MNQ"), rig.venue.living()) == (0, [])
    settled(rig)


def test_F_ORD_08_a_fill_far_away_counts_with_its_real_price() -> None:
    rig = started()
    rig.controls.slip(30)
    rig.signal(1)
    rig.run(1)
    rig.prices["MNQ"] -= 100
    rig.run(3)
    trip = round_trips(rig)[0]
    assert trip.slippage_ticks == 30 * 5
    settled(rig)


# ---------------------------------------------------------------------------------------------- orders left, refusals
@pytest.mark.parametrize("kind", ["entry", "leg", "suspended"])
def test_F_ORD_07_orders_of_a_dead_run_are_removed(kind: str) -> None:
    rig = started()
    rig.controls.orphan(kind, rig.account_id, "MNQ", rig.now_ns, size=2)  # type: ignore[arg-type]
    rig.run(8)
    assert rig.venue.living() == []
    settled(rig)


def test_F_ORD_01_late_and_never_arriving_orders_end_in_agreement() -> None:
    rig = started()
    rig.controls.place_outcome("late", 20 * NS_PER_S, Scope(contract="MNQ"))
    rig.controls.place_outcome("never", scope=Scope(contract="ES"))
    rig.signal(1)
    rig.signal(1, "ES", stop_ticks=8)
    rig.run(10)
    assert len(rig.view()["unknown"]) == 2
    rig.run(20)
    assert rig.venue.size("MNQ") == 5
    assert rig.view()["positions"][0]["protected"]
    rig.run(60)
    assert rig.view()["unknown"] == []
    assert len(rig.venue.sent(PlaceBracket)) == 2
    settled(rig)


def test_F_ORD_03_refusals_are_not_repeated() -> None:
    rig = started()
    rig.controls.reject(2, "Not enough margin.", with_id=True)
    rig.controls.reject(4)
    rig.signal(1)
    rig.run(6)
    rig.signal(2)
    rig.run(6)
    assert len(rig.venue.sent(PlaceBracket)) == 2
    assert rig.state == "ACTIVE"
    settled(rig)


@pytest.mark.parametrize("call", ["close", "cancel"])
def test_F_ORD_02_refused_exits_are_tried_again_until_it_is_flat(call: str) -> None:
    rig = started()
    rig.signal(1)
    rig.run(1)
    rig.controls.reject(5, call=call, scope=Scope(count=3))  # type: ignore[arg-type]
    rig.operator("flatten")
    rig.run(20)
    assert (rig.venue.size("MNQ"), rig.venue.living()) == (0, [])
    settled(rig)


# ------------------------------------------------------------------------------------------------------ account truth
@pytest.mark.parametrize("size", [-2, 3, 9])
def test_F_ACC_01_a_position_that_no_fill_explains_is_closed(size: int) -> None:
    rig = started()
    rig.controls.mutate_position(rig.account_id, "MNQ", size, rig.now_ns, tell=size != 3)
    rig.run(45)
    assert (rig.venue.size("MNQ"), rig.venue.living()) == (0, [])


def test_F_ACC_02_a_persons_own_trade_is_respected_and_blocks_entries() -> None:
    rig = started()
    rig.controls.human_trade(rig.account_id, "MNQ", 1, 2, rig.now_ns)
    rig.run(8)
    assert rig.venue.size("MNQ") == 2
    rig.signal(1)
    assert rig.denials == ["RC_FOREIGN"]
    rig.controls.human_flatten(rig.account_id, rig.now_ns)
    rig.run(8)
    rig.agree()
    rig.signal(2)
    rig.run(1)
    assert rig.venue.size("MNQ") == 5
    settled(rig)


def test_F_ACC_02_a_person_cancels_our_stop_or_closes_our_position() -> None:
    rig = started()
    rig.signal(1)
    rig.run(1)
    assert rig.controls.human_cancel(rig.account_id, rig.now_ns, "stops") == 1
    rig.run(8)
    assert (rig.venue.size("MNQ"), rig.venue.stop_size("MNQ")) == (5, 5)
    assert rig.controls.human_cancel(rig.account_id, rig.now_ns, "entries") == 1  # the one that took its place: no leg
    rig.run(8)
    assert (rig.venue.size("MNQ"), rig.venue.living()) == (0, [])
    rig.signal(1, "ES", stop_ticks=8)
    rig.run(1)
    rig.controls.human_flatten(rig.account_id, rig.now_ns, cancel=False)
    rig.run(8)
    assert (rig.venue.size("ES"), rig.venue.living()) == (0, [])  # the legs left behind are gone
    settled(rig)


@pytest.mark.parametrize("failed", [False, True])
def test_F_ACC_03_the_firms_own_liquidation_locks_the_engine(failed: bool) -> None:
    rig = started()
    rig.signal(1)
    rig.run(1)
    rig.controls.liquidate(rig.account_id, rig.now_ns, failed=failed)
    rig.run(3)
    assert rig.state == "LOCKED"
    rig.signal(2)
    assert rig.denials == ["RC_BROKER_LOCK"]
    settled(rig)


def test_F_ACC_04_an_account_with_another_name_halts() -> None:
    rig = started()
    other = rig.venue.exchange.add_account("Trader", "PRAC-2")
    rig.controls.swap(rig.account_id, other.account_id)
    rig.run(1)
    assert rig.state == "HALTED"


def test_F_ACC_04_an_account_that_vanishes_pauses_and_comes_back() -> None:
    rig = started()
    rig.controls.hide(rig.account_id)
    rig.run(120, step=1)
    assert rig.state == "PAUSED"
    rig.controls.hide(rig.account_id, hidden=False)
    rig.run(40, step=1)
    assert rig.state == "ACTIVE"


# --------------------------------------------------------------------------------------------------- market, contract
def test_F_TIM_06_a_flatten_during_a_halt_goes_on_until_it_is_over() -> None:
    rig = started()
    rig.signal(1)
    rig.run(1)
    rig.controls.halt(rig.now_ns, 30 * NS_PER_S)
    rig.operator("flatten")
    rig.run(20)
    assert rig.venue.size("MNQ") == 5
    assert rig.venue.stop_size("MNQ") == 5  # its stop is never given up for it
    rig.run(20)
    assert (rig.venue.size("MNQ"), rig.venue.living()) == (0, [])
    settled(rig)


@pytest.mark.parametrize("how", ["roll", "deactivate"])
def test_F_TIM_07_no_entry_in_a_month_that_is_not_active(how: str) -> None:
    rig = started()
    if how == "roll":
        rig.controls.roll("MNQ", rig.now_ns, 200)
    else:
        rig.controls.deactivate("MNQ")
    for number in range(4):
        rig.signal(number)
        rig.run(6)
    assert rig.venue.account.book.fills == []
    assert rig.denials == ["RC_ORDER_REJECTS"]  # after three refusals the contract is set aside
    rig.signal(9, "ES", stop_ticks=8)
    rig.run(1)
    assert rig.venue.size("ES") == 1
    settled(rig)


def test_F_TIM_07_a_position_held_over_a_roll_is_protected_and_can_be_closed() -> None:
    rig = started()
    rig.signal(1)
    rig.run(1)
    rig.controls.roll("MNQ", rig.now_ns, 200)
    rig.prices["MNQ"] += 200  # what the venue prints is the new month now
    rig.run(3)
    assert (rig.venue.size("MNQ.Z26"), rig.venue.stop_size("MNQ.Z26")) == (5, 5)
    assert rig.view()["positions"][0]["protected"]
    rig.operator("flatten")
    rig.run(8)
    assert (rig.venue.account.book.holdings(), rig.venue.living()) == ([], [])
    settled(rig)
    assert round_trips(rig)[0].gross_cents == -2 * 5 * 50  # the spread: in the old month nothing moved


@pytest.mark.parametrize(("move", "kept"), [(3, True), (20, False)])
def test_F_ORD_04_a_later_part_far_away_makes_the_stop_too_wide_to_keep(move: int, kept: bool) -> None:
    """The stop stays at the distance of the first part; what may be lost is counted from the average."""
    rig = started()
    rig.controls.partial([2, 3], [0, NS_PER_S])
    rig.signal(1)
    rig.tick()
    rig.prices["MNQ"] += move
    rig.run(15)
    assert (rig.venue.size("MNQ") == 5) == kept
    assert ("RC_NAKED" in codes(rig)) != kept
    settled(rig)
