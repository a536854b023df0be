"""The report of the week, made by the running engine when the week's last session has closed.

The launcher only decides when, and starts `tbot report` as a process of its own that lowers its own priority: drawing
takes seconds of a core, and nothing of that may happen in a process that has something else to do. A week whose close
nobody saw is made up for at the next start. The process leaves word in `reports/last.json`, and so does the launcher
for one that could not.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Protocol

import orjson

from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.domain.trading_hours import SessionCalendar, SessionTable, trading_day
from tbot.engine.clocks import boot_ns
from tbot.engine.report_settings import ReportSettings
from tbot.engine.settings import EngineSettings
from tbot.storage.private_file import replace_private

AFTER_CLOSE_NS = 2 * NS_PER_MIN  # market time: what closes at the deadline is noted by then
PATIENCE_NS = 30 * NS_PER_MIN  # market time to wait for accounts that are not flat
SETTLED_NS = 60 * NS_PER_S  # boot time after the start before a week is made up for
LIMIT_NS = 900 * NS_PER_S  # boot time for one report
LOOK_EVERY_NS = NS_PER_S
SECRETS = ("TBOT_USERNAME", "TBOT_API_KEY")
MODES = ("sim", "paper", "live")
NO_HOLIDAYS = SessionTable(frozenset(), ())


@dataclass(frozen=True, slots=True)
class ClosedWeek:
    """The newest week whose last session is over, and from when on that has been so."""

    week: str  # 2026-W47
    closed_ns: int


def closed_week(now_ns: int, calendar: SessionCalendar) -> ClosedWeek:
    """Of a moment of market time. A week of nothing but holidays is over with a plain Friday's flat time."""
    day = trading_day(now_ns)
    while True:
        monday = day - timedelta(days=day.weekday())
        closed_ns = _close_ns(monday, calendar)
        if now_ns >= closed_ns:
            year, week, _ = monday.isocalendar()
            return ClosedWeek(f"{year:04d}-W{week:02d}", closed_ns)
        day = monday - timedelta(days=1)


def _close_ns(monday: date, calendar: SessionCalendar) -> int:
    """When everything of the week is flat."""
    for number in (4, 3, 2, 1, 0):
        window = calendar.window(monday + timedelta(days=number))
        if window is not None:
            return window.flat_by_ns
    everyday = SessionCalendar(NO_HOLIDAYS, hours=calendar.hours, template_ok=True)
    window = everyday.window(monday + timedelta(days=4))
    assert window is not None, "a Friday of the weekly pattern has a window"
    return window.flat_by_ns


class Process(Protocol):
    """As much of subprocess.Popen as is needed."""

    def poll(self) -> int | None: ...

    def kill(self) -> None: ...


def start_process(command: list[str]) -> Process:
    """A process of its own session, without our secrets: neither Ctrl-C nor our end stops it half-way."""
    kept = {name: text for name, text in os.environ.items() if name not in SECRETS}
    return subprocess.Popen(
        command, env=kept, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


class WeeklyReports:
    """Looks at the time and starts reports; `status()` is its part of the status document.

    `on_report` hears of every attempt: {label, at, paths, failure, net_usd} of `last.json`. `start` makes a process of
    a command; `clock` is the boot clock.
    """

    def __init__(
        self,
        settings: EngineSettings,
        on_report: Callable[[dict[str, Any]], None],
        *,
        start: Callable[[list[str]], Process] = start_process,
        clock: Callable[[], int] = boot_ns,
    ) -> None:
        self._settings: ReportSettings = settings.report
        self._on = settings.report.weekly and settings.mode in MODES
        self._state_dir = settings.state_dir
        self._learning = orjson.dumps(asdict(settings.strategy.learning)).decode()
        self.folder = settings.state_dir / "reports"
        self._calendar = SessionCalendar(settings.sessions, template_ok=True)
        self._on_report, self._start, self._clock = on_report, start, clock
        self._born_ns = clock()
        self._looked_ns = 0
        self._first_ns = 0  # market time of the first look
        self._tried: set[str] = set()
        self._process: Process | None = None
        self._week, self._since_ns = "", 0
        self.last = _read(self.folder / "last.json")

    @property
    def running(self) -> bool:
        return self._process is not None

    def look(self, market_ns: int, flat: bool) -> None:
        """Time went by. Cheap unless a second has passed. `flat`: no account holds anything."""
        now = self._clock()
        if not self._on or now - self._looked_ns < LOOK_EVERY_NS:
            return
        self._looked_ns = now
        if self._process is not None:
            self._watch(self._process, now)
        elif market_ns > 0:
            self._first_ns = self._first_ns or market_ns
            self._begin(market_ns, flat, now)

    def _begin(self, market_ns: int, flat: bool, now: int) -> None:
        closed = closed_week(market_ns - AFTER_CLOSE_NS, self._calendar)
        if closed.week in self._tried:
            return
        missed = closed.closed_ns + AFTER_CLOSE_NS <= self._first_ns  # it closed while nobody ran
        if missed and now - self._born_ns < SETTLED_NS:
            return
        if not flat and market_ns - closed.closed_ns < PATIENCE_NS:
            return
        self._tried.add(closed.week)
        if any(self.folder.glob(f"*-{closed.week}.*")):
            return
        self._week, self._since_ns = closed.week, now
        command = [
            sys.executable, "-m", "tbot", "report", "--background", "--week", closed.week, "--state-dir",
            str(self._state_dir), "--out", str(self.folder), "--format", ",".join(self._settings.formats),
            "--learning", self._learning,
        ]  # fmt: skip
        try:
            self._process = self._start(command)
        except OSError as error:
            self._ended(f"the report could not be started: {error}")

    def _watch(self, process: Process, now: int) -> None:
        code = process.poll()
        if code is None:
            if now - self._since_ns > LIMIT_NS:
                process.kill()
                self._process = None
                took = LIMIT_NS // NS_PER_S
                self._ended(f"the report was stopped after {took} s; run tbot report --week {self._week}")
            return
        self._process = None
        told = _read(self.folder / "last.json")
        if told is not None and told != self.last and told.get("label") == self._week:
            self.last = told
            self._on_report(told)
        elif code:
            self._ended(f"the report ended with exit code {code}; run tbot report --week {self._week} to see why")

    def _ended(self, failure: str) -> None:
        """An attempt that left no word itself."""
        self.last = {
            "schema": "tbot.report.last", "version": 1, "label": self._week, "at": _now(), "paths": [],
            "failure": failure, "net_usd": None,
        }  # fmt: skip
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            replace_private(self.folder / "last.json", orjson.dumps(self.last))
        except OSError:
            self._looked_ns = self._clock()  # a full disk: the status document tells it all the same
        self._on_report(self.last)

    def status(self) -> dict[str, Any]:
        """For the status document."""
        last = self.last or {}
        return {
            "weekly": self._on,
            "making": self._week if self.running else None,
            "last_label": last.get("label"),
            "last_at": last.get("at"),
            "last_paths": last.get("paths", []),
            "last_failure": last.get("failure", ""),
        }


def _read(path: Path) -> dict[str, Any] | None:
    """Word of the newest report; None when there is none that can be read."""
    try:
        told = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def words(told: dict[str, Any]) -> str:
    """One line for the screen."""
    if told.get("failure") and not told.get("paths"):
        return f"no report of {told.get('label')}: {told['failure']}"
    paths = told.get("paths") or [""]
    more = f" ({told['failure']})" if told.get("failure") else ""
    return f"report of {told.get('label')} is ready: {paths[0]}{more}"
