"""What a REST answer proves and what follows, as data: one rule per kind of call and situation (failure model, 4).

The client obeys `requests`, `token_lost` and `pause`; `outcome` is told to its owner; `then` is what the owner does.
`classify` and `classify_status` find the situation of an answer. Whoever wants to know how the client behaves reads
RULES; the tests walk through every cell of it with a server that misbehaves.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tbot.domain.messages import Outcome, RefusalCause
from tbot.gateway import codec_tables as tables
from tbot.gateway.codec_tables import Call

Row = Literal[
    "login", "validate", "logout", "query", "history", "place", "cancel", "modify", "close", "partial close"
]  # fmt: skip
Pause = Literal["none", "backoff", "retry after", "5 s apart"]


class Situation(StrEnum):
    """What came of a request. BUDGET is our own limiter's refusal (R9): nothing was sent, and nobody waits for it."""

    ACCEPTED = "accepted"
    NOT_SENT = "not sent"
    BUDGET = "no budget"
    REFUSED = "refused"
    AMBIGUOUS = "ambiguous"
    UNAUTHORIZED = "401"
    TOO_MANY = "429"


class Then(StrEnum):
    """The owner's next step after the client is through with a call."""

    LATER = "ask again at the next turn"
    HALT = "stop: a person must look at the credentials"
    LOGIN = "log in anew"
    KEEP_TOKEN = "go on with the token"
    REPORT = "say so; pause if it was needed as proof"
    NOT_READY = "the contract is not ready"
    DEAD = "the intent is dead, proven"
    REJECTED = "the order is rejected, proven"
    UNKNOWN = "the order is UNKNOWN: quarantine, then query"
    REPEAT = "may be repeated"
    QUERY = "query"
    QUERY_REPEAT = "query, then it may be repeated"
    WORSE_STOP = "query; until proven count with the worse of old and new stop"
    PROVE = "no position: prove it; refused for the account: opposite order"


@dataclass(frozen=True, slots=True)
class Rule:
    """One cell. `requests`: most requests of this call that the client sends by itself when it keeps meeting this."""

    outcome: Outcome
    then: Then
    requests: int = 1
    pause: Pause = "none"  # before the next request of the client
    token_lost: bool = False  # the token is given up; a query logs in once, anything else leaves that to the next query


READ_ATTEMPTS = 3
LOCAL_LIMIT = "local request budget used up"

_BUDGET = Rule("not_sent", Then.LATER, requests=0)
_NOT_SENT_READ = Rule("not_sent", Then.LATER, READ_ATTEMPTS, "backoff")
_AMBIGUOUS_READ = Rule("ambiguous", Then.LATER, READ_ATTEMPTS, "backoff")
_LOST_READ = Rule("rejected", Then.REPORT, 2, token_lost=True)
_WAIT_READ = Rule("ambiguous", Then.LATER, READ_ATTEMPTS, "retry after")


def _open(then: Then, *, token_lost: bool = False) -> Rule:
    """A request that may have moved money: sent once, and nothing is proven (R2)."""
    return Rule("ambiguous", then, token_lost=token_lost)


def _mutation(not_sent: Then, refused: Then, ambiguous: Then, unauthorized: Then, too_many: Then) -> dict[str, Rule]:
    return {
        Situation.NOT_SENT: Rule("not_sent", not_sent),
        Situation.BUDGET: Rule("not_sent", not_sent, requests=0),
        Situation.REFUSED: Rule("rejected", refused),
        Situation.AMBIGUOUS: _open(ambiguous),
        Situation.UNAUTHORIZED: _open(unauthorized, token_lost=True),
        Situation.TOO_MANY: _open(too_many),
    }


_ROWS: dict[Row, dict[str, Rule]] = {
    "login": {
        Situation.NOT_SENT: Rule("not_sent", Then.LATER, pause="5 s apart"),
        Situation.BUDGET: _BUDGET,
        Situation.REFUSED: Rule("rejected", Then.HALT),
        Situation.AMBIGUOUS: Rule("ambiguous", Then.LATER, pause="5 s apart"),
        Situation.UNAUTHORIZED: Rule("rejected", Then.HALT),
        Situation.TOO_MANY: Rule("ambiguous", Then.LATER, pause="retry after"),
    },
    "validate": {
        Situation.NOT_SENT: Rule("not_sent", Then.KEEP_TOKEN),
        Situation.BUDGET: Rule("not_sent", Then.KEEP_TOKEN, requests=0),
        Situation.REFUSED: Rule("rejected", Then.LOGIN, token_lost=True),
        Situation.AMBIGUOUS: Rule("ambiguous", Then.LOGIN, token_lost=True),  # a rotated token may have been issued
        Situation.UNAUTHORIZED: Rule("rejected", Then.LOGIN, token_lost=True),
        Situation.TOO_MANY: Rule("ambiguous", Then.KEEP_TOKEN),
    },
    # Not in the failure model: whatever comes of it, we have no use for the token any more.
    "logout": {
        Situation.NOT_SENT: Rule("not_sent", Then.REPORT, token_lost=True),
        Situation.BUDGET: Rule("not_sent", Then.REPORT, requests=0, token_lost=True),
        Situation.REFUSED: Rule("rejected", Then.REPORT, token_lost=True),
        Situation.AMBIGUOUS: Rule("ambiguous", Then.REPORT, token_lost=True),
        Situation.UNAUTHORIZED: Rule("rejected", Then.REPORT, token_lost=True),
        Situation.TOO_MANY: Rule("ambiguous", Then.REPORT, token_lost=True),
    },
    "query": {
        Situation.NOT_SENT: _NOT_SENT_READ,
        Situation.BUDGET: _BUDGET,
        Situation.REFUSED: Rule("rejected", Then.REPORT),
        Situation.AMBIGUOUS: _AMBIGUOUS_READ,
        Situation.UNAUTHORIZED: _LOST_READ,
        Situation.TOO_MANY: _WAIT_READ,
    },
    "history": {
        Situation.NOT_SENT: _NOT_SENT_READ,
        Situation.BUDGET: _BUDGET,
        Situation.REFUSED: Rule("rejected", Then.NOT_READY),
        Situation.AMBIGUOUS: _AMBIGUOUS_READ,
        Situation.UNAUTHORIZED: _LOST_READ,
        Situation.TOO_MANY: _WAIT_READ,  # its own budget is halved
    },
    "place": _mutation(Then.DEAD, Then.REJECTED, Then.UNKNOWN, Then.UNKNOWN, Then.UNKNOWN),
    "cancel": _mutation(Then.REPEAT, Then.QUERY, Then.QUERY_REPEAT, Then.QUERY_REPEAT, Then.QUERY_REPEAT),
    "modify": _mutation(Then.QUERY_REPEAT, Then.QUERY, Then.WORSE_STOP, Then.QUERY, Then.QUERY),
    "close": _mutation(Then.QUERY_REPEAT, Then.PROVE, Then.QUERY_REPEAT, Then.QUERY_REPEAT, Then.QUERY_REPEAT),
    "partial close": _mutation(Then.QUERY, Then.QUERY, Then.QUERY, Then.QUERY, Then.QUERY),
}
RULES: dict[tuple[Row, Situation], Rule] = {
    (row, Situation(situation)): rule for row, cells in _ROWS.items() for situation, rule in cells.items()
}

