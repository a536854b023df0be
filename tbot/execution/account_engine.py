"""The engine of one account: folds each input into the account's picture, watches over it, and says what to do.

One pass per input: take it in, then upkeep (time-outs, guards, window, flatten), then queries, then the state. Every
wish to get out goes through the one Flattener. Of other accounts only one thing is known: what they hold (TR8).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import chain

from tbot.domain.messages import (
    AccountUpdate,
    CommandResult,
    ConditionIn,
    Denial,
    DeskInput,
    DeskOutput,
    FeedIn,
    Fill,
    OperatorIn,
    OrderUpdate,
    PositionUpdate,
    Quote,
    SignalIn,
    Snapshot,
    StateChange,
    TimerIn,
)
from tbot.domain.trading_hours import trading_day
from tbot.execution import operator_requests
from tbot.execution.caretaker import Caretaker
from tbot.execution.engine_state import Reason, Reasons, Severity, Status, status_of
from tbot.execution.entries import carried_entry, carried_order
from tbot.execution.firm_watch import FirmWatch, recent_actions, sides_of
from tbot.execution.flatten import Flattener
from tbot.execution.guards import Demand, Guards
from tbot.execution.line import REFUSED
from tbot.execution.order_manager import OrderManager
from tbot.execution.outbox import Outbox
from tbot.execution.picture import Picture
from tbot.execution.reconcile import Reconciler
from tbot.execution.settings import AccountSettings, DeskSettings
from tbot.execution.tags import Role
from tbot.execution.trip_notes import Excursions, Noted, round_trip_note
from tbot.risk.gate import AccountFacts, Refusal, Request, decide

# So far back may the clock have gone since the run before. More is another market's time: a tape, a simulated gateway.
CLOCK_BACK = timedelta(days=7)

ANSWERS = (CommandResult, Snapshot)  # what tells of the line to the broker


@dataclass(slots=True)
class Market:
    """What the Desk knows of the market, shared by its accounts: newest quotes, and the state of each feed."""

    quotes: dict[str, Quote] = field(default_factory=dict)
    feeds: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # contract -> (state, reason, RC_ code)
    # What each account holds or has working, as (family, side): opposite sides across accounts are refused (TR8).
    # None: nobody knows yet, no complete answer has come since the start.
    sides: dict[int, Sequence[tuple[str, int]] | None] = field(default_factory=dict)

    def feed(self, contract: str) -> tuple[str, str, str]:
        """State, reason, RC_ code ("": the state says it); a contract that nothing was said about has no data yet."""
        return self.feeds.get(contract, ("gap", "no market data yet", ""))


class AccountEngine:
    """`next_tag` gives a tag that was never used; `market` is kept by the Desk."""

    def __init__(
        self, settings: DeskSettings, account: AccountSettings, market: Market, next_tag: Callable[[Role], str]
    ) -> None:
        self.settings, self.account, self.market = settings, account, market
        self.step = 0
        self.now_ns = 0
        self.day: date | None = None
        self.reasons = Reasons()
        self.outbox = Outbox(account.account, settings.run_start_ms)
        self.picture = Picture(account.account, settings.products, settings.limits, trading_day)
        self.reconciler = Reconciler(settings, self.picture, self.outbox)
        self.manager = OrderManager(settings, self.picture, self.outbox, self._ask, next_tag)
        self.flattener = Flattener(settings, self.picture, self.manager, self.reconciler)
        self.guards = Guards(settings, self.picture)
        self.firm = FirmWatch(settings, account, self.picture)
        feed = lambda contract: market.feed(contract)[0]  # noqa: E731
        self.caretaker = Caretaker(settings, self.picture, self.flattener, self.reasons, feed, self.firm)
        self.excursions = Excursions()
        self.noted = Noted()
        self.denials: dict[str, int] = {}
        self.signals = 0
        self.intents = 0
        self.stopping = False
        self.flatten_since_ns = 0
        self.heard_ns = 0  # last news from the broker that was not a refusal or a failure
        self.hub_sizes: dict[str, int] = {}  # position by the user hub, newer than any answer
        self.hub_differs_ns: dict[str, int] = {}
        self.status = Status("BOOT", ("RC_START",), "the engine is starting")
        self._calm = ((-1, False), self.status)  # what it follows from while no flatten runs, and what follows
        self.between_edges = (0, 0)  # no edge of the calendar lies between these times (execution.outlook)
        self._traded = [symbol for symbol, product in settings.products.items() if not product.data_only]
        self.reconciler.back_ns = self.firm.back_ns
        self._carry()

    def _carry(self) -> None:
        carried = self.account.carried
        for entry in carried.entries:
            self.picture.entries[entry.tag] = carried_entry(entry)
            if entry.order_id is not None:
                self.picture.entry_of_order[entry.order_id] = entry.tag
            self.manager.placed[entry.signal_id] = entry.now_ns
            self.manager.sent.append((entry.now_ns, entry.contract))
            if entry.outcome == "rejected":
                self.manager.rejects.setdefault(entry.contract, []).append(entry.now_ns)
        self.picture.carry(carried.tags, carried.closing)
        for order in carried.orders:
            own = self.picture.protective[order.tag] = carried_order(order)
            if order.order_id is not None:
                self.picture.protective_of_order[order.order_id] = order.tag
            self.caretaker.protector.carry(own)
        for code, text in carried.reasons:
            self.reasons.add(code, text, 0)

    def _ask(self, at_ns: int) -> None:
        self.reconciler.ask(at_ns, self.step)

    # ------------------------------------------------------------------------------------------------- one input
    def handle(self, item: DeskInput) -> list[DeskOutput]:
        """Everything that this input causes for this account: notes first, then commands."""
        self.step += 1
        self.now_ns = max(self.now_ns, item.now_ns)
        self._roll_day()
        if isinstance(item, SignalIn):
            self._signal(item)
        elif isinstance(item, OperatorIn):
            operator_requests.apply(self, item)
        elif isinstance(item, ConditionIn):
            self.caretaker.condition(item, self.now_ns, self.step)
        elif isinstance(item, ANSWERS) and item.account != self.account.account:
            self.caretaker.heard(item.situation, self.now_ns, self.step)  # login and budget are the same for all
        elif isinstance(item, CommandResult):
            self.caretaker.heard(item.situation, self.now_ns, self.step)
            self.manager.on_result(item, self.step)
        elif isinstance(item, Snapshot):
            self._snapshot(item)
        elif isinstance(item, TimerIn):
            self.excursions.look(self.picture.ledger.open_contracts(), item.ranges)
        elif not isinstance(item, FeedIn):
            self.heard_ns = self.now_ns
            self._broker_event(item)
        self._upkeep()
        known = self.reconciler.started
        self.market.sides[self.account.account] = sides_of(self.picture, self.hub_sizes) if known else None
        return self.outbox.take()

    def _roll_day(self) -> None:
        """Counters and day locks end at 17:00 Chicago, and only there (F-TIM-08, I14)."""
        edges = self.settings.calendar.trading_day(self.now_ns)
        day = edges.day
        if day == self.day:
            return
        before, self.day = self.day, day
        first = before is None
        self.noted = Noted()
        if before is None:
            self.noted.carry(self.account.carried.trips, day.isoformat())
            self.firm.begin(day, edges.start_ns)
        else:
            self.firm.end_day(before)
        carried = self.account.carried
        over = _locks_are_over(carried.day, day)
        stale = first and over
        if first and not stale and carried.reducing is not None:
            # K-EX-10 to 15: a flatten that a crash cut short goes on by itself.
            code, text = carried.reducing
            self._flatten(None, code, text, foreign=code in ("RC_KILL_SWITCH", "RC_DAILY_LOSS", "RC_MAX_LOSS"))
        if over and self.reasons.clear(Severity.LOCK):
            self.reconciler.start_over(self.step, self.now_ns)
        self.manager.new_day(edges.start_ns)
        if first and not stale:
            operator_requests.take_up(self, carried.barred)
        for bar in carried.bars if first else ():
            if not _locks_are_over(bar.day, day):
                self.manager.set_aside(bar.contract, bar.code, bar.text)
        if not first:
            self.picture.forget_final()
            self.reconciler.forget()
            self.picture.ledger.close_days_before(day)

    # --------------------------------------------------------------------------------------------------- signals
    def _signal(self, item: SignalIn) -> None:
        self.signals += 1
        signal = item.signal
        if signal.signal_id in self.manager.placed:
            self._deny(item, Refusal("DUPLICATE", "this signal was already taken"))
            return
        request = self._request(item)
        verdict = decide(request)
        if not isinstance(verdict, Refusal):
            refused = self.manager.place(request, verdict, item.stamps, self.step)
            if refused is None:
                self.intents += 1
                return
            verdict = refused
        self._deny(item, verdict)
        if verdict.halt:
            self.reasons.add(verdict.code, verdict.text, self.now_ns)
        if verdict.code == "RC_ASSERT":
            self._flatten(None, verdict.code, verdict.text)

    def _request(self, item: SignalIn) -> Request:
        signal, status = item.signal, self._current()
        worth, actions = self.guards.value(self.market.quotes), recent_actions(self.manager, self.now_ns)
        feed, feed_text, feed_code = self.market.feed(signal.contract)
        today = self.picture.ledger.today(self._day())
        return Request(
            now_ns=self.now_ns,
            signal=signal,
            quote=item.quote,
            age_ns=item.age_ns,
            product=self.settings.products.get(signal.contract) if self.account.trades(signal.contract) else None,
            limits=self.settings.limits,
            facts=AccountFacts(
                state=status.state,
                state_code=status.codes[0] if status.codes else "",
                state_text=status.text,
                realised_cents=today.net_cents,
                loss_streak=today.streak_max,
                exposures=self.manager.exposures(self.market.quotes),
                blocked=self._hub_differs() or self.manager.blocked(signal.contract),
                entries=tuple(self.manager.sent),
                sides=tuple(side for sides in self.market.sides.values() for side in sides or ()),
                unseen=tuple(number for number, sides in self.market.sides.items() if sides is None),
                firm=self.firm.facts(self._day(), worth, actions),
            ),
            caps=self.settings.caps,
            feed=feed,
            feed_text=feed_text,
            feed_code=feed_code,
            window_refusal=self.settings.calendar.entry_refusal(self.now_ns, signal.contract),
        )

    def _deny(self, item: SignalIn, refusal: Refusal) -> None:
        self.denials[refusal.code] = self.denials.get(refusal.code, 0) + 1
        signal = item.signal
        self.outbox.note(
            Denial(self.now_ns, self.account.account, signal.signal_id, signal.contract, refusal.code, refusal.text)
        )

    def halt(self, code: str, text: str) -> None:
        """HALTED until a person resumes; positions run on under their stops."""
        self.reasons.add(code, text, self.now_ns)

    # ---------------------------------------------------------------------------------------------------- broker
    def _broker_event(self, item: DeskInput) -> None:
        if isinstance(item, OrderUpdate):
            self._order(item)
        elif isinstance(item, Fill):
            self._fill(item)
        elif isinstance(item, PositionUpdate):
            self.hub_sizes[item.contract] = item.size
        elif isinstance(item, AccountUpdate):
            self._account(item)

    def _order(self, update: OrderUpdate) -> None:
        why = self.picture.on_order(update, self.step)
        if why:
            self._ask(self.now_ns)
        seen = self.picture.orders[update.order_id]
        if seen.order.filled > self.picture.ledger.filled(update.order_id):
            # The fill's own event usually follows at once; when it does not, it is looked up (F-NET-08).
            self._ask(self.now_ns + self._confirm_ns())
        if seen.tag is not None and seen.tag.run_start_ms > self.settings.run_start_ms:
            self.halt("RC_SECOND_ENGINE", f"order {seen.order.tag} was placed by another engine that started later")

    def _fill(self, fill: Fill) -> None:
        if not self.firm.takes(fill):
            self.picture.on_fill(fill, self.step)
            self.reconciler.heard(fill, self.now_ns, self.step)

    def _account(self, update: AccountUpdate) -> None:
        """F-ACC-03 and F-ACC-04; topstep-rules.md section 1: never a live-funded account."""
        self.picture.on_account(update, self._day())
        pinned = self.account.name
        if pinned and update.name != pinned:
            self.halt("RC_CONFIG", f"account {update.account} is named {update.name!r}, configured is {pinned!r}")
        misfit = self.firm.on_account(update)
        if misfit:
            self.halt("RC_CONFIG", misfit)
        if not update.simulated:
            self.halt("RC_CONFIG", f"account {update.account} is not a simulated account")
        if not update.can_trade:
            self.reasons.add("RC_BROKER_LOCK", "the broker does not let this account trade", self.now_ns)

    def _snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.now_ns < self.now_ns:
            # Stamped before something newer: "ask again in a second" by that stamp would ask at once, without end.
            snapshot = replace(snapshot, now_ns=self.now_ns)
        if snapshot.status is not None:
            self._account(snapshot.status)
        for update in snapshot.orders:
            self._order(update)
        for fill in snapshot.fills:
            self._fill(fill)
        self.picture.settle()
        before = self.reconciler.answer
        self.caretaker.heard(snapshot.situation, self.now_ns, self.step)
        findings = self.reconciler.on_snapshot(snapshot, self.manager, self.step)
        if self.reconciler.answer is not before:
            self.heard_ns = self.now_ns
            self.caretaker.line.proven()
            settled = self.picture.activity_step <= self.reconciler.answer_step
            if self.firm.on_answer(self._day(), self.now_ns, settled=settled):
                self._ask(self.now_ns + self._confirm_ns())
            self.reconciler.back_ns = self.firm.back_ns
            self.hub_sizes = {position.contract: position.size for position in snapshot.positions}
            self.hub_differs_ns.clear()
        for contract, text in zip(findings.adopted, findings.sentences, strict=True):
            self.manager.bar(contract, "RC_MISMATCH", text, self.now_ns)

    # ---------------------------------------------------------------------------------------------------- upkeep
    def _upkeep(self) -> None:
        self.picture.settle()
        self.manager.watch(self.now_ns, self.step)
        left = self.caretaker.sweep(self.hub_sizes, self.now_ns)
        for done in self.picture.ledger.take_completed():
            note = round_trip_note(done, self.picture, self.manager, self.excursions, self.account.account)
            if note is not None and not self.noted.again(note):
                self.outbox.note(note)
        unproven_stop = self.stopping and not (self.is_flat() or self.is_protected())
        if unproven_stop or left:
            self._ask(self.now_ns + self._confirm_ns())
        self._guard()
        self._window()
        self.caretaker.move_stops(self.now_ns, self.market.quotes)
        self._check_hub_positions()
        self.flattener.advance(self.now_ns, self.step)
        alarm = bool(self.guards.naked_ns or self.hub_differs_ns)
        self.reconciler.flush(self.now_ns, self.step, busy=lambda: self.busy, alarm=alarm)
        self._say_state()

    def _guard(self) -> None:
        quotes, day = self.market.quotes, self._day()
        naked = self.guards.protection(self.now_ns, self._ask, self.flattener.covers)
        for demand in chain(naked, self.caretaker.protect(self.now_ns, self.step, quotes, self.guards.naked_ns)):
            assert demand.contract is not None
            self.manager.bar(demand.contract, demand.code, demand.text, self.now_ns)
            self._flatten({demand.contract}, demand.code, demand.text)
        rules = [self.guards.daily_loss(day, quotes), self.guards.losses_in_a_row(day)]
        rules += self.firm.demands(day, sum(self.guards.value_cents.values()))
        for rule in rules:
            if rule is not None:
                self.reasons.add(rule.code, rule.text, self.now_ns)
                if rule.flatten and self._anything_open(foreign=rule.foreign):
                    self._flatten(None, rule.code, rule.text, foreign=rule.foreign)
        for demand in [*self.guards.blind(self.now_ns, quotes), *self._deaf()]:
            assert demand.contract is not None
            if not self.flattener.covers(demand.contract):
                self._flatten({demand.contract}, demand.code, demand.text)
        failing = self.reconciler.failures >= self.settings.limits.rest_failures
        behind = self.reconciler.behind_step is not None
        down = "answers older than is known" if behind else "does not answer queries"
        self.reasons.set("RC_REST_DOWN", f"the broker {down}" if failing else "", self.now_ns)
        for code, text in self.caretaker.line.reasons(self.now_ns):
            self.reasons.set(code, text, self.now_ns, halts=code == REFUSED and code in self.caretaker.line.conditions)
        for name in self.picture.ledger.open_contracts():
            if name not in self.settings.products and self.picture.holding(name).owned:
                text = f"{name} is open by an order of ours, and this run does not trade it: close it by hand"
                self.halt("RC_CONFIG", text)
        differ = ", ".join(sorted(self.reconciler.mismatches))
        text = f"position of {differ} differs from the broker's" if differ else ""
        self.reasons.set("RC_MISMATCH", text, self.now_ns)

    def _deaf(self) -> list[Demand]:
        """C_BLIND_HOLD, second half: neither user hub nor queries tell anything while a position is open."""
        silent_ns = self.now_ns - self.heard_ns
        late = silent_ns > self.settings.patience(self.settings.limits.blind_hold_ns) and self.reconciler.failures > 0
        held = self.picture.ledger.open_contracts() if late else ()
        names = [name for name in held if self.picture.holding(name).owned]
        return [Demand(name, "RC_REST_DOWN", "nothing was heard from the broker") for name in names]

    def _window(self) -> None:
        """RC_WINDOW pauses when no contract may be entered; what is ours is flat outside its window (F-TIM-05)."""
        calendar, now_ns, traded = self.settings.calendar, self.now_ns, self._traded
        if any(calendar.entries_allowed(now_ns, symbol) for symbol in traded):
            self.reasons.remove("RC_WINDOW")
        elif "RC_WINDOW" not in self.reasons.held:  # the first sentence stays
            refusal = calendar.entry_refusal(now_ns, traded[0] if traded else None)
            self.reasons.add("RC_WINDOW", refusal or "no contract may be entered", now_ns)
        held = [name for name in self.picture.contracts() if name in self.settings.products]
        for contract in held if self.reconciler.started else ():
            if calendar.flat_due(now_ns, contract) and not self.flattener.covers(contract) and self._ours(contract):
                self._flatten({contract}, "RC_WINDOW", f"{contract}: the trading window has ended")

    def _hub_differs(self) -> Refusal | None:
        """I6: what the hub tells and no fill explains (yet) is no ground for an entry; an answer soon decides."""
        for contract, size in self.hub_sizes.items():
            held = self.picture.ledger.position(contract).size
            if size != held:
                return Refusal("RC_MISMATCH", f"{contract}: the broker told of {size}, fills say {held}")
        return None

    def _check_hub_positions(self) -> None:
        """A position event that stays different from the fills for C_RECON_CONFIRM is looked into."""
        for contract, size in self.hub_sizes.items():
            if size == self.picture.ledger.position(contract).size:
                self.hub_differs_ns.pop(contract, None)
                continue
            since_ns = self.hub_differs_ns.setdefault(contract, self.now_ns)
            if self.now_ns - since_ns >= self._confirm_ns():
                self.hub_differs_ns[contract] = self.now_ns
                self._ask(self.now_ns)

    def _flatten(self, contracts: set[str] | None, code: str, text: str, *, foreign: bool = False) -> None:
        if self.flattener.job is None:
            self.flatten_since_ns = self.now_ns
        self.flattener.request(contracts, code, text, foreign=foreign)

    def _current(self) -> Status:
        """The state that follows from what holds at this moment."""
        job, proven = self.flattener.job, self.reconciler.proven
        if job is not None:
            alert = f" (round {job.rounds}, still not flat)" if self.flattener.loud else ""
            reducing = Reason(job.code, job.text + alert, self.flatten_since_ns)
            return status_of(self.reasons, proven=proven, reducing=reducing)
        rests_on = (self.reasons.version, proven)
        if self._calm[0] != rests_on:
            self._calm = (rests_on, status_of(self.reasons, proven=proven, reducing=None))
        return self._calm[1]

    def _say_state(self) -> None:
        status = self._current()
        changed = (status.state, status.codes) != (self.status.state, self.status.codes)
        self.status = status
        if changed:
            codes = status.codes
            self.outbox.note(StateChange(self.now_ns, self.account.account, status.state, codes, status.text))

    # ------------------------------------------------------------------------------------------------- questions
    def _confirm_ns(self) -> int:
        return self.settings.patience(self.settings.limits.recon_confirm_ns)

    def _day(self) -> date:
        assert self.day is not None, "every input rolls the day first"
        return self.day

    def _ours(self, contract: str) -> bool:
        holding = self.picture.holding(contract)
        tagged = any(seen.tag is not None for seen in self.picture.working(contract))
        return bool(holding.owned or holding.surprise or tagged or self.picture.live_entries(contract))

    def _anything_open(self, *, foreign: bool) -> bool:
        return any(foreign or contract in self.settings.products for contract in self.picture.contracts())

    @property
    def busy(self) -> bool:
        """Whether anything is open, working, unproven or under way."""
        unproven = not self.reconciler.proven or self.reconciler.want_ns is not None
        return bool(unproven or self.manager.pending or self.flattener.job or self.picture.contracts())

    def _proven_now(self) -> bool:
        """Whether the last explicit answer is newer than everything that could have changed exposure."""
        unproven = self.picture.live_entries() or self.picture.unproven()
        lively = self.flattener.job is not None or unproven or self.manager.pending
        return not lively and self.reconciler.answer_step >= self.picture.activity_step

    def is_flat(self) -> bool:
        """Proven: by an explicit answer nothing of ours is open or working, and nothing is under way."""
        if not self._proven_now():
            return False
        positions, orders = self.reconciler.exposed(None, foreign=False)
        ours = any(self._ours(contract) for contract in self.picture.contracts())
        return not positions and not orders and not ours

    def is_protected(self) -> bool:
        """Proven: every position of ours has a working stop, and nothing is under way."""
        held = self.picture.ledger.open_contracts()
        return self._proven_now() and all(self.picture.protected(name) for name in held)

    def state(self) -> list[object]:
        """Everything that decides what happens next, as data for the digest."""
        own = [self.step, self.now_ns, self.day, self.reasons.held, self.denials, self.signals, self.intents]
        hub = [self.stopping, self.flatten_since_ns, self.heard_ns, self.hub_sizes, self.hub_differs_ns, self.status]
        watch = self.guards
        guards = [watch.naked_ns, watch.blind_ns, watch.value_cents]
        parts = [part.state() for part in (self.outbox, self.picture, self.manager, self.reconciler, self.caretaker)]
        jobs = [self.excursions, self.noted, self.flattener.job, self.flattener.finished, self.firm.state()]
        return [*own, *hub, *guards, *parts, *jobs]


def _locks_are_over(carried_day: str, day: date) -> bool:
    """Whether the trading day of an earlier run's locks has ended; "": they have none.

    Their day lies ahead when the clock went back since: they last until it is over all the same (I14, F-TIM-01).
    """
    if not carried_day:
        return True
    return not timedelta(0) <= date.fromisoformat(carried_day) - day <= CLOCK_BACK
