"""The simulated market: a source of ticks, its clock, and what the market hub says about them.

A pump calls `Market.step` every 20 ms or so of real time; each step takes from the source what happened up to the
market time of the moment, lets the exchange match it tick by tick, keeps it for history, and encodes it once for all
subscribers: every trade, and the newest quote of each contract.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from tbot.domain.clock import MarketClock
from tbot.domain.contracts import Contract, Product
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.domain.trading_hours import trading_day, trading_day_start_ns
from tbot.gateway.codec import ClockReading
from tbot.gateway.codec_market import quote_event, trades_event
from tbot.sim.exchange import Exchange
from tbot.sim.history import History
from tbot_ext.records import NO_PRICE, Kind

Ticks = npt.NDArray[np.void]

_TRADE, _QUOTE = int(Kind.TRADE), int(Kind.QUOTE)
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
PRINTS_PER_RECORD = 400  # about 60 KB: a client's limit on one record is never near
MAX_SPEED_STEP_NS = NS_PER_S  # market time per step at speed max


class MarketSource(Protocol):
    """Where ticks come from. Times are UTC ns, prices ticks."""

    @property
    def contracts(self) -> list[Product]:
        """The products it has data for."""

    @property
    def start_ns(self) -> int:
        """Market time at which it begins."""

    @property
    def end_ns(self) -> int | None:
        """Market time of its last record; None when it never ends."""

    def advance(self, to_ns: int) -> Ticks:
        """All trades and quotes with exch_ns <= to_ns since the last call, sorted by (exch_ns, contract_id)."""

    def history(self, symbol: str, from_ns: int, to_ns: int) -> Ticks:
        """Complete 1m bars (BAR_DTYPE) with from_ns <= start < to_ns, none later than the current market time."""


def boot_ns() -> int:
    """Boot-clock reading, ns."""
    return time.clock_gettime_ns(_BOOT_CLOCK)


class SimClock:
    """Market time of the simulator (design ruling 1): a map of the boot clock, or, at speed max, moved by the pump.

    A held clock stands at `start_ns` until `start`. `speed` None is max: as fast as the subscribers take it.
    """

    def __init__(self, start_ns: int, speed: float | None, *, held: bool) -> None:
        if speed is not None and not 0 < speed <= 10_000:
            raise ValueError(f"speed must be above 0 and at most 10000, not {speed}")
        self.speed = speed
        self.started = False
        self._reached_ns = start_ns
        self._clock = MarketClock(start_ns, 0, speed or 1.0)
        if not held:
            self.start(boot_ns())

    def start(self, at_boot_ns: int) -> None:
        """Let market time run from `start_ns` at this boot-clock reading; does nothing when it already runs."""
        if not self.started:
            self.started = True
            self._clock = MarketClock(self._clock.origin_market_ns, at_boot_ns, self._clock.speed)

    def now_ns(self, at_boot_ns: int) -> int:
        """Market time at a boot-clock reading; never goes back."""
        if self.started and self.speed is not None:
            self._reached_ns = max(self._reached_ns, self._clock.at(at_boot_ns))
        return self._reached_ns

    def reach(self, market_ns: int) -> None:
        """At speed max: the pump has advanced the market to here."""
        self._reached_ns = max(self._reached_ns, market_ns)

    def reading(self, at_boot_ns: int, *, ended: bool = False) -> ClockReading:
        """What /sim/clock says. At speed max `speed` is 0: the clock is no function of real time."""
        return ClockReading(self.now_ns(at_boot_ns), self.speed or 0.0, at_boot_ns, self.started, ended)


def tape_start_ns(first_ns: int, speed: float | None) -> int:
    """Where a tape's clock begins: a lead-in before the minute of its first tick, so that subscribers are there.

    The lead-in is 2 s of market time or 1 s of real time, whichever is longer.
    """
    lead_ns = max(2 * NS_PER_S, int((speed or 1.0) * NS_PER_S))
    return first_ns - first_ns % NS_PER_MIN - lead_ns


@dataclass(frozen=True, slots=True)
class HubRecord:
    """One encoded record of the market hub and who gets it."""

    kind: Literal["quote", "trade"]
    broker_id: str
    data: bytes


class _Tape:
    """What the hub has told and will tell about one contract: sparse quotes from full knowledge."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.bid = self.ask = self.last = NO_PRICE
        self.volume = 0
        self.exch_ns = 0
        self.session: dict[str, int] = {}  # open, high, low in ticks, previous close
        self._sent: dict[str, int] = {}

    def begin_session(self) -> None:
        """A trading day begins: the cumulative volume and the session's prices start anew."""
        previous = self.last
        self.volume = 0
        self.session = {} if previous == NO_PRICE else {"previous": previous}

    def take_trades(self, trades: Ticks) -> None:
        if not len(trades):
            return
        prices = trades["price"]
        self.last = int(prices[-1])
        self.volume += int(trades["size"].sum())
        self.exch_ns = max(self.exch_ns, int(trades["exch_ns"][-1]))
        self.session.setdefault("open", int(prices[0]))
        self.session["high"] = max(self.session.get("high", self.last), int(prices.max()))
        self.session["low"] = min(self.session.get("low", self.last), int(prices.min()))

    def take_quote(self, quote: np.void) -> None:
        self.bid, self.ask = int(quote["price"]), int(quote["price2"])
        self.exch_ns = max(self.exch_ns, int(quote["exch_ns"]))

    def quote(self, updated_ns: int, *, full: bool = False) -> bytes | None:
        """The quote record with what changed since the last one; `full` tells everything. None: nothing is known."""
        now = {"bid": self.bid, "ask": self.ask, "last": self.last}
        now = {name: price for name, price in now.items() if price != NO_PRICE}
        if not now:
            return None
        now |= {"volume": self.volume, **self.session}
        changed = now if full else {name: value for name, value in now.items() if self._sent.get(name) != value}
        # Also by a full quote: earlier subscribers know all of it, their last sparse quote ended with the same state.
        self._sent = now
        session = {name: value for name, value in changed.items() if name in ("open", "high", "low")}
        if "previous" in now and "last" in changed:
            session["previous"] = now["previous"]
        return quote_event(
            self.contract.broker_id,
            self.contract.product,
            exch_ns=self.exch_ns or updated_ns,
            updated_ns=updated_ns,
            bid=changed.get("bid"),
            ask=changed.get("ask"),
            last=changed.get("last"),
            volume=changed.get("volume"),
            session=session,
        )

    def trades(self, trades: Ticks) -> Iterator[bytes]:
        """Trade records with all prints, in order."""
        for start in range(0, len(trades), PRINTS_PER_RECORD):
            part = trades[start : start + PRINTS_PER_RECORD]
            rows = zip(*(part[name].tolist() for name in ("exch_ns", "price", "size", "side")), strict=True)
            yield trades_event(self.contract.broker_id, self.contract.product, rows)


