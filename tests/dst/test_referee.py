"""The referee itself: its clocks, its arithmetic of money, its edges of the day, and how it reports."""

import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from desk_rig import START_NS, quote, signal
from dst.checks_calendar import FLATTEN_MIN, NO_ENTRY_MIN, Holidays
from dst.checks_money import told_by_broker
from dst.evidence import Evidence, JournalStep
from dst.purse import day_of, purse_of
from dst.referee import Facts, Referee, Rules, load_checks
from dst.stage import scene
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Denial, Fill, SignalIn, TimerIn
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.domain.trading_hours import SessionCalendar, trading_day
from tbot.execution.book_types import OrderRequest
from tbot.execution.fill_model import FillSettings, MarketState
from tbot.execution.matching import AccountBook
from tbot.risk.limits import RiskLimits
from tbot.storage.sessions import load_sessions

NOWHERE = Rules({}, {})


def fill(number: int, side: int, size: int, price: int, *, fees: int = 0, at_ns: int = 10**18) -> Fill:
    return Fill(at_ns, 1, number, number, "MNQ", side, size, price, fees, 0)


def test_bounds_stand_still_while_nobody_can_act() -> None:
    evidence = Evidence(seed=1, executor=1, alive=True)
    facts = Facts(evidence, NOWHERE)
    facts.update()

    def pass_time(seconds: int) -> None:
        evidence.boot_ns += seconds * NS_PER_S
        facts.update()

    pass_time(2)
    assert facts.patience_ns == facts.calm_ns == 2 * NS_PER_S
    evidence.faults = ("F-NET-07",)
    facts.update()
    pass_time(3)
    assert (facts.patience_ns, facts.calm_ns) == (5 * NS_PER_S, 2 * NS_PER_S)
    for name, value in (("answering", False), ("market_open", False), ("faults", ("F-TIM-02",)), ("alive", False)):
        before = getattr(evidence, name)
        setattr(evidence, name, value)
        facts.update()
        pass_time(100)
        assert facts.patience_ns == 5 * NS_PER_S
        setattr(evidence, name, before)
        facts.update()
    pass_time(1)
    assert facts.patience_ns == 6 * NS_PER_S


def test_every_bound_begins_anew_with_the_first_step_of_a_new_life() -> None:
    evidence = Evidence(seed=1, executor=1, alive=True)
    facts = Facts(evidence, NOWHERE)

    def at(seconds: int, *, step_of: int = 0) -> int:
        evidence.boot_ns = seconds * NS_PER_S
        if step_of:
            evidence.steps.append(JournalStep(step_of, evidence.boot_ns, TimerIn(0, {}), (), len(evidence.steps) + 1))
        facts.update()
        return facts.waited_ns(0) // NS_PER_S

    assert at(1, step_of=1) == 0
    assert at(9) == 8
    evidence.executor = 2
    assert at(9) == 0
    assert at(20, step_of=1) == 0, "what the old life still said is no word of the new one"
    assert at(21, step_of=2) == 0
    assert at(23) == 2


def test_a_violation_is_told_once_and_stops_a_run_that_wants_it(tmp_path: Path) -> None:
    with scene(tmp_path) as stage:
        check = next(check for check in stage.referee.checks if check.invariant == "I1")
        for _ in range(3):
            check.fail("seen")
            stage.tick()
        assert [str(item) for item in stage.referee.violations] == ["I1 at 1000.500 s: seen"]
        stage.referee.stop = True
        with pytest.raises(AssertionError, match="I1 at"):
            stage.tick()


def test_every_kind_of_check_is_called(tmp_path: Path) -> None:
    """A quiet scene with one trade and its end: whatever can be judged in it was."""
    with scene(tmp_path) as stage:
        stage.signal(1)
        stage.run(3)
        stage.prices["MNQ"] += 100
        stage.run(3)
        assert stage.end() == []
        judged = set(stage.referee.facts.judged)
    assert judged >= {"I1", "I2", "I4", "I5", "I6", "I7", "I9", "I11", "I12", "I13", "I15", "I16", "I19", "I23", "I25"}


def test_I11_the_purse_matches_first_in_first_out_to_the_cent() -> None:
    purse = purse_of([fill(1, 1, 2, 100, fees=10), fill(2, 1, 1, 106, fees=5), fill(3, -1, 2, 110, fees=11)])
    day = day_of(10**18)
    assert purse.realised[day] == 2 * 10 * 50 - 26
    assert purse.size("MNQ") == 1
    assert purse.trips == []
    purse.add(fill(4, -1, 3, 111, fees=7))  # ends the trip and turns round: a third of the costs closes
    (trip,) = purse.trips
    assert (trip.gross_cents, trip.costs_cents) == (20 * 50 + 5 * 50, 26 + 2)
    assert purse.size("MNQ") == -2
    assert purse.realised[day] == 25 * 50 - 33


@pytest.mark.parametrize("ticks", [50, -50])
def test_I11_F_ACC_01_of_two_results_the_worse_counts_when_only_the_price_paid_was_changed(
    tmp_path: Path, ticks: int
) -> None:
    """The fills explain a position of the same size, but not the result that the broker writes into its trade."""
    with scene(tmp_path) as stage:
        stage.signal(1)
        stage.run(3)
        stage.reprice(ticks)
        stage.prices["MNQ"] += 100
        stage.run(40)
        assert stage.end() == []
        fills = stage.account.book.fills
        by_fills, told = sum(purse_of(fills).realised.values()), told_by_broker(fills, day_of(fills[-1].now_ns))
        assert by_fills - told == ticks * sum(fill.size for fill in fills if fill.side > 0) * 50
        assert stage.evidence.view is not None
        (view,) = stage.evidence.view["accounts"].values()
        assert view["day_pnl_cents"] == min(by_fills, told)


