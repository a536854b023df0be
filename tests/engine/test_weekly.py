"""When the engine makes the report of the week, by a clock and a process of ours; and what it says of it."""

import json
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest

from status_rig import settings
from tbot.domain.trading_hours import SessionCalendar, SessionRow, SessionTable
from tbot.engine.report_settings import ReportSettings
from tbot.engine.weekly import AFTER_CLOSE_NS, LIMIT_NS, PATIENCE_NS, SETTLED_NS, WeeklyReports, closed_week, words
from tbot.errors import ConfigError
from tbot.storage.sessions import load_sessions
from tbot.strategy.learning_settings import LearningSettings

S = 1_000_000_000
MIN = 60 * S


def at(text: str) -> int:
    """UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * S


CLOSE = at("2026-11-20T21:00:00")  # 23:00 Helsinki, before 15:10 Chicago
FAR = 10 * SETTLED_NS


class Fake:
    """A process that ends when it is told to."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.killed = False

    def poll(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.killed = True


class World:
    """A clock, and every process that was started."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.now = 1_000 * S
        self.commands: list[list[str]] = []
        self.processes: list[Fake] = []
        self.heard: list[dict[str, Any]] = []
        self.settings = settings(folder, **more)
        self.refuse = False
        self.reports = self.fresh()

    def fresh(self) -> WeeklyReports:
        return WeeklyReports(self.settings, self.heard.append, start=self.start, clock=lambda: self.now)

    def start(self, command: list[str]) -> Fake:
        if self.refuse:
            raise OSError("no room")
        self.commands.append(command)
        self.processes.append(Fake())
        return self.processes[-1]

    def look(self, market_ns: int, *, flat: bool = True, later: int = 2 * S) -> None:
        self.now += later
        self.reports.look(market_ns, flat)

    def word(self, label: str, **more: Any) -> dict[str, Any]:
        """What the report's own process leaves."""
        told = {"label": label, "at": "2026-11-20T21:05:00Z", "paths": ["a.html"], "failure": "", "net_usd": 1.0} | more
        self.reports.folder.mkdir(exist_ok=True)
        (self.reports.folder / "last.json").write_text(json.dumps(told))
        return told


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# ------------------------------------------------------------------------------------------------ which week
@pytest.mark.parametrize(
    ("now", "week"),
    [
        ("2026-11-20T20:59:59", "2026-W46"),
        ("2026-11-20T21:00:00", "2026-W47"),
        ("2026-11-22T23:30:00", "2026-W47"),  # Sunday, 17:30 Chicago: Monday's trading day
        ("2026-11-27T20:00:00", "2026-W48"),  # the day after Thanksgiving closes early
        ("2026-04-03T12:59:00", "2026-W13"),
        ("2026-04-03T13:00:00", "2026-W14"),  # Good Friday closes in the morning
        ("2026-12-24T18:00:00", "2026-W52"),  # Christmas has no session: Thursday ends the week
        ("2026-01-02T12:00:00", "2025-W52"),
        ("2026-01-02T21:30:00", "2026-W01"),
    ],
)
def test_a_week_is_over_when_its_last_session_is(now: str, week: str) -> None:
    calendar = SessionCalendar(load_sessions(), template_ok=True)
    assert closed_week(at(now), calendar).week == week


def test_a_week_of_holidays_is_over_on_its_friday() -> None:
    rows = tuple(
        SessionRow(date(2026, 11, day), frozenset({"*"}), None, "test", date(2026, 1, 1)) for day in range(16, 21)
    )
    calendar = SessionCalendar(SessionTable(frozenset({2026}), rows), template_ok=True)
    assert closed_week(CLOSE - 1, calendar).week == "2026-W46"
    assert closed_week(CLOSE, calendar).week == "2026-W47"


def test_an_early_close_moves_it() -> None:
    row = SessionRow(date(2026, 11, 20), frozenset({"*"}), time(12, 0), "test", date(2026, 1, 1))
    calendar = SessionCalendar(SessionTable(frozenset({2026}), (row,)), template_ok=True)
    assert closed_week(CLOSE, calendar).closed_ns == at("2026-11-20T18:00:00")


# ------------------------------------------------------------------------------------------------ when
def test_the_report_is_made_once_at_fridays_close(world: World) -> None:
    world.look(CLOSE - MIN)
    world.look(CLOSE)
    assert world.commands == []
    world.look(CLOSE + AFTER_CLOSE_NS)
    [command] = world.commands
    assert command[1:7] == ["-m", "tbot", "report", "--background", "--week", "2026-W47"]
    state = world.settings.state_dir
    assert command[7:14] == [
        "--state-dir", str(state), "--out", str(state / "reports"), "--format", "html,pdf,png,json", "--learning",
    ]  # fmt: skip
    assert LearningSettings(**json.loads(command[14])) == world.settings.strategy.learning
    assert world.reports.status()["making"] == "2026-W47"
    told = world.word("2026-W47")
    world.processes[0].code = 0
    world.look(CLOSE + 5 * MIN)
    assert world.heard == [told]
    world.look(CLOSE + 6 * MIN)
    assert len(world.commands) == 1
    assert world.reports.status() == {
        "weekly": True, "making": None, "last_label": "2026-W47", "last_at": "2026-11-20T21:05:00Z",
        "last_paths": ["a.html"], "last_failure": "",
    }  # fmt: skip


def test_it_waits_until_nothing_is_open_but_not_for_ever(world: World) -> None:
    world.look(CLOSE - MIN)
    world.look(CLOSE + AFTER_CLOSE_NS, flat=False)
    world.look(CLOSE + PATIENCE_NS - MIN, flat=False)
    assert world.commands == []
    world.look(CLOSE + PATIENCE_NS + AFTER_CLOSE_NS, flat=False)
    assert len(world.commands) == 1


def test_a_close_that_nobody_saw_is_made_up_for(world: World) -> None:
    monday = at("2026-11-23T08:00:00")
    world.look(monday)
    assert world.commands == []  # a start has better things to do
    world.look(monday + MIN, later=SETTLED_NS)
    assert world.commands[0][6] == "2026-W47"


def test_a_report_that_is_there_is_not_made_again(world: World) -> None:
    world.reports.folder.mkdir()
    (world.reports.folder / "tbot-report-demo-2026-W47.json").write_text("{}")
    world.look(CLOSE - MIN)
    world.look(CLOSE + 5 * MIN, later=FAR)
    assert world.commands == []


@pytest.mark.parametrize("more", [{"report": ReportSettings(weekly=False)}, {"mode": "replay"}])
def test_not_where_nobody_wants_it(tmp_path: Path, more: dict[str, Any]) -> None:
    world = World(tmp_path, **more)
    world.look(CLOSE - MIN)
    world.look(CLOSE + 5 * MIN, later=FAR)
    assert world.commands == []
    assert world.reports.status()["weekly"] is False


def test_looks_are_cheap(world: World) -> None:
    """Within a second nothing is asked of the calendar, and without market time nothing is known."""
    world.look(CLOSE - MIN)
    world.look(CLOSE + 5 * MIN, later=S // 2)
    world.look(0)
    assert world.commands == []


# ------------------------------------------------------------------------------------------------ what goes wrong
def begun(world: World) -> Fake:
    world.look(CLOSE - MIN)
    world.look(CLOSE + AFTER_CLOSE_NS)
    return world.processes[0]


def test_a_failure_is_told_and_not_repeated(world: World) -> None:
    process = begun(world)
    world.word("2026-W47", paths=[], failure="no room")
    process.code = 9
    world.look(CLOSE + 5 * MIN)
    assert world.reports.status()["last_failure"] == "no room"
    assert [told["failure"] for told in world.heard] == ["no room"]
    world.look(CLOSE + 9 * MIN)
    assert len(world.commands) == 1


def test_a_process_that_dies_without_a_word_is_told(world: World) -> None:
    process = begun(world)
    process.code = -9
    world.look(CLOSE + 5 * MIN)
    [told] = world.heard
    assert told["failure"] == "the report ended with exit code -9; run tbot report --week 2026-W47 to see why"
    kept = json.loads((world.reports.folder / "last.json").read_text())
    assert kept["failure"] == told["failure"]
    assert world.fresh().status()["last_failure"] == told["failure"]  # the next run knows


def test_a_process_that_never_ends_is_ended(world: World) -> None:
    process = begun(world)
    world.look(CLOSE + 5 * MIN, later=LIMIT_NS + S)
    assert process.killed
    assert "was stopped after 900 s" in world.heard[0]["failure"]
    assert not world.reports.running


def test_a_process_that_cannot_be_started_is_told(world: World) -> None:
    world.refuse = True
    world.look(CLOSE - MIN)
    world.look(CLOSE + AFTER_CLOSE_NS)
    assert "could not be started: no room" in world.heard[0]["failure"]


def test_nothing_to_report_leaves_no_word(world: World) -> None:
    process = begun(world)
    process.code = 0
    world.look(CLOSE + 5 * MIN)
    assert world.heard == []


def test_a_damaged_word_is_no_word(world: World) -> None:
    world.reports.folder.mkdir()
    (world.reports.folder / "last.json").write_text("{")
    assert world.fresh().status()["last_label"] is None


def test_the_line_on_the_screen() -> None:
    assert words({"label": "2026-W47", "paths": ["/x/a.html"], "failure": ""}) == (
        "report of 2026-W47 is ready: /x/a.html"
    )
    assert words({"label": "2026-W47", "paths": [], "failure": "no room"}) == "no report of 2026-W47: no room"
    only = words({"label": "W", "paths": ["a.json"], "failure": "only JSON"})
    assert only == "report of W is ready: a.json (only JSON)"


@pytest.mark.parametrize("formats", [(), ("doc",), ("html", "doc")])
def test_formats_are_checked(formats: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="formats must be a list of html, pdf, png, json"):
        ReportSettings(formats=formats)
