"""Kept bars: every closed bar once, in a file a person can open."""

import csv
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lively_tape import lively
from pipeline_tapes import feed_all, minutes_of_tape
from small_files import files_up_to
from tbot.domain.contracts import PRODUCTS, Product
from tbot.storage.bar_files import COLUMNS, ROWS_AT_ONCE, BarCollector
from tbot.storage.foreign import read_foreign
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import BAR_DTYPE

MINUTE = 60_000_000_000


def bars_of(symbol: str, minutes: int = 40) -> np.ndarray:
    return minutes_of_tape(lively((symbol,), minutes=minutes, opened=False))


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="ascii") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("symbol", ["ES", "GC", "6E", "6J"])
def test_a_file_reads_back_to_the_bars(tmp_path: Path, symbol: str) -> None:
    product, bars = PRODUCTS[symbol], bars_of(symbol)
    collector = BarCollector()
    collector.add(bars)
    path = collector.write(tmp_path / "new" / "folder", product)
    assert path == tmp_path / "new" / "folder" / f"{symbol}.1m.csv"
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    rows = rows_of(path)
    assert len(rows) == len(bars)
    for row, bar in zip(rows, bars, strict=True):
        assert datetime.fromisoformat(row["start"]).timestamp() * 1_000_000_000 == bar["start_ns"]
        for name in ("open", "high", "low", "close"):
            assert Decimal(row[name]) == bar[name] * product.tick_size
        for name in ("volume", "delta", "trades", "flags"):
            assert int(row[name]) == bar[name]


def test_a_backtest_reads_the_file_as_the_bars_it_was(tmp_path: Path) -> None:
    bars = bars_of("MNQ")
    collector = BarCollector()
    collector.add(bars)
    found = read_foreign(collector.write(tmp_path, PRODUCTS["MNQ"]))
    assert (found.product.symbol, found.content, found.rows) == ("MNQ", "bars", len(bars))
    again = minutes_of_tape(found.ticks)  # without the last, which nothing closes
    for name in ("start_ns", "open", "high", "low", "close", "volume"):
        assert again[name].tolist() == bars[name].tolist()[:-1], name


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=12))
def test_overlapping_stretches_are_kept_once(
    tmp_path_factory: pytest.TempPathFactory, stretches: list[tuple[int, int]]
) -> None:
    """Each stretch as (first bar, number of bars). What lies behind the newest kept bar is not taken again."""
    bars = np.zeros(50, BAR_DTYPE)
    bars["start_ns"] = np.arange(50) * MINUTE
    collector, expected = BarCollector(), []
    for first, count in stretches:
        collector.add(bars[first : first + count])
        expected += [k for k in range(first, first + count) if not expected or k > expected[-1]]
    path = collector.write(tmp_path_factory.mktemp("bars"), PRODUCTS["ES"])
    starts = [datetime.fromisoformat(row["start"]).timestamp() for row in rows_of(path)]
    assert starts == [60 * k for k in expected]


def test_what_a_worker_collects_now_and_then_is_the_whole_run(tmp_path: Path) -> None:
    """`bars` of a pipeline is a copy: what was collected stays when the pipeline goes on."""
    ticks = lively(("ES",), minutes=300)
    pipeline, collector = ContractPipeline(PRODUCTS["ES"].contract_id), BarCollector()
    for start in range(0, len(ticks), 97):
        feed_all(pipeline, ticks[start : start + 97])
        collector.add(pipeline.bars(1, 60))
    whole = BarCollector()
    whole.add(pipeline.bars(1, 1000))
    rows = rows_of(collector.write(tmp_path, PRODUCTS["ES"]))
    assert len(rows) == 299
    assert rows == rows_of(whole.write(tmp_path / "whole", PRODUCTS["ES"]))
    pipeline.close()


def test_without_bars_there_is_a_heading_and_other_timeframes_have_their_names(tmp_path: Path) -> None:
    path = BarCollector().write(tmp_path, PRODUCTS["ES"], 60)
    assert path.name == "ES.1h.csv"
    assert path.read_text().splitlines() == [",".join(COLUMNS)]


def plain_line(bar: np.void, product: Product) -> str:
    """One bar as text, by itself: what the file must hold, however it is made."""
    start = datetime.fromtimestamp(int(bar["start_ns"]) // 1_000_000_000, UTC)
    prices = [product.format(int(bar[name])) for name in ("open", "high", "low", "close")]
    counts = [str(int(bar[name])) for name in ("volume", "delta", "trades", "flags")]
    return ",".join([f"{start:%Y-%m-%dT%H:%M:%SZ}", *prices, *counts])


@pytest.mark.parametrize("symbol", ["MNQ", "6J"])
def test_a_large_collection_is_whole(tmp_path: Path, symbol: str) -> None:
    """Many small parts, as a worker gathers them, and more bars than are written at once."""
    rng, product, count = np.random.default_rng(5), PRODUCTS[symbol], 3 * ROWS_AT_ONCE + 7
    bars = np.zeros(count, BAR_DTYPE)
    bars["start_ns"] = (29_000_000 + np.arange(count)) * MINUTE
    for name in ("open", "high", "low", "close", "delta"):
        bars[name] = rng.integers(-50, 90_000, count)  # a price below zero is one, too
    for name in ("volume", "trades"):
        bars[name] = rng.integers(0, 2**31, count)
    collector = BarCollector()
    for first in range(0, count, 11):
        collector.add(bars[max(0, first - 3) : first + 11])
    lines = collector.write(tmp_path, product).read_text(encoding="ascii").splitlines()
    assert len(lines) == count + 1
    assert lines[1:] == [plain_line(bar, product) for bar in bars]


def test_F_SYS_01_on_a_full_disk_no_cut_file_has_the_name_of_a_whole_one(tmp_path: Path) -> None:
    collector = BarCollector()
    collector.add(bars_of("ES"))
    with files_up_to(1000), pytest.raises(OSError, match="File too large"):
        collector.write(tmp_path / "new", PRODUCTS["ES"])
    assert list((tmp_path / "new").iterdir()) == []
    old = collector.write(tmp_path / "new", PRODUCTS["ES"]).read_bytes()
    collector.add(bars_of("ES", 80))
    with files_up_to(1000), pytest.raises(OSError, match="File too large"):
        collector.write(tmp_path / "new", PRODUCTS["ES"])
    (left,) = (tmp_path / "new").iterdir()
    assert left.read_bytes() == old


def test_until_it_is_whole_a_file_of_bars_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is killed while writing leaves nothing that could be taken for all."""
    sync, seen = os.fsync, []

    def looking(number: int) -> None:
        seen.append((tmp_path / "ES.1m.csv").exists())
        sync(number)

    monkeypatch.setattr(os, "fsync", looking)
    collector = BarCollector()
    collector.add(bars_of("ES"))
    assert collector.write(tmp_path, PRODUCTS["ES"]).exists()
    assert seen == [False]
