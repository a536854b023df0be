"""All that a backtest's result says about one account, from trade statistics to the verdict. Seeded, no I/O.

Why one account: several accounts take the same signals, and counting a signal twice would make one market look like
two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from tbot.backtest.results import BacktestResult, Table, barred
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Signal
from tbot.domain.timeframes import NAMES
from tbot.domain.trading_hours import trading_day
from tbot.errors import DataError
from tbot.risk.firm import FirmRules
from tbot.storage.trials import Trial
from tbot.validation.account import AccountOdds, Stakes, account_odds, days_of
from tbot.validation.bootstrap import Interval, drawdown_interval, expectancy_interval, unknown
from tbot.validation.calibration import (
    Components,
    Monotonicity,
    Reliability,
    leave_one_out,
    monotonicity,
    out_of_fold,
    reliability,
)
from tbot.validation.costs import CostCurve, CostParts, cost_curve, friction_cents
from tbot.validation.overfitting import overfitting
from tbot.validation.regimes import Regimes, bands, by_regime, flags, hours, terciles, weekdays
from tbot.validation.sharpe import EffectiveTrials, SharpeJudgement, effective_trials, judge_sharpe, trials_deviation
from tbot.validation.summary import Summary, daily_net, summarise
from tbot.validation.trips import Floats, Ints, Names, Trips, trips_of
from tbot.validation.verdict import Verdict

EPOCH_DAY = date(1970, 1, 1)
NS_PER_HOUR = 3_600_000_000_000
NEWS_NS = 5 * 60 * 1_000_000_000  # before and after scheduled news
FEWEST_FOR_PBO = (4, 16)  # trials, and trading days: CSCV needs both
FEWEST_FOR_SCORES = 20  # trips
# With a trip. Why: drawn from a handful of winning days every mean is above zero, whatever the truth is.
FEWEST_FOR_INTERVAL = 10


@dataclass(frozen=True, slots=True)
class ScoreQuality:
    """V11: what the signal's score is worth."""

    reliability: Reliability
    monotonicity: Monotonicity
    components: Components


@dataclass(frozen=True, slots=True)
class Assessment:
    """One account's result, judged. None where there is too little to tell."""

    account: int
    summary: Summary
    expectancy_cents: Interval | None
    expectancy_ticks: Interval | None
    drawdown_cents: Interval | None
    costs: CostCurve | None
    sharpe: SharpeJudgement | None
    trials: EffectiveTrials
    pbo: float | None
    regimes: Regimes | None
    scores: ScoreQuality | None
    odds: AccountOdds | None
    odds_missing: str  # why there are no odds
    verdict: Verdict
    null_missing: str = ""  # why there is no percentile among random levels, where that is known

    @property
    def days_enough(self) -> bool:
        """Whether the days say something by a ratio of a year (V6); a few of them give any number at all."""
        return self.sharpe is not None


