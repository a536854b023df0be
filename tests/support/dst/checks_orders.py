"""Checks of what leaves: I1 recorded, I2 once, I6 within the sizes, I7 fresh prices, I9 rate, I23 age, I29 month."""

from collections import deque

from dst.evidence import JournalStep, WireRequest
from dst.referee import Check, Facts, world_check
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import FeedIn, Intent, PositionUpdate, Signal, SignalIn, Snapshot, StateChange
from tbot.domain.timeframes import NS_PER_S
from tbot.gateway.codec_tables import BY_PATH

PLACE = "/api/Order/place"
CLOSE = "/api/Position/closeContract"
CANCEL = "/api/Order/cancel"
MODIFY = "/api/Order/modify"
BARS = "/api/History/retrieveBars"

MIN_TICKS, MAX_TICKS = 4, 400  # of a bracket leg
QUOTE_AGE_NS = 3 * NS_PER_S  # C_QUOTE_STALE
SIGNAL_TTL_NS = 1_500_000_000  # C_SIGNAL_TTL
# An entry that is decided at the last moment of its life still needs a thread and a socket.
SEND_SLACK_NS = 250_000_000
LATE_ARRIVAL_NS = 60 * NS_PER_S  # C_UNKNOWN_HORIZON: so long a request may still arrive
MONTH_GRACE_NS = 30 * NS_PER_S


def symbol_of(contract_id: str) -> str | None:
    """Product symbol behind a gateway id, by its root; None for what is not in the product table."""
    parts = contract_id.split(".")
    root = parts[3] if len(parts) == 5 else ""
    return next((product.symbol for product in PRODUCTS.values() if product.root == root), None)


@world_check("I1")
class RecordedBefore(Check):
    """Every placement on the wire has an earlier intent on disk, approved in state ACTIVE and within the limits."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.state: dict[int, tuple[int, str]] = {}  # account -> (executor, state) by the journal

    def on_step(self, step: JournalStep) -> None:
        for output in step.outputs:
            if isinstance(output, Intent):
                self._approved(output, step)
        for output in step.outputs:
            if isinstance(output, StateChange):
                self.state[output.account] = (step.executor, output.state)

    def _approved(self, intent: Intent, step: JournalStep) -> None:
        self.judge()
        limits, product = self.facts.rules.limits.get(intent.account), PRODUCTS.get(intent.contract)
        if self.state.get(intent.account) != (step.executor, "ACTIVE"):
            self.fail(f"{intent.tag} was approved while the account was {self.state.get(intent.account)}")
        if limits is None or product is None:
            self.fail(f"{intent.tag} is of an account or contract that is not traded")
            return
        for name, ticks in (("stop", intent.stop_ticks), ("target", intent.target_ticks)):
            price = intent.quote.ask if intent.side > 0 else intent.quote.bid
            if not MIN_TICKS <= ticks <= MAX_TICKS or ticks * 50 > price:
                self.fail(f"{intent.tag}: {name} {ticks} ticks away")
        worst = (intent.stop_ticks + limits.slip_ticks) * product.tick_value_cents
        worst += 2 * (product.fees_cents + product.commission_cents)
        if intent.risk_cents < worst * intent.size or worst * intent.size > limits.risk_per_trade_cents:
            self.fail(f"{intent.tag} may lose {worst * intent.size} cents, approved were {intent.risk_cents}")

    def on_request(self, request: WireRequest) -> None:
        if request.path != PLACE:
            return
        self.judge()
        command = self.facts.protective.get(request.tag)
        if command is not None:
            if command.size != request.body["size"]:
                self.fail(f"protective order {request.tag} left with another size than recorded")
            return
        found = self.facts.intents.get(request.tag)
        if found is None:
            self.fail(f"a placement with tag {request.tag!r} that no intent tells of")
            return
        intent, step = found
        last_row = step.seq + len(step.outputs)
        if not step.seq or last_row > request.committed_seq or step.boot_ns > request.boot_ns:
            self.fail(f"{request.tag} left when row {request.committed_seq} was on disk; its intent ends at {last_row}")
        self._as_recorded(request, intent)

    def _as_recorded(self, request: WireRequest, intent: Intent) -> None:
        body = request.body
        asked = (request.account, symbol_of(body["contractId"]), 1 - 2 * body["side"], body["size"])
        legs = [(body.get(name) or {}).get("ticks") for name in ("stopLossBracket", "takeProfitBracket")]
        wanted = [-intent.side * intent.stop_ticks, intent.side * intent.target_ticks]
        if asked != (intent.account, intent.contract, intent.side, intent.size) or legs != wanted:
            self.fail(f"{request.tag} left as {asked} with legs {legs}; recorded was {intent}")


@world_check("I2")
class OnceOnly(Check):
    """One placement request for an intent, one intent for a decision, no tag twice; over all lives."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.tags: set[str] = set()
        self.wired: set[str] = set()
        self.decisions: dict[tuple[int, str], str] = {}

    def on_step(self, step: JournalStep) -> None:
        for output in step.outputs:
            if not isinstance(output, Intent):
                continue
            self.judge()
            before = self.decisions.setdefault((output.account, output.signal_id), output.tag)
            if before != output.tag:
                self.fail(f"decision {output.signal_id} was taken twice: {before} and {output.tag}")
            if output.tag in self.tags:
                self.fail(f"tag {output.tag} was given twice")
            self.tags.add(output.tag)

    def on_request(self, request: WireRequest) -> None:
        if request.path == PLACE:
            self.judge()
            if request.tag in self.wired or not request.tag:
                self.fail(f"a second placement with tag {request.tag!r}")
            self.wired.add(request.tag)


