"""DeskSession in lock-step: replay at full speed and backtest. Market time stands still between exchange instants.

Timers come when the Desk's outlook says that one could change something (execution.outlook), not by the clock, and
one comes before a record that may fill an order, so that the range of prices up to it is known. `step` is one instant,
as replay takes it; `play` does the same with many and passes over those in which nothing can happen. Both must give
the same inputs to the Desk: tests/backtest/test_fast_driver.py.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Quote, Signal, TimerIn
from tbot.execution.broker import DeskLoop
from tbot.execution.outlook import RESTLESS, Outlook, beyond
from tbot.execution.session import TIMER_BUSY_NS, DeskSession, TickSink, market_age
from tbot_ext.records import Kind
from tbot_ext.stream import StreamWatch, instant

Ticks = npt.NDArray[np.void]
_TRADE, _QUOTE = int(Kind.TRADE), int(Kind.QUOTE)


class QuietSink(TickSink, Protocol):
    """A broker that knows which ticks do nothing to it but move its market (the paper broker)."""

    @property
    def due_ns(self) -> int | None:
        """From this exchange time on the next record of any contract does something; None: no such time."""

    def pass_over(self, contract: str, records: Ticks, quote: tuple[int, int, int] | None) -> None:
        """A stretch of records in which those of a contract were all quiet, and its last quote (bid, ask, flags)."""

    def quiet(self, contract: str) -> tuple[float, float]:
        """Trades strictly between these prices, and then all quotes, do nothing; low above high: every tick may."""


class LockstepSession(DeskSession):
    """`outlook` gives Desk.outlook; the other arguments as in DeskSession."""

    def __init__(
        self,
        loop: DeskLoop,
        contracts: Iterable[str],
        sink: QuietSink,
        *,
        busy: Callable[[], bool],
        outlook: Callable[[], Outlook],
    ) -> None:
        names = tuple(contracts)
        super().__init__(loop, names, sink, market_age, busy=busy)
        self._broker = sink
        self._ask_outlook = outlook
        self._outlook = RESTLESS
        self._time_ns = 0  # of the newest instant that is over
        self._handled = -1  # inputs of the Desk when it was asked for its outlook
        self._watch = StreamWatch([PRODUCTS[name].contract_id for name in names])

    # ------------------------------------------------------------------------------------------------ one instant
    def _look(self) -> None:
        """Ask the Desk for its outlook when it has heard anything since the last time."""
        if self._loop.handled != self._handled:
            self._handled = self._loop.handled
            self._outlook = self._ask_outlook()
            self._watching = self._busy()

    def _stirred(self, now_ns: int) -> bool:
        """Whether something is under way, or a price has gone where a rule may act, or is too old."""
        if self._outlook.restless:
            return True
        for name, bands in self._outlook.bands.items():
            held = self._quotes.get(name)
            if held is None or now_ns - held[0].exch_ns > self._outlook.stale_ns or beyond(bands, held[0]):
                return True
        return False

    def step(self, ticks: Ticks, signals: list[Signal], now_ns: int) -> None:
        """One exchange instant; see DeskSession."""
        self._look()
        if self._ranges:
            self._before(ticks)
            self._look()
        super().step(ticks, signals, now_ns)
        self._time_ns = now_ns

    def advance(self, now_ns: int) -> None:
        """Market time is `now_ns`: give the Desk a timer when one could change something."""
        self._look()
        due = now_ns >= self._outlook.due_ns
        if due or (now_ns - self._last_timer_ns >= TIMER_BUSY_NS and self._stirred(now_ns)):
            self._timer(now_ns)

    def _timer(self, now_ns: int) -> None:
        self._last_timer_ns = now_ns
        ranges, self._ranges = self._ranges, {}
        self._feed(TimerIn(now_ns, self.quotes(now_ns), ranges))

    def _before(self, ticks: Ticks) -> None:
        """An instant that may fill an order comes: first the Desk hears of the prices up to the instant before it."""
        for contract in self._ranges:
            low, high = self._broker.quiet(contract)
            mine = ticks[ticks["contract_id"] == PRODUCTS[contract].contract_id]
            trades, prices = mine["kind"] == _TRADE, mine["price"]
            loud = trades & ((prices <= low) | (prices >= high))
            if low > high:
                loud = trades | (mine["kind"] == _QUOTE)
            if loud.any():
                self._timer(self._time_ns)
                return

    # ----------------------------------------------------------------------------------------------- many instants
    def play(self, ticks: Ticks, signals: Sequence[tuple[int, Signal]]) -> None:
        """Whole instants of a merged stream, and the signals that they caused with the index of their record."""
        at, end, spoken = 0, len(ticks), 0
        while at < end:
            until = instant(ticks, signals[spoken][0])[0] if spoken < len(signals) else end
            if at < until:
                at = self._pass_over(ticks, at, until)
                if at == end:
                    return
            _, after, now_ns = instant(ticks, at)
            first = spoken
            while spoken < len(signals) and signals[spoken][0] < after:
                spoken += 1
            self.step(ticks[at:after], [signal for _, signal in signals[first:spoken]], now_ns)
            at = after

    def _pass_over(self, ticks: Ticks, start: int, end: int) -> int:
        """Skip the instants from `start` in which nothing can happen; the index of the first that has to be stepped."""
        self._look()
        self._set_watch()
        due_ns = self._outlook.due_ns
        # Under way or beyond a band already: the next timer comes by its interval.
        if self._stirred(int(ticks["exch_ns"][start])):
            due_ns = min(due_ns, self._last_timer_ns + TIMER_BUSY_NS)
        if self._broker.due_ns is not None:
            due_ns = min(due_ns, self._broker.due_ns)
        found, passed = self._watch.find(ticks, start, end, due_ns, self._outlook.stale_ns)
        if found > start:
            self._time_ns = int(ticks["exch_ns"][found - 1])
        for contract_id, quote, whole, last_trade, low, high in passed:
            contract = self._contracts[contract_id]
            if whole is not None:
                bid, ask, exch_ns, recv_ns, seq, epoch = whole
                self._quotes[contract] = (Quote(bid, ask, exch_ns, (seq >> 1) - 1 if seq else 0, 0, epoch), recv_ns)
            if last_trade >= 0 and self._watching:
                self._see(contract, low, high)
            self._broker.pass_over(contract, ticks[start : last_trade + 1], quote)
        return found

    def _set_watch(self) -> None:
        for contract_id, contract in self._contracts.items():
            self._watch.trades(contract_id, *self._broker.quiet(contract))
            bands = self._outlook.bands.get(contract)
            bids, asks = bands if bands is not None else (None, None)
            self._watch.quotes(contract_id, bids, asks, contract in self._waiting, bands is not None)
            held = self._quotes.get(contract)
            if held is not None:
                self._watch.seen(contract_id, held[0].exch_ns)
