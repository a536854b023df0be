"""The report's money against the broker's own trades, to the cent; what differs is named by its number.

The broker's trades (fills) are folded by the engine's own ledger, so a voided, late or corrected one counts as it
counts for the engine. Where the broker posted the costs of a trade after the engine had noted it, the broker's costs
are the report's (F-RSK-02).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tbot.analytics.journal_records import Told
from tbot.analytics.period import Period
from tbot.analytics.round_trips import Deal
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Fill
from tbot.domain.round_trips import Trip
from tbot.domain.trading_hours import trading_day
from tbot.risk.ledger import Completed, Ledger

NEAR_NS = 600_000_000_000  # the broker's time of a fill and ours of the same one differ by the way it took


@dataclass(frozen=True, slots=True)
class BrokerTrip:
    """A round trip as the broker's trades tell it. Money in cents."""

    account: int
    contract: str
    side: int
    size: int
    closed_ns: int
    fills: tuple[int, ...]  # numbers of its trades
    gross_cents: int  # by the broker's own P&L where it tells one
    own_gross_cents: int  # of the same fills by our arithmetic
    fees_cents: int
    commission_cents: int
    entry_price_size: int
    exit_price_size: int

    @property
    def net_cents(self) -> int:
        return self.gross_cents - self.fees_cents - self.commission_cents


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which the two do not agree. `ids`: the broker's numbers of the trades; (): it has none."""

    kind: Literal["gross", "costs", "not at the broker", "not in the journal", "trade not in the journal",
                  "trade not at the broker"]  # fmt: skip
    account: int
    contract: str
    at_ns: int
    ids: tuple[int, ...]
    ours_cents: int | None
    broker_cents: int | None
    text: str


@dataclass(frozen=True, slots=True)
class BrokerCheck:
    """What the comparison came to. Sums are of the period's round trips."""

    source: str  # in words: whose list it was
    fills: int
    trips: int
    ours_cents: int
    broker_cents: int
    differences: tuple[Difference, ...]
    posted_late: int  # round trips whose costs the broker told after the engine had noted them

    @property
    def equal(self) -> bool:
        return not self.differences and self.ours_cents == self.broker_cents

    @property
    def compared(self) -> bool:
        """Whether there was anything to compare: of nothing nothing is claimed."""
        return bool(self.trips or self.differences or self.ours_cents or self.broker_cents)


def merged(tellings: Iterable[Told]) -> dict[tuple[int, int], Ledger]:
    """(world, account) -> everything that was told of its fills, folded."""
    ledgers: dict[tuple[int, int], Ledger] = {}
    for told in tellings:
        fill: Fill = told.item
        key = (told.world, fill.account)
        if key not in ledgers:
            ledgers[key] = Ledger(PRODUCTS, trading_day)
        ledgers[key].add(fill)
    return ledgers


def broker_trips(tellings: Sequence[Told], period: Period) -> dict[int, list[BrokerTrip]]:
    """World -> round trips that the broker's trades make and that end in the period."""
    newest = {(told.world, told.item.account, told.item.fill_id): told.item for told in tellings}
    for told in tellings:  # of two results the broker told, the worse counts, as in the ledger
        key = (told.world, told.item.account, told.item.fill_id)
        values = [value for value in (newest[key].pnl_cents, told.item.pnl_cents) if value is not None]
        newest[key] = replace(newest[key], pnl_cents=min(values) if values else None)
    found: dict[int, list[BrokerTrip]] = {}
    for (world, account), ledger in merged(tellings).items():
        for done in ledger.take_completed():
            closed = max(leg.now_ns for leg in done.trip.exits)
            if period.holds(closed):
                fills = {fill_id: newest[world, account, fill_id] for fill_id in _ids(done.trip)}
                found.setdefault(world, []).append(_trip(account, done, closed, fills))
    return found


def _ids(trip: Trip) -> tuple[int, ...]:
    return tuple(dict.fromkeys(leg.fill_id for leg in (*trip.entries, *trip.exits)))


def _trip(account: int, done: Completed, closed_ns: int, fills: dict[int, Fill]) -> BrokerTrip:
    trip = done.trip
    told = [fills[leg.fill_id].pnl_cents for leg in trip.exits]
    known = all(value is not None for value in told)
    return BrokerTrip(
        account, trip.contract, trip.side, trip.size, closed_ns, _ids(trip),
        sum(value for value in told if value is not None) if known else done.gross_cents,
        done.gross_cents, trip.fees_cents, trip.commission_cents, trip.entry_price_size, trip.exit_price_size,
    )  # fmt: skip


