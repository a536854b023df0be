"""Our gold contract and ticks as NautilusTrader 1.x knows them; prices are dollars of a tick size of 0.10."""

from typing import Any

from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import QuoteTick, TradeTick
from nautilus_trader.model.enums import AggressorSide, AssetClass
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import FuturesContract
from nautilus_trader.model.objects import Price, Quantity

VENUE = Venue("SIM")
FAR_NS = 4_000_000_000 * 10**9


def gold() -> FuturesContract:
    """The contract; a point is 100 dollars, as with the exchange's."""
    return FuturesContract(
        instrument_id=InstrumentId(Symbol("GC"), VENUE), raw_symbol=Symbol("GC"), asset_class=AssetClass.COMMODITY,
        currency=USD, price_precision=1, price_increment=Price.from_str("0.1"), multiplier=Quantity.from_int(100),
        lot_size=Quantity.from_int(1), underlying="GC", activation_ns=0, expiration_ns=FAR_NS, ts_event=0, ts_init=0,
    )  # fmt: skip


def prints(instrument: FuturesContract, ticks: Any) -> list[TradeTick]:
    """A TradeTick for each record."""
    sides, name = AggressorSide.SELLER, instrument.id
    rows = zip(*(ticks[column].tolist() for column in ("exch_ns", "price", "size")), strict=True)
    return [
        TradeTick(name, Price(price / 10, 1), Quantity(size, 0), sides, TradeId(str(number)), exch_ns, exch_ns)
        for number, (exch_ns, price, size) in enumerate(rows)
    ]


def quotes(instrument: FuturesContract, ticks: Any) -> list[QuoteTick]:
    """A QuoteTick for each record; sizes are not part of the comparison."""
    one, name = Quantity(100, 0), instrument.id
    rows = zip(*(ticks[column].tolist() for column in ("exch_ns", "price", "price2")), strict=True)
    return [QuoteTick(name, Price(bid / 10, 1), Price(ask / 10, 1), one, one, at, at) for at, bid, ask in rows]
