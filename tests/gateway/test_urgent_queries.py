"""Queries on which protection hangs may cost a part of the reserve, at a limited rate (R9, I3)."""

import select
from collections.abc import Iterator
from itertools import count

import pytest

from fake_rest import FakeRest
from gateway_records import ID
from tbot.domain.messages import CloseContract, Query, Snapshot
from tbot.gateway.codec_domain import ContractBook
from tbot.gateway.live_broker import READS, URGENT_GAP_NS, URGENT_KEEPS, LiveBroker
from tbot.gateway.net import NS_PER_S
from tbot.gateway.outcomes import LOCAL_LIMIT
from tbot.gateway.throttle import Throttle

CLOSE = CloseContract("c1", 1001, "MNQ", "why")


class Rig:
    """A broker over a fake REST client whose boot clock is in hand."""

    def __init__(self) -> None:
        self.rest, self.boot = FakeRest(), 0
        book = ContractBook({"MNQ": ID})
        self.broker = LiveBroker(self.rest, "", book, [1001, 1002], lambda: 1000, boot_clock=lambda: self.boot)
        self.numbers = count()

    def do(self, command: object) -> object:
        self.broker.submit(command, 1000)
        while not (events := self.broker.poll()):
            select.select([self.broker.fileno()], [], [], 30)
        return events[0]

    def ask(self, *, urgent: bool = True, account: int = 1001) -> Snapshot:
        told = self.do(Query(f"u{next(self.numbers)}", account, 5, urgent))
        assert isinstance(told, Snapshot)
        return told


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    assert made.broker.close()


def test_I3_I9_an_urgent_query_may_cost_a_part_of_the_reserve_and_never_all_of_it(rig):
    """After a restart nothing was asked while the budget was used up, and a position stayed naked for ten seconds."""

    def ask(*, urgent: bool = True, account: int = 1001) -> str:
        rig.rest.calls.clear()
        told = rig.ask(urgent=urgent, account=account)
        flags = {protective for _, _, protective in rig.rest.calls}
        return told.text or str(flags)

    assert ask() == "{False}"  # not while there is room without it
    rig.rest.left = READS - 1
    assert ask(urgent=False) == LOCAL_LIMIT
    assert ask() == "{True}"
    assert ask() == LOCAL_LIMIT  # not so soon again
    assert ask(account=1002) != LOCAL_LIMIT  # another account has a turn of its own
    rig.boot += URGENT_GAP_NS
    rig.rest.left = URGENT_KEEPS + READS - 40
    assert ask() == "{True}"
    rig.boot += URGENT_GAP_NS
    rig.rest.left -= 1
    assert ask() == LOCAL_LIMIT
    rig.do(CLOSE)  # what was left is for this, and for its proof
    assert ask(urgent=False) == "{True}"


def test_I9_urgent_queries_leave_protective_commands_their_budget(rig):
    """The real budget: however often somebody asks, half of the reserve is still there."""
    throttle, now_ns = Throttle(), 10**12
    window = throttle.general
    while window.take(now_ns):
        pass
    asked = 0
    rig.rest.room = lambda *, protective=False: window.free(now_ns, protective)
    for name in ("account_search", "position_search_open", "order_v2_query", "trade_search"):
        kept = rig.rest.answers[name]
        rig.rest.answers[name] = lambda *_, kept=kept, **__: window.take(now_ns, True) and kept
    for _ in range(60):
        asked += rig.ask().complete
        rig.boot += NS_PER_S
    assert asked == (window.budget.reserve - URGENT_KEEPS) // READS
    assert window.free(now_ns, protective=True) >= URGENT_KEEPS
