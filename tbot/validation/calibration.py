"""V11: does the score of a signal mean anything? Reliability, Brier score, monotonicity, and each component's share.

A score 0..100 becomes a probability of the outcome (a win, say) by isotonic regression (pool adjacent violators:
Ayer, Brunk, Ewing, Reid, Silverman, Ann. Math. Statist. 26, 1955; for scores Zadrozny, Elkan, KDD 2002). It is fitted
on other days than it is judged on, for a fit to its own outcomes looks calibrated whatever the score is.

    Brier score = mean (p - y)^2 = reliability - resolution + uncertainty + (spread within bins)

Brier, Monthly Weather Review 78 (1950); decomposition Murphy, J. Applied Meteorology 12 (1973), with the two terms of
Stephenson, Coelho, Jolliffe, Weather and Forecasting 23 (2008), which make it exact where a bin holds unequal p.
Discrimination is the area under the ROC curve: how often a hit has the higher score than a miss, ties counted half
(Hanley, McNeil, Radiology 143, 1982).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tbot.errors import DataError
from tbot.validation.bootstrap import (
    LEVEL,
    Interval,
    percentile_interval,
    stationary_indices,
    unknown,
    wilson,
)
from tbot.validation.multiple import monte_carlo_p
from tbot.validation.trips import Bools, Floats, Ints

FOLDS = 5
EDGES = tuple(tenth / 10 for tenth in range(11))
HIGHEST_SCORE = 100.0
_CELLS_AT_ONCE = 2_000_000


# ------------------------------------------------------------------------------------------------ score to probability
@dataclass(frozen=True, slots=True, eq=False)
class Isotonic:
    """A rising step function: the probability of the highest step at or below a score; below the first, the first."""

    scores: Floats  # rising
    probabilities: Floats  # not falling

    def __call__(self, score: Floats) -> Floats:
        place = np.searchsorted(self.scores, score, side="right") - 1
        return np.asarray(self.probabilities[np.maximum(place, 0)], np.float64)


def fit_isotonic(score: Floats, outcome: Bools) -> Isotonic:
    """Pool adjacent violators; equal scores are one step. DataError without data."""
    if not len(score):
        raise DataError("a score cannot be calibrated without outcomes")
    levels, where = np.unique(score, return_inverse=True)
    hits = np.bincount(where, outcome.astype(np.float64))
    counts = np.bincount(where).astype(np.float64)
    steps: list[list[float]] = []  # first score, hits, count
    for level, hit, count in zip(levels.tolist(), hits.tolist(), counts.tolist(), strict=True):
        steps.append([level, hit, count])
        while len(steps) > 1 and steps[-2][1] * steps[-1][2] >= steps[-1][1] * steps[-2][2]:
            _, hit_above, count_above = steps.pop()
            steps[-1][1] += hit_above
            steps[-1][2] += count_above
    table = np.array(steps)
    return Isotonic(table[:, 0], table[:, 1] / table[:, 2])


def probability_by_bins(score: Floats, edges: Sequence[float], probabilities: Sequence[float]) -> Floats:
    """Probabilities given for the bins between `edges`, the last with its upper edge. DataError for a score outside."""
    if len(probabilities) != len(edges) - 1 or (score < edges[0]).any() or (score > edges[-1]).any():
        raise DataError("each score needs a bin and each bin a probability; check the edges")
    return np.asarray(probabilities, np.float64)[_bin_of(score, edges)]


def out_of_fold(score: Floats, outcome: Bools, day: Ints, folds: int = FOLDS) -> Floats:
    """Probability of each trip by a fit to the other folds; folds are runs of whole days. Fewer than two days: the
    share of all outcomes."""
    days = np.unique(day)
    if len(days) < 2:
        return np.full(len(score), outcome.mean() if len(outcome) else math.nan)
    parts = np.array_split(days, min(folds, len(days)))
    fold = np.searchsorted(np.array([part[0] for part in parts]), day, side="right") - 1
    out = np.empty(len(score))
    for number in range(len(parts)):
        mine = fold == number
        out[mine] = fit_isotonic(score[~mine], outcome[~mine])(score[mine])
    return out


# ------------------------------------------------------------------------------------------------ reliability
@dataclass(frozen=True, slots=True)
class Bin:
    """Trips whose probability lies in [low, high), in the last bin also at high."""

    low: float
    high: float
    n: int
    probability: float  # mean of what was told
    hit_rate: Interval  # Wilson


@dataclass(frozen=True, slots=True)
class Reliability:
    """brier = reliability - resolution + uncertainty + within. Lower reliability and higher resolution are better."""

    n: int
    brier: float
    reliability: float  # mean square of told minus seen, by bin
    resolution: float  # mean square of seen in the bin minus seen overall
    uncertainty: float  # of always telling the overall share
    within: float  # spread of what was told within bins, less its covariance with what was seen
    skill: float  # 1 - brier / uncertainty; 0: no better than the overall share; nan: all outcomes alike
    bins: tuple[Bin, ...]  # that hold a trip


def reliability(
    probability: Floats, outcome: Bools, edges: Sequence[float] = EDGES, level: float = LEVEL
) -> Reliability:
    """Table and scores of probabilities told. DataError without trips, for probabilities outside the edges, or for
    columns of unequal length."""
    n = len(probability)
    if not n or len(outcome) != n or not ((probability >= edges[0]) & (probability <= edges[-1])).all():
        raise DataError("probabilities within the edges and as many outcomes are needed")
    seen = outcome.astype(np.float64)
    overall = float(seen.mean())
    place = _bin_of(probability, edges)
    told_wrong = resolved = within = 0.0
    bins = []
    for number in np.unique(place).tolist():
        mine = place == number
        p, y, share = probability[mine], seen[mine], mine.mean()
        told_wrong += share * (p.mean() - y.mean()) ** 2
        resolved += share * (y.mean() - overall) ** 2
        within += share * float(np.var(p) - 2 * np.mean((p - p.mean()) * (y - y.mean())))
        rate = wilson(int(y.sum()), len(y), level)
        bins.append(Bin(float(edges[number]), float(edges[number + 1]), len(y), float(p.mean()), rate))
    uncertainty = overall * (1 - overall)
    brier = float(np.mean((probability - seen) ** 2))
    return Reliability(
        n=n,
        brier=brier,
        reliability=float(told_wrong),
        resolution=float(resolved),
        uncertainty=uncertainty,
        within=float(within),
        skill=1 - brier / uncertainty if uncertainty else math.nan,
        bins=tuple(bins),
    )


def _bin_of(values: Floats, edges: Sequence[float]) -> Ints:
    place = np.searchsorted(np.asarray(edges), values, side="right") - 1
    return np.minimum(place, len(edges) - 2).astype(np.int64)


# ------------------------------------------------------------------------------------------------ monotonicity
@dataclass(frozen=True, slots=True)
class Monotonicity:
    """Spearman's rank correlation of score and outcome (win or not, or the result itself)."""

    rho: float  # nan: one of them does not vary
    p_value: float  # that a rho as high comes by chance
    draws: int


