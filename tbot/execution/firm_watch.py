"""Watches the firm's rules of one account: keeps its past days, says where it stands, and when it must stop.

What the gate refuses by these rules stands in `risk/gate.py`. Here are the three that act on the account itself:

* TR2  equity at the floor + `lock_above_floor_cents` or below: flatten everything, locked for the day (RC_MAX_LOSS).
* TR6  the day's realised net has reached its stop: locked for the day, nothing is flattened (RC_DAY_PROFIT). Why: too
       good a day fails no account, it only raises the target, and an open position still has its stop and its target.
       Realised and not floating profit counts, because the latter may be gone before it is made.
* TR11 the raised target is reached, and would still be if everything were closed now: flatten, halted (RC_TARGET).
       What is a stranger's stays: only the loss rules touch it (F-ACC-02).

Days before the one in which the run began are not folded into the account's picture: they have no orders and no
positions here, only results. Everything is empty for an account that no firm watches.
"""

from collections.abc import Mapping, Sequence
from datetime import date

from tbot.domain.contracts import product_named
from tbot.domain.messages import AccountUpdate, Fill
from tbot.domain.timeframes import NS_PER_MIN
from tbot.domain.trading_hours import trading_day
from tbot.execution.guards import Demand, usd
from tbot.execution.order_manager import OrderManager
from tbot.execution.picture import Picture
from tbot.execution.settings import AccountSettings, DeskSettings
from tbot.risk.firm import FirmFacts, misfit
from tbot.risk.floor import FloorBook
from tbot.risk.ledger import Ledger

HISTORY_NS = 60 * 24 * 60 * NS_PER_MIN  # the first query of a run asks this much further back than the trading day


