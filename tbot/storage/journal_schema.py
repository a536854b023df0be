"""Versions of the journal's file (`PRAGMA user_version`) and the numbered steps from each to the next.

A step may add to the file, never touch a row: the hash chain must come out as it went in. The writer takes the steps
at opening, each in a transaction of its own that also raises the version, so a file is always exactly one version.

* 1: table `record`, its triggers, view `meta`
* 2: index `record_by_kind`
"""

import contextlib
import os
import sqlite3
from importlib import resources
from pathlib import Path
from typing import Final

from tbot.storage.journal_files import HeadFile, head_path, open_private, sync_directory

SCHEMA_VERSION: Final = 2
READABLE: Final = range(1, SCHEMA_VERSION + 1)
# Version that a step leads to, and its one statement. schema.sql is what all of them lead to.
STEPS: Final = ((2, "CREATE INDEX IF NOT EXISTS record_by_kind ON record (kind) WHERE kind <> 'TimerIn'"),)


def version_of(db: sqlite3.Connection) -> int:
    """Raises sqlite3.Error."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def create(db: sqlite3.Connection) -> None:
    """Put the tables of the newest version into an empty file. Raises sqlite3.Error."""
    schema = resources.files("tbot.storage").joinpath("schema.sql").read_text(encoding="utf-8")
    db.executescript(f"BEGIN; {schema} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")


def migrate(db: sqlite3.Connection) -> None:
    """Take the steps that are missing. Raises sqlite3.Error; the file is then the old version or that of a step."""
    for version, statement in STEPS:
        if version_of(db) >= version:
            continue
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute(statement)
            db.execute(f"PRAGMA user_version = {version}")
            db.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")  # a full disk did this already
            raise


def copy_aside(db: sqlite3.Connection, path: Path, head: tuple[int, bytes]) -> Path:
    """A synced copy of the journal with its head, named after its version: `<name>.v1`. Raises sqlite3.Error, OSError.

    Why SQLite's own backup: newest rows may still be in the log, which a copied file would not have.
    """
    copy = path.with_name(f"{path.name}.v{version_of(db)}")
    temporary = copy.with_name(copy.name + ".tmp")
    temporary.unlink(missing_ok=True)  # of an attempt that was cut short
    descriptor = open_private(temporary, 0)
    try:
        with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as target:
            target.execute("PRAGMA synchronous = FULL")
            db.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # one file, which needs no log beside it
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    with contextlib.closing(HeadFile(head_path(copy))) as file:
        file.write(*head)
    temporary.replace(copy)
    sync_directory(path.parent)
    return copy
