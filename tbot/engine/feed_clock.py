"""The feed's own look at time: its market clock, and whether the machine slept (F-TIM-01, F-TIM-02).

The executor does the same for itself (`condition_watch.py`); each process notices alone, so neither waits for a word of
the other to distrust its connection.
"""

import threading
import time
from collections.abc import Callable

from tbot.engine.clocks import NS_PER_S, RunClock, WallClock, boot_ns
from tbot.engine.conditions import ClockJudge, PauseJudge, Readings
from tbot.gateway.rest import RestClient

ASK_NS = 2 * NS_PER_S  # between questions for the gateway's time


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
        self._asking: threading.Thread | None = None
        self._next_ask_ns = 0

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
            if self._judge.doubtful:
                self._ask(boot)
        return self._pause.look(boot, self._mono_ns())

    def _ask(self, boot: int) -> None:
        """Any answer of the gateway carries its time. In a thread: the loop must not stand still for it."""
        if boot < self._next_ask_ns or (self._asking is not None and self._asking.is_alive()):
            return
        self._next_ask_ns = boot + ASK_NS
        self._asking = threading.Thread(target=self._rest.ping, name="date", daemon=True)
        self._asking.start()
