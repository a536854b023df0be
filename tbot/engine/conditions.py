"""What the executor may see of machine and line, folded into conditions that pause entries (`ConditionIn` of the Desk).

Pure: readings come in, sentences by RC_ code come out; `condition_watch.py` reads the clocks and carries out the rest.

    RC_CLOCK       the wall clock was moved, or is far from the gateway's (F-TIM-01): until both agree again
    RC_RESUMED     the machine slept, or this process stood still (F-TIM-02): until hubs and quotes are new
    RC_DISK        little room left (F-SYS-01)
    RC_JOURNAL     the journal cannot be written: entries are refused there anyway (R1); here the account says why
    RC_PEER_DEAD   the feed says nothing any more (F-PRC-01). A dead worker pauses nothing: its contract has no signals
    RC_AUTH        the gateway refused the login (F-API-02): this one halts, until a person resumes

The Desk asks the broker when a condition begins, and goes back to RECONCILING when it ends, so nothing is opened before
a complete answer (R5). A lost user hub is not here: `gateway_watch.py` bars contracts for that.
"""

from dataclasses import dataclass, field

from tbot.domain.clock import BrokerDate
from tbot.engine.clocks import NS_PER_S, SKEW_NS

STEP_NS = NS_PER_S // 2  # C_CLOCK_STEP
FAR_NS = 10 * NS_PER_S  # C_SKEW_MAX, second figure
MOST_BACK_NS = 10 * NS_PER_S  # market time may stand still for so long, not longer
DATE_AGE_NS = 60 * NS_PER_S  # a Date header is wanted that often
STILL_NS = 5 * NS_PER_S  # a loop that did not turn for so long missed everything
FEED_DEAD_NS = 5 * NS_PER_S  # C_HEARTBEAT: dead
FEED_FIRST_NS = 30 * NS_PER_S  # a cold start
DISK_PAUSE = 200 << 20  # F-SYS-01
DISK_WARN = 1 << 30
DISK_AGAIN = 256 << 20  # room that ends it: a journal that grows must not switch it on and off


@dataclass(frozen=True, slots=True)
class Readings:
    """All clocks at one moment (ns), and what the executor knows besides."""

    wall_ns: int
    boot_ns: int
    mono_ns: int  # like the boot clock, without the time the machine slept
    market_ns: int | None = None  # None: market time does not hang on the wall clock (simulated gateway)
    date: BrokerDate | None = None
    journal: str = ""  # why it cannot be written
    disk_free: int | None = None  # bytes; None: not known
    feed_heard_ns: int = 0  # boot clock of the feed's last word; 0: none yet
    hub_up_ns: int | None = 0  # boot clock since which the user hub is connected; None: it is not; 0: there is none
    refused: str = ""  # why the gateway refused the login
    oldest_quote_ns: int | None = None  # boot clock of the oldest quote that a contract rests on; None: none


class ClockJudge:
    """Whether the wall clock may be believed. `look` gives "" or why not; `shift_ns` then moves market time.

    Without a Date header a moved clock is not believed again in this run: nobody can tell a correction from a mistake.
    """

    def __init__(self) -> None:
        self.shift_ns = 0  # what market time must be moved by after the last look
        self.skew_ns: int | None = None  # wall clock minus gateway, as of the last look
        self._apart_ns: int | None = None  # wall minus boot clock
        self._since_ns = 0  # boot clock; a Date from before it proves nothing. 0: no doubt
        self._why = ""

    @property
    def warning(self) -> str:
        """A difference that is no reason to pause yet."""
        if self.skew_ns is None or self._since_ns or not SKEW_NS <= abs(self.skew_ns) < FAR_NS:
            return ""
        return f"the clock of this machine is {_signed(self.skew_ns)} off the gateway's: turn time synchronisation on"

    @property
    def doubtful(self) -> bool:
        """A newer Date header is needed to believe the wall clock again."""
        return bool(self._since_ns)

    def wants_date(self, readings: Readings) -> bool:
        """Whether the gateway should be asked for the time."""
        date = readings.date
        return bool(self._since_ns) or date is None or readings.boot_ns - date.boot_ns > DATE_AGE_NS

    def look(self, readings: Readings) -> str:
        """Why entries must rest; "" when the clock is in order."""
        self.shift_ns = 0
        boot, date = readings.boot_ns, readings.date
        apart_ns = readings.wall_ns - boot
        step_ns = 0 if self._apart_ns is None else apart_ns - self._apart_ns
        self._apart_ns = apart_ns
        self.skew_ns = None if date is None else readings.wall_ns - date.at(boot)
        if abs(step_ns) > STEP_NS:
            self._since_ns = boot
            self._why = f"the clock of this machine was moved by {_signed(step_ns)}"
        elif not self._since_ns and self.skew_ns is not None and abs(self.skew_ns) >= FAR_NS:
            self._since_ns = boot
            self._why = f"the clock of this machine is {_signed(self.skew_ns)} off the gateway's"
        back_ns = 0 if readings.market_ns is None else readings.market_ns - readings.wall_ns
        if date is None or date.boot_ns < self._since_ns or self.skew_ns is None:
            return self._why
        if abs(self.skew_ns) >= SKEW_NS:
            if self._since_ns and abs(self.skew_ns) >= FAR_NS:
                self._why = f"the clock of this machine is {_signed(self.skew_ns)} off the gateway's"
            return self._why
        if back_ns > MOST_BACK_NS:
            self._since_ns = boot
            self._why = f"this run's time is {back_ns / NS_PER_S:.0f} s ahead of the gateway's: start the engine again"
            return self._why
        self._since_ns, self._why = 0, ""
        self.shift_ns = -back_ns
        return ""


