"""Care for what works at the broker: leftovers go, missing protection comes, stops move, each only when that is safe.

The columns "move stop closer" and "place missing stop" of the table of safe orders (failure-model.md section 2) are
decided here; entries by the gate, the ways out by the one Flattener.
"""

from collections.abc import Callable, Iterator, Mapping

from tbot.domain.messages import ConditionIn, Quote
from tbot.execution.engine_state import Reasons
from tbot.execution.firm_watch import FirmWatch, recent_actions
from tbot.execution.flatten import Flattener
from tbot.execution.guards import Demand
from tbot.execution.leftovers import cancel_unlinked, leftovers
from tbot.execution.line import LIMITED_NS, REFUSED, Line, may_move
from tbot.execution.order_manager import OrderManager
from tbot.execution.picture import Picture
from tbot.execution.protection import Moment, Protector
from tbot.execution.reconcile import Reconciler
from tbot.execution.settings import DeskSettings
from tbot.execution.stop_moves import wanted_moves


class Caretaker:
    """`feed` gives the state of a contract's market data ("ok" or why not)."""

    def __init__(
        self,
        settings: DeskSettings,
        picture: Picture,
        flattener: Flattener,
        reasons: Reasons,
        feed: Callable[[str], str],
        firm: FirmWatch,
    ) -> None:
        self._settings, self._picture, self._flattener, self._reasons = settings, picture, flattener, reasons
        self._manager: OrderManager = flattener.manager
        self._reconciler: Reconciler = flattener.reconciler
        self._feed, self._firm = feed, firm
        self.line = Line()
        self.protector = Protector(settings, picture, self._manager, self._reconciler)

    # ------------------------------------------------------------------------------------------------- the line
    def condition(self, item: ConditionIn, now_ns: int, step: int) -> None:
        """A condition of the machine: pauses while it holds; what was proven before it is asked again after it."""
        if self.line.condition(item):
            self._reconciler.start_over(step, now_ns)
        elif item.text:
            self._reconciler.ask(now_ns, step)  # R5: at once after anything of that kind
        self._reasons.set(item.code, item.text, now_ns, halts=item.code == REFUSED)

    def heard(self, situation: str, now_ns: int, step: int) -> None:
        """What an answer tells about the line: a rate limit, a lost login."""
        if self.line.answered(situation, now_ns, self._settings.patience(LIMITED_NS)):
            self.protector.line_step = step

    # ---------------------------------------------------------------------------------------------------- orders
    def sweep(self, hub_sizes: Mapping[str, int], now_ns: int) -> bool:
        """Cancel what is too old or alone, once start-up is over; whether anything is left over."""
        if self._reconciler.started:
            self._manager.cancel_old_entries(now_ns)
            held = self._picture.ledger.position
            differ = {name for name, size in hub_sizes.items() if size != held(name).size}
            cancel_unlinked(self._picture, self._manager, differ | set(self._reconciler.mismatches), now_ns)
        return bool(leftovers(self._picture))

    def protect(
        self, now_ns: int, step: int, quotes: Mapping[str, Quote], naked_ns: Mapping[str, int]
    ) -> Iterator[Demand]:
        """Missing stops and targets; positions that must be closed at once. Lazy: who is closed needs no stop."""
        rest_down = "RC_REST_DOWN" in self._reasons.held
        calm = {name for name in self._picture.ledger.open_contracts() if self._calm(name, now_ns)}
        covered = self._flattener.covers
        yield from self.protector.look(Moment(now_ns, step, quotes, covered, calm, naked_ns, rest_down))

    def move_stops(self, now_ns: int, quotes: Mapping[str, Quote]) -> None:
        """To break-even and after the market."""
        rules = self._firm.rules
        for move in wanted_moves(self._picture, self._settings.limits, quotes):
            busy = rules is not None and recent_actions(self._manager, now_ns) >= rules.actions_per_minute
            if not busy and self._calm(move.contract, now_ns):
                self._manager.move_stop(move, now_ns)

    def _calm(self, contract: str, now_ns: int) -> bool:
        """Whether a working order may be touched: market seen, position proven, no way out under way."""
        answer, reconciler = self._reconciler.answer, self._reconciler
        confirm_ns = self._settings.patience(self._settings.limits.recon_confirm_ns)
        just_now = answer is not None and now_ns - answer.now_ns <= confirm_ns
        quiet = self._feed(contract) == "ok" and not self._flattener.covers(contract)
        agreed = reconciler.proven and contract not in reconciler.mismatches
        return quiet and agreed and may_move(self._reasons.held.keys(), proven_now=just_now)

    def state(self) -> list[object]:
        """Data for the digest."""
        return [self.line, self.protector.state()]
