"""V11: isotonic fit, Brier decomposition and ranks against other libraries and by hand; planted and idle components."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.errors import DataError
from tbot.validation.calibration import (
    fit_isotonic,
    leave_one_out,
    monotonicity,
    out_of_fold,
    probability_by_bins,
    ranks,
    reliability,
    weighted_auc,
)

SCORE = np.array([10, 20, 20, 30, 40, 50, 60, 70, 80, 90.0])
HIT = np.array([0, 1, 0, 0, 1, 0, 1, 1, 0, 1], bool)
pairs = st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=25)


def split(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([row[0] for row in rows], float), np.array([row[1] for row in rows], bool)


# ------------------------------------------------------------------------------------------------ isotonic
def test_V11_isotonic_fit_agrees_with_scikit_learn() -> None:
    """Values of sklearn.isotonic.IsotonicRegression."""
    third, two = 1 / 3, 2 / 3
    expected = [0, third, third, third, 0.5, 0.5, two, two, two, 1]
    fit = fit_isotonic(SCORE, HIT)
    assert fit(SCORE) == pytest.approx(expected)
    assert fit(np.array([-5.0, 65, 500])) == pytest.approx([0, two, 1])


@given(pairs)
def test_V11_isotonic_fit_rises_and_no_other_rising_step_is_better(rows: list[tuple[int, bool]]) -> None:
    score, hit = split(rows)
    told = fit_isotonic(score, hit)(score)
    assert (np.diff(told[np.argsort(score, kind="stable")]) >= 0).all()
    assert told.mean() == pytest.approx(hit.mean())
    best = ((told - hit) ** 2).mean()
    for cut in np.unique(score):
        above = score >= cut
        low, high = (hit[part].mean() if part.any() else 0.5 for part in (~above, above))
        if low <= high:
            assert best <= ((np.where(above, high, low) - hit) ** 2).mean() + 1e-12


def test_V11_a_fit_on_other_days_does_not_flatter_noise() -> None:
    """Skill of scores that mean nothing, 100 trips, mean over seeds: a fit to its own outcomes seems to have some."""
    own, other = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        score, hit, day = rng.random(100) * 100, rng.random(100) < 0.5, np.repeat(np.arange(20), 5)
        own.append(reliability(fit_isotonic(score, hit)(score), hit).skill)
        other.append(reliability(out_of_fold(score, hit, day), hit).skill)
    assert np.mean(own) > 0.02
    assert np.mean(other) < -0.02


def test_V11_out_of_fold_by_hand() -> None:
    """Two days: each is told by the other."""
    told = out_of_fold(np.array([1.0, 2, 1, 2]), np.array([True, True, False, True]), np.array([7, 7, 9, 9]))
    assert told.tolist() == [0, 1, 1, 1]
    assert out_of_fold(np.ones(2), np.array([True, False]), np.array([7, 7])).tolist() == [0.5, 0.5]


def test_V11_given_bins() -> None:
    told = probability_by_bins(np.array([0.0, 59, 60, 100]), (0, 60, 80, 100), (0.4, 0.5, 0.7))
    assert told.tolist() == [0.4, 0.4, 0.5, 0.7]
    with pytest.raises(DataError):
        probability_by_bins(np.array([101.0]), (0, 60, 80, 100), (0.4, 0.5, 0.7))
    with pytest.raises(DataError):
        probability_by_bins(np.array([1.0]), (0, 60, 80, 100), (0.4, 0.5))
    with pytest.raises(DataError):
        fit_isotonic(np.zeros(0), np.zeros(0, bool))


# ------------------------------------------------------------------------------------------------ reliability
def test_V11_brier_score_and_its_parts_by_hand() -> None:
    """Told 0.2 five times (one hit) and 0.8 five times (three hits): the second is off by 0.2 on half of the trips."""
    told = reliability(np.repeat([0.2, 0.8], 5), np.array([1, 0, 0, 0, 0, 1, 1, 1, 0, 0], bool))
    assert told.brier == pytest.approx((0.64 + 4 * 0.04 + 3 * 0.04 + 2 * 0.64) / 10)
    assert (told.reliability, told.resolution) == (pytest.approx(0.02), pytest.approx(0.04))
    assert (told.uncertainty, told.within) == (pytest.approx(0.24), pytest.approx(0))
    assert told.skill == pytest.approx(1 - 0.22 / 0.24)
    assert [(one.low, one.n, one.probability, one.hit_rate.estimate) for one in told.bins] == [
        (pytest.approx(0.2), 5, pytest.approx(0.2), 0.2), (pytest.approx(0.8), 5, pytest.approx(0.8), 0.6),
    ]  # fmt: skip
    assert told.bins[0].hit_rate.low == pytest.approx(0.0362, abs=1e-4)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_V11_the_parts_add_up_to_the_brier_score(rows: list[tuple[float, bool]]) -> None:
    told = reliability(*split(rows))  # type: ignore[arg-type]
    assert told.reliability - told.resolution + told.uncertainty + told.within == pytest.approx(told.brier, abs=1e-12)
    assert sum(one.n for one in told.bins) == len(rows)


def test_V11_a_true_probability_is_reliable_and_one_that_boasts_is_not() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(20_000)
    hit = rng.random(20_000) < p
    assert reliability(p, hit).reliability < 0.0005
    assert reliability(p, hit).brier == pytest.approx(1 / 6, abs=0.005)
    boast = np.where(p > 0.5, 0.95, 0.05)
    assert reliability(boast, hit).reliability == pytest.approx(0.04, abs=0.004)


def test_V11_what_cannot_be_judged_is_refused() -> None:
    for p, hit in (
        (np.zeros(0), np.zeros(0, bool)),
        (np.array([1.2]), HIT[:1]),
        (np.ones(2), HIT[:1]),
        (np.full(1, np.nan), HIT[:1]),
    ):
        with pytest.raises(DataError):
            reliability(p, hit)
    assert math.isnan(reliability(np.ones(3), np.ones(3, bool)).skill)


# ------------------------------------------------------------------------------------------------ monotonicity
def test_V11_spearman_agrees_with_scipy() -> None:
    """Value of scipy.stats.spearmanr."""
    told = monotonicity(SCORE, HIT.astype(float), np.arange(10), np.random.default_rng(1))
    assert told.rho == pytest.approx(0.34921514788)
    assert 0.1 < told.p_value < 0.25
    assert ranks(np.array([5.0, 1, 5, 9])).tolist() == [2.5, 1, 2.5, 4]


def test_V11_monotonicity_rejects_at_its_nominal_rate_though_days_hang_together() -> None:
    """Scores and results both have a part that is common to the day."""
    low = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        day = np.repeat(np.arange(25), 6)
        score, result = (2 * rng.standard_normal(25)[day] + rng.standard_normal(150) for _ in range(2))
        low += monotonicity(score, result, day, rng, 99).p_value <= 0.1
    assert low / 200 == pytest.approx(0.1, abs=0.065)


def test_V11_a_score_that_tells_something_is_monotone() -> None:
    rng = np.random.default_rng(2)
    score, day = rng.random(300) * 100, np.repeat(np.arange(60), 5)
    told = monotonicity(score, score / 50 + rng.standard_normal(300), day, rng)
    assert (told.p_value, told.rho > 0.3) == (0.001, True)
    assert monotonicity(score, -score, day, rng).p_value == 1
    assert math.isnan(monotonicity(np.ones(9), np.arange(9.0), np.arange(9), rng).rho)


# ------------------------------------------------------------------------------------------------ components
@given(pairs, st.integers(0, 99))
def test_V11_area_under_the_curve_counts_pairs(rows: list[tuple[int, bool]], seed: int) -> None:
    score, hit = split(rows)
    weight = np.random.default_rng(seed).integers(0, 3, (2, len(rows))).astype(float)
    for row, area in zip(weight, weighted_auc(score, hit, weight), strict=True):
        total = won = 0.0
        for i in np.flatnonzero(hit):
            for j in np.flatnonzero(~hit):
                total += row[i] * row[j]
                won += row[i] * row[j] * ((score[i] > score[j]) + (score[i] == score[j]) / 2)
        assert (math.isnan(area) and not total) or area == pytest.approx(won / total)


def test_V11_area_agrees_with_scikit_learn() -> None:
    assert weighted_auc(SCORE, HIT, np.ones((1, 10)))[0] == pytest.approx(0.7)


def test_V11_components_that_add_nothing_are_named() -> None:
    """Two of four components decide the outcome, one is noise, one is always the same."""
    rng = np.random.default_rng(5)
    n = 2000
    points = np.column_stack([rng.random((n, 3)) * [30, 30, 30], np.full(n, 10.0)])
    hit = rng.random(n) < 1 / (1 + np.exp(-(points[:, 0] + points[:, 1] - 30) / 6))
    told = leave_one_out(points, ("distance", "trend", "noise", "constant"), hit, np.repeat(np.arange(200), 10), rng,
                         draws=300)  # fmt: skip
    assert told.adding_nothing == ("noise", "constant")
    distance, trend, noise, constant = told.components
    assert min(distance.auc_loss.low, trend.auc_loss.low, distance.brier_loss.low) > 0.01
    assert distance.auc_loss.estimate == pytest.approx(told.auc - distance.auc_without)
    assert distance.brier_loss.estimate == pytest.approx(distance.brier_without - told.brier)
    assert noise.auc_loss.high < 0, "the score is better without it"
    assert (constant.auc_loss.estimate, constant.auc_loss.low, constant.auc_loss.high) == (0, 0, 0)


def test_V11_an_idle_component_is_seldom_taken_for_a_useful_one() -> None:
    taken = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        points, hit = rng.random((120, 2)) * 50, rng.random(120) < 0.5
        told = leave_one_out(points, ("a", "b"), hit, np.repeat(np.arange(30), 4), rng, draws=100)
        taken += "a" not in told.adding_nothing
    assert taken <= 9


def test_V11_one_day_and_no_trips_name_everything_and_crash_nothing() -> None:
    rng = np.random.default_rng(1)
    one = leave_one_out(rng.random((4, 2)), ("a", "b"), HIT[:4], np.zeros(4, int), rng)
    assert one.adding_nothing == ("a", "b")
    none = leave_one_out(np.zeros((0, 2)), ("a", "b"), HIT[:0], np.zeros(0, int), rng)
    assert (math.isnan(none.auc), none.adding_nothing) == (True, ("a", "b"))
    with pytest.raises(DataError):
        leave_one_out(np.zeros((4, 2)), ("a",), HIT[:4], np.zeros(4, int), rng)
