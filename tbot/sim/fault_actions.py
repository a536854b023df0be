"""From names of a plan to the controls of venue and market: the thin layer between the two.

A plan is read before anybody knows which accounts and contracts there are. What turns out to make no sense when its
time comes is noted in `failures` and told by the control endpoint; it never ends the simulator.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from tbot.domain.timeframes import NS_PER_S
from tbot.errors import ConfigError
from tbot.sim.exchange import Exchange
from tbot.sim.fault_board import Hit
from tbot.sim.market import Market
from tbot.sim.venue_controls import VenueControls
from tbot.sim.venue_faults import Scope

_EVERY = "*"


class FaultActions:
    """Carries out the faults that happen at the venue or in its market."""

    def __init__(self, exchange: Exchange, market: Market) -> None:
        self.failures: deque[dict[str, str]] = deque(maxlen=100)
        self._exchange = exchange
        self._market = market
        self._venue = VenueControls(exchange)
        self._standing: list[Hit] = []  # what was begun, can be undone, and was not yet
        self._before: dict[str, Callable[[Hit], object]] = self._order_faults()
        self._begin: dict[str, Callable[[Hit], object]] = self._account_acts() | self._market_acts()
        self._end: dict[str, Callable[[Hit], object]] = {
            "account.lock": lambda hit: self._venue.unlock(self._account(hit)),
            "account.hide": lambda hit: self._venue.hide(self._account(hit), hidden=False),
            "account.swap": self._swap,
            "order.tag_rule": lambda _hit: self._venue.tag_rule("strict"),
            "market.halt": self._resume,
            "market.one_sided": lambda hit: self._market.controls.one_sided(self._contracts(hit), 1, 0),
            "contract.deactivate": lambda hit: self._venue.activate(self._contract(hit)),
            "history.alter": lambda hit: self._market.controls.heal(self._contracts(hit)),
            "history.holes": lambda hit: self._market.controls.heal(self._contracts(hit)),
        }

    def before(self, hit: Hit) -> None:
        """A fault that shapes the request which is about to be taken."""
        self._run(self._before, hit)

    def begin(self, hit: Hit) -> None:
        """A fault that happens now."""
        self._run(self._begin, hit)
        if hit.name in self._end:
            self._standing.append(hit)

    def end(self, hit: Hit) -> None:
        """The end of one with a duration; most have nothing to undo."""
        self._run(self._end, hit)
        self._standing = [one for one in self._standing if one.fault is not hit.fault]

    def calm(self) -> None:
        """Nothing more is pending at the venue, and what would have stayed on is undone."""
        for hit in reversed(self._standing):
            self._run(self._end, hit)
        self._standing.clear()
        self.failures.clear()
        self._venue.clear()

    def _run(self, table: dict[str, Callable[[Hit], object]], hit: Hit) -> None:
        action = table.get(hit.name)
        if action is not None:
            try:
                action(hit)
            except (ValueError, ConfigError) as error:
                self.failures.append({"id": hit.fault.id, "name": hit.name, "error": str(error)})

    # ------------------------------------------------------------------------------------------------------ tables
    def _order_faults(self) -> dict[str, Callable[[Hit], object]]:
        venue, scope = self._venue, self._scope

        def bracket(kind: Any, **more: str) -> Callable[[Hit], object]:
            return lambda hit: venue.bracket(
                kind, hit["which"], scope=scope(hit), **{name: hit[of] for name, of in more.items()}
            )

        return {
            "order.reject": lambda hit: venue.reject(
                hit["code"], hit["text"] or None, with_id=hit["with_id"], scope=scope(hit)
            ),
            "order.partial": lambda hit: venue.partial(
                hit["sizes"], [_ns(delay) for delay in hit["delays"]], scope(hit)
            ),
            "order.cancel_race": lambda hit: venue.cancel_race(
                _ns(hit["seconds"]), hit["size"] or None, scope(hit)
            ),
            "order.cancel_slow": lambda hit: venue.cancel_slow(_ns(hit["seconds"]), scope(hit)),
            "bracket.drop": bracket("drop"),
            "bracket.reject": bracket("reject"),
            "bracket.suspended": bracket("suspended"),
            "bracket.wrong_size": bracket("wrong_size", size="size"),
            "bracket.wrong_price": bracket("wrong_price", ticks="ticks"),
            "bracket.cancel_later": lambda hit: venue.bracket(
                "cancel_later", hit["which"], scope=scope(hit), after_ns=_ns(hit["seconds"])
            ),
            "bracket.no_oco": lambda hit: venue.bracket("no_oco", scope=scope(hit)),
            "fill.slip": lambda hit: venue.slip(hit["ticks"], scope(hit)),
        }

    def _account_acts(self) -> dict[str, Callable[[Hit], object]]:
        venue, account, contract = self._venue, self._account, self._contract
        return {
            "order.orphan": lambda hit: venue.orphan(
                hit["kind"],
                account(hit),
                contract(hit),
                self._now_ns,
                side=_side(hit),
                size=hit["size"],
                tag=hit["tag"],
                distance=hit["distance"],
            ),
            "order.tag_rule": lambda hit: venue.tag_rule(hit["rule"]),
            "account.mutate_position": lambda hit: venue.mutate_position(
                account(hit), contract(hit), hit["size"], self._now_ns, tell=hit["tell"]
            ),
            "account.lock": lambda hit: venue.lock(account(hit)),
            "account.liquidate": lambda hit: venue.liquidate(account(hit), self._now_ns, failed=hit["failed"]),
            "account.swap": self._swap,
            "account.hide": lambda hit: venue.hide(account(hit)),
            "human.trade": lambda hit: venue.human_trade(
                account(hit), contract(hit), _side(hit), hit["size"], self._now_ns
            ),
            "human.order": self._human_order,
            "human.cancel": lambda hit: venue.human_cancel(
                account(hit), self._now_ns, hit["which"], self._optional(hit)
            ),
            "human.flatten": lambda hit: venue.human_flatten(
                account(hit), self._now_ns, self._optional(hit), cancel=hit["cancel"]
            ),
        }

    def _market_acts(self) -> dict[str, Callable[[Hit], object]]:
        venue, market = self._venue, self._market.controls
        contract, contracts = self._contract, self._contracts
        return {
            "market.halt": self._halt,
            "contract.roll": lambda hit: venue.roll(contract(hit), self._now_ns, hit["offset"], hit["to"] or None),
            "contract.deactivate": lambda hit: venue.deactivate(contract(hit)),
            "market.gap": lambda hit: market.gap(contracts(hit), hit["ticks"]),
            "market.spike": lambda hit: market.spike(contracts(hit), hit["ticks"], hit["seconds"]),
            "market.drift": lambda hit: market.drift(contracts(hit), hit["ticks"], hit["seconds"]),
            "market.drift_to_loss": self._drift_to_loss,
            "market.chase": lambda hit: market.chase(contract(hit), hit["kind"], hit["through"], hit["seconds"]),
            "market.one_sided": lambda hit: market.one_sided(
                contracts(hit), 1 if hit["limit"] == "up" else -1, hit["seconds"]
            ),
            "market.prints": lambda hit: market.prints(
                contracts(hit), hit["count"], hit["size"], _side(hit), hit["offset"]
            ),
            "market.quote": lambda hit: market.quote(contracts(hit), hit["bid"], hit["ask"], hit["seconds"]),
            "history.alter": lambda hit: market.alter(contracts(hit), hit["ticks"], hit["minutes_ago"], hit["minutes"]),
            "history.holes": lambda hit: market.holes(contracts(hit), hit["minutes_ago"], hit["minutes"]),
        }

    # ----------------------------------------------------------------------------------------------------- actions
    def _swap(self, hit: Hit) -> None:
        """Twice gives back what was; without numbers the first two accounts of the venue."""
        numbers = list(self._exchange.accounts)
        first, second = hit["first"] or numbers[0], hit["second"] or numbers[-1]
        self._venue.swap(first, second)

    def _human_order(self, hit: Hit) -> None:
        symbol, side = self._contract(hit), _side(hit)
        last = self._exchange.states[symbol].last
        if last is None:
            raise ValueError(f"{symbol} has no price yet")
        stop = hit["type"] == "stop"
        price = last + side * hit["distance"] * (1 if stop else -1)
        self._venue.human_order(
            self._account(hit),
            symbol,
            side,
            hit["size"],
            self._now_ns,
            stop=price if stop else None,
            limit=None if stop else price,
        )

    def _drift_to_loss(self, hit: Hit) -> None:
        account = self._account(hit)
        book = self._exchange.accounts[account].book
        wanted = self._optional(hit)
        held = {one.contract: 1 if one.size > 0 else -1 for one in book.holdings() if wanted in (None, one.contract)}
        for symbol, side in (held or {wanted or next(iter(self._exchange.products)): 1}).items():
            self._market.controls.drift_to_loss(symbol, side, hit["ticks"], hit["seconds"])

    def _halt(self, hit: Hit) -> None:
        self._venue.halt(self._now_ns, None, self._optional(hit), hit["reason"])
        self._market.controls.halt(self._contracts(hit), 1e6)

    def _resume(self, hit: Hit) -> None:
        self._venue.resume(self._optional(hit))
        self._market.controls.halt(self._contracts(hit), 0)

    # -------------------------------------------------------------------------------------------------- who and what
    @property
    def _now_ns(self) -> int:
        return self._market.now_ns

    def _scope(self, hit: Hit) -> Scope:
        """Whose next request a fault shapes: the request that it met may end before it gets to the venue."""
        contract = self._optional(hit) if "contract" in hit.fault.args else None
        return Scope(hit["account"] or None, contract)

    def _account(self, hit: Hit) -> int:
        """The account a fault names, or the first one."""
        number: int = hit["account"] or next(iter(self._exchange.accounts))
        if number not in self._exchange.accounts:
            raise ValueError(f"the venue has no account {number}")
        return number

    def _optional(self, hit: Hit) -> str | None:
        """The symbol a fault names by symbol or id; None when it names none."""
        name: str = hit["contract"]
        if not name:
            return None
        found = self._exchange.find_contract(name)
        symbol = name.upper() if found is None else found[0].product.symbol
        if symbol not in self._exchange.products:
            raise ValueError(f"the venue does not list {name!r}")
        return symbol

    def _contract(self, hit: Hit) -> str:
        """The symbol a fault names, or the first one."""
        return self._optional(hit) or next(iter(self._exchange.products))

    def _contracts(self, hit: Hit) -> str:
        """The symbol a fault names, or all."""
        return self._optional(hit) or _EVERY


def _side(hit: Hit) -> int:
    return 1 if hit["side"] == "buy" else -1


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
