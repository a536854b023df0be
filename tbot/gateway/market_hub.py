"""The market hub as its owner sees it: one stream of records, on one connection or, while the token changes, on two.

`HubClient` keeps one connection alive. `renew` opens a second one with the newest token, and when `handover.py` has
proved where both streams coincide, the second takes over and the first is closed politely (design ruling 14). A
handover that cannot succeed ends as an ordinary reconnection: the owner hears on_down, marks its gap and goes on.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tbot.gateway.codec_market import LOGOUT_TARGET, market_subscriptions
from tbot.gateway.codec_overlap import barrier, topics
from tbot.gateway.handover import CatchUp, Handover
from tbot.gateway.hub import HubClient, HubDown
from tbot.gateway.hub_link import Taker
from tbot.gateway.net import NS_PER_S, boot_ns
from tbot.gateway.signalr import Completion, Invocation

QUIET_S = 1.0  # nothing for this long on a topic: worth a barrier
LOOK_S = 0.1
PATIENCE_S = 60.0  # an overlap that is not settled by then never will be
ATTEMPTS = 5  # of the new connection, before the old one is left alone until the next `renew`


class MarketHub:
    """All contracts of a run. To be used in the loop's thread only.

    Callbacks as of HubClient: records of exactly one connection are delivered at any time, on_down comes after the last
    record of a lost connection and before the first one of the next.
    """

    def __init__(
        self,
        url: str,
        broker_ids: Sequence[str],
        *,
        token: Callable[[bool], Awaitable[str | None]],
        on_record: Callable[[Invocation, int], bool | None],
        on_connected: Callable[[], None],
        on_down: Callable[[HubDown], None],
        on_bulk: Taker | None = None,
        boot_clock: Callable[[], int] = boot_ns,
        quiet_s: float = QUIET_S,
        look_s: float = LOOK_S,
        patience_s: float = PATIENCE_S,
        **options: Any,
    ) -> None:
        """`on_bulk`: as of HubClient; not asked while the connection changes. `options` go to every HubClient.

        `quiet_s`, `look_s`, `patience_s`: see the constants.
        """
        self._url = url
        self._broker_ids = list(broker_ids)
        self._token = token
        self._on_record = on_record
        self._on_bulk = on_bulk
        self._on_connected = on_connected
        self._on_down = on_down
        self._boot_ns = boot_clock
        self._quiet_s, self._look_s, self._patience_s = quiet_s, look_s, patience_s
        self._options = options
        self._stop = asyncio.Event()
        self._tasks: dict[HubClient, asyncio.Task[None]] = {}
        self._active = self._make()
        self._next: HubClient | None = None
        self._handover: Handover | None = None
        self._catch_up: CatchUp | None = None
        self._settling: asyncio.Task[None] | None = None
        self._failed = 0
        self._past: Counter[str] = Counter()  # of connections that are closed
        self.handovers = 0  # that succeeded
        self.changes = 0  # times that another connection began to deliver, with or without a gap
        self.handover_trouble = ""  # why the last one did not

    # ------------------------------------------------------------------------------------------------------ control
    async def run(self) -> None:
        """Until `stop`."""
        self._start(self._active)
        await self._stop.wait()
        if self._settling is not None:
            self._settling.cancel()
        for client in list(self._tasks):
            client.stop()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def stop(self) -> None:
        """End `run` soon, with a polite close."""
        self._stop.set()

    def reconnect(self, reason: str, least_s: float = 0.0) -> None:
        """Drop the connection now and connect anew with the newest token."""
        self._abandon("the connection was given up")
        self._active.reconnect(reason, least_s)

    def renew(self) -> bool:
        """Change to a new connection with the newest token, without a gap.

        False: not connected (the next attempt uses the newest token anyway), or a change is under way or not digested:
        what the connection before the present one was ahead by has yet to come again.
        """
        if self._next is not None or self._catch_up is not None or not self._active.connected:
            return False
        self._failed = 0
        self.handover_trouble = ""
        self._handover = Handover(topics(self._broker_ids))
        self._next = self._make()
        self._start(self._next)
        self._settling = asyncio.create_task(self._settle(self._next))
        return True

    async def resubscribe(self, broker_id: str) -> bool:
        """Unsubscribe and subscribe one contract on the present connection; False when that did not work."""
        subscribe = market_subscriptions([broker_id])
        calls = [(f"Un{target[0].lower()}{target[1:]}", arguments) for target, arguments in subscribe]
        try:
            answers = [await self._active.invoke(target, arguments) for target, arguments in (*calls, *subscribe)]
        except (TimeoutError, ConnectionError):
            return False
        return all(answer.error is None for answer in answers[len(calls) :])

    async def change_contracts(self, broker_ids: Sequence[str]) -> bool:
        """From now on these contracts (a roll): on the present connection, and on every later one."""
        gone = [broker_id for broker_id in self._broker_ids if broker_id not in broker_ids]
        come = [broker_id for broker_id in broker_ids if broker_id not in self._broker_ids]
        self._broker_ids = list(broker_ids)
        self._abandon("the contracts changed")
        self._active.set_subscriptions(market_subscriptions(self._broker_ids))
        calls = [(f"Un{target[0].lower()}{target[1:]}", arguments) for target, arguments in market_subscriptions(gone)]
        try:
            answers = [await self.invoke(*call) for call in (*calls, *market_subscriptions(come))]
        except (TimeoutError, ConnectionError):
            return False  # lost meanwhile: the next connection subscribes the new ones
        return all(answer.error is None for answer in answers[len(calls) :])

    async def invoke(self, target: str, arguments: Sequence[object]) -> Completion:
        """See HubClient; on the connection that delivers."""
        return await self._active.invoke(target, arguments)

    @property
    def connected(self) -> bool:
        """The connection that delivers has all its subscriptions."""
        return self._active.connected

    @property
    def changing(self) -> bool:
        """A handover is under way, or what it left to pass over has not come yet."""
        return self._next is not None or self._catch_up is not None

    @property
    def counts(self) -> Counter[str]:
        """Counters of all connections so far."""
        total = Counter(self._past)
        for client in self._tasks:
            total.update(client.counts)
        total["handovers"] = self.handovers
        return total

    # -------------------------------------------------------------------------------------------------- connections
    def _make(self) -> HubClient:
        client: HubClient
        client = HubClient(
            self._url,
            token=self._token,
            subscriptions=market_subscriptions(self._broker_ids),
            on_record=lambda event, recv_ns: self._record(client, event, recv_ns),
            on_bulk=lambda data, at, recv_ns: self._bulk(client, data, at, recv_ns),
            on_connected=lambda: self._connected(client),
            on_down=lambda down: self._down(client, down),
            boot_clock=self._boot_ns,
            **self._options,
        )
        return client

    def _start(self, client: HubClient) -> None:
        task = asyncio.create_task(client.run())
        self._tasks[client] = task
        task.add_done_callback(lambda _: self._ended(client))

    def _ended(self, client: HubClient) -> None:
        if self._tasks.pop(client, None) is not None:
            self._past.update(client.counts)

    # ------------------------------------------------------------------------------------------------------- records
    def _record(self, client: HubClient, event: Invocation, recv_ns: int) -> bool | None:
        handover = self._handover
        if client is self._active:
            if handover is not None and event.target == LOGOUT_TARGET and self._next is not None:
                if self._next.connected:  # one session a user: it was our own new connection that ended the old one
                    self._fall_back("the gateway ends the old connection when the new one comes")
                    return True
            elif handover is not None:
                handover.old(event)
                verdict = self._on_record(event, recv_ns)
                self._look()
                return verdict
            if self._catch_up is not None and not self._catching_up(self._catch_up, event):
                return True
            return self._on_record(event, recv_ns)
        if client is self._next and handover is not None:
            if event.target == LOGOUT_TARGET:
                return self._on_record(event, recv_ns)
            handover.new(event, recv_ns)
            self._look()
        return True  # what a connection that was left still says has been delivered by its successor

    def _bulk(self, client: HubClient, data: bytes, at: int, recv_ns: int) -> tuple[int, int]:
        """Records in bulk, while exactly one connection delivers and nothing has to be compared record by record."""
        if (
            self._on_bulk is None
            or client is not self._active
            or self._handover is not None
            or self._catch_up is not None
        ):
            return at, 0
        return self._on_bulk(data, at, recv_ns)

    def _catching_up(self, catch_up: CatchUp, event: Invocation) -> bool:
        """Whether a record of the new connection is to be delivered; a difference is a gap, told as one."""
        passes = catch_up.passes(event)
        if catch_up.done:
            self._catch_up = None
        if catch_up.problem:
            self.handover_trouble = catch_up.problem
            self._on_down(HubDown(f"token renewed ({catch_up.problem})", True, 1, 0.0, 0))
            self._on_connected()
        return passes

    def _connected(self, client: HubClient) -> None:
        if client is self._active:
            self._on_connected()
        else:
            self._look()

    def _down(self, client: HubClient, down: HubDown) -> None:
        if client is self._active:
            self._catch_up = None
            if self._next is not None and self._next.connected:
                self._replace(down)
            else:
                self._abandon("the old connection was lost")
                self._on_down(down)
        elif client is self._next:
            self._failed += 1
            if self._failed >= ATTEMPTS:
                self._abandon(f"no second connection: {down.reason}")
            else:  # it tries again by itself; what it had is worth nothing now
                self._handover = Handover(topics(self._broker_ids))

    # ------------------------------------------------------------------------------------------------------ handover
    def _look(self) -> None:
        """After anything that may have settled the overlap."""
        handover, successor = self._handover, self._next
        if handover is None or successor is None:
            return
        if handover.problem:
            self._fall_back(handover.problem)
        elif handover.ready and successor.connected:
            due, catch_up = handover.take_over()
            self._promote(successor)
            self._catch_up = None if catch_up.done else catch_up
            self.handovers += 1
            self._deliver(due)

    def _promote(self, successor: HubClient) -> None:
        self.changes += 1
        old, self._active = self._active, successor
        self._next = self._handover = None
        old.stop()  # politely: what it still brings is ignored

    def _fall_back(self, problem: str) -> None:
        """No gapless change: an ordinary reconnection if the new connection stands, else everything stays as it is."""
        self.handover_trouble = problem
        if self._next is not None and self._next.connected:
            self._replace(HubDown(f"token renewed ({problem})", True, 1, 0.0, 0))
        else:
            self._abandon(problem)

    def _replace(self, down: HubDown) -> None:
        """The new connection becomes the only one, with a gap."""
        successor, handover = self._next, self._handover
        assert successor is not None
        assert handover is not None
        self._promote(successor)
        self._on_down(down)
        self._on_connected()
        self._deliver(handover.remains())

    def _deliver(self, records: Sequence[tuple[Invocation, int]]) -> None:
        """What was kept. A handler's bug costs the record it met, as in HubClient, not those behind it."""
        for event, recv_ns in records:
            try:
                self._on_record(event, recv_ns)
            except Exception:
                self._past["handler_errors"] += 1

    def _abandon(self, why: str) -> None:
        """No change of connections for now."""
        successor, self._next, self._handover = self._next, None, None
        if successor is not None:
            self.handover_trouble = why
            successor.stop()

    async def _settle(self, successor: HubClient) -> None:
        """Topics on which nothing comes are settled by a barrier; an overlap that lasts too long is ended."""
        deadline_ns = self._boot_ns() + int(self._patience_s * NS_PER_S)
        still, since_ns = None, 0
        while self._next is successor and self._handover is not None:
            await asyncio.sleep(self._look_s)
            handover, now_ns = self._handover, self._boot_ns()
            if self._next is not successor or handover is None:
                return
            if now_ns > deadline_ns:
                self._fall_back("the two connections could not be matched in time")
                return
            if not successor.connected:
                continue
            reading = handover.counts()
            if reading != still:
                still, since_ns = reading, now_ns
            elif reading and now_ns - since_ns >= self._quiet_s * NS_PER_S:
                await self._barrier(successor, handover, reading)
                still = None

    async def _barrier(self, successor: HubClient, handover: Handover, reading: dict[Any, Any]) -> None:
        call = barrier(self._broker_ids[0])
        with contextlib.suppress(TimeoutError, ConnectionError):
            await asyncio.gather(self._active.invoke(*call), successor.invoke(*call))
            if self._handover is handover:
                handover.meet(reading)
                self._look()
