"""Broker for paper trading, lock-step replay and backtest: the venue's account book in process, no network, no clock.

Orders are checked as the venue checks them (tag, bracket offsets, side of a stop) and fill by `fill_model` on ticks
that are handed in. Time of an answer is the `now_ns` of the command, time of a fill the exchange time of the tick.

Order of events: to a command its CommandResult, then the OrderUpdates it caused; to a fill the filled order's
OrderUpdate, Fill and PositionUpdate (twice for a reversal), the legs it activated or cancelled, then AccountUpdate.

Latency. With `FillSettings.latency_ns` a command goes through a delay line: at the first record of any contract that
much later it reaches the book, is checked there, and takes part in that record. Its CommandResult comes then, too,
because the venue answers an order request when it has the order and not before; so until then a bracket is pending, a
stop that is moved stands where it stood, and a position that is closed is open: the Desk sees what it would see live.
Fills are told at once. A query waits behind the commands that were sent before it and is not delayed otherwise, since
it changes nothing. Commands for a contract whose newest print was made from a bar are not delayed: the next print is
the third of a minute away, and a tenth of a second that is stretched to it would be a price from somewhere else.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

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
from tbot.execution.fill_model import FillSettings, MarketState, market_of
from tbot.execution.matching import AccountBook
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import Kind

_TRADE, _QUOTE, _GAP = int(Kind.TRADE), int(Kind.QUOTE), int(Kind.GAP)

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
        settings = settings or FillSettings()
        self._states = {symbol: market_of(product, settings) for symbol, product in self._products.items()}
        self._latency_ns = settings.latency_ns
        self._roll_closes = settings.roll_closes
        self._line: deque[tuple[int, Command]] = deque()  # (when it counts, command), oldest first
        self._heard_ns = 0  # newest record
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
        """Take a command; its answer and what it caused are in the next `poll`, or later when there is latency."""
        if self._latency_ns and self._waits(command):
            due_ns = now_ns if isinstance(command, Query) else now_ns + self._latency_ns
            self._line.append((max(due_ns, self._line[-1][0]) if self._line else due_ns, command))
        else:
            self._carry_out(command, now_ns)

    def _waits(self, command: Command) -> bool:
        if isinstance(command, Query):
            return bool(self._line)
        state = self._states.get(command.contract)
        return state is None or not state.synthetic

    def _carry_out(self, command: Command, now_ns: int) -> None:
        """The command is at the venue."""
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

    def on_tick(
        self,
        contract: str,
        kind: int,
        price: int,
        price2: int,
        size: int,
        side: int,
        exch_ns: int,
        flags: int = 0,
        aux: int = 0,
    ) -> None:
        """Take one ring record of a contract (fields as in `records.pxd`); other kinds than trade and quote pass by.

        A GAP that says NEW_CONTRACT makes every price so far unknown: they were those of another delivery month.
        """
        while self._line and self._line[0][0] <= exch_ns:
            due_ns, command = self._line.popleft()
            self._carry_out(command, max(due_ns, self._heard_ns))
        self._heard_ns = exch_ns
        state = self._states.get(contract)
        if state is None:
            return
        trade: int | None = None
        if kind == _TRADE:
            trade = price
            state.on_trade(price, exch_ns, size, flags, aux, side)
        elif kind == _GAP and aux == NEW_CONTRACT:
            self._roll(contract, state, exch_ns)
            return
        elif kind != _QUOTE or not state.on_quote(price, price2, flags):
            return
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

    @property
    def due_ns(self) -> int | None:
        """From this exchange time on the next record of any contract brings a command to the venue; None: no such."""
        return self._line[0][0] if self._line else None

    def pass_over(self, contract: str, records: npt.NDArray[np.void], quote: tuple[int, int, int] | None) -> None:
        """A stretch of records in which those of a contract were all quiet, and its last quote (bid, ask, flags).

        The same as `on_tick` for each of the contract's.
        """
        state = self._states[contract]
        if quote is not None:
            state.on_quote(*quote)
        state.pass_over(records, self._products[contract].contract_id)

    def _roll(self, contract: str, state: MarketState, exch_ns: int) -> None:
        if self._roll_closes:
            for _, book in self._accounts.values():
                self._now_ns = exch_ns
                book.end_month(contract, state, exch_ns)
        state.forget()

    def balance_cents(self, account: int) -> int:
        """Balance of one of the accounts."""
        return self._accounts[account][1].balance_cents

    def orders(self, account: int) -> list[Order]:
        """Copies of all orders that one of the accounts ever had, oldest first."""
        return [copy(order) for order in self._accounts[account][1].orders.values()]

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
            if refusal is None and not book.modify(command.order_id, now_ns, size=command.size, stop=command.stop):
                refusal = "Invalid size"
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
