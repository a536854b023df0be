"""From the fields of a place or modify request to an order of the account book, or to the venue's rejection text.

The texts are those that were seen on the wire (projectx-gateway 6.6); where none is known, a sentence of the same kind.
"""

from dataclasses import dataclass
from decimal import Decimal

from tbot.domain.contracts import Product
from tbot.domain.messages import OrderType as OrderKind
from tbot.execution.book_types import Order, OrderRequest, bracket_refusal, stop_refusal
from tbot.execution.fill_model import MarketState
from tbot.gateway.codec_tables import OrderType

MAX_TRAIL_TICKS = 1000
INVALID_SYMBOL = "Invalid symbol"
NO_LAST = "Cannot trail without a last price"
NO_TRAIL = "Trail Distance not set."
TRAIL_TOO_FAR = f"Trail Distance exceeds maximum ({MAX_TRAIL_TICKS})"

_RECORDED: dict[int, OrderKind] = {1: "limit", 2: "market", 4: "stop", 5: "trailing_stop", 6: "limit", 7: "limit"}
_ASKED_AS: dict[int, str] = {3: "stop_limit", 6: "join_bid", 7: "join_ask"}
_TYPE_NAMES = {0: "Unknown", 1: "Limit", 2: "Market", 3: "StopLimit", 4: "Stop", 5: "TrailingStop"}


@dataclass(frozen=True, slots=True)
class PlaceFields:
    """A place request in the venue's terms; types and side are the numbers of the wire."""

    account: int
    contract_id: str
    order_type: int
    side: int  # 0 buy, 1 sell
    size: int
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None  # a level, not a distance
    tag: str = ""
    stop_ticks: int | None = None
    stop_type: int = OrderType.STOP
    target_ticks: int | None = None
    target_type: int = OrderType.LIMIT

    @property
    def has_bracket(self) -> bool:
        return self.stop_ticks is not None or self.target_ticks is not None


@dataclass(frozen=True, slots=True)
class ModifyFields:
    """A modify request; None leaves a value as it is."""

    account: int
    order_id: int
    size: int | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a modify request changes, in ticks."""

    size: int | None = None
    limit: int | None = None
    stop: int | None = None
    trail: int | None = None


class Refused(Exception):
    """The venue refuses the request; the message is its text. Raised and caught within the simulator only."""


def skeleton(fields: PlaceFields, symbol: str) -> OrderRequest:
    """What can be recorded of a request that is refused."""
    kind, asked_as = _RECORDED.get(fields.order_type, "other"), _ASKED_AS.get(fields.order_type, "")
    side = -1 if fields.side == 1 else 1
    return OrderRequest(symbol, kind, side, max(fields.size, 0), tag=fields.tag, asked_as=asked_as)


def build_request(fields: PlaceFields, product: Product, state: MarketState) -> OrderRequest:
    """The order a place request asks for; Refused with the venue's text when a value is wrong."""
    if fields.side not in (0, 1):
        raise Refused("Invalid order side.")
    if fields.size < 1:
        raise Refused("Invalid size. Size must be at least 1.")
    side = 1 if fields.side == 0 else -1
    if state.last is None and state.bid is None and state.ask is None:
        raise Refused(INVALID_SYMBOL)
    _check_bracket(fields, side)
    common = {
        "side": side,
        "size": fields.size,
        "tag": fields.tag,
        "stop_offset": fields.stop_ticks,
        "target_offset": fields.target_ticks,
        "stop_trails": fields.stop_type == OrderType.TRAILING_STOP,
    }
    kind = fields.order_type
    if kind == OrderType.MARKET:
        return OrderRequest(product.symbol, "market", **common)  # type: ignore[arg-type]
    if kind == OrderType.LIMIT:
        limit = _ticks(product, fields.limit_price, "limit")
        return OrderRequest(product.symbol, "limit", limit=limit, **common)  # type: ignore[arg-type]
    if kind in (OrderType.JOIN_BID, OrderType.JOIN_ASK):
        joined = state.bid if kind == OrderType.JOIN_BID else state.ask
        if joined is None:
            raise Refused(INVALID_SYMBOL)
        asked_as = _ASKED_AS[kind]
        return OrderRequest(product.symbol, "limit", limit=joined, asked_as=asked_as, **common)  # type: ignore[arg-type]
    if kind == OrderType.STOP:
        stop = _ticks(product, fields.stop_price, "stop")
        _check_stop(state, side, stop)
        return OrderRequest(product.symbol, "stop", stop=stop, **common)  # type: ignore[arg-type]
    if kind == OrderType.TRAILING_STOP:
        distance = trail_distance(product, state, fields.trail_price)
        if distance > MAX_TRAIL_TICKS:
            raise Refused(TRAIL_TOO_FAR)
        assert state.last is not None
        stop = state.last + side * distance
        return OrderRequest(product.symbol, "trailing_stop", stop=stop, trail=distance, **common)  # type: ignore[arg-type]
    raise Refused(f"Invalid order type ({_TYPE_NAMES.get(kind, kind)})")


def build_changes(fields: ModifyFields, order: Order, product: Product, state: MarketState) -> Changes:
    """What a modify request changes; Refused when a value is wrong. Unlike placing, no longest trail distance."""
    if fields.size is not None and fields.size <= order.filled:
        raise Refused(f"Invalid size. Size must be at least {order.filled + 1}.")
    limit = stop = trail = None
    if fields.limit_price is not None and order.limit is not None:
        limit = _ticks(product, fields.limit_price, "limit")
    if fields.stop_price is not None and order.order_type == "stop":
        stop = _ticks(product, fields.stop_price, "stop")
        _check_stop(state, order.side, stop)
    if fields.trail_price is not None and order.order_type == "trailing_stop":
        trail = trail_distance(product, state, fields.trail_price)
        assert state.last is not None
        stop = state.last + order.side * trail
    return Changes(fields.size, limit, stop, trail)


def trail_distance(product: Product, state: MarketState, level: Decimal | None) -> int:
    """floor(|last - level| / tick) of the venue's own last trade at arrival (projectx-gateway 7.4), at least 1."""
    if level is None:
        raise Refused(NO_TRAIL)
    ticks = _ticks(product, level, "trail")
    if state.last is None:
        raise Refused(NO_LAST)
    if ticks == state.last:
        raise Refused(NO_TRAIL)
    return abs(state.last - ticks)


def _check_bracket(fields: PlaceFields, side: int) -> None:
    if fields.stop_ticks is not None and fields.stop_type not in (OrderType.STOP, OrderType.TRAILING_STOP):
        raise Refused(f"Invalid stop loss type ({_TYPE_NAMES.get(fields.stop_type, fields.stop_type)})")
    if fields.target_ticks is not None and fields.target_type != OrderType.LIMIT:
        raise Refused(f"Invalid take profit type ({_TYPE_NAMES.get(fields.target_type, fields.target_type)})")
    text = bracket_refusal(side, fields.stop_ticks, fields.target_ticks)
    if text is not None:
        raise Refused(text)


def _check_stop(state: MarketState, side: int, stop: int) -> None:
    text = stop_refusal(state, side, stop)
    if text is not None:
        raise Refused(text)


def _ticks(product: Product, price: Decimal | None, name: str) -> int:
    if price is None:
        raise Refused(f"Invalid {name} price. Price is not set.")
    try:
        return product.to_ticks(price)
    except ValueError as error:
        raise Refused(f"Invalid {name} price. Price is not aligned to tick size.") from error
