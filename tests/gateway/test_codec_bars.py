"""The fast history answer is byte for byte the slow one."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tbot.domain.contracts import PRODUCTS
from tbot.gateway.codec import broker_bars, decode_answer, encode_answer, encode_bars, parse_time
from tbot.gateway.codec_tables import RETRIEVE_BARS
from tbot_ext.records import BAR_DTYPE

rows = st.tuples(
    st.integers(0, 2_000_000_000_000_000),  # microseconds
    st.integers(1, 10**7), st.integers(0, 500), st.integers(0, 500), st.integers(0, 10**12),
)  # fmt: skip


@given(st.lists(rows, max_size=12), st.sampled_from(sorted(PRODUCTS)))
@settings(max_examples=120, deadline=None)
def test_the_bytes_are_those_of_the_records(values: list[Any], symbol: str) -> None:
    bars = np.zeros(len(values), BAR_DTYPE)
    for bar, (at_us, low, body, wick, volume) in zip(bars, values, strict=True):
        bar["start_ns"] = at_us * 1000
        bar["low"], bar["open"], bar["close"], bar["high"] = low, low + wick, low + body, low + body + wick
        bar["volume"] = volume
    product = PRODUCTS[symbol]
    assert encode_bars(bars, product) == encode_answer(RETRIEVE_BARS, broker_bars(bars, product))


def test_it_decodes_to_what_went_in() -> None:
    bars = np.zeros(1, BAR_DTYPE)
    bars["start_ns"] = parse_time("2026-11-20T15:24:00Z")
    bars["open"], bars["high"], bars["low"], bars["close"], bars["volume"] = 13_200, 13_201, 1, 13_199, 7
    answer = decode_answer(RETRIEVE_BARS, encode_bars(bars, PRODUCTS["6J"]))
    assert (answer.code, answer.dropped) == (0, 0)
    (bar,) = answer.value
    assert (bar.open, bar.low) == (Decimal("0.0066"), Decimal("5E-7"))
    assert (bar.volume, bar.start_ns) == (7, int(bars["start_ns"][0]))


@pytest.mark.parametrize("count", [0, 1])
def test_no_bars_and_one(count: int) -> None:
    body = encode_bars(np.ones(count, BAR_DTYPE), PRODUCTS["MNQ"])
    assert body == encode_answer(RETRIEVE_BARS, broker_bars(np.ones(count, BAR_DTYPE), PRODUCTS["MNQ"]))
