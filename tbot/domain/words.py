"""Words that every screen, report and message has in common."""

from collections.abc import Mapping
from typing import Final

# How a round trip ended, after "closed"; by its `exit_reason`.
CLOSED: Final[Mapping[str, str]] = {
    "stop": "by its stop",
    "target": "by its target",
    "close": "at market",
    "other": "from outside",
}


def plural(n: int, word: str, many: str = "") -> str:
    """A number with its noun: `1 trade`, `1,200 trades`; `many` where the plural is not the word and an s."""
    return f"{n:,} {word if n == 1 else many or word + 's'}"
