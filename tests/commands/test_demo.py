"""`tbot demo`: what it tells, how wide, in which order; and once for real."""

import io
import json
import os
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from engine_runs import assert_nothing_left, running
from status_rig import account, family, settings
from tbot.commands import demo
from tbot.commands.demo import MEANINGS, MOST_ZONES, Story, summary
from tbot.domain.process_messages import EngineEvent
from tbot.engine.status import Phase, build_status

OPEN_NS = 1_795_185_000 * 10**9


class Supervised:
    """A supervisor that has a status and nothing else."""

    def __init__(self, folder: Path, *, ready: bool = True, stopping: bool = False) -> None:
        self._ready = ready
        accounts = {"1": account(trades=2, wins=1, day_pnl_cents=4_250, flat=True)} if ready else {}
        phase = Phase(stopping=stopping)
        self._status = build_status(settings(folder), family(accounts), 0, phase)

    def ready(self) -> bool:
        return self._ready

    def status(self) -> dict[str, Any]:
        return self._status


def told(*events: EngineEvent, supervised: Supervised | None = None, width: int = 80) -> str:
    """What a demo with these events writes."""
    out = io.StringIO()
    story = Story(Console(file=out, width=width, highlight=False), ZoneInfo("Europe/Helsinki"))
    if supervised is not None:
        story.draw(supervised)  # type: ignore[arg-type]
    for event in events:
        story.event(event)
    story.close()
    return out.getvalue()


def event(kind: str, text: str = "something", contract: str = "MNQ") -> EngineEvent:
    return EngineEvent(OPEN_NS, "worker", kind, contract, text)


def test_every_kind_is_explained_once_when_it_first_comes() -> None:
    kinds = ["ZONE", "SIGNAL", "INTENT", "FILL", "DENIAL", "ROUND", "SWEEP"]
    text = " ".join(told(*(event(kind) for kind in kinds * 2)).split())
    for kind in kinds:
        assert text.count(" ".join(MEANINGS[kind].split())) == 1, kind


def test_zones_do_not_drown_the_rest() -> None:
    assert told(*(event("ZONE", f"zone {n}") for n in range(50))).count("ZONE") == MOST_ZONES


def test_the_lock_after_two_losses_is_explained_and_other_states_are_not() -> None:
    text = told(event("STATE", "ACTIVE: trading"), event("STATE", "LOCKED: two losses (RC_CONSEC_LOSSES)"))
    assert text.count("›") == 1
    assert "nothing is opened before the next trading" in text


def test_no_length_is_claimed_that_for_can_change_and_paths_stay_whole(tmp_path: Path) -> None:
    for width in range(60, 101):
        text = told(supervised=Supervised(tmp_path, stopping=True), width=width)
        assert "docs/going-paper.md" in text
    assert "Time is up" in text
    assert "minute is over" not in text
    assert "one minute" not in text


@pytest.mark.parametrize("width", [80, 60, 200])
def test_no_line_is_wider_than_the_screen_and_times_are_in_the_chosen_zone(tmp_path: Path, width: int) -> None:
    supervised = Supervised(tmp_path)
    text = told(event("SIGNAL", "word " * 60), supervised=supervised, width=width)
    assert max(map(len, text.splitlines())) <= min(width, demo.WIDEST)
    assert "16:30:00 SIGNAL MNQ" in text


def test_the_summary_says_what_came_of_it_and_what_to_do_next(tmp_path: Path) -> None:
    rows = dict(summary(Supervised(tmp_path).status()))
    assert rows["trades"] == "2 round trips, 1 of them won, +$42.50 after costs"
    text = told(supervised=Supervised(tmp_path))
    for command, _ in demo.NEXT:
        assert command in text
    assert "means nothing" in text
    assert "temporary: a later run removes it" in text


def test_a_machine_that_was_too_slow_is_told_apart(tmp_path: Path) -> None:
    text = told(supervised=Supervised(tmp_path, ready=False))
    assert "did not come to trading" in text
    assert "round trips" not in text


def test_NO_COLOR_and_pipes_get_plain_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    story = Story(Console(file=out, force_terminal=True, highlight=False, width=80), ZoneInfo("UTC"))
    story.event(event("SIGNAL"))
    assert "\x1b[3" not in out.getvalue()
    assert "\x1b" not in told(event("SIGNAL"))


# ------------------------------------------------------------------------------------------------------------ for real
@pytest.mark.long
def test_a_newcomers_minute_for_real(tmp_path: Path) -> None:
    """Signals, trades and the summary; exit code 0; nothing left; `tbot trades` shows it afterwards."""
    with running(tmp_path, "demo", TBOT_USERNAME="somebody", TBOT_API_KEY="canary") as command:
        code, out = command.finish(patience_s=240)
        run_dir = command.run_dir()
        assert code == 0, command.stderr
        for word in ("SIGNAL", "INTENT", "FILL", "ROUND", "round trips", "tbot config init"):
            assert word in out
        assert out.index("SIGNAL") < out.index("ROUND") < out.index("Next:")
        assert "canary" not in out
        assert_nothing_left(command, run_dir)
    with running(tmp_path, "trades", "--json") as command:
        code, out = command.finish()
    assert code == 0
    assert json.loads(out)["trades"]


@pytest.mark.long
def test_a_demo_ended_by_ctrl_c_leaves_nothing_and_exits_with_0(tmp_path: Path) -> None:
    with running(tmp_path, "demo", "--json") as command:
        command.await_state("ACTIVE")
        run_dir = command.run_dir()
        command.interrupt()
        code, out = command.finish(patience_s=120)
        assert code == 0, command.stderr
        assert json.loads(out)["schema"] == "tbot.demo"
        assert_nothing_left(command, run_dir)
    assert os.listdir(tmp_path)
