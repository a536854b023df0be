"""What price reaches first: outcomes of bracket trades and of zones over whole arrays of bars, in ticks.

For statistics, never for trading: outcomes are read off bars that came later. Rules of one trade, all against it:
* from the entry's bar on, a bar whose extreme reaches the stop ends it there, at its open where that is worse;
* the target counts when a bar trades through it by a tick, and gives its price, never a better one: one gap across a
  thin zone would decide the mean of thousands; a bar that does both is a stop; a bar that touches a zone's edge after
  its open cannot reach the target, because the order of its prices is not known;
* after `horizon` bars, or where the data ends, it is closed at the close.
"""
from libc.math cimport NAN
from libc.stdint cimport int8_t, int64_t

__all__ = ["NO_TRADE", "STOPPED", "TARGET", "TIMED_OUT", "bracket_outcomes", "zone_outcomes"]

STOPPED = -1
TIMED_OUT = 0
TARGET = 1
NO_TRADE = 2


cdef int _run(const Series* bars, Py_ssize_t first, Py_ssize_t last, int64_t side, int64_t stop, int64_t target,
              bint blind, int64_t* price) noexcept nogil:
    """From bar `first` to `last`: the state; the price of the end by `price`. Prices times `side`."""
    cdef Py_ssize_t i
    cdef int64_t opened, worst, best
    for i in range(first, last + 1):
        opened = side * bars.open[i]
        if side > 0:
            worst, best = bars.low[i], bars.high[i]
        else:
            worst, best = -bars.high[i], -bars.low[i]
        if worst <= stop:
            price[0] = opened if opened < stop and not (blind and i == first) else stop
            return -1
        if best > target and not (blind and i == first):
            price[0] = target
            return 1
    price[0] = side * bars.close[last]
    return 0


cdef Series _series(const int64_t[::1] open, const int64_t[::1] high, const int64_t[::1] low,
                    const int64_t[::1] close):
    cdef Series bars
    bars.n = open.shape[0]
    if not (high.shape[0] == low.shape[0] == close.shape[0] == bars.n):
        raise ValueError("the four prices of bars must have one length")
    bars.open, bars.high, bars.low, bars.close = NULL, NULL, NULL, NULL
    if bars.n:
        bars.open, bars.high, bars.low, bars.close = &open[0], &high[0], &low[0], &close[0]
    return bars


def bracket_outcomes(const int64_t[::1] open, const int64_t[::1] high, const int64_t[::1] low,
                     const int64_t[::1] close, const int64_t[::1] entry, const int64_t[::1] side,
                     const int64_t[::1] stop, const int64_t[::1] target, Py_ssize_t horizon,
                     double[::1] result, int8_t[::1] state):
    """Trades entered at the open of bar `entry`, `stop` and `target` ticks away: result in units of `stop`, state.

    An entry outside the bars, or without a side, is no trade: NaN and NO_TRADE.
    """
    cdef Series bars = _series(open, high, low, close)
    cdef Py_ssize_t i, first, last, m = entry.shape[0]
    cdef int64_t sign, begun, price = 0
    if not (side.shape[0] == stop.shape[0] == target.shape[0] == result.shape[0] == state.shape[0] == m):
        raise ValueError("entries, sides, distances and outputs must have one length")
    if horizon < 1:
        raise ValueError("a trade needs a horizon of at least one bar")
    for i in range(m):
        if stop[i] < 1 or target[i] < 1:
            raise ValueError("stop and target must be at least one tick away")
    with nogil:
        for i in range(m):
            first, sign = entry[i], side[i]
            if first < 0 or first >= bars.n or (sign != 1 and sign != -1):
                result[i], state[i] = NAN, 2
                continue
            last = min(first + horizon, bars.n) - 1
            begun = sign * bars.open[first]
            state[i] = _run(&bars, first, last, sign, begun - stop[i], begun + target[i], False, &price)
            result[i] = <double>(price - begun) / stop[i]


def zone_outcomes(const int64_t[::1] open, const int64_t[::1] high, const int64_t[::1] low,
                  const int64_t[::1] close, const int64_t[::1] born, const int64_t[::1] top,
                  const int64_t[::1] bottom, const int64_t[::1] side, int64_t buffer, double reward,
                  Py_ssize_t wait, Py_ssize_t horizon, double[::1] result, int8_t[::1] state):
    """Zones known at the close of bar `born`, entered at the edge that price touches first, within `wait` bars.

    The stop lies `buffer` ticks beyond the far edge, the target `reward` times that distance from the entry edge. A
    bar that opens inside the zone is an entry at its open. No trade (NaN): never touched, the data ends first, or a
    bar opens beyond the far edge before the zone was touched. `result` is in units of the distance edge to stop.
    """
    cdef Series bars = _series(open, high, low, close)
    cdef Py_ssize_t i, j, last, m = born.shape[0]
    cdef int64_t sign, near, far, begun, stop, risk, price = 0
    cdef bint blind
    if not (top.shape[0] == bottom.shape[0] == side.shape[0] == result.shape[0] == state.shape[0] == m):
        raise ValueError("births, edges, sides and outputs must have one length")
    if horizon < 1 or wait < 1 or buffer < 1 or reward <= 0:
        raise ValueError("horizon, wait and buffer must be at least 1, and the reward above 0")
    with nogil:
        for i in range(m):
            result[i], state[i] = NAN, 2
            sign = side[i]
            if born[i] < 0 or born[i] >= bars.n or top[i] < bottom[i] or (sign != 1 and sign != -1):
                continue
            if sign > 0:
                near, far = top[i], bottom[i]
            else:
                near, far = -bottom[i], -top[i]
            last = min(born[i] + wait, bars.n - 1)
            j = born[i] + 1
            if sign > 0:
                while j <= last and bars.low[j] > near:
                    j += 1
            else:
                while j <= last and -bars.high[j] > near:
                    j += 1
            if j > last:
                continue
            begun = sign * bars.open[j]
            if begun < far:
                continue
            blind = begun > near
            begun = min(begun, near)
            stop = far - buffer
            risk = near - stop
            last = min(j + horizon, bars.n) - 1
            state[i] = _run(&bars, j, last, sign, stop, near + <int64_t>(reward * risk + 0.5), blind,
                            &price)
            result[i] = <double>(price - begun) / risk
