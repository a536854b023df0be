"""`tbot dashboard`: when it opens, what it says when not, its picture, and the truth of what it asks for."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import dashboard_status as ds
from command_world import DONE, HOLDING, WORD, World, code, said
from dashboard_scene import busy_scene
from engine_scene import Scene
from tbot.commands import dashboard, dashboard_operator, runs
from tbot.commands.dashboard_operator import RunOperator
from tbot.dashboard.app import Outcome, Verb
from tbot.dashboard.attach import Place


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    (tmp_path / "scene").mkdir()
    made = busy_scene(tmp_path / "scene")
    yield made
    made.close()


def started(world: World, mode: str, *, newest: bool = True) -> Place:
    """A run that lives."""
    world.run(mode, newest=newest)
    return Place(world.home / f"run-{mode}", world.home / mode)


def beside(world: World, scene: Scene) -> None:
    """The scene as the run that lives."""
    place = started(world, "sim")
    pointer = world.home / "current.json"
    text = pointer.read_text().replace(str(place.run_dir), str(scene.run_dir))
    pointer.write_text(text.replace(str(place.state_dir / "status.json"), str(scene.state_dir / "status.json")))
    (place.state_dir / "run.json").unlink()


# ------------------------------------------------------------------------------------------------------------- opening
def test_without_a_terminal_it_says_what_to_do_instead(world: World) -> None:
    result = world.tbot("dashboard")
    assert code(result) == 3
    assert str(result.exception) == (
        "the dashboard needs a terminal; use tbot status, or --screenshot FILE.svg for a picture"
    )


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

    class FakeSys:
        stdin = stdout = Terminal()

    monkeypatch.setattr(dashboard, "sys", FakeSys)


@pytest.mark.parametrize(
    ("mode", "words"), [(None, "no engine runs here; start one with tbot run"), ("live", "no LIVE engine runs here")]
)
def test_without_an_engine_it_names_the_next_step(
    world: World, monkeypatch: pytest.MonkeyPatch, mode: str | None, words: str
) -> None:
    on_a_terminal(monkeypatch)
    result = world.tbot("dashboard", *(["--mode", mode] if mode else []))
    assert code(result) == 7
    assert words in str(result.exception)
    assert "--wait" in str(result.exception)


def test_with_wait_it_opens_without_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    opened: list[Any] = []
    monkeypatch.setattr(dashboard, "_run", lambda *given: opened.append(given) or 0)
    arguments = ("--wait", "--contract", "es", "--account", "7", "--timeframe", "15m", "--tz", "UTC", "--theme", "cb")
    assert code(world.tbot("dashboard", *arguments)) == 0
    choice, theme = opened[0][2], opened[0][3]
    assert (choice.symbol, choice.account, choice.timeframe_min, choice.zone.key, theme) == ("ES", "7", 15, "UTC", "cb")


@pytest.mark.parametrize(
    ("arguments", "expected", "words"),
    [
        (("--contract", "XX"), 3, "unknown contract"),
        (("--tz", "Mars"), 3, "time zone 'Mars' is not known"),
        (("--theme", "pink"), 2, "pink"),
        (("--timeframe", "2m"), 2, "2m"),
        (("--screenshot", "x.svg", "--size", "wide"), 3, "write it like 150x42"),
        (("--screenshot", "x.svg", "--size", "5x5"), 3, "cannot be drawn"),
        (("--screenshot", "x.svg", "--size", "99999x42"), 3, "cannot be drawn"),
        (("--screenshot", "x.svg"), 7, "no engine runs here"),
    ],
)
def test_what_cannot_be_is_one_sentence(world: World, arguments: tuple[str, ...], expected: int, words: str) -> None:
    result = world.tbot("dashboard", *arguments)
    assert code(result) == expected
    assert words in f"{result.exception} {result.output}"


def test_a_picture_of_the_running_engine(world: World, scene: Scene) -> None:
    beside(world, scene)
    result = world.tbot("dashboard", "--screenshot", "wide.svg")
    assert code(result) == 0, result.exception
    drawn = (world.home / "wide.svg").read_text()
    for words in ("PAPER", "24955.50", "LONG", "50KTC-V2-0001"):
        assert words in drawn, words
    assert code(world.tbot("dashboard", "--screenshot", "small.svg", "--size", "80x24", "--contract", "ES")) == 0
    assert "ES" in (world.home / "small.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "expected", "words"),
    [
        (("--contract", "gc"), 3, "contract GC is not traded by this run; it trades MNQ"),
        (("--account", "7"), 2, "account 7 is not traded by this run; it trades "),
    ],
)
@pytest.mark.parametrize("picture", [True, False])
def test_what_the_run_does_not_trade_is_refused_by_name(
    world: World,
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    expected: int,
    words: str,
    picture: bool,
) -> None:
    beside(world, scene)
    on_a_terminal(monkeypatch)
    result = world.tbot("dashboard", *arguments, *(("--screenshot", "x.svg") if picture else ()))
    assert code(result) == expected
    assert words in f"{result.exception} {result.output}"
    assert not (world.home / "x.svg").exists()


def test_a_picture_that_cannot_be_written_is_one_sentence(world: World, scene: Scene) -> None:
    beside(world, scene)
    result = world.tbot("dashboard", "--screenshot", "nowhere/x.svg")
    assert code(result) == 1
    assert str(result.exception) == "cannot write nowhere/x.svg: No such file or directory; choose another place"


# -------------------------------------------------------------------------------------------------------- which engine
def test_it_stays_with_its_run_while_that_lives_and_then_takes_the_newest(world: World) -> None:
    live = started(world, "live")
    finder = dashboard._Finder(None)
    assert finder.find(None) == live
    paper = started(world, "paper")
    assert dashboard._Finder(None).find(None) == paper
    assert dashboard._Finder("live").find(None) == live
    assert finder.find(live) == live
    shutil.rmtree(live.run_dir)
    assert finder.find(live) == paper
    shutil.rmtree(paper.run_dir)
    assert finder.find(paper) is None


def test_of_a_demo_beside_a_lasting_run_the_lasting_one_is_shown_and_the_demo_by_its_folder(world: World) -> None:
    paper = started(world, "paper")
    world.run("sim", temporary=True)
    assert dashboard._Finder(None).find(None) == paper
    demo = Place(world.home / "run-sim-temporary", world.home / "elsewhere" / "sim")
    assert dashboard._Finder(None, demo.state_dir).find(None) == demo
    assert dashboard._Finder("sim").find(None) == demo
    assert dashboard._Finder(None, world.home).find(None) is None


# ------------------------------------------------------------------------------------------------------------ commands
def carried_out(world: World, verb: Verb, account: int | None = None) -> tuple[Outcome, list[str]]:
    words: list[str] = []
    outcome = RunOperator(lambda: next(iter(runs.living_runs(None)), None)).carry_out(verb, account, words.append)
    return outcome, words


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_pause_and_resume_are_acknowledged_in_the_engines_words(world: World, verb: Verb) -> None:
    world.run()
    world.answers = [said(replace(WORD, said=f"{verb}d"))]
    outcome, words = carried_out(world, verb, 1001)
    assert outcome == Outcome(True, f"{verb}: acknowledged by the engine")
    assert words == [f"DEMO run, account 1001 PRAC-1: {verb}d"]
    assert world.asked == [("run-sim", verb, 1001, None)]


def test_a_refusal_is_no_success(world: World) -> None:
    world.run()
    world.answers = [said(replace(WORD, taken=False, said="it is locked"), refused="refused")]
    outcome, words = carried_out(world, "resume")
    assert not outcome.done
    assert "resume refused: it is locked" in words[0]
    world.answers = [said(refused="account", text="account 5 is not traded by this run")]
    assert carried_out(world, "pause", 5)[0] == Outcome(False, "account 5 is not traded by this run")


def test_an_engine_that_does_not_answer_is_no_success(world: World) -> None:
    world.run()
    world.answers = [None]
    outcome, _ = carried_out(world, "pause")
    assert not outcome.done
    assert "nothing is known to be done" in outcome.text


def test_without_an_engine_nothing_is_done(world: World) -> None:
    assert carried_out(world, "kill")[0] == Outcome(False, "no engine runs here; nothing was done")


def test_I10_flat_is_said_when_it_is_proven(world: World) -> None:
    world.run()
    closing = said(replace(WORD, said="closing", flat=False, clear=False))
    world.answers = [closing, said(HOLDING), said(replace(DONE, state="PAUSED"))]
    outcome, words = carried_out(world, "flatten")
    assert outcome == Outcome(True, "flat: proven by the broker's own lists; paused until resume")
    assert "closing" in words[0]
    assert "MNQ +5, 2 working orders" in words[1]
    assert [asked[1] for asked in world.asked] == ["flatten", "ask", "ask"]


def test_I10_an_engine_that_goes_away_is_not_flat(world: World) -> None:
    world.run()
    world.answers = [said(replace(WORD, said="closing", flat=False, clear=False)), None]
    outcome, _ = carried_out(world, "flatten")
    assert not outcome.done
    assert outcome.text.startswith("NOT PROVEN FLAT: the engine went away")


def test_what_is_left_alone_is_named(world: World) -> None:
    world.run()
    left = replace(DONE, state="PAUSED", clear=False, still_open="MNQ +1 by hand")
    world.answers = [said(replace(WORD, said="closing", flat=False)), said(left)]
    outcome, _ = carried_out(world, "flatten")
    assert outcome.done
    assert "MNQ +1 by hand of account 1001" in outcome.text


def test_kill_is_the_commands_kill(world: World) -> None:
    world.run()
    world.answers = [said(replace(WORD, said="closing everything")), said(HOLDING), said(DONE)]
    outcome, words = carried_out(world, "kill")
    assert outcome.done
    assert "flat" in outcome.text
    assert any("closing everything" in line for line in words)
    assert world.asked[0] == ("run-sim", "kill", None)


def test_kill_without_an_answer_locks_and_closes_without_the_engine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a login the emergency exit closes; what it cannot prove is not called flat."""
    for name in ("TBOT_USERNAME", "TBOT_API_KEY"):
        monkeypatch.setenv(name, "x")
    place = started(world, "live")
    world.answers = [None]
    outcome, words = carried_out(world, "kill")
    assert outcome.done
    assert any("it did not answer: closing over REST without it" in line for line in words)
    assert list(place.state_dir.glob("kill.*"))
    assert world.orders
    world.proven = False
    monkeypatch.setattr(dashboard_operator, "PROOF_S", 0.3)
    outcome, _ = carried_out(world, "kill")
    assert not outcome.done
    assert outcome.text.startswith("NOT PROVEN FLAT: ")
    assert "look at the account on the platform NOW" in outcome.text


def test_the_status_of_the_rig_is_one_that_an_engine_writes(scene: Scene) -> None:
    """Should the document get other names, the pictures' fixed state must follow."""
    from status_rig import family, settings
    from tbot.engine.status import Phase, build_status

    (scene.state_dir.parent / "real").mkdir()
    real = build_status(settings(scene.state_dir.parent / "real"), family(), 0, Phase())
    assert ds.status(1).keys() <= real.keys()
    assert ds.contract().keys() <= next(iter(real["contracts"].values())).keys()
