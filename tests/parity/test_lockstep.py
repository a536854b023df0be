"""One tape through direct calls of the two deciders and through the processes in lock-step: identical decisions."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from engine_runs import open_journal, running
from shared_data import shared
from tape_cuts import cut_minutes

from tbot.backtest.run_tape import run_tape
from tbot.config import load
from tbot.domain.messages import DeskOutput, SignalIn
from tbot.storage.importers import import_files

# Scores as low as they come: without days of history few setups reach the default, and parity wants many decisions.
LOOSE = "[strategy]\nmin_score = 0.0\n"

TAPES = {
    "ES": ("market/ticks/ESM8_trades_20180507_1330-1530Z.parquet", 60),
    "NQ": ("market/ticks/NQM5_trades_20250504_2200-2300Z.parquet", 60),
}

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
@pytest.mark.parametrize("symbol", sorted(TAPES))
def test_direct_calls_equal_processes_in_lockstep(tmp_path: Path, symbol: str) -> None:
    source, minutes = TAPES[symbol]
    whole, tape = tmp_path / "whole.tape", tmp_path / "cut.tape"
    import_files((shared(source),), whole)
    cut_minutes(whole, tape, minutes)
    config_path = tmp_path / "loose.toml"
    config_path.write_text(LOOSE)

    direct = run_tape(tape, load(config_path).strategy, load(config_path).risk)
    out = tmp_path / "out"
    arguments = ("replay", str(tape), "--config", str(config_path), "--out", str(out), "--json")
    with running(tmp_path / "home", *arguments) as engine:
        code, _ = engine.finish(240)
        assert code == 0, engine.stderr
    with open_journal(out / "journal.db") as journal:
        replayed = [(item, journal.outputs_of(seq)) for seq, item in journal.inputs()]

    direct_signals, direct_outputs = decisions(direct.record.rows)
    signals, outputs = decisions(replayed)
    assert len(direct_signals) >= 3, "the tape gives too few signals to prove anything"
    assert signals == direct_signals
    # The replay ends with a stop request that the direct run does not have.
    assert outputs[: len(direct_outputs)] == direct_outputs
