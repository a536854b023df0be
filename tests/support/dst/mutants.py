"""Engines that are broken on purpose: for every invariant at least one, and a scene in which the referee must name it.

A mutant is a context manager that breaks a part of `tbot` while it is open. The scene is played twice: as it is, where
nothing may be found, and with the mutant, where exactly its invariant must be. Scenes of the trading world are played
on a Stage; scenes of other worlds gather their own evidence (`mutants_other.py`).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from dst.stage import Stage
from tbot.risk import gate
from tbot.risk.limits import RiskLimits

Break = Callable[[], AbstractContextManager[Any]]
Scene = Callable[[Stage], None]


@dataclass(frozen=True)
class Mutant:
    """`invariant` must be named, and nothing else, when `scene` is played while `apply()` is open."""

    invariant: str
    name: str
    apply: Break
    scene: Scene
    limits: RiskLimits | None = None
    start_ns: int | None = None
    replays: bool = True  # whether the journal can be replayed afterwards


MUTANTS: list[Mutant] = []


def mutant(invariant: str, apply: Break, **more: Any) -> Callable[[Scene], Scene]:
    """Register the scene below as that of a mutant; its name is the scene's."""

    def register(scene: Scene) -> Scene:
        MUTANTS.append(Mutant(invariant, scene.__name__, apply, scene, **more))
        return scene

    return register


def without(*names: str) -> Break:
    """The gate without some of its checks."""
    kept = tuple(check for check in gate.CHECKS if check.__name__ not in names)
    assert len(kept) == len(gate.CHECKS) - len(names), f"no such checks: {names}"
    return lambda: mock.patch.object(gate, "CHECKS", kept)


def replaced(owner: object, name: str, by: object) -> Break:
    """A part of the engine replaced by something else."""
    assert hasattr(owner, name), f"{owner} has no {name}"
    return lambda: mock.patch.object(owner, name, by)


def both(*parts: Break) -> Break:
    """Several breaks at once: where two parts of the engine each keep a rule."""

    @contextmanager
    def apply() -> Any:
        with ExitStack() as stack:
            for part in parts:
                stack.enter_context(part())
            yield

    return apply


def load_mutants() -> list[Mutant]:
    """All of them."""
    from dst import mutants_orders, mutants_state  # noqa: F401

    return MUTANTS
