"""Pieces of tapes for tests."""

from pathlib import Path

import numpy as np

from tbot.domain.contracts import PRODUCTS
from tbot.storage.importers import import_files
from tbot.storage.tape import TapeReader, TapeWriter, merge_order, tape_meta

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


def gold_as_two_contracts(source: Path, target: Path, hours: int) -> None:
    """A tape that holds the first hours of a file of gold trades twice: as GC and as MGC, each instant shared."""
    whole = target.with_suffix(".whole")
    import_files((source,), whole, contract="GC")
    with TapeReader(whole) as reader:
        ticks = reader.ticks.copy()
    ticks = ticks[ticks["exch_ns"] < ticks["exch_ns"][0] + hours * 60 * MINUTE_NS]
    micro = ticks.copy()
    micro["contract_id"] = PRODUCTS["MGC"].contract_id
    with TapeWriter(target, tape_meta([PRODUCTS["GC"], PRODUCTS["MGC"]], "test")) as writer:
        writer.write(merge_order(np.concatenate((ticks, micro))))
