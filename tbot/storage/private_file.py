"""Small files of ours alone (0600), put in place whole: a reader sees the old one or the new one (I31, I33)."""

import contextlib
import os
from pathlib import Path


def replace_private(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write `data` to `path` atomically, whatever the umask is; what was there, a link too, is replaced.

    OSError when that is not possible; then the old file stays and nothing is left over.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()  # of a process of this number that died while writing
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
