"""One account at a simulated venue: its orders, brackets, positions and money, over the one fill model. Pure.

Paper broker and simulated exchange share it, so both follow the venue's documented behaviour (projectx-gateway 6.15,
7.2, 7.3):

* A bracket entry and its legs get consecutive ids (entry n, stop n+1, target n+2) and tags (`<tag>-SL`, `<tag>-TP`).
  The legs are suspended until the entry fills; then their prices are the entry's fill price plus their signed offsets.
* An entry that fills in parts wakes its legs with the first part, at prices from that part's price, for the quantity of
  that part; every further part only makes them larger. So a stop never moves by itself, and never exceeds what is held.
* When one leg fills the venue cancels the other; when it fills in part, the other becomes smaller by as much. A filled
  leg also ends what is left of its entry, which would have no protection.
* Cancelling an entry cancels its suspended legs; legs of what it filled before work on. Cancelling one working leg
  leaves its sibling working, and closing a position leaves its legs working: both are the client's business.
* Positions are netted. Every execution is one fill; one that turns a position round is two, a closing part that carries
  the P&L and an opening part that carries none. Fees and commissions are booked to the balance with each fill.
* A tag is used up for ever, by rejected orders too.
"""

import math
from collections.abc import Callable
from copy import copy

from tbot.domain.contracts import Product
from tbot.domain.messages import Fill, OrderStatus, OrderType
from tbot.domain.positions import Position
from tbot.execution.book_types import (
    FINAL,
    Balance,
    BookEvent,
    Held,
    Holding,
    Ids,
    Order,
    OrderRequest,
    holding_of,
    turn,
)
from tbot.execution.fill_model import (
    FillSettings,
    MarketState,
    adverse_price,
    crossing_fill,
    limit_traded_through,
    market_fill,
    share_of_trades,
    stop_fill,
    stop_triggered,
    trailed_stop,
    worse,
)

# Bounds between which trades do nothing: all trades, no trade.
_NEVER = (-math.inf, math.inf)
ALWAYS = (math.inf, -math.inf)


