"""DeskSession: what of the records reaches the Desk, when time does, and in which order."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_rig import SECOND, START, Listener, gap, history, one_sided, quote, record, session, signal_of, trade
from tbot.domain.messages import CommandResult, FeedIn, OperatorIn, Quote, SignalIn, TimerIn
from tbot.execution.session import TIMER_BUSY_NS, TIMER_IDLE_NS, DeskSession
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import NO_PRICE, TICK_DTYPE, Kind

PATHS = pytest.mark.parametrize("sink", [False, True], ids=["arrays", "rows"])


@pytest.fixture(autouse=True, params=[-1, 32], ids=["many", "few"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records by array operations and one by one: every test here holds for both."""
    monkeypatch.setattr("tbot.execution.session.FEW", request.param)


def states(listener: Listener) -> list[tuple[str, str]]:
    return [(item.contract, item.state) for item in listener.heard(FeedIn)]


# ------------------------------------------------------------------------------------------------------ feed states
@PATHS
def test_market_data_is_ok_only_after_history_and_a_fresh_quote(sink: bool) -> None:
    listener = Listener()
    desk = session(listener, sink=sink)
    for records in (quote(n=0), trade(n=1), history(n=2), trade(n=3), one_sided(n=4)):
        desk.on_records(records, START)
    assert states(listener) == []
    desk.on_records(quote(n=5), START + 5)
    assert listener.heard(FeedIn) == [FeedIn(START + 5, "MNQ", "ok")]
    desk.on_records(np.concatenate((quote(n=6), history(n=7), quote(n=8))), START + 6)
    assert len(states(listener)) == 1


@PATHS
def test_gap_is_told_once_and_needs_history_and_quote_again(sink: bool) -> None:
    listener = Listener()
    desk = session(listener, sink=sink)
    desk.on_records(np.concatenate((history(n=0), quote(n=1))), START)
    desk.on_records(np.concatenate((gap(n=2), gap(n=3), quote(n=4))), START + 1)
    assert states(listener) == [("MNQ", "ok"), ("MNQ", "gap")]
    desk.on_records(history(n=5), START + 2)
    desk.on_records(gap(n=6), START + 3)  # lost again before a quote came: that history no longer counts
    desk.on_records(quote(n=7), START + 4)
    assert states(listener) == [("MNQ", "ok"), ("MNQ", "gap")]
    desk.on_records(np.concatenate((history(n=8), quote(n=9))), START + 5)
    assert states(listener)[2:] == [("MNQ", "ok")]


@PATHS
def test_contracts_have_states_of_their_own(sink: bool) -> None:
    listener = Listener()
    desk = session(listener, "MNQ", "GC", sink=sink)
    desk.on_records(np.concatenate((history(n=0), quote(n=1))), START)
    desk.on_records(history(contract="GC", n=0), START)
    desk.on_records(gap(n=2), START)
    desk.on_records(quote(contract="GC", n=1), START)
    assert states(listener) == [("MNQ", "ok"), ("MNQ", "gap"), ("GC", "ok")]


@PATHS
def test_unknown_contracts_are_passed_over(sink: bool) -> None:
    listener = Listener()
    desk = session(listener, "MNQ", sink=sink)
    foreign = [record(Kind.HISTORY, contract="GC"), quote(contract="GC"), trade(contract="GC")]
    desk.on_records(np.concatenate((*foreign, quote(1, 2, contract_id=999))), START)
    assert listener.log == []
    assert desk.quotes(START) == {}
    assert desk.quote("GC", START) is None


# ----------------------------------------------------------------------------------------------------------- quotes
@PATHS
def test_the_newest_quote_carries_time_ring_number_epoch_and_age(sink: bool) -> None:
    asked = []

    def age(now_ns: int, exch_ns: int, recv_ns: int) -> int:
        asked.append((now_ns, exch_ns, recv_ns))
        return 4711

    desk = session(Listener(), sink=sink, age_of=age)
    newest = quote(100, 101, n=9, ns=START + 5, epoch=3)
    desk.on_records(np.concatenate((quote(90, 92, n=8), newest, trade(n=10))), START)
    expected = Quote(100, 101, START + 5, 9, 4711, 3)
    assert desk.quote("MNQ", START + 50) == expected
    assert desk.quotes(START + 60) == {"MNQ": expected}
    assert asked == [(START + 50, START + 5, START + 12), (START + 60, START + 5, START + 12)]


