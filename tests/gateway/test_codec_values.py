"""Scalars at the border: exact or refused."""

import contextlib
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.gateway import codec_values as values

NS = 1_000_000_000
MOMENT = int(datetime(2026, 11, 20, 15, 24, 31, tzinfo=UTC).timestamp()) * NS


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-11-20T15:24:31+00:00", MOMENT),
        ("2026-11-20T15:24:31Z", MOMENT),
        ("2026-11-20T15:24:31.4+00:00", MOMENT + 400_000_000),
        ("2026-11-20T15:24:31.348+00:00", MOMENT + 348_000_000),
        ("2026-11-20T15:24:31.15673+00:00", MOMENT + 156_730_000),
        ("2026-11-20T15:24:31.4347534+00:00", MOMENT + 434_753_400),
        ("2026-11-20T15:24:31.000000001Z", MOMENT + 1),
        ("2026-11-20T17:24:31+02:00", MOMENT),
        ("2026-11-20T09:24:31.5-06:00", MOMENT + 500_000_000),
        ("2026-11-20T20:54:31+05:30", MOMENT),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_times_are_exact(text, ns):
    assert values.parse_time(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-20",
        "2026-11-20T15:24:31",  # no zone
        "2026-11-20 15:24:31Z",
        "2026-13-20T15:24:31Z",
        "2026-02-30T15:24:31Z",
        "2026-11-20T24:24:31Z",
        "2026-11-20T15:60:31Z",
        "2026-11-20T15:24:60Z",
        "2026-11-20T15:24:99Z",
        "2026-11-20T15:24:+1Z",
        "2026-11-20T15:24: 1Z",
        "2026-11-20T15:24:1_1Z",
        "2026-11-20T15:24:31.Z",
        "2026-11-20T15:24:31,5Z",
        "2026-11-20T15:24:31.0123456789Z",
        "2026-11-20T15:24:31.1_3Z",
        "2026-11-20T15:24:31.٣Z",
        "٢٠٢٦-11-20T15:24:31Z",
        "2026-11-20T15:24:31+25:00",
        "2026-11-20T15:24:31+0000",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2026-11-20T15:24:31ZZ",
        "2026-11-20T15:24:3Z",
    ],
)
def test_F_DAT_02_bad_times_are_refused(text):
    with pytest.raises(ValueError, match=r"."):
        values.parse_time(text)


@given(ns=st.integers(0, 7_000_000_000 * NS), digits=st.integers(0, 9))
def test_time_round_trip(ns, digits):
    text = values.format_time(ns, digits)
    unit = 10 ** (9 - digits)
    assert values.parse_time(text) == ns - ns % unit
    fraction = text.partition(".")[2].partition("+")[0]
    assert len(fraction) <= digits
    assert not fraction.endswith("0")


@given(text=st.text(max_size=40))
def test_any_text_gives_a_time_or_value_error(text):
    with contextlib.suppress(ValueError):
        assert isinstance(values.parse_time(text), int)


@pytest.mark.parametrize(
    ("text", "strict"),
    [
        ("2026-11-20", "2026-11-20T00:00:00Z"),
        ("2026-11-20T15:24", "2026-11-20T15:24:00Z"),
        ("2026-11-20T15:24Z", "2026-11-20T15:24:00Z"),
        ("2026-11-20T15:24:31", "2026-11-20T15:24:31Z"),
        ("2026-11-20 15:24:31.5", "2026-11-20T15:24:31.5Z"),
        ("2026-11-20T15:24:31.123456-06:00", "2026-11-20T21:24:31.123456Z"),
    ],
)
def test_what_other_clients_send_as_time(text, strict):
    assert values.parse_time_lenient(text) == values.parse_time(strict)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.36, 36), (49999.39, 4_999_939), (-49, -4900), (6.5, 650), (149848.64, 14_984_864), (0, 0), (1e9, 10**11)],
)
def test_money_is_exact_cents(value, expected):
    assert values.cents(value) == expected
    assert values.dollars(expected) == Decimal(repr(value))


@pytest.mark.parametrize("value", [0.005, 7.8125, float("nan"), float("inf"), True, "5", None, 1e13, -1e13])
def test_F_DAT_02_money_that_is_no_cents_is_refused(value):
    with pytest.raises(ValueError, match=r"."):
        values.cents(value)


@given(st.integers(-(10**14), 10**14))
def test_cents_round_trip_through_a_json_float(amount):
    assert values.cents(float(values.dollars(amount))) == amount


def test_floor_takes_the_worse_side():
    assert values.cents_floor(7.8125) == 781
    assert values.cents_floor(-7.8125) == -782


def test_ids_may_be_text_but_nothing_else():
    assert values.identity("3425714842") == values.identity(3425714842) == 3425714842
    for bad in ("", "-1", "1.0", "١", 0, -1, 2**63, True, None, 1.5, "9" * 30):
        with pytest.raises(ValueError, match=r"."):
            values.identity(bad)


def test_whole_numbers():
    assert values.whole(5.0, 1, 9) == 5
    for bad in (True, "5", 5.5, 0, 10, 1e300, None):
        with pytest.raises(ValueError, match=r"."):
            values.whole(bad, 1, 9)


def test_duplicate_keys_are_found_at_any_depth():
    assert values.has_duplicate_keys(b'{"a":1,"a":2}')
    assert values.has_duplicate_keys(b'[{"b":{"a":1,"a":2}}]')
    assert not values.has_duplicate_keys(b'[{"a":1},{"a":2}]')
    assert not values.has_duplicate_keys(b"not json")
    assert not values.has_duplicate_keys(b"[" * 100_000)
