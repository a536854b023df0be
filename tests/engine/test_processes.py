"""One child of the engine: what it starts with, how it ends, and when it may come back."""

import multiprocessing
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine_children
from engine_runs import until
from tbot.engine import child as child_module
from tbot.engine import processes as module
from tbot.engine.processes import (
    CRASH_LOOP_COUNT,
    CRASH_LOOP_NS,
    DEAD_NS,
    FIRST_BEAT_NS,
    SUSPECT_NS,
    Child,
    ProcessSpec,
)
from tbot.transport.process_identity import process_start

PATIENCE_S = 60.0
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@contextmanager
def started(target: str, settings: Any = None, *, name: str = "feed", **more: Any) -> Iterator[Child]:
    """A child that has said its first word, taken as `child.first`; certainly gone afterwards."""
    child = Child(ProcessSpec(name, f"{engine_children.HERE}:{target}", settings, **more))
    child.start(epoch=5)
    try:
        yield child
    finally:
        child.stop(grace_s=0.0)


def hear(child: Child) -> Any:
    """The next word of a child."""
    assert child.control is not None
    assert child.control.poll(PATIENCE_S), "the child says nothing"
    return child.control.recv()


def exit_code(child: Child) -> int | None:
    assert child.process is not None
    child.process.join(PATIENCE_S)
    return child.process.exitcode


def gone(pid: int) -> bool:
    """No process, or one that only waits to be reaped."""
    return process_start(pid) is None


# ------------------------------------------------------------------------------------------------------------ start
@linux
def test_F_SEC_01_secrets_come_by_pipe_and_stand_nowhere_else() -> None:
    secret = secrets.token_hex(16)
    with started("report", {"plain": 1}, secrets={"api_key": secret}) as child:
        word = hear(child)
        assert word["secrets"] == {"api_key": secret, "epoch": 5, "restarted": False}
        proc = Path(f"/proc/{child.pid}")
        environment, command_line = (proc / "environ").read_bytes(), (proc / "cmdline").read_bytes()
        assert b"PATH=" in environment  # so these are the real thing
        assert b"python" in command_line
        for seen in (environment, command_line):
            assert secret.encode() not in seen
        assert word["settings"] == {"plain": 1}


@linux
@pytest.mark.parametrize(
    ("name", "guarded", "dumpable", "oom"), [("executor", True, 0, None), ("worker-1", False, 1, "500")]
)
def test_first_lines_of_a_child(name: str, guarded: bool, dumpable: int, oom: str | None) -> None:
    ours = Path("/proc/self/oom_score_adj").read_text().strip()
    with started("report", name=name, guarded=guarded) as child:
        word = hear(child)
    assert word["name"] == name
    assert (word["umask"], word["core"], word["sigint"]) == (0o077, (0, 0), True)
    assert (word["dumpable"], word["oom"]) == (dumpable, oom or ours)
    assert word["orphaned"] is False


def test_F_PRC_03_a_child_whose_launcher_is_gone_before_it_starts_ends_at_once() -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    target = f"{engine_children.HERE}:report"
    _, mouth = context.Pipe(duplex=False)
    arguments = ("feed", target, None, theirs, mouth, os.getppid(), "kill", False)  # not the parent it has
    process = context.Process(target=child_module.run_child, args=arguments)
    process.start()
    theirs.close()
    ours.send({})
    process.join(PATIENCE_S)
    assert process.exitcode == 1
    with pytest.raises((EOFError, ConnectionResetError)):
        ours.recv()


def test_what_a_child_writes_to_stderr_is_heard_to_its_last_word(capfd: pytest.CaptureFixture[str]) -> None:
    with started("talk") as child:
        assert hear(child) == "said"
        child.listen()
        heard = list(child.said)
        child.said.clear()
        assert exit_code(child) == 1
    heard += child.said  # reaping listens once more
    assert heard[:2] == ["a warning", "ünreadable \ufffd"]
    assert "Traceback (most recent call last):" in heard
    assert heard[-1] == "RuntimeError: the end"
    assert capfd.readouterr().err == ""