@world_check("I6")
class WithinSize(Check):
    """What is held, works, or may still arrive stays within the limits of contract and account, at the broker.

    What a fault put into a position without a fill (account.mutate_position) is the fault's, not the engine's, and is
    taken off as long as it lies there; but not from an entry that was decided after the engine had been told of it.
    """

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.told: dict[int, dict[str, int]] = {}  # account -> positions as last told to the engine
        self.seen: dict[str, dict[str, int]] = {}  # tag of an entry -> what was told when it was decided
        self.added: dict[tuple[int, str], int] = {}  # what faults put into positions, as far as it lies there
        self._mutations = 0  # that are in it
        self.lost: list[tuple[WireRequest, str, int]] = []  # entries that nobody knows of: (request, symbol, side)

    def on_step(self, step: JournalStep) -> None:
        item = step.item
        if isinstance(item, PositionUpdate):
            self.told.setdefault(item.account, {})[item.contract] = item.size
        elif isinstance(item, Snapshot) and item.complete:
            self.told[item.account] = {held.contract: held.size for held in item.positions}
        for output in step.outputs:
            if isinstance(output, Intent):
                self.seen[output.tag] = dict(self.told.get(output.account, {}))

    def on_request(self, request: WireRequest) -> None:
        body = request.body
        symbol = symbol_of(body["contractId"]) if request.path == PLACE else None
        if symbol is not None and request.tag not in self.facts.protective:
            self.lost.append((request, symbol, 1 - 2 * body["side"]))
            assert request.account is not None
            self._look(request.account, self.seen.pop(request.tag, {}))

    def on_book(self, account: int) -> None:
        self._look(account, {})

    def _look(self, account: int, told: dict[str, int]) -> None:
        """`told`: positions that count whatever explains them, because the engine knew of them."""
        self.judge()
        limits = self.facts.rules.limits.get(account)
        if limits is None:
            return
        self._follow_mutations(account)
        most, total = self._exposure(account, told), 0
        for symbol, size in most.items():
            product = PRODUCTS.get(symbol)
            if product is None:
                continue
            total += size * product.micros
            allowed = limits.max_micros if product.micros == 1 else limits.max_minis
            if size > allowed:
                self.fail(f"{symbol}: {size} contracts held, working or on their way; allowed are {allowed}")
        if total > limits.max_account_micros:
            self.fail(f"account {account}: {total} micros; allowed are {limits.max_account_micros}")

    def _follow_mutations(self, account: int) -> None:
        """What is closed was the fault's last of all: no part of it outlives the position, or turns round with it."""
        mutated, held = self.facts.evidence.mutated, {}
        for number, contract, change in mutated[self._mutations :]:
            self.added[(number, contract)] = self.added.get((number, contract), 0) + change
        self._mutations = len(mutated)
        if self.added:
            held = {item.contract: item.size for item in self.facts.evidence.holdings(account)}
        for key, added in list(self.added.items()):
            size = held.get(key[1], 0)
            if key[0] == account:
                self.added[key] = max(0, min(added, size)) if size > 0 else min(0, max(added, size))

    def _exposure(self, account: int, told: dict[str, int]) -> dict[str, int]:
        """Largest absolute position of ours that could come, by symbol. What a person holds is not ours."""
        evidence = self.facts.evidence
        foreign = evidence.foreign
        sides: dict[tuple[str, int], int] = {}
        for contract, size in self.facts.own_sizes(account).items():
            side = 1 if size > 0 else -1
            added = max(0, side * self.added.get((account, contract), 0))
            known = max(0, side * told.get(contract, 0))
            sides[(contract, side)] = max(abs(size) - added, min(abs(size), known))
        for order in evidence.working(account):
            entry = order.parent_id is None and not order.closing and order.order_id not in foreign
            if entry and order.order_type in ("market", "limit") and order.tag not in self.facts.protective:
                key = (order.contract, order.side)
                sides[key] = sides.get(key, 0) + order.remaining
        now_ns = evidence.boot_ns
        self.lost = [
            item
            for item in self.lost
            if not item[0].arrived and item[0].status is None and now_ns - item[0].boot_ns < LATE_ARRIVAL_NS
        ]
        for request, symbol, side in self.lost:
            if request.account == account and request.executor == evidence.executor:
                sides[(symbol, side)] = sides.get((symbol, side), 0) + int(request.body["size"])
        largest: dict[str, int] = {}
        for (symbol, _), size in sides.items():
            largest[symbol] = max(largest.get(symbol, 0), size)
        return largest


