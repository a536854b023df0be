"""The flatten procedure R7: order of steps, repeats, restarts, faults inside it."""

import itertools

import pytest

from desk_rig import Rig
from tbot.domain.messages import CancelOrder, CloseContract, Query, StateChange


def holding() -> Rig:
    rig = Rig().start()
    rig.signal(1)
    rig.run(1)
    return rig


def test_I10_kill_closes_first_and_cancels_stops_only_when_flat() -> None:
    rig = holding()
    rig.broker.wire.clear()
    rig.operator("kill")
    rig.run(2)
    kinds = [type(command) for command in rig.broker.wire]
    assert kinds[0] is CloseContract
    assert kinds.index(Query) < kinds.index(CancelOrder)
    assert kinds[-1] is Query  # proven after the last cancel
    assert rig.states[-2:] == ["REDUCING", "LOCKED"]
    assert rig.desk.is_flat(1001)


def test_I10_kill_when_flat_halts_and_proves() -> None:
    rig = Rig().start()
    rig.operator("kill")
    rig.run(1)
    assert rig.state == "LOCKED"
    assert not rig.broker.sent(CloseContract)


def test_F_CFG_05_kill_twice_and_flatten_twice_are_one_close() -> None:
    rig = holding()
    for verb in ("flatten", "kill", "kill", "flatten", "stop"):
        rig.operator(verb)
    rig.run(3)
    assert len(rig.broker.sent(CloseContract)) == 1
    assert rig.state == "LOCKED"


def test_F_CFG_05_resume_is_refused_while_flattening() -> None:
    rig = holding()
    rig.broker.silent = True
    rig.operator("kill")
    rig.operator("resume")
    assert rig.state == "REDUCING"
    assert "refused" in rig.of(StateChange)[-1].text


@pytest.mark.parametrize("answer", ["rejected", "ambiguous", "not_sent", "ambiguous_done"])
def test_F_ORD_02_a_close_without_proof_is_looked_up_then_repeated(answer: str) -> None:
    rig = holding()
    rig.broker.script["close"] = [answer, answer]
    rig.operator("flatten")
    rig.run(10)
    assert rig.broker.size("MNQ") == 0
    assert rig.broker.working() == []
    assert rig.desk.is_flat(1001)
    assert len(rig.broker.sent(CloseContract)) == (1 if answer == "ambiguous_done" else 3)


def test_F_ORD_02_a_close_in_flight_is_never_doubled() -> None:
    rig = holding()
    rig.broker.script["close"] = ["slow"]
    original = rig.broker._close

    def slow(command: CloseContract, todo: str) -> None:
        if todo != "slow":
            original(command, todo)
            return
        rig.broker._result(command, "accepted")
        rig.broker._new("MNQ", -1, 5, "market")  # working, not filled yet

    rig.broker._close = slow  # type: ignore[method-assign]
    rig.operator("flatten")
    rig.run(3)  # far longer than a market order takes; one that hangs for some seconds is given up
    assert len(rig.broker.sent(CloseContract)) == 1
    assert rig.broker.leg("SL").status == "open"  # the stop stays while the position is open
    rig.broker.fill(max(order.order_id for order in rig.broker.working()))
    rig.pump()
    rig.run(5)
    assert rig.desk.is_flat(1001)


def test_a_leg_that_reverses_during_flatten_is_closed_as_well() -> None:
    rig = holding()
    rig.broker.keep_sibling = True
    stop = rig.broker.leg("SL")
    rig.operator("flatten")  # closed at once; the stop still works for an instant
    rig.broker.script["cancel"] = ["ambiguous", "ambiguous"]
    if rig.broker.orders[stop.order_id].status == "open":
        rig.broker.fill(stop.order_id, price=stop.stop)
    rig.pump()
    rig.run(8)
    assert rig.broker.size("MNQ") == 0
    assert rig.broker.working() == []
    assert rig.desk.is_flat(1001)


def test_flatten_keeps_going_and_becomes_loud() -> None:
    rig = holding()
    rig.broker.script["close"] = ["rejected"] * 50
    rig.operator("flatten")
    rig.run(30)
    assert rig.state == "REDUCING"
    assert "still not flat" in rig.view()["text"]
    closes = len(rig.broker.sent(CloseContract))
    assert 10 <= closes <= 20  # pauses of 0.25, 0.5, 1, 2, 2, ... s
    rig.broker.script["close"].clear()
    rig.run(4)
    assert rig.desk.is_flat(1001)


def test_REDUCING_takes_no_entries() -> None:
    rig = holding()
    rig.broker.silent = True
    rig.operator("flatten")
    rig.signal(2, "ES", stop_ticks=8)
    assert rig.denials == ["RC_OPERATOR"]


def gaps(rig: Rig, kind: type) -> list[float]:
    """Seconds between the commands of a kind, as sent in timers of a quarter of a second."""
    sent = [item.now_ns for item, outputs in rig.rows for output in outputs if isinstance(output, kind)]
    return [(after - before) / 1e9 for before, after in itertools.pairwise(sent)]


def test_R9_closes_that_a_shut_market_refuses_get_further_apart_and_the_next_job_begins_anew() -> None:
    rig = holding()
    rig.broker.script["close"] = ["rejected"] * 8
    rig.operator("flatten")
    rig.run(40)
    found = gaps(rig, CloseContract)
    assert len(found) == 8
    assert max(found[:3]) < 3.0
    assert all(5.0 <= gap < 6.0 for gap in found[4:])
    assert not rig.view()["positions"]
    assert rig.desk.is_flat(1001)
    assert not rig.broker.working()


def test_R9_a_shut_contract_that_is_flat_again_does_not_slow_the_others() -> None:
    rig = holding()
    rig.signal(2, "MES", stop_ticks=16)
    outcome = {"MNQ": "rejected", "MES": "ambiguous"}
    rig.broker._close = lambda command, _: rig.broker._result(command, outcome[command.contract])  # type: ignore[method-assign]
    rig.operator("flatten")
    rig.run(20)
    assert rig.broker.size("MNQ") != 0
    leg = rig.broker.leg("SL", "MNQ")
    rig.broker.fill(leg.order_id, price=leg.stop)
    rig.pump()
    before = len(gaps(rig, CloseContract))
    rig.run(12)
    found = gaps(rig, CloseContract)[before + 1 :]
    assert len(found) >= 3
    assert max(found) < 4.0  # two seconds and the look at the list, not five


@pytest.mark.parametrize("answer", ["rejected", "429", "no_budget"])
def test_R9_F_API_03_cancels_in_vain_get_further_apart(answer: str) -> None:
    """One a second used up the reserve that the query of the position behind it needed."""
    rig = Rig().start()
    rig.broker.fill_entries = False
    rig.signal(1)
    rig.broker.script["cancel"] = [answer] * 5
    rig.run(30)
    found = gaps(rig, CancelOrder)
    assert found[:4] == sorted(found[:4])
    assert found[0] < 2.0 <= found[1] < 3.0
    assert all(4.0 <= gap < 5.0 for gap in found[2:4])
    assert not rig.broker.working()
