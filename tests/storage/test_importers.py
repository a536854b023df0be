"""Foreign files: small ones made here for every rule, and the real recordings, checked against their own numbers."""

import csv
import gzip
import sys
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared_data import shared
from tbot.domain.contracts import PRODUCTS
from tbot.errors import DataError, MissingExtra
from tbot.storage.foreign import BAR_END, FIRST_PRINT_NS, bars_to_ticks, read_foreign
from tbot.storage.importers import import_files
from tbot.storage.tape import TapeReader
from tbot.storage.tick_stream import CLOCK_GRACE_NS, with_clock
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import Flag, Kind

MINUTE = 60 * 10**9
DAY = int(datetime(2013, 10, 8, tzinfo=UTC).timestamp()) * 10**9


def csv_file(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


def minute_bars(ticks, positive_only=False):
    """(start, open, high, low, close, volume) by brute force."""
    bars = {}
    for ns, price, size in zip(ticks["exch_ns"].tolist(), ticks["price"].tolist(), ticks["size"].tolist(), strict=True):
        if positive_only and size == 0:
            continue
        bar = bars.setdefault(ns // MINUTE * MINUTE, [price, price, price, price, 0])
        bar[1], bar[2], bar[3], bar[4] = max(bar[1], price), min(bar[2], price), price, bar[4] + size
    return [(start, *bar) for start, bar in sorted(bars.items())]


def bars_of_csv(path, product):
    with path.open() as file:
        return [
            (
                int(datetime.fromisoformat(row["Date"] + "+00:00").timestamp()) * 10**9,
                *(product.to_ticks(row[name]) for name in ("open", "high", "low", "close")),
                int(float(row["volume"])),
            )
            for row in csv.DictReader(file)
        ]


# ------------------------------------------------------------------------------------------------------- small files
def test_trades_of_a_csv_with_everything(tmp_path):
    path = csv_file(
        tmp_path,
        "MNQZ6_trades.csv",
        "TS,price,size,side,seq\n"
        "2026-11-20T14:30:00.123456789Z,25000.25,3,B,7\n"
        "2026-11-20T14:30:00.5Z,25000.00,0,A,9\n"
        "2026-11-20T15:30:01+01:00,25000.5,1,N,8\n",
    )
    data = read_foreign(path)
    base = int(datetime(2026, 11, 20, 14, 30, tzinfo=UTC).timestamp()) * 10**9
    assert (data.product.symbol, data.content, data.rows) == ("MNQ", "trades", 3)
    assert data.ticks["exch_ns"].tolist() == [base + 123_456_789, base + 500_000_000, base + 1_000_000_000]
    assert data.ticks["price"].tolist() == [100_001, 100_000, 100_002]
    assert data.ticks["size"].tolist() == [3, 0, 1]
    assert data.ticks["side"].tolist() == [1, -1, 0]
    assert data.ticks["seq"].tolist() == [7, 9, 8]
    assert set(data.ticks["contract_id"].tolist()) == {1}
    assert any("size 0" in note for note in data.notes)
    assert not any("UTC" in note for note in data.notes)


def test_times_without_zone_are_utc_with_a_note_or_of_the_zone_given(tmp_path):
    path = csv_file(tmp_path, "ES.csv", "Date,price\n2026.11.20 09:30:00,5000\n2026.11.20 09:30:01.250,5000.25\n")
    plain, zoned = read_foreign(path), read_foreign(path, tz="America/New_York")
    assert any("taken as UTC" in note for note in plain.notes)
    assert (zoned.ticks["exch_ns"] - plain.ticks["exch_ns"]).tolist() == [5 * 3600 * 10**9] * 2
    assert np.diff(plain.ticks["exch_ns"]).tolist() == [1_250_000_000]
    assert plain.ticks["flags"].tolist() == [int(Flag.SIZE_UNKNOWN)] * 2
    assert plain.ticks["size"].tolist() == [1, 1]
    with pytest.raises(DataError, match="no time zone 'Mars'"):
        read_foreign(path, tz="Mars")
    gap = csv_file(tmp_path, "ES_gap.csv", "Date,price\n2026-03-08 02:30:00,5000\n")
    with pytest.raises(DataError, match="does not exist in America/New_York"):
        read_foreign(gap, tz="America/New_York")


@pytest.mark.parametrize(
    ("value", "unit"), [("1795185000", 10**9), ("1795185000123", 10**6), ("1795185000123456", 10**3)]
)
def test_numbers_are_times_since_the_epoch(tmp_path, value, unit):
    data = read_foreign(csv_file(tmp_path, "ES.csv", f"time,price,size\n{value},5000,1\n"))
    assert data.ticks["exch_ns"].tolist() == [int(value) * unit]


def test_rows_out_of_order_are_sorted_and_reported(tmp_path):
    path = csv_file(tmp_path, "ES.csv", "ts,price,size\n1795185002,5000,1\n1795185001,5001,2\n1795185002,5002,3\n")
    data = read_foreign(path)
    assert data.ticks["size"].tolist() == [2, 1, 3]
    assert any(note.startswith("1 rows") for note in data.notes)


def test_packed_csv_and_contract_override(tmp_path):
    path = tmp_path / "whatever.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("ts,price,size\n1795185002,1.16505,1\n")
    with pytest.raises(DataError, match="give --contract"):
        read_foreign(path)
    assert read_foreign(path, contract="6e").ticks["price"].tolist() == [23301]
    with pytest.raises(DataError, match="no contract BTC"):
        read_foreign(path, contract="BTC")


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("ES_1m.csv", "ES"), ("MES.csv", "MES"), ("mnqz26-ticks.csv", "MNQ"), ("6EH4_x.csv", "6E"), ("GCZ3.csv", "GC")],
)
def test_contract_from_the_name(tmp_path, name, symbol):
    data = read_foreign(csv_file(tmp_path, name, "ts,price,size\n1795185002,5000,1\n"))
    assert data.product.symbol == symbol


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ts,price,size\n1795185001,5000,1\n1795185002,5000.10,1\n",
            r"row 2: price 5000.10 is not on the tick grid of 0.25",
        ),
        ("ts,price,size\n1795185001,-5000,1\n", "row 1: price -5000 is not above zero"),
        ("ts,price,size\n1795185001,nan,1\n", "row 1: price 'nan' is not a finite number"),
        ("ts,price,size\n1795185001,abc,1\n", "row 1: price 'abc' is not a number"),
        ("ts,price,size\n1795185001,5000,1.5\n", "row 1: size '1.5' is not a whole number"),
        ("ts,price,size\n1795185001,5000,-1\n", "row 1: size '-1' is negative"),
        ("ts,price,size\n1795185001,5000,99999999999\n", "row 1: size '99999999999' is not believable"),
        ("ts,price,size,side\n1795185001,5000,1,X\n", "row 1: side 'X'"),
        ("ts,price,size\nyesterday,5000,1\n", "row 1: 'yesterday' is not a time"),
        ("ts,price,size\n2026-11-20 09:30:00,5000,1\nlater,5000,1\n", "row 2: 'later' is not a time"),
        ("ts,price,size\n1795185001,5000\n", "row 1: 2 values under 3 column names"),
        ("when,price,size\n1795185001,5000,1\n", "no column of times"),
        ("ts,value\n1795185001,5000\n", "neither ticks nor bars"),
        ("ts,price,size\n", "no rows"),
        ("", "is empty"),
        ("ms,price,size\n374,5000,1\n", "counts milliseconds of a day"),
        ("ts,bid_o,bid_h\n1,2,3\n", "bars of quotes"),
        ("ts,open,high,low,close\n1795185000,5000,5001,5000,5002\n", "row 1: open or close outside"),
        ("ts,open,high,low,close\n1795185001,5000,5001,5000,5001\n", "row 1: the bar does not start"),
        (
            "ts,open,high,low,close\n1795185060,1,1,1,1\n1795185000,1,1,1,1\n1795185060,1,1,1,1\n",
            "row 3: a second bar with the same start",
        ),
        ("ts,open,high,low,close\n1795185000,1,1,1,1\n1795185300,1,1,1,1\n", "bars of 300 s"),
        ("ts,open,high,low,close\n1795185000000,1,1,1,1\n1795185000500,1,1,1,1\n", "bars 0.5 s apart"),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_row(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_foreign(csv_file(tmp_path, "ES.csv", text))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="neither CSV nor Parquet"):
        read_foreign(csv_file(tmp_path, "ES.txt", "x"))
    with pytest.raises(DataError, match="cannot be read"):
        read_foreign(tmp_path / "ES_missing.csv")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_foreign(csv_file(tmp_path, "ES.parquet", "nonsense"))
    (tmp_path / "ES.csv").write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(DataError, match="not readable as CSV"):
        read_foreign(tmp_path / "ES.csv")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"needs pyarrow, which is not installed; pip install 'tbot\[data\]'"):
        read_foreign(csv_file(tmp_path, "ES.parquet", ""))


