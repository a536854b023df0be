"""What the commands that read the journal share: whose, since when, and how a table leaves the program."""

import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.account_choice import one_account, unknown
from tbot.commands.options import Filled, StateFolder

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tbot.storage.journal_reader import JournalReader, Row
    from tbot.storage.journal_rotation import JournalFamily

_OPTIONS = (
    click.option(
        "--since",
        metavar="TIME",
        type=Filled(),
        help="Not before this market time, ISO 8601 (UTC when it names no offset).",
    ),
    one_account,
    click.option("--state-dir", type=StateFolder(), help="Of another run."),
    click.option("--tz", default="Europe/Helsinki", show_default=True, help="Time zone of the screen."),
    click.option("--json", "json_output", is_flag=True, help="One JSON document."),
    click.option("--csv", "csv_output", is_flag=True, help="A table as CSV."),
    click.option("--debug", is_flag=True, help="Show tracebacks."),
)
DEFAULT_LAST = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What `journal`, `trades` and `signals` are all asked: whose, since when, and in which form."""

    since: str | None
    account: int | None
    state_dir: Path | None
    tz: str
    json_output: bool
    csv_output: bool

    @property
    def from_ns(self) -> int | None:
        """`--since` as UTC ns."""
        from tbot.commands.options import parse_time_ns

        return None if self.since is None else parse_time_ns(self.since)

    def zone(self) -> "ZoneInfo":
        """`--tz`."""
        from tbot.commands.options import parse_zone

        return parse_zone(self.tz)

    def folder(self) -> Path:
        """The state folder that was named, or that of the newest run."""
        return self.state_dir or newest_state()

    def wanted(self, last: int | None) -> int | None:
        """How many rows, None: all of them."""
        return last or (DEFAULT_LAST if self.since is None else None)

    def one_format(self, **others: bool) -> None:
        """UsageError when more than one of --json, --csv and `others` is there."""
        chosen = {"json": self.json_output, "csv": self.csv_output, **others}
        names = [f"--{name}" for name, there in chosen.items() if there]
        if len(names) > 1:
            raise click.UsageError(f"{' and '.join(names)} exclude each other; choose one")


def journal_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options that `journal`, `trades` and `signals` have in common; the command takes them as `asked`."""

    @wraps(command)
    def gathered(*, debug: bool, **given: Any) -> int:
        common = {name: given.pop(name) for name in Asked.__slots__}
        return command(asked=Asked(**common), **given)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered


def newest_state() -> Path:
    """Where the newest run keeps its state; demo and replay use folders of their own."""
    from tbot.commands.status import newest_status

    return newest_status().parent


def open_family(folder: Path) -> "JournalFamily":
    """The journal of a state folder with its full files. DataError when there is none."""
    from tbot.errors import DataError
    from tbot.storage.journal_rotation import JournalFamily
    from tbot.transport import wire

    path = folder / "journal.db"
    if not path.exists():
        raise DataError(f"there is no journal in {folder}; name the state folder of a run with --state-dir")
    return JournalFamily(path, wire)


def check_account(journal: "JournalFamily | JournalReader", account: int | None) -> None:
    """UsageError with the known accounts when the journal has nothing of this one and no run of it traded it."""
    if account is None or any(True for _ in journal.newest(account=account)):
        return
    known = traded(journal.newest("RunInfo"))
    if not known:  # starts of an early version do not tell: then the rows do
        known = dict.fromkeys(sorted({row.account or 0 for row in journal.newest()} - {0}), "")
    if account not in known:
        raise unknown(account, "is not in this journal, whose runs traded", known)


def traded(starts: "Iterable[Row]") -> dict[int, str]:
    """Number and name of every account that the runs which began in these rows traded; newest name first.

    Forgiving: a start row that cannot be read is proven elsewhere, and knows no account here.
    """
    import orjson

    found: dict[int, str] = {}
    for row in starts:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            for account in orjson.loads(orjson.loads(row.body)["desk"])["accounts"]:
                found.setdefault(int(account["account"]), str(account.get("name", "")))
    return dict(sorted(found.items()))


def iso(ns: int) -> str:
    """UTC to the millisecond where there is a part of a second, else to the second."""
    seconds, rest = divmod(ns, 1_000_000_000)
    part = f".{rest // 1_000_000:03d}" if rest >= 1_000_000 else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{part}Z"


def stamp(ns: int, zone: "ZoneInfo") -> str:
    """2026-11-20 16:33:00 EET (08:33 CST)."""
    from tbot.domain.trading_hours import CHICAGO

    when = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    return f"{when.astimezone(zone):%Y-%m-%d %H:%M:%S %Z} ({when.astimezone(CHICAGO):%H:%M %Z})"


def csv_text(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A header and one line a row; None is an empty field."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def print_json(document: dict[str, Any]) -> None:
    """One document on stdout."""
    import orjson

    click.echo(orjson.dumps(document).decode())
