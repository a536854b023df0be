"""Databento files: small ones made with the vendor's encoder, and a real order log against what was rebuilt of it."""

import datetime
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shared_data import shared
from tbot.errors import DataError, MissingExtra
from tbot.storage.dbn_files import best_of_orders
from tbot.storage.foreign import read_foreign
from tbot.storage.sources import open_sources
from tbot_ext.records import NO_PRICE, Flag, Kind

dbn = pytest.importorskip("databento_dbn")

START = 1_795_185_000 * 10**9
UNDEFINED = 2**63 - 1


def dbn_file(path: Path, schema: str, records: list[Any], symbols: dict[str, list[int]] | None = None) -> Path:
    """A file of these records; `symbols`: the instruments that a name stands for, one after the other."""
    days = [datetime.date(2026, 11, 20) + datetime.timedelta(days=k) for k in range(5)]
    mappings = [
        SimpleNamespace(
            raw_symbol=name,
            intervals=[
                SimpleNamespace(start_date=days[k], end_date=days[k + 1], symbol=str(number))
                for k, number in enumerate(numbers)
            ],
        )
        for name, numbers in (symbols or {"ESZ6": [17]}).items()
    ]
    metadata = dbn.Metadata(
        dataset="GLBX.MDP3", start=START, stype_in=dbn.SType.RAW_SYMBOL, stype_out=dbn.SType.INSTRUMENT_ID,
        schema=dbn.Schema.from_str(schema), symbols=list(symbols or {"ESZ6": []}), mappings=mappings, partial=[],
        not_found=[], end=None, limit=None,
    )  # fmt: skip
    path.write_bytes(metadata.encode() + b"".join(bytes(record) for record in records))
    return path


def trade(k: int, price: float, size: int, side: str, instrument: int = 17) -> Any:
    at, sides = START + k * 10**9, {"B": dbn.Side.BID, "A": dbn.Side.ASK, "N": dbn.Side.NONE}
    return dbn.TradeMsg(
        1, instrument, at, round(price * 1e9), size, dbn.Action.TRADE, sides[side], 0, at + 500, sequence=k + 9
    )


def bar(minute: int, instrument: int = 17, price: float = 5000) -> Any:
    prices = [round(p * 1e9) for p in (price, price + 1, price - 1, price)]
    return dbn.OHLCVMsg(dbn.RType.OHLCV_1M, 1, instrument, START + minute * 60 * 10**9, *prices, 9)


def test_trades(tmp_path: Path) -> None:
    prints = [trade(0, 5000.25, 3, "B"), trade(1, 5000, 1, "A"), trade(2, 5000, 2, "N")]
    path = dbn_file(tmp_path / "a.dbn", "trades", prints)
    data = read_foreign(path)
    assert (data.product.symbol, data.content, data.rows, data.months) == ("ES", "trades", 3, ((START, "ESZ6"),))
    assert data.ticks["price"].tolist() == [20_001, 20_000, 20_000]
    assert data.ticks["side"].tolist() == [1, -1, 0]
    assert data.ticks["size"].tolist() == [3, 1, 2]
    assert (data.ticks["recv_ns"] - data.ticks["exch_ns"]).tolist() == [500] * 3
    assert data.ticks["seq"].tolist() == [9, 10, 11]


def test_bars_and_a_continuous_name_that_rolls(tmp_path: Path) -> None:
    bars = [bar(0), bar(1), bar(2, 18, 5040)]
    data = read_foreign(dbn_file(tmp_path / "a.dbn", "ohlcv-1m", bars, {"ES.v.0": [17, 18]}))
    assert [name for _, name in data.months] == ["ES.v.0:17", "ES.v.0:18"]
    assert data.content == "bars"
    gap = data.ticks[data.ticks["kind"] == Kind.GAP]
    assert gap["exch_ns"].tolist() == [START + 120 * 10**9]
    assert np.all(data.ticks["flags"][data.ticks["kind"] == Kind.TRADE] & int(Flag.SYNTHETIC))
    with open_sources([tmp_path / "a.dbn"]) as source:
        assert source.rolls == 1


