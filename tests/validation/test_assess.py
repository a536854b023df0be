"""One account's result, judged: known answers for every number that the verdict and the honesty section rest on."""

import datetime
from dataclasses import replace

import numpy as np
import pytest

from report_cases import FIRST_DAY, SECOND, long_result, result_of, signal_of, trip
from tbot.backtest.results import BacktestResult
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Evidence, Signal, Why
from tbot.risk.firm import FirmRules
from tbot.storage.trials import Trial
from tbot.validation.assess import FEWEST_FOR_PBO, FEWEST_FOR_SCORES, Assessment, assess, cost_parts, dimensions
from tbot.validation.costs import CostParts
from tbot.validation.report_honesty import features
from tbot.validation.report_words import Extra
from tbot.validation.trips import trips_of
from tbot.validation.verdict import ENOUGH_TRADES

HOUR = 3600 * SECOND
SCALE = 5_000  # cents, the spread of a trade's result


def drawn(seed: int, *, days: int = 60, a_day: int = 1, edge: float = 0.0) -> BacktestResult:
    """Trades whose results are normal, with a mean of `edge` standard deviations after costs; on all days but a few."""
    chance = np.random.default_rng([7, seed])
    net = np.rint(SCALE * (edge + chance.standard_normal((days, a_day)))).astype(int).tolist()
    rows = [trip(cents, day, number=number) for day, of_day in enumerate(net) for number, cents in enumerate(of_day)]
    every = tuple(datetime.date(1970, 1, 1) + datetime.timedelta(days=FIRST_DAY + day) for day in range(days))
    return replace(result_of(*rows, days=days), days=every)


def rival(seed: int, days: int = 60, *, skill: float = 0.0, trips: int = 1) -> Trial:
    """Another trial over the same days."""
    daily = np.rint(SCALE * (skill + np.random.default_rng([8, seed]).standard_normal(days))).astype(int)
    cents = {FIRST_DAY + day: int(value) for day, value in enumerate(daily)} if trips else {}
    return Trial(1, "backtest", f"p{seed}", "d", ("MNQ",), 0, 1, len(cents), sum(cents.values()), cents)


def judge(result: BacktestResult, **more: object) -> Assessment:
    return assess(result, **({"draws": 200} | more))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ V15
def test_V15_a_planted_edge_is_evidence_once_everything_is_known() -> None:
    result = drawn(1, a_day=4, edge=0.5)
    others = [rival(seed) for seed in range(5)]
    known = judge(result, rivals=others, null_percentile=99.0)
    assert known.verdict.trades == 240 > ENOUGH_TRADES
    assert known.verdict.finding == "evidence of an edge"
    assert not known.verdict.provisional
    assert judge(result).verdict.finding == "promising, not proven"  # neither PBO nor null percentile
    assert judge(result, rivals=others, null_percentile=94.0).verdict.finding == "no evidence of an edge"
    few = judge(drawn(1, days=40, a_day=4, edge=0.8), rivals=others, null_percentile=99.0).verdict
    assert (few.provisional, few.finding) == (True, "promising, not proven")


def test_V15_without_an_edge_there_is_no_evidence_but_at_the_nominal_rate() -> None:
    """An interval of 95 % and a Sharpe ratio of 95 %: at most one run in twenty looks promising by chance."""
    found = [judge(drawn(seed)).verdict.finding for seed in range(80)]
    assert found.count("promising, not proven") <= 7  # more come once in 200 times
    assert found.count("loses") <= 7
    assert found.count("no evidence of an edge") >= 70
    assert "evidence of an edge" not in found


def test_V15_a_few_lucky_days_are_no_evidence() -> None:
    """Two winners on two days have an interval above zero by construction."""
    for days in range(1, 10):
        lucky = judge(result_of(*(trip(2_000 + day, day) for day in range(days)), days=14))
        assert lucky.verdict.finding == "no evidence of an edge", days
        assert "interval not known: too few days" in lucky.verdict.line
    assert judge(result_of(*(trip(2_000 + day, day) for day in range(10)), days=10)).verdict.finding.startswith("prom")


def test_V15_no_trades() -> None:
    told = judge(result_of(), rules=FirmRules())
    assert told.verdict.finding == "no trades"
    assert (told.costs, told.sharpe, told.expectancy_cents, told.regimes, told.scores) == (None,) * 5
    assert told.summary.n == 0


