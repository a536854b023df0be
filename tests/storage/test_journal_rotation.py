"""A journal in several files: the chain goes on from file to file, whatever was written is found, nothing is lost."""

import os
import sqlite3
from pathlib import Path

import pytest

from journal_items import RUN, journal_at, step
from tbot.errors import JournalDamaged
from tbot.storage.journal import Journal
from tbot.storage.journal_files import head_path, read_head
from tbot.storage.journal_reader import GENESIS, JournalReader, Row, base_of
from tbot.storage.journal_rotation import JournalFamily, full_files, recover
from tbot.transport import wire


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def write(path: Path, numbers: range, rotate_rows: int = 0) -> list[Row]:
    """The rows of this run."""
    with journal_at(path, rotate_rows=rotate_rows) as journal:
        for number in numbers:
            journal.record(*step(number))
        journal.flush()
        start = journal.runs()[-1][0]
        return list(journal.rows(start - 1))


def states(path: Path) -> list[str]:
    with JournalFamily(path, wire) as family:
        return [verdict.state for _, verdict in family.verify()]


def test_a_full_file_stays_and_the_chain_goes_on(path: Path) -> None:
    first = write(path, range(1, 11))
    second = write(path, range(11, 21), rotate_rows=len(first))
    (full,) = full_files(path)
    assert full.name == "journal.db.0001"
    with JournalReader(full, wire) as old, JournalReader(path, wire) as new:
        assert list(old.rows()) == first
        assert list(new.rows()) == second
        assert base_of(new) == (first[-1].seq, first[-1].hash)
        assert base_of(old) == (0, GENESIS)
        assert new.runs()[0][1].run_id == RUN.run_id
        assert len(new.runs()) == 1, "the start row is the first row"
        assert new.verify().state == old.verify().state == "ok"
    assert second[0].seq == first[-1].seq + 1
    assert read_head(head_path(path)) == (second[-1].seq, second[-1].hash)
    assert full.stat().st_mode & 0o777 == path.stat().st_mode & 0o777 == 0o600
    third = write(path, range(21, 31))
    assert states(path) == ["ok", "ok"]
    with JournalFamily(path, wire) as family:
        assert list(family.rows()) == [*first, *second, *third]
        assert list(family.newest()) == [*first, *second, *third][::-1]
        signals = [family.decode(row).signal.signal_id for row in family.newest("SignalIn")]
        assert signals == [f"MNQ-{number}" for number in range(30, 0, -3)]


def test_a_small_file_goes_on(path: Path) -> None:
    rows = write(path, range(1, 11))
    write(path, range(11, 12), rotate_rows=len(rows) + 1)
    assert full_files(path) == []


def test_many_files_are_numbered_in_order(path: Path) -> None:
    for turn in range(12):
        write(path, range(turn * 3 + 1, turn * 3 + 4), rotate_rows=3)
    assert [file.name for file in full_files(path)] == [f"journal.db.{number:04d}" for number in range(1, 12)]
    assert states(path) == ["ok"] * 12
    with JournalFamily(path, wire) as family:
        assert [row.seq for row in family.rows()] == list(range(1, family.newest_file.head[0] + 1))


def test_nothing_rotates_while_somebody_reads(path: Path) -> None:
    """A reader of the old file would take the new one's log for its own."""
    write(path, range(1, 11))
    with JournalReader(path, wire) as reader:
        rows = reader.rows()
        next(rows)
        write(path, range(11, 14), rotate_rows=5)
        assert full_files(path) == []
    write(path, range(14, 15), rotate_rows=5)
    assert len(full_files(path)) == 1
    assert states(path) == ["ok", "ok"]


def test_F_SYS_03_a_damaged_file_is_not_left_behind_as_full(path: Path) -> None:
    write(path, range(1, 11))
    database = sqlite3.connect(path)
    database.executescript("DROP TRIGGER record_is_never_changed; UPDATE record SET account = 9 WHERE seq = 5")
    database.close()
    with pytest.raises(JournalDamaged):
        write(path, range(11, 12), rotate_rows=5)
    assert full_files(path) == []


