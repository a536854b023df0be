"""Section [report]: what a running engine does about the report of a week."""

from dataclasses import dataclass

from tbot.errors import ConfigError

REPORT_FORMATS = ("html", "pdf", "png", "json")


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """ConfigError when a value makes no sense."""

    weekly: bool = True  # make the report of the week when its last session has closed
    formats: tuple[str, ...] = REPORT_FORMATS

    def __post_init__(self) -> None:
        unknown = [name for name in self.formats if name not in REPORT_FORMATS]
        if unknown or not self.formats:
            raise ConfigError(
                f"report: formats must be a list of {', '.join(REPORT_FORMATS)}, not {list(self.formats)!r}"
            )
