"""Working orders of our own that nothing explains any more (F-ORD-07), and how soon each is cancelled.

The broker links the two legs of its own bracket: one fills, the other is cancelled. A stop or target that we placed
later has no such link. When one of them fills, what is left works on against a flat account until our cancel is there,
and if price runs through it first the position is reversed by at most its own size, which is a surprise and closed at
once. So these are cancelled the moment fills say flat, without the second look that other leftovers get; the window is
one request, and price would have to travel from one exit to the other in it.
"""

from collections.abc import Set
from dataclasses import dataclass
from typing import Literal

from tbot.execution.order_manager import OrderManager
from tbot.execution.picture import Picture, Seen


@dataclass(frozen=True, slots=True)
class Leftover:
    """One of them. leg: a bracket leg where the contract is flat; the broker may be about to cancel it.

    entry: an entry without a live record. alone: without a link to what ended the position. surplus: a stop or target
    of our own making beside bracket legs that turned up after all and do the same for the whole position.
    """

    seen: Seen
    why: Literal["entry", "leg", "alone", "surplus"]


def leftovers(picture: Picture) -> list[Leftover]:
    """A stop beside a position is none, unless other proven stops cover all of it."""
    found = []
    unlinked = {own.contract for own in picture.protective.values()}
    for seen in picture.working():
        tag, contract = seen.tag, seen.order.contract
        if tag is None:
            continue
        entry = picture.entries.get(tag.base)
        alive = entry is not None and entry.live
        held = picture.ledger.position(contract).size != 0
        if tag.part == "entry":
            if not alive:
                found.append(Leftover(seen, "entry"))
        elif held:
            if tag.leg == "" and _covered_without(picture, seen):
                found.append(Leftover(seen, "surplus"))
        elif not alive:
            found.append(Leftover(seen, "alone" if tag.leg == "" or contract in unlinked else "leg"))
    return found


def _covered_without(picture: Picture, seen: Seen) -> bool:
    """Whether other orders of ours do for the whole position what this one does."""
    assert seen.tag is not None
    contract = seen.order.contract
    size = abs(picture.ledger.position(contract).size)
    if seen.tag.part == "stop":
        others = picture.stops(contract)
    else:
        others = [
            other.order
            for other in picture.part_orders(contract, "target")
            if seen.tag.part == "target" and other.order.status == "open" and other.missing_ns is None
        ]
    return sum(order.remaining for order in others if order.order_id != seen.order.order_id) >= size


def cancel_unlinked(picture: Picture, manager: OrderManager, in_doubt: Set[str], now_ns: int) -> None:
    """Cancel what is alone now. `in_doubt`: contracts whose flatness is contradicted, which wait for an answer."""
    for item in leftovers(picture):
        contract = item.seen.order.contract
        if item.why == "alone" and contract not in in_doubt:
            manager.cancel(contract, item.seen.order.order_id, now_ns)
