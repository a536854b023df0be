"""`tbot kill` and what `tbot panic` shares with it: what is locked, what is closed where, what is proven."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from command_world import DONE, HOLDING, NOBODY, World, code, said
from engine_runs import until
from tbot.commands import runs
from tbot.domain.process_messages import ControlReply
from tbot.domain.trading_hours import trading_day
from tbot.engine import control
from tbot.panic import program
from tbot.storage import control_key
from tbot.storage.kill_locks import read


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


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
        key = control_key.ControlKey(1, b"k" * 32, executor.pid)
        monkeypatch.setattr(control_key, "read_key", lambda _: key)
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
    key = control_key.key_path(world.home / "run-sim")
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
    assert code(result) == 2
    assert str(result.exception) == "account 5 is not traded by this run; it trades 1001"
    assert world.orders == []
    assert not list(world.home.glob("**/kill.*"))


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
        began = 0 if how == "earlier" else control.boot_ns() + 600 * 10**9
        closes = [1002] if how == "another account" else [1001]
        more = {"last_resort": "flat", "last_resort_began_boot_ns": began, "last_resort_closes": closes}
        (world.home / "sim" / "status.json").write_text(json.dumps(status | more))
    elif how == "executor":
        world.answers = [None, None, said(DONE)]
    patience = "60s" if how in ("launcher", "executor") else "0.2s"
    result = world.tbot("kill", "--for", patience, login=how != "nobody")
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


@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize("demo", ["answers", "frozen"])
def test_I10_kill_takes_a_live_run_that_died_and_the_demo_that_lives(world: World, proven: bool, demo: str) -> None:
    world.run("live", pid=NOBODY)
    world.run("sim")
    world.proven = proven
    world.answers = [said(DONE) if demo == "answers" else None]
    result = world.tbot("kill", login=True)
    assert code(result) == (0 if proven else 11), result.output
    assert len(world.orders) == (1 if demo == "answers" else 2)
    assert world.asked[0][:2] == ("run-sim", "kill")
    lock = read(world.home / "live" / "kill.all")
    assert lock is not None
    assert lock.day in {(datetime.now(UTC) + timedelta(days=days)).date().isoformat() for days in range(-1, 5)}
    words = "proven flat" if proven else "NOT PROVEN FLAT: account 1001: the gateway told nothing"
    assert f"LIVE run: {words}" in result.output
    assert f"DEMO run: {words if demo == 'frozen' else 'proven flat'}" in result.output


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_R13_kill_that_is_broken_off_is_not_proven(world: World, error: type[BaseException]) -> None:
    """A person breaks it off while the demo is asked; our own mistake in the thread of the live run."""

    def fails(*_: object, **__: object) -> None:
        raise error

    if error is ZeroDivisionError:
        world.run("live", pid=NOBODY)
    world.run("sim")
    world.answers = [said(DONE)]
    target = (control, "ask_once") if error is KeyboardInterrupt else (program, "panic")
    world.monkeypatch.setattr(*target, fails)
    result = world.tbot("kill", login=True)
    assert code(result) == 11
    assert "NOT PROVEN FLAT" in result.stderr


def test_kill_without_a_login_is_not_proven_for_a_live_run_that_died(world: World) -> None:
    world.run("live", pid=NOBODY)
    world.run("paper")
    world.answers = [said(DONE)]
    result = world.tbot("kill")
    assert code(result) == 11
    assert "PAPER run: proven flat" in result.output
    assert "LIVE run: no credentials" in result.output
    assert code(world.tbot("kill", "--mode", "paper")) == 0


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ({"ended": True, "state": "STOPPED", "accounts": {"1001": {"flat": True}}}, 0),
        ({"ended": True, "state": "STOPPED", "accounts": {"1001": {"flat": False}}}, 11),  # held with its stop
        ({"ended": True, "state": "STOPPED", "accounts": {}}, 11),
        ({"ended": True, "state": "NOT_FLAT", "accounts": {"1001": {"flat": True}}}, 11),
        ({"ended": False, "state": "ACTIVE", "accounts": {"1001": {"flat": True}}}, 11),
        ({"ended": True, "state": "STOPPED", "accounts": [1]}, 11),
    ],
)
def test_kill_takes_the_last_words_of_a_live_run_that_it_cannot_look_at(
    world: World, last: dict[str, object], expected: int
) -> None:
    world.run("live", pid=NOBODY)
    world.run("sim")
    (world.home / "live" / "status.json").write_text(json.dumps({"schema": "tbot.status", **last}))
    world.answers = [said(DONE)]
    result = world.tbot("kill")
    assert code(result) == expected
    assert ("ended flat by its own last words" in result.output) is (expected == 0)


@pytest.mark.parametrize("mode", ["replay", "nonsense"])
def test_kill_of_a_run_that_is_of_no_mode_of_ours_takes_the_others_all_the_same(world: World, mode: str) -> None:
    world.run("paper")
    world.run(mode)
    world.answers = [None]
    result = world.tbot("kill", login=True)
    assert code(result) == 0
    assert {asked[0] for asked in world.asked if asked[1] == "kill"} == {"run-paper", f"run-{mode}"}


def test_a_gateway_that_is_none_is_said_and_not_proven(world: World) -> None:
    world.run(pid=NOBODY)
    for path in (world.home / "current.json", world.home / "sim" / "run.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"gateway": 5}))
    for command in ("kill", "panic"):
        result = world.tbot(command, login=True)
        assert code(result) == 11
        assert world.orders == []


def test_kill_of_one_account_leaves_a_dead_live_run_that_had_another(world: World) -> None:
    world.run("live", pid=NOBODY)
    world.run("paper")
    world.answers = [said(DONE)]
    assert code(world.tbot("kill", "--account", "5", login=True)) == 0
    assert world.orders == []


def test_kill_names_a_dead_run_at_a_simulator_and_leaves_it(world: World) -> None:
    world.run("sim", pid=NOBODY)
    world.run("paper")
    world.answers = [said(DONE)]
    result = world.tbot("kill", login=True)
    assert code(result) == 0
    assert world.orders == []
    assert "tbot kill --mode sim does it" in result.output


@pytest.mark.parametrize("wait", ["--wait", "--no-wait"])
def test_kill_that_an_engine_refuses_closes_by_itself(world: World, wait: str) -> None:
    world.run()
    world.answers, world.proven = [said(refused="expired", text="this command is 4.0 s old; nothing was done")], False
    result = world.tbot("kill", wait, login=True)
    assert code(result) == 11
    assert len(world.orders) == 1
    assert "it refused (this command is 4.0 s old" in result.output


def test_kill_of_an_account_of_one_of_two_engines_is_done(world: World) -> None:
    world.run("live", newest=False)
    world.run("paper")
    stranger = said(refused="account", text="account 1001 is not traded by this run; it trades 5")
    world.answers_of = {"run-live": [stranger], "run-paper": [said(DONE)]}
    assert code(world.tbot("kill", "--account", "1001")) == 0
    assert code(world.tbot("kill", "--account", "1001", "--no-wait")) == 0


def test_I10_two_engines_hear_of_the_kill_at_the_same_time(world: World) -> None:
    """One that hangs held up the other: it was asked when the first was flat, or given up after half a minute."""
    world.run("live", newest=False)
    world.run("paper")
    both = threading.Barrier(2, timeout=30)
    asked: list[str] = []

    def answer(run_dir: Path, verb: str, *_: object, **__: object) -> ControlReply:
        if verb == "kill":
            both.wait()  # nobody is answered before both have been asked
            asked.append(run_dir.name)
        return said(DONE)

    world.monkeypatch.setattr(control, "ask_once", answer)
    result = world.tbot("kill")
    assert code(result) == 0
    assert sorted(asked) == ["run-live", "run-paper"]
    for sentence in ("LIVE run: proven flat", "PAPER run: proven flat"):
        assert sentence in result.output


def test_of_two_engines_that_hang_each_is_closed_by_itself(world: World) -> None:
    world.run("live", newest=False)
    world.run("paper")
    world.answers = [None]
    result = world.tbot("kill", login=True)
    assert code(result) == 0
    assert world.orders == [("http://127.0.0.1:9", ("u", "k"), (1001,), 30.0)]
    assert "nothing is at a broker" in result.output
    for mode in ("live", "paper"):
        assert (world.home / mode / "kill.all").exists()


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


@pytest.mark.parametrize("command", ["kill", "panic"])
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_F_SYS_01_words_that_cannot_be_written_stop_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, command: str, options: tuple[str, ...]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("click.echo", full)
    world.run(pid=NOBODY)
    assert code(world.tbot(command, *options, "--gateway", "http://127.0.0.1:9", login=True)) == 0
    assert len(world.orders) == 1


def test_F_SYS_01_the_exit_code_is_the_same_where_nothing_can_be_written(tmp_path: Path) -> None:
    """Python itself would end with a code of its own when what is left in a stream cannot be written."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    arguments = ["panic", "--gateway", "http://127.0.0.1:9", "--for", "0.1s"]
    environment = {**os.environ, "TBOT_HOME": str(tmp_path), "TBOT_USERNAME": "u", "TBOT_API_KEY": "k"}
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "tbot", *arguments],
            env=environment, stdout=full, stderr=full, check=False,
        )  # fmt: skip
    assert ended.returncode == 11
    assert (tmp_path / "live" / "kill.all").exists()


def test_kill_goes_on_where_the_status_tells_a_time_of_no_calendar(world: World) -> None:
    world.run()
    status = {"schema": "tbot.status", "market_ns": 10**30, "accounts": {"1001": {}}}
    (world.home / "sim" / "status.json").write_text(json.dumps(status))
    world.answers = [None]
    today = [trading_day(time.time_ns())]
    assert code(world.tbot("kill", login=True)) == 0
    lock = read(world.home / "sim" / "kill.all")
    assert lock is not None
    today.append(trading_day(time.time_ns()))
    assert lock.day in [day.isoformat() for day in today]
