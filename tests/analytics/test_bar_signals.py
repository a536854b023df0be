"""Signals over a file of bars: the same as of a tape made of that file, from the very bars, with ends told by hand."""

from pathlib import Path

import numpy as np
import pytest

from bar_samples import MINUTE, csv_text, walk
from tbot.analytics.bar_signals import _ended, bar_records, bar_signals
from tbot.analytics.bar_tables import BadBars
from tbot.backtest.run import run_backtest
from tbot.commands.past import plan_of
from tbot.config import Config
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Quote, Signal
from tbot.storage.importers import import_files
from tbot.storage.sources import open_sources
from tbot.strategy.settings import StrategySettings
from tbot_ext.pipeline import ContractPipeline

MNQ = PRODUCTS["MNQ"]
ANY_SCORE = StrategySettings(min_score=0.0)


def test_the_records_make_the_bars_they_were_made_of() -> None:
    bars = walk(5000, seed=4, pause_at=3000)
    pipeline = ContractPipeline(MNQ.contract_id, StrategySettings().detectors(MNQ))
    seen: dict[int, np.void] = {}
    for records in bar_records(bars, MNQ):
        at = 0
        while at < len(records) or pipeline.pending:
            at = pipeline.feed(records, at)
            for bar in pipeline.bars(1, 10):
                seen[int(bar["start_ns"])] = bar.copy()
    pipeline.close()
    assert sorted(seen) == bars["start_ns"].tolist()
    for name in ("open", "high", "low", "close", "volume"):
        assert [int(seen[start][name]) for start in sorted(seen)] == bars[name].tolist(), name


def test_the_same_signals_as_of_a_tape_made_of_the_file(tmp_path: Path) -> None:
    """What `tbot import` and the backtest make of it, with the trader's whole story."""
    bars = walk(5000, seed=4, pause_at=3000)
    path, tape = tmp_path / "MNQ_1m.csv", tmp_path / "MNQ.tape"
    path.write_text(csv_text(bars))
    import_files([path], tape)
    with open_sources([tape]) as source:
        expected = run_backtest(source, plan_of(Config(strategy=ANY_SCORE))).signals
    found = [trade.signal for trade in bar_signals(bars, MNQ, ANY_SCORE)]
    assert len(found) > 10

    def story(signal: Signal) -> tuple[object, ...]:
        return (signal.decided_ns, signal.side, signal.quote.bid, signal.quote.ask, signal.stop, signal.target,
                signal.score, signal.reason, signal.event_ids, signal.why)  # fmt: skip

    assert list(map(story, found)) == list(map(story, expected))


def signal_at(decided_ns: int, side: int, stop: int, target: int) -> Signal:
    quote = Quote(100, 101, decided_ns, 1)
    return Signal("x", "MNQ", side, quote, stop, target, 70.0, "", 1, 5, {}, (), "", decided_ns, 1)


ENDS = [
    ([(95, 105), (96, 110)], ("target", 2)),  # exactly there is reached
    ([(91, 109), (90, 105), (90, 110)], ("stop", 2)),
    ([(95, 105), (90, 110)], ("stop", 2)),  # both on one bar
    ([(91, 109)], ("open", None)),
    ([], ("open", None)),
]


@pytest.mark.parametrize(("later", "expected"), ENDS)
@pytest.mark.parametrize("side", [1, -1])
def test_ends_by_hand(later: list[tuple[int, int]], expected: tuple[str, int | None], side: int) -> None:
    bars = walk(1 + len(later))
    bars["low"][0], bars["high"][0] = -1000, 1000  # before the decision: counts for nothing
    for bar, (low, high) in zip(bars[1:], later, strict=True):
        bar["low"], bar["high"] = (low, high) if side > 0 else (-high, -low)
    begin = int(bars["start_ns"][0])
    trade = _ended(bars, signal_at(begin + MINUTE, side, 90 * side, 110 * side))
    number = None if trade.end_ns is None else (trade.end_ns - begin) // MINUTE - 1
    assert (trade.end, number) == expected


def test_a_volume_that_no_print_can_hold_is_refused() -> None:
    """It would wrap around to a negative size, and the bar would be missing without a word."""
    bars = walk(30)
    bars["volume"][20] = 2**31 - 1
    assert bar_signals(bars, MNQ, ANY_SCORE) == []
    bars["volume"][20] = 2**31
    with pytest.raises(BadBars, match=r"bar 21 \(2026-01-20T16:20:00Z\) has a volume of 2147483648"):
        bar_signals(bars, MNQ, ANY_SCORE)


def test_no_bars_no_signals() -> None:
    assert bar_signals(walk(0), MNQ, ANY_SCORE) == []
