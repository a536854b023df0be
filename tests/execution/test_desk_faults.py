"""Desk under faults of the order path and the account (failure-model.md 5.1, 5.2, 5.3), by identifier."""

import pytest

from desk_rig import Rig, round_trips, settings
from tbot.domain.messages import (
    CancelOrder,
    CloseContract,
    CommandResult,
    ConditionIn,
    PlaceBracket,
    PlaceStop,
    Query,
    StateChange,
)
from tbot.execution.tags import base32


def started(**kwargs: object) -> Rig:
    return Rig(**kwargs).start()  # type: ignore[arg-type]


def codes(rig: Rig) -> set[str]:
    return {code for note in rig.of(StateChange) for code in note.reasons}


# ------------------------------------------------------------------------------------------- ambiguous placements
def test_F_ORD_01_a_accepted_but_answer_lost_is_adopted() -> None:
    rig = started()
    rig.broker.script["place"] = ["ambiguous_done"]
    rig.signal(1)
    rig.run(2)
    view = rig.view()
    assert (view["unknown"], view["state"]) == ([], "ACTIVE")
    assert view["positions"][0]["protected"]
    assert len(rig.broker.sent(PlaceBracket)) == 1
    assert not rig.broker.sent(CloseContract)


def test_F_ORD_01_a_also_with_a_deaf_user_hub() -> None:
    rig = started()
    rig.broker.deaf = True
    rig.broker.script["place"] = ["ambiguous_done"]
    rig.signal(1)
    rig.run(2)
    position = rig.view()["positions"][0]
    assert (position["size"], position["protected"], position["signal_id"]) == (5, True, "MNQ-1")


def test_F_ORD_01_b_never_arrived_is_quarantined_then_presumed_dead() -> None:
    rig = started()
    rig.broker.script["place"] = ["ambiguous_lost"]
    rig.signal(1)
    rig.run(6)
    assert rig.view()["unknown"] == [rig.broker.sent(PlaceBracket)[0].tag]
    rig.signal(2)
    assert rig.denials == ["RC_ORDER_UNKNOWN"]
    rig.signal(2, "ES", stop_ticks=8)  # other contracts trade on
    rig.run(50)
    assert rig.view()["unknown"]
    rig.run(10)
    assert rig.view()["unknown"] == []
    rig.signal(3)
    assert [command.signal_id for command in rig.broker.sent(PlaceBracket)] == ["MNQ-1", "ES-2", "MNQ-3"]


def test_F_ORD_01_b_needs_explicit_answers_not_time_alone() -> None:
    rig = started()
    rig.broker.script["place"] = ["ambiguous_lost"]
    rig.signal(1)
    rig.broker.query_complete = False
    rig.run(200, step=1)
    assert rig.view()["unknown"]


@pytest.mark.parametrize("after", [5, 45, 80])
def test_F_ORD_01_c_late_arrival_is_adopted_or_removed(after: int) -> None:
    rig = started()
    rig.broker.script["place"] = ["ambiguous_lost"]
    rig.signal(1)
    rig.run(after, step=0.5)
    rig.broker.deliver(rig.broker.sent(PlaceBracket)[0])
    rig.pump()
    rig.run(10)
    if after < 60:
        assert rig.view()["positions"][0]["protected"]
    else:
        assert rig.broker.size("MNQ") == 0
        assert rig.broker.working() == []
        rig.signal(2)
        assert rig.denials == ["RC_MISMATCH"]
    assert len(rig.broker.sent(PlaceBracket)) == 1


@pytest.mark.parametrize("stop", ["accept", "rejected"])
def test_F_ORD_01_d_filled_without_legs_and_answer_lost_is_protected_or_closed(stop: str) -> None:
    rig = started()
    rig.broker.deaf, rig.broker.legs = True, ()
    rig.broker.script["place"] = ["ambiguous_done"]
    rig.broker.script["stop"] = [stop]
    rig.signal(1)
    rig.run(10)
    assert len(rig.broker.sent(PlaceStop)) == 1
    assert (rig.broker.size("MNQ"), len(rig.broker.sent(CloseContract))) == ((5, 0) if stop == "accept" else (0, 1))


def test_no_answer_at_all_becomes_unknown() -> None:
    rig = started()
    rig.broker.silent = True
    rig.signal(1)
    rig.run(9)
    assert rig.view()["unknown"] == []
    rig.broker.silent = False
    rig.run(2)
    assert rig.view()["unknown"]


