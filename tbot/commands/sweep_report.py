"""The report of a sweep: table, files, picture, and the sentences that say what the best is worth."""

import contextlib
import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from tbot.backtest.sweep import TRIALS_FILE, Outcome
from tbot.commands.sweep_session import Opened, Swept
from tbot.errors import unwritable
from tbot.validation.bootstrap import Interval
from tbot.validation.sweeps import SweepJudgement, judge_sweep

SHOWN = 15  # trials in the table on the terminal
LISTED = 50  # in the document; all are in the files
PICTURE = "surface.png"


def report_sweep(swept: Swept, json_output: bool) -> int:
    """Judge, write the files, print."""
    judged = judge_sweep(swept.search.axes, swept.outcomes, swept.search.metric, rivals=swept.rivals)
    document = sweep_document(swept, judged)
    write(swept.out / "sweep.json", orjson.dumps(document, option=orjson.OPT_INDENT_2))
    write(swept.out / "sweep.csv", _csv(swept, judged).encode())
    picture = save_picture(swept, judged)
    if json_output:
        print_json(document)
        return 0
    show_table(judged.order, swept.search.metric)
    for line in _lines(swept, judged):
        click.echo(line)
    files = [TRIALS_FILE, "sweep.json", "sweep.csv", *([PICTURE] if picture else [])]
    click.echo(f"{swept.out}: {', '.join(files)}")
    click.echo(judged.luck)
    click.echo(judged.verdict.line)
    return 0


def sweep_document(swept: Swept, judged: SweepJudgement) -> dict[str, Any]:
    """Everything that --json tells; sweep.json holds the same."""
    sharpe, pbo, shape = judged.sharpe, judged.pbo, judged.surface
    return {
        "schema": "tbot.sweep",
        "version": 1,
        **facts(swept),
        "best": row(judged.best),
        "trials": [row(outcome) for outcome in judged.order[:LISTED]],
        "trials_done": len(swept.outcomes),
        "trials_distinct": len(judged.order),
        "trials_on_record": judged.rivals,
        "effective_trials": plain(judged.trials.cautious),
        "deflated_sharpe": None if sharpe is None else plain(sharpe.dsr),
        "expected_max_sharpe": None if sharpe is None else plain(sharpe.expected_max),
        "pbo": None if pbo is None else plain(pbo.pbo),
        "surface": None
        if shape is None
        else {
            "shape": shape.shape,
            "neighbours": shape.neighbours,
            "share_above_half": shape.share,
            "calmest": row(judged_at(swept, judged, shape.calmest)),
        },
        "expectancy_r": interval(judged.expectancy_r),
        "expectancy_ticks": interval(judged.verdict.expectancy_ticks),
        "distinguishable_from_luck": judged.distinguishable,
        "luck": judged.luck,
        "verdict": judged.verdict.line,
        "provisional": judged.verdict.provisional,
    }


def judged_at(swept: Swept, judged: SweepJudgement, place: int) -> Outcome:
    """The trial at a place of the surface: of distinct ones in order of their numbers."""
    return sorted(judged.order, key=lambda outcome: outcome.number)[place]


def facts(swept: Swept) -> dict[str, Any]:
    """What was run on what."""
    identity, locked = swept.identity, swept.lock
    return {
        "out": str(swept.out),
        "method": identity.method,
        "metric": swept.search.metric,
        "seed": identity.seed,
        "parameters": dict(identity.axes),
        "contracts": list(swept.contracts),
        "data_hash": identity.data_hash,
        "plan_hash": identity.plan_hash,
        "notes": list(swept.notes),
        "holdout": None
        if locked is None
        else {"days": len(locked.locked), "first": locked.locked[0].isoformat(), "last": locked.locked[-1].isoformat()},
    }


