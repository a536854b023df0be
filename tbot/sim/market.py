"""The simulated market: a source of ticks, its clock, and what the market hub says about them.

A pump calls `Market.step` every 20 ms or so of real time; each step takes from the source what happened up to the
market time of the moment, lets the exchange match it tick by tick, keeps it for history, and encodes it once for all
subscribers: every trade, and of the quotes either the newest one of each contract, which is how the gateway paces them
(about 40 a second and contract), or every single one (`every_quote`). Depth is made only of what is subscribed.
"""

import time
from collections.abc import Iterator

import numpy as np

from tbot.domain.clock import MarketClock
from tbot.domain.contracts import Contract
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.domain.trading_hours import trading_day, trading_day_start_ns
from tbot.gateway.codec import ClockReading
from tbot.gateway.codec_market import depth_event
from tbot.gateway.codec_tables import BarUnit
from tbot.sim.depth import DepthMaker
from tbot.sim.exchange import Exchange
from tbot.sim.history import History
from tbot.sim.hub_tape import HubRecord, HubTape
from tbot.sim.market_controls import MarketControls
from tbot.sim.market_source import MarketSource, Ticks
from tbot.sim.steered_source import SteeredSource
from tbot_ext.records import Kind

__all__ = ["HubRecord", "Market", "MarketSource", "SimClock", "boot_ns", "tape_start_ns"]

