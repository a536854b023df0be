"""The broker's truth against our picture: when to ask, what an answer proves, and what a difference means.

Three loops (failure-model.md R5): at start, every C_RECON_OPEN while anything is open, every C_RECON_IDLE otherwise;
and at once after anything surprising. Only a complete answer to our own query proves absence, and only of what was
heard before the query left. A difference must be seen in two answers C_RECON_CONFIRM apart before it is acted on.

An answer may come from a replica that lags behind (F-ACC-05), and two such answers agree with each other. So an answer
whose fills leave out one that was heard of before its query left is older than what is known, and proves nothing: it
counts like an unproven one and is asked for again. A fill that answers leave out for C_UNKNOWN_HORIZON is no witness
any more. The position list alone may lag, too: a position is not adopted within C_RECON_OPEN of the contract's newest
fill. The exception is a position without a stop that no lag explains, as it was at no time before those fills and comes
of no order whose fills may still be untold: it must be gone in C_NAKED_MAX (R6), so C_RECON_CONFIRM is all it gets.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tbot.domain.messages import Fill, Query, Snapshot
from tbot.execution.entries import Placement
from tbot.execution.leftovers import leftovers
from tbot.execution.order_manager import OrderManager
from tbot.execution.outbox import Outbox
from tbot.execution.picture import Picture
from tbot.execution.settings import DeskSettings
from tbot.execution.tags import parse_tag

SKEW_NS = 2_000_000_000  # C_SKEW_MAX: so far may the gateway's stamps be from our market time


@dataclass(slots=True)
class Asked:
    """A query whose answer is out."""

    command_id: str
    sent_ns: int
    sent_step: int
    since_ns: int  # fills from this time on are asked for


@dataclass(slots=True)
class Witness:
    """A fill that was heard of: an answer that leaves it out is older than we are."""

    contract: str
    made_ns: int
    heard_ns: int
    step: int
    change: int  # of the position, signed
    missing_ns: int | None = None  # answers leave it out, first at this time


@dataclass(slots=True)
class Mismatch:
    """A contract whose position differs between broker and us, as first seen."""

    broker_size: int
    own_size: int
    first_ns: int


@dataclass(slots=True)
class Findings:
    """What one complete answer showed."""

    adopted: list[str] = field(default_factory=list)  # contracts whose position was replaced by the broker's
    sentences: list[str] = field(default_factory=list)


class Reconciler:
    """Query cadence and comparison of one account."""

    def __init__(self, settings: DeskSettings, picture: Picture, outbox: Outbox) -> None:
        self._settings = settings
        self._limits = settings.limits
        self._picture = picture
        self._outbox = outbox
        self.proven = False  # a complete answer agreed with our picture since the last (re)start
        self.started = False  # it did once: start-up is over
        self.back_ns = 0  # queries ask this much further back than the trading day, until the past is known
        self.asked: Asked | None = None
        self.want_ns: int | None = None  # a query is wanted from this time on
        self.want_step = 0  # and it must have been sent at this step or later
        self.answer: Snapshot | None = None  # the last complete one
        self.answer_step = -1  # when its query was sent
        self.last_ns: int | None = None  # when the last query was answered or given up
        self.failures = 0  # unproven answers in a row
        self.behind_step: int | None = None  # the last answer was older than what is known; its query left at this step
        self.witnesses: dict[int, Witness] = {}  # fill id -> heard of today
        self.mismatches: dict[str, Mismatch] = {}
        self.suspects: dict[int, int] = {}  # order id -> first seen as a leftover

    # ------------------------------------------------------------------------------------------------- cadence
    def ask(self, at_ns: int, step: int) -> None:
        """A query is wanted at `at_ns`, sent not before `step`; the earliest wish counts."""
        self.want_ns = at_ns if self.want_ns is None else min(self.want_ns, at_ns)
        self.want_step = max(self.want_step, step)

    def flush(self, now_ns: int, step: int, *, busy: Callable[[], bool], alarm: bool = False) -> None:
        """Send the query that is due, if one is; never two at a time. `alarm`: a position may be without protection.

        `busy` tells whether anything is open or under way: it is asked where the cadence of queries counts.
        """
        if self.asked is not None:
            if now_ns - self.asked.sent_ns < self._settings.patience(self._limits.command_timeout_ns):
                return
            self._failed(now_ns, step)
        due = self.last_ns is None
        if self.last_ns is not None and not self._settings.in_process:
            due = now_ns - self.last_ns >= self._settings.cadence_ns(busy=busy())
        wanted = self.want_ns is not None and self.want_ns <= now_ns
        if not due and not wanted:
            return
        since_ns = self._settings.calendar.trading_day(now_ns).start_ns - self.back_ns
        self.asked = Asked(self._outbox.new_id(), now_ns, step, since_ns)
        if self.want_ns is not None and self.want_ns <= now_ns:
            self.want_ns = None
        urgent = alarm or bool(self.mismatches) or not self.started  # before the first proof anything may be open
        self._outbox.command(Query(self.asked.command_id, self._outbox.account, since_ns, urgent))

    def start_over(self, step: int, now_ns: int) -> None:
        """Back to RECONCILING: nothing is proven any more."""
        self.proven = False
        self.ask(now_ns, step)

    def _failed(self, now_ns: int, step: int) -> None:
        self.asked, self.last_ns, self.behind_step = None, now_ns, None
        self.failures += 1
        self.ask(now_ns + self._settings.patience(self._limits.recon_confirm_ns), step)

    # ------------------------------------------------------------------------------------------------- answers
    def on_snapshot(self, snapshot: Snapshot, manager: OrderManager, step: int) -> Findings:
        """Compare; its orders and fills are folded already. An answer to no query of ours proves nothing."""
        findings = Findings()
        asked, now_ns = self.asked, snapshot.now_ns
        if asked is None or asked.command_id != snapshot.command_id:
            return findings
        if not snapshot.complete or self._is_behind(snapshot, asked):
            self._failed(now_ns, step)
            self.behind_step = asked.sent_step if snapshot.complete else None
            return findings
        self.asked, self.last_ns, self.failures, self.behind_step = None, now_ns, 0, None
        self.answer, self.answer_step = snapshot, asked.sent_step
        if asked.sent_step < self.want_step and self.want_ns is None:
            self.ask(now_ns, self.want_step)
        self._absences(snapshot, asked, step)
        self._unknown(snapshot, asked)
        self._picture.settle()
        for update in snapshot.orders:
            manager.moves.shown(update, asked.sent_step)
        self._positions(snapshot, asked, findings, step)
        if not self.mismatches and self._picture.account.balance_cents is not None:
            self.proven = self.started = True
        if self.started:
            self._leftovers(snapshot, manager, step)
        return findings

    def heard(self, fill: Fill, now_ns: int, step: int) -> None:
        """A fill was told, by whatever way; only its first telling counts."""
        change = 0 if fill.voided else fill.side * fill.size
        self.witnesses.setdefault(fill.fill_id, Witness(fill.contract, fill.now_ns, now_ns, step, change))

    def forget(self) -> None:
        """A new trading day: answers list its own fills only."""
        self.witnesses.clear()

    def _is_behind(self, snapshot: Snapshot, asked: Asked) -> bool:
        """Whether the answer leaves out a fill that we had heard of when we asked."""
        listed = {fill.fill_id for fill in snapshot.fills}
        horizon_ns = self._settings.patience(self._limits.unknown_horizon_ns)
        behind = False
        for number, witness in self.witnesses.items():
            if number in listed:
                witness.missing_ns = None
            elif witness.step <= asked.sent_step and witness.made_ns >= asked.since_ns:
                if witness.missing_ns is None:
                    witness.missing_ns = snapshot.now_ns
                behind = behind or snapshot.now_ns - witness.missing_ns < horizon_ns
        return behind

    def _just_filled(self, contract: str, now_ns: int) -> list[Witness]:
        """The fills that a position list may not show yet, newest first."""
        since_ns = now_ns - self._settings.patience(self._limits.recon_open_ns)
        found = [
            witness
            for witness in self.witnesses.values()
            if witness.contract == contract and witness.heard_ns > since_ns and witness.made_ns > since_ns - SKEW_NS
        ]
        return sorted(found, key=lambda witness: witness.made_ns, reverse=True)

    def _explained(self, contract: str, theirs: int, snapshot: Snapshot) -> bool:
        """Whether fills may be behind a difference: some that the list does not show yet, or some not told to us."""
        held = earlier = self._picture.ledger.position(contract).size
        for witness in self._just_filled(contract, snapshot.now_ns):
            earlier -= witness.change
            if earlier == theirs:
                return True
        side = 1 if theirs > held else -1
        return self._untold(contract, side, snapshot) >= abs(theirs - held)

    def _untold(self, contract: str, side: int, snapshot: Snapshot) -> int:
        """Contracts that orders of this side may have filled beyond what fills tell.

        An order that the answer lists has filled what that list says: it was read after the positions.
        """
        picture, untold = self._picture, 0
        listed = {update.order_id for update in snapshot.orders}
        for number, seen in picture.orders.items():
            order = seen.order
            if (order.contract, order.side) != (contract, side):
                continue
            # A leg that is gone went with its sibling; anything else that is gone may have filled on its way.
            over = order.final and not (seen.presumed and (seen.tag is None or not seen.tag.leg))
            most = order.filled if over or number in listed else order.size
            untold += max(0, most - picture.ledger.filled(number))
        for placement in picture.live_placements():
            if (placement.contract, placement.side) == (contract, side) and placement.order_id not in picture.orders:
                filled = 0 if placement.order_id is None else picture.ledger.filled(placement.order_id)
                untold += placement.size - filled
        return untold

    def _naked(self, contract: str, theirs: int, snapshot: Snapshot) -> bool:
        """Whether an answer shows a position that its stops do not cover and that no fill can account for."""
        covered = sum(
            update.size - update.filled
            for update in snapshot.orders
            if update.contract == contract
            and update.status == "open"
            and update.order_type in ("stop", "trailing_stop")
            and update.side * theirs < 0
        )
        return covered < abs(theirs) and not self._explained(contract, theirs, snapshot)

    def _confirm_ns(self) -> int:
        return self._settings.patience(self._limits.recon_confirm_ns)

    def _absences(self, snapshot: Snapshot, asked: Asked, step: int) -> None:
        """Orders that we think are working and the broker does not list: in doubt, then over."""
        listed = {update.order_id for update in snapshot.orders}
        for seen in self._picture.working():
            number = seen.order.order_id
            if number in listed or seen.last_step > asked.sent_step:
                continue
            if seen.missing_ns is None:
                seen.missing_ns = snapshot.now_ns
                self.ask(snapshot.now_ns + self._confirm_ns(), step)
            elif snapshot.now_ns - seen.missing_ns >= self._confirm_ns():
                self._picture.drop(number)
        for placement in self._picture.live_placements():
            order_id = placement.order_id
            known = order_id is None or order_id in self._picture.orders or order_id in listed
            if known or placement.sent_step > asked.sent_step:
                continue
            if placement.missing_ns is None:
                placement.missing_ns = snapshot.now_ns
                self.ask(snapshot.now_ns + self._confirm_ns(), step)
            elif snapshot.now_ns - placement.missing_ns >= self._confirm_ns():
                assert order_id is not None, "known is True without one"
                placement.status = "done" if self._picture.ledger.filled(order_id) else "dead"

    def _unknown(self, snapshot: Snapshot, asked: Asked) -> None:
        """R3: found, absent once more, or absent often and long enough to be presumed dead."""
        for placement in self._picture.live_placements():
            if placement.status != "unknown" or asked.sent_step < placement.unknown_step:
                continue
            order_id = self._filled_as(placement, snapshot)
            if order_id is not None:
                self._picture.name(placement, order_id)
                continue
            placement.answers += 1
            waited_ns = snapshot.now_ns - placement.unknown_ns
            long_enough = waited_ns >= self._settings.patience(self._limits.unknown_horizon_ns)
            if long_enough and placement.answers >= self._limits.unknown_answers:
                placement.status = "presumed_dead"

    def _filled_as(self, placement: Placement, snapshot: Snapshot) -> int | None:
        """The order behind a fill that nothing else explains and that fits an UNKNOWN placement.

        Its own order is over and no longer listed, and its legs may be missing too; so a fill of an unseen order, same
        contract and side, after the entry was sent, is taken for it. Treating a stranger's fill so is the safe error:
        the position is then watched, not ignored.
        """
        for fill in snapshot.fills:
            strange = fill.order_id not in self._picture.orders and self._picture.placement_of(fill.order_id) is None
            fits = (fill.contract, fill.side) == (placement.contract, placement.side) and not fill.voided
            if strange and fits and fill.now_ns >= placement.sent_ns:
                return fill.order_id
        return None

    def _positions(self, snapshot: Snapshot, asked: Asked, findings: Findings, step: int) -> None:
        """Net size per contract. A fill that was heard of while the query was out makes a contract inconclusive."""
        picture, now_ns = self._picture, snapshot.now_ns
        told = {position.contract: position for position in snapshot.positions}
        for contract in sorted(set(told) | set(picture.ledger.open_contracts()) | set(self.mismatches)):
            held = picture.ledger.position(contract).size
            theirs = told[contract].size if contract in told else 0
            if held == theirs:
                self.mismatches.pop(contract, None)
                continue
            self.ask(now_ns + self._confirm_ns(), step)
            before = self.mismatches.get(contract)
            moved = before is not None and (before.broker_size, before.own_size) != (theirs, held)
            naked = self._naked(contract, theirs, snapshot)
            if picture.fill_step.get(contract, -1) > asked.sent_step and before is None and not naked:
                continue
            if before is None or moved:
                self.mismatches[contract] = Mismatch(theirs, held, now_ns)
            elif now_ns - before.first_ns >= self._confirm_ns() and (naked or not self._just_filled(contract, now_ns)):
                basis = told[contract].price_size_sum if contract in told else 0
                picture.ledger.adopt_position(contract, theirs, basis, now_ns)
                picture.activity_step = step
                del self.mismatches[contract]
                findings.adopted.append(contract)
                findings.sentences.append(f"{contract}: the broker holds {theirs}, fills say {held}")

    def _leftovers(self, snapshot: Snapshot, manager: OrderManager, step: int) -> None:
        """F-ORD-07. Legs that the broker may be about to cancel get a second look; the others go at first sight."""
        listed = {update.order_id for update in snapshot.orders}
        found = {item.seen.order.order_id: item for item in leftovers(self._picture)}
        found = {number: item for number, item in found.items() if number in listed}
        self.suspects = {number: at for number, at in self.suspects.items() if number in found}
        for number, item in found.items():
            first_ns = self.suspects.setdefault(number, snapshot.now_ns)
            if item.why != "leg" or snapshot.now_ns - first_ns >= self._confirm_ns():
                manager.cancel(item.seen.order.contract, number, snapshot.now_ns)
            self.ask(snapshot.now_ns + self._confirm_ns(), step)

    # ----------------------------------------------------------------------------------------------- questions
    def exposed(self, contracts: set[str] | None, *, foreign: bool) -> tuple[list[str], list[tuple[str, int]]]:
        """(contracts with a position, working orders as (contract, id)) of the last complete answer, within a scope.

        `contracts` None: all that T-BOT trades. `foreign` False leaves out what is somebody else's; True takes in what
        T-BOT does not trade, too.
        """
        positions: list[str] = []
        orders: list[tuple[str, int]] = []
        if self.answer is None:
            return positions, orders

        def inside(contract: str) -> bool:
            traded = foreign or contract in self._settings.products
            return traded and (contracts is None or contract in contracts)

        for position in self.answer.positions:
            if position.size and inside(position.contract) and (foreign or not self._strangers(position.contract)):
                positions.append(position.contract)
        for update in self.answer.orders:
            seen = self._picture.orders.get(update.order_id)
            # Told to be over after the query left: the answer is merely older. Told before, and listed all the same:
            # a contradiction, and the worse of the two counts (F-ACC-05).
            over = seen is not None and seen.order.final and seen.last_step > self.answer_step
            if inside(update.contract) and not over and (foreign or parse_tag(update.tag) is not None):
                orders.append((update.contract, update.order_id))
        return positions, orders

    def state(self) -> list[object]:
        """Data for the digest."""
        queries = [self.proven, self.started, self.asked, self.want_ns, self.want_step, self.last_ns, self.failures]
        answers = [self.answer, self.answer_step, self.mismatches, self.suspects, self.behind_step, self.witnesses]
        return [*queries, *answers]

    def _strangers(self, contract: str) -> bool:
        """Whether the whole position of a contract is somebody else's."""
        holding = self._picture.holding(contract)
        return holding.size != 0 and not holding.surprise and holding.owned == 0