_ROW_OF: dict[Call, Row] = {
    tables.LOGOUT: "logout",
    tables.RETRIEVE_BARS: "history",
    tables.ORDER_PLACE: "place",
    tables.ORDER_CANCEL: "cancel",
    tables.ORDER_MODIFY: "modify",
    tables.POSITION_CLOSE: "close",
    tables.POSITION_PARTIAL_CLOSE: "partial close",
}


def row_of(call: Call) -> Row:
    """The row of the table that a call stands in; KeyError for a mutation that has none."""
    return _ROW_OF[call] if call.kind == "mutation" else _ROW_OF.get(call, call.kind)


def rule(call: Call, situation: Situation) -> Rule:
    """What follows from a situation; KeyError for ACCEPTED, which has no rule."""
    return RULES[row_of(call), situation]


def classify(call: Call, success: bool, code: int, message: str, has_payload: bool) -> Situation:
    """The situation after a decoded HTTP 200 answer: ACCEPTED, REFUSED or AMBIGUOUS.

    `has_payload` tells whether the payload member was there and not null; a call without payload passes True. A refused
    order may carry an id: an id is not success, so only `success` and `code` together decide.
    """
    if success != (code == 0):
        return Situation.AMBIGUOUS  # contradicts itself
    if success:
        return Situation.ACCEPTED if has_payload else Situation.AMBIGUOUS
    if not call.is_known(code) or code in call.open_codes:
        return Situation.AMBIGUOUS
    if call is tables.ORDER_PLACE and tables.TAG_IN_USE in message.lower():
        return Situation.AMBIGUOUS
    return Situation.REFUSED


def classify_status(call: Call, status: int) -> Situation:
    """The situation after an HTTP status other than 200. For what moves money no 4xx is a documented refusal.

    A login is refused for good by its envelope, by 401 and by 400 (a member is missing): a 403 or 404 of something in
    between says nothing about the credentials, and must not stop the engine until a person comes.
    """
    if status == 401:
        return Situation.UNAUTHORIZED
    if status == 429:
        return Situation.TOO_MANY
    if call.kind == "login":
        return Situation.REFUSED if status == 400 else Situation.AMBIGUOUS
    if call.kind == "mutation" or status == 408 or not 400 <= status < 500:
        return Situation.AMBIGUOUS
    return Situation.REFUSED


# Codes by which a refusal of what moves money can be told apart. Why not more: the other codes leave the owner's next
# step the same (query), and texts are no documented meaning (F-ORD-03).
_CAUSES: dict[Call, dict[int, RefusalCause]] = {
    tables.ORDER_PLACE: {10: "account"},
    tables.ORDER_MODIFY: {2: "gone", 6: "account"},
    tables.ORDER_CANCEL: {2: "gone", 6: "account"},
    tables.POSITION_CLOSE: {2: "gone", 8: "account"},
}


def cause_of(call: Call, situation: Situation, code: int | None) -> RefusalCause:
    """Why a call was refused, as far as its code tells; "" for every other situation."""
    if situation is not Situation.REFUSED or code is None:
        return ""
    return _CAUSES.get(call, {}).get(code, "")


def outcome_of(call: Call, situation: Situation) -> Outcome:
    """What the owner of a call is told."""
    return "accepted" if situation is Situation.ACCEPTED else rule(call, situation).outcome


def situation_of(outcome: Outcome, status: int | None, text: str) -> Situation:
    """The situation behind an outcome that was told: HTTP status first, then the outcome itself."""
    if outcome == "accepted":
        return Situation.ACCEPTED
    if status == 401:
        return Situation.UNAUTHORIZED
    if status == 429:
        return Situation.TOO_MANY
    if outcome == "not_sent":
        return Situation.BUDGET if text == LOCAL_LIMIT else Situation.NOT_SENT
    return Situation.REFUSED if outcome == "rejected" else Situation.AMBIGUOUS
