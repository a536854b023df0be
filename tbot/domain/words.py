"""Numbers with their nouns, for every screen, report and message."""


def plural(n: int, word: str, many: str = "") -> str:
    """`1 trade`, `1,200 trades`; `many` where the plural is not the word and an s."""
    return f"{n:,} {word if n == 1 else many or word + 's'}"


def profit_factor(factor: float | None, wins: int) -> str:
    """`1.62`; `∞` when there are wins and no loss, `–` when there is nothing yet."""
    return ("∞" if wins else "–") if factor is None else f"{factor:.2f}"
