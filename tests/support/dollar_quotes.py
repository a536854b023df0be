"""Quotes of the five currency futures as tick records, from rates in dollars per unit."""

from collections.abc import Iterable

import numpy as np

from tbot.context.dxy import LEGS
from tbot.domain.contracts import PRODUCTS
from tbot_ext.records import TICK_DTYPE, Kind

NS_PER_S, NS_PER_MIN = 10**9, 60 * 10**9
RATES = {"6E": 1.1740, "6J": 0.0064150, "6B": 1.3460, "6C": 0.73250, "6S": 1.28350}
START_NS = 1_773_064_800 * NS_PER_S  # 2026-03-09 14:00 UTC


def quote(symbol: str, at_ns: int, rate: float) -> np.ndarray:
    """One quote, a tick wide, its middle half a tick above the grid point next to `rate`."""
    product = PRODUCTS[symbol]
    row = np.zeros(1, TICK_DTYPE)
    row["kind"], row["contract_id"], row["exch_ns"], row["volume"] = Kind.QUOTE, product.contract_id, at_ns, -1
    row["price"] = round(rate / float(product.tick_size))
    row["price2"] = row["price"] + 1
    return row


def record(kind: Kind, symbol: str, at_ns: int, **fields: int) -> np.ndarray:
    """Any other record."""
    row = np.zeros(1, TICK_DTYPE)
    row["kind"], row["contract_id"], row["exch_ns"] = kind, PRODUCTS[symbol].contract_id, at_ns
    for name, value in fields.items():
        row[name] = value
    return row


def middle(symbol: str, rate: float) -> float:
    """The middle of such a quote, dollars per unit."""
    tick = float(PRODUCTS[symbol].tick_size)
    return (round(rate / tick) + 0.5) * tick


def minute_quotes(factors: Iterable[float], rates: dict[str, float] | None = None) -> np.ndarray:
    """A quote of every leg in each minute, 10 s after its start; all rates times the minute's factor."""
    rows = [
        quote(symbol, START_NS + number * NS_PER_MIN + 10 * NS_PER_S + place, rate * factor)
        for number, factor in enumerate(factors)
        for place, (symbol, rate) in enumerate((rates or RATES).items())
    ]
    return np.concatenate(rows)


assert RATES.keys() == LEGS.keys()
