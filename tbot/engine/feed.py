"""Feed process: market hub to rings. The only writer of the rings while it lives.

Frames become ticks in the hub's callback, with every number checked by the codec; nothing is queued in between. History
is downloaded beside it. A worker hears of time through CLOCK records only: one at every minute boundary plus grace when
no later trade has closed the minute already.
"""

import asyncio
import time
from typing import Any

from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S, bar_start_ns
from tbot.domain.trading_hours import SessionCalendar
from tbot.engine.backfill import Bars, HistorySegment, gap_request, start_request
from tbot.engine.bulk_ticks import bulk_ticks
from tbot.engine.child import ChildContext
from tbot.engine.clocks import RunClock, SimulatedClock, WallClock, boot_ns
from tbot.engine.context_feed import LOOK_S, NewsFeed
from tbot.engine.contract_feed import ContractFeed
from tbot.engine.dollar_feed import DollarFeed
from tbot.engine.feed_clock import FeedClock
from tbot.engine.feed_voice import FeedVoice
from tbot.engine.feed_watch import FeedWatch
from tbot.engine.gateway_link import read_sim_clock
from tbot.engine.health import Beat, Hops, make_wire
from tbot.engine.history_filler import HistoryFiller
from tbot.engine.market_clock import compare, stands_still
from tbot.engine.settings import EngineSettings
from tbot.engine.watchdog import SILENT_NS
from tbot.gateway.codec_market import (
    DEPTH_TARGET,
    LOGOUT_TARGET,
    MAX_FUTURE_NS,
    MAX_PAST_NS,
    QUOTE_TARGET,
    TRADE_TARGET,
    MarketDecoder,
)
from tbot.gateway.hub import HubDown
from tbot.gateway.hub_sockets import fastest
from tbot.gateway.market_hub import MarketHub
from tbot.gateway.rest import RestClient
from tbot.gateway.signalr import Invocation
from tbot.transport.shm import Segment
from tbot_ext.records import BAR_DTYPE, NO_PRICE, Kind
from tbot_ext.ring import RingWriter

GRACE_NS = 250_000_000  # smc.md section 1: a quiet market still closes its bar
START_LOOK_S = 0.05  # while there is no token
CLOCK_LOOK_S = 0.2  # while a simulated market has not started
LOGOUT_PAUSE_S = 5.0  # before the next connection after the session was taken over: grows by this each time
MAX_LOGOUT_PAUSE_S = 300.0
LOGOUT_MEMORY_NS = 1800 * NS_PER_S  # a fight for the session comes with data between the logouts: only peace ends it
GOODBYES = 3  # Close records without allowReconnect in a row: a person must know

MAX_UNKNOWN = 16  # names of unknown events that are told
KNOWN_TARGETS = frozenset({QUOTE_TARGET, TRADE_TARGET, DEPTH_TARGET})
WATCH_S = 1.0  # between looks at silence and token
STOP_LOOK_S = 0.2
HISTORY_LOOK_S = 0.02  # while history is missing somewhere
HISTORY_CALM_S = 0.1

CLOCK = int(Kind.CLOCK)


