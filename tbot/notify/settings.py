"""Section [notify]: which messages are sent, and how many. Where they go is a secret and never stands here."""

from dataclasses import dataclass

from tbot.errors import ConfigError

KINDS = ("signals", "fills", "locks", "faults", "report")


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """Which kinds of messages go out, how they are gathered, and where their addresses are found.

    ConfigError when a value makes no sense, or is an address (where one may stand: commands/notify_addresses.py).
    """

    kinds: tuple[str, ...] = KINDS
    per_hour: int = 20  # messages at most; a quarter of them is kept for locks and faults
    gather_s: float = 10.0  # what happens within this time goes out as one message
    repeat_min: float = 60.0  # the same lock or fault is not told again before; then how often it came
    file: str = ""  # of addresses, mode 0600; "": notify_urls in TBOT_HOME when it is there

    def __post_init__(self) -> None:
        problems = []
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown:
            problems.append(f"kinds must be among {', '.join(KINDS)}, not {unknown[0]!r}")
        if "://" in self.file:
            problems.append("file must be the name of a file, not an address")
        if not 1 <= self.per_hour <= 600:
            problems.append("per_hour must lie between 1 and 600")
        if not 0 <= self.gather_s <= 3_600:
            problems.append("gather_s must lie between 0 and 3600")
        if not 0 <= self.repeat_min <= 1_440:
            problems.append("repeat_min must lie between 0 and 1440")
        if problems:
            raise ConfigError("notify: " + "; ".join(problems))
