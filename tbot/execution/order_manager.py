"""Orders of one account: places them, follows every command to its proven end, cancels and closes.

A sans-I/O state machine over the account's Picture. One approved intent is at most one placement request, ever (R2); an
outcome that is not proven makes the placement UNKNOWN and its contract takes no entries (R3); exits are cancels by id
and close-contract, which may be repeated (R4), and where that is refused an opposite order of a size just read.
Outcomes of commands: failure-model.md section 4, gateway.outcomes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from tbot.domain.messages import (
    Barred,
    CancelOrder,
    CloseContract,
    CommandResult,
    Intent,
    ModifyStop,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    PlaceTarget,
    Quote,
    SignalStamps,
)
from tbot.execution.entries import Entry, Placement, Protective
from tbot.execution.exposure import exposures
from tbot.execution.line import TOO_MANY
from tbot.execution.outbox import Outbox
from tbot.execution.picture import Picture
from tbot.execution.settings import DeskSettings
from tbot.execution.stop_moves import Move, MoveLog
from tbot.execution.tags import Role
from tbot.risk.gate import Approval, Exposure, Refusal, Request

Kind = Literal["place", "cancel", "close", "modify", "stop", "target", "exit"]
LIMITS = (TOO_MANY, "no budget")  # gateway.outcomes.Situation: told by the gateway, or refused here
_ROLES: dict[Literal["stop", "target", "exit"], Role] = {"stop": "S", "target": "T", "exit": "X"}


@dataclass(slots=True)
class Pending:
    """A command whose answer is still out."""

    kind: Kind
    contract: str
    sent_ns: int
    tag: str = ""  # of what is placed
    order_id: int = 0  # of the order that is cancelled or modified


@dataclass(frozen=True, slots=True)
class Closed:
    """The newest wish to close a contract."""

    now_ns: int
    code: str  # RC_ code of why


class OrderManager:
    """`ask(at_ns)` requests a broker query not later than that market time."""

    def __init__(
        self,
        settings: DeskSettings,
        picture: Picture,
        outbox: Outbox,
        ask: Callable[[int], None],
        next_tag: Callable[[Role], str],
    ) -> None:
        self._settings = settings
        self._limits = settings.limits
        self._picture = picture
        self._outbox = outbox
        self._ask = ask
        self._next_tag = next_tag
        self.pending: dict[str, Pending] = {}
        self.abandoned: dict[str, str] = {}  # command id -> tag of placements that were presumed dead unanswered
        self.tried_ns: dict[int, int] = {}  # order id -> last cancel
        self.vain: dict[int, int] = {}  # order id -> cancels in a row that were refused, here or there
        self.moves = MoveLog()
        self.closed: dict[str, Closed] = {}  # by contract
        self.close_refused: dict[str, int] = {}  # contract whose close the account's kind forbids -> step of the answer
        self.shut: set[str] = set()  # contracts whose newest close was refused without a cause: no market now, maybe
        self.quarantine: dict[str, Refusal] = {}  # contract -> why it takes no entries for the rest of the day
        self.rejects: dict[str, list[int]] = {}  # contract -> times of refused entries
        self.sent: list[tuple[int, str]] = []  # (now_ns, contract) of the day's entries
        self.placed: dict[str, int] = {}  # signal id -> when it was placed; one decision, one placement (I2)

    # ------------------------------------------------------------------------------------------------ commands
    def place(self, request: Request, approval: Approval, stamps: SignalStamps, step: int) -> Refusal | None:
        """Intent and bracket order of an approved signal; a Refusal when that would break an invariant (R13)."""
        signal, quote, now_ns, tag = request.signal, request.quote, request.now_ns, self._next_tag("E")
        broken = request.facts.state != "ACTIVE" or signal.signal_id in self.placed or tag in self._picture.entries
        if broken or quote is None or approval.size < 1:
            return Refusal("RC_ASSERT", f"signal {signal.signal_id} was approved against an invariant", halt=True)
        entry = Entry(
            tag=tag,
            signal_id=signal.signal_id,
            contract=signal.contract,
            side=signal.side,
            size=approval.size,
            stop_ticks=approval.stop_ticks,
            target_ticks=approval.target_ticks,
            risk_cents=approval.risk_cents,
            decision_price=request.adverse,
            reason=signal.reason,
            stamps=stamps,
            sent_ns=now_ns,
            sent_step=step,
            command_id=self._outbox.new_id(),
        )
        self._picture.entries[tag] = entry
        self._picture.activity_step = step
        self.placed[signal.signal_id] = now_ns
        self.sent.append((now_ns, signal.contract))
        self.pending[entry.command_id] = Pending("place", entry.contract, now_ns, tag=tag)
        self._outbox.note(_intent(entry, self._outbox.account, quote, now_ns))
        self._outbox.command(_bracket(entry, self._outbox.account))
        return None

    def protect(
        self, kind: Literal["stop", "target", "exit"], what: tuple[str, int, int, int | None], now: tuple[int, int]
    ) -> Protective:
        """Place a missing stop or target, or get out at market, under a tag of its own.

        `what` is (contract, side of the order, size, price or None), `now` (time, step). Sent once: whoever calls
        decides by what became of it whether there may ever be another.
        """
        (contract, side, size, price), (now_ns, step) = what, now
        own = Protective(
            tag=self._next_tag(_ROLES[kind]),
            kind=kind,
            contract=contract,
            side=side,
            size=size,
            price=price,
            sent_ns=now_ns,
            sent_step=step,
            command_id=self._outbox.new_id(),
        )
        self._picture.protective[own.tag] = own
        self._picture.activity_step = step
        self.pending[own.command_id] = Pending(kind, contract, now_ns, tag=own.tag)
        self._outbox.command(_placement(own, self._outbox.account))
        return own

    def cancel(self, contract: str, order_id: int, now_ns: int) -> bool:
        """Cancel an order by id; at most one request at a time, repeats only after C_RECON_CONFIRM.

        What is refused (it may have filled) or meets a limit again waits longer, up to four times that: every second
        it would use up the reserve that the query and the close behind it need (R9, F-API-03).
        """
        waiting = any(command.kind == "cancel" and command.order_id == order_id for command in self.pending.values())
        pause = self._settings.patience(self._limits.recon_confirm_ns) << min(max(self.vain.get(order_id, 0) - 1, 0), 2)
        if waiting or now_ns - self.tried_ns.get(order_id, now_ns - pause) < pause:
            return False
        command_id = self._outbox.new_id()
        self.tried_ns[order_id] = now_ns
        self.pending[command_id] = Pending("cancel", contract, now_ns, order_id=order_id)
        self._outbox.command(CancelOrder(command_id, self._outbox.account, contract, order_id))
        return True

    def move_stop(self, move: Move, now_ns: int) -> bool:
        """Ask for another stop price or size, one change of an order at a time; the broker shows what came of it."""
        order = self._picture.orders[move.order_id].order
        stop = order.stop
        gains = move.size is not None or self.moves.gains(move.order_id, move.stop, -order.side)
        waiting = any(command.order_id == move.order_id for command in self.pending.values())
        gap_ns = self._settings.patience(self._limits.move_gap_ns)
        if stop is None or waiting or not gains or not self.moves.may(move.order_id, now_ns, gap_ns):
            return False
        command_id = self._outbox.new_id()
        self.moves.asked(move.order_id, stop, move.stop, now_ns)
        self.pending[command_id] = Pending("modify", move.contract, now_ns, order_id=move.order_id)
        account = self._outbox.account
        self._outbox.command(ModifyStop(command_id, account, move.contract, move.order_id, move.stop, move.size))
        return True

    def close(self, contract: str, reason: str, now_ns: int, step: int) -> bool:
        """Close the whole position; not while an earlier close is unanswered or its order is still working."""
        if self.waiting_for({contract}, "close", "exit") or self._picture.closing_orders(contract):
            return False
        command_id = self._outbox.new_id()
        self.closed[contract] = Closed(now_ns, reason)
        self._picture.close_sent(contract)
        self._picture.activity_step = step
        self.pending[command_id] = Pending("close", contract, now_ns)
        self._outbox.command(CloseContract(command_id, self._outbox.account, contract, reason))
        return True

    def waiting_for(self, contracts: set[str] | None, *kinds: Kind) -> bool:
        """Whether an answer to a command of these kinds is out; `contracts` None: any contract."""
        return any(
            command.kind in kinds and (contracts is None or command.contract in contracts)
            for command in self.pending.values()
        )

    # ------------------------------------------------------------------------------------------------- answers
    def on_result(self, result: CommandResult, step: int) -> None:
        """The broker's answer to a command. A second answer to the same command tells nothing new."""
        command = self.pending.pop(result.command_id, None)
        tag = command.tag if command is not None else self.abandoned.pop(result.command_id, "")
        placement = self._picture.placement(tag)
        if placement is not None:
            self._placed(placement, result, step)
        if command is None or command.tag:
            return
        if command.kind == "modify":
            self.moves.answered(command.order_id, result.outcome, step)
        elif command.kind == "cancel":
            vain = result.outcome == "rejected" or result.situation in LIMITS
            self.vain[command.order_id] = self.vain.get(command.order_id, 0) + 1 if vain else 0
        else:
            self._close_answered(command.contract, result, step)
        if result.outcome != "accepted" and command.kind != "close":
            # Refused can mean "already gone", ambiguous can mean "done": the next explicit answer decides. What came of
            # a close the Flattener asks itself, once for all that it closed.
            self._ask(result.now_ns)

    def _close_answered(self, contract: str, result: CommandResult, step: int) -> None:
        if result.outcome == "rejected" and result.cause == "account":
            self.close_refused[contract] = step
        if result.outcome == "rejected" and not result.cause:
            self.shut.add(contract)
        else:
            self.shut.discard(contract)

    def _placed(self, placement: Placement, result: CommandResult, step: int) -> None:
        if isinstance(placement, Entry) and result.sent_boot_ns:
            placement.request_boot_ns, placement.answered_boot_ns = result.sent_boot_ns, result.answered_boot_ns
        if result.outcome == "accepted" and result.order_id is not None:
            self._picture.name(placement, result.order_id)
            self._picture.settle()
        elif result.outcome == "not_sent":
            if placement.unproven:
                placement.status = "dead"
        elif result.outcome == "rejected":
            self._refused(placement, result)
        else:
            placement.doubt(result.now_ns, step)
            self._ask(result.now_ns)

    def _refused(self, placement: Placement, result: CommandResult) -> None:
        """Not repeated (R2). The order stays on watch: some refusals come with an id, or with an order behind them."""
        refused = placement.unproven
        if refused:
            placement.status = "dead"
        if isinstance(placement, Protective):
            placement.refused = placement.refused or refused
            if result.order_id is not None:
                self._picture.name_protective(placement, result.order_id, harmless=True)
            return
        assert isinstance(placement, Entry)
        if result.order_id is not None:
            self._picture.name_order(placement, result.order_id, harmless=True)
        since = result.now_ns - self._limits.rejects_window_ns
        times = [at for at in self.rejects.get(placement.contract, []) if at > since]
        times.append(result.now_ns)
        self.rejects[placement.contract] = times
        if len(times) >= self._limits.rejects_max:
            text = f"{len(times)} {placement.contract} orders were rejected"
            self.bar(placement.contract, "RC_ORDER_REJECTS", text, result.now_ns)

    # -------------------------------------------------------------------------------------------------- upkeep
    def watch(self, now_ns: int, step: int) -> None:
        """Answers that do not come: the outcome is not known."""
        patience = self._settings.patience(self._limits.command_timeout_ns)
        for command_id, command in list(self.pending.items()):
            if now_ns - command.sent_ns < patience:
                continue
            placement = self._picture.placement(command.tag)
            if placement is None or not placement.live or placement.status == "working":
                del self.pending[command_id]
                if placement is not None:
                    self.abandoned[command_id] = placement.tag
                if command.kind == "modify":
                    self.moves.answered(command.order_id, "ambiguous", step)
            elif placement.status == "sent":
                # A late answer to a placement still counts, so it stays pending.
                placement.doubt(now_ns, step)
            else:
                continue
            self._ask(now_ns)

    def cancel_old_entries(self, now_ns: int) -> None:
        """What of an entry is not filled in time."""
        patience = self._settings.patience(self._limits.entry_timeout_ns)
        for entry in self._picture.live_entries():
            late = entry.late or now_ns - entry.sent_ns >= patience
            if not late or entry.status != "working" or entry.order_id is None:
                continue
            seen = self._picture.orders.get(entry.order_id)
            if seen is None or not seen.order.final:
                self.cancel(entry.contract, entry.order_id, now_ns)

    def bar(self, contract: str, code: str, text: str, now_ns: int) -> None:
        """As `set_aside`, and on record: the next run of this day must know it (F-ORD-06)."""
        if contract not in self.quarantine:
            self._outbox.note(Barred(now_ns, self._outbox.account, contract, code, text))
            self.set_aside(contract, code, text)

    def set_aside(self, contract: str, code: str, text: str) -> None:
        """No entries in this contract for the rest of the trading day."""
        self.quarantine.setdefault(contract, Refusal(code, text))

    def new_day(self, start_ns: int) -> None:
        """Counters of the trading day start again (F-TIM-08)."""
        self.quarantine.clear()
        self.rejects = {name: [at for at in times if at >= start_ns] for name, times in self.rejects.items()}
        self.abandoned.clear()
        self.sent = [entry for entry in self.sent if entry[0] >= start_ns]
        # A signal id is remembered for the day in which it was placed and the one after.
        self.placed = {signal: at for signal, at in self.placed.items() if at >= start_ns - 24 * 3_600 * 10**9}
        live = {seen.order.order_id for seen in self._picture.working()}
        self.tried_ns = {number: at for number, at in self.tried_ns.items() if number in live}
        self.vain = {number: times for number, times in self.vain.items() if number in live}
        self.moves.forget(live)

    # ----------------------------------------------------------------------------------------------- questions
    def blocked(self, contract: str) -> Refusal | None:
        """What, besides a position of ours, speaks against an entry in this contract."""
        picture = self._picture
        for entry in picture.live_entries(contract):
            if entry.status == "unknown":
                return Refusal("RC_ORDER_UNKNOWN", f"{contract} quarantined: order {entry.tag} outcome unknown")
        for own in picture.unproven(contract):
            return Refusal("RC_ORDER_UNKNOWN", f"{contract} quarantined: order {own.tag} outcome unknown")
        if contract in self.quarantine:
            return self.quarantine[contract]
        holding = picture.holding(contract)
        working = picture.working(contract)
        strangers = [seen for seen in working if seen.tag is None]
        if holding.foreign or (strangers and not holding.size):
            return Refusal("RC_FOREIGN", f"{contract} has a position or an order that is not T-BOT's")
        if working and not holding.size and not picture.live_entries(contract):
            return Refusal("RC_ORPHAN", f"{contract} still has working orders of a closed position")
        return None

    def exposures(self, quotes: Mapping[str, Quote]) -> tuple[Exposure, ...]:
        """Everything at risk, by contract; working and UNKNOWN entries count as filled (R10)."""
        return exposures(self._picture, self._limits, self.moves, quotes)

    def state(self) -> list[object]:
        """Data for the digest."""
        commands = [self.pending, self.abandoned, self.tried_ns, self.moves, self.closed, self.close_refused]
        return [*commands, self.vain, self.shut, self.quarantine, self.rejects, self.sent, self.placed]


