"""The machine under the engine: clocks, threads, pipes, randomness and SQLite as every module of tbot sees them.

The engine's own modules run unchanged. While a machine is installed, the names `time`, `threading`, `secrets`, `os` and
`sqlite3` in their globals stand for the objects here; a real clock or thread has no way in, which is what makes a run a
function of its seed (I32).
"""

import contextlib
import os as real_os
import random
import secrets as real_secrets
import sqlite3 as real_sqlite3
import sys
import threading as real_threading
import time as real_time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import ModuleType
from typing import Any

from dst.scheduler import Condition, Event, Lock, Scheduler, Thread

SqlHook = Callable[[str, str], None]  # (file name, statement) before it is executed; may raise
FileHook = Callable[[str, int], None]  # (what, file descriptor) before it is done; may raise


class Clock:
    """`boot_ns` never steps; `wall_ns` is boot time plus an offset that a fault may change."""

    def __init__(self, scheduler: Scheduler, offset_ns: int) -> None:
        self.scheduler = scheduler
        self.offset_ns = offset_ns

    def boot_ns(self) -> int:
        return self.scheduler.now_ns

    def wall_ns(self) -> int:
        return self.scheduler.now_ns + self.offset_ns


class _Stand:
    """A module's stand-in: what is not here is the real module's, if it is among the harmless names."""

    _real: ModuleType
    _harmless: frozenset[str] = frozenset()

    def __getattr__(self, name: str) -> Any:
        if name in self._harmless or name.isupper():
            return getattr(self._real, name)
        raise AttributeError(f"{self._real.__name__}.{name} has no place in a simulated run")


class _Time(_Stand):
    _real = real_time
    _harmless = frozenset({"gmtime", "strftime", "struct_time", "perf_counter_ns", "thread_time_ns", "process_time_ns"})

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def clock_gettime_ns(self, which: int) -> int:
        return self._clock.wall_ns() if which == real_time.CLOCK_REALTIME else self._clock.boot_ns()

    def time_ns(self) -> int:
        return self._clock.wall_ns()

    def time(self) -> float:
        return self._clock.wall_ns() / 1e9

    def monotonic(self) -> float:
        return self._clock.boot_ns() / 1e9

    def monotonic_ns(self) -> int:
        return self._clock.boot_ns()

    def sleep(self, seconds: float) -> None:
        self._clock.scheduler.sleep(int(seconds * 1e9))


class _Threading(_Stand):
    _real = real_threading
    _harmless = frozenset({"local", "current_thread", "main_thread", "get_ident"})

    def __init__(self, scheduler: Scheduler) -> None:
        self.Thread = partial(Thread, scheduler)
        self.Condition = partial(Condition, scheduler)
        self.Lock = partial(Lock, scheduler)
        self.RLock = partial(Lock, scheduler, again=True)
        self.Event = partial(Event, scheduler)


class _Secrets(_Stand):
    _real = real_secrets
    _harmless = frozenset({"compare_digest"})

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"secrets/{seed}")

    def token_bytes(self, count: int = 32) -> bytes:
        return self._random.randbytes(count)

    def token_hex(self, count: int = 32) -> str:
        return self._random.randbytes(count).hex()

    def token_urlsafe(self, count: int = 32) -> str:
        return self._random.randbytes(count).hex()


class _Pipes(_Stand):
    """`os` of the live broker: its wake-up pipe is one flag, so that thousands of looks cost no system call."""

    _real = real_os

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine

    def pipe(self) -> tuple[int, int]:
        number = self._machine.new_pipe()
        return number, number

    def set_blocking(self, descriptor: int, blocking: bool) -> None:
        """Pipes here never block."""

    def write(self, descriptor: int, data: bytes) -> int:
        self._machine.pipes[descriptor] = True
        self._machine.on_pipe()
        return len(data)

    def read(self, descriptor: int, count: int) -> bytes:
        ready, self._machine.pipes[descriptor] = self._machine.pipes[descriptor], False
        return b"\0" if ready else b""

    def close(self, descriptor: int) -> None:
        """Nothing is held."""


