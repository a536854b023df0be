"""V15: what the round trips of a run add up to. Money in cents, times in ns; None where a number is not defined.

Definitions are the usual ones, so that other libraries agree: win rate and profit factor by net result, with a result
of exactly 0 neither a win nor a loss (as the account's ledger counts, F-RSK-03); Sharpe ratio as mean over sample
standard deviation of daily results (Sharpe, J. Portfolio Management 1994); Sortino ratio with the root mean square of
the negative ones over all days (Sortino, Price, J. Investing 1994); both times the root of the trading days of a year.
Neither changes when results are divided by a constant capital, so cents serve as well as returns.
"""

import math
from dataclasses import dataclass

import numpy as np

from tbot.validation.trips import Floats, Ints, Trips

DAYS_A_YEAR = 252


@dataclass(frozen=True, slots=True)
class Drawdown:
    """A fall of the closed equity. Places count trips: 0 is before the first, i is after the i-th."""

    depth_cents: int
    peak: int
    trough: int
    recovered: int | None  # first place at or above the peak again; None: not yet
    trips: int  # from the peak to the recovery, or to the end
    longest_trips: int  # most trips in a row under a peak, of all drawdowns


@dataclass(frozen=True, slots=True)
class Summary:
    """Trade statistics of one run."""

    n: int
    wins: int
    losses: int
    net_cents: int
    gross_cents: int
    costs_cents: int
    win_rate: float | None
    profit_factor: float | None  # won over lost; None before the first loss
    average_win_cents: float | None
    average_loss_cents: float | None  # positive
    expectancy_cents: float | None  # net per trip
    expectancy_ticks: float | None  # net per trip and contract
    expectancy_r: float | None  # over the trips whose risk is known
    n_with_risk: int
    days: int
    sharpe: float | None  # of a year
    sortino: float | None  # of a year
    drawdown: Drawdown
    losing_streak: int
    exposed_ns: int  # with at least one position open
    exposure: float | None  # share of the time from the first entry to the last exit


def summarise(trips: Trips, trading_days: Ints | None = None, days_a_year: int = DAYS_A_YEAR) -> Summary:
    """Statistics of `trips`. `trading_days`: all days of the data, those without a trip included (they count in the
    daily ratios); None: only days with a trip."""
    net, n = trips.net_cents, len(trips)
    wins, losses = int((net > 0).sum()), int((net < 0).sum())
    won, lost = int(net[net > 0].sum()), -int(net[net < 0].sum())
    daily = daily_net(trips, trading_days)
    exposed = exposed_ns(trips.entry_ns, trips.exit_ns)
    span = int(trips.exit_ns.max() - trips.entry_ns.min()) if n else 0
    with_risk = int(trips.known_risk.sum())
    return Summary(
        n=n,
        wins=wins,
        losses=losses,
        net_cents=int(net.sum()),
        gross_cents=int(trips.gross_cents.sum()),
        costs_cents=int((trips.gross_cents - net).sum()),
        win_rate=wins / n if n else None,
        profit_factor=won / lost if lost else None,
        average_win_cents=won / wins if wins else None,
        average_loss_cents=lost / losses if losses else None,
        expectancy_cents=float(net.mean()) if n else None,
        expectancy_ticks=float(trips.net_ticks.mean()) if n else None,
        expectancy_r=float(np.nanmean(trips.net_r)) if with_risk else None,
        n_with_risk=with_risk,
        days=len(daily),
        sharpe=_times_root(sharpe_ratio(daily), days_a_year),
        sortino=_times_root(sortino_ratio(daily), days_a_year),
        drawdown=drawdown(net),
        losing_streak=losing_streak(net),
        exposed_ns=exposed,
        exposure=exposed / span if span else None,
    )


def _times_root(ratio: float | None, days: int) -> float | None:
    return None if ratio is None else ratio * math.sqrt(days)


def daily_net(trips: Trips, trading_days: Ints | None = None) -> Floats:
    """Net result of each trading day, in cents and in order of days; days of trips that `trading_days` lacks are added
    to it."""
    given = trips.day if trading_days is None else np.concatenate([trading_days, trips.day])
    days = np.unique(given)
    sums = np.zeros(len(days))
    np.add.at(sums, np.searchsorted(days, trips.day), trips.net_cents)
    return sums


def sharpe_ratio(results: Floats) -> float | None:
    """Mean over sample standard deviation (n - 1), per period; None for fewer than two or without spread."""
    if len(results) < 2:
        return None
    spread = float(np.std(results, ddof=1))
    return float(results.mean()) / spread if spread > 1e-12 * float(np.abs(results).max()) else None


def sortino_ratio(results: Floats) -> float | None:
    """Mean over downside deviation around 0, per period; None without a losing period."""
    below = np.minimum(results, 0.0)
    downside = math.sqrt(float(np.mean(below**2))) if len(results) else 0.0
    return float(results.mean()) / downside if downside else None


def drawdown(net_cents: Ints) -> Drawdown:
    """The deepest fall of the closed equity from its peak (0 at the start), the earliest of equal ones."""
    equity = np.concatenate([[0], np.cumsum(net_cents)])
    peaks = np.maximum.accumulate(equity)
    falls = peaks - equity
    trough = int(falls.argmax())
    edges = np.diff(np.concatenate([[0], falls > 0, [0]]).astype(np.int64))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)  # of each stretch under a peak; end excluded
    if not len(starts):
        return Drawdown(0, 0, 0, 0, 0, 0)
    peak_of, clear = starts - 1, np.minimum(ends, len(net_cents))
    which = int(np.searchsorted(starts, trough, side="right")) - 1
    return Drawdown(
        depth_cents=int(falls[trough]),
        peak=int(peak_of[which]),
        trough=trough,
        recovered=int(ends[which]) if ends[which] < len(equity) else None,
        trips=int(clear[which] - peak_of[which]),
        longest_trips=int((clear - peak_of).max()),
    )


def losing_streak(net_cents: Ints) -> int:
    """Most losing trips in a row. Exactly 0 neither counts nor ends a streak (F-RSK-03)."""
    longest = now = 0
    for net in net_cents[net_cents != 0].tolist():
        now = now + 1 if net < 0 else 0
        longest = max(longest, now)
    return longest


def exposed_ns(entry_ns: Ints, exit_ns: Ints) -> int:
    """Time in which at least one trip was open: the length of the union of their spans."""
    order = np.argsort(entry_ns, kind="stable")
    starts, ends = entry_ns[order], np.maximum.accumulate(exit_ns[order]) if len(order) else exit_ns
    total = 0
    covered: int | None = None
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        since = start if covered is None else max(start, covered)
        total += max(0, end - since)
        covered = end if covered is None else max(covered, end)
    return total
