"""The functions of `smartmoneyconcepts` 0.0.27 with its results, value for value, from compiled kernels.

    from tbot.compat import smc            # instead of: from smartmoneyconcepts import smc
    swings = smc.swing_highs_lows(bars, swing_length=5)
    blocks = smc.ob(bars, swings)

`bars` has the columns open, high, low, close (and volume, where it is read) in any case: a DataFrame, which gives a
DataFrame as the library does, or a mapping of arrays, which gives a dict of arrays and needs no pandas. Prices are
float64, float32 or integers below 2**53; NaN is a missing price, and rows with one come out as the library has them.

Not for trading, and nothing of T-BOT uses it: values stand at rows before the bars that made them, and later bars
rewrite or erase them. Each docstring names the oddities that are kept, with the section of smc.md that explains
them. `tbot.detect` gives causal events.

Where the library fails with an error of pandas or goes on with half of the data, this raises ValueError: columns or
swings of unequal length, a wrong type, a negative swing length, a missing column (then it is a LookupError, too).
"""

import numbers
import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.compat.frames import Array, Doubles, bars_table, blank, swings_table
from tbot.compat.periods import bar_times, periods
from tbot_ext.compat_blocks import order_blocks
from tbot_ext.compat_periods import previous_levels
from tbot_ext.compat_structure import liquidity_pools, structure_breaks
from tbot_ext.compat_swings import fair_value_gaps, swings

__all__ = ["bos_choch", "fvg", "liquidity", "ob", "previous_high_low", "smc", "swing_highs_lows"]


def fvg(ohlc: Any, join_consecutive: bool = False) -> Any:
    """Fair value gaps: FVG (1, -1), Top, Bottom, MitigatedIndex, at the row of the middle bar.

    Oddities kept (smc.md section 14):
    * the row is known one bar later, and MitigatedIndex later still; 0 there means never;
    * `join_consecutive` moves a run of gaps into its last row and widens it: earlier rows vanish as bars come in.
    """
    bars = bars_table(ohlc)
    kinds, top, bottom, mitigated = blank(bars.length, "f8", "f8", "f8", "f8")
    open_, high, low, close = (bars.doubles(name) for name in ("open", "high", "low", "close"))
    fair_value_gaps(open_, high, low, close, bool(join_consecutive), kinds, top, bottom, mitigated)
    return bars.result(
        {
            "FVG": kinds,
            "Top": bars.like("low", top),
            "Bottom": bars.like("high", bottom),
            "MitigatedIndex": mitigated,
        }
    )


def swing_highs_lows(ohlc: Any, swing_length: int = 50) -> Any:
    """Swings: HighLow (1 a high, -1 a low) and Level, strictly alternating.

    Oddities kept:
    * the window is `swing_length` - 1 bars back and `swing_length` on, and nothing can be found before row
      2 * swing_length - 1 (section 15.7); a bar that is both counts as a high (section 14);
    * of neighbours of one kind only the first most extreme stays, which later bars decide (section 14);
    * the first and the last row are declared swings of the kind that alternation asks for, so that in a replay the
      newest bar is always one (section 15.3).
    """
    length = operator.index(swing_length)
    if length < 0:
        raise ValueError(f"swing_length must not be negative, but is {length}")
    bars = bars_table(ohlc)
    kinds, level = blank(bars.length, "f8", "f8")
    swings(bars.doubles("high"), bars.doubles("low"), min(length, bars.length + 1), kinds, level)
    narrow = bars.narrow("high") and bars.narrow("low")
    return bars.result({"HighLow": kinds, "Level": bars.like("high", level) if narrow else level})


