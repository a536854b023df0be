"""Section [log]: the file of JSON lines that a run leaves."""

from dataclasses import dataclass

from tbot.errors import ConfigError

LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """ConfigError when a value makes no sense. At most `max_mb` * (`files` + 1) megabytes are kept."""

    level: str = "debug"  # the least that is written; debug: zones, too
    max_mb: int = 10  # a file that would grow beyond it, and each trading day, begins a new one
    files: int = 10  # older files that stay

    def __post_init__(self) -> None:
        problems = [
            f"{name} must lie between 1 and {most:,}"
            for name, most in (("max_mb", 1_000), ("files", 100))
            if not 1 <= getattr(self, name) <= most
        ]
        if self.level not in LEVELS:
            problems.insert(0, f"level must be one of {', '.join(LEVELS)}, not {self.level!r}")
        if problems:
            raise ConfigError("log: " + "; ".join(problems))