def compare(
    deals: Sequence[Deal], tellings: Sequence[Told], period: Period, source: str, journal: Sequence[Told] | None = None
) -> tuple[list[Deal], BrokerCheck]:
    """(deals with the broker's costs, what differs). `tellings`: the broker's trades; `journal`: those of the journal
    where the broker was asked itself, to be compared one by one."""
    theirs = broker_trips(tellings, period)
    waiting = {world: list(trips) for world, trips in theirs.items()}
    if journal is not None:  # the broker's own list knows of no worlds
        waiting = {0: [trip for trips in theirs.values() for trip in trips]}
    kept: list[Deal] = []
    found: list[Difference] = []
    late = 0
    for deal in deals:
        trips = waiting.get(0 if journal is not None else deal.world, [])
        match = _match(deal, trips)
        if match is None:
            found.append(_lonely(deal))
            kept.append(deal)
            continue
        trips.remove(match)
        costs = (match.fees_cents, match.commission_cents)
        if costs != (deal.trip.fees_cents, deal.trip.commission_cents):
            late += 1
        kept.append(replace(deal, trip=replace(deal.trip, fees_cents=costs[0], commission_cents=costs[1])))
        if match.gross_cents != deal.trip.gross_cents:
            found.append(_money(deal, match))
    found += [_missing(trip) for trips in waiting.values() for trip in trips]
    if journal is not None:
        found += _one_by_one(tellings, journal, period)
    broker = sum(trip.net_cents for trips in theirs.values() for trip in trips)
    inside = [told for told in tellings if period.holds(told.item.now_ns)]
    numbers = {(told.world, told.item.account, told.item.fill_id) for told in inside}
    return kept, BrokerCheck(
        source, len(numbers), sum(map(len, theirs.values())), sum(deal.net_cents for deal in kept), broker,
        tuple(sorted(found, key=lambda one: (one.at_ns, one.account, one.ids))), late,
    )  # fmt: skip


def _match(deal: Deal, trips: Sequence[BrokerTrip]) -> BrokerTrip | None:
    """The broker's trip of the same fills: same place, side, size and prices, and nearest in time."""
    trip = deal.trip
    wanted = (trip.account, trip.contract, trip.side, trip.size, trip.entry_price_size, trip.exit_price_size)
    near = [
        other
        for other in trips
        if wanted
        == (other.account, other.contract, other.side, other.size, other.entry_price_size, other.exit_price_size)
        and abs(other.closed_ns - trip.now_ns) <= NEAR_NS
    ]
    return min(near, key=lambda other: abs(other.closed_ns - trip.now_ns), default=None)


def _lonely(deal: Deal) -> Difference:
    trip = deal.trip
    text = "the journal notes this round trip, and the broker's trades do not make it up"
    return Difference("not at the broker", trip.account, trip.contract, trip.now_ns, (), deal.net_cents, None, text)


def _missing(trip: BrokerTrip) -> Difference:
    text = "the broker's trades make a round trip that the journal does not note"
    return Difference(
        "not in the journal", trip.account, trip.contract, trip.closed_ns, trip.fills, None, trip.net_cents, text
    )


def _money(deal: Deal, match: BrokerTrip) -> Difference:
    text = "the broker's result before costs is not what the prices of its trades give"
    return Difference(
        "gross", match.account, match.contract, match.closed_ns, match.fills, deal.trip.gross_cents, match.gross_cents,
        text,
    )  # fmt: skip


def _one_by_one(tellings: Sequence[Told], journal: Sequence[Told], period: Period) -> list[Difference]:
    """Single trades that only one side knows."""

    def by_id(side: Sequence[Told]) -> dict[tuple[int, int], Fill]:
        return {(told.item.account, told.item.fill_id): told.item for told in side if not told.item.voided}

    broker, ours = by_id(tellings), by_id(journal)
    found = [
        Difference("trade not in the journal", fill.account, fill.contract, fill.now_ns, (fill.fill_id,), None,
                   _worth(fill), "the journal never heard of this trade")
        for key, fill in broker.items() if key not in ours and period.holds(fill.now_ns)
    ]  # fmt: skip
    found += [
        Difference("trade not at the broker", fill.account, fill.contract, fill.now_ns, (fill.fill_id,), _worth(fill),
                   None, "the journal holds this trade, and the broker does not list it")
        for key, fill in ours.items() if key not in broker and period.holds(fill.now_ns)
    ]  # fmt: skip
    return found


def _worth(fill: Fill) -> int:
    """What a fill moved the balance by."""
    return (fill.pnl_cents or 0) - fill.fees_cents - fill.commission_cents

