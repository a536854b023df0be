"""The daily loss and the losses in a row at their edges, on the running Desk (F-RSK-01, F-RSK-02, F-RSK-03)."""

from dataclasses import replace

import pytest

from desk_rig import Rig
from firm_rig import account, carried, exit_at, firm_rig, move, restarted
from tbot.domain.messages import CloseContract, Fill, PlaceBracket
from tbot.domain.timeframes import NS_PER_S
from tbot.execution.carry import CarryFold
from tbot.execution.desk import Carried
from tbot.risk.limits import RiskLimits

PLAIN = account(rules=None)


def started(limits: RiskLimits | None = None) -> Rig:
    return firm_rig(held=PLAIN, limits=limits)


def codes(rig: Rig) -> list[str]:
    return [reason["code"] for reason in rig.view()["reasons"]]


def trip(rig: Rig, ticks: int, fees: int = 0, *, pnl: int | None = None, at_ns: int | None = None) -> list[Fill]:
    """Somebody's round trip in one MNQ, told by the hub and by later answers: `ticks` x 0.50 less fees."""
    own, number = rig.broker, rig.broker.next_id
    own.next_id += 4
    at_ns = rig.now_ns if at_ns is None else at_ns
    pair = [
        Fill(at_ns, 1001, number, number + 1, "MNQ", 1, 1, 80_000, 0, 0),
        Fill(at_ns, 1001, number + 2, number + 3, "MNQ", -1, 1, 80_000 + ticks, fees, 0, pnl),
    ]
    own.fills += pair
    for fill in pair:
        rig.feed(fill)
    return pair


# --------------------------------------------------------------------------------------------------------- F-RSK-02
@pytest.mark.parametrize(("fees", "locked"), [(49, False), (50, True), (51, True)])
def test_F_RSK_02_I12_exactly_800_dollars(fees: int, locked: bool) -> None:
    """1 599 ticks are 799.50; with 49 cents of costs 799.99, with 50 exactly 800.00."""
    rig = started()
    trip(rig, -1_599, fees)
    rig.run(1)
    assert rig.view()["day_pnl_cents"] == -79_950 - fees
    assert (codes(rig) == ["RC_DAILY_LOSS"], rig.state == "LOCKED") == (locked, locked)


def test_F_RSK_02_a_fee_that_posts_late_crosses_the_limit() -> None:
    rig = started()
    _, closing = trip(rig, -1_599, 49)
    assert rig.state == "ACTIVE"
    rig.feed(replace(closing, fees_cents=50))
    assert rig.state == "LOCKED"
    rig.feed(closing)  # the old telling once more gives nothing back
    assert rig.view()["day_pnl_cents"] == -80_000


def test_F_RSK_02_a_voided_loss_does_not_unlock_the_day() -> None:
    rig = started()
    opening, closing = trip(rig, -1_600)
    assert rig.state == "LOCKED"
    for fill in (closing, opening):
        rig.feed(replace(fill, voided=True))
    rig.run(1)
    assert (rig.view()["day_pnl_cents"], rig.state) == (0, "LOCKED")


@pytest.mark.parametrize(("pnl", "locked"), [(None, False), (-79_999, False), (-80_000, True), (0, False)])
def test_F_RSK_02_of_our_figure_and_the_brokers_the_worse_counts(pnl: int | None, locked: bool) -> None:
    """By our arithmetic 799.50 are lost, or 800.00; the broker's field is missing, worse or better."""
    rig = started()
    trip(rig, -1_599, pnl=pnl)
    assert (rig.state == "LOCKED") == locked
    other = started()
    trip(other, -1_600, pnl=pnl)
    assert other.state == "LOCKED"


def test_F_RSK_02_a_touch_that_recovers_still_locks() -> None:
    """Five long from 80 001: at a bid 313 + 2 ticks lower the limit less its reserve is reached; then it comes back."""
    rig = started()
    rig.signal(1)
    rig.broker.silent = True  # nothing is closed yet
    move(rig, "MNQ", -313)
    rig.tick()
    move(rig, "MNQ", 50)
    rig.run(2)
    assert (rig.state, codes(rig)[0]) == ("REDUCING", "RC_DAILY_LOSS")
    rig.broker.silent = False
    rig.run(20)
    assert (rig.state, rig.broker.size("MNQ")) == ("LOCKED", 0)


def test_F_RSK_02_partial_exits_count_at_once_and_the_rest_at_its_worth() -> None:
    """Two of five close 400 ticks lower: -400.00. Three more at -260 ticks: -390.00, costs 6.10, reserve 4.83."""
    rig = started()
    rig.signal(1)
    leg = rig.broker.leg("SL")
    rig.broker.fill(leg.order_id, 2, 80_001 - 400)
    rig.pump()
    assert rig.view()["day_pnl_cents"] == -40_000 - 7 * 61
    worth = -40_000 - 427 - 183  # exit fees of three
    for ticks, locked in ((-259, False), (-260, True)):
        move(rig, "MNQ", 2 + ticks)
        rig.tick()
        reserve = 183 + 3 * 2 * 50
        assert (worth + 3 * ticks * 50 <= -80_000 + reserve) == locked
        assert ("RC_DAILY_LOSS" in codes(rig)) == locked


