"""Round trips from fills; exactness against `Position` (ruling 17)."""

from hypothesis import given
from hypothesis import strategies as st

from tbot.domain.messages import Fill
from tbot.domain.round_trips import ContractBook


def fill(number: int, side: int, size: int, price: int, fees: int = 36, commission: int = 25) -> Fill:
    return Fill(number, 1, number, 100 + number, "MNQ", side, size, price, fees * size, commission * size)


def test_two_entries_two_exits() -> None:
    book = ContractBook("MNQ")
    results = [book.apply(fill(*each)) for each in ((1, 1, 1, 100), (2, 1, 2, 103), (3, -1, 1, 110), (4, -1, 2, 90))]
    assert [trip for _, trip in results[:3]] == [None] * 3
    trip = results[3][1]
    assert trip is not None
    assert (trip.side, trip.size, trip.gross_ticks) == (1, 3, (110 + 180) - (100 + 206))
    assert trip.costs_cents == 6 * 61
    assert (trip.opened_ns, trip.opener_ids) == (1, [101, 102])
    assert book.trip is None
    assert book.position.size == 0


def test_a_reversal_ends_one_trip_and_opens_another_with_split_costs() -> None:
    book = ContractBook("MNQ")
    book.apply(fill(1, 1, 1, 100))
    _, trip = book.apply(Fill(2, 1, 2, 102, "MNQ", -1, 3, 104, 100, 50))
    assert trip is not None
    assert (trip.gross_ticks, trip.fees_cents, trip.commission_cents) == (4, 36 + 33, 25 + 16)
    assert book.trip is not None
    assert (book.trip.side, book.trip.size, book.trip.fees_cents, book.trip.commission_cents) == (-1, 2, 67, 34)


def test_adopting_a_position_keeps_its_basis() -> None:
    book = ContractBook("MNQ")
    book.adopt(3, 301, 9)
    assert book.trip is not None
    assert (book.trip.entry_price_size, book.trip.opener_ids) == (301, [0])
    _, trip = book.apply(fill(5, -1, 3, 101))
    assert trip is not None
    assert trip.gross_ticks == 2
    book.adopt(0, 0, 10)
    assert (book.trip, book.position.size) == (None, 0)


@given(st.lists(st.tuples(st.sampled_from([1, -1]), st.integers(1, 5), st.integers(1, 500)), max_size=30))
def test_I11_trips_and_open_cost_add_up_to_the_cash(fills: list[tuple[int, int, int]]) -> None:
    book = ContractBook("MNQ")
    cash = realised = gross = 0
    costs = 0
    for number, (side, size, price) in enumerate(fills, 1):
        ticks, trip = book.apply(fill(number, side, size, price))
        cash -= side * size * price
        realised += ticks
        if trip is not None:
            gross += trip.gross_ticks
            costs += trip.costs_cents
    assert realised == cash + book.position.side * book.position.price_size_sum
    if book.position.size == 0:
        assert gross == realised
        assert costs == 61 * sum(size for _, size, _ in fills)
