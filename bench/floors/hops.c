/* Bare one-way hops between two processes, the floor below which no program of this machine comes.
 *
 * hops futex|spin|tcp ROUNDS PAUSE_NS: the parent stamps the monotonic clock, passes a word (or a message of 270 bytes,
 * the size of a quote) to its child, and pauses; the child stamps its receipt. Prints one duration in ns a line.
 * The next one leaves when the child has told of the last, so a child that lost its core costs one figure, not many.
 * futex: the child sleeps in the kernel; spin: it looks without pause; tcp: a blocking read on a loopback connection
 * without Nagle's delay. Each process has a core of its own where there are two: left alone, the system wakes the child
 * here or there as it likes, which changes the figure tenfold from one run to the next.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/futex.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 270, MOST = 10000000 };

struct shared {
    _Alignas(64) _Atomic uint32_t sent;       /* how many have left; the futex word */
    _Alignas(64) _Atomic uint32_t seen;
    _Alignas(64) _Atomic int64_t stamp;
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void rest(int64_t ns, int busy)
{
    if (busy) {
        int64_t end = now_ns() + ns;
        while (now_ns() < end)
            ;
    } else {
        struct timespec t = {ns / 1000000000, ns % 1000000000};
        nanosleep(&t, NULL);
    }
}

/* Not an error where there is one core: then both share it. */
static void pin(int core)
{
    cpu_set_t allowed, one;
    int found = 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2)
        return;
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &allowed) && found++ == core) {
            CPU_ZERO(&one);
            CPU_SET(i, &one);
            sched_setaffinity(0, sizeof one, &one);
        }
    }
}

static void receive_words(struct shared *shared, int rounds, int spin, int64_t *took)
{
    for (uint32_t done = 0; (int)done < rounds; done++) {
        while (atomic_load_explicit(&shared->sent, memory_order_acquire) == done)
            if (!spin)
                syscall(SYS_futex, &shared->sent, FUTEX_WAIT, done, NULL, NULL, 0);
        took[done] = now_ns() - atomic_load_explicit(&shared->stamp, memory_order_relaxed);
        atomic_store_explicit(&shared->seen, done + 1, memory_order_release);
    }
}

static void send_words(struct shared *shared, int rounds, int spin, int64_t pause)
{
    for (int i = 0; i < rounds; i++) {
        while ((int)atomic_load_explicit(&shared->seen, memory_order_acquire) != i)
            if (!spin)
                rest(pause, 0);
        rest(pause, spin);
        atomic_store_explicit(&shared->stamp, now_ns(), memory_order_relaxed);
        atomic_store_explicit(&shared->sent, (uint32_t)i + 1, memory_order_release);
        if (!spin)
            syscall(SYS_futex, &shared->sent, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

static int connection(int listener, struct sockaddr_in *address, int accepts)
{
    int one = 1;
    int handle = accepts ? accept(listener, NULL, NULL) : socket(AF_INET, SOCK_STREAM, 0);
    if (handle < 0 || (!accepts && connect(handle, (struct sockaddr *)address, sizeof *address) != 0))
        fail("loopback");
    setsockopt(handle, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return handle;
}

static void receive_tcp(int handle, int rounds, int64_t *took)
{
    char message[MESSAGE];
    for (int i = 0; i < rounds; i++) {
        int64_t stamp;
        if (recv(handle, message, sizeof message, MSG_WAITALL) != sizeof message)
            fail("recv");
        memcpy(&stamp, message, sizeof stamp);
        took[i] = now_ns() - stamp;
    }
}

static void send_tcp(int handle, int rounds, int64_t pause)
{
    char message[MESSAGE] = {0};
    for (int i = 0; i < rounds; i++) {
        rest(pause, 0);
        int64_t stamp = now_ns();
        memcpy(message, &stamp, sizeof stamp);
        if (send(handle, message, sizeof message, 0) != sizeof message)
            fail("send");
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: hops futex|spin|tcp ROUNDS PAUSE_NS\n");
        return 2;
    }
    int spin = strcmp(argv[1], "spin") == 0, tcp = strcmp(argv[1], "tcp") == 0;
    int rounds = atoi(argv[2]);
    int64_t pause = atoll(argv[3]);
    if ((!spin && !tcp && strcmp(argv[1], "futex") != 0) || rounds < 1 || rounds > MOST || pause < 0) {
        fprintf(stderr, "hops: no such hop, or a number out of range\n");
        return 2;
    }
    int kind = MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE;
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, kind, -1, 0);
    int64_t *took = mmap(NULL, (size_t)rounds * sizeof *took, PROT_READ | PROT_WRITE, kind, -1, 0);
    if (shared == MAP_FAILED || took == MAP_FAILED)
        fail("mmap");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (tcp && (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0
                || getsockname(listener, (struct sockaddr *)&address, &length) != 0))
        fail("listen");
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(1);
        if (tcp)
            receive_tcp(connection(listener, &address, 0), rounds, took);
        else
            receive_words(shared, rounds, spin, took);
        _exit(0);
    }
    pin(0);
    int handle = tcp ? connection(listener, &address, 1) : -1;
    rest(20000000, 0);      /* let the child arrive */
    if (tcp)
        send_tcp(handle, rounds, pause);
    else
        send_words(shared, rounds, spin, pause);
    int status;
    if (waitpid(child, &status, 0) != child || status != 0)
        return 1;
    for (int i = 0; i < rounds; i++)
        printf("%lld\n", (long long)took[i]);
    return 0;
}
