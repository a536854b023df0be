"""V13: did the session that was traded decide what its tape, replayed, decides; and were its fills what is modelled?

Two questions of different kinds. Decisions must be equal: the same records through the same code give the same signals,
with the same evidence (the events of zones, triggers and trends are part of a signal, so equal signals come from equal
events). What may differ between runs by nature is left out: receive and latency stamps, ring positions, ages of quotes.

Fills need not be equal: live ones come from a market, modelled ones from a rule. Their difference is the measure of the
model: entries and exits in ticks a contract, positive when reality was worse, and the time from a frame to its order.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tbot.backtest.results import Table
from tbot.domain.messages import RoundTrip, Signal

# Of a signal and its decision quote: where in the ring something stood, and how old it was when it was handed over.
_VOLATILE = frozenset({"ring_seq", "seq", "epoch", "age_ns"})


@dataclass(frozen=True, slots=True)
class SignalDifference:
    """One decision that differs, or was made on one side only."""

    contract: str
    decided_ns: int
    signal_id: str
    what: str


@dataclass(frozen=True, slots=True)
class SignalParity:
    """Signals of the journal and of the replay within the span that both cover."""

    journaled: int
    replayed: int
    identical: int
    outside: int  # journaled before or after the tape: nothing can be said of them
    differences: tuple[SignalDifference, ...]

    @property
    def equal(self) -> bool:
        """Every signal of the span is there on both sides, and the same."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class TripPair:
    """One trade as it was and as it is modelled. Ticks a contract; differences positive when reality was worse."""

    account: int
    signal_id: str
    contract: str
    entry_ticks: float
    exit_ticks: float
    slippage_real: float  # of the entry against the decision quote's adverse side
    slippage_modelled: float
    net_real_cents: int
    net_modelled_cents: int
    exit_real: str  # stop, target, close, other
    exit_modelled: str


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one hop over the trades that know it."""

    count: int
    p50_ms: float
    p90_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class FillParity:
    """Round trips of the journal beside those of a backtest of its tape."""

    pairs: tuple[TripPair, ...]
    only_real: tuple[str, ...]  # signal ids
    only_modelled: tuple[str, ...]
    latency: Mapping[str, Latency]

    def mean(self, name: str) -> float:
        """Mean of a field over the pairs; 0 without any."""
        return float(np.mean([getattr(pair, name) for pair in self.pairs])) if self.pairs else 0.0


def compare_signals(
    journaled: Iterable[Signal], replayed: Iterable[Signal], first_ns: int, last_ns: int
) -> SignalParity:
    """Signals decided from `first_ns` to `last_ns` (the span that both sides cover), matched by contract and id."""
    given = list(journaled)
    ours = {_key(signal): signal for signal in given if first_ns <= signal.decided_ns <= last_ns}
    theirs = {_key(signal): signal for signal in replayed if first_ns <= signal.decided_ns <= last_ns}
    found = []
    for key in sorted(ours.keys() | theirs.keys()):
        signal, other = ours.get(key), theirs.get(key)
        what = _difference(signal, other)
        if what:
            known = signal or other
            assert known is not None
            found.append(SignalDifference(known.contract, known.decided_ns, known.signal_id, what))
    identical = len(ours.keys() | theirs.keys()) - len(found)
    return SignalParity(len(ours), len(theirs), identical, len(given) - len(ours), tuple(found))


def _key(signal: Signal) -> tuple[int, str, str]:
    return signal.decided_ns, signal.contract, signal.signal_id


def _difference(journaled: Signal | None, replayed: Signal | None) -> str:
    """What differs, "" for nothing."""
    if journaled is None:
        return "decided by the replay only"
    if replayed is None:
        return "in the journal only"
    real, again = _plain(journaled), _plain(replayed)
    fields = [name for name in real if real[name] != again[name]]
    return ", ".join(
        f"{name} {_short(real[name])} in the journal, {_short(again[name])} replayed" for name in fields[:3]
    )


def _plain(value: Any) -> Any:
    """A message as plain data without what differs between runs by nature; tuples and lists are one thing."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.name not in _VOLATILE]
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def compare_trips(real: Iterable[RoundTrip], modelled: Table) -> FillParity:
    """Round trips of a journal against the trips table (TRIP_DTYPE) of a backtest, by account and signal."""
    trips = [trip for trip in real if trip.signal_id]
    rows = {(int(row["account"]), str(row["signal_id"])): row for row in modelled}
    keys = {(trip.account, trip.signal_id) for trip in trips}
    pairs = [_pair(trip, rows[trip.account, trip.signal_id]) for trip in trips
             if (trip.account, trip.signal_id) in rows]  # fmt: skip
    return FillParity(
        tuple(pairs),
        tuple(sorted(signal for account, signal in keys - rows.keys())),
        tuple(sorted(signal for account, signal in rows.keys() - keys if signal)),
        _latencies(trips),
    )


def _pair(trip: RoundTrip, row: Any) -> TripPair:
    size, other = trip.size, int(row["size"])
    entry = trip.entry_price_size / size - int(row["entry_price_size"]) / other
    left = trip.exit_price_size / size - int(row["exit_price_size"]) / other
    return TripPair(
        trip.account,
        trip.signal_id,
        trip.contract,
        trip.side * entry,
        -trip.side * left,
        trip.slippage_ticks / size,
        int(row["slippage_ticks"]) / other,
        trip.net_cents,
        int(row["net_cents"]),
        trip.exit_reason,
        str(row["exit_reason"]),
    )


def _latencies(trips: Iterable[RoundTrip]) -> dict[str, Latency]:
    """Hops of the boot clock; a stamp of 0 was not taken."""
    hops: dict[str, list[float]] = {"frame to request": [], "request to answer": []}
    for trip in trips:
        frame, request, answer = trip.stamps.frame_recv_boot_ns, trip.request_boot_ns, trip.answered_boot_ns
        if 0 < frame <= request:
            hops["frame to request"].append((request - frame) / 1e6)
        if 0 < request <= answer:
            hops["request to answer"].append((answer - request) / 1e6)
    return {
        name: Latency(len(taken), *(float(np.percentile(taken, share)) for share in (50, 90, 100)))
        for name, taken in hops.items()
        if taken
    }
