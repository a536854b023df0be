"""A detector saved and restored in mid-stream, and one whose contract rolls: the events must not show it."""

import hashlib
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_data import shared
from smc_cases import bar_array, bars_of, params_for, random_bars, read_bars
from tbot_ext.bars import mark_session_breaks
from tbot_ext.detector import Detector
from tbot_ext.envelope import STATE_VERSION, open_envelope, seal
from tbot_ext.params import Params
from tbot_ext.records import EVENT_DTYPE, NO_PRICE, EventCode

HEAD = struct.Struct("<8sIIQq16s")  # magic, version, minutes, length, next id, hash of the parameters
CHECK_BYTES = 16
PRICES = ("top", "bottom", "level")
DISPLAYS = ("bars", "zones", "pools", "levels", "periods")


def displays(detector: Detector) -> list[bytes]:
    """Everything a detector shows."""
    arrays = [getattr(detector, name)() for name in DISPLAYS]
    arrays += [detector.unbroken_swings(1), detector.unbroken_swings(-1)]
    values = (detector.bar_count, detector.trend, detector.atr, detector.volume_mean, detector.outliers)
    return [*(array.tobytes() for array in arrays), repr(values).encode()]


# ---------------------------------------------------------------- save and restore


def assert_seamless(bars: np.ndarray, cut: int, params: Params) -> None:
    whole, first, second = (Detector(1, params, contract_id=3) for _ in range(3))
    expected = np.concatenate([whole.push_bars(bars[:cut]), whole.push_bars(bars[cut:])])
    before = first.push_bars(bars[:cut])
    saved = first.state()
    second.restore(saved)
    assert displays(second) == displays(first)
    assert second.state() == saved
    after = second.push_bars(bars[cut:])
    assert np.concatenate([before, after]).tobytes() == expected.tobytes()
    assert displays(second) == displays(whole)
    assert second.state() == whole.state()


@pytest.mark.parametrize("seed", range(12))
def test_restored_is_as_if_never_interrupted(seed: int) -> None:
    bars = bar_array(random_bars(seed, 260, step=2 + seed % 3))
    for cut in range(0, 261, 13):
        assert_seamless(bars, cut, params_for(seed))


def test_at_every_bar_of_a_short_stretch() -> None:
    """Also where something is pending from one bar to the next."""
    bars = bar_array(random_bars(5, 90, step=4))
    params = Params(L=1, R=1, atr_n=3, break_mode="wick", ob_min_disp_atr=0.0)
    assert EventCode.MSS in Detector(1, params).push_bars(bars)["kind"]
    for cut in range(91):
        assert_seamless(bars, cut, params)


def test_when_the_series_has_gone_round() -> None:
    bars = bar_array(random_bars(8, 2500))
    for cut in (1023, 1024, 1025, 2111):
        assert_seamless(bars, cut, Params(L=2, R=2))


@pytest.mark.shared_data
def test_on_real_bars() -> None:
    bars = mark_session_breaks(read_bars(shared("smc/GC_201312_1m_20131008.csv"), 0.1))
    for cut in (1, 700, len(bars) - 1):
        assert_seamless(bars, cut, Params(L=3, R=3))


def test_what_the_restoring_detector_had_seen_is_gone() -> None:
    bars = bar_array(random_bars(1, 200))
    saved = Detector(1)
    saved.push_bars(bars[:100])
    used = Detector(1)
    used.push_bars(bar_array(random_bars(2, 300)))
    used.restore(saved.state())
    assert used.push_bars(bars[100:]).tobytes() == saved.push_bars(bars[100:]).tobytes()


def test_what_the_constructor_was_given_stays() -> None:
    bars = bar_array(random_bars(1, 200))
    saved = Detector(1, contract_id=4)
    saved.push_bars(bars[:100])
    other = Detector(1, contract_id=9, bar_events=True)
    other.restore(saved.state())
    events = other.push_bars(bars[100:])
    assert set(events["contract_id"].tolist()) == {9}
    assert (events["kind"] == EventCode.BAR).sum() == 100
    assert int(events["id"][0]) == int(saved.push_bars(bars[100:])["id"][0])


def test_an_older_bar_is_refused_after_restoring_too() -> None:
    bars = bar_array(random_bars(1, 50))
    saved, other = Detector(1), Detector(1)
    saved.push_bars(bars)
    other.restore(saved.state())
    with pytest.raises(ValueError, match="bar 0 starts at or before"):
        other.push_bars(bars[49:])


