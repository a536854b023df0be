"""The architecture as a test: who may import whom, no clock or I/O below layer 3, sizes, packages, top level."""

from collections.abc import Callable
from pathlib import Path

import pytest

import architecture
from architecture import Problem

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("check", architecture.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_project_keeps_the_rule(check: Callable[[Path], list[Problem]]) -> None:
    problems = check(ROOT)
    assert not problems, "\n" + "\n".join(map(str, problems))


def test_every_part_of_the_tree_stands_in_the_table() -> None:
    parts = {architecture.part_of(ROOT, path) for path in architecture.python_files(ROOT)}
    assert parts <= architecture.LAYERS.keys()
    assert {"domain", "errors", "execution", "engine", "__init__"} <= parts, "the checker looks at the wrong tree"


def test_tests_have_no_packages() -> None:
    """Why: in importlib mode a package below tests/ would hide the helper modules of tests/support."""
    assert not list((ROOT / "tests").rglob("__init__.py"))
