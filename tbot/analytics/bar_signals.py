"""Signals over a file of 1m bars: the engine's own decider, fed with bars as ticks.

The path from bar to ticks is that of `tbot import` and the backtest: open, the nearer extreme, the other one, close as
prints, quotes derived from them a typical spread apart, the clock at the end of each minute. All decisions are made in
`ContractDecider`. How a trade would have ended is read off the bars for the eye: no costs, no slippage, nobody's size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tbot.analytics.bar_tables import BadBars, Bars, utc_text
from tbot.analytics.detect import Progress
from tbot.domain.contracts import Product
from tbot.domain.messages import Signal
from tbot.domain.timeframes import NS_PER_MIN
from tbot.storage.foreign import bars_to_ticks
from tbot.storage.replay_stream import opening
from tbot.storage.tick_stream import ClockInserter, QuoteDeriver
from tbot.strategy.decider import ContractDecider, Trader
from tbot.strategy.settings import StrategySettings
from tbot.strategy.trader import ContractTrader

_CHUNK = 4096  # bars
_MOST_VOLUME = 2**31 - 1  # what one print can hold
_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True)
class BarTrade:
    """A signal, and which of its prices the bars after the decision reached first."""

    signal: Signal
    end: str  # target, stop, open; a bar that reaches both counts as the stop
    end_ns: int | None  # close of that bar


def bar_records(bars: Bars, product: Product) -> Iterator[npt.NDArray[np.void]]:
    """Tick records of 1m bars, in parts; the first says that there is no history to wait for.

    BadBars when a volume is larger than a print can hold.
    """
    huge = np.flatnonzero(bars["volume"] > _MOST_VOLUME)
    if len(huge):
        raise BadBars(
            f"bar {huge[0] + 1} ({utc_text(bars['start_ns'][huge[0]])}) has a volume of {bars['volume'][huge[0]]}; the "
            f"strategy takes at most {_MOST_VOLUME}: correct the file, or leave the signals out"
        )
    if len(bars):
        yield opening((product.contract_id,), int(bars["start_ns"][0]))
    quotes, clock = QuoteDeriver({product.contract_id: product.spread_ticks}), ClockInserter()
    for start in range(0, len(bars), _CHUNK):
        part = bars[start : start + _CHUNK]
        ohlc = np.stack([part[name] for name in _PRICES], axis=1)
        ticks = bars_to_ticks(product, part["start_ns"], ohlc, part["volume"], NS_PER_MIN, [])
        yield clock.push(quotes.push(ticks))
    yield clock.finish()


def bar_signals(
    bars: Bars,
    product: Product,
    settings: StrategySettings,
    progress: Progress | None = None,
    make_trader: Callable[[Product, StrategySettings], Trader] = ContractTrader,
) -> list[BarTrade]:
    """All signals of a decider that is live from the first of these 1m bars on, oldest first."""
    decider = ContractDecider(product, settings, make_trader=make_trader)
    signals: list[Signal] = []
    for number, records in enumerate(bar_records(bars, product)):
        at = 0
        while at < len(records) or decider.pending:
            at, found = decider.run(records, at)
            signals += found
        if progress is not None:
            progress(min(number * _CHUNK, len(bars)), len(bars))
    decider.close()
    return [_ended(bars, signal) for signal in signals]


def _ended(bars: Bars, signal: Signal) -> BarTrade:
    later = bars[int(np.searchsorted(bars["start_ns"], signal.decided_ns)) :]
    if signal.side > 0:
        stopped, reached = later["low"] <= signal.stop, later["high"] >= signal.target
    else:
        stopped, reached = later["high"] >= signal.stop, later["low"] <= signal.target
    either = np.flatnonzero(stopped | reached)
    if not len(either):
        return BarTrade(signal, "open", None)
    bar = int(either[0])
    return BarTrade(signal, "stop" if stopped[bar] else "target", int(later["start_ns"][bar]) + NS_PER_MIN)
