"""What round trips add up to: the cards of the weekly report, each with its definition in words.

Money in integer cents; averages are exact fractions until they are shown. A figure that is not defined is None, and
`not_defined` says why: never a NaN, an infinity or a silent zero. Ratios come from `tbot.validation.summary`, so that
report and backtest cannot tell two stories; here is what only a trader's page needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction

import numpy as np

from tbot.analytics.round_trips import Deal, columns, day_number
from tbot.validation.bootstrap import Interval, bootstrap_interval, wilson
from tbot.validation.summary import DAYS_A_YEAR, daily_net, drawdown, losing_streak, sharpe_ratio, sortino_ratio
from tbot.validation.trips import Floats, Trips

Statistic = Callable[[Floats], float]
FEWEST_DAYS = 20  # trading days below which a ratio of a year says nothing
LEVEL = 0.90
SEED = 8
NO_TRADES = "no trades"

DEFINITIONS: dict[str, str] = {
    "trade": "one round trip: from the first fill of a contract to flat again, however many fills",
    "net": "gross result less exchange fees and commission of both sides; every figure below is net",
    "win": "net result above 0; exactly 0 is neither won nor lost",
    "trade_win_rate": "won over all trades, those of exactly 0 included; in brackets won | lost",
    "win_loss_ratio": "average winning trade over average losing trade",
    "profit_factor": "all that winning trades won over all that losing trades lost; ∞ before the first loss",
    "expectancy": "average net result of a trade; in R: over the risk that was approved for it (worst case of the "
    "stop with slippage and fees)",
    "trading_day": "17:00 to 17:00 Chicago, named by the date on which it ends; a trade belongs to the day of its end",
    "day_win_rate": "days with a net result above 0 over days with a trade",
    "best_day_share": "result of the best day over the net result of the period, while that is above 0 (the firm's "
    "consistency rule)",
    "drawdown": "deepest fall of the summed net result, counted trade by trade, below its highest point so far "
    "(0 at the start); length: trades from that point until it was reached again",
    "sharpe": "mean over sample standard deviation of the daily net results, times the root of 252; days without a "
    "trade on which the engine ran count as 0; the same for any account size",
    "sortino": "mean of the daily net results over the root mean square of the negative ones (over all days), times "
    "the root of 252",
    "calmar": "mean daily net result times 252, over the deepest fall (drawdown above)",
    "rolling_sharpe": "the Sharpe ratio of each 20 trading days in a row, told on the last of them",
    "floor_room": "balance by closed trades less the firm's loss floor, which moves when a trading day ends; open "
    "positions are left out",
    "weight": "what learning multiplies a pattern's score by: in force when the period began → what all outcomes to "
    "its end give; it decides something only where learning is on",
    "interval": "in brackets: 90 % interval, trading days drawn again in blocks (stationary bootstrap)",
    "mae": "furthest that the price went against the average entry while the trade was open, of all its contracts",
    "mfe": "furthest that it went in its favour",
    "streak": "trades won or lost in a row; exactly 0 neither counts nor ends a streak",
    "slippage": "entry fills against the adverse side of the quote at the decision, in ticks summed over contracts; "
    "+ is worse",
    "lots": "contracts of all trades, one side counted",
}


@dataclass(frozen=True, slots=True)
class DayResult:
    """One trading day."""

    day: date
    n: int
    wins: int
    losses: int
    net_cents: int
    lots: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of a year, or why there is none."""

    value: float | None
    why: str = ""
    low: float | None = None  # of the interval; None: not known
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Rolled:
    """The Sharpe ratio of the FEWEST_DAYS trading days up to this one; None: all of them are equal."""

    day: date
    value: float | None


