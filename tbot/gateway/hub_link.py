"""One connection of a hub from the inside: bytes in, records taken in bulk or one by one, in turns with the loop.

What arrives is worked off in the callback that read it, so that a lone quote is in its ring before the loop does
anything else. When there is more than a turn's work, or an answer to be sent, reading pauses and a task goes on in
turns: pings and watchdog run in between, and a server that asks faster than it reads answers is held up, not memory.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from tbot.gateway import signalr
from tbot.gateway.hub_sockets import HubSocket

YIELD_RECORDS = 256  # records of a turn
SLOW_TURN_NS = 10_000_000  # the loop must not be held up for longer (F-DAT-01); counted
BULK_WEIGHT = 8  # so many records taken in bulk count as one
_END = b"\x1e"

# (bytes, where a record begins, receive stamp) -> (where the first record not taken begins, records taken)
Taker = Callable[[bytes, int, int], tuple[int, int]]


class HubLink:
    """A sink of a HubSocket, for one connection."""

    def __init__(
        self,
        protocol: signalr.SignalRConnection,
        counts: Counter[str],
        *,
        dispatch: Callable[[signalr.Message, int], None],
        take: Taker | None,
        taken: Callable[[int], None],
        trouble: Callable[[str], None],
        boot_clock: Callable[[], int],
        recv_clock: Callable[[], int],
    ) -> None:
        """`dispatch` gets messages that nobody took. `taken(n)`: records were taken in bulk.

        `trouble(reason)`: this connection cannot go on.
        """
        loop = asyncio.get_running_loop()
        self.socket: HubSocket | None = None
        self.over: asyncio.Future[str] = loop.create_future()  # why it ended
        self._opened: asyncio.Future[None] = loop.create_future()
        self._protocol = protocol
        self._counts = counts
        self._dispatch, self._take, self._taken, self._trouble = dispatch, take, taken, trouble
        self._boot_ns, self._recv_ns = boot_clock, recv_clock
        self.last_recv_ns = boot_clock()
        self._waiting: deque[tuple[bytes, int, int]] = deque()
        self._worker: asyncio.Task[None] | None = None

    def attach(self, socket: HubSocket) -> None:
        """The socket is open; what came with the upgrade is worked off."""
        self.socket = socket
        self._work()

    async def handshake(self) -> None:
        """Send the request and wait for what comes of it; ConnectionError when the connection ends first."""
        assert self.socket is not None
        self.last_recv_ns = self._boot_ns()
        await self.socket.send(self._protocol.handshake())
        outcomes: list[asyncio.Future[Any]] = [self._opened, self.over]
        await asyncio.wait(outcomes, return_when=asyncio.FIRST_COMPLETED)
        if not self._opened.done():
            raise ConnectionError("the hub connection was lost")

    def end(self, reason: str) -> None:
        """Nothing is processed from here on."""
        if not self.over.done():
            self.over.set_result(reason)
        self._waiting.clear()
        if self._worker is not None:
            self._worker.cancel()

    # -------------------------------------------------------------------------------------------------------- sink
    def on_data(self, data: bytes, messages: int) -> None:
        if self.over.done():
            return
        self.last_recv_ns = self._boot_ns()
        self._counts["messages"] += messages
        self._counts["bytes"] += len(data)
        self._waiting.append((data, 0, self._recv_ns()))
        if self.socket is not None and self._worker is None:
            self._work()

    def on_closed(self, reason: str) -> None:
        if self._worker is not None and not self.over.done():
            self._worker.add_done_callback(lambda _: self.end(reason))  # what has arrived is worked off first
        else:
            self.end(reason)

    # -------------------------------------------------------------------------------------------------------- work
    def _work(self) -> None:
        if not self._step():
            assert self.socket is not None
            self.socket.pause()
            self._worker = asyncio.get_running_loop().create_task(self._go_on())

    async def _go_on(self) -> None:
        assert self.socket is not None
        try:
            while True:
                answer = self._protocol.data_to_send()
                if answer:
                    await self.socket.send(answer)
                else:
                    await asyncio.sleep(0)
                if self._step():
                    break
            with contextlib.suppress(OSError, RuntimeError):
                self.socket.resume()
        except ConnectionError:
            self._waiting.clear()
        finally:
            self._worker = None

    def _step(self) -> bool:
        """One turn's work; False when there is more, or an answer to be sent."""
        began_ns = self._boot_ns()
        waiting = self._waiting
        left = YIELD_RECORDS
        try:
            while waiting and left > 0:
                data, at, recv_ns = waiting[0]
                at, weight = self._some(data, at, recv_ns)
                left -= weight
                if self.over.done():
                    return True
                if at == len(data):
                    waiting.popleft()
                else:
                    waiting[0] = (data, at, recv_ns)
        except Exception as error:  # what was taken of it is not known any more: the owner marks a gap
            self._counts["handler_errors"] += 1
            self._trouble(f"handler failed: {type(error).__name__}")
            return True
        if self._protocol.state is not signalr.State.HANDSHAKE and not self._opened.done():
            self._opened.set_result(None)
        if self._boot_ns() - began_ns > SLOW_TURN_NS:
            self._counts["slow_batches"] += 1
        return not waiting and not self._protocol.has_answer

    def _some(self, data: bytes, at: int, recv_ns: int) -> tuple[int, int]:
        """(where the next record begins, how much of a turn it was): many records in bulk, or one."""
        protocol = self._protocol
        if self._take is not None and protocol.between_records:
            end, records = self._take(data, at, recv_ns)
            if records:
                protocol.passed(records, end - at)
                self._counts["records"] += records
                self._taken(records)
                return end, 1 + records // BULK_WEIGHT
        end = data.find(_END, at) + 1 or len(data)
        for message in protocol.receive(data if end - at == len(data) else data[at:end]):
            self._dispatch(message, recv_ns)
        return end, 1