_TRADE, _QUOTE = int(Kind.TRADE), int(Kind.QUOTE)
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
MAX_SPEED_STEP_NS = NS_PER_S  # market time per step at speed max


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

    The lead-in is 2 s of market time or 1 s of real time, whichever is longer; at speed max it passes at once.
    """
    lead_ns = max(2 * NS_PER_S, int((speed or 1.0) * NS_PER_S))
    return first_ns - first_ns % NS_PER_MIN - lead_ns


class Market:
    """Drives a source by the clock into exchange, history and hub records. `controls` is what fault plans use."""

    def __init__(
        self, source: MarketSource, exchange: Exchange, clock: SimClock, *, every_quote: bool = False, seed: int = 1
    ) -> None:
        """`seed` makes the depth of the book; `every_quote` as the module says."""
        self.source = SteeredSource(source)
        self.exchange = exchange
        self.clock = clock
        self.every_quote = every_quote
        self.history = History(self.source)
        self.controls = MarketControls(self.source, self.history, exchange, self._quote_of)
        self.sent = {"prints": 0, "quotes": 0, "snapshots": 0}  # records for the market hub
        self._seed = seed
        self._tapes = {c.product.contract_id: HubTape(c) for c in exchange.contracts.values()}
        self._by_broker_id = {tape.contract.broker_id: tape for tape in self._tapes.values()}
        self._now_ns = clock.now_ns(boot_ns())
        self._deep: dict[str, HubTape] = {}  # by broker id: those with a book
        self._stepping = False
        self._rolls: list[tuple[Contract, Contract, int]] = []  # of this step
        self._day = trading_day(self._now_ns)
        self._seed_sessions()
        exchange.on_roll.append(self.on_roll)

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
        self._stepping = True
        empty = (ticks["kind"] == _TRADE) & (ticks["size"] <= 0)
        self.exchange.on_ticks(ticks[~empty] if empty.any() else ticks)
        self.exchange.advance(now_ns)
        self.history.add(ticks)
        self._roll_day(now_ns)
        records: list[HubRecord] = []
        for contract_id in np.unique(ticks["contract_id"]).tolist():
            records += self._tell(self._tapes[contract_id], ticks[ticks["contract_id"] == contract_id], wanted)
        for broker_id in tuple(self._deep):
            if ("depth", broker_id) in wanted:
                records += self._tell_depth(self._deep[broker_id], None)  # what changes without a trade or quote
            else:
                self._deep.pop(broker_id).depth = None
        self._stepping = False
        self._do_rolls()
        return records

    def snapshot(self, broker_id: str) -> bytes | None:
        """A full quote for a new subscriber: later quotes are sparse and would never tell what does not change."""
        tape = self._by_broker_id.get(broker_id)
        found = None if tape is None else tape.quote(self._now_ns, full=True)
        self.sent["snapshots"] += found is not None
        return found

    def depth_snapshot(self, broker_id: str) -> bytes | None:
        """The whole book for a new subscriber. From here on the book is kept, until a step without subscribers."""
        tape = self._by_broker_id.get(broker_id)
        if tape is None:
            return None
        if tape.depth is None:
            product = tape.contract.product
            tape.depth = DepthMaker(product, self._seed, self._now_ns)
            high, low = tape.session.get("high"), tape.session.get("low")
            tape.depth.update(self._now_ns, tape.bid, tape.ask, high=high, low=low)
            self._deep[broker_id] = tape
        return depth_event(broker_id, tape.contract.product, tape.depth.snapshot(self._now_ns))

    def bars(
        self, contract: Contract, unit: BarUnit, number: int, from_ns: int, to_ns: int, *, limit: int, partial: bool
    ) -> Ticks:
        """History of any listed month, newest first (`History.bars`); of one that was never active there is none."""
        symbol, broker_id = contract.product.symbol, contract.broker_id
        if broker_id in self._by_broker_id:
            now_ns = self._now_ns
            return self.history.bars(symbol, unit, number, from_ns, to_ns, limit=limit, partial=partial, now_ns=now_ns)
        return self.history.expired_bars(symbol, broker_id, unit, number, from_ns, to_ns, limit=limit)

    def on_roll(self, old: Contract, new: Contract, offset_ticks: int, _now_ns: int) -> None:
        """The exchange's hook: from here on the product trades as its next month, `offset_ticks` higher.

        A roll within a step comes after the step's ticks, which are still the old month's. The hub tells nothing more
        about that one; prices move by a step that only the new month's subscribers see.
        """
        self._rolls.append((old, new, offset_ticks))
        if not self._stepping:
            self._do_rolls()

    def _do_rolls(self) -> None:
        rolls, self._rolls = self._rolls, []
        for old, new, offset_ticks in rolls:
            product = new.product
            before = self._tapes[product.contract_id]
            self.source.shift(product.symbol, [(0, offset_ticks)], (before.bid, before.ask))
            self.history.roll(product.symbol, old.broker_id, offset_ticks, self._now_ns)
            tape = before.next_month(new, offset_ticks)
            self._tapes[product.contract_id] = tape
            self._deep.pop(old.broker_id, None)
            del self._by_broker_id[old.broker_id]
            self._by_broker_id[new.broker_id] = tape

    def _quote_of(self, symbol: str) -> tuple[int, int]:
        tape = self._tapes[self.exchange.products[symbol].contract_id]
        return tape.bid, tape.ask

    def _target_ns(self) -> int:
        if self.clock.speed is not None or not self.clock.started:
            return self.clock.now_ns(boot_ns())
        target = self._now_ns + MAX_SPEED_STEP_NS
        end = self.source.end_ns
        return target if end is None else min(target, max(end, self._now_ns))

    def _tell(self, tape: HubTape, ticks: Ticks, wanted: set[tuple[str, str]]) -> Iterator[HubRecord]:
        """The hub's words on one contract's ticks of a step, in order of exchange time.

        Trades up to a quote, this quote, the trades after it, and at last price and volume of those.
        """
        broker_id = tape.contract.broker_id
        quotes = np.flatnonzero(ticks["kind"] == _QUOTE)
        if not self.every_quote:
            quotes = quotes[-1:]
        trades = np.flatnonzero(ticks["kind"] == _TRADE)
        parts = np.searchsorted(trades, quotes).tolist()
        begin = 0
        for end, at in zip([*parts, len(trades)], [*quotes.tolist(), None], strict=True):
            prints = ticks[trades[begin:end]] if end > begin else None
            begin = end
            if prints is not None:
                tape.take_trades(prints)
                if ("trade", broker_id) in wanted:
                    self.sent["prints"] += len(prints)
                    for data in tape.trades(prints):
                        yield HubRecord("trade", broker_id, data)
            if at is not None:
                tape.take_quote(ticks[at])
            if (at is not None or prints is not None) and ("quote", broker_id) in wanted:
                data_or_none = tape.quote(self._now_ns)
                if data_or_none is not None:
                    self.sent["quotes"] += 1
                    yield HubRecord("quote", broker_id, data_or_none)
            if tape.depth is not None and ("depth", broker_id) in wanted:
                yield from self._tell_depth(tape, prints)

    def _tell_depth(self, tape: HubTape, prints: Ticks | None) -> Iterator[HubRecord]:
        """What changed in the book with these prints and the quote of now."""
        if tape.depth is None:
            return
        rows = tape.depth.update(
            self._now_ns,
            tape.bid,
            tape.ask,
            () if prints is None else zip(*(prints[name].tolist() for name in ("price", "size", "side")), strict=True),
            quoted_ns=tape.exch_ns or None,
            high=tape.session.get("high"),
            low=tape.session.get("low"),
        )
        if rows:
            data = depth_event(tape.contract.broker_id, tape.contract.product, rows)
            yield HubRecord("depth", tape.contract.broker_id, data)

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
