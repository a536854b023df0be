"""Bars from ticks: the rules of smc.md section 1 one by one, then all against the slow reference, then a real day."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ref_bars
from ref_bars import MINUTE, Record
from shared_data import shared
from smc_cases import read_bars
from tbot_ext.bars import BarBuilder, mark_session_breaks
from tbot_ext.records import BAR_DTYPE, NO_PRICE, TICK_DTYPE, Flag, Kind

HOUR = 1_700_002_800_000_000_000  # a whole hour, UTC ns
SECOND = 1_000_000_000


def at(minute: int, second: float = 0.0) -> int:
    return HOUR + minute * MINUTE + int(second * SECOND)


def trade(builder: BarBuilder, ts: int, price: int = 100, size: int = 1, **more: int) -> list[tuple[int, int]]:
    """(timeframe, start minute) of the bars that one print finished."""
    return names(builder.push(Kind.TRADE, ts, price, size, **more))


def clock(builder: BarBuilder, ts: int) -> list[tuple[int, int]]:
    return names(builder.push(Kind.CLOCK, ts))


def names(bars: np.ndarray) -> list[tuple[int, int]]:
    return [(int(bar["timeframe_min"]), int(bar["start_ns"] - HOUR) // MINUTE) for bar in bars]


def ohlc(bar: np.void) -> tuple[int, int, int, int]:
    return tuple(int(bar[name]) for name in ("open", "high", "low", "close"))  # type: ignore[return-value]


# ---------------------------------------------------------------- one rule a test


def test_a_print_on_the_boundary_belongs_to_the_next_bar() -> None:
    builder = BarBuilder()
    assert trade(builder, at(0)) == []
    assert trade(builder, at(1) - 1) == []
    assert trade(builder, at(1)) == [(1, 0)]


def test_open_and_close_go_by_exchange_time_not_by_arrival() -> None:
    builder = BarBuilder()
    trade(builder, at(0, 30), 50)
    trade(builder, at(0, 10), 40)  # earlier: opens
    trade(builder, at(0, 20), 99)  # in between: only high
    (bar,) = builder.push(Kind.CLOCK, at(1))
    assert ohlc(bar) == (40, 99, 40, 50)
    assert builder.counters["out_of_order"] == 2


def test_of_equal_times_the_first_opens_and_the_last_closes() -> None:
    builder = BarBuilder()
    for price in (7, 8, 9):
        trade(builder, at(0, 5), price)
    (bar,) = builder.push(Kind.CLOCK, at(1))
    assert ohlc(bar) == (7, 9, 7, 9)


def test_of_equal_times_the_sequence_decides_before_arrival() -> None:
    builder = BarBuilder()
    for seq, price in ((4, 40), (2, 20), (6, 60), (5, 50)):
        trade(builder, at(0, 5), price, seq=seq)
    (bar,) = builder.push(Kind.CLOCK, at(1))
    assert ohlc(bar) == (20, 60, 20, 60)


def test_a_late_print_is_counted_and_changes_nothing() -> None:
    builder = BarBuilder()
    trade(builder, at(0), 100)
    trade(builder, at(1), 100)
    assert trade(builder, at(0, 59), 999) == []
    (bar,) = builder.push(Kind.CLOCK, at(2))
    assert ohlc(bar) == (100, 100, 100, 100)
    assert builder.counters["late_ticks"] == 1


def test_a_bucket_the_clock_has_passed_is_closed_even_if_it_was_empty() -> None:
    builder = BarBuilder()
    clock(builder, at(5, 0.25))
    assert trade(builder, at(4, 59.9)) == []
    assert builder.counters == {"trades": 0, "late_ticks": 1, "zero_size": 0, "out_of_order": 0}


@pytest.mark.parametrize(("price", "size"), [(100, 0), (100, -3), (NO_PRICE, 5)])
def test_no_size_or_no_price_is_no_print(price: int, size: int) -> None:
    builder = BarBuilder()
    trade(builder, at(0), 10)
    trade(builder, at(0, 1), price, size)
    trade(builder, at(1), price, size)  # does not even close the bar
    (bar,) = builder.push(Kind.CLOCK, at(1))
    assert ohlc(bar) == (10, 10, 10, 10)
    assert int(bar["trades"]) == 1
    assert builder.counters["zero_size"] == 2


def test_quotes_never_make_bars() -> None:
    builder = BarBuilder()
    builder.push(Kind.QUOTE, at(0), 5, 1)
    assert len(builder.push(Kind.QUOTE, at(9), 5, 1)) == 0
    assert builder.partial(1) is None


def test_delta_counts_aggressors() -> None:
    builder = BarBuilder()
    trade(builder, at(0), 10, 5, side=1)
    trade(builder, at(0), 10, 2, side=-1)
    trade(builder, at(0), 10, 9, side=0)
    (bar,) = builder.push(Kind.CLOCK, at(1))
    assert (int(bar["volume"]), int(bar["delta"]), int(bar["trades"])) == (16, 3, 3)


def test_flags_of_prints_reach_every_bar_they_are_in() -> None:
    builder = BarBuilder()
    trade(builder, at(0), flags=Flag.SUSPECT)
    trade(builder, at(1), flags=Flag.DERIVED)  # a flag of quotes
    trade(builder, at(2), flags=Flag.SIZE_UNKNOWN)
    bars = builder.push(Kind.CLOCK, at(5))
    assert [int(bar["flags"]) for bar in bars] == [Flag.SIZE_UNKNOWN, Flag.SUSPECT | Flag.SIZE_UNKNOWN]


def test_the_longest_comes_first_when_bars_end_together() -> None:
    builder = BarBuilder()
    trade(builder, at(59))
    assert clock(builder, at(60)) == [(60, 0), (30, 30), (15, 45), (5, 55), (1, 59)]


def test_a_boundary_minute_without_prints_is_closed_by_the_clock() -> None:
    builder = BarBuilder()
    trade(builder, at(3))
    assert clock(builder, at(4)) == [(1, 3)]
    assert clock(builder, at(5)) == [(5, 0)]


def test_a_boundary_minute_without_prints_is_closed_by_the_next_print() -> None:
    builder = BarBuilder()
    trade(builder, at(53))
    # the 5m bar ended first, the others end together
    assert trade(builder, at(61)) == [(1, 53), (5, 50), (60, 0), (30, 30), (15, 45)]


def test_no_empty_bar_is_ever_made() -> None:
    builder = BarBuilder()
    trade(builder, at(0))
    assert trade(builder, at(7)) == [(1, 0), (5, 0)]
    assert clock(builder, at(8)) == [(1, 7)]


def test_a_higher_bar_is_made_of_its_minutes() -> None:
    builder = BarBuilder()
    trade(builder, at(0), 10, 1)
    trade(builder, at(2), 30, 2, side=1)
    trade(builder, at(4), 5, 4)
    five = builder.push(Kind.CLOCK, at(5))[0]
    assert ohlc(five) == (10, 30, 5, 5)
    assert (int(five["volume"]), int(five["delta"]), int(five["trades"])) == (7, 2, 3)


@pytest.mark.parametrize(("gap", "expected"), [(14, 0), (15, Flag.SESSION_BREAK), (70, Flag.SESSION_BREAK)])
def test_a_quarter_of_an_hour_without_bars_is_a_session_break(gap: int, expected: int) -> None:
    builder = BarBuilder()
    trade(builder, at(0))
    trade(builder, at(gap))
    assert int(builder.push(Kind.CLOCK, at(gap + 1))[-1]["flags"]) == expected


def test_a_higher_bar_carries_the_break_of_its_first_minute_only() -> None:
    builder = BarBuilder()
    for minute in (0, 30, 31, 49):  # breaks before 30 and 49
        trade(builder, at(minute))
    bars = builder.push(Kind.CLOCK, at(60))
    flagged = {int(bar["timeframe_min"]): int(bar["flags"]) for bar in bars}
    assert flagged == {1: 128, 5: 128, 15: 128, 30: 128, 60: 0}


def test_published_bars_do_not_change() -> None:
    builder = BarBuilder()
    trade(builder, at(0), 10)
    first = builder.push(Kind.CLOCK, at(1))
    kept = first.copy()
    for minute in range(1, 70):
        trade(builder, at(minute), 10 + minute)
    assert first.tobytes() == kept.tobytes()


def test_a_partial_bar_says_so_and_includes_the_open_minute() -> None:
    builder = BarBuilder()
    assert builder.partial(5) is None
    trade(builder, at(0), 10, 1)
    trade(builder, at(1), 12, 2)
    partial = builder.partial(5)
    assert partial is not None
    assert ohlc(partial) == (10, 12, 10, 12)
    assert int(partial["volume"]) == 3
    assert int(partial["flags"]) == Flag.PARTIAL
    one = builder.partial(1)
    assert one is not None
    assert (int(one["start_ns"]), ohlc(one)) == (at(1), (12, 12, 12, 12))
    with pytest.raises(ValueError, match="timeframe 7"):
        builder.partial(7)


def test_a_gap_marks_the_open_bar_and_the_one_it_reaches_into() -> None:
    builder = BarBuilder()
    trade(builder, at(0))
    builder.push(Kind.GAP, at(2, 30))
    first = builder.push(Kind.TRADE, at(2, 40), 100, 1)
    second = builder.push(Kind.TRADE, at(3), 100, 1)
    rest = builder.push(Kind.CLOCK, at(5))
    assert [names(bars) for bars in (first, second, rest)] == [[(1, 0)], [(1, 2)], [(1, 3), (5, 0)]]
    assert [int(bar["flags"]) for bars in (first, second, rest) for bar in bars] == [16, 16, 0, 16]  # INCOMPLETE


def test_a_gap_of_unknown_length_marks_the_bar_of_the_next_print() -> None:
    builder = BarBuilder()
    builder.push(Kind.GAP, at(0))
    trade(builder, at(7))
    assert int(builder.push(Kind.TRADE, at(8), 100, 1)[0]["flags"]) == Flag.INCOMPLETE
    assert int(builder.push(Kind.TRADE, at(9), 100, 1)[0]["flags"]) == 0


def test_push_ticks_refuses_other_records() -> None:
    with pytest.raises(ValueError, match="TICK_DTYPE"):
        BarBuilder().push_ticks(np.zeros(3, BAR_DTYPE))


def test_mark_session_breaks_agrees_with_the_builder() -> None:
    builder = BarBuilder()
    minutes = [0, 1, 15, 30, 31, 46, 100]
    made = [bar for minute in (*minutes, 200) for bar in builder.push(Kind.TRADE, at(minute), 5, 1)]
    ones = np.array([bar for bar in made if bar["timeframe_min"] == 1], BAR_DTYPE)
    bare = ones.copy()
    bare["flags"] = 0
    assert mark_session_breaks(bare).tobytes() == ones.tobytes()
    assert [bool(bar["flags"]) for bar in ones] == [False, False, False, True, False, True, True]


# ---------------------------------------------------------------- against the reference


def as_ticks(records: list[Record]) -> np.ndarray:
    ticks = np.zeros(len(records), TICK_DTYPE)
    for tick, record in zip(ticks, records, strict=True):
        tick["kind"], tick["exch_ns"], tick["price"], tick["size"] = record.kind, record.ts, record.price, record.size
        tick["side"], tick["seq"] = record.side, record.seq
    return ticks


def rows(bars: np.ndarray) -> list[ref_bars.RefBar]:
    return [
        ref_bars.RefBar(
            int(bar["timeframe_min"]),
            int(bar["start_ns"]),
            *ohlc(bar),
            int(bar["volume"]),
            int(bar["delta"]),
            int(bar["trades"]),
            bool(bar["flags"] & Flag.SESSION_BREAK),
        )
        for bar in bars
    ]


TIMES = st.one_of(
    st.integers(0, 12 * 60).map(lambda s: HOUR + s * SECOND),  # dense: many in one minute, reordered
    st.integers(0, 400).map(lambda m: HOUR + m * MINUTE),  # far apart, on boundaries
)
RECORDS = st.lists(
    st.one_of(
        st.builds(
            Record,
            kind=st.just(1),
            ts=TIMES,
            price=st.integers(-3, 3),
            size=st.integers(0, 3),
            side=st.sampled_from((-1, 0, 1)),
            seq=st.integers(0, 2),
        ),
        st.builds(Record, kind=st.just(4), ts=TIMES),
    ),
    max_size=60,
)


@given(RECORDS)
def test_equals_the_reference_after_every_record(records: list[Record]) -> None:
    """Reordered, duplicate, late and zero-size prints; clocks before, at and after boundaries."""
    builder = BarBuilder()
    got: list[ref_bars.RefBar] = []
    for n, record in enumerate(records):
        got += rows(builder.push_ticks(as_ticks([record])))
        assert got == ref_bars.published(records[: n + 1])
    counted, late, zero, _ = ref_bars.split(records)
    counters = builder.counters
    assert (counters["trades"], counters["late_ticks"], counters["zero_size"]) == (len(counted), late, zero)


@given(RECORDS, st.integers(0, 60))
def test_I22_the_cut_into_arrays_does_not_matter(records: list[Record], cut: int) -> None:
    whole, parts = BarBuilder(), BarBuilder()
    ticks = as_ticks(records)
    expected = whole.push_ticks(ticks).tobytes()
    assert parts.push_ticks(ticks[:cut]).tobytes() + parts.push_ticks(ticks[cut:]).tobytes() == expected


@given(RECORDS)
def test_volume_is_conserved_over_all_timeframes(records: list[Record]) -> None:
    builder = BarBuilder()
    end = Record(4, HOUR + 500 * 60 * MINUTE)
    bars = builder.push_ticks(as_ticks([*records, end]))
    counted = ref_bars.split(records)[0]
    for minutes in ref_bars.TIMEFRAMES:
        chosen = bars[bars["timeframe_min"] == minutes]
        assert int(chosen["volume"].sum()) == sum(record.size for record in counted)
        assert int(chosen["trades"].sum()) == len(counted)
        assert len(set(chosen["start_ns"].tolist())) == len(chosen)


# ---------------------------------------------------------------- a real day


def gc_day() -> np.ndarray:
    """Every print of the day as ticks; the file's times are milliseconds after midnight UTC."""
    midnight = int(np.datetime64("2013-10-08", "ns").astype(np.int64))
    with shared("smc/GC_201312_ticks_20131008.csv").open() as lines:
        prints = list(csv.DictReader(lines))
    ticks = np.zeros(len(prints), TICK_DTYPE)
    ticks["kind"] = Kind.TRADE
    ticks["exch_ns"] = [midnight + int(row["ms"]) * 1_000_000 for row in prints]
    ticks["price"] = [round(float(row["price"]) * 10) for row in prints]
    ticks["size"] = [int(float(row["size"])) for row in prints]
    return ticks


