"""V9: intervals that respect dependence: the stationary bootstrap, by trading day; Wilson's interval for shares.

Trips of one day share its market, and neighbouring days resemble each other. So whole trading days are drawn, in
blocks of random length: the stationary bootstrap of Politis and Romano (J. Amer. Statist. Assoc. 89, 1994), whose
blocks have geometric lengths of mean L and wrap around the end. L is chosen as in Politis and White (Econometric
Reviews 23, 2004) with the correction of Patton, Politis and White (Econometric Reviews 28, 2009), unless it is given.
Intervals are percentile intervals (Efron, Tibshirani, 1993, chapter 13).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tbot.errors import DataError
from tbot.validation.trips import Floats, Ints

DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the interval that holds its truth with probability `level`; infinite where nothing is known."""

    estimate: float
    low: float
    high: float
    level: float
    draws: int  # of the bootstrap; 0: by formula

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def unknown(estimate: float, level: float = LEVEL) -> Interval:
    """The interval of somebody who has seen too little."""
    return Interval(estimate, -math.inf, math.inf, level, 0)


def percentile_interval(estimate: float, draws: Floats, level: float = LEVEL) -> Interval:
    """The middle `level` of the draws; without any, nothing is known."""
    if not len(draws):
        return unknown(estimate, level)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level, len(draws))


# ------------------------------------------------------------------------------------------------ drawing
def stationary_indices(n: int, mean_block: float, draws: int, rng: np.random.Generator, length: int = 0) -> Ints:
    """Places 0..n-1 of `draws` resamples, one a row, each of `length` (0: n). `mean_block` 1 is the plain bootstrap.

    DataError when n is 0 or the mean block is below 1.
    """
    if n < 1 or mean_block < 1:
        raise DataError(f"{n} values cannot be drawn in blocks of {mean_block}; both must be at least 1")
    length = length or n
    fresh = rng.random((draws, length)) < 1 / mean_block
    fresh[:, 0] = True
    place = np.arange(length)
    since = np.maximum.accumulate(np.where(fresh, place, 0), axis=1)  # where the running block began
    starts = rng.integers(0, n, (draws, length))
    return np.asarray((np.take_along_axis(starts, since, axis=1) + place - since) % n, np.int64)


def mean_block_length(values: Floats) -> float:
    """L for the stationary bootstrap of a mean (Politis, White 2004; Patton, Politis, White 2009), 1 to n / 3.

    b = (2 g^2 / D)^(1/3) n^(1/3), g = sum of lambda(k/M) |k| R(k), D = 2 (sum of lambda(k/M) R(k))^2, with the
    flat-top window lambda and M twice the first lag from which five correlations lie within 2 sqrt(log10(n) / n) (as
    the authors' own programs have it).
    """
    n = len(values)
    centred = values - values.mean() if n else values
    if n < 10 or float(np.abs(centred).max()) <= 1e-12 * float(np.abs(values).max()):
        return 1.0
    run = max(5, math.ceil(math.sqrt(math.log10(n))))
    most = min(n - 1, math.ceil(math.sqrt(n)) + run)
    covariance = np.array([float(centred[: n - lag] @ centred[lag:]) / n for lag in range(most + 1)])
    small = np.abs(covariance[1:] / covariance[0]) < 2 * math.sqrt(math.log10(n) / n)
    quiet = np.flatnonzero(np.convolve(small, np.ones(run), "valid") == run)  # first lags of runs that are small
    first = int(quiet[0]) + 1 if len(quiet) else int(np.flatnonzero(~small)[-1]) + 1
    width = min(2 * first, most)
    lag = np.arange(-width, width + 1)
    weight = np.minimum(1.0, 2 * (1 - np.abs(lag) / width))
    weighted = weight * covariance[np.abs(lag)]
    spectrum = float(weighted.sum())
    if spectrum <= 0:
        return 1.0
    slope = float((weighted * np.abs(lag)).sum())
    return float(np.clip((2 * slope**2 / (2 * spectrum**2)) ** (1 / 3) * n ** (1 / 3), 1.0, max(1.0, n / 3)))


# ------------------------------------------------------------------------------------------------ by trading day
@dataclass(frozen=True, slots=True, eq=False)
class DaySums:
    """Values by trading day, in order of days."""

    sums: Floats
    counts: Floats


def day_sums(values: Floats | Ints, day: Ints, trading_days: Ints | None = None) -> DaySums:
    """Sum and number of the values of each day; days without one too where `trading_days` names them."""
    days = np.unique(day if trading_days is None else np.concatenate([trading_days, day]))
    where = np.searchsorted(days, day)
    sums, counts = np.bincount(where, values, len(days)), np.bincount(where, None, len(days))
    return DaySums(sums.astype(np.float64), counts.astype(np.float64))


