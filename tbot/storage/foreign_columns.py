"""Foreign data files (CSV, Parquet) as plain columns, and columns as times, ticks and sizes.

Nothing is guessed silently and nothing is rounded: a value that does not fit is a DataError with its row, counted from
1 at the first row of data.
"""

import csv
import gzip
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import Product
from tbot.errors import DataError, missing_extra
from tbot.storage.dbn_files import is_dbn, read_dbn
from tbot.storage.plain_file import check_plain
from tbot_ext.records import NO_PRICE

Ints = npt.NDArray[np.int64]
Columns = dict[str, npt.NDArray[Any]]  # by lower-case name; text columns hold str objects, times int64 UTC ns

_NS_PER_HOUR = 3_600_000_000_000
_MONTHS = "FGHJKMNQUVXZ"
_TIME_UNITS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3), (2**63, 1))  # below, ns per unit: s, ms, us, ns
_OFFSET = r"(Z|[+-]\d\d:?\d\d)$"
_SIDES = {"b": 1, "buy": 1, "bid": 1, "a": -1, "s": -1, "sell": -1, "ask": -1, "n": 0, "": 0, "none": 0}


def read_columns(path: Path) -> tuple[Columns, set[str]]:
    """All columns of a file, and the names of those whose times are certain (a Parquet column with a zone)."""
    name = path.name.lower()
    try:
        check_plain(path)
        if name.endswith((".csv", ".csv.gz")):
            return _read_csv(path), set()
        if name.endswith(".parquet"):
            return _read_parquet(path)
        if is_dbn(path):
            return read_dbn(path), {"ts"}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    raise DataError(
        f"{path} is neither CSV nor Parquet nor DBN; only files of these kinds are imported."
    )


def _read_csv(path: Path) -> Columns:
    opener = cast("Callable[..., IO[str]]", gzip.open if path.name.lower().endswith(".gz") else open)
    with opener(path, "rt", newline="", encoding="utf-8-sig") as file:
        try:
            rows = list(csv.reader(file))
        except (csv.Error, UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
            raise DataError(f"{path} is not readable as CSV: {error}.") from error
    if not rows:
        raise DataError(f"{path} is empty.")
    head, body = [name.strip().lower() for name in rows[0]], rows[1:]
    for number, row in enumerate(body, 1):
        if len(row) != len(head):
            raise DataError(f"{path} row {number}: {len(row)} values under {len(head)} column names.")
    return {name: np.array([row[k] for row in body], object) for k, name in enumerate(head)}


def _read_parquet(path: Path) -> tuple[Columns, set[str]]:
    try:
        import pyarrow as pa  # here, because it is an extra and slow to import
        import pyarrow.parquet as pq
    except ImportError:
        raise missing_extra(f"reading {path}, a Parquet file,", "pyarrow", "data") from None
    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}.") from error
    columns: Columns = {}
    certain: set[str] = set()
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if column.null_count and not pa.types.is_floating(kind):
            columns[name.lower()] = np.array(column.to_pylist(), object)
        elif pa.types.is_timestamp(kind):
            if kind.tz is not None:
                certain.add(name.lower())
            stamps = column.cast(pa.timestamp("ns", kind.tz)).cast(pa.int64()).to_numpy()
            columns[name.lower()] = stamps if kind.tz is not None else stamps.view("datetime64[ns]")
        else:
            values = column.to_numpy()
            columns[name.lower()] = values.astype(object) if values.dtype.kind in "USO" else values
    return columns, certain


def product_of(path: Path, products: Mapping[str, Product], contract: str | None) -> Product:
    """The product a file is about: `contract` if given, else the first word of its name (ES, ESM8, MNQ)."""
    if contract is not None:
        if contract.upper() not in products:
            raise DataError(f"There is no contract {contract}; known are {', '.join(products)}.")
        return products[contract.upper()]
    word = re.split(r"[_.\- ]", path.name)[0].upper()
    for symbol in sorted(products, key=len, reverse=True):
        if re.fullmatch(rf"{symbol}([{_MONTHS}]\d{{1,2}})?", word):
            return products[symbol]
    raise DataError(f"The name of {path} does not say which contract it holds; give --contract, such as --contract ES.")


