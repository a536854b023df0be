"""REST client of the gateway. Outcomes are values (accepted, rejected, not_sent, ambiguous), never exceptions.

How often a call is sent and what its outcome is stands in the table of `outcomes.py`; this file carries it out.

Two classes on purpose: RestClient can only ask, OrderClient can also move money. Outside live and simulated trading no
OrderClient is ever built (invariant I17). Nothing that moves money is sent twice (rule R2).
"""

import random as random_module
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tbot.domain.clock import BrokerDate
from tbot.domain.messages import Outcome
from tbot.errors import GatewayError
from tbot.gateway import codec_rest as bodies
from tbot.gateway import codec_tables as tables
from tbot.gateway import outcomes
from tbot.gateway.codec_models import BrokerAccount, BrokerBar, BrokerContract, BrokerOrder, BrokerPosition, BrokerTrade
from tbot.gateway.codec_rest import Answer, ClockReading
from tbot.gateway.codec_tables import Call
from tbot.gateway.codec_values import format_time
from tbot.gateway.http_exchange import TOTAL_S, HttpExchange, HttpResult
from tbot.gateway.net import NS_PER_S, boot_ns, check_url, is_loopback, retry_after_s
from tbot.gateway.outcomes import LOCAL_LIMIT
from tbot.gateway.redact import Credentials, redact
from tbot.gateway.throttle import Throttle
from tbot.gateway.tokens import Token, TokenManager

if TYPE_CHECKING:
    from tbot.gateway.request_log import RequestLog  # maps memory: not for the emergency exit (R14)

PAUSE_S = 0.25  # before the second attempt of a query; doubles, with full jitter
MIN_429_PAUSE_S = 1.0


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


