"""Trades on hand-written ticks, worked out by hand to the cent, through strategy, Desk and account book.

Common to all: MNQ has ticks of 50 cents and costs 36 + 25 cents a contract and side, 122 there and back. The market is
quiet at 80 000 (bid 79 998); the bar of 120 s closes with the signal, so the order meets its first tick, the quote of
121 s, and a buy fills at its ask 80 000. Stop and target are counted from there. ONE allows one contract a trade.
"""

from dataclasses import replace
from typing import Any

import pytest

from backtest_cases import BUY, NO_SLIP, ROOMY, SELL, Tape, cue, play
from tbot.domain.contracts import PRODUCTS
from tbot.execution.fill_model import FillSettings

ONE = replace(ROOMY, max_micros=1)
LONG = [cue(120, BUY, 40, 80)]  # stop 79 960, target 80 080
SHORT = [cue(120, SELL, 40, 80)]


def quiet(until: int = 130, contract: str = "MNQ", price: int = 80_000) -> Tape:
    return Tape(contract).quiet(0, until, price)


def test_V2_target_traded_through_by_one_tick() -> None:
    case = play([quiet().both(130, 80_080).both(131, 80_081)], LONG, limits=ONE)
    assert case.fills == [("MNQ", 121.0, 1, 80_000), ("MNQ", 131.0, -1, 80_080)]
    # 80 ticks of 50 cents = 40.00; costs 1.22
    assert case.trips == [("MNQ", 1, 80_000, 80_080, 4_000, 122, "target")]
    assert case.balance() == 5_000_000 + 4_000 - 122


def test_V2_target_touched_but_not_traded_through() -> None:
    case = play([quiet().both(130, 80_080).quote(131, 79_960).trade(131, 79_960)], LONG, limits=ONE)
    # The stop sells at the bid 79 960: 40 ticks, 20.00
    assert case.trips == [("MNQ", 1, 80_000, 79_960, -2_000, 122, "stop")]


def test_V2_gap_through_the_stop() -> None:
    case = play([quiet().quote(130, 79_898).trade(130, 79_900)], LONG, limits=ONE, fills=FillSettings(0, 1))
    # The stop was 79 960; the market behind the gap bids 79 898, and one tick of slippage: 103 ticks, 51.50
    assert case.fills[-1] == ("MNQ", 130.0, -1, 79_897)
    assert case.trips == [("MNQ", 1, 80_000, 79_897, -5_150, 122, "stop")]


def test_V2_gap_through_the_stop_of_a_short() -> None:
    case = play([quiet().quote(130, 80_099, 80_103).trade(130, 80_101)], SHORT, limits=ONE, fills=FillSettings(0, 1))
    # Sold at the bid 79 998, stop 80 038; bought at the ask 80 103 + 1: 106 ticks, 53.00
    assert case.trips == [("MNQ", -1, 79_998, 80_104, -5_300, 122, "stop")]


def test_V2_gap_through_the_target_fills_at_the_limit() -> None:
    case = play([quiet().both(130, 80_300)], LONG, limits=ONE)
    assert case.trips == [("MNQ", 1, 80_000, 80_080, 4_000, 122, "target")]


def test_V2_one_print_that_could_be_stop_or_target_is_a_stop_and_a_stop_never_moves_on_quotes() -> None:
    # The quote alone falls far below the stop and comes back: nothing was traded there, nothing happens.
    case = play([quiet().quote(130, 79_900).both(131, 80_000).both(132, 80_081)], LONG, limits=ONE)
    assert case.trips == [("MNQ", 1, 80_000, 80_080, 4_000, 122, "target")]


def test_V2_partial_fills_of_the_target_then_stop_of_the_rest() -> None:
    tape = quiet().both(130, 80_081, size=2).both(131, 80_082, size=1).quote(140, 79_950).trade(140, 79_955)
    case = play([tape], LONG, fills=FillSettings(0, 0, partial=True))
    # Five contracts. Two contracts went through 80 080, then one more; then the stop of the two that are left sells at
    # the bid 79 950, which is worse than the stop 79 960 and than the print.
    assert case.fills == [
        ("MNQ", 121.0, 5, 80_000),
        ("MNQ", 130.0, -2, 80_080),
        ("MNQ", 131.0, -1, 80_080),
        ("MNQ", 140.0, -2, 79_950),
    ]
    # 3 x 80 - 2 x 50 = 140 ticks = 70.00; costs 5 x 1.22
    (trip,) = case.trips
    assert trip[:6] == ("MNQ", 5, 400_000, 3 * 80_080 + 2 * 79_950, 7_000, 610)
    assert case.balance() == 5_000_000 + 7_000 - 610


