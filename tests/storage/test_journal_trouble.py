"""The journal on a disk that is slow, full or failing: what is refused, what goes on, what is told."""

import dataclasses
import errno
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from journal_items import RUN, entry, journal_at, protective, step
from tbot.domain import messages as m
from tbot.errors import JournalDamaged, JournalError
from tbot.execution.broker import DeskLoop
from tbot.storage import journal as journal_module
from tbot.storage.journal import Journal
from tbot.storage.journal_files import DISTRUST, EmergencyFile, emergency_lines
from tbot.storage.journal_reader import Step, is_damage
from tbot.storage.journal_salvage import put_aside_if_lost
from tbot.transport import wire

NOW = RUN.started_ns
SECOND = 1_000_000_000


class Clock:
    """A boot clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def contents(path: Path) -> list[Step]:
    with Journal.open_readonly(path, wire) as reader:
        return list(reader.steps())


def slow(journal: Journal, clock: Clock, seconds: float) -> None:
    """From now on every commit takes so long by the boot clock."""

    def trace(statement: str) -> None:
        if statement == "COMMIT":
            clock.now += int(seconds * SECOND)

    journal._db.set_trace_callback(trace)


@pytest.mark.parametrize(
    ("age_s", "sync_s", "leaves"), [(0.0, 2.0, False), (1.0, 0.6, False), (1.0, 0.5, True), (0.1, 0.001, True)]
)
def test_F_SYS_05_I23_an_entry_that_grew_old_on_the_way_to_the_disk_does_not_leave(
    path: Path, age_s: float, sync_s: float, leaves: bool
) -> None:
    clock = Clock()
    with journal_at(path, clock=clock, entry_ttl_ns=1_500_000_000) as journal:
        slow(journal, clock, sync_s)
        item, outputs = step(3)
        assert isinstance(item, m.SignalIn)
        item = dataclasses.replace(item, age_ns=int(age_s * SECOND))
        if leaves:
            journal.record(item, outputs)
        else:
            with pytest.raises(JournalError, match="s old when the disk had it; it is not sent any more"):
                journal.record(item, outputs)
        assert contents(path) == [Step(2, item, tuple(outputs))], "the intent is on record either way"
        assert (journal.trouble, journal.broken) == ("", False), "slow is not broken"
        slow(journal, clock, 0.01)
        journal.record(*step(6))
        slow(journal, clock, 60)
        journal.record(*step(5))
        journal.flush()
        assert journal.head[0] == journal.last_seq, "what does not open anything has no such limit"
        assert journal._emergency.lines() == []


def test_F_SYS_05_without_a_limit_a_slow_disk_changes_nothing(path: Path) -> None:
    """In lock-step: the machine's time means nothing to the market's."""
    clock = Clock()
    with journal_at(path, clock=clock) as journal:
        slow(journal, clock, 60)
        journal.record(*step(3))


def test_F_SYS_05_I23_the_broker_never_hears_of_a_late_entry_and_the_desk_does(path: Path) -> None:
    heard: list[m.DeskInput] = []
    sent: list[m.Command] = []

    class Desk:
        def handle(self, item: m.DeskInput) -> list[m.DeskOutput]:
            heard.append(item)
            return [entry(1), protective(1)] if isinstance(item, m.SignalIn) else []

    class Nobody:
        def submit(self, command: m.Command, now_ns: int) -> None:
            sent.append(command)

        def poll(self) -> list[m.BrokerEvent]:
            return []

    clock = Clock()
    with journal_at(path, clock=clock, entry_ttl_ns=1_500_000_000) as journal:
        slow(journal, clock, 2)
        DeskLoop(Desk(), Nobody(), journal).feed(step(3)[0])
    assert sent == [protective(1)]
    result = heard[-1]
    assert isinstance(result, m.CommandResult)
    assert (result.command_id, result.outcome) == ("c1", "not_sent")
    assert "2.0 s old" in result.text


def test_F_SYS_01_a_full_disk_lets_the_head_lag_and_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where blocks are written anew each time even a file of fixed size may find no room."""
    with journal_at(path) as journal:

        def full(seq: int, hash_: bytes) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(journal._head_file, "write", full)
        with pytest.raises(JournalError):
            journal.record(*step(3))
        assert (journal.broken, "no room" in journal.trouble) == (False, True)
        assert journal.verify().state == "torn"
        monkeypatch.undo()
        journal.record(*step(6))
        assert journal.trouble == ""
        assert journal.verify().state == "ok"
        assert [found.item for found in journal.steps()] == [step(3)[0], step(6)[0]]


