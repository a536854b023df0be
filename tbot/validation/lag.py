"""V1: how much of an edge is left when every entry comes one bar later.

An edge that lives in one bar is often the look-ahead of a backtest (a fill at the price that made the signal), and one
that is real but so short is not traded by a retail order. So this is a warning and no verdict. Trades are plain
brackets at the open of the next bar (rules of `tbot_ext.first_passage`), without costs; results in R, the stop's
distance. The rule: at least `MIN_ENTRIES` entries, expectancy without delay above 0 with t >= `MIN_T` (standard error
over trading days, whose sums stand for their trades: those of one day depend on each other), and less than `LEAST_LEFT`
of it left after the delay.
"""

import math
from dataclasses import dataclass

import numpy as np

from tbot.validation.paths import Bars
from tbot.validation.trips import Floats, Ints
from tbot_ext.first_passage import bracket_outcomes
from tbot_ext.records import Flag

MIN_ENTRIES = 30
MIN_T = 2.0
LEAST_LEFT = 0.5
HORIZON = 500  # bars
NS_PER_DAY = 86_400_000_000_000
_ATR_BARS = 14


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Trades to be: the number of bars closed when each was decided, its side, and its distances in ticks."""

    known: Ints
    side: Ints
    stop: Ints
    target: Ints


@dataclass(frozen=True, slots=True)
class LagResult:
    """Expectancy in R without delay and one bar later; `left` is the share that remains (None: nothing to lose)."""

    entries: int
    r_now: float
    t_now: float
    r_later: float
    left: float | None
    warning: bool


def lag_decay(bars: Bars, entries: Entries, *, horizon: int = HORIZON) -> LagResult:
    """Both expectancies over the entries that have a bar to enter at with and without delay."""
    now, later = (outcomes(bars, entries, delay, horizon) for delay in (0, 1))
    both = np.isfinite(now) & np.isfinite(later)
    now, later, days = now[both], later[both], bars["start_ns"][np.minimum(entries.known, len(bars) - 1)][both]
    if not len(now):
        return LagResult(0, 0.0, 0.0, 0.0, None, False)
    r_now, r_later, t = float(now.mean()), float(later.mean()), _t(now, days // NS_PER_DAY)
    left = r_later / r_now if r_now > 0 else None
    warning = len(now) >= MIN_ENTRIES and t >= MIN_T and left is not None and left < LEAST_LEFT
    return LagResult(len(now), r_now, t, r_later, left, warning)


def outcomes(bars: Bars, entries: Entries, delay: int = 0, horizon: int = HORIZON) -> Floats:
    """Result of each bracket in R, NaN where the data ends before the entry."""
    result, state = np.empty(len(entries.known)), np.empty(len(entries.known), np.int8)
    opens, highs, lows, closes = (np.ascontiguousarray(bars[name]) for name in ("open", "high", "low", "close"))
    first, side = (np.ascontiguousarray(column, np.int64) for column in (entries.known + delay, entries.side))
    stop, target = (np.maximum(column, 1).astype(np.int64) for column in (entries.stop, entries.target))
    bracket_outcomes(opens, highs, lows, closes, first, side, stop, target, horizon, result, state)
    return result


def atr_entries(bars: Bars, known: Ints, side: Ints, *, reward: float = 1.0) -> Entries:
    """Entries with a stop one ATR away and a target `reward` times that; those before there is an ATR are left out."""
    span = atr_ticks(bars)[np.clip(known - 1, 0, max(len(bars) - 1, 0))] if len(bars) else np.zeros(len(known))
    fit = np.isfinite(span) & (np.abs(side) == 1) & (known >= 1)
    stop = np.maximum(np.rint(span[fit]), 1).astype(np.int64)
    target = np.maximum(np.rint(reward * span[fit]), 1).astype(np.int64)
    return Entries(known[fit].astype(np.int64), side[fit].astype(np.int64), stop, target)


def atr_ticks(bars: Bars) -> Floats:
    """Mean true range of the last 14 bars at each close, in ticks; NaN at first. A break in trading counts by the bar's
    own range."""
    out = np.full(len(bars), np.nan)
    if len(bars) < _ATR_BARS:
        return out
    before = np.concatenate([bars["close"][:1], bars["close"][:-1]])
    apart = (bars["flags"] & int(Flag.SESSION_BREAK)) != 0
    apart[0] = True
    high = np.where(apart, bars["high"], np.maximum(bars["high"], before))
    low = np.where(apart, bars["low"], np.minimum(bars["low"], before))
    summed = np.concatenate([[0], np.cumsum(high - low)])
    out[_ATR_BARS - 1 :] = (summed[_ATR_BARS:] - summed[:-_ATR_BARS]) / _ATR_BARS
    return out


def _t(results: Floats, days: Ints) -> float:
    """Mean over its standard error by clusters of days; 0 with less than two days."""
    _, place = np.unique(days, return_inverse=True)
    count = int(place.max()) + 1
    if count < 2:
        return 0.0
    sums = np.bincount(place, results - results.mean(), count)
    error = float(np.sqrt((sums**2).sum() * count / (count - 1))) / len(results)
    mean = float(results.mean())
    return mean / error if error > 0 else math.copysign(math.inf, mean) if mean else 0.0