def assess(
    result: BacktestResult,
    *,
    account: int | None = None,
    rules: FirmRules | None = None,
    stakes: Stakes | None = None,
    rivals: Sequence[Trial] = (),
    null_percentile: float | None = None,
    news_ns: Sequence[int] = (),
    null_missing: str = "",
    seed: int = 1,
    draws: int = 2000,
) -> Assessment:
    """Judge one account (None: the first). `rules`: of a Combine whose odds are asked for; `rivals`: other trials over
    the same data, from the ledger. Equal seeds give equal judgements."""
    number = result.accounts[0] if account is None else account
    rows = result.trips[result.trips["account"] == number]
    trips = trips_of(rows, {name: PRODUCTS[name].tick_value_cents for name in np.unique(rows["contract"]).tolist()})
    rows = rows[np.argsort(rows["closed_ns"], kind="stable")]
    days = np.array([(day - EPOCH_DAY).days for day in result.days], np.int64)
    rng = np.random.default_rng(seed)
    daily = _trials_table(trips, days, rivals)
    tried = effective_trials(daily)
    some = len(trips) > 0
    ticks = _expectancy(trips.net_ticks, trips, days, rng, draws)
    costs = cost_curve(trips.net_cents, cost_parts(rows, trips)) if some else None
    sharpe = judge_sharpe(daily_net(trips, days), tried.cautious, trials_deviation(daily)) if some else None
    pbo = _pbo(daily)
    odds, missing = _odds(trips, _played(result, number, days), rules, stakes, rng)
    cents = _expectancy(trips.net_cents, trips, days, rng, draws)
    verdict = Verdict(
        trades=len(trips),
        expectancy_ticks=ticks,
        expectancy_cents=cents,
        deflated_sharpe=None if sharpe is None else sharpe.dsr,
        trials=max(1.0, tried.cautious),
        pbo=pbo,
        null_percentile=null_percentile,
        dies_at=None if costs is None else costs.dies_at,
    )
    return Assessment(
        account=number,
        summary=summarise(trips, days),
        expectancy_cents=cents,
        expectancy_ticks=ticks,
        drawdown_cents=drawdown_interval(trips.net_cents, trips.day, rng, draws=draws) if some else None,
        costs=costs,
        sharpe=sharpe,
        trials=tried,
        pbo=pbo,
        regimes=by_regime(trips.net_ticks, trips.day, dimensions(rows, result.signals, news_ns), rng, draws=draws)
        if some
        else None,
        scores=_scores(rows, trips, result.signals, rng),
        odds=odds,
        odds_missing=missing,
        verdict=verdict,
        null_missing=null_missing,
    )


def _expectancy(
    values: Floats | Ints, trips: Trips, days: Ints, rng: np.random.Generator, draws: int
) -> Interval | None:
    """V9; not known of a few days."""
    if not len(trips):
        return None
    if len(np.unique(trips.day)) < FEWEST_FOR_INTERVAL:
        return unknown(float(np.mean(values)))
    return expectancy_interval(values, trips.day, rng, draws=draws, trading_days=days)


def cost_parts(rows: Table, trips: Trips) -> CostParts:
    """What each trip paid, in cents (V3).

    Spread: a typical one of its contract for entry and exit at market, half of it when the target filled at its limit;
    the spread of the moment is not kept. Slippage: the entry's against the decision quote, and of a stop what it filled
    beyond the price that was approved for it (a stop that was moved closer tells nothing: 0).
    """
    spread = np.array([PRODUCTS[name].spread_ticks for name in rows["contract"].tolist()], np.float64)
    shares = np.where(rows["exit_reason"] == "target", 0.5, 1.0)
    size = rows["size"].astype(np.int64)
    stops = (rows["exit_reason"] == "stop") & (rows["stop_ticks"] > 0)
    approved = rows["entry_price_size"] - rows["side"].astype(np.int64) * rows["stop_ticks"] * size
    beyond = rows["side"].astype(np.int64) * (approved - rows["exit_price_size"])
    slipped = rows["slippage_ticks"] + np.where(stops, np.maximum(beyond, 0), 0)
    return CostParts(
        fees=rows["fees_cents"].astype(np.int64),
        commissions=rows["commission_cents"].astype(np.int64),
        spread=friction_cents(spread * shares, trips.tick_value_cents, size),
        slippage=friction_cents(slipped, trips.tick_value_cents, np.ones_like(size)),
    )


def dimensions(rows: Table, signals: Sequence[Signal], news_ns: Sequence[int] = ()) -> dict[str, Names]:
    """V12: labels of each trip; "" where a signal has no story to tell it from. `news_ns`: times of scheduled news, in
    order; without any nothing is said of them."""
    told = {signal.signal_id: signal for signal in signals}
    mine = [told.get(name) for name in rows["signal_id"].tolist()]
    near = np.array([signal.why.near_ticks if signal and signal.why else np.nan for signal in mine], np.float64)
    volatility = np.full(len(rows), "", "U8")
    for contract in np.unique(rows["contract"]).tolist():
        own = rows["contract"] == contract
        volatility[own] = terciles(near[own])  # the distance that counts as near is a share of the ATR
    age = [(s.decided_ns - s.why.zone.known_ns) / NS_PER_HOUR if s and s.why else np.nan for s in mine]
    tests = [float(s.why.test) if s and s.why else np.nan for s in mine]
    return {
        "contract": rows["contract"].astype(np.str_),
        "side": np.where(rows["side"] > 0, "long", "short"),
        "pattern": rows["zone_kind"].astype(np.str_),
        "timeframe": np.array([NAMES.get(minutes, "") for minutes in rows["zone_timeframe_min"].tolist()], np.str_),
        "news": _near_news(rows["opened_ns"].astype(np.int64), news_ns),
        "hour (Chicago)": hours(rows["opened_ns"].astype(np.int64)),
        "weekday": weekdays(rows["day"].astype(np.int64)),
        "volatility": volatility,
        "1h trend": np.array([_trend(signal) for signal in mine], np.str_),
        "zone age (h)": bands(np.array(age, np.float64), (1.0, 4.0, 24.0)),
        "test of the zone": bands(np.array(tests, np.float64), (2.0, 3.0)),
    }


