"""The streams of a command line, made fit to be written to before a command begins, and let go when it has ended."""

import contextlib
import os
import sys
from typing import TextIO


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody sits in front of it; not where it is closed."""
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


def prepare() -> None:
    """What was closed before the start (`>&-`) reads and writes nothing; what is not UTF-8 shows `?` for the rest.

    In the order of their numbers: a new file takes the smallest free one, so that no other file becomes stdout.
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


def settle() -> None:
    """Let stderr go where nothing can be written to it: Python would try again, and end with a code of its own."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, sys.stderr.fileno())
            os.close(nowhere)
