"""Bars and swings as they come, a DataFrame or a mapping of arrays, checked; and results of the same sort.

pandas is never imported: a DataFrame can only be given where it is loaded already.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]


class MissingColumn(LookupError, ValueError):
    """A column that the function reads is not there. (The library raises LookupError or KeyError.)"""


class Table:
    """Columns of one length by name. `pandas`: the module, when they came as a DataFrame."""

    def __init__(self, source: Any, what: str, needed: tuple[str, ...], rename: Callable[[str], str] = str) -> None:
        """`source`: a DataFrame or mapping. Raises ValueError, TypeError or MissingColumn when it cannot be used."""
        self.pandas = _pandas_of(source)
        self.source = source
        self._what = what
        names: dict[str, Any] = {}
        for name in self._names():
            short = rename(name) if isinstance(name, str) else name
            if short in needed and short in names:
                raise ValueError(f"{what} has the column {short!r} twice; give each column once")
            names[short] = name
        for name in needed:
            if name not in names:
                raise MissingColumn(f'Must have a column named "{name}": {what} has {sorted(map(str, names))}')
        self._columns = {name: self._array(names[name], name) for name in needed}
        self.length = len(self._columns[needed[0]])
        for name, column in self._columns.items():
            if len(column) != self.length:
                raise ValueError(
                    f"all columns of {what} must have one length: {needed[0]!r} has {self.length} rows,"
                    f" {name!r} has {len(column)}"
                )

    def raw(self, name: str) -> Array:
        """A column in its own type."""
        return self._columns[name]

    def doubles(self, name: str) -> Doubles:
        """A column as contiguous float64: the column itself where it is one."""
        return np.ascontiguousarray(self._columns[name], dtype=np.float64)

    def like(self, name: str, values: Doubles) -> Array:
        """Values of a column back in its float type; those of integers stay float64, because they hold NaN."""
        return values.astype(np.float32) if self.narrow(name) else values

    def narrow(self, name: str) -> bool:
        """Whether a column is float32."""
        dtype = self._columns[name].dtype
        return dtype.kind == "f" and dtype.itemsize == 4

    def result(self, columns: dict[str, Array]) -> Any:
        """A DataFrame where one was given (index 0, 1, 2 ... as the library has it), else the dict."""
        return columns if self.pandas is None else self.pandas.DataFrame(columns, copy=False)

    def _names(self) -> list[Any]:
        if self.pandas is not None:
            return list(self.source.columns)
        if isinstance(self.source, Mapping):
            return list(self.source)
        raise TypeError(f"{self._what} must be a DataFrame or a mapping of arrays, not {type(self.source).__name__}")

    def _array(self, key: Any, name: str) -> Array:
        column = np.asarray(self.source[key])
        if column.ndim != 1:
            raise ValueError(f"column {name!r} of {self._what} must have one dimension, not {column.ndim}")
        kind, size = column.dtype.kind, column.dtype.itemsize
        if kind not in "iu" and (kind != "f" or size not in (4, 8)):
            raise ValueError(
                f"column {name!r} of {self._what} must hold float64, float32 or integers, not {column.dtype}"
            )
        return column


def bars_table(ohlc: Any, *more: str) -> Table:
    """open, high, low, close and `more`, in any case."""
    return Table(ohlc, "ohlc", ("open", "high", "low", "close", *more), str.lower)


def swings_table(swings: Any, bars: Table, *columns: str) -> Table:
    """The result of `swing_highs_lows` for these bars, with as many rows."""
    table = Table(swings, "swing_highs_lows", columns)
    if table.length != bars.length:
        raise ValueError(
            f"swing_highs_lows must have a row for each bar: it has {table.length}, the bars are {bars.length}"
        )
    return table


def blank(n: int, *types: str) -> list[Array]:
    """Columns of n times NaN of these types, float64 before float32.

    They lie in one piece of memory: as many pieces would cost more than the kernels that fill them.
    """
    memory = np.empty(n * sum(np.dtype(name).itemsize for name in types), np.uint8)
    columns, start = [], 0
    for name in types:
        end = start + n * np.dtype(name).itemsize
        columns.append(memory[start:end].view(name))
        columns[-1].fill(np.nan)
        start = end
    return columns


def _pandas_of(source: Any) -> Any:
    pandas = sys.modules.get("pandas")
    frame = getattr(pandas, "DataFrame", None)
    return pandas if frame is not None and isinstance(source, frame) else None