def bos_choch(ohlc: Any, swing_highs_lows: Any, close_break: bool = True) -> Any:
    """Structure breaks: BOS, CHOCH (1, -1), Level, BrokenIndex, at the row of the swing that is broken.

    Oddities kept:
    * the pattern needs four swings, the last of which is usually known only after the break (section 15.4), and the
      invented swings of the ends take part (section 15.3);
    * Level is float32 and prices are not: a touch counts as a break where the level was rounded towards it (15.8);
      a level of 0 comes out as NaN;
    * a break removes all earlier ones that broke at its bar or later, so that rows change with the future; the
      BrokenIndex of a removed row stays (section 14).
    """
    bars = bars_table(ohlc)
    given = swings_table(swing_highs_lows, bars, "HighLow", "Level")
    up, down = ("close", "close") if close_break else ("high", "low")
    bos, choch, broken, level = blank(bars.length, "f8", "f8", "f8", "f4")
    structure_breaks(
        bars.doubles(up),
        bars.doubles(down),
        given.doubles("HighLow"),
        given.doubles("Level"),
        bos,
        choch,
        level,
        broken,
    )
    return bars.result({"BOS": bos, "CHOCH": choch, "Level": level, "BrokenIndex": broken})


def ob(ohlc: Any, swing_highs_lows: Any, close_mitigation: bool = False) -> Any:
    """Order blocks: OB (1, -1), Top, Bottom, OBVolume, MitigatedIndex, Percentage, at the row of the block's candle.

    Oddities kept:
    * the row comes before the bar that breaks the swing, and no column says when that was (section 15.1); it uses
      swings that were not known then;
    * a broken block is erased as soon as price comes back through it: what is left has mostly held (section 15.2);
    * a bull block made by the bar right after the swing has Top and Bottom exchanged (sections 14 and 15.9);
    * MitigatedIndex of a bull block is one bar early, that of a bear block is not; 0 means never (section 15.9);
    * Top and Bottom are float32 and prices are not: touches may count as breaks (section 15.8);
    * all bull blocks are followed to the end of the data before the first bear block is made. A candle that was a
      broken bull block is born broken as a bear block, with the old MitigatedIndex (section 14);
    * Percentage is the balance of the volumes of three bars around the break, and says nothing of strength (15.9).
    """
    bars = bars_table(ohlc, "volume")
    given = swings_table(swing_highs_lows, bars, "HighLow")
    high, low, close = (bars.doubles(name) for name in ("high", "low", "close"))
    rising, falling = high, low
    if close_mitigation:
        open_ = bars.doubles("open")
        rising, falling = np.where(close > open_, close, open_), np.where(close < open_, close, open_)
    kinds, mitigated, top, bottom, volume, percentage = blank(bars.length, "f8", "f8", "f4", "f4", "f4", "f4")
    highs, lows = _swing_rows(given.doubles("HighLow"))
    rows, by = order_blocks(high, low, close, rising, falling, highs, lows, kinds, top, bottom, mitigated)
    standing = ~np.isnan(kinds[rows])
    rows, by = rows[standing], by[standing]
    volume[rows], percentage[rows] = _block_volumes(bars.raw("volume"), by, kinds[rows] > 0)
    return bars.result(
        {
            "OB": kinds,
            "Top": top,
            "Bottom": bottom,
            "OBVolume": volume,
            "MitigatedIndex": mitigated,
            "Percentage": percentage,
        }
    )


def _swing_rows(kinds: Doubles) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of swing highs, rows of swing lows."""
    rows = np.flatnonzero(kinds == kinds)  # most are NaN
    found = kinds[rows]
    return rows[found == 1], rows[found == -1]


def _block_volumes(
    volume: Array, bar: npt.NDArray[np.int64], bull: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(volume of the breaking bar and the two before it, 100 * the lesser part / the greater), in the library's types.

    The parts are the newer two bars and the oldest. Where one is NaN the side decides which is taken for the lesser.
    """
    with np.errstate(all="ignore"):
        newer = volume[bar] + volume[bar - 1]
        oldest = np.where(bar >= 2, volume[bar - 2], volume.dtype.type(0))
        parts = newer.astype(np.float32), oldest.astype(np.float32)
        upper, lower = np.where(bull, parts[0], parts[1]), np.where(bull, parts[1], parts[0])
        least, most = np.where(lower < upper, lower, upper), np.where(lower > upper, lower, upper)
        share = np.where(most != 0, least / most * np.float32(100), np.float32(100))
        return (newer + oldest).astype(np.float32), share


