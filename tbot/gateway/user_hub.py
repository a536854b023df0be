"""The user hub in a thread of its own, for an owner that has no asyncio loop (the executor)."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterable

from tbot.gateway import codec_hub
from tbot.gateway.hub import HubClient, HubDown, HubTimings
from tbot.gateway.net import boot_ns
from tbot.gateway.renewal import change_due
from tbot.gateway.rest import RestClient
from tbot.gateway.signalr import Invocation
from tbot.gateway.tokens import Token


class UserHub:
    """Runs a HubClient from `start` to `close`. Callbacks run in its thread.

    Tokens come from `rest.tokens`, which logs in when there is none; a token that the hub refused is given up first.
    """

    def __init__(
        self,
        url: str,
        rest: RestClient,
        accounts: Iterable[int],
        *,
        on_record: Callable[[Invocation, int], bool],
        on_change: Callable[[], None],
        timings: HubTimings | None = None,
        negotiate: bool = False,
    ) -> None:
        """`on_change`: connected or down, look at `connected` and `reason`."""
        self._rest = rest
        self._on_change = on_change
        self._used: Token | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="user-hub")
        self._ready = threading.Event()
        self.reason = "not connected yet"  # of the last loss; "" while connected
        self.since_ns = boot_ns()  # boot clock of the last change
        self.goodbyes = 0  # Close records without allowReconnect in a row: alarm at 3
        self._client = HubClient(
            url,
            token=self._token,
            subscriptions=codec_hub.user_subscriptions(accounts),
            on_record=on_record,
            on_connected=self._connected,
            on_down=self._down,
            timings=timings,
            negotiate=negotiate,
        )

    @property
    def connected(self) -> bool:
        """All subscriptions were accepted and the connection lives."""
        return self._client.connected

    @property
    def counts(self) -> Counter[str]:
        """The client's counters."""
        return self._client.counts

    def start(self) -> None:
        """Connect and keep connected."""
        self._thread.start()

    def reconnect(self, reason: str, least_s: float = 0.0) -> None:
        """Drop the connection and connect anew with the newest token. Any thread."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._client.reconnect, reason, least_s)

    def renew_if_due(self, wall_ns: int) -> bool:
        """Reconnect with a newer token when the one in use is to be left (design ruling 14); True when it is done.

        Nothing is lost by it: REST decides, and every reconnection is followed by a reconciliation.
        """
        if not self.connected or not change_due(self._used, self._rest.tokens.current(), wall_ns):
            return False
        self.reconnect("token renewed")
        return True

    def close(self, timeout_s: float = 5.0) -> bool:
        """End; False when the thread is still busy (asking for a token) after `timeout_s`."""
        if not self._thread.is_alive():
            return True
        self._ready.wait(timeout_s)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._client.stop)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._client.run()

    async def _token(self, refused: bool) -> str | None:
        if refused and self._used is not None:
            self._rest.tokens.invalidate(self._used)
        token = self._rest.tokens.current()
        if token is None:
            token = await asyncio.to_thread(self._rest.tokens.get)
        self._used = token
        return None if token is None else token.text

    def _connected(self) -> None:
        self.reason, self.since_ns, self.goodbyes = "", boot_ns(), 0
        self._on_change()

    def _down(self, down: HubDown) -> None:
        self.reason, self.goodbyes = down.reason, down.goodbyes
        if down.was_connected:
            self.since_ns = boot_ns()
        self._on_change()