def test_parquet_times_without_a_zone_need_one(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    for number, values in enumerate(
        (pa.array([1_795_185_000_000_000], pa.timestamp("us")), pa.array(["2026-11-20 14:30:00"]))
    ):
        path = tmp_path / f"ES_{number}.parquet"
        pq.write_table(pa.table({"ts": values, "price": [5000.25]}), path)
        with pytest.raises(DataError, match="no time zone"):
            read_foreign(path)
        assert read_foreign(path, tz="UTC").ticks["exch_ns"].tolist() == [1_795_185_000 * 10**9]
        assert read_foreign(path, tz="Europe/Helsinki").ticks["exch_ns"].tolist() == [1_795_177_800 * 10**9]


# -------------------------------------------------------------------------------------------------------------- bars
bar_rows = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.integers(0, 30)),
    min_size=1,
    max_size=20,
)


@settings(max_examples=300, deadline=None)
@given(rows=bar_rows, period=st.sampled_from([MINUTE, 10**9, 5 * 10**9]))
def test_ticks_of_bars_make_the_same_bars_again(rows, period):
    lows = np.array([row[0] for row in rows])
    opens, closes = lows + [row[1] for row in rows], lows + [row[2] for row in rows]
    highs = np.maximum(opens, closes) + [row[3] % 3 for row in rows]
    volumes = np.array([row[4] for row in rows])
    starts = np.arange(len(rows)) * period * 3
    ohlc = np.stack((opens, highs, lows, closes), axis=1)
    notes = []
    ticks = bars_to_ticks(PRODUCTS["ES"], starts, ohlc, volumes, period, notes)
    assert np.all(ticks["flags"] & int(Flag.SYNTHETIC))
    assert np.all(ticks["size"] >= 1)
    assert np.all(np.diff(ticks["exch_ns"]) > 0)
    for start, bar, volume in zip(starts.tolist(), ohlc.tolist(), volumes.tolist(), strict=True):
        own = ticks[(ticks["exch_ns"] >= start) & (ticks["exch_ns"] < start + period)]
        prices = own["price"].tolist()
        assert [prices[0], max(prices), min(prices), prices[-1]] == bar
        assert len(prices) <= 4
        assert own["aux"].tolist() == [0] * (len(own) - 1) + [BAR_END]
        assert own["exch_ns"][0] == start + FIRST_PRINT_NS > start + CLOCK_GRACE_NS
        assert all(a != b for a, b in pairwise(prices[:-1])), "only the close may repeat what came before"
        assert 0 < volume <= len(prices) or own["exch_ns"][-1] == start + period - period // 60, "the close ends it"
        unknown = bool(own["flags"][0] & int(Flag.SIZE_UNKNOWN))
        shortest = len(prices)
        assert unknown == (volume < shortest)
        assert own["size"].sum() == (shortest if unknown else volume)
        if len(prices) == 4 and not (volume < 4):
            near = prices[1] == (bar[1] if bar[1] - bar[0] < bar[0] - bar[2] else bar[2])
            assert near or bar[1] - bar[0] == bar[0] - bar[2]