def holdout_document(opened: Opened) -> dict[str, Any]:
    """The JSON document of an opened hold-out."""
    days, verdict = opened.lock.locked, opened.assessment.verdict
    return {
        "schema": "tbot.holdout",
        "version": 1,
        "first": days[0].isoformat(),
        "last": days[-1].isoformat(),
        "days": len(days),
        "params": dict(opened.trial.params),
        "plan_hash": opened.trial.plan_hash,
        "data_hash": opened.trial.data_hash,
        "seen_before_by_runs": opened.seen,
        "trades": opened.trial.trips,
        "net_cents": opened.trial.net_cents,
        "expectancy_ticks": interval(verdict.expectancy_ticks),
        "verdict": verdict.line,
        "provisional": verdict.provisional,
    }


def row(outcome: Outcome) -> dict[str, Any]:
    """One trial in a document."""
    metrics = {name: plain(value) for name, value in outcome.metrics.items()}
    return {"number": outcome.number, "params": dict(outcome.params), "plan_hash": outcome.plan_hash, **metrics}


def interval(value: Interval | None) -> dict[str, float | None] | None:
    """An interval in a document; null bounds where nothing is known."""
    if value is None:
        return None
    return {"estimate": plain(value.estimate), "low": plain(value.low), "high": plain(value.high), "level": value.level}


def plain(value: float | None) -> float | None:
    """JSON knows neither infinity nor nan."""
    return None if value is None or not math.isfinite(value) else value


def print_json(document: Mapping[str, Any]) -> None:
    """One document on stdout."""
    click.echo(orjson.dumps(document).decode())


