"""The gateway's records (account, contract, order, position, trade, bar) as values, decoded strictly and encoded back.

The values keep the gateway's meaning: contract ids as it names them, decimal prices, integer enums, UTC ns. Turning
them into the engine's messages (ticks, cents, product symbols) is `codec_domain.py`. A field that is null and one that
is missing mean the same. Decoders raise ValueError; whoever holds the record decides what one bad record means.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from tbot.gateway.codec_values import (
    INT32_MAX,
    INT64_MAX,
    cents_floor,
    dollars,
    format_time,
    identity,
    number,
    parse_time,
    whole,
)

REST_DIGITS = 6  # REST gives up to 6 fractional digits, the hubs up to 7
HUB_DIGITS = 7

T = TypeVar("T")
W = TypeVar("W")

# What may go wrong in `msgspec.json.decode` of hostile bytes.
BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class BrokerAccount:
    """One trading account."""

    account_id: int
    name: str
    balance_cents: int
    can_trade: bool
    visible: bool = True
    simulated: bool = True


@dataclass(frozen=True, slots=True)
class BrokerContract:
    """One contract month; `tick_value` is dollars per tick."""

    broker_id: str
    name: str
    description: str
    tick_size: Decimal
    tick_value: Decimal
    active: bool
    symbol_id: str


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """One order. `status` and `type` are codes (codec_tables), unknown ones kept as they came; side is +1/-1."""

    order_id: int
    account_id: int
    broker_id: str
    created_ns: int
    updated_ns: int
    status: int
    type: int
    side: int
    size: int
    filled: int = 0
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    filled_price: Decimal | None = None  # average so far, may lie between ticks
    tag: str | None = None
    trail_ticks: int | None = None  # signed
    trail_price: Decimal | None = None  # a distance, not a level
    parent_id: int | None = None  # on bracket legs: the entry
    linked_id: int | None = None  # on the take-profit leg: its stop


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """One net position; `size` is signed, 0 = closed."""

    position_id: int
    account_id: int
    broker_id: str
    created_ns: int
    size: int
    average_price: Decimal
    display_name: str | None = None


@dataclass(frozen=True, slots=True)
class BrokerTrade:
    """One fill. Money is decimal dollars; `pnl` None when it opened or added."""

    trade_id: int
    account_id: int
    broker_id: str
    created_ns: int
    price: Decimal
    pnl: Decimal | None
    fees: Decimal
    commissions: Decimal
    side: int
    size: int
    voided: bool
    order_id: int


@dataclass(frozen=True, slots=True)
class BrokerBar:
    """One bar of the history; `start_ns` is its opening time."""

    start_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int


# ----------------------------------------------------------------------------------------------------- wire shapes
# A price or an amount. The gateway's are decimals of up to 28 digits, more than a binary float holds, so they are taken
# from the text as decimals (`float_hook`); `number` refuses what is none.
Number = Any


class _Account(msgspec.Struct, gc=False, rename="camel"):
    id: int | str
    name: str
    balance: Number
    can_trade: bool
    is_visible: bool | None = None
    simulated: bool | None = None


class _Contract(msgspec.Struct, gc=False, rename="camel"):
    id: str
    name: str
    tick_size: Number
    tick_value: Number
    active_contract: bool
    description: str | None = None
    symbol_id: str | None = None


class _Order(msgspec.Struct, gc=False, rename="camel"):
    account_id: int | str
    contract_id: str
    status: int
    type: int
    side: int
    size: int
    id: int | str | None = None
    order_id: int | str | None = None  # seen once instead of `id`
    creation_timestamp: str | None = None
    update_timestamp: str | None = None
    fill_volume: int | None = None
    limit_price: Number = None
    stop_price: Number = None
    filled_price: Number = None
    custom_tag: str | None = None
    trail_distance: int | None = None
    trail_price: Number = None
    parent_order_id: int | str | None = None
    linked_order_id: int | str | None = None


class _Position(msgspec.Struct, gc=False, rename="camel"):
    id: int | str
    account_id: int | str
    contract_id: str
    type: int
    size: int
    average_price: Number = None
    creation_timestamp: str | None = None
    contract_display_name: str | None = None


class _Trade(msgspec.Struct, gc=False, rename="camel"):
    id: int | str
    account_id: int | str
    contract_id: str
    creation_timestamp: str
    price: Number
    side: int
    size: int
    order_id: int | str
    fees: Number = None
    commissions: Number = None
    profit_and_loss: Number = None
    voided: bool | None = None


class _Bar(
    msgspec.Struct, gc=False, rename={"start": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
):
    start: str
    open: Number
    high: Number
    low: Number
    close: Number
    volume: int | float


def _decoder(shape: type[W], build: Callable[[W], T]) -> Callable[[bytes], T]:
    decode = msgspec.json.Decoder(shape, float_hook=Decimal).decode

    def run(document: bytes) -> T:
        try:
            return build(decode(document))
        except BAD_JSON as error:
            raise ValueError(f"{type(error).__name__}: {error}") from None

    return run


def _maybe(value: object, convert: Callable[[Any], T]) -> T | None:
    return None if value is None else convert(value)


def _side(code: int) -> int:
    if code not in (0, 1):
        raise ValueError(f"side {code} is neither buy (0) nor sell (1)")
    return 1 if code == 0 else -1


def _account(wire: _Account) -> BrokerAccount:
    return BrokerAccount(
        account_id=identity(wire.id),
        name=wire.name,
        # floor, not exact: a manual trade in a product with a broken tick value leaves part of a cent behind
        balance_cents=cents_floor(wire.balance),
        can_trade=wire.can_trade,
        visible=wire.is_visible is not False,
        simulated=bool(wire.simulated),  # missing (old documentation) must not pass as a simulated account
    )


def _contract(wire: _Contract) -> BrokerContract:
    tick_size, tick_value = number(wire.tick_size), number(wire.tick_value)
    if tick_size <= 0 or tick_value <= 0:
        raise ValueError(f"{wire.id}: tick size {tick_size} or tick value {tick_value} is not positive")
    names = (wire.id, wire.name, wire.description or "")
    return BrokerContract(*names, tick_size, tick_value, wire.active_contract, wire.symbol_id or "")


def _order(wire: _Order) -> BrokerOrder:
    created = 0 if wire.creation_timestamp is None else parse_time(wire.creation_timestamp)
    size = whole(wire.size, 0, INT32_MAX)
    return BrokerOrder(
        order_id=identity(wire.id if wire.id is not None else wire.order_id),
        account_id=identity(wire.account_id),
        broker_id=wire.contract_id,
        created_ns=created,
        updated_ns=created if wire.update_timestamp is None else parse_time(wire.update_timestamp),
        status=whole(wire.status, -INT32_MAX, INT32_MAX),
        type=whole(wire.type, -INT32_MAX, INT32_MAX),
        side=_side(wire.side),
        size=size,
        filled=whole(wire.fill_volume or 0, 0, size),
        limit_price=_maybe(wire.limit_price, number),
        stop_price=_maybe(wire.stop_price, number),
        filled_price=_maybe(wire.filled_price, number),
        tag=wire.custom_tag,
        trail_ticks=_maybe(wire.trail_distance, lambda value: whole(value, -INT32_MAX, INT32_MAX)),
        trail_price=_maybe(wire.trail_price, number),
        parent_id=_maybe(wire.parent_order_id, identity),
        linked_id=_maybe(wire.linked_order_id, identity),
    )


def _position(wire: _Position) -> BrokerPosition:
    size = whole(wire.size, 0, INT32_MAX)
    sign = {1: 1, 2: -1}.get(wire.type, 0)
    if size and not sign:
        raise ValueError(f"position type {wire.type} with size {size}")
    return BrokerPosition(
        position_id=identity(wire.id),
        account_id=identity(wire.account_id),
        broker_id=wire.contract_id,
        created_ns=0 if wire.creation_timestamp is None else parse_time(wire.creation_timestamp),
        size=sign * size,
        average_price=number(0 if wire.average_price is None else wire.average_price),
        display_name=wire.contract_display_name,
    )


def _trade(wire: _Trade) -> BrokerTrade:
    return BrokerTrade(
        trade_id=identity(wire.id),
        account_id=identity(wire.account_id),
        broker_id=wire.contract_id,
        created_ns=parse_time(wire.creation_timestamp),
        price=number(wire.price),
        pnl=_maybe(wire.profit_and_loss, number),
        fees=number(0 if wire.fees is None else wire.fees),
        commissions=number(0 if wire.commissions is None else wire.commissions),
        side=_side(wire.side),
        size=whole(wire.size, 1, INT32_MAX),
        voided=bool(wire.voided),
        order_id=identity(wire.order_id),
    )


def _bar(wire: _Bar) -> BrokerBar:
    prices = (number(wire.open), number(wire.high), number(wire.low), number(wire.close))
    opened, high, low, closed = prices
    if low <= 0 or not low <= min(opened, closed) <= max(opened, closed) <= high:
        raise ValueError(f"bar {wire.start}: prices {prices} are no bar")
    return BrokerBar(parse_time(wire.start), *prices, whole(wire.volume, 0, INT64_MAX))


decode_account = _decoder(_Account, _account)
decode_contract = _decoder(_Contract, _contract)
decode_order = _decoder(_Order, _order)
decode_position = _decoder(_Position, _position)
decode_trade = _decoder(_Trade, _trade)
decode_bar = _decoder(_Bar, _bar)


# ---------------------------------------------------------------------------------------------- the simulator's side
Members = dict[str, object]


def account_members(account: BrokerAccount, *, hub: bool = False) -> Members:
    """JSON members of an account; the same in REST and hub."""
    return {
        "id": account.account_id,
        "name": account.name,
        "balance": dollars(account.balance_cents),
        "canTrade": account.can_trade,
        "isVisible": account.visible,
        "simulated": account.simulated,
    }


def contract_members(contract: BrokerContract) -> Members:
    """JSON members of a contract."""
    return {
        "id": contract.broker_id,
        "name": contract.name,
        "description": contract.description,
        "tickSize": contract.tick_size,
        "tickValue": contract.tick_value,
        "activeContract": contract.active,
        "symbolId": contract.symbol_id,
    }


def order_members(order: BrokerOrder, *, hub: bool = False) -> Members:
    """JSON members of an order: hub events omit nulls, REST writes them for the members of the first documentation."""
    digits = HUB_DIGITS if hub else REST_DIGITS
    members: Members = {
        "id": order.order_id,
        "accountId": order.account_id,
        "contractId": order.broker_id,
        "symbolId": _symbol_id(order.broker_id),
        "creationTimestamp": format_time(order.created_ns, digits),
        "updateTimestamp": format_time(order.updated_ns, digits),
        "status": int(order.status),
        "type": int(order.type),
        "side": 0 if order.side > 0 else 1,
        "size": order.size,
        "limitPrice": order.limit_price,
        "stopPrice": order.stop_price,
        "fillVolume": order.filled,
        "filledPrice": order.filled_price,
        "customTag": order.tag,
    }
    newer: Members = {
        "trailDistance": order.trail_ticks,
        "trailPrice": order.trail_price,
        "parentOrderId": order.parent_id,
        "linkedOrderId": order.linked_id,
    }
    return (_without_nulls(members) if hub else members) | _without_nulls(newer)


def position_members(position: BrokerPosition, *, hub: bool = False) -> Members:
    """JSON members of a position; a closed one has type 0 and size 0."""
    members: Members = {
        "id": position.position_id,
        "accountId": position.account_id,
        "contractId": position.broker_id,
        "contractDisplayName": position.display_name,
        "creationTimestamp": format_time(position.created_ns, HUB_DIGITS if hub else REST_DIGITS),
        "type": 1 if position.size > 0 else 2 if position.size < 0 else 0,
        "size": abs(position.size),
        "averagePrice": position.average_price,
    }
    return _without_nulls(members)


def trade_members(trade: BrokerTrade, *, hub: bool = False) -> Members:
    """JSON members of a fill; an opening fill has no P&L (null in REST, left out in the hub)."""
    members: Members = {
        "id": trade.trade_id,
        "accountId": trade.account_id,
        "contractId": trade.broker_id,
        "creationTimestamp": format_time(trade.created_ns, HUB_DIGITS if hub else REST_DIGITS),
        "price": trade.price,
        "profitAndLoss": trade.pnl,
        "fees": trade.fees,
        "commissions": trade.commissions,
        "side": 0 if trade.side > 0 else 1,
        "size": trade.size,
        "voided": trade.voided,
        "orderId": trade.order_id,
    }
    return _without_nulls(members) if hub else members


def bar_members(bar: BrokerBar) -> Members:
    """JSON members of a bar."""
    return {
        "t": format_time(bar.start_ns, REST_DIGITS),
        "o": bar.open,
        "h": bar.high,
        "l": bar.low,
        "c": bar.close,
        "v": bar.volume,
    }


def _without_nulls(members: Members) -> Members:
    return {name: value for name, value in members.items() if value is not None}


def _symbol_id(broker_id: str) -> str:
    """`F.US.MNQ` of `CON.F.US.MNQ.Z26`."""
    return broker_id.removeprefix("CON.").rpartition(".")[0]
