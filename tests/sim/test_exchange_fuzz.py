"""Whatever a request says: the venue answers with a code of its endpoint, raises nothing, shows what it recorded."""

import json
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from sim_rig import ES, MNQ, OWNER
from tbot.gateway import codec_tables as tables
from tbot.gateway.codec import encode_answer
from tbot.sim.orders import ModifyFields, PlaceFields
from tbot.sim.views import broker_order
from venue_rig import FIRST, VenueRig

INT32 = st.integers(-(2**31), 2**31 - 1)
numbers = st.one_of(INT32, st.integers(-9, 9), st.sampled_from([0, 1, -1, 4, -4, 2**31 - 1]))
prices = st.one_of(
    st.none(),
    st.integers(-5000, 5000).map(lambda ticks: Decimal(ticks) / 4),
    st.decimals(allow_nan=True, allow_infinity=True),
)
ids = st.one_of(st.sampled_from([MNQ, ES, "CON.F.US.MNQ.H27", "CON.F.US.ZZ.Z26", "", "MNQ"]), st.text(max_size=12))
places = st.builds(
    PlaceFields,
    account=st.sampled_from([1001, 1001, 1001, 7]),
    contract_id=ids,
    order_type=st.one_of(st.integers(0, 8), numbers),
    side=st.one_of(st.integers(0, 1), numbers),
    size=st.one_of(st.integers(1, 5), numbers),
    limit_price=prices,
    stop_price=prices,
    trail_price=prices,
    tag=st.text(max_size=6),
    stop_ticks=st.one_of(st.none(), st.integers(-60, 60), numbers),
    stop_type=st.one_of(st.sampled_from([4, 5]), numbers),
    target_ticks=st.one_of(st.none(), st.integers(-60, 60), numbers),
    target_type=st.one_of(st.just(1), numbers),
)
modifies = st.builds(
    ModifyFields,
    account=st.sampled_from([1001, 1001, 7]),
    order_id=st.one_of(st.integers(FIRST, FIRST + 9), numbers),
    size=st.one_of(st.none(), st.integers(1, 5), numbers),
    limit_price=prices,
    stop_price=prices,
    trail_price=prices,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(places, modifies, st.integers(900, 1100)), max_size=12))
def test_F_ORD_03_no_request_is_too_strange(items: list[PlaceFields | ModifyFields | int]) -> None:
    rig = VenueRig()
    for item in items:
        if isinstance(item, int):
            rig.quote(item - 1, item + 1)
            rig.trade(item)
            continue
        if isinstance(item, PlaceFields):
            call, answer = tables.ORDER_PLACE, rig.exchange.place(OWNER, item, rig.now_ns)
            assert (answer.code == 0) <= (answer.order_id is not None)
        else:
            call, answer = tables.ORDER_MODIFY, rig.exchange.modify(OWNER, item, rig.now_ns)
        assert call.is_known(answer.code)
        assert answer.code == 0 or call.code_name(answer.code) not in ("UnknownError", "OrderPending")
        assert answer.code != 2 or call is tables.ORDER_MODIFY or answer.text
    records = [broker_order(order, 1001, rig.exchange.contracts[order.contract]) for order in rig.orders]
    shown = json.loads(encode_answer(tables.ORDER_SEARCH, records))["orders"]
    assert [row["id"] for row in shown] == [order.order_id for order in rig.orders]
    assert all(row["customTag"] == (order.tag or None) for row, order in zip(shown, rig.orders, strict=True))
