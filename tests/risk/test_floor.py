"""The loss floor: worked example of the firm, edges to the cent, and a brute-force reference over random days."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.risk.firm import FirmRules
from tbot.risk.floor import FloorBook

S = 5_000_000
FIRST = date(2026, 11, 2)
XFA = FirmRules(stage="funded", start_cents=0, target_cents=0, day_profit_stop_cents=0)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def test_TR2_worked_example_of_the_firm() -> None:
    """Topstep's 50K example: +500 -> 48 500; -500 -> stays; +2 500 -> 50 000, where it stops for good."""
    book = FloorBook(FirmRules())
    assert book.floor_cents == 4_800_000
    book.rebuild(S, {}, day(0))
    book.end_day(day(0), 50_000, 5_050_000)
    assert (book.high_cents, book.floor_cents) == (5_050_000, 4_850_000)
    book.end_day(day(1), -50_000, 5_000_000)
    assert book.floor_cents == 4_850_000
    book.end_day(day(2), 250_000, 5_250_000)
    assert (book.high_cents, book.floor_cents) == (5_250_000, 5_000_000)
    book.end_day(day(3), 100_000, 5_350_000)
    assert book.floor_cents == 5_000_000
    assert book.traded_days == 4


def test_TR2_the_same_example_rebuilt_from_fills_alone() -> None:
    book = FloorBook(FirmRules())
    book.rebuild(5_250_000 - 7_700, {day(0): 50_000, day(1): -50_000, day(2): 250_000, day(3): -7_700}, day(3))
    assert (book.opening_cents, book.high_cents, book.floor_cents) == (5_250_000, 5_250_000, 5_000_000)
    assert (book.best_day_cents(0), book.traded_days) == (250_000, 3)


@pytest.mark.parametrize(("gain", "floor"), [(199_999, 4_999_999), (200_000, 5_000_000), (200_001, 5_000_000)])
def test_TR2_the_floor_stops_exactly_at_the_start_balance(gain: int, floor: int) -> None:
    book = FloorBook(FirmRules())
    book.rebuild(S + gain, {day(0): gain}, day(1))
    assert book.floor_cents == floor


def test_TR2_an_intraday_high_does_not_move_it() -> None:
    book = FloorBook(FirmRules())
    book.rebuild(S + 150_000, {day(5): 150_000}, day(5))
    assert (book.floor_cents, book.opening_cents) == (4_800_000, S)
    book.end_day(day(5), 20_000, S + 20_000)
    assert book.floor_cents == 4_820_000


def test_TR2_a_funded_account_starts_at_zero_and_locks_at_zero() -> None:
    book = FloorBook(XFA)
    assert book.floor_cents == -200_000
    book.rebuild(120_000, {day(0): 120_000}, day(1))
    assert book.floor_cents == -80_000
    book.end_day(day(1), 90_000, 210_000)
    assert book.floor_cents == 0


def test_TR2_a_payout_does_not_lower_it() -> None:
    """The balance falls without a trade: what fills say of earlier days falls with it, what was told does not."""
    book = FloorBook(XFA)
    book.rebuild(150_000, {day(0): 150_000}, day(1))
    book.end_day(day(1), 0, 150_000)
    book.rebuild(50_000, {day(0): 150_000}, day(2))  # 1 000.00 were paid out
    assert (book.rebuilt_cents, book.floor_cents) == (50_000, -50_000)
    stated = FloorBook(XFA, stated_cents=0)
    stated.rebuild(50_000, {}, day(2))
    assert stated.floor_cents == 0


def test_TR2_the_worse_of_fills_journal_and_the_owners_word() -> None:
    nets = {day(0): 30_000}
    for carried, stated, floor in (
        ((), None, 4_830_000),
        ([(day(0).isoformat(), 5_060_000)], None, 4_860_000),
        ([(day(0).isoformat(), 5_060_000)], 4_860_001, 4_860_001),
        ([(day(0).isoformat(), 5_010_000)], 4_800_000, 4_830_000),
    ):
        book = FloorBook(FirmRules(), stated_cents=stated)
        book.carry(carried, day(1).isoformat())
        book.rebuild(5_030_000, nets, day(1))
        assert book.floor_cents == floor, (carried, stated)


def test_TR2_the_oldest_day_known_began_at_a_closing_balance_too() -> None:
    """Fills reach back to a day that lost 400.00; the day before closed at 51 400.00, whoever made that."""
    book = FloorBook(FirmRules())
    book.rebuild(5_100_000, {day(40): -40_000}, day(41))
    assert (book.high_cents, book.floor_cents) == (5_140_000, 4_940_000)


