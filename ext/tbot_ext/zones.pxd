# A price band with a life, and the bounded lists in which detectors keep them.
#
# Prices are as the zone's side sees them (series.pxd): those of a bear zone are negated, so that its far edge is
# `bottom` and price comes to it from above, as for a bull zone. They are turned back where events and
# displays are written.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t

from tbot_ext.events cimport EventSink
from tbot_ext.params cimport MAX_ZONES_C
from tbot_ext.records cimport Bar, Event
from tbot_ext.series cimport View

cdef enum ZoneStateCode:
    ZONE_OPEN = 0               # gaps
    ZONE_TOUCHED = 1
    ZONE_HALF = 2
    ZONE_FILLED = 3             # may still be closed through, and then inverts
    ZONE_INVERTED = 4
    ZONE_ACTIVE = 10            # order blocks; breakers are only ACTIVE or TESTED
    ZONE_TESTED = 11
    ZONE_MITIGATED = 12

cdef struct Zone:
    int64_t id                  # of its birth event
    int64_t stack_id            # gaps: id of the first gap of its stack
    int64_t born                # number of the bar at whose close it became known
    int64_t known_ns
    int64_t origin              # number of its anchor bar
    int64_t origin_ns
    int64_t top                 # above bottom, in ticks
    int64_t bottom
    int64_t volume              # contracts
    int64_t delta
    double score
    float parts[5]
    uint16_t state              # ZoneStateCode
    uint16_t tests              # blocks and breakers: entries so far
    uint16_t flags              # NO_COLOUR, BODY_ZONE, SESSION_BREAK
    uint16_t stack_n            # gaps: place in the stack, 1 first
    uint8_t inside              # blocks and breakers: the last bar touched it
    uint8_t kind                # breakers: EventKind of its birth, else 0

cdef struct ZoneList:           # one side and kind, oldest first
    Zone items[MAX_ZONES_C]
    int32_t n
    int32_t side
    int64_t fall                # a bar changes no zone while low > fall,
    int64_t rise_low            # low <= rise_low
    int64_t rise_high           # and high <= rise_high

cdef void zones_init(ZoneList* zones, int side) noexcept nogil
# Adds `spread` ticks to every price; the guard is found again by the next bar.
cdef void zones_shift(ZoneList* zones, int64_t spread) noexcept nogil
cdef void zones_relax(ZoneList* zones) noexcept nogil                       # guard open: no zone wants anything
cdef bint zones_asleep(const ZoneList* zones, const View* view, int64_t t, int max_age) noexcept nogil
# Makes room for one more zone; a zone that has to go is written to *evicted (1), else 0.
cdef int zones_make_room(ZoneList* zones, int capacity, Zone* evicted) noexcept nogil
cdef Event* emit_zone(EventSink* sink, const Bar* bar, int64_t t, int kind, const Zone* zone, int side) noexcept nogil
