"""V9: block bootstrap by day and Wilson's interval: published values, brute force, and the nominal size over seeds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.errors import DataError
from tbot.validation.bootstrap import (
    bootstrap_interval,
    day_sums,
    drawdown_draws,
    drawdown_interval,
    expectancy_interval,
    mean_block_length,
    stationary_indices,
    wilson,
)
from tbot.validation.summary import drawdown
from trip_builder import clustered


def autoregression(phi: float, n: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(n)
    out = np.zeros(n)
    out[0] = noise[0]
    for i in range(1, n):
        out[i] = phi * out[i - 1] + noise[i]
    return out


# ------------------------------------------------------------------------------------------------ drawing
@pytest.mark.parametrize(("block", "n"), [(1.0, 50), (5.0, 50), (20.0, 30)])
def test_V9_blocks_have_geometric_lengths_of_the_mean_asked_for(block: float, n: int) -> None:
    drawn = stationary_indices(n, block, 2000, np.random.default_rng(1))
    assert drawn.shape == (2000, n)
    assert np.bincount(drawn.ravel(), minlength=n) == pytest.approx(np.full(n, 2000), rel=0.2), "each place as often"
    goes_on = (np.diff(drawn, axis=1) % n == 1).mean()
    assert goes_on == pytest.approx(1 - 1 / block + 1 / block / n, abs=0.01)


def test_V9_equal_seeds_draw_equally_and_nothing_to_draw_is_refused() -> None:
    one, other = (stationary_indices(9, 3.0, 5, np.random.default_rng(7), 20) for _ in range(2))
    assert one.shape == (5, 20)
    assert (one == other).all()
    with pytest.raises(DataError):
        stationary_indices(0, 3.0, 5, np.random.default_rng(7))
    with pytest.raises(DataError):
        stationary_indices(3, 0.5, 5, np.random.default_rng(7))


@pytest.mark.parametrize(
    ("phi", "n", "seed", "length"),
    [(0, 250, 1, 2.77853), (0.5, 250, 2, 4.30419), (0.9, 1000, 3, 34.04895), (-0.5, 250, 4, 12.78389),
     (0.3, 60, 5, 1.99570), (0.7, 100, 6, 5.49562), (0.2, 500, 7, 3.11879)],
)  # fmt: skip
def test_V9_block_length_agrees_with_the_package_arch(phi: float, n: int, seed: int, length: float) -> None:
    """Values of arch 8.0.0, `optimal_block_length(...).stationary`."""
    assert mean_block_length(autoregression(phi, n, seed)) == pytest.approx(length, rel=1e-5)


def test_V9_block_length_of_little_or_constant_data_is_one() -> None:
    assert mean_block_length(np.arange(5.0)) == 1
    assert mean_block_length(np.full(50, 0.1)) == 1
    assert mean_block_length(np.zeros(0)) == 1
    assert 1 <= mean_block_length(np.arange(40.0)) <= 40 / 3
    swings_back = np.diff(np.random.default_rng(4).standard_normal(31))
    assert mean_block_length(swings_back) == 1, "its estimated spectrum at 0 is negative, which asks for nothing"


# ------------------------------------------------------------------------------------------------ expectancy
def coverage(common: float, *, by_trip: bool) -> float:
    """How often a 90 % interval of trips with mean 0 holds 0, over 200 seeds of 40 days with 8 trips."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        values, day = clustered(rng, 40, 8, common=common)
        unit = np.arange(len(day)) if by_trip else day
        told = expectancy_interval(values, unit, rng, draws=250, level=0.9, mean_block=1.0)
        held += told.low <= 0 <= told.high
    return held / 200


def test_V9_the_interval_by_day_holds_the_truth_at_its_level_where_one_by_trip_does_not() -> None:
    assert coverage(1.0, by_trip=False) == pytest.approx(0.9, abs=0.065)  # 3 deviations of 200 draws
    assert coverage(1.0, by_trip=True) < 0.6, "independent trips were assumed where they are not"


def test_V9_dependent_days_need_blocks() -> None:
    held = {1.0: 0, None: 0}
    for seed in range(100):
        values = autoregression(0.7, 250, seed)
        for block in held:
            told = expectancy_interval(values, np.arange(250), np.random.default_rng(seed), draws=200, mean_block=block)
            held[block] += told.low <= 0 <= told.high
    assert held[None] >= 82
    assert held[1.0] < 75


