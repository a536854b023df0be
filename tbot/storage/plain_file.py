"""Whether a place is a plain file that can be read: a pipe nobody writes would hang, and a device has no end."""

import errno
import os
import stat
from pathlib import Path

_KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a pipe, not a plain file"),
    (stat.S_ISSOCK, "it is a socket, not a plain file"),
)


def check_plain(path: Path) -> None:
    """OSError for what is no plain file, or is not there; `strerror` says so in words that fit into a sentence."""
    mode = os.stat(path).st_mode
    if stat.S_ISREG(mode):
        return
    why = next((words for is_kind, words in _KINDS if is_kind(mode)), "it is a device, not a plain file")
    raise OSError(errno.EINVAL, why, str(path))


def why_unreadable(path: Path) -> str:
    """Why nothing can be read there; "" for a plain file that can be read."""
    try:
        check_plain(path)
    except (OSError, ValueError) as error:  # ValueError: no name of a file
        return getattr(error, "strerror", None) or str(error)
    return "" if os.access(path, os.R_OK) else os.strerror(errno.EACCES)
