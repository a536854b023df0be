"""The engine's clocks: the only place in it that reads one for a decision.

Market time of a live or paper run is the wall clock; of a simulated gateway it is a linear map of the boot clock, as
served at /sim/clock (design ruling 1). Durations, time-outs and ages use the boot clock, which counts suspend time.
"""

import time

from tbot.domain.clock import MarketClock

NS_PER_S = 1_000_000_000
# CLOCK_BOOTTIME is missing outside Linux; the monotonic clock is the nearest thing there.
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_ns() -> int:
    """Boot-clock reading, ns: never steps, counts the time the machine slept."""
    return time.clock_gettime_ns(_BOOT_CLOCK)


class WallClock:
    """Market time of a live market."""

    speed = 1.0

    def now_ns(self) -> int:
        return time.time_ns()

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
