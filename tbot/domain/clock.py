"""Time as a value: market time is a linear map of boot time, so that a tape at twenty times its speed is still a clock.

Deciders know market time only and receive it as `now_ns`; shells read a Clock (design.md section 8, ruling 1).
"""

from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """What a shell asks for the time; `now_ns` is market time in UTC nanoseconds."""

    def now_ns(self) -> int: ...


@dataclass(frozen=True, slots=True)
class MarketClock:
    """Market time = origin + (boot time - boot origin) * speed. Speed 1 with wall origins is the live clock."""

    origin_market_ns: int
    origin_boot_ns: int
    speed: float = 1.0

    def at(self, boot_ns: int) -> int:
        """Market time (UTC ns) at the boot-clock reading `boot_ns`."""
        elapsed = boot_ns - self.origin_boot_ns
        if self.speed == 1.0:
            return self.origin_market_ns + elapsed
        return self.origin_market_ns + int(elapsed * self.speed)

    def real_ns(self, market_duration_ns: int) -> int:
        """How long (ns of boot time) a stretch of market time takes."""
        return int(market_duration_ns / self.speed)


@dataclass(frozen=True, slots=True)
class BrokerDate:
    """The gateway's own time as its last answer told: Date header (UTC ns, cut to the second) and when it was there."""

    date_ns: int
    boot_ns: int
    asked_ns: int = 0  # boot clock when the request left; 0: not known, which bounds nothing from above

    def at(self, boot_ns: int) -> int:
        """The gateway's time at a boot-clock reading; right to half a second and the way of the answer."""
        return self.date_ns + 500_000_000 + boot_ns - self.boot_ns
