"""`tbot.detect` and `tbot.load`: fields, equality with the detector, the ways bars may come, what is refused."""

import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tbot
from bar_samples import MINUTE, START, columns, csv_text, walk
from shared_data import shared
from tbot.analytics.detect import after_seconds
from tbot.errors import ConfigError, DataError
from tbot_ext.bars import mark_session_breaks
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import EventCode

FIELDS = [
    ("kind", "<U20"), ("side", "|i1"), ("origin", "<i8"), ("known", "<i8"), ("known_time", "<i8"), ("top", "<f8"),
    ("bottom", "<f8"), ("score", "<f8"), ("id", "<i8"), ("parent_id", "<i8"),
]  # fmt: skip


def detect(bars, timeframe="1m", tick_size=0.25, **more):
    return tbot.detect(bars, tick_size=tick_size, timeframe=timeframe, **more)


# ---------------------------------------------------------------- values


def test_a_swing_by_hand():
    """Highs 1 2 3 2 1 with two bars to each side: bar 2 is a swing high, known at the close of bar 4."""
    highs = [101.0, 102.0, 103.0, 102.0, 101.0]
    bars = {
        "time": [START + k * 5 * MINUTE for k in range(5)],
        "open": [h - 1 for h in highs], "high": highs, "low": [h - 2 for h in highs], "close": [h - 1 for h in highs],
    }  # fmt: skip
    (event,) = detect(bars, "5m", params={"L": 2, "R": 2})
    assert event.tolist() == ("SWING_HIGH", 1, 2, 4, START + 25 * MINUTE, 103.0, 103.0, 0.0, 1, -1)


def test_the_fields_are_those_promised():
    events = detect(columns(walk(300)))
    assert events.dtype.descr == FIELDS
    assert len(detect(columns(walk(0)))) == 0
    assert detect(columns(walk(0))).dtype.descr == FIELDS
    assert max(len(code.name) for code in EventCode) <= 20


@pytest.mark.parametrize("tick", ["0.25", "0.1", "0.00005", "5"])
def test_equal_to_the_detector(tick):
    bars = walk(3000, seed=4, pause_at=1500)
    expected = Detector(1).push_bars(mark_session_breaks(bars))
    events = detect(columns(bars, float(tick)), tick_size=tick)
    assert len(events) > 3000
    assert {"OB", "FVG", "BOS", "CHOCH", "SWING_LOW", "OB_TESTED", "OPENING_GAP"} <= set(events["kind"].tolist())
    for name in ("side", "origin", "known", "score", "id", "parent_id"):
        assert (events[name] == expected[name]).all(), name
    assert (events["known_time"] == expected["known_ns"]).all()
    assert events["kind"].tolist() == [EventCode(code).name for code in expected["kind"]]
    zones = expected["top"] != expected["bottom"]
    exact = [float(Decimal(tick) * value) for value in expected["top"].tolist()]
    assert zones.any()
    assert events["top"].tolist() == exact  # the float that the price's text reads as
    assert (events["top"][zones] > events["bottom"][zones]).all()


