"""One account at the simulated venue: its book and the rules on losses, size and days (topstep-rules 2). Pure."""

from dataclasses import dataclass
from datetime import date

from tbot.domain.contracts import Product
from tbot.execution.fill_model import MarketState
from tbot.execution.matching import AccountBook


@dataclass(frozen=True, slots=True)
class AccountRules:
    """The firm's parameters; the defaults are those of a 50K evaluation account without a daily loss limit."""

    start_balance_cents: int = 5_000_000
    max_loss_cents: int = 200_000
    daily_loss_cents: int | None = None
    max_micros: int = 50  # size limit in micro equivalents: a mini counts ten
    auto_oco: bool = True  # False: the platform's default, in which brackets are refused


@dataclass(slots=True)
class SimAccount:
    """State of one account beside its book. `high_cents`: highest balance at the end of a trading day."""

    account_id: int
    name: str
    owner: str
    rules: AccountRules
    book: AccountBook
    can_trade: bool = True
    simulated: bool = True
    follower: bool = False  # of a copy trader: it cannot cancel orders
    hidden: bool = False  # no endpoint knows it any more
    failed: bool = False  # the maximum loss was reached: locked for good
    high_cents: int = 0
    day_start_cents: int = 0
    day: date | None = None

    def floor_cents(self) -> int:
        """The maximum loss limit: trails the highest end-of-day balance, stops for good at the starting balance."""
        start = self.rules.start_balance_cents
        return min(start, max(self.high_cents, start) - self.rules.max_loss_cents)

    def begin_day(self, day: date) -> bool:
        """The trading day changed: ratchet the floor, count the daily loss anew; True when trading is allowed again."""
        self.day = day
        balance = self.book.balance_cents
        self.high_cents = max(self.high_cents, balance)
        self.day_start_cents = balance
        unlocked = not self.can_trade and not self.failed
        self.can_trade = not self.failed
        return unlocked

    def breach(self, states: dict[str, MarketState]) -> str | None:
        """Which rule balance and open positions break right now: `max_loss`, `daily_loss` or None.

        The test runs in real time on balance plus unrealised P&L; touching the limit breaks it.
        """
        equity = self.book.balance_cents + self.book.unrealised_cents(states)
        if equity <= self.floor_cents():
            return "max_loss"
        daily = self.rules.daily_loss_cents
        if daily is not None and equity <= self.day_start_cents - daily:
            return "daily_loss"
        return None

    def exceeds_size(self, product: Product, side: int, size: int, products: dict[str, Product]) -> bool:
        """Whether an order would take the account beyond its size limit, working entries on that side included.

        An order that makes the position smaller never does.
        """
        held = self.book.size(product.symbol)
        if abs(held + side * size) <= abs(held):
            return False
        total = 0
        for symbol, other in products.items():
            exposure = abs(self.book.size(symbol))
            if symbol == product.symbol:
                exposure = abs(held + side * (size + self._waiting(symbol, side)))
            total += exposure * other.micros
        return total > self.rules.max_micros

    def _waiting(self, symbol: str, side: int) -> int:
        """Contracts of working orders on `side` that are no bracket legs."""
        return sum(
            order.remaining
            for order in self.book.living_orders()
            if order.contract == symbol and order.side == side and order.parent_id is None and not order.closing
        )