def test_events_before_the_answer_are_the_same_story() -> None:
    rig = started()
    rig.broker.script["place"] = ["late"]
    rig.signal(1)
    rig.run(4)
    assert rig.view()["positions"][0]["protected"]
    assert not rig.broker.sent(CloseContract)


def test_a_repeated_answer_changes_nothing() -> None:
    rig = started()
    rig.signal(1)
    answers = [item for item, _ in rig.rows if isinstance(item, CommandResult)]
    before = rig.view()
    for answer in answers:
        rig.feed(answer)
    assert rig.view() == before


# ------------------------------------------------------------------------------------------------------ rejections
def test_F_ORD_03_three_rejections_in_ten_minutes_set_the_contract_aside() -> None:
    rig = started()
    rig.broker.script["place"] = ["reject", "reject_with_id", "reject"]
    for number in range(3):
        rig.signal(number)
        rig.run(30)
    rig.signal(9)
    assert rig.denials == ["RC_ORDER_REJECTS"]
    assert len(rig.broker.sent(PlaceBracket)) == 3  # none was repeated
    rig.signal(9, "ES", stop_ticks=8)
    assert len(rig.broker.sent(PlaceBracket)) == 4


def test_not_sent_is_proven_dead() -> None:
    rig = started()
    rig.broker.script["place"] = ["not_sent"]
    rig.signal(1)
    rig.run(6)
    rig.signal(2)
    assert (len(rig.broker.sent(PlaceBracket)), rig.denials) == (2, [])


# ------------------------------------------------------------------------------------------------------ protection
@pytest.mark.parametrize("legs", [(), ("TP",)])
def test_F_ORD_05_I3_a_position_without_a_stop_is_closed_in_time(legs: tuple[str, ...]) -> None:
    rig = started()
    rig.broker.legs = legs
    rig.broker.script["stop"] = ["ambiguous"]  # never placed again, and never seen
    rig.signal(1)
    rig.run(2.75)
    assert not rig.broker.sent(CloseContract)
    rig.run(0.25)
    assert len(rig.broker.sent(CloseContract)) == 1
    rig.run(70, step=1)
    assert len(rig.broker.sent(PlaceStop)) == 1
    assert (rig.broker.size("MNQ"), rig.broker.working()) == (0, [])
    rig.signal(2)
    assert rig.denials == ["RC_NAKED"]
    assert rig.state == "ACTIVE"


def test_F_ORD_05_I3_a_stop_farther_than_approved_protects_nothing() -> None:
    for error, closed in ((4, 0), (5, 1)):
        rig = started()
        rig.broker.stop_error = error
        rig.signal(1)
        rig.run(3.25)
        assert len(rig.broker.sent(CloseContract)) == closed


def test_F_ORD_05_I3_a_missing_target_alone_is_no_danger() -> None:
    rig = started()
    rig.broker.legs = ("SL",)
    rig.signal(1)
    rig.run(10)
    assert not rig.broker.sent(CloseContract)


def test_F_ACC_02_a_stop_cancelled_by_hand_is_placed_once_more_and_then_no_more() -> None:
    rig = started()
    rig.signal(1)
    rig.run(10)
    first = rig.broker.leg("SL")
    rig.broker.cancel_by_hand(first.order_id)
    rig.pump()
    rig.run(5)
    (stop,) = rig.broker.sent(PlaceStop)
    assert (stop.side, stop.size, stop.stop) == (-1, 5, first.stop)
    assert rig.view()["positions"][0]["protected"]
    rig.broker.cancel_by_hand(rig.broker.own("S").order_id)
    rig.pump()
    rig.run(5)
    assert len(rig.broker.sent(PlaceStop)) == 1
    assert rig.broker.size("MNQ") == 0
    assert rig.broker.working() == []


def test_F_NET_08_I3_lost_fill_events_are_found_by_query() -> None:
    rig = started()
    rig.broker.fill_entries = False
    rig.signal(1)
    rig.broker.deaf = True
    rig.broker.fill(min(rig.broker.brackets))
    rig.run(6)
    assert rig.view()["positions"][0]["protected"]
    rig.broker.fill(rig.broker.leg("TP").order_id, price=80_081)
    rig.run(8)
    assert [trip.exit_reason for trip in round_trips(rig)] == ["target"]
    assert rig.state == "ACTIVE"
    assert rig.desk.is_flat(1001)


