"""Parquet files of ticks that `tbot record export` wrote, read back as the records that they were.

One row a record. Prices stand twice: as floats exactly on the tick grid and as integer ticks. Times are UTC with
nanoseconds. The schema's metadata (key `tbot`, JSON) says of what the rows are: `format, version, kind, tape_hash,
contracts {symbol: {id, tick_size, months}}, tick_size` (null when the contracts differ in it)`, tbot`.

kind ticks    every record of the tape, so that an import gives the same tape again
kind trades   the trades alone, kind quotes the best bids and asks: without the columns that they do not need
kind bars     closed bars of one timeframe (parquet_export), which are read as any other file of bars
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tbot.domain.contracts import PRODUCTS
from tbot.errors import DataError, missing_extra
from tbot.storage.plain_file import check_plain
from tbot.storage.tick_stream import Ticks, is_ordered
from tbot_ext.records import TICK_DTYPE, Kind

FORMAT = "tbot.ticks"
VERSION = 1
META_KEY = b"tbot"
SAME = ("size", "side", "volume", "flags", "aux", "seq", "epoch")  # columns that are the record's fields, by name
WORDS = {int(kind): kind.name.lower() for kind in Kind}
_NUMBERS = {word: number for number, word in WORDS.items()}
_BATCH = 1 << 14


def need_pyarrow(what: str) -> tuple[Any, Any]:
    """pyarrow and pyarrow.parquet; MissingExtra that says how to get them."""
    try:
        import pyarrow as pa  # here, because it is an extra and slow to import
        import pyarrow.parquet as pq
    except ImportError:
        raise missing_extra(what, "pyarrow", "data") from None
    return pa, pq


def tick_meta(path: Path) -> dict[str, Any] | None:
    """The metadata of a file of ticks, trades or quotes of ours; None when it is any other file."""
    if path.suffix.lower() != ".parquet":
        return None
    pa, pq = need_pyarrow(f"reading {path}, a Parquet file,")
    try:
        check_plain(path)
        text = (pq.read_schema(path).metadata or {}).get(META_KEY)
        meta = json.loads(text) if text else None
    except (OSError, ValueError, pa.ArrowException):
        return None  # whoever reads it as a foreign file says what is wrong
    if not isinstance(meta, dict) or meta.get("format") != FORMAT or meta.get("kind") == "bars":
        return None
    if meta["version"] != VERSION:
        raise DataError(f"{path} has format {meta['version']}; this version reads {VERSION}: export it again.")
    for symbol, contract in meta["contracts"].items():
        product = PRODUCTS.get(symbol)
        if product is None or str(product.tick_size) != contract["tick_size"]:
            raise DataError(f"{path} counts {symbol} in ticks of {contract['tick_size']}, which this version does not.")
    return meta


def tick_chunks(path: Path, meta: dict[str, Any]) -> Iterator[Ticks]:
    """All records of such a file in merge order, a part at a time; DataError when it is not what it says."""
    pa, pq = need_pyarrow(f"reading {path}, a Parquet file,")
    last = np.zeros(0, TICK_DTYPE)
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH):
                ticks = _records(batch, meta["kind"])
                if not is_ordered(np.concatenate((last, ticks))):
                    raise DataError(f"{path} is not in order of time; export it again.")
                last = ticks[-1:]
                yield ticks
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as ticks: {error}.") from error


def _records(batch: Any, kind: str) -> Ticks:
    ticks = np.zeros(batch.num_rows, TICK_DTYPE)
    ticks["exch_ns"], ticks["recv_ns"] = _column(batch, "ts"), _column(batch, "ts_recv")
    for name in SAME:
        ticks[name] = _column(batch, name)
    ticks["contract_id"] = [PRODUCTS[symbol].contract_id for symbol in batch.column("symbol").to_pylist()]
    if kind == "ticks":
        ticks["kind"] = [_NUMBERS[word] for word in batch.column("kind").to_pylist()]
    else:
        ticks["kind"] = Kind.QUOTE if kind == "quotes" else Kind.TRADE
    ticks["price"] = _column(batch, "bid_ticks" if kind == "quotes" else "price_ticks")
    if kind != "trades":
        ticks["price2"] = _column(batch, "ask_ticks" if kind == "quotes" else "price2_ticks")
    return ticks


def _column(batch: Any, name: str) -> Any:
    values = batch.column(name).to_numpy(zero_copy_only=False)
    return values.astype(np.int64) if values.dtype.kind == "M" else values
