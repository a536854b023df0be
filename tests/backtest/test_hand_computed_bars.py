"""Trades on hand-written bars, worked out by hand to the cent, through strategy, Desk and account book.

A bar's prints come 0.3 s after its start, at a third, at two thirds, and at 59/60: open, nearer extreme, other extreme,
close. The first two minutes are QUIET; the second closes with the signal, the order fills at the open of the third, at
120.3 s. PRINTS says that a print has no spread, so an entry at an open of 80 000 is at 80 000; stop 79 960, target
80 080. One MNQ: 50 cents a tick, 1.22 of costs.
"""

from dataclasses import replace
from typing import Any

import pytest

from backtest_cases import BUY, ROOMY, SELL, T0, Bar, Outcome, Tape, bars, cue, play
from tbot.domain.timeframes import NS_PER_S
from tbot.execution.fill_model import FillSettings

ONE = replace(ROOMY, max_micros=1)
LONG = [cue(120, BUY, 40, 80)]
QUIET: Bar = (80_000, 80_004, 79_996, 80_000, 100)  # open, high, low, close, volume
NO_SPREAD = {"MNQ": (0,) * 24}
PRINTS = FillSettings(0, 0, spread_by_hour=NO_SPREAD)


def run(*rows: Bar, side: int = BUY, **more: Any) -> Outcome:
    values: dict[str, Any] = {"fills": PRINTS, "limits": ONE} | more
    return play([bars("MNQ", [QUIET, QUIET, *rows])], [cue(120, side, 40, 80)], **values)


ENTRY = ("MNQ", 120.3, 1, 80_000)


@pytest.mark.parametrize(
    ("bar", "second"),
    [
        ((80_000, 80_100, 79_950, 80_050, 9), 200.0),  # the low is nearer and is told first
        ((80_000, 80_090, 79_900, 80_050, 9), 220.0),  # the high, beyond the target, is told first
    ],
)
def test_V2_a_bar_that_touches_both_is_a_stop(bar: Bar, second: float) -> None:
    case = run(QUIET, bar)
    assert case.fills == [ENTRY, ("MNQ", second, -1, 79_960)]
    # 40 ticks, 20.00
    assert case.trips == [("MNQ", 1, 80_000, 79_960, -2_000, 122, "stop")]


@pytest.mark.parametrize(
    ("bar", "exit_", "gross"),
    [
        ((80_000, 80_100, 79_950, 80_050, 9), ("MNQ", 200.0, -1, 79_960), -2_000),
        ((80_000, 80_090, 79_900, 80_050, 9), ("MNQ", 200.0, -1, 80_080), 4_000),
    ],
)
def test_V2_the_same_bars_when_their_path_is_believed(bar: Bar, exit_: Any, gross: int) -> None:
    case = run(QUIET, bar, fills=replace(PRINTS, intrabar="path"))
    assert case.fills == [ENTRY, exit_]
    assert case.trips[0][4] == gross


def test_V2_a_bar_that_touches_both_is_a_stop_for_a_short_too() -> None:
    # Sold at 80 000: stop 80 040, target 79 920
    case = run(QUIET, (80_000, 80_090, 79_900, 80_000, 9), side=SELL)
    assert case.trips == [("MNQ", -1, 80_000, 80_040, -2_000, 122, "stop")]


def test_V2_the_bar_of_the_entry_stops_it() -> None:
    case = run((80_000, 80_010, 79_950, 79_990, 9))
    assert case.fills == [ENTRY, ("MNQ", 160.0, -1, 79_960)]


def test_V2_the_bar_of_the_entry_touches_both() -> None:
    case = run((80_000, 80_081, 79_950, 80_070, 9))
    assert case.trips == [("MNQ", 1, 80_000, 79_960, -2_000, 122, "stop")]


