"""Desk against a scripted broker: the life of trades, gates of the account, operator, window, days."""

from dataclasses import replace

import pytest

from desk_rig import START_NS, Rig, round_trips, settings
from scripted_broker import ScriptedBroker
from tbot.domain.messages import (
    AccountUpdate,
    CancelOrder,
    CloseContract,
    CommandResult,
    FeedIn,
    Intent,
    OperatorIn,
    PlaceBracket,
    Query,
    SignalIn,
    Snapshot,
    StateChange,
    TimerIn,
)
from tbot.domain.timeframes import NS_PER_S
from tbot.execution.desk import AccountSettings
from tbot.execution.tags import MAX_LENGTH, parse_tag

HOUR_NS = 3_600 * NS_PER_S


def started(**kwargs: object) -> Rig:
    return Rig(**kwargs).start()  # type: ignore[arg-type]


def stop_out(rig: Rig, contract: str = "MNQ") -> None:
    leg = rig.broker.leg("SL", contract)
    rig.broker.fill(leg.order_id, price=leg.stop)
    rig.pump()
    rig.tick(0.25)


def take_profit(rig: Rig, contract: str = "MNQ") -> None:
    leg = rig.broker.leg("TP", contract)
    rig.broker.fill(leg.order_id, price=leg.limit)
    rig.pump()
    rig.tick(0.25)


def test_start_is_blocking_until_an_explicit_answer() -> None:
    rig = Rig()
    rig.broker.query_complete = False
    rig.tick(0)
    assert rig.state == "RECONCILING"
    rig.feed(FeedIn(rig.now_ns, "MNQ", "ok"))
    rig.signal()
    assert rig.denials == ["RC_RECONCILING"]
    rig.run(3)
    assert rig.state == "RECONCILING"
    assert "RC_REST_DOWN" in rig.of(StateChange)[-1].reasons  # three answers in a row proved nothing
    rig.broker.query_complete = True
    rig.run(3)
    assert rig.state == "ACTIVE"
    assert rig.states == ["RECONCILING", "RECONCILING", "ACTIVE"]


def test_I1_a_bracket_goes_out_with_its_intent_tag_and_signed_offsets() -> None:
    rig = started()
    rig.signal(side=-1, stop_ticks=40, target_ticks=90)
    (command,) = rig.broker.sent(PlaceBracket)
    (intent,) = rig.of(Intent)
    assert (command.side, command.size, command.stop_offset, command.target_offset) == (-1, 5, 40, -90)
    assert (intent.stop_ticks, intent.target_ticks, intent.risk_cents) == (40, 90, 5 * 2_322)
    tag = parse_tag(command.tag)
    assert tag is not None
    assert (tag.run_start_ms, tag.sequence, tag.role) == (rig.settings.run_start_ms, 1, "E")
    assert len(command.tag) + 3 <= MAX_LENGTH
    outputs = next(outputs for item, outputs in rig.rows if isinstance(item, SignalIn))
    assert outputs.index(intent) < outputs.index(command)
    rig.assert_invariants()


def test_stop_and_target_make_exact_round_trips() -> None:
    rig = started()
    rig.signal(1)
    stop_out(rig)
    rig.run(6)
    rig.signal(2, side=-1)
    take_profit(rig)
    first, second = round_trips(rig)
    assert (first.exit_reason, first.gross_cents, first.net_cents) == ("stop", -40 * 5 * 50, -40 * 250 - 610)
    # A short entry is filled at the ask here, two ticks better than the bid it was decided on.
    assert (second.exit_reason, second.side, second.slippage_ticks) == ("target", -1, -10)
    assert (first.signal_id, second.signal_id) == ("MNQ-1", "MNQ-2")
    view = rig.view()
    assert view["day_pnl_cents"] == first.net_cents + second.net_cents
    assert (view["trades"], view["wins"], view["losses"], view["loss_streak"]) == (2, 1, 1, 0)
    assert not rig.broker.sent(CloseContract)


def test_one_position_per_contract_and_no_opposite_mini() -> None:
    rig = started()
    rig.signal(1)
    rig.run(6)
    rig.signal(2)
    rig.signal(1, "NQ", -1, stop_ticks=20)
    assert rig.denials == ["POSITION_OPEN", "OPPOSITE_EXPOSURE"]
    rig.signal(2, "NQ", 1, stop_ticks=20)
    assert len(rig.broker.sent(PlaceBracket)) == 2


def test_I2_a_signal_id_is_taken_once() -> None:
    rig = started()
    rig.signal(1)
    stop_out(rig)
    rig.run(6)
    rig.signal(1)
    assert rig.denials == ["DUPLICATE"]
    assert len(rig.broker.sent(PlaceBracket)) == 1


