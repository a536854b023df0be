"""The firm's rules of one account, as numbers (topstep-rules.md; TR1 to TR12 of its section 9).

All money in integer cents. Which numbers belong to which account stands, with source and date of reading, in
`tbot/data/topstep.toml`; `storage/firm_rules.py` reads it, and the owner may only tighten (`tightened`). What of them
has been reached: `risk/floor.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from tbot.errors import ConfigError

Stage = Literal["practice", "combine", "funded"]
STAGES: tuple[Stage, ...] = ("practice", "combine", "funded")


@dataclass(frozen=True, slots=True)
class FirmRules:
    """Rules of one account; the defaults are those of a 50K Combine. ConfigError when they contradict each other."""

    stage: Stage = "combine"
    start_cents: int = 5_000_000  # S: starting balance; 0 of a funded (XFA) account
    max_loss_cents: int = 200_000  # D: distance of the floor (MLL)
    lock_above_floor_cents: int = 30_000  # TR2: flatten and lock at floor + this
    ban_above_floor_cents: int = 50_000  # TR2: no entries at floor + this
    target_cents: int = 300_000  # TR11; 0: none (funded)
    day_profit_stop_cents: int = 150_000  # TR6; 0: none
    max_micros: int = 50  # TR5, plan limit in micro equivalents
    scaling: tuple[tuple[int, int], ...] = ()  # TR5, funded: (balance from, micros), by the prior day's close
    daily_loss_cents: int = 0  # TR3: the firm's own daily limit, where the account was bought with one; 0: none
    best_day_percent: int = 55  # TR11: the best day's largest share of the profit
    entries_per_product: int = 40  # TR10, per trading day
    actions_per_minute: int = 60  # TR10: entries and moved stops; one per second sustained
    product_limits: tuple[tuple[str, int], ...] = ()  # TR5: most contracts of a product, for the time being
    cpi_limits: tuple[tuple[str, int], ...] = ()  # TR5: most contracts of a product around a CPI release

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ConfigError(f"firm rule {name} is {value!r}; allowed: a whole number {low} to {high}")
        if self.stage not in STAGES:
            raise ConfigError(f"firm rule stage is {self.stage!r}; allowed: {', '.join(STAGES)}")
        if self.ban_above_floor_cents < self.lock_above_floor_cents:
            raise ConfigError("firm rule ban_above_floor_cents is below lock_above_floor_cents: entries would be lost")
        if self.ban_above_floor_cents >= self.max_loss_cents:
            raise ConfigError("firm rule ban_above_floor_cents leaves no room: the account could never trade")

    def floor_of(self, high_cents: int) -> int:
        """The loss floor (topstep-rules.md 2.1) when the highest closing balance of a day so far is `high_cents`."""
        return min(self.start_cents, high_cents - self.max_loss_cents)

    def target_of(self, best_day_cents: int) -> int:
        """Profit that passes, in cents, raised so far that the best day stays within its share; 0: no target.

        The firm does not publish how it raises the target; this is the smallest total at which the ratio fits.
        """
        if not self.target_cents:
            return 0
        return max(self.target_cents, -(-best_day_cents * 100 // self.best_day_percent))

    def position_limit(self, close_cents: int | None) -> int:
        """TR5: most micro equivalents of the account by the prior day's closing balance; None: not known yet.

        Which step holds at a balance exactly on its edge is not published: the lower one is taken.
        """
        if not self.scaling:
            return self.max_micros
        reached = [micros for above, micros in self.scaling[1:] if close_cents is not None and close_cents > above]
        return min(self.max_micros, reached[-1] if reached else self.scaling[0][1])


_MONEY = (0, 10**9)
_RANGES: dict[str, tuple[int, int]] = {
    "start_cents": _MONEY,
    "max_loss_cents": (1, 10**9),
    "lock_above_floor_cents": _MONEY,
    "ban_above_floor_cents": _MONEY,
    "target_cents": _MONEY,
    "day_profit_stop_cents": _MONEY,
    "max_micros": (0, 150),
    "daily_loss_cents": _MONEY,
    "best_day_percent": (1, 100),
    "entries_per_product": (1, 40),
    "actions_per_minute": (1, 60),
}

# What the owner may change, and in which direction it becomes tighter. The target: to stop earlier.
_TIGHTER: dict[str, Literal["lower", "higher"]] = {
    "max_loss_cents": "lower",
    "lock_above_floor_cents": "higher",
    "ban_above_floor_cents": "higher",
    "target_cents": "lower",
    "day_profit_stop_cents": "lower",
    "max_micros": "lower",
    "daily_loss_cents": "lower",
    "best_day_percent": "lower",
    "entries_per_product": "lower",
    "actions_per_minute": "lower",
}
_NONE_IF_ZERO = ("target_cents", "day_profit_stop_cents", "daily_loss_cents")


def tightened(rules: FirmRules, changes: Mapping[str, object]) -> FirmRules:
    """The rules with the owner's numbers; ConfigError for one that is unknown, no whole number, or looser."""
    for name, value in changes.items():
        if name not in _TIGHTER:
            raise ConfigError(f"firm rule {name!r} cannot be set; allowed: {', '.join(sorted(_TIGHTER))}")
        now = getattr(rules, name)
        if type(value) is not int:
            raise ConfigError(f"firm rule {name} is {value!r}; it must be a whole number")
        optional = name in _NONE_IF_ZERO
        if optional and (now == 0 or value == 0):
            looser = value == 0 and now != 0
        else:
            looser = value > now if _TIGHTER[name] == "lower" else value < now
        if looser:
            raise ConfigError(f"firm rule {name} is {value}; it may only be tightened, and the firm's is {now}")
    return replace(rules, **changes)  # type: ignore[arg-type]


