"""Money as sentences about the guards tell it."""

import pytest

from tbot.execution.guards import usd


@pytest.mark.parametrize(("cents", "text"), [(300_000, "$3,000.00"), (-123_456, "-$1,234.56"), (5, "$0.05")])
def test_money_has_its_thousands_apart(cents: int, text: str) -> None:
    assert usd(cents) == text