# --------------------------------------------------------------------------------------------------------- F-RSK-01
def test_F_RSK_01_manual_trades_and_those_of_earlier_runs_count() -> None:
    rig = started()
    trip(rig, -800)
    fresh = restarted(rig, PLAIN)
    assert fresh.view()["day_pnl_cents"] == -40_000
    trip(fresh, -799, 50)
    assert "RC_DAILY_LOSS" in codes(fresh)


def test_F_RSK_01_F_ACC_02_at_the_limit_what_is_not_ours_is_closed_too() -> None:
    rig = started()
    rig.broker.place_foreign("MNQ", 1, 5)
    rig.pump()
    rig.run(2)
    move(rig, "MNQ", -330)
    rig.run(4)
    assert (rig.state, rig.broker.size("MNQ")) == ("LOCKED", 0)


def test_F_RSK_01_losses_of_yesterday_do_not_count() -> None:
    rig = started()
    rig.broker.fills.clear()
    yesterday = rig.now_ns - 17 * 3_600 * NS_PER_S
    pair = trip(rig, -1_600, at_ns=yesterday)
    assert rig.view()["day_pnl_cents"] == 0
    rig.broker.fills[:] = pair
    assert restarted(rig, PLAIN).state == "ACTIVE"


@pytest.mark.parametrize("state", ["journal", "deleted"])
@pytest.mark.parametrize("limits", [None, RiskLimits(daily_loss_cents=80_000, consecutive_losses=2)])
def test_F_RSK_01_I14_restart_inside_the_flatten_goes_on_and_stays_locked(
    state: str, limits: RiskLimits | None
) -> None:
    """With a limit of 300.00 that a later configuration raises; and without any memory of the run."""
    rig = started(RiskLimits(daily_loss_cents=30_000))
    rig.signal(1)
    move(rig, "MNQ", -400)
    rig.broker.price["MNQ"] = 79_599
    rig.broker.silent = True
    rig.tick()
    assert (rig.state, codes(rig)[0]) == ("REDUCING", "RC_DAILY_LOSS")
    rig.broker.silent = False
    kept = carried(rig) if state == "journal" else Carried()
    fresh = restarted(rig, account(rules=None, carried=kept), limits)
    fresh.run(12)
    assert fresh.broker.size("MNQ") == 0
    assert fresh.state == "LOCKED"
    fresh.signal(2)
    assert len(fresh.broker.sent(PlaceBracket)) == 1


def test_F_RSK_01_a_price_that_is_not_seen_is_assumed_to_have_run_to_the_stop() -> None:
    """Five long at no loss yet; the quote is 11 s old: another 44 ticks are taken off, 110.00 of a limit of 115.00."""
    rig = started(RiskLimits(daily_loss_cents=12_500))
    rig.signal(1)
    rig.tick()
    assert rig.state == "ACTIVE"
    rig.quote_age_ns = 11 * NS_PER_S
    rig.tick()
    assert "RC_DAILY_LOSS" in codes(rig)
    assert rig.broker.sent(CloseContract)


# --------------------------------------------------------------------------------------------------------- F-RSK-03
def test_F_RSK_03_I13_a_crash_between_the_fill_and_its_record_loses_no_loss() -> None:
    """The journal ends before the second loss; the broker's fills tell it."""
    rig = started()
    for number in (1, 2):
        rig.signal(number)
        before = len(rig.rows)
        exit_at(rig, "SL")
        rig.run(6)
    fold = CarryFold()
    for item, outputs in rig.rows[:before]:
        fold.add(item, outputs)
    kept = fold.carried(1001)
    assert kept.reasons == ()
    fresh = restarted(rig, account(rules=None, carried=kept))
    fresh.run(1)
    assert (fresh.state, codes(fresh)) == ("LOCKED", ["RC_CONSEC_LOSSES"])
    fresh.signal(3)
    assert fresh.denials == ["RC_CONSEC_LOSSES"]


def test_F_RSK_03_the_second_loss_leaves_other_contracts_to_their_exits() -> None:
    rig = started()
    rig.signal(1, "MES", stop_ticks=16)
    trip(rig, -10)
    trip(rig, -10)
    rig.run(3)
    assert (rig.state, rig.broker.size("MES")) == ("LOCKED", 5)
    assert not rig.broker.sent(CloseContract)


def test_F_RSK_03_a_scratch_neither_counts_nor_resets() -> None:
    for middle, state in ((0, "LOCKED"), (1, "ACTIVE")):
        rig = started()
        for ticks in (-10, middle, -10):
            trip(rig, ticks)
        assert rig.state == state
