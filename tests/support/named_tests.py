"""The names of all tests: identifiers in them say what each test is about."""

import ast
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


@cache
def named_tests() -> frozenset[str]:
    """Names of all test functions, and what stands as a text in their decorators (names of parametrised cases)."""
    found: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.add(node.name)
                texts = [inner for decorator in node.decorator_list for inner in ast.walk(decorator)]
                found |= {
                    text.value
                    for text in texts
                    if isinstance(text, ast.Constant) and isinstance(text.value, str) and text.value.isidentifier()
                }
    return frozenset(found)