def test_nearer_extreme_first_ties_away_from_the_close_and_short_volume():
    def prices(bar, volume):
        ticks = bars_to_ticks(PRODUCTS["ES"], np.array([0]), np.array([bar]), np.array([volume]), MINUTE, [])
        assert ticks["aux"].tolist() == [0] * (len(ticks) - 1) + [BAR_END]
        return ticks["price"].tolist(), ticks["size"].tolist(), (ticks["exch_ns"] / 10**9).tolist()

    assert prices([10, 15, 8, 12], 10) == ([10, 8, 15, 12], [3, 3, 2, 2], [0.3, 20, 40, 59])
    assert prices([10, 12, 5, 11], 4) == ([10, 12, 5, 11], [1, 1, 1, 1], [0.3, 20, 40, 59])
    assert prices([10, 12, 8, 11], 9)[0] == [10, 8, 12, 11]
    assert prices([10, 12, 8, 9], 9)[0] == [10, 12, 8, 9]
    assert prices([10, 10, 10, 10], 7) == ([10, 10], [4, 3], [0.3, 59])
    assert prices([10, 10, 10, 10], 1) == ([10], [1], [0.3])
    assert prices([10, 13, 9, 9], 3) == ([10, 13, 9], [1, 1, 1], [0.3, 20, 40])  # 10, 9, 13, 9 would need 4 contracts
    assert prices([10, 13, 9, 11], 2) == ([10, 9, 13, 11], [1, 1, 1, 1], [0.3, 20, 40, 59])


