"""What ends a day, a position or a permission, worked out by hand to the cent, on hand-written ticks.

The market is quiet at 80 000 (bid 79 998). A signal at 120 s buys MNQ at 80 000 at 121 s: stop 79 960, target 80 080;
50 cents a tick, 1.22 of costs for one contract there and back, 0.61 for one way.
"""

from dataclasses import replace

import pytest

from backtest_cases import BUY, NO_SLIP, ROOMY, SELL, T0, Tape, cue, play
from tbot.domain.timeframes import NS_PER_S
from tbot.execution.fill_model import FillSettings
from tbot.execution.settings import AccountSettings
from tbot.risk.firm import FirmRules

ONE = replace(ROOMY, max_micros=1)
LONG = [cue(120, BUY, 40, 80)]


def quiet(until: int = 130, t0: int = T0) -> Tape:
    return Tape("MNQ", t0).quiet(0, until, 80_000)


def test_two_accounts_with_limits_of_their_own() -> None:
    accounts = (AccountSettings(1, limits=ONE), AccountSettings(2, limits=replace(ROOMY, max_micros=3)))
    case = play([quiet().both(130, 80_081)], LONG, accounts=accounts)
    # 80 ticks x 0.50 a contract, less 1.22
    assert sorted((trip.account, trip.size, trip.net_cents) for trip in case.round_trips) == [
        (1, 1, 4_000 - 122),
        (2, 3, 12_000 - 366),
    ]
    assert (case.balance(1), case.balance(2)) == (5_003_878, 5_011_634)


def test_an_account_that_does_not_trade_the_contract() -> None:
    accounts = (AccountSettings(1, limits=ONE), AccountSettings(2, contracts=("MES",)))
    case = play([quiet().both(130, 80_081)], LONG, accounts=accounts)
    assert [trip.account for trip in case.round_trips] == [1]
    assert case.balance(2) == 5_000_000


def test_daily_loss_limit_flattens_with_slippage_of_its_own() -> None:
    limits = replace(ROOMY, daily_loss_cents=20_000)
    tape = quiet().quote(130, 79_840).quote(131, 79_840).quiet(132, 250, 79_842)
    case = play([tape], [*LONG, cue(240, BUY, 40, 80)], limits=limits, fills=FillSettings(2, 0))
    # Bought 5 at 80 002 (two ticks of slippage). Nothing is traded at the stop, but the bid 79 840 says: 5 x 162 ticks
    # x 0.50 = 405.00 are lost, more than 200.00. Sold at market at the next tick: bid 79 840 less two ticks.
    assert case.fills == [("MNQ", 121.0, 5, 80_002), ("MNQ", 131.0, -5, 79_838)]
    # 5 x 164 x 0.50 = 410.00
    assert case.trips == [("MNQ", 5, 400_010, 399_190, -41_000, 610, "close")]
    assert case.round_trips[0].exit_code == "RC_DAILY_LOSS"
    assert case.denials == ["RC_DAILY_LOSS"]
    assert case.balance() == 5_000_000 - 41_000 - 610


def test_second_loss_in_a_row_ends_the_day() -> None:
    tape = Tape().quiet(0, 130, 80_000)
    for start in (130, 250):
        tape.quote(start, 79_960).trade(start, 79_960).quiet(start + 1, start + 120, 80_000)
    case = play([tape], [cue(at_s, BUY, 40, 80) for at_s in (120, 240, 300)], limits=ONE)
    # Twice 40 ticks and costs; the third signal finds the day over
    assert case.trips == [("MNQ", 1, 80_000, 79_960, -2_000, 122, "stop")] * 2
    assert case.denials == ["RC_CONSEC_LOSSES"]
    assert case.balance() == 5_000_000 - 2 * 2_122


def test_a_win_between_two_losses_keeps_the_day_open() -> None:
    tape = Tape().quiet(0, 130, 80_000)
    tape.quote(130, 79_960).trade(130, 79_960).quiet(131, 250, 80_000)
    tape.both(250, 80_081).quiet(251, 310, 80_000).quote(310, 79_960).trade(310, 79_960).quiet(311, 370, 80_000)
    case = play([tape], [cue(at_s, BUY, 40, 80) for at_s in (120, 240, 300, 360)], limits=ONE)
    assert [trip[4] for trip in case.trips] == [-2_000, 4_000, -2_000]
    assert case.denials == []
    assert case.fills[-1] == ("MNQ", 361.0, 1, 80_000)


