"""One entry from intent to its end, with the states that an ambiguous answer gives it (failure-model.md R2, R3)."""

from dataclasses import dataclass
from typing import Literal

from tbot.execution.settings import CarriedEntry

# sent: no answer yet. working: known at the broker. unknown: outcome not proven either way. presumed_dead: was absent
# from enough explicit answers; a later sighting re-opens it. done: filled, wholly or in part, and final. dead: proven
# not to have filled.
EntryStatus = Literal["sent", "working", "unknown", "presumed_dead", "done", "dead"]
LIVE: frozenset[EntryStatus] = frozenset({"sent", "working", "unknown"})


@dataclass(slots=True)
class Entry:
    """One placement request. Distances in ticks, risk in cents, `decision_price` in ticks."""

    tag: str
    signal_id: str
    contract: str
    side: int
    size: int
    stop_ticks: int
    target_ticks: int
    risk_cents: int
    decision_price: int
    sent_ns: int
    sent_step: int
    command_id: str = ""
    status: EntryStatus = "sent"
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
        sent_ns=carried.now_ns,
        sent_step=0,
    )
    if carried.outcome in ("rejected", "not_sent"):
        entry.status = "dead"
    elif carried.outcome == "accepted" and carried.order_id is not None:
        entry.status, entry.order_id = "working", carried.order_id
    else:
        entry.doubt(carried.now_ns, 0)
    return entry
