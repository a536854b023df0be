"""Any mix of files as one stream: the same records as the imported tape gives, whatever they came in."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lively_tape import lively
from shared_data import shared
from tbot.domain.contracts import PRODUCTS
from tbot.errors import DataError
from tbot.storage.importers import import_files
from tbot.storage.replay_stream import replay_stream
from tbot.storage.sources import open_sources
from tbot.storage.tape import BLOCK_TICKS, TapeReader, TapeWriter, merge_order, tape_meta
from tbot.storage.tick_stream import merge_streams
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import TICK_DTYPE, Kind

SECOND = 10**9
MINUTE = 60 * SECOND
START = 1_795_185_000 * SECOND  # Friday 2026-11-20, 09:30 in New York
NOTHING = np.zeros(0, TICK_DTYPE)
PLAIN = ("exch_ns", "price", "price2", "size", "aux", "contract_id", "kind", "side", "flags")


def tape(path: Path, ticks: np.ndarray, symbols: Sequence[str] = ("MNQ", "ES"), **meta: object) -> Path:
    with TapeWriter(path, tape_meta([PRODUCTS[symbol] for symbol in symbols], "test", **meta)) as writer:
        writer.write(ticks)
    return path


def text(path: Path, body: str) -> Path:
    path.write_text(body)
    return path


def whole(chunks: Iterator[np.ndarray]) -> np.ndarray:
    return np.concatenate([NOTHING, *chunks])


def plain(ticks: np.ndarray) -> list[np.ndarray]:
    """What does not depend on a file's format."""
    return [ticks[name] for name in PLAIN]


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(plain(one), plain(other), strict=True))


def trades(*seconds: float, symbol: str = "ES", price: int = 20_000) -> np.ndarray:
    ticks = np.zeros(len(seconds), TICK_DTYPE)
    ticks["exch_ns"] = [START + round(second * SECOND) for second in seconds]
    ticks["recv_ns"] = ticks["exch_ns"]
    ticks["contract_id"], ticks["kind"], ticks["size"] = PRODUCTS[symbol].contract_id, Kind.TRADE, 1
    ticks["price"], ticks["volume"] = price + np.arange(len(seconds)) % 3, -1
    return ticks


def trades_csv(path: Path, ticks: np.ndarray, symbol: str = "ES") -> Path:
    step = PRODUCTS[symbol].tick_size
    rows = [f"{t['exch_ns']},{step * int(t['price'])},{t['size']}" for t in ticks]
    return text(path, "ts,price,size\n" + "\n".join(rows) + "\n")


def bars_csv(path: Path, minutes: Sequence[int], price: float = 5000) -> Path:
    rows = [f"{(START + m * MINUTE) // SECOND},{price},{price + 1},{price - 1},{price},9" for m in minutes]
    return text(path, "ts,open,high,low,close,volume\n" + "\n".join(rows) + "\n")


# ------------------------------------------------------------------------------------------------------------- tapes
@pytest.mark.parametrize("shuffled", [False, True])
def test_V13_a_tape_gives_the_records_that_replay_plays(tmp_path: Path, shuffled: bool) -> None:
    ticks = lively(("ES", "MNQ"), minutes=200, opened=False)
    if shuffled:  # as a recording in order of arrival
        late = np.random.default_rng(3).integers(0, 5 * SECOND, len(ticks))
        ticks = ticks[np.argsort(ticks["exch_ns"] + late, kind="stable")]
    path = tape(tmp_path / "t.tape", ticks)
    with TapeReader(path) as reader, open_sources([path]) as source:
        assert reader.ordered is not shuffled
        expected = whole(replay_stream(reader))
        assert np.array_equal(whole(source.stream()), expected)
        assert np.array_equal(whole(source.stream()), expected)  # and once more
        assert np.array_equal(whole(source.chunks()), merge_order(ticks))
        assert source.contracts == {1: "MNQ", 4: "ES"}
        assert (source.first_ns, source.last_ns) == (ticks["exch_ns"].min(), ticks["exch_ns"].max())
        assert source.content == {1: "ticks", 4: "ticks"}
        assert source.records == len(ticks)


