"""The simulated venue: users, accounts, contracts and the rules between a request and an account's book. Pure.

It takes requests in the venue's own terms (contract ids, decimal prices, wire enumerations) and answers with the error
code of the endpoint and the venue's text, as projectx-gateway 6.6 to 6.16 documents them. Matching and money are
`execution.matching` over the one fill model; prices come in as ticks of the market source. Time is always an argument.

Choices where the documentation is silent: an order on a locked account is an AccountViolation (4); any malformed value
is OrderRejected (2) with a sentence; an order refused with code 2 is recorded and its id returned, but for a used tag.
A market order that no tick reached by the next `advance` fills at the quote that stands: a venue always has a market.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import BY_ID, BY_ROOT, Contract, parse_broker_id
from tbot.domain.messages import Fill
from tbot.domain.trading_hours import trading_day
from tbot.execution.book_types import TAG_IN_USE, Balance, BookEvent, Holding, Ids, Order
from tbot.execution.fill_model import FillSettings, MarketState
from tbot.execution.matching import AccountBook
from tbot.sim.accounts import AccountRules, SimAccount
from tbot.sim.orders import ModifyFields, PlaceFields, Refused, build_changes, build_request, skeleton
from tbot_ext.records import Kind

NOT_TRADING = "Trading is currently unavailable. The instrument is not in an active trading status."
POSITION_BRACKETS = "Brackets cannot be used with Position Brackets. You must enable Auto OCO Brackets."
MAX_POSITION = "Maximum position exceeded."

FIRST_ACCOUNT_ID = 1001

_TRADE, _QUOTE = int(Kind.TRADE), int(Kind.QUOTE)

# Error codes of projectx-gateway, by endpoint: the same number means different things on each.
OK = 0
ACCOUNT_NOT_FOUND = 1
PLACE_REJECTED, PLACE_VIOLATION, PLACE_NO_CONTRACT, PLACE_NOT_ACTIVE = 2, 4, 8, 9
ORDER_NOT_FOUND, CHANGE_REJECTED = 2, 3
CLOSE_NO_POSITION, CLOSE_NO_CONTRACT, CLOSE_NOT_ACTIVE = 2, 3, 4
CLOSE_REJECTED, PARTIAL_BAD_SIZE, PARTIAL_REJECTED = 5, 5, 6


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


class Exchange:
    """Users with their accounts, and one list of contracts. `drain` hands out what the user hubs must tell."""

    def __init__(
        self,
        contracts: Iterable[Contract],
        hours: Hours | None = None,
        rules: AccountRules | None = None,
        settings: FillSettings | None = None,
    ) -> None:
        self.contracts: dict[str, Contract] = {contract.product.symbol: contract for contract in contracts}
        self.products = {symbol: contract.product for symbol, contract in self.contracts.items()}
        self.states = {symbol: MarketState(product.spread_ticks) for symbol, product in self.products.items()}
        self.accounts: dict[int, SimAccount] = {}
        self.rules = rules or AccountRules()
        self._by_broker_id = {contract.broker_id: contract for contract in self.contracts.values()}
        self._hours = hours
        self._settings = settings
        self._ids = Ids()
        self._events: list[UserEvent] = []
        self._was_open: dict[str, bool] = {}
        # Called when a product's active month changes: old month, new month, ticks the new one is higher, market time.
        self.on_roll: list[Callable[[Contract, Contract, int, int], None]] = []

    # ----------------------------------------------------------------------------------------------------- people
    def add_account(self, owner: str, name: str) -> SimAccount:
        """A new account of a user."""
        account_id = FIRST_ACCOUNT_ID + len(self.accounts)
        sink = _Sink(self, account_id)
        start = self.rules.start_balance_cents
        book = AccountBook(account_id, self.products, start, sink.take, self._ids, self._settings)
        account = SimAccount(account_id, name, owner, self.rules, book, high_cents=start, day_start_cents=start)
        self.accounts[account_id] = account
        return account

    def accounts_of(self, owner: str) -> list[SimAccount]:
        return [account for account in self.accounts.values() if account.owner == owner]

    def account(self, owner: str, account_id: int) -> SimAccount | None:
        """The user's account with this id, None when it is not theirs."""
        account = self.accounts.get(account_id)
        return account if account is not None and account.owner == owner else None

    def drain(self) -> list[UserEvent]:
        """User-hub events since the last call, in order."""
        events, self._events = self._events, []
        return events

    def find_contract(self, broker_id: str) -> tuple[Contract, bool] | None:
        """(contract, whether it is the active month) behind an id; None when the venue does not list the product."""
        active = self._by_broker_id.get(broker_id)
        if active is not None:
            return active, True
        try:
            root, month, year = parse_broker_id(broker_id)
        except ValueError:
            return None
        product = BY_ROOT.get(root)
        if product is None or product.symbol not in self.products or month not in product.cycle:
            return None
        return Contract(product, broker_id, f"{product.symbol}{month}{year % 10}"), False

    # ----------------------------------------------------------------------------------------------------- orders
    def place(self, owner: str, fields: PlaceFields, now_ns: int) -> Answer:
        """Order/place."""
        account = self.account(owner, fields.account)
        if account is None:
            return Answer(ACCOUNT_NOT_FOUND)
        found = self.find_contract(fields.contract_id)
        if found is None:
            return Answer(PLACE_NO_CONTRACT)
        contract, active = found
        if not active:
            return Answer(PLACE_NOT_ACTIVE)
        if not account.can_trade:
            return Answer(PLACE_VIOLATION)
        if account.book.tag_used(fields.tag):
            return Answer(PLACE_REJECTED, TAG_IN_USE)
        product = contract.product
        try:
            if not self._open(product.symbol, now_ns):
                raise Refused(NOT_TRADING)
            if fields.has_bracket and not account.rules.auto_oco:
                raise Refused(POSITION_BRACKETS)
            request = build_request(fields, product, self.states[product.symbol])
            if account.exceeds_size(product, request.side, request.size, self.products):
                raise Refused(MAX_POSITION)
        except Refused as refused:
            order = account.book.reject(skeleton(fields, product.symbol), now_ns, str(refused))
            return Answer(PLACE_REJECTED, str(refused), order.order_id)
        return Answer(order_id=account.book.place(request, now_ns).order_id)

    def modify(self, owner: str, fields: ModifyFields, now_ns: int) -> Answer:
        """Order/modify."""
        account = self.account(owner, fields.account)
        if account is None:
            return Answer(ACCOUNT_NOT_FOUND)
        order = account.book.orders.get(fields.order_id)
        if order is None:
            return Answer(ORDER_NOT_FOUND)
        if order.status != "open":
            return Answer(CHANGE_REJECTED, f"Order cannot be modified in status {order.status}.")
        if not self._open(order.contract, now_ns):
            return Answer(CHANGE_REJECTED, NOT_TRADING)
        try:
            changes = build_changes(fields, order, self.products[order.contract], self.states[order.contract])
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
        if not account.book.cancel(order_id, now_ns):
            return Answer(CHANGE_REJECTED, f"Order is already {order.status}.")
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
        found = self.find_contract(contract_id)
        if found is None:
            return Answer(CLOSE_NO_CONTRACT)
        contract, active = found
        if not active:
            return Answer(CLOSE_NOT_ACTIVE)
        symbol = contract.product.symbol
        held = abs(account.book.size(symbol))
        if held == 0:
            return Answer(CLOSE_NO_POSITION)
        if size is not None and not 1 <= size <= held:
            return Answer(PARTIAL_BAD_SIZE)
        if not self._open(symbol, now_ns):
            return Answer(CLOSE_REJECTED if size is None else PARTIAL_REJECTED)
        account.book.close(symbol, now_ns, size)
        return Answer()

    # ----------------------------------------------------------------------------------------------------- market
    def on_ticks(self, ticks: npt.NDArray[np.void]) -> None:
        """Match every account with trades and quotes, in their order. Contracts nobody works in only move on."""
        busy = {
            symbol for symbol in self.products for account in self.accounts.values() if account.book.has_work(symbol)
        }
        ids = [self.products[symbol].contract_id for symbol in busy]
        watched = np.isin(ticks["contract_id"], ids) if ids else np.zeros(len(ticks), np.bool_)
        self._skip(ticks[~watched] if ids else ticks)
        columns = ("contract_id", "kind", "price", "price2", "exch_ns")
        rows = zip(*(ticks[name][watched].tolist() for name in columns), strict=True)
        for contract_id, kind, price, price2, exch_ns in rows:
            symbol = BY_ID[contract_id].symbol
            state = self.states[symbol]
            trade: int | None = None
            if kind == _TRADE:
                trade = price
                state.on_trade(price)
            elif kind == _QUOTE:
                state.on_quote(price, price2)
            else:
                continue
            for account in self.accounts.values():
                account.book.on_tick(symbol, state, trade, exch_ns)

    def advance(self, now_ns: int) -> None:
        """Market time is `now_ns`: fill what waits at the standing quote, then days, hours and loss limits."""
        day = trading_day(now_ns)
        for account in self.accounts.values():
            self._settle(account, now_ns)
            if account.day != day and account.begin_day(day):
                self._tell(account)
            rule = account.breach(self.states) if account.can_trade else None
            if rule is not None:
                account.can_trade = False
                account.failed = rule == "max_loss"
                self._flatten(account, list(self.products), now_ns)
                self._tell(account)
        self._end_sessions(now_ns)

    def _skip(self, ticks: npt.NDArray[np.void]) -> None:
        """Move the market states of contracts without working orders to their newest quote and trade."""
        for contract_id in np.unique(ticks["contract_id"]).tolist():
            own = ticks[ticks["contract_id"] == contract_id]
            state = self.states[BY_ID[contract_id].symbol]
            quotes = np.flatnonzero(own["kind"] == _QUOTE)
            trades = np.flatnonzero(own["kind"] == _TRADE)
            if len(quotes):
                quote = own[quotes[-1]]
                state.on_quote(int(quote["price"]), int(quote["price2"]))
            if len(trades):
                state.on_trade(int(own["price"][trades[-1]]))

    def _settle(self, account: SimAccount, now_ns: int) -> None:
        for symbol, state in self.states.items():
            if account.book.has_work(symbol):
                account.book.on_tick(symbol, state, None, now_ns)

    def _end_sessions(self, now_ns: int) -> None:
        """At the daily flatten the venue cancels working orders and closes positions itself."""
        if self._hours is None:
            return
        for symbol in self.products:
            now_open = self._open(symbol, now_ns)
            if self._was_open.get(symbol, False) and not now_open:
                for account in self.accounts.values():
                    self._flatten(account, [symbol], now_ns)
            self._was_open[symbol] = now_open

    def _flatten(self, account: SimAccount, symbols: list[str], now_ns: int) -> None:
        for order in account.book.living_orders():
            if order.contract in symbols:
                account.book.cancel(order.order_id, now_ns)
        for symbol in symbols:
            account.book.close(symbol, now_ns)
        self._settle(account, now_ns)

    def _open(self, symbol: str, now_ns: int) -> bool:
        return self._hours is None or self._hours.orders_accepted(now_ns, symbol)

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
            self._tell(account)

    def _tell(self, account: SimAccount) -> None:
        self._events.append(UserEvent(account, "account", account))


@dataclass(frozen=True, slots=True)
class _Sink:
    """Where one account's book sends its events."""

    exchange: Exchange
    account_id: int

    def take(self, event: BookEvent) -> None:
        self.exchange.take(self.account_id, event)