@pytest.mark.shared_data
def test_the_gold_day_equals_its_minute_file_but_for_what_its_readme_names() -> None:
    expected = read_bars(shared("smc/GC_201312_1m_20131008.csv"), 0.1)
    builder = BarBuilder()
    bars = np.concatenate(
        [builder.push_ticks(gc_day()), builder.push(Kind.CLOCK, int(expected["start_ns"][-1]) + MINUTE)]
    )
    ours = bars[bars["timeframe_min"] == 1]
    assert ours["start_ns"].tolist() == expected["start_ns"].tolist()
    differences = {
        name: int((ours[name] != expected[name]).sum()) for name in ("open", "high", "low", "close", "volume")
    }
    assert differences == {"open": 0, "high": 2, "low": 0, "close": 0, "volume": 1}
    assert builder.counters["zero_size"] == 75
    assert builder.counters["late_ticks"] == 0


@pytest.mark.shared_data
def test_the_gold_day_conserves_volume_over_all_timeframes() -> None:
    ticks = gc_day()
    builder = BarBuilder()
    bars = np.concatenate(
        [builder.push_ticks(ticks), builder.push(Kind.CLOCK, int(ticks["exch_ns"].max()) + 60 * MINUTE)]
    )
    for minutes in ref_bars.TIMEFRAMES:
        chosen = bars[bars["timeframe_min"] == minutes]
        assert int(chosen["volume"].sum()) == int(ticks["size"].sum())
