"""Section [learning]: whether and how fast past outcomes move scores (the rule: `learning`)."""

from dataclasses import dataclass

from tbot.errors import ConfigError

MODES = ("off", "observe", "on")


@dataclass(frozen=True, slots=True)
class LearningSettings:
    """Options of self-learning. ConfigError when a value makes no sense."""

    mode: str = "observe"  # off: nothing is kept; observe: outcomes are kept, no decision changes; on: weights decide
    live: bool = False  # let `on` decide in live trading too; without it a live run observes
    frozen: bool = False  # the weights stay those that were stored last
    half_life_days: float = 60.0  # an outcome so old counts half
    prior_outcomes: float = 200.0  # so many outcomes weigh as much as what the pattern's relatives say
    most: float = 0.25  # a weight lies between 1 - most and 1 + most
    slope: float = 1.0  # weight that one R of expectation would add, were it not for the bound

    def __post_init__(self) -> None:
        problems = []
        if self.mode not in MODES:
            problems.append(f"mode must be one of {', '.join(MODES)}, not {self.mode!r}")
        if not 1 <= self.half_life_days <= 3_650:
            problems.append("half_life_days must lie between 1 and 3650")
        if not 5 <= self.prior_outcomes <= 10_000:
            problems.append("prior_outcomes must lie between 5 and 10000")
        if not 0.01 <= self.most <= 0.5:
            problems.append("most must lie between 0.01 and 0.5")
        if not 0.1 <= self.slope <= 5:
            problems.append("slope must lie between 0.1 and 5")
        if problems:
            raise ConfigError("learning: " + "; ".join(problems))

    @property
    def follows(self) -> bool:
        """Whether outcomes are kept at all."""
        return self.mode != "off"

    @property
    def decides(self) -> bool:
        """Whether weights change decisions."""
        return self.mode == "on"