@PATHS
@pytest.mark.parametrize("late", [(100, NO_PRICE), (NO_PRICE, 102), (NO_PRICE, NO_PRICE)])
def test_a_one_sided_quote_does_not_replace_a_whole_one(sink: bool, late: tuple[int, int]) -> None:
    listener = Listener()
    desk = session(listener, sink=sink)
    desk.on_records(np.concatenate((history(n=0), quote(97, 98, n=1), quote(*late, n=2))), START)
    held = desk.quote("MNQ", START)
    assert held is not None
    assert (held.bid, held.ask, held.seq) == (97, 98, 1)
    assert states(listener) == [("MNQ", "ok")]


def test_a_signal_goes_with_the_quote_and_age_of_its_arrival() -> None:
    listener = Listener()
    desk = session(listener)
    early = signal_of("MNQ", 3)
    desk.on_signal(early, 11, START)
    desk.on_records(quote(n=4), START)
    desk.on_signal(early, 12, START + 9)
    assert [(item.now_ns, item.age_ns, item.quote) for item in listener.heard(SignalIn)] == [
        (START, 11, None),
        (START + 9, 12, Quote(100, 102, START, 4, 9, 1)),
    ]


# ----------------------------------------------------------------------------------------------------------- timers
@pytest.mark.parametrize(("busy", "interval"), [(True, TIMER_BUSY_NS), (False, TIMER_IDLE_NS)])
@pytest.mark.parametrize(("speed", "scale"), [(0.5, 1), (1.0, 1), (20.0, 20)])
def test_timers_come_by_market_time_faster_when_busy(busy: bool, interval: int, speed: float, scale: int) -> None:
    listener = Listener()
    desk = session(listener, busy=lambda: busy, speed=speed)
    due = interval * scale
    for now_ns in (START, START + due - 1, START + due, START + due + 1, START + 2 * due, START + 7 * due, START):
        desk.advance(now_ns)
    assert [item.now_ns - START for item in listener.heard(TimerIn)] == [0, due, 2 * due, 7 * due]


def test_cadence_changes_with_what_is_open() -> None:
    listener, busy = Listener(), [False]
    desk = session(listener, busy=lambda: busy[0])
    desk.advance(START)
    desk.advance(START + TIMER_BUSY_NS)
    busy[0] = True
    desk.advance(START + TIMER_BUSY_NS)
    assert [item.now_ns - START for item in listener.heard(TimerIn)] == [0, TIMER_BUSY_NS]


def test_a_timer_shows_every_quote_there_is() -> None:
    listener = Listener()
    desk = session(listener, "MNQ", "GC", "ES")
    desk.on_records(quote(n=1), START)
    desk.on_records(quote(50, 51, contract="GC", n=2), START)
    desk.advance(START + SECOND)
    (timer,) = listener.heard(TimerIn)
    assert timer.quotes == {"MNQ": Quote(100, 102, START, 1, SECOND, 1), "GC": Quote(50, 51, START, 2, SECOND, 1)}


@pytest.mark.parametrize("sink", [False, True])
def test_a_timer_tells_the_range_of_trades_since_the_one_before_while_something_is_open(sink: bool) -> None:
    listener, busy = Listener(), [False]
    desk = session(listener, "MNQ", "ES", sink=sink, busy=lambda: busy[0])
    desk.advance(START)
    desk.on_records(trade(90), START)  # nothing is open
    busy[0] = True
    desk.advance(START + 1)
    batch = [trade(price, n=n) for n, price in enumerate((101, 99, 104))]
    batch += [quote(50, 200, n=9), trade(7, contract="GC")]
    desk.on_records(np.concatenate([*batch, trade(55, contract="ES")]), START + 2)
    desk.on_records(trade(100), START + 3)
    desk.on_records(quote(60, 70), START + 3)
    desk.advance(START + TIMER_BUSY_NS)
    desk.on_records(trade(103), START + TIMER_BUSY_NS)
    desk.on_records(trade(1, contract="ES"), START + TIMER_BUSY_NS)
    desk.on_records(gap(contract="ES", aux=NEW_CONTRACT), START + TIMER_BUSY_NS)
    desk.advance(START + 2 * TIMER_BUSY_NS)
    desk.advance(START + 3 * TIMER_BUSY_NS)
    ranges = [item.ranges for item in listener.heard(TimerIn)]
    assert ranges == [{}, {"MNQ": (99, 104), "ES": (55, 55)}, {"MNQ": (103, 103)}, {}]