def _near_news(at_ns: Ints, news_ns: Sequence[int]) -> Names:
    """Whether a trip was entered from 5 min before to 5 min after news (topstep-rules.md section 9)."""
    if not len(news_ns):
        return np.full(len(at_ns), "", "U8")
    times = np.asarray(news_ns, np.int64)
    first = np.searchsorted(times, at_ns - NEWS_NS)  # of those that are not over for longer
    near = times[np.minimum(first, len(times) - 1)]
    return flags(np.abs(near - at_ns) <= NEWS_NS, "window", "calm")


def _trend(signal: Signal | None) -> str:
    if signal is None or signal.why is None:
        return ""
    trend = signal.why.trends.get("1h", 0)
    return "none" if not trend else "with it" if trend == signal.side else "against it"


def _trials_table(trips: Trips, days: Ints, rivals: Sequence[Trial]) -> Floats:
    """Daily results of this run and its rivals over the run's days: days x trials, this run first."""
    own = daily_net(trips, days)
    numbers = np.unique(np.concatenate([days, trips.day]))
    others = [[trial.daily_cents.get(day, 0) for day in numbers.tolist()] for trial in rivals]
    return np.array([own, *others], np.float64).T


def _pbo(daily: Floats) -> float | None:
    """V7: of all trials on record over this data; None while they are too few."""
    varied = daily[:, np.ptp(daily, axis=0) > 0] if len(daily) else daily
    if varied.shape[1] < FEWEST_FOR_PBO[0] or len(varied) < FEWEST_FOR_PBO[1]:
        return None
    return overfitting(varied).pbo


def _played(result: BacktestResult, account: int, days: Ints) -> Ints:
    """The days on which an account could trade: those after the floor took it out say nothing of another account."""
    out = barred(result.denials, result.intents, account)
    return days if out is None else days[days <= (trading_day(out.now_ns) - EPOCH_DAY).days]


def _odds(
    trips: Trips, days: Ints, rules: FirmRules | None, stakes: Stakes | None, rng: np.random.Generator
) -> tuple[AccountOdds | None, str]:
    if rules is None or not rules.target_cents:
        return None, "the account has no target to pass"
    try:
        return account_odds(days_of(trips, days), rules, rng, stakes=stakes), ""
    except DataError as error:
        return None, str(error)


def _scores(rows: Table, trips: Trips, signals: Sequence[Signal], rng: np.random.Generator) -> ScoreQuality | None:
    """V11, over the trips that came from a signal."""
    parts: Mapping[str, Mapping[str, float]] = {signal.signal_id: signal.parts for signal in signals}
    known = np.array([name in parts for name in rows["signal_id"].tolist()], np.bool_)
    if known.sum() < FEWEST_FOR_SCORES:
        return None
    mine = rows[known]
    day, outcome = mine["day"].astype(np.int64), mine["net_cents"] > 0
    score = mine["score"].astype(np.float64)
    names = sorted({name for signal in mine["signal_id"].tolist() for name in parts[signal]})
    points = np.array([[parts[signal].get(name, 0.0) for name in names] for signal in mine["signal_id"].tolist()])
    return ScoreQuality(
        reliability(out_of_fold(score, outcome, day), outcome),
        monotonicity(score, trips.net_r[known], day, rng),
        leave_one_out(points, names, outcome, day, rng),
    )
