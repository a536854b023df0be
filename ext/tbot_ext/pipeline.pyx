"""ContractPipeline: one contract's records in, bars and Smart Money events out, all five timeframes in one loop.

The pipeline is a fold: it knows no clock and has no other input than its records, so the same records give the same
events live, in replay and in a backtest, however they are cut into calls. It stops after every record that gave events,
with its state (`now_ns`, quote, last price) as of that record, so that a decision sees nothing later.

Stitching of history and ticks (smc.md section 1). While history is awaited, finished minutes are held. A HISTORY record
says that the segment covers all time before its exch_ns: its bars are taken (flagged WARMUP and FROM_HISTORY), held
minutes before that time are dropped in their favour, later ones follow, and the pipeline is live. A GAP marks the bars
it touches INCOMPLETE and starts the same again; a HISTORY record of size 0 says that there is nothing to fill and lets
all held minutes go on. Overlaps are compared and counted. `await_history=False` is for streams that never get history
(tapes, backtests): nothing is held then, gaps only mark bars.

After a gap the quote is unknown until the next one, and prints that are not newer than the last one before the gap are
dropped and counted: they were seen. Being lapped by the ring is a gap, too.

A GAP whose aux is NEW_CONTRACT begins anew: another delivery month follows, or a history with a hole was given up.
Bars, zones and structure are forgotten, because old levels mean nothing there; `resets` counts it, ids go on.
"""
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport INT64_MIN, int64_t, uint16_t
from libc.string cimport memset

from tbot_ext.bars cimport MINUTE_CLOSED, aggregate, aggregate_clock, aggregate_init, forming_bar, minute_clock
from tbot_ext.bars cimport minute_gap, minute_init, minute_trade
from tbot_ext.detector cimport detector_bars, detector_init, detector_push, detector_unbroken, detector_zones
from tbot_ext.events cimport minutes_ns
from tbot_ext.frames cimport frame_of
from tbot_ext.levels cimport levels_array
from tbot_ext.params cimport Params
from tbot_ext.periods cimport periods_array
from tbot_ext.pools cimport pools_array
from tbot_ext.records cimport CONTEXT_KEYS_C, FLAG_FROM_HISTORY, FLAG_INCOMPLETE, FLAG_WARMUP, TICK_CLOCK, TICK_CONTEXT
from tbot_ext.records cimport TICK_GAP, TICK_HISTORY, TICK_QUOTE, TICK_TRADE, Event
from tbot_ext.ring cimport NEXT_EMPTY, NEXT_LAPPED, RingReader
from tbot_ext.series cimport SERIES_C, bar_possible, oldest_bar

import numpy as np

from tbot_ext.params import TIMEFRAMES, complete_params, params_hash
from tbot_ext.records import BAR_DTYPE, EVENT_DTYPE, TICK_DTYPE

__all__ = ["NEW_CONTRACT", "ContractPipeline"]

NEW_CONTRACT = NEW_CONTRACT_C


# ---------------------------------------------------------------- leaves

cdef const Bar* _find(const Bar* ring, int64_t capacity, int64_t first, int64_t n, int64_t start_ns) noexcept nogil:
    """The bar that starts at start_ns among the n bars of a ring, oldest at `first`; NULL if there is none."""
    cdef int64_t low = 0, high = n, middle
    cdef const Bar* bar
    while low < high:
        middle = (low + high) // 2
        bar = &ring[(first + middle) & (capacity - 1)]
        if bar.start_ns == start_ns:
            return bar
        if bar.start_ns < start_ns:
            low = middle + 1
        else:
            high = middle
    return NULL


cdef bint _differs(const Bar* ours, const Bar* theirs) noexcept nogil:
    """Prices must agree exactly, volumes within 1 % (smc.md section 1)."""
    cdef int64_t excess = ours.volume - theirs.volume
    if ours.open != theirs.open or ours.high != theirs.high or ours.low != theirs.low or ours.close != theirs.close:
        return True
    return 100 * (excess if excess >= 0 else -excess) > theirs.volume


cdef bint _impossible(const Bar* bar) noexcept nogil:
    return bar.timeframe_min != 1 or bar.start_ns < 0 or bar.start_ns % minutes_ns(1) != 0 or not bar_possible(bar)


# ---------------------------------------------------------------- the pipeline

