"""Restart: what the journal carries over, what is asked from the broker, and that a replay is the same (I14, I15)."""

from dataclasses import replace

import pytest

from desk_rig import RUN_START_MS, START_NS, Rig, round_trips, settings
from scripted_broker import ScriptedBroker
from tbot.domain.messages import (
    CancelOrder,
    CloseContract,
    CommandResult,
    OrderUpdate,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    PlaceTarget,
    RoundTrip,
    SignalIn,
    TimerIn,
)
from tbot.execution.carry import CarryFold
from tbot.execution.desk import AccountSettings, Carried, Desk


def carried(rig: Rig, upto: int | None = None) -> Carried:
    fold = CarryFold()
    for item, outputs in rig.rows[:upto]:
        fold.add(item, outputs)
    return fold.carried(1001)


def restarted(rig: Rig, kept: Carried | None = None) -> Rig:
    """A new Desk on the same broker, as the journal of the old one says (or with an empty state directory)."""
    account = AccountSettings(1001, "PRAC-1", kept if kept is not None else carried(rig))
    broker: ScriptedBroker = rig.broker
    broker.events.clear()
    fresh = Rig(settings=settings(accounts=(account,), run_start_ms=RUN_START_MS + 60_000), broker=broker)
    fresh.now_ns, fresh.prices = rig.now_ns, rig.prices
    return fresh.start()


def test_I14_kill_survives_a_restart_and_no_person_can_undo_it_that_day() -> None:
    rig = Rig().start()
    rig.operator("kill")
    rig.run(2)
    fresh = restarted(rig)
    fresh.run(2)
    assert fresh.state == "LOCKED"
    fresh.operator("resume")
    fresh.run(2)
    assert fresh.state == "LOCKED"
    assert [code for code, _ in carried(fresh).reasons] == ["RC_KILL_SWITCH"]


@pytest.mark.parametrize("lost", [False, True])
def test_I13_I14_two_losses_lock_after_a_restart_even_without_the_journal(lost: bool) -> None:
    rig = Rig().start()
    for number in (1, 2):
        rig.signal(number)
        leg = rig.broker.leg("SL")
        rig.broker.fill(leg.order_id, price=leg.stop)
        rig.pump()
        rig.run(6)
    fresh = restarted(rig, Carried() if lost else None)
    fresh.run(1)
    assert fresh.state == "LOCKED"
    fresh.signal(3)
    assert fresh.denials == ["RC_CONSEC_LOSSES"]


def test_I13_I14_a_win_after_two_losses_does_not_unlock_across_a_restart() -> None:
    rig = Rig().start()
    rig.signal(1, "MES", stop_ticks=20)
    for number in (1, 2):
        rig.signal(number)
        leg = rig.broker.leg("SL")
        rig.broker.fill(leg.order_id, price=leg.stop)
        rig.pump()
        rig.run(6)
    leg = rig.broker.leg("TP", "MES")
    rig.broker.fill(leg.order_id, price=leg.limit)
    rig.pump()
    assert restarted(rig, Carried()).state == "LOCKED"


def test_a_round_trip_is_on_record_once_however_often_the_engine_is_started_that_day() -> None:
    """Its fills are told again by the broker at each start, and each start noted it once more."""
    rig = Rig().start()
    for number, kind in ((1, "TP"), (2, "SL")):
        rig.signal(number)
        leg = rig.broker.leg(kind, "MNQ")
        rig.broker.fill(leg.order_id, price=leg.limit if kind == "TP" else leg.stop)
        rig.run(6)
    assert [note.signal_id for note in round_trips(rig)] == ["MNQ-1", "MNQ-2"]
    kept = carried(rig)
    assert len(kept.trips) == 2
    again = restarted(rig)
    again.run(3)
    assert round_trips(again) == []
    assert again.view()["trades"] == 2
    assert again.view()["day_pnl_cents"] == rig.view()["day_pnl_cents"]
    lost = restarted(rig, Carried())  # without a record they are noted: another journal begins
    assert [note.signal_id for note in round_trips(lost)] == ["", ""]
    fold = CarryFold()
    for item, outputs in [*rig.rows, *again.rows]:
        fold.add(item, outputs)
    third = restarted(again, fold.carried(1001))
    third.signal(3)
    leg = third.broker.leg("TP", "MNQ")
    third.broker.fill(leg.order_id, price=leg.limit)
    third.run(2)
    assert [note.signal_id for note in round_trips(third)] == ["MNQ-3"]


