"""Runs in the environment of smartmoneyconcepts: the library alone, on bars from a file.

Arguments: IN.npz (open high low close volume time) OUT.npz, then the plan as JSON. OUT holds `CALL|COLUMN` in the
order of columns, and the seconds that each call took as `seconds|CALL`.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from smartmoneyconcepts import smc

from smc_calls import Plan, columns, results

bars = dict(np.load(sys.argv[1]))
plan = Plan(**{name: tuple(values) for name, values in json.loads(sys.argv[3]).items()})
frame = pd.DataFrame({name: bars[name] for name in bars if name != "time"}, index=pd.DatetimeIndex(bars["time"]))
out = {}
begin = time.process_time()
for call, result in results(smc, frame, plan):
    out[f"seconds|{call}"] = np.float64(time.process_time() - begin)
    out.update({f"{call}|{name}": values for name, values in columns(result).items()})
    begin = time.process_time()
np.savez(sys.argv[2], **out)
