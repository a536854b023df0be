"""Runs in the environment of PyPI `empyrical-reloaded`: statistics of daily returns as JSON.

Argument: a file with a JSON list of daily results over a capital so large that compounding does not show.
"""

import json
import sys
import warnings

import numpy as np
import pandas as pd


def main(path: str) -> None:
    warnings.simplefilter("ignore")
    import empyrical

    with open(path, encoding="utf-8") as file:
        told = json.load(file)
    index = pd.bdate_range("2024-01-01", periods=len(told["daily"]))
    returns = pd.Series(np.array(told["daily"], float) / told["capital"], index)
    found = {
        "sharpe": empyrical.sharpe_ratio(returns, annualization=252),
        "sortino": empyrical.sortino_ratio(returns, annualization=252),
        "calmar": empyrical.calmar_ratio(returns, annualization=252),
        "drawdown": empyrical.max_drawdown(returns) * told["capital"],
        "net": float(empyrical.cum_returns_final(returns)) * told["capital"],
    }
    rolling = empyrical.roll_sharpe_ratio(returns, window=20, annualization=252)
    told = {name: float(value) for name, value in found.items()}
    print(json.dumps(told | {"rolling": [float(one) for one in rolling]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
