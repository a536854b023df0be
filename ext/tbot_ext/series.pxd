# The last bars of one timeframe, and bars seen from one side. Declarations and leaf functions: no module to import.
from libc.stdint cimport int64_t

from tbot_ext.records cimport Bar

cdef enum:
    SERIES_C = 1024             # bars kept; a power of two

cdef struct BarSeries:
    Bar items[SERIES_C]
    int64_t n                   # bars taken so far; bar i is kept while max(n - SERIES_C, first) <= i < n
    int64_t first               # bars before were made of another contract: nothing may use them (reset)

cdef struct View:               # one bar as a side sees it, in ticks
    int64_t open
    int64_t high
    int64_t low
    int64_t close

cdef inline const Bar* bar_at(const BarSeries* series, int64_t i) noexcept nogil:
    return &series.items[i & (SERIES_C - 1)]

cdef inline int64_t oldest_bar(const BarSeries* series) noexcept nogil:
    return series.n - SERIES_C if series.n - SERIES_C > series.first else series.first

# Whether detectors can take a bar. The limits, 2**40 ticks or contracts and years 1824 to 2116, are far from any market
# and leave room: no sum, difference or negated price of what a detector keeps can leave 64 bits.
cdef inline bint bar_possible(const Bar* bar) noexcept nogil:
    if bar.low > bar.open or bar.low > bar.close or bar.high < bar.open or bar.high < bar.close:
        return False
    if bar.low < -1099511627776LL or bar.high > 1099511627776LL:
        return False
    if bar.volume < 0 or bar.volume > 1099511627776LL:
        return False
    if bar.delta < -1099511627776LL or bar.delta > 1099511627776LL:
        return False
    return -4611686018427387904LL <= bar.start_ns <= 4611686018427387904LL

# Why every rule is written once, for the bull: the bear sees prices negated, so high and low change places and each
# comparison turns around by itself. A rule can then not differ between the sides.
cdef inline void view_bar(View* view, const Bar* bar, int side) noexcept nogil:
    if side > 0:
        view.open = bar.open
        view.high = bar.high
        view.low = bar.low
        view.close = bar.close
    else:
        view.open = -bar.open
        view.high = -bar.low
        view.low = -bar.high
        view.close = -bar.close

cdef inline double clip(double x) noexcept nogil:
    return 1.0 if x > 1.0 else (x if x > 0.0 else 0.0)

# volume / (2 * mean), cut to 0..1; without a volume feed every volume factor is one half (smc.md section 2).
cdef inline double volume_factor(double volume, double mean) noexcept nogil:
    return clip(volume / (2.0 * mean)) if mean > 0.0 else 0.5