class _Files(_Stand):
    """`os` of the small files beside the journal: writes and syncs pass the disk first."""

    _real = real_os

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine

    def __getattr__(self, name: str) -> Any:
        return getattr(real_os, name)

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        self._machine.on_file("write", descriptor)
        return real_os.pwrite(descriptor, data, offset)

    def fdatasync(self, descriptor: int) -> None:
        self._machine.on_file("sync", descriptor)  # what this costs is in the disk's model, not on the test machine


class _Sqlite(_Stand):
    """`sqlite3` of the journal: statements of the writing connection pass the disk first."""

    _real = real_sqlite3

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine

    def __getattr__(self, name: str) -> Any:
        return getattr(real_sqlite3, name)

    def connect(self, database: Any, **options: Any) -> Any:
        name = str(database)
        machine = self._machine

        class Hooked(real_sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> Any:
                machine.on_sql(name, sql)
                # The disk's model says what a sync costs and what a crash loses; real syncs would only take time.
                done = super().execute(sql.replace("synchronous = FULL", "synchronous = OFF"), *args)
                machine.after_sql(name, sql)
                return done

            def executemany(self, sql: str, *args: Any) -> Any:
                machine.on_sql(name, sql)
                done = super().executemany(sql, *args)
                machine.after_sql(name, sql)
                return done

        return real_sqlite3.connect(database, factory=Hooked, **options)


class Machine:
    """One simulated computer. `install` puts it under tbot for a while."""

    def __init__(self, scheduler: Scheduler, clock: Clock, seed: int) -> None:
        self.scheduler, self.clock = scheduler, clock
        self.random = random.Random(f"machine/{seed}")
        self.pipes: dict[int, bool] = {}
        self.on_pipe: Callable[[], None] = lambda: None
        self.on_sql: SqlHook = lambda name, sql: None
        self.after_sql: SqlHook = lambda name, sql: None
        self.on_file: FileHook = lambda what, descriptor: None
        self._seed = seed

    def new_pipe(self) -> int:
        """A descriptor that no real file has."""
        number = 1_000_000 + len(self.pipes)
        self.pipes[number] = False
        return number

    @contextlib.contextmanager
    def install(self, names: Mapping[tuple[str, str], Any]) -> Iterator[None]:
        """Patch tbot; `names` are further single names: (module, name) -> what stands there."""
        own_time = _Time(self.clock)
        stands: dict[str, tuple[Any, Any]] = {
            "time": (real_time, own_time),
            "threading": (real_threading, _Threading(self.scheduler)),
            "secrets": (real_secrets, _Secrets(self._seed)),
        }
        special: dict[tuple[str, str], Any] = {
            ("tbot.gateway.live_broker", "os"): _Pipes(self),
            ("tbot.storage.journal_files", "os"): _Files(self),
            ("tbot.storage.journal", "sqlite3"): _Sqlite(self),
        }
        undo: list[tuple[dict[str, Any], str, Any]] = []

        def put(space: dict[str, Any], name: str, value: Any) -> None:
            undo.append((space, name, space[name]))
            space[name] = value

        exchange_time = _Time(Clock(self.scheduler, self.clock.offset_ns))  # the gateway's clock is never stepped
        for module_name, module in list(sys.modules.items()):
            if module is None or not module_name.startswith("tbot."):
                continue
            space = module.__dict__
            for name, (real, stand) in stands.items():
                if space.get(name) is real:
                    put(space, name, exchange_time if stand is own_time and ".sim." in module_name else stand)
        for (module_name, name), stand in {**special, **names}.items():
            put(sys.modules[module_name].__dict__, name, stand)
        self._put_defaults(put)
        try:
            yield
        finally:
            for space, name, value in reversed(undo):
                space[name] = value

    def _put_defaults(self, put: Callable[[dict[str, Any], str, Any], None]) -> None:
        """Defaults that were bound to a real clock or generator when their module was read."""
        from tbot.gateway.rest import RestClient

        defaults = RestClient.__init__.__kwdefaults__
        put(defaults, "wall_ns", self.clock.wall_ns)
        put(defaults, "random", self.random.random)
