"""`tbot walkforward`: choose the best settings on some days, look at other days that the choice did not see."""

import csv
import io
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.options import Number
from tbot.commands.sweep import request_of, show_holdout, sweep_options
from tbot.domain.words import plural

if TYPE_CHECKING:
    from tbot.commands.sweep_session import Swept
    from tbot.validation.walkforward import Cut, WalkForward, Window


@click.command()
@sweep_options
@click.option("--method", type=click.Choice(("grid", "random")), default="grid", show_default=True,
              help="Which trials there are to choose from: all points, or --trials of them.")  # fmt: skip
@click.option("--scheme", type=click.Choice(("rolling", "anchored", "cpcv")), default="rolling", show_default=True,
              help="The last days choose, all so far choose, or combinatorial purged cross-validation.")  # fmt: skip
@click.option("--train", default="20d", show_default=True, metavar="DAYS", help="Trading days to choose on.")
@click.option("--test", default="5d", show_default=True, metavar="DAYS", help="Trading days to look at, a window.")
@click.option("--groups", type=Number(), default=6, show_default=True,
              help="Of cpcv: into so many groups the days are cut.")  # fmt: skip
@click.option("--test-groups", type=Number(), default=2, show_default=True,
              help="Of cpcv: so many of them are tested at a time.")  # fmt: skip
@click.option("--purge/--no-purge", default=True, show_default="--purge",
              help="Trips that lie on both sides of an edge count on neither.")  # fmt: skip
@click.option("--embargo", metavar="DAYS", help="Trading days beside the test days that do not train.  [default: none]")
def walkforward(
    method: str,
    scheme: Any,
    train: str,
    test: str,
    groups: int,
    test_groups: int,
    purge: bool,
    embargo: str | None,
    json_output: bool,
    **options: Any,
) -> int:
    """Backtest DATA under many settings, choose the best on past days, and tell what it did in the days that followed.

    Each trial runs once over all days; windows are cut out of it.
    """
    from tbot.commands.sweep_session import refuse_holes, sweep_data
    from tbot.validation.walkforward import Cut, folds

    days = (_days(train, "--train"), _days(test, "--test"))
    cut = Cut(scheme, *days, groups, test_groups, purge, _days(embargo, "--embargo") if embargo else 0)
    request, values = request_of("walkforward", method, options)
    if options["open_holdout"]:
        return show_holdout(request, values, json_output)
    swept = sweep_data(request, check=lambda days: folds(len(days), cut))
    code = report(swept, cut, json_output)
    refuse_holes(swept)
    return code


def _days(text: str, option: str) -> int:
    from tbot.backtest.holdout import parse_span
    from tbot.errors import ConfigError

    span = parse_span(text, option)
    if span.unit != "d":
        raise ConfigError(f"{option} counts trading days of the data; write it like {span.count}d")
    return span.count


def report(swept: "Swept", cut: "Cut", json_output: bool) -> int:
    """Judge, write the files, print."""
    import orjson

    from tbot.commands.sweep_report import print_json, write
    from tbot.validation.walkforward import walk_forward

    found = walk_forward(swept.outcomes, swept.search.metric, cut, rivals=swept.rivals)
    told = document(swept, found)
    write(swept.out / "walkforward.json", orjson.dumps(told, option=orjson.OPT_INDENT_2))
    write(swept.out / "windows.csv", _windows_csv(swept, found).encode())
    write(swept.out / "equity.csv", _equity_csv(found).encode())
    if json_output:
        print_json(told)
        return 0
    _show(swept, found)
    return 0


def document(swept: "Swept", found: "WalkForward") -> dict[str, Any]:
    """What --json tells; walkforward.json holds the same."""
    from tbot.commands.sweep_report import facts, interval, plain

    cut, told = found.cut, found.summary
    return {
        "schema": "tbot.walkforward",
        "version": 1,
        **facts(swept),
        "scheme": cut.scheme,
        "train_days": None if cut.scheme == "cpcv" else cut.train,
        "test_days": None if cut.scheme == "cpcv" else cut.test,
        "groups": cut.groups if cut.scheme == "cpcv" else None,
        "test_groups": cut.tested if cut.scheme == "cpcv" else None,
        "purge": cut.purge,
        "embargo_days": cut.embargo,
        "windows": [_row(found, window) for window in found.windows],
        "parameter_changes": found.changes(),
        "efficiency": found.efficiency,
        "paths_net_cents": found.paths.tolist(),
        "out_of_sample": {
            "days": len(found.tested_days),
            "trades": told.n,
            "net_cents": told.net_cents,
            "win_rate": told.win_rate,
            "profit_factor": told.profit_factor,
            "sharpe": told.sharpe,
            "expectancy_ticks": interval(found.expectancy_ticks),
            "expectancy_r": interval(found.expectancy_r),
            "drawdown_cents": interval(found.drawdown_cents),
            "deflated_sharpe": None if found.sharpe is None else plain(found.sharpe.dsr),
        },
        "pbo": None if found.pbo is None else plain(found.pbo.pbo),
        "finding": found.sentence,
        "verdict": found.verdict.line,
        "provisional": found.verdict.provisional,
    }


