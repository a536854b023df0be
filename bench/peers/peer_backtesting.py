"""backtesting.py: the bracket strategy of tests/interop/test_backtesting.py on 1m bars, in money of a contract."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy
from protocol import Columns, Measure, load, serve


def make(job: dict[str, Any]) -> dict[str, Measure]:
    warnings.simplefilter("ignore")
    columns = load(job["data"])
    index = pd.date_range("2020-01-01", periods=len(columns["open"]), freq="min")
    bars = pd.DataFrame({name.title(): columns[name].astype(float) for name in ("open", "high", "low", "close")}, index)
    sides, stops, targets = (columns[name].tolist() for name in ("side", "stop", "target"))

    class Bracket(Strategy):
        def init(self) -> None:
            """Everything is worked out beforehand."""

        def next(self) -> None:
            at = len(self.data) - 1
            side = sides[at]
            if side == 0 or self.position or self.orders:
                return
            enter = self.buy if side > 0 else self.sell
            enter(size=1, sl=float(stops[at]), tp=float(targets[at]))

    def run() -> Any:
        return Backtest(bars, Bracket, cash=1e10, finalize_trades=False).run()

    def common(stats: Any) -> Columns:
        trades = stats["_trades"].sort_values("EntryBar")
        names = {"side": "Size", "entered": "EntryBar", "left": "ExitBar", "entry": "EntryPrice", "exit": "ExitPrice"}
        return {name: np.rint(trades[column].to_numpy()).astype(np.int64) for name, column in names.items()}

    return {"bracket": Measure(run, len(bars), common)}


if __name__ == "__main__":
    serve(make)