class Market:
    """Drives a source by the clock into exchange, history and hub records."""

    def __init__(self, source: MarketSource, exchange: Exchange, clock: SimClock) -> None:
        self.source = source
        self.exchange = exchange
        self.clock = clock
        self.history = History(source)
        self.trades_sent = 0
        self._tapes = {contract.product.contract_id: _Tape(contract) for contract in exchange.contracts.values()}
        self._by_broker_id = {tape.contract.broker_id: tape for tape in self._tapes.values()}
        self._now_ns = clock.now_ns(boot_ns())
        self._day = trading_day(self._now_ns)
        self._seed_sessions()

    @property
    def now_ns(self) -> int:
        """Market time of the last step."""
        return self._now_ns

    @property
    def ended(self) -> bool:
        """The source has nothing more to give."""
        return self.source.end_ns is not None and self._now_ns >= self.source.end_ns

    def step(self, wanted: set[tuple[str, str]]) -> list[HubRecord]:
        """Advance to the market time of now; returns the records of those (kind, contract id) that are wanted."""
        now_ns = self._target_ns()
        if not self.clock.started:
            self.exchange.advance(now_ns)
            return []
        ticks = self.source.advance(now_ns)
        self.clock.reach(now_ns)
        self._now_ns = now_ns
        self.exchange.on_ticks(ticks)
        self.exchange.advance(now_ns)
        self.history.add(ticks)
        self._roll_day(now_ns)
        records: list[HubRecord] = []
        for contract_id in np.unique(ticks["contract_id"]).tolist():
            records += self._tell(self._tapes[contract_id], ticks[ticks["contract_id"] == contract_id], wanted)
        return records

    def snapshot(self, broker_id: str) -> bytes | None:
        """A full quote for a new subscriber: later quotes are sparse and would never tell what does not change."""
        tape = self._by_broker_id.get(broker_id)
        return None if tape is None else tape.quote(self._now_ns, full=True)

    def _target_ns(self) -> int:
        if self.clock.speed is not None or not self.clock.started:
            return self.clock.now_ns(boot_ns())
        target = self._now_ns + MAX_SPEED_STEP_NS
        end = self.source.end_ns
        return target if end is None else min(target, max(end, self._now_ns))

    def _tell(self, tape: _Tape, ticks: Ticks, wanted: set[tuple[str, str]]) -> Iterator[HubRecord]:
        """The hub's words on one contract's ticks of a step, in order of exchange time.

        Trades up to the newest quote, this quote, the trades after it, and then last price and volume of those.
        """
        broker_id = tape.contract.broker_id
        quotes = np.flatnonzero(ticks["kind"] == _QUOTE)
        trades = ticks["kind"] == _TRADE
        split = int(quotes[-1]) if len(quotes) else len(ticks)
        rows = np.arange(len(ticks))
        for part, has_quote in ((trades & (rows < split), len(quotes) > 0), (trades & (rows > split), False)):
            prints = ticks[part]
            tape.take_trades(prints)
            if has_quote:
                tape.take_quote(ticks[split])
            if len(prints) and ("trade", broker_id) in wanted:
                self.trades_sent += len(prints)
                for data in tape.trades(prints):
                    yield HubRecord("trade", broker_id, data)
            if (len(prints) or has_quote) and ("quote", broker_id) in wanted:
                data_or_none = tape.quote(self._now_ns)
                if data_or_none is not None:
                    yield HubRecord("quote", broker_id, data_or_none)

    def _seed_sessions(self) -> None:
        """What the session looked like before the source's first tick, from its history."""
        day_start = trading_day_start_ns(self._now_ns)
        for tape in self._tapes.values():
            symbol = tape.contract.product.symbol
            bars = self.source.history(symbol, day_start - 4 * 86_400 * NS_PER_S, self._now_ns)
            if not len(bars):
                continue
            tape.last = int(bars["close"][-1])
            tape.exch_ns = int(bars["start_ns"][-1]) + NS_PER_MIN
            before = bars[bars["start_ns"] < day_start]
            today = bars[bars["start_ns"] >= day_start]
            if len(before):
                tape.session["previous"] = int(before["close"][-1])
            if len(today):
                tape.volume = int(today["volume"].sum())
                tape.session |= {
                    "open": int(today["open"][0]),
                    "high": int(today["high"].max()),
                    "low": int(today["low"].min()),
                }
            self.exchange.states[symbol].on_trade(tape.last)

    def _roll_day(self, now_ns: int) -> None:
        day = trading_day(now_ns)
        if day != self._day:
            self._day = day
            for tape in self._tapes.values():
                tape.begin_session()
