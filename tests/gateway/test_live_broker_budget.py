"""What questions may cost: of the budget of requests, and of the reserve that protective commands have in it."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from broker_rig import CANCEL, CLOSE, QUERY, Rig
from tbot.domain.messages import Query
from tbot.gateway.net import NS_PER_S
from tbot.gateway.outcomes import LOCAL_LIMIT
from tbot.gateway.snapshots import PROOF_KEEPS, PROOF_NS, READS, URGENT_GAP_NS, URGENT_KEEPS
from tbot.gateway.throttle import Throttle


@pytest.fixture
def rig():
    with Rig(accounts=[1001, 1002]) as made:
        yield made


def test_F_API_03_no_answer_is_begun_that_the_budget_cannot_end(rig):
    """Parts of answers once used up what whole ones needed."""
    rig.rest.left = 3
    told = rig.do(QUERY)
    assert (told.complete, told.text, told.command_id) == (False, LOCAL_LIMIT, "q1")
    assert rig.rest.calls == []
    rig.do(CANCEL)
    assert rig.do(replace(QUERY, command_id="q2")).complete  # its proof may use the reserve
    rig.rest.left = 4
    rig.boot += PROOF_NS + 1
    assert rig.do(replace(QUERY, command_id="q3")).complete


def test_I9_queries_soon_after_a_protective_command_may_use_the_reserve(rig):
    def flags():
        return {protective for name, _, protective in rig.rest.calls if "search" in name or "query" in name}

    rig.do(QUERY)
    assert flags() == {False}
    rig.do(CANCEL)
    rig.rest.calls.clear()
    rig.do(replace(QUERY, command_id="q2"))
    assert flags() == {True}
    rig.boot += PROOF_NS + 1
    rig.rest.calls.clear()
    rig.do(replace(QUERY, command_id="q3"))
    assert flags() == {False}


def test_I3_I9_an_urgent_query_may_cost_a_part_of_the_reserve_and_never_all_of_it(rig):
    """After a restart nothing was asked while the budget was used up, and a position stayed naked for ten seconds."""
    numbers = iter(range(100))

    def ask(*, urgent: bool = True, account: int = 1001) -> str:
        rig.rest.calls.clear()
        told = rig.do(Query(f"u{next(numbers)}", account, 5, urgent))
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


@pytest.fixture
def spent(rig):
    """The real budget, of which everything but the reserve has been used up; its queries are answered."""
    window, now_ns = Throttle().general, 10**12
    while window.take(now_ns):
        pass
    rig.rest.room = lambda *, protective=False: window.free(now_ns, protective)
    for name in ("account_search", "position_search_open", "order_v2_query", "trade_search"):
        kept = rig.rest.answers[name]
        rig.rest.answers[name] = lambda *_, kept=kept, **__: window.take(now_ns, True) and kept
    return SimpleNamespace(budget=window.budget, left=lambda: window.free(now_ns, protective=True))


def test_I9_urgent_queries_leave_protective_commands_their_budget(rig, spent):
    """However often somebody asks, half of the reserve is still there."""
    asked = 0
    for number in range(60):
        asked += rig.do(Query(f"u{number}", 1001, 5, True)).complete
        rig.boot += NS_PER_S
    assert asked == (spent.budget.reserve - URGENT_KEEPS) // READS
    assert spent.left() >= URGENT_KEEPS


def test_I9_R9_proofs_leave_protective_commands_their_budget(rig, spent):
    """A proof once a second used up the reserve in ten seconds, and no stop, cancel or close left for a minute."""
    proven = 0
    for number in range(20):
        rig.do(replace(CANCEL, command_id=f"c{number}"))
        proven += rig.do(Query(f"u{number}", 1001, 5)).complete
        rig.boot += NS_PER_S
    assert proven == (spent.budget.reserve - PROOF_KEEPS) // READS
    assert spent.left() >= PROOF_KEEPS
