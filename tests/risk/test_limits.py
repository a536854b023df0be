"""Limits: defaults by table, and configuration that may only tighten what is marked so (F-RSK-05)."""

from dataclasses import fields

import pytest

from tbot.domain.timeframes import NS_PER_S
from tbot.errors import ConfigError
from tbot.risk.limits import BOUNDS, RiskLimits


def test_defaults_are_those_of_the_constants_table() -> None:
    limits = RiskLimits()
    assert (limits.daily_loss_cents, limits.consecutive_losses, limits.risk_per_trade_cents) == (80_000, 2, 20_000)
    assert (limits.max_micros, limits.max_minis, limits.slip_ticks) == (5, 1, 4)
    assert (limits.naked_ns, limits.quote_ban_ns, limits.quote_stale_ns) == (3 * NS_PER_S, 3 * NS_PER_S, 10 * NS_PER_S)
    assert (limits.signal_ttl_ns, limits.collar_ticks, limits.collar_bp) == (1_500_000_000, 400, 200)
    assert (limits.entry_gap_ns, limits.entries_per_minute, limits.entries_per_day) == (5 * NS_PER_S, 6, 40)


def test_every_limit_has_bounds_that_hold_its_default() -> None:
    assert {entry.name for entry in fields(RiskLimits)} == set(BOUNDS)


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_F_RSK_05_every_limit_refuses_what_is_outside_its_bounds(name: str) -> None:
    low, high = BOUNDS[name]
    for wrong in (low - 1, high + 1, float(low), str(low), True, None, float("nan")):
        with pytest.raises(ConfigError, match=name):
            RiskLimits(**{name: wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "looser"),
    [
        ("daily_loss_cents", 80_001), ("consecutive_losses", 3), ("naked_ns", 3 * NS_PER_S + 1),
        ("entries_per_minute", 7), ("entries_per_day", 41), ("entry_gap_ns", 5 * NS_PER_S - 1),
        ("collar_ticks", 401), ("blind_hold_ns", 121 * NS_PER_S),
    ],
)  # fmt: skip
def test_F_RSK_05_hard_constants_can_only_be_tightened(name: str, looser: int) -> None:
    with pytest.raises(ConfigError):
        RiskLimits(**{name: looser})


def test_a_stale_quote_is_not_younger_than_a_banned_one() -> None:
    with pytest.raises(ConfigError, match="quote_stale_ns"):
        RiskLimits(quote_stale_ns=2 * NS_PER_S)
