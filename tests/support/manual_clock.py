"""A clock that moves only when told."""


class ManualClock:
    """`now_ns` is market time in UTC ns."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def set_ns(self, now_ns: int) -> None:
        """Move to `now_ns`; moving backwards is the test's mistake and raises ValueError."""
        if now_ns < self._now_ns:
            raise ValueError(f"clock moved backwards by {self._now_ns - now_ns} ns")
        self._now_ns = now_ns