def test_TR2_a_life_before_a_reset_does_not_count() -> None:
    """The account was reset on day 10: the results before it belong to another start balance."""
    nets = {day(8): -100_000, day(9): -110_000, day(10): 20_000}
    old = [(day(8).isoformat(), 5_100_000), (day(10).isoformat(), 5_020_000)]
    book = FloorBook(FirmRules(), since=day(10).isoformat())
    book.carry(old, day(11).isoformat())
    book.rebuild(5_020_000, nets, day(11))
    assert (book.high_cents, book.floor_cents, book.best_day_cents(0)) == (5_020_000, 4_820_000, 20_000)
    book.end_day(day(9), 0, 6_000_000)  # a day before it that ends late changes nothing
    assert book.floor_cents == 4_820_000


def test_a_phantom_of_one_answer_is_gone_with_the_next() -> None:
    """A loss told by the fills but not yet by the balance makes the past look better, until both agree."""
    book = FloorBook(FirmRules())
    book.rebuild(S, {day(1): -30_000}, day(1))
    assert book.floor_cents == 4_830_000
    book.rebuild(S - 30_000, {day(1): -30_000}, day(1))
    assert book.floor_cents == 4_800_000


def test_before_anything_is_known_a_day_that_ends_leaves_only_its_balance() -> None:
    book = FloorBook(FirmRules())
    book.end_day(day(0), 99, None)
    assert (book.known, book.nets, book.closings, book.floor_cents) == (False, {}, {}, 4_800_000)
    book.end_day(day(0), 99, 5_000_099)
    assert (book.known, book.floor_cents) == (False, 4_800_099)


def test_a_day_of_today_in_the_journal_is_no_closing_balance() -> None:
    book = FloorBook(FirmRules())
    book.carry([(day(1).isoformat(), 5_090_000)], day(1).isoformat())
    assert (book.closings, book.floor_cents) == ({}, 4_800_000)


def test_best_day_and_traded_days_from_both_witnesses() -> None:
    book = FloorBook(FirmRules())
    told = [(day(0), 5_000_000), (day(1), 5_070_000), (day(2), 5_070_000), (day(3), 5_110_000)]
    book.carry([(at.isoformat(), cents) for at, cents in told], day(5).isoformat())
    assert (book.best_day_cents(0), book.traded_days) == (70_000, 2)
    book.rebuild(5_090_000, {day(3): 40_000, day(4): -20_000}, day(5))
    assert (book.best_day_cents(0), book.traded_days) == (70_000, 3)
    assert book.best_day_cents(70_001) == 70_001
    assert FloorBook(FirmRules()).best_day_cents(-5) == 0


nets_strategy = st.lists(st.one_of(st.just(0), st.integers(-60_000, 260_000)), min_size=1, max_size=25)


def reference(rules: FirmRules, nets: list[int]) -> list[int]:
    """Floor during each day, by the words of the rule: all closing balances of earlier days, one after the other."""
    floors = []
    for number in range(len(nets) + 1):
        closings = [rules.start_cents + sum(nets[:upto]) for upto in range(number + 1)]
        highest = sorted([*closings, rules.start_cents])[-1]
        floors.append(min(rules.start_cents, highest - rules.max_loss_cents))
    return floors


@given(nets_strategy, st.sampled_from([FirmRules(), XFA]), st.data())
def test_TR2_ratchet_against_the_reference_with_restarts_anywhere(
    nets: list[int], rules: FirmRules, data: st.DataObject
) -> None:
    """The same floor whether days were watched, carried by the journal, or rebuilt from fills; and it never falls."""
    expected = reference(rules, nets)
    assert expected == sorted(expected)
    book = FloorBook(rules)
    balance, told = rules.start_cents, []
    book.rebuild(balance, {}, day(0))
    for number, net in enumerate(nets):
        assert book.floor_cents == expected[number]
        balance += net
        told.append((day(number).isoformat(), balance))
        known = {day(at): value for at, value in enumerate(nets[: number + 1]) if value}
        how = data.draw(st.sampled_from(["watched", "fills", "journal"]))
        if how == "watched":
            book.end_day(day(number), net, balance)
            continue
        book = FloorBook(rules)
        if how == "journal":
            book.carry(told, day(number + 1).isoformat())
            known = {}
        book.rebuild(balance, known, day(number + 1))
    assert book.floor_cents == expected[-1]


@given(nets_strategy, st.integers(0, 24), st.integers(0, 50_000))
def test_TR2_witnesses_with_less_to_tell_never_lower_it(nets: list[int], cut: int, paid_out: int) -> None:
    """Fills that reach back less far, or a balance lowered by a payout, beside a journal that saw every day."""
    balance = S + sum(nets)
    told, running = [], S
    for number, net in enumerate(nets):
        running += net
        told.append((day(number).isoformat(), running))
    book = FloorBook(FirmRules())
    book.carry(told, day(len(nets)).isoformat())
    book.rebuild(balance - paid_out, {day(at): net for at, net in enumerate(nets) if at >= cut}, day(len(nets)))
    assert book.floor_cents == reference(FirmRules(), nets)[-1]
