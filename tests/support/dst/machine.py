"""The machine under the engine: clocks, threads, pipes, randomness and SQLite as every module of tbot sees them.

The engine's own modules run unchanged. While a machine is installed, the names `time`, `threading`, `secrets`, `os` and
`sqlite3` in their globals stand for the objects here; a real clock or thread has no way in, which is what makes a run a
function of its seed (I32).
"""

import contextlib
import os as real_os
import pathlib
import random
import secrets as real_secrets
import sqlite3 as real_sqlite3
import sys
import threading as real_threading
import time as real_time
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
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
        self.slept_ns = 0

    def boot_ns(self) -> int:
        return self.scheduler.now_ns

    def wall_ns(self) -> int:
        return self.scheduler.now_ns + self.offset_ns

    def mono_ns(self) -> int:
        """Does not count the time that the machine slept."""
        return self.scheduler.now_ns - self.slept_ns


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
        return self._clock.wall_ns() if which == real_time.CLOCK_REALTIME else self._clock.scheduler.now_ns

    def time_ns(self) -> int:
        return self._clock.wall_ns()

    def time(self) -> float:
        return self._clock.wall_ns() / 1e9

    def monotonic(self) -> float:
        return self._clock.mono_ns() / 1e9

    def monotonic_ns(self) -> int:
        return self._clock.mono_ns()

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
        self.on_rename: Callable[[str, str], None] = lambda what, name: None
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
        exchange_time = _Time(Clock(self.scheduler, self.clock.offset_ns))  # the gateway's clock is never stepped
        threading, secrets = _Threading(self.scheduler), _Secrets(self._seed)
        special: dict[tuple[str, str], Any] = {
            ("tbot.gateway.lanes", "os"): _Pipes(self),
            ("tbot.storage.journal_files", "os"): _Files(self),
            ("tbot.storage.journal", "sqlite3"): _Sqlite(self),
        }
        with contextlib.ExitStack() as undo:

            def put(space: dict[str, Any], name: str, value: Any) -> None:
                undo.callback(space.__setitem__, name, space[name])
                space[name] = value

            for module_name, module in _modules():
                space = module.__dict__
                clock = exchange_time if ".sim." in module_name else own_time
                for name, real, stand in (
                    ("time", real_time, clock),
                    ("threading", real_threading, threading),
                    ("secrets", real_secrets, secrets),
                ):
                    if space.get(name) is real:
                        put(space, name, stand)
            for (module_name, name), stand in {**special, **names}.items():
                put(sys.modules[module_name].__dict__, name, stand)
            self._put_defaults(undo)
            self._put_renames(undo)
            yield

    def _put_defaults(self, undo: contextlib.ExitStack) -> None:
        """Defaults that were bound to a real clock or generator when their module was read."""
        stands = {
            real_time.time_ns: self.clock.wall_ns,
            real_time.monotonic_ns: self.clock.mono_ns,
            random.random: self.random.random,
        }

        def stand(value: Any) -> Any:
            return stands.get(value, value) if callable(value) else value

        for function in _bound_to_clocks():
            undo.callback(setattr, function, "__defaults__", function.__defaults__)
            undo.callback(setattr, function, "__kwdefaults__", function.__kwdefaults__)
            function.__defaults__ = tuple(map(stand, function.__defaults__ or ())) or None
            keywords = function.__kwdefaults__
            function.__kwdefaults__ = keywords and {name: stand(value) for name, value in keywords.items()}

    def _put_renames(self, undo: contextlib.ExitStack) -> None:
        """Renames of the journal's files are told before they happen."""
        rename, replace = pathlib.Path.rename, pathlib.Path.replace

        def told(do: Callable[..., Any], what: str) -> Callable[..., Any]:
            def noted(path: pathlib.Path, target: Any) -> Any:
                if path.name.startswith("journal.db"):
                    self.on_rename(what, path.name)
                return do(path, target)

            return noted

        undo.callback(setattr, pathlib.Path, "rename", rename)
        undo.callback(setattr, pathlib.Path, "replace", replace)
        pathlib.Path.rename = told(rename, "rename")  # type: ignore[method-assign]
        pathlib.Path.replace = told(replace, "replace")  # type: ignore[method-assign]


def _modules() -> list[tuple[str, ModuleType]]:
    return [(name, module) for name, module in list(sys.modules.items()) if module and name.startswith("tbot.")]


@cache
def _bound_to_clocks() -> list[Any]:
    """Every function and method of tbot with a default that is a real clock or generator."""
    real = (real_time.time_ns, real_time.monotonic_ns, random.random)
    found = []
    for module_name, module in _modules():
        for thing in vars(module).values():
            if getattr(thing, "__module__", None) != module_name:
                continue
            for function in vars(thing).values() if isinstance(thing, type) else (thing,):
                defaults = getattr(function, "__defaults__", None) or ()
                keywords = getattr(function, "__kwdefaults__", None) or {}
                if any(callable(value) and value in real for value in (*defaults, *keywords.values())):
                    found.append(function)
    return found