def test_K_JR_03_a_second_name_alone_is_no_file_of_its_own(path: Path) -> None:
    rows = write(path, range(1, 11))
    os.link(path, path.with_name("journal.db.0001"))
    path.with_name("journal.db.next").write_bytes(b"half of a new file")
    assert full_files(path) == []
    with JournalFamily(path, wire) as family:
        assert list(family.rows()) == rows
    more = write(path, range(11, 13), rotate_rows=5)
    assert [file.name for file in full_files(path)] == ["journal.db.0001"]
    assert not path.with_name("journal.db.next").exists()
    with JournalFamily(path, wire) as family:
        assert list(family.rows()) == [*rows, *more]


def test_F_SYS_03_a_missing_or_foreign_file_between_two_is_noticed(path: Path) -> None:
    for turn in range(4):
        write(path, range(turn * 3 + 1, turn * 3 + 4), rotate_rows=3)
    _, second, third = full_files(path)
    kept = second.read_bytes()
    second.unlink()
    assert states(path) == ["ok", "mismatch", "ok"]
    with JournalFamily(path, wire) as family:
        assert "it continues row 15, and the file before it ends with row 6" in family.verify()[1][1].reason
    second.write_bytes(kept)
    assert states(path) == ["ok"] * 4
    third.write_bytes(kept)
    assert states(path) == ["ok", "ok", "mismatch", "mismatch"]


@pytest.mark.parametrize("upto", ["the second start", "an input"])
def test_F_SYS_03_rows_cut_off_at_the_front_are_noticed(path: Path, upto: str) -> None:
    """A file may begin at a later row only when that row says behind which one."""
    first = write(path, range(1, 11))
    write(path, range(11, 21))
    last = first[-1].seq if upto == "the second start" else 7
    database = sqlite3.connect(path)
    database.executescript(f"DROP TRIGGER record_is_never_deleted; DELETE FROM record WHERE seq <= {last}")
    database.close()
    assert states(path) == ["mismatch"]
    with pytest.raises(JournalDamaged):
        journal_at(path)


def test_a_journal_put_aside_begins_anew_behind_the_full_files(path: Path) -> None:
    write(path, range(1, 11))
    write(path, range(11, 14), rotate_rows=5)
    Journal.set_aside(path)
    write(path, range(1, 4))
    assert states(path) == ["ok", "ok"]
    write(path, range(4, 6), rotate_rows=3)
    assert [file.name for file in full_files(path)] == ["journal.db.0001", "journal.db.0002"]
    assert states(path) == ["ok", "ok", "ok"]


def test_an_empty_file_follows_nothing(path: Path) -> None:
    write(path, range(1, 4))
    database = sqlite3.connect(path)
    database.executescript("DROP TRIGGER record_is_never_deleted; DELETE FROM record")
    database.close()
    with JournalReader(path, wire) as reader:
        assert base_of(reader) == (0, GENESIS)
        assert reader.count() == 0


def test_notes_of_an_earlier_writer_go_into_the_first_row(path: Path) -> None:
    with journal_at(path) as journal:
        for number in range(1, 11):
            journal.record(*step(number))
        journal.emergency("closed MNQ while the disk was full")
    with journal_at(path, rotate_rows=5) as journal:
        ((_, info),) = journal.runs()
        assert info.emergency == ("closed MNQ while the disk was full",)
        assert journal._emergency.lines() == []


def test_recovery_waits_for_nobody_and_leaves_damage_to_others(path: Path) -> None:
    write(path, range(1, 4))
    path.with_name("journal.db-journal").write_bytes(b"")
    recover(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        recover(path)
    holder.close()
    path.write_bytes(b"no database at all, text " * 400)
    path.with_name("journal.db-journal").write_bytes(b"")
    recover(path)
