"""The journal of a running engine as a screen needs it: newest signals, trades and events, kept up row by row.

Opened read-only for the moment of a look and closed again: a reader that stays would keep a full journal from being
rotated at the engine's next start.
"""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Barred, Denial, Fill, Intent, OperatorIn, RoundTrip, Signal, SignalIn, StateChange
from tbot.domain.process_messages import EngineEvent
from tbot.domain.words import CLOSED
from tbot.errors import JournalError, ProtocolError
from tbot.storage.journal_reader import JournalReader
from tbot.transport import wire

KEPT = 200
KINDS = ("SignalIn", "Intent", "Denial", "Fill", "RoundTrip", "StateChange", "Barred", "OperatorIn")


@dataclass(slots=True)
class SignalRow:
    """A signal and what became of it. Prices in ticks, times UTC ns of market time."""

    signal_id: str
    decided_ns: int
    contract: str
    side: int
    score: float
    entry: int  # adverse side of the decision quote
    stop: int
    target: int
    reason: str
    answers: list[Intent | Denial] = field(default_factory=list)  # one an account
    trips: list[RoundTrip] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """One word or two: `taken 2`, `denied RC_WINDOW`, `+$85.00`."""
        if self.trips:
            net = sum(trip.net_cents for trip in self.trips) / 100
            return f"{'+' if net > 0 else '−' if net < 0 else ''}${abs(net):,.2f}"
        taken = sum(answer.size for answer in self.answers if isinstance(answer, Intent))
        if taken:
            return f"taken {taken}"
        denied = next((answer.reason for answer in self.answers if isinstance(answer, Denial)), "")
        return f"denied {denied}" if denied else ""


class JournalView:
    """Newest first of everything; `refresh` reads the rows that were added."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seq = 0
        self._signals: deque[SignalRow] = deque(maxlen=KEPT)
        self._trades: deque[RoundTrip] = deque(maxlen=KEPT)
        self._events: deque[EngineEvent] = deque(maxlen=KEPT)

    def refresh(self) -> None:
        """Take in what was written since; a journal that cannot be read now is read the next time.

        Only while somebody writes it: SQLite would leave files beside a journal that nobody has open.
        """
        if not self.path.with_name(f"{self.path.name}-wal").exists():
            return
        with suppress(JournalError, ProtocolError, OSError), JournalReader(self.path, wire) as reader:
            head = reader.head[0]
            if head < self._seq:  # another journal has taken its place
                self._seq = 0
            for item in self._first(reader, head) if not self._seq else _items(reader, self._seq, head):
                self._take(item)
            self._seq = head

    def _first(self, reader: JournalReader, head: int) -> list[Any]:
        """The newest rows of each kind that is shown, oldest first."""
        found = [row for kind in KINDS for row in islice(reader.newest(kind, before=head + 1), KEPT)]
        return [reader.decode(row) for row in sorted(found, key=lambda row: row.seq)]

    def _take(self, item: Any) -> None:
        if isinstance(item, SignalIn):
            self._signals.appendleft(_signal_row(item.signal))
        elif isinstance(item, Intent | Denial):
            for row in self._signals:
                if row.signal_id == item.signal_id:
                    row.answers.append(item)
        elif isinstance(item, RoundTrip):
            self._trades.appendleft(item)
            for row in self._signals:
                if row.signal_id == item.signal_id:
                    row.trips.append(item)
        event = event_of(item)
        if event is not None:
            self._events.append(event)

    def signals(self, n: int) -> list[SignalRow]:
        return list(self._signals)[:n]

    def trades(self, n: int) -> list[RoundTrip]:
        return list(self._trades)[:n]

    def events(self, n: int) -> list[EngineEvent]:
        return list(self._events)[-n:]


def _items(reader: JournalReader, after: int, head: int) -> Iterable[Any]:
    """What is shown of the rows up to `head`; one that was written since `head` was read comes with the next look."""
    return [reader.decode(row) for row in reader.rows(after) if row.seq <= head and row.kind in KINDS]


def _signal_row(signal: Signal) -> SignalRow:
    entry = signal.quote.ask if signal.side > 0 else signal.quote.bid
    return SignalRow(
        signal.signal_id, signal.decided_ns, signal.contract, signal.side, signal.score, entry, signal.stop,
        signal.target, signal.reason,
    )  # fmt: skip


def event_of(item: Any) -> EngineEvent | None:
    """A row of the journal as one line for a person; None of what is no event."""
    if isinstance(item, SignalIn):
        signal = item.signal
        text = f"{_side(signal.side)} score {signal.score:.0f}: {signal.reason}"
        return EngineEvent(item.now_ns, "", "SIGNAL", signal.contract, text)
    if isinstance(item, Intent):
        text = f"{_side(item.side)} {item.size}, worst case ${item.risk_cents / 100:,.2f}"
        return EngineEvent(item.now_ns, "", "INTENT", item.contract, text)
    if isinstance(item, Denial):
        return EngineEvent(item.now_ns, "", "DENIAL", item.contract, f"{item.text} ({item.reason})")
    if isinstance(item, Fill):
        price = PRODUCTS[item.contract].format(item.price) if item.contract in PRODUCTS else str(item.price)
        return EngineEvent(item.now_ns, "", "FILL", item.contract, f"{item.side * item.size:+d} @ {price}")
    if isinstance(item, RoundTrip):
        net = item.net_cents / 100
        sign = "+" if net > 0 else "−" if net < 0 else ""
        text = f"{_side(item.side)} {item.size} closed {CLOSED[item.exit_reason]}: {sign}${abs(net):,.2f} net"
        return EngineEvent(item.now_ns, "", "ROUND", item.contract, text)
    if isinstance(item, StateChange):
        return EngineEvent(item.now_ns, "", "STATE", "", f"{item.state}: {item.text}")
    if isinstance(item, Barred):
        return EngineEvent(item.now_ns, "", "STATE", item.contract, f"no entries for the rest of the day: {item.text}")
    if isinstance(item, OperatorIn):
        return EngineEvent(item.now_ns, "", "ASKED", item.contract or "", f"{item.verb} by a person")
    return None


def _side(side: int) -> str:
    return "long" if side > 0 else "short"
