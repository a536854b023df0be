# ContractPipeline: the fold over one contract's records. Ticks become bars, bars become events, in one nogil loop.
# `feed` (arrays) and `drain` (a ring) differ only in where a record comes from: both call _step for each.
from libc.stdint cimport int64_t, uint8_t

from tbot_ext.bars cimport BURST_C, Aggregator, MinuteBuilder
from tbot_ext.detector cimport DetectorState
from tbot_ext.events cimport BAR_EVENTS_C, EventSink
from tbot_ext.params cimport TIMEFRAMES_C
from tbot_ext.records cimport Bar, Tick

cdef enum:
    HELD_C = 2048               # minutes that can wait for history; a power of two
    ROOM_C = BURST_C * BAR_EVENTS_C     # events one record can give at most
    NEW_CONTRACT_C = 1          # aux of a GAP record: what follows has nothing to do with what was
    CODE_RESET = -2             # of _step: such a record came
    EVENTS_C = ROOM_C + 8192    # a long history stops for the reader of its events each time fewer than ROOM_C are free

cdef struct PipelineCounters:
    int64_t records             # of this contract
    int64_t quotes
    int64_t foreign             # records of another contract: passed over
    int64_t replayed            # prints after a gap, not newer than the last one before it: dropped
    int64_t gaps
    int64_t laps                # places where the ring overtook the reader
    int64_t history_bars        # taken from history
    int64_t history_overlap     # minutes known both from ticks and from history
    int64_t history_mismatch    # of these, differing
    int64_t history_bad         # impossible bars: left out
    int64_t covered             # minutes built from ticks that history replaced
    int64_t held_dropped        # minutes lost because more than HELD_C waited

cdef class ContractPipeline:
    cdef readonly int contract_id
    cdef readonly int64_t now_ns            # market time: newest exchange time seen
    cdef readonly int64_t recv_ns           # receive stamp of the last record
    cdef readonly int64_t last_price        # ticks, INT64_MIN before the first print
    cdef readonly int64_t last_trade_ns     # 0 before the first print
    cdef readonly int64_t bid, ask          # ticks, INT64_MIN while unknown
    cdef readonly int64_t quote_ns          # exchange time of the last quote, 0 before the first
    cdef readonly int64_t quote_seq         # number of its record, -1 before the first
    cdef readonly int64_t ring_seq          # number of the last record taken, -1 before the first
    cdef readonly int epoch                 # of the last record taken
    cdef readonly int64_t resets            # GAP records with NEW_CONTRACT: everything before them is forgotten
    cdef readonly int64_t past_minutes      # 1m bars that were forgotten with them

    cdef MinuteBuilder _minute
    cdef Aggregator _higher
    cdef PipelineCounters _count
    cdef EventSink _sink
    cdef DetectorState* _detectors          # TIMEFRAMES_C of them, shortest first
    cdef Bar* _held                         # ring of HELD_C
    cdef Bar _out[BURST_C]
    cdef int64_t _held_first, _held_n
    cdef int64_t _replay_floor_ns           # prints up to here were seen before the gap
    cdef int64_t _covered_ns                # minutes that start before come from history
    cdef int64_t _job_at, _job_end          # history bars still to take
    cdef uint8_t _await_history
    cdef uint8_t _holding                   # finished minutes wait for history
    cdef uint8_t _working                   # history is being taken in

    cdef object _events                     # ndarray that owns _sink.items
    cdef dict _params
    cdef const unsigned char[::1] _history  # borrowed until close()
    cdef const Bar* _history_bars
    cdef int64_t _history_len
    cdef object _feed_array                 # the array `feed` is in the middle of, and its memory
    cdef const unsigned char[::1] _feed_bytes

    # The parts of `feed`, for whoever goes on in compiled code: memory of an array; its records up to the first that
    # gave events (they are in _sink), returns the index after it; the end of a call. `sound`: live, and history agrees.
    cdef const Tick* lend(self, ticks, Py_ssize_t start) except? NULL
    cdef Py_ssize_t take(self, const Tick* tick, Py_ssize_t i, Py_ssize_t n, int* code) noexcept nogil
    cdef int taken(self, bint all_of_it, int code) except -1
    cdef bint sound(self) noexcept nogil

    # Takes one record: 0, or -1 when a HISTORY record names more bars than the segment has.
    cdef int _step(self, const Tick* t) noexcept nogil
    cdef void _trade(self, const Tick* t) noexcept nogil
    cdef void _quote(self, const Tick* t) noexcept nogil
    cdef void _gap(self, int64_t at_ns, bint reconnected) noexcept nogil
    cdef int _history_record(self, const Tick* t) noexcept nogil
    cdef void _work(self) noexcept nogil
    cdef void _history_bar(self, const Bar* bar) noexcept nogil
    cdef void _hold(self, const Bar* bar) noexcept nogil
    cdef void _advance(self, int result, const Bar* closed) noexcept nogil
    cdef void _live_minute(self, const Bar* bar) noexcept nogil
    cdef void _publish(self, int n) noexcept nogil
    cdef int _settle(self, int code) except -1
    cdef DetectorState* _detector(self, int timeframe_min) except NULL
    cdef _start(self, bint await_history)
    cdef _begin_anew(self)
    cdef _borrow_history(self, history)
