"""A live broker over a fake REST client, its clocks in hand, and one command of each kind."""

import select

from fake_rest import FakeRest
from gateway_records import ID
from tbot.domain.messages import (
    CancelOrder,
    CloseContract,
    ModifyStop,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    PlaceTarget,
    Query,
)
from tbot.gateway.codec_domain import ContractBook
from tbot.gateway.live_broker import LiveBroker

BRACKET = PlaceBracket("e1", 1001, "MNQ", 1, 2, -40, 80, "TB1-x-E", "s1")
STOP = PlaceStop("p1", 1001, "MNQ", -1, 2, 100378, "TB1-x-S")
MODIFY = ModifyStop("p2", 1001, "MNQ", 77, 100380)
TARGET = PlaceTarget("p5", 1001, "MNQ", -1, 2, 100500, "TB1-x-T")
EXIT = PlaceExit("p6", 1001, "MNQ", -1, 2, "TB1-x-X")
CANCEL = CancelOrder("p3", 1001, "MNQ", 77)
CLOSE = CloseContract("p4", 1001, "MNQ", "why")
QUERY = Query("q1", 1001, 5)


class Rig:
    """A broker over a fake REST client, with its clocks in hand."""

    def __init__(self, **options) -> None:
        self.rest = FakeRest()
        self.market = 1000
        self.boot = 0
        settings = {"user_hub_url": "", "contracts": ContractBook({"MNQ": ID}), "accounts": [1001]} | options
        self.broker = LiveBroker(self.rest, market_ns=lambda: self.market, boot_clock=lambda: self.boot, **settings)

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *error: object) -> None:
        for gate in self.rest.gates.values():
            gate.set()
        assert self.broker.close()

    def wait(self, count: int) -> list[object]:
        """The next `count` events; sleeps on the broker's file descriptor."""
        events: list[object] = []
        while len(events) < count:
            ready, _, _ = select.select([self.broker.fileno()], [], [], 30)
            assert ready, f"only {events}"
            events += self.broker.poll()
        return events

    def do(self, command) -> object:
        self.broker.submit(command, self.market)
        (event,) = self.wait(1)
        return event
