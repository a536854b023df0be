"""How commands write lines: fitted to a terminal, and for the emergency commands so that nothing stops them."""

import contextlib
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable

import click

from tbot.streams import is_terminal


def say(sentence: str, *, err: bool = False) -> None:
    """Write one line to stdout or stderr; where that fails (a closed pipe, a full disk) nothing is written from now on.

    Whatever becomes of the terminal, what an emergency command does goes on, and so does its exit code.
    Why the stream is let go: Python would try again to write what is left in it, and end with an exit code of its own.
    """
    try:
        click.echo(sentence, err=err)
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, (sys.stderr if err else sys.stdout).fileno())
            os.close(nowhere)


def terminal_width(*, err: bool = False) -> int:
    """Columns of the terminal behind stdout (or stderr); 0 for a pipe or a file, whose lines are never broken."""
    return shutil.get_terminal_size().columns if is_terminal(sys.stderr if err else sys.stdout) else 0


def fitted(line: str, width: int) -> str:
    """A line for a terminal of this width, broken between words; 0: as it is."""
    if not width or len(line) <= width:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.fill(line, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def show(lines: Iterable[str], *, err: bool = False) -> None:
    """Lines for a person on stdout (or stderr)."""
    width = terminal_width(err=err)
    for line in lines:
        click.echo(fitted(line, width), err=err)
