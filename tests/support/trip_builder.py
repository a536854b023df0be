"""Round trips for tests of statistics: a few written by hand, or many at random with a planted edge."""

import numpy as np

from tbot.validation.trips import Trips

MINUTE_NS = 60_000_000_000
DAY_NS = 1440 * MINUTE_NS
FIRST_DAY = 20_000  # 2024-10-04


def make_trips(
    net: list[int] | np.ndarray,
    day: list[int] | np.ndarray | None = None,
    *,
    costs: int = 0,
    risk: int = 0,
    size: int = 1,
    tick_value: int = 50,
    minutes: int = 5,
    worst: list[int] | None = None,
) -> Trips:
    """Trips with these net results, ten minutes apart within their days (numbers from 0); None: one a day."""
    n = len(net)
    days = np.arange(n) if day is None else np.asarray(day, np.int64)
    within = np.arange(n) - np.searchsorted(days, days)
    entry = (FIRST_DAY + days) * DAY_NS + (600 + 10 * within) * MINUTE_NS
    column = np.asarray(net, np.int64)
    return Trips(
        net_cents=column,
        gross_cents=column + costs,
        entry_ns=entry.astype(np.int64),
        exit_ns=(entry + minutes * MINUTE_NS).astype(np.int64),
        day=(FIRST_DAY + days).astype(np.int64),
        risk_cents=np.full(n, risk, np.int64),
        side=np.ones(n, np.int64),
        size=np.full(n, size, np.int64),
        tick_value_cents=np.full(n, tick_value, np.int64),
        contract=np.full(n, "MNQ"),
        worst_cents=np.zeros(n, np.int64) if worst is None else np.asarray(worst, np.int64),
    )


def clustered(rng: np.random.Generator, days: int, a_day: int, *, mean: float = 0.0, common: float = 1.0):
    """(values, day): trips of one day share a common part, so that they are not independent; all with mean `mean`."""
    day = np.repeat(np.arange(days), a_day)
    return mean + common * rng.standard_normal(days)[day] + rng.standard_normal(days * a_day), day