class AccountBook:
    """Orders and money of one account. Events are handed to `emit` in the order in which they happen."""

    def __init__(
        self,
        account: int,
        products: dict[str, Product],
        balance_cents: int,
        emit: Callable[[BookEvent], None],
        ids: Ids | None = None,
        settings: FillSettings | None = None,
    ) -> None:
        self.account = account
        self.balance_cents = balance_cents
        self.orders: dict[int, Order] = {}  # every order there ever was, oldest first
        self.fills: list[Fill] = []  # oldest first
        self._products = products
        self._emit = emit
        self._ids = ids or Ids()
        self._settings = settings or FillSettings()
        self._pessimistic = self._settings.intrabar == "pessimistic"
        self._held: dict[str, Held] = {}
        self._tags: set[str] = set()
        self._living: dict[int, Order] = {}  # those that are not in a final state
        self._legs: dict[int, tuple[Order, ...]] = {}  # entry -> its legs
        self._working: dict[str, dict[int, Order]] = {}  # contract -> orders that a tick can fill
        # Prices of trades strictly between these two cannot do anything to the contract's orders.
        self._quiet: dict[str, tuple[float, float]] = {}

    # ------------------------------------------------------------------------------------------------- questions
    def size(self, contract: str) -> int:
        """Net contracts held, signed."""
        held = self._held.get(contract)
        return held.position.size if held else 0

    def holding(self, contract: str) -> Holding | None:
        """The open position of a contract, None when flat."""
        held = self._held.get(contract)
        if held is None or held.position.size == 0:
            return None
        return holding_of(contract, held, held.position.price_size_sum, abs(held.position.size))

    def holdings(self) -> list[Holding]:
        """All open positions."""
        return [holding for contract in self._held if (holding := self.holding(contract))]

    def living_orders(self) -> list[Order]:
        """Copies of all orders that are not in a final state, oldest first, suspended legs included."""
        return [copy(order) for order in self._living.values()]

    def has_work(self, contract: str) -> bool:
        """Whether a tick of this contract can do anything here."""
        return bool(self._working.get(contract))

    def quiet(self, contract: str) -> tuple[float, float]:
        """Trades strictly between these prices, and then quotes, do nothing here; low above high: any tick may."""
        if not self._working.get(contract):
            return _NEVER
        return self._quiet.get(contract) or self._find_quiet(contract)

    def tag_used(self, tag: str) -> bool:
        return bool(tag) and tag in self._tags

    def unrealised_cents(self, states: dict[str, MarketState]) -> int:
        """P&L of the open positions if they were closed at the adverse quote now, without costs."""
        total = 0
        for contract, held in self._held.items():
            position = held.position
            exit_price = adverse_price(states[contract], -position.side) if position.size else None
            if exit_price is not None:
                ticks = position.side * (exit_price * abs(position.size) - position.price_size_sum)
                total += ticks * self._products[contract].tick_value_cents
        return total

    # -------------------------------------------------------------------------------------------------- commands
    def place(self, request: OrderRequest, now_ns: int) -> Order:
        """Take an order that passed all checks; returns a copy of the entry. It takes part from the next tick on."""
        order = self._new(request, now_ns, "pending" if request.order_type == "market" else "open")
        order.arriving = request.order_type in ("market", "limit")
        legs = self._make_legs(order, request)
        # Why this order: the venue was recorded to announce stop leg, entry, target leg.
        for event in (*legs[:1], order, *legs[1:]):
            self._emit(copy(event))
        self._start(order)
        return copy(order)

    def reject(self, request: OrderRequest, now_ns: int, reason: str) -> Order:
        """Record an order that a check refused; like any other it uses up its id and its tag."""
        order = self._new(request, now_ns, "rejected")
        order.reason = reason
        self._emit(copy(order))
        return copy(order)

    def cancel(self, order_id: int, now_ns: int, status: OrderStatus = "cancelled") -> bool:
        """End a living order, and the suspended legs of an entry; False when there is no such living order."""
        order = self.orders.get(order_id)
        if order is None or order.status in FINAL:
            return False
        self._finish(order, status, now_ns)
        for leg in self._legs.get(order_id, ()):
            if leg.status == "suspended":
                self._finish(leg, status, now_ns)
        return True

    def modify(
        self,
        order_id: int,
        now_ns: int,
        *,
        size: int | None = None,
        limit: int | None = None,
        stop: int | None = None,
        trail: int | None = None,
    ) -> bool:
        """Change a working order, None leaves a value as it is; False when there is no such working order.

        Prices must have been checked. A suspended leg has no price yet and cannot be modified; no order can become as
        small as what it has filled.
        """
        order = self.orders.get(order_id)
        if order is None or order.status != "open" or (size is not None and size <= order.filled):
            return False
        if limit is not None and limit != order.limit:
            order.marked, order.through, order.at_limit, order.taken = False, 0, 0, 0
        if stop is not None and order.stop is not None:
            order.loose = worse(order.side, order.stop, stop if order.loose is None else order.loose)
        order.size = order.size if size is None else size
        order.limit = order.limit if limit is None else limit
        order.stop = order.stop if stop is None else stop
        order.trail = order.trail if trail is None else trail
        order.arriving = order.arriving or (order.order_type == "limit" and limit is not None)
        order.updated_ns = now_ns
        self._quiet.pop(order.contract, None)
        self._emit(copy(order))
        return True

    def close(self, contract: str, now_ns: int, size: int | None = None) -> Order | None:
        """Close the position (or `size` contracts of it) at market; None when there is nothing to close.

        What earlier closes that have not filled yet will take is left out, so asking twice never turns a position
        round; when they take all of it, the last of them is returned again.
        """
        held = self.size(contract)
        pending = [order for order in self._working.get(contract, {}).values() if order.closing]
        rest = abs(held) - sum(order.remaining for order in pending)
        if held == 0:
            return None
        if rest <= 0:
            return copy(pending[-1])
        side = -1 if held > 0 else 1
        order = self._new(OrderRequest(contract, "market", side, min(rest, size or rest)), now_ns, "pending")
        order.arriving = order.closing = True
        self._emit(copy(order))
        self._start(order)
        return copy(order)

    def on_tick(self, contract: str, state: MarketState, trade: int | None, now_ns: int) -> None:
        """Match the contract's orders with one tick that `state` has taken in; `trade` is its price if it is one."""
        working = self._working.get(contract)
        if not working:
            return
        low, high = self._quiet.get(contract) or self._find_quiet(contract)
        if (low, high) != ALWAYS and (trade is None or low < trade < high):
            return
        # Copies, stops first (rule 6); orders that start on this tick take part from the next one on (rule 1).
        if trade is not None and (state.opens or not state.synthetic):
            self._end_bar(working, now_ns)
        looked_at = sorted(working.values(), key=turn)
        for order in looked_at:
            if order.status not in FINAL:
                self._match(order, state, trade, now_ns)
        if trade is not None and state.synthetic:
            seen = {order.order_id for order in looked_at}
            started = [order for number, order in working.items() if number not in seen]
            self._break_through(started, state, trade, now_ns)

    def end_month(self, contract: str, state: MarketState, now_ns: int) -> None:
        """Ticks of another delivery month follow: end all orders and close the position where the old one stands.

        Rule 14 of fill_model.
        """
        for order in [order for order in self._living.values() if order.contract == contract]:
            self._finish(order, "expired", now_ns)
        held = self.size(contract)
        if held == 0:
            return
        side = -1 if held > 0 else 1
        price = market_fill(state, side, None, self._settings, abs(held))
        assert price is not None  # a position comes from a fill, a fill from a price
        order = self._new(OrderRequest(contract, "market", side, abs(held)), now_ns, "pending")
        order.closing = True
        self._emit(copy(order))
        self._start(order)
        self._execute(order, order.remaining, price, now_ns)

    # --------------------------------------------------------------------------------------------------- matching
    def _match(self, order: Order, state: MarketState, trade: int | None, now_ns: int) -> None:
        """One working order meets one tick."""
        price = self._fill_price(order, state, trade)
        if price is not None:
            part = self._part(order)
            order.taken += part
            self._execute(order, part, price, now_ns)

    def _fill_price(self, order: Order, state: MarketState, trade: int | None) -> int | None:
        """The price at which this tick fills the order, None when it does not (the rules of fill_model)."""
        if order.order_type == "market":
            return market_fill(state, order.side, trade, self._settings, order.remaining)
        if order.order_type == "limit":
            assert order.limit is not None
            arriving, order.arriving = order.arriving, False
            if arriving:
                self._quiet.pop(order.contract, None)
                price = crossing_fill(state, order.side, order.limit)
                if price is not None:
                    return price
            reached = trade is not None and self._limit_reached(order, order.limit, state, trade)
            return order.limit if reached else None
        return None if trade is None else self._stop_price(order, state, trade)

    def _limit_reached(self, order: Order, limit: int, state: MarketState, trade: int) -> bool:
        """Rules 5, 10 and 11; counts the contracts that went through and marks."""
        through = limit_traded_through(order.side, limit, trade)
        if state.synthetic:
            if not self._pessimistic or state.opens or self.size(order.contract) * order.side >= 0:
                return through
            if through and not order.marked:
                order.marked = True
                self._quiet.pop(order.contract, None)
            return order.marked and state.ends
        if through:
            order.through += state.size
            if not self._settings.partial or state.size == 0:
                return True
        elif trade == limit and state.aggressor != order.side:
            order.at_limit += state.size
        share = share_of_trades(self._settings, order.through, order.at_limit) - order.taken
        return share > 0 if self._settings.partial else share >= order.remaining

    def _part(self, order: Order) -> int:
        """Contracts of an order that fill now: all, but of a limit order its share of what was traded (rule 5)."""
        share = share_of_trades(self._settings, order.through, order.at_limit) - order.taken
        # No share means that something else than sized trades fills it: the crossed quote, a bar.
        if order.order_type != "limit" or not self._settings.partial or share <= 0:
            return order.remaining
        return min(share, order.remaining)

    def _stop_price(self, order: Order, state: MarketState, trade: int) -> int | None:
        """Rules 4, 7, 9 and 12 for a trade."""
        assert order.stop is not None
        within = self._pessimistic and state.synthetic
        if order.loose is not None and not (within and not state.opens):
            order.loose = None
            self._quiet.pop(order.contract, None)
        if stop_triggered(order.side, order.stop, trade):
            level = order.stop
            if order.loose is not None and stop_triggered(order.side, order.loose, trade):
                level = worse(order.side, level, order.loose)
            return stop_fill(state, order.side, level, trade, self._settings, order.remaining)
        if order.trail is None:
            return None
        if not within:
            order.stop = trailed_stop(order.side, order.stop, order.trail, trade)
            return None
        order.best = trade if order.best is None else worse(-order.side, order.best, trade)
        if not state.ends:
            return None
        order.stop, order.best = trailed_stop(order.side, order.stop, order.trail, order.best), None
        # Why at once: the best print came before the close, so a close beyond the moved stop went through it.
        if stop_triggered(order.side, order.stop, trade):
            return stop_fill(state, order.side, order.stop, trade, self._settings, order.remaining)
        return None

    def _end_bar(self, working: dict[int, Order], now_ns: int) -> None:
        """A bar of a source that does not mark its last prints is over: what was traded through in it has filled."""
        for order in [order for order in working.values() if order.marked]:
            if order.status not in FINAL:
                assert order.limit is not None
                order.marked = False
                self._execute(order, order.remaining, order.limit, now_ns)

    def _break_through(self, started: list[Order], state: MarketState, trade: int, now_ns: int) -> None:
        """Rule 11: stops that a limit entry woke on this print of a bar meet the same print."""
        for order in started:
            entry = self.orders.get(order.parent_id or 0)
            if order.stop is not None and entry is not None and entry.order_type == "limit":
                self._match(order, state, trade, now_ns)

    def _find_quiet(self, contract: str) -> tuple[float, float]:
        low, high = _NEVER
        for order in self._working[contract].values():
            if order.arriving or order.trail is not None or order.marked or order.loose is not None:
                low, high = ALWAYS
                break
            if order.order_type == "limit":
                assert order.limit is not None
                below, level = order.side > 0, order.limit - (0 if self._settings.queue == "share" else order.side)
            else:
                assert order.stop is not None
                below, level = order.side < 0, order.stop
            if below:
                low = max(low, level)
            else:
                high = min(high, level)
        self._quiet[contract] = (low, high)
        return low, high

    def _execute(self, order: Order, size: int, price: int, now_ns: int) -> None:
        """Fill `size` contracts of an order; less than all that is left leaves it working."""
        held = self._held.setdefault(order.contract, Held(Position()))
        order.filled += size
        order.fill_sum += price * size
        if order.remaining == 0:
            self._finish(order, "filled", now_ns)
        else:
            self._change(order, now_ns, status="open" if order.status == "pending" else order.status)
        closing = held.position.closing_size(order.side, size)
        for part, closes in ((closing, True), (size - closing, False)):
            if part:
                self._book(order, held, part, price, closes, now_ns)
        for leg in reversed(self._legs.get(order.order_id, ())):  # target first, as the venue was recorded to do
            if leg.status == "suspended":
                self._activate(leg, size, price, now_ns)
            elif leg.status not in FINAL:
                self._change(leg, now_ns, size=leg.size + size)
        if order.parent_id is not None:
            self._leg_filled(order, size, now_ns)
        self._emit(Balance(self.balance_cents))

    def _leg_filled(self, leg: Order, size: int, now_ns: int) -> None:
        """The sibling of a leg shrinks by what the leg filled; a leg that is done ends it and the rest of the entry."""
        sibling = self.orders.get(leg.sibling_id or 0)
        if sibling is not None and sibling.status not in FINAL:
            if leg.remaining == 0 or sibling.remaining <= size:
                self._finish(sibling, "cancelled", now_ns)
            else:
                self._change(sibling, now_ns, size=sibling.size - size)
        entry = self.orders.get(leg.parent_id or 0)
        if leg.remaining == 0 and entry is not None and entry.status not in FINAL:
            self._finish(entry, "cancelled", now_ns)

    def _book(self, order: Order, held: Held, size: int, price: int, closes: bool, now_ns: int) -> None:
        product = self._products[order.contract]
        position = held.position
        if position.size == 0:
            held.position_id, held.opened_ns = self._ids.position(), now_ns
        before = (position.price_size_sum, abs(position.size))
        pnl_cents = position.apply(order.side, size, price) * product.tick_value_cents
        fees_cents, commission_cents = product.fees_cents * size, product.commission_cents * size
        fill = Fill(
            now_ns,
            self.account,
            self._ids.fill(),
            order.order_id,
            order.contract,
            order.side,
            size,
            price,
            fees_cents,
            commission_cents,
            pnl_cents if closes else None,
        )
        self.balance_cents += pnl_cents - fees_cents - commission_cents
        self.fills.append(fill)
        self._emit(fill)
        average = (position.price_size_sum, abs(position.size)) if position.size else before
        self._emit(holding_of(order.contract, held, *average))

    def _activate(self, leg: Order, size: int, entry_price: int, now_ns: int) -> None:
        """The first fill of an entry (`size` contracts) wakes a leg."""
        assert leg.offset is not None
        level = entry_price + leg.offset
        if leg.order_type == "limit":
            leg.limit = level
        else:
            leg.stop = level
        self._change(leg, now_ns, size=size, status="open")
        self._start(leg)

    # ---------------------------------------------------------------------------------------------------- plumbing
    def _new(self, request: OrderRequest, now_ns: int, status: OrderStatus) -> Order:
        order = Order(
            self._ids.order(),
            request.contract,
            request.order_type,
            request.side,
            request.size,
            status,
            now_ns,
            now_ns,
            limit=request.limit,
            stop=request.stop,
            trail=request.trail,
            tag=request.tag,
            asked_as=request.asked_as,
        )
        self.orders[order.order_id] = order
        if status not in FINAL:
            self._living[order.order_id] = order
        if request.tag:
            self._tags.add(request.tag)
        return order

    def _make_legs(self, entry: Order, request: OrderRequest) -> tuple[Order, ...]:
        """The suspended legs of an entry: stop first, so that it gets the lower id."""
        legs = []
        stop_type: OrderType = "trailing_stop" if request.stop_trails else "stop"
        kinds: tuple[tuple[int | None, OrderType, str], ...] = (
            (request.stop_offset, stop_type, "-SL"),
            (request.target_offset, "limit", "-TP"),
        )
        for offset, order_type, suffix in kinds:
            if offset is not None:
                tag = request.tag + suffix if request.tag else ""
                leg_request = OrderRequest(entry.contract, order_type, -entry.side, entry.size, tag=tag)
                leg = self._new(leg_request, entry.created_ns, "suspended")
                leg.parent_id, leg.offset = entry.order_id, offset
                leg.trail = abs(offset) if order_type == "trailing_stop" else None
                legs.append(leg)
        if len(legs) == 2:
            legs[0].sibling_id, legs[1].sibling_id = legs[1].order_id, legs[0].order_id
        if legs:
            self._legs[entry.order_id] = tuple(legs)
        return tuple(legs)

    def _change(self, order: Order, now_ns: int, *, size: int | None = None, status: OrderStatus | None = None) -> None:
        """Another size or (not final) status of an order, and tell it."""
        order.size = order.size if size is None else size
        order.status = order.status if status is None else status
        order.updated_ns = now_ns
        self._emit(copy(order))

    def _start(self, order: Order) -> None:
        self._working.setdefault(order.contract, {})[order.order_id] = order
        self._quiet.pop(order.contract, None)

    def _finish(self, order: Order, status: OrderStatus, now_ns: int) -> None:
        order.status, order.updated_ns = status, now_ns
        order.arriving = False
        self._living.pop(order.order_id, None)
        self._working.get(order.contract, {}).pop(order.order_id, None)
        self._quiet.pop(order.contract, None)
        self._emit(copy(order))
