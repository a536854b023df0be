# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The detectors of one timeframe, some of them switched off: the order of work is that of `detector_push`.

A part that is off leaves its state empty, so the others run as if nothing of its kind existed.
"""
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t

from tbot_ext.breakers cimport breakers_birth, breakers_react, breakers_swing
from tbot_ext.detector cimport DetectorState, detector_init
from tbot_ext.events cimport BAR_EVENTS_C, EventSink
from tbot_ext.gaps cimport gaps_birth, gaps_react
from tbot_ext.indicators cimport atr_push, swing_close, swing_push, volume_mean, volume_push
from tbot_ext.levels cimport levels_period, levels_react, levels_round, levels_settle, levels_swing
from tbot_ext.order_blocks cimport blocks_birth, blocks_react
from tbot_ext.params cimport Params
from tbot_ext.periods cimport ENDED_C, PeriodValues, periods_push, periods_react
from tbot_ext.pools cimport pools_period, pools_react, pools_swing
from tbot_ext.records cimport Bar, Event
from tbot_ext.series cimport SERIES_C, View, bar_at, view_bar
from tbot_ext.structure cimport StructureBreak, structure_follow, structure_push, structure_swing

from tbot_ext.params import default_params

GAPS, STRUCTURE, BLOCKS, BREAKERS, LEVELS, POOLS, PERIODS = 1, 2, 4, 8, 16, 32, 64


cdef class Parts:
    cdef DetectorState* d
    cdef EventSink sink
    cdef Event* room
    cdef int on

    def __cinit__(self, int timeframe_min, int on):
        cdef Params params = default_params()[timeframe_min]
        self.d = <DetectorState*>PyMem_Calloc(1, sizeof(DetectorState))
        self.room = <Event*>PyMem_Calloc(BAR_EVENTS_C, sizeof(Event))
        if self.d == NULL or self.room == NULL:
            raise MemoryError()
        detector_init(self.d, params.values())
        self.sink.items, self.sink.capacity, self.sink.next_id = self.room, BAR_EVENTS_C, 1
        self.on = on

    def __dealloc__(self):
        PyMem_Free(self.d)
        PyMem_Free(self.room)

    def run(self, const unsigned char[::1] bars):
        """Take all bars (BAR_DTYPE as bytes); how many structural events there were, the bars' own not counted."""
        cdef const Bar* items = <const Bar*>&bars[0]
        cdef int64_t i, n = bars.shape[0] // <int64_t>sizeof(Bar), events = 0
        with nogil:
            for i in range(n):
                self.sink.n = 0
                self.push(&items[i])
                events += self.sink.n
        return events

    cdef void push(self, const Bar* bar) noexcept nogil:
        cdef DetectorState* d = self.d
        cdef EventSink* sink = &self.sink
        cdef int on = self.on
        cdef int64_t t = d.series.n
        cdef StructureBreak broken[2]
        cdef double atr, volume
        cdef int i, n
        d.series.items[t & (SERIES_C - 1)] = bar[0]
        d.series.n += 1
        atr_push(&d.atr, bar)
        volume_push(&d.volumes, bar.volume)
        atr, volume = d.atr.value, volume_mean(&d.volumes)
        if on & 1:
            gaps_react(&d.gaps, &d.params, bar, t, sink)
        if on & 4:
            blocks_react(&d.blocks, &d.params, bar, t, sink)
        if on & 8:
            breakers_react(&d.breakers, &d.params, bar, t, &d.blocks, atr, sink)
        if on & 16:
            levels_react(&d.levels, &d.params, &d.series, atr, volume, sink)
        if on & 32:
            pools_react(&d.pools, &d.params, &d.series, atr, volume, sink)
        if on & 64:
            periods_react(&d.periods, &d.series, sink)
        if on & 1:
            gaps_birth(&d.gaps, &d.params, &d.series, atr, volume, sink)
        if on & 2:
            structure_follow(&d.structure, &d.gaps, bar, t, sink)
            n = structure_push(&d.structure, &d.params, &d.gaps, bar, t, atr, sink, &broken[0])
            for i in range(n):
                if on & 4:
                    blocks_birth(&d.blocks, &d.params, &d.series, &broken[i], &d.gaps, &d.pools, atr, volume, sink)
                if on & 8:
                    breakers_birth(&d.breakers, &d.params, &d.series, &broken[i], &d.gaps, &d.pools, atr, volume, sink)
        self.swings(bar, t, atr, volume)

    cdef void swings(self, const Bar* bar, int64_t t, double atr, double volume) noexcept nogil:
        cdef DetectorState* d = self.d
        cdef EventSink* sink = &self.sink
        cdef int on = self.on
        cdef PeriodValues ended[ENDED_C]
        cdef int64_t i = t - d.params.right, price = 0
        cdef int64_t level[2]
        cdef int side_of[2]
        cdef View view
        cdef int index, side, k, n = 0, periods = 0
        if on & 2:
            for index in range(2):
                side = -1 if index else 1
                view_bar(&view, bar, side)
                swing_close(&d.swings, index, view.close)
                if swing_push(&d.swings, index, t, view.high, &price):
                    structure_swing(&d.structure, side, i, bar_at(&d.series, i).start_ns, price)
                    side_of[n], level[n] = side, price
                    n += 1
        if on & 64:
            periods = periods_push(&d.periods, &d.series, sink, &ended[0])
        for k in range(n):
            if on & 8:
                breakers_swing(&d.breakers, side_of[k], i, level[k])
            if on & 16:
                levels_swing(&d.levels, side_of[k], i, side_of[k] * level[k])
        if on & 16:
            if n > 0:
                levels_settle(&d.levels, &d.params, &d.series, atr, volume, sink)
            for k in range(periods):
                levels_period(&d.levels, &d.params, &d.series, &ended[k], atr, volume, sink)
            if d.params.round_step > 0:
                levels_round(&d.levels, &d.params, &d.series, atr, volume, sink)
        if on & 32:
            for k in range(n):
                pools_swing(&d.pools, &d.params, &d.series, side_of[k], i, level[k], atr, volume, sink)
            for k in range(periods):
                pools_period(&d.pools, &d.params, &d.series, &ended[k], atr, volume, sink)
