"""The Desk at the edges of time, on the simulated venue: windows, early closes, holidays, and the turn of the day."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from desk_rig import RUN_START_MS, Rig, settings
from scripted_broker import ScriptedBroker
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import CancelOrder, ConditionIn, Denial, Intent, PlaceBracket, StateChange, TimerIn
from tbot.domain.timeframes import NS_PER_S
from tbot.domain.trading_hours import SessionCalendar, SessionRow, SessionTable
from tbot.execution.broker import DeskLoop
from tbot.execution.carry import CarryFold
from tbot.execution.desk import AccountSettings, Desk, DeskSettings
from tbot.risk.limits import RiskLimits
from tbot.storage.sessions import load_sessions
from venue_broker import VenueDeskRig

MINUTE = 60 * NS_PER_S
CHICAGO = ZoneInfo("America/Chicago")


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


@dataclass(frozen=True)
class Edge:
    """A deadline of one day and contract: when everything must be flat, worked out by hand, UTC."""

    what: str
    flat_by: str
    contract: str = "MNQ"


EDGES = [
    Edge("the owner's 23:00 in winter", "2026-02-03 21:00"),
    Edge("the owner's 23:00 in summer", "2026-07-01 20:00"),
    Edge("the firm's 15:10, first Monday of the gap in March", "2026-03-09 20:10"),
    Edge("the firm's 15:10, last Friday of the gap in March", "2026-03-27 20:10"),
    Edge("the owner's again, the Monday after", "2026-03-30 20:00"),
    Edge("the Friday before the gap in October", "2026-10-23 20:00"),
    Edge("the firm's 15:10, the gap in October", "2026-10-26 20:10"),
    Edge("the Monday after it", "2026-11-02 21:00"),
    Edge("Good Friday 08:00", "2026-04-03 13:00"),
    Edge("Thanksgiving 11:45", "2026-11-26 17:45"),
    Edge("the Friday after it, 12:00, before a weekend", "2026-11-27 18:00"),
    Edge("Christmas Eve 12:00, before a holiday", "2026-12-24 18:00"),
    Edge("a contract's own close", "2026-11-17 18:30", "MGC"),
]
GOLD_ROW = SessionRow(date(2026, 11, 17), frozenset({"GC", "MGC"}), time(12, 30), "test", date(2026, 1, 1))


def calendar() -> SessionCalendar:
    packaged = load_sessions()
    return SessionCalendar(SessionTable(packaged.years, (*packaged.rows, GOLD_ROW)))


def desk_settings(accounts: tuple[AccountSettings, ...], run_start_ms: int) -> DeskSettings:
    products = {name: PRODUCTS[name] for name in ("MNQ", "NQ", "MES", "ES", "MGC", "GC")}
    return DeskSettings(accounts, RiskLimits(), products, calendar(), run_start_ms)


def rig_at(ns: int) -> VenueDeskRig:
    """A running Desk with fresh data at a moment."""
    rig = VenueDeskRig(
        settings=desk_settings((AccountSettings(1001, "PRAC-1"),), ns // 1_000_000), now_ns=ns - NS_PER_S
    )
    rig.start()
    rig.tick(1)
    return rig


def bare(rig: VenueDeskRig) -> bool:
    """No position and no order, suspended legs included, by the venue's books."""
    return not rig.venue.living() and not any(holding.size for holding in rig.venue.account.book.holdings())


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge.what)
def test_I28_F_TIM_05_a_position_and_a_working_entry_are_gone_before_every_kind_of_deadline(edge: Edge) -> None:
    """Entered in the last second in which that is allowed; the entry of another contract hangs half filled."""
    deadline = utc(edge.flat_by)
    rig = rig_at(deadline - 15 * MINUTE - NS_PER_S)
    assert rig.state == "ACTIVE"
    rig.signal(1, edge.contract)
    rig.tick(0.25)
    assert rig.venue.size(edge.contract) > 0
    while rig.now_ns < deadline - 5 * MINUTE - NS_PER_S:
        rig.tick(min(20, (deadline - 5 * MINUTE - NS_PER_S - rig.now_ns) / NS_PER_S))
        assert rig.venue.size(edge.contract) > 0  # kept to the end of the window
    rig.run(1.5)
    rig.run(20)
    assert rig.now_ns < deadline - 4 * MINUTE
    assert bare(rig)
    rig.agree()
    assert {note.reasons[0] for note in rig.of(StateChange) if note.state == "REDUCING"} == {"RC_WINDOW"}
    while rig.now_ns < deadline + MINUTE:
        rig.tick(20)
        assert bare(rig)
    rig.assert_invariants()
    assert rig.naked_ns <= 10 * NS_PER_S


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge.what)
@pytest.mark.parametrize("filled", [0, 2])
def test_I28_F_TIM_05_an_entry_that_still_works_at_the_end_is_cancelled(edge: Edge, filled: int) -> None:
    """Its own time-out is far away here; whatever filled is closed with it."""
    deadline = utc(edge.flat_by)
    rig = rig_at(deadline - 15 * MINUTE - NS_PER_S)
    rig.controls.partial([filled] if filled else [])
    rig.signal(1, edge.contract)
    order_ids = {order.order_id for order in rig.venue.living() if order.order_type == "market"}
    assert len(order_ids) == 1
    rig.now_ns = deadline - 5 * MINUTE - NS_PER_S  # nobody looked for ten minutes; the next look is at the edge
    rig.tick(1)
    rig.run(20)
    assert order_ids <= {command.order_id for command in rig.venue.sent(CancelOrder)}  # type: ignore[attr-defined]
    assert rig.now_ns < deadline
    assert bare(rig)
    rig.agree()


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge.what)
def test_I28_F_TIM_05_entries_one_second_before_at_and_after_the_last_moment(edge: Edge) -> None:
    last = utc(edge.flat_by) - 15 * MINUTE
    taken = {}
    for offset in (-1, 0, 1):
        rig = rig_at(last + offset * NS_PER_S)
        rig.signal(1, edge.contract)
        taken[offset] = bool(rig.of(Intent))
        assert bool(rig.venue.sent(PlaceBracket)) == taken[offset]
        assert [note.reason for note in rig.of(Denial)] == ([] if taken[offset] else ["RC_WINDOW"])
    assert taken == {-1: True, 0: False, 1: False}


