"""A contract that the engine set aside stays so for the day, across a restart (F-ORD-06); the next day it is free."""

from typing import Any

import pytest

from desk_rig import PRICE, RUN_START_MS, Rig, settings
from tbot.domain.messages import Barred, CloseContract, Intent, PlaceStop
from tbot.execution.carry import CarryFold
from tbot.execution.desk import AccountSettings
from tbot.risk.limits import RiskLimits

DAY_S = 24 * 3_600
ENTRY = PRICE["MNQ"] + 1


def restarted(rig: Rig, after_s: float = 0) -> Rig:
    fold = CarryFold()
    fold.begin(1001, rig.settings.accounts[0].carried)
    for item, outputs in rig.rows:
        fold.add(item, outputs)
    account = AccountSettings(1001, "PRAC-1", fold.carried(1001))
    rig.broker.events.clear()
    fresh = Rig(settings=settings(accounts=(account,), run_start_ms=RUN_START_MS + 60_000), broker=rig.broker)
    fresh.now_ns, fresh.prices = rig.now_ns + int(after_s * 10**9), rig.prices
    return fresh.start()


def naked(rig: Rig) -> None:
    rig.broker.legs = ()
    rig.broker.script["stop"] = ["rejected"]
    rig.signal(1)
    rig.run(5)


def refuted(rig: Rig) -> None:
    rig.signal(1)
    rig.run(2)
    rig.broker.held["MNQ"] = []
    rig.run(20)


def rejected(rig: Rig) -> None:
    rig.broker.script["place"] = ["reject"] * 3
    for number in range(3):
        rig.signal(f"r{number}")
        rig.run(20)


@pytest.mark.parametrize(
    ("story", "code"), [(naked, "RC_NAKED"), (refuted, "RC_MISMATCH"), (rejected, "RC_ORDER_REJECTS")]
)
def test_F_ORD_06_F_ORD_03_F_ACC_01_a_bar_of_the_day_outlasts_the_process(story: Any, code: str) -> None:
    rig = Rig().start()
    story(rig)
    (bar,) = rig.of(Barred)
    assert (bar.contract, bar.code) == ("MNQ", code)
    rig.broker.script.clear()
    rig.broker.legs = ("SL", "TP")
    again = restarted(restarted(rig, 60), 60)  # the second is told by the first one's start alone
    assert again.view()["quarantine"] == {"MNQ": bar.text}
    again.signal("later")
    assert again.denials == [code]
    assert not again.of(Barred)  # it is on record
    assert again.desk._engines[1001].manager.blocked("MES") is None
    fresh = restarted(rig, DAY_S)
    fresh.run(6)
    fresh.signal("next day")
    assert (fresh.denials, len(fresh.of(Intent))) == ([], 1)


def test_F_ORD_03_rejections_before_and_after_a_restart_are_counted_together() -> None:
    rig = Rig().start()
    rig.broker.script["place"] = ["reject"] * 3
    for number in range(2):
        rig.signal(f"r{number}")
        rig.run(20)
    assert not rig.of(Barred)
    again = restarted(rig, 1)
    again.signal("r2")
    again.run(1)
    assert [bar.code for bar in again.of(Barred)] == ["RC_ORDER_REJECTS"]


def test_F_ORD_05_a_stop_placed_anew_stands_where_the_lost_one_had_been_moved_to() -> None:
    rig = Rig(settings(RiskLimits(break_even_percent=100))).start()
    rig.signal(1, stop_ticks=40, target_ticks=200)
    rig.run(3)
    rig.prices["MNQ"] = ENTRY + 60
    rig.run(5)
    rig.broker.cancel_by_hand(rig.broker.leg("SL").order_id)
    rig.run(5)
    (stop,) = rig.broker.sent(PlaceStop)
    assert stop.stop == ENTRY
    assert rig.view()["positions"][0]["protected"]
    assert not rig.broker.sent(CloseContract)
