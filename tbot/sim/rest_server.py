"""The REST side of the simulated gateway: every endpoint of projectx-gateway 4, as functions from body to answer.

`RestApi.handle` is plain code (no socket): token, budget, endpoint, envelope. `server.py` puts it on a port. Which JSON
member is called what stands in `gateway/codec*`; this file knows paths, order of checks, and result rules.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from tbot.domain.contracts import Contract
from tbot.execution.book_types import Order
from tbot.gateway import codec_rest as rest
from tbot.gateway import codec_tables as calls
from tbot.gateway.codec import BadRequest, BarUnit, broker_contract, decode_request, encode_answer, encode_bars
from tbot.gateway.codec_rest import encode_problem
from tbot.gateway.codec_tables import Call
from tbot.gateway.codec_values import parse_time_lenient
from tbot.sim.accounts import SimAccount
from tbot.sim.auth import Budgets, RateLimits, Tokens, User
from tbot.sim.exchange import Answer, Exchange
from tbot.sim.fault_stale import OldView
from tbot.sim.history import UNITS
from tbot.sim.market import Market
from tbot.sim.orders import ModifyFields, PlaceFields
from tbot.sim.views import STATUS, broker_account, broker_order, broker_position, broker_trade

R = TypeVar("R", bound=rest.Request)

CONTRACT_NOT_FOUND, UNIT_INVALID, NUMBER_INVALID, LIMIT_INVALID = 1, 2, 3, 4
INVALID_CREDENTIALS, APP_NOT_FOUND = 3, 4
INVALID_SESSION = 1
DEFAULT_PAGE, MAX_PAGE = 50, 500
MAX_BODY_BYTES = 1 << 20
_END_NS = 2**62  # later than everything that happens here


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer. `make` gives the body of a long one; it touches nothing shared and may run in a thread."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    make: Callable[[], bytes] | None = None


UNAUTHORIZED = Reply(401, b"", {"WWW-Authenticate": "Bearer"})


class RestApi:
    """Endpoints over one exchange and its market. `now_s` is a steady clock for budgets, tokens use the wall clock."""

    def __init__(
        self,
        exchange: Exchange,
        market: Market,
        users: list[User],
        tokens: Tokens,
        limits: RateLimits | None = None,
    ) -> None:
        self.tokens = tokens
        self._exchange = exchange
        self._market = market
        self._users = {user.name.lower(): user for user in users}
        self._budgets = Budgets(limits or RateLimits())
        self._view: Exchange | OldView = exchange  # what account queries read
        self._handlers: dict[str, Callable[[str, bytes], bytes | Callable[[], bytes]]] = {
            calls.ACCOUNT_SEARCH.path: self._account_search,
            calls.CONTRACT_SEARCH.path: self._contract_search,
            calls.CONTRACT_BY_ID.path: self._contract_by_id,
            calls.CONTRACT_AVAILABLE.path: self._contract_available,
            calls.RETRIEVE_BARS.path: self._retrieve_bars,
            calls.ORDER_PLACE.path: self._place,
            calls.ORDER_MODIFY.path: self._modify,
            calls.ORDER_CANCEL.path: self._cancel,
            calls.ORDER_SEARCH.path: self._order_search,
            calls.ORDER_SEARCH_OPEN.path: self._order_search_open,
            calls.ORDER_BY_ID.path: self._order_by_id,
            calls.ORDER_QUERY.path: self._order_query,
            calls.POSITION_SEARCH_OPEN.path: self._position_search_open,
            calls.POSITION_CLOSE.path: self._close,
            calls.POSITION_PARTIAL_CLOSE.path: self._partial_close,
            calls.TRADE_SEARCH.path: self._trade_search,
        }

    def handle(self, method: str, path: str, token: str, body: bytes, now_s: float) -> Reply:
        """One request; `path` in any case, `token` the bearer token or "", `now_s` for the budgets."""
        path = path.lower()
        if path == calls.PING_PATH.lower():
            return Reply(200, b"pong") if method == "GET" else Reply(405, b"", {"Allow": "GET"})
        call = calls.BY_PATH.get(path)
        if call is None:
            return Reply(404)
        if method != "POST":
            return Reply(405, b"", {"Allow": "POST"})
        try:
            return self._post(call, token, body, now_s)
        except BadRequest as error:
            trace_id = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"  # W3C trace context, as the framework's
            problem = encode_problem(400, "One or more validation errors occurred.", {"$": [str(error)]}, trace_id)
            return Reply(400, problem, {"Content-Type": "application/problem+json"})

    @contextmanager
    def altered(self, view: OldView | None, token_life_s: float | None) -> Iterator[None]:
        """For one call: queries read `view`, and tokens given out live so long."""
        before = self._view, self.tokens.life_s
        self._view = self._view if view is None else view
        self.tokens.life_s = self.tokens.life_s if token_life_s is None else token_life_s
        try:
            yield
        finally:
            self._view, self.tokens.life_s = before

    def user_of(self, token: str) -> str | None:
        """The user behind a token, None when it is not valid (any more)."""
        return self.tokens.user_of(token, time.time())

    # ----------------------------------------------------------------------------------------------------- session
    def _post(self, call: Call, token: str, body: bytes, now_s: float) -> Reply:
        if call.kind == "login":
            return self._login(call, body, now_s)
        user = self.user_of(token)
        if user is None:
            return UNAUTHORIZED
        if not self._budgets.take(user, history=call.history, now_s=now_s):
            return Reply(429)
        if call is calls.VALIDATE:
            return Reply(200, encode_answer(call, self.tokens.issue(user, time.time())))
        if call is calls.LOGOUT:
            self.tokens.revoke(token)
            return Reply(200, encode_answer(call))
        answer = self._handlers[call.path](user, body)
        return Reply(200, answer) if isinstance(answer, bytes) else Reply(200, make=answer)

    def _login(self, call: Call, body: bytes, now_s: float) -> Reply:
        if call is calls.LOGIN_APP:
            decode_request(rest.LoginAppRequest, body)
            return Reply(200, encode_answer(call, code=APP_NOT_FOUND))
        request = decode_request(rest.LoginKeyRequest, body)
        if not request.user_name or not request.api_key:
            raise BadRequest("userName and apiKey are required")
        if not self._budgets.take(request.user_name, history=False, now_s=now_s):
            return Reply(429)
        user = self._users.get(request.user_name.lower())
        if user is None or user.api_key != request.api_key:
            return Reply(200, encode_answer(call, code=INVALID_CREDENTIALS))
        return Reply(200, encode_answer(call, self.tokens.issue(user.name, time.time())))

    # ---------------------------------------------------------------------------------------- accounts, contracts
    def _account_search(self, user: str, body: bytes) -> bytes:
        request = decode_request(rest.AccountSearchRequest, body)
        accounts = self._view.accounts_of(user)
        chosen = [account for account in accounts if account.can_trade or not request.only_active_accounts]
        return encode_answer(calls.ACCOUNT_SEARCH, [broker_account(account) for account in chosen])

    def _contract_search(self, _user: str, body: bytes) -> bytes:
        request = decode_request(rest.ContractSearchRequest, body)
        text = (request.search_text or "").lower()
        found = [] if request.live else [broker_contract(contract) for contract in self._exchange.listed()]
        found = [
            record
            for record in found
            if text in f"{record.broker_id}\n{record.name}\n{record.description}\n{record.symbol_id}".lower()
        ]
        return encode_answer(calls.CONTRACT_SEARCH, found[: calls.MAX_CONTRACT_RESULTS])

    def _contract_by_id(self, _user: str, body: bytes) -> bytes:
        request = decode_request(rest.ContractByIdRequest, body)
        found = self._exchange.find_contract(request.contract_id)
        if found is None:
            return encode_answer(calls.CONTRACT_BY_ID, code=CONTRACT_NOT_FOUND)
        return encode_answer(calls.CONTRACT_BY_ID, broker_contract(*found))

    def _contract_available(self, _user: str, body: bytes) -> bytes:
        request = decode_request(rest.ContractAvailableRequest, body)
        # The simulator sells the simulation data only: nothing is available on the live subscription.
        contracts = [] if request.live else self._exchange.listed()
        return encode_answer(calls.CONTRACT_AVAILABLE, [broker_contract(contract) for contract in contracts])

    def _retrieve_bars(self, _user: str, body: bytes) -> bytes | Callable[[], bytes]:
        call = calls.RETRIEVE_BARS
        request = decode_request(rest.RetrieveBarsRequest, body)
        from_ns, to_ns = _time(request.start_time), _time(request.end_time)
        found = self._exchange.find_contract(request.contract_id)
        if found is None:
            return encode_answer(call, code=CONTRACT_NOT_FOUND)
        if request.unit not in UNITS:
            return encode_answer(call, code=UNIT_INVALID)
        if request.unit_number < 1:
            return encode_answer(call, code=NUMBER_INVALID)
        if not 1 <= request.limit <= calls.MAX_BARS:
            return encode_answer(call, code=LIMIT_INVALID)
        product = found[0].product
        bars = self._market.bars(
            found[0],
            BarUnit(request.unit),
            request.unit_number,
            from_ns,
            to_ns,
            limit=request.limit,
            partial=request.include_partial_bar,
        )
        bars = bars.copy()
        return lambda: encode_bars(bars, product)

    # ------------------------------------------------------------------------------------------------------ orders
    def _place(self, user: str, body: bytes) -> bytes:
        request = decode_request(rest.OrderPlaceRequest, body)
        stop, target = request.stop_loss_bracket, request.take_profit_bracket
        fields = PlaceFields(
            account=request.account_id,
            contract_id=request.contract_id,
            order_type=request.type,
            side=request.side,
            size=request.size,
            limit_price=request.limit_price,
            stop_price=request.stop_price,
            trail_price=request.trail_price,
            tag=request.custom_tag or "",
            stop_ticks=None if stop is None else stop.ticks,
            stop_type=calls.OrderType.STOP if stop is None else stop.type,
            target_ticks=None if target is None else target.ticks,
            target_type=calls.OrderType.LIMIT if target is None else target.type,
        )
        answer = self._exchange.place(user, fields, self._now_ns())
        return encode_answer(calls.ORDER_PLACE, answer.order_id, code=answer.code, message=answer.text)

    def _modify(self, user: str, body: bytes) -> bytes:
        request = decode_request(rest.OrderModifyRequest, body)
        fields = ModifyFields(
            request.account_id,
            request.order_id,
            request.size,
            request.limit_price,
            request.stop_price,
            request.trail_price,
        )
        return _plain(calls.ORDER_MODIFY, self._exchange.modify(user, fields, self._now_ns()))

    def _cancel(self, user: str, body: bytes) -> bytes:
        request = decode_request(rest.OrderIdRequest, body)
        answer = self._exchange.cancel(user, request.account_id, request.order_id, self._now_ns())
        return _plain(calls.ORDER_CANCEL, answer)

    def _order_search(self, user: str, body: bytes) -> bytes:
        request = decode_request(rest.OrderSearchRequest, body)
        call = calls.ORDER_SEARCH
        account = self._view.account(user, request.account_id)
        from_ns, to_ns = _time(request.start_timestamp), _time_or_end(request.end_timestamp)
        if account is None:
            return encode_answer(call, code=1)
        # Suspended legs are invisible to this call (projectx-gateway 7.2).
        orders = [
            order
            for order in account.book.orders.values()
            if from_ns <= order.created_ns <= to_ns and order.status != "suspended"
        ]
        return encode_answer(call, self._orders(account, orders))

    def _order_search_open(self, user: str, body: bytes) -> bytes:
        request = decode_request(rest.AccountIdRequest, body)
        account = self._view.account(user, request.account_id)
        if account is None:
            return encode_answer(calls.ORDER_SEARCH_OPEN, code=1)
        orders = [order for order in account.book.living_orders() if order.status == "open"]
        return encode_answer(calls.ORDER_SEARCH_OPEN, self._orders(account, orders))

    def _order_by_id(self, user: str, body: bytes) -> bytes:
        request = decode_request(rest.OrderIdRequest, body)
        account = self._view.account(user, request.account_id)
        order = None if account is None else account.book.orders.get(request.order_id)
        if account is None or order is None:
            return encode_answer(calls.ORDER_BY_ID, code=1)
        return encode_answer(calls.ORDER_BY_ID, self._orders(account, [order])[0])

    def _order_query(self, user: str, body: bytes) -> bytes:
        request = decode_request(rest.OrderQueryRequest, body)
        call, wanted = calls.ORDER_QUERY, request.filter
        size = DEFAULT_PAGE if request.page_size is None else request.page_size
        offset = request.page_offset or 0
        if not 1 <= size <= MAX_PAGE or offset < 0:
            raise BadRequest(f"pageSize must be 1 to {MAX_PAGE}, pageOffset at least 0")
        if request.sort_by not in (None, 0, 1) or request.sort_direction not in (None, 0, 1):
            raise BadRequest("sortBy and sortDirection must be 0 or 1")
        account = self._view.account(user, wanted.account_id)
        if account is None:
            return encode_answer(call, code=1)
        after_ns = 0 if wanted.created_after is None else _time(wanted.created_after)
        before_ns = _time_or_end(wanted.created_before)
        orders = [order for order in account.book.orders.values() if after_ns <= order.created_ns <= before_ns]
        if wanted.statuses:
            orders = [order for order in orders if STATUS[order.status] in wanted.statuses]
        if wanted.contract_id is not None:
            contracts = self._exchange.contracts
            orders = [order for order in orders if contracts[order.contract].broker_id == wanted.contract_id]
        # Ids rise with creation, so both sort fields give one order; newest first unless asked otherwise.
        if request.sort_direction != 0:
            orders.reverse()
        total = len(orders) if request.include_total_count else None
        return encode_answer(call, self._orders(account, orders[offset : offset + size]), total=total)

    # ------------------------------------------------------------------------------------------- positions, trades
    def _position_search_open(self, user: str, body: bytes) -> bytes:
        request = decode_request(rest.AccountIdRequest, body)
        account = self._view.account(user, request.account_id)
        if account is None:
            return encode_answer(calls.POSITION_SEARCH_OPEN, code=1)
        records = [
            broker_position(holding, account.account_id, self._contract(holding.contract))
            for holding in account.book.holdings()
        ]
        return encode_answer(calls.POSITION_SEARCH_OPEN, records)

    def _close(self, user: str, body: bytes) -> bytes:
        request = decode_request(rest.CloseContractRequest, body)
        answer = self._exchange.close(user, request.account_id, request.contract_id, self._now_ns())
        return _plain(calls.POSITION_CLOSE, answer)

    def _partial_close(self, user: str, body: bytes) -> bytes:
        request = decode_request(rest.PartialCloseRequest, body)
        answer = self._exchange.partial_close(
            user, request.account_id, request.contract_id, request.size, self._now_ns()
        )
        return _plain(calls.POSITION_PARTIAL_CLOSE, answer)

    def _trade_search(self, user: str, body: bytes) -> bytes:
        request = decode_request(rest.TradeSearchRequest, body)
        account = self._view.account(user, request.account_id)
        from_ns = 0 if request.start_timestamp is None else _time(request.start_timestamp)
        to_ns = _time_or_end(request.end_timestamp)
        if account is None:
            return encode_answer(calls.TRADE_SEARCH, code=1)
        fills = [fill for fill in reversed(account.book.fills) if from_ns <= fill.now_ns <= to_ns]
        records = [broker_trade(fill, self._contract(fill.contract)) for fill in fills]
        return encode_answer(calls.TRADE_SEARCH, records)

    # ---------------------------------------------------------------------------------------------------- plumbing
    def _orders(self, account: SimAccount, orders: list[Order]) -> list[object]:
        return [broker_order(order, account.account_id, self._contract(order.contract)) for order in orders]

    def _contract(self, symbol: str) -> Contract:
        return self._exchange.contracts[symbol]

    def _now_ns(self) -> int:
        """Market time of a request: at the last step of the market, so that no order is older than a tick it met."""
        return self._market.now_ns


def _plain(call: Call, answer: Answer) -> bytes:
    return encode_answer(call, code=answer.code, message=answer.text)


def _time(text: str) -> int:
    """UTC ns. A year we cannot count in, as in the least and the greatest time of .NET, means before or after all."""
    year, rest_of_it = text.strip()[:4], text.strip()[4:]
    far = re.fullmatch("[0-9]{4}", year) is not None and not 1970 <= int(year) <= 2100
    try:
        ns = parse_time_lenient(f"2000{rest_of_it}" if far else text)
    except ValueError as error:
        raise BadRequest(str(error)) from None
    return ns if not far else 0 if int(year) < 1970 else _END_NS


def _time_or_end(text: str | None) -> int:
    return _END_NS if text is None else _time(text)
