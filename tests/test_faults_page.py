"""docs/faults.md is complete: all reason codes of the product, all faults, invariants and kill points, and no others.

Reason codes are counted as used when they stand as a text in the product.
"""

import ast
import re
from functools import cache
from pathlib import Path

from failure_model import FAULTS, WANTED
from tbot.execution.engine_state import SEVERITY, Severity

ROOT = Path(__file__).parent.parent
KINDS = {Severity.PAUSE: "pause", Severity.LOCK: "lock", Severity.HALT: "halt"}


@cache
def rows() -> dict[str, list[str]]:
    """First cell of every table row of docs/faults.md -> all cells."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        name = cells[0].strip("`")
        if line.startswith("|") and re.fullmatch(r"RC_[A-Z_]+|F-[A-Z]{3}-\d\d|I\d+|K-[A-Z]+-\d\d", name):
            assert name not in found, f"{name} stands twice"
            found[name] = cells
    return found


@cache
def used_codes() -> frozenset[str]:
    """Reason codes that stand in a text of the product (docstrings are none)."""
    found: set[str] = set()
    for path in (ROOT / "tbot").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.fullmatch(r"RC_[A-Z_]+", node.value)
            ):
                found.add(node.value)
    return frozenset(found)


def test_the_lists_are_as_long_as_the_failure_model() -> None:
    assert sum(FAULTS.values()) == 86
    assert len(WANTED) == 86 + 33 + 37


def test_the_page_has_every_identifier_and_no_other() -> None:
    told = {name for name in rows() if not name.startswith("RC_")}
    assert told == set(WANTED)
    assert all(
        len(cells) == (3 if name.startswith("K-") else 2) and all(cells)
        for name, cells in rows().items()
        if name in told
    )


def test_the_page_has_every_reason_code_of_the_product_and_no_other() -> None:
    told = {name for name in rows() if name.startswith("RC_")}
    assert used_codes() - told == set()
    assert told - used_codes() == set()


def test_every_reason_code_says_what_it_means_what_happens_what_to_do_and_what_protects() -> None:
    for name, cells in rows().items():
        if name.startswith("RC_"):
            assert len(cells) == 6, name
            assert all(cells), name
            if name in SEVERITY:
                # A code that an account can hold is also used for single contracts, where the page says so.
                assert cells[1] in (KINDS[SEVERITY[name]], "contract"), name