class Feed:
    """All contracts of a run on one market-hub connection."""

    def __init__(self, settings: EngineSettings, context: ChildContext) -> None:
        assert settings.gateway is not None
        self._settings = settings
        self._gateway = settings.gateway
        self._context = context
        wire = make_wire(settings, context)
        self._beat = Beat(settings, context, wire)
        self._rest = RestClient(self._gateway.rest_url)
        self._voice = FeedVoice(settings, wire, self._rest.tokens)
        self._calendar = SessionCalendar(settings.sessions, template_ok=True)
        self._filler = HistoryFiller(self._rest, self._calendar.is_open, self._tell, self._on_filled)
        self._news: NewsFeed | None = None
        if settings.news_home is not None:
            self._news = NewsFeed(settings.news, settings.news_home, settings.fetch_news)
        self._hops = Hops("frame_ring")
        self._clock: RunClock | None = None if self._gateway.simulated else WallClock()
        self._time = FeedClock(self._rest)
        self._clock_trouble = ""  # why the gateway's clock is not ours any more
        self._held_ns = 0  # market time at which a simulated market stands until it starts
        self._contracts: dict[int, ContractFeed] = {}  # that are traded
        self._fed: dict[int, ContractFeed] = {}  # those, and the futures of the dollar index
        self._dollar: DollarFeed | None = None
        if settings.strategy.dollar.followed:
            self._dollar = DollarFeed(settings.strategy.dollar, self._tell, self._forget)
        self._decoder: MarketDecoder | None = None
        self._hub: MarketHub | None = None
        self._watch: FeedWatch | None = None
        self._down: HubDown | None = None  # why there is no connection
        self._goodbyes = 0
        self._logouts = 0
        self._logouts_in_a_row = 0
        self._logout_boot_ns = 0
        self._connects = 0
        self._tasks: set[asyncio.Task[None]] = set()  # started by events
        self._unknown: set[str] = set()  # events that were told as unknown
        self._rate_boot_ns = boot_ns()
        self._rate_ticks: dict[str, int] = {}

    async def run(self) -> None:
        """Until told to stop."""
        loops = [asyncio.create_task(loop()) for loop in (self._report_loop, self._voice_loop)]
        try:
            while not self._voice.contracts and not self._context.stop.is_set():
                await asyncio.sleep(START_LOOK_S)
            if not self._context.stop.is_set():
                await self._read_clock()
                self._open_contracts()
                await self._run_hub()
        finally:
            for task in (*loops, *self._tasks):
                task.cancel()
            await asyncio.gather(*loops, *self._tasks, return_exceptions=True)
            self.close()

    def _open_contracts(self) -> None:
        settings = self._settings
        for symbol in settings.symbols:
            product = PRODUCTS[symbol]
            ring = Segment.attach(settings.run_dir, settings.ring_name(symbol))
            bars = Segment.attach(settings.run_dir, settings.history_name(symbol))
            self._contracts[product.contract_id] = ContractFeed(
                symbol,
                product,
                self._voice.contracts[symbol],
                RingWriter(ring.buf),
                HistorySegment(bars.array(BAR_DTYPE)),
                segments=[ring, bars],
            )
        for contract in self._contracts.values():
            if contract.writer.written > 1:  # a feed before us died; the month may have changed since (I29)
                contract.begin_anew(self._now_ns(), time.time_ns())
        self._voice.take_contracts()
        self._fed = dict(self._contracts)
        if self._dollar is not None:
            self._dollar.open(self._contracts, self._voice.legs, self._voice.missing_legs)
            self._fed.update(self._dollar.legs)
        stretch = max(1.0, self._clock.speed if self._clock else 1.0)
        self._decoder = MarketDecoder(
            self._decoded(), max_future_ns=int(MAX_FUTURE_NS * stretch), max_past_ns=MAX_PAST_NS
        )

    def _decoded(self) -> dict[str, Product]:
        return {contract.broker_id: contract.product for contract in self._fed.values()}

    def _subscribed(self) -> list[str]:
        return [contract.broker_id for contract in self._contracts.values()]

    async def _run_hub(self) -> None:
        self._hub = MarketHub(
            self._gateway.market_hub,
            self._subscribed(),
            token=self._voice.token,
            on_record=self._on_record,
            on_bulk=self._on_bulk,
            on_connected=self._on_connected,
            on_down=self._on_down,
            recv_clock=time.time_ns,
            opener=fastest(),
        )
        self._watch = FeedWatch(self._hub, self._rest, self._calendar, self._voice, self._tell, self._on_gap)
        loops = (self._hub.run, self._history_loop, self._clock_loop, self._watch_loop, self._news_loop)
        tasks = [asyncio.create_task(loop()) for loop in loops]
        ended: set[Any] = set()
        while not self._context.stop.is_set() and not ended:
            ended, _ = await asyncio.wait(tasks, timeout=STOP_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        self._hub.stop()
        for task in tasks[1:]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):  # a loop that died in silence would be worse than a restart
                raise outcome

    def _tell(self, contract: str, text: str) -> None:
        self._beat.event(self._now_ns(), "FEED", contract, text)

    def _forget(self, broker_id: str) -> None:
        assert self._decoder is not None
        self._decoder.on_gap(broker_id)

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---------------------------------------------------------------------------------------------------- executor
    async def _voice_loop(self) -> None:
        while True:
            self._voice.say(connects=self._connects, logouts=self._logouts)
            await asyncio.sleep(self._voice.pause_s)
            self._voice.listen()
            if self._contracts and self._voice.contracts_changed:
                self._roll(self._voice.take_contracts())

    def _roll(self, contracts: dict[str, str]) -> None:
        """Other delivery months: a marked gap, new history, new subscriptions; the old month is left (F-TIM-07)."""
        now_ns = self._now_ns()
        for contract in self._contracts.values():
            new = contracts.get(contract.symbol, contract.broker_id)
            if new != contract.broker_id:
                self._tell(contract.symbol, f"rolled from {contract.broker_id} to {new}: bars and zones begin anew")
                contract.roll(new, now_ns, time.time_ns())
        assert self._decoder is not None
        assert self._hub is not None
        if self._dollar is not None:
            self._dollar.adopt(self._voice.legs, self._voice.missing_legs, now_ns)
            self._fed.update(self._dollar.legs)
        self._decoder.set_contracts(self._decoded())  # what still comes of the old month is dropped and counted
        self._later(self._change_contracts(self._subscribed()))

    async def _change_contracts(self, broker_ids: list[str]) -> None:
        assert self._hub is not None
        if not await self._hub.change_contracts(broker_ids):
            self._hub.reconnect("the new contracts could not be subscribed")
            return
        for contract in self._fed.values():
            if contract.request is None and not contract.last_good_ns and self._clock is not None:
                contract.ask(start_request(self._now_ns(), self._settings.history_days))

    # ------------------------------------------------------------------------------------------------------- ticks
    def _on_record(self, event: Invocation, recv_ns: int) -> bool:
        """One hub event into the ring. Runs in the read loop: no wait, no allocation that grows."""
        decoder = self._decoder
        assert decoder is not None
        if event.target == LOGOUT_TARGET:
            self._taken_over()
            return True
        batch = decoder.decode(event, recv_ns, self._now_ns())
        if batch is None:
            if event.target not in KNOWN_TARGETS:
                self._note_unknown(event.target)
            return not decoder.spoiled()
        contract_id, ticks = batch
        self._fed[contract_id].take(ticks, boot_ns())
        self._goodbyes = 0
        self._hops.record("frame_ring", time.time_ns() - recv_ns)
        return True

    def _on_bulk(self, data: bytes, at: int, recv_ns: int) -> tuple[int, int]:
        """As many whole quotes and trades as the scanner knows, into their rings."""
        assert self._decoder is not None
        end, records = bulk_ticks(self._decoder, self._fed, data, at, recv_ns, self._now_ns())
        if records:
            self._goodbyes = 0
            self._hops.record("frame_ring", time.time_ns() - recv_ns, records)
        return end, records

    def _note_unknown(self, target: str) -> None:
        """The gateway has learned something new: said once for each name, for a few names."""
        if target not in self._unknown and len(self._unknown) < MAX_UNKNOWN:
            self._unknown.add(target)
            self._tell("", f"the gateway sends an event that this version does not know: {target[:40]!r}")

    def _taken_over(self) -> None:
        """Somebody else uses this login (F-NET-09): longer pauses each time, or two programs fight for ever."""
        assert self._hub is not None
        now_boot_ns = boot_ns()
        if now_boot_ns - self._logout_boot_ns > LOGOUT_MEMORY_NS:
            self._logouts_in_a_row = 0
        self._logout_boot_ns = now_boot_ns
        self._logouts += 1
        self._logouts_in_a_row += 1
        pause_s = min(MAX_LOGOUT_PAUSE_S, LOGOUT_PAUSE_S * self._logouts_in_a_row)
        self._tell("", "the gateway says the session was taken over")
        self._hub.reconnect("session taken over", pause_s)

    def _now_ns(self) -> int:
        return self._clock.now_ns() if self._clock is not None else self._held_ns

    # -------------------------------------------------------------------------------------------------- connection
    def _on_connected(self) -> None:
        """Every subscription was accepted: decide what history is missing."""
        self._connects += 1
        self._down = None
        assert self._watch is not None
        self._watch.connected(boot_ns())
        self._ask_for_history()
        if self._gateway.simulated:
            self._later(self._await_clock())
        self._tell("", f"market hub connected, {len(self._contracts)} contracts subscribed")

    def _ask_for_history(self) -> None:
        if self._clock is not None:
            for contract in self._fed.values():
                self._ask_for(contract)

    def _ask_for(self, contract: ContractFeed) -> None:
        now_ns = self._now_ns()
        if contract.last_good_ns:
            contract.ask(gap_request(now_ns, contract.last_good_ns))
        else:
            contract.ask(start_request(now_ns, self._settings.history_days))

    def _on_gap(self, contract: ContractFeed) -> None:
        """Data of one contract is missing while the connection stands."""
        assert self._decoder is not None
        self._decoder.on_gap(contract.broker_id)
        contract.gap(self._now_ns(), time.time_ns())
        self._ask_for(contract)

    async def _read_clock(self) -> None:
        """Market clock of a simulated gateway; while it stands still, the time at which it stands."""
        if self._clock is None:
            self._clock, self._held_ns = await asyncio.to_thread(read_sim_clock, self._rest)

    async def _await_clock(self) -> None:
        """A tape starts with its first subscription; after a reconnection it may be another run of the gateway."""
        if self._clock is not None:
            fresh, held_ns = await asyncio.to_thread(read_sim_clock, self._rest)
            if fresh is None and not held_ns:
                return  # not readable now; the executor looks, too
            verdict = stands_still(self._clock, held_ns) if fresh is None else compare(self._clock, fresh)
            if verdict == "adopt" and fresh is not None:
                assert isinstance(self._clock, SimulatedClock)
                self._clock.adopt(fresh)
                self._ask_for_history()
            elif verdict and verdict != "adopt" and verdict != self._clock_trouble:
                self._tell("", verdict)
            self._clock_trouble = "" if verdict == "adopt" else verdict
            return
        while self._clock is None and not self._context.stop.is_set():
            await self._read_clock()
            if self._clock is None:
                await asyncio.sleep(CLOCK_LOOK_S)
        self._ask_for_history()

    def _on_down(self, down: HubDown) -> None:
        """The connection is gone: mark the gap, forget what "unchanged" means."""
        now_ns = self._now_ns()
        assert self._decoder is not None
        assert self._watch is not None
        self._decoder.on_reconnect()
        self._watch.lost()
        self._down = down
        self._goodbyes = down.goodbyes
        for contract in self._fed.values():
            contract.lost(down.was_connected, now_ns, time.time_ns())
        self._tell("", f"market hub lost ({down.reason}); attempt {down.attempt} in {down.delay_s:.1f} s")

    # ----------------------------------------------------------------------------------------------------- history
    async def _history_loop(self) -> None:
        while True:
            waiting = any(contract.request or not contract.last_good_ns for contract in self._contracts.values())
            await asyncio.sleep(HISTORY_LOOK_S if waiting else HISTORY_CALM_S)
            self._take_control()
            if self._clock is not None:
                await self._filler.look(list(self._fed.values()), self._clock.now_ns())

    def _on_filled(self, contract: ContractFeed, bars: Bars) -> None:
        if self._dollar is not None:
            self._dollar.on_filled(contract, bars)
        if len(bars):
            assert self._decoder is not None
            self._decoder.seed(contract.broker_id, int(bars["close"][-1]))

    def _take_control(self) -> None:
        """A restarted or lapped worker has holes: give its contract the whole history again."""
        while self._context.control.poll():
            message = self._context.control.recv()
            if self._news is not None:
                self._news.tell_again()  # or it might trade for a minute as if there were none
            if self._dollar is not None:
                self._dollar.tell_again()
            for contract in self._contracts.values():
                if message.get("verb") == "refill" and message.get("contract") == contract.symbol:
                    now_ns = self._now_ns()
                    if contract.began_anew:  # it may have missed that word: history must not go on old bars
                        contract.begin_anew(now_ns, time.time_ns())
                    contract.ask(start_request(now_ns, self._settings.history_days))

    # ------------------------------------------------------------------------------------------------------- clock
    async def _clock_loop(self) -> None:
        """CLOCK records at each minute boundary plus grace for contracts whose minute nothing has closed."""
        while True:
            clock = self._clock
            if clock is None:
                await asyncio.sleep(CLOCK_LOOK_S)
                continue
            # Grace is meant in real time: frames need it to travel, however fast market time runs.
            grace_ns = int(GRACE_NS * max(1.0, clock.speed))
            boundary = bar_start_ns(clock.now_ns() - grace_ns, 1)
            if self._dollar is not None:
                self._dollar.look(clock.now_ns(), boundary, boundary + grace_ns)
            for contract in self._contracts.values():
                if contract.clocked_ns < boundary:
                    contract.clocked_ns = boundary
                    if contract.last_trade_ns < boundary:
                        contract.writer.push(CLOCK, boundary + grace_ns, time.time_ns(), NO_PRICE)
                    elif contract.request is None:
                        contract.last_good_ns = max(contract.last_good_ns, boundary - NS_PER_MIN)
            if self._news is not None:
                self._news.look(clock.now_ns(), self._contracts.values())
            wait_ns = boundary + NS_PER_MIN + grace_ns - clock.now_ns()
            await asyncio.sleep(min(1.0, max(0.001, clock.real_s(wait_ns))))

    async def _news_loop(self) -> None:
        """Sources of news, read beside everything else."""
        while True:
            if self._news is not None and (said := await asyncio.to_thread(self._news.refresh)):
                self._tell("", said)
            await asyncio.sleep(LOOK_S)

    async def _watch_loop(self) -> None:
        """Silence of contracts, the token that the connection uses, and what else is to be subscribed."""
        assert self._watch is not None
        while True:
            await asyncio.sleep(WATCH_S)
            if self._clock is not None:
                slept = self._time.look(self._clock)
                if slept and self._hub is not None:
                    self._hub.reconnect(slept)
                self._watch.look(self._contracts, self._clock)
            if self._dollar is not None and self._hub is not None:
                self._later(self._dollar.keep_subscribed(self._hub, self._connects))

    # ------------------------------------------------------------------------------------------------------ report
    async def _report_loop(self) -> None:
        while True:
            if self._beat.due():
                self._beat.send(self._state(), self._status() if self._beat.status_due() else None)
            await asyncio.sleep(self._beat.due_in_ns() / NS_PER_S)

    def _state(self) -> str:
        return "OK" if self._hub is not None and self._hub.connected else "CONNECTING"

    def _alarms(self) -> list[dict[str, str]]:
        """What a person must look at, in words."""
        found = []
        if self._clock_trouble:
            found.append({"code": "RC_CLOCK", "text": self._clock_trouble})
        if self._goodbyes >= GOODBYES:
            text = f"the market hub said goodbye {self._goodbyes} times in a row without data between"
            found.append({"code": "RC_MKT_HUB", "text": text})
        if self._down is not None and self._connects:
            text = f"market hub: {self._down.reason}; attempt {self._down.attempt}"
            found.append({"code": "RC_MKT_HUB", "text": text})
        elif self._watch is not None and self._silent():
            found.append({"code": "RC_QUOTE_STALE", "text": "the market hub is connected, but no contract has data"})
        return found

    def _silent(self) -> bool:
        """Whether the market is open for some contract and not one of them has had data for 10 s (C_QUOTE_STALE)."""
        assert self._watch is not None
        states = self._watch.states.values()
        newest_ns = max((contract.last_recv_boot_ns for contract in self._contracts.values()), default=0)
        return "STALE" in states and "OK" not in states and boot_ns() - newest_ns >= SILENT_NS

    def _status(self) -> dict[str, Any]:
        now = boot_ns()
        elapsed_s = max(1e-9, (now - self._rate_boot_ns) / NS_PER_S)
        states = self._watch.states if self._watch is not None else {}
        contracts = {}
        for contract in self._contracts.values():
            ticks = contract.writer.written
            rate = (ticks - self._rate_ticks.get(contract.symbol, 0)) / elapsed_s
            contracts[contract.symbol] = contract.status(now, rate, states.get(contract.symbol, "STALE"))
            self._rate_ticks[contract.symbol] = ticks
        self._rate_boot_ns = now
        counters: dict[str, int] = {"logouts": self._logouts}
        if self._hub is not None:
            counters.update(self._hub.counts)
        if self._watch is not None:
            counters.update(self._watch.counts)
        if self._decoder is not None:
            counters.update(self._decoder.counts)
        return {
            "contracts": contracts,
            "reconnections": max(0, self._connects - 1),
            "counters": counters,
            "alarms": self._alarms(),
            "news": None if self._news is None else self._news.status(self._now_ns(), self._contracts.values()),
            "dxy": None if self._dollar is None else self._dollar.status(self._now_ns()),
            "hops": self._hops.status(),
        }

    def close(self) -> None:
        """Last words, then let go of everything."""
        self._beat.send("STOPPED", self._status())
        if self._dollar is not None:
            self._dollar.close()
        for contract in self._contracts.values():
            contract.close()
        self._rest.close()
        self._voice.close()
        self._beat.close()


def main(settings: EngineSettings, context: ChildContext) -> None:
    """Process entry point."""
    asyncio.run(Feed(settings, context).run())
