"""One account by the broker's word: balance, permission, and the high-water mark of its daily closing balances.

The gateway exposes no loss floor and no daily state (projectx-gateway.md 6.1), so what depends on them is kept here.
Money in integer cents. The trailing floor of topstep-rules.md 2.1 builds on `high_water_cents`.
"""

from dataclasses import dataclass, replace
from datetime import date

from tbot.domain.messages import AccountUpdate


@dataclass(frozen=True, slots=True)
class Account:
    """Balance and permission; None and False until the broker has spoken."""

    account: int
    name: str = ""
    balance_cents: int | None = None
    can_trade: bool = False
    simulated: bool = False
    day: date | None = None  # trading day of `day_start_cents`
    day_start_cents: int | None = None  # balance at the first sight in this trading day
    high_water_cents: int | None = None  # highest closing balance of a trading day that was seen, start included

    def updated(self, update: AccountUpdate, day: date) -> "Account":
        """After the broker's word of trading day `day`; the first word of a new day closes the day before."""
        after = replace(
            self,
            name=update.name or self.name,
            balance_cents=update.balance_cents,
            can_trade=update.can_trade,
            simulated=update.simulated,
        )
        if self.day == day:
            return after
        # Why the old balance: it is the last word of the day that ended. On the very first word there is none.
        closing = self.balance_cents if self.balance_cents is not None else update.balance_cents
        high = closing if self.high_water_cents is None else max(self.high_water_cents, closing)
        return replace(after, day=day, day_start_cents=closing, high_water_cents=high)

    @property
    def day_change_cents(self) -> int | None:
        """Balance now minus balance at the start of the trading day; None before the broker's first word."""
        if self.balance_cents is None or self.day_start_cents is None:
            return None
        return self.balance_cents - self.day_start_cents
