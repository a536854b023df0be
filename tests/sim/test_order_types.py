"""Order types as clients name them: joins, brackets on every kind of entry, trailing stops."""

from decimal import Decimal

from sim_rig import OWNER
from tbot.gateway.codec_tables import OrderType
from tbot.sim.orders import ModifyFields
from tbot.sim.views import broker_order
from venue_rig import FIRST, VenueRig

LIMIT, STOP = 1, 4


def test_join_and_stop_limit_orders_are_recorded_as_what_they_were_called() -> None:
    rig = VenueRig()
    for kind, side in ((OrderType.JOIN_BID, 0), (OrderType.JOIN_ASK, 1), (OrderType.STOP_LIMIT, 0)):
        rig.place(order_type=int(kind), side=side)
    contract = rig.exchange.contracts["MNQ"]
    records = [broker_order(order, rig.account_id, contract) for order in rig.orders]
    assert [int(record.type) for record in records] == [6, 7, 3]
    assert [record.limit_price for record in records] == [Decimal("250"), Decimal("250.50"), None]
    assert [int(record.status) for record in records] == [1, 1, 5]


def test_brackets_on_limit_and_stop_entries_and_a_trailing_stop_leg() -> None:
    rig = VenueRig()
    rig.place(order_type=LIMIT, limit_price="247.50", tag="l", stop_ticks=-8, stop_type=5)
    rig.place(order_type=STOP, stop_price="252.50", tag="s", target_ticks=10)  # 1010
    assert [order.status for order in rig.orders] == ["open", "suspended", "open", "suspended"]
    rig.trade(989)
    leg = rig.orders[1]
    assert (leg.order_type, leg.stop, leg.trail) == ("trailing_stop", 982, 8)
    rig.trade(1000)
    assert leg.stop == 992
    contract = rig.exchange.contracts["MNQ"]
    record = broker_order(leg, rig.account_id, contract)
    assert (record.trail_ticks, record.trail_price) == (-8, Decimal("-2.00"))  # signed, and a distance
    level = ModifyFields(rig.account_id, leg.order_id, trail_price=Decimal("247.50"))  # 10 ticks from the last trade
    assert rig.exchange.modify(OWNER, level, rig.now_ns).code == 0
    assert broker_order(leg, rig.account_id, contract).trail_ticks == -10
    rig.trade(1010)
    assert rig.orders[3].limit == 1020
    assert rig.size() == 2


def test_a_distance_sent_by_mistake_is_taken_for_a_level_on_modify_and_refused_on_place() -> None:
    rig = VenueRig()
    rig.trade(4000)
    assert rig.place(order_type=5, side=1, trail_price="2.50").text == "Trail Distance exceeds maximum (1000)"
    assert rig.place(order_type=5, side=1, trail_price="997.50").code == 0
    mistake = ModifyFields(rig.account_id, FIRST + 1, trail_price=Decimal("2.50"))
    assert rig.exchange.modify(OWNER, mistake, rig.now_ns).code == 0
    assert (rig.orders[1].trail, rig.orders[1].stop) == (3990, 10)
