"""What stands around the executor's code in the simulation: its sockets, its heartbeat, its journal, its budget.

The executor itself (tbot.engine.executor and everything below it) runs as it is.
"""

from collections.abc import Callable, Iterator
from typing import Any

from dst.scheduler import NS_PER_S, Event, Scheduler
from tbot.domain.messages import DeskInput, DeskOutput
from tbot.errors import JournalError
from tbot.execution.desk import Desk
from tbot.execution.settings import DeskSettings
from tbot.gateway.throttle import SlidingWindow
from tbot.storage.journal import Journal
from tbot.storage.journal_beside import JournalBeside
from tbot.transport import sockets

BUSY_NS, IDLE_NS = 100_000_000, 500_000_000  # how often the executor's loop looks when nothing wakes it
BEAT_NS = 250_000_000  # C_HEARTBEAT


class SimRouter:
    """The executor's end of the message sockets."""

    def __init__(self, on_send: Callable[[bytes, bytes], None]) -> None:
        self.inbox: list[tuple[bytes, bytes]] = []
        self._on_send = on_send
        self.closed = False

    malformed = 0

    def drain(self, _limit: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """(sender, data) of what has come."""
        found, self.inbox = self.inbox, []
        yield from found

    def send(self, payload: bytes, to: bytes = b"") -> bool:
        self._on_send(payload, to)
        return True

    def close(self, *, linger_ms: int = 0) -> None:
        self.closed = True


class SimWaiter:
    """Waits for messages, for the broker's pipe, or for a while."""

    def __init__(
        self, scheduler: Scheduler, router: SimRouter, pipes: dict[int, bool], busy: Callable[[], bool]
    ) -> None:
        self._router = router
        self._pipes = pipes
        self._busy = busy
        self._sources: list[int] = []
        self._news = Event(scheduler)

    def add(self, source: Any) -> None:
        if isinstance(source, int):
            self._sources.append(source)

    def remove(self, source: Any) -> None:
        if source in self._sources:
            self._sources.remove(source)

    def poke(self) -> None:
        """Something may be ready."""
        if self._router.inbox or any(self._pipes.get(source) for source in self._sources):
            self._news.set()

    def wait(self, timeout_ns: int) -> list[Any]:
        self._news.clear()
        if not self._router.inbox and not any(self._pipes.get(source) for source in self._sources):
            # Longer than asked for when nothing is open: a look more often would see the same and cost the seed's time.
            self._news.wait(max(timeout_ns, BUSY_NS if self._busy() else IDLE_NS) / NS_PER_S)
        return []


class SimBeat:
    """The executor's voice: keeps the newest status, counts, and what was told."""

    def __init__(
        self,
        scheduler: Scheduler,
        on_beat: Callable[[str, dict[str, Any] | None], None],
        changes: Callable[[], int],
    ) -> None:
        """`changes` counts what could make the status another one."""
        self._scheduler = scheduler
        self._on_beat = on_beat
        self._changes = changes
        self._told_changes = -1
        self._next_ns = 0
        self.told: list[tuple[int, str, str, str]] = []
        self.dropped = 0

    def due(self) -> bool:
        return self._scheduler.now_ns >= self._next_ns

    def status_due(self) -> bool:
        """With every beat that has news: more often than the engine needs it, and never without a reason."""
        return self._changes() != self._told_changes

    def hurry(self) -> None:
        self._next_ns, self._told_changes = 0, -1

    def send(self, state: str, status: dict[str, Any] | None = None) -> None:
        self._next_ns = self._scheduler.now_ns + BEAT_NS
        if status is not None:
            self._told_changes = self._changes()
        self._on_beat(state, status)

    def event(self, now_ns: int, kind: str, contract: str, text: str) -> None:
        self.told.append((now_ns, kind, contract, text))

    def close(self) -> None:
        """Nothing is held."""


class WorldJournal(JournalBeside):
    """The journal of a real run. The world closes the last one when virtual time is over: nobody can wait then."""

    def close(self) -> None:
        talk: Any = self._talk
        if talk._scheduler.in_task:
            super().close()
        else:
            self._thread = None
            Journal.close(self)


def watched_journal(
    before: Callable[[DeskInput, list[DeskOutput]], None],
    after: Callable[[Any, DeskInput, list[DeskOutput], int], None],
    opened: Callable[[Any], None],
) -> type[Journal]:
    """The real journal, seen by the world: `before` and `after(journal, item, outputs, first seq)` each step."""

    class WatchedJournal(WorldJournal):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            opened(self)

        def record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
            before(item, outputs)
            first = self.last_seq + 1
            try:
                super().record(item, outputs)
            except JournalError:
                # With a full disk the rows wait on and come to the disk later; else they never will.
                after(self, item, outputs, 0 if self.broken else first)
                raise
            after(self, item, outputs, first)

    return WatchedJournal


def noted_window(note: Callable[[bool], None]) -> type[SlidingWindow]:
    """The real budget window; tells whether the request that it let through was protective."""

    class NotedWindow(SlidingWindow):
        def take(self, now_ns: int, protective: bool = False) -> bool:
            taken = super().take(now_ns, protective)
            note(protective)
            return taken

    return NotedWindow


class OnceDesk(Desk):
    """The real Desk. What it is asked in every turn of the loop is worked out once after each input: it is a fold."""

    def __init__(self, settings: DeskSettings) -> None:
        super().__init__(settings)
        self._view: dict[str, object] | None = None
        self._is_busy: bool | None = None

    def handle(self, item: DeskInput) -> list[DeskOutput]:
        try:
            return super().handle(item)
        finally:
            self._view = self._is_busy = None

    def view(self) -> dict[str, object]:
        if self._view is None:
            self._view = super().view()
        return self._view

    def busy(self) -> bool:
        if self._is_busy is None:
            self._is_busy = super().busy()
        return self._is_busy


class Sockets:
    """Stands for tbot.transport.sockets in the executor."""

    LINGER_MS = sockets.LINGER_MS

    def __init__(self, router: Callable[[], SimRouter], waiter: Callable[[SimRouter], SimWaiter]) -> None:
        self._router = router
        self._waiter = waiter

    def router(self, _path: Any) -> SimRouter:
        return self._router()

    def Waiter(self, *sources: Any) -> SimWaiter:
        """A class in the real module."""
        return self._waiter(sources[0])