@pytest.mark.parametrize(
    "start",
    [
        "2026-02-03 00:00",  # 02:00 Helsinki in winter
        "2026-03-09 00:00",  # in the gap: still
        "2026-03-30 23:00",  # in summer, Tuesday's
        "2026-10-26 00:00",
        "2026-11-02 00:00",
        "2026-12-28 00:00",  # after Christmas and a weekend
    ],
)
def test_I28_F_TIM_04_entries_one_second_before_at_and_after_the_first_moment(start: str) -> None:
    taken = {}
    for offset in (-1, 0, 1):
        rig = rig_at(utc(start) + offset * NS_PER_S)
        rig.signal(1)
        taken[offset] = bool(rig.of(Intent))
        if not taken[offset]:
            assert rig.denials == ["RC_WINDOW"]
    assert taken == {-1: False, 0: True, 1: True}


@pytest.mark.parametrize("day", ["2026-12-25", "2026-01-01", "2026-11-21", "2026-11-22", "2027-03-03"])
def test_I28_F_TIM_05_no_entry_on_a_day_without_hours_nor_in_a_year_that_is_not_covered(day: str) -> None:
    for clock in ("00:30", "10:00", "14:30", "20:30"):
        rig = rig_at(utc(f"{day} {clock}"))
        assert rig.state == "PAUSED"
        rig.signal(1)
        assert rig.denials == ["RC_WINDOW"]


