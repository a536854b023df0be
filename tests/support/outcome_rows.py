"""Outcomes of hypothetical trades, made by hand."""

from collections.abc import Sequence

import numpy as np

from tbot.strategy.outcomes import KINDS
from tbot_ext.outcome_book import ENDS, FATES, OUTCOME_DTYPE, STAGES

DAY_NS = 86_400 * 1_000_000_000
NOON_NS = 1_794_938_400 * 1_000_000_000  # Tuesday 2026-11-17, 12:00 in Chicago
RISK, REWARD = 40, 80  # ticks


def outcome(
    at_ns: int = NOON_NS,
    won: bool = True,
    *,
    kind: str = "ob",
    minutes: int = 15,
    side: int = 1,
    stage: str = "trigger",
    fate: str = "signal",
    end: str = "",
    together: int = 1,
    nth: int = 1,
    zone_id: int = 7,
    score: float = 60.0,
    weight: float = 1.0,
) -> np.ndarray:
    """One outcome as an array of one. A winner reaches its target, a loser its stop with a tick of slippage."""
    row = np.zeros(1, OUTCOME_DTYPE)
    row["decided_ns"], row["ended_ns"], row["resolved_ns"] = at_ns - 600 * 1_000_000_000, at_ns, at_ns
    row["born_ns"] = at_ns - 3_600 * 1_000_000_000
    row["zone_id"], row["test"], row["nth"], row["together"], row["bars"] = zone_id, 1, nth, together, 10
    row["entry"], row["stop"], row["target"] = 100_000, 100_000 - side * RISK, 100_000 + side * REWARD
    row["exit"] = 100_000 + side * (REWARD if won else -RISK - 1)
    row["kind"], row["timeframe_min"], row["side"] = KINDS.index(kind), minutes, side
    row["stage"], row["fate"] = STAGES.index(stage), FATES.index(fate)
    row["end"] = ENDS.index(end or ("target" if won else "stop"))
    row["score"], row["weight"], row["contract_id"] = score, weight, 1
    return row


def joined(rows: Sequence[np.ndarray]) -> np.ndarray:
    """As one array, in order of their resolution."""
    whole = np.concatenate([np.zeros(0, OUTCOME_DTYPE), *rows])
    return whole[np.argsort(whole["resolved_ns"], kind="stable")]
