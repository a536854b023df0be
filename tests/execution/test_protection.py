"""Missing stops and targets: when one is placed, how large, what it must never lead to, and how it goes again."""

import pytest

from desk_rig import PRICE, Rig, round_trips, settings
from tbot.domain.messages import (
    CancelOrder,
    CloseContract,
    CommandResult,
    OrderUpdate,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    PlaceTarget,
    Query,
    StateChange,
)
from tbot.execution.tags import Tag, entry_tag, order_tag, parse_tag
from venue_broker import VenueDeskRig

ENTRY = PRICE["MNQ"] + 1


def opened(legs: tuple[str, ...], seconds: float = 2, **kwargs: object) -> Rig:
    rig = Rig(**kwargs).start()  # type: ignore[arg-type]
    rig.broker.legs = legs
    rig.signal(1, stop_ticks=40, target_ticks=80)
    rig.run(seconds)
    return rig


def codes(rig: Rig) -> set[str]:
    return {code for note in rig.of(StateChange) for code in note.reasons}


# --------------------------------------------------------------------------------------------------------------- tags
@pytest.mark.parametrize(
    ("text", "part"),
    [
        (entry_tag(5, 1), "entry"),
        (order_tag(5, 1, "S"), "stop"),
        (order_tag(5, 1, "T"), "target"),
        (order_tag(5, 1, "X"), "exit"),
        (entry_tag(5, 1) + "-SL", "stop"),
        (entry_tag(5, 1) + "-TP", "target"),
        ("TB1-5-1-Q", "entry"),
    ],
)
def test_F_ORD_07_a_tag_tells_what_its_order_is_for(text: str, part: str) -> None:
    tag = parse_tag(text)
    assert isinstance(tag, Tag)
    assert (tag.part, tag.base) == (part, text.removesuffix("-SL").removesuffix("-TP"))


# ------------------------------------------------------------------------------------------------------ a missing stop
def test_F_ORD_05_R6_a_missing_stop_is_placed_at_the_first_answer_that_shows_it_missing() -> None:
    rig = Rig().start()
    rig.broker.legs = ("TP",)
    rig.broker.script["query"] = ["keep"]
    rig.signal(1, stop_ticks=40, target_ticks=80)
    rig.run(1)
    assert not rig.broker.sent(PlaceStop)  # no answer, no proof
    (kept,) = rig.broker.kept
    rig.feed(rig.broker.snapshot(Query(kept.command_id, 1001, 0)))
    (stop,) = rig.broker.sent(PlaceStop)
    assert (stop.side, stop.size, stop.stop, stop.tag[-2:]) == (-1, 5, ENTRY - 40, "-S")
    rig.run(5)
    assert rig.desk.is_protected(1001)
    assert (len(rig.broker.sent(PlaceStop)), rig.state) == (1, "ACTIVE")
    rig.assert_invariants()


def test_F_ORD_05_an_answer_from_before_the_fill_proves_nothing() -> None:
    rig = Rig().start()
    rig.broker.fill_entries = False
    rig.broker.legs = ("TP",)
    rig.signal(1, stop_ticks=40, target_ticks=80)
    rig.broker.script["query"] = ["keep"]
    rig.desk._engines[1001].reconciler.ask(rig.now_ns, 0)
    rig.tick()
    assert rig.broker.kept
    rig.broker.fill(min(rig.broker.brackets))
    rig.pump()
    rig.feed(rig.broker.kept.pop())
    assert not rig.broker.sent(PlaceStop)
    rig.run(2)
    assert len(rig.broker.sent(PlaceStop)) == 1


@pytest.mark.parametrize("status", ["suspended", "pending", "pending_cancel"])
def test_F_ORD_05_R6_no_second_stop_beside_one_that_may_still_wake_up(status: str) -> None:
    rig = Rig().start()
    rig.signal(1, stop_ticks=40, target_ticks=80)
    leg = rig.broker.leg("SL")
    rig.broker.orders[leg.order_id] = OrderUpdate(
        leg.now_ns, 1001, leg.order_id, "MNQ", status, "stop", -1, 5, 0, None, leg.stop, leg.tag, leg.parent_id  # type: ignore[arg-type]
    )  # fmt: skip
    engine = rig.desk._engines[1001]
    del engine.picture.orders[leg.order_id]  # as it is first seen
    rig.run(5)
    assert not rig.broker.sent(PlaceStop)
    assert len(rig.broker.sent(CloseContract)) == 1
    assert (rig.broker.size("MNQ"), rig.broker.working()) == (0, [])


