"""Broken engines on the whole simulated machine: the referee names what is broken, and nothing when nothing is.

Each gives two tests, named after its invariant. Beside the broken invariant others may fall: a forgotten close is also
a call that never ends.
"""

from collections.abc import Callable

from dst.mutants_world import WORLD_MUTANTS, WorldMutant
from dst.verdict import run


def caught(mutant: WorldMutant) -> Callable[[], None]:
    def test() -> None:
        verdict = run(mutant.seed, mutant.faults(), mutant.scene(), mutant.apply)
        assert mutant.invariant in verdict.invariants, verdict.text()

    return test


def clean(mutant: WorldMutant) -> Callable[[], None]:
    def test() -> None:
        verdict = run(mutant.seed, mutant.faults(), mutant.scene())
        assert not verdict.violations, verdict.text()

    return test


for item in WORLD_MUTANTS:
    globals()[f"test_{item.invariant}_{item.name}_is_caught"] = caught(item)
    globals()[f"test_{item.invariant}_{item.name}_is_clean"] = clean(item)
