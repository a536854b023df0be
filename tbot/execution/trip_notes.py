"""A completed round trip as the note that reports read: why it ended, whose signal it was, what it went through."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tbot.domain.messages import RoundTrip, SignalStamps
from tbot.domain.round_trips import Trip
from tbot.execution.entries import Entry
from tbot.execution.order_manager import OrderManager
from tbot.execution.picture import Picture
from tbot.risk.ledger import Completed

ExitReason = Literal["stop", "target", "close", "other"]


@dataclass(slots=True)
class Excursions:
    """Lowest and highest trade price while a position is open, by contract, from the ranges of timers.

    A range that began before the position was seen open tells of prices before it, so the first one is left out;
    the prices of its own fills count in any case. At most the stretch of one timer at each end is missed.
    """

    seen: dict[str, tuple[int, int] | None] = field(default_factory=dict)  # None: open, no range yet

    def look(self, held: Iterable[str], ranges: Mapping[str, tuple[int, int]]) -> None:
        """A timer came: take in its ranges of the contracts that were open at the timer before, too."""
        now: dict[str, tuple[int, int] | None] = {}
        for contract in held:
            now[contract] = self.seen.get(contract)
            if contract in self.seen and contract in ranges:
                now[contract] = _wider(self.seen[contract], *ranges[contract])
        self.seen = now

    def of(self, trip: Trip) -> tuple[int | None, int | None]:
        """(furthest against the average entry, furthest in its favour) in ticks, >= 0; None: nobody watched."""
        watched = self.seen.get(trip.contract)
        if watched is None:
            return None, None
        prices = [leg.price for leg in (*trip.entries, *trip.exits)]
        low, high = _wider(watched, min(prices), max(prices))
        size, basis = sum(leg.size for leg in trip.entries), trip.entry_price_size
        worst, best = (low, high) if trip.side > 0 else (high, low)
        # Rounded to the side that flatters less.
        against = -(trip.side * (worst * size - basis) // size)
        return max(0, against), max(0, trip.side * (best * size - basis) // size)


def _wider(held: tuple[int, int] | None, low: int, high: int) -> tuple[int, int]:
    return (low, high) if held is None else (min(held[0], low), max(held[1], high))


def identity(note: RoundTrip) -> str:
    """What one round trip is known by in every run of its day.

    No time: a fill that the user hub told is stamped when it came, one from a list when it was made. No reasons: a
    later run knows less about them.
    """
    size = f"{note.side * note.size:+d}"
    return f"{note.contract} {size} {note.entry_price_size} {note.exit_price_size} {note.signal_id}"


@dataclass(slots=True)
class Noted:
    """Round trips of the day that an earlier run has noted: the fills tell of them again after a restart."""

    left: dict[str, int] = field(default_factory=dict)  # identity -> how many have not come again yet

    def carry(self, trips: Iterable[tuple[str, str]], day: str) -> None:
        """What is on record of this trading day."""
        for of_day, known in trips:
            if of_day == day:
                self.left[known] = self.left.get(known, 0) + 1

    def again(self, note: RoundTrip) -> bool:
        """Whether this one is on record already; each record counts once."""
        known = identity(note)
        if not self.left.get(known):
            return False
        self.left[known] -= 1
        return True


def round_trip_note(
    done: Completed, picture: Picture, manager: OrderManager, excursions: Excursions, account: int
) -> RoundTrip | None:
    """The note of one round trip; None for a contract that is not ours to value."""
    trip = done.trip
    if trip.contract not in picture.products:
        return None
    entry = _entry(trip, picture)
    exit_reason, exit_code = _exit(trip, picture, manager)
    against, favour = excursions.of(trip)
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
        exit_reason=exit_reason,
        signal_id=entry.signal_id if entry else "",
        slippage_ticks=_slippage(trip, picture),
        entry_reason=entry.reason if entry else "",
        mae_ticks=against,
        mfe_ticks=favour,
        stamps=entry.stamps if entry else SignalStamps(),
        request_boot_ns=entry.request_boot_ns if entry else 0,
        answered_boot_ns=entry.answered_boot_ns if entry else 0,
        exit_code=exit_code,
    )


def _exit(trip: Trip, picture: Picture, manager: OrderManager) -> tuple[ExitReason, str]:
    """(reason, RC_ code of a close) by the order of the last exit.

    Untagged and not seen as somebody else's, it is our close-contract when one was sent in that time.
    """
    order_id = trip.exits[-1].order_id
    tag = picture.tag_of(order_id)
    own = picture.protective.get(picture.protective_of_order.get(order_id, ""))
    part = own.kind if own is not None else tag.part if tag is not None else ""
    if part == "stop":
        return "stop", ""
    if part == "target":
        return "target", ""
    closed = manager.closed.get(trip.contract)
    ours = part == "exit" or order_id in picture.close_orders or order_id not in picture.orders
    if not ours or closed is None or closed.now_ns < trip.opened_ns:
        return "other", ""
    return "close", closed.code


def _entry(trip: Trip, picture: Picture) -> Entry | None:
    """The first of our entries that opened it; None: nobody's signal."""
    for order_id in trip.opener_ids:
        entry = picture.entries.get(picture.entry_of_order.get(order_id, ""))
        if entry is not None:
            return entry
    return None


def _slippage(trip: Trip, picture: Picture) -> int:
    """Entry fills against the adverse side of the decision quote, ticks summed over contracts; + is worse."""
    total = 0
    for leg in trip.entries:
        entry = picture.entries.get(picture.entry_of_order.get(leg.order_id, ""))
        if entry is not None:
            total += trip.side * (leg.price - entry.decision_price) * leg.size
    return total
