"""Feed process: market hub to rings. The only writer of the rings while it lives.

Frames become ticks in the hub's callback, with every number checked by the codec; nothing is queued in between. History
is downloaded beside it. A worker hears of time through CLOCK records only: one at every minute boundary plus grace when
no later trade has closed the minute already.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.messages import TokenGrant, TokenRequest
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S, bar_start_ns
from tbot.engine.backfill import HistorySegment, Request, announce, download, gap_request, start_request
from tbot.engine.child import ChildContext
from tbot.engine.clocks import RunClock, WallClock, boot_ns
from tbot.engine.gateway_link import read_sim_clock
from tbot.engine.health import Beat, Hops, make_wire
from tbot.engine.settings import EngineSettings
from tbot.errors import ProtocolError
from tbot.gateway.codec_market import (
    LOGOUT_TARGET,
    MAX_FUTURE_NS,
    MAX_PAST_NS,
    MarketDecoder,
    market_subscriptions,
)
from tbot.gateway.hub import HubClient, HubDown
from tbot.gateway.rest import RestClient
from tbot.gateway.signalr import Invocation
from tbot.transport import sockets
from tbot.transport.shm import Segment
from tbot_ext.records import BAR_DTYPE, NO_PRICE, Kind
from tbot_ext.ring import RingWriter

GRACE_NS = 250_000_000  # smc.md section 1: a quiet market still closes its bar
TOKEN_LOOK_S = 0.05  # while there is none
TOKEN_RENEW_S = 5.0
HISTORY_RETRY_S = 2.0
CLOCK_LOOK_S = 0.2  # while a simulated market has not started

TRADE, CLOCK = int(Kind.TRADE), int(Kind.CLOCK)


@dataclass
class ContractFeed:
    """One contract's ring, history segment and what is still to be fetched for it."""

    symbol: str
    product: Product
    broker_id: str
    writer: RingWriter
    history: HistorySegment
    request: Request | None = None
    fetching: bool = False
    last_trade_ns: int = 0
    last_good_ns: int = 0  # start of the newest minute that history or whole ticks cover
    last_recv_boot_ns: int = 0
    gaps: int = 0
    clocked_ns: int = 0  # market minute of the last CLOCK record
    segments: list[Segment] = field(default_factory=list)


