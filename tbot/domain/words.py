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


def profit_factor(factor: float | None, wins: int) -> str:
    """`1.62`; `∞` when there are wins and no loss, `–` when there is nothing yet."""
    return ("∞" if wins else "–") if factor is None else f"{factor:.2f}"
