"""Numbers with their nouns."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tbot.domain.words import plural, profit_factor

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("n", "words", "text"),
    [
        (0, ("trade",), "0 trades"),
        (1, ("trade",), "1 trade"),
        (1200, ("trade",), "1,200 trades"),
        (1, ("entry", "entries"), "1 entry"),
        (2, ("entry", "entries"), "2 entries"),
    ],
)
def test_one_and_many(n: int, words: tuple[str, ...], text: str) -> None:
    assert plural(n, *words) == text


@pytest.mark.parametrize(
    ("factor", "wins", "text"), [(1.618, 4, "1.62"), (0.0, 0, "0.00"), (None, 1, "∞"), (None, 0, "–")]
)
def test_profit_factor_of_wins_losses_and_nothing(factor: float | None, wins: int, text: str) -> None:
    assert profit_factor(factor, wins) == text


def spoken(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every string in a file that is no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value


def test_no_text_leaves_the_plural_to_the_reader() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in sorted((ROOT / "tbot").rglob("*.py"))
        for line, text in spoken(path)
        if re.search(r"\w\((s|es|ies)\)", text)
    ]
    assert not found, "\n".join(found)
