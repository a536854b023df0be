"""The one flatten procedure (failure-model.md R7), used by every path that gets out of positions.

    close        cancel working entries, close every position in scope; then wait for the answers
    prove_flat   an explicit position list asked for after those answers; a position left: next round of `close`
    cancel_rest  only now cancel what still works in the scope, suspended bracket legs included
    prove_done   flat and no working order: done. A leg filled in between and reversed: back to `close`

It can be stopped and restarted at any phase: each one reads the picture and repeats only what is harmless to repeat.
A stop is never cancelled while its position is open.
"""

from dataclasses import dataclass, field
from typing import Literal

from tbot.execution.entries import Protective
from tbot.execution.order_manager import Closed, OrderManager
from tbot.execution.picture import Picture
from tbot.execution.reconcile import Reconciler
from tbot.execution.settings import DeskSettings

# Pause before round 1, 2, 3, ... in ns of machine time.
PAUSES_NS = (250_000_000, 500_000_000, 1_000_000_000, 2_000_000_000)
# And after those when the closes are refused for no cause but a market that is shut: C_RECON_OPEN. At two seconds, two
# accounts with two contracts ask more than 200 times a minute: when it opens, no budget is left for the cancels (R9).
SHUT_PAUSE_NS = 5_000_000_000
HUNG_ROUNDS = 4  # a close whose order still works after so many rounds (about 4 s) is given up; I3 leaves 10 s

Phase = Literal["close", "prove_flat", "cancel_rest", "prove_done"]


@dataclass(slots=True)
class Job:
    """What is being flattened, why, and how far it is."""

    contracts: set[str] | None  # None: everything T-BOT trades in the account
    foreign: bool  # also what is not ours, in contracts not traded by T-BOT too (kill switch, daily limit)
    code: str
    text: str
    phase: Phase = "close"
    rounds: int = 0
    not_before_ns: int = 0
    proof_step: int = -1  # the proof must answer a query sent at this step or later; -1: not asked for yet