class PauseJudge:
    """Whether time went by unseen between two looks: the machine slept, or this process was stopped."""

    def __init__(self, still_ns: int = STILL_NS) -> None:
        self._still_ns = still_ns
        self._last: tuple[int, int] | None = None

    def look(self, boot_ns: int, mono_ns: int) -> str:
        """What happened since the last look, in words; "" when nothing did."""
        last, self._last = self._last, (boot_ns, mono_ns)
        if last is None:
            return ""
        gone_ns, seen_ns = boot_ns - last[0], mono_ns - last[1]
        if gone_ns - seen_ns > STEP_NS:
            return f"the machine slept for {(gone_ns - seen_ns) / NS_PER_S:.0f} s"
        return f"this process stood still for {gone_ns / NS_PER_S:.0f} s" if gone_ns > self._still_ns else ""


@dataclass(slots=True)
class Conditions:
    """Fold of readings; `held` is what stands now, by RC_ code."""

    clock: ClockJudge = field(default_factory=ClockJudge)
    held: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)  # "clock", "disk": no reason to pause yet
    resumed: bool = False  # the last look saw a pause: connections are presumed dead
    _pause: PauseJudge = field(default_factory=PauseJudge)
    _resumed_ns: int = 0  # boot clock
    _began_ns: int = 0

    def look(self, readings: Readings) -> list[tuple[str, str]]:
        """What changed: (RC_ code, sentence), "" for what is over."""
        boot = readings.boot_ns
        self._began_ns = self._began_ns or boot
        slept = self._pause.look(boot, readings.mono_ns)
        self.resumed = bool(slept)
        if slept:
            self._resumed_ns = boot
        now = {
            "RC_CLOCK": self.clock.look(readings),
            "RC_RESUMED": slept or self._still_resumed(readings),
            "RC_DISK": self._disk(readings.disk_free),
            "RC_JOURNAL": f"the journal is not written: {readings.journal}" if readings.journal else "",
            "RC_PEER_DEAD": self._feed(readings),
            "RC_AUTH": f"the gateway refused the login: {readings.refused}" if readings.refused else "",
        }
        changed = [(code, text) for code, text in now.items() if bool(text) != (code in self.held)]
        self.held = {code: text for code, text in now.items() if text}
        found = {"clock": self.clock.warning, "disk": self._little_room(readings.disk_free)}
        self.warnings = {kind: text for kind, text in found.items() if text}
        return changed

    def _still_resumed(self, readings: Readings) -> str:
        """Until the user hub was connected anew and no contract in order rests on a quote from before."""
        held = self.held.get("RC_RESUMED", "")
        hub_ns, quote_ns = readings.hub_up_ns, readings.oldest_quote_ns
        if hub_ns is None or 0 < hub_ns < self._resumed_ns:
            return held
        return held if quote_ns is not None and quote_ns < self._resumed_ns else ""

    def _disk(self, free: int | None) -> str:
        if free is None:
            return self.held.get("RC_DISK", "")
        least = DISK_AGAIN if "RC_DISK" in self.held else DISK_PAUSE
        return f"only {free >> 20} MB are free on the disk of the journal" if free < least else ""

    def _little_room(self, free: int | None) -> str:
        if free is None:
            return self.warnings.get("disk", "")
        if "RC_DISK" in self.held or free >= DISK_WARN:
            return ""
        return f"{free >> 20} MB are free on the disk of the journal: entries end at {DISK_PAUSE >> 20} MB"

    def _feed(self, readings: Readings) -> str:
        heard = readings.feed_heard_ns
        limit = FEED_DEAD_NS if heard else FEED_FIRST_NS
        silent_ns = readings.boot_ns - max(heard or self._began_ns, self._resumed_ns)
        return "the feed process does not answer" if silent_ns > limit else ""


def _signed(ns: int) -> str:
    return f"{ns / NS_PER_S:+.1f} s"