@cython.final
cdef class ContractPipeline:
    """Bars and events of one contract.

    `params`: one `Params` for all timeframes, a dict by minutes, or None for the defaults. `history`: a BAR_DTYPE view
    of the history segment, borrowed until `close()`; an index in a HISTORY record counts on and wraps around its end.
    Prices are in ticks (records.NO_PRICE while unknown), times UTC ns. Raises ValueError for bad arguments.
    """

    def __cinit__(self):
        self._detectors = <DetectorState*>PyMem_Calloc(TIMEFRAMES_C, sizeof(DetectorState))
        self._held = <Bar*>PyMem_Calloc(HELD_C, sizeof(Bar))
        if self._detectors == NULL or self._held == NULL:
            raise MemoryError()

    def __init__(self, int contract_id, params=None, await_history=True, history=None):
        if not 0 <= contract_id <= 65535:
            raise ValueError(f"contract_id must lie in 0..65535, not {contract_id}")
        self.contract_id = contract_id
        self._params = complete_params(params)
        self._start(await_history)
        self._borrow_history(history)
        self._events = np.zeros(EVENTS_C, EVENT_DTYPE)
        cdef unsigned char[::1] space = self._events.view(np.uint8)
        self._events.flags.writeable = False
        self._sink.items, self._sink.capacity = <Event*>&space[0], EVENTS_C

    def __dealloc__(self):
        PyMem_Free(self._detectors)
        PyMem_Free(self._held)

    cdef _start(self, bint await_history):
        cdef Params params
        cdef int i
        for i, minutes in enumerate(TIMEFRAMES):
            params = self._params[minutes]
            detector_init(&self._detectors[i], params.values())
        minute_init(&self._minute)
        aggregate_init(&self._higher)
        memset(&self._count, 0, sizeof(PipelineCounters))
        memset(&self._sink, 0, sizeof(EventSink))
        self._sink.next_id = 1
        self._sink.contract_id = <uint16_t>self.contract_id
        self.last_price = self.bid = self.ask = INT64_MIN
        self.quote_seq = self.ring_seq = -1
        self._replay_floor_ns = self._covered_ns = INT64_MIN
        # Ticks that come while history is awaited begin somewhere inside a minute.
        self._await_history = self._holding = self._minute.taint_next = await_history

    cdef _begin_anew(self):
        """Forget the market, keep the count of what happened and of ids: nothing in them belongs to a month."""
        cdef PipelineCounters count = self._count
        cdef int64_t next_id = self._sink.next_id, ring_seq = self.ring_seq
        cdef Event* items = self._sink.items
        cdef int64_t capacity = self._sink.capacity
        self.past_minutes += self._detectors[0].series.n
        self._start(self._await_history)
        self._count = count
        self._sink.next_id, self._sink.items, self._sink.capacity = next_id, items, capacity
        self.ring_seq = ring_seq
        self.last_trade_ns = self.quote_ns = 0
        self._held_first = self._held_n = self._job_at = self._job_end = 0
        self._working = False
        self._count.gaps += 1
        self.resets += 1

    cdef _borrow_history(self, history):
        if history is None:
            return
        if history.dtype != BAR_DTYPE or history.ndim != 1:
            raise ValueError(f"history must be a one-dimensional BAR_DTYPE array, not {history.dtype}")
        if len(history):
            self._history = history.view(np.uint8)
            self._history_bars = <const Bar*>&self._history[0]
            self._history_len = len(history)

    # ------------------------------------------------------------ one record

    cdef int _step(self, const Tick* t) noexcept nogil:
        if t.contract_id != self.contract_id:
            self._count.foreign += 1
            return 0
        self._count.records += 1
        self.ring_seq = <int64_t>(t.seq >> 1) - 1 if t.seq else self.ring_seq + 1
        self.recv_ns = t.recv_ns
        self.epoch = t.epoch
        cdef Bar closed
        cdef int result
        if t.exch_ns > self.now_ns and t.kind != TICK_HISTORY and t.kind != TICK_CONTEXT:  # facts move no clock
            self.now_ns = t.exch_ns
        if t.kind == TICK_TRADE:
            self._trade(t)
        elif t.kind == TICK_QUOTE:
            self._quote(t)
        elif t.kind == TICK_CLOCK:
            result = minute_clock(&self._minute, t.exch_ns, &closed)
            self._advance(result, &closed)
        elif t.kind == TICK_GAP:
            if t.aux == NEW_CONTRACT_C:
                return CODE_RESET
            self._gap(t.exch_ns, True)
        elif t.kind == TICK_HISTORY:
            return self._history_record(t)
        elif t.kind == TICK_CONTEXT and 0 <= t.aux < CONTEXT_KEYS_C:
            self._context[t.aux] = t[0]
            self.context_records += 1
        return 0

    cdef void _trade(self, const Tick* t) noexcept nogil:
        cdef Bar closed
        cdef int result
        if t.exch_ns <= self._replay_floor_ns:
            self._count.replayed += 1
            return
        result = minute_trade(&self._minute, t, &closed)
        if t.exch_ns >= self.last_trade_ns and t.size > 0 and t.price != INT64_MIN:
            self.last_trade_ns, self.last_price = t.exch_ns, t.price
        if result:
            self._advance(result, &closed)

    cdef void _quote(self, const Tick* t) noexcept nogil:
        self._count.quotes += 1
        self.bid, self.ask = t.price, t.price2
        self.quote_ns, self.quote_seq = t.exch_ns, self.ring_seq

    cdef void _gap(self, int64_t at_ns, bint reconnected) noexcept nogil:
        """Data may be missing. A reconnected source may repeat prints; a lapped ring does not."""
        minute_gap(&self._minute, at_ns)
        self._count.gaps += 1
        self.bid = self.ask = INT64_MIN
        if reconnected and self.last_trade_ns:
            self._replay_floor_ns = self.last_trade_ns
        self._holding = self._await_history

    # ------------------------------------------------------------ minutes on their way to the detectors

    cdef void _advance(self, int result, const Bar* closed) noexcept nogil:
        """Time moved past a minute's boundary: publish, or hold, what is finished."""
        if self._holding:
            if result & MINUTE_CLOSED:
                self._hold(closed)
            return
        if result & MINUTE_CLOSED:
            self._live_minute(closed)
        self._publish(aggregate_clock(&self._higher, self._minute.closed_through_ns, &self._out[0]))

    cdef void _hold(self, const Bar* bar) noexcept nogil:
        if self._held_n == HELD_C:
            self._held_first += 1
            self._held_n -= 1
            self._count.held_dropped += 1
        self._held[(self._held_first + self._held_n) & (HELD_C - 1)] = bar[0]
        self._held_n += 1

    cdef void _live_minute(self, const Bar* bar) noexcept nogil:
        """A minute built from ticks, unless history has it."""
        if bar.start_ns < self._covered_ns or bar.start_ns <= self._higher.last_start_ns:
            self._count.covered += 1
            return
        self._publish(aggregate(&self._higher, bar, &self._out[0]))

    cdef void _publish(self, int n) noexcept nogil:
        """Give the first n bars of _out to their detectors, in this order."""
        cdef int i
        for i in range(n):
            detector_push(&self._detectors[frame_of(self._out[i].timeframe_min)], &self._out[i], &self._sink, True)

    # ------------------------------------------------------------ history

    cdef int _history_record(self, const Tick* t) noexcept nogil:
        if t.size > 0 and (t.size > self._history_len or t.price2 < 0):
            return -1
        if t.size > 0:
            self._job_at, self._job_end = t.price2, t.price2 + t.size
            self._covered_ns = max(self._covered_ns, t.exch_ns)
            if t.exch_ns > self._minute.incomplete_until_ns:
                self._minute.taint_next = 0             # no print came since the gap, and history reaches past it
        self._working = True
        self._work()
        return 0

    cdef void _work(self) noexcept nogil:
        """Take history, then held minutes, as far as there is room for their events; live when both are done."""
        cdef Bar bar
        while self._job_at < self._job_end or self._held_n:
            if self._sink.capacity - self._sink.n < ROOM_C:
                return
            if self._job_at < self._job_end:
                self._history_bar(&self._history_bars[self._job_at % self._history_len])
                self._job_at += 1
            else:
                bar = self._held[self._held_first & (HELD_C - 1)]
                self._held_first += 1
                self._held_n -= 1
                self._live_minute(&bar)
        if self._sink.capacity - self._sink.n < ROOM_C:
            return
        self._working = self._holding = False
        self._publish(aggregate_clock(&self._higher, self._minute.closed_through_ns, &self._out[0]))

    cdef void _history_bar(self, const Bar* bar) noexcept nogil:
        cdef const DetectorState* d = &self._detectors[0]
        cdef int64_t oldest = oldest_bar(&d.series)
        cdef const Bar* ours
        cdef Bar own
        if _impossible(bar):
            self._count.history_bad += 1
            return
        if bar.start_ns >= self._covered_ns:
            return
        ours = _find(&d.series.items[0], SERIES_C, oldest, d.series.n - oldest, bar.start_ns)
        if ours == NULL:
            ours = _find(self._held, HELD_C, self._held_first, self._held_n, bar.start_ns)
        if ours != NULL and not ours.flags & FLAG_INCOMPLETE:
            self._count.history_overlap += 1
            self._count.history_mismatch += _differs(ours, bar)
        if bar.start_ns <= self._higher.last_start_ns:
            return
        self._count.history_bars += 1
        own = bar[0]
        own.flags |= FLAG_WARMUP | FLAG_FROM_HISTORY
        self._publish(aggregate(&self._higher, &own, &self._out[0]))

    # ------------------------------------------------------------ many records

    cdef int _settle(self, int code) except -1:
        """Turn what the nogil part reports into exceptions, or into a fresh start."""
        if code == CODE_RESET:
            self._begin_anew()
        elif code < 0:
            raise ValueError("a HISTORY record names more bars than the history segment has: layouts differ; restart")
        if self._sink.overflows:
            raise RuntimeError("more events than one record can give: a bug in the bounds of events.pxd")
        return 0

    def feed(self, ticks, Py_ssize_t start=0):
        """Take records of a TICK_DTYPE array from index `start` on; returns the index after the last one taken.

        Returns after the first record that gave events. A long history is handed out in parts: while `pending` is true
        the next call (of feed or drain) first goes on with it and takes no record. Records of other contracts are
        passed over. So: `while i < len(ticks) or p.pending: i = p.feed(ticks, i); use(p.events)`.
        Raises ValueError for a bad array.
        """
        cdef Py_ssize_t n = len(ticks), i
        cdef const Tick* tick = self.lend(ticks, start)
        cdef int code = 0
        with nogil:
            i = self.take(tick, start, n, &code)
        self.taken(i == n, code)
        return i

    cdef const Tick* lend(self, ticks, Py_ssize_t start) except? NULL:
        if not 0 <= start <= len(ticks):
            raise ValueError(f"start must lie in 0..{len(ticks)}, not {start}")
        if ticks is not self._feed_array:
            if ticks.dtype != TICK_DTYPE:
                raise ValueError(f"ticks must have TICK_DTYPE, not {ticks.dtype}")
            self._feed_bytes = ticks.view(np.uint8)
            self._feed_array = ticks
        return <const Tick*>&self._feed_bytes[0] if len(ticks) else NULL

    cdef Py_ssize_t take(self, const Tick* tick, Py_ssize_t i, Py_ssize_t n, int* code) noexcept nogil:
        self._sink.n = 0
        if self._working:
            self._work()
        while i < n and code[0] == 0 and self._sink.n == 0:
            code[0] = self._step(&tick[i])
            i += 1
        return i

    cdef int taken(self, bint all_of_it, int code) except -1:
        if all_of_it:
            self._feed_array = self._feed_bytes = None
        return self._settle(code)

    cdef bint sound(self) noexcept nogil:
        return (not self._holding and not self._working
                and self._count.history_mismatch * 100 <= self._count.history_overlap)

    def drain(self, RingReader reader not None, int64_t limit=1024):
        """Take up to `limit` records of a ring; returns how many. 0 means that there was nothing to do.

        Returns after the first record that gave events. A long history is handed out in parts; each counts one.
        """
        cdef int64_t done = 0
        cdef int code = 0, got
        cdef Tick tick
        self._sink.n = 0
        with nogil:
            if self._working:
                self._work()
                done = 1
            while done < limit and code == 0 and self._sink.n == 0:
                got = reader.next(&tick)
                if got == NEXT_EMPTY:
                    break
                done += 1
                if got == NEXT_LAPPED:
                    self._count.laps += 1
                    self._gap(self.now_ns, False)
                else:
                    code = self._step(&tick)
        self._settle(code)
        return done

    def close(self):
        """Let go of the history segment and of the last fed array; HISTORY records with bars raise afterwards."""
        self._history = self._feed_bytes = self._feed_array = None
        self._history_bars = NULL
        self._history_len = self._job_at = self._job_end = 0

    # ------------------------------------------------------------ what it knows

    @property
    def events(self):
        """Events of the last feed or drain, in order of emission: a read-only view, valid until the next call."""
        return self._events[:self._sink.n]

    @property
    def context(self):
        """The newest CONTEXT record of each key, a TICK_DTYPE copy; kind 0 where none has come."""
        return np.frombuffer((<unsigned char*>&self._context[0])[:CONTEXT_KEYS_C * sizeof(Tick)], TICK_DTYPE)

    @property
    def pending(self):
        """A history is being handed out in parts: call feed or drain again before waiting."""
        return bool(self._working)

    @property
    def live(self):
        """History is stitched and no gap is open: what comes out is the market now."""
        return not self._holding and not self._working

    @property
    def minutes(self):
        """1m bars so far, those before a reset included."""
        return self.past_minutes + self._detectors[0].series.n

    @property
    def history_agrees(self):
        """At most 1 % of the downloaded bars differ from our own of the same minutes (smc.md section 1)."""
        return self._count.history_mismatch * 100 <= self._count.history_overlap

    @property
    def counters(self):
        """What happened so far, by name; `bars` by timeframe in minutes."""
        counters = dict(self._count)
        counters["ticks"] = counters["records"]
        counters["trades"] = self._minute.trades
        counters["late_ticks"] = self._minute.late_ticks
        counters["zero_size"] = self._minute.zero_size
        counters["out_of_order"] = self._minute.out_of_order
        counters["held"] = self._held_n
        counters["outliers"] = self._detectors[0].outliers
        counters["bars"] = {minutes: self._detectors[i].series.n for i, minutes in enumerate(TIMEFRAMES)}
        return counters

    cdef DetectorState* _detector(self, int timeframe_min) except NULL:
        cdef int index = frame_of(timeframe_min)
        if index < 0:
            raise ValueError(f"timeframe {timeframe_min} is not one of {TIMEFRAMES} minutes")
        return &self._detectors[index]

    def bars(self, int timeframe_min, int n=500):
        """A copy of the last n closed bars (1024 at most), BAR_DTYPE. Raises ValueError for an unknown timeframe."""
        return detector_bars(self._detector(timeframe_min), n)

    def partial(self, int timeframe_min):
        """The forming bar, flagged PARTIAL, or None: for display, never for a decision."""
        cdef Bar bar
        self._detector(timeframe_min)
        if not forming_bar(&self._higher, &self._minute, timeframe_min, &bar):
            return None
        return np.frombuffer((<unsigned char*>&bar)[:sizeof(Bar)], BAR_DTYPE)[0]

    def zones(self, int timeframe_min):
        """A copy of all live order blocks, gaps and breakers, ZONE_DTYPE, in order of birth."""
        return detector_zones(self._detector(timeframe_min), timeframe_min)

    def pools(self, int timeframe_min):
        """A copy of all unswept liquidity pools, POOL_DTYPE, nearest to price first, buy-side before sell-side."""
        return pools_array(&self._detector(timeframe_min).pools, timeframe_min)

    def levels(self, int timeframe_min):
        """A copy of all reported support and resistance levels, LEVEL_DTYPE, in order of price."""
        return levels_array(&self._detector(timeframe_min).levels, timeframe_min)

    def periods(self, int timeframe_min):
        """A copy of the finished and the running periods, PERIOD_DTYPE."""
        return periods_array(&self._detector(timeframe_min).periods, timeframe_min)

    def unbroken_swings(self, int timeframe_min, int side):
        """Prices (ticks) of swing highs (+1) or lows (-1) beyond which no bar has closed, old to new."""
        return detector_unbroken(self._detector(timeframe_min), side)

    def trend(self, int timeframe_min):
        """-1, 0 (no break yet) or +1 (smc.md section 4)."""
        return self._detector(timeframe_min).structure.trend

    def atr(self, int timeframe_min):
        """Wilder's ATR in ticks, 0 while undefined."""
        return self._detector(timeframe_min).atr.value

    def params_hash(self):
        """Names the parameters of all timeframes (see `params.params_hash`)."""
        return params_hash(self._params)