def test_V2_target_touched_by_one_bar_and_traded_through_by_the_next() -> None:
    case = run(QUIET, (80_000, 80_080, 79_990, 80_010, 9), (80_010, 80_081, 80_000, 80_020, 9))
    # The second of them ends at 299 s, and only there it is known that its low has not come to the stop
    assert case.fills == [ENTRY, ("MNQ", 299.0, -1, 80_080)]
    assert case.trips == [("MNQ", 1, 80_000, 80_080, 4_000, 122, "target")]


def test_V2_gap_through_the_stop_fills_at_the_open() -> None:
    case = run(QUIET, (79_900, 79_950, 79_800, 79_850, 9), fills=replace(PRINTS, stop_slippage_ticks=1))
    # Open 79 900 and one tick: 101 ticks, 50.50
    assert case.fills == [ENTRY, ("MNQ", 180.3, -1, 79_899)]
    assert case.trips == [("MNQ", 1, 80_000, 79_899, -5_050, 122, "stop")]


def test_V2_inside_a_bar_a_stop_fills_at_its_price_and_pays_its_slippage() -> None:
    case = run(QUIET, (79_990, 79_999, 79_800, 79_850, 9), fills=replace(PRINTS, stop_slippage_ticks=3))
    assert case.trips == [("MNQ", 1, 80_000, 79_957, -2_150, 122, "stop")]


def test_V2_gap_over_the_target_fills_at_the_limit_before_anything_else_of_the_bar() -> None:
    case = run(QUIET, (80_200, 80_210, 79_900, 79_950, 9))
    assert case.fills == [ENTRY, ("MNQ", 180.3, -1, 80_080)]


def test_V3_bars_without_a_table_pay_the_typical_spread() -> None:
    case = run(QUIET, (79_900, 79_950, 79_800, 79_850, 9), fills=FillSettings(0, 1))
    # The print before the entry fell from 80 004 to 80 000, so 80 000 is the bid and the ask is 80 002. Stop 79 962.
    # The open 79 900 fell, so it is the bid, less a tick: 103 ticks, 51.50
    assert case.trips == [("MNQ", 1, 80_002, 79_899, -5_150, 122, "stop")]


def test_V3_spread_by_hour_on_bars() -> None:
    spreads = {"MNQ": tuple(4 if hour == 8 else 40 for hour in range(24))}  # it is 08:32 in Chicago
    case = run(QUIET, (79_990, 79_999, 79_800, 79_850, 9), fills=replace(PRINTS, spread_by_hour=spreads))
    # Bought at 80 000 + 2, stop 79 962, which sells 2 below itself: 42 ticks
    assert case.trips == [("MNQ", 1, 80_002, 79_960, -2_100, 122, "stop")]


def test_V2_break_even_inside_a_bar_that_reaches_the_old_stop_too() -> None:
    limits = replace(ONE, break_even_percent=100)
    case = run(QUIET, (80_000, 80_050, 79_940, 79_990, 9), limits=limits)
    # High first: the Desk moves the stop to 80 000. But the low reaches 79 960, where the stop stood when the bar
    # began, and nobody knows whether it came before the high.
    assert case.trips == [("MNQ", 1, 80_000, 79_960, -2_000, 122, "stop")]


def test_V2_break_even_inside_a_bar_that_reaches_the_new_stop_only() -> None:
    limits = replace(ONE, break_even_percent=100)
    case = run(QUIET, (80_030, 80_050, 79_990, 80_010, 9), limits=limits)
    assert case.trips == [("MNQ", 1, 80_000, 80_000, 0, 122, "stop")]


def test_V2_bars_fill_whole_and_at_once_whatever_latency_says() -> None:
    fills = replace(PRINTS, partial=True, participation_percent=1, latency_ns=2_000_000_000)
    case = run(QUIET, (80_000, 80_081, 79_990, 80_010, 9), fills=fills, limits=ROOMY)
    assert case.fills == [("MNQ", 120.3, 5, 80_000), ("MNQ", 239.0, -5, 80_080)]
    assert case.trips == [("MNQ", 5, 400_000, 400_400, 20_000, 610, "target")]


