"""Any mix of tapes and foreign files as one stream: what the backtest reads and `tbot import` writes.

A source may be tapes, CSV, Parquet and DBN files of ticks or bars; several files of one contract that follow each
other in time, or that complete each other (one of trades, one of quotes); and several contracts. Memory is flat for
tapes; of foreign files those that are being read are held.

`stream` gives for one tape exactly what replay_stream gives for it (tests/storage/test_sources.py), so a backtest on
any source sees what a replay of the imported tape would see.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tbot.domain.contracts import BY_ID, PRODUCTS
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S, bar_start_ns
from tbot.domain.trading_hours import SessionCalendar
from tbot.domain.words import plural
from tbot.errors import DataError
from tbot.storage.foreign import ForeignData, read_foreign
from tbot.storage.holes import LEAST_MIN, Hole, Silences, common_silences, holes_of
from tbot.storage.months import roll_record, same_month
from tbot.storage.parquet_ticks import tick_chunks, tick_meta
from tbot.storage.plain_file import check_plain
from tbot.storage.replay_stream import contract_ids, gaps_answered, opening
from tbot.storage.sessions import load_sessions
from tbot.storage.tape import FILE_MAGIC, TapeReader, between
from tbot.storage.tick_stream import Ticks, lockstep_stream, merge_order, merge_streams
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import TICK_DTYPE, Flag, Kind

TAPE_SUFFIX = ".tape"
_KEPT_TICKS = 1 << 20  # of foreign files, as long as together they are no more than this; else they are read again
_CHUNK = 1 << 14
LATE_NS = 5 * NS_PER_S  # two recordings that overlap by no more follow each other: late prints stand in the later one
_SYNTHETIC = int(Flag.SYNTHETIC)
# What a decision can depend on. Capture times, sequence numbers and epochs differ with the file's format.
_HASHED = ("exch_ns", "price", "price2", "size", "aux", "volume", "contract_id", "kind", "side", "flags")
_HASH_DTYPE = np.dtype([(name, TICK_DTYPE[name]) for name in _HASHED])


@dataclass(slots=True)
class _Seen:
    """What the records of one contract in one file are."""

    first_ns: int
    last_ns: int = 0
    records: int = 0
    trades: int = 0
    quotes: int = 0
    synthetic: int = 0  # of the trades
    gaps: int = 0
    rolls: int = 0  # of the gaps
    months: tuple[str, str] = ("", "")  # the first and the last, "" unknown
    silences: Silences = field(default_factory=Silences)

    def see(self, records: Ticks) -> None:
        """More of them, in order."""
        kinds, times = records["kind"], records["exch_ns"]
        trades, gaps = kinds == Kind.TRADE, kinds == Kind.GAP
        self.last_ns = int(times[-1])
        self.records += len(records)
        self.trades += int(np.count_nonzero(trades))
        self.quotes += int(np.count_nonzero(kinds == Kind.QUOTE))
        self.synthetic += int(np.count_nonzero(trades & ((records["flags"] & _SYNTHETIC) != 0)))
        if np.any(gaps):
            self.gaps += int(np.count_nonzero(gaps))
            self.rolls += int(np.count_nonzero(gaps & (records["aux"] == NEW_CONTRACT)))
        market = trades | (kinds == Kind.QUOTE)
        self.silences.push(times if np.all(market) else times[market])


@dataclass(slots=True)
class _Part:
    """One file: its records in merge order, as often as they are asked for."""

    number: int  # its place among the paths
    path: Path
    chunks: Callable[[], Iterator[Ticks]]
    described: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    is_tape: bool = False
    declared: tuple[int, ...] = ()  # contracts that it is about, with or without records
    seen: dict[int, _Seen] = field(default_factory=dict)
    first_ns: int = 0
    last_ns: int = 0

    def look(self, months: Mapping[int, tuple[str, str]]) -> None:
        """Read it once; DataError when it is damaged or nothing is in it."""
        for chunk in self.chunks():
            ids = chunk["contract_id"]
            present = np.flatnonzero(np.bincount(ids)).tolist()
            for contract_id in present:
                own = chunk if len(present) == 1 else chunk[ids == contract_id]
                if contract_id not in self.seen:
                    self.seen[contract_id] = _Seen(int(own["exch_ns"][0]), months=months.get(contract_id, ("", "")))
                self.seen[contract_id].see(own)
        if self.seen:
            self.first_ns = min(seen.first_ns for seen in self.seen.values())
            self.last_ns = max(seen.last_ns for seen in self.seen.values())


class Source:
    """Use `open_sources`. Times are UTC ns.

    `chunks` and `stream` may be called again and again, each time from the start.
    """

    def __init__(self, parts: list[_Part], tapes: list[TapeReader], span: str = "") -> None:
        self._tapes = tapes
        self._parts = sorted((part for part in parts if part.seen), key=lambda part: (part.first_ns, part.number))
        if not self._parts:
            named = ", ".join(str(part.path) for part in parts)
            raise DataError(f"There is no record{span} in {named}.")
        ids = sorted({contract_id for part in self._parts for contract_id in (*part.declared, *part.seen)})
        self.contracts: dict[int, str] = {number: BY_ID[number].symbol for number in ids}  # by id, ascending
        for number in ids:
            _check_overlap(number, [part for part in self._parts if number in part.seen])
        self.first_ns = min(part.first_ns for part in self._parts)
        self.last_ns = max(part.last_ns for part in self._parts)
        self.records = sum(seen.records for part in self._parts for seen in part.seen.values())
        self.content: dict[int, str] = {number: self._content(number) for number in ids}  # "ticks" or "bars"
        self.files: list[dict[str, Any]] = [part.described for part in sorted(parts, key=lambda part: part.number)]
        self._rolls = self._rolls_between()
        self._lanes = _lanes(self._parts)
        self.notes = tuple(self._notes())

    # ---------------------------------------------------------------------------------------------- what it holds
    def _of(self, contract_id: int) -> list[_Seen]:
        """What was seen of a contract, file by file in order of time."""
        found = [part.seen[contract_id] for part in self._parts if contract_id in part.seen]
        return sorted(found, key=lambda seen: seen.first_ns)

    def _content(self, contract_id: int) -> str:
        """One file of bars makes it bars: of the contract no more is known than of its coarsest file."""
        return "bars" if any(seen.synthetic for seen in self._of(contract_id)) else "ticks"

    @property
    def unquoted(self) -> dict[int, int]:
        """Typical spread (ticks) of the contracts without quotes of their own, by id: theirs are derived."""
        return {k: BY_ID[k].spread_ticks for k in self.contracts if not any(seen.quotes for seen in self._of(k))}

    def months(self, contract_id: int) -> tuple[str, str]:
        """The first and the last month of a contract as its files call them, "" where they do not."""
        seen = self._of(contract_id)
        return (seen[0].months[0], seen[-1].months[1]) if seen else ("", "")

    @property
    def rolls_between(self) -> int:
        """Roll marks that stand in no file: between two files of different months."""
        return len(self._rolls)

    @property
    def rolls(self) -> int:
        """How often another contract month begins."""
        return len(self._rolls) + sum(seen.rolls for part in self._parts for seen in part.seen.values())

    def holes(self, calendar: SessionCalendar | None = None) -> list[Hole]:
        """Stretches of more than ten minutes of trading time without a record of a contract, by contract and time.

        Trading time is that of `calendar`, by default the packaged sessions and the weekly pattern in other years.
        """
        calendar = calendar or SessionCalendar(load_sessions(), template_ok=True)
        found: list[Hole] = []
        for contract_id, symbol in self.contracts.items():
            silent = common_silences([(seen.first_ns, seen.last_ns, seen.silences) for seen in self._of(contract_id)])
            found += holes_of(symbol, silent, calendar)
        return found

    def _notes(self) -> Iterator[str]:
        for part in self._parts:
            yield from (f"{part.path.name}: {note}" for note in part.notes)
        if names := ", ".join(f"{self.contracts[k]} {n}" for k, n in self.unquoted.items() if self._of(k)):
            yield f"no quotes: derived from the trades with the typical spread in ticks ({names})"
        if gaps := sum(seen.gaps - seen.rolls for part in self._parts for seen in part.seen.values()):
            yield f"{plural(gaps, 'gap mark')}: data is missing before each"
        if len(self._rolls):
            yield f"{plural(len(self._rolls), 'roll')} between files, each marked; prices are not adjusted"
        holes = self.holes()
        for symbol in self.contracts.values():
            own = [hole for hole in holes if hole.symbol == symbol]
            if own:
                worst = max(own, key=lambda hole: hole.open_ns)
                yield (
                    f"{symbol}: {plural(len(own), 'hole')} of more than {LEAST_MIN} min in trading time, the largest "
                    f"{worst.open_ns // NS_PER_MIN} min from {_utc(worst.start_ns)}"
                )

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 over the merged records: equal data has an equal hash, whatever files it came in. Reads it all."""
        digest = hashlib.sha256()
        for chunk in self.chunks():
            plain = chunk[chunk["kind"] != Kind.CLOCK]
            packed = np.empty(len(plain), _HASH_DTYPE)
            for name in _HASHED:
                packed[name] = plain[name]
            digest.update(packed.tobytes())
        return digest.hexdigest()

    # ----------------------------------------------------------------------------------------------------- records
    def chunks(self) -> Iterator[Ticks]:
        """The records of all files in merge order, in arrays of their own."""
        streams: list[Iterable[Ticks]] = [_one_after_the_other(lane) for lane in self._lanes]
        if len(self._rolls):
            streams.insert(0, [self._rolls])
        return merge_streams(streams)

    def stream(self) -> Iterator[Ticks]:
        """What replay_stream gives for a tape: opening records, quotes where there are none, clocks."""
        yield opening(self.contracts, bar_start_ns(self.first_ns, 1))
        yield from lockstep_stream(gaps_answered(self.chunks()), self.unquoted)

    def _rolls_between(self) -> Ticks:
        """A mark for each contract and file that holds another month than the file before it."""
        marks = [np.zeros(0, TICK_DTYPE)]
        for contract_id in self.contracts:
            for before, after in pairwise(self._of(contract_id)):
                left, month = before.months[1], after.months[0]
                if left and month and not same_month(left, month):
                    at_ns = after.first_ns
                    if after.synthetic:  # where its first bar starts, as within a file
                        at_ns = max(bar_start_ns(at_ns, 1), before.last_ns + 1)
                    marks.append(roll_record(contract_id, at_ns))
        return merge_order(np.concatenate(marks))

    def close(self) -> None:
        """Let go of the files."""
        for tape in self._tapes:
            tape.close()

    def __enter__(self) -> "Source":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_sources(
    paths: Sequence[Path],
    contract: str | None = None,
    tz: str | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> Source:
    """Open and check files; records of since_ns <= exch_ns < until_ns (UTC ns) only, where given.

    `contract` overrides the product in the names of foreign files, `tz` is the zone of times that carry none. Raises
    DataError for a file that is foreign, empty, damaged, or overlaps another one of its contract.
    """
    if not paths:
        raise DataError("There is nothing to read: no file was named.")
    tapes: list[TapeReader] = []
    parts: list[_Part] = []
    shelf = _Shelf(contract, tz, since_ns, until_ns)
    try:
        for number, path in enumerate(map(Path, paths)):
            if is_tape(path):
                tapes.append(TapeReader(path))
                parts.append(_tape_part(number, tapes[-1], since_ns, until_ns))
            elif (meta := tick_meta(path)) is not None:
                parts.append(_parquet_part(number, path, meta, since_ns, until_ns))
            else:
                parts.append(shelf.part(number, path))
        span = "" if since_ns is None and until_ns is None else " of that time"
        return Source(parts, tapes, span)
    except BaseException:
        for tape in tapes:
            tape.close()
        raise


def is_tape(path: Path) -> bool:
    """By its name, or by its first bytes."""
    if path.suffix == TAPE_SUFFIX:
        return True
    try:
        check_plain(path)
        with path.open("rb") as file:
            return file.read(len(FILE_MAGIC)) == FILE_MAGIC
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _tape_part(number: int, tape: TapeReader, since_ns: int | None, until_ns: int | None) -> _Part:
    known = contract_ids(tape)
    _check_tick_sizes(tape, known)
    foreign = [symbol for contract_id, symbol in sorted(tape.contracts.items()) if contract_id not in known]

    def chunks() -> Iterator[Ticks]:
        for chunk in tape.chunks(since_ns=since_ns, until_ns=until_ns):
            yield chunk[np.isin(chunk["contract_id"], known)] if foreign else chunk

    part = _Part(number, tape.path, chunks, _described(tape), is_tape=True, declared=known)
    part.look(_tape_months(tape))
    for contract_id, seen in part.seen.items():
        if contract_id not in known:
            raise DataError(f"The tape {tape.path} holds records of contract {contract_id}, which its meta lacks.")
        if seen.rolls:
            seen.months = (seen.months[0], "" if seen.months[0] == seen.months[1] else seen.months[1])
    if foreign:
        part.notes.append(f"contracts that this version does not know are left out: {', '.join(foreign)}")
    if tape.dropped_bytes:
        part.notes.append(f"{tape.dropped_ticks} records that a crash left unfinished at its end are left out")
    return part


def _parquet_part(
    number: int, path: Path, meta: dict[str, Any], since_ns: int | None, until_ns: int | None
) -> _Part:
    """Ticks that were exported from a tape: streamed, as one."""

    def chunks() -> Iterator[Ticks]:
        for chunk in tick_chunks(path, meta):
            wanted = between(chunk, since_ns, until_ns)
            if len(wanted):
                yield wanted

    ids = {PRODUCTS[symbol].contract_id: row["months"] for symbol, row in meta["contracts"].items()}
    described = {"name": path.name, "content": f"exported {meta['kind']}", "data_hash": meta["tape_hash"]}
    part = _Part(number, path, chunks, described, declared=tuple(ids))
    part.look({number: (str(months[0]), str(months[1])) for number, months in ids.items()})
    return part


def _described(tape: TapeReader) -> dict[str, Any]:
    kept = ("source", "seed", "data_hash")
    return {"name": tape.path.name, "content": "tape", "ticks": len(tape)} | {
        name: tape.meta[name] for name in kept if name in tape.meta
    }


def _check_tick_sizes(tape: TapeReader, known: Iterable[int]) -> None:
    """Prices are counts of ticks, so a tape of other ticks would be read as other prices."""
    for contract_id in known:
        told = str(tape.meta["contracts"][str(contract_id)].get("tick_size", BY_ID[contract_id].tick_size))
        if told != str(BY_ID[contract_id].tick_size):
            raise DataError(
                f"The tape {tape.path} counts {BY_ID[contract_id].symbol} in ticks of {told}; this version has "
                f"{BY_ID[contract_id].tick_size}: import or record it again."
            )


def _tape_months(tape: TapeReader) -> dict[int, tuple[str, str]]:
    """First and last month by contract, as far as the meta of an import (both) or a recording (the first) tells."""
    found: dict[int, tuple[str, str]] = {}
    told = tape.meta.get("months")
    for symbol, months in told.items() if isinstance(told, dict) else ():
        if symbol in PRODUCTS:
            pair = (months, months) if isinstance(months, str) else (str(months[0]), str(months[1]))
            found[PRODUCTS[symbol].contract_id] = pair
    return found


class _Shelf:
    """Foreign files, read when they are needed; small ones are kept."""

    def __init__(self, contract: str | None, tz: str | None, since_ns: int | None, until_ns: int | None) -> None:
        self._contract = contract
        self._tz = tz
        self._span = (since_ns, until_ns)
        self._room = _KEPT_TICKS

    def _read(self, path: Path) -> ForeignData:
        return read_foreign(path, contract=self._contract, tz=self._tz)

    def part(self, number: int, path: Path) -> _Part:
        """Read a file for the first time."""
        data = self._read(path)
        months = (data.months[0][1], data.months[-1][1]) if data.months else ("", "")
        kept: Ticks | None = None
        if len(data.ticks) <= self._room:
            self._room -= len(data.ticks)
            kept = data.ticks
        part = _Part(number, path, lambda: self._chunks(data.ticks), data.as_meta(), list(data.notes))
        part.look({data.product.contract_id: months})
        part.chunks = lambda: self._chunks(self._read(path).ticks if kept is None else kept)
        return part

    def _chunks(self, ticks: Ticks) -> Iterator[Ticks]:
        wanted = between(merge_order(ticks), *self._span)
        for start in range(0, len(wanted), _CHUNK):
            yield wanted[start : start + _CHUNK]


def _check_overlap(contract_id: int, parts: Iterable[_Part]) -> None:
    """Files of one contract may complete each other, one of trades and one of quotes; DataError when they overlap."""
    latest: dict[str, tuple[int, _Part]] = {}
    for part in sorted(parts, key=lambda part: part.seen[contract_id].first_ns):
        seen = part.seen[contract_id]
        for kind in [name for name, count in (("trades", seen.trades), ("quotes", seen.quotes)) if count]:
            until_ns, before = latest.get(kind, (seen.first_ns, part))
            if seen.first_ns < until_ns - (LATE_NS if part.is_tape and before.is_tape else 0):
                raise DataError(
                    f"{before.path} and {part.path} overlap: both hold {kind} of {BY_ID[contract_id].symbol} from "
                    f"{_utc(seen.first_ns)} on; name one of them, or cut one."
                )
            latest[kind] = (max(until_ns, seen.last_ns), part)


def _lanes(parts: Sequence[_Part]) -> list[list[_Part]]:
    """The parts (by first_ns) in as few rows as possible, in each of which one ends before the next begins."""
    lanes: list[list[_Part]] = []
    for part in parts:
        lane = next((lane for lane in lanes if lane[-1].last_ns < part.first_ns), None)
        if lane is None:
            lanes.append([part])
        else:
            lane.append(part)
    return sorted(lanes, key=lambda lane: lane[0].number)


def _one_after_the_other(parts: Sequence[_Part]) -> Iterator[Ticks]:
    for part in parts:
        yield from part.chunks()


def _utc(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // NS_PER_S, UTC):%Y-%m-%d %H:%M} UTC"