def test_F_PRC_05_a_child_never_waits_for_a_launcher_that_does_not_listen() -> None:
    """Frozen or gone, it must not hold up an executor that has something to say: words are lost, time is not."""
    with started("shout") as child:
        assert hear(child) == "refused"  # the pipe was full, and that cost nothing
        child.listen()
        assert 0 < len(child.said) <= module.LINES_KEPT


# -------------------------------------------------------------------------------------------------------------- end
def test_F_PRC_05_sigterm_asks_and_sigint_is_ignored() -> None:
    with started("report") as child:
        hear(child)
        child.signal(signal.SIGINT)
        child.signal_stop()
        assert hear(child) == "stopped"
        assert exit_code(child) == 0


def test_a_frozen_child_can_still_be_asked() -> None:
    with started("report") as child:
        hear(child)
        child.signal(signal.SIGSTOP)
        child.signal_stop()
        assert hear(child) == "stopped"
        assert exit_code(child) == 0


def test_who_does_not_listen_is_killed_after_its_grace() -> None:
    with started("deaf", grace_s=0.2) as child:
        assert hear(child) == "up"
        pid, process = child.pid, child.process
        assert process is not None
        child.signal_stop()
        process.join(0.2)
        assert child.alive  # it heard SIGTERM and did not care
        child.stop()
        assert gone(pid)
        assert (child.alive, child.pid, child.state, child.control) == (False, 0, "STOPPED", None)


def test_stopping_twice_and_talking_to_the_dead_is_harmless() -> None:
    with started("report") as child:
        hear(child)
        child.stop()
        child.stop()
        child.reap()
        child.say({"verb": "hello"})
        child.signal(signal.SIGTERM)
        assert child.state == "STOPPED"


