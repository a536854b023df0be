"""How the accounts looked a while ago: what a query is answered from when the gateway reads an old copy.

Copies are taken only while a plan may need them, and only when something has changed.
"""

from collections import deque
from copy import copy
from dataclasses import dataclass, replace
from typing import cast

from tbot.domain.messages import Fill
from tbot.execution.book_types import FINAL, Holding, Order
from tbot.sim.accounts import SimAccount
from tbot.sim.exchange import Exchange
from tbot.sim.venue_book import VenueBook

KEPT = 5_000


@dataclass(frozen=True, slots=True)
class OldBook:
    """As much of an account's book as queries read."""

    orders: dict[int, Order]
    fills: list[Fill]
    balance_cents: int
    _holdings: tuple[Holding, ...]

    def holdings(self) -> list[Holding]:
        return list(self._holdings)

    def living_orders(self) -> list[Order]:
        return [order for order in self.orders.values() if order.status not in FINAL]


@dataclass(frozen=True, slots=True)
class OldView:
    """All accounts as they were; the part of the exchange that queries ask."""

    accounts: dict[int, SimAccount]

    def accounts_of(self, owner: str) -> list[SimAccount]:
        return [account for account in self.accounts.values() if account.owner == owner and not account.hidden]

    def account(self, owner: str, account_id: int) -> SimAccount | None:
        account = self.accounts.get(account_id)
        return account if account is not None and account.owner == owner and not account.hidden else None


class Views:
    """A short memory of the exchange. Times are seconds of the boot clock."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._taken: deque[tuple[float, OldView]] = deque(maxlen=KEPT)

    def take(self, now_s: float, age_s: float = float("inf")) -> None:
        """Remember how things stand; nobody will ask for anything older than `age_s`."""
        while len(self._taken) > 1 and self._taken[1][0] <= now_s - age_s:
            self._taken.popleft()
        accounts = {number: _copy(account) for number, account in self._exchange.accounts.items()}
        self._taken.append((now_s, OldView(accounts)))

    @property
    def empty(self) -> bool:
        return not self._taken

    def at(self, real_s: float) -> OldView | None:
        """How things stood then, or as early as is remembered; None when nothing is."""
        found = self._taken[0][1] if self._taken else None
        for taken_s, view in self._taken:
            if taken_s > real_s:
                break
            found = view
        return found


def _copy(account: SimAccount) -> SimAccount:
    book = account.book
    old = OldBook(
        {number: copy(order) for number, order in book.orders.items()},
        list(book.fills),
        book.balance_cents,
        tuple(book.holdings()),
    )
    return replace(account, book=cast(VenueBook, old))
