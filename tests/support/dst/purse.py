"""The referee's own arithmetic of money: fills matched first in, first out, in integer cents. No code of `tbot` counts.

First in first out and average price differ in the middle of a trip that is closed in parts, never in what a trip came
to, and never in realised plus unrealised, which is all that is judged.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.messages import Fill

CHICAGO = ZoneInfo("America/Chicago")
HOUR_NS = 3_600 * 10**9
_days: dict[int, date] = {}


def day_of(ns: int) -> date:
    """The trading day: it begins at 17:00 in Chicago, on the evening before. All its edges lie on whole hours."""
    hour = ns // HOUR_NS
    found = _days.get(hour)
    if found is None:
        local = datetime.fromtimestamp(hour * 3_600, UTC).astimezone(CHICAGO)
        found = _days[hour] = local.date() + timedelta(days=local.hour >= 17)
    return found


def product_of(contract: str) -> Product | None:
    """The product of a symbol, or of a gateway id."""
    if contract in PRODUCTS:
        return PRODUCTS[contract]
    parts = contract.split(".")
    return next((item for item in PRODUCTS.values() if len(parts) == 5 and item.root == parts[3]), None)


@dataclass(frozen=True, slots=True)
class Closed:
    """A round trip that ended: from flat to flat."""

    contract: str
    day: date
    ended_ns: int
    gross_cents: int
    costs_cents: int

    @property
    def net_cents(self) -> int:
        return self.gross_cents - self.costs_cents


@dataclass
class Purse:
    """One account's fills, added in order of their ids."""

    lots: dict[str, deque[list[int]]] = field(default_factory=dict)  # contract -> [side, price, size], oldest first
    realised: dict[date, int] = field(default_factory=dict)  # net, by trading day
    trips: list[Closed] = field(default_factory=list)
    _open: dict[str, list[int]] = field(default_factory=dict)  # contract -> [gross, costs] of the trip under way

    def add(self, fill: Fill) -> None:
        """Book one fill; its costs go to its day. A fill that turns a position round ends one trip and begins one."""
        if fill.voided:
            return
        product = product_of(fill.contract)
        value = product.tick_value_cents if product else 0
        day = day_of(fill.now_ns)
        costs, left, gross = fill.fees_cents + fill.commission_cents, fill.size, 0
        lots = self.lots.setdefault(fill.contract, deque())
        trip = self._open.setdefault(fill.contract, [0, 0])
        while left and lots and lots[0][0] != fill.side:
            side, price, size = lots[0]
            taken = min(left, size)
            gross += side * (fill.price - price) * taken * value
            left -= taken
            lots[0][2] -= taken
            if not lots[0][2]:
                lots.popleft()
        closing_costs = costs * (fill.size - left) // fill.size
        trip[0] += gross
        trip[1] += closing_costs
        if not lots and left < fill.size:
            self.trips.append(Closed(fill.contract, day, fill.now_ns, trip[0], trip[1]))
            trip[:] = [0, 0]
        if left:
            lots.append([fill.side, fill.price, left])
            trip[1] += costs - closing_costs
        self.realised[day] = self.realised.get(day, 0) + gross - costs

    def size(self, contract: str) -> int:
        """Signed contracts held."""
        return sum(side * size for side, _, size in self.lots.get(contract, ()))

    def streak(self, day: date) -> int:
        """Most losing round trips in a row within a trading day; exactly 0 neither counts nor ends a row."""
        most = now = 0
        for trip in self.trips:
            if trip.day == day and trip.net_cents:
                now = now + 1 if trip.net_cents < 0 else 0
                most = max(most, now)
        return most


def purse_of(fills: Iterable[Fill]) -> Purse:
    """A purse with these fills, in order of their ids."""
    purse = Purse()
    for fill in sorted(fills, key=lambda item: item.fill_id):
        purse.add(fill)
    return purse
