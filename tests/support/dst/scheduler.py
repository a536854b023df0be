"""Virtual time and cooperative tasks: every thread of the engine runs as a greenlet, one at a time, in a seeded order.

Time passes only while nothing runs. A task belongs to a group (one life of the executor); a dead group's tasks are
never resumed, which is what SIGKILL does to threads: no handler, no `finally`.
"""

import heapq
import random
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
WORLD = 0  # the group of everything that is not the executor: it never dies
_WAKE_JITTER_NS = 200_000  # a woken thread runs within this time: the seed chooses who comes first


class Deadlock(AssertionError):
    """Too many events without time passing."""


class Scheduler:
    """`now_ns` is the boot clock. Events at one instant run in the order in which they were asked for."""

    def __init__(self, seed: int, start_ns: int) -> None:
        self.now_ns = start_ns
        self.random = random.Random(f"scheduler/{seed}")
        self.slow_until_ns: dict[int, int] = {}  # group -> its tasks do not run before (a starved or stopped process)
        self.events = 0
        self.error: BaseException | None = None
        self._heap: list[tuple[int, int, int, Callable[[], None]]] = []
        self._number = 0
        self._dead: set[int] = set()
        self._hub: Any = getcurrent()
        self._groups: dict[Any, int] = {}
        self._graveyard: list[Any] = []

    # ------------------------------------------------------------------------------------------------------ events
    def at(self, at_ns: int, action: Callable[[], None], group: int = WORLD) -> None:
        """Run `action` in the hub at a boot time."""
        self._number += 1
        heapq.heappush(self._heap, (max(at_ns, self.now_ns), self._number, group, action))

    def after(self, delay_ns: int, action: Callable[[], None], group: int = WORLD) -> None:
        """Run `action` in the hub, `delay_ns` from now."""
        self.at(self.now_ns + delay_ns, action, group)

    def run_until(self, end_ns: int) -> None:
        """Everything that is due before `end_ns`; then the clock stands there. Raises what a task did not catch."""
        self._hub = getcurrent()
        heap, dead, slow = self._heap, self._dead, self.slow_until_ns
        while heap and heap[0][0] <= end_ns:
            at_ns, _, group, action = heapq.heappop(heap)
            if group in dead:
                continue
            if slow and at_ns < slow.get(group, 0):
                self.at(slow[group], action, group)
                continue
            self.now_ns = max(self.now_ns, at_ns)
            self.events += 1
            action()
            if self.error is not None:
                error, self.error = self.error, None
                raise error
        self.now_ns = max(self.now_ns, end_ns)

    # ------------------------------------------------------------------------------------------------------- tasks
    @property
    def group(self) -> int:
        """Group of the task that runs now."""
        return self._groups.get(getcurrent(), WORLD)

    @property
    def in_task(self) -> bool:
        """Whether a task runs now, and not the hub."""
        return getcurrent() in self._groups

    def spawn(self, run: Callable[[], None], group: int) -> Any:
        """A new task; it begins at once, but after what runs now."""

        def body() -> None:
            try:
                run()
            except Exception as error:
                self.error = self.error or error
            finally:
                self._groups.pop(task, None)

        task = greenlet(body, parent=self._hub)
        self._groups[task] = group
        self._resume(task, group, 0)
        return task

    def _resume(self, task: Any, group: int, delay_ns: int) -> None:
        def switch() -> None:
            task.parent = self._hub
            task.switch()

        self.after(delay_ns + self.random.randrange(_WAKE_JITTER_NS), switch, group)

    def sleep(self, delay_ns: int) -> None:
        """The running task waits. In the hub: nothing, time cannot pass there."""
        task = getcurrent()
        if task not in self._groups:
            return
        self._resume(task, self._groups[task], max(0, delay_ns))
        self._hub.switch()

    def park(self) -> Any:
        """For `wake`: the running task; call `suspend` next."""
        return getcurrent()

    def suspend(self) -> None:
        """The running task stands until somebody wakes it."""
        self._hub.switch()

    def wake(self, task: Any) -> None:
        """Let a suspended task go on."""
        group = self._groups.get(task)
        if group is not None and group not in self._dead:
            self._resume(task, group, 0)

    def kill(self, group: int) -> None:
        """SIGKILL: no task of the group runs on, not even the one that asked for this."""
        self._dead.add(group)
        self._graveyard += [task for task, owner in self._groups.items() if owner == group]
        if self._groups.get(getcurrent()) == group:
            self._hub.switch()

    def is_dead(self, group: int) -> bool:
        return group in self._dead

    def bury(self) -> None:
        """End all tasks for good; the run is over and what they do now concerns nobody."""
        tasks = [*self._graveyard, *self._groups]
        self._heap.clear()
        self._dead.update(self._groups.values())
        for task in tasks:
            task.parent = getcurrent()
            try:
                if task:
                    task.throw()
            except BaseException:
                continue
        self._graveyard.clear()
        self._groups.clear()


