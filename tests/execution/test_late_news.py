"""News that comes late, twice, from nowhere or in a part only: what the Desk makes of it."""

from dataclasses import replace

import pytest

from desk_rig import PRICE, Rig, settings, signal
from tbot.domain.messages import (
    CloseContract,
    CommandResult,
    ConditionIn,
    Fill,
    OrderUpdate,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    Query,
    SignalIn,
    Snapshot,
    StateChange,
)
from tbot.execution.carry import CarryFold
from tbot.execution.desk import Carried
from tbot.execution.line import Line
from tbot.execution.settings import CarriedOrder
from tbot.risk.gate import Approval

ENTRY = PRICE["MNQ"] + 1


def told_fill(rig: Rig, order_id: int, side: int, size: int = 5, price: int = ENTRY) -> None:
    """The hub tells a fill and nothing else."""
    rig.feed(Fill(rig.now_ns, 1001, 8_000_000_000 + order_id, order_id, "MNQ", side, size, price, 0, 0))


def reasons(rig: Rig) -> set[str]:
    return {code for note in rig.of(StateChange) for code in note.reasons}


def test_F_ORD_03_a_rejected_order_with_an_id_that_fills_all_the_same_is_a_surprise() -> None:
    rig = Rig().start()
    rig.broker.script["place"] = ["reject_with_id"]
    rig.signal(1)
    order = next(order for order in rig.broker.orders.values() if order.status == "rejected")
    told_fill(rig, order.order_id, 1)
    assert "given up" in rig.view()["positions"][0]["surprise"]
    rig.broker.held["MNQ"] = [(1, ENTRY)] * 5
    rig.run(5)
    assert rig.broker.size("MNQ") == 0


def test_F_ORD_01_c_a_fill_of_an_order_that_was_presumed_dead_is_a_surprise_even_unnamed() -> None:
    rig = Rig().start()
    rig.broker.script["place"] = ["ambiguous_lost"]
    rig.signal(1)
    rig.run(75, step=1)
    assert rig.view()["unknown"] == []
    told_fill(rig, 777, 1)
    assert "may have filled" in rig.view()["positions"][0]["surprise"]
    assert len(rig.broker.sent(CloseContract)) == 1


def test_an_unnamed_fill_of_another_side_or_contract_is_a_strangers() -> None:
    rig = Rig().start()
    rig.broker.script["place"] = ["ambiguous_lost"]
    rig.signal(1, "ES", stop_ticks=8)
    rig.broker.legs = ()
    rig.run(6)
    told_fill(rig, 777, 1)
    position = rig.view()["positions"][0]
    assert (position["foreign"], position["surprise"]) == (5, "")


@pytest.mark.parametrize("wait", [5.0, 80.0])
def test_F_ORD_07_an_unnamed_fill_that_fits_a_lost_stop_is_a_surprise(wait: float) -> None:
    rig = Rig().start()
    rig.broker.legs = ()
    rig.broker.script["stop"] = ["ambiguous"]
    rig.signal(1)
    rig.run(5)
    assert rig.broker.size("MNQ") == 0
    rig.run(wait, step=0.5)
    told_fill(rig, 777, 1)  # the other side is nobody's
    assert rig.view()["positions"][0]["surprise"] == ""
    told_fill(rig, 778, -1, 10)
    assert "may have filled" in rig.view()["positions"][0]["surprise"]
    assert rig.broker.sent(CloseContract)


def test_a_leg_without_its_parents_number_names_nothing() -> None:
    rig = Rig().start()
    rig.broker.script["place"] = ["ambiguous_lost"]
    rig.signal(1)
    (command,) = rig.broker.sent(PlaceBracket)
    rig.feed(OrderUpdate(rig.now_ns, 1001, 55, "MNQ", "open", "stop", -1, 5, 0, None, 79_900, f"{command.tag}-SL"))
    assert rig.view()["unknown"] == [command.tag]


@pytest.mark.parametrize("order_id", [None, 3_000_000_500])
def test_F_ORD_01_an_answer_after_the_order_was_given_up(order_id: int | None) -> None:
    rig = Rig().start()
    rig.broker.silent = True
    rig.signal(1)
    rig.run(0.25)
    rig.broker.silent = False
    rig.run(100, step=1)
    (command,) = rig.broker.sent(PlaceBracket)
    assert rig.view()["unknown"] == []
    rig.feed(CommandResult(rig.now_ns, 1001, command.command_id, "accepted", order_id))
    rig.feed(CommandResult(rig.now_ns, 1001, command.command_id, "accepted", order_id))  # a second one says nothing
    live = rig.desk._engines[1001].picture.live_entries()
    assert [entry.late for entry in live] == ([] if order_id is None else [True])
    rig.run(10)
    assert rig.desk.is_flat(1001)


