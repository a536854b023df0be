"""Checks of states and words: I14 locks, I15 replay, I16 one executor, I19 no floats, I24 back, I27 dead, I33 true."""

import sqlite3
from collections import deque
from dataclasses import fields
from datetime import date
from itertools import takewhile
from typing import Any

from dst.evidence import JournalStep, WireRequest
from dst.purse import day_of
from dst.referee import Check, Facts, world_check
from tbot.domain.messages import Intent, OperatorIn, StateChange
from tbot.domain.timeframes import NS_PER_S
from tbot.engine.desk_record import DeskRecord
from tbot.engine.journal_replay import replay_steps
from tbot.execution.desk import Desk
from tbot.storage.journal import Journal
from tbot.storage.journal_reader import Step
from tbot.transport import wire

SKEW_NS = 2 * NS_PER_S  # C_SKEW_MAX
BACK_NS = 40 * NS_PER_S  # C_BACKOFF cap + 10 s
LIMITED_NS = 60 * NS_PER_S  # F-API-03: so long a 429 pauses entries, by design ...
RETRIED_NS = 10 * NS_PER_S  # ... from the end of the call that met it
# R3: so long may an order be UNKNOWN that nobody answered for, and so long after it left did its call end.
UNKNOWN_NS = 60 * NS_PER_S
CALL_NS = 8 * NS_PER_S
NOTICE_NS = 6 * NS_PER_S  # noticed within 5 s, told 1 s later
SHOWN_NS = 1 * NS_PER_S  # a document is not older than this when it is written
# And so late may it be written: the executor makes its part once a second and sends it with the next beat, and the
# supervisor gathers changes for half a second.
LATE_NS = 2 * NS_PER_S
SYNC_NS = 2 * NS_PER_S  # F-SYS-05: so long may one sync hold the executor up
# Why an account may stay away from trading although nothing is disturbed any more.
STANDING = frozenset(
    {
        "RC_WINDOW", "RC_OPERATOR", "RC_KILL_SWITCH", "RC_DAILY_LOSS", "RC_CONSEC_LOSSES", "RC_BROKER_LOCK",
        "RC_RUNAWAY", "RC_CONFIG", "RC_SECOND_ENGINE", "RC_ASSERT", "RC_MAX_LOSS", "RC_DAY_PROFIT", "RC_TARGET",
        "RC_CRASH_LOOP", "RC_JOURNAL", "RC_MARKET_CLOSED", "RC_AUTH", "RC_VERSION_MIX", "RC_HALT", "RC_EXPIRY",
    }
)  # fmt: skip
# What a start finds out anew from the broker; other locks live in the journal alone.
DERIVED = frozenset({"RC_DAILY_LOSS", "RC_CONSEC_LOSSES", "RC_BROKER_LOCK"})
BROKER_LOCK = frozenset({"RC_BROKER_LOCK", "RC_OPERATOR"})  # a pause beside the lock ends with the person's resume


