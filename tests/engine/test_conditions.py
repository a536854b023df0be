"""Clock steps, sleep, disk, journal and a silent feed as the executor folds them into conditions of the Desk."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk_rig import Rig
from tbot.domain.clock import BrokerDate
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import ConditionIn
from tbot.domain.trading_hours import SessionCalendar
from tbot.engine.clocks import WallClock
from tbot.engine.conditions import DISK_AGAIN, DISK_PAUSE, FAR_NS, MOST_BACK_NS, Conditions, PauseJudge, Readings
from tbot.execution.desk import AccountSettings, DeskSettings
from tbot.risk.limits import RiskLimits
from tbot.storage.sessions import load_sessions

S = 1_000_000_000
MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S
NOON = 1_795_185_000 * S  # a whole second
STEPS = [1, -1, 60, -60, 3600, -3600, 86_400, -86_400]


class Machine:
    """Injected clocks, a gateway that tells the true time, a market clock and the fold; true time runs by itself."""

    def __init__(self, *, off_s: float = 0.0) -> None:
        self.true_ns, self.boot_ns, self.mono_ns = NOON, 1000 * S, 900 * S
        self.off_ns = int(off_s * S)  # wall clock minus true time
        self.date: BrokerDate | None = None
        self.clock = WallClock(lambda: self.true_ns + self.off_ns, lambda: self.boot_ns)
        self.conditions = Conditions()
        self.log: list[tuple[str, str]] = []
        self.more: dict[str, object] = {"feed_heard_ns": self.boot_ns}
        self.feed = True

    def answer(self) -> None:
        """An answer of the gateway arrives."""
        self.date = BrokerDate(self.true_ns // S * S, self.boot_ns)

    def look(self, seconds: float = 0.02, *, slept: float = 0.0) -> list[str]:
        """Time passes; returns the codes that changed."""
        gone = int((seconds + slept) * S)
        self.true_ns += gone
        self.boot_ns += gone
        self.mono_ns += int(seconds * S)
        if self.feed:
            self.more["feed_heard_ns"] = self.boot_ns
        readings = Readings(
            self.true_ns + self.off_ns,
            self.boot_ns,
            self.mono_ns,
            self.clock.now_ns(),
            self.date,
            **self.more,  # type: ignore[arg-type]
        )
        changed = self.conditions.look(readings)
        if self.conditions.clock.shift_ns:
            self.clock.shift(self.conditions.clock.shift_ns)
        self.log += changed
        return [code for code, _ in changed]

    @property
    def held(self) -> set[str]:
        return set(self.conditions.held)

    @property
    def error_ns(self) -> int:
        """Market time minus true time."""
        return self.clock.now_ns() - self.true_ns


def running(**more: float) -> Machine:
    machine = Machine(**more)
    machine.answer()
    machine.clock.start_at(machine.date)
    machine.look()
    assert machine.held == set()
    return machine


@pytest.mark.parametrize("step_s", STEPS)
def test_F_TIM_01_a_step_pauses_and_moves_no_market_time_until_the_clock_is_right_again(step_s: int) -> None:
    machine = running()
    machine.off_ns += step_s * S
    assert machine.look() == ["RC_CLOCK"]
    assert f"was moved by {step_s:+d}.0 s" in machine.conditions.held["RC_CLOCK"]
    for _ in range(100):
        machine.look(0.5)
    assert machine.held == {"RC_CLOCK"}  # an old Date proves nothing
    assert machine.error_ns == 0
    machine.answer()
    machine.look()
    if abs(step_s) < 2:  # C_SKEW_MAX: the gateway agrees well enough
        assert machine.held == set()
    else:
        assert machine.held == {"RC_CLOCK"}
        assert machine.error_ns == 0
    machine.off_ns = 0  # somebody sets the clock right
    machine.look()
    assert machine.held == {"RC_CLOCK"}  # that is a step as well
    machine.look(1.5)
    machine.answer()
    assert machine.look() == ["RC_CLOCK"]
    assert machine.held == set()
    machine.look(2)
    assert abs(machine.error_ns) < S // 10


@pytest.mark.parametrize("off_s", [-86_400, -3600, -30, -5, 5, 30, 3600, 86_400])
def test_F_TIM_01_a_wall_clock_that_is_wrong_from_the_start_gives_way_to_the_gateway(off_s: int) -> None:
    machine = Machine(off_s=off_s)
    machine.answer()
    machine.clock.start_at(machine.date)
    assert abs(machine.error_ns) < S
    machine.look()
    assert machine.held == ({"RC_CLOCK"} if abs(off_s) > 10 else set())
    assert bool(machine.conditions.clock.warning) == (abs(off_s) < 10)
    for _ in range(50):
        machine.answer()
        machine.look(60)
    assert abs(machine.error_ns) < S  # the gateway's time all along
    machine.off_ns = 0
    machine.look()
    assert machine.held == {"RC_CLOCK"}
    machine.look(1)
    machine.answer()
    machine.look()
    machine.look(2)
    assert machine.held == set()
    assert machine.conditions.clock.warning == ""
    assert abs(machine.error_ns) < S // 10


def test_F_TIM_01_without_a_date_a_moved_clock_is_not_believed_again() -> None:
    machine = Machine()
    machine.clock.start_at(None)
    machine.look()
    machine.off_ns += 3 * HOUR
    machine.look()
    machine.off_ns = 0
    machine.look(HOUR / S, slept=0)
    assert "RC_CLOCK" in machine.held
    assert machine.error_ns == 0
    assert machine.conditions.clock.skew_ns is None


def test_F_TIM_01_a_single_strange_date_pauses_and_moves_nothing() -> None:
    machine = running()
    machine.date = BrokerDate(NOON + DAY, machine.boot_ns)
    assert machine.look() == ["RC_CLOCK"]
    assert machine.error_ns == 0
    machine.look(1)
    machine.answer()
    assert machine.look() == ["RC_CLOCK"]
    assert machine.held == set()
    assert machine.error_ns == 0


def test_F_TIM_01_skew_beyond_two_seconds_warns_and_beyond_ten_pauses() -> None:
    machine = running()
    seen = []
    for _ in range(40):  # the wall clock runs away by 0.3 s a second: no step
        machine.off_ns += 3 * S // 10
        machine.look(1)
        machine.answer()
        seen.append((bool(machine.conditions.clock.warning), "RC_CLOCK" in machine.held))
    assert seen[0] == (False, False)
    assert (True, False) in seen
    assert seen[-1] == (False, True)
    assert (False, False) not in seen[seen.index((True, False)) :]
    assert machine.error_ns < 2.5 * S  # never further than what the gateway allows


def test_I14_a_run_that_began_in_the_future_does_not_go_back_by_itself() -> None:
    """No Date at the start, a clock a day ahead; then the gateway tells: only a new start may go back."""
    machine = Machine(off_s=86_400)
    machine.clock.start_at(None)
    machine.look()
    machine.off_ns = 0
    machine.look()
    machine.look(2)
    machine.answer()
    machine.look()
    assert "start the engine again" in machine.conditions.held["RC_CLOCK"]
    before = machine.clock.now_ns()
    for _ in range(200):
        machine.answer()
        machine.look(4)
    assert machine.held == {"RC_CLOCK"}
    assert machine.clock.now_ns() > before


def test_a_simulated_market_has_a_clock_of_its_own_and_still_rests_while_stamps_are_wrong() -> None:
    machine = running()
    readings = Readings(NOON, 2000 * S, 1000 * S, None, BrokerDate(NOON, 2000 * S), feed_heard_ns=2000 * S)
    conditions = Conditions()
    conditions.look(readings)
    later = replace(readings, wall_ns=NOON + HOUR, boot_ns=2001 * S, mono_ns=1001 * S)
    assert conditions.look(later) == [("RC_CLOCK", "the clock of this machine was moved by +3599.0 s")]
    assert conditions.clock.shift_ns == 0
    assert machine.held == set()


EVENTS = st.tuples(st.sampled_from(["step", "answer", "wait"]), st.integers(-2 * 86_400, 2 * 86_400))


@given(st.lists(EVENTS, max_size=30))
def test_F_TIM_01_market_time_never_goes_back_and_stays_with_the_gateway(events: list[tuple[str, int]]) -> None:
    machine = running()
    newest = machine.clock.now_ns()
    for kind, number in events:
        if kind == "step":
            machine.off_ns = number * S // 20 if abs(number) < 200 else number * S
        elif kind == "answer":
            machine.answer()
        machine.look(1 + abs(number) % 30)
        now = machine.clock.now_ns()
        assert now >= newest
        newest = now
        assert abs(machine.error_ns) <= 2.5 * S
        skew = machine.conditions.clock.skew_ns
        assert skew is not None
        if abs(skew) >= FAR_NS:
            assert "RC_CLOCK" in machine.held
    assert MOST_BACK_NS == 10 * S


# ------------------------------------------------------------------------------------- the Desk on a clock that jumps
def locked_at(ns: int) -> Rig:
    """A Desk in its packaged hours that has lost twice in a row."""
    products = {"MNQ": PRODUCTS["MNQ"]}
    account = (AccountSettings(1001, "PRAC-1"),)
    calendar = SessionCalendar(load_sessions())
    rig = Rig(settings=DeskSettings(account, RiskLimits(), products, calendar, ns // 1_000_000), now_ns=ns)
    rig.start()
    for number in (1, 2):
        rig.signal(number)
        leg = rig.broker.leg("SL")
        rig.broker.fill(leg.order_id, price=leg.stop)
        rig.pump()
        rig.run(6)
    assert rig.state == "LOCKED"
    return rig


def follow(machine: Machine, rig: Rig, seconds: float) -> None:
    """Both run on, looked at twice a second; the Desk hears what the executor would tell it."""
    for _ in range(round(seconds * 2)):
        before = len(machine.log)
        machine.look(0.5)
        for code, text in machine.log[before:]:
            rig.feed(ConditionIn(machine.clock.now_ns(), code, text))
        rig.now_ns = machine.clock.now_ns()
        rig.tick(0)


@pytest.mark.parametrize("step_s", STEPS)
def test_F_TIM_01_I14_I28_neither_lock_nor_window_moves_with_the_wall_clock(step_s: int) -> None:
    machine = running()
    rig = locked_at(machine.clock.now_ns())
    machine.true_ns = rig.now_ns - machine.off_ns
    machine.clock = WallClock(lambda: machine.true_ns + machine.off_ns, lambda: machine.boot_ns)
    machine.answer()
    follow(machine, rig, 2)
    machine.off_ns += step_s * S
    follow(machine, rig, 60)
    assert rig.state == "LOCKED"
    assert rig.view()["day_pnl_cents"] < 0  # the day did not turn
    assert rig.desk.view()["accounts"]["1001"]["reasons"][0]["code"] == "RC_CONSEC_LOSSES"  # type: ignore[index]
    for _ in range(3):
        machine.answer()
        follow(machine, rig, 2)
    machine.off_ns = 0
    follow(machine, rig, 2)
    machine.answer()
    follow(machine, rig, 10)
    assert machine.held == set()
    assert rig.state == "LOCKED"
    assert rig.view()["day_pnl_cents"] < 0
    # Past the end of the window by true time the Desk says so, and at 17:00 Chicago the lock ends, once.
    for hours, locked in ((6.5, True), (1.9, True), (0.2, False)):
        machine.look(hours * 3600)
        machine.answer()
        follow(machine, rig, 2)
        codes = {reason["code"] for reason in rig.view()["reasons"]}
        assert "RC_WINDOW" in codes
        assert ("RC_CONSEC_LOSSES" in codes) == locked


# --------------------------------------------------------------------------------------------------------- sleep
@pytest.mark.parametrize("slept", [1, 10, 600])
def test_F_TIM_02_sleep_is_seen_by_two_clocks_and_ends_with_new_connections_and_quotes(slept: int) -> None:
    machine = running()
    machine.more |= {"hub_up_ns": machine.boot_ns, "oldest_quote_ns": machine.boot_ns}
    assert machine.look(0.02, slept=slept) == ["RC_RESUMED"]
    assert machine.conditions.resumed
    assert machine.conditions.held["RC_RESUMED"] == f"the machine slept for {slept} s"
    machine.look()
    assert not machine.conditions.resumed  # once
    machine.more["hub_up_ns"] = None
    machine.look(0.5)
    machine.more["hub_up_ns"] = machine.boot_ns
    machine.look(0.5)
    assert machine.held == {"RC_RESUMED"}  # the quote is from before
    machine.more["oldest_quote_ns"] = machine.boot_ns
    assert machine.look() == ["RC_RESUMED"]
    assert machine.held == set()


def test_F_TIM_02_new_quotes_alone_are_not_enough_and_a_paper_account_has_no_hub() -> None:
    machine = running()
    machine.more["hub_up_ns"] = machine.boot_ns
    machine.look(0, slept=30)
    machine.more["oldest_quote_ns"] = machine.boot_ns
    machine.look()
    assert machine.held == {"RC_RESUMED"}
    machine.more["hub_up_ns"] = 0
    machine.look()
    assert machine.held == set()


@pytest.mark.parametrize(("gone_s", "seen"), [(0.3, False), (4.9, False), (5.1, True), (600, True)])
def test_F_TIM_02_a_stopped_process_is_seen_by_its_own_loop(gone_s: float, seen: bool) -> None:
    machine = running()
    assert machine.look(gone_s) == (["RC_RESUMED"] if seen else [])


def test_F_TIM_02_no_loop_of_looks_adds_up_to_a_sleep() -> None:
    judge = PauseJudge()
    for number in range(1000):  # the clocks drift by 0.1 s a look
        assert judge.look(number * S, number * (9 * S // 10)) == ""


# --------------------------------------------------------------------------------------------------------- the rest
def test_F_SYS_01_little_room_pauses_until_there_is_some_more() -> None:
    machine = running()
    rows = [(None, False), (DISK_PAUSE, False), (DISK_PAUSE - 1, True), (None, True), (DISK_AGAIN - 1, True)]
    for free, paused in [*rows, (DISK_AGAIN, False), (DISK_PAUSE, False)]:
        machine.more["disk_free"] = free
        machine.look()
        assert ("RC_DISK" in machine.held) == paused, free


def test_F_SYS_02_a_journal_that_is_not_written_pauses_and_says_why() -> None:
    machine = running()
    machine.more["journal"] = "no room to write"
    assert machine.look() == ["RC_JOURNAL"]
    assert machine.conditions.held["RC_JOURNAL"] == "the journal is not written: no room to write"
    machine.more["journal"] = ""
    assert machine.look() == ["RC_JOURNAL"]
    assert machine.log[-1] == ("RC_JOURNAL", "")


def test_F_PRC_01_a_silent_feed_pauses_within_five_seconds() -> None:
    machine = running()
    machine.feed = False
    machine.look(4.9)
    assert machine.held == set()
    machine.look(0.2)
    assert machine.held == {"RC_PEER_DEAD"}
    machine.feed = True
    machine.look()
    assert machine.held == set()


def test_F_PRC_01_a_feed_that_starts_has_longer() -> None:
    machine = Machine()
    machine.answer()
    machine.feed, machine.more["feed_heard_ns"] = False, 0
    for _ in range(31):  # the first look is the beginning
        machine.look(1)
    assert machine.held == set()
    machine.look(1)
    assert machine.held == {"RC_PEER_DEAD"}
