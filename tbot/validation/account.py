"""V10: the days of a run through the firm's account rules: how often they pass, how fast, why they fail, what it costs.

An attempt is a fresh account that lives through trading days drawn from the run in blocks (stationary bootstrap;
Politis, Romano 1994) until it passes, fails, or `horizon_days` are over. The rules are `FirmRules`; floor and target
are asked of it (`floor_of`, `target_of`) and not written again here:

* the floor is fixed during a day and moves at its end by the closing balance; equity at the floor closes the account;
* the firm's daily limit, where the account has one, closes positions for the day and is no violation;
* it passes when the closed profit reaches the target, raised so far that the best day keeps within its share.

With `own_guards` T-BOT's own rules hold too, as in the engine: TR2 flattens at floor + lock and enters nothing at
floor + ban (such an account can never trade again: it failed for want of room), TR6 ends a day that has won enough.

Equity between entry and exit is the balance plus the most adverse open result of every open trip, all at once: too dark
where trips overlap. Forced exits are reckoned exactly at their level, without slippage. Sizes stay as they were in the
run: TR4, which takes fewer contracts near the floor, is not played.

Intervals come from drawing the run's days again (a double bootstrap; Efron, Tibshirani 1993, chapter 8), because the
few days of the run, and not the number of attempts, are what is uncertain. They contain the noise of the inner attempts
and are a little too wide. Fewer than `FEWEST_DAYS` days tell nothing: the intervals are as wide as can be.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tbot.errors import DataError
from tbot.risk.firm import FirmRules
from tbot.validation.bootstrap import LEVEL, Interval, mean_block_length, percentile_interval, stationary_indices
from tbot.validation.trips import Floats, Ints, Trips

Outcome = Literal["passed", "max_loss", "no_room", "daily_limit", "consistency", "timeout"]
FAILURES: tuple[Outcome, ...] = ("max_loss", "no_room", "daily_limit", "consistency", "timeout")
FEWEST_DAYS = 10


@dataclass(frozen=True, slots=True)
class Day:
    """One trading day. Cents, from its start: result, lowest equity, highest closed balance; and its steps, one a trip
    in order of exits: lowest equity while it was open, and its result, both from the balance before it ended."""

    net_cents: int
    low_cents: int
    high_cents: int
    steps: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Stakes:
    """Money around an attempt, in cents. A month that was begun is paid."""

    fee_a_month_cents: int = 0
    fee_once_cents: int = 0
    pass_value_cents: int = 0  # what a passed account is worth to its owner
    days_a_month: int = 21  # trading days


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt ended. `withheld`: the plain target was reached at some time, but the best day was too large."""

    outcome: Outcome
    days: int  # trading days lived through
    net_cents: int
    withheld: bool
    limited_days: int  # cut by the firm's daily limit


@dataclass(frozen=True, slots=True)
class AccountOdds:
    """Over many attempts. Shares are of all attempts; money in cents, an attempt."""

    passed: Interval
    days_to_pass: Interval | None  # median of those that pass; None: none does
    failures: Mapping[Outcome, Interval]
    withheld: Interval
    value_cents: Interval  # share passed x value of a pass - fees
    fees_cents: Interval
    fees_per_pass_cents: float  # infinite: none passes
    history_days: int
    horizon_days: int
    attempts: int
    resamples: int


def days_of(trips: Trips, trading_days: Ints | None = None) -> list[Day]:
    """Trading days in order, with those of `trading_days` on which nothing was traded. Trips of one account."""
    numbers = np.unique(trips.day if trading_days is None else np.concatenate([trading_days, trips.day]))
    starts, ends = np.searchsorted(trips.day, numbers), np.searchsorted(trips.day, numbers, side="right")
    return [day_of(_steps(trips, int(a), int(b))) for a, b in zip(starts, ends, strict=True)]