def test_V2_bars_of_one_second() -> None:
    still: Bar = (80_000, 80_004, 79_996, 80_000, 4)
    wild: Bar = (80_000, 80_090, 79_950, 80_050, 4)
    case = play([bars("MNQ", [still] * 125 + [wild] + [still] * 4, period_s=1)], LONG, fills=PRINTS, limits=ONE)
    # The low is nearer: a third into the bar of 125 s
    assert [(fill[0], round(fill[1], 2), *fill[2:]) for fill in case.fills] == [ENTRY, ("MNQ", 125.33, -1, 79_960)]


def test_V2_bars_of_one_second_that_do_not_reach_the_stop() -> None:
    still: Bar = (80_000, 80_004, 79_996, 80_000, 4)
    up: Bar = (80_000, 80_090, 79_961, 80_050, 4)
    case = play([bars("MNQ", [still] * 125 + [up] + [still] * 4, period_s=1)], LONG, fills=PRINTS, limits=ONE)
    assert [(round(fill[1], 2), *fill[2:]) for fill in case.fills[1:]] == [(125.98, -1, 80_080)]


@pytest.mark.parametrize(("high", "low", "price"), [(80_075, 80_000, 80_070), (80_120, 80_066, 80_066)])
def test_V2_an_exit_at_market_inside_a_bar_is_no_better_than_its_decision(high: int, low: int, price: int) -> None:
    # MES, on ticks, falls by 200 ticks (250.00) at 190 s, which ends the day: 200.00 are allowed. The position in MNQ
    # is closed with it, inside a bar that has opened at 80 070. Its next print is an invented one: the high where that
    # is nearer, which is too good, else the low.
    mes = Tape("MES").quiet(0, 190, 26_000).quote(190, 25_800).quote(191, 25_800).quote(200, 25_800)
    rows = [QUIET] * 3 + [(80_070, high, low, 80_070, 9)]
    cues = [cue(120, BUY, 40, 200), cue(120, BUY, 40, 80, "MES")]
    case = play([bars("MNQ", rows), mes], cues, fills=PRINTS, limits=replace(ONE, daily_loss_cents=20_000))
    # 200 x 1.25 = 250.00 for MES
    assert case.trips == [
        ("MES", 1, 26_000, 25_800, -25_000, 122, "close"),
        ("MNQ", 1, 80_000, price, (price - 80_000) * 50, 122, "close"),
    ]
    assert case.fills[-1][1] == 200.0
    assert case.round_trips[1].exit_code == "RC_DAILY_LOSS"


def test_V2_the_end_of_the_day_is_known_before_the_bar_opens() -> None:
    # 20:55 UTC is the end (see test_hand_computed_accounts), 780 s after this t0: the clock of 780.25 s says so.
    t0 = T0 + (23_100 - 780) * NS_PER_S
    rows = [QUIET] * 13 + [(80_010, 80_050, 79_970, 80_000, 9)]
    case = play([bars("MNQ", rows, t0=t0)], [cue(120, BUY, 40, 80, t0=t0)], fills=PRINTS, limits=ONE, t0=t0)
    assert case.fills == [ENTRY, ("MNQ", 780.3, -1, 80_010)]
    assert case.trips == [("MNQ", 1, 80_000, 80_010, 500, 122, "close")]


def test_V3_slippage_on_bars_is_measured_by_the_bars_before() -> None:
    # True range of both minutes: 8 ticks; half of it 4. Volume 100: 200 x 1 / 100 = 2 ticks. Bought at 80 006.
    fills = replace(PRINTS, atr_slippage_permille=500, size_slippage_ticks=200)
    case = run((80_000, 80_004, 79_996, 80_000, 100), (80_000, 80_087, 79_990, 80_010, 9), fills=fills)
    assert case.fills == [("MNQ", 120.3, 1, 80_006), ("MNQ", 239.0, -1, 80_086)]
