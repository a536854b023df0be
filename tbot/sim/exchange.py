"""The simulated venue: users, accounts, contracts and the rules between a request and an account's book. Pure.

It takes requests in the venue's own terms (contract ids, decimal prices, wire enumerations) and answers with the error
code of the endpoint and the venue's text, as projectx-gateway 6.6 to 6.16 documents them. Matching and money are
`execution.matching` over the one fill model; prices come in as ticks of the market source. Time is always an argument.

Choices where the documentation is silent [SIM]:

* An order on a locked account is an AccountViolation (4), on an account that is not simulated AccountRejected (10);
  cancels and closes stay possible on both kinds of lock, because they only reduce.
* Any malformed value is OrderRejected (2) with a sentence; an order refused with code 2 is recorded and its id
  returned, but for a used tag.
* Changing or cancelling an order that is Pending or PendingCancellation is code 4 of those endpoints.
* At the daily flatten working orders end as Expired (4): they were day orders. A liquidation cancels them (3).
* A market order that no tick reached by the next `advance` fills at the quote that stands: a venue always has a market.
* A position in a month that is no longer active can be closed, and orders there be cancelled; nothing can be placed.

What a fault plan may do to it is in `venue_controls.py`; the hooks for that are `faults`, `at` and the books' own.
"""

import heapq
import itertools
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import MONTH_CODES, Contract, Product, parse_broker_id
from tbot.domain.messages import Fill, OrderStatus
from tbot.domain.trading_hours import trading_day
from tbot.execution.book_types import FINAL, TAG_IN_USE, Balance, BookEvent, Holding, Ids, Order
from tbot.execution.fill_model import FillSettings
from tbot.sim.accounts import AccountRules, SimAccount, account_name
from tbot.sim.months import FEW, MORE, Months
from tbot.sim.orders import ModifyFields, PlaceFields, Refused, build_changes, build_request, skeleton
from tbot.sim.venue_book import VenueBook
from tbot.sim.venue_faults import (
    BracketFault,
    Call,
    CancelRace,
    CancelSlow,
    Delivery,
    Partial,
    PendingFaults,
    Reject,
    Slip,
    TagRule,
)

NOT_TRADING = "Trading is currently unavailable. The instrument is not in an active trading status."
POSITION_BRACKETS = "Brackets cannot be used with Position Brackets. You must enable Auto OCO Brackets."
MAX_POSITION = "Maximum position exceeded."
FOLLOWER = "Follower accounts cannot cancel orders"
LIVE_ACCOUNT = "Live accounts not supported"

FIRST_ACCOUNT_ID = 1001

# Error codes of projectx-gateway, by endpoint: the same number means different things on each.
OK = 0
ACCOUNT_NOT_FOUND = 1
PLACE_REJECTED, PLACE_NO_FUNDS, PLACE_VIOLATION, PLACE_UNKNOWN = 2, 3, 4, 7
PLACE_NO_CONTRACT, PLACE_NOT_ACTIVE, PLACE_ACCOUNT_REJECTED = 8, 9, 10
ORDER_NOT_FOUND, CHANGE_REJECTED, CHANGE_PENDING, CHANGE_ACCOUNT_REJECTED = 2, 3, 4, 6
CLOSE_NO_POSITION, CLOSE_NO_CONTRACT, CLOSE_NOT_ACTIVE = 2, 3, 4
CLOSE_REJECTED, PARTIAL_BAD_SIZE, PARTIAL_REJECTED = 5, 5, 6
_PENDING = ("pending", "pending_cancel")


class Hours(Protocol):
    """When the venue takes orders (SessionCalendar is one)."""

    def orders_accepted(self, now_ns: int, contract: str | None = None) -> bool: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint says: its error code (0 success), the text if any, the order's id if any."""

    code: int = OK
    text: str | None = None
    order_id: int | None = None


@dataclass(frozen=True, slots=True)
class UserEvent:
    """Something the user hub tells the subscribers of one account."""

    account: SimAccount
    kind: Literal["account", "order", "trade", "position"]
    data: SimAccount | Order | Fill | Holding
    balance_cents: int = 0  # of an account, as it was then: more may happen before the hub tells it


