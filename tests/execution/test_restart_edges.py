"""Restarts into another world: the clock went back, the configuration lost a contract that is still open."""

from dataclasses import replace

import pytest

from desk_rig import RUN_START_MS, START_NS, Rig, settings
from tbot.execution.carry import CarryFold
from tbot.execution.desk import AccountSettings, Carried


def carried(rig: Rig) -> Carried:
    fold = CarryFold()
    for item, outputs in rig.rows:
        fold.add(item, outputs)
    return fold.carried(1001)


def restarted(rig: Rig) -> Rig:
    account = AccountSettings(1001, "PRAC-1", carried(rig))
    rig.broker.events.clear()
    base = settings(accounts=(account,), run_start_ms=RUN_START_MS + len(rig.rows))
    return Rig(settings=base, broker=rig.broker, now_ns=rig.now_ns).start()


DAY_NS = 86_400 * 10**9


@pytest.mark.parametrize("back_days", [1, 7])
def test_I14_F_TIM_01_a_lock_outlives_restarts_with_a_clock_that_went_back(back_days: int) -> None:
    rig = Rig().start()
    rig.operator("kill")
    rig.run(2)
    rig.now_ns -= back_days * DAY_NS
    fresh = restarted(rig)
    fresh.run(2)
    assert fresh.state == "LOCKED"
    rig.now_ns = START_NS + 10**9  # and was put right: the same trading day, in the same run and in another one
    fresh.now_ns = rig.now_ns
    rig.rows += fresh.rows
    again = restarted(rig)
    for later in (fresh, again):
        later.run(2)
        assert later.state == "LOCKED"
        later.now_ns = START_NS + DAY_NS
        later.run(2)
        assert later.state == "ACTIVE"


def test_F_TIM_08_a_lock_from_far_ahead_is_one_of_another_market_time() -> None:
    rig = Rig().start()
    rig.operator("kill")
    rig.run(2)
    rig.now_ns -= 8 * DAY_NS
    fresh = restarted(rig)
    fresh.run(2)
    assert fresh.state == "ACTIVE"
    assert carried(fresh).reasons == ()


def test_F_CFG_04_a_position_in_a_contract_that_was_taken_off_an_account_stays_cared_for() -> None:
    rig = Rig().start()
    rig.signal(1)
    rig.run(1)
    kept = carried(rig)
    rig.broker.legs = ()
    rig.broker.cancel_by_hand(rig.broker.leg("SL").order_id)
    account = AccountSettings(1001, "PRAC-1", kept, contracts=("MES",))
    base = settings(accounts=(account,), run_start_ms=RUN_START_MS + 1)
    rig.broker.events.clear()
    fresh = Rig(settings=base, broker=rig.broker, now_ns=rig.now_ns).start()
    fresh.run(5)
    assert fresh.view()["protected"]
    assert fresh.broker.own("S").status == "open"
    fresh.operator("kill")
    fresh.run(5)
    assert fresh.broker.size("MNQ") == 0
    fresh.signal(2)
    assert fresh.denials[-1] == "RC_KILL_SWITCH"
    fresh.now_ns += DAY_NS
    fresh.run(3)
    fresh.signal(3)
    assert fresh.denials[-1] == "NOT_TRADED"  # it is looked after, and never entered
    fresh.signal(4, "MES", stop_ticks=8)
    assert fresh.view()["intents"] == 1


def test_F_CFG_04_a_position_in_a_contract_that_no_account_trades_halts_the_account() -> None:
    rig = Rig().start()
    rig.signal(1)
    rig.run(1)
    base = settings(accounts=(AccountSettings(1001, "PRAC-1", carried(rig)),), run_start_ms=RUN_START_MS + 1)
    products = {name: product for name, product in base.products.items() if name != "MNQ"}
    rig.broker.events.clear()
    fresh = Rig(settings=replace(base, products=products), broker=rig.broker, now_ns=rig.now_ns).start()
    fresh.run(2)
    assert fresh.state == "HALTED"
    assert fresh.view()["text"].startswith("MNQ is open by an order of ours")
    assert not fresh.desk.is_flat(1001)
