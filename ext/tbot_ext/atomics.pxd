# Cython's view of include/tbot_atomics.h: declarations only, there is no module to import.
# Only ring.pyx and histogram.pyx may use these on shared memory, and each use says with what it pairs.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "tbot_atomics.h" nogil:
    bint HAVE_FUTEX "TBOT_HAVE_FUTEX"

    uint64_t load_acquire "tbot_load_acquire" (const uint64_t* p) noexcept
    uint64_t load_relaxed "tbot_load_relaxed" (const uint64_t* p) noexcept
    void store_release "tbot_store_release" (uint64_t* p, uint64_t value) noexcept
    void store_relaxed "tbot_store_relaxed" (uint64_t* p, uint64_t value) noexcept

    uint32_t load_relaxed32 "tbot_load_relaxed32" (const uint32_t* p) noexcept
    void store_relaxed32 "tbot_store_relaxed32" (uint32_t* p, uint32_t value) noexcept
    uint32_t fetch_or32 "tbot_fetch_or32" (uint32_t* p, uint32_t bits) noexcept         # all three: seq_cst
    uint32_t fetch_and32 "tbot_fetch_and32" (uint32_t* p, uint32_t bits) noexcept
    uint32_t exchange32 "tbot_exchange32" (uint32_t* p, uint32_t value) noexcept

    void fence_acquire "tbot_fence_acquire" () noexcept
    void fence_release "tbot_fence_release" () noexcept
    void fence_seq_cst "tbot_fence_seq_cst" () noexcept

    int64_t monotonic_ns "tbot_monotonic_ns" () noexcept
    int64_t boot_ns "tbot_boot_ns" () noexcept                                          # CLOCK_BOOTTIME where it exists

    int futex_wait "tbot_futex_wait" (uint32_t* word, uint32_t expected, int64_t timeout_ns) noexcept   # 0 or EINTR
    void futex_wake_all "tbot_futex_wake_all" (uint32_t* word) noexcept