class Failing:
    """A connection on which one kind of statement fails."""

    def __init__(self, db: sqlite3.Connection, begins: str, code: int) -> None:
        self._db, self._begins, self._code = db, begins, code

    def execute(self, statement: str, *values: object) -> object:
        if statement.startswith(self._begins):
            error = sqlite3.OperationalError("it fails")
            error.sqlite_errorcode = self._code
            raise error
        return self._db.execute(statement, *values)

    def __getattr__(self, name: str) -> object:
        return getattr(self._db, name)


@pytest.mark.parametrize(("code", "broken"), [(sqlite3.SQLITE_FULL, False), (sqlite3.SQLITE_IOERR_FSYNC, True)])
def test_F_SYS_02_a_fold_that_fails_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int, broken: bool
) -> None:
    monkeypatch.setattr(journal_module, "CHECKPOINT_ROWS", 1)
    journal = journal_at(path)
    journal._db, whole = Failing(journal._db, "PRAGMA wal_checkpoint", code), journal._db  # type: ignore[assignment]
    journal.record(*step(1))
    with pytest.raises(JournalError):
        journal.flush()
    assert journal.broken is broken
    journal._db = whole
    journal.close()
    distrusted = [line for line in emergency_lines(path) if line.startswith(DISTRUST)]
    assert len(distrusted) == broken


def test_a_close_that_fails_is_told_and_gives_the_lock_back(path: Path) -> None:
    journal = journal_at(path)
    journal._db = Failing(journal._db, "PRAGMA wal_checkpoint", sqlite3.SQLITE_FULL)  # type: ignore[assignment]
    with pytest.raises(JournalError, match="cannot be closed in order"):
        journal.close()
    journal.close()
    journal_at(path).close()


def test_F_SYS_02_notes_that_cannot_be_read_stop_the_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal_at(path).close()

    def fail(self: EmergencyFile) -> list[bytes]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(EmergencyFile, "lines", fail)
    with pytest.raises(JournalError, match="Input/output"):
        journal_at(path)
    monkeypatch.undo()
    journal_at(path).close()


