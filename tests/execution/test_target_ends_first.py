"""A target fills, and the word that its order is over comes before the fill itself: nothing is put in its place."""

import pytest

from desk_rig import Rig
from tbot.domain.messages import CloseContract, Fill, OrderUpdate, PlaceStop, PlaceTarget, RoundTrip


@pytest.mark.parametrize("leg", ["TP", "SL"])
@pytest.mark.parametrize("pause_s", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("side", [1, -1])
def test_F_NET_08_I6_no_second_target_for_a_position_that_its_first_has_closed(
    leg: str, pause_s: float, side: int
) -> None:
    """The newest answer still shows the position: it is older than the end of the order. Two targets turn it round."""
    rig = Rig().start()
    rig.signal(side=side)
    rig.run(12.0)  # the bracket is proven, and asked for again
    order = next(order for order in rig.broker.orders.values() if order.tag.endswith(leg))
    rig.broker.fill(order.order_id, price=order.limit if leg == "TP" else order.stop)
    events, rig.broker.events = rig.broker.events, []
    assert [type(event) for event in events[:2]] == [OrderUpdate, Fill]
    rig.broker.query_complete = False  # no answer from after the end until the fill is told
    rig.broker.events = events[:1]
    rig.pump()
    rig.run(pause_s)
    rig.broker.query_complete = True
    rig.broker.events += events[1:]
    rig.pump()
    rig.run(40.0)
    assert not [command for command in rig.broker.wire if isinstance(command, PlaceTarget | PlaceStop)]
    (trip,) = rig.of(RoundTrip)
    assert trip.exit_reason == ("target" if leg == "TP" else "stop")
    assert rig.desk.is_flat()
    assert rig.broker.size("MNQ") == 0


def test_F_ACC_05_a_target_that_answers_merely_stop_listing_gets_no_second_one_beside_it() -> None:
    """It may still work: both could fill and turn the position round."""
    rig = Rig().start()
    rig.signal(1)
    rig.run(2)
    rig.broker.hidden.add(rig.broker.leg("TP").order_id)
    rig.run(40)
    assert rig.view()["positions"][0]["target"] is None
    assert not rig.broker.sent(PlaceTarget)
    assert not rig.broker.sent(CloseContract)
    assert rig.view()["positions"][0]["protected"]
