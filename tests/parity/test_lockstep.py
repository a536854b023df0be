"""One tape through direct calls of the two deciders and through the processes in lock-step: identical decisions."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine_runs import open_journal, running
from shared_data import shared
from tape_cuts import MINUTE_NS, gold_as_two_contracts
from tbot.backtest.record import RunRecord
from tbot.backtest.run import run_backtest
from tbot.commands.past import plan_of
from tbot.config import load
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import DeskOutput, Fill, SignalIn, TimerIn
from tbot.engine.journal_replay import replay_journal
from tbot.storage.importers import import_files
from tbot.storage.sources import open_sources
from tbot.storage.tape import TapeReader, TapeWriter, merge_order, tape_meta

# A strategy that decides often: parity wants many decisions, not good ones.
LIVELY = """
[strategy]
min_score = 0.0
max_tests = 3
[strategy.detector]
1m = { L = 2, R = 2, atr_n = 5 }
5m = { L = 2, R = 2, atr_n = 5 }
15m = { L = 2, R = 2, atr_n = 5 }
30m = { L = 2, R = 2, atr_n = 5 }
1h = { L = 2, R = 2, atr_n = 5 }
[risk]
risk_per_trade_cents = 80000
"""

HOURS = 16

# Ruling 2: tags, ids, receive and latency stamps differ between runs by nature.
VOLATILE = {"command_id", "tag", "order_id", "fill_id", "parent_id", "stamps"}


def essence(value: Any) -> Any:
    """A decision as plain data without what ruling 2 leaves out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.name not in VOLATILE]
        return (type(value).__name__, *((name, essence(getattr(value, name))) for name in names))
    if isinstance(value, dict):
        return {key: essence(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(essence(item) for item in value)
    return value


def decisions(rows: Iterable[tuple[Any, list[DeskOutput]]]) -> tuple[list[Any], list[Any], list[Any]]:
    """(signals, fills, outputs) of a run, in order."""
    signals, fills, outputs = [], [], []
    for item, results in rows:
        if isinstance(item, SignalIn):
            signals.append(essence(item))
        elif isinstance(item, Fill):
            fills.append(essence(item))
        outputs += [essence(result) for result in results]
    return signals, fills, outputs


def assert_parity(tape: Path, folder: Path, patience_s: float) -> tuple[int, int]:
    """The backtest's loop and the processes decide alike on a tape; (signals, fills)."""
    config_path = folder / "lively.toml"
    config_path.write_text(LIVELY)
    config = load(config_path)
    direct = RunRecord(keep_rows=True)
    with open_sources([tape]) as source:
        run_backtest(source, plan_of(config), record=direct)
    out = folder / "out"
    arguments = ("replay", str(tape), "--config", str(config_path), "--out", str(out), "--json")
    with running(folder / "home", *arguments) as engine:
        code, _ = engine.finish(patience_s)
        assert code == 0, engine.stderr
    again = replay_journal(out / "journal.db")
    assert again.differences == [], "the journal of the replay does not decide so again (I15)"
    with open_journal(out / "journal.db") as journal:
        replayed = [(step.item, list(step.outputs)) for step in journal.steps()]

    direct_signals, direct_fills, direct_outputs = decisions(direct.rows)
    signals, fills, outputs = decisions(replayed)
    assert signals == direct_signals
    # The replay ends with a stop request that the direct run does not have.
    assert outputs[: len(direct_outputs)] == direct_outputs
    assert fills[: len(direct_fills)] == direct_fills
    timers = [[item.now_ns for item, _ in rows if isinstance(item, TimerIn)] for rows in (direct.rows, replayed)]
    assert timers[1][: len(timers[0])] == timers[0], "one of them told the Desk a time that the other did not"
    return len(direct_signals), len(direct_fills)


@pytest.mark.shared_data
@pytest.mark.timeout(600)
def test_direct_calls_equal_processes_in_lockstep(tmp_path: Path) -> None:
    """A day of real gold trades as two contracts: every exchange instant is a tie between them."""
    tape = tmp_path / "gold.tape"
    gold_as_two_contracts(shared("market/ticks/GCZ3_trades_20131008.parquet"), tape, HOURS)
    signals, fills = assert_parity(tape, tmp_path, 400)
    assert signals >= 10, "the tape gives too few signals to prove anything"
    assert fills >= 2


@pytest.mark.shared_data
@pytest.mark.timeout(600)
def test_real_quotes_of_es_beside_real_trades_of_nq_decide_alike(tmp_path: Path) -> None:
    """Every change of the best bid and ask of an hour of ES, and an hour of NQ moved to the same hour of a Tuesday."""
    es = imported(tmp_path, "ES", "ESH4_trades_20231225_2300-2400Z.parquet", "ESH4_bbo_20231225_2300-2400Z.parquet")
    nq = imported(tmp_path, "NQ", "NQM5_trades_20250504_2200-2300Z.parquet")
    start_ns = int(es["exch_ns"][0]) // MINUTE_NS * MINUTE_NS + 16 * 60 * MINUTE_NS  # 15:00 UTC
    tape = tmp_path / "index.tape"
    with TapeWriter(tape, tape_meta([PRODUCTS["NQ"], PRODUCTS["ES"]], "test")) as writer:
        writer.write(merge_order(np.concatenate([moved(ticks, start_ns) for ticks in (nq, es)])))
    signals, fills = assert_parity(tape, tmp_path, 400)
    assert signals >= 2
    assert fills >= 1


@pytest.mark.long
@pytest.mark.shared_data
@pytest.mark.timeout(1800)
def test_two_real_hours_of_es_decide_alike(tmp_path: Path) -> None:
    tape = tmp_path / "es.tape"
    import_files((shared("market/ticks/ESM8_trades_20180507_1330-1530Z.parquet"),), tape, contract="ES")
    signals, fills = assert_parity(tape, tmp_path, 1500)
    assert signals >= 2
    assert fills >= 2


def imported(folder: Path, contract: str, *names: str) -> np.ndarray:
    """The ticks of shared files of one contract."""
    path = folder / f"{contract}.tape"
    import_files(tuple(shared(f"market/ticks/{name}") for name in names), path, contract=contract)
    with TapeReader(path) as reader:
        return reader.ticks


def moved(ticks: np.ndarray, start_ns: int) -> np.ndarray:
    """The same ticks with their first minute at another time."""
    ticks["exch_ns"] += start_ns - int(ticks["exch_ns"][0]) // MINUTE_NS * MINUTE_NS
    return ticks
