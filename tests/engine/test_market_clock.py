"""A simulated market's clock after a reconnection: gone on, stepped, or another run."""

import pytest

from tbot.domain.clock import MarketClock
from tbot.engine.clocks import SimulatedClock, WallClock, boot_ns
from tbot.engine.market_clock import compare, stands_still

S = 1_000_000_000
ORIGIN = 1_795_185_000 * S


def clock(ahead_s: float = 0.0, speed: float = 20.0) -> SimulatedClock:
    return SimulatedClock(MarketClock(ORIGIN + int(ahead_s * S), boot_ns(), speed))


@pytest.mark.parametrize("speed", [1.0, 20.0, 200.0])
def test_the_same_clock_read_again_changes_nothing(speed: float) -> None:
    old = clock(speed=speed)
    assert compare(old, SimulatedClock(MarketClock(old.now_ns(), boot_ns(), speed))) == ""


def test_forward_and_another_speed_are_taken_over_by_everybody_who_holds_the_clock() -> None:
    old = clock()
    holder = old.now_ns
    ahead = clock(3600)
    assert compare(old, ahead) == "adopt"
    old.adopt(ahead)
    assert holder() >= ORIGIN + 3600 * S
    assert compare(old, SimulatedClock(MarketClock(old.now_ns(), boot_ns(), 5.0))) == "adopt"


def test_backward_is_another_run_and_says_so() -> None:
    verdict = compare(clock(3600), clock(0))
    assert verdict.startswith("the gateway's market clock went back by 36")
    assert verdict.endswith("start the engine again")


def test_a_simulated_clock_behind_a_wall_clock_is_another_gateway() -> None:
    assert "start the engine again" in compare(WallClock(), clock())


def test_a_market_that_waits_for_its_start_may_stand_where_we_are_but_not_before() -> None:
    old = clock(3600)
    assert "went back" in stands_still(old, ORIGIN)
    assert stands_still(old, old.now_ns()) == ""
