"""What learning adds, out of sample: one past, played with learned weights and without them.

Weights of a day rest on earlier days alone, so every day is a test of what was learned before it: the prequential
principle (Dawid, J. Royal Statist. Soc. A 147, 1984), a walk-forward with a step of a day. Two questions are asked. Did
the patterns whose scores were raised do better than those that were lowered? That has many observations, and is asked
of all triggered setups. Did the account do better? That is what counts, and has few. Intervals draw whole days.
"""

from dataclasses import dataclass

import numpy as np

from tbot.backtest.results import BacktestResult
from tbot.domain.contracts import BY_ID
from tbot.domain.trading_hours import trading_day
from tbot.strategy.outcomes import Rows, results_r
from tbot.validation.bootstrap import Interval, bootstrap_interval, unknown

LEAST_DAYS = 20  # fewer trading days show nothing, whatever the interval says


@dataclass(frozen=True, slots=True)
class Evidence:
    """Learning beside no learning. Money in cents, results of setups in R."""

    days: int
    outcomes: int
    raised: int  # setups whose score learning raised, and lowered
    lowered: int
    raised_r: float  # their mean result; nan without any
    lowered_r: float
    gap_r: Interval  # raised minus lowered
    trips_off: int
    trips_on: int
    net_off_cents: int
    net_on_cents: int
    day_gain_cents: Interval  # mean gain of a trading day by learning

    @property
    def verdict(self) -> str:
        """One honest sentence."""
        if self.days < LEAST_DAYS:
            return f"nothing is shown: {self.days} trading days are too few (at least {LEAST_DAYS})"
        if not self.raised and not self.lowered:
            return "nothing is shown: no pattern had enough outcomes to move a score"
        gain = self.day_gain_cents
        if gain.low > 0:
            return "learning added to the account's result out of sample"
        if gain.high < 0:
            return "learning harmed the account's result out of sample; leave it off"
        if self.gap_r.low > 0:
            return "learning told better patterns from worse ones, but the account's gain is not told apart from chance"
        return "no gain is shown: what learning did is not told apart from chance; leave it off"


def compare(off: BacktestResult, on: BacktestResult, rng: np.random.Generator) -> Evidence:
    """Both runs over the same data with the same plan but for learning."""
    rows = on.outcomes
    result = _results(rows)
    raised, lowered = rows["weight"] > 1.0, rows["weight"] < 1.0
    numbers = [day.toordinal() for day in on.days]
    gain = np.array([_net(on, day) - _net(off, day) for day in numbers], float)
    return Evidence(
        days=len(numbers),
        outcomes=len(rows),
        raised=int(raised.sum()),
        lowered=int(lowered.sum()),
        raised_r=float(result[raised].mean()) if raised.any() else float("nan"),
        lowered_r=float(result[lowered].mean()) if lowered.any() else float("nan"),
        gap_r=_gap(rows, result, rng),
        trips_off=len(off.trips),
        trips_on=len(on.trips),
        net_off_cents=int(off.trips["net_cents"].sum()),
        net_on_cents=int(on.trips["net_cents"].sum()),
        day_gain_cents=bootstrap_interval(gain, lambda values: float(values.mean()), rng),
    )


_EPOCH_ORDINAL = 719_163  # of 1970-01-01


def _net(result: BacktestResult, ordinal: int) -> int:
    """Net result (cents) of a trading day, all accounts."""
    return int(result.trips["net_cents"][result.trips["day"] == ordinal - _EPOCH_ORDINAL].sum())


def _results(rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    result = np.zeros(len(rows))
    for number in np.unique(rows["contract_id"]).tolist():
        mine = rows["contract_id"] == number
        result[mine] = results_r(rows[mine], BY_ID[number])
    return result


def _gap(rows: Rows, result: np.ndarray[tuple[int], np.dtype[np.float64]], rng: np.random.Generator) -> Interval:
    """Mean result of raised minus lowered setups, whole trading days drawn."""
    raised, lowered = rows["weight"] > 1.0, rows["weight"] < 1.0
    if not raised.any() or not lowered.any():
        return unknown(float("nan"))
    days = np.array([trading_day(at).toordinal() for at in rows["decided_ns"].tolist()])
    columns = (result * raised, raised, result * lowered, lowered)
    sums = np.array([[column[days == day].sum() for column in columns] for day in np.unique(days)], float)

    def gap(places: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        up, n_up, down, n_down = sums[places.astype(int)].sum(axis=0)
        return float(up / n_up - down / n_down) if n_up and n_down else float("nan")

    return bootstrap_interval(np.arange(len(sums), dtype=float), gap, rng, mean_block=min(2.0, max(1.0, len(sums) / 3)))
