"""The page's long lists: signals, round trips, events of the journal. Newest first."""

from zoneinfo import ZoneInfo

from tbot.web.markup import Html, div, join, span, table, tag
from tbot.web.panels import day_time, price, side, signed
from tbot.web.source import Look

SHOWN = 60


def signals(look: Look, zone: ZoneInfo) -> Html:
    """Every signal and what became of it."""
    rows: list[list[object]] = []
    for row in list(look.signals)[:SHOWN]:
        outcome = row.outcome
        denied = outcome.startswith("denied")
        rows.append(
            [
                day_time(row.decided_ns, zone), tag("b", row.contract), side(row.side), f"{row.score:.0f}",
                price(row.contract, row.entry), price(row.contract, row.stop), price(row.contract, row.target),
                span("muted" if denied else "", outcome or "–"), row.reason,
            ]
        )  # fmt: skip
    names = ("score", "entry", "stop", "target")
    heads = [("time", "num"), ("", ""), ("", ""), *((name, "num") for name in names), ("outcome", ""), ("why", "why")]
    return table(heads, rows) if rows else div("empty", "no signal yet")


def trades(look: Look, zone: ZoneInfo) -> Html:
    """Round trips with their money and reasons."""
    rows: list[list[object]] = []
    for trip in list(look.trades)[:SHOWN]:
        held = (trip.now_ns - trip.opened_ns) / 1e9
        entry, exit_ = (total / max(1, trip.size) for total in (trip.entry_price_size, trip.exit_price_size))
        code = f" ({trip.exit_code})" if trip.exit_code else ""
        rows.append(
            [
                day_time(trip.now_ns, zone), tag("b", trip.contract), side(trip.side), trip.size,
                price(trip.contract, entry), price(trip.contract, exit_), signed(trip.net_cents / 100),
                f"{held:.0f} s" if held < 600 else f"{held / 60:.0f} min", f"{trip.exit_reason}{code}",
                trip.entry_reason,
            ]
        )  # fmt: skip
    names = ("size", "entry", "exit", "net", "held")
    heads = [("closed", "num"), ("", ""), ("", ""), *((name, "num") for name in names), ("by", ""), ("why", "why")]
    return table(heads, rows) if rows else div("empty", "no round trip yet")


def events(look: Look, zone: ZoneInfo) -> Html:
    """The journal in words."""
    lines = [
        div(
            "event",
            span("num when", day_time(event.now_ns, zone)),
            span(f"kind k-{event.kind.lower()}" if event.kind.isalpha() else "kind", event.kind),
            tag("b", event.contract),
            span("what", event.text),
        )
        for event in list(look.events)[::-1][:SHOWN]
    ]
    return join(*lines) if lines else div("empty", "nothing has happened yet")