@world_check("I14")
class LocksLast(Check):
    """LOCKED ends only with the trading day, HALTED only by a person; whatever dies, steps or is lost in between."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.locked: dict[int, tuple[date, tuple[str, ...], JournalStep]] = {}
        self.halted: dict[int, tuple[tuple[str, ...], JournalStep]] = {}

    def on_step(self, step: JournalStep) -> None:
        item = step.item
        if isinstance(item, OperatorIn) and item.verb == "resume":
            for account in list(self.halted):
                if item.account in (None, account):
                    self._looked(account)
                    del self.halted[account]
        for output in step.outputs:
            if isinstance(output, StateChange):
                self._state(output, step)
            elif isinstance(output, Intent):
                self._trading(output.account, output.now_ns, f"{output.tag} was approved")

    def _looked(self, account: int) -> None:
        """A person resumes a halted account: after a lost journal, a lock that the broker lifted before is no more.

        The broker tells that it lets an account trade, not that it did not an hour ago, so nothing can be found out
        anew; that is why the lost journal halts, and says that a lock may have been in it.
        """
        halts, _ = self.halted[account]
        if account in self.locked and "RC_JOURNAL_LOST" in halts and "RC_BROKER_LOCK" not in halts:
            _, codes, _ = self.locked[account]
            lifted = self.facts.evidence.accounts[account].can_trade
            if lifted and BROKER_LOCK.issuperset(codes):
                del self.locked[account]

    def _state(self, change: StateChange, step: JournalStep) -> None:
        account = change.account
        if change.state in ("ACTIVE", "PAUSED"):
            self._trading(account, change.now_ns, f"the account became {change.state}")
        elif change.state == "LOCKED":
            self.locked[account] = (day_of(change.now_ns), change.reasons, step)
        elif change.state == "HALTED":
            self.halted[account] = (change.reasons, step)

    def _trading(self, account: int, now_ns: int, what: str) -> None:
        self.judge()
        if account in self.locked:
            day, codes, step = self.locked[account]
            forgotten = step.lost and not DERIVED.intersection(codes)
            if day == day_of(now_ns) and not forgotten:
                self.fail(f"{what} on {day}, which account {account} is locked for ({', '.join(codes)})")
            else:
                del self.locked[account]
        if account in self.halted:
            codes, step = self.halted[account]
            # A refused login is told anew at each start, which a person makes: one that is taken then has been mended.
            anew = codes[:1] == ("RC_AUTH",) and step.executor != self.facts.evidence.executor
            if step.lost or anew:
                del self.halted[account]
            else:
                self.fail(f"{what} although account {account} was halted ({', '.join(codes)}) and nobody resumed it")


@world_check("I16")
class OneExecutor(Check):
    """At most one executor sends for an account: nothing comes from a life after the next one began."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.newest: dict[int | None, int] = {}

    def on_request(self, request: WireRequest) -> None:
        self.judge()
        newest = max(self.newest.get(request.account, 0), self.facts.evidence.executor)
        if request.executor < newest:
            self.fail(f"executor {request.executor} sent {request.path} after executor {newest} had begun")
        self.newest[request.account] = max(newest, request.executor)


MONEY = ("_cents", "_ticks", "price_size", "_ns")
EXACT = frozenset({"price", "stop", "limit", "bid", "ask", "size", "filled", "side", "stop_offset", "target_offset"})


def exact_fields(kind: type) -> tuple[str, ...]:
    """Fields of a message that hold money, prices, sizes or times."""
    return tuple(item.name for item in fields(kind) if item.name in EXACT or item.name.endswith(MONEY))


@world_check("I19")
class NoFloats(Check):
    """Money, prices, sizes and times in what goes into and comes out of the Desk are integers."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.names: dict[type, tuple[str, ...]] = {}

    def on_step(self, step: JournalStep) -> None:
        self.judge()
        self._look(step.item)
        for output in step.outputs:
            self._look(output)

    def _look(self, thing: Any) -> None:
        kind = type(thing)
        names = self.names.get(kind)
        if names is None:
            names = self.names[kind] = exact_fields(kind)
        for name in names:
            value = getattr(thing, name)
            if type(value) is not int and value is not None:
                self.fail(f"{kind.__name__}.{name} is the {type(value).__name__} {value!r}")


@world_check("I15")
class Replayed(Check):
    """The journal holds what was handed to it; replayed, it gives the same outputs, and the run's state all the way."""

    def on_end(self) -> None:
        path = self.facts.journal
        if path is None:
            return
        self.judge()
        with Journal.open_readonly(path, wire) as reader:
            verdict = reader.verify()
            if verdict.state == "mismatch":
                self.fail(f"the journal is damaged: {verdict.reason}")
                return
            start, info = reader.runs()[-1]
            steps = list(reader.steps(after=start))
        life, all_steps = self.facts.evidence.executor, self.facts.evidence.steps
        handed = [step for step in all_steps if step.executor == life and step.seq and not step.lost]
        if [(step.item, step.outputs) for step in steps] != [(step.item, step.outputs) for step in handed]:
            self.fail(f"the journal holds {len(steps)} steps of the last run, handed to it were {len(handed)}")
        self._replay(Desk(DeskRecord.decode(info.desk).settings()), steps, handed)

    def _replay(self, desk: Desk, steps: list[Step], handed: list[JournalStep]) -> None:
        """One fold through everything; where the run's Desk was looked at, this one must be in the same state.

        So every part of the journal is compared with the run itself, which no second replay could be better than.
        """
        for number, (step, outputs) in enumerate(replay_steps(desk, steps)):
            if outputs != step.outputs:
                self.fail(f"replay differs at row {step.seq}")
                return
            seen = handed[number].digest if number < len(handed) else ""
            if seen and desk.digest() != seen:
                self.fail(f"the first {number + 1} steps of the journal replay to another state than the run was in")
                return
        if self.facts.digest and desk.digest() != self.facts.digest:
            self.fail("replay ends in another state than the run did")


