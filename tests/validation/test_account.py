"""V10: attempts by hand to the cent, a slow reference on the Desk's own floor book, and chances known exactly."""

import math
from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.errors import DataError
from tbot.risk.firm import FirmRules
from tbot.risk.floor import FloorBook
from tbot.validation.account import FAILURES, Day, Stakes, account_odds, day_of, days_of, run_attempt
from trip_builder import make_trips

RULES = FirmRules()  # 50K: loss limit 2 000, target 3 000, lock 300, ban 500, best day 55 %, day stop 1 500
LIMITED = replace(RULES, daily_loss_cents=100_000)


def plain(*nets: int) -> list[Day]:
    """Days of one trip each, results in dollars."""
    return [day_of([(0, 100 * net)]) for net in nets]


def outcome(days: list[Day], rules: FirmRules = RULES, *, own_guards: bool = False) -> tuple[str, int, int]:
    told = run_attempt(days, rules, own_guards=own_guards)
    return told.outcome, told.days, told.net_cents // 100


# ------------------------------------------------------------------------------------------------ by hand
def test_V10_the_target_passes_on_the_day_it_is_reached() -> None:
    assert outcome(plain(1000, 1000, 999, 1, 500)) == ("passed", 4, 3000)


def test_V10_a_fresh_account_fails_at_its_loss_limit_to_the_cent() -> None:
    assert outcome(plain(-1000, -999)) == ("timeout", 2, -1999)
    assert outcome(plain(-1000, -1000, 5000)) == ("max_loss", 2, -2000)


def test_V10_the_floor_follows_closing_balances_and_stops_at_the_start_balance() -> None:
    """Topstep's example: +500 raises the floor by 500; +2 500 in all of closing balance lock it at the start."""
    assert outcome(plain(500, -1999)) == ("timeout", 2, -1499)
    assert outcome(plain(500, -2000)) == ("max_loss", 2, -1500)
    assert outcome(plain(500, -500, 1250, 1250, -2500)) == ("max_loss", 5, 0)
    assert outcome(plain(500, -500, 1250, 1250, -2499)) == ("timeout", 5, 1)


def test_V10_a_high_within_the_day_does_not_move_the_floor() -> None:
    assert outcome([day_of([(0, 190_000), (0, -190_000)]), *plain(-1999)]) == ("timeout", 2, -1999)


def test_V10_an_open_loss_at_the_floor_fails_although_the_trip_would_have_won() -> None:
    assert outcome([day_of([(-199_999, 50_000)])]) == ("timeout", 1, 500)
    assert outcome([day_of([(-200_000, 50_000)])]) == ("max_loss", 1, -2000)


def test_V10_the_best_day_withholds_a_pass_until_its_share_fits() -> None:
    """Best day 2 000 of at most 55 %: the target becomes 3 636.37."""
    assert outcome(plain(2000, 1000, 600, 36, 1)) == ("passed", 5, 3637)
    told = run_attempt(plain(2000, 1000, 600), RULES, own_guards=False)
    assert (told.outcome, told.withheld) == ("consistency", True)
    assert outcome(plain(3000)) == ("consistency", 1, 3000)


def test_V10_the_firms_daily_limit_ends_the_day_and_not_the_account() -> None:
    day = day_of([(0, -60_000), (-50_000, 70_000), (0, 90_000)])
    assert outcome([day]) == ("timeout", 1, 1000)
    assert outcome([day], LIMITED) == ("timeout", 1, -1000)
    assert outcome([day, *plain(-999)], LIMITED) == ("timeout", 2, -1999)
    assert outcome([day, day], LIMITED) == ("max_loss", 2, -2000), "the floor lies no lower than the daily limit"


def test_V10_the_daily_limit_is_the_cause_only_if_the_same_days_pass_without_it() -> None:
    cut = day_of([(-100_000, 120_000)])
    assert outcome([*plain(1000), cut, *plain(1000)], LIMITED) == ("daily_limit", 3, 1000)
    assert outcome([*plain(1000), cut, *plain(500)], LIMITED) == ("timeout", 3, 500)


def test_V10_own_guards_flatten_above_the_floor_and_then_there_is_no_room() -> None:
    days = [day_of([(-180_000, 40_000), (0, 70_000)]), *plain(900)]
    assert outcome(days) == ("timeout", 2, 2000)
    assert outcome(days, own_guards=True) == ("no_room", 2, -1700)
    assert outcome(plain(-1499, 100), own_guards=True) == ("timeout", 2, -1399)
    assert outcome(plain(-1500, 100), own_guards=True) == ("no_room", 2, -1500)


