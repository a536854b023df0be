"""To which period does a bar belong: the labels that pandas 3 gives when it resamples, by arithmetic.

Lengths up to a day and days are counted from the midnight before the first bar and labelled by their start. Weeks and
months (W, W-FRI, ME) are labelled by midnight of their last day, MS by its first; several of them (2W) are counted from
the first bar's. Whatever else pandas knows is asked of pandas, where there is one.
"""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.compat.frames import Doubles, Table
from tbot_ext.compat_periods import gather_periods

Ints = npt.NDArray[np.int64]

DAY_NS = 86_400 * 10**9
FIXED_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "D": DAY_NS}
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
LONGEST_NS = 36_525 * DAY_NS  # a hundred years
FIRST_S, LAST_S = -9_200_000_000, 9_200_000_000  # 1678 to 2261: what fits into nanoseconds, with room for a label
GRAMMAR = re.compile(r"(\d*)(ns|us|ms|s|min|h|D|ME|MS|W(?:-(?:MON|TUE|WED|THU|FRI|SAT|SUN))?)")


def _ints(values: npt.NDArray[Any]) -> Ints:
    return np.ascontiguousarray(values.astype(np.int64))


def bar_times(bars: Table) -> tuple[Ints, Any]:
    """(UTC nanoseconds of each bar, the index as pandas reads it or None).

    A mapping has them under "time": datetime64, or integers as nanoseconds since 1970.
    """
    index = None
    if bars.pandas is not None:
        index = bars.pandas.to_datetime(bars.source.index)
        values = np.asarray(index.values)
    else:
        key = next((key for key in bars.source if isinstance(key, str) and key.lower() == "time"), None)
        if key is None:
            raise ValueError('the times of the bars are missing: give them under "time" as datetime64 or nanoseconds')
        values = np.asarray(bars.source[key])
    if values.shape != (bars.length,):
        raise ValueError(f"there must be one time for each bar: {values.shape} for {bars.length} bars")
    if values.dtype.kind in "iu":
        return _ints(values), index
    if values.dtype.kind != "M":
        raise ValueError(f"times must be datetime64 or integer nanoseconds, not {values.dtype}")
    seconds = values.astype("M8[s]").astype(np.int64)  # a missing time is the lowest number
    if (seconds < FIRST_S).any() or (seconds > LAST_S).any():
        raise ValueError("times must lie in the years 1679 to 2260 and none may be missing; leave such bars out")
    return _ints(values.astype("M8[ns]")), index


def periods(bars: Table, times: Ints, index: Any, time_frame: Any) -> tuple[Ints, Doubles, Doubles]:
    """(labels in UTC nanoseconds, highs, lows) of the periods with bars, oldest first."""
    zone = getattr(index, "tz", None)
    labels = _labels(times, time_frame) if zone is None or str(zone) == "UTC" else None
    if labels is not None:
        return _gather(bars, labels)
    if index is None:
        raise ValueError(
            f"time_frame {time_frame!r} is not known: give a number and one of ns us ms s min h D W W-MON ... W-SUN"
            " ME MS, at most 100 years in all"
        )
    return _ask_pandas(bars, index, time_frame)


def _labels(times: Ints, time_frame: Any) -> Ints | None:
    """The label of each bar's period in nanoseconds; None when the arithmetic does not cover this time frame."""
    found = GRAMMAR.fullmatch(time_frame) if isinstance(time_frame, str) else None
    if found is None:
        return None
    count, unit = int(found[1] or 1), found[2]
    length = FIXED_NS.get(unit, 7 * DAY_NS if unit.startswith("W") else 31 * DAY_NS)
    if not 0 < count * length <= LONGEST_NS:
        return None
    if len(times) == 0:
        return times
    if unit in FIXED_NS:
        midnight = int(times.min()) // DAY_NS * DAY_NS
        return _ints(midnight + (times - midnight) // (count * length) * (count * length))
    if unit.startswith("W"):
        return _weeks(times // DAY_NS, count, WEEKDAYS.index(unit[2:] or "SUN"))
    months = times.astype("M8[ns]").astype("M8[M]").astype(np.int64)
    steps = months - months.min()
    whole = steps // count if unit == "MS" else -(-steps // count)
    label = (months.min() + whole * count).astype("M8[M]")
    days = label.astype("M8[D]") if unit == "MS" else (label + 1).astype("M8[D]") - 1
    return _ints(days.astype("M8[ns]"))


def _weeks(days: Ints, count: int, last: int) -> Ints:
    """The end of each day's weeks. Day 0 of 1970 was a Thursday, weekday 3."""
    end = days + (last - (days + 3)) % 7
    steps = (end - end.min()) // 7
    return _ints((end.min() + -(-steps // count) * count * 7) * DAY_NS)


def _gather(bars: Table, labels: Ints) -> tuple[Ints, Doubles, Doubles]:
    prices = [bars.doubles(name) for name in ("open", "high", "low", "close")]
    if (labels[1:] < labels[:-1]).any():  # bars out of order: the order within a period does not matter
        order = np.argsort(labels, kind="stable")
        labels, prices = labels[order], [column[order] for column in prices]
    return gather_periods(labels, *prices)


def _ask_pandas(bars: Table, index: Any, time_frame: Any) -> tuple[Ints, Doubles, Doubles]:
    """As the library does it: for zones with clock changes and for time frames that only pandas knows."""
    names = ("open", "high", "low", "close")
    frame = bars.pandas.DataFrame({name: bars.raw(name) for name in names}, index=index)
    how = dict(zip(names, ("first", "max", "min", "last"), strict=True))
    found = frame.resample(time_frame).agg(how).dropna()
    highs, lows = (np.ascontiguousarray(found[name].to_numpy(), dtype=np.float64) for name in ("high", "low"))
    return _ints(np.asarray(found.index.values).astype("M8[ns]")), highs, lows
