"""Derived quotes and clock records against slow restatements; no dependence on where a stream is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tbot.storage.tick_stream import (
    CLOCK_GRACE_NS,
    CLOCKS_PER_SILENCE,
    ClockInserter,
    QuoteDeriver,
    derive_quotes,
    is_ordered,
    lockstep_stream,
    merge_order,
    with_clock,
)
from tbot_ext.records import TICK_DTYPE, Flag, Kind

SECOND = 10**9
MINUTE = 60 * SECOND
START = 1_795_185_000 * SECOND  # a whole minute


def tick(ns, contract_id=1, kind=Kind.TRADE, price=100, size=1, side=0, **fields):
    out = np.zeros(1, TICK_DTYPE)
    values = {"exch_ns": ns, "recv_ns": ns, "contract_id": contract_id, "kind": kind, "price": price, "size": size}
    for name, value in (values | {"side": side, "volume": -1} | fields).items():
        out[name] = value
    return out


def ticks_of(rows):
    return np.concatenate([np.zeros(0, TICK_DTYPE), *(tick(*row[:1], **row[1]) for row in rows)])


rows = st.lists(
    st.tuples(
        st.one_of(
            st.integers(0, 3 * MINUTE // 50_000_000).map(lambda k: k * 50_000_000),  # many on boundaries and graces
            st.sampled_from([0, MINUTE, MINUTE + CLOCK_GRACE_NS, 2 * MINUTE - 1, 140 * MINUTE, 300 * MINUTE]),
        ),
        st.fixed_dictionaries(
            {
                "contract_id": st.sampled_from([1, 4]),
                "kind": st.sampled_from([Kind.TRADE, Kind.TRADE, Kind.TRADE, Kind.QUOTE, Kind.CLOCK]),
                "price": st.integers(98, 102),
                "size": st.sampled_from([0, 1, 1, 3]),
                "side": st.sampled_from([0, 0, 1, -1]),
                "flags": st.sampled_from([0, int(Flag.SYNTHETIC), int(Flag.SIZE_UNKNOWN)]),
                "epoch": st.sampled_from([0, 1]),
            }
        ),
    ),
    max_size=40,
)
streams = rows.map(
    lambda r: merge_order(ticks_of([(START + ns, fields) for ns, fields in sorted(r, key=lambda x: x[0])]))
)


def slow_quotes(ticks, spreads):
    """The rule said once more, tick by tick."""
    out, last = [], {}
    for row in ticks.copy():
        contract_id = int(row["contract_id"])
        if row["kind"] == Kind.TRADE and row["size"] > 0 and contract_id in spreads:
            state = last.setdefault(contract_id, {"price": None, "rule": 0, "bid": None, "span": None})
            price, spread = int(row["price"]), spreads[contract_id]
            if state["price"] is not None and price != state["price"]:
                state["rule"] = 1 if price > state["price"] else -1
            side = int(row["side"]) or state["rule"]
            bid = price - spread if side > 0 else price if side < 0 else price - spread // 2
            span = int(row["exch_ns"]) // 250_000_000
            if bid != state["bid"] or span != state["span"]:
                flags = (int(row["flags"]) & int(Flag.SUSPECT | Flag.SYNTHETIC)) | int(Flag.DERIVED)
                common = {"price2": bid + spread, "flags": flags, "epoch": row["epoch"], "seq": row["seq"]}
                out.append(tick(row["exch_ns"], contract_id, Kind.QUOTE, bid, 0, 0, **common)[0])
            state |= {"price": price, "bid": bid, "span": span}
            row["side"] = side
        out.append(row)
    return np.array(out, TICK_DTYPE)


def slow_clocks(ticks):
    """Each contract's clock for each minute boundary after a trade, unless a trade came by its end of grace."""
    ticks = ticks[ticks["kind"] != Kind.CLOCK]
    if not len(ticks):
        return ticks
    through = int(ticks["exch_ns"][-1]) // MINUTE * MINUTE + MINUTE + CLOCK_GRACE_NS
    clocks = []
    for contract_id in sorted(set(ticks["contract_id"].tolist())):
        own = ticks[ticks["contract_id"] == contract_id]
        times = [int(t["exch_ns"]) for t in own if t["kind"] == Kind.TRADE and t["size"] > 0]
        for number, time in enumerate(times):
            following = times[number + 1] if number + 1 < len(times) else through + 1
            boundary = time // MINUTE * MINUTE + MINUTE
            for k in range(CLOCKS_PER_SILENCE):
                clock = boundary + k * MINUTE + CLOCK_GRACE_NS
                if following <= clock or clock > through:
                    break
                epoch = int(own["epoch"][own["exch_ns"] <= clock][-1])
                clocks.append(tick(clock, contract_id, Kind.CLOCK, 0, 0, epoch=epoch)[0])
    out = [(int(t["exch_ns"]), 0, n, t) for n, t in enumerate(ticks)]
    out += [(int(t["exch_ns"]), 1, int(t["contract_id"]), t) for t in clocks]
    return np.array([row[3] for row in sorted(out, key=lambda row: row[:3])], TICK_DTYPE)


