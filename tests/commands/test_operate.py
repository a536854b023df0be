"""`tbot pause`, `resume`, `flatten` as a person meets them: sentences, documents, exit codes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from command_world import DONE, HOLDING, NOBODY, WORD, World, code, said
from tbot.cli import root
from tbot.commands import runs
from tbot.domain.process_messages import ControlReply
from tbot.storage import control_key
from tbot.transport.process_identity import process_start


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


# ---------------------------------------------------------------------------------------------------- which engine
@pytest.mark.parametrize("verb", ["pause", "resume", "flatten"])
@pytest.mark.parametrize("there", ["nothing", "a dead run", "garbage", "another mode"])
def test_without_an_engine_it_is_code_7_and_says_what_to_do(world: World, verb: str, there: str) -> None:
    if there == "a dead run":
        world.run(pid=NOBODY)
    elif there == "garbage":
        (world.home / "current.json").write_text('{"mode": 5, "status": [], "run_dir": {}}')
    elif there == "another mode":
        world.run("paper")
    result = world.tbot(verb, *(["--mode", "live"] if there == "another mode" else []))
    assert code(result) == 7
    assert "runs here; start one with tbot run, or close what is open with tbot kill" in str(result.exception)


def test_two_engines_want_a_choice_and_kill_takes_both(world: World) -> None:
    world.run("live", newest=False)
    world.run("paper")
    world.answers = [said(WORD)]
    result = world.tbot("pause")
    assert code(result) == 2
    assert "several engines run (paper, live): choose one with --mode" in str(result.exception)
    assert world.asked == []
    assert code(world.tbot("pause", "--mode", "live")) == 0
    assert world.asked == [("run-live", "pause", None, None)]
    world.asked.clear()
    world.answers = [said(DONE)]
    assert code(world.tbot("kill")) == 0
    assert {asked[0] for asked in world.asked if asked[1] == "kill"} == {"run-live", "run-paper"}


@pytest.mark.parametrize("lasting", ["paper", "sim"])
@pytest.mark.parametrize("demo_last", [True, False])
def test_a_demo_beside_a_lasting_run_is_not_meant_and_kill_takes_both(
    world: World, lasting: str, demo_last: bool
) -> None:
    """Whichever began last; also where both are of one mode, and their accounts have one number."""
    for temporary in (False, True) if demo_last else (True, False):
        world.run("sim" if temporary else lasting, temporary=temporary, embedded=temporary)
    world.answers = [said(WORD)]
    for verb in ("pause", "resume", "flatten"):
        result = world.tbot(verb)
        assert code(result) == 0
        assert {asked[0] for asked in world.asked} == {f"run-{lasting}"}
        assert f"left alone: the DEMO run beside it, process {os.getpid()}" in result.output
    assert [run["mode"] for run in json.loads(world.tbot("pause", "--json").stdout)["runs"]] == [lasting]
    world.asked.clear()
    world.answers = [said(DONE)]
    result = world.tbot("kill", "--json")
    assert code(result) == 0
    assert {asked[0] for asked in world.asked if asked[1] == "kill"} == {f"run-{lasting}", "run-sim-temporary"}
    assert sorted(run["mode"] for run in json.loads(result.stdout)["runs"]) == sorted([lasting, "sim"])


def test_the_demo_alone_is_meant_and_a_mode_names_it(world: World) -> None:
    world.run("sim", temporary=True)
    world.answers = [said(WORD)]
    assert code(world.tbot("pause")) == 0
    world.run("paper")
    result = world.tbot("pause", "--mode", "sim")
    assert code(result) == 0
    assert "left alone" not in result.output
    assert [asked[0] for asked in world.asked] == ["run-sim-temporary"] * 2
    world.run("live")
    assert "several engines run (live, paper, sim): choose one with --mode" in str(world.tbot("pause").exception)


@pytest.mark.parametrize("verb", ["pause", "resume", "flatten", "kill"])
def test_an_unknown_account_is_a_usage_error_that_names_the_known_ones(world: World, verb: str) -> None:
    world.run()
    text = "account 5 is not traded by this run; it trades 1001 (PRAC-1), 1002 (PRAC-2)"
    world.answers = [said(refused="account", text=text)]
    result = world.tbot(verb, "--account", "5")
    assert (code(result), str(result.exception), result.output) == (2, text, "")
    assert len(world.asked) == 1


def test_an_executor_without_its_launcher_is_an_engine(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run(pid=NOBODY)
    key = control_key.ControlKey(1, b"k" * 32, os.getpid())
    monkeypatch.setattr(control_key, "read_key", lambda _: key)
    world.answers = [said(WORD)]
    assert code(world.tbot("pause")) == 0


# ------------------------------------------------------------------------------------------------ pause and resume
def test_what_the_engine_says_is_told(world: World) -> None:
    world.run()
    world.answers = [said(WORD)]
    result = world.tbot("pause", "--account", "1001")
    assert (code(result), result.output) == (0, "DEMO run, account 1001 PRAC-1: paused\n")
    assert world.asked == [("run-sim", "pause", 1001, None)]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (said(replace(WORD, taken=False, said="it is locked"), refused="refused"), "resume refused: it is locked"),
        (said(refused="starting", text="the engine is still starting"), "resume refused: the engine is still starting"),
        (said(WORD, replace(WORD, account=2, taken=False, said="it is locked")), "account 2 PRAC-1: resume refused"),
    ],
)
def test_a_refusal_is_code_6_with_the_reason(world: World, reply: ControlReply, words: str) -> None:
    world.run()
    world.answers = [reply]
    result = world.tbot("resume")
    assert code(result) == 6
    assert words in result.output


@pytest.mark.parametrize(("verb", "expected"), [("pause", 1), ("resume", 1), ("flatten", 11)])
def test_F_IPC_01_no_answer_means_not_done_and_it_says_so(world: World, verb: str, expected: int) -> None:
    world.run()
    world.answers = [None]
    result = world.tbot(verb)
    assert code(result) == expected
    assert "did not answer within 3 s, so nothing is known to be done" in str(result.exception)


def test_the_document_is_stable(world: World) -> None:
    world.run()
    world.answers = [said(WORD, text="paused")]
    result = world.tbot("pause", "--json")
    document = json.loads(result.stdout)
    assert list(document) == [
        "schema", "version", "command", "exit_code", "flat", "text", "runs", "lock_files", "panic",
    ]  # fmt: skip
    assert document["runs"] == [
        {
            "mode": "sim",
            "refused": "",
            "text": "paused",
            "accounts": [
                {
                    "account": 1001, "name": "PRAC-1", "taken": True, "said": "paused", "state": "PAUSED",
                    "reason": "", "flat": True, "clear": True, "still_open": "",
                }
            ],
        }
    ]  # fmt: skip


# --------------------------------------------------------------------------------------------------------- flatten
def test_flatten_waits_for_the_proof(world: World) -> None:
    world.run()
    closing, still, done = replace(HOLDING, said="closing MNQ"), HOLDING, replace(WORD, said="")
    world.answers = [said(closing), said(still), said(still), said(done)]
    result = world.tbot("flatten", "--contract", "mnq")
    assert code(result) == 0
    assert result.output.splitlines() == [
        "DEMO run, account 1001 PRAC-1: closing MNQ",
        "DEMO run, account 1001 PRAC-1: PAUSED, nothing open",
        "flat: proven by the broker's own lists",
    ]
    assert world.asked[0] == ("run-sim", "flatten", None, "MNQ")
    assert world.asked[-1] == ("run-sim", "ask", None, "MNQ")


def test_flatten_names_what_it_left_alone(world: World) -> None:
    world.run()
    world.answers = [said(replace(HOLDING, flat=True))]
    result = world.tbot("flatten")
    assert code(result) == 0
    assert result.output.splitlines()[-1] == (
        "flat of what is T-BOT's: proven; left alone, because it is not: MNQ +5, 2 working orders of account 1001"
    )


def test_flatten_without_waiting_proves_nothing_and_says_nothing_of_it(world: World) -> None:
    world.run()
    world.answers = [said(replace(HOLDING, said="closing"))]
    result = world.tbot("flatten", "--no-wait", "--json")
    assert code(result) == 0
    assert json.loads(result.stdout)["flat"] is None
    assert len(world.asked) == 1


@pytest.mark.parametrize(
    ("later", "words"),
    [(said(HOLDING), "not proven flat in time"), (None, "the engine went away before it was proven flat")],
)
def test_flatten_that_is_not_proven_is_code_11(world: World, later: ControlReply | None, words: str) -> None:
    world.run()
    world.answers = [said(replace(HOLDING, said="closing")), later]
    result = world.tbot("flatten", "--for", "0.2s")
    assert code(result) == 11
    assert f"NOT PROVEN FLAT: {words}" in result.output


def test_a_refused_flatten_is_not_waited_for(world: World) -> None:
    world.run()
    world.answers = [said(replace(WORD, taken=False, said="CL is not traded"), refused="refused")]
    assert code(world.tbot("flatten", "--contract", "CL")) == 6
    assert len(world.asked) == 1


# ------------------------------------------------------------------------------------------------------- being light
def test_the_commands_load_nothing_heavy() -> None:
    """`tbot kill` has 300 ms until its first request has left."""
    program = (
        "import sys, tbot.cli, tbot.commands.operate, tbot.commands.runs, tbot.engine.control\n"
        "print([name for name in ('numpy', 'tbot_ext', 'requests', 'rich', 'multiprocessing', 'sqlite3')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("verb", ["pause", "resume", "flatten", "kill", "panic"])
def test_every_command_explains_itself(verb: str) -> None:
    result = CliRunner().invoke(root, [verb, "--help"])
    assert result.exit_code == 0
    assert "Exit code" in result.output or verb in ("pause", "resume")


def test_a_process_that_ended_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    start = process_start(ended.pid)
    assert start
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not runs._lives(ended.pid, start)  # a zombie
    ended.wait()
    assert not runs._lives(ended.pid, start)
    assert runs._lives(os.getpid(), 0)

    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(runs, "process_start", forbidden)
    assert runs._lives(1, 5)


@pytest.mark.parametrize("whose", ["launcher", "executor"])
def test_F_PRC_07_a_number_that_went_to_another_process_is_no_engine(world: World, whose: str) -> None:
    """This process has the number of the launcher, or of the executor, and began at another time."""
    mine = process_start(os.getpid())
    assert mine
    world.run(pid=os.getpid() if whose == "launcher" else NOBODY, start=mine + 1)
    if whose == "executor":
        key = {"run_id": 1, "key": "00", "pid": os.getpid(), "start": mine + 1}
        path = control_key.key_path(world.home / "run-sim")
        path.write_text(json.dumps(key))
        path.chmod(0o600)
    assert code(world.tbot("pause")) == 7
    world.run(start=mine)
    world.answers = [said(WORD)]
    assert code(world.tbot("pause")) == 0


def test_numbers_that_cannot_be_are_no_run(world: World) -> None:
    world.run()
    text = (world.home / "current.json").read_text()
    for name in ("pid", "start"):
        document = json.loads(text) | {name: float("inf")}
        for path in (world.home / "current.json", world.home / "sim" / "run.json"):
            path.write_text(json.dumps(document))
        assert runs.known_runs() == []
