"""Detector: every detector of one timeframe, bar by bar, causal (smc.md sections 0 to 6).

Each closed bar goes through one fixed order of work, and events come out in that order. Nothing is ever taken back: a
zone that ends gives one more event. An event may be used from `known_ns` on, never from the time of its origin.
"""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport INT64_MIN, int64_t, uint16_t
from libc.string cimport memset

from tbot_ext.events cimport BAR_EVENTS_C, emit
from tbot_ext.gaps cimport gaps_birth, gaps_init, gaps_react
from tbot_ext.indicators cimport (
    SwingStack,
    atr_init,
    atr_push,
    swing_close,
    swing_push,
    swings_init,
    volume_mean,
    volume_push,
)
from tbot_ext.order_blocks cimport blocks_birth, blocks_init, blocks_react
from tbot_ext.params cimport Params
from tbot_ext.records cimport EVENT_BAR, EVENT_FVG, EVENT_OB, EVENT_SWING_HIGH, EVENT_SWING_LOW, Event
from tbot_ext.series cimport SERIES_C, View, bar_at, clip, oldest_bar, view_bar
from tbot_ext.structure cimport StructureBreak, structure_push, structure_swing
from tbot_ext.zones cimport ZONE_FILLED, ZONE_INVERTED, Zone, ZoneList

import numpy as np

from tbot_ext.params import default_params
from tbot_ext.records import BAR_DTYPE, EVENT_DTYPE
from tbot_ext.zones import ZONE_DTYPE

__all__ = ["Detector"]

cdef enum:
    OUTLIER_ATR = 20            # a wider bar is counted as an outlier print (smc.md section 12)
    CHUNK_EVENTS = 8 * BAR_EVENTS_C     # given to Python at a time; pages never written cost nothing


cdef void detector_init(DetectorState* d, ParamValues params) noexcept nogil:
    memset(d, 0, sizeof(DetectorState))
    d.params = params
    atr_init(&d.atr, params.atr_n)
    swings_init(&d.swings, params.left, params.right)
    gaps_init(&d.gaps)
    blocks_init(&d.blocks)


# ---------------------------------------------------------------- the order of work

cdef void _emit_bar(const Bar* bar, int64_t t, EventSink* sink) noexcept nogil:
    cdef Event* event = emit(sink, bar, t, EVENT_BAR, 0)
    event.origin, event.origin_ns = t, bar.start_ns
    event.top, event.bottom, event.level = bar.high, bar.low, bar.close
    event.volume, event.delta = bar.volume, bar.delta


cdef void _swings(DetectorState* d, const Bar* bar, int64_t t, EventSink* sink) noexcept nogil:
    """Step 6: bar t - R may now be known as a swing; the high first. side of the event: +1 a high, -1 a low."""
    cdef int index, side
    cdef int64_t i = t - d.params.right, price = 0
    cdef View view
    cdef Event* event
    for index in range(2):
        side = -1 if index else 1
        view_bar(&view, bar, side)
        swing_close(&d.swings, index, view.close)
        if not swing_push(&d.swings, index, t, view.high, &price):
            continue
        structure_swing(&d.structure, side, i, bar_at(&d.series, i).start_ns, price)
        event = emit(sink, bar, t, EVENT_SWING_LOW if index else EVENT_SWING_HIGH, side)
        event.origin, event.origin_ns = i, bar_at(&d.series, i).start_ns
        event.level = event.top = event.bottom = side * price
        event.volume, event.delta = bar_at(&d.series, i).volume, bar_at(&d.series, i).delta


cdef void detector_push(DetectorState* d, const Bar* bar, EventSink* sink, bint bar_event) noexcept nogil:
    cdef int64_t t = d.series.n
    cdef double atr, volume
    cdef StructureBreak broken[2]
    cdef int i, breaks
    if d.atr.value > 0.0 and bar.high - bar.low > OUTLIER_ATR * d.atr.value:
        d.outliers += 1
    # 1. statistics take the bar in
    d.series.items[t & (SERIES_C - 1)] = bar[0]
    d.series.n += 1
    atr_push(&d.atr, bar)
    volume_push(&d.volumes, bar.volume)
    atr, volume = d.atr.value, volume_mean(&d.volumes)
    if bar_event:
        _emit_bar(bar, t, sink)
    # 2. zones born before react (here go breakers, pools and levels, in the order of their sections)
    gaps_react(&d.gaps, &d.params, bar, t, sink)
    blocks_react(&d.blocks, &d.params, bar, t, sink)
    # 3. gaps
    gaps_birth(&d.gaps, &d.params, &d.series, atr, volume, sink)
    # 4. structure against the swings known before this bar, 5. blocks from its breaks
    breaks = structure_push(&d.structure, &d.params, bar, t, sink, &broken[0])
    for i in range(breaks):
        blocks_birth(&d.blocks, &d.params, &d.series, &broken[i], &d.gaps, atr, volume, sink)
    # 6. swings (7., levels and pools, take the newly known swing in after this)
    _swings(d, bar, t, sink)