def test_after_a_roll_as_well() -> None:
    bars = bar_array(random_bars(6, 300))
    for reset in (False, True):
        saved, other = Detector(1), Detector(1)
        saved.push_bars(bars[:150])
        if reset:
            saved.roll_reset()
        else:
            saved.roll_shift(40)
        other.restore(saved.state())
        assert other.push_bars(bars[150:]).tobytes() == saved.push_bars(bars[150:]).tobytes()


IN_ANOTHER_PROCESS = """
import sys
import numpy as np
from tbot_ext.local_time import zone_index
from tbot_ext.records import BAR_DTYPE
numbers = [zone_index(name) for name in ("Asia/Kolkata", "America/Lima", "Pacific/Auckland")]
from tbot_ext.detector import Detector
detector = Detector(30)
detector.push_bars(np.frombuffer(sys.stdin.buffer.read(), BAR_DTYPE))
sys.stdout.buffer.write(detector.state())
"""


def test_a_state_of_a_process_that_numbers_time_zones_otherwise() -> None:
    """Sessions are written down in it with the numbers of zones, which hold within one process only."""
    bars = bar_array(random_bars(5, 400), 30)
    whole = Detector(30)
    whole.push_bars(bars[:130])
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS], input=bars[:130].tobytes(), stdout=subprocess.PIPE, check=True
    )
    restored = Detector(30)
    restored.restore(done.stdout)
    got = restored.push_bars(bars[130:])
    assert {EventCode.ASIA, EventCode.LONDON, EventCode.NEW_YORK} <= set(got["kind"].tolist())
    assert got.tobytes() == whole.push_bars(bars[130:]).tobytes()
    assert restored.state() == whole.state()


# ---------------------------------------------------------------- what is refused


def saved_state(timeframe_min: int = 1, params: Params | None = None) -> bytes:
    detector = Detector(timeframe_min, params)
    detector.push_bars(bar_array(random_bars(4, 120), timeframe_min))
    return detector.state()


def forged(state: bytes, **changes: object) -> bytes:
    """Another header with a checksum that fits."""
    names = ("magic", "version", "minutes", "length", "next_id", "made_with")
    values = dict(zip(names, HEAD.unpack_from(state), strict=True))
    head = HEAD.pack(*{**values, **changes}.values())
    content = state[HEAD.size + CHECK_BYTES :]
    return head + hashlib.blake2b(head + content, digest_size=CHECK_BYTES).digest() + content


def assert_refused(state: bytes, why: str) -> None:
    bars = bar_array(random_bars(3, 120))
    detector, untouched = Detector(1), Detector(1)
    detector.push_bars(bars[:60])
    untouched.push_bars(bars[:60])
    with pytest.raises(ValueError, match=rf"^the state was not restored, because .*{why}.*; .+"):
        detector.restore(state)
    assert detector.state() == untouched.state()
    assert detector.push_bars(bars[60:]).tobytes() == untouched.push_bars(bars[60:]).tobytes()


def test_a_forged_header_that_changes_nothing_is_taken() -> None:
    """Guards the tests below: it is the change that is refused, not the forging."""
    Detector(1).restore(forged(saved_state()))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"magic": b"TBOTHIST"}, "no state of a detector"),
        ({"version": STATE_VERSION + 1}, "version"),
        ({"length": 8}, "8 bytes"),
        ({"minutes": 5}, "5 minutes"),
        ({"made_with": b"0123456789abcdef"}, "other parameters"),
    ],
)
def test_a_state_of_something_else(changes: dict[str, object], why: str) -> None:
    assert_refused(forged(saved_state(), **changes), why)


def test_a_state_of_another_timeframe_or_of_other_parameters() -> None:
    assert_refused(saved_state(5), "5 minutes")
    assert_refused(saved_state(1, Params(L=4)), "other parameters")
    assert_refused(saved_state(1, Params(max_age=499)), "other parameters")


