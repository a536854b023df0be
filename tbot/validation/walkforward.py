"""V7: the best of the past in the days that followed. No trial is run here; all of them are done already.

Each trial was run once over all of the data. Every decision in it rests on its past alone, so the trips of some days
are what a run that went on through these days would have made; windows and folds are cut out of them afterwards. What
is chosen on training days is then looked at on test days that the choice did not see:

* rolling: the last `train` days choose for the next `test` days, and so on (Pardo, "The evaluation and optimization of
  trading strategies", 2008, chapter 11);
* anchored: the same with all days from the first on;
* cpcv: every choice of some of the groups of days as test, the rest as training (combinatorial purged cross-validation,
  López de Prado, "Advances in Financial Machine Learning", 2018, chapter 12).

Purge: a trip that is open at any time of the test days does not train, and one that was opened before them is not
tested. Embargo: so many days next to the test days do not train: those before in rolling and anchored windows (what is
chosen must be known before it is used), those behind in cpcv.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Literal

import numpy as np

from tbot.backtest.holdout import day_start_ns
from tbot.backtest.sweep import Outcome, Params
from tbot.errors import ConfigError, DataError
from tbot.storage import trials as ledger
from tbot.validation.bootstrap import Interval, drawdown_interval, expectancy_interval
from tbot.validation.overfitting import Overfitting, combinatorial_paths, combinatorial_splits
from tbot.validation.sharpe import SharpeJudgement, effective_trials, judge_sharpe, trials_deviation
from tbot.validation.summary import Summary, daily_net, summarise
from tbot.validation.sweeps import daily_table, days_of, distinct, metrics_of, pbo_of, trips_from
from tbot.validation.trips import Bools, Floats, Ints, Trips
from tbot.validation.verdict import Verdict

Scheme = Literal["rolling", "anchored", "cpcv"]
EPOCH_DAY = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Cut:
    """How the days are cut; counts are trading days of the data, groups are of cpcv."""

    scheme: Scheme = "rolling"
    train: int = 20
    test: int = 5
    groups: int = 6
    tested: int = 2
    purge: bool = True
    embargo: int = 0

    def __post_init__(self) -> None:
        if self.train < 2 or self.test < 1 or self.embargo < 0 or self.embargo > self.train - 2:
            raise ConfigError(
                f"train {self.train}, test {self.test} and embargo {self.embargo} days do not fit: at least two days "
                "must be left to train on, and one to test"
            )
        if not 2 <= self.groups <= 16 or not 1 <= self.tested < self.groups:
            raise ConfigError(
                f"{self.tested} of {self.groups} groups cannot be tested; there are 2 to 16, and some must train"
            )


@dataclass(frozen=True, eq=False)
class Fold:
    """Places of the days to choose on and to test on, ascending. `groups`: of cpcv, those that are tested."""

    train: Ints
    test: Ints
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Window:
    """One fold after the choice. Scores are of the metric; None without trades."""

    fold: Fold
    chosen: Outcome | None  # None: no trial traded on the training days
    in_sample: float | None
    out_of_sample: float | None
    trips: Trips  # of the chosen one on the test days


@dataclass(frozen=True, eq=False)
class WalkForward:
    """All windows, and what they come to one after the other (of cpcv: the path with the median result)."""

    cut: Cut
    metric: str
    days: Ints  # trading days of the data, days since 1970-01-01
    windows: list[Window]
    paths: Floats  # net result in cents of each path; one path of rolling and anchored
    tested_days: Ints
    trips: Trips
    daily: Floats  # cents, of tested_days
    summary: Summary
    expectancy_ticks: Interval | None
    expectancy_r: Interval | None
    drawdown_cents: Interval | None
    sharpe: SharpeJudgement | None
    pbo: Overfitting | None
    efficiency: float | None  # mean score out of sample over mean score in sample, where that is positive
    verdict: Verdict

    def changes(self) -> dict[str, int]:
        """How often each parameter changed from window to window."""
        chosen: list[Params] = [window.chosen.params for window in self.windows if window.chosen is not None]
        names = list(chosen[0]) if chosen else []
        return {name: sum(a[name] != b[name] for a, b in pairwise(chosen)) for name in names}

    @property
    def sentence(self) -> str:
        """What was found, in plain words."""
        told = self.expectancy_ticks
        if told is None:
            return "Nothing was traded out of sample, so nothing can be said."
        holds = told.low > 0 and (self.pbo is None or self.pbo.pbo < 0.5)
        what = "holds up out of sample" if holds else "does not hold up out of sample"
        pbo = "not known" if self.pbo is None else f"{self.pbo.pbo:.2f}"
        return (
            f"What was best in the past {what}: {told.estimate:+.2f} ticks a trade and contract on days that the "
            f"choice did not see ({100 * told.level:.0f} % from {told.low:+.2f} to {told.high:+.2f}), PBO {pbo}."
        )


# ------------------------------------------------------------------------------------------------ cutting
def folds(count: int, cut: Cut) -> list[Fold]:
    """Folds of `count` days. DataError when not even one fits."""
    if cut.scheme == "cpcv":
        return _combinations(count, cut)
    found = []
    for first in range(cut.train, count, cut.test):
        begin = 0 if cut.scheme == "anchored" else first - cut.train
        found.append(Fold(np.arange(begin, first - cut.embargo), np.arange(first, min(count, first + cut.test))))
    if not found:
        raise DataError(
            f"the data has {count} trading days, and {cut.train} of training leave none to test; take a shorter --train"
        )
    return found


def _combinations(count: int, cut: Cut) -> list[Fold]:
    if count < 2 * cut.groups:
        raise DataError(f"{count} trading days are too few for {cut.groups} groups; two days each are the least")
    place = np.arange(count)
    found = []
    for split in combinatorial_splits(place, place, cut.groups, cut.tested):
        behind = np.zeros(count, np.bool_)
        for day in split.test.tolist():
            behind[day + 1 : day + 1 + cut.embargo] = True
        found.append(Fold(split.train[~behind[split.train]], split.test, split.groups))
    return found


def _edges(days: Ints, places: Ints) -> list[tuple[int, int]]:
    """Stretches of UTC ns of days that follow each other in the data: first instant, and the one behind the last."""
    found: list[tuple[int, int]] = []
    for run in np.split(places, np.flatnonzero(np.diff(places) != 1) + 1):
        first, last = (EPOCH_DAY + timedelta(days=int(days[place])) for place in (run[0], run[-1]))
        found.append((day_start_ns(first), day_start_ns(last + timedelta(days=1))))
    return found


def _masks(trips: Trips, days: Ints, fold: Fold, purge: bool) -> tuple[Bools, Bools]:
    """Which trips train and which are tested; a trip belongs to the day of its end."""
    train, test = np.isin(trips.day, days[fold.train]), np.isin(trips.day, days[fold.test])
    if purge:
        inside = np.zeros(len(trips), np.bool_)
        for start, end in _edges(days, fold.test):
            train &= ~((trips.entry_ns < end) & (trips.exit_ns >= start))
            inside |= (trips.entry_ns >= start) & (trips.entry_ns < end)
        test &= inside
    return train, test


# ------------------------------------------------------------------------------------------------ judging
def walk_forward(
    outcomes: Sequence[Outcome],
    metric: str,
    cut: Cut,
    *,
    rivals: Sequence[ledger.Trial] = (),
    seed: int = 1,
    draws: int = 2000,
) -> WalkForward:
    """Choose by `metric` on the training days of each fold, and look at the test days. Equal seeds, equal judgement.

    Its own trials do not deflate the stitched result, since the choice among them was made before the days that judge
    it; `rivals`, trials of other runs over the same data, do.
    """
    apart = distinct(outcomes)
    if not apart:
        raise DataError("no trial is finished; run the trials first")
    days = days_of(apart)
    held = [trips_from(outcome.trips) for outcome in apart]
    windows = [_window(apart, held, days, fold, metric, cut.purge) for fold in folds(len(days), cut)]
    paths = _paths(windows, days, cut)
    net = np.array([float(path.net_cents.sum()) for path in paths])
    trips = paths[int(np.argsort(net, kind="stable")[(len(net) - 1) // 2])]
    tested = days[np.unique(np.concatenate([window.fold.test for window in windows]))]
    daily = daily_net(trips, tested)
    rng = np.random.default_rng(seed)
    some = len(trips) > 0
    known = trips.select(trips.known_risk)
    ticks = expectancy_interval(trips.net_ticks, trips.day, rng, draws=draws, trading_days=tested) if some else None
    record = np.column_stack([daily, daily_table([], tested, rivals)]) if rivals else daily[:, None]
    tried = max(1.0, effective_trials(record).cautious)
    sharpe = judge_sharpe(daily, tried, trials_deviation(record)) if some else None
    pbo = pbo_of(daily_table(apart, days))
    return WalkForward(
        cut=cut,
        metric=metric,
        days=days,
        windows=windows,
        paths=net,
        tested_days=tested,
        trips=trips,
        daily=daily,
        summary=summarise(trips, tested),
        expectancy_ticks=ticks,
        expectancy_r=expectancy_interval(known.net_r, known.day, rng, draws=draws, trading_days=tested)
        if len(known)
        else None,
        drawdown_cents=drawdown_interval(trips.net_cents, trips.day, rng, draws=draws) if some else None,
        sharpe=sharpe,
        pbo=pbo,
        efficiency=_efficiency(windows),
        verdict=Verdict(
            trades=len(trips),
            expectancy_ticks=ticks,
            deflated_sharpe=None if sharpe is None else sharpe.dsr,
            trials=tried,
            pbo=None if pbo is None else pbo.pbo,
            null_percentile=None,
            dies_at=None,
        ),
    )


def _window(
    apart: Sequence[Outcome], held: Sequence[Trips], days: Ints, fold: Fold, metric: str, purge: bool
) -> Window:
    best: int | None = None
    score = -math.inf
    for number, trips in enumerate(held):
        train, _ = _masks(trips, days, fold, purge)
        told = metrics_of(trips.select(train), days[fold.train])[metric]
        if told is not None and told > score:
            best, score = number, told
    if best is None:
        nothing = held[0].select(np.zeros(len(held[0]), np.bool_))
        return Window(fold, None, None, None, nothing)
    _, test = _masks(held[best], days, fold, purge)
    chosen = held[best].select(test)
    return Window(fold, apart[best], score, metrics_of(chosen, days[fold.test])[metric], chosen)


def _paths(windows: Sequence[Window], days: Ints, cut: Cut) -> list[Trips]:
    """Test results one after the other: one path, or of cpcv several, each over all groups."""
    if cut.scheme != "cpcv":
        return [_joined([window.trips for window in windows])]
    groups = np.array_split(np.arange(len(days)), cut.groups)
    paths = combinatorial_paths(cut.groups, cut.tested)
    return [
        _joined([
            windows[number].trips.select(np.isin(windows[number].trips.day, days[groups[group]]))
            for group, number in enumerate(path.tolist())
        ])
        for path in paths
    ]  # fmt: skip


def _joined(parts: Sequence[Trips]) -> Trips:
    names = Trips.__dataclass_fields__
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    order = np.lexsort((columns["exit_ns"], columns["day"]))
    return Trips(**{name: column[order] for name, column in columns.items()})


def _efficiency(windows: Sequence[Window]) -> float | None:
    pairs = [
        (window.in_sample, window.out_of_sample)
        for window in windows
        if window.in_sample is not None and window.out_of_sample is not None
    ]
    if not pairs:
        return None
    inside, outside = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    return outside / inside if inside > 0 else None