@dataclass(frozen=True, slots=True)
class Fall:
    """The deepest drawdown."""

    depth_cents: int
    trips: int  # from the peak until it was reached again, or to the end
    longest_trips: int
    from_ns: int | None  # end of the trade at the peak; None: before the first
    until_ns: int | None  # end of the trade that reached the peak again; None: not yet, or no fall
    recovered: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of some round trips. Money in cents; Fraction where an average need not be a whole cent."""

    n: int
    wins: int
    losses: int
    even: int
    lots: int
    longs: int
    net_cents: int
    gross_cents: int
    fees_cents: int
    commission_cents: int
    won_cents: int
    lost_cents: int  # positive
    best_cents: int | None
    worst_cents: int | None
    win_rate: Fraction | None
    average_win_cents: Fraction | None
    average_loss_cents: Fraction | None  # positive
    win_loss_ratio: Fraction | None
    profit_factor: Fraction | None
    expectancy_cents: Fraction | None
    expectancy_r: float | None
    n_with_risk: int
    held_ns: int | None  # average
    held_won_ns: int | None
    held_lost_ns: int | None
    slippage_ticks: int
    slippage_cents: int
    mae_cents: Fraction | None  # averages of what was watched
    mfe_cents: Fraction | None
    n_watched: int
    winning_streak: int
    losing_streak: int
    fall: Fall
    days: tuple[DayResult, ...]  # every trading day, those without a trade too
    day_win_rate: Fraction | None
    best_day_share: Fraction | None
    sharpe: Ratio
    sortino: Ratio
    calmar: Ratio
    not_defined: dict[str, str] = field(default_factory=dict)

    @property
    def traded_days(self) -> list[DayResult]:
        return [day for day in self.days if day.n]

    @property
    def costs_cents(self) -> int:
        return self.fees_cents + self.commission_cents


def figures(deals: Sequence[Deal], trading_days: Sequence[date] = (), *, intervals: bool = True) -> Figures:
    """Figures of `deals`, which stand in order of their ends. `trading_days`: days that count though nothing was
    traded."""
    trips = columns(deals)
    net = trips.net_cents
    nets = [deal.net_cents for deal in deals]
    n, wins, losses = len(nets), sum(value > 0 for value in nets), sum(value < 0 for value in nets)
    won, lost = sum(value for value in nets if value > 0), -sum(value for value in nets if value < 0)
    rs = [r for deal in deals if (r := deal.r) is not None]
    watched = [deal for deal in deals if deal.trip.mae_ticks is not None and deal.trip.mfe_ticks is not None]
    days = day_results(deals, trading_days)
    traded = [day for day in days if day.n]
    total = sum(nets)
    best_day = max((day.net_cents for day in traded), default=0)
    fall = deepest(deals)
    ratios = _ratios(trips, days, fall, intervals)
    return Figures(
        n=n, wins=wins, losses=losses, even=n - wins - losses,
        lots=sum(deal.trip.size for deal in deals),
        longs=sum(deal.trip.side > 0 for deal in deals),
        net_cents=total,
        gross_cents=sum(deal.trip.gross_cents for deal in deals),
        fees_cents=sum(deal.trip.fees_cents for deal in deals),
        commission_cents=sum(deal.trip.commission_cents for deal in deals),
        won_cents=won, lost_cents=lost,
        best_cents=max(nets, default=None), worst_cents=min(nets, default=None),
        win_rate=_share(wins, n),
        average_win_cents=_share(won, wins),
        average_loss_cents=_share(lost, losses),
        win_loss_ratio=Fraction(won, wins) / Fraction(lost, losses) if wins and losses else None,
        profit_factor=_share(won, lost),
        expectancy_cents=_share(total, n),
        expectancy_r=sum(rs) / len(rs) if rs else None,
        n_with_risk=len(rs),
        held_ns=_mean_ns(deals),
        held_won_ns=_mean_ns([deal for deal in deals if deal.net_cents > 0]),
        held_lost_ns=_mean_ns([deal for deal in deals if deal.net_cents < 0]),
        slippage_ticks=sum(deal.trip.slippage_ticks for deal in deals),
        slippage_cents=sum(deal.trip.slippage_ticks * deal.product.tick_value_cents for deal in deals),
        mae_cents=_share(sum(deal.ticks_cents(deal.trip.mae_ticks or 0) for deal in watched), len(watched)),
        mfe_cents=_share(sum(deal.ticks_cents(deal.trip.mfe_ticks or 0) for deal in watched), len(watched)),
        n_watched=len(watched),
        winning_streak=losing_streak(-net),
        losing_streak=losing_streak(net),
        fall=fall,
        days=tuple(days),
        day_win_rate=_share(sum(day.net_cents > 0 for day in traded), len(traded)),
        best_day_share=Fraction(best_day, total) if total > 0 else None,
        sharpe=ratios[0], sortino=ratios[1], calmar=ratios[2],
        not_defined=_why(n, wins, losses, len(rs), len(watched), total, ratios),
    )  # fmt: skip


def _share(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole else None


def _mean_ns(deals: Sequence[Deal]) -> int | None:
    return sum(deal.held_ns for deal in deals) // len(deals) if deals else None


def _why(
    n: int, wins: int, losses: int, with_risk: int, watched: int, total: int, ratios: tuple[Ratio, Ratio, Ratio]
) -> dict[str, str]:
    """Figure -> why it is not defined."""
    if not n:
        names = (
            "win_rate", "average_win", "average_loss", "win_loss_ratio", "profit_factor", "expectancy", "expectancy_r",
            "held", "held_won", "held_lost", "mae", "mfe", "best", "worst", "day_win_rate", "best_day_share", "sharpe",
            "sortino", "calmar",
        )  # fmt: skip
        return dict.fromkeys(names, NO_TRADES)
    found: dict[str, str] = {}
    if not wins:
        found |= dict.fromkeys(("average_win", "win_loss_ratio", "held_won"), "no winning trade")
    if not losses:
        found |= dict.fromkeys(("average_loss", "win_loss_ratio", "profit_factor", "held_lost"), "no losing trade")
    if not with_risk:
        found["expectancy_r"] = "no approved risk is known"
    if not watched:
        found |= dict.fromkeys(("mae", "mfe"), "no price on the way was watched")
    if total <= 0:
        found["best_day_share"] = "no profit in the period"
    for name, ratio in zip(("sharpe", "sortino", "calmar"), ratios, strict=True):
        if ratio.value is None:
            found[name] = ratio.why
    return found


# ------------------------------------------------------------------------------------------------ days and falls
def day_results(deals: Sequence[Deal], trading_days: Sequence[date] = ()) -> list[DayResult]:
    """One line a trading day, those of `trading_days` without a trade included."""
    of_day: dict[date, list[Deal]] = {day: [] for day in trading_days}
    for deal in deals:
        of_day.setdefault(deal.day, []).append(deal)
    return [
        DayResult(
            day,
            len(mine),
            sum(deal.net_cents > 0 for deal in mine),
            sum(deal.net_cents < 0 for deal in mine),
            sum(deal.net_cents for deal in mine),
            sum(deal.trip.size for deal in mine),
        )
        for day, mine in sorted(of_day.items())
    ]


def deepest(deals: Sequence[Deal]) -> Fall:
    """The deepest fall of the closed result, with its times."""
    told = drawdown(np.array([deal.net_cents for deal in deals], np.int64))

    def at(place: int | None) -> int | None:
        """Place i is after the i-th trade."""
        return None if place is None or place == 0 else deals[place - 1].trip.now_ns

    return Fall(
        told.depth_cents,
        told.trips,
        told.longest_trips,
        at(told.peak) if told.depth_cents else None,
        at(told.recovered) if told.depth_cents else None,
        told.recovered is not None,
    )


def falls(deals: Sequence[Deal], most: int = 5) -> list[Fall]:
    """The deepest stretches below a highest point, the deepest first, of equal ones the earlier; `longest_trips` is
    the stretch's own length. Each lasts until its highest point was reached again."""
    found: list[Fall] = []
    total = peak = depth = 0
    began = 0  # trades behind which the highest point lies
    for place, deal in enumerate([*deals, None]):
        if deal is not None:
            total += deal.net_cents
            depth = max(depth, peak - total)
            if total < peak:
                continue
        if depth:
            ended = deal is not None
            trips = place + 1 - began if ended else place - began
            since = deals[began - 1].trip.now_ns if began else None
            until = deal.trip.now_ns if deal is not None else None
            found.append(Fall(depth, trips, trips, since, until, ended))
        peak, depth, began = total, 0, place + 1
    return sorted(found, key=lambda fall: -fall.depth_cents)[:most]