def test_V15_the_verdict_repeats_the_numbers_of_the_judgement() -> None:
    told = judge(drawn(3), rivals=[rival(seed) for seed in range(4)], null_percentile=12.0)
    line = told.verdict
    assert told.sharpe is not None
    assert told.costs is not None
    assert (line.deflated_sharpe, line.dies_at, line.pbo) == (told.sharpe.dsr, told.costs.dies_at, told.pbo)
    assert (line.expectancy_cents, line.expectancy_ticks) == (told.expectancy_cents, told.expectancy_ticks)
    assert (line.trades, line.null_percentile, line.trials) == (told.summary.n, 12.0, told.trials.cautious)


def test_each_account_is_judged_by_its_own_trades() -> None:
    rows = [trip(500, day) for day in range(3)] + [trip(-900, 1, account=2)]
    result = result_of(*rows, accounts=(1, 2))
    assert (judge(result).account, judge(result).summary.net_cents) == (1, 1_500)
    assert (judge(result, account=2).summary.n, judge(result, account=2).summary.net_cents) == (1, -900)
    assert judge(result, account=3).verdict.finding == "no trades"


def test_the_order_of_the_rows_does_not_matter() -> None:
    """Columns of the table and of the trips belong together whatever order the rows came in."""
    result = long_result()
    shuffled = replace(result, trips=np.random.default_rng(1).permutation(result.trips))
    assert repr(judge(shuffled, draws=20)) == repr(judge(result, draws=20))


def test_equal_seeds_give_equal_judgements() -> None:
    others = [rival(seed) for seed in range(4)]

    def told(seed: int, rules: FirmRules | None = None) -> str:
        return repr(judge(long_result(), rules=rules, rivals=others, seed=seed, draws=50))

    assert told(3, FirmRules()) == told(3, FirmRules())
    assert told(3) != told(4)


# ------------------------------------------------------------------------------------------------ V3
def parts_of(**more: object) -> CostParts:
    row = np.array([trip(0, **more)])  # type: ignore[arg-type]
    values = {str(name): PRODUCTS[str(name)].tick_value_cents for name in row["contract"]}
    return cost_parts(row, trips_of(row, values))


@pytest.mark.parametrize(
    ("row", "spread", "slippage"),
    [
        # MNQ: 50 cents a tick, 2 ticks of spread. Bought at 100 000 with a stop 40 ticks below.
        ({"exit_reason": "target", "exit_price_size": 100_080}, 50, 0),  # the target is a limit: half of it
        ({"exit_reason": "stop", "exit_price_size": 99_960}, 100, 0),  # at its price
        ({"exit_reason": "stop", "exit_price_size": 99_957}, 100, 150),  # three ticks beyond
        ({"exit_reason": "stop", "exit_price_size": 100_010}, 100, 0),  # was moved: nothing can be told
        ({"exit_reason": "stop", "exit_price_size": 99_957, "stop_ticks": 0}, 100, 0),  # not known
        ({"exit_reason": "close", "exit_price_size": 99_900}, 100, 0),
        ({"exit_reason": "close", "exit_price_size": 99_900, "slippage_ticks": 3}, 100, 150),  # of the entry
        ({"exit_reason": "target", "exit_price_size": 100_080, "slippage_ticks": -1}, 50, -50),  # in favour
        ({"exit_reason": "stop", "side": -1, "exit_price_size": 100_042}, 100, 100),
        ({"exit_reason": "stop", "side": -1, "exit_price_size": 99_990}, 100, 0),
        # Two contracts: prices are sums; slippage of the entry counts all of them.
        ({"exit_reason": "stop", "size": 2, "entry_price_size": 200_000, "exit_price_size": 199_914,
          "slippage_ticks": 1}, 200, 350),
        ({"exit_reason": "target", "size": 3, "entry_price_size": 300_000, "exit_price_size": 300_240}, 150, 0),
        # MES: 125 cents, one tick of spread; half of it is 62.5 cents, rounded against the run.
        ({"contract": "MES", "exit_reason": "target", "exit_price_size": 100_080}, 63, 0),
        ({"contract": "NQ", "exit_reason": "stop", "exit_price_size": 99_958}, 1_000, 1_000),
    ],
)  # fmt: skip
def test_V3_costs_of_a_trade_by_hand(row: dict[str, object], spread: int, slippage: int) -> None:
    told = parts_of(fees_cents=44, commission_cents=30, **row)
    assert (told.spread.tolist(), told.slippage.tolist()) == ([spread], [slippage])
    assert (told.fees.tolist(), told.commissions.tolist()) == ([44], [30])


