"""The launcher's side of a run, with tiny children in place of the real ones."""

import errno
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import status_rig
from supervisor_rig import PATIENCE_S, executor, is_up, poll_until, spec, status_file, supervised, texts, worker
from tbot.domain.process_messages import EngineEvent, Heartbeat, SignalAck
from tbot.engine import processes as processes_module
from tbot.engine import supervisor as module
from tbot.engine.build import build_id
from tbot.engine.child import CUT_SHORT
from tbot.engine.processes import ProcessSpec
from tbot.engine.settings import EngineSettings
from tbot.engine.supervisor import Supervisor
from tbot.errors import Halted
from tbot.transport import sockets
from tbot.transport.process_identity import process_start
from tbot.transport.wire import Wire


# ------------------------------------------------------------------------------------------------------ life and end
def test_a_run_from_start_to_proven_end(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda s: spec("feed", s), lambda s: worker(s, "MNQ", "ES")) as supervisor:
        assert supervisor.status()["state"] == "STARTING"
        poll_until(supervisor, is_up(supervisor, "worker-1"), "every child is up")
        run_dir = supervisor.settings.run_dir
        names = {path.name for path in run_dir.iterdir()}
        assert {"ring.MNQ", "ring.ES", "history.MNQ", "history.ES", "bus.sock", "executor.sock"} <= names
        pids = [child.pid for child in supervisor.children.values()]
        supervisor.await_flat(supervisor.request_stop())
        assert supervisor.phase.flat
        supervisor.shutdown()
        assert not run_dir.exists()
        assert [process_start(pid) for pid in pids] == [None] * 3
        assert status_file(supervisor)["state"] == "STOPPED"
        assert supervisor.children["worker-1"].status == {"last": "words"}


@pytest.mark.parametrize(("flat", "expected"), [(True, True), (False, False)])
def test_only_the_answer_to_our_own_request_counts(tmp_path: Path, flat: bool, expected: bool) -> None:
    """The fake executor first answers some other request with "flat"."""
    with supervised(tmp_path, lambda s: executor(s, flat)) as supervisor:
        poll_until(supervisor, supervisor.ready, "up")
        supervisor.await_flat(supervisor.request_stop())
        assert supervisor.phase.flat is expected
        supervisor.shutdown()
        assert status_file(supervisor)["state"] == ("STOPPED" if expected else "NOT_FLAT")


def test_waiting_for_flat_ends_when_the_person_insists(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda s: executor(s, None)) as supervisor:
        poll_until(supervisor, supervisor.ready, "up")
        asked: list[int] = []

        def insist() -> bool:
            asked.append(1)
            return len(asked) == 3

        supervisor.await_flat(supervisor.request_stop(), insist)
        assert len(asked) == 3
        assert not supervisor.phase.flat


def test_waiting_for_flat_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with supervised(tmp_path, lambda s: executor(s, None)) as supervisor:
        poll_until(supervisor, supervisor.ready, "up")
        now = [0]
        monkeypatch.setattr(module, "boot_ns", lambda: now[0])

        def pass_time() -> bool:
            now[0] += 1_000_000_000
            assert now[0] < 100_000_000_000
            return False

        supervisor.await_flat(supervisor.request_stop(), pass_time)
        assert not supervisor.phase.flat


def test_waiting_for_flat_ends_with_a_dead_executor(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda s: executor(s, None)) as supervisor:
        poll_until(supervisor, supervisor.ready, "up")
        child = supervisor.children["executor"]
        assert child.process is not None
        child.signal(signal.SIGKILL)
        child.process.join(PATIENCE_S)
        supervisor.await_flat(supervisor.request_stop(), lambda: pytest.fail("waited for the dead"))  # type: ignore[arg-type,return-value]
        assert not supervisor.phase.flat


def test_I27_shutdown_leaves_nothing_of_a_child_that_does_not_listen(tmp_path: Path) -> None:
    deaf = {"deaf": True}
    with supervised(tmp_path, lambda s: worker(s, "MNQ", secrets=deaf, grace_s=0.2)) as supervisor:
        poll_until(supervisor, is_up(supervisor, "worker-1"), "up")
        pid, run_dir = supervisor.children["worker-1"].pid, supervisor.settings.run_dir
        supervisor.shutdown()
        assert process_start(pid) is None
        assert not run_dir.exists()


