"""`tbot panic` as a person meets it: which run is meant, what is locked first, what is not called flat."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from command_world import DONE, HOLDING, NOBODY, World, code, said
from tbot.domain.process_messages import ControlReply


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_panic_means_the_live_run_even_where_a_simulator_was_traded_since(world: World) -> None:
    world.run("live", pid=NOBODY)
    document = json.loads((world.home / "current.json").read_text())
    world.run("sim", pid=NOBODY)
    (world.home / "live" / "run.json").write_text(json.dumps(document | {"gateway": "http://127.0.0.1:8"}))
    assert code(world.tbot("panic", login=True)) == 0
    assert world.orders.pop()[0] == "http://127.0.0.1:8"


def test_panic_means_a_live_run_that_died_before_a_simulator_that_is_traded(world: World) -> None:
    world.run("live", pid=NOBODY)
    document = json.loads((world.home / "current.json").read_text())
    (world.home / "live" / "run.json").write_text(json.dumps(document | {"gateway": "http://127.0.0.1:8"}))
    world.run("sim")
    result = world.tbot("panic", login=True)
    assert code(result) == 0
    assert world.orders.pop()[0] == "http://127.0.0.1:8"
    assert "DEMO run at http://127.0.0.1:9 is not looked at" in result.output


@pytest.mark.parametrize("arguments", [(), ("--gateway", "http://127.0.0.1:9")])
def test_panic_locks_before_it_asks_for_anything(world: World, arguments: tuple[str, ...]) -> None:
    assert code(world.tbot("panic", *arguments)) == 11  # not proven counts for more than what is missing
    assert (world.home / "live" / "kill.all").exists()


@pytest.mark.parametrize(("mode", "embedded"), [("paper", False), ("sim", True)])
def test_panic_asks_a_living_engine_whose_positions_are_at_no_broker(world: World, mode: str, embedded: bool) -> None:
    """It said flat at once, while the engine had yet to see the lock file."""
    world.run(mode, embedded=embedded)
    world.answers = [said(HOLDING), said(HOLDING), said(DONE)]
    result = world.tbot("panic", login=True)
    assert (code(result), world.orders) == (0, [])
    assert [asked[1] for asked in world.asked] == ["ask"] * 3
    assert "its engine says that nothing is open" in result.output
    assert (world.home / mode / "kill.all").exists()


@pytest.mark.parametrize(
    ("answer", "words"),
    [(None, "its engine does not answer"), (said(HOLDING), "its engine still has MNQ +5, 2 working orders")],
)
def test_panic_does_not_call_flat_what_no_engine_proves(
    world: World, answer: ControlReply | None, words: str
) -> None:
    world.run("paper")
    world.answers = [answer]
    result = world.tbot("panic", "--for", "0.2s", "--json", login=True)
    assert code(result) == 11
    document = json.loads(result.stdout)
    assert (document["flat"], words in document["text"]) == (False, True)
    assert "NOT PROVEN FLAT" in result.stderr


def test_panic_of_a_run_that_ended_with_its_memory_says_so(world: World) -> None:
    world.run("paper", pid=NOBODY)
    result = world.tbot("panic", login=True)
    assert (code(result), world.asked) == (0, [])
    assert "its positions are in its own memory, nothing is at a broker, and it has ended" in result.output


def test_panic_of_one_account_in_an_engines_memory(world: World) -> None:
    world.run("paper")
    world.answers = [said(DONE, replace(HOLDING, account=1002))]
    assert code(world.tbot("panic", "--account", "1001", login=True)) == 0
    result = world.tbot("panic", "--account", "5", login=True)
    assert code(result) == 11
    assert "account 5 is not traded by this run; it trades 1001 (PRAC-1), 1002 (PRAC-1)" in result.stderr
