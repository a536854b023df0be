"""What the ended hypothetical brackets of tbot_ext.outcome_book are worth, in units of their own risk and after costs.

R is the distance from entry to stop. A bracket that reaches its stop loses more than 1 R: a tick of slippage and the
round trip's costs come on top; one that reaches its target wins less than target / risk by the same costs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import Product
from tbot_ext.outcome_book import ENDS, FATES, STAGES

Rows = npt.NDArray[np.void]
Floats = npt.NDArray[np.float64]

KINDS = ("ob", "fvg", "ifvg", "breaker", "mitigation")  # in the order of HeldKind
HORIZON_MIN = 240  # a bracket that reached nothing in four hours ends: the day's flat-by time would end most of them
STOP_SLIP_TICKS = 1
_TRIGGER, _UNCLEAN = STAGES.index("trigger"), ENDS.index("unclean")
_SIGNAL, _BELOW_COST = FATES.index("signal"), FATES.index("target_below_cost")
CALM, LIVELY = 0.8, 1.25


def counts(rows: Rows) -> npt.NDArray[np.bool_]:
    """Which outcomes say something about the pattern as it is traded.

    Those of triggered setups whose target is worth its costs and whose result is known. Of several triggers of one
    test the first, and the one that was a signal: the later ones look at the same market again.
    """
    first = (rows["nth"] == 1) | (rows["fate"] == _SIGNAL)
    known = (rows["stage"] == _TRIGGER) & (rows["end"] != _UNCLEAN) & (rows["fate"] != _BELOW_COST)
    return np.asarray(first & known, bool)


def ticks_of(rows: Rows) -> npt.NDArray[np.int64]:
    """Result before costs."""
    return np.asarray((rows["exit"] - rows["entry"]) * rows["side"].astype(np.int64), np.int64)


def results_r(rows: Rows, product: Product) -> Floats:
    """Result of one contract after costs, in R."""
    side = rows["side"].astype(np.int64)
    risk_cents = (rows["entry"] - rows["stop"]) * side * product.tick_value_cents
    return np.asarray((ticks_of(rows) * product.tick_value_cents - product.round_turn_cents) / risk_cents, float)


def needed(rows: Rows, product: Product) -> tuple[Floats, Floats]:
    """(share of brackets that must reach the target so that nothing is lost, what lies between both ends in R).

    The expectation of a bracket that reaches its target with probability p is (p - needed) * span.
    """
    side = rows["side"].astype(np.int64)
    risk = (rows["entry"] - rows["stop"]) * side
    loss = (risk + STOP_SLIP_TICKS) * product.tick_value_cents + product.round_turn_cents
    span = (risk + STOP_SLIP_TICKS + (rows["target"] - rows["entry"]) * side) * product.tick_value_cents
    return np.asarray(loss / span, float), np.asarray(span / (risk * product.tick_value_cents), float)


def trend_name(row: Any) -> str:
    """The 1h trend beside the trade."""
    return {1: "with", -1: "against"}.get(int(row["trend"]), "none")


def pace_name(row: Any, entry_timeframe_min: int = 1) -> str:
    """How lively the minute was beside the hour: both average true ranges, the shorter scaled by the root of time."""
    if not row["hour_known"]:
        return "unknown"
    ratio = float(row["atr_entry"]) * (60 / entry_timeframe_min) ** 0.5 / float(row["atr_hour"])
    return "calm" if ratio < CALM else "lively" if ratio > LIVELY else "usual"


@dataclass(frozen=True, slots=True)
class PatternWeight:
    """What one pattern's score is multiplied by, and what that rests on."""

    kind: str
    timeframe_min: int
    weight: float
    outcomes: int  # of this contract, kind and timeframe
    edge_r: float  # expectation that the weight rests on


@dataclass(frozen=True, slots=True)
class DayWeights:
    """The weights of one contract for one trading day. Patterns that are not named have weight 1."""

    day_start_ns: int
    version: str  # names the weights of all contracts; "": nothing has been learned
    patterns: tuple[PatternWeight, ...] = ()

    def of(self, kind: str, timeframe_min: int) -> PatternWeight:
        """Of one pattern."""
        for pattern in self.patterns:
            if (pattern.kind, pattern.timeframe_min) == (kind, timeframe_min):
                return pattern
        return PatternWeight(kind, timeframe_min, 1.0, 0, 0.0)
