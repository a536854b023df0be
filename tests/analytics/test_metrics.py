"""Figures of round trips against numbers worked out by hand, and at the edges where there is nothing to divide by."""

import dataclasses
import json
import math
from datetime import date
from fractions import Fraction

import pytest

from report_week import ACCOUNT, S, Trade, at
from tbot.analytics.breakdowns import DIMENSIONS, groups
from tbot.analytics.metrics import Figures, deepest, figures
from tbot.analytics.report_document import figure_row
from tbot.analytics.round_trips import Deal
from tbot.domain import messages as m

DAY = date(2026, 11, 16)


def deal(net_cents: int, place: int = 0, *, days: int = 0, risk: int = 0, size: int = 1, **more: object) -> Deal:
    """A round trip with this net result; `place` orders those of a day, `days` after Monday."""
    opened = at("2026-11-16T15:00:00") + (days * 86_400 + place * 600) * S
    trip = m.RoundTrip(opened + 120 * S, ACCOUNT, "MNQ", 1, size, opened, 0, 0, net_cents + 30, 20, 10, "target",
                       "s", 0)  # fmt: skip
    intent = m.Intent(opened, ACCOUNT, "s", "MNQ", 1, size, m.Quote(0, 1, 0, 0), 40, 80, risk, "t") if risk else None
    return Deal(dataclasses.replace(trip, **more), None, intent)  # type: ignore[arg-type]


def of(*nets: int, **more: int) -> Figures:
    return figures([deal(net, place, **more) for place, net in enumerate(nets)])


def test_a_worked_example() -> None:
    """+100, -40, +60, -20, -30, 0 dollars: counted on paper."""
    told = of(10_000, -4_000, 6_000, -2_000, -3_000, 0)
    assert (told.n, told.wins, told.losses, told.even) == (6, 2, 3, 1)
    assert (told.net_cents, told.won_cents, told.lost_cents) == (7_000, 16_000, 9_000)
    assert told.gross_cents == 7_000 + 6 * 30
    assert (told.fees_cents, told.commission_cents) == (120, 60)
    assert told.win_rate == Fraction(1, 3)
    assert told.average_win_cents == 8_000
    assert told.average_loss_cents == 3_000
    assert told.win_loss_ratio == Fraction(8, 3)
    assert told.profit_factor == Fraction(16, 9)
    assert told.expectancy_cents == Fraction(7_000, 6)
    assert (told.best_cents, told.worst_cents) == (10_000, -4_000)
    assert (told.winning_streak, told.losing_streak) == (1, 2)
    # Highest point 120 after the third trade, lowest 70 after the fifth: 50 deep, three trades long, not recovered.
    assert (told.fall.depth_cents, told.fall.trips, told.fall.recovered) == (5_000, 3, False)
    assert told.held_ns == told.held_won_ns == told.held_lost_ns == 120 * S
    assert told.day_win_rate == 1
    assert told.best_day_share == 1


def test_results_over_the_approved_risk() -> None:
    told = of(10_000, -5_000, risk=4_000)
    assert told.expectancy_r == pytest.approx((2.5 - 1.25) / 2)
    assert told.n_with_risk == 2
    assert of(100).expectancy_r is None


def test_days_are_trading_days_and_count_once() -> None:
    """Two days: +30 -10 and -50; a third without a trade."""
    deals = [deal(3_000), deal(-1_000, 1), deal(-5_000, days=1)]
    told = figures(deals, [date(2026, 11, 18)])
    assert [(day.day.day, day.n, day.wins, day.losses, day.net_cents) for day in told.days] == [
        (16, 2, 1, 1, 2_000), (17, 1, 0, 1, -5_000), (18, 0, 0, 0, 0),
    ]  # fmt: skip
    assert told.day_win_rate == Fraction(1, 2)
    assert told.best_day_share is None
    assert told.not_defined["best_day_share"] == "no profit in the period"


def test_an_evening_trade_belongs_to_the_next_day() -> None:
    late = deal(100, now_ns=at("2026-11-16T23:30:00"), opened_ns=at("2026-11-16T23:10:00"))  # 17:30 Chicago
    assert late.day == date(2026, 11, 17)


def test_best_day_is_a_share_of_the_profit() -> None:
    told = figures([deal(6_000), deal(-2_000, days=1), deal(4_000, days=2)])
    assert told.best_day_share == Fraction(6, 8)


