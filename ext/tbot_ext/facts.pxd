# What news and the dollar index make of a trade. Declarations and a leaf function: no module to import.
from libc.math cimport rint

cdef struct Verdict:            # on trades of one side
    int refused                 # a counter of the setup book, -1: nothing forbids it
    double points               # that the score gains

# The score with the points, still 0..100, rounded as every score is.
cdef inline double verdict_score(const Verdict* verdict, double score) noexcept nogil:
    return rint(min(100.0, max(0.0, score + verdict.points)) * 1e6) / 1e6
