# Streaming indicators of one timeframe, each O(1) per bar (amortised for swings). The structs live in their owner.
from libc.stdint cimport int32_t, int64_t

from tbot_ext.records cimport Bar
from tbot_ext.series cimport View

cdef enum:
    VOLUMES_C = 50              # volumes in the running mean (smc.md section 2)
    QUEUE_C = 128               # window of a monotone queue, L + R + 1 at most; a power of two
    STACK_C = 64                # unbroken swings kept per side; the oldest is dropped when more would stand

cdef struct AtrState:
    double value                # ticks; 0 while undefined
    int64_t sum                 # of the first `period` true ranges
    int64_t last_close
    int64_t bars                # true ranges taken
    int32_t period
    int32_t apart               # the next bar has no predecessor (after a reset): its true range is high - low

cdef struct VolumeState:
    int64_t volumes[VOLUMES_C]
    int64_t sum
    int32_t n                   # volumes kept
    int32_t at                  # where the next one goes

cdef struct MonotoneQueue:      # prices never increase from head to tail
    int64_t prices[QUEUE_C]
    int64_t bars[QUEUE_C]
    int64_t head                # index of the first entry; entries are at index & (QUEUE_C - 1)
    int64_t tail                # one past the last

cdef struct SwingStack:         # prices strictly decrease from old to new
    int64_t prices[STACK_C]
    int64_t bars[STACK_C]
    int32_t n

cdef struct SwingState:         # index 0: highs; 1: lows, with prices negated
    MonotoneQueue queues[2]
    SwingStack stacks[2]
    int64_t first               # the first bar of the windows; later after a reset
    int32_t left
    int32_t right

cdef void atr_init(AtrState* atr, int period) noexcept nogil
cdef void atr_shift(AtrState* atr, int64_t spread) noexcept nogil
cdef void atr_push(AtrState* atr, const Bar* bar) noexcept nogil
cdef void volume_push(VolumeState* state, int64_t volume) noexcept nogil
cdef double volume_mean(const VolumeState* state) noexcept nogil
cdef void swings_init(SwingState* swings, int left, int right) noexcept nogil
# Takes the high of bar t as a side sees it; 1 when bar t - right is thereby known as a swing, its price in *price.
cdef int swing_push(SwingState* swings, int index, int64_t t, int64_t high, int64_t* price) noexcept nogil
cdef void swings_shift(SwingState* swings, int64_t spread) noexcept nogil
# A close beyond removes swings from the stack of unbroken ones.
cdef void swing_close(SwingState* swings, int index, int64_t close) noexcept nogil
