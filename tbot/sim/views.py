"""What is in the simulated venue, as the gateway's records: the last step before the codec writes JSON."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from tbot.domain.contracts import Contract, Product
from tbot.domain.messages import Fill
from tbot.execution.book_types import Holding, Order
from tbot.gateway.codec import BrokerAccount, BrokerOrder, BrokerPosition, BrokerTrade, OrderState, OrderType
from tbot.gateway.codec_values import dollars
from tbot.sim.accounts import SimAccount
from tbot.sim.exchange import Exchange, UserEvent

STATUS = {
    "open": OrderState.OPEN,
    "filled": OrderState.FILLED,
    "cancelled": OrderState.CANCELLED,
    "expired": OrderState.EXPIRED,
    "rejected": OrderState.REJECTED,
    "pending": OrderState.PENDING,
    "pending_cancel": OrderState.PENDING_CANCELLATION,
    "suspended": OrderState.SUSPENDED,
    "unknown": OrderState.NONE,
}
_TYPE = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "stop": OrderType.STOP,
    "trailing_stop": OrderType.TRAILING_STOP,
    "other": OrderType.UNKNOWN,
}
_ASKED_AS = {
    "join_bid": OrderType.JOIN_BID,
    "join_ask": OrderType.JOIN_ASK,
    "stop_limit": OrderType.STOP_LIMIT,
}
_AVERAGE_PLACES = Decimal("0.000000001")  # the venue shows average prices with nine places


def broker_account(account: SimAccount) -> BrokerAccount:
    """The record of an account as it is now."""
    balance_cents = account.book.balance_cents
    return BrokerAccount(
        account.account_id, account.name, balance_cents, account.can_trade, simulated=account.simulated
    )


def broker_order(order: Order, account_id: int, contract: Contract) -> BrokerOrder:
    """The record of an order. Legs carry their signed distance, only a target names its sibling (7.2)."""
    product = contract.product
    prices = [None if price is None else product.to_price(price) for price in (order.limit, order.stop)]
    trail = _trail_ticks(order)
    return BrokerOrder(
        order_id=order.order_id,
        account_id=account_id,
        broker_id=contract.broker_id,
        created_ns=order.created_ns,
        updated_ns=order.updated_ns,
        status=STATUS[order.status],
        type=_ASKED_AS.get(order.asked_as, _TYPE[order.order_type]),
        side=order.side,
        size=order.size,
        filled=order.filled,
        limit_price=prices[0],
        stop_price=prices[1],
        filled_price=_average(product, order.fill_sum, order.filled) if order.filled else None,
        tag=order.tag or None,
        trail_ticks=trail,
        trail_price=None if trail is None else product.to_price(trail),
        parent_id=order.parent_id,
        linked_id=order.sibling_id if order.order_type == "limit" else None,
    )


def broker_position(holding: Holding, account_id: int, contract: Contract) -> BrokerPosition:
    """The record of a position; a flat one keeps the average it last had."""
    product = contract.product
    month = contract.broker_id.rpartition(".")[2]
    return BrokerPosition(
        position_id=holding.position_id,
        account_id=account_id,
        broker_id=contract.broker_id,
        created_ns=holding.opened_ns,
        size=holding.size,
        average_price=_average(product, holding.average_sum, holding.average_size),
        display_name=f"{product.symbol}{month}",
    )


def _average(product: Product, price_size_sum: int, size: int) -> Decimal:
    if price_size_sum % size == 0:
        return product.to_price(price_size_sum // size)
    return (product.tick_size * price_size_sum / size).quantize(_AVERAGE_PLACES)


def _trail_ticks(order: Order) -> int | None:
    """Signed distance of a leg from its entry, or of a trailing stop from the last trade (a leg: on its side)."""
    if order.offset is None:
        return order.trail
    if order.trail is None:
        return order.offset
    return order.trail if order.offset > 0 else -order.trail


def broker_trade(fill: Fill, contract: Contract) -> BrokerTrade:
    """The record of a fill; profit is gross, and null on a fill that opens or adds."""
    return BrokerTrade(
        trade_id=fill.fill_id,
        account_id=fill.account,
        broker_id=contract.broker_id,
        created_ns=fill.now_ns,
        price=contract.product.to_price(fill.price),
        pnl=None if fill.pnl_cents is None else dollars(fill.pnl_cents),
        fees=dollars(fill.fees_cents),
        commissions=dollars(fill.commission_cents),
        side=fill.side,
        size=fill.size,
        voided=fill.voided,
        order_id=fill.order_id,
    )


def event_record(
    event: UserEvent, contracts: dict[str, Contract]
) -> BrokerAccount | BrokerOrder | BrokerPosition | BrokerTrade:
    """The record that a user-hub event carries."""
    data, account_id = event.data, event.account.account_id
    if isinstance(data, Order):
        return broker_order(data, account_id, contracts[data.contract])
    if isinstance(data, Fill):
        return broker_trade(data, contracts[data.contract])
    if isinstance(data, Holding):
        return broker_position(data, account_id, contracts[data.contract])
    return replace(broker_account(data), balance_cents=event.balance_cents)


def snapshot(
    exchange: Exchange, user: str, topic: tuple[str, str | int]
) -> Iterator[BrokerAccount | BrokerOrder | BrokerPosition]:
    """What there is of a topic at this moment: accounts, working orders, positions; nothing of trades."""
    kind, key = topic
    if kind == "account":
        yield from (broker_account(account) for account in exchange.accounts_of(user))
        return
    account = exchange.account(user, int(key))
    if account is None:
        return
    number = account.account_id
    if kind == "order":
        for order in account.book.living_orders():
            yield broker_order(order, number, exchange.contracts[order.contract])
    elif kind == "position":
        for holding in account.book.holdings():
            yield broker_position(holding, number, exchange.contracts[holding.contract])