class Feed:
    """All contracts of a run on one market-hub connection."""

    def __init__(self, settings: EngineSettings, context: ChildContext) -> None:
        assert settings.gateway is not None
        self._settings = settings
        self._gateway = settings.gateway
        self._context = context
        self._wire = make_wire(settings, context)
        self._beat = Beat(settings, context, self._wire)
        self._executor = sockets.dealer(settings.socket("executor"), b"feed")
        self._rest = RestClient(self._gateway.rest_url)
        self._hops = Hops("frame_ring")
        self._clock: RunClock | None = None if self._gateway.simulated else WallClock()
        self._held_ns = 0  # market time at which a simulated market stands until it starts
        self._contracts: dict[int, ContractFeed] = {}
        self._decoder: MarketDecoder | None = None
        self._hub: HubClient | None = None
        self._ever_connected = False
        self._reconnections = 0
        self._rate_boot_ns = boot_ns()
        self._rate_ticks: dict[str, int] = {}
        self._token_revision = 0
        self._broker_ids: dict[str, str] = {}

    async def run(self) -> None:
        """Until told to stop."""
        reporter = asyncio.create_task(self._report_loop())
        grants = asyncio.create_task(self._token_loop())
        try:
            while not self._broker_ids and not self._context.stop.is_set():
                await asyncio.sleep(TOKEN_LOOK_S)
            if not self._context.stop.is_set():
                await self._read_clock()
                self._open_contracts()
                await self._run_hub()
        finally:
            for task in (reporter, grants):
                task.cancel()
            await asyncio.gather(reporter, grants, return_exceptions=True)
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
                self._broker_ids[symbol],
                RingWriter(ring.buf),
                HistorySegment(bars.array(BAR_DTYPE)),
                segments=[ring, bars],
            )
        stretch = max(1.0, self._clock.speed if self._clock else 1.0)
        self._decoder = MarketDecoder(
            {contract.broker_id: contract.product for contract in self._contracts.values()},
            max_future_ns=int(MAX_FUTURE_NS * stretch),
            max_past_ns=MAX_PAST_NS,
        )

    async def _run_hub(self) -> None:
        broker_ids = [contract.broker_id for contract in self._contracts.values()]
        self._hub = HubClient(
            self._gateway.market_hub,
            token=self._token,
            subscriptions=market_subscriptions(broker_ids),
            on_record=self._on_record,
            on_connected=self._on_connected,
            on_down=self._on_down,
            recv_clock=time.time_ns,
        )
        tasks = [asyncio.create_task(loop()) for loop in (self._hub.run, self._history_loop, self._clock_loop)]
        while not self._context.stop.is_set() and not tasks[0].done():
            await asyncio.sleep(0.1)
        self._hub.stop()
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------------------------- token
    async def _token(self, refused: bool) -> str | None:
        token = self._rest.tokens.current()
        return token.text if token is not None else None

    async def _token_loop(self) -> None:
        """Ask the executor for a newer token: often while there is none, every few seconds later."""
        while True:
            self._executor.send(self._wire.encode(TokenRequest(self._token_revision)))
            await asyncio.sleep(TOKEN_LOOK_S)
            for _, data in self._executor.drain():
                try:
                    message = self._wire.decode(data)
                except ProtocolError:
                    continue
                if isinstance(message, TokenGrant) and message.revision > self._token_revision:
                    self._rest.tokens.adopt(message.token, message.revision)
                    self._token_revision = message.revision
                    self._broker_ids = message.contracts
            if self._token_revision:
                await asyncio.sleep(TOKEN_RENEW_S)

    # ------------------------------------------------------------------------------------------------------- ticks
    def _on_record(self, event: Invocation, recv_ns: int) -> bool:
        """One hub event into the ring. Runs in the read loop: no wait, no allocation that grows."""
        decoder = self._decoder
        assert decoder is not None
        if event.target == LOGOUT_TARGET:
            self._beat.event(self._now_ns(), "FEED", "", "the gateway says the session was taken over")
            return True
        batch = decoder.decode(event, recv_ns, self._now_ns())
        if batch is None:
            return True
        contract_id, ticks = batch
        contract = self._contracts[contract_id]
        push = contract.writer.push
        for tick in ticks:
            push(*tick)
        last = ticks[-1]
        if last[0] == TRADE and last[1] > contract.last_trade_ns:
            contract.last_trade_ns = last[1]
        contract.last_recv_boot_ns = boot_ns()
        self._hops.record("frame_ring", time.time_ns() - recv_ns)
        return True

    def _now_ns(self) -> int:
        return self._clock.now_ns() if self._clock is not None else self._held_ns

    async def _read_clock(self) -> None:
        """Market clock of a simulated gateway; while it stands still, the time at which it stands."""
        if self._clock is None:
            self._clock, self._held_ns = await asyncio.to_thread(read_sim_clock, self._rest)

    def _on_connected(self) -> None:
        """Every subscription was accepted: decide what history is missing."""
        now_ns = self._now_ns()
        if self._ever_connected:
            self._reconnections += 1
        for contract in self._contracts.values():
            if self._clock is not None:
                contract.request = self._missing(contract, now_ns)
        if self._clock is None:
            asyncio.get_running_loop().create_task(self._await_clock())
        self._ever_connected = True
        self._beat.event(now_ns, "FEED", "", f"market hub connected, {len(self._contracts)} contracts subscribed")

    async def _await_clock(self) -> None:
        """A tape starts with its first subscription: read the clock until it runs."""
        while self._clock is None and not self._context.stop.is_set():
            await self._read_clock()
            if self._clock is None:
                await asyncio.sleep(CLOCK_LOOK_S)
        assert self._decoder is not None
        for contract in self._contracts.values():
            contract.request = self._missing(contract, self._now_ns())

    def _missing(self, contract: ContractFeed, now_ns: int) -> Request:
        if contract.last_good_ns:
            return gap_request(now_ns, contract.last_good_ns)
        return start_request(now_ns, self._settings.history_days)

    def _on_down(self, down: HubDown) -> None:
        """The connection is gone: mark the gap, forget what "unchanged" means."""
        now_ns = self._now_ns()
        assert self._decoder is not None
        self._decoder.on_reconnect()
        if down.was_connected:
            for contract in self._contracts.values():
                contract.gaps += 1
                contract.request = None
                contract.writer.gap(now_ns, time.time_ns())
        text = f"market hub lost ({down.reason}); attempt {down.attempt} in {down.delay_s:.1f} s"
        self._beat.event(now_ns, "FEED", "", text)

    # ----------------------------------------------------------------------------------------------------- history
    async def _history_loop(self) -> None:
        """Fetch what is due, one contract at a time: the history budget is 50 requests in 30 s."""
        while True:
            await asyncio.sleep(0.02)
            self._take_control()
            if self._clock is None:
                continue
            now_ns = self._clock.now_ns()
            for contract in self._contracts.values():
                request = contract.request
                if request is not None and now_ns >= request.due_ns:
                    await self._fetch(contract, request)

    async def _fetch(self, contract: ContractFeed, request: Request) -> None:
        bars, problem = await asyncio.to_thread(
            download, self._rest, contract.broker_id, contract.product, request
        )
        if contract.request is not request:
            return  # the connection was lost meanwhile: another stretch is needed now
        if bars is None:
            self._beat.event(self._now_ns(), "FEED", contract.symbol, f"history not available: {problem}")
            await asyncio.sleep(HISTORY_RETRY_S)
            return
        contract.request = None
        position = contract.history.put(bars)
        announce(contract.writer, position, request.through_ns, time.time_ns())
        if len(bars):
            assert self._decoder is not None
            self._decoder.seed(contract.broker_id, int(bars["close"][-1]))
            contract.last_good_ns = int(bars["start_ns"][-1])

    def _take_control(self) -> None:
        """A restarted worker has nothing: give its contract the whole history again."""
        while self._context.control.poll():
            message = self._context.control.recv()
            for contract in self._contracts.values():
                if message.get("verb") == "refill" and message.get("contract") == contract.symbol:
                    contract.request = start_request(self._now_ns(), self._settings.history_days)

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
            for contract in self._contracts.values():
                if contract.clocked_ns < boundary:
                    contract.clocked_ns = boundary
                    if contract.last_trade_ns < boundary:
                        contract.writer.push(CLOCK, boundary + grace_ns, time.time_ns(), NO_PRICE)
                    elif contract.request is None:
                        contract.last_good_ns = max(contract.last_good_ns, boundary - NS_PER_MIN)
            wait_ns = boundary + NS_PER_MIN + grace_ns - clock.now_ns()
            await asyncio.sleep(min(1.0, max(0.001, clock.real_s(wait_ns))))

    # ------------------------------------------------------------------------------------------------------ report
    async def _report_loop(self) -> None:
        while True:
            if self._beat.due():
                state = "OK" if self._hub is not None and self._hub.connected else "CONNECTING"
                self._beat.send(state, self._status() if self._beat.status_due() else None)
            await asyncio.sleep(0.05)

    def _status(self) -> dict[str, Any]:
        now = boot_ns()
        elapsed_s = max(1e-9, (now - self._rate_boot_ns) / NS_PER_S)
        contracts = {}
        for contract in self._contracts.values():
            ticks = contract.writer.written
            age = (now - contract.last_recv_boot_ns) / NS_PER_S if contract.last_recv_boot_ns else None
            contracts[contract.symbol] = {
                "ticks": ticks,
                "ticks_per_s": round((ticks - self._rate_ticks.get(contract.symbol, 0)) / elapsed_s, 1),
                "last_tick_age_s": None if age is None else round(age, 2),
                "gaps": contract.gaps,
            }
            self._rate_ticks[contract.symbol] = ticks
        self._rate_boot_ns = now
        counters: dict[str, int] = {}
        if self._hub is not None:
            counters.update(self._hub.counts)
        if self._decoder is not None:
            counters.update(self._decoder.counts)
        return {
            "contracts": contracts,
            "reconnections": self._reconnections,
            "counters": counters,
            "hops": self._hops.status(),
        }

    def close(self) -> None:
        """Last words, then let go of everything."""
        self._beat.send("STOPPED", self._status())
        for contract in self._contracts.values():
            contract.writer.close()
            del contract.history
            for segment in contract.segments:
                segment.close()
        self._rest.close()
        self._executor.close()
        self._beat.close()


def main(settings: EngineSettings, context: ChildContext) -> None:
    """Process entry point."""
    asyncio.run(Feed(settings, context).run())


