"""V5: what price might have done by chance: other paths of 1m bars with the same times.

A bar is told by four moves: the gap from the close before it, and from its open to its high, low and close. The nulls
put moves of real bars in another order, or turn them round, and join them again; so every path is one of valid bars
in whole ticks, begins where the real one began, and keeps times, flags and timeframes. Volume, trades and delta go
with their bar.

* `bootstrap_bars`: bars drawn in blocks (stationary bootstrap; Politis, Romano 1994): keeps what happens within a
  block, such as runs and clusters of volatility; loses the shape of the day beyond it.
* `permute_bars`: each minute of the day permuted over the days: keeps the shape of the day and the total move exactly;
  loses everything between minutes (the bar permutation of Masters, "Permutation and randomization tests for trading
  system development", 2020, with his one pool replaced by one per minute).
* `flip_bars`: moves change their sign at random: keeps times and sizes of all moves, clusters of volatility too; loses
  direction (sign test of a symmetric null; Efron, J. Amer. Statist. Assoc. 64, 1969).

Moves are differences in ticks, or in logarithms of price (for long spans over which the level changes; prices are
rounded to ticks once, at the end, so that no error adds up). Gaps over a break in trading are put over breaks only.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from tbot.errors import DataError
from tbot.validation.bootstrap import stationary_indices
from tbot.validation.trips import Bools, Floats, Ints
from tbot_ext.records import BAR_DTYPE

Bars = npt.NDArray[np.void]  # BAR_DTYPE, one contract and timeframe, in order of time
Unit = Literal["ticks", "log"]

NS_PER_MIN = 60_000_000_000
BREAK_NS = 30 * NS_PER_MIN  # a longer silence is a break in trading
MINUTES_A_DAY = 1440
START_NS = 1_699_999_200_000_000_000  # 2023-11-14 22:00 UTC, an hour before the exchange's day begins
_WITH_THE_BAR = ("volume", "delta", "trades")


@dataclass(frozen=True, slots=True, eq=False)
class _Moves:
    """Of each bar, in ticks or logarithms: gap from the close before it (0 of the first), then from its open."""

    gap: Floats
    up: Floats
    down: Floats
    body: Floats

    def take(self, source: Ints) -> "_Moves":
        return _Moves(self.gap[source], self.up[source], self.down[source], self.body[source])


def bootstrap_bars(bars: Bars, rng: np.random.Generator, *, mean_block: float = 60.0, unit: Unit = "ticks") -> Bars:
    """Another path by drawing blocks of `mean_block` bars on the average. DataError as `checked`, or for a mean block
    below 1."""
    moves, after_break = _moves(checked(bars), unit), breaks(bars)
    if not len(bars):
        return bars.copy()
    source = stationary_indices(len(bars), mean_block, 1, rng)[0]
    drawn = moves.take(source)
    # A gap that does not fit its new place (over a break where there is none, or the other way) is drawn anew from
    # those that do. The first bar has no gap to give.
    wrong = (after_break[source] != after_break) | (source == 0)
    gap = drawn.gap.copy()
    for kind in (False, True):
        pool = moves.gap[1:][after_break[1:] == kind]
        places = np.flatnonzero(wrong & (after_break == kind))
        gap[places] = pool[rng.integers(0, len(pool), len(places))] if len(pool) else 0.0
    gap[0] = 0.0
    return _path(bars, replace(drawn, gap=gap), source, unit)


def permute_bars(bars: Bars, rng: np.random.Generator, *, slot: Ints | None = None, unit: Unit = "ticks") -> Bars:
    """Another path by permuting bars of equal `slot` (None: minute of the UTC day; give local minutes where the clocks
    change within the data). The first bar stays; bars after a break change places among themselves only."""
    moves, after_break = _moves(checked(bars), unit), breaks(bars)
    if not len(bars):
        return bars.copy()
    of_day = bars["start_ns"] // NS_PER_MIN % MINUTES_A_DAY if slot is None else np.asarray(slot, np.int64)
    if len(of_day) != len(bars):
        raise DataError(f"{len(of_day)} slots were given for {len(bars)} bars; give one for each")
    group = 2 * (of_day - of_day.min()) + after_break
    group[0] = -1
    source = np.empty(len(bars), np.int64)
    source[np.argsort(group, kind="stable")] = np.lexsort((rng.random(len(bars)), group))
    return _path(bars, moves.take(source), source, unit)


def flip_bars(bars: Bars, rng: np.random.Generator, *, mean_run: float = 1.0, unit: Unit = "ticks") -> Bars:
    """Another path by turning moves upside down with probability 1/2; one coin serves `mean_run` bars on the average
    (1: each bar its own), which keeps short runs as runs. DataError for a mean run below 1."""
    if mean_run < 1:
        raise DataError(f"one coin cannot serve {mean_run} bars on the average; give 1 or more")
    moves = _moves(checked(bars), unit)
    if not len(bars):
        return bars.copy()
    coins = rng.integers(0, 2, len(bars)) * 2 - 1
    fresh = rng.random(len(bars)) < 1 / mean_run
    fresh[0] = True
    sign = coins[np.maximum.accumulate(np.where(fresh, np.arange(len(bars)), 0))]
    up = np.where(sign > 0, moves.up, -moves.down)
    down = np.where(sign > 0, moves.down, -moves.up)
    out = _path(bars, _Moves(sign * moves.gap, up, down, sign * moves.body), np.arange(len(bars)), unit)
    out["delta"] *= sign
    return out


def random_walk_bars(
    n: int,
    rng: np.random.Generator,
    *,
    start_ns: int = START_NS,
    open_ticks: int = 80_000,
    move_ticks: float = 20.0,
    drift_ticks: float = 0.0,
    steps: int = 8,
    bars_a_day: int = MINUTES_A_DAY,
) -> Bars:
    """`n` 1m bars of a random walk: `move_ticks` is the standard deviation of a bar's move, made of `steps` normal
    steps rounded to ticks; each day has its first `bars_a_day` minutes. Without any edge by construction."""
    number = np.arange(n)
    step = np.rint(rng.normal(drift_ticks / steps, move_ticks / np.sqrt(steps), (n, steps))).astype(np.int64)
    path = open_ticks + np.cumsum(step.ravel()).reshape(n, steps)
    bars = np.zeros(n, BAR_DTYPE)
    minute = number // bars_a_day * MINUTES_A_DAY + number % bars_a_day
    bars["start_ns"] = start_ns + minute * NS_PER_MIN
    bars["close"] = path[:, -1]
    bars["open"] = np.concatenate([[open_ticks], path[:-1, -1]])[:n]
    bars["high"] = np.maximum(bars["open"], path.max(axis=1, initial=0))
    bars["low"] = np.minimum(bars["open"], path.min(axis=1, initial=np.iinfo(np.int64).max))
    bars["volume"] = rng.integers(1, 500, n)
    bars["trades"] = np.minimum(bars["volume"], steps)
    bars["timeframe_min"] = 1
    return checked(bars)


def breaks(bars: Bars) -> Bools:
    """Bars that begin more than `BREAK_NS` after the one before them."""
    silent = np.diff(bars["start_ns"]) > BREAK_NS
    return np.concatenate([[False], silent])[: len(bars)]


def checked(bars: Bars) -> Bars:
    """The same bars; DataError when they are not in order of time, or some are no bars of positive prices."""
    if (np.diff(bars["start_ns"]) <= 0).any():
        raise DataError("bars must be in order of time, of one contract and one timeframe")
    body_high, body_low = np.maximum(bars["open"], bars["close"]), np.minimum(bars["open"], bars["close"])
    if ((bars["high"] < body_high) | (bars["low"] > body_low) | (bars["low"] < 1)).any():
        raise DataError("a bar has its open or close outside its range, or a price below one tick")
    return bars


def _moves(bars: Bars, unit: Unit) -> _Moves:
    price = {name: _level(bars[name], unit) for name in ("open", "high", "low", "close")}
    gap = np.zeros(len(bars))
    gap[1:] = price["open"][1:] - price["close"][:-1]
    return _Moves(gap, price["high"] - price["open"], price["low"] - price["open"], price["close"] - price["open"])


def _level(price: Ints, unit: Unit) -> Floats:
    """Ticks stay whole numbers, which doubles add without error; else their logarithm."""
    return np.log(price) if unit == "log" else price.astype(np.float64)


def _path(bars: Bars, moves: _Moves, source: Ints, unit: Unit) -> Bars:
    """Bars with the times of `bars` and these moves; volume, trades and delta of the bars at `source`."""
    start = _level(bars["open"][:1], unit)
    opens = start + np.cumsum(moves.gap) + np.concatenate([[0.0], np.cumsum(moves.body)[:-1]])
    out = bars.copy()
    for name, move in (("open", 0.0), ("high", moves.up), ("low", moves.down), ("close", moves.body)):
        level = opens + move
        out[name] = np.rint(np.exp(level) if unit == "log" else level)
    out["high"] = np.maximum.reduce([out["open"], out["high"], out["close"]])
    out["low"] = np.minimum.reduce([out["open"], out["low"], out["close"]])
    for name in _WITH_THE_BAR:
        out[name] = bars[name][source]
    if out["low"].min() < 1:
        raise DataError("a path of tick differences fell below one tick; use logarithms of price for this span")
    return out
