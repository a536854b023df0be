"""Detector: every detector of one timeframe, bar by bar, causal (smc.md sections 0 to 10).

Each closed bar goes through one fixed order of work, and events come out in that order. Nothing is ever taken back: a
zone that ends gives one more event. An event may be used from `known_ns` on, never from the time of its origin.
"""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint16_t
from libc.string cimport memcpy, memset

from tbot_ext.breakers cimport breakers_birth, breakers_init, breakers_react, breakers_shift, breakers_swing
from tbot_ext.events cimport BAR_EVENTS_C, emit
from tbot_ext.gaps cimport gaps_birth, gaps_init, gaps_react, gaps_shift
from tbot_ext.indicators cimport (
    SwingStack,
    atr_init,
    atr_push,
    atr_shift,
    swing_close,
    swing_push,
    swings_init,
    swings_shift,
    volume_mean,
    volume_push,
)
from tbot_ext.levels cimport (
    levels_array,
    levels_init,
    levels_period,
    levels_react,
    levels_round,
    levels_settle,
    levels_shift,
    levels_swing,
)
from tbot_ext.order_blocks cimport blocks_birth, blocks_init, blocks_react, blocks_shift
from tbot_ext.params cimport Params, ParamValues
from tbot_ext.periods cimport (
    ENDED_C,
    PeriodValues,
    periods_array,
    periods_bind,
    periods_init,
    periods_push,
    periods_react,
    periods_shift,
)
from tbot_ext.pools cimport pools_array, pools_init, pools_period, pools_react, pools_shift, pools_swing
from tbot_ext.records cimport EVENT_BAR, EVENT_BREAKER, EVENT_FVG, EVENT_OB, EVENT_SWING_HIGH, EVENT_SWING_LOW, Event
from tbot_ext.series cimport SERIES_C, View, bar_at, bar_possible, clip, oldest_bar, view_bar
from tbot_ext.structure cimport (
    StructureBreak,
    StructureState,
    structure_follow,
    structure_push,
    structure_shift,
    structure_swing,
)
from tbot_ext.zones cimport ZONE_FILLED, ZONE_INVERTED, Zone, ZoneList

import numpy as np

from tbot_ext.envelope import open_envelope, seal
from tbot_ext.params import default_params
from tbot_ext.records import BAR_DTYPE, EVENT_DTYPE
from tbot_ext.zones import ZONE_DTYPE

__all__ = ["Detector"]

cdef enum:
    OUTLIER_ATR = 20            # a wider bar is counted as an outlier print (smc.md section 12)
    CHUNK_EVENTS = 8 * BAR_EVENTS_C     # given to Python at a time; pages never written cost nothing

cdef int64_t MOST_SPREAD = 1 << 40     # ticks, as for prices (series.pxd)

cdef struct NewSwing:
    int64_t level               # as its side sees it
    int32_t side                # +1 a high, -1 a low


cdef void detector_init(DetectorState* d, ParamValues params) noexcept nogil:
    memset(d, 0, sizeof(DetectorState))
    d.params = params
    atr_init(&d.atr, params.atr_n)
    _forget(d)


# ---------------------------------------------------------------- the order of work

cdef void _emit_bar(const Bar* bar, int64_t t, EventSink* sink) noexcept nogil:
    cdef Event* event = emit(sink, bar, t, EVENT_BAR, 0)
    event.origin, event.origin_ns = t, bar.start_ns
    event.top, event.bottom, event.level = bar.high, bar.low, bar.close
    event.volume, event.delta = bar.volume, bar.delta


cdef int _swings(DetectorState* d, const Bar* bar, int64_t t, EventSink* sink, NewSwing* found) noexcept nogil:
    """Step 6: bar t - R may now be known as a swing; the high first. Returns how many. side: +1 a high, -1 a low."""
    cdef int index, side, n = 0
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
        found[n].side, found[n].level = side, price
        n += 1
    return n


