"""The loss floor against an independent one: the venue keeps the firm's rules itself, over random days and restarts."""

from random import Random

import pytest

from desk_rig import PRICE, RUN_START_MS, settings
from firm_rig import RULES, carried
from tbot.domain.messages import FeedIn
from tbot.execution.broker import DeskLoop
from tbot.execution.desk import AccountSettings, Carried, Desk
from venue_broker import VenueDeskRig


def settled(rig: VenueDeskRig) -> dict:  # type: ignore[type-arg]
    """The Desk has seen two more answers; its view of the firm's rules."""
    rig.run(12, step=1)
    return rig.desk.view()["accounts"][str(rig.account_id)]["firm"]  # type: ignore[index, no-any-return]


def watched(rig: VenueDeskRig, kept: Carried, run: int) -> None:
    """A new Desk before the same venue, at the same moment."""
    held = AccountSettings(rig.account_id, "PRAC-1", kept, rules=RULES)
    rig.venue.poll()
    rig.desk = Desk(settings(accounts=(held,), run_start_ms=RUN_START_MS + 1_000 * run))
    rig.loop = DeskLoop(rig.desk, rig.broker, rig)
    rig.tick(0)
    for contract in PRICE:
        rig.feed(FeedIn(rig.now_ns, contract, "ok"))


def trade(rig: VenueDeskRig, random: Random, name: str, *, wins: float) -> None:
    """One round trip in MNQ: the market runs through stop or target, and beyond."""
    side = random.choice([1, -1])
    ticks = random.choice([40, 80, 160])
    rig.signal(name, side=side, stop_ticks=ticks, target_ticks=2 * ticks)
    rig.tick()
    won = random.random() < wins
    rig.prices["MNQ"] += side * (2 * ticks + 5 if won else -ticks - random.randrange(5))
    rig.run(6, step=1)


@pytest.mark.parametrize(("seed", "wins"), [(1, 0.5), (2, 0.7), (3, 0.9), (4, 0.2), (5, 0.4)])
def test_TR2_I12_the_floor_is_the_venues_on_every_day_and_is_never_reached(seed: int, wins: float) -> None:
    random = Random(seed)
    rig = VenueDeskRig()
    watched(rig, Carried(), 0)
    floors = []
    for day in range(1, 13):
        for number in range(random.randrange(4)):
            trade(rig, random, f"{day}-{number}", wins=wins)
        if random.random() < 0.4:
            kept = random.choice([Carried(), carried(rig, rig.account_id)])
            watched(rig, kept, day)
        firm = settled(rig)
        venue = rig.venue.account
        assert firm["floor_cents"] == venue.floor_cents()
        assert firm["equity_cents"] == venue.book.balance_cents
        floors.append(firm["floor_cents"])
        rig.tick(86_400)
    assert floors == sorted(floors)
    assert not rig.venue.account.failed
    assert len(set(floors)) > 1 or wins < 0.5
