"""I32: a run is a function of its seed, down to every stamp on the wire and every hash of the journal."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from dst.verdict import run
from dst.world import World


def ended(world: World) -> tuple[str, str, list[tuple[int, str]]]:
    """(wire log, journal, deaths) of a world that has run."""
    return (*world.ended_with, [(death.boot_ns, death.cause) for death in world.evidence.deaths])


def fingerprint(seed: int) -> tuple[str, str, list[tuple[int, str]]]:
    """As `ended`, of a seed that nobody judges."""
    world = World(seed)
    world.run()
    return ended(world)


@pytest.mark.parametrize("first", range(1, 21, 5))
def test_I32_the_same_seed_gives_the_same_wire_log_and_the_same_journal(first):
    """The referee looks on the first time: these are the first twenty of the two hundred seeds of `test_seeds.py`."""
    judged: Counter[str] = Counter()
    for seed in range(first, first + 5):
        verdict = run(seed)
        judged += verdict.judged
        assert not verdict.violations, verdict.text()
        once = ended(verdict.world)
        assert once == fingerprint(seed), f"seed {seed} came out in two ways"
        assert all(once[:2])
    assert judged["I2"] > 0, "the referee saw nothing"


def test_I32_another_process_with_another_hash_seed_comes_to_the_same():
    support = Path(__file__).parents[1] / "support"
    code = "import sys; from dst.world import World; world = World(7); world.run(); print(*world.ended_with)"
    found = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONPATH": str(support), "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_I32_other_seeds_are_other_days():
    assert len({fingerprint(seed)[0] for seed in (1, 2, 3)}) == 3


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_I32_five_hundred_seeds_twice():
    for seed in range(1, 501):
        assert fingerprint(seed) == fingerprint(seed), f"seed {seed}"
