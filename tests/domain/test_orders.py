"""Order lifecycle: transition table and fold (I11, F-NET-08)."""

from itertools import permutations
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.domain.messages import OrderStatus, OrderUpdate
from tbot.domain.orders import FINAL, TRANSITIONS, Order, Verdict, fold

STATUSES = get_args(OrderStatus)


def update(status: str = "open", filled: int = 0, size: int = 3, **changes: object) -> OrderUpdate:
    fields = {
        "now_ns": 0, "account": 1, "order_id": 7, "contract": "MNQ", "status": status, "order_type": "stop",
        "side": -1, "size": size, "filled": filled, "limit": None, "stop": 100, "tag": "", "parent_id": None,
    }  # fmt: skip
    return OrderUpdate(**{**fields, **changes})  # type: ignore[arg-type]


def order(status: str = "open", filled: int = 0) -> Order:
    return fold(None, update(status, filled)).order


def test_table_names_every_status_and_final_states_have_no_way_out() -> None:
    assert set(TRANSITIONS) == set(STATUSES)
    assert all(not TRANSITIONS[status] for status in FINAL)
    assert all(status not in follow for status, follow in TRANSITIONS.items())


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("after", STATUSES)
def test_I11_a_pair_is_followed_exactly_when_the_table_has_it(before: str, after: str) -> None:
    folded = fold(order(before), update(after))
    if after == before:
        assert folded.verdict is Verdict.SAME
    elif after in TRANSITIONS[before]:  # type: ignore[index]
        assert (folded.verdict, folded.order.status) == (Verdict.CHANGED, after)
    else:
        assert folded.order.status == before
        if after != "unknown":
            refused = Verdict.IMPOSSIBLE if before in FINAL and after in FINAL else Verdict.STALE
            assert folded.verdict is refused


def test_a_stale_view_brings_neither_price_nor_size_but_what_grows() -> None:
    folded = fold(order("open", 2), update("suspended", 1, stop=55))
    assert (folded.verdict, folded.order.stop, folded.order.filled) == (Verdict.STALE, 100, 2)


def test_a_modified_stop_is_taken_from_a_newer_view() -> None:
    assert fold(order(), update(stop=120)).order.stop == 120


def test_F_ORD_09_a_fill_after_cancel_grows_the_quantity_but_not_the_state() -> None:
    folded = fold(order("cancelled"), update("filled", 3))
    assert (folded.order.status, folded.order.filled, folded.verdict) == ("cancelled", 3, Verdict.IMPOSSIBLE)


@pytest.mark.parametrize(
    "wrong",
    [{"side": 1}, {"contract": "ES"}, {"filled": 4}, {"filled": -1}],
)
def test_contradictions_are_values_not_exceptions(wrong: dict[str, object]) -> None:
    folded = fold(order(), update(**wrong))  # type: ignore[arg-type]
    assert folded.verdict is Verdict.IMPOSSIBLE
    assert folded.why
    assert folded.order == order()


def test_first_sight_of_a_broken_order_is_impossible() -> None:
    assert fold(None, update(size=0)).verdict is Verdict.IMPOSSIBLE
    assert fold(None, update(filled=5)).order.filled == 3


def test_tag_and_parent_are_kept_once_known() -> None:
    named = fold(order(), update(tag="TB1-A-1-E-SL", parent_id=6)).order
    later = fold(named, update()).order
    assert (later.tag, later.parent_id) == ("TB1-A-1-E-SL", 6)


LIFE = [update("suspended", tag="t"), update("pending"), update("open"), update("open", 1), update("filled", 3)]


@pytest.mark.parametrize("turn", list(permutations(range(len(LIFE)))))
def test_I11_any_order_of_a_life_ends_filled(turn: tuple[int, ...]) -> None:
    held: Order | None = None
    for index in (*turn, *turn):  # every event twice
        held = fold(held, LIFE[index]).order
    assert held is not None
    assert (held.status, held.filled, held.remaining) == ("filled", 3, 0)


@given(st.lists(st.tuples(st.sampled_from(STATUSES), st.integers(-1, 5)), max_size=12))
def test_I11_quantities_only_grow_and_final_is_final(steps: list[tuple[str, int]]) -> None:
    held = order("pending")
    for status, filled in steps:
        after = fold(held, update(status, filled)).order
        assert held.filled <= after.filled <= after.size
        assert after.status == held.status or after.status in TRANSITIONS[held.status]
        held = after
