"""V12: where a result comes from: trips by hour, weekday, volatility, trend, news, age of the zone and number of tests.

Many groups are looked at, so some look good by chance. Every group has an interval by resampled trading days (V9) and a
p-value; the p-values of all groups together are adjusted (V5). The rule of Benjamini and Yekutieli is the default: the
groups share their trips, and nobody knows how their tests depend on each other.

The p-value is that of a bootstrap test (Efron, Tibshirani 1993, chapter 16; Hall, Wilson, Biometrics 47, 1991): the
resampled differences from the estimate, each over its own standard error, against the estimate over its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from tbot.errors import DataError
from tbot.validation.bootstrap import (
    DRAWS,
    LEVEL,
    Interval,
    day_sums,
    mean_block_length,
    percentile_interval,
    stationary_indices,
    unknown,
)
from tbot.validation.multiple import Rule, adjusted
from tbot.validation.trips import Bools, Floats, Ints, Names

NS_PER_S = 1_000_000_000
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FEWEST_DAYS = 5  # with trips of the group: fewer make no test
_MONDAY = 3  # 1970-01-01 was a Thursday


@dataclass(frozen=True, slots=True)
class Group:
    """One group of trips. Expectancy in the unit of the values."""

    dimension: str
    label: str
    n: int
    days: int  # with a trip of the group
    expectancy: Interval
    p_value: float | None  # None: too few days for a test
    adjusted_p: float | None
    stands_out: bool  # a discovery at rate q


@dataclass(frozen=True, slots=True)
class Regimes:
    """All groups of all dimensions, in the order given."""

    groups: tuple[Group, ...]
    against: str
    q: float
    rule: str

    @property
    def standing_out(self) -> tuple[Group, ...]:
        return tuple(group for group in self.groups if group.stands_out)


def by_regime(
    values: Floats | Ints,
    day: Ints,
    dimensions: Mapping[str, Names],
    rng: np.random.Generator,
    *,
    against: Literal["zero", "rest"] = "zero",
    q: float = 0.05,
    rule: Rule = "by",
    draws: int = DRAWS,
    level: float = LEVEL,
    mean_block: float | None = None,
) -> Regimes:
    """Groups of `values` (one a trip) by the labels of each dimension; "" is in no group.

    `against` "zero" asks whether a group wins or loses at all, "rest" whether it differs from the other labelled trips
    of its dimension (one strong group makes all others of its dimension differ from their rest). Groups stand in the
    order in which numpy sorts their labels. DataError when a dimension has not one label for each trip.
    """
    for name, labels in dimensions.items():
        if len(labels) != len(values):
            raise DataError(f"{name} has {len(labels)} labels for {len(values)} trips; give one for each")
    days = np.unique(day)
    sums = day_sums(values, day).sums
    block = (mean_block_length(sums) if len(sums) else 1.0) if mean_block is None else mean_block
    drawn = stationary_indices(len(days), block, draws, rng) if len(days) else np.zeros((draws, 0), np.int64)
    # How often each resample holds each day: what every group needs of it. The first row is the run itself.
    weight = np.array([np.ones(len(days)), *(np.bincount(row, minlength=len(days)) for row in drawn)], np.float64)
    found = []
    for name, labels in dimensions.items():
        for label in np.unique(labels[labels != ""]).tolist():
            mine = labels == label
            rest = (labels != "") & ~mine if against == "rest" else None
            found.append((name, label, mine, *_judge(values, day, mine, rest, weight, level)))
    tested = np.array([p for *_, p in found if p is not None])
    corrected = iter(adjusted(tested, rule).tolist())
    groups = []
    for name, label, mine, interval, p in found:
        q_value = next(corrected) if p is not None else None
        groups.append(Group(
            name, label, int(mine.sum()), len(np.unique(day[mine])), interval, p, q_value,
            q_value is not None and q_value <= q,
        ))  # fmt: skip
    return Regimes(tuple(groups), against, q, rule)


def _judge(
    values: Floats | Ints, day: Ints, mine: Bools, rest: Bools | None, weight: Floats, level: float
) -> tuple[Interval, float | None]:
    """Interval of the group's mean, and p-value of the group (against the rest where there is one)."""
    estimate = float(np.mean(values[mine]))
    means, parts = _means(values, day, mine, weight)
    few = len(np.unique(day[mine])) < FEWEST_DAYS
    interval = unknown(estimate, level) if few else _interval(means, level)
    if rest is not None:
        few = few or len(np.unique(day[rest])) < FEWEST_DAYS
        others, other_parts = _means(values, day, rest, weight)
        # Group and rest share days, so their parts are subtracted day by day before they are squared.
        means, parts = means - others, parts - other_parts
    if few:
        return interval, None
    errors = np.sqrt((weight * parts**2).sum(axis=1))
    if errors[0] <= 1e-9 * abs(means[0]):
        return interval, None  # without any spread nothing can be tested
    usable = np.isfinite(means[1:]) & (errors[1:] > 0)
    null = np.abs(means[1:][usable] - means[0]) / errors[1:][usable]
    return interval, (int((null >= abs(means[0]) / errors[0]).sum()) + 1) / (len(null) + 1)