# ------------------------------------------------------------------------------------------------------------ order
def test_a_step_is_records_then_time_then_signals_by_contract_and_ring() -> None:
    listener = Listener()
    desk = session(listener, "GC", "MNQ", "ES", sink=True)
    signals = [signal_of("GC", 1), signal_of("MNQ", 9), signal_of("ES", 5), signal_of("MNQ", 2)]
    records = np.concatenate((quote(n=2), trade(n=3), quote(contract="ES", n=5), quote(contract="GC", n=1)))
    desk.step(records, signals, START)
    kinds = ["tick" if isinstance(item, tuple) else type(item).__name__ for item in listener.log]
    assert kinds == ["tick"] * 4 + ["TimerIn"] + ["SignalIn"] * 4
    assert [item.signal.signal_id for item in listener.heard(SignalIn)] == ["MNQ-2", "MNQ-9", "ES-5", "GC-1"]
    assert set(listener.heard(TimerIn)[0].quotes) == {"MNQ", "ES", "GC"}
    assert all(item.quote is not None and item.age_ns == 0 for item in listener.heard(SignalIn))


@given(st.permutations([("MNQ", 2), ("MNQ", 9), ("ES", 5), ("MES", 5), ("GC", 1)]))
def test_signals_of_a_step_do_not_depend_on_their_arrival(order: list[tuple[str, int]]) -> None:
    listener = Listener()
    desk = session(listener, "GC", "MNQ", "ES", "MES")
    desk.step(np.zeros(0, TICK_DTYPE), [signal_of(*which) for which in order], START)
    assert [item.signal.signal_id for item in listener.heard(SignalIn)] == ["MNQ-2", "MNQ-9", "MES-5", "ES-5", "GC-1"]


def test_a_broker_on_ticks_sees_each_record_and_is_asked_after_each() -> None:
    """What a tick did (a fill) must reach the Desk before the next tick does."""
    listener = Listener()
    desk = session(listener, sink=True)
    answers = [CommandResult(START, 1, f"c{number}", "accepted") for number in range(3)]
    plain = listener.on_tick

    def answering(*tick: int | str) -> None:
        plain(*tick)  # type: ignore[arg-type]
        listener.answers.append(answers[len(listener.heard(CommandResult))])

    listener.on_tick = answering  # type: ignore[assignment]
    desk.on_records(np.concatenate((quote(n=1), trade(n=2), gap(n=3))), START)
    assert [item for item in listener.log if not isinstance(item, FeedIn)] == [
        ("tick", "MNQ", Kind.QUOTE, 100, 102, 0, 0, START),
        answers[0],
        ("tick", "MNQ", Kind.TRADE, 101, 0, 1, 1, START),
        answers[1],
        ("tick", "MNQ", Kind.GAP, NO_PRICE, 0, 0, 0, START),
        answers[2],
    ]


def test_operator_and_broker_get_through() -> None:
    listener = Listener()
    desk = session(listener)
    wish, answer = OperatorIn(START, "flatten"), CommandResult(START, 1, "c", "accepted")
    desk.on_operator(wish)
    listener.answers.append(answer)
    desk.pump()
    assert listener.log == [wish, answer]


# ------------------------------------------------------------------------------------------------------- properties
MAKERS: list[Callable[..., np.ndarray]] = [quote, quote, one_sided, history, gap, trade]
batches = st.lists(
    st.lists(st.tuples(st.sampled_from(MAKERS), st.sampled_from(["MNQ", "GC", "6E"])), max_size=7), max_size=6
)


def told(listener: Listener) -> dict[str, str]:
    """The last word on each contract."""
    return {item.contract: item.state for item in listener.heard(FeedIn)}


def state_by_definition(records: list[tuple[str, str]]) -> str:
    """Of one contract, from (what, ...) in order: the rule said once more."""
    state, waiting = "gap", False
    for what, _ in records:
        if what == "gap":
            state, waiting = "gap", False
        elif what == "history" and state == "gap":
            waiting = True
        elif what == "quote" and waiting:
            state, waiting = "ok", False
    return state


