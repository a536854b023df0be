"""A turn that stands still says in which part; the clock goes by hand."""

import pytest

from tbot.engine import turn_watch
from tbot.engine.turn_watch import SLOW_NS, TurnWatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    now = [10**12]
    monkeypatch.setattr(turn_watch, "boot_ns", lambda: now[0])
    return now


def test_only_what_took_longer_than_allowed_is_told_and_kept(clock: list[int]) -> None:
    told: list[str] = []
    watch = TurnWatch(lambda now_ns, kind, contract, text: told.append(text))
    for took_ns, part, allowed_ns in (
        (SLOW_NS, "prices", 0),
        (SLOW_NS + 100_000_000, "was not run", 100_000_000),
        (3 * SLOW_NS, "messages", 0),
        (13 * SLOW_NS, "writing the journal", 0),
        (2 * SLOW_NS, "writing the journal", 0),
        (0, "messages", 0),
    ):
        clock[0] += took_ns
        watch.passed(part, allowed_ns)
    assert told == [
        "the executor stood still for 3.0 s: messages",
        "the executor stood still for 13.0 s: writing the journal",
        "the executor stood still for 2.0 s: writing the journal",
    ]
    assert watch.status() == {
        "messages": {"times": 1, "longest_ms": 3000},
        "writing the journal": {"times": 2, "longest_ms": 13_000},
    }
