"""Setups, and what triggers them: smc.md section 11.

A setup is a zone of a traded timeframe that price has entered. On the entry timeframe three things trigger it: a CHoCH
or MSS of its side, a SWEEP of its side whose excursion ends inside the zone, or both since it opened.

Rulings. All triggers of one close are judged together, so that a sweep and a CHoCH of one bar count as both. An MSS is
the same trigger as the CHoCH that it confirms: when that gave a signal, the MSS is no trigger. If one bar swept several
pools, the furthest whose excursion ends in the zone is the one (the last event). A trigger of a bar of warm-up or of an
unclean bar is forgotten; one that only the moment forbade (no quote, a gap) stays in the setup's memory.
"""

from collections.abc import Iterable

from plain_strategy.events import EventRow
from plain_strategy.zone_book import Zone
from tbot.strategy.confluence import SHIFT_ALONE, SWEEP_ALONE, SWEEP_AND_SHIFT
from tbot_ext.records import EventCode

TRIGGER_KINDS = frozenset({EventCode.CHOCH, EventCode.MSS, EventCode.SWEEP})


class Setup:
    """A zone that price has entered and that waits for its trigger."""

    __slots__ = ("bar", "bar_event", "entered_ns", "shifts", "sweep", "test", "zone")

    def __init__(self, zone: Zone, bar: EventRow) -> None:
        self.zone = zone
        self.test = zone.tests  # which test of the zone
        self.bar = bar.known  # number of the entry bar that entered it
        self.bar_event = bar.id
        self.entered_ns = bar.known_ns
        self.shifts: tuple[EventRow, ...] = ()  # the last CHoCH since then, the MSS that confirms it, or both
        self.sweep: EventRow | None = None  # the last sweep inside the zone since then

    def concerns(self, trigger: EventRow) -> bool:
        """Whether an event of a trigger's kind triggers this setup."""
        if trigger.side != self.zone.side:
            return False
        if trigger.kind != EventCode.SWEEP:
            return True
        extreme = trigger.bottom if trigger.side > 0 else trigger.top
        return self.zone.bottom <= extreme <= self.zone.top

    def remember(self, triggers: Iterable[EventRow]) -> None:
        """Take in the triggers of one close that concern this setup, in order of emission."""
        for trigger in triggers:
            if not self.concerns(trigger):
                continue
            if trigger.kind == EventCode.SWEEP:
                self.sweep = trigger
            elif self.shifts and trigger.parent_id == self.shifts[-1].id:
                self.shifts = (self.shifts[-1], trigger)
            else:
                self.shifts = (trigger,)

    @property
    def share(self) -> float:
        """What its triggers are worth, 0..1."""
        if self.sweep is not None:
            return SWEEP_AND_SHIFT if self.shifts else SWEEP_ALONE
        return SHIFT_ALONE if self.shifts else 0.0

    @property
    def triggers(self) -> tuple[EventRow, ...]:
        """What triggered it, in order of emission."""
        rows = self.shifts if self.sweep is None else (self.sweep, *self.shifts)
        return tuple(sorted(rows, key=lambda row: row.id))

    def state(self) -> tuple[object, ...]:
        """Everything that later outputs depend on, for digests."""
        return (self.zone.id, self.test, self.bar, self.bar_event, self.entered_ns, self.shifts, self.sweep)
