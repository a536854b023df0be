"""`tbot profile`: which process, what py-spy's words mean, what its picture says, and a real run of the real engine."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from command_world import World, code
from engine_runs import running
from tbot.commands import flame_graph
from tbot.commands import profile as module
from tbot.commands.flame_graph import Row
from tbot.errors import DataError

PROCESSES = {"executor": {"pid": 11}, "feed": {"pid": 12}, "worker-MNQ": {"pid": 13}, "worker-ES": {"pid": 14}}
SHARED = {"executor": {"pid": 11}, "worker-0": {"pid": 21}, "worker-1": {"pid": 22}}
NS = 'xmlns="http://www.w3.org/2000/svg" xmlns:fg="http://github.com/jonhoo/inferno"'


def picture(*boxes: tuple[str, int, int, int]) -> str:
    """A flame graph with these boxes: (frame, depth, x, width)."""
    groups = "".join(
        f'<g><title>{frame} ({width} samples, 1.00%)</title><rect y="{depth * 16}" fg:x="{x}" fg:w="{width}"/></g>'
        for frame, depth, x, width in boxes
    )
    return f"<svg {NS}><g><title>Reset Zoom</title></g>{groups}</svg>"


# ----------------------------------------------------------------------------------------------------------- the table
def test_own_and_total_samples_of_each_line() -> None:
    samples, rows = flame_graph.read(picture(
        ("all", 0, 0, 10),
        ("run (a.py:1)", 1, 0, 7), ("work (a.py:2)", 2, 0, 4), ("work (b.so)", 2, 4, 1),
        ("main (c.py:9)", 1, 7, 3), ("work (a.py:2)", 2, 8, 2),
    ))  # fmt: skip
    assert samples == 10
    assert rows == [
        Row("work", "a.py:2", 6, 6), Row("run", "a.py:1", 2, 7), Row("main", "c.py:9", 1, 3), Row("work", "b.so", 1, 1),
    ]  # fmt: skip


def test_a_line_that_calls_itself_counts_once_in_its_total() -> None:
    samples, rows = flame_graph.read(picture(
        ("all", 0, 0, 5), ("fib (f.py:1)", 1, 0, 5), ("fib (f.py:1)", 2, 0, 4), ("0x7f00 (libc.so)", 3, 1, 3),
    ))  # fmt: skip
    assert (samples, rows) == (5, [Row("0x7f00", "libc.so", 3, 3), Row("fib", "f.py:1", 2, 5)])


def test_names_with_brackets_keep_them() -> None:
    _, rows = flame_graph.read(picture(("Worker.run.&lt;locals&gt;.f (x) (w.py:3)", 0, 0, 1), ("bare", 1, 0, 1)))
    assert [(row.function, row.where) for row in rows] == [("bare", ""), ("Worker.run.<locals>.f (x)", "w.py:3")]


def test_a_process_that_waited_has_no_samples() -> None:
    samples, rows = flame_graph.read(picture())
    assert (samples, rows) == (0, [])
    assert "it waited all the time" in module.table(samples, rows)[0]


@pytest.mark.parametrize(
    "text",
    ["", "no picture", "<svg", f"<svg {NS}><g><title>a (1 samples, 1%)</title><rect y='0'/></g></svg>",
     f"<svg {NS}><g><title>a (1 samples, 1%)</title><rect y='x' fg:x='0' fg:w='1'/></g></svg>"],
)  # fmt: skip
def test_what_is_no_flame_graph_is_said_to_be_none(text: str) -> None:
    with pytest.raises(DataError, match="no flame graph"):
        flame_graph.read(text)


# --------------------------------------------------------------------------------------------------------- the process
@pytest.mark.parametrize(
    ("symbol", "processes", "expected"),
    [(None, PROCESSES, "worker-MNQ"), ("es", PROCESSES, "worker-ES"), (None, SHARED, "worker-0"),
     ("ES", SHARED, "worker-1"), ("GC", SHARED, "worker-0")],
)  # fmt: skip
def test_the_worker_of_a_contract(symbol: str | None, processes: dict[str, Any], expected: str) -> None:
    assert module.worker_of(symbol, ["MNQ", "ES", "GC"], processes) == expected


@pytest.mark.parametrize(
    ("mode", "name", "said", "expected"),
    [
        ("live", "executor", "Error: Permission Denied: Try running again with elevated permissions", "holds a login"),
        ("paper", "feed", "Error: Operation not permitted (os error 1)", "in mode paper; profile it in a demo run"),
        ("sim", "executor", "Error: EPERM: Operation not permitted", "run the command as root"),
        ("live", "worker-MNQ", "Permission denied (os error 13)", "kernel.yama.ptrace_scope=0"),
        ("sim", "feed", "py-spy> Sampling\nError: No such process\n\nReason: gone", "(Error: No such process)"),
        ("sim", "feed", "", "(no word)"),
    ],
)
def test_what_the_words_of_the_profiler_mean(mode: str, name: str, said: str, expected: str) -> None:
    text = module.why_not(mode, name, said)
    assert expected in text
    assert "\n" not in text
    assert name in text


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(module, "find_program", lambda: "py-spy")
    return World(tmp_path, monkeypatch)


def put_processes(world: World, processes: Any) -> None:
    path = world.home / "sim" / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"processes": processes, "contracts": {"MNQ": {}}}))


@pytest.mark.parametrize(
    ("arguments", "processes", "expected", "words"),
    [
        (("--worker", "MNQ", "--process", "feed"), PROCESSES, 2, "exclude each other"),
        (("--process", "recorder"), PROCESSES, 2, "recorder"),
        (("--for", "soon"), PROCESSES, 3, "write it like 60s"),
        (("--worker", "CL"), PROCESSES, 3, "no contract CL; it has MNQ"),
        (("--process", "sim"), PROCESSES, 3, "no process sim now; there are: launcher, executor, feed"),
        (("--process", "feed"), {"feed": {"pid": "1"}}, 3, "no process feed now"),
        (("--process", "feed"), ["feed"], 3, "it has not said which it has"),
        (("--process", "feed"), {"feed": {"pid": 2**22 + 7}}, 1, "feed (process 4194311) ended meanwhile"),
    ],
)
def test_errors_are_one_sentence_with_the_next_step(
    world: World, arguments: tuple[str, ...], processes: Any, expected: int, words: str
) -> None:
    world.run()
    put_processes(world, processes)
    result = world.tbot("profile", *arguments)
    assert code(result) == expected
    assert words in (str(result.exception) or result.output)


def test_without_an_engine_it_is_code_7(world: World) -> None:
    assert code(world.tbot("profile")) == 7


def test_without_the_program_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    result = World(tmp_path, monkeypatch).tbot("profile")
    assert code(result) == 3
    assert "pip install 'tbot[profile]'" in str(result.exception)


def test_a_refused_look_is_told_with_its_reason(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = world.home / "py-spy"
    fake.write_text("#!/bin/sh\necho 'Error: Permission Denied' >&2\nexit 1\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(module, "find_program", lambda: str(fake))
    world.run()
    put_processes(world, {"feed": {"pid": os.getpid()}})
    result = world.tbot("profile", "--process", "feed")
    assert code(result) == 1
    assert "run the command as root" in str(result.exception)


NO_ROOM = "Error: Failed to write flamegraph: No space left on device (os error 28)"


@pytest.mark.parametrize(
    ("script", "out", "expected"),
    [
        (f"echo half > $9\necho '{NO_ROOM}' >&2\nexit 1", "x", "x cannot be written (No space left on device)"),
        ("kill -XFSZ $$", "x", "x cannot be written (File too large)"),
        ("exit 0", "/dev/null/x", "/dev/null/x cannot be written (Not a directory)"),
    ],
)
def test_F_SYS_01_no_room_for_the_picture_is_one_sentence_and_leaves_no_half_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch, script: str, out: str, expected: str
) -> None:
    fake = world.home / "py-spy"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o700)
    monkeypatch.setattr(module, "find_program", lambda: str(fake))
    world.run()
    put_processes(world, {"feed": {"pid": os.getpid()}})
    result = world.tbot("profile", "--process", "feed", "--no-native", "--out", out)
    assert code(result) == 9
    assert f"the folder {expected}; make room or name another one" in str(result.exception)
    assert not list(Path(out).glob("*"))


# ------------------------------------------------------------------------------------------------------------- for real
def may_look() -> bool:
    """Whether this machine lets py-spy look into a process beside it."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        looked = subprocess.run(
            [module.find_program(), "dump", "--pid", str(other.pid)], capture_output=True, check=False, timeout=60
        )
        other.kill()
    return looked.returncode == 0


