"""What a person may ask and what becomes of it: every pair of commands, in every state they can meet (F-CFG-05)."""

import itertools

import pytest

from desk_rig import Rig, settings
from tbot.domain.messages import CancelOrder, CloseContract, Denial, OperatorIn, PlaceBracket, StateChange
from tbot.execution.carry import CarryFold
from tbot.execution.desk import AccountSettings, DeskSettings
from tbot.execution.settings import Carried

VERBS = ("pause", "resume", "flatten", "flatten MNQ", "kill", "stop")
DAY_S = 24 * 3600


def ask(rig: Rig, what: str) -> tuple[bool, str]:
    """What the account says to a request, and the request."""
    verb, _, contract = what.partition(" ")
    item = OperatorIn(rig.now_ns, verb, None, contract or None)  # type: ignore[arg-type]
    said = rig.desk.foresee(item)[1001]
    rig.feed(item)
    return said


def holding() -> Rig:
    rig = Rig().start()
    rig.signal(1)
    rig.run(1)
    assert rig.view()["positions"]
    return rig


# What the second of two commands meets when it comes at once, with a position open, and how the account ends.
REFUSED = {
    ("flatten", "resume"): "the account is being flattened",
    ("flatten MNQ", "resume"): "the account is being flattened",
    ("kill", "resume"): "the account is being flattened",
    ("stop", "resume"): "the engine is stopping",
}
ENDS = {
    "pause": "PAUSED", "resume": "ACTIVE", "flatten": "PAUSED", "flatten MNQ": "ACTIVE", "kill": "LOCKED",
    "stop": "PAUSED",
}  # fmt: skip
STRENGTH = ("resume", "flatten MNQ", "pause", "flatten", "stop", "kill")


@pytest.mark.parametrize(("first", "second"), list(itertools.product(VERBS, VERBS)))
def test_F_CFG_05_every_pair_is_idempotent_or_refused_with_the_reason(first: str, second: str) -> None:
    rig = holding()
    rig.broker.script["close"] = ["not_sent"]  # so that what the first one began is under way when the second comes
    assert ask(rig, first)[0]
    taken, said = ask(rig, second)
    refused = REFUSED.get((first, second), "")
    assert (taken, said if refused else "") == (not refused, refused)
    assert said
    rig.run(4)
    if second == "resume" and first == "pause":
        expected = "ACTIVE"
    else:
        expected = ENDS[max(first, second, key=STRENGTH.index)]
    assert rig.state == expected
    closes = any(verb.startswith(("flatten", "kill", "stop")) for verb in (first, second))
    assert len(rig.broker.sent(CloseContract)) == (2 if closes else 0)
    assert rig.desk.is_flat(1001) is closes
    rig.assert_invariants()


@pytest.mark.parametrize(("first", "second"), list(itertools.product(VERBS, VERBS)))
def test_F_CFG_05_every_pair_of_a_flat_account_one_after_the_other(first: str, second: str) -> None:
    """The first is through before the second comes."""
    rig = Rig().start()
    ask(rig, first)
    rig.run(4)
    taken, said = ask(rig, second)
    rig.run(4)
    if second == "resume" and first in ("kill", "stop"):
        assert not taken
        locked = "the account is locked until the next trading day"
        assert said == {"kill": locked, "stop": "the engine is stopping"}[first]
    else:
        assert taken
    if second == "resume":
        expected = {"kill": "LOCKED", "stop": "PAUSED"}.get(first, "ACTIVE")
    else:
        expected = ENDS[max(first, second, key=STRENGTH.index)]
    assert rig.state == expected
    assert not rig.broker.sent(CloseContract)


@pytest.mark.parametrize("what", VERBS)
def test_F_CFG_05_before_anything_is_proven(what: str) -> None:
    """While starting: nothing is known of the broker yet, and whatever was asked for holds when it is."""
    rig = Rig()
    rig.broker.silent = True
    assert ask(rig, what)[0]
    rig.run(1)
    assert rig.state in ("RECONCILING", "PAUSED", "REDUCING")
    rig.broker.silent = False
    rig.run(20)
    assert rig.state == ENDS[what]


