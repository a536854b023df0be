/* A disk that fails on demand and keeps a log of what was asked of it; loaded before the C library (LD_PRELOAD).

   Only files below the folder given to shim_begin count. The n-th counted call, and with `sticky` each one behind it,
   fails with `error`; error < 0 kills the process instead. Not thread-safe: one thread may use the folder.
   Log record: kind (char), two path lengths (u32), offset (i64), length (u64), then both paths and the data written. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define FILES 4096
enum { WRITES = 1, SYNCS = 2, NAMES = 4, READS = 8 };

static char folder[PATH_MAX];
static char *paths[FILES];
static long counted, fail_at;
static int counts, failure, is_sticky;
static char *log_data;
static size_t log_size, log_room;

void shim_begin(const char *below, int which, long at, int error, int sticky) {
    strncpy(folder, below, sizeof folder - 1);
    counts = which, fail_at = at, failure = error, is_sticky = sticky, counted = 0, log_size = 0;
}
void shim_end(void) { counts = 0; }
long shim_counted(void) { return counted; }
const char *shim_log(size_t *size) { *size = log_size; return log_data; }

static int ours(const char *path) {
    return folder[0] && path && strncmp(path, folder, strlen(folder)) == 0;
}

static void put(const void *data, size_t size) {
    if (log_size + size > log_room) {
        log_room = 2 * (log_size + size);
        log_data = realloc(log_data, log_room);
    }
    memcpy(log_data + log_size, data, size);
    log_size += size;
}

static void note(char kind, const char *path, const char *other, int64_t offset, const void *data, uint64_t size) {
    uint32_t first = strlen(path), second = other ? strlen(other) : 0;
    put(&kind, 1), put(&first, 4), put(&second, 4), put(&offset, 8), put(&size, 8), put(path, first);
    if (second) put(other, second);
    if (data) put(data, size);
}

/* Whether this call fails; errno is set. */
static int fails(int kind) {
    if (!(counts & kind)) return 0;
    counted++;
    if (!fail_at || counted < fail_at || (counted > fail_at && !is_sticky)) return 0;
    if (failure < 0) kill(getpid(), SIGKILL);
    errno = failure;
    return 1;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static const char *of(int fd) { return fd >= 0 && fd < FILES ? paths[fd] : NULL; }

static int opened(int fd, const char *path, int existed) {
    if (fd < 0 || fd >= FILES || !ours(path)) return fd;
    free(paths[fd]);
    paths[fd] = strdup(path);
    if (counts && !existed) note('c', path, NULL, 0, NULL, 0);
    return fd;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, name, const char *, int, ...); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        int existed = 1; \
        if (ours(path)) { \
            existed = access(path, F_OK) == 0; \
            if (!existed && flags & O_CREAT && fails(NAMES)) return -1; \
        } \
        return opened(real(path, flags, mode), path, existed); \
    }
OPEN(open)
OPEN(open64)

int openat(int at, const char *path, int flags, ...) {
    REAL(int, openat, int, const char *, int, ...);
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    int existed = !ours(path) || access(path, F_OK) == 0;
    return opened(real(at, path, flags, mode), path, existed);
}

int close(int fd) {
    REAL(int, close, int);
    if (of(fd)) free(paths[fd]), paths[fd] = NULL;
    return real(fd);
}

#define PWRITE(name, off) \
    ssize_t name(int fd, const void *data, size_t size, off offset) { \
        REAL(ssize_t, name, int, const void *, size_t, off); \
        if (of(fd)) { \
            if (fails(WRITES)) return -1; \
            if (counts) note('w', of(fd), NULL, offset, data, size); \
        } \
        return real(fd, data, size, offset); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    if (of(fd)) {
        if (fails(WRITES)) return -1;
        if (counts) note('w', of(fd), NULL, lseek(fd, 0, SEEK_CUR), data, size);
    }
    return real(fd, data, size);
}

#define PREAD(name, off) \
    ssize_t name(int fd, void *data, size_t size, off offset) { \
        REAL(ssize_t, name, int, void *, size_t, off); \
        if (of(fd) && fails(READS)) return -1; \
        return real(fd, data, size, offset); \
    }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

#define TRUNCATE(name, off) \
    int name(int fd, off size) { \
        REAL(int, name, int, off); \
        if (of(fd)) { \
            if (fails(WRITES)) return -1; \
            if (counts) note('t', of(fd), NULL, size, NULL, 0); \
        } \
        return real(fd, size); \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name) \
    int name(int fd) { \
        REAL(int, name, int); \
        if (of(fd)) { \
            if (fails(SYNCS)) return -1; \
            if (counts) note('s', of(fd), NULL, 0, NULL, 0); \
        } \
        return real(fd); \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    if (ours(path)) {
        if (fails(NAMES)) return -1;
        if (counts && access(path, F_OK) == 0) note('u', path, NULL, 0, NULL, 0);
    }
    return real(path);
}

int rename(const char *path, const char *other) {
    REAL(int, rename, const char *, const char *);
    if (ours(path)) {
        if (fails(NAMES)) return -1;
        if (counts) note('r', path, other, 0, NULL, 0);
    }
    return real(path, other);
}

int link(const char *path, const char *other) {
    REAL(int, link, const char *, const char *);
    if (ours(path)) {
        if (fails(NAMES)) return -1;
        if (counts) note('l', path, other, 0, NULL, 0);
    }
    return real(path, other);
}