def test_F_SYS_02_emergency_notes_on_a_failing_disk_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmergencyFile(tmp_path / "notes") as notes:

        def fail(descriptor: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fdatasync", fail)
        assert not notes.append(b"x")
        monkeypatch.undo()
        assert notes.lost == 1
        assert notes.append(b"y")
        assert notes.lines() == [b"x", b"y"]  # it may be on disk all the same, and tells what was done


@pytest.mark.parametrize(
    ("code", "damage"),
    [
        (sqlite3.SQLITE_CORRUPT, True), (sqlite3.SQLITE_NOTADB, True), (sqlite3.SQLITE_ERROR, True),
        (sqlite3.SQLITE_IOERR_READ, True), (sqlite3.SQLITE_IOERR_SHORT_READ, True),
        (sqlite3.SQLITE_IOERR_SHMSIZE, False), (sqlite3.SQLITE_BUSY, False), (sqlite3.SQLITE_FULL, False),
        (sqlite3.SQLITE_READONLY, False), (sqlite3.SQLITE_CANTOPEN, False), (sqlite3.SQLITE_BUSY_SNAPSHOT, False),
    ],
)  # fmt: skip
def test_F_SYS_03_only_errors_about_the_content_are_damage(code: int, damage: bool) -> None:
    error = sqlite3.OperationalError("it fails")
    error.sqlite_errorcode = code
    assert is_damage(error) is damage


def test_a_start_row_that_is_none_is_told(path: Path) -> None:
    with journal_at(path) as journal:
        journal._append("start", "RunInfo", b"[]", NOW, None)
        journal.flush()
        with pytest.raises(JournalDamaged, match=r"row 2 .*who wrote it"):
            journal.runs()
        assert not journal.broken


@pytest.mark.parametrize("how", ["deleted", "replaced", "all deleted"])
def test_F_CFG_05_I1_a_journal_that_was_taken_away_lets_no_entry_leave(tmp_path: Path, how: str) -> None:
    path = tmp_path / "state" / "journal.db"
    path.parent.mkdir(mode=0o700)
    with journal_at(path) as journal:
        journal.record(*step(3))
        if how == "all deleted":
            shutil.rmtree(path.parent)
        else:
            path.unlink()
        if how == "replaced":
            path.write_bytes(b"")
            path.chmod(0o600)
        with pytest.raises(JournalError, match="taken away"):
            journal.record(*step(3))
        assert journal.broken
        with pytest.raises(JournalError, match="not written any more"):
            journal.flush()
    assert put_aside_if_lost(path, wire) is not None, "the next start knows that there was one"


def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that is opened from now on finds no room for one more row."""
    connect = journal_module._connect

    def connect_full(path: Path, fresh: bool) -> sqlite3.Connection:
        db = connect(path, fresh)
        db.execute("PRAGMA max_page_count = 1")  # SQLite takes the number of pages there are
        return db

    monkeypatch.setattr(journal_module, "_connect", connect_full)


def test_F_SYS_01_a_start_on_a_full_disk_protects_and_its_row_waits_for_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was done before there was room: what a dead run left without a stop stayed so for as long."""
    with journal_at(path) as first:
        first.record(*step(5))
        first.emergency("noted by the first")
    no_room(monkeypatch)
    big = dataclasses.replace(RUN, run_id=8, desk="x" * 50_000)
    with pytest.raises(JournalError, match="cannot be written"), Journal(path, wire, big) as cut_short:
        cut_short.record(*step(10))
    with Journal(path, wire, big) as second:
        assert "no room" in second.trouble
        second.record(*step(10))  # protection
        with pytest.raises(JournalError):
            second.record(*step(3))  # an entry
        noted = second._emergency.lines()
        assert noted[0] == b"noted by the first"
        assert sum(b"'x10'" in line for line in noted) == 2
        second.emergency("noted by somebody else")
        second._db.execute("PRAGMA max_page_count = 100000")
        second.flush()
        assert second.trouble == ""
        assert [run.run_id for _, run in second.runs()] == [RUN.run_id, 8]
        kept = tuple(line.decode() for line in second._emergency.lines())
        assert second.runs()[-1][1].emergency + kept == (*(line.decode() for line in noted), "noted by somebody else")
        assert [(found.item, list(found.outputs)) for found in second.steps()][1:] == [step(10), step(3)]
    assert Journal.open_readonly(path, wire).verify().state == "ok"


def test_F_SYS_01_a_first_start_on_a_full_disk_is_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_room(monkeypatch)
    with pytest.raises(JournalError, match="full"):
        Journal(path, wire, dataclasses.replace(RUN, desk="x" * 50_000))


def test_F_SYS_02_a_start_row_that_meets_an_error_is_not_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal_at(path).close()

    def fail(self: object, seq: int, hash_: bytes) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(journal_module.HeadFile, "write", fail)
    with pytest.raises(JournalError, match="Input/output"):
        journal_at(path)


@pytest.mark.parametrize(("code", "starts"), [(errno.ENOSPC, True), (errno.EIO, False)])
def test_F_SYS_01_without_room_for_a_new_file_the_full_one_is_written_on(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int, starts: bool
) -> None:
    with journal_at(path) as first:
        first.record(*step(1))

    def fail(*_: object) -> bool:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(journal_module, "rotate", fail)
    if not starts:
        with pytest.raises(JournalError):
            journal_at(path, rotate_rows=1)
        return
    with journal_at(path, rotate_rows=1) as second:
        assert len(second.runs()) == 2
