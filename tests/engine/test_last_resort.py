"""The launcher's part in the kill switch: who is asked, when nobody answers, and the emergency exit it starts."""

import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest

import sim_rig
import status_rig
from engine_runs import until
from open_account import ACCOUNT, fill_account, open_things
from sim_rig import KEY, OWNER
from tbot.domain.process_messages import OperatorAck, OperatorMessage
from tbot.engine import last_resort as module
from tbot.engine.last_resort import ACK_NS, LastResort
from tbot.engine.settings import EngineSettings, GatewaySettings
from tbot.storage.kill_locks import ENGINE, KillLocks, read

DAY = date(2026, 11, 20)
NOBODY = GatewaySettings("http://127.0.0.1:9", "", "", simulated=True)


class Rig:
    """A LastResort whose executor is the test."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, login: Any = (OWNER, KEY), **more: Any
    ) -> None:
        self.now_ns = 10**12
        monkeypatch.setattr(module, "boot_ns", lambda: self.now_ns)
        self.settings: EngineSettings = status_rig.settings(folder, **({"gateway": NOBODY} | more))
        self.told: list[str] = []
        self.asked: list[OperatorMessage] = []
        self.connected = True
        self.resort = LastResort(self.settings, login, self.told.append, self._ask)
        self.locks = KillLocks(self.settings.state_dir, None, "sim")

    def _ask(self, message: OperatorMessage) -> bool:
        if self.connected:
            self.asked.append(message)
        return self.connected

    def look(self) -> None:
        self.resort.look((ACCOUNT,))

    def finish(self) -> str:
        """The state in which the emergency exit ends."""
        def ended() -> bool:
            self.look()
            return not self.resort.running

        until(ended, "the emergency exit ends", 90, lambda: self.told)
        return self.resort.state


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(tmp_path, monkeypatch)


# --------------------------------------------------------------------------------------------------- who is asked
def test_F_CFG_06_a_new_lock_file_is_put_to_the_executor_once(rig: Rig) -> None:
    rig.resort.begin()
    rig.look()
    assert rig.asked == []
    (rig.settings.state_dir / f"kill.{ACCOUNT}").touch()
    rig.look()
    rig.look()
    assert [message.verb for message in rig.asked] == ["kill"]
    rig.resort.on_ack(OperatorAck(rig.asked[0].request_id, True, False, ""))
    rig.now_ns += 2 * ACK_NS
    rig.look()
    assert rig.resort.state == ""
    rig.locks.put(ACCOUNT, DAY, "somebody")
    rig.look()
    assert len(rig.asked) == 2
    assert rig.told[-1] == f"kill switch pressed (lock file of somebody, account {ACCOUNT})"


def test_F_CFG_06_a_lock_file_of_one_account_kills_no_other(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[int, ...]] = []
    monkeypatch.setattr(rig.resort, "panic", lambda why, accounts: started.append(accounts))
    both = (ACCOUNT, ACCOUNT + 1)
    rig.resort.look(both)
    for account in both:
        (rig.settings.state_dir / f"kill.{account}").touch()
    rig.resort.look(both)
    assert [message.account for message in rig.asked] == list(both)
    rig.resort.on_ack(OperatorAck(rig.asked[1].request_id, True, False, ""))
    rig.now_ns += ACK_NS + 1
    rig.resort.look(both)
    assert started == [(ACCOUNT,)]
    (rig.settings.state_dir / "kill.all").touch()
    rig.resort.look(both)
    rig.now_ns += ACK_NS + 1
    rig.resort.look(both)
    assert started == [(ACCOUNT,), both]


def test_I10_pressing_again_and_again_puts_nothing_off(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[int, ...]] = []
    monkeypatch.setattr(rig.resort, "panic", lambda why, accounts: started.append(accounts))
    for _ in range(3):
        rig.locks.put(ACCOUNT, DAY, "somebody")
        rig.look()
        rig.now_ns += ACK_NS // 2
    rig.now_ns += 1
    rig.look()
    assert started == [(ACCOUNT,)]


def test_lock_files_of_before_and_of_the_executor_itself_are_not_news(rig: Rig) -> None:
    rig.locks.put(None, DAY, "tbot kill")
    rig.resort.begin()
    rig.locks.put(ACCOUNT, DAY, ENGINE)
    rig.look()
    rig.locks.paths(ACCOUNT)[0].unlink()
    rig.look()
    assert rig.asked == []


def test_F_CFG_06_the_signal_locks_every_account_and_asks(rig: Rig) -> None:
    rig.resort.begin()
    rig.connected = False
    rig.resort.press("signal", DAY, (ACCOUNT,))
    rig.look()
    assert rig.asked == []
    rig.connected = True  # an executor that has just come back
    rig.look()
    rig.look()
    assert len(rig.asked) == 1
    lock = read(rig.locks.paths(None)[0])
    assert lock is not None
    assert (lock.day, lock.by) == ("2026-11-20", "signal")


def test_F_SYS_01_a_lock_that_cannot_be_written_is_said_and_the_rest_goes_on(rig: Rig) -> None:
    rig.settings.state_dir.rmdir()
    rig.settings.state_dir.write_text("a file")
    rig.resort.press("signal", DAY, ())
    rig.look()
    assert "could not be written" in rig.told[0]
    assert len(rig.asked) == 1


# ------------------------------------------------------------------------------------------------ nobody answers
@pytest.mark.parametrize("answer", [None, "other", "not done"])
def test_I10_without_an_acknowledgement_in_a_second_the_emergency_exit_starts(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    started: list[tuple[str, tuple[int, ...]]] = []
    monkeypatch.setattr(rig.resort, "panic", lambda why, accounts: started.append((why, accounts)))
    rig.resort.press("signal", DAY, (ACCOUNT,))
    rig.look()
    if answer is not None:
        request = rig.asked[0].request_id if answer == "not done" else "another"
        rig.resort.on_ack(OperatorAck(request, answer != "not done", True, ""))
    rig.now_ns += ACK_NS
    rig.look()
    assert started == []
    rig.now_ns += 1
    rig.look()
    rig.look()
    assert started == [("the executor did not acknowledge the kill switch", (ACCOUNT,))]


def test_R14_the_emergency_exit_closes_everything_and_its_words_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sim_rig.running() as server:
        fill_account(server)
        gateway = GatewaySettings(server.rest, "", "", simulated=True)
        rig = Rig(tmp_path, monkeypatch, gateway=gateway)
        before = set(psutil.Process().children())  # what other tests of this process have left running
        assert rig.resort.panic("a test", (ACCOUNT,))
        assert rig.resort.running
        assert rig.resort.panic("again", (ACCOUNT,))  # it is at work already
        (child,) = set(psutil.Process().children()) - before
        assert not any(secret in word for word in child.cmdline() for secret in (OWNER, KEY))
        assert rig.finish() == "flat"
        assert open_things(server) == ([], 0)
    assert rig.told[0] == "a test: the emergency exit closes everything over REST"
    assert "emergency exit: account 1001: close CON.F.US.MNQ.Z26 +2: done" in rig.told
    assert rig.told[-1] == "emergency exit: every account is proven flat"


def test_an_emergency_exit_that_proves_nothing_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PANIC_S", 0.2)
    assert rig.resort.panic("a test", ())
    assert rig.finish() == "not flat"
    assert "NOT PROVEN FLAT" in rig.told[-1]


def test_F_SYS_06_an_emergency_exit_that_cannot_be_started_is_an_alarm(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(subprocess, "Popen", full)
    assert not rig.resort.panic("a test", ())
    assert rig.resort.state == "not flat"
    assert "run tbot panic by hand NOW" in rig.told[-1]


@pytest.mark.parametrize("lacking", ["mode", "gateway", "login"])
def test_where_nothing_is_at_a_broker_there_is_no_emergency_exit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    rig = Rig(tmp_path, monkeypatch, login=None if lacking == "login" else (OWNER, KEY))
    if lacking == "mode":
        rig.resort._settings = replace(rig.settings, mode="paper")
    if lacking == "gateway":
        rig.resort._settings = replace(rig.settings, gateway=None)
    assert not rig.resort.panic("a test", ())
    assert (rig.told, rig.resort.state) == ([], "")
