"""Learned weights: the backtest and the processes, with a recorder between them, decide alike."""

from pathlib import Path

import pytest

from lively_tape import lively
from lockstep_parity import LIVELY, assert_parity
from tbot.backtest.run import run_backtest
from tbot.commands.past import plan_of
from tbot.config import load
from tbot.domain.contracts import PRODUCTS
from tbot.storage.pattern_store import FILE_NAME, PatternReader
from tbot.storage.sources import open_sources
from tbot.storage.tape import TapeWriter, tape_meta

SYMBOLS = ("MNQ", "MES")
LEARNING = """
[learning]
mode = "on"
prior_outcomes = 5.0
most = 0.5
"""


@pytest.mark.timeout(600)
def test_weights_of_a_day_are_the_same_in_backtest_and_replay(tmp_path: Path) -> None:
    """Two contracts over a change of trading day: what one did on the first day moves the other on the second."""
    tape = tmp_path / "lively.tape"
    with TapeWriter(tape, tape_meta([PRODUCTS[symbol] for symbol in SYMBOLS], "test")) as writer:
        writer.write(lively(SYMBOLS, minutes=840, opened=False))
    signals, _ = assert_parity(tape, tmp_path, 400, LEARNING)
    assert signals > 50
    config_path = tmp_path / "config.toml"
    config_path.write_text(LIVELY + LEARNING)
    with open_sources([tape]) as source:
        result = run_backtest(source, plan_of(load(config_path)))
    moved = [signal for signal in result.signals if signal.learned is not None and signal.learned.weight != 1.0]
    assert len(moved) > 10, "no weight moved a score: the comparison proves nothing"
    names = {signal.learned.version for signal in moved if signal.learned is not None}
    with PatternReader(tmp_path / "out" / FILE_NAME) as store:
        assert names == {version.name for version in store.versions(9)}
        kept = sum(len(rows) for _, rows in store.outcomes())
    assert kept >= len(result.outcomes) > 100