def test_I13_the_streak_counts_net_losses_and_passes_over_nothing() -> None:
    def trip(number: int, ticks: int, fees: int = 0) -> list[Fill]:
        return [fill(2 * number, 1, 1, 100), fill(2 * number + 1, -1, 1, 100 + ticks, fees=fees)]

    day = day_of(10**18)
    assert purse_of(trip(1, -1) + trip(2, 1) + trip(3, -1)).streak(day) == 1
    assert purse_of(trip(1, -1) + trip(2, 1, fees=50) + trip(3, -1)).streak(day) == 2  # net 0 in between
    assert purse_of(trip(1, 1, fees=51) + trip(2, -1)).streak(day) == 2
    assert purse_of(trip(1, -1) + trip(2, -1) + trip(3, 9)).streak(day) == 2
    assert purse_of(trip(1, -1) + trip(2, -1)).streak(day + timedelta(days=1)) == 0


@pytest.mark.parametrize("seed", range(20))
def test_I12_purse_and_exchange_agree_on_every_random_day(seed: int) -> None:
    """Realised plus unrealised is the same by both arithmetics at every moment, and so is the result when flat."""
    chance, events = random.Random(seed), []
    book = AccountBook(1, {"MNQ": PRODUCTS["MNQ"]}, 0, events.append, settings=FillSettings(0, 0))
    state, price = MarketState(1), 80_000
    for at_ns in range(10**18, 10**18 + 200):
        price += chance.randint(-20, 20)
        state.on_quote(price - 1, price + 1)
        if chance.random() < 0.5:
            book.place(OrderRequest("MNQ", "market", chance.choice((1, -1)), chance.randint(1, 4)), at_ns)
        book.on_tick("MNQ", state, None, at_ns)
        purse = purse_of(book.fills)
        worth = sum(purse.realised.values())
        for side, paid, size in purse.lots.get("MNQ", ()):
            worth += side * ((price - side) - paid) * size * 50
        assert worth == book.balance_cents + book.unrealised_cents({"MNQ": state})
        assert purse.size("MNQ") == book.size("MNQ")
    assert len(book.fills) > 50


def test_I28_trading_days_are_those_of_the_calendar() -> None:
    start_ns = 1_767_225_600 * NS_PER_S
    for hour in range(366 * 24):
        at_ns = start_ns + hour * 3_600 * NS_PER_S + 59 * NS_PER_S
        assert day_of(at_ns) == trading_day(at_ns)


def test_I28_the_edges_of_every_day_of_2026_by_two_computations() -> None:
    load_checks()
    calendar, holidays, rules = SessionCalendar(load_sessions()), Holidays(), Rules({}, {}, always=False)
    open_days = 0
    for number in range(365):
        day = date(2026, 1, 1) + timedelta(days=number)
        for contract in ("MNQ", "MES", "MGC", "GC"):
            window, edges = calendar.window(day, contract), holidays.edges(day, contract, rules)
            assert (window is None) == (edges is None), day
            if window is None or edges is None:
                continue
            open_days += 1
            assert (window.start_ns, window.flat_by_ns) == (edges.start_ns, edges.flat_by_ns), day
            assert window.entries_until_ns == edges.last_entry_ns
            assert edges.flat_by_ns - edges.last_entry_ns == (FLATTEN_MIN + NO_ENTRY_MIN) * NS_PER_MIN
    assert open_days > 4 * 240


def test_I25_a_signal_of_two_accounts_needs_two_answers() -> None:
    evidence = Evidence(seed=1, executor=1, alive=True)
    referee = Referee(evidence, Rules({}, {}))
    referee.facts.rules = Rules({1: RiskLimits(), 2: RiskLimits()}, {})  # type: ignore[misc]
    (check,) = [check for check in referee.checks if type(check).__name__ == "NothingLost"]
    item = SignalIn(START_NS, signal(1), quote(), 0)
    denials = tuple(Denial(START_NS, account, "MNQ-1", "MNQ", "RC_X", "no") for account in (1, 2))
    check.on_step(JournalStep(1, 0, item, denials, 1))
    assert referee.facts.found == []
    check.on_step(JournalStep(1, 0, item, denials[:1], 3))
    assert [invariant for invariant, _ in referee.facts.found] == ["I25"]


def test_I3_what_is_ours_beside_a_person_begins_anew_when_a_contract_is_flat_or_turns_round():
    fills: list[SimpleNamespace] = []
    evidence = Evidence(seed=1, foreign={9})
    evidence.accounts = {1: SimpleNamespace(book=SimpleNamespace(fills=fills, holdings=holdings_of(fills)))}  # type: ignore[dict-item]
    facts = Facts(evidence, Rules({1: None}, {}))  # type: ignore[dict-item]
    for order_id, change, own in (
        (1, 5, 5),
        (9, -1, 4),  # a person sold one of ours ...
        (2, -4, 0),  # ... and we the rest: flat
        (3, 5, 5),
        (9, 2, 5),
        (9, -9, 0),  # turned round by a person: the rest is theirs
        (4, -3, -3),
        (4, 10, 5),  # turned round by us: ours
    ):
        fills.append(SimpleNamespace(contract="MNQ", order_id=order_id, side=1 if change > 0 else -1, size=abs(change)))
        facts._note_flat(1)
        assert facts.own_sizes(1).get("MNQ", 0) == own, (order_id, change)


def holdings_of(fills: list[SimpleNamespace]) -> Callable[[], list[SimpleNamespace]]:
    return lambda: [SimpleNamespace(contract="MNQ", size=sum(fill.side * fill.size for fill in fills))]
