"""The result of one account, derived by replay of its fills and of nothing else.

Fills are kept by id and replayed in order of id, so the same set of fills gives the same result in whatever order and
however often it was told (I11, F-NET-08); a late, corrected or voided fill just replays. Money in integer cents.
Per trading day (that of the fill's own time): net result, loss streak, counts. Over the run: the same summed, and
drawdown of the closed result.
Manual round trips of the account's owner count like the engine's own: the daily limits are account-wide (F-ACC-02).

Losses in a row after the broker's position replaced ours (F-ACC-01) are counted twice: in round trips of the adopted
position, and in those of the fills alone, which is what a restart will find; the longer row counts (I13). A gain on a
position that no fill opened ends no row: nothing proves that it was one.
"""

from collections import deque
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import date

from tbot.domain.contracts import Product, product_named
from tbot.domain.messages import Fill
from tbot.domain.positions import Position
from tbot.domain.round_trips import ContractBook, Trip
from tbot.risk.valuation import cents_of


@dataclass(slots=True)
class Row:
    """Losing round trips in a row: now, and the longest so far."""

    now: int = 0
    longest: int = 0

    def count(self, net_cents: int, *, proven: bool = True) -> None:
        """A round trip ended. Exactly 0 neither counts nor ends a row (F-RSK-03); a gain must be `proven` to end it."""
        if net_cents < 0:
            self.now += 1
            self.longest = max(self.longest, self.now)
        elif net_cents > 0 and proven:
            self.now = 0


@dataclass(slots=True)
class Tally:
    """Sums over some fills (a trading day, or the run). All money in cents."""

    gross_cents: int = 0  # by our own arithmetic
    broker_gross_cents: int = 0  # by the broker's P&L field where it has one
    fees_cents: int = 0
    commission_cents: int = 0
    trips: int = 0
    wins: int = 0
    losses: int = 0
    won_cents: int = 0  # net of winning round trips
    lost_cents: int = 0  # net of losing ones, as a positive number
    adopted: Row = field(default_factory=Row)  # losses in a row, by positions as the broker told them
    filled: Row = field(default_factory=Row)  # by the fills alone

    @property
    def streak(self) -> int:
        """Losing round trips in a row, now: the longer of both rows."""
        return max(self.adopted.now, self.filled.now)

    @property
    def streak_max(self) -> int:
        """The longest there was."""
        return max(self.adopted.longest, self.filled.longest)

    @property
    def net_cents(self) -> int:
        """Realised net; of our own and the broker's figure the more pessimistic one (F-RSK-01)."""
        return min(self.gross_cents, self.broker_gross_cents) - self.fees_cents - self.commission_cents

    @property
    def broker_net_cents(self) -> int:
        """Realised net by the broker's figures: what its balance has moved by."""
        return self.broker_gross_cents - self.fees_cents - self.commission_cents

    def count(self, net_cents: int, *, proven: bool) -> None:
        """A round trip was completed; `proven`: its fills tell of its beginning too."""
        self.trips += 1
        self.adopted.count(net_cents, proven=proven)
        if net_cents > 0:
            self.wins += 1
            self.won_cents += net_cents
        elif net_cents < 0:
            self.losses += 1
            self.lost_cents -= net_cents

    @property
    def win_rate(self) -> float | None:
        """Share of winning round trips, for display; None before the first."""
        return self.wins / self.trips if self.trips else None

    @property
    def profit_factor(self) -> float | None:
        """Won over lost, for display; None before the first loss."""
        return self.won_cents / self.lost_cents if self.lost_cents else None


@dataclass(frozen=True, slots=True)
class Completed:
    """A round trip that the replay found complete; `closing_fill` names it."""

    trip: Trip
    closing_fill: int
    day: date
    gross_cents: int

    @property
    def net_cents(self) -> int:
        return self.gross_cents - self.trip.costs_cents


@dataclass(frozen=True, slots=True)
class _Adoption:
    """The broker's position of one contract took the place of ours, after the newest fill of that time."""

    after_fill: int
    contract: str
    size: int
    price_size_sum: int
    now_ns: int


