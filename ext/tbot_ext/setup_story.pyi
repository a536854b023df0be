from typing import Any

from tbot_ext.setup_book import SetupBook

__all__ = ["answer", "state", "tell"]

def tell(
    book: SetupBook, bias_timeframes_min: tuple[int, ...]
) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[int, ...]]: ...
def state(book: SetupBook) -> dict[str, Any]: ...
def answer(book: SetupBook, longs: tuple[str, float], shorts: tuple[str, float]) -> None: ...