def _interval(means: Floats, level: float) -> Interval:
    drawn = means[1:]
    return percentile_interval(float(means[0]), drawn[np.isfinite(drawn)], level)


def _means(values: Floats | Ints, day: Ints, mask: Bools, weight: Floats) -> tuple[Floats, Floats]:
    """Mean of the masked values in each row of weights, nan where it holds none of them; and each day's part in it.

    A mean is a ratio of sums by day, s / c; linearised, a day adds (s - mean c) / (all c), so that the sum of the
    squares of these parts is the variance of the mean.
    """
    days = np.unique(day)
    where = np.searchsorted(days, day[mask])
    sums = np.bincount(where, values[mask], len(days))
    counts = np.bincount(where, None, len(days)).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = weight @ counts
        mean = weight @ sums / total
        return np.asarray(mean), np.asarray((sums - mean[:, None] * counts) / total[:, None])


# ------------------------------------------------------------------------------------------------ labels
def hours(at_ns: Ints, zone: str = "America/Chicago") -> Names:
    """Hour of the local day, "00" to "23". The zone's changes of the clock count."""
    of_day = [datetime.fromtimestamp(at // NS_PER_S, ZoneInfo(zone)).hour for at in at_ns.tolist()]
    return np.array([f"{hour:02d}" for hour in of_day], np.str_)


def weekdays(day: Ints) -> Names:
    """Weekday of trading days (days since 1970-01-01)."""
    return np.array(WEEKDAYS)[(day + _MONDAY) % 7]


def terciles(values: Floats | Ints, names: Sequence[str] = ("low", "middle", "high")) -> Names:
    """Thirds by value, equal values together; nan has no label. For volatility, say: at entry, known before it."""
    known = np.isfinite(values)
    edges = np.quantile(np.asarray(values)[known], [1 / 3, 2 / 3]) if known.any() else np.zeros(2)
    return np.where(known, np.array(names)[np.searchsorted(edges, values, side="left")], "")


def bands(values: Floats | Ints, edges: Sequence[float]) -> Names:
    """Labels "<1", "1..3", ">=3" for the edges 1 and 3; nan has none. A band holds its lower edge.

    For the age of a zone and the number of its tests.
    """
    text = [f"{edge:g}" for edge in edges]
    names = [f"<{text[0]}", *(f"{low}..{high}" for low, high in pairwise(text)), f">={text[-1]}"]
    place = np.searchsorted(np.asarray(edges), values, side="right")
    return np.where(np.isfinite(values), np.array(names)[place], "")


def flags(values: npt.NDArray[np.bool_], yes: str, no: str) -> Names:
    """Two labels, such as within a news window or not."""
    return np.where(values, yes, no)
