"""PaperBroker with latency: a delay line and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import (
    BrokerEvent,
    CancelOrder,
    CloseContract,
    Command,
    CommandResult,
    Fill,
    ModifyStop,
    OrderUpdate,
    PlaceBracket,
    PlaceExit,
    PositionUpdate,
    Query,
    Snapshot,
)
from tbot.execution.fill_model import FillSettings
from tbot.execution.market_state import BAR_END
from tbot.execution.paper_broker import PaperAccount, PaperBroker
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import Flag, Kind

ACCOUNT, BUY, SELL = 7, 1, -1
LATENCY = 100
TRADE, QUOTE, CLOCK, GAP = int(Kind.TRADE), int(Kind.QUOTE), int(Kind.CLOCK), int(Kind.GAP)
SYNTHETIC = int(Flag.SYNTHETIC)


def broker(latency_ns: int = LATENCY) -> PaperBroker:
    contracts = {symbol: PRODUCTS[symbol] for symbol in ("MNQ", "ES")}
    paper = PaperBroker([PaperAccount(ACCOUNT)], contracts, FillSettings(0, 0, latency_ns=latency_ns))
    quote(paper, 1000, 1002, 1)
    return paper


def quote(paper: PaperBroker, bid: int, ask: int, at_ns: int) -> list[BrokerEvent]:
    paper.on_tick("MNQ", QUOTE, bid, ask, 0, 0, at_ns)
    return paper.poll()


def trade(paper: PaperBroker, price: int, at_ns: int, flags: int = 0, aux: int = 0) -> list[BrokerEvent]:
    paper.on_tick("MNQ", TRADE, price, 0, 1, 0, at_ns, flags, aux)
    return paper.poll()


def bracket(tag: str = "t") -> PlaceBracket:
    return PlaceBracket("place", ACCOUNT, "MNQ", BUY, 1, -40, 80, tag, "s1")


def say(paper: PaperBroker, command: Command, now_ns: int) -> list[BrokerEvent]:
    paper.submit(command, now_ns)
    return paper.poll()


def results(events: list[BrokerEvent]) -> list[tuple[str, str, int]]:
    return [(event.command_id, event.outcome, event.now_ns) for event in events if isinstance(event, CommandResult)]


def fills(events: list[BrokerEvent]) -> list[tuple[int, int, int]]:
    return [(event.side, event.price, event.now_ns) for event in events if isinstance(event, Fill)]


def held(broker_: PaperBroker) -> int:
    broker_.submit(Query("truth", ACCOUNT, 0), 10**9)
    snapshot = broker_.poll()[-1]
    assert isinstance(snapshot, Snapshot)
    return sum(position.size for position in snapshot.positions)


def test_an_order_takes_part_and_is_answered_when_its_time_has_passed() -> None:
    paper = broker()
    assert say(paper, bracket(), 10) == []
    assert quote(paper, 1010, 1012, 109) == []
    events = quote(paper, 1020, 1022, 110)
    assert results(events) == [("place", "accepted", 110)]
    assert fills(events) == [(BUY, 1022, 110)]
    assert isinstance(events[0], CommandResult)


def test_an_order_that_arrived_between_two_ticks_keeps_its_time() -> None:
    paper = broker()
    say(paper, bracket(), 10)
    events = quote(paper, 1020, 1022, 500)
    assert results(events) == [("place", "accepted", 110)]
    assert fills(events) == [(BUY, 1022, 500)]


def test_an_answer_to_a_late_answer_counts_from_when_it_could_be_given() -> None:
    paper = broker()
    say(paper, bracket(), 10)
    quote(paper, 1020, 1022, 500)  # only now it is heard that the order was taken at 110
    say(paper, CloseContract("close", ACCOUNT, "MNQ", "test"), 110)
    events = quote(paper, 1030, 1032, 600)
    assert results(events) == [("close", "accepted", 500)]
    assert fills(events) == [(SELL, 1030, 600)]


def test_the_record_of_any_contract_moves_the_line() -> None:
    paper = broker()
    say(paper, bracket(), 10)
    paper.on_tick("ES", CLOCK, 0, 0, 0, 0, 200)
    events = paper.poll()
    assert results(events) == [("place", "accepted", 110)]
    assert fills(events) == []


def long_one() -> tuple[PaperBroker, int]:
    """A position of one from 1002 with its stop at 962; the id of the stop."""
    paper = broker()
    say(paper, bracket(), 10)
    events = quote(paper, 1000, 1002, 200)
    assert fills(events) == [(BUY, 1002, 200)]
    return paper, next(e.order_id for e in events if isinstance(e, OrderUpdate) and e.order_type == "stop")


def test_a_close_may_come_late_and_is_a_close_all_the_same() -> None:
    paper, _ = long_one()
    assert say(paper, CloseContract("close", ACCOUNT, "MNQ", "test"), 300) == []
    assert trade(paper, 990, 399) == []
    events = trade(paper, 980, 400)
    assert results(events) == [("close", "accepted", 400)]
    assert fills(events) == [(SELL, 980, 400)]


def test_a_stop_that_is_moved_stands_where_it_stood_until_then() -> None:
    paper, stop = long_one()
    trade(paper, 1050, 290)
    say(paper, ModifyStop("move", ACCOUNT, "MNQ", stop, 1010), 300)
    assert fills(trade(paper, 1005, 350)) == []
    assert results(quote(paper, 1030, 1032, 400)) == [("move", "rejected", 400)]  # the market was below it by then


def test_a_cancel_can_lose_the_race() -> None:
    paper, stop = long_one()
    say(paper, CancelOrder("cancel", ACCOUNT, "MNQ", stop), 300)
    assert fills(trade(paper, 962, 399)) == [(SELL, 962, 399)]
    assert results(trade(paper, 970, 400)) == [("cancel", "rejected", 400)]


def test_a_query_waits_behind_what_was_sent_before_it_and_for_nothing_else() -> None:
    paper = broker()
    assert isinstance(say(paper, Query("first", ACCOUNT, 0), 10)[0], Snapshot)
    say(paper, PlaceExit("exit", ACCOUNT, "MNQ", BUY, 1, "x"), 20)
    assert say(paper, Query("second", ACCOUNT, 0), 30) == []
    paper.on_tick("MNQ", CLOCK, 0, 0, 0, 0, 120)
    result, _, snapshot = paper.poll()
    assert isinstance(result, CommandResult)
    assert isinstance(snapshot, Snapshot)
    assert [order.tag for order in snapshot.orders] == ["x"]
    assert snapshot.now_ns == 120


def test_prints_of_bars_know_no_latency() -> None:
    paper = broker()
    trade(paper, 1000, 5, SYNTHETIC)
    trade(paper, 1000, 6, SYNTHETIC, BAR_END)
    assert results(say(paper, bracket(), 10)) == [("place", "accepted", 10)]
    assert fills(trade(paper, 1004, 11, SYNTHETIC)) == [(BUY, 1004, 11)]  # the open, the quote's 1002 is old


def test_a_roll_makes_old_prices_unknown() -> None:
    paper = broker(0)
    paper.on_tick("MNQ", GAP, 0, 0, 0, 0, 20, 0, NEW_CONTRACT)
    say(paper, PlaceExit("exit", ACCOUNT, "MNQ", BUY, 1, "x"), 20)
    assert fills(trade(paper, 1300, 21)) == [(BUY, 1302, 21)]  # last and the typical spread, no bid and ask of 1000


STEPS = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.sampled_from(["trade", "quote", "clock", "place", "close", "query"]),
        st.integers(990, 1020),
    ),
    max_size=40,
)


def play(paper: PaperBroker, steps: list[tuple[int, str, int]]) -> list[BrokerEvent]:
    now, events = 10, []
    for number, (wait, what, price) in enumerate(steps):
        now += wait
        if what == "trade":
            paper.on_tick("MNQ", TRADE, price, 0, 1, 0, now)
        elif what == "quote":
            paper.on_tick("MNQ", QUOTE, price, price + 2, 0, 0, now)
        elif what == "clock":
            paper.on_tick("MNQ", CLOCK, 0, 0, 0, 0, now)
        elif what == "place":
            paper.submit(bracket(f"t{number}"), now)
        elif what == "close":
            paper.submit(CloseContract(f"c{number}", ACCOUNT, "MNQ", "test"), now)
        else:
            paper.submit(Query(f"q{number}", ACCOUNT, 0), now)
        events += paper.poll()
    return events


@given(STEPS)
def test_every_command_is_answered_once_in_order_and_time_never_turns_back(steps: list[tuple[int, str, int]]) -> None:
    paper = broker()
    events = play(paper, [*steps, (1_000, "clock", 0)])
    answers = [event for event in events if isinstance(event, CommandResult | Snapshot)]
    assert len(answers) == sum(what in ("place", "close", "query") for _, what, _ in steps)
    times = [event.now_ns for event in events if not isinstance(event, Snapshot)]
    assert times == sorted(times)
    results_ns = [event.now_ns for event in answers if isinstance(event, CommandResult)]
    sent_ns, now = [], 10
    for wait, what, _ in steps:
        now += wait
        if what in ("place", "close"):
            sent_ns.append(now)
    assert all(answer >= sent + LATENCY for answer, sent in zip(results_ns, sent_ns, strict=True))


@given(STEPS)
def test_latency_is_the_same_commands_sent_later(steps: list[tuple[int, str, int]]) -> None:
    """A world of ticks in which each command is sent LATENCY later to a broker without any gives the same fills."""
    steps = [step for step in steps if step[1] != "query"]
    slow = [
        event for event in play(broker(), [*steps, (1_000, "clock", 0)]) if isinstance(event, Fill | PositionUpdate)
    ]
    timed, now = [], 10
    for number, (wait, what, price) in enumerate(steps):
        now += wait
        is_command = what in ("place", "close")
        timed.append((now + LATENCY if is_command else now, 0 if is_command else 1, number, what, price))
    paper = broker(0)
    quick: list[BrokerEvent] = []
    for at_ns, _, number, what, price in sorted(timed):
        if what == "trade":
            paper.on_tick("MNQ", TRADE, price, 0, 1, 0, at_ns)
        elif what == "quote":
            paper.on_tick("MNQ", QUOTE, price, price + 2, 0, 0, at_ns)
        elif what == "place":
            paper.submit(bracket(f"t{number}"), at_ns)
        elif what == "close":
            paper.submit(CloseContract(f"c{number}", ACCOUNT, "MNQ", "test"), at_ns)
        quick += [event for event in paper.poll() if isinstance(event, Fill | PositionUpdate)]
    assert quick == slow


@pytest.mark.parametrize("latency", [0, LATENCY])
def test_nothing_is_lost_when_the_line_is_used(latency: int) -> None:
    paper = broker(latency)
    say(paper, bracket(), 10)
    quote(paper, 1000, 1002, 200)
    assert held(paper) == 1
