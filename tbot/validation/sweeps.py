"""V6, V7, V8 of a sweep: what the best of many trials is worth.

The best is told from luck only when nothing that was looked at speaks against it: a deflated Sharpe ratio of 95 % or
more, a probability of backtest overfitting below a half, and no needle on the parameter surface.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tbot.backtest.sweep import Axis, Outcome, ranked
from tbot.errors import DataError
from tbot.storage import trials as ledger
from tbot.validation.assess import FEWEST_FOR_PBO
from tbot.validation.bootstrap import Interval, expectancy_interval
from tbot.validation.overfitting import Overfitting, overfitting
from tbot.validation.sharpe import EffectiveTrials, SharpeJudgement, effective_trials, judge_sharpe, trials_deviation
from tbot.validation.summary import summarise
from tbot.validation.surface import Surface, surface
from tbot.validation.trips import Floats, Ints, Trips
from tbot.validation.verdict import SURE, Verdict

METRICS = ("expectancy_r", "expectancy_ticks", "expectancy_cents", "net_cents", "sharpe", "sortino", "profit_factor",
           "win_rate")  # fmt: skip
DIES_AT = "dies_at"  # metric of an outcome: multiple of its costs at which it loses
HOLED = "through_holes"  # metric of an outcome: trades that were open while data is missing
ANY_COSTS = 1e6  # stands for "none", since JSON has no infinity


@dataclass(frozen=True)
class SweepJudgement:
    """The trials of a sweep, judged together. None where there is too little to tell."""

    best: Outcome
    order: list[Outcome]  # best first
    trials: EffectiveTrials  # of the sweep and of other trials on record over the same data
    rivals: int
    sharpe: SharpeJudgement | None
    pbo: Overfitting | None
    surface: Surface | None
    expectancy_r: Interval | None
    verdict: Verdict
    luck: str  # one sentence
    distinguishable: bool


def metrics_of(trips: Trips, days: Ints) -> dict[str, float | None]:
    """All numbers by which trials can be ranked (METRICS), and the number of trips."""
    told = summarise(trips, days)
    return {name: _number(getattr(told, name)) for name in METRICS} | {
        "trips": float(told.n),
        "drawdown_cents": float(told.drawdown.depth_cents),
    }


def _number(value: float | int | None) -> float | None:
    return None if value is None else float(value)


def columns_of(trips: Trips) -> dict[str, list[Any]]:
    """Trips as plain lists, for a line of JSON."""
    return {column.name: getattr(trips, column.name).tolist() for column in fields(Trips)}


def trips_from(columns: Mapping[str, list[Any]]) -> Trips:
    """The same back; an outcome without trips has none."""
    kinds: dict[str, Any] = {column.name: np.int64 for column in fields(Trips)} | {"contract": np.str_}
    arrays: dict[str, Any] = {name: np.array(columns.get(name, []), kind) for name, kind in kinds.items()}
    return Trips(**arrays)


def daily_table(outcomes: Sequence[Outcome], days: Ints, rivals: Sequence[ledger.Trial] = ()) -> Floats:
    """Daily results in cents: days x trials, the outcomes first."""
    told = [outcome.daily_cents for outcome in outcomes] + [trial.daily_cents for trial in rivals]
    return np.array([[one.get(day, 0) for day in days.tolist()] for one in told], np.float64).reshape(len(told), -1).T


def days_of(outcomes: Sequence[Outcome]) -> Ints:
    """All trading days of the data."""
    return np.array(sorted({day for outcome in outcomes for day in outcome.daily_cents}), np.int64)


def distinct(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """One of each plan: the same values tried again are no further trial."""
    return list({outcome.plan_hash: outcome for outcome in reversed(outcomes)}.values())[::-1]


def pbo_of(daily: Floats) -> Overfitting | None:
    """CSCV over trials that differ from day to day; None while there are too few of them, or of days."""
    varied = daily[:, np.ptp(daily, axis=0) > 0] if len(daily) else daily
    if varied.ndim != 2 or varied.shape[1] < FEWEST_FOR_PBO[0] or len(varied) < FEWEST_FOR_PBO[1]:
        return None
    return overfitting(varied)


def positions(axes: Sequence[Axis], outcomes: Sequence[Outcome]) -> Floats:
    """Trials x parameters as numbers: the value itself, a word by its place on the axis."""
    columns = []
    for axis in axes:
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in axis.values)
        place = {repr(value): float(value) if numeric else float(n) for n, value in enumerate(axis.values)}
        columns.append([place[repr(outcome.params[axis.name])] for outcome in outcomes])
    return np.array(columns, np.float64).reshape(len(axes), -1).T


def judge_sweep(
    axes: Sequence[Axis],
    outcomes: Sequence[Outcome],
    metric: str,
    *,
    rivals: Sequence[ledger.Trial] = (),
    seed: int = 1,
    draws: int = 2000,
) -> SweepJudgement:
    """Judge finished trials. DataError without any. Equal seeds give equal judgements."""
    if not outcomes:
        raise DataError("no trial is finished; run the sweep first")
    apart = distinct(outcomes)
    order = ranked(apart, metric)
    best = order[0]
    days = days_of(apart)
    own = daily_table(apart, days)
    tried = daily_table(apart, days, rivals)
    counted = effective_trials(tried)
    trips = trips_from(best.trips)
    rng = np.random.default_rng(seed)
    some = len(trips) > 0
    sharpe = None
    if some:
        chosen = own[:, apart.index(best)]
        sharpe = judge_sharpe(chosen, max(1.0, counted.cautious), trials_deviation(tried))
    pbo = pbo_of(own)
    scores = np.array([outcome.score(metric) for outcome in apart])
    scores[np.isneginf(scores)] = math.nan
    shape = surface(positions(axes, apart), scores) if not np.isnan(scores).all() else None
    ticks = expectancy_interval(trips.net_ticks, trips.day, rng, draws=draws, trading_days=days) if some else None
    cents = expectancy_interval(trips.net_cents, trips.day, rng, draws=draws, trading_days=days) if some else None
    known = trips.select(trips.known_risk)
    r = expectancy_interval(known.net_r, known.day, rng, draws=draws, trading_days=days) if len(known) else None
    verdict = Verdict(
        trades=len(trips),
        expectancy_ticks=ticks,
        expectancy_cents=cents,
        deflated_sharpe=None if sharpe is None else sharpe.dsr,
        trials=max(1.0, counted.cautious),
        pbo=None if pbo is None else pbo.pbo,
        null_percentile=None,
        dies_at=_dies_at(best),
    )
    against = _against(best, sharpe, pbo, shape)
    luck = _sentence(len(apart), counted, sharpe, against)
    return SweepJudgement(
        best, order, counted, len(rivals), sharpe, pbo, shape, r, verdict, luck, distinguishable=not against
    )


def _dies_at(outcome: Outcome) -> float | None:
    told = outcome.metrics.get(DIES_AT)
    return math.inf if told is not None and told >= ANY_COSTS else told


def _against(
    best: Outcome, sharpe: SharpeJudgement | None, pbo: Overfitting | None, shape: Surface | None
) -> list[str]:
    """What speaks against the best, in words."""
    found = []
    if (best.metrics.get("net_cents") or 0.0) <= 0:
        return ["it earned nothing"]
    if sharpe is None:
        found.append("its daily results are too few for a Sharpe ratio")
    elif sharpe.dsr < SURE:
        found.append(f"its deflated Sharpe ratio is {sharpe.dsr:.2f}, below {SURE}")
    if pbo is None:
        least = f"at least {FEWEST_FOR_PBO[0]} and {FEWEST_FOR_PBO[1]}"
        found.append(f"too few trials or days ({least}) to tell overfitting")
    elif pbo.pbo >= 0.5:
        found.append(f"the best of the past was no better than the median afterwards in {pbo.pbo:.0%} of the splits")
    if shape is not None and shape.shape == "needle":
        found.append(f"it stands on a needle: {shape.share or 0.0:.0%} of its neighbours keep half of it")
    return found


def _sentence(trials: int, counted: EffectiveTrials, sharpe: SharpeJudgement | None, against: list[str]) -> str:
    many = f"{trials} trials ({counted.cautious:.1f} effective ones on record over this data)"
    if against:
        return f"The best of {many} is not distinguishable from luck: {'; '.join(against)}."
    assert sharpe is not None
    return (
        f"The best of {many} is distinguishable from luck on this data: its daily Sharpe ratio of "
        f"{sharpe.moments.sharpe:.2f} is above the {sharpe.expected_max:.2f} that luck alone would give the best "
        f"(deflated {sharpe.dsr:.2f})."
    )
