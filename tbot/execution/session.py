"""All an executor does except moving bytes: tick records, signals and time go in, the Desk and its broker answer.

The executor process drives this class; replay in lock-step and the backtest drive execution.lockstep, which is this
class with timers that come when they can change something. Order of work is the same in every mode. It is pure: time
arrives as `now_ns`, ages by the function it is given.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import ConditionIn, FeedIn, Note, OperatorIn, Quote, Signal, SignalIn, SignalStamps, TimerIn
from tbot.execution.broker import DeskLoop
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import NO_PRICE, TICK_DTYPE, Kind

# How often the Desk hears of time, in market nanoseconds: with something at risk, and when flat.
TIMER_BUSY_NS = 500_000_000
TIMER_IDLE_NS = 2_000_000_000

FEW = 32  # records that are looked at one by one; more are worth an array operation
_NAMES = TICK_DTYPE.names or ()
_PRICE, _PRICE2, _CONTRACT_ID, _KIND = map(_NAMES.index, ("price", "price2", "contract_id", "kind"))
_QUOTE, _TRADE, _GAP, _HISTORY = int(Kind.QUOTE), int(Kind.TRADE), int(Kind.GAP), int(Kind.HISTORY)

AgeOf = Callable[[int, int, int], int]  # (now_ns, exch_ns, recv_ns) -> age of a quote in real ns


class TickSink(Protocol):
    """A broker that lives on tick records (the paper broker)."""

    def on_tick(
        self,
        contract: str,
        kind: int,
        price: int,
        price2: int,
        size: int,
        side: int,
        exch_ns: int,
        flags: int = 0,
        aux: int = 0,
    ) -> None: ...


def market_age(now_ns: int, exch_ns: int, _recv_ns: int) -> int:
    """Age of a quote when market time is all there is (lock-step, backtest)."""
    return max(0, now_ns - exch_ns)


class DeskSession:
    """Folds tick records, signals and time into the Desk; keeps the newest quote of each contract."""

    def __init__(
        self,
        loop: DeskLoop,
        contracts: Iterable[str],
        sink: TickSink | None,
        age_of: AgeOf,
        *,
        busy: Callable[[], bool],
        speed: float = 1.0,
    ) -> None:
        self._loop = loop
        self._contracts = {PRODUCTS[contract].contract_id: contract for contract in contracts}
        self._sink = sink
        self._age_of = age_of
        self._busy = busy
        self._timer_scale = max(1.0, speed)
        self._quotes: dict[str, tuple[Quote, int]] = {}  # with the receive stamp
        self._states: dict[str, str] = dict.fromkeys(self._contracts.values(), "gap")
        self._waiting: set[str] = set()  # history is there, a fresh quote is not
        self._barred: dict[str, tuple[str, str]] = {}  # contract -> (RC_ code, why) it takes no entries
        self._last_timer_ns = 0
        self._watching = False  # something is open: prices between two timers are of interest
        self._ranges: dict[str, tuple[int, int]] = {}  # contract -> (lowest, highest) trade price since the last timer
        self.notes: list[Note] = []

    @property
    def feeds(self) -> dict[str, str]:
        """State of each contract's market data as the Desk was told: ok, gap, or closed while it is barred."""
        return {contract: self._told(contract) for contract in self._states}

    def _told(self, contract: str) -> str:
        return "closed" if contract in self._barred else self._states[contract]

    def take_notes(self) -> list[Note]:
        """Notes since the last call, in order."""
        notes, self.notes = self.notes, []
        return notes

    def on_records(self, ticks: npt.NDArray[np.void], now_ns: int) -> None:
        """Take in ring records of one contract (or a merged tape), oldest first."""
        if self._sink is not None:
            for row in ticks.tolist():
                self._on_row(row, now_ns)
            return
        if len(ticks) <= FEW:
            self._on_few(ticks.tolist(), now_ns)
            return
        kinds = ticks["kind"]
        if self._watching:
            self._see_trades(ticks[kinds == Kind.TRADE])
        wanted = (kinds == Kind.GAP) | (kinds == Kind.HISTORY)
        whole = (kinds == Kind.QUOTE) & (ticks["price"] != NO_PRICE) & (ticks["price2"] != NO_PRICE)
        quotes = np.flatnonzero(whole)[::-1]  # newest first: of each contract the newest two-sided quote will do
        if len(quotes):
            wanted[quotes[np.unique(ticks["contract_id"][quotes], return_index=True)[1]]] = True
        for row in ticks[wanted].tolist():
            self._on_row(row, now_ns)

    def _on_few(self, rows: list[tuple[int, ...]], now_ns: int) -> None:
        """What the rest of `on_records` does, row by row: a live ring gives one or two, too few for arrays."""
        wanted: list[int] = []
        newest: dict[int, int] = {}
        trades: list[tuple[int, int]] = []
        for index, row in enumerate(rows):
            kind = row[_KIND]
            if kind == _QUOTE:
                if row[_PRICE] != NO_PRICE and row[_PRICE2] != NO_PRICE:
                    newest[row[_CONTRACT_ID]] = index
            elif kind == _TRADE:
                trades.append((row[_CONTRACT_ID], row[_PRICE]))
            elif kind in (_GAP, _HISTORY):
                wanted.append(index)
        for contract_id, price in sorted(trades) if self._watching else ():
            contract = self._contracts.get(contract_id)
            if contract is not None:
                self._see(contract, price, price)
        for index in sorted([*wanted, *newest.values()]):
            self._on_row(rows[index], now_ns)

    def _see_trades(self, trades: npt.NDArray[np.void]) -> None:
        ids, prices = trades["contract_id"], trades["price"]
        for contract_id in np.unique(ids).tolist():
            contract, own = self._contracts.get(contract_id), prices[ids == contract_id]
            if contract is not None:
                self._see(contract, int(own.min()), int(own.max()))

    def _see(self, contract: str, low: int, high: int) -> None:
        held = self._ranges.get(contract)
        self._ranges[contract] = (low, high) if held is None else (min(held[0], low), max(held[1], high))

    def _on_row(self, row: tuple[int, ...], now_ns: int) -> None:
        seq, exch_ns, recv_ns, price, price2, size, aux, _volume, contract_id, kind, side, flags, epoch = row
        contract = self._contracts.get(contract_id)
        if contract is None:
            return
        if kind == _QUOTE:
            if price != NO_PRICE and price2 != NO_PRICE:
                quote = Quote(price, price2, exch_ns, (seq >> 1) - 1 if seq else 0, 0, epoch)
                self._quotes[contract] = (quote, recv_ns)
                if contract in self._waiting:
                    self._waiting.discard(contract)
                    self._set_state(contract, "ok", now_ns)
        elif kind == _GAP:
            if aux == NEW_CONTRACT:
                self._quotes.pop(contract, None)  # prices of another month mean nothing
                self._ranges.pop(contract, None)
            self._waiting.discard(contract)
            self._set_state(contract, "gap", now_ns)
        elif kind == _HISTORY and self._states.get(contract) != "ok":
            self._waiting.add(contract)
        elif kind == _TRADE and self._watching:
            self._see(contract, price, price)
        if self._sink is not None:
            self._sink.on_tick(contract, kind, price, price2, size, side, exch_ns, flags, aux)
            self.notes += self._loop.pump()

    def _set_state(self, contract: str, state: str, now_ns: int) -> None:
        if self._states.get(contract) != state:
            self._states[contract] = state
            if contract not in self._barred:
                self._feed(FeedIn(now_ns, contract, state))  # type: ignore[arg-type]

    @property
    def barred(self) -> dict[str, str]:
        """Contracts that take no entries, and why."""
        return {contract: reason for contract, (_, reason) in self._barred.items()}

    def bar(self, contract: str, code: str, reason: str, now_ns: int) -> None:
        """No entries in a contract for a reason outside its data, under an RC_ code; "" lifts it. Exits go on."""
        if self._barred.get(contract, ("", "")) == (code, reason):
            return
        if reason:
            self._barred[contract] = (code, reason)
        else:
            del self._barred[contract]
        self._feed(FeedIn(now_ns, contract, self._told(contract), reason, code))  # type: ignore[arg-type]

    def _feed(self, item: ConditionIn | FeedIn | OperatorIn | SignalIn | TimerIn) -> None:
        self.notes += self._loop.feed(item)

    def quote(self, contract: str, now_ns: int) -> Quote | None:
        """Newest quote of a contract with its age now; None when there was none yet."""
        held = self._quotes.get(contract)
        if held is None:
            return None
        quote, recv_ns = held
        age_ns = self._age_of(now_ns, quote.exch_ns, recv_ns)
        return Quote(quote.bid, quote.ask, quote.exch_ns, quote.seq, age_ns, quote.epoch)

    def quotes(self, now_ns: int) -> dict[str, Quote]:
        """Newest quote of every contract that has one."""
        found = {contract: self.quote(contract, now_ns) for contract in self._quotes}
        return {contract: quote for contract, quote in found.items() if quote is not None}

    def on_signal(self, signal: Signal, age_ns: int, now_ns: int, stamps: SignalStamps | None = None) -> None:
        """A signal arrived; everything of its contract up to its decision must have gone through `on_records`."""
        quote = self.quote(signal.contract, now_ns)
        self._feed(SignalIn(now_ns, signal, quote, age_ns, stamps or SignalStamps()))

    def on_operator(self, item: OperatorIn) -> None:
        """A person's request."""
        self._feed(item)

    def on_condition(self, item: ConditionIn) -> None:
        """Something of the machine began to hold, or is over."""
        self._feed(item)

    def pump(self) -> None:
        """Take in what the broker has to say."""
        self.notes += self._loop.pump()

    def advance(self, now_ns: int) -> None:
        """Market time is `now_ns`: give the Desk a timer when one is due."""
        self._watching = self._busy()
        interval = (TIMER_BUSY_NS if self._watching else TIMER_IDLE_NS) * self._timer_scale
        if now_ns - self._last_timer_ns >= interval:
            self._last_timer_ns = now_ns
            ranges, self._ranges = self._ranges, {}
            self._feed(TimerIn(now_ns, self.quotes(now_ns), ranges))

    def step(self, ticks: npt.NDArray[np.void], signals: list[Signal], now_ns: int) -> None:
        """One exchange instant in lock-step: its records (merged), then time, then the signals it caused.

        Ties go by (contract id, ring sequence): the order in which a live executor would have to see them to agree.
        """
        self.on_records(ticks, now_ns)
        self.advance(now_ns)
        for signal in sorted(signals, key=lambda item: (PRODUCTS[item.contract].contract_id, item.ring_seq)):
            self.on_signal(signal, 0, now_ns)
        self.pump()
