"""Checks of what is open at the broker: I3 protected, I4 known, I5 explained, I10 the kill switch gets out of it."""

from dataclasses import dataclass, field

from dst.checks_orders import CANCEL, CLOSE, PLACE, symbol_of
from dst.evidence import JournalStep, WireRequest
from dst.purse import product_of
from dst.referee import Check, Facts, world_check
from tbot.domain.messages import Intent, OperatorIn, PositionUpdate
from tbot.domain.timeframes import NS_PER_S
from tbot.execution.book_types import Holding, Order
from tbot.gateway.codec_tables import POSITION_SEARCH_OPEN

NAKED_NS = 3 * NS_PER_S  # C_NAKED_MAX
NAKED_FLAT_NS = 10 * NS_PER_S
# A timer every 0.5 s, and the way of the request to the broker.
REACTION_NS = 750_000_000
# C_RECON_IDLE and the calls of a query: so long may a position that nobody tells of stay unseen.
UNSEEN_NS = 35 * NS_PER_S
AGREE_NS = 15 * NS_PER_S
# C_RECON_IDLE, a second look after C_RECON_CONFIRM, the queries themselves.
EXPLAIN_NS = 45 * NS_PER_S
# C_RECON_OPEN, a second look after C_RECON_CONFIRM; a change of the stop that is refused twice, and its replacement.
SHRINK_NS = 20 * NS_PER_S
ALERT_NS = 60 * NS_PER_S  # unprotected and nobody can act: somebody must be told by now

ODD = frozenset({"RC_MISMATCH", "RC_FOREIGN", "RC_ORPHAN", "RC_SECOND_ENGINE"})

NO_ENTRY_NS, FIRST_CLOSE_NS, ALL_FLAT_NS = NS_PER_S // 2, 2 * NS_PER_S, 10 * NS_PER_S  # I10


def base_of(tag: str) -> str:
    """A tag without the suffix of a bracket leg."""
    return tag.removesuffix("-SL").removesuffix("-TP")


def told_odd(facts: Facts, account: int) -> bool:
    """Whether the Desk says that something is there which nothing explains, or is getting out of it."""
    view = facts.account_view(account)
    codes = set() if view is None else {reason["code"] for reason in view["reasons"]}
    return view is None or view["state"] == "REDUCING" or not codes.isdisjoint(ODD)


