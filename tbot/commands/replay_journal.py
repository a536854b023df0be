"""`tbot replay --journal`: what the engine decided, and the proof that it would decide so again.

The inputs of one run go through fresh Desks; what they answer is compared with what was recorded, and what they
remember with each other, step by step (I15). Where the run's status file tells the engine's own digest of a row, that
is compared as well. `--json`: one document `tbot.replay_journal` version 1 with `file, state` (ok, torn, no_head,
mismatch or newer), `reason, run` (`run_id, build, mode, started`), `inputs, same, digest, status_digest` (null: none
to compare; else whether it agrees), `differences, first_difference` (null, or `seq, time, input, recorded, replayed`)
and `rows` as in `tbot journal --json`. Exit code 0 when all is the same, 1 at a difference, 9 when the file is not
what it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from tbot.errors import DataError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tbot.engine.journal_replay import Checked
    from tbot.storage.journal_reader import JournalReader, Row, RunInfo, Verdict

NEWEST = "newest"
MODES = ("live", "paper", "sim")
# What a person wants to see of a run; `--kind` shows any other.
DECISIONS = (
    "RunInfo", "SignalIn", "Intent", "Denial", "PlaceBracket", "PlaceStop", "PlaceTarget", "PlaceExit", "ModifyStop",
    "CancelOrder", "CloseContract", "Fill", "StateChange", "RoundTrip", "OperatorIn",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which run, and which of its rows."""

    where: str
    run: int | None
    kind: str | None
    account: int | None
    since_ns: int | None
    last: int | None

    def fits(self, row: "Row") -> bool:
        shown = row.kind in DECISIONS if self.kind is None else row.kind == self.kind
        return (
            shown
            and self.account in (None, row.account)
            and (self.since_ns is None or row.market_ns >= self.since_ns)
        )


@dataclass
class _Found:
    """What a replay of a run came to."""

    reader: "JournalReader"
    info: "RunInfo"
    verdict: "Verdict"
    state: str
    inputs: int = 0
    digest: str = ""
    status_digest: bool | None = None
    differences: int = 0
    first: "Checked | None" = None
    rows: list["Row"] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        if self.state in ("mismatch", "newer"):
            return 9
        return 1 if self.differences or self.status_digest is False else 0


def replay_the_journal(wanted: Wanted, *, json_output: bool, zone: "ZoneInfo") -> int:
    """Show and prove one run; returns the exit code."""
    from tbot.storage.journal_reader import JournalReader
    from tbot.storage.journal_rotation import JournalFamily
    from tbot.transport import wire

    path = journal_file(wanted.where)
    if path.name == "journal.db":
        with JournalFamily(path, wire) as family:
            found = _replay(family.readers, wanted)
            _tell(found, wanted, json_output=json_output, zone=zone)
    else:
        with JournalReader(path, wire) as reader:
            found = _replay([reader], wanted)
            _tell(found, wanted, json_output=json_output, zone=zone)
    return found.exit_code


def journal_file(where: str) -> Path:
    """`live`, `paper` or `sim` (in TBOT_HOME), `newest`, a state folder, or a file. DataError when there is none."""
    from tbot.commands.journal_query import newest_state
    from tbot.config import home

    if where == NEWEST:
        folder = newest_state()
    elif where in MODES:
        folder = home() / where
    else:
        folder = Path(where)
    path = folder / "journal.db" if folder.is_dir() or not folder.exists() else folder
    if not path.exists():
        raise DataError(
            f"there is no journal in {folder}; name a journal file, the state folder of a run, or one of "
            f"{', '.join((*MODES, NEWEST))}"
        )
    return path


def _choose(readers: "list[JournalReader]", run_id: int | None) -> "tuple[JournalReader, int, RunInfo, int | None]":
    """The file, start row, writer and end row of the newest run, or of the run with this id."""
    for reader in reversed(readers):
        runs = reader.runs()
        for number in range(len(runs) - 1, -1, -1):
            seq, info = runs[number]
            if run_id in (None, info.run_id):
                return reader, seq, info, runs[number + 1][0] if number + 1 < len(runs) else None
    what = "no run" if run_id is None else f"no run {run_id}"
    raise DataError(f"the journal {readers[-1].path} holds {what}; `tbot journal --verify` lists the runs")


