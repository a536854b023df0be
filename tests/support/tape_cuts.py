"""Pieces of tapes for tests."""

from pathlib import Path

from tbot.storage.tape import TapeReader, TapeWriter

MINUTE_NS = 60_000_000_000


def cut_minutes(source: Path, target: Path, minutes: int | None) -> int:
    """Copy the first whole minutes of a tape (None: all of it); returns the number of records."""
    with TapeReader(source) as reader:
        ticks = reader.ticks.copy()
        meta = dict(reader.meta)
    if minutes is not None:
        first = int(ticks["exch_ns"][0]) // MINUTE_NS * MINUTE_NS
        ticks = ticks[ticks["exch_ns"] < first + minutes * MINUTE_NS]
    with TapeWriter(target, meta) as writer:
        writer.write(ticks)
    return len(ticks)
