"""`tbot.detect`: every event of a series of bars, in order of emission, with the time from which it may be used."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.analytics.bar_tables import BadArgument, Bars, bars_of, parse_tick_size, parse_timeframe, table_columns
from tbot_ext.detector import Detector
from tbot_ext.params import Params, default_params
from tbot_ext.records import NO_PRICE, EventCode

Events = npt.NDArray[np.void]
Progress = Callable[[int, int], None]  # bars done, bars in all

TABLE_DTYPE = np.dtype(
    [
        ("kind", "U20"),
        ("side", "i1"),
        ("origin", "i8"),
        ("known", "i8"),
        ("known_time", "i8"),
        ("top", "f8"),
        ("bottom", "f8"),
        ("score", "f8"),
        ("id", "i8"),
        ("parent_id", "i8"),
    ]
)
_CHUNK = 1 << 15
_NAMES = np.array([EventCode(code).name if code in set(EventCode) else str(code) for code in range(256)])


@dataclass(frozen=True, slots=True)
class Found:
    """What a run over bars gave; events as the compiled core emits them (EVENT_DTYPE, prices in ticks)."""

    bars: Bars
    events: Events
    tick: Decimal
    timeframe_min: int
    params: Params


def detect(
    bars: Any,
    *,
    tick_size: float | str | Decimal,
    timeframe: str | int,
    params: Params | Mapping[str, Any] | None = None,
) -> npt.NDArray[np.void]:
    """All events of `bars`: an array of kind, side (+1 bull, -1 bear), origin, known, known_time, top, bottom, score,
    id, parent_id (-1 none), in order of emission.

    `bars`: mapping of arrays, structured array (`tbot.load`), or a table of pandas, pyarrow or polars, oldest first,
    with time (start of the bar), open, high, low, close and, if there is one, volume. `timeframe`: 1m, 5m, 15m, 30m or
    1h, or minutes; 1m bars are put together into longer ones, and `origin` and `known` count the bars of the timeframe
    from 0. `known_time` is UTC ns: use an event from then on, never from its origin. `top` and `bottom` are prices,
    equal for a level. `params` replaces defaults by name: {"L": 3}.

    Raises ValueError with the row (from 1) for bars that cannot be right, or lie off the grid of `tick_size`.
    """
    tick, minutes = parse_tick_size(tick_size), parse_timeframe(timeframe)
    source = Path("bars")
    series = bars_of(source, table_columns(bars, source, tick), tick, minutes)
    return event_table(find(series, tick, minutes, params_of(params, minutes)))


def params_of(params: Params | Mapping[str, Any] | None, timeframe_min: int) -> Params:
    """Parameters of a timeframe: its defaults with some replaced by name. BadArgument names what is wrong."""
    defaults = default_params()[timeframe_min]
    if params is None:
        return defaults
    if isinstance(params, Params):
        return params
    if not isinstance(params, Mapping):
        raise BadArgument(f"params must be Params or a mapping of names, not {type(params).__name__}")
    unknown = [str(name) for name in params if name not in defaults.as_dict()]
    if unknown:
        raise BadArgument(f"unknown parameter {unknown[0]!r}; known are {', '.join(defaults.as_dict())}")
    try:
        return defaults.replace(**params)
    except (ValueError, TypeError) as error:
        raise BadArgument(f"parameter {error}") from None


def find(bars: Bars, tick: Decimal, timeframe_min: int, params: Params, progress: Progress | None = None) -> Found:
    """Run the detectors of one timeframe over BAR_DTYPE bars."""
    detector = Detector(timeframe_min, params)
    parts = []
    for start in range(0, len(bars), _CHUNK):
        parts.append(detector.push_bars(bars[start : start + _CHUNK]))
        if progress is not None:
            progress(min(start + _CHUNK, len(bars)), len(bars))
    events = np.concatenate(parts) if parts else detector.push_bars(bars)
    return Found(bars, events, tick, timeframe_min, params)


def bounds(events: Events) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Top and bottom in ticks; an event that has no band of its own has its level twice, or NO_PRICE."""
    bare = (events["top"] == 0) & (events["bottom"] == 0)
    return np.where(bare, events["level"], events["top"]), np.where(bare, events["level"], events["bottom"])


def to_prices(ticks: npt.NDArray[np.int64], tick: Decimal) -> npt.NDArray[np.float64]:
    """Tick counts as the floats nearest to their prices: what reading `25104.25` gives. NaN where there is none."""
    numerator, denominator = tick.as_integer_ratio()
    prices = np.where(ticks == NO_PRICE, 0, ticks) * float(numerator) / float(denominator)
    return np.where(ticks == NO_PRICE, np.nan, prices)


def kind_names(events: Events) -> npt.NDArray[np.str_]:
    """OB, OB_TESTED, SWEEP, ..."""
    return np.asarray(_NAMES[events["kind"]])


def event_table(found: Found) -> npt.NDArray[np.void]:
    """The events as `detect` gives them."""
    events = found.events
    table = np.zeros(len(events), TABLE_DTYPE)
    top, bottom = bounds(events)
    table["kind"], table["known_time"] = kind_names(events), events["known_ns"]
    table["top"], table["bottom"] = to_prices(top, found.tick), to_prices(bottom, found.tick)
    for name in ("side", "origin", "known", "score", "id", "parent_id"):
        table[name] = events[name]
    return table


def after_seconds(seconds: float, tell: Progress) -> Progress:
    """A progress that stays silent for so long, then tells at every tenth part."""
    begun, told = time.monotonic(), [0]

    def progress(done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth > told[0] and time.monotonic() - begun > seconds:
            told[0] = tenth
            tell(done, total)

    return progress
