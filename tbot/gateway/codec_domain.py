"""From the gateway's records to the engine's messages, and from commands to requests: where decimals become ticks."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tbot.domain.contracts import BY_ROOT, MONTH_CODES, PRODUCTS, Contract, Product, parse_broker_id
from tbot.domain.messages import (
    AccountUpdate,
    CancelOrder,
    CloseContract,
    Fill,
    ModifyStop,
    OrderStatus,
    OrderUpdate,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    PlaceTarget,
    PositionUpdate,
)
from tbot.domain.messages import OrderType as DomainOrderType
from tbot.gateway import codec_rest as rest
from tbot.gateway.codec_models import BrokerAccount, BrokerBar, BrokerContract, BrokerOrder, BrokerPosition, BrokerTrade
from tbot.gateway.codec_tables import OrderState, OrderType
from tbot.gateway.codec_values import cents, cents_floor, format_time
from tbot_ext.records import BAR_DTYPE, Flag

_STATUS: dict[int, OrderStatus] = {
    OrderState.OPEN: "open",
    OrderState.FILLED: "filled",
    OrderState.CANCELLED: "cancelled",
    OrderState.EXPIRED: "expired",
    OrderState.REJECTED: "rejected",
    OrderState.PENDING: "pending",
    OrderState.PENDING_CANCELLATION: "pending_cancel",
    OrderState.SUSPENDED: "suspended",
}
_TYPE: dict[int, DomainOrderType] = {
    OrderType.LIMIT: "limit",
    OrderType.MARKET: "market",
    OrderType.STOP: "stop",
    OrderType.TRAILING_STOP: "trailing_stop",
}


class ContractBook:
    """Which gateway contract stands for which product now. The engine's name of a contract is its product symbol.

    A contract that is not the resolved month of its product, or of a product that we don't know, keeps its gateway id
    as its name: exposure there is visible, and is never mixed up with the month that is traded (I29).
    """

    def __init__(self, contracts: dict[str, str]) -> None:
        """`contracts`: product symbol -> gateway contract id. KeyError for an unknown symbol."""
        self._ids = {PRODUCTS[symbol].symbol: broker_id for symbol, broker_id in contracts.items()}
        self._symbols = {broker_id: symbol for symbol, broker_id in self._ids.items()}

    @property
    def contracts(self) -> dict[str, str]:
        """Product symbol -> gateway contract id."""
        return dict(self._ids)

    def broker_id(self, name: str) -> str:
        """Gateway id of a product symbol (or of a gateway id: itself); KeyError when not resolved."""
        return name if name.startswith("CON.") else self._ids[name]

    def name(self, broker_id: str) -> str:
        """The engine's name of a gateway contract."""
        return self._symbols.get(broker_id, broker_id)

    @staticmethod
    def product(broker_id: str) -> Product | None:
        """The product of a gateway contract, of whatever month; None when it is not in the product table."""
        try:
            return BY_ROOT.get(parse_broker_id(broker_id)[0])
        except ValueError:
            return None


