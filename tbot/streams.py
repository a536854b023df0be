"""The streams of a program, made fit to be written to before it begins, and let go when it has ended.

For the command line and for the emergency exit alike, so the standard library is all it needs.
"""

import contextlib
import io
import os
import sys
from typing import Any, TextIO


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody sits in front of it; not where it is closed."""
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


def prepare() -> None:
    """What was closed before the start (`>&-`) reads and writes nothing; what is not UTF-8 shows `?` for the rest.

    In the order of their numbers: a new file takes the smallest free one, so that no other file becomes stdout. What
    is said on stderr is no result: where it cannot be written (a full disk, a closed pipe), it is lost, and the
    command goes on to the end and the exit code that it would have had.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - as long as the process
            with contextlib.suppress(OSError):
                os.set_inheritable(nowhere.fileno(), True)
            setattr(sys, name, nowhere)
    for stream in (sys.stdout, sys.stderr):
        encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-")
        if encoding not in ("utf-8", "utf8") and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    sys.stderr = forgiving(sys.stderr, sys.__stderr__)


class _Forgiving(io.FileIO):
    """A file whose writes never fail: what it does not take is lost."""

    def write(self, data: Any) -> int:
        """Everything counts as written."""
        whole = memoryview(data).nbytes
        try:
            taken = super().write(data)
        except OSError:
            return whole
        return whole if taken is None else taken  # None: a pipe that does not wait, and is full


def forgiving(stream: TextIO, own: TextIO | None) -> TextIO:
    """The stream of the process (`own`) as one whose writes never fail; any other as it is: somebody put it there."""
    if stream is not own or not isinstance(stream, io.TextIOWrapper):
        return stream
    with contextlib.suppress(OSError, ValueError):
        stream.flush()
    raw = _Forgiving(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )  # fmt: skip


def settle() -> None:
    """Let stderr go where nothing can be written to it: Python would try again, and end with a code of its own."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, sys.stderr.fileno())
            os.close(nowhere)
