"""From what the trader holds to what a signal keeps of it: Evidence and Why."""

from plain_strategy.events import EventRow
from plain_strategy.liquidity import Place
from plain_strategy.zone_book import Zone
from tbot.domain.messages import Evidence
from tbot.strategy.words import PART_NAMES
from tbot_ext.records import EventCode

_TRIGGER_KINDS = {EventCode.CHOCH: "choch", EventCode.MSS: "mss", EventCode.SWEEP: "sweep"}


def of_zone(zone: Zone, *, in_full: bool = False) -> Evidence:
    """A zone as it stands now; `in_full`: with the parts of its score, which nobody asks of a neighbour."""
    return Evidence(
        event_id=zone.event_ids[-1],
        kind=zone.kind,
        side=zone.side,
        timeframe_min=zone.timeframe_min,
        bottom=zone.bottom,
        top=zone.top,
        level=zone.proximal,
        known_ns=zone.known_ns,
        score=zone.score,
        parts=_named(zone.kind, zone.parts) if in_full else {},
    )


def of_place(place: Place) -> Evidence:
    """A pool or level as it stands now."""
    return Evidence(
        event_id=place.event_ids[-1],
        kind="pool" if place.is_pool else "level",
        side=-place.serves if place.is_pool else place.serves,
        timeframe_min=place.timeframe_min,
        bottom=place.level,
        top=place.level,
        level=place.level,
        known_ns=place.known_ns,
        source=place.source,
        n=place.members,
        score=place.score,
    )


def of_trigger(event: EventRow) -> Evidence:
    """A CHoCH, MSS or SWEEP."""
    kind = _TRIGGER_KINDS[EventCode(event.kind)]
    return Evidence(
        event_id=event.id,
        kind=kind,
        side=event.side,
        timeframe_min=event.timeframe_min,
        bottom=event.bottom,
        top=event.top,
        level=event.level,
        known_ns=event.known_ns,
        source=event.source,
        n=event.n,
        score=event.score,
        parts=_named(kind, event.parts),
    )


def _named(kind: str, parts: tuple[float, ...]) -> dict[str, float]:
    return dict(zip(PART_NAMES.get(kind, ()), parts, strict=False))