def test_V3_what_a_run_would_have_made_without_costs_and_where_it_dies() -> None:
    """Net 926 and -2 224: fees 74 and 74, spread 50 and 100, slippage 0 and 100 = 398 cents; free of them -900."""
    rows = [trip(926), trip(-2_224, 1, exit_price_size=99_958)]
    told = judge(result_of(*rows)).costs
    assert told is not None
    assert told.parts_cents == (("fees", 148), ("commissions", 0), ("spread", 150), ("slippage", 100))
    assert (told.net_cents, told.costs_cents, told.frictionless_cents, told.dies_at) == (-1_298, 398, -900, 0.0)
    winner = judge(result_of(trip(926))).costs
    assert winner is not None
    assert (winner.costs_cents, winner.frictionless_cents) == (124, 1_050)
    assert winner.dies_at == pytest.approx(1_050 / 124)


# ------------------------------------------------------------------------------------------------ V6, V7, V9
def test_V6_the_more_was_tried_the_less_the_same_result_is_worth() -> None:
    result = drawn(2, edge=0.35)
    alone, among = judge(result), judge(result, rivals=[rival(seed) for seed in range(12)])
    assert (alone.trials.trials, among.trials.trials) == (1, 13)
    assert alone.verdict.trials == 1.0
    assert 8 < among.verdict.trials <= 13  # independent ones count nearly whole
    assert alone.sharpe is not None
    assert among.sharpe is not None
    assert alone.sharpe.dsr == alone.sharpe.psr > 0.95
    assert among.sharpe.psr == alone.sharpe.psr
    assert among.sharpe.dsr < 0.95
    assert (alone.verdict.finding, among.verdict.finding) == ("promising, not proven", "no evidence of an edge")


def test_V6_trials_that_did_the_same_or_nothing_are_no_further_trials() -> None:
    result = drawn(2, edge=0.35)
    daily = dict(zip(result.trips["day"].tolist(), result.trips["net_cents"].tolist(), strict=True))
    same = replace(rival(1), daily_cents=daily)
    told = judge(result, rivals=[same, same, rival(2, trips=0)])
    assert (told.trials.trials, told.trials.varied) == (4, 3)
    assert told.verdict.trials == pytest.approx(1.0)
    assert told.sharpe is not None
    assert told.sharpe.dsr == pytest.approx(told.sharpe.psr)


def test_V7_overfitting_of_one_with_skill_is_unlikely_and_of_noise_about_a_half() -> None:
    others = [rival(seed) for seed in range(7)]
    skilled = judge(drawn(1, edge=1.0), rivals=others).pbo
    assert skilled is not None
    assert skilled < 0.05
    noise = [judge(drawn(seed), rivals=[rival(100 * seed + n) for n in range(7)], draws=20).pbo for seed in range(12)]
    assert 0.35 < np.mean([value for value in noise if value is not None]) < 0.65


def test_V7_too_few_trials_or_days_give_no_number() -> None:
    trials, days = FEWEST_FOR_PBO
    enough = [rival(seed) for seed in range(trials - 1)]
    assert judge(drawn(1), rivals=enough).pbo is not None
    assert judge(drawn(1), rivals=enough[1:]).pbo is None
    assert judge(drawn(1), rivals=[*enough[1:], rival(9, trips=0)]).pbo is None  # one that never traded is none
    assert judge(drawn(1, days=days), rivals=enough).pbo is not None
    assert judge(drawn(1, days=days - 1), rivals=enough).pbo is None


