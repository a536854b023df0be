"""Ticks and bars of any source as Parquet files that any tool can read (the format: parquet_ticks)."""

import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tbot.domain.contracts import BY_ID, Product
from tbot.errors import DataError
from tbot.storage.parquet_ticks import FORMAT, META_KEY, SAME, VERSION, WORDS, need_pyarrow
from tbot.storage.sources import Source
from tbot_ext.bars import BarBuilder
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import NO_PRICE, Kind

KINDS = ("ticks", "trades", "quotes", "bars")
_ROWS = 1 << 17  # of a row group
_BAR_SAME = ("volume", "delta", "trades", "flags", "timeframe_min")


class Exported(NamedTuple):
    """One file that was written."""

    path: Path
    symbols: tuple[str, ...]
    rows: int


def export(source: Source, out: Path, kind: str, timeframe_min: int = 1, build: str = "") -> list[Exported]:
    """Write the records of `source` to `out`: one file, when it ends in .parquet, else a folder of one per contract.

    `build` names the version that writes, in the metadata. Memory is flat. Raises DataError when there is nothing to
    write, when a file exists already, and without pyarrow.
    """
    need_pyarrow("writing Parquet")
    single = out.suffix == ".parquet"
    folder = out.parent if single else out
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    shared = _File(out, _meta(source, kind, tuple(source.contracts), build), kind) if single else None
    files: dict[int, _File] = {}
    try:
        for ids, records in _wanted(source, kind, timeframe_min):
            if shared is not None:
                shared.write(ids, records)
                continue
            for contract_id in np.unique(ids).tolist():
                if contract_id not in files:
                    path = out / f"{source.contracts[contract_id]}_{kind}.parquet"
                    files[contract_id] = _File(path, _meta(source, kind, (contract_id,), build), kind)
                own = ids == contract_id
                files[contract_id].write(ids[own], records[own])
        if not any(file.rows for file in (shared, *files.values()) if file is not None):
            raise DataError(f"There are no {kind} to export.")
        return [file.finish() for file in (shared, *files.values()) if file is not None]
    finally:
        for file in (shared, *files.values()):
            if file is not None:
                file.give_up()


def _wanted(source: Source, kind: str, timeframe_min: int) -> Iterator[tuple[Any, Any]]:
    """(contract ids, records) in order of time."""
    if kind == "bars":
        yield from _bars(source, timeframe_min)
        return
    chosen = {"trades": Kind.TRADE, "quotes": Kind.QUOTE}.get(kind)
    for chunk in source.chunks():
        ticks = chunk if chosen is None else chunk[chunk["kind"] == chosen]
        yield ticks["contract_id"], ticks


def _bars(source: Source, timeframe_min: int) -> Iterator[tuple[Any, Any]]:
    """Closed bars, built as the engine builds them; another contract month begins anew."""
    builders: dict[int, BarBuilder] = {}
    for chunk in source.stream():
        ids = chunk["contract_id"]
        for contract_id in np.unique(ids).tolist():
            own = chunk[ids == contract_id]
            rolls = np.flatnonzero((own["kind"] == Kind.GAP) & (own["aux"] == NEW_CONTRACT))
            for number, part in enumerate(np.split(own, rolls)):
                if number or contract_id not in builders:
                    builders[contract_id] = BarBuilder()
                bars = builders[contract_id].push_ticks(part)
                bars = bars[bars["timeframe_min"] == timeframe_min]
                yield np.full(len(bars), contract_id), bars


