"""When a run began, for its tags."""

import time
from pathlib import Path

import msgspec

from tbot.storage.journal import Journal
from tbot.transport import wire


class _Started(msgspec.Struct):
    """What every version of DeskRecord has."""

    run_start_ms: int = 0


def next_run_ms(journal: Path, now_ns: int | None = None) -> int:
    """Start of a run, UTC ms: now, but later than every run in the journal. JournalError when it cannot be read.

    Tags must never repeat, and an order of a later run means another engine; a wall clock that was set back between two
    runs must do neither (F-TIM-01, I2).
    """
    now_ms = (time.time_ns() if now_ns is None else now_ns) // 1_000_000
    if not journal.exists():
        return now_ms
    with Journal.open_readonly(journal, wire) as reader:
        starts = [_start_of(info.desk) for _, info in reader.runs()]
    return max([now_ms, *(start + 1 for start in starts)])


def _start_of(desk: str) -> int:
    try:
        return msgspec.json.decode(desk.encode(), type=_Started).run_start_ms
    except msgspec.MsgspecError:
        return 0  # of a version that wrote something else there