@world_check("I7")
class FreshPrices(Check):
    """No entry on a price that is old, crossed, from before a gap, or of a contract whose data is not in order."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.feeds: dict[str, str] = {}
        self.life = 0

    def on_step(self, step: JournalStep) -> None:
        if step.executor != self.life:
            self.life, self.feeds = step.executor, {}
        item = step.item
        if isinstance(item, FeedIn):
            self.feeds[item.contract] = item.state
        elif isinstance(item, SignalIn) and any(isinstance(output, Intent) for output in step.outputs):
            self._entry(step, item, item.signal)

    def _entry(self, step: JournalStep, item: SignalIn, signal: Signal) -> None:
        self.judge()
        quote, name = item.quote, signal.signal_id
        if quote is None:
            self.fail(f"{name} was taken without a price")
            return
        # By the exchange's own clock: a clock of the engine that is slow would make an old price look young.
        late_ns = self.facts.evidence.market_ns - self.facts.evidence.boot_ns + step.boot_ns
        age_ns = max(quote.age_ns, late_ns - quote.exch_ns)
        if age_ns > QUOTE_AGE_NS:
            self.fail(f"{name} was taken on a price that is {age_ns / NS_PER_S:.1f} s old")
        if quote.bid >= quote.ask or signal.quote.bid >= signal.quote.ask:
            self.fail(f"{name} was taken on a crossed price")
        if quote.epoch != signal.quote.epoch:
            self.fail(f"{name} was decided before a gap")
        if self.feeds.get(signal.contract) != "ok":
            self.fail(f"{name}: data of {signal.contract} was {self.feeds.get(signal.contract)}")


class Window:
    """Times of the newest events, for rates."""

    def __init__(self, span_ns: int) -> None:
        self.span_ns = span_ns
        self.times: deque[int] = deque()

    def add(self, now_ns: int) -> int:
        """How many there were within the span that ends now, this one included."""
        while self.times and self.times[0] <= now_ns - self.span_ns:
            self.times.popleft()
        self.times.append(now_ns)
        return len(self.times)


@world_check("I9")
class WithinRate(Check):
    """Published budgets in every window, the reserve kept for protection, and C_MAX_ENTRY_RATE."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.all = Window(60 * NS_PER_S)
        self.other = Window(60 * NS_PER_S)
        self.bars = Window(30 * NS_PER_S)
        self.minute: dict[int, Window] = {}
        self.last: dict[tuple[int, str], int] = {}

    def on_request(self, request: WireRequest) -> None:
        if request.path.lower() not in BY_PATH:
            return  # a look at whether anybody is there, which no budget counts
        self.judge()
        now_ns = request.boot_ns
        if request.path == BARS:
            if self.bars.add(now_ns) > 50:
                self.fail("more than 50 history requests in 30 s")
            return
        if self.all.add(now_ns) > 200:
            self.fail("more than 200 requests in 60 s")
        if not request.protective and self.other.add(now_ns) > 160:
            self.fail("requests that protect nothing used up the reserve of 40 in 60 s")

    def on_step(self, step: JournalStep) -> None:
        for output in step.outputs:
            if isinstance(output, Intent):
                self._entry(output)

    def _entry(self, intent: Intent) -> None:
        minute = self.minute.setdefault(intent.account, Window(60 * NS_PER_S))
        if minute.add(intent.now_ns) > 6:
            self.fail(f"more than 6 entries of account {intent.account} in a minute")
        key = (intent.account, intent.contract)
        if intent.now_ns - self.last.get(key, -(10**18)) < 5 * NS_PER_S:
            self.fail(f"two {intent.contract} entries within 5 s")
        self.last[key] = intent.now_ns


