"""The nouns of an account book: order requests, orders, holdings, and the venue's checks of offsets and stops."""

import itertools
from dataclasses import dataclass

from tbot.domain.messages import Fill, OrderStatus, OrderType
from tbot.domain.positions import Position
from tbot.execution.fill_model import MarketState, stop_triggered

FIRST_ORDER_ID = 3_000_000_000  # the venue's ids no longer fit 32 bits; ours must not either
FIRST_POSITION_ID = 800_000_001  # positions have 32-bit ids
LEAST_OFFSET_TICKS = 4

FINAL: frozenset[OrderStatus] = frozenset({"filled", "cancelled", "expired", "rejected"})

TAG_IN_USE = "Specified custom tag is already in use"


class Ids:
    """Numbers of orders, fills and positions of one venue: each kind counts up and never repeats."""

    def __init__(self) -> None:
        self._orders = itertools.count(FIRST_ORDER_ID)
        self._fills = itertools.count(FIRST_ORDER_ID)
        self._positions = itertools.count(FIRST_POSITION_ID)

    def order(self) -> int:
        return next(self._orders)

    def fill(self) -> int:
        return next(self._fills)

    def position(self) -> int:
        return next(self._positions)


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a client asks for. Prices and distances in ticks; offsets are signed ticks from the entry's fill."""

    contract: str
    order_type: OrderType
    side: int
    size: int
    limit: int | None = None
    stop: int | None = None
    trail: int | None = None  # distance of a trailing stop, > 0
    tag: str = ""
    stop_offset: int | None = None
    target_offset: int | None = None
    stop_trails: bool = False  # the stop leg is a trailing stop
    asked_as: str = ""  # what the client called it where the book has another word: join_bid, join_ask, stop_limit


@dataclass(slots=True)
class Order:
    """One order. The book keeps the living object and hands out copies."""

    order_id: int
    contract: str
    order_type: OrderType
    side: int
    size: int
    status: OrderStatus
    created_ns: int
    updated_ns: int
    filled: int = 0
    fill_sum: int = 0  # sum of fill price (ticks) times contracts: average price = fill_sum / filled
    limit: int | None = None
    stop: int | None = None
    trail: int | None = None  # distance of a trailing stop, > 0
    tag: str = ""
    parent_id: int | None = None
    sibling_id: int | None = None  # the other leg of the bracket
    offset: int | None = None  # of a leg: signed ticks from the entry's fill
    reason: str = ""
    arriving: bool = False  # not yet compared with the market: a market order, or a limit order's first tick
    closing: bool = False  # made by close()
    asked_as: str = ""
    # What the fill model remembers of it (rules by number).
    through: int = 0  # 5: contracts traded through its limit
    at_limit: int = 0  # 5: contracts traded at its limit
    taken: int = 0  # 5: what it has had of both
    marked: bool = False  # 10: traded through inside the bar that is under way
    loose: int | None = None  # 12: the furthest stop price that it had in the bar that is under way
    best: int | None = None  # 12: of a trailing stop: best print of the bar that is under way

    @property
    def remaining(self) -> int:
        """Contracts that are not filled yet, also of an order that ended unfilled."""
        return self.size - self.filled


@dataclass(frozen=True, slots=True)
class Holding:
    """The position of one contract after a change; a flat one keeps the average it last had."""

    position_id: int
    contract: str
    size: int  # signed
    price_size_sum: int
    opened_ns: int
    average_sum: int  # average price = average_sum / average_size, in ticks
    average_size: int


@dataclass(slots=True)
class Held:
    """What a book keeps of one contract's position."""

    position: Position
    position_id: int = 0
    opened_ns: int = 0


def holding_of(contract: str, held: Held, average_sum: int, average_size: int) -> Holding:
    """The position as it is told."""
    position = held.position
    return Holding(
        held.position_id, contract, position.size, position.price_size_sum, held.opened_ns, average_sum, average_size
    )


def turn(order: Order) -> tuple[int, int]:
    """Order of matching within one tick: market, stops, limits; among equals the older first."""
    rank = {"market": 0, "limit": 2}.get(order.order_type, 1)
    return rank, order.order_id


@dataclass(frozen=True, slots=True)
class Balance:
    """The account's balance after the fills of one order."""

    balance_cents: int


BookEvent = Order | Fill | Holding | Balance


def bracket_refusal(side: int, stop_offset: int | None, target_offset: int | None) -> str | None:
    """The venue's rejection text for a bracket's offsets, None when they are good (projectx-gateway 6.6)."""
    way = "longing" if side > 0 else "going short"
    for name, offset, wanted in (("stop loss", stop_offset, -side), ("take profit", target_offset, side)):
        if offset is None:
            continue
        if wanted < 0 <= offset:
            return f"Invalid {name} ticks ({offset}). Ticks should be less than zero when {way}."
        if offset * wanted < LEAST_OFFSET_TICKS:
            least = f"{name.capitalize()} tick value should be at least {LEAST_OFFSET_TICKS} ticks."
            return f"Invalid {name} ticks ({offset}). {least}"
    return None


def stop_refusal(state: MarketState, side: int, stop: int) -> str | None:
    """The rejection text for a stop that would trigger at once; None when it is on its side of the market."""
    if state.last is None or not stop_triggered(side, stop, state.last):
        return None
    name, place = ("buy", "above") if side > 0 else ("sell", "below")
    return f"Invalid stop price. A {name} stop must be {place} the last price."
