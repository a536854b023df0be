"""`tbot patterns evidence`: the two runs, and what they show in words."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tbot.backtest.plan import AccountPlan
from tbot.commands.past import backtest
from tbot.config import Config
from tbot.execution.settings import AccountSettings
from tbot.validation.bootstrap import Interval
from tbot.validation.learning_evidence import Evidence, compare


@dataclass(frozen=True)
class Gathered:
    """What was compared."""

    evidence: Evidence
    contracts: tuple[str, ...]
    plans: tuple[str, str]  # hashes: without and with learning
    data_hash: str


def gathered(paths: list[Path], config: Config, contracts: tuple[str, ...], seed: int) -> Gathered:
    """Play the data twice. The second run differs from the first in `[learning] mode` alone.

    Why without the firm's rules: an account that loses its room is out, and the days after it would show nothing.
    """
    account = AccountPlan(AccountSettings(1, "EVIDENCE"))
    runs = [
        backtest(
            [str(path) for path in paths],
            config=replace(config, learning=replace(config.learning, mode=mode)),
            contracts=contracts or None,
            accounts=(account,),
        )
        for mode in ("observe", "on")
    ]
    found = compare(runs[0], runs[1], np.random.default_rng(seed))
    return Gathered(found, runs[1].contracts, (runs[0].plan_hash, runs[1].plan_hash), runs[1].data_hash)


def evidence_document(told: Gathered) -> dict[str, Any]:
    """As `--json` tells it. Intervals are at 95 %; null: unknown."""
    found = told.evidence
    return {
        "schema": "tbot.patterns.evidence",
        "version": 1,
        "contracts": list(told.contracts),
        "data_hash": told.data_hash,
        "plan_off": told.plans[0],
        "plan_on": told.plans[1],
        "days": found.days,
        "outcomes": found.outcomes,
        "raised": {"n": found.raised, "mean_r": _known(found.raised_r)},
        "lowered": {"n": found.lowered, "mean_r": _known(found.lowered_r)},
        "gap_r": _interval(found.gap_r, 1),
        "off": {"trips": found.trips_off, "net_usd": found.net_off_cents / 100},
        "on": {"trips": found.trips_on, "net_usd": found.net_on_cents / 100},
        "day_gain_usd": _interval(found.day_gain_cents, 100),
        "verdict": found.verdict,
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _interval(value: Interval, scale: float) -> dict[str, float | None]:
    return {
        "estimate": _known(value.estimate / scale),
        "low": _known(value.low / scale),
        "high": _known(value.high / scale),
    }


def evidence_lines(told: Gathered) -> list[str]:
    """For a person."""
    found = told.evidence
    gain, gap = found.day_gain_cents, found.gap_r
    lines = [
        f"{', '.join(told.contracts)}: {found.days} trading days, {found.outcomes:,} triggered setups; each day with "
        "the weights of the days before it",
        f"raised {found.raised:,} at {_r(found.raised_r)}, lowered {found.lowered:,} at {_r(found.lowered_r)}; "
        + (
            f"difference {gap.estimate:+.3f} R ({gap.low:+.3f} to {gap.high:+.3f})"
            if math.isfinite(gap.low)
            else "their difference is not known"
        ),
        f"account without learning: {found.trips_off} trades, {found.net_off_cents / 100:+,.2f} USD; with it: "
        f"{found.trips_on} trades, {found.net_on_cents / 100:+,.2f} USD",
    ]
    if math.isfinite(gain.low):
        lines.append(
            f"gain of a day {gain.estimate / 100:+,.2f} USD (95 %: {gain.low / 100:+,.2f} to {gain.high / 100:+,.2f})"
        )
    return [*lines, f"verdict: {found.verdict}"]


def _r(value: float) -> str:
    return f"{value:+.3f} R" if math.isfinite(value) else "no result"
