"""Runs in the environment of PyPI `backtesting`: a bracket strategy on bars, its trades and statistics as JSON.

Arguments: a .npz with the columns open, high, low, close (money of one contract, whole cents), side (of the signal at
each close: +1, -1, 0), stop and target (absolute, for an entry at the next open); the cost of one side in cents.
"""

import json
import sys
import warnings

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy


def main(path: str, cost_cents: str) -> None:
    warnings.simplefilter("ignore")
    with np.load(path) as file:
        columns = {name: file[name] for name in file.files}
    index = pd.date_range("2020-01-01", periods=len(columns["open"]), freq="min")
    bars = pd.DataFrame({name.title(): columns[name].astype(float) for name in ("open", "high", "low", "close")}, index)

    class Bracket(Strategy):
        def init(self) -> None:
            """Everything is worked out beforehand."""

        def next(self) -> None:
            at = len(self.data) - 1
            side = columns["side"][at]
            if side == 0 or self.position or self.orders:
                return
            enter = self.buy if side > 0 else self.sell
            enter(size=1, sl=float(columns["stop"][at]), tp=float(columns["target"][at]))

    cost = float(cost_cents)
    test = Backtest(bars, Bracket, cash=1e10, commission=lambda size, _price: abs(size) * cost, finalize_trades=False)
    stats = test.run()
    trades = stats["_trades"]
    names = ("Size", "EntryBar", "ExitBar", "EntryPrice", "ExitPrice", "PnL", "ReturnPct")
    found = {
        "trades": [[float(row[name]) for name in names] for _, row in trades.iterrows()],
        "equity": [float(value) for value in stats["_equity_curve"]["Equity"]],
        "stats": {name: float(stats[name]) for name in ("# Trades", "Win Rate [%]", "Profit Factor", "Expectancy [%]",
                                                        "Max. Drawdown [%]", "Equity Final [$]")},
    }  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