def test_V2_partial_fills_by_half_of_what_went_through() -> None:
    tape = quiet().both(130, 80_081, size=3).both(131, 80_081, size=3).both(132, 80_081, size=9)
    case = play([tape], LONG, fills=FillSettings(0, 0, partial=True, participation_percent=50))
    # Half of 3 is 1; half of 6 is 3, so 2 more; half of 15 is 7, but 2 are left.
    assert [fill[1:3] for fill in case.fills] == [(121.0, 5), (130.0, -1), (131.0, -2), (132.0, -2)]


def test_V2_the_queue_at_the_target_is_served_first() -> None:
    tape = quiet().both(130, 80_080, size=30).both(131, 80_080, size=24).both(132, 80_080, size=1)
    case = play([tape], LONG, fills=FillSettings(0, 0, queue="share", queue_ahead=50))
    # 30 + 24 - 50 = 4 contracts would be ours, we want 5: not yet. With one more they are there.
    assert case.fills[-1] == ("MNQ", 132.0, -5, 80_080)


def test_V3_market_order_with_slippage() -> None:
    case = play([quiet().both(131, 80_084)], LONG, limits=ONE, fills=FillSettings(3, 0))
    # Bought at 80 003, so the target is 80 083: 80 ticks all the same
    assert case.trips == [("MNQ", 1, 80_003, 80_083, 4_000, 122, "target")]
    assert case.round_trips[0].slippage_ticks == 3


def test_V3_slippage_by_range_and_size() -> None:
    # Minute 0: trades 80 000 to 80 040, 40 ticks. Minute 1: back to 80 000, the close before was 80 040: 40 ticks.
    # Mean 40; 75 permille of it is 3 ticks. Volume of minute 1: 60 trades of 1. 24 ticks x 5 / 60 = 2 ticks.
    tape = Tape().quiet(0, 30, 80_000).quiet(30, 60, 80_040).quiet(60, 130, 80_000).both(130, 80_086)
    fills = FillSettings(0, 0, atr_slippage_permille=75, size_slippage_ticks=24)
    case = play([tape], LONG, fills=fills)
    assert case.fills == [("MNQ", 121.0, 5, 80_005), ("MNQ", 130.0, -5, 80_085)]
    # 5 x 80 ticks x 0.50 = 200.00
    assert case.trips == [("MNQ", 5, 400_025, 400_425, 20_000, 610, "target")]


def test_V3_slippage_by_range_is_paid_by_stops_too() -> None:
    tape = (
        Tape().quiet(0, 30, 80_000).quiet(30, 60, 80_040).quiet(60, 130, 80_000).quote(130, 79_950).trade(130, 79_955)
    )
    case = play([tape], LONG, limits=ONE, fills=FillSettings(0, 1, atr_slippage_permille=75))
    # Entry 80 003; stop 79 963; the bid is 79 950; slippage 1 + 3 ticks: 79 946, 57 ticks, 28.50
    assert case.trips == [("MNQ", 1, 80_003, 79_946, -2_850, 122, "stop")]


def test_V2_latency_moves_the_fill_to_a_later_tick() -> None:
    tape = Tape().quiet(0, 122, 80_000).both(122, 80_007).quiet(123, 130, 80_007).both(130, 80_088)
    case = play([tape], LONG, limits=ONE, fills=FillSettings(0, 0, latency_ns=1_500_000_000))
    # Decided at 120, at the venue at 121.5: the tick of 122 fills. Target 80 087.
    assert case.fills == [("MNQ", 122.0, 1, 80_007), ("MNQ", 130.0, -1, 80_087)]
    assert case.trips == [("MNQ", 1, 80_007, 80_087, 4_000, 122, "target")]