def by_hand(minutes, length):
    """Bars of `length` minutes by brute force; the last one only if its last minute is there."""
    groups = {}
    for bar in minutes:
        groups.setdefault(int(bar["start_ns"]) // (length * MINUTE), []).append(bar)
    if int(minutes["start_ns"][-1]) + MINUTE != (max(groups) + 1) * length * MINUTE:
        del groups[max(groups)]
    out = np.zeros(len(groups), minutes.dtype)
    for row, (number, parts) in zip(out, sorted(groups.items()), strict=True):
        row["start_ns"], row["open"], row["close"] = number * length * MINUTE, parts[0]["open"], parts[-1]["close"]
        row["high"], row["low"] = max(b["high"] for b in parts), min(b["low"] for b in parts)
        row["volume"], row["timeframe_min"] = sum(int(b["volume"]) for b in parts), length
    return out


@pytest.mark.parametrize("timeframe", ["5m", "15m", "30m", "1h"])
def test_minutes_are_put_together(timeframe):
    minutes = {"5m": 5, "15m": 15, "30m": 30, "1h": 60}[timeframe]
    bars = walk(6003, seed=2, pause_at=3000)
    longer = by_hand(bars, minutes)
    events = detect(columns(bars), timeframe)
    assert len(events) > 30
    assert (events == detect(columns(longer), timeframe)).all()
    assert (events == detect(columns(bars), minutes)).all()
    assert len(longer) - 8 < events["known"].max() < len(longer)


def test_earlier_events_do_not_change_when_bars_follow():
    bars = columns(walk(2000, seed=9))
    whole = detect(bars, "5m")
    for cut in (700, 1301):
        part = detect({name: values[:cut] for name, values in bars.items()}, "5m")
        assert len(part)
        assert (whole[: len(part)] == part).all()
        assert len(part) == (whole["known_time"] <= START + cut * MINUTE).sum()


def test_parameters():
    bars = columns(walk(500))
    changed = detect(bars, params={"L": 2, "R": 2})
    assert (changed == detect(bars, params=Params(L=2, R=2))).all()
    assert len(changed) != len(detect(bars))
    hours = columns(walk(500, minutes=60))
    assert (detect(hours, "1h", params={"max_age": 500}) == detect(hours, "1h", params=Params(L=3, R=3))).all()


def test_volume_may_be_missing():
    bars = columns(walk(500))
    without = {name: values for name, values in bars.items() if name != "volume"}
    assert (detect(without) == detect(bars | {"volume": np.zeros(500)})).all()


# ---------------------------------------------------------------- ways to bring bars


class Frame:
    """What a DataFrame looks like to us: columns, items, and an index of stamps."""

    def __init__(self, data, index):
        self._data, self.index = data, index

    @property
    def columns(self):
        return list(self._data)

    def __getitem__(self, name):
        return self._data[name]


SECONDS = [START // 10**9 + 60 * k for k in range(200)]
NEW_YORK = timezone(timedelta(hours=-5))
TIMES = {
    "ns": np.array(SECONDS) * 10**9,
    "us": np.array(SECONDS) * 10**6,
    "ms": [second * 1000 for second in SECONDS],
    "s": SECONDS,
    "float s": [float(second) for second in SECONDS],
    "text s": [str(second) for second in SECONDS],
    "Z": [f"{datetime.fromtimestamp(s, UTC):%Y-%m-%dT%H:%M:%SZ}" for s in SECONDS],
    "+00:00": [datetime.fromtimestamp(s, UTC).isoformat() for s in SECONDS],
    "offset": [datetime.fromtimestamp(s, NEW_YORK).isoformat() for s in SECONDS],
    "no zone": [f"{datetime.fromtimestamp(s, UTC):%Y-%m-%d %H:%M}" for s in SECONDS],
    "datetimes": [datetime.fromtimestamp(s, UTC) for s in SECONDS],
    "datetimes there": [datetime.fromtimestamp(s, NEW_YORK) for s in SECONDS],
    "datetime64[s]": np.array(SECONDS).astype("datetime64[s]"),
    "datetime64[ns]": np.array(SECONDS).astype("datetime64[s]").astype("datetime64[ns]"),
    "arrow": pa.array([datetime.fromtimestamp(s, UTC) for s in SECONDS], pa.timestamp("us", "UTC")),
}


@pytest.mark.parametrize("form", sorted(TIMES))
def test_times(form):
    bars = columns(walk(200))
    expected = detect(bars)
    assert len(expected) > 100
    assert (detect(bars | {"time": TIMES[form]}) == expected).all()


def test_names_and_containers():
    bars = columns(walk(200))
    expected = detect(bars)
    renamed = {
        "Date": TIMES["Z"],
        "Open": bars["open"],
        "HIGH": bars["high"],
        "low": bars["low"],
        "Close": bars["close"],
    }
    assert (detect({**renamed, "Volume": bars["volume"].astype(float)}) == expected).all()
    short = dict(zip("tohlcv", bars.values(), strict=True))
    assert (detect(short) == expected).all()
    mapping = {name: list(values) for name, values in bars.items()}
    assert (detect(mapping) == expected).all()
    structured = np.zeros(200, [(name, values.dtype) for name, values in bars.items()])
    for name, values in bars.items():
        structured[name] = values
    assert (detect(structured) == expected).all()
    assert (detect(pa.table(bars)) == expected).all()
    data = {name: values for name, values in bars.items() if name != "time"}
    assert (detect(Frame(data, bars["time"].astype("datetime64[ns]"))) == expected).all()
    split = {"Date": [text[:10] for text in TIMES["no zone"]], "Time": [text[11:] for text in TIMES["no zone"]]}
    assert (detect(split | {name.upper(): values for name, values in data.items()}) == expected).all()


def test_our_own_bars_are_ticks_already():
    bars = walk(300, pause_at=100)
    assert (detect(bars) == detect(columns(bars))).all()
    early = walk(300)
    early["start_ns"] -= START  # 1970: nanoseconds by their type, not by their size
    assert (detect(early)["origin"] == detect(columns(walk(300)))["origin"]).all()


def test_a_frame_of_pandas():
    pd = pytest.importorskip("pandas")
    bars = columns(walk(200))
    expected = detect(bars)
    data = {name: values for name, values in bars.items() if name != "time"}
    for zone in (None, "America/New_York"):
        stamps = pd.to_datetime(bars["time"], unit="ns", utc=True)
        stamps = stamps.tz_convert(zone) if zone else stamps.tz_convert(None)
        assert (detect(pd.DataFrame(data, index=stamps)) == expected).all()
        assert (detect(pd.DataFrame(data | {"Datetime": stamps})) == expected).all()


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_load(tmp_path, suffix):
    bars = walk(200)
    path = tmp_path / f"ES_1m{suffix}"
    if suffix == ".parquet":
        times = pa.array(bars["start_ns"].tolist(), pa.timestamp("ns", "UTC"))
        pq.write_table(pa.table({**columns(bars), "time": times}), path)
    elif suffix == ".csv":
        path.write_text(csv_text(bars))
    else:
        import gzip

        path.write_bytes(gzip.compress(csv_text(bars).encode()))
    loaded = tbot.load(path)
    assert loaded.dtype.names == ("time", "open", "high", "low", "close", "volume")
    assert (loaded["time"] == bars["start_ns"]).all()
    assert (loaded["volume"] == bars["volume"]).all()
    assert (detect(loaded) == detect(columns(bars))).all()
    assert (tbot.load(str(path))["close"] == bars["close"] * 0.25).all()


def test_load_of_times_without_a_zone(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text("date,open,high,low,close\n2026-01-20 11:00,1,1,1,1\n2026-07-20 11:00,1,1,1,1\n")
    texts = tbot.load(path)["time"].astype("datetime64[ns]").astype("datetime64[h]").astype(str).tolist()
    assert texts == ["2026-01-20T11", "2026-07-20T11"]
    texts = tbot.load(path, tz="America/New_York")["time"].astype("datetime64[ns]").astype("datetime64[h]").astype(str)
    assert texts.tolist() == ["2026-01-20T16", "2026-07-20T15"]


# ---------------------------------------------------------------- refusals


def broken(**changes):
    """Ten good bars with single values replaced: column=(row from 0, value)."""
    bars = {name: list(values) for name, values in columns(walk(10)).items()}
    for name, (row, value) in changes.items():
        bars[name][row] = value
    return bars


BAD_BARS = [
    ({"close": (3, 5000.13)}, "row 4: close 5000.13 is not a whole number of ticks of 0.25"),
    ({"open": (0, float("nan"))}, "row 1: open nan is not a finite number"),
    ({"high": (9, float("inf"))}, "row 10: high inf is not a finite number"),
    ({"low": (2, "cheap")}, "row 3: low 'cheap' is not a number"),
    ({"high": (5, 100.0)}, "row 6 .*high is below low"),
    ({"close": (5, 9999.0)}, "row 6 .*open or close lies outside low to high"),
    ({"volume": (7, -1)}, "row 8: volume -1 is negative"),
    ({"volume": (7, 1.5)}, "row 8: volume 1.5 is not a whole number"),
    ({"time": (4, START + 3 * MINUTE)}, "row 5 .2026-01-20T16:03:00Z. has the same start as the row before"),
    ({"time": (4, START)}, "row 5 .*is older than the row before it"),
    ({"time": (4, START + 4 * MINUTE + 1)}, "apart, not 1m"),
    ({"time": (9, START + 9 * MINUTE + 30 * 10**9)}, "row 10 .2026-01-20T16:09:30Z. does not start on a 1m boundary"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_BARS)
def test_bad_bars_name_their_row(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        detect(broken(**changes))
    assert isinstance(caught.value, DataError)
    assert "\n" not in str(caught.value)


def shorter(columns_, name):
    return {key: values[:5] if key == name else values for key, values in columns_.items()}


OTHER_BAD = [
    (lambda c: {k: v for k, v in c.items() if k != "high"}, "no column 'high'; its columns are time, open"),
    (lambda c: {k: v for k, v in c.items() if k != "time"}, "no column 'time'"),
    (lambda c: shorter(c, "low"), "differ in length"),
    (lambda c: c | {"time": [f"day {k}" for k in range(10)]}, "row 1: 'day 0' is not a time"),
    (lambda c: c | {"time": [f"{2500 + k}-01-01 00:00" for k in range(10)]}, "bars row 1"),
    (lambda c: c | {"time": [f"{1900 + k}-01-01 00:00" for k in range(10)]}, "row 1: its time lies outside the years"),
    (lambda c: c | {"time": [2**63 - 10 + k for k in range(10)]}, "row 1: its time lies outside"),
    (lambda c: c | {"time": [10**30 + k for k in range(10)]}, "bars"),
    (lambda c: c | {"time": [True] * 10}, "bars"),
    (lambda c: c | {"time": np.full(10, "NaT", "datetime64[ns]")}, "row 1 has no time"),
    (lambda c: c | {"close": np.zeros((10, 2))}, "one dimension"),
    (lambda _: np.zeros((10, 6)), "without column names"),
    (lambda _: 7, "type int are not understood"),
]


@pytest.mark.parametrize(("change", "message"), OTHER_BAD)
def test_bad_tables(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        detect(change(columns(walk(10))))
    assert isinstance(caught.value, DataError)


def test_timeframes_that_do_not_fit():
    fives, hours = columns(walk(50, minutes=5)), columns(walk(50, minutes=60))
    with pytest.raises(ValueError, match="5m apart, not 15m; only 1m bars are put together"):
        detect(fives, "15m")
    with pytest.raises(ValueError, match="5m apart; they cannot be cut into 1m bars"):
        detect(fives, "1m")
    with pytest.raises(ValueError, match="60m apart; they cannot be cut into 30m bars"):
        detect(hours, "30m")
    seconds = columns(walk(50))
    seconds["time"] = START + np.arange(50) * 10**9
    with pytest.raises(ValueError, match="1s apart, not 1m"):
        detect(seconds)
    shifted = columns(walk(50, minutes=5))
    shifted["time"] += 2 * MINUTE
    with pytest.raises(ValueError, match=r"row 1 .* does not start on a 5m boundary"):
        detect(shifted, "5m")


@pytest.mark.parametrize("timeframe", ["2m", "4h", "", "m", 7, 0, -5, 1.5, None, True])
def test_bad_timeframes(timeframe):
    with pytest.raises(ValueError, match="is not one of 1m, 5m, 15m, 30m, 1h") as caught:
        detect(columns(walk(10)), timeframe)
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize("tick_size", [0, -0.25, float("nan"), float("inf"), "x", None, 1e-30])
def test_bad_tick_sizes(tick_size):
    with pytest.raises(ValueError, match="is not a positive price step") as caught:
        detect(columns(walk(10)), tick_size=tick_size)
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize(
    ("params", "message"),
    [({"M": 3}, "unknown parameter 'M'; known are L, R"), ({"L": 0}, "L must"), ({"L": "a"}, "L must"), (5, "mapping")],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message) as caught:
        detect(columns(walk(10)), params=params)
    assert isinstance(caught.value, ConfigError)


CELLS = st.one_of(st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=5), st.none(), st.booleans())


@settings(max_examples=200)
@given(
    st.dictionaries(st.sampled_from(["time", "open", "high", "low", "close", "volume"]), st.lists(CELLS, max_size=4))
)
def test_nothing_but_a_value_error_comes_of_nonsense(bars):
    good = {name: list(values) for name, values in columns(walk(4)).items()}
    try:
        detect(good | bars)
    except ValueError as refusal:
        message = str(refusal)
        assert message.startswith("bars")


PIECES = [
    b",",
    b"\n",
    b'"',
    b"-",
    b"e9",
    b"nan",
    b"9" * 25,
    b"\x00",
    b"\xff",
    b"Z",
    b"T",
    b" ",
    b"+05:00",
    b"inf",
    b";",
    b"",
]


def test_damaged_files_end_in_one_sentence(tmp_path):
    whole, path, generator = csv_text(walk(30)).encode(), tmp_path / "bars.csv", random.Random(7)
    outcomes = set()
    for _ in range(400):
        text = bytearray(whole)
        for _ in range(generator.randint(1, 3)):
            place = generator.randrange(len(text))
            text[place : place + generator.randint(0, 4)] = generator.choice(PIECES)
        path.write_bytes(text)
        try:
            detect(tbot.load(path), generator.choice(["1m", "5m"]))
            outcomes.add("read")
        except DataError as refusal:
            outcomes.add("refused")
            message = str(refusal)
            assert message.startswith((str(path), "bars"))
            assert "\n" not in message
    assert outcomes == {"read", "refused"}


def test_progress_is_told_by_tenths_and_only_when_it_takes_long():
    told = []
    progress = after_seconds(-1.0, lambda done, total: told.append((done, total)))
    for done in range(1, 101):
        progress(done, 100)
    assert told == [(tenth, 100) for tenth in range(10, 101, 10)]
    silent = after_seconds(1e9, lambda done, total: told.append((done, total)))
    silent(100, 100)
    assert len(told) == 10


def test_importing_tbot_is_light():
    code = "import sys, tbot; print('numpy' in sys.modules, callable(tbot.detect), 'numpy' in sys.modules, dir(tbot))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("False True True")
    assert "'load'" in done.stdout
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = tbot.nothing_of_the_kind


# ---------------------------------------------------------------- real data


@pytest.mark.shared_data
@pytest.mark.parametrize(("symbol", "tick"), [("NQ", 0.25), ("ES", 0.25), ("GC", 0.1)])
def test_real_bars(symbol, tick):
    bars = tbot.load(shared(f"market/bars_1m/{symbol}_1m_tsx_20260120_20260318.parquet"))
    counts = {}
    for timeframe in ("1m", "5m", "15m", "30m", "1h"):
        events = detect(bars, timeframe, tick)
        counts[timeframe] = len(events)
        assert (np.diff(events["known_time"]) >= 0).all()
        assert (events["known"] >= events["origin"]).all()
        assert (np.diff(events["id"]) > 0).all()
        low, high = bars["low"].min(), bars["high"].max()
        births = np.isin(events["kind"], ["OB", "FVG"])
        assert births.any()
        assert ((events["bottom"][births] >= low) & (events["top"][births] <= high)).all()
        assert (events["top"][births] > events["bottom"][births]).all()
    assert counts["1m"] > counts["5m"] > counts["15m"] > counts["30m"] > counts["1h"] > 500
