"""One loop under a virtual clock: stream -> ContractDecider per contract -> LockstepSession -> PaperBroker.

The loop is the lock-step of replay (design ruling 2) without processes: for each exchange instant first every contract
takes its records in, then the Desk does. `tests/parity` holds both to the same signals and commands. A decider never
hears from the Desk, so each one runs over a whole part of the stream before the Desk does.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from tbot.backtest.plan import TraderFactory
from tbot.backtest.record import RunRecord
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Note, Signal
from tbot.domain.trading_hours import trading_day_start_ns
from tbot.errors import TbotError
from tbot.execution.broker import DeskLoop
from tbot.execution.desk import Desk
from tbot.execution.lockstep import LockstepSession
from tbot.execution.paper_broker import PaperBroker
from tbot.strategy.decider import ContractDecider
from tbot.strategy.learning import Ledger
from tbot.strategy.outcomes import Rows, counts
from tbot.strategy.trader import StrategySettings
from tbot_ext.records import TICK_DTYPE
from tbot_ext.stream import StreamWatch

FIRST_EPOCH = 1  # of a fresh ring (tbot_ext.ring)
_DAY_AND_A_HALF_NS = 36 * 3600 * 1_000_000_000

Ticks = npt.NDArray[np.void]
Spoken = list[tuple[int, Signal]]  # with the index of the record at which each came


class StrategyError(TbotError):
    """A strategy raised: what it gave until then is no result."""


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
        self._trader_name = trader_name or "smc"
        self.ledger = Ledger(strategy.learning)
        self.outcomes: list[Rows] = []  # those that count for learning
        self._learns = strategy.learning.decides
        self._day_end_ns = 0
        self.deciders: Mapping[int, ContractDecider] = {}
        for product in sorted((PRODUCTS[symbol] for symbol in symbols), key=lambda product: product.contract_id):
            try:
                learned = self.ledger.source(product.symbol)
                decider = ContractDecider(product, strategy, make_trader=make_trader, learned=learned)
            except (Exception, SystemExit) as error:
                raise self._failure(f"at its start for {product.symbol}", error) from error
            self.deciders = {**self.deciders, product.contract_id: decider}
        self.desk = desk
        loop = DeskLoop(desk, broker, self.record)
        self.session = LockstepSession(loop, symbols, broker, busy=desk.busy, outlook=desk.outlook)
        self.signals: list[Signal] = []
        self.notes: list[Note] = []
        self.records = 0
        self._numbers = StreamWatch(self.deciders, FIRST_EPOCH)
        self._space = np.empty(0, TICK_DTYPE)  # Why kept: fresh memory for each part costs more than its records
        self._held = np.zeros(0, TICK_DTYPE)  # the last instant: more of it may come
        self._held_signals: Spoken = []

    def run(self, chunks: Iterable[Ticks]) -> None:
        """Play a stream in merge order (see storage.replay_stream) to its end, wherever it is cut."""
        for chunk in chunks:
            for part in self._by_day(chunk):
                self._take(part)
        self._desk_takes(self._held, self._held_signals)
        self._held, self._held_signals = self._held[:0], []

    def _by_day(self, chunk: Ticks) -> Iterator[Ticks]:
        """The chunk, cut where a trading day begins: by then what all contracts did on the day before must be known."""
        at = 0
        while self._learns and at < len(chunk):
            if int(chunk["exch_ns"][at]) >= self._day_end_ns:
                start_ns = trading_day_start_ns(int(chunk["exch_ns"][at]))
                self._day_end_ns = trading_day_start_ns(start_ns + _DAY_AND_A_HALF_NS)
            end = max(at + 1, int(np.searchsorted(chunk["exch_ns"], self._day_end_ns)))
            yield chunk[at:end]
            at = end
        if at < len(chunk):
            yield chunk

    def minutes(self, contract_id: int) -> int:
        """1m bars of a contract so far."""
        return int(self.deciders[contract_id].pipeline.minutes)

    def _take(self, chunk: Ticks) -> None:
        """Decide on a part of the stream, then play all of it but its last instant."""
        first = len(self._held)
        if first + len(chunk) > len(self._space):
            self._space = np.empty(2 * (first + len(chunk)), TICK_DTYPE)
        records = self._space[: first + len(chunk)]
        records[:first] = self._held
        if chunk.flags.c_contiguous:
            records[first:].view(np.uint8)[:] = chunk.view(np.uint8)  # Why bytes: numpy copies records field by field
        else:
            records[first:] = chunk
        self._numbers.number(records[first:])
        spoken = self._held_signals + self._decide(records, first)
        end = int(np.searchsorted(records["exch_ns"], records["exch_ns"][-1]))
        self._desk_takes(records[:end], [one for one in spoken if one[0] < end])
        self._held = records[end:].copy()
        self._held_signals = [(index - end, signal) for index, signal in spoken if index >= end]

    def _decide(self, records: Ticks, first: int) -> Spoken:
        """Every contract over the records from `first` on; signals in order of instant, contract, record."""
        found: list[tuple[int, int, int, Signal]] = []
        for contract_id, decider in self.deciders.items():
            position = first
            while position < len(records) or decider.pending:
                position, signals = self._fed(decider, records, position)
                self._learn(decider)
                if signals:
                    index = position - 1
                    at_ns = int(records["exch_ns"][index])
                    found += [(at_ns, contract_id, index, signal) for signal in signals]
        found.sort(key=lambda one: one[:3])
        return [(index, signal) for _, _, index, signal in found]

    def _learn(self, decider: ContractDecider) -> None:
        """Keep what became of hypothetical trades."""
        rows = decider.outcomes()
        if len(rows):
            self.ledger.add(decider.product.symbol, rows)
            self.outcomes.append(rows[counts(rows)])

    def _fed(self, decider: ContractDecider, ticks: Ticks, position: int) -> tuple[int, list[Signal]]:
        try:
            end, signals = decider.run(ticks, position)
            for signal in signals:
                _check(signal, decider.product.symbol)
        except (Exception, SystemExit) as error:  # leaving the program in the middle would look like success
            at = np.datetime64(decider.pipeline.now_ns, "ns").astype("datetime64[s]")
            raise self._failure(f"on {decider.product.symbol} at {at}Z of market time", error) from error
        return end, signals

    def _failure(self, where: str, error: BaseException) -> TbotError:
        """What ends the run: our own errors as they are, everything else as one sentence about the strategy."""
        if isinstance(error, TbotError):
            return error
        what = " ".join(f"{type(error).__name__}: {error}".split()) if str(error) else type(error).__name__
        return StrategyError(
            f"the strategy {self._trader_name} failed {where} ({what}); nothing of this run counts: correct the "
            "strategy and run again"
        )

    def _desk_takes(self, records: Ticks, spoken: Spoken) -> None:
        self.session.play(records, spoken)
        self.records += len(records)
        self.signals += [signal for _, signal in spoken]
        self.notes += self.session.take_notes()


def _check(signal: object, symbol: str) -> None:
    """TypeError or ValueError for what no Desk could take as a signal of this contract."""
    if not isinstance(signal, Signal):
        raise TypeError(f"it gave a {type(signal).__name__} where a Signal belongs")
    prices = (signal.stop, signal.target, signal.quote.bid, signal.quote.ask)
    if signal.contract != symbol or signal.side not in (1, -1) or any(type(price) is not int for price in prices):
        raise ValueError(f"it gave a signal of {signal.contract} with side {signal.side!r} and prices {prices!r}")