def write(path: Path, data: bytes) -> None:
    """Whole or not at all. Raises DataError."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise unwritable(f"the folder {path.parent}", error) from None


def _csv(swept: Swept, judged: SweepJudgement) -> str:
    names = [axis.name for axis in swept.search.axes]
    metrics = list(judged.best.metrics)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["number", *names, *metrics, "plan_hash"])
    for outcome in judged.order:
        numbers = ["" if outcome.metrics.get(name) is None else repr(outcome.metrics[name]) for name in metrics]
        table.writerow([outcome.number, *(outcome.params[name] for name in names), *numbers, outcome.plan_hash])
    return text.getvalue()


def show_table(order: Sequence[Outcome], metric: str) -> None:
    """The best trials, best first."""
    from rich.console import Console
    from rich.table import Table

    shown = f" ({SHOWN} shown)" if len(order) > SHOWN else ""
    table = Table(title=f"{len(order)} trials by {metric}, best first{shown}")
    names = list(order[0].params)
    for name in ("#", *(name.split(".", 1)[1].replace(".", " ").replace("_", " ") for name in names)):
        table.add_column(name, justify="right")
    heads = [metric] if metric not in ("net_cents", "sharpe") else []
    for head in (*(head.replace("_", " ") for head in heads), "trades", "net USD", "Sharpe a year", "deepest fall USD"):
        table.add_column(head, justify="right")
    for outcome in order[:SHOWN]:
        told = outcome.metrics
        table.add_row(
            str(outcome.number),
            *(str(outcome.params[name]) for name in names),
            *(_three(told.get(head)) for head in heads),
            f"{told.get('trips') or 0:.0f}",
            _usd(told.get("net_cents"), sign=True),
            _three(told.get("sharpe")),
            _usd(told.get("drawdown_cents")),
        )
    Console().print(table)


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def _usd(cents: float | None, *, sign: bool = False) -> str:
    return "–" if cents is None else f"{cents / 100:+,.0f}" if sign else f"{cents / 100:,.0f}"


def _lines(swept: Swept, judged: SweepJudgement) -> list[str]:
    counted = judged.trials
    lines = list(swept.notes)
    if swept.lock is not None:
        days = swept.lock.locked
        lines.append(f"locked: the last {len(days)} trading days, from {days[0]} on; nothing here has seen them")
    lines.append(
        f"trials on record over this data: {counted.trials} ({judged.rivals} of other runs), effective "
        f"{counted.by_average:.1f} by correlation, {counted.by_eigenvalues:.1f} by eigenvalues"
    )
    if judged.sharpe is not None:
        told = judged.sharpe
        lines.append(
            f"best trial: daily Sharpe {told.moments.sharpe:.3f}, probability that it is above 0: "
            f"{told.psr:.2f} alone, {told.dsr:.2f} deflated (luck alone gives the best {told.expected_max:.3f})"
        )
    if judged.pbo is not None:
        lines.append(f"PBO {judged.pbo.pbo:.2f} (CSCV, {judged.pbo.blocks} blocks, {judged.pbo.trials} trials)")
    if judged.surface is not None:
        shape = judged.surface
        share = "" if shape.share is None else f"; {shape.share:.0%} keep more than half of the best"
        lines.append(f"surface: {shape.shape}, {shape.neighbours} neighbours{share}")
    return lines


# ------------------------------------------------------------------------------------------------ picture
def save_picture(swept: Swept, judged: SweepJudgement) -> bool:
    """V8: the metric over one axis or two, the best marked; False without matplotlib or without anything to show."""
    axes = sorted((axis for axis in swept.search.axes if len(axis.values) > 1), key=lambda axis: -len(axis.values))
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    if not axes or judged.surface is None:
        return False
    figure = Figure(figsize=(8, 5), layout="constrained")
    plot = figure.subplots()
    metric, best = swept.search.metric, judged.best
    if len(axes) == 1:
        _curve(plot, axes[0], judged, metric)
    else:
        _map(figure, plot, axes[0], axes[1], judged, metric)
    others = "" if len(axes) <= 2 else f"; best over {', '.join(axis.name for axis in axes[2:])}"
    plot.set_title(f"{metric} by trial, ring: the best (#{best.number}), {judged.surface.shape}{others}", fontsize=10)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    write(swept.out / PICTURE, drawn.getvalue())
    return True


def _curve(plot: Any, axis: Any, judged: SweepJudgement, metric: str) -> None:
    found = _best_by(judged.order, metric, (axis,))
    places = [n for n, value in enumerate(axis.values) if (repr(value),) in found]
    plot.plot(places, [found[(repr(axis.values[n]),)] for n in places], marker="o", color="#1f6feb")
    best = judged.best
    plot.plot([axis.values.index(best.params[axis.name])], [best.score(metric)], "o", ms=14, mfc="none", mec="black")
    plot.axhline(0, color="grey", lw=0.8)
    _ticks(plot.xaxis, axis)
    plot.set_xlabel(axis.name)
    plot.set_ylabel(metric)


def _map(figure: Any, plot: Any, across: Any, up: Any, judged: SweepJudgement, metric: str) -> None:
    import numpy as np

    found = _best_by(judged.order, metric, (across, up))
    grid = np.full((len(up.values), len(across.values)), np.nan)
    for y, upper in enumerate(up.values):
        for x, value in enumerate(across.values):
            grid[y, x] = found.get((repr(value), repr(upper)), np.nan)
    most = float(np.nanmax(np.abs(grid))) or 1.0
    shown = plot.imshow(grid, origin="lower", aspect="auto", cmap="PuOr", vmin=-most, vmax=most)
    figure.colorbar(shown, label=metric)
    best = judged.best
    at = (across.values.index(best.params[across.name]), up.values.index(best.params[up.name]))
    plot.plot([at[0]], [at[1]], "o", ms=16, mfc="none", mec="black", mew=2)
    _ticks(plot.xaxis, across)
    _ticks(plot.yaxis, up)
    plot.set_xlabel(across.name)
    plot.set_ylabel(up.name)


def _best_by(order: Sequence[Outcome], metric: str, axes: Sequence[Any]) -> dict[tuple[str, ...], float]:
    """The best score at each combination of values of `axes`; trials without a score are left out."""
    found: dict[tuple[str, ...], float] = {}
    for outcome in order:  # best first
        if not math.isinf(outcome.score(metric)):
            found.setdefault(tuple(repr(outcome.params[axis.name]) for axis in axes), outcome.score(metric))
    return found


def _ticks(axis: Any, values: Any) -> None:
    step = max(1, len(values.values) // 10)
    axis.set_ticks(range(0, len(values.values), step), [str(value) for value in values.values[::step]])
