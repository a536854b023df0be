"""Words of the emergency commands: whatever becomes of the terminal, what they do goes on; so does their exit code."""

import contextlib
import os
import sys

import click


def say(sentence: str, *, err: bool = False) -> None:
    """Write one line to stdout or stderr; where that fails (a closed pipe, a full disk) nothing is written from now on.

    Why the stream is let go: Python would try again to write what is left in it, and end with an exit code of its own.
    """
    try:
        click.echo(sentence, err=err)
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, (sys.stderr if err else sys.stdout).fileno())
            os.close(nowhere)