@pytest.mark.parametrize("schema", ["mbp-1", "tbbo"])
def test_events_of_the_best_level_and_an_empty_side(tmp_path: Path, schema: str) -> None:
    level = dbn.BidAskPair(5000 * 10**9, UNDEFINED, 4, 0, 1, 0)
    made = [
        dbn.MBP1Msg(1, 17, START + k, 5000 * 10**9, 2, action, dbn.Side.BID, 0, START + k + 5, levels=level)
        for k, action in enumerate((dbn.Action.ADD, dbn.Action.TRADE))
    ]
    ticks = read_foreign(dbn_file(tmp_path / "a.dbn", schema, made)).ticks
    assert ticks["kind"].tolist() == [Kind.QUOTE, Kind.QUOTE, Kind.TRADE]
    assert ticks["price"].tolist() == [20_000] * 3
    assert ticks["price2"].tolist() == [NO_PRICE, NO_PRICE, 0]


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = dbn_file(tmp_path / "good.dbn", "trades", [trade(0, 5000, 1, "B"), trade(1, 5000, 1, "B")])
    (tmp_path / "ES_cut.dbn").write_bytes(good.read_bytes()[:-7])
    (tmp_path / "ES_junk.dbn.zst").write_bytes(b"\x28\xb5\x2f\xfd" + b"junk" * 50)
    (tmp_path / "ES_text.dbn").write_bytes(b"ts,price\n1,2\n" * 20)
    (tmp_path / "ES_empty.dbn").write_bytes(b"")
    dbn_file(tmp_path / "ES_none.dbn", "trades", [])
    dbn_file(tmp_path / "ES_other.dbn", "statistics", [])
    cases = {
        "ES_cut.dbn": "ends within a record", "ES_junk.dbn.zst": "not a readable Databento file",
        "ES_text.dbn": "not a readable Databento file", "ES_empty.dbn": "not a readable Databento file",
        "ES_none.dbn": "has no rows", "ES_other.dbn": "has the schema statistics",
    }  # fmt: skip
    for name, message in cases.items():
        with pytest.raises(DataError, match=message) as caught:
            open_sources([tmp_path / name])
        assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "databento_dbn", None)
    with pytest.raises(MissingExtra, match=r"needs databento_dbn, .*; pip install 'tbot\[databento\]'"):
        read_foreign(good)


def orders(*rows: tuple[str, str, int, float, int, int]) -> dict[str, np.ndarray]:
    names = ("action", "side", "order_id", "price", "size", "flags")
    return {name: np.array([row[k] for row in rows], object) for k, name in enumerate(names)}


def test_the_best_of_a_book_of_orders_by_hand() -> None:
    end, snapshot = 0x80, 0xA0
    rows, bids, asks = best_of_orders(
        orders(
            ("R", "N", 0, np.nan, 0, snapshot),
            ("A", "B", 1, 10.0, 5, snapshot),
            ("A", "A", 2, 12.0, 1, end),  # 10/12 is shown first here
            ("A", "B", 3, 11.0, 2, 0),  # in the middle of an event
            ("C", "B", 3, 11.0, 1, end),  # 11, one left
            ("M", "B", 3, 9.0, 1, end),  # the order goes down: 10 again
            ("A", "B", 4, 8.0, 7, end),  # behind the best: nothing to tell
            ("T", "A", 0, 10.0, 5, end),  # a print changes no book
            ("C", "B", 1, 10.0, 5, end),  # 9
            ("C", "A", 2, 12.0, 1, end),  # nobody offers
        )
    )
    assert rows.tolist() == [2, 4, 5, 8, 9]
    assert bids.tolist() == [10, 11, 10, 9, 9]
    assert asks.tolist()[:4] == [12] * 4
    assert np.isnan(asks[4])


@pytest.mark.shared_data
def test_V13_a_real_order_log_gives_the_published_book_and_trades() -> None:
    """All 25,423 changes of the best bid and ask, and all 2,973 trades, to the nanosecond and the sequence number."""
    ticks = read_foreign(shared("market/ticks/ESH4_mbo_20231225.dbn.zst")).ticks
    for name, kind, count in (("bbo", Kind.QUOTE, 25_423), ("trades", Kind.TRADE, 2_973)):
        published = read_foreign(shared(f"market/ticks/ESH4_{name}_20231225_2300-2400Z.parquet")).ticks
        own = ticks[(ticks["kind"] == kind) & (ticks["exch_ns"] >= published["exch_ns"][0])]
        assert len(own) == len(published) == count
        for column in ("exch_ns", "price", "price2", "size", "side", "seq"):
            assert np.array_equal(own[column], published[column]), (name, column)