def _replay(readers: "list[JournalReader]", wanted: Wanted) -> _Found:
    from tbot.commands.journal_query import check_account
    from tbot.engine.journal_replay import check_run

    reader, start, info, until = _choose(readers, wanted.run)
    verdict = reader.verify()
    found = _Found(reader, info, verdict, _state(reader, verdict))
    if found.state == "newer":
        return found
    if found.state != "mismatch":
        check_account(reader, wanted.account)
    told = _status_digest(reader.path.parent)
    for checked in check_run(reader, start, info, until, None if told is None else told[0]):
        found.inputs += 1
        found.digest = checked.digest or found.digest
        if told is not None and told[0] == checked.step.seq + len(checked.step.outputs):
            found.status_digest = told[1] == checked.digest
        if not checked.same:
            found.differences += 1
            found.first = found.first or checked
    found.rows = list(_rows(reader, start, until, wanted))
    return found


def _state(reader: "JournalReader", verdict: "Verdict") -> str:
    """A copy without its head file is sound as far as it goes; only its end is not proven."""
    from tbot.storage.journal_files import head_path

    if verdict.state == "mismatch" and not head_path(reader.path).exists() and verdict.seq == reader.head[0]:
        return "no_head"
    return verdict.state


def _status_digest(folder: Path) -> tuple[int, str] | None:
    """(row, digest) that the engine itself reported last; None without a status file that tells it."""
    try:
        told = orjson.loads((folder / "status.json").read_bytes())["journal"]
        return int(told["seq"]), str(told["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _rows(reader: "JournalReader", start: int, until: int | None, wanted: Wanted) -> "Iterator[Row]":
    from collections import deque
    from itertools import takewhile

    rows = takewhile(lambda row: until is None or row.seq < until, reader.rows(start - 1))
    yield from deque((row for row in rows if wanted.fits(row)), maxlen=wanted.last)


# -------------------------------------------------------------------------------------------------------------- told
def _tell(found: _Found, wanted: Wanted, *, json_output: bool, zone: "ZoneInfo") -> None:
    from tbot.commands.journal import print_lines, row_documents
    from tbot.commands.journal_query import iso, print_json, stamp

    info = found.info
    if json_output:
        print_json({
            "schema": "tbot.replay_journal", "version": 1, "file": str(found.reader.path), "state": found.state,
            "reason": found.verdict.reason,
            "run": {"run_id": info.run_id, "build": info.build, "mode": info.mode, "started": iso(info.started_ns)},
            "inputs": found.inputs, "same": found.exit_code == 0, "digest": found.digest,
            "status_digest": found.status_digest, "differences": found.differences,
            "first_difference": None if found.first is None else _difference(found.first),
            "rows": list(row_documents(found.reader, found.rows)),
        })  # fmt: skip
        return
    click.echo(f"run {info.run_id} of {found.reader.path}, {stamp(info.started_ns, zone)}: {info.mode}, {info.build}")
    print_lines(found.rows, found.reader, zone)
    for line in _verdict(found):
        click.echo(line)


def _difference(checked: "Checked") -> dict[str, Any]:
    from tbot.commands.journal_query import iso
    from tbot.commands.journal_words import words

    return {
        "seq": checked.step.seq,
        "time": iso(checked.step.item.now_ns),
        "input": words(checked.step.item),
        "recorded": [words(output) for output in checked.step.outputs],
        "replayed": [words(output) for output in checked.outputs],
    }


def _verdict(found: _Found) -> list[str]:
    lines = {
        "ok": [],
        "torn": [],
        "no_head": ["the head file is missing: every row is sound, but whether rows are missing at the end is open"],
        "mismatch": [f"DAMAGED: {found.verdict.reason}"],
        "newer": [f"NEWER: {found.verdict.reason}; replay it with the version that wrote it"],
    }[found.state].copy()
    if found.state == "newer":
        return lines
    if found.first is not None:
        first = _difference(found.first)
        lines.append(f"first difference at row {first['seq']}, {first['time']}: {first['input']}")
        lines += [f"    recorded: {text}" for text in first["recorded"] or ["nothing"]]
        lines += [f"    now:      {text}" for text in first["replayed"] or ["nothing"]]
        if found.first.outputs == found.first.step.outputs:
            lines.append("    what two Desks remember behind it differs: something else than the journal decides")
    if found.status_digest is False:
        lines.append("the state is another one than the engine reported in its status file")
    agrees = ", as the engine reported itself" if found.status_digest else ""
    steps = f"{found.inputs} inputs replayed, digest {found.digest}{agrees}"
    same = "the same decisions at every step"
    if found.differences:
        same = f"{found.differences} steps came out otherwise"
    return [*lines, f"{steps}: {same}"]
