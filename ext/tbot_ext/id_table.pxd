# From the id of an event to a small number, by hashing: declarations and leaf functions only, no module to import.
# Ids count up, so an id's own low bits spread them best: the newest lie side by side.
from libc.stdint cimport int32_t, int64_t

cdef enum:
    TABLE_C = 16384             # a power of two; must stay well above the number of ids held at once

cdef struct IdTable:            # all zero: empty
    int64_t ids[TABLE_C]
    int32_t numbers[TABLE_C]    # 1 + the number, 0: free

# Place of an id, or the free place where it would go.
cdef inline int64_t ids_place(const IdTable* table, int64_t id) noexcept nogil:
    cdef int64_t i = id & (TABLE_C - 1)
    while table.numbers[i] and table.ids[i] != id:
        i = (i + 1) & (TABLE_C - 1)
    return i

# The number of an id, -1 when it is not held.
cdef inline int32_t ids_get(const IdTable* table, int64_t id) noexcept nogil:
    return table.numbers[ids_place(table, id)] - 1

cdef inline void ids_put(IdTable* table, int64_t id, int32_t number) noexcept nogil:
    cdef int64_t i = ids_place(table, id)
    table.ids[i], table.numbers[i] = id, number + 1

# Those behind a freed place move up, so that no search ends too early (Knuth, volume 3, 6.4, algorithm R).
cdef inline void ids_drop(IdTable* table, int64_t id) noexcept nogil:
    cdef int64_t free = ids_place(table, id), i = free
    if not table.numbers[free]:
        return
    while True:
        i = (i + 1) & (TABLE_C - 1)
        if not table.numbers[i]:
            break
        if ((i - table.ids[i]) & (TABLE_C - 1)) >= ((i - free) & (TABLE_C - 1)):
            table.ids[free], table.numbers[free] = table.ids[i], table.numbers[i]
            free = i
    table.numbers[free] = 0
