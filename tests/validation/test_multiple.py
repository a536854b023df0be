"""V5: false-discovery control on the papers' example and over seeds; Monte Carlo p-values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.errors import DataError
from tbot.validation.multiple import adjusted, discoveries, monte_carlo_p, percentile_of

# Benjamini and Hochberg 1995, section 4.1 (15 hypotheses of a study on heart attacks).
PAPER = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590,
         1.0]  # fmt: skip
probabilities = st.lists(st.floats(0, 1), max_size=20).map(np.array)


def test_V5_benjamini_hochberg_finds_the_four_of_its_own_paper() -> None:
    p = np.array(PAPER)
    assert discoveries(p).tolist() == [True] * 4 + [False] * 11
    assert (p <= 0.05 / 15).sum() == 3, "Bonferroni finds three"
    assert adjusted(p)[:5] == pytest.approx([0.0015, 0.003, 0.0095, 0.035625, 0.0603])


def test_V5_benjamini_yekutieli_of_the_same_study() -> None:
    """Values of statsmodels 0.14, multipletests(..., method="fdr_by")."""
    p = np.array(PAPER)
    assert adjusted(p, "by")[:4] == pytest.approx([0.0049773, 0.0099547, 0.0315231, 0.1182115], abs=2e-6)
    assert discoveries(p, rule="by").sum() == 3


@given(probabilities, st.floats(0.01, 0.5))
def test_V5_adjusted_values_decide_as_the_step_up_rule(p: np.ndarray, q: float) -> None:
    ordered = np.sort(p)
    passing = [k for k in range(1, len(p) + 1) if ordered[k - 1] * len(p) / k <= q]
    assert discoveries(p, q).sum() >= max(passing, default=0)
    assert discoveries(p, q).sum() == (p <= ordered[max(passing) - 1]).sum() if passing else not discoveries(p, q).any()
    assert ((adjusted(p, "by") >= adjusted(p)) & (adjusted(p, "by") <= 1)).all()


@given(probabilities, st.randoms())
def test_V5_the_order_of_tests_does_not_matter(p: np.ndarray, chance: object) -> None:
    place = np.arange(len(p))
    chance.shuffle(place)  # type: ignore[attr-defined]
    assert (adjusted(p[place]) == adjusted(p)[place]).all()


def test_V5_false_discoveries_stay_below_q_where_all_are_noise_and_where_some_are_real() -> None:
    false = {"none real": 0.0, "some real": 0.0}
    for seed in range(400):
        p = np.random.default_rng(seed).random(40)
        false["none real"] += bool(discoveries(p, 0.1).any())
        p[:10] /= 10_000
        found = discoveries(p, 0.1)
        assert found[:10].all()
        false["some real"] += found[10:].sum() / found.sum()
    assert false["none real"] / 400 == pytest.approx(0.1, abs=0.045)
    assert false["some real"] / 400 == pytest.approx(0.1 * 30 / 40, abs=0.025)


def test_V5_monte_carlo_p_is_never_nought() -> None:
    draws = np.arange(999.0)
    assert monte_carlo_p(5000, draws) == 1 / 1000
    assert monte_carlo_p(-1, draws, "less") == 1 / 1000
    assert monte_carlo_p(5000, draws, "both") == 2 / 1000
    assert monte_carlo_p(998, draws) == 2 / 1000, "a tie is at least as extreme"
    assert monte_carlo_p(499, draws, "both") == 1.0


def test_V5_monte_carlo_p_is_uniform_under_the_null() -> None:
    rng = np.random.default_rng(8)
    p = [monte_carlo_p(x[0], x[1:]) for x in rng.standard_normal((2000, 100))]
    assert np.quantile(p, [0.05, 0.5, 0.95]) == pytest.approx([0.05, 0.5, 0.95], abs=0.035)
    assert (np.array(p) <= 0.05).mean() <= 0.065


def test_V5_percentile_of_the_null() -> None:
    assert percentile_of(2, np.array([0.0, 1, 2, 3])) == 62.5
    assert (percentile_of(-1, np.arange(4.0)), percentile_of(9, np.arange(4.0))) == (0, 100)


def test_V5_what_is_no_test_is_refused() -> None:
    assert len(adjusted(np.zeros(0))) == 0
    for bad in (np.array([0.5, np.nan]), np.array([1.5])):
        with pytest.raises(DataError):
            adjusted(bad)
    for observed, draws in ((1.0, np.zeros(0)), (np.nan, np.ones(3)), (1.0, np.array([1.0, np.inf]))):
        with pytest.raises(DataError):
            monte_carlo_p(observed, draws)
    with pytest.raises(DataError):
        percentile_of(1.0, np.zeros(0))
