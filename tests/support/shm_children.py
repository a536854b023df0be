"""Child processes for the shared-memory tests; each reports over a pipe."""

import os
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from tbot.errors import TbotError
from tbot.transport.shm import Segment, run_directory


def hold_run(base: Path, pipe: Connection) -> None:
    """Make a run directory with a segment in it and live on until killed."""
    directory = run_directory(base)
    segment = Segment.create(directory, "ring-MNQ", 4096, run_id=5)
    segment.buf[:5] = b"alive"
    pipe.send(directory)
    while True:
        time.sleep(3600)


def attach_and_leave(directory: Path, name: str, pipe: Connection) -> None:
    """Attach, write, exit without closing anything."""
    segment = Segment.attach(directory, name)
    segment.array(np.uint8)[0] = 42
    pipe.send("written")


def unlink_foreign(directory: Path, name: str, pipe: Connection) -> None:
    """Try to remove a segment that another process created."""
    with Segment.attach(directory, name) as segment:
        try:
            segment.unlink()
        except TbotError as error:
            pipe.send(str(error))
        else:
            pipe.send("removed")


def as_other_user(directory: Path, name: str, pipe: Connection) -> None:
    """Give up root for uid 65534 and try what another user would: attach, create, sweep; reports what was raised."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    report = []
    for act in (
        lambda: Segment.attach(directory, name),
        lambda: Segment.create(directory, "mine", 100),
        lambda: run_directory(directory),
    ):
        try:
            act()
            report.append("nothing")
        except TbotError as error:
            report.append(type(error).__name__)
    pipe.send(report)


def truncated(directory: Path, name: str, pipe: Connection) -> None:
    """Attach, say so, and touch the last byte when told to."""
    segment = Segment.attach(directory, name)
    pipe.send("attached")
    pipe.recv()
    segment.buf[-1] = 1
    pipe.send("survived")
