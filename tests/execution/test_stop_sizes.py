"""A stop or target that is larger than its position would turn it round: it is brought down to what is held."""

from typing import Any

import pytest

from desk_rig import PRICE, RUN_START_MS, Rig, settings
from tbot.domain.messages import CancelOrder, CloseContract, FeedIn, ModifyStop, PlaceStop, PlaceTarget
from tbot.execution.book_types import OrderRequest
from tbot.execution.stop_moves import MoveLog
from tbot.execution.tags import entry_tag, order_tag
from tbot.risk.limits import RiskLimits
from venue_broker import VenueDeskRig

ENTRY = PRICE["MNQ"] + 1


def opened(side: int = 1, seconds: float = 12, **limits: Any) -> Rig:
    """Five contracts under a bracket that an answer has shown."""
    rig = Rig(settings(RiskLimits(**limits))).start()
    rig.signal(1, side=side, stop_ticks=40, target_ticks=200)
    rig.run(seconds)
    assert rig.view()["positions"][0]["protected"]
    return rig


def by_hand(rig: Rig, size: int = 2) -> None:
    """The owner closes a part."""
    side = -1 if rig.broker.size("MNQ") > 0 else 1
    rig.broker.place_foreign("MNQ", side, size)
    rig.pump()


def working(rig: Rig) -> dict[str, int]:
    """Contracts that working orders would take out, by part."""
    sizes = {"stop": 0, "limit": 0}
    for order in rig.broker.working():
        sizes[order.order_type] += order.size - order.filled
    return sizes


@pytest.mark.parametrize("side", [1, -1])
def test_F_ACC_02_a_part_that_the_owner_closed_makes_stop_and_target_smaller(side: int) -> None:
    rig = opened(side)
    by_hand(rig)
    rig.run(0.75)
    assert not rig.broker.sent(ModifyStop)  # not before a second look
    rig.run(6)
    (change,) = rig.broker.sent(ModifyStop)
    assert (change.size, change.stop) == (3, ENTRY - side * 40)
    assert working(rig) == {"stop": 3, "limit": 3}
    (target,) = rig.broker.sent(PlaceTarget)
    assert (target.size, target.limit) == (3, ENTRY + side * 200)
    rig.run(20)
    assert len(rig.broker.sent(ModifyStop)) == 1
    assert not rig.broker.sent(CloseContract)
    assert (rig.state, rig.view()["positions"][0]["protected"]) == ("ACTIVE", True)
    rig.broker.fill(rig.broker.leg("SL").order_id, price=ENTRY - side * 40)
    rig.run(3)
    assert (rig.broker.size("MNQ"), rig.broker.working()) == (0, [])
    rig.assert_invariants()


def test_F_ORD_04_a_target_without_a_link_that_fills_in_part_makes_the_stop_smaller() -> None:
    rig = Rig().start()
    rig.broker.legs = ("SL",)
    rig.signal(1, stop_ticks=40, target_ticks=200)
    rig.run(5)
    rig.broker.fill(rig.broker.own("T").order_id, 2, ENTRY + 200)
    rig.run(5)
    assert [change.size for change in rig.broker.sent(ModifyStop)] == [3]
    assert working(rig) == {"stop": 3, "limit": 3}
    assert not rig.broker.sent(CancelOrder)


def test_F_NET_08_a_leg_that_the_venue_is_about_to_make_smaller_is_left_alone() -> None:
    """The target fills in part, and the stop's own event comes half a second later."""
    rig = opened()
    stop = rig.broker.leg("SL").order_id
    rig.broker.keep_sibling = True
    rig.broker.fill(rig.broker.leg("TP").order_id, 2, ENTRY + 200)
    rig.run(0.5)
    rig.broker._change(stop, size=3)
    rig.run(10)
    assert not rig.broker.sent(ModifyStop)


@pytest.mark.parametrize("answer", ["rejected", "price_only", "ambiguous"])
def test_F_ORD_02_a_stop_that_cannot_be_made_smaller_is_replaced(answer: str) -> None:
    rig = opened()
    rig.broker.script["modify"] = [answer] * 9
    by_hand(rig)
    naked_s = 0.0
    for _ in range(120):
        rig.tick()
        naked_s = 0.0 if working(rig)["stop"] >= 3 else naked_s + 0.25
        assert naked_s < 3
    assert len(rig.broker.sent(ModifyStop)) == 2
    (stop,) = rig.broker.sent(PlaceStop)
    assert (stop.size, stop.stop, stop.side) == (3, ENTRY - 40, -1)
    assert working(rig) == {"stop": 3, "limit": 3}
    assert not rig.broker.sent(CloseContract)
    by_hand(rig, 1)  # the venue has said twice that it does not do that, and a second new stop is not placed
    rig.run(30)
    assert working(rig)["stop"] == 3
    assert len(rig.broker.sent(PlaceStop)) == 1
    assert rig.state == "ACTIVE"


