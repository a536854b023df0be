"""V3: what costs take, and how much of them a run bears. Money in cents.

Every result is the result without friction less m times its costs, m = 1 being the costs of the run: a straight line,
so the multiple at which the run dies is its root, exactly. Trips stay the same along the line: with other costs an
order might fill elsewhere, or not at all, which only another run can tell.
"""

import math
from dataclasses import dataclass, fields

import numpy as np

from tbot.errors import DataError
from tbot.validation.trips import Floats, Ints

MULTIPLES = tuple(quarter / 4 for quarter in range(17))  # 0 ... 4


@dataclass(frozen=True, slots=True, eq=False)
class CostParts:
    """Costs of each round trip, in cents; below 0 where it was better than asked (slippage in favour)."""

    fees: Ints
    commissions: Ints
    spread: Ints
    slippage: Ints

    @property
    def total(self) -> Ints:
        return np.asarray(self.fees + self.commissions + self.spread + self.slippage, np.int64)


@dataclass(frozen=True, slots=True)
class CostCurve:
    """A run against multiples of its costs."""

    n: int
    net_cents: int
    frictionless_cents: int  # at no costs at all
    costs_cents: int
    parts_cents: tuple[tuple[str, int], ...]  # in the order of CostParts
    multiples: tuple[float, ...]
    nets_cents: tuple[float, ...]  # one for each multiple
    dies_at: float  # multiple at which nothing is left; 0: lost without costs already; infinite: never

    def net_at(self, multiple: float) -> float:
        """Net result at a multiple of the costs, in cents."""
        return self.frictionless_cents - multiple * self.costs_cents


def cost_curve(net_cents: Ints, parts: CostParts, multiples: tuple[float, ...] = MULTIPLES) -> CostCurve:
    """Curve and root for the trips' net results, which already bear the costs in `parts` once. DataError when the
    columns differ in length."""
    sums = []
    for part in fields(parts):
        column = getattr(parts, part.name)
        if column.shape != net_cents.shape:
            raise DataError(f"every trip needs its costs; {part.name} has {len(column)} of {len(net_cents)}")
        sums.append((part.name, int(column.sum())))
    net, costs = int(net_cents.sum()), sum(cents for _, cents in sums)
    free = net + costs
    return CostCurve(
        n=len(net_cents),
        net_cents=net,
        frictionless_cents=free,
        costs_cents=costs,
        parts_cents=tuple(sums),
        multiples=multiples,
        nets_cents=tuple(free - multiple * costs for multiple in multiples),
        dies_at=_root(free, costs),
    )


def _root(free: int, costs: int) -> float:
    if free <= 0:
        return 0.0
    return free / costs if costs > 0 else math.inf


def friction_cents(ticks: Floats | Ints, tick_value_cents: Ints, size: Ints) -> Ints:
    """Ticks of spread or slippage per contract as cents of the trip, rounded to whole cents, halves against it."""
    cents = np.asarray(ticks, np.float64) * tick_value_cents * size
    return np.floor(cents + 0.5).astype(np.int64)
