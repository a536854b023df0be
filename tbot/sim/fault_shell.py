"""The faults of one running simulator: board, times, and who carries out what.

`FaultShell` is made by the server, asked by the pump once a step, and by the hooks of REST and hubs. Without a plan
none of them costs more than one look.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Literal

from tbot.sim.exchange import Exchange
from tbot.sim.fault_actions import FaultActions
from tbot.sim.fault_board import FaultBoard, Hit, Moment
from tbot.sim.fault_hub import HubFaults
from tbot.sim.fault_plan import Fault
from tbot.sim.fault_rest import RestFaults
from tbot.sim.fault_stale import Views
from tbot.sim.hub_server import Hub
from tbot.sim.market import Market, boot_ns
from tbot.sim.rest_server import RestApi

NS = 1_000_000_000
HubName = Literal["user", "market"]


class FaultShell:
    """Everything about faults that has a clock or a socket."""

    def __init__(
        self,
        seed: int,
        exchange: Exchange,
        market: Market,
        api: RestApi,
        hubs: Iterable[Hub],
        publish: Callable[[], None],
    ) -> None:
        """`publish` sends the user events that a request has caused."""
        self.board = FaultBoard(seed, market.now_ns)
        self.views = Views(exchange)
        self.actions = FaultActions(exchange, market)
        self._exchange = exchange
        self._market = market
        self._api = api
        self._hubs: dict[str, HubFaults] = {}
        for hub in hubs:
            hub.faults = HubFaults(hub, self.board, self.moment, self.act, self.describe)
            self._hubs[hub.kind] = hub.faults
        self.rest = RestFaults(
            api,
            self.board,
            self.views,
            self.moment,
            lambda broker_id: self.describe(broker_id)[0],
            self.actions.before,
            self.act,
            publish,
        )

    def moment(self) -> Moment:
        """Now, on both clocks."""
        return Moment(self._market.now_ns, boot_ns() / NS)

    def sent(self) -> dict[str, int]:
        """How many prints, quotes and full quotes for new subscribers the market hub was given since the start."""
        return dict(self._market.sent)

    def describe(self, contract: str) -> tuple[tuple[str, ...], Decimal]:
        """(names in lower case, tick size) of a contract by its id; an unknown one is called what it is called."""
        found = self._exchange.find_contract(contract)
        if found is None:
            return (contract.lower(),), Decimal(1)
        product = found[0].product
        return (contract.lower(), product.symbol.lower()), product.tick_size

    def add(self, faults: Iterable[Fault]) -> None:
        """Plan more; what a plan may need to remember is remembered from now on."""
        self.board.add(faults)
        self.remember()
        self.pump()

    def remember(self) -> None:
        """Take a copy of the accounts, if a fault may want to show an old one."""
        age_s = self.board.greatest("rest.stale_read", "age")
        if age_s is not None:
            self.views.take(self.moment().real_s, age_s)

    def pump(self) -> None:
        """What the clock brings about."""
        if self.board.idle:
            return
        for change in self.board.due(self.moment()):
            if change.what == "begin":
                self.act(change.hit)
            else:
                self.actions.end(change.hit)
        for faults in self._hubs.values():
            faults.close_expired(lambda token: self._api.user_of(token) is not None)

    def calm(self) -> None:
        """All faults stop, and what they hold back is let go."""
        for change in self.board.calm(self.moment()):
            self.actions.end(change.hit)
        self.actions.calm()
        for faults in self._hubs.values():
            faults.calm()

    def act(self, hit: Hit) -> None:
        """Carry out a fault that happens by itself."""
        if hit.name == "ws.drop":
            for kind in [hit["hub"]] if hit["hub"] else ["market", "user"]:
                self._hubs[kind].drop_all(hit["mode"])
        elif hit.name == "userhub.drop":
            self._hubs["user"].drop_all(hit["mode"])
        elif hit.name == "userhub.logout":
            for kind in ["market", "user"] if hit["hub"] == "both" else [hit["hub"]]:
                self._hubs[kind].logout(drop=hit["drop"])
        elif hit.name == "auth.expire":
            self._api.tokens.expire_all()
        else:
            self.actions.begin(hit)
