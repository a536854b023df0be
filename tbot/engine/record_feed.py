"""The recording's own feed: market hub to tapes in one process, with its own login, no engine and no orders.

The same hub, decoder, watchdog and gap marks as the engine's feed; a pen stands where the ring is.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from tbot.domain.clock import MarketClock
from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.trading_hours import SessionCalendar, trading_day
from tbot.engine.clocks import NS_PER_S, RunClock, SimulatedClock, WallClock, boot_ns
from tbot.engine.contract_feed import ContractFeed
from tbot.engine.feed_clock import FeedClock
from tbot.engine.feed_watch import FeedWatch
from tbot.engine.gateway_link import BEFORE_OPEN_NS, LIST_RETRY_NS
from tbot.engine.recorder import TapeFiles, TickPen, take_rows
from tbot.errors import AuthError, ConfigError, GatewayError
from tbot.gateway.codec_domain import resolve
from tbot.gateway.codec_market import LOGOUT_TARGET, MAX_FUTURE_NS, MAX_PAST_NS, MarketDecoder
from tbot.gateway.hub import HubDown
from tbot.gateway.market_hub import MarketHub
from tbot.gateway.redact import Credentials
from tbot.gateway.rest import RestClient
from tbot.gateway.signalr import Invocation
from tbot.gateway.tokens import Token, TokenManager
from tbot.storage.sessions import load_sessions

WRITE_S = 0.05
LOOK_S = 1.0
LOGOUT_PAUSE_S = 30.0
YEAR_NS = 366 * 24 * 3600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """What is recorded, from where, into what."""

    rest_url: str
    market_hub: str
    simulated: bool
    symbols: tuple[str, ...]


class OwnTokens:
    """Tokens of a process that holds the credentials itself."""

    def __init__(self, tokens: TokenManager) -> None:
        self._tokens = tokens
        self.used: Token | None = None

    @property
    def newest(self) -> Token | None:
        return self._tokens.current()

    async def token(self, refused: bool) -> str | None:
        """For the hub, before each attempt."""
        if refused and self.used is not None:
            self._tokens.invalidate(self.used)
        self.used = self._tokens.current() or await asyncio.to_thread(self._tokens.get)
        return None if self.used is None else self.used.text


class RecordFeed:
    """Use: `await feed.prepare()`, then `await feed.run(files, stop)`, then `feed.close()`."""

    def __init__(self, settings: RecordSettings, credentials: Credentials, tell: Callable[[str, str], None]) -> None:
        """`tell(contract, line)`: what a person may want to know."""
        self._settings = settings
        self._rest = RestClient(settings.rest_url, credentials)
        self._tokens = OwnTokens(self._rest.tokens)
        self._tell = tell
        self._calendar = SessionCalendar(load_sessions(), template_ok=True)
        self._clock: RunClock = WallClock()
        self._time = FeedClock(self._rest)
        self._ended = False  # a simulated market came to the end of its tape
        self._rows: list[tuple[int, ...]] = []
        self._files: TapeFiles | None = None
        self._contracts: dict[int, ContractFeed] = {}
        self._decoder: MarketDecoder | None = None
        self._hub: MarketHub | None = None
        self._watch: FeedWatch | None = None
        self._listed_day: object = None
        self._list_boot_ns = 0  # no look at the list before this boot time
        self.months: dict[str, str] = {}  # symbol -> contract id that is recorded
        self.connects = 0
        self.reason = "not connected yet"  # why there is no connection

    @property
    def connected(self) -> bool:
        return self._hub is not None and self._hub.connected

    @property
    def counts(self) -> dict[str, int]:
        """Counters of hub, decoder and watchdog."""
        found: dict[str, int] = {}
        for source in (self._hub, self._decoder, self._watch):
            if source is not None:
                found.update(source.counts)
        return found

    async def prepare(self) -> None:
        """Log in, find the active months, read the clock. AuthError, ConfigError or GatewayError when it cannot be."""
        await asyncio.to_thread(self._find_contracts)
        if self._settings.simulated:
            await asyncio.to_thread(self._read_clock)

    def _find_contracts(self) -> None:
        answer = self._rest.contract_available()
        if self._rest.tokens.refused:
            raise AuthError(f"the gateway refused the login: {self._rest.tokens.refused}; check user name and key")
        if not answer.ok or answer.value is None:
            raise GatewayError(f"the gateway does not list its contracts ({answer.text or answer.outcome}); try again")
        found, missing = resolve(answer.value, self._settings.symbols)
        if missing and not self.months:
            reasons = "; ".join(f"{symbol}: {why}" for symbol, why in missing.items())
            raise ConfigError(f"contracts that cannot be recorded: {reasons}; leave them out with --contracts")
        self.months = {**self.months, **found}

    def _read_clock(self) -> None:
        """A market that has not started stands at its start; it is read again every second."""
        answer = self._rest.sim_clock()
        if answer.ok and answer.value is not None:
            reading = answer.value
            self._clock = SimulatedClock(MarketClock(reading.market_ns, reading.boot_ns, reading.speed))
            self._ended = reading.ended

    # --------------------------------------------------------------------------------------------------- recording
    async def run(self, files: TapeFiles, stop: asyncio.Event) -> str:
        """Record until `stop` is set ("stopped") or a simulated tape has ended ("the market has ended")."""
        self._files = files
        self._open()
        assert self._hub is not None
        loops = (self._hub.run, self._write_loop, self._watch_loop)
        tasks = [asyncio.create_task(loop()) for loop in loops]
        waiter = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait({*tasks, waiter}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {waiter}:
                task.result()  # raises what ended it
            return "stopped" if waiter in done else "the market has ended"
        finally:
            self._hub.stop()
            for task in (*tasks[1:], waiter):
                task.cancel()
            await asyncio.gather(*tasks, waiter, return_exceptions=True)
            self._write()

    def _open(self) -> None:
        for symbol in self._settings.symbols:
            product = PRODUCTS[symbol]
            pen = TickPen(product, self._rows)
            self._contracts[product.contract_id] = ContractFeed(symbol, product, self.months[symbol], pen, None)
        paced = self._clock.speed > 0
        stretch = max(1.0, self._clock.speed)
        self._decoder = MarketDecoder(
            self._subscribed(),
            # At speed max the clock is no function of real time, so a stamp proves nothing.
            max_future_ns=int(MAX_FUTURE_NS * stretch) if paced else YEAR_NS,
            max_past_ns=MAX_PAST_NS if paced else YEAR_NS,
        )
        self._hub = MarketHub(
            self._settings.market_hub,
            list(self._subscribed()),
            token=self._tokens.token,
            on_record=self._on_record,
            on_connected=self._on_connected,
            on_down=self._on_down,
            recv_clock=time.time_ns,
        )
        self._watch = FeedWatch(self._hub, self._rest, self._calendar, self._tokens, self._tell, self._on_gap)
        self._listed_day = trading_day(self._clock.now_ns() + BEFORE_OPEN_NS)

    def _subscribed(self) -> dict[str, Product]:
        return {contract.broker_id: contract.product for contract in self._contracts.values()}

    def _on_record(self, event: Invocation, recv_ns: int) -> bool:
        assert self._decoder is not None
        if event.target == LOGOUT_TARGET:
            assert self._hub is not None
            self._tell("", "the gateway says the session was taken over")
            self._hub.reconnect("session taken over", LOGOUT_PAUSE_S)
            return True
        batch = self._decoder.decode(event, recv_ns, self._clock.now_ns())
        if batch is None:
            return not self._decoder.spoiled()
        self._contracts[batch[0]].take(batch[1], boot_ns())
        return True

    def _on_connected(self) -> None:
        self.connects += 1
        self.reason = ""
        assert self._watch is not None
        self._watch.connected(boot_ns())
        self._tell("", f"connected, {len(self._contracts)} contracts subscribed")

    def _on_gap(self, contract: ContractFeed) -> None:
        assert self._decoder is not None
        self._decoder.on_gap(contract.broker_id)
        contract.gap(self._clock.now_ns(), time.time_ns())

    def _on_down(self, down: HubDown) -> None:
        assert self._decoder is not None
        assert self._watch is not None
        self._decoder.on_reconnect()
        self._watch.lost()
        self.reason = down.reason
        now_ns = self._clock.now_ns()
        for contract in self._contracts.values():
            # Where the recording stands, not later: a tape's marks must not run ahead of its ticks.
            contract.lost(down.was_connected, contract.last_data_ns or now_ns, time.time_ns())
        self._tell("", f"market hub lost ({down.reason}); attempt {down.attempt} in {down.delay_s:.1f} s")

    async def _write_loop(self) -> None:
        while True:
            await asyncio.sleep(WRITE_S)
            self._write()

    def _write(self) -> None:
        assert self._files is not None
        if self._rows:
            self._files.write(take_rows(self._rows))
        self._files.flush_if_due()

    async def _watch_loop(self) -> None:
        """Clock, silence, token and months; returns when a simulated market has ended and all of it was written."""
        quiet = 0
        last = -1
        while True:
            await asyncio.sleep(LOOK_S)
            if self._rest.tokens.refused:
                raise AuthError(f"the gateway refused the login: {self._rest.tokens.refused}; check user name and key")
            if self._settings.simulated:
                await asyncio.to_thread(self._read_clock)
                messages = self.counts.get("messages", 0)
                quiet, last = (quiet + 1 if messages == last else 0), messages
                if self._ended and quiet >= 2:
                    return
            self._time.look(self._clock)  # a sleep shows to the hub itself: nothing was heard for too long
            assert self._watch is not None
            if self._clock.speed > 0:
                self._watch.look(self._contracts, self._clock)
            if self._rest.tokens.renewal_due():
                await asyncio.to_thread(self._rest.tokens.renew_in_time)
            await self._look_at_months()

    async def _look_at_months(self) -> None:
        """Half an hour before each open: another month is another series, behind a mark (I29)."""
        day = trading_day(self._clock.now_ns() + BEFORE_OPEN_NS)
        if day == self._listed_day or boot_ns() < self._list_boot_ns:
            return
        before = dict(self.months)
        try:
            await asyncio.to_thread(self._find_contracts)
        except (GatewayError, ConfigError) as error:
            self._list_boot_ns = boot_ns() + LIST_RETRY_NS  # the roll must not be missed for a whole day
            self._tell("", str(error))
            return
        self._listed_day = day
        if self.months == before:
            return
        for contract in self._contracts.values():
            if self.months[contract.symbol] != contract.broker_id:
                self._tell(contract.symbol, f"rolled from {contract.broker_id} to {self.months[contract.symbol]}")
                contract.roll(self.months[contract.symbol], self._clock.now_ns(), time.time_ns())
        assert self._files is not None
        self._files.describe(months=self.months)
        assert self._decoder is not None
        assert self._hub is not None
        self._decoder.set_contracts(self._subscribed())
        if not await self._hub.change_contracts(list(self._subscribed())):
            self._hub.reconnect("the new contracts could not be subscribed")

    def close(self) -> None:
        """Let go of connections."""
        self._rest.close()
