"""The driver that passes over quiet instants gives what stepping every instant gives; what it leaves out is nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lively_tape import LIVELY, MINUTE, SECOND, START, lively, opening
from slow_driver import LIMITS, EveryFewBars, both, first_difference, outcome, runner, with_limits
from tbot.backtest.runner import Runner
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Command, Denial, Fill, Intent, RoundTrip, SignalIn, StateChange, TimerIn
from tbot.domain.trading_hours import SessionCalendar
from tbot.execution.outlook import RESTLESS
from tbot.execution.settings import AccountSettings
from tbot.storage.firm_rules import load_rules
from tbot.storage.sessions import load_sessions
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import NO_PRICE, TICK_DTYPE, Flag, Kind

THREE = ("MNQ", "MES", "MGC")
OFTEN = {"make_trader": EveryFewBars}


def dense(symbol: str, seed: int, seconds: int, *, jump: int = 3, quotes: bool = True) -> np.ndarray:
    """A few records a second at uneven times, several to an instant, one-sided quotes among them."""
    chance = np.random.default_rng([seed, PRODUCTS[symbol].contract_id])
    count = seconds * 4
    ticks = np.zeros(count, TICK_DTYPE)
    ticks["contract_id"] = PRODUCTS[symbol].contract_id
    gaps = chance.choice([0, 1_000_000, 150_000_000, 400_000_000, 900_000_000], count, p=[0.3, 0.2, 0.3, 0.15, 0.05])
    gaps[chance.random(count) < 0.002] += 15 * SECOND  # quotes that grow old
    ticks["exch_ns"] = START + np.cumsum(gaps)
    path = 50_000 + np.cumsum(chance.integers(-jump, jump + 1, count))
    ticks["kind"] = np.where(chance.random(count) < 0.5, Kind.QUOTE, Kind.TRADE) if quotes else Kind.TRADE
    ticks["price"] = path
    quote = ticks["kind"] == Kind.QUOTE
    ticks["price2"][quote] = path[quote] + 1
    ticks["price2"][quote & (chance.random(count) < 0.01)] = NO_PRICE
    ticks["size"][~quote] = chance.integers(1, 9, count)[~quote]
    ticks["volume"] = -1
    return np.concatenate((opening(symbol), ticks))


def merged(*parts: np.ndarray) -> np.ndarray:
    records = np.concatenate(parts)
    return records[np.lexsort((records["contract_id"], records["exch_ns"]))]


def assert_same(chunks: list[np.ndarray], symbols: tuple[str, ...], **more: Any) -> Runner:
    fast, slow = both(chunks, symbols, **more)
    assert first_difference(fast, slow) == ""
    return fast


@settings(max_examples=6)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 3_000), max_size=12).map(sorted))
def test_passing_over_is_stepping_on_restless_tapes(seed: int, cuts: list[int]) -> None:
    tape = lively(THREE, seed=seed, minutes=200)
    assert_same(np.split(tape, cuts), THREE)


@settings(max_examples=6)
@given(seed=st.integers(0, 10_000), pieces=st.integers(1, 9))
def test_passing_over_is_stepping_on_dense_tapes(seed: int, pieces: int) -> None:
    tape = merged(dense("MNQ", seed, 900), dense("MES", seed, 900))
    assert_same(np.array_split(tape, pieces), ("MNQ", "MES"), **OFTEN)


def test_the_dense_tapes_are_worth_it() -> None:
    run = runner(Runner, ("MNQ", "MES"), **OFTEN)
    run.run([merged(dense("MNQ", 1, 3_000), dense("MES", 1, 3_000))])
    assert sum(isinstance(note, RoundTrip) for note in run.notes) >= 3
    assert len(run.record.rows) < run.records / 20


@pytest.mark.parametrize(
    "changes",
    [
        {"daily_loss_cents": 20_000, "risk_per_trade_cents": 80_000},
        {"break_even_percent": 50},
        {"trail_percent": 50, "trail_step_ticks": 1},
        {"quote_stale_ns": 3 * SECOND, "blind_hold_ns": 10 * SECOND},
    ],
    ids=str,
)
def test_passing_over_is_stepping_under_other_limits(changes: dict[str, int]) -> None:
    tape = merged(dense("MNQ", 3, 1_500, jump=5), dense("MES", 3, 1_500))
    run = assert_same(np.array_split(tape, 5), ("MNQ", "MES"), limits=with_limits(**changes), **OFTEN)
    assert any(isinstance(item, Fill) for item, _ in run.record.rows)


def test_passing_over_is_stepping_with_accounts_under_the_firms_rules() -> None:
    rules = load_rules("combine", "50K", SessionCalendar(load_sessions()).trading_day(START).day)
    tight = replace(rules, target_cents=30_000)
    accounts = (
        AccountSettings(1, rules=rules),
        AccountSettings(2, rules=tight, contracts=("MES",)),
        AccountSettings(3, limits=replace(LIMITS, daily_loss_cents=30_000)),
    )
    calendar = SessionCalendar(load_sessions())
    tape = lively(THREE, seed=3, minutes=500)
    run = assert_same(np.array_split(tape, 4), THREE, accounts=accounts, calendar=calendar)
    traded = {item.account for item, _ in run.record.rows if isinstance(item, Fill)}
    assert traded == {1, 2, 3}


def test_passing_over_is_stepping_through_gaps_rolls_and_clocks() -> None:
    """A roll in the middle of a trade, a gap that history ends, one that nothing ends, clock records."""
    tape = lively(THREE, seed=3, minutes=300)
    held = runner(Runner, THREE)
    held.run([tape])
    trip = next(note for note in held.notes if isinstance(note, RoundTrip) and note.now_ns - note.opened_ns > MINUTE)
    number = PRODUCTS[trip.contract].contract_id
    other = next(PRODUCTS[name].contract_id for name in THREE if name != trip.contract)
    marks = np.zeros(6, TICK_DTYPE)
    marks["contract_id"] = [number, number, other, other, number, other]
    marks["kind"] = [Kind.GAP, Kind.HISTORY, Kind.GAP, Kind.HISTORY, Kind.CLOCK, Kind.GAP]
    marks["aux"] = [NEW_CONTRACT, 0, 0, 0, 0, 0]
    at = trip.opened_ns + 15 * SECOND
    marks["exch_ns"] = [at, at, at + SECOND, at + 20 * MINUTE, at + 2 * SECOND, START + 250 * MINUTE]
    run = assert_same(np.array_split(merged(tape, marks), 6), THREE)
    ended = next(note for note in run.notes if isinstance(note, RoundTrip) and note.opened_ns == trip.opened_ns)
    assert (ended.now_ns, ended.exit_reason) == (at, "other")
    assert run.desk.holds(1, "RC_MISMATCH") is False


def test_passing_over_is_stepping_on_ticks_made_from_bars() -> None:
    tape = lively(("MES",), seed=7, minutes=400)
    trades = tape["kind"] == Kind.TRADE
    tape["flags"][trades] |= int(Flag.SYNTHETIC)
    tape["aux"][np.flatnonzero(trades)[3::4]] = 1
    assert_same(np.array_split(tape, 3), ("MES",))


def test_windows_and_days_end_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three days with nights and a weekend between them: what is open at the end of a window is closed at once."""
    parts = []
    for day in range(4):
        part = lively(("MNQ", "MES"), seed=day, minutes=400, opened=day == 0)
        part["exch_ns"] += day * 24 * 60 * MINUTE
        parts.append(part)
    calendar = SessionCalendar(load_sessions())
    run = assert_same(parts, ("MNQ", "MES"), calendar=calendar, limits=with_limits(consecutive_losses=2))
    changes = [note for note in run.notes if isinstance(note, StateChange) and "RC_WINDOW" in note.reasons]
    assert len(changes) >= 2


