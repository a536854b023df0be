"""One loop under a virtual clock: stream -> ContractDecider per contract -> DeskSession -> PaperBroker.

The loop is the lock-step of replay (design ruling 2) without processes: for each exchange instant first every contract
takes its records in, then the Desk does. `tests/parity` holds both to the same signals and commands. A decider never
hears from the Desk, so each one runs over a whole part of the stream before the Desk does.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from tbot.backtest.plan import TraderFactory
from tbot.backtest.record import RunRecord
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Note, Signal
from tbot.errors import TbotError
from tbot.execution.broker import DeskLoop
from tbot.execution.desk import Desk
from tbot.execution.paper_broker import PaperBroker
from tbot.execution.session import DeskSession, market_age
from tbot.storage.replay_stream import instants
from tbot.strategy.decider import ContractDecider
from tbot.strategy.trader import ContractTrader, StrategySettings
from tbot_ext.records import Kind

FIRST_EPOCH = 1  # of a fresh ring (tbot_ext.ring)
_EPOCHS = 1 << 16

Ticks = npt.NDArray[np.void]


class StrategyError(TbotError):
    """A strategy raised: what it gave until then is no result."""


class Numbering:
    """Gives each contract's records the sequence numbers and epochs that the first writer of a ring gives."""

    def __init__(self, contract_ids: Iterable[int]) -> None:
        self._written = dict.fromkeys(contract_ids, 0)
        self._epoch = dict.fromkeys(self._written, FIRST_EPOCH)

    def copy(self, ticks: Ticks) -> Ticks:
        """The records, numbered; those given stay as they are."""
        numbered = ticks.copy()
        for contract_id in np.unique(ticks["contract_id"]).tolist():
            mine = numbered["contract_id"] == contract_id
            first, count = self._written[contract_id], int(mine.sum())
            numbered["seq"][mine] = 2 * np.arange(first, first + count, dtype=np.uint64) + 2
            # A gap's own record is the first of the new epoch.
            gaps = np.cumsum(numbered["kind"][mine] == Kind.GAP)
            numbered["epoch"][mine] = (self._epoch[contract_id] + gaps) % _EPOCHS
            self._written[contract_id] = first + count
            self._epoch[contract_id] = (self._epoch[contract_id] + int(gaps[-1])) % _EPOCHS
        return numbered


class Runner:
    """Deciders of several contracts and a Desk on one merged stream. `make_trader` None: the packaged strategy."""

    def __init__(
        self,
        symbols: tuple[str, ...],
        strategy: StrategySettings,
        desk: Desk,
        broker: PaperBroker,
        *,
        record: RunRecord | None = None,
        make_trader: TraderFactory | None = None,
        trader_name: str = "",
    ) -> None:
        self.record = record or RunRecord(keep_rows=True)
        self.deciders: Mapping[int, ContractDecider] = {
            PRODUCTS[symbol].contract_id: ContractDecider(
                PRODUCTS[symbol], strategy, make_trader=make_trader or ContractTrader
            )
            for symbol in symbols
        }
        self.desk = desk
        loop = DeskLoop(desk, broker, self.record)
        self.session = DeskSession(loop, symbols, broker, market_age, busy=desk.busy)
        self.signals: list[Signal] = []
        self.notes: list[Note] = []
        self.records = 0
        self._trader_name = trader_name or "smc"
        self._numbering = Numbering(self.deciders)

    def run(self, chunks: Iterable[Ticks]) -> None:
        """Play a stream in merge order (see storage.replay_stream) to its end, wherever it is cut."""
        for instant in instants(chunks):
            self.step(instant)
        self.notes += self.session.take_notes()

    def minutes(self, contract_id: int) -> int:
        """1m bars of a contract so far."""
        return int(self.deciders[contract_id].pipeline.minutes)

    def step(self, instant: Ticks) -> None:
        """One exchange instant."""
        records = self._numbering.copy(instant)
        signals = self._decide(records)
        self.signals += signals
        self.records += len(records)
        self.session.step(records, signals, int(records["exch_ns"][0]))

    def _decide(self, records: Ticks) -> list[Signal]:
        signals: list[Signal] = []
        for contract_id in np.unique(records["contract_id"]).tolist():
            decider = self.deciders[contract_id]
            mine = records[records["contract_id"] == contract_id]
            position = 0
            while position < len(mine) or decider.pending:
                position, found = self._fed(decider, mine, position)
                signals += found
        return signals

    def _fed(self, decider: ContractDecider, ticks: Ticks, position: int) -> tuple[int, list[Signal]]:
        try:
            return decider.feed(ticks, position)
        except TbotError:
            raise
        except Exception as error:
            at = np.datetime64(decider.pipeline.now_ns, "ns").astype("datetime64[s]")
            what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise StrategyError(
                f"the strategy {self._trader_name} failed on {decider.product.symbol} at {at}Z of market time "
                f"({what}); nothing of this run counts: correct the strategy and run again"
            ) from error
