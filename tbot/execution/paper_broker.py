"""Broker for paper trading, lock-step replay and backtest: the venue's account book in process, no network, no clock.

Orders are checked as the venue checks them (tag, bracket offsets, side of a stop) and fill by `fill_model` on ticks
that are handed in. Time of an answer is the `now_ns` of the command, time of a fill the exchange time of the tick.

Order of events: to a command its CommandResult, then the OrderUpdates it caused; to a fill the filled order's
OrderUpdate, Fill and PositionUpdate (twice for a reversal), the legs it activated or cancelled, then AccountUpdate.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tbot.domain.contracts import Product
from tbot.domain.messages import (
    AccountUpdate,
    BrokerEvent,
    CancelOrder,
    CloseContract,
    Command,
    CommandResult,
    Fill,
    ModifyStop,
    OrderUpdate,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    PlaceTarget,
    PositionUpdate,
    Query,
    Snapshot,
)
from tbot.execution.book_types import (
    TAG_IN_USE,
    Balance,
    BookEvent,
    Holding,
    Ids,
    Order,
    OrderRequest,
    bracket_refusal,
    stop_refusal,
)
from tbot.execution.fill_model import FillSettings, MarketState
from tbot.execution.matching import AccountBook
from tbot_ext.records import Kind

_TRADE, _QUOTE = int(Kind.TRADE), int(Kind.QUOTE)

NOT_TRADING = "Trading is currently unavailable. The instrument is not in an active trading status."


class Hours(Protocol):
    """When the venue takes orders (SessionCalendar is one)."""

    def orders_accepted(self, now_ns: int, contract: str | None = None) -> bool: ...


Placement = PlaceBracket | PlaceStop | PlaceTarget | PlaceExit


@dataclass(frozen=True, slots=True)
class PaperAccount:
    """One paper account and its opening balance in cents."""

    account: int
    name: str = "PAPER"
    balance_cents: int = 5_000_000


class PaperBroker:
    """Implements the Broker port. `contracts` are the products that can be traded, by symbol.

    `hours` None means open at all hours; otherwise new orders outside them are refused with the venue's words.
    """

    def __init__(
        self,
        accounts: Iterable[PaperAccount],
        contracts: Mapping[str, Product],
        settings: FillSettings | None = None,
        hours: Hours | None = None,
    ) -> None:
        self._products = dict(contracts)
        self._states = {symbol: MarketState(product.spread_ticks) for symbol, product in self._products.items()}
        self._hours = hours
        self._events: list[BrokerEvent] = []
        self._now_ns = 0
        ids = Ids()
        self._accounts: dict[int, tuple[PaperAccount, AccountBook]] = {}
        for account in accounts:
            sink = _Sink(self, account)
            book = AccountBook(account.account, self._products, account.balance_cents, sink.take, ids, settings)
            self._accounts[account.account] = (account, book)

    def poll(self) -> list[BrokerEvent]:
        """Events since the last call, in the order in which they happened."""
        events, self._events = self._events, []
        return events

    def submit(self, command: Command, now_ns: int) -> None:
        """Take a command; its answer and what it caused are in the next `poll`."""
        self._now_ns = now_ns
        found = self._accounts.get(command.account)
        if found is None:
            self._answer(command, now_ns, "Account not found")
            return
        account, book = found
        if isinstance(command, Query):
            self._events.append(self._snapshot(command, account, book, now_ns))
        elif isinstance(command, CancelOrder):
            self._cancel(command, book, now_ns)
        elif isinstance(command, ModifyStop):
            self._modify(command, book, now_ns)
        elif isinstance(command, CloseContract):
            self._close(command, book, now_ns)
        else:
            self._place(command, book, now_ns)

    def on_tick(self, contract: str, kind: int, price: int, price2: int, size: int, side: int, exch_ns: int) -> None:
        """Take one ring record of a contract (fields as in `records.pxd`); other kinds than trade and quote pass by."""
        state = self._states.get(contract)
        if state is None or (kind != _TRADE and kind != _QUOTE):
            return
        trade: int | None = None
        if kind == _TRADE:
            trade = price
            state.on_trade(price)
        else:
            state.on_quote(price, price2)
        for _, book in self._accounts.values():
            if book.has_work(contract):
                self._now_ns = exch_ns
                book.on_tick(contract, state, trade, exch_ns)

    def quiet(self, contract: str) -> tuple[float, float]:
        """Trades strictly between these prices, and then all quotes, fill nothing; low above high: every tick may."""
        low, high = -math.inf, math.inf
        for _, book in self._accounts.values():
            book_low, book_high = book.quiet(contract)
            low, high = max(low, book_low), min(high, book_high)
        return low, high

    # --------------------------------------------------------------------------------------------------- commands
    def _place(self, command: Placement, book: AccountBook, now_ns: int) -> None:
        if command.contract not in self._products:
            self._answer(command, now_ns, "Contract not found")
            return
        refusal = None
        side, size, tag = command.side, command.size, command.tag
        if isinstance(command, PlaceBracket):
            offsets = (command.stop_offset, command.target_offset)
            refusal = bracket_refusal(command.side, *offsets)
            request = OrderRequest(
                command.contract, "market", side, size, tag=tag, stop_offset=offsets[0], target_offset=offsets[1]
            )
        elif isinstance(command, PlaceStop):
            refusal = stop_refusal(self._states[command.contract], command.side, command.stop)
            request = OrderRequest(command.contract, "stop", side, size, stop=command.stop, tag=tag)
        elif isinstance(command, PlaceTarget):
            request = OrderRequest(command.contract, "limit", side, size, limit=command.limit, tag=tag)
        else:
            request = OrderRequest(command.contract, "market", side, size, tag=tag)
        if command.size < 1:
            refusal = "Invalid size. Size must be at least 1."
        if self._shut(command.contract, now_ns):
            refusal = NOT_TRADING
        if book.tag_used(command.tag):
            # Not recorded: two orders under one tag would make every later search by tag ambiguous.
            self._answer(command, now_ns, TAG_IN_USE)
            return
        first = len(self._events)
        order = book.place(request, now_ns) if refusal is None else book.reject(request, now_ns, refusal)
        self._events.insert(first, _result(command, now_ns, order.order_id, refusal))

    def _cancel(self, command: CancelOrder, book: AccountBook, now_ns: int) -> None:
        first = len(self._events)
        refusal = None if book.cancel(command.order_id, now_ns) else "Order not found"
        self._events.insert(first, _result(command, now_ns, command.order_id, refusal))

    def _modify(self, command: ModifyStop, book: AccountBook, now_ns: int) -> None:
        first = len(self._events)
        order = book.orders.get(command.order_id)
        refusal: str | None = "Order not found"
        if order is not None and order.status == "open" and order.stop is not None:
            refusal = stop_refusal(self._states[order.contract], order.side, command.stop)
            if refusal is None:
                book.modify(command.order_id, now_ns, stop=command.stop)
        self._events.insert(first, _result(command, now_ns, command.order_id, refusal))

    def _close(self, command: CloseContract, book: AccountBook, now_ns: int) -> None:
        first = len(self._events)
        if self._shut(command.contract, now_ns):
            self._answer(command, now_ns, NOT_TRADING)
            return
        order = book.close(command.contract, now_ns)
        if order is None:
            self._answer(command, now_ns, "Position not found")
        else:
            self._events.insert(first, _result(command, now_ns, order.order_id, None))

    def _shut(self, contract: str, now_ns: int) -> bool:
        return self._hours is not None and not self._hours.orders_accepted(now_ns, contract)

    def _answer(self, command: Command, now_ns: int, refusal: str) -> None:
        if isinstance(command, Query):
            empty = Snapshot(now_ns, command.account, command.command_id, False, None, (), (), (), refusal)
            self._events.append(empty)
        else:
            self._events.append(_result(command, now_ns, None, refusal))

    def _snapshot(self, query: Query, account: PaperAccount, book: AccountBook, now_ns: int) -> Snapshot:
        orders = tuple(order_update(account.account, order, now_ns) for order in book.living_orders())
        positions = tuple(_position_update(account.account, holding, now_ns) for holding in book.holdings())
        fills = tuple(fill for fill in book.fills if fill.now_ns >= query.since_ns)
        status = _account_update(account, book.balance_cents, now_ns)
        return Snapshot(now_ns, account.account, query.command_id, True, status, orders, positions, fills)

    def take(self, account: PaperAccount, event: BookEvent) -> None:
        """An account book's event becomes a message (called by the books)."""
        if isinstance(event, Order):
            self._events.append(order_update(account.account, event, event.updated_ns))
        elif isinstance(event, Fill):
            self._events.append(event)
        elif isinstance(event, Holding):
            self._events.append(_position_update(account.account, event, self._now_ns))
        else:
            assert isinstance(event, Balance)
            self._events.append(_account_update(account, event.balance_cents, self._now_ns))