def liquidity(ohlc: Any, swing_highs_lows: Any, range_percent: float = 0.01) -> Any:
    """Liquidity: Liquidity (1 highs, -1 lows), Level, End, Swept, at the first swing of each group.

    Oddities kept:
    * the tolerance is `range_percent` of the range of the WHOLE frame, so later bars change earlier pools (15.5);
    * members must lie near the first swing, not near each other, and the sweep is at its level plus the tolerance
      (section 14);
    * all four columns are float32, bar numbers included; Swept 0 means never (section 14).
    """
    if not isinstance(range_percent, numbers.Real):
        raise TypeError(f"range_percent must be a number, not {type(range_percent).__name__}")
    bars = bars_table(ohlc)
    given = swings_table(swing_highs_lows, bars, "HighLow", "Level")
    columns = blank(bars.length, "f4", "f4", "f4", "f4")
    if bars.length:
        highs, lows = _swing_rows(given.doubles("HighLow"))
        high, low = bars.raw("high"), bars.raw("low")
        with np.errstate(all="ignore"):
            tolerance = (np.fmax.reduce(high) - np.fmin.reduce(low)) * range_percent
            for side, name, rows in ((1, "high", highs), (-1, "low", lows)):
                levels = given.raw("Level")[rows]
                edges = [_double(side * edge) for edge in (levels - side * tolerance, levels + side * tolerance)]
                prices = bars.doubles(name) if side > 0 else -bars.doubles(name)
                own = _double(side * _double(levels))
                liquidity_pools(side, prices, rows, own, *edges, given.narrow("Level"), *columns)
    return bars.result(dict(zip(("Liquidity", "Level", "End", "Swept"), columns, strict=True)))


def _double(values: Array) -> Doubles:
    return np.ascontiguousarray(values, dtype=np.float64)


def previous_high_low(ohlc: Any, time_frame: str = "1D") -> Any:
    """PreviousHigh and PreviousLow of a period, BrokenHigh and BrokenLow (1 once price went beyond), for each bar.

    The times are the index of the DataFrame, or the array under "time" of a mapping (datetime64, or integer
    nanoseconds since 1970 UTC). `time_frame` as pandas 3 has it: "15min", "4h", "1D", "W", "ME"; the "15m", "4H" and
    "1M" of the library's documentation raise ValueError, as they do there.

    Oddities kept (section 15.6):
    * the first bar of each period is given the period before last, because a label must lie before the bar's time;
    * for "W" that holds for every bar but those of the last day: weeks are labelled by their end;
    * the levels are float32 and prices are not: a touch may count as broken (section 15.8).
    """
    bars = bars_table(ohlc, "volume")
    n = bars.length
    times, index = bar_times(bars)
    labels, highs, lows = periods(bars, times, index, time_frame)
    high, low = blank(n, "f4", "f4")
    broken_high, broken_low = np.zeros(n, np.int32), np.zeros(n, np.int32)
    previous_levels(
        times,
        bars.doubles("high"),
        bars.doubles("low"),
        labels,
        highs.astype(np.float32),
        lows.astype(np.float32),
        high,
        low,
        broken_high,
        broken_low,
    )
    return bars.result({"PreviousHigh": high, "PreviousLow": low, "BrokenHigh": broken_high, "BrokenLow": broken_low})


class smc:
    """The same functions under the library's own name: `from tbot.compat.smc import smc`."""

    __version__ = "0.0.27"

    fvg = staticmethod(fvg)
    swing_highs_lows = staticmethod(swing_highs_lows)
    bos_choch = staticmethod(bos_choch)
    ob = staticmethod(ob)
    liquidity = staticmethod(liquidity)
    previous_high_low = staticmethod(previous_high_low)
