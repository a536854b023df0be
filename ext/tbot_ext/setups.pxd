# A setup and what it comes to when it is triggered. Declarations and a leaf function: no module to import.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t

from tbot_ext.records cimport EVENT_SWEEP, Event

cdef struct Setup:              # a zone that price has entered and that waits for its trigger
    int32_t zone
    int32_t shifts_n
    int64_t test                # which test of the zone
    int64_t bar                 # number of the entry bar that entered it
    int64_t bar_event
    int64_t entered_ns
    Event shifts[2]             # the last CHoCH since then, the MSS that confirms it, or both
    Event sweep                 # the last sweep inside the zone since then
    uint8_t has_sweep
    uint8_t found               # triggered at this close, and could be traded
    uint16_t laid               # hypothetical brackets of its triggers so far

cdef struct Candidate:          # a triggered setup that could be traded
    int32_t setup               # its number, -1: none
    double score                # weighted
    double plain                # before the weight of its pattern
    double parts[5]             # zone, mtf, trigger, confluence, location
    int64_t entry, stop, target     # ticks
    int64_t near                # ticks
    int64_t decided_ns
    int64_t place_id            # what the target is, -1: a multiple of the risk

# Takes in a trigger that concerns the setup.
cdef inline void setup_remember(Setup* setup, const Event* trigger) noexcept nogil:
    if trigger.kind == EVENT_SWEEP:
        setup.sweep, setup.has_sweep = trigger[0], True
    elif setup.shifts_n and trigger.parent_id == setup.shifts[setup.shifts_n - 1].id:
        setup.shifts[0] = setup.shifts[setup.shifts_n - 1]
        setup.shifts[1] = trigger[0]
        setup.shifts_n = 2
    else:
        setup.shifts[0] = trigger[0]
        setup.shifts_n = 1