def test_I28_F_TIM_05_a_position_that_is_found_outside_the_window_is_closed_at_once() -> None:
    """A run that died with a position and starts again between the end of the window and the deadline."""
    rig = rig_at(utc("2026-02-03 20:40"))
    rig.signal(1)
    rig.run(1)
    fold = CarryFold()
    for item, outputs in rig.rows:
        fold.add(item, outputs)
    account = AccountSettings(1001, "PRAC-1", fold.carried(1001))
    rig.now_ns = utc("2026-02-03 20:58")
    rig.desk = Desk(desk_settings((account,), rig.now_ns // 1_000_000))
    rig.loop = DeskLoop(rig.desk, rig.venue, rig)
    rig.start()
    rig.run(20)
    assert bare(rig)
    assert rig.state == "PAUSED"
    assert rig.now_ns < utc("2026-02-03 21:00")


# ------------------------------------------------------------------------------------------------ the turn of the day
TURN = utc("2026-11-17 23:00")  # 17:00 in Chicago, a Tuesday


def day_rig(ns: int, kept: Rig | None = None) -> Rig:
    """A Desk that is open at all hours (only the turn of the day is looked at), new or restarted over its broker."""
    accounts = (AccountSettings(1001, "PRAC-1"),)
    broker = ScriptedBroker()
    if kept is not None:
        fold = CarryFold()
        for item, outputs in kept.rows:
            fold.add(item, outputs)
        accounts = (AccountSettings(1001, "PRAC-1", fold.carried(1001)),)
        broker = kept.broker
        broker.events.clear()
    start_ms = RUN_START_MS + (ns - RUN_START_MS * 1_000_000) // 1_000_000
    rig = Rig(settings=settings(accounts=accounts, run_start_ms=start_ms), broker=broker, now_ns=ns)
    if kept is not None:
        rig.prices = kept.prices
    return rig.start()


def lose(rig: Rig, number: int) -> None:
    rig.signal(number)
    leg = rig.broker.leg("SL")
    rig.broker.fill(leg.order_id, price=leg.stop)
    rig.pump()
    rig.run(6)


def locked(ns: int) -> Rig:
    """Two losses in a row shortly before the turn of the day."""
    rig = day_rig(ns)
    lose(rig, 1)
    lose(rig, 2)
    assert rig.state == "LOCKED"
    return rig


def turns(rig: Rig) -> list[tuple[str, ...]]:
    """(state before, state after) of every change away from LOCKED."""
    states = [note.state for note in rig.of(StateChange)]
    return [(before, after) for before, after in pairwise(states) if before == "LOCKED"]


@pytest.mark.parametrize("restart", ["none", "before", "after", "both"])
def test_F_TIM_08_I14_K_EX_20_the_day_turns_exactly_once_and_only_at_17_chicago(restart: str) -> None:
    rig = locked(TURN - 5 * MINUTE)
    logs = [rig]
    if restart in ("before", "both"):
        rig = day_rig(TURN - 30 * NS_PER_S, rig)
        logs.append(rig)
        assert rig.state == "LOCKED"
    rig.now_ns = TURN - 2 * NS_PER_S
    rig.tick(1.999_999_999)
    assert rig.state == "LOCKED"
    rig.signal(3)
    assert rig.denials[-1] == "RC_CONSEC_LOSSES"
    if restart in ("after", "both"):
        rig = day_rig(TURN + NS_PER_S, rig)
        logs.append(rig)
    else:
        rig.tick(0.000_000_001)
    rig.run(2)
    assert rig.state == "ACTIVE"
    changes = [change for log in logs for change in turns(log)]
    assert changes == ([("LOCKED", "RECONCILING")] if restart in ("none", "before") else [])
    assert rig.view()["day_pnl_cents"] == 0
    lose(rig, 4)
    assert rig.state == "ACTIVE"  # the streak began anew
    lose(rig, 5)
    assert rig.state == "LOCKED"
    rig.run(60, 1)
    assert rig.state == "LOCKED"


@pytest.mark.parametrize("back_s", [1, 30, 3600, 86_400])
def test_F_TIM_08_I14_a_clock_that_steps_back_over_the_turn_neither_locks_nor_frees_anew(back_s: int) -> None:
    rig = locked(TURN - 5 * MINUTE)
    rig.now_ns = TURN
    rig.tick(1)
    rig.run(2)
    assert rig.state == "ACTIVE"
    lose(rig, 4)
    rig.now_ns -= back_s * NS_PER_S  # inputs from before the turn again
    rig.run(4)
    assert rig.state == "ACTIVE"
    lose(rig, 5)
    assert rig.state == "LOCKED"  # counted on from the one loss of the new day
    rig.now_ns = TURN + 60 * NS_PER_S  # and over the turn a second time
    rig.run(4)
    assert rig.state == "LOCKED"
    assert len(turns(rig)) == 1


def test_F_TIM_08_the_day_of_a_clock_change_is_turned_once_as_well() -> None:
    """17:00 in Chicago: 23 and 25 hours after the one before."""
    for turn, hours in (("2026-03-08 22:00", 23), ("2026-11-01 23:00", 25)):
        rig = locked(utc(turn) - 5 * MINUTE)
        rig.now_ns = utc(turn) - NS_PER_S
        rig.tick(0.5)
        assert rig.state == "LOCKED"
        rig.tick(0.5)
        rig.run(2)
        assert rig.state == "ACTIVE"
        before = datetime.fromtimestamp(utc(turn) / 1e9, CHICAGO) - timedelta(days=1)
        assert utc(turn) - int(before.timestamp()) * NS_PER_S == hours * 3600 * NS_PER_S


# ----------------------------------------------------------------------------------- conditions as the Desk takes them
@pytest.mark.parametrize("code", ["RC_CLOCK", "RC_RESUMED", "RC_DISK", "RC_JOURNAL", "RC_PEER_DEAD"])
def test_F_TIM_01_F_TIM_02_F_SYS_01_a_condition_pauses_asks_at_once_and_ends_through_reconciling(code: str) -> None:
    rig = VenueDeskRig()
    rig.start()
    rig.signal(1)
    rig.run(6)
    asked = len(rig.venue.sent(type(rig.venue.wire[0])))
    rig.feed(ConditionIn(rig.now_ns, code, "something holds"))
    assert rig.state == "PAUSED"
    assert len(rig.venue.sent(type(rig.venue.wire[0]))) == asked + 1
    rig.signal(2, "MES", stop_ticks=20)
    assert rig.denials == [code]
    rig.run(30)
    assert rig.state == "PAUSED"
    assert rig.view()["positions"][0]["protected"]  # what is open is looked after
    seen = len(rig.of(StateChange))
    rig.feed(ConditionIn(rig.now_ns, code, ""))
    rig.run(1)
    assert [note.state for note in rig.of(StateChange)[seen:]] == ["RECONCILING", "ACTIVE"]
    rig.feed(ConditionIn(rig.now_ns, code, ""))  # over and over is over
    assert rig.state == "ACTIVE"
    rig.agree()


def test_F_TIM_02_I23_what_waited_through_a_sleep_is_not_executed() -> None:
    """Ten minutes of the boot clock went by: signals of before are too old, new ones meet a pause."""
    rig = VenueDeskRig()
    rig.start()
    rig.now_ns += 600 * NS_PER_S
    rig.feed(ConditionIn(rig.now_ns, "RC_RESUMED", "the machine slept for 600 s"))
    for number in range(5):
        rig.signal(number, age_ns=600 * NS_PER_S)
    rig.signal("new")
    assert rig.venue.sent(PlaceBracket) == []
    assert len(rig.denials) == 6
    rig.feed(TimerIn(rig.now_ns, {}))
    rig.feed(ConditionIn(rig.now_ns, "RC_RESUMED", ""))
    rig.run(1)
    rig.signal("late", age_ns=1_600_000_000)
    assert rig.venue.sent(PlaceBracket) == []
    rig.signal("fresh")
    assert len(rig.venue.sent(PlaceBracket)) == 1
