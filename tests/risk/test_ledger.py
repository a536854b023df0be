"""The ledger: derived by replay of fills, whatever order and however often they are told."""

from datetime import date
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Fill
from tbot.domain.timeframes import NS_PER_S
from tbot.risk.ledger import Ledger

DAY_NS = 86_400 * NS_PER_S
DAY = date(2026, 1, 1)


def day_of(now_ns: int) -> date:
    return date.fromordinal(DAY.toordinal() + now_ns // DAY_NS)


def make(number: int, side: int, size: int, price: int, contract: str = "MNQ", **changes: object) -> Fill:
    fields = {
        "now_ns": number, "account": 1, "fill_id": number, "order_id": 100 + number, "contract": contract,
        "side": side, "size": size, "price": price, "fees_cents": 36 * size, "commission_cents": 25 * size,
    }  # fmt: skip
    return Fill(**{**fields, **changes})  # type: ignore[arg-type]


def ledger(*fills: Fill) -> Ledger:
    made = Ledger(PRODUCTS, day_of)
    for fill in fills:
        made.add(fill)
    return made


def trip(number: int, gross_ticks: int, contract: str = "MNQ", **changes: object) -> list[Fill]:
    """A one-contract round trip with fills `number` and `number` + 1."""
    return [
        make(number, 1, 1, 1_000, contract, **changes),
        make(number + 1, -1, 1, 1_000 + gross_ticks, contract, **changes),
    ]


def test_day_net_by_hand() -> None:
    held = ledger(make(1, 1, 3, 100), make(2, -1, 1, 110), make(3, -1, 2, 96))
    today = held.today(DAY)
    assert today.gross_cents == (10 - 8) * 50
    assert today.net_cents == 100 - 6 * 61
    assert (today.trips, today.wins, today.losses, today.streak) == (1, 0, 1, 1)
    assert held.today(date(2026, 1, 2)).net_cents == 0


def test_drawdown_is_the_largest_fall_from_a_peak() -> None:
    free = {"fees_cents": 0, "commission_cents": 0}
    fills = [fill for index, ticks in enumerate((10, -30, 5, -10, 100)) for fill in trip(10 * index + 1, ticks, **free)]
    assert ledger(*fills).drawdown_cents == 35 * 50


def test_win_rate_and_profit_factor() -> None:
    free = {"fees_cents": 0, "commission_cents": 0}
    held = ledger(*trip(1, 10, **free), *trip(3, -5, **free), *trip(5, 10, **free))
    assert held.total.profit_factor == pytest.approx(4.0)
    assert held.total.win_rate == pytest.approx(2 / 3)
    assert (ledger().total.profit_factor, ledger().total.win_rate) == (None, None)


@pytest.mark.parametrize(
    ("results", "streak", "longest"),
    [
        ((-5,), 1, 1),
        ((-5, -5), 2, 2),
        ((-5, 30, -5), 1, 1),
        ((-5, -5, 30), 0, 2),
        ((-5, 0, -5), 2, 2),  # a scratch neither counts nor resets
        ((0,), 0, 0),
    ],
)
def test_F_RSK_03_streak_counts_net_results(results: tuple[int, ...], streak: int, longest: int) -> None:
    free = {"fees_cents": 0, "commission_cents": 0}
    held = ledger(*(fill for index, ticks in enumerate(results) for fill in trip(10 * index + 1, ticks, **free)))
    assert (held.today(DAY).streak, held.today(DAY).streak_max) == (streak, longest)


def test_F_RSK_03_a_gross_scratch_is_a_net_loss() -> None:
    assert ledger(*trip(1, 0)).today(DAY).streak == 1
    assert ledger(*trip(1, 2)).today(DAY).streak == 1  # 1.00 gross, 1.22 costs
    assert ledger(*trip(1, 3)).today(DAY).streak == 0


def test_F_RSK_02_late_fee_late_pnl_and_voided_fills_replay() -> None:
    opening, closing = trip(1, 20, fees_cents=0, commission_cents=0)
    held = ledger(opening, closing)
    assert held.today(DAY).net_cents == 1_000
    assert held.add(make(2, -1, 1, 1_020, pnl_cents=1_000))
    assert held.today(DAY).net_cents == 1_000 - 61
    assert held.add(make(2, -1, 1, 1_020, pnl_cents=900))
    assert held.today(DAY).net_cents == 900 - 61  # the broker's figure is worse: it counts
    assert not held.add(make(2, -1, 1, 1_020, pnl_cents=950))
    assert held.add(make(2, -1, 1, 1_020, voided=True))
    assert held.position("MNQ").size == 1
    assert held.today(DAY).trips == 0


def test_completed_trips_are_handed_out_once() -> None:
    opening, closing = trip(1, 5)
    held = ledger(closing)
    assert held.position("MNQ").size == -1
    held.add(opening)
    assert [done.trip.side for done in held.take_completed()] == [1]
    held.add(make(1, 1, 1, 1_000, fees_cents=99))
    assert held.take_completed() == []


def test_F_TIM_08_days_are_apart_and_closing_them_keeps_the_sums() -> None:
    held = ledger(*trip(1, -10), *trip(DAY_NS + 1, -10))
    second = date(2026, 1, 2)
    assert (held.today(DAY).trips, held.today(second).trips, held.today(second).streak) == (1, 1, 1)
    assert held.nets() == {DAY: -622, second: -622}
    before = (held.total.net_cents, held.total.trips, held.drawdown_cents)
    third = date(2026, 1, 3)
    held.close_days_before(third)
    assert not held.knows(2 * DAY_NS)
    assert not held.add(trip(1, -10)[0])  # a very late repeat
    assert (held.total.net_cents, held.total.trips, held.drawdown_cents) == before
    held.add(make(2 * DAY_NS + 5, 1, 1, 7))
    assert held.position("MNQ").size == 1


def test_F_TIM_08_a_late_fill_counts_in_its_own_day() -> None:
    """Told after fills of the next day, with a higher id: today's result and streak stay what they are."""
    held = ledger(*trip(DAY_NS + 1, -10), make(2 * DAY_NS, 1, 1, 1_000), make(2 * DAY_NS + 1, -1, 1, 1_020, now_ns=7))
    second, third = date(2026, 1, 2), date(2026, 1, 3)
    assert held.nets() == {second: -622, third: -61, DAY: 1_000 - 61}
    assert (held.today(second).streak, held.today(third).trips) == (1, 0)
    held.close_days_before(third)  # the newest day is not over
    assert held.knows(DAY_NS + 1)


def test_a_day_is_not_closed_while_a_position_is_open() -> None:
    held = ledger(make(1, 1, 1, 100))
    held.close_days_before(date(2026, 1, 5))
    assert held.filled(101) == 1


def test_F_ACC_01_an_adopted_position_survives_later_replays() -> None:
    held = ledger(make(1, 1, 2, 100), make(2, -1, 1, 110))
    held.adopt_position("MNQ", 0, 0, 5)
    assert held.position("MNQ").size == 0
    held.add(make(3, 1, 1, 50))
    held.add(make(3, 1, 1, 50, fees_cents=99))  # forces a replay
    assert held.position("MNQ").size == 1
    assert held.today(DAY).gross_cents == 500


def test_F_ACC_01_a_fill_that_is_told_after_an_adoption_still_counts() -> None:
    """Its list was stale when the position was compared; what it lost was lost all the same (F-ACC-05)."""
    held = ledger(make(1, 1, 1, 100), make(5, 1, 1, 7_000, "MES"))
    held.adopt_position("MNQ", 0, 0, 6)
    assert held.add(make(2, -1, 1, 90))
    assert held.position("MNQ").size == 0
    assert (held.today(DAY).gross_cents, held.today(DAY).streak_max) == (-500, 1)


def test_I13_a_position_without_a_fill_does_not_end_a_row_of_losses() -> None:
    """The venue's -1 appears from nowhere between two losses, and closing it gains something."""
    held = ledger(*trip(1, -5))
    held.adopt_position("MES", -1, 7_000, 3)
    held.add(make(4, 1, 1, 6_000, "MES"))
    assert (held.today(DAY).wins, held.today(DAY).streak) == (1, 1)
    for fill in trip(5, -5, "MES"):
        held.add(fill)
    assert held.today(DAY).streak_max == 2


def test_I13_a_position_without_a_fill_can_make_a_row_longer() -> None:
    held = ledger(*trip(1, -5))
    held.adopt_position("MNQ", 1, 1_000, 3)
    held.add(make(4, -1, 1, 990))
    assert held.today(DAY).streak_max == 2


def test_I13_a_loss_whose_position_was_refuted_counts_as_after_a_restart() -> None:
    """The broker says flat, the exit's fill comes later: the trip has no result for us, but by its fills it has."""
    held = ledger(*trip(1, -5), make(3, 1, 1, 1_000))
    held.adopt_position("MNQ", 0, 0, 4)
    held.add(make(5, -1, 1, 990))
    assert held.position("MNQ").size == -1  # until the next comparison
    assert held.today(DAY).streak_max == 2
    afresh = ledger(*trip(1, -5), make(3, 1, 1, 1_000), make(5, -1, 1, 990))
    assert afresh.today(DAY).streak_max == 2


fills_strategy = st.lists(
    st.tuples(st.sampled_from(["MNQ", "ES"]), st.sampled_from([1, -1]), st.integers(1, 4), st.integers(900, 1_100)),
    max_size=25,
)


@given(fills_strategy, st.integers(0, 2**32))
def test_I11_any_order_and_repetition_gives_the_same_ledger(drawn: list[tuple[str, int, int, int]], seed: int) -> None:
    fills = [make(number, side, size, price, contract) for number, (contract, side, size, price) in enumerate(drawn, 1)]
    shuffled = fills + fills[::2]
    Random(seed).shuffle(shuffled)
    first, second = ledger(*fills), ledger(*shuffled)
    assert first.today(DAY) == second.today(DAY)
    assert first.total == second.total
    assert first.drawdown_cents == second.drawdown_cents
    for contract in ("MNQ", "ES"):
        assert first.position(contract) == second.position(contract)
    cash = sum(-fill.side * fill.size * fill.price * PRODUCTS[fill.contract].tick_value_cents for fill in fills)
    open_basis = sum(
        first.position(name).side * first.position(name).price_size_sum * PRODUCTS[name].tick_value_cents
        for name in ("MNQ", "ES")
    )
    assert first.total.gross_cents == cash + open_basis
