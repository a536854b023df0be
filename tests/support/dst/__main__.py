"""`python -m dst --seed N`: play seeds, print what the referee found, and make failing ones small."""

import argparse
import sys
from pathlib import Path

from dst.campaign import Order, Results, campaign
from dst.verdict import mutant_named


def main() -> int:
    """0 when nothing was found, 1 when something was, 2 when what was asked cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m dst", description=__doc__)
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--seeds", help="a range of seeds, A-B, both included")
    parser.add_argument("--mutant", default="", help="break the engine by this mutant first")
    parser.add_argument("--plan", type=Path, help="a fault plan (JSON lines) in place of the seed's own")
    parser.add_argument("--minimise", action="store_true", help="make a failing run small")
    parser.add_argument("--verbose", action="store_true", help="print plan and figures of every run")
    parser.add_argument("--processes", type=int, default=1, help="play so many seeds at a time")
    parser.add_argument("--resume", type=Path, help="write each finished seed to this file; skip those that are there")
    options = parser.parse_args()
    first, _, last = (options.seeds or str(options.seed if options.seed is not None else 1)).partition("-")
    plan = "" if options.plan is None else options.plan.read_text()
    order = Order(plan, options.mutant, options.minimise, options.verbose)
    try:
        if order.mutant:
            mutant_named(order.mutant)
        results = Results(options.resume, order)
    except ValueError as error:
        parser.error(str(error))
    seeds = range(int(first), int(last or first) + 1)
    bad = campaign(seeds, order, max(1, options.processes), results, lambda text: print(text, flush=True))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