def test_F_CFG_05_a_refusal_is_on_record_and_changes_nothing() -> None:
    rig = Rig().start()
    ask(rig, "kill")
    rig.run(2)
    before = rig.state
    ask(rig, "resume")
    change = rig.of(StateChange)[-1]
    assert change.text == "resume refused: the account is locked until the next trading day"
    assert (change.state, rig.state) == (before, before)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("flatten CL", "CL is not traded by this run; it trades MNQ"),
        ("pause MNQ", "pause is for a whole account"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(what: str, why: str) -> None:
    rig = holding()
    taken, said = ask(rig, what)
    assert not taken
    assert said.startswith(why)
    rig.run(2)
    assert rig.state == "ACTIVE"
    assert rig.view()["positions"]


@pytest.mark.parametrize(
    ("before", "what", "said"),
    [
        ([], "pause", "paused: no entries, what is open stays managed"),
        (["pause"], "pause", "paused already"),
        ([], "resume", "there was nothing to resume"),
        (["pause"], "resume", "resumed"),
        (["flatten MNQ"], "resume", "resumed"),
        (["flatten"], "flatten", "closing everything that is ours; paused until you resume"),
        ([], "flatten MNQ", "closing MNQ; it takes no entries until you resume"),
        ([], "kill", "closing everything; locked until the next trading day"),
        (["kill"], "kill", "locked by the kill switch already; looking again that nothing is open"),
        ([], "stop", "stopping"),
    ],
)
def test_the_promise_fits_the_state(before: list[str], what: str, said: str) -> None:
    rig = Rig().start()
    for earlier in before:
        ask(rig, earlier)
        rig.run(3)
    assert ask(rig, what) == (True, said)


def test_resume_ends_a_fault_only_for_a_person() -> None:
    rig = Rig().start()
    for number in range(rig.settings.limits.signals_per_minute + 1):
        rig.signal(number, "MNQ")
    assert rig.state == "HALTED"
    rig.run(3600, step=60)
    assert rig.state == "HALTED"
    assert ask(rig, "resume") == (True, "resumed")
    rig.run(2)
    assert rig.state == "ACTIVE"


# -------------------------------------------------------------------------------------------------- one contract
def test_flatten_of_one_contract_leaves_the_others_and_bars_it_alone() -> None:
    rig = Rig().start()
    rig.signal(1, "MNQ")
    rig.run(1)
    rig.signal(2, "MES")
    rig.run(1)
    assert {place["contract"] for place in rig.view()["positions"]} == {"MNQ", "MES"}
    assert not rig.desk.contract_is_flat(1001, "MNQ")
    rig.broker.script["close"] = ["not_sent"]
    ask(rig, "flatten MNQ")
    assert not rig.desk.contract_is_flat(1001, "MNQ")
    rig.run(3)
    assert rig.desk.contract_is_flat(1001, "MNQ")
    assert not rig.desk.contract_is_flat(1001, "MES")
    assert [place["contract"] for place in rig.view()["positions"]] == ["MES"]
    assert rig.state == "ACTIVE"
    rig.run(10)
    assert [note.reason for note in rig.signal(3, "MNQ") if isinstance(note, Denial)] == ["RC_OPERATOR"]
    ask(rig, "resume")
    rig.signal(4, "MNQ")
    assert rig.broker.sent(PlaceBracket)[-1].signal_id == "MNQ-4"


def test_the_bar_of_one_contract_ends_with_the_trading_day() -> None:
    rig = Rig().start()
    ask(rig, "flatten MNQ")
    rig.run(2)
    rig.run(DAY_S, step=600)
    assert not rig.view()["quarantine"]


def restarted(rig: Rig) -> DeskSettings:
    """What the next run is told, by the rows of this one."""
    fold = CarryFold()
    for item, outputs in rig.rows:
        fold.add(item, outputs)
    carried = fold.carried(1001)
    return settings(accounts=(AccountSettings(1001, "PRAC-1", carried),), run_start_ms=rig.now_ns // 1_000_000 + 1)


@pytest.mark.parametrize("crash_after_s", [0.0, 3.0])
def test_flatten_of_one_contract_survives_a_restart_in_its_midst(crash_after_s: float) -> None:
    """K-EX-10 and its kin: the rest of the account is neither flattened nor paused by it."""
    rig = Rig().start()
    rig.signal(1, "MNQ")
    rig.run(1)
    rig.signal(2, "MES")
    rig.run(1)
    if not crash_after_s:
        rig.broker.script["close"] = ["not_sent"]
    ask(rig, "flatten MNQ")
    rig.run(crash_after_s)
    again = Rig(restarted(rig), rig.broker, rig.now_ns).start()
    assert again.settings.accounts[0].carried.barred == ("MNQ",)
    again.run(6)
    assert rig.broker.size("MNQ") == 0
    assert rig.broker.size("MES") != 0
    assert again.state == "ACTIVE"
    assert again.view()["quarantine"] == {"MNQ": "flattened by a person; resume to trade it again"}


def test_what_was_resumed_or_is_of_yesterday_is_not_carried() -> None:
    rig = Rig().start()
    ask(rig, "flatten MNQ")
    rig.run(2)
    ask(rig, "flatten CL")  # refused
    assert restarted(rig).accounts[0].carried.barred == ("MNQ",)
    ask(rig, "resume")
    assert restarted(rig).accounts[0].carried.barred == ()
    ask(rig, "flatten MES")
    rig.run(2)
    rig.run(DAY_S, step=600)
    ask(rig, "pause")
    assert restarted(rig).accounts[0].carried.barred == ()


def test_a_refused_resume_leaves_the_bar_for_the_next_run() -> None:
    rig = holding()
    rig.broker.script["close"] = ["not_sent"]
    ask(rig, "flatten MNQ")
    assert not ask(rig, "resume")[0]
    assert restarted(rig).accounts[0].carried.barred == ("MNQ",)


def test_F_CFG_05_kill_survives_a_restart_and_ends_with_the_trading_day() -> None:
    rig = holding()
    ask(rig, "kill")
    rig.run(3)
    again = Rig(restarted(rig), rig.broker, rig.now_ns).start()
    again.run(2)
    assert again.state == "LOCKED"
    assert again.desk.holds(1001, "RC_KILL_SWITCH")
    assert not ask(again, "resume")[0]
    again.run(DAY_S, step=600)
    assert not again.desk.holds(1001, "RC_KILL_SWITCH")
    assert again.state != "LOCKED"


def test_kill_closes_a_position_that_a_restart_found_and_cancels_what_rests() -> None:
    """At the start, before the first answer, as a lock file does it."""
    rig = holding()
    again = Rig(settings(run_start_ms=rig.now_ns // 1_000_000 + 1), rig.broker, rig.now_ns)
    ask(again, "kill")
    again.run(5)
    assert again.state == "LOCKED"
    assert rig.broker.size("MNQ") == 0
    assert rig.broker.working() == []
    assert again.broker.sent(CancelOrder)


def test_questions_about_days_and_accounts() -> None:
    two = (AccountSettings(1001, "PRAC-1"), AccountSettings(1002, "PRAC-2", Carried()))
    rig = Rig(settings(accounts=two))
    assert rig.desk.accounts == (1001, 1002)
    assert rig.desk.day(1001) is None
    rig.start()
    assert str(rig.desk.day(1002)) == "2026-11-17"
    one = rig.desk.foresee(OperatorIn(rig.now_ns, "pause", 1002))
    assert list(one) == [1002]
    assert list(rig.desk.foresee(OperatorIn(rig.now_ns, "pause"))) == [1001, 1002]
