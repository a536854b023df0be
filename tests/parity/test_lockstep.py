"""One tape through direct calls of the two deciders and through the processes in lock-step: identical decisions."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from engine_runs import open_journal, running
from shared_data import shared
from tape_cuts import gold_as_two_contracts
from tbot.backtest.run_tape import run_tape
from tbot.config import load
from tbot.domain.messages import DeskOutput, SignalIn

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


def decisions(rows: Iterable[tuple[Any, list[DeskOutput]]]) -> tuple[list[Any], list[Any]]:
    """(signals, outputs) of a run, in order."""
    signals, outputs = [], []
    for item, results in rows:
        if isinstance(item, SignalIn):
            signals.append(essence(item))
        outputs += [essence(result) for result in results]
    return signals, outputs


@pytest.mark.shared_data
@pytest.mark.timeout(600)
def test_direct_calls_equal_processes_in_lockstep(tmp_path: Path) -> None:
    """A day of real gold trades as two contracts: every exchange instant is a tie between them."""
    tape = tmp_path / "gold.tape"
    gold_as_two_contracts(shared("market/ticks/GCZ3_trades_20131008.parquet"), tape, HOURS)
    config_path = tmp_path / "lively.toml"
    config_path.write_text(LIVELY)

    config = load(config_path)
    direct = run_tape(tape, config.strategy, config.risk)
    out = tmp_path / "out"
    arguments = ("replay", str(tape), "--config", str(config_path), "--out", str(out), "--json")
    with running(tmp_path / "home", *arguments) as engine:
        code, _ = engine.finish(400)
        assert code == 0, engine.stderr
    with open_journal(out / "journal.db") as journal:
        replayed = [(step.item, list(step.outputs)) for step in journal.steps()]

    direct_signals, direct_outputs = decisions(direct.record.rows)
    signals, outputs = decisions(replayed)
    assert len(direct_signals) >= 10, "the tape gives too few signals to prove anything"
    assert any(output[0] == "PlaceBracket" for output in direct_outputs)
    assert signals == direct_signals
    # The replay ends with a stop request that the direct run does not have.
    assert outputs[: len(direct_outputs)] == direct_outputs
