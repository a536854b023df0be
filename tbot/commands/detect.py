"""`tbot detect`: all events of a bar file as CSV or JSON lines, with a summary and, if asked for, a picture."""

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from tbot.commands.options import DataFile, Filled, Zone, parse_time_ns, parse_zone
from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.timeframes import NAMES, NS_PER_MIN
from tbot.domain.toml_text import toml_text, toml_values
from tbot.errors import ConfigError, DataError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tbot.analytics.bar_signals import BarTrade
    from tbot.analytics.chart import MarkedTrade
    from tbot.analytics.detect import Events, Found
    from tbot_ext.records import EventCode

PROGRESS_AFTER_S = 2.0
LARGE_BYTES = 20_000_000  # takes seconds to read
LISTED = 20  # signals in the summary


@click.command("detect")
@click.argument("bars", type=DataFile())
@click.option("--timeframe", required=True, help="1m, 5m, 15m, 30m or 1h; 1m bars are put together into longer ones.")
@click.option("--tick-size", help="Price step of the contract, such as 0.25.")
@click.option("--contract", help="Take the tick size of this contract, such as ES.  [default: by the file's name]")
@click.option("--kinds", help="Only these: families (ob, fvg, bos, sweep, ...) or single kinds (OB_TESTED, ...).")
@click.option(
    "--from",
    "from_time",
    metavar="TIME",
    type=Filled(),
    help="Only events known at this time (ISO 8601, UTC) or later.",
)
@click.option("--to", "to_time", metavar="TIME", type=Filled(), help="Only events known before this time.")
@click.option("--params", "params_file", type=DataFile(), help="TOML file of detector parameters.")
@click.option("-p", "param", multiple=True, metavar="NAME=VALUE", help="One parameter, such as -p L=3; repeatable.")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the events to this file.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="[default: by the suffix of --out; csv]")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Picture of the last bars (.png, .svg).")
@click.option("--plot-bars", type=click.IntRange(20, 2000), default=150, show_default=True, help="Bars in the picture.")
@click.option("--signals", is_flag=True, help="Run the strategy, too: mark and list its signals (from 1m bars).")
@click.option("--data-tz", type=Zone(), help="Time zone of stamps that do not carry one.  [default: UTC]")
@click.option("--tz", "zone", default="Europe/Helsinki", show_default=True, help="Time zone of picture and signals.")
@click.option("--json", "json_output", is_flag=True, help="One document on stdout: the summary, without --out events.")
@click.option("-q", "--quiet", is_flag=True, help="No summary and no progress.")
def detect(bars: Path, out: Path | None, plot: Path | None, json_output: bool, quiet: bool, **options: Any) -> int:
    """All pattern events of BARS (CSV or Parquet: time, open, high, low, close, volume), in order of emission.

    An event may be used from its known_time on, never from the time of its origin.
    """
    _refuse_overwriting(bars, out, plot)
    zone = parse_zone(options["zone"])
    since = parse_time_ns(options["from_time"]) if options["from_time"] is not None else None
    until = parse_time_ns(options["to_time"]) if options["to_time"] is not None else None
    kinds = _kinds(options["kinds"])
    if plot is not None:
        from tbot.analytics.chart import check_target

        check_target(plot)
    _refuse_places(out, plot)
    found, trades = _run(bars, options, since, until, quiet)
    if trades is not None and since is not None:
        trades = [trade for trade in trades if trade.signal.decided_ns >= since]
    events = _chosen(found, kinds, since, until)
    form = options["form"] or ("jsonl" if out and out.suffix in (".jsonl", ".ndjson", ".json") else "csv")
    if plot is not None:
        from tbot.analytics.chart import save_chart

        marked = [_marked(trade, found.tick) for trade in trades or ()]
        save_chart(found, plot, name=bars.name, kinds=kinds, zone=zone, last=options["plot_bars"], trades=marked)
    _write(found, events, out, form, json_output)
    summary = _summary(bars, found, events)
    if json_output:
        more = {} if trades is None else {"signals": [_trade_row(trade) for trade in trades]}
        _print_document(summary | more, found, events if out is None else None)
    if not quiet and not json_output:
        _tell(summary, [] if trades is None else _signal_lines(trades, zone), out, plot)
    return 0


def _refuse_overwriting(bars: Path, *targets: Path | None) -> None:
    for target in targets:
        if target is not None and target.exists() and target.samefile(bars):
            raise ConfigError(f"{target} is the file of bars itself; choose another name for what is written")