def test_what_is_on_record_of_another_day_hides_no_round_trip() -> None:
    rig = Rig().start()
    rig.signal(1)
    leg = rig.broker.leg("TP", "MNQ")
    rig.broker.fill(leg.order_id, price=leg.limit)
    rig.run(1)
    ((day, known),) = carried(rig).trips
    assert day == "2026-11-17"
    fresh = restarted(rig, replace(carried(rig), trips=(("2026-11-16", known),)))
    assert [note.signal_id for note in round_trips(fresh)] == ["MNQ-1"]


def test_an_answered_entry_is_not_unknown_after_a_restart() -> None:
    rig = Rig().start()
    rig.broker.script["place"] = ["reject", "not_sent"]
    rig.signal(1)
    rig.run(6)
    rig.signal(1, "ES", stop_ticks=8)
    fresh = restarted(rig)
    assert [entry.outcome for entry in fresh.settings.accounts[0].carried.entries] == ["rejected", "not_sent"]
    assert fresh.view()["unknown"] == []


def test_K_EX_07_an_adopted_position_keeps_its_signal_and_its_round_trip() -> None:
    rig = Rig().start()
    rig.signal(1)
    rig.run(1)
    fresh = restarted(rig)
    fresh.run(4)
    position = fresh.view()["positions"][0]
    assert (position["protected"], position["signal_id"], position["foreign"]) == (True, "MNQ-1", 0)
    stop = fresh.broker.leg("SL")
    fresh.broker.fill(stop.order_id, price=stop.stop)
    fresh.pump()
    (trip,) = round_trips(fresh)
    assert (trip.exit_reason, trip.signal_id) == ("stop", "MNQ-1")


def test_K_EX_07_without_the_journal_legs_of_our_family_still_protect() -> None:
    rig = Rig().start()
    rig.signal(1)
    fresh = restarted(rig, Carried())
    fresh.run(10)
    assert fresh.broker.size("MNQ") == 5
    position = fresh.view()["positions"][0]
    assert (position["protected"], position["foreign"]) == (True, 0)
    assert not fresh.broker.sent(CancelOrder)
    fresh.signal(2)
    assert len(fresh.broker.sent(PlaceBracket)) == 1  # the contract takes no entries


@pytest.mark.parametrize("stop", ["accept", "account"])
def test_K_EX_07_a_naked_position_is_protected_or_closed_after_a_restart(stop: str) -> None:
    rig = Rig().start()
    rig.broker.legs = ()
    rig.signal(1)
    fresh = restarted(rig)
    fresh.broker.script["stop"] = [stop]
    fresh.run(8)
    assert len(fresh.broker.sent(PlaceStop)) == 1
    assert fresh.broker.size("MNQ") == (5 if stop == "accept" else 0)
    assert fresh.desk.is_protected(1001)


def place_row(rig: Rig) -> int:
    return next(index for index, (item, _) in enumerate(rig.rows) if isinstance(item, SignalIn)) + 1


def test_K_EX_04_intent_written_but_never_sent_is_presumed_dead() -> None:
    rig = Rig().start()
    rig.broker.script["place"] = ["ambiguous_lost"]
    rig.signal(1)
    fresh = restarted(rig, carried(rig, place_row(rig)))
    assert fresh.view()["unknown"] == [fresh.broker.sent(PlaceBracket)[0].tag]
    fresh.run(70, step=1)
    assert fresh.view()["unknown"] == []
    fresh.signal(1)
    assert fresh.denials == ["DUPLICATE"]  # I2: one decision, one placement, across restarts
    fresh.signal(2)
    placed = fresh.broker.sent(PlaceBracket)
    assert len({command.tag for command in placed}) == len(placed) == 2


@pytest.mark.parametrize("legs", [("SL", "TP"), ()])
def test_K_EX_05_K_EX_06_sent_but_no_answer_recorded(legs: tuple[str, ...]) -> None:
    rig = Rig().start()
    rig.broker.legs = legs
    rig.signal(1)
    fresh = restarted(rig, carried(rig, place_row(rig)))
    fresh.run(8)
    position = fresh.view()["positions"][0]
    assert (position["protected"], position["signal_id"]) == (True, "MNQ-1")
    assert not fresh.broker.sent(CloseContract)
    assert len(fresh.broker.sent(PlaceStop)) == (not legs)


