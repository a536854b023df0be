"""Which fault fires for which event: plan, seeded chance and times passed in; no clock and no I/O.

The shells ask in three ways. `hits(event, moment)` counts an event and gives the faults that meet it. `due(moment)`,
from the pump, gives what begins or ends by itself. `active(name, ...)` only looks. Chance is drawn per fault from a
generator of its own, once per event it is about, so that the same events give the same faults whatever else is planned.
"""

import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tbot.domain.timeframes import NS_PER_S
from tbot.sim.fault_kinds import EventKind
from tbot.sim.fault_plan import Fault

LOG_LENGTH = 10_000
_FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Moment:
    """When something happens: market time, and seconds of the boot clock (durations are real time)."""

    market_ns: int
    real_s: float


@dataclass(frozen=True, slots=True)
class Event:
    """Something a fault may be about. `about` holds what the filtering arguments are compared with, in lower case;
    a contract goes by several names."""

    kind: EventKind
    about: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        parts = [f"{name}={values[0]}" for name, values in self.about.items() if values]
        return " ".join([self.kind, *parts])


@dataclass(slots=True)
class Hit:
    """A fault that fires now. `random` is its own generator for what it chooses; `number` counts its firings."""

    fault: Fault
    number: int
    since_s: float  # when this episode began
    random: random.Random

    @property
    def name(self) -> str:
        return self.fault.name

    def __getitem__(self, name: str) -> Any:
        return self.fault.args[name]


@dataclass(frozen=True, slots=True)
class Change:
    """A fault begins or ends by itself."""

    hit: Hit
    what: Literal["begin", "end"]


@dataclass(frozen=True, slots=True)
class Firing:
    """One entry of the log."""

    fault: str
    name: str
    number: int
    event: str
    market_ns: int


@dataclass(slots=True)
class _Running:
    """One fault and where it stands."""

    fault: Fault
    at_ns: int | None
    chance: random.Random
    choice: random.Random
    seen: int = 0
    fired: int = 0
    begun: bool = False  # of an `at`: it has had its time
    since_s: float = 0.0
    until_s: float | None = None  # active to this real time, None: not by time
    left: int = 0  # active for so many more events
    act_ends: bool = False  # an acting fault whose end is still to be told

    def is_active(self, now_s: float) -> bool:
        if self.until_s is not None and now_s >= self.until_s:
            self.until_s = None
        return self.until_s is not None or self.left > 0

    def begin(self, now_s: float) -> None:
        fault = self.fault
        self.begun, self.since_s = True, now_s
        if fault.seconds is not None:
            self.until_s = now_s + fault.seconds
        elif fault.events is not None:
            self.left = fault.events
        elif fault.kind.lasts == "on":
            self.until_s = _FOREVER
        else:
            self.left = 1
        if fault.kind.acts:
            self.left = 0  # done at once; only a time can still have an end
            self.act_ends = self.until_s is not None

    def hit(self) -> Hit:
        self.fired += 1
        return Hit(self.fault, self.fired, self.since_s, self.choice)