class Stops:
    """What of each account's positions no working stop covers, by the exchange's books."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def naked(self, account: int) -> dict[str, int]:
        """Contracts of ours (unsigned) without a proper stop, by contract."""
        evidence = self.facts.evidence
        own = self.facts.own_sizes(account)
        if not own:
            return {}
        orders, found = evidence.working(account), {}
        for holding in evidence.holdings(account):
            size = abs(own.get(holding.contract, 0))
            covered = sum(order.remaining for order in orders if self._protects(order, holding, account))
            if size > covered:
                found[holding.contract] = size - covered
        return found

    def _protects(self, order: Order, holding: Holding, account: int) -> bool:
        if order.contract != holding.contract or order.status != "open" or order.stop is None:
            return False
        if order.order_type not in ("stop", "trailing_stop") or order.side * holding.size >= 0:
            return False
        size, side = abs(holding.size), 1 if holding.size > 0 else -1
        lost = side * (holding.price_size_sum - order.stop * size)
        return lost <= self._approved_ticks(account, holding.contract) * size

    def _approved_ticks(self, account: int, contract: str) -> int:
        """Widest stop that was ever approved here, and the slippage that the approval counted with."""
        limits = self.facts.rules.limits[account]
        widest = [
            intent.stop_ticks
            for intent, _ in self.facts.intents.values()
            if (intent.account, intent.contract) == (account, contract)
        ]
        return (max(widest) if widest else limits.collar_ticks) + limits.slip_ticks


@dataclass
class Bare:
    """A position without its stop: since when (patience, calm, boot awake), and closes asked for since then.

    `unseen`: it came of no order, and nothing has told the engine yet. Why that is no fault of it: a hub may hide an
    event while its socket looks healthy (F-NET-08), and where nothing is open REST is asked every C_RECON_IDLE (R5).
    """

    patience_ns: int
    calm_ns: int
    awake_ns: int
    closes: int = 0
    unseen: bool = False
    looks: list[WireRequest] = field(default_factory=list)  # requests for the positions since it came


@world_check("I3")
class Protected(Check):
    """No position of ours without a working stop for more than C_NAKED_MAX; after 10 s it is protected or flat."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.stops = Stops(facts)
        self.bare: dict[tuple[int, str], Bare] = {}
        self.longest_ns = 0  # for the report of a run
        self.mutated = 0  # positions that changed without a fill, as far as they were looked at

    def on_book(self, account: int) -> None:
        facts = self.facts
        naked = self.stops.naked(account)
        mutated = {item[:2] for item in facts.evidence.mutated[self.mutated :]}
        self.mutated = len(facts.evidence.mutated)
        for key in [key for key in self.bare if key[0] == account and key[1] not in naked]:
            del self.bare[key]
        for contract in naked:
            unseen = (account, contract) in mutated
            start = Bare(facts.patience_ns, facts.calm_ns, facts.awake_ns, unseen=unseen)
            self.bare.setdefault((account, contract), start)

    def on_step(self, step: JournalStep) -> None:
        if isinstance(step.item, PositionUpdate):
            bare = self.bare.get((step.item.account, step.item.contract))
            if bare is not None and bare.unseen:
                self._seen(bare)

    def _seen(self, bare: Bare) -> None:
        """From now on it can be known."""
        facts = self.facts
        bare.unseen, bare.awake_ns = False, facts.awake_ns
        bare.patience_ns, bare.calm_ns = facts.patience_ns, facts.calm_ns

    def on_request(self, request: WireRequest) -> None:
        if request.path == POSITION_SEARCH_OPEN.path:
            for (account, _), bare in self.bare.items():
                if account == request.account:
                    bare.looks.append(request)
        if self.bare and (request.path == CLOSE or request.tag in self.facts.protective):
            bare = self.bare.get((request.account or 0, symbol_of(request.body["contractId"]) or ""))
            if bare is not None:
                bare.closes += 1

    def on_event(self) -> None:
        facts = self.facts
        for (account, contract), bare in self.bare.items():
            self.judge()
            waited_ns = facts.waited_ns(bare.patience_ns)
            if bare.unseen:
                if waited_ns > UNSEEN_NS or any(request.status == 200 for request in bare.looks):
                    self._seen(bare)
                continue
            self.longest_ns = max(self.longest_ns, waited_ns)
            if waited_ns > NAKED_FLAT_NS + REACTION_NS:
                self.fail(f"{contract} of account {account} was without a stop for more than 10 s")
            elif facts.calm_waited_ns(bare.calm_ns) > NAKED_NS + REACTION_NS and not bare.closes:
                self.fail(f"{contract} of account {account} was without a stop for 3 s and nothing closes it")
            # A sleeping machine shows nothing: what is open is told, and got out of, when it wakes (F-TIM-02).
            unable_ns = facts.awake_ns - bare.awake_ns - waited_ns
            if facts.paused and unable_ns > ALERT_NS and not facts.alert(account):
                self.fail(f"{contract} of account {account} is unprotected, nobody can act, and no alert stands")