@dataclass(slots=True)
class _State:
    """What the replay of fills produces. Copied as the base of later replays when a day is closed."""

    books: dict[str, ContractBook] = field(default_factory=dict)
    by_fills: dict[str, ContractBook] = field(default_factory=dict)  # of contracts whose position was ever adopted
    day: date | None = None  # the newest with a fill
    days: dict[date, Tally] = field(default_factory=dict)
    total: Tally = field(default_factory=Tally)
    net_cents: int = 0  # by fill, over the run
    peak_cents: int = 0
    drawdown_cents: int = 0
    last_fill: int = -1
    by_order: dict[int, int] = field(default_factory=dict)  # order id -> contracts filled


class Ledger:
    """Folds fills of one account. `day_of` tells the trading day of a time; `products` by symbol."""

    def __init__(self, products: Mapping[str, Product], day_of: Callable[[int], date]) -> None:
        self._products = products
        self._day_of = day_of
        self._fills: dict[int, Fill] = {}
        self._adoptions: list[_Adoption] = []  # in order
        self._base = _State()
        self._state = _State()
        self._completed: list[Completed] = []
        self._reported: set[int] = set()
        self.voided: set[int] = set()
        self.version = 0  # rises with every change, so that others need not compare
        self._open: tuple[int, tuple[str, ...]] = (-1, ())  # open contracts, and the version for which that holds
        self._taken = -1  # version for which everything completed was handed out
        self._nothing = Tally()  # of a day without a fill

    # ------------------------------------------------------------------------------------------------ folding
    def add(self, fill: Fill) -> bool:
        """Book one fill; False when it told nothing new (a repeat, or from before the last closed day)."""
        known = self._fills.get(fill.fill_id)
        merged = fill if known is None else _merge(known, fill)
        if merged == known or (known is None and fill.fill_id <= self._base.last_fill):
            return False
        self._fills[fill.fill_id] = merged
        self.version += 1
        if known is None and fill.fill_id > self._state.last_fill:
            self._apply(merged)
        else:
            self._replay()
        return True

    def close_days_before(self, day: date) -> None:
        """Forget the single fills of earlier trading days once everything is flat; their sums stay.

        Keeps memory flat over long runs. Nothing is forgotten while a position is open.
        """
        flat = all(book.position.size == 0 for book in self._state.books.values())
        if not flat or not self._fills or self._state.day is None or self._state.day >= day:
            return
        self._state.books, self._state.by_fills, self._state.by_order = {}, {}, {}
        self._base = deepcopy(self._state)
        self._fills.clear()
        self._adoptions.clear()
        self._completed.clear()
        self._reported.clear()
        self.voided.clear()
        self.version += 1

    def adopt_position(self, contract: str, size: int, price_size_sum: int, now_ns: int) -> None:
        """The broker's position of one contract replaces ours (confirmed mismatch); results so far stay."""
        told = _Adoption(self._state.last_fill, contract, size, price_size_sum, now_ns)
        self._adoptions.append(told)
        self._adopt(told)
        self.version += 1

    def _adopt(self, told: _Adoption) -> None:
        book = self._state.books.setdefault(told.contract, ContractBook(told.contract))
        self._state.by_fills.setdefault(told.contract, deepcopy(book))
        book.adopt(told.size, told.price_size_sum, told.now_ns)

    def _replay(self) -> None:
        """From the last closed day on. Why adoptions too: the fills alone would bring a refuted position back."""
        self._state = deepcopy(self._base)
        self._completed = [done for done in self._completed if done.closing_fill <= self._base.last_fill]
        self.voided.clear()
        waiting = deque(self._adoptions)
        for number in sorted(self._fills):
            while waiting and waiting[0].after_fill < number:
                self._adopt(waiting.popleft())
            self._apply(self._fills[number])
        for told in waiting:
            self._adopt(told)

    def _apply(self, fill: Fill) -> None:
        state = self._state
        state.last_fill = fill.fill_id
        if fill.voided:
            self.voided.add(fill.fill_id)
            return
        state.by_order[fill.order_id] = state.by_order.get(fill.order_id, 0) + fill.size
        day = self._day_of(fill.now_ns)
        state.day = day if state.day is None else max(state.day, day)
        today = state.days.setdefault(day, Tally())
        book = state.books.setdefault(fill.contract, ContractBook(fill.contract))
        ticks, trip = book.apply(fill)
        product = self._products.get(fill.contract)
        gross = ticks * product.tick_value_cents if product else fill.pnl_cents or 0
        broker_gross = gross if fill.pnl_cents is None else fill.pnl_cents
        for tally in (today, state.total):
            tally.gross_cents += gross
            tally.broker_gross_cents += broker_gross
            tally.fees_cents += fill.fees_cents
            tally.commission_cents += fill.commission_cents
        state.net_cents += gross - fill.fees_cents - fill.commission_cents
        state.peak_cents = max(state.peak_cents, state.net_cents)
        state.drawdown_cents = max(state.drawdown_cents, state.peak_cents - state.net_cents)
        # Before anything was adopted both are the same.
        alone = state.by_fills[fill.contract].apply(fill)[1] if fill.contract in state.by_fills else trip
        # Also of what this run does not trade: the owner did, or a run of today with other contracts (F-RSK-03).
        counted = product or product_named(fill.contract)
        if trip is not None:
            worth = 0 if counted is None else cents_of(counted, trip.gross_ticks)
            self._completed.append(Completed(trip, fill.fill_id, day, worth))
        if counted is None:
            return  # nobody knows what its ticks are worth
        for tally in (today, state.total):
            if trip is not None:
                tally.count(self._completed[-1].net_cents, proven=trip.proven)
            if alone is not None:
                tally.filled.count(cents_of(counted, alone.gross_ticks) - alone.costs_cents)

    # ------------------------------------------------------------------------------------------------ questions
    def take_completed(self) -> list[Completed]:
        """Round trips that were not handed out yet, oldest first."""
        if self._taken == self.version:
            return []
        self._taken = self.version
        fresh = [done for done in self._completed if done.closing_fill not in self._reported]
        self._reported.update(done.closing_fill for done in fresh)
        return fresh

    def today(self, day: date) -> Tally:
        """The tally of trading day `day`, to be read only; zeros when nothing was filled in it (yet)."""
        return self._state.days.get(day, self._nothing)

    def nets(self) -> dict[date, int]:
        """Realised net of every trading day that had a fill, in cents, by the broker's figures."""
        return {day: tally.broker_net_cents for day, tally in self._state.days.items()}

    @property
    def total(self) -> Tally:
        """The tally of the run."""
        return self._state.total

    @property
    def drawdown_cents(self) -> int:
        """Largest fall of the realised net result from its peak, over the run."""
        return self._state.drawdown_cents

    def position(self, contract: str) -> Position:
        """Net position by the fills; flat when there were none."""
        book = self._state.books.get(contract)
        return book.position if book else Position()

    def open_contracts(self) -> tuple[str, ...]:
        """Contracts with a position, sorted. Asked for a dozen times an input, so found once for each version."""
        if self._open[0] != self.version:
            held = [name for name, book in self._state.books.items() if book.position.size]
            self._open = (self.version, tuple(sorted(held)))
        return self._open[1]

    def trip(self, contract: str) -> Trip | None:
        """The round trip under way."""
        book = self._state.books.get(contract)
        return book.trip if book else None

    def filled(self, order_id: int) -> int:
        """Contracts of one order that its fills add up to (of this and still open days)."""
        return self._state.by_order.get(order_id, 0)

    def knows(self, fill_id: int) -> bool:
        return fill_id in self._fills or fill_id <= self._base.last_fill

    def state(self) -> list[object]:
        """Data for a digest."""
        return [self._fills, self._adoptions, self._base, self._state, self._reported, self.version]


def _merge(known: Fill, told: Fill) -> Fill:
    """What two tellings of one fill say together; commutative, so their order does not matter.

    Costs may be posted late (F-RSK-02), so the larger counts; of two P&L values the worse; voided stays voided.
    """
    values = [value for value in (known.pnl_cents, told.pnl_cents) if value is not None]
    return replace(
        known,
        now_ns=min(known.now_ns, told.now_ns),
        fees_cents=max(known.fees_cents, told.fees_cents),
        commission_cents=max(known.commission_cents, told.commission_cents),
        pnl_cents=min(values) if values else None,
        voided=known.voided or told.voided,
    )
