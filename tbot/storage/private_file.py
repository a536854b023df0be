"""Small files of ours alone (0600), put in place whole: a reader sees the old one or the new one (I31, I33)."""

import contextlib
import os
import stat
from pathlib import Path


def replace_private(path: Path, data: bytes, *, sync: bool = True, like: os.stat_result | None = None) -> None:
    """Write `data` to `path` atomically, whatever the umask is; what was there, a link too, is replaced.

    `like`: of a file without secrets, whose owner, group and mode are kept; never that anybody may write to it, and the
    group's rights only where it is the same group.

    OSError when that is not possible; then the old file stays and nothing is left over.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()  # of a process of this number that died while writing
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            if like is not None:
                _keep(file.fileno(), like)
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _keep(descriptor: int, like: os.stat_result) -> None:
    mode = stat.S_IMODE(like.st_mode) & ~0o002
    with contextlib.suppress(OSError):
        os.fchown(descriptor, like.st_uid, like.st_gid)
    if os.fstat(descriptor).st_gid != like.st_gid:
        mode &= ~0o070
    os.fchmod(descriptor, mode)
