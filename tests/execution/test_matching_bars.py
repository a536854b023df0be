"""Orders on bars (rules 9 to 13 of fill_model) and limits by size (rule 5), prices worked out by hand.

The stage has no quotes: the adverse price is the last trade and MNQ's spread of 2 ticks. Slippage is 0 where nothing
else is said, so a market buy at an open of 1000 fills at 1002.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from book_rig import BookRig
from tbot.execution.book_types import Order, OrderRequest
from tbot.execution.fill_model import FillSettings

BUY, SELL = 1, -1


def stage(stop: int = -40, target: int = 80, **settings: Any) -> tuple[BookRig, Order, Order]:
    """Long 1 at 1002 from the open of a bar that is over; its stop (962) and its target (1082)."""
    rig = BookRig(FillSettings(0, 0, **settings))
    rig.bar(1000, 1000)
    entry = rig.bracket(BUY, 1, stop, target)
    rig.bar(1000, 1001)
    assert rig.fills()[-1].price == 1002
    return rig, rig.order(entry.order_id + 1), rig.order(entry.order_id + 2)


def exits(rig: BookRig) -> list[int]:
    return [fill.price for fill in rig.fills()[1:]]


@pytest.mark.parametrize("path", [(1000, 950, 1090, 1000), (1000, 1090, 950, 1000)])
def test_V2_a_bar_that_touches_stop_and_target_is_a_stop(path: tuple[int, ...]) -> None:
    rig, stop, target = stage()
    rig.bar(*path)
    assert exits(rig) == [962]
    assert (stop.status, target.status) == ("filled", "cancelled")


@pytest.mark.parametrize(("path", "price"), [((1000, 950, 1090, 1000), 962), ((1000, 1090, 950, 1000), 1082)])
def test_V2_the_path_is_believed_when_it_is_told_so(path: tuple[int, ...], price: int) -> None:
    rig, _, _ = stage(intrabar="path")
    rig.bar(*path)
    assert exits(rig) == [price]


def test_V2_a_target_that_a_bar_trades_through_fills_at_its_last_print() -> None:
    rig, _, target = stage()
    rig.bar(1000, 1083, 1010)
    assert exits(rig) == [1082]
    assert target.updated_ns == rig.now_ns  # not earlier


def test_V2_a_target_that_a_bar_only_touches_is_not_filled() -> None:
    rig, _, target = stage()
    rig.bar(1000, 1082, 1010)
    assert (exits(rig), target.status, target.marked) == ([], "open", False)


def test_V2_a_target_traded_through_in_a_bar_without_mark_fills_when_the_next_one_begins() -> None:
    rig, _, _ = stage()
    rig.bar(1000, 1090, 1010, marked=False)
    assert exits(rig) == []
    rig.bar(900)  # opens beyond the stop, but the target was filled before
    assert exits(rig) == [1082]


def test_V2_an_open_beyond_the_target_fills_it_at_its_limit_before_the_bar_can_touch_the_stop() -> None:
    rig, _, _ = stage()
    rig.bar(1100, 950, 1000)
    assert exits(rig) == [1082]


@pytest.mark.parametrize("slip", [0, 3])
def test_V2_an_open_beyond_the_stop_fills_at_the_market_behind_the_gap(slip: int) -> None:
    rig = BookRig(FillSettings(0, slip))
    rig.bar(1000, 1000)
    rig.bracket(BUY, 1, -40, 80)
    rig.bar(1000, 1001)
    rig.bar(950, 955)  # stop 962; no quote: the bid is 950 - 2
    assert exits(rig) == [948 - slip]


def test_V2_inside_a_bar_a_stop_fills_at_its_price_however_far_the_bar_goes() -> None:
    rig, _, _ = stage()
    rig.bar(1000, 700, 720)
    assert exits(rig) == [962]


def test_V2_the_bar_of_the_entry_can_stop_it() -> None:
    rig = BookRig(FillSettings(0, 1))
    rig.bar(1000, 1000)
    rig.bracket(BUY, 1, -40, 80)
    rig.bar(1000, 1090, 960, 1000)  # filled at the open; through the target, then through the stop
    assert [fill.price for fill in rig.fills()] == [1002, 961]


@pytest.mark.parametrize("intrabar", ["pessimistic", "path"])
def test_V2_a_bar_that_touches_and_breaks_is_filled_then_stopped(intrabar: Any) -> None:
    rig = BookRig(FillSettings(0, 0, intrabar=intrabar))
    rig.bar(1000, 1000)
    request = OrderRequest("MNQ", "limit", BUY, 1, limit=980, tag="t", stop_offset=-20, target_offset=40)
    rig.book.place(request, rig.now_ns)
    rig.bar(1000, 955, 1100, 1090)  # one print from 1000 to 955: through 980 and through the stop at 960
    assert [fill.price for fill in rig.fills()] == [980, 960]


def test_V2_a_limit_that_opens_is_filled_at_once_and_keeps_its_stop_when_the_bar_does_not_break() -> None:
    rig = BookRig(FillSettings(0, 0))
    rig.bar(1000, 1000)
    request = OrderRequest("MNQ", "limit", BUY, 1, limit=980, tag="t", stop_offset=-20, target_offset=40)
    rig.book.place(request, rig.now_ns)
    rig.bar(1000, 979, 1021, 1000)  # fills at 980; then through the target 1020
    assert [fill.price for fill in rig.fills()] == [980, 1020]


def test_V2_a_stop_moved_inside_a_bar_does_not_save_from_the_old_one() -> None:
    rig, stop, _ = stage()
    rig.bar(1000, 1060, marked=False)
    rig.book.modify(stop.order_id, rig.now_ns, stop=1000)
    rig.bar_goes_on(960)
    assert exits(rig) == [962]


def test_V2_a_stop_moved_inside_a_bar_counts_from_there_on() -> None:
    rig, stop, _ = stage()
    rig.bar(1000, 1060, marked=False)
    rig.book.modify(stop.order_id, rig.now_ns, stop=1000)
    rig.bar_goes_on(999)
    assert exits(rig) == [1000]


def test_V2_the_next_bar_knows_the_moved_stop_only() -> None:
    rig, stop, _ = stage()
    rig.bar(1000, 1060, marked=False)
    rig.book.modify(stop.order_id, rig.now_ns, stop=1000)
    rig.bar_goes_on(1050, ends=True)
    rig.bar(1050, 900, 950)
    assert exits(rig) == [1000]
    assert stop.loose is None


def test_V2_the_path_needs_no_memory_of_moved_stops() -> None:
    rig, stop, _ = stage(intrabar="path")
    rig.bar(1000, 1060, marked=False)
    rig.book.modify(stop.order_id, rig.now_ns, stop=1000)
    rig.bar_goes_on(960)
    assert exits(rig) == [1000]


@pytest.mark.parametrize(
    ("path", "price"),
    [
        ((1000, 1040, 985, 1010), 992),  # the low meets the stop of before the bar
        ((1000, 1040, 1020), 1030),  # the close is beyond the stop that the high moved: 1040 - 10
        ((1000, 1040, 1031), None),
    ],
)
def test_V2_a_trailing_stop_moves_when_the_bar_is_over(path: tuple[int, ...], price: int | None) -> None:
    rig = BookRig(FillSettings(0, 0))
    rig.bar(1000, 1000)
    entry = rig.market(BUY, 1, stop_offset=-10, stop_trails=True)
    rig.bar(1000, 1002, 1000)
    assert rig.order(entry.order_id + 1).stop == 992
    rig.bar(*path)
    assert exits(rig) == ([] if price is None else [price])
    if price is None:
        assert rig.order(entry.order_id + 1).stop == 1030


def test_V2_an_order_sent_inside_a_bar_fills_no_better_than_where_it_was_sent() -> None:
    rig, _, _ = stage()
    rig.bar(1000, 970, marked=False)
    rig.book.close("MNQ", rig.now_ns)
    rig.bar_goes_on(1040)  # the next invented price is 70 ticks better
    assert exits(rig) == [970]


def test_V2_an_order_sent_between_bars_fills_at_the_open() -> None:
    rig, _, _ = stage()
    rig.bar(1000, 970, 980)
    rig.book.close("MNQ", rig.now_ns)
    rig.bar(1040, 1041)
    assert exits(rig) == [1038]


def test_V2_real_ticks_know_nothing_of_bars() -> None:
    rig = BookRig(FillSettings(0, 0))
    rig.trade(1000)
    rig.bracket(BUY, 1, -40, 80)
    rig.trade(1000)
    rig.trade(1083)
    assert [fill.price for fill in rig.fills()] == [1002, 1082]


# -------------------------------------------------------------------------------------------------------- sized limits
def long_five(**settings: Any) -> tuple[BookRig, Order, Order]:
    rig = BookRig(FillSettings(0, 0, **settings))
    rig.trade(1000)
    entry = rig.bracket(BUY, 5, -40, 80)
    rig.trade(1000)
    return rig, rig.order(entry.order_id + 1), rig.order(entry.order_id + 2)


def sizes(rig: BookRig) -> list[tuple[int, int]]:
    return [(fill.size, fill.price) for fill in rig.fills()[1:]]


def test_V2_parts_are_what_went_through_and_the_stop_shrinks_by_as_much() -> None:
    rig, stop, target = long_five(partial=True)
    rig.trade(1083, size=2)
    assert (sizes(rig), target.remaining, stop.size) == ([(2, 1082)], 3, 3)
    rig.trade(1082, size=50)  # at the price: nobody knows
    rig.trade(1084, size=1)
    rig.trade(900, size=1)  # the adverse price without a quote is 898
    assert sizes(rig) == [(2, 1082), (1, 1082), (2, 898)]
    assert rig.book.size("MNQ") == 0


def test_V2_a_share_of_what_went_through_adds_up() -> None:
    rig, _, _ = long_five(partial=True, participation_percent=40)
    for _ in range(4):
        rig.trade(1083, size=1)  # 0.4, 0.8, 1.2, 1.6 contracts
    assert sizes(rig) == [(1, 1082)]
    rig.trade(1083, size=100)
    assert sizes(rig) == [(1, 1082), (4, 1082)]


def test_V2_without_sizes_a_limit_fills_whole() -> None:
    rig, _, _ = long_five(partial=True)
    rig.trade(1083)
    assert sizes(rig) == [(5, 1082)]


def test_V2_on_bars_a_limit_fills_whole() -> None:
    rig, _, _ = long_five(partial=True)
    rig.bar(1000, 1083, 1050)
    assert sizes(rig) == [(5, 1082)]


def test_V2_the_queue_at_the_price_is_served_first() -> None:
    rig, _, target = long_five(queue="share", queue_ahead=10)
    rig.trade(1082, size=10, aggressor=BUY)
    rig.trade(1082, size=90, aggressor=SELL)  # these sold, they took nothing from who sells at 1082
    rig.trade(1081, size=90, aggressor=BUY)
    rig.trade(1082, size=4, aggressor=BUY)
    assert sizes(rig) == []
    rig.trade(1082, size=1)  # whose aggressor is not known
    assert (sizes(rig), target.at_limit) == ([(5, 1082)], 15)


def test_V2_parts_by_the_queue() -> None:
    rig, _, _ = long_five(queue="share", queue_ahead=10, partial=True)
    rig.trade(1082, size=12)
    rig.trade(1083, size=1)
    rig.trade(1082, size=1)
    assert sizes(rig) == [(2, 1082), (1, 1082), (1, 1082)]


def test_V2_a_limit_that_moves_stands_behind_everybody_again() -> None:
    rig, _, target = long_five(queue="share", queue_ahead=10, partial=True)
    rig.trade(1082, size=12)
    assert sizes(rig) == [(2, 1082)]
    rig.book.modify(target.order_id, rig.now_ns, limit=1090)
    rig.trade(1090, size=10)
    assert sizes(rig) == [(2, 1082)]
    rig.trade(1090, size=1)
    assert sizes(rig) == [(2, 1082), (1, 1090)]


def test_V2_a_crossing_limit_is_no_matter_of_queues() -> None:
    rig = BookRig(FillSettings(0, 0, queue="share", partial=True))
    rig.quote(1000, 1002)
    rig.book.place(OrderRequest("MNQ", "limit", BUY, 3, limit=1010), rig.now_ns)
    rig.quote(1001, 1003)
    assert [(fill.size, fill.price) for fill in rig.fills()] == [(3, 1003)]


# ---------------------------------------------------------------------------------------------------------- properties
BARS = st.lists(
    st.tuples(st.integers(930, 1120), st.lists(st.integers(930, 1120), max_size=2), st.integers(930, 1120)), max_size=12
)


def last_price(rig: BookRig) -> int:
    return rig.fills()[-1].price


@given(BARS, st.sampled_from([BUY, SELL]))
def test_V2_pessimism_never_ends_a_bracket_better_than_the_path(bars: list[Any], side: int) -> None:
    """The same bracket on the same bars under both rules, closed at the end: the cautious one has not earned more."""
    results = []
    for intrabar in ("pessimistic", "path"):
        rig = BookRig(FillSettings(0, 0, intrabar=intrabar))  # type: ignore[arg-type]
        rig.bar(1000, 1000)
        rig.bracket(side, 1, -side * 40, side * 60)
        rig.bar(1000, 1000)
        for first, middle, last in bars:
            rig.bar(first, *middle, last)
        results.append(rig)
    careful, believing = results
    if careful.book.size("MNQ") or believing.book.size("MNQ"):
        assert careful.book.size("MNQ") == believing.book.size("MNQ")  # a bracket that ended, ended under both rules
    else:
        assert (last_price(careful) - last_price(believing)) * side <= 0


@given(BARS)
def test_V2_a_bracket_on_bars_ends_at_its_prices_or_at_an_open(bars: list[Any]) -> None:
    rig, _, _ = stage()
    opens = set()
    for first, middle, last in bars:
        rig.bar(first, *middle, last)
        opens.add(first - 2)
    assert len(exits(rig)) <= 1
    assert all(price in {962, 1082} or (price in opens and price < 962) for price in exits(rig))


ORDERS = st.lists(
    st.one_of(
        st.tuples(st.just("bar"), st.lists(st.integers(950, 1050), min_size=1, max_size=4), st.booleans()),
        st.tuples(st.just("print"), st.integers(950, 1050), st.booleans()),
        st.tuples(st.just("trade"), st.integers(950, 1050), st.integers(0, 3)),
        st.tuples(st.just("bracket"), st.sampled_from([BUY, SELL]), st.integers(4, 30)),
        st.tuples(st.just("limit"), st.sampled_from([BUY, SELL]), st.integers(950, 1050)),
        st.tuples(st.just("move"), st.integers(0, 12), st.integers(950, 1050)),
        st.tuples(st.just("close"), st.just(0), st.just(0)),
    ),
    max_size=30,
)


def play(rig: BookRig, steps: list[tuple[str, Any, Any]]) -> None:
    rig.trade(1000)
    for number, (what, first, second) in enumerate(steps):
        if what == "bar":
            rig.bar(*first, marked=second)
        elif what == "print":
            rig.bar_goes_on(first, ends=second)
        elif what == "trade":
            rig.trade(first, size=second)
        elif what == "bracket":
            rig.bracket(first, 3, -first * second, first * second, f"t{number}")
        elif what == "limit":
            rig.book.place(OrderRequest("MNQ", "limit", first, 2, limit=second), rig.now_ns)
        elif what == "close":
            rig.book.close("MNQ", rig.now_ns)
        else:
            order = rig.book.orders.get(3_000_000_000 + first)
            if order is not None and order.stop is not None:
                rig.book.modify(order.order_id, rig.now_ns, stop=second)
            elif order is not None and order.limit is not None:
                rig.book.modify(order.order_id, rig.now_ns, limit=second)


SETTINGS = [
    {},
    {"intrabar": "path"},
    {"partial": True, "participation_percent": 50},
    {"queue": "share", "queue_ahead": 2},
    {"queue": "share", "queue_ahead": 2, "partial": True},
]


@given(ORDERS, st.sampled_from(SETTINGS))
def test_skipping_quiet_trades_changes_nothing_on_bars_either(steps: list[Any], values: dict[str, Any]) -> None:
    quick, slow = BookRig(FillSettings(0, 1, **values)), BookRig(FillSettings(0, 1, **values))
    play(quick, steps)
    slow.book._find_quiet = lambda contract: (float("inf"), float("-inf"))  # type: ignore[method-assign]
    play(slow, steps)
    assert quick.events == slow.events


@given(ORDERS, st.sampled_from(SETTINGS))
def test_no_order_fills_more_than_it_asked_for(steps: list[Any], values: dict[str, Any]) -> None:
    rig = BookRig(FillSettings(0, 1, **values))
    play(rig, steps)
    for order in rig.book.orders.values():
        filled = sum(fill.size for fill in rig.fills() if fill.order_id == order.order_id)
        assert filled == order.filled <= order.size
    assert rig.book.size("MNQ") == sum(fill.side * fill.size for fill in rig.fills())
