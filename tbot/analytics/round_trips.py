"""A round trip with all that the journal knows of it: its signal, its approval, the news and the dollar at that time.

The unit of every figure of a report. Money in integer cents, prices in ticks, times in UTC ns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise

import numpy as np

from tbot.analytics.journal_records import Records
from tbot.domain import messages as m
from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.timeframes import NAMES, NS_PER_MIN, NS_PER_S
from tbot.domain.trading_hours import CHICAGO, trading_day
from tbot.strategy.dollar import agreement
from tbot.strategy.words import ZONE_NAMES
from tbot.validation.trips import Trips

EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# As `tbot trades` names them; journaled: when the intent's row was made.
HOPS = ("frame_recv", "ring_written", "worker_woke", "sent", "received", "journaled", "request", "answered")
NO_STORY = "no pattern told"
NOT_FOLLOWED = "not followed"
_HELD_EDGES = ((1, "under 1 min"), (5, "1 to 5 min"), (15, "5 to 15 min"), (60, "15 to 60 min"))


@dataclass(frozen=True, slots=True)
class Deal:
    """One round trip and where it came from."""

    trip: m.RoundTrip
    signal: m.Signal | None = None
    intent: m.Intent | None = None
    journaled_boot_ns: int = 0
    world: int = 0  # see journal_records

    @property
    def product(self) -> Product:
        return PRODUCTS[self.trip.contract]

    @property
    def day(self) -> date:
        """Trading day of its end."""
        return trading_day(self.trip.now_ns)

    @property
    def net_cents(self) -> int:
        return self.trip.net_cents

    @property
    def costs_cents(self) -> int:
        return self.trip.fees_cents + self.trip.commission_cents

    @property
    def held_ns(self) -> int:
        return max(0, self.trip.now_ns - self.trip.opened_ns)

    @property
    def risk_cents(self) -> int:
        """The worst case that was approved; 0: not known."""
        return self.intent.risk_cents if self.intent else 0

    @property
    def r(self) -> float | None:
        """Net result over the approved risk; None: not known."""
        return self.net_cents / self.risk_cents if self.risk_cents > 0 else None

    def ticks_cents(self, ticks: int) -> int:
        """What so many ticks are worth with all its contracts."""
        return ticks * self.product.tick_value_cents * self.trip.size

    def stamps(self) -> dict[str, int]:
        """Boot-clock reading of every hop that is known, in order."""
        stamps, trip = self.trip.stamps, self.trip
        found = (
            stamps.frame_recv_boot_ns, stamps.ring_written_boot_ns, stamps.worker_woke_boot_ns, stamps.sent_boot_ns,
            stamps.received_boot_ns, self.journaled_boot_ns, trip.request_boot_ns, trip.answered_boot_ns,
        )  # fmt: skip
        return {name: at for name, at in zip(HOPS, found, strict=True) if at}

    def hops(self) -> dict[str, int]:
        """Nanoseconds from each known hop to the next; a machine that was started anew in between tells none."""
        stamps = self.stamps()
        return {f"{a}_{b}": stamps[b] - stamps[a] for a, b in pairwise(stamps) if stamps[b] >= stamps[a]}


def deals(records: Records, chosen: Callable[[m.RoundTrip], bool]) -> list[Deal]:
    """The round trips that are `chosen`, with their stories, in order of their ends; contracts of no table left out."""
    found = []
    for world, trip in zip(records.worlds, records.trips, strict=True):
        if not chosen(trip) or trip.contract not in PRODUCTS:
            continue
        key = (trip.account, trip.signal_id)
        found.append(
            Deal(trip, records.signals.get(trip.signal_id), records.intents.get(key),
                 records.intent_boot_ns.get(key, 0), world)
        )  # fmt: skip
    return found


def columns(deals: Sequence[Deal]) -> Trips:
    """As the functions of `tbot.validation` take them."""
    def ints(values: Sequence[int]) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        return np.array(values, np.int64)

    return Trips(
        net_cents=ints([deal.net_cents for deal in deals]),
        gross_cents=ints([deal.trip.gross_cents for deal in deals]),
        entry_ns=ints([min(deal.trip.opened_ns, deal.trip.now_ns) for deal in deals]),
        exit_ns=ints([deal.trip.now_ns for deal in deals]),
        day=ints([day_number(deal.day) for deal in deals]),
        risk_cents=ints([deal.risk_cents for deal in deals]),
        side=ints([deal.trip.side for deal in deals]),
        size=ints([deal.trip.size for deal in deals]),
        tick_value_cents=ints([deal.product.tick_value_cents for deal in deals]),
        contract=np.array([deal.trip.contract for deal in deals], np.str_),
        worst_cents=ints([-deal.ticks_cents(deal.trip.mae_ticks or 0) for deal in deals]),
    )


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - EPOCH_ORDINAL


# ------------------------------------------------------------------------------------------------ what it belongs to
def pattern(deal: Deal) -> str:
    """order block 15m, fair value gap 5m: the zone that its signal rests on."""
    if deal.signal is None or deal.signal.why is None:
        return NO_STORY
    zone = deal.signal.why.zone
    frame = NAMES.get(zone.timeframe_min, f"{zone.timeframe_min}m")
    return f"{ZONE_NAMES.get(zone.kind, zone.kind)} {frame}"


def hour(deal: Deal) -> str:
    """Hour of entry in Chicago, 00 to 23."""
    return f"{datetime.fromtimestamp(deal.trip.opened_ns // NS_PER_S, UTC).astimezone(CHICAGO):%H}"


def weekday(deal: Deal) -> str:
    """Of its trading day."""
    return WEEKDAYS[deal.day.weekday()]


def contract(deal: Deal) -> str:
    return deal.trip.contract


def side(deal: Deal) -> str:
    return "long" if deal.trip.side > 0 else "short"


def account(deal: Deal) -> str:
    return str(deal.trip.account)


def held(deal: Deal) -> str:
    """How long it was held."""
    minutes = deal.held_ns / NS_PER_MIN
    return next((name for edge, name in _HELD_EDGES if minutes < edge), "1 hour and more")


def exit_kind(deal: Deal) -> str:
    """What ended it; of a close also its code."""
    trip = deal.trip
    return f"{trip.exit_reason} ({trip.exit_code})" if trip.exit_code else trip.exit_reason


def news(deal: Deal) -> str:
    """What scheduled news stood near its signal."""
    context = deal.signal.context if deal.signal else None
    state = context.news if context else None
    if state is None:
        return NOT_FOLLOWED
    if state.stale:
        return "calendar too old"
    if not state.action and not state.impact:
        return "no news near"
    about = " ".join(word for word in (state.impact.lower(), "CPI" if state.cpi else "") if word)
    return f"near {about or 'scheduled'} news"


def dollar(deal: Deal) -> str:
    """Whether the dollar index spoke for it, as the filter would have judged."""
    context = deal.signal.context if deal.signal else None
    state = context.dollar if context else None
    if state is None:
        return NOT_FOLLOWED
    if state.stale:
        return "index too old"
    found = agreement(state, deal.product.family, deal.trip.side, 0.0)
    return {1: "with the dollar", -1: "against the dollar"}.get(found, "neither")


HELD_ORDER = (*(name for _, name in _HELD_EDGES), "1 hour and more")
