"""The journal's inputs folded into a fresh Desk: the same outputs and the same state must come out (I15, ruling 2)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tbot.domain.messages import DeskOutput
from tbot.engine.desk_record import DeskRecord
from tbot.errors import DataError
from tbot.execution.desk import Desk
from tbot.storage.journal import Journal
from tbot.storage.journal_reader import Step
from tbot.transport import wire


@dataclass(frozen=True)
class Difference:
    """A step whose replay gave something else than was recorded."""

    seq: int
    recorded: tuple[DeskOutput, ...]
    replayed: tuple[DeskOutput, ...]


@dataclass
class ReplayResult:
    """What a replay found; `digest` is that of the Desk after the last input."""

    inputs: int = 0
    digest: str = ""
    differences: list[Difference] = field(default_factory=list)


def replay_steps(desk: Desk, steps: Iterable[Step]) -> Iterator[tuple[Step, tuple[DeskOutput, ...]]]:
    """Each step with what `desk` answers to its input now; between two of them the Desk may be looked at."""
    for step in steps:
        yield step, tuple(desk.handle(step.item))


def replay_journal(path: Path) -> ReplayResult:
    """Replay the last run of a journal. DataError when there is none; JournalError when it cannot be read."""
    with Journal.open_readonly(path, wire) as journal:
        runs = journal.runs()
        if not runs:
            raise DataError(f"the journal {path} holds no run")
        start, info = runs[-1]
        desk = Desk(DeskRecord.decode(info.desk).settings())
        result = ReplayResult()
        for step, outputs in replay_steps(desk, journal.steps(after=start)):
            result.inputs += 1
            if outputs != step.outputs:
                result.differences.append(Difference(step.seq, step.outputs, outputs))
        result.digest = desk.digest()
        return result