@world_check("I23")
class YoungSignals(Check):
    """No entry leaves whose signal is older than C_SIGNAL_TTL by the boot clock."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.born: dict[str, int] = {}  # tag -> boot time of the signal

    def on_step(self, step: JournalStep) -> None:
        item = step.item
        if not isinstance(item, SignalIn):
            return
        for output in step.outputs:
            if isinstance(output, Intent):
                self.judge()
                self.born[output.tag] = step.boot_ns - item.age_ns
                if not 0 <= item.age_ns <= SIGNAL_TTL_NS:
                    self.fail(f"{output.signal_id} was taken {item.age_ns / NS_PER_S:.2f} s after it was sent")

    def on_request(self, request: WireRequest) -> None:
        born_ns = self.born.pop(request.tag, None) if request.path == PLACE else None
        if born_ns is not None and request.boot_ns - born_ns > SIGNAL_TTL_NS + SEND_SLACK_NS:
            self.fail(f"{request.tag} left {(request.boot_ns - born_ns) / NS_PER_S:.2f} s after its signal")


@world_check("I29")
class RightMonth(Check):
    """Entries go to the month that is resolved and active, of a contract that is traded."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.gone_ns: dict[str, int] = {}

    def on_event(self) -> None:
        active = self.facts.evidence.active
        if len(active) + len(self.gone_ns) != len(self.facts.rules.contracts) or self.gone_ns:
            for broker_id in self.facts.rules.contracts.values():
                if broker_id in active or not active:
                    self.gone_ns.pop(broker_id, None)
                else:
                    self.gone_ns.setdefault(broker_id, self.facts.evidence.boot_ns)

    def on_request(self, request: WireRequest) -> None:
        if request.path != PLACE or request.tag in self.facts.protective:
            return
        self.judge()
        month, active = request.body["contractId"], self.facts.evidence.active
        if symbol_of(month) not in self.facts.rules.contracts:
            self.fail(f"an order of {month}, which is not traded")
        elif active and month not in active:
            gone_ns = self.gone_ns.get(month)
            if gone_ns is None or request.boot_ns - gone_ns > MONTH_GRACE_NS:
                self.fail(f"an order of {month}, which is not the active month")