def _refuse_places(*targets: Path | None) -> None:
    """Said before the work is done, not after it."""
    for target in targets:
        if target is not None and not os.access(target.parent, os.W_OK | os.X_OK):
            why = "cannot be written to" if target.parent.is_dir() else "is no folder"
            raise ConfigError(f"{target} cannot be written: {target.parent} {why}; choose another place")
        if target is not None and target.exists() and not target.is_file():
            raise ConfigError(f"{target} is no file, and is not replaced by one; choose another place")


def _run(
    path: Path, options: dict[str, Any], since: int | None, until: int | None, quiet: bool
) -> "tuple[Found, list[BarTrade] | None]":
    from tbot.analytics import bar_tables as tables
    from tbot.analytics import detect as analysis

    minutes = tables.parse_timeframe(options["timeframe"])
    tick = _tick_size(path, options["tick_size"], options["contract"])
    changes = read_params(options["params_file"], options["param"], minutes)
    params = analysis.params_of(changes, minutes)
    product = _traded(path, tick, options["contract"]) if options["signals"] else None
    if since is not None and until is not None and since >= until:
        raise ConfigError("--from must lie before --to")

    def note(text: str) -> None:
        if not quiet:
            click.echo(f"tbot: {text}", err=True)

    if path.stat().st_size > LARGE_BYTES:
        note(f"reading {path} ({path.stat().st_size / 1e6:.0f} MB)")
    columns = tables.file_columns(path)
    if options["data_tz"] is None and tables.zone_is_assumed(columns):
        note("times without a zone are taken as UTC; --data-tz names another")
    if tables.several_contracts(columns):
        note("several contract months in one file; prices are not adjusted where they change")

    def bars_of(minutes: int) -> tables.Bars:
        bars = tables.bars_of(path, columns, tick, minutes, options["data_tz"])
        return bars if until is None else bars[bars["start_ns"] + minutes * NS_PER_MIN < until]

    bars = bars_of(minutes)
    if not len(bars):
        raise DataError(f"{path} has no finished {options['timeframe']} bars{' before --to' if until else ''}")
    progress = analysis.after_seconds(PROGRESS_AFTER_S, lambda done, total: note(f"{done} of {total} bars"))
    found = analysis.find(bars, tick, minutes, params, progress)
    if product is None:
        return found, None
    from tbot.analytics.bar_signals import bar_signals
    from tbot.strategy.settings import StrategySettings

    strategy = StrategySettings(detector={NAMES[minutes]: changes})
    progress = analysis.after_seconds(PROGRESS_AFTER_S, lambda done, total: note(f"signals: {done} of {total} 1m bars"))
    return found, bar_signals(bars_of(1), product, strategy, progress)


def _traded(path: Path, tick: Decimal, contract: str | None) -> Product:
    """The contract whose signals are asked for; ConfigError when there can be none."""
    from tbot.storage.foreign_columns import product_of

    try:
        product = product_of(path, PRODUCTS, contract)
    except DataError:
        raise ConfigError("signals need to know the contract; give --contract, such as ES") from None
    if product.tick_size != tick:
        raise ConfigError(f"the tick size of {product.symbol} is not {tick}; give the right --contract for --signals")
    if product.data_only:
        raise ConfigError(f"{product.symbol} is not traded by this version, so it has no signals; leave --signals out")
    return product


def _tick_size(path: Path, text: str | None, contract: str | None) -> Decimal:
    from tbot.analytics.bar_tables import parse_tick_size
    from tbot.storage.foreign_columns import product_of

    if text is not None:
        tick = parse_tick_size(text)
        if contract is not None and product_of(path, PRODUCTS, contract).tick_size != tick:
            raise ConfigError(f"the tick size of {contract} is not {text}; give --contract or --tick-size")
        return tick
    with contextlib.suppress(DataError):
        return product_of(path, PRODUCTS, contract).tick_size
    if contract is not None:
        raise ConfigError(f"unknown contract {contract!r}; known are {', '.join(PRODUCTS)}; or give --tick-size")
    raise ConfigError("the price step is not known; give --tick-size, such as 0.25, or --contract, such as ES")


def read_params(path: Path | None, assignments: tuple[str, ...], minutes: int) -> dict[str, Any]:
    """Parameters by name: of a TOML file (a table such as ["5m"] only for that timeframe), then of `-p NAME=VALUE`."""
    values: dict[str, Any] = {}
    if path is not None:
        try:
            document = toml_values(toml_text(path.read_bytes()))
        except OSError as error:
            raise ConfigError(f"{path} could not be read: {error.strerror}; check --params") from None
        except ValueError as error:
            raise ConfigError(f"{path} is not valid TOML: {error}; correct that line") from None
        tables = {name: document.pop(name) for name in NAMES.values() if isinstance(document.get(name), dict)}
        values = {**document, **tables.get(NAMES[minutes], {})}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"parameter {text!r} has no value; write it like -p L=3")
        try:
            values[name.strip()] = toml_values(f"value = {value.strip()}")["value"]
        except ValueError:
            values[name.strip()] = value.strip()  # a word: break_mode=wick
    return values


