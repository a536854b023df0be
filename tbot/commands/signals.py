"""`tbot signals`: what the strategy wanted to trade, what became of it, and with --explain why.

Read from the journal, also while the engine runs. `--json`: one document `tbot.signals` version 1 with `state_dir` and
`signals`, newest first; each has `signal_id, decided, contract, side, score, entry, stop, target` (prices as numbers),
`reason`, `parts`, and `outcomes`, one per account: `account, outcome` (taken or denied) and `size, risk_usd,
round_trips` or `reason, text`. With `--explain` the one signal has `why` (prices in ticks), `event_ids`, `params_hash`
and `story` (lines) as well.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tbot.domain.messages import Denial, Intent, RoundTrip, Signal
    from tbot.storage.journal_reader import JournalReader


@dataclass
class Decision:
    """A signal and what the Desk made of it for each account."""

    signal: "Signal"
    answers: "list[Intent | Denial]"
    trips: "list[RoundTrip]" = field(default_factory=list)


@click.command()
@click.option("--last", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first.")
@click.option("--contract", help="Only these contracts, for example MNQ or MNQ,ES.")
@click.option("--explain", "signal_id", metavar="ID", help="Tell the story of one signal.")
@click.option("--state-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Of another run.")
@click.option("--tz", default="Europe/Helsinki", show_default=True, help="Time zone of the screen.")
@click.option("--json", "json_output", is_flag=True, help="One JSON document.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def signals(
    last: int,
    contract: str | None,
    signal_id: str | None,
    state_dir: Path | None,
    tz: str,
    json_output: bool,
    debug: bool,
) -> int:
    """List the signals of the newest run and what became of each; with --explain tell why one was given."""
    import orjson

    from tbot.commands.options import parse_symbols, parse_zone

    zone = parse_zone(tz)
    symbols = parse_symbols(contract) if contract else None
    folder = state_dir or newest_state()
    with _journal(folder) as reader:
        found = [_wanted(reader, signal_id, folder)] if signal_id else _newest(reader, symbols, last)
        _add_trips(reader, found)
    if json_output:
        click.echo(orjson.dumps(document(folder, found, zone, told=signal_id is not None)).decode())
        return 0
    for line in explained(found[0], zone) if signal_id else listed(folder, found, zone):
        click.echo(line)
    return 0


# ------------------------------------------------------------------------------------------------------- the journal
def newest_state() -> Path:
    """Where the newest run keeps its state; demo and replay use folders of their own."""
    from tbot.commands.status import newest_status

    return newest_status().parent


def _journal(folder: Path) -> "JournalReader":
    from tbot.errors import DataError
    from tbot.storage.journal_reader import JournalReader
    from tbot.transport import wire

    path = folder / "journal.db"
    if not path.exists():
        raise DataError(f"there is no journal in {folder}; name the state folder of a run with --state-dir")
    return JournalReader(path, wire)


def _decisions(reader: "JournalReader") -> "Iterator[tuple[int, Signal]]":
    """(seq, signal), newest first. DataError when one cannot be read."""
    from tbot.domain.contracts import PRODUCTS
    from tbot.domain.messages import SignalIn
    from tbot.errors import DataError, ProtocolError

    try:
        for seq, item in reader.of_kind("SignalIn"):
            assert isinstance(item, SignalIn)
            if item.signal.contract not in PRODUCTS:
                raise ProtocolError(f"contract {item.signal.contract!a}")
            yield seq, item.signal
    except ProtocolError as error:
        raise DataError(
            f"{reader.path} holds a signal that this version cannot read ({error}); use the version that wrote it"
        ) from None


def _answered(reader: "JournalReader", seq: int, signal: "Signal") -> Decision:
    from tbot.domain.messages import Denial, Intent

    answers = [note for note in reader.outputs_of(seq) if isinstance(note, Intent | Denial)]
    return Decision(signal, [note for note in answers if note.signal_id == signal.signal_id])


def _newest(reader: "JournalReader", symbols: tuple[str, ...] | None, last: int) -> list[Decision]:
    found: list[Decision] = []
    for seq, signal in _decisions(reader):
        if symbols is None or signal.contract in symbols:
            found.append(_answered(reader, seq, signal))
            if len(found) == last:
                break
    return found


def _wanted(reader: "JournalReader", signal_id: str, folder: Path) -> Decision:
    from tbot.errors import DataError

    for seq, signal in _decisions(reader):
        if signal.signal_id == signal_id:
            return _answered(reader, seq, signal)
    raise DataError(f"no signal {signal_id} in the journal of {folder}; `tbot signals` lists those it has")


def _add_trips(reader: "JournalReader", decisions: list[Decision]) -> None:
    from tbot.domain.messages import Intent, RoundTrip

    by_id = {decision.signal.signal_id: decision for decision in decisions}
    if not any(isinstance(note, Intent) for decision in decisions for note in decision.answers):
        return
    for _, trip in reader.of_kind("RoundTrip"):
        assert isinstance(trip, RoundTrip)
        if trip.signal_id in by_id:
            by_id[trip.signal_id].trips.append(trip)


# ---------------------------------------------------------------------------------------------------------- in words
def listed(folder: Path, decisions: list[Decision], zone: "ZoneInfo") -> list[str]:
    """Three lines a signal: the trade, why, what became of it."""
    if not decisions:
        return [f"no signals yet in {folder}"]
    lines = [f"signals of {folder}, newest first"]
    for decision in decisions:
        signal = decision.signal
        lines += [
            f"{signal_line(signal, zone)}  {signal.signal_id}",
            f"    {signal.reason}",
            *(f"    {text}" for text in _became(decision)),
        ]
    return lines


def signal_line(signal: "Signal", zone: "ZoneInfo") -> str:
    """When and what: the trade in one line."""
    from tbot.domain.contracts import PRODUCTS

    show = PRODUCTS[signal.contract].format
    return (
        f"{_stamp(signal.decided_ns, zone)}  {signal.contract} {_side(signal)}  score {signal.score:.1f}  "
        f"entry {show(_entry(signal))} stop {show(signal.stop)} target {show(signal.target)}"
    )


def explained(decision: Decision, zone: "ZoneInfo") -> list[str]:
    """The story of one signal and its end."""
    return [f"signal {decision.signal.signal_id}", *_story(decision, zone), *_became(decision)]


def _story(decision: Decision, zone: "ZoneInfo") -> list[str]:
    from tbot.domain.contracts import PRODUCTS
    from tbot.errors import DataError
    from tbot.strategy.explain import story

    signal = decision.signal
    try:
        return story(signal, PRODUCTS[signal.contract], lambda ns: _stamp(ns, zone))
    except LookupError as error:  # a pattern, trend or trigger that this version has no words for
        raise DataError(
            f"signal {signal.signal_id} speaks of {error}, which this version does not know; use the one that wrote it"
        ) from None


def _became(decision: Decision) -> list[str]:
    from tbot.dashboard.view import money
    from tbot.domain.messages import Denial

    lines = []
    for note in decision.answers:
        if isinstance(note, Denial):
            lines.append(f"account {note.account}: denied, {note.text} ({note.reason})")
            continue
        risk = money(note.risk_cents / 100).lstrip("+")
        lines.append(f"account {note.account}: taken, {note.size} at a risk of {risk}")
        for trip in decision.trips:
            if trip.account == note.account:
                lines.append(f"account {trip.account}: closed by {trip.exit_reason}, net {money(trip.net_cents / 100)}")
    return lines or ["no account answered"]


def document(folder: Path, decisions: list[Decision], zone: "ZoneInfo", *, told: bool) -> dict[str, Any]:
    """Everything for `--json`; `told`: with reasons and story."""
    rows = []
    for decision in decisions:
        row = signal_row(decision.signal) | {"outcomes": [_outcome(note, decision) for note in decision.answers]}
        if told:
            signal = decision.signal
            row |= {
                "why": None if signal.why is None else asdict(signal.why),
                "event_ids": list(signal.event_ids),
                "params_hash": signal.params_hash,
                "story": _story(decision, zone),
            }
        rows.append(row)
    return {"schema": "tbot.signals", "version": 1, "state_dir": str(folder), "signals": rows}


def signal_row(signal: "Signal") -> dict[str, Any]:
    """A signal as it stands in documents, prices as numbers."""
    from tbot.domain.contracts import PRODUCTS

    product = PRODUCTS[signal.contract]
    return {
        "signal_id": signal.signal_id,
        "decided": _iso(signal.decided_ns),
        "contract": signal.contract,
        "side": _side(signal),
        "score": signal.score,
        "entry": float(product.to_price(_entry(signal))),
        "stop": float(product.to_price(signal.stop)),
        "target": float(product.to_price(signal.target)),
        "reason": signal.reason,
        "parts": signal.parts,
    }


def _outcome(note: "Intent | Denial", decision: Decision) -> dict[str, Any]:
    from tbot.domain.messages import Denial

    if isinstance(note, Denial):
        return {"account": note.account, "outcome": "denied", "reason": note.reason, "text": note.text}
    trips = [
        {"closed": _iso(trip.now_ns), "exit_reason": trip.exit_reason, "net_usd": trip.net_cents / 100}
        for trip in decision.trips
        if trip.account == note.account
    ]
    taken = {"account": note.account, "outcome": "taken", "size": note.size, "risk_usd": note.risk_cents / 100}
    return taken | {"round_trips": trips}


def _side(signal: "Signal") -> str:
    return "long" if signal.side > 0 else "short"


def _entry(signal: "Signal") -> int:
    """Adverse side of the decision quote, ticks."""
    return signal.quote.ask if signal.side > 0 else signal.quote.bid


def _iso(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stamp(ns: int, zone: "ZoneInfo") -> str:
    """2026-11-20 16:33:00 EET (08:33 CST)."""
    from tbot.domain.trading_hours import CHICAGO

    when = datetime.fromtimestamp(ns / 1e9, UTC)
    return f"{when.astimezone(zone):%Y-%m-%d %H:%M:%S %Z} ({when.astimezone(CHICAGO):%H:%M %Z})"