@world_check("I4")
class Agreed(Check):
    """Once nothing is disturbed, engine and broker tell the same positions within 15 s, or the state says no."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.differ: dict[int, int] = {}  # account -> calm_ns since when they differ

    def _look(self, account: int) -> None:
        view = self.facts.account_view(account)
        if view is None:
            self.differ.pop(account, None)
            return
        self.judge()
        told = {item["contract"]: item["side"] * item["size"] for item in view["positions"]}
        held = {item.contract: item.size for item in self.facts.evidence.holdings(account)}
        if told == held:
            self.differ.pop(account, None)
        else:
            self.differ.setdefault(account, self.facts.calm_ns)

    def on_book(self, account: int) -> None:
        self._look(account)

    def on_view(self) -> None:
        for account in self.facts.rules.limits:
            self._look(account)

    def on_event(self) -> None:
        for account, since_ns in self.differ.items():
            if self.facts.calm_waited_ns(since_ns) > AGREE_NS and not self.facts.alert(account):
                held = [(item.contract, item.size) for item in self.facts.evidence.holdings(account)]
                self.fail(f"account {account} is ACTIVE and holds {held}, which is not what the engine thinks")


@world_check("I5")
class Explained(Check):
    """Positions and working orders are explained by the journal, reported as foreign, or being removed."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.odd: dict[tuple[int, str], int] = {}  # (account, what) -> calm_ns
        self.cancelled: set[tuple[int, int]] = set()  # (account, order) that a cancel was sent for
        # Sum of a contract's fills when it was last flat: not 0 once a fault changed a position without a fill.
        self.flat: dict[tuple[int, str], int] = {}

    def on_request(self, request: WireRequest) -> None:
        if request.path == CANCEL and request.account is not None:
            self.cancelled.add((request.account, request.body["orderId"]))

    def _strange(self, account: int) -> set[str]:
        """What needs an explanation now."""
        facts, found = self.facts, set()
        evidence = facts.evidence
        orders = evidence.working(account)
        held = {item.contract: item.size for item in evidence.holdings(account)}
        entries = {order.contract for order in orders if self._ours(order) and order.parent_id is None}
        for order in orders:
            if order.order_id in evidence.foreign or order.closing or product_of(order.contract) is None:
                continue
            leg = order.tag.endswith(("-SL", "-TP")) or order.tag in facts.protective
            wanted = self._ours(order) and (not leg or order.contract in held or order.contract in entries)
            if not wanted and (account, order.order_id) not in self.cancelled:
                found.add(f"order {order.order_id} of {order.contract}")
        sums: dict[str, int] = {}
        for fill in evidence.accounts[account].book.fills:
            sums[fill.contract] = sums.get(fill.contract, 0) + fill.side * fill.size
        for contract, total in sums.items():
            if contract not in held:
                self.flat[(account, contract)] = total
        for contract in held:
            if held[contract] != sums.get(contract, 0) - self.flat.get((account, contract), 0):
                found.add(f"{held[contract]} {contract}")
        return found

    def _ours(self, order: Order) -> bool:
        base = base_of(order.tag)
        return base in self.facts.intents or base in self.facts.protective

    def _look(self, account: int) -> None:
        strange = self._strange(account)
        for key in [key for key in self.odd if key[0] == account and key[1] not in strange]:
            del self.odd[key]
        for what in strange:
            self.odd.setdefault((account, what), self.facts.calm_ns)

    def on_book(self, account: int) -> None:
        self.judge()
        self._look(account)

    def on_event(self) -> None:
        for account, what in list(self.odd):
            waited_ns = self.facts.calm_waited_ns(self.odd[(account, what)])
            if waited_ns > EXPLAIN_NS and not told_odd(self.facts, account):
                self._look(account)  # a cancel may be on its way, which the book does not show
                if (account, what) in self.odd:
                    self.fail(f"account {account}: {what} is explained by nobody, and nobody removes it")


