"""The referee: looks at the evidence after every event and says which invariant of failure-model.md section 7 broke.

Independent of what it judges: it knows the wire, the exchange's books, the journal and the clock, and does its own
arithmetic on them; nothing that decides in `tbot` is called. Every invariant has one or more checks, registered by
identifier; a check keeps its own small state and looks only at what is new, so that a run of thousands of events costs
little. Bounds in time run on `Facts.patience_ns`, which stands still while the broker does not answer protective calls,
while the executor is dead or frozen, and while the market is shut.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dst.evidence import Evidence, JournalStep, WireRequest
from tbot.domain.messages import Intent, PlaceExit, PlaceStop, PlaceTarget
from tbot.domain.timeframes import NS_PER_S
from tbot.gateway.codec_tables import LOGIN_KEY
from tbot.risk.limits import RiskLimits

INVARIANTS = tuple(f"I{number}" for number in range(1, 34))
# Faults in which the executor cannot run although it is alive: bounds in time wait for their end.
FROZEN = frozenset({"F-TIM-02", "F-TIM-03", "F-PRC-02", "F-SYS-05"})
FULL = "F-SYS-01"
NEW_JOURNAL = ("disk.damage", "disk.error")
ASLEEP = "F-TIM-02"  # of them the one in which nothing on this machine runs


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that did not hold, when (boot clock), and what was seen."""

    invariant: str
    boot_ns: int
    text: str

    def __str__(self) -> str:
        return f"{self.invariant} at {self.boot_ns / NS_PER_S:.3f} s: {self.text}"


@dataclass(frozen=True)
class Rules:
    """What binds the run, told to the referee by whoever set it up."""

    limits: Mapping[int, RiskLimits]  # by account of ours
    contracts: Mapping[str, str]  # product symbol -> gateway id at the start
    always: bool = True  # no trading window at all
    secrets: tuple[str, ...] = ()  # that nothing may repeat
    zone: str = "Europe/Helsinki"  # of the window
    start: tuple[int, int] = (2, 0)
    end: tuple[int, int] = (23, 0)