# ---------------------------------------------------------------- copies for Python

cdef detector_bars(const DetectorState* d, int64_t n):
    """The last n closed bars (1024 at most), oldest first."""
    cdef int64_t first = max(d.series.n - max(n, 0), oldest_bar(&d.series))
    cdef int64_t i
    result = np.empty(d.series.n - first, BAR_DTYPE)
    if first == d.series.n:
        return result
    cdef unsigned char[::1] space = result.view(np.uint8)
    for i in range(first, d.series.n):
        (<Bar*>&space[0])[i - first] = bar_at(&d.series, i)[0]
    return result


cdef double _fill(const DetectorState* d, const Zone* zone, int side):
    """How much of a gap has been traded through since its birth, 0..1."""
    cdef View view
    cdef int64_t i, lowest = zone.top
    if zone.state >= ZONE_FILLED:
        return 1.0
    for i in range(zone.born + 1, d.series.n):
        view_bar(&view, bar_at(&d.series, i), side)
        lowest = min(lowest, view.low)
    return clip(<double>(zone.top - lowest) / (zone.top - zone.bottom))


cdef list _rows(const DetectorState* d, const ZoneList* zones, int kind, int timeframe_min):
    cdef int i, side
    cdef const Zone* zone
    rows = []
    for i in range(zones.n):
        zone = &zones.items[i]
        side = zones.side
        rows.append((
            zone.id, zone.stack_id, zone.known_ns, zone.origin_ns, zone.born, zone.origin,
            zone.top if side > 0 else -zone.bottom, zone.bottom if side > 0 else -zone.top,
            zone.volume, zone.delta, zone.score, _fill(d, zone, side) if kind == EVENT_FVG else 0.0,
            kind, zone.state, zone.tests, zone.flags, -side if zone.state == ZONE_INVERTED else side, timeframe_min,
        ))
    return rows


cdef detector_zones(const DetectorState* d, int timeframe_min):
    """All live blocks and gaps in order of birth, ZONE_DTYPE."""
    cdef int index
    rows = []
    for index in range(2):
        rows += _rows(d, &d.blocks.lists[index], EVENT_OB, timeframe_min)
        rows += _rows(d, &d.gaps.lists[index], EVENT_FVG, timeframe_min)
    return np.array(sorted(rows), ZONE_DTYPE)


cdef detector_unbroken(const DetectorState* d, int side):
    """Prices of the swing highs (+1) or lows (-1) beyond which no bar has closed, old to new: ever nearer to price."""
    cdef const SwingStack* stack = &d.swings.stacks[0 if side > 0 else 1]
    return np.array([side * stack.prices[k] for k in range(stack.n)], np.int64)


# ---------------------------------------------------------------- for Python

cdef int _refusal(const Bar* bar, int64_t last_start, int timeframe_min) noexcept nogil:
    """0 when a bar may be taken, else the place of its reason in _REFUSALS."""
    if bar.start_ns <= last_start:
        return 1
    if bar.low > min(bar.open, bar.close) or bar.high < max(bar.open, bar.close) or bar.volume < 0:
        return 2
    return 3 if bar.timeframe_min != timeframe_min else 0


_REFUSALS = (
    "",
    "starts at or before the start of the bar before it",
    "is impossible: open and close must lie within low..high, volume must not be negative",
    "is of another timeframe than this detector",
)