# ----------------------------------------------------------------------------------------- what timers would have said
def told(run: Runner) -> tuple[list[Any], list[Any]]:
    """(commands, decisions) of a run; the range of prices that a round trip went through is as fine as timers."""
    commands = [output for _, outputs in run.record.rows for output in outputs if isinstance(output, Command)]
    notes = [
        replace(note, mae_ticks=None, mfe_ticks=None) if isinstance(note, RoundTrip) else note
        for note in run.notes
        if isinstance(note, Intent | Denial | RoundTrip | StateChange)
    ]
    return commands, notes


@pytest.mark.parametrize("seed", range(3, 7))
def test_timers_that_are_left_out_would_have_changed_nothing(seed: int) -> None:
    """On a tape with an instant each 15 s every one of them brings a timer when the Desk is never at rest."""
    rules = load_rules("combine", "50K", SessionCalendar(load_sessions()).trading_day(START).day)
    accounts = (AccountSettings(1, rules=rules), AccountSettings(2, limits=with_limits(daily_loss_cents=25_000)))
    more = {"accounts": accounts, "calendar": SessionCalendar(load_sessions())}
    tape = lively(THREE, seed=seed, minutes=420)
    fast, restless = runner(Runner, THREE, **more), runner(Runner, THREE, **more)
    restless.session._ask_outlook = lambda: RESTLESS  # type: ignore[attr-defined]
    fast.run([tape])
    restless.run([tape])
    timers = [sum(isinstance(item, TimerIn) for item, _ in run.record.rows) for run in (fast, restless)]
    assert timers[0] * 5 < timers[1]
    assert told(fast) == told(restless)
    assert any(isinstance(item, SignalIn) for item, _ in fast.record.rows)


def test_the_driver_is_the_same_twice() -> None:
    tape = lively(THREE, seed=9, minutes=200)
    runs = [runner(Runner, THREE, strategy=LIVELY) for _ in range(2)]
    for run in runs:
        run.run([tape])
    assert outcome(runs[0]) == outcome(runs[1])
