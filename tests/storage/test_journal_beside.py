"""The journal whose disk work is done beside: the same file, and a disk that hangs holds nobody up who protects."""

import contextlib
import errno
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine_runs import until
from journal_items import ACCOUNT, RUN, entry, step
from tbot.domain import messages as m
from tbot.errors import JournalError
from tbot.storage import journal as journal_module
from tbot.storage import journal_beside
from tbot.storage.journal import Journal
from tbot.storage.journal_beside import HANGS, JournalBeside
from tbot.storage.journal_files import head_path, read_head
from tbot.transport import wire

TIMER, ENTRY, FLATTEN = step(1), step(3), step(5)


class Gate:
    """Holds the journal's commits up, as a disk does that hangs."""

    def __init__(self, journal: JournalBeside) -> None:
        self.reached, self.free = threading.Event(), threading.Event()
        journal._db.set_trace_callback(self._look)

    def _look(self, statement: str) -> None:
        if statement.startswith("COMMIT") and not self.free.is_set():
            self.reached.set()
            assert self.free.wait(60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow disk hangs no test's journal by itself; `gate` and others make the patience short again."""
    monkeypatch.setattr(journal_beside, "HANG_NS", 60_000_000_000)
    monkeypatch.setattr(journal_beside, "CLOSE_S", 60.0)


@pytest.fixture
def journal(path: Path) -> Iterator[JournalBeside]:
    made = JournalBeside(path, wire, RUN)
    yield made
    made.close()


@pytest.fixture
def gate(journal: JournalBeside, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    monkeypatch.setattr(journal_beside, "HANG_NS", 50_000_000)
    made = Gate(journal)
    yield made
    made.free.set()


def hang(journal: JournalBeside, gate: Gate) -> None:
    journal.record(*TIMER)
    journal.flush()
    assert gate.reached.wait(30)


def on_disk(path: Path, head: bool = True) -> int:
    """Of the last row; with `head`, that row is also the one that the head names."""
    with Journal.open_readonly(path, wire) as reader:
        verdict = reader.verify()
        assert verdict.state in (("ok",) if head else ("ok", "torn")), verdict.reason
        return verdict.seq


def head_of(path: Path) -> int:
    found = read_head(head_path(path))
    assert found is not None
    return found[0]


def test_I15_it_writes_the_same_rows_as_the_journal_that_waits(path: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.db"
    kept = []
    for kind, place in ((JournalBeside, path), (Journal, plain)):
        with kind(place, wire, RUN, clock=lambda: 5) as journal:
            for number in range(1, 60):
                journal.record(*step(number))
                if number % 7 == 0:
                    journal.flush()
            seq = journal.last_seq
        assert on_disk(place) == seq
        with Journal.open_readonly(place, wire) as reader:
            kept.append(reader.verify().hash)
    assert kept[0] == kept[1]


def test_R1_an_entry_is_on_disk_when_it_may_leave(journal: JournalBeside, path: Path) -> None:
    journal.record(*TIMER)
    journal.record(*ENTRY)
    assert on_disk(path, head=False) == journal.last_seq == journal.head[0]


@pytest.fixture
def held(journal: JournalBeside, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """No head is written before this is set."""
    free, write = threading.Event(), journal._head_file.write

    def waiting(seq: int, hash_: bytes) -> None:
        assert free.wait(60)
        write(seq, hash_)

    monkeypatch.setattr(journal._head_file, "write", waiting)
    yield free
    free.set()


def test_R1_an_entry_waits_for_its_rows_and_not_for_their_head(
    journal: JournalBeside, path: Path, held: threading.Event
) -> None:
    journal.record(*ENTRY)
    assert on_disk(path, head=False) == journal.last_seq
    with Journal.open_readonly(path, wire) as reader:
        assert reader.verify().state == "torn"
    held.set()
    until(lambda: head_of(path) == journal.last_seq, "the head follows")
    journal.record(*ENTRY)
    assert on_disk(path, head=False) == journal.last_seq


def test_R1_the_next_entry_waits_for_rows_of_its_own(
    journal: JournalBeside, monkeypatch: pytest.MonkeyPatch, held: threading.Event
) -> None:
    """Rows that came while the head of those before was being written are not taken for written."""
    journal.record(*ENTRY)
    monkeypatch.setattr(journal_beside, "HANG_NS", 50_000_000)
    with pytest.raises(JournalError, match="does not answer"):
        journal.record(*ENTRY)
    assert journal.head[0] < journal.last_seq


@pytest.mark.parametrize(
    ("error", "ends"), [(OSError(errno.EIO, "bad"), True), (OSError(errno.ENOSPC, "full"), False), (KeyError(), True)]
)
def test_F_SYS_02_an_error_of_the_head_is_the_next_callers(
    journal: JournalBeside, path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, ends: bool
) -> None:
    free = threading.Event()

    def fails(*_: object) -> None:
        assert free.wait(60)
        raise error

    monkeypatch.setattr(journal._head_file, "write", fails)
    journal.record(*ENTRY)  # its rows are on the disk
    free.set()
    until(lambda: journal.trouble, "the trouble is known")
    assert journal.broken is ends
    for _ in range(20):  # whatever the thread is at meanwhile
        with pytest.raises(JournalError, match="not written any more" if ends else "full"):
            journal.record(*ENTRY)
    assert head_of(path) == 1  # of the start; it falls no further behind than the entries that were let through
    if not ends:
        assert journal.head[0] == journal.last_seq  # the rows of those refused are there all the same
        monkeypatch.undo()
        journal.record(*ENTRY)
        assert on_disk(path) == journal.last_seq
        assert journal.trouble == ""


def test_F_SYS_01_an_entry_whose_rows_went_down_with_an_attempt_before_its_own_knows_of_its_head(
    journal: JournalBeside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt that a flush wanted takes the entry's rows too and fails in its head; the entry's own has no rows."""
    taking, free, in_place = threading.Event(), threading.Event(), journal._in_place

    def waits() -> bool:
        taking.set()
        assert free.wait(60)
        return in_place()

    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(journal._head_file, "write", fails)
    with contextlib.suppress(JournalError):
        journal.record(*ENTRY)
    until(lambda: journal.trouble and not journal._since_ns, "the first head has failed")
    monkeypatch.setattr(journal, "_in_place", waits)
    journal.record(*TIMER)
    with contextlib.suppress(JournalError):
        journal.flush()
    with contextlib.suppress(JournalError):
        journal.flush()  # the first may only tell of the head before
    assert taking.wait(30)
    release = threading.Timer(0.1, free.set)
    release.start()
    with pytest.raises(JournalError, match="full"):
        journal.record(*ENTRY)
    release.join()


def test_F_SYS_02_an_entry_whose_head_ended_the_trust_is_not_sent(
    journal: JournalBeside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wakes up when its rows are down, and the head has failed by then."""
    down, told = threading.Event(), journal._rows_are_down

    def slow_to_wake() -> None:
        with journal._talk:
            told()
            with contextlib.suppress(JournalError):
                raise journal._failed(OSError(errno.EIO, "bad"))
        down.set()

    monkeypatch.setattr(journal, "_rows_are_down", slow_to_wake)
    with pytest.raises(JournalError, match="not written any more"):
        journal.record(*ENTRY)
    assert down.is_set()


def test_F_SYS_02_an_error_of_the_last_head_is_told_at_the_close(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = JournalBeside(path, wire, RUN)
    free = threading.Event()

    def fails(*_: object) -> None:
        assert free.wait(60)
        raise OSError(errno.EIO, "bad")

    monkeypatch.setattr(journal._head_file, "write", fails)
    journal.record(*ENTRY)
    free.set()
    with pytest.raises(JournalError, match="bad"):
        journal.close()
    journal.close()  # safe to repeat, and said once


def test_F_SYS_05_a_disk_that_hangs_does_not_hold_up_who_flushes(
    journal: JournalBeside, path: Path, gate: Gate
) -> None:
    hang(journal, gate)
    until(lambda: journal.flush() and journal.trouble == HANGS, "the journal says that the disk hangs")
    journal.record(*TIMER)
    gate.free.set()
    until(lambda: _quiet(journal), "all is on disk")
    until(lambda: head_of(path) == journal.last_seq, "the head is, too")
    assert on_disk(path) == journal.last_seq
    assert journal.trouble == ""


def test_I1_F_SYS_05_an_entry_that_is_not_on_disk_in_time_is_not_sent(journal: JournalBeside, gate: Gate) -> None:
    hang(journal, gate)
    with pytest.raises(JournalError, match=HANGS):
        journal.record(*ENTRY)
    assert journal.trouble == HANGS
    assert journal._emergency.lines() == []  # a refused entry is no emergency


def test_I12_R1_a_flatten_goes_ahead_and_is_noted_beside(
    journal: JournalBeside, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    append = journal._emergency.append

    def noted(line: bytes, *, sync: bool = True) -> bool:
        synced.append(sync)
        return append(line, sync=sync)

    monkeypatch.setattr(journal._emergency, "append", noted)
    hang(journal, gate)
    journal.record(*FLATTEN)
    assert not gate.free.is_set()
    (line,) = journal._emergency.lines()
    assert line.startswith(b"CloseContract")
    # From now on nothing waits at all, whatever the disk would have left of its second.
    monkeypatch.setattr(journal_beside, "HANG_NS", 1)
    journal.record(m.OperatorIn(RUN.started_ns, "kill", ACCOUNT), [])
    journal.record(*FLATTEN)
    assert synced == [False, False]


def test_I12_R1_who_waited_out_an_attempt_that_is_younger_than_his_wait_waits_no_more(
    journal: JournalBeside, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(journal._emergency, "append", lambda line, *, sync=True: synced.append(sync))
    monkeypatch.setattr(JournalBeside, "_hangs", False)  # it began a moment after the flatten began to wait for it
    journal.record(*FLATTEN)
    assert not gate.free.is_set()
    assert synced == [False]


def test_I1_F_SYS_05_an_entry_that_got_late_while_the_head_was_written_is_not_sent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_beside, "HANG_NS", 50_000_000)
    journal = JournalBeside(path, wire, RUN, entry_ttl_ns=1)
    free, write = threading.Event(), journal._head_file.write

    def hanging(seq: int, hash_: bytes) -> None:
        assert free.wait(60)
        write(seq, hash_)

    monkeypatch.setattr(journal._head_file, "write", hanging)
    journal.record(*TIMER)
    journal.flush()
    until(lambda: journal.head[0] == journal.last_seq, "its row is there, and the head is being written")
    journal.trouble = HANGS  # of an attempt before
    monkeypatch.setattr(journal, "_commit", lambda: None)  # the entry's row is there as well
    try:
        with pytest.raises(JournalError, match="not sent any more"):
            journal.record(*ENTRY)
    finally:
        free.set()
        journal.close()


def test_F_SYS_05_a_hang_that_is_over_is_not_told_for_ever(journal: JournalBeside) -> None:
    journal.record(*FLATTEN)
    until(lambda: not journal._since_ns, "the thread is through")
    journal.trouble = HANGS  # said by who looked just before that
    assert journal.flush() == 0
    assert journal.trouble == ""


def test_F_SYS_02_why_a_journal_is_broken_is_not_hidden_by_a_disk_that_hangs(
    journal: JournalBeside, gate: Gate
) -> None:
    hang(journal, gate)
    journal._break("disk I/O error")
    with journal._talk:
        journal._say_hangs()
    assert journal.trouble == "disk I/O error"
    gate.free.set()
    until(lambda: not journal._since_ns, "the thread is through")
    assert journal.trouble == "disk I/O error"  # nor by an attempt that comes to a good end


def test_F_SYS_05_what_waits_for_a_slow_disk_is_served_by_the_attempt_that_follows(
    journal: JournalBeside, path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_beside, "HANG_NS", 60_000_000_000)
    hang(journal, gate)
    release = threading.Timer(0.05, gate.free.set)
    release.start()
    journal.record(*ENTRY)
    assert on_disk(path, head=False) == journal.last_seq
    release.join()


class Failing:
    """A connection whose commits fail."""

    def __init__(self, real: sqlite3.Connection, why: str) -> None:
        self._real, self._why = real, why

    def execute(self, statement: str) -> Any:
        if statement == "COMMIT":
            raise sqlite3.OperationalError(self._why)
        return self._real.execute(statement)

    def executemany(self, statement: str, rows: Any) -> Any:
        return self._real.executemany(statement, rows)


def full(journal: JournalBeside) -> Callable[[], None]:
    """No room any more; returns what makes some."""
    journal._db.execute("PRAGMA max_page_count = 1")
    return lambda: journal._db.execute("PRAGMA max_page_count = 100000") and None  # type: ignore[func-returns-value]


def test_F_SYS_01_a_full_disk_refuses_entries_and_tells_who_flushes(journal: JournalBeside, path: Path) -> None:
    make_room = full(journal)
    refused: list[str] = []
    while not refused:  # until the pages that are there are used up
        try:
            journal.record(*ENTRY)
        except JournalError as error:
            refused.append(str(error))
    assert "full" in refused[0]
    assert "no room" in journal.trouble

    def told() -> bool:
        try:
            journal.flush()
        except JournalError as error:
            return "full" in str(error)
        return False

    until(told, "the flush that failed is told")
    until(lambda: not journal._since_ns, "the thread is through")
    make_room()
    until(lambda: _quiet(journal), "all is on disk")
    until(lambda: head_of(path) == journal.last_seq, "the head follows")
    assert on_disk(path) == journal.last_seq


def _quiet(journal: JournalBeside) -> bool:
    """Flushed, whatever an attempt of before has to say."""
    try:
        return not journal.flush() and not journal.trouble
    except JournalError:
        return False


@pytest.mark.parametrize("what", ["its file was taken away", "disk I/O error", "a bug of ours"])
def test_F_SYS_02_R13_after_an_error_nothing_is_written_any_more(
    path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    journal = JournalBeside(path, wire, RUN)

    def fails() -> bool:
        if what == "a bug of ours":
            raise RuntimeError(what)
        return False

    if what == "disk I/O error":
        monkeypatch.setattr(journal, "_db", Failing(journal._db, what))
    else:
        monkeypatch.setattr(journal, "_in_place", fails)
    with pytest.raises(JournalError):
        journal.record(*ENTRY)
    assert journal.broken
    for again in (lambda: journal.record(*ENTRY), journal.flush):
        with pytest.raises(JournalError, match="not written any more"):
            again()
    journal.close()


def test_F_SYS_01_the_log_is_folded_beside(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "CHECKPOINT_ROWS", 3)
    with JournalBeside(path, wire, RUN) as journal:
        folded = threading.Event()
        fold = journal._checkpoint

        def note() -> None:
            fold()
            folded.set()

        monkeypatch.setattr(journal, "_checkpoint", note)
        journal.record(*FLATTEN)
        assert folded.wait(30)
        until(lambda: not journal._since_ns, "the thread is through")
        assert journal._since_checkpoint == 0

        def fails() -> None:
            raise JournalError("no room to fold")

        monkeypatch.setattr(journal, "_checkpoint", fails)
        journal.record(*FLATTEN)
        until(lambda: journal._untold, "the fold has failed")
        with pytest.raises(JournalError, match="no room to fold"):
            journal.flush()


def test_F_IPC_03_a_close_does_not_wait_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_beside, "CLOSE_S", 0.05)
    journal = JournalBeside(path, wire, RUN)
    gate, thread = Gate(journal), journal._thread
    assert thread is not None
    hang(journal, gate)
    with pytest.raises(JournalError, match=HANGS):
        journal.close()
    journal.close()  # safe to repeat
    gate.free.set()
    thread.join(60)
    journal._closing.close()


def test_an_entry_beside_a_flatten_is_refused_and_the_flatten_noted(journal: JournalBeside, gate: Gate) -> None:
    hang(journal, gate)
    with pytest.raises(JournalError, match=HANGS):
        journal.record(FLATTEN[0], [*FLATTEN[1], entry(9)])
    assert [line.split(b"(")[0] for line in journal._emergency.lines()] == [b"CloseContract"]
