"""Checks of money and losses: I11 quantities and P&L, I12 the daily limit, I13 losses in a row and entries of a day."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from dst.checks_orders import CLOSE
from dst.evidence import JournalStep, WireRequest
from dst.purse import Purse, day_of, product_of, purse_of
from dst.referee import Check, Facts, world_check
from tbot.domain.messages import Fill, Intent, OrderUpdate, RoundTrip, Snapshot
from tbot.domain.timeframes import NS_PER_S

FINAL = frozenset({"filled", "cancelled", "expired", "rejected"})
TOUCH_NS = 1 * NS_PER_S  # the engine looks twice a second: a dip shorter than this it need not have seen
START_NS = 2 * NS_PER_S  # from the limit to the first close
FLAT_NS = 10 * NS_PER_S


class Told:
    """Ids of fills that the Desk was told of, in whatever life."""

    def __init__(self) -> None:
        self.ids: set[int] = set()

    def take(self, step: JournalStep) -> None:
        item = step.item
        if isinstance(item, Fill):
            self.ids.add(item.fill_id)
        elif isinstance(item, Snapshot):
            self.ids.update(fill.fill_id for fill in item.fills)

    def purse(self, facts: Facts, account: int) -> Purse:
        """The exchange's fills, as far as the Desk knew of them."""
        return purse_of(fill for fill in facts.evidence.accounts[account].book.fills if fill.fill_id in self.ids)


def unexplained(facts: Facts, account: int) -> set[str]:
    """Contracts whose position at the broker is not the sum of its fills: somebody changed it (F-ACC-01)."""
    sums: dict[str, int] = {}
    for fill in facts.evidence.accounts[account].book.fills:
        sums[fill.contract] = sums.get(fill.contract, 0) + fill.side * fill.size
    held = {item.contract: item.size for item in facts.evidence.holdings(account)}
    return {name for name in sums.keys() | held.keys() if sums.get(name, 0) != held.get(name, 0)}


def told_by_broker(fills: Iterable[Fill], day: date) -> int:
    """Net cents of a trading day by the result that the broker itself wrote into its closing trades."""
    counted = [fill for fill in fills if not fill.voided and day_of(fill.now_ns) == day]
    return sum((fill.pnl_cents or 0) - fill.fees_cents - fill.commission_cents for fill in counted)


@world_check("I11")
class QuantitiesGrow(Check):
    """Filled quantities only grow and stay within the order; what is over stays over; P&L is the sum of the fills."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.filled: dict[int, int] = {}
        self.over: set[int] = set()  # told to be final
        self.told = Told()
        self.changed: dict[int, set[str]] = {}
        self.life = 0

    def on_step(self, step: JournalStep) -> None:
        if step.executor != self.life:  # a new life begins with an empty picture
            self.life, self.filled, self.over = step.executor, {}, set()
        item = step.item
        self.told.take(step)
        for update in (item,) if isinstance(item, OrderUpdate) else item.orders if isinstance(item, Snapshot) else ():
            if update.status in FINAL:
                self.over.add(update.order_id)
        for output in step.outputs:
            if isinstance(output, RoundTrip):
                self._trip(output)

    def on_book(self, account: int) -> None:
        changed = unexplained(self.facts, account)
        if changed:
            self.changed.setdefault(account, set()).update(changed)

    def on_view(self) -> None:
        for account in self.facts.rules.limits:
            view = self.facts.account_view(account)
            for order in view["orders"] if view else ():
                self.judge()
                number, filled = order["order_id"], order["filled"]
                if not self.filled.get(number, 0) <= filled <= order["size"]:
                    self.fail(f"order {number} is said to have filled {filled} after {self.filled.get(number, 0)}")
                if number in self.over:
                    self.fail(f"order {number} was over and works again")
                self.filled[number] = filled

    def _trip(self, note: RoundTrip) -> None:
        if note.contract in self.changed.get(note.account, ()) or product_of(note.contract) is None:
            return
        self.judge()
        trips = self.told.purse(self.facts, note.account).trips
        # Without the time: a fill that the user hub told is stamped when it came, one from a list when it was made.
        wanted = (note.contract, note.gross_cents, note.fees_cents + note.commission_cents)
        if wanted not in [(trip.contract, trip.gross_cents, trip.costs_cents) for trip in trips]:
            self.fail(f"no fills make the round trip {wanted}")

    def on_end(self) -> None:
        facts = self.facts
        for account in facts.rules.limits:
            view = facts.account_view(account)
            fills = facts.evidence.accounts[account].book.fills
            known = all(fill.fill_id in self.told.ids for fill in fills)
            if view is None or not known or account in self.changed or facts.evidence.holdings(account):
                continue
            self.judge()
            today = purse_of(fills).realised.get(day_of(facts.evidence.market_ns), 0)
            if any(number == account for number, *_ in facts.evidence.mutated):
                # A fault can put another price under a position of the same size (F-ACC-01): its fills still explain
                # it, yet the broker's own result of the closing trade is another; the worse of both counts (F-RSK-01).
                today = min(today, told_by_broker(fills, day_of(facts.evidence.market_ns)))
            if view["day_pnl_cents"] != today and not facts.evidence.faults:
                self.fail(f"account {account} made {today} cents today; the engine says {view['day_pnl_cents']}")


@dataclass
class Day:
    """One account's trading day under the loss limit."""

    day: date | None = None
    low_boot_ns: int | None = None  # worth at or below the limit since then
    low_calm_ns: int = 0
    worth_cents: int = 0  # when it got there
    marks: dict[str, int] = field(default_factory=dict)  # adverse prices then
    first_fill: int = 0  # index of the first fill after that
    tripped: bool = False
    flat: bool = False  # since then
    closes: int = 0  # close requests since there is something to close