@given(batches)
def test_arrays_and_rows_show_the_desk_the_same_at_the_end_of_each_batch(
    plan: list[list[tuple[Callable[..., np.ndarray], str]]],
) -> None:
    """6E is a contract that the session does not trade. A batch may hold several contracts (a merged tape)."""
    fast, slow = Listener(), Listener()
    sessions: list[DeskSession] = [session(fast, "MNQ", "GC"), session(slow, "MNQ", "GC", sink=True)]
    n, past = 0, []
    for batch in plan:
        parts = [np.zeros(0, TICK_DTYPE)]
        for make, contract in batch:
            n += 1
            past.append((make.__name__, contract))
            more = {"bid": 100 + n, "ask": 200 + n} if make is quote else {}
            parts.append(make(contract=contract, n=n, ns=START + n, **more))
        for desk in sessions:
            desk.on_records(np.concatenate(parts), START + n)
        for contract in ("MNQ", "GC"):
            expected = state_by_definition([what for what in past if what[1] == contract])
            assert told(fast).get(contract, "gap") == told(slow).get(contract, "gap") == expected
        assert sessions[0].quotes(START + n) == sessions[1].quotes(START + n)
    assert set(sessions[1].quotes(START)) <= {"MNQ", "GC"}


# ------------------------------------------------------------------------------------------------------------- barred
@PATHS
def test_I29_a_barred_contract_is_closed_whatever_its_data_says(sink: bool) -> None:
    listener = Listener()
    desk = session(listener, "MNQ", "ES", sink=sink)
    desk.on_records(np.concatenate((history(n=0), quote(n=1))), START)
    desk.bar("MNQ", "RC_EXPIRY", "rolled", START + 1)
    desk.bar("MNQ", "RC_EXPIRY", "rolled", START + 2)  # said once
    assert listener.heard(FeedIn)[1:] == [FeedIn(START + 1, "MNQ", "closed", "rolled", "RC_EXPIRY")]
    assert desk.feeds == {"MNQ": "closed", "ES": "gap"}
    desk.on_records(gap(n=2), START + 3)
    desk.on_records(np.concatenate((history(n=3), quote(n=4))), START + 4)
    assert len(states(listener)) == 2  # nothing of it is told while it is barred
    desk.bar("MNQ", "RC_AUTH", "refused", START + 5)
    assert listener.heard(FeedIn)[-1] == FeedIn(START + 5, "MNQ", "closed", "refused", "RC_AUTH")
    desk.bar("MNQ", "", "", START + 6)
    assert listener.heard(FeedIn)[-1] == FeedIn(START + 6, "MNQ", "ok", "")
    assert desk.barred == {}
    desk.bar("ES", "", "", START + 7)  # nothing to lift
    assert len(states(listener)) == 4


@PATHS
def test_I29_what_happened_behind_the_bar_counts_when_it_is_lifted(sink: bool) -> None:
    listener = Listener()
    desk = session(listener, sink=sink)
    desk.on_records(np.concatenate((history(n=0), quote(n=1))), START)
    desk.bar("MNQ", "RC_EXPIRY", "rolled", START + 1)
    desk.on_records(gap(n=2), START + 2)
    desk.bar("MNQ", "", "", START + 3)
    assert listener.heard(FeedIn)[-1] == FeedIn(START + 3, "MNQ", "gap", "")
    desk.on_records(np.concatenate((history(n=3), quote(n=4))), START + 4)
    assert listener.heard(FeedIn)[-1].state == "ok"


@PATHS
def test_I29_quotes_of_another_month_are_forgotten(sink: bool) -> None:
    listener = Listener()
    desk = session(listener, sink=sink)
    desk.on_records(np.concatenate((history(n=0), quote(n=1))), START)
    desk.on_records(gap(n=2), START + 1)
    assert desk.quote("MNQ", START + 2) is not None  # an ordinary gap: old, but the same thing
    desk.on_records(gap(n=3, aux=NEW_CONTRACT), START + 2)
    assert desk.quote("MNQ", START + 3) is None
    assert desk.quotes(START + 3) == {}
