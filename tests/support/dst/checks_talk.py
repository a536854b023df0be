"""Checks of conversations: I25 nothing is lost silently, I26 every call ends."""

from dataclasses import dataclass

from dst.evidence import JournalStep, WireRequest
from dst.referee import Check, Facts, world_check
from tbot.domain.messages import (
    CancelOrder,
    CloseContract,
    Command,
    CommandResult,
    Denial,
    Intent,
    ModifyStop,
    Query,
    SignalIn,
    Snapshot,
)
from tbot.domain.timeframes import NS_PER_S

TOTAL_NS = 8 * NS_PER_S  # C_HTTP
SLACK_NS = 1_500_000_000  # of the loop that takes the answer
QUERY_CALLS = 6  # account, positions, pages of orders, fills; each has its own deadline
WAIT_NS = 60 * NS_PER_S  # an answer may wait behind the calls before it
MUTATIONS = {"/api/Order/place", "/api/Order/modify", "/api/Order/cancel", "/api/Position/closeContract"}


@dataclass
class Out:
    """A command whose answer is out."""

    command: Command
    since_ns: int  # reading of `Facts.moving_ns` when the Desk gave it
    sent_ns: int | None = None  # when its request left


class Talk(Check):
    """Keeps the commands of the present life that have no answer yet.

    What a dead life asked for is answered to nobody, from the birth of the next one on and not from its first step:
    that one may have to wait for a broker that refuses connections. Being back in time is I24.
    """

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.out: dict[str, Out] = {}
        self._life = 0

    def _of_life(self, number: int) -> None:
        if number != self._life:
            self._life, self.out = number, {}


@world_check("I25")
class NothingLost(Talk):
    """Every signal gets its intent or denial from every account; every command gets its answer, whatever happens."""

    def on_step(self, step: JournalStep) -> None:
        self._of_life(step.executor)
        item = step.item
        if isinstance(item, SignalIn):
            self.judge()
            answers = [output.account for output in step.outputs if isinstance(output, Intent | Denial)]
            if sorted(answers) != sorted(self.facts.rules.limits):
                self.fail(f"signal {item.signal.signal_id} was answered for accounts {sorted(answers)}")
        elif isinstance(item, CommandResult | Snapshot):
            self.out.pop(item.command_id, None)
        for output in step.outputs:
            if isinstance(output, Command):
                self.out[output.command_id] = Out(output, self.facts.moving_ns)

    def on_event(self) -> None:
        self._of_life(self.facts.evidence.executor)
        if not self.out:
            return
        oldest = next(iter(self.out.values()))
        if self.facts.evidence.alive and self.facts.moving_ns - oldest.since_ns > WAIT_NS:
            self.judge()
            self.fail(f"{type(oldest.command).__name__} {oldest.command.command_id} was never answered")


@world_check("I26")
class CallsEnd(Talk):
    """Every request that is to move money ends 8 s after it left; a query with all its calls in as many times 8 s."""

    def on_step(self, step: JournalStep) -> None:
        self._of_life(step.executor)
        if isinstance(step.item, CommandResult | Snapshot):
            self.out.pop(step.item.command_id, None)
        for output in step.outputs:
            if isinstance(output, Command):
                self.out[output.command_id] = Out(output, self.facts.moving_ns)

    def on_request(self, request: WireRequest) -> None:
        for out in self.out.values():
            if out.sent_ns is None and self._is(request, out.command):
                out.sent_ns = self.facts.moving_ns
                return

    def _is(self, request: WireRequest, command: Command) -> bool:
        if command.account != request.account:
            return False
        body, path = request.body, request.path
        if isinstance(command, Query):
            return path not in MUTATIONS
        if isinstance(command, CancelOrder):
            return path == "/api/Order/cancel" and body["orderId"] == command.order_id
        if isinstance(command, ModifyStop):
            return path == "/api/Order/modify" and body["orderId"] == command.order_id
        if isinstance(command, CloseContract):
            return path == "/api/Position/closeContract"
        return path == "/api/Order/place" and request.tag == command.tag

    def on_event(self) -> None:
        self._of_life(self.facts.evidence.executor)
        now_ns = self.facts.moving_ns
        for out in self.out.values():
            if out.sent_ns is None:
                continue
            self.judge()
            calls = QUERY_CALLS if isinstance(out.command, Query) else 1
            if now_ns - out.sent_ns > calls * TOTAL_NS + SLACK_NS:
                kind = type(out.command).__name__
                self.fail(f"{kind} {out.command.command_id} had not ended {calls * 8} s after it left")
                return
