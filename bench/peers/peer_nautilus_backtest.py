"""NautilusTrader 1.x: the bracket strategy on quotes and prints by its own bracket orders, without latency and fees.

Only `engine.run()` is timed; making the tick objects and adding them is not. By its rules a stop triggers on the quote,
ours on the print: with prints at the bid (see market_files.tick_market) the stop of a short position stands one tick
higher to meet the same print. Its target fills by a touch, so it stands one tick further.
"""

import time
from typing import Any

import numpy as np
from nautilus_market import TRADE, VENUE, future, prints, quotes
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy
from protocol import Columns, Measure, load, serve


class Bracket(Strategy):
    """At the first quote after each wish, one contract with a stop and a target, one position at a time."""

    def __init__(self, instrument: Any, job: dict[str, Any], at_ns: list[int], sides: list[int]) -> None:
        super().__init__()
        self._instrument, self._job = instrument, job
        self._wishes = list(zip(at_ns, sides, strict=True))
        self._next = 0
        self._busy = False
        self.done: list[list[float]] = []

    def on_start(self) -> None:
        self.subscribe_quote_ticks(self._instrument.id)
        self.subscribe_trade_ticks(self._instrument.id)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        if self._busy or self._next == len(self._wishes) or tick.ts_event <= self._wishes[self._next][0]:
            return
        side = self._wishes[self._next][1]
        entry = int(tick.ask_price if side > 0 else tick.bid_price)
        stop = entry - side * self._job["stop"] + (1 if side < 0 else 0)
        target = entry + side * (self._job["target"] + 1)
        self._busy = True
        self.submit_order_list(
            self.order_factory.bracket(
                self._instrument.id, OrderSide.BUY if side > 0 else OrderSide.SELL, Quantity.from_int(1),
                sl_trigger_price=Price.from_int(stop), tp_price=Price.from_int(target), tp_post_only=False,
            )
        )  # fmt: skip

    def on_position_opened(self, event: Any) -> None:
        side = 1 if event.entry == OrderSide.BUY else -1
        self.done.append([side, event.avg_px_open, 0, event.ts_opened, 0])

    def on_position_closed(self, event: Any) -> None:
        self.done[-1][2], self.done[-1][4] = event.avg_px_close, event.ts_closed
        self._busy = False
        while self._next < len(self._wishes) and self._wishes[self._next][0] < event.ts_closed:
            self._next += 1


def make(job: dict[str, Any]) -> dict[str, Measure]:
    columns = load(job["data"])
    ticks, at_ns, sides = columns["ticks"], columns["at_ns"].tolist(), columns["side"].tolist()
    instrument = future()
    is_print = ticks["kind"] == TRADE
    objects = prints(instrument, ticks[is_print]) + quotes(instrument, ticks[~is_print])
    objects.sort(key=lambda one: one.ts_init)

    def run() -> tuple[float, list[list[float]]]:
        config = BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False)
        engine = BacktestEngine(config)
        engine.add_venue(VENUE, OmsType.NETTING, AccountType.MARGIN, [Money(1e9, USD)], base_currency=USD)
        engine.add_instrument(instrument)
        engine.add_data(objects)
        strategy = Bracket(instrument, job, at_ns, sides)
        engine.add_strategy(strategy)
        begin = time.process_time()
        engine.run()
        seconds = time.process_time() - begin
        done = strategy.done
        engine.dispose()
        return seconds, done

    def common(done: list[list[float]]) -> Columns:
        rows = [[round(value) for value in row] for row in done if row[4]]
        table = np.array(rows, np.int64).reshape(-1, 5)
        return {name: table[:, k] for k, name in enumerate(("side", "entry", "exit", "opened_ns", "closed_ns"))}

    return {"bracket": Measure(run, len(ticks), common, own_clock=True)}


if __name__ == "__main__":
    serve(make)