def test_F_API_06_accepted_without_a_number_is_not_proven() -> None:
    rig = Rig().start()
    rig.broker.silent = True
    rig.signal(1)
    (command,) = rig.broker.sent(PlaceBracket)
    rig.feed(CommandResult(rig.now_ns, 1001, command.command_id, "accepted", None))
    assert rig.view()["unknown"] == [command.tag]


@pytest.mark.parametrize("outcome", ["not_sent", "rejected"])
def test_F_NET_08_an_answer_that_denies_what_the_hub_has_shown(outcome: str) -> None:
    """An order that works or filled is no less there because its answer says so."""
    rig = Rig().start()
    rig.broker.script["place"] = ["late"]
    rig.broker.silent = False
    rig.broker._result = lambda *args, **more: None  # type: ignore[method-assign, assignment]
    rig.signal(1)
    (command,) = rig.broker.sent(PlaceBracket)
    rig.feed(CommandResult(rig.now_ns, 1001, command.command_id, outcome))  # type: ignore[arg-type]
    rig.run(4)
    position = rig.view()["positions"][0]
    assert (position["size"], position["protected"], position["foreign"]) == (5, True, 0)


@pytest.mark.parametrize("outcome", ["not_sent", "rejected"])
def test_F_NET_08_the_same_for_a_stop_of_our_own_making(outcome: str) -> None:
    rig = Rig().start()
    rig.broker.legs = ()
    result = rig.broker._result
    rig.broker._result = lambda command, *args, **more: (  # type: ignore[method-assign]
        None if isinstance(command, PlaceStop) else result(command, *args, **more)
    )
    rig.signal(1)
    rig.run(1)
    (command,) = rig.broker.sent(PlaceStop)
    rig.feed(CommandResult(rig.now_ns, 1001, command.command_id, outcome))  # type: ignore[arg-type]
    rig.run(6)
    assert rig.view()["positions"][0]["protected"]
    assert len(rig.broker.sent(PlaceStop)) == 1


def test_R5_an_answer_from_before_a_wish_is_not_the_answer_to_it() -> None:
    rig = Rig().start()
    engine = rig.desk._engines[1001]
    rig.broker.script["query"] = ["keep"]
    engine.reconciler.ask(rig.now_ns, engine.step)
    rig.tick()
    engine.reconciler.want_step = engine.step + 1  # something happened that only a later query can tell
    before = len(rig.broker.sent(Query))
    rig.feed(rig.broker.kept.pop())
    rig.tick()
    assert len(rig.broker.sent(Query)) == before + 1


def test_R5_an_order_that_was_accepted_and_is_nowhere_is_given_up_after_two_looks() -> None:
    rig = Rig().start()
    rig.broker.deaf = True
    rig.broker.silent = True
    rig.signal(1)
    (command,) = rig.broker.sent(PlaceBracket)
    rig.broker.silent = False
    rig.feed(CommandResult(rig.now_ns, 1001, command.command_id, "accepted", 4_000))
    (entry,) = rig.desk._engines[1001].picture.entries.values()
    while entry.missing_ns is None:
        rig.tick()
    assert entry.status == "working"
    rig.desk._engines[1001].reconciler.ask(rig.now_ns, 0)  # a look too soon after the first one
    rig.tick(0.01)
    assert entry.status == "working"
    rig.run(3)
    assert entry.status == "dead"


def test_a_condition_that_ends_without_having_begun_changes_nothing() -> None:
    rig = Rig().start()
    before = len(rig.broker.sent(Query))
    rig.feed(ConditionIn(rig.now_ns, "RC_CLOCK", ""))
    assert (rig.state, len(rig.broker.sent(Query))) == ("ACTIVE", before)


def test_F_API_01_F_API_03_conditions_of_the_shell_and_of_answers_stand_side_by_side() -> None:
    line = Line()
    assert line.answered("401", 0, 60)
    assert not line.answered("429", 0, 60)
    assert [bool(text) for _, text in line.reasons(59)] == [True, True]
    assert [bool(text) for _, text in line.reasons(60)] == [False, True]
    assert not line.condition(ConditionIn(0, "RC_AUTH", "the login was refused"))
    line.proven()
    assert dict(line.reasons(60)) == {"RC_RATE_LIMIT": "", "RC_AUTH": "the login was refused"}
    assert line.condition(ConditionIn(0, "RC_AUTH", ""))
    assert dict(line.reasons(60)) == {"RC_RATE_LIMIT": "", "RC_AUTH": ""}


