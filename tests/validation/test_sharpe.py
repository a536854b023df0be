"""V6: probabilistic and deflated Sharpe ratio against the worked examples of their papers, and over seeds."""

import math

import numpy as np
import pytest

from tbot.errors import DataError
from tbot.validation.sharpe import (
    Moments,
    deflated_sharpe,
    effective_trials,
    expected_max_sharpe,
    judge_sharpe,
    min_track_record,
    moments,
    probabilistic_sharpe,
    trials_deviation,
)

NORMAL = (0.0, 3.0)
FUND = (-2.448, 10.164)  # skewness and kurtosis of the hedge fund of Bailey, Lopez de Prado 2012


def test_V6_probabilistic_sharpe_of_the_paper() -> None:
    """Two years of months, ratio 0.458 a month: 98.2 % were returns normal, 91.3 % as they are."""
    assert probabilistic_sharpe(Moments(0.458, *NORMAL, 24)) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(Moments(0.458, *FUND, 24)) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(
    ("a_year", "shape", "years"),
    [(250, NORMAL, 2.73), (52, NORMAL, 2.83), (12, NORMAL, 3.24), (12, (-0.72, 5.78), 4.99)],
)
def test_V6_min_track_record_of_the_paper(a_year: int, shape: tuple[float, float], years: float) -> None:
    """Years needed to show at 95 % that a ratio of 2 a year is above 1."""
    told = Moments(2 / math.sqrt(a_year), *shape, 99)
    assert min_track_record(told, 1 / math.sqrt(a_year)) / a_year == pytest.approx(years, abs=5e-3)


def test_V6_deflated_sharpe_of_the_paper() -> None:
    """Best of 100 trials: 2.5 a year over 5 years of days, skewness -3, kurtosis 10, variance of trials 1/2 a year."""
    deviation = math.sqrt(0.5 / 250)
    ratio = 2.5 / math.sqrt(250)
    assert expected_max_sharpe(100, deviation) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(Moments(ratio, -3, 10, 1250), 100, deviation) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(Moments(ratio, -3, 10, 1250), 46, deviation) == pytest.approx(0.9505, abs=5e-5)
    assert deflated_sharpe(Moments(ratio, *NORMAL, 1250), 88, deviation) == pytest.approx(0.9505, abs=5e-5)


@pytest.mark.parametrize("trials", [5, 10, 100, 1000])
def test_V6_expected_maximum_is_that_of_drawn_ratios(trials: int) -> None:
    drawn = np.random.default_rng(trials).standard_normal((4000, trials)).max(axis=1).mean()
    assert expected_max_sharpe(trials, 1.0) == pytest.approx(drawn, abs=0.06)


def test_V6_one_trial_deflates_nothing_and_more_deflate_more() -> None:
    told = [expected_max_sharpe(n, 0.1) for n in (0, 1, 1.01, 2, 3.5, 10, 1e6)]
    assert told[:3] == [0, 0, 0]
    assert told[2:] == sorted(told[2:])
    for bad in (-1.0, math.nan):
        with pytest.raises(DataError):
            expected_max_sharpe(10, bad)


def test_V6_moments_are_those_of_the_sample() -> None:
    """Values of scipy 1.17: skew(x), kurtosis(x, fisher=False)."""
    told = moments(np.array([1.0, -2, 3, 0.5, -0.5, 7, -4, 2]))
    assert told is not None
    assert (told.skew, told.kurtosis) == (pytest.approx(0.4094661), pytest.approx(2.7608786))
    assert told.sharpe == pytest.approx(0.875 / 3.3246912)
    assert moments(np.ones(50)) is moments(np.array([1.0, 2.0])) is None


def test_V6_psr_rejects_at_its_nominal_rate_without_skill() -> None:
    """Results with a long left tail and mean 0: PSR above 95 % in about 5 % of 1000 samples."""
    rng = np.random.default_rng(4)
    samples = 1.0 - rng.gamma(4.0, 0.25, (1000, 250))
    high = [probabilistic_sharpe(told) > 0.95 for row in samples if (told := moments(row))]
    assert np.mean(high) == pytest.approx(0.05, abs=0.021)


def test_V6_the_best_of_many_passes_psr_but_not_dsr() -> None:
    """100 trials without skill, 250 days: the best looks good in most runs, and is seen through in most."""
    fooled = {"psr": 0, "dsr": 0}
    for seed in range(60):
        trials = np.random.default_rng(seed).standard_normal((250, 100))
        best = trials[:, (trials.mean(axis=0) / trials.std(axis=0)).argmax()]
        told = judge_sharpe(best, effective_trials(trials).cautious, trials_deviation(trials))
        assert told is not None
        fooled["psr"] += told.psr > 0.95
        fooled["dsr"] += told.dsr > 0.95
    assert fooled["psr"] >= 57
    assert fooled["dsr"] <= 9


def test_V6_a_real_edge_survives_deflation() -> None:
    trials = np.random.default_rng(1).standard_normal((500, 50))
    trials[:, 7] += 0.3
    told = judge_sharpe(trials[:, 7], effective_trials(trials).cautious, trials_deviation(trials))
    assert told is not None
    assert told.dsr > 0.99
    assert told.min_track_record < 500
    lost = judge_sharpe(-trials[:, 7])
    assert lost is not None
    assert (lost.psr < 0.01, lost.min_track_record) == (True, math.inf)


def test_V6_effective_trials_of_independent_equal_and_clustered_ones() -> None:
    rng = np.random.default_rng(2)
    free = rng.standard_normal((2000, 20))
    assert effective_trials(free).cautious == pytest.approx(20, abs=0.6)
    copies = np.repeat(free[:, :1], 20, axis=1)
    assert (effective_trials(copies).by_average, effective_trials(copies).by_eigenvalues) == pytest.approx((1, 1))
    clusters = np.repeat(free[:, :5], 4, axis=1)
    assert effective_trials(clusters).by_eigenvalues == pytest.approx(5, abs=0.1)
    assert effective_trials(clusters).by_average > 15, "the average does not see clusters"
    common = np.sqrt(0.5) * (free + rng.standard_normal((2000, 1)))
    assert effective_trials(common).by_average == pytest.approx(10.5, abs=0.8)


def test_V6_trials_that_never_traded_are_no_trials() -> None:
    table = np.column_stack([np.random.default_rng(3).standard_normal((50, 3)), np.zeros(50)])
    told = effective_trials(table)
    assert (told.trials, told.varied) == (4, 3)
    assert effective_trials(np.zeros((50, 4))).cautious == 0
    assert trials_deviation(np.zeros((50, 4))) == 0
    assert judge_sharpe(np.zeros(50)) is None
    with pytest.raises(DataError):
        effective_trials(np.zeros(5))