def test_V9_days_without_a_trade_count() -> None:
    """Twelve days with a trade among twelve, or among sixty: the ratio of the day falls."""
    rows = [trip(3_000 if day % 3 else -2_000, day) for day in range(12)]
    every = drawn(1).days
    dense = judge(replace(result_of(*rows), days=every[:12]))
    sparse = judge(replace(result_of(*rows), days=every))
    assert (dense.summary.days, sparse.summary.days) == (12, 60)
    assert dense.sharpe is not None
    assert sparse.sharpe is not None
    assert (dense.sharpe.moments.n, sparse.sharpe.moments.n) == (12, 60)
    assert sparse.sharpe.moments.sharpe < dense.sharpe.moments.sharpe / 1.5
    assert dense.expectancy_cents is not None
    assert sparse.expectancy_cents is not None
    assert dense.expectancy_cents.estimate == sparse.expectancy_cents.estimate == pytest.approx(4_000 / 3)


def test_V9_trades_of_one_day_are_one_draw() -> None:
    """Ten times the trades of the same days make no narrower interval."""
    days = [2_000, -1_500, 900, -400, 1_800, -2_200, 700, 300, -900, 1_100, 500, -1_300]
    one = judge(result_of(*(trip(net, day) for day, net in enumerate(days)), days=12), draws=1_000)
    ten = judge(
        result_of(*(trip(net, day, number=n) for day, net in enumerate(days) for n in range(10)), days=12), draws=1_000
    )
    assert one.expectancy_cents is not None
    assert ten.expectancy_cents is not None
    width = [told.expectancy_cents.high - told.expectancy_cents.low for told in (one, ten)]  # type: ignore[union-attr]
    assert width[1] == pytest.approx(width[0], rel=0.1)


# ------------------------------------------------------------------------------------------------ V10
def test_V10_odds_of_a_combine_or_the_reason_why_there_are_none() -> None:
    rich = judge(drawn(4, edge=3.0), rules=FirmRules())
    assert rich.odds_missing == ""
    assert rich.odds is not None
    assert rich.odds.passed.estimate > 0.9
    poor = judge(drawn(4, edge=-2.0), rules=FirmRules()).odds
    assert poor is not None
    assert poor.passed.estimate == 0.0
    for rules in (None, FirmRules(stage="practice", target_cents=0)):
        told = judge(drawn(4), rules=rules)
        assert (told.odds, told.odds_missing) == (None, "the account has no target to pass")
        line = next(one for one in features(result_of(), told, Extra()) if one.key == "V10")
        assert not line.known
        assert told.odds_missing in line.line
    nothing = judge(replace(result_of(), days=()), rules=FirmRules())
    assert nothing.odds is None
    assert "the run has none" in nothing.odds_missing


# ------------------------------------------------------------------------------------------------ V11, V12
def scored(rows: list[np.void], decides: str, idle: str) -> tuple[Signal, ...]:
    return tuple(signal_of(row, parts={decides: float(row["score"]) / 100, idle: 0.5}) for row in rows)


