"""Lives of a journal on a disk that fails, for a process with `disk_shim.c`: disk_stories.py CHECK STORY FOLDER.

Each story checks itself and ends with a line of figures; an AssertionError says at which call it went wrong.
"""

import errno
import json
import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import tbot.storage.journal as journal_module
from disk_model import Disk, Shim
from journal_items import entry, has_entry, journal_at, step
from tbot.domain import messages as m
from tbot.errors import JournalDamaged, JournalError
from tbot.storage.journal import Journal
from tbot.storage.journal_rotation import JournalFamily
from tbot.storage.journal_salvage import put_aside_if_lost, sound_steps
from tbot.transport import wire

NAME = "journal.db"
EVERYTHING = Shim.WRITES | Shim.SYNCS | Shim.NAMES
STRIDE = int(os.environ.get("STRIDE", "1"))  # of the calls at which something happens
shim = Shim()


class Life:
    """What a journal was given, and which entries it said were safe, by the log's size at that moment."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.given: list[int] = []
        self.safe: list[tuple[int, int]] = []

    def open(self, **settings: object) -> Journal:
        return journal_at(self.path, **settings)

    def give(self, journal: Journal, numbers: range) -> None:
        for number in numbers:
            self.given.append(number)
            journal.record(*step(number))
            if has_entry(number):
                self.safe.append((shim.size(), number))
            elif number % 4 == 0:
                journal.flush()


def work(life: Life) -> None:
    """Made, written, folded in, closed, opened again."""
    journal_module.CHECKPOINT_ROWS = 12  # type: ignore[misc]
    with life.open() as journal:
        life.give(journal, range(1, 19))
    with life.open() as journal:
        life.give(journal, range(19, 23))


def older(path: Path) -> None:
    """Make it a file of version 1."""
    database = sqlite3.connect(path)
    database.executescript("DROP INDEX record_by_kind; PRAGMA user_version = 1; PRAGMA wal_checkpoint(TRUNCATE);")
    database.close()


def migration(life: Life) -> None:
    """A file of version 1 is brought to ours."""
    with life.open() as journal:
        life.give(journal, range(11, 15))


def rotation(life: Life) -> None:
    """A full file is left behind."""
    with life.open(rotate_rows=10) as journal:
        life.give(journal, range(11, 15))


def filled(folder: Path) -> Life:
    """A folder with a journal of ten steps."""
    folder.mkdir()
    life = Life(folder)
    with life.open() as journal:
        life.give(journal, range(1, 11))
    life.safe = [(0, number) for _, number in life.safe]
    return life


def filled_older(folder: Path) -> Life:
    life = filled(folder)
    older(life.path)
    return life


def empty(folder: Path) -> Life:
    folder.mkdir()
    return Life(folder)


Story = Callable[[Life], None]
STORIES: dict[str, tuple[Callable[[Path], Life], Story]] = {
    "work": (empty, work),
    "migration": (filled_older, migration),
    "rotation": (filled, rotation),
}


def steps_of(path: Path) -> list[tuple[m.DeskInput, list[m.DeskOutput]]]:
    """All steps in all files; the chain must be sound."""
    with JournalFamily(path, wire) as family:
        for reader, verdict in family.verify():
            assert verdict.state in ("ok", "torn"), (reader.path.name, verdict)
        return [(found.item, list(found.outputs)) for reader in family.readers for found in reader.steps()]


def check_prefix(path: Path, life: Life, safe: list[int]) -> None:
    """What is there is what was given, in order, and all that was said to be safe is there."""
    lost = put_aside_if_lost(path, wire)
    assert lost is None, f"taken for lost: {lost}"
    list(sound_steps(path, wire))
    if path.exists():
        with journal_at(path):
            pass  # a start repairs and goes on
        found = steps_of(path)
        assert found == [step(number) for number in life.given[: len(found)]], "not a prefix of what was given"
        assert not safe or len(found) > life.given.index(safe[-1]), f"entry {safe[-1]} was said to be safe"
    else:
        assert not safe, f"no journal, and entry {safe[-1]} was said to be safe"


def power_loss(name: str, folder: Path) -> dict[str, int]:
    """At every call: only what was synced survives, or everything, or some of it."""
    make, story = STORIES[name]
    live = folder / "live"
    life = make(live)
    disk = Disk({file.name: file.read_bytes() for file in live.iterdir()})
    shim.begin(live, EVERYTHING)
    story(life)
    shim.end()
    ops, rng, versions = shim.ops(), random.Random(1), set()
    for number, op in enumerate(ops):
        disk.take(op, live)
        if number % STRIDE:
            continue
        safe = [entry_ for size, entry_ in life.safe if size <= op.at]
        for policy in ("synced", "whole", "some"):
            left = folder / "left"
            disk.crash(left, rng if policy == "some" else None, whole=policy == "whole")
            try:
                versions.add(version(left / NAME))
                check_prefix(left / NAME, life, safe)
            except (AssertionError, JournalError) as error:
                raise AssertionError(
                    f"{name}, {policy}, behind call {number} {op.kind} {op.path.name}: {error}"
                ) from error
            shutil.rmtree(left)
    return {"calls": len(ops), "entries": len(life.safe), "versions": len(versions)}


def version(path: Path) -> int:
    if not path.exists():
        return 0
    database = sqlite3.connect(path)
    found = int(database.execute("PRAGMA user_version").fetchone()[0])
    database.close()
    return found


def killed(name: str, folder: Path) -> dict[str, int]:
    """SIGKILL in place of every call; what was written is in the kernel's hands and survives."""
    make, story = STORIES[name]
    number, counted, survived = 1, 0, False
    while not survived:
        live = folder / f"live-{number}"
        life = make(live)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            shim.begin(live, EVERYTHING, number, -1)
            story(life)
            os.write(writer, str(shim.end()).encode())
            os._exit(0)
        os.close(writer)
        _, status = os.waitpid(child, 0)
        survived = os.WIFEXITED(status)
        assert survived or os.WTERMSIG(status) == 9, f"{name}, call {number}: the story failed"
        counted, number = number, number + STRIDE
        os.close(reader)
        life.given = list(range(1, 23))
        check_prefix(live / NAME, life, [])
        shutil.rmtree(live)
    return {"calls": counted}


