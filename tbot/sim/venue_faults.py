"""What a fault plan can ask of the simulated venue, as values, and the list of what was asked and has not happened yet.

Counted faults wait in `PendingFaults` until a request comes that they concern; the exchange takes them from there. The
names in the failure model are in `venue_controls.py`. Delays are nanoseconds of market time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

Which = Literal["sl", "tp", "both"]
BracketKind = Literal[
    "drop", "reject", "wrong_size", "wrong_price", "wrong_side", "suspended", "cancel_later", "no_oco"
]
Call = Literal["place", "modify", "cancel", "close"]
Fills = Literal["place", "close"]  # calls whose order can be told how to fill
TagRule = Literal["strict", "none", "working-only"]


def one_of(value: str, choices: Any, what: str) -> None:
    """ValueError unless `value` is one of a Literal's."""
    if value not in get_args(choices):
        raise ValueError(f"{what} is one of {', '.join(get_args(choices))}, not {value!r}")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which requests a counted fault concerns: the next `count` of an account and a product, None = any."""

    account: int | None = None
    contract: str | None = None
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"a fault concerns at least one request, not {self.count}")


@dataclass(frozen=True, slots=True)
class Partial:
    """The order fills in these sizes; part i not before `delays_ns[i]` after the part before it. The rest hangs."""

    sizes: tuple[int, ...]
    delays_ns: tuple[int, ...] = ()
    call: Fills = "place"

    def __post_init__(self) -> None:
        one_of(self.call, Fills, "a call whose order fills")
        if any(size < 1 for size in self.sizes) or any(delay < 0 for delay in self.delays_ns):
            raise ValueError(f"parts {self.sizes} with delays {self.delays_ns} are no parts of an order")

    def delay_ns(self, part: int) -> int:
        return self.delays_ns[part] if part < len(self.delays_ns) else 0


@dataclass(frozen=True, slots=True)
class Reject:
    """The call is answered with an error code of its endpoint."""

    call: Call
    code: int
    text: str | None = None
    with_id: bool = False  # a placement is recorded as a rejected order and its id returned

    def __post_init__(self) -> None:
        one_of(self.call, Call, "a call that can be refused")
        if self.code < 1:
            raise ValueError(f"a refusal has an error code of at least 1, not {self.code}")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A placement reaches the venue later, or never (None)."""

    after_ns: int | None


@dataclass(frozen=True, slots=True)
class CancelRace:
    """A cancel is answered OK, then the order fills: all that is left, or `size` of it and the rest is cancelled."""

    fill_after_ns: int = 0
    size: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise ValueError(f"a fill has a size of at least 1, not {self.size}")


@dataclass(frozen=True, slots=True)
class CancelSlow:
    """A cancel is answered OK and done later."""

    after_ns: int


@dataclass(frozen=True, slots=True)
class BracketFault:
    """What goes wrong with the legs of a bracket; `size`, `ticks` and `after_ns` belong to the kinds named so."""

    kind: BracketKind
    which: Which = "both"
    size: int = 0
    ticks: int = 0
    after_ns: int = 0

    def __post_init__(self) -> None:
        one_of(self.kind, BracketKind, "a fault of a bracket")
        one_of(self.which, Which, "a leg")
        if self.kind == "wrong_size" and self.size < 1:
            raise ValueError(f"a leg has a size of at least 1, not {self.size}")

    def concerns(self, *, stop: bool) -> bool:
        """Whether this leg is meant: the stop, or the target."""
        return self.which == "both" or (self.which == "sl") == stop


@dataclass(frozen=True, slots=True)
class Slip:
    """The order and its legs fill this many ticks worse; limits keep their price."""

    ticks: int
    call: Fills = "place"

    def __post_init__(self) -> None:
        one_of(self.call, Fills, "a call whose order fills")


Fault = Partial | Reject | Delivery | CancelRace | CancelSlow | BracketFault | Slip
F = TypeVar("F", Partial, Reject, Delivery, CancelRace, CancelSlow, BracketFault, Slip)


@dataclass(slots=True)
class _Waiting:
    fault: Fault
    scope: Scope
    left: int


class PendingFaults:
    """Counted faults in the order in which they were asked for."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, fault: Fault, scope: Scope) -> None:
        self._waiting.append(_Waiting(fault, scope, scope.count))

    def take(
        self, kind: type[F], account: int, contract: str | None, wanted: Callable[[F], bool] | None = None
    ) -> F | None:
        """The oldest fault of a kind that concerns this request, and counts it; None when there is none."""
        for waiting in self._waiting:
            fault, scope = waiting.fault, waiting.scope
            if not isinstance(fault, kind) or (wanted is not None and not wanted(fault)):
                continue
            if scope.account not in (None, account) or scope.contract not in (None, contract):
                continue
            waiting.left -= 1
            if not waiting.left:
                self._waiting.remove(waiting)
            return fault
        return None

    def clear(self) -> None:
        self._waiting.clear()