@pytest.mark.parametrize("period", [MINUTE, 10**9])
def test_a_minute_of_bars_is_closed_by_the_clock_before_the_next_open(period):
    """So what is decided at the close of a bar meets the next bar's open, and nothing of it was known before."""
    starts = np.arange(3 * MINUTE // period) * period
    bars = np.tile([[10, 15, 8, 12]], (len(starts), 1))
    stream = with_clock(bars_to_ticks(PRODUCTS["ES"], starts, bars, np.full(len(starts), 9), period, []))
    clocks = np.flatnonzero(stream["kind"] == Kind.CLOCK)
    assert stream["exch_ns"][clocks].tolist() == [k * MINUTE + CLOCK_GRACE_NS for k in (1, 2, 3)]
    for at in clocks[:-1].tolist():
        before, following = stream[at - 1], stream[at + 1]
        assert (before["price"], before["aux"]) == (12, BAR_END)
        assert (following["price"], following["aux"]) == (10, 0)
        assert following["exch_ns"] == before["exch_ns"] // MINUTE * MINUTE + MINUTE + FIRST_PRINT_NS


def test_bars_of_a_csv_newest_first_without_volume(tmp_path):
    path = csv_file(
        tmp_path,
        "ES.csv",
        "Date,Open,High,Low,Close\n2026.11.20 14:31:00,5002,5002,5001,5001\n2026.11.20 14:30:00,5000,5003,5000,5002\n",
    )
    data = read_foreign(path)
    assert data.content == "bars"
    assert data.ticks["price"].tolist() == [20000, 20012, 20008, 20008, 20004, 20004]
    assert np.all(data.ticks["flags"] & int(Flag.SIZE_UNKNOWN))
    assert any("2 bars without volume" in note for note in data.notes)


MONTHS = "ts,symbol,open,high,low,close,volume\n"


def month_rows(*symbols, start=1795185000):
    return MONTHS + "".join(f"{start + 60 * k},{name},5000,5001,5000,5001,9\n" for k, name in enumerate(symbols))


def test_I29_a_roll_stands_at_the_start_of_the_new_months_first_bar(tmp_path):
    data = read_foreign(csv_file(tmp_path, "ES.csv", month_rows("ESZ6", "ESZ6", "ESH7")))
    assert data.months == ((1795185000 * 10**9, "ESZ6"), (1795185120 * 10**9, "ESH7"))
    (mark,) = data.ticks[data.ticks["kind"] == Kind.GAP]
    assert (int(mark["exch_ns"]), mark["aux"], mark["contract_id"]) == (1795185120 * 10**9, NEW_CONTRACT, 4)
    assert data.ticks["kind"].tolist() == [1, 1, 1, 1, 1, 1, 3, 1, 1, 1]
    assert read_foreign(csv_file(tmp_path, "ESH7.csv", month_rows("ES", "ES"))).months[0][1] == "ES"
    assert read_foreign(csv_file(tmp_path, "ESH7_x.csv", "ts,price\n1795185002,1\n")).months[0][1] == "ESH7"


def test_months_that_alternate_and_other_products_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"back and forth between contract months \(ESZ6, ESH7\)"):
        read_foreign(csv_file(tmp_path, "ES.csv", month_rows("ESZ6", "ESH7", "ESZ6")))
    with pytest.raises(DataError, match="holds NQZ6 besides ES"):
        read_foreign(csv_file(tmp_path, "ES.csv", month_rows("ESZ6", "NQZ6")))


