"""A position of ours without a proven stop gets one, once; one without a take-profit gets that, once (R6, F-ORD-05).

The hard limit C_NAKED_MAX runs beside this (guards.py): whatever is not proven by then is closed. Here is only what may
be done before: ONE PlaceStop at the approved price, sized to what is unprotected, and only when an explicit answer
that is newer than every fill shows that no stop of ours is there, not even one that may still wake up; two stops would
turn the position round. A stop whose placement is ambiguous is never placed again; when it turns up later it is a
leftover (leftovers.py, which also tells why a take-profit without a link to its stop is bearable).

A stop that is larger than its position would turn it round when it is hit: a target without a link to it filled in
part, or the owner closed some by hand (F-ORD-04, F-ACC-02). It is brought down to what is held, at the price where it
stands. Whether a venue changes the size of a bracket leg is not documented (projectx-gateway.md section 6.7). So where
two requests brought nothing the stop is cancelled, in a calm moment, and the position gets the one missing stop that it
may get; a target that is too large is cancelled likewise once the stop is right.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

from tbot.domain.messages import Quote
from tbot.domain.orders import Order
from tbot.execution.entries import Protective
from tbot.execution.guards import Demand
from tbot.execution.leftovers import leftovers
from tbot.execution.order_manager import OrderManager
from tbot.execution.picture import Picture
from tbot.execution.reconcile import Reconciler
from tbot.execution.settings import DeskSettings
from tbot.execution.stop_moves import Move
from tbot.execution.tags import Part
from tbot.risk.valuation import adverse_price

PARTS: tuple[Part, ...] = ("stop", "target")
SHRINKS = 2  # requests to make one stop smaller before it is replaced


@dataclass(frozen=True, slots=True)
class Moment:
    """What the account knows besides its picture when it looks for gaps in the protection."""

    now_ns: int
    step: int
    quotes: Mapping[str, Quote]
    covered: Callable[[str], bool]  # contracts that are being flattened anyway
    calm: Set[str]  # contracts in which a working order may be touched
    naked_ns: Mapping[str, int]  # since when a position is without proven stop
    rest_down: bool


@dataclass(slots=True)
class Protector:
    """State: what was placed for the positions that are open now, and since when the line to the broker is another."""

    settings: DeskSettings
    picture: Picture
    manager: OrderManager
    reconciler: Reconciler
    tried: dict[str, list[str]] = field(default_factory=dict)  # contract -> tags of stops and targets
    large_ns: dict[str, int] = field(default_factory=dict)  # contract -> since when its stops or targets are too large
    shrinks: dict[int, int] = field(default_factory=dict)  # order id of a stop -> requests to make it smaller
    line_step: int = -1  # answers to queries from before this step do not count: the login was lost then

    def carry(self, own: Protective) -> None:
        """An earlier run placed this beside a position that may still be open."""
        self.tried.setdefault(own.contract, []).append(own.tag)

    def look(self, moment: Moment) -> list[Demand]:
        """Place what is missing; returns positions that must be closed at once, because a stop is out of question."""
        held = self.picture.ledger.open_contracts()
        if self.reconciler.started:
            self.tried = {name: tags for name, tags in self.tried.items() if name in held}
        self.large_ns = {name: at for name, at in self.large_ns.items() if self._too_large(name)}
        if not self.large_ns:
            self.shrinks.clear()
        demands = []
        for name in held:
            holding = self.picture.holding(name)
            ours = name in self.settings.products and holding.owned and not holding.surprise
            if not ours or moment.covered(name):
                continue
            covered = sum(order.remaining for order in self.picture.stops(name))
            if covered < holding.owned:
                text = self._stop(name, holding.owned - covered, covered, moment)
                demands += [Demand(name, "RC_NAKED", f"{name}: {text}")] if text else []
            elif self._too_large(name):
                self._shrink(name, moment)
            elif name in moment.calm and holding.owned == abs(holding.size):
                self._target(name, holding.owned, moment)
        return demands

    def _too_large(self, name: str) -> bool:
        """Whether stops or targets of ours would take more out of a position than there is, each kind by itself."""
        held = abs(self.picture.ledger.position(name).size)
        return bool(held) and any(self._sum(name, part) > held for part in PARTS)

    def _sum(self, name: str, part: Part) -> int:
        return sum(order.remaining for order in self._open(name, part))

    def _open(self, name: str, part: Part) -> list[Order]:
        return [seen.order for seen in self.picture.part_orders(name, part) if seen.order.status == "open"]

    def _shrink(self, name: str, moment: Moment) -> None:
        """Bring them down, once an answer from after every fill has shown it and C_RECON_CONFIRM has passed.

        Why the wait: the venue makes the other leg smaller itself when one fills, a moment later (F-NET-08).
        """
        confirm_ns = self.settings.patience(self.settings.limits.recon_confirm_ns)
        since_ns = self.large_ns.setdefault(name, moment.now_ns)
        if since_ns == moment.now_ns:
            self.reconciler.ask(moment.now_ns + confirm_ns, moment.step)
        told = self._told(name, moment) == self.picture.ledger.position(name).size
        first = any(item.seen.order.contract == name for item in leftovers(self.picture))  # they go by themselves
        if moment.now_ns - since_ns < confirm_ns or not told or first or self.picture.live_entries(name):
            return
        held = abs(self.picture.ledger.position(name).size)
        if self._sum(name, "stop") > held:
            self._shrink_stop(name, self._sum(name, "stop") - held, moment)
        elif name in moment.calm:
            order = max(self._open(name, "target"), key=lambda one: one.remaining)
            self.manager.cancel(name, order.order_id, moment.now_ns)

    def _shrink_stop(self, name: str, surplus: int, moment: Moment) -> None:
        """Make the largest one smaller. One that others make needless, and one that stays as it is, goes."""
        order = max(self._open(name, "stop"), key=lambda one: one.remaining)
        assert order.stop is not None, "an order without a stop price protects nothing"
        asked = self.shrinks.get(order.order_id, 0)
        needless = order.remaining <= surplus
        stays = asked >= SHRINKS or self.manager.moves.given_up(order.order_id)
        if not stays and not needless:
            level = self.manager.moves.closest(order.order_id, order.stop, -order.side)
            move = Move(name, order.order_id, level, order.size - surplus)
            self.shrinks[order.order_id] = asked + self.manager.move_stop(move, moment.now_ns)
        elif name in moment.calm and (needless or not self._tried(name, "stop")):
            self.manager.cancel(name, order.order_id, moment.now_ns)

    def _stop(self, name: str, missing: int, covered: int, moment: Moment) -> str:
        """Place the missing stop if that is safe; returns why the position must be closed at once instead, or ""."""
        tried = [own for own in self._tried(name, "stop") if not _never_left(own)]
        if any(own.refused for own in tried):
            return "the broker refused the missing stop"
        level = self._approved(name, "stop")
        if level is None or self._may_wake(name, tried) or not self._rested(name, moment):
            return ""
        position = self.picture.ledger.position(name)
        size = min(missing, self._told(name, moment) * position.side - covered)
        if size < 1:
            return ""
        quote = moment.quotes.get(name)
        if quote is not None and position.side * (adverse_price(position, quote) - level) <= 0:
            return "it has no stop, and the market is beyond the approved price"
        self._place("stop", name, size, level, moment)
        return ""

    def _may_wake(self, name: str, tried: list[Protective]) -> bool:
        """Whether a stop of ours may exist that does not protect now: suspended, misplaced, unproven, or out of sight.

        Out of sight: answers no longer list it, but the broker never said that it is over. That is enough to call the
        position naked, and too little to put a second stop beside it.
        """
        picture = self.picture
        standing = {order.order_id for order in picture.stops(name)}
        if any(own.order_id not in standing for own in tried):
            return True
        if any(seen.order.order_id not in standing for seen in picture.part_orders(name, "stop")):
            return True
        return self._out_of_sight(name, "stop")

    def _out_of_sight(self, name: str, part: str) -> bool:
        """Whether answers stopped listing such a leg of the position although the broker never said that it is over."""
        bases = {entry.tag for entry in self.picture.opening_entries(name)}
        legs = [(seen.tag, seen.presumed) for seen in self.picture.orders.values()]
        return any(presumed and tag is not None and tag.base in bases and tag.part == part for tag, presumed in legs)

    def _target(self, name: str, size: int, moment: Moment) -> None:
        level = self._approved(name, "target")
        there = self.picture.part_orders(name, "target") or self.picture.live_entries(name)
        tried = [own for own in self._tried(name, "target") if not _never_left(own)]
        hidden = self._out_of_sight(name, "target")  # two targets could both fill
        if there or tried or hidden or level is None or not self._rested(name, moment):
            return
        if self._told(name, moment) == self.picture.ledger.position(name).size:
            self._place("target", name, size, level, moment)

    def _place(self, kind: str, name: str, size: int, level: int, moment: Moment) -> None:
        side = -self.picture.ledger.position(name).side
        placed = self.manager.protect(
            "stop" if kind == "stop" else "target", (name, side, size, level), (moment.now_ns, moment.step)
        )
        self.tried.setdefault(name, []).append(placed.tag)

    def _tried(self, name: str, kind: str) -> list[Protective]:
        placed = [self.picture.protective[tag] for tag in self.tried.get(name, ()) if tag in self.picture.protective]
        return [own for own in placed if own.kind == kind]

    def _rested(self, name: str, moment: Moment) -> bool:
        """What could not even be sent may be tried again, after a pause."""
        pause_ns = self.settings.patience(self.settings.limits.proof_ns)
        placed = [*self._tried(name, "stop"), *self._tried(name, "target")]
        return all(moment.now_ns - own.sent_ns >= pause_ns for own in placed if _never_left(own))

    def _approved(self, name: str, kind: str) -> int | None:
        """Price at the approved distance from the average entry, rounded towards the market; None: not known.

        For a stop the closest one that was taken for a stop of this position.
        """
        entries = self.picture.opening_entries(name)
        if not entries:
            return None
        position = self.picture.ledger.position(name)
        side, size, basis = position.side, abs(position.size), position.price_size_sum
        up, down = -(-basis // size), basis // size
        if kind == "stop":
            level = (up if side > 0 else down) - side * min(entry.stop_ticks for entry in entries)
            # A stop that was moved closer before it was lost has earned that: what was gained is not risked again.
            bases = {entry.tag for entry in entries} | set(self.tried.get(name, ()))
            for seen in self.picture.orders.values():
                if seen.tag is not None and seen.tag.base in bases and seen.tag.part == "stop":
                    level = self.manager.moves.closest(seen.order.order_id, level, side)
            return level
        return (down if side > 0 else up) + side * min(entry.target_ticks for entry in entries)

    def _told(self, name: str, moment: Moment) -> int:
        """Position (signed) by an answer that proves what is there and what is not; 0 without such an answer.

        While queries fail, a stop that the user hub told to be over will do after C_RECON_CONFIRM: the table of safe
        orders wants it tried, and no answer could come in time.

        A stop or target that is over has perhaps filled, and its fill is still on its way (F-NET-08): an answer from
        before that shows a position which is no more.
        """
        answer, picture = self.reconciler.answer, self.picture
        ended = picture.ended_step(name, "stop")
        newest = max(picture.fill_step.get(name, -1), picture.ended_step(name, "stop", "target"), self.line_step)
        if answer is not None and self.reconciler.answer_step >= newest:
            return next((held.size for held in answer.positions if held.contract == name), 0)
        confirm_ns = self.settings.patience(self.settings.limits.recon_confirm_ns)
        naked_ns = moment.now_ns - moment.naked_ns.get(name, moment.now_ns)
        by_hub = moment.rest_down and ended >= 0 and naked_ns >= confirm_ns and not picture.unseen_fills()
        return picture.ledger.position(name).size if by_hub else 0

    def state(self) -> list[object]:
        """Data for the digest."""
        return [self.tried, self.large_ns, self.shrinks, self.line_step]


def _never_left(own: Protective) -> bool:
    """Proven not to have reached the broker: it stands for nothing."""
    return own.status == "dead" and not own.refused and own.order_id is None
