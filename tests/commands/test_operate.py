"""`tbot pause`, `resume`, `flatten`, `kill` as a person meets them: sentences, documents, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from engine_runs import until
from tbot.cli import root
from tbot.commands import operate, runs
from tbot.domain.process_messages import AccountWord, ControlReply
from tbot.domain.trading_hours import trading_day
from tbot.engine import control
from tbot.errors import TbotError
from tbot.panic import program
from tbot.storage.kill_locks import read

WORD = AccountWord(1001, "PRAC-1", True, "paused", "PAUSED", "", True, True)
HOLDING = replace(WORD, said="", state="REDUCING", flat=False, clear=False, still_open="MNQ +5, 2 working order(s)")
DONE = replace(WORD, said="", state="LOCKED")
NOBODY = 2**22 + 7  # no process has this number


def said(*words: AccountWord, refused: str = "", text: str = "") -> ControlReply:
    return ControlReply("r", refused, text, words)


class World:
    """A TBOT_HOME with runs, an executor that answers by script, and an emergency exit that only notes its orders."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.monkeypatch = home, monkeypatch
        self.asked: list[tuple[Any, ...]] = []
        self.answers: list[ControlReply | None] = []
        self.orders: list[tuple[Any, ...]] = []
        self.proven = True
        monkeypatch.setenv("TBOT_HOME", str(home))
        monkeypatch.chdir(home)
        for name in ("TBOT_USERNAME", "TBOT_API_KEY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(control, "ask_once", self._ask)
        monkeypatch.setattr(program, "panic", self._panic)
        monkeypatch.setattr(operate, "LOOK_S", 0.0)
        monkeypatch.setattr(operate, "SILENT_S", 0.05)

    def _ask(self, run_dir: Path, verb: str, *rest: Any, patience_s: float) -> ControlReply | None:
        assert patience_s <= 3.0
        self.asked.append((run_dir.name, verb, *rest))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def _panic(self, *order: Any) -> Any:
        self.orders.append(order[:4])
        order[4]("account 1001: closing")
        return program.Result(self.proven, (), "" if self.proven else "account 1001: the gateway told nothing")

    def run(self, mode: str = "sim", *, pid: int | None = None, embedded: bool = False, newest: bool = True) -> None:
        """A run that left word of itself; without `pid` it lives (it is this process)."""
        folder, run_dir = self.home / mode, self.home / f"run-{mode}"
        folder.mkdir(exist_ok=True)
        run_dir.mkdir(exist_ok=True)
        document = {
            "status": str(folder / "status.json"), "run_dir": str(run_dir), "pid": os.getpid() if pid is None else pid,
            "mode": mode, "gateway": "http://127.0.0.1:9", "embedded": embedded, "accounts": [7],
        }  # fmt: skip
        for path in (folder / "run.json", *([self.home / "current.json"] if newest else [])):
            path.write_text(json.dumps(document))
        status = {"schema": "tbot.status", "market_ns": 1_795_185_000_000_000_000, "accounts": {"1001": {}}}
        (folder / "status.json").write_text(json.dumps(status))

    def tbot(self, *arguments: str, login: bool = False) -> Result:
        environment = {"TBOT_USERNAME": "u", "TBOT_API_KEY": "k"} if login else {}
        return CliRunner().invoke(root, arguments, env=environment, standalone_mode=False)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def code(result: Result) -> int:
    """The exit code that the command line would end with."""
    error = result.exception
    if isinstance(error, TbotError):
        return error.exit_code
    if error is not None and hasattr(error, "exit_code"):
        return int(error.exit_code)
    assert error is None, error
    return int(result.return_value)


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
    assert [asked[:2] for asked in world.asked if asked[1] == "kill"] == [("run-paper", "kill"), ("run-live", "kill")]


def test_an_executor_without_its_launcher_is_an_engine(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run(pid=NOBODY)
    key = control.ControlKey(1, b"k" * 32, os.getpid())
    monkeypatch.setattr(control, "read_key", lambda _: key)
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
        "flat of what is T-BOT's: proven; left alone, because it is not: MNQ +5, 2 working order(s) of account 1001"
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


# ------------------------------------------------------------------------------------------------------------ kill
def test_kill_with_an_engine_that_answers_needs_nothing_else(world: World) -> None:
    world.run()
    world.answers = [said(replace(HOLDING, said="closing everything")), said(HOLDING), said(DONE)]
    result = world.tbot("kill")
    assert code(result) == 0
    assert result.output.splitlines()[-1] == "flat: proven by the broker's own lists"
    assert world.orders == []
    assert not list(world.home.glob("*/kill.*"))  # the executor leaves the lock


def test_kill_without_waiting(world: World) -> None:
    world.run()
    world.answers = [said(replace(HOLDING, said="closing everything"))]
    assert code(world.tbot("kill", "--no-wait")) == 0
    assert len(world.asked) == 1


@pytest.mark.parametrize("answer", [None, said(refused="starting", text="still starting")])
def test_I10_kill_without_an_acknowledgement_locks_and_closes_itself(world: World, answer: ControlReply | None) -> None:
    world.run()
    world.answers = [answer]
    result = world.tbot("kill", login=True)
    assert code(result) == 0
    assert world.orders == [("http://127.0.0.1:9", ("u", "k"), (1001,), 30.0)]
    lock = read(world.home / "sim" / "kill.all")
    assert lock is not None
    assert (lock.day, lock.by) == ("2026-11-20", "tbot kill")  # the trading day of the run's market
    assert (world.home / "kill.sim.all").exists()
    assert not (world.home / "live").exists()
    assert "closing over REST without it" in result.output


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_I10_kill_does_not_wait_for_an_executor_that_is_dead_or_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    world.run()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as executor:
        key = control.ControlKey(1, b"k" * 32, executor.pid)
        monkeypatch.setattr(control, "read_key", lambda _: key)
        executor.send_signal(number)
        until(runs.living_runs(None)[0].executor_is_out, "the signal has come")
        result = world.tbot("kill", login=True)
        executor.kill()
    assert code(result) == 0
    assert world.asked == []
    assert len(world.orders) == 1
    assert "its executor is gone" in result.output


@pytest.mark.parametrize("alive", [True, False])
def test_F_CFG_06_kill_goes_on_where_somebody_tampered_with_the_key(world: World, alive: bool) -> None:
    world.run(pid=None if alive else NOBODY)
    key = control.key_path(world.home / "run-sim")
    key.write_text(json.dumps({"run_id": 1, "key": "00", "pid": os.getpid()}))
    key.chmod(0o644)
    world.answers = [None]
    result = world.tbot("kill", login=True)
    assert code(result) == 0
    assert len(world.orders) == 1
    assert (world.home / "sim" / "kill.all").exists()


@pytest.mark.parametrize(
    ("then", "words"),
    [(None, "it went away"), (said(replace(HOLDING, flat=True, still_open="CL +1")), "something is left")],
)
def test_kill_goes_on_by_itself_when_the_engine_does_not_get_there(
    world: World, then: ControlReply | None, words: str
) -> None:
    world.run()
    world.answers = [said(replace(HOLDING, said="closing everything")), then]
    result = world.tbot("kill", "--account", "1001", login=True)
    assert code(result) == 0
    assert len(world.orders) == 1
    assert words in result.output
    assert (world.home / "sim" / "kill.1001").exists()


def test_kill_of_a_run_that_told_nothing_yet_closes_the_accounts_it_pins(world: World) -> None:
    world.run()
    (world.home / "sim" / "status.json").unlink()
    world.answers = [said(refused="starting", text="still starting")]
    assert code(world.tbot("kill", login=True)) == 0
    assert world.orders[0][2] == (7,)


def test_kill_that_is_not_proven_is_code_11(world: World) -> None:
    world.run()
    world.answers, world.proven = [None], False
    result = world.tbot("kill", "--json", login=True)
    assert code(result) == 11
    document = json.loads(result.stdout)
    assert (document["flat"], document["exit_code"]) == (False, 11)
    assert "the gateway told nothing" in document["text"]
    assert "look at the account on the platform NOW" in result.stderr


def test_kill_of_an_account_that_the_engine_does_not_trade_is_refused(world: World) -> None:
    world.run()
    world.answers = [said(refused="account", text="account 5 is not traded by this run; it trades 1001")]
    result = world.tbot("kill", "--account", "5", login=True)
    assert code(result) == 6
    assert world.orders == []


def test_kill_of_a_frozen_paper_engine_has_nothing_at_a_broker(world: World) -> None:
    world.run("paper")
    world.answers = [None]
    result = world.tbot("kill")
    assert code(result) == 0
    assert "nothing is at a broker" in result.output
    assert (world.home / "paper" / "kill.all").exists()


@pytest.mark.parametrize("how", ["launcher", "executor", "nobody", "earlier", "another account"])
def test_kill_without_a_login_leaves_it_to_the_launcher(world: World, how: str) -> None:
    world.run(embedded=True)
    status = json.loads((world.home / "sim" / "status.json").read_text())
    world.answers = [None]
    if how in ("launcher", "earlier", "another account"):
        began = 0 if how == "earlier" else control.boot_ns() + 10**9
        closes = [1002] if how == "another account" else [1001]
        more = {"last_resort": "flat", "last_resort_began_boot_ns": began, "last_resort_closes": closes}
        (world.home / "sim" / "status.json").write_text(json.dumps(status | more))
    elif how == "executor":
        world.answers = [None, None, said(DONE)]
    result = world.tbot("kill", "--for", "0.2s", login=how != "nobody")
    assert code(result) == (0 if how in ("launcher", "executor") else 11)
    assert world.orders == []


def test_kill_without_an_engine_locks_every_mode_and_closes_at_the_last_gateway(world: World) -> None:
    world.run(pid=NOBODY)
    (world.home / "paper").mkdir()
    today = [trading_day(time.time_ns())]
    result = world.tbot("kill", login=True)
    assert code(result) == 0
    assert world.orders == [("http://127.0.0.1:9", ("u", "k"), (1001,), 30.0)]
    locks = sorted(path.relative_to(world.home).as_posix() for path in world.home.glob("**/kill.*"))
    assert locks == [
        "kill.live.all", "kill.paper.all", "kill.sim.all", "live/kill.all", "paper/kill.all", "sim/kill.all",
    ]  # fmt: skip
    lock = read(world.home / "live" / "kill.all")
    assert lock is not None
    today.append(trading_day(time.time_ns()))
    assert lock.day in [day.isoformat() for day in today]


def test_kill_of_a_mode_that_does_not_run_touches_no_other(world: World) -> None:
    world.run("live", newest=False)
    world.run("sim", pid=NOBODY)
    result = world.tbot("kill", "--mode", "sim", login=True)
    assert code(result) == 0
    assert "no DEMO engine runs; it is locked until the next trading day" in result.output
    locks = sorted(path.relative_to(world.home).as_posix() for path in world.home.glob("**/kill.*"))
    assert locks == ["kill.sim.all", "sim/kill.all"]
    assert world.asked == []


def test_kill_of_an_account_of_one_of_two_engines_is_done(world: World) -> None:
    world.run("live", newest=False)
    world.run("paper")
    stranger = said(refused="account", text="account 1001 is not traded by this run; it trades 5")
    world.answers = [stranger, said(DONE), said(DONE)]
    assert code(world.tbot("kill", "--account", "1001")) == 0


def test_two_runs_of_one_mode_get_their_locks_both(world: World) -> None:
    world.run("sim", newest=False)
    (world.home / "elsewhere").mkdir()
    elsewhere = World(world.home / "elsewhere", world.monkeypatch)
    elsewhere.run("sim", embedded=True)
    world.monkeypatch.setenv("TBOT_HOME", str(world.home))
    (world.home / "current.json").write_bytes((elsewhere.home / "current.json").read_bytes())
    written, problems = runs.lock_files(None, None, "a test")
    assert problems == []
    assert {str(world.home / "sim" / "kill.all"), str(elsewhere.home / "sim" / "kill.all")} <= set(written)


# ----------------------------------------------------------------------------------------------------------- panic
@pytest.mark.parametrize("later", ["paper", "sim"])
def test_panic_and_kill_mean_the_run_that_may_have_left_something_open(world: World, later: str) -> None:
    world.run("live", pid=NOBODY)
    folder = world.home / "temporary"
    folder.mkdir()
    document = json.loads((world.home / "current.json").read_text())
    more = {"mode": later, "run_dir": str(folder), "status": str(folder / "status.json"), "embedded": later == "sim"}
    (world.home / "current.json").write_text(json.dumps(document | more | {"gateway": "http://127.0.0.1:8"}))
    for command in ("panic", "kill"):
        assert code(world.tbot(command, login=True)) == 0
        assert world.orders.pop()[0] == "http://127.0.0.1:9"


def test_panic_means_the_live_run_even_where_a_simulator_was_traded_since(world: World) -> None:
    world.run("live", pid=NOBODY)
    document = json.loads((world.home / "current.json").read_text())
    world.run("sim", pid=NOBODY)
    (world.home / "live" / "run.json").write_text(json.dumps(document | {"gateway": "http://127.0.0.1:8"}))
    assert code(world.tbot("panic", login=True)) == 0
    assert world.orders.pop()[0] == "http://127.0.0.1:8"


@pytest.mark.parametrize("arguments", [(), ("--gateway", "http://127.0.0.1:9")])
def test_panic_locks_before_it_asks_for_anything(world: World, arguments: tuple[str, ...]) -> None:
    assert code(world.tbot("panic", *arguments)) == (4 if arguments else 3)
    assert (world.home / "live" / "kill.all").exists()


@pytest.mark.parametrize(
    ("login", "gateway", "words"), [(False, True, "no credentials"), (True, False, "no gateway is known")]
)
def test_kill_that_cannot_reach_a_broker_has_locked_and_says_what_is_missing(
    world: World, login: bool, gateway: bool, words: str
) -> None:
    result = world.tbot("kill", *(["--gateway", "http://127.0.0.1:9"] if gateway else []), login=login)
    assert code(result) == 11
    assert words in result.output
    assert (world.home / "live" / "kill.all").exists()


def test_F_SYS_01_locks_that_cannot_be_written_do_not_stop_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tbot.storage.kill_locks.write", full)
    world.run()
    world.answers = [None]
    result = world.tbot("kill", login=True)
    assert code(result) == 0
    assert "a lock file could not be written, going on" in result.output
    assert len(world.orders) == 1


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
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not runs._exists(ended.pid)  # a zombie
    ended.wait()
    assert not runs._exists(ended.pid)
    assert runs._exists(os.getpid())

    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert runs._exists(1)