def test_V11_a_score_that_tells_winners_apart_and_a_component_that_adds_nothing() -> None:
    chance = np.random.default_rng(5)
    score = chance.uniform(0, 100, 120)
    won = chance.uniform(0, 100, 120) < score
    rows = [
        trip(2_000 if win else -2_000, number // 2, number=number % 2, score=float(points))
        for number, (points, win) in enumerate(zip(score, won, strict=True))
    ]
    told = judge(result_of(*rows, days=60, signals=scored(rows, "volume", "gap"))).scores
    assert told is not None
    assert told.reliability.n == 120
    assert told.reliability.uncertainty == pytest.approx(won.mean() * (1 - won.mean()))
    assert told.reliability.skill > 0.15
    assert told.monotonicity.rho > 0.4
    assert told.monotonicity.p_value < 0.01
    assert told.components.adding_nothing == ("gap",)
    shuffled = [trip(int(net), number // 2, number=number % 2, score=float(row["score"]))
                for number, (row, net) in enumerate(zip(rows, chance.permutation([row["net_cents"] for row in rows]),
                                                        strict=True))]  # fmt: skip
    worthless = judge(result_of(*shuffled, days=60, signals=scored(shuffled, "volume", "gap"))).scores
    assert worthless is not None
    assert worthless.reliability.skill < 0.05
    assert worthless.monotonicity.p_value > 0.05


def test_V11_only_trades_that_came_from_a_signal_count() -> None:
    rows = [trip(1_000 if day % 2 else -1_000, day, score=float(day)) for day in range(FEWEST_FOR_SCORES + 3)]
    told = judge(result_of(*rows, days=30, signals=scored(rows[3:], "volume", "gap"))).scores
    assert told is not None
    assert told.reliability.n == FEWEST_FOR_SCORES
    assert judge(result_of(*rows, days=30, signals=scored(rows[4:], "volume", "gap"))).scores is None


def story(row: np.void, *, age_h: float, test: int, near: int, trend: int | None) -> Signal:
    known = int(row["opened_ns"]) - round(age_h * HOUR)
    zone = Evidence(1, "ob", 1, 15, 99_990, 100_010, 100_010, known)
    trends = {} if trend is None else {"1h": trend}
    why = Why(zone, test, known, (), trends, (), near, (), None, None, 100_000, None, 4_000, 74, 3)
    return signal_of(row, why=why)


def test_V12_labels_of_every_dimension_by_hand() -> None:
    """Three trades with a story, one without: a Wednesday, a Thursday and two on a Friday (13:00, 9:00, 8:00, 8:00)."""
    rows = [
        trip(1, 0), trip(2, 1, hour=9, side=-1, zone_timeframe_min=60),
        trip(3, 2, hour=8, zone_kind="fvg", contract="MES"), trip(4, 2, hour=8, number=30, zone_kind=""),
    ]  # fmt: skip
    signals = (
        story(rows[0], age_h=0.5, test=1, near=10, trend=1),
        story(rows[1], age_h=4, test=2, near=20, trend=1),
        story(rows[2], age_h=30, test=5, near=30, trend=0),
    )
    found = dimensions(np.array(rows), signals)
    assert {name: labels.tolist() for name, labels in found.items()} == {
        "contract": ["MNQ", "MNQ", "MES", "MNQ"],
        "side": ["long", "short", "long", "long"],
        "pattern": ["ob", "ob", "fvg", ""],
        "timeframe": ["15m", "1h", "15m", "15m"],
        "news": ["", "", "", ""],  # nobody told when there was any
        "hour (Chicago)": ["13", "09", "08", "08"],
        "weekday": ["Wed", "Thu", "Fri", "Fri"],
        "volatility": ["low", "high", "low", ""],  # by contract: ranges of different markets are no thirds of one
        "1h trend": ["with it", "against it", "none", ""],
        "zone age (h)": ["<1", "4..24", ">=24", ""],
        "test of the zone": ["<2", "2..3", ">=3", ""],
    }


def test_V12_news_windows_reach_from_five_minutes_before_to_five_after() -> None:
    minute = 60 * 10**9
    rows = np.array([trip(1, 0), trip(1, 1), trip(1, 2), trip(1, 3), trip(1, 4)])
    at = rows["opened_ns"].astype(np.int64)
    news = sorted([at[0] - 5 * minute, at[1] + 5 * minute, at[2] - 5 * minute - 1, at[3] + 5 * minute + 1])
    told = dimensions(rows, (), [int(time) for time in news])["news"]
    assert told.tolist() == ["window", "window", "calm", "calm", "calm"]


def test_V12_a_regime_in_which_all_is_lost_stands_out() -> None:
    chance = np.random.default_rng(6)
    rows = [
        trip(int(chance.normal(-3_000 if hour == 9 else 0, 1_000)), day, hour=hour, number=hour)
        for day in range(40) for hour in (8, 9)
    ]  # fmt: skip
    told = judge(result_of(*rows, days=40), draws=1_000).regimes
    assert told is not None
    assert {(one.dimension, one.label) for one in told.standing_out} >= {("hour (Chicago)", "09")}
    assert ("hour (Chicago)", "08") not in {(one.dimension, one.label) for one in told.standing_out}
    worst = next(one for one in told.groups if one.label == "09")
    assert (worst.n, worst.days) == (40, 40)
    assert worst.expectancy.high < 0


# ------------------------------------------------------------------------------------------------ V4
def test_V4_a_percentile_that_is_not_known_is_told_with_its_reason() -> None:
    told = judge(drawn(1), null_missing="these data are ticks")
    line = next(one for one in features(drawn(1), told, Extra()) if one.key == "V4")
    assert (line.known, line.line) == (False, "these data are ticks; ask: tbot audit levels")
    known = judge(drawn(1), null_percentile=97.0)
    assert next(one for one in features(drawn(1), known, Extra()) if one.key == "V4").known