def date_of(path: Path) -> date:
    """The day in the file's name (the last eight digits that make a date); for files that count from midnight."""
    for text in reversed(re.findall(r"(?<!\d)(\d{8})(?!\d)", path.name)):
        try:
            return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
        except ValueError:
            continue
    raise DataError(f"{path} counts milliseconds of a day, and its name does not say which: name it ..._YYYYMMDD.csv.")


def to_utc_ns(path: Path, values: npt.NDArray[Any], tz: str | None, *, certain: bool) -> Ints:
    """Times as UTC ns: numbers since the epoch, ISO text with an offset, or text and stamps of the zone `tz`.

    Without `tz`, times that carry no zone are taken as UTC.
    """
    if certain:
        return values.astype(np.int64)
    if _counts_from_epoch(values):
        numbers = to_integers(path, "time", values)
        top = int(numbers.max(initial=0))
        factor = next(factor for limit, factor in _TIME_UNITS if top < limit)
        return numbers * factor
    if values.dtype.kind == "M":
        stamps = values.astype(np.int64)
        return stamps if tz is None else _from_zone(path, stamps, tz)
    texts = [str(value).strip().replace("T", " ") for value in values.tolist()]
    if texts and re.search(_OFFSET, texts[0]):
        return _with_offsets(path, texts)
    naive = _naive_ns(path, texts)
    return naive if tz is None else _from_zone(path, naive, tz)


def carries_zone(values: npt.NDArray[Any]) -> bool:
    """True when the times are numbers since the epoch or text with an offset from UTC (judged by the first row)."""
    return _counts_from_epoch(values) or bool(len(values) and re.search(_OFFSET, str(values[0]).strip()))


def _counts_from_epoch(values: npt.NDArray[Any]) -> bool:
    if values.dtype.kind in "iu":
        return True
    return bool(values.dtype == object and len(values) and re.fullmatch(r"\d{9,20}", str(values[0]).strip()))


def _with_offsets(path: Path, texts: list[str]) -> Ints:
    out = np.empty(len(texts), np.int64)
    for row, text in enumerate(texts):
        whole, _, fraction_and_zone = text.partition(".")
        fraction = re.match(r"\d*", fraction_and_zone)
        digits = fraction.group() if fraction else ""
        try:
            stamp = datetime.fromisoformat(whole + fraction_and_zone[len(digits) :])
        except ValueError:
            raise DataError(f"{path} row {row + 1}: {text!r} is not a time.") from None
        if stamp.tzinfo is None:
            raise DataError(f"{path} row {row + 1}: {text!r} has no zone, but the times before it have.")
        out[row] = int(stamp.timestamp()) * 10**9 + int(digits.ljust(9, "0")[:9] or 0)
    return out


def _naive_ns(path: Path, texts: list[str]) -> Ints:
    try:
        return _iso_ns(texts)
    except ValueError:
        for row, text in enumerate(texts, 1):
            try:
                _iso_ns([text])
            except ValueError:
                raise DataError(f"{path} row {row}: {text!r} is not a time.") from None
        raise


def _iso_ns(texts: list[str]) -> Ints:
    iso = [re.sub(r"^(\d{4})[./](\d{2})[./](\d{2})", r"\1-\2-\3", text) for text in texts]
    stamps = np.array(iso, dtype="datetime64[ns]")
    if np.isnat(stamps).any():
        raise ValueError("an empty time")
    return stamps.astype(np.int64)