def test_V10_own_guards_stop_a_day_that_has_won_enough() -> None:
    day = day_of([(0, 150_000), (0, 50_000)])
    assert outcome([day, day], own_guards=True) == ("passed", 2, 3000)
    assert outcome([day, day]) == ("passed", 2, 4000)


def test_V10_days_come_from_trips_and_from_the_calendar() -> None:
    trips = make_trips([500, -300, 200], [0, 0, 2], worst=[-100, -700, 0])
    days = days_of(trips, np.arange(trips.day[0], trips.day[0] + 4))
    assert [day.net_cents for day in days] == [200, 0, 200, 0]
    assert days[0] == Day(200, -200, 500, ((-100, 500), (-700, -300)))
    assert days[1] == Day(0, 0, 0, ())
    assert len(days_of(trips)) == 2


def test_V10_open_losses_of_trips_beside_each_other_add_up() -> None:
    trips = make_trips([500, -300, 100], [0, 0, 0], minutes=15, worst=[-100, -700, -50])
    assert days_of(trips)[0].steps == ((-800, 500), (-750, -300), (-50, 100))
    in_turn = make_trips([500, -300], [0, 0], minutes=10, worst=[-100, -700])
    assert days_of(in_turn)[0].steps == ((-100, 500), (-700, -300)), "one begins as the other ends"


# ------------------------------------------------------------------------------------------------ slow reference
def reference(days: list[list[tuple[int, int]]], rules: FirmRules, guards: bool) -> tuple[str, int]:
    """The same rules on the Desk's floor book, trip by trip, without shortcuts."""
    book, first, balance = FloorBook(rules), date(2026, 1, 5), rules.start_cents
    book.rebuild(balance, {}, first)
    for number, steps in enumerate(days):
        today, net = first + timedelta(days=number), 0
        for adverse, result in steps:
            if guards and balance <= book.floor_cents + rules.ban_above_floor_cents:
                return "no_room", number + 1
            levels = [book.floor_cents]
            if guards:
                levels.append(book.floor_cents + rules.lock_above_floor_cents)
            if rules.daily_loss_cents:
                levels.append(balance - net - rules.daily_loss_cents)
            level = max(levels)
            if balance + min(adverse, result, 0) <= level:
                if level == book.floor_cents:
                    return "max_loss", number + 1
                net += level - balance
                balance = level
                break
            balance, net = balance + result, net + result
            if balance - rules.start_cents >= rules.target_of(book.best_day_cents(net)):
                return "passed", number + 1
            if guards and net >= rules.day_profit_stop_cents:
                break
        book.end_day(today, net, balance)
    return "open", len(days)


steps = st.lists(
    st.tuples(st.integers(-12, 0), st.integers(-12, 14)).map(lambda step: (step[0] * 10_000, step[1] * 10_000)),
    max_size=4,
)


@given(st.lists(steps, max_size=14), st.sampled_from([0, 60_000, 100_000]), st.booleans())
def test_V10_attempts_end_as_in_a_slow_reading_of_the_rules(
    days: list[list[tuple[int, int]]], limit: int, guards: bool
) -> None:
    rules = replace(RULES, daily_loss_cents=limit)
    told = run_attempt([day_of(day) for day in days], rules, own_guards=guards)
    what, length = reference(days, rules, guards)
    assert (told.outcome, told.days) == (what, length) if what != "open" else told.outcome in FAILURES[2:]


# ------------------------------------------------------------------------------------------------ many attempts
def exact_pass(up: int, down: int, horizon: int) -> float:
    """Chance of a pass when every day is +up or -down dollars with 1/2 each, by following all states."""
    states: dict[tuple[int, int], float] = {(0, 0): 1.0}  # profit, highest close
    passed = 0.0
    for _ in range(horizon):
        after: dict[tuple[int, int], float] = defaultdict(float)
        for (profit, high), chance in states.items():
            for move in (up, -down):
                new = profit + move
                if new >= 3000:
                    passed += chance / 2
                elif new > min(0, high - 2000):
                    after[new, max(high, new)] += chance / 2
        states = after
    return passed


@pytest.mark.parametrize(("up", "down"), [(500, 500), (400, 300)])
def test_V10_chance_of_a_pass_is_that_of_all_states_followed(up: int, down: int) -> None:
    days = plain(*([up, -down] * 50))
    told = account_odds(days, RULES, np.random.default_rng(1), own_guards=False, horizon_days=40, mean_block=1.0,
                        attempts=4000, resamples=60, attempts_each=50)  # fmt: skip
    exact = exact_pass(up, down, 40)
    assert told.passed.estimate == pytest.approx(exact, abs=0.025)
    assert told.passed.low < exact < told.passed.high
    shares = told.passed.estimate + sum(one.estimate for one in told.failures.values())
    assert shares == pytest.approx(1)