def monotonicity(score: Floats, result: Floats, day: Ints, rng: np.random.Generator, draws: int = 999) -> Monotonicity:
    """Spearman (Amer. J. Psychology 15, 1904), tested by permutation, one-sided.

    The null tells the results to other scores: whole days change places, so that trips of one day stay together (V9);
    with fewer than five days single trips do.
    """
    first, second = ranks(score), ranks(result)
    if len(score) < 3 or not np.ptp(first) or not np.ptp(second):
        return Monotonicity(math.nan, 1.0, 0)
    days, where = np.unique(day, return_inverse=True)
    unit = where if len(days) >= 5 else np.arange(len(score))
    a, b = (first - first.mean()) / np.std(first), (second - second.mean()) / np.std(second)
    units = int(unit.max()) + 1
    orders = (np.argsort(rng.random(units)[unit], kind="stable") for _ in range(draws))
    drawn = np.array([a @ b[order] for order in orders]) / len(score)
    rho = float(a @ b) / len(score)
    return Monotonicity(rho, monte_carlo_p(rho - 1e-12, drawn), draws)


def ranks(values: Floats) -> Floats:
    """1 to n; equal values share their middle rank."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[where], np.float64)


# ------------------------------------------------------------------------------------------------ components
@dataclass(frozen=True, slots=True)
class Component:
    """What is lost without one component of the score. Losses above 0: it helps."""

    name: str
    auc_without: float
    auc_loss: Interval
    brier_without: float
    brier_loss: Interval

    @property
    def adds_nothing(self) -> bool:
        """Neither discrimination nor Brier score is measurably worse without it."""
        return self.auc_loss.low <= 0 and self.brier_loss.low <= 0


@dataclass(frozen=True, slots=True)
class Components:
    """The whole score, and each component left out in turn."""

    auc: float  # nan: all outcomes alike
    brier: float
    components: tuple[Component, ...]

    @property
    def adding_nothing(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.components if one.adds_nothing)


def leave_one_out(
    points: Floats,
    names: Sequence[str],
    outcome: Bools,
    day: Ints,
    rng: np.random.Generator,
    *,
    draws: int = 1000,
    level: float = LEVEL,
    mean_block: float = 1.0,
) -> Components:
    """`points` (trips x components) add up to the score, cut at 0 and 100. Brier scores are out of fold.

    Losses have percentile intervals by resampled days in blocks of `mean_block` days; both scores are judged on the
    same draws. DataError when names and columns differ in number.
    """
    if points.ndim != 2 or points.shape != (len(outcome), len(names)) or len(day) != len(outcome):
        raise DataError("points need a row for each outcome and a column for each name")
    if not len(day):
        nothing = unknown(math.nan, level)
        return Components(
            math.nan, math.nan, tuple(Component(name, math.nan, nothing, math.nan, nothing) for name in names)
        )
    where, counts = _resampled_days(day, rng, draws, mean_block)
    whole = _clipped(points.sum(axis=1))
    errors = (out_of_fold(whole, outcome, day) - outcome) ** 2
    areas = _areas(whole, outcome, where, counts)
    told = []
    for place, name in enumerate(names):
        less = _clipped(np.delete(points, place, axis=1).sum(axis=1))
        errors_less = (out_of_fold(less, outcome, day) - outcome) ** 2
        areas_less = _areas(less, outcome, where, counts)
        losses = counts @ np.bincount(where, errors_less - errors) / (counts @ np.bincount(where))
        told.append(Component(
            name,
            float(areas_less[0]),
            _loss(areas - areas_less, level),
            float(errors_less.mean()),
            _loss(losses, level),
        ))  # fmt: skip
    return Components(float(areas[0]), float(errors.mean()), tuple(told))


def _clipped(score: Floats) -> Floats:
    return np.clip(score, 0.0, HIGHEST_SCORE)


def _loss(values: Floats, level: float) -> Interval:
    """Interval of the first value by the others."""
    drawn = values[1:][np.isfinite(values[1:])]
    return percentile_interval(float(values[0]), drawn, level) if len(drawn) > 1 else unknown(float(values[0]), level)


def _resampled_days(day: Ints, rng: np.random.Generator, draws: int, mean_block: float) -> tuple[Ints, Floats]:
    """The place of each trip's day, and how often each resample holds each day; its first row is the run itself.

    One day makes no resamples.
    """
    days, where = np.unique(day, return_inverse=True)
    rows = stationary_indices(len(days), mean_block, draws, rng) if len(days) > 1 else np.zeros((0, 1), np.int64)
    counts = [np.ones(len(days)), *(np.bincount(row, minlength=len(days)) for row in rows)]
    return where.astype(np.int64), np.array(counts, np.float64)


def _areas(score: Floats, outcome: Bools, where: Ints, counts: Floats) -> Floats:
    """`weighted_auc` of each resample of days, some at a time: a table of all resamples and trips might be large."""
    at_once = max(1, _CELLS_AT_ONCE // len(score))
    parts = [counts[start : start + at_once] for start in range(0, len(counts), at_once)]
    return np.concatenate([weighted_auc(score, outcome, part[:, where]) for part in parts])


def weighted_auc(score: Floats, outcome: Bools, weight: Floats) -> Floats:
    """Area under the ROC curve for each row of `weight` (rows x trips); nan where a row has no hit or no miss."""
    order = np.argsort(score, kind="stable")
    firsts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))  # of each run of equal scores
    hit = np.add.reduceat((weight * outcome)[:, order], firsts, axis=1)
    miss = np.add.reduceat((weight * ~outcome)[:, order], firsts, axis=1)
    below = np.cumsum(miss, axis=1) - miss
    with np.errstate(invalid="ignore", divide="ignore"):
        area = (hit * (below + miss / 2)).sum(axis=1) / (hit.sum(axis=1) * miss.sum(axis=1))
    return np.asarray(area, np.float64)
