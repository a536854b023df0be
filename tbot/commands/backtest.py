"""`tbot backtest`: past data through the engine's own decisions, and an honest word about what came of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.account_choice import some_accounts
from tbot.commands.options import SETTINGS_FILE, DataFile, Filled, Symbol, Whole, Zone
from tbot.errors import DataError

if TYPE_CHECKING:
    from tbot.commands.backtest_session import Answer, Question

FIRMS = ("50K", "100K", "150K", "none")


@click.command()
@click.argument("data", nargs=-1, required=True, type=DataFile())
@click.option("-c", "--config", "config_path", type=SETTINGS_FILE, help="TOML file with settings.")
@click.option("--contracts", metavar="LIST", help="Only these contracts of the data, e.g. MNQ,ES.")
@some_accounts
@click.option("--contract", type=Symbol(), help="Contract of files whose name does not tell it.")
@click.option("--data-tz", metavar="ZONE", type=Zone(), help="Time zone of stamps that do not carry one.")
@click.option("--since", metavar="TIME", type=Filled(), help="Leave out what is before (ISO 8601, UTC).")
@click.option("--until", metavar="TIME", type=Filled(), help="Leave out what is not before.")
@click.option("--strategy", metavar="FILE.py:NAME", help="A strategy of your own instead of the packaged one.")
@click.option(
    "--firm",
    type=click.Choice(FIRMS),
    default="50K",
    show_default=True,
    help="Rules of this Combine for the account of ours; none: no firm watches it. [[accounts]] of --config win.",
)
@click.option("--exact-calendar", is_flag=True, help="Refuse entries in years that the session table does not cover.")
@click.option("--holdout", metavar="SPAN", help="Lock the last 20d (trading days), 4w or 1m of the data.")
@click.option("--open-holdout", is_flag=True, help="Run on the locked end instead: once, and it is remembered.")
@click.option("--null/--no-null", default=True, show_default=True, help="Compare order blocks with random levels (V4).")
@click.option(
    "--news",
    multiple=True,
    type=DataFile("fetched"),
    metavar="FILE",
    help="News for the [news] rules, and to tell trades near them apart (V12): .json, .ics, .toml, .csv, or fetched "
    "(all that were); repeatable.",
)
@click.option("--seed", type=Whole(min=0), default=1, show_default=True, help="Of intervals and draws.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder for trades and reports.")
@click.option("--force", is_flag=True, help="Write over an earlier run's files in --out.")
@click.option("--trades", "limit", type=Whole(min=0), help="Trades to list, newest last.  [default: 20]")
@click.option("--tz", default="Europe/Helsinki", show_default=True, help="Time zone of the report.")
@click.option("--json", "json_output", is_flag=True, help="One JSON document on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def backtest(data: tuple[Path, ...], limit: int | None, tz: str, json_output: bool, **options: Any) -> int:
    """Play DATA (tapes, ticks or 1m bars; CSV, Parquet, DBN) through strategy, risk and paper broker.

    Costs and the firm's rules are on. Every run is remembered in the ledger of trials and counts against the next one.
    The last line is the verdict, whatever it is.
    """
    from tbot.commands.backtest_session import Question, answer
    from tbot.commands.options import parse_zone

    zone = parse_zone(tz)
    question = Question(
        paths=data,
        config_path=options["config_path"],
        accounts=options["accounts"],
        contracts=options["contracts"] or "",
        contract=options["contract"],
        data_tz=options["data_tz"],
        since=options["since"],
        until=options["until"],
        strategy=options["strategy"],
        firm=options["firm"],
        exact_calendar=options["exact_calendar"],
        holdout=options["holdout"],
        open_holdout=options["open_holdout"],
        null=options["null"],
        news=options["news"],
        seed=options["seed"],
        out=options["out"],
        force=options["force"],
        quiet=options["quiet"] or json_output,
        zone=zone,
    )
    told = answer(question)
    if json_output:
        _print_json(told)
    else:
        _print_report(told, question, limit)
    if told.result.through_holes:
        raise DataError(
            f"{told.result.through_holes[0]}; what such a trade made is not known: complete the data, or leave that "
            "stretch out with --since and --until"
        )
    return 0


def _print_json(told: "Answer") -> None:
    import orjson

    from tbot.validation.report_json import document

    click.echo(orjson.dumps(document(told.result, told.assessments, extra=told.extra)).decode())


def _print_report(told: "Answer", question: "Question", limit: int | None) -> None:
    from rich.console import Console

    from tbot.validation.report_text import DEFAULT_TRADES, render, verdicts

    shown = DEFAULT_TRADES if limit is None else limit
    console = Console(highlight=False)
    for path in told.files:
        click.echo(f"wrote {path}", err=True)
    report = render(told.result, told.assessments, zone=question.zone, limit=shown, extra=told.extra, verdict=False)
    console.print(report)
    for line in verdicts(told.assessments):
        console.print(line, soft_wrap=not console.is_terminal)  # in a file or pipe it is one line
