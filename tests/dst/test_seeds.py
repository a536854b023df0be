"""Random fault plans over compressed trading days, judged by the referee after every event (failure-model 8 and 9).

Two hundred seeds with each change, the first twenty of them in `test_determinism.py`: no duplicate order, no position
unprotected beyond three seconds, no loss past the limit beyond that exit's own slippage, and all the other invariants.
A failing seed prints the command that repeats it.
"""

from collections import Counter
from dataclasses import replace
from itertools import combinations
from random import Random

import pytest

from dst.minimise import minimise
from dst.plans import RANDOM, Fault, make, parse
from dst.scenes import draw_scene
from dst.verdict import Verdict, run

CHUNK = 20


def play(seeds: range) -> Counter[str]:
    """Play all; AssertionError with every failing seed's command. How often each invariant had something to judge."""
    judged: Counter[str] = Counter()
    bad: list[Verdict] = []
    for seed in seeds:
        verdict = run(seed)
        judged += verdict.judged
        if verdict.violations:
            bad.append(verdict)
    assert not bad, "\n".join(verdict.text() for verdict in bad)
    return judged


@pytest.mark.parametrize("first", range(1 + CHUNK, 201, CHUNK))
def test_I1_to_I33_hold_through_random_faults(first):
    judged = play(range(first, first + CHUNK))
    # A referee that saw nothing proves nothing.
    for invariant in ("I1", "I2", "I5", "I6", "I7", "I9", "I11", "I15", "I23"):
        assert judged[invariant] > 0, (
            f"no run of seeds {first} to {first + CHUNK - 1} had anything to say on {invariant}"
        )


def pair(seed: int) -> list[Fault]:
    """Two kinds of faults at about the same time."""
    rng = Random(f"pair/{seed}")
    first, second = rng.choice(list(combinations(sorted(RANDOM), 2)))
    at = rng.uniform(10.0, 60.0)
    plan = [make(rng, f"f{number}", name, 60.0) for number, name in enumerate((first, second), 1)]
    return [fault if fault.at is None else replace(fault, at=round(at + rng.uniform(0.0, 3.0), 2)) for fault in plan]


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(1, 201, 50))
def test_pairs_of_faults(first):
    bad = []
    for seed in range(first, first + 50):
        verdict = run(seed, pair(seed), replace(draw_scene(seed, "morning"), faults_s=90.0))
        if verdict.violations:
            bad.append("\n".join([verdict.text(), *(fault.line() for fault in verdict.world.plan)]))
    assert not bad, "\n".join(bad)


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("first", range(1001, 11_001, 500))
def test_ten_thousand_seeds(first):
    play(range(first, first + 500))


def test_a_failing_run_is_made_small():
    """A stop that is dropped and nothing that would close: the two faults that have no part in it go away."""
    plan = parse(
        [
            '{"id": "a", "name": "worker.repeat", "at": 5, "for": 20}',
            '{"id": "b", "name": "person.pause", "at": 50}',
            '{"id": "c", "name": "proc.kill", "at": 40, "args": {"down": 1.0}}',
        ]
    )

    def judge(seed: int, faults: list[Fault], scene: object) -> Verdict:
        verdict = run(seed, faults, scene)  # type: ignore[arg-type]
        if any(death.cause == "killed" for death in verdict.world.evidence.deaths):
            verdict.violations.append(("I0", "it died"))
        return verdict

    scene = replace(draw_scene(3, "morning", ("MNQ",)), faults_s=60.0, calm_s=20.0)
    small = minimise(judge(3, plan, scene), judge, lambda _text: None)
    assert [fault.id for fault in small.world.plan] == ["c"]
    assert small.world.scene.faults_s == 60.0  # at half of it the process would not have died


@pytest.mark.parametrize(
    "line", ['{"name": "proc.kill"}', '{"name": "proc.kill", "at": 1, "after": 2}', '{"at": 1}', "no json"]
)
def test_a_plan_that_is_none_is_refused(line):
    with pytest.raises(ValueError, match=r"a fault has|Expecting value"):
        parse([line])


def test_plans_survive_being_written_down():
    faults = [make(Random(number), f"f{number}", name, 60.0) for number, name in enumerate(RANDOM)]
    assert parse(fault.line() for fault in faults) == faults
