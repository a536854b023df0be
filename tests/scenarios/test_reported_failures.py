"""Failures that users of this gateway reported, on the wire of a simulator, against the running engine.

One run, one story after the other; each reported failure is named where it happens. The tape only ever rises, so that
every long trade ends at its target. What the engine sends is counted in the simulator's own log of requests.
"""

from pathlib import Path
from typing import Any

import pytest

from engine_runs import Command, assert_nothing_left, open_journal, until
from scripted_trader import Cue
from session_run import Referee, session, truth_of
from session_tape import MINUTE, START

SPEED = 20
BASE = {"MNQ": 100_000, "MES": 28_000, "MGC": 40_000}
TICKS_A_MINUTE, MINUTES = 20, 75
LONG = (1, 40, 60)
CUES = [  # the engine has 18 s to become ready, and to be through with the first two before the third comes
    Cue("MGC", START + 6 * MINUTE, *LONG),  # the placement is refused with 401
    Cue("MNQ", START + 7 * MINUTE, *LONG),  # the placement's answer is lost
    Cue("MNQ", START + 16 * MINUTE, *LONG),  # the user hub tells nothing
    Cue("MES", START + 17 * MINUTE, *LONG),  # the bracket has no legs
    Cue("MNQ", START + 22 * MINUTE, *LONG),  # the placement is refused with 429
]
PLAN = "\n".join(
    (
        '{"id": "who", "name": "rest.status", "after": 1, "args": {"endpoint": "Order/place", "status": 401}}',
        '{"id": "lost", "name": "order.place", "after": 2, "args": {"outcome": "accepted", "answer": "drop"}}',
        '{"id": "naked", "name": "bracket.drop", "after": 1, "args": {"contract": "MES"}}',
        '{"id": "too-many", "name": "rest.status", "after": 5, "args": {"endpoint": "Order/place", "status": 429}}',
    )
)
ODD_RECORDS = ("broken", "no_type", "empty", "non_object", "deep", "binary", "huge", "unknown_type", "no_target")
PATIENCE_S = 90


class Story:
    """The engine, the truth, and what both say."""

    def __init__(self, engine: Command, referee: Referee) -> None:
        self.engine, self.referee = engine, referee

    def until(self, condition: Any, what: str) -> Any:
        def alive() -> Any:
            assert self.engine.process.poll() is None, self.engine.stderr
            return condition()

        return until(alive, what, PATIENCE_S, self.seen)

    def seen(self) -> dict[str, Any]:
        """What a failing step should show of the engine."""
        status = self.engine.status()
        shown = {name: status[name] for name in ("state", "reason", "denials", "round_trips", "reconnections", "feed")}
        account = {name: self.account[name] for name in ("positions", "orders", "unknown", "quarantine")}
        return shown | account | {"faults": sorted(self.referee.fired())}

    @property
    def account(self) -> dict[str, Any]:
        (account,) = self.engine.status()["accounts"].values()
        assert isinstance(account, dict)
        return account

    def position(self, contract: str) -> dict[str, Any]:
        """The engine's word on a position, {} when it sees none."""
        return next((held for held in self.account["positions"] if held["contract"] == contract), {})

    def held(self, contract: str) -> int:
        """The venue's word on it."""
        return int(dict(truth_of(self.referee.account())["positions"]).get(contract, (0, 0))[0])

    def feed(self, contract: str) -> dict[str, Any]:
        found = self.engine.status()["contracts"][contract]
        assert isinstance(found, dict)
        return found

    def whole(self) -> bool:
        contracts = self.engine.status()["contracts"].values()
        return all(contract["live"] and contract["feed"] == "ok" for contract in contracts)

    def places(self) -> int:
        return len(self.referee.posts("/api/Order/place"))

    def no_signal_was_placed_twice(self) -> bool:
        """Tags are made of account and signal; how many there are by now depends on how fast this machine is."""
        tags = [entry["tag"] for entry in self.referee.posts("/api/Order/place")]
        return len(set(tags)) == len(tags) >= 3


def placements_are_never_repeated(story: Story) -> None:
    """Reported: POSTs retried after 401 and 429; a bracket succeeded and a second entry was placed."""
    story.until(lambda: story.account["unknown"], "an entry whose outcome nobody knows (401)")
    story.until(lambda: story.held("MNQ"), "the entry whose answer was lost")
    story.until(lambda: story.position("MNQ").get("protected"), "MNQ recognised as ours and protected")
    assert story.places() == 2
    story.until(lambda: story.engine.status()["round_trips"] == 1, "the target of MNQ")


def a_silent_user_hub_hides_nothing(story: Story) -> None:
    """Reported: 14 of 20 brackets unprotected because fill events were missing and "not open" was read as "not filled".

    And: a watchdog that kills a healthy but silent user hub.
    """
    connects = user_hub_connects(story)
    story.referee.add({"id": "deaf", "name": "userhub.mute", "at": 0, "for": 21})
    story.until(lambda: story.held("MNQ"), "an entry nobody tells of")
    story.until(lambda: story.position("MNQ").get("protected"), "the position proved by queries")
    assert story.no_signal_was_placed_twice()
    assert user_hub_connects(story) == connects


