"""The line to the broker and the machine under the engine: what holds, what it pauses, what it keeps still.

Conditions come from the shell (ConditionIn) and from the broker's own answers: a 429 pauses entries for a minute
(F-API-03), a 401 until an answer proves that there is a login again (F-API-01). Protective commands go on all the same;
only moves of working orders wait (failure-model.md section 2, "Safe orders by condition").
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass, field

from tbot.domain.messages import ConditionIn
from tbot.domain.timeframes import NS_PER_MIN

TOO_MANY, UNAUTHORIZED = "429", "401"  # gateway.outcomes.Situation; the pure layers do not know the gateway
REFUSED = "RC_AUTH"  # as a condition of the shell: the login was refused, and nobody tries again by himself (F-API-02)
LIMITED_NS = NS_PER_MIN  # F-API-03, in machine time

# Reasons under which a working stop is left where it is, and those under which an answer must just have proven it.
NO_MOVES = frozenset({"RC_REST_DOWN", "RC_AUTH", "RC_RATE_LIMIT", "RC_CLOCK", "RC_RESUMED"})
PROVEN_MOVES = frozenset({"RC_USER_HUB"})


@dataclass(slots=True)
class Line:
    """State: what the shell said, until when the broker limits us, whether the login is lost."""

    conditions: dict[str, str] = field(default_factory=dict)  # RC_ code -> sentence, while it holds
    limited_until_ns: int = 0
    token_lost: bool = False

    def condition(self, item: ConditionIn) -> bool:
        """A condition began or ended; whether one ended."""
        ended = not item.text and item.code in self.conditions
        if item.text:
            self.conditions[item.code] = item.text
        else:
            self.conditions.pop(item.code, None)
        return ended

    def answered(self, situation: str, now_ns: int, limited_ns: int) -> bool:
        """The situation of an answer; whether the login was lost with it. `limited_ns`: how long a 429 counts."""
        if situation == TOO_MANY:
            self.limited_until_ns = now_ns + limited_ns
        self.token_lost = self.token_lost or situation == UNAUTHORIZED
        return situation == UNAUTHORIZED

    def proven(self) -> None:
        """A complete answer came: there is a login."""
        self.token_lost = False

    def reasons(self, now_ns: int) -> Iterator[tuple[str, str]]:
        """(RC_ code, sentence or "") of the two conditions that have more than one source."""
        limited = "the broker refused requests as too many" if now_ns < self.limited_until_ns else ""
        yield "RC_RATE_LIMIT", self.conditions.get("RC_RATE_LIMIT", limited)
        lost = "the broker did not take our login" if self.token_lost else ""
        yield "RC_AUTH", self.conditions.get("RC_AUTH", lost)


def may_move(held: Set[str], *, proven_now: bool) -> bool:
    """Whether the reasons that hold leave stops movable; `proven_now`: an answer has just shown them."""
    return not held & NO_MOVES and (proven_now or not held & PROVEN_MOVES)
