"""One tape through the backtest's loop and through the real processes in lock-step, compared decision by decision."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine_runs import open_journal, running
from lively_tape import LIVELY_DETECTOR
from tbot.backtest.context_source import ContextSource
from tbot.backtest.record import RunRecord
from tbot.backtest.run import run_backtest
from tbot.commands.past import plan_of
from tbot.config import load
from tbot.context.news_sources import past_calendar
from tbot.domain.messages import DeskOutput, Fill, SignalIn, TimerIn
from tbot.engine.journal_replay import replay_journal
from tbot.storage.sources import open_sources

# A strategy that decides often: parity wants many decisions, not good ones.
LIVELY = f"""
[strategy]
min_score = 0.0
max_tests = 3
{LIVELY_DETECTOR}
[risk]
risk_per_trade_cents = 80000
"""

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


def assert_parity(
    tape: Path, folder: Path, patience_s: float, more: str = "", news: Path | None = None
) -> tuple[int, int]:
    """The backtest's loop and the processes decide alike on a tape; (signals, fills). `more`: settings, as TOML;
    `news`: a file of scheduled news.
    """
    config_path = folder / "lively.toml"
    config_path.write_text(LIVELY + more)
    config = load(config_path)
    direct = RunRecord(keep_rows=True)
    files = () if news is None else ("--news", str(news))
    with open_sources([tape]) as source:
        facts = ContextSource(source, config.dxy, config.news, past_calendar(files[1:], folder))
        run_backtest(facts, plan_of(config), record=direct)
    out = folder / "out"
    arguments = ("replay", str(tape), "--config", str(config_path), "--out", str(out), *files, "--json")
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
