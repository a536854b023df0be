"""Clocks: market time is a line over boot time; what a gateway says of its clock is believed or not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.domain.clock import MarketClock
from tbot.engine import clocks as module
from tbot.engine.clocks import FixedClock, SimulatedClock, WallClock, boot_ns, clock_from_answer

SECOND = 1_000_000_000
ORIGIN = 1_795_185_000 * SECOND


def test_boot_clock_is_the_one_that_counts_sleep() -> None:
    assert time.CLOCK_BOOTTIME == module._BOOT_CLOCK
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    reading = boot_ns()
    assert before <= reading <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def test_wall_clock_is_the_wall_clock() -> None:
    before = time.time_ns()
    reading = WallClock().now_ns()
    assert before <= reading <= time.time_ns()
    assert WallClock().speed == 1.0
    assert WallClock().real_s(3 * SECOND) == 3.0


@pytest.mark.parametrize("speed", [0.5, 1.0, 20.0])
def test_simulated_time_runs_at_its_speed(monkeypatch: pytest.MonkeyPatch, speed: float) -> None:
    now = [5 * SECOND]
    monkeypatch.setattr(module, "boot_ns", lambda: now[0])
    clock = SimulatedClock(MarketClock(ORIGIN, 5 * SECOND, speed))
    assert (clock.now_ns(), clock.speed) == (ORIGIN, speed)
    now[0] += 10 * SECOND
    assert clock.now_ns() == ORIGIN + int(10 * SECOND * speed)
    assert clock.real_s(int(60 * SECOND * speed)) == 60.0


@given(st.lists(st.integers(0, 2**62), max_size=20))
def test_lock_step_time_never_goes_back(instants: list[int]) -> None:
    clock, newest = FixedClock(), 0
    for instant in instants:
        clock.set_ns(instant)
        newest = max(newest, instant)
        assert clock.now_ns() == newest
    assert clock.speed == 1.0
    assert clock.real_s(2 * SECOND) == 2.0


def test_a_gateways_clock_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "boot_ns", lambda: 7 * SECOND)
    clock = clock_from_answer({"market_ns": ORIGIN, "boot_ns": 6 * SECOND, "speed": 20, "started": True})
    assert clock is not None
    assert clock.now_ns() == ORIGIN + 20 * SECOND


def test_a_market_that_stands_still_has_no_clock_yet() -> None:
    answer = {"market_ns": ORIGIN, "boot_ns": 6 * SECOND, "speed": 1.0}
    assert clock_from_answer(answer | {"started": False}) is None
    assert clock_from_answer(answer) is not None
