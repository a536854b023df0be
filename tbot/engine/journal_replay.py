"""The journal's inputs folded into a fresh Desk: the same outputs and the same state must come out (I15, ruling 2)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from tbot.domain.messages import DeskOutput, TimerIn
from tbot.engine.desk_record import DeskRecord
from tbot.errors import DataError, ProtocolError
from tbot.execution.desk import Desk
from tbot.storage.journal import Journal
from tbot.storage.journal_reader import JournalReader, RunInfo, Step, grouped
from tbot.transport import wire

DIGEST_EVERY = 64  # steps


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


@dataclass(frozen=True)
class Checked:
    """One step decided again: by two fresh Desks, so that what they remember can be compared, too."""

    step: Step
    outputs: tuple[DeskOutput, ...]
    digest: str  # of the Desk behind the step, "" where it was not taken
    steady: bool  # the second Desk is the same: the fold has no other input than the journal

    @property
    def same(self) -> bool:
        """It decided as recorded, and nothing but the journal's inputs decided it."""
        return self.steady and self.outputs == self.step.outputs


def check_run(
    reader: JournalReader, start: int, info: RunInfo, until: int | None = None, digest_at: int | None = None
) -> Iterator[Checked]:
    """Decide a run again, step by step: the rows behind `start`, before row `until` (None: to the file's end).

    Answers are compared at every step. The digest, which costs far more than a timer, is left out at timers that
    changed nothing to see, except every 64th, the last, and that which ends with row `digest_at`: what two Desks hold
    differently stays different until the next look. DataError for a row that this version cannot read or a Desk cannot
    take.
    """
    settings = DeskRecord.decode(info.desk).settings()
    desk, twin = Desk(settings), Desk(DeskRecord.decode(info.desk).settings())
    rows = takewhile(lambda row: until is None or row.seq < until, reader.rows(start))
    last = start
    try:
        steps = grouped(rows, reader.decode)
        step, number = next(steps, None), 0
        while step is not None:
            last, number = step.seq, number + 1
            outputs, again = tuple(desk.handle(step.item)), tuple(twin.handle(step.item))
            following = next(steps, None)
            plain = isinstance(step.item, TimerIn) and not outputs and number % DIGEST_EVERY and following is not None
            if plain and step.seq + len(step.outputs) != digest_at:
                yield Checked(step, outputs, "", outputs == again)
            else:
                digest = desk.digest()
                yield Checked(step, outputs, digest, outputs == again and digest == twin.digest())
            step = following
    except (ProtocolError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise DataError(f"the journal {reader.path} cannot be replayed behind row {last}: {error!r}") from error


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
