"""Every identifier of the failure model has a test that carries it in its name.

With underscores (F_ORD_01, I12, K_EX_05), in the name of a function or of a parametrised case, so that
`pytest -k F_ORD_01` finds them.
"""

import re
from functools import cache

import pytest

from failure_model import WANTED
from named_tests import named_tests


@cache
def carried() -> frozenset[str]:
    """Identifiers that stand in those names as whole words; K_EX_10_to_15 is each of them."""
    found: set[str] = set()
    for name in named_tests():
        found |= {
            word.replace("_", "-") for word in re.findall(r"(?<![A-Za-z0-9])(?:[FK]_[A-Z]+_\d\d|I\d+)(?![0-9])", name)
        }
        for stem, first, last in re.findall(r"(?<![A-Za-z0-9])([FK]_[A-Z]+)_(\d\d)_to_(\d\d)(?![0-9])", name):
            found |= {f"{stem.replace('_', '-')}-{number:02d}" for number in range(int(first), int(last) + 1)}
    return frozenset(found)


@pytest.mark.parametrize("identifier", WANTED)
def test_every_identifier_is_carried_by_a_test(identifier: str) -> None:
    assert identifier in carried(), f"no test function has {identifier.replace('-', '_')} in its name"


def test_the_check_sees_what_is_missing() -> None:
    assert not carried() & {"F-ORD-12", "F-XYZ-01", "I34", "K-EX-21", "K-ALL-02"}
    assert "K-EX-18" in carried()  # within a range