@world_check("I24")
class BackAgain(Check):
    """When everything works again, the engine trades within 40 s without a person, or a standing reason says no."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.since_ns: int | None = None  # both calm and not trading

    def on_event(self) -> None:
        facts = self.facts
        evidence = facts.evidence
        # A stepped clock stays wrong when its fault has been long done: until then PAUSED is right (F-TIM-01).
        right = abs(evidence.wall_ns - evidence.market_ns) < SKEW_NS
        settled = evidence.answering and evidence.market_open and not evidence.faults and right
        # Before the calm end nobody need start an executor again that died too often.
        if not settled or (not evidence.alive and evidence.calm_since_ns is None):
            self.since_ns = None
            return
        away = [account for account in facts.rules.limits if self._away(account)]
        if not away:
            self.since_ns = None
        elif self.since_ns is None:
            self.since_ns = evidence.boot_ns
        self.judge()
        since_ns = max(self.since_ns or 0, evidence.calm_since_ns or 0)
        if self.since_ns is not None and evidence.boot_ns - since_ns > BACK_NS:
            view = facts.account_view(away[0])
            state = "no executor" if view is None else f"{view['state']} {[item['code'] for item in view['reasons']]}"
            self.fail(f"account {away[0]} is not back 40 s after everything works again: {state}")

    def _away(self, account: int) -> bool:
        view = self.facts.account_view(account)
        if view is None:
            return True
        codes = {reason["code"] for reason in view["reasons"]}
        lost = view["state"] == "HALTED" and "RC_JOURNAL_LOST" in codes
        if lost and self.facts.evidence.calm_since_ns is None:
            return False  # until somebody looks and says resume (F-SYS-03, I14), who comes with the calm end
        # The line to the gateway may have a reason of its own: a refused login waits for a person (F-API-02).
        alarms = (self.facts.evidence.status or {}).get("alarms", [])
        if not STANDING.isdisjoint(alarm["code"] for alarm in alarms):
            return False
        # F-API-03 halves the budget and pauses entries for a minute; longer than that it is no reason.
        if "RC_RATE_LIMIT" in codes and self._limited():
            return False
        if view["state"] == "REDUCING" and self._open_end(set(view["unknown"])):
            return False
        return view["state"] != "ACTIVE" and (codes.isdisjoint(STANDING) or view["state"] in ("BOOT", "RECONCILING"))

    def _open_end(self, unknown: set[str]) -> bool:
        """Whether an order of ours may still fill, so that nothing can be proven flat (R7 step 6).

        I24 itself speaks of hubs; that trading goes on is our reading of it, and R3 says when it may: a request that
        nobody answered can be accepted long after the network is well again, so it counts for C_UNKNOWN_HORIZON.
        """
        evidence = self.facts.evidence
        since_ns = evidence.boot_ns - UNKNOWN_NS - CALL_NS - RETRIED_NS
        newest = takewhile(lambda request: request.boot_ns >= since_ns, reversed(evidence.wire))
        return any(request.tag in unknown for request in newest)

    def _limited(self) -> bool:
        evidence = self.facts.evidence
        since_ns = evidence.boot_ns - LIMITED_NS - RETRIED_NS
        newest = takewhile(lambda request: request.boot_ns >= since_ns - RETRIED_NS, reversed(evidence.wire))
        return any(request.status == 429 and (request.answered_ns or 0) >= since_ns for request in newest)


@world_check("I27")
class DeathIsNoticed(Check):
    """A dead executor shows in the status within 6 s, or another one is there."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.dead_ns: int | None = None

    def on_event(self) -> None:
        evidence = self.facts.evidence
        if evidence.alive or not evidence.executor:
            self.dead_ns = None
            return
        if self.dead_ns is None:
            self.dead_ns = evidence.boot_ns
        if evidence.boot_ns - self.dead_ns > NOTICE_NS and evidence.status is not None:
            self.judge()
            if evidence.status.get("state") == "ACTIVE":
                self.fail("the executor is dead for more than 6 s and the status says ACTIVE")