class Event:
    """threading.Event in virtual time."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._set = False
        self._waiters: list[Any] = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        waiters, self._waiters = self._waiters, []
        for token in waiters:
            if not token.done:
                token.done = True
                self._scheduler.wake(token.task)

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Until it is set, or `timeout` seconds; whether it is set."""
        if self._set or not self._scheduler.in_task:
            return self._set
        _wait(self._scheduler, self._waiters, timeout)
        return self._set


class _Token:
    """A task that waits for something."""

    __slots__ = ("done", "task", "woken")

    def __init__(self, task: Any) -> None:
        self.task, self.done, self.woken = task, False, True


def _wait(scheduler: Scheduler, waiters: list[Any], timeout: float | None) -> bool:
    """Stand in `waiters` until woken or for `timeout` seconds; whether somebody woke us."""
    token = _Token(scheduler.park())
    waiters.append(token)
    if timeout is not None:

        def expire() -> None:
            if not token.done:
                token.done, token.woken = True, False
                scheduler.wake(token.task)

        scheduler.after(int(timeout * NS_PER_S), expire, scheduler.group)
    scheduler.suspend()
    if token in waiters:
        waiters.remove(token)
    return bool(token.woken)


class Lock:
    """threading.Lock and RLock in virtual time; who waits longest comes first."""

    def __init__(self, scheduler: Scheduler, *, again: bool = False) -> None:
        self._scheduler = scheduler
        self._owner: Any = None
        self._depth = 0
        self._again = again
        self._waiters: list[Any] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = getcurrent()
        if self._owner is None or (self._again and self._owner is me):
            self._owner, self._depth = me, self._depth + 1
            return True
        if not blocking:
            return False
        if not self._scheduler.in_task:
            raise Deadlock("the hub waits for a lock")
        if not _wait(self._scheduler, self._waiters, None if timeout < 0 else timeout):
            return False
        assert self._owner is me, "a lock is handed over to who was woken"
        return True

    def release(self) -> None:
        self._depth -= 1
        if self._depth:
            return
        self._owner = None
        while self._waiters:
            token = self._waiters.pop(0)
            if not token.done:
                token.done = True
                self._owner, self._depth = token.task, 1
                self._scheduler.wake(token.task)
                return

    def locked(self) -> bool:
        return self._owner is not None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()


class Condition:
    """threading.Condition in virtual time. One task runs at a time, so its lock guards nothing across no wait."""

    def __init__(self, scheduler: Scheduler, lock: Lock | None = None) -> None:
        self._scheduler = scheduler
        self._lock = lock or Lock(scheduler, again=True)
        self._waiters: list[Any] = []

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *exc: object) -> None:
        self._lock.release()

    def acquire(self, *args: Any) -> bool:
        return self._lock.acquire(*args)

    def release(self) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        self._lock.release()
        woken = _wait(self._scheduler, self._waiters, timeout)
        self._lock.acquire()
        return woken

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        end_ns = None if timeout is None else self._scheduler.now_ns + int(timeout * NS_PER_S)
        while not predicate():
            left = None if end_ns is None else (end_ns - self._scheduler.now_ns) / NS_PER_S
            if left is not None and left <= 0:
                return False
            self.wait(left)
        return True

    def notify(self, n: int = 1) -> None:
        while n and self._waiters:
            token = self._waiters.pop(0)
            if not token.done:
                token.done = True
                self._scheduler.wake(token.task)
                n -= 1

    def notify_all(self) -> None:
        self.notify(len(self._waiters))


class Thread:
    """threading.Thread as a task of the life that starts it."""

    def __init__(
        self,
        scheduler: Scheduler,
        target: Callable[..., object],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        daemon: bool | None = None,
        name: str = "",
    ) -> None:
        self._scheduler = scheduler
        self._run = lambda: target(*args, **(kwargs or {}))
        self.daemon, self.name = daemon, name
        self._ended = Event(scheduler)
        self._started = False

    def start(self) -> None:
        def body() -> None:
            try:
                self._run()
            finally:
                self._ended.set()

        self._started = True
        self._scheduler.spawn(body, self._scheduler.group)

    def join(self, timeout: float | None = None) -> None:
        self._ended.wait(timeout)

    def is_alive(self) -> bool:
        return self._started and not self._ended.is_set()