class _File:
    """One Parquet file that comes into being beside its place and takes it when it is whole."""

    def __init__(self, path: Path, meta: dict[str, Any], kind: str) -> None:
        if path.exists():
            raise DataError(f"{path} exists already; choose another --out.")
        self.path = path
        self.rows = 0
        self._kind = kind
        self._meta = meta
        self._unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        self._seen: set[int] = set()
        self._held: list[tuple[Any, Any]] = []
        self._held_rows = 0
        self._writer: Any = None

    def write(self, ids: Any, records: Any) -> None:
        """Append records of these contracts."""
        if len(records):
            self._seen.update(np.unique(ids).tolist())
            self._held.append((ids, records))
            self._held_rows += len(records)
            self.rows += len(records)
        if self._held_rows >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        pa, pq = need_pyarrow("writing Parquet")
        ids = np.concatenate([held for held, _ in self._held])
        records = np.concatenate([held for _, held in self._held])
        symbols = np.array([BY_ID[number].symbol if number in BY_ID else "" for number in range(ids.max() + 1)], object)
        bars = self._kind == "bars"
        columns = _bar_columns(pa, records, ids) if bars else _tick_columns(pa, records, ids, self._kind)
        columns["symbol"] = pa.array(symbols[ids]).dictionary_encode()
        table = pa.table(columns).replace_schema_metadata({META_KEY: json.dumps(self._meta).encode()})
        try:
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._unfinished, table.schema, compression="zstd")
            self._writer.write_table(table, row_group_size=_ROWS)
        except OSError as error:
            raise DataError(f"{self.path} cannot be written: {error.strerror or error}.") from error
        self._held, self._held_rows = [], 0

    def finish(self) -> Exported:
        """Give it its name; returns what is in it."""
        if self._held_rows:
            self._flush()
        self._writer.close()
        self._unfinished.replace(self.path)
        return Exported(self.path, tuple(BY_ID[number].symbol for number in sorted(self._seen)), self.rows)

    def give_up(self) -> None:
        """Leaves nothing behind of a file that was not finished."""
        if self._writer is not None:
            self._writer.close()
        self._unfinished.unlink(missing_ok=True)


def _meta(source: Source, kind: str, ids: tuple[int, ...], build: str) -> dict[str, Any]:
    steps = sorted({str(BY_ID[number].tick_size) for number in ids})
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "tape_hash": source.data_hash,
        "contracts": {
            BY_ID[number].symbol: {
                "id": number,
                "tick_size": str(BY_ID[number].tick_size),
                "months": list(source.months(number)),
            }
            for number in ids
        },
        "tick_size": steps[0] if len(steps) == 1 else None,
        "tbot": build,
    }


def to_floats(ticks: Any, product: Product) -> Any:
    """Prices of integer ticks: the doubles nearest to the decimal prices; NaN where there is none."""
    scale = Decimal(10) ** product.decimals
    known = ticks != NO_PRICE
    prices = np.where(known, ticks, 0) * int(product.tick_size * scale) / float(scale)  # exact, then one rounding
    return np.where(known, prices, np.nan)


def _prices(records: Any, ids: Any, name: str) -> Any:
    out = np.full(len(records), np.nan)
    for number in np.unique(ids).tolist():
        own = ids == number
        out[own] = to_floats(records[name][own], BY_ID[number])
    return out


def _times(pa: Any, ns: Any) -> Any:
    return pa.array(np.ascontiguousarray(ns), pa.int64()).cast(pa.timestamp("ns", "UTC"))


def _tick_columns(pa: Any, records: Any, ids: Any, kind: str) -> dict[str, Any]:
    made = {"ts": _times(pa, records["exch_ns"]), "ts_recv": _times(pa, records["recv_ns"])}
    if kind == "ticks":
        words = np.array([WORDS.get(number, "none") for number in range(256)], object)
        made["kind"] = pa.array(words[records["kind"]]).dictionary_encode()
    first, second = ("bid", "ask") if kind == "quotes" else ("price", "price2")
    priced = np.isin(records["kind"], (Kind.TRADE, Kind.QUOTE))
    made[first] = pa.array(np.where(priced, _prices(records, ids, "price"), np.nan), from_pandas=True)
    made[f"{first}_ticks"] = pa.array(np.ascontiguousarray(records["price"]))
    if kind != "trades":
        quoted = records["kind"] == Kind.QUOTE
        made[second] = pa.array(np.where(quoted, _prices(records, ids, "price2"), np.nan), from_pandas=True)
        made[f"{second}_ticks"] = pa.array(np.ascontiguousarray(records["price2"]))
    return made | {name: pa.array(np.ascontiguousarray(records[name])) for name in SAME}


def _bar_columns(pa: Any, records: Any, ids: Any) -> dict[str, Any]:
    made = {"ts": _times(pa, records["start_ns"])}
    for name in ("open", "high", "low", "close"):
        made[name] = pa.array(_prices(records, ids, name), from_pandas=True)
        made[f"{name}_ticks"] = pa.array(np.ascontiguousarray(records[name]))
    return made | {name: pa.array(np.ascontiguousarray(records[name])) for name in _BAR_SAME}
