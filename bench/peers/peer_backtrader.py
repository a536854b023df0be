"""backtrader: the same bracket strategy on 1m bars, prices in money of a contract.

Entry, stop and target are three orders of one moment, the last two of which cancel each other. Why not its own
`buy_bracket`: there the legs begin to work with the bar after the entry, so a bar that opens a trade and reaches its
stop or target is not seen (measured: half of the trades differ).
"""

from typing import Any

import backtrader as bt
import numpy as np
from protocol import Columns, Measure, load, serve


class Bars(bt.feed.DataBase):
    """Rows of arrays that are in memory."""

    params = (("rows", ()),)

    def start(self) -> None:
        super().start()
        self._rows = iter(self.p.rows)

    def _load(self) -> bool:
        row = next(self._rows, None)
        if row is None:
            return False
        lines = self.lines
        lines.datetime[0], lines.open[0], lines.high[0], lines.low[0], lines.close[0] = row
        lines.volume[0] = lines.openinterest[0] = 0.0
        return True


class Bracket(bt.Strategy):
    params = (("sides", ()), ("stops", ()), ("targets", ()))

    def __init__(self) -> None:
        self.done: list[list[float]] = []  # side, bar in, bar out, price in, price out
        self._working = 0

    def notify_order(self, order: Any) -> None:
        if order.status == order.Completed:
            if order.exectype == bt.Order.Market:
                self.done.append([1 if order.isbuy() else -1, len(self) - 1, 0, order.executed.price, 0])
            else:
                self.done[-1][2], self.done[-1][4] = len(self) - 1, order.executed.price
                self._working = 0
        elif order.status in (order.Margin, order.Rejected):
            raise RuntimeError(f"order refused: {order.getstatusname()}")

    def next(self) -> None:
        at = len(self) - 1
        side = self.p.sides[at]
        if side == 0 or self._working:
            return
        enter, leave = (self.buy, self.sell) if side > 0 else (self.sell, self.buy)
        enter(size=1)
        stop = leave(size=1, exectype=bt.Order.Stop, price=self.p.stops[at])
        leave(size=1, exectype=bt.Order.Limit, price=self.p.targets[at], oco=stop)
        self._working = 1


def make(job: dict[str, Any]) -> dict[str, Measure]:
    columns = load(job["data"])
    n = len(columns["open"])
    days = 737_000 + np.arange(n) / 1_440
    prices = (columns[name].astype(float).tolist() for name in ("open", "high", "low", "close"))
    rows = list(zip(days.tolist(), *prices, strict=True))
    sides = columns["side"].tolist()
    stops, targets = (columns[name].astype(float).tolist() for name in ("stop", "target"))

    def run() -> list[list[float]]:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.broker.setcash(1e12)
        cerebro.adddata(Bars(rows=rows, timeframe=bt.TimeFrame.Minutes))
        cerebro.addstrategy(Bracket, sides=sides, stops=stops, targets=targets)
        (strategy,) = cerebro.run()
        return list(strategy.done)

    def common(done: list[list[float]]) -> Columns:
        table = np.rint(np.array([row for row in done if row[2]])).astype(np.int64)
        return {name: table[:, k] for k, name in enumerate(("side", "entered", "left", "entry", "exit"))}

    return {"bracket": Measure(run, n, common)}


if __name__ == "__main__":
    serve(make)
