"""run_backtest: a plan on data gives a result, the same every time; an error gives none."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lively_tape import LIVELY, MINUTE, START, lively
from tbot.backtest.plan import AccountPlan, BacktestPlan
from tbot.backtest.results import BacktestResult, barred
from tbot.backtest.run import _standstill, run_backtest
from tbot.backtest.runner import StrategyError
from tbot.backtest.source import ArraySource
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Signal, StateChange
from tbot.errors import ConfigError, DataError, Halted
from tbot.execution.settings import AccountSettings
from tbot.risk.firm import FirmRules
from tbot.risk.limits import RiskLimits
from tbot.storage.sources import open_sources
from tbot.storage.tape import TapeWriter, tape_meta
from tbot.strategy.filters import MarketView
from tbot_ext.records import Kind

LIMITS = RiskLimits(risk_per_trade_cents=80_000)
PLAN = BacktestPlan((AccountPlan(AccountSettings(1)),), strategy=LIVELY, limits=LIMITS)
SOURCE = ArraySource((lively(("MNQ", "MES"), seed=5),))
WHOLE = run_backtest(SOURCE, PLAN)


def same(one: BacktestResult, other: BacktestResult) -> bool:
    names = ("trips", "equity", "outcomes")
    tables = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
    return tables and replace(one, **{name: getattr(other, name) for name in names}) == other


def test_a_result_tells_what_was_traded() -> None:
    assert WHOLE.contracts == ("MNQ", "MES")
    assert WHOLE.bars == {"MNQ": 599, "MES": 599}
    assert WHOLE.records == sum(map(len, SOURCE.chunks))
    assert len(WHOLE.trips) >= 4
    assert len(WHOLE.intents) == len(WHOLE.trips)
    assert len(WHOLE.signals) == len(WHOLE.intents) + len(WHOLE.denials)
    assert WHOLE.calendar == "exact"
    assert {day.isoformat() for day in WHOLE.days} == {"2026-11-20", "2026-11-21"}
    assert WHOLE.open_at_end == ()


def test_the_equity_table_ends_where_opening_balance_and_round_trips_lead() -> None:
    assert WHOLE.equity["balance_cents"][0] == 5_000_000
    assert WHOLE.equity["balance_cents"][-1] == 5_000_000 + WHOLE.trips["net_cents"].sum()
    assert np.all(np.diff(WHOLE.equity["at_ns"]) >= 0)
    assert WHOLE.equity["at_ns"][0] == WHOLE.first_ns


def test_the_same_again_is_the_same() -> None:
    assert same(run_backtest(SOURCE, PLAN), WHOLE)


def test_accounts_do_not_touch_each_other() -> None:
    """The second trades one contract under tighter limits; the first does what it does alone."""
    second = AccountSettings(2, limits=replace(LIMITS, risk_per_trade_cents=15_000), contracts=("MES",))
    both = run_backtest(SOURCE, replace(PLAN, accounts=(*PLAN.accounts, AccountPlan(second, 10_000_000))))
    first = both.trips[both.trips["account"] == 1]
    other = both.trips[both.trips["account"] == 2]
    assert np.array_equal(first, WHOLE.trips)
    assert set(other["contract"]) == {"MES"}
    assert other["risk_cents"].max() <= 15_000
    own = both.equity[both.equity["account"] == 2]
    assert own["balance_cents"].tolist()[0] == 10_000_000
    assert own["balance_cents"].tolist()[-1] == 10_000_000 + other["net_cents"].sum()


def test_a_tape_gives_what_its_records_give(tmp_path: Path) -> None:
    path = tmp_path / "made.tape"
    with TapeWriter(path, tape_meta([PRODUCTS["MNQ"], PRODUCTS["MES"]], "test")) as writer:
        writer.write(lively(("MNQ", "MES"), seed=5, opened=False))
    with open_sources([path]) as source:
        result, again = run_backtest(source, PLAN), run_backtest(source, PLAN)
    assert np.array_equal(result.trips, WHOLE.trips)
    assert same(result, again)
    assert result.data_hash != WHOLE.data_hash


def test_progress_counts_up_to_the_records_and_the_time_of_the_last_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tbot.backtest.run.PROGRESS_S", 0.0)
    told: list[tuple[int, int]] = []
    chunks = tuple(np.array_split(SOURCE.chunks[0], 7))
    run_backtest(ArraySource(chunks), PLAN, progress=lambda done, at_ns: told.append((done, at_ns)))
    assert [done for done, _ in told] == np.cumsum([len(chunk) for chunk in chunks]).tolist()
    assert told[-1][1] == WHOLE.last_ns


# ------------------------------------------------------------------------------------------------- no result at all
class Failing:
    """Fails on its hundredth batch of events."""

    counters: dict[str, int]

    def __init__(self, *_: Any) -> None:
        self.counters = {}
        self._calls = 0

    def on_events(self, events: np.ndarray, view: MarketView) -> list[Signal]:
        self._calls += 1
        if self._calls == 100:
            raise ZeroDivisionError("division by zero")
        return []


def test_a_strategy_that_raises_ends_the_run_with_its_name_place_and_time() -> None:
    plan = replace(PLAN, make_trader=Failing, trader_name="failing")
    with pytest.raises(StrategyError) as caught:
        run_backtest(SOURCE, plan)
    assert caught.value.exit_code != 0
    text = str(caught.value)
    assert "\n" not in text
    for part in ("failing", "MNQ", "2026-11-20", "ZeroDivisionError: division by zero"):
        assert part in text


class NeverMade:
    def __init__(self, *_: Any) -> None:
        raise RuntimeError("no model file")


class Garbage(Failing):
    """Gives what is no signal of its contract."""

    def on_events(self, events: np.ndarray, view: MarketView) -> list[Any]:
        return [replace(WHOLE.signals[0], contract="NQ", stop=1.5)]


@pytest.mark.parametrize(("trader", "words"), [(NeverMade, "at its start for MNQ"), (Garbage, "a signal of NQ")])
def test_a_strategy_that_cannot_be_made_or_gives_garbage_is_told_the_same_way(trader: Any, words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        run_backtest(SOURCE, replace(PLAN, make_trader=trader, trader_name="bad"))


def test_data_without_one_bar_is_no_backtest() -> None:
    short = lively(("MES",), minutes=1)
    with pytest.raises(DataError, match="not one finished 1m bar"):
        run_backtest(ArraySource((short[:3],)), PLAN)
    with pytest.raises(DataError):
        run_backtest(ArraySource(()), PLAN)


def test_an_account_that_an_error_halted_is_no_result() -> None:
    from tbot.storage.firm_rules import load_rules

    rules = load_rules("combine", "150K", WHOLE.days[0])
    plan = replace(PLAN, accounts=(AccountPlan(AccountSettings(1, rules=rules), 5_000_000),))
    with pytest.raises(Halted, match="could not trade"):
        run_backtest(SOURCE, plan)


def test_a_plan_needs_accounts_and_names_its_strategy() -> None:
    with pytest.raises(ConfigError):
        BacktestPlan(())
    with pytest.raises(ConfigError):
        replace(PLAN, make_trader=Failing)
    assert replace(PLAN, make_trader=Failing, trader_name="a").digest() != PLAN.digest()


class Leaving(Failing):
    """Ends the program on its hundredth batch, as if all were well."""

    def on_events(self, events: np.ndarray, view: MarketView) -> list[Signal]:
        try:
            return super().on_events(events, view)
        except ZeroDivisionError:
            raise SystemExit(0) from None


def test_a_strategy_that_ends_the_program_does_not_end_it_as_a_success() -> None:
    with pytest.raises(StrategyError, match=r"leaving failed on MNQ at 2026-11-20\S+ of market time \(SystemExit: 0\)"):
        run_backtest(SOURCE, replace(PLAN, make_trader=Leaving, trader_name="leaving"))


# ---------------------------------------------------------------------------------------------------------- notes
def test_what_is_open_at_the_end_is_told() -> None:
    """The data stops a second after a fill."""
    opened = int(WHOLE.trips["opened_ns"][0])
    records = SOURCE.chunks[0]
    cut = run_backtest(ArraySource((records[records["exch_ns"] <= opened],)), PLAN)
    assert len(cut.trips) == 0
    assert len(cut.open_at_end) == 1
    assert "account 1: -5 MES" in cut.open_at_end[0]


def test_V10_days_after_the_floor_took_an_account_out_are_told_and_are_no_days_of_the_next_one() -> None:
    from tbot.storage.firm_rules import load_rules
    from tbot.validation.assess import assess

    rules = load_rules("combine", "50K", WHOLE.days[0])
    opening = rules.start_cents - 120_000  # one losing trade from where TR2 lets nothing in
    result = run_backtest(SOURCE, replace(PLAN, accounts=(AccountPlan(AccountSettings(1, rules=rules), opening),)))
    assert result.trips["net_cents"].tolist() == [-38_110]
    out = barred(result.denials, result.intents, 1)
    assert out is not None
    assert out.now_ns > result.trips["closed_ns"][-1]
    assert "account 1 took no trade from 2026-11-20 on for want of room" in result.notes[-1]
    longer = replace(result, days=(*result.days, *(result.days[-1] + timedelta(days=n) for n in range(1, 60))))
    told = [assess(one, rules=rules).odds for one in (result, longer)]
    assert told[0] is not None
    assert told[0] == told[1]  # the empty days behind change nothing
    assert barred(WHOLE.denials, WHOLE.intents, 1) is None


def test_an_account_that_was_halted_on_the_way_is_told_with_the_moment_and_the_reason() -> None:
    account = AccountPlan(AccountSettings(1, rules=FirmRules(target_cents=10_000, best_day_percent=100)))
    result = run_backtest(SOURCE, replace(PLAN, accounts=(account,)))
    assert result.states == {1: "HALTED"}
    assert result.notes[-1] == (
        "account 1 was halted at 2026-11-20 15:40:15Z: the profit target of $169.05 is reached with $169.05 "
        "(RC_TARGET). It took no trade after that, and the 1 trading day that follows is empty for that reason; "
        "without the firm's rules it goes on"
    )
    assert not any("halted" in note or "locked" in note for note in WHOLE.notes)


@pytest.mark.parametrize(
    ("states", "found"),
    [
        (["ACTIVE", "REDUCING", "HALTED", "HALTED"], 2),
        (["LOCKED", "LOCKED"], 0),
        (["LOCKED", "RECONCILING", "ACTIVE"], None),
        (["LOCKED", "RECONCILING", "LOCKED"], 2),
        (["HALTED", "ACTIVE", "PAUSED"], None),
        ([], None),
    ],
)
def test_the_halt_that_lasted_is_the_one_that_is_told(states: list[str], found: int | None) -> None:
    changes = [StateChange(number, 1, state, ("RC_X",), "words") for number, state in enumerate(states)]
    told = _standstill(changes)
    assert (None if told is None else told.now_ns) == found


def test_years_outside_the_session_table_are_marked_or_not_traded() -> None:
    early = SOURCE.chunks[0].copy()
    early["exch_ns"] -= 364 * 24 * 60 * MINUTE * 6  # whole weeks: the same weekday, 2020
    template = run_backtest(ArraySource((early,)), PLAN)
    assert template.calendar == "template"
    assert len(template.intents)
    exact = run_backtest(ArraySource((early,)), replace(PLAN, calendar="exact"))
    assert not exact.intents
    assert {denial.reason for denial in exact.denials} == {"RC_WINDOW"}
    assert exact.calendar == "template"


def test_a_hole_in_the_middle_of_a_trade_is_told(tmp_path: Path) -> None:
    """Marked, or only silent for more than ten minutes of trading time: what happened in it is not known."""
    trip = max(WHOLE.trips, key=lambda row: row["closed_ns"] - row["opened_ns"])
    assert trip["closed_ns"] - trip["opened_ns"] > 13 * MINUTE
    records = SOURCE.chunks[0].copy()
    middle = int(trip["opened_ns"]) + MINUTE
    at = int(np.flatnonzero((records["exch_ns"] >= middle) & (records["contract_id"] == trip["contract_id"]))[0])
    records["kind"][at] = Kind.GAP
    marked = run_backtest(ArraySource((records,)), PLAN)
    assert any("missing at 1 marked gap" in note for note in marked.notes)
    assert any(f"the {trip['contract']} trade" in sentence for sentence in marked.through_holes)

    whole = lively(("MNQ", "MES"), seed=5, opened=False)
    inside = (whole["exch_ns"] > middle) & (whole["exch_ns"] < middle + 12 * MINUTE)
    path = tmp_path / "hole.tape"
    with TapeWriter(path, tape_meta([PRODUCTS["MNQ"], PRODUCTS["MES"]], "test")) as writer:
        writer.write(whole[~(inside & (whole["contract_id"] == trip["contract_id"]))])
    with open_sources([path]) as source:
        silent = run_backtest(source, PLAN)
    assert any(f"the {trip['contract']} trade" in sentence for sentence in silent.through_holes)
    assert WHOLE.through_holes == ()


def test_a_clock_behind_fridays_last_bar_makes_no_trading_day() -> None:
    """The market is silent from 16:00 in Chicago on; the clock that closes its last bar may come at 17:00 or later."""
    records = SOURCE.chunks[0]
    friday = records[records["exch_ns"] < START + 390 * MINUTE]
    late = np.repeat(friday[-1:], 2)
    late["kind"], late["exch_ns"] = Kind.CLOCK, START + np.array([511, 520]) * MINUTE
    result = run_backtest(ArraySource((np.concatenate([friday, late]),)), PLAN)
    assert {day.isoformat() for day in result.days} == {"2026-11-20"}
