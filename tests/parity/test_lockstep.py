"""One tape through direct calls of the two deciders and through the processes in lock-step: identical decisions."""

from pathlib import Path

import numpy as np
import pytest

from lockstep_parity import assert_parity
from shared_data import shared
from tape_cuts import MINUTE_NS, gold_as_two_contracts
from tbot.domain.contracts import PRODUCTS
from tbot.storage.importers import import_files
from tbot.storage.tape import TapeReader, TapeWriter, merge_order, tape_meta

HOURS = 16


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