def test_I13_entries_of_the_day_and_rates_are_carried() -> None:
    rig = Rig().start()
    rig.signal(1)
    leg = rig.broker.leg("TP")
    rig.broker.fill(leg.order_id, price=leg.limit)
    rig.pump()
    fresh = restarted(rig)
    fresh.run(1)
    assert fresh.view()["entries_today"] == 1
    fresh.signal(2)
    assert fresh.denials == ["RC_RUNAWAY"]  # within 5 s of the entry before the restart


def test_a_day_lock_of_yesterday_is_not_carried() -> None:
    kept = Carried((("RC_DAILY_LOSS", "limit"), ("RC_KILL_SWITCH", "kill"), ("RC_CONFIG", "name")), "2026-11-16")
    rig = Rig(settings=settings(accounts=(AccountSettings(1001, "PRAC-1", kept),))).start()
    assert rig.view()["reasons"][0]["code"] == "RC_CONFIG"
    assert len(rig.view()["reasons"]) == 1


@pytest.mark.parametrize("at", ["close", "prove_flat", "cancel_rest", "prove_done"])
def test_K_EX_10_to_15_flatten_continues_after_a_restart(at: str) -> None:
    rig = Rig().start()
    rig.signal(1)
    rig.run(1)
    rig.broker.silent = at in ("close", "prove_flat")
    if at in ("cancel_rest", "prove_done"):
        rig.broker.script["cancel"] = ["not_sent"] * 100
    rig.operator("kill")
    rig.run(1)
    rig.broker.silent = False
    rig.broker.script.clear()
    fresh = restarted(rig)
    fresh.run(10)
    assert fresh.broker.size("MNQ") == 0
    assert fresh.broker.working() == []
    assert fresh.state == "LOCKED"
    assert fresh.desk.is_flat(1001)


@pytest.mark.parametrize(
    ("verbs", "state"),
    [
        (("pause",), "PAUSED"),
        (("pause", "resume"), "ACTIVE"),
        (("stop",), "ACTIVE"),
        (("stop", "stop"), "ACTIVE"),
        (("pause", "stop"), "PAUSED"),  # SIGTERM to an executor that seems to hang is an orderly stop, too
        (("pause", "stop", "stop"), "PAUSED"),
        (("pause", "resume", "stop"), "ACTIVE"),
        (("stop", "resume"), "ACTIVE"),  # refused: nothing that a person asked for
        (("stop", "pause"), "PAUSED"),
    ],
)
def test_a_persons_pause_survives_a_restart_but_an_orderly_stop_does_not(verbs: tuple[str, ...], state: str) -> None:
    rig = Rig().start()
    for verb in verbs:
        rig.operator(verb)
        rig.run(2)
    assert restarted(rig).state == state


def test_I15_a_replay_of_the_inputs_gives_the_same_outputs_and_digest() -> None:
    rig = Rig().start()
    rig.signal(1)
    rig.run(3)
    rig.broker.script["place"] = ["ambiguous_lost"]
    rig.signal(1, "ES", stop_ticks=8)
    rig.run(5)
    rig.operator("kill")
    rig.run(5)
    other = Desk(rig.settings)
    for item, outputs in rig.rows:
        assert other.handle(item) == outputs
    assert other.digest() == rig.desk.digest()
    shorter = Desk(rig.settings)
    for item, _ in rig.rows[:-1]:
        shorter.handle(item)
    assert shorter.digest() != rig.desk.digest()


# ------------------------------------------------------------------------ stops, targets and exits of an earlier run
def unprotected(stop: str) -> Rig:
    rig = Rig().start()
    rig.broker.legs = ()
    rig.broker.script["stop"] = [stop]
    rig.signal(1)
    rig.run(1)
    assert len(rig.broker.sent(PlaceStop)) == 1
    return rig


@pytest.mark.parametrize("stop", ["accept", "ambiguous_done"])
def test_K_EX_07_a_stop_of_the_run_before_is_recognised(stop: str) -> None:
    rig = unprotected(stop)
    fresh = restarted(rig)
    fresh.run(8)
    assert len(fresh.broker.sent(PlaceStop)) == 1
    assert fresh.view()["positions"][0]["protected"]
    assert fresh.view()["unknown"] == []
    order = fresh.broker.own("S")
    fresh.broker.fill(order.order_id, price=order.stop)
    fresh.pump()
    (trip,) = round_trips(fresh)
    assert (trip.exit_reason, trip.signal_id, trip.entry_reason) == ("stop", "MNQ-1", "test")
    kept = carried(fresh)
    assert (kept.orders, len(kept.entries)) == ((), 0)


