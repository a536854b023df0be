"""Reads clocks, disk and connections for `conditions.py`, tells the Desk what holds, and acts on sleep.

Looked at before every round of messages: a signal that waited while the machine slept meets a Desk that knows of it.
"""

import shutil
import time
from collections.abc import Callable
from typing import Any

from tbot.domain.messages import ConditionIn
from tbot.engine.clocks import NS_PER_S, WallClock, boot_ns
from tbot.engine.conditions import Conditions, Readings
from tbot.engine.desk_setup import TradingDesk
from tbot.engine.gateway_link import Link
from tbot.engine.observer import Tell
from tbot.engine.settings import EngineSettings

DISK_LOOK_NS = 5 * NS_PER_S
ASK_NS = 2 * NS_PER_S  # between questions for the gateway's time


class ConditionWatch:
    """`look` in every turn of the executor's loop; `heard_feed` with every word of the feed."""

    def __init__(
        self,
        settings: EngineSettings,
        link: Link,
        desk: TradingDesk,
        tell: Tell,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        boot_clock: Callable[[], int] = boot_ns,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._settings, self._link, self._desk, self._tell = settings, link, desk, tell
        self._wall_ns, self._boot_ns, self._mono_ns = wall_ns, boot_clock, mono_ns
        self.conditions = Conditions()
        self._feed_heard_ns = 0
        self._disk_free: int | None = None
        self._next_disk_ns = 0
        self._next_ask_ns = 0
        self._warned: dict[str, str] = {}

    def heard_feed(self) -> None:
        """The feed spoke."""
        self._feed_heard_ns = self._boot_ns()

    def look(self) -> None:
        """Tell the Desk what began and what is over."""
        readings = self._read()
        self._desk.exchange_time.heard(readings.date)
        clock = self._desk.clock
        changed = self.conditions.look(readings)
        judge = self.conditions.clock
        if isinstance(clock, WallClock) and judge.shift_ns:
            clock.shift(judge.shift_ns)
        for code, text in changed:
            self._desk.session.on_condition(ConditionIn(clock.now_ns(), code, text))
        if self.conditions.resumed:
            self._desk.presume_dead("the machine slept")
            self._link.rest.close()  # idle connections only: the next request makes a new one
        if judge.wants_date(readings) and readings.boot_ns >= self._next_ask_ns:
            self._next_ask_ns = readings.boot_ns + ASK_NS
            self._link.ask_date()
        before, self._warned = self._warned, self.conditions.warnings
        for kind in sorted(self._warned.keys() ^ before.keys()):
            self._tell(clock.now_ns(), "STATE", "", self._warned.get(kind, f"the warning of the {kind} is over"))

    def _read(self) -> Readings:
        boot = self._boot_ns()
        if boot >= self._next_disk_ns:
            self._next_disk_ns = boot + DISK_LOOK_NS
            self._disk_free = self._room()
        clock = self._desk.clock
        return Readings(
            wall_ns=self._wall_ns(),
            boot_ns=boot,
            mono_ns=self._mono_ns(),
            market_ns=clock.now_ns() if isinstance(clock, WallClock) else None,
            date=self._link.rest.date,
            journal=self._desk.journal.trouble,
            disk_free=self._disk_free,
            feed_heard_ns=self._feed_heard_ns,
            refused=self._link.rest.tokens.refused,
            hub_up_ns=self._desk.user_hub_up_ns,
            oldest_quote_ns=self._oldest_quote_ns(boot) if "RC_RESUMED" in self.conditions.held else None,
        )

    def _oldest_quote_ns(self, boot: int) -> int | None:
        """When the oldest of the newest quotes of contracts in order came; a contract with a gap is barred by that."""
        session = self._desk.session
        quotes = session.quotes(self._desk.clock.now_ns())
        in_order = [name for name, state in session.feeds.items() if state == "ok"]
        return min((boot - quotes[name].age_ns for name in in_order if name in quotes), default=None)

    def _room(self) -> int | None:
        try:
            return shutil.disk_usage(self._settings.state_dir).free
        except OSError:
            return None  # the journal will say what is wrong

    def status(self) -> dict[str, Any]:
        """What holds, in words, and the clock's distance from the gateway's (s)."""
        skew_ns = self.conditions.clock.skew_ns
        return {
            "held": dict(self.conditions.held),
            "skew_s": None if skew_ns is None else round(skew_ns / NS_PER_S, 1),
            "warnings": list(self._warned.values()),
        }