def _kinds(text: str | None) -> "frozenset[EventCode]":
    from tbot.analytics.kinds import parse_kinds

    return parse_kinds(text)


def _chosen(found: "Found", kinds: "frozenset[EventCode]", since: int | None, until: int | None) -> "Events":
    import numpy as np

    events = found.events
    keep = np.isin(events["kind"], [int(code) for code in kinds])
    if since is not None:
        keep &= events["known_ns"] >= since
    if until is not None:
        keep &= events["known_ns"] < until
    return events[keep]


@contextlib.contextmanager
def _target(out: Path | None) -> Iterator[IO[str]]:
    """The file to write, whole or not at all; or stdout, whose reader may leave (`| head`)."""
    if out is not None:
        part = out.with_name(out.name + ".part")
        try:
            with open(part, "w", encoding="utf-8", newline="") as file:
                yield file
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)
        return
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(found: "Found", events: "Events", out: Path | None, form: str, json_output: bool) -> None:
    from tbot.analytics.event_files import write_events

    if out is None and json_output:
        return
    with _target(out) as file:
        write_events(file, events, found.tick, form)


def _summary(path: Path, found: "Found", events: "Events") -> dict[str, Any]:
    from tbot.analytics.bar_tables import utc_text
    from tbot.analytics.detect import kind_names
    return {
        "schema": "tbot.detect",
        "version": 1,
        "file": path.name,
        "timeframe": NAMES[found.timeframe_min],
        "tick_size": float(found.tick),
        "params": found.params.as_dict(),
        "params_hash": found.params.params_hash(),
        "bars": len(found.bars),
        "first": utc_text(found.bars["start_ns"][0]),
        "last": utc_text(found.bars["start_ns"][-1]),
        "events": len(events),
        "kinds": dict(sorted(Counter(kind_names(events).tolist()).items(), key=lambda item: (-item[1], item[0]))),
    }


def _print_document(summary: dict[str, Any], found: "Found", events: "Events | None") -> None:
    import orjson

    from tbot.analytics.event_files import rows_of

    document = summary if events is None else {**summary, "rows": list(rows_of(events, found.tick))}
    with _target(None) as file:
        file.write(orjson.dumps(document).decode() + "\n")


def _marked(trade: "BarTrade", tick: Decimal) -> "MarkedTrade":
    from tbot.analytics.chart import MarkedTrade

    signal = trade.signal
    entry, stop, target = (
        float(tick * price) for price in (0 if signal.why is None else signal.why.entry, signal.stop, signal.target)
    )
    word = "LONG" if signal.side > 0 else "SHORT"
    return MarkedTrade(signal.decided_ns, signal.side, entry, stop, target, f"{word} {signal.score:.0f}", trade.end_ns)


def _trade_row(trade: "BarTrade") -> dict[str, Any]:
    from tbot.analytics.bar_tables import utc_text
    from tbot.commands.signals import signal_row

    ended = None if trade.end_ns is None else utc_text(trade.end_ns)
    return signal_row(trade.signal) | {"end": trade.end, "ended": ended}


def _signal_lines(trades: "list[BarTrade]", zone: "ZoneInfo") -> list[str]:
    from tbot.commands.signals import signal_line

    ends = Counter(trade.end for trade in trades)
    lines = [f"{len(trades)} signals: {ends['target']} to the target, {ends['stop']} to the stop, {ends['open']} open"]
    for trade in trades[-LISTED:]:
        lines += [f"  {signal_line(trade.signal, zone)}  {trade.end}", f"      {trade.signal.reason}"]
    if len(trades) > LISTED:
        lines.append(f"  the last {LISTED} are listed; --json has all of them")
    return lines


def _tell(summary: dict[str, Any], signals: list[str], out: Path | None, plot: Path | None) -> None:
    from tbot.analytics.kinds import KINDS

    order = {code.name: place for place, code in enumerate(KINDS)}
    first, last = summary["first"], summary["last"]
    lines = [f"{summary['bars']} bars of {summary['timeframe']}, {first} to {last}; {summary['events']} events"]
    counts = sorted(summary["kinds"].items(), key=lambda item: order.get(item[0], 0))
    for start in range(0, len(counts), 6):
        lines.append("  " + "  ".join(f"{name} {count}" for name, count in counts[start : start + 6]))
    lines += signals
    lines += [f"wrote {path}" for path in (out, plot) if path is not None]
    with contextlib.suppress(OSError):
        click.echo("\n".join(lines), err=True)
