"""The strategy's options; defaults are those of smc.md section 11 and design.md section 8 ruling 15."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.timeframes import MINUTES, TIMEFRAMES_MIN
from tbot.errors import ConfigError
from tbot.strategy.dollar import DollarSettings
from tbot.strategy.learning_settings import LearningSettings
from tbot_ext.params import Params, complete_params, default_params, params_hash

# Points between the round numbers that traders watch, by product; products that are not named have none.
ROUND_STEP_POINTS: dict[str, str] = {"ES": "25", "MES": "25", "NQ": "100", "MNQ": "100", "GC": "10", "MGC": "10"}
_MAX_STEP_TICKS = 1_000_000_000  # what the detectors take


@dataclass(frozen=True, slots=True)
class StrategySettings:
    """What counts as a setup, and where stop and target go. ConfigError when a value makes no sense.

    The entry is at market. A resting entry at the zone's edge (smc.md section 11, `limit`) needs an order manager that
    keeps an entry for minutes, knows its own end and carries it over a restart; there is none yet, so no option either.
    """

    entry_timeframe_min: int = 1  # its bars decide
    zone_timeframes_min: tuple[int, ...] = (5, 15, 30, 60)  # zones of these timeframes are traded
    min_score: float = 60.0  # 0..100
    max_tests: int = 1  # 1: only the first test of a zone is traded
    trigger_bars: int = 12  # bars of the entry timeframe after the test in which a trigger counts
    min_rr: float = 1.5  # least distance of the target, in units of the stop's distance
    default_rr: float = 2.0  # target when no opposing level lies far enough
    stop_atr: float = 0.1  # stop beyond the zone: this many ATR of the zone's timeframe
    stop_min_ticks: int = 2  # and at least this many ticks
    confluence_atr: float = 0.25  # how near a zone, level or pool must be, in ATR of the zone's timeframe
    confluence_full: int = 3  # so many neighbours give the full share
    cost_multiple: int = 4  # the target must be worth this many round-trip costs
    # Points between round numbers by product, where they differ from ROUND_STEP_POINTS: {"MNQ": 50}; 0 = none.
    round_step_points: dict[str, Any] = field(default_factory=dict)
    # Detector parameters (smc.md section 0) that differ from their defaults, by timeframe: {"1h": {"L": 4}}.
    detector: dict[str, dict[str, Any]] = field(default_factory=dict)

    dollar: DollarSettings = field(default_factory=DollarSettings)  # section [dxy]
    learning: LearningSettings = field(default_factory=LearningSettings)  # section [learning]

    def __post_init__(self) -> None:
        problems = []
        if self.entry_timeframe_min not in TIMEFRAMES_MIN:
            problems.append(f"entry_timeframe_min must be one of {TIMEFRAMES_MIN}")
        allowed = [minutes for minutes in TIMEFRAMES_MIN if minutes >= max(5, self.entry_timeframe_min)]
        if not self.zone_timeframes_min or any(minutes not in allowed for minutes in self.zone_timeframes_min):
            problems.append(f"zone_timeframes_min must be chosen from {allowed}")
        if not 0 <= self.min_score <= 100:
            problems.append("min_score must lie between 0 and 100")
        if self.max_tests < 1 or self.trigger_bars < 0 or self.stop_min_ticks < 0 or self.confluence_full < 1:
            problems.append("max_tests and confluence_full must be at least 1, trigger_bars and stop_min_ticks 0")
        if not 0 < self.min_rr <= self.default_rr:
            problems.append("min_rr must be above 0 and not above default_rr")
        if self.stop_atr < 0 or self.confluence_atr < 0 or self.cost_multiple < 0:
            problems.append("stop_atr, confluence_atr and cost_multiple must not be negative")
        try:
            self.detectors()
        except (ValueError, TypeError) as error:
            problems.append(f"detector: {error}")
        for symbol in self.round_step_points:
            try:
                self.round_step_ticks(_product(symbol))
            except ValueError as error:
                problems.append(f"round_step_points: {error}")
        if problems:
            raise ConfigError("strategy: " + "; ".join(problems))

    def round_step_ticks(self, product: Product) -> int:
        """Ticks between the round numbers of a product, 0 none. Raises ValueError when it is no whole number."""
        points = self.round_step_points.get(product.symbol, ROUND_STEP_POINTS.get(product.symbol, "0"))
        if isinstance(points, bool) or not isinstance(points, (int, float, str)):
            raise ValueError(f"{product.symbol} must be a number of points, not {points!r}")
        try:
            ticks = product.to_ticks(Decimal(str(points)))
        except InvalidOperation:
            raise ValueError(f"{product.symbol} must be a number of points, not {points!r}") from None
        if not 0 <= ticks <= _MAX_STEP_TICKS:
            raise ValueError(f"{product.symbol} must lie between 0 and {_MAX_STEP_TICKS} ticks, not {points!r}")
        return ticks

    def detectors(self, product: Product | None = None) -> dict[int, Params]:
        """Parameters of the detectors by timeframe in minutes; round numbers are the product's, None: there are none.

        What `detector` says wins. Raises ValueError or TypeError for what is unknown.
        """
        step = {} if product is None else {"round_step": self.round_step_ticks(product)}
        chosen = {minutes: params.replace(**step) for minutes, params in default_params().items()}
        for name, changes in self.detector.items():
            if name not in MINUTES:
                raise ValueError(f"unknown timeframe {name!r}; known are {', '.join(MINUTES)}")
            chosen[MINUTES[name]] = chosen[MINUTES[name]].replace(**changes)
        return complete_params(chosen)

    def digest(self, product: Product | None = None) -> str:
        """Short hash of every option and every detector parameter of a product: the params_hash of a signal."""
        apart = {"detector", "round_step_points"}
        if self.dollar.filter == "off":
            apart.add("dollar")  # it changes no decision, so it makes no other strategy
        if not self.learning.decides:
            apart.add("learning")
        options = {name: value for name, value in asdict(self).items() if name not in apart}
        text = json.dumps([options, params_hash(self.detectors(product))], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _product(symbol: str) -> Product:
    if symbol not in PRODUCTS:
        raise ValueError(f"unknown product {symbol!r}; known are {', '.join(PRODUCTS)}")
    return PRODUCTS[symbol]
