"""drive(): how a run ends and what the shell is told; with a launcher that only plays one."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

import status_rig
from json_shape import same
from tbot.commands import show
from tbot.commands.show import (
    EXIT_NOT_FLAT,
    LineScreen,
    LiveScreen,
    Screen,
    after_run,
    choose_screen,
    drive,
    final_document,
    still_open,
)
from tbot.domain.process_messages import EngineEvent
from tbot.engine.status import Phase, build_status
from tbot.engine.temporary_state import fresh_state

SECOND = 1_000_000_000
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Play:
    """A Supervisor as drive() sees it. Time passes in `poll` and while waiting; `log` keeps what it was asked."""

    def __init__(self, folder: Path, mode: str = "sim") -> None:
        self.settings = status_rig.settings(folder, mode=mode)
        self.phase = Phase()
        self.finished = False
        self.events: list[EngineEvent] = []
        self.log: list[str] = []
        self.now_ns = 0
        self.polls = 0
        self.ready_at = 3  # polls
        self.flat_after = [True]  # answers to await_flat, one a call; None: wait for the phase or the person
        self.on_poll: Callable[[int], None] = lambda _: None
        self.on_wait: Callable[[int], None] = lambda _: None
        self.children = status_rig.family()

    def start(self) -> None:
        self.log.append("start")

    def poll(self, timeout_s: float) -> None:
        self.polls += 1
        assert self.polls < 10_000, "nothing ends this run"
        self.now_ns += int(timeout_s * SECOND)
        self.on_poll(self.polls)

    def ready(self) -> bool:
        return self.polls >= self.ready_at

    def status(self) -> dict[str, Any]:
        return build_status(self.settings, self.children, 0, self.phase)

    def tell(self, event: EngineEvent) -> None:
        self.events.append(event)

    def request_stop(self) -> str:
        self.log.append("stop")
        self.phase.stopping = True
        return "request"

    def await_flat(self, request: str, on_wait: Callable[[], bool] | None = None) -> None:
        assert request == "request"
        self.log.append("await")
        answer = self.flat_after.pop(0)
        assert on_wait is not None
        for number in range(1, 100):
            self.on_wait(number)
            if on_wait():
                return
            if answer is not None:
                self.phase.flat = answer
            if answer is not None or self.phase.flat:
                return
        raise AssertionError("waiting did not end")

    def shutdown(self) -> None:
        self.log.append("shutdown")
        self.phase.ended = True


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Signals mean again what they meant before."""
    before = {number: signal.getsignal(number) for number in HANDLED}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    made = Play(tmp_path)
    monkeypatch.setattr(show, "boot_ns", lambda: made.now_ns)
    return made


def run(play: Play, for_s: float | None = None, *, json_output: bool = False, screen: Screen | None = None) -> int:
    return drive(play, screen or Screen(), for_s, json_output, lambda: play.log.append("started"))  # type: ignore[arg-type]


def press(number: signal.Signals = signal.SIGINT, times: int = 1) -> None:
    for _ in range(times):
        signal.raise_signal(number)


# ------------------------------------------------------------------------------------------------------- exit codes
def test_proven_flat_is_zero(play: Play) -> None:
    assert run(play, 1) == 0
    assert play.log == ["start", "started", "stop", "await", "shutdown"]