def test_a_state_that_is_cut_short_or_goes_on() -> None:
    state = saved_state()
    for length in (0, 1, HEAD.size, HEAD.size + CHECK_BYTES - 1):
        assert_refused(state[:length], "cut short")
    for other in (state[: HEAD.size + CHECK_BYTES], state[:-1], state[: len(state) // 2], state + b"\0"):
        assert_refused(other, "bytes where")


def test_any_damage() -> None:
    state = saved_state()
    rng = np.random.default_rng(1)
    places = {*range(HEAD.size + CHECK_BYTES), *rng.integers(0, len(state), 200).tolist(), len(state) - 1}
    detector = Detector(1)
    before = detector.state()
    for place in sorted(places):
        damaged = bytearray(state)
        damaged[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(ValueError, match="the state was not restored"):
            detector.restore(bytes(damaged))
    assert detector.state() == before


@given(st.binary(max_size=300), st.booleans())
def test_garbage(garbage: bytes, with_magic: bool) -> None:
    with pytest.raises(ValueError, match="the state was not restored"):
        Detector(1).restore((b"TBOTSMC\n" if with_magic else b"") + garbage)


def test_garbage_of_the_right_length() -> None:
    state = saved_state()
    rng = np.random.default_rng(2)
    for _ in range(20):
        content = rng.integers(0, 256, len(state) - HEAD.size, np.uint8).tobytes()
        assert_refused(rng.integers(0, 256, len(state), np.uint8).tobytes(), "no state")
        assert_refused(state[: HEAD.size] + content, "damaged")


def test_what_is_no_bytes_is_a_mistake_of_the_caller() -> None:
    for wrong in (None, "state", 7, bytearray(saved_state())):
        with pytest.raises(TypeError):
            Detector(1).restore(wrong)  # type: ignore[arg-type]


def test_the_envelope_gives_back_what_was_put_in() -> None:
    envelope = seal(b"content", 15, "0123456789abcdef", 77)
    assert open_envelope(envelope, 7, 15, "0123456789abcdef") == (b"content", 77)


# ---------------------------------------------------------------- rolls: shift


def raised(array: np.ndarray, spread: int, names: tuple[str, ...] = PRICES) -> np.ndarray:
    """A copy with prices that are known moved up."""
    result = array.copy()
    for name in names:
        result[name] += np.where(array[name] == NO_PRICE, 0, spread)
    return result


OHLC = ("open", "high", "low", "close")


def assert_shift_is_not_seen(bars: np.ndarray, rolls: list[tuple[int, int]], params: Params) -> None:
    """The same market in contracts that lie `spread` ticks above each other, rolled before these bars."""
    plain, rolled = Detector(1, params), Detector(1, params)
    level, done = 0, 0
    for cut, spread in [*rolls, (len(bars), 0)]:
        expected = plain.push_bars(bars[done:cut])
        got = rolled.push_bars(raised(bars[done:cut], level, OHLC))
        assert got.tobytes() == raised(expected, level).tobytes()
        rolled.roll_shift(spread)
        level, done = level + spread, cut
    assert rolled.zones().tobytes() == raised(plain.zones(), level, ("top", "bottom")).tobytes()
    assert rolled.bars(1024).tobytes() == raised(plain.bars(1024), level, OHLC).tobytes()
    assert (rolled.unbroken_swings(1) - level).tolist() == plain.unbroken_swings(1).tolist()
    assert (rolled.unbroken_swings(-1) - level).tolist() == plain.unbroken_swings(-1).tolist()
    assert (rolled.atr, rolled.trend) == (plain.atr, plain.trend)


@pytest.mark.parametrize("seed", range(25))
def test_a_shift_is_not_seen_in_the_events(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = bar_array(random_bars(seed, 300, step=2 + seed % 3))
    for _ in range(6):
        cut, spread = int(rng.integers(0, 301)), int(rng.integers(-200, 201))
        assert_shift_is_not_seen(bars, [(cut, spread)], params_for(seed).replace(round_step=0))


def test_a_shift_at_every_bar_of_a_short_stretch() -> None:
    bars = bar_array(random_bars(5, 90, step=4))
    params = Params(L=1, R=1, atr_n=3, break_mode="wick", ob_min_disp_atr=0.0)
    for cut in range(91):
        assert_shift_is_not_seen(bars, [(cut, 17)], params)


@pytest.mark.parametrize("seed", range(5))
def test_many_shifts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = bar_array(random_bars(seed, 400))
    cuts = sorted(set(rng.integers(0, 400, 30).tolist()))
    params = params_for(seed).replace(round_step=0)  # round numbers stay where they are
    assert_shift_is_not_seen(bars, [(cut, int(rng.integers(-50, 51))) for cut in cuts], params)


@pytest.mark.shared_data
def test_a_shift_is_not_seen_on_real_bars() -> None:
    bars = mark_session_breaks(read_bars(shared("smc/ES_201312_1m_20131006_09.csv"), 0.25))
    assert_shift_is_not_seen(bars, [(1234, 22), (2500, -7)], Params())


# ---------------------------------------------------------------- rolls: reset


def after_reset(bars: np.ndarray, cut: int, params: Params) -> tuple[Detector, np.ndarray]:
    detector = Detector(1, params)
    detector.push_bars(bars[:cut])
    detector.roll_reset()
    return detector, detector.push_bars(bars[cut:])


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_formed_from_bars_of_both_contracts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = bar_array(random_bars(seed, 300, step=2 + seed % 3))
    for _ in range(5):
        cut = int(rng.integers(1, 300))
        detector, events = after_reset(bars, cut, params_for(seed))
        assert (events["origin"] >= cut).all()
        gaps = np.isin(events["kind"], (EventCode.FVG, EventCode.OPENING_GAP))
        assert (events["origin"][gaps] > cut).all()  # of the three bars the middle one
        assert detector.bars(1024).tobytes() == bars[cut:].tobytes()
        assert set(events["parent_id"].tolist()) <= {-1, *events["id"].tolist()}


@pytest.mark.parametrize("seed", range(20))
def test_a_reset_detector_is_a_fresh_one_but_for_statistics_ids_and_bar_numbers(seed: int) -> None:
    """With an ATR of one bar and level volume the statistics are equal as well."""
    rng = np.random.default_rng(seed)
    bars = bar_array(random_bars(seed, 300, step=2 + seed % 3))
    bars["volume"] = 6
    params = params_for(seed).replace(atr_n=1)
    for _ in range(5):
        cut = int(rng.integers(1, 300))
        old = Detector(1, params)
        ids = len(old.push_bars(bars[:cut]))
        old.roll_reset()
        new = Detector(1, params)
        got, expected = old.push_bars(bars[cut:]), new.push_bars(bars[cut:])
        assert got.tobytes() == renumbered(expected, ids, cut).tobytes()
        zones = new.zones()
        zones["id"] += ids
        zones["stack_id"] += np.where(zones["kind"] == EventCode.FVG, ids, 0)
        zones["born"] += cut
        zones["origin"] += cut
        assert old.zones().tobytes() == zones.tobytes()
        assert (old.trend, old.atr) == (new.trend, new.atr)
        assert old.unbroken_swings(1).tolist() == new.unbroken_swings(1).tolist()


def renumbered(events: np.ndarray, ids: int, bars: int) -> np.ndarray:
    result = events.copy()
    result["id"] += ids
    result["parent_id"] += np.where(events["parent_id"] >= 0, ids, 0)
    result["known"] += bars
    result["origin"] += bars
    assert result.dtype == EVENT_DTYPE
    return result


def test_the_atr_is_kept_and_the_first_true_range_is_high_less_low() -> None:
    detector = Detector(1, Params(atr_n=4))
    detector.push_bars(bar_array(random_bars(3, 50)))
    atr, mean = detector.atr, detector.volume_mean
    detector.roll_reset()
    assert (detector.atr, detector.volume_mean) == (atr, mean)
    assert detector.trend == 0
    bars = bar_array(bars_of((900, 907, 898, 901), (901, 902, 880, 881)))
    bars["start_ns"] += 60 * 60_000_000_000
    detector.push_bars(bars[:1])
    assert detector.atr == (atr * 3 + 9) / 4
    detector.push_bars(bars[1:])
    assert detector.atr == ((atr * 3 + 9) / 4 * 3 + 22) / 4


def test_a_reset_while_a_shift_is_pending_forgets_it() -> None:
    """A CHoCH whose gap would come with the next bar, of the other contract."""
    rows = (
        (5, 6, 4, 5), (5, 10, 5, 6), (6, 7, 5, 5), (5, 6, 2, 3), (3, 7, 3, 6), (6, 12, 6, 11), (11, 11, 0, 1),
        (1, 1, 0, 1),
    )  # fmt: skip
    bars = bars_of(*rows)
    params = Params(L=1, R=1, atr_n=1)
    assert EventCode.MSS in Detector(1, params).push_bars(bar_array(bars))["kind"]
    _, events = after_reset(bar_array(bars), 7, params)
    assert len(events) == 0


def test_a_reset_before_the_first_bar_and_two_in_a_row() -> None:
    bars = bar_array(random_bars(9, 120))
    fresh, reset = Detector(1), Detector(1)
    reset.roll_reset()
    reset.roll_reset()
    assert reset.push_bars(bars).tobytes() == fresh.push_bars(bars).tobytes()