def user_hub_connects(story: Story) -> int:
    return len([entry for entry in story.referee.get("/sim/wire")["requests"] if entry["path"] == "/hubs/user"])


def a_position_without_stop_is_closed(story: Story) -> None:
    """Reported: stop and target could not be attached, and the position stayed unprotected."""
    story.until(lambda: story.referee.posts("/api/Position/closeContract"), "MES closed")
    story.until(lambda: not story.held("MES") and not story.position("MES"), "MES flat")
    assert "MES" in story.account["quarantine"]


def odd_records_silence_nobody(story: Story) -> None:
    """Reported: one odd record silences the client; a depth snapshot over the receive limit closes the hub."""
    before = story.engine.status()["reconnections"]
    for kind in ODD_RECORDS:
        story.referee.add({"id": kind, "name": "ws.malformed", "after": 1, "args": {"hub": "market", "kind": kind}})
    story.until(lambda: set(ODD_RECORDS) <= story.referee.fired(), "every odd record sent")
    ticks = story.feed("MNQ")["ticks"]
    story.until(lambda: story.feed("MNQ")["ticks"] > ticks + 50, "ticks behind them")
    assert story.engine.status()["reconnections"] == before
    assert story.whole()


def a_burst_starves_nobody(story: Story) -> None:
    """Reported: at the cash open quotes and depth starve the loop, and 1m bars come tens of seconds late."""
    trades, bars = story.feed("MNQ")["counters"]["trades"], story.feed("MNQ")["bars"]["1m"]
    burst = {"contract": "MNQ", "count": 5_000}
    story.referee.add({"id": "open", "name": "market.prints", "at": 0, "args": burst})
    story.until(lambda: story.feed("MNQ")["counters"]["trades"] >= trades + 5_000, "every print of the burst")
    story.until(lambda: story.feed("MNQ")["bars"]["1m"] > bars, "the bar that the burst is in")
    assert story.feed("MNQ")["lost"] == 0


def the_frozen_feed_is_noticed(story: Story) -> None:
    """Reported: no ticks for minutes while the connection says healthy and history is fresh."""
    before = story.engine.status()["reconnections"]
    frozen = {"id": "frozen", "name": "ws.freeze", "at": 0, "args": {"hub": "market", "heals": "reconnect"}}
    story.referee.add(frozen)
    story.until(lambda: not story.whole(), "a status that tells of the missing data")
    story.until(lambda: story.engine.status()["reconnections"] > before, "a new connection")
    story.until(story.whole, "streams proven whole again")


def dead_hubs_are_not_called_healthy(story: Story) -> None:
    """Reported: health 100 with both hubs closed."""
    story.referee.add(
        {"id": "market-dead", "name": "ws.drop", "at": 0, "for": 4, "args": {"hub": "market", "mode": "rst"}},
        {"id": "user-dead", "name": "userhub.drop", "at": 0, "for": 4, "args": {"mode": "fin"}},
    )
    story.until(lambda: not story.whole(), "a status that tells of the dead hub")
    story.until(story.whole, "streams proven whole again")
    story.until(lambda: story.engine.status()["state"] == "ACTIVE", "ACTIVE")


@pytest.mark.timeout(400)
def test_the_engine_survives_what_users_reported(tmp_path: Path) -> None:
    prices = {name: [(0, base), (MINUTES, base + TICKS_A_MINUTE * MINUTES)] for name, base in BASE.items()}
    with session(tmp_path, prices, CUES, speed=SPEED, faults=PLAN) as (engine, referee):
        story = Story(engine, referee)
        run_dir, journal_path = engine.run_dir(), engine.journal()
        placements_are_never_repeated(story)
        a_silent_user_hub_hides_nothing(story)
        a_position_without_stop_is_closed(story)
        odd_records_silence_nobody(story)
        story.until(lambda: story.places() == 5, "the last placement")
        story.until(lambda: len(story.account["unknown"]) == 2, "a second entry whose outcome nobody knows (429)")
        a_burst_starves_nobody(story)
        the_frozen_feed_is_noticed(story)
        dead_hubs_are_not_called_healthy(story)
        assert story.places() == 5
        assert story.no_signal_was_placed_twice()
        assert len(referee.posts("/api/Auth/loginKey")) <= 2  # one more after the 401
        engine.interrupt()
        code, _ = engine.finish()
        # What became of the refused placements (401, 429) is not proven for a minute, and the engine does not claim it.
        assert code == (11 if story.account["unknown"] else 0), engine.stderr
        assert_nothing_left(engine, run_dir)
        truth = truth_of(referee.account())
        assert (truth["positions"], truth["orders"]) == ({}, [])
    with open_journal(journal_path) as journal:
        assert journal.verify().state == "ok"
