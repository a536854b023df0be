"""The user hub as the live broker sees it: connected or not, and events that come late, twice, in another order, never.

`SimUserHub` has the members of `UserHub` that the engine uses. `HubLine` is the exchange's side; it lives on when the
executor dies.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from dst.scheduler import NS_PER_MS, NS_PER_S, Scheduler
from tbot.gateway import signalr
from tbot.gateway.codec_hub import user_event
from tbot.gateway.signalr import Invocation
from tbot.sim.exchange import Exchange
from tbot.sim.views import event_record

SILENT_NS = 20 * NS_PER_S  # C_HUB_SILENT


class HubLine:
    """Sends what the exchange has to tell to the connection that there is."""

    def __init__(self, scheduler: Scheduler, seed: int, exchange: Exchange, wall_ns: Callable[[], int]) -> None:
        self._scheduler = scheduler
        self.random = Random(f"hub/{seed}")
        self._exchange = exchange
        self._wall_ns = wall_ns
        self.connection: SimUserHub | None = None
        self.down = False  # nobody can connect
        self.black = False  # nothing goes in or out, and nobody notices before C_HUB_SILENT
        self.mute = False  # connected, and no records come
        self.withheld: set[str] = set()  # kinds of records that never come
        self.twice = False
        self.reorder_ns = 0
        self._last_ns = 0

    def pump(self) -> None:
        """Everything that happened at the exchange since the last call."""
        for event in self._exchange.drain():
            hub = self.connection
            if hub is None or not hub.connected or self.mute or self.black or event.kind in self.withheld:
                continue
            record = user_event(event_record(event, self._exchange.contracts))
            message = signalr.parse_record(record.rstrip(b"\x1e"))
            assert isinstance(message, Invocation)
            for _ in range(2 if self.twice and self.random.random() < 0.5 else 1):
                self._send(hub, message)

    def _send(self, hub: "SimUserHub", message: Invocation) -> None:
        due_ns = self._scheduler.now_ns + self.random.randrange(3, 30) * NS_PER_MS
        if self.reorder_ns and self.random.random() < 0.5:
            due_ns += self.random.randrange(self.reorder_ns)
        else:
            due_ns = self._last_ns = max(due_ns, self._last_ns + 1)  # a connection keeps its order
        number = hub.connection_number

        def arrive() -> None:
            if hub.connected and hub.connection_number == number:
                hub.on_record(message, self._wall_ns())

        self._scheduler.at(due_ns, arrive, hub.group)

    def drop(self) -> None:
        """The connection ends; a new one can be made unless `down`."""
        if self.connection is not None:
            self.connection.lost("reset by peer")

    def logout(self) -> None:
        """Somebody else logged in."""
        hub = self.connection
        if hub is not None and hub.connected:
            from tbot.gateway.codec import logout_event

            message = signalr.parse_record(logout_event().rstrip(b"\x1e"))
            assert isinstance(message, Invocation)
            hub.on_record(message, self._wall_ns())

    def calm(self) -> None:
        self.down = self.black = self.mute = self.twice = False
        self.withheld.clear()
        self.reorder_ns = 0


class SimUserHub:
    """Has what LiveBroker and the executor use of UserHub."""

    def __init__(
        self,
        line: HubLine,
        scheduler: Scheduler,
        url: str,
        rest: Any,
        accounts: Iterable[int],
        *,
        on_record: Callable[[Invocation, int], bool],
        on_change: Callable[[], None],
        **_unused: Any,
    ) -> None:
        self._line = line
        self._scheduler = scheduler
        self._rest = rest
        self._on_change = on_change
        self.on_record = on_record
        self.counts: Counter[str] = Counter()
        self.goodbyes = 0
        self.connected = False
        self.reason = "not connected yet"
        self.since_ns = scheduler.now_ns
        self.group = scheduler.group
        self.connection_number = 0
        self._closed = False
        self._not_before_ns = 0
        self._attempt = 0

    def start(self) -> None:
        self._line.connection = self
        self._scheduler.spawn(self._run, self.group)

    def close(self, *_args: Any) -> bool:
        self._closed = True
        self._change(False, "closed")
        return True

    def reconnect(self, reason: str, pause_s: float = 0.0) -> None:
        """Drop the connection and wait a while."""
        self._not_before_ns = self._scheduler.now_ns + int(pause_s * NS_PER_S)
        self.lost(reason)

    def renew_if_due(self, wall_ns: int) -> None:
        """A simulated connection does not mind an old token."""

    def lost(self, reason: str) -> None:
        if self.connected:
            self._change(False, reason)

    def _change(self, connected: bool, reason: str) -> None:
        self.connected, self.reason, self.since_ns = connected, reason, self._scheduler.now_ns
        self._on_change()

    def _run(self) -> None:
        """Connect, notice silence, connect again."""
        silent_since = 0
        while not self._closed:
            now = self._scheduler.now_ns
            if self.connected:
                silent_since = (silent_since or now) if self._line.black else 0
                if silent_since and now - silent_since >= SILENT_NS:
                    self._change(False, "silent")
                self._scheduler.sleep(NS_PER_S)
                continue
            silent_since = 0
            pause_ns = min(30 * NS_PER_S, NS_PER_S // 2 * 2 ** min(self._attempt, 6))
            wait_ns = max(self._not_before_ns - now, int(self._line.random.random() * pause_ns) if self._attempt else 0)
            self._scheduler.sleep(max(wait_ns, 50 * NS_PER_MS))
            self._attempt += 1
            if self._closed or self._line.down or self._line.black or self._rest.tokens.get() is None:
                continue
            self._attempt = 0
            self.connection_number += 1
            self.counts["connects"] += 1
            self._change(True, "")