@cython.final
cdef class Detector:
    """The detectors of one timeframe (minutes, 1..255) for bars that exist already: files, tests, notebooks.

    `bar_events=True` emits an event per bar as the pipeline does. Bars carry their session breaks as a flag
    (`bars.mark_session_breaks`). Raises ValueError for a bad timeframe, and for bars that are not strictly later than
    the last one or not possible; the state is then unchanged.
    """

    def __cinit__(self):
        self._state = <DetectorState*>PyMem_Calloc(1, sizeof(DetectorState))
        if self._state == NULL:
            raise MemoryError()

    def __init__(self, int timeframe_min, params=None, int contract_id=0, bar_events=False):
        if not 1 <= timeframe_min <= 255:
            raise ValueError(f"timeframe_min must lie in 1..255, not {timeframe_min}")
        cdef Params checked = params if params is not None else default_params().get(timeframe_min, Params())
        self.timeframe_min = timeframe_min
        self._bar_events = bar_events
        self._sink.next_id = 1
        self._sink.contract_id = <uint16_t>contract_id
        detector_init(self._state, checked.values())
        self._memory = np.empty(CHUNK_EVENTS * sizeof(Event), np.uint8)
        cdef unsigned char[::1] space = self._memory
        self._sink.items, self._sink.capacity = <Event*>&space[0], CHUNK_EVENTS

    def __dealloc__(self):
        PyMem_Free(self._state)

    cdef int64_t _last_start(self) noexcept nogil:
        """Start of the newest bar, INT64_MIN before the first."""
        if self._state.series.n == 0:
            return INT64_MIN
        return bar_at(&self._state.series, self._state.series.n - 1).start_ns

    cdef _taken(self):
        """A copy of the events in memory, as bytes: numpy copies records field by field, ten times slower."""
        return self._memory[:self._sink.n * sizeof(Event)].copy()

    def push_bar(self, long long start_ns, long long open, long long high, long long low, long long close,
                 long long volume=0, long long delta=0, int flags=0):
        """Take one closed bar (UTC ns, ticks, contracts); returns a copy of its events, EVENT_DTYPE."""
        cdef Bar bar
        cdef int refusal
        memset(&bar, 0, sizeof(Bar))
        bar.start_ns, bar.open, bar.high, bar.low, bar.close = start_ns, open, high, low, close
        bar.volume, bar.delta = volume, delta
        bar.flags, bar.timeframe_min = <uint16_t>flags, <uint16_t>self.timeframe_min
        refusal = _refusal(&bar, self._last_start(), self.timeframe_min)
        if refusal:
            raise ValueError(f"the bar {_REFUSALS[refusal]}; it was not taken")
        self._sink.n = 0
        detector_push(self._state, &bar, &self._sink, self._bar_events)
        return self._taken().view(EVENT_DTYPE)

    def push_bars(self, bars):
        """Take a BAR_DTYPE array of closed bars; returns a copy of all their events in order of emission."""
        if bars.dtype != BAR_DTYPE:
            raise ValueError(f"bars must have BAR_DTYPE, not {bars.dtype}")
        cdef int64_t count = len(bars), i
        cdef int64_t last = self._last_start()
        cdef int refusal
        if count == 0:
            return np.empty(0, EVENT_DTYPE)
        cdef const unsigned char[::1] raw = np.ascontiguousarray(bars).view(np.uint8)
        cdef const Bar* bar = <const Bar*>&raw[0]
        for i in range(count):
            refusal = _refusal(&bar[i], last, self.timeframe_min)
            if refusal:
                raise ValueError(f"bar {i} {_REFUSALS[refusal]}; no bar was taken")
            last = bar[i].start_ns
        parts = []
        i = 0
        while i < count:
            self._sink.n = 0
            with nogil:
                while i < count and self._sink.capacity - self._sink.n >= BAR_EVENTS_C:
                    detector_push(self._state, &bar[i], &self._sink, self._bar_events)
                    i += 1
            parts.append(self._taken())
        return np.concatenate(parts).view(EVENT_DTYPE)

    def bars(self, int n=500):
        """A copy of the last n closed bars (1024 at most), BAR_DTYPE."""
        return detector_bars(self._state, n)

    def zones(self):
        """A copy of all live zones, ZONE_DTYPE, in order of birth."""
        return detector_zones(self._state, self.timeframe_min)

    def unbroken_swings(self, int side):
        """Prices (ticks) of swing highs (+1) or lows (-1) beyond which no bar has closed, old to new."""
        return detector_unbroken(self._state, side)

    @property
    def bar_count(self):
        """Bars taken so far; the next one has this number."""
        return self._state.series.n

    @property
    def trend(self):
        """-1, 0 (no break yet) or +1 (smc.md section 4)."""
        return self._state.structure.trend

    @property
    def atr(self):
        """Wilder's ATR in ticks, 0 while undefined."""
        return self._state.atr.value

    @property
    def volume_mean(self):
        """Mean of the last 50 volumes."""
        return volume_mean(&self._state.volumes)

    @property
    def outliers(self):
        """Bars with a range above 20 ATR."""
        return self._state.outliers
