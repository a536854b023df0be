"""V5: does a rule earn more on the real path of prices than on paths on which nothing can be earned?

The rule (detectors and brackets, or a whole strategy) is run anew on each null path (`validation.paths`: stationary
bootstrap, permutation within minutes of the day, sign flips), and its expectancy on the real path is placed among
those. A rule that trades nothing on a path earned nothing there: 0 R. One-sided Monte Carlo p-values, then adjusted for
how many rules were tried (Benjamini, Hochberg; `validation.multiple`).

All rules of one call see the same null paths, so their p-values depend on each other as the rules do (positively, as a
rule). With n draws no p-value is below 1 / (n + 1): with m rules at least m / 0.05 draws are needed for a single one to
count.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tbot.errors import DataError
from tbot.validation.multiple import adjusted, monte_carlo_p, percentile_of
from tbot.validation.paths import Bars, Unit, bootstrap_bars, checked, flip_bars, permute_bars

PathNull = Literal["bootstrap", "permute", "flip"]

RATE = 0.05


@dataclass(frozen=True, slots=True)
class Earned:
    """What one rule gave on one path: trades and mean result in R."""

    trades: int
    expectancy_r: float


Rules = Callable[[Bars], Mapping[str, Earned]]  # all rules over 1m bars, by name


@dataclass(frozen=True, slots=True)
class PathTest:
    """One rule on the real path, among the null paths. Percentile 0 to 100, ties half."""

    rule: str
    trades: int
    expectancy_r: float
    draw_trades: float  # means over the draws
    draw_expectancy_r: float
    percentile: float
    p: float
    p_adjusted: float

    @property
    def better(self) -> bool:
        """Distinguishable from null paths, at the rate of false discoveries `RATE`."""
        return self.p_adjusted <= RATE


@dataclass(frozen=True, slots=True)
class PathsResult:
    """All rules of one call."""

    null: PathNull
    draws: int
    tests: tuple[PathTest, ...]


def null_path(
    bars: Bars, null: PathNull, rng: np.random.Generator, *, mean_block: float = 60.0, unit: Unit = "ticks"
) -> Bars:
    """One path of the null; `mean_block` in bars for bootstrap and flip (one coin for so many bars)."""
    if null == "bootstrap":
        return bootstrap_bars(bars, rng, mean_block=mean_block, unit=unit)
    if null == "permute":
        return permute_bars(bars, rng, unit=unit)
    return flip_bars(bars, rng, mean_run=mean_block, unit=unit)


def path_null(
    bars: Bars,
    rules: Rules,
    null: PathNull,
    *,
    draws: int,
    rng: np.random.Generator,
    mean_block: float = 60.0,
    unit: Unit = "ticks",
    progress: Callable[[int, int], None] | None = None,
) -> PathsResult:
    """Run `rules` on the real bars and on `draws` null paths of them. DataError for no draws, bars that are none
    (`paths.checked`), or when no rule made a trade on the real path."""
    if draws < 1:
        raise DataError("a null needs at least one draw; some hundreds mean something")
    real = {name: earned for name, earned in rules(checked(bars)).items() if earned.trades}
    if not real:
        raise DataError("nothing was traded on the real bars, so there is nothing to test; give more data")
    nothing = Earned(0, 0.0)
    found = {name: np.zeros((draws, 2)) for name in real}
    for number in range(draws):
        drawn = rules(null_path(bars, null, rng, mean_block=mean_block, unit=unit))
        for name, table in found.items():
            earned = drawn.get(name, nothing)
            table[number] = earned.trades, earned.expectancy_r if earned.trades else 0.0
        if progress is not None:
            progress(number + 1, draws)
    values = {name: monte_carlo_p(real[name].expectancy_r, table[:, 1]) for name, table in found.items()}
    fair = dict(zip(values, adjusted(np.array(list(values.values()))).tolist(), strict=True))
    tests = []
    for name, earned in real.items():
        trades, drawn_r = found[name].mean(axis=0).tolist()
        place = percentile_of(earned.expectancy_r, found[name][:, 1])
        tests.append(
            PathTest(name, earned.trades, earned.expectancy_r, trades, drawn_r, place, values[name], fair[name])
        )
    return PathsResult(null, draws, tuple(tests))