# Friday 2026-11-20: 15:10 in Chicago is late, 23:00 in Helsinki is 15:00 in Chicago; less 5 min: 14:55, which is
# 20:55 UTC, 23 100 s after T0. No entries in the 10 min before.
END_S = 23_100


def test_the_end_of_the_day_flattens() -> None:
    t0 = T0 + (END_S - 780) * NS_PER_S
    case = play([quiet(790, t0)], [cue(120, BUY, 40, 80, t0=t0)], limits=ONE, t0=t0)
    # Decided with the tick of 780 s, filled by the quote of 781 s: bid 79 998, two ticks
    assert case.fills == [("MNQ", 121.0, 1, 80_000), ("MNQ", 781.0, -1, 79_998)]
    assert case.trips == [("MNQ", 1, 80_000, 79_998, -100, 122, "close")]


def test_V2_a_close_that_takes_its_time_is_still_one_close() -> None:
    t0 = T0 + (END_S - 780) * NS_PER_S
    tape = quiet(780, t0).quiet(780, 783, 80_000).quiet(783, 800, 79_990)
    fills = FillSettings(0, 0, latency_ns=2_000_000_000)
    case = play([tape], [cue(120, BUY, 40, 80, t0=t0)], limits=ONE, fills=fills, t0=t0)
    # In at 122 s; the end of the day is seen at 780 s, the close counts at 782 s: the quote of that second fills it.
    # The Desk waits for its answer and asks only once.
    assert case.fills == [("MNQ", 122.0, 1, 80_000), ("MNQ", 782.0, -1, 79_998)]
    assert case.trips == [("MNQ", 1, 80_000, 79_998, -100, 122, "close")]
    assert case.states() == ["RECONCILING", "ACTIVE", "PAUSED", "REDUCING", "PAUSED"]


def test_V2_a_stop_leaves_what_a_late_close_was_sent_for() -> None:
    t0 = T0 + (END_S - 780) * NS_PER_S
    tape = quiet(781, t0).quote(781, 79_950).trade(781, 79_950).quiet(782, 800, 79_950)
    fills = FillSettings(0, 0, latency_ns=2_000_000_000)
    case = play([tape], [cue(120, BUY, 40, 80, t0=t0)], limits=ONE, fills=fills, t0=t0)
    # The stop meets the bid 79 950 before the close is there, and nothing is sold twice.
    assert case.fills == [("MNQ", 122.0, 1, 80_000), ("MNQ", 781.0, -1, 79_950)]


@pytest.mark.parametrize(
    ("seconds_before_the_last_entry", "denials"), [(1, []), (0, ["RC_WINDOW"]), (-60, ["RC_WINDOW"])]
)
def test_entries_end_ten_minutes_before(seconds_before_the_last_entry: int, denials: list[str]) -> None:
    # The signal comes at 120 s; the last moment for entries is END_S - 600.
    offset = END_S - 600 - 120 - seconds_before_the_last_entry
    whole = offset - offset % 60 if denials else offset // 60 * 60
    t0 = T0 + whole * NS_PER_S
    case = play([quiet(150, t0)], [cue(120, BUY, 40, 80, t0=t0)], limits=ONE, t0=t0)
    assert case.denials == denials
    assert len(case.fills) == (0 if denials else 1)


def test_an_early_close_flattens_early() -> None:
    # Friday 2026-11-27: the firm wants everything closed by 12:00 in Chicago, 18:00 UTC; flat at 17:55 UTC.
    t0 = 1_795_802_100 * NS_PER_S - 780 * NS_PER_S
    case = play([quiet(790, t0)], [cue(120, BUY, 40, 80, t0=t0)], limits=ONE, t0=t0)
    assert case.fills == [("MNQ", 121.0, 1, 80_000), ("MNQ", 781.0, -1, 79_998)]
    assert case.trips[0][4:] == (-100, 122, "close")


