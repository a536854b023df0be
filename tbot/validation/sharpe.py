"""V6: how much of a Sharpe ratio is left after sample length, odd distributions and many trials.

All ratios here are per period (of the results given: daily), never of a year: r_year = r sqrt(252).

    PSR(b)  = Phi((r - b) sqrt(n - 1) / s),  s^2 = 1 - g3 r + (g4 - 1) / 4 r^2      g3 skewness, g4 kurtosis (normal: 3)
    MinTRL  = 1 + s^2 (z / (r - b))^2                                                z normal quantile of the level
    E[max]  = sqrt(V) ((1 - e) Phi^-1(1 - 1/N) + e Phi^-1(1 - 1/(N exp 1)))          e Euler's constant 0.5772
    DSR     = PSR(E[max])                                          V variance of the ratios of N independent trials

PSR and MinTRL: Bailey, López de Prado, "The Sharpe ratio efficient frontier", J. Risk 15(2), 2012. E[max] and DSR:
the same, "The deflated Sharpe ratio", J. Portfolio Management 40(5), 2014.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tbot.errors import DataError
from tbot.validation.summary import sharpe_ratio
from tbot.validation.trips import Floats

NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Moments:
    """Of results per period: Sharpe ratio, skewness, kurtosis (not in excess of 3), number."""

    sharpe: float
    skew: float
    kurtosis: float
    n: int


@dataclass(frozen=True, slots=True)
class EffectiveTrials:
    """To how many independent trials some trials amount."""

    trials: int  # all
    varied: int  # whose results vary; the others (no trades) are left out
    mean_correlation: float
    by_average: float
    by_eigenvalues: float

    @property
    def cautious(self) -> float:
        """The larger: more trials deflate more."""
        return max(self.by_average, self.by_eigenvalues)


@dataclass(frozen=True, slots=True)
class SharpeJudgement:
    """A Sharpe ratio per period and what it is worth. Probabilities 0 to 1; lengths in periods."""

    moments: Moments
    psr: float  # that the true ratio is above 0
    trials: float  # effective number
    trials_deviation: float  # standard deviation of the ratios of the trials
    expected_max: float  # of as many trials without any skill
    dsr: float  # that the true ratio is above 0, after the trials
    min_track_record: float  # so that the ratio is above 0 at `level`; infinite for a ratio of 0 or below
    level: float


def moments(results: Floats) -> Moments | None:
    """Moments of results per period; None for fewer than three, or without spread."""
    ratio = sharpe_ratio(results)
    if ratio is None or len(results) < 3:
        return None
    scaled = (results - results.mean()) / np.std(results)
    return Moments(ratio, float(np.mean(scaled**3)), float(np.mean(scaled**4)), len(results))


def _variance_factor(told: Moments) -> float:
    """s^2. In samples it may come out at 0 or below for large ratios with much skewness; it is kept just above."""
    return max(1e-12, 1 - told.skew * told.sharpe + (told.kurtosis - 1) / 4 * told.sharpe**2)


def probabilistic_sharpe(told: Moments, benchmark: float = 0.0) -> float:
    """Probability that the true ratio is above `benchmark` (per period)."""
    return NORMAL.cdf((told.sharpe - benchmark) * math.sqrt(told.n - 1) / math.sqrt(_variance_factor(told)))


def min_track_record(told: Moments, benchmark: float = 0.0, level: float = 0.95) -> float:
    """Periods needed so that the ratio is above `benchmark` at `level`; infinite when it is not above it."""
    if told.sharpe <= benchmark:
        return math.inf
    return 1 + _variance_factor(told) * (NORMAL.inv_cdf(level) / (told.sharpe - benchmark)) ** 2


def expected_max_sharpe(trials: float, deviation: float) -> float:
    """Expected largest ratio of `trials` independent ones without skill whose ratios have this standard deviation.

    0 for one trial or fewer; for between one and about two, where the approximation falls below 0, also 0. DataError
    for a negative deviation.
    """
    if deviation < 0 or not math.isfinite(deviation):
        raise DataError(f"the spread of trials is {deviation}; it must be a number from 0")
    if trials <= 1:
        return 0.0
    first, second = NORMAL.inv_cdf(1 - 1 / trials), NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return deviation * max(0.0, (1 - np.euler_gamma) * first + np.euler_gamma * second)


def deflated_sharpe(told: Moments, trials: float, deviation: float) -> float:
    """Probability that the true ratio is above 0, when it is the best of `trials` that spread by `deviation`."""
    return probabilistic_sharpe(told, expected_max_sharpe(trials, deviation))


def effective_trials(results: Floats) -> EffectiveTrials:
    """Effective number of the trials in the columns of `results` (periods x trials), two estimators:

    * by average: N = c + (1 - c) M, c the mean correlation of M trials (Bailey, López de Prado 2014, appendix 3; c
      below 0 counts as 0);
    * by eigenvalues: M^2 over the sum of their squares (participation ratio: exact for equal clusters, which the
      average overrates; it underrates M trials with one common factor).
    """
    if results.ndim != 2:
        raise DataError("trials are the columns of a table of periods; give two dimensions")
    spread = np.std(results, axis=0) if len(results) else np.zeros(results.shape[1])
    varied = results[:, spread > 1e-12 * np.abs(results).max(initial=0.0)]
    count = varied.shape[1]
    if count < 2 or len(results) < 2:
        return EffectiveTrials(results.shape[1], count, 0.0, float(count), float(count))
    correlation = np.corrcoef(varied, rowvar=False)
    mean = float((correlation.sum() - count) / (count * (count - 1)))
    common = min(1.0, max(0.0, mean))
    # The sum of the squared eigenvalues is the sum of the squared correlations.
    return EffectiveTrials(
        trials=results.shape[1],
        varied=count,
        mean_correlation=mean,
        by_average=common + (1 - common) * count,
        by_eigenvalues=float(count**2 / (correlation**2).sum()),
    )


def judge_sharpe(
    results: Floats, trials: float = 1.0, deviation: float = 0.0, level: float = 0.95
) -> SharpeJudgement | None:
    """Everything about the ratio of `results` (per period), chosen as the best of `trials` (effective number) whose
    ratios spread by `deviation`; None where there is no ratio."""
    told = moments(results)
    if told is None:
        return None
    return SharpeJudgement(
        moments=told,
        psr=probabilistic_sharpe(told),
        trials=trials,
        trials_deviation=deviation,
        expected_max=expected_max_sharpe(trials, deviation),
        dsr=deflated_sharpe(told, trials, deviation),
        min_track_record=min_track_record(told, level=level),
        level=level,
    )


def trials_deviation(results: Floats) -> float:
    """Standard deviation of the Sharpe ratios per period of the trials in the columns of `results`; trials without
    spread are left out, and fewer than two give 0."""
    ratios = [ratio for column in results.T if (ratio := sharpe_ratio(column)) is not None]
    return float(np.std(ratios, ddof=1)) if len(ratios) > 1 else 0.0
