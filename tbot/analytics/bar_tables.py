"""Bars as people have them (files, mappings of arrays, tables) to BAR_DTYPE: prices become whole ticks here, once.

Nothing is guessed about prices and nothing is rounded, sorted or repaired: what cannot be right is refused with its
row, counted from 1. Times are taken as starts of bars: numbers since the epoch (s, ms, us or ns by their size), ISO
text, datetimes; those without a zone are UTC unless `tz` names one.
"""

import warnings
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.domain.timeframes import MINUTES, NAMES, NS_PER_MIN, NS_PER_S, TIMEFRAMES_MIN
from tbot.errors import ConfigError, DataError
from tbot.storage import foreign_columns as fc
from tbot_ext.bars import join_minutes, mark_session_breaks
from tbot_ext.records import BAR_DTYPE

Bars = npt.NDArray[np.void]

LOADED_DTYPE = np.dtype(
    [("time", "i8"), ("open", "f8"), ("high", "f8"), ("low", "f8"), ("close", "f8"), ("volume", "i8")]
)
_PRICES = ("open", "high", "low", "close")
_TIME_NAMES = (
    "start_ns", "start", "time", "ts", "ts_event", "timestamp", "datetime", "date", "open_time", "start_time", "t",
)  # fmt: skip
_SHORT = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume", "vol": "volume"}
_LATEST_NS = 7_258_118_400_000_000_000  # 2200-01-01
_LONGER_MIN = (5, 15, 30, 60, 240, 1440)
_ON_GRID = 1e-6  # of a tick: binary floats on the grid lie far nearer, and a price farther away is refused


class BadBars(DataError, ValueError):
    """Bars that cannot be right; from Python also a ValueError."""


class BadArgument(ConfigError, ValueError):
    """An argument out of range; from Python also a ValueError."""


def parse_timeframe(timeframe: str | int) -> int:
    """Minutes of `5m`, `1h`, `60` or 5; only the timeframes of the engine. BadArgument otherwise."""
    text = str(timeframe).strip().lower().removesuffix("in")  # 5min
    minutes = MINUTES.get(text) or (60 if text in ("60m", "60") else 0)
    if not minutes and text.isdecimal() and int(text) in TIMEFRAMES_MIN:
        minutes = int(text)
    if not minutes or isinstance(timeframe, bool):
        raise BadArgument(f"timeframe {timeframe!r} is not one of {', '.join(MINUTES)}")
    return minutes


def parse_tick_size(tick_size: object) -> Decimal:
    """A price step as an exact decimal; BadArgument unless it is a positive number."""
    try:
        tick = Decimal(str(tick_size).strip())
    except InvalidOperation:
        tick = Decimal(0)
    if not tick.is_finite() or not Decimal("1e-12") <= tick <= Decimal("1e12"):
        raise BadArgument(f"tick size {tick_size!r} is not a positive price step; write it like 0.25")
    return tick


def load(path: str | Path, *, tz: str | None = None) -> npt.NDArray[np.void]:
    """Read a bar file (CSV, CSV.GZ or Parquet) as an array of time (UTC ns), open, high, low, close, volume.

    The array is what `tbot.detect` takes. Raises DataError (also a ValueError) with the row for what is no bar.
    """
    path = Path(path)
    columns = file_columns(path)
    out = np.zeros(len(columns["time"]), LOADED_DTYPE)
    out["time"] = times_of(path, columns, tz)
    for name in _PRICES:
        out[name] = _refusing(fc.to_numbers, path, name, columns[name])
    if "volume" in columns:
        out["volume"] = _refusing(fc.to_integers, path, "volume", columns["volume"])
    return out


def file_columns(path: Path) -> fc.Columns:
    """The columns of a bar file under our names; times with a zone are already UTC ns."""
    columns, certain = _refusing(fc.read_columns, path)
    for name in certain:  # what Parquet keeps with a zone is UTC ns already
        columns[name] = columns[name].view("datetime64[ns]")
    return _named(path, columns) | ({"certain": np.zeros(0)} if _time_name(columns) in certain else {})


