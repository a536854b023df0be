"""Tapes to Parquet and back: other tools read true prices and times, and nothing is lost on the way."""

import json
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from lively_tape import lively
from shared_data import shared
from tbot.domain.contracts import PRODUCTS
from tbot.errors import DataError, MissingExtra
from tbot.storage import parquet_export
from tbot.storage.importers import import_files
from tbot.storage.months import roll_record
from tbot.storage.parquet_export import export, to_floats
from tbot.storage.replay_stream import replay_stream
from tbot.storage.sources import open_sources
from tbot.storage.tape import TapeReader, TapeWriter, tape_meta
from tbot_ext.bars import BarBuilder
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import NO_PRICE, Flag, Kind

pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def rich() -> np.ndarray:
    """Two contracts with everything that a tape can hold: gaps, a roll, clocks, context, one-sided quotes, flags."""
    ticks = lively(("ES", "MNQ"), minutes=120, opened=False)
    ticks["seq"] = 2 * np.arange(len(ticks)) + 2
    ticks["recv_ns"] = ticks["exch_ns"] + 12_345
    rng = np.random.default_rng(4)
    for number, kind in enumerate((Kind.GAP, Kind.GAP, Kind.CLOCK, Kind.CONTEXT, Kind.HISTORY)):
        ticks["kind"][100 + number] = kind
        ticks["price"][100 + number] = NO_PRICE
    ticks["aux"][101] = NEW_CONTRACT
    ticks["price2"][103], ticks["aux"][103] = -77, 5
    one_sided = np.flatnonzero(ticks["kind"] == Kind.QUOTE)[:5]
    ticks["price2"][one_sided] = NO_PRICE
    ticks["volume"][ticks["kind"] == Kind.QUOTE] = 2**40 + rng.integers(0, 99)
    ticks["flags"][7], ticks["epoch"] = int(Flag.SUSPECT), 3
    return ticks


def tape(path: Path, ticks: np.ndarray, **meta: object) -> Path:
    with TapeWriter(path, tape_meta([PRODUCTS["MNQ"], PRODUCTS["ES"]], "test", **meta)) as writer:
        writer.write(ticks)
    return path


def exported(source: Path, out: Path, kind: str = "ticks", timeframe_min: int = 1) -> list[Path]:
    with open_sources([source]) as opened:
        return [file.path for file in export(opened, out, kind, timeframe_min)]


def read(path: Path) -> np.ndarray:
    with TapeReader(path) as reader:
        return reader.ticks


