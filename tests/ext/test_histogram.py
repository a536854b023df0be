"""LatencyHistogram: percentiles within 2 % of the sorted list, merging is adding, bytes come back, sharing works."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_ext.histogram import HISTOGRAM_BYTES, LARGEST_NS, LatencyHistogram

NS = st.one_of(st.integers(0, 300), st.integers(0, LARGEST_NS), st.integers(0, 37).map(lambda bit: (1 << bit) - 1))
QUANTILES = (0, 0.1, 25, 50, 90, 99, 99.9, 100)


def filled(values: list[int]) -> LatencyHistogram:
    """A histogram of these values."""
    histogram = LatencyHistogram()
    for value in values:
        histogram.record(value)
    return histogram


def exact(values: list[int], q: float) -> int:
    """The smallest value with at least ceil(q% of n) values at or below it."""
    return sorted(values)[max(1, math.ceil(q / 100 * len(values))) - 1]


@given(st.lists(NS, min_size=1, max_size=200))
def test_percentiles_are_the_exact_ones_at_most_two_percent_up(values: list[int]) -> None:
    histogram = filled(values)
    for q in QUANTILES:
        truth = exact(values, q)
        assert truth <= histogram.percentile(q) <= truth * 1.02
    assert (histogram.count, histogram.min, histogram.max) == (len(values), min(values), max(values))
    assert histogram.percentile(100) == max(values)


def test_every_bucket_edge_from_one_ns_to_the_last() -> None:
    edges = {value for bit in range(37) for value in ((1 << bit) - 1, 1 << bit, (1 << bit) + 1, (1 << bit) * 65 // 64)}
    for value in sorted(edges):
        histogram = filled([value, LARGEST_NS])  # the second, so that the maximum does not hide the bucket
        assert value <= histogram.percentile(50) <= value * 1.02
    assert [filled([value, LARGEST_NS]).percentile(50) for value in range(128)] == list(range(128))


@given(st.lists(NS, max_size=50), st.lists(NS, max_size=50))
def test_merging_two_is_recording_both(left: list[int], right: list[int]) -> None:
    merged = filled(left)
    merged.merge(filled(right))
    assert merged.snapshot() == filled(left + right).snapshot()


@given(st.lists(NS, max_size=50))
def test_a_snapshot_comes_back_as_the_same_histogram(values: list[int]) -> None:
    histogram = filled(values)
    back = LatencyHistogram.from_snapshot(histogram.snapshot())
    assert back.snapshot() == histogram.snapshot()
    assert [back.percentile(q) for q in QUANTILES] == [histogram.percentile(q) for q in QUANTILES]
    assert (back.count, back.min, back.max) == (histogram.count, histogram.min, histogram.max)


def test_an_empty_one_says_zero() -> None:
    histogram = LatencyHistogram()
    assert [histogram.count, histogram.min, histogram.max, histogram.percentile(99)] == [0, 0, 0, 0]
    histogram.record(7)
    histogram.clear()
    assert histogram.snapshot() == LatencyHistogram().snapshot()


def test_values_outside_the_range_are_counted_and_told() -> None:
    histogram = filled([-5, 3, 1 << 37, 2**63 - 1])
    assert (histogram.count, histogram.negative, histogram.beyond) == (4, 1, 2)
    assert (histogram.min, histogram.max) == (0, 2**63 - 1)
    assert histogram.percentile(25) == 0
    assert histogram.percentile(50) == 3
    back = LatencyHistogram.from_snapshot(histogram.snapshot())
    assert (back.negative, back.beyond) == (1, 2)
    back.merge(histogram)
    assert (back.negative, back.beyond, back.count) == (2, 4, 8)


@pytest.mark.parametrize("q", [-0.001, 100.001, math.nan, math.inf])
def test_a_percentile_lies_between_0_and_100(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        filled([1]).percentile(q)


def test_bytes_that_are_no_snapshot_are_refused() -> None:
    good = filled([1, 100, 10_000]).snapshot()
    pair = struct.Struct("<IQ")
    head = len(good) - 3 * pair.size
    twice = good[:head] + good[head : head + pair.size] * 3
    beyond = good[: -pair.size] + pair.pack(2048, 1)
    for bad in (b"", good[:20], good[:-1], good + b"\0", b"X" + good[1:], good[:8] + b"\2" + good[9:], twice, beyond):
        with pytest.raises(ValueError, match="snapshot"):
            LatencyHistogram.from_snapshot(bad)


def test_a_shared_buffer_is_seen_by_all_who_attach_and_survives_a_restart() -> None:
    buffer = np.zeros(HISTOGRAM_BYTES, np.uint8)
    writer, reader = LatencyHistogram(buffer), LatencyHistogram(buffer)
    writer.record(1000)
    assert (reader.count, reader.percentile(50)) == (1, 1000)
    writer.close()
    restarted = LatencyHistogram(buffer)
    restarted.record(2000)
    assert (reader.count, reader.max, reader.min) == (2, 2000, 1000)


def test_a_buffer_that_holds_something_else_is_refused_and_let_go() -> None:
    for size, fill in ((HISTOGRAM_BYTES - 1, 0), (HISTOGRAM_BYTES, 1)):
        buffer = bytearray([fill]) * size
        with pytest.raises(ValueError, match="histogram"):
            LatencyHistogram(buffer)
        buffer.clear()


def test_closing_releases_the_buffer_and_ends_every_call() -> None:
    buffer = bytearray(HISTOGRAM_BYTES)
    histogram = LatencyHistogram(buffer)
    with pytest.raises(BufferError):
        buffer.clear()
    histogram.close()
    histogram.close()
    buffer.clear()
    for call in (lambda: histogram.record(1), lambda: histogram.percentile(1), histogram.snapshot, histogram.clear):
        with pytest.raises(ValueError, match="closed"):
            call()
    with pytest.raises(ValueError, match="closed"):
        LatencyHistogram().merge(histogram)
    with pytest.raises(TypeError):
        LatencyHistogram().merge(None)  # type: ignore[arg-type]
