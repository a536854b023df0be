"""The person's hand inside the executor, over a real Desk in virtual time and a real control socket."""

import shutil
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import status_rig
from desk_rig import Rig, settings
from tbot.domain.messages import ConditionIn
from tbot.domain.process_messages import AccountWord, ControlReply
from tbot.engine import control
from tbot.engine import operator_desk as module
from tbot.engine.control import ask_once
from tbot.engine.operator_desk import OperatorDesk
from tbot.execution.desk import AccountSettings, Carried
from tbot.storage.kill_locks import KillLocks, read
from tbot.transport import sockets

TODAY, YESTERDAY = date(2026, 11, 17), date(2026, 11, 16)
DAY_S = 24 * 3600


class Executor:
    """An OperatorDesk whose executor is the test: the Desk of a desk rig, and a boot clock by hand."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, rig: Rig | None = None) -> None:
        self.home, self.boot_ns = folder, 10**12
        monkeypatch.setattr(module, "boot_ns", lambda: self.boot_ns)
        monkeypatch.setattr(control, "TTL_NS", control.MAX_TTL_NS)  # between asking and taking a machine may stall
        monkeypatch.setattr(sockets, "HEARTBEAT_TIMEOUT_MS", 60_000)
        folder.mkdir(exist_ok=True)
        more = {"pointer": folder / "current.json", "state_dir": folder / "sim"}
        (folder / "sim").mkdir(exist_ok=True)
        self.settings = status_rig.settings(folder, **more)
        self.rig = rig or Rig().start()
        self.told: list[str] = []
        self.acknowledged = 0
        self.of_the_login = ""
        self.operator = OperatorDesk(self.settings, lambda _ns, _kind, _contract, text: self.told.append(text))
        self.locks = KillLocks(folder / "sim", folder, "sim")

    @property
    def desk(self) -> Any:
        clock = SimpleNamespace(now_ns=lambda: self.rig.now_ns)
        return SimpleNamespace(desk=self.rig.desk, clock=clock, session=SimpleNamespace(on_operator=self.rig.feed))

    @property
    def watch(self) -> Any:
        return SimpleNamespace(acknowledge=self._acknowledge, of_the_login=self.of_the_login)

    def _acknowledge(self) -> None:
        self.acknowledged += 1

    def beat(self) -> None:
        """A turn of the loop, a heartbeat later."""
        self.boot_ns += module.BEAT_NS
        self.operator.look(self.desk, self.watch)

    def ask(
        self, verb: Any, account: int | None = None, contract: str | None = None, *, started: bool = True
    ) -> ControlReply:
        """What a command is answered."""
        answers: list[ControlReply | None] = []
        question = (self.settings.run_dir, verb, account, contract)
        asking = threading.Thread(target=lambda: answers.append(ask_once(*question, patience_s=30)))
        asking.start()
        sockets.Waiter(self.operator.control.channel).wait(30_000_000_000)  # it has come before the first look
        while asking.is_alive():
            self.operator.look(self.desk if started else None, self.watch)
            asking.join(0.005)
        (reply,) = answers
        assert reply is not None
        return reply

    def word(self, verb: Any, *rest: Any) -> AccountWord:
        (word,) = self.ask(verb, *rest).accounts
        return word


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Executor]:
    made = Executor(tmp_path / "home", monkeypatch)
    yield made
    made.operator.close()
    sockets.close_context()


def holding(executor: Executor) -> None:
    executor.rig.signal(1)
    executor.rig.run(1)
    assert executor.rig.view()["positions"]


# ------------------------------------------------------------------------------------------------- truthful answers
def test_the_answer_is_what_the_desk_did(executor: Executor) -> None:
    holding(executor)
    word = executor.word("pause")
    assert (word.taken, word.said, word.state) == (True, "paused: no entries, what is open stays managed", "PAUSED")
    assert (word.flat, word.clear, word.still_open) == (False, False, "MNQ +5, 2 working orders")
    assert executor.word("pause").said == "paused already"
    executor.rig.broker.script["close"] = ["not_sent"]
    word = executor.word("flatten")
    assert (word.state, word.flat) == ("REDUCING", False)
    executor.rig.run(3)
    word = executor.word("ask")
    assert (word.said, word.state, word.flat, word.clear, word.still_open) == ("", "PAUSED", True, True, "")


def test_a_refusal_comes_with_its_reason_and_leaves_the_watch_alone(executor: Executor) -> None:
    executor.ask("kill")
    reply = executor.ask("resume")
    assert (reply.refused, reply.text) == ("refused", "the account is locked until the next trading day")
    assert executor.acknowledged == 0
    reply = executor.ask("flatten", None, "CL")
    assert reply.refused == "refused"
    assert "CL is not traded" in reply.text


def test_resume_tells_the_watch_that_a_person_has_looked(executor: Executor) -> None:
    executor.ask("pause")
    assert executor.ask("resume").refused == ""
    assert executor.acknowledged == 1


def test_an_account_that_is_not_traded_is_named(executor: Executor) -> None:
    reply = executor.ask("pause", 5)
    assert (reply.refused, reply.text) == ("account", "account 5 is not traded by this run; it trades 1001 (PRAC-1)")
    assert executor.rig.state == "ACTIVE"


def test_flat_of_one_contract_is_told_by_contract(executor: Executor) -> None:
    holding(executor)
    executor.rig.signal(2, "MES")
    executor.rig.run(1)
    executor.ask("flatten", None, "MNQ")
    executor.rig.run(3)
    word = executor.word("ask", None, "MNQ")
    assert (word.flat, word.clear, word.still_open.split(",")[0][:3]) == (True, False, "MES")
    assert not executor.word("ask").flat


def test_F_CFG_05_while_starting_nothing_is_done_but_a_kill_is_kept(executor: Executor) -> None:
    for verb in ("pause", "resume", "flatten", "ask", "kill"):
        assert executor.ask(verb, started=False).refused == "starting"
    assert executor.rig.state == "ACTIVE"
    executor.beat()
    executor.rig.run(1)
    assert executor.rig.state == "LOCKED"
    assert executor.told == ["kill switch pressed (command): closing everything"]


def test_each_account_answers_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(settings(accounts=(AccountSettings(1001, "PRAC-1"), AccountSettings(1002)))).start()
    executor = Executor(tmp_path / "home", monkeypatch, rig)
    assert [word.taken for word in executor.ask("kill", 1001).accounts] == [True]
    reply = executor.ask("resume")
    assert (reply.refused, [word.taken for word in reply.accounts]) == ("", [False, True])
    assert rig.desk.holds(1001, "RC_KILL_SWITCH")
    assert not rig.desk.holds(1002, "RC_KILL_SWITCH")
    executor.operator.close()
    sockets.close_context()


def test_F_CFG_05_a_kill_that_is_kept_while_starting_is_for_its_account_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(settings(accounts=(AccountSettings(1001, "PRAC-1"), AccountSettings(1002)))).start()
    executor = Executor(tmp_path / "home", monkeypatch, rig)
    for account in (1001, 5):  # the second is not traded here: the command closes it by itself
        executor.ask("kill", account, started=False)
    executor.beat()
    assert [rig.desk.holds(account, "RC_KILL_SWITCH") for account in (1001, 1002)] == [True, False]
    executor.operator.close()
    sockets.close_context()


def test_F_API_02_F_ACC_04_resume_of_one_account_does_not_lift_what_stops_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login is everybody's: one account's resume once tried it again, and let all of them trade."""
    rig = Rig(settings(accounts=(AccountSettings(1001, "PRAC-1"), AccountSettings(1002)))).start()
    executor = Executor(tmp_path / "home", monkeypatch, rig)
    executor.of_the_login = "the gateway refused the login: InvalidCredentials"
    rig.feed(ConditionIn(rig.now_ns, "RC_AUTH", executor.of_the_login))
    reply = executor.ask("resume", 1001)
    (word,) = reply.accounts
    assert (reply.refused, word.account, word.taken, word.state) == ("refused", 1001, False, "HALTED")
    assert word.said == (
        "the gateway refused the login: InvalidCredentials, which stops every account: tbot resume without --account "
        "goes on with all of them"
    )
    assert executor.acknowledged == 0
    assert [rig.desk.state(account) for account in (1001, 1002)] == ["HALTED", "HALTED"]
    assert executor.ask("pause", 1001).refused == ""  # whatever is no resume is taken
    assert [word.taken for word in executor.ask("resume").accounts] == [True, True]
    assert executor.acknowledged == 1
    executor.operator.close()
    sockets.close_context()


