"""The journal's inputs folded into a fresh Desk: the same outputs and the same state must come out (I15, ruling 2)."""

from dataclasses import dataclass, field
from pathlib import Path

from tbot.domain.messages import DeskInput, DeskOutput
from tbot.execution.desk import Desk
from tbot.execution.settings import DeskSettings


@dataclass(frozen=True)
class ReplayResult:
    """What a replay found. `differences`: (seq, recorded outputs, replayed outputs) of every step that differs."""

    inputs: int
    digest: str
    differences: list[tuple[int, list[DeskOutput], list[DeskOutput]]] = field(default_factory=list)


def fold(steps: "list[tuple[int, DeskInput, list[DeskOutput]]]", settings: DeskSettings) -> ReplayResult:
    """Fold journal steps (seq, input, recorded outputs) of one run into a new Desk."""
    desk = Desk(settings)
    differences = []
    for seq, item, recorded in steps:
        outputs = desk.handle(item)
        if outputs != recorded:
            differences.append((seq, recorded, outputs))
    return ReplayResult(len(steps), desk.digest(), differences)


def replay_journal(path: Path) -> ReplayResult:
    """Replay the last run of a journal file."""
    raise NotImplementedError(path)
