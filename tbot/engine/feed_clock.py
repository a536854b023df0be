"""The feed's own look at time: its market clock, and whether the machine slept (F-TIM-01, F-TIM-02).

The executor does the same for itself (`condition_watch.py`); each process notices alone, so neither waits for a word of
the other to distrust its connection.
"""

import time
from collections.abc import Callable

from tbot.engine.clocks import RunClock, WallClock, boot_ns
from tbot.engine.conditions import ClockJudge, PauseJudge, Readings
from tbot.gateway.rest import RestClient


class FeedClock:
    """`look` about once a second."""

    def __init__(
        self,
        rest: RestClient,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        boot_clock: Callable[[], int] = boot_ns,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._rest = rest
        self._wall_ns, self._boot_ns, self._mono_ns = wall_ns, boot_clock, mono_ns
        self._judge, self._pause = ClockJudge(), PauseJudge()
        self._dated = False

    @property
    def wants_date(self) -> bool:
        """The gateway should be asked for the time (any request will do)."""
        return self._judge.doubtful

    def look(self, clock: RunClock) -> str:
        """Keep a live market's clock right; returns what happened when time went by unseen, in words."""
        boot = self._boot_ns()
        if isinstance(clock, WallClock):
            date = self._rest.date
            if date is not None and not self._dated:
                self._dated = True
                clock.start_at(date)
            self._judge.look(Readings(self._wall_ns(), boot, self._mono_ns(), clock.now_ns(), date))
            if self._judge.shift_ns:
                clock.shift(self._judge.shift_ns)
        return self._pause.look(boot, self._mono_ns())