def test_F_API_02_of_a_single_account_resume_with_and_without_its_number_are_the_same(executor: Executor) -> None:
    executor.of_the_login = "somebody else uses this login"
    assert executor.ask("resume", 1001).refused == ""
    assert executor.acknowledged == 1


# ----------------------------------------------------------------------------------------- lock files and the signal
@pytest.mark.parametrize("way", ["command", "signal", "file", "file of all", "copy in home"])
def test_F_CFG_06_every_way_kills_and_leaves_its_locks(executor: Executor, way: str) -> None:
    holding(executor)
    if way == "command":
        executor.ask("kill")
    elif way == "signal":
        executor.operator.press("signal")
    else:
        paths = executor.locks.paths(None if way == "file of all" else 1001)
        paths[1 if way == "copy in home" else 0].touch()
    executor.beat()
    executor.rig.run(4)
    assert executor.rig.state == "LOCKED"
    assert executor.rig.broker.size("MNQ") == 0
    executor.beat()
    for path in executor.locks.paths(1001):
        lock = read(path)
        assert lock is not None
        assert (lock.day, lock.by) == (TODAY.isoformat(), "engine")


def test_F_CFG_05_a_lock_that_is_taken_away_comes_back(executor: Executor) -> None:
    executor.ask("kill")
    shutil.rmtree(executor.home / "sim")
    executor.beat()
    assert all(path.exists() for path in executor.locks.paths(1001))
    assert executor.ask("resume").refused == "refused"