def test_F_IPC_03_the_last_words_of_every_process_are_heard_whatever_their_length(tmp_path: Path) -> None:
    long = {"long": 30_000}
    names = ("feed", "recorder", "worker-1", "worker-2", "worker-3")
    makes = [lambda s, name=name: spec(name, s, secrets={"symbols": ["MNQ"]} | long) for name in names]
    with supervised(tmp_path, *makes) as supervisor:
        poll_until(supervisor, supervisor.ready, "up")
        supervisor.shutdown()
        for name in names:
            assert len(supervisor.children[name].status["long"]) == 30_000, name
        assert supervisor.phase.undone == ""


def test_a_worker_that_leaves_work_undone_is_told_and_the_run_says_so(tmp_path: Path) -> None:
    words = "the bars of MNQ were not kept: /bars: No space left on device"
    kept = {"keep_bars": tmp_path / "bars"}
    with supervised(tmp_path, lambda s: worker(s, "MNQ", secrets={"undone": words}), **kept) as supervisor:
        poll_until(supervisor, is_up(supervisor, "worker-1"), "up")
        supervisor.await_flat(supervisor.request_stop())
        supervisor.shutdown()
        assert texts(supervisor, "launcher") == [words]
        assert supervisor.phase.undone == words
        document = status_file(supervisor)
        assert (document["state"], document["reason"]) == ("STOPPED", words)


