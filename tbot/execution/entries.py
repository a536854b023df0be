"""Placements from intent to end, with the states that an ambiguous answer gives them (failure-model.md R2, R3).

An Entry opens a position; a Protective placement (a missing stop or target, or the exit that stands in for a refused
close) only takes out of one. Both are requests that are sent once and never again under the same tag.
"""

from dataclasses import dataclass, field
from typing import Literal

from tbot.domain.messages import SignalStamps
from tbot.execution.settings import CarriedEntry, CarriedOrder

# sent: no answer yet. working: known at the broker. unknown: outcome not proven either way. presumed_dead: was absent
# from enough explicit answers; a later sighting re-opens it. done: filled, wholly or in part, and final. dead: proven
# not to have filled.
PlacementStatus = Literal["sent", "working", "unknown", "presumed_dead", "done", "dead"]
LIVE: frozenset[PlacementStatus] = frozenset({"sent", "working", "unknown"})


@dataclass(slots=True, kw_only=True)
class Placement:
    """One placement request and what became of it."""

    tag: str
    contract: str
    side: int  # of the order
    size: int
    sent_ns: int
    sent_step: int
    command_id: str = ""
    status: PlacementStatus = "sent"
    order_id: int | None = None
    unknown_ns: int = 0
    unknown_step: int = 0
    answers: int = 0  # explicit answers since it is unknown in which it was absent
    missing_ns: int | None = None  # known order absent from a complete answer, first at this time
    late: bool = False  # seen again after it was presumed dead

    @property
    def live(self) -> bool:
        """Whether it may still fill, as far as is proven."""
        return self.status in LIVE

    @property
    def unproven(self) -> bool:
        """Whether it is not known if there is an order at all."""
        return self.status in ("sent", "unknown")

    def doubt(self, now_ns: int, step: int) -> None:
        """The outcome of the placement is not proven: UNKNOWN from now on."""
        if self.status == "sent":
            self.status, self.unknown_ns, self.unknown_step, self.answers = "unknown", now_ns, step, 0

    def found(self, order_id: int) -> None:
        """The broker named the order."""
        self.order_id = order_id
        if self.status == "presumed_dead":
            self.late = True
        if self.status in ("sent", "unknown", "presumed_dead", "dead"):
            self.late = self.late or self.status == "dead"
            self.status = "working"


@dataclass(slots=True, kw_only=True)
class Entry(Placement):
    """One approved entry. Distances in ticks, risk in cents, `decision_price` in ticks."""

    signal_id: str
    stop_ticks: int
    target_ticks: int
    risk_cents: int
    decision_price: int
    reason: str = ""  # of the signal
    stamps: SignalStamps = field(default_factory=SignalStamps)
    request_boot_ns: int = 0
    answered_boot_ns: int = 0


@dataclass(slots=True, kw_only=True)
class Protective(Placement):
    """An order of ours that takes out of a position. `price` in ticks; None at market."""

    kind: Literal["stop", "target", "exit"]
    price: int | None = None
    refused: bool = False  # the broker said no: that it never lived is proven


def carried_entry(carried: CarriedEntry) -> Entry:
    """An entry of an earlier run; what its journal does not prove is UNKNOWN."""
    entry = Entry(
        tag=carried.tag,
        signal_id=carried.signal_id,
        contract=carried.contract,
        side=carried.side,
        size=carried.size,
        stop_ticks=carried.stop_ticks,
        target_ticks=carried.target_ticks,
        risk_cents=carried.risk_cents,
        decision_price=carried.decision_price,
        reason=carried.reason,
        sent_ns=carried.now_ns,
        sent_step=0,
    )
    _as_recorded(entry, carried)
    return entry


def carried_order(carried: CarriedOrder) -> Protective:
    """A protective placement of an earlier run, likewise."""
    order = Protective(
        tag=carried.tag,
        kind=carried.kind,
        contract=carried.contract,
        side=carried.side,
        size=carried.size,
        price=carried.price,
        refused=carried.outcome == "rejected",
        sent_ns=carried.now_ns,
        sent_step=0,
    )
    _as_recorded(order, carried)
    return order


def _as_recorded(placement: Placement, carried: CarriedEntry | CarriedOrder) -> None:
    if carried.outcome in ("rejected", "not_sent"):
        placement.status = "dead"
    elif carried.outcome == "accepted" and carried.order_id is not None:
        placement.status, placement.order_id = "working", carried.order_id
    else:
        placement.doubt(carried.now_ns, 0)
