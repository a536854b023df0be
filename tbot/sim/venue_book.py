"""The account book of the simulated venue: the shared one, and what a fault plan makes of single orders.

An order without a fault takes the shared path unchanged. Also here: orders and positions that are simply there (left
by a dead run, changed by the firm), and contracts that get another name when their month is no longer the active one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tbot.domain.contracts import Product
from tbot.domain.messages import OrderStatus
from tbot.domain.positions import Position
from tbot.execution.book_types import FINAL, BookEvent, Held, Holding, Ids, Order, OrderRequest
from tbot.execution.fill_model import FillSettings, MarketState, market_fill
from tbot.execution.matching import ALWAYS, AccountBook
from tbot.sim.venue_faults import BracketFault, CancelRace, CancelSlow, Partial, Slip

Fills = tuple[Partial | None, Slip | None]


@dataclass(slots=True)
class _Fate:
    """What is to happen to one order beyond the fill model, and how far it is. Times are market time."""

    partial: Partial | None = None
    part: int = 0  # the next part
    part_ns: int | None = None  # when it may fill; None while the order has not met its price
    slip: int = 0
    fill_ns: int | None = None  # cancelled, but filled all the same from here on
    fill_size: int | None = None
    cancel_ns: int | None = None


class VenueBook(AccountBook):
    """An AccountBook whose orders can have faults."""

    def __init__(
        self,
        account: int,
        products: dict[str, Product],
        balance_cents: int,
        emit: Callable[[BookEvent], None],
        ids: Ids | None = None,
        settings: FillSettings | None = None,
    ) -> None:
        super().__init__(account, products, balance_cents, emit, ids, settings)
        self._fates: dict[int, _Fate] = {}  # order id -> its faults
        self._brackets: dict[int, BracketFault] = {}  # entry -> the fault of its legs
        self._making: BracketFault | None = None  # of the bracket that is placed right now

    # ----------------------------------------------------------------------------------------------------- faults
    def place_with(self, request: OrderRequest, now_ns: int, fills: Fills, bracket: BracketFault | None) -> Order:
        """Place an order that has faults."""
        if bracket is not None:
            request = _without_legs(request, bracket)
        self._making = bracket
        order = self.place(request, now_ns)
        self._making = None
        self.fill_as(order.order_id, fills)
        if bracket is not None:
            self._brackets[order.order_id] = bracket
        return order

    def fill_as(self, order_id: int, fills: Fills) -> None:
        """How an order that was placed just now is to fill."""
        partial, slip = fills
        if partial is not None or slip is not None:
            self._fates[order_id] = _Fate(partial, slip=0 if slip is None else slip.ticks)
            self._quiet.pop(self.orders[order_id].contract, None)

    def cancel_with(self, order_id: int, now_ns: int, fault: CancelRace | CancelSlow) -> bool:
        """A cancel that is accepted and comes too late, or late. An order that cannot fill is cancelled at once."""
        order = self.orders[order_id]
        if order_id not in self._working.get(order.contract, {}):
            return self.cancel(order_id, now_ns)
        fate = self._fates.setdefault(order_id, _Fate())
        if isinstance(fault, CancelRace):
            fate.fill_ns, fate.fill_size = now_ns + fault.fill_after_ns, fault.size
        else:
            fate.cancel_ns = now_ns + fault.after_ns
        self._quiet.pop(order.contract, None)
        self._change(order, now_ns, status="pending_cancel")
        return True

    def _match(self, order: Order, state: MarketState, trade: int | None, now_ns: int) -> None:
        fate = self._fates.get(order.order_id)
        if fate is None:
            super()._match(order, state, trade, now_ns)
        elif fate.fill_ns is not None:
            self._fill_all_the_same(order, fate, state, trade, now_ns)
        elif fate.cancel_ns is not None and now_ns >= fate.cancel_ns:
            self.cancel(order.order_id, now_ns)
        elif fate.partial is not None:
            self._fill_parts(order, fate, fate.partial, state, trade, now_ns)
        else:
            super()._match(order, state, trade, now_ns)

    def _fill_all_the_same(self, order: Order, fate: _Fate, state: MarketState, trade: int | None, now_ns: int) -> None:
        assert fate.fill_ns is not None
        price = self._part_price(order, state, trade)
        if now_ns < fate.fill_ns or price is None:
            return
        self._execute(order, min(fate.fill_size or order.remaining, order.remaining), price, now_ns)
        if order.status not in FINAL:
            self.cancel(order.order_id, now_ns)

    def _fill_parts(
        self, order: Order, fate: _Fate, partial: Partial, state: MarketState, trade: int | None, now_ns: int
    ) -> None:
        price: int | None
        if fate.part_ns is None:
            price = self._fill_price(order, state, trade)
            if price is None:
                return
            fate.part_ns = now_ns + partial.delay_ns(0)
        else:
            price = self._part_price(order, state, trade)
        while price is not None and order.remaining and fate.part < len(partial.sizes) and now_ns >= fate.part_ns:
            size = min(partial.sizes[fate.part], order.remaining)
            fate.part += 1
            fate.part_ns = now_ns + partial.delay_ns(fate.part)
            self._execute(order, size, price, now_ns)
            if order.status in FINAL:
                return

    def _part_price(self, order: Order, state: MarketState, trade: int | None) -> int | None:
        """The price of an order that has met its price before: its limit, or the market's."""
        if order.order_type == "limit":
            return order.limit
        price = market_fill(state, order.side, trade, self._settings)
        if price is None:
            return None
        stop_slip = self._settings.stop_slippage_ticks if order.order_type != "market" else 0
        return price + order.side * (stop_slip + self._slip(order))

    def _fill_price(self, order: Order, state: MarketState, trade: int | None) -> int | None:
        price = super()._fill_price(order, state, trade)
        if price is None or order.order_type == "limit":
            return price
        return price + order.side * self._slip(order)

    def _slip(self, order: Order) -> int:
        fate = self._fates.get(order.parent_id or order.order_id)
        return 0 if fate is None else fate.slip

    def _find_quiet(self, contract: str) -> tuple[float, float]:
        if self._fates.keys() & self._working[contract].keys():
            self._quiet[contract] = ALWAYS
            return ALWAYS
        return super()._find_quiet(contract)

    def _make_legs(self, entry: Order, request: OrderRequest) -> tuple[Order, ...]:
        legs = super()._make_legs(entry, request)
        fault = self._making
        if fault is not None and fault.kind == "wrong_side":
            for leg in legs:
                if fault.concerns(stop=leg.order_type != "limit"):
                    leg.side = entry.side
        return legs

    def _activate(self, leg: Order, size: int, entry_price: int, now_ns: int) -> None:
        assert leg.offset is not None
        fault = self._brackets.get(leg.parent_id or 0)
        if fault is None or not fault.concerns(stop=leg.order_type != "limit"):
            super()._activate(leg, size, entry_price, now_ns)
        elif fault.kind == "reject":
            self._finish(leg, "rejected", now_ns)
        elif fault.kind != "suspended":
            size = fault.size if fault.kind == "wrong_size" else size
            away = fault.ticks if fault.kind == "wrong_price" else 0
            super()._activate(leg, size, entry_price + (away if leg.offset > 0 else -away), now_ns)
            if fault.kind == "cancel_later":
                self._fates[leg.order_id] = _Fate(cancel_ns=now_ns + fault.after_ns)

    def _leg_filled(self, leg: Order, size: int, now_ns: int) -> None:
        fault = self._brackets.get(leg.parent_id or 0)
        if fault is None or fault.kind != "no_oco":
            super()._leg_filled(leg, size, now_ns)

    # ------------------------------------------------------------------------------------------- simply there
    def plant(
        self, request: OrderRequest, status: OrderStatus, now_ns: int, parent_id: int | None = None, offset: int = 0
    ) -> Order:
        """An order that nobody placed just now: open, or a suspended leg of `parent_id` at an offset."""
        order = self._new(request, now_ns, status)
        order.parent_id, order.offset = parent_id, offset or None
        if status == "open":
            self._start(order)
        self._emit(replace(order))
        return order

    def set_position(self, contract: str, size: int, price: int, now_ns: int, *, tell: bool) -> None:
        """The venue says that the position is this; no fill explains it."""
        held = self._held.setdefault(contract, Held(Position()))
        before = (held.position.price_size_sum, abs(held.position.size)) if held.position.size else (price, 1)
        if held.position.size == 0:
            held.position_id, held.opened_ns = self._ids.position(), now_ns
        held.position = Position(size, price * abs(size))
        average = (held.position.price_size_sum, abs(size)) if size else before
        if tell:
            self._emit(
                Holding(held.position_id, contract, size, held.position.price_size_sum, held.opened_ns, *average)
            )

    def rename(self, contract: str, name: str) -> None:
        """Everything under `contract` is called `name` from now on, what is over included."""
        for order in self.orders.values():
            if order.contract == contract:
                order.contract = name
        self.fills[:] = [replace(fill, contract=name) if fill.contract == contract else fill for fill in self.fills]
        if contract in self._held:
            self._held[name] = self._held.pop(contract)
        if contract in self._working:
            self._working[name] = self._working.pop(contract)
        self._quiet.pop(contract, None)

    def forget_faults(self) -> None:
        """Orders go on without their faults; what was cancelled too late or late is cancelled at the next tick."""
        for fate in self._fates.values():
            fate.partial, fate.slip = None, 0
            if fate.fill_ns is not None:
                fate.fill_ns, fate.cancel_ns = None, 0
        self._brackets.clear()


def _without_legs(request: OrderRequest, fault: BracketFault) -> OrderRequest:
    if fault.kind != "drop":
        return request
    stop = None if fault.concerns(stop=True) else request.stop_offset
    target = None if fault.concerns(stop=False) else request.target_offset
    return replace(request, stop_offset=stop, target_offset=target)