@pytest.mark.parametrize("keeps", [True, False])
def test_a_worker_that_has_to_be_killed_at_the_end_is_told(
    tmp_path: Path, keeps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEP_BARS_S", 0.2)
    more = {"keep_bars": tmp_path / "bars"} if keeps else {}
    deaf = {"deaf": True}
    with supervised(tmp_path, lambda s: worker(s, "MNQ", "ES", secrets=deaf, grace_s=0.2), **more) as supervisor:
        poll_until(supervisor, is_up(supervisor, "worker-1"), "up")
        supervisor.shutdown()
        why = "worker-1 did not end within 0 s and was killed"
        told = f"the bars of MNQ, ES were not kept: {why}" if keeps else why
        assert texts(supervisor, "launcher") == [told]
        assert supervisor.phase.undone == (told if keeps else ""), "a run that is flat and has nothing to keep is over"


def test_another_process_that_has_to_be_killed_at_the_end_costs_a_line_only(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda s: spec("feed", s, secrets={"deaf": True}, grace_s=0.2)) as supervisor:
        poll_until(supervisor, is_up(supervisor, "feed"), "up")
        supervisor.shutdown()
        assert texts(supervisor, "launcher") == ["feed did not end within 0 s and was killed"]
        assert supervisor.phase.undone == ""


@pytest.mark.parametrize("mode", ["replay", "sim"])
def test_an_executor_that_cannot_write_its_last_rows_leaves_a_replay_undone(tmp_path: Path, mode: str) -> None:
    words = "the journal cannot be written"
    fake = {"target": "member", "secrets": {"undone": words}}
    with supervised(tmp_path, lambda s: spec("executor", s, **fake), mode=mode) as supervisor:
        poll_until(supervisor, is_up(supervisor, "executor"), "up")
        supervisor.shutdown()
        assert texts(supervisor, "launcher") == [words]
        assert supervisor.phase.undone == (words if mode == "replay" else "")


def test_who_never_came_up_has_left_nothing_undone(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda s: worker(s, "MNQ")) as supervisor:
        supervisor.shutdown()
        assert supervisor.phase.undone == ""


def test_a_worker_gets_time_for_the_bars_it_keeps(tmp_path: Path) -> None:
    def grace_s(bars: int, **more: Any) -> float:
        settings = status_rig.settings(tmp_path, **more)
        made = [worker(settings, "MNQ", "ES", grace_s=3.0), spec("feed", settings, grace_s=3.0)]
        supervisor = Supervisor(settings, made)
        supervisor.children["feed"].status = supervisor.children["worker-1"].status = {
            "contracts": {"MNQ": {"bars": {"1m": bars}}, "ES": {"bars": {"1m": bars}}}
        }
        assert supervisor._grace_s(supervisor.children["feed"]) == 3.0
        return supervisor._grace_s(supervisor.children["worker-1"])

    assert grace_s(350_000) == 3.0
    assert grace_s(0, keep_bars=tmp_path) == 13.0
    assert grace_s(350_000, keep_bars=tmp_path) == 83.0


def test_F_SYS_07_a_start_that_failed_half_way_is_cleaned_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shared memory is full at the second segment: the error comes out and nothing stays."""
    settings = status_rig.settings(tmp_path)
    create, made = module.Segment.create, []

    def full(*arguments: Any, **named: Any) -> Any:
        if made:
            raise OSError(errno.ENOSPC, "No space left on device")
        made.append(create(*arguments, **named))
        return made[-1]

    monkeypatch.setattr(module.Segment, "create", full)
    supervisor = Supervisor(settings, [executor(settings)])
    with pytest.raises(OSError, match="No space left"):
        supervisor.start()
    supervisor.shutdown()
    assert len(made) == 1
    assert not settings.run_dir.exists()


# ----------------------------------------------------------------------------------------------------------- deaths
def test_death_of_what_cannot_restart_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda s: spec("sim", s, restartable=False)) as supervisor:
        poll_until(supervisor, is_up(supervisor, "sim"), "up")
        supervisor.children["sim"].say({"verb": "exit", "code": 3})
        poll_until(supervisor, lambda: supervisor.phase.failure, "a failure")
        assert supervisor.phase.failure == "sim ended (exit code 3) and is not restarted"
        assert supervisor.phase.failure_code == "RC_PEER_DEAD"
        document = supervisor.status()
        assert (document["state"], document["reasons"]) == ("HALTED", ["RC_PEER_DEAD"])
        supervisor.poll(0)
        assert supervisor.status()["restarts"] == 0


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_F_PRC_01_a_dead_worker_comes_back_and_its_contracts_are_filled_again(tmp_path: Path, how: str) -> None:
    with supervised(tmp_path, lambda s: spec("feed", s), lambda s: worker(s, "MNQ", "ES")) as supervisor:
        poll_until(supervisor, is_up(supervisor, "worker-1"), "up")
        child = supervisor.children["worker-1"]
        old = child.pid
        if how == "exit":
            child.say({"verb": "exit", "code": 0})  # leaving without being asked is a death too
        else:
            os.kill(old, signal.SIGKILL)
        poll_until(supervisor, is_up(supervisor, "worker-1", 2), "up again")
        assert child.pid != old
        assert process_start(old) is None
        assert texts(supervisor, "worker-1") == ["up restarted=False epoch=0", "up restarted=True epoch=0"]
        poll_until(supervisor, lambda: len(texts(supervisor, "feed")) == 3, "the feed has heard")
        assert texts(supervisor, "feed")[1:] == ["MNQ heard refill", "ES heard refill"]
        assert supervisor.status()["restarts"] == 1
        assert supervisor.phase.failure == ""
        code = 0 if how == "exit" else -9
        assert texts(supervisor, "launcher") == [f"worker-1 restarted (1): exit code {code}"]


def test_F_PRC_01_a_dead_feed_comes_back_without_a_refill(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda s: spec("feed", s), lambda s: worker(s, "MNQ")) as supervisor:
        poll_until(supervisor, is_up(supervisor, "feed"), "up")
        os.kill(supervisor.children["feed"].pid, signal.SIGKILL)
        poll_until(supervisor, is_up(supervisor, "feed", 2), "up again")
        assert texts(supervisor, "feed") == ["up restarted=False epoch=0", "up restarted=True epoch=0"]


def test_F_PRC_01_a_new_executor_hears_of_every_contract_again(tmp_path: Path) -> None:
    """Without a history record in its ring it would take the market data for broken and deny every signal."""
    with supervised(tmp_path, lambda s: spec("feed", s), lambda s: worker(s, "MNQ")) as supervisor:
        poll_until(supervisor, is_up(supervisor, "feed"), "up")
        old = supervisor.children["executor"].pid
        os.kill(old, signal.SIGKILL)
        poll_until(supervisor, lambda: len(texts(supervisor, "feed")) == 3, "the feed has heard")
        assert texts(supervisor, "feed")[1:] == ["MNQ heard refill", "ES heard refill"]
        assert supervisor.children["executor"].pid not in (0, old)
        assert supervisor.children["executor"].ready


def test_F_TIM_03_a_frozen_child_is_ended_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, ahead = processes_module.boot_ns, [0]
    monkeypatch.setattr(processes_module, "boot_ns", lambda: real() + ahead[0])
    with supervised(tmp_path, lambda s: executor(s, beats=False), lambda s: worker(s, "MNQ")) as supervisor:
        poll_until(supervisor, is_up(supervisor, "worker-1"), "up")
        child = supervisor.children["worker-1"]
        os.kill(child.pid, signal.SIGSTOP)
        while supervisor._bus.drain():  # beats that were under way
            pass
        old, child.last_beat_ns = child.pid, real()
        ahead[0] = processes_module.SUSPECT_NS + 1
        supervisor._watch(child)
        assert (child.state, child.pid) == ("SUSPECT", old)
        ahead[0] = processes_module.DEAD_NS + 1
        supervisor._watch(child)
        assert process_start(old) is None
        assert texts(supervisor, "launcher") == ["worker-1 restarted (1): no heartbeat for 5 s"]
        poll_until(supervisor, is_up(supervisor, "worker-1", 2), "up again")


def test_F_TIM_03_nobody_else_goes_unheard_while_a_deaf_child_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf, real, late = {"deaf": True}, module.boot_ns, [0]
    with supervised(tmp_path, lambda s: spec("feed", s), lambda s: worker(s, "MNQ", secrets=deaf)) as supervisor:
        poll_until(supervisor, is_up(supervisor, "worker-1"), "up")
        feed, child = supervisor.children["feed"], supervisor.children["worker-1"]
        feed.last_beat_ns, pid = 0, child.pid

        def no_grace_once_heard() -> None:
            late[0] = int(PATIENCE_S * 10**9) if feed.last_beat_ns else 0

        with monkeypatch.context() as patch:
            patch.setattr(module, "boot_ns", lambda: real() + late[0])
            patch.setattr(supervisor, "_tell_status", no_grace_once_heard)  # called in every turn
            supervisor._end(child, grace_s=PATIENCE_S)
        assert feed.last_beat_ns > 0
        assert process_start(pid) is None


def test_F_TIM_02_after_a_sleep_of_the_machine_nobody_is_taken_for_dead(tmp_path: Path) -> None:
    """Every beat is as old as the sleep when the launcher wakes, and it may wake first."""
    with supervised(tmp_path, lambda s: worker(s, "MNQ")) as supervisor:
        poll_until(supervisor, is_up(supervisor, "worker-1"), "up")
        supervisor.poll(0)
        child = supervisor.children["worker-1"]
        boot, mono = supervisor._pause._last or (0, 0)
        supervisor._pause._last = (boot - 600 * 10**9, mono)
        child.last_beat_ns -= 600 * 10**9
        supervisor.poll(0)
        assert supervisor.status()["restarts"] == 0
        assert child.state != "SUSPECT"


def test_a_child_that_cannot_work_ends_the_run_in_its_own_words(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda s: worker(s, "MNQ")) as supervisor:
        poll_until(supervisor, is_up(supervisor, "worker-1"), "up")
        supervisor.children["worker-1"].say({"verb": "fail", "problem": "login refused", "exit_code": 4})
        poll_until(supervisor, lambda: supervisor.phase.failure, "a failure")
        assert (supervisor.phase.failure, supervisor.phase.exit_code) == ("login refused", 4)
        assert supervisor.status()["restarts"] == 0


@pytest.mark.parametrize("restartable", [False, True])
def test_a_child_that_gives_up_is_quoted(tmp_path: Path, restartable: bool) -> None:
    """Its sentence and its exit code, not "exit code 1": what is wrong is known, and only there."""
    with supervised(tmp_path, lambda s: worker(s, "MNQ", restartable=restartable)) as supervisor:
        poll_until(supervisor, is_up(supervisor, "worker-1"), "up")
        supervisor.children["worker-1"].say({"verb": "give_up", "words": "the tape\nis torn; mend it"})
        if restartable:
            line = "worker-1 restarted (1): the tape is torn; mend it"
            poll_until(supervisor, lambda: line in texts(supervisor, "launcher"), "a restart")
            assert supervisor.phase.failure == ""
        else:
            poll_until(supervisor, lambda: supervisor.phase.failure, "a failure")
            assert supervisor.phase.failure == "worker-1 ended (the tape is torn; mend it) and is not restarted"
            assert supervisor.phase.exit_code == Halted.exit_code == 6


def test_the_end_of_a_tape_is_no_failure(tmp_path: Path) -> None:
    feed = {"restartable": False}
    with supervised(tmp_path, lambda s: spec("feed", s, **feed), mode="replay") as supervisor:
        poll_until(supervisor, is_up(supervisor, "feed"), "up")
        supervisor.children["feed"].say({"verb": "exit", "code": 0})
        poll_until(supervisor, lambda: supervisor.finished, "finished")
        assert supervisor.phase.failure == ""


@pytest.mark.parametrize(("mode", "code"), [("replay", 1), ("replay", CUT_SHORT), ("sim", 0)])
def test_another_end_of_the_feed_is_one(tmp_path: Path, mode: str, code: int) -> None:
    feed = {"restartable": False}
    with supervised(tmp_path, lambda s: spec("feed", s, **feed), mode=mode) as supervisor:
        poll_until(supervisor, is_up(supervisor, "feed"), "up")
        supervisor.children["feed"].say({"verb": "exit", "code": code})
        poll_until(supervisor, lambda: supervisor.phase.failure, "a failure")
        assert not supervisor.finished


def test_nobody_is_restarted_while_the_run_ends(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda s: worker(s, "MNQ")) as supervisor:
        poll_until(supervisor, is_up(supervisor, "worker-1"), "up")
        supervisor.request_stop()
        child = supervisor.children["worker-1"]
        assert child.process is not None
        child.signal(signal.SIGKILL)
        child.process.join(PATIENCE_S)
        supervisor.poll(0)
        assert supervisor.status()["restarts"] == 0


# ---------------------------------------------------------------------------------------------------------- the bus
def test_I25_bad_messages_are_counted_and_change_nothing(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda s: worker(s, "MNQ")) as supervisor:
        poll_until(supervisor, is_up(supervisor, "worker-1"), "up")
        settings, ours = supervisor.settings, supervisor._wire
        beat = Heartbeat("worker-1", 1, 1, 1, "FORGED", {"forged": True})
        event = EngineEvent(0, "sentinel", "PROC", "", "the last of them")
        stray = Heartbeat("nobody", 1, 1, 1, "OK", {})
        other_key, other_run = Wire(bytes(32), settings.run_id, 0), Wire(supervisor._run_key, settings.run_id + 1, 0)
        whole = ours.encode(beat)
        bad = [b"", b"\xff" * 99, whole[:-1], whole + b"x", other_key.encode(beat), other_run.encode(beat)]
        with sockets.push(settings.socket("bus")) as channel:
            assert channel.writable(int(PATIENCE_S * 10**9))
            for data in (*bad, ours.encode(stray), ours.encode(SignalAck("x", True)), ours.encode(event)):
                assert channel.send(data)
            poll_until(supervisor, lambda: texts(supervisor, "sentinel"), "all of them have come")
        assert supervisor._bad_messages == len(bad)
        assert set(supervisor.children) == {"executor", "worker-1"}
        assert "forged" not in supervisor.children["worker-1"].status
        assert supervisor.children["worker-1"].state == "OK"


def say_as(supervisor: Supervisor, *beats: Heartbeat) -> None:
    """Put beats on the bus and take them in, with one event behind them that tells when."""
    with sockets.push(supervisor.settings.socket("bus")) as channel:
        assert channel.writable(int(PATIENCE_S * 10**9))
        said = len(texts(supervisor, "sentinel"))
        for message in (*beats, EngineEvent(0, "sentinel", "PROC", "", "so far")):
            assert channel.send(supervisor._wire.encode(message))
        poll_until(supervisor, lambda: len(texts(supervisor, "sentinel")) > said, "all of them have come")


def test_the_last_words_of_a_replaced_process_are_not_its_successors(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda s: worker(s, "MNQ")) as supervisor:
        poll_until(supervisor, is_up(supervisor, "worker-1"), "up")
        child = supervisor.children["worker-1"]
        old = child.pid
        os.kill(old, signal.SIGKILL)
        poll_until(supervisor, is_up(supervisor, "worker-1", 2), "up again")
        late = {"problem": "late", "exit_code": 4}
        say_as(supervisor, Heartbeat("worker-1", old, 9, 1, "FAILED", late, supervisor._greeting))
        assert child.status == {"pid": child.pid}
        assert supervisor.phase.failure == ""


@pytest.mark.parametrize(("exit_code", "reason"), [(4, "RC_AUTH"), (3, "RC_CONFIG"), (6, "RC_SECOND_ENGINE")])
def test_F_API_02_a_process_that_cannot_go_on_says_why(tmp_path: Path, exit_code: int, reason: str) -> None:
    with supervised(tmp_path, lambda s: worker(s, "MNQ")) as supervisor:
        poll_until(supervisor, is_up(supervisor, "worker-1"), "up")
        words = {"verb": "fail", "problem": "the login was refused", "exit_code": exit_code}
        supervisor.children["worker-1"].say(words)
        poll_until(supervisor, lambda: supervisor.phase.failure, "failed")
        phase = supervisor.phase
        assert (phase.failure, phase.failure_code, phase.exit_code) == ("the login was refused", reason, exit_code)


@pytest.mark.parametrize("changed", ["build", "config_hash"])
def test_F_ORD_11_I18_a_process_of_another_build_or_configuration_ends_the_run(tmp_path: Path, changed: str) -> None:
    def other(settings: EngineSettings) -> ProcessSpec:
        return worker(replace(settings, **{changed: "another"}), "MNQ")  # type: ignore[arg-type]

    with supervised(tmp_path, lambda s: spec("feed", s), other) as supervisor:
        poll_until(supervisor, lambda: supervisor.phase.failure, "the refusal")
        phase, status = supervisor.phase, supervisor.status()
        assert (phase.failure_code, phase.exit_code) == ("RC_VERSION_MIX", 6)
        assert phase.failure.startswith("worker-1 greets as ")
        assert "another" in phase.failure
        assert supervisor._greeting in phase.failure
        assert (status["state"], status["reasons"]) == ("HALTED", ["RC_VERSION_MIX"])
        assert not supervisor.ready()  # what greets wrongly never counts as up


def test_F_CFG_04_I18_a_process_that_starts_after_an_upgrade_in_place_is_refused(
    tmp_path: Path,
) -> None:
    """The launcher marked its files when it started; the next process finds others."""
    with supervised(tmp_path, lambda s: worker(s, "MNQ"), build=build_id("0.0")[:-1] + "x") as supervisor:
        poll_until(supervisor, lambda: supervisor.phase.failure, "the refusal")
        assert supervisor.phase.failure_code == "RC_VERSION_MIX"
        assert supervisor.status()["state"] == "HALTED"


def test_F_DAT_04_a_lapped_worker_gets_its_history_once_a_lap(tmp_path: Path) -> None:
    with supervised(tmp_path, lambda s: spec("feed", s), lambda s: worker(s, "MNQ", beats=False)) as supervisor:
        poll_until(supervisor, is_up(supervisor, "worker-1"), "up")
        pid = supervisor.children["worker-1"].pid

        def beat(laps: int) -> Heartbeat:
            status: dict[str, object] = {"contracts": {"MNQ": {"counters": {"laps": laps}}}}
            return Heartbeat("worker-1", pid, 1, 1, "OK", status, supervisor._greeting)

        say_as(supervisor, *map(beat, (0, 0, 1, 1, 1, 3)))
        poll_until(supervisor, lambda: len(texts(supervisor, "feed")) >= 3, "the feed has heard")
        assert texts(supervisor, "feed")[1:] == ["MNQ heard refill"] * 2


def test_a_tape_is_asked_for_no_history(tmp_path: Path) -> None:
    """It would never take the question from its pipe, and a full pipe would hold the launcher up."""
    with supervised(tmp_path, lambda s: spec("feed", s), lambda s: worker(s, "MNQ"), mode="replay") as supervisor:
        poll_until(supervisor, is_up(supervisor, "feed"), "up")
        feed = supervisor.children["feed"]
        lapped = {"contracts": {"MNQ": {"counters": {"laps": 2}}}}
        supervisor._refill_lapped(Heartbeat("worker-1", 1, 1, 0, "OK", lapped))
        assert "MNQ: the worker was lapped; its patterns of this replay are void" in texts(supervisor, "launcher")
        feed.say({"verb": "mark"})
        poll_until(supervisor, lambda: "heard mark" in texts(supervisor, "feed"), "an answer")
        assert not [text for text in texts(supervisor, "feed") if "refill" in text]


def test_events_are_kept_handed_on_and_bounded(tmp_path: Path) -> None:
    seen: list[EngineEvent] = []
    supervisor = Supervisor(status_rig.settings(tmp_path), [], seen.append)
    many = [EngineEvent(number, "p", "PROC", "", str(number)) for number in range(module.EVENTS_KEPT + 5)]
    for event in many:
        supervisor.tell(event)
    assert seen == many
    assert list(supervisor.events) == many[5:]
