"""`tbot sweep`: many backtests over a space of parameters, on this machine or a cluster, and what the best is worth."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tbot.commands.options import SETTINGS_FILE, DataFile, Symbol, Whole, Zone
from tbot.domain.words import plural
from tbot.errors import ConfigError

if TYPE_CHECKING:
    from tbot.backtest.sweep import Params
    from tbot.commands.sweep_session import Request

METRICS = ("expectancy_r", "expectancy_ticks", "expectancy_cents", "net", "sharpe", "sortino", "profit_factor",
           "win_rate")  # fmt: skip
F = TypeVar("F", bound=Callable[..., Any])


def sweep_options(command: F) -> F:
    """What `tbot sweep` and `tbot walkforward` have in common."""
    file = DataFile()
    for option in reversed((
        click.argument("data", nargs=-1, required=True, type=file),
        click.option("--param", "params", multiple=True, metavar="NAME=VALUES",
                     help="What is varied: strategy.min_score=50:80:10 (from:to:step) or risk.trail_percent=0,50,100; "
                     "repeatable. Sections strategy, risk, fills; detectors as strategy.detector.1m.L=2,3."),
        click.option("-c", "--config", "config_path", type=SETTINGS_FILE, help="TOML file with settings."),
        click.option("--trials", type=Whole(1), help="How many trials, of random and optuna."),
        click.option("--seed", type=Whole(0), default=1, show_default=True, help="Of random and optuna."),
        click.option("--metric", type=click.Choice(METRICS), default="expectancy_r", show_default=True,
                     help="What makes a trial better."),
        click.option("--engine", type=click.Choice(("loky", "dask", "ray", "sequential")), default="loky",
                     show_default=True, help="Where trials run: this machine's cores, or a cluster."),
        click.option("--address", metavar="ADDRESS", help="Of a dask or ray cluster.  [default: a local one]"),
        click.option("--jobs", type=Whole(1), help="Workers.  [default: one a core]"),
        click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path),
                     help="Folder for trials and report.  [default: named after the command and its options]"),
        click.option("--resume", is_flag=True, help="Go on with the sweep in --out; only what is missing runs."),
        click.option("--firm", is_flag=True, help="Keep the firm's account rules: a trial ends where its account is "
                     "lost. Without it every trial sees all days."),
        click.option("--holdout", metavar="SPAN", help="Lock the last 20d (trading days), 4w or 1m of the data."),
        click.option("--open-holdout", is_flag=True, help="Open the locked end, once, for the one plan given."),
        click.option("--news", multiple=True, type=DataFile("fetched"), metavar="FILE",
                     help="News for the [news] rules: .json, .ics, .toml, .csv, or fetched (all that were); "
                     "repeatable."),
        click.option("--contract", type=Symbol(), help="Contract of files whose name does not tell it."),
        click.option("--data-tz", "zone", type=Zone(), help="Time zone of stamps that do not carry one."),
        click.option("--json", "json_output", is_flag=True, help="One JSON document on stdout."),
        click.option("-q", "--quiet", is_flag=True, help="No progress."),
        click.option("--debug", is_flag=True, help="Show tracebacks."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.command()
@sweep_options
@click.option("--method", type=click.Choice(("grid", "random", "optuna")), default="grid", show_default=True,
              help="All points, some of them, or a guided search (needs optuna).")  # fmt: skip
def sweep(method: str, json_output: bool, **options: Any) -> int:
    """Backtest DATA (tapes, ticks or bars) under many settings, rank them, and say what the best is worth.

    Every trial is remembered in the ledger of trials and counts against the best. A sweep that was broken off goes on
    with --resume.
    """
    from tbot.commands.sweep_report import report_sweep
    from tbot.commands.sweep_session import refuse_holes, sweep_data

    request, values = request_of("sweep", method, options)
    if options["open_holdout"]:
        return show_holdout(request, values, json_output)
    swept = sweep_data(request)
    code = report_sweep(swept, json_output)
    refuse_holes(swept)
    return code


def request_of(command: str, method: Any, options: dict[str, Any]) -> "tuple[Request, Params]":
    """Options as one object; and the values of the one plan of --open-holdout."""
    from tbot.backtest.sweep_engines import needed
    from tbot.backtest.sweep_run import Search
    from tbot.commands.sweep_session import Request, axes_of

    opening = options["open_holdout"]
    if options["address"] and options["engine"] not in ("dask", "ray"):
        raise ConfigError("--address names a cluster of dask or ray; add --engine dask or --engine ray")
    axes, values = axes_of(options["params"], opening=opening)
    metric = "net_cents" if options["metric"] == "net" else options["metric"]
    search = None if opening else Search(axes, method, options["trials"], options["seed"], metric)
    modules = {"dask": ("joblib", "distributed"), "ray": ("joblib", "ray"), "loky": ("joblib",)}
    for module in (*modules.get(options["engine"], ()), *(["optuna"] if method == "optuna" else [])):
        if search is not None:
            needed(module)  # before anything is written
    request = Request(
        command=command,
        paths=options["data"],
        search=search,
        config_path=options["config_path"],
        engine=options["engine"],
        address=options["address"],
        jobs=options["jobs"],
        out=options["out"],
        resume=options["resume"],
        contract=options["contract"],
        zone=options["zone"],
        holdout=options["holdout"],
        quiet=options["quiet"],
        firm=options["firm"],
        news=options["news"],
    )
    return request, values


def show_holdout(request: "Request", values: "Params", json_output: bool) -> int:
    """Open the locked end and say what it says."""
    from tbot.commands.sweep_report import holdout_document, print_json
    from tbot.commands.sweep_session import open_holdout

    opened = open_holdout(request, values)
    if json_output:
        print_json(holdout_document(opened))
        return 0
    days = opened.lock.locked
    click.echo(f"hold-out of {len(days)} trading days, {days[0]} to {days[-1]}, opened and logged")
    click.echo(f"{plural(opened.trial.trips, 'trade')}, net {opened.trial.net_cents / 100:+,.2f} USD")
    if opened.seen:
        seen = plural(opened.seen, "run")
        click.echo(f"{seen} on record looked at these days before, so this is no test on unseen data")
    click.echo(opened.assessment.verdict.line)
    return 0