def test_I13_two_losses_in_a_row_lock_until_the_next_trading_day() -> None:
    rig = started()
    for number in (1, 2):
        rig.signal(number)
        stop_out(rig)
        rig.run(6)
    assert rig.state == "LOCKED"
    rig.signal(3)
    assert rig.denials == ["RC_CONSEC_LOSSES"]
    rig.operator("resume")
    assert rig.state == "LOCKED"
    rig.run(10 * 3_600, step=600)  # past 17:00 Chicago
    assert rig.state == "ACTIVE"
    assert rig.view()["loss_streak"] == 0
    rig.signal(4)
    assert len(rig.broker.sent(PlaceBracket)) == 3


def test_F_RSK_03_a_later_win_in_another_contract_does_not_unlock() -> None:
    rig = started()
    rig.signal(1, "MES", stop_ticks=20)
    rig.run(6)
    for number in (1, 2):
        rig.signal(number)
        stop_out(rig)
        rig.run(6)
    assert rig.state == "LOCKED"
    assert not rig.broker.sent(CloseContract)  # the other position runs to its exit
    take_profit(rig, "MES")
    assert rig.state == "LOCKED"


def test_I12_daily_loss_flattens_and_locks_and_is_recorded_first() -> None:
    rig = started()
    rig.signal(1)  # 5 MNQ, stop 40 ticks: 100 USD away
    rig.prices["MNQ"] -= 320  # a gap of 80 points
    rig.broker.price["MNQ"] = rig.prices["MNQ"] - 1
    rig.tick()
    assert "REDUCING" in rig.states
    rig.run(5)
    assert rig.state == "LOCKED"
    assert rig.desk.is_flat(1001)
    assert rig.broker.size("MNQ") == 0
    assert rig.broker.working() == []
    row = next(outputs for _, outputs in rig.rows if any(isinstance(each, CloseContract) for each in outputs))
    kinds = [type(each) for each in row]
    assert kinds.index(StateChange) < kinds.index(CloseContract)
    change = next(each for each in row if isinstance(each, StateChange))
    assert "RC_DAILY_LOSS" in change.reasons


@pytest.mark.parametrize(("fall", "locked"), [(312, False), (313, True)])
def test_F_RSK_02_the_limit_less_its_reserve_is_exact(fall: int, locked: bool) -> None:
    """5 MNQ from 80001: realised -3.05, exit fees 3.05 and reserve 3.05 + 5.00; limit 800."""
    rig = started()
    rig.signal(1)
    rig.prices["MNQ"] -= fall  # bid is one below, entry was one above
    rig.broker.price["MNQ"] = rig.prices["MNQ"] - 1
    value = -305 - (fall + 2) * 250 - 305
    assert (value <= -(80_000 - 305 - 2 * 50 * 5)) == locked
    rig.tick()
    assert ("RC_DAILY_LOSS" in {code for note in rig.of(StateChange) for code in note.reasons}) == locked


def test_I12_an_entry_that_could_break_the_limit_is_not_approved() -> None:
    rig = started()
    rig.signal(1, "ES", stop_ticks=8)  # worst 12 * 12.50 + 3.78 = 153.78
    rig.signal(1, "NQ", stop_ticks=35)  # worst 39 * 5 + 3.78 = 198.78
    rig.signal(1, "GC", stop_ticks=15)  # worst 19 * 10 + 4.32 = 194.32
    rig.signal(1, "MGC", stop_ticks=30)  # same family, same side: 5 * (34 + 1.92) = 179.60
    assert len(rig.broker.sent(PlaceBracket)) == 4
    rig.signal(1, "MES", stop_ticks=20)  # 31.22 a contract, about 72 left: 2 contracts
    last = rig.broker.sent(PlaceBracket)[-1]
    assert (last.contract, last.size) == ("MES", 2)
    rig.signal(1, "MNQ", stop_ticks=40)
    assert rig.denials == ["RC_DAILY_LOSS"]


def test_I9_runaway_halts_until_a_person_resumes() -> None:
    rig = started()
    rig.broker.script["place"] = ["reject"] * 2
    rig.signal(1)
    rig.tick(1)
    rig.signal(2)
    assert rig.denials == ["RC_RUNAWAY"]
    assert rig.state == "HALTED"
    rig.run(10 * 3_600, step=600)
    assert rig.state == "HALTED"  # a new day does not heal a fault
    rig.operator("resume")
    rig.run(1)
    assert rig.state == "ACTIVE"


def test_F_ORD_10_a_flood_of_signals_halts() -> None:
    rig = started()
    rig.signal(0)
    for number in range(1, 121):
        rig.signal(number)
    assert rig.state == "HALTED"
    assert rig.view()["denials"]["POSITION_OPEN"] == 119
    assert len(rig.broker.sent(PlaceBracket)) == 1