def test_F_ORD_04_partial_fill_is_protected_and_the_rest_is_cancelled() -> None:
    rig = started()
    rig.broker.fill_entries = False
    rig.signal(1)
    entry = min(rig.broker.brackets)
    rig.broker.fill(entry, 2)
    rig.pump()
    rig.run(4)
    position = rig.view()["positions"][0]
    assert (position["size"], position["protected"]) == (2, True)
    rig.run(3)
    cancels = rig.broker.sent(CancelOrder)
    assert [command.order_id for command in cancels] == [entry]
    assert rig.broker.leg("SL").status == "open"
    rig.run(20)
    assert not rig.broker.sent(CloseContract)


def test_F_ORD_05_I3_a_suspended_stop_protects_nothing() -> None:
    rig = started()
    rig.broker.activate = False
    rig.signal(1)
    rig.run(8)
    assert len(rig.broker.sent(CloseContract)) == 1
    assert (rig.broker.size("MNQ"), rig.broker.working()) == (0, [])


# -------------------------------------------------------------------------------------------------- account truth
def test_F_ORD_06_both_legs_fill_and_the_reversal_is_closed() -> None:
    rig = started()
    rig.broker.keep_sibling = True
    rig.signal(1)
    stop, target = rig.broker.leg("SL"), rig.broker.leg("TP")
    rig.broker.fill(stop.order_id, price=stop.stop)
    rig.broker.fill(target.order_id, price=target.limit)
    rig.pump()
    rig.run(5)
    assert rig.broker.size("MNQ") == 0
    rig.signal(2)
    assert rig.denials == ["RC_MISMATCH"]


def test_F_ORD_07_an_orphaned_leg_is_cancelled_after_a_second_look() -> None:
    rig = started()
    rig.broker.keep_sibling = True
    rig.signal(1)
    rig.run(2)
    stop = rig.broker.leg("SL")
    rig.broker.fill(stop.order_id, price=stop.stop)
    rig.pump()
    rig.signal(2)
    assert rig.denials == ["RC_ORPHAN"]
    rig.run(2.5)
    assert [command.order_id for command in rig.broker.sent(CancelOrder)] == [rig.broker.leg("TP").order_id]
    rig.run(2)
    assert rig.desk.is_flat(1001)


def test_F_ORD_07_an_entry_left_by_a_dead_run_is_cancelled_at_first_sight() -> None:
    rig = Rig()
    tag = f"TB1-{base32(rig.settings.run_start_ms - 5_000)}-7-E"
    order_id = rig.broker.plant("MNQ", 1, 1, "limit", tag)
    rig.start()
    assert [command.order_id for command in rig.broker.sent(CancelOrder)] == [order_id]
    rig.run(3)
    assert rig.desk.is_flat(1001)


def test_I16_F_CFG_01_an_order_of_a_later_engine_halts() -> None:
    rig = started()
    rig.broker.plant("MNQ", 1, 1, "limit", f"TB1-{base32(rig.settings.run_start_ms + 5_000)}-1-E")
    rig.pump()
    assert rig.state == "HALTED"
    assert "RC_SECOND_ENGINE" in codes(rig)


def test_F_ACC_01_unexplained_exposure_is_closed_after_two_looks() -> None:
    rig = started()
    rig.broker.held["MNQ"] = [(1, 80_000)]  # no order, no fill: it is simply there
    rig.run(31)
    assert len(rig.broker.sent(CloseContract)) == 1
    assert "RC_MISMATCH" in codes(rig)
    rig.run(5)
    assert rig.broker.size("MNQ") == 0
    assert rig.state == "ACTIVE"


def test_F_ACC_01_a_single_different_answer_is_not_acted_on() -> None:
    rig = started()
    rig.signal(1)
    kept = rig.broker.held["MNQ"]
    rig.run(2)
    rig.broker.held["MNQ"] = []
    asked = len(rig.broker.sent(Query))
    while len(rig.broker.sent(Query)) == asked:
        rig.tick()
    assert rig.state == "PAUSED"
    rig.broker.held["MNQ"] = kept
    rig.run(5)
    assert rig.state == "ACTIVE"
    assert not rig.broker.sent(CloseContract)
    assert rig.view()["positions"][0]["size"] == 5


def test_F_ACC_01_I4_a_position_that_the_broker_lost_is_given_up() -> None:
    rig = started()
    rig.signal(1)
    rig.broker.held["MNQ"] = []
    rig.run(20)
    assert rig.view()["positions"] == []
    assert rig.broker.working() == []
    assert not [command for command in rig.broker.sent(CloseContract) if rig.broker.size("MNQ")]


