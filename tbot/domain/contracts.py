"""Products and contracts: tick size, tick value, fees, names; and the one place where prices become integer ticks.

Values: contract table of the gateway as delivered on 2026-08-19 (51 products: codes, descriptions, tick sizes and
values) and the firm's fee page read on 2026-09-23 (fees per side). Products whose fees that page does not tell are
data-only. Spreads beyond the first eleven products are assumed. Ten micros count as one mini (micro silver: five);
micro bitcoin and ether count as minis; where nothing is published (QM, QG, E7) a product counts as a mini.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

MONTH_CODES = "FGHJKMNQUVXZ"
_MAX_DIGITS = 15  # before the point: no price comes near, and 1E999999 must not become an integer


@dataclass(frozen=True, slots=True)
class Product:
    """One future without its expiry. Money is integer cents, prices are decimals on the tick grid."""

    contract_id: int  # u16 used in rings and tapes; never reused for another product
    symbol: str  # the exchange's ticker, what traders say: MNQ
    root: str  # the gateway's own code: ENQ for NQ
    description: str
    tick_size: Decimal
    tick_value: Decimal  # dollars per tick and contract, exactly
    tick_value_cents: int  # the same in cents; rounded down (and the product data-only) where it is no whole cent
    cycle: str  # delivery months that become the active one, by code
    fees_cents: int  # exchange and regulatory, per side
    commission_cents: int  # per side
    family: str  # mini and micro of one underlying share it
    micros: int  # size in micro equivalents: mini 10, micro 1
    spread_ticks: int  # typical spread, for tapes without quotes
    data_only: bool = False  # tick value is no whole cent, or its fees are not known: not traded (ruling 17)
    quiet_months: str = ""  # delivery months that are listed but that volume skips

    @property
    def decimals(self) -> int:
        """Decimal places of a price on the tick grid."""
        return _grid(self.tick_size)[1]

    @property
    def round_turn_cents(self) -> int:
        """Fees and commissions of one contract, entry and exit."""
        return 2 * (self.fees_cents + self.commission_cents)

    def to_ticks(self, price: Decimal | str | int) -> int:
        """Exact conversion to ticks; ValueError when the price is not on the grid or not finite."""
        value = Decimal(price)
        if not value.is_finite() or value.adjusted() > _MAX_DIGITS:
            raise ValueError(f"{self.symbol}: price {price} is not finite")
        ticks = (value / self.tick_size).to_integral_value()
        if ticks * self.tick_size != value:  # the division may have been rounded, this product is exact
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
        units, places = _grid(self.tick_size)
        if not places:
            return str(units * ticks)
        whole, part = divmod(abs(ticks) * units, 10**places)
        return f"{'-' if ticks < 0 else ''}{whole}.{part:0{places}d}"


@lru_cache(maxsize=64)
def _grid(tick_size: Decimal) -> tuple[int, int]:
    """(a tick in units of the last decimal place of its prices, how many places there are): 0.25 is (25, 2)."""
    places = max(0, -int(tick_size.normalize().as_tuple().exponent))
    return int(tick_size.scaleb(places)), places


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
    value: str,
    cycle: str,
    fees: tuple[int, int] | None,
    family: str,
    *,
    micros: int = 10,
    spread: int = 1,
    quiet: str = "",
) -> Product:
    """`fees` in cents per side, None when they are not known."""
    cents = Decimal(value) * 100
    whole = cents == cents.to_integral_value()
    return Product(
        contract_id,
        symbol,
        root,
        description,
        Decimal(tick),
        Decimal(value),
        int(cents),
        cycle,
        *(fees or (0, 0)),
        family,
        micros,
        spread,
        data_only=fees is None or not whole,
        quiet_months=quiet,
    )


_MINI_INDEX, _MICRO_INDEX = (139, 50), (36, 25)
_GOLD, _MICRO_GOLD, _MICRO_SILVER = (166, 50), (71, 25), (111, 25)
_CRUDE, _MICRO_CRUDE = (151, 50), (61, 25)  # micro crude: from 2026-10-01, as announced
_FX, _MICRO_FX = (161, 50), (25, 25)
_ALL = MONTH_CODES

PRODUCTS: dict[str, Product] = {
    product.symbol: product
    for product in (
        _product(
            1, "MNQ", "MNQ", "Micro E-mini Nasdaq-100", "0.25", "0.5", "HMUZ", _MICRO_INDEX, "NQ", micros=1, spread=2
        ),
        _product(2, "NQ", "ENQ", "E-mini NASDAQ-100", "0.25", "5", "HMUZ", _MINI_INDEX, "NQ", spread=2),
        _product(3, "MES", "MES", "Micro E-mini S&P 500", "0.25", "1.25", "HMUZ", _MICRO_INDEX, "ES", micros=1),
        _product(4, "ES", "EP", "E-Mini S&P 500", "0.25", "12.5", "HMUZ", _MINI_INDEX, "ES"),
        _product(5, "MGC", "MGC", "Micro Gold", "0.1", "1", "GJMQZ", _MICRO_GOLD, "GC", micros=1, quiet="V"),
        _product(6, "GC", "GCE", "Gold (Globex)", "0.1", "10", "GJMQZ", _GOLD, "GC", quiet="V"),
        _product(7, "6E", "EU6", "Euro FX (Globex)", "0.00005", "6.25", "HMUZ", _FX, "6E"),
        _product(8, "6J", "JY6", "Japanese Yen (Globex)", "0.0000005", "6.25", "HMUZ", _FX, "6J"),
        _product(9, "6B", "BP6", "British Pound (Globex)", "0.0001", "6.25", "HMUZ", _FX, "6B"),
        _product(10, "6C", "CA6", "Canadian Dollar (Globex)", "0.00005", "5", "HMUZ", _FX, "6C"),
        _product(11, "6S", "SF6", "Swiss Franc (Globex)", "0.00005", "6.25", "HMUZ", _FX, "6S"),
        _product(
            12, "MYM", "MYM", "Micro E-mini Dow $0.50", "1", "0.5", "HMUZ", _MICRO_INDEX, "YM", micros=1, spread=2
        ),
        _product(13, "YM", "YM", "E-mini Dow ($5)", "1", "5", "HMUZ", _MINI_INDEX, "YM", spread=2),
        _product(
            14, "M2K", "M2K", "Micro E-mini Russell 2000", "0.1", "0.5", "HMUZ", _MICRO_INDEX, "RTY", micros=1, spread=2
        ),
        _product(15, "RTY", "RTY", "E-mini Russell 2000", "0.1", "5", "HMUZ", _MINI_INDEX, "RTY", spread=2),
        _product(16, "CL", "CLE", "Crude Light (Globex)", "0.01", "10", _ALL, _CRUDE, "CL"),
        _product(17, "MCL", "MCLE", "Micro WTI Crude Oil", "0.01", "1", _ALL, _MICRO_CRUDE, "CL", micros=1),
        _product(18, "6A", "DA6", "Australian Dollar (Globex)", "0.00005", "5", "HMUZ", _FX, "6A"),
        _product(19, "M6E", "M6E", "E-Micro EUR/USD", "0.0001", "1.25", "HMUZ", _MICRO_FX, "6E", micros=1),
        _product(20, "M6A", "M6A", "E-Micro AUD/USD", "0.0001", "1", "HMUZ", _MICRO_FX, "6A", micros=1),
        _product(21, "M6B", "M6B", "E-Micro GBP/USD", "0.0001", "0.625", "HMUZ", _MICRO_FX, "6B", micros=1),
        _product(22, "SI", "SIE", "Silver (Globex)", "0.005", "25", "HKNUZ", _GOLD, "SI", spread=2),
        _product(23, "SIL", "SIL", "Micro Silver", "0.005", "5", "HKNUZ", _MICRO_SILVER, "SI", micros=2, spread=2),
        _product(24, "HG", "CPE", "Copper (Globex)", "0.0005", "12.5", "HKNUZ", None, "HG"),
        _product(25, "MHG", "MHG", "Micro Copper", "0.0005", "1.25", "HKNUZ", None, "HG", micros=1),
        _product(26, "NG", "NGE", "Natural Gas (Globex)", "0.001", "10", _ALL, None, "NG"),
        _product(27, "MNG", "MNG", "Micro Henry Hub Natural Gas", "0.001", "1", _ALL, None, "NG", micros=1),
        _product(28, "E7", "EEU", "E-mini Euro FX", "0.0001", "6.25", "HMUZ", None, "6E"),
        _product(29, "6M", "MX6", "Mexican Peso (Globex)", "0.00001", "5", "HMUZ", _FX, "6M", spread=2),
        _product(30, "6N", "NE6", "New Zealand Dollar (Globex)", "0.00005", "5", "HMUZ", _FX, "6N", spread=2),
        _product(31, "NKD", "NKD", "Nikkei 225 (Globex)", "5", "25", "HMUZ", None, "NKD", spread=2),
        _product(32, "MBT", "MBT", "Micro Bitcoin", "5", "0.5", _ALL, None, "MBT", spread=2),
        _product(33, "MET", "GMET", "Micro Ether", "0.5", "0.05", _ALL, None, "MET", spread=2),
        _product(34, "QG", "NQG", "E-Mini Natural Gas", "0.005", "12.5", _ALL, None, "NG"),
        _product(35, "QM", "NQM", "E-Mini Crude Oil", "0.025", "12.5", _ALL, None, "CL"),
        _product(36, "PL", "PLE", "Platinum (Globex)", "0.1", "5", "FJNV", None, "PL", spread=5),
        _product(37, "RB", "RBE", "RBOB Gasoline (Globex)", "0.0001", "4.2", _ALL, None, "RB", spread=5),
        _product(38, "HO", "HOE", "NY Harbor ULSD", "0.0001", "4.2", _ALL, None, "HO", spread=5),
        _product(39, "ZT", "TUA", "2 Year US Treasury Note (Globex)", "0.00390625", "7.8125", "HMUZ", None, "ZT"),
        _product(40, "ZF", "FVA", "5 Year US Treasury Notes (Globex)", "0.0078125", "7.8125", "HMUZ", None, "ZF"),
        _product(41, "ZN", "TYA", "10yr US Treasury Notes (Globex)", "0.015625", "15.625", "HMUZ", None, "ZN"),
        _product(42, "TN", "TNA", "Ultra 10yr Treasury Note (Globex)", "0.015625", "15.625", "HMUZ", None, "TN"),
        _product(43, "ZB", "USA", "30yr US Treasury Bonds (Globex)", "0.03125", "31.25", "HMUZ", None, "ZB"),
        _product(44, "UB", "ULA", "Ultra T-Bond (Globex)", "0.03125", "31.25", "HMUZ", None, "UB"),
        _product(45, "ZC", "ZCE", "Corn (Globex)", "0.25", "12.5", "HKNZ", None, "ZC", quiet="U"),
        _product(46, "ZW", "ZWA", "Wheat (Globex)", "0.25", "12.5", "HKNUZ", None, "ZW"),
        _product(47, "ZS", "ZSE", "Soybeans (Globex)", "0.25", "12.5", "FHKNX", None, "ZS", quiet="QU"),
        _product(48, "ZM", "ZME", "Soybean Meal (Globex)", "0.1", "10", "FHKNZ", None, "ZM", quiet="QUV"),
        _product(49, "ZL", "ZLE", "Soybean Oil (Globex)", "0.01", "6", "FHKNZ", None, "ZL", quiet="QUV"),
        _product(50, "HE", "HE", "Lean Hogs (Globex)", "0.025", "10", "GJKMNQVZ", None, "HE", spread=2),
        _product(51, "LE", "GLE", "Live Cattle (Globex)", "0.025", "10", "GJMQVZ", None, "LE", spread=2),
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


def product_named(name: str) -> Product | None:
    """The product behind a symbol or a gateway id of whatever month; None when it is not in the table."""
    if name in PRODUCTS:
        return PRODUCTS[name]
    try:
        return BY_ROOT.get(parse_broker_id(name)[0])
    except ValueError:
        return None


def contract_from_broker_id(broker_id: str) -> Contract:
    """The contract behind a gateway id; KeyError when its root is not in the product table."""
    root, month, year = parse_broker_id(broker_id)
    product = BY_ROOT[root]
    return Contract(product, broker_id, f"{product.symbol}{month}{year % 10}")
