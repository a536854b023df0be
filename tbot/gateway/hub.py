"""One hub connection that never gives up: connect, handshake, subscribe, read, watch, reconnect.

The asyncio shell around `signalr.py`, on a WebSocket of `hub_sockets.py`. The owner gives callbacks and may run the
loop in a thread of its own. Rules: constants C_HUB_SILENT and C_BACKOFF, failures F-NET-01 to F-NET-05 and
F-NET-09; a reconnect is a new connection, so everything is subscribed again before it counts as connected.
"""

import asyncio
import contextlib
import random as random_module
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from tbot.errors import ProtocolError
from tbot.gateway import signalr
from tbot.gateway.http_exchange import HttpExchange
from tbot.gateway.hub_link import HubLink, Taker
from tbot.gateway.hub_sockets import Opener, SocketFailed, UpgradeRefused, open_websockets
from tbot.gateway.net import NS_PER_S, boot_ns, check_url, retry_after_s
from tbot.gateway.redact import redact

MAX_MESSAGE = 16 * 1024 * 1024
BAD_RECORDS = 20  # more than this many in BAD_WINDOW_NS: reconnect (F-DAT-01)
BAD_WINDOW_NS = 10 * NS_PER_S
MAX_REASONS = 64  # kinds of endings counted by name: a hostile server must not fill memory with them

Subscription = tuple[str, Sequence[object]]


@dataclass(frozen=True, slots=True)
class HubTimings:
    """All waits of a hub, in seconds."""

    open_s: float = 10.0
    handshake_s: float = signalr.CLIENT_PINGS.handshake_s
    ping_s: float = signalr.CLIENT_PINGS.interval_s
    silent_s: float = signalr.CLIENT_PINGS.silent_s  # C_HUB_SILENT
    invoke_s: float = 10.0
    close_s: float = 2.0
    backoff_base_s: float = 0.5  # C_BACKOFF: base * 2^n, full jitter
    backoff_cap_s: float = 30.0
    healthy_s: float = 60.0  # connected this long: the back-off starts anew
    goodbye_s: float = 5.0  # least wait after a Close without allowReconnect, and after 429 or 503


@dataclass(frozen=True, slots=True)
class HubDown:
    """Why a connection (or an attempt) ended and what happens next."""

    reason: str
    was_connected: bool  # subscriptions had been accepted
    attempt: int  # the coming attempt: 1 = first after a healthy connection
    delay_s: float  # wait before it
    goodbyes: int  # Close records without allowReconnect in a row without data between them: alarm at 3


class _Lost(Exception):
    """A connection or an attempt is over; the reason never contains an address."""

    def __init__(self, reason: str, *, least_s: float = 0.0, refused: bool = False, goodbye: bool = False) -> None:
        super().__init__(reason)
        self.reason = redact(reason)
        self.least_s = least_s
        self.refused = refused
        self.goodbye = goodbye