def test_I7_no_entry_while_the_feed_is_not_ok() -> None:
    rig = started()
    rig.feed(FeedIn(rig.now_ns, "MNQ", "gap", "reconnect"))
    rig.signal(1)
    rig.feed(FeedIn(rig.now_ns, "MNQ", "stale"))
    rig.signal(2)
    rig.feed(FeedIn(rig.now_ns, "MNQ", "ok"))
    rig.signal(3)
    assert rig.denials == ["RC_GAP_REBUILD", "RC_QUOTE_STALE"]
    assert len(rig.broker.sent(PlaceBracket)) == 1


def test_pause_and_resume() -> None:
    rig = started()
    rig.signal(1)
    rig.operator("pause")
    rig.run(6)
    rig.signal(1, "ES", stop_ticks=8)
    assert rig.denials == ["RC_OPERATOR"]
    assert not rig.broker.sent(CloseContract)
    rig.operator("resume")
    rig.signal(2, "ES", stop_ticks=8)
    assert len(rig.broker.sent(PlaceBracket)) == 2


def test_stop_flattens_and_proves_it() -> None:
    rig = started()
    rig.signal(1)
    assert not rig.desk.is_flat(1001)
    rig.operator("stop")
    rig.run(3)
    assert rig.desk.is_flat(1001)
    assert rig.broker.working() == []
    assert round_trips(rig)[0].exit_reason == "close"
    rig.operator("resume")
    assert rig.state == "PAUSED"


def test_stop_with_hold_keeps_a_protected_position() -> None:
    rig = started(settings=settings(on_exit="hold"))
    rig.signal(1)
    rig.operator("stop")
    rig.run(1)
    assert rig.desk.is_protected(1001)
    assert not rig.desk.is_flat(1001)
    assert not rig.broker.sent(CloseContract)


def test_stop_when_flat_needs_a_fresh_proof() -> None:
    rig = started()
    rig.broker.silent = True
    rig.operator("stop")
    rig.run(1)
    assert not rig.desk.is_flat(1001)
    rig.broker.silent = False
    rig.run(15)
    assert rig.desk.is_flat(1001)


def test_I28_window_end_flattens_and_pauses() -> None:
    rig = started(settings=settings(always=False))
    rig.signal(1)
    rig.now_ns = START_NS + 5 * HOUR_NS + 44 * 60 * NS_PER_S  # 22:44 Helsinki: entries end at 22:45
    rig.run(2)
    assert rig.state == "ACTIVE"
    rig.now_ns += 60 * NS_PER_S
    rig.tick()
    assert rig.state == "PAUSED"
    assert rig.broker.size("MNQ") == 5
    rig.signal(1, "ES", stop_ticks=8)
    assert rig.denials == ["RC_WINDOW"]
    rig.now_ns += 10 * 60 * NS_PER_S  # 22:55: the window ends
    rig.run(2)
    assert rig.broker.size("MNQ") == 0
    assert rig.broker.working() == []
    assert rig.state == "PAUSED"


def test_C_RECON_cadence_open_and_idle() -> None:
    rig = started()
    rig.run(60)
    assert 2 <= len(rig.broker.sent(Query)) - 1 <= 3
    rig.signal(1)
    before = len(rig.broker.sent(Query))
    rig.run(60)
    assert 11 <= len(rig.broker.sent(Query)) - before <= 14
    assert all(query.since_ns < START_NS for query in rig.broker.sent(Query))


@pytest.mark.parametrize(
    ("changes", "state", "code"),
    [
        ({"name": "OTHER"}, "HALTED", "RC_CONFIG"),
        ({"simulated": False}, "HALTED", "RC_CONFIG"),
        ({"can_trade": False}, "LOCKED", "RC_BROKER_LOCK"),
    ],
)
def test_F_ACC_03_F_ACC_04_wrong_or_locked_account(changes: dict[str, object], state: str, code: str) -> None:
    rig = started()
    told = replace(rig.broker.status(), **changes)  # type: ignore[arg-type]
    assert isinstance(told, AccountUpdate)
    rig.feed(told)
    assert rig.state == state
    rig.signal(1)
    assert rig.denials == [code]


