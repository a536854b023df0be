# Bars as plain columns for the kernels of outcomes; borrowed, the caller keeps the arrays alive.
from libc.stdint cimport int64_t

cdef struct Series:
    const int64_t* open         # prices in ticks, `n` of each
    const int64_t* high
    const int64_t* low
    const int64_t* close
    Py_ssize_t n
