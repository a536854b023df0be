"""One account at the simulated venue: its book and the rules on losses, size and days (topstep-rules 2). Pure."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from tbot.domain.contracts import Product
from tbot.execution.fill_model import MarketState
from tbot.sim.venue_book import VenueBook

Stage = Literal["combine", "practice", "express"]

# thousands of the account -> start, maximum loss and daily loss limit in cents, size limit in minis
_PLANS = {
    50: (5_000_000, 200_000, 100_000, 5),
    100: (10_000_000, 300_000, 200_000, 10),
    150: (15_000_000, 450_000, 300_000, 15),
}


@dataclass(frozen=True, slots=True)
class AccountRules:
    """The firm's parameters; the defaults are those of a 50K evaluation account without a daily loss limit.

    `margin_cents` is what one micro equivalent needs; None (the firm's way) means that only `max_micros` limits size.
    `product_limits` are those that the firm sets for a while when markets are wild: (symbol, contracts at most).
    """

    start_balance_cents: int = 5_000_000
    max_loss_cents: int = 200_000
    daily_loss_cents: int | None = None
    max_micros: int = 50  # size limit in micro equivalents: a mini counts ten
    auto_oco: bool = True  # False: the platform's default, in which brackets are refused
    margin_cents: int | None = None
    product_limits: tuple[tuple[str, int], ...] = ()
    stage: Stage = "combine"


def plan(size_thousands: int, *, stage: Stage = "combine", daily_loss: bool = False) -> AccountRules:
    """The firm's rules of a 50, 100 or 150 thousand account (topstep-rules 2); an express account starts at 0."""
    row = _PLANS.get(size_thousands)
    if row is None:
        raise ValueError(f"there are accounts of {', '.join(map(str, _PLANS))} thousand, not of {size_thousands}")
    start, max_loss, daily, minis = row
    return AccountRules(
        start_balance_cents=0 if stage == "express" else start,
        max_loss_cents=max_loss,
        daily_loss_cents=daily if daily_loss else None,
        max_micros=10 * minis,
        stage=stage,
    )


def account_name(rules: AccountRules, number: int) -> str:
    """A name like those seen live: `50KTC-V2-…`, with a daily loss limit `50KTC-V2-DLL-…`, for practice `PRAC-V2-…`."""
    serial = f"000001-{number:08d}"
    if rules.stage != "combine":
        return f"{'PRAC' if rules.stage == 'practice' else 'EXPRESS'}-V2-{serial}"
    limit = "" if rules.daily_loss_cents is None else "DLL-"
    return f"{rules.start_balance_cents // 100_000}KTC-V2-{limit}{serial}"


@dataclass(slots=True)
class SimAccount:
    """State of one account beside its book. `high_cents`: highest balance at the end of a trading day."""

    account_id: int
    name: str
    owner: str
    rules: AccountRules
    book: VenueBook
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

    def exceeds_size(self, key: str, side: int, size: int, products: dict[str, Product]) -> bool:
        """Whether an order would take the account beyond its size limit, working entries on that side included.

        An order that makes the position smaller never does. `key`: the order's month, `products` by such keys.
        """
        after = self._exposure_after(key, side, size)
        most = dict(self.rules.product_limits).get(products[key].symbol, after)
        return after > most or self._micros_after(key, side, size, products) > self.rules.max_micros

    def lacks_margin(self, key: str, side: int, size: int, products: dict[str, Product]) -> bool:
        """Whether the balance does not cover what the account would hold after an order."""
        margin = self.rules.margin_cents
        return margin is not None and self._micros_after(key, side, size, products) * margin > self.book.balance_cents

    def _micros_after(self, key: str, side: int, size: int, products: dict[str, Product]) -> int:
        """Micro equivalents held after an order; 0 when it makes its position smaller."""
        after = self._exposure_after(key, side, size)
        if not after:
            return 0
        others = sum(abs(self.book.size(name)) * product.micros for name, product in products.items() if name != key)
        return others + after * products[key].micros

    def _exposure_after(self, key: str, side: int, size: int) -> int:
        """Contracts of one month held after an order and all working entries on its side; 0 when it only reduces."""
        held = self.book.size(key)
        if abs(held + side * size) <= abs(held):
            return 0
        return abs(held + side * (size + self._waiting(key, side)))

    def _waiting(self, symbol: str, side: int) -> int:
        """Contracts of working orders on `side` that are no bracket legs."""
        return sum(
            order.remaining
            for order in self.book.living_orders()
            if order.contract == symbol and order.side == side and order.parent_id is None and not order.closing
        )
