"""Signals on real bars: nothing said up to a bar depends on later ones, and the market upside down trades upside down.

The whole path is run: ticks, bars of five timeframes, detectors, trader. min_score 0, so that there is much to compare.
"""

from typing import Any

import numpy as np
import pytest

from bar_ticks import bar_ticks, no_history, signals_over
from sample_bars import SAMPLES, sample
from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.messages import Signal
from tbot.domain.timeframes import NS_PER_MIN
from tbot.strategy.decider import ContractDecider
from tbot.strategy.settings import StrategySettings

ANY_SCORE = StrategySettings(min_score=0.0)
MINUTE_FILES = [name for name, (_, _, minutes) in SAMPLES.items() if minutes == 1]
CUTS = 50
BARS = 700
QUICK = ("NQ", "ES-2025", "MNQ", "MES", "GC", "MGC", "ES-csv", "6E")  # the others are `long`
LONG_BARS = 6_000


def product_of(name: str) -> Product:
    return PRODUCTS[name.split("-")[0]]


def noisy(bars: np.ndarray, cut: int, rng: np.random.Generator) -> np.ndarray:
    """The bars before the cut, then forty that have nothing to do with those that came."""
    changed = bars[: cut + 40].copy()
    span = changed[cut:]
    prices = bars["close"][cut - 1] + np.sort(np.cumsum(rng.integers(-25, 26, (len(span), 4)), axis=0), axis=1)
    span["low"], span["open"], span["close"], span["high"] = prices.T
    span["volume"] = rng.integers(0, 500, len(span))
    return changed


def said_by(signals: list[Signal], time_ns: int) -> list[Signal]:
    return [signal for signal in signals if signal.decided_ns <= time_ns]


def check_cuts(name: str, count: int) -> int:
    """Prefix and noise at CUTS places; returns how many signals there were."""
    bars, product = sample(name)[:count], product_of(name)
    count = len(bars)
    whole = signals_over(bars, product, ANY_SCORE)
    rng = np.random.default_rng(5)
    for cut in rng.integers(count // 3, count, CUTS):
        closed_ns = int(bars["start_ns"][cut - 1]) + NS_PER_MIN
        expected = said_by(whole, closed_ns)
        assert signals_over(bars[:cut], product, ANY_SCORE) == expected, f"cut at bar {cut}"
        assert said_by(signals_over(noisy(bars, cut, rng), product, ANY_SCORE), closed_ns) == expected
    return len(whole)


@pytest.mark.shared_data
@pytest.mark.parametrize("name", QUICK)
def test_signals_up_to_a_bar_do_not_depend_on_later_bars(name: str) -> None:
    check_cuts(name, BARS)


@pytest.mark.long
@pytest.mark.shared_data
@pytest.mark.parametrize("name", MINUTE_FILES)
def test_signals_do_not_depend_on_later_bars_over_weeks(name: str) -> None:
    assert check_cuts(name, LONG_BARS) > 0 or len(sample(name)) < LONG_BARS


def upside_down(ticks: np.ndarray) -> np.ndarray:
    turned = ticks.copy()
    turned["price"] = -ticks["price"]
    quotes = ticks["kind"] == 2
    turned["price"][quotes], turned["price2"][quotes] = -ticks["price2"][quotes], -ticks["price"][quotes]
    return turned


def signals_of(ticks: np.ndarray, product: Product) -> list[tuple[Any, ...]]:
    decider = ContractDecider(product, ANY_SCORE)
    found = []
    for part in (no_history(product), ticks):
        at = 0
        while at < len(part) or decider.pending:
            at, signals = decider.feed(part, at)
            found += signals
    decider.close()
    return [(s.decided_ns, s.side, s.stop, s.target, s.score, s.zone_timeframe_min, s.parts) for s in found]


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["MNQ", "GC", "ES-2025"])
def test_the_market_upside_down_trades_upside_down(name: str) -> None:
    product = product_of(name)
    ticks = bar_ticks(sample(name)[:8000], product)
    expected = signals_of(ticks, product)
    assert len(expected) > 5
    turned = signals_of(upside_down(ticks), product)
    assert [(t, -side, -stop, -target, *rest) for t, side, stop, target, *rest in turned] == expected
