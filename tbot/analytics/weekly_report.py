"""The files of a report: made whole in memory, then put in place one by one, each by a rename.

`make_report` is what the command calls and what anybody else calls who wants a week's files, such as a sender of
messages: it returns their paths. `last.json` beside them tells of the newest attempt, also of one that failed.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from tbot.analytics.journal_records import Records, Told, newest_ns, read
from tbot.analytics.pattern_table import Days, Table, Wanted, table
from tbot.analytics.period import Period, week_at
from tbot.analytics.report import Report, build, check_period
from tbot.analytics.report_document import document
from tbot.errors import DataError, MissingExtra
from tbot.storage.journal_rotation import JournalFamily
from tbot.strategy.learning_settings import LearningSettings
from tbot.transport import wire
from tbot.validation.report_words import iso

FORMATS: Final = ("html", "pdf", "png", "json")
LAST: Final = "last.json"


@dataclass(frozen=True, slots=True)
class Made:
    """A report and its files, in the order of FORMATS."""

    report: Report
    document: dict[str, Any]
    paths: tuple[Path, ...]


def open_journal(state_dir: Path) -> JournalFamily:
    """The journal of a state folder with its full files. DataError when there is none."""
    path = state_dir / "journal.db"
    if not path.is_file():
        raise DataError(f"there is no journal in {state_dir}; name the state folder of a run with --state-dir")
    return JournalFamily(path, wire)


def read_records(state_dir: Path, period: Period | None, account: int | None = None) -> tuple[Records, Period]:
    """(what the journal tells, period); None: the ISO week of the newest trade. DataError for a week it cannot know."""
    with open_journal(state_dir) as family:
        newest = newest_ns(family)
        chosen = period or week_at(newest)
        check_period(chosen, newest)
        return read(family, chosen, account), chosen


def make_report(
    state_dir: Path,
    out: Path,
    period: Period | None = None,
    *,
    formats: Sequence[str] = FORMATS,
    account: int | None = None,
    zone: ZoneInfo,
    broker: Sequence[Told] | None = None,
    source: str = "",
    records: Records | None = None,
    version: str = "",
    learning: LearningSettings | None = None,
) -> Made:
    """Make the report of a period of the journal in `state_dir` and write its files into `out`.

    `broker` and `source` as in `report.build`; `version` of T-BOT; `learning`: how weights are
    made of outcomes, None: by the defaults. ConfigError when html, pdf or png are wanted and the
    extra `report` is not installed; DataError when there is nothing to report or the files cannot be written.
    """
    if records is None or period is None:
        records, period = read_records(state_dir, period, account)
    patterns = learned(state_dir, learning or LearningSettings(), period)
    report = build(records, period, broker=broker, source=source, patterns=patterns)
    written_ns = time.time_ns()
    whole = document(report, written_ns, version)
    contents = {name: drawn(report, whole, name, zone, written_ns) for name in FORMATS if name in formats}
    stem = f"tbot-report-{report.badge.lower()}-{period.label}" + ("" if account is None else f"-{account}")
    return Made(report, whole, tuple(place(out / f"{stem}.{name}", data) for name, data in contents.items()))


def learned(state_dir: Path, settings: LearningSettings, period: Period) -> Table | None:
    """What `patterns.db` of the state folder tells of a period; None where there is none that can be read."""
    try:
        return table(state_dir, settings, Wanted(), Days(period.first, period.last))
    except DataError:
        return None


def drawn(report: Report, whole: dict[str, Any], form: str, zone: ZoneInfo, written_ns: int) -> bytes:
    """One form of a report."""
    if form == "json":
        return orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        if form == "html":
            from tbot.analytics.report_page import page

            return page(report, zone=zone, written_ns=written_ns).encode()
        from tbot.analytics import report_print

        return report_print.png(report) if form == "png" else report_print.pdf(report, zone)
    except MissingExtra:
        raise MissingExtra(
            f"a report as {form} needs matplotlib and jinja2, which are not installed; pip install 'tbot[report]', or "
            "take --format json"
        ) from None


def place(path: Path, data: bytes) -> Path:
    """Write a file whole or not at all, for its owner only. DataError when it cannot be written."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".tbot-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); make room or name another folder") from None
    return path


def note_last(folder: Path, label: str, paths: Sequence[Path], failure: str = "", net_usd: float | None = None) -> None:
    """Leave word of the newest attempt at a report in `folder`."""
    told = {
        "schema": "tbot.report.last",
        "version": 1,
        "label": label,
        "at": iso(time.time_ns()),
        "paths": [str(path) for path in paths],
        "failure": failure,
        "net_usd": net_usd,
    }
    place(folder / LAST, orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
