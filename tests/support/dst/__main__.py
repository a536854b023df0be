"""`python -m dst --seed N`: play seeds, print what the referee found, and make failing ones small."""

import argparse
import sys
from pathlib import Path

from dst import plans
from dst.minimise import minimise
from dst.verdict import Verdict, mutant_named, run


def main() -> int:
    """0 when nothing was found, 1 when something was."""
    parser = argparse.ArgumentParser(prog="python -m dst", description=__doc__)
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--seeds", help="a range of seeds, A-B, both included")
    parser.add_argument("--mutant", help="break the engine by this mutant first")
    parser.add_argument("--plan", type=Path, help="a fault plan (JSON lines) in place of the seed's own")
    parser.add_argument("--minimise", action="store_true", help="make a failing run small")
    parser.add_argument("--verbose", action="store_true", help="print plan and figures of every run")
    options = parser.parse_args()
    first, _, last = (options.seeds or str(options.seed if options.seed is not None else 1)).partition("-")
    plan = None if options.plan is None else plans.parse(options.plan.read_text().splitlines())
    mutant = None if options.mutant is None else mutant_named(options.mutant)
    bad = 0
    for seed in range(int(first), int(last or first) + 1):
        verdict = run(seed, plan, None, mutant)
        if options.verbose:
            _show(verdict)
        if verdict.violations:
            bad += 1
            print(verdict.text())
            if options.minimise:
                small = minimise(verdict, lambda *args: run(*args, mutant))
                print(f"smallest plan ({small.world.scene.faults_s:.0f} s):")
                print("\n".join(fault.line() for fault in small.world.plan) or "(no fault)")
                print(small.text())
    print(f"{int(last or first) - int(first) + 1} seeds, {bad} with violations")
    return 1 if bad else 0


def _show(verdict: Verdict) -> None:
    world, evidence = verdict.world, verdict.world.evidence
    fills = sum(len(account.book.fills) for account in evidence.accounts.values())
    print(
        f"seed {verdict.seed}: {world.scene.place}, {len(evidence.wire)} requests, {len(evidence.steps)} steps, "
        f"{fills} fills, {world.lives} lives, wire {world.ended_with[0]}, journal {world.ended_with[1]}"
    )
    for fault in world.plan:
        print(f"  {fault.line()}")
    for death in evidence.deaths:
        at_s = (death.boot_ns - world.start_boot_ns) / 1e9
        print(f"  {at_s:8.2f} s: executor {death.executor} {death.cause} {death.error}")


if __name__ == "__main__":
    sys.exit(main())