class RestClient:
    """Queries. Thread-safe. A call with all its retries ends within `total_s`; a login on the way has its own limit."""

    def __init__(
        self,
        base_url: str,
        credentials: Credentials | None = None,
        *,
        throttle: Throttle | None = None,
        log: "RequestLog | None" = None,
        exchange: HttpExchange | None = None,
        total_s: float = TOTAL_S,
        boot_clock: Callable[[], int] = boot_ns,
        wall_ns: Callable[[], int] = time.time_ns,
        random: Callable[[], float] = random_module.random,
        pause: Callable[[float], None] = _pause,
    ) -> None:
        """`credentials` None: the token comes from elsewhere (`tokens.adopt`). `log` carries the general budget over
        from a process to the next."""
        self.base_url = check_url(base_url, "http", "https")
        self.throttle = throttle or Throttle()
        self.skew_ns = 0  # our wall clock minus the gateway's Date header, as of the last answer (1 s resolution)
        self.dated = False  # there was a Date header to compare with
        self.date: BrokerDate | None = None  # the newest one
        self._credentials = credentials
        self._exchange = exchange or HttpExchange(self.base_url)
        self._total_s = total_s
        self._boot_ns = boot_clock
        self._log = log
        if log is not None:
            self.throttle.general.remember(log.past, boot_clock())
        self._wall_ns = wall_ns
        self._random = random
        self._pause = pause
        self._throttle_lock = threading.Lock()
        self.tokens = TokenManager(self._login, self._validate, wall_ns=wall_ns, boot_ns=self._boot_ns)
        self.counts: Counter[str] = Counter()  # requests, answered (HTTP 200), too_many (HTTP 429)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url})"

    def status(self) -> dict[str, object]:
        """Figures for a status document: budgets left, refusals, token revision, clock skew."""
        now_ns = self._boot_ns()
        token = self.tokens.current()
        with self._throttle_lock:
            general, history = self.throttle.general, self.throttle.history
            return {
                **self.counts,
                "requests_left": general.free(now_ns, protective=True),
                "history_left": history.free(now_ns),
                "refused_by_budget": general.refused + history.refused,
                "token_revision": 0 if token is None else token.revision,
                "logins": self.tokens.logins,
                "login_refused": self.tokens.refused,
                "skew_ms": self.skew_ns // 1_000_000,
            }

    def room(self, *, protective: bool = False) -> int:
        """How many requests that are not for history the budget has left now."""
        with self._throttle_lock:
            return self.throttle.general.free(self._boot_ns(), protective)

    def close(self) -> None:
        """Close idle connections."""
        self._exchange.close()

    # ----------------------------------------------------------------------------------------------------- session
    def login_key(self) -> Answer[str]:
        """Make sure that there is a token; the answer's value is None, the token stays inside `tokens`."""
        token = self.tokens.get()
        if token is not None:
            return Answer("accepted")
        text = self.tokens.refused or self.tokens.trouble or "no login now"
        return Answer("rejected" if self.tokens.refused else "not_sent", text=text)

    def logout(self) -> Answer[None]:
        """Give the token back. Whatever comes of it, it is not used again; the next query logs in anew."""
        token = self.tokens.current()
        if token is None:
            return Answer("not_sent", text="no token")
        answer = self._once(tables.LOGOUT, None, token, self._total_s, protective=True)
        self.tokens.invalidate(token)
        return answer

    def _login(self) -> Answer[str]:
        if self._credentials is None:
            return Answer("not_sent", text="this process holds no credentials")
        request = bodies.LoginKeyRequest(user_name=self._credentials.user_name, api_key=self._credentials.api_key)
        return self._once(tables.LOGIN_KEY, request, None, self._total_s, protective=True)

    def _validate(self, token: Token) -> Answer[str]:
        return self._once(tables.VALIDATE, None, token, self._total_s, protective=True)

    # ----------------------------------------------------------------------------------------------------- queries
    def account_search(self, only_active: bool = True, *, protective: bool = False) -> Answer[list[BrokerAccount]]:
        """All accounts of the user."""
        request = bodies.AccountSearchRequest(only_active_accounts=only_active)
        return self._query(tables.ACCOUNT_SEARCH, request, protective)

    def contract_available(self, live: bool = False) -> Answer[list[BrokerContract]]:
        """All products, one active month each. `live` selects the data subscription, not the kind of account."""
        return self._query(tables.CONTRACT_AVAILABLE, bodies.ContractAvailableRequest(live=live))

    def contract_search(self, text: str | None = None, live: bool = False) -> Answer[list[BrokerContract]]:
        """At most 20 active contracts whose name or description contains `text` (None: the first 20 of all)."""
        return self._query(tables.CONTRACT_SEARCH, bodies.ContractSearchRequest(live=live, search_text=text))

    def contract_search_by_id(self, broker_id: str) -> Answer[BrokerContract]:
        """One contract, expired months too."""
        return self._query(tables.CONTRACT_BY_ID, bodies.ContractByIdRequest(contract_id=broker_id))

    def retrieve_bars(
        self,
        broker_id: str,
        start_ns: int,
        end_ns: int,
        *,
        unit: tables.BarUnit = tables.BarUnit.MINUTE,
        unit_number: int = 1,
        limit: int = tables.MAX_BARS,
        partial: bool = False,
        live: bool = False,
    ) -> Answer[list[BrokerBar]]:
        """Bars of [start, end), oldest first; when there are more than `limit`, the newest ones."""
        request = bodies.RetrieveBarsRequest(
            contract_id=broker_id,
            live=live,
            start_time=format_time(start_ns, 6),
            end_time=format_time(end_ns, 6),
            unit=int(unit),
            unit_number=unit_number,
            limit=limit,
            include_partial_bar=partial,
        )
        return self._query(tables.RETRIEVE_BARS, request)

    def order_search(
        self, account: int, start_ns: int, end_ns: int | None = None, *, protective: bool = False
    ) -> Answer[list[BrokerOrder]]:
        """Orders of all states since `start_ns` (UTC ns), as the gateway orders them (oldest first)."""
        end = None if end_ns is None else format_time(end_ns, 6)
        request = bodies.OrderSearchRequest(
            account_id=account, start_timestamp=format_time(start_ns, 6), end_timestamp=end
        )
        return self._query(tables.ORDER_SEARCH, request, protective)

    def order_search_open(self, account: int, *, protective: bool = False) -> Answer[list[BrokerOrder]]:
        """Orders in state Open only: suspended bracket legs are not in it."""
        return self._query(tables.ORDER_SEARCH_OPEN, bodies.AccountIdRequest(account_id=account), protective)

    def order_search_by_id(self, account: int, order_id: int, *, protective: bool = False) -> Answer[BrokerOrder]:
        """One order in whatever state."""
        request = bodies.OrderIdRequest(account_id=account, order_id=order_id)
        return self._query(tables.ORDER_BY_ID, request, protective)

    def order_v2_query(
        self,
        account: int,
        statuses: tuple[int, ...] = tables.WORKING_STATES,
        *,
        broker_id: str | None = None,
        created_after_ns: int | None = None,
        created_before_ns: int | None = None,
        page_size: int = 100,
        offset: int = 0,
        sort_by: tables.OrderSortField = tables.OrderSortField.ID,
        sort_direction: tables.SortDirection = tables.SortDirection.ASC,
        protective: bool = False,
    ) -> Answer[list[BrokerOrder]]:
        """One page of orders in these states (none given: all), with `total`: the reconciliation surface."""
        wanted = bodies.OrderFilter(
            account_id=account,
            statuses=[int(status) for status in statuses] or None,
            contract_id=broker_id,
            created_after=None if created_after_ns is None else format_time(created_after_ns, 6),
            created_before=None if created_before_ns is None else format_time(created_before_ns, 6),
        )
        request = bodies.OrderQueryRequest(
            filter=wanted,
            page_size=page_size,
            page_offset=offset,
            sort_by=int(sort_by),
            sort_direction=int(sort_direction),
            include_total_count=True,
        )
        return self._query(tables.ORDER_QUERY, request, protective)

    def position_search_open(self, account: int, *, protective: bool = False) -> Answer[list[BrokerPosition]]:
        """Open positions, one per contract."""
        return self._query(tables.POSITION_SEARCH_OPEN, bodies.AccountIdRequest(account_id=account), protective)

    def trade_search(
        self, account: int, start_ns: int, end_ns: int | None = None, *, protective: bool = False
    ) -> Answer[list[BrokerTrade]]:
        """Fills since `start_ns` (UTC ns), as the gateway orders them (newest first)."""
        end = None if end_ns is None else format_time(end_ns, 6)
        request = bodies.TradeSearchRequest(
            account_id=account, start_timestamp=format_time(start_ns, 6), end_timestamp=end
        )
        return self._query(tables.TRADE_SEARCH, request, protective)

    def ping(self) -> Answer[str]:
        """Whether the gateway answers at all; needs no token."""
        answer = self._get(tables.PING_PATH)
        if answer.value is not None and answer.value.strip(b'" \r\n') == b"pong":
            return Answer("accepted", "pong", status=200)
        outcome: Outcome = "not_sent" if answer.outcome == "not_sent" else "ambiguous"
        return Answer(outcome, status=answer.status, text=answer.text or "no pong")

    def openapi(self) -> Answer[bytes]:
        """The description of itself that the gateway publishes, as it came; needs no token."""
        return self._get(tables.OPENAPI_PATH)

    def sim_clock(self) -> Answer[ClockReading]:
        """Market time of our simulator; rejected when the gateway is none."""
        answer = self._get(tables.CLOCK_PATH)
        if answer.value is None:
            text = "the gateway has no /sim/clock" if answer.outcome == "rejected" else answer.text
            return Answer(answer.outcome, status=answer.status, text=text)
        try:
            return Answer("accepted", bodies.decode_clock(answer.value), status=200)
        except ValueError as error:
            return Answer("rejected", text=str(error), status=200)

    def _get(self, path: str) -> Answer[bytes]:
        """One request without token or budget (none of these paths counts); the body as it came."""
        asked_ns = self._boot_ns()
        result = self._exchange.run("GET", path, b"", {}, self._total_s)
        if result.status is None:
            return Answer("ambiguous" if result.sent else "not_sent", text=result.error)
        self._note_date(result.headers.get("date"), asked_ns)
        if result.status == 200:
            return Answer("accepted", result.body, status=200)
        outcome: Outcome = "rejected" if 400 <= result.status < 500 else "ambiguous"
        return Answer(outcome, text=f"HTTP {result.status}", status=result.status)

    # ---------------------------------------------------------------------------------------------------- machinery
    def _query(self, call: Call, request: bodies.Request, protective: bool = False) -> Answer[Any]:
        """As many requests as the table allows, and at most one new login, all inside the deadline."""
        deadline_ns = self._boot_ns() + int(self._total_s * NS_PER_S)
        answer: Answer[Any] = Answer("not_sent", text="no time")
        attempt = refused = 0
        while True:
            token = self.tokens.get_or_last()
            if token is None:
                return Answer("not_sent", text=self._no_token())
            left_s = (deadline_ns - self._boot_ns()) / NS_PER_S
            if left_s <= 0:
                return answer
            before, answer = answer, self._once(call, request, token, left_s, protective)
            if before.situation is outcomes.Situation.TOO_MANY and answer.text == LOCAL_LIMIT:
                return before  # the 429 halved the budget: that is the cause, and the Desk must hear of it (F-API-03)
            if answer.ok:
                return answer
            rule = outcomes.rule(call, answer.situation)
            if rule.token_lost:
                refused += 1
                if refused >= rule.requests or self.tokens.refused:
                    return answer  # a new token did not help, or there will be none: no loop
                self.tokens.invalidate(token)
                continue
            pause_s = self._random() * PAUSE_S * 2**attempt
            if rule.pause == "retry after":
                pause_s = MIN_429_PAUSE_S if answer.retry_after_s is None else answer.retry_after_s
            attempt += 1
            if attempt >= rule.requests or self._boot_ns() + pause_s * NS_PER_S >= deadline_ns:
                return answer
            self._pause(pause_s)

    def _no_token(self) -> str:
        if self.tokens.refused:
            return self.tokens.refused
        return f"no token ({self.tokens.trouble})" if self.tokens.trouble else "no token"

    def _once(
        self, call: Call, request: bodies.Request | None, token: Token | None, total_s: float, protective: bool
    ) -> Answer[Any]:
        """One request, whatever comes of it."""
        with self._throttle_lock:
            now_ns = self._boot_ns()
            allowed = self.throttle.window(call.history).take(now_ns, protective)
            if allowed and self._log is not None and not call.history:
                self._log.note(now_ns)
        if not allowed:
            return Answer("not_sent", text=LOCAL_LIMIT)
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.text}"
        asked_ns = self._boot_ns()
        result = self._exchange.run("POST", call.path, bodies.encode_request(request), headers, total_s)
        return self._judge(call, result, token, asked_ns)

    def _judge(self, call: Call, result: HttpResult, token: Token | None, asked_ns: int) -> Answer[Any]:
        self.counts["requests"] += 1
        self.counts["answered"] += result.status == 200
        self.counts["too_many"] += result.status == 429
        if not result.sent:
            # A gateway that cannot be reached counts nothing. If we did, a minute of refused connections would use up
            # even the reserve, and nothing could be closed when it is back (R9).
            with self._throttle_lock:
                self.throttle.window(call.history).give_back()
                if self._log is not None and not call.history:
                    self._log.give_back()
            return Answer("not_sent", text=f"not sent: {result.error}")
        if result.status is None:
            return Answer("ambiguous", text=f"no answer: {result.error}")
        self._note_date(result.headers.get("date"), asked_ns)
        if result.status != 200:
            wait_s = retry_after_s(result.headers.get("retry-after"), self._wall_ns() / NS_PER_S)
            if result.status == 429:
                with self._throttle_lock:
                    self.throttle.window(call.history).penalise(self._boot_ns())
            outcome = outcomes.outcome_of(call, outcomes.classify_status(call, result.status))
            return Answer(outcome, text=f"HTTP {result.status}", status=result.status, retry_after_s=wait_s)
        answer = bodies.decode_answer(call, result.body)
        if not answer.text:
            return answer
        secrets = (token.text if token else "", self._credentials.api_key if self._credentials else "")
        return replace(answer, text=redact(answer.text, *secrets))

    def _note_date(self, value: str | None, asked_ns: int) -> None:
        try:
            stamp = parsedate_to_datetime(value or "").timestamp()
        except (ValueError, TypeError, OverflowError):
            return
        self.skew_ns = self._wall_ns() - int(stamp * NS_PER_S)
        self.dated, self.date = True, BrokerDate(int(stamp) * NS_PER_S, self._boot_ns(), asked_ns)


