"""V7: windows, purge and embargo on hand-made trials; what is planted is found, and noise is called noise."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pytest

import toy_trials
from tbot.backtest.holdout import day_start_ns
from tbot.backtest.sweep import Outcome
from tbot.errors import ConfigError, DataError
from tbot.validation.sweeps import columns_of, metrics_of
from tbot.validation.trips import Trips
from tbot.validation.walkforward import EPOCH_DAY, Cut, WalkForward, folds, walk_forward

FIRST = 20_000  # 2024-10-04
HOUR = 3600 * 10**9


def start_ns(day: int) -> int:
    return day_start_ns(EPOCH_DAY + timedelta(days=day))


def trial(number: int, net: Sequence[int], *, opened_h: float = 1.0, long_trip: int | None = None) -> Outcome:
    """One trip a day that opens an hour into its day and lasts one; that of day `long_trip` was opened a day before."""
    day = np.arange(FIRST, FIRST + len(net), dtype=np.int64)
    entry = np.array([start_ns(int(one)) for one in day], np.int64) + int(opened_h * HOUR)
    leave = entry + HOUR
    if long_trip is not None:
        entry[long_trip] -= 24 * HOUR
    cents, ones = np.array(net, np.int64), np.ones(len(net), np.int64)
    contract = np.full(len(net), "MNQ")
    trips = Trips(cents, cents, entry, leave, day, 100 * ones, ones, ones, 50 * ones, contract, 0 * ones)
    daily = dict(zip(day.tolist(), list(net), strict=True))
    params = {"strategy.min_score": number, "risk.trail_percent": 0}
    return Outcome(number, params, 0, f"plan{number}", metrics_of(trips, day), daily, columns_of(trips))


def spans(count: int, cut: Cut) -> list[tuple[list[int], list[int]]]:
    return [(fold.train.tolist(), fold.test.tolist()) for fold in folds(count, cut)]


# ------------------------------------------------------------------------------------------------ windows
def test_V7_rolling_windows_move_and_the_last_one_may_be_short() -> None:
    assert spans(9, Cut("rolling", train=4, test=2)) == [
        ([0, 1, 2, 3], [4, 5]),
        ([2, 3, 4, 5], [6, 7]),
        ([4, 5, 6, 7], [8]),
    ]


def test_V7_anchored_windows_grow_and_the_embargo_lies_before_the_test() -> None:
    assert spans(8, Cut("anchored", train=4, test=2, embargo=1)) == [
        ([0, 1, 2], [4, 5]),
        ([0, 1, 2, 3, 4], [6, 7]),
    ]


def test_V7_combinations_test_every_pair_of_groups_with_the_embargo_behind() -> None:
    found = spans(12, Cut("cpcv", groups=4, tested=2, embargo=1))
    assert len(found) == 6
    assert found[0] == ([7, 8, 9, 10, 11], [0, 1, 2, 3, 4, 5])
    assert found[1] == ([4, 5, 10, 11], [0, 1, 2, 6, 7, 8])
    for train, test in found:
        assert not set(train) & set(test)


@pytest.mark.parametrize(
    "wrong", [{"train": 1}, {"test": 0}, {"embargo": 19}, {"groups": 1}, {"groups": 4, "tested": 4}, {"tested": 0}]
)
def test_V7_what_does_not_fit_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        Cut("rolling", **{"train": 20, **wrong})


def test_V7_too_few_days_are_told() -> None:
    for cut in (Cut("rolling", train=20), Cut("cpcv", groups=11, tested=2)):
        with pytest.raises(DataError, match="trading days"):
            folds(20, cut)


# ------------------------------------------------------------------------------------------------ choosing
def test_V7_the_choice_follows_the_training_days_alone() -> None:
    """One trial earns in the first half, the other one in the second; each window takes the winner of its past."""
    early = trial(0, [100, 110] * 3 + [-50, -60] * 3)
    late = trial(1, [-50, -60] * 3 + [100, 110] * 3)
    found = walk_forward([early, late], "net_cents", Cut("rolling", train=4, test=2), draws=50)
    chosen = [window.chosen.number for window in found.windows if window.chosen]
    assert chosen == [0, 0, 0, 1]  # in the third both earned 100, and the earlier trial wins
    assert [window.out_of_sample for window in found.windows] == [210.0, -110.0, -110.0, 210.0]
    assert found.summary.net_cents == 200
    assert found.daily.tolist() == [100, 110, -50, -60, -50, -60, 100, 110]
    assert found.changes() == {"strategy.min_score": 1, "risk.trail_percent": 0}


def test_V7_the_stitched_days_are_tested_once_each() -> None:
    found = walk_forward([trial(0, [10, 20] * 8), trial(1, [0, 5] * 8)], "net_cents", Cut("anchored", train=4, test=3))
    assert found.tested_days.tolist() == list(range(FIRST + 4, FIRST + 16))
    assert found.summary.n == 12
    assert found.efficiency is not None
    assert found.efficiency > 0


def test_V7_purge_a_trip_on_both_sides_counts_on_neither() -> None:
    """The trip of the first test day was opened on the last training day."""
    net = [10, 20, 10, 20, 1000, 20]
    clean, dirty = (
        walk_forward([trial(0, net, long_trip=4)], "net_cents", Cut(train=4, test=2, purge=purge), draws=50)
        for purge in (True, False)
    )
    assert clean.summary.net_cents == 20
    assert dirty.summary.net_cents == 1020


def test_V7_purge_a_training_trip_that_lives_in_the_test_days_does_not_choose() -> None:
    """Of cpcv: days behind the tested ones train, but not with a trip that was opened in them."""
    net = [1, 2, 1, 2, 1000, 2, 1, 2]
    tricked, plain = trial(0, net, long_trip=4), trial(1, [3] * 8)
    for purge, number in ((True, 1), (False, 0)):
        found = walk_forward([tricked, plain], "net_cents", Cut("cpcv", groups=4, tested=1, purge=purge), draws=50)
        window = next(window for window in found.windows if window.fold.groups == (1,))
        assert window.chosen is not None
        assert window.chosen.number == number


def test_V7_a_window_in_which_nobody_traded_has_no_choice() -> None:
    silent = Outcome(0, {"a.b": 1}, 0, "plan", {}, {FIRST + n: 0 for n in range(8)}, {})
    found = walk_forward([silent], "sharpe", Cut("rolling", train=4, test=2))
    assert [window.chosen for window in found.windows] == [None, None]
    assert found.summary.n == 0
    assert "nothing can be said" in found.sentence
    assert "no trades" in found.verdict.line


def test_V7_paths_of_cpcv_hold_every_day_once() -> None:
    outcomes = toy_trials.noise_outcomes(5, 24, 3)
    found = walk_forward(outcomes, "net_cents", Cut("cpcv", groups=6, tested=2), draws=50)
    assert len(found.windows) == 15
    assert len(found.paths) == 5
    assert found.summary.n == 24
    assert found.summary.net_cents in found.paths


# ------------------------------------------------------------------------------------------------ planted and noise
def sure(found: WalkForward) -> bool:
    return "holds up out of sample" in found.sentence


@pytest.mark.parametrize("scheme", ["rolling", "anchored", "cpcv"])
def test_V7_planted_skill_holds_up_and_noise_does_not(scheme: str) -> None:
    cut = Cut(scheme, train=40, test=10)  # type: ignore[arg-type]
    skilled = walk_forward(toy_trials.noise_outcomes(6, 160, 4, skill=0.6), "sharpe", cut, draws=100)
    assert sure(skilled)
    assert all(window.chosen and window.chosen.number == 0 for window in skilled.windows)
    noise = [walk_forward(toy_trials.noise_outcomes(6, 160, seed), "sharpe", cut, draws=100) for seed in range(4)]
    assert sum(map(sure, noise)) == 0
    assert all(one.verdict.finding != "evidence of an edge" for one in noise)


def test_equal_seeds_equal_judgements() -> None:
    outcomes = toy_trials.noise_outcomes(4, 40, 1)
    one, other = (walk_forward(outcomes, "sharpe", Cut(train=10), seed=7, draws=50) for _ in range(2))
    assert one.verdict == other.verdict
    assert np.array_equal(one.daily, other.daily)
    assert date(2024, 10, 4) == EPOCH_DAY + timedelta(days=FIRST)