def test_V13_a_tape_of_bare_trades_with_gaps_and_a_silent_contract_too(tmp_path: Path) -> None:
    ticks = trades(*np.arange(0, 900, 7).tolist())
    ticks["kind"][[40, 80]] = Kind.GAP
    ticks["aux"][80] = NEW_CONTRACT
    path = tape(tmp_path / "t.tape", ticks)  # says that it is of MNQ, too
    with TapeReader(path) as reader, open_sources([path]) as source:
        stream = whole(source.stream())
        assert np.array_equal(stream, whole(replay_stream(reader)))
        assert source.contracts == {1: "MNQ", 4: "ES"}
        assert source.rolls == 1
        assert any(note.startswith("1 gap mark:") for note in source.notes)
    answers = np.flatnonzero(stream["kind"] == Kind.GAP) + 1
    assert stream["kind"][answers].tolist() == [Kind.HISTORY] * 2
    assert stream["size"][answers].tolist() == [0, 0]


def test_day_tapes_of_several_contracts_follow_each_other(tmp_path: Path) -> None:
    ticks = lively(("ES", "MNQ"), minutes=120, opened=False)
    border = len(ticks) // 2
    while ticks["exch_ns"][border] == ticks["exch_ns"][border - 1]:
        border += 1
    one, two = tape(tmp_path / "1.tape", ticks[:border]), tape(tmp_path / "2.tape", ticks[border:])
    with open_sources([two, one]) as parts, open_sources([tape(tmp_path / "all.tape", ticks)]) as all_:
        assert np.array_equal(whole(parts.chunks()), ticks)
        assert np.array_equal(whole(parts.stream()), whole(all_.stream()))
        assert parts.data_hash == all_.data_hash
        assert [file["name"] for file in parts.files] == ["2.tape", "1.tape"]


def test_late_prints_of_a_recording_stand_where_they_belong(tmp_path: Path) -> None:
    ticks = trades(*range(100))
    late = np.concatenate((ticks[50:53], ticks[47:48], ticks[53:]))  # came behind the day's border
    one = tape(tmp_path / "1.tape", np.concatenate((ticks[:47], ticks[48:50])))
    with open_sources([one, tape(tmp_path / "2.tape", late)]) as source:
        assert np.array_equal(whole(source.chunks()), ticks)
    with pytest.raises(DataError, match="overlap"):
        open_sources([one, tape(tmp_path / "3.tape", ticks[40:])])


def test_times_cut_the_stream(tmp_path: Path) -> None:
    ticks = lively(("ES", "MNQ"), minutes=240, opened=False)
    since, until = START + 31 * MINUTE, START + 95 * MINUTE
    wanted = ticks[(ticks["exch_ns"] >= since) & (ticks["exch_ns"] < until)]
    assert BLOCK_TICKS < len(wanted) < len(ticks)
    path, mixed = tape(tmp_path / "a.tape", ticks), tape(tmp_path / "b.tape", ticks[::-1])
    csv = trades_csv(tmp_path / "ES.csv", trades(0, 40 * 60, 100 * 60))
    for file in (path, mixed):
        with open_sources([file], since_ns=since, until_ns=until) as source:
            found = whole(source.chunks())
            assert np.array_equal(found["exch_ns"], wanted["exch_ns"])
            assert source.first_ns == wanted["exch_ns"][0]
    with open_sources([csv], since_ns=since, until_ns=until) as source:
        assert whole(source.chunks())["exch_ns"].tolist() == [START + 40 * MINUTE]
    with pytest.raises(DataError, match=r"no record of that time in .*ES\.csv"):
        open_sources([csv], since_ns=START + 200 * MINUTE)


