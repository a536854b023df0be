"""Runs in the environment of smartmoneyconcepts, with our packages on PYTHONPATH: its time and ours, one DataFrame.

Arguments: IN.npz (open high low close volume time) OUT.npz, then the swing length. OUT holds the library's results as
`CALL|COLUMN`, and the least CPU seconds of a call as `library|CALL` and `frame|CALL`.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
from smartmoneyconcepts import smc as library

from smc_calls import SIX, columns, six_calls
from tbot.compat import smc as ours

ENOUGH_S = 0.3  # a call is repeated until this much was spent on it


def least(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the quickest call, and what it gave."""
    spent, quickest, result = 0.0, float("inf"), None
    while spent < ENOUGH_S:
        begin = time.process_time()
        result = call()
        took = time.process_time() - begin
        spent, quickest = spent + took, min(quickest, took)
    return quickest, result


bars = dict(np.load(sys.argv[1]))
frame = pd.DataFrame({name: bars[name] for name in bars if name != "time"}, index=pd.DatetimeIndex(bars["time"]))
swings = library.swing_highs_lows(frame, int(sys.argv[3]))
out = {}
for name in SIX:
    seconds, result = least(six_calls(library, frame, swings, int(sys.argv[3]))[name])
    out[f"library|{name}"] = np.float64(seconds)
    out.update({f"{name}|{column}": values for column, values in columns(result).items()})
    seconds, result = least(six_calls(ours, frame, swings, int(sys.argv[3]))[name])
    out[f"frame|{name}"] = np.float64(seconds)
np.savez(sys.argv[2], **out)
