"""One contract's decisions: the compiled pipeline and the trader behind one door.

A worker process drains a ring through it, the backtest feeds arrays through it; both run the same lines. It is a fold
over one stream of tick records: no clock, no other input.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tbot.domain.context import NO_CONTEXT
from tbot.domain.contracts import Product
from tbot.domain.messages import Signal
from tbot.strategy.learning import WeightSource
from tbot.strategy.outcomes import Rows
from tbot.strategy.trader import ContractTrader, MarketView, StrategySettings, view_of
from tbot_ext.outcome_book import OUTCOME_DTYPE
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.ring import RingReader

Records = npt.NDArray[np.void]


class Trader(Protocol):
    """A strategy of one contract: a fold over pipeline events (the packaged one is ContractTrader)."""

    counters: dict[str, int]

    def on_events(self, events: Records, view: MarketView) -> list[Signal]: ...


class ContractDecider:
    """Tick records in, signals out. `history` is the bar segment that TICK_HISTORY records point into.

    `make_trader` makes the strategy, anew after every reset of the market; None is the packaged one, and another one
    serves backtests only. `learned`: where the packaged one finds the weights of a trading day.
    """

    def __init__(
        self,
        product: Product,
        settings: StrategySettings,
        history: Records | None = None,
        make_trader: Callable[[Product, StrategySettings], Trader] | None = None,
        learned: WeightSource | None = None,
    ) -> None:
        self.product = product
        if make_trader is None or make_trader is ContractTrader:
            make_trader = partial(ContractTrader, learned=learned)
        self._make_trader = make_trader
        self._ended: list[Rows] = []  # of traders that a reset of the market ended
        self.pipeline = ContractPipeline(product.contract_id, settings.detectors(product), history=history)
        self._settings = settings
        self._resets = 0
        self.trader: Trader = self._make_trader(product, settings)

    def drain(self, reader: RingReader, limit: int) -> tuple[int, list[Signal]]:
        """Consume up to `limit` ring records; returns after the first one that produced events: (consumed, signals)."""
        consumed = self.pipeline.drain(reader, limit)
        return consumed, self._decide()

    def feed(self, ticks: Records, start: int = 0) -> tuple[int, list[Signal]]:
        """The same from an array; returns (index after the last consumed record, signals).

        Call it until the index is the array's length and `pending` is false: a long history comes in parts.
        """
        end = self.pipeline.feed(ticks, start)
        return end, self._decide()

    def run(self, ticks: Records, start: int = 0) -> tuple[int, list[Signal]]:
        """The same as `feed`, but it may go on past records whose events gave no signal. Call it like `feed`."""
        if type(self.trader) is not ContractTrader or "on_events" in vars(self.trader):  # somebody wants every event
            return self.feed(ticks, start)
        end, signals = self.trader.feed(self.pipeline, ticks, start)
        if self._resets != self.pipeline.resets:
            self._begin_anew()
        return end, signals

    def outcomes(self) -> Rows:
        """What became of hypothetical trades since the last call (strategy.outcomes); none of another strategy."""
        rows = [*self._ended, *([self.trader.outcomes()] if isinstance(self.trader, ContractTrader) else [])]
        self._ended.clear()
        return rows[0] if len(rows) == 1 else np.concatenate([np.zeros(0, OUTCOME_DTYPE), *rows])

    @property
    def distrust(self) -> str:
        """Why no signal comes although the market is live: more than 1 % of the downloaded bars differ from our own of
        the same minutes (smc.md section 1); "" while they agree."""
        if self.pipeline.history_agrees:
            return ""
        counters = self.pipeline.counters
        differ, compared = counters["history_mismatch"], counters["history_overlap"]
        return f"no signals: {differ} of {compared} downloaded minutes differ from our own; at most 1 % may"

    @property
    def pending(self) -> bool:
        """There is more to consume without a further record."""
        return bool(self.pipeline.pending)

    def close(self) -> None:
        """Let go of the history segment."""
        self.pipeline.close()

    def _begin_anew(self) -> None:
        """The pipeline forgot its market: the zones and setups built on it are nothing any more (I29)."""
        self._resets = self.pipeline.resets
        counters = self.trader.counters
        if isinstance(self.trader, ContractTrader):
            self._ended.append(self.trader.outcomes())
        self.trader = self._make_trader(self.product, self._settings)
        self.trader.counters.update(counters)

    def _decide(self) -> list[Signal]:
        if self._resets != self.pipeline.resets:
            self._begin_anew()
        events = self.pipeline.events
        if not len(events):
            return []
        view = view_of(self.pipeline)
        signals = self.trader.on_events(events, view)
        if view.context == NO_CONTEXT:
            return signals
        # Whatever strategy speaks, the gate and the reports see what the news were.
        return [one if one.context is not None else replace(one, context=view.context) for one in signals]
