"""docs/faults.md is complete: reason and denial codes of the product, faults, invariants, kill points, and no others.

Reason codes are counted as used when they stand as a text in the product, denial codes when a Refusal carries them.
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


@cache
def denial_rows() -> dict[str, list[str]]:
    """Code -> all cells, of the table of denial codes."""
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    part = text.split("\n## Denial codes\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| `")]
    return {(cells := [cell.strip() for cell in line.strip("|").split("|")])[0].strip("`"): cells for line in lines}


def refused() -> tuple[set[str], set[str]]:
    """What stands first in every Refusal of the product: texts, and expressions."""
    texts: set[str] = set()
    others: set[str] = set()
    for package in ("risk", "execution", "engine"):
        for path in (ROOT / "tbot" / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal":
                    first = node.args[0] if node.args else next(k.value for k in node.keywords if k.arg == "code")
                    if isinstance(first, ast.Constant):
                        texts.add(str(first.value))
                    else:
                        others.add(ast.unparse(first))
    return texts, others


def test_the_page_has_every_denial_code_that_is_no_reason_code_and_no_other() -> None:
    texts, others = refused()
    # The state's reason, the contract's, and what barred it: all of them reason codes, which have a table of their own.
    assert others == {"facts.state_code", "request.feed_code", "code"}
    assert {text for text in texts if not text.startswith("RC_")} == set(denial_rows())
    assert all(len(cells) == 3 and all(cells) for cells in denial_rows().values())


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
