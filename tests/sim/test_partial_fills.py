"""Orders that execute in parts: legs, averages and money by hand."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from sim_rig import OWNER
from tbot.sim.exchange import Answer
from tbot.sim.orders import ModifyFields
from tbot.sim.views import broker_order, broker_position, broker_trade
from venue_rig import FIRST, S, VenueRig

LIMIT, STOP = 1, 4


def test_F_ORD_04_an_entry_fills_in_parts_and_its_legs_grow_with_it() -> None:
    rig = VenueRig()
    rig.controls.partial([2, 1, 2], [0, S, 2 * S])
    rig.bracket(size=5)
    rig.quote(1000, 1002)
    assert rig.states() == ["open 2/5", "open 0/2", "open 0/2"]
    assert rig.told()[-6:] == [
        "market open", "fill +2@1002", "position +2", "limit open", "stop open", "account 4999878 True"
    ]  # fmt: skip
    rig.quote(1009, 1011)
    assert rig.size() == 2  # the second part is not due
    rig.wait(S)
    assert rig.states() == ["open 3/5", "open 0/3", "open 0/3"]
    rig.wait(2 * S - 1)
    assert rig.size() == 3
    rig.wait(1)
    assert rig.states() == ["filled 5/5", "open 0/5", "open 0/5"]
    entry, stop, target = rig.orders
    assert entry.fill_sum == 2 * 1002 + 3 * 1011
    assert (stop.stop, target.limit) == (1002 - 40, 1002 + 80)  # from the first part: a stop never moves by itself
    record = broker_order(entry, rig.account_id, rig.exchange.contracts["MNQ"])
    assert (record.filled, record.filled_price) == (5, Decimal("251.85"))  # 5037 ticks of 0.25 over 5


def test_F_ORD_04_the_average_of_a_partial_fill_may_lie_between_ticks() -> None:
    rig = VenueRig()
    rig.controls.partial([1, 2], [0, S])
    rig.place(size=3)
    rig.quote(1000, 1002)
    rig.quote(1001, 1003)
    rig.wait(S)
    record = broker_order(rig.orders[0], rig.account_id, rig.exchange.contracts["MNQ"])
    assert record.filled_price == Decimal("250.666666667")  # 3008 ticks over 3
    holding = rig.account.book.holding("MNQ")
    assert holding is not None
    position = broker_position(holding, rig.account_id, rig.exchange.contracts["MNQ"])
    assert position.average_price == record.filled_price
    trades = [broker_trade(fill, rig.exchange.contracts["MNQ"]) for fill in rig.account.book.fills]
    assert [(trade.size, trade.price, trade.fees) for trade in trades] == [
        (1, Decimal("250.50"), Decimal("0.36")),
        (2, Decimal("250.75"), Decimal("0.72")),
    ]
    assert len({trade.order_id for trade in trades}) == 1


def test_F_ORD_04_what_the_parts_leave_over_hangs_until_it_is_cancelled() -> None:
    rig = VenueRig()
    rig.controls.partial([2])
    rig.bracket(size=5)
    rig.quote(1000, 1002)
    rig.wait(3600 * S)
    assert rig.states() == ["open 2/5", "open 0/2", "open 0/2"]
    assert rig.cancel(FIRST) == 0
    assert rig.states() == ["cancelled 2/5", "open 0/2", "open 0/2"]
    rig.trade(961)  # the stop at 962 gets out of what was filled, and of no more
    assert rig.size() == 0
    assert rig.states() == ["cancelled 2/5", "filled 2/2", "cancelled 0/2"]


def test_F_ORD_04_nothing_of_the_order_fills() -> None:
    rig = VenueRig()
    rig.controls.partial([])
    rig.bracket(size=2)
    rig.quote(1000, 1002)
    rig.wait(3600 * S)
    assert rig.states() == ["pending 0/2", "suspended 0/2", "suspended 0/2"]
    assert rig.cancel(FIRST) == 0
    assert {order.status for order in rig.orders} == {"cancelled"}


def test_F_ORD_04_a_leg_that_fills_in_part_takes_its_sibling_down_with_it() -> None:
    rig = VenueRig()
    rig.controls.partial([5])
    rig.bracket(size=5)
    rig.quote(1000, 1002)
    stop = rig.orders[1]
    rig.account.book._execute(stop, 2, 962, rig.now_ns)
    assert rig.states() == ["filled 5/5", "open 2/5", "open 0/3"]
    assert rig.size() == 3
    rig.trade(1083)
    assert rig.states() == ["filled 5/5", "cancelled 2/5", "filled 3/3"]
    assert rig.size() == 0
    # -2 x 40 ticks, +3 x 80 ticks of 50 cents, ten sides of 61 cents
    assert rig.account.book.balance_cents == 5_000_000 + (-80 + 240) * 50 - 10 * 61


def test_F_ORD_04_a_leg_that_is_done_ends_the_rest_of_its_entry() -> None:
    rig = VenueRig()
    rig.controls.partial([2, 3], [0, 60 * S])
    rig.bracket(size=5)
    rig.quote(1000, 1002)
    rig.trade(960)
    assert rig.states() == ["cancelled 2/5", "filled 2/2", "cancelled 0/2"]
    rig.wait(60 * S)
    assert rig.size() == 0


def test_F_ORD_04_a_limit_order_fills_its_later_parts_at_its_price() -> None:
    rig = VenueRig()
    rig.controls.partial([1, 1], [S, S])
    rig.place(order_type=LIMIT, limit_price="247.50", size=3)  # 990
    rig.trade(990)
    rig.wait(5 * S)
    assert rig.size() == 0  # a touch starts nothing
    rig.trade(989)
    rig.quote(1000, 1002)
    rig.wait(S)
    rig.wait(S)
    assert [(fill.size, fill.price) for fill in rig.account.book.fills] == [(1, 990), (1, 990)]
    assert rig.states() == ["open 2/3"]
    size_two = ModifyFields(rig.account_id, FIRST, size=2)
    assert rig.exchange.modify(OWNER, size_two, rig.now_ns) == Answer(3, "Invalid size. Size must be at least 3.")
    larger = ModifyFields(rig.account_id, FIRST, size=6)
    assert rig.exchange.modify(OWNER, larger, rig.now_ns).code == 0
    assert rig.states() == ["open 2/6"]


def test_F_ORD_04_a_stop_goes_on_filling_at_the_market_once_triggered() -> None:
    rig = VenueRig()
    rig.controls.partial([1, 1], [0, S])
    rig.place(order_type=STOP, side=1, stop_price="245", size=2)  # 980
    rig.trade(980)
    rig.quote(1100, 1101)  # the market is far away from the stop now
    rig.wait(S)
    assert [fill.price for fill in rig.account.book.fills] == [980, 1100]


def test_closing_a_partly_filled_position_asks_only_for_what_is_there() -> None:
    rig = VenueRig()
    rig.place(size=5)
    rig.quote(1000, 1002)
    rig.controls.partial([2])  # for the next order that is placed: a close is none
    assert rig.close() == 0
    rig.quote(1000, 1002)
    assert rig.size() == 0


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.sampled_from([0, 1]), st.integers(950, 1050))
def test_F_ORD_04_parts_at_one_price_come_to_the_same_as_the_whole(
    parts: list[int], side: int, exit_price: int
) -> None:
    money = []
    for sizes in (parts, [sum(parts)]):
        rig = VenueRig()
        rig.controls.partial(sizes, [0, *[S] * len(sizes)])
        rig.place(side=side, size=sum(parts))
        for _ in parts:
            rig.wait(S)
        assert rig.states() == [f"filled {sum(parts)}/{sum(parts)}"]
        rig.quote(exit_price, exit_price + 1)
        rig.controls.partial(sizes, call="close")
        rig.close()
        rig.wait(S)
        assert rig.size() == 0
        fills = rig.account.book.fills
        assert [fill.size for fill in fills] == [*sizes, *sizes]
        money.append((rig.account.book.balance_cents, rig.orders[0].fill_sum, rig.orders[1].fill_sum))
    assert money[0] == money[1]
