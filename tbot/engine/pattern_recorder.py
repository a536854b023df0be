"""Recorder process: the one writer of patterns.db, and the keeper of what was learned.

It takes outcomes from the workers, answers for the weights of a trading day, and reads the trades that really happened
from the journal. Nothing hangs on it: without a usable database it goes on in memory and says so, and without it the
workers keep their last weights.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Denial, RoundTrip
from tbot.domain.process_messages import OutcomesAck, OutcomesMessage, WeightsGrant, WeightsRequest
from tbot.domain.trading_hours import trading_day_start_ns
from tbot.engine.child import ChildContext
from tbot.engine.clocks import NS_PER_S, boot_ns
from tbot.engine.health import Beat, make_wire
from tbot.engine.settings import EngineSettings
from tbot.errors import DataError, JournalError, ProtocolError
from tbot.storage.journal_reader import JournalReader
from tbot.storage.pattern_store import FILE_NAME, Marks, PatternStore
from tbot.strategy.learning import Ledger, Weights
from tbot.strategy.outcomes import DayWeights, Rows
from tbot.transport import sockets, wire
from tbot_ext.outcome_book import OUTCOME_DTYPE

JOURNAL_EVERY_NS = 5 * NS_PER_S
IDLE_NS = 100_000_000


class PatternKeeper:
    """The database and the ledger behind the process: no sockets, so that tests and tools can use it.

    `problem`: why nothing is written, "" while it is. Frozen marks and settings leave the stored weights in force.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._learning = settings.strategy.learning
        self._symbols = settings.symbols
        self._ledger = Ledger(self._learning)
        self._day_start_ns = 0
        self._store: PatternStore | None = None
        self._marks = Marks()
        self.problem = ""
        self.version = ""
        self.outcomes = self.counted = self.kept_versions = 0
        self.moved: list[dict[str, Any]] = []  # patterns whose weight is not 1, the strongest first
        try:
            self._store = PatternStore(settings.state_dir / FILE_NAME)
            self._marks = self._store.marks()
            for contract, rows in self._store.outcomes(self._marks.reset_after):
                self._ledger.add(contract, rows)
            self.outcomes = self._store.counted()[0]
        except DataError as error:
            self._fail(error)

    @property
    def frozen(self) -> bool:
        """The weights stay as they are."""
        return self._learning.frozen or self._marks.frozen

    def add(self, contract: str, rows: Rows) -> None:
        """Outcomes of one contract, in order."""
        if not len(rows):
            return
        self._roll(trading_day_start_ns(int(rows["resolved_ns"][0])))
        if self._store is not None:
            try:
                rows = self._store.add(contract, rows)
            except DataError as error:
                self._fail(error)
        self.outcomes += len(rows)
        self._ledger.add(contract, rows)

    def weights(self, contract: str, day_start_ns: int) -> DayWeights:
        """Of a contract on the trading day that begins then."""
        self._roll(day_start_ns)
        return self._stored(contract, day_start_ns) if self.frozen else self._ledger.weights(day_start_ns).of(contract)

    def _stored(self, contract: str, day_start_ns: int) -> DayWeights:
        """Of the version that was stored last."""
        if self._store is None:
            return DayWeights(day_start_ns, "")
        try:
            return self._store.frozen_weights(contract, day_start_ns)
        except DataError as error:
            self._fail(error)
            return DayWeights(day_start_ns, "")

    def _roll(self, day_start_ns: int) -> None:
        """A later trading day than any before: what is known now are its weights."""
        if day_start_ns <= self._day_start_ns:
            return
        self._day_start_ns = day_start_ns
        if self.frozen:
            self.version = self._stored(self._symbols[0], day_start_ns).version
            return
        weights = self._ledger.weights(day_start_ns)
        self.version, self.counted = weights.version, weights.outcomes
        self.moved = _moved(weights)
        if self._store is not None:
            try:
                self.kept_versions += self._store.add_version(weights, self._symbols)
            except DataError as error:
                self._fail(error)

    def add_trades(self, trips: list[RoundTrip], denials: list[Denial]) -> None:
        """What really happened."""
        if self._store is None or not (trips or denials):
            return
        try:
            self._store.add_trades(trips, denials)
        except DataError as error:
            self._fail(error)

    def _fail(self, error: DataError) -> None:
        self.problem = str(error)
        if self._store is not None:
            self._store.close()
            self._store = None

    def status(self) -> dict[str, Any]:
        """For the status document."""
        return {
            "mode": self._learning.mode,
            "frozen": self.frozen,
            "outcomes": self.outcomes,
            "learned_from": self.counted,
            "version": self.version,
            "weights": self.moved,
            "problem": self.problem,
        }

    def close(self) -> None:
        """Safe to repeat."""
        if self._store is not None:
            self._store.close()
            self._store = None


