# The first bar at or after a given one whose price lies beyond a level: asked thousands of times of one frozen series.

cdef enum:
    FAN_C = 16                  # children of a node
    FAN_BITS_C = 4
    LEVELS_C = 16               # enough for 2**63 values

cdef struct Search:
    const double* values        # borrowed; must outlive the search
    double sign                 # +1 looks for values above a bound, -1 (values and bounds negated) below
    double* nodes               # owned: one block for all levels
    double* level[LEVELS_C]     # level[k][i]: the highest value of its 16 children; level[0] is not used
    Py_ssize_t size[LEVELS_C]
    double* later               # owned with nodes: later[i] is the highest of level[1][i] and all after it
    int levels

# -1 without memory; then nothing is owned.
cdef int search_open(Search* search, const double* values, Py_ssize_t n, int sign) noexcept nogil
cdef void search_close(Search* search) noexcept nogil

# The first i >= start with sign * values[i] > bound (strict) or >= bound; -1 when there is none. NaN is never beyond.
cdef Py_ssize_t search_first(const Search* search, Py_ssize_t start, double bound, bint strict) noexcept nogil

# Whether there is such an i at all, strictly beyond. Not after search_lowered.
cdef bint search_any(const Search* search, Py_ssize_t start, double bound) noexcept nogil

# To be called after the owner of the values lowered values[i] or made it NaN.
cdef void search_lowered(Search* search, Py_ssize_t i) noexcept nogil

# The address of the first item, also of an empty array.
cdef inline const double* first_item(const double[::1] values) noexcept nogil:
    return &values[0] if values.shape[0] else NULL