@pytest.mark.parametrize("out", ["one.parquet", "folder"])
@pytest.mark.parametrize("rows", [1 << 17, 300])
def test_V13_export_and_import_give_the_same_records(
    rich: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, rows: int
) -> None:
    monkeypatch.setattr(parquet_export, "_ROWS", rows)
    first = tape(tmp_path / "a.tape", rich, months={"ES": "CON.F.US.EP.Z26"})
    files = exported(first, tmp_path / out)
    assert len(files) == (1 if out == "one.parquet" else 2)
    import_files(files, tmp_path / "b.tape")
    assert np.array_equal(read(tmp_path / "b.tape"), rich)
    with open_sources([first]) as one, open_sources(files) as two, open_sources([tmp_path / "b.tape"]) as three:
        assert one.data_hash == two.data_hash == three.data_hash
        assert one.contracts == two.contracts == three.contracts
        assert two.months(4)[0] == three.months(4)[0] == "CON.F.US.EP.Z26"
    groups = pq.ParquetFile(files[0]).metadata.num_row_groups
    assert groups > 1 if rows == 300 else groups == 1
    assert sorted(path.name for path in files[0].parent.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize(("kind", "number"), [("trades", Kind.TRADE), ("quotes", Kind.QUOTE)])
def test_a_part_of_the_tape_comes_back_as_that_part(rich: np.ndarray, tmp_path: Path, kind: str, number: int) -> None:
    files = exported(tape(tmp_path / "a.tape", rich), tmp_path / f"{kind}.parquet", kind)
    import_files(files, tmp_path / "b.tape")
    wanted = rich[rich["kind"] == number].copy()
    if kind == "trades":
        wanted["price2"] = 0
    assert np.array_equal(read(tmp_path / "b.tape"), wanted)


def test_other_tools_find_true_prices_times_and_where_it_comes_from(rich: np.ndarray, tmp_path: Path) -> None:
    path = tape(tmp_path / "a.tape", rich)
    (file,) = exported(path, tmp_path / "all.parquet")
    table = pq.read_table(file)
    assert str(table.schema.field("ts").type) == "timestamp[ns, tz=UTC]"
    assert table["ts"].cast("int64").to_numpy().tolist() == rich["exch_ns"].tolist()
    kinds, symbols = table["kind"].to_pylist(), table["symbol"].to_pylist()
    assert [kinds[k] for k in range(100, 105)] == ["gap", "gap", "clock", "context", "history"]
    for row in range(0, len(rich), 7):
        product = PRODUCTS[symbols[row]]
        assert product.contract_id == rich["contract_id"][row]
        price = table["price"][row].as_py()
        if kinds[row] in ("trade", "quote"):
            assert price == float(product.to_price(int(rich["price"][row])))
        else:
            assert price is None
    assert table["price2"][int(np.flatnonzero(rich["kind"] == Kind.QUOTE)[0])].as_py() is None
    meta = json.loads(table.schema.metadata[b"tbot"])
    with open_sources([path]) as source:
        assert meta["tape_hash"] == source.data_hash
    assert (meta["format"], meta["version"], meta["kind"], meta["tick_size"]) == ("tbot.ticks", 1, "ticks", "0.25")
    assert meta["contracts"]["MNQ"] == {"id": 1, "tick_size": "0.25", "months": ["", ""]}


@pytest.mark.parametrize("timeframe_min", [1, 5, 60])
def test_bars_are_those_that_the_engine_builds(rich: np.ndarray, tmp_path: Path, timeframe_min: int) -> None:
    plain = rich[rich["kind"] != Kind.GAP]
    path = tape(tmp_path / "a.tape", plain)
    files = exported(path, tmp_path / "bars", "bars", timeframe_min)
    assert [file.name for file in files] == ["MNQ_bars.parquet", "ES_bars.parquet"]
    with TapeReader(path) as reader:
        stream = np.concatenate(list(replay_stream(reader)))
    for file, contract_id in zip(files, (1, 4), strict=True):
        bars = BarBuilder().push_ticks(stream[stream["contract_id"] == contract_id])
        bars = bars[bars["timeframe_min"] == timeframe_min]
        table = pq.read_table(file)
        assert table.num_rows == len(bars) >= 1
        assert table["ts"].cast("int64").to_numpy().tolist() == bars["start_ns"].tolist()
        for name in ("open", "high", "low", "close"):
            assert table[f"{name}_ticks"].to_pylist() == bars[name].tolist()
            assert table[name].to_pylist() == [tick * 0.25 for tick in bars[name].tolist()]
        assert table["volume"].to_pylist() == bars["volume"].tolist()
    if timeframe_min == 1:
        with open_sources(files) as source:
            assert set(source.content.values()) == {"bars"}


def test_a_roll_begins_bars_anew(tmp_path: Path) -> None:
    ticks = lively(("ES",), minutes=30, opened=False)
    border = len(ticks) // 2
    mark = roll_record(4, int(ticks["exch_ns"][border]))
    with_roll = np.concatenate((ticks[:border], mark, ticks[border:]))
    (file,) = exported(tape(tmp_path / "a.tape", with_roll), tmp_path / "bars", "bars")
    assert pq.read_table(file).num_rows == 29  # the minute in which it rolled was never closed


def test_floats_are_the_doubles_nearest_to_the_prices() -> None:
    for symbol in ("ES", "GC", "6E", "6J", "MNQ"):
        product = PRODUCTS[symbol]
        ticks = np.array([1, 3, 23301, 99_999, 1_234_567, NO_PRICE])
        floats = to_floats(ticks, product).tolist()
        assert floats[:-1] == [float(Decimal(product.tick_size) * tick) for tick in ticks.tolist()[:-1]]
        assert np.isnan(floats[-1])


def test_what_cannot_be_exported_or_read_back(
    rich: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tape(tmp_path / "a.tape", rich[:50])
    exported(path, tmp_path / "all.parquet")
    with pytest.raises(DataError, match="exists already"):
        exported(path, tmp_path / "all.parquet")
    only = tape(tmp_path / "t.tape", rich[rich["kind"] == Kind.TRADE])
    with pytest.raises(DataError, match="There are no quotes to export"):
        exported(only, tmp_path / "quotes.parquet", "quotes")
    table = pq.read_table(tmp_path / "all.parquet")
    pq.write_table(table.take(list(range(49, -1, -1))), tmp_path / "turned.parquet")
    pq.write_table(table.drop(["seq"]), tmp_path / "less.parquet")
    meta = json.loads(table.schema.metadata[b"tbot"])
    for name, change in (("newer", {"version": 2}), ("other", {"contracts": {"ES": {"tick_size": "0.5"}}})):
        changed = table.replace_schema_metadata({b"tbot": json.dumps(meta | change).encode()})
        pq.write_table(changed, tmp_path / f"{name}.parquet")
    cases = {
        "turned": "not in order of time", "less": "cannot be read as ticks", "newer": "has format 2",
        "other": "in ticks of 0.5",
    }  # fmt: skip
    for name, message in cases.items():
        with pytest.raises(DataError, match=message):
            open_sources([tmp_path / f"{name}.parquet"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"needs pyarrow, which is not installed; pip install 'tbot\[data\]'"):
        exported(path, tmp_path / "more.parquet")
    with pytest.raises(MissingExtra, match=r"needs pyarrow, which is not installed; pip install 'tbot\[data\]'"):
        open_sources([tmp_path / "all.parquet"])
    names = {"a.tape", "t.tape", "all.parquet", *(f"{name}.parquet" for name in cases)}
    assert {file.name for file in tmp_path.iterdir()} == names  # nothing half done is left behind


@pytest.mark.shared_data
def test_a_real_hour_comes_back(tmp_path: Path) -> None:
    paths = [shared(f"market/ticks/ESH4_{kind}_20231225_2300-2400Z.parquet") for kind in ("bbo", "trades")]
    import_files(paths, tmp_path / "es.tape")
    files = exported(tmp_path / "es.tape", tmp_path / "out")
    import_files(files, tmp_path / "back.tape")
    assert np.array_equal(read(tmp_path / "back.tape"), read(tmp_path / "es.tape"))
