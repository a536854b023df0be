"""The strategy's options; defaults are those of smc.md section 11 and design.md section 8 ruling 15."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from tbot.domain.timeframes import MINUTES, TIMEFRAMES_MIN
from tbot.errors import ConfigError
from tbot_ext.params import Params, complete_params, default_params, params_hash


@dataclass(frozen=True, slots=True)
class StrategySettings:
    """What counts as a setup, and where stop and target go. ConfigError when a value makes no sense."""

    entry_timeframe_min: int = 1  # its bars decide
    zone_timeframes_min: tuple[int, ...] = (5, 15, 30, 60)  # zones of these timeframes are traded
    min_score: float = 60.0  # 0..100
    max_tests: int = 1  # 1: only the first test of a zone is traded
    trigger_bars: int = 12  # bars of the entry timeframe after the test in which a trigger counts
    min_rr: float = 1.5  # least distance of the target, in units of the stop's distance
    default_rr: float = 2.0  # target when no opposing level lies far enough
    stop_atr: float = 0.1  # stop beyond the zone: this many ATR of the zone's timeframe
    stop_min_ticks: int = 2  # and at least this many ticks
    confluence_atr: float = 0.25  # how near another zone must be, in ATR of the zone's timeframe
    confluence_full: int = 3  # so many neighbours give the full share
    cost_multiple: int = 4  # the target must be worth this many round-trip costs
    # Detector parameters (smc.md section 0) that differ from their defaults, by timeframe: {"1h": {"L": 4}}.
    detector: dict[str, dict[str, Any]] = field(default_factory=dict)

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
        if problems:
            raise ConfigError("strategy: " + "; ".join(problems))

    def detectors(self) -> dict[int, Params]:
        """Parameters of the detectors by timeframe in minutes. Raises ValueError or TypeError for what is unknown."""
        chosen = default_params()
        for name, changes in self.detector.items():
            if name not in MINUTES:
                raise ValueError(f"unknown timeframe {name!r}; known are {', '.join(MINUTES)}")
            chosen[MINUTES[name]] = chosen[MINUTES[name]].replace(**changes)
        return complete_params(chosen)

    def digest(self) -> str:
        """Short hash of every option and every detector parameter: the params_hash of a signal."""
        options = {name: value for name, value in asdict(self).items() if name != "detector"}
        text = json.dumps([options, params_hash(self.detectors())], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