def _refusing(read: Any, source: Path, *arguments: Any, **options: Any) -> Any:
    """Whatever `read` gives of `source`; what it refuses becomes a ValueError for those who call from Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # numpy's, for a zone among times that have none
            return read(source, *arguments, **options)
    except DataError as error:
        raise BadBars(" ".join(str(error).split())) from None  # a damaged file may have lines in its values
    except (OverflowError, UnicodeError, UserWarning) as error:
        raise BadBars(f"{source} holds a value that cannot be read: {error}") from None


# ---------------------------------------------------------------- columns
def table_columns(bars: Any, source: Path, tick: Decimal) -> fc.Columns:
    """The columns of a mapping, a structured array or a table (pandas, pyarrow, polars; none of them is needed).

    Our own bars (BAR_DTYPE) are known to hold ticks and nanoseconds.
    """
    if isinstance(bars, np.ndarray) and bars.dtype == BAR_DTYPE:
        prices = {name: bars[name] * float(tick) for name in _PRICES}
        return {"time": bars["start_ns"].astype("datetime64[ns]"), **prices, "volume": bars["volume"]}
    if isinstance(bars, np.ndarray):
        if bars.dtype.names is None:
            raise BadBars("bars without column names; give a mapping, a structured array or a table")
        return _named(source, {name.lower(): bars[name] for name in bars.dtype.names})
    if isinstance(bars, Mapping):
        return _named(source, {str(name).lower(): _values(bars[name]) for name in bars})
    names = getattr(bars, "column_names", None)  # pyarrow
    if names is None:
        names = getattr(bars, "columns", None)
    if names is None:
        raise BadBars(f"bars of type {type(bars).__name__} are not understood; give a mapping of arrays or a table")
    columns = {str(name).lower(): _values(bars[name]) for name in names}
    index = getattr(bars, "index", None)
    if _time_name(columns) is None and index is not None and not callable(index):
        stamps = _values(index)
        if stamps.dtype.kind == "M" or stamps.dtype == object:
            columns["time"] = stamps
    return _named(source, columns)


def _values(column: Any) -> npt.NDArray[Any]:
    """One column as an array; stamps with a zone as UTC."""
    stamps = getattr(column, "dt", column)  # a Series keeps them behind .dt, an index has them itself
    if getattr(stamps, "tz", None) is not None and hasattr(stamps, "tz_convert"):
        column = stamps.tz_convert(None)
    values = np.asarray(column.to_numpy() if hasattr(column, "to_numpy") else column)
    if values.ndim != 1:
        raise BadBars(f"a column of bars must have one dimension, not {values.ndim}")
    return values.astype("datetime64[ns]") if values.dtype.kind == "M" else _plain(values)


def _plain(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.astype(object) if values.dtype.kind in "US" else values


def _time_name(columns: Mapping[str, Any]) -> str | None:
    names = [name.strip("<>") for name in columns]
    return next((name for name in _TIME_NAMES if name in names), None)


def _named(source: Path, columns: Mapping[str, npt.NDArray[Any]]) -> fc.Columns:
    """time, open, high, low, close and, if there, volume; BadBars says what is missing or of another length."""
    columns = {name.strip("<>"): values for name, values in columns.items()}
    for short, name in _SHORT.items():
        if short in columns and name not in columns:
            columns[name] = columns[short]
    time = _time_name(columns)
    missing = [name for name in _PRICES if name not in columns] + ([] if time else ["time"])
    if missing:
        raise BadBars(f"{source} has no column {missing[0]!r}; its columns are {_listed(columns)}")
    out = {name: columns[name] for name in (*_PRICES, "volume", "symbol") if name in columns}
    out["time"] = columns[str(time)]
    if "date" in columns and "time" in columns and _is_text(columns["date"]) and _is_text(columns["time"]):
        out["time"] = np.array([f"{d} {t}" for d, t in zip(columns["date"], columns["time"], strict=True)], object)
    lengths = {name: len(values) for name, values in out.items()}
    if len(set(lengths.values())) > 1:
        raise BadBars(f"{source}: the columns differ in length: {lengths}")
    return out


def _listed(names: Mapping[str, Any]) -> str:
    """Names of columns for a message: some of them, none too long."""
    shown = [" ".join(name.split())[:40] for name in list(names)[:20]]
    return ", ".join(shown) or "none"


def _is_text(values: npt.NDArray[Any]) -> bool:
    return values.dtype == object and len(values) > 0 and isinstance(values[0], str) and not values[0].isdigit()


def times_of(source: Path, columns: fc.Columns, tz: str | None = None) -> fc.Ints:
    """UTC ns of each row."""
    values = columns["time"]
    if not len(values):
        return np.zeros(0, np.int64)
    if values.dtype.kind == "f":  # 1.7e9 and the like
        values = _refusing(fc.to_integers, source, "time", values)
    if values.dtype.kind == "M":
        empty = np.flatnonzero(np.isnat(values))
        if len(empty):
            raise BadBars(f"{source} row {empty[0] + 1} has no time")
        values = values.astype("datetime64[ns]")
    quick = _zulu(values)
    if quick is not None:
        return quick
    zone = None if "certain" in columns else tz
    return np.asarray(_refusing(fc.to_utc_ns, source, values, zone, certain=False), np.int64)


def zone_is_assumed(columns: fc.Columns) -> bool:
    """True when the times say nothing of a zone and are taken as UTC."""
    return len(columns["time"]) > 0 and "certain" not in columns and not fc.carries_zone(columns["time"])


def several_contracts(columns: fc.Columns) -> bool:
    """True when a column `symbol` names more than one contract: where it changes, prices are not comparable."""
    return "symbol" in columns and len({str(name) for name in columns["symbol"].tolist()}) > 1


def _zulu(values: npt.NDArray[Any]) -> fc.Ints | None:
    """Text in which every time ends with Z or +00:00, read at once; None for everything else."""
    if values.dtype != object or not isinstance(values[0], str):
        return None
    texts = [str(value).strip() for value in values.tolist()]
    suffix = "Z" if texts[0].endswith("Z") else "+00:00"
    bare = [text.removesuffix(suffix) for text in texts]
    if any(len(short) == len(text) for short, text in zip(bare, texts, strict=True)):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            stamps = np.array(bare, "datetime64[ns]")
    except (ValueError, UserWarning):
        return None
    return None if np.isnat(stamps).any() else stamps.astype(np.int64)


# ---------------------------------------------------------------- bars
def bars_of(source: Path, columns: fc.Columns, tick: Decimal, timeframe_min: int, tz: str | None = None) -> Bars:
    """BAR_DTYPE bars of the timeframe, with session breaks marked; 1m bars are put together into longer ones.

    They are put together as the engine does it live; a last bar that still forms is left out.
    """
    starts = times_of(source, columns, tz)
    _check_order(source, starts)
    length = _length_min(source, starts, timeframe_min)
    bars = np.zeros(len(starts), BAR_DTYPE)
    bars["start_ns"], bars["timeframe_min"] = starts, length
    for name in _PRICES:
        bars[name] = to_ticks(source, name, columns[name], tick)
    if "volume" in columns:
        bars["volume"] = _refusing(fc.to_integers, source, "volume", columns["volume"])
    _check_candles(source, bars)
    return join_minutes(bars, timeframe_min) if length != timeframe_min else mark_session_breaks(bars)


def to_ticks(source: Path, name: str, values: npt.NDArray[Any], tick: Decimal) -> fc.Ints:
    """Prices as whole ticks; BadBars with row, price and tick size for one that lies off the grid."""
    prices = _refusing(fc.to_numbers, source, name, values)
    scaled = prices / float(tick)
    ticks = np.rint(scaled)
    bad = np.flatnonzero((np.abs(scaled - ticks) > _ON_GRID) | (np.abs(ticks) > 2**52))
    if len(bad):
        price = values[bad[0]]
        raise BadBars(
            f"{source} row {bad[0] + 1}: {name} {price} is not a whole number of ticks of {tick}; give the contract's "
            "own tick size, or correct the file"
        )
    return np.asarray(ticks, np.int64)


def _check_order(source: Path, starts: fc.Ints) -> None:
    bad = np.flatnonzero((starts < 0) | (starts > _LATEST_NS))
    if len(bad):
        raise BadBars(f"{source} row {bad[0] + 1}: its time lies outside the years 1970 to 2199; correct the file")
    bad = np.flatnonzero(np.diff(starts) <= 0)
    if len(bad):
        row = int(bad[0]) + 1
        what = "has the same start as" if starts[row] == starts[row - 1] else "is older than"
        raise BadBars(
            f"{source} row {row + 1} ({utc_text(starts[row])}) {what} the row before it; bars must stand from old to "
            "new, each once"
        )


def _check_candles(source: Path, bars: Bars) -> None:
    low, high = np.minimum(bars["open"], bars["close"]), np.maximum(bars["open"], bars["close"])
    bad = np.flatnonzero((bars["low"] > low) | (bars["high"] < high))
    if len(bad):
        row = int(bad[0])
        what = "high is below low" if bars["high"][row] < bars["low"][row] else "open or close lies outside low to high"
        raise BadBars(f"{source} row {row + 1} ({utc_text(bars['start_ns'][row])}): {what}; correct the file")


def _length_min(source: Path, starts: fc.Ints, timeframe_min: int) -> int:
    """Minutes of the given bars: the timeframe itself, or 1 when they have to be put together. BadBars otherwise."""
    period, name = timeframe_min * NS_PER_MIN, NAMES[timeframe_min]
    distances = np.diff(starts)
    shortest = int(distances.min()) if len(distances) else period
    length = timeframe_min
    if shortest < period:
        if shortest != NS_PER_MIN:
            raise BadBars(
                f"{source} holds bars {_length_text(shortest)} apart, not {name}; only 1m bars are put together into "
                "longer ones"
            )
        length = 1
    elif len(starts) > 2 and int(np.median(distances)) == shortest > period and shortest // NS_PER_MIN in _LONGER_MIN:
        raise BadBars(f"{source} holds bars {_length_text(shortest)} apart; they cannot be cut into {name} bars")
    off = np.flatnonzero(starts % (length * NS_PER_MIN))
    if len(off):
        raise BadBars(
            f"{source} row {off[0] + 1} ({utc_text(starts[off[0]])}) does not start on a {NAMES[length]} boundary; "
            "times must be the starts of the bars"
        )
    return length


def _length_text(ns: int) -> str:
    return f"{ns // NS_PER_MIN}m" if ns % NS_PER_MIN == 0 else f"{ns / NS_PER_S:g}s"


def utc_text(ns: Any) -> str:
    """2026-01-20T14:30:00Z; a fraction of a second only where there is one."""
    whole = int(ns) % NS_PER_S == 0
    return f"{np.datetime_as_string(np.datetime64(int(ns), 'ns'), unit='s' if whole else 'ns')}Z"
