"""V5: the price-path nulls give valid bars at the same times, keep what they promise, and lose the rest."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.errors import DataError
from tbot.validation.multiple import monte_carlo_p
from tbot.validation.paths import (
    MINUTES_A_DAY,
    NS_PER_MIN,
    Bars,
    bootstrap_bars,
    breaks,
    checked,
    flip_bars,
    permute_bars,
    random_walk_bars,
)

NULLS = [bootstrap_bars, permute_bars, flip_bars]


class _Tails(np.random.Generator):
    """A coin that always falls on its back."""

    def integers(self, *_: object, size: object = None, **__: object) -> np.ndarray:  # type: ignore[override]
        return np.zeros(40, np.int64)


TAILS = _Tails(np.random.PCG64(1))


def walk(seed: int, n: int = 600, **more: float) -> Bars:
    """A walk with gaps between its bars, and breaks between its days."""
    rng = np.random.default_rng(seed)
    bars = random_walk_bars(n, rng, bars_a_day=100, **more)  # type: ignore[arg-type]
    shift = np.cumsum(np.where(breaks(bars), rng.integers(-90, 90, n), rng.integers(-2, 3, n)))
    for name in ("open", "high", "low", "close"):
        bars[name] += shift
    bars["delta"] = rng.integers(-100, 100, n)
    return checked(bars)


@pytest.mark.parametrize("unit", ["ticks", "log"])
@pytest.mark.parametrize("null", NULLS)
@given(st.integers(0, 10_000))
def test_V5_every_path_has_valid_bars_at_the_same_times(null: Callable[..., Bars], unit: str, seed: int) -> None:
    bars = walk(seed, 250)
    told = checked(null(bars, np.random.default_rng(seed), unit=unit))
    for name in ("start_ns", "flags", "timeframe_min"):
        assert (told[name] == bars[name]).all()
    assert told["open"][0] == bars["open"][0]
    assert not (told["close"] == bars["close"]).all()
    again = null(bars, np.random.default_rng(seed), unit=unit)
    assert (told == again).all(), "equal seeds give equal paths"


def inner(bars: Bars) -> list[tuple[int, int, int, int]]:
    """Shape and volume of each bar."""
    return [tuple(row) for row in np.column_stack(
        [bars["high"] - bars["open"], bars["low"] - bars["open"], bars["close"] - bars["open"], bars["volume"]]
    ).tolist()]  # fmt: skip


def gaps(bars: Bars) -> np.ndarray:
    return np.asarray(bars["open"][1:] - bars["close"][:-1])


def test_V5_permutation_keeps_the_shape_of_the_day_and_the_total_move() -> None:
    bars = walk(1)
    told = permute_bars(bars, np.random.default_rng(1))
    for minute in range(100):
        assert sorted(inner(told)[minute::100]) == sorted(inner(bars)[minute::100])
    assert told["close"][-1] == bars["close"][-1]
    after_break = breaks(bars)[1:]
    for kind in (False, True):
        assert sorted(gaps(told)[after_break == kind]) == sorted(gaps(bars)[after_break == kind])
    moved = np.mean([a != b for a, b in zip(inner(told), inner(bars), strict=True)])
    assert moved > 0.6


def test_V5_permutation_by_slots_of_the_caller() -> None:
    bars = walk(2, 300)
    alone = permute_bars(bars, np.random.default_rng(1), slot=np.arange(300))
    assert (alone == bars).all(), "each bar is alone in its slot"
    with pytest.raises(DataError):
        permute_bars(bars, np.random.default_rng(1), slot=np.arange(299))


def test_V5_permutation_in_logarithms_keeps_the_total_move() -> None:
    bars = walk(3)
    told = permute_bars(bars, np.random.default_rng(5), unit="log")
    assert abs(int(told["close"][-1] - bars["close"][-1])) <= 1


def test_V5_flips_keep_the_size_of_every_move_in_its_place() -> None:
    bars = walk(4)
    told = flip_bars(bars, np.random.default_rng(4))
    body, new = bars["close"] - bars["open"], told["close"] - told["open"]
    assert (abs(new) == abs(body)).all()
    assert (told["high"] - told["low"] == bars["high"] - bars["low"]).all()
    assert (abs(gaps(told)) == abs(gaps(bars))).all()
    turned = new == -body
    assert 0.4 < turned[body != 0].mean() < 0.6
    assert (told["delta"] == np.where(turned & (body != 0), -bars["delta"], told["delta"])).all()
    assert (abs(told["delta"]) == abs(bars["delta"])).all()


def test_V5_flips_may_hold_for_runs() -> None:
    bars = walk(5, 5000)
    told = flip_bars(bars, np.random.default_rng(5), mean_run=20)
    body, new = bars["close"] - bars["open"], told["close"] - told["open"]
    sign = np.sign(body * new)[body != 0]
    assert (np.diff(sign) != 0).mean() == pytest.approx(1 / 40, abs=0.01)  # every second coin falls as the last


def test_V5_bootstrap_joins_real_bars_and_keeps_blocks() -> None:
    bars = walk(6, 3000)
    told = bootstrap_bars(bars, np.random.default_rng(6), mean_block=25)
    known = {shape: place for place, shape in enumerate(inner(bars))}
    place = np.array([known[shape] for shape in inner(told)])
    assert (np.diff(place) == 1).mean() == pytest.approx(1 - 1 / 25, abs=0.015)
    after_break = breaks(bars)[1:]
    assert set(gaps(told)[~after_break]) <= set(gaps(bars)[~after_break])
    assert set(gaps(told)[after_break]) <= set(gaps(bars)[after_break]), "breaks keep gaps of breaks"


def run_score(bars: Bars) -> float:
    """How much a bar goes on as the one before: products of neighbouring moves, scaled."""
    move = (bars["close"] - bars["open"]).astype(float)
    return float((move[1:] * move[:-1]).mean() / (move**2).mean())


@pytest.mark.parametrize("null", [permute_bars, flip_bars])
def test_V5_a_random_walk_is_rejected_at_the_nominal_rate(null: Callable[..., Bars]) -> None:
    rejected = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        bars = random_walk_bars(300, rng, bars_a_day=30)
        draws = np.array([run_score(null(bars, rng)) for _ in range(39)])
        rejected += monte_carlo_p(run_score(bars), draws) <= 0.1
    assert rejected / 120 == pytest.approx(0.1, abs=0.085)


@pytest.mark.parametrize("null", [permute_bars, flip_bars])
def test_V5_planted_runs_are_found(null: Callable[..., Bars]) -> None:
    rng = np.random.default_rng(9)
    bars = random_walk_bars(900, rng, bars_a_day=90)
    move = (bars["close"] - bars["open"]).astype(float)
    move[1:] += 0.4 * move[:-1]
    close = 80_000 + np.cumsum(np.rint(move)).astype(int)
    bars["close"], bars["open"] = close, np.concatenate([[80_000], close[:-1]])
    bars["high"], bars["low"] = np.maximum(bars["open"], close), np.minimum(bars["open"], close)
    draws = np.array([run_score(null(bars, rng)) for _ in range(99)])
    assert monte_carlo_p(run_score(bars), draws) == 0.01


def test_V5_random_walk_has_the_moves_asked_for() -> None:
    bars = random_walk_bars(20_000, np.random.default_rng(1), move_ticks=30, drift_ticks=2, bars_a_day=1000)
    move = bars["close"] - bars["open"]
    assert (move.mean(), move.std()) == (pytest.approx(2, abs=0.8), pytest.approx(30, rel=0.03))
    assert (bars["high"] > np.maximum(bars["open"], bars["close"])).mean() > 0.5
    assert breaks(bars).sum() == 19
    assert set(bars["timeframe_min"]) == {1}
    assert (np.diff(bars["start_ns"]) >= NS_PER_MIN).all()
    assert MINUTES_A_DAY * NS_PER_MIN == 86_400_000_000_000


def test_V5_no_bars_and_damaged_bars() -> None:
    rng = np.random.default_rng(1)
    none = random_walk_bars(0, rng)
    for null in NULLS:
        assert len(null(none, rng)) == 0
        assert len(null(random_walk_bars(1, rng), rng)) == 1
    bars = walk(1, 50)
    for name, place, value in (("high", 3, 1), ("low", 3, 10**9), ("low", 0, 0), ("start_ns", 7, 0)):
        bad = bars.copy()
        bad[name][place] = value
        for null in NULLS:
            with pytest.raises(DataError):
                null(bad, rng)


def test_V5_ticks_that_would_fall_below_one_are_refused_and_logarithms_are_not() -> None:
    bars = random_walk_bars(400, np.random.default_rng(3), open_ticks=200_000, move_ticks=10.0, drift_ticks=-480.0)
    assert bars["close"][-1] > 0
    rising = bars[::-1].copy()
    rising["start_ns"] = bars["start_ns"]
    rising["open"], rising["close"] = bars["close"][::-1], bars["open"][::-1]
    with pytest.raises(DataError, match="logarithms"):
        flip_bars(rising[:40], TAILS, mean_run=1e9)
    checked(flip_bars(rising[:40], TAILS, mean_run=1e9, unit="log"))
    with pytest.raises(DataError):
        flip_bars(rising, TAILS, mean_run=0.5)
