# One timeframe as the strategy sees it at its last closed bar. Declarations and leaf functions: no module to import.
from libc.stdint cimport int64_t, uint8_t

from tbot_ext.records cimport FLAG_SESSION_BREAK, Event

cdef struct Frame:
    int64_t atr_n
    int64_t ranges              # true ranges so far, at most atr_n
    int64_t range_sum           # of the first atr_n
    int64_t last_close
    double atr                  # Wilder's, in ticks, once `ranges` is atr_n
    int64_t trend               # -1, 0 none yet, +1
    int64_t trend_event         # the break that set it, -1
    int64_t high, high_event    # last known swing, -1 as event: none
    int64_t low, low_event
    uint8_t has_close

# Place of a timeframe among the frames, -1 if it is none of ours.
cdef inline int frame_of(int timeframe_min) noexcept nogil:
    if timeframe_min == 1:
        return 0
    if timeframe_min == 5:
        return 1
    if timeframe_min == 15:
        return 2
    if timeframe_min == 30:
        return 3
    return 4 if timeframe_min == 60 else -1

# Average true range after Wilder. Across a session break the gap does not count.
cdef inline void frame_bar(Frame* frame, const Event* bar) noexcept nogil:
    cdef int64_t high = bar.top, low = bar.bottom
    if frame.has_close and not bar.flags & FLAG_SESSION_BREAK:
        high, low = max(high, frame.last_close), min(low, frame.last_close)
    frame.last_close, frame.has_close = bar.level, True
    if frame.ranges == frame.atr_n:
        frame.atr = (frame.atr * (frame.atr_n - 1) + (high - low)) / frame.atr_n
        return
    frame.range_sum += high - low
    frame.ranges += 1
    if frame.ranges == frame.atr_n:
        frame.atr = <double>frame.range_sum / frame.atr_n

# In ticks, 0 while there are too few bars for one.
cdef inline double frame_atr(const Frame* frame) noexcept nogil:
    return frame.atr if frame.ranges == frame.atr_n else 0.0

# 1 when the entry lies in the cheaper half of the leg between the last 1h swings (of a short: the dearer). 0 without
# both swings, or when the last high does not lie above the last low: then there is no leg to halve.
cdef inline double frame_location(const Frame* hour, int side, int64_t entry) noexcept nogil:
    if hour.high_event < 0 or hour.low_event < 0 or hour.high <= hour.low:
        return 0.0
    return 1.0 if (2 * entry - (hour.high + hour.low)) * side <= 0 else 0.0
