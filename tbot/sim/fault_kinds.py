"""What a fault of the simulator is: name, arguments, and what its counters count. The table is `fault_catalogue`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ArgKind = Literal["integer", "number", "text", "flag", "integers", "numbers", "json"]
EventKind = Literal["request", "record", "connect"]


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument. `filters`: the fault meets only events that have this value; an empty text takes all."""

    name: str
    kind: ArgKind
    default: Any = REQUIRED
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    filters: bool = False


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One name. `counts`: the events that `after` and `p` are about, narrowed by `where` and the filtering arguments.

    `acts`: with `at` it happens by itself at that time; the others wait for their next event. `lasts`: without `for`
    it is over after one event, or stays on until the end.
    """

    name: str
    about: str
    counts: EventKind
    args: tuple[Arg, ...] = ()
    lasts: Literal["once", "on"] = "once"
    acts: bool = False
    where: Mapping[str, str] = field(default_factory=dict)

    def arg(self, name: str) -> Arg | None:
        return next((arg for arg in self.args if arg.name == name), None)

    @property
    def counted(self) -> str:
        """What `after` and `p` count, in words."""
        if self.counts == "request":
            return f"{self.where['endpoint']} requests" if "endpoint" in self.where else "requests"
        hub = f" of the {self.where['hub']} hub" if "hub" in self.where else ""
        return ("records" if self.counts == "record" else "connections") + hub
