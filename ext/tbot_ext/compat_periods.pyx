"""Previous high and low by the rule of smartmoneyconcepts 0.0.27 (smc.md section 14), on whole arrays.

Not for trading: the first bar of a period is given the period before last.
"""
from libc.stdint cimport int64_t

import numpy as np

__all__ = ["gather_periods", "previous_levels"]


def gather_periods(const int64_t[::1] labels, const double[::1] open, const double[::1] high, const double[::1] low,
                   const double[::1] close):
    """(labels, highs, lows) of the periods; bars of one period stand together. NaN counts for nothing.

    A period that has no open, no high, no low or no close at all is left out.
    """
    cdef Py_ssize_t i, n = labels.shape[0], m = 0
    cdef int seen = 0  # bits: open, high, low, close
    cdef double highest = 0, lowest = 0
    if not (open.shape[0] == high.shape[0] == low.shape[0] == close.shape[0] == n):
        raise ValueError("labels and prices must have one length")
    out_labels, out_highs, out_lows = np.empty(n, np.int64), np.empty(n), np.empty(n)
    cdef int64_t[::1] names = out_labels
    cdef double[::1] highs = out_highs, lows = out_lows
    with nogil:
        for i in range(n):
            if open[i] == open[i]:
                seen |= 1
            if high[i] == high[i]:
                highest = high[i] if not seen & 2 or high[i] > highest else highest
                seen |= 2
            if low[i] == low[i]:
                lowest = low[i] if not seen & 4 or low[i] < lowest else lowest
                seen |= 4
            if close[i] == close[i]:
                seen |= 8
            if i == n - 1 or labels[i + 1] != labels[i]:
                if seen == 15:
                    names[m], highs[m], lows[m] = labels[i], highest, lowest
                    m += 1
                seen = 0
    return out_labels[:m], out_highs[:m], out_lows[:m]


def previous_levels(const int64_t[::1] times, const double[::1] high, const double[::1] low,
                    const int64_t[::1] labels, const float[::1] highs, const float[::1] lows,
                    float[::1] previous_high, float[::1] previous_low, int[::1] broken_high, int[::1] broken_low):
    """For each bar the second to last of the rising `labels` before its time, and whether price went beyond since.

    The levels come filled with NaN, the flags with 0.
    """
    cdef Py_ssize_t i, n = times.shape[0], m = labels.shape[0], before = 0, last = -1
    cdef double highest = 0, lowest = 0
    cdef bint any_high = False, any_low = False
    if not (high.shape[0] == low.shape[0] == n and highs.shape[0] == lows.shape[0] == m):
        raise ValueError("times and prices, labels and levels must have one length each")
    if not (previous_high.shape[0] == previous_low.shape[0] == broken_high.shape[0] == broken_low.shape[0] == n):
        raise ValueError("the outputs must have the length of the prices")
    with nogil:
        for i in range(n):
            while before < m and labels[before] < times[i]:
                before += 1
            while before > 0 and labels[before - 1] >= times[i]:
                before -= 1
            if before != last:
                last, any_high, any_low = before, False, False
            if high[i] == high[i] and (not any_high or high[i] > highest):
                highest, any_high = high[i], True
            if low[i] == low[i] and (not any_low or low[i] < lowest):
                lowest, any_low = low[i], True
            if before < 2:
                continue
            previous_high[i], previous_low[i] = highs[before - 2], lows[before - 2]
            broken_high[i] = high[i] == high[i] and highest > highs[before - 2]
            broken_low[i] = low[i] == low[i] and lowest < lows[before - 2]
