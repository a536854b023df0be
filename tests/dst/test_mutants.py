"""The referee's own examination: every invariant has an engine that breaks it, and the referee names it and no other.

Each mutant gives two tests, named after its invariant: `test_I3_<what is broken>_is_caught` and `..._is_clean`.
"""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from desk_rig import START_NS
from dst.mutants import Mutant, load_mutants
from dst.stage import scene


def play(mutant: Mutant, folder: Path, *, broken: bool) -> tuple[set[str], list[str], int]:
    """(invariants named, what was said, how often the mutant's own invariant was judged)."""
    start_ns = mutant.start_ns or START_NS
    with mutant.apply() if broken else nullcontext(), scene(folder, limits=mutant.limits, start_ns=start_ns) as stage:
        mutant.scene(stage)
        found = stage.end(journal=mutant.replays)
        judged = stage.referee.facts.judged[mutant.invariant]
    return {violation.invariant for violation in found}, [str(violation) for violation in found], judged


def caught(mutant: Mutant) -> Callable[[Path], None]:
    def test(tmp_path: Path) -> None:
        named, said, _ = play(mutant, tmp_path, broken=True)
        assert named == {mutant.invariant}, said

    return test


def clean(mutant: Mutant) -> Callable[[Path], None]:
    def test(tmp_path: Path) -> None:
        named, said, judged = play(mutant, tmp_path, broken=False)
        assert not named, said
        assert judged, "nothing was judged: the scene proves nothing"

    return test


for item in load_mutants():
    globals()[f"test_{item.invariant}_{item.name}_is_caught"] = caught(item)
    globals()[f"test_{item.invariant}_{item.name}_is_clean"] = clean(item)
