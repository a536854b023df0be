"""The shell around the conditions: what it reads, what it tells the Desk, and what it does after a sleep."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import status_rig
from manual_clock import ManualClock
from tbot.domain.clock import BrokerDate, MarketClock
from tbot.domain.messages import ConditionIn, Quote
from tbot.engine import condition_watch
from tbot.engine.clocks import SimulatedClock, WallClock
from tbot.engine.condition_watch import ConditionWatch
from tbot.engine.desk_setup import TradingDesk
from tbot.engine.exchange_time import ExchangeTime
from tbot.engine.feed_clock import FeedClock
from tbot.engine.gateway_link import Link
from tbot.execution.session import DeskSession

S = 1_000_000_000
NOON = 1_795_185_000 * S


class FakeSession:
    def __init__(self) -> None:
        self.heard: list[ConditionIn] = []
        self.feeds = {"MNQ": "ok", "ES": "ok", "GC": "gap"}
        self.ages = {"MNQ": 0, "ES": 0, "GC": 10**15}

    def on_condition(self, item: ConditionIn) -> None:
        self.heard.append(item)

    def quotes(self, now_ns: int) -> dict[str, Quote]:
        return {name: Quote(1, 2, now_ns, 1, age) for name, age in self.ages.items()}


class Rig:
    """A watch with clocks, gateway, Desk and disk by hand."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, simulated: bool = False) -> None:
        self.wall_ns, self.boot_ns, self.mono_ns = NOON, 1000 * S, 900 * S
        self.free: int | None = 1 << 40
        self.asked = 0
        self.dead: list[str] = []
        self.told: list[str] = []
        self.tokens = SimpleNamespace(refused="")
        rest = SimpleNamespace(date=None, close=lambda: self.dead.append("REST"), tokens=self.tokens)
        self.link = SimpleNamespace(rest=rest, ask_date=self._ask)
        clock = WallClock(lambda: self.wall_ns, lambda: self.boot_ns)
        self.desk = SimpleNamespace(
            clock=SimulatedClock(MarketClock(NOON, 0, 20.0)) if simulated else clock,
            session=FakeSession(),
            journal=SimpleNamespace(trouble=""),
            user_hub_up_ns=self.boot_ns,
            presume_dead=self.dead.append,
            exchange_time=ExchangeTime(),
        )
        monkeypatch.setattr(condition_watch.shutil, "disk_usage", self._usage)
        self.watch = ConditionWatch(
            status_rig.settings(folder),
            self.link,  # type: ignore[arg-type]
            self.desk,  # type: ignore[arg-type]
            lambda now_ns, kind, contract, text: self.told.append(text),
            wall_ns=lambda: self.wall_ns,
            boot_clock=lambda: self.boot_ns,
            mono_ns=lambda: self.mono_ns,
        )
        self.answer()

    def _ask(self) -> None:
        self.asked += 1

    def _usage(self, path: Path) -> Any:
        if self.free is None:
            raise OSError("gone")
        return SimpleNamespace(free=self.free)

    def answer(self) -> None:
        self.link.rest.date = BrokerDate(NOON - S // 2 + self.boot_ns - 1000 * S, self.boot_ns)

    def look(self, seconds: float = 0.02, *, slept: float = 0.0) -> list[tuple[str, str]]:
        """Time passes; what the Desk heard."""
        self.boot_ns += int((seconds + slept) * S)
        self.wall_ns += int((seconds + slept) * S)
        self.mono_ns += int(seconds * S)
        self.watch.heard_feed()
        self.desk.session.heard.clear()
        self.watch.look()
        return [(item.code, item.text) for item in self.desk.session.heard]


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(tmp_path, monkeypatch)


def test_all_is_well_and_the_gateways_time_is_asked_for_once_a_minute(rig: Rig) -> None:
    for _ in range(400):
        assert rig.look(1) == []
        if rig.asked and rig.boot_ns - rig.link.rest.date.boot_ns > 61 * S:
            rig.answer()
    assert 5 <= rig.asked <= 7
    assert rig.watch.status() == {"held": {}, "skew_s": 0.0, "warnings": []}
    assert rig.told == []


def test_F_API_02_a_refused_login_is_a_condition_until_a_person_lets_it_be_tried_again(rig: Rig) -> None:
    rig.look()
    rig.tokens.refused = "HTTP 401"
    assert rig.look() == [("RC_AUTH", "the gateway refused the login: HTTP 401")]
    assert rig.look() == []
    rig.tokens.refused = ""
    assert rig.look() == [("RC_AUTH", "")]


def test_F_TIM_01_a_step_is_told_the_time_is_asked_for_and_market_time_stays(rig: Rig) -> None:
    rig.look()
    rig.wall_ns += 3600 * S
    assert rig.look() == [("RC_CLOCK", "the clock of this machine was moved by +3600.0 s")]
    assert rig.asked == 1
    for _ in range(50):
        rig.look(0.1)
    assert rig.asked == 3  # every two seconds
    assert abs(rig.desk.clock.now_ns() - (rig.wall_ns - 3600 * S)) < S // 10
    assert rig.watch.status()["held"] == {"RC_CLOCK": "the clock of this machine was moved by +3600.0 s"}
    rig.wall_ns -= 3600 * S
    rig.look()
    rig.answer()
    assert rig.look() == [("RC_CLOCK", "")]
    assert rig.desk.clock.now_ns() == pytest.approx(rig.wall_ns, abs=S // 10)


def test_F_TIM_01_a_clock_that_is_a_little_off_is_told_to_the_person_only(rig: Rig) -> None:
    rig.look()
    for _ in range(10):
        rig.wall_ns += S // 3
        assert rig.look(1) == []
    assert rig.told == ["the clock of this machine is +2.3 s off the gateway's: turn time synchronisation on"]
    for _ in range(10):
        rig.wall_ns -= S // 3
        rig.look(1)
    assert rig.told[1:] == ["the warning of the clock is over"]


def test_F_TIM_02_after_a_sleep_the_hub_is_presumed_dead_once_and_new_quotes_are_awaited(rig: Rig) -> None:
    rig.look()
    assert rig.look(0.02, slept=600) == [("RC_RESUMED", "the machine slept for 600 s")]
    rig.desk.session.ages |= {"MNQ": 600 * S, "ES": 600 * S}
    assert rig.dead == ["the machine slept", "REST"]
    rig.desk.user_hub_up_ns = None
    assert rig.look(1) == []
    rig.desk.user_hub_up_ns = rig.boot_ns
    rig.desk.session.ages["MNQ"] = S // 10
    assert rig.look() == []  # ES has none yet
    rig.desk.session.ages["ES"] = S // 10
    assert rig.look(1) == [("RC_RESUMED", "")]
    assert len(rig.dead) == 2


def test_F_TIM_02_where_no_contract_has_data_the_gap_is_reason_enough(rig: Rig) -> None:
    rig.look()
    rig.look(0.02, slept=600)
    rig.desk.session.feeds = {"MNQ": "gap", "ES": "closed", "GC": "gap"}
    rig.desk.user_hub_up_ns = 0
    assert rig.look() == [("RC_RESUMED", "")]


def test_F_SYS_01_F_SYS_02_disk_and_journal(rig: Rig) -> None:
    rig.look()
    rig.free = 1 << 20
    assert rig.look(1) == []  # looked at every five seconds
    assert rig.look(4.9) == [("RC_DISK", "only 1 MB are free on the disk of the journal")]
    rig.free = None
    rig.desk.journal.trouble = "no room to write"
    assert rig.look(4.9) == [("RC_JOURNAL", "the journal is not written: no room to write")]
    rig.free, rig.desk.journal.trouble = 1 << 30, ""
    assert rig.look(4.9) == [("RC_DISK", ""), ("RC_JOURNAL", "")]


def test_F_SYS_01_the_last_gibibyte_is_a_warning_once(rig: Rig) -> None:
    rig.look()
    rig.free = 500 << 20
    for _ in range(4):
        assert rig.look(4.9) == []
    assert rig.told == ["500 MB are free on the disk of the journal: entries end at 200 MB"]
    assert rig.watch.status()["warnings"] == rig.told
    rig.free = None  # cannot be told: as before
    rig.look(4.9)
    rig.look(4.9)
    assert len(rig.told) == 1
    rig.free = 1 << 30
    rig.look(4.9)
    rig.look(4.9)
    assert rig.told[1:] == ["the warning of the disk is over"]


def test_a_simulated_market_is_not_moved_by_the_wall_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, monkeypatch, simulated=True)
    rig.look()
    rig.wall_ns += 60 * S
    assert [code for code, _ in rig.look()] == ["RC_CLOCK"]
    rig.wall_ns -= 60 * S
    rig.look()
    rig.look(0.1)
    rig.answer()
    assert rig.look() == [("RC_CLOCK", "")]


def test_names_are_what_the_real_things_have() -> None:
    """The fakes above stand for real attributes: a rename must not leave this file green."""
    for name in ("user_hub_up_ns", "presume_dead"):
        assert hasattr(TradingDesk, name)
    assert hasattr(Link, "ask_date")
    for name in ("on_condition", "quotes", "feeds"):
        assert hasattr(DeskSession, name)


# ------------------------------------------------------------------------------------------------------- the feed's own
class FeedRig:
    def __init__(self) -> None:
        self.wall_ns, self.boot_ns, self.mono_ns = NOON, 1000 * S, 900 * S
        self.asked = 0
        self.rest = SimpleNamespace(date=None, ping=self._ping)
        self.time = FeedClock(
            self.rest,  # type: ignore[arg-type]
            wall_ns=lambda: self.wall_ns,
            boot_clock=lambda: self.boot_ns,
            mono_ns=lambda: self.mono_ns,
        )
        self.clock = WallClock(lambda: self.wall_ns, lambda: self.boot_ns)

    def _ping(self) -> None:
        self.asked += 1

    def answer(self) -> None:
        self.rest.date = BrokerDate(NOON - S // 2 + self.boot_ns - 1000 * S, self.boot_ns)

    def look(self, seconds: float = 1, *, slept: float = 0.0) -> str:
        self.boot_ns += int((seconds + slept) * S)
        self.wall_ns += int((seconds + slept) * S)
        self.mono_ns += int(seconds * S)
        slept = self.time.look(self.clock)
        if self.time._asking is not None:
            self.time._asking.join()
        return slept


def test_F_TIM_01_the_feeds_market_time_follows_the_gateway_and_no_step() -> None:
    rig = FeedRig()
    rig.wall_ns += 86_400 * S
    rig.clock = WallClock(lambda: rig.wall_ns, lambda: rig.boot_ns)
    rig.look()
    assert rig.clock.now_ns() > NOON + 86_000 * S  # nothing better is known
    rig.answer()
    rig.look()
    assert rig.clock.now_ns() == NOON + 2 * S  # the gateway's
    assert rig.asked == 1
    rig.wall_ns -= 86_400 * S
    rig.look()
    rig.look()
    assert rig.asked == 2  # every two seconds
    rig.answer()
    rig.look()
    assert rig.clock.now_ns() == rig.wall_ns
    for _ in range(10):
        rig.look()
    assert rig.asked == 2  # all is well
    rig.wall_ns -= 3600 * S
    rig.look()
    assert rig.asked == 3
    assert rig.clock.now_ns() == rig.wall_ns + 3600 * S


def test_F_TIM_02_the_feed_sees_a_sleep_by_itself() -> None:
    rig = FeedRig()
    assert [rig.look(), rig.look(slept=30), rig.look(), rig.look(6)] == [
        "",
        "the machine slept for 30 s",
        "",
        "this process stood still for 6 s",
    ]
    assert rig.time.look(ManualClock(5)) == ""  # type: ignore[arg-type]