@world_check("I5")
class NoSurplus(Check):
    """Stops of ours take no more out of a position than there is: what is over would open the opposite one.

    The surplus is a working order that no position explains. A stop without any position is the business of Explained.
    """

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.large: dict[tuple[int, str], int] = {}  # (account, contract) -> calm_ns since when
        self.cancelled: set[tuple[int, int]] = set()  # (account, order) that a cancel was sent for
        self.longest_ns = 0

    def on_request(self, request: WireRequest) -> None:
        if request.path == CANCEL and request.account is not None:
            self.cancelled.add((request.account, request.body["orderId"]))

    def on_book(self, account: int) -> None:
        surplus = self._surplus(account)
        for key in [key for key in self.large if key[0] == account and key[1] not in surplus]:
            del self.large[key]
        for contract in surplus:
            self.large.setdefault((account, contract), self.facts.calm_ns)

    def _surplus(self, account: int) -> dict[str, int]:
        """By contract, what our stops would sell or buy beyond what is held."""
        evidence, found = self.facts.evidence, {}
        for holding in evidence.holdings(account):
            stops = [order for order in evidence.working(account) if self._is_stop(order, holding, account)]
            over = sum(order.remaining for order in stops) - abs(holding.size)
            if over > 0:
                found[holding.contract] = over
        return found

    def _is_stop(self, order: Order, holding: Holding, account: int) -> bool:
        facts, base = self.facts, base_of(order.tag)
        if order.contract != holding.contract or order.status != "open" or order.closing:
            return False
        if order.order_type not in ("stop", "trailing_stop") or order.side * holding.size >= 0:
            return False
        ours = base in facts.intents or base in facts.protective
        return ours and (account, order.order_id) not in self.cancelled

    def on_event(self) -> None:
        for (account, contract), since_ns in self.large.items():
            self.judge()
            waited_ns = self.facts.calm_waited_ns(since_ns)
            self.longest_ns = max(self.longest_ns, waited_ns)
            if waited_ns > SHRINK_NS and not told_odd(self.facts, account):
                over = self._surplus(account).get(contract, 0)  # a cancel may be on its way
                if over > 0:
                    self.fail(f"account {account}: stops of {contract} would turn the position round by {over}")


@dataclass
class Press:
    """A kill switch that was pressed."""

    account: int
    boot_ns: int
    patience_ns: int
    first_request: int  # length of the wire log then
    closed: bool = False
    done: bool = False


@world_check("I10")
class KillSwitch(Check):
    """From the press: no entry after 0.5 s, the first close within 2 s, flat and nothing working within 10 s."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.presses: list[Press] = []

    def on_step(self, step: JournalStep) -> None:
        item, facts = step.item, self.facts
        if isinstance(item, OperatorIn) and item.verb == "kill":
            for account in facts.rules.limits:
                if item.account in (None, account):
                    press = Press(account, step.boot_ns, facts.patience_ns, len(facts.evidence.wire))
                    self.presses.append(press)

    def on_request(self, request: WireRequest) -> None:
        for press in self.presses:
            if press.account != request.account:
                continue
            press.closed = press.closed or request.path == CLOSE
            late = request.boot_ns - press.boot_ns > NO_ENTRY_NS
            intent = self._entry(request)
            if intent is not None and late and not press.done and intent.now_ns <= self.facts.evidence.market_ns:
                self.fail(f"{request.tag} left after the kill switch was pressed")

    def _entry(self, request: WireRequest) -> Intent | None:
        found = self.facts.intents.get(request.tag) if request.path == PLACE else None
        return None if found is None else found[0]

    def on_event(self) -> None:
        facts = self.facts
        for press in self.presses:
            if press.done:
                continue
            held = [item for item in facts.evidence.holdings(press.account) if product_of(item.contract)]
            working = [item for item in facts.evidence.working(press.account) if product_of(item.contract)]
            waited_ns = facts.waited_ns(press.patience_ns)
            self.judge()
            # While the market is shut patience stands still, and nothing that was not there can come of an entry.
            shut = not facts.evidence.market_open and facts.evidence.boot_ns - press.boot_ns > NO_ENTRY_NS
            if not held and not working and (waited_ns > NO_ENTRY_NS or shut):
                press.done = True
            elif held and not press.closed and waited_ns > FIRST_CLOSE_NS:
                self.fail(f"account {press.account}: no close within 2 s of the kill switch")
            elif waited_ns > ALL_FLAT_NS:
                what = [item.contract for item in held] or [f"order {item.order_id}" for item in working]
                self.fail(f"account {press.account}: {what[0]} is still there 10 s after the kill switch")
