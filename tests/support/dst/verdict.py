"""Runs a seed with the referee and says what it found, with the command that repeats it."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from dst.plans import Fault
from dst.referee import Referee, Rules
from dst.scenes import Scene, draw_scene
from dst.world import KEY, World

COMMAND = "PYTHONPATH=tests/support python -m dst"


@dataclass
class Verdict:
    """What became of one run. `violations`: (invariant, sentence)."""

    seed: int
    world: World
    violations: list[tuple[str, str]]

    @property
    def judged(self) -> Counter[str]:
        """How often each invariant had something to judge."""
        referee = self.world.referee
        assert isinstance(referee, Referee)
        return referee.facts.judged

    @property
    def invariants(self) -> set[str]:
        return {invariant for invariant, _ in self.violations}

    def text(self) -> str:
        """For a person: what, and how to see it again."""
        lines = [f"seed {self.seed} ({self.world.scene.place}, {' '.join(self.world.symbols)}):"]
        lines += [f"  {text}" for _, text in self.violations[:12]]
        lines.append(f"  repeat: {COMMAND} --seed {self.seed}    smaller: {COMMAND} --seed {self.seed} --minimise")
        return "\n".join(lines)


def judge(world: World) -> Referee:
    """The referee of a world, told what binds it."""
    rules = Rules(
        limits=dict.fromkeys(world.traded, world.scene.limits),
        contracts={contract.product.symbol: contract.broker_id for contract in world.scene.contracts},
        always=False,
        secrets=(KEY,),
    )
    return Referee(world.evidence, rules)


def run(
    seed: int,
    plan: list[Fault] | None = None,
    scene: Scene | None = None,
    mutant: Callable[[], AbstractContextManager[Any]] | None = None,
    script: Callable[[World], None] | None = None,
) -> Verdict:
    """One seed; `mutant` breaks the engine while it runs, `script` is called after every step of the market."""
    world = World(seed, plan, scene, judge, script)
    with mutant() if mutant is not None else nullcontext():
        world.run()
    assert isinstance(world.referee, Referee)
    found = [(violation.invariant, str(violation)) for violation in world.referee.violations]
    found += [("CRASH", failure) for failure in world.failures]
    return Verdict(seed, world, found)


def mutant_named(name: str) -> Callable[[], AbstractContextManager[Any]]:
    """The mutant's way to break the engine; ValueError when there is none of this name."""
    from dst.mutants import load_mutants

    mutants = load_mutants()
    for mutant in mutants:
        if mutant.name == name:
            return mutant.apply
    raise ValueError(f"there is no mutant {name!r}; there are {', '.join(sorted(one.name for one in mutants))}")


def shorter(scene: Scene, faults_s: float) -> Scene:
    """The same scene with a shorter part for faults."""
    return replace(scene, faults_s=faults_s)


def scene_of(seed: int) -> Scene:
    return draw_scene(seed)
