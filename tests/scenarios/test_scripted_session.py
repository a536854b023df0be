"""A whole trading session of `tbot run --gateway` against `tbot sim`: engine and venue agree to the cent throughout.

Five trades: target, break-even (the stop is modified), a partly filled entry whose rest is cancelled, stop, and one
that is open at Ctrl-C (flatten). Whenever the venue's truth has stood still for a moment, the engine's status must say
the same: positions with their basis, working orders with their prices, P&L and balance.
"""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from engine_runs import Command, assert_nothing_left, open_journal, until
from scripted_trader import Cue
from session_run import Referee, belief_of, session, truth_of
from session_tape import MINUTE, START
from tbot.domain.messages import Fill, OrderUpdate, RoundTrip
from tbot.engine.journal_replay import replay_journal

BASE = 100_000
# The price stands for three minutes, four seconds, after each decision: a busy machine fills late.
PRICES = [
    (0, 0), (8, 0), (11, 75),  # trade 1 reaches its target at +60
    (17, 75), (20, 125), (24, 60),  # trade 2 gains 45 ticks, then comes back to its entry
    (29.5, 60), (31.5, -20),  # trade 3, short and partly filled, reaches its target
    (37, -20), (40, 40),  # trade 4, short, is stopped out
    (55, 40),  # trade 5 stays open
]  # fmt: skip
CUES = [
    Cue("MNQ", START + 4 * MINUTE, 1, 40, 60),
    Cue("MNQ", START + 13 * MINUTE, 1, 40, 200),
    Cue("MNQ", START + 24 * MINUTE, -1, 40, 60),
    Cue("MNQ", START + 33 * MINUTE, -1, 40, 60),
    Cue("MNQ", START + 41 * MINUTE, 1, 40, 100),
]
# The third placement of the run fills two contracts of five, the rest hangs.
PARTIAL = json.dumps({"id": "part", "name": "order.partial", "after": 3, "args": {"sizes": [2]}})
STEADY_S = 1.5  # real seconds for which the truth must have stood still before it is compared
PATIENCE_S = 30.0  # within which the engine must say it; C_RECON_OPEN is 5 s; the rest for a busy machine


class Agreement:
    """Compares truth and belief at every truth that lasts."""

    def __init__(self, engine: Command, referee: Referee) -> None:
        self.engine, self.referee = engine, referee
        self.truth: dict[str, Any] = {}
        self.since_s = 0.0
        self.agreed: list[dict[str, Any]] = []

    def look(self) -> None:
        truth = truth_of(self.referee.account())
        now_s = time.monotonic()
        if truth != self.truth:
            self.truth, self.since_s = truth, now_s
        steady_s = now_s - self.since_s
        if steady_s < STEADY_S or truth in self.agreed[-1:]:
            return
        belief = belief_of(self.engine.status())
        if belief == truth:
            self.agreed.append(truth)
        else:
            assert steady_s < STEADY_S + PATIENCE_S, f"the engine says {belief}, the venue {truth}"


def play(engine: Command, referee: Referee) -> Agreement:
    """Until the last trade is open and agreed."""
    agreement = Agreement(engine, referee)

    def done() -> bool:
        assert engine.process.poll() is None, engine.stderr
        agreement.look()
        last = agreement.agreed[-1] if agreement.agreed else {}
        fills = engine.status()["fills"]
        return fills >= 9 and bool(last.get("positions"))

    until(done, "five trades", 250, engine.status)
    return agreement


@pytest.mark.timeout(500)
def test_engine_and_venue_agree_through_a_whole_session(tmp_path: Path) -> None:
    prices = {"MNQ": [(minute, BASE + ticks) for minute, ticks in PRICES]}
    config = "[risk]\nbreak_even_percent = 100\n"
    with session(tmp_path, prices, CUES, speed=45, config=config, faults=PARTIAL) as (engine, referee):
        run_dir, journal_path = engine.run_dir(), engine.journal()
        agreement = play(engine, referee)
        engine.interrupt()
        code, _ = engine.finish()
        assert code == 0, engine.stderr
        assert_nothing_left(engine, run_dir)
        account = referee.account()
        check_agreements(agreement)
        check_venue(account, referee)
    check_journal(journal_path, account)


def check_agreements(agreement: Agreement) -> None:
    """The moments that must have been among those compared."""
    orders = [order for truth in agreement.agreed for order in truth["orders"]]
    assert len(agreement.agreed) >= 8
    assert any(order[1] == "open" and (order[2], order[3]) == (5, 2) for order in orders)  # the hanging entry
    sizes = {size for truth in agreement.agreed for size, _ in truth["positions"].values()}
    assert sizes == {5, -2, -5}


def check_venue(account: dict[str, Any], referee: Referee) -> None:
    """What happened at the venue is what the script and the prices say."""
    truth = truth_of(account)
    assert (truth["positions"], truth["orders"]) == ({}, [])
    assert truth["balance_cents"] == 5_000_000 + truth["pnl_cents"]
    entries = [order for order in account["orders"] if order["order_type"] == "market" and order["tag"]]
    assert [(order["side"], order["filled"], order["status"]) for order in entries] == [
        (1, 5, "filled"), (1, 5, "filled"), (-1, 2, "cancelled"), (-1, 5, "filled"), (1, 5, "filled"),
    ]  # fmt: skip
    assert len({order["tag"] for order in entries}) == 5
    stops = [order for order in account["orders"] if order["tag"].endswith("-SL")]
    targets = [order for order in account["orders"] if order["tag"].endswith("-TP")]
    assert [order["status"] for order in stops] == ["cancelled", "filled", "cancelled", "filled", "cancelled"]
    assert [order["status"] for order in targets] == ["filled", "cancelled", "filled", "cancelled", "cancelled"]
    assert [order["filled"] for order in targets] == [5, 0, 2, 0, 0]
    second = entries[1]
    assert stops[1]["stop"] == second["fill_sum"] // 5  # moved to its entry
    assert referee.posts("/api/Order/modify")
    assert referee.posts("/api/Order/cancel")
    assert len(referee.posts("/api/Order/place")) == 5
    assert len(referee.posts("/api/Position/closeContract")) == 1


def check_journal(path: Path, account: dict[str, Any]) -> None:
    """The engine's own record: every fill, every order's end and every round trip as the venue has them."""
    told: dict[int, Fill] = {}
    ends: dict[int, OrderUpdate] = {}
    trips: list[RoundTrip] = []
    with open_journal(path) as journal:
        assert journal.verify().state == "ok"
        for step in journal.steps():
            if isinstance(step.item, Fill):
                told[step.item.fill_id] = step.item
            elif isinstance(step.item, OrderUpdate):
                ends[step.item.order_id] = step.item
            trips += [note for note in step.outputs if isinstance(note, RoundTrip)]
    names = ("order_id", "side", "size", "price", "fees_cents", "commission_cents", "pnl_cents")
    assert [[getattr(told[number], name) for name in names] for number in sorted(told)] == [
        [fill[name] for name in names] for fill in account["fills"]
    ]
    venue = {order["order_id"]: (order["status"], order["filled"]) for order in account["orders"]}
    assert {number: (update.status, update.filled) for number, update in ends.items()} == venue
    # A trip with the venue's fills, by the venue's own P&L.
    assert sum(trip.net_cents for trip in trips) == account["balance_cents"] - 5_000_000
    assert [trip.exit_reason for trip in trips] == ["target", "stop", "target", "stop", "close"]
    assert [trip.size for trip in trips] == [5, 5, 2, 5, 5]
    result = replay_journal(path)
    assert result.differences == []
