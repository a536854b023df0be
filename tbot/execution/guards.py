"""Watches over open positions of one account: a proven stop, the daily loss, prices to see by, losses in a row.

Each one says what it wants done as a Demand; the account's engine does it. Rules: failure-model.md R6 and F-ORD-05
(naked), F-RSK-01 and F-RSK-03 (losses), C_BLIND_HOLD, F-ORD-06 (surprises).

What somebody else holds in a contract that the account does not trade counts too, as the limits are account-wide
(F-ACC-02): by the quote where the Desk has one, without a fresh one as if it had moved to its working stop. Without
either nothing is assumed: a guess would close what the owner holds by hand (`manual=respect`), and entries have no room
beside it at any time (R10).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from tbot.domain.contracts import product_named
from tbot.domain.messages import Quote
from tbot.domain.timeframes import NS_PER_S
from tbot.execution.picture import Picture
from tbot.execution.settings import DeskSettings
from tbot.risk.valuation import reserve_cents, unrealised_cents


@dataclass(frozen=True, slots=True)
class Demand:
    """Get out of `contract` (None: the whole account) because of `code`."""

    contract: str | None
    code: str
    text: str
    flatten: bool = True  # False: what is open runs to its exits, only entries end
    foreign: bool = False  # also what is not ours (F-ACC-02: only the loss rules)


@dataclass(slots=True)
class Guards:
    """State: since when which position is without proven protection."""

    settings: DeskSettings
    picture: Picture
    naked_ns: dict[str, int] = field(default_factory=dict)
    blind_ns: dict[str, int] = field(default_factory=dict)  # contract -> since when it has no quote at all
    value_cents: dict[str, int] = field(default_factory=dict)  # contract -> unrealised, exit fees taken off

    def protection(self, now_ns: int, ask: Callable[[int], None], covered: Callable[[str], bool]) -> list[Demand]:
        """Positions that must be closed because no working stop is proven in time, or because they should not exist.

        `ask(at_ns)` wants a broker query; `covered` tells contracts that are being flattened anyway.
        """
        limits, picture, demands = self.settings.limits, self.picture, []
        held = [name for name in picture.ledger.open_contracts() if name in self.settings.products]
        for name in [name for name in self.naked_ns if name not in held]:
            del self.naked_ns[name]
        for name in held:
            holding = picture.holding(name)
            if covered(name):
                continue
            if holding.surprise:
                demands.append(Demand(name, "RC_MISMATCH", f"{name}: {holding.surprise}"))
            elif picture.protected(name):
                self.naked_ns.pop(name, None)
            else:
                since_ns = self.naked_ns.setdefault(name, now_ns)
                if now_ns - since_ns >= self.settings.patience(limits.naked_ns):
                    text = f"{name}: no working stop was proven within {limits.naked_ns / NS_PER_S:g} s"
                    demands.append(Demand(name, "RC_NAKED", text))
                else:
                    ask(now_ns + self.settings.patience(limits.proof_ns))
        return demands

    def value(self, quotes: Mapping[str, Quote]) -> int:
        """Unrealised result of all open positions in cents, exit fees taken off; remembered by contract."""
        self.value_cents = {}
        limits = self.settings.limits
        for name in self.picture.ledger.open_contracts():
            product = product_named(name)
            if product is None:
                continue  # its money is not known at all; it leaves no room for entries (R10)
            position = self.picture.ledger.position(name)
            traded = name in self.settings.products
            stop_ticks = self.picture.allowed_stop_ticks(name) if traded else self._stop_ticks(name)
            self.value_cents[name] = unrealised_cents(
                product, position, quotes.get(name), stop_ticks, limits.quote_stale_ns
            )
        return sum(self.value_cents.values())

    def _stop_ticks(self, name: str) -> int:
        """How far a position that is not traded here may have moved against its owner while nobody saw its price."""
        position, stops = self.picture.ledger.position(name), self.picture.stops(name)
        size = abs(position.size)
        if sum(order.remaining for order in stops) < size:
            return 0
        levels = [order.stop for order in stops if order.stop is not None]
        worst = max(position.side * (position.price_size_sum - level * size) for level in levels)
        return max(0, -(-worst // size))

    def daily_loss(self, day: date, quotes: Mapping[str, Quote]) -> Demand | None:
        """F-RSK-01: realised + unrealised - exit fees has reached the limit less the reserve for getting out."""
        limits = self.settings.limits
        realised = self.picture.ledger.today(day).net_cents
        worth = realised + self.value(quotes)
        reserve = 0
        for name in self.value_cents:
            product = product_named(name)
            assert product is not None, "only what has a product has a value"
            reserve += reserve_cents(product, self.picture.ledger.position(name), limits)
        if worth > -(limits.daily_loss_cents - reserve):
            return None
        limit = usd(-limits.daily_loss_cents)
        text = f"daily loss: {usd(realised)} realised, {usd(worth)} with open positions, limit {limit}"
        return Demand(None, "RC_DAILY_LOSS", text, foreign=True)

    def losses_in_a_row(self, day: date) -> Demand | None:
        """F-RSK-03. The longest streak of the day counts, so a later win does not unlock it."""
        streak = self.picture.ledger.today(day).streak_max
        if streak < self.settings.limits.consecutive_losses:
            return None
        text = f"{streak} losing round trips in a row today"
        return Demand(None, "RC_CONSEC_LOSSES", text, flatten=False)

    def blind(self, now_ns: int, quotes: Mapping[str, Quote]) -> list[Demand]:
        """C_BLIND_HOLD: positions of ours whose price was not seen for too long."""
        most = self.settings.limits.blind_hold_ns
        demands = []
        valued = [name for name in self.value_cents if name in self.settings.products]
        ours = [name for name in valued if self.picture.holding(name).owned]
        self.blind_ns = {name: at for name, at in self.blind_ns.items() if name in ours and name not in quotes}
        for name in ours:
            quote = quotes.get(name)
            if quote is None:
                age_ns = now_ns - self.blind_ns.setdefault(name, now_ns)
                late = age_ns > self.settings.patience(most)
            else:
                age_ns, late = quote.age_ns, quote.age_ns > most
            if late:
                text = f"{name}: no price for {age_ns // NS_PER_S} s while a position is open"
                demands.append(Demand(name, "RC_QUOTE_STALE", text))
        return demands


def usd(cents: int) -> str:
    """Money for a sentence."""
    sign = "-" if cents < 0 else ""
    return f"{sign}${abs(cents) // 100:,}.{abs(cents) % 100:02d}"