def test_the_firms_loss_floor_ends_everything() -> None:
    # Floor 48 000.00; everything ends at 48 300.00, entries end at 48 500.00. The account stands at 48 520.00.
    rules = FirmRules()
    tape = quiet().quote(130, 79_900).quote(131, 79_900).quiet(132, 250, 79_902)
    accounts = (AccountSettings(1, rules=rules),)
    cues = [*LONG, cue(240, BUY, 40, 80)]
    case = play([tape], cues, accounts=accounts, balance_cents=4_852_000)
    # 5 contracts; the entry cost 3.05. Bid 79 900: 5 x 100 x 0.50 = 250.00 lost: equity 48 266.95 less exit fees.
    assert case.fills == [("MNQ", 121.0, 5, 80_000), ("MNQ", 131.0, -5, 79_900)]
    assert case.trips == [("MNQ", 5, 400_000, 399_500, -25_000, 610, "close")]
    assert case.round_trips[0].exit_code == "RC_MAX_LOSS"
    assert case.denials == ["RC_MAX_LOSS"]
    assert case.balance() == 4_852_000 - 25_000 - 610


def test_the_firms_loss_floor_is_not_reached() -> None:
    tape = quiet().quote(130, 79_920).quote(131, 79_920).quiet(132, 140, 79_970)
    case = play([tape], LONG, accounts=(AccountSettings(1, rules=FirmRules()),), balance_cents=4_852_000)
    # 200.00 lost: equity 48 313.90, above 48 300.00: nothing is closed
    assert len(case.fills) == 1


def test_consistency_a_day_that_made_enough_ends() -> None:
    rules = replace(FirmRules(), day_profit_stop_cents=3_878)  # one target of one contract, net: 40.00 - 1.22
    tape = quiet().both(130, 80_081).quiet(131, 250, 80_000)
    case = play([tape], [*LONG, cue(240, BUY, 40, 80)], limits=ONE, accounts=(AccountSettings(1, rules=rules),))
    assert case.trips == [("MNQ", 1, 80_000, 80_080, 4_000, 122, "target")]
    assert case.denials == ["RC_DAY_PROFIT"]


def test_consistency_a_cent_less_is_not_enough() -> None:
    rules = replace(FirmRules(), day_profit_stop_cents=3_879)
    tape = quiet().both(130, 80_081).quiet(131, 250, 80_000)
    case = play([tape], [*LONG, cue(240, BUY, 40, 80)], limits=ONE, accounts=(AccountSettings(1, rules=rules),))
    assert case.fills[-1] == ("MNQ", 241.0, 1, 80_000)


def test_risk_decides_the_size() -> None:
    # One contract may lose (40 + 4) x 0.50 + 1.22 = 23.22; 100.00 pay for four.
    case = play([quiet().both(130, 80_081)], LONG, limits=replace(ROOMY, risk_per_trade_cents=10_000))
    assert case.trips == [("MNQ", 4, 320_000, 320_320, 16_000, 488, "target")]


def test_what_is_left_of_the_day_decides_the_size() -> None:
    limits = replace(ROOMY, daily_loss_cents=20_000, max_micros=5)
    tape = quiet().quote(130, 79_960).trade(130, 79_960).quiet(131, 250, 80_000).both(250, 80_081)
    case = play([tape], [*LONG, cue(240, BUY, 40, 80)], limits=limits)
    # 5 x 40 x 0.50 + 6.10 = 106.10 are lost. Of the 93.90 that are left, four contracts could lose 92.88.
    assert [trip[:2] for trip in case.trips] == [("MNQ", 5), ("MNQ", 4)]
    assert case.balance() == 5_000_000 - 10_610 + 16_000 - 488


def test_a_short_and_a_long_one_after_the_other() -> None:
    tape = quiet().quote(130, 79_916, 79_917).trade(130, 79_917).quiet(131, 250, 80_000).both(250, 80_081)
    case = play([tape], [cue(120, SELL, 40, 80), cue(240, BUY, 40, 80)], limits=ONE, fills=NO_SLIP)
    # Sold at the bid 79 998, target 79 918, traded through by one tick
    assert case.trips == [
        ("MNQ", -1, 79_998, 79_918, 4_000, 122, "target"),
        ("MNQ", 1, 80_000, 80_080, 4_000, 122, "target"),
    ]
