"""The journal: what is written can be replayed, what was promised is on disk, what can go wrong is told."""

import dataclasses
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from journal_items import ACCOUNT, RUN, entry, has_entry, journal_at, protective, step
from tbot.domain import messages as m
from tbot.errors import JournalDamaged, JournalError
from tbot.execution.broker import Recorder
from tbot.storage import journal as journal_module
from tbot.storage.journal import Journal
from tbot.storage.journal_files import (
    EMERGENCY_BYTES,
    EmergencyFile,
    emergency_path,
    head_path,
    read_head,
)
from tbot.storage.journal_reader import GENESIS, JournalReader, Step
from tbot.transport import wire

NOW = RUN.started_ns


class Clock:
    """A boot clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with journal_at(path) as opened:
        yield opened


def contents(path: Path) -> list[Step]:
    with Journal.open_readonly(path, wire) as reader:
        return list(reader.steps())


def recorded(numbers: range) -> list[tuple[m.DeskInput, tuple[m.DeskOutput, ...]]]:
    return [(item, tuple(outputs)) for item, outputs in map(step, numbers)]


def test_what_was_recorded_comes_back_in_order(journal: Journal, path: Path) -> None:
    for number in range(1, 31):
        journal.record(*step(number))
    journal.flush()
    steps = contents(path)
    assert [(found.item, found.outputs) for found in steps] == recorded(range(1, 31))
    with JournalReader(path, wire) as reader:
        assert list(reader.inputs()) == [(found.seq, found.item) for found in steps]
        notes = [note for _, note in reader.notes()]
        assert notes == [o for found in steps for o in found.outputs if isinstance(o, m.Note)]
        for found in steps:
            assert tuple(reader.outputs_of(found.seq)) == found.outputs
        assert reader.runs() == [(1, RUN)]
        assert reader.head == journal.head
        half = steps[15].seq
        assert list(reader.steps(after=half)) == steps[16:]


def test_rows_carry_account_direction_and_stamps(path: Path) -> None:
    clock = Clock()
    with journal_at(path, clock=clock) as journal:
        clock.now = 2_000
        journal.record(*step(3))
        rows = list(journal.rows())
    assert [(row.seq, row.direction, row.account) for row in rows] == [
        (1, "start", None),
        (2, "in", None),
        (3, "note", ACCOUNT),
        (4, "out", ACCOUNT),
    ]
    assert {row.boot_ns for row in rows[1:]} == {2_000}
    assert {row.market_ns for row in rows[1:]} == {NOW + 3_000_000_000}
    assert rows[1].kind == "SignalIn"


def test_meta_lists_every_start(path: Path) -> None:
    journal_at(path).close()
    with Journal(path, wire, dataclasses.replace(RUN, run_id=8, mode="paper")) as second:
        query = "SELECT run_id, build, config_hash, mode, started_ns FROM meta"
        found = sqlite3.connect(path).execute(query).fetchall()
        assert [run.run_id for _, run in second.runs()] == [7, 8]
    assert found == [(7, "test", "c0ffee", "sim", NOW), (8, "test", "c0ffee", "paper", NOW)]


def test_it_is_a_recorder(journal: Journal) -> None:
    recorder: Recorder = journal
    recorder.record(m.TimerIn(NOW, {}), [])


def test_I1_an_entry_is_committed_before_record_returns_and_nothing_else_is(journal: Journal, path: Path) -> None:
    journal.record(m.TimerIn(NOW, {}), [])
    journal.record(m.TimerIn(NOW, {}), [protective(1)])
    assert contents(path) == []
    assert journal.last_seq == 4
    journal.record(m.TimerIn(NOW, {}), [entry(1)])
    assert contents(path)[-1].outputs == (entry(1),)
    assert len(contents(path)) == 3, "everything before it is there too"
    assert read_head(head_path(path)) == journal.head
    assert journal.head[0] == journal.last_seq == 6


def test_I14_what_binds_the_next_run_is_committed_before_record_returns(journal: Journal, path: Path) -> None:
    """K-EX-10: an executor that dies right behind its decision to get out must find it again."""
    journal.record(m.OperatorIn(NOW, "pause"), [])
    assert len(contents(path)) == 1
    journal.record(m.TimerIn(NOW, {}), [m.StateChange(NOW, 1001, "REDUCING", ("RC_DAILY_LOSS",), "limit")])
    assert len(contents(path)) == 2
    journal.record(m.TimerIn(NOW, {}), [protective(1)])
    assert len(contents(path)) == 2


def test_the_connection_syncs_and_maps_nothing(journal: Journal) -> None:
    settings = {name: journal._db.execute(f"PRAGMA {name}").fetchone() for name in ("journal_mode", "synchronous")}
    assert settings == {"journal_mode": ("wal",), "synchronous": (2,)}
    assert journal._db.execute("PRAGMA mmap_size").fetchone() in (None, (0,))


def test_flush_waits_for_rows_or_age(path: Path) -> None:
    clock = Clock()
    with journal_at(path, clock=clock) as journal:
        assert journal.flush() == 0
        journal.record(m.TimerIn(NOW, {}), [])
        assert journal.flush(min_rows=3, max_age_ns=500) == 0
        clock.now += 499
        assert journal.flush(min_rows=3, max_age_ns=500) == 0
        clock.now += 1
        assert journal.flush(min_rows=3, max_age_ns=500) == 1
        for _ in range(3):
            journal.record(m.TimerIn(NOW, {}), [])
        assert journal.flush(min_rows=3, max_age_ns=500) == 3
        journal.record(m.TimerIn(NOW, {}), [])
        assert journal.flush() == 1


def test_what_waits_is_bounded(path: Path) -> None:
    with journal_at(path, max_waiting=10) as journal:
        for _ in range(9):
            journal.record(m.TimerIn(NOW, {}), [])
        assert contents(path) == []
        journal.record(m.TimerIn(NOW, {}), [])
        assert len(contents(path)) == 10


def test_close_commits_folds_the_log_in_and_is_repeatable(path: Path) -> None:
    journal = journal_at(path)
    journal.record(m.TimerIn(NOW, {}), [])
    journal.close()
    journal.close()
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, path.name + ".emergency", path.name + ".head"]
    with JournalReader(path, wire) as reader:
        assert reader.verify().state == "ok"
        assert len(list(reader.steps())) == 1


def test_a_second_start_goes_on_in_the_chain(path: Path) -> None:
    for start in range(3):
        with journal_at(path) as journal:
            for number in range(start * 10 + 1, start * 10 + 11):
                journal.record(*step(number))
    with JournalReader(path, wire) as reader:
        assert reader.verify().state == "ok"
        assert [(s.item, s.outputs) for s in reader.steps()] == recorded(range(1, 31))
        starts = [seq for seq, _ in reader.runs()]
        assert len(list(reader.steps(after=starts[-1]))) == 10
        assert next(seq for seq, _ in reader.inputs(after=starts[1])) == starts[1] + 1


def test_I32_the_same_inputs_and_clock_give_the_same_hash(tmp_path: Path) -> None:
    heads = []
    for name in ("a", "b"):
        with journal_at(tmp_path / name, clock=Clock()) as journal:
            for number in range(1, 20):
                journal.record(*step(number))
            journal.flush()
            heads.append(journal.head)
    assert heads[0] == heads[1]


def test_many_rows_are_read_in_pages_and_the_log_is_folded_in_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "CHECKPOINT_ROWS", 300)
    sizes = []
    with journal_at(path) as journal:
        for number in range(1, 2501):
            journal.record(m.TimerIn(NOW + number, {}), [])
            if number % 100 == 0:
                journal.flush()
                sizes.append(os.path.getsize(f"{path}-wal"))
        assert max(sizes) == max(sizes[: len(sizes) // 2]), "the log grows without end"
        assert [item.now_ns - NOW for _, item in journal.inputs()] == list(range(1, 2501))
        assert journal.verify().state == "ok"


def test_one_kind_is_read_newest_first_and_in_pages(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tbot.storage.journal_reader as reading

    monkeypatch.setattr(reading, "PAGE_ROWS", 2)
    with journal_at(path) as journal:
        for number in range(1, 16):
            journal.record(*step(number))
    with JournalReader(path, wire) as reader:
        found = list(reader.of_kind("SignalIn"))
        assert [item.signal.signal_id for _, item in found] == [f"MNQ-{number}" for number in (15, 12, 9, 6, 3)]
        assert {seq: item for seq, item in reader.inputs() if seq in dict(found)} == dict(found)
        assert [item.signal_id for _, item in reader.of_kind("Intent")] == [i.signal.signal_id for _, i in found]
        assert list(reader.of_kind("Fill")) == []


def test_a_reader_sees_whole_steps_while_the_writer_goes_on(journal: Journal, path: Path) -> None:
    with JournalReader(path, wire) as reader:
        walk = None
        for number in range(1, 40):
            journal.record(*step(number))
            journal.flush()
            walk = walk or reader.steps()
            next(walk, None)
            assert reader.verify().state == "ok"
        assert [(s.item, s.outputs) for s in reader.steps()] == recorded(range(1, 40))


@pytest.mark.parametrize("statement", ["UPDATE record SET kind = 'x'", "DELETE FROM record WHERE seq = 1"])
def test_rows_can_only_be_added(path: Path, statement: str) -> None:
    journal_at(path).close()
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        sqlite3.connect(path).execute(statement)


def test_a_reader_cannot_write(path: Path) -> None:
    journal_at(path).close()
    with JournalReader(path, wire) as reader, pytest.raises(JournalError):
        reader._ask("INSERT INTO record SELECT seq + 1, 0, 0, 0, 'in', 'x', x'', x'', x'' FROM record")


def test_reading_a_journal_that_is_not_there_is_told(path: Path) -> None:
    with pytest.raises(JournalError):
        JournalReader(path, wire)
    assert not path.exists()


def test_I16_a_second_writer_is_refused(journal: Journal, path: Path) -> None:
    with pytest.raises(JournalError, match="another process"):
        journal_at(path)
    with pytest.raises(JournalError):
        Journal.set_aside(path)
    journal.record(*step(3))
    assert journal.verify().state == "ok"


def test_F_SYS_02_the_file_is_not_trusted_after_an_io_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = journal_at(path)

    def fail(seq: int, hash_: bytes) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(journal._head_file, "write", fail)
    with pytest.raises(JournalError):
        journal.record(*step(3))
    monkeypatch.undo()
    for number in (4, 5, 6):
        with pytest.raises(JournalError):
            journal.record(*step(number))
    with pytest.raises(JournalError):
        journal.flush()
    assert "Input/output" in journal.trouble
    journal.close()
    with EmergencyFile(emergency_path(path)) as noted:
        assert [line for line in noted.lines() if b"CloseContract" in line]
    put_away = Journal.set_aside(path)
    with journal_at(path) as fresh, JournalReader(put_away, wire) as old:
        assert fresh.head[0] == 1
        assert old.verify().state == "torn"


def test_F_SYS_01_a_full_disk_refuses_entries_lets_protection_through_and_recovers(path: Path) -> None:
    with journal_at(path, max_waiting=4) as journal:
        journal.record(*step(3))
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count = {pages}")
        refused, passed = [], []
        for number in range(4, 100):
            try:
                journal.record(*step(number))
                passed.append(number)
            except JournalError:
                refused.append(number)
        full_from = refused[0]
        assert refused == [n for n in range(full_from, 100) if has_entry(n)], "entries and nothing else"
        assert "no room" in journal.trouble
        with pytest.raises(JournalError):
            journal.flush()
        journal._db.execute("PRAGMA max_page_count = 100000")
        journal.record(*step(102))
        assert journal.trouble == ""
        steps = list(journal.steps())
        assert [(s.item, s.outputs) for s in steps] == [*recorded(range(3, 100, 1)), *recorded(range(102, 103))]
        noted = journal._emergency.lines()
        assert [n for n in range(100) if b"%r" % f"x{n}" in b" ".join(noted)] == [
            n for n in passed if n >= full_from and n % 5 == 0 and n % 3
        ]
    with journal_at(path) as second:
        assert len(second.runs()[-1][1].emergency) == len(noted)
        assert second._emergency.lines() == []


def test_F_SYS_01_what_waits_for_room_is_bounded(path: Path) -> None:
    journal = journal_at(path, max_waiting=5, max_unwritten=50)
    journal._db.execute("PRAGMA max_page_count = 1")
    for _ in range(500):
        try:
            journal.record(m.TimerIn(NOW, {}), [])
        except JournalError:
            break
    else:
        pytest.fail("the journal takes in rows without end")
    assert "too much" in journal.trouble
    journal.close()


@pytest.mark.parametrize("bad", [20100.0, True, 2**63, float("nan")])
def test_I19_a_step_that_cannot_be_encoded_stops_entries_not_protection(path: Path, bad: object) -> None:
    with journal_at(path) as journal:
        outputs = [dataclasses.replace(entry(1), stop_offset=bad), protective(1)]  # type: ignore[arg-type]
        with pytest.raises(JournalError):
            journal.record(m.TimerIn(NOW, {}), outputs)
        with pytest.raises(JournalError):
            journal.record(*step(3))
        assert any(b"CloseContract" in line for line in journal._emergency.lines())
        assert not any(b"PlaceBracket" in line for line in journal._emergency.lines())
    with JournalReader(path, wire) as reader:
        assert reader.verify().state == "ok"
        assert list(reader.steps()) == []


@pytest.mark.parametrize("suffix", ["", ".head", ".emergency"])
def test_F_SEC_06_links_and_open_files_are_refused(path: Path, suffix: str) -> None:
    target = path.with_name("elsewhere")
    target.touch(mode=0o600)
    planted = path.with_name(path.name + suffix)
    planted.symlink_to(target)
    with pytest.raises(JournalError):
        journal_at(path)
    assert target.read_bytes() == b""
    planted.unlink()
    planted.touch()
    planted.chmod(0o644)
    with pytest.raises(JournalError):
        journal_at(path)


def test_I31_all_files_are_private(path: Path) -> None:
    before = os.umask(0)
    try:
        with journal_at(path) as journal:
            journal.record(*step(3))
            modes = {p.name: p.stat().st_mode & 0o777 for p in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert len(modes) == 5
    assert set(modes.values()) == {0o600}


def test_set_aside_numbers_what_it_puts_away(path: Path) -> None:
    names = []
    for _ in range(2):
        journal_at(path).close()
        names.append(Journal.set_aside(path).name)
    assert names == [f"{path.name}.bad-1", f"{path.name}.bad-2"]
    for name in names:
        with JournalReader(path.with_name(name), wire) as reader:
            assert reader.verify().state == "ok"
    with journal_at(path) as fresh:
        assert fresh.head[0] == 1


def test_emergency_lines_end_where_the_room_ends(tmp_path: Path) -> None:
    with EmergencyFile(tmp_path / "e") as notes:
        count = 0
        while notes.append(b"x" * 1000):
            count += 1
        assert count == EMERGENCY_BYTES // 1010
        assert (len(notes.lines()), notes.lost) == (count, 1)
        notes.clear(count)
        assert notes.lines() == []
        assert notes.append(b"again")
        assert notes.append(b"newer")
        notes.clear(1)
        assert notes.lines() == [b"newer"]
    assert (tmp_path / "e").stat().st_size == EMERGENCY_BYTES


def test_a_torn_emergency_line_is_left_out_and_written_over(tmp_path: Path) -> None:
    with EmergencyFile(tmp_path / "e") as notes:
        notes.append(b"one")
        notes.append(b"two")
    with open(tmp_path / "e", "r+b") as file:
        file.seek(len(b"01234567 one\n01234567 t"))
        file.write(b"\0")
    with EmergencyFile(tmp_path / "e") as notes:
        assert notes.lines() == [b"one"]
        notes.append(b"three")
        assert notes.lines() == [b"one", b"three"]


def test_a_new_journal_begins_at_genesis(path: Path) -> None:
    with journal_at(path) as journal:
        assert next(journal.rows()).previous == GENESIS


def test_damage_is_told_apart_from_other_trouble() -> None:
    assert issubclass(JournalDamaged, JournalError)