class Facts:
    """What all checks share: the evidence, and what of it is new since the last event."""

    def __init__(self, evidence: Evidence, rules: Rules) -> None:
        self.evidence, self.rules = evidence, rules
        self.patience_ns = 0  # boot time in which the engine could act and the broker answered
        self.moving_ns = 0  # boot time in which the executor was alive and not frozen
        self.asleep_ns = 0  # boot time in which the machine slept: nobody on it can tell anybody anything
        self.calm_ns = 0  # like patience, and no fault was active
        # `patience_ns` when the present life of the executor took its first step. Why not when it began: it must log in
        # first, and a login that a fault caught hangs on for its whole time-out. That it is back in time is I24.
        # Once it has a login, a full disk is no excuse: it protects without its journal (R1, F-SYS-01).
        self.life_ns = 0
        self.life_calm_ns = 0  # `calm_ns` then
        self.paused = True
        self.quiet = self.moving = True
        self.asleep = False
        self.requests: list[WireRequest] = []  # new ones
        self.steps: list[JournalStep] = []
        self.books: list[int] = []  # accounts whose book changed
        self.view_changed = False
        self.intents: dict[str, tuple[Intent, JournalStep]] = {}  # by tag, of all lives
        self.protective: dict[str, PlaceStop | PlaceTarget | PlaceExit] = {}  # by tag
        self.found: list[tuple[str, str]] = []  # (invariant, text)
        self.judged: Counter[str] = Counter()  # how often a check had something to judge
        self.journal: Path | None = None  # of the run, at its end
        self.digest = ""
        self._last_boot_ns = evidence.boot_ns
        self._seen_wire = self._seen_steps = 0
        self._stamps: dict[int, tuple[object, ...]] = {}
        # (account, contract) -> how many fills the book had when the contract was last flat
        self._flat_at: dict[tuple[int, str], int] = {}
        self._life = 0
        self._logged_in = False  # the present life
        self._speaks = False
        self._view: dict[str, Any] | None = None

    @property
    def awake_ns(self) -> int:
        """Boot time without the machine's sleep."""
        return self.evidence.boot_ns - self.asleep_ns

    def update(self) -> None:
        """Find what is new. The stretch of time before this event counts as what it was before it."""
        seen = self.evidence
        elapsed_ns, self._last_boot_ns = seen.boot_ns - self._last_boot_ns, seen.boot_ns
        if not self.paused:
            self.patience_ns += elapsed_ns
            self.calm_ns += elapsed_ns if self.quiet else 0
        self.moving_ns += elapsed_ns if self.moving else 0
        self.asleep_ns += elapsed_ns if self.asleep else 0
        self.quiet = not seen.faults
        self.asleep = ASLEEP in seen.faults
        self.moving = seen.alive and FROZEN.isdisjoint(seen.faults)
        self.paused = not (self.moving and seen.answering and seen.market_open)
        if seen.executor != self._life:
            self._life, self._speaks, self._logged_in = seen.executor, False, False
        if not self._speaks and not (FULL in seen.faults and self._logged_in and self._has_journal()):
            self.life_ns, self.life_calm_ns = self.patience_ns, self.calm_ns
        self.requests, self._seen_wire = seen.wire[self._seen_wire :], len(seen.wire)
        self.steps, self._seen_steps = seen.steps[self._seen_steps :], len(seen.steps)
        others = (request for request in self.requests if request.path != LOGIN_KEY.path)
        self._logged_in = self._logged_in or any(request.executor == self._life for request in others)
        self._speaks = self._speaks or any(step.executor == self._life for step in self.steps)
        for step in self.steps:
            self._index(step)
        self.books = []
        for number in self.rules.limits:
            stamp = self._stamp(number)
            if stamp != self._stamps.get(number):
                self._stamps[number] = stamp
                self.books.append(number)
                self._note_flat(number)
        before, self._view = self._view, seen.view
        self.view_changed = self._view is not before

    def _has_journal(self) -> bool:
        """Whether a start finds a journal to write on; where one was lost it begins another, and that takes room."""
        return bool(self.evidence.steps) and not any(name.endswith(NEW_JOURNAL) for _, name in self.evidence.fired)

    def _index(self, step: JournalStep) -> None:
        for output in step.outputs:
            if isinstance(output, Intent):
                self.intents.setdefault(output.tag, (output, step))
            elif isinstance(output, PlaceStop | PlaceTarget | PlaceExit):
                self.protective[output.tag] = output

    def _stamp(self, account: int) -> tuple[object, ...]:
        """Equal while nothing changed in a book. Why not the copies that the book hands out: this runs every event."""
        book = self.evidence.accounts[account].book
        orders = [(item.status, item.filled, item.size, item.stop, item.limit) for item in book._living.values()]
        held = [item.position.size for item in book._held.values()]
        return (len(book.orders), len(book.fills), book.balance_cents, orders, held)

    def waited_ns(self, since_ns: int) -> int:
        """Patience since `since_ns` (a reading of `patience_ns`); a restart begins it again."""
        return self.patience_ns - max(since_ns, self.life_ns)

    def calm_waited_ns(self, since_ns: int) -> int:
        """The same on `calm_ns`: for what the engine can only see when nothing is hidden from it."""
        return self.calm_ns - max(since_ns, self.life_calm_ns)

    def account_view(self, account: int) -> dict[str, Any] | None:
        """What the Desk says of an account; None while nobody says anything."""
        view = self._view
        return None if view is None else view["accounts"].get(str(account))

    def _note_flat(self, account: int) -> None:
        book = self.evidence.accounts[account].book
        held = {item.contract for item in self.evidence.holdings(account)}
        for contract in {fill.contract for fill in book.fills} - held:
            self._flat_at[(account, contract)] = len(book.fills)

    def own_sizes(self, account: int) -> dict[str, int]:
        """Signed contracts held that are ours: without what a person opened, as far as that can be told apart.

        What a person did before the contract was last flat is over: it left nothing of theirs, and nothing of ours.
        """
        holdings = self.evidence.holdings(account)
        if not holdings or not self.evidence.foreign:
            return {item.contract: item.size for item in holdings}
        own = {}
        for item in holdings:
            size = item.size - self._strangers(account, item.contract)
            if size * item.size > 0:
                own[item.contract] = min(abs(size), abs(item.size)) * (1 if size > 0 else -1)
        return own

    def _strangers(self, account: int, contract: str) -> int:
        """Signed contracts that persons added (or took away) since the contract was last flat or turned round."""
        total = strangers = 0
        for fill in self.evidence.accounts[account].book.fills[self._flat_at.get((account, contract), 0) :]:
            if fill.contract != contract:
                continue
            before, total = total, total + fill.side * fill.size
            theirs = fill.order_id in self.evidence.foreign
            if before * total < 0:
                strangers = total if theirs else 0
            elif theirs:
                strangers += fill.side * fill.size
        return strangers

    def alert(self, account: int) -> bool:
        """Whether the Desk tells a person that something is not in order."""
        view = self.account_view(account)
        return view is None or view["state"] != "ACTIVE"


