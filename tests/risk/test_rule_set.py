"""The rules that other parts enforce, once each under the firm's eye; and that every one of TR1 to TR12 has a test."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from desk_rig import Rig
from firm_rig import account, broker, firm_rig
from tbot.domain.messages import AccountUpdate, FeedIn
from tbot.domain.timeframes import NS_PER_S
from tbot.domain.trading_hours import SessionCalendar
from tbot.execution.desk import DeskSettings
from tbot.storage.sessions import load_sessions


def test_TR1_to_TR12_have_tests() -> None:
    names = " ".join(
        re.findall(r"def (test_\w+)", "\n".join(path.read_text() for path in Path(__file__).parent.glob("*.py")))
    )
    rows = Path(__file__).with_name("test_gate.py").read_text()
    found = {int(number) for number in re.findall(r"TR(\d+)[_ ]", names + rows)}
    assert found == set(range(1, 13))


@pytest.mark.parametrize(
    ("name", "can_trade", "simulated", "state"),
    [
        ("PRAC-1", True, True, "ACTIVE"),
        ("PRAC-2", True, True, "HALTED"),
        ("PRAC-1", False, True, "LOCKED"),
        ("PRAC-1", True, False, "HALTED"),
    ],
)
def test_TR1_name_simulated_and_permission(name: str, can_trade: bool, simulated: bool, state: str) -> None:
    rig = firm_rig()
    rig.feed(AccountUpdate(rig.now_ns, 1001, name, 5_000_000, can_trade, simulated))
    assert rig.state == state
    rig.signal(1)
    assert len(rig.denials) == (state != "ACTIVE")


@pytest.mark.parametrize(
    ("at", "denied"),
    [
        (datetime(2026, 11, 17, 20, 44, 59, tzinfo=UTC), []),  # 22:44:59 Helsinki
        (datetime(2026, 11, 17, 20, 45, tzinfo=UTC), ["RC_WINDOW"]),  # 15 minutes before 23:00
        (datetime(2026, 11, 26, 15, 0, tzinfo=UTC), []),  # Thanksgiving: flat by 11:45 Chicago
        (datetime(2026, 11, 26, 17, 30, tzinfo=UTC), ["RC_WINDOW"]),
        (datetime(2027, 1, 5, 15, 0, tzinfo=UTC), ["RC_WINDOW"]),  # a year without its holidays
    ],
)
def test_TR7_window_and_holidays(at: datetime, denied: list[str]) -> None:
    always = firm_rig().settings
    calendar = SessionCalendar(load_sessions())
    made = DeskSettings((account(),), always.limits, always.products, calendar, always.run_start_ms)
    rig = Rig(settings=made, broker=broker(), now_ns=int(at.timestamp()) * NS_PER_S)
    rig.start()
    rig.signal(1)
    assert rig.denials == denied


@pytest.mark.parametrize(("answer", "held"), [("accept", 5), ("rejected", 0)])
def test_TR9_a_position_without_a_working_stop_gets_one_or_is_closed(answer: str, held: int) -> None:
    rig = firm_rig()
    rig.broker.legs = ()
    rig.broker.script["stop"] = [answer] * 20
    rig.signal(1)
    assert rig.broker.size("MNQ") == 5
    rig.run(8)
    assert rig.broker.size("MNQ") == held
    assert rig.desk.is_protected(1001)


def test_TR12_an_expiring_month_is_left_alone() -> None:
    rig = firm_rig()
    rig.feed(FeedIn(rig.now_ns, "MNQ", "closed", "the month is no longer the active one", "RC_EXPIRY"))
    rig.signal(1)
    assert rig.denials == ["RC_EXPIRY"]
    rig.signal(1, "MES", stop_ticks=16)
    assert rig.denials == ["RC_EXPIRY"]