def test_I14_a_new_engine_without_its_state_is_locked_by_the_copy(
    executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor.ask("kill")
    executor.operator.close()
    sockets.close_context()
    shutil.rmtree(executor.home / "sim")
    again = Executor(tmp_path / "home", monkeypatch)
    again.beat()
    again.rig.run(1)
    assert again.rig.state == "LOCKED"
    assert again.told == ["kill switch pressed (lock file of engine): closing everything"]
    again.operator.close()


def test_I14_a_desk_that_has_just_been_opened_is_locked_before_anybody_is_answered(executor: Executor) -> None:
    executor.locks.put(1001, TODAY, "tbot kill")
    reply = executor.ask("resume")  # waits in the socket when the executor takes its first look
    assert (reply.refused, executor.acknowledged) == ("refused", 0)


def test_I14_the_lock_ends_with_the_trading_day_and_its_files_go(executor: Executor) -> None:
    executor.ask("kill")
    executor.locks.paths(None)[0].touch()
    executor.beat()
    executor.rig.run(DAY_S, step=600)
    executor.beat()
    assert not executor.rig.desk.holds(1001, "RC_KILL_SWITCH")
    assert not any(path.exists() for path in [*executor.locks.paths(1001), *executor.locks.paths(None)])


def test_a_lock_of_yesterday_binds_nobody(executor: Executor) -> None:
    executor.locks.put(1001, YESTERDAY, "engine")
    executor.locks.put(None, YESTERDAY, "tbot kill")
    executor.beat()
    assert executor.rig.state == "ACTIVE"
    assert not any(path.exists() for path in [*executor.locks.paths(1001), *executor.locks.paths(None)])


def test_before_the_first_input_the_day_is_that_of_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Executor(tmp_path / "home", monkeypatch, Rig())
    executor.locks.put(1001, TODAY, "tbot kill")
    executor.beat()
    executor.rig.run(3)
    assert executor.rig.state == "LOCKED"
    executor.operator.close()
    sockets.close_context()


def test_F_SYS_01_a_lock_that_cannot_be_left_is_said_once_and_the_kill_holds(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tbot.storage.kill_locks.write", full)
    executor.ask("kill")
    executor.beat()
    executor.beat()
    assert [text for text in executor.told if "could not leave its lock file" in text] == executor.told
    assert len(executor.told) == 1
    monkeypatch.undo()
    assert executor.rig.state == "LOCKED"


def test_K_EX_20_the_lock_of_a_day_that_is_over_is_not_written_down_for_the_new_one(tmp_path, monkeypatch):
    """A Desk that was just opened holds what was carried over; only its first input tells that the day has changed."""
    carried = Carried(reasons=(("RC_KILL_SWITCH", "the kill switch was pressed"),), day=YESTERDAY.isoformat())
    rig = Rig(settings(accounts=(AccountSettings(1001, "PRAC-1", carried),)))
    executor = Executor(tmp_path / "home", monkeypatch, rig)
    executor.beat()
    assert not (tmp_path / "home" / "sim" / "kill.1001").exists()
    rig.start()
    executor.beat()
    assert rig.state == "ACTIVE"
    executor.operator.close()