def expectancy_interval(
    values: Floats | Ints,
    day: Ints,
    rng: np.random.Generator,
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    mean_block: float | None = None,
    trading_days: Ints | None = None,
) -> Interval:
    """The mean of `values` (one a trip, in any unit), days drawn in blocks of `mean_block` days (None: chosen).

    Every resample has its own number of trips, so the mean is a ratio of sums. Fewer than two days with a trip say
    nothing about the spread between days: the interval is infinite.
    """
    if not len(values):
        return unknown(math.nan, level)
    estimate = float(np.mean(values))
    means = expectancy_draws(day_sums(values, day, trading_days), rng, draws=draws, mean_block=mean_block)
    return unknown(estimate, level) if means is None else percentile_interval(estimate, means, level)


def expectancy_draws(
    days: DaySums, rng: np.random.Generator, *, draws: int = DRAWS, mean_block: float | None = None
) -> Floats | None:
    """Means of resampled days; resamples without any trip left out. None with fewer than two days that have a trip."""
    if (days.counts > 0).sum() < 2:
        return None
    block = mean_block_length(days.sums) if mean_block is None else mean_block
    drawn = stationary_indices(len(days.sums), block, draws, rng)
    sums, counts = days.sums[drawn].sum(axis=1), days.counts[drawn].sum(axis=1)
    return np.asarray(sums[counts > 0] / counts[counts > 0], np.float64)


def drawdown_interval(
    net_cents: Ints,
    day: Ints,
    rng: np.random.Generator,
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    mean_block: float | None = None,
) -> Interval:
    """Maximum drawdown of the closed equity, in cents: that of the run, and the middle `level` of the runs that days
    drawn in blocks give (trips of a day keep their order)."""
    if len(np.unique(day)) < 2:
        told = drawdown_draws(net_cents, day, np.zeros((1, len(np.unique(day))), np.int64))
        return unknown(float(told[0]) if len(net_cents) else math.nan, level)
    sums = day_sums(net_cents, day).sums
    block = mean_block_length(sums) if mean_block is None else mean_block
    drawn = stationary_indices(len(sums), block, draws, rng)
    as_it_was = np.arange(len(sums))[None, :]
    estimate = drawdown_draws(net_cents, day, as_it_was)
    return percentile_interval(float(estimate[0]), drawdown_draws(net_cents, day, drawn), level)


def drawdown_draws(net_cents: Ints, day: Ints, drawn: Ints) -> Floats:
    """Maximum drawdown in cents of each row of `drawn` (places of days): trips of the days joined end to end.

    Each day is told by four numbers (result, highest and lowest point, its own drawdown), and the days are folded, all
    rows at once: the same as walking every trip.
    """
    starts = np.flatnonzero(np.diff(day, prepend=day[0] - 1)) if len(day) else np.zeros(0, np.int64)
    table = np.array([_shape(part) for part in np.split(net_cents, starts[1:])] if len(day) else np.zeros((0, 4)))
    equity, peak, deepest = (np.zeros(len(drawn)) for _ in range(3))
    if not len(day):
        return deepest
    for column in drawn.T:
        result, high, low, own = table[column].T
        deepest = np.maximum(deepest, np.maximum(own, peak - equity - low))
        peak = np.maximum(peak, equity + high)
        equity = equity + result
    return deepest


def _shape(net_cents: Ints) -> tuple[float, float, float, float]:
    """Result, highest and lowest point (0 counts), and own drawdown of one day."""
    equity = np.concatenate([[0], np.cumsum(net_cents)])
    falls = np.maximum.accumulate(equity) - equity
    return float(equity[-1]), float(equity.max()), float(equity.min()), float(falls.max())


# ------------------------------------------------------------------------------------------------ general
def bootstrap_interval(
    values: Floats,
    statistic: Callable[[Floats], float],
    rng: np.random.Generator,
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    mean_block: float | None = None,
) -> Interval:
    """Any statistic of a series in order of time (such as daily results): `statistic` is called once per draw."""
    if len(values) < 2:
        return unknown(statistic(values) if len(values) else math.nan, level)
    block = mean_block_length(values) if mean_block is None else mean_block
    drawn = stationary_indices(len(values), block, draws, rng)
    told = np.array([statistic(values[row]) for row in drawn])
    return percentile_interval(float(statistic(values)), told[np.isfinite(told)], level)


def wilson(hits: int, n: int, level: float = LEVEL) -> Interval:
    """Interval of a share (Wilson, J. Amer. Statist. Assoc. 22, 1927). It holds for independent trials: for trips
    beside each other use `expectancy_interval` of 0 and 1. DataError unless 0 <= hits <= n."""
    if not 0 <= hits <= n:
        raise DataError(f"{hits} hits of {n} are no share; count again")
    if not n:
        return Interval(math.nan, 0.0, 1.0, level, 0)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    high = 1.0 if hits == n else min(1.0, middle + half)
    return Interval(share, low, high, level, 0)