# ------------------------------------------------------------------------------------------------------------- mixes
def test_V13_files_and_their_import_give_one_stream_and_one_hash(tmp_path: Path) -> None:
    """CSV of trades, CSV of bars, Parquet and a tape of the same data: the records that matter are the same."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    es = trades(*np.arange(0, 600, 0.7).tolist())
    files = [trades_csv(tmp_path / "ES.csv", es), bars_csv(tmp_path / "NQ.csv", range(12))]
    import_files(files, tmp_path / "all.tape")
    columns = {
        "ts": pa.array(es["exch_ns"], pa.timestamp("ns", "UTC")),
        "ts_recv": pa.array(es["exch_ns"] + 5000),
        "price": es["price"] * 0.25,
        "size": es["size"],
        "seq": np.arange(len(es)) + 7,
    }
    pq.write_table(pa.table(columns), tmp_path / "ES.parquet")
    with (
        open_sources(files) as one,
        open_sources([tmp_path / "all.tape"]) as two,
        open_sources([files[1], tmp_path / "ES.parquet"]) as three,
    ):
        streams = [whole(source.stream()) for source in (one, two, three)]
        assert same(streams[0], streams[1])
        assert same(streams[0], streams[2])
        assert one.data_hash == two.data_hash == three.data_hash
        assert one.content == two.content == {PRODUCTS["NQ"].contract_id: "bars", 4: "ticks"}
        with TapeReader(tmp_path / "all.tape") as reader:
            assert reader.meta["data_hash"] == one.data_hash
            assert np.array_equal(streams[1], whole(replay_stream(reader)))


def test_one_changed_print_changes_the_hash(tmp_path: Path) -> None:
    ticks = trades(1, 2, 3)
    with open_sources([trades_csv(tmp_path / "ES.csv", ticks)]) as source:
        before = source.data_hash
    for name, value in (("price", 20_001), ("size", 2), ("exch_ns", START + 1)):
        other = ticks.copy()
        other[name][0] = value
        with open_sources([trades_csv(tmp_path / "ES.csv", other)]) as source:
            assert source.data_hash != before


def test_trades_and_quotes_of_one_contract_complete_each_other(tmp_path: Path) -> None:
    quotes = text(tmp_path / "ES_q.csv", "ts,bid,ask\n" + "".join(f"{1795185000 + k},5000,5001\n" for k in range(9)))
    prints = trades_csv(tmp_path / "ES_t.csv", trades(0.5, 4.5))
    with open_sources([prints, quotes]) as source:
        assert source.unquoted == {}
        ticks = whole(source.chunks())
    assert ticks["kind"].tolist() == [2, 1, 2, 2, 2, 2, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("names", [("ES_a.csv", "ES_b.csv"), ("ES_b.csv", "ES_a.csv")])
def test_files_of_one_contract_that_overlap_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    trades_csv(tmp_path / "ES_a.csv", trades(0, 10))
    trades_csv(tmp_path / "ES_b.csv", trades(9, 20))
    with pytest.raises(DataError, match=r"ES_a\.csv and .*ES_b\.csv overlap: both hold trades of ES from 2026-11-20"):
        open_sources([tmp_path / name for name in names])
    trades_csv(tmp_path / "ES_b.csv", trades(10, 20))
    with open_sources([tmp_path / name for name in names]) as source:
        assert (whole(source.chunks())["exch_ns"] - START).tolist() == [0, 10 * SECOND, 10 * SECOND, 20 * SECOND]


def test_an_overlap_is_found_behind_a_shorter_file_too(tmp_path: Path) -> None:
    files = [
        trades_csv(tmp_path / "ES_a.csv", trades(0, 30)),
        tape(tmp_path / "b.tape", trades(40, 41, symbol="MNQ"), ("MNQ",)),
        trades_csv(tmp_path / "ES_c.csv", trades(31, 32)),
        trades_csv(tmp_path / "ES_d.csv", trades(29)),
    ]
    with open_sources(files[:3]) as source:
        assert source.records == 6
    with pytest.raises(DataError, match="overlap"):
        open_sources(files)


def test_I29_another_month_in_the_next_file_is_a_roll(tmp_path: Path) -> None:
    bars_csv(tmp_path / "ESZ6_1m.csv", range(3))
    bars_csv(tmp_path / "ESH7_1m.csv", range(3, 6), 5040)
    bars_csv(tmp_path / "ESH27_x.csv", range(6, 8), 5040)
    files = sorted(tmp_path.iterdir())
    with open_sources(files) as source:
        ticks = whole(source.chunks())
        assert source.rolls == 1
        assert any("1 roll between files" in note for note in source.notes)
    (at,) = np.flatnonzero(ticks["kind"] == Kind.GAP).tolist()
    assert (int(ticks["exch_ns"][at]), int(ticks["aux"][at])) == (START + 3 * MINUTE, NEW_CONTRACT)
    assert ticks["price"][at - 1] == 20_000
    assert ticks["price"][at + 1] == 20_160
    import_files([tmp_path / "ESZ6_1m.csv"], tmp_path / "z.tape")
    import_files([tmp_path / "ESH7_1m.csv", tmp_path / "ESH27_x.csv"], tmp_path / "h.tape")
    with open_sources([tmp_path / "z.tape", tmp_path / "h.tape"]) as source:
        assert same(whole(source.chunks()), ticks)
    import_files(files, tmp_path / "both.tape")
    with open_sources([tmp_path / "both.tape"]) as source:
        assert (source.rolls, source.rolls_between) == (1, 0)
        assert same(whole(source.chunks()), ticks)


def test_I29_recorded_tapes_of_two_months_roll(tmp_path: Path) -> None:
    one = tape(tmp_path / "1.tape", trades(0, 1), ("ES",), months={"ES": "CON.F.US.EP.Z26"})
    two = tape(tmp_path / "2.tape", trades(60, 61), ("ES",), months={"ES": "CON.F.US.EP.H27"})
    three = tape(tmp_path / "3.tape", trades(80, 81), ("ES",), months={"ES": "CON.F.US.EP.H27"})
    with open_sources([one, two, three]) as source:
        kinds = whole(source.chunks())["kind"].tolist()
    assert kinds == [1, 1, 3, 1, 1, 1, 1]


# ------------------------------------------------------------------------------------------------------------- holes
def test_holes_are_told_in_trading_time(tmp_path: Path) -> None:
    """START is a Friday: minute 1110 is Saturday 04:00 in New York; the market opens again on Sunday evening."""
    closed = 24 * 60
    bars_csv(tmp_path / "ES.csv", [*range(30), *range(75, 120), closed + 3 * 24 * 60, closed + 3 * 24 * 60 + 1])
    with open_sources([tmp_path / "ES.csv"]) as source:
        first, second = source.holes()
        assert (first.symbol, first.start_ns, first.end_ns) == ("ES", START + 30 * MINUTE, START + 75 * MINUTE)
        assert first.open_ns == 45 * MINUTE
        assert second.open_ns < second.end_ns - second.start_ns
        assert any(note.startswith("ES: 2 holes of more than 10 min") for note in source.notes)
    bars_csv(tmp_path / "NQ.csv", [*range(0, 100, 11), 100])
    with open_sources([tmp_path / "NQ.csv"]) as source:
        assert [hole.open_ns for hole in source.holes()] == [10 * MINUTE] * 9
    bars_csv(tmp_path / "NQ.csv", [*range(0, 100, 10), 91])
    with open_sources([tmp_path / "NQ.csv"]) as source:
        assert source.holes() == []
        assert not any("holes" in note for note in source.notes)


def test_a_hole_between_files_counts_and_quotes_fill_a_hole_of_trades(tmp_path: Path) -> None:
    one = trades_csv(tmp_path / "ES_1.csv", trades(*range(0, 600, 60)))
    two = trades_csv(tmp_path / "ES_2.csv", trades(*range(2400, 3000, 60)))
    with open_sources([two, one]) as source:
        (hole,) = source.holes()
        assert (hole.start_ns, hole.end_ns) == (START + 10 * MINUTE, START + 40 * MINUTE)
    body = "".join(f"{1795185000 + 60 * k},5000,5001\n" for k in range(60))
    with open_sources([two, one, text(tmp_path / "ES_q.csv", "ts,bid,ask\n" + body)]) as source:
        assert source.holes() == []


# ------------------------------------------------------------------------------------------------------------ errors
def test_what_is_no_source_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "bad.tape").write_bytes(b"nonsense" * 20)
    damaged = tape(tmp_path / "damaged.tape", lively(("ES",), minutes=60, opened=False), ("ES",))
    with damaged.open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff" * 8)
    other = tmp_path / "other.tape"
    meta = tape_meta([PRODUCTS["ES"]], "test")
    meta["contracts"]["4"]["tick_size"] = "0.50"
    with TapeWriter(other, meta) as writer:
        writer.write(trades(1))
    cases = [
        ([], "no file was named"),
        ([tmp_path / "bad.tape"], "is not a tape"),
        ([tmp_path / "missing.tape"], "cannot be opened"),
        ([tmp_path / "ES_missing.csv"], "cannot be read"),
        ([damaged], "damaged"),
        ([tape(tmp_path / "empty.tape", NOTHING)], "There is no record in"),
        ([other], "in ticks of 0.50"),
        ([text(tmp_path / "ES.csv", "")], "is empty"),
        ([text(tmp_path / "ES.txt", "x")], "neither CSV nor Parquet"),
    ]
    for paths, message in cases:
        with pytest.raises(DataError, match=message) as caught:
            open_sources(paths)
        assert str(caught.value).count("\n") == 0


def test_a_tape_is_known_by_its_first_bytes_too(tmp_path: Path) -> None:
    path = tape(tmp_path / "t.tape", trades(1, 2))
    path = path.rename(tmp_path / "recording")
    with open_sources([path]) as source:
        assert source.records == 2


# ------------------------------------------------------------------------------------------------------------- merge
pieces = st.lists(st.lists(st.integers(0, 6), max_size=5), max_size=6)


@settings(max_examples=200)
@given(streams=st.lists(pieces, min_size=1, max_size=4))
def test_streams_merge_as_the_whole_would_sort(streams: list[list[list[int]]]) -> None:
    made = []
    for number, steps in enumerate(streams):
        times = np.cumsum([step for part in steps for step in part]).astype(np.int64)
        ticks = np.zeros(len(times), TICK_DTYPE)
        ticks["exch_ns"], ticks["contract_id"], ticks["seq"] = times, number, np.arange(len(times))
        made.append(np.split(ticks, np.cumsum([len(part) for part in steps])))
    expected = merge_order(np.concatenate([NOTHING, *(part for stream in made for part in stream)]))
    assert np.array_equal(whole(merge_streams(made)), expected)


def test_an_unordered_tape_is_read_in_order_a_little_at_a_time(tmp_path: Path) -> None:
    """What a recording of an hour in order of arrival needs is a small part of it, never the whole."""
    ticks = lively(("ES", "MNQ"), minutes=600, opened=False)
    late = np.random.default_rng(3).integers(0, 5 * SECOND, len(ticks))
    arrived = ticks[np.argsort(ticks["exch_ns"] + late, kind="stable")]
    with TapeReader(tape(tmp_path / "t.tape", arrived)) as reader:
        assert not reader.ordered
        parts = list(reader.chunks(1))
    assert np.array_equal(np.concatenate(parts), merge_order(arrived))
    assert max(map(len, parts)) <= 2 * BLOCK_TICKS < len(ticks) // 4


# --------------------------------------------------------------------------------------------------------- real files
@pytest.mark.shared_data
def test_eight_weeks_of_six_contracts() -> None:
    names = [f"{s}_1m_tsx_20260120_20260318" for s in ("ES", "NQ", "MES", "MNQ", "GC")]
    paths = [shared(f"market/bars_1m/{name}.parquet") for name in (*names, "MGC_1m_tsx_20260121_20260318")]
    with open_sources(paths) as source:
        assert sorted(source.contracts.values()) == ["ES", "GC", "MES", "MGC", "MNQ", "NQ"]
        assert set(source.content.values()) == {"bars"}
        count, last = 0, -1
        for chunk in source.chunks():
            assert chunk["exch_ns"][0] >= last
            assert np.all(np.diff(chunk["exch_ns"]) >= 0)
            count, last = count + len(chunk), int(chunk["exch_ns"][-1])
        assert count == source.records > 1_000_000
        gold = [hole for hole in source.holes() if hole.symbol in ("GC", "MGC") and hole.open_ns == 104 * MINUTE]
    assert {hole.symbol for hole in gold} == {"GC", "MGC"}  # 2026-02-25, from the bar at 18:00 UTC to that at 19:45
    assert {hole.start_ns for hole in gold} == {1_772_042_460 * SECOND}