def test_F_ORD_05_a_stop_is_not_placed_beyond_the_market_the_position_is_closed_at_once() -> None:
    rig = Rig().start()
    rig.broker.legs = ("TP",)
    rig.signal(1, stop_ticks=40, target_ticks=80)
    rig.prices["MNQ"] -= 60
    rig.run(1)
    assert not rig.broker.sent(PlaceStop)
    assert len(rig.broker.sent(CloseContract)) == 1
    assert "RC_NAKED" in codes(rig)


def test_F_ORD_05_without_a_quote_the_broker_judges_the_price() -> None:
    rig = Rig().start()
    rig.broker.legs = ("TP",)
    rig.signal(1, stop_ticks=40, target_ticks=80)
    del rig.prices["MNQ"]
    rig.run(1)
    assert len(rig.broker.sent(PlaceStop)) == 1


def test_F_ORD_05_F_ORD_04_each_part_of_an_entry_gets_its_share() -> None:
    rig = Rig().start()
    rig.broker.fill_entries, rig.broker.legs = False, ("TP",)
    rig.signal(1, stop_ticks=40, target_ticks=80)
    entry = min(rig.broker.brackets)
    rig.broker.fill(entry, 2)
    rig.pump()
    rig.run(1)
    rig.broker.fill(entry, 3)
    rig.pump()
    rig.run(1)
    assert [stop.size for stop in rig.broker.sent(PlaceStop)] == [2, 3]
    assert rig.view()["positions"][0]["protected"]
    assert not rig.broker.sent(CloseContract)


def test_F_ORD_05_R6_after_an_ambiguous_stop_a_later_part_gets_none_either() -> None:
    rig = Rig().start()
    rig.broker.fill_entries, rig.broker.legs = False, ("TP",)
    rig.broker.script["stop"] = ["ambiguous"]
    rig.signal(1, stop_ticks=40, target_ticks=80)
    entry = min(rig.broker.brackets)
    rig.broker.fill(entry, 2)
    rig.pump()
    rig.run(1)
    rig.broker.fill(entry, 3)
    rig.pump()
    rig.run(10)
    assert len(rig.broker.sent(PlaceStop)) == 1
    assert rig.broker.size("MNQ") == 0


@pytest.mark.parametrize("after", [1.0, 6.0, 80.0])
def test_F_ORD_07_R6_a_stop_that_turns_up_late_protects_or_is_an_orphan(after: float) -> None:
    rig = Rig().start()
    rig.broker.legs = ("TP",)
    rig.broker.script["stop"] = ["ambiguous"]
    rig.signal(1, stop_ticks=40, target_ticks=80)
    rig.run(1)
    (stop,) = rig.broker.sent(PlaceStop)
    assert rig.view()["unknown"] == [stop.tag]
    rig.run(after)
    held = rig.broker.size("MNQ")
    rig.signal(2)
    assert len(rig.denials) == 1  # a position, an order that is not proven, then a contract set aside
    rig.broker.arrive(stop)
    rig.pump()
    if held:
        rig.run(4)
        assert rig.view()["positions"][0]["protected"]
        assert not rig.broker.sent(CloseContract)
    else:
        assert [each.order_id for each in rig.broker.sent(CancelOrder)][-1] == rig.broker.own("S").order_id  # at once
        rig.run(4)
        assert (rig.broker.working(), rig.broker.size("MNQ")) == ([], 0)
    assert len(rig.broker.sent(PlaceStop)) == 1


@pytest.mark.parametrize("told", [True, False])
def test_F_ORD_07_a_late_stop_that_fills_reverses_and_is_closed(told: bool) -> None:
    rig = Rig().start()
    rig.broker.legs = ("TP",)
    rig.broker.script["stop"] = ["ambiguous"]
    rig.signal(1, stop_ticks=40, target_ticks=80)
    rig.run(10)
    assert rig.broker.size("MNQ") == 0
    rig.broker.deaf = not told
    order_id = rig.broker.arrive(rig.broker.sent(PlaceStop)[0])
    rig.broker.fill(order_id, price=ENTRY - 40)
    rig.pump()
    rig.run(15)
    assert rig.broker.size("MNQ") == 0
    assert rig.view()["positions"] == []
    rig.assert_invariants()