def test_a_run_that_the_gateway_never_let_in_has_failed(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    play.children = status_rig.family(accounts={})
    assert run(play, 1) == 5
    assert "tbot doctor --online" in capsys.readouterr().err
    assert run(interrupted(play)) == 0  # Ctrl-C in the start is no failure


def interrupted(play: Play) -> Play:
    play.polls, play.flat_after, play.phase = 0, [True], Phase()
    play.on_poll = lambda polls: press() if polls == 1 else None
    return play


def test_not_proven_flat_is_eleven_after_asking_twice(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    play.flat_after = [False, False]
    assert run(play, 1) == EXIT_NOT_FLAT == 11
    assert play.log == ["start", "started", "stop", "await", "stop", "await", "shutdown"]
    assert "not proven flat" in capsys.readouterr().err


def test_flat_at_the_second_asking_is_zero(play: Play) -> None:
    play.flat_after = [False, True]
    assert run(play, 1) == 0


@pytest.mark.parametrize(("flat", "own_code", "expected"), [(True, 1, 1), (True, 4, 4), (False, 1, 11), (False, 4, 11)])
def test_a_failed_run_tells_why(
    play: Play, capsys: pytest.CaptureFixture[str], flat: bool, own_code: int, expected: int
) -> None:
    def fail(polls: int) -> None:
        if polls == 5:
            play.phase = replace(play.phase, failure="sim ended", failure_code="RC_PEER_DEAD", exit_code=own_code)

    play.on_poll, play.flat_after = fail, [flat, flat]
    assert run(play) == expected
    assert play.polls == 5
    assert "sim ended (RC_PEER_DEAD)" in capsys.readouterr().err


def test_a_tape_that_was_not_played_to_its_end_is_no_whole_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play = Play(tmp_path, "replay")
    monkeypatch.setattr(show, "boot_ns", lambda: play.now_ns)
    play.on_poll = lambda polls: os.kill(os.getpid(), signal.SIGINT) if polls == 3 else None
    assert run(play) == 130
    assert "stopped before the end of the tape" in capsys.readouterr().err


@pytest.mark.parametrize("flat", [True, False])
def test_the_end_of_a_tape_is_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flat: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    play = Play(tmp_path, "replay")
    monkeypatch.setattr(show, "boot_ns", lambda: play.now_ns)
    play.on_poll = lambda polls: setattr(play, "finished", polls >= 7)
    play.flat_after = [flat, flat]
    assert run(play) == 0
    assert play.polls == 7
    assert capsys.readouterr().err == ""


def test_a_start_that_fails_is_cleaned_up_and_comes_out(play: Play) -> None:
    def broken() -> None:
        play.log.append("start")
        raise OSError("no memory")

    play.start = broken  # type: ignore[method-assign]
    closed = []
    screen = Screen()
    screen.close = lambda: closed.append(True)  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no memory"):
        run(play, screen=screen)
    assert play.log == ["start", "shutdown"]
    assert closed == [True]


# ------------------------------------------------------------------------------------------------------------- time
@pytest.mark.parametrize("ready_at", [1, 50, 300])
def test_time_counts_from_ready(play: Play, ready_at: int) -> None:
    play.ready_at = ready_at
    seen = []
    play.on_poll = lambda polls: seen.append(play.now_ns)
    assert run(play, 5.0) == 0
    assert seen[-1] - seen[ready_at - 1] == 5 * SECOND


def test_without_a_time_it_runs_until_told(play: Play) -> None:
    play.on_poll = lambda polls: press() if polls == 2_000 else None
    assert run(play) == 0
    assert play.polls == 2_000


# ----------------------------------------------------------------------------------------------------------- Ctrl-C
@pytest.mark.parametrize("number", HANDLED)
def test_first_ctrl_c_stops_orderly(play: Play, number: signal.Signals) -> None:
    play.on_poll = lambda polls: press(number) if polls == 4 else None
    assert run(play) == 0
    assert play.polls == 4
    assert play.log == ["start", "started", "stop", "await", "shutdown"]
    assert play.events == []


def test_second_ctrl_c_tells_once_what_is_open_and_waits_on(play: Play) -> None:
    places = [{"contract": "MNQ", "side": -1, "size": 2}, {"contract": "GC", "side": 1, "size": 1}]
    play.children = status_rig.family({"1": status_rig.account(positions=places, orders=[{}, {}, {}])})
    play.on_poll = lambda polls: press() if polls == 4 else None

    waits = []

    def wait(number: int) -> None:
        waits.append(number)
        if number == 3:
            press()
        play.phase.flat = number == 6

    play.on_wait, play.flat_after = wait, [None]
    assert run(play) == 0
    assert waits == [1, 2, 3, 4, 5, 6]
    assert [event.text for event in play.events] == [
        "closing: MNQ -2, GC +1, 3 working orders; a third Ctrl-C leaves them"
    ]


def test_third_ctrl_c_leaves_at_once_and_says_what_that_means(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    play.on_poll = lambda polls: press() if polls == 4 else None
    waits = []

    def wait(number: int) -> None:
        waits.append(number)
        if number in (2, 5):
            press()

    play.on_wait, play.flat_after = wait, [None, None]
    assert run(play) == EXIT_NOT_FLAT
    assert waits == [1, 2, 3, 4, 5, 1]  # asked once more, and left at the first look
    assert play.log[-1] == "shutdown"
    assert "not proven flat" in capsys.readouterr().err


def test_nothing_open_is_said_too() -> None:
    assert still_open({"accounts": {}}).startswith("closing: no position, 0 working orders")


# --------------------------------------------------------------------------------------------------- what is printed
KEYS = {
    "mode", "contracts", "intents", "denials", "fills", "round_trips", "pnl_usd", "latency_ns", "gaps", "restarts",
    "state",
}  # fmt: skip


def test_json_prints_one_document_with_the_fixed_keys(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    play.children = status_rig.family(denials={"RC_WINDOW": 3}, intents=4, fills=2)
    assert run(play, 1, json_output=True) == 0
    out, err = capsys.readouterr()
    document = orjson.loads(out)  # one document and nothing else
    assert err == ""
    assert document.keys() >= KEYS
    assert document["state"] == "STOPPED"
    assert document["contracts"] == {
        "MNQ": {"ticks": 10, "bars": {"1m": 5, "5m": 1}, "zones": 5, "signals": 4},
        "ES": {"ticks": 0, "bars": {"1m": 6}, "zones": 0, "signals": 0},
    }
    assert document["denials"] == {"RC_WINDOW": 3}
    for figures in document["latency_ns"].values():
        assert figures.keys() >= {"p50", "p99", "p999", "max"}


def test_json_prints_its_document_also_when_the_run_failed(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    play.phase = Phase(failure="feed ended", failure_code="RC_CRASH_LOOP")
    assert run(play, json_output=True) == 1
    out, err = capsys.readouterr()
    assert (orjson.loads(out)["state"], orjson.loads(out)["reason"]) == ("HALTED", "feed ended")
    assert "feed ended (RC_CRASH_LOOP)" in err


def test_the_final_document_of_a_run_that_never_spoke(tmp_path: Path) -> None:
    status = build_status(status_rig.settings(tmp_path), {}, 0, Phase(ended=True))
    document = final_document(status)
    assert document.keys() >= KEYS
    same(document)
    assert document["contracts"]["MNQ"] == {"ticks": 0, "bars": {}, "zones": 0, "signals": 0}
    orjson.dumps(document)


def test_a_pipe_gets_each_state_once(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    screen = choose_screen(json_output=False, quiet=False, zone=ZoneInfo("UTC"))
    assert type(screen) is LineScreen
    assert run(play, 5, screen=screen) == 0
    lines = [line.split("STATE")[1].strip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["ACTIVE: because of ACTIVE", "STOPPING: stopping: entries are off", "STOPPED"]


@pytest.mark.parametrize("temporary", [False, True])
def test_the_last_picture_of_a_terminal_is_followed_by_what_to_do_next(
    play: Play, capsys: pytest.CaptureFixture[str], tmp_path: Path, temporary: bool
) -> None:
    folder = fresh_state("sim") if temporary else tmp_path
    play.settings = replace(play.settings, state_dir=folder)
    assert run(play, 1, screen=LiveScreen(ZoneInfo("UTC"))) == 0
    out = capsys.readouterr().out
    assert out.rindex("STOPPED") < out.rindex("tbot trades has every round trip")
    assert ("is temporary: a later run removes it" in " ".join(out.split())) is temporary
    if temporary:
        shutil.rmtree(folder)


def test_a_run_that_never_came_to_trade_has_nothing_to_show() -> None:
    assert after_run({"accounts": {}}, temporary=True) == []


@pytest.mark.parametrize("quiet", [{"json_output": True, "quiet": False}, {"json_output": False, "quiet": True}])
def test_json_and_quiet_show_nothing(play: Play, capsys: pytest.CaptureFixture[str], quiet: dict[str, bool]) -> None:
    screen = choose_screen(zone=ZoneInfo("UTC"), **quiet)
    screen.event(EngineEvent(0, "feed", "FEED", "", "hello"))
    assert run(play, 1, screen=screen) == 0
    assert capsys.readouterr().out == ""