def test_F_ORD_02_a_stop_whose_moves_were_all_refused_is_replaced_when_it_is_too_large() -> None:
    """Nobody asks for another change of such a stop, so waiting for one would leave it too large for ever."""
    rig = opened(break_even_percent=100)
    rig.broker.script["modify"] = ["rejected"] * 9
    rig.prices["MNQ"] = ENTRY + 60
    rig.run(60)
    assert len(rig.broker.sent(ModifyStop)) == 3
    by_hand(rig)
    rig.run(20)
    assert not any(change.size for change in rig.broker.sent(ModifyStop))
    (stop,) = rig.broker.sent(PlaceStop)
    assert (stop.size, stop.stop) == (3, ENTRY - 40)
    assert working(rig) == {"stop": 3, "limit": 3}


@pytest.mark.parametrize("answer", ["accept", "rejected"])
def test_R6_what_must_be_cancelled_first_waits_for_a_calm_moment(answer: str) -> None:
    rig = opened()
    rig.broker.script["modify"] = [answer] * 2
    rig.feed(FeedIn(rig.now_ns, "MNQ", "gap"))
    by_hand(rig)
    rig.run(20)
    assert working(rig) == {"stop": 3 if answer == "accept" else 5, "limit": 5}
    assert not rig.broker.sent(CancelOrder)
    rig.feed(FeedIn(rig.now_ns, "MNQ", "ok"))
    rig.run(10)
    assert working(rig) == {"stop": 3, "limit": 3}


def test_F_ORD_02_a_change_that_was_done_without_an_answer_is_not_asked_for_again() -> None:
    rig = opened()
    rig.broker.script["modify"] = ["ambiguous_done"]
    by_hand(rig)
    rig.run(30)
    assert len(rig.broker.sent(ModifyStop)) == 1
    assert working(rig) == {"stop": 3, "limit": 3}


def test_a_stop_that_was_moved_stays_where_it_was_moved_to() -> None:
    rig = opened(break_even_percent=100)
    rig.prices["MNQ"] = ENTRY + 60
    rig.run(3)
    by_hand(rig)
    rig.run(6)
    stop = rig.broker.leg("SL")
    assert (stop.stop, stop.size) == (ENTRY, 3)


@pytest.mark.parametrize("side", [1, -1])
def test_F_NET_08_a_smaller_stop_is_asked_for_where_a_move_was_taken_whatever_the_order_shows(side: int) -> None:
    moves = MoveLog()
    assert moves.closest(7, 100, side) == 100
    moves.asked(7, 100, 100 + side * 5, 0)
    assert moves.closest(7, 100, side) == 100
    moves.answered(7, "accepted", 1)
    assert moves.closest(7, 100, side) == 100 + side * 5
    assert moves.closest(7, 100 + side * 9, side) == 100 + side * 9


def test_R6_nothing_is_touched_while_a_part_of_the_entry_may_still_fill() -> None:
    rig = Rig().start()
    rig.broker.fill_entries = False
    rig.signal(1, stop_ticks=40, target_ticks=200)
    rig.broker.fill(min(rig.broker.brackets), 4)
    rig.run(1)
    by_hand(rig, 1)
    rig.run(2)
    assert not rig.broker.sent(ModifyStop)
    rig.run(10)  # what was not filled in time is cancelled
    assert working(rig) == {"stop": 3, "limit": 3}


@pytest.mark.parametrize("tag", [order_tag(RUN_START_MS, 99, "S"), entry_tag(RUN_START_MS, 99) + "-SL"])
def test_F_ORD_05_of_two_stops_that_do_the_same_one_goes(tag: str) -> None:
    rig = opened()
    rig.broker.plant("MNQ", -1, 5, "stop", tag, ENTRY - 40)
    rig.run(20)
    assert working(rig) == {"stop": 5, "limit": 5}
    assert not rig.broker.sent(ModifyStop)


def test_F_ACC_02_on_the_venue_the_stop_and_target_follow_a_part_closed_by_hand() -> None:
    rig = VenueDeskRig()
    rig.start()
    rig.signal(1, stop_ticks=40, target_ticks=200)
    rig.run(8)
    book = rig.broker.account.book
    book.place(OrderRequest("MNQ", "market", -1, 2), rig.now_ns)
    rig.run(10)
    assert sorted(order.remaining for order in book.living_orders()) == [3, 3]
    assert book.size("MNQ") == 3


def test_R6_while_a_stop_is_too_large_time_must_be_told_in_lock_step_too() -> None:
    rig = opened()
    assert not rig.desk.outlook().restless
    rig.broker.script["modify"] = ["rejected"] * 2
    rig.feed(FeedIn(rig.now_ns, "MNQ", "gap"))
    by_hand(rig)
    rig.run(20)
    assert working(rig)["stop"] == 5
    assert rig.desk.outlook().restless