cdef void _liquidity(DetectorState* d, int64_t t, const NewSwing* found, int n, double atr, double volume,
                     EventSink* sink) noexcept nogil:
    """Step 7: periods take the bar in; levels, then pools, take in what became known."""
    cdef PeriodValues ended[ENDED_C]
    cdef int64_t i = t - d.params.right
    cdef int k, periods = periods_push(&d.periods, &d.series, sink, &ended[0])
    for k in range(n):
        breakers_swing(&d.breakers, found[k].side, i, found[k].level)
        levels_swing(&d.levels, found[k].side, i, found[k].side * found[k].level)
    if n > 0:
        levels_settle(&d.levels, &d.params, &d.series, atr, volume, sink)
    for k in range(periods):
        levels_period(&d.levels, &d.params, &d.series, &ended[k], atr, volume, sink)
    if d.params.round_step > 0:
        levels_round(&d.levels, &d.params, &d.series, atr, volume, sink)
    for k in range(n):
        pools_swing(&d.pools, &d.params, &d.series, found[k].side, i, found[k].level, atr, volume, sink)
    for k in range(periods):
        pools_period(&d.pools, &d.params, &d.series, &ended[k], atr, volume, sink)


cdef void detector_push(DetectorState* d, const Bar* bar, EventSink* sink, bint bar_event) noexcept nogil:
    cdef int64_t t = d.series.n
    cdef double atr, volume
    cdef StructureBreak broken[2]
    cdef NewSwing found[2]
    cdef int i, n
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
    # 2. everything known before reacts, in the order of the sections
    gaps_react(&d.gaps, &d.params, bar, t, sink)
    blocks_react(&d.blocks, &d.params, bar, t, sink)
    breakers_react(&d.breakers, &d.params, bar, t, &d.blocks, atr, sink)
    levels_react(&d.levels, &d.params, &d.series, atr, volume, sink)
    pools_react(&d.pools, &d.params, &d.series, atr, volume, sink)
    periods_react(&d.periods, &d.series, sink)
    # 3. gaps
    gaps_birth(&d.gaps, &d.params, &d.series, atr, volume, sink)
    # 4. structure against the swings known before this bar, 5. blocks from its breaks
    structure_follow(&d.structure, &d.gaps, bar, t, sink)
    n = structure_push(&d.structure, &d.params, &d.gaps, bar, t, atr, sink, &broken[0])
    for i in range(n):
        blocks_birth(&d.blocks, &d.params, &d.series, &broken[i], &d.gaps, &d.pools, atr, volume, sink)
        breakers_birth(&d.breakers, &d.params, &d.series, &broken[i], &d.gaps, &d.pools, atr, volume, sink)
    # 6. swings, 7. levels and pools
    n = _swings(d, bar, t, sink, &found[0])
    _liquidity(d, t, &found[0], n, atr, volume, sink)


# ---------------------------------------------------------------- another contract follows

cdef void detector_shift(DetectorState* d, int64_t spread) noexcept nogil:
    cdef Bar* bar
    cdef int64_t i
    for i in range(oldest_bar(&d.series), d.series.n):
        bar = &d.series.items[i & (SERIES_C - 1)]
        bar.open += spread
        bar.high += spread
        bar.low += spread
        bar.close += spread
    atr_shift(&d.atr, spread)
    swings_shift(&d.swings, spread)
    structure_shift(&d.structure, spread)
    gaps_shift(&d.gaps, spread)
    blocks_shift(&d.blocks, spread)
    breakers_shift(&d.breakers, spread)
    levels_shift(&d.levels, spread)
    pools_shift(&d.pools, spread)
    periods_shift(&d.periods, spread)


cdef void _forget(DetectorState* d) noexcept nogil:
    """Everything that is made of prices, statistics excepted."""
    swings_init(&d.swings, d.params.left, d.params.right)
    memset(&d.structure, 0, sizeof(StructureState))
    gaps_init(&d.gaps)
    blocks_init(&d.blocks)
    breakers_init(&d.breakers)
    levels_init(&d.levels)
    pools_init(&d.pools)
    periods_init(&d.periods, &d.params)


