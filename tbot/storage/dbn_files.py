"""Databento files (.dbn, .dbn.zst) as plain columns, read through the package `databento-dbn` (extra `databento`).

Schemas: trades; mbp-1, tbbo (events of the best level); bbo-1s, bbo-1m (quotes); ohlcv-1s, ohlcv-1m (bars); mbo (every
order: the best bid and ask are rebuilt from it). Column names are the vendor's; prices are its integers of 1e-9, made
floats, with NaN for a side that is empty. Time is the exchange's (`ts_event`), of interval quotes their stamp.

Rebuilding from orders follows the vendor's description of mbo: A adds an order, C takes `size` away from it, M gives it
another price and size, R clears the book; T and F change nothing (a cancel follows). The book counts at the end of an
event (flag F_LAST), and records of the opening snapshot only fill it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.errors import DataError, missing_extra

Columns = dict[str, npt.NDArray[Any]]

SUFFIXES = (".dbn", ".dbn.zst")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_READ_BYTES = 1 << 20
_UNDEFINED = 2**63 - 1  # a price that is not there
_EVENT_END, _SNAPSHOT = 0x80, 0x20
_PRINT = ("ts_event", "ts_recv", "price", "size", "side", "sequence", "instrument_id")
_LEVEL = ("bid_px_00", "ask_px_00")
_FIELDS = {
    "trades": _PRINT,
    "mbp-1": (*_PRINT, "action", *_LEVEL),
    "tbbo": (*_PRINT, "action", *_LEVEL),
    "bbo-1s": ("ts_recv", "instrument_id", "sequence", *_LEVEL),
    "bbo-1m": ("ts_recv", "instrument_id", "sequence", *_LEVEL),
    "ohlcv-1s": ("ts_event", "instrument_id", "open", "high", "low", "close", "volume"),
    "ohlcv-1m": ("ts_event", "instrument_id", "open", "high", "low", "close", "volume"),
    "mbo": (*_PRINT, "action", "order_id", "flags"),
}
_PRICES = {"price", "open", "high", "low", "close", *_LEVEL}
_WORDS = {"action", "side"}


def is_dbn(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(SUFFIXES)


def read_dbn(path: Path) -> Columns:
    """All records of a file by column, with `ts` (UTC ns) and `symbol`; DataError when it cannot be read."""
    try:
        import databento_dbn as dbn  # here, because it is an extra
    except ImportError:
        raise missing_extra(f"reading {path}, a Databento file,", "databento_dbn", "databento") from None
    try:
        schema, names, rows = _records(path, dbn)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (dbn.DBNError, RuntimeError, ValueError) as error:
        raise DataError(f"{path} is not a readable Databento file: {error}.") from error
    fields = _FIELDS[schema]
    columns = {name: _column(name, [row[k] for row in rows]) for k, name in enumerate(fields)}
    columns["ts"] = columns["ts_recv"] if schema.startswith("bbo") else columns["ts_event"]
    symbols = [names.get(int(number), f"instrument {number}") for number in columns["instrument_id"].tolist()]
    columns["symbol"] = np.array(symbols, object)
    if schema.startswith("bbo"):
        columns["bid"], columns["ask"] = columns.pop("bid_px_00"), columns.pop("ask_px_00")
    return columns


def _records(path: Path, dbn: Any) -> tuple[str, dict[int, str], list[tuple[Any, ...]]]:
    with path.open("rb") as file:
        packed = file.read(len(_ZSTD_MAGIC)) == _ZSTD_MAGIC
        file.seek(0)
        decoder = dbn.DBNDecoder(compression=dbn.Compression.ZSTD if packed else dbn.Compression.NONE)
        schema, kind = "", None
        names: dict[int, str] = {}
        rows: list[tuple[Any, ...]] = []
        while piece := file.read(_READ_BYTES):
            decoder.write(piece)
            for record in decoder.decode():
                if isinstance(record, dbn.Metadata):
                    schema, names = _schema(path, record), _symbols(record)
                    kind = _record_class(dbn, schema)
                elif kind is not None and isinstance(record, kind):
                    rows.append(tuple(getattr(record, name) for name in _FIELDS[schema]))
                elif isinstance(record, dbn.SymbolMappingMsg):
                    names[record.instrument_id] = record.stype_out_symbol
    if not schema:
        raise ValueError("it has no header")
    if decoder.buffer():
        raise ValueError("it ends within a record")
    return schema, names, rows


def _schema(path: Path, metadata: Any) -> str:
    schema = str(metadata.schema)
    if schema not in _FIELDS:
        raise DataError(f"{path} has the schema {schema}; those that can be imported are {', '.join(_FIELDS)}.")
    return schema


def _record_class(dbn: Any, schema: str) -> Any:
    kinds = {"trades": dbn.TradeMsg, "mbo": dbn.MBOMsg, "mbp-1": dbn.MBP1Msg, "tbbo": dbn.MBP1Msg}
    return kinds.get(schema, dbn.OHLCVMsg if schema.startswith("ohlcv") else dbn.BBOMsg)


def _symbols(metadata: Any) -> dict[int, str]:
    """Names by instrument id. One name that stands for several instruments in turn (a continuous one) is told apart."""
    found: dict[int, str] = {}
    for name, spans in metadata.mappings.items():
        numbers = list(dict.fromkeys(span["symbol"] for span in spans))
        for number in numbers:
            if str(number).isdigit():
                found[int(number)] = name if len(numbers) == 1 else f"{name}:{number}"
    return found


def _column(name: str, values: list[Any]) -> npt.NDArray[Any]:
    if name in _WORDS:
        return np.array([str(value) for value in values], object)
    numbers = np.array(values, np.uint64 if name == "order_id" else np.int64)
    if name not in _PRICES:
        return numbers
    return np.where(numbers == _UNDEFINED, np.nan, numbers / 1e9)


# ------------------------------------------------------------------------------------------------------------- orders
class _Side:
    """Resting sizes by price of one side of the book; `best` is max of the bids, min of the asks."""

    def __init__(self, best: Callable[..., float]) -> None:
        self._best = best
        self._sizes: dict[float, int] = {}

    def change(self, price: float, by: int) -> None:
        size = self._sizes.get(price, 0) + by
        if size > 0:
            self._sizes[price] = size
        else:
            self._sizes.pop(price, None)

    def top(self) -> tuple[float, int]:
        """Best price and its size; (NaN, 0) when the side is empty."""
        if not self._sizes:
            return float("nan"), 0
        price = self._best(self._sizes)
        return price, self._sizes[price]

    def clear(self) -> None:
        self._sizes.clear()


def best_of_orders(columns: Columns) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any], npt.NDArray[Any]]:
    """Rows of an mbo file behind which the best bid or ask (price or size) is another one, and both prices there."""
    rows, bids, asks = [], [], []
    for row, bid, ask in _changes(columns):
        rows.append(row)
        bids.append(bid)
        asks.append(ask)
    return np.array(rows, np.int64), np.array(bids, np.float64), np.array(asks, np.float64)


def _changes(columns: Columns) -> Iterator[tuple[int, float, float]]:
    sides = {"B": _Side(max), "A": _Side(min)}
    orders: dict[int, tuple[str, float, int]] = {}
    shown: tuple[Any, ...] = ()
    names = ("action", "side", "order_id", "price", "size", "flags")
    events = zip(*(columns[name].tolist() for name in names), strict=True)
    for row, (action, side, order, price, size, flags) in enumerate(events):
        if action == "R":
            orders.clear()
            for book in sides.values():
                book.clear()
        elif action in ("A", "C", "M") and side in sides:
            held = orders.pop(order, None)
            if held is not None:
                sides[held[0]].change(held[1], -held[2])
            rest = size if action != "C" else (held[2] - size if held is not None else 0)
            at = price if action != "C" or held is None else held[1]
            if rest > 0:
                orders[order] = (side, at, rest)
                sides[side].change(at, rest)
        if flags & _EVENT_END and not flags & _SNAPSHOT:
            top = (*sides["B"].top(), *sides["A"].top())
            if top != shown:
                shown = top
                yield row, top[0], top[2]
