"""The firm's accounts: plans, names, floors, limits, and accounts that the API may not touch."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_rig import ES, MNQ, OWNER
from tbot.domain.trading_hours import SessionCalendar
from tbot.sim.accounts import AccountRules, account_name, plan
from tbot.sim.exchange import NOT_TRADING, Answer
from tbot.sim.orders import ModifyFields
from tbot.sim.views import broker_account
from tbot.storage.sessions import load_sessions
from venue_rig import FIRST, S, VenueRig

DAY = 24 * 3600 * S


@pytest.mark.parametrize(
    ("size", "start", "floor", "minis"),
    [(50, 50_000, 48_000, 5), (100, 100_000, 97_000, 10), (150, 150_000, 145_500, 15)],
)
def test_plans_of_the_firm(size: int, start: int, floor: int, minis: int) -> None:
    rig = VenueRig(rules=plan(size))
    assert rig.account.book.balance_cents == start * 100
    assert rig.account.floor_cents() == floor * 100
    assert rig.place(ES, size=minis + 1).text == "Maximum position exceeded."
    assert rig.place(MNQ, size=10 * minis).code == 0
    assert rig.place(MNQ, size=1).text == "Maximum position exceeded."


def test_an_express_account_starts_at_zero_and_its_floor_locks_there() -> None:
    """topstep-rules 2.1: from -D up to 0, and never above."""
    rig = VenueRig(rules=plan(50, stage="express"))
    floors = [rig.account.floor_cents()]
    for balance in (50_000, 199_900, 200_000, 900_000, -10_000):
        rig.account.book.balance_cents = balance
        rig.account.begin_day(date(2026, 11, 20))
        floors.append(rig.account.floor_cents())
    assert floors == [-200_000, -150_000, -100, 0, 0, 0]


@pytest.mark.parametrize(
    ("rules", "name"),
    [
        (plan(50), "50KTC-V2-000001-00000007"),
        (plan(150, daily_loss=True), "150KTC-V2-DLL-000001-00000007"),
        (plan(100, stage="practice"), "PRAC-V2-000001-00000007"),
        (plan(50, stage="express"), "EXPRESS-V2-000001-00000007"),
    ],
)
def test_names_as_seen_live(rules: AccountRules, name: str) -> None:
    assert account_name(rules, 7) == name


def test_there_are_three_sizes() -> None:
    with pytest.raises(ValueError, match="50, 100, 150 thousand"):
        plan(75)


@given(st.lists(st.integers(-300_000, 400_000), max_size=30))
def test_the_floor_only_rises_and_never_above_the_start(results: list[int]) -> None:
    account = VenueRig().account
    highest, floor = account.book.balance_cents, account.floor_cents()
    for result in results:
        account.book.balance_cents += result
        account.begin_day(date(2026, 11, 20))
        highest = max(highest, account.book.balance_cents)
        assert account.floor_cents() == min(5_000_000, highest - 200_000)
        assert account.floor_cents() >= floor
        floor = account.floor_cents()


def test_limits_of_single_products_while_markets_are_wild() -> None:
    rig = VenueRig(rules=AccountRules(product_limits=(("ES", 0), ("MNQ", 3))))
    assert rig.place(ES).text == "Maximum position exceeded."
    assert rig.place(MNQ, size=3).code == 0
    assert rig.place(MNQ).text == "Maximum position exceeded."
    rig.quote(1000, 1002)
    assert rig.place(MNQ, side=1, size=3).code == 0


def test_making_an_order_larger_counts_as_placing_it() -> None:
    rig = VenueRig(rules=AccountRules(max_micros=5))
    rig.place(order_type=1, limit_price="200", size=3)
    for size, code in ((6, 3), (5, 0), (2, 0)):
        answer = rig.exchange.modify(OWNER, ModifyFields(rig.account_id, FIRST, size=size), rig.now_ns)
        assert answer.code == code
    assert rig.orders[0].size == 2


def test_margin_when_an_account_has_one() -> None:
    rig = VenueRig(rules=AccountRules(start_balance_cents=100_000, max_loss_cents=90_000, margin_cents=25_000))
    assert rig.place(size=5) == Answer(3)
    assert rig.place(size=4).code == 0
    assert rig.place() == Answer(3)  # the waiting entry counts
    assert len(rig.orders) == 1
    rig.quote(1000, 1002)
    assert rig.place(side=1, size=4).code == 0  # to get out needs none


def test_accounts_that_are_not_simulated_or_follow_others() -> None:
    rig = VenueRig()
    rig.place(order_type=1, limit_price="200")
    rig.account.follower = True
    cancel = rig.exchange.cancel(OWNER, rig.account_id, FIRST, rig.now_ns)
    assert cancel == Answer(6, "Follower accounts cannot cancel orders")
    rig.account.follower, rig.account.simulated = False, False
    assert rig.exchange.cancel(OWNER, rig.account_id, FIRST, rig.now_ns) == Answer(6, "Live accounts not supported")
    assert rig.place().code == 10
    assert not broker_account(rig.account).simulated


def test_the_daily_loss_limit_of_a_plan_locks_until_the_evening() -> None:
    rig = VenueRig(rules=plan(50, daily_loss=True))
    rig.place(ES, size=4)
    rig.play(("quote", 20_000, 20_001), symbol="ES")
    rig.play(("quote", 19_981, 19_982), symbol="ES")  # 4 x 20 ticks of 12.50 and the costs: over 1000
    assert (rig.account.can_trade, rig.account.failed, rig.account.book.holdings()) == (False, False, [])
    assert [order.status for order in rig.orders] == ["filled", "filled"]
    assert rig.place().code == 4
    assert rig.told()[-1].endswith("False")
    rig.wait(8 * 3600 * S)  # 17:00 in Chicago: the next trading day
    assert rig.account.can_trade
    assert rig.place().code == 0


def test_F_TIM_05_on_a_short_day_the_venue_flattens_at_the_firms_time() -> None:
    """2026-11-27: close by 12:00 in Chicago; 2026-11-26: 11:45. The rig begins on Friday 2026-11-20 at 9:00."""
    rig = VenueRig(hours=SessionCalendar(load_sessions(), template_ok=True))
    rig.wait(7 * DAY)
    rig.bracket()
    rig.quote(1000, 1002)
    rig.wait(3 * 3600 * S - 100)
    assert rig.size() == 1
    rig.wait(100)
    assert (rig.size(), rig.account.book.living_orders()) == (0, [])
    assert [order.status for order in rig.orders[:3]] == ["filled", "expired", "expired"]
    assert rig.place().text == NOT_TRADING