class FirmWatch:
    """`facts` gives None, and `demands` nothing, for an account without rules."""

    def __init__(self, settings: DeskSettings, account: AccountSettings, picture: Picture) -> None:
        self.rules = account.rules
        self._picture = picture
        self._carried = account.carried.closings
        self._history = Ledger(settings.products, trading_day)
        self._begin_ns: int | None = None  # start of the trading day in which the run began
        self._heard = False  # anything of the account's name and balance
        self._misfit = ""  # why its rules cannot be its own
        self._lower_ns: int | None = None  # since when answers tell a lower balance than fills explain
        self._known: tuple[tuple[object, ...], FirmFacts] | None = None  # what beside the book they rest on, the facts
        self._confirm_ns = settings.patience(settings.limits.recon_confirm_ns)
        self.book = None if account.rules is None else FloorBook(account.rules, account.since, account.floor_cents)

    # --------------------------------------------------------------------------------------------------- folding
    def begin(self, day: date, start_ns: int) -> None:
        """The first input came in trading day `day`, which starts at `start_ns`."""
        if self.book is not None:
            self._begin_ns, self._known = start_ns, None
            self.book.carry(self._carried, day.isoformat())

    def end_day(self, day: date) -> None:
        """Trading day `day` is over: the ratchet moves."""
        if self.book is not None:
            picture, self._known = self._picture, None
            self.book.end_day(day, picture.ledger.today(day).broker_net_cents, picture.account.balance_cents)

    @property
    def back_ns(self) -> int:
        """How much further back than the trading day the next query asks."""
        return HISTORY_NS if self.book is not None and not self.book.known else 0

    def on_account(self, update: AccountUpdate) -> str:
        """Why the rules cannot be those of this account ("": they may be), by the first word about it.

        Later words are not judged: one odd balance should not halt an account (F-ACC-05), and names are pinned.
        """
        if self.rules is not None and not self._heard:
            self._misfit = misfit(self.rules, update.name, update.balance_cents)
        self._heard = True
        return self._misfit

    def takes(self, fill: Fill) -> bool:
        """Keep a fill of an earlier day; False when it belongs into the picture."""
        if self._begin_ns is None or fill.now_ns >= self._begin_ns:
            return False
        self._history.add(fill)
        return True

    def on_answer(self, day: date, now_ns: int, *, settled: bool) -> bool:
        """A complete answer was folded; `settled`: nothing has happened since its query left. True: ask once more.

        Only a settled answer's balance and fills belong together. The very first one is taken as it is: it is better
        than nothing, and the next replaces it. A balance lower than the fills explain (a fee, a payout, or an answer
        that is wrong) must be told twice, C_RECON_CONFIRM apart, before anything is closed for it (F-ACC-05).
        """
        book, balance = self.book, self._picture.account.balance_cents
        if book is None or balance is None or self._misfit or not (settled or not book.known):
            return False
        nets = {**self._history.nets(), **self._picture.ledger.nets()}
        if book.opening_cents is not None and balance - nets.get(day, 0) < book.opening_cents:
            self._lower_ns = now_ns if self._lower_ns is None else self._lower_ns
            if now_ns - self._lower_ns < self._confirm_ns:
                return True
        self._lower_ns = self._known = None
        book.rebuild(balance, nets, day)
        return False

    # ------------------------------------------------------------------------------------------------- questions
    def facts(self, day: date, open_cents: int, actions: int = 0) -> FirmFacts | None:
        """Where the account stands; `open_cents` is what open positions are worth now, exit fees taken off.

        Asked for at every input and mostly the same: reckoned anew when something that it rests on has changed.
        """
        book, told = self.book, self._picture.account.balance_cents
        if book is None:
            return None
        if book.opening_cents is None or told is None:
            return FirmFacts(book.rules, known=False)
        rests_on = (day, open_cents, actions, told, self._picture.ledger.version)
        if self._known is None or self._known[0] != rests_on:
            self._known = (rests_on, self._reckoned(book, book.opening_cents, told, day, open_cents, actions))
        return self._known[1]

    def _reckoned(
        self, book: FloorBook, opening_cents: int, told: int, day: date, open_cents: int, actions: int
    ) -> FirmFacts:
        today = self._picture.ledger.today(day)
        proven = opening_cents + today.net_cents
        balance = min(told, proven)  # the balance may lag behind a fill, and a fill behind it
        return FirmFacts(
            rules=book.rules,
            known=True,
            floor_cents=book.floor_cents,
            balance_cents=balance,
            equity_cents=balance + open_cents,
            proven_equity_cents=proven + open_cents,
            day_net_cents=today.broker_net_cents,
            target_cents=book.rules.target_of(book.best_day_cents(today.broker_net_cents)),
            most_micros=book.rules.position_limit(opening_cents),
            actions=actions,
        )

    def demands(self, day: date, open_cents: int) -> list[Demand]:
        """What the rules ask for now."""
        facts = self.facts(day, open_cents)
        found: list[Demand] = []
        if facts is None or not facts.known:
            return found
        rules, equity = facts.rules, facts.equity_cents
        if facts.proven_equity_cents <= facts.floor_cents + rules.lock_above_floor_cents:
            text = f"equity {usd(equity)} is too near the firm's loss floor {usd(facts.floor_cents)}"
            found.append(Demand(None, "RC_MAX_LOSS", text, foreign=True))
        if rules.day_profit_stop_cents and facts.day_net_cents >= rules.day_profit_stop_cents:
            text = f"{usd(facts.day_net_cents)} were made today, the stop is {usd(rules.day_profit_stop_cents)}"
            found.append(Demand(None, "RC_DAY_PROFIT", text, flatten=False))
        if facts.target_reached and equity - rules.start_cents >= facts.target_cents:
            text = f"the profit target of {usd(facts.target_cents)} is reached with {usd(equity - rules.start_cents)}"
            found.append(Demand(None, "RC_TARGET", text))
        return found

    def state(self) -> list[object]:
        """Data for the digest. Of earlier days their results: thousands of fills would be hashed at every status."""
        history = [self._history.nets(), self._history.version]
        return [self._begin_ns, self._lower_ns, self._heard, self._misfit, self.book, history]


def recent_actions(manager: OrderManager, now_ns: int) -> int:
    """TR10: entries and moved stops of the last minute. Orders that protect are not counted: they need no leave."""
    times = [*(at for at, _ in manager.sent), *manager.moves.recent_ns]
    return sum(now_ns - at < NS_PER_MIN for at in times)


def sides_of(picture: Picture, told: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    """(family, side) of everything that an account holds or may still open, sorted (TR8).

    By the table of all products, and by gateway ids, too: a stranger's position may be in a product or a month that
    this run does not trade. What is in no table is a family of its own. `told`: sizes by the broker's newest word,
    which a fill may have yet to explain: a stranger's position counts from its first telling.
    """
    found = {(entry.contract, entry.side) for entry in picture.live_entries()}
    found.update([(name, picture.ledger.position(name).side) for name in picture.ledger.open_contracts()])
    found.update([(name, 1 if size > 0 else -1) for name, size in told.items() if size])
    if not found:
        return ()
    products = {name: product_named(name) for name, _ in found}
    return sorted({(product.family if (product := products[name]) else name, side) for name, side in found})
