# cython: language_level=3
"""Drives the levels of one timeframe with periods made up by a test, in the detector's order of work, without swings."""
from libc.stdint cimport int64_t
from libc.string cimport memset

from tbot_ext.events cimport EventSink
from tbot_ext.indicators cimport (
    AtrState,
    VolumeState,
    atr_init,
    atr_push,
    atr_shift,
    volume_mean,
    volume_push,
)
from tbot_ext.levels cimport (
    LevelState,
    levels_array,
    levels_init,
    levels_period,
    levels_react,
    levels_round,
    levels_shift,
)
from tbot_ext.params cimport Params, ParamValues
from tbot_ext.periods cimport PeriodValues
from tbot_ext.records cimport Bar, Event
from tbot_ext.series cimport SERIES_C, BarSeries

import numpy as np

from tbot_ext.records import EVENT_DTYPE

cdef enum:
    EVENTS_C = 1024


cdef class Driver:
    cdef ParamValues params
    cdef BarSeries series
    cdef AtrState atr
    cdef VolumeState volumes
    cdef LevelState state
    cdef EventSink sink
    cdef Event events[EVENTS_C]

    def __cinit__(self, Params params):
        self.params = params.values()
        atr_init(&self.atr, self.params.atr_n)
        levels_init(&self.state)
        self.sink.items, self.sink.capacity, self.sink.next_id = &self.events[0], EVENTS_C, 1

    def push(self, bar, periods=()):
        """bar: a BAR_DTYPE row as bytes; periods: tuples in the order of PeriodValues. Returns the events."""
        cdef const unsigned char[::1] raw = bar
        cdef const Bar* taken = <const Bar*>&raw[0]
        cdef PeriodValues ended
        cdef double atr, volume
        self.sink.n = 0
        self.series.items[self.series.n & (SERIES_C - 1)] = taken[0]
        self.series.n += 1
        atr_push(&self.atr, taken)
        volume_push(&self.volumes, taken.volume)
        atr, volume = self.atr.value, volume_mean(&self.volumes)
        levels_react(&self.state, &self.params, &self.series, atr, volume, &self.sink)
        for values in periods:
            memset(&ended, 0, sizeof(PeriodValues))
            (ended.event_id, ended.kind, ended.high, ended.low, ended.close, ended.high_bar, ended.low_bar,
             ended.high_volume, ended.low_volume) = values
            levels_period(&self.state, &self.params, &self.series, &ended, atr, volume, &self.sink)
        if self.params.round_step > 0:
            levels_round(&self.state, &self.params, &self.series, atr, volume, &self.sink)
        cdef const unsigned char[::1] out = <unsigned char[:EVENTS_C * sizeof(Event)]><unsigned char*>&self.events[0]
        return np.asarray(out[:self.sink.n * sizeof(Event)]).copy().view(EVENT_DTYPE)

    def shift(self, int64_t spread):
        cdef int64_t i
        for i in range(max(self.series.n - SERIES_C, 0), self.series.n):
            self.series.items[i & (SERIES_C - 1)].open += spread
            self.series.items[i & (SERIES_C - 1)].high += spread
            self.series.items[i & (SERIES_C - 1)].low += spread
            self.series.items[i & (SERIES_C - 1)].close += spread
        atr_shift(&self.atr, spread)
        levels_shift(&self.state, spread)

    def levels(self):
        return levels_array(&self.state, 1)
