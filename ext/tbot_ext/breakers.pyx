"""Breaker and mitigation blocks (smc.md section 7)."""
from libc.stdint cimport int64_t

from tbot_ext.zones cimport zones_init, zones_shift

__all__ = []  # for the detector only


cdef void breakers_init(BreakerState* breakers) noexcept nogil:
    zones_init(&breakers.lists[0], 1)
    zones_init(&breakers.lists[1], -1)


cdef void breakers_shift(BreakerState* breakers, int64_t spread) noexcept nogil:
    zones_shift(&breakers.lists[0], spread)
    zones_shift(&breakers.lists[1], spread)


cdef void breakers_react(BreakerState* breakers, const ParamValues* p, const Bar* bar, int64_t t,
                         const BlockState* blocks, double atr, EventSink* sink) noexcept nogil:
    pass


cdef void breakers_birth(BreakerState* breakers, const ParamValues* p, const BarSeries* series,
                         const StructureBreak* broken, const GapState* gaps, const PoolState* pools, double atr,
                         double volume, EventSink* sink) noexcept nogil:
    pass


cdef void breakers_swing(BreakerState* breakers, int side, int64_t i, int64_t level) noexcept nogil:
    pass
