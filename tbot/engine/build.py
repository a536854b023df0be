"""Which program this process is: the version, and a mark of every file that it is made of."""

import hashlib
from functools import cache
from pathlib import Path

import tbot_ext

SUFFIXES = {".py", ".so", ".pyd", ".toml", ".sql"}


def build_id(version: str) -> str:
    """`0.1.0+1a2b3c4d`, the same for all processes that were started from the same files."""
    return f"{version}+{files_mark()}"


@cache
def files_mark() -> str:
    """Of names, sizes and times of change of all files, as they were when this process first asked.

    Every process asks at its start, so that an upgrade in place (F-CFG-04) shows in the next process that is started.
    """
    mark = hashlib.sha256()
    for root in (Path(__file__).parents[1], Path(tbot_ext.__path__[0])):
        for path in sorted(root.rglob("*")):
            if path.suffix in SUFFIXES:
                found = path.stat()
                mark.update(f"{path.relative_to(root)} {found.st_size} {found.st_mtime_ns}\n".encode())
    return mark.hexdigest()[:8]
