"""The records as bytes: sizes, offsets and numbers are part of the format of tapes and shared memory."""

import struct

import numpy as np
import pytest

from tbot_ext import records
from tbot_ext.records import BAR_DTYPE, EVENT_DTYPE, TICK_DTYPE, EventCode, Flag, Kind, check_layout

# Stated here a second time on purpose: a tape written today must be readable by tomorrow's build.
TICK_OFFSETS = {
    "seq": 0, "exch_ns": 8, "recv_ns": 16, "price": 24, "price2": 32, "size": 40, "aux": 44, "volume": 48,
    "contract_id": 56, "kind": 58, "side": 59, "flags": 60, "epoch": 62,
}  # fmt: skip
BAR_OFFSETS = {
    "start_ns": 0, "open": 8, "high": 16, "low": 24, "close": 32, "volume": 40, "delta": 48, "trades": 56, "flags": 60,
    "timeframe_min": 62,
}  # fmt: skip
EVENT_OFFSETS = {
    "id": 0, "parent_id": 8, "known_ns": 16, "origin_ns": 24, "origin": 32, "known": 40, "top": 48, "bottom": 56,
    "level": 64, "volume": 72, "delta": 80, "score": 88, "parts": 96, "kind": 116, "side": 118, "timeframe_min": 119,
    "flags": 120, "n": 122, "contract_id": 124, "source": 126,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "dtype", "size", "offsets"),
    [
        ("Tick", TICK_DTYPE, 64, TICK_OFFSETS),
        ("Bar", BAR_DTYPE, 64, BAR_OFFSETS),
        ("Event", EVENT_DTYPE, 128, EVENT_OFFSETS),
    ],
)
def test_sizes_and_offsets_are_the_published_ones(
    name: str, dtype: np.dtype[np.void], size: int, offsets: dict[str, int]
) -> None:
    assert dtype.itemsize == size
    assert {field: dtype.fields[field][1] for field in dtype.names or ()} == offsets
    check_layout(name, dtype)  # and the C struct agrees


@pytest.mark.parametrize("name", ["Tick", "Bar", "Event"])
def test_a_dtype_that_differs_from_the_struct_is_named(name: str) -> None:
    dtype: np.dtype[np.void] = getattr(records, f"{name.upper()}_DTYPE")
    fields = [(field, dtype.fields[field][0]) for field in dtype.names or ()]
    with pytest.raises(RuntimeError, match=f"{name}: the dtype has"):
        check_layout(name, np.dtype([*fields, ("more", "<u8")]))
    swapped = [fields[1], fields[0], *fields[2:]]
    with pytest.raises(RuntimeError, match=f"{name}: field offsets differ.*{fields[0][0]}"):
        check_layout(name, np.dtype(swapped))


def test_a_tick_is_its_bytes() -> None:
    tick = np.zeros(1, TICK_DTYPE)
    tick[0] = (2, -1, 3, -4, 5, -6, 7, -8, 9, Kind.QUOTE, -1, Flag.DERIVED, 11)
    assert tick.tobytes() == struct.pack("<QqqqqiiqHBbHH", 2, -1, 3, -4, 5, -6, 7, -8, 9, 2, -1, 8, 11)


def test_numbers_of_kinds_and_flags_do_not_move() -> None:
    assert [kind.value for kind in Kind] == list(range(7))
    assert [kind.name for kind in Kind] == ["NONE", "TRADE", "QUOTE", "GAP", "CLOCK", "HISTORY", "CONTEXT"]
    assert [flag.value for flag in Flag] == [1 << bit for bit in range(12)]
    assert (EventCode.BAR, EventCode.FVG, EventCode.OB, EventCode.OB_EXPIRED) == (1, 10, 20, 25)
    assert len({code.value for code in EventCode}) == len(EventCode)


def test_an_unknown_price_is_the_smallest_number() -> None:
    assert records.NO_PRICE == -(2**63) == np.iinfo(np.int64).min
    assert records.LAYOUT_VERSION == 1