def test_an_old_tape_stays_until_the_new_one_is_whole(tmp_path):
    one = csv_file(tmp_path, "ES.csv", "ts,price,size\n1795185001,5000,1\n")
    out = tmp_path / "out.tape"
    import_files([one], out)
    before = out.read_bytes()
    with pytest.raises(DataError, match="exists already"):
        import_files([one], out)
    with pytest.raises(DataError, match="tick grid"):
        import_files([csv_file(tmp_path, "NQ.csv", "ts,price\n1795185001,5000.1\n")], out, force=True)
    assert out.read_bytes() == before
    import_files([csv_file(tmp_path, "NQ.csv", "ts,price\n1795185001,5000\n")], out, force=True)
    with TapeReader(out) as reader:
        assert list(reader.contracts.values()) == ["NQ"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ES.csv", "NQ.csv", "out.tape"]


def test_import_writes_one_merged_tape_or_nothing(tmp_path):
    one = csv_file(tmp_path, "ES.csv", "ts,price,size\n1795185001,5000,1\n1795185003,5000.25,1\n")
    two = csv_file(tmp_path, "MNQ.csv", "ts,price,size\n1795185001,25000,1\n1795185002,25000.25,1\n")
    bad = csv_file(tmp_path, "GC.csv", "ts,price,size\n1795185001,2000.05,1\n")
    out = tmp_path / "out.tape"
    with pytest.raises(DataError, match="tick grid"):
        import_files([one, bad], out)
    assert not out.exists()
    with pytest.raises(DataError, match="no file was named"):
        import_files([], out)
    meta = import_files([one, two], out)
    with TapeReader(out) as reader:
        assert reader.ordered
        assert reader.meta == meta
        assert reader.contracts == {1: "MNQ", 4: "ES"}
        assert reader.ticks["contract_id"].tolist() == [1, 4, 1, 4]
    assert [row["contract"] for row in meta["files"]] == ["ES", "MNQ"]
    assert meta["ticks"] == 4
    with pytest.raises(DataError, match="exists"):
        import_files([one], out)


# --------------------------------------------------------------------------------------------------------- real files
@pytest.mark.shared_data
def test_es_2018_has_no_sizes(tmp_path):
    data = read_foreign(shared("market/ticks/ESM8_trades_20180507_1330-1530Z.parquet"))
    assert len(data.ticks) == 54_888
    assert data.product.symbol == "ES"
    assert set(data.ticks["size"].tolist()) == {1}
    assert np.all(data.ticks["flags"] == int(Flag.SIZE_UNKNOWN))
    assert int(data.ticks["exch_ns"][0]) == 1_525_699_800_001_532_000
    assert int(data.ticks["price"][0]) == 10_682  # 2670.50
    assert np.all(np.diff(data.ticks["exch_ns"]) >= 0)


@pytest.mark.shared_data
def test_gold_ticks_make_the_published_bars():
    """smc.md section 1: all prints give every price of the file and all but one volume; size > 0 changes two highs."""
    data = read_foreign(shared("smc/GC_201312_ticks_20131008.csv"))
    expected = bars_of_csv(shared("smc/GC_201312_1m_20131008.csv"), PRODUCTS["GC"])
    built = minute_bars(data.ticks)
    assert len(built) == 1377
    assert [bar[:5] for bar in built] == [bar[:5] for bar in expected]
    assert sum(a[5] != b[5] for a, b in zip(built, expected, strict=True)) == 1
    traded = {bar[0]: bar for bar in minute_bars(data.ticks, positive_only=True)}
    assert sum(traded[bar[0]][2] != bar[2] for bar in expected) == 2
    assert int(data.ticks["exch_ns"][0]) == DAY + 374_000_000


@pytest.mark.shared_data
def test_gold_csv_and_parquet_of_one_day_agree():
    text = read_foreign(shared("smc/GC_201312_ticks_20131008.csv"))
    binary = read_foreign(shared("market/ticks/GCZ3_trades_20131008.parquet"))
    assert len(text.ticks) == len(binary.ticks) == 52_038
    for name in ("exch_ns", "price", "size"):
        assert np.array_equal(text.ticks[name], binary.ticks[name])
    assert (text.ticks["size"] == 0).sum() == 75


@pytest.mark.shared_data
def test_nq_and_es_with_aggressors_and_capture_times():
    nq = read_foreign(shared("market/ticks/NQM5_trades_20250504_2200-2300Z.parquet")).ticks
    assert len(nq) == 4682
    assert (int(nq["price"][0]), int(nq["size"][0]), int(nq["side"][0])) == (80_726, 16, 0)
    assert set(nq["side"].tolist()) == {-1, 0, 1}
    assert np.all(nq["recv_ns"] > nq["exch_ns"])
    es = read_foreign(shared("market/ticks/ESH4_trades_20231225_2300-2400Z.parquet")).ticks
    assert len(es) == 2973
    assert np.all(np.diff(es["seq"].astype(np.int64)) >= 0)


@pytest.mark.shared_data
def test_es_book_and_trades_merge_by_the_exchange_sequence(tmp_path):
    bbo = shared("market/ticks/ESH4_bbo_20231225_2300-2400Z.parquet")
    trades = shared("market/ticks/ESH4_trades_20231225_2300-2400Z.parquet")
    import_files([bbo, trades], tmp_path / "es.tape")
    with TapeReader(tmp_path / "es.tape") as reader:
        ticks = reader.ticks
    assert len(ticks) == 25_423 + 2_973
    assert np.all(np.diff(ticks["exch_ns"]) >= 0)
    quotes, is_trade = ticks["kind"] == Kind.QUOTE, ticks["kind"] == Kind.TRADE
    assert np.mean(ticks["price"][quotes] < ticks["price2"][quotes]) > 0.999
    at = np.maximum.accumulate(np.where(quotes, np.arange(len(ticks)), 0))
    inside = (ticks["price"] >= ticks["price"][at]) & (ticks["price"] <= ticks["price2"][at])
    assert inside[is_trade].mean() > 0.95  # a trade stands behind the book that it found


@pytest.mark.shared_data
def test_es_top_of_book_events():
    data = read_foreign(shared("market/ticks/ESU4_mbp1_20240701_2358-0002Z.parquet"))
    kinds = data.ticks["kind"]
    assert data.content == "trades and quotes"
    assert (int((kinds == Kind.QUOTE).sum()), int((kinds == Kind.TRADE).sum())) == (2288, 120)
    assert (int(data.ticks["price"][0]), int(data.ticks["price2"][0])) == (22_114, 22_115)
    assert (int(data.ticks["price"][1]), int(data.ticks["size"][1]), int(data.ticks["side"][1])) == (22_115, 2, 1)


@pytest.mark.shared_data
def test_charting_export_needs_a_zone_and_counts_microseconds():
    path = shared("market/ticks/ESH2_trades_dom_20220124_1min.parquet")
    with pytest.raises(DataError, match="give --tz") as caught:
        read_foreign(path)
    assert str(caught.value).count(". ") == 0
    data = read_foreign(path, tz="America/New_York")
    trades = data.ticks[data.ticks["kind"] == Kind.TRADE]
    assert len(trades) == 2026
    assert int(trades["exch_ns"][0]) == int(datetime(2022, 1, 24, 18, 30, tzinfo=UTC).timestamp()) * 10**9 + 5_000_000
    assert np.all(np.diff(trades["seq"].astype(np.int64)) > 0)  # file order is the exchange's: nothing was moved
    assert not any("sorted" in note for note in data.notes)
    quotes = data.ticks[data.ticks["kind"] == Kind.QUOTE]
    at_ask = trades["price"] == quotes["price2"]
    assert np.mean(at_ask[trades["side"] > 0]) > 0.75  # the book's columns lag its trades in a panic minute
    assert np.mean(at_ask[trades["side"] < 0]) < 0.25


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "symbol", "rows"),
    [
        ("ES_1m_tsx_20260120_20260318", "ES", 56_699),
        ("MGC_1m_dbn_front_20240701_20250630", "MGC", 351_885),
        ("6J_1m_tsx_20260308_20260327", "6J", 20_131),
        ("NQ_1m_frd_20231119_20231204", "NQ", 14_714),
    ],
)
def test_real_bars_come_back_exactly(name, symbol, rows):
    pq = pytest.importorskip("pyarrow.parquet")
    path = shared(f"market/bars_1m/{name}.parquet")
    data = read_foreign(path)
    assert (data.product.symbol, data.rows, data.content) == (symbol, rows, "bars")
    table = pq.read_table(path)
    step = float(data.product.tick_size)
    prints = data.ticks[data.ticks["kind"] == Kind.TRADE]
    first = np.flatnonzero(np.diff(prints["exch_ns"] // MINUTE, prepend=-1))
    price = prints["price"]
    found = {
        "open": price[first],
        "high": np.maximum.reduceat(price, first),
        "low": np.minimum.reduceat(price, first),
        "close": price[np.append(first[1:], len(price)) - 1],
    }
    for column, ticks in found.items():
        assert np.array_equal(ticks, np.rint(table[column].to_numpy() / step).astype(np.int64)), column
    volume = np.add.reduceat(prints["size"].astype(np.int64), first)
    known = (prints["flags"][first] & int(Flag.SIZE_UNKNOWN)) == 0
    assert np.array_equal(volume[known], table["volume"].to_numpy()[known])
    assert known.mean() > 0.99


@pytest.mark.shared_data
def test_I29_a_year_of_front_months_is_marked_at_every_roll():
    """Five rolls of micro gold; the last print before each is of the old month, the first one behind it of the new."""
    pq = pytest.importorskip("pyarrow.parquet")
    path = shared("market/bars_1m/MGC_1m_dbn_front_20240701_20250630.parquet")
    data = read_foreign(path)
    table = pq.read_table(path, columns=["ts", "symbol", "open"])
    symbols, opens = table["symbol"].to_pylist(), table["open"].to_pylist()
    changes = [row for row in range(1, len(symbols)) if symbols[row] != symbols[row - 1]]
    assert [month for _, month in data.months] == [symbols[0], *(symbols[row] for row in changes)]
    marks = np.flatnonzero(data.ticks["kind"] == Kind.GAP)
    assert len(marks) == len(changes) >= 5
    starts = table["ts"].cast("int64").to_pylist()
    for mark, row in zip(marks.tolist(), changes, strict=True):
        assert data.ticks["aux"][mark] == NEW_CONTRACT
        assert int(data.ticks["exch_ns"][mark]) in (starts[row], starts[row] * 1000)
        assert data.ticks["price"][mark + 1] == data.product.float_to_ticks(opens[row])
        assert data.ticks["aux"][mark - 1] == BAR_END
    assert any("each marked" in note for note in data.notes)
    assert not any("not adjusted where" in note for note in data.notes)


@pytest.mark.shared_data
def test_bars_of_quotes_and_long_bars_are_refused():
    with pytest.raises(DataError, match="bars of quotes"):
        read_foreign(shared("market/bars_1m/ES_1m_lean_quote_2013.parquet"))
    with pytest.raises(DataError, match="bars of 900 s"):
        read_foreign(shared("smc/EURUSD/EURUSD_15M.csv"), contract="6E")
