"""State directories of runs that start from nothing (demo, replay), and what becomes of them when their run is gone."""

import json
import os
import re
import shutil
import stat
import tempfile
import time
from pathlib import Path

from tbot.engine.settings import Mode
from tbot.storage.private_file import replace_private
from tbot.transport.process_identity import Owner, myself, process_space

MARKER = ".tbot-temporary"  # says whose such a directory is; without it nothing is ever removed
STILL_S = 60.0  # nobody has written for so long: an executor that outlives its launcher flattens first
_NAME = re.compile(r"tbot-(sim|replay)-[a-z0-9_]{8}")
_MAX_MARKER = 4096


def fresh_state(mode: Mode) -> Path:
    """A temporary state directory: yesterday's lock never greets a newcomer (design ruling 6)."""
    path = Path(tempfile.mkdtemp(prefix=f"tbot-{mode}-"))
    me = myself()
    document = {"pid": me.pid, "start": me.start, "space": process_space()}
    replace_private(path / MARKER, json.dumps(document).encode(), sync=False)
    return path


def is_temporary(path: Path) -> bool:
    """Whether a later run removes this state directory."""
    return _NAME.fullmatch(path.name) is not None and (path / MARKER).is_file()


def sweep_states(base: Path) -> list[Path]:
    """Remove the temporary state directories of our own dead runs from `base`; returns their paths.

    Left alone: links, what another user owns or may write to, what has no marker of ours or one that cannot be read,
    the runs of living processes and those of another process-number space, and where somebody wrote a moment ago.
    """
    removed = []
    for path in sorted(base.glob("tbot-*")):
        if _NAME.fullmatch(path.name) is None:
            continue
        try:
            if _is_left_over(path):
                shutil.rmtree(path)
                removed.append(path)
        except OSError:
            continue  # a sweeper beside us was faster, or something in it is not ours to remove
    return removed


def _is_left_over(path: Path) -> bool:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        return False
    owner = _owner(path / MARKER)
    if owner is None or owner.alive:
        return False
    newest_s = max(entry.stat(follow_symlinks=False).st_mtime for entry in os.scandir(path))
    return time.time() - newest_s > STILL_S


def _owner(marker: Path) -> Owner | None:
    """Whose directory it is; None when that cannot be told, or its processes cannot be seen from here."""
    descriptor = os.open(marker, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            return None
        document = json.loads(os.read(descriptor, _MAX_MARKER))
        if document["space"] != process_space():
            return None
        return Owner(int(document["pid"]), int(document["start"]))
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
    finally:
        os.close(descriptor)
