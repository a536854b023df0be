# All detectors of one timeframe, and the order in which they see a bar (smc.md section 0).
from libc.stdint cimport int64_t

from tbot_ext.breakers cimport BreakerState
from tbot_ext.events cimport EventSink
from tbot_ext.gaps cimport GapState
from tbot_ext.indicators cimport AtrState, SwingState, VolumeState
from tbot_ext.levels cimport LevelState
from tbot_ext.order_blocks cimport BlockState
from tbot_ext.params cimport ParamValues
from tbot_ext.periods cimport PeriodState
from tbot_ext.pools cimport PoolState
from tbot_ext.records cimport Bar
from tbot_ext.series cimport BarSeries
from tbot_ext.structure cimport StructureState

cdef struct DetectorState:      # fixed size, no pointers: a copy of the bytes is a copy of the state
    ParamValues params          # first, and no part of what Detector.state() saves
    BarSeries series
    AtrState atr
    VolumeState volumes
    SwingState swings
    StructureState structure
    GapState gaps
    BlockState blocks
    BreakerState breakers
    LevelState levels
    PoolState pools
    PeriodState periods
    int64_t outliers            # bars with a range above 20 ATR

cdef void detector_init(DetectorState* d, ParamValues params) noexcept nogil
# Takes one closed bar, later than all before; writes its events (at most BAR_EVENTS_C), the bar's own first if asked.
cdef void detector_push(DetectorState* d, const Bar* bar, EventSink* sink, bint bar_event) noexcept nogil

# The next bar is of another contract: `spread` ticks are added to every stored price, or everything but ATR and volume
# mean is forgotten. Neither gives events.
cdef void detector_shift(DetectorState* d, int64_t spread) noexcept nogil
cdef void detector_reset(DetectorState* d) noexcept nogil

# Copies for Python.
cdef detector_bars(const DetectorState* d, int64_t n)
cdef detector_zones(const DetectorState* d, int timeframe_min)
cdef detector_unbroken(const DetectorState* d, int side)

cdef class Detector:
    cdef DetectorState* _state
    cdef EventSink _sink
    cdef bint _bar_events
    cdef str _params_hash
    cdef object _memory                 # uint8 ndarray that owns _sink.items
    cdef readonly int timeframe_min

    cdef int64_t _last_start(self) noexcept nogil
    cdef _taken(self)