def _steps(trips: Trips, start: int, end: int) -> list[tuple[int, int]]:
    entry, exit_, worst = trips.entry_ns, trips.exit_ns, np.minimum(trips.worst_cents, 0)
    steps = []
    for number in range(start, end):
        beside = worst[number + 1 : end][entry[number + 1 : end] < exit_[number]]  # open as well, and ended later
        net = int(trips.net_cents[number])
        steps.append((min(int(worst[number]), net, 0) + int(beside.sum()), net))
    return steps


def day_of(steps: Sequence[tuple[int, int]]) -> Day:
    """A day from its steps, each (lowest equity, result) in cents from the balance before."""
    net = low = high = 0
    for adverse, result in steps:
        low = min(low, net + adverse, net + result)
        net += result
        high = max(high, net)
    return Day(net, low, high, tuple((min(adverse, result, 0), result) for adverse, result in steps))


# ------------------------------------------------------------------------------------------------ one attempt
def run_attempt(days: Sequence[Day], rules: FirmRules, *, own_guards: bool = True) -> Attempt:
    """A fresh account through these days, in order.

    When they end undecided the cause is consistency if the plain target had been reached; the daily limit if it cut
    days and the same days pass without it; else time.
    """
    life = _Life(rules, own_guards)
    for number, day in enumerate(days, start=1):
        ended = life.day(day)
        if ended is not None:
            return Attempt(ended, number, life.balance - rules.start_cents, life.withheld, life.limited_days)
    outcome: Outcome = "timeout"
    if life.withheld:
        outcome = "consistency"
    elif life.limited_days:
        unlimited = run_attempt(days, replace(rules, daily_loss_cents=0), own_guards=own_guards)
        outcome = "daily_limit" if unlimited.outcome == "passed" else "timeout"
    return Attempt(outcome, len(days), life.balance - rules.start_cents, life.withheld, life.limited_days)


class _Life:
    """The account of one attempt."""

    __slots__ = ("balance", "best", "floor", "guards", "high", "limited_days", "rules", "withheld")

    def __init__(self, rules: FirmRules, own_guards: bool) -> None:
        self.rules = rules
        self.guards = own_guards
        self.balance = self.high = rules.start_cents
        self.floor = rules.floor_of(self.high)
        self.best = 0  # largest result of a day so far
        self.withheld = False
        self.limited_days = 0

    def day(self, day: Day) -> Outcome | None:
        """Live through one day; what ended the attempt, if something did."""
        before = self.balance
        if self._is_calm(day):
            self.balance += day.net_cents
        else:
            ended = self._walk(day)
            if ended is not None:
                return ended
        if self.balance > self.high:
            self.high = self.balance
            self.floor = self.rules.floor_of(self.high)
        self.best = max(self.best, self.balance - before)
        return None

    def _is_calm(self, day: Day) -> bool:
        """Whether no rule can bind on this day, so that only its result counts."""
        rules = self.rules
        room = self.floor + (rules.ban_above_floor_cents if self.guards else 0)
        return (
            self.balance + day.low_cents > room
            and (not rules.daily_loss_cents or day.low_cents > -rules.daily_loss_cents)
            and (not rules.target_cents or self.balance + day.high_cents - rules.start_cents < rules.target_cents)
            and not (self.guards and rules.day_profit_stop_cents and day.high_cents >= rules.day_profit_stop_cents)
        )

    def _walk(self, day: Day) -> Outcome | None:
        rules, opening = self.rules, self.balance
        for adverse, result in day.steps:
            if self.guards and self.balance <= self.floor + rules.ban_above_floor_cents:
                return "no_room"
            level = self.floor
            if self.guards:
                level += rules.lock_above_floor_cents
            limit = opening - rules.daily_loss_cents if rules.daily_loss_cents else None
            limited = limit is not None and limit > level
            if limited and limit is not None:
                level = limit
            if self.balance + adverse <= level:
                self.balance = level
                if level <= self.floor:
                    return "max_loss"
                self.limited_days += limited
                return None
            self.balance += result
            today = self.balance - opening
            profit = self.balance - rules.start_cents
            if rules.target_cents and profit >= rules.target_cents:
                if profit >= rules.target_of(max(self.best, today)):
                    return "passed"
                self.withheld = True
            if self.guards and rules.day_profit_stop_cents and today >= rules.day_profit_stop_cents:
                return None
        return None


