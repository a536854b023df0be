"""V15: one line that ends every report, whatever it says.

An edge is claimed only when nothing that was looked at speaks against it: enough trades, an interval of the expectancy
above zero, a deflated Sharpe ratio of 95 %, costs that could rise by half, and, where they are known, a probability of
overfitting below a half and a place above 95 % of random levels. Everything else is named as what it is.
"""

import math
from dataclasses import dataclass
from typing import Literal

from tbot.validation.bootstrap import Interval

ENOUGH_TRADES = 200
SURE = 0.95
HARDY_COSTS = 1.5  # multiple of its costs that a run must bear
Finding = Literal["no trades", "loses", "no evidence of an edge", "promising, not proven", "evidence of an edge"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The numbers of the line; None is "not known". Ticks are net, a trade and contract."""

    trades: int
    expectancy_ticks: Interval | None
    expectancy_cents: Interval | None  # net, a trade; over contracts of different tick values it may differ in sign
    deflated_sharpe: float | None
    trials: float  # effective number behind it
    pbo: float | None  # probability of backtest overfitting: of a sweep or of the ledger's trials
    null_percentile: float | None  # 0..100, of the levels among random ones
    dies_at: float | None  # multiple of the costs

    @property
    def provisional(self) -> bool:
        """Too few trades to say much."""
        return self.trades < ENOUGH_TRADES

    @property
    def finding(self) -> Finding:
        """What the numbers allow to say."""
        ticks, cents = self.expectancy_ticks, self.expectancy_cents
        if not self.trades or ticks is None or cents is None:
            return "no trades"
        if cents.high < 0:
            return "loses"
        if min(cents.low, ticks.low) <= 0 or self._against():
            return "no evidence of an edge"
        unknown = None in (self.deflated_sharpe, self.pbo, self.null_percentile)
        return "promising, not proven" if self.provisional or unknown else "evidence of an edge"

    def _against(self) -> bool:
        return (
            (self.deflated_sharpe is not None and self.deflated_sharpe < SURE)
            or (self.pbo is not None and self.pbo >= 0.5)
            or (self.null_percentile is not None and self.null_percentile < 100 * SURE)
            or (self.dies_at is not None and self.dies_at < HARDY_COSTS)
        )

    @property
    def line(self) -> str:
        """The verdict in words, one line."""
        mark = f" (PROVISIONAL: fewer than {ENOUGH_TRADES} trades)" if self.provisional else ""
        if not self.trades or self.expectancy_ticks is None or self.expectancy_cents is None:
            return f"VERDICT{mark}: no trades, so nothing can be said."
        cents = self.expectancy_cents.estimate
        parts = [
            "1 trade" if self.trades == 1 else f"{self.trades} trades",
            f"net {'-' if cents <= -0.5 else '+'}${abs(cents) / 100:.2f} a trade and "
            f"{_interval(self.expectancy_ticks)} ticks a trade and contract",
            f"deflated Sharpe {_share(self.deflated_sharpe)} of {self.trials:.1f} effective trials",
            "PBO " + _share(self.pbo, "not known (needs a sweep)"),
            "null percentile " + _percentile(self.null_percentile),
            _death(self.dies_at),
        ]
        return f"VERDICT{mark}: {self.finding}. " + ", ".join(parts) + "."


def _interval(value: Interval) -> str:
    if math.isinf(value.low):
        return f"{value.estimate:+.2f} (interval not known: too few days)"
    return f"{value.estimate:+.2f} ({100 * value.level:.0f} % {value.low:+.2f} to {value.high:+.2f})"


def _share(value: float | None, unknown: str = "not known") -> str:
    return unknown if value is None else f"{value:.2f}"


def _percentile(value: float | None) -> str:
    if value is None:
        return "not known"
    plain = "" if value >= 100 * SURE else " (not distinguishable from random levels)"
    return f"{math.floor(value)}{plain}"  # 94.9 is not 95


def _death(multiple: float | None) -> str:
    if multiple is None:
        return "costs not known"
    if multiple == 0:
        return "loses even without costs"
    return "bears any costs" if math.isinf(multiple) else f"dies at {multiple:.2f} x its costs"
