"""Bars as tick records, so that whole deciders can be run over bar files in tests: not how a backtest fills."""

import numpy as np

from tbot.domain.contracts import Product
from tbot.domain.messages import Signal
from tbot.strategy.decider import ContractDecider
from tbot.strategy.settings import StrategySettings
from tbot_ext.records import TICK_DTYPE, Kind

SECOND = 1_000_000_000


def bar_ticks(bars: np.ndarray, product: Product) -> np.ndarray:
    """Seven records a minute: open, low, high and close as trades, a quote beside the close, and the clock at its end.

    The clock closes the bar before the next one opens, so that a decision sees the quote of its own minute.
    """
    ticks = np.zeros((len(bars), 6), TICK_DTYPE)
    ticks["contract_id"] = product.contract_id
    ticks["exch_ns"] = bars["start_ns"][:, None] + np.array([1, 10, 20, 58, 59, 60]) * SECOND
    ticks["kind"] = [Kind.TRADE, Kind.TRADE, Kind.TRADE, Kind.TRADE, Kind.QUOTE, Kind.CLOCK]
    ticks["price"] = np.stack([bars[n] for n in ("open", "low", "high", "close", "close", "close")], axis=1)
    ticks["price2"][:, 4] = bars["close"] + 1
    ticks["size"][:, :4] = 1
    ticks["size"][:, 0] = np.maximum(1, bars["volume"] - 3)
    ticks["volume"] = -1
    return ticks.reshape(-1)


def no_history(product: Product) -> np.ndarray:
    """The record that says: there is no history to wait for."""
    tick = np.zeros(1, TICK_DTYPE)
    tick["kind"], tick["contract_id"] = Kind.HISTORY, product.contract_id
    return tick


def signals_over(bars: np.ndarray, product: Product, settings: StrategySettings) -> list[Signal]:
    """All signals of a decider that is live from the first bar on."""
    decider = ContractDecider(product, settings)
    signals: list[Signal] = []
    for ticks in (no_history(product), bar_ticks(bars, product)):
        at = 0
        while at < len(ticks) or decider.pending:
            at, found = decider.feed(ticks, at)
            signals += found
    decider.close()
    return signals
