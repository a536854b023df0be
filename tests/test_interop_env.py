"""The cache of third-party environments: whole or not there, whatever happens while one is built."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import interop_env


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TBOT_INTEROP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make(folder: Path) -> None:
    folder.mkdir()
    (folder / "made").write_text("whole")


def usable(folder: Path) -> bool:
    return (folder / "made").exists()


def test_the_second_request_finds_the_first_ones_work(cache: Path) -> None:
    calls: list[Path] = []

    def build(folder: Path) -> None:
        calls.append(folder)
        make(folder)

    first = interop_env.cached("thing", build, usable)
    assert interop_env.cached("thing", build, usable) == first == cache / "thing"
    assert len(calls) == 1
    assert [path.name for path in cache.iterdir()] == ["thing"]


def test_a_build_that_fails_leaves_nothing(cache: Path) -> None:
    def fail(folder: Path) -> None:
        make(folder)
        raise AssertionError("the index is away")

    with pytest.raises(AssertionError, match="the index is away"):
        interop_env.cached("thing", fail, usable)
    assert list(cache.iterdir()) == []
    assert usable(interop_env.cached("thing", make, usable))


def test_what_a_killed_run_left_is_no_environment_and_goes_away(cache: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = cache / f".build-{gone.pid}-abc" / "thing"
    left.mkdir(parents=True)
    (left / "half").touch()
    busy = cache / f".build-{os.getppid()}-abc"
    busy.mkdir()
    assert usable(interop_env.cached("thing", make, usable))
    assert not left.parent.exists()
    assert busy.exists(), "somebody lives who builds there"


def test_an_environment_that_no_longer_works_is_made_anew(cache: Path) -> None:
    (cache / "thing").mkdir(parents=True)
    (cache / "thing" / "rubbish").touch()
    found = interop_env.cached("thing", make, usable)
    assert [path.name for path in found.iterdir()] == ["made"]


def test_of_two_that_build_at_once_both_get_the_whole_thing(cache: Path) -> None:
    both = threading.Barrier(2, timeout=60)

    def build(folder: Path) -> None:
        both.wait()  # neither can see the other's result before it begins
        make(folder)
        both.wait()

    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(interop_env.cached("thing", build, usable))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [cache / "thing"] * 2
    assert usable(cache / "thing")
    assert [path.name for path in cache.iterdir()] == ["thing"]


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only folder on PATH of a machine that has none of the programs we look for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    interop_env.find_python.cache_clear()
    yield folder
    interop_env.find_python.cache_clear()


def test_what_is_made_in_the_background_is_waited_for_and_failures_are_left_to_the_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, allowed = threading.Event(), threading.Event()
    asked: list[str] = []

    def env(requirement: str, python: Path | None = None) -> Path:
        asked.append(requirement)
        begun.set()
        assert allowed.wait(60)
        assert requirement != "bad", "the index is away"
        return Path(requirement)

    monkeypatch.setattr(interop_env, "python_env", env)
    monkeypatch.setattr(interop_env, "CLIENTS", {"a": ("good", None), "b": ("bad", None)})
    monkeypatch.setattr(interop_env, "_announced", {})
    thread = interop_env.prepare(["a", "b"])
    assert begun.wait(60)
    found: list[Path] = []
    reader = threading.Thread(target=lambda: found.append(interop_env.client_python("a")))
    reader.start()
    assert asked == ["good"], "the second request waits for the first one's work"
    allowed.set()
    reader.join(60)
    thread.join(60)
    assert found == [Path("good")]
    with pytest.raises(AssertionError, match="the index is away"):
        interop_env.client_python("b")


FUTURE = (3, 30)  # no test runs on it


def test_a_shim_that_does_not_run_is_no_interpreter(nowhere: Path) -> None:
    write_program(nowhere / "python3.30", "echo 'pyenv: python3.30: command not found' >&2; exit 127")
    assert interop_env.find_python(FUTURE, 31) is None
    with pytest.raises(pytest.skip.Exception, match=r"no Python 3\.30 or newer"):
        interop_env.newer_python(FUTURE)


def test_an_interpreter_says_itself_which_version_it_is(nowhere: Path) -> None:
    write_program(nowhere / "python3.30", "echo 3 11")
    assert interop_env.find_python(FUTURE, 31) is None


def test_an_interpreter_in_pyenvs_folder_is_found_without_pyenv(
    nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = 'case "$2" in *version_info*) echo 3 30;; *) echo ok;; esac'
    python = tmp_path / "pyenv" / "versions" / "3.30.1" / "bin" / "python3.30"
    write_program(python, answer)
    assert interop_env.find_python(FUTURE, 31) is None
    interop_env.find_python.cache_clear()
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert interop_env.find_python(FUTURE, 31) == python


@pytest.mark.parametrize("version", ["v16.20.2", "nonsense", ""])
def test_without_a_fit_node_it_is_skipped_but_fails_in_ci(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    if version:
        write_program(nowhere / "node", f"echo {version}")
        write_program(nowhere / "npm", "exit 0")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no node"):
        interop_env.node_env("anything")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="node"):
        interop_env.node_env("anything")