def test_V3_spread_by_hour_of_a_market_without_quotes() -> None:
    trades = Tape()
    for at_s in range(130):
        trades.trade(at_s, 80_000, 1, BUY)
    trades.trade(130, 80_083)
    # 08:30 in Chicago: the eighth hour has 5 ticks, half of them, rounded up, is 3.
    spreads = tuple(5 if hour == 8 else 50 for hour in range(24))
    case = play([trades], LONG, limits=ONE, fills=FillSettings(0, 0, spread_by_hour={"MNQ": spreads}))
    # Bought at 80 003; target 80 083 is not traded through by the last trade: still open
    assert case.fills == [("MNQ", 121.0, 1, 80_003)]
    trades.trade(131, 80_084)
    case = play([trades], LONG, limits=ONE, fills=FillSettings(0, 0, spread_by_hour={"MNQ": spreads}))
    assert case.trips == [("MNQ", 1, 80_003, 80_083, 4_000, 122, "target")]


def test_V3_a_market_without_quotes_pays_the_typical_spread() -> None:
    trades = Tape()
    for at_s in range(130):
        trades.trade(at_s, 80_000, 1, SELL)  # so 80 000 is the bid, and the ask is MNQ's 2 ticks above
    trades.trade(130, 80_083)
    case = play([trades], LONG, limits=ONE)
    assert case.trips == [("MNQ", 1, 80_002, 80_082, 4_000, 122, "target")]


def test_break_even_move() -> None:
    limits = replace(ONE, break_even_percent=100)
    tape = quiet().quiet(130, 133, 80_042).quote(140, 79_999).trade(140, 79_999)
    case = play([tape], LONG, limits=limits)
    # Bid 80 040 is 40 ticks above the entry, the whole stop distance: the stop goes to the entry 80 000. The print of
    # 140 s goes through it, the bid is 79 999: one tick, 0.50
    assert case.trips == [("MNQ", 1, 80_000, 79_999, -50, 122, "stop")]


def test_trailing_stop() -> None:
    limits = replace(ONE, trail_percent=50)
    tape = quiet().quiet(130, 133, 80_042).quiet(133, 136, 80_052).quote(140, 80_029).trade(140, 80_029)
    case = play([tape], LONG, limits=limits)
    # Half of 40: the stop follows the bid at 20 ticks. Bid 80 040: 80 020. Bid 80 050, 3 s later: 80 030. Sold at the
    # bid 80 029 behind it: 29 ticks, 14.50
    assert case.trips == [("MNQ", 1, 80_000, 80_029, 1_450, 122, "stop")]


@pytest.mark.parametrize(
    ("contract", "gross", "costs"),
    [
        ("MNQ", 4_000, 122),  # 80 ticks x 0.50; 2 x (0.36 + 0.25)
        ("NQ", 40_000, 378),  # 80 x 5.00; 2 x (1.39 + 0.50)
        ("MES", 10_000, 122),  # 80 x 1.25
        ("ES", 100_000, 378),  # 80 x 12.50
        ("MGC", 8_000, 192),  # 80 x 1.00; 2 x (0.71 + 0.25)
        ("GC", 80_000, 432),  # 80 x 10.00; 2 x (1.66 + 0.50)
    ],
)
def test_V3_fees_and_commissions_of_micro_and_mini(contract: str, gross: int, costs: int) -> None:
    tape = quiet(130, contract).both(130, 80_081)
    case = play([tape], [cue(120, BUY, 40, 80, contract)], limits=ONE)
    assert case.trips == [(contract, 1, 80_000, 80_080, gross, costs, "target")]
    assert case.balance() == 5_000_000 + gross - costs
    product = PRODUCTS[contract]
    assert 2 * (product.fees_cents + product.commission_cents) == costs


def test_two_contracts_at_once() -> None:
    mnq = quiet(130).both(130, 80_081)
    mgc = quiet(130, "MGC", 40_000).quote(131, 40_040, 40_042).trade(131, 40_041)
    case = play([mnq, mgc], [*LONG, cue(120, SELL, 40, 80, "MGC")], limits=ONE)
    # MGC was sold at the bid 39 998, its stop is 40 038; bought at the ask 40 042: 44 ticks of 1.00
    assert case.trips == [
        ("MNQ", 1, 80_000, 80_080, 4_000, 122, "target"),
        ("MGC", -1, 39_998, 40_042, -4_400, 192, "stop"),
    ]
    assert case.balance() == 5_000_000 + 4_000 - 122 - 4_400 - 192


