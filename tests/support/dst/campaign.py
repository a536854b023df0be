"""Many seeds: in several processes, told in the order of the seeds, and written down so that a stop loses nothing.

A file of results begins with a line that names the code and what was asked; then one line for each finished seed:
{"seed": 7, "violations": [["I3", "I3 at 1040.250 s: ..."]], "report": "..."}. Results of other code are never mixed in.
"""

import json
import multiprocessing
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import blake2b
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

from dst import plans
from dst.minimise import minimise
from dst.verdict import Verdict, mutant_named, run

REPOSITORY = Path(__file__).parents[3]
CODE = ("tbot", "ext", "tests/support")  # what a result depends on
SEEDS_PER_PROCESS = 500  # then a fresh one: what imports and caches gather stays small


@dataclass(frozen=True)
class Order:
    """What is to be done with each seed."""

    plan: str = ""  # a fault plan (JSON lines) in place of the seed's own
    mutant: str = ""
    minimise: bool = False
    verbose: bool = False


@dataclass(frozen=True)
class Outcome:
    """A finished seed. `report`: what a person wants to read of it; "" when there is nothing."""

    seed: int
    violations: list[list[str]]  # (invariant, sentence)
    report: str


def play(seed: int, order: Order) -> Outcome:
    """One seed. What the simulation itself stumbles over is a finding, too: it must not end the other seeds."""
    said = StringIO()
    try:
        with redirect_stdout(said):
            verdict = _play(seed, order)
    except Exception as error:
        violation = ["ERROR", f"ERROR: the simulation of seed {seed} raised {error!r}"]
        return Outcome(seed, [violation], f"{said.getvalue()}{violation[1]}\n{traceback.format_exc()}")
    return Outcome(seed, [list(item) for item in verdict.violations], said.getvalue())


def _play(seed: int, order: Order) -> Verdict:
    plan = plans.parse(order.plan.splitlines()) if order.plan else None
    mutant = mutant_named(order.mutant) if order.mutant else None
    verdict = run(seed, plan, None, mutant)
    if order.verbose:
        _show(verdict)
    if verdict.violations:
        print(verdict.text())
        if order.minimise:
            small = minimise(verdict, lambda *args: run(*args, mutant))
            print(f"smallest plan ({small.world.scene.faults_s:.0f} s):")
            print("\n".join(fault.line() for fault in small.world.plan) or "(no fault)")
            print(small.text())
    return verdict


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


def outcomes(seeds: Iterable[int], order: Order, processes: int) -> Iterator[Outcome]:
    """Play them in `processes` processes; each as soon as it and all before it are finished."""
    if processes == 1:
        yield from (play(seed, order) for seed in seeds)
        return
    spawn = multiprocessing.get_context("spawn")
    # Why not max_tasks_per_child: CPython 3.11 comes to a standstill when its processes reach it together.
    left = iter(seeds)
    while some := list(islice(left, SEEDS_PER_PROCESS * processes)):
        with ProcessPoolExecutor(processes, spawn) as pool:
            try:
                yield from pool.map(partial(play, order=order), some)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


# -------------------------------------------------------------------------------------------------------- the file
def code_mark(repository: Path = REPOSITORY) -> str:
    """Of everything that a result depends on: sources of engine and simulation, extensions as they were built."""
    mark = blake2b(digest_size=16)
    for folder in CODE:
        for path in sorted((repository / folder).rglob("*")):
            if path.suffix in (".py", ".so", ".toml", ".json", ".sql") and "__pycache__" not in path.parts:
                mark.update(f"{path.relative_to(repository)}\n".encode())
                mark.update(blake2b(path.read_bytes()).digest())
    return mark.hexdigest()


class Results:
    """The file of results; `path` None: nothing is written down."""

    def __init__(self, path: Path | None, order: Order, mark: Callable[[], str] = code_mark) -> None:
        """ValueError when the file is of other code, or of another order."""
        self.path = path
        self.known: dict[int, Outcome] = {}
        if path is None:
            return
        head = {"code": mark(), **asdict(order)}
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        if not any(lines):
            path.write_text(json.dumps(head) + "\n")
            return
        if _document(lines[0]) != head:
            raise ValueError(f"{path} holds results of other code or other options; name another file, or delete it")
        whole = lines[:-1]  # a line that was cut off in the middle is played again
        for line in whole[1:]:
            found = _document(line)
            if isinstance(found, dict) and found.keys() == {"seed", "violations", "report"}:
                self.known[found["seed"]] = Outcome(**found)
        if lines[-1]:
            path.write_bytes(b"\n".join([*whole, b""]))

    def add(self, outcome: Outcome) -> None:
        """Append one line."""
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(asdict(outcome)) + "\n")


def _document(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def campaign(seeds: range, order: Order, processes: int, results: Results, tell: Callable[[str], None]) -> int:
    """Play what is not known yet and tell everything in order; how many seeds had violations."""
    began = time.perf_counter()
    fresh = outcomes([seed for seed in seeds if seed not in results.known], order, processes)
    bad, played, by_invariant = 0, 0, Counter[str]()
    for seed in seeds:
        outcome = results.known.get(seed)
        if outcome is None:
            outcome = next(fresh)
            results.add(outcome)
            played += 1
        if outcome.report:
            tell(outcome.report.rstrip("\n"))
        bad += bool(outcome.violations)
        by_invariant.update({invariant for invariant, _ in outcome.violations})
    took_s = time.perf_counter() - began
    text = f"{len(seeds)} seeds, {bad} with violations"
    if by_invariant:
        text += f" ({', '.join(f'{name}: {count}' for name, count in sorted(by_invariant.items()))})"
    if played:
        text += f", {played / took_s:.2f} seeds per second"
    if played < len(seeds):
        text += f", {len(seeds) - played} known from {results.path}"
    tell(text)
    return bad
