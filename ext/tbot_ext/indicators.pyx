"""Wilder's ATR, the running mean of volume, and swing highs and lows: smc.md sections 2 and 3, one bar at a time.

The classes are for tests and notebooks; the detectors use the structs and functions of `indicators.pxd` directly.
"""
cimport cython
from libc.stdint cimport int64_t
from libc.string cimport memset

from tbot_ext.params cimport MAX_WINDOW_C
from tbot_ext.records cimport FLAG_SESSION_BREAK, Bar

__all__ = ["Atr", "Swings", "VolumeMean"]


# ---------------------------------------------------------------- true range and volume

cdef void atr_init(AtrState* atr, int period) noexcept nogil:
    memset(atr, 0, sizeof(AtrState))
    atr.period = period


cdef void atr_push(AtrState* atr, const Bar* bar) noexcept nogil:
    """Seeded with the mean of the first `period` true ranges. Across a session break the range is high - low alone."""
    cdef int64_t true_range = bar.high - bar.low
    if atr.bars > 0 and not atr.apart and not bar.flags & FLAG_SESSION_BREAK:
        true_range = max(true_range, max(bar.high - atr.last_close, atr.last_close - bar.low))
    atr.apart = 0
    atr.last_close = bar.close
    atr.bars += 1
    if atr.bars > atr.period:
        atr.value = (atr.value * (atr.period - 1) + true_range) / atr.period
    else:
        atr.sum += true_range
        if atr.bars == atr.period:
            atr.value = <double>atr.sum / atr.period


cdef void atr_shift(AtrState* atr, int64_t spread) noexcept nogil:
    atr.last_close += spread


cdef void volume_push(VolumeState* state, int64_t volume) noexcept nogil:
    if state.n == VOLUMES_C:
        state.sum -= state.volumes[state.at]
    else:
        state.n += 1
    state.volumes[state.at] = volume
    state.sum += volume
    state.at = state.at + 1 if state.at + 1 < VOLUMES_C else 0


cdef double volume_mean(const VolumeState* state) noexcept nogil:
    return <double>state.sum / state.n if state.n else 0.0


# ---------------------------------------------------------------- swings

cdef void swings_init(SwingState* swings, int left, int right) noexcept nogil:
    memset(swings, 0, sizeof(SwingState))
    swings.left = left
    swings.right = right


cdef void _stack_push(SwingStack* stack, int64_t i, int64_t price) noexcept nogil:
    cdef int k
    while stack.n and stack.prices[stack.n - 1] <= price:
        stack.n -= 1
    if stack.n == STACK_C:
        for k in range(1, STACK_C):
            stack.prices[k - 1] = stack.prices[k]
            stack.bars[k - 1] = stack.bars[k]
        stack.n -= 1
    stack.prices[stack.n] = price
    stack.bars[stack.n] = i
    stack.n += 1


cdef int swing_push(SwingState* swings, int index, int64_t t, int64_t high, int64_t* price) noexcept nogil:
    """The front of the queue is the first maximum of the window t-L-R..t: strict to the left, weak to the right."""
    cdef MonotoneQueue* queue = &swings.queues[index]
    cdef int64_t front
    while queue.tail > queue.head and queue.prices[(queue.tail - 1) & (QUEUE_C - 1)] < high:
        queue.tail -= 1
    queue.prices[queue.tail & (QUEUE_C - 1)] = high
    queue.bars[queue.tail & (QUEUE_C - 1)] = t
    queue.tail += 1
    front = queue.head & (QUEUE_C - 1)
    if queue.bars[front] < t - swings.left - swings.right:
        queue.head += 1
        front = queue.head & (QUEUE_C - 1)
    if t - swings.first < swings.left + swings.right or queue.bars[front] != t - swings.right:
        return 0
    price[0] = queue.prices[front]
    _stack_push(&swings.stacks[index], t - swings.right, price[0])
    return 1


cdef void swings_shift(SwingState* swings, int64_t spread) noexcept nogil:
    cdef MonotoneQueue* queue
    cdef SwingStack* stack
    cdef int64_t i, step
    cdef int index, k
    for index in range(2):
        step = -spread if index else spread
        queue, stack = &swings.queues[index], &swings.stacks[index]
        for i in range(queue.head, queue.tail):
            queue.prices[i & (QUEUE_C - 1)] += step
        for k in range(stack.n):
            stack.prices[k] += step


cdef void swing_close(SwingState* swings, int index, int64_t close) noexcept nogil:
    cdef SwingStack* stack = &swings.stacks[index]
    while stack.n and stack.prices[stack.n - 1] < close:
        stack.n -= 1


# ---------------------------------------------------------------- for Python

@cython.final
cdef class Atr:
    """Wilder's ATR over bars in ticks. Raises ValueError for a period below 1."""
    cdef AtrState _state

    def __init__(self, int period=14):
        if period < 1:
            raise ValueError(f"period must be at least 1, not {period}")
        atr_init(&self._state, period)

    def push(self, long long high, long long low, long long close, session_break=False):
        """Take one bar; returns the ATR in ticks, or None while fewer than `period` bars were taken."""
        cdef Bar bar
        memset(&bar, 0, sizeof(Bar))
        bar.high, bar.low, bar.close = high, low, close
        bar.flags = FLAG_SESSION_BREAK if session_break else 0
        atr_push(&self._state, &bar)
        return self._state.value if self._state.bars >= self._state.period else None


@cython.final
cdef class VolumeMean:
    """Mean of the last 50 volumes, of fewer while there are fewer."""
    cdef VolumeState _state

    def push(self, long long volume):
        """Take one volume (contracts); returns the mean with it."""
        volume_push(&self._state, volume)
        return volume_mean(&self._state)


@cython.final
cdef class Swings:
    """Swing highs and lows with L bars to the left and R to the right. Raises ValueError for windows out of range."""
    cdef SwingState _state
    cdef int64_t _t

    def __init__(self, int L=5, int R=5):
        if not (1 <= L <= MAX_WINDOW_C and 1 <= R <= MAX_WINDOW_C):
            raise ValueError(f"L and R must lie in 1..{MAX_WINDOW_C}, not {L} and {R}")
        swings_init(&self._state, L, R)

    def push(self, long long high, long long low, long long close):
        """Take one bar in ticks; returns [(+1 high or -1 low, bar number, price)] of the swings it makes known."""
        cdef int64_t price = 0
        cdef int index, side
        found = []
        for index in range(2):
            side = -1 if index else 1
            swing_close(&self._state, index, side * close)
            if swing_push(&self._state, index, self._t, low * side if index else high, &price):
                found.append((side, self._t - self._state.right, side * price))
        self._t += 1
        return found

    def unbroken(self, int side):
        """[(bar number, price)] of the swing highs (+1) or lows (-1) beyond which no bar has closed, old to new."""
        cdef SwingStack* stack = &self._state.stacks[0 if side > 0 else 1]
        return [(stack.bars[k], side * stack.prices[k]) for k in range(stack.n)]