class HubClient:
    """One hub. All methods but `run` and `invoke` may be called only in the loop's thread (use call_soon_threadsafe).

    `token(refused)` is asked before each attempt for the newest token; `refused` tells that the last one got HTTP
    401 or 403. `on_record(invocation, recv_ns)` returns False for a bad record. `on_bulk`, where given, is asked first:
    it takes whole records that it knows straight from the bytes (see hub_link.Taker). `on_connected()` comes after
    every subscription was accepted; records may come before it. `on_down(HubDown)` comes after every failed attempt
    too, and after it nothing comes from the old connection.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Callable[[bool], Awaitable[str | None]],
        subscriptions: Sequence[Subscription],
        on_record: Callable[[signalr.Invocation, int], bool | None],
        on_bulk: Taker | None = None,
        on_connected: Callable[[], None] = lambda: None,
        on_down: Callable[[HubDown], None] = lambda down: None,
        negotiate: bool = False,
        timings: HubTimings | None = None,
        random: Callable[[], float] = random_module.random,
        boot_clock: Callable[[], int] = boot_ns,
        recv_clock: Callable[[], int] = boot_ns,
        opener: Opener = open_websockets,
    ) -> None:
        """`url`: http(s) or ws(s); unencrypted only to this machine. `recv_clock`: what `recv_ns` is taken from."""
        scheme, _, rest = url.partition("://")
        self._url = check_url({"http": "ws", "https": "wss"}.get(scheme, scheme) + "://" + rest, "ws", "wss")
        self._token = token
        self._subscriptions = list(subscriptions)
        self._on_record = on_record
        self._on_bulk = on_bulk
        self._on_connected = on_connected
        self._on_down = on_down
        self._negotiate = negotiate
        self._timings = timings or HubTimings()
        self._random = random
        self._boot_ns = boot_clock
        self._recv_ns = recv_clock
        self._stop = asyncio.Event()
        self._open_socket = opener
        self._link: HubLink | None = None
        self._protocol = signalr.SignalRConnection(signalr.Role.CLIENT)
        self._pending: dict[str, asyncio.Future[signalr.Completion]] = {}
        self._lost: _Lost | None = None
        self._bad: deque[int] = deque(maxlen=BAD_RECORDS + 1)
        self._failures = 0
        self._goodbyes = 0
        self._refused = False
        self._connected_ns = 0
        self.counts: Counter[str] = Counter()  # messages, records, bad, reconnects by reason, handler_errors ...
        self.connected = False

    def __repr__(self) -> str:
        return f"HubClient({self._url}, connected={self.connected})"

    # ------------------------------------------------------------------------------------------------------ control
    async def run(self) -> None:
        """Until `stop`. Every ending of a connection leads to the next attempt."""
        stopping = asyncio.create_task(self._stop.wait())
        try:
            while not self._stop.is_set():
                self._lost = None
                attempt = asyncio.create_task(self._attempt())
                try:
                    await asyncio.wait({attempt, stopping}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    attempt.cancel()
                    outcome = (await asyncio.gather(attempt, return_exceptions=True))[0]
                    was_connected, self.connected = self.connected, False
                    await self._clean_up()
                if not self._stop.is_set():
                    await self._wait(self._reason(outcome), was_connected)
        finally:
            stopping.cancel()

    def _reason(self, outcome: object) -> _Lost:
        """What ended the attempt; anything that is not ours is told by its kind only (texts carry the address)."""
        if isinstance(outcome, _Lost):
            return outcome
        if self._lost is not None:
            return self._lost
        if isinstance(outcome, ProtocolError):
            return _Lost(str(outcome))
        if isinstance(outcome, SocketFailed):
            return _Lost(str(outcome))
        if not isinstance(outcome, OSError | TimeoutError):
            self.counts["internal_errors"] += 1
        return _Lost(type(outcome).__name__)

    def stop(self) -> None:
        """End `run` soon, with a polite close."""
        self._stop.set()

    def reconnect(self, reason: str, least_s: float = 0.0) -> None:
        """Drop the connection now (the owner knows better: no data, new token, session taken over)."""
        self._fail(_Lost(reason, least_s=least_s))

    def set_subscriptions(self, subscriptions: Sequence[Subscription]) -> None:
        """What every later connection subscribes; the present one is not touched (see `invoke`)."""
        self._subscriptions = list(subscriptions)

    async def invoke(self, target: str, arguments: Sequence[object]) -> signalr.Completion:
        """A blocking invocation on the present connection. TimeoutError: no answer in time.

        ConnectionError: not connected, or lost meanwhile; then it is unknown whether the server did it.
        """
        link = self._link
        if link is None or link.socket is None:
            raise ConnectionError("the hub is not connected")
        invocation_id, record = self._protocol.invoke(target, arguments)
        future: asyncio.Future[signalr.Completion] = asyncio.get_running_loop().create_future()
        self._pending[invocation_id] = future
        try:
            async with asyncio.timeout(self._timings.invoke_s):
                await link.socket.send(record)
                return await future
        finally:
            self._pending.pop(invocation_id, None)

    # -------------------------------------------------------------------------------------------------- one attempt
    async def _attempt(self) -> None:
        token = await self._token(self._refused)
        if token is None:
            raise _Lost("no token")
        self._refused = False
        self._protocol = signalr.SignalRConnection(signalr.Role.CLIENT)
        self._bad.clear()
        query = f"?access_token={quote(token, safe='')}"
        if self._negotiate:
            query += f"&id={quote(await self._negotiated_id(token), safe='')}"
        link = self._link = self._make_link()
        try:
            async with asyncio.timeout(self._timings.open_s):
                link.attach(await self._open_socket(self._url + query, link, self._timings.close_s, MAX_MESSAGE))
        except UpgradeRefused as error:
            least_s = self._least_s(error.status, error.retry_after)
            refused = error.status in (401, 403)
            raise _Lost(f"HTTP {error.status} on upgrade", least_s=least_s, refused=refused) from None
        except TimeoutError:
            raise _Lost("no connection in time") from None
        await self._session(link)

    def _make_link(self) -> HubLink:
        return HubLink(
            self._protocol,
            self.counts,
            dispatch=self._dispatch,
            take=self._on_bulk,
            taken=self._taken,
            trouble=lambda reason: self._fail(_Lost(reason)),
            boot_clock=self._boot_ns,
            recv_clock=self._recv_ns,
        )

    async def _negotiated_id(self, token: str) -> str:
        parts = urlsplit(self._url)
        base = f"{'http' if parts.scheme == 'ws' else 'https'}://{parts.netloc}"
        exchange = HttpExchange(base)
        headers = {"Authorization": f"Bearer {token}"}
        path = f"{parts.path}/negotiate?negotiateVersion=1"
        try:
            result = await asyncio.to_thread(exchange.run, "POST", path, b"", headers, self._timings.open_s)
        finally:
            exchange.close()
        if result.status in (401, 403):
            raise _Lost(f"negotiate: HTTP {result.status}", refused=True)
        if result.status != 200:
            least_s = self._least_s(result.status, result.headers.get("retry-after"))
            raise _Lost(f"negotiate: {result.error or f'HTTP {result.status}'}", least_s=least_s)
        return signalr.decode_negotiation(result.body)

    def _least_s(self, status: int | None, retry_after: str | None) -> float:
        """Least wait after an HTTP refusal: what the server asks for, or a pause of ours when it is overloaded."""
        if status not in (429, 503):
            return 0.0
        return retry_after_s(retry_after, time.time()) or self._timings.goodbye_s

    async def _session(self, link: HubLink) -> None:
        try:
            async with asyncio.timeout(self._timings.handshake_s):
                await link.handshake()
        except TimeoutError:
            raise self._lost or _Lost("no handshake in time") from None
        except ConnectionError:
            raise self._lost or _Lost("closed in the handshake") from None
        if self._lost is not None:
            raise self._lost
        helpers = [
            asyncio.create_task(self._pinger(link)),
            asyncio.create_task(self._watchdog(link)),
            asyncio.create_task(self._subscribe()),
        ]
        try:
            reason = await link.over
            self._lost = self._lost or _Lost(reason)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
        raise self._lost

    # ------------------------------------------------------------------------------------------------------- records
    def _taken(self, records: int) -> None:
        self._goodbyes = 0

    def _dispatch(self, message: signalr.Message, recv_ns: int) -> None:
        kind = type(message)
        if isinstance(message, signalr.Invocation):
            self.counts["records"] += 1
            self._goodbyes = 0
            try:
                good = self._on_record(message, recv_ns)
            except Exception:  # a handler's bug must not end the read loop (it is counted, and counted as bad)
                self.counts["handler_errors"] += 1
                good = False
            if good is False:
                self._note_bad()
        elif isinstance(message, signalr.Completion):
            future = self._pending.get(message.invocation_id)
            if future is None or future.done():
                self.counts["unknown_completions"] += 1
            else:
                future.set_result(message)
        elif kind is signalr.Malformed:
            self.counts["malformed"] += 1
            self._note_bad()
        elif kind is signalr.Other:
            self.counts["other_types"] += 1
        elif isinstance(message, signalr.Close):
            text = f"server said goodbye: {message.error or 'no reason'}"
            least = 0.0 if message.allow_reconnect else self._timings.goodbye_s
            self._fail(_Lost(text, least_s=least, goodbye=not message.allow_reconnect))
        elif isinstance(message, signalr.HandshakeFailed):
            self._fail(_Lost(f"handshake refused: {message.error}"))

    def _note_bad(self) -> None:
        self.counts["bad"] += 1
        now = self._boot_ns()
        self._bad.append(now)
        if len(self._bad) > BAD_RECORDS and now - self._bad[0] <= BAD_WINDOW_NS:
            self._fail(_Lost("too many bad records"))

    def _fail(self, lost: _Lost) -> None:
        """End the connection: abort, no farewell. A half-open peer would keep a polite close waiting."""
        if self._lost is None:
            self._lost = lost
        if self._link is not None:
            self._link.end(lost.reason)
            if self._link.socket is not None:
                self._link.socket.abort()

    # ------------------------------------------------------------------------------------------------------- helpers
    async def _pinger(self, link: HubLink) -> None:
        assert link.socket is not None
        with contextlib.suppress(ConnectionError):
            while True:
                await link.socket.send(signalr.PING)
                self.counts["pings_sent"] += 1
                await asyncio.sleep(self._timings.ping_s)

    async def _watchdog(self, link: HubLink) -> None:
        limit_ns = int(self._timings.silent_s * NS_PER_S)
        while True:
            await asyncio.sleep(min(1.0, self._timings.silent_s / 10))
            if self._boot_ns() - link.last_recv_ns > limit_ns:
                self._fail(_Lost(f"silent for {self._timings.silent_s:g} s"))
                return

    async def _subscribe(self) -> None:
        try:
            for target, arguments in self._subscriptions:  # one after the other: sends must not interleave
                completion = await self.invoke(target, arguments)
                if completion.error is not None:
                    self._fail(_Lost(f"{target} refused: {completion.error}", least_s=self._timings.goodbye_s))
                    return
        except (TimeoutError, ConnectionError) as error:
            self._fail(_Lost(f"subscribing failed: {type(error).__name__}"))
            return
        self.connected = True
        self._connected_ns = self._boot_ns()
        self.counts["connects"] += 1
        self._call(self._on_connected)

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception:  # as above: somebody else's bug is no reason to lose the connection
            self.counts["handler_errors"] += 1

    async def _clean_up(self) -> None:
        link, self._link = self._link, None
        for future in self._pending.values():
            if not future.done():
                future.set_exception(ConnectionError("the hub connection was lost"))
        self._pending.clear()
        if link is None:
            return
        link.end("left")
        if link.socket is not None:
            if not self._stop.is_set():
                link.socket.abort()
            else:
                with contextlib.suppress(Exception):
                    await link.socket.close()

    async def _wait(self, lost: _Lost, was_connected: bool) -> None:
        timings = self._timings
        if was_connected and self._boot_ns() - self._connected_ns >= timings.healthy_s * NS_PER_S:
            self._failures = 0
        ceiling = min(timings.backoff_cap_s, timings.backoff_base_s * 2 ** min(self._failures, 20))
        delay = max(lost.least_s, self._random() * ceiling)
        self._failures += 1
        self._refused = lost.refused
        self._goodbyes += lost.goodbye
        self.counts["downs"] += 1
        kind = f"down: {lost.reason.partition(':')[0]}"
        known = kind in self.counts or sum(name.startswith("down: ") for name in self.counts) < MAX_REASONS
        self.counts[kind if known else "down: other"] += 1
        self._call(self._on_down, HubDown(lost.reason, was_connected, self._failures, delay, self._goodbyes))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), delay)
