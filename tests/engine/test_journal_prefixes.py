"""The journal of the Desk on a faulty venue, replayed record by record: outputs and digest are the live ones (I15)."""

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from desk_rig import PRICE, settings
from journal_items import RUN
from tbot.domain.messages import DeskInput, DeskOutput, Fill, Intent, OperatorIn, RoundTrip, StateChange, TimerIn
from tbot.domain.timeframes import NS_PER_S
from tbot.engine.journal_replay import replay_steps
from tbot.execution.carry import CarryFold
from tbot.execution.desk import AccountSettings, Desk
from tbot.sim.venue_faults import Scope
from tbot.storage.journal import Journal
from tbot.storage.journal_files import head_path
from tbot.storage.journal_reader import JournalReader, Step
from tbot.transport import wire
from venue_broker import VenueDeskRig

SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 20))]


class JournaledRig(VenueDeskRig):
    """Everything goes to a journal first; the digest of the Desk behind each step is kept."""

    def __init__(self, path: Path) -> None:
        self.journal = Journal(path, wire, RUN)
        self.digests: list[str] = []
        super().__init__()

    def record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        self.journal.record(item, outputs)
        super().record(item, outputs)
        self.digests.append(self.desk.digest())


def live(path: Path, seed: int) -> JournaledRig:
    """A day with signals, prices, faults of the venue and a person, by chance from a seed."""
    rng, rig = random.Random(seed), JournaledRig(path)
    rig.start()
    controls = rig.controls
    faults = [
        lambda: controls.partial([rng.randint(1, 3)], [rng.choice((0, NS_PER_S))]),
        lambda: controls.bracket(rng.choice(("drop", "reject", "wrong_size", "no_oco")), "sl", size=1, ticks=25),
        lambda: controls.slip(rng.randint(0, 12)),
        lambda: controls.place_outcome(rng.choice(("never", "late")), 2 * NS_PER_S),
        lambda: controls.reject(5, call=rng.choice(("place", "cancel", "close")), scope=Scope(count=1)),
        lambda: controls.cancel_race(NS_PER_S // 2, 1),
        lambda: controls.human_cancel(rig.account_id, rig.now_ns, "stops"),
        controls.clear,
    ]
    for number in range(10):
        rng.choice(faults)()
        rig.run(5, step=0.5)
        rig.signal(number, rng.choice(("MNQ", "ES")), rng.choice((1, -1)), stop_ticks=rng.choice((8, 40)))
        rig.run(rng.choice((1, 3)))
        rig.prices["MNQ"] += rng.choice((-90, -45, 5, 45, 90))
        rig.prices["ES"] = PRICE["ES"] + rng.randint(-12, 12)
        rig.run(2)
        if number == 6:
            rig.operator(("kill", "flatten", "pause")[seed % 3])
            rig.run(3)
            rig.operator("resume")
    controls.clear()
    rig.run(12)
    for _ in range(30):  # an order that was never heard of again keeps the account from being proven flat for a while
        if rig.view()["unknown"]:
            rig.run(10)
    rig.journal.close()
    return rig


@pytest.fixture(scope="module", params=SEEDS)
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> JournaledRig:
    return live(tmp_path_factory.mktemp("day") / "journal.db", request.param)


def steps_of(path: Path) -> list[Step]:
    with JournalReader(path, wire) as reader:
        assert reader.verify().state == "ok"
        return list(reader.steps())


def test_the_days_are_worth_a_test(day: JournaledRig) -> None:
    outputs = [output for _, found in day.rows for output in found]
    assert sum(isinstance(output, Intent) for output in outputs) >= 1
    assert any(isinstance(output, StateChange) for output in outputs)
    assert any(isinstance(item, Fill) for item, _ in day.rows)
    assert any(isinstance(output, RoundTrip) for output in outputs)
    assert len(set(day.digests)) > 50


def test_I15_I32_outputs_and_digest_are_the_live_ones_at_every_record(day: JournaledRig) -> None:
    steps = steps_of(day.journal.path)
    assert len(steps) == len(day.digests)
    desk = Desk(settings())
    for (step, outputs), digest in zip(replay_steps(desk, steps), day.digests, strict=True):
        assert outputs == step.outputs, f"row {step.seq}"
        assert desk.digest() == digest, f"row {step.seq}"


def test_I14_I15_any_prefix_is_a_state_from_which_a_run_can_start(day: JournaledRig) -> None:
    """The next run comes up from every prefix, with the locks of that moment."""
    fold = CarryFold()
    locked = ever = False
    for step in steps_of(day.journal.path):
        fold.add(step.item, list(step.outputs))
        states = [output.state for output in step.outputs if isinstance(output, StateChange)]
        locked = states[-1] == "LOCKED" if states else locked
        account = AccountSettings(1001, "PRAC-1", fold.carried(1001))
        start = replace(settings(accounts=(account,)), run_start_ms=settings().run_start_ms + 60_000)
        desk = Desk(start)
        notes = [output for output in desk.handle(TimerIn(step.item.now_ns, {})) if isinstance(output, StateChange)]
        if locked:
            ever = True
            assert notes[-1].state == "LOCKED", f"row {step.seq}"
    assert ever or "kill" not in {item.verb for item, _ in day.rows if isinstance(item, OperatorIn)}


def test_I15_F_SYS_03_a_flipped_bit_in_any_region_is_noticed_or_touches_nothing(
    day: JournaledRig, tmp_path: Path
) -> None:
    whole = steps_of(day.journal.path)
    data = day.journal.path.read_bytes()
    copy = tmp_path / "journal.db"
    shutil.copyfile(head_path(day.journal.path), head_path(copy))
    rng, noticed = random.Random(3), 0
    pages = range(0, len(data), 4096)
    places = [page + rng.choice((0, 3, 5, 9, rng.randrange(4096))) for page in pages]
    for place in places[:: max(1, len(places) // 40)]:
        broken = bytearray(data)
        broken[place] ^= 1 << rng.randrange(8)
        copy.write_bytes(bytes(broken))
        with JournalReader(copy, wire) as reader:
            if reader.verify().state in ("mismatch", "newer"):
                noticed += 1
                continue
            assert list(reader.steps()) == whole, f"byte {place}"
    assert noticed >= 10