def test_V9_a_planted_edge_excludes_zero_and_the_estimate_is_the_mean() -> None:
    values, day = clustered(np.random.default_rng(3), 100, 5, mean=1.0)
    told = expectancy_interval(values, day, np.random.default_rng(3), draws=500)
    assert told.estimate == pytest.approx(values.mean())
    assert told.low > 0.5
    assert told.excludes_zero


def test_V9_one_day_tells_nothing_about_days() -> None:
    told = expectancy_interval(np.array([5.0, 7.0]), np.array([3, 3]), np.random.default_rng(1))
    assert (told.estimate, told.low, told.high, told.excludes_zero) == (6.0, -math.inf, math.inf, False)
    assert math.isnan(expectancy_interval(np.zeros(0), np.zeros(0, np.int64), np.random.default_rng(1)).estimate)
    assert drawdown_interval(np.array([5, -7]), np.array([3, 3]), np.random.default_rng(1)).estimate == 7
    assert math.isnan(
        drawdown_interval(np.zeros(0, np.int64), np.zeros(0, np.int64), np.random.default_rng(1)).estimate
    )


def test_V9_days_without_a_trip_are_days() -> None:
    days = day_sums(np.array([1.0, 2.0, 4.0]), np.array([5, 5, 8]), np.arange(5, 10))
    assert (days.sums.tolist(), days.counts.tolist()) == ([3, 0, 0, 4, 0], [2, 0, 0, 1, 0])


# ------------------------------------------------------------------------------------------------ drawdown
@given(st.lists(st.lists(st.integers(-50, 50), min_size=1, max_size=6), min_size=1, max_size=6), st.integers(0, 999))
def test_V9_folded_days_have_the_drawdown_of_the_trips_one_by_one(days: list[list[int]], seed: int) -> None:
    net = np.array([x for trips in days for x in trips])
    day = np.repeat(np.arange(len(days)), [len(trips) for trips in days])
    drawn = np.random.default_rng(seed).integers(0, len(days), (3, 5))
    told = drawdown_draws(net, day, drawn)
    for row, value in zip(drawn, told, strict=True):
        assert value == drawdown(np.concatenate([days[place] for place in row])).depth_cents


def test_V9_drawdown_interval_holds_the_drawdown_of_ordinary_luck() -> None:
    """Days are independent here, so the run's own drawdown is one of the draws; and a lucky order shows as such."""
    rng = np.random.default_rng(11)
    net = rng.integers(-1000, 1000, 200)
    told = drawdown_interval(net, np.arange(200), rng, draws=500, mean_block=1.0)
    assert told.low < told.estimate < told.high
    lucky = np.ravel(np.column_stack([np.full(100, 500), np.full(100, -500)]))
    told = drawdown_interval(lucky, np.arange(200), rng, draws=500, mean_block=1.0)
    assert told.estimate == 500
    assert told.low > 2000


# ------------------------------------------------------------------------------------------------ others
def test_V9_any_statistic_of_a_series() -> None:
    values = np.random.default_rng(2).standard_normal(400) + 3
    told = bootstrap_interval(values, lambda x: float(np.median(x)), np.random.default_rng(2), draws=400)
    assert told.low < 3 < told.high
    assert told.high - told.low < 0.5
    undefined = bootstrap_interval(values, lambda x: math.nan, np.random.default_rng(2), draws=5)
    assert (undefined.low, undefined.high, undefined.draws) == (-math.inf, math.inf, 0)
    assert math.isinf(bootstrap_interval(values[:1], lambda x: float(np.median(x)), np.random.default_rng(2)).low)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_V9_wilson_interval_of_published_examples(hits: int, n: int, low: float, high: float) -> None:
    """The examples of Newcombe, Statistics in Medicine 17 (1998), table I, score method."""
    told = wilson(hits, n)
    assert (told.low, told.high) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


def test_V9_wilson_at_the_edges() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0, 1)
    assert wilson(5, 5).high == 1
    for hits, n in ((3, 2), (-1, 2)):
        with pytest.raises(DataError):
            wilson(hits, n)
