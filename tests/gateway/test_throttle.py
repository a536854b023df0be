"""Request budgets: no window ever holds more than its limit, and the protective reserve is always there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.gateway.throttle import GENERAL, HISTORY, Budget, SlidingWindow, Throttle

S = 1_000_000_000
steps = st.lists(st.tuples(st.integers(0, 3 * S), st.booleans()), max_size=200)


@given(steps=steps, limit=st.integers(2, 12), reserve=st.integers(0, 5), penalty_at=st.none() | st.integers(0, 100))
def test_I9_no_window_exceeds_the_budget(steps, limit, reserve, penalty_at):
    budget = Budget(limit, 10 * S, min(reserve, limit - 1))
    window = SlidingWindow(budget)
    now, taken = 0, []
    for number, (step, protective) in enumerate(steps):
        now += step
        if number == penalty_at:
            window.penalise(now)
        free = window.free(now, protective)
        allowed = window.take(now, protective)
        assert allowed == (free > 0)
        if allowed:
            taken.append(now)
        recent = sum(time > now - 10 * S for time in taken)
        assert recent <= limit
        if allowed and not protective:
            assert recent <= limit - budget.reserve  # ordinary requests never touch the reserve


def test_I9_protective_requests_are_never_starved_by_others():
    window = SlidingWindow(GENERAL)
    assert sum(window.take(0) for _ in range(300)) == 160
    assert window.refused == 140
    assert sum(window.take(0, protective=True) for _ in range(300)) == 40
    assert not window.take(60 * S, protective=True)  # one second more than published
    assert window.take(61 * S)


def test_published_budgets():
    assert (GENERAL.limit, GENERAL.reserve, HISTORY.limit) == (200, 40, 50)
    assert GENERAL.window_ns >= 60 * S
    assert HISTORY.window_ns >= 30 * S


def test_F_API_03_a_429_halves_the_budget_for_a_minute_and_keeps_the_reserve():
    window = SlidingWindow(GENERAL)
    window.penalise(0)
    assert window.free(1) == 60
    assert window.free(1, protective=True) == 100
    assert window.free(60 * S) == 160


def test_F_API_03_I9_a_429_after_more_than_half_the_budget_leaves_the_reserve():
    """Nothing could be closed for a minute: more than the halved budget was used up before it was halved."""
    window = SlidingWindow(GENERAL)
    window.remember([0] * 100, 0)
    assert sum(window.take(0) for _ in range(300)) == 60
    window.penalise(0)
    assert window.free(1) == 0
    assert sum(window.take(1, protective=True) for _ in range(300)) == 40
    window.give_back()
    assert window.free(1, protective=True) == 1
    assert window.free(60 * S, protective=True) == 1  # never more than the published limit


def test_two_budgets_are_independent():
    throttle = Throttle()
    assert sum(throttle.window(True).take(0) for _ in range(60)) == 50
    assert throttle.window(False).take(0)


def test_a_clock_that_steps_back_frees_nothing():
    window = SlidingWindow(Budget(2, 10 * S))
    assert window.take(5 * S)
    assert window.take(4 * S)
    assert not window.take(14 * S)
    assert window.take(15 * S)


@pytest.mark.parametrize("values", [(0, 1, 0), (5, 1, 5), (5, 0, 0), (5, 1, -1)])
def test_budgets_that_make_no_sense(values):
    with pytest.raises(ValueError, match="no sense"):
        Budget(*values)
