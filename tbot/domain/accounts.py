"""One account by the broker's word: balance, permission, and how far the balance has moved in the trading day.

Money in integer cents. What the firm makes of past days (its loss floor, the best day): `risk/floor.py`.
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
        return replace(after, day=day, day_start_cents=closing)
