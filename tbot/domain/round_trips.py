"""From fills to round trips: entry to flat in one contract, however many fills (the unit of reports).

Gross P&L of a round trip is side times (exit sum - entry sum) in ticks times contracts, which is exact; it equals the
sum of what `Position.apply` realised on the way (design.md section 8, ruling 17).
"""

from dataclasses import dataclass, field

from tbot.domain.messages import Fill
from tbot.domain.positions import Position


@dataclass(frozen=True, slots=True)
class Leg:
    """The part of one fill that opened or closed; a fill that reverses a position gives two."""

    fill_id: int
    order_id: int
    now_ns: int
    size: int
    price: int  # ticks


@dataclass(slots=True)
class Trip:
    """A round trip under way (or complete, when `closed`)."""

    contract: str
    side: int
    opened_ns: int
    size: int = 0  # largest absolute position
    entries: list[Leg] = field(default_factory=list)
    exits: list[Leg] = field(default_factory=list)
    fees_cents: int = 0
    commission_cents: int = 0

    @property
    def opener_ids(self) -> list[int]:
        """Orders that opened or added, in order of their fills."""
        return list(dict.fromkeys([leg.order_id for leg in self.entries]))

    @property
    def entry_price_size(self) -> int:
        return sum(leg.price * leg.size for leg in self.entries)

    @property
    def exit_price_size(self) -> int:
        return sum(leg.price * leg.size for leg in self.exits)

    @property
    def closed(self) -> bool:
        return bool(self.exits) and sum(leg.size for leg in self.exits) == sum(leg.size for leg in self.entries)

    @property
    def proven(self) -> bool:
        """Whether fills opened all of it; False after the broker's position was taken for ours."""
        return all(leg.order_id for leg in self.entries)

    @property
    def gross_ticks(self) -> int:
        """Gross P&L in ticks times contracts; only for a closed trip."""
        return self.side * (self.exit_price_size - self.entry_price_size)

    @property
    def costs_cents(self) -> int:
        return self.fees_cents + self.commission_cents


@dataclass(slots=True)
class ContractBook:
    """Position and open round trip of one contract, folded from its fills in order of their ids."""

    contract: str
    position: Position = field(default_factory=Position)
    trip: Trip | None = None

    def apply(self, fill: Fill) -> tuple[int, Trip | None]:
        """Book one fill; returns its gross P&L (ticks x contracts) and the trip that it completed, if it did.

        ValueError as `Position.apply`. A fill that reverses splits its costs by contracts; the odd cent opens.
        """
        closing = self.position.closing_size(fill.side, fill.size)
        opening = fill.size - closing
        realised = self.position.apply(fill.side, fill.size, fill.price)
        fees = fill.fees_cents * closing // fill.size
        commission = fill.commission_cents * closing // fill.size
        done: Trip | None = None
        if closing and self.trip is not None:
            self.trip.exits.append(Leg(fill.fill_id, fill.order_id, fill.now_ns, closing, fill.price))
            self.trip.fees_cents += fees
            self.trip.commission_cents += commission
            if self.trip.closed:
                done, self.trip = self.trip, None
        if opening:
            if self.trip is None:
                self.trip = Trip(self.contract, fill.side, fill.now_ns)
            self.trip.entries.append(Leg(fill.fill_id, fill.order_id, fill.now_ns, opening, fill.price))
            self.trip.fees_cents += fill.fees_cents - fees
            self.trip.commission_cents += fill.commission_cents - commission
            self.trip.size = max(self.trip.size, abs(self.position.size))
        return realised, done

    def adopt(self, size: int, price_size_sum: int, now_ns: int) -> None:
        """Take the broker's position as the truth (after a confirmed mismatch); the trip under way has no result."""
        self.position = Position(size, price_size_sum)
        self.trip = None
        if size:
            price, rest = divmod(price_size_sum, abs(size))
            self.trip = Trip(self.contract, self.position.side, now_ns, size=abs(size))
            # Two legs keep the basis exact when the average is not a whole tick. Id 0: no fill and no order is known.
            self.trip.entries = [Leg(0, 0, now_ns, abs(size) - rest, price)]
            if rest:
                self.trip.entries.append(Leg(0, 0, now_ns, rest, price + 1))
