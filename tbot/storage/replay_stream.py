"""A tape as the stream that replay, backtest and simulator play: opening records, quotes where it has none, clocks.

One function for all of them, so that "the same tape" means the same records everywhere (design rulings 2 and 20).
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from tbot.domain.contracts import BY_ID
from tbot.domain.timeframes import bar_start_ns
from tbot.errors import DataError
from tbot.storage.tape import TapeReader
from tbot.storage.tick_stream import Ticks, lockstep_stream
from tbot_ext.records import NO_PRICE, TICK_DTYPE, Kind


def contract_ids(tape: TapeReader) -> tuple[int, ...]:
    """Ids of the contracts of a tape that this build knows, ascending; DataError when there is none."""
    known = tuple(sorted(contract_id for contract_id in tape.contracts if contract_id in BY_ID))
    if not known:
        raise DataError(f"The tape {tape.path} holds no contract that this version knows.")
    return known


def first_ns(tape: TapeReader) -> int:
    """Exchange time of the first record, UTC ns; DataError for an empty tape."""
    for chunk in tape.chunks(1):
        return int(chunk["exch_ns"][0])
    raise DataError(f"The tape {tape.path} is empty.")


def unquoted(tape: TapeReader) -> dict[int, int]:
    """Typical spread (ticks) of those contracts of a tape that have no quotes of their own, by contract id."""
    quoted: set[int] = set()
    for block in tape.blocks():
        quoted |= set(np.unique(block["contract_id"][block["kind"] == Kind.QUOTE]).tolist())
    return {number: BY_ID[number].spread_ticks for number in contract_ids(tape) if number not in quoted}


def opening(numbers: Iterable[int], at_ns: int) -> Ticks:
    """One empty HISTORY record per contract: there is no past to wait for, bars count from the first tick on."""
    numbers = tuple(numbers)
    records = np.zeros(len(numbers), TICK_DTYPE)
    records["contract_id"] = numbers
    records["kind"] = Kind.HISTORY
    records["exch_ns"] = at_ns
    records["price"] = NO_PRICE
    records["volume"] = -1
    return records


def gaps_answered(chunks: Iterable[Ticks]) -> Iterator[Ticks]:
    """Behind each GAP an empty HISTORY record: nobody fills a hole of the past.

    Without it a decider would hold its bars back and wait for a history that never comes (tbot_ext.pipeline).
    """
    for chunk in chunks:
        gaps = chunk["kind"] == Kind.GAP
        if not np.any(gaps):
            yield chunk
            continue
        copies = gaps.astype(np.int64) + 1
        out = np.repeat(chunk, copies)
        answers = (np.cumsum(copies) - 1)[gaps]
        out["kind"][answers], out["price"][answers] = Kind.HISTORY, NO_PRICE
        for name in ("price2", "size", "aux", "side", "flags"):
            out[name][answers] = 0
        yield out


def replay_stream(tape: TapeReader) -> Iterator[Ticks]:
    """The whole stream of a tape in merge order, chunk by chunk; contracts unknown to this build are left out."""
    numbers = contract_ids(tape)
    # Covered "up to the start of the first minute", so that every bar of the tape is built from its ticks.
    yield opening(numbers, bar_start_ns(first_ns(tape), 1))
    chunks = tape.chunks()
    if len(numbers) < len(tape.contracts):
        chunks = (chunk[np.isin(chunk["contract_id"], numbers)] for chunk in chunks)
    yield from lockstep_stream(gaps_answered(chunks), unquoted(tape))


def instants(chunks: Iterable[Ticks]) -> Iterator[Ticks]:
    """The stream cut into runs of one exchange time each, also across the borders of chunks."""
    held: Ticks | None = None
    for chunk in chunks:
        if not len(chunk):
            continue
        records = chunk if held is None else np.concatenate((held, chunk))
        edges = [0, *(np.flatnonzero(np.diff(records["exch_ns"])) + 1).tolist()]
        for start, end in pairwise(edges):
            yield records[start:end]
        held = records[edges[-1] :]
    if held is not None:
        yield held
