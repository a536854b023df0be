"""Carries out what the watchdog of quotes asks for, and lets the hub change to a newer token when that is due."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tbot.domain.timeframes import NS_PER_MIN
from tbot.domain.trading_hours import SessionCalendar
from tbot.engine.clocks import NS_PER_S, RunClock, boot_ns
from tbot.engine.contract_feed import ContractFeed
from tbot.engine.watchdog import AskHistory, Bar, QuoteWatchdog, Reconnect, Resubscribe
from tbot.gateway.market_hub import MarketHub
from tbot.gateway.renewal import change_due
from tbot.gateway.rest import RestClient
from tbot.gateway.tokens import Token

LOOK_BACK_NS = 10 * NS_PER_MIN  # how far a look at history goes back
RENEW_RETRY_NS = 60 * NS_PER_S  # after a change of connections that did not come about


class TokenSource(Protocol):
    """The token that the connection uses, and the newest one."""

    used: Token | None

    @property
    def newest(self) -> Token | None: ...


class FeedWatch:
    """The shell around QuoteWatchdog; `look` is to be called about once a second."""

    def __init__(
        self,
        hub: MarketHub,
        rest: RestClient,
        calendar: SessionCalendar,
        voice: TokenSource,
        tell: Callable[[str, str], None],
        on_gap: Callable[[ContractFeed], None],
    ) -> None:
        """`on_gap`: data of a contract may be missing from here on; called before it is subscribed anew."""
        self._hub = hub
        self._rest = rest
        self._calendar = calendar
        self._voice = voice
        self._tell = tell
        self._on_gap = on_gap
        self._watchdog = QuoteWatchdog()
        self._work: set[asyncio.Task[None]] = set()
        self._renew_boot_ns = 0
        self._since_boot_ns = 0  # everything was subscribed then
        self._before: tuple[Token | None, int] | None = None  # token used and changes made when a change was begun
        self.counts: Counter[str] = Counter()  # resubscribed, history_looks, reconnected_silent

    @property
    def states(self) -> dict[str, str]:
        """OK, STALE or CLOSED by contract."""
        return self._watchdog.states

    def connected(self, now_boot_ns: int) -> None:
        """See QuoteWatchdog."""
        self._since_boot_ns = now_boot_ns
        self._watchdog.connected(now_boot_ns)

    def lost(self) -> None:
        """See QuoteWatchdog."""
        self._watchdog.lost()

    def look(self, contracts: Mapping[int, ContractFeed], clock: RunClock) -> None:
        """One round: silence, then the token."""
        now_boot_ns, now_ns = boot_ns(), clock.now_ns()
        since_ns = now_ns - int((now_boot_ns - self._since_boot_ns) * clock.speed)
        by_symbol = {contract.symbol: contract for contract in contracts.values()}
        ages = {symbol: self._age(contract, now_boot_ns, now_ns, clock) for symbol, contract in by_symbol.items()}
        is_open = {symbol for symbol in by_symbol if self._calendar.is_open(now_ns, symbol)}
        for action in self._watchdog.look(now_boot_ns, ages, is_open):
            if isinstance(action, Reconnect):
                self.counts["reconnected_silent"] += 1
                self._hub.reconnect(action.reason)
            elif isinstance(action, Resubscribe):
                self.counts["resubscribed"] += 1
                self._tell(action.contract, "no data for 10 s: subscribed anew")
                self._on_gap(by_symbol[action.contract])  # of what the lost subscription, or the change, cost
                self._start(self._hub.resubscribe(by_symbol[action.contract].broker_id))
            else:
                self.counts["history_looks"] += 1
                self._start(self._ask(action, by_symbol[action.contract], now_ns, since_ns))
        self._renew(now_boot_ns)

    def _age(self, contract: ContractFeed, now_boot_ns: int, now_ns: int, clock: RunClock) -> int | None:
        """Real ns since data last moved on; not more than the market has been open."""
        if not contract.progress_boot_ns:
            return None
        opened_ns = now_ns - self._calendar.trading_day(now_ns, contract.symbol).open_ns
        return min(now_boot_ns - contract.progress_boot_ns, int(clock.real_s(max(0, opened_ns)) * NS_PER_S))

    async def _ask(self, action: AskHistory, contract: ContractFeed, now_ns: int, since_ns: int) -> None:
        """What was traded before `since_ns`, the market time of the subscription, is no proof against it."""
        answer = await asyncio.to_thread(
            self._rest.retrieve_bars,
            contract.broker_id,
            now_ns - LOOK_BACK_NS,
            now_ns + NS_PER_MIN,
            limit=2,
            partial=True,
        )
        newest: Bar | None = None  # no answer that could be used
        if answer.ok and answer.value is not None:
            newest = ()
            for bar in answer.value[-1:]:
                with contextlib.suppress(ValueError):
                    prices = (contract.product.to_ticks(price) for price in (bar.high, bar.low, bar.close))
                    newest = (bar.start_ns, bar.volume, *prices)
        self._watchdog.history(boot_ns(), action.contract, newest, max(contract.last_data_ns, since_ns))

    def _renew(self, now_boot_ns: int) -> None:
        if self._hub.changing or now_boot_ns < self._renew_boot_ns:
            return
        if self._before is not None:
            used, changes = self._before
            self._before = None
            if changes == self._hub.changes:
                self._voice.used = used  # it did not come about: the old token is still the one in use
        if change_due(self._voice.used, self._voice.newest, time.time_ns()):
            self._renew_boot_ns = now_boot_ns + RENEW_RETRY_NS
            before = (self._voice.used, self._hub.changes)
            if self._hub.renew():
                self._before = before
                self._tell("", "market hub: changing to a connection with the new token")

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