def _row(found: "WalkForward", window: "Window") -> dict[str, Any]:
    from tbot.commands.sweep_report import plain

    return {
        "train": _span(found, window.fold.train),
        "test": _span(found, window.fold.test),
        "groups": list(window.fold.groups),
        "trial": None if window.chosen is None else window.chosen.number,
        "params": None if window.chosen is None else dict(window.chosen.params),
        "in_sample": plain(window.in_sample),
        "out_of_sample": plain(window.out_of_sample),
        "trades": len(window.trips),
        "net_cents": int(window.trips.net_cents.sum()),
    }


def _span(found: "WalkForward", places: Any) -> dict[str, Any]:
    """First and last day, and how many of the data lie between."""
    return {"first": _date(found.days[places[0]]), "last": _date(found.days[places[-1]]), "days": len(places)}


def _date(day: int) -> str:
    from tbot.validation.walkforward import EPOCH_DAY

    return (EPOCH_DAY + timedelta(days=int(day))).isoformat()


def _windows_csv(swept: "Swept", found: "WalkForward") -> str:
    """The drift table: what was chosen, window by window."""
    names = [axis.name for axis in swept.search.axes]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    head = ("train_first", "train_last", "test_first", "test_last", "groups", "trial")
    table.writerow([*head, *names, "in_sample", "out_of_sample", "trades", "net_cents"])
    for window in found.windows:
        told = _row(found, window)
        params = told["params"] or {}
        days = (told["train"]["first"], told["train"]["last"], told["test"]["first"], told["test"]["last"])
        table.writerow([
            *days, " ".join(map(str, told["groups"])), told["trial"], *(params.get(name, "") for name in names),
            told["in_sample"], told["out_of_sample"], told["trades"], told["net_cents"],
        ])  # fmt: skip
    return text.getvalue()


def _equity_csv(found: "WalkForward") -> str:
    """Net result and equity of each tested day, in cents from 0."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["day", "net_cents", "equity_cents"])
    equity = 0
    for day, net in zip(found.tested_days.tolist(), found.daily.tolist(), strict=True):
        equity += int(net)
        table.writerow([_date(day), int(net), equity])
    return text.getvalue()


def _show(swept: "Swept", found: "WalkForward") -> None:
    from rich.console import Console
    from rich.table import Table

    names = [axis.name for axis in swept.search.axes]
    cpcv = found.cut.scheme == "cpcv"
    table = Table(title=f"{len(found.windows)} windows, {found.cut.scheme}, by {found.metric}")
    heads = (name.split(".", 1)[1].replace("_", " ") for name in names)
    for name in ("groups tested" if cpcv else "test days", *heads):
        table.add_column(name, justify="right")
    for name in ("train", "test", "trades", "net USD"):
        table.add_column(name, justify="right")
    for window in found.windows:
        told = _row(found, window)
        params = told["params"] or {}
        days = f"{told['test']['first']}/{told['test']['last'][5:]}"
        table.add_row(
            " ".join(str(group + 1) for group in window.fold.groups) if cpcv else days,
            *(str(params.get(name, "–")) for name in names),
            *("–" if value is None else f"{value:+.3f}" for value in (told["in_sample"], told["out_of_sample"])),
            str(told["trades"]),
            f"{told['net_cents'] / 100:+,.2f}",
        )
    Console().print(table)
    for line in _lines(swept, found):
        click.echo(line)
    click.echo(f"{swept.out}: trials.jsonl, walkforward.json, windows.csv, equity.csv")
    click.echo(found.sentence)
    click.echo(found.verdict.line)


def _lines(swept: "Swept", found: "WalkForward") -> list[str]:
    lines = list(swept.notes)
    if swept.lock is not None:
        days = swept.lock.locked
        lines.append(f"locked: the last {len(days)} trading days, from {days[0]} on; nothing here has seen them")
    changed = ", ".join(f"{name.split('.', 1)[1]} {count}" for name, count in found.changes().items())
    told = found.summary
    lines.append(f"choice changed from window to window ({max(0, len(found.windows) - 1)} times possible): {changed}")
    if len(found.paths) > 1:
        losing = float((found.paths < 0).mean())
        lines.append(
            f"{len(found.paths)} paths: net {found.paths.min() / 100:+,.2f} to {found.paths.max() / 100:+,.2f} USD, "
            f"{losing:.0%} lose; below is the median one"
        )
    sharpe = "–" if told.sharpe is None else f"{told.sharpe:+.2f}"
    lines.append(
        f"out of sample, {plural(len(found.tested_days), 'day')}: {plural(told.n, 'trade')}, net "
        f"{told.net_cents / 100:+,.2f} USD, Sharpe {sharpe} a year, deepest fall "
        f"{told.drawdown.depth_cents / 100:,.2f} USD"
    )
    if found.expectancy_r is not None:
        one = found.expectancy_r
        lines.append(f"expectancy {one.estimate:+.3f} R ({100 * one.level:.0f} % {one.low:+.3f} to {one.high:+.3f})")
    if found.efficiency is not None:
        lines.append(f"efficiency: {found.efficiency:.0%} of the score in sample was left out of sample")
    return lines