def test_F_ORD_05_a_leg_that_turns_up_beside_our_stop_makes_it_surplus() -> None:
    rig = opened(("TP",))
    entry = min(rig.broker.brackets)
    stop = rig.broker.own("S")
    tag = f"{rig.broker.orders[entry].tag}-SL"
    rig.broker._new("MNQ", -1, 5, "stop", "open", tag, entry, ENTRY - 40)
    rig.pump()
    rig.run(6)
    assert {each.order_id for each in rig.broker.sent(CancelOrder)} == {stop.order_id}
    assert rig.view()["positions"][0]["protected"]
    rig.run(10)
    assert not rig.broker.sent(CloseContract)


def test_F_ORD_05_a_second_target_is_surplus_and_an_exit_never() -> None:
    rig = opened(("SL",))
    assert len(rig.broker.sent(PlaceTarget)) == 1
    entry = min(rig.broker.brackets)
    rig.broker._new("MNQ", -1, 5, "limit", "open", f"{rig.broker.orders[entry].tag}-TP", entry)
    rig.broker.plant("MNQ", -1, 5, "market", "TB1-1-9-X")
    rig.pump()
    rig.run(6)
    assert {each.order_id for each in rig.broker.sent(CancelOrder)} == {rig.broker.own("T").order_id}


def test_F_ACC_05_a_stop_that_answers_merely_leave_out_gets_no_second_one_beside_it() -> None:
    rig = Rig().start()
    rig.signal(1, stop_ticks=40, target_ticks=80)
    rig.run(1)
    rig.broker.hidden = {rig.broker.leg("SL").order_id}
    rig.run(15)
    assert not rig.broker.sent(PlaceStop)
    assert rig.broker.size("MNQ") == 0


def test_F_ORD_05_a_position_without_a_known_distance_is_closed_in_time() -> None:
    old = Rig().start()
    old.signal(1)
    old.run(1)
    old.broker.events.clear()
    rig = Rig(settings(run_start_ms=old.settings.run_start_ms + 60_000), old.broker)  # the journal is lost
    rig.now_ns = old.now_ns
    rig.start()
    rig.run(1)
    assert rig.view()["positions"][0]["protected"]
    rig.broker.cancel_by_hand(rig.broker.leg("SL").order_id)
    rig.pump()
    rig.run(5)
    assert not rig.broker.sent(PlaceStop)
    assert rig.broker.size("MNQ") == 0


def test_F_ORD_05_a_stop_of_our_own_making_tells_whose_a_position_is_when_the_journal_is_lost() -> None:
    old = opened(("TP",))
    old.broker.cancel_by_hand(old.broker.leg("TP").order_id)
    old.broker.events.clear()
    rig = Rig(settings(run_start_ms=old.settings.run_start_ms + 60_000), old.broker)
    rig.now_ns = old.now_ns
    rig.start()
    rig.run(8)
    position = rig.view()["positions"][0]
    assert (position["protected"], position["foreign"], position["surprise"]) == (True, 0, "")
    assert not rig.broker.sent(CancelOrder)


def test_F_API_04_rest_down_a_stop_that_the_hub_saw_end_is_tried() -> None:
    rig = Rig().start()
    rig.signal(1, stop_ticks=40, target_ticks=80)
    rig.run(1)
    rig.broker.query_complete = False
    rig.run(8)
    rig.broker.cancel_by_hand(rig.broker.leg("SL").order_id)
    rig.pump()
    rig.run(0.75)
    assert not rig.broker.sent(PlaceStop)
    rig.run(0.5)
    assert len(rig.broker.sent(PlaceStop)) == 1
    rig.run(10)
    assert not rig.broker.sent(CloseContract)


# ---------------------------------------------------------------------------------------------------- a missing target
def test_F_ORD_05_a_missing_target_waits_for_a_calm_moment_and_a_whole_entry() -> None:
    rig = Rig().start()
    rig.broker.fill_entries, rig.broker.legs = False, ("SL",)
    rig.signal(1, stop_ticks=40, target_ticks=80)
    entry = min(rig.broker.brackets)
    rig.broker.fill(entry, 2)
    rig.pump()
    rig.run(4)
    assert not rig.broker.sent(PlaceTarget)  # the entry may still fill
    rig.quote_age_ns = 4 * 10**9
    rig.run(8)
    assert [(each.size, each.limit) for each in rig.broker.sent(PlaceTarget)] == [(2, ENTRY + 80)]
    rig.run(20)
    assert len(rig.broker.sent(PlaceTarget)) == 1


