"""A journal that is lost: found out, kept aside, and what its chain still proves is read."""

import sqlite3
from pathlib import Path

import pytest

from journal_items import RUN, journal_at, step
from tbot.errors import JournalError
from tbot.storage.journal import Journal
from tbot.storage.journal_files import DISTRUST, EmergencyFile, HeadFile, emergency_path, head_path
from tbot.storage.journal_reader import GENESIS
from tbot.storage.journal_salvage import first_run, put_aside_if_lost, sound_steps
from tbot.transport import wire


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def write(path: Path, numbers: range = range(1, 21), **more: object) -> None:
    with journal_at(path, **more) as journal:
        for number in numbers:
            journal.record(*step(number))


def change(path: Path, statement: str) -> None:
    database = sqlite3.connect(path)
    database.executescript(f"DROP TRIGGER record_is_never_changed; {statement}")
    database.close()


def head_of_nothing(path: Path) -> bytes:
    other = path.with_name("zero")
    file = HeadFile(other)
    file.write(0, GENESIS)
    file.close()
    data = other.read_bytes()
    other.unlink()
    return data


def test_a_sound_journal_and_none_at_all_are_not_lost(path: Path) -> None:
    assert put_aside_if_lost(path, wire) is None
    assert list(path.parent.iterdir()) == [], "a look leaves nothing behind"
    write(path)
    assert put_aside_if_lost(path, wire) is None
    assert len(list(sound_steps(path, wire))) == 20
    assert first_run(path, wire) == RUN


@pytest.mark.parametrize("head", ["none", "blank", "zero"])
def test_a_start_that_was_cut_short_is_no_loss(path: Path, head: str) -> None:
    """The head and an empty file are made before there is any row."""
    if head != "none":
        head_path(path).write_bytes(bytes(8192) if head == "blank" else head_of_nothing(path))
        head_path(path).chmod(0o600)
    assert put_aside_if_lost(path, wire) is None
    path.touch(mode=0o600)
    assert put_aside_if_lost(path, wire) is None
    assert not path.exists(), "nobody could read it, and there is nothing in it"
    write(path)
    assert put_aside_if_lost(path, wire) is None


def test_F_SYS_03_what_is_proven_before_the_damage_is_read(path: Path) -> None:
    write(path)
    change(path, "UPDATE record SET market_ns = 1 WHERE seq = 21")
    lost = put_aside_if_lost(path, wire)
    assert lost is not None
    assert "row 21 was changed" in lost.reason
    assert lost.kept is not None
    found = list(sound_steps(lost.kept, wire))
    whole = [step(number) for number in range(1, 21)]
    assert [(old.item, list(old.outputs)) for old in found[:-1]] == whole[: len(found) - 1]
    assert found[-1].item == whole[len(found) - 1][0], "the step that the damage cuts, as far as it goes"
    assert first_run(lost.kept, wire) == RUN


def test_F_SYS_03_rows_that_this_build_cannot_read_end_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path)
    known = {name: cls for name, cls in wire._RECORDS.items() if name != "OperatorIn"}
    monkeypatch.setattr(wire, "_RECORDS", known)
    assert len(list(sound_steps(path, wire))) == 4, "the fifth is an OperatorIn"


def test_F_SYS_03_a_first_row_that_is_none(path: Path) -> None:
    path.write_bytes(b"text, no database " * 500)
    assert list(sound_steps(path, wire)) == []
    assert first_run(path, wire) is None
    path.unlink()
    assert first_run(path, wire) is None
    write(path)
    change(path, "UPDATE record SET kind = 'x' WHERE seq = 1")
    assert first_run(path, wire) is None


def test_F_SYS_03_what_stood_beside_it_tells_of_a_journal(path: Path) -> None:
    write(path)
    write(path, range(21, 25), rotate_rows=5)
    path.unlink()
    lost = put_aside_if_lost(path, wire)
    assert lost is not None
    assert lost.reason == "it is gone, and only files that stood beside it are left"
    assert lost.kept is None, "there was nothing to keep but the head"
    assert path.with_name("journal.db.bad-1.head").exists()
    again = put_aside_if_lost(path, wire)
    assert again is not None, "the full file tells of it"
    assert not list(path.parent.glob("*bad-2*")), "there was nothing more to put aside"


def test_F_SYS_03_no_database_is_lost_and_kept(path: Path) -> None:
    write(path)
    path.write_bytes(b"text, no database " * 500)
    lost = put_aside_if_lost(path, wire)
    assert lost is not None
    assert "file is not a database" in lost.reason
    assert lost.kept is not None
    assert lost.kept.read_bytes().startswith(b"text")


def test_F_SYS_03_a_log_without_its_file(path: Path) -> None:
    path.with_name("journal.db-wal").touch()
    lost = put_aside_if_lost(path, wire)
    assert lost is not None
    assert path.with_name("journal.db.bad-1-wal").exists()


def test_F_SYS_03_an_emptied_file_and_a_head_that_was_overwritten(path: Path) -> None:
    write(path)
    path.write_bytes(b"")
    lost = put_aside_if_lost(path, wire)
    assert lost is not None
    assert "empty" in lost.reason
    head_path(path).write_bytes(b"\1" * 8192)
    assert put_aside_if_lost(path, wire) is not None


def test_the_loss_is_found_again_until_the_new_journal_has_a_row(path: Path) -> None:
    write(path)
    Journal.set_aside(path)
    assert put_aside_if_lost(path, wire) is not None
    write(path, range(0))
    change(path, "DROP TRIGGER record_is_never_deleted; DELETE FROM record; PRAGMA user_version = 2")
    head_path(path).write_bytes(head_of_nothing(path))
    lost = put_aside_if_lost(path, wire)
    assert lost is not None
    assert "no row yet" in lost.reason
    write(path)
    assert put_aside_if_lost(path, wire) is None


def test_F_SYS_02_a_file_that_an_io_error_marked_is_lost_with_its_notes(path: Path) -> None:
    write(path)
    with EmergencyFile(emergency_path(path)) as notes:
        notes.append(b"CloseContract(...)")
        notes.append(DISTRUST + b"disk I/O error")
    lost = put_aside_if_lost(path, wire)
    assert lost is not None
    assert "the disk refused to take it in (disk I/O error)" in lost.reason
    assert lost.emergency == ("CloseContract(...)", f"{DISTRUST.decode()}disk I/O error")


def test_a_change_of_the_header_that_was_cut_short_is_undone(path: Path) -> None:
    write(path)
    path.with_name("journal.db-journal").write_bytes(b"")
    assert put_aside_if_lost(path, wire) is None
    with journal_at(path):
        path.with_name("journal.db-journal").write_bytes(b"")
        with pytest.raises(JournalError, match="another process"):
            put_aside_if_lost(path, wire)
    path.with_name("journal.db-journal").write_bytes(b"")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalError, match="out of reach"):
        put_aside_if_lost(path, wire)
    holder.close()
    assert put_aside_if_lost(path, wire) is None


def test_a_journal_that_is_busy_stays(path: Path) -> None:
    """It says nothing about what is in it, so it is not put aside."""
    write(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalError, match="locked"):
        put_aside_if_lost(path, wire)
    holder.close()
    assert path.exists()


def test_F_SYS_03_an_empty_folder_is_a_loss_to_somebody_who_knows_that_there_was_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    lost = put_aside_if_lost(path, wire, begun=True)
    assert lost is not None
    assert (lost.kept, lost.emergency) == (None, ())
    assert "nothing is left" in lost.reason
    path.touch(mode=0o600)
    assert put_aside_if_lost(path, wire, begun=True) is not None
