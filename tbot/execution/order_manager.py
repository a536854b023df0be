"""Orders of one account: places brackets, follows every command to its proven end, cancels and closes.

A sans-I/O state machine over the account's Picture. One approved intent is at most one placement request, ever (R2); an
outcome that is not proven makes the entry UNKNOWN and its contract takes no entries (R3); exits are only cancels by id
and close-contract, which may be repeated (R4). Outcomes of commands: failure-model.md section 4.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from tbot.domain.messages import CancelOrder, CloseContract, CommandResult, Intent, ModifyStop, PlaceBracket, Quote
from tbot.execution.entries import Entry
from tbot.execution.outbox import Outbox
from tbot.execution.picture import Picture, Seen
from tbot.execution.settings import DeskSettings
from tbot.risk.gate import Approval, Exposure, Refusal, Request
from tbot.risk.valuation import open_worst_cents

MAX_MOVES = 3  # modifications of one order: a broker that refuses three of them will refuse the fourth


@dataclass(slots=True)
class Pending:
    """A command whose answer is still out."""

    kind: Literal["place", "cancel", "close", "modify"]
    contract: str
    sent_ns: int
    tag: str = ""  # of the entry that is placed
    order_id: int = 0  # of the order that is cancelled or modified


class OrderManager:
    """`ask(at_ns)` requests a broker query not later than that market time."""

    def __init__(self, settings: DeskSettings, picture: Picture, outbox: Outbox, ask: Callable[[int], None]) -> None:
        self._settings = settings
        self._limits = settings.limits
        self._picture = picture
        self._outbox = outbox
        self._ask = ask
        self.pending: dict[str, Pending] = {}
        self.abandoned: dict[str, str] = {}  # command id -> tag of placements that were presumed dead unanswered
        self.tried_ns: dict[int, int] = {}  # order id -> last cancel
        self.moved_ns: dict[int, list[int]] = {}  # order id -> modifications asked for
        self.closed_ns: dict[str, int] = {}  # contract -> last close-contract
        self.quarantine: dict[str, Refusal] = {}  # contract -> why it takes no entries for the rest of the day
        self.rejects: dict[str, list[int]] = {}  # contract -> times of refused entries
        self.sent: list[tuple[int, str]] = []  # (now_ns, contract) of the day's entries
        self.placed: dict[str, int] = {}  # signal id -> when it was placed; one decision, one placement (I2)

    # ------------------------------------------------------------------------------------------------ commands
    def place(self, request: Request, approval: Approval, tag: str, step: int) -> Refusal | None:
        """Intent and bracket order of an approved signal; a Refusal when that would break an invariant (R13)."""
        signal, quote, now_ns = request.signal, request.quote, request.now_ns
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

    def cancel(self, contract: str, order_id: int, now_ns: int) -> bool:
        """Cancel an order by id; at most one request at a time, repeats only after C_RECON_CONFIRM."""
        waiting = any(command.kind == "cancel" and command.order_id == order_id for command in self.pending.values())
        pause = self._settings.patience(self._limits.recon_confirm_ns)
        if waiting or now_ns - self.tried_ns.get(order_id, now_ns - pause) < pause:
            return False
        command_id = self._outbox.new_id()
        self.tried_ns[order_id] = now_ns
        self.pending[command_id] = Pending("cancel", contract, now_ns, order_id=order_id)
        self._outbox.command(CancelOrder(command_id, self._outbox.account, contract, order_id))
        return True

    def move_stop(self, contract: str, order_id: int, stop: int, now_ns: int) -> bool:
        """Ask for another stop price, at most MAX_MOVES times; the old price is the truth until the broker shows it."""
        waiting = any(command.order_id == order_id for command in self.pending.values())
        times = self.moved_ns.get(order_id, [])
        pause = self._settings.patience(self._limits.recon_confirm_ns)
        if waiting or len(times) >= MAX_MOVES or (times and now_ns - times[-1] < pause):
            return False
        command_id = self._outbox.new_id()
        self.moved_ns[order_id] = [*times, now_ns]
        self.pending[command_id] = Pending("modify", contract, now_ns, order_id=order_id)
        self._outbox.command(ModifyStop(command_id, self._outbox.account, contract, order_id, stop))
        return True

    def close(self, contract: str, reason: str, now_ns: int, step: int) -> bool:
        """Close the whole position; not while an earlier close is unanswered or its order is still working."""
        if self.waiting_for({contract}, "close") or self._picture.closing_orders(contract):
            return False
        command_id = self._outbox.new_id()
        self.closed_ns[contract] = now_ns
        self._picture.close_sent(contract)
        self._picture.activity_step = step
        self.pending[command_id] = Pending("close", contract, now_ns)
        self._outbox.command(CloseContract(command_id, self._outbox.account, contract, reason))
        return True

    def waiting_for(self, contracts: set[str] | None, *kinds: str) -> bool:
        """Whether an answer to a command of these kinds is out; `contracts` None: any contract."""
        return any(
            command.kind in kinds and (contracts is None or command.contract in contracts)
            for command in self.pending.values()
        )

    # ------------------------------------------------------------------------------------------------- answers
    def on_result(self, result: CommandResult, step: int) -> None:
        """The broker's answer to a command. A second answer to the same command tells nothing new."""
        command = self.pending.pop(result.command_id, None)
        if command is None and result.command_id in self.abandoned:
            tag = self.abandoned.pop(result.command_id)
            command = Pending("place", "", result.now_ns, tag=tag)
        if command is None:
            return
        if command.kind == "place":
            entry = self._picture.entries.get(command.tag)
            if entry is not None:
                self._placed(entry, result, step)
        elif result.outcome != "accepted" or command.kind == "close":
            # Refused can mean "already gone", ambiguous can mean "done": the next explicit answer decides.
            self._ask(result.now_ns)

    def _placed(self, entry: Entry, result: CommandResult, step: int) -> None:
        if result.outcome == "accepted" and result.order_id is not None:
            self._picture.name_order(entry, result.order_id)
            self._picture.settle()
        elif result.outcome == "not_sent":
            if entry.status in ("sent", "unknown"):
                entry.status = "dead"
        elif result.outcome == "rejected":
            self._rejected(entry, result)
        else:
            entry.doubt(result.now_ns, step)
            self._ask(result.now_ns)

    def _rejected(self, entry: Entry, result: CommandResult) -> None:
        """Not repeated (R2). The order stays on watch: some refusals come with an id, or with an order behind them."""
        if entry.status in ("sent", "unknown"):
            entry.status = "dead"
        if result.order_id is not None:
            self._picture.name_order(entry, result.order_id, harmless=True)
        since = result.now_ns - self._limits.rejects_window_ns
        times = [at for at in self.rejects.get(entry.contract, []) if at > since]
        times.append(result.now_ns)
        self.rejects[entry.contract] = times
        if len(times) >= self._limits.rejects_max:
            self.set_aside(entry.contract, "RC_ORDER_REJECTS", f"{len(times)} {entry.contract} orders were rejected")

    # -------------------------------------------------------------------------------------------------- upkeep
    def watch(self, now_ns: int, step: int) -> None:
        """Time-outs: answers that do not come, and what of an entry is not filled in time."""
        patience = self._settings.patience(self._limits.command_timeout_ns)
        for command_id, command in list(self.pending.items()):
            if now_ns - command.sent_ns < patience:
                continue
            entry = self._picture.entries.get(command.tag)
            if entry is None or entry.status in ("done", "dead", "presumed_dead"):
                del self.pending[command_id]
                if entry is not None:
                    self.abandoned[command_id] = entry.tag
            elif entry.status == "sent":
                # A late answer to a placement still counts, so it stays pending.
                entry.doubt(now_ns, step)
            else:
                continue
            self._ask(now_ns)
        self._cancel_old_entries(now_ns)

    def _cancel_old_entries(self, now_ns: int) -> None:
        patience = self._settings.patience(self._limits.entry_timeout_ns)
        for entry in self._picture.live_entries():
            late = entry.late or now_ns - entry.sent_ns >= patience
            if not late or entry.status != "working" or entry.order_id is None:
                continue
            seen = self._picture.orders.get(entry.order_id)
            if seen is None or not seen.order.final:
                self.cancel(entry.contract, entry.order_id, now_ns)

    def set_aside(self, contract: str, code: str, text: str) -> None:
        """No entries in this contract for the rest of the trading day."""
        self.quarantine.setdefault(contract, Refusal(code, text))

    def new_day(self, start_ns: int) -> None:
        """Counters of the trading day start again (F-TIM-08)."""
        self.quarantine.clear()
        self.rejects.clear()
        self.abandoned.clear()
        self.sent = [entry for entry in self.sent if entry[0] >= start_ns]
        # A signal id is remembered for the day in which it was placed and the one after.
        self.placed = {signal: at for signal, at in self.placed.items() if at >= start_ns - 24 * 3_600 * 10**9}
        live = {seen.order.order_id for seen in self._picture.working()}
        self.tried_ns = {number: at for number, at in self.tried_ns.items() if number in live}
        self.moved_ns = {number: times for number, times in self.moved_ns.items() if number in live}

    # ----------------------------------------------------------------------------------------------- questions
    def blocked(self, contract: str) -> Refusal | None:
        """What, besides a position of ours, speaks against an entry in this contract."""
        picture = self._picture
        for entry in picture.live_entries(contract):
            if entry.status == "unknown":
                return Refusal("RC_ORDER_UNKNOWN", f"{contract} quarantined: order {entry.tag} outcome unknown")
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

    def leftovers(self) -> list[Seen]:
        """Our own working orders that nothing explains any more (F-ORD-07).

        Entries without a live record; legs where the contract is flat. A stop beside a position is never a leftover.
        """
        found = []
        for seen in self._picture.working():
            if seen.tag is None:
                continue
            entry = self._picture.entries.get(seen.tag.base)
            alive = entry is not None and entry.live
            held = self._picture.ledger.position(seen.order.contract).size != 0
            if not alive and (seen.tag.leg == "" or not held):
                found.append(seen)
        return found

    def exposures(self, quotes: Mapping[str, Quote]) -> tuple[Exposure, ...]:
        """Everything at risk, by contract; working and UNKNOWN entries count as filled (R10)."""
        picture, found = self._picture, []
        names = {entry.contract for entry in picture.live_entries()} | set(picture.ledger.open_contracts())
        for name in sorted(names):
            product = picture.products.get(name)
            position = picture.ledger.position(name)
            entries = picture.live_entries(name)
            rest = sum(picture.remaining(entry) for entry in entries)
            worst = sum(-(-entry.risk_cents * picture.remaining(entry) // entry.size) for entry in entries)
            side = position.side or entries[0].side
            if product is None:
                # Not one of our products: nothing is known about its money, so it leaves no room at all.
                found.append(Exposure(name, name, side, abs(position.size), self._limits.daily_loss_cents))
                continue
            worst += open_worst_cents(product, position, self._stop_level(name), quotes.get(name), self._limits)
            micros = (abs(position.size) + rest) * product.micros
            found.append(Exposure(name, product.family, side, micros, worst))
        return tuple(found)

    def _stop_level(self, contract: str) -> tuple[int | None, int]:
        """(worst proven stop price or None, distance in ticks to assume without one)."""
        position = self._picture.ledger.position(contract)
        levels = [order.stop for order in self._picture.stops(contract) if order.stop is not None]
        worst = (min(levels) if position.side > 0 else max(levels)) if levels else None
        return worst, self._picture.allowed_stop_ticks(contract)

    def state(self) -> list[object]:
        """Data for the digest."""
        commands = [self.pending, self.abandoned, self.tried_ns, self.moved_ns, self.closed_ns]
        return [*commands, self.quarantine, self.rejects, self.sent, self.placed]


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