@world_check("I33")
class TrueStatus(Check):
    """The status document tells what the Desk says, not older than a second; once there, it is never absent.

    A document that was not written anew is judged by its own stamp, says the specification: while the machine sleeps
    nobody writes, and the age of what stands there is displayed. While syncs take two seconds each, one of them may lie
    between a change and the next words of the executor.
    """

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.said: deque[tuple[int, Any]] = deque()  # (boot time from which on, what the Desk said)
        self.document: object = None
        self.shown: Any = None  # what of `said` the document shows
        self.was_there = False
        self.asleep_ns = 0  # boot time when the machine last slept

    def _essence(self, accounts: dict[str, Any]) -> Any:
        return {
            number: (
                view["state"],
                [reason["code"] for reason in view["reasons"]],
                view["day_pnl_cents"],
                [(item["contract"], item["side"] * item["size"]) for item in view["positions"]],
            )
            for number, view in accounts.items()
        }

    def on_view(self) -> None:
        view = self.facts.evidence.view
        if view is None:
            self.said.clear()
            self.said.append((self.facts.evidence.boot_ns, {}))  # a new life begins by saying nothing
        else:
            essence = self._essence(view["accounts"])
            if not self.said or self.said[-1][1] != essence:
                self.said.append((self.facts.evidence.boot_ns, essence))

    def on_event(self) -> None:
        evidence = self.facts.evidence
        if evidence.status is None:
            if self.was_there:
                self.fail("the status document is gone")
            return
        if not evidence.alive or evidence.view is None or not self.said:
            return
        if "F-TIM-02" in evidence.faults:
            self.asleep_ns = evidence.boot_ns
        fresh, self.document, self.was_there = evidence.status is not self.document, evidence.status, True
        if not fresh and self.shown is self.said[-1][1]:
            return  # it showed the newest when it was looked at
        late_ns = LATE_NS + SYNC_NS * ("F-SYS-05" in evidence.faults)
        if not fresh and evidence.boot_ns - self.asleep_ns < late_ns:
            return
        oldest_ns = evidence.boot_ns - (SHOWN_NS if fresh else late_ns)
        while len(self.said) > 1 and self.said[1][0] <= oldest_ns:
            self.said.popleft()
        late = self.said[0][0] < oldest_ns
        if not fresh and not (late and len(self.said) == 1):
            return
        self.judge()
        shown = self._essence(evidence.status.get("accounts", {}))
        matching = [essence for _, essence in self.said if essence == shown]
        self.shown = matching[-1] if matching else None
        if not matching:
            self.fail(f"the status shows {shown}; the Desk says {self.said[-1][1]}")


def journal_rows(path: Any) -> list[tuple[Any, ...]]:
    """All rows of a journal as they lie on disk, for comparisons."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        return database.execute("SELECT * FROM record ORDER BY seq").fetchall()
