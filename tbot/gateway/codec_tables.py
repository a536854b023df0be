"""The gateway's numbers as names, and its error codes per endpoint: all of it as data.

Sources: the published enumerations and endpoint error tables, and the live findings about codes that stay ambiguous.
The same integer means different things on different endpoints, so there is one table per call and nothing shared. What
an answer proves is told in `outcomes.py`.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal


class OrderType(IntEnum):
    """`type` of an order. JoinBid and JoinAsk rest at the best price; StopLimit can't be placed."""

    UNKNOWN = 0
    LIMIT = 1
    MARKET = 2
    STOP_LIMIT = 3
    STOP = 4
    TRAILING_STOP = 5
    JOIN_BID = 6
    JOIN_ASK = 7


class OrderState(IntEnum):
    """`status` of an order; 2 to 5 are final."""

    NONE = 0
    OPEN = 1
    FILLED = 2
    CANCELLED = 3
    EXPIRED = 4
    REJECTED = 5
    PENDING = 6
    PENDING_CANCELLATION = 7
    SUSPENDED = 8


class OrderSide(IntEnum):
    """`side` of an order or fill."""

    BID = 0  # buy
    ASK = 1  # sell


class PositionType(IntEnum):
    """`type` of a position."""

    UNDEFINED = 0
    LONG = 1
    SHORT = 2


class BarUnit(IntEnum):
    """`unit` of a history request."""

    UNSPECIFIED = 0
    SECOND = 1
    MINUTE = 2
    HOUR = 3
    DAY = 4
    WEEK = 5
    MONTH = 6
    TICK = 7


class OrderSortField(IntEnum):
    """`sortBy` of the paged order query."""

    CREATED_AT = 0
    ID = 1


class SortDirection(IntEnum):
    """`sortDirection` of the paged order query."""

    ASC = 0
    DESC = 1


class DomType(IntEnum):
    """`type` of a depth row."""

    UNKNOWN = 0
    ASK = 1
    BID = 2
    BEST_ASK = 3
    BEST_BID = 4
    TRADE = 5
    RESET = 6
    LOW = 7
    HIGH = 8
    NEW_BEST_BID = 9
    NEW_BEST_ASK = 10
    FILL = 11


class UserAction(IntEnum):
    """`action` of a user-hub event as captures suggest; its meaning is not documented, so nothing depends on it."""

    ADDED = 0
    UPDATED = 1
    REMOVED = 2


def enum_name(kind: type[IntEnum], value: int) -> str:
    """The documented name of a value, or `Code<n>`: an unknown value is told as it is, never guessed."""
    try:
        return kind(value).name
    except ValueError:
        return f"Code{value}"


FINAL_STATES = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REJECTED})
WORKING_STATES: tuple[int, ...] = (
    OrderState.OPEN,
    OrderState.PENDING,
    OrderState.PENDING_CANCELLATION,
    OrderState.SUSPENDED,
)

Kind = Literal["query", "mutation", "login", "validate"]


@dataclass(frozen=True, slots=True)
class Call:
    """One endpoint: path, what kind of outcome it has, its payload member, and its codes by name.

    `open_codes` are documented codes after which the outcome still isn't known (pending, unknown error).
    """

    path: str
    kind: Kind
    payload: str = ""
    codes: tuple[str, ...] = ("Success",)
    open_codes: frozenset[int] = frozenset()
    history: bool = False  # counts against the history budget

    def code_name(self, code: int) -> str:
        """The documented name of a code, or `Code<n>`."""
        return self.codes[code] if 0 <= code < len(self.codes) else f"Code{code}"

    def is_known(self, code: int) -> bool:
        return 0 <= code < len(self.codes)


_LOGIN_CODES = (
    "Success",
    "UserNotFound",
    "PasswordVerificationFailed",
    "InvalidCredentials",
    "AppNotFound",
    "AppVerificationFailed",
    "InvalidDevice",
    "AgreementsNotSigned",
    "UnknownError",
    "ApiSubscriptionNotFound",
    "ApiKeyAuthenticationDisabled",
)
_ACCOUNT_CODES = ("Success", "AccountNotFound")
_PLACE_CODES = (
    "Success",
    "AccountNotFound",
    "OrderRejected",
    "InsufficientFunds",
    "AccountViolation",
    "OutsideTradingHours",
    "OrderPending",
    "UnknownError",
    "ContractNotFound",
    "ContractNotActive",
    "AccountRejected",
)
_MODIFY_CODES = (
    "Success",
    "AccountNotFound",
    "OrderNotFound",
    "Rejected",
    "Pending",
    "UnknownError",
    "AccountRejected",
    "ContractNotFound",
)
_CLOSE_CODES = (
    "Success",
    "AccountNotFound",
    "PositionNotFound",
    "ContractNotFound",
    "ContractNotActive",
    "OrderRejected",
    "OrderPending",
    "UnknownError",
    "AccountRejected",
)
_PARTIAL_CLOSE_CODES = (*_CLOSE_CODES[:5], "InvalidCloseSize", *_CLOSE_CODES[5:])
_BAR_CODES = ("Success", "ContractNotFound", "UnitInvalid", "UnitNumberInvalid", "LimitInvalid")

