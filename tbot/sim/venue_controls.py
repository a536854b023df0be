"""The levers of a fault plan on the simulated venue: the gateway-side inject names of failure-model 5.2, 5.3 and 5.5.

Counted ones (`partial` to `slip`) concern the next requests that their Scope names; the others act at once, at the
market time that is passed in. Contracts are product symbols and mean the active month, sides +1/-1, prices and
distances ticks, delays nanoseconds of market time. ValueError, one sentence, on an argument that makes no sense.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from tbot.domain.contracts import Contract
from tbot.execution.book_types import OrderRequest
from tbot.execution.tags import entry_tag
from tbot.sim.accounts import SimAccount
from tbot.sim.exchange import Exchange
from tbot.sim.orders import PlaceFields
from tbot.sim.venue_book import VenueBook
from tbot.sim.venue_faults import (
    BracketFault,
    BracketKind,
    Call,
    CancelRace,
    CancelSlow,
    Delivery,
    Fills,
    Partial,
    Reject,
    Scope,
    Slip,
    TagRule,
    Which,
    one_of,
)

NEXT = Scope()
DAY_MS = 86_400_000

OrphanKind = Literal["entry", "leg", "suspended"]
LateOrNever = Literal["never", "late"]
CancelWhich = Literal["stops", "targets", "entries", "all"]


class VenueControls:
    """Controls of one exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    # ---------------------------------------------------------------------------------------------------- counted
    def partial(
        self, sizes: Sequence[int], delays_ns: Sequence[int] = (), scope: Scope = NEXT, *, call: Fills = "place"
    ) -> None:
        """order.partial: the next order fills in these sizes, part i not before `delays_ns[i]` after the one before.

        The first delay counts from the moment at which the order would have filled whole. What the sizes leave over
        stays open until somebody cancels it. `call` close: the order of the next closeContract instead.
        """
        self._add(Partial(tuple(sizes), tuple(delays_ns), call), scope)

    def reject(
        self, code: int, text: str | None = None, *, with_id: bool = False, call: Call = "place", scope: Scope = NEXT
    ) -> None:
        """order.reject: the next call gets this code of its endpoint; `with_id` records a rejected order."""
        self._add(Reject(call, code, text, with_id), scope)

    def place_outcome(self, outcome: LateOrNever, after_ns: int = 0, scope: Scope = NEXT) -> None:
        """order.place: the next placement never reaches the venue, or `after_ns` later; its answer is UnknownError."""
        one_of(outcome, LateOrNever, "when a placement arrives")
        self._add(Delivery(None if outcome == "never" else after_ns), scope)

    def place_later(self, owner: str, fields: PlaceFields, at_ns: int) -> None:
        """order.place(deliver_after): this request of a user reaches the venue at a market time."""
        exchange = self._exchange

        def arrive(now_ns: int) -> None:
            account = exchange.account(owner, fields.account)
            if account is not None:
                exchange.receive(account, fields, now_ns)

        exchange.at(at_ns, arrive)

    def cancel_race(self, fill_after_ns: int = 0, size: int | None = None, scope: Scope = NEXT) -> None:
        """order.cancel_race: the next cancel is answered OK, then it fills (`size` of it, the rest is cancelled)."""
        self._add(CancelRace(fill_after_ns, size), scope)

    def cancel_slow(self, after_ns: int, scope: Scope = NEXT) -> None:
        """The next cancel is answered OK and done later; until then the order can fill."""
        self._add(CancelSlow(after_ns), scope)

    def bracket(
        self,
        kind: BracketKind,
        which: Which = "both",
        *,
        size: int = 0,
        ticks: int = 0,
        after_ns: int = 0,
        scope: Scope = NEXT,
    ) -> None:
        """bracket.*: what happens to legs of the next bracketed entry.

        drop: they never exist. reject: rejected when the entry fills. suspended: they stay so. wrong_size: activated
        with `size`. wrong_price: `ticks` farther from the entry. wrong_side: on the side of the entry. cancel_later:
        cancelled `after_ns` after activation. no_oco: a leg that fills leaves its sibling working.
        """
        self._add(BracketFault(kind, which, size, ticks, after_ns), scope)

    def slip(self, ticks: int, scope: Scope = NEXT, *, call: Fills = "place") -> None:
        """fill.slip: the next order and its legs fill this much worse than the model says; limits keep their price."""
        self._add(Slip(ticks, call), scope)

    def _add(
        self, fault: Partial | Reject | Delivery | CancelRace | CancelSlow | BracketFault | Slip, scope: Scope
    ) -> None:
        if scope.account is not None:
            self._account(scope.account)
        if scope.contract is not None:
            self._exchange.months.keys_of(scope.contract)
        self._exchange.faults.add(fault, scope)

    # ------------------------------------------------------------------------------------------ orders left behind
    def orphan(
        self,
        kind: OrphanKind,
        account: int,
        contract: str,
        now_ns: int,
        *,
        side: int = 1,
        size: int = 1,
        tag: str = "",
        distance: int = 200,
    ) -> int:
        """order.orphan: an order of a dead run is there; its id. `side` is its own, `distance` from the last price.

        entry: a working limit order. leg: a working stop with the tag of a bracket leg. suspended: a leg whose entry is
        over. The default tag is of our family, from a run that began a day earlier.
        """
        one_of(kind, OrphanKind, "an orphan")
        book = self._account(account).book
        last = self._last(contract)
        base = tag or _unused_tag(book, max(0, now_ns // 1_000_000 - DAY_MS))
        if kind == "entry":
            request = OrderRequest(contract, "limit", side, size, limit=last - side * distance, tag=base)
            return book.plant(request, "open", now_ns).order_id
        leg_tag = base if base.endswith(("-SL", "-TP")) else f"{base}-SL"
        entry = OrderRequest(contract, "market", -side, size, tag=leg_tag.removesuffix("-SL").removesuffix("-TP"))
        parent = book.plant(entry, "cancelled", now_ns).order_id
        if kind == "leg":
            request = OrderRequest(contract, "stop", side, size, stop=last + side * distance, tag=leg_tag)
            return book.plant(request, "open", now_ns, parent).order_id
        request = OrderRequest(contract, "stop", side, size, tag=leg_tag)
        return book.plant(request, "suspended", now_ns, parent, side * distance).order_id

    # ---------------------------------------------------------------------------------------- account truth, people
    def mutate_position(
        self, account: int, contract: str, size: int, now_ns: int, *, price: int | None = None, tell: bool = True
    ) -> None:
        """account.mutate_position: the venue holds `size` (signed) from now on; no fill explains it."""
        level = self._last(contract) if price is None else price
        self._account(account).book.set_position(contract, size, level, now_ns, tell=tell)

    def human_trade(self, account: int, contract: str, side: int, size: int, now_ns: int, tag: str = "") -> int:
        """human.trade: somebody else places a market order in the account; its id."""
        return self._human(account, OrderRequest(contract, "market", side, size, tag=tag), now_ns)

    def human_order(
        self,
        account: int,
        contract: str,
        side: int,
        size: int,
        now_ns: int,
        *,
        limit: int | None = None,
        stop: int | None = None,
        tag: str = "",
    ) -> int:
        """human.trade, a resting order: with a limit or a stop price; its id."""
        if (limit is None) == (stop is None):
            raise ValueError("a resting order has either a limit or a stop price")
        kind: Literal["limit", "stop"] = "limit" if limit is not None else "stop"
        return self._human(account, OrderRequest(contract, kind, side, size, limit, stop, tag=tag), now_ns)

    def human_cancel(self, account: int, now_ns: int, which: CancelWhich = "all", contract: str | None = None) -> int:
        """human.cancel: somebody cancels working orders of the account, whoever placed them; how many."""
        one_of(which, CancelWhich, "what a person cancels")
        book = self._account(account).book
        kinds = {"stops": ("stop", "trailing_stop"), "targets": ("limit",)}
        count = 0
        for order in book.living_orders():
            leg = order.parent_id is not None
            chosen = which == "all" or (not leg if which == "entries" else leg and order.order_type in kinds[which])
            if chosen and contract in (None, order.contract):
                count += book.cancel(order.order_id, now_ns)
        return count

    def human_flatten(self, account: int, now_ns: int, contract: str | None = None, *, cancel: bool = True) -> None:
        """human.flatten: somebody closes the position (all of them), and by default cancels the orders."""
        chosen = self._account(account)
        if cancel:
            self.human_cancel(account, now_ns, contract=contract)
        for holding in chosen.book.holdings():
            if contract in (None, holding.contract):
                chosen.book.close(holding.contract, now_ns)

    def lock(self, account: int) -> None:
        """account.lock: the firm lets the account trade no more today; orders and positions stay."""
        self._permit(account, can_trade=False)

    def unlock(self, account: int) -> None:
        """The account may trade again, unless it failed."""
        self._permit(account, can_trade=not self._account(account).failed)

    def liquidate(self, account: int, now_ns: int, *, failed: bool = False) -> None:
        """account.liquidate: the firm cancels and closes everything and locks the account (`failed`: for good)."""
        self._exchange.liquidate(self._account(account), now_ns, failed=failed)

    def swap(self, first: int, second: int) -> None:
        """account.swap: two accounts exchange their names, so each id is another account than it was."""
        one, other = self._account(first), self._account(second)
        one.name, other.name = other.name, one.name
        self._exchange.tell(one)
        self._exchange.tell(other)

    def hide(self, account: int, *, hidden: bool = True) -> None:
        """The account is gone from every list and endpoint (or back)."""
        self._account(account).hidden = hidden

    # -------------------------------------------------------------------------------------------- market, contracts
    def halt(
        self, now_ns: int, duration_ns: int | None = None, contract: str | None = None, reason: str = "halt"
    ) -> None:
        """market.halt: no orders are taken and nothing fills, in one product or in all; cancels work.

        Without a duration until `resume`. The venue tells no reason on the wire; `reason` is for the plan's reader.
        """
        if duration_ns is not None and duration_ns < 1:
            raise ValueError(f"a halt ({reason}) lasts at least a nanosecond, not {duration_ns}")
        for symbol in self._symbols(contract):
            self._exchange.halts[symbol] = None if duration_ns is None else now_ns + duration_ns

    def resume(self, contract: str | None = None) -> None:
        """The halt of a product, or of all, is over."""
        for symbol in self._symbols(contract):
            self._exchange.halts.pop(symbol, None)

    def roll(self, symbol: str, now_ns: int, offset_ticks: int = 0, to: str | None = None) -> Contract:
        """contract.roll: the next month (or the one with the id `to`) is active from now on, `offset_ticks` higher."""
        return self._exchange.roll(symbol, now_ns, offset_ticks, to)

    def deactivate(self, symbol: str) -> None:
        """contract.deactivate: the month is in no list and takes no orders, and no other one takes its place."""
        self._exchange.months.keys_of(symbol)
        self._exchange.months.inactive.add(symbol)

    def activate(self, symbol: str) -> None:
        """The month is active again."""
        self._exchange.months.inactive.discard(symbol)

    def tag_rule(self, rule: TagRule) -> None:
        """Which tags are in use: of all orders ever (strict), of working ones, or none."""
        one_of(rule, TagRule, "a tag rule")
        self._exchange.tag_rule = rule

    def clear(self) -> None:
        """Nothing more goes wrong: counted faults, late deliveries, faults of living orders and halts end."""
        self._exchange.faults.clear()
        self._exchange.forget_agenda()
        self._exchange.halts.clear()
        for account in self._exchange.accounts.values():
            account.book.forget_faults()

    # ---------------------------------------------------------------------------------------------------- plumbing
    def _account(self, account: int) -> SimAccount:
        found = self._exchange.accounts.get(account)
        if found is None:
            raise ValueError(f"the venue has no account {account}")
        return found

    def _permit(self, account: int, *, can_trade: bool) -> None:
        found = self._account(account)
        found.can_trade = can_trade
        self._exchange.tell(found)

    def _symbols(self, contract: str | None) -> Iterable[str]:
        if contract is None:
            return [found.product.symbol for found in self._exchange.listed()]
        self._exchange.months.keys_of(contract)
        return [contract]

    def _last(self, contract: str) -> int:
        self._exchange.months.keys_of(contract)
        state = self._exchange.states[contract]
        price = state.last if state.last is not None else state.bid
        if price is None:
            raise ValueError(f"{contract} has no price yet")
        return price

    def _human(self, account: int, request: OrderRequest, now_ns: int) -> int:
        self._exchange.months.keys_of(request.contract)
        if request.side not in (1, -1) or request.size < 1:
            raise ValueError(f"an order has side +1 or -1 and a size of at least 1, not {request.side}, {request.size}")
        return self._account(account).book.place(request, now_ns).order_id


def _unused_tag(book: VenueBook, run_start_ms: int) -> str:
    sequence = 1
    while book.tag_used(entry_tag(run_start_ms, sequence)) or book.tag_used(f"{entry_tag(run_start_ms, sequence)}-SL"):
        sequence += 1
    return entry_tag(run_start_ms, sequence)
