"""Products and contracts: tick size, tick value, fees, names; and the one place where prices become integer ticks.

Values: contract table of the gateway as delivered on 2026-08-19 (tick sizes and values) and the firm's fee page read on
2026-09-23 (fees per side). Every number here can be overridden by what the gateway answers at start.
"""

from dataclasses import dataclass
from decimal import Decimal

MONTH_CODES = "FGHJKMNQUVXZ"


@dataclass(frozen=True, slots=True)
class Product:
    """One future without its expiry. Money is integer cents, prices are decimals on the tick grid."""

    contract_id: int  # u16 used in rings and tapes; never reused for another product
    symbol: str  # the exchange's ticker, what traders say: MNQ
    root: str  # the gateway's own code: ENQ for NQ
    description: str
    tick_size: Decimal
    tick_value_cents: int  # money per tick and contract
    cycle: str  # delivery months by code
    fees_cents: int  # exchange and regulatory, per side
    commission_cents: int  # per side
    family: str  # mini and micro of one underlying share it
    micros: int  # size in micro equivalents: mini 10, micro 1
    spread_ticks: int  # typical spread, for tapes without quotes
    data_only: bool = False  # tick value is no whole cent, or not traded by the engine

    @property
    def decimals(self) -> int:
        """Decimal places of a price on the tick grid."""
        exponent = self.tick_size.normalize().as_tuple().exponent
        return max(0, -int(exponent))

    @property
    def round_turn_cents(self) -> int:
        """Fees and commissions of one contract, entry and exit."""
        return 2 * (self.fees_cents + self.commission_cents)

    def to_ticks(self, price: Decimal | str | int) -> int:
        """Exact conversion to ticks; ValueError when the price is not on the grid or not finite."""
        value = Decimal(price)
        if not value.is_finite():
            raise ValueError(f"{self.symbol}: price {price} is not finite")
        ticks = value / self.tick_size
        if ticks != ticks.to_integral_value():
            raise ValueError(f"{self.symbol}: price {price} is not on the tick grid of {self.tick_size}")
        return int(ticks)

    def float_to_ticks(self, price: float) -> int:
        """Ticks of a JSON number; ValueError unless it is within a millionth of a tick of the grid.

        JSON parsers deliver binary floats. A price on the grid has a relative error below 2**-52, far below a
        millionth of a tick, so a larger distance means an off-tick price and is refused, never rounded away.
        """
        scaled = price / float(self.tick_size)
        ticks = round(scaled)  # raises on NaN and infinity: ValueError, OverflowError
        if abs(scaled - ticks) > 1e-6:
            raise ValueError(f"{self.symbol}: price {price!r} is not on the tick grid of {self.tick_size}")
        return ticks

    def to_price(self, ticks: int) -> Decimal:
        """The price of a tick count, exactly."""
        return self.tick_size * ticks

    def format(self, ticks: int) -> str:
        """Price text with the product's decimals: 25104.25."""
        return f"{self.to_price(ticks):.{self.decimals}f}"


@dataclass(frozen=True, slots=True)
class Contract:
    """One tradable future with its expiry, as the gateway names it."""

    product: Product
    broker_id: str  # CON.F.US.MNQ.Z26
    name: str  # MNQZ6

    @property
    def symbol_id(self) -> str:
        return f"F.US.{self.product.root}"


def _product(
    contract_id: int,
    symbol: str,
    root: str,
    description: str,
    tick: str,
    value_cents: int,
    cycle: str,
    fees: tuple[int, int],
    family: str,
    *,
    micros: int = 10,
    spread: int = 1,
    data_only: bool = False,
) -> Product:
    cost = (value_cents, cycle, *fees)
    return Product(contract_id, symbol, root, description, Decimal(tick), *cost, family, micros, spread, data_only)


_MINI_INDEX, _MICRO_INDEX, _GOLD, _MICRO_GOLD, _FX = (139, 50), (36, 25), (166, 50), (71, 25), (161, 50)

PRODUCTS: dict[str, Product] = {
    product.symbol: product
    for product in (
        _product(
            1, "MNQ", "MNQ", "Micro E-mini Nasdaq-100", "0.25", 50, "HMUZ", _MICRO_INDEX, "NQ", micros=1, spread=2
        ),
        _product(2, "NQ", "ENQ", "E-mini NASDAQ-100", "0.25", 500, "HMUZ", _MINI_INDEX, "NQ", spread=2),
        _product(3, "MES", "MES", "Micro E-mini S&P 500", "0.25", 125, "HMUZ", _MICRO_INDEX, "ES", micros=1),
        _product(4, "ES", "EP", "E-Mini S&P 500", "0.25", 1250, "HMUZ", _MINI_INDEX, "ES"),
        _product(5, "MGC", "MGC", "Micro Gold", "0.1", 100, "GJMQZ", _MICRO_GOLD, "GC", micros=1),
        _product(6, "GC", "GCE", "Gold (Globex)", "0.1", 1000, "GJMQZ", _GOLD, "GC"),
        _product(7, "6E", "EU6", "Euro FX (Globex)", "0.00005", 625, "HMUZ", _FX, "6E"),
        _product(8, "6J", "JY6", "Japanese Yen (Globex)", "0.0000005", 625, "HMUZ", _FX, "6J"),
        _product(9, "6B", "BP6", "British Pound (Globex)", "0.0001", 625, "HMUZ", _FX, "6B"),
        _product(10, "6C", "CA6", "Canadian Dollar (Globex)", "0.00005", 500, "HMUZ", _FX, "6C"),
        _product(11, "6S", "SF6", "Swiss Franc (Globex)", "0.00005", 625, "HMUZ", _FX, "6S"),
    )
}
BY_ID: dict[int, Product] = {product.contract_id: product for product in PRODUCTS.values()}
BY_ROOT: dict[str, Product] = {product.root: product for product in PRODUCTS.values()}

DEFAULT_SYMBOLS: tuple[str, ...] = ("MNQ", "NQ", "MES", "ES", "MGC", "GC")


def parse_broker_id(broker_id: str) -> tuple[str, str, int]:
    """(root, month code, year) of `CON.F.US.<root>.<month><yy>`; ValueError when it has another shape."""
    parts = broker_id.split(".")
    well_formed = len(parts) == 5 and parts[:3] == ["CON", "F", "US"] and parts[3] and len(parts[4]) == 3
    if not well_formed or parts[4][0] not in MONTH_CODES or not parts[4][1:].isdigit():
        raise ValueError(f"contract id {broker_id!r} is not of the form CON.F.US.<root>.<month><yy>")
    return parts[3], parts[4][0], 2000 + int(parts[4][1:])


def contract_from_broker_id(broker_id: str) -> Contract:
    """The contract behind a gateway id; KeyError when its root is not in the product table."""
    root, month, year = parse_broker_id(broker_id)
    product = BY_ROOT[root]
    return Contract(product, broker_id, f"{product.symbol}{month}{year % 10}")