SPIN = """
def spin_here():
    while True:
        sum(range(1000))
print("ready", flush=True)
spin_here()
"""


def profiled(result_output: str) -> dict[str, Any]:
    document = json.loads(result_output)
    assert isinstance(document, dict)
    assert document["schema"] == "tbot.profile"
    text = Path(document["flame_graph"]).read_text()
    assert flame_graph.read(text)[0] == document["samples"] > 0
    return document


def test_the_line_that_burns_is_the_first_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not may_look():
        pytest.skip("this machine lets no process look into another")
    world = World(tmp_path, monkeypatch)
    world.run()
    with subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE) as burner:
        assert burner.stdout is not None
        burner.stdout.readline()
        put_processes(world, {"worker-MNQ": {"pid": burner.pid}})
        options = ("--for", "1s", "--rate", "50", "--out", "pictures")
        told = world.tbot("profile", *options, "--no-native")
        document = profiled(world.tbot("profile", *options, "--json").output)
        burner.kill()
    assert code(told) == 0
    assert "spin_here" in told.output.splitlines()[2]
    assert f"worker-MNQ of the DEMO run, process {burner.pid}" in told.output
    assert any(row["function"] == "spin_here" for row in document["top"])
    assert (document["process"], document["seconds"]) == ("worker-MNQ", 1)


@pytest.mark.long
@pytest.mark.parametrize("which", [("--process", "executor"), ("--worker", "MNQ"), ("--process", "launcher")])
def test_a_process_of_the_running_engine(tmp_path: Path, which: tuple[str, str]) -> None:
    if not may_look():
        pytest.skip("this machine lets no process look into another")
    with running(tmp_path, "run", "--contracts", "MNQ", "--quiet") as engine:
        engine.await_state("ACTIVE")
        options = ("--for", "3s", "--idle", "--json", "--out", str(tmp_path))
        command = [sys.executable, "-m", "tbot", "profile", *which, *options]
        environment = {**os.environ, "TBOT_HOME": str(tmp_path)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        document = profiled(done.stdout)
        assert document["mode"] == "sim"
        assert any("tbot/" in row["where"] for row in document["top"]), document["top"]
        assert engine.status()["state"] == "ACTIVE"  # it goes on as if nobody had looked