def check_daily_limit(rules: FirmRules, daily_loss_cents: int) -> None:
    """TR3: our own daily limit lies below the firm's and below half of the floor's distance; else ConfigError.

    The default is C_DAILY_LOSS (800 USD) and not the 500 of topstep-rules.md section 9, because constants with a name
    win (design.md section 8, ruling 13). It lies within both bounds for every account that the firm sells.
    """
    firm = rules.daily_loss_cents
    if firm and daily_loss_cents >= firm:
        raise ConfigError(f"daily_loss_cents is {daily_loss_cents}; it must be below the firm's daily limit {firm}")
    if 2 * daily_loss_cents >= rules.max_loss_cents:
        half = f"half of the firm's loss limit {rules.max_loss_cents}"
        raise ConfigError(f"daily_loss_cents is {daily_loss_cents}; it must be below {half}")


_COMBINE_NAME = re.compile(r"(\d+)KTC-")
# Farther from its start balance no account gets: a Combine fails one loss limit below and stops at its target, two
# loss limits above; a funded account is paid out. Every account of another size or stage is farther away.
_MOST_LOSS_LIMITS = 10
_MOST_FUNDED_CENTS = 4_500_000  # the smallest Combine never falls below 48 000


def misfit(rules: FirmRules, name: str, balance_cents: int) -> str:
    """Why these cannot be the rules of an account of this name and balance, as a sentence; "" when they may be.

    A floor reckoned from the wrong start balance protects nothing, or closes everything at once; so a wrong size or
    stage in the configuration must show before it does either. Names: projectx-gateway.md 6.1 (Combine: 50KTC-...,
    practice: PRAC-..., funded: EXPRESS... unconfirmed, so no name is asked of it).
    """
    combine = _COMBINE_NAME.match(name)
    if combine and (rules.stage != "combine" or rules.start_cents != int(combine.group(1)) * 100_000):
        return f"account {name!r} is a {combine.group(1)}K Combine, but has rules of another account"
    if name.startswith("PRAC-") and rules.stage == "funded":
        return f"account {name!r} is a practice account, but has the rules of a funded one"
    away = balance_cents - rules.start_cents
    most = _MOST_FUNDED_CENTS if rules.stage == "funded" else _MOST_LOSS_LIMITS * rules.max_loss_cents
    if not -2 * rules.max_loss_cents <= away <= most:
        return f"a balance of {balance_cents} cents does not fit rules that start at {rules.start_cents} cents"
    return ""


@dataclass(frozen=True, slots=True)
class FirmFacts:
    """Where an account stands against its rules; what the gate is told of it."""

    rules: FirmRules
    known: bool  # its past days have been read; the rest means nothing before
    floor_cents: int = 0
    balance_cents: int = 0  # closed trades, the worse of the broker's word and our own sum
    equity_cents: int = 0  # with open positions at their adverse side, exit fees taken off
    proven_equity_cents: int = 0  # the same by our own sum alone: a single odd balance closes nothing (F-ACC-05)
    day_net_cents: int = 0  # realised today, by the broker's figures
    target_cents: int = 0  # profit that passes, raised for consistency; 0: none
    most_micros: int = 0  # by plan and scaling step
    actions: int = 0  # order actions of the last minute

    @property
    def headroom_cents(self) -> int:
        """What closed trades may still lose before the account is locked (TR4), open positions left out."""
        return self.balance_cents - self.floor_cents - self.rules.lock_above_floor_cents

    @property
    def target_reached(self) -> bool:
        """TR11, by closed trades."""
        return bool(self.target_cents) and self.balance_cents - self.rules.start_cents >= self.target_cents
