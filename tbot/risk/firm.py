"""The firm's rules of one account, as numbers (topstep-rules.md; TR1 to TR12 of its section 9).

All money in integer cents. Which numbers belong to which account stands, with source and date of reading, in
`tbot/data/topstep.toml`; the owner may tighten them
in the configuration. What of them has been reached: `risk/floor.py`.
"""

from dataclasses import dataclass
from typing import Literal

Stage = Literal["practice", "combine", "funded"]


@dataclass(frozen=True, slots=True)
class FirmRules:
    """Rules of one account; the defaults are those of a 50K Combine."""

    stage: Stage = "combine"
    start_cents: int = 5_000_000  # S: starting balance; 0 of a funded (XFA) account
    max_loss_cents: int = 200_000  # D: distance of the floor (MLL)
    lock_above_floor_cents: int = 30_000  # TR2: flatten and lock at floor + this
    ban_above_floor_cents: int = 50_000  # TR2: no entries at floor + this
    target_cents: int = 300_000  # TR11; 0: none (funded)
    day_profit_stop_cents: int = 150_000  # TR6; 0: none
    max_micros: int = 50  # TR5, plan limit in micro equivalents
    scaling: tuple[tuple[int, int], ...] = ()  # TR5, funded: (balance from, micros), by the prior day's close