def test_accounts_are_apart() -> None:
    two = (AccountSettings(1001, "PRAC-1"), AccountSettings(2002))
    rig = Rig(settings=settings(accounts=two))
    rig.start()
    rig.signal(1)
    # Only 1001 is answered by the broker; what 2002 holds is not known, so nobody enters (TR8).
    assert (rig.denials, rig.broker.sent(PlaceBracket)) == (["RC_RECONCILING"] * 2, [])
    assert (rig.desk.state(1001), rig.desk.state(2002)) == ("ACTIVE", "RECONCILING")
    asked = next(query for query in rig.broker.sent(Query) if query.account == 2002)
    rig.feed(ScriptedBroker(account=2002).snapshot(asked))
    rig.feed(OperatorIn(rig.now_ns, "pause", 2002))
    rig.signal(2)
    assert [command.account for command in rig.broker.sent(PlaceBracket)] == [1001]
    assert rig.denials[2:] == ["RC_OPERATOR"]
    other = replace(rig.broker.status(), account=9)
    assert rig.desk.handle(other) == []
    assert rig.desk.view()["ignored_events"] == 1


@pytest.mark.parametrize(("situation", "code"), [("429", "RC_RATE_LIMIT"), ("401", "RC_AUTH")])
@pytest.mark.parametrize("kind", ["result", "snapshot"])
def test_F_API_01_F_API_03_login_and_budget_are_shared_so_every_account_pauses(
    situation: str, code: str, kind: str
) -> None:
    rig = Rig(settings=settings(accounts=(AccountSettings(1001), AccountSettings(2002)))).start()
    other = ScriptedBroker(account=2002)

    def codes(account: int) -> list[str]:
        view = rig.desk.view()["accounts"][str(account)]  # type: ignore[index]
        return [reason["code"] for reason in view["reasons"]]

    queries = [query for query in rig.broker.sent(Query) if query.account == 2002]
    rig.feed(other.snapshot(queries[-1]))
    assert (rig.desk.state(1001), rig.desk.state(2002)) == ("ACTIVE", "ACTIVE")
    if kind == "result":
        rig.feed(CommandResult(rig.now_ns, 2002, "none", "ambiguous", None, "", situation=situation))
    else:
        rig.feed(Snapshot(rig.now_ns, 2002, "none", False, None, (), (), (), "", situation))
    assert codes(1001) == codes(2002) == [code]
    rig.signal(1)
    assert rig.broker.sent(PlaceBracket) == []
    before = rig.desk.view()["ignored_events"]
    rig.feed(CommandResult(rig.now_ns, 9, "none", "ambiguous", None, "", situation=situation))
    assert rig.desk.view()["ignored_events"] == before + 1  # a stranger's tells us nothing


def test_two_accounts_get_one_bracket_each_with_different_tags() -> None:
    two = (AccountSettings(1001), AccountSettings(2002))
    rig = Rig(settings=settings(accounts=two))
    other = ScriptedBroker(account=2002, price=rig.broker.price)
    for account, broker in ((1001, rig.broker), (2002, other)):
        broker.now_ns = rig.now_ns
        broker.account = account
    outputs = rig.desk.handle(TimerIn(START_NS, {}))
    for query in [each for each in outputs if isinstance(each, Query)]:
        broker = rig.broker if query.account == 1001 else other
        rig.desk.handle(broker.snapshot(query))
    rig.desk.handle(FeedIn(START_NS, "MNQ", "ok"))
    now = rig.quote("MNQ")
    from desk_rig import signal

    placed = [each for each in rig.desk.handle(SignalIn(START_NS, signal(), now, 0)) if isinstance(each, PlaceBracket)]
    assert {command.account for command in placed} == {1001, 2002}
    assert len({command.tag for command in placed}) == 2


def test_entry_that_does_not_fill_is_cancelled() -> None:
    rig = started()
    rig.broker.fill_entries = False
    rig.signal(1)
    rig.run(4.5)
    assert not rig.broker.sent(CancelOrder)
    rig.run(1)
    assert len(rig.broker.sent(CancelOrder)) == 1
    rig.broker.cancel_by_hand(rig.broker.leg("SL").order_id)
    rig.broker.cancel_by_hand(rig.broker.leg("TP").order_id)
    rig.run(1)
    assert rig.desk.is_flat(1001)


@pytest.mark.parametrize(
    ("contract", "price", "state"),
    [
        ("CON.F.US.EP.Z26", 26_000, "LOCKED"),  # of a product that this run does not trade, as an earlier one may have
        ("CON.F.US.CPE.Z26", 20_000, "LOCKED"),
        ("CON.F.US.XYZ.Z26", 20_000, "ACTIVE"),  # of no product that is known
    ],
)
def test_F_RSK_03_losses_in_a_contract_that_this_run_does_not_trade_count_in_the_row(
    contract: str, price: int, state: str
) -> None:
    rig = Rig().start()
    for _ in range(2):
        rig.broker.price[contract] = price
        rig.broker.place_foreign(contract, 1, 1)
        rig.broker.price[contract] = price - 2
        rig.broker.place_foreign(contract, -1, 1)
        rig.pump()
        rig.run(1)
    rig.run(5)
    assert rig.state == state