LOGIN_KEY = Call("/api/Auth/loginKey", "login", "token", _LOGIN_CODES, frozenset({8}))
# Documented only: it asks for the user's password, is withdrawn from the documentation, and no client of ours calls it.
LOGIN_APP = Call("/api/Auth/loginApp", "login", "token", _LOGIN_CODES, frozenset({8}))
VALIDATE = Call(
    "/api/Auth/validate",
    "validate",
    "newToken",
    ("Success", "InvalidSession", "SessionNotFound", "ExpiredToken", "UnknownError"),
    frozenset({4}),
)
LOGOUT = Call("/api/Auth/logout", "query", "", ("Success", "InvalidSession", "UnknownError"), frozenset({2}))
ACCOUNT_SEARCH = Call("/api/Account/search", "query", "accounts")
CONTRACT_SEARCH = Call("/api/Contract/search", "query", "contracts")
CONTRACT_BY_ID = Call("/api/Contract/searchById", "query", "contract", ("Success", "ContractNotFound"))
CONTRACT_AVAILABLE = Call("/api/Contract/available", "query", "contracts")
RETRIEVE_BARS = Call("/api/History/retrieveBars", "query", "bars", _BAR_CODES, history=True)
ORDER_PLACE = Call("/api/Order/place", "mutation", "orderId", _PLACE_CODES, frozenset({6, 7}))
ORDER_MODIFY = Call("/api/Order/modify", "mutation", "", _MODIFY_CODES, frozenset({4, 5}))
ORDER_CANCEL = Call("/api/Order/cancel", "mutation", "", _MODIFY_CODES[:7], frozenset({4, 5}))
ORDER_SEARCH = Call("/api/Order/search", "query", "orders", _ACCOUNT_CODES)
ORDER_SEARCH_OPEN = Call("/api/Order/searchOpen", "query", "orders", _ACCOUNT_CODES)
ORDER_BY_ID = Call("/api/Order/searchById", "query", "order", ("Success", "OrderNotFound"))
ORDER_QUERY = Call("/api/Order/v2/query", "query", "orders", _ACCOUNT_CODES)
POSITION_SEARCH_OPEN = Call("/api/Position/searchOpen", "query", "positions", _ACCOUNT_CODES)
POSITION_CLOSE = Call("/api/Position/closeContract", "mutation", "", _CLOSE_CODES, frozenset({6, 7}))
POSITION_PARTIAL_CLOSE = Call(
    "/api/Position/partialCloseContract", "mutation", "", _PARTIAL_CLOSE_CODES, frozenset({7, 8})
)
TRADE_SEARCH = Call("/api/Trade/search", "query", "trades", _ACCOUNT_CODES)

CALLS: tuple[Call, ...] = (
    LOGIN_KEY,
    LOGIN_APP,
    VALIDATE,
    LOGOUT,
    ACCOUNT_SEARCH,
    CONTRACT_SEARCH,
    CONTRACT_BY_ID,
    CONTRACT_AVAILABLE,
    RETRIEVE_BARS,
    ORDER_PLACE,
    ORDER_MODIFY,
    ORDER_CANCEL,
    ORDER_SEARCH,
    ORDER_SEARCH_OPEN,
    ORDER_BY_ID,
    ORDER_QUERY,
    POSITION_SEARCH_OPEN,
    POSITION_CLOSE,
    POSITION_PARTIAL_CLOSE,
    TRADE_SEARCH,
)
BY_PATH: dict[str, Call] = {call.path.lower(): call for call in CALLS}  # ASP.NET matches paths case-insensitively
PING_PATH = "/api/Status/ping"
OPENAPI_PATH = "/swagger/v1/swagger.json"
CLOCK_PATH = "/sim/clock"  # our simulator's own

USER_HUB_PATH = "/hubs/user"
MARKET_HUB_PATH = "/hubs/market"
MAX_BARS = 20_000
MAX_CONTRACT_RESULTS = 20

# A refusal with this text proves that an order with our tag exists or existed: the outcome stays open (F-ORD-03).
TAG_IN_USE = "custom tag is already in use"
