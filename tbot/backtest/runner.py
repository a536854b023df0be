"""One loop under a virtual clock: tape -> ContractDecider per contract -> DeskSession -> PaperBroker.

The loop is the lock-step of replay (design ruling 2) without processes: for each exchange instant first every contract
takes its records in, then the Desk does. `tests/parity` holds both to the same signals and commands.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import DeskInput, DeskOutput, Note, Signal
from tbot.execution.broker import DeskLoop
from tbot.execution.desk import Desk
from tbot.execution.paper_broker import PaperBroker
from tbot.execution.session import DeskSession, market_age
from tbot.strategy.decider import ContractDecider
from tbot.strategy.trader import StrategySettings

FIRST_EPOCH = 1  # of a fresh ring (tbot_ext.ring)


@dataclass
class RunRecord:
    """Recorder that keeps every input and output of the Desk in memory."""

    rows: list[tuple[DeskInput, list[DeskOutput]]] = field(default_factory=list)

    def record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        self.rows.append((item, outputs))


class Runner:
    """Deciders of several contracts and a Desk on one merged tape."""

    def __init__(self, symbols: tuple[str, ...], strategy: StrategySettings, desk: Desk, broker: PaperBroker) -> None:
        self.record = RunRecord()
        self.deciders: Mapping[int, ContractDecider] = {
            PRODUCTS[symbol].contract_id: ContractDecider(PRODUCTS[symbol], strategy) for symbol in symbols
        }
        self.desk = desk
        loop = DeskLoop(desk, broker, self.record)
        self.session = DeskSession(loop, symbols, broker, market_age, busy=desk.busy)
        self.signals: list[Signal] = []
        self.notes: list[Note] = []
        self._sequence = dict.fromkeys(self.deciders, 0)

    def run(self, instants: Iterable[npt.NDArray[np.void]]) -> None:
        """Play a stream (see storage.tape.replay_stream), one exchange instant after the other, to its end."""
        for instant in instants:
            records = self._numbered(instant)
            signals = self._decide(records)
            self.signals += signals
            self.session.step(records, signals, int(records["exch_ns"][0]))
        self.notes += self.session.take_notes()

    def _numbered(self, ticks: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """Give each contract's records the sequence numbers and the epoch that the first writer of a ring gives."""
        numbered = ticks.copy()
        numbered["epoch"] = FIRST_EPOCH
        for contract_id in np.unique(ticks["contract_id"]).tolist():
            mine = numbered["contract_id"] == contract_id
            first = self._sequence[contract_id]
            count = int(mine.sum())
            numbered["seq"][mine] = 2 * np.arange(first, first + count, dtype=np.uint64) + 2
            self._sequence[contract_id] = first + count
        return numbered

    def _decide(self, records: npt.NDArray[np.void]) -> list[Signal]:
        signals: list[Signal] = []
        for contract_id in np.unique(records["contract_id"]).tolist():
            decider = self.deciders[contract_id]
            mine = records[records["contract_id"] == contract_id]
            position = 0
            while position < len(mine) or decider.pending:
                position, found = decider.feed(mine, position)
                signals += found
        return signals
