"""Fault plans: JSON lines of ruling 24 (`id, name, at | after | p, for, args`), and plans drawn from a seed.

`at` is seconds since the start, `after` the n-th event of the fault's kind, `p` the chance at each. `for` is seconds; a
number with an `x` (`"3x"`) is so many events. Names of the gateway's side are those of the simulator's catalogue, names
that begin with proc, clock, disk, sched, worker and person are the harness's own.
"""

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from dst.kill_points import KILL_POINTS


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of a plan. Exactly one of `at`, `after`, `p` is set."""

    id: str
    name: str
    at: float | None = None  # s since the start of the run
    after: int | None = None
    p: float | None = None
    seconds: float | None = None  # how long it lasts
    events: int | None = None  # or for how many events
    args: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """As JSON text, the way `parse` reads it."""
        entry: dict[str, Any] = {"id": self.id, "name": self.name}
        when = {"at": self.at, "after": self.after, "p": self.p}
        entry |= {name: value for name, value in when.items() if value is not None}
        if self.seconds is not None:
            entry["for"] = self.seconds
        elif self.events is not None:
            entry["for"] = f"{self.events}x"
        if self.args:
            entry["args"] = self.args
        return json.dumps(entry)


def parse(lines: Iterable[str]) -> list[Fault]:
    """The faults of a plan; ValueError on a line that is none."""
    found = []
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = json.loads(line)
        lasts = entry.get("for")
        times = isinstance(lasts, str)
        whens = [entry.get("at"), entry.get("after"), entry.get("p")]
        if sum(when is not None for when in whens) != 1 or "name" not in entry:
            raise ValueError(f"a fault has a name and one of at, after and p: {line}")
        found.append(
            Fault(
                entry.get("id", f"f{len(found) + 1}"),
                entry["name"],
                *whens,
                None if times or lasts is None else float(lasts),
                int(lasts[:-1]) if times else None,
                entry.get("args", {}),
            )
        )
    return found


# -------------------------------------------------------------------------------------------------- plans from a seed
Maker = Callable[[random.Random], tuple[dict[str, Any], float | None]]  # -> args, seconds


def _way(rng: random.Random) -> tuple[dict[str, Any], float | None]:
    """What becomes of a request and, apart from it, of its answer."""
    args: dict[str, Any] = {
        "outcome": rng.choice(["accepted", "accepted", "accepted", "never"]),
        "answer": rng.choice(["ok", "drop", "delay", "garble", "reset"]),
    }
    if rng.random() < 0.3:
        args["deliver_after"] = round(rng.choice([0.3, 2.0, 12.0, 30.0, 45.0]) * rng.uniform(0.5, 1.0), 2)
    if args["answer"] == "delay":
        args["answer_after"] = round(rng.choice([1.0, 5.0, 7.9, 9.0]) * rng.uniform(0.6, 1.0), 2)
    if rng.random() < 0.15:
        args["twice"] = True
    return args, None


def _none(rng: random.Random) -> tuple[dict[str, Any], float | None]:
    return {}, None


def _some_seconds(*choices: float, **fixed: Any) -> Maker:
    return lambda rng: (dict(fixed), round(rng.choice(choices) * rng.uniform(0.6, 1.4), 2))


def _one(name: str, *values: Any) -> Maker:
    return lambda rng: ({name: rng.choice(values)}, None)


def _status(rng: random.Random) -> tuple[dict[str, Any], float | None]:
    args: dict[str, Any] = {"status": rng.choice([401, 429, 429, 500, 502, 503])}
    if args["status"] == 429 and rng.random() < 0.5:
        args["retry_after"] = rng.choice([1, 5, 20])
    args["handled"] = rng.random() < 0.4
    return args, rng.choice([None, 2.0, 8.0, 20.0])


def _bracket(rng: random.Random) -> tuple[dict[str, Any], float | None]:
    kind = rng.choice(["drop", "reject", "suspended", "no_oco", "cancel_later", "wrong_size", "wrong_price"])
    args: dict[str, Any] = {"kind": kind, "which": rng.choice(["sl", "tp", "both"])}
    args |= {"size": 1, "ticks": rng.choice([20, 200]), "after": rng.choice([0.5, 5.0])}
    return args, None


def _partial(rng: random.Random) -> tuple[dict[str, Any], float | None]:
    sizes = [1] * rng.randrange(0, 4)
    return {"sizes": sizes, "delays": [round(rng.uniform(0, 4), 1) for _ in sizes]}, None


def _reject(rng: random.Random) -> tuple[dict[str, Any], float | None]:
    call = rng.choice(["place", "place", "cancel", "close", "modify"])
    return {"call": call, "code": rng.choice([2, 3, 4, 5, 6]), "with_id": rng.random() < 0.4}, None


def _kill_point(rng: random.Random) -> tuple[dict[str, Any], float | None]:
    return {"point": rng.choice(sorted(KILL_POINTS)), "down": round(rng.uniform(0.3, 4.0), 2)}, None


def _kill(rng: random.Random) -> tuple[dict[str, Any], float | None]:
    down = rng.choice([0.3, 1.0, 3.0, 20.0]) * rng.uniform(0.5, 1.5)
    args: dict[str, Any] = {"down": round(down, 2)}
    if rng.random() < 0.3:
        args["again_after"] = round(rng.uniform(0.05, 3.0), 3)  # a second death, during recovery
    return args, None


def _body(rng: random.Random) -> tuple[dict[str, Any], float | None]:
    return {"kind": rng.choice(["null_list", "garbage", "empty"])}, rng.choice([2.0, 6.0])


def _human(rng: random.Random) -> tuple[dict[str, Any], float | None]:
    return {"side": rng.choice([1, -1]), "size": rng.choice([1, 2])}, None


DAMAGES = ("flip_db", "flip_wal", "flip_head", "cut_wal", "no_wal", "no_head", "old", "wipe")
# name -> (weight, how it begins: "at" a time or "after" n events, arguments)
RANDOM: dict[str, tuple[int, str, Maker]] = {
    "order.place": (6, "after", _way),
    "order.cancel": (2, "after", _way),
    "order.modify": (1, "after", _way),
    "position.close": (4, "after", _way),
    "order.partial": (3, "at", _partial),
    "order.reject": (3, "at", _reject),
    "order.cancel_race": (1, "at", _none),
    "order.orphan": (2, "at", _one("kind", "entry", "leg", "suspended")),
    "bracket": (5, "at", _bracket),
    "fill.slip": (2, "at", _one("ticks", 3, 10, 60)),
    "rest.status": (4, "at", _status),
    "rest.html": (1, "at", _some_seconds(3, 15)),
    "rest.hang": (2, "at", _some_seconds(3, 15, 40)),
    "rest.refused": (2, "at", _some_seconds(3, 15, 60)),
    "rest.latency": (2, "at", _some_seconds(5, 30, seconds=1.5)),
    "rest.body": (2, "at", _body),
    "rest.stale_read": (3, "at", _some_seconds(2, 8, 20, age=4.0)),
    "auth.expire": (2, "at", _none),
    "auth.refuse": (1, "at", _some_seconds(5, 20, code=3)),
    "userhub.drop": (3, "at", _some_seconds(0.1, 10, 60)),
    "userhub.blackhole": (2, "at", _some_seconds(10, 60)),
    "userhub.mute": (2, "at", _some_seconds(10, 60)),
    "userhub.withhold": (3, "at", lambda rng: ({"kind": rng.choice(["order", "trade", "position"])}, 30.0)),
    "userhub.dup": (2, "at", _some_seconds(20, 60)),
    "userhub.reorder": (3, "at", _some_seconds(20, 60, seconds=1.0)),
    "userhub.logout": (1, "at", _none),
    "ws.drop": (2, "at", _some_seconds(1, 10, 40)),
    "ws.mute": (2, "at", _some_seconds(4, 15, 40)),
    "ws.latency": (1, "at", _some_seconds(10, 30, seconds=4.0)),
    "market.gap": (4, "at", _one("ticks", 20, 80, 300, -20, -80, -300)),
    "market.halt": (2, "at", _some_seconds(5, 30)),
    "market.chase": (3, "at", _some_seconds(20, 60)),
    "human.trade": (2, "at", _human),
    "human.cancel": (2, "at", _one("which", "stops", "targets", "all")),
    "human.flatten": (1, "at", _none),
    "account.lock": (1, "at", _some_seconds(20, 600)),
    "account.liquidate": (1, "at", _none),
    "account.mutate_position": (1, "at", _one("size", 1, -1, 0)),
    "proc.kill": (4, "at", _kill),
    "proc.kill_point": (6, "at", _kill_point),
    "disk.full": (2, "at", _some_seconds(3, 20, 60)),
    "disk.error": (1, "at", _some_seconds(0.5, 5)),
    "disk.slow": (2, "at", _some_seconds(5, 20, seconds=2.0)),
    "disk.damage": (3, "at", _one("how", *DAMAGES)),
    "clock.step": (2, "at", _one("seconds", 0.4, 1.5, -1.5, 30, -30, 3600, -3600, 86400)),
    "clock.suspend": (2, "at", _some_seconds(1, 5, 30, 240)),
    "sched.starve": (2, "at", _some_seconds(0.5, 3, 10)),
    "worker.flood": (1, "at", _some_seconds(1)),
    "worker.stale": (2, "at", _some_seconds(10)),
    "worker.repeat": (2, "at", _some_seconds(20)),
    "person.pause": (2, "at", _none),
    "person.resume": (3, "at", _none),
    "person.flatten": (2, "at", _none),
    "person.kill": (1, "at", _none),
    "person.stop": (1, "at", _none),
}  # fmt: skip


def draw(rng: random.Random, length_s: float, count: int) -> list[Fault]:
    """A plan of `count` faults in `length_s` seconds."""
    names = list(RANDOM)
    weights = [RANDOM[name][0] for name in names]
    return [
        make(rng, f"f{number + 1}", name, length_s) for number, name in enumerate(rng.choices(names, weights, k=count))
    ]


def make(rng: random.Random, fault_id: str, name: str, length_s: float) -> Fault:
    """One fault of a kind with arguments by chance."""
    _, begins, maker = RANDOM[name]
    args, seconds = maker(rng)
    if begins == "after":
        return Fault(fault_id, name, after=rng.randrange(1, 6), args=args, seconds=seconds)
    return Fault(fault_id, name, at=round(rng.uniform(5.0, length_s), 2), args=args, seconds=seconds)
