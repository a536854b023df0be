"""The life of one order as a transition table, and the fold of order updates over it.

Updates of a broker arrive twice, late and out of order (failure-model.md F-NET-08), so an update that does not fit is a
value and never an exception: STALE is an older view of the order (ignored), IMPOSSIBLE is a contradiction that calls
for reconciliation. Final states are final and filled quantities only grow (I11). Statuses and what follows them:
projectx-gateway.md sections 7.2 and 8.
"""

from dataclasses import dataclass, replace
from enum import Enum

from tbot.domain.messages import OrderStatus, OrderType, OrderUpdate

FINAL: frozenset[OrderStatus] = frozenset({"filled", "cancelled", "expired", "rejected"})


def _then(*statuses: OrderStatus) -> frozenset[OrderStatus]:
    return frozenset(statuses) | FINAL


# What may follow what. A pair that is absent is refused. A state may be skipped when its event never came.
TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    "unknown": _then("suspended", "pending", "open", "pending_cancel"),
    "suspended": _then("pending", "open", "pending_cancel"),
    "pending": _then("open", "pending_cancel"),
    "open": _then("pending_cancel"),
    "pending_cancel": _then("open"),  # open again: the cancel was refused
    "filled": frozenset(),
    "cancelled": frozenset(),
    "expired": frozenset(),
    "rejected": frozenset(),
}


class Verdict(Enum):
    """What an update meant for an order."""

    NEW = "new"  # first sight of it
    SAME = "same"  # nothing changed
    CHANGED = "changed"
    STALE = "stale"  # an older view: only what grows was taken
    IMPOSSIBLE = "impossible"  # contradicts what is known: reconcile


@dataclass(frozen=True, slots=True)
class Order:
    """One order at the broker. Prices in ticks, sizes in contracts."""

    order_id: int
    contract: str
    side: int
    size: int
    filled: int
    status: OrderStatus
    order_type: OrderType
    limit: int | None
    stop: int | None
    tag: str
    parent_id: int | None

    @property
    def final(self) -> bool:
        return self.status in FINAL

    @property
    def remaining(self) -> int:
        """Contracts that may still fill; 0 in a final state."""
        return 0 if self.final else self.size - self.filled


@dataclass(frozen=True, slots=True)
class Folded:
    """The order after an update, what the update was, and for IMPOSSIBLE why."""

    order: Order
    verdict: Verdict
    why: str = ""


def fold(order: Order | None, update: OrderUpdate) -> Folded:
    """Apply one update. The order keeps its identity (contract, side) from the first sight of it."""
    if order is None:
        return _first(update)
    if (update.contract, update.side) != (order.contract, order.side):
        return Folded(order, Verdict.IMPOSSIBLE, f"order {order.order_id} changed its contract or side")
    if not 0 <= update.filled <= max(update.size, order.size):
        return Folded(order, Verdict.IMPOSSIBLE, f"order {order.order_id} filled {update.filled} of {update.size}")
    grown = replace(
        order,
        filled=max(order.filled, update.filled),
        size=max(order.size, update.size, update.filled) if order.final else order.size,
        tag=order.tag or update.tag,
        parent_id=order.parent_id if order.parent_id is not None else update.parent_id,
    )
    if update.status == order.status or update.status == "unknown":
        after = grown if order.final or update.filled < order.filled else _fresh(grown, update)
    elif update.status in TRANSITIONS[order.status] and update.filled >= order.filled:
        after = replace(_fresh(grown, update), status=update.status)
    elif order.final and update.status in FINAL:
        return Folded(grown, Verdict.IMPOSSIBLE, f"order {order.order_id} is {order.status}, now told {update.status}")
    else:
        return Folded(grown, Verdict.STALE)
    return Folded(after, Verdict.SAME if after == order else Verdict.CHANGED)


def _first(update: OrderUpdate) -> Folded:
    order = Order(
        order_id=update.order_id,
        contract=update.contract,
        side=update.side,
        size=update.size,
        filled=max(0, min(update.filled, update.size)),
        status=update.status,
        order_type=update.order_type,
        limit=update.limit,
        stop=update.stop,
        tag=update.tag,
        parent_id=update.parent_id,
    )
    if update.size <= 0 or not 0 <= update.filled <= update.size:
        return Folded(order, Verdict.IMPOSSIBLE, f"order {order.order_id} filled {update.filled} of {update.size}")
    return Folded(order, Verdict.NEW)


def _fresh(order: Order, update: OrderUpdate) -> Order:
    """Take the newer view of what may change in a working order: size and prices."""
    return replace(
        order,
        size=max(update.size, order.filled),
        limit=update.limit if update.limit is not None else order.limit,
        stop=update.stop if update.stop is not None else order.stop,
    )