@pytest.mark.parametrize("stop", ["ambiguous", "rejected"])
def test_K_EX_07_R6_a_stop_that_failed_in_the_run_before_is_not_placed_again(stop: str) -> None:
    rig = unprotected("ambiguous")
    rows = rig.rows
    if stop == "rejected":
        rows = [(replace(item, outcome="rejected") if isinstance(item, CommandResult) and item.outcome == "ambiguous"
                 else item, outputs) for item, outputs in rows]  # fmt: skip
        rig.rows = rows
    fresh = restarted(rig)
    assert fresh.settings.accounts[0].carried.orders[0].outcome == stop
    fresh.run(8)
    assert len(fresh.broker.sent(PlaceStop)) == 1
    assert fresh.broker.size("MNQ") == 0


def test_K_EX_05_a_stop_written_but_not_answered_is_unknown_and_blocks_until_it_is_presumed_dead() -> None:
    rig = unprotected("ambiguous")
    cut = next(i for i, (_, outs) in enumerate(rig.rows) if any(isinstance(out, PlaceStop) for out in outs)) + 1
    fresh = restarted(rig, carried(rig, cut))
    (order,) = fresh.settings.accounts[0].carried.orders
    assert (order.kind, order.outcome, order.size, order.price) == ("stop", "missing", 5, 79_961)
    fresh.run(20)
    assert fresh.broker.size("MNQ") == 0
    assert fresh.view()["unknown"] == [order.tag]
    assert not fresh.desk.is_flat(1001)  # it may still turn up
    fresh.run(60, step=1)
    assert fresh.desk.is_flat(1001)


def test_K_EX_05_an_exit_of_the_run_before_that_fills_late_is_a_surprise_and_undone() -> None:
    rig = Rig().start()
    rig.signal(1)
    rig.run(1)
    rig.broker.script["close"] = ["account"]
    rig.broker.script["exit"] = ["ambiguous"]
    rig.operator("flatten")
    while not rig.broker.sent(PlaceExit):
        rig.tick()
    lost = rig.broker.sent(PlaceExit)[0]
    kept = carried(rig)
    assert (kept.orders[0].kind, kept.orders[0].price, kept.orders[0].outcome) == ("exit", None, "ambiguous")
    fresh = restarted(rig, kept)
    fresh.run(5)
    assert fresh.broker.size("MNQ") == 0
    fresh.broker.deaf = True
    fresh.broker.arrive(lost)
    fresh.run(40)
    assert (fresh.broker.size("MNQ"), fresh.view()["positions"]) == (0, [])


def test_a_target_of_the_run_before_is_not_placed_again() -> None:
    rig = Rig().start()
    rig.broker.legs = ("SL",)
    rig.signal(1)
    rig.run(2)
    rig.broker.cancel_by_hand(rig.broker.own("T").order_id)
    fresh = restarted(rig)
    assert [order.kind for order in carried(rig).orders] == ["target"]
    fresh.run(10)
    assert len(fresh.broker.sent(PlaceTarget)) == 1


def test_orders_of_yesterday_and_of_trips_that_ended_are_not_carried() -> None:
    fold = CarryFold()
    stop = PlaceStop("c1", 1001, "MNQ", -1, 1, 100, "TB1-1-1-S")
    fold.add(TimerIn(START_NS - 86_400 * 10**9, {}), [stop])
    fold.add(TimerIn(START_NS, {}), [replace(stop, command_id="c2", tag="TB1-1-2-S")])
    fold.add(CommandResult(START_NS, 1001, "c2", "accepted", 9), [])
    fold.add(CommandResult(START_NS, 1001, "other", "accepted", 9), [])
    assert [(order.tag, order.order_id) for order in fold.carried(1001).orders] == [("TB1-1-2-S", 9)]
    trip = RoundTrip(START_NS, 1001, "ES", 1, 1, START_NS, 1, 1, 0, 0, 0, "stop", "", 0)
    fold.add(TimerIn(START_NS, {}), [trip])
    assert len(fold.carried(1001).orders) == 1
    fold.add(TimerIn(START_NS, {}), [replace(trip, contract="MNQ")])
    assert fold.carried(1001).orders == ()


