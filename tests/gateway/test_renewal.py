"""When hubs take a new token, as a table."""

from datetime import UTC, datetime

import pytest

from tbot.gateway.renewal import change_due, in_break
from tbot.gateway.tokens import Token

S = 1_000_000_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * S


OLD = Token(1, "a", at("2026-11-20T06:00"), at("2026-11-21T06:00"))
NEW = Token(2, "b", at("2026-11-21T01:00"), at("2026-11-22T01:00"))


@pytest.mark.parametrize(
    ("when", "due"),
    [
        ("2026-11-20T21:59", False),
        ("2026-11-20T22:00", True),  # 16:00 in Chicago
        ("2026-11-20T22:59", True),
        ("2026-11-20T23:00", False),
        ("2026-11-21T05:29", False),
        ("2026-11-21T05:30", True),  # half an hour before expiry
        ("2026-11-21T07:00", True),
        ("2026-07-20T21:00", True),  # summer time
        ("2026-07-20T22:00", False),
    ],
)
def test_F_API_01_break_or_half_an_hour_before_expiry(when: str, due: bool) -> None:
    used = OLD if when > "2026-08" else Token(1, "a", at("2026-07-20T06:00"), at("2026-07-21T06:00"))
    assert change_due(used, NEW, at(when)) is due


def test_F_API_01_only_to_a_newer_token() -> None:
    late = at("2026-11-21T05:45")
    assert not change_due(OLD, OLD, late)
    assert not change_due(NEW, OLD, late)
    assert not change_due(None, NEW, late)
    assert not change_due(OLD, None, late)


def test_the_break_lasts_an_hour() -> None:
    minutes = [in_break(at("2026-11-20T00:00") + minute * 60 * S) for minute in range(1440)]
    assert sum(minutes) == 60
