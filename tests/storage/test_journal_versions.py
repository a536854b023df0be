"""Versions of the journal's file: an old one is brought to ours and kept, a newer one is left alone."""

import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

import tbot.storage.journal as journal_module
import tbot.storage.journal_schema as schema_module
from journal_items import journal_at, step
from tbot.errors import JournalDamaged, JournalError
from tbot.storage.journal_files import head_path
from tbot.storage.journal_reader import INSERT, JournalReader, Row, newest_query
from tbot.storage.journal_salvage import put_aside_if_lost
from tbot.storage.journal_schema import READABLE, SCHEMA_VERSION, STEPS
from tbot.transport import wire

V1 = (Path(__file__).parents[1] / "support" / "journal_v1.sql").read_text(encoding="utf-8")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A journal of version 1 as the build of that time made it, with 20 steps."""
    with journal_at(tmp_path / "made.db") as journal:
        for number in range(1, 21):
            journal.record(*step(number))
        journal.flush()
        rows = [tuple(getattr(row, name) for name in Row.__slots__) for row in journal.rows()]
    path = tmp_path / "journal.db"
    database = sqlite3.connect(path)
    database.executescript(f"{V1} PRAGMA journal_mode = WAL; PRAGMA user_version = 1;")
    database.executemany(INSERT, rows)
    database.commit()
    database.close()
    path.chmod(0o600)
    shutil.move(head_path(tmp_path / "made.db"), head_path(path))
    return path


def rows_of(path: Path) -> list[Row]:
    with JournalReader(path, wire) as reader:
        assert reader.verify().state == "ok"
        return list(reader.rows())


def objects(path: Path) -> list[tuple[str, str, str]]:
    database = sqlite3.connect(path)
    found = database.execute("SELECT type, name, replace(sql, 'IF NOT EXISTS ', '') FROM sqlite_schema ORDER BY name")
    return [(kind, name, " ".join(sql.split())) for kind, name, sql in found]


def version(path: Path) -> int:
    with JournalReader(path, wire) as reader:
        return reader.version()


def test_steps_lead_to_the_newest_version_one_by_one() -> None:
    assert [number for number, _ in STEPS] == list(range(2, SCHEMA_VERSION + 1))
    assert list(READABLE) == list(range(1, SCHEMA_VERSION + 1))


def test_an_old_file_is_brought_to_ours_and_a_copy_kept(old: Path) -> None:
    before = rows_of(old)
    with journal_at(old) as journal:
        journal.record(*step(3))
        assert journal.verify().state == "ok"
    assert version(old) == SCHEMA_VERSION
    assert rows_of(old)[: len(before)] == before
    fresh = old.with_name("fresh.db")
    journal_at(fresh).close()
    assert objects(old) == objects(fresh), "steps and schema.sql lead to the same file"
    copy = old.with_name("journal.db.v1")
    assert version(copy) == 1
    assert rows_of(copy) == before
    for file in (copy, head_path(copy)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = copy.stat().st_mtime_ns
    journal_at(old).close()
    assert copy.stat().st_mtime_ns == written, "once is enough"


def test_steps_that_were_taken_are_not_taken_again(old: Path) -> None:
    journal_at(old).close()
    before = objects(old)
    database = sqlite3.connect(old, isolation_level=None)
    said: list[str] = []
    database.set_trace_callback(said.append)
    schema_module.migrate(database)
    database.close()
    assert said == ["PRAGMA user_version"], "asked, and nothing done"
    assert objects(old) == before


def test_readers_take_both_versions(old: Path) -> None:
    with JournalReader(old, wire) as reader:
        first = [item for _, item in reader.of_kind("SignalIn")]
        assert reader.version() == 1
    journal_at(old).close()
    with JournalReader(old, wire) as reader:
        assert [item for _, item in reader.of_kind("SignalIn")] == first
        assert reader.version() == 2


def test_a_copy_that_was_cut_short_is_made_again(old: Path) -> None:
    old.with_name("journal.db.v1.tmp").write_bytes(b"half of it")
    journal_at(old).close()
    assert rows_of(old.with_name("journal.db.v1"))
    assert not old.with_name("journal.db.v1.tmp").exists()


def test_a_copy_that_comes_out_wrong_stops_it(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = journal_module.copy_aside

    def wrong(*arguments: object) -> Path:
        copy = make(*arguments)  # type: ignore[arg-type]
        data = copy.read_bytes()
        copy.write_bytes(data.replace(b'"flatten"', b'"resumes"', 1))
        return copy

    monkeypatch.setattr(journal_module, "copy_aside", wrong)
    with pytest.raises(JournalError, match="did not come out right") as caught:
        journal_at(old)
    assert not isinstance(caught.value, JournalDamaged), "the journal itself is sound"
    assert version(old) == 1


def test_rows_that_change_on_the_way_are_noticed(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lossy(db: sqlite3.Connection) -> None:
        schema_module.migrate(db)
        db.execute("DROP TRIGGER record_is_never_deleted")
        db.execute("DELETE FROM record WHERE seq = (SELECT max(seq) FROM record)")

    monkeypatch.setattr(journal_module, "migrate", lossy)
    with pytest.raises(JournalDamaged):
        journal_at(old)


def test_rows_that_are_added_on_the_way_are_noticed(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with journal_at(old.with_name("more.db")) as more:
        for number in (*range(1, 21), 21):
            more.record(*step(number))
        more.flush()
        extra = list(more.rows())[-1]
    kept = journal_module.Journal._checked
    answers = iter([0, 1])

    def other(self: journal_module.Journal) -> tuple[int, bytes]:
        seq, hash_ = kept(self)
        return (seq, hash_) if not next(answers) else (extra.seq, extra.hash)

    monkeypatch.setattr(journal_module.Journal, "_checked", other)
    with pytest.raises(JournalDamaged, match="changed on the way to version 2"):
        journal_at(old)


def test_K_JR_04_a_step_that_fails_leaves_the_old_version(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_module, "STEPS", ((2, "CREATE INDEX nonsense ON nothing (nowhere)"),))
    with pytest.raises(JournalError):
        journal_at(old)
    assert version(old) == 1
    assert rows_of(old)
    monkeypatch.undo()
    journal_at(old).close()
    assert version(old) == SCHEMA_VERSION


def newer_by_its_rows(path: Path) -> None:
    """Of a later build that kept our table: its start row names its version."""
    with journal_at(path) as journal:
        journal._append("start", "RunInfo", b'{"run_id":1,"build":"later","config_hash":"","mode":"sim",'
                        b'"started_ns":1,"emergency":[],"schema":3,"more":[1]}', 1, None)  # fmt: skip
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 3")
    database.close()


def newer_by_its_table(path: Path) -> None:
    database = sqlite3.connect(path)
    database.executescript("ALTER TABLE record RENAME COLUMN hash TO digest; PRAGMA user_version = 3;")
    database.close()


@pytest.mark.parametrize("make", [newer_by_its_rows, newer_by_its_table])
def test_F_SYS_03_a_newer_file_is_refused_in_one_sentence_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "journal.db"
    journal_at(path).close()
    make(path)
    before = path.read_bytes()
    with JournalReader(path, wire) as reader:
        assert reader.verify().state == "newer"
    with pytest.raises(JournalError, match=r"written by a newer T-BOT.*run that one") as caught:
        journal_at(path)
    assert not isinstance(caught.value, JournalDamaged)
    with pytest.raises(JournalError, match="newer T-BOT"):
        put_aside_if_lost(path, wire)
    assert path.read_bytes() == before


def test_F_SYS_03_a_version_that_the_rows_do_not_know_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal_at(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 66")
    database.close()
    with pytest.raises(JournalDamaged, match="schema version 66"):
        journal_at(path)


@pytest.mark.parametrize("account", [None, 11])
@pytest.mark.parametrize("since", [None, 5])
def test_questions_about_rare_rows_walk_the_index(tmp_path: Path, account: int | None, since: int | None) -> None:
    """By the plan, not by the clock: a million timers are not looked at for the last 20 round trips."""
    with journal_at(tmp_path / "journal.db") as journal:
        query = newest_query("RoundTrip", account, since)
        values = [9, "RoundTrip", *(value for value in (account, since) if value is not None)]
        (plan,) = journal._db.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()
        assert plan[3] == "SEARCH record USING INDEX record_by_kind (kind=? AND rowid<?)"
        (plan,) = journal._db.execute(f"EXPLAIN QUERY PLAN {newest_query(None, None, None)}", [9]).fetchall()
        assert plan[3] == "SEARCH record USING INTEGER PRIMARY KEY (rowid<?)"


def test_timers_are_not_in_the_index(tmp_path: Path) -> None:
    """They are most of the rows: what they cost to write is what it was before there was an index."""
    with journal_at(tmp_path / "journal.db") as journal:
        for number in range(1, 31):
            journal.record(*step(number))
        journal.flush()
        kinds = [row.kind for row in journal.rows()]
        assert "TimerIn" in kinds
        listed = journal._db.execute(
            "SELECT kind FROM record INDEXED BY record_by_kind WHERE kind <> 'TimerIn'"
        ).fetchall()
        assert sorted(kind for (kind,) in listed) == sorted(kind for kind in kinds if kind != "TimerIn")
        timers = [row.seq for row in journal.newest("TimerIn")]
        assert timers == [row.seq for row in journal.rows() if row.kind == "TimerIn"][::-1]
