"""`tbot report`: a week of trading as a page, a PDF, a picture and a document; and the same figures on the terminal.

Read from the journal, also while the engine runs. `--json`: the document `tbot.report` version 1 (docs/report.md) on
stdout; files are then only written when --format or --out ask for them.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tbot.commands.account_choice import one_account
from tbot.commands.gateway import config_option, credentials_option
from tbot.commands.options import Filled, StateFolder
from tbot.commands.words import show

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tbot.analytics.journal_records import Records, Told
    from tbot.analytics.period import Period
    from tbot.analytics.weekly_report import Made
    from tbot.strategy.learning_settings import LearningSettings

FORMATS = ("html", "pdf", "png", "json")
NO_PAGES = "only JSON was made: html, pdf and png need pip install 'tbot[report]'"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    state_dir: Path
    period: "Period | None"
    formats: tuple[str, ...]
    out: Path
    account: int | None
    zone: "ZoneInfo"
    learning: "LearningSettings"


@click.command()
@click.option("--week", metavar="WEEK", help="ISO week, as 2026-W47.  [default: that of the newest trade]")
@click.option("--from", "first", metavar="DAY", help="First trading day, as 2026-11-16, instead of a week.")
@click.option("--to", "last", metavar="DAY", help="Last trading day.  [default: the journal's last]")
@one_account
@click.option(
    "--format", "formats", default=None, metavar="LIST", help="html,pdf,png,json or all.  [default: html,pdf,png,json]"
)
@click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder.  [default: STATE/reports]")
@click.option("--state-dir", type=StateFolder(), help="Of another run.")
@click.option(
    "--gateway", metavar="URL", type=Filled(),
    help="Compare with the trades that this gateway lists, not the journal's.",
)  # fmt: skip
@config_option
@credentials_option
@click.option("--tz", default="Europe/Helsinki", show_default=True, help="Time zone of the report.")
@click.option("--json", "json_output", is_flag=True, help="The document on stdout.")
@click.option("--background", is_flag=True, hidden=True, help="By the engine: low priority, and word of how it went.")
@click.option("--learning", hidden=True, help="By the engine: how it makes weights of outcomes, as JSON.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def report(
    week: str | None,
    first: str | None,
    last: str | None,
    account: int | None,
    formats: str | None,
    out: Path | None,
    state_dir: Path | None,
    gateway: str | None,
    config_path: Path | None,
    credentials_file: Path | None,
    tz: str,
    json_output: bool,
    background: bool,
    learning: str | None,
    debug: bool,
) -> int:
    """Make the report of a week (or of days of yours) from the journal of the newest run."""
    from tbot.analytics.period import parse_week
    from tbot.analytics.weekly_report import open_journal
    from tbot.commands.journal_query import check_account, newest_state
    from tbot.commands.options import parse_zone

    if week and (first or last):
        raise click.UsageError("--week and --from/--to exclude each other; choose one")
    period = parse_week(week) if week else None
    chosen = _formats(formats) if formats is not None or not json_output or out else ()
    note = ""
    if formats is None and chosen and lacking():
        chosen, note = ("json",), NO_PAGES
    zone = parse_zone(tz)
    folder = state_dir or newest_state()
    if account is not None:
        with open_journal(folder) as family:
            check_account(family, account)
    if first or last:
        period = _days(folder, first, last)
    rule = _learning(learning, config_path)
    wanted = Wanted(folder, period, chosen, out or folder / "reports", account, zone, rule)
    if background:
        return _in_background(wanted)
    login = _asked(gateway, config_path, credentials_file)
    made = _make(wanted, login)
    assert made is not None
    if json_output:
        import orjson

        click.echo(orjson.dumps(made.document).decode())
        return 0
    show([*lines(made), *_passing(wanted, made)])
    if note:
        show([f"tbot: {note}"], err=True)
    return 0


def _passing(wanted: Wanted, made: "Made") -> list[str]:
    """Word of files that do not last."""
    from tbot.engine.temporary_state import is_temporary

    state = wanted.state_dir.resolve()
    if not made.paths or not is_temporary(state) or not wanted.out.resolve().is_relative_to(state):
        return []
    return ["temporary: a later run removes it; --out DIR keeps it"]


def lacking() -> list[str]:
    """Packages of the extra `report` that are not installed."""
    import importlib.util

    return [name for name in ("matplotlib", "jinja2") if importlib.util.find_spec(name) is None]


def _learning(text: str | None, config_path: Path | None) -> "LearningSettings":
    """As the engine uses it, else as the settings say. ConfigError when it is none."""
    import json

    from tbot.config import load
    from tbot.errors import ConfigError
    from tbot.strategy.learning_settings import LearningSettings

    if text is None:
        return load(config_path).learning
    try:
        return LearningSettings(**json.loads(text))
    except (ValueError, TypeError):
        raise ConfigError(f"--learning is for the engine alone and takes its settings, not {text!r}") from None


def _formats(text: str | None) -> tuple[str, ...]:
    """`html,pdf` in the order of FORMATS; ConfigError names the first unknown one."""
    from tbot.errors import ConfigError

    names = tuple(part.strip().lower() for part in ("all" if text is None else text).split(",") if part.strip())
    unknown = [name for name in names if name not in (*FORMATS, "all")]
    if unknown or not names:
        named = unknown[0] if unknown else text
        raise ConfigError(f"format {named!r} is not known; choose among {', '.join(FORMATS)}, all")
    return FORMATS if "all" in names else tuple(name for name in FORMATS if name in names)


def _days(folder: Path, first: str | None, last: str | None) -> "Period":
    """The days of --from and --to."""
    from tbot.analytics.journal_records import newest_ns
    from tbot.analytics.period import between
    from tbot.analytics.weekly_report import open_journal
    from tbot.domain.trading_hours import trading_day

    with open_journal(folder) as family:
        return between(first, last, trading_day(newest_ns(family)))


def _make(wanted: Wanted, login: "Login | None" = None, *, anything: bool = True) -> "Made | None":
    """None: no run reaches into the period, and then nothing was wanted (`anything` False)."""
    from tbot import __version__
    from tbot.analytics.weekly_report import make_report, read_records
    from tbot.commands.account_choice import unknown

    records, period = read_records(wanted.state_dir, wanted.period, wanted.account)
    if wanted.account is not None and wanted.account not in records.known:
        raise unknown(wanted.account, "is not in this journal; it tells of", records.known)
    if not anything and all(run.last_ns < period.from_ns for run in records.runs):
        return None
    broker, source = (None, "") if login is None else _fetched(login, records, period)
    return make_report(
        wanted.state_dir, wanted.out, period, formats=wanted.formats, account=wanted.account, zone=wanted.zone,
        broker=broker, source=source, records=records, version=__version__, learning=wanted.learning,
    )  # fmt: skip


def _in_background(wanted: Wanted) -> int:
    """As the engine calls it: out of everybody's way, and with word of the outcome in `last.json`."""
    import os

    from tbot.analytics.weekly_report import note_last
    from tbot.errors import TbotError

    os.nice(19)
    label = wanted.period.label if wanted.period else ""
    note = ""
    if set(wanted.formats) - {"json"} and lacking():
        note = NO_PAGES
        wanted = replace(wanted, formats=("json",))
    try:
        made = _make(wanted, anything=False)
        if made is None:
            return 0
    except (TbotError, OSError) as error:
        note_last(wanted.out, label, (), str(error))
        return getattr(error, "exit_code", 1)
    note_last(wanted.out, label, made.paths, note, made.document["figures"]["net_usd"])
    return 0


