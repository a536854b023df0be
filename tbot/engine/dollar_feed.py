"""The dollar index in a running feed: quotes of the currency futures, a fold over them, a fact a minute into each ring.

Futures that nobody trades have a ring of their own in the feed's memory, so that they take the same way as all others;
that of a traded contract is read where it is. Of each contract only the last good quote of a minute counts, and history
gives its closes for minutes before. From these the index is made by the fold that backtests use, when all history is
there, and once more when history has filled a gap. A minute in which no followed contract had a quote is not told.

Nothing here can stop a run: a future that is not listed, not shown to this account, or silent makes the index stale.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tbot.context.dxy import LEGS, DollarIndex, MinuteClose, Ticks, good_quotes
from tbot.context.news_windows import Told
from tbot.domain.context import CORRELATION_SCALE, INDEX_SCALE
from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.engine.backfill import Bars, HistorySegment
from tbot.engine.clocks import boot_ns
from tbot.engine.context_feed import write
from tbot.engine.contract_feed import ContractFeed
from tbot.engine.worker import READER_SLOTS
from tbot.gateway.codec_market import SUBSCRIBE_QUOTES
from tbot.gateway.market_hub import MarketHub
from tbot.gateway.redact import plain
from tbot.strategy.dollar import DollarSettings
from tbot.strategy.facts import MAX_AGE_NS
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE, Kind
from tbot_ext.ring import RingReader, RingWriter, format_ring, ring_bytes

LEG_RING = 1 << 13  # records: seconds of the busiest currency, and it is emptied every second
READ_AT_ONCE = 4_096
HISTORY_PATIENCE_NS = 120 * NS_PER_S  # then the index begins with what is there
UNSUBSCRIBE_QUOTES = f"Un{SUBSCRIBE_QUOTES[0].lower()}{SUBSCRIBE_QUOTES[1:]}"
TREND_WORDS = {1: "rising", 0: "none", -1: "falling"}

# Of one minute the last good quote: exchange time, bid, ask
_Last = tuple[int, int, int]


def leg_feed(symbol: str, broker_id: str) -> tuple[ContractFeed, bytearray]:
    """A future of the index that is not traded, and the memory of its ring."""
    product = PRODUCTS[symbol]
    memory = bytearray(ring_bytes(LEG_RING))
    format_ring(memory, LEG_RING, product.contract_id, 1)
    bars = HistorySegment(np.zeros(1, BAR_DTYPE))  # nobody reads them there: they come by on_filled
    return ContractFeed(symbol, product, broker_id, RingWriter(memory), bars, traded=False), memory


class DollarFeed:
    """Called from the feed's loops only. `tell`: (contract, line for a person's eyes); `forget`: what is known of a
    month's quote may be old, for its next one comes by another subscription.
    """

    def __init__(
        self, settings: DollarSettings, tell: Callable[[str, str], None], forget: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._forget = forget
        self._traded: dict[int, ContractFeed] = {}
        self.legs: dict[int, ContractFeed] = {}  # those that are not traded
        self._missing: dict[str, str] = {}  # symbol -> why the gateway's list has none
        self._refused: dict[str, str] = {}  # symbol -> why it may not be subscribed
        self._subscribed: object = None  # connection and months of the newest subscription
        self._gone: list[str] = []  # months to unsubscribe
        self._readers: dict[int, RingReader] = {}
        self._out = np.zeros(READ_AT_ONCE, TICK_DTYPE)
        self._closes: dict[int, dict[int, _Last]] = {}  # by contract and start of a minute that is over
        self._open: dict[int, dict[int, _Last]] = {}  # of minutes that are not told yet
        # Four times the slower average's span: what lies before weighs less than a two-thousandth of it.
        self._kept = max(settings.correlation_minutes, 4 * settings.trend_slow * settings.trend_min)
        self._index: DollarIndex | None = None
        self._again = True  # history came, or never was there: to be made anew
        self._asked_boot_ns = boot_ns()
        self._boundary_ns = 0
        self._told: MinuteClose | None = None
        self._owed: set[int] = set()  # contracts that are to hear the newest minute
        self.errors: Counter[str] = Counter()  # of this code, by kind

    def open(self, contracts: Mapping[int, ContractFeed], legs: Mapping[str, str], missing: Mapping[str, str]) -> None:
        """The traded contracts are there, with their rings as first segments."""
        self._traded = dict(contracts)
        for number, contract in contracts.items():
            self._follow(number, contract.segments[0].buf)
        self.adopt(legs, missing, 0)

    def adopt(self, legs: Mapping[str, str], missing: Mapping[str, str], now_ns: int) -> None:
        """What the gateway lists: futures that came, and other months."""
        self._missing = dict(missing)
        for symbol, broker_id in legs.items():
            number = PRODUCTS[symbol].contract_id
            leg = self.legs.get(number)
            if number in self._traded:
                continue
            if leg is None:
                self.legs[number], memory = leg_feed(symbol, broker_id)
                self._follow(number, memory)
            elif leg.broker_id != broker_id:
                self._gone.append(leg.broker_id)
                leg.roll(broker_id, now_ns, time.time_ns())

    def _follow(self, number: int, memory: Any) -> None:
        self._readers[number] = RingReader(memory, READER_SLOTS["feed"])
        self._closes[number], self._open[number] = {}, {}
        self._again = True
        self._asked_boot_ns = boot_ns()

    # --------------------------------------------------------------------------------------------------- connection
    async def keep_subscribed(self, hub: MarketHub, connects: int) -> None:
        """Subscribe the quotes of the futures on each new connection. Looked at every second.

        They are no part of the hub's own list, so a gateway that refuses one of them costs no connection.
        """
        months = [leg.broker_id for leg in self.legs.values()]
        wanted = connects, hub.changes, tuple(months)
        if not hub.connected or self._subscribed == wanted:
            return
        self._subscribed = wanted
        gone, self._gone = self._gone, []
        refused: dict[str, str] = {}
        try:
            for broker_id in gone:
                await hub.invoke(UNSUBSCRIBE_QUOTES, [broker_id])
            for leg in list(self.legs.values()):
                self._forget(leg.broker_id)
                answer = await hub.invoke(SUBSCRIBE_QUOTES, [leg.broker_id])
                if answer.error is not None:
                    refused[leg.symbol] = plain(answer.error, 120) or "refused"
        except (TimeoutError, ConnectionError):
            self._subscribed = None  # lost meanwhile, or no answer: once more at the next look
            return
        for symbol in refused.keys() - self._refused.keys():
            self._tell(symbol, f"the gateway gives no quotes for the dollar index: {refused[symbol]}")
        self._refused = refused

    # -------------------------------------------------------------------------------------------------------- folding
    def on_filled(self, contract: ContractFeed, bars: Bars) -> None:
        """History of a contract: the closes of its minutes stand for their last quotes."""
        number = contract.product.contract_id
        if number not in self._closes:
            return
        self._drain()  # or a mark of a new month that is still in the ring would wipe them out
        closes, bars = self._closes[number], bars[-self._kept :]
        for start_ns, close in zip(bars["start_ns"].tolist(), bars["close"].tolist(), strict=True):
            closes[start_ns] = (start_ns + NS_PER_MIN - 1, close, close)
        self._closes[number] = {start: closes[start] for start in sorted(closes)[-self._kept :]}
        self._again = True

    def look(self, now_ns: int, boundary_ns: int, due_ns: int) -> None:
        """Tell the minutes before `boundary_ns`, which are over. Call it at each boundary plus grace, or more often.

        A minute is told as of `due_ns`, its end plus grace, in front of the CLOCK record of that time: whoever decides
        by that sees what a backtest sees.
        """
        try:
            self._look(now_ns, boundary_ns, due_ns)
        except Exception as error:  # a bug of ours must not cost the run its market data: it is shown, and made anew
            self.errors[type(error).__name__] += 1
            self._index, self._again = None, True

    def _look(self, now_ns: int, boundary_ns: int, due_ns: int) -> None:
        self._drain()
        rows = self._take_over(boundary_ns)
        self._boundary_ns = boundary_ns
        closes: list[MinuteClose] = []
        if self._again and self._history_is_there():
            self._again = False
            self._index = DollarIndex(self._settings, self._traded)
            rows = [(*last, number) for number, minutes in self._closes.items() for last in minutes.values()]
        if self._index is not None and rows:
            closes = [*self._index.push(_quotes(rows)), *self._index.end_minute()]
        if closes:
            self._told = closes[-1]
            self._owed = set(self._traded)
            now_ns = due_ns if self._told.end_ns == boundary_ns else now_ns
        for number in self._owed:
            if self._told is not None:
                write(self._traded[number], Told(now_ns, number, self._told.of(number).record()), now_ns)
        self._owed.clear()

    def tell_again(self) -> None:
        """Somebody came anew: the next look tells the newest minute once more."""
        self._owed = set(self._traded)

    def _history_is_there(self) -> bool:
        """Nothing is on its way any more, or it was waited for long enough."""
        followed = [*self._traded.values(), *self.legs.values()]
        waiting = any(contract.request is not None or not contract.last_good_ns for contract in followed)
        return not waiting or boot_ns() - self._asked_boot_ns > HISTORY_PATIENCE_NS

    def _drain(self) -> None:
        """Everything that came since the last time, reduced to the last good quote of each minute."""
        for number, reader in self._readers.items():
            while count := reader.read(self._out):
                self._take(number, self._out[:count])

    def _take(self, number: int, ticks: Ticks) -> None:
        rolls = np.flatnonzero((ticks["kind"] == Kind.GAP) & (ticks["aux"] == NEW_CONTRACT))
        if len(rolls):  # its history is asked for, and the index made anew of it
            ticks = ticks[rolls[-1] :]
            self._closes[number].clear()
            self._open[number].clear()
            self._index, self._again, self._asked_boot_ns = None, True, boot_ns()
        ticks = ticks[good_quotes(ticks)]
        if not len(ticks):
            return
        # A quote that comes after its minute was told counts in the one that is open.
        starts = np.maximum(ticks["exch_ns"] // NS_PER_MIN * NS_PER_MIN, self._boundary_ns)
        last = np.append(np.flatnonzero(np.diff(starts)), len(ticks) - 1)
        for start, row in zip(starts[last].tolist(), ticks[last], strict=True):
            self._open[number][start] = (max(int(row["exch_ns"]), start), int(row["price"]), int(row["price2"]))

    def _take_over(self, boundary_ns: int) -> list[tuple[int, int, int, int]]:
        """Quotes of the minutes that are over now, with their contracts."""
        rows = []
        for number, minutes in self._open.items():
            closes = self._closes[number]
            for start in [start for start in minutes if start < boundary_ns]:
                closes[start] = minutes.pop(start)
                rows.append((*closes[start], number))
            while len(closes) > self._kept:
                del closes[next(iter(closes))]
        return rows

    # --------------------------------------------------------------------------------------------------------- status
    def status(self, now_ns: int) -> dict[str, Any]:
        """What the status file shows."""
        told = self._told
        state = None if told is None else told.state
        stale = state is None or state.stale or now_ns - state.minute_ns > MAX_AGE_NS
        shares = {} if told is None else told.correlations
        return {
            "filter": self._settings.filter,
            "stale_policy": self._settings.stale,
            "index": None if state is None else state.index / INDEX_SCALE,
            "trend": None if state is None else TREND_WORDS[state.trend],
            "age_s": None if state is None else max(0, (now_ns - state.minute_ns) // NS_PER_S),
            "stale": stale,
            "problem": self._problem(now_ns) if stale else "",
            "errors": dict(self.errors),
            "correlation": {
                contract.symbol: _share(shares.get(number))
                for number, contract in self._traded.items()
            },
            "legs": {symbol: self._leg_status(symbol, now_ns) for symbol in LEGS},
        }

    def _leg_status(self, symbol: str, now_ns: int) -> dict[str, Any]:
        number = PRODUCTS[symbol].contract_id
        contract = self._traded.get(number) or self.legs.get(number)
        quote_ns = self._quote_ns(number)
        return {
            "broker_id": "" if contract is None else contract.broker_id,
            "age_s": None if quote_ns is None else max(0, (now_ns - quote_ns) // NS_PER_S),
            "problem": self._missing.get(symbol, "") or self._refused.get(symbol, ""),
        }

    def _quote_ns(self, number: int) -> int | None:
        """Exchange time of the newest price of a contract."""
        for minutes in (self._open.get(number), self._closes.get(number)):
            if minutes:
                return next(reversed(minutes.values()))[0]
        return None

    def _problem(self, now_ns: int) -> str:
        """Why there is no index now, in one sentence; "" when nothing is wrong with any part of it."""
        absent = [symbol for symbol in LEGS if symbol in self._missing and not self._is_fed(symbol)]
        if absent:
            return f"the gateway lists no {', '.join(absent)} for it ({self._missing[absent[0]]})"
        if self._refused:
            symbol = next(iter(self._refused))
            return f"the gateway gives this account no quotes of {', '.join(self._refused)} ({self._refused[symbol]})"
        if self._index is None:
            return "history for it is on its way"
        old_ns = {symbol: self._quote_ns(PRODUCTS[symbol].contract_id) for symbol in LEGS}
        limit_ns = now_ns - self._settings.stale_s * NS_PER_S
        silent = [symbol for symbol, at_ns in old_ns.items() if at_ns is None or at_ns < limit_ns]
        return f"no quotes of {', '.join(silent)} for {self._settings.stale_s} s" if silent else ""

    def _is_fed(self, symbol: str) -> bool:
        number = PRODUCTS[symbol].contract_id
        return number in self._traded or number in self.legs

    def close(self) -> None:
        """Let go of the rings: before the contracts do."""
        for reader in self._readers.values():
            reader.close()
        for leg in self.legs.values():
            leg.close()


def _share(value: float | None) -> float | None:
    return None if value is None else round(value * CORRELATION_SCALE) / CORRELATION_SCALE


def _quotes(rows: Iterable[tuple[int, int, int, int]]) -> Ticks:
    """As records in order of exchange time."""
    ordered = sorted(rows, key=lambda row: (row[0], row[3]))
    ticks = np.zeros(len(ordered), TICK_DTYPE)
    for place, name in enumerate(("exch_ns", "price", "price2", "contract_id")):
        ticks[name] = [row[place] for row in ordered]
    ticks["kind"], ticks["volume"] = Kind.QUOTE, -1
    return ticks