@dataclass(slots=True)
class Flattener:
    """Runs at most one Job for an account; more wishes widen it."""

    settings: DeskSettings
    picture: Picture
    manager: OrderManager
    reconciler: Reconciler
    job: Job | None = None
    finished: int = field(default=0)  # jobs that ended proven

    def request(self, contracts: set[str] | None, code: str, text: str, *, foreign: bool = False) -> None:
        """Start flattening, or widen what runs. Asking again for what runs already changes nothing."""
        job = self.job
        if job is None:
            self.job = Job(set(contracts) if contracts is not None else None, foreign, code, text)
            return
        wider = job.contracts is not None and (contracts is None or not contracts <= job.contracts)
        if not wider and (job.foreign or not foreign):
            return
        if contracts is None or job.contracts is None:
            job.contracts = None
        else:
            job.contracts |= contracts
        job.foreign, job.code, job.text = job.foreign or foreign, code, text
        job.phase, job.proof_step = "close", -1

    def covers(self, contract: str) -> bool:
        """Whether this contract is being flattened now."""
        return self.job is not None and (self.job.contracts is None or contract in self.job.contracts)

    @property
    def loud(self) -> bool:
        """More rounds than C_FLATTEN_ALERT: somebody should look."""
        return self.job is not None and self.job.rounds >= self.settings.limits.flatten_alert_rounds

    def advance(self, now_ns: int, step: int) -> None:
        """Go as far as what is known allows. A proof always waits for an answer to a later query, so this ends."""
        while (job := self.job) is not None and now_ns >= job.not_before_ns:
            before = job.phase
            if job.phase == "close":
                self._close(job, now_ns, step)
            elif job.phase == "cancel_rest":
                self._cancel_rest(job, now_ns)
            else:
                self._prove(job, now_ns, step)
            if self.job is not None and self.job.phase == before:
                return

    def _close(self, job: Job, now_ns: int, step: int) -> None:
        for entry in self.picture.live_entries():
            if self.covers(entry.contract) and entry.order_id is not None:
                self.manager.cancel(entry.contract, entry.order_id, now_ns)
        for seen in self.picture.working():
            order = seen.order
            ours = seen.tag is not None and seen.tag.part == "entry"
            # A stranger's order may be the stop of a stranger's position; that one goes in `cancel_rest`.
            theirs = job.foreign and seen.tag is None and self.picture.ledger.position(order.contract).size == 0
            if (ours or theirs) and self._inside(order.contract, job):
                self.manager.cancel(order.contract, order.order_id, now_ns)
        for contract in self._positions(job):
            if job.rounds >= HUNG_ROUNDS:
                # A close whose order still works hangs, maybe filled in part (F-ORD-04): cancelled, then asked again.
                # A stranger's is left to its owner unless everything has to go (F-ACC-02); beside it nothing is closed.
                for order in self.picture.closing_orders(contract, strangers=job.foreign):
                    self.manager.cancel(contract, order.order_id, now_ns)
            if contract in self.manager.close_refused:
                self._exit(contract, job, now_ns, step)
            else:
                self.manager.close(contract, job.code, now_ns, step)
        job.phase, job.proof_step = "prove_flat", -1

    def _exit(self, contract: str, job: Job, now_ns: int, step: int) -> None:
        """R4: the broker does not close contracts for this kind of account, so an opposite order of the size just read.

        Only by an answer that is newer than the refusal, every fill and every exit before; and an exit whose outcome is
        open must have been absent from two answers C_RECON_CONFIRM apart (projectx-gateway.md section 12).
        """
        exits = [own for own in self.picture.protective.values() if (own.kind, own.contract) == ("exit", contract)]
        confirm_ns = self.settings.patience(self.settings.limits.recon_confirm_ns)
        for own in exits:
            if own.status == "unknown" and own.answers >= 2 and now_ns - own.unknown_ns >= confirm_ns:
                own.status = "presumed_dead"
        told = max(self.manager.close_refused[contract], self.picture.fill_step.get(contract, -1))
        sent = max((own.sent_step for own in exits), default=-1)
        open_end = any(own.unproven for own in exits) or self.picture.closing_orders(contract)
        answer, answer_step = self.reconciler.answer, self.reconciler.answer_step
        if open_end or answer is None or answer_step < told or answer_step <= sent:
            return
        size = next((held.size for held in answer.positions if held.contract == contract), 0)
        if size:
            side = -1 if size > 0 else 1
            self.manager.closed[contract] = Closed(now_ns, job.code)
            self.manager.protect("exit", (contract, side, abs(size), None), (now_ns, step))

    def _positions(self, job: Job) -> list[str]:
        """Contracts in scope that hold something by our picture or by the last explicit answer: the worse of both."""
        told, _ = self.reconciler.exposed(job.contracts, foreign=job.foreign)
        held = {contract for contract in self.picture.ledger.open_contracts() if self._inside(contract, job)}
        if not job.foreign:
            held = {name for name in held if self.picture.holding(name).owned or self.picture.holding(name).surprise}
        # What we saw fill after that answer's query left is newer than the answer.
        fresh = {name for name in told if self.picture.fill_step.get(name, -1) <= self.reconciler.answer_step}
        return sorted(held | fresh)

    def _inside(self, contract: str, job: Job) -> bool:
        return self.covers(contract) and (job.foreign or contract in self.settings.products)

    def _prove(self, job: Job, now_ns: int, step: int) -> None:
        if self.manager.waiting_for(job.contracts, "place", "cancel", "close", "exit") and not self._only_lost_places(
            job
        ):
            return
        if job.proof_step < 0:
            job.proof_step = step
            self.reconciler.ask(now_ns, step)
        if self.reconciler.answer_step < job.proof_step:
            # An answer that lags behind proves nothing, but what we know to be open must not wait for a better one.
            behind_step = self.reconciler.behind_step
            if behind_step is not None and behind_step >= job.proof_step and self._positions(job):
                self._next_round(job, now_ns, "close")
            return
        positions, orders = self.reconciler.exposed(job.contracts, foreign=job.foreign)
        held = [name for name in self._positions(job) if name not in positions]
        if positions or held:
            self._next_round(job, now_ns, "close")
        elif orders:
            again = job.phase == "prove_done"
            self._next_round(job, now_ns, "cancel_rest", pause=again)
        elif not self._may_fill():
            self.job = None
            self.finished += 1
            self.manager.close_refused.clear()
            self.manager.shut.clear()
        else:
            # What is UNKNOWN may still fill: keep looking until it is found or presumed dead.
            self._next_round(job, now_ns, "close")

    def _may_fill(self) -> bool:
        """Whether an entry or exit in scope may still fill at market. A stop that is not proven waits for its price."""
        placements = [*self.picture.live_entries(), *self.picture.unproven()]
        kinds = [
            placement for placement in placements if not isinstance(placement, Protective) or placement.price is None
        ]
        return any(self.covers(placement.contract) for placement in kinds)

    def _only_lost_places(self, job: Job) -> bool:
        """Placements that are UNKNOWN may never be answered; their proof is the broker's list, not the answer."""
        if self.manager.waiting_for(job.contracts, "cancel", "close"):
            return False
        placements = self.picture.live_placements()
        return all(placement.status != "sent" or not self.covers(placement.contract) for placement in placements)

    def _cancel_rest(self, job: Job, now_ns: int) -> None:
        _, orders = self.reconciler.exposed(job.contracts, foreign=job.foreign)
        for contract, order_id in orders:
            self.manager.cancel(contract, order_id, now_ns)
        job.phase, job.proof_step = "prove_done", -1

    def _next_round(self, job: Job, now_ns: int, phase: Phase, *, pause: bool = True) -> None:
        if pause:
            last = len(PAUSES_NS)
            # Of what is still held: one that is flat by now does not make the others wait for its market.
            shut = job.rounds >= last and not self.manager.shut.isdisjoint(self._positions(job))
            real_ns = SHUT_PAUSE_NS if shut else PAUSES_NS[min(job.rounds, last - 1)]
            job.not_before_ns = now_ns + self.settings.patience(real_ns)
            job.rounds += 1
        job.phase, job.proof_step = phase, -1