@pytest.mark.parametrize("first", ["T", "SL"])
def test_F_ORD_05_F_ORD_07_what_is_left_without_oco_is_cancelled_the_moment_it_is_flat(first: str) -> None:
    rig = opened(("SL",))
    stop, target = rig.broker.leg("SL"), rig.broker.own("T")
    done, left = (target, stop) if first == "T" else (stop, target)
    rig.broker.fill(done.order_id, price=done.limit or done.stop)
    rig.pump()  # no time passes
    assert [each.order_id for each in rig.broker.sent(CancelOrder)] == [left.order_id]
    rig.run(3)
    assert (rig.broker.working(), rig.state) == ([], "ACTIVE")
    assert [trip.exit_reason for trip in round_trips(rig)] == ["target" if first == "T" else "stop"]


def test_F_ACC_05_a_flat_that_the_hub_contradicts_cancels_nothing_yet() -> None:
    rig = opened(("SL",))
    target = rig.broker.own("T")
    rig.broker.fill(target.order_id, price=target.limit)
    held = [event for event in rig.broker.events if type(event).__name__ != "PositionUpdate"]
    rig.broker.events = held
    rig.pump()
    assert not rig.broker.sent(CancelOrder)  # the newest position event still tells 5
    rig.run(6)
    assert rig.broker.working() == []


def test_F_ORD_06_both_fill_without_oco_and_the_reversal_is_closed() -> None:
    rig = opened(("SL",))
    stop, target = rig.broker.leg("SL"), rig.broker.own("T")
    rig.broker.fill(target.order_id, price=target.limit)
    rig.broker.fill(stop.order_id, price=stop.stop)
    rig.pump()
    rig.run(5)
    assert (rig.broker.size("MNQ"), rig.broker.working()) == (0, [])
    assert "RC_MISMATCH" in codes(rig)


# ------------------------------------------------------------------------------------------------------- refused closes
def test_R4_an_exit_goes_out_only_by_an_answer_and_the_next_flatten_asks_for_a_close_again() -> None:
    rig = opened(("SL", "TP"))
    rig.broker.script["close"] = ["account"]
    rig.operator("flatten")
    rig.run(5)
    (exit_order,) = rig.broker.sent(PlaceExit)
    assert (exit_order.size, exit_order.side, exit_order.tag[-2:]) == (5, -1, "-X")
    assert rig.broker.size("MNQ") == 0
    (trip,) = round_trips(rig)
    assert (trip.exit_reason, trip.exit_code) == ("close", "RC_OPERATOR")
    rig.operator("resume")
    rig.run(6)
    rig.signal(2)
    rig.run(1)
    rig.operator("flatten")
    rig.run(3)
    assert (len(rig.broker.sent(CloseContract)), len(rig.broker.sent(PlaceExit))) == (2, 1)
    rig.assert_invariants()


def test_R4_an_exit_that_hangs_is_cancelled_and_asked_for_again() -> None:
    rig = opened(("SL", "TP"))
    rig.broker.fill_entries = False
    rig.broker.script["close"] = ["account"]
    rig.operator("flatten")
    rig.run(3)
    assert len(rig.broker.sent(PlaceExit)) == 1
    rig.run(6)
    rig.broker.fill_entries = True
    rig.run(10)
    exits = [order.order_id for order in rig.broker.orders.values() if order.tag.endswith("-X")]
    cancelled = {command.order_id for command in rig.broker.sent(CancelOrder)}
    assert len(exits) >= 2
    assert [number in cancelled for number in exits] == [True] * (len(exits) - 1) + [False]
    assert rig.broker.size("MNQ") == 0
    assert rig.broker.leg("SL").status == "cancelled"  # only when it was flat


def test_R4_a_lost_exit_that_arrives_late_is_undone() -> None:
    rig = opened(("SL", "TP"))
    rig.broker.script["close"] = ["account"]
    rig.broker.script["exit"] = ["ambiguous"]
    rig.operator("flatten")
    rig.run(8)
    assert rig.broker.size("MNQ") == 0
    rig.broker.arrive(rig.broker.sent(PlaceExit)[0])
    rig.pump()
    rig.run(8)
    assert (rig.broker.size("MNQ"), rig.view()["positions"]) == (0, [])
    rig.assert_invariants()


def test_F_ORD_03_a_rejection_that_is_heard_of_first_by_event_is_final() -> None:
    rig = Rig().start()
    rig.broker.legs = ("TP",)
    rig.broker.script["stop"] = ["reject_with_id"]
    rig.signal(1, stop_ticks=40, target_ticks=80)
    rig.run(1)
    engine = rig.desk._engines[1001]
    (own,) = engine.picture.protective.values()
    assert (own.status, own.refused, own.order_id) == ("dead", True, rig.broker.own("S").order_id)
    rig.run(3)
    assert rig.broker.size("MNQ") == 0


