"""Engine state of one account: a set of reasons, and the strictest state that they ask for.

    BOOT -> RECONCILING -> ACTIVE <-> PAUSED
                               \\      /
                              REDUCING  -> LOCKED (trading day) -> RECONCILING at the next one
                                        -> HALTED -> only a person, by `resume`

Several reasons hold at once; a state is left only when all of its reasons are gone (failure-model.md section 1). The
state is computed, never stored, so it cannot disagree with its reasons.
"""

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """What a reason asks for; the highest wins."""

    PAUSE = 1
    LOCK = 2  # until the next trading day
    HALT = 3  # until a person resumes


# Every reason of an account with its severity. Codes: failure-model.md section 2; RC_OPERATOR (a person's pause, stop),
# RC_MAX_LOSS, RC_DAY_PROFIT, RC_TARGET and RC_JOURNAL_LOST are additions, because that list has none for them.
SEVERITY: dict[str, Severity] = {
    "RC_OPERATOR": Severity.PAUSE,
    "RC_WINDOW": Severity.PAUSE,
    "RC_MISMATCH": Severity.PAUSE,
    "RC_REST_DOWN": Severity.PAUSE,
    "RC_USER_HUB": Severity.PAUSE,
    "RC_AUTH": Severity.PAUSE,  # a login that is lost comes back by itself; one that is refused HALTs (F-API-02)
    "RC_RATE_LIMIT": Severity.PAUSE,
    "RC_CLOCK": Severity.PAUSE,
    "RC_RESUMED": Severity.PAUSE,
    "RC_DISK": Severity.PAUSE,
    "RC_JOURNAL": Severity.PAUSE,
    "RC_PEER_DEAD": Severity.PAUSE,
    "RC_DAILY_LOSS": Severity.LOCK,
    "RC_CONSEC_LOSSES": Severity.LOCK,
    "RC_BROKER_LOCK": Severity.LOCK,
    "RC_KILL_SWITCH": Severity.LOCK,
    "RC_MAX_LOSS": Severity.LOCK,  # the firm's loss floor is near (TR2)
    "RC_DAY_PROFIT": Severity.LOCK,  # the day's profit stop (TR6)
    "RC_TARGET": Severity.HALT,  # the firm's target is reached (TR11): a person moves on
    "RC_RUNAWAY": Severity.HALT,
    "RC_CONFIG": Severity.HALT,
    "RC_SECOND_ENGINE": Severity.HALT,
    "RC_ASSERT": Severity.HALT,
    "RC_JOURNAL_LOST": Severity.HALT,  # an earlier journal: a person's lock or a halt may have been in it
}


def severity_of(code: str) -> Severity:
    """Severity of a reason; a code that this build does not know comes from outside (ConditionIn), and pauses."""
    return SEVERITY.get(code, Severity.PAUSE)


_STATE_OF = {Severity.PAUSE: "PAUSED", Severity.LOCK: "LOCKED", Severity.HALT: "HALTED"}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an account is not ACTIVE, in one plain sentence, and since when."""

    code: str
    text: str
    since_ns: int
    halts: bool = False  # whatever its code asks for by itself

    @property
    def severity(self) -> Severity:
        return Severity.HALT if self.halts else severity_of(self.code)


class Reasons:
    """The reasons that hold now, by code."""

    def __init__(self) -> None:
        self.held: dict[str, Reason] = {}
        self.version = 0  # rises with every change, so that others need not compare

    def add(self, code: str, text: str, now_ns: int) -> None:
        """A reason holds; the first sentence and time stay."""
        self._hold(code, text, now_ns, halts=False)

    def remove(self, code: str) -> None:
        if self.held.pop(code, None) is not None:
            self.version += 1

    def set(self, code: str, text: str, now_ns: int, *, halts: bool = False) -> None:
        """A reason holds while `text` is not empty; a graver one of the same code takes the place of a lighter."""
        if text and halts and code in self.held and not self.held[code].halts:
            self.remove(code)
        if text:
            self._hold(code, text, now_ns, halts=halts)
        else:
            self.remove(code)

    def _hold(self, code: str, text: str, now_ns: int, *, halts: bool) -> None:
        if code not in self.held:
            self.held[code] = Reason(code, text, now_ns, halts)
            self.version += 1

    def clear(self, severity: Severity) -> bool:
        """Drop all reasons of a severity; whether there were any."""
        found = [code for code, reason in self.held.items() if reason.severity is severity]
        for code in found:
            self.remove(code)
        return bool(found)

    def worst(self) -> Severity | None:
        """The severity that wins; None when nothing holds."""
        return max((reason.severity for reason in self.held.values()), default=None)

    def of(self, severity: Severity) -> list[Reason]:
        """Reasons of one severity, oldest first."""
        found = [reason for reason in self.held.values() if reason.severity is severity]
        return sorted(found, key=lambda reason: (reason.since_ns, reason.code))


@dataclass(frozen=True, slots=True)
class Status:
    """The state that shows: name, codes of all that holds (the deciding one first), one sentence."""

    state: str
    codes: tuple[str, ...]
    text: str


def status_of(reasons: Reasons, *, proven: bool, reducing: Reason | None) -> Status:
    """Combine reasons, reconciliation and a running flatten procedure."""
    worst = reasons.worst()
    first: list[Reason] = []
    if reducing is not None:
        state, first = "REDUCING", [reducing]
    elif worst is not None and worst > Severity.PAUSE:
        state, first = _STATE_OF[worst], reasons.of(worst)
    elif not proven:
        text = "comparing orders, positions and fills with the broker"
        state, first = "RECONCILING", [Reason("RC_RECONCILING", text, 0)]
    elif worst is not None:
        state, first = "PAUSED", reasons.of(worst)
    else:
        return Status("ACTIVE", (), "trading")
    rest = sorted(reasons.held.values(), key=lambda reason: (-severity_of(reason.code), reason.since_ns, reason.code))
    codes = tuple(dict.fromkeys([reason.code for reason in first] + [reason.code for reason in rest]))
    return Status(state, codes, first[0].text)
