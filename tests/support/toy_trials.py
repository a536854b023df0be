"""Trials of a sweep that take milliseconds: a market that rises by RISE ticks each day and falls, and who buys it.

Importable in workers. The option that matters is strategy.min_score: here it is the target's distance in ticks, so the
best is the largest value that the market reaches.
"""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from backtest_cases import T0, Tape
from plain_strategy.events import rows_of
from tbot.backtest.source import Source
from tbot.backtest.sweep import Outcome
from tbot.backtest.sweep_run import Task
from tbot.commands.sweep_work import backtest_trial
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Quote, Signal
from tbot.domain.timeframes import NS_PER_S
from tbot.storage.tape import TapeWriter, tape_meta
from tbot.strategy.filters import MarketView
from tbot.strategy.settings import StrategySettings
from tbot_ext.records import EventCode

RISE = 66
STOP = 30
BASE = 50_000  # ticks
_DAY_NS = 24 * 3600 * NS_PER_S


class Buyer:
    """Buys at the close of the first bar of each day; stop STOP ticks below, target `min_score` ticks above."""

    def __init__(self, contract: Any, settings: StrategySettings) -> None:
        self._contract, self._target = contract.symbol, int(settings.min_score)
        self._day = 0
        self.counters: dict[str, int] = {}

    def on_events(self, events: Any, view: MarketView) -> list[Signal]:
        for event in rows_of(events):
            if event.kind != EventCode.BAR or event.timeframe_min != 1 or event.known_ns // _DAY_NS == self._day:
                continue
            self._day = event.known_ns // _DAY_NS
            return [
                Signal(
                    signal_id=f"toy-{event.known_ns}", contract=self._contract, side=1,
                    quote=Quote(view.bid, view.ask, view.quote_ns, view.quote_seq, 0, view.epoch),
                    stop=view.ask - STOP, target=view.ask + self._target, score=80.0, reason="toy", zone_id=0,
                    zone_timeframe_min=5, parts={}, event_ids=(event.id,), params_hash="toy",
                    decided_ns=event.known_ns, ring_seq=view.ring_seq,
                )
            ]  # fmt: skip
        return []


def toy_trial(source: Source, task: Task) -> Outcome:
    """A backtest with Buyer in the place of the packaged strategy."""
    plan = replace(task.plan, make_trader=Buyer, trader_name="buyer")
    return backtest_trial(source, replace(task, plan=plan))


def traced_trial(source: Source, task: Task) -> Outcome:
    """toy_trial that leaves a file for each call, with the worker's id, in the folder TBOT_TOY_TRACE."""
    (Path(os.environ["TBOT_TOY_TRACE"]) / f"{task.trial.number}-{os.getpid()}").touch()
    return toy_trial(source, task)


def endless_trial(source: Source, task: Task) -> Outcome:
    """Trials from the fourth on never end: what they wait for is to be killed."""
    outcome = traced_trial(source, task)
    while task.trial.number >= 3:
        time.sleep(0.05)
    return outcome


def dying_trial(source: Source, task: Task) -> Outcome:
    """The worker is gone in the middle of it."""
    os._exit(9)


def failing_trial(source: Source, task: Task) -> Outcome:
    """Fails at a target of 50."""
    if task.trial.params["strategy.min_score"] == 50:
        raise ZeroDivisionError("division by zero")
    return toy_trial(source, task)


def rising_tape(path: Path, days: int = 20) -> Path:
    """Weekdays that end at 2026-11-20; each day quiet for a minute and a bit, then up by RISE ticks and down."""
    parts, at = [], 0
    while len(parts) < days:
        t0 = T0 - at * _DAY_NS
        at += 1
        if (t0 // _DAY_NS + 3) % 7 < 5:  # 1970-01-01 was a Thursday
            parts.append(_day(t0, len(parts)))
    with TapeWriter(path, tape_meta([PRODUCTS["MNQ"]], "test")) as writer:
        for part in reversed(parts):
            writer.write(part)
    return path


def _day(t0: int, number: int) -> np.ndarray:
    """Every fifth day the market falls at once."""
    tape = Tape(t0=t0).quiet(0, 64, BASE, step_s=2)
    top = 0 if number % 5 == 4 else RISE
    path = [*range(0, top + 1, 3), *([top] if top % 3 else []), *range(top, -STOP - 20, -5)]
    for place, above in enumerate(path):
        tape.both(64 + 2 * place, BASE + above, size=20)
    return tape.quiet(64 + 2 * len(path), 64 + 2 * len(path) + 70, BASE - STOP - 20, step_s=10).ticks


def noise_outcomes(trials: int, days: int, seed: int, *, skill: float = 0.0) -> list[Outcome]:
    """Trials of one trip a day whose results are noise; trial 0 has `skill` standard deviations a day on top."""
    from tbot.validation.summary import daily_net
    from tbot.validation.sweeps import columns_of, metrics_of
    from tbot.validation.trips import Trips

    chance = np.random.default_rng(seed)
    found = []
    for number in range(trials):
        net = np.rint(10_000 * (chance.standard_normal(days) + (skill if number == 0 else 0.0))).astype(np.int64)
        day = np.arange(20_000, 20_000 + days, dtype=np.int64)
        close, ones = day * _DAY_NS, np.ones(days, np.int64)
        trips = Trips(net, net, close - 60 * NS_PER_S, close, day, 10_000 * ones, ones, ones, 50 * ones,
                      np.full(days, "MNQ"), 0 * ones)  # fmt: skip
        daily = dict(zip(day.tolist(), daily_net(trips).astype(np.int64).tolist(), strict=True))
        params = {"strategy.min_score": number}
        metrics = metrics_of(trips, day)
        found.append(Outcome(number, params, number, f"plan {number}", metrics, daily, columns_of(trips)))
    return found