def test_a_killed_child_that_the_machine_does_not_let_go_of_does_not_end_the_launcher(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with started("deaf", grace_s=0.2) as child:
        hear(child)
        pid, process = child.pid, child.process
        assert process is not None
        with monkeypatch.context() as held:
            held.setattr(process, "kill", lambda: None)
            held.setattr(process, "join", lambda _patience_s: None)
            child.reap()
        assert (child.process, child.control, child.state) == (None, None, "STOPPED")
        os.kill(pid, signal.SIGKILL)
        process.join(PATIENCE_S)
        process.close()


def test_a_child_that_died_by_itself_does_not_hear_and_says_so() -> None:
    with started("leave", 7) as child:
        assert exit_code(child) == 7
        assert not child.alive
        child.say({"verb": "hello"})
        assert child.state == "DEAD"


def test_never_started_children_are_harmless() -> None:
    child = Child(ProcessSpec("feed", "nowhere:nothing", None))
    child.say({})
    child.signal_stop()
    child.stop()
    assert (child.alive, child.pid, child.ready) == (False, 0, False)


# ---------------------------------------------------------------------------------------------------------- orphans
@contextmanager
def launcher_of(target: str, settings: dict[str, Any], on_orphan: str) -> Iterator[tuple[multiprocessing.Process, int]]:
    """A process that has started a child of its own: (that process, pid of its child)."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments: tuple[Connection, str, dict[str, Any], str] = (
        theirs,
        f"{engine_children.HERE}:{target}",
        settings,
        on_orphan,
    )
    middle = context.Process(target=engine_children.launcher, args=arguments)
    middle.start()
    theirs.close()
    assert ours.poll(PATIENCE_S)
    pid = ours.recv()
    start = process_start(pid)
    assert start is not None
    try:
        yield middle, pid  # type: ignore[misc]
    finally:
        middle.kill()
        middle.join()
        if process_start(pid) == start:
            os.kill(pid, signal.SIGKILL)


@linux
def test_F_PRC_03_kill_policy_even_a_deaf_child_dies_with_its_launcher() -> None:
    with launcher_of("deaf", {}, "kill") as (middle, pid):
        assert not gone(pid)
        middle.kill()
        until(lambda: gone(pid), "the orphan is gone")


@linux
def test_F_PRC_03_term_policy_the_orphan_ends_in_its_own_order(tmp_path: Path) -> None:
    file = tmp_path / "end"
    with launcher_of("note_the_end", {"file": str(file)}, "term") as (middle, pid):
        middle.kill()
        until(lambda: gone(pid), "the orphan is gone")
    assert file.read_text() == "ended in order"


@linux
def test_F_PRC_03_linger_policy_the_orphan_lives_on_for_a_while(tmp_path: Path) -> None:
    """It is not told to stop: the executor still needs it; then it goes by itself."""
    file = tmp_path / "end"
    with launcher_of("outlive", {"file": str(file), "linger_s": 2.0}, "linger") as (middle, pid):
        middle.kill()
        until(lambda: gone(pid), "the orphan is gone")
    assert file.read_text() == "asked to stop False"


# -------------------------------------------------------------------------------------- beats and restarts, no process
@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    now = [10**15]
    monkeypatch.setattr(module, "boot_ns", lambda: now[0])
    return now


def make(**more: Any) -> Child:
    return Child(ProcessSpec("worker-1", "nowhere:nothing", None, **more))


def test_F_PRC_02_silence_makes_suspect_then_dead(clock: list[int]) -> None:
    child = make()
    child.beat("OK", {})
    found = []
    for age in (0, SUSPECT_NS, SUSPECT_NS + 1, DEAD_NS, DEAD_NS + 1):
        clock[0] = 10**15 + age
        found.append(child.silent())
    assert found == ["", "", "suspect", "suspect", "dead"]
    child.beat("OK", {})
    assert child.silent() == ""


def test_F_PRC_02_a_first_beat_may_take_longer(clock: list[int]) -> None:
    child = make()
    child._started_ns = clock[0]
    clock[0] += FIRST_BEAT_NS
    assert child.silent() == ""
    clock[0] += 1
    assert child.silent() == "dead"


def test_who_does_not_beat_is_never_silent(clock: list[int]) -> None:
    child = make(beats=False)
    clock[0] += 10 * FIRST_BEAT_NS
    assert child.silent() == ""


def test_F_TIM_02_silence_counts_from_when_somebody_could_listen_again(clock: list[int]) -> None:
    child = make()
    clock[0] += FIRST_BEAT_NS + 1
    assert child.silent() == "dead"
    child.pardon()
    assert child.silent() == ""
    assert not child.last_beat_ns  # it never beat: a cold start has its own patience
    child.beat("OK", {})
    clock[0] += DEAD_NS + 1
    assert child.silent() == "dead"
    child.pardon()
    assert child.silent() == ""
    clock[0] += DEAD_NS + 1
    assert child.silent() == "dead"


def test_a_beat_without_status_leaves_the_last_one(clock: list[int]) -> None:
    child = make()
    assert not child.ready
    child.beat("OK", {"a": 1})
    child.beat("WARMING", {})
    assert (child.ready, child.state, child.status) == (True, "WARMING", {"a": 1})


def test_F_PRC_04_three_restarts_in_a_minute_and_no_more(clock: list[int]) -> None:
    child = make()
    assert [child.may_restart() for _ in range(5)] == [True, True, True, False, False]
    assert child.restarts == 3
    clock[0] += CRASH_LOOP_NS - 1
    assert not child.may_restart()
    clock[0] += 1
    assert child.may_restart()
    assert child.restarts == 4


def test_F_PRC_04_what_must_not_restart_never_does(clock: list[int]) -> None:
    child = make(restartable=False)
    assert not child.may_restart()
    assert child.restarts == 0


@given(st.lists(st.integers(0, CRASH_LOOP_NS), max_size=40))
def test_F_PRC_04_no_minute_ever_has_more_than_three_restarts(waits: list[int]) -> None:
    child, now, allowed = make(), 10**15, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "boot_ns", lambda: now)
        for wait in waits:
            now += wait
            within = sum(1 for at in allowed if now - at < CRASH_LOOP_NS)
            may = child.may_restart()
            assert may == (within < CRASH_LOOP_COUNT)
            if may:
                allowed.append(now)
    assert child.restarts == len(allowed)