def test_ratios_of_a_year_by_hand() -> None:
    """20 days of +30 and -10 in turn: mean 10, deviation sqrt(400 * 20 / 19), downside sqrt(50)."""
    deals = [deal(3_000 if number % 2 == 0 else -1_000, days=number) for number in range(20)]
    told = figures(deals)
    root = math.sqrt(252)
    assert told.sharpe.value == pytest.approx(1_000 / math.sqrt(4_000_000 * 20 / 19) * root)
    assert told.sortino.value == pytest.approx(1_000 / math.sqrt(500_000) * root)
    assert told.calmar.value == pytest.approx(1_000 * 252 / 1_000)
    assert told.sharpe.low is not None
    assert told.sharpe.high is not None
    assert told.sharpe.low < told.sharpe.value < told.sharpe.high
    assert figures(deals) == told  # the interval is the same every time


@pytest.mark.parametrize(
    ("nets", "why"),
    [
        ((), "no trades"),
        ((500,) * 19, "19 trading days, 20 are needed"),
        ((500,), "1 trading day, 20 are needed"),
    ],
)
def test_no_ratio_without_days(nets: tuple[int, ...], why: str) -> None:
    told = figures([deal(net, days=day) for day, net in enumerate(nets)])
    assert [one.value for one in (told.sharpe, told.sortino, told.calmar)] == [None] * 3
    assert {told.not_defined[name] for name in ("sharpe", "sortino", "calmar")} == {why}


def test_no_ratio_without_spread_or_losses() -> None:
    told = figures([deal(500, days=day) for day in range(25)])
    assert told.not_defined["sharpe"] == "all days are equal"
    assert told.not_defined["sortino"] == "no losing day"
    assert told.not_defined["calmar"] == "no drawdown"


@pytest.mark.parametrize("nets", [(), (500,), (-500,), (0,), (500, 600), (-500, -600), (0, 0), (500, -500)])
def test_nothing_is_infinite_or_no_number(nets: tuple[int, ...]) -> None:
    """What is not defined is null, and the reason stands beside it; all the rest is a plain number."""
    told = of(*nets)
    row = figure_row(told)
    json.dumps(row, allow_nan=False)
    renamed = {"win_loss_ratio", "profit_factor", "expectancy_r", "win_rate", "day_win_rate", "best_day_share"}
    missing = {name.removesuffix("_usd").removesuffix("_s") for name, value in row.items() if value is None}
    missing |= {name for name in ("sharpe", "sortino", "calmar") if row[name]["value"] is None}
    missing -= {"drawdown_from", "drawdown_until"}
    assert missing == set(told.not_defined)
    assert renamed >= missing - {
        "best", "worst", "average_win", "average_loss", "expectancy", "held", "held_won", "held_lost", "mae", "mfe",
        "sharpe", "sortino", "calmar",
    }  # fmt: skip


def test_all_wins_have_no_profit_factor() -> None:
    told = of(500, 700)
    assert told.profit_factor is None
    assert told.not_defined["profit_factor"] == "no losing trade"
    assert told.not_defined["average_loss"] == "no losing trade"
    assert told.fall.depth_cents == 0
    assert told.win_rate == 1


def test_a_fall_has_its_times() -> None:
    deals = [deal(1_000), deal(-400, 1), deal(-100, 2), deal(900, 3), deal(-50, 4)]
    fall = deepest(deals)
    assert (fall.depth_cents, fall.trips, fall.recovered) == (500, 3, True)
    assert fall.from_ns == deals[0].trip.now_ns
    assert fall.until_ns == deals[3].trip.now_ns
    assert fall.longest_trips == 3


def test_mae_and_mfe_are_of_all_contracts_and_of_what_was_watched() -> None:
    told = figures([deal(0, mae_ticks=10, mfe_ticks=4, size=3), deal(0, 1), deal(0, 2, mae_ticks=0, mfe_ticks=6)])
    assert told.n_watched == 2
    assert told.mae_cents == Fraction(10 * 50 * 3, 2)  # a tick of MNQ is 50 cents
    assert told.mfe_cents == Fraction(4 * 50 * 3 + 6 * 50, 2)


def test_groups_add_up_to_the_whole() -> None:
    deals = [
        deal(net, place, days=place % 3, contract=("MNQ", "ES")[place % 2], side=(1, -1)[place % 2])
        for place, net in enumerate((500, -300, 0, 250, -900, 40, 777))
    ]
    for dimension in DIMENSIONS:
        lines = groups(deals, dimension)
        assert sum(line.net_cents for line in lines) == sum(one.net_cents for one in deals)
        assert sum(line.n for line in lines) == len(deals)
        assert all(0 <= line.win_low <= line.win_rate <= line.win_high <= 1 for line in lines)


def test_a_trade_of_the_script_is_what_it_says() -> None:
    """The support code of other tests: MNQ, two contracts, 40 ticks of 50 cents."""
    trade = Trade("2026-11-16T15:00:00", 3)
    assert trade.gross_cents == 40 * 2 * 50
