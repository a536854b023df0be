"""`tbot signals`: what the strategy wanted to trade, what became of it, and with --explain why.

Read from the journal, also while the engine runs. `--json`: one document `tbot.signals` version 1 with `state_dir` and
`signals`, newest first; each has `signal_id, decided, contract, side, score, entry, stop, target` (prices as numbers),
`reason`, `parts`, and `outcomes`, one per account: `account, outcome` (taken or denied) and `size, risk_usd,
round_trips` or `reason, text`. With `--explain` the one signal has `why` (prices in ticks), `event_ids`, `params_hash`
and `story` (lines) as well. `--csv`: one line per signal and account that answered.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.journal_query import (
    Asked,
    check_account,
    csv_text,
    iso,
    journal_options,
    open_family,
    print_json,
    stamp,
)
from tbot.commands.options import Filled, Whole
from tbot.commands.words import show
from tbot.domain.words import CLOSED

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tbot.domain.messages import Denial, Intent, RoundTrip, Signal
    from tbot.storage.journal_reader import JournalReader
    from tbot.storage.journal_rotation import JournalFamily

CSV_COLUMNS = (
    "signal_id", "decided", "contract", "side", "score", "entry", "stop", "target", "reason", "account", "outcome",
    "size", "risk_usd", "denied", "denied_text", "net_usd",
)  # fmt: skip


@dataclass
class Decision:
    """A signal and what the Desk made of it for each account."""

    signal: "Signal"
    answers: "list[Intent | Denial]"
    trips: "list[RoundTrip]" = field(default_factory=list)


@click.command()
@click.option("--last", type=Whole(min=1), help="How many, newest first; 20 unless --since asks for all.")
@click.option("--contract", help="Only these contracts, for example MNQ or MNQ,ES.")
@click.option("--explain", "signal_id", metavar="ID", type=Filled(), help="Tell the story of one signal.")
@journal_options
def signals(
    last: int | None,
    contract: str | None,
    signal_id: str | None,
    asked: Asked,
) -> int:
    """List the signals of the newest run and what became of each; with --explain tell why one was given."""
    from tbot.commands.options import parse_symbols

    asked.one_format()
    if asked.csv_output and signal_id:
        raise click.UsageError("--explain tells a story, which is no table; leave out --csv")
    zone = asked.zone()
    symbols = parse_symbols(contract) if contract else None
    from_ns, folder = asked.from_ns, asked.folder()
    with open_family(folder) as family:
        check_account(family, asked.account)
        if signal_id:
            found = [_wanted(family, signal_id, folder, asked.account)]
        else:
            found = list(islice(_chosen(family, symbols, asked.account, from_ns), asked.wanted(last)))
        _add_trips(family, found)
    if asked.json_output:
        print_json(document(folder, found, zone, told=signal_id is not None))
    elif asked.csv_output:
        click.echo(csv_text(CSV_COLUMNS, _table(found)), nl=False)
    else:
        show(explained(found[0], zone) if signal_id else listed(folder, found, zone))
    return 0


# ------------------------------------------------------------------------------------------------------- the journal
def _decisions(family: "JournalFamily", from_ns: int | None = None) -> "Iterator[tuple[JournalReader, int, Signal]]":
    """(file, seq, signal), newest first. DataError when one cannot be read."""
    from tbot.domain.contracts import PRODUCTS
    from tbot.domain.messages import SignalIn
    from tbot.errors import DataError, ProtocolError

    try:
        for reader in reversed(family.readers):
            for row in reader.newest("SignalIn", since_ns=from_ns):
                item = reader.decode(row)
                assert isinstance(item, SignalIn)
                if item.signal.contract not in PRODUCTS:
                    raise ProtocolError(f"contract {item.signal.contract!a}")
                yield reader, row.seq, item.signal
    except ProtocolError as error:
        raise DataError(
            f"{family.path} holds a signal that this version cannot read ({error}); use the version that wrote it"
        ) from None


def _answered(reader: "JournalReader", seq: int, signal: "Signal", account: int | None = None) -> Decision:
    from tbot.domain.messages import Denial, Intent

    answers = [note for note in reader.outputs_of(seq) if isinstance(note, Intent | Denial)]
    return Decision(
        signal,
        [note for note in answers if note.signal_id == signal.signal_id and account in (None, note.account)],
    )


def _chosen(
    family: "JournalFamily", symbols: tuple[str, ...] | None, account: int | None, from_ns: int | None
) -> Iterator[Decision]:
    """Newest first; with an account, those that it answered."""
    for reader, seq, signal in _decisions(family, from_ns):
        if symbols is None or signal.contract in symbols:
            decision = _answered(reader, seq, signal, account)
            if account is None or decision.answers:
                yield decision


def _wanted(family: "JournalFamily", signal_id: str, folder: Path, account: int | None) -> Decision:
    from tbot.errors import DataError

    for reader, seq, signal in _decisions(family):
        if signal.signal_id == signal_id:
            return _answered(reader, seq, signal, account)
    raise DataError(f"no signal {signal_id} in the journal of {folder}; `tbot signals` lists those it has")


def _add_trips(family: "JournalFamily", decisions: list[Decision]) -> None:
    """The round trips of what was taken."""
    from tbot.domain.messages import Intent, RoundTrip

    by_id = {decision.signal.signal_id: decision for decision in decisions}
    if not any(isinstance(note, Intent) for decision in decisions for note in decision.answers):
        return
    for row in family.newest("RoundTrip"):
        trip = family.decode(row)
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
        f"{stamp(signal.decided_ns, zone)}  {signal.contract} {_side(signal)}  score {signal.score:.1f}  "
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
        return story(signal, PRODUCTS[signal.contract], lambda ns: stamp(ns, zone))
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
                how = CLOSED[trip.exit_reason]
                lines.append(f"account {trip.account}: closed {how}, net {money(trip.net_cents / 100)}")
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


def _table(decisions: list[Decision]) -> Iterator[dict[str, Any]]:
    for decision in decisions:
        signal = signal_row(decision.signal)
        del signal["parts"]
        for answer in [_outcome(note, decision) for note in decision.answers] or [{}]:
            trips = answer.pop("round_trips", [])
            net = {"net_usd": round(sum(trip["net_usd"] for trip in trips), 2)} if trips else {}
            denial = {"denied": answer.pop("reason", None), "denied_text": answer.pop("text", None)}
            yield signal | answer | denial | net


def signal_row(signal: "Signal") -> dict[str, Any]:
    """A signal as it stands in documents, prices as numbers."""
    from tbot.domain.contracts import PRODUCTS

    product = PRODUCTS[signal.contract]
    return {
        "signal_id": signal.signal_id,
        "decided": iso(signal.decided_ns),
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
        {"closed": iso(trip.now_ns), "exit_reason": trip.exit_reason, "net_usd": trip.net_cents / 100}
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
