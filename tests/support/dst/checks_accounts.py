"""Several accounts: never two sides of one underlying at once, in any of them, at the broker (TR8).

No invariant of the failure model, so it is no world check: a person who trades by hand may well hold the other side.
Scenes in which nobody does add it to their referee.
"""

from dst.checks_orders import symbol_of
from dst.referee import Check, Referee
from tbot.domain.contracts import PRODUCTS

HEDGE = "TR8"


class NoHedge(Check):
    """Positions and working entries of all accounts are on one side of each underlying, after every event."""

    invariant = HEDGE

    def on_event(self) -> None:
        sides: dict[str, set[int]] = {}
        for account in self.facts.rules.limits:
            held = [(item.contract, item.size) for item in self.facts.evidence.holdings(account)]
            waiting = [
                (order.contract, order.side)
                for order in self.facts.evidence.working(account)
                if order.parent_id is None and not order.closing and order.order_type == "market"
            ]
            for contract, size in [*held, *waiting]:
                symbol = symbol_of(contract) or contract
                sides.setdefault(PRODUCTS[symbol].family, set()).add(1 if size > 0 else -1)
        if sides:
            self.judge()
        for family, found in sides.items():
            if len(found) > 1:
                self.fail(f"{family} is held or wanted on both sides")


def forbid_hedges(referee: Referee) -> None:
    """From now on this referee judges it, too."""
    check = NoHedge(referee.facts)
    referee.checks.append(check)
    referee._of["event"].append(check.on_event)
