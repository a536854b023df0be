"""Lock files of the kill switch: what binds, what survives, what a person's hand may look like (F-CFG-05, F-SEC-06)."""

import json
import os
import stat
import threading
from datetime import date
from pathlib import Path

import pytest

from tbot.storage import kill_locks
from tbot.storage.kill_locks import KillLock, KillLocks, mark, read, write

DAY, NEXT = date(2026, 11, 20), date(2026, 11, 23)


def locks(folder: Path) -> KillLocks:
    (folder / "sim").mkdir(exist_ok=True)
    return KillLocks(folder / "sim", folder, "sim")


def test_a_lock_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "kill.1001"
    write(path, DAY, "tbot kill")
    lock = read(path)
    assert lock is not None
    assert (lock.day, lock.by) == ("2026-11-20", "tbot kill")
    assert lock.written.endswith("+00:00")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["kill.1001"]


def test_F_SYS_04_the_name_of_a_lock_is_synced_as_well_as_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is renamed comes back after a power loss only when its folder was synced after that."""
    synced: list[tuple[bool, bool]] = []
    (path, _), sync = locks(tmp_path).paths(1001), os.fsync

    def noted(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(kill_locks, "SYNC_S", 60.0)  # a slow disk is not what this is about
    assert locks(tmp_path).put(1001, DAY, "tbot kill") == []
    assert synced == [(False, True), (True, True)] * 2


def test_I10_F_SYS_05_a_disk_that_hangs_does_not_hold_the_kill_switch_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ext4 journal that is being written holds all syncs up, for half a minute at times: nothing was closed."""
    hangs, free = threading.Event(), threading.Event()

    def hang(_descriptor: int) -> None:
        hangs.set()
        assert free.wait(60)

    monkeypatch.setattr(os, "fsync", hang)
    held = locks(tmp_path)
    assert held.put(None, DAY, "tbot panic") == []
    assert hangs.wait(30)
    assert not free.is_set()
    other = held.holding(1001, "2026-11-20")
    assert other is not None
    assert other.by == "tbot panic"
    free.set()


def test_I10_a_machine_without_room_for_a_thread_does_not_hold_the_kill_switch_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", full)
    assert locks(tmp_path).put(1001, DAY, "tbot kill") == []
    assert locks(tmp_path).holding(1001, "2026-11-20") is not None


def test_a_lock_whose_sync_fails_is_there_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    assert locks(tmp_path).put(1001, DAY, "tbot kill") == []
    assert locks(tmp_path).holding(1001, "2026-11-20") is not None


def test_it_binds_until_the_next_trading_day() -> None:
    lock = KillLock("2026-11-20")
    assert [lock.binds(day) for day in ("2026-11-19", "2026-11-20", "2026-11-23")] == [True, True, False]
    assert KillLock("").binds("2030-01-01")


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"{}", b"[]", b"7", b'{"trading_day": 5}', b'{"trading_day": "soon"}', b"[" * 4096]
)
def test_a_file_that_says_nothing_readable_locks(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kill.all"
    path.write_bytes(content)
    assert read(path) == KillLock("")


def test_whatever_stands_under_that_name_locks(tmp_path: Path) -> None:
    """F-SEC-06: a link is not followed, a pipe is not waited for, a folder is no reason to crash."""
    secret = tmp_path / "elsewhere"
    secret.write_text(json.dumps({"trading_day": "2020-01-01"}))
    for number, make in enumerate((lambda at: at.symlink_to(secret), os.mkfifo, Path.mkdir)):
        path = tmp_path / f"kill.{number}"
        make(path)
        assert read(path) == KillLock("")
    assert read(tmp_path / "kill.none") is None


def test_a_planted_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "kill.1"
    victim.write_text("precious")
    path.symlink_to(victim)
    (tmp_path / f".kill.1.{os.getpid()}").symlink_to(victim)
    write(path, DAY, "x")
    assert victim.read_text() == "precious"
    assert not path.is_symlink()
    assert read(path) is not None


def test_the_copy_in_home_survives_the_state_directory(tmp_path: Path) -> None:
    both = locks(tmp_path)
    assert both.put(1001, DAY, "engine") == []
    assert [path.relative_to(tmp_path).as_posix() for path in both.paths(1001)] == ["sim/kill.1001", "kill.sim.1001"]
    (tmp_path / "sim" / "kill.1001").unlink()
    (tmp_path / "sim").rmdir()
    lock = both.holding(1001, "2026-11-20")
    assert lock is not None
    assert both.holding(1002, "2026-11-20") is None
    assert both.holding(1001, "2026-11-23") is None


def test_a_lock_of_all_binds_every_account(tmp_path: Path) -> None:
    both = locks(tmp_path)
    both.put(None, DAY, "signal")
    assert both.holding(1, "2026-11-20") == both.holding(2, "2026-11-20") != None  # noqa: E711


def test_a_temporary_state_directory_has_no_copies(tmp_path: Path) -> None:
    alone = KillLocks(tmp_path, None, "sim")
    assert alone.paths(None) == [tmp_path / "kill.all"]


def test_complete_writes_what_is_missing_or_says_no_day_and_leaves_the_rest(tmp_path: Path) -> None:
    both = locks(tmp_path)
    here, copy = both.paths(1001)
    here.touch()
    assert both.complete(1001, DAY, "engine") == []
    first = [mark(path) for path in (here, copy)]
    assert None not in first
    assert both.complete(1001, DAY, "engine") == []
    assert [mark(path) for path in (here, copy)] == first
    both.complete(1001, NEXT, "engine")
    lock = read(here)
    assert lock is not None
    assert lock.day == NEXT.isoformat()


def test_complete_of_what_is_present_makes_nothing_new(tmp_path: Path) -> None:
    both = locks(tmp_path)
    both.complete(None, DAY, "engine", only_present=True)
    assert [path.exists() for path in both.paths(None)] == [False, False]
    both.paths(None)[0].touch()
    both.complete(None, DAY, "engine", only_present=True)
    assert [path.exists() for path in both.paths(None)] == [True, False]
    lock = read(both.paths(None)[0])
    assert lock is not None
    assert lock.day == DAY.isoformat()


def test_old_locks_are_dropped_and_binding_ones_are_not(tmp_path: Path) -> None:
    both = locks(tmp_path)
    both.put(1001, DAY, "engine")
    both.drop_old(1001, DAY.isoformat())
    assert both.holding(1001, DAY.isoformat()) is not None
    both.drop_old(1001, NEXT.isoformat())
    assert [path.exists() for path in both.paths(1001)] == [False, False]
    both.drop_old(1001, NEXT.isoformat())


def test_F_SYS_01_what_cannot_be_written_is_said_and_the_rest_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = locks(tmp_path)
    real = kill_locks.write

    def full(path: Path, day: date, by: str) -> None:
        if path.parent == tmp_path:
            raise OSError(28, "No space left on device")
        real(path, day, by)

    monkeypatch.setattr(kill_locks, "write", full)
    (problem,) = both.put(1001, DAY, "x")
    assert "No space left" in problem
    assert both.holding(1001, DAY.isoformat()) is not None