def test_F_NET_08_a_stop_that_dies_before_its_answer_is_known_as_refused() -> None:
    rig = Rig().start()
    rig.broker.legs = ("TP",)
    rig.broker.script["stop"] = ["ambiguous"]
    rig.signal(1, stop_ticks=40, target_ticks=80)
    rig.run(1)
    rig.broker.arrive(rig.broker.sent(PlaceStop)[0], "rejected")
    rig.pump()
    assert len(rig.broker.sent(CloseContract)) == 1  # at once
    rig.run(3)
    assert (rig.broker.size("MNQ"), rig.view()["unknown"]) == (0, [])


def test_a_late_answer_about_a_stop_counts_after_its_command_was_given_up() -> None:
    rig = Rig().start()
    rig.broker.legs = ("TP",)
    rig.broker.script["stop"] = ["ambiguous"]
    rig.signal(1, stop_ticks=40, target_ticks=80)
    rig.run(80, step=1)
    stop = rig.broker.sent(PlaceStop)[0]
    assert rig.view()["unknown"] == []
    order_id = rig.broker.arrive(stop)
    rig.broker.events.insert(0, CommandResult(rig.now_ns, 1001, stop.command_id, "accepted", order_id))
    rig.pump()
    rig.run(3)
    assert rig.broker.working() == []


def test_the_day_turns_and_what_is_over_is_forgotten() -> None:
    rig = opened(("SL",))
    engine = rig.desk._engines[1001]
    engine.picture.forget_final()
    assert len(engine.picture.protective) == 1  # beside a position
    rig.operator("flatten")
    rig.run(4)
    engine.picture.forget_final()
    assert (engine.picture.protective, engine.picture.protective_of_order) == ({}, {})


# ---------------------------------------------------------------------------------------------------------- the venue
def test_F_ORD_05_on_the_venue_our_stop_and_target_do_their_work() -> None:
    for move, reason in ((-60, "stop"), (100, "target")):
        rig = VenueDeskRig()
        rig.start()
        rig.controls.bracket("drop", "both")
        rig.signal(1)
        rig.run(3)
        assert (len(rig.venue.sent(PlaceStop)), len(rig.venue.sent(PlaceTarget))) == (1, 1)
        rig.prices["MNQ"] += move
        rig.run(4)
        assert (rig.venue.size("MNQ"), rig.venue.living()) == (0, [])
        assert [trip.exit_reason for trip in round_trips(rig)] == [reason]
        rig.agree()


def test_F_ORD_03_a_used_tag_is_unknown_and_not_repeated() -> None:
    rig = VenueDeskRig()
    rig.start()
    rig.controls.reject(2, "Specified custom tag is already in use")
    rig.signal(1)
    rig.run(2)
    (command,) = rig.venue.sent(PlaceBracket)
    assert rig.view()["unknown"] == [command.tag]


def test_R5_answers_that_are_late_for_a_stop_do_not_end_it() -> None:
    """The stop is accepted, but a replica does not list it yet: it is in doubt, and never a reason for a second one."""
    rig = Rig().start()
    rig.broker.legs, rig.broker.deaf = ("TP",), True
    rig.broker.script["place"] = ["accept"]
    rig.signal(1, stop_ticks=40, target_ticks=80)
    rig.run(6)
    rig.broker.hidden = {rig.broker.own("S").order_id}
    rig.run(10)
    assert len(rig.broker.sent(PlaceStop)) == 1
    assert rig.broker.size("MNQ") == 0
    rig.broker.hidden = set()
    rig.run(40)
    assert rig.broker.working() == []
    assert rig.desk.is_flat(1001)


def test_F_NET_08_a_target_that_filled_is_not_missing_while_its_fill_is_on_the_way() -> None:
    rig = opened(("SL", "TP"), 6)
    target = rig.broker.leg("TP")
    rig.broker.fill(target.order_id, price=target.limit)
    late = [event for event in rig.broker.events if not isinstance(event, OrderUpdate) or event.status != "filled"]
    (filled,) = [event for event in rig.broker.events if event not in late]
    rig.broker.events = []
    rig.feed(filled)
    assert not rig.broker.sent(PlaceTarget)
    rig.broker.events = late
    rig.pump()
    rig.run(5)
    assert not rig.broker.sent(PlaceTarget)
    assert (rig.broker.working(), rig.broker.size("MNQ")) == ([], 0)