cdef void detector_reset(DetectorState* d) noexcept nogil:
    _forget(d)
    d.series.first = d.swings.first = d.series.n
    d.atr.apart = 1


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
            zone.kind or kind, zone.state, zone.tests, zone.flags, -side if zone.state == ZONE_INVERTED else side,
            timeframe_min,
        ))
    return rows


cdef detector_zones(const DetectorState* d, int timeframe_min):
    """All live blocks, gaps and breakers in order of birth, ZONE_DTYPE."""
    cdef int index
    rows = []
    for index in range(2):
        rows += _rows(d, &d.blocks.lists[index], EVENT_OB, timeframe_min)
        rows += _rows(d, &d.gaps.lists[index], EVENT_FVG, timeframe_min)
        rows += _rows(d, &d.breakers.lists[index], EVENT_BREAKER, timeframe_min)
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
    if not bar_possible(bar):
        return 2
    return 3 if bar.timeframe_min != timeframe_min else 0


_REFUSALS = (
    "",
    "starts at or before the start of the bar before it",
    "is impossible: open and close must lie within low..high, volume must not be negative, nothing beyond 2**40",
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
        self._params_hash = checked.params_hash()
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

    def pools(self):
        """A copy of all unswept liquidity pools, POOL_DTYPE, nearest to price first, buy-side before sell-side."""
        return pools_array(&self._state.pools, self.timeframe_min)

    def levels(self):
        """A copy of all reported support and resistance levels, LEVEL_DTYPE, in order of price."""
        return levels_array(&self._state.levels, self.timeframe_min)

    def periods(self):
        """A copy of the finished and the running periods, PERIOD_DTYPE."""
        return periods_array(&self._state.periods, self.timeframe_min)

    def roll_shift(self, long long spread):
        """The next bar is of another contract, `spread` ticks above this one: add that to every stored price.

        No event: consumers that keep prices of earlier events add the spread as well (smc.md section 1). The next bar
        should carry Flag.SESSION_BREAK: a spread is only about right, and no gap nor true range should rest on it.
        Raises ValueError for a spread beyond 2**40 ticks; nothing is then shifted.
        """
        if not -MOST_SPREAD <= spread <= MOST_SPREAD:
            raise ValueError(f"a spread of {spread} ticks is impossible, nothing was shifted; pass new less old price")
        detector_shift(self._state, spread)

    def roll_reset(self):
        """The next bar is of another contract at an unknown distance: forget zones, swings, pools, levels, structure.

        ATR and volume mean are kept, bar numbers and ids go on; windows start with the next bar.
        """
        detector_reset(self._state)

    def state(self):
        """Everything needed to go on as if never interrupted, as bytes for `restore`: bars, zones, the next event id.

        For a build with the same structs; the parameters themselves are not in it, nor what else the constructor takes.
        """
        return seal((<const char*>self._state)[sizeof(ParamValues):sizeof(DetectorState)], self.timeframe_min,
                    self._params_hash, self._sink.next_id)

    def restore(self, bytes state not None):
        """Go on from where `state()` was taken, whatever this detector has seen; it keeps its constructor's arguments.

        Raises ValueError for a state that is cut short, foreign, damaged, or of another version, layout, timeframe or
        other parameters; this detector is then unchanged.
        """
        cdef bytes content
        cdef int64_t next_id
        content, next_id = open_envelope(state, sizeof(DetectorState) - sizeof(ParamValues), self.timeframe_min,
                                         self._params_hash)
        memcpy(<char*>self._state + sizeof(ParamValues), <const char*>content, len(content))
        periods_bind(&self._state.periods, &self._state.params)    # zones are numbered anew in every process
        self._sink.next_id = next_id

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
