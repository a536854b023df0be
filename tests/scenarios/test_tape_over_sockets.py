"""A tape of real trades through `tbot sim` and `tbot run --gateway` in separate processes over real sockets."""

import csv
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from engine_runs import assert_nothing_left, running, until
from shared_data import shared

from tbot.engine.journal_replay import replay_journal
from tbot.storage.importers import import_files
from tbot.storage.journal import Journal
from tbot.storage.tape import TapeReader, TapeWriter
from tbot_ext.records import Kind

ES_TRADES = "market/ticks/ESM8_trades_20180507_1330-1530Z.parquet"
MINUTE_NS = 60_000_000_000
SPEED = 20


def brute_force_bars(trades: npt.NDArray[np.void]) -> dict[int, tuple[int, int, int, int, int]]:
    """Start of minute -> open, high, low, close, volume, in plain Python, straight from the trades."""
    bars: dict[int, list[int]] = {}
    for row in trades:
        start = int(row["exch_ns"]) // MINUTE_NS * MINUTE_NS
        price, size = int(row["price"]), int(row["size"])
        bar = bars.get(start)
        if bar is None:
            bars[start] = [price, price, price, price, size]
            continue
        bar[1], bar[2], bar[3] = max(bar[1], price), min(bar[2], price), price
        bar[4] += size
    return {start: (bar[0], bar[1], bar[2], bar[3], bar[4]) for start, bar in bars.items()}


def read_bars(path: Path) -> dict[int, tuple[int, int, int, int, int]]:
    """The bars that a worker kept, as ticks."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        int(row["start_ns"]): (int(row["open"]), int(row["high"]), int(row["low"]), int(row["close"]), int(row["volume"]))
        for row in rows
    }


def cut_tape(source: Path, target: Path, minutes: int | None) -> npt.NDArray[np.void]:
    """Write the first `minutes` of a tape; returns its trades."""
    with TapeReader(source) as reader:
        ticks = reader.ticks.copy()
        meta = dict(reader.meta)
    if minutes is not None:
        first = int(ticks["exch_ns"][0]) // MINUTE_NS * MINUTE_NS
        ticks = ticks[ticks["exch_ns"] < first + minutes * MINUTE_NS]
    with TapeWriter(target, meta) as writer:
        writer.write(ticks)
    trades: npt.NDArray[np.void] = ticks[ticks["kind"] == Kind.TRADE]
    return trades


def play(tmp_path: Path, minutes: int | None, patience_s: float) -> None:
    whole, tape = tmp_path / "whole.tape", tmp_path / "es.tape"
    import_files((shared(ES_TRADES),), whole)
    trades = cut_tape(whole, tape, minutes)
    expected = brute_force_bars(trades)
    bars_dir = tmp_path / "bars"
    with running(tmp_path / "sim", "sim", "--tape", str(tape), "--speed", str(SPEED)) as sim:
        ready = sim.first_line()
        assert ready["event"] == "ready"
        login = {"TBOT_USERNAME": ready["user_name"], "TBOT_API_KEY": ready["api_key"]}
        arguments = ("run", "--gateway", ready["rest"], "--contracts", "ES", "--json", "--keep-bars", str(bars_dir))
        with running(tmp_path / "run", *arguments, **login) as engine:
            engine.await_state("ACTIVE")
            run_dir, journal_path = engine.run_dir(), engine.journal()

            def trades_seen() -> int:
                return int(engine.status().get("contracts", {}).get("ES", {}).get("counters", {}).get("trades", 0))

            until(lambda: trades_seen() >= len(trades), f"{len(trades)} trades at the worker", patience_s)
            last_minute = max(expected)
            until(
                lambda: engine.status()["market_ns"] > last_minute + MINUTE_NS + 5_000_000_000,
                "market time behind the last bar",
            )
            engine.interrupt()
            code, out = engine.finish()
            assert code == 0, engine.stderr
            assert_nothing_left(engine, run_dir)
    document = json.loads(out)
    assert document["contracts"]["ES"]["ticks"] >= len(trades)
    assert trades_seen() == len(trades)
    built = read_bars(bars_dir / "ES.1m.csv")
    assert {start: built.get(start) for start in expected} == expected
    assert set(built) == set(expected)
    check_replay(journal_path)


def check_replay(journal_path: Path) -> None:
    """The journal's inputs, folded again, give the same outputs and the same state."""
    with Journal.open_readonly(journal_path) as journal:
        assert journal.verify().ok
    result = replay_journal(journal_path)
    assert result.inputs > 10
    assert result.differences == []
    assert result.digest == result.recorded_digest


@pytest.mark.shared_data
@pytest.mark.timeout(400)
def test_every_trade_of_twenty_minutes_reaches_the_worker(tmp_path: Path) -> None:
    play(tmp_path, minutes=20, patience_s=150)


@pytest.mark.long
@pytest.mark.shared_data
@pytest.mark.timeout(1800)
def test_every_trade_of_two_hours_reaches_the_worker(tmp_path: Path) -> None:
    play(tmp_path, minutes=None, patience_s=900)
