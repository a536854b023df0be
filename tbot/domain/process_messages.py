"""What processes of one run say to each other: the other half of the message schema (see `messages.py`).

All are frozen values; encoded only in `transport/wire.py`. A name that ends in `_boot_ns` is a boot-clock reading.
"""

from dataclasses import dataclass, field
from typing import Literal

from tbot.domain.control_messages import AccountWord as AccountWord
from tbot.domain.control_messages import ControlReply as ControlReply
from tbot.domain.control_messages import ControlRequest as ControlRequest
from tbot.domain.messages import Signal, SignalStamps


@dataclass(frozen=True, slots=True)
class SignalMessage:
    """Worker to executor. Dropped when expired, from another epoch, or already seen."""

    signal: Signal
    stamps: SignalStamps
    ttl_ns: int


@dataclass(frozen=True, slots=True)
class SignalAck:
    """Executor to worker's shell: the signal was taken in (or why not). The trader never sees it."""

    signal_id: str
    taken: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Feed to executor: what I hold and what I met; give me a newer token or other contracts when there are any."""

    have: int  # token revision
    contracts: int = 0  # generation of the contracts that I feed
    refused: int = 0  # newest token revision that the market hub did not accept
    connects: int = 0  # times that the market hub was subscribed
    logouts: int = 0  # times that it said the session was taken over


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """Executor to feed. A revision never goes back."""

    revision: int
    token: str = field(repr=False)
    contracts: dict[str, str] = field(default_factory=dict)  # product symbol -> gateway contract id
    generation: int = 1  # of `contracts` and `legs`; a new one after every roll
    legs: dict[str, str] = field(default_factory=dict)  # futures that only the dollar index needs, as `contracts`
    missing_legs: dict[str, str] = field(default_factory=dict)  # product symbol -> why there is none


@dataclass(frozen=True, slots=True)
class OperatorMessage:
    """A person (by a command or the supervisor) to the executor."""

    request_id: str
    verb: Literal["pause", "resume", "flatten", "kill", "stop"]
    account: int | None = None  # None: all
    contract: str | None = None  # of flatten: this contract only


@dataclass(frozen=True, slots=True)
class OperatorAck:
    request_id: str
    done: bool
    flat: bool
    text: str


@dataclass(frozen=True, slots=True)
class StepMessage:
    """Lock-step source to executor: everything up to this exchange instant is in the rings (ruling 2)."""

    now_ns: int
    heads: dict[str, int]  # contract -> records written


@dataclass(frozen=True, slots=True)
class StepDone:
    now_ns: int


@dataclass(frozen=True, slots=True)
class OutcomesMessage:
    """Worker to recorder: hypothetical trades that ended, as the records of tbot_ext.outcome_book one after another."""

    contract: str
    number: int  # counts up from 1 in each worker
    rows: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OutcomesAck:
    """Recorder to worker's shell: taken in, and kept as far as that is possible."""

    number: int


@dataclass(frozen=True, slots=True)
class WeightsRequest:
    """Worker to recorder: what has been learned of this contract before this trading day?"""

    contract: str
    day_start_ns: int


@dataclass(frozen=True, slots=True)
class WeightsGrant:
    """Recorder to worker: (kind, timeframe in minutes, weight, outcomes, edge in R) of each pattern that has one."""

    contract: str
    day_start_ns: int
    version: str
    patterns: tuple[tuple[str, int, float, int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Any process to the supervisor, written by its work loop itself; `status` is that process's own part."""

    process: str
    pid: int
    beat: int
    boot_ns: int
    state: str
    status: dict[str, object]
    build: str = ""


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """Something a person wants to see on the screen: one line, already in words."""

    now_ns: int
    process: str
    kind: str  # SIGNAL, INTENT, DENIAL, FILL, ROUND, STATE, FEED, ZONE, SWEEP, PROC
    contract: str
    text: str


Message = (
    SignalMessage
    | SignalAck
    | TokenRequest
    | TokenGrant
    | OperatorMessage
    | OperatorAck
    | StepMessage
    | StepDone
    | Heartbeat
    | EngineEvent
    | ControlRequest
    | ControlReply
    | OutcomesMessage
    | OutcomesAck
    | WeightsRequest
    | WeightsGrant
)
