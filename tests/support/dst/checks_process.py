"""Checks of processes and secrets: I17 no order client, I18 one build, I30 no secret, I31 no stranger, I32 one seed."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dst.referee import Check, Facts, other_check, world_check

TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.")


@dataclass
class Built:
    """An attempt to build a run's line to the gateway. `permitted`: all conditions for orders held."""

    what: str
    permitted: bool
    can_order: bool


@other_check("I17")
def construction_oracle(attempts: list[Built]) -> Iterator[str]:
    """Whatever can move money exists only where all conditions hold."""
    for attempt in attempts:
        if attempt.can_order and not attempt.permitted:
            yield f"{attempt.what}: an order client exists"


@dataclass
class Greeting:
    """A process of a run said hello; what it showed, and what the run was afterwards."""

    shown: str
    expected: str
    state: str  # of the status document after it
    counted_as_up: bool


@other_check("I18")
def greeting_oracle(greetings: list[Greeting]) -> Iterator[str]:
    """A process of another build or configuration is no part of an engine, and none trades beside it."""
    for greeting in greetings:
        if greeting.shown != greeting.expected and (greeting.counted_as_up or greeting.state == "ACTIVE"):
            yield f"{greeting.shown} was let in beside {greeting.expected}: {greeting.state}"
        if greeting.shown == greeting.expected and not greeting.counted_as_up:
            yield f"{greeting.shown} was refused although it is the run's own"


@dataclass
class Traces:
    """Everything a run left behind, by name, and the secrets that it was given."""

    secrets: tuple[str, ...]
    artefacts: Mapping[str, str]


@other_check("I30")
def canary_oracle(traces: Traces) -> Iterator[str]:
    """No secret, whole or in a recognisable part, is in anything."""
    for name, text in traces.artefacts.items():
        for secret in traces.secrets:
            if secret[: max(8, len(secret) // 2)] in text:
                yield f"a secret is in {name}"


@world_check("I30")
class NoSecrets(Check):
    """Neither journal nor status of a run tells a secret, nor anything that looks like a token."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.document: object = None

    def _scan(self, name: str, text: str) -> None:
        self.judge()
        if "eyJ" in text and TOKEN.search(text):
            self.fail(f"something like a token is in {name}")
        for said in canary_oracle(Traces(self.facts.rules.secrets, {name: text})):
            self.fail(said)

    def on_event(self) -> None:
        status = self.facts.evidence.status
        if status is not self.document:
            self.document = status
            self._scan("the status", str(status))

    def on_end(self) -> None:
        if self.facts.journal is not None:
            for path in self.facts.journal.parent.glob(f"{self.facts.journal.name}*"):
                self._scan(path.name, path.read_bytes().decode(errors="replace"))


@dataclass
class Doors:
    """Files and sockets with their permission bits, and intrusions with whether they got in."""

    modes: Mapping[str, int]
    intrusions: Mapping[str, bool]


@other_check("I31")
def doors_oracle(doors: Doors) -> Iterator[str]:
    """Nobody else may open anything, and nothing without the key is heard."""
    for name, mode in doors.modes.items():
        if mode & 0o077:
            yield f"{name} has mode {mode & 0o777:o}"
    for name, entered in doors.intrusions.items():
        if entered:
            yield f"{name} was heard"


@dataclass
class Twice:
    """Two runs of one seed: hashes of wire log and journal, and the words of the status documents."""

    first: tuple[object, ...]
    second: tuple[object, ...]


@other_check("I32")
def twice_oracle(runs: Twice) -> Iterator[str]:
    """The same seed gives the same run."""
    if not any(runs.first):
        yield "the runs left nothing to compare"
    for name, one, other in zip(("wire log", "journal", "statuses"), runs.first, runs.second, strict=True):
        if one != other:
            yield f"the {name} of two runs of one seed differ"