class Check:
    """One check of an invariant. Override what is needed; what is not overridden costs nothing."""

    invariant = ""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def fail(self, text: str) -> None:
        self.facts.found.append((self.invariant, text))

    def judge(self) -> None:
        """Something is about to be judged; counted, so that a run that never came this far is seen."""
        self.facts.judged[self.invariant] += 1

    def on_request(self, request: WireRequest) -> None:
        """A request left the executor."""

    def on_step(self, step: JournalStep) -> None:
        """The Desk handled an input."""

    def on_book(self, account: int) -> None:
        """The exchange's book of one of our accounts changed."""

    def on_view(self) -> None:
        """The Desk says something else than before."""

    def on_event(self) -> None:
        """After everything else, for every event: bounds in time."""

    def on_end(self) -> None:
        """The run is over."""


C = TypeVar("C", bound=type[Check])
WORLD: dict[str, list[type[Check]]] = {}  # checks of the trading world, by invariant
OTHER: dict[str, list[Callable[[Any], Iterator[str]]]] = {}  # checks of other worlds: evidence -> what is wrong


def world_check(invariant: str) -> Callable[[C], C]:
    """Register a check of the trading world."""

    def register(kind: C) -> C:
        kind.invariant = invariant
        WORLD.setdefault(invariant, []).append(kind)
        return kind

    return register


def other_check(
    invariant: str,
) -> Callable[[Callable[[Any], Iterator[str]]], Callable[[Any], Iterator[str]]]:
    """Register a check that judges evidence of its own kind, gathered outside the trading world."""

    def register(function: Callable[[Any], Iterator[str]]) -> Callable[[Any], Iterator[str]]:
        OTHER.setdefault(invariant, []).append(function)
        return function

    return register


def registered() -> set[str]:
    """Invariants that have a check."""
    load_checks()
    return WORLD.keys() | OTHER.keys()


def load_checks() -> None:
    """Import every module that registers checks."""
    from dst import (  # noqa: F401
        checks_calendar,
        checks_data,
        checks_money,
        checks_orders,
        checks_process,
        checks_safety,
        checks_state,
        checks_talk,
    )


@dataclass
class Referee:
    """Give it the evidence and the rules; call `after_event` after every event and `finish` once.

    `violations` grows; `facts.judged` tells how often each invariant had something to judge, so that a run whose checks
    never saw anything does not pass for a good one. With `stop` the first violation raises AssertionError.
    """

    evidence: Evidence
    rules: Rules
    stop: bool = False
    violations: list[Violation] = field(default_factory=list)

    def __post_init__(self) -> None:
        load_checks()
        self.facts = Facts(self.evidence, self.rules)
        self.checks = [kind(self.facts) for kinds in WORLD.values() for kind in kinds]
        self._of = {name: self._overriding(name) for name in ("request", "step", "book", "view", "event", "end")}
        self._told: set[tuple[str, str]] = set()

    def _overriding(self, event: str) -> list[Any]:
        name = f"on_{event}"
        return [getattr(check, name) for check in self.checks if getattr(type(check), name) is not getattr(Check, name)]

    def after_event(self) -> None:
        """Look at what changed."""
        facts = self.facts
        facts.update()
        for step in facts.steps:
            for look in self._of["step"]:
                look(step)
        for request in facts.requests:
            for look in self._of["request"]:
                look(request)
        for account in facts.books:
            for look in self._of["book"]:
                look(account)
        if facts.view_changed:
            for look in self._of["view"]:
                look()
        for look in self._of["event"]:
            look()
        self._gather()

    def finish(self, journal: Path | None = None, digest: str = "") -> list[Violation]:
        """The run is over; what is claimed of its end is due. `journal` was written by it, its Desk ended in `digest`.

        The executor must have closed the journal. Returns all violations of the run.
        """
        self.evidence.ended = True
        self.facts.journal, self.facts.digest = journal, digest
        for look in self._of["end"]:
            look()
        self._gather()
        return self.violations

    def _gather(self) -> None:
        found = self.facts.found
        for invariant, text in found:
            # The same thing seen again is no news.
            if (invariant, text) not in self._told:
                self._told.add((invariant, text))
                self.violations.append(Violation(invariant, self.evidence.boot_ns, text))
        found.clear()
        if self.stop and self.violations:
            raise AssertionError(str(self.violations[0]))