@settings(max_examples=300, deadline=None)
@given(ticks=streams, cuts=st.lists(st.integers(0, 40), max_size=4), spread=st.integers(1, 4))
def test_quotes_follow_the_rule_and_do_not_depend_on_cuts(ticks, cuts, spread):
    spreads = {4: spread}
    expected = slow_quotes(ticks, spreads)
    deriver = QuoteDeriver(spreads)
    parts = [deriver.push(part) for part in np.split(ticks, sorted(min(c, len(ticks)) for c in cuts))]
    assert np.array_equal(np.concatenate(parts), expected)
    quotes = expected[(expected["flags"] & int(Flag.DERIVED)) != 0]
    assert np.all(quotes["price2"] - quotes["price"] == spread)


@settings(max_examples=300, deadline=None)
@given(ticks=streams, cuts=st.lists(st.integers(0, 40), max_size=4))
def test_clocks_follow_the_rule_and_do_not_depend_on_cuts(ticks, cuts):
    expected = slow_clocks(ticks)
    assert np.array_equal(with_clock(ticks), expected)
    inserter = ClockInserter()
    parts = [inserter.push(part) for part in np.split(ticks, sorted(min(c, len(ticks)) for c in cuts))]
    assert np.array_equal(np.concatenate([*parts, inserter.finish()]), expected)
    assert np.array_equal(with_clock(expected), expected)  # the clock of a clocked stream is the same clock


@settings(max_examples=100, deadline=None)
@given(ticks=streams, size=st.integers(1, 7))
def test_stream_by_chunks_is_the_stream_as_a_whole(ticks, size):
    chunks = [ticks[k : k + size] for k in range(0, len(ticks), size)]
    whole = with_clock(QuoteDeriver({1: 2, 4: 1}).push(ticks))
    parts = list(lockstep_stream(chunks, {1: 2, 4: 1}))
    assert np.array_equal(np.concatenate([np.zeros(0, TICK_DTYPE), *parts]), whole)


def test_every_traded_minute_is_closed_by_a_trade_or_a_clock_in_time():
    random = np.random.default_rng(3)
    times = START + np.sort(random.integers(0, 60 * MINUTE, 80))
    ticks = np.concatenate([tick(int(ns), int(random.choice([1, 4]))) for ns in times])
    out = with_clock(ticks)
    for contract_id in (1, 4):
        own = out[out["contract_id"] == contract_id]["exch_ns"]
        for ns in own:
            boundary = int(ns) // MINUTE * MINUTE + MINUTE
            assert np.any((own >= boundary) & (own <= boundary + CLOCK_GRACE_NS)) or boundary > int(times[-1])
        assert own.max() >= int(times[-1]) // MINUTE * MINUTE + MINUTE


def test_derives_only_where_no_quotes_are_and_spreads_must_be_positive():
    ticks = np.concatenate([tick(START, 1, Kind.QUOTE, 100, 0, price2=101), tick(START, 1), tick(START, 4)])
    out = derive_quotes(ticks, {1: 1, 4: 2})
    assert [(int(t["contract_id"]), int(t["kind"])) for t in out] == [(1, 2), (1, 1), (4, 2), (4, 1)]
    assert (out["price"][2], out["price2"][2]) == (99, 101)  # unknown side: around the price
    with pytest.raises(ValueError, match="at least one tick"):
        QuoteDeriver({1: 0})


def test_merge_order_sorts_by_time_contract_and_sequence_and_keeps_the_rest():
    ticks = np.concatenate([tick(5, 4, seq=2), tick(5, 1, seq=9), tick(3, 4, seq=4, price=1), tick(5, 1, seq=8)])
    out = merge_order(ticks)
    assert [(int(t["exch_ns"]), int(t["contract_id"]), int(t["seq"])) for t in out] == [
        (3, 4, 4),
        (5, 1, 8),
        (5, 1, 9),
        (5, 4, 2),
    ]
    assert is_ordered(out)
    assert not is_ordered(ticks)
    assert merge_order(out) is out


def test_clocks_refuse_a_stream_that_goes_back_in_time():
    inserter = ClockInserter()
    inserter.push(tick(START + SECOND))
    with pytest.raises(ValueError, match="order of exchange time"):
        inserter.push(tick(START))
    with pytest.raises(ValueError, match="order of exchange time"):
        with_clock(np.concatenate([tick(START + 1), tick(START)]))