def test_F_ACC_02_foreign_positions_are_respected_counted_and_block() -> None:
    rig = started()
    rig.broker.place_foreign("MNQ", 1, 2)
    rig.pump()
    rig.run(40)
    assert rig.broker.size("MNQ") == 2
    assert not rig.broker.sent(CloseContract)
    rig.signal(1)
    assert rig.denials == ["RC_FOREIGN"]
    view = rig.view()
    assert (view["positions"][0]["foreign"], view["day_pnl_cents"]) == (2, -122)
    assert rig.state == "ACTIVE"


def test_F_ACC_02_kill_also_takes_foreign_positions_and_orders() -> None:
    rig = started()
    rig.broker.place_foreign("MNQ", 1, 2)
    rig.broker.place_foreign("ES", 1, 1, "stop", 27_000)
    rig.pump()
    rig.operator("flatten")
    rig.run(3)
    assert rig.broker.size("MNQ") == 2
    rig.operator("kill")
    rig.run(3)
    assert rig.broker.size("MNQ") == 0
    assert rig.broker.working() == []
    assert rig.state == "LOCKED"


def test_F_ACC_02_a_market_order_of_the_owner_that_hangs_is_left_alone_unless_all_has_to_go() -> None:
    rig = started()
    rig.signal(1)
    rig.run(1)
    theirs = rig.broker.plant("MNQ", -1, 5, "market", "")
    rig.pump()
    rig.operator("flatten")
    rig.run(30)
    assert theirs not in [command.order_id for command in rig.broker.sent(CancelOrder)]
    assert not rig.broker.sent(CloseContract)  # beside it a close would turn the position round
    assert rig.broker.leg("SL").status == "open"
    rig.operator("kill")
    rig.run(10)
    assert theirs in [command.order_id for command in rig.broker.sent(CancelOrder)]
    assert (rig.broker.size("MNQ"), rig.broker.working()) == (0, [])


def test_F_ACC_02_position_closed_by_hand_ends_the_trip_and_legs_go() -> None:
    rig = started()
    rig.signal(1)
    rig.broker.place_foreign("MNQ", -1, 5)
    rig.pump()
    rig.run(5)
    assert [trip.exit_reason for trip in round_trips(rig)] == ["other"]
    assert rig.broker.working() == []


def test_I20_a_condition_that_nobody_knows_pauses_and_ends_like_any_other() -> None:
    rig = started()
    rig.feed(ConditionIn(rig.now_ns, "RC_OF_TOMORROW", "something new"))
    rig.run(1)
    assert (rig.state, rig.view()["text"]) == ("PAUSED", "something new")
    rig.signal(1)
    assert rig.denials
    rig.operator("kill")
    rig.run(2)
    assert rig.state == "LOCKED"
    rig.feed(ConditionIn(rig.now_ns, "RC_OF_TOMORROW", ""))
    rig.run(1)
    assert [reason["code"] for reason in rig.view()["reasons"]] == ["RC_KILL_SWITCH"]


def test_F_NET_07_C_BLIND_HOLD_position_without_prices_is_flattened() -> None:
    rig = started()
    rig.signal(1)
    rig.quote_age_ns = 121 * 10**9
    rig.tick()
    rig.run(2)
    assert rig.broker.size("MNQ") == 0


def test_F_NET_07_user_hub_and_rest_down_keeps_trying_to_get_out() -> None:
    rig = started()
    rig.signal(1)
    rig.broker.deaf = rig.broker.silent = True
    rig.run(150, step=0.5)
    assert rig.state == "REDUCING"
    assert rig.broker.size("MNQ") == 5
    rig.broker.deaf = rig.broker.silent = False
    rig.run(20, step=0.5)
    assert rig.broker.size("MNQ") == 0
    assert rig.broker.working() == []


def test_F_API_04_three_unproven_answers_pause() -> None:
    rig = started()
    rig.broker.query_complete = False
    rig.run(40)
    assert rig.state == "PAUSED"
    assert "RC_REST_DOWN" in codes(rig)
    rig.broker.query_complete = True
    rig.run(3)
    assert rig.state == "ACTIVE"


def test_a_lost_query_is_asked_again() -> None:
    rig = started()
    rig.broker.script["query"] = ["lose"]
    before = len(rig.broker.sent(Query))
    rig.run(45)
    assert len(rig.broker.sent(Query)) >= before + 2
    assert rig.state == "ACTIVE"


def test_speed_stretches_patience_with_the_broker_but_not_risk_limits() -> None:
    rig = started(settings=settings(speed=20.0))
    rig.broker.legs = ()
    rig.broker.script["stop"] = ["ambiguous"]
    rig.signal(1)
    rig.run(59, step=1)
    assert not rig.broker.sent(CloseContract)
    rig.run(2, step=1)
    assert len(rig.broker.sent(CloseContract)) == 1
