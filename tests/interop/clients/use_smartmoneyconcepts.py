"""Runs in the environment of smartmoneyconcepts: the library alone, on bars from files.

Arguments: a folder and a plan as JSON for each case, {case: plan}. Reads FOLDER/CASE.npz (open high low close volume
time) and writes FOLDER/CASE.results.npz with `CALL|COLUMN` in the order of columns.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from smartmoneyconcepts import smc

from smc_calls import Plan, columns, results

folder = Path(sys.argv[1])
for case, settings in json.loads(sys.argv[2]).items():
    bars = dict(np.load(folder / f"{case}.npz"))
    plan = Plan(**{name: tuple(values) for name, values in settings.items()})
    frame = pd.DataFrame({name: bars[name] for name in bars if name != "time"}, index=pd.DatetimeIndex(bars["time"]))
    out = {}
    for call, result in results(smc, frame, plan):
        out.update({f"{call}|{name}": values for name, values in columns(result).items()})
    np.savez(folder / f"{case}.results.npz", **out)
