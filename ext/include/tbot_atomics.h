/* Atomics, futex and clocks of the shared-memory ring: thin inline wrappers, so that Cython code can name the memory order.
 *
 * Plain integers in shared memory are accessed through casts to _Atomic of the same width. The static asserts below hold
 * on every compiler we support: same size, lock-free (a lock would live in one process only).
 */
#ifndef TBOT_ATOMICS_H
#define TBOT_ATOMICS_H

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#define TBOT_HAVE_FUTEX 1
#else
#define TBOT_HAVE_FUTEX 0
#endif

_Static_assert(sizeof(_Atomic uint64_t) == sizeof(uint64_t), "atomic 64-bit words must have no hidden state");
_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "atomic 32-bit words must have no hidden state");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "atomics must be lock-free between processes");

static inline uint64_t tbot_load_acquire(const uint64_t *p)
{
    return atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_acquire);
}

static inline uint64_t tbot_load_relaxed(const uint64_t *p)
{
    return atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_relaxed);
}

static inline void tbot_store_release(uint64_t *p, uint64_t value)
{
    atomic_store_explicit((_Atomic uint64_t *)p, value, memory_order_release);
}

static inline void tbot_store_relaxed(uint64_t *p, uint64_t value)
{
    atomic_store_explicit((_Atomic uint64_t *)p, value, memory_order_relaxed);
}

static inline uint32_t tbot_load_relaxed32(const uint32_t *p)
{
    return atomic_load_explicit((const _Atomic uint32_t *)p, memory_order_relaxed);
}

static inline void tbot_store_relaxed32(uint32_t *p, uint32_t value)
{
    atomic_store_explicit((_Atomic uint32_t *)p, value, memory_order_relaxed);
}

/* Read-modify-write of the sleepers' word: sequentially consistent, see the note at RingReader._sleep in ring.pyx. */
static inline uint32_t tbot_fetch_or32(uint32_t *p, uint32_t bits)
{
    return atomic_fetch_or_explicit((_Atomic uint32_t *)p, bits, memory_order_seq_cst);
}

static inline uint32_t tbot_fetch_and32(uint32_t *p, uint32_t bits)
{
    return atomic_fetch_and_explicit((_Atomic uint32_t *)p, bits, memory_order_seq_cst);
}

static inline uint32_t tbot_exchange32(uint32_t *p, uint32_t value)
{
    return atomic_exchange_explicit((_Atomic uint32_t *)p, value, memory_order_seq_cst);
}

static inline void tbot_fence_acquire(void) { atomic_thread_fence(memory_order_acquire); }
static inline void tbot_fence_release(void) { atomic_thread_fence(memory_order_release); }
static inline void tbot_fence_seq_cst(void) { atomic_thread_fence(memory_order_seq_cst); }

/* Nanoseconds of a clock that never jumps; `boot` also counts the time the machine slept. */
static inline int64_t tbot_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t tbot_boot_ns(void)
{
#ifdef CLOCK_BOOTTIME
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
#else
    return tbot_monotonic_ns();
#endif
}

/* Sleep while *word == expected, at most timeout_ns. Returns 0 (woken, value changed or timed out: look again) or EINTR.
 * The word lies in memory shared by processes, so the operation must NOT carry FUTEX_PRIVATE_FLAG: with it the kernel
 * would look for sleepers of the waking process only and nobody would ever wake.
 * Without futexes this polls: one step of at most 50 us, after which the caller looks again. */
static inline int tbot_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    struct timespec limit;
#if !TBOT_HAVE_FUTEX
    if (tbot_load_relaxed32(word) != expected)
        return 0;
    if (timeout_ns > 50000)
        timeout_ns = 50000;
#endif
    limit.tv_sec = (time_t)(timeout_ns / 1000000000);
    limit.tv_nsec = (long)(timeout_ns % 1000000000);
#if TBOT_HAVE_FUTEX
    if (syscall(SYS_futex, word, FUTEX_WAIT, expected, &limit, (void *)0, 0) == -1 && errno == EINTR)
        return EINTR;
    return 0;
#else
    return nanosleep(&limit, (void *)0) == -1 && errno == EINTR ? EINTR : 0;
#endif
}

/* Wake everybody who sleeps on the word, in whatever process; shared like the wait above. */
static inline void tbot_futex_wake_all(uint32_t *word)
{
#if TBOT_HAVE_FUTEX
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, (void *)0, (void *)0, 0);
#else
    (void)word;
#endif
}

#endif
