"""A tape of real trades through `tbot sim` and `tbot run --gateway` in separate processes over real sockets."""

import csv
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine_runs import assert_nothing_left, open_journal, running, until
from shared_data import shared
from tape_cuts import cut_minutes
from tbot.domain.contracts import PRODUCTS
from tbot.engine.journal_replay import replay_journal
from tbot.storage.importers import import_files
from tbot.storage.tape import TapeReader
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
    """The bars that a worker kept, prices as ticks."""
    to_ticks = PRODUCTS["ES"].to_ticks
    bars = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            start_ns = int(datetime.fromisoformat(row["start"]).timestamp()) * 1_000_000_000
            prices = [to_ticks(row[name]) for name in ("open", "high", "low", "close")]
            bars[start_ns] = (prices[0], prices[1], prices[2], prices[3], int(row["volume"]))
    return bars


def play(tmp_path: Path, minutes: int | None, patience_s: float) -> None:
    whole, tape = tmp_path / "whole.tape", tmp_path / "es.tape"
    import_files((shared(ES_TRADES),), whole)
    cut_minutes(whole, tape, minutes)
    with TapeReader(tape) as reader:
        ticks = reader.ticks
    trades = ticks[ticks["kind"] == Kind.TRADE]
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

            what = f"{len(trades)} trades at the worker"
            until(lambda: trades_seen() >= len(trades), what, patience_s, engine.status)
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
    check_replay(journal_path, engine.status()["journal"]["digest"])


def check_replay(journal_path: Path, digest: str) -> None:
    """The journal's inputs, folded again, give the same outputs and the same state."""
    with open_journal(journal_path) as journal:
        assert journal.verify().state == "ok"
    result = replay_journal(journal_path)
    assert result.inputs > 10
    assert result.differences == []
    assert result.digest == digest


@pytest.mark.shared_data
@pytest.mark.timeout(400)
def test_every_trade_of_twenty_minutes_reaches_the_worker(tmp_path: Path) -> None:
    play(tmp_path, minutes=20, patience_s=150)


@pytest.mark.long
@pytest.mark.shared_data
@pytest.mark.timeout(1800)
def test_every_trade_of_two_hours_reaches_the_worker(tmp_path: Path) -> None:
    play(tmp_path, minutes=None, patience_s=900)
