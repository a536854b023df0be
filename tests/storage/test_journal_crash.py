"""The journal after crashes and damage: nothing acknowledged is lost, nothing changed goes unseen (F-SYS-03, I15)."""

import contextlib
import multiprocessing
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from journal_items import RUN, has_entry, journal_at, step, write_for_ever, write_into_a_full_disk
from tbot.errors import JournalDamaged, JournalError
from tbot.storage.journal import Journal
from tbot.storage.journal_files import BLOCK, HeadFile, emergency_lines, head_path, read_head
from tbot.storage.journal_reader import JournalReader, Verdict, row_hash
from tbot.storage.journal_rotation import JournalFamily
from tbot.transport import wire

NAME = "journal.sqlite"
STEPS = 40


def snapshot(path: Path, to: Path) -> Path:
    """What a dead writer would have left: all files but the shared index, which recovery builds anew."""
    to.mkdir()
    for suffix in ("", "-wal", ".head", ".emergency"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            shutil.copyfile(source, to / (NAME + suffix))
            (to / (NAME + suffix)).chmod(0o600)
    return to / NAME


def look(path: Path) -> tuple[Verdict, list[tuple[Any, Any]]]:
    """The verdict, and the steps if the verdict is good."""
    with JournalReader(path, wire) as reader:
        verdict = reader.verify()
        if verdict.state == "mismatch":
            return verdict, []
        return verdict, [(found.item, list(found.outputs)) for found in reader.steps()]


def expected(count: int) -> list[tuple[Any, Any]]:
    return [step(number) for number in range(1, count + 1)]


def written(path: Path, *, close: bool) -> Path:
    """A journal of STEPS steps, closed in order or copied while the writer still has it open."""
    journal = journal_at(path)
    for number in range(1, STEPS + 1):
        journal.record(*step(number))
    journal.flush()
    if not close:
        left = snapshot(path, path.parent / "left")
        journal.close()
        return left
    journal.close()
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / NAME


def test_I15_F_SYS_04_a_crash_at_every_commit_point(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies are taken before a commit, between it and the head, and after the head, at every commit."""
    copies: list[tuple[Path, int, int]] = []  # where, entries acknowledged so far, steps recorded so far
    done = [0, 0]
    write = HeadFile.write

    def copy(point: str) -> None:
        copies.append((snapshot(path, tmp_path / f"{len(copies)}-{point}"), *done))

    def write_between_copies(self: HeadFile, seq: int, hash_: bytes) -> None:
        copy("committed")
        write(self, seq, hash_)
        copy("head")

    journal = journal_at(path)
    monkeypatch.setattr(HeadFile, "write", write_between_copies)
    journal._db.set_trace_callback(lambda statement: copy("begun") if statement.startswith("COMMIT") else None)
    for number in range(1, STEPS + 1):
        done[1] = number
        journal.record(*step(number))
        if has_entry(number):
            done[0] = number
        if number % 4 == 0:
            journal.flush()
    journal.close()
    monkeypatch.undo()
    assert {copied.parent.name.split("-")[1] for copied, _, _ in copies} == {"begun", "committed", "head"}
    for copied, acknowledged, recorded in copies:
        verdict, steps = look(copied)
        assert verdict.state == ("torn" if "committed" in copied.parent.name else "ok"), copied
        assert acknowledged <= len(steps) <= recorded
        assert steps == expected(len(steps))
        second = Path(shutil.copytree(copied.parent, copied.parent.with_name(f"{copied.parent.name}-rotated"))) / NAME
        with journal_at(copied) as again:
            again.record(*step(3))
            assert again.verify().state == "ok"
        with journal_at(second, rotate_rows=1) as again:  # also where the head stayed behind the last rows
            again.record(*step(3))
            assert again.verify().state == "ok"
        with JournalFamily(second, wire) as family:
            assert [verdict.state for _, verdict in family.verify()] == ["ok", "ok"]


def test_F_SYS_03_the_log_cut_at_every_frame(path: Path, tmp_path: Path) -> None:
    left = written(path, close=False)
    log = left.with_name(NAME + "-wal")
    whole, complete = log.read_bytes(), look(left)[1]
    assert complete == expected(STEPS)
    frame = 24 + 4096
    cuts = [0, 1, 31, *range(32, len(whole), frame), *random.Random(1).sample(range(len(whole)), 30)]
    for cut in cuts:
        log.write_bytes(whole[:cut])
        verdict, _ = look(left)
        assert verdict.state == "mismatch", f"cut at {cut}"
        with pytest.raises(JournalDamaged):
            journal_at(left)
        restore(left, {log: whole})
    assert look(left)[0].state == "ok"


def test_F_SYS_03_a_missing_log_or_file_is_noticed(path: Path) -> None:
    left = written(path, close=False)
    left.with_name(NAME + "-wal").unlink()
    assert look(left)[0].state == "mismatch"
    with pytest.raises(JournalDamaged):
        journal_at(left)
    left.unlink()
    with pytest.raises(JournalDamaged):
        journal_at(left)
    Journal.set_aside(left)
    journal_at(left).close()


def restore(path: Path, files: dict[Path, bytes]) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    for file, data in files.items():
        file.write_bytes(data)


@pytest.mark.parametrize("close", [True, False], ids=["closed", "crashed"])
@pytest.mark.parametrize("seed", range(2))
def test_I15_F_SYS_03_flipped_bits_are_noticed_or_touch_nothing(path: Path, close: bool, seed: int) -> None:
    left = written(path, close=close)
    complete, rng = look(left)[1], random.Random(seed)
    files = {p: p.read_bytes() for p in left.parent.iterdir() if p.name in (NAME, NAME + "-wal", NAME + ".head")}
    noticed = dict.fromkeys(files, 0)
    for file, data in files.items():
        places = {*range(min(len(data), 120)), *rng.sample(range(len(data)), min(len(data), 150))}
        for place in sorted(places):
            broken = bytearray(data)
            broken[place] ^= 1 << rng.randrange(8)
            restore(left, {**files, file: bytes(broken)})
            verdict, steps = look(left)
            noticed[file] += verdict.state == "mismatch"
            assert verdict.state == "mismatch" or steps == complete, f"{file.name} byte {place}"
    assert all(count > 0 for file, count in noticed.items() if len(files[file]) > 2 * BLOCK), noticed
    restore(left, files)
    assert look(left)[1] == complete


def test_F_SYS_03_a_word_that_is_no_text_any_more_is_damage_and_not_a_busy_file(path: Path) -> None:
    left = written(path, close=True)
    with contextlib.closing(sqlite3.connect(left)) as db, db:
        db.execute("DROP TRIGGER record_is_never_changed")
        db.execute("UPDATE record SET kind = CAST(x'506c61e4' AS TEXT) WHERE seq = 2")
    assert look(left)[0].state == "mismatch"


@pytest.mark.parametrize("cut", [0, 1, 100, 4096, 5000, 12_288, -4096, -1])
def test_F_SYS_03_a_file_cut_short_is_noticed(path: Path, cut: int) -> None:
    whole = written(path, close=True).read_bytes()
    if cut == -1:
        whole = whole.rstrip(b"\0")  # where a page ends early SQLite reads zeros: one that is gone changes nothing
    path.write_bytes(whole[:cut])
    try:
        state = look(path)[0].state
    except JournalError:
        state = "mismatch"
    assert state == "mismatch"
    with pytest.raises(JournalDamaged):
        journal_at(path)


def test_F_SYS_03_an_old_copy_put_back_is_noticed(path: Path, tmp_path: Path) -> None:
    journal_at(path).close()
    old = path.read_bytes()
    old_head = head_path(path).read_bytes()
    written(path, close=True)
    new, new_head = path.read_bytes(), head_path(path).read_bytes()
    path.write_bytes(old)
    verdict, _ = look(path)
    assert verdict.state == "mismatch"
    assert "gone" in verdict.reason
    path.write_bytes(new)
    assert look(path)[0].state == "ok"
    head_path(path).write_bytes(old_head)
    assert look(path)[0].state == "torn", "a head that lags is what a crash leaves, and the chain vouches for the rows"
    head_path(path).write_bytes(new_head)
    other = tmp_path / "other"
    other.mkdir()
    journal_at(other / NAME).close()
    head_path(path).write_bytes(head_path(other / NAME).read_bytes())
    verdict, _ = look(path)
    assert (verdict.state, "not the one" in verdict.reason) == ("mismatch", True), "the head of another journal"


@pytest.mark.parametrize("damage", [lambda head: head.unlink(), lambda head: head.write_bytes(b"")])
def test_F_SYS_03_rows_without_a_head_are_a_mismatch(path: Path, damage: Callable[[Path], None]) -> None:
    written(path, close=True)
    damage(head_path(path))
    assert look(path)[0].state == "mismatch"
    for _ in range(2):
        with pytest.raises(JournalDamaged):
            journal_at(path)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE record SET body = CAST('{}' AS BLOB) WHERE seq = 20",
        "UPDATE record SET account = 99 WHERE seq = 20",
        "UPDATE record SET account = 0 WHERE seq = (SELECT min(seq) FROM record WHERE account IS NULL)",
        "UPDATE record SET market_ns = market_ns + 1 WHERE seq = 20",
        "UPDATE record SET boot_ns = 0 WHERE seq = 20",
        "UPDATE record SET direction = 'note' WHERE seq = (SELECT max(seq) FROM record WHERE direction = 'out')",
        "UPDATE record SET kind = 'TimerIn' WHERE seq = (SELECT max(seq) FROM record WHERE kind != 'TimerIn')",
        "UPDATE record SET hash = zeroblob(32) WHERE seq = (SELECT max(seq) FROM record)",
        "DELETE FROM record WHERE seq = 20",
        "DELETE FROM record WHERE seq = 1",
        "DELETE FROM record WHERE seq = (SELECT max(seq) FROM record)",
        "DELETE FROM record",
        "UPDATE record SET seq = seq + 1000",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 1; PRAGMA user_version = 3",
        "DROP INDEX record_by_kind",
        "DROP INDEX record_by_kind; CREATE INDEX record_by_kind ON record (kind) WHERE kind <> 'SignalIn'",
    ],
)
def test_F_SYS_03_changed_rows_and_versions_are_noticed(path: Path, change: str) -> None:
    written(path, close=True)
    db = sqlite3.connect(path)
    db.executescript(f"DROP TRIGGER record_is_never_changed; DROP TRIGGER record_is_never_deleted; {change};")
    db.close()
    assert look(path)[0].state == "mismatch"
    with pytest.raises(JournalDamaged):
        journal_at(path)


def test_F_SYS_03_a_forged_row_with_a_hash_of_its_own_is_noticed_by_its_successor(path: Path) -> None:
    written(path, close=True)
    with JournalReader(path, wire) as reader:
        row = next(reader.rows(after=19))
    body = row.body.replace(b"flatten", b"resume")
    assert body != row.body
    forged = row_hash(row.previous, row.seq, row.boot_ns, row.market_ns, row.account, row.direction, row.kind, body)
    db = sqlite3.connect(path)
    db.execute("DROP TRIGGER record_is_never_changed")
    db.execute("UPDATE record SET body = ?, hash = ? WHERE seq = 20", (body, forged))
    db.commit()
    db.close()
    verdict, _ = look(path)
    assert (verdict.state, verdict.seq) == ("mismatch", 20)


def test_F_SYS_03_a_file_that_is_no_journal_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    path.chmod(0o600)
    with pytest.raises(JournalError):
        journal_at(path)
    other = path.with_name("other.sqlite")
    other.touch(mode=0o600)
    db = sqlite3.connect(other)
    db.executescript("CREATE TABLE owner (name TEXT); INSERT INTO owner VALUES ('somebody');")
    db.close()
    with pytest.raises(JournalDamaged):
        journal_at(other)
    assert sqlite3.connect(other).execute("SELECT name FROM owner").fetchall() == [("somebody",)]


@pytest.mark.parametrize("done", range(0, 60, 7))
def test_F_SYS_04_a_torn_head_write_leaves_the_head_before_it(tmp_path: Path, done: int) -> None:
    path = tmp_path / "head"
    head = HeadFile(path)
    head.write(1, bytes(32))
    head.write(2, b"\2" * 32)
    before = path.read_bytes()
    head.write(3, b"\3" * 32)
    after = path.read_bytes()
    head.close()
    changed = next(place for place in range(len(after)) if before[place] != after[place]) // BLOCK * BLOCK
    path.write_bytes(before[:changed] + after[changed : changed + done] + before[changed + done :])
    assert read_head(path) == (2, b"\2" * 32)
    again = HeadFile(path)
    again.write(3, b"\3" * 32)
    again.close()
    assert read_head(path) == (3, b"\3" * 32)


def test_a_crash_while_the_journal_is_made_does_not_stop_the_next_start(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[Path] = []
    execute_points = []

    def copy(*_: object) -> None:
        if path.parent.exists():
            copies.append(snapshot(path, tmp_path / f"copy-{len(copies)}"))

    connect = sqlite3.connect

    def traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        copy()
        db = connect(*args, **kwargs)
        db.set_trace_callback(copy)
        execute_points.append(1)
        return db

    write = HeadFile.write

    def write_between_copies(self: HeadFile, seq: int, hash_: bytes) -> None:
        copy()
        write(self, seq, hash_)
        copy()

    monkeypatch.setattr(sqlite3, "connect", traced)
    monkeypatch.setattr(HeadFile, "write", write_between_copies)
    journal_at(path).close()
    monkeypatch.undo()
    assert execute_points
    assert len(copies) > 12
    for copied in copies:
        with journal_at(copied) as journal:
            assert journal.verify().state == "ok"
            assert journal.runs()[-1][1].run_id == RUN.run_id


@pytest.mark.parametrize("seed", range(4))
def test_I1_K_EX_04_every_entry_acknowledged_before_a_kill_is_there(path: Path, seed: int) -> None:
    rng, spawn = random.Random(seed), multiprocessing.get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    writer = spawn.Process(target=write_for_ever, args=(str(path), there), daemon=True)
    writer.start()
    there.close()
    acknowledged, enough = 0, rng.randint(1, 150)
    while acknowledged < enough * 3:
        assert here.poll(60), "the writer does not write"
        acknowledged = here.recv()
    writer.kill()
    writer.join()
    while here.poll():
        try:
            acknowledged = here.recv()
        except EOFError:
            break
    verdict, steps = look(path)
    assert verdict.state in ("ok", "torn")
    assert len(steps) >= acknowledged
    assert steps == expected(len(steps))
    with journal_at(path) as again:
        assert again.verify().state == "ok"


@pytest.mark.parametrize("limit", [320_000, 400_000])
def test_F_SYS_01_F_SYS_02_no_write_beyond_a_limit_loses_nothing_acknowledged(path: Path, limit: int) -> None:
    """The write fails with an error that is not "disk full", so the file is given up: entries end for good."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    writer = spawn.Process(target=write_into_a_full_disk, args=(str(path), limit, there))
    writer.start()
    there.close()
    assert here.poll(60)
    acknowledged, refused, trouble, noted = here.recv()
    writer.join(60)
    assert acknowledged
    assert refused
    assert max(acknowledged) < min(refused)
    assert trouble
    assert noted, "the emergency file has its room from the start"
    verdict, steps = look(path)
    assert verdict.state in ("ok", "torn")
    assert steps == expected(len(steps))
    assert len(steps) >= max(acknowledged)
    with pytest.raises(JournalDamaged, match="I/O error"):
        journal_at(path)
    left = emergency_lines(Journal.set_aside(path))
    assert left[-1] == b"last words"
    assert any(b"CloseContract" in line for line in left)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_journal_that_cannot_be_read_is_told(path: Path) -> None:
    written(path, close=True)
    path.chmod(0)
    with pytest.raises(JournalError):
        JournalReader(path, wire).verify()