def _moved(weights: Weights) -> list[dict[str, Any]]:
    found = [one for one in map(weights.judge, weights.sums) if one.weight != 1.0]
    found.sort(key=lambda one: (-abs(one.weight - 1.0), one.symbol, one.kind, one.timeframe_min))
    return [
        {
            "contract": one.symbol,
            "kind": one.kind,
            "timeframe_min": one.timeframe_min,
            "weight": one.weight,
            "outcomes": one.own.count,
        }
        for one in found[:20]
    ]


class JournalTail:
    """New round trips and denials of a journal, as they are written by another process."""

    def __init__(self, settings: EngineSettings) -> None:
        self._path = settings.journal_path
        self._after = 0
        self._next_ns = 0

    def look(self, *, now: bool = False) -> Iterator[tuple[list[RoundTrip], list[Denial]]]:
        """What came since the last look, at most every few seconds; nothing while the journal cannot be read."""
        if not now and boot_ns() < self._next_ns:
            return
        self._next_ns = boot_ns() + JOURNAL_EVERY_NS
        if not self._path.exists():
            return
        try:
            with JournalReader(self._path, wire) as journal:
                found: dict[str, list[Any]] = {}
                newest = self._after
                for kind in ("RoundTrip", "Denial"):
                    found[kind] = []
                    for row in journal.newest(kind):
                        if row.seq <= self._after:
                            break
                        newest = max(newest, row.seq)
                        found[kind].append(journal.decode(row))
        except (JournalError, ProtocolError):
            return
        self._after = newest
        yield found["RoundTrip"], found["Denial"]


class Recorder:
    """The loop around a PatternKeeper."""

    def __init__(self, settings: EngineSettings, context: ChildContext) -> None:
        self._context = context
        self._wire = make_wire(settings, context)
        self._beat = Beat(settings, context, self._wire)
        self._router = sockets.router(settings.socket("recorder"))
        self._waiter = sockets.Waiter(self._router)
        self._keeper = PatternKeeper(settings)
        self._tail = JournalTail(settings)
        self._told = ""
        self._bad_messages = 0

    def run(self) -> None:
        """Until told to stop, and then until nothing more lies in the socket."""
        while not self._context.stop.is_set():
            self._take()
            for trips, denials in self._tail.look():
                self._keeper.add_trades(trips, denials)
            self._report()
            self._waiter.wait(min(IDLE_NS, self._beat.due_in_ns()))
        self.close()

    def _take(self) -> None:
        for sender, data in self._router.drain():
            try:
                message = self._wire.decode(data)
            except ProtocolError:
                self._bad_messages += 1
                continue
            if isinstance(message, OutcomesMessage) and message.contract in PRODUCTS:
                self._keeper.add(message.contract, np.frombuffer(message.rows, OUTCOME_DTYPE))
                self._router.send(self._wire.encode(OutcomesAck(message.number)), sender)
            elif isinstance(message, WeightsRequest):
                self._router.send(self._wire.encode(self._grant(message)), sender)

    def _grant(self, asked: WeightsRequest) -> WeightsGrant:
        found = self._keeper.weights(asked.contract, asked.day_start_ns)
        patterns = tuple((one.kind, one.timeframe_min, one.weight, one.outcomes, one.edge_r) for one in found.patterns)
        return WeightsGrant(asked.contract, asked.day_start_ns, found.version, patterns)

    def _report(self) -> None:
        if self._keeper.problem != self._told:
            self._told = self._keeper.problem
            self._beat.event(time.time_ns(), "PROC", "", f"nothing is kept of patterns: {self._told}")
        if self._beat.due():
            self._beat.send("OK", self._status() if self._beat.status_due() else None)

    def _status(self) -> dict[str, Any]:
        return {"learning": self._keeper.status(), "messages": {"bad_messages": self._bad_messages}}

    def close(self) -> None:
        """Last outcomes, last trades, last words."""
        self._take()
        for trips, denials in self._tail.look(now=True):
            self._keeper.add_trades(trips, denials)
        self._beat.send("STOPPED", self._status())
        self._keeper.close()
        self._router.close(linger_ms=sockets.LINGER_MS)
        self._beat.close()


def main(settings: EngineSettings, context: ChildContext) -> None:
    """Process entry point."""
    Recorder(settings, context).run()