@dataclass(frozen=True, slots=True)
class _Sink:
    """Where one account's book sends its events."""

    broker: PaperBroker
    account: PaperAccount

    def take(self, event: BookEvent) -> None:
        self.broker.take(self.account, event)


def order_update(account: int, order: Order, now_ns: int) -> OrderUpdate:
    """The message that describes an order of an account book."""
    return OrderUpdate(
        now_ns,
        account,
        order.order_id,
        order.contract,
        order.status,
        order.order_type,
        order.side,
        order.size,
        order.filled,
        order.limit,
        order.stop,
        order.tag,
        order.parent_id,
        order.reason,
    )


def _position_update(account: int, holding: Holding, now_ns: int) -> PositionUpdate:
    return PositionUpdate(now_ns, account, holding.contract, holding.size, holding.price_size_sum)


def _account_update(account: PaperAccount, balance_cents: int, now_ns: int) -> AccountUpdate:
    return AccountUpdate(now_ns, account.account, account.name, balance_cents, True, True)


def _result(command: Command, now_ns: int, order_id: int | None, refusal: str | None) -> CommandResult:
    outcome = "accepted" if refusal is None else "rejected"
    return CommandResult(now_ns, command.account, command.command_id, outcome, order_id, refusal or "")  # type: ignore[arg-type]
