"""StreamWatch: numbers as rings give them, and never a record passed over that is news; beside a slow reference."""

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ring_ticks import new_ring
from tbot_ext.records import BAR_DTYPE, NO_PRICE, TICK_DTYPE, Kind
from tbot_ext.ring import RingReader, RingWriter
from tbot_ext.stream import StreamWatch, instant, market_from, survey

IDS = (1, 4, 6)
NEVER = 2**63 - 1
INF = float("inf")


def records(seed: int, count: int = 400) -> np.ndarray:
    chance = np.random.default_rng(seed)
    ticks = np.zeros(count, TICK_DTYPE)
    ticks["contract_id"] = chance.choice(IDS, count)
    ticks["exch_ns"] = 1_000 + np.cumsum(chance.choice([0, 0, 1, 7], count))
    kinds = [Kind.TRADE, Kind.QUOTE, Kind.CLOCK, Kind.GAP, Kind.HISTORY]
    ticks["kind"] = chance.choice(kinds, count, p=[0.45, 0.45, 0.09, 0.005, 0.005])
    ticks["price"] = 100 + np.cumsum(chance.integers(-1, 2, count))
    ticks["price2"] = ticks["price"] + 1
    ticks["price2"][chance.random(count) < 0.05] = NO_PRICE
    return ticks


def test_numbers_and_epochs_are_those_of_a_ring() -> None:
    ticks = records(1)
    watch = StreamWatch(IDS)
    numbered = ticks.copy()
    for part in np.array_split(numbered, 7):
        watch.number(part)
    for contract_id in IDS:
        writer, reader = RingWriter(buffer := new_ring(1024)), RingReader(buffer, 0)
        mine = ticks[ticks["contract_id"] == contract_id]
        mine["contract_id"] = 7  # whose ring it is
        writer.push_many(mine)
        out = np.zeros(1024, TICK_DTYPE)
        rung = out[: reader.read(out)]
        own = numbered[numbered["contract_id"] == contract_id]
        assert own["seq"].tolist() == rung["seq"].tolist()
        assert own["epoch"].tolist() == rung["epoch"].tolist()
        assert np.any(own["kind"] == Kind.GAP)


Rule = tuple[int, int, int, int, bool, bool]  # trades low and high, bids low and high, waiting, watched


def slow_find(
    ticks: np.ndarray, start: int, end: int, rules: dict[int, Rule], quotes: dict[int, int], due: int, stale: int
) -> int:
    """Where the first instant begins that is news, in plain Python."""
    newest = dict(quotes)
    for now, group in groupby(range(start, end), key=lambda index: int(ticks["exch_ns"][index])):
        indexes = list(group)
        if now >= due:
            return indexes[0]
        for index in indexes:
            _, _, _, price, price2, _, _, _, number, kind, *_ = ticks[index].item()
            low, high, bid_low, bid_high, waiting, _ = rules[number]
            every = low > high
            whole = kind == Kind.QUOTE and NO_PRICE not in (price, price2)
            if kind in (Kind.GAP, Kind.HISTORY) or (every and kind in (Kind.TRADE, Kind.QUOTE)):
                return indexes[0]
            if kind == Kind.TRADE and not low < price < high:
                return indexes[0]
            if whole and (waiting or not bid_low < price < bid_high):
                return indexes[0]
            if whole:
                newest[number] = now
        if any(now - newest[number] > stale for number, rule in rules.items() if rule[5]):
            return indexes[0]
    return end


levels = st.tuples(st.integers(85, 100), st.integers(100, 115))


@given(
    seed=st.integers(0, 50),
    bands=st.lists(st.tuples(levels, levels, st.booleans(), st.booleans()), min_size=3, max_size=3),
    every=st.sampled_from([None, None, None, *IDS]),
    due=st.one_of(st.just(NEVER), st.integers(1_000, 2_000)),
    stale=st.integers(5, 200),
)
def test_the_next_instant_of_news_is_found_and_what_was_passed_over_is_told(
    seed: int,
    bands: list[tuple[tuple[int, int], tuple[int, int], bool, bool]],
    every: int | None,
    due: int,
    stale: int,
) -> None:
    ticks = records(seed)
    watch = StreamWatch(IDS)
    rules: dict[int, Rule] = {}
    for number, (trades, bids, waiting, watched) in zip(IDS, bands, strict=True):
        rules[number] = (*(trades if number != every else (1, 0)), *bids, waiting, watched)
        watch.trades(number, *((INF, -INF) if number == every else map(float, trades)))
        watch.quotes(number, bids, None, waiting, watched)
    start = 0
    for _ in range(20):
        for number in IDS:
            watch.seen(number, 990)
        found, passed = watch.find(ticks, start, len(ticks), due, stale)
        assert found == slow_find(ticks, start, len(ticks), rules, dict.fromkeys(IDS, 990), due, stale)
        check_passed(ticks, start, found, passed)
        if found == len(ticks):
            break
        start = int(np.searchsorted(ticks["exch_ns"], ticks["exch_ns"][found], "right"))


