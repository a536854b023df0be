"""V5 on paths of known answer: order in the prices is found, a random walk is not, at the rate that is claimed."""

from collections.abc import Mapping

import numpy as np
import pytest

from level_markets import walk_days
from tbot.errors import DataError
from tbot.validation.lag import atr_entries, outcomes
from tbot.validation.path_null import Earned, PathNull, null_path, path_null
from tbot.validation.paths import checked

NULLS: tuple[PathNull, ...] = ("bootstrap", "permute", "flip")


def follow(bars: np.ndarray) -> Mapping[str, Earned]:
    """Follows, and fades, each bar that moved by more than an ATR; a third rule never trades."""
    moved = bars["close"] - bars["open"]
    large = np.flatnonzero(np.abs(moved) > 8)
    side = np.sign(moved[large]).astype(np.int64)
    found = {"never": Earned(0, 0.0)}
    for name, sign in (("follow", 1), ("fade", -1)):
        results = outcomes(bars, atr_entries(bars, large + 1, sign * side), 0, 60)
        made = results[np.isfinite(results)]
        found[name] = Earned(len(made), float(made.mean()) if len(made) else 0.0)
    return found


def trending(n: int, seed: int) -> np.ndarray:
    """Bars whose moves carry on: AR(1) with 0.3."""
    rng = np.random.default_rng(seed)
    bars = walk_days(n, rng)
    moves, last = rng.normal(0, 6, n), 0.0
    for number in range(n):
        last = moves[number] = moves[number] + 0.3 * last
    close = 80_000 + np.cumsum(np.rint(moves).astype(np.int64))
    bars["close"], bars["open"] = close, np.concatenate([[80_000], close[:-1]])
    bars["high"] = np.maximum(bars["open"], close) + 2
    bars["low"] = np.minimum(bars["open"], close) - 2
    return checked(bars)


@pytest.mark.parametrize("null", NULLS)
def test_V5_order_in_the_prices_is_found(null: PathNull) -> None:
    block = 1.0  # of the bootstrap: longer blocks keep the order, and rightly find nothing
    result = path_null(trending(4000, 1), follow, null, draws=59, rng=np.random.default_rng(1), mean_block=block)
    tests = {test.rule: test for test in result.tests}
    assert set(tests) == {"follow", "fade"}  # what never trades is no test
    assert tests["follow"].p == pytest.approx(1 / 60)
    assert tests["follow"].p_adjusted == pytest.approx(2 / 60)
    assert tests["follow"].percentile == 100
    assert tests["follow"].better
    assert tests["fade"].p == 1.0
    assert not tests["fade"].better


def test_V5_blocks_longer_than_the_order_keep_it() -> None:
    result = path_null(trending(4000, 1), follow, "bootstrap", draws=39, rng=np.random.default_rng(1), mean_block=200)
    assert all(0.02 < test.p < 0.98 for test in result.tests)


def p_values(null: PathNull, seeds: range, draws: int, bars: int) -> np.ndarray:
    values = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        result = path_null(walk_days(bars, rng), follow, null, draws=draws, rng=rng, mean_block=1.0)
        values.append([test.p for test in result.tests])
    return np.array(values)


def assert_nominal(values: np.ndarray, sigmas: float) -> None:
    n = len(values)
    for level in (0.05, 0.1, 0.25):
        off = np.abs((values <= level).mean(axis=0) - level) / np.sqrt(level * (1 - level) / n)
        assert (off < sigmas).all(), (level, off)
    assert (np.abs(values.mean(axis=0) - 0.5) < sigmas * np.sqrt(1 / 12 / n)).all()


@pytest.mark.parametrize("null", NULLS)
def test_V5_on_a_random_walk_p_values_are_uniform(null: PathNull) -> None:
    assert_nominal(p_values(null, range(40), 39, 1400), 3.3)


@pytest.mark.long
@pytest.mark.parametrize("null", NULLS)
def test_V5_on_a_random_walk_the_test_rejects_at_its_nominal_rate(null: PathNull) -> None:
    assert_nominal(p_values(null, range(1000, 1200), 99, 2800), 3.3)


@pytest.mark.parametrize("null", NULLS)
def test_V5_paths_are_repeatable_and_differ_from_the_real_one(null: PathNull) -> None:
    bars = walk_days(1500, np.random.default_rng(1))
    first, second = (null_path(bars, null, np.random.default_rng(3)) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert (first["close"] != bars["close"]).mean() > 0.8
    assert (first["start_ns"] == bars["start_ns"]).all()


def test_V5_nothing_traded_or_no_draws_is_refused() -> None:
    bars = walk_days(300, np.random.default_rng(1))
    with pytest.raises(DataError, match="nothing was traded"):
        path_null(bars, lambda _: {"x": Earned(0, 0.0)}, "flip", draws=5, rng=np.random.default_rng(1))
    with pytest.raises(DataError, match="at least one draw"):
        path_null(bars, follow, "flip", draws=0, rng=np.random.default_rng(1))
