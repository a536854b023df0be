"""TickRing: ticks from one writing process to up to eight readers, through shared memory, without waiting or locks.

Each slot is a sequence lock: its first word is 2n+1 while record n is being written and 2n+2 once it is whole. A reader
copies the slot between two looks at that word and keeps the copy only when both show 2n+2, so a torn record is never
returned. The writer never waits for a reader: one that falls behind by the ring's capacity is lapped, and counts
exactly how many records it lost. No call here spins: whatever a killed writer left behind, every call returns.

The ring does not choose how to wait. A worker that calls `read` or `next` in a loop spins; one that calls `wait`
sleeps. `RingLayoutError` is a `ValueError` because this package knows nothing of `tbot`; the file around the ring is
checked by `tbot.transport.shm` before.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, Py_buffer, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from tbot_ext.atomics cimport (
    HAVE_FUTEX,
    exchange32,
    fence_acquire,
    fence_release,
    fence_seq_cst,
    fetch_and32,
    fetch_or32,
    futex_wait,
    futex_wake_all,
    load_acquire,
    load_relaxed,
    load_relaxed32,
    monotonic_ns,
    store_relaxed,
    store_relaxed32,
    store_release,
)
from tbot_ext.records cimport TICK_CONTEXT, TICK_GAP, TICK_TRADE, Tick
from tbot_ext.ring_layout cimport READERS, WORDS, RingView, oldest_safe, seq_before

from tbot_ext.records import TICK_DTYPE
from tbot_ext.ring_layout import RingLayoutError, format_ring, reader_positions, ring_bytes

__all__ = ["USES_FUTEX", "RingLayoutError", "RingReader", "RingWriter", "format_ring", "reader_positions", "ring_bytes"]

cdef enum:
    SLEPT_EMPTY = 0                     # what RingReader._sleep returns
    SLEPT_READY = 1
    SLEPT_INTERRUPTED = 2

USES_FUTEX = bool(HAVE_FUTEX)


# ---------------------------------------------------------------- writer

cdef class RingWriter(RingView):
    """The one writer of a ring, in a buffer laid out by `format_ring`; holds the buffer until `close()`.

    A new writer on a used ring first repairs what its predecessor left (a slot half written is written anew, a record
    that is whole but not counted is counted), then writes a GAP record with the time of the newest record. Every new
    writer raises the epoch. It also raises the generation: an older writer that still runs finds out and stops.

    `contract_id` and `run_id`, when given, must be those of the ring. Raises RingLayoutError if the buffer holds no
    sound ring. One thread at a time.
    """

    def __cinit__(self, buf, *, contract_id=None, run_id=None):
        cdef bint half_written = self._adopt()
        self._generation = load_relaxed32(&self._header.generation) + 1
        store_relaxed32(&self._header.generation, self._generation)
        self._epoch = load_relaxed32(&self._header.epoch) & 0xFFFF
        if self._head > 0 or half_written:
            self._mark_new_writer()
        else:
            self._raise_epoch()

    cdef bint _adopt(self) except -1:
        # A writer can be killed (a) before it touched slot `head`, (b) inside it, (c) after it but before it stored
        # `head`. In (c) readers, who look at slots and not at `head`, may have taken the record: it is kept as it is.
        cdef uint64_t head = load_acquire(&self._header.head)
        cdef uint64_t seq = load_acquire(self._slots + (head & self._mask) * WORDS)
        if seq == 2 * head + 2:
            head += 1
            store_release(&self._header.head, head)     # pairs with load_acquire in RingReader._resync
            seq = load_acquire(self._slots + (head & self._mask) * WORDS)
        self._head = head
        if seq == 2 * head + 1:
            return True
        if seq != seq_before(head, self._mask + 1):
            raise RingLayoutError(f"the ring is damaged: record {head} comes next, but its slot has sequence {seq}")
        return False

    cdef int _mark_new_writer(self) except -1:
        cdef Tick gap
        cdef uint64_t* newest = self._slots + ((self._head - 1) & self._mask) * WORDS
        memset(&gap, 0, sizeof(Tick))
        gap.kind = TICK_GAP
        gap.volume = -1
        if self._head > 0:
            gap.exch_ns = <int64_t>load_relaxed(newest + 1)
            gap.recv_ns = <int64_t>load_relaxed(newest + 2)
        self._checked(self.put(&gap))
        self.wake_readers()
        return 0

    cdef void _raise_epoch(self) noexcept nogil:
        self._epoch = (self._epoch + 1) & 0xFFFF        # Tick.epoch has 16 bits
        store_relaxed32(&self._header.epoch, self._epoch)

    cdef int64_t put(self, const Tick* tick) noexcept nogil:
        cdef uint64_t n = self._head
        cdef uint64_t* slot
        cdef uint64_t words[WORDS]
        cdef Tick record
        cdef int i
        if self._header == NULL or load_relaxed32(&self._header.generation) != self._generation:
            return -1
        slot = self._slots + (n & self._mask) * WORDS
        if tick.kind == TICK_GAP:
            self._raise_epoch()
        record = tick[0]
        record.contract_id = <uint16_t>self._header.contract_id
        record.epoch = <uint16_t>self._epoch
        memcpy(&words[0], &record, sizeof(Tick))
        # Release: who sees this odd number in _load also sees, in _resync, that `head` has reached n.
        store_release(slot, 2 * n + 1)
        fence_release()                 # pairs with fence_acquire in _load: a reader that copied a word stored below
        for i in range(1, WORDS):       # finds the number above, or a later one, at its second look
            store_relaxed(slot + i, words[i])
        store_release(slot, 2 * n + 2)              # pairs with load_acquire in _load: the words above are there
        self._head = n + 1
        store_release(&self._header.head, n + 1)    # pairs with load_acquire in _resync and `written`
        return <int64_t>n

    cdef void wake_readers(self) noexcept nogil:
        if self._header == NULL:
            return
        # Pairs with the fence in RingReader._sleep. Either the reader's look at its slot comes later in the one order
        # of both fences and finds the record, or our look at its bit comes later and finds it asleep.
        fence_seq_cst()
        if load_relaxed32(&self._header.sleepers) != 0:
            # Clearing before waking changes the futex word: a reader about to fall asleep on the old value does not.
            # It also forgets the bit of a reader killed asleep, so a corpse costs one system call, not one a tick.
            exchange32(&self._header.sleepers, 0)
            futex_wake_all(&self._header.sleepers)

    def push(self, int kind, int64_t exch_ns, int64_t recv_ns, int64_t price, int64_t price2=0, int32_t size=0,
             int32_t aux=0, int64_t volume=-1, int8_t side=0, uint16_t flags=0, *, bint wake=True):
        """Write one record and return its number (from 0); fields as in `records.pxd`, prices in ticks, times in ns.

        A GAP record raises the epoch. `wake=False` leaves sleeping readers alone: call `wake()` after a batch. Raises
        ValueError for an unknown kind or a closed writer, OverflowError for a field out of its range, RuntimeError when
        a newer writer has taken over the ring.
        """
        cdef Tick tick
        cdef int64_t n
        _check_kind(kind)
        tick.seq = 0
        tick.exch_ns = exch_ns
        tick.recv_ns = recv_ns
        tick.price = price
        tick.price2 = price2
        tick.size = size
        tick.aux = aux
        tick.volume = volume
        tick.contract_id = 0
        tick.kind = <uint8_t>kind
        tick.side = side
        tick.flags = flags
        tick.epoch = 0
        n = self._checked(self.put(&tick))
        if wake:
            self.wake_readers()
        return n

    def push_many(self, ticks, *, bint wake=True):
        """Write all records of a TICK_DTYPE array and return their number; `seq` and `epoch` are set by the ring.

        The input is checked first: ValueError, and nothing written, if a kind is unknown or a record belongs to another
        contract, TypeError for another dtype. Otherwise as `push`.
        """
        cdef Py_buffer view
        cdef const Tick* tick
        cdef Py_ssize_t count, i
        cdef uint32_t contract_id = self._open().contract_id
        _check_dtype(ticks)
        PyObject_GetBuffer(ticks, &view, PyBUF_SIMPLE)
        try:
            count = view.len // <Py_ssize_t>sizeof(Tick)
            tick = <const Tick*>view.buf
            for i in range(count):
                _check_kind(tick[i].kind)
                if tick[i].contract_id != contract_id:
                    raise ValueError(f"tick {i} is of contract {tick[i].contract_id}, the ring of {contract_id}")
            for i in range(count):
                self._checked(self.put(tick + i))
        finally:
            PyBuffer_Release(&view)
        if wake:
            self.wake_readers()
        return count

    def gap(self, int64_t exch_ns, int64_t recv_ns):
        """Write a GAP record (data may be missing before it), raise the epoch, return the record's number."""
        return self.push(TICK_GAP, exch_ns, recv_ns, 0)

    def wake(self):
        """Wake readers that sleep in `wait`; free of system calls when none does."""
        self._open()
        self.wake_readers()

    @property
    def epoch(self):
        """Epoch of the records now written, 0..65535; compare for equality only, it wraps."""
        return self._epoch

    cdef int64_t _checked(self, int64_t n) except -1:
        if n < 0:
            self._open()
            raise RuntimeError("a newer writer has taken over this ring; this one must stop")
        return n


