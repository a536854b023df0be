# Liquidity pools and support/resistance levels that are alive for the strategy.
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t

from tbot_ext.id_table cimport IdTable
from tbot_ext.records cimport Event

cdef enum:
    PLACES_C = 4096             # the pipeline keeps a few hundred; the bound is for a broken stream

cdef struct HeldPlace:          # a price at which orders rest
    int64_t id                  # of the birth event
    int64_t newest              # event that told of it last
    int64_t level               # ticks
    int64_t known_ns
    double score
    uint16_t source             # EventSource
    uint16_t members
    int8_t serves               # side of the trades whose stop it guards; 0: not known yet
    uint8_t timeframe_min
    uint8_t is_pool

cdef struct PlaceBook:
    IdTable table
    HeldPlace items[PLACES_C + 1]   # in no order
    int32_t n
    int64_t dropped             # by the bound; 0 with a sound pipeline

cdef void place_book_init(PlaceBook* book) noexcept nogil
# Takes in an event of a pool or level; returns the members of the one that it ends, 0 when it ends none.
cdef int place_book_apply(PlaceBook* book, const Event* event) noexcept nogil
# What serves a trade of this side within so many ticks of a band, of `least_tf` minutes and longer, oldest first; of
# several tellings of one place (same named source and price) the oldest stands for all. Returns how many.
cdef int place_book_neighbours(const PlaceBook* book, int side, int64_t bottom, int64_t top, int64_t within,
                               int least_tf, int32_t* found) noexcept nogil
# The nearest place against a trade of this side, at least so many ticks beyond `price`; of several at one price the one
# that is known longest; -1 when there is none.
cdef int32_t place_book_ahead(const PlaceBook* book, int side, int64_t price, double least) noexcept nogil
