"""One contract of the feed: its ring, its history segment, and what is known and still to be fetched."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from tbot.domain.contracts import Product
from tbot.domain.timeframes import NS_PER_S, bar_start_ns
from tbot.engine.backfill import HistorySegment, HoleCheck, Request
from tbot.gateway.codec_market import TickTuple
from tbot.transport.shm import Segment
from tbot_ext.market_book import MarketBook
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import NO_PRICE, Kind
from tbot_ext.ring import RingWriter

TRADE, GAP = int(Kind.TRADE), int(Kind.GAP)
MINUTES_KEPT = 3_000  # of which it is known that ticks came: two trading days


class TickWriter(Protocol):
    """Where ticks go: a ring, or the pen of a recording."""

    @property
    def written(self) -> int: ...

    def push(
        self,
        kind: int,
        exch_ns: int,
        recv_ns: int,
        price: int,
        price2: int = 0,
        size: int = 0,
        aux: int = 0,
        volume: int = -1,
        side: int = 0,
        flags: int = 0,
    ) -> int: ...

    def gap(self, exch_ns: int, recv_ns: int) -> int: ...

    def close(self) -> None: ...


@dataclass
class ContractFeed:
    """The only writer of the contract's ring. Times are market time unless the name says boot."""

    symbol: str
    product: Product
    broker_id: str
    writer: TickWriter
    history: HistorySegment | None
    segments: list[Segment] = field(default_factory=list)
    traded: bool = True  # else only the dollar index needs it
    request: Request | None = None  # history that is to be fetched
    check: HoleCheck | None = None  # answers to it so far
    look_boot_ns: int = 0  # not before this boot time
    hole: str = ""  # why the bar set is not whole, "" while it is
    holes: int = 0  # stretches given up: only what follows them is used
    last_trade_ns: int = 0
    last_data_ns: int = 0  # newest exchange time of anything
    last_good_ns: int = 0  # start of the newest minute that history or whole ticks cover
    last_recv_boot_ns: int = 0
    progress_boot_ns: int = 0  # when data newer than all before came: old news is no sign of life
    gaps: int = 0
    rolls: int = 0
    began_anew: bool = False  # readers were told at least once to forget what was
    unmarked: bool = False  # data came since the last gap mark
    clocked_ns: int = 0  # market minute of the last CLOCK record
    seen: dict[int, None] = field(default_factory=dict)  # minutes of which good prints came, in order of arrival

    def take(self, ticks: list[TickTuple], now_boot_ns: int) -> None:
        """Into the ring with the ticks of one event."""
        push = self.writer.push
        for tick in ticks:
            push(*tick)
        self.unmarked = True
        kind, exch_ns = ticks[-1][0], ticks[-1][1]
        self.last_recv_boot_ns = now_boot_ns
        if exch_ns > self.last_data_ns:
            self.last_data_ns = exch_ns
            self.progress_boot_ns = now_boot_ns
        if kind == TRADE:
            if exch_ns > self.last_trade_ns:
                self.last_trade_ns = exch_ns
            self._note_minutes(ticks)

    def take_waiting(self, book: MarketBook, now_boot_ns: int) -> None:
        """The same for the ticks that wait in a book: those of several events, with one wake-up for all."""
        assert isinstance(self.writer, RingWriter)
        book.write(self.writer)
        self.unmarked = True
        self.last_recv_boot_ns = now_boot_ns
        if book.data_ns > self.last_data_ns:
            self.last_data_ns = book.data_ns
            self.progress_boot_ns = now_boot_ns
        if book.trade_ns:
            self.last_trade_ns = max(self.last_trade_ns, book.trade_ns)
            for minute in book.minutes:
                self._note_minute(minute)

    def _note_minutes(self, ticks: list[TickTuple]) -> None:
        for tick in ticks:
            if not tick[9]:  # a suspect print may be missing in history for a good reason
                self._note_minute(bar_start_ns(tick[1], 1))

    def _note_minute(self, minute: int) -> None:
        seen = self.seen
        if minute not in seen:
            seen[minute] = None
            if len(seen) > MINUTES_KEPT:
                del seen[next(iter(seen))]

    def lost(self, was_connected: bool, now_ns: int, recv_ns: int) -> None:
        """A connection ended. Data may come before it counts as connected, so that alone says nothing."""
        if was_connected or self.unmarked:
            self.gap(now_ns, recv_ns)

    def gap(self, now_ns: int, recv_ns: int) -> None:
        """Data is missing from here on: what was asked for does not cover it."""
        self.gaps += 1
        self.unmarked = False
        self.drop_request()
        self.writer.gap(now_ns, recv_ns)

    def begin_anew(self, now_ns: int, recv_ns: int) -> None:
        """What follows has nothing to do with what was: readers forget bars and zones."""
        self.gap(now_ns, recv_ns)
        self.writer.push(GAP, now_ns, recv_ns, NO_PRICE, 0, 0, NEW_CONTRACT)
        self.last_good_ns = 0
        self.began_anew = True

    def roll(self, broker_id: str, now_ns: int, recv_ns: int) -> None:
        """Another delivery month from here on (I29)."""
        self.begin_anew(now_ns, recv_ns)
        self.rolls += 1
        self.broker_id = broker_id
        self.seen.clear()
        self.last_trade_ns = self.last_data_ns = 0

    def ask(self, request: Request) -> None:
        """History that is needed from now on."""
        self.drop_request()
        self.request = request

    def drop_request(self) -> None:
        self.request = self.check = None
        self.look_boot_ns = 0
        self.hole = ""

    def status(self, now_boot_ns: int, rate: float, source: str) -> dict[str, Any]:
        """What the status file shows; `rate`: ticks a second, `source`: what the watch thinks of it."""
        age = (now_boot_ns - self.last_recv_boot_ns) / NS_PER_S if self.last_recv_boot_ns else None
        return {
            "ticks": self.writer.written,
            "ticks_per_s": round(rate, 1),
            "last_tick_age_s": None if age is None else round(age, 2),
            "gaps": self.gaps,
            "source": source,
            "broker_id": self.broker_id,
            "hole": self.hole,
            "holes": self.holes,
            "rolls": self.rolls,
        }

    def close(self) -> None:
        """Let go of the shared memory."""
        self.writer.close()
        self.history = None  # a view of its segment
        for segment in self.segments:
            segment.close()
