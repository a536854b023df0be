"""Makes a failing run small: fewer faults, then a shorter day, while the same invariant still fails."""

from collections.abc import Callable

from dst.plans import Fault
from dst.scenes import Scene
from dst.verdict import Verdict, run, shorter

Run = Callable[[int, list[Fault], Scene], Verdict]


def minimise(failed: Verdict, again: Run = run, tell: Callable[[str], None] = print) -> Verdict:
    """The smallest run found. Faults are taken out one by one until none can go; then the day is halved."""
    wanted = failed.violations[0][0]
    best = failed

    def still(plan: list[Fault], scene: Scene) -> Verdict | None:
        verdict = again(failed.seed, plan, scene)
        return verdict if wanted in verdict.invariants else None

    smaller = True
    while smaller:
        smaller = False
        for fault in best.world.plan:
            plan = [other for other in best.world.plan if other is not fault]
            found = still(plan, best.world.scene)
            if found is not None:
                tell(f"without {fault.id} {fault.name}: {wanted} still fails")
                best, smaller = found, True
                break
    while best.world.scene.faults_s > 15:
        found = still(best.world.plan, shorter(best.world.scene, best.world.scene.faults_s / 2))
        if found is None:
            break
        best = found
        tell(f"in {best.world.scene.faults_s:.0f} s: {wanted} still fails")
    return best
