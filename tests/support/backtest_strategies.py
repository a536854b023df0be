"""Strategies as a user writes them in a file of his own: `tbot backtest --strategy backtest_strategies.py:Momentum`."""

import sys
from dataclasses import replace
from typing import Any

from tbot.domain.contracts import Product
from tbot.domain.messages import Quote, Signal
from tbot.strategy.settings import StrategySettings
from tbot_ext.records import NO_PRICE, EventCode

EVERY, BACK = 9, 5


class Momentum:
    """At every ninth 1m bar with the move of the last five, when the market is quoted."""

    stop_ticks, target_ticks = 10, 12

    def __init__(self, product: Product, settings: StrategySettings) -> None:
        self.counters: dict[str, int] = {}
        self._symbol = product.symbol
        self._bids: list[int] = []

    def on_events(self, events: Any, view: Any) -> Any:
        bars = events[(events["kind"] == EventCode.BAR) & (events["timeframe_min"] == 1)]
        if not len(bars) or NO_PRICE in (view.bid, view.ask):
            return []
        self._bids.append(view.bid)
        if len(self._bids) % EVERY:
            return []
        return [self._signal(1 if self._bids[-1] >= self._bids[-1 - BACK] else -1, int(bars["known_ns"][-1]), view)]

    def _signal(self, side: int, known_ns: int, view: Any) -> Signal:
        entry = view.ask if side > 0 else view.bid
        return Signal(
            signal_id=f"{self._symbol}-{known_ns}", contract=self._symbol, side=side,
            quote=Quote(view.bid, view.ask, view.quote_ns, view.quote_seq, 0, view.epoch),
            stop=entry - side * self.stop_ticks, target=entry + side * self.target_ticks, score=50.0,
            reason="momentum", zone_id=0, zone_timeframe_min=1, parts={}, event_ids=(), params_hash="",
            decided_ns=known_ns, ring_seq=view.ring_seq,
        )  # fmt: skip


class Wider(Momentum):
    """Stop and target a little further away."""

    stop_ticks, target_ticks = 14, 16


class Patient(Momentum):
    """Stop and target far away."""

    stop_ticks = target_ticks = 120


class Silent(Momentum):
    """Never says anything."""

    def on_events(self, events: Any, view: Any) -> Any:
        return []


class Raises(Momentum):
    """Fails at its first decision."""

    def on_events(self, events: Any, view: Any) -> Any:
        if super().on_events(events, view):
            raise ValueError("no idea\nat all")
        return []


class Quits(Momentum):
    """Ends the program as if all were well."""

    def on_events(self, events: Any, view: Any) -> Any:
        sys.exit(0)


class FailsAtItsStart(Momentum):
    """Misses a file."""

    def __init__(self, product: Product, settings: StrategySettings) -> None:
        raise FileNotFoundError("weights.bin")


class Words(Momentum):
    """Gives words where signals belong."""

    def on_events(self, events: Any, view: Any) -> Any:
        return ["buy" for _ in super().on_events(events, view)]


class Nothing(Momentum):
    """Gives None, like a function that forgot its return."""

    def on_events(self, events: Any, view: Any) -> Any:
        return None


class Elsewhere(Momentum):
    """Trades another contract than the one it was made for."""

    def on_events(self, events: Any, view: Any) -> Any:
        return [replace(signal, contract="ES") for signal in super().on_events(events, view)]


class Fractions(Momentum):
    """Prices that are no whole ticks."""

    def on_events(self, events: Any, view: Any) -> Any:
        return [replace(signal, stop=signal.stop + 0.5) for signal in super().on_events(events, view)]


class NoTrader:
    """Takes what a trader takes and is none."""

    def __init__(self, product: Product, settings: StrategySettings) -> None:
        pass


def whole_bars(bars: Any) -> Any:
    """Sees all bars at once, so that no backtest can run it."""
    return bars["close"] > 0


NUMBER = 7