# ------------------------------------------------------------------------------------------------ ratios
def _ratios(trips: Trips, days: Sequence[DayResult], fall: Fall, intervals: bool) -> tuple[Ratio, Ratio, Ratio]:
    """Sharpe, Sortino, Calmar of a year."""
    if not len(trips):
        return Ratio(None, NO_TRADES), Ratio(None, NO_TRADES), Ratio(None, NO_TRADES)
    if len(days) < FEWEST_DAYS:
        few = Ratio(None, f"{len(days)} trading day{'' if len(days) == 1 else 's'}, {FEWEST_DAYS} are needed")
        return few, few, few
    daily = daily_net(trips, np.array([day_number(day.day) for day in days], np.int64))
    root = float(np.sqrt(DAYS_A_YEAR))
    return (
        _with_interval(daily, lambda results: _times(sharpe_ratio(results), root), "all days are equal", intervals),
        _with_interval(daily, lambda results: _times(sortino_ratio(results), root), "no losing day", intervals),
        Ratio(float(daily.mean()) * DAYS_A_YEAR / fall.depth_cents)
        if fall.depth_cents
        else Ratio(None, "no drawdown"),
    )


def rolling_sharpe(days: Sequence[DayResult]) -> list[Rolled]:
    """Of each FEWEST_DAYS trading days in a row; [] where there are not so many."""
    nets = np.array([day.net_cents for day in days], np.int64)
    root = float(np.sqrt(DAYS_A_YEAR))
    found = []
    for end in range(FEWEST_DAYS, len(days) + 1):
        ratio = sharpe_ratio(nets[end - FEWEST_DAYS : end].astype(float))
        found.append(Rolled(days[end - 1].day, None if ratio is None else ratio * root))
    return found


def _times(ratio: float | None, factor: float) -> float:
    return float("nan") if ratio is None else ratio * factor


def _with_interval(daily: Floats, statistic: Statistic, why: str, intervals: bool) -> Ratio:
    value = statistic(daily)
    if not np.isfinite(value):
        return Ratio(None, why)
    if not intervals:
        return Ratio(value)
    found: Interval = bootstrap_interval(daily, statistic, np.random.default_rng(SEED), level=LEVEL)
    if not np.isfinite([found.low, found.high]).all():
        return Ratio(value)
    return Ratio(value, "", found.low, found.high)


def wilson_share(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson)."""
    found = wilson(hits, n)
    return found.low, found.high
