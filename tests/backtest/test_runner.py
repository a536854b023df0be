"""Runner: the whole of deciders, Desk and paper broker under a virtual clock."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lively_tape import LIVELY, MINUTE, lively, opening
from tbot.backtest.runner import FIRST_EPOCH, Runner
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Fill, Intent, PlaceBracket, RoundTrip, SignalIn, TimerIn
from tbot.domain.trading_hours import OperatingHours, SessionCalendar, SessionTable
from tbot.execution.desk import Desk
from tbot.execution.paper_broker import PaperAccount, PaperBroker
from tbot.execution.settings import AccountSettings, DeskSettings
from tbot.risk.limits import RiskLimits
from tbot.strategy.decider import ContractDecider

SYMBOLS = ("MNQ", "MES", "MGC")
TAPE = lively(SYMBOLS, seed=5)


def runner(symbols: tuple[str, ...] = SYMBOLS) -> Runner:
    products = {symbol: PRODUCTS[symbol] for symbol in symbols}
    calendar = SessionCalendar(SessionTable(frozenset({2026}), ()), hours=OperatingHours(), always=True)
    limits = RiskLimits(risk_per_trade_cents=80_000)
    desk = Desk(DeskSettings((AccountSettings(1),), limits, products, calendar, 1))
    return Runner(symbols, LIVELY, desk, PaperBroker([PaperAccount(1)], products))


def played(chunks: Iterable[np.ndarray], symbols: tuple[str, ...] = SYMBOLS) -> Runner:
    run = runner(symbols)
    run.run(chunks)
    return run


WHOLE = played([TAPE])


def outcome(run: Runner) -> tuple[Any, ...]:
    return run.record.rows, run.signals, run.notes, run.desk.digest()


def test_the_tape_is_worth_the_tests() -> None:
    outputs = [output for _, results in WHOLE.record.rows for output in results]
    assert len(WHOLE.signals) >= 20
    assert {signal.contract for signal in WHOLE.signals} == set(SYMBOLS)
    assert any(isinstance(output, PlaceBracket) for output in outputs)
    assert any(isinstance(item, Fill) for item, _ in WHOLE.record.rows)
    assert any(isinstance(note, RoundTrip) for note in WHOLE.notes)


@settings(max_examples=5)
@given(st.lists(st.integers(0, len(TAPE)), max_size=40).map(sorted))
def test_where_the_stream_is_cut_does_not_matter(cuts: list[int]) -> None:
    assert outcome(played(np.split(TAPE, cuts))) == outcome(WHOLE)


def test_playing_again_gives_the_same() -> None:
    assert outcome(played([TAPE])) == outcome(WHOLE)


def test_every_signal_reaches_the_desk_at_once_and_in_order() -> None:
    heard = [item for item, _ in WHOLE.record.rows if isinstance(item, SignalIn)]
    assert [item.signal for item in heard] == WHOLE.signals
    keys = [(item.now_ns, PRODUCTS[item.signal.contract].contract_id, item.signal.ring_seq) for item in heard]
    assert keys == sorted(keys)
    assert all(item.age_ns == 0 and item.quote is not None for item in heard)
    assert {item.quote.epoch for item in heard if item.quote} == {FIRST_EPOCH}


def test_the_desk_never_hears_of_a_time_that_has_not_come() -> None:
    times = [item.now_ns for item, _ in WHOLE.record.rows if isinstance(item, SignalIn | TimerIn)]
    assert times == sorted(times)
    assert set(times) <= set(TAPE["exch_ns"].tolist())
    for item, _ in WHOLE.record.rows:
        if isinstance(item, TimerIn):
            assert all(quote.exch_ns <= item.now_ns for quote in item.quotes.values())


def test_at_one_instant_contracts_go_by_their_number_and_do_not_see_each_other() -> None:
    """Each contract decides as if it were alone; its ring numbers count its own records only."""
    for symbol in SYMBOLS:
        mine = TAPE[TAPE["contract_id"] == PRODUCTS[symbol].contract_id].copy()
        mine["seq"] = 2 * np.arange(len(mine)) + 2
        mine["epoch"] = FIRST_EPOCH
        decider, alone, at = ContractDecider(PRODUCTS[symbol], LIVELY), [], 0
        while at < len(mine) or decider.pending:
            at, found = decider.feed(mine, at)
            alone += found
        assert alone == [signal for signal in WHOLE.signals if signal.contract == symbol]
    times = [item.now_ns for item, _ in WHOLE.record.rows if isinstance(item, SignalIn)]
    assert len(times) > len(set(times)), "no two signals at one instant: the tape proves nothing about ties"


def test_a_contract_more_on_the_tape_changes_no_other_contracts_signals() -> None:
    two = played([lively(("MNQ", "MES"), seed=5)], ("MNQ", "MES"))
    assert two.signals == [signal for signal in WHOLE.signals if signal.contract != "MGC"]


def test_the_account_is_guarded_over_all_contracts() -> None:
    """Every entry rests on an intent; the desk is the same for all contracts of the tape."""
    intents = [note for note in WHOLE.notes if isinstance(note, Intent)]
    placed = [out for _, outs in WHOLE.record.rows for out in outs if isinstance(out, PlaceBracket)]
    assert [(note.tag, note.size) for note in intents] == [(command.tag, command.size) for command in placed]


@pytest.mark.parametrize("held_minutes", [1, 2_000])
def test_minutes_held_until_history_is_there_all_come_before_the_next_record(held_minutes: int) -> None:
    """A late opening releases more events than one call can hold: the rest is pending and must not wait."""
    body = lively(("MES",), seed=5, minutes=held_minutes, opened=False)
    late = opening("MES", int(body["exch_ns"][-1]) + MINUTE)
    run = runner(("MES",))
    run.run([body, late])
    decider = run.deciders[PRODUCTS["MES"].contract_id]
    assert not decider.pending
    assert decider.pipeline.live
    assert decider.pipeline.counters["held_dropped"] == 0
    expected = played([lively(("MES",), seed=5, minutes=held_minutes)], ("MES",))
    other = expected.deciders[PRODUCTS["MES"].contract_id].pipeline
    assert np.array_equal(decider.pipeline.bars(1, 2_000)["close"], other.bars(1, 2_000)["close"])


def test_the_tape_given_is_not_written_to() -> None:
    tape = lively(("MES",), seed=5, minutes=30)
    before = tape.copy()
    tape.flags.writeable = False
    played([tape], ("MES",))
    assert np.array_equal(tape, before)