def test_the_entry_meets_the_next_tick_of_its_contract_not_of_another() -> None:
    mnq = Tape().quiet(0, 121, 80_000).both(123, 80_004)
    mes = quiet(130, "MES", 26_000)
    case = play([mnq, mes], LONG, limits=ONE)
    assert case.fills == [("MNQ", 123.0, 1, 80_004)]


def test_unfilled_entry_is_cancelled_when_its_time_is_over() -> None:
    mnq = Tape().quiet(0, 121, 80_000).quiet(140, 145, 80_050)
    mes = quiet(150, "MES", 26_000)
    case = play([mnq, mes], LONG, limits=ONE)
    # No tick of MNQ for 20 s; after 5 s the entry is cancelled, and the ticks of 140 s find nothing
    assert (case.fills, case.trips, case.balance()) == ([], [], 5_000_000)
    assert [order.status for order in case.orders()] == ["cancelled"] * 3


def test_opposite_signal_while_open() -> None:
    mnq, nq = quiet(200), quiet(200, "NQ")
    cues = [*LONG, cue(180, SELL, 40, 80), cue(180, SELL, 40, 80, "NQ")]
    case = play([mnq, nq], cues, limits=ONE)
    assert case.fills == [("MNQ", 121.0, 1, 80_000)]
    assert case.denials == ["POSITION_OPEN", "OPPOSITE_EXPOSURE"]


@pytest.mark.parametrize(("last_quote_s", "denials"), [(117.0, ["RC_QUOTE_STALE"]), (117.5, [])])
def test_quote_older_than_the_ban(last_quote_s: float, denials: list[str]) -> None:
    # The bar of 120 s is closed by the clock at 120.25 s; a quote may be 3 s old then.
    mnq = Tape().quiet(0, 117, 80_000).both(last_quote_s, 80_000).quiet(121, 125, 80_000)
    case = play([mnq], LONG, limits=ONE)
    assert case.denials == denials
    assert len(case.fills) == (0 if denials else 1)


def test_hole_in_the_data_in_the_middle_of_a_trade() -> None:
    tape = quiet().hole(300).quote(300, 79_900).trade(300, 79_902).quiet(301, 310, 79_900)
    case = play([tape], LONG, limits=ONE)
    # Nothing is known of 170 s. The first trade behind the hole is beyond the stop: it fills there, at the bid.
    assert case.fills[-1] == ("MNQ", 300.0, -1, 79_900)
    assert case.trips == [("MNQ", 1, 80_000, 79_900, -5_000, 122, "stop")]


def test_hole_in_the_data_does_not_invent_a_target() -> None:
    tape = quiet().hole(300).quiet(300, 310, 80_020)
    case = play([tape], LONG, limits=ONE)
    assert case.fills == [("MNQ", 121.0, 1, 80_000)]


@pytest.mark.parametrize("month", [79_000, 81_000])
def test_roll_while_a_position_is_open(month: int) -> None:
    tape = quiet(140).roll(140).quiet(140, 420, month)
    case = play([tape], [*LONG, cue(360, BUY, 40, 80)], limits=ONE, fills=replace(NO_SLIP, roll_closes=True))
    # Closed at the last bid of the old month, 79 998: two ticks; the 1 000 ticks between the months are nobody's.
    assert case.trips == [("MNQ", 1, 80_000, 79_998, -100, 122, "other")]
    assert case.fills[2:] == [("MNQ", 361.0, 1, month)]  # and trading goes on in the new month
    assert [order.status for order in case.orders()[:4]] == ["filled", "expired", "expired", "filled"]


def test_roll_while_a_position_is_open_in_paper_trading() -> None:
    case = play([quiet(140).roll(140).quiet(140, 150, 79_000)], LONG, limits=ONE)
    # Without roll_closes the stop stays and meets whatever comes: at the bid 78 998, 1 002 ticks
    assert case.trips == [("MNQ", 1, 80_000, 78_998, -50_100, 122, "stop")]


def test_time_stands_for_what_comes_first_in_the_same_second() -> None:
    """Two prints of one instant go by their order in the stream."""
    tape: Any = quiet().trade(130, 80_081).trade(130, 79_900)
    case = play([tape], LONG, limits=ONE)
    assert case.trips == [("MNQ", 1, 80_000, 80_080, 4_000, 122, "target")]
