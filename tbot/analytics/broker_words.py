"""What the comparison with the broker's trades came to, in words: a sentence, its mark, and a table of what differs."""

from zoneinfo import ZoneInfo

from tbot.analytics.broker_check import BrokerCheck
from tbot.analytics.report_cells import Sheet, cents, clock
from tbot.domain.words import plural


def broker_line(check: BrokerCheck) -> str:
    """One sentence on whether the money is the broker's."""
    if not check.compared:
        made = f"{plural(check.fills, 'trade')} closed no round trip" if check.fills else "there are none"
        return f"Nothing to compare with {check.source}: {made} in this period"
    trips = f"{plural(check.trips, 'round trip')} of {plural(check.fills, 'trade')}"
    if check.equal:
        late = f"; costs of {check.posted_late} were posted later and count" if check.posted_late else ""
        return f"Equal to the cent to {check.source}: {trips}, net {cents(check.broker_cents)}{late}"
    n = len(check.differences)
    return (
        f"{n} difference{'' if n == 1 else 's'} from {check.source}: here {cents(check.ours_cents)}, there "
        f"{cents(check.broker_cents)} ({trips})"
    )


def broker_mark(check: BrokerCheck) -> str:
    """Before that sentence."""
    return "≠" if not check.equal else "✓" if check.compared else "–"


def difference_sheet(check: BrokerCheck, zone: ZoneInfo) -> Sheet:
    rows = tuple(
        (", ".join(map(str, one.ids)) or "none", one.contract, clock(one.at_ns, zone), one.text,
         cents(one.ours_cents), cents(one.broker_cents))
        for one in check.differences
    )  # fmt: skip
    return Sheet("What differs, by the broker's trade ids", ("trade ids", "contract", "when", "what", "here", "there"),
                 rows, 4)  # fmt: skip
