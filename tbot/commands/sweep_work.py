"""What a worker does for one trial of a sweep: a backtest, and the numbers of its first account."""

from datetime import date

import numpy as np

from tbot.backtest.run import run_backtest
from tbot.backtest.source import Source
from tbot.backtest.sweep import Outcome
from tbot.backtest.sweep_run import Task
from tbot.domain.contracts import PRODUCTS
from tbot.validation.assess import cost_parts
from tbot.validation.costs import cost_curve
from tbot.validation.summary import daily_net
from tbot.validation.sweeps import ANY_COSTS, DIES_AT, HOLED, columns_of, metrics_of
from tbot.validation.trips import trips_of

EPOCH_DAY = date(1970, 1, 1)


def backtest_trial(source: Source, task: Task) -> Outcome:
    """Run one trial. Several accounts take the same signals, so the first one is judged (as validation.assess does)."""
    result = run_backtest(source, task.plan)
    rows = result.trips[result.trips["account"] == result.accounts[0]]
    rows = rows[np.argsort(rows["closed_ns"], kind="stable")]
    trips = trips_of(rows, {name: PRODUCTS[name].tick_value_cents for name in np.unique(rows["contract"]).tolist()})
    days = np.unique(np.concatenate([[(day - EPOCH_DAY).days for day in result.days], trips.day]).astype(np.int64))
    metrics = metrics_of(trips, days)
    dies_at = cost_curve(trips.net_cents, cost_parts(rows, trips)).dies_at if len(trips) else None
    metrics[DIES_AT] = None if dies_at is None else min(ANY_COSTS, float(dies_at))
    metrics[HOLED] = float(len(result.through_holes))
    return Outcome(
        number=task.trial.number,
        params=task.trial.params,
        seed=task.trial.seed,
        plan_hash=result.plan_hash,
        metrics=metrics,
        daily_cents=dict(zip(days.tolist(), daily_net(trips, days).astype(np.int64).tolist(), strict=True)),
        trips=columns_of(trips),
    )
