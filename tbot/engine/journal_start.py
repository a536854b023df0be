"""What a start makes of the journal that is there: the state of earlier runs, or the proof that it is lost.

A lost journal ends in HALTED (RC_JOURNAL_LOST), which only a person lifts. Why not go on with what the broker tells:
its trades give the day's result and the losses in a row again, and a kill has a file of its own, but a pause, a halt
and the profit locks are nowhere but in the journal, and I14 wants those to survive its loss. What is proven of the lost
one is carried over all the same, so the locks that can be read bind even after that person resumed.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tbot.engine.desk_record import DeskRecord
from tbot.errors import DataError, JournalError, ProtocolError
from tbot.execution.carry import CarryFold
from tbot.execution.settings import Carried
from tbot.storage.journal import Journal
from tbot.storage.journal_reader import RunInfo, Step
from tbot.storage.journal_salvage import Lost, first_run, put_aside_if_lost, sound_steps
from tbot.transport import wire

LOST_CODE = "RC_JOURNAL_LOST"


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier runs left behind."""

    fold: CarryFold
    lost: Lost | None = None

    @property
    def emergency(self) -> tuple[str, ...]:
        """Notes of a lost journal, for the first row of the new one."""
        return () if self.lost is None else self.lost.emergency

    def absent(self, present: Iterable[int]) -> tuple[tuple[int, Carried], ...]:
        """Of accounts that earlier runs traded and this one does not: a halt must be there when they come back."""
        return tuple((account, self.carried(account)) for account in self.fold.accounts if account not in set(present))

    def carried(self, account: int) -> Carried:
        """Locks, halts and own placements of one account."""
        told = self.fold.carried(account)
        if self.lost is None:
            return told
        where = "nothing is left of it" if self.lost.kept is None else f"it is kept as {self.lost.kept.name}"
        text = (
            f"the journal is lost: {self.lost.reason} ({where}); a lock or halt may have been in it, so look at the "
            f"account, then resume"
        )
        return replace(told, reasons=(*told.reasons, (LOST_CODE, text)))


def read_past(path: Path, *, begun: bool = False) -> Past:
    """The past as the journal tells it; puts a damaged one aside (F-SYS-03). JournalError: it is out of reach now.

    `begun`: an earlier executor of this run had opened it, so an empty folder is a loss and not a first start.
    """
    lost = put_aside_if_lost(path, wire, begun=begun)
    fold = CarryFold()
    source = path if lost is None else lost.kept
    if source is None or not source.exists():
        return Past(fold, lost)
    _begin(fold, first_run(source, wire))
    if lost is not None:
        _take(fold, sound_steps(source, wire))
        return Past(fold, lost)
    try:
        with Journal.open_readonly(source, wire) as reader:
            _take(fold, reader.steps())
    except ProtocolError as error:
        raise JournalError(
            f"the journal {path} holds a row that this version cannot read ({error}), and a lock may be in it; run the "
            f"version that wrote it, or move the file away and look at the account yourself"
        ) from None
    return Past(fold, lost)


def _take(fold: CarryFold, steps: Iterable[Step]) -> None:
    for step in steps:
        fold.add(step.item, list(step.outputs))


def _begin(fold: CarryFold, first: RunInfo | None) -> None:
    """With what the first run of the file was told: a file behind a full one, or behind a lost one."""
    if first is None or not first.desk:
        return
    # A record of another version told its Desk other things: the rows themselves must do then.
    with contextlib.suppress(DataError):
        record = DeskRecord.decode(first.desk)
        for held in record.accounts:
            fold.begin(held.account, held.carried)
        for account, told in record.absent:
            fold.begin(account, told)
