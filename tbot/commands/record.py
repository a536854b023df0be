"""`tbot record`: live ticks to tapes; `tbot record export`: tapes to Parquet."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.commands.gateway import config_option, credentials_option, gateway_url
from tbot.commands.options import DataFile, Filled
from tbot.domain.words import plural
from tbot.errors import INTERRUPTED, GatewayError
from tbot.streams import is_terminal

if TYPE_CHECKING:
    from tbot.config import Config
    from tbot.engine.record_feed import RecordFeed, RecordSettings
    from tbot.engine.recorder import TapeFiles


@click.group(invoke_without_command=True, subcommand_metavar="[export ...]")
@config_option
@click.option("--gateway", metavar="URL", type=Filled(), help="Gateway to record from.  [default: from the settings]")
@credentials_option
@click.option("--contracts", metavar="LIST", help="Contracts to record, e.g. MNQ,ES.  [default: from the settings]")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("tapes"),
    show_default=True,
    help="Folder for one tape per trading day, or one file NAME.tape for everything.",
)
@click.option(
    "--for",
    "duration",
    metavar="TIME",
    type=Filled(),
    help="Stop after 60s, 5m, 2h (counted from the first connection).",
)
@click.option("--json", "json_output", is_flag=True, help="No progress; one JSON document at the end.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def record(
    context: click.Context,
    config_path: Path | None,
    gateway: str | None,
    credentials_file: Path | None,
    contracts: str | None,
    out: Path,
    duration: str | None,
    json_output: bool,
    quiet: bool,
    debug: bool,
) -> int:
    """Record quotes and trades of a gateway until Ctrl-C, TIME, or the end of a simulated tape.

    Every second what has come is handed to the system, so a crash costs a second at most. A tape that is there already
    is continued. Needs the login of the gateway, as `tbot accounts` does.

    `tbot record export` turns tapes into Parquet files.
    """
    if context.invoked_subcommand is not None:
        return 0  # what the subcommand returns counts
    import asyncio

    from tbot.commands.options import parse_duration_s, parse_symbols
    from tbot.config import load, require_login
    from tbot.engine.record_feed import RecordFeed
    from tbot.gateway.redact import Credentials

    config = load(config_path)
    symbols = parse_symbols(contracts) if contracts else config.engine.contracts
    for_s = parse_duration_s(duration) if duration is not None else None
    url = gateway_url(gateway, config)
    login = require_login(config, credentials_file)
    settings = _settings(url, config, symbols)
    feed = RecordFeed(settings, Credentials(*login.pair), _teller(quiet or json_output))
    try:
        return asyncio.run(_record(feed, settings, out, for_s, json_output, quiet))
    finally:
        feed.close()


@record.command()
@click.argument("tapes", nargs=-1, required=True, type=DataFile())
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for one file per contract, or one file NAME.parquet for all of them.",
)
@click.option(
    "--kind",
    type=click.Choice(["ticks", "trades", "quotes", "bars"]),
    default="ticks",
    show_default=True,
    help="Everything, or a part of it, or closed bars.",
)
@click.option(
    "--timeframe", type=click.Choice(["1m", "5m", "15m", "30m", "1h"]), default="1m", show_default=True, help="Of bars."
)
@click.option("--json", "json_output", is_flag=True, help="One JSON document.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def export(tapes: tuple[Path, ...], out: Path, kind: str, timeframe: str, json_output: bool, debug: bool) -> int:
    """Write TAPES as Parquet: prices as floats and as integer ticks, UTC times with nanoseconds.

    `tbot import` turns a file of ticks back into the same tape. Needs pip install 'tbot[data]'.
    """
    import orjson

    from tbot import __version__
    from tbot.domain.timeframes import NAMES
    from tbot.storage.parquet_export import export as write
    from tbot.storage.sources import open_sources

    timeframe_min = next(minutes for minutes, name in NAMES.items() if name == timeframe)
    with open_sources(tapes) as source:
        files = write(source, out, kind, timeframe_min, __version__)
        document = {
            "schema": "tbot.record_export",
            "version": 1,
            "kind": kind,
            "timeframe": timeframe if kind == "bars" else None,
            "tape_hash": source.data_hash,
            "notes": list(source.notes),
            "files": [
                {"path": str(file.path), "contracts": list(file.symbols), "rows": file.rows} for file in files
            ],
        }
    if json_output:
        click.echo(orjson.dumps(document).decode())
        return 0
    for file in files:
        click.echo(f"{file.path}: {file.rows} {kind} of {', '.join(file.symbols)}")
    return 0


def _settings(url: str, config: "Config", symbols: tuple[str, ...]) -> "RecordSettings":
    from tbot.commands.launch import gateway_settings
    from tbot.engine.record_feed import RecordSettings
    from tbot.gateway.rest import probe_simulator

    simulated = probe_simulator(url)
    hubs = gateway_settings(
        url, config.gateway.user_hub, config.gateway.market_hub, simulated=simulated, embedded=False
    )
    return RecordSettings(hubs.rest_url, hubs.market_hub, simulated, symbols)


def _teller(silent: bool) -> Any:
    def tell(contract: str, text: str) -> None:
        if not silent:
            click.echo(f"{contract + ': ' if contract else ''}{text}", err=True)

    return tell


async def _record(
    feed: "RecordFeed", settings: "RecordSettings", out: Path, for_s: float | None, json_output: bool, quiet: bool
) -> int:
    import asyncio
    import signal

    from tbot.domain.contracts import PRODUCTS
    from tbot.engine.recorder import TapeFiles

    stop, interrupted = asyncio.Event(), []

    def end(number: int) -> None:
        interrupted.append(number)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    await feed.prepare()
    products = [PRODUCTS[symbol] for symbol in settings.symbols]
    files = TapeFiles(out, products, "tbot record", months=feed.months)
    progress = asyncio.create_task(_progress(feed, files, for_s, stop, show=not (json_output or quiet)))
    try:
        ended = await feed.run(files, stop)
    finally:
        progress.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await progress
        files.close()
    if not feed.connects and not interrupted:
        raise GatewayError(f"the market hub never accepted the subscriptions ({feed.reason}); nothing was recorded")
    _report(feed, files, "interrupted" if interrupted else ended, json_output)
    return INTERRUPTED if signal.SIGINT in interrupted else 0


async def _progress(
    feed: "RecordFeed", files: "TapeFiles", for_s: float | None, stop: Any, *, show: bool
) -> None:
    """Ends the recording when its time is over; one line that is written over and over on a terminal."""
    import asyncio

    loop = asyncio.get_running_loop()
    begun: float | None = None
    waited_from = loop.time()
    terminal = show and is_terminal(sys.stderr)
    try:
        while True:
            await asyncio.sleep(0.1)
            if begun is None and feed.connects:
                begun = loop.time()
            # Without a connection the time runs, too: a recording that never began must end as well.
            since = waited_from if begun is None else begun
            if for_s is not None and loop.time() - since >= for_s:
                stop.set()
            if terminal:
                state = "recording" if feed.connected else f"waiting ({feed.reason})"
                counts = files.counts
                text = f"{state}: {', '.join(plural(counts[name], name[:-1]) for name in ('trades', 'quotes', 'gaps'))}"
                click.echo(f"\r{text:<100}", nl=False, err=True)
    finally:
        if terminal:
            click.echo(err=True)


def _report(feed: "RecordFeed", files: "TapeFiles", ended: str, json_output: bool) -> None:
    import orjson

    symbols = {symbol: files.counts[symbol] for symbol in feed.months}
    paths = [str(path) for path in files.files]
    if json_output:
        document = {
            "schema": "tbot.record",
            "version": 1,
            "ended": ended,
            "files": paths,
            "trades": files.counts["trades"],
            "quotes": files.counts["quotes"],
            "gaps": files.counts["gaps"],
            "contracts": {symbol: {"ticks": symbols[symbol], "id": feed.months[symbol]} for symbol in symbols},
            "connections": feed.connects,
            "counters": feed.counts,
        }
        click.echo(orjson.dumps(document).decode())
        return
    click.echo(
        f"{ended}: {plural(files.counts['trades'], 'trade')} and {plural(files.counts['quotes'], 'quote')}, "
        f"{plural(files.counts['gaps'], 'gap mark')}, {plural(feed.connects, 'connection')}"
    )
    for symbol, ticks in symbols.items():
        click.echo(f"  {symbol:<4} {feed.months[symbol]:<20} {plural(ticks, 'record')}")
    for path in paths:
        click.echo(f"  {path}")