def test_F_API_02_a_refused_login_halts_and_a_lost_one_pauses() -> None:
    rig = Rig().start()
    rig.feed(ConditionIn(rig.now_ns, "RC_AUTH", "the gateway refused the login"))
    assert rig.state == "HALTED"
    assert rig.view()["reasons"][0]["code"] == "RC_AUTH"
    rig.operator("resume")
    assert rig.state == "HALTED"  # it is refused still
    rig.feed(ConditionIn(rig.now_ns, "RC_AUTH", ""))
    rig.run(2)
    assert rig.state == "ACTIVE"
    rig.broker.script["query"] = ["401"] * 20
    rig.run(40)
    assert (rig.state, rig.view()["reasons"][0]["code"]) == ("PAUSED", "RC_AUTH")
    rig.feed(ConditionIn(rig.now_ns, "RC_AUTH", "the gateway refused the login"))  # in the place of the lighter reason
    assert rig.state == "HALTED"


def test_what_the_first_run_of_a_journal_was_told_is_carried_on() -> None:
    order = CarriedOrder(1, "stop", "TB1-1-1-S", "MNQ", -1, 1, 5, 7, "accepted")
    fold = CarryFold()
    fold.begin(1001, replace(Carried(), orders=(order,), closings=(("2026-11-16", 5),)))
    assert fold.carried(1001).orders == (order,)
    assert fold.carried(1001).closings == (("2026-11-16", 5),)


def test_I14_a_flatten_widens_from_contracts_to_the_account_and_from_ours_to_everything() -> None:
    rig = Rig(settings()).start()
    rig.broker.script["close"] = ["rejected"] * 100
    engine = rig.desk._engines[1001]
    rig.signal(1)
    rig.run(1)
    for wish, scope, foreign in (
        (({"MNQ"}, "A", "a"), {"MNQ"}, False),
        (({"ES"}, "B", "b"), {"MNQ", "ES"}, False),
        (({"ES"}, "C", "c"), {"MNQ", "ES"}, False),
        ((None, "D", "d"), None, False),
        (({"MNQ"}, "E", "e"), None, False),
    ):
        engine.flattener.request(*wish)
        job = engine.flattener.job
        assert job is not None
        assert (job.contracts, job.foreign) == (scope, foreign)
    engine.flattener.request({"MNQ"}, "F", "f", foreign=True)
    assert engine.flattener.job is not None
    assert (engine.flattener.job.contracts, engine.flattener.job.foreign, engine.flattener.job.code) == (
        None,
        True,
        "F",
    )


def test_R4_an_answer_without_the_position_is_no_size_for_an_exit() -> None:
    rig = Rig().start()
    rig.signal(1)
    rig.run(1)
    rig.broker.script["close"] = ["account"]
    rig.broker.hide_positions = True
    rig.operator("flatten")
    rig.run(0.75)  # one look: the position is not given up yet
    assert not rig.broker.sent(PlaceExit)
    rig.broker.hide_positions = False
    rig.run(6)
    assert [command.size for command in rig.broker.sent(PlaceExit)] == [5]
    assert rig.broker.size("MNQ") == 0


def test_R2_a_fill_that_fits_an_entry_which_never_left_is_a_strangers() -> None:
    rig = Rig().start()
    rig.broker.script["place"] = ["not_sent"]
    rig.signal(1)
    told_fill(rig, 777, 1)
    assert rig.view()["positions"][0]["foreign"] == 5


def test_R13_an_approval_against_an_invariant_is_refused_by_the_manager_itself() -> None:
    rig = Rig().start()
    engine = rig.desk._engines[1001]
    item = SignalIn(rig.now_ns, signal(1), rig.quote("MNQ"), 0)
    request = engine._request(item)
    paused = replace(request, facts=replace(request.facts, state="PAUSED"))
    for broken, size in ((paused, 1), (request, 0), (replace(request, quote=None), 1)):
        refused = engine.manager.place(broken, Approval(size, 40, 80, 100), item.stamps, engine.step)
        assert refused is not None
        assert (refused.code, refused.halt) == ("RC_ASSERT", True)
    assert not engine.manager.sent


def test_an_answer_without_an_account_tells_no_balance() -> None:
    fold = CarryFold()
    fold.add(Snapshot(1, 1001, "c", False, None, (), (), ()), [])
    assert fold.carried(1001).closings == ()