@dataclass(slots=True)
class FaultBoard:
    """All faults of a run. `start_ns` is the market time that `at` counts from."""

    seed: int
    start_ns: int
    log: deque[Firing] = field(default_factory=lambda: deque(maxlen=LOG_LENGTH))
    counts: Counter[str] = field(default_factory=Counter)  # firings by name, of stopped faults too
    _running: dict[str, _Running] = field(default_factory=dict)
    _by_event: dict[str, list[_Running]] = field(default_factory=dict)

    def add(self, faults: Iterable[Fault]) -> None:
        """More faults; their ids are new (parse_plan has seen to it)."""
        for fault in faults:
            at_ns = fault.at_ns
            if fault.at_s is not None:
                at_ns = self.start_ns + round(fault.at_s * NS_PER_S)
            chance, choice = (random.Random(f"{self.seed}/{fault.id}/{use}") for use in ("chance", "choice"))
            running = _Running(fault, at_ns, chance, choice)
            self._running[fault.id] = running
            self._by_event.setdefault(fault.kind.counts, []).append(running)

    @property
    def idle(self) -> bool:
        """No fault is planned."""
        return not self._running

    @property
    def ids(self) -> list[str]:
        return list(self._running)

    def watches(self, kind: EventKind, hub: str = "") -> bool:
        """Whether any fault is about such events (of this hub); if not, nobody needs to ask about each of them."""
        for running in self._by_event.get(kind, ()):
            wanted = running.fault.kind.where.get("hub") or running.fault.args.get("hub") or hub
            if wanted in (hub, "both") or not hub:
                return True
        return False

    def greatest(self, name: str, argument: str) -> float | None:
        """The greatest value of an argument among the planned faults of a name; None when there is none."""
        return max((one.fault.args[argument] for one in self._running.values() if one.fault.name == name), default=None)

    def calm(self, moment: Moment) -> list[Change]:
        """Stop everything; returns the ends of what was acting."""
        ends = [
            Change(Hit(running.fault, running.fired, running.since_s, running.choice), "end")
            for running in self._running.values()
            if running.act_ends and running.is_active(moment.real_s)
        ]
        self._running.clear()
        self._by_event.clear()
        return ends

    # ------------------------------------------------------------------------------------------------------ events
    def hits(self, event: Event, moment: Moment) -> list[Hit]:
        """Count one event; the faults that it meets, in the order of the plan."""
        return [
            self._log(running, event, moment)
            for running in self._by_event.get(event.kind, ())
            if _matches(running.fault, event) and self._meets(running, moment)
        ]

    def _meets(self, running: _Running, moment: Moment) -> bool:
        fault = running.fault
        draw = running.chance.random() if fault.p is not None else 1.0
        if running.is_active(moment.real_s):
            if fault.kind.acts:
                return False  # what it does is done already
        else:
            if fault.p is not None:
                starts = draw < fault.p
            elif fault.after is not None:
                running.seen += 1
                starts = running.seen == fault.after
            else:
                starts = not fault.kind.acts and self._is_time(running, moment)
            if not starts:
                return False
            running.begin(moment.real_s)
        if running.left > 0:
            running.left -= 1
        return True

    @staticmethod
    def _is_time(running: _Running, moment: Moment) -> bool:
        return running.at_ns is not None and not running.begun and moment.market_ns >= running.at_ns

    def _log(self, running: _Running, event: Event | str, moment: Moment) -> Hit:
        hit = running.hit()
        self.counts[running.fault.name] += 1
        self.log.append(Firing(running.fault.id, running.fault.name, hit.number, str(event), moment.market_ns))
        return hit

    # ------------------------------------------------------------------------------------------------------- clock
    def due(self, moment: Moment) -> list[Change]:
        """What begins or ends by now. Faults that wait for an event are armed; acting ones are told."""
        changes: list[Change] = []
        for running in self._running.values():
            kind = running.fault.kind
            if self._is_time(running, moment):
                running.begin(moment.real_s)
                if kind.acts:
                    changes.append(Change(self._log(running, "clock", moment), "begin"))
            elif running.act_ends and not running.is_active(moment.real_s):
                running.act_ends = False
                changes.append(Change(Hit(running.fault, running.fired, running.since_s, running.choice), "end"))
        return changes

    def active(self, name: str, real_s: float, **about: str) -> Hit | None:
        """The first fault of this name that is on and agrees with `about`; nothing is counted."""
        for running in self._running.values():
            fault = running.fault
            if (
                fault.name == name
                and running.is_active(real_s)
                and all(_agrees(fault, *pair) for pair in about.items())
            ):
                return Hit(fault, running.fired, running.since_s, running.choice)
        return None

    def state(self, real_s: float) -> list[dict[str, Any]]:
        """Every planned fault with its counters, for people and tests."""
        return [
            {
                "id": running.fault.id,
                "name": running.fault.name,
                "args": running.fault.args,
                "active": running.is_active(real_s),
                "seen": running.seen,
                "fired": running.fired,
            }
            for running in self._running.values()
        ]


def _matches(fault: Fault, event: Event) -> bool:
    for name, value in fault.kind.where.items():
        if value.lower() not in event.about.get(name, ()):
            return False
    for arg in fault.kind.args:
        wanted = fault.args[arg.name] if arg.filters else ""
        if wanted and str(wanted).lower() not in event.about.get(arg.name, ()):
            return False
    return True


def _agrees(fault: Fault, name: str, value: str) -> bool:
    wanted = fault.kind.where.get(name) or fault.args.get(name) or value
    return bool(wanted == value)