# ------------------------------------------------------------------------------------------------ many attempts
def account_odds(
    days: Sequence[Day],
    rules: FirmRules,
    rng: np.random.Generator,
    *,
    stakes: Stakes | None = None,
    own_guards: bool = True,
    horizon_days: int = 63,
    attempts: int = 2000,
    resamples: int = 200,
    attempts_each: int = 100,
    level: float = LEVEL,
    mean_block: float | None = None,
) -> AccountOdds:
    """Odds of a fresh account that trades days like these. `mean_block` in days (None: chosen from the daily results).

    `attempts` on the days as they are give the estimates; `attempts_each` on each of `resamples` redrawn histories give
    the intervals. DataError without days, for rules without a target (a funded account has nothing to pass), or for
    numbers of attempts or days below 1.
    """
    if not days:
        raise DataError("an account needs trading days to live through; the run has none")
    if not rules.target_cents:
        raise DataError("these rules have no target, so no account can pass; take those of a Combine")
    money = stakes or Stakes()
    if min(horizon_days, attempts, attempts_each, money.days_a_month) < 1 or resamples < 0:
        raise DataError("attempts, their days and the days of a month must be at least 1")
    nets = np.array([day.net_cents for day in days], np.float64)
    block = mean_block_length(nets) if mean_block is None else mean_block
    estimate = _shares(days, rules, rng, money, own_guards, horizon_days, attempts, block)
    rows = np.zeros((0, len(estimate)))
    if len(days) >= FEWEST_DAYS:
        redrawn = stationary_indices(len(days), block, resamples, rng)
        rows = np.array([
            _shares([days[place] for place in row], rules, rng, money, own_guards, horizon_days, attempts_each, block)
            for row in redrawn.tolist()
        ])  # fmt: skip

    def interval(column: int, low: float, high: float) -> Interval:
        drawn = rows[:, column][np.isfinite(rows[:, column])]
        if len(drawn) < 2:
            return Interval(float(estimate[column]), low, high, level, 0)
        return percentile_interval(float(estimate[column]), drawn, level)

    passed = interval(0, 0.0, 1.0)
    worth = len(FAILURES) + 3
    return AccountOdds(
        passed=passed,
        days_to_pass=None if math.isnan(estimate[1]) else interval(1, 1.0, float(horizon_days)),
        failures={name: interval(place, 0.0, 1.0) for place, name in enumerate(FAILURES, start=2)},
        withheld=interval(worth - 1, 0.0, 1.0),
        value_cents=interval(worth, -math.inf, math.inf),
        fees_cents=interval(worth + 1, 0.0, math.inf),
        fees_per_pass_cents=float(estimate[worth + 1]) / passed.estimate if passed.estimate else math.inf,
        history_days=len(days),
        horizon_days=horizon_days,
        attempts=attempts,
        resamples=len(rows),
    )


def _shares(
    days: Sequence[Day],
    rules: FirmRules,
    rng: np.random.Generator,
    stakes: Stakes,
    own_guards: bool,
    horizon: int,
    attempts: int,
    block: float,
) -> Floats:
    """Share passed, median days to pass (nan: none), shares of FAILURES, share withheld, value and fees of one."""
    drawn = stationary_indices(len(days), block, attempts, rng, horizon).tolist()
    told = [run_attempt([days[place] for place in row], rules, own_guards=own_guards) for row in drawn]
    passing = [one.days for one in told if one.outcome == "passed"]
    share = len(passing) / attempts
    months = sum(-(-one.days // stakes.days_a_month) for one in told) / attempts
    fees = stakes.fee_once_cents + months * stakes.fee_a_month_cents
    failed = [sum(one.outcome == name for one in told) / attempts for name in FAILURES]
    withheld = sum(one.withheld for one in told) / attempts
    median = float(np.median(passing)) if passing else math.nan
    return np.array([share, median, *failed, withheld, share * stakes.pass_value_cents - fees, fees])