class Exchange:
    """Users with their accounts, and one list of contracts. `drain` hands out what the user hubs must tell.

    `listing` gives the active month of a product on a day; with it the venue rolls by itself when a trading day begins.
    Everybody in `on_roll` is told of a roll: (old month, new month, ticks by which the new one is higher, market time).
    """

    def __init__(
        self,
        contracts: Iterable[Contract],
        hours: Hours | None = None,
        rules: AccountRules | None = None,
        settings: FillSettings | None = None,
        listing: Callable[[Product, date], Contract] | None = None,
    ) -> None:
        self.months = Months(contracts, settings)
        self.contracts, self.products = self.months.contracts, self.months.products
        self.states = self.months.states
        self.accounts: dict[int, SimAccount] = {}
        self.rules = rules or AccountRules()
        self.faults = PendingFaults()
        self.tag_rule: TagRule = "strict"
        self.halts: dict[str, int | None] = {}  # symbol -> market time at which its halt ends, None: not known yet
        self.on_roll: list[Callable[[Contract, Contract, int, int], None]] = []
        self._hours = hours
        self._settings = settings
        self._listing = listing
        self._ids = Ids()
        self._events: list[UserEvent] = []
        self._was_open: dict[str, bool] = {}
        self._day: date | None = None
        self._agenda: list[tuple[int, int, Callable[[int], object]]] = []
        self._agenda_number = itertools.count()

    # ----------------------------------------------------------------------------------------------------- people
    def add_account(self, owner: str, name: str = "", rules: AccountRules | None = None) -> SimAccount:
        """A new account of a user; without a name it gets one of the venue's kind."""
        account_id = FIRST_ACCOUNT_ID + len(self.accounts)
        rules = rules or self.rules
        start = rules.start_balance_cents
        sink = _Sink(self, account_id)
        book = VenueBook(account_id, self.products, start, sink.take, self._ids, self._settings)
        name = name or account_name(rules, len(self.accounts) + 1)
        account = SimAccount(account_id, name, owner, rules, book, high_cents=start, day_start_cents=start)
        self.accounts[account_id] = account
        return account

    def accounts_of(self, owner: str) -> list[SimAccount]:
        return [account for account in self.accounts.values() if account.owner == owner and not account.hidden]

    def account(self, owner: str, account_id: int) -> SimAccount | None:
        """The user's account with this id, None when it is not theirs."""
        account = self.accounts.get(account_id)
        return account if account is not None and account.owner == owner and not account.hidden else None

    def drain(self) -> list[UserEvent]:
        """User-hub events since the last call, in order."""
        events, self._events = self._events, []
        return events

    def listed(self) -> list[Contract]:
        """The active months: what contract searches show."""
        return self.months.listed()

    def find_contract(self, broker_id: str) -> tuple[Contract, bool] | None:
        """(contract, whether it is the active month) behind an id; None when the venue does not list the product."""
        return self.months.find(broker_id)

    # ----------------------------------------------------------------------------------------------------- orders
    def place(self, owner: str, fields: PlaceFields, now_ns: int) -> Answer:
        """Order/place."""
        account = self.account(owner, fields.account)
        if account is None:
            return Answer(ACCOUNT_NOT_FOUND)
        symbol = self._symbol(fields.contract_id)
        delivery = self.faults.take(Delivery, account.account_id, symbol)
        if delivery is not None:
            if delivery.after_ns is not None:
                self.at(now_ns + delivery.after_ns, lambda at_ns: self.receive(account, fields, at_ns))
            return Answer(PLACE_UNKNOWN)
        reject = self._planned_reject("place", account, symbol)
        if reject is not None:
            order_id = None
            if reject.with_id and symbol is not None and not self._tag_taken(account, fields):
                order_id = account.book.reject(skeleton(fields, symbol), now_ns, reject.text or "").order_id
            return Answer(reject.code, reject.text, order_id)
        return self.receive(account, fields, now_ns)

    def receive(self, account: SimAccount, fields: PlaceFields, now_ns: int) -> Answer:
        """A placement has arrived: the venue's own checks and rules, then the book."""
        found = self.months.find(fields.contract_id)
        if found is None:
            return Answer(PLACE_NO_CONTRACT)
        contract, active = found
        if not active:
            return Answer(PLACE_NOT_ACTIVE)
        if not account.simulated:
            return Answer(PLACE_ACCOUNT_REJECTED, LIVE_ACCOUNT)
        if not account.can_trade:
            return Answer(PLACE_VIOLATION)
        if self._tag_taken(account, fields):
            return Answer(PLACE_REJECTED, TAG_IN_USE)
        product = contract.product
        try:
            if product.data_only or not self._open(product.symbol, now_ns):
                raise Refused(NOT_TRADING)
            if fields.has_bracket and not account.rules.auto_oco:
                raise Refused(POSITION_BRACKETS)
            request = build_request(fields, product, self.states[product.symbol])
            if account.exceeds_size(product.symbol, request.side, request.size, self.products):
                raise Refused(MAX_POSITION)
        except Refused as refused:
            order = account.book.reject(skeleton(fields, product.symbol), now_ns, str(refused))
            return Answer(PLACE_REJECTED, str(refused), order.order_id)
        if account.lacks_margin(product.symbol, request.side, request.size, self.products):
            return Answer(PLACE_NO_FUNDS)
        fills = self._planned_fills("place", account, product.symbol)
        bracket = None
        if fields.has_bracket:
            bracket = self.faults.take(BracketFault, account.account_id, product.symbol)
        return Answer(order_id=account.book.place_with(request, now_ns, fills, bracket).order_id)

    def modify(self, owner: str, fields: ModifyFields, now_ns: int) -> Answer:
        """Order/modify."""
        account = self.account(owner, fields.account)
        if account is None:
            return Answer(ACCOUNT_NOT_FOUND)
        order = account.book.orders.get(fields.order_id)
        if order is None:
            return Answer(ORDER_NOT_FOUND)
        reject = self._planned_reject("modify", account, self.products[order.contract].symbol)
        if reject is not None:
            return Answer(reject.code, reject.text)
        if order.status != "open":
            code = CHANGE_PENDING if order.status in _PENDING else CHANGE_REJECTED
            return Answer(code, f"Order cannot be modified in status {order.status}.")
        if not self._open(order.contract, now_ns):
            return Answer(CHANGE_REJECTED, NOT_TRADING)
        try:
            changes = build_changes(fields, order, self.products[order.contract], self.states[order.contract])
            more = 0 if changes.size is None or order.parent_id is not None else changes.size - order.size
            if more > 0 and account.exceeds_size(order.contract, order.side, more, self.products):
                raise Refused(MAX_POSITION)
        except Refused as refused:
            return Answer(CHANGE_REJECTED, str(refused))
        account.book.modify(
            order.order_id, now_ns, size=changes.size, limit=changes.limit, stop=changes.stop, trail=changes.trail
        )
        return Answer()

    def cancel(self, owner: str, account_id: int, order_id: int, now_ns: int) -> Answer:
        """Order/cancel. An order in a final state is rejected, one that never was is not found."""
        account = self.account(owner, account_id)
        if account is None:
            return Answer(ACCOUNT_NOT_FOUND)
        order = account.book.orders.get(order_id)
        if order is None:
            return Answer(ORDER_NOT_FOUND)
        if account.follower or not account.simulated:
            return Answer(CHANGE_ACCOUNT_REJECTED, FOLLOWER if account.follower else LIVE_ACCOUNT)
        who = (account_id, self.products[order.contract].symbol)
        reject = self._planned_reject("cancel", account, who[1])
        if reject is not None:
            return Answer(reject.code, reject.text)
        if order.status in FINAL:
            return Answer(CHANGE_REJECTED, f"Order is already {order.status}.")
        if order.status == "pending_cancel":
            return Answer(CHANGE_PENDING)
        late = self.faults.take(CancelRace, *who) or self.faults.take(CancelSlow, *who)
        if late is not None:
            account.book.cancel_with(order_id, now_ns, late)
        else:
            account.book.cancel(order_id, now_ns)
        return Answer()

    def close(self, owner: str, account_id: int, contract_id: str, now_ns: int) -> Answer:
        """Position/closeContract: the whole position at market. Resting orders stay."""
        return self._close(owner, account_id, contract_id, None, now_ns)

    def partial_close(self, owner: str, account_id: int, contract_id: str, size: int, now_ns: int) -> Answer:
        """Position/partialCloseContract."""
        return self._close(owner, account_id, contract_id, size, now_ns)

    def _close(self, owner: str, account_id: int, contract_id: str, size: int | None, now_ns: int) -> Answer:
        account = self.account(owner, account_id)
        if account is None:
            return Answer(ACCOUNT_NOT_FOUND)
        found = self.months.find(contract_id)
        if found is None:
            return Answer(CLOSE_NO_CONTRACT)
        contract, active = found
        reject = self._planned_reject("close", account, contract.product.symbol)
        if reject is not None:
            return Answer(reject.code, reject.text)
        key = self.months.key_of(contract_id)
        held = 0 if key is None else abs(account.book.size(key))
        if not active and (held == 0 or key == contract.product.symbol):
            return Answer(CLOSE_NOT_ACTIVE)
        if key is None or held == 0:
            return Answer(CLOSE_NO_POSITION)
        if size is not None and not 1 <= size <= held:
            return Answer(PARTIAL_BAD_SIZE)
        if not self._open(key, now_ns):
            return Answer(CLOSE_REJECTED if size is None else PARTIAL_REJECTED)
        order = account.book.close(key, now_ns, size)
        assert order is not None, "the position was looked at above"
        account.book.fill_as(order.order_id, self._planned_fills("close", account, contract.product.symbol))
        return Answer()

    def _symbol(self, broker_id: str) -> str | None:
        found = self.months.find(broker_id)
        return None if found is None else found[0].product.symbol

    def _planned_reject(self, call: Call, account: SimAccount, symbol: str | None) -> Reject | None:
        return self.faults.take(Reject, account.account_id, symbol, lambda fault: fault.call == call)

    def _planned_fills(self, call: Call, account: SimAccount, symbol: str) -> tuple[Partial | None, Slip | None]:
        who = (account.account_id, symbol)
        partial = self.faults.take(Partial, *who, lambda fault: fault.call == call)
        return partial, self.faults.take(Slip, *who, lambda fault: fault.call == call)

    def _tag_taken(self, account: SimAccount, fields: PlaceFields) -> bool:
        """Whether the order's tag, or one that a leg of it would get, is in use by the rule in force."""
        if not fields.tag or self.tag_rule == "none":
            return False
        tags = [fields.tag]
        tags += [] if fields.stop_ticks is None else [f"{fields.tag}-SL"]
        tags += [] if fields.target_ticks is None else [f"{fields.tag}-TP"]
        if self.tag_rule == "strict":
            return any(account.book.tag_used(tag) for tag in tags)
        return any(order.tag in tags for order in account.book.living_orders())

    # ----------------------------------------------------------------------------------------------------- market
    def on_ticks(self, ticks: npt.NDArray[np.void]) -> None:
        """Match every account with trades and quotes, in their order. Contracts nobody works in only move on."""
        books = [account.book for account in self.accounts.values()]
        busy = {key for key in self.products if any(book.has_work(key) for book in books)}
        ids = {self.products[key].contract_id for key in busy}
        if not ids:
            self.months.skip(ticks)
            return
        if len(ticks) <= FEW:
            watched = np.array([number in ids for number in ticks["contract_id"].tolist()], np.bool_)
        else:
            watched = np.isin(ticks["contract_id"], sorted(ids))
        self.months.skip(ticks[~watched])
        columns = ("contract_id", "kind", "price", "price2", *MORE)
        rows = zip(*(ticks[name][watched].tolist() for name in columns), strict=True)
        for contract_id, kind, price, price2, *more in rows:
            exch_ns = more[0]
            for key, state, trade in self.months.take(contract_id, kind, price, price2, tuple(more)):
                if self.halts and self.halted(key, exch_ns):
                    continue
                for book in books:
                    book.on_tick(key, state, trade, exch_ns)

    def advance(self, now_ns: int) -> None:
        """Market time is `now_ns`: do what is due, fill what waits at the standing quote, then days, hours, limits."""
        while self._agenda and self._agenda[0][0] <= now_ns:
            heapq.heappop(self._agenda)[2](now_ns)
        day = trading_day(now_ns)
        for account in self.accounts.values():
            self._settle(account, now_ns)
            if account.day != day and account.begin_day(day):
                self.tell(account)
            rule = account.breach(self.states) if account.can_trade else None
            if rule is not None:
                self.liquidate(account, now_ns, failed=rule == "max_loss")
        self._end_sessions(now_ns)
        if self._listing is not None and day != self._day:
            self._roll_by_calendar(self._listing, day, now_ns)
        self._day = day

    def at(self, at_ns: int, action: Callable[[int], object]) -> None:
        """Do something at a market time: in the first `advance` that reaches it, which hands its time over."""
        heapq.heappush(self._agenda, (at_ns, next(self._agenda_number), action))

    def forget_agenda(self) -> None:
        self._agenda.clear()

    def _settle(self, account: SimAccount, now_ns: int) -> None:
        for key, state in self.states.items():
            if account.book.has_work(key) and not self.halted(key, now_ns):
                account.book.on_tick(key, state, None, now_ns)

    def _end_sessions(self, now_ns: int) -> None:
        """At the daily flatten the venue ends working orders and closes positions itself."""
        if self._hours is None:
            return
        for key, product in self.products.items():
            now_open = self._hours.orders_accepted(now_ns, product.symbol)
            if self._was_open.get(key, False) and not now_open:
                for account in self.accounts.values():
                    self.flatten(account, [key], now_ns, "expired")
            self._was_open[key] = now_open

    def flatten(self, account: SimAccount, keys: Iterable[str], now_ns: int, status: OrderStatus = "cancelled") -> None:
        """End all orders of these months and close what is held; `status` is how the orders end."""
        chosen = list(keys)
        for order in account.book.living_orders():
            if order.contract in chosen:
                account.book.cancel(order.order_id, now_ns, status)
        for key in chosen:
            account.book.close(key, now_ns)
        self._settle(account, now_ns)

    def liquidate(self, account: SimAccount, now_ns: int, *, failed: bool) -> None:
        """The firm ends it: no orders, no positions, locked until the next trading day (`failed`: for good)."""
        account.can_trade = False
        account.failed = account.failed or failed
        self.flatten(account, self.products, now_ns)
        self.tell(account)

    def halted(self, key: str, now_ns: int) -> bool:
        """Whether trading in a month is halted: nothing is taken and nothing fills."""
        symbol = self.products[key].symbol
        if symbol not in self.halts:
            return False
        until_ns = self.halts[symbol]
        return until_ns is None or now_ns < until_ns

    def _open(self, key: str, now_ns: int) -> bool:
        hours = self._hours is None or self._hours.orders_accepted(now_ns, self.products[key].symbol)
        return hours and not self.halted(key, now_ns)

    # ------------------------------------------------------------------------------------------------------ months
    def roll(self, symbol: str, now_ns: int, offset_ticks: int = 0, to: str | None = None) -> Contract:
        """Another month of a product becomes the active one; what accounts have in the old month stays there."""
        old = self.months.contracts.get(symbol)
        new, key = self.months.roll(symbol, offset_ticks, to)
        assert old is not None, "Months.roll refuses symbols that it does not know"
        for account in self.accounts.values():
            account.book.rename(symbol, key)
        self._events = [_renamed(event, symbol, key) for event in self._events]
        self._was_open[key] = self._was_open.get(symbol, False)
        for hook in self.on_roll:
            hook(old, new, offset_ticks, now_ns)
        return new

    def _roll_by_calendar(self, listing: Callable[[Product, date], Contract], day: date, now_ns: int) -> None:
        for contract in self.listed():
            target = listing(contract.product, day)
            if _delivery(target) > _delivery(contract):
                self.roll(contract.product.symbol, now_ns, to=target.broker_id)

    # ----------------------------------------------------------------------------------------------------- events
    def take(self, account_id: int, event: BookEvent) -> None:
        """An account book's event goes out to the user hubs (called by the books)."""
        account = self.accounts[account_id]
        if isinstance(event, Order):
            self._events.append(UserEvent(account, "order", event))
        elif isinstance(event, Fill):
            self._events.append(UserEvent(account, "trade", event))
        elif isinstance(event, Holding):
            self._events.append(UserEvent(account, "position", event))
        else:
            assert isinstance(event, Balance)
            self.tell(account)

    def tell(self, account: SimAccount) -> None:
        """Tell the account's balance and permission."""
        self._events.append(UserEvent(account, "account", copy(account), account.book.balance_cents))


def _renamed(event: UserEvent, name: str, key: str) -> UserEvent:
    """An event that was not handed out yet, under the new key of its month."""
    data = event.data
    if isinstance(data, SimAccount) or data.contract != name:
        return event
    return replace(event, data=replace(data, contract=key))


def _delivery(contract: Contract) -> tuple[int, int]:
    _, month, year = parse_broker_id(contract.broker_id)
    return year, MONTH_CODES.index(month)


@dataclass(frozen=True, slots=True)
class _Sink:
    """Where one account's book sends its events."""

    exchange: Exchange
    account_id: int

    def take(self, event: BookEvent) -> None:
        self.exchange.take(self.account_id, event)
