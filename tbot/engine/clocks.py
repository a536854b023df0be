"""The engine's clocks: the only place in it that reads one for a decision.

Market time of a live or paper run is the wall clock, carried on by the boot clock; of a simulated gateway it is a
linear map of the boot clock, as served at /sim/clock (design ruling 1). Durations, time-outs and ages use the boot
clock, which counts suspend time.
"""

import time
from collections.abc import Callable

from tbot.domain.clock import BrokerDate, MarketClock

NS_PER_S = 1_000_000_000
SKEW_NS = 2 * NS_PER_S  # C_SKEW_MAX
# CLOCK_BOOTTIME is missing outside Linux; the monotonic clock is the nearest thing there.
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_ns() -> int:
    """Boot-clock reading, ns: never steps, counts the time the machine slept."""
    return time.clock_gettime_ns(_BOOT_CLOCK)


class WallClock:
    """Market time of a live market: the wall clock as it was when it could be believed, carried on by the boot clock.

    Why not the wall clock itself: counters and locks are kept by trading day, deadlines by the minute. A wall clock
    that jumps by a day would end the lock of a day (I14) or skip a deadline (I28). So `conditions.ClockJudge` says when
    a step of the wall clock may move market time, and until then it goes on as before. Market time never goes back:
    asked to, it stands still, because to a fold that has seen 11:00 there is no 10:00 any more.
    """

    speed = 1.0

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns, boot_clock: Callable[[], int] = boot_ns) -> None:
        self._wall_ns, self._boot_ns = wall_ns, boot_clock
        self._offset_ns = wall_ns() - boot_clock()  # market time minus boot time
        self._newest_ns = 0

    def now_ns(self) -> int:
        self._newest_ns = max(self._newest_ns, self._boot_ns() + self._offset_ns)
        return self._newest_ns

    def start_at(self, date: BrokerDate | None) -> None:
        """Before anything was decided by this clock: where the wall clock is wrong, the gateway's time is taken."""
        wall_ns, boot = self._wall_ns(), self._boot_ns()
        right_ns = wall_ns if date is None or abs(wall_ns - date.at(boot)) < SKEW_NS else date.at(boot)
        self._offset_ns, self._newest_ns = right_ns - boot, 0

    def shift(self, ns: int) -> None:
        """Move by `ns`; backwards: stand still for as long."""
        self._offset_ns += ns

    def real_s(self, market_ns: int) -> float:
        """Seconds of real time until market time has advanced by `market_ns`."""
        return market_ns / NS_PER_S


class SimulatedClock:
    """Market time of a simulated gateway or a paced tape."""

    def __init__(self, clock: MarketClock) -> None:
        self._clock = clock

    @property
    def speed(self) -> float:
        return self._clock.speed

    def now_ns(self) -> int:
        return self._clock.at(boot_ns())

    def adopt(self, other: "SimulatedClock") -> None:
        """Go on by another reading; everybody who holds this clock follows. Never backwards: see market_clock."""
        self._clock = other._clock

    def real_s(self, market_ns: int) -> float:
        """Seconds of real time until market time has advanced by `market_ns`."""
        return self._clock.real_ns(market_ns) / NS_PER_S


class FixedClock:
    """Lock-step: market time is the exchange instant that the source has reached."""

    speed = 1.0

    def __init__(self) -> None:
        self._now_ns = 0

    def now_ns(self) -> int:
        return self._now_ns

    def set_ns(self, now_ns: int) -> None:
        self._now_ns = max(self._now_ns, now_ns)

    def real_s(self, market_ns: int) -> float:
        return market_ns / NS_PER_S


RunClock = WallClock | SimulatedClock | FixedClock


def clock_from_answer(answer: dict[str, object]) -> SimulatedClock | None:
    """The clock described by a gateway's /sim/clock answer; None while that gateway's market has not started."""
    if answer.get("started") is False:
        return None
    market_ns, reading, speed = answer["market_ns"], answer["boot_ns"], answer["speed"]
    assert isinstance(market_ns, int)
    assert isinstance(reading, int)
    assert isinstance(speed, int | float)
    return SimulatedClock(MarketClock(market_ns, reading, float(speed)))