def test_V10_fees_and_value_of_an_attempt_by_hand() -> None:
    """Every day wins 300: it passes on day 10, in the first month."""
    stakes = Stakes(fee_a_month_cents=4900, fee_once_cents=100, pass_value_cents=100_000)
    told = account_odds(plain(*[300] * 20), RULES, np.random.default_rng(1), stakes=stakes, attempts=50, resamples=20)
    assert (told.passed.estimate, told.passed.low) == (1, 1)
    assert told.days_to_pass is not None
    assert told.days_to_pass.estimate == 10
    assert (told.value_cents.estimate, told.fees_cents.estimate, told.fees_per_pass_cents) == (95_000, 5000, 5000)


def test_V10_a_losing_run_never_passes_and_its_fees_are_lost() -> None:
    """Every day loses 50: 40 days, two months, never near the target."""
    stakes = Stakes(fee_a_month_cents=4900)
    told = account_odds(plain(*[-50] * 20), RULES, np.random.default_rng(1), stakes=stakes, attempts=50, resamples=20)
    assert (told.passed.estimate, told.days_to_pass, told.fees_per_pass_cents) == (0, None, float("inf"))
    assert told.failures["no_room"].estimate == 1, "1 500 are lost after day 30"
    assert told.value_cents.estimate == told.value_cents.high == -9800


def test_V10_odds_tell_how_often_consistency_withholds_a_pass() -> None:
    """Days win 3 000 or nothing: the first win reaches the plain target, the second passes."""
    days = plain(*[3000, 0, 0, 0] * 5)
    told = account_odds(days, RULES, np.random.default_rng(1), own_guards=False, horizon_days=4, mean_block=1.0,
                        attempts=4000, resamples=50)  # fmt: skip
    once, never = 4 * 0.25 * 0.75**3, 0.75**4
    assert told.failures["timeout"].estimate == pytest.approx(never, abs=0.025)
    assert told.failures["consistency"].estimate == pytest.approx(once, abs=0.025)
    assert told.withheld.estimate == pytest.approx(1 - never, abs=0.025)
    assert told.withheld.low < 1 - never < told.withheld.high
    assert told.fees_cents.estimate == told.value_cents.estimate == 0


def test_V10_few_days_tell_nothing_and_no_days_are_refused() -> None:
    told = account_odds(plain(300, 300), RULES, np.random.default_rng(1), attempts=20)
    assert (told.passed.estimate, told.passed.low, told.passed.high, told.resamples) == (1, 0, 1, 0)
    assert (told.value_cents.low, told.value_cents.high, told.fees_cents.low) == (-math.inf, math.inf, 0)
    assert told.days_to_pass is not None
    assert (told.days_to_pass.estimate, told.days_to_pass.low, told.days_to_pass.high) == (10, 1, 63)
    enough = [
        account_odds(plain(*[300] * n), RULES, np.random.default_rng(1), attempts=9, resamples=3) for n in (9, 10)
    ]
    assert [one.resamples for one in enough] == [0, 3]
    with pytest.raises(DataError):
        account_odds([], RULES, np.random.default_rng(1))
    with pytest.raises(DataError, match="target"):
        account_odds(plain(1), replace(RULES, stage="funded", target_cents=0), np.random.default_rng(1))


@pytest.mark.parametrize(
    "more", [{"horizon_days": 0}, {"attempts": 0}, {"resamples": -1}, {"stakes": Stakes(days_a_month=0)}]
)
def test_V10_numbers_that_make_no_attempt_are_refused(more: dict[str, object]) -> None:
    with pytest.raises(DataError, match="at least 1"):
        account_odds(plain(300), RULES, np.random.default_rng(1), **more)  # type: ignore[arg-type]


def test_V10_equal_seeds_give_equal_odds() -> None:
    days = plain(*np.random.default_rng(4).integers(-500, 500, 60).tolist())
    one, other = (account_odds(days, RULES, np.random.default_rng(9), attempts=100, resamples=10) for _ in range(2))
    assert one == other


@pytest.mark.long
def test_V10_the_interval_holds_the_truth_at_about_its_level() -> None:
    """100 runs of 60 days; the truth is the chance under the law that the days come from."""
    exact, held = exact_pass(500, 500, 40), 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        days = plain(*rng.choice([500, -500], 60).tolist())
        told = account_odds(days, RULES, rng, own_guards=False, horizon_days=40, mean_block=1.0, attempts=200)
        held += told.passed.low <= exact <= told.passed.high
    assert held >= 88
