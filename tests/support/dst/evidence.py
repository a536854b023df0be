"""What the referee of the simulation may look at. The world keeps it; the checks read it and change nothing.

Three witnesses that know nothing of each other: the wire (every request as it reached, or did not reach, the exchange),
the exchange's own books, and the journal. Times: `market_ns` is market time, `boot_ns` the machine's clock; in the
simulation both start together and a clock step moves only the wall clock.

The parts of the simulation (failure-model.md sections 7 and 8; `python -m dst --seed N` repeats a run):

    evidence.py   what the referee may look at: kept by the world, read by the checks
    world.py      the market, the exchange, the executor (real parts) and its deaths, under one virtual clock
    referee.py    calls every check after every event; a violation names invariant, time and what was seen
    checks_*.py   one function for each invariant, by number
    mutants.py    engines that are broken on purpose, one or more for each invariant
    campaign.py   thousands of seeds: `python -m dst --seeds 1-10000 --processes 2 --resume FILE`
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tbot.domain.messages import DeskInput, DeskOutput
from tbot.execution.book_types import Holding, Order
from tbot.execution.fill_model import MarketState
from tbot.sim.accounts import SimAccount


@dataclass(slots=True)
class WireRequest:
    """One HTTP request of the executor. Fields in the order in which they become known."""

    number: int
    boot_ns: int
    market_ns: int
    executor: int  # which life of the executor sent it: 1, 2, ...
    path: str  # as in gateway.codec_tables
    body: Mapping[str, Any]  # decoded JSON
    account: int | None
    tag: str  # customTag of a placement, else ""
    protective: bool  # sent from the reserve: a protective command or its proof
    committed_seq: int  # last journal row that was on disk when the request left
    arrived: int = 0  # times that it reached the exchange (0: lost on the way; 2: delivered twice)
    status: int | None = None  # HTTP status that came back; None: none did (yet)
    answered_ns: int | None = None  # boot clock


@dataclass(slots=True)
class JournalStep:
    """One step as the Desk's driver handed it to the journal, and whether it has reached the disk."""

    executor: int
    boot_ns: int
    item: DeskInput
    outputs: tuple[DeskOutput, ...]
    seq: int  # of its first row; 0 when it could not be written
    lost: bool = False  # died with its executor before it was committed
    digest: str = ""  # of the Desk after it; taken only at some steps


def digest_due(number: int) -> bool:
    """Whether the Desk's digest is taken after a life's step of this number (from 1): 8, 16, 32 and so on."""
    return number >= 8 and number & (number - 1) == 0


@dataclass(frozen=True, slots=True)
class Death:
    """One end of an executor. `error`: what it died of by itself; "" when it was killed or told to stop."""

    executor: int
    boot_ns: int
    cause: str
    error: str = ""


@dataclass(slots=True)
class Evidence:
    """Everything at one moment. Lists only grow."""

    seed: int
    boot_ns: int = 0
    market_ns: int = 0
    wall_ns: int = 0  # what the machine's wall clock shows
    wire: list[WireRequest] = field(default_factory=list)
    steps: list[JournalStep] = field(default_factory=list)
    accounts: dict[int, SimAccount] = field(default_factory=dict)  # broker truth by account id
    states: Mapping[str, MarketState] = field(default_factory=dict)  # broker truth about prices: Exchange.states
    active: set[str] = field(default_factory=set)  # gateway ids of the months that may be traded now; empty: not told
    view: dict[str, Any] | None = None  # Desk.view() now; None while the executor is dead
    status: dict[str, Any] | None = None  # the newest status document
    executor: int = 0  # number of the present life; 0 before the first
    alive: bool = False
    answering: bool = True  # the exchange answers protective calls at present
    market_open: bool = True
    calm_since_ns: int | None = None  # boot clock; all faults ended at this moment
    faults: tuple[str, ...] = ()  # F-… identifiers that are active now
    foreign: set[int] = field(default_factory=set)  # order ids that a person (not T-BOT) placed
    # (account, contract, signed change) of positions that no fill explains
    mutated: list[tuple[int, str, int]] = field(default_factory=list)
    ended: bool = False  # the run is over: eventual claims are due
    deaths: list[Death] = field(default_factory=list)  # of executors, in order
    born: dict[int, int] = field(default_factory=dict)  # life of the executor -> boot clock at its start
    fired: list[tuple[int, str]] = field(default_factory=list)  # (boot clock, fault id and name) as faults began
    symbols: tuple[str, ...] = ()  # contracts of the run
    journal: Path | None = None  # of the last life, closed; when the run has ended
    digest: str = ""  # of the Desk when the run ended; "" when no Desk lived

    def holdings(self, account: int) -> list[Holding]:
        """Positions by the exchange's books."""
        return [item for item in self.accounts[account].book.holdings() if item.size]

    def working(self, account: int) -> list[Order]:
        """Orders that are not over, suspended legs included."""
        return self.accounts[account].book.living_orders()
