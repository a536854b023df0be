"""A completed round trip as the note that reports read: why it ended, whose signal it was, how the entry slipped."""

from typing import Literal

from tbot.domain.messages import RoundTrip
from tbot.domain.round_trips import Trip
from tbot.execution.order_manager import OrderManager
from tbot.execution.picture import Picture
from tbot.risk.ledger import Completed

ExitReason = Literal["stop", "target", "close", "other"]


def round_trip_note(done: Completed, picture: Picture, manager: OrderManager, account: int) -> RoundTrip | None:
    """The note of one round trip; None for a contract that is not ours to value."""
    trip = done.trip
    if trip.contract not in picture.products:
        return None
    return RoundTrip(
        now_ns=max(leg.now_ns for leg in trip.exits),
        account=account,
        contract=trip.contract,
        side=trip.side,
        size=trip.size,
        opened_ns=trip.opened_ns,
        entry_price_size=trip.entry_price_size,
        exit_price_size=trip.exit_price_size,
        gross_cents=done.gross_cents,
        fees_cents=trip.fees_cents,
        commission_cents=trip.commission_cents,
        exit_reason=_exit_reason(trip, picture, manager),
        signal_id=_signal_id(trip, picture),
        slippage_ticks=_slippage(trip, picture),
    )


def _exit_reason(trip: Trip, picture: Picture, manager: OrderManager) -> ExitReason:
    """By the order of the last exit; an order without our tag is our close-contract when one was sent in that time."""
    seen = picture.orders.get(trip.exits[-1].order_id)
    leg = seen.tag.leg if seen is not None and seen.tag is not None else ""
    if leg == "SL":
        return "stop"
    if leg == "TP":
        return "target"
    closed_ns = manager.closed_ns.get(trip.contract)
    return "close" if closed_ns is not None and closed_ns >= trip.opened_ns else "other"


def _signal_id(trip: Trip, picture: Picture) -> str:
    for order_id in trip.opener_ids:
        entry = picture.entries.get(picture.entry_of_order.get(order_id, ""))
        if entry is not None:
            return entry.signal_id
    return ""


def _slippage(trip: Trip, picture: Picture) -> int:
    """Entry fills against the adverse side of the decision quote, ticks summed over contracts; + is worse."""
    total = 0
    for leg in trip.entries:
        entry = picture.entries.get(picture.entry_of_order.get(leg.order_id, ""))
        if entry is not None:
            total += trip.side * (leg.price - entry.decision_price) * leg.size
    return total