# ------------------------------------------------------------------------------------------------ the broker's own list
@dataclass(frozen=True, slots=True)
class Login:
    """Where to ask for trades, and as whom."""

    url: str
    user: str
    key: str


def _asked(gateway: str | None, config_path: Path | None, credentials_file: Path | None) -> Login | None:
    """None: nobody wants the gateway asked."""
    if gateway is None:
        return None
    from tbot.commands.gateway import gateway_url
    from tbot.config import load, require_login

    config = load(config_path)
    return Login(gateway_url(gateway, config), *require_login(config, credentials_file).pair)


def _fetched(login: Login, records: "Records", period: "Period") -> "tuple[list[Told], str]":
    """(every trade of the accounts in the period, where it is from). GatewayError when one is not told."""
    from tbot.analytics.journal_records import Told
    from tbot.analytics.period import Period
    from tbot.commands.gateway import raise_refusal
    from tbot.errors import DataError
    from tbot.gateway.codec_domain import ContractBook, fill
    from tbot.gateway.redact import Credentials
    from tbot.gateway.rest import RestClient

    client = RestClient(login.url, Credentials(login.user, login.key))
    found: list[Told] = []
    try:
        for account in sorted(records.names):
            # A list may be cut to its newest, so a long stretch is asked for day by day.
            for day in period.days():
                span = Period(day, day)
                answer = client.trade_search(account, span.from_ns, span.until_ns)
                if not answer.ok or answer.value is None:
                    raise_refusal(client, answer, f"trades of account {account}")
                for trade in answer.value or []:
                    book = ContractBook(_month_of(trade.broker_id))
                    try:
                        found.append(Told(0, fill(trade, book, trade.created_ns)))
                    except ValueError as error:
                        raise DataError(f"trade {trade.trade_id} of the gateway cannot be counted: {error}") from None
    finally:
        client.close()
    return found, f"the trades that {client.base_url} lists"


def _month_of(broker_id: str) -> dict[str, str]:
    """The product's symbol stands for whatever month was traded."""
    from tbot.domain.contracts import product_named

    product = product_named(broker_id)
    return {} if product is None else {product.symbol: broker_id}


# ------------------------------------------------------------------------------------------------ in words
def lines(made: "Made") -> list[str]:
    """The figures in short, and where the files are."""
    from tbot.analytics import broker_words
    from tbot.analytics import report_cells as cells

    report = made.report
    found = [f"{report.badge} · {cells.title(report)} · {cells.account_names(report)} · {cells.dates(report)}"]
    shown = [*cells.main_cards(report), *cells.cards(report)]
    width = max(len(card.name) for card in shown)
    found += [f"  {card.name:<{width}}  {card.text:<14}  {card.note}".rstrip() for card in shown]
    if not report.deals:
        found = [found[0], f"  {cells.no_trade(report)}"]
    found.append(broker_words.broker_line(report.broker))
    found += [
        f"  {one.kind}: {', '.join(map(str, one.ids)) or 'no trade id'}, {one.contract}: {one.text}"
        for one in report.broker.differences
    ]
    return [*found, *(f"written {path}" for path in made.paths)]
