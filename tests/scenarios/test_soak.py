"""Five minutes of the running engine with a fault every ten seconds, from a seed; then calm, and all must be well.

Faults of network, gateway, orders and processes one upon another; the venue's own books are looked at five times a
second. Real-process bounds are three times those of the failure model (design ruling 27).
"""

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine_runs import Command, assert_nothing_left, until
from scripted_trader import Cue
from session_run import Referee, assert_journal_is_whole, assert_venue_was_spared, session, truth_of
from session_tape import MINUTE, START

SOAK_S, EVERY_S, SPEED = 300, 10, 20
MINUTES = 200
SYMBOLS = {"MNQ": 100_000, "MES": 28_000, "MGC": 40_000}
GROWTH = 8 * 2**20  # bytes of private memory from a third of the soak to its end; measured: below one million
NAKED_S = 3 * 10.0  # with a dead or deaf executor in between: protected or flat 10 s after it is back, times three

# What happens at once (at), stays on for a while (at, for), or hits the next event that fits (after).
GATEWAY: tuple[dict[str, Any], ...] = (
    {"name": "ws.drop", "at": 0, "args": {"hub": "market"}},
    {"name": "ws.drop", "at": 0, "args": {"hub": "user", "mode": "close1001"}},
    {"name": "ws.latency", "at": 0, "for": 5, "args": {"seconds": 2}},
    {"name": "ws.stall", "at": 0, "for": 4},
    {"name": "ws.freeze", "at": 0, "for": 8, "args": {"hub": "market"}},
    {"name": "ws.malformed", "after": 1, "args": {"kind": "broken"}},
    {"name": "ws.dup", "after": 1, "args": {"copies": 3}},
    {"name": "userhub.mute", "at": 0, "for": 15},
    {"name": "userhub.withhold", "after": 1, "args": {"kind": "trade"}},
    {"name": "userhub.dup", "after": 1, "args": {"copies": 2}},
    {"name": "userhub.reorder", "after": 1, "args": {"by": 3}},
    {"name": "rest.status", "after": 1, "args": {"status": 503}},
    {"name": "rest.status", "after": 1, "args": {"status": 429}},
    {"name": "rest.hang", "after": 1},
    {"name": "order.place", "after": 1, "args": {"outcome": "accepted", "answer": "drop"}},
    {"name": "order.partial", "after": 1, "args": {"sizes": [2]}},
    {"name": "bracket.drop", "after": 1},
    {"name": "auth.expire", "at": 0},
)
PROCESSES = ("executor", "feed", "worker-MNQ", "worker-MES")


class Watch:
    """How long the venue's books showed a position without a working stop."""

    def __init__(self) -> None:
        self.since_s: dict[str, float] = {}
        self.worst_s = 0.0

    def look(self, account: dict[str, Any]) -> None:
        now_s = time.monotonic()
        held = {position["contract"]: position["size"] for position in account["positions"] if position["size"]}
        for contract, size in held.items():
            stops = sum(
                order["size"] - order["filled"]
                for order in account["orders"]
                if order["contract"] == contract and order["status"] == "open" and order["order_type"] == "stop"
                and order["side"] * size < 0
            )  # fmt: skip
            if stops < abs(size):
                self.worst_s = max(self.worst_s, now_s - self.since_s.setdefault(contract, now_s))
            else:
                self.since_s.pop(contract, None)
        self.since_s = {contract: at for contract, at in self.since_s.items() if contract in held}


def private_bytes(engine: Command) -> dict[str, int]:
    """Memory that each process has for itself alone (USS: shared rings do not count), by name; without the dead."""
    pids = {name: int(told["pid"]) for name, told in engine.status()["processes"].items()}
    found = {}
    for name, pid in {"launcher": engine.process.pid, **pids}.items():
        try:
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found[name] = process.memory_full_info().uss
        except (psutil.Error, ValueError):
            continue
    return found


def disturb(engine: Command, referee: Referee, chance: random.Random, number: int) -> str:
    """One fault, from the seed."""
    if chance.random() < 0.25:
        name = chance.choice(PROCESSES)
        pid = int(engine.status()["processes"][name]["pid"])
        blow = signal.SIGSTOP if chance.random() < 0.5 else signal.SIGKILL
        if pid and psutil.pid_exists(pid):
            os.kill(pid, blow)
        return f"{blow.name} {name}"
    fault = {"id": f"soak-{number}", **chance.choice(GATEWAY)}
    referee.add(fault)
    return str(fault["name"])


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1])
def test_five_minutes_with_a_fault_every_ten_seconds(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    prices = {name: [(0.0, base), (float(MINUTES), base + 20 * MINUTES)] for name, base in SYMBOLS.items()}
    minutes = range(3, MINUTES - 5)
    cues = [
        Cue(name, START + minute * MINUTE, 1, 60, 60)
        for minute in minutes
        for index, name in enumerate(SYMBOLS)
        if minute % 3 == index
    ]
    watch, said = Watch(), []
    early: dict[str, int] = {}
    with session(tmp_path, prices, cues, speed=SPEED) as (engine, referee):
        run_dir, journal = engine.run_dir(), engine.journal()
        end_s, next_s, number = time.monotonic() + SOAK_S, time.monotonic(), 0
        while time.monotonic() < end_s:
            if time.monotonic() >= next_s:
                next_s += EVERY_S
                number += 1
                if not early and number > SOAK_S / EVERY_S / 3:
                    early = private_bytes(engine)
                said.append(disturb(engine, referee, chance, number))
            watch.look(referee.account())
            assert engine.process.poll() is None, f"{said}: {engine.stderr}"
            time.sleep(0.2)  # a pause between looks, no synchronisation
        referee.calm()
        until(lambda: engine.status()["state"] in ("ACTIVE", "LOCKED"), f"calm after {said}", 120, engine.status)
        assert watch.worst_s <= NAKED_S, (watch.worst_s, said)
        late = private_bytes(engine)
        grown = {name: late[name] - early[name] for name in early.keys() & late.keys()}
        print(f"soak: private memory at a third {early}, at the end {late}")
        assert {"launcher", "executor", "feed"} <= grown.keys()
        assert all(more <= GROWTH for more in grown.values()), grown
        engine.interrupt()
        code, _ = engine.finish(90)
        assert code == 0, engine.stderr
        assert_nothing_left(engine, run_dir)
        assert_venue_was_spared(referee)
        assert truth_of(referee.account())["pnl_cents"] > -80_000
    assert_journal_is_whole(journal)
    print(f"soak: {number} faults, longest without a stop {watch.worst_s:.1f} s: {said}")
