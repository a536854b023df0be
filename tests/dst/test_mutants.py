"""The referee's own examination: every invariant has an engine that breaks it, and the referee names it and no other.

Each mutant gives two tests, named after its invariant: `test_I3_<what is broken>_is_caught` and `..._is_clean`.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from desk_rig import START_NS
from dst.mutants import Mutant, load_mutants
from dst.mutants_other import OTHER_MUTANTS, OtherMutant
from dst.referee import INVARIANTS, OTHER, registered
from dst.stage import scene


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory where there is one: every step of a scene is synced."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def play(mutant: Mutant, folder: Path, *, broken: bool) -> tuple[set[str], list[str], int]:
    """(invariants named, what was said, how often the mutant's own invariant was judged)."""
    start_ns = mutant.start_ns or START_NS
    with mutant.apply() if broken else nullcontext(), scene(folder, limits=mutant.limits, start_ns=start_ns) as stage:
        mutant.scene(stage)
        found = stage.end(journal=mutant.replays)
        judged = stage.referee.facts.judged[mutant.invariant]
    return {violation.invariant for violation in found}, [str(violation) for violation in found], judged


def caught(mutant: Mutant) -> Callable[[Path], None]:
    def test(place: Path) -> None:
        named, said, _ = play(mutant, place, broken=True)
        assert named == {mutant.invariant}, said

    return test


def clean(mutant: Mutant) -> Callable[[Path], None]:
    def test(place: Path) -> None:
        named, said, judged = play(mutant, place, broken=False)
        assert not named, said
        assert judged, "nothing was judged: the scene proves nothing"

    return test


for item in load_mutants():
    globals()[f"test_{item.invariant}_{item.name}_is_caught"] = caught(item)
    globals()[f"test_{item.invariant}_{item.name}_is_clean"] = clean(item)


def found_by(item: OtherMutant, folder: Path) -> list[str]:
    """What the checks of a mutant's invariant say of the evidence gathered now."""
    evidence = item.gather(folder)
    return [text for check in OTHER[item.invariant] for text in check(evidence)]


def other_caught(item: OtherMutant) -> Callable[[Path], None]:
    def test(place: Path) -> None:
        with item.apply():
            assert found_by(item, place)

    return test


def other_clean(item: OtherMutant) -> Callable[[Path], None]:
    def test(place: Path) -> None:
        assert found_by(item, place) == []

    return test


for other in OTHER_MUTANTS:
    globals()[f"test_{other.invariant}_{other.name}_is_caught"] = other_caught(other)
    globals()[f"test_{other.invariant}_{other.name}_is_clean"] = other_clean(other)


def test_every_invariant_has_a_check() -> None:
    assert set(INVARIANTS) == registered()


def test_every_invariant_has_a_mutant() -> None:
    assert set(INVARIANTS) == {item.invariant for item in [*load_mutants(), *OTHER_MUTANTS]}