def full_disk(name: str, folder: Path) -> dict[str, int]:
    """No room from the n-th write on, for every n; then there is room again, and all goes on by itself."""
    make, story = STORIES[name]
    number, refusals = 1 - STRIDE, 0
    while True:
        number += STRIDE
        live = folder / f"live-{number}"
        life = make(live)
        before = list(life.given)
        shim.begin(live, Shim.WRITES | Shim.NAMES, number, errno.ENOSPC, sticky=True)
        try:
            story(life)
        except JournalError as error:
            refusals += 1
            if isinstance(error, JournalDamaged):
                raise AssertionError(f"{name}, write {number}: {error}") from error
        if shim.end() < number:
            return {"writes": number - 1, "refusals": refusals}
        check_prefix(live / NAME, life, [entry_ for _, entry_ in life.safe])
        with journal_at(live / NAME) as journal:
            assert not any(b"not trusted" in line for line in journal._emergency.lines())
            journal.record(m.TimerIn(0, {}), [entry(99)])
        assert steps_of(live / NAME)[-1] == (m.TimerIn(0, {}), [entry(99)])
        assert len(before) <= len(life.given)
        shutil.rmtree(live)


def room_returns(_: str, folder: Path) -> dict[str, int]:
    """As full_disk, with a writer that goes on: protection passes, entries wait for room, nothing is lost."""
    number, refused = 1 - STRIDE, 0
    while True:
        number += STRIDE
        live = empty(folder / f"live-{number}")
        shim.begin(live.path.parent, 0)  # it learns which files are open
        with live.open(max_waiting=5) as journal:
            shim.begin(live.path.parent, Shim.WRITES, number, errno.ENOSPC, sticky=True)
            for wanted in range(1, 19):
                try:
                    journal.record(*step(wanted))
                except JournalError:
                    refused += 1
                    assert has_entry(wanted), f"write {number}: protection was refused"
            counted = shim.end()
            assert not journal.broken, f"write {number}: {journal.trouble}"
            journal.record(*step(21))
            assert not journal.trouble
        if counted < number:
            return {"writes": counted, "refused": refused}
        assert steps_of(live.path) == [step(wanted) for wanted in (*range(1, 19), 21)], f"write {number}"
        shutil.rmtree(live.path.parent)


def io_errors(name: str, folder: Path) -> dict[str, int]:
    """EIO at every call, once and from then on: nothing that was safe is lost, and a failed file is not trusted."""
    figures = {"calls": 0, "distrusted": 0, "errors": 0}
    for sticky in (False, True):
        number = 1 - STRIDE
        while one_io_error(name, folder / "live", number := number + STRIDE, sticky, figures):
            shutil.rmtree(folder / "live")
        shutil.rmtree(folder / "live")
    return figures


def one_io_error(name: str, live: Path, number: int, sticky: bool, figures: dict[str, int]) -> bool:
    make, story = STORIES[name]
    life = make(live)
    where = f"{name}, {'from' if sticky else 'at'} call {number}"
    shim.begin(live, EVERYTHING | Shim.READS, number, errno.EIO, sticky=sticky)
    try:
        story(life)
    except JournalError:
        figures["errors"] += 1
    if shim.end() < number:
        return False
    figures["calls"] += 1
    safe = [entry_ for _, entry_ in life.safe]
    try:
        lost = put_aside_if_lost(live / NAME, wire)
        if lost is None:
            check_prefix(live / NAME, life, safe)
            return True
        figures["distrusted"] += 1
        assert "the disk refused" in lost.reason, lost
        assert lost.kept is not None, lost
        with journal_at(live / NAME) as journal:
            assert journal.head[0] == 1
        given = [item for item, _ in map(step, life.given)]
        found = [old.item for old in sound_steps(lost.kept, wire)]
        first = given.index(found[0]) if found else 0  # not 0: behind a full file
        assert found == given[first : first + len(found)], lost
    except (AssertionError, JournalError) as error:
        raise AssertionError(f"{where}: {error!r}") from error
    return True


CHECKS = {
    "power_loss": power_loss, "killed": killed, "full_disk": full_disk, "room_returns": room_returns,
    "io_errors": io_errors,
}  # fmt: skip

if __name__ == "__main__":
    check, story_name, where_ = sys.argv[1:]
    print(json.dumps(CHECKS[check](story_name, Path(where_))))