def _placement(own: Protective, account: int) -> PlaceStop | PlaceTarget | PlaceExit:
    head = (own.command_id, account, own.contract, own.side, own.size)
    if own.price is None:
        return PlaceExit(*head, own.tag)
    if own.kind == "stop":
        return PlaceStop(*head, own.price, own.tag)
    return PlaceTarget(*head, own.price, own.tag)


def _intent(entry: Entry, account: int, quote: Quote, now_ns: int) -> Intent:
    return Intent(
        now_ns=now_ns,
        account=account,
        signal_id=entry.signal_id,
        contract=entry.contract,
        side=entry.side,
        size=entry.size,
        quote=quote,
        stop_ticks=entry.stop_ticks,
        target_ticks=entry.target_ticks,
        risk_cents=entry.risk_cents,
        tag=entry.tag,
    )


def _bracket(entry: Entry, account: int) -> PlaceBracket:
    """Offsets are signed ticks from the fill: long has the stop below (negative), short above (ruling 16)."""
    return PlaceBracket(
        command_id=entry.command_id,
        account=account,
        contract=entry.contract,
        side=entry.side,
        size=entry.size,
        stop_offset=-entry.side * entry.stop_ticks,
        target_offset=entry.side * entry.target_ticks,
        tag=entry.tag,
        signal_id=entry.signal_id,
    )