class OrderClient(RestClient):
    """Queries and the five calls that move money. Each method sends at most one request, ever."""

    def order_place(self, request: bodies.OrderPlaceRequest, *, protective: bool = False) -> Answer[int]:
        """Place an order. `order_id` may be there for a refused order too: it is on the gateway's record."""
        return self._mutate(tables.ORDER_PLACE, request, protective)

    def order_modify(self, request: bodies.OrderModifyRequest, *, protective: bool = True) -> Answer[None]:
        """Change prices or size of a working order."""
        return self._mutate(tables.ORDER_MODIFY, request, protective)

    def order_cancel(self, request: bodies.OrderIdRequest, *, protective: bool = True) -> Answer[None]:
        """Cancel by id."""
        return self._mutate(tables.ORDER_CANCEL, request, protective)

    def position_close_contract(self, request: bodies.CloseContractRequest) -> Answer[None]:
        """Close the whole position of a contract at market. Resting stops stay: cancel them afterwards."""
        return self._mutate(tables.POSITION_CLOSE, request, True)

    def position_partial_close(self, request: bodies.PartialCloseRequest) -> Answer[None]:
        """Close part of a position at market. Not repeatable: after an open outcome only the position tells (R4)."""
        return self._mutate(tables.POSITION_PARTIAL_CLOSE, request, True)

    def _mutate(self, call: Call, request: bodies.Request, protective: bool) -> Answer[Any]:
        # an entry does not wait for a login: its signal would be stale by then
        token = self.tokens.get_or_last() if protective else self.tokens.current()
        if token is None:
            return Answer("not_sent", text=self._no_token())
        answer = self._once(call, request, token, self._total_s, protective)
        if not answer.ok and outcomes.rule(call, answer.situation).token_lost:
            self.tokens.invalidate(token)  # the next query logs in; this request is not repeated
        return answer


def probe_simulator(base_url: str) -> bool:
    """Whether a gateway is our simulator: loopback, and it answers /sim/clock. GatewayError when nothing answers."""
    client = RestClient(base_url)
    try:
        if not is_loopback(urlsplit(client.base_url).hostname or ""):
            return False
        answer = client.sim_clock()
    finally:
        client.close()
    if answer.status is None:
        raise GatewayError(f"no answer from the gateway at {client.base_url} ({answer.text}); is it running?")
    return answer.ok