def _from_zone(path: Path, naive_ns: Ints, tz: str) -> Ints:
    try:
        zone = ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError):
        raise DataError(f"There is no time zone {tz!r}; a name such as America/New_York is meant.") from None
    hours, place = np.unique(naive_ns // _NS_PER_HOUR, return_inverse=True)
    offsets = []
    for hour in hours.tolist():
        local = datetime.fromtimestamp(hour * 3600, UTC).replace(tzinfo=zone)
        offset = local.utcoffset()
        if offset is None or local.astimezone(UTC).astimezone(zone).replace(fold=0) != local.replace(fold=0):
            raise DataError(f"{path}: {local:%Y-%m-%d %H:%M} does not exist in {tz}; --tz must be another zone.")
        offsets.append(int(offset.total_seconds()) * 10**9)
    return np.asarray(naive_ns - np.array(offsets, np.int64)[place])


def _shown(values: npt.NDArray[Any], row: Any) -> str:
    """A value as its file had it: -1, not np.int64(-1)."""
    return repr(values[row : row + 1].tolist()[0])


def to_numbers(path: Path, name: str, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """A column as finite floats; DataError with the row otherwise."""
    try:
        out = values.astype(np.float64)
    except (TypeError, ValueError):
        for row, value in enumerate(values.tolist(), 1):
            try:
                float(value)
            except (TypeError, ValueError):
                raise DataError(f"{path} row {row}: {name} {value!r} is not a number.") from None
        raise
    bad = np.flatnonzero(~np.isfinite(out))
    if len(bad):
        raise DataError(f"{path} row {bad[0] + 1}: {name} {_shown(values, bad[0])} is not a finite number.")
    return out


def to_integers(path: Path, name: str, values: npt.NDArray[Any]) -> Ints:
    """A column as whole numbers >= 0; DataError with the row otherwise."""
    if values.dtype.kind in "iu":
        out = values.astype(np.int64)
    elif values.dtype == object and all(isinstance(v, str) and v.strip().isdigit() for v in values.tolist()):
        out = np.array([int(v) for v in values.tolist()], np.int64)  # exact where a float would not be
    else:
        numbers = to_numbers(path, name, values)
        bad = np.flatnonzero((numbers != np.floor(numbers)) | (np.abs(numbers) > 2**53))
        if len(bad):
            raise DataError(f"{path} row {bad[0] + 1}: {name} {_shown(values, bad[0])} is not a whole number.")
        out = numbers.astype(np.int64)
    bad = np.flatnonzero(out < 0)
    if len(bad):
        raise DataError(f"{path} row {bad[0] + 1}: {name} {_shown(values, bad[0])} is negative.")
    return out


def to_sizes(path: Path, values: npt.NDArray[Any]) -> Ints:
    """Print sizes or volumes: whole, not negative, below 2**31."""
    out = to_integers(path, "size", values)
    bad = np.flatnonzero(out >= 2**31)
    if len(bad):
        raise DataError(f"{path} row {bad[0] + 1}: size {_shown(values, bad[0])} is not believable.")
    return out


def to_ticks(path: Path, name: str, values: npt.NDArray[Any], product: Product) -> Ints:
    """Prices as integer ticks; DataError with the row for a price off the grid or not above zero.

    Binary floats on the grid lie within a millionth of a tick of it; a price farther away is refused, never rounded.
    """
    prices = to_numbers(path, name, values)
    scaled = prices / float(product.tick_size)
    ticks = np.rint(scaled)
    bad = np.flatnonzero((np.abs(scaled - ticks) > 1e-6) | (ticks <= 0))
    if len(bad):
        row = int(bad[0])
        reason = "is not above zero" if ticks[row] <= 0 else f"is not on the tick grid of {product.tick_size}"
        raise DataError(f"{path} row {row + 1}: {name} {values[row]} {reason} ({product.symbol}).")
    return ticks.astype(np.int64)


def to_side_ticks(path: Path, name: str, values: npt.NDArray[Any], product: Product) -> Ints:
    """One side of quotes as ticks: NO_PRICE where a column of floats has none, because nobody bids or offers."""
    if values.dtype.kind != "f" or not np.isnan(values).any():
        return to_ticks(path, name, values, product)
    there = ~np.isnan(values)
    out = np.full(len(values), NO_PRICE, np.int64)
    out[there] = to_ticks(path, name, values[there], product)
    return out


def to_sides(path: Path, values: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Aggressor sides +1, -1, 0 (unknown) from B/A/N, buy/sell or signed numbers."""
    if values.dtype.kind in "iuf":
        return np.sign(to_numbers(path, "side", values)).astype(np.int8)
    out = np.zeros(len(values), np.int8)
    for row, value in enumerate(values.tolist()):
        side = _SIDES.get(str("" if value is None else value).strip().lower())
        if side is None:
            raise DataError(f"{path} row {row + 1}: side {value!r} is none of B, A, N, buy, sell.")
        out[row] = side
    return out