cdef inline int _check_kind(int kind) except -1:
    # The casts matter: an enum without negative members is unsigned in C, and -1 would pass as a large number.
    if kind < <int>TICK_TRADE or kind > <int>TICK_CONTEXT:
        raise ValueError(f"{kind} is not the kind of a tick record ({TICK_TRADE} to {TICK_CONTEXT})")
    return 0


cdef int _check_dtype(array) except -1:
    dtype = getattr(array, "dtype", None)
    if dtype is not TICK_DTYPE and dtype != TICK_DTYPE:
        raise TypeError(f"an array of TICK_DTYPE is needed, not {dtype or type(array).__name__}")
    return 0


# ---------------------------------------------------------------- reader

cdef class RingReader(RingView):
    """One of up to eight readers of a ring; `slot` 0..7 is its own line in the header, used by no other reader.

    `start`: "oldest" record still there, "newest" (only what comes from now on), or a record number; a number that has
    already been overwritten makes the first read report the lap. Holds the buffer until `close()`; one thread at a
    time. Raises RingLayoutError as RingWriter does, ValueError for a bad slot or start.
    """

    def __cinit__(self, buf, int slot, start="oldest", *, contract_id=None, run_id=None):
        cdef uint64_t head
        if not 0 <= slot < READERS:
            raise ValueError(f"reader slots are 0 to {READERS - 1}, not {slot}")
        self._line = &self._header.readers[slot]
        self._bit = <uint32_t>1 << slot
        self.slot = slot
        head = load_acquire(&self._header.head)         # pairs with store_release in put
        if start == "oldest":
            self.position = oldest_safe(head, self._mask + 1)
        elif start == "newest":
            self.position = head
        elif isinstance(start, int) and 0 <= start <= head:
            self.position = start
        else:
            raise ValueError(f'start is "oldest", "newest" or a record number up to {head}, not {start!r}')
        store_relaxed(&self._line.lost, 0)
        self.publish_position(self.position)

    cdef int _load(self, uint64_t* words) noexcept nogil:
        # Copies record `position` and leaves the position alone.
        cdef uint64_t n = self.position
        cdef uint64_t whole = 2 * n + 2
        cdef const uint64_t* slot = self._slots + (n & self._mask) * WORDS
        cdef uint64_t seq = load_acquire(slot)          # pairs with the last store_release of a slot in put
        cdef int i
        if seq == whole:
            words[0] = seq
            for i in range(1, WORDS):
                words[i] = load_relaxed(slot + i)
            fence_acquire()             # pairs with fence_release in put: the look below comes after the copy
            return NEXT_GOT if load_relaxed(slot) == whole else NEXT_LAPPED
        # Not yet written, or just being written. A writer killed there leaves this odd number for ever: not our
        # trouble, the record does not exist until a new writer writes it.
        if seq == whole - 1 or seq == seq_before(n, self._mask + 1):
            return NEXT_EMPTY
        return NEXT_LAPPED

    cdef int _resync(self) noexcept nogil:
        # The record at `position` is gone: go to the oldest safe one and count what lies between. Any other number than
        # those _load knows, without a lap, is damage; it costs that record (or nothing if the writer has yet to come).
        cdef uint64_t head, oldest
        fence_acquire()                                 # pairs with store_release of the odd number in put
        head = load_acquire(&self._header.head)         # pairs with store_release in put
        if head <= self.position:
            return NEXT_EMPTY
        oldest = oldest_safe(head, self._mask + 1)
        if oldest <= self.position:
            oldest = self.position + 1
        self.lost += oldest - self.position
        self.position = oldest
        store_relaxed(&self._line.lost, self.lost)      # for display only
        return NEXT_LAPPED

    cdef int next(self, Tick* out) noexcept nogil:
        cdef uint64_t words[WORDS]
        cdef int result
        if self._header == NULL:
            return NEXT_EMPTY
        result = self._load(&words[0])
        if result == NEXT_GOT:
            memcpy(out, &words[0], sizeof(Tick))
            self.position += 1
            return NEXT_GOT
        return NEXT_EMPTY if result == NEXT_EMPTY else self._resync()

    cdef bint ready(self) noexcept nogil:
        cdef uint64_t seq
        cdef uint64_t n = self.position
        if self._header == NULL:
            return False
        seq = load_acquire(self._slots + (n & self._mask) * WORDS)      # pairs with put, as in _load
        if seq == 2 * n + 2:
            return True
        if seq == 2 * n + 1 or seq == seq_before(n, self._mask + 1):
            return False
        return load_acquire(&self._header.head) > n                     # lapped or damaged, see _resync

    cdef void publish_position(self, uint64_t position) noexcept nogil:
        store_release(&self._line.position, position)                   # pairs with load_acquire in reader_positions

    cdef int _sleep(self, int64_t deadline_ns) noexcept nogil:
        # No lost wake-up. We set our bit, then look at the slot; the writer stores the slot, then looks at the bits;
        # with a seq_cst fence between on both sides at least one sees the other. If it is the writer, it clears the
        # word, and the kernel does not let us sleep on a value that has changed. Our bit is in `expected` and only we
        # set it, so the word cannot come back to `expected` by itself.
        cdef uint32_t expected
        cdef int64_t left_ns
        cdef int result
        while True:
            if self.ready():
                return SLEPT_READY
            left_ns = deadline_ns - monotonic_ns()
            if left_ns <= 0:
                return SLEPT_EMPTY
            expected = fetch_or32(&self._header.sleepers, self._bit) | self._bit
            fence_seq_cst()                             # pairs with fence_seq_cst in wake_readers
            if self.ready():
                fetch_and32(&self._header.sleepers, ~self._bit)
                return SLEPT_READY
            result = futex_wait(&self._header.sleepers, expected, left_ns)
            fetch_and32(&self._header.sleepers, ~self._bit)
            if result != 0:
                return SLEPT_INTERRUPTED

    def read(self, out):
        """Copy up to len(out) records into a TICK_DTYPE array and return how many; 0 means nothing is there.

        The records of one call are consecutive: a lap is counted (see `lost`) only before the first of them. Raises
        TypeError for another dtype, ValueError when closed.
        """
        cdef Py_buffer view
        cdef uint64_t words[WORDS]
        cdef char* target
        cdef Py_ssize_t room
        cdef Py_ssize_t count = 0
        cdef int result
        cdef int laps = 0
        self._open()
        _check_dtype(out)
        PyObject_GetBuffer(out, &view, PyBUF_WRITABLE)
        try:
            target = <char*>view.buf
            room = view.len // <Py_ssize_t>sizeof(Tick)
            while count < room:
                result = self._load(&words[0])
                if result == NEXT_GOT:
                    memcpy(target + count * <Py_ssize_t>sizeof(Tick), &words[0], sizeof(Tick))
                    count += 1
                    self.position += 1
                # Lapped: after records, leave it to the next call; before any, move on, but not for ever.
                elif result == NEXT_EMPTY or count > 0 or laps == 8 or self._resync() == NEXT_EMPTY:
                    break
                else:
                    laps += 1
        finally:
            PyBuffer_Release(&view)
        return count

    def wait(self, int64_t timeout_ns):
        """Sleep until a record can be read or `timeout_ns` have passed; True when one can be read.

        Sleeps on the ring's futex word where the system has futexes, else looks every 50 microseconds. Signal handlers
        run, and what they raise is raised here. Raises ValueError when closed.
        """
        cdef int64_t deadline_ns
        cdef int result
        self._open()
        deadline_ns = monotonic_ns() + min(timeout_ns, <int64_t>1 << 60)
        self._waiting = True
        try:
            while True:
                with nogil:
                    result = self._sleep(deadline_ns)
                if result != SLEPT_INTERRUPTED:
                    return result == SLEPT_READY
                PyErr_CheckSignals()
        finally:
            self._waiting = False

    def publish(self, position=None):
        """Make this reader's position (or the given one: "consumed up to here") visible to `reader_positions`."""
        self._open()
        self.publish_position(self.position if position is None else position)

    @property
    def epoch(self):
        """The ring's newest epoch, which may be ahead of the records read so far; 0 until the first writer came."""
        return load_relaxed32(&self._open().epoch)

    def close(self):
        """Mark the slot as unused and release the buffer; every later call raises ValueError. May be called twice."""
        if self._waiting:
            raise RuntimeError("another thread waits on this RingReader; it cannot be closed under it")
        if self._header != NULL:
            self.publish_position(<uint64_t>-1)
        self._line = NULL
        self._release()