# ------------------------------------------------------------------------- orders that filled while nobody was there
@pytest.mark.parametrize("heard", ["hub", "answer"])
def test_K_EX_10_F_ORD_06_a_leg_that_filled_in_between_is_known_as_ours_and_undone(heard: str) -> None:
    rig = Rig().start()
    rig.broker.deaf = heard == "answer"
    rig.broker.keep_sibling = True
    rig.signal(1)
    rig.run(6)
    stop = rig.broker.leg("SL")
    assert dict(carried(rig).tags)[stop.order_id] == stop.tag
    rig.broker.fill(rig.broker.leg("TP").order_id, price=80_081)
    rig.broker.fill(stop.order_id, price=stop.stop)
    assert rig.broker.size("MNQ") == -5
    fresh = restarted(rig)
    fresh.broker.deaf = False
    fresh.run(5)
    assert (fresh.broker.size("MNQ"), fresh.broker.working()) == (0, [])
    assert round_trips(fresh)[0].exit_reason == "target"


@pytest.mark.parametrize("seen", [True, False])
def test_K_EX_10_a_close_that_fills_late_is_known_as_ours_and_undone(seen: bool) -> None:
    rig = Rig().start()
    rig.signal(1)
    rig.run(1)
    rig.broker.script["close"] = ["accepted"]  # its order comes later
    rig.broker._close = lambda command, todo: rig.broker._result(command, "accepted")  # type: ignore[method-assign]
    rig.operator("flatten")
    rig.run(1)
    if seen:
        hanging = rig.broker._new("MNQ", -1, 5, "market")
        rig.pump()
    del rig.broker._close
    stop = rig.broker.leg("SL")
    rig.broker.fill(stop.order_id, price=stop.stop)
    fresh = restarted(rig)
    kept = fresh.settings.accounts[0].carried
    assert (kept.closing, [number for number, tag in kept.tags if not tag]) == (
        ((), [hanging]) if seen else (("MNQ",), [])
    )
    if not seen:
        hanging = fresh.broker._new("MNQ", -1, 5, "market")
        fresh.pump()
    fresh.broker.fill(hanging)
    fresh.pump()
    fresh.run(8)
    assert (fresh.broker.size("MNQ"), fresh.view()["positions"]) == (0, [])


def test_orders_seen_yesterday_are_not_carried() -> None:
    fold = CarryFold()
    order = OrderUpdate(START_NS - 86_400 * 10**9, 1001, 7, "MNQ", "open", "stop", -1, 1, 0, None, 5, "TB1-1-1-E-SL")
    close = CloseContract("c1", 1001, "ES", "RC_OPERATOR")
    fold.add(order, [close])
    foreign = replace(order, order_id=8, tag="theirs")
    fold.add(foreign, [])
    fold.add(replace(foreign, order_type="market", tag="", contract="NQ"), [])  # nobody closes NQ
    assert (fold.carried(1001).tags, fold.carried(1001).closing) == (((7, "TB1-1-1-E-SL"),), ("ES",))
    fold.add(replace(order, now_ns=START_NS, order_id=9), [])
    assert (fold.carried(1001).tags, fold.carried(1001).closing) == (((9, "TB1-1-1-E-SL"),), ())


@pytest.mark.parametrize("recorded", [True, False])
def test_K_EX_05_an_entry_that_the_run_before_saw_and_that_filled_in_between(recorded: bool) -> None:
    rig = Rig().start()
    rig.broker.fill_entries = False
    rig.broker.script["place"] = ["late"]
    rig.broker._result = lambda *args, **more: None  # type: ignore[method-assign, assignment]
    rig.signal(1)
    del rig.broker._result
    entry = min(rig.broker.brackets)
    kept = carried(rig)
    assert dict(kept.tags)[entry] == rig.broker.orders[entry].tag
    rig.broker.fill(entry)
    rig.broker.cancel_by_hand(rig.broker.leg("SL").order_id)
    rig.broker.cancel_by_hand(rig.broker.leg("TP").order_id)
    fresh = restarted(rig, kept if recorded else replace(kept, entries=()))
    fresh.run(8)
    if recorded:
        assert fresh.view()["positions"][0]["protected"]
        assert len(fresh.broker.sent(PlaceStop)) == 1
    else:  # nobody knows how far its stop may be: it goes
        assert fresh.broker.size("MNQ") == 0
        assert fresh.denials == []
