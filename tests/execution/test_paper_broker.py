"""PaperBroker: commands to events, to the cent and in order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import (
    AccountUpdate,
    BrokerEvent,
    CancelOrder,
    CloseContract,
    Command,
    CommandResult,
    Fill,
    ModifyStop,
    OrderUpdate,
    PlaceBracket,
    PlaceStop,
    PositionUpdate,
    Query,
    Snapshot,
)
from tbot.execution.fill_model import FillSettings
from tbot.execution.paper_broker import NOT_TRADING, PaperAccount, PaperBroker
from tbot_ext.records import Kind

ACCOUNT = 7
FIRST = 3_000_000_000
BUY, SELL = 1, -1
TRADE, QUOTE = int(Kind.TRADE), int(Kind.QUOTE)


class Shut:
    def orders_accepted(self, now_ns: int, contract: str | None = None) -> bool:
        return now_ns < 100


def broker(hours: Shut | None = None) -> PaperBroker:
    contracts = {symbol: PRODUCTS[symbol] for symbol in ("MNQ", "ES")}
    return PaperBroker([PaperAccount(ACCOUNT)], contracts, FillSettings(0, 1), hours)


def quote(paper: PaperBroker, bid: int, ask: int, at_ns: int, contract: str = "MNQ") -> None:
    paper.on_tick(contract, QUOTE, bid, ask, 0, 0, at_ns)


def trade(paper: PaperBroker, price: int, at_ns: int, contract: str = "MNQ") -> None:
    paper.on_tick(contract, TRADE, price, 0, 1, BUY, at_ns)


def bracket(side: int = BUY, size: int = 1, stop: int = -40, target: int = 80, tag: str = "t") -> PlaceBracket:
    return PlaceBracket("c1", ACCOUNT, "MNQ", side, size, stop, target, tag, "s1")


def say(paper: PaperBroker, command: Command, now_ns: int = 10) -> list[BrokerEvent]:
    paper.submit(command, now_ns)
    return paper.poll()


def told(events: list[BrokerEvent]) -> list[str]:
    lines = []
    for event in events:
        if isinstance(event, CommandResult):
            lines.append(f"{event.command_id} {event.outcome}")
        elif isinstance(event, OrderUpdate):
            lines.append(f"{event.order_type} {event.status}")
        elif isinstance(event, Fill):
            lines.append(f"fill {event.side * event.size:+d}@{event.price} {event.pnl_cents}")
        elif isinstance(event, PositionUpdate):
            lines.append(f"position {event.size:+d} basis {event.price_size_sum}")
        elif isinstance(event, AccountUpdate):
            lines.append(f"balance {event.balance_cents}")
        else:
            lines.append("snapshot")
    return lines


def test_bracket_from_command_to_target_in_order_and_to_the_cent() -> None:
    paper = broker()
    quote(paper, 1000, 1002, 1)
    assert told(say(paper, bracket())) == ["c1 accepted", "stop suspended", "market pending", "limit suspended"]
    trade(paper, 1001, 20)
    events = paper.poll()
    assert told(events) == [
        "market filled",
        "fill +1@1002 None",
        "position +1 basis 1002",
        "limit open",
        "stop open",
        "balance 4999939",
    ]
    assert {event.now_ns for event in events} == {20}
    trade(paper, 1083, 30)
    assert told(paper.poll()) == [
        "limit filled",
        "fill -1@1082 4000",
        "position +0 basis 0",
        "stop cancelled",
        "balance 5003878",
    ]


def test_an_order_fills_from_the_next_tick_of_its_contract_only() -> None:
    paper = broker()
    quote(paper, 1000, 1002, 1)
    quote(paper, 20_000, 20_001, 1, "ES")
    say(paper, bracket())
    trade(paper, 20_000, 11, "ES")
    assert paper.poll() == []
    quote(paper, 1010, 1012, 12)
    assert "fill +1@1012 None" in told(paper.poll())


def test_ticks_of_other_kinds_fill_nothing() -> None:
    paper = broker()
    quote(paper, 1000, 1002, 1)
    say(paper, bracket())
    for kind in (Kind.GAP, Kind.CLOCK, Kind.HISTORY, Kind.CONTEXT):
        paper.on_tick("MNQ", int(kind), 900, 901, 0, 0, 11)
    assert paper.poll() == []


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (bracket(stop=40), "Ticks should be less than zero when longing"),
        (bracket(SELL, stop=-50, target=-80), "should be at least 4 ticks"),
        (bracket(size=0), "Invalid size"),
    ],
)
def test_F_ORD_03_a_refused_order_is_recorded_with_its_id(command: PlaceBracket, text: str) -> None:
    result, order = say(broker(), command)
    assert isinstance(result, CommandResult)
    assert isinstance(order, OrderUpdate)
    assert (result.outcome, result.order_id, order.order_id, order.status) == ("rejected", FIRST, FIRST, "rejected")
    assert text in result.text
    assert text in order.reason


def test_F_ORD_03_a_used_tag_is_refused_and_not_recorded_again() -> None:
    paper = broker()
    say(paper, bracket(tag="x"))
    (result,) = say(paper, bracket(tag="x"))
    assert result == CommandResult(10, ACCOUNT, "c1", "rejected", None, "Specified custom tag is already in use")


def test_outside_the_hours_orders_are_refused_in_the_venues_words() -> None:
    paper = broker(Shut())
    quote(paper, 1000, 1002, 1)
    say(paper, bracket(), 10)
    quote(paper, 1000, 1002, 20)
    paper.poll()
    for command in (bracket(tag="u"), CloseContract("c2", ACCOUNT, "MNQ", "late")):
        result = say(paper, command, 100)[0]
        assert isinstance(result, CommandResult)
        assert (result.outcome, result.text) == ("rejected", NOT_TRADING)


def test_protective_stop_place_move_trigger() -> None:
    paper = broker()
    quote(paper, 1000, 1002, 1)
    trade(paper, 1001, 2)
    stop = PlaceStop("c2", ACCOUNT, "MNQ", SELL, 1, 990, "p")
    assert told(say(paper, stop)) == ["c2 accepted", "stop open"]
    assert told(say(paper, ModifyStop("c3", ACCOUNT, "MNQ", FIRST, 1001))) == ["c3 rejected"]  # would trigger at once
    assert told(say(paper, ModifyStop("c4", ACCOUNT, "MNQ", FIRST, 995))) == ["c4 accepted", "stop open"]
    trade(paper, 996, 20)
    assert paper.poll() == []
    quote(paper, 994, 996, 21)
    trade(paper, 995, 22)
    assert told(paper.poll())[1] == "fill -1@993 None"  # the worse of stop 995 and bid 994, one tick of slippage


def test_a_stop_on_the_wrong_side_is_refused() -> None:
    paper = broker()
    trade(paper, 1001, 2)
    result = say(paper, PlaceStop("c2", ACCOUNT, "MNQ", SELL, 1, 1001, "p"))[0]
    assert isinstance(result, CommandResult)
    assert result.outcome == "rejected"


def test_cancel_once_then_not_found() -> None:
    paper = broker()
    say(paper, bracket())
    assert told(say(paper, CancelOrder("c2", ACCOUNT, "MNQ", FIRST))) == [
        "c2 accepted",
        "market cancelled",
        "stop cancelled",
        "limit cancelled",
    ]
    for order_id in (FIRST, 1):
        result = say(paper, CancelOrder("c3", ACCOUNT, "MNQ", order_id))[0]
        assert isinstance(result, CommandResult)
        assert (result.outcome, result.text) == ("rejected", "Order not found")


def test_close_takes_the_whole_position_and_needs_one() -> None:
    paper = broker()
    quote(paper, 1000, 1002, 1)
    close = CloseContract("c2", ACCOUNT, "MNQ", "flat")
    assert told(say(paper, close)) == ["c2 rejected"]
    say(paper, bracket(size=3))
    quote(paper, 1000, 1002, 20)
    paper.poll()
    assert told(say(paper, close, 30)) == ["c2 accepted", "market pending"]
    assert told(say(paper, close, 31)) == ["c2 accepted"]  # the same close
    quote(paper, 1005, 1007, 40)
    assert told(paper.poll())[1:3] == ["fill -3@1005 450", "position +0 basis 0"]


def test_query_lists_everything_that_lives() -> None:
    paper = broker()
    quote(paper, 1000, 1002, 1)
    say(paper, bracket())
    (snapshot,) = say(paper, Query("q1", ACCOUNT, 0), 15)
    assert isinstance(snapshot, Snapshot)
    assert snapshot.complete
    assert [order.status for order in snapshot.orders] == ["pending", "suspended", "suspended"]
    quote(paper, 1000, 1002, 20)
    paper.poll()
    (snapshot,) = say(paper, Query("q2", ACCOUNT, 0), 25)
    assert isinstance(snapshot, Snapshot)
    assert [(order.order_type, order.status) for order in snapshot.orders] == [("stop", "open"), ("limit", "open")]
    assert [(position.size, position.price_size_sum) for position in snapshot.positions] == [(1, 1002)]
    assert [fill.price for fill in snapshot.fills] == [1002]
    assert snapshot.status is not None
    assert snapshot.status.balance_cents == 5_000_000 - 61
    (later,) = say(paper, Query("q3", ACCOUNT, 21), 30)
    assert isinstance(later, Snapshot)
    assert later.fills == ()


def test_an_unknown_account_gets_an_answer_to_everything() -> None:
    paper = broker()
    result = say(paper, CloseContract("c1", 99, "MNQ", "x"))[0]
    assert isinstance(result, CommandResult)
    assert (result.outcome, result.text) == ("rejected", "Account not found")
    (snapshot,) = say(paper, Query("q", 99, 0))
    assert isinstance(snapshot, Snapshot)
    assert not snapshot.complete


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.integers(950, 1050)),
        st.tuples(st.just("long"), st.integers(4, 30)),
        st.tuples(st.just("short"), st.integers(4, 30)),
        st.tuples(st.just("close"), st.just(0)),
    ),
    max_size=40,
)


def run(steps: list[tuple[str, int]]) -> list[BrokerEvent]:
    paper, events = broker(), []
    for number, (name, value) in enumerate(steps):
        if name == "tick":
            quote(paper, value - 1, value + 1, 2 * number)
            trade(paper, value, 2 * number + 1)
        elif name == "close":
            paper.submit(CloseContract(f"c{number}", ACCOUNT, "MNQ", ""), 2 * number)
        else:
            side = BUY if name == "long" else SELL
            paper.submit(bracket(side, 1, -side * value, side * value, f"t{number}"), 2 * number)
        events += paper.poll()
    return events


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_the_same_ticks_and_commands_give_the_same_events(steps: list[tuple[str, int]]) -> None:
    assert run(steps) == run(steps)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_every_command_has_one_result_and_positions_follow_the_fills(steps: list[tuple[str, int]]) -> None:
    events = run(steps)
    results = [event.command_id for event in events if isinstance(event, CommandResult)]
    assert len(results) == sum(name != "tick" for name, _ in steps)
    held = 0
    for event in events:
        if isinstance(event, Fill):
            held += event.side * event.size
        elif isinstance(event, PositionUpdate):
            assert event.size == held


def test_two_accounts_do_not_touch_each_other() -> None:
    contracts = {"MNQ": PRODUCTS["MNQ"]}
    paper = PaperBroker([PaperAccount(1), PaperAccount(2)], contracts)
    for account in (1, 2):
        paper.submit(PlaceBracket(f"c{account}", account, "MNQ", BUY, account, -40, 80, "same tag", "s"), 1)
    quote(paper, 1000, 1002, 2)
    fills = [event for event in paper.poll() if isinstance(event, Fill)]
    assert [(fill.account, fill.size) for fill in fills] == [(1, 1), (2, 2)]
    assert len({fill.fill_id for fill in fills}) == 2
