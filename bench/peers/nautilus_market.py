"""A future and its ticks as NautilusTrader 1.x knows them; its prices are our whole ticks, a tick is one dollar."""

from typing import Any

from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import QuoteTick, TradeTick
from nautilus_trader.model.enums import AggressorSide, AssetClass
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import FuturesContract
from nautilus_trader.model.objects import Price, Quantity

VENUE = Venue("SIM")
NAME = "FUT"
FAR_NS = 4_000_000_000 * 10**9
TRADE = 1


def future() -> FuturesContract:
    """One contract, one dollar a tick."""
    return FuturesContract(
        instrument_id=InstrumentId(Symbol(NAME), VENUE), raw_symbol=Symbol(NAME), asset_class=AssetClass.INDEX,
        currency=USD, price_precision=0, price_increment=Price.from_int(1), multiplier=Quantity.from_int(1),
        lot_size=Quantity.from_int(1), underlying=NAME, activation_ns=0, expiration_ns=FAR_NS, ts_event=0, ts_init=0,
    )  # fmt: skip


def prints(instrument: FuturesContract, ticks: Any) -> list[TradeTick]:
    """A TradeTick for each record, sold at the bid."""
    side, name = AggressorSide.SELLER, instrument.id
    rows = zip(*(ticks[column].tolist() for column in ("exch_ns", "price", "size")), strict=True)
    return [
        TradeTick(name, Price(price, 0), Quantity(size, 0), side, TradeId(str(number)), exch_ns, exch_ns)
        for number, (exch_ns, price, size) in enumerate(rows)
    ]


def quotes(instrument: FuturesContract, ticks: Any) -> list[QuoteTick]:
    """A QuoteTick for each record; sizes are not part of the comparison."""
    much, name = Quantity(100, 0), instrument.id
    rows = zip(*(ticks[column].tolist() for column in ("exch_ns", "price", "price2")), strict=True)
    return [QuoteTick(name, Price(bid, 0), Price(ask, 0), much, much, at, at) for at, bid, ask in rows]