def resolve(contracts: Iterable[BrokerContract], symbols: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """(symbol -> gateway id, symbol -> why not) from the gateway's list of contracts.

    A product is resolved only when exactly one active month is listed and its tick size and value are those that our
    product table, and so all our arithmetic, rests on (F-TIM-07).
    """
    listed = list(contracts)
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    for symbol in symbols:
        product = PRODUCTS[symbol]
        active = [item for item in listed if item.active and _root(item) == product.root]
        if len(active) != 1:
            missing[symbol] = f"{len(active)} active months listed instead of one"
        elif active[0].tick_size != product.tick_size or active[0].tick_value != product.tick_value:
            missing[symbol] = f"the gateway says tick {active[0].tick_size} = {active[0].tick_value} USD"
        else:
            found[symbol] = active[0].broker_id
    return found, missing


def _root(item: BrokerContract) -> str:
    try:
        return parse_broker_id(item.broker_id)[0]
    except ValueError:
        return ""


def broker_contract(contract: Contract, active: bool = True) -> BrokerContract:
    """The gateway's record of one of our contracts, for the simulator: `Micro Gold: December 2026`."""
    product = contract.product
    _, month, year = parse_broker_id(contract.broker_id)
    name = datetime(year, MONTH_CODES.index(month) + 1, 1, tzinfo=UTC).strftime("%B %Y")
    text = f"{product.description}: {name}"
    values = (product.tick_size, product.tick_value, active, contract.symbol_id)
    return BrokerContract(contract.broker_id, contract.name, text, *values)


# --------------------------------------------------------------------------------------------- records to messages
def account_update(account: BrokerAccount, now_ns: int) -> AccountUpdate:
    """What the Desk hears about an account."""
    flags = (account.can_trade, account.simulated)
    return AccountUpdate(now_ns, account.account_id, account.name, account.balance_cents, *flags)


def order_update(order: BrokerOrder, book: ContractBook, now_ns: int) -> OrderUpdate:
    """What the Desk hears about an order; ValueError when a price of a known product is off its tick grid."""
    product = book.product(order.broker_id)
    limit, stop = (
        None if product is None or price is None else product.to_ticks(price)
        for price in (order.limit_price, order.stop_price)
    )
    return OrderUpdate(
        now_ns=now_ns,
        account=order.account_id,
        order_id=order.order_id,
        contract=book.name(order.broker_id),
        status=_STATUS.get(order.status, "unknown"),
        order_type=_TYPE.get(order.type, "other"),
        side=order.side,
        size=order.size,
        filled=order.filled,
        limit=limit,
        stop=stop,
        tag=order.tag or "",
        parent_id=order.parent_id,
    )


def fill(trade: BrokerTrade, book: ContractBook, now_ns: int) -> Fill:
    """What the Desk hears about a fill; ValueError when price or money of a traded product is not exact.

    Products we do not trade may have a tick value of broken cents: their money is rounded to the worse side, so that
    the day's loss is never understated. Products we do not know have price 0.
    """
    product = book.product(trade.broker_id)
    exact = product is not None and not product.data_only
    return Fill(
        now_ns=now_ns,
        account=trade.account_id,
        fill_id=trade.trade_id,
        order_id=trade.order_id,
        contract=book.name(trade.broker_id),
        side=trade.side,
        size=trade.size,
        price=0 if product is None else product.to_ticks(trade.price),
        fees_cents=cents(trade.fees) if exact else -cents_floor(-trade.fees),
        commission_cents=cents(trade.commissions) if exact else -cents_floor(-trade.commissions),
        pnl_cents=None if trade.pnl is None else cents(trade.pnl) if exact else cents_floor(trade.pnl),
        voided=trade.voided,
    )


def position_update(position: BrokerPosition, book: ContractBook, now_ns: int) -> PositionUpdate:
    """What the Desk hears about a position.

    The gateway writes the average as a decimal cut to some digits, so average x size is rounded to the nearest tick.
    """
    product = book.product(position.broker_id)
    total = 0
    if product is not None and position.size:
        total = int((position.average_price * abs(position.size) / product.tick_size).to_integral_value())
    return PositionUpdate(now_ns, position.account_id, book.name(position.broker_id), position.size, total)


def bars_array(bars: Iterable[BrokerBar], product: Product, timeframe_min: int) -> tuple[NDArray[np.void], int]:
    """(BAR_DTYPE array with FROM_HISTORY set, number of bars refused for an off-tick price or a start off the grid)."""
    period_ns = timeframe_min * 60_000_000_000
    rows: list[tuple[int, ...]] = []
    refused = 0
    for bar in bars:
        try:
            prices = [product.to_ticks(price) for price in (bar.open, bar.high, bar.low, bar.close)]
        except ValueError:
            refused += 1
            continue
        if bar.start_ns % period_ns:
            refused += 1
            continue
        rows.append((bar.start_ns, *prices, bar.volume))
    array = np.zeros(len(rows), dtype=BAR_DTYPE)
    for column, name in enumerate(("start_ns", "open", "high", "low", "close", "volume")):
        array[name] = [row[column] for row in rows]
    array["timeframe_min"] = timeframe_min
    array["flags"] = int(Flag.FROM_HISTORY)
    return array, refused


def broker_bars(array: NDArray[np.void], product: Product) -> list[BrokerBar]:
    """The other direction, for the simulator."""

    def price(row: np.void, name: str) -> Decimal:
        return product.to_price(int(row[name]))

    return [
        BrokerBar(
            start_ns=int(row["start_ns"]),
            open=price(row, "open"),
            high=price(row, "high"),
            low=price(row, "low"),
            close=price(row, "close"),
            volume=int(row["volume"]),
        )
        for row in array
    ]


# -------------------------------------------------------------------------------------------- commands to requests
def place_bracket_request(command: PlaceBracket, book: ContractBook) -> rest.OrderPlaceRequest:
    """A market entry with both legs; KeyError when the contract is not resolved. Offsets go out as they are."""
    return _placement(
        command,
        book,
        OrderType.MARKET,
        stop_loss_bracket=rest.Bracket(ticks=command.stop_offset, type=int(OrderType.STOP)),
        take_profit_bracket=rest.Bracket(ticks=command.target_offset, type=int(OrderType.LIMIT)),
    )


def place_stop_request(command: PlaceStop, book: ContractBook) -> rest.OrderPlaceRequest:
    """A stop order at an absolute price; KeyError when the contract is not resolved."""
    return _placement(command, book, OrderType.STOP, stop_price=_price(command.contract, command.stop, book))


def place_target_request(command: PlaceTarget, book: ContractBook) -> rest.OrderPlaceRequest:
    """A limit order at an absolute price; KeyError when the contract is not resolved."""
    return _placement(command, book, OrderType.LIMIT, limit_price=_price(command.contract, command.limit, book))


def place_exit_request(command: PlaceExit, book: ContractBook) -> rest.OrderPlaceRequest:
    """A market order without legs; KeyError when the contract is not resolved."""
    return _placement(command, book, OrderType.MARKET)


def _placement(
    command: PlaceBracket | PlaceStop | PlaceTarget | PlaceExit, book: ContractBook, kind: OrderType, **more: Any
) -> rest.OrderPlaceRequest:
    """What every placement says, and `more`."""
    return rest.OrderPlaceRequest(
        account_id=command.account,
        contract_id=book.broker_id(command.contract),
        type=int(kind),
        side=0 if command.side > 0 else 1,
        size=command.size,
        custom_tag=command.tag,
        **more,
    )


def _price(contract: str, ticks: int, book: ContractBook) -> Decimal:
    """KeyError when the contract is not resolved, or of a product that we do not know."""
    broker_id = book.broker_id(contract)
    product = book.product(broker_id)
    if product is None:
        raise KeyError(broker_id)
    return product.to_price(ticks)


def modify_stop_request(command: ModifyStop, book: ContractBook) -> rest.OrderModifyRequest:
    """A new absolute stop price, and size where one is asked for; everything else stays."""
    price = _price(command.contract, command.stop, book)
    return rest.OrderModifyRequest(
        account_id=command.account, order_id=command.order_id, size=command.size, stop_price=price
    )


def cancel_request(command: CancelOrder) -> rest.OrderIdRequest:
    """Cancel by id."""
    return rest.OrderIdRequest(account_id=command.account, order_id=command.order_id)


def close_request(command: CloseContract, book: ContractBook) -> rest.CloseContractRequest:
    """Close the whole position of one contract."""
    return rest.CloseContractRequest(account_id=command.account, contract_id=book.broker_id(command.contract))


def request_time(ns: int) -> str:
    """A time as requests carry it: ISO-8601 in UTC."""
    return format_time(ns, 6)
