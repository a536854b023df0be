"""`tbot journal`: what the engine was told and what it made of it, row by row; and the proof that nothing was changed.

Read also while the engine writes. `--json`: one document `tbot.journal` version 1 with `state_dir`, `files` (each
`file, version, state, last_seq, reason`; state is null unless `--verify` proved it: ok, torn, mismatch or newer),
`runs` (`seq, run_id, build, config_hash, mode, started, emergency`), `replay` (null unless asked: `run_id, inputs,
same, digest, differences`) and `rows`, oldest first: `seq, time, boot_ns, account, direction, kind, text, body`.
`--jsonl`: the rows alone, one a line, also with `--tail`. Exit code 9 when a file is not what it was, 1 when a replay
came out otherwise.
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from tbot.commands.journal_query import (
    Asked,
    check_account,
    csv_text,
    iso,
    journal_options,
    open_family,
    print_json,
    stamp,
)
from tbot.commands.options import Whole
from tbot.commands.words import show

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tbot.engine.journal_replay import ReplayResult
    from tbot.storage.journal_reader import JournalReader, Row, RunInfo, Verdict
    from tbot.storage.journal_rotation import JournalFamily

TAIL_S = 0.5
COLUMNS = ("seq", "time", "boot_ns", "account", "direction", "kind", "text")


@click.command()
@click.option("--last", type=Whole(min=1), help="How many rows; 20 unless --since asks for all.")
@click.option("--kind", help="Only rows of this class, for example Fill, Denial or StateChange.")
@click.option("--verify", is_flag=True, help="Prove the whole chain and list the runs.")
@click.option("--replay", is_flag=True, help="Replay the last run and compare what the Desk decides.")
@click.option("--tail", is_flag=True, help="Go on with every new row until Ctrl-C.")
@click.option("--jsonl", is_flag=True, help="One JSON object a row.")
@journal_options
def journal(
    last: int | None,
    kind: str | None,
    verify: bool,
    replay: bool,
    tail: bool,
    jsonl: bool,
    asked: Asked,
) -> int:
    """Show the journal of the newest run in plain words; --verify proves it, --replay decides it all again."""
    asked.one_format(jsonl=jsonl)
    if tail and (asked.json_output or asked.csv_output or verify or replay):
        raise click.UsageError("--tail goes on without end; of the other formats and checks it takes --jsonl alone")
    zone = asked.zone()
    choice = _Choice(known_kind(kind), asked.account, asked.from_ns)
    folder = asked.folder()
    with open_family(folder) as family:
        checks_only = (verify or replay) and not (last or asked.since)
        verdicts = family.verify() if verify else []
        damaged = any(verdict.state in ("mismatch", "newer") for _, verdict in verdicts)
        if not damaged:
            check_account(family, asked.account)
        rows = [] if checks_only or damaged else list(islice(choice.newest(family), asked.wanted(last)))[::-1]
        result = _replayed(family) if replay and not damaged else None
        if jsonl:
            print_lines(rows, family, zone, jsonl)
        elif asked.csv_output:
            lines = ({name: line[name] for name in COLUMNS} for line in row_documents(family, rows))
            click.echo(csv_text(COLUMNS, lines), nl=False)
        elif asked.json_output:
            print_json(_document(folder, family, rows, verdicts, damaged, result))
        else:
            show(_checks(folder, family, verdicts, damaged, result, zone))
            print_lines(rows, family, zone, jsonl)
        if tail:
            for row in follow(family.newest_file, choice, lambda: time.sleep(TAIL_S)):
                print_lines([row], family, zone, jsonl)
    return 9 if damaged else 1 if result is not None and result[1].differences else 0


class _Choice:
    """Which rows are wanted."""

    def __init__(self, kind: str | None, account: int | None, from_ns: int | None) -> None:
        self.kind = kind
        self.account = account
        self.from_ns = from_ns

    def newest(self, family: "JournalFamily") -> "Iterator[Row]":
        return family.newest(self.kind, account=self.account, since_ns=self.from_ns)

    def fits(self, row: "Row") -> bool:
        return (
            self.kind in (None, row.kind)
            and self.account in (None, row.account)
            and (self.from_ns is None or row.market_ns >= self.from_ns)
        )


def follow(reader: "JournalReader", asked: _Choice, wait: Callable[[], None]) -> "Iterator[Row]":
    """Every row that is added from now on and fits; `wait` passes the time between two looks."""
    at = reader.head[0]
    while True:
        wait()
        for row in reader.rows(at):
            at = row.seq
            if asked.fits(row):
                yield row


def known_kind(name: str | None) -> str | None:
    """The class of the schema that is meant, whatever its case; ConfigError when there is none."""
    from tbot.domain.messages import DeskInput, DeskOutput
    from tbot.errors import ConfigError

    if name is None:
        return None
    kinds: list[str] = ["RunInfo", *(kind.__name__ for kind in (*get_args(DeskInput), *get_args(DeskOutput)))]
    known = {kind.lower(): kind for kind in kinds}
    if name.lower() not in known:
        raise ConfigError(f"unknown kind {name!r}; known are {', '.join(sorted(known.values()))}")
    return known[name.lower()]


def _replayed(family: "JournalFamily") -> "tuple[RunInfo, ReplayResult]":
    from tbot.engine.journal_replay import replay_journal

    result = replay_journal(family.path)
    return family.newest_file.runs()[-1][1], result


# ---------------------------------------------------------------------------------------------------------- as data
def row_documents(family: "JournalFamily | JournalReader", rows: "list[Row]") -> "Iterator[dict[str, Any]]":
    """Rows as `--json` shows them."""
    for row in rows:
        yield {
            "seq": row.seq,
            "time": iso(row.market_ns),
            "boot_ns": row.boot_ns,
            "account": row.account,
            "direction": row.direction,
            "kind": row.kind,
            "text": row_words(family, row),
            "body": _body(row),
        }


def _body(row: "Row") -> Any:
    import orjson

    try:
        return orjson.loads(row.body)
    except orjson.JSONDecodeError:
        return None  # damaged: `text` says so


def _document(
    folder: Path,
    family: "JournalFamily",
    rows: "list[Row]",
    verdicts: "list[tuple[JournalReader, Verdict]]",
    damaged: bool,
    result: "tuple[RunInfo, ReplayResult] | None",
) -> dict[str, Any]:
    proven = {reader.path: verdict for reader, verdict in verdicts}
    files = []
    for reader in family.readers:
        verdict = proven.get(reader.path)
        bad = damaged and (verdict is None or verdict.state == "mismatch")
        files.append({
            "file": reader.path.name,
            "version": None if bad else reader.version(),
            "state": None if verdict is None else verdict.state,
            "last_seq": verdict.seq if verdict is not None else reader.head[0],
            "reason": "" if verdict is None else verdict.reason,
        })  # fmt: skip
    runs = [
        {
            "seq": seq, "run_id": info.run_id, "build": info.build, "config_hash": info.config_hash, "mode": info.mode,
            "started": iso(info.started_ns), "emergency": list(info.emergency),
        }
        for seq, info in ([] if damaged else _runs(family))
    ]  # fmt: skip
    replay = None
    if result is not None:
        info, found = result
        replay = {
            "run_id": info.run_id, "inputs": found.inputs, "same": not found.differences, "digest": found.digest,
            "differences": [difference.seq for difference in found.differences],
        }  # fmt: skip
    return {
        "schema": "tbot.journal", "version": 1, "state_dir": str(folder), "files": files, "runs": runs,
        "replay": replay, "rows": list(row_documents(family, rows)),
    }  # fmt: skip


def _runs(family: "JournalFamily") -> "list[tuple[int, RunInfo]]":
    return [run for reader in family.readers for run in reader.runs()]


# --------------------------------------------------------------------------------------------------------- in words
def row_words(family: "JournalFamily | JournalReader", row: "Row") -> str:
    """What a row says; of one that this version cannot read, that."""
    from tbot.commands.journal_words import words
    from tbot.errors import JournalError, ProtocolError
    from tbot.storage.journal_reader import run_info

    try:
        if row.direction == "start":
            info = run_info(row)
            more = f", {len(info.emergency)} notes of what could not be journaled" if info.emergency else ""
            return f"start of run {info.run_id}: {info.mode}, build {info.build}{more}"
        return words(family.decode(row))
    except (ProtocolError, JournalError) as error:
        return f"this version cannot read the row: {error}"


def print_lines(
    rows: "list[Row]", family: "JournalFamily | JournalReader", zone: "ZoneInfo", jsonl: bool = False
) -> None:
    """Rows in plain words, or with `jsonl` as data."""
    import orjson

    if jsonl:
        for document in row_documents(family, rows):
            click.echo(orjson.dumps(document).decode())
        return
    arrows = {"start": "*", "in": ">", "out": "<", "note": "="}
    for row in rows:
        account = "" if row.account is None else f"[{row.account}] "
        text = row_words(family, row)
        show([f"{row.seq:>8}  {stamp(row.market_ns, zone)}  {arrows.get(row.direction, '?')} {account}{text}"])


def _checks(
    folder: Path,
    family: "JournalFamily",
    verdicts: "list[tuple[JournalReader, Verdict]]",
    damaged: bool,
    result: "tuple[RunInfo, ReplayResult] | None",
    zone: "ZoneInfo",
) -> list[str]:
    """Head line, and what the checks found."""
    lines = [f"journal of {folder}, oldest first (> in, < out, = decided)"]
    for reader, verdict in verdicts:
        state = {"ok": "sound", "torn": "sound", "mismatch": "DAMAGED", "newer": "NEWER"}[verdict.state]
        reason = f": {verdict.reason}" if verdict.reason else ""
        lines.append(f"{reader.path.name}: {state} to row {verdict.seq}{reason}")
    if any(verdict.state == "mismatch" for _, verdict in verdicts):
        lines.append("the next start keeps a damaged journal.db aside and halts its accounts until you resume")
    if verdicts and not damaged:
        for seq, info in _runs(family):
            lines.append(f"run {info.run_id} from row {seq}, {stamp(info.started_ns, zone)}: {info.mode}, {info.build}")
    if result is not None:
        info, found = result
        same = "the same decisions" if not found.differences else f"{len(found.differences)} steps came out otherwise"
        lines.append(f"replay of run {info.run_id}: {found.inputs} inputs, {same}, digest {found.digest}")
        for difference in found.differences[:3]:
            lines.append(f"    row {difference.seq}: recorded {difference.recorded}, now {difference.replayed}")
    return lines
