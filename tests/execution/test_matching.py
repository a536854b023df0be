"""The account book: hand-computed money, bracket life, and properties over random order flow."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from book_rig import START_CENTS, BookRig, told
from tbot.domain.messages import Fill
from tbot.execution.book_types import FINAL, Order, OrderRequest, bracket_refusal, stop_refusal
from tbot.execution.fill_model import FillSettings, MarketState

BUY, SELL = 1, -1
NO_SLIP = FillSettings(0, 0)


# ------------------------------------------------------------------------------------------------------------- money
def test_round_trip_of_two_mnq_to_the_cent() -> None:
    rig = BookRig(NO_SLIP)
    rig.market(BUY, 2)
    rig.quote(1000, 1002)
    rig.market(SELL, 2)
    rig.quote(1011, 1013)
    # 2 contracts, 9 ticks of 0.50 = 9.00; fees 4 x 0.36 = 1.44; commissions 4 x 0.25 = 1.00
    assert [fill.pnl_cents for fill in rig.fills()] == [None, 900]
    assert [(fill.fees_cents, fill.commission_cents) for fill in rig.fills()] == [(72, 50), (72, 50)]
    assert rig.book.balance_cents == START_CENTS + 900 - 144 - 100
    assert rig.book.size("MNQ") == 0


def test_scaling_in_and_out_leaves_no_remainder() -> None:
    rig = BookRig(NO_SLIP)
    for ask, size in ((1000, 1), (1001, 1), (1003, 1)):  # basis 3004 over 3: the average is no whole tick
        rig.market(BUY, size)
        rig.quote(ask - 1, ask)
    for bid in (1010, 1010, 1010):
        rig.market(SELL, 1)
        rig.quote(bid, bid + 1)
    # shares of the basis: 3004 // 3 = 1001, then (3004 - 1001) // 2 = 1001, then the rest 1002
    assert [fill.pnl_cents for fill in rig.fills()][3:] == [9 * 50, 9 * 50, 8 * 50]
    assert sum(fill.pnl_cents or 0 for fill in rig.fills()) == (3 * 1010 - 3004) * 50


def test_a_reversal_is_two_fills_the_closing_one_carries_the_pnl() -> None:
    rig = BookRig(NO_SLIP)
    rig.market(BUY, 1)
    rig.quote(999, 1000)
    rig.take()
    rig.market(SELL, 3)
    rig.quote(996, 997)
    assert told(rig.take()) == [
        "market pending",
        "market filled",
        "fill -1@996",
        "position +0",
        "fill -2@996",
        "position -2",
        "balance",
    ]
    assert [fill.pnl_cents for fill in rig.fills()] == [None, -4 * 50, None]
    holding = rig.book.holding("MNQ")
    assert holding is not None
    assert (holding.size, holding.price_size_sum, holding.average_sum, holding.average_size) == (-2, 1992, 1992, 2)


def test_unrealised_pnl_is_what_closing_at_the_quote_would_bring() -> None:
    rig = BookRig(NO_SLIP)
    rig.market(SELL, 2, "ES")
    rig.quote(20_000, 20_001, "ES")
    rig.quote(20_003, 20_004, "ES")
    assert rig.book.unrealised_cents(rig.states) == -2 * 4 * 1250


# ---------------------------------------------------------------------------------------------------------- brackets
def test_bracket_life_as_the_venue_was_recorded_to_tell_it() -> None:
    rig = BookRig(NO_SLIP)
    rig.quote(1000, 1002)
    entry = rig.bracket(BUY, 1, -40, 80, "tag")
    stop, target = rig.order(entry.order_id + 1), rig.order(entry.order_id + 2)
    assert told(rig.take()) == ["stop suspended", "market pending", "limit suspended"]
    assert (stop.tag, target.tag, stop.parent_id, target.parent_id) == (
        "tag-SL",
        "tag-TP",
        entry.order_id,
        entry.order_id,
    )
    assert (stop.stop, target.limit, stop.side, target.side) == (None, None, SELL, SELL)
    assert entry.order_id == 3_000_000_000
    rig.trade(1001)
    assert told(rig.take()) == ["market filled", "fill +1@1002", "position +1", "limit open", "stop open", "balance"]
    assert (stop.stop, target.limit) == (962, 1082)  # from the fill price, not from the quote at the decision
    rig.trade(1082)
    assert rig.take() == []  # a touch does not fill the target
    rig.trade(1083)
    assert told(rig.take()) == ["limit filled", "fill -1@1082", "position +0", "stop cancelled", "balance"]
    assert rig.book.balance_cents == START_CENTS + 80 * 50 - 2 * 61
    rig.trade(900)
    assert rig.take() == []


def test_short_bracket_stopped_through_a_gap_fills_at_the_market() -> None:
    rig = BookRig(FillSettings(0, 1))
    rig.quote(1000, 1002)
    entry = rig.bracket(SELL, 1, 40, -80)
    rig.trade(1001)
    rig.trade(1100)  # the stop was 1040, the quote is still 1000/1002
    assert rig.fills()[-1].price == 1101
    assert rig.order(entry.order_id + 2).status == "cancelled"


def test_a_market_order_never_fills_on_what_was_known_before_it() -> None:
    rig = BookRig(NO_SLIP)
    rig.quote(1000, 1002)
    rig.market(BUY, 1)
    assert rig.fills() == []
    rig.quote(1005, 1007)
    assert rig.fills()[0].price == 1007


def test_legs_do_not_fill_on_the_tick_that_filled_the_entry() -> None:
    rig = BookRig(NO_SLIP)
    rig.quote(1000, 1100)
    rig.bracket(BUY, 1, -40, 80)
    rig.trade(1000)  # fills the entry at the ask 1100; the stop is at 1060 and this same trade is below it
    assert rig.book.size("MNQ") == 1
    rig.trade(1000)
    assert rig.book.size("MNQ") == 0


def test_if_one_tick_could_fill_stop_and_target_the_stop_wins() -> None:
    rig = BookRig(NO_SLIP)
    rig.quote(1000, 1002)
    entry = rig.bracket(BUY, 1, -40, 80)
    rig.trade(1001)
    # The client crossed its own legs: target 990, stop 1000. A trade at 995 does both.
    assert rig.book.modify(entry.order_id + 2, rig.now_ns, limit=990)
    rig.order(entry.order_id + 2).arriving = False
    assert rig.book.modify(entry.order_id + 1, rig.now_ns, stop=1000)
    rig.trade(995)
    assert (rig.order(entry.order_id + 1).status, rig.order(entry.order_id + 2).status) == ("filled", "cancelled")
    assert rig.book.size("MNQ") == 0


def test_cancelling_an_entry_cancels_its_suspended_legs() -> None:
    rig = BookRig()
    entry = rig.bracket(BUY, 1, -40, 80)
    assert rig.book.cancel(entry.order_id, rig.now_ns)
    assert [order.status for order in rig.book.orders.values()] == ["cancelled"] * 3
    rig.quote(1000, 1002)
    assert rig.fills() == []
    assert not rig.book.cancel(entry.order_id, rig.now_ns)


def test_cancelling_one_leg_leaves_its_sibling_working() -> None:
    rig = BookRig()
    entry = rig.bracket(BUY, 1, -40, 80)
    rig.quote(1000, 1002)
    assert rig.book.cancel(entry.order_id + 1, rig.now_ns)
    assert rig.order(entry.order_id + 2).status == "open"


def test_F_ORD_07_closing_a_position_leaves_its_legs_working() -> None:
    rig = BookRig(NO_SLIP)
    entry = rig.bracket(BUY, 1, -40, 80)
    rig.quote(1000, 1002)
    assert rig.book.close("MNQ", rig.now_ns) is not None
    rig.quote(1000, 1002)
    assert rig.book.size("MNQ") == 0
    assert [order.status for order in rig.book.living_orders()] == ["open", "open"]
    rig.trade(900)
    assert rig.book.size("MNQ") == -1  # the orphaned stop opened a short: what a client has to prevent
    assert rig.order(entry.order_id + 2).status == "cancelled"


def test_trailing_leg_follows_the_best_trade_and_sells_behind_it() -> None:
    rig = BookRig(NO_SLIP)
    entry = rig.market(BUY, 1, stop_offset=-10, stop_trails=True)
    rig.quote(999, 1000)
    stop = rig.order(entry.order_id + 1)
    assert (stop.order_type, stop.stop) == ("trailing_stop", 990)
    for price, level in ((1005, 995), (1020, 1010), (1011, 1010)):
        rig.trade(price)
        assert stop.stop == level
    rig.quote(1009, 1010)
    rig.trade(1010)
    assert rig.fills()[-1].price == 1009


# ------------------------------------------------------------------------------------------------------ other orders
def test_limit_order_waits_for_a_trade_through_and_fills_at_its_price() -> None:
    rig = BookRig()
    rig.quote(1000, 1002)
    rig.book.place(OrderRequest("MNQ", "limit", BUY, 1, limit=990), rig.now_ns)
    rig.trade(1001)
    rig.trade(990)
    assert rig.fills() == []
    rig.trade(989)
    assert rig.fills()[0].price == 990


def test_crossing_limit_order_fills_at_the_quote_on_its_first_tick() -> None:
    rig = BookRig()
    rig.quote(1000, 1002)
    rig.book.place(OrderRequest("MNQ", "limit", BUY, 1, limit=1010), rig.now_ns)
    rig.quote(1001, 1003)
    assert rig.fills()[0].price == 1003


def test_closing_twice_before_the_fill_closes_once() -> None:
    rig = BookRig()
    rig.market(BUY, 2)
    rig.quote(1000, 1002)
    first = rig.book.close("MNQ", rig.now_ns)
    second = rig.book.close("MNQ", rig.now_ns)
    assert first is not None
    assert second is not None
    assert first.order_id == second.order_id
    rig.quote(1000, 1002)
    assert rig.book.size("MNQ") == 0
    assert rig.book.close("MNQ", rig.now_ns) is None


def test_partial_closes_add_up_and_never_turn_the_position() -> None:
    rig = BookRig()
    rig.market(BUY, 3)
    rig.quote(1000, 1002)
    rig.book.close("MNQ", rig.now_ns, 2)
    rig.book.close("MNQ", rig.now_ns, 2)
    rig.quote(1000, 1002)
    assert rig.book.size("MNQ") == 0


def test_a_tag_is_used_up_for_ever_also_by_rejected_orders_and_legs() -> None:
    rig = BookRig()
    rig.book.reject(OrderRequest("MNQ", "market", BUY, 1, tag="x"), rig.now_ns, "no")
    rig.bracket(BUY, 1, -4, 4, "y")
    assert [rig.book.tag_used(tag) for tag in ("x", "y", "y-SL", "y-TP", "z", "")] == [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    ("side", "stop", "target", "text"),
    [
        (BUY, 40, 80, "Invalid stop loss ticks (40). Ticks should be less than zero when longing."),
        (SELL, 40, 50, "Invalid take profit ticks (50). Ticks should be less than zero when going short."),
        (SELL, -50, -80, "Invalid stop loss ticks (-50). Stop loss tick value should be at least 4 ticks."),
        (BUY, -3, 80, "Invalid stop loss ticks (-3). Stop loss tick value should be at least 4 ticks."),
        (BUY, -4, -80, "Invalid take profit ticks (-80). Take profit tick value should be at least 4 ticks."),
        (BUY, -4, 4, None),
        (SELL, 4, -4, None),
        (BUY, None, None, None),
    ],
)
def test_bracket_texts_of_the_venue(side: int, stop: int | None, target: int | None, text: str | None) -> None:
    assert bracket_refusal(side, stop, target) == text


def test_a_stop_on_the_wrong_side_of_the_last_trade_is_refused() -> None:
    state = MarketState(1, last=100)
    assert stop_refusal(state, SELL, 100) == "Invalid stop price. A sell stop must be below the last price."
    assert stop_refusal(state, BUY, 99) == "Invalid stop price. A buy stop must be above the last price."
    assert stop_refusal(state, SELL, 99) is None
    assert stop_refusal(MarketState(1), SELL, 10**9) is None


# -------------------------------------------------------------------------------------------------------- properties
ACTIONS = st.one_of(
    st.tuples(st.just("tick"), st.integers(900, 1100), st.integers(0, 6)),
    st.tuples(st.just("market"), st.sampled_from([BUY, SELL]), st.integers(1, 5)),
    st.tuples(st.just("bracket"), st.sampled_from([BUY, SELL]), st.integers(4, 60)),
    st.tuples(st.just("limit"), st.sampled_from([BUY, SELL]), st.integers(900, 1100)),
    st.tuples(st.just("close"), st.integers(1, 5), st.just(0)),
    st.tuples(st.just("cancel"), st.integers(0, 40), st.just(0)),
)


def play(rig: BookRig, actions: list[tuple[str, int, int]]) -> None:
    for number, (name, first, second) in enumerate(actions):
        if name == "tick":
            rig.quote(first - second // 2, first + 1 + second // 2)
            rig.trade(first)
        elif name == "market":
            rig.market(first, second)
        elif name == "bracket":
            rig.bracket(first, 1, -first * second, first * second, f"t{number}")
        elif name == "limit":
            rig.book.place(OrderRequest("MNQ", "limit", first, 1, limit=second), rig.now_ns)
        elif name == "close":
            rig.book.close("MNQ", rig.now_ns, first)
        else:
            rig.book.cancel(3_000_000_000 + first, rig.now_ns)


@settings(max_examples=200, deadline=None)
@given(st.lists(ACTIONS, max_size=40))
def test_money_is_the_sum_of_the_fills(actions: list[tuple[str, int, int]]) -> None:
    """Against an independent account: cash flow of all fills, positions valued at cost."""
    rig = BookRig()
    play(rig, actions)
    fills = rig.fills()
    bought = sum(fill.side * fill.size for fill in fills)
    assert rig.book.size("MNQ") == bought
    costs = sum(fill.fees_cents + fill.commission_cents for fill in fills)
    assert costs == sum(fill.size for fill in fills) * 61
    realised = sum(fill.pnl_cents or 0 for fill in fills)
    assert rig.book.balance_cents == START_CENTS + realised - costs
    cash_ticks = -sum(fill.side * fill.size * fill.price for fill in fills)
    holding = rig.book.holding("MNQ")
    basis = 0 if holding is None else holding.price_size_sum * (1 if holding.size > 0 else -1)
    assert realised == (cash_ticks + basis) * 50


@settings(max_examples=200, deadline=None)
@given(st.lists(ACTIONS, max_size=40))
def test_I3_a_filled_bracket_has_its_stop_until_leg_or_client_ends_it(actions: list[tuple[str, int, int]]) -> None:
    rig = BookRig()
    cancelled = {3_000_000_000 + first for name, first, _ in actions if name == "cancel"}
    play(rig, actions)
    for entry in list(rig.book.orders.values()):
        legs = [order for order in rig.book.orders.values() if order.parent_id == entry.order_id]
        states = sorted(leg.status for leg in legs)
        if not legs:
            continue
        if entry.status == "filled" and not cancelled & {leg.order_id for leg in legs}:
            assert states in (["open", "open"], ["cancelled", "filled"])
        elif entry.status == "cancelled":
            assert states == ["cancelled", "cancelled"]
        elif entry.status == "pending":
            assert states == ["suspended", "suspended"] or cancelled


@settings(max_examples=100, deadline=None)
@given(st.lists(ACTIONS, max_size=30))
def test_orders_fill_once_and_final_states_are_final(actions: list[tuple[str, int, int]]) -> None:
    rig = BookRig()
    play(rig, actions)
    ended: set[int] = set()
    for event in rig.events:
        if isinstance(event, Order):
            assert event.order_id not in ended
            if event.status in FINAL:
                ended.add(event.order_id)
    for order in rig.book.orders.values():
        filled = sum(fill.size for fill in rig.fills() if fill.order_id == order.order_id)
        assert filled == order.filled == (order.size if order.status == "filled" else 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(ACTIONS, max_size=30))
def test_skipping_quiet_trades_changes_nothing(actions: list[tuple[str, int, int]]) -> None:
    """The book looks at nothing while trades stay between its bounds: compare with a book that always looks."""
    quick, slow = BookRig(), BookRig()
    play(quick, actions)
    slow.book._find_quiet = lambda contract: (float("inf"), float("-inf"))  # type: ignore[method-assign]
    play(slow, actions)
    assert quick.events == slow.events


def test_fill_ids_are_unique_and_rise() -> None:
    rig = BookRig()
    for _ in range(3):
        rig.market(BUY, 1)
        rig.quote(1000, 1002)
    ids = [fill.fill_id for fill in rig.fills() if isinstance(fill, Fill)]
    assert ids == sorted(set(ids))
