"""One account as the engine pictures it: orders, entries, fills and positions, folded from what the broker tells.

A cache of the broker's truth (failure-model.md section 1). Folding is idempotent and takes events in any order
(F-NET-08). No commands come from here; `order_manager` and `reconcile` act on it. A "step" is the running number of the
input that the account handles: it orders what was known when, where stamps of two machines cannot.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from tbot.domain.accounts import Account
from tbot.domain.contracts import Product
from tbot.domain.messages import AccountUpdate, Fill, OrderStatus, OrderUpdate
from tbot.domain.orders import FINAL, Order, Verdict, fold
from tbot.execution.entries import Entry, Placement, Protective
from tbot.execution.tags import Part, Tag, parse_tag
from tbot.risk.ledger import Ledger
from tbot.risk.limits import RiskLimits


@dataclass(slots=True)
class Seen:
    """An order and when it was heard of."""

    order: Order
    tag: Tag | None
    last_step: int
    missing_ns: int | None = None  # a complete answer left it out, first at this time
    presumed: bool = False  # over by our inference, not by the broker's word: a later sighting revives it


@dataclass(frozen=True, slots=True)
class Holding:
    """Whose the position of one contract is."""

    size: int  # signed
    owned: int  # contracts (unsigned) that our own entries opened and that need our protection
    surprise: str  # why part of it should not exist; "" when all is explained

    @property
    def foreign(self) -> int:
        """Contracts that somebody else opened."""
        return 0 if self.surprise else abs(self.size) - self.owned


def _order_id(seen: Seen) -> int:
    return seen.order.order_id


class Picture:
    """State of one account. `products` by symbol, `day_of` gives the trading day of a time."""

    def __init__(
        self, account: int, products: Mapping[str, Product], limits: RiskLimits, day_of: Callable[[int], date]
    ) -> None:
        self.products = products
        self.limits = limits
        self.account = Account(account)
        self.ledger = Ledger(products, day_of)
        self.orders: dict[int, Seen] = {}
        self.entries: dict[str, Entry] = {}
        self.entry_of_order: dict[int, str] = {}  # order id of an entry -> its tag
        self.protective: dict[str, Protective] = {}  # stops, targets and exits of our own making, by tag
        self.protective_of_order: dict[int, str] = {}  # order id of one of them -> its tag
        self.parents: dict[int, str] = {}  # order id that a leg of our family names as its parent -> tag
        self.closing: dict[str, int] = {}  # contract -> side of a close of ours whose order was not seen yet; 0: either
        self.close_orders: set[int] = set()  # ids of the orders that our closes became
        self.tags: dict[int, Tag] = {}  # of orders of ours that an earlier run saw
        self.fill_step: dict[str, int] = {}  # contract -> step of its newest fill
        self.activity_step = 0  # of the last thing that can change exposure
        self._working: list[Seen] | None = None  # None: an order has changed since it was last asked for

    # ------------------------------------------------------------------------------------------------ folding
    def on_account(self, update: AccountUpdate, day: date) -> None:
        self.account = self.account.updated(update, day)

    def on_order(self, update: OrderUpdate, step: int) -> str:
        """Fold one order update; returns why it is impossible, "" when it is not."""
        self._working = None
        seen = self.orders.get(update.order_id)
        revived = seen is not None and seen.presumed and update.status not in FINAL
        folded = fold(seen.order if seen and not revived else None, update)
        order = folded.order
        if seen is None or revived:
            seen = Seen(order, parse_tag(order.tag), step)
            self.orders[update.order_id] = seen
            self._link_close(seen)
        elif folded.verdict is not Verdict.STALE:
            seen.order, seen.tag, seen.last_step, seen.missing_ns = order, parse_tag(order.tag), step, None
        else:
            seen.order, seen.tag = order, parse_tag(order.tag)
        # An order that is over, with all its fills told, can change exposure no more.
        open_end = not order.final or order.filled > self.ledger.filled(order.order_id)
        if open_end and folded.verdict in (Verdict.NEW, Verdict.CHANGED):
            self.activity_step = step
        self._link(seen)
        return folded.why

    def close_sent(self, contract: str) -> None:
        """A close of the whole position is on its way: the next untagged market order of its side is ours.

        The broker's answer names no order id, and its order carries no tag of ours.
        """
        self.closing[contract] = -self.ledger.position(contract).side

    def _link_close(self, seen: Seen) -> None:
        order = seen.order
        side = self.closing.get(order.contract)
        if seen.tag is None and order.order_type == "market" and side in (0, order.side):
            self.close_orders.add(order.order_id)
            del self.closing[order.contract]

    def _link(self, seen: Seen) -> None:
        """Tell the entry that the broker named its order, directly or as the parent of a leg."""
        tag, order = seen.tag, seen.order
        if tag is not None and tag.leg and order.parent_id is not None:
            self.parents[order.parent_id] = tag.base
        entry = self.entries.get(tag.base) if tag else None
        own = self.protective.get(tag.base) if tag else None
        if own is not None:
            self.name_protective(own, order.order_id, harmless=order.final and order.filled == 0)
        if tag is None or entry is None:
            return
        if tag.leg == "":
            self.name_order(entry, order.order_id, harmless=order.final and order.filled == 0)
        elif order.parent_id is not None:
            self.name_order(entry, order.parent_id, harmless=order.final)

    def name_order(self, entry: Entry, order_id: int, *, harmless: bool = False) -> None:
        """The broker's id of an entry is known; `harmless`: only as one that is over and did not fill."""
        if entry.order_id is None:
            entry.order_id = order_id
        self.entry_of_order.setdefault(order_id, entry.tag)
        if not harmless:
            entry.found(order_id)

    def name_protective(self, own: Protective, order_id: int, *, harmless: bool = False) -> None:
        """The same of a stop, target or exit of our own making."""
        if own.order_id is None:
            own.order_id = order_id
        self.protective_of_order.setdefault(order_id, own.tag)
        if not harmless:
            own.found(order_id)
        elif own.unproven:
            own.status, own.refused = "dead", True  # over without a fill before anything else was heard of it

    def name(self, placement: Placement, order_id: int) -> None:
        """The broker's id of a placement is known."""
        if isinstance(placement, Entry):
            self.name_order(placement, order_id)
        else:
            assert isinstance(placement, Protective)
            self.name_protective(placement, order_id)

    def on_fill(self, fill: Fill, step: int) -> bool:
        """Book one fill; False when it told nothing new."""
        if not self.ledger.add(fill):
            return False
        self.fill_step[fill.contract] = step
        self.activity_step = step
        placement = self.placement_of(fill.order_id)
        if placement is not None and placement.status in ("dead", "presumed_dead"):
            placement.found(fill.order_id)
        return True

    def settle(self) -> None:
        """End placements whose order is over and whose fills have all been told."""
        for placement in self.live_placements():
            if placement.order_id is None:
                continue
            filled = self.ledger.filled(placement.order_id)
            seen = self.orders.get(placement.order_id)
            told = seen.order.filled if seen else 0
            if filled >= placement.size or (seen is not None and seen.order.final and filled >= told):
                placement.status = "done" if filled else "dead"

    def drop(self, order_id: int) -> None:
        """An order that complete answers no longer list is over; its fills say how."""
        self._working = None
        seen = self.orders[order_id]
        filled = self.ledger.filled(order_id)
        status: OrderStatus = "filled" if filled >= seen.order.size else "cancelled"
        filled = max(filled, seen.order.filled)  # quantities only grow
        seen.order = replace(seen.order, status=status, filled=filled)
        seen.missing_ns, seen.presumed = None, True

    def forget_final(self) -> None:
        """At a new trading day: drop what is over. Entries of open positions and live orders stay."""
        held = {order for name in self.ledger.open_contracts() for order in self._openers(name)}
        self.orders = {number: seen for number, seen in self.orders.items() if not seen.order.final or number in held}
        self.entries = {tag: entry for tag, entry in self.entries.items() if entry.live or entry.order_id in held}
        beside = self.ledger.open_contracts()
        self.protective = {tag: own for tag, own in self.protective.items() if own.live or own.contract in beside}
        self.protective_of_order = {
            number: tag for number, tag in self.protective_of_order.items() if tag in self.protective
        }
        self.parents = {number: tag for number, tag in self.parents.items() if number in held}
        self.close_orders &= set(self.orders)
        self.tags = {number: tag for number, tag in self.tags.items() if number in held}
        kept = set(self.entries)
        self.entry_of_order = {number: tag for number, tag in self.entry_of_order.items() if tag in kept}

    # ------------------------------------------------------------------------------------------------ questions
    def working(self, contract: str | None = None) -> Sequence[Seen]:
        """Orders that are not over, suspended legs included, oldest first."""
        if self._working is None:
            live = [seen for seen in self.orders.values() if seen.order.status not in FINAL]
            self._working = sorted(live, key=_order_id)
        if contract is None:
            return self._working
        return [seen for seen in self._working if seen.order.contract == contract]

    def live_entries(self, contract: str | None = None) -> list[Entry]:
        """Entries that may still fill, as far as is proven."""
        return [entry for entry in self.entries.values() if entry.live and contract in (None, entry.contract)]

    def live_placements(self) -> list[Placement]:
        """Entries and protective placements that may still fill, as far as is proven."""
        entries: list[Placement] = [entry for entry in self.entries.values() if entry.live]
        return entries + [own for own in self.protective.values() if own.live]

    def placement(self, tag: str) -> Placement | None:
        """The entry or protective placement with a tag."""
        return self.entries.get(tag) or self.protective.get(tag)

    def placement_of(self, order_id: int) -> Placement | None:
        """The entry or protective placement that became an order."""
        tag = self.entry_of_order.get(order_id) or self.protective_of_order.get(order_id, "")
        return self.placement(tag)

    def unproven(self, contract: str | None = None) -> list[Protective]:
        """Stops, targets and exits of ours of which it is not known whether they exist."""
        return [own for own in self.protective.values() if own.unproven and contract in (None, own.contract)]

    def remaining(self, entry: Entry) -> int:
        """Contracts that a live entry may still add; UNKNOWN counts as all of them."""
        return entry.size - (self.ledger.filled(entry.order_id) if entry.order_id is not None else 0)

    def unseen_fills(self) -> bool:
        """Whether an order says that it filled more than its fills tell (their events are late or lost)."""
        return any(seen.order.filled > self.ledger.filled(number) for number, seen in self.orders.items())

    def _openers(self, contract: str) -> list[int]:
        trip = self.ledger.trip(contract)
        return trip.opener_ids if trip else []

    def opening_entries(self, contract: str) -> list[Entry]:
        """Our entries that opened the position of a contract."""
        tags = [self.entry_of_order.get(order_id, "") for order_id in self._openers(contract)]
        return [self.entries[tag] for tag in tags if tag in self.entries]

    def holding(self, contract: str) -> Holding:
        """Whose the position is: explained by our entries, somebody else's, or a surprise (F-ACC-01, F-ORD-06)."""
        trip = self.ledger.trip(contract)
        size = self.ledger.position(contract).size
        if trip is None or size == 0:
            return Holding(0, 0, "")
        owned, surprise = 0, ""
        for leg in trip.entries:
            whose = self._opener(leg.order_id, contract, trip.side)
            if whose == "ours":
                owned += leg.size
            elif whose != "foreign":
                surprise = whose
        return Holding(size, min(owned, abs(size)), surprise)

    def _opener(self, order_id: int, contract: str, side: int) -> str:
        """ "ours", "foreign", or a sentence about why this order should not have opened a position."""
        if order_id == 0:
            return "the broker reports a position that no fill explains"
        entry = self.entries.get(self.entry_of_order.get(order_id, ""))
        if entry is not None:
            return f"order {entry.tag} filled after it was given up" if entry.late else "ours"
        seen = self.orders.get(order_id)
        if order_id in self.protective_of_order:
            return f"order {self.protective_of_order[order_id]} filled while its position was gone"
        tag = self.tag_of(order_id)
        if tag is not None and tag.part != "entry":
            return f"order {order_id} of {tag.base} filled while its position was gone"
        if tag is not None:
            return f"order {tag.base} of an earlier run filled"
        if order_id in self.close_orders:
            return f"order {order_id}, a close of ours, filled when its position was gone"
        if order_id in self.parents:
            return "ours"  # an earlier run's, known by its legs although its own record is lost
        # An entry without a proven id may be this one: its answer is still on the way, or was lost (R3).
        for waiting in self.entries.values():
            same = seen is None and (waiting.contract, waiting.side) == (contract, side)
            if not same or waiting.order_id is not None:
                continue
            if waiting.status == "presumed_dead":
                return f"order {waiting.tag} may have filled after it was given up"
            if waiting.live:
                return "ours"
        if seen is None and (kept := self._kept(contract, side)):
            return kept
        return "foreign"

    def tag_of(self, order_id: int) -> Tag | None:
        """Our tag of an order, seen by this run or by one before."""
        seen = self.orders.get(order_id)
        return seen.tag if seen is not None else self.tags.get(order_id)

    def carry(self, tags: Iterable[tuple[int, str]], closing: Iterable[str]) -> None:
        """What an earlier run of this day saw: ids of our orders with their tags ("" a close), closes not seen."""
        for order_id, text in tags:
            tag = parse_tag(text)
            if tag is None:
                self.close_orders.add(order_id)
                continue
            self.tags[order_id] = tag
            entry = self.entries.get(tag.base)
            if tag.part == "entry" and entry is not None and entry.order_id is None:
                entry.order_id = order_id
                self.entry_of_order[order_id] = tag.base
        self.closing.update(dict.fromkeys(closing, 0))

    def _kept(self, contract: str, side: int) -> str:
        """Whose a position is whose order was never seen, judged by the orders of our own making beside it."""
        for own in self.protective.values():
            lost = own.order_id is None and (own.unproven or own.status == "presumed_dead")
            if lost and (own.contract, own.side) == (contract, side):
                return f"order {own.tag} may have filled while its position was gone"
        # Only our own positions get such a stop: it tells what a lost journal cannot.
        stops = [seen for seen in self.working(contract) if seen.tag is not None and seen.tag.role == "S"]
        return "ours" if any(seen.order.side == -side for seen in stops) else ""

    def allowed_stop_ticks(self, contract: str) -> int:
        """Largest distance of a stop from the average entry that still counts as approved."""
        entries = self.opening_entries(contract)
        if not entries:
            return self.limits.collar_ticks
        return max(entry.stop_ticks for entry in entries) + self.limits.slip_ticks

    def stops(self, contract: str) -> list[Order]:
        """Working stops that protect the position now: open at the broker, right side, loss as approved (R6)."""
        position = self.ledger.position(contract)
        size = abs(position.size)
        allowed = self.allowed_stop_ticks(contract) * size
        found = []
        for seen in self.working(contract):
            order = seen.order
            live = order.status == "open" and order.order_type in ("stop", "trailing_stop") and seen.missing_ns is None
            if not live or order.side != -position.side or order.stop is None:
                continue
            if position.side * (position.price_size_sum - order.stop * size) <= allowed:
                found.append(order)
        return found

    def protected(self, contract: str) -> bool:
        """I3: working stops cover every contract that is ours."""
        holding = self.holding(contract)
        if holding.surprise:
            return False
        return sum(order.remaining for order in self.stops(contract)) >= holding.owned

    def closing_orders(self, contract: str, *, strangers: bool = True) -> list[Order]:
        """Market orders under way that close the position; a second close beside them would turn it round.

        `strangers` False: those of ours only, by tag or as what a close of ours became.
        """
        position = self.ledger.position(contract)
        return [
            seen.order
            for seen in self.working(contract)
            if seen.order.order_type == "market"
            and seen.order.side == -position.side
            and (seen.tag.part == "exit" if seen.tag else strangers or seen.order.order_id in self.close_orders)
        ]

    def ended_step(self, contract: str, *parts: Part) -> int:
        """When the newest order of ours of these kinds in a contract was told to be over; -1: none was."""
        steps = [
            seen.last_step
            for seen in self.orders.values()
            if seen.order.contract == contract and seen.order.final and seen.tag is not None and seen.tag.part in parts
        ]
        return max(steps, default=-1)

    def part_orders(self, contract: str, part: Part) -> list[Seen]:
        """Working orders of ours in a contract that are stops, targets or exits, suspended ones included."""
        return [seen for seen in self.working(contract) if seen.tag is not None and seen.tag.part == part]

    def contracts(self) -> list[str]:
        """Contracts with a position, a working order or a live placement, sorted."""
        ordered = [seen.order.contract for seen in self.working()]
        placed = [placement.contract for placement in self.live_placements()]
        return sorted({*self.ledger.open_contracts(), *ordered, *placed})

    def state(self) -> list[object]:
        """Data for the digest."""
        known = [
            self.account,
            self.orders,
            self.entries,
            self.entry_of_order,
            self.protective,
            self.protective_of_order,
            self.parents,
            self.closing,
            sorted(self.close_orders),
            self.tags,
            self.fill_step,
            self.activity_step,
        ]
        return [*known, self.ledger.state()]