@world_check("I12")
class DailyLoss(Check):
    """At the limit: no more entries, closes within 2 s, flat within 10 s; no loss beyond but that exit's slippage."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.purses: dict[int, Purse] = {account: Purse() for account in facts.rules.limits}
        self.booked: dict[int, int] = dict.fromkeys(facts.rules.limits, 0)
        self.days: dict[int, Day] = {account: Day() for account in facts.rules.limits}
        self.told = Told()

    def on_book(self, account: int) -> None:
        fills = self.facts.evidence.accounts[account].book.fills
        for fill in fills[self.booked[account] :]:
            self.purses[account].add(fill)
        self.booked[account] = len(fills)

    def worth(self, account: int, day: date) -> tuple[int, int]:
        """(day's result if everything were closed at the adverse price, fees taken off; reserve) in cents."""
        purse, limits = self.purses[account], self.facts.rules.limits[account]
        total, reserve = purse.realised.get(day, 0), 0
        for contract, lots in self._held(account).items():
            product, state = product_of(contract), self.facts.evidence.states.get(contract)
            if not lots or product is None or state is None:
                continue
            price = state.bid if lots[0][0] > 0 else state.ask
            price = state.last if price is None else price
            size = sum(lot[2] for lot in lots)
            fees = size * (product.fees_cents + product.commission_cents)
            if price is not None:
                total += sum(side * (price - paid) * held for side, paid, held in lots) * product.tick_value_cents
            total -= fees
            reserve += fees + limits.loss_reserve_ticks * size * product.tick_value_cents
        return total, reserve

    def _held(self, account: int) -> dict[str, deque[list[int]]]:
        """What is open, by contract: the lots that the fills left. Where a fault changed the position without a fill
        (F-ACC-01) the broker's word is all there is: one lot a contract at the price that it says was paid."""
        lots, evidence = self.purses[account].lots, self.facts.evidence
        if not evidence.mutated:
            return lots
        changed = unexplained(self.facts, account)
        if not changed:
            return lots
        told = {
            item.contract: deque([[1 if item.size > 0 else -1, item.average_sum // item.average_size, abs(item.size)]])
            for item in evidence.holdings(account)
            if item.contract in changed
        }
        return {name: held for name, held in lots.items() if name not in changed} | told

    def on_event(self) -> None:
        evidence = self.facts.evidence
        today = day_of(evidence.market_ns)
        for account, watch in self.days.items():
            if watch.day != today:
                self._settle(account, watch)
                self.days[account] = Day(today)
            elif self.booked[account]:
                self._look(account, watch, today)

    def _look(self, account: int, watch: Day, today: date) -> None:
        facts, limits = self.facts, self.facts.rules.limits[account]
        boot_ns = facts.evidence.boot_ns
        if not watch.tripped:
            worth, reserve = self.worth(account, today)
            if worth > -(limits.daily_loss_cents - reserve):
                watch.low_boot_ns = None
            elif watch.low_boot_ns is None:
                watch.low_boot_ns = boot_ns
                self._begin(watch, account, worth)
            elif boot_ns - watch.low_boot_ns >= TOUCH_NS:
                watch.tripped = True
            return
        held = facts.evidence.holdings(account)
        if not held:
            watch.flat = True
            return
        if watch.flat:  # a person traded in a locked account: it can be closed from now on, at what it costs now
            watch.flat = False
            self._begin(watch, account, self.worth(account, today)[0])
        self.judge()
        waited_ns = facts.calm_waited_ns(watch.low_calm_ns) - TOUCH_NS
        if waited_ns > START_NS and not watch.closes:
            self.fail(f"account {account} is at {watch.worth_cents} cents and nothing is being closed")
        if waited_ns > FLAT_NS:
            self.fail(f"account {account} is at {watch.worth_cents} cents and still holds {held[0].contract}")

    def _begin(self, watch: Day, account: int, worth: int) -> None:
        """From here on there is something to close, and no more may be lost than it is worth now."""
        watch.low_calm_ns, watch.closes, watch.worth_cents = self.facts.calm_ns, 0, worth
        watch.first_fill = len(self.facts.evidence.accounts[account].book.fills)
        watch.marks = self._marks(account)

    def _marks(self, account: int) -> dict[str, int]:
        marks = {}
        for contract, lots in self._held(account).items():
            state = self.facts.evidence.states.get(contract)
            price = None if state is None or not lots else state.bid if lots[0][0] > 0 else state.ask
            if price is not None:
                marks[contract] = price
        return marks

    def on_request(self, request: WireRequest) -> None:
        watch = self.days.get(request.account or 0)
        if watch is not None and request.path == CLOSE:
            watch.closes += 1

    def on_step(self, step: JournalStep) -> None:
        self.told.take(step)
        for output in step.outputs:
            if isinstance(output, Intent) and output.account in self.days:
                self._entry(output)

    def _entry(self, intent: Intent) -> None:
        """R10 by a milder figure than the gate's: realised, the stops of what is open, and this order."""
        self.judge()
        facts, account = self.facts, intent.account
        if self.days[account].tripped:
            self.fail(f"{intent.tag} after the daily limit was reached")
        limits = facts.rules.limits[account]
        purse = self.told.purse(facts, account)
        left = limits.daily_loss_cents + purse.realised.get(day_of(intent.now_ns), 0) - intent.risk_cents
        for contract, lots in purse.lots.items():
            product = product_of(contract)
            stops = [
                order.stop
                for order in facts.evidence.working(account)
                if order.contract == contract and order.order_type == "stop" and order.stop is not None
            ]
            if lots and product is not None and stops:
                side = lots[0][0]
                level = min(stops) if side > 0 else max(stops)
                lost = max(0, sum(side * (price - level) * size for _, price, size in lots))
                left -= lost * product.tick_value_cents
        if left < 0:
            self.fail(f"{intent.tag} could take account {account} {-left} cents beyond the daily limit")

    def _settle(self, account: int, watch: Day) -> None:
        """The day is over: what was lost beyond the limit came of a gap, or of the exits' slippage."""
        if not watch.tripped or watch.day is None:
            return
        limit = self.facts.rules.limits[account].daily_loss_cents
        realised = self.purses[account].realised.get(watch.day, 0)
        allowed = max(0, -watch.worth_cents - limit)
        mutated = {contract for number, contract, _ in self.facts.evidence.mutated if number == account}
        for fill in self.facts.evidence.accounts[account].book.fills[watch.first_fill :]:
            mark, product = watch.marks.get(fill.contract), product_of(fill.contract)
            if mark is not None and product is not None:
                allowed += max(0, -fill.side * (mark - fill.price)) * fill.size * product.tick_value_cents
            elif mark is None and fill.contract in mutated:
                # A fault opened it when the limit had been reached already: its way out costs fees that none reserved.
                allowed += fill.fees_cents + fill.commission_cents
        self.judge()
        if -realised - limit > allowed:
            self.fail(f"account {account} lost {-realised} cents; limit {limit}, gap and slippage {allowed}")

    def on_end(self) -> None:
        for account, watch in self.days.items():
            self._settle(account, watch)


@world_check("I13")
class LossesInARow(Check):
    """No entry after C_CONSEC_LOSSES losing round trips in a row in a trading day; never too many entries a day."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.told = Told()
        self.entries: dict[tuple[int, date], int] = {}

    def on_step(self, step: JournalStep) -> None:
        self.told.take(step)
        for output in step.outputs:
            if isinstance(output, Intent) and output.account in self.facts.rules.limits:
                self._entry(output)

    def _entry(self, intent: Intent) -> None:
        self.judge()
        limits, day = self.facts.rules.limits[intent.account], day_of(intent.now_ns)
        streak = self.told.purse(self.facts, intent.account).streak(day)
        if streak >= limits.consecutive_losses:
            self.fail(f"{intent.tag} after {streak} losses in a row on {day}")
        count = self.entries[(intent.account, day)] = self.entries.get((intent.account, day), 0) + 1
        if count > limits.entries_per_day:
            self.fail(f"{intent.tag} is entry number {count} of {day}")