def check_passed(ticks: np.ndarray, start: int, end: int, passed: list[tuple[Any, ...]]) -> None:
    told = {row[0]: row[1:] for row in passed}
    for number in IDS:
        mine = np.flatnonzero(ticks["contract_id"][start:end] == number) + start
        quotes = mine[ticks["kind"][mine] == Kind.QUOTE]
        whole = quotes[(ticks["price"][quotes] != NO_PRICE) & (ticks["price2"][quotes] != NO_PRICE)]
        trades = mine[ticks["kind"][mine] == Kind.TRADE]
        if not len(quotes) and not len(trades):
            assert number not in told
            continue
        last_quote, last_whole, last_trade, low, high = told[number]
        assert last_quote == fields(ticks, quotes, ("price", "price2", "flags"))
        assert last_whole == fields(ticks, whole, ("price", "price2", "exch_ns", "recv_ns", "seq", "epoch"))
        assert last_trade == (int(trades[-1]) if len(trades) else -1)
        if len(trades):
            prices = ticks["price"][trades]
            assert (low, high) == (prices.min(), prices.max())


def fields(ticks: np.ndarray, found: np.ndarray, names: tuple[str, ...]) -> tuple[int, ...] | None:
    """Of the last record found."""
    return tuple(int(ticks[name][found[-1]]) for name in names) if len(found) else None


@given(seed=st.integers(0, 50), index=st.integers(0, 399))
def test_the_instant_of_a_record_is_all_that_has_its_time(seed: int, index: int) -> None:
    ticks = records(seed)
    now = int(ticks["exch_ns"][index])
    same = np.flatnonzero(ticks["exch_ns"] == now)
    assert instant(ticks, index) == (same[0], same[-1] + 1, now)


@given(seed=st.integers(0, 50), start=st.integers(0, 400), at_ns=st.integers(900, 2_600))
def test_the_first_record_of_the_market_from_a_time_on(seed: int, start: int, at_ns: int) -> None:
    ticks = records(seed)
    market = np.isin(ticks["kind"], [Kind.TRADE, Kind.QUOTE]) & (ticks["exch_ns"] >= at_ns)
    found = [index for index in np.flatnonzero(market).tolist() if index >= start]
    assert market_from(ticks, start, at_ns) == (found[0] if found else len(ticks))


@given(seed=st.integers(0, 50))
def test_flags_by_contract_and_gaps_are_told(seed: int) -> None:
    ticks = records(seed)
    ticks["flags"] = np.random.default_rng(seed).choice([0, 0, 1, 4, 32], len(ticks))
    flags, gaps = survey(ticks)
    held = {int(number): ticks["flags"][ticks["contract_id"] == number] for number in np.unique(ticks["contract_id"])}
    assert flags == {number: int(np.bitwise_or.reduce(own)) for number, own in held.items()}
    assert gaps == np.flatnonzero(ticks["kind"] == Kind.GAP).tolist()


def test_an_empty_array_has_no_market_and_no_contracts() -> None:
    nothing = np.zeros(0, TICK_DTYPE)
    assert market_from(nothing, 0, 0) == 0
    assert survey(nothing) == ({}, [])
    with pytest.raises(IndexError, match="no record 0"):
        instant(nothing, 0)


def test_more_contracts_than_a_stream_has_are_refused() -> None:
    ticks = np.zeros(256, TICK_DTYPE)
    ticks["contract_id"] = np.arange(256)
    assert len(survey(ticks[:255])[0]) == 255
    with pytest.raises(ValueError, match="more than 255"):
        survey(ticks)


def test_prices_at_the_ends_of_the_range_are_no_limit() -> None:
    watch = StreamWatch([1])
    watch.trades(1, -INF, INF)
    ticks = records(3)
    ticks = ticks[(ticks["contract_id"] == 1) & np.isin(ticks["kind"], [Kind.TRADE, Kind.QUOTE])]
    assert watch.find(ticks, 0, len(ticks), NEVER, NEVER)[0] == len(ticks)
    assert watch.find(ticks, 5, 5, NEVER, NEVER) == (5, [])


def test_bad_arguments_are_refused() -> None:
    for ids in ([1, 1], [-1], [70_000], range(300)):
        with pytest.raises(ValueError, match="contract id"):
            StreamWatch(ids)
    watch = StreamWatch([1])
    ticks = np.zeros(3, TICK_DTYPE)
    for call in (
        lambda: watch.trades(2, 0.0, 1.0),
        lambda: watch.quotes(2, None, None, False, False),
        lambda: watch.seen(2, 0),
        lambda: watch.number(ticks),
        lambda: watch.number(np.zeros(3, BAR_DTYPE)),
        lambda: watch.find(np.zeros(3, BAR_DTYPE), 0, 3, 0, 0),
        lambda: watch.find(ticks, 2, 1, 0, 0),
        lambda: watch.find(ticks, 0, 4, 0, 0),
        lambda: instant(np.zeros(3, BAR_DTYPE), 0),
        lambda: market_from(np.zeros(3, BAR_DTYPE), 0, 0),
        lambda: market_from(ticks, 4, 0),
        lambda: survey(np.zeros(3, BAR_DTYPE)),
    ):
        with pytest.raises(ValueError, match=r"watched|TICK_DTYPE|no part|start must"):
            call()
